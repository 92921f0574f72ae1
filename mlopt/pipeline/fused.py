"""All stages in one thread: a block of records from the source through the chain to the sink."""

from __future__ import annotations

import contextvars
import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlopt.pipeline.chain import Chain
from mlopt.pipeline.delivery import Delivery, PipelineError
from mlopt.pipeline.records import DATA, FAILED
from mlopt.pipeline.sources import Source, SourceError

__all__ = ["FusedRunner"]


PATIENCE = 5.0  # seconds for a source or sink that cannot be interrupted


class FusedRunner:
    """Runs the chain over what the source gives, until it ends or somebody says stop.

    Parameters
    ----------
    source : Source or None
        Of records; None where they are pushed.
    chain : Chain
        All stages.
    delivery : Delivery
        Where they end.
    """

    def __init__(self, source: Source | None, chain: Chain, delivery: Delivery) -> None:
        self.source, self.chain, self.delivery = source, chain, delivery
        self.number = 0  # of the next record
        self.stopping = threading.Event()  # the source gives no more
        self.leaving = threading.Event()  # what was computed stays, too, for the next run
        self.over = threading.Event()  # nothing runs
        self.over.set()
        self.owner = -1  # the thread that runs
        self.error: BaseException | None = None  # of a thread's run
        # computed, and not dealt with yet: outputs (first, rows), or what calls the delivery
        self.pending: deque[tuple[int, NDArray[Any]] | Callable[[], None]] = deque()

    def prepare(self) -> None:
        """A run begins."""
        self.error = None
        self.over.clear()
        self.stopping.clear()
        self.leaving.clear()

    def start(self) -> None:
        """A run on a thread of its own, on the tier of whoever starts it."""
        self.prepare()
        context = contextvars.copy_context()
        threading.Thread(target=context.run, args=(self._guarded,), daemon=True).start()

    def _guarded(self) -> None:
        try:
            self._work()
        except BaseException as error:
            self.error = error
        finally:
            self.over.set()

    def run(self) -> None:
        """A run that was prepared, in the caller's thread."""
        try:
            self._work()
        finally:
            self.over.set()

    def leave(self) -> None:
        """End the run after the record it is at."""
        self.stopping.set()
        self.leaving.set()

    def join(self, timeout: float | None) -> bool:
        """Wait for the end of the run; whether it came in time."""
        return self.over.wait(timeout)

    def is_own_thread(self) -> bool:
        """Whether the caller is called by the pipeline, which it cannot wait for."""
        return not self.over.is_set() and self.owner == threading.get_ident()

    def close(self) -> None:
        """No more runs."""
        self.leave()
        if not self.is_own_thread():
            self.join(PATIENCE)

    def _work(self) -> None:
        self.owner = threading.get_ident()
        while not self.leaving.is_set():
            if self.pending:
                self._deliver()
                continue
            if self.stopping.is_set():
                return
            rows = self._take()
            if rows is None:
                return
            if len(rows):
                self._pass(rows)

    def _take(self) -> NDArray[Any] | None:
        assert self.source is not None
        number = self.number
        try:
            return self.source.take()
        except SourceError as error:
            self.number += 1
            self._later(self.delivery.failed, number, "source", str(error), error)
            return np.empty((0, self.source.inputs))
        except Exception as error:  # of an iterable: it has no more
            raise PipelineError("source", number, f"{type(error).__name__}: {error}") from error

    def _pass(self, rows: NDArray[Any]) -> None:
        """Some rows through all stages, at most up to the first that has no output."""
        assert self.source is not None
        delivery, first = self.delivery, self.number
        try:
            place = delivery.sink.place(first, len(rows))
        except Exception as error:
            raise PipelineError("sink", first, f"{type(error).__name__}: {error}") from error
        if len(place) == 0:
            return
        done, outcome = self.chain.run_rows(rows[: len(place)], place)
        self.number += done + (outcome != DATA)
        self.source.taken(done + (outcome != DATA))
        if done:
            self.pending.append((first, place[:done]))
        if outcome == FAILED:
            self._later(delivery.failed, first + done, *self.chain.why())
        elif outcome != DATA:
            self._later(delivery.nothing, first + done)
        self._deliver()

    def _later(self, call: Callable[..., None], *arguments: Any) -> None:
        self.pending.append(partial(call, *arguments))

    def _deliver(self) -> None:
        """To the sink, which may take some; what raises or has to wait stays pending."""
        while self.pending and not self.leaving.is_set():
            entry = self.pending.popleft()
            if callable(entry):
                entry()
                continue
            first, rows = entry
            taken = 0
            try:
                taken = self.delivery.outputs(first, rows)
            finally:
                if taken < len(rows):
                    self.pending.appendleft((first + taken, rows[taken:]))
