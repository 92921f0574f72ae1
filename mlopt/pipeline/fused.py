"""All stages in one thread: a block of records from the source through the chain to the sink."""

from __future__ import annotations

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
        # computed, and not dealt with yet: outputs (first, rows), or what calls the delivery
        self.pending: deque[tuple[int, NDArray[Any]] | Callable[[], None]] = deque()

    def run(self) -> bool:
        """Whether the source came to its end."""
        while not self.leaving.is_set():
            if self.pending:
                self._deliver()
                continue
            if self.stopping.is_set():
                return False
            rows = self._take()
            if rows is None:
                return True
            if len(rows):
                self._pass(rows)
        return False

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
