"""Latency histograms with fixed memory, and the clock they are filled from."""
from cpython.number cimport PyNumber_Index
from libc.math cimport ceil

import numpy as np

cimport numpy as cnp

from mlopt.memory import empty_aligned

cnp.import_array()

SCHEMA = "mlopt.Histogram/1"


def now():
    """Nanoseconds of a clock that never goes back; only differences mean something.

    Returns
    -------
    int

    See Also
    --------
    Histogram.record_since

    Examples
    --------
    >>> from mlopt.concurrent import now
    >>> start = now()
    >>> now() - start >= 0
    True
    """
    return mlopt_clock_now()


cdef class Histogram:
    """Counts of non-negative whole numbers, such as latencies in nanoseconds, in log-linear cells.

    Memory is taken once and does not grow with the number or the range of values: every octave is
    cut into ``2**bits`` cells of equal width.  Recording is constant work and allocates nothing.

    Parameters
    ----------
    bits : int, default 7
        Binary digits that are kept, from 1 to 12.  Values below ``2**(bits + 1)`` are kept exactly, larger
        ones to a relative error of at most ``2**-(bits + 1)`` (0.4 % for 7), with
        ``(64 - bits) * 2**bits`` cells of 8 bytes.

    Raises
    ------
    ValueError
        If `bits` is out of range.

    Notes
    -----
    One thread records at a time.

    Examples
    --------
    >>> from mlopt.concurrent import Histogram
    >>> latency = Histogram()
    >>> for nanoseconds in (310, 290, 305, 4100):
    ...     latency.record(nanoseconds)
    >>> latency.count, latency.max
    (4, 4100)
    >>> abs(latency.quantile(0.5) - 305) <= 305 * latency.relative_error
    True
    """

    def __cinit__(self, int bits=7):
        if not MLOPT_HISTOGRAM_MIN_BITS <= bits <= MLOPT_HISTOGRAM_MAX_BITS:
            raise ValueError(f"bits must be from {MLOPT_HISTOGRAM_MIN_BITS} to {MLOPT_HISTOGRAM_MAX_BITS}, not {bits}")
        self.data.bits = bits
        self.storage = empty_aligned(mlopt_histogram_cell_count(bits), np.int64)
        self.data.cells = <int64_t *>cnp.PyArray_DATA(<cnp.ndarray>self.storage)
        mlopt_histogram_clear(&self.data)

    def record(self, value, count=1):
        """Count a value, `count` times.

        Parameters
        ----------
        value : int
            At least 0.
        count : int, default 1
            At least 1.

        Raises
        ------
        TypeError
            If one of them is no whole number.
        ValueError
            If `value` is negative or `count` not positive; nothing is recorded.
        """
        cdef int64_t number = PyNumber_Index(value), repeated = PyNumber_Index(count)
        if number < 0:
            raise ValueError(f"value must be at least 0, not {value}")
        if repeated < 1:
            raise ValueError(f"count must be at least 1, not {count}")
        mlopt_histogram_record(&self.data, number, repeated)

    def record_since(self, int64_t start):
        """Count the nanoseconds since `start`, a result of :func:`now`, and return the time now.

        What it returns is the start of the next stage, so that a chain of stages reads the clock once
        each.

        Examples
        --------
        >>> from mlopt.concurrent import Histogram, now
        >>> parse, compute = Histogram(), Histogram()
        >>> time = now()
        >>> values = [float(text) for text in "1 2 3".split()]
        >>> time = parse.record_since(time)
        >>> total = sum(values)
        >>> time = compute.record_since(time)
        >>> parse.count, compute.count
        (1, 1)
        """
        cdef int64_t time = mlopt_clock_now()
        mlopt_histogram_record(&self.data, time - start if time > start else 0, 1)
        return time

    def record_all(self, const int64_t[:] values):
        """Count every value of an int64 array.

        Raises
        ------
        ValueError
            If one of `values` is negative; nothing is recorded.
        """
        cdef Py_ssize_t i
        for i in range(values.shape[0]):
            if values[i] < 0:
                raise ValueError(f"values must be at least 0, but values[{i}] is {values[i]}")
        for i in range(values.shape[0]):
            mlopt_histogram_record(&self.data, values[i], 1)

    def quantile(self, double q):
        """The value below or at which a share `q` of the values lies.

        Parameters
        ----------
        q : float
            From 0 to 1.

        Returns
        -------
        float
            Within `relative_error` of ``numpy.quantile(values, q, method="inverted_cdf")``; 0 and 1
            give the exact smallest and largest value.

        Raises
        ------
        ValueError
            If `q` is out of range or nothing was recorded.
        """
        cdef int64_t rank, start, width
        cdef double middle
        if not 0 <= q <= 1:
            raise ValueError(f"q must be from 0 to 1, not {q}")
        if self.data.count == 0:
            raise ValueError("quantile of a histogram without values")
        rank = <int64_t>ceil(q * self.data.count)
        if rank <= 1:
            return float(self.data.smallest)
        if rank >= self.data.count:
            return float(self.data.largest)
        start = mlopt_histogram_cell_start(self.data.bits, mlopt_histogram_cell_at(&self.data, rank), &width)
        middle = start + 0.5 * (width - 1)
        return min(max(middle, <double>self.data.smallest), <double>self.data.largest)

    @property
    def bits(self):
        """Binary digits that are kept of each value."""
        return self.data.bits

    @property
    def relative_error(self):
        """Bound on the relative error of a quantile."""
        return 0.5 ** (self.data.bits + 1)

    @property
    def count(self):
        """How many values were recorded."""
        return self.data.count

    @property
    def min(self):
        """The smallest value, exactly; ValueError where there is none."""
        self.require_values("min")
        return self.data.smallest

    @property
    def max(self):
        """The largest value, exactly; ValueError where there is none."""
        self.require_values("max")
        return self.data.largest

    @property
    def mean(self):
        """The mean of the values themselves, not of their cells; ValueError where there is none."""
        self.require_values("mean")
        return self.data.total / self.data.count

    cdef int require_values(self, str what) except -1:
        if self.data.count == 0:
            raise ValueError(f"{what} of a histogram without values")
        return 0

    def cells(self):
        """The cells that are not empty.

        Returns
        -------
        start, width, count : ndarray of int64
            Cell ``i`` counts the values from ``start[i]`` to ``start[i] + width[i] - 1``.
        """
        cdef cnp.ndarray[int64_t] filled = np.flatnonzero(self.storage).astype(np.int64)
        cdef cnp.ndarray[int64_t] starts = np.empty_like(filled), widths = np.empty_like(filled)
        cdef Py_ssize_t i
        for i in range(filled.shape[0]):
            starts[i] = mlopt_histogram_cell_start(self.data.bits, filled[i], &widths[i])
        return starts, widths, self.storage[filled]

    def merge(self, Histogram other not None):
        """Add the counts of another histogram with the same `bits`.

        Raises
        ------
        ValueError
            If `other` has other `bits`.
        """
        if other.data.bits != self.data.bits:
            raise ValueError(f"other must have bits={self.data.bits}, not {other.data.bits}")
        self.storage += other.storage
        self.data.count += other.data.count
        self.data.total += other.data.total
        self.data.smallest = min(self.data.smallest, other.data.smallest)
        self.data.largest = max(self.data.largest, other.data.largest)

    def clear(self):
        """Forget every value; keep the memory."""
        mlopt_histogram_clear(&self.data)

    def to_dict(self):
        """Everything the histogram knows, ready for :mod:`json`; empty cells are left out."""
        filled = np.flatnonzero(self.storage)
        return {
            "schema": SCHEMA,
            "bits": self.data.bits,
            "count": self.data.count,
            "min": self.data.smallest if self.data.count else None,
            "max": self.data.largest if self.data.count else None,
            "total": self.data.total,
            "cells": filled.tolist(),
            "counts": self.storage[filled].tolist(),
        }

    @staticmethod
    def from_dict(dict state not None):
        """The histogram that `to_dict` described.

        Raises
        ------
        ValueError
            If `state` is not such a dictionary.
        """
        if state.get("schema") != SCHEMA:
            raise ValueError(f"state must have schema {SCHEMA!r}, not {state.get('schema')!r}")
        try:
            histogram = Histogram(state["bits"])
            cells, counts = np.array(state["cells"], np.int64), np.array(state["counts"], np.int64)
            count, total = int(state["count"]), float(state["total"])
            smallest, largest = (int(state["min"]), int(state["max"])) if count else (None, None)
        except (KeyError, TypeError, OverflowError) as error:
            raise ValueError(f"state is not a histogram: {error!r}") from error
        histogram.restore(cells, counts, count, smallest, largest, total)
        return histogram

    cdef int restore(self, cells, counts, int64_t count, smallest, largest, double total) except -1:
        if cells.shape != counts.shape or cells.ndim != 1 or (counts < 1).any() or counts.sum() != count:
            raise ValueError("state's cells and counts must be of one length, the counts positive with sum `count`")
        if count == 0:
            return 0
        if cells.min() < 0 or cells.max() >= len(self.storage) or len(np.unique(cells)) != len(cells):
            raise ValueError(f"state's cells must be distinct and from 0 to {len(self.storage) - 1}")
        if smallest < 0 or (mlopt_histogram_cell_of(self.data.bits, smallest) != <size_t>cells.min()
                            or mlopt_histogram_cell_of(self.data.bits, largest) != <size_t>cells.max()):
            raise ValueError("state's min and max must lie in its first and last cell")
        self.storage[cells] = counts
        self.data.count = count
        self.data.total = total
        self.data.smallest = smallest
        self.data.largest = largest
        return 0

    def __reduce__(self):
        return Histogram.from_dict, (self.to_dict(),)

    def __repr__(self):
        if self.data.count == 0:
            return f"Histogram(bits={self.data.bits}, empty)"
        return (f"Histogram(bits={self.data.bits}, count={self.data.count}, median={self.quantile(0.5):g}, "
                f"p99={self.quantile(0.99):g}, max={self.data.largest})")


__all__ = ["Histogram", "now"]
