# Stages one behind the other.
cimport numpy as cnp
from libc.stdint cimport int64_t

from mlopt._kernels.dispatch cimport mlopt_kernels
from mlopt.pipeline.links cimport ExtractorLink, Outcome


# The most links of a chain.
cdef enum:
    MOST_LINKS = 32


cdef class Chain:
    cdef readonly list links
    cdef readonly Py_ssize_t inputs, outputs
    cdef readonly object input_type, output_type
    cdef readonly cnp.ndarray x, out      # the first link's input, the last one's output
    cdef readonly cnp.ndarray times       # nanoseconds that each stage took of the last record, where it is timed
    cdef readonly bint timed
    cdef int count, failed                # links; the one that failed
    cdef void *link[MOST_LINKS]           # the links again, for code without the GIL
    cdef void *place[MOST_LINKS + 1]      # where the input of each lies, and the last output
    cdef cnp.ndarray buffer
    cdef object out_view
    cdef ExtractorLink extractor          # the first link, where it is one that can run ahead
    cdef Py_ssize_t ahead, ahead_end      # of its rows, those that have not been through the other links

    # One record through all links, from `x` (on a boundary of its type) to `out` or, where that is NULL, to the
    # chain's place.
    cdef Outcome run(self, const mlopt_kernels *table, const void *x, void *out) noexcept nogil
    # The links from number `first` on.
    cdef Outcome run_from(self, int first, const mlopt_kernels *table, const void *x, void *out) noexcept nogil
    # A record of numbers to `x`; TypeError where it is none.
    cdef int write(self, tuple values, void *x) except -1
    # (name, reason) of the link that failed.
    cdef tuple failure(self, const void *x)
    # Its exception, where it is a stage in Python; forgotten here.
    cdef object error(self)
