"""Where outputs go: arrays, lists, functions, queues."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mlopt.concurrent import SPSCQueue
from mlopt.memory import empty_aligned
from mlopt.pipeline.sources import BLOCK, WAIT

__all__ = ["Sink", "sink_of"]

Rows = NDArray[Any]


class Sink(Protocol):
    """Takes outputs in the order of their records' numbers; there may be gaps."""

    def place(self, first: int, count: int) -> Rows:
        """Where the outputs of records from `first` on may be written: at most `count` rows, none where it is full."""

    def put(self, first: int, rows: Rows) -> int:
        """The outputs of records `first` and following, in what `place` gave or elsewhere; how many of them it took."""

    def skip(self, number: int) -> None:
        """The record has no output."""


class Scratch:
    """A sink that has no memory of its own: outputs are written to a block that is used again and again."""

    def __init__(self, outputs: int, dtype: np.dtype[Any]) -> None:
        self.block = empty_aligned((BLOCK, outputs), dtype)

    def place(self, first: int, count: int) -> Rows:
        return self.block[:count]

    def put(self, first: int, rows: Rows) -> int:
        """They are forgotten."""
        return len(rows)

    def skip(self, number: int) -> None:
        """Nothing to do."""


class CallSink(Scratch):
    """Calls ``function(number, output)`` for each output."""

    def __init__(self, function: Any, outputs: int, dtype: np.dtype[Any]) -> None:
        super().__init__(outputs, dtype)
        self.function = function

    def place(self, first: int, count: int) -> Rows:
        return self.block[:1]  # one at a time: the function hears of a record before the next is computed

    def put(self, first: int, rows: Rows) -> int:
        self.function(first, rows[0])
        return 1


class ListSink(Scratch):
    """Appends a copy of each output."""

    def __init__(self, outputs_list: Any, outputs: int, dtype: np.dtype[Any]) -> None:
        super().__init__(outputs, dtype)
        self.append = outputs_list.append
        self.refusal: Exception | None = None

    def put(self, first: int, rows: Rows) -> int:
        if self.refusal is not None:
            refusal, self.refusal = self.refusal, None
            raise refusal
        for i, row in enumerate(rows):
            try:
                self.append(row.copy())
            except Exception as error:
                if i == 0:
                    raise
                self.refusal = error  # told of as that of the first, once those before it are counted
                return i
        return len(rows)


class TableSink:
    """Row i of an array is the output of record i; NaN where there is none."""

    def __init__(self, table: Rows, outputs: int, dtype: np.dtype[Any]) -> None:
        fits = table.ndim == 2 and table.shape[1] == outputs and table.dtype == dtype
        if not (fits and table.flags.c_contiguous and table.flags.aligned):
            raise ValueError(
                f"stages: the array at the end must be C-contiguous, aligned, {dtype}, of shape (records, {outputs}), "
                f"not {table.dtype} {table.shape} with strides {table.strides}"
            )
        if not table.flags.writeable:
            raise ValueError("stages: the array at the end must be writeable")
        self.table = table

    def _check(self, number: int) -> None:
        if number >= len(self.table):
            raise IndexError(f"the array at the end has {len(self.table)} rows, record {number} finds none")

    def place(self, first: int, count: int) -> Rows:
        self._check(first)
        return self.table[first : first + count]

    def put(self, first: int, rows: Rows) -> int:
        self._check(first)
        target = self.table[first : first + len(rows)]
        if target.ctypes.data != rows.ctypes.data:
            target[:] = rows[: len(target)]
        return len(target)

    def skip(self, number: int) -> None:
        self._check(number)
        self.table[number] = np.nan


class QueueSink:
    """Writes into the slots of a queue, in place."""

    def __init__(self, queue: SPSCQueue, outputs: int, dtype: np.dtype[Any]) -> None:
        if queue.shape != (outputs,) or queue.dtype != dtype:
            raise ValueError(
                f"stages: the queue at the end must have shape ({outputs},) and dtype {dtype}, not {queue.shape} of "
                f"{queue.dtype}"
            )
        self.queue = queue

    def place(self, first: int, count: int) -> Rows:
        try:
            return self.queue.reserve_many(count, timeout=WAIT)
        except TimeoutError:
            return np.empty((0, *self.queue.shape), self.queue.dtype)

    def put(self, first: int, rows: Rows) -> int:
        target = self.place(first, len(rows))  # the same slots again where the rows lie there already
        if len(target):
            if target.ctypes.data != rows.ctypes.data:
                target[:] = rows[: len(target)]
            self.queue.publish(len(target))
        return len(target)

    def skip(self, number: int) -> None:
        """Nothing to do."""


def sink_of(sink: Any, outputs: int, dtype: np.dtype[Any]) -> Sink:
    """The sink that an object of a user is: what stands last in the list of stages."""
    if sink is None:
        return Scratch(outputs, dtype)
    if isinstance(sink, SPSCQueue):
        return QueueSink(sink, outputs, dtype)
    if isinstance(sink, np.ndarray):
        return TableSink(sink, outputs, dtype)
    if callable(sink):
        return CallSink(sink, outputs, dtype)
    if hasattr(sink, "append"):
        return ListSink(sink, outputs, dtype)
    raise TypeError(
        "stages: the last must be a function of number and output, an array, a list, an SPSCQueue or None, not "
        f"{type(sink).__name__}"
    )
