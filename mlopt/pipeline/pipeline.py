"""The pipeline: stages in a row, run in one thread, on several, or in processes."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Sequence
from time import monotonic, sleep
from types import TracebackType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mlopt.pipeline.arguments import check_count, check_tables, check_timeout, groups_of, names_of, one_of
from mlopt.pipeline.chain import Chain
from mlopt.pipeline.delivery import Delivery
from mlopt.pipeline.fused import PATIENCE, FusedRunner
from mlopt.pipeline.links import input_of
from mlopt.pipeline.records import DATA, FAILED
from mlopt.pipeline.sinks import sink_of
from mlopt.pipeline.sources import source_of
from mlopt.pipeline.staged import StagedRunner, abandon

__all__ = ["Pipeline"]

WORKERS = ("fused", "threads", "processes")
POLICIES = ("block", "drop_oldest")


class Pipeline:
    """Records from a source through stages to a sink, without copies or allocation between them.

    Parameters
    ----------
    stages : list
        ``[source, stage, ..., sink]``.

        source
            A C-contiguous table (an array of shape (records, numbers), or :class:`mlopt.features.Bars`), the path of
            a CSV file whose first line names the columns, an iterable of records, an
            :class:`mlopt.concurrent.SPSCQueue`, or None where records come by :meth:`push`.
        stage
            :class:`mlopt.features.FeatureExtractor` (of one symbol), :class:`mlopt.features.Scaler` (scales by what it
            was fitted to) or :class:`Learn` of one (learns from every record first), :class:`mlopt.nn.MLP`,
            :class:`mlopt.nn.QuantizedMLP`, or a function ``f(x, out)``, with :class:`Apply` where its output is of
            another size or type than its input.  A list of stages shares a worker.
        sink
            A function ``f(number, output)`` (the output is overwritten by the next), an array of shape
            (records, outputs) whose row i becomes the output of record i, a list that copies are appended to, an
            SPSCQueue, or None.
    workers : {"fused", "threads", "processes"}
        All stages in one thread over one buffer, one C call a record; or each on a thread, or in a process, of its
        own, with queues between.  Stages for processes must be picklable.
    inputs : int, optional
        Numbers of a record, where neither source nor first stage says so.
    queue_capacity : int, default 1024
        Records in each queue.
    overflow : {"block", "drop_oldest"}
        What happens where records come faster than they are done: the source waits, or the oldest record
        that no stage has begun is lost (counted as ``dropped``).  Only between source and first stage; not with
        ``workers="fused"``, where nothing queues.
    on_error : {"raise", "skip"}
        A record that fails ends the run with :class:`PipelineError`, everything before it delivered, and the next run
        goes on behind it; or is counted as ``bad`` and has no output.
    on_bad : callable, optional
        Told ``(record, stage, reason)`` of each that was skipped.
    checkpoint_every : int, default 256
        Records from one checkpoint of a worker's process to the next.
    timed : bool, default False
        Whether :attr:`times` says what each stage took; only with ``workers="fused"``.

    Notes
    -----
    Records are numbered from 0 on, across runs.  Outputs arrive in order and exactly once: a worker's process
    that dies is started again from its last checkpoint and recomputes what came since, without publishing anything
    twice.  (A function with memory of its own takes part where it is an object with ``get_state`` and ``set_state``.)
    What was on its way when a run was left without draining stays in the queues for the next.

    Stages belong to the pipeline while it runs: nobody else may use them, nor another pipeline.  With processes, the
    caller's stages learn what the workers' have learnt when the run has ended.  A pipeline that nobody refers to any
    more is stopped and closed; in a forked child it is of no use.  Workers compute on the tier that
    :func:`mlopt.use_isa` gave the thread that started them.

    Work per record is constant; nothing is allocated after the first few.

    Examples
    --------
    >>> import numpy as np, mlopt
    >>> from mlopt.features import FeatureExtractor, Scaler, sample_bars
    >>> from mlopt.pipeline import Pipeline
    >>> bars = sample_bars()[:600]
    >>> extractor = FeatureExtractor(["return_1", "rsi_14", "sma_20"])
    >>> scaler = Scaler(3).fit(extractor.transform(bars)[20:])
    >>> model = mlopt.nn.MLP((3, 16, 2), rng=0)
    >>> outputs = np.empty((600, 2), np.float32)
    >>> Pipeline([bars, extractor, scaler, model, outputs]).run()["records_out"]
    600
    >>> bool(np.isfinite(outputs[20:]).all())
    True

    Record by record:

    >>> with Pipeline([None, extractor, scaler, model, None]) as pipeline:
    ...     output = pipeline.push(100.0, 101.0, 99.0, 100.5, 1e6)
    >>> output.shape
    (2,)
    """

    def __init__(
        self,
        stages: Sequence[Any],
        *,
        workers: str = "fused",
        inputs: int | None = None,
        queue_capacity: int = 1024,
        overflow: Literal["block", "drop_oldest"] = "block",
        on_error: str = "raise",
        on_bad: Callable[[int, str, str], Any] | None = None,
        checkpoint_every: int = 256,
        timed: bool = False,
    ) -> None:
        self._workers = one_of("workers", workers, WORKERS)
        one_of("overflow", overflow, POLICIES)
        on_error = one_of("on_error", on_error, ("raise", "skip"))
        capacity = check_count("queue_capacity", queue_capacity, 2)
        every = check_count("checkpoint_every", checkpoint_every, 1)
        if workers == "fused" and overflow != "block":
            raise ValueError("overflow='drop_oldest' needs queues: workers='threads' or 'processes'")
        if workers == "processes" and every > capacity // 2:
            raise ValueError(
                f"checkpoint_every must be at most half of queue_capacity={capacity}, not {every}: records stay in "
                "their queue until the checkpoint behind them"
            )
        if timed and workers != "fused":
            raise ValueError("timed=True is for workers='fused'")
        if on_bad is not None and not callable(on_bad):
            raise TypeError(f"on_bad must be callable, not {type(on_bad).__name__}")
        groups = groups_of(stages)
        first, dtype = input_of(groups[0][0])
        dtype = np.dtype(np.float64) if dtype is None else dtype
        if inputs is not None:
            inputs = check_count("inputs", inputs, 1)
            if first is not None and inputs != first:
                raise ValueError(f"inputs must be {first}, which the first stage takes, not {inputs}")
        inputs = first if inputs is None else inputs
        source = None if stages[0] is None else source_of(stages[0], inputs, names_of(groups[0][0]), dtype)
        width = source.inputs if source is not None else inputs
        if width is None:
            raise ValueError("inputs must say how many numbers a record has: neither source nor first stage does")
        if workers == "fused":
            self._chains = [Chain([stage for group in groups for stage in group], width, dtype, timed)]
        else:
            self._chains = []
            for i, group in enumerate(groups):
                wanted = input_of(groups[i + 1][0])[1] if i + 1 < len(groups) else None
                self._chains.append(Chain(group, width, dtype, wanted=wanted))
                width, dtype = self._chains[-1].outputs, self._chains[-1].output_type
        last = self._chains[-1]
        sink = sink_of(stages[-1], last.outputs, last.output_type)
        check_tables(source, sink)
        self._delivery = Delivery(sink, on_error, on_bad)
        self._runner: FusedRunner | StagedRunner
        if workers == "fused":
            self._runner = FusedRunner(source, self._chains[0], self._delivery)
        else:
            self._runner = StagedRunner(
                source, self._chains, groups, self._delivery, workers == "processes", capacity, overflow, every
            )
            self._abandoned = weakref.finalize(self, abandon, self._runner)
        self._source, self._has_sink = source, stages[-1] is not None
        self._pushes = source is None and workers == "fused"  # a record at a time in the caller's thread
        self._lock = threading.RLock()  # a signal handler may stop what it interrupted the start of
        self._runs = 0
        self._running = self._closed = False

    # --- running ---------------------------------------------------------------------------------

    def run(self) -> dict[str, int]:
        """Run until the source ends.

        Returns
        -------
        dict
            :attr:`statistics`.

        Raises
        ------
        PipelineError
            With ``on_error="raise"``, where a record fails; also where the sink raises or a worker cannot be kept
            running.  The pipeline can be run again: it goes on with the record behind.
        """
        runner = self._runner
        if isinstance(runner, FusedRunner):
            self._begin(runner.prepare)
            try:
                runner.run()
            finally:
                self._running = False
            return self.statistics
        self.start()
        try:
            self.wait()
        except BaseException:
            if self._running:  # an interrupt, which does not wait for a source that waits
                runner.leave()
                if runner.join(PATIENCE):
                    self._running = False
            raise
        return self.statistics

    def _begin(self, begin: Callable[[], None]) -> None:
        """Take the pipeline for a run, and begin it."""
        with self._lock:
            if self._closed:
                raise RuntimeError("the pipeline was closed")
            if self._running:
                raise RuntimeError("the pipeline runs already")
            if self._pushes:
                raise RuntimeError("the pipeline has no source to run through: push records, or give it one")
            begin()
            self._runs += 1
            self._running = True

    def start(self) -> None:
        """Run in the background, from the record behind the last one.

        Raises
        ------
        RuntimeError
            If it runs already.
        PipelineError
            If a stage cannot be sent to a process.
        """
        self._begin(self._runner.start)

    def wait(self, timeout: float | None = None) -> None:
        """Wait until the source has ended and every record has been delivered.

        Parameters
        ----------
        timeout : float, optional
            Seconds; for ever by default.

        Raises
        ------
        TimeoutError
            If it takes longer; it runs on.
        PipelineError
            As :meth:`run`.
        """
        timeout = check_timeout(timeout)
        with self._lock:
            runs = self._runs
            if not self._running:
                return
        runner = self._runner
        if runner.is_own_thread():
            raise RuntimeError("the pipeline cannot wait for itself: wait is called by one of its stages or its sink")
        if not runner.join(timeout):
            raise TimeoutError(f"the pipeline still runs after {timeout} s")
        error = runner.error
        with self._lock:
            if self._runs != runs:  # somebody else waited as well, and began another
                return
            self._running = False
        if error is not None:
            raise error

    def stop(self, drain: bool = True, timeout: float | None = None) -> None:
        """Take no more from the source, and end the run.

        Parameters
        ----------
        drain : bool, default True
            Whether records on their way are delivered first; otherwise they stay in the queues for the next run.
        timeout : float, optional
            Seconds; for ever by default.

        Raises
        ------
        TimeoutError
            If it takes longer; the pipeline still runs then.
        PipelineError
            As :meth:`run`.

        Notes
        -----
        A stage, sink or source may call it, too: then it does not wait.  A source that waits for its next record is
        waited for, with or without draining.
        """
        timeout = check_timeout(timeout)
        end, runner = None if timeout is None else monotonic() + timeout, self._runner
        own = runner.is_own_thread()  # it runs then, even where start has not returned yet
        if not own:
            with self._lock:
                if not self._running:
                    return
        runner.stopping.set()
        if not drain:
            runner.leave()
        elif isinstance(runner, StagedRunner) and self._source is None:
            if own:  # which may be what makes room for the end
                threading.Thread(target=runner.end, daemon=True).start()
            elif not runner.end(timeout):
                raise TimeoutError(f"the pipeline still runs after {timeout} s")
        if not own:
            self.wait(None if end is None else max(0.0, end - monotonic()))

    def drain(self, timeout: float | None = None) -> None:
        """Wait until every record taken or pushed so far has been delivered; the run goes on.

        Parameters
        ----------
        timeout : float, optional
            Seconds; for ever by default.

        Raises
        ------
        TimeoutError
            If it takes longer.
        PipelineError
            Where a record failed meanwhile; the run has ended then.
        RuntimeError
            If the run has ended without delivering them.
        """
        timeout = check_timeout(timeout)
        number = self._runner.number
        end = None if timeout is None else monotonic() + timeout
        while self._delivery.done < number:
            if self._runner.over.is_set():
                self.wait()
            waiting = f"{number - self._delivery.done} records are on their way"
            if not self._running and self._delivery.done < number:
                raise RuntimeError(f"{waiting}, and the pipeline does not run")
            if end is not None and monotonic() >= end:
                raise TimeoutError(f"{waiting} after {timeout} s")
            sleep(0.001)

    def push(self, *values: float, timeout: float | None = None) -> NDArray[Any] | int | None:
        """One record of the caller's, where the source is None.

        Parameters
        ----------
        *values : float
            The numbers of the record.
        timeout : float, optional
            With ``workers`` "threads" and "processes": seconds to wait for room; for ever by default.  Fused, a
            queue at the end is waited for as long as it takes.

        Returns
        -------
        ndarray, int or None
            Fused: the output, a read-only view of always the same memory; None where there is none.  Otherwise
            the record's number: the output goes to the sink.

        Raises
        ------
        PipelineError
            With ``on_error="raise"``, where the record fails; stages are as they were before it.
        RuntimeError
            If the pipeline has a source, or, with workers of its own, was not started.
        """
        if self._pushes:
            return self._push_fused(values)
        if self._source is not None:
            raise RuntimeError("push is for a pipeline whose source is None")
        if self._closed:
            raise RuntimeError("the pipeline was closed")
        timeout = check_timeout(timeout)
        runner = self._runner
        assert isinstance(runner, StagedRunner)
        if not self._running:
            raise RuntimeError("push needs a pipeline that was started")
        number = runner.push(values, timeout)
        if number is None:
            if runner.error is not None:
                self.wait()  # which says why nothing runs any more
            raise RuntimeError("push needs a pipeline that runs: this one stops")
        return number

    def _push_fused(self, values: tuple[float, ...]) -> NDArray[Any] | None:
        runner, chain = self._runner, self._chains[0]
        outcome = chain.push(values)
        number = runner.number
        runner.number += 1
        if outcome == DATA:
            output: NDArray[Any] = chain.output()
            if not self._has_sink:
                self._delivery.out += 1
                self._delivery.done = number + 1
            else:
                while self._delivery.outputs(number, output.reshape(1, -1)) == 0:
                    pass  # a full queue, which it waited for
            return output
        if outcome == FAILED:
            self._delivery.failed(number, *chain.why())
        else:
            self._delivery.nothing(number)
        return None

    # --- what is known ---------------------------------------------------------------------------

    @property
    def statistics(self) -> dict[str, int]:
        """Counts since the beginning.

        ``records_in`` taken from the source or pushed, ``records_out`` delivered with an output,
        ``without_output`` (a stage had none), ``bad`` (skipped failures), ``dropped`` (by a full first queue),
        ``restarts`` (of workers' processes).
        """
        staged = self._runner if isinstance(self._runner, StagedRunner) else None
        return {
            "records_in": self._runner.number,
            "records_out": self._delivery.out,
            "without_output": self._delivery.without_output,
            "bad": self._delivery.bad,
            "dropped": staged.dropped if staged else 0,
            "restarts": sum(worker.restarts for worker in staged.workers) if staged else 0,
        }

    @property
    def running(self) -> bool:
        """Whether it was started and not waited for or stopped."""
        return self._running

    @property
    def latency(self) -> Any:
        """With workers of their own: nanoseconds of each record from the source to the sink, a Histogram."""
        if not isinstance(self._runner, StagedRunner):
            raise AttributeError("latency is kept with workers='threads' and 'processes'")
        return self._runner.latency

    @property
    def times(self) -> NDArray[np.int64]:
        """With ``timed=True``: nanoseconds that each stage took of the last record, overwritten by the next.

        Conversions between types that stand between stages are entries, too.
        """
        if not self._chains[0].timed:
            raise AttributeError("times are kept with timed=True")
        return self._chains[0].times

    def output_of(self, stage: int) -> NDArray[Any]:
        """Where a stage leaves its output, overwritten by the next record; with ``workers="fused"``.

        Parameters
        ----------
        stage : int
            0 for the first; conversions between types that stand between stages count, too.
        """
        if self._workers != "fused":
            raise RuntimeError("output_of is for workers='fused': elsewhere outputs lie in queues")
        chain = self._chains[0]
        if not 0 <= check_count("stage", stage, 0) < len(chain.links):
            raise ValueError(f"stage must be from 0 to {len(chain.links) - 1}, not {stage}")
        return chain.output_of(stage)

    @property
    def worker_pids(self) -> list[int]:
        """Of the workers' processes that run."""
        workers = self._runner.workers if isinstance(self._runner, StagedRunner) else []
        return [worker.pid for worker in workers if worker.pid is not None]

    def close(self) -> None:
        """Stop without draining, and give queues and processes back: the pipeline cannot be started again.

        A stage, sink or source that does not come back within 5 s is left behind, with its thread.
        """
        with self._lock:
            if self._closed:
                return
            self._closed, self._pushes = True, False
        runner = self._runner
        if isinstance(runner, FusedRunner):
            runner.close()
        else:
            self._abandoned.detach()
            abandon(runner) if runner.is_own_thread() else runner.close()
        self._running = False
        if self._source is not None:
            self._source.close()

    def __enter__(self) -> Pipeline:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        names = " - ".join(link.name for chain in self._chains for link in chain.links)
        return f"Pipeline({names}, {self._workers})"
