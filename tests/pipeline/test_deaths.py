"""Workers' processes killed at every moment: outputs in order, exactly once, from the memory that was."""

import contextlib
import os
import signal
import threading
import time

import numpy as np
import pytest
from pipeline.stages import Remembers, SlowToEnd, Total, Unruly, as_float, fails_on_13, first_of, remembered

from mlopt.pipeline import Apply, Pipeline, PipelineError

TIMEOUT = 60

pytestmark = pytest.mark.no_emulator


def wait_until(condition):
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < deadline, "what was waited for did not happen"
        time.sleep(0.001)


def kill(pid):
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def killed_at_random(seed, seconds):
    """Runs with deaths at moments drawn by `seed`, until the time is over: outputs, statistics, stages."""
    rng = np.random.default_rng(seed)
    outputs, halt = [], threading.Event()
    stages = Remembers(17, 5), Remembers(11, 13), Total()
    end = time.monotonic() + seconds
    with Pipeline(
        [None, *stages, lambda number, output: outputs.append((number, float(output[0])))],
        inputs=1, workers="processes", queue_capacity=64, checkpoint_every=int(rng.integers(1, 33)), on_error="skip",
    ) as pipeline:  # fmt: skip

        def killer():
            while not halt.wait(float(rng.choice([0.2, 0.6, 1.5])) * float(rng.random())):
                pids = pipeline.worker_pids
                for pid in rng.permutation(pids)[: int(rng.choice([1, 1, 2, 3]))]:
                    kill(int(pid))

        while time.monotonic() < end or not pipeline.statistics["restarts"]:
            pipeline.start()
            halt.clear()
            thread = threading.Thread(target=killer)
            thread.start()
            try:
                for _ in range(int(rng.integers(1, 1500))):
                    number = pipeline.statistics["records_in"]
                    pipeline.push(float(number), timeout=TIMEOUT)
                pipeline.stop(drain=bool(rng.random() < 0.5), timeout=TIMEOUT)
            except PipelineError as error:  # so many deaths that it was given up: it goes on all the same
                assert "ended 5 times" in error.reason  # noqa: PT017
            finally:
                halt.set()
                thread.join(TIMEOUT)
            if pipeline.running:
                with pytest.raises(PipelineError, match="ended 5 times"):
                    pipeline.stop(drain=False, timeout=TIMEOUT)
        pipeline.start()
        pipeline.stop(timeout=TIMEOUT)
        return outputs, pipeline.statistics, stages


def check_killed_at_random(seed, seconds):
    outputs, statistics, stages = killed_at_random(seed, seconds)
    count = statistics["records_in"]
    fresh = Remembers(17, 5), Remembers(11, 13), Total()
    assert outputs == remembered(count, *fresh)
    assert statistics["records_out"] + statistics["without_output"] + statistics["bad"] == count
    assert [stage.get_state() for stage in stages] == [stage.get_state() for stage in fresh]


def test_killed_at_random():
    check_killed_at_random(1, 2.0)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 6))
def test_killed_at_random_for_longer(seed):
    check_killed_at_random(seed, 5.0)


def test_a_death_after_the_end_was_passed_on():
    seen = []
    with Pipeline([np.arange(50.0).reshape(-1, 1), SlowToEnd(), seen], workers="processes") as pipeline:
        pipeline.start()
        wait_until(lambda: len(seen) == 50)
        wait_until(lambda: len(pipeline._runner.queues[0]) == 0)  # the end was released as well
        kill(pipeline.worker_pids[0])
        wait_until(lambda: pipeline.statistics["restarts"] == 1)
        wait_until(lambda: pipeline.worker_pids)
        time.sleep(0.5)  # the second takes as long to end: only its code is asked for
        kill(pipeline.worker_pids[0])
        wait_until(lambda: pipeline.statistics["restarts"] >= 2)
        for _ in range(100):
            if pipeline.worker_pids:
                kill(pipeline.worker_pids[0])
            time.sleep(0.05)
            if not pipeline._runner.workers[0].is_alive():
                break
        with pytest.raises(PipelineError, match="ended 5 times"):
            pipeline.wait(TIMEOUT)
    assert [float(row[0]) for row in seen] == list(range(50))


def test_a_worker_that_died_on_its_way_out_remembers_what_it_had_released():
    seen = []
    total = Total()
    with Pipeline(
        [None, total, seen], inputs=1, workers="processes", queue_capacity=64, checkpoint_every=8
    ) as pipeline:
        pipeline.start()
        for _ in range(20):
            pipeline.push(1.0)
        pipeline.drain(TIMEOUT)
        worker = pipeline._runner.workers[0]
        os.kill(pipeline.worker_pids[0], signal.SIGSTOP)
        # as if it had died between a checkpoint and the release of what that has seen
        worker.checkpoint.save(20, [20.0])
        worker.leave()
        kill(pipeline.worker_pids[0])
        pipeline.stop(drain=False, timeout=TIMEOUT)
        assert total.sum == 20
        pipeline.start()
        for _ in range(5):
            pipeline.push(1.0)
        pipeline.stop(timeout=TIMEOUT)
    assert [float(row[0]) for row in seen] == list(range(1, 26))


def test_what_a_stage_remembers_may_grow():
    stage, seen = Remembers(), []
    with Pipeline([np.arange(5000.0).reshape(-1, 1), stage, seen], workers="processes", on_error="skip") as pipeline:
        pipeline.run()
    assert [float(row[0]) for row in seen] == [total for _, total in remembered(5000, Remembers())]
    assert len(stage.seen) > 4000


def test_a_state_that_cannot_be_kept():
    with (
        Pipeline([np.ones((10, 1)), Unruly(), None], workers="processes") as pipeline,
        pytest.raises(PipelineError, match="what it remembers cannot be kept: OSError: no state today"),
    ):
        pipeline.run()
    assert not pipeline.running


def test_long_reasons_of_the_source_fit_shorter_records():
    told, seen = [], []
    records = [["x" * 40] * 200 if i % 3 == 1 else np.full(200, float(i)) for i in range(60)]
    with Pipeline(
        [records, Apply(first_of, 1), as_float, seen], inputs=200, workers="processes", on_error="skip",
        on_bad=lambda *what: told.append(what),
    ) as pipeline:  # fmt: skip
        pipeline.run()
    assert [number for number, _, _ in told] == list(range(1, 60, 3))
    assert [float(row[0]) for row in seen] == [i for i in range(60) if i % 3 != 1]


@pytest.mark.no_sanitizer  # whose own memory grows
def test_exceptions_do_not_gather_in_a_process():
    with Pipeline(
        [None, fails_on_13, None], inputs=1, workers="processes", on_error="skip", checkpoint_every=1
    ) as pipeline:
        pipeline.start()
        pipeline.push(13.0)
        pipeline.drain(TIMEOUT)
        before = resident(pipeline.worker_pids[0])
        for _ in range(20_000):
            pipeline.push(13.0)
        pipeline.drain(TIMEOUT)
        assert resident(pipeline.worker_pids[0]) - before < 4 << 20
        pipeline.stop(timeout=TIMEOUT)
        assert pipeline.statistics["bad"] == 20_001


def resident(pid):
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
