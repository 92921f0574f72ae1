"""The quantiles of what a histogram has counted since they were last asked for."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mlopt.concurrent import Histogram

QUANTILES = {"median": 0.5, "p99": 0.99, "p999": 0.999, "max": 1.0}


class Intervals:
    """A histogram that others record into, seen interval by interval.

    Parameters
    ----------
    histogram : Histogram
        Of nanoseconds.

    Examples
    --------
    >>> from mlopt.concurrent import Histogram
    >>> from mlopt.soak.intervals import Intervals
    >>> latency = Histogram()
    >>> intervals = Intervals(latency)
    >>> latency.record(100, count=99)
    >>> latency.record(5, count=99)
    >>> intervals.quantiles()["median"], intervals.quantiles()
    (5.0, {})
    >>> latency.record(120)
    >>> intervals.quantiles()["max"]
    120.0
    """

    def __init__(self, histogram: Histogram) -> None:
        self._histogram = histogram
        self._starts: NDArray[np.int64] = np.empty(0, np.int64)
        self._counts: NDArray[np.int64] = np.empty(0, np.int64)

    def quantiles(self) -> dict[str, float]:
        """By name, each the middle of its cell; none where nothing was counted."""
        starts, widths, counts = self._histogram.cells()
        before = np.zeros_like(counts)
        before[np.searchsorted(starts, self._starts)] = self._counts  # no cell is emptied
        self._starts, self._counts = starts, counts
        risen = np.cumsum(counts - before)
        if not len(risen) or risen[-1] <= 0:
            return {}
        ranks = np.ceil(np.array(list(QUANTILES.values())) * risen[-1])
        cells = np.searchsorted(risen, np.maximum(ranks, 1))
        values = starts[cells] + (widths[cells] - 1) / 2
        return dict(zip(QUANTILES, values.tolist(), strict=True))
