"""Pipelines on threads and in processes: the same outputs, in order, exactly once, whatever happens to the workers."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pytest
from pipeline.stages import Total, bars, expected, fails_on_13, fitted, odd_only, spoiled

from mlopt.concurrent import SPSCQueue
from mlopt.pipeline import Pipeline, PipelineError

BOTH = pytest.mark.parametrize("workers", ["threads", "processes"])
TIMEOUT = 60

pytestmark = pytest.mark.no_emulator


@pytest.fixture(autouse=True)
def nothing_left():
    """No thread, and no queue in shared memory, outlives its pipeline."""
    before = set(os.listdir("/dev/shm")) if os.path.isdir("/dev/shm") else set()
    threads = threading.active_count()
    yield
    deadline = time.monotonic() + 10
    while threading.active_count() > threads and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() <= threads
    if os.path.isdir("/dev/shm"):
        assert not {name for name in set(os.listdir("/dev/shm")) - before if f"-{os.getpid()}-" in name}


def wait_until(condition):
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < deadline, "what was waited for did not happen"
        time.sleep(0.002)


@BOTH
def test_the_outputs_are_those_of_one_thread(workers):
    rows = bars()
    outputs = np.zeros((len(rows), 3), np.float32)
    extractor, scaler, model = fitted()
    with Pipeline([rows, extractor, scaler, model, outputs], workers=workers) as pipeline:
        statistics = pipeline.run()
        assert statistics["records_out"] == len(rows)
        assert pipeline.latency.count == len(rows)
    np.testing.assert_array_equal(outputs, expected(rows))
    assert extractor.bars_seen == len(rows)  # the caller's stage knows what the worker's knew


@BOTH
def test_groups_of_stages_share_a_worker(workers):
    rows = bars()
    extractor, scaler, model = fitted()
    seen = []
    with Pipeline(
        [rows, [extractor, scaler], model, lambda number, output: seen.append((number, output.copy()))], workers=workers
    ) as pipeline:
        pipeline.start()
        if workers == "processes":
            wait_until(lambda: len(pipeline.worker_pids) == 2)
        pipeline.wait(TIMEOUT)
    assert [number for number, _ in seen] == list(range(len(rows)))
    np.testing.assert_array_equal([output for _, output in seen], expected(rows))


@BOTH
def test_runs_go_on_where_the_last_one_ended(workers):
    pace = threading.Semaphore(0)

    def paced():
        for row in bars(300).tolist():
            assert pace.acquire(timeout=TIMEOUT)
            yield row

    outputs = np.zeros((300, 3), np.float32)
    with Pipeline([paced(), *fitted(), outputs], workers=workers, queue_capacity=16, checkpoint_every=4) as pipeline:
        for run, drain in enumerate((True, False)):
            pipeline.start()
            pace.release(60)
            wait_until(lambda run=run: pipeline.statistics["records_in"] >= 60 * run + 30)
            pace.release(1)  # for a source that waits for a record when it is told to stop
            pipeline.stop(drain=drain, timeout=TIMEOUT)
            if drain:
                assert pipeline.statistics["records_in"] == pipeline.statistics["records_out"]
        pace.release(300)
        pipeline.run()
    np.testing.assert_array_equal(outputs, expected(bars(300)))


@BOTH
def test_bad_records_and_stages_without_output(workers):
    where = [0, 5, 6, 300, 301, 302, 555, 699]
    rows = spoiled(bars(), where)
    told, outputs = [], np.zeros((len(rows), 3), np.float32)
    with Pipeline(
        [rows, *fitted(), outputs], workers=workers, on_error="skip", on_bad=lambda *what: told.append(what)
    ) as pipeline:
        pipeline.run()
        assert pipeline.statistics["bad"] == len(where)
    np.testing.assert_array_equal(outputs, expected(rows))
    assert [number for number, _, _ in told] == where
    assert told[0][1] == "FeatureExtractor"
    assert "open must be a positive number" in told[0][2]
    seen = []
    with Pipeline([np.arange(30.0).reshape(-1, 1), odd_only, np.negative, seen], workers=workers) as pipeline:
        assert pipeline.run()["without_output"] == 15
    assert [float(row[0]) for row in seen] == [-i for i in range(1, 30, 2)]


@BOTH
def test_an_error_ends_the_run_and_loses_nothing(workers):
    rows = spoiled(bars(), [40, 41, 333])
    outputs = np.full((len(rows), 3), 7, np.float32)
    with Pipeline([rows, *fitted(), outputs], workers=workers) as pipeline:
        for bad in (40, 41, 333):
            with pytest.raises(PipelineError, match=f"record {bad}: FeatureExtractor: "):
                pipeline.run()
            np.testing.assert_array_equal(outputs[:bad], expected(rows)[:bad])
            assert (outputs[bad + 1 :] == 7).all()
        pipeline.run()
    np.testing.assert_array_equal(outputs, expected(rows))


@BOTH
def test_an_exception_of_a_function(workers):
    seen = []
    with Pipeline([np.arange(20.0).reshape(-1, 1), fails_on_13, seen], workers=workers) as pipeline:
        with pytest.raises(PipelineError, match="record 13: fails_on_13: ArithmeticError: thirteen") as caught:
            pipeline.run()
        assert isinstance(caught.value.__cause__, ArithmeticError) == (workers == "threads")
        pipeline.run()
    assert [float(row[0]) for row in seen] == [i for i in range(20) if i != 13]


@BOTH
def test_an_exception_of_the_sink_or_source(workers):
    seen, broken = [], [True]

    def sink(number, output):
        if number == 17 and broken:
            broken.clear()
            raise OSError("disk full")
        seen.append(number)

    with Pipeline([np.arange(40.0).reshape(-1, 1), np.negative, sink], workers=workers) as pipeline:
        with pytest.raises(PipelineError, match="record 17: sink: OSError: disk full"):
            pipeline.run()
        pipeline.run()
    assert seen == list(range(40))

    def breaks():
        yield 1.0, 2.0
        raise KeyError("gone")

    with (
        Pipeline([breaks(), np.negative, None], inputs=2, workers=workers) as pipeline,
        pytest.raises(PipelineError, match="record 1: source: KeyError"),
    ):
        pipeline.run()


@BOTH
def test_push_drain_and_stop(workers):
    seen = []
    with Pipeline(
        [None, np.negative, lambda number, output: seen.append((number, float(output[0])))], inputs=1, workers=workers
    ) as pipeline:
        with pytest.raises(RuntimeError, match="was started"):
            pipeline.push(1.0)
        for run in range(2):
            pipeline.start()
            for i in range(50):
                assert pipeline.push(float(i), timeout=TIMEOUT) == run * 50 + i
            pipeline.drain(TIMEOUT)
            assert len(seen) == 50 * (run + 1)
            pipeline.stop(timeout=TIMEOUT)
    assert seen == [(50 * run + i, -float(i)) for run in range(2) for i in range(50)]


def test_the_oldest_records_are_dropped_before_a_process_too():
    seen = []
    with Pipeline(
        [None, Total(), lambda number, output: seen.append(number)],
        inputs=1,
        workers="processes",
        queue_capacity=8,
        checkpoint_every=4,
        overflow="drop_oldest",
    ) as pipeline:
        pipeline.start()
        for i in range(500):  # the process takes longer than that to be there
            pipeline.push(float(i), timeout=TIMEOUT)
        pipeline.stop(timeout=TIMEOUT)
        dropped = pipeline.statistics["dropped"]
    assert dropped == 500 - len(seen)
    assert dropped > 0
    assert seen == sorted(seen)
    assert seen[-1] == 499


def test_the_oldest_records_are_dropped_and_counted():
    gate, seen = threading.Event(), []

    def held(x, out):
        assert gate.wait(TIMEOUT)
        out[:] = x

    with Pipeline(
        [None, held, lambda number, output: seen.append(number)],
        inputs=1,
        workers="threads",
        queue_capacity=8,
        overflow="drop_oldest",
    ) as pipeline:
        pipeline.start()
        for i in range(100):
            pipeline.push(float(i), timeout=TIMEOUT)
        gate.set()
        pipeline.stop(timeout=TIMEOUT)
        dropped = pipeline.statistics["dropped"]
    assert dropped == 100 - len(seen)
    assert 80 <= dropped <= 92
    assert seen == sorted(seen)
    assert seen[-8:] == list(range(92, 100))


def test_killed_workers_lose_nothing_and_repeat_nothing():
    rows = np.tile(bars(), (6, 1))
    outputs, numbers = np.full((len(rows), 3), 7, np.float32), []
    pace = threading.Semaphore(0)

    def paced():
        for i, row in enumerate(rows.tolist()):
            if i % 100 == 0:
                assert pace.acquire(timeout=TIMEOUT)
            yield row

    def sink(number, output):
        numbers.append(number)
        outputs[number] = output

    with Pipeline([paced(), *fitted(), sink], workers="processes", queue_capacity=256, checkpoint_every=50) as pipeline:
        pipeline.start()
        for kills in range(4):
            wait_until(lambda: len(pipeline.worker_pids) == 3)
            pid = pipeline.worker_pids[kills % 3]
            pace.release(10)
            if kills % 2:
                wait_until(lambda kills=kills: len(numbers) > kills * 500)
            os.kill(pid, signal.SIGKILL)
            wait_until(lambda kills=kills: pipeline.statistics["restarts"] == kills + 1)
        pace.release(100)
        pipeline.wait(TIMEOUT)
        assert pipeline.statistics["restarts"] == 4
    assert numbers == list(range(len(rows)))
    np.testing.assert_array_equal(outputs, expected(rows))


def test_a_function_with_memory_survives():
    seen = []
    with Pipeline(
        [None, Total(), lambda number, output: seen.append(float(output[0]))],
        inputs=1,
        workers="processes",
        queue_capacity=64,
        checkpoint_every=8,
    ) as pipeline:
        pipeline.start()
        for i in range(100):
            pipeline.push(1.0)
            if i in (30, 60):
                pipeline.drain(TIMEOUT)
                os.kill(pipeline.worker_pids[0], signal.SIGKILL)
        pipeline.stop(timeout=TIMEOUT)
        assert pipeline.statistics["restarts"] == 2
    assert seen == list(range(1, 101))


def test_a_worker_that_cannot_live_is_given_up():
    with Pipeline([np.ones((10, 1)), Suicidal(), None], workers="processes") as pipeline:
        with pytest.raises(PipelineError, match="its process ended 5 times"):
            pipeline.run()
        assert not pipeline.running


class Suicidal:
    """A stage that ends its process."""

    def __call__(self, x, out):
        os._exit(1)

    def __reduce__(self):
        return os.abort, ()


def test_stages_that_cannot_be_sent():
    with (
        Pipeline([np.ones((10, 1)), lambda x, out: None, None], workers="processes") as pipeline,
        pytest.raises(PipelineError, match="cannot be sent to a process"),
    ):
        pipeline.run()


def test_workers_end_with_their_parent():
    program = """
        import os, time, numpy as np
        from mlopt.pipeline import Pipeline
        pipeline = Pipeline([None, np.negative, None], inputs=1, workers="processes")
        pipeline.start()
        pipeline.push(1.0)
        pipeline.drain(60)
        print(pipeline.worker_pids[0], flush=True)
        os.kill(os.getpid(), 9)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, timeout=TIMEOUT
    )
    pid = int(done.stdout)

    def gone():
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        with open(f"/proc/{pid}/stat") as file:  # nobody may wait for it here
            return file.read().rpartition(")")[2].split()[0] == "Z"

    wait_until(gone)
    SPSCQueue.clean_up()


@BOTH
def test_queues_at_both_ends(workers):
    source, sink = SPSCQueue(2, capacity=16), SPSCQueue(2, capacity=16)
    got = []

    def read():
        got.extend(record.copy() for record in sink)

    reader = threading.Thread(target=read)
    reader.start()
    with Pipeline([source, np.negative, sink], workers=workers) as pipeline:
        pipeline.start()
        for i in range(200):
            source.put([i, 2 * i], timeout=TIMEOUT)
        source.close()
        pipeline.wait(TIMEOUT)
    sink.close()
    reader.join(TIMEOUT)
    np.testing.assert_array_equal(got, [(-i, -2 * i) for i in range(200)])
