"""Counting in a loop in C: what one addition or recording costs without Python around it."""
from libc.stdint cimport int64_t

from mlopt.concurrent.counters cimport Counter, mlopt_cells_add, thread_index
from mlopt.concurrent.histogram cimport Histogram, mlopt_clock_now


def time_counter_add(Counter counter not None, Py_ssize_t calls):
    """Nanoseconds that `calls` additions take, each by the method that other Cython modules call."""
    cdef Py_ssize_t _i
    cdef int64_t start
    with nogil:
        start = mlopt_clock_now()
        for _i in range(calls):
            counter.add(1)
        start = mlopt_clock_now() - start
    return start


def time_cell_add(Counter counter not None, Py_ssize_t calls):
    """Nanoseconds that `calls` additions take where the thread's index is asked for once, before the loop."""
    cdef Py_ssize_t _i
    cdef int64_t start
    cdef unsigned index = thread_index()
    with nogil:
        start = mlopt_clock_now()
        for _i in range(calls):
            mlopt_cells_add(counter.cells, index, 1)
        start = mlopt_clock_now() - start
    return start


def time_histogram_record(Histogram histogram not None, Py_ssize_t calls):
    """Nanoseconds that `calls` recordings of values around 1000 take, each by the method of the .pxd."""
    cdef Py_ssize_t i
    cdef int64_t start
    with nogil:
        start = mlopt_clock_now()
        for i in range(calls):
            histogram.record_value(1000 + (i & 63))
        start = mlopt_clock_now() - start
    return start


__all__ = ["time_cell_add", "time_counter_add", "time_histogram_record"]
