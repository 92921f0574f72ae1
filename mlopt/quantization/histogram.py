"""A histogram of numbers that come in batches, the same however they are cut into batches."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Histogram:
    """Counts in bins of one width, a power of two, on either side of zero.

    The largest number falls in the upper half of the bins of a side; a larger one doubles the width until it does, and
    pairs of bins become one.  Zero is an edge and widths are powers of two, so that a count is exactly what it would
    have been with the final width from the beginning: nothing is redistributed, and no order of batches matters.
    """

    def __init__(self, bins: int) -> None:
        self.side = 2 * bins  # bins on one side of zero, of which more than a half are in use
        self.exponent: int | None = None  # of the width; None while there are nothing but zeros
        self.counts: NDArray[np.int64] = np.zeros(2 * self.side, np.int64)
        self.count = 0
        self.low, self.high = math.inf, -math.inf

    @property
    def width(self) -> float:
        """The width of a bin."""
        return math.ldexp(1.0, self.exponent or 0)

    def add(self, x: NDArray[np.float32]) -> None:
        """Counts finite numbers."""
        if x.size == 0:
            return
        low, high = float(x.min()), float(x.max())
        reach = max(-low, high)
        if reach > 0:
            exponent = math.frexp(reach)[1] - (self.side.bit_length() - 1)
            if self.exponent is None:
                self.exponent = exponent
            for _ in range(exponent - self.exponent):
                self._double()
        places = np.floor(np.ldexp(x.ravel().astype(np.float64), -(self.exponent or 0))).astype(np.int64)
        self.counts += np.bincount(places + self.side, minlength=2 * self.side)
        self.count += x.size
        self.low, self.high = min(self.low, low), max(self.high, high)

    def _double(self) -> None:
        assert self.exponent is not None
        halves = self.counts.reshape(-1, 2).sum(axis=1)
        self.counts = np.zeros_like(self.counts)
        self.counts[self.side // 2 : 3 * self.side // 2] = halves
        self.exponent += 1

    def occupied(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """The middles of the bins that hold something, and their counts."""
        (places,) = np.nonzero(self.counts)
        middles = np.clip((places - self.side + 0.5) * self.width, self.low, self.high)
        return middles, self.counts[places].astype(np.float64)

    def magnitudes(self) -> NDArray[Any]:
        """Counts of absolute values, from 0 to the largest."""
        both = self.counts[self.side :] + self.counts[: self.side][::-1]
        return both[: int(np.flatnonzero(both)[-1]) + 1].astype(np.float64)

    def quantile(self, share: float) -> float:
        """The number below which a share of all lies, linear within a bin."""
        wanted = share * self.count
        ends = np.cumsum(self.counts)
        place = min(int(np.searchsorted(ends, wanted)), self.counts.size - 1)
        inside = (wanted - (ends[place] - self.counts[place])) / max(int(self.counts[place]), 1)
        inside = float(inside)
        return min(max((place - self.side + min(max(inside, 0.0), 1.0)) * self.width, self.low), self.high)
