"""Pipelines in one thread: sources, stages, sinks, failures, restarts."""

import threading

import numpy as np
import pytest
from pipeline.stages import FEATURES, Total, bars, expected, fails_on_13, fitted, odd_only, spoiled

import mlopt
from mlopt.concurrent import SPSCQueue
from mlopt.features import Scaler, sample_bars
from mlopt.pipeline import Apply, Learn, Pipeline, PipelineError


def write_csv(path, rows, names="Date,Open,High,Low,Close,Volume", lead="2020-01-01,"):
    path.write_text(names + "\n" + "".join(lead + ",".join(map(repr, row)) + "\n" for row in rows.tolist()))
    return path


@pytest.mark.parametrize("kind", ["table", "fortran", "float32", "bars", "iterable", "csv", "queue"])
def test_sources_give_the_same_outputs(kind, tmp_path):
    rows = bars()
    if kind == "float32":
        rows = rows.astype(np.float32).astype(float)
    queue = SPSCQueue(5, capacity=len(rows))
    source = {
        "table": lambda: rows,
        "fortran": lambda: np.asfortranarray(rows),
        "float32": lambda: rows.astype(np.float32),
        "bars": lambda: sample_bars()[: len(rows)],
        "iterable": lambda: (tuple(row) for row in rows.tolist()),
        "csv": lambda: write_csv(tmp_path / "bars.csv", rows),
        "queue": lambda: queue,
    }[kind]()
    queue.put_many(rows)
    queue.close()
    outputs = np.zeros((len(rows), 3), np.float32)
    statistics = Pipeline([source, *fitted(), outputs]).run()
    np.testing.assert_array_equal(outputs, expected(rows))
    assert statistics == {
        "records_in": len(rows), "records_out": len(rows), "without_output": 0, "bad": 0, "dropped": 0, "restarts": 0
    }  # fmt: skip


@pytest.mark.parametrize("kind", ["table", "call", "list", "queue", "none"])
def test_sinks_get_every_output(kind):
    rows = bars()
    want = expected(rows)
    table, seen, listed = np.zeros((len(rows), 3), np.float32), [], []
    queue = SPSCQueue(3, np.float32, capacity=len(rows))
    sink = {
        "table": table,
        "call": lambda number, output: seen.append((number, output.copy())),
        "list": listed,
        "queue": queue,
        "none": None,
    }[kind]
    assert Pipeline([rows, *fitted(), sink]).run()["records_out"] == len(rows)
    if kind == "table":
        np.testing.assert_array_equal(table, want)
    elif kind == "call":
        assert [number for number, _ in seen] == list(range(len(rows)))
        np.testing.assert_array_equal([output for _, output in seen], want)
    elif kind == "list":
        np.testing.assert_array_equal(listed, want)
    elif kind == "queue":
        got = np.empty((len(rows), 3), np.float32)
        assert queue.get_many(got) == len(rows)
        np.testing.assert_array_equal(got, want)


def test_a_full_queue_at_the_end_makes_the_pipeline_wait():
    rows = bars(300)
    queue = SPSCQueue(3, np.float32, capacity=7)
    got = []

    def read():
        got.extend(record.copy() for record in queue)

    reader = threading.Thread(target=read)
    reader.start()
    Pipeline([rows, *fitted(), queue]).run()
    queue.close()
    reader.join(20)
    np.testing.assert_array_equal(got, expected(rows))


def test_push_is_the_stages_one_after_the_other():
    rows = bars()
    extractor, scaler, model = fitted()
    outputs = []
    with Pipeline([None, extractor, scaler, model, outputs]) as pipeline:
        views = [pipeline.push(*row) for row in rows.tolist()]
    assert len({id(view) for view in views}) == 1
    assert not views[0].flags.writeable
    np.testing.assert_array_equal(outputs, expected(rows))


def test_training_between_pushes_is_seen():
    rows = bars(60)
    extractor, scaler, model = fitted()
    other_extractor, _, other = fitted()
    x, y = np.zeros(len(FEATURES), np.float32), np.ones(3, np.float32)
    pipeline = Pipeline([None, extractor, scaler, model, None])
    for row in rows.tolist():
        output = pipeline.push(*row)
        want = other.predict(scaler.transform(other_extractor.update(*row), np.empty(len(FEATURES), np.float32)))
        np.testing.assert_array_equal(output, want)
        for each in (model, other):
            each.train_step(x, y)


@pytest.mark.parametrize("output", ["identity", "softmax"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_models_of_both_types_with_and_without_a_link(output, dtype):
    x = np.random.default_rng(3).normal(size=(300, 4))
    loss = "mse" if output == "identity" else "cross_entropy"
    model = mlopt.nn.MLP((4, 8, 3), output=output, loss=loss, dtype=dtype, rng=0)
    outputs = np.zeros((300, 3), dtype)
    Pipeline([x.astype(dtype), model, outputs]).run()
    np.testing.assert_array_equal(outputs, [model.predict(row) for row in x.astype(dtype)])
    if dtype == "float32":  # a table of another type is converted
        again = np.zeros((300, 3), dtype)
        Pipeline([x, model, again]).run()
        np.testing.assert_array_equal(again, outputs)


def test_a_quantised_model():
    x = np.random.default_rng(3).normal(size=(300, 4)).astype(np.float32)
    model = mlopt.nn.MLP((4, 8, 3), rng=0).quantize(x)
    outputs = np.zeros((300, 3), np.float32)
    Pipeline([x, model, outputs]).run()
    np.testing.assert_array_equal(outputs, [model.predict(row) for row in x])


def test_scaler_that_learns():
    x = np.random.default_rng(4).normal(size=(50, 3))
    outputs, want = np.zeros((50, 3)), []
    Pipeline([x, Learn(Scaler(3)), outputs]).run()
    scaler = Scaler(3)
    for row in x:
        scaler.update(row)
        want.append(scaler.transform(row))
    np.testing.assert_array_equal(outputs, want)


def test_tiers_are_followed():
    rows = bars(200)
    with mlopt.use_isa("reference"):
        want = expected(rows)
        outputs = np.zeros((len(rows), 3), np.float32)
        Pipeline([rows, *fitted(), outputs]).run()
        np.testing.assert_array_equal(outputs, want)


@pytest.mark.parametrize("pushed", [False, True])
def test_bad_records_are_skipped_and_told(pushed):
    where = [0, 5, 6, 300, 301, 302, 555, 699]
    rows = spoiled(bars(), where)
    told, outputs = [], np.zeros((len(rows), 3), np.float32)
    pipeline = Pipeline(
        [None if pushed else rows, *fitted(), outputs], on_error="skip", on_bad=lambda *what: told.append(what)
    )
    if pushed:
        for i, row in enumerate(rows.tolist()):
            assert (pipeline.push(*row) is None) == (i in where)
    else:
        pipeline.run()
    np.testing.assert_array_equal(outputs, expected(rows))
    assert [number for number, _, _ in told] == where
    assert {stage for _, stage, _ in told} == {"FeatureExtractor"}
    assert "open must be a positive number" in told[0][2]
    assert pipeline.statistics["bad"] == len(where)
    assert pipeline.statistics["records_out"] == len(rows) - len(where)


def test_an_error_names_stage_and_record_and_the_run_goes_on_behind_it():
    rows = spoiled(bars(), [40, 41, 333])
    outputs = np.full((len(rows), 3), 7, np.float32)
    pipeline = Pipeline([rows, *fitted(), outputs])
    for bad in (40, 41, 333):
        with pytest.raises(PipelineError, match=f"record {bad}: FeatureExtractor: ") as caught:
            pipeline.run()
        assert (caught.value.record, caught.value.stage) == (bad, "FeatureExtractor")
        np.testing.assert_array_equal(outputs[:bad], expected(rows)[:bad])
        assert (outputs[bad + 1 :] == 7).all()
    pipeline.run()
    np.testing.assert_array_equal(outputs, expected(rows))


def test_an_exception_of_a_function_is_the_cause():
    x = np.arange(20.0).reshape(-1, 1)
    seen = []
    pipeline = Pipeline([x, fails_on_13, seen])
    with pytest.raises(PipelineError, match="record 13: fails_on_13: ArithmeticError: thirteen") as caught:
        pipeline.run()
    assert isinstance(caught.value.__cause__, ArithmeticError)
    assert len(seen) == 13
    pipeline.run()
    assert [float(row[0]) for row in seen] == [i for i in range(20) if i != 13]


def test_an_exception_of_the_sink_loses_nothing():
    x = np.arange(40.0).reshape(-1, 1)
    seen, broken = [], [True]

    def sink(number, output):
        if number == 17 and broken:
            broken.clear()
            raise OSError("disk full")
        seen.append((number, float(output[0])))

    pipeline = Pipeline([x, odd_only, sink])
    with pytest.raises(PipelineError, match="record 17: sink: OSError: disk full"):
        pipeline.run()
    assert [number for number, _ in seen] == list(range(1, 17, 2))
    pipeline.run()
    assert seen == [(i, float(i)) for i in range(1, 40, 2)]
    assert pipeline.statistics["without_output"] == 20


def test_bad_lines_and_records_of_sources(tmp_path):
    path = tmp_path / "numbers.csv"
    path.write_text("a,b\n1,2\n3\n5,six\n\n7,8\n")
    told, seen = [], []
    Pipeline([path, np.negative, seen], on_error="skip", on_bad=lambda *what: told.append(what)).run()
    assert [row.tolist() for row in seen] == [[-1, -2], [-7, -8]]
    assert [(number, stage) for number, stage, _ in told] == [(1, "source"), (2, "source")]
    assert "line 3: 1 cells, expected 2" in told[0][2]
    assert "line 4" in told[1][2]
    told.clear()
    records = [(1, 2), "no", (3, 4, 5), (6, 7)]
    Pipeline([records, np.negative, []], inputs=2, on_error="skip", on_bad=lambda *what: told.append(what)).run()
    assert [number for number, _, _ in told] == [1, 2]

    def breaks():
        yield 1.0, 2.0
        raise KeyError("gone")

    with pytest.raises(PipelineError, match="record 1: source: KeyError"):
        Pipeline([breaks(), np.negative, None], inputs=2).run()


def test_background_run_stop_and_restart():
    gate, seen = threading.Semaphore(0), []

    def slow():
        for i in range(100):
            assert gate.acquire(timeout=20)
            yield (float(i),)

    pipeline = Pipeline([slow(), np.negative, seen], inputs=1)
    pipeline.start()
    with pytest.raises(RuntimeError, match="runs already"):
        pipeline.start()
    with pytest.raises(TimeoutError, match="still runs"):
        pipeline.wait(0.01)
    with pytest.raises(TimeoutError, match="still runs"):
        pipeline.stop(timeout=0.01)  # the iterable is waited for
    gate.release(1)
    pipeline.stop(timeout=20)
    assert not pipeline.running
    assert len(seen) <= 1
    gate.release(100)
    pipeline.run()
    assert [float(row[0]) for row in seen] == [-float(i) for i in range(100)]


def test_stage_with_memory():
    total, seen = Total(), []
    Pipeline([np.ones((10, 1)), total, seen]).run()
    assert [float(row[0]) for row in seen] == list(range(1, 11))


def test_apply_of_another_size_and_type():
    outputs = np.zeros((6, 1), np.float32)
    stage = Apply(lambda x, out: out.fill(x.sum()), 1, "float32")
    Pipeline([np.ones((6, 4)), stage, outputs]).run()
    assert (outputs == 4).all()


def test_times():
    pipeline = Pipeline([None, *fitted(), None], timed=True)
    pipeline.push(*bars()[0])
    assert list(pipeline.times) == ["FeatureExtractor", "Scaler", "MLP"]
    assert all(time > 0 for time in pipeline.times.values())


@pytest.mark.parametrize(
    ("stages", "keywords", "message"),
    [
        ([None, None], {}, "at least one stage"),
        ("abc", {}, "stages must be a list"),
        ([None, 3, None], {"inputs": 2}, "stage 1 must be a FeatureExtractor"),
        ([None, np.negative, None], {}, "inputs must say"),
        ([None, Scaler(2), Scaler(3), None], {}, "Scaler takes 3 numbers, but what comes before gives 2"),
        ([None, Scaler(2), None], {"inputs": 3}, "inputs must be 2"),
        ([np.zeros((4, 3)), Scaler(2), None], {}, "the first takes 2 numbers, but a record of the source has 3"),
        ([np.zeros(4), Scaler(2), None], {}, "source must be a table"),
        ([4, Scaler(2), None], {}, "the first must be an array"),
        ([None, Scaler(2), 4], {}, "the last must be a function"),
        ([None, Scaler(2), np.zeros((4, 3))], {}, "the array at the end must be"),
        ([None, Scaler(2), SPSCQueue(3)], {}, "the queue at the end must have shape"),
        ([SPSCQueue(3), Scaler(2), None], {}, "the first takes 2 numbers"),
        ([None, [], None], {}, "group of stages is empty"),
        ([None, Scaler(2), None], {"workers": "many"}, "workers must be one of"),
        ([None, Scaler(2), None], {"overflow": "drop_oldest"}, "needs queues"),
        ([None, Scaler(2), None], {"on_error": 3}, "on_error must be a string"),
        ([None, Scaler(2), None], {"queue_capacity": 1}, "queue_capacity must be at least 2"),
        ([None, Scaler(2), None], {"workers": "processes", "queue_capacity": 64}, "at most half of queue_capacity"),
        ([None, Scaler(2), None], {"workers": "threads", "timed": True}, "timed=True is for"),
        ([None, Scaler(2), None], {"on_bad": 3}, "on_bad must be callable"),
        ([None, Learn(Scaler(2, "robust")), None], {}, "not 'robust'"),
    ],
)
def test_wrong_arguments(stages, keywords, message):
    with pytest.raises((TypeError, ValueError), match=message):
        Pipeline(stages, **keywords)


def test_wrong_calls():
    pipeline = Pipeline([None, Scaler(2).fit(np.eye(2)), None])
    with pytest.raises(TypeError, match="a record has 2 numbers, not 3"):
        pipeline.push(1, 2, 3)
    with pytest.raises(TypeError):
        pipeline.push("a", 2)
    with pytest.raises(RuntimeError, match="no source"):
        pipeline.run()
    with pytest.raises(RuntimeError, match="source is None"):
        Pipeline([np.eye(2), Scaler(2).fit(np.eye(2)), None]).push(1, 2)
    with pytest.raises(PipelineError, match="sink: IndexError"):
        Pipeline([np.eye(2), Scaler(2).fit(np.eye(2)), np.zeros((1, 2))]).run()
