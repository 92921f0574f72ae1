"""Loops over a map in C, for what reading and changing it costs without Python."""
from libc.stdint cimport int64_t, uint64_t

from mlopt.concurrent.map cimport ConcurrentMap


def find_all(ConcurrentMap map not None, const int64_t[::1] keys not None, size_t repeats):
    """The sum, modulo 2**64, of the values of the keys that are there, found one by one, `repeats` times over."""
    cdef size_t _round
    cdef Py_ssize_t i
    cdef int64_t value = 0
    cdef uint64_t total = 0
    with nogil:
        for _round in range(repeats):
            for i in range(keys.shape[0]):
                if map.find_int64(keys[i], &value) == 1:
                    total += <uint64_t>value
    return <int64_t>total


def add_all(ConcurrentMap map not None, const int64_t[::1] keys not None, size_t repeats):
    """1 added to the value of every key, one by one, `repeats` times over."""
    cdef size_t _round
    cdef Py_ssize_t i
    with nogil:
        for _round in range(repeats):
            for i in range(keys.shape[0]):
                map.add_int64(keys[i], 1, NULL)


__all__ = ["add_all", "find_all"]
