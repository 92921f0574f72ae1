"""Samples over time in memory that does not grow: when it is full, every second one makes room."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Series:
    """Rows of numbers over time, at most `capacity` of them.

    When it is full, two neighbouring rows become one: the younger row stands, but for the columns of `peaks`, of
    which the larger number does.  From then on as many rows as went into one are gathered before one is kept.

    Parameters
    ----------
    columns : iterable of str
        Their names; ``"time"`` is one of its own.
    peaks : iterable of str
        Those of which the largest number counts (latencies), not the last (memory, counts so far).
    capacity : int
        Rows kept, an even number.

    Examples
    --------
    >>> from mlopt.soak.series import Series
    >>> series = Series(["memory", "latency"], peaks=["latency"], capacity=4)
    >>> for second in range(9):
    ...     series.add(second, {"memory": 100 + second, "latency": 10 - second})
    >>> series.times.tolist(), series["memory"].tolist(), series["latency"].tolist()
    ([3.0, 7.0], [103.0, 107.0], [10.0, 6.0])
    """

    def __init__(self, columns: Iterable[str], peaks: Iterable[str] = (), capacity: int = 5000) -> None:
        if capacity < 2 or capacity % 2:
            raise ValueError(f"capacity must be an even number of at least 2, not {capacity}")
        self.columns = tuple(columns)
        self.peaks = tuple(peaks)
        unknown = set(self.peaks) - set(self.columns)
        if unknown:
            raise ValueError(f"peaks must be among the columns, but {', '.join(sorted(unknown))} are not")
        self._at = {name: i + 1 for i, name in enumerate(self.columns)}
        self._peaks = np.array([self._at[name] for name in self.peaks], np.intp)
        self._rows = np.full((capacity, len(self.columns) + 1), np.nan)
        self._count = 0
        self._gathered, self._stride = 0, 1

    def __len__(self) -> int:
        return self._count

    @property
    def times(self) -> NDArray[np.float64]:
        """When each row was, in seconds; a view."""
        return self._rows[: self._count, 0]

    def __getitem__(self, column: str) -> NDArray[np.float64]:
        """A column, NaN where a row had no such number; a view."""
        return self._rows[: self._count, self._at[column]]

    def add(self, time: float, values: Mapping[str, float]) -> None:
        """A row; columns without a value are NaN."""
        if self._count == len(self._rows):
            self._halve()
        row = self._rows[self._count]
        peaks = row[self._peaks] if self._gathered else np.full(len(self._peaks), np.nan)
        row[0] = time
        row[1:] = [values.get(name, np.nan) for name in self.columns]
        row[self._peaks] = np.fmax(row[self._peaks], peaks)
        self._gathered += 1
        if self._gathered == self._stride:
            self._count, self._gathered = self._count + 1, 0

    def _halve(self) -> None:
        older, younger = self._rows[0::2], self._rows[1::2]
        kept = younger.copy()
        kept[:, self._peaks] = np.fmax(older[:, self._peaks], younger[:, self._peaks])
        self._count //= 2
        self._rows[: self._count] = kept
        self._stride *= 2

    def to_dict(self) -> dict[str, Any]:
        """Plain types, ready for :mod:`json`; NaN as None."""

        def plain(values: NDArray[np.float64]) -> list[float | None]:
            return [None if np.isnan(value) else round(float(value), 3) for value in values]

        return {
            "times": plain(self.times),
            "columns": {name: plain(self[name]) for name in self.columns},
            "peaks": list(self.peaks),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Series:
        """The series that `to_dict` described."""
        times = values["times"]
        series = cls(values["columns"], values["peaks"], max(2, len(times) + len(times) % 2))
        for i, time in enumerate(times):
            row = {name: column[i] for name, column in values["columns"].items() if column[i] is not None}
            series.add(time, row)
        return series
