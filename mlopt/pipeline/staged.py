"""Stages on threads or in processes of their own, with queues between them.

    source ─► feed ─► queue ─► worker ─► queue ─► worker ─► queue ─► collect ─► sink
              thread           thread or process                     thread

The first queue is where back-pressure is decided: a full one makes the source wait, or loses its oldest record.  All
others wait.  The end of a run is a record as well, which every worker passes on before it leaves.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mlopt.concurrent import Histogram, PeerDied, SPSCQueue, now
from mlopt.memory import empty_aligned
from mlopt.pipeline.chain import Chain
from mlopt.pipeline.delivery import Delivery, PipelineError
from mlopt.pipeline.records import DATA, END, FAILED, NOTHING, record_type
from mlopt.pipeline.sources import BLOCK, WAIT, Source, SourceError
from mlopt.pipeline.workers import LEAVE, Group, ProcessGroup, ThreadGroup

__all__ = ["StagedRunner", "abandon"]

SOURCE = -1  # as the number of a stage


class StagedRunner:
    """Feeds the first queue, keeps the workers running, empties the last queue.

    Parameters
    ----------
    source : Source or None
        Of records; None where they are pushed.
    chains : list of Chain
        One a worker.
    delivery : Delivery
        Where records end.
    processes : bool
        Whether workers are processes.
    capacity : int
        Of each queue.
    overflow : str
        Of the first queue.
    checkpoint_every : int
        Records from one checkpoint of a process to the next.
    """

    def __init__(
        self,
        source: Source | None,
        chains: list[Chain],
        groups: list[list[Any]],
        delivery: Delivery,
        processes: bool,
        capacity: int,
        overflow: Literal["block", "drop_oldest"],
        checkpoint_every: int,
    ) -> None:
        self.source, self.chains, self.delivery = source, chains, delivery
        self.number = 0  # of the next record
        self.runs = 0
        self.latency = Histogram()
        self.stopping = threading.Event()  # the source gives no more
        self.leaving = self.over = threading.Event()  # everybody leaves, whatever is on its way
        self.error: BaseException | None = None
        self.source_error: PipelineError | None = None  # the source's last word, behind all that came before it
        self.fault: str | None = None  # of a record that is none, and not in the queue yet
        self.ended = False  # the end of this run is in the queue
        self.lost = 0
        self.closed = False
        self.pid = os.getpid()
        self.pushing = threading.Lock()
        self.joining = threading.Lock()
        self.row = empty_aligned((1, chains[0].inputs), chains[0].input_type)
        relays = processes and overflow != "block"
        if relays:
            # a process holds records until its next checkpoint, which a queue that loses the oldest cannot bear:
            # a thread without stages takes them from one that does, to one that waits
            chains = [Chain([], chains[0].inputs, chains[0].input_type), *chains]
            groups = [[], *groups]
        kinds = [(chain.inputs, chain.input_type) for chain in chains] + [(chains[-1].outputs, chains[-1].output_type)]
        self.queues: list[SPSCQueue] = []
        self.kinds: list[np.dtype[Any]] = []
        for i, (count, dtype) in enumerate(kinds):
            name = f"pipeline-{os.getpid()}-{id(self):x}-{i}" if processes and i >= relays else None
            policy: Literal["block", "drop_oldest"] = overflow if i == 0 else "block"
            kind = record_type(count, dtype)  # queues hold bytes, since overlapping fields cannot be told to others
            self.queues.append(SPSCQueue(kind.itemsize, np.uint8, capacity, name, overflow=policy))
            self.kinds.append(kind)
        between = zip(chains, groups, self.queues, self.queues[1:], strict=False)
        self.workers: list[Group] = [
            ProcessGroup(i, chain, stages, source_queue, target_queue, checkpoint_every, self._fail)
            if processes and i >= relays
            else ThreadGroup(i, chain, stages, source_queue, target_queue, self._fail)
            for i, (chain, stages, source_queue, target_queue) in enumerate(between)
        ]
        self.threads: list[threading.Thread] = []
        self.left: NDArray[Any] | None = None  # of the last queue: acquired, and not delivered yet

    # --- a run -----------------------------------------------------------------------------------

    def start(self) -> None:
        """Everything runs."""
        if os.getpid() != self.pid:
            raise RuntimeError("the pipeline is that of a parent process")
        with self.joining:
            self.runs += 1
            self.error = self.source_error = None
            self.ended = False
            self.stopping.clear()
            self.leaving.clear()
            jobs = [self._collect] if self.source is None else [self._feed, self._collect]
            self.threads = [threading.Thread(target=self._guarded, args=(job,), daemon=True) for job in jobs]
            try:
                for worker in self.workers:
                    worker.start(self.runs)
                for thread in self.threads:
                    thread.start()
            except BaseException:
                self.leave()
                self.threads = [thread for thread in self.threads if thread.ident is not None]
                self._finish(None)
                raise

    def _guarded(self, job: Callable[[], None]) -> None:
        try:
            job()
        except BaseException as error:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        """The first failure ends the run; what is on its way stays in the queues."""
        if self.error is None:
            self.error = error
        self.leave()

    def leave(self) -> None:
        """Everybody leaves after the record they are at."""
        if self.closed or os.getpid() != self.pid:  # a forked child has no part in it
            return
        self.stopping.set()
        self.leaving.set()
        for worker in self.workers:
            worker.leave()

    def is_own_thread(self) -> bool:
        """Whether the caller is called by the pipeline, which it cannot wait for."""
        here = threading.current_thread()
        return here in self.threads or any(here is worker.thread for worker in self.workers)

    def join(self, timeout: float | None) -> bool:
        """Wait until everybody left; whether they did in time."""
        run, end = self.runs, None if timeout is None else time.monotonic() + timeout
        for each in self._everybody():
            each.join(None if end is None else max(0.0, end - time.monotonic()))
            if each.is_alive():
                return False
        with self.joining:  # of several that wait, one; and another run may have begun
            if run == self.runs:
                self._finish(0)
        return True

    def _everybody(self) -> list[threading.Thread | Group]:
        return [*self.threads, *self.workers]

    def _finish(self, timeout: float | None) -> None:
        for each in self._everybody():
            each.join(timeout)
        for worker in self.workers:
            worker.settle()
        self.threads = []
        if self.error is None:
            self.error = self.source_error

    def close(self) -> None:
        """Give everything back.  What the caller's objects keep busy is left to itself."""
        if self.closed or os.getpid() != self.pid:
            return
        self.leave()
        self.join(LEAVE)
        self.closed = True
        for worker in self.workers:
            worker.close()
        self.lost = self.dropped
        queues, self.queues, self.left = self.queues, [], None
        for queue in queues:
            queue.detach()  # takes the name away

    @property
    def dropped(self) -> int:
        """Records that a full first queue has lost."""
        return self.queues[0].dropped if self.queues else self.lost

    # --- the beginning ---------------------------------------------------------------------------

    def _feed(self) -> None:
        assert self.source is not None
        rows: NDArray[Any] | None = None
        while not self.stopping.is_set():
            if self.fault is None:
                try:
                    rows = self.source.take()
                except SourceError as error:
                    self.fault = str(error)
                except Exception as error:  # of an iterable: it has no more
                    self.source_error = PipelineError("source", self.number, f"{type(error).__name__}: {error}")
                    self.source_error.__cause__ = error
                    break
            if self.fault is not None:
                if self._put_failure(self.number, self.fault):
                    self.fault = None
                    self.number += 1
            elif rows is None:
                break
            elif len(rows):
                self.source.taken(self._put(rows, WAIT))
        self.end()

    def _put(self, rows: NDArray[Any], timeout: float) -> int:
        """Rows into the first queue; how many found room."""
        if self.leaving.is_set():
            return 0
        queue = self.queues[0]
        try:
            slots = queue.reserve_many(len(rows), timeout=timeout).view(self.kinds[0])[:, 0]
        except (TimeoutError, PeerDied):  # a worker that died is replaced
            return 0
        count = len(slots)
        slots["number"] = np.arange(self.number, self.number + count)
        slots["time"] = now()
        slots["status"] = DATA
        slots["values"] = rows[:count]
        queue.publish(count)
        self.number += count
        return count

    def push(self, values: tuple[float, ...], timeout: float | None) -> int | None:
        """One record of the caller's; its number, None where the run takes no more."""
        end = None if timeout is None else time.monotonic() + timeout
        if not self.pushing.acquire(timeout=-1 if timeout is None else min(timeout, threading.TIMEOUT_MAX)):
            raise TimeoutError("the first queue is full")
        try:
            self.chains[0].record(values, self.row)
            while True:
                if self.stopping.is_set():
                    return None
                number = self.number
                if self._put(self.row, WAIT if end is None else min(WAIT, max(0.0, end - time.monotonic()))):
                    return number
                if end is not None and time.monotonic() >= end:
                    raise TimeoutError("the first queue is full")
        finally:
            self.pushing.release()

    def _put_failure(self, number: int, reason: str) -> bool:
        text = f"source\0{reason}".encode(errors="replace")

        def fill(slot: NDArray[Any]) -> None:
            slot["status"], slot["stage"] = FAILED, SOURCE
            slot["length"] = min(len(text), slot.dtype["text"].itemsize)
            slot["text"] = text[: slot.dtype["text"].itemsize]

        return self._put_control(number, fill, None)

    def end(self, timeout: float | None = None) -> bool:
        """No more records in this run: the end goes through all queues behind the last one.

        Whether there was room for it in time, or everybody leaves without it.
        """
        end = None if timeout is None else time.monotonic() + timeout

        def fill(slot: NDArray[Any]) -> None:
            slot["status"], slot["stage"] = END, self.runs

        with self.pushing:  # whoever pushes sees that it stops
            # where a full queue drops, the end must not push the oldest record out
            while not self.ended and len(self.queues[0]) >= self.queues[0].capacity and not self.leaving.is_set():
                if end is not None and time.monotonic() >= end:
                    return False
                time.sleep(0.001)
            if not self.ended:
                self.ended = self._put_control(self.number - 1, fill, end)
        return self.ended or self.leaving.is_set()

    def _put_control(self, number: int, fill: Callable[[NDArray[Any]], None], end: float | None) -> bool:
        """A record that is none into the first queue; whether there was room before everybody leaves, or `end`."""
        while not self.leaving.is_set():
            try:
                slot = self.queues[0].reserve(timeout=WAIT).view(self.kinds[0])
            except (TimeoutError, PeerDied):  # a worker that died is replaced
                if end is not None and time.monotonic() >= end:
                    return False
                continue
            slot["number"], slot["time"], slot["length"] = number, now(), 0
            fill(slot)
            self.queues[0].publish()
            return True
        return False

    # --- the end ---------------------------------------------------------------------------------

    def _collect(self) -> None:
        queue, ended = self.queues[-1], False
        while not ended and not self.leaving.is_set():
            if self.left is None:
                try:
                    self.left = queue.acquire_many(BLOCK, timeout=WAIT).view(self.kinds[-1])[:, 0]
                except (TimeoutError, PeerDied):  # a worker that died is replaced
                    continue
            ended = self._deliver(queue, self.left)

    def _deliver(self, queue: SPSCQueue, records: NDArray[Any]) -> bool:
        """Some of the records to the sink; whether the end of this run was among them."""
        status, number, done = int(records["status"][0]), int(records["number"][0]), 0
        try:
            if status == DATA:
                numbers, values, times = records["number"], records["values"], records["time"]
                good = (records["status"] == DATA) & (numbers == np.arange(number, number + len(records)))
                count = len(records) if good.all() else int(np.argmin(good))
                while done < count and not self.leaving.is_set():
                    taken = self.delivery.outputs(number + done, values[done:count])
                    self.latency.record_all(np.maximum(now() - times[done : done + taken], 0))
                    done += taken
                return False
            done = 1  # whoever hears of it, and whatever they make of it
            if status == NOTHING:
                self.delivery.nothing(number)
            elif status == FAILED:
                self._failed(records[0], number)
            return status == END and bool(records["stage"][0] == self.runs)
        finally:
            if done:
                queue.release(done)
                self.left = records[done:] if done < len(records) else None

    def _failed(self, record: Any, number: int) -> None:
        text = record["text"].tobytes()[: int(record["length"])].decode(errors="replace")
        stage, _, reason = text.partition("\0")
        worker = int(record["stage"])
        error = self.workers[worker].error_of(number) if worker != SOURCE else None
        self.delivery.failed(number, stage, reason, error)


def abandon(runner: StagedRunner) -> None:
    """What becomes of a pipeline that was never closed, once nobody can reach it: it is, without waiting for it."""
    runner.leave()
    try:
        threading.Thread(target=runner.close, daemon=True).start()
    except RuntimeError:  # the interpreter ends, and starts no more threads; names and processes go with it
        runner.join(1.0)
