"""Dense arrays of float32 and float64 looked at for zeros: how many there are, and what is left without them."""
import numpy as np

cimport numpy as cnp
from libc.stdint cimport INT32_MAX, int32_t, int64_t

from mlopt._kernels.core cimport current_table
from mlopt.linalg.operands cimport fits
from mlopt.memory.aligned cimport aligned_array
from mlopt.sparse.calls cimport (
    mlopt_call_count_nonfinite,
    mlopt_call_count_nonzero,
    mlopt_call_store_nonzero,
    mlopt_sparse_types,
)

cnp.import_array()

# The first guess of how many elements are not zero: one in so many.
cdef size_t GUESS = 32
# Shares of the memory taken that the elements must fill, or they are copied.
cdef double KEPT_SHARE = 0.75


cdef bint is_real(cnp.ndarray x) noexcept:
    cdef int type_num = cnp.PyArray_TYPE(x)
    return (type_num == cnp.NPY_FLOAT or type_num == cnp.NPY_DOUBLE) and fits(x)


# Rows of elements side by side: their number, length and step in bytes; False where the array has none.
cdef bint as_rows(cnp.ndarray x, size_t *rows, size_t *length, ptrdiff_t *step) noexcept:
    rows[0], length[0], step[0] = 1, cnp.PyArray_SIZE(x), 0
    if cnp.PyArray_IS_C_CONTIGUOUS(x) or cnp.PyArray_IS_F_CONTIGUOUS(x):
        return True
    if cnp.PyArray_NDIM(x) != 2 or cnp.PyArray_STRIDE(x, 1) != cnp.PyArray_ITEMSIZE(x):
        return False
    rows[0], length[0], step[0] = cnp.PyArray_DIM(x, 0), cnp.PyArray_DIM(x, 1), cnp.PyArray_STRIDE(x, 0)
    return True


cdef mlopt_sparse_types types_of(cnp.ndarray x) except *:
    cdef mlopt_sparse_types types
    types.table, types.is_f64, types.is_long = current_table(), cnp.PyArray_TYPE(x) == cnp.NPY_DOUBLE, False
    return types


def count_nonzero(cnp.ndarray x not None):
    """How many elements of an array are not 0; NaN is not.

    Parameters
    ----------
    x : ndarray
        Real numbers.

    Returns
    -------
    int
        Exact.
    """
    cdef size_t rows, length, count = 0, i
    cdef ptrdiff_t step
    cdef mlopt_sparse_types types
    cdef const char *at = <const char *>cnp.PyArray_DATA(x)
    if not is_real(x) or not as_rows(x, &rows, &length, &step):
        return int(np.count_nonzero(x))
    types = types_of(x)
    with nogil:
        for i in range(rows):
            count += mlopt_call_count_nonzero(&types, length, at + <ptrdiff_t>i * step)
    return count


def all_finite(cnp.ndarray x not None):
    """Whether an array has neither NaN nor infinities.

    Parameters
    ----------
    x : ndarray
        Real numbers.

    Returns
    -------
    bool
        In pieces: what is behind the first piece with one is not looked at.
    """
    cdef size_t rows, length, i, k, piece, found = 0
    cdef ptrdiff_t step
    cdef mlopt_sparse_types types
    cdef const char *at = <const char *>cnp.PyArray_DATA(x)
    cdef size_t itemsize = cnp.PyArray_ITEMSIZE(x)
    if not is_real(x) or not as_rows(x, &rows, &length, &step):
        return bool(np.isfinite(x).all())
    types = types_of(x)
    with nogil:
        for i in range(rows):
            k = 0
            while k < length and found == 0:
                piece = min(length - k, <size_t>4096)
                found = mlopt_call_count_nonfinite(&types, piece, at + <ptrdiff_t>i * step + k * itemsize)
                k += piece
            if found > 0:
                break
    return found == 0


cdef cnp.ndarray longer(cnp.ndarray x, size_t used, cnp.npy_intp length):
    cdef cnp.ndarray result = aligned_array(1, &length, cnp.PyArray_TYPE(x), False)
    result[:used] = x[:used]
    return result


def nonzero_rows(cnp.ndarray a not None, size_t guess=0):
    """A dense matrix by compressed rows, without its zeros.

    Parameters
    ----------
    a : ndarray, shape (m, n)
        float32 or float64; another order than C is copied first.
    guess : int, optional
        How many elements are not 0, where that is known about.

    Returns
    -------
    data, indices, indptr : ndarray
        Indices of 32 bits where they are enough.

    Notes
    -----
    One pass over `a`; the arrays grow by half where the guess was too low.
    """
    cdef bint has_rows = cnp.PyArray_STRIDE(a, 1) == cnp.PyArray_ITEMSIZE(a) and fits(a)
    cdef cnp.ndarray given = a if has_rows else np.array(a, order="C")
    cdef size_t rows = cnp.PyArray_DIM(given, 0), columns = cnp.PyArray_DIM(given, 1), i = 0, count = 0, room
    if columns > INT32_MAX:
        raise ValueError(f"a has {columns} columns; expected fewer than 2**31")
    cdef cnp.npy_intp capacity = (guess if guess > 0 else rows * columns // GUESS) + columns, ends = rows + 1
    cdef cnp.ndarray data = aligned_array(1, &capacity, cnp.PyArray_TYPE(given), False)
    cdef cnp.ndarray indices = aligned_array(1, &capacity, cnp.NPY_INT32, False)
    cdef cnp.ndarray indptr = aligned_array(1, &ends, cnp.NPY_INT64, False)
    cdef int64_t *end = <int64_t *>cnp.PyArray_DATA(indptr)
    cdef int32_t *to_indices
    cdef char *to_data
    cdef const char *at = <const char *>cnp.PyArray_DATA(given)
    cdef ptrdiff_t step = cnp.PyArray_STRIDE(given, 0)
    cdef size_t itemsize = cnp.PyArray_ITEMSIZE(given)
    cdef mlopt_sparse_types types = types_of(given)
    end[0] = 0
    while True:
        to_indices, to_data = <int32_t *>cnp.PyArray_DATA(indices), <char *>cnp.PyArray_DATA(data)
        room = capacity
        with nogil:
            while i < rows and room - count >= columns:
                count += mlopt_call_store_nonzero(&types, columns, at + <ptrdiff_t>i * step, to_indices + count,
                                                  to_data + count * itemsize)
                i += 1
                end[i] = <int64_t>count
        if i == rows:
            break
        capacity = max(capacity + capacity // 2, <cnp.npy_intp>(count + columns))
        data, indices = longer(data, count, capacity), longer(indices, count, capacity)
    data, indices = data[:count], indices[:count]
    if count < KEPT_SHARE * capacity:
        data, indices = data.copy(), indices.copy()
    if count <= INT32_MAX and rows <= INT32_MAX:
        indptr = indptr.astype(np.int32)
    else:
        indices = indices.astype(np.int64)
    return data, indices, indptr


__all__ = ["all_finite", "count_nonzero", "nonzero_rows"]
