"""Starting, stopping and giving up pipelines in every order and from everywhere."""

import gc
import os
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pytest
from pipeline.stages import Total, as_float, says_much, tier_of

import mlopt
from mlopt.concurrent import SPSCQueue
from mlopt.features import FeatureExtractor, Scaler
from mlopt.pipeline import Learn, Pipeline, PipelineError

ALL = pytest.mark.parametrize("workers", ["fused", "threads", "processes"])
STAGED = pytest.mark.parametrize("workers", ["threads", "processes"])
TIMEOUT = 60

pytestmark = pytest.mark.no_emulator


def wait_until(condition):
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < deadline, "what was waited for did not happen"
        time.sleep(0.002)


@ALL
def test_a_sink_stops_its_pipeline(workers):
    seen = []

    def sink(number, output):
        seen.append(number)
        if number == 700:
            pipeline.stop()

    with Pipeline([np.ones((100_000, 1)), as_float, sink], workers=workers, queue_capacity=1024) as pipeline:
        pipeline.run()
        count = len(seen)
        assert 700 < count < 50_000
        assert pipeline.statistics["records_in"] == count
        pipeline.start()
        pipeline.stop(timeout=TIMEOUT)
    assert seen == list(range(len(seen)))


def test_a_fused_run_is_stopped_from_another_thread():
    reached, seen = threading.Event(), []

    def sink(number, output):
        seen.append(number)
        if number == 100:
            reached.set()

    def forever():
        while True:
            yield (1.0,)

    pipeline = Pipeline([forever(), as_float, sink], inputs=1)
    runner = threading.Thread(target=pipeline.run)
    runner.start()
    assert reached.wait(TIMEOUT)
    pipeline.stop(timeout=TIMEOUT)
    runner.join(TIMEOUT)
    assert not runner.is_alive()
    assert seen == list(range(len(seen)))


def test_drain_of_a_run_that_was_left():
    pushed = threading.Event()

    def leave(number, output):
        assert pushed.wait(TIMEOUT)
        pipeline.stop(drain=False)

    with Pipeline([None, as_float, leave], inputs=1, workers="threads", queue_capacity=64) as pipeline:
        pipeline.start()
        for _ in range(20):
            pipeline.push(1.0)
        pushed.set()
        with pytest.raises(RuntimeError, match="records are on their way, and the pipeline does not run"):
            pipeline.drain(TIMEOUT)


def test_drain_of_a_fused_run_that_failed():
    def breaks():
        yield (1.0,)
        raise KeyError("gone")

    pipeline = Pipeline([breaks(), as_float, None], inputs=1)
    pipeline.start()
    with pytest.raises(PipelineError, match="record 1: source"):
        pipeline.wait(TIMEOUT)
    pipeline.drain(TIMEOUT)


@STAGED
def test_what_came_before_a_source_broke_is_delivered_first(workers):
    seen = []

    def breaks():
        for i in range(300):
            yield (float(i),)
        raise KeyError("gone")

    with (
        Pipeline([breaks(), as_float, seen], inputs=1, workers=workers) as pipeline,
        pytest.raises(PipelineError, match="record 300: source: KeyError"),
    ):
        pipeline.run()
    assert len(seen) == 300


def fill(pipeline):
    """Push until no more fits."""
    with pytest.raises(TimeoutError, match="first queue is full"):  # noqa: PT012 (some push is the last)
        while True:
            pipeline.push(1.0, timeout=3.0)


@STAGED
def test_stop_of_a_full_pipeline_comes_in_time(workers):
    gate, seen = threading.Event(), []

    def sink(number, output):
        assert gate.wait(TIMEOUT)
        seen.append(number)

    with Pipeline([None, as_float, sink], inputs=1, workers=workers, queue_capacity=4, checkpoint_every=2) as pipeline:
        pipeline.start()
        fill(pipeline)
        pushed = pipeline.statistics["records_in"]
        for _ in range(2):
            with pytest.raises(TimeoutError, match="still runs"):
                pipeline.stop(timeout=0.1)
        with pytest.raises(RuntimeError, match="this one stops"):
            pipeline.push(1.0)
        gate.set()
        pipeline.stop(timeout=TIMEOUT)
    assert seen == list(range(pushed))


@STAGED
def test_on_bad_that_raises_is_told_of_once(workers):
    told, seen = [], []

    def on_bad(number, stage, reason):
        told.append(number)
        raise OSError("log is full")

    with Pipeline(
        [[(1.0,), "no", (3.0,)], as_float, seen], inputs=1, workers=workers, on_error="skip", on_bad=on_bad
    ) as pipeline:
        with pytest.raises(PipelineError, match="record 1: on_bad: OSError"):
            pipeline.run()
        pipeline.run()
    assert told == [1]
    assert [float(row[0]) for row in seen] == [1, 3]
    assert pipeline.statistics["bad"] == 1


def test_a_list_that_refuses_one_output_gets_each_once():
    class Choosy(list):
        refuses = True

        def append(self, item):
            if item[0] == 100 and self.refuses:
                Choosy.refuses = False
                raise OSError("not now")
            super().append(item)

    seen = Choosy()
    pipeline = Pipeline([np.arange(300.0).reshape(-1, 1), as_float, seen])
    with pytest.raises(PipelineError, match="record 100: sink: OSError"):
        pipeline.run()
    pipeline.run()
    assert [float(row[0]) for row in seen] == list(range(300))


@ALL
def test_a_sink_stops_its_pipeline_before_start_returns(workers, monkeypatch):
    stopped = threading.Event()

    def sink(number, output):
        if number == 5:
            pipeline.stop()
            stopped.set()

    def start_late():
        start()
        assert stopped.wait(TIMEOUT)

    with Pipeline([np.ones((100_000, 1)), as_float, sink], workers=workers, queue_capacity=512) as pipeline:
        start = pipeline._runner.start
        monkeypatch.setattr(pipeline._runner, "start", start_late)
        pipeline.start()
        pipeline.wait(TIMEOUT)
        assert 5 < pipeline.statistics["records_out"] < 50_000


@STAGED
def test_pipelines_that_are_forgotten_end(workers):
    before = threading.active_count()
    pipeline = Pipeline([None, as_float, None], inputs=1, workers=workers)
    pipeline.start()
    pipeline.push(1.0)
    pipeline.drain(TIMEOUT)
    pids = pipeline.worker_pids
    del pipeline
    gc.collect()
    wait_until(lambda: threading.active_count() == before)
    assert not [pid for pid in pids if os.path.exists(f"/proc/{pid}")]
    if os.path.isdir("/dev/shm"):
        assert not [name for name in os.listdir("/dev/shm") if f"pipeline-{os.getpid()}-" in name]


@ALL
def test_close_while_the_source_waits(workers, monkeypatch):
    for module in ("fused", "pipeline", "staged", "workers"):
        for name in ("PATIENCE", "LEAVE"):
            if hasattr(sys.modules[f"mlopt.pipeline.{module}"], name):
                monkeypatch.setattr(f"mlopt.pipeline.{module}.{name}", 0.1)
    gate = threading.Event()

    def waits():
        yield (1.0,)
        assert gate.wait(TIMEOUT)
        yield (2.0,)

    before = threading.active_count()
    pipeline = Pipeline([waits(), as_float, None], inputs=1, workers=workers)
    pipeline.start()
    wait_until(lambda: pipeline.statistics["records_in"] == 1)
    pipeline.close()
    pipeline.close()
    with pytest.raises(RuntimeError, match="was closed"):
        pipeline.start()
    with pytest.raises(RuntimeError):
        pipeline.push(1.0)
    gate.set()
    wait_until(lambda: threading.active_count() == before)


PROGRAM = """
import numpy as np
from mlopt.pipeline import Pipeline
pipeline = Pipeline([None, np.negative, np.negative, None], inputs=1, workers="{workers}", queue_capacity=4,
                    checkpoint_every=2)
pipeline.start()
for i in range(100):
    pipeline.push(1.0)
print("end", *pipeline.worker_pids, flush=True)
"""


@STAGED
def test_a_program_ends_while_its_pipeline_runs(workers):
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(PROGRAM.format(workers=workers))],
        capture_output=True, text=True, timeout=TIMEOUT,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    pids = [int(word) for word in done.stdout.split()[1:]]
    wait_until(lambda: not [pid for pid in pids if os.path.exists(f"/proc/{pid}/exe") and alive(pid)])


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_orphans_end_though_nobody_takes_their_records():
    program = """
        import os, threading, numpy as np
        from mlopt.pipeline import Pipeline
        pipeline = Pipeline([None, np.negative, lambda number, output: threading.Event().wait()], inputs=1,
                            workers="processes", queue_capacity=4, checkpoint_every=2)
        pipeline.start()
        try:
            while True:
                pipeline.push(1.0, timeout=1.0 if pipeline.statistics["records_in"] > 4 else 60)
        except TimeoutError:
            print(*pipeline.worker_pids, flush=True)
        os.kill(os.getpid(), 9)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, timeout=TIMEOUT
    )
    pids = [int(word) for word in done.stdout.split()]
    assert pids
    wait_until(lambda: not any(map(alive, pids)))
    SPSCQueue.clean_up()


@ALL
def test_the_tier_of_whoever_starts_it(workers):
    for tier in ("reference", "generic"):
        outputs = np.zeros((3, 1))
        with mlopt.use_isa(tier), Pipeline([np.ones((3, 1)), tier_of, outputs], workers=workers) as pipeline:
            pipeline.start()
            pipeline.wait(TIMEOUT)
        assert (outputs == mlopt.available_tiers().index(tier)).all()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_leaves_the_parents_workers_alone():
    seen = []
    with Pipeline([None, Total(), seen], inputs=1, workers="processes") as pipeline:
        pipeline.start()
        pipeline.push(1.0)
        pipeline.drain(TIMEOUT)
        program = os.fork()
        if program == 0:
            try:
                pipeline.close()
            finally:
                os._exit(0)
        assert os.waitpid(program, 0)[1] == 0
        pipeline.push(1.0)
        pipeline.stop(timeout=TIMEOUT)
        assert pipeline.statistics["restarts"] == 0
    assert [float(row[0]) for row in seen] == [1, 2]


def test_an_interrupt_in_a_stage_is_no_bad_record():
    def interrupts(x, out):
        if x[0] == 3:
            raise KeyboardInterrupt
        out[:] = x

    seen = []
    pipeline = Pipeline([np.arange(6.0).reshape(-1, 1), interrupts, seen], on_error="skip")
    with pytest.raises(KeyboardInterrupt):
        pipeline.run()
    pipeline.run()
    assert [float(row[0]) for row in seen] == [0, 1, 2, 4, 5]


@ALL
def test_an_exception_that_cannot_be_described(workers):
    told = []
    with Pipeline(
        [np.ones((2, 1)), says_much, None], workers=workers, on_error="skip", on_bad=lambda *what: told.append(what)
    ) as pipeline:
        pipeline.run()
    assert [number for number, _, _ in told] == [0, 1]


@pytest.mark.parametrize(
    ("record", "bad"),
    [((1, 2, 3), False), ([1.5, 2, 3], False), (np.ones(3), False), (1.0, True), ((1,), True), ("123", True),
     (b"123", True), (np.ones((3, 1)), True), ((1, 2, 10**400), True), (None, True), ({1: 2}, True)],
)  # fmt: skip
def test_records_of_an_iterable(record, bad):
    pipeline = Pipeline([[record], as_float, None], inputs=3, on_error="skip")
    assert pipeline.run()["bad"] == bad


def test_arguments_that_would_corrupt():
    table = np.zeros((8, 2))
    with pytest.raises(ValueError, match="must not overlap"):
        Pipeline([table, as_float, table])
    extractor, scaler = FeatureExtractor(["return_1"]), Scaler(1)
    with pytest.raises(ValueError, match="the same Scaler stands twice"):
        Pipeline([None, Learn(scaler), Learn(scaler), None])
    with pytest.raises(ValueError, match="the same FeatureExtractor stands twice"):
        Pipeline([None, extractor, extractor, None])
    bytes_ = np.zeros(8 * 2 * 8 + 1, np.uint8)[1:].view(np.float64).reshape(8, 2)
    with pytest.raises(ValueError, match="aligned"):
        Pipeline([table, as_float, bytes_])
    outputs = np.ones((8, 2))
    Pipeline([bytes_, as_float, outputs]).run()
    assert (outputs == 0).all()
    assert Pipeline([np.zeros((0, 2)), as_float, None]).run()["records_in"] == 0
    with pytest.raises(ValueError, match="table of numbers"):
        Pipeline([np.zeros((3, 0)), as_float, None])


@pytest.mark.parametrize(
    ("timeout", "error"), [(-1, ValueError), (float("nan"), ValueError), ("1", TypeError), (True, TypeError)]
)
def test_timeouts(timeout, error):
    with Pipeline([None, as_float, None], inputs=1, workers="threads") as pipeline:
        pipeline.start()
        for call in (pipeline.wait, pipeline.stop, pipeline.drain):
            with pytest.raises(error, match="timeout must be"):
                call(timeout=timeout)
        with pytest.raises(error, match="timeout must be"):
            pipeline.push(1.0, timeout=timeout)
        with pytest.raises(TypeError):
            pipeline.push("1")
        pipeline.stop(timeout=1e300)


def test_csv_files_of_all_sorts(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_bytes(b"\xef\xbb\xbfa,b\r\n1,2\r\n\r\n\xff,3\r\n4,5\r\n")
    told, seen = [], []
    Pipeline([path, as_float, seen], on_error="skip", on_bad=lambda *what: told.append(what)).run()
    assert [row.tolist() for row in seen] == [[1, 2], [4, 5]]
    assert [number for number, _, _ in told] == [1]
    for text in ("", "\n", "1,2\n3,4\n"):
        path.write_text(text)
        with pytest.raises(ValueError, match="must begin with a line that names its columns"):
            Pipeline([path, as_float, None])
