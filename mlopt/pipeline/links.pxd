# A stage of a pipeline as a call of C.
cimport numpy as cnp

from mlopt._kernels.dispatch cimport mlopt_kernels
from mlopt.features.extractor cimport FeatureExtractor, mlopt_bar_fault


# What became of a record.
cdef enum Outcome:
    DONE     # the output is there
    NOTHING  # the stage has none for this record
    FAILED   # `reason` says why


cdef class Link:
    cdef readonly object stage                    # the caller's object
    cdef readonly str name
    cdef readonly Py_ssize_t inputs, outputs      # numbers of a record before and behind it
    cdef readonly object input_type, output_type  # their dtypes
    cdef void *own_output                         # where the stage itself keeps its output, NULL where nowhere
    cdef object error                             # of a stage in Python: the exception

    # `x` and `out` are on boundaries of their types, and do not overlap.
    cdef Outcome run(self, const mlopt_kernels *table, const void *x, void *out) noexcept nogil
    # After FAILED, with the same `x`.
    cdef str reason(self, const void *x)


cdef class ExtractorLink(Link):
    cdef FeatureExtractor extractor
    cdef mlopt_bar_fault fault
    cdef cnp.ndarray bars, block, workspace  # bars that were taken at once, their features

    # As many bars, `stride` bytes apart, as can be taken at once, 0 where that does not pay; `row` has their features.
    cdef Py_ssize_t run_ahead(self, const mlopt_kernels *table, const char *bars, Py_ssize_t stride,
                              Py_ssize_t count) noexcept nogil
    cdef const double *row(self, Py_ssize_t i) noexcept nogil
