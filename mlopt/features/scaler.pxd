# What pipelines cimport: a scaler that takes a vector without Python.
cimport numpy as cnp

from mlopt._kernels.dispatch cimport mlopt_kernels

ctypedef fused real:
    float
    double


cdef class Scaler:
    cdef readonly Py_ssize_t features
    cdef readonly str method
    cdef readonly tuple quantile_range
    cdef int kind  # the method
    cdef cnp.ndarray scales
    # rows: count, mean, sum of squared deviations, smallest, largest, median, distance of the quantiles
    cdef cnp.ndarray statistics
    cdef double *count
    cdef double *mean
    cdef double *smallest
    cdef double *largest
    cdef double *median
    cdef double *distance
    cdef double *shift  # what transform subtracts and divides by, made from the statistics when needed
    cdef double *span
    cdef bint stale     # whether they are to be made anew: a flag of atomics.h

    # Takes rows of finite numbers or NaN into the statistics; not for "robust".
    cdef void learn(self, const mlopt_kernels *table, const double *x, Py_ssize_t rows) noexcept nogil
    # Brings shift and span up to date where they are stale, before `scale`.
    cdef void rescale(self, const mlopt_kernels *table) noexcept nogil
    cdef void scale(self, const double *x, real *out, Py_ssize_t rows, bint back) noexcept nogil

    cdef Py_ssize_t check_numbers(self, x) except -1
    cdef quantiles(self, x)
    cdef convert(self, x, out, bint back)
    cdef Py_ssize_t check(self, x, str name, bint may_be_f32) except -1
