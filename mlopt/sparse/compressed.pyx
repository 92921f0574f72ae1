"""Compressed rows: three arrays that fit together."""
import numpy as np

cimport numpy as cnp
from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t

cnp.import_array()

# Elements from which a pass over them outlasts taking the GIL back.
cdef enum:
    RELEASE_GIL = 16384

ctypedef fused index_t:
    int32_t
    int64_t

ctypedef fused bits_t:
    uint32_t
    uint64_t


# The or of the sign bits of numbers that must not be negative has no branches: the compiler makes vectors of it.

# Whether an index is negative or more than the last.
cdef bint any_outside(const bits_t *indices, size_t n, bits_t last) noexcept nogil:
    cdef bits_t signs = 0
    cdef size_t k
    for k in range(n):
        signs |= indices[k] | (last - indices[k])
    return signs >> (8 * sizeof(bits_t) - 1)


# Whether a number is negative or less than the one before it.
cdef bint any_fall(const bits_t *indptr, size_t rows) noexcept nogil:
    cdef bits_t signs = indptr[0]
    cdef size_t i
    for i in range(rows):
        signs |= indptr[i + 1] | (indptr[i + 1] - indptr[i])
    return signs >> (8 * sizeof(bits_t) - 1)


cdef int order_of(const index_t *indices, const index_t *indptr, size_t rows) noexcept nogil:
    cdef size_t i, k, first, n = indptr[rows], falls = 0, repeats = 0
    # over all elements, without branches ...
    for k in range(1, n):
        falls += indices[k] < indices[k - 1]
        repeats += indices[k] == indices[k - 1]
    # ... less what happened from the last element of a row to the first of the next that is not empty
    for i in range(1, rows):
        first = indptr[i]
        if indptr[i - 1] < indptr[i] and first < n:
            falls -= indices[first] < indices[first - 1]
            repeats -= indices[first] == indices[first - 1]
    return UNSORTED if falls else SORTED if repeats else CANONICAL


# A read-only view of the array.
cdef cnp.ndarray locked(cnp.ndarray array):
    if not cnp.PyArray_ISWRITEABLE(array):
        return array
    cdef cnp.ndarray view = (<object>array).view()
    cnp.PyArray_CLEARFLAGS(view, cnp.NPY_ARRAY_WRITEABLE)
    return view


cdef cnp.ndarray _no_data, _no_indices, _no_rows
_no_data, _no_indices, _no_rows = locked(np.zeros(0)), locked(np.zeros(0, np.int32)), locked(np.zeros(1, np.int32))


cdef class CompressedRows:
    """The arrays of a matrix by compressed rows: what products take. Users see :class:`mlopt.sparse.csr_array`."""

    # Takes whatever __init__ takes: without arguments, Cython adds to a null pointer, which sanitizers stop at.
    def __cinit__(self, *args, **kwargs):
        self.take(_no_data, _no_indices, _no_rows, 0, CANONICAL)

    cdef int take(self, cnp.ndarray data, cnp.ndarray indices, cnp.ndarray indptr, size_t columns,
                  int order) except -1:
        self.data, self.indices, self.indptr = locked(data), locked(indices), locked(indptr)
        self.view.rows, self.view.columns = cnp.PyArray_DIM(indptr, 0) - 1, columns
        self.view.values = cnp.PyArray_DATA(data)
        self.view.indices = cnp.PyArray_DATA(indices)
        self.view.indptr = cnp.PyArray_DATA(indptr)
        self.shape = (self.view.rows, self.view.columns)
        self.order = order
        self.plan = None
        return 0

    cdef int check(self) except -1:
        cdef size_t n = cnp.PyArray_DIM(self.indices, 0), rows = self.view.rows
        cdef bint wide = cnp.PyArray_ITEMSIZE(self.indices) == 8, falls, outside
        # indices that the type cannot name are no concern; with no columns, even 0 is outside
        cdef uint64_t last = min(<uint64_t>self.view.columns, <uint64_t>1 << (63 if wide else 31)) - 1
        with nogil:
            if wide:
                falls = any_fall(<const uint64_t *>self.view.indptr, rows)
                outside = any_outside(<const uint64_t *>self.view.indices, n, last)
            else:
                falls = any_fall(<const uint32_t *>self.view.indptr, rows)
                outside = any_outside(<const uint32_t *>self.view.indices, n, <uint32_t>last)
        if falls or self.indptr[0] != 0 or self.indptr[rows] != n:
            refuse_indptr(self.indptr, n)
        if outside:
            refuse_indices(self.indices, self.view.columns)
        return 0

    cdef int ordering(self) noexcept:
        if self.order == UNKNOWN:
            if cnp.PyArray_ITEMSIZE(self.indices) == 8:
                with nogil:
                    self.order = order_of(<const int64_t *>self.view.indices, <const int64_t *>self.view.indptr,
                                          self.view.rows)
            else:
                with nogil:
                    self.order = order_of(<const int32_t *>self.view.indices, <const int32_t *>self.view.indptr,
                                          self.view.rows)
        return self.order


def refuse_indptr(indptr, count):
    """The ValueError for an indptr that is wrong: it says where."""
    if indptr[0] != 0:
        raise ValueError(f"indptr[0] is {indptr[0]}; expected 0")
    falls = np.flatnonzero(indptr[1:] < indptr[:indptr.size - 1])
    if falls.size:
        row = falls[0]
        raise ValueError(f"indptr[{row + 1}] is {indptr[row + 1]}, less than indptr[{row}], which is {indptr[row]}; "
                         "expected numbers that do not fall")
    raise ValueError(f"indptr ends with {indptr[indptr.size - 1]}; expected {count}, the length of indices")


def refuse_indices(indices, columns):
    """The ValueError for an index out of range: it says which."""
    place = np.flatnonzero((indices < 0) | (indices >= columns))[0]
    raise ValueError(f"indices[{place}] is {indices[place]}; expected a number at least 0 and less than {columns}")


__all__ = ["CompressedRows"]
