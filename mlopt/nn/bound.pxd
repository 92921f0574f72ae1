# What pipelines cimport: a prediction without Python.
from mlopt._kernels.dispatch cimport mlopt_kernels


cdef class Bound:
    cdef object error  # of a prediction that failed

    # One sample from `x` to `out`, which may lie elsewhere than the bound arrays; -1 where `error` says what failed.
    cdef int predict(self, const mlopt_kernels *table, const void *x, void *out) noexcept nogil
