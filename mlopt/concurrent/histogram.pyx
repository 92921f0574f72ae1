"""Latency histograms with fixed memory, and the clock they are filled from."""
from cpython.number cimport PyNumber_Index
from libc.math cimport ceil

import numpy as np

cimport numpy as cnp

from mlopt._kernels.core cimport slab_acquire_zeroed, slab_release
from mlopt.concurrent.counters cimport thread_index

from mlopt.memory import empty_aligned

cnp.import_array()

SCHEMA = "mlopt.Histogram/1"
cdef object ONE = 1


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

    Memory does not grow with the number or the range of values: every octave is cut into ``2**bits`` cells
    of equal width.  Recording is constant work.  Any number of threads record without waiting for each other, each
    into cells of its own; what is read is the sum over the threads.

    Parameters
    ----------
    bits : int, default 7
        Binary digits that are kept, from 1 to 12.  Values below ``2**(bits + 1)`` are kept exactly, larger
        ones to a relative error of at most ``2**-(bits + 1)`` (0.4 % for 7), with
        ``(64 - bits) * 2**bits`` cells of 8 bytes (58 KB for 7) for the histogram and for each thread that records.

    Raises
    ------
    ValueError
        If `bits` is out of range.

    Notes
    -----
    Recording is wait-free, with or without the GIL, but for a thread's first value: it takes the thread's cells
    from the slab pool (lock-free).  Threads beyond 256 at a time, and those for which there was no memory, share
    cells, by atomic additions.  Recording allocates nothing otherwise.  From Cython, ``record_value(value)`` and
    ``record_time_since(start)`` need no GIL.

    What is read has everything that was recorded before, and any part of what is recorded meanwhile; `snapshot`
    gives a copy whose quantiles, cells and count belong together.

    The cells are laid out as in HdrHistogram (G. Tene).

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
        self.data = mlopt_histogram_new(bits, slab_acquire_zeroed, slab_release)
        if self.data == NULL:
            raise MemoryError(f"no memory for a histogram of {mlopt_histogram_cell_count(bits)} cells")

    def __dealloc__(self):
        mlopt_histogram_delete(self.data)

    cdef void record_value(self, int64_t value) noexcept nogil:
        mlopt_histogram_record(self.data, thread_index(), value if value > 0 else 0, 1)

    cdef int64_t record_time_since(self, int64_t start) noexcept nogil:
        cdef int64_t time = mlopt_clock_now()
        mlopt_histogram_record(self.data, thread_index(), time - start if time > start else 0, 1)
        return time

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
        # the default is recognised by identity, which saves a conversion a call
        cdef int64_t number = PyNumber_Index(value), repeated = 1 if count is ONE else PyNumber_Index(count)
        if number < 0:
            raise ValueError(f"value must be at least 0, not {value}")
        if repeated < 1:
            raise ValueError(f"count must be at least 1, not {count}")
        mlopt_histogram_record(self.data, thread_index(), number, repeated)

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
        mlopt_histogram_record(self.data, thread_index(), time - start if time > start else 0, 1)
        return time

    def record_all(self, const int64_t[:] values):
        """Count every value of an int64 array.

        Raises
        ------
        ValueError
            If one of `values` is negative; nothing is recorded.
        """
        cdef Py_ssize_t i
        cdef unsigned index = thread_index()
        for i in range(values.shape[0]):
            if values[i] < 0:
                raise ValueError(f"values must be at least 0, but values[{i}] is {values[i]}")
        for i in range(values.shape[0]):
            mlopt_histogram_record(self.data, index, values[i], 1)

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
        cdef mlopt_histogram_summary summary
        cdef cnp.ndarray cells
        cdef int64_t rank, start, width
        cdef double middle
        if not 0 <= q <= 1:
            raise ValueError(f"q must be from 0 to 1, not {q}")
        cells = self.read(&summary)
        if summary.count == 0:
            raise ValueError("quantile of a histogram without values")
        rank = <int64_t>ceil(q * summary.count)
        if rank <= 1:
            return float(summary.smallest)
        if rank >= summary.count:
            return float(summary.largest)
        start = mlopt_histogram_cell_start(
            self.data.bits, mlopt_histogram_cell_at(<const int64_t *>cnp.PyArray_DATA(cells), rank), &width
        )
        middle = start + 0.5 * (width - 1)
        return min(max(middle, <double>summary.smallest), <double>summary.largest)

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
        cdef mlopt_histogram_summary summary
        mlopt_histogram_summarise(self.data, &summary)
        return summary.count

    @property
    def min(self):
        """The smallest value, exactly; ValueError where there is none."""
        return self.summary_of_values("min").smallest

    @property
    def max(self):
        """The largest value, exactly; ValueError where there is none."""
        return self.summary_of_values("max").largest

    @property
    def total(self):
        """The sum of the values themselves, not of their cells, as a float."""
        cdef mlopt_histogram_summary summary
        mlopt_histogram_summarise(self.data, &summary)
        return summary.total

    @property
    def mean(self):
        """The mean of the values themselves, not of their cells; ValueError where there is none."""
        cdef mlopt_histogram_summary summary = self.summary_of_values("mean")
        return summary.total / summary.count

    cdef mlopt_histogram_summary summary_of_values(self, str what) except *:
        cdef mlopt_histogram_summary summary
        mlopt_histogram_summarise(self.data, &summary)
        if summary.count == 0:
            raise ValueError(f"{what} of a histogram without values")
        return summary

    cdef object read(self, mlopt_histogram_summary *summary):
        """All cells, added up over the threads, and what goes with them."""
        cells = empty_aligned(mlopt_histogram_cell_count(self.data.bits), np.int64)
        mlopt_histogram_read(self.data, <int64_t *>cnp.PyArray_DATA(<cnp.ndarray>cells), summary)
        return cells

    cdef int add_cells(self, cells, counts, mlopt_histogram_summary *summary) except -1:
        """Count what another histogram counted, into the cells of this thread."""
        cdef const int64_t[:] cell = cells, count = counts
        cdef double total = summary.total  # goes with the first cell
        cdef unsigned index = thread_index()
        cdef Py_ssize_t i
        for i in range(cell.shape[0]):
            mlopt_histogram_add(self.data, index, cell[i], summary.smallest, summary.largest, total, count[i])
            total = 0
        return 0

    def cells(self):
        """The cells that are not empty.

        Returns
        -------
        start, width, count : ndarray of int64
            Cell ``i`` counts the values from ``start[i]`` to ``start[i] + width[i] - 1``.
        """
        cdef mlopt_histogram_summary summary
        counts = self.read(&summary)
        cdef cnp.ndarray[int64_t] filled = np.flatnonzero(counts).astype(np.int64)
        cdef cnp.ndarray[int64_t] starts = np.empty_like(filled), widths = np.empty_like(filled)
        cdef Py_ssize_t i
        for i in range(filled.shape[0]):
            starts[i] = mlopt_histogram_cell_start(self.data.bits, filled[i], &widths[i])
        return starts, widths, counts[filled]

    def merge(self, Histogram other not None):
        """Add the counts of another histogram with the same `bits`.

        Raises
        ------
        ValueError
            If `other` has other `bits`.
        """
        cdef mlopt_histogram_summary summary
        if other.data.bits != self.data.bits:
            raise ValueError(f"other must have bits={self.data.bits}, not {other.data.bits}")
        counts = other.read(&summary)
        filled = np.flatnonzero(counts).astype(np.int64)
        self.add_cells(filled, counts[filled], &summary)

    def snapshot(self):
        """A copy of what is recorded now.

        Other threads may go on recording into this one; the copy does not change, so that its count, cells and
        quantiles belong together.

        Examples
        --------
        >>> from mlopt.concurrent import Histogram
        >>> latency = Histogram()
        >>> latency.record(310)
        >>> before = latency.snapshot()
        >>> latency.record(290)
        >>> before.count, latency.count
        (1, 2)
        """
        copy = Histogram(self.data.bits)
        copy.merge(self)
        return copy

    def clear(self):
        """Forget every value; keep the memory.

        Other threads may record meanwhile: each of their values is forgotten or counted.
        """
        mlopt_histogram_clear(self.data, thread_index())

    def to_dict(self):
        """Everything the histogram knows, ready for :mod:`json`; empty cells are left out."""
        cdef mlopt_histogram_summary summary
        counts = self.read(&summary)
        filled = np.flatnonzero(counts)
        return {
            "schema": SCHEMA,
            "bits": self.data.bits,
            "count": summary.count,
            "min": summary.smallest if summary.count else None,
            "max": summary.largest if summary.count else None,
            "total": summary.total,
            "cells": filled.tolist(),
            "counts": counts[filled].tolist(),
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
        cdef mlopt_histogram_summary summary
        cdef Py_ssize_t cell_count = mlopt_histogram_cell_count(self.data.bits)
        if cells.shape != counts.shape or cells.ndim != 1 or (counts < 1).any() or counts.sum() != count:
            raise ValueError("state's cells and counts must be of one length, the counts positive with sum `count`")
        if count == 0:
            return 0
        if cells.min() < 0 or cells.max() >= cell_count or len(np.unique(cells)) != len(cells):
            raise ValueError(f"state's cells must be distinct and from 0 to {cell_count - 1}")
        if smallest < 0 or (mlopt_histogram_cell_of(self.data.bits, smallest) != <size_t>cells.min()
                            or mlopt_histogram_cell_of(self.data.bits, largest) != <size_t>cells.max()):
            raise ValueError("state's min and max must lie in its first and last cell")
        summary.count, summary.smallest, summary.largest, summary.total = count, smallest, largest, total
        return self.add_cells(cells, counts, &summary)

    def __reduce__(self):
        return Histogram.from_dict, (self.to_dict(),)

    def __repr__(self):
        copy = self.snapshot()
        if copy.count == 0:
            return f"Histogram(bits={self.data.bits}, empty)"
        return (f"Histogram(bits={self.data.bits}, count={copy.count}, median={copy.quantile(0.5):g}, "
                f"p99={copy.quantile(0.99):g}, max={copy.max})")


__all__ = ["Histogram", "now"]
