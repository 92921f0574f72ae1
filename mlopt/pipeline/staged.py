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
from mlopt.pipeline.chain import Chain
from mlopt.pipeline.delivery import Delivery, PipelineError
from mlopt.pipeline.records import DATA, END, FAILED, NOTHING, record_type
from mlopt.pipeline.sources import BLOCK, WAIT, Source, SourceError
from mlopt.pipeline.workers import Group, ProcessGroup, ThreadGroup

__all__ = ["StagedRunner"]

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
        self.leaving = threading.Event()  # everybody leaves, whatever is on its way
        self.error: BaseException | None = None
        self.lost = 0
        self.pushing = threading.Lock()
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
        self.runs += 1
        self.error = None
        self.stopping.clear()
        self.leaving.clear()
        for worker in self.workers:
            worker.start(self.runs)
        jobs = [self._collect] if self.source is None else [self._feed, self._collect]
        self.threads = [threading.Thread(target=self._guarded, args=(job,), daemon=True) for job in jobs]
        for thread in self.threads:
            thread.start()

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
        self.stopping.set()
        self.leaving.set()
        for worker in self.workers:
            worker.leave()

    def join(self, timeout: float | None) -> bool:
        """Wait until everybody left; whether they did in time."""
        end = None if timeout is None else time.monotonic() + timeout
        everybody: list[threading.Thread | Group] = [*self.threads, *self.workers]
        for each in everybody:
            each.join(None if end is None else max(0.0, end - time.monotonic()))
            if each.is_alive():
                return False
        for worker in self.workers:
            worker.settle()
        self.threads = []
        return True

    def close(self) -> None:
        """Give everything back."""
        self.left = None
        for worker in self.workers:
            worker.close()
        for queue in self.queues:
            queue.close()
        self.lost = self.dropped
        self.queues.clear()  # the last reference takes the names of those that nobody has read from with it

    @property
    def dropped(self) -> int:
        """Records that a full first queue has lost."""
        return self.queues[0].dropped if self.queues else self.lost

    # --- the beginning ---------------------------------------------------------------------------

    def _feed(self) -> None:
        assert self.source is not None
        while not self.stopping.is_set():
            number = self.number
            try:
                rows = self.source.take()
            except SourceError as error:
                self._put_failure(number, str(error))
                self.number += 1
                continue
            except Exception as error:  # of an iterable: it has no more
                self.end()
                raise PipelineError("source", number, f"{type(error).__name__}: {error}") from error
            if rows is None:
                break
            if len(rows):
                self.source.taken(self._put(rows))
        self.end()

    def _put(self, rows: NDArray[Any]) -> int:
        """Rows into the first queue; how many found room."""
        queue = self.queues[0]
        try:
            slots = queue.reserve_many(len(rows), timeout=WAIT).view(self.kinds[0])[:, 0]
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

    def push(self, row: NDArray[Any], timeout: float | None) -> int:
        """One record of the caller's; its number."""
        end = None if timeout is None else time.monotonic() + timeout
        with self.pushing:
            number = self.number
            while self._put(row) == 0:
                if self.leaving.is_set():
                    raise RuntimeError("the pipeline does not run")
                if end is not None and time.monotonic() >= end:
                    raise TimeoutError("the first queue is full")
        return number

    def _put_failure(self, number: int, reason: str) -> None:
        text = f"source\0{reason}".encode()

        def fill(slot: NDArray[Any]) -> None:
            slot["status"], slot["stage"] = FAILED, SOURCE
            slot["length"] = min(len(text), slot.dtype["text"].itemsize)
            slot["text"] = text[: slot.dtype["text"].itemsize]

        self._put_control(number, fill)

    def end(self) -> None:
        """No more records in this run: the end goes through all queues behind the last one."""

        def fill(slot: NDArray[Any]) -> None:
            slot["status"], slot["stage"] = END, self.runs

        with self.pushing:
            self._put_control(self.number - 1, fill)

    def _put_control(self, number: int, fill: Callable[[NDArray[Any]], None]) -> None:
        queue = self.queues[0]
        while not self.leaving.is_set():
            try:
                slot = queue.reserve(timeout=WAIT).view(self.kinds[0])
            except (TimeoutError, PeerDied):  # a worker that died is replaced
                continue
            slot["number"], slot["time"], slot["length"] = number, now(), 0
            fill(slot)
            queue.publish()
            return

    # --- the end ---------------------------------------------------------------------------------

    def _collect(self) -> None:
        queue = self.queues[-1]
        while not self.leaving.is_set():
            if self.left is None:
                try:
                    self.left = queue.acquire_many(BLOCK, timeout=WAIT).view(self.kinds[-1])[:, 0]
                except (TimeoutError, PeerDied):  # a worker that died is replaced
                    continue
            while self.left is not None and not self.leaving.is_set():
                done, ended = self._deliver(self.left)
                if done:
                    queue.release(done)
                    self.left = self.left[done:] if done < len(self.left) else None
                if ended:
                    return

    def _deliver(self, records: NDArray[Any]) -> tuple[int, bool]:
        """Some of the records to the sink; how many, and whether the end of this run was among them."""
        status, number = int(records["status"][0]), int(records["number"][0])
        if status == DATA:
            numbers = records["number"]
            good = (records["status"] == DATA) & (numbers == np.arange(number, number + len(records)))
            count = len(records) if good.all() else int(np.argmin(good))
            taken = self.delivery.outputs(number, records["values"][:count])
            self.latency.record_all(np.maximum(now() - records["time"][:taken], 0))
            return taken, False
        try:
            if status == NOTHING:
                self.delivery.nothing(number)
            elif status == FAILED:
                self._failed(records[0], number)
        except PipelineError:
            self.queues[-1].release(1)  # it is dealt with: the next run goes on behind it
            self.left = records[1:] if len(records) > 1 else None
            raise
        return 1, status == END and records["stage"][0] == self.runs

    def _failed(self, record: Any, number: int) -> None:
        text = record["text"].tobytes()[: int(record["length"])].decode(errors="replace")
        stage, _, reason = text.partition("\0")
        worker = int(record["stage"])
        error = self.workers[worker].error_of(number) if worker != SOURCE else None
        self.delivery.failed(number, stage, reason, error)
