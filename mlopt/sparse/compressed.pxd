# Compressed rows: three arrays that fit together, and the C view of them that the kernels read.
cimport numpy as cnp


cdef extern from "sparse/sparse.h" nogil:
    ctypedef struct mlopt_csr:
        size_t rows
        size_t columns
        const void *indptr
        const void *indices
        const void *values


# How the indices lie within each row.
cdef enum:
    UNKNOWN = -1
    UNSORTED = 0
    SORTED = 1     # they never fall
    CANONICAL = 2  # they rise: no column twice


cdef class CompressedRows:
    cdef readonly tuple shape
    # read-only; contiguous, aligned, of the machine's byte order; indices and indptr of one type
    cdef readonly cnp.ndarray data, indices, indptr
    cdef mlopt_csr view
    cdef object plan  # what the products remember
    cdef int order    # asked for by `ordering`
    cdef object __weakref__

    # Take arrays as they are: contiguous, aligned, native, indices and indptr of one type, lengths that fit.
    # What they hold must be right already, or be looked at by `check`.
    cdef int take(self, cnp.ndarray data, cnp.ndarray indices, cnp.ndarray indptr, size_t columns,
                  int order) except -1

    # Whether indptr rises from 0 to the number of elements and every index is less than the columns: ValueError.
    cdef int check(self) except -1

    # UNSORTED, SORTED or CANONICAL.
    cdef int ordering(self) noexcept
