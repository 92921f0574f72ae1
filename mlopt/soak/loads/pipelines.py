"""Pipelines: in processes that are killed, on threads that are stopped and started, and fused, record by record."""

from __future__ import annotations

import contextlib
import os
import signal
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlopt.concurrent import Histogram, now
from mlopt.pipeline import Pipeline
from mlopt.soak.ledger import Ledger
from mlopt.soak.loads.base import Load, Setting, add_ledger
from mlopt.soak.loads.stages import Independent, Stages
from mlopt.soak.stream import Bar

COMPARED = 60  # one output in so many, on average, is computed again
STOP_SECONDS = 45.0
KILL_SECONDS = 1.0, 6.0  # from one kill to the next
RUN_SECONDS = 0.2, 1.0  # from a start to a stop
BROKEN = 3000  # the record that a fault is about
COLD_EVERY = 2048
COLD_BYTES = 8 << 20  # read to leave the caches cold


class PipelineLoad(Load):
    """The stream through extractor, scaler and network, with an account of every record at the sink.

    Outputs must come in order and exactly once, bad records be told, both without exception; a random sample of
    outputs is compared, bit for bit, with the stages called one by one.
    """

    niceness = 0

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self.stream = setting.stream()
        self.out, self.bad = Ledger(setting.stream().is_good), Ledger(setting.stream().is_bad)
        self.independent = Independent(setting.stream(), setting.seed)
        self._compare_at = int(self.rng.integers(COMPARED))
        self._wrong = self._compared = 0
        self.pipeline = self.make()

    @abstractmethod
    def make(self) -> Pipeline:
        """The pipeline."""

    def stages(self) -> list[Any]:
        """Extractor, scaler, network, in their first state."""
        stages = Stages.of(self.setting.stream(), self.setting.seed)
        return [stages.extractor, stages.scaler, stages.model]

    def source(self) -> Iterator[Bar]:
        """The stream, which ends when the load is to stop."""
        stopping = self.stopping.is_set
        for bar in self.stream.bars():
            if stopping():
                return
            yield bar

    def sink(self, number: int, output: NDArray[np.float32]) -> None:
        """Take an output into account."""
        fault = self.setting.fault if number == BROKEN else ""
        if fault != "lose":
            self.out.take(number)
        if fault == "repeat":
            self.out.take(number)
        if number >= self._compare_at or fault == "wrong":
            self._compare(number, output + (fault == "wrong"))

    def _compare(self, number: int, output: NDArray[np.float32]) -> None:
        self._compare_at = number + int(self.rng.integers(1, 2 * COMPARED))
        expected = self.independent.output(number)
        self._compared += 1
        if expected is None or expected.tobytes() != output.tobytes():
            self._wrong += 1
            self.note(f"record {number}: {output} instead of {expected}")

    def bad_record(self, number: int, stage: str, reason: str) -> None:
        """Take a record that a stage refused into account."""
        self.bad.take(number)
        if stage != "FeatureExtractor":
            self.error(f"record {number} was refused by {stage}: {reason}")

    def close(self) -> None:
        """Close the accounts and the pipeline."""
        count = self.pipeline.statistics["records_in"]
        self.out.close(count)
        self.bad.close(count)
        self.pipeline.close()

    def work_done(self) -> Mapping[str, int]:
        """Records at the sink, bad ones, outputs compared, the pipeline's own counts, what went wrong."""
        statistics = self.pipeline.statistics
        counters = {
            "records": self.out.received,
            "bad": self.bad.received,
            "compared": self._compared,
            "wrong": self._wrong,
            "restarts": statistics["restarts"],
        }
        return add_ledger(counters, self.out, self.bad)


class Processes(PipelineLoad):
    """A worker process for each stage; one of them is killed every few seconds."""

    name = "processes"
    title = "a pipeline with a process for each stage, one of which is killed every few seconds"

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self._kills = 0

    def make(self) -> Pipeline:
        """In processes."""
        return Pipeline(
            [self.source(), *self.stages(), self.sink], workers="processes", on_error="skip", on_bad=self.bad_record
        )

    def start(self) -> None:
        """Start the pipeline, and who kills."""
        self.pipeline.start()
        self.latency = self.pipeline.latency
        self.spawn("killer", self._kill)

    def _kill(self) -> None:
        while not self.stopping.wait(float(self.rng.uniform(*KILL_SECONDS))):
            pids = self.pipeline.worker_pids
            if pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pids[int(self.rng.integers(len(pids)))], signal.SIGKILL)
                    self._kills += 1

    def finish(self) -> None:
        """Let what is on its way arrive."""
        try:
            self.pipeline.stop(drain=True, timeout=STOP_SECONDS)
        finally:
            self.close()

    def work_done(self) -> Mapping[str, int]:
        """The kills as well."""
        return dict(super().work_done()) | {"kills": self._kills}


class Threads(PipelineLoad):
    """A thread for each stage; stopped, drained and started again and again."""

    name = "threads"
    title = "a pipeline with a thread for each stage, stopped, drained and started again and again"

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self._starts = 0

    def make(self) -> Pipeline:
        """On threads."""
        return Pipeline(
            [self.source(), *self.stages(), self.sink], workers="threads", on_error="skip", on_bad=self.bad_record
        )

    def start(self) -> None:
        """Start who starts and stops."""
        self.latency = self.pipeline.latency
        self.spawn("runs", self._run)

    def _run(self) -> None:
        while not self.stopping.is_set():
            self.pipeline.start()
            self._starts += 1
            self.stopping.wait(float(self.rng.uniform(*RUN_SECONDS)))
            way = int(self.rng.integers(3))
            if way == 0:
                self.pipeline.drain(timeout=STOP_SECONDS)
            self.pipeline.stop(drain=way < 2, timeout=STOP_SECONDS)  # or what is on its way waits for the next start
            if way < 2:
                statistics = self.pipeline.statistics
                dealt_with = statistics["records_out"] + statistics["bad"]
                if dealt_with != statistics["records_in"]:
                    self.error(f"after a drained stop {statistics}")

    def finish(self) -> None:
        """Run once more until all is delivered."""
        try:
            self.pipeline.start()
            self.pipeline.stop(drain=True, timeout=STOP_SECONDS)
        finally:
            self.close()

    def work_done(self) -> Mapping[str, int]:
        """The starts as well."""
        counters = dict(super().work_done())
        counters.pop("restarts")
        return counters | {"starts": self._starts}


class Fused(PipelineLoad):
    """One C call a record, each timed; now and then one on cold caches, timed apart."""

    name = "fused"
    title = "a fused pipeline, record by record; now and then with cold caches"

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self.latency, self.cold = Histogram(), Histogram()
        self._other = np.zeros(COLD_BYTES // 8)

    def make(self) -> Pipeline:
        """Without a source: records are pushed."""
        return Pipeline([None, *self.stages(), None], on_error="skip", on_bad=self.bad_record)

    def start(self) -> None:
        """Start the thread that pushes."""
        self.spawn("pushing", self._push)

    def _push(self) -> None:
        push, latency, cold = self.pipeline.push, self.latency, self.cold
        assert latency is not None
        record, sink = latency.record_since, self.sink
        for number, bar in enumerate(self.source()):
            if number % COLD_EVERY == 0:
                self._other += 1.0
                start = now()
                output = push(*bar)
                cold.record_since(start)
            else:
                start = now()
                output = push(*bar)
                record(start)
            if output is not None:
                sink(number, output)  # type: ignore[arg-type]

    def finish(self) -> None:
        """Close the accounts."""
        self.close()

    def work_done(self) -> Mapping[str, int]:
        """The latencies on cold caches as well, in nanoseconds."""
        counters = dict(super().work_done())
        counters.pop("restarts")
        if self.cold.count:
            counters["cold_median_ns"] = round(self.cold.quantile(0.5))
            counters["cold_p999_ns"] = round(self.cold.quantile(0.999))
        return counters


def fused_step() -> Callable[[], object]:
    """A call that pushes the next bar of a few thousand good ones: what the allocations are counted of."""
    from itertools import cycle

    from mlopt.soak.stream import BarStream, day_shapes

    stream = BarStream(day_shapes(), 1, 1 << 60)
    stages = Stages.of(stream, 1)
    pipeline = Pipeline([None, stages.extractor, stages.scaler, stages.model, None])
    following = cycle(stream.block(0)[0].tolist()).__next__
    return lambda: pipeline.push(*following())
