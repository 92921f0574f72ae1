"""Where records come from: tables, iterables, CSV files, queues."""

from __future__ import annotations

import csv
import os
import reprlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mlopt.concurrent import QueueClosed, SPSCQueue
from mlopt.features import Bars
from mlopt.features.bars import find_columns
from mlopt.memory import empty_aligned

__all__ = ["Source", "source_of"]

Rows = NDArray[Any]
BLOCK = 256  # the most records that are taken at once
WAIT = 0.05  # seconds until whoever waits looks around


class SourceError(Exception):
    """A record that is none: what is wrong with it.  Later ones may be fine."""


class Source(Protocol):
    """Rows of numbers, in order.

    `take` looks at what comes next, `taken` says how much of that is done with: what was looked at and not
    taken comes again.
    """

    inputs: int

    def take(self) -> Rows | None:
        """The next rows, at most BLOCK, C-contiguous; none where there are none for a while, None at the end."""

    def taken(self, count: int) -> None:
        """So many of the rows are done with."""

    def close(self) -> None:
        """No more is wanted."""


class TableSource:
    """The rows of an array, without a copy where it is C-contiguous and of the type."""

    def __init__(self, table: Any, dtype: np.dtype[Any]) -> None:
        array = np.asarray(table)
        if array.ndim != 2 or array.shape[1] == 0 or array.dtype.kind not in "fiub":
            raise ValueError(
                f"source must be a table of numbers, shape (records, numbers), not {array.dtype} {array.shape}"
            )
        self.table = np.require(array, dtype, ["C", "A"])
        self.inputs = self.table.shape[1]
        self.position = 0

    def take(self) -> Rows | None:
        rows = self.table[self.position : self.position + BLOCK]
        return rows if len(rows) else None

    def taken(self, count: int) -> None:
        self.position += count

    def close(self) -> None:
        """Nothing to do: the table is the caller's."""


class IterableSource:
    """Records one at a time, as they come: an iterable may wait for each."""

    def __init__(self, records: Iterable[Any], inputs: int, dtype: np.dtype[Any]) -> None:
        self.records: Iterator[Any] = iter(records)
        self.inputs = inputs
        self.row = empty_aligned((1, inputs), dtype)
        self.waiting = False

    def take(self) -> Rows | None:
        if not self.waiting:
            try:
                record = next(self.records)
            except StopIteration:
                return None
            try:
                self._fill(record)
            except (TypeError, ValueError, OverflowError):
                raise SourceError(f"a record must be {self.inputs} numbers, not {reprlib.repr(record)}") from None
            self.waiting = True
        return self.row

    def _fill(self, record: Any) -> None:
        """Copy a record, which NumPy would repeat where it is too short, and read where it is text."""
        if isinstance(record, (str, bytes)) or ((self.inputs > 1 or np.ndim(record)) and len(record) != self.inputs):
            raise ValueError
        self.row[0] = record

    def taken(self, count: int) -> None:
        if count:
            self.waiting = False

    def close(self) -> None:
        """Nothing to do: the iterable is the caller's."""


class CsvSource:
    """The columns of a CSV file, read block by block.

    The first line names the columns; `fields` are looked up in it in any case, or all are taken in their order.
    """

    def __init__(self, path: str | os.PathLike[str], fields: tuple[str, ...] | None, dtype: np.dtype[Any]) -> None:
        self.path = Path(path)
        # what is no UTF-8 makes its own line a bad record, rather than the file unreadable
        self.file = open(self.path, newline="", encoding="utf-8-sig", errors="replace")  # noqa: SIM115 (closed at its end)
        self.reader = csv.reader(self.file)
        try:
            self.names = next(self.reader, [])
            if not any(self.names) or all(map(_is_number, self.names)):
                raise ValueError(f"source: {self.path} must begin with a line that names its columns")
            if fields is None:
                self.columns = list(range(len(self.names)))
            else:
                found = find_columns(self.names, f"source: {self.path}", fields)
                self.columns = [self.names.index(found[field]) for field in fields]
        except BaseException:
            self.file.close()
            raise
        self.inputs = len(self.columns)
        self.block = empty_aligned((BLOCK, self.inputs), dtype)
        self.first = self.end = 0  # of the block's rows, those that are not taken yet
        self.fault: SourceError | None = None  # of the line behind the block

    def take(self) -> Rows | None:
        if self.first == self.end:
            if self.fault is not None:
                fault, self.fault = self.fault, None
                raise fault
            self._read()
            if self.first == self.end:
                return None if self.fault is None else self.take()
        return self.block[self.first : self.end]

    def _read(self) -> None:
        self.first = self.end = 0
        if self.file.closed:
            return
        while True:
            try:
                cells = next(self.reader, None)
                if cells is None:
                    break
                if not cells:
                    continue
                if len(cells) != len(self.names):
                    raise ValueError(f"{len(cells)} cells, expected {len(self.names)}")
                for i, column in enumerate(self.columns):
                    self.block[self.end, i] = float(cells[column])
            except (ValueError, csv.Error) as error:
                self.fault = SourceError(f"{self.path}: line {self.reader.line_num}: {error}")
                return
            self.end += 1
            if self.end == BLOCK:
                return
        self.file.close()

    def taken(self, count: int) -> None:
        self.first += count

    def close(self) -> None:
        """Close the file."""
        self.file.close()


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


class QueueSource:
    """The records of a queue, read in place; each is released when it is through all stages, or in a queue of ours."""

    def __init__(self, queue: SPSCQueue, dtype: np.dtype[Any]) -> None:
        if queue.dtype != dtype or len(queue.shape) != 1:
            raise ValueError(
                f"source must be a queue of records of shape (numbers,) and dtype {dtype}, not {queue.shape} of "
                f"{queue.dtype}"
            )
        self.queue = queue
        self.inputs = queue.shape[0]
        self.rows: Rows | None = None

    def take(self) -> Rows | None:
        if self.rows is None:
            try:
                self.rows = self.queue.acquire_many(BLOCK, timeout=WAIT)
            except QueueClosed:
                return None
            except TimeoutError:
                return np.empty((0, self.inputs), self.queue.dtype)
        return self.rows

    def taken(self, count: int) -> None:
        if count and self.rows is not None:
            self.queue.release(count)
            self.rows = self.rows[count:] if count < len(self.rows) else None

    def close(self) -> None:
        """Nothing to do: the queue is the caller's."""


def source_of(source: Any, inputs: int | None, fields: tuple[str, ...] | None, dtype: np.dtype[Any]) -> Source:
    """The source that an object of a user is.

    Parameters
    ----------
    source : object
        What stands first in the list of stages.
    inputs : int or None
        Numbers that the first stage takes, None where it takes any.
    fields : tuple of str or None
        Their names, where they have names.
    dtype : dtype
        Their type.
    """
    made: Source
    if isinstance(source, SPSCQueue):
        made = QueueSource(source, dtype)
    elif isinstance(source, Bars):
        made = TableSource(source.as_array(), dtype)
    elif isinstance(source, np.ndarray):
        made = TableSource(source, dtype)
    elif isinstance(source, (str, os.PathLike)):
        made = CsvSource(source, fields, dtype)
    elif hasattr(source, "__iter__"):
        if inputs is None:
            raise ValueError("inputs must say how many numbers a record of this source has")
        made = IterableSource(source, inputs, dtype)
    else:
        raise TypeError(
            "stages: the first must be an array, Bars, a path of a CSV file, an SPSCQueue, an iterable of records or "
            f"None, not {type(source).__name__}"
        )
    if inputs is not None and made.inputs != inputs:
        raise ValueError(f"stages: the first takes {inputs} numbers, but a record of the source has {made.inputs}")
    return made
