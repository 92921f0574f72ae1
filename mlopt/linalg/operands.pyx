"""What the products ask of their arguments."""
import operator

cimport numpy as cnp

cnp.import_array()


# Whether the kernels can take the array as it is.
cdef bint fits(cnp.ndarray x) noexcept:
    cdef int i
    cdef ptrdiff_t size = cnp.PyArray_ITEMSIZE(x)
    if not cnp.PyArray_ISALIGNED(x) or not cnp.PyArray_ISNOTSWAPPED(x):
        return False
    for i in range(cnp.PyArray_NDIM(x)):
        if cnp.PyArray_STRIDE(x, i) % size != 0:
            return False
    return True


# The first byte of an array and the one behind its last.
cdef void extent(cnp.ndarray x, char **first, char **end) noexcept:
    cdef int i
    cdef ptrdiff_t reach
    first[0] = cnp.PyArray_BYTES(x)
    end[0] = first[0] + cnp.PyArray_ITEMSIZE(x)
    for i in range(cnp.PyArray_NDIM(x)):
        if cnp.PyArray_DIM(x, i) == 0:
            end[0] = first[0]
            return
        reach = (cnp.PyArray_DIM(x, i) - 1) * cnp.PyArray_STRIDE(x, i)
        if reach < 0:
            first[0] += reach
        else:
            end[0] += reach


# Whether two arrays may have memory in common.
cdef bint overlap(cnp.ndarray x, cnp.ndarray y) noexcept:
    cdef char *x_first
    cdef char *x_end
    cdef char *y_first
    cdef char *y_end
    extent(x, &x_first, &x_end)
    extent(y, &y_first, &y_end)
    return x_first < y_end and y_first < x_end


# Whether two elements of an output may share a place (then NumPy's rules for that hold, not ours).
cdef bint folded(cnp.ndarray x) noexcept:
    cdef int i, j
    cdef ptrdiff_t stride, other
    for i in range(cnp.PyArray_NDIM(x)):
        if cnp.PyArray_DIM(x, i) <= 1:
            continue
        stride = abs(cnp.PyArray_STRIDE(x, i))
        if stride == 0:
            return True
        for j in range(cnp.PyArray_NDIM(x)):
            if j == i or cnp.PyArray_DIM(x, j) <= 1:
                continue
            other = abs(cnp.PyArray_STRIDE(x, j))
            # one of the two dimensions must step over the whole of the other
            if stride < other * cnp.PyArray_DIM(x, j) and other < stride * cnp.PyArray_DIM(x, i):
                return True
    return False


cdef object checked_threads(num_threads):
    try:
        number = operator.index(num_threads)
    except TypeError:
        raise TypeError(f"num_threads must be an integer or None, not {type(num_threads).__name__}") from None
    if not 1 <= number <= 1024:
        raise ValueError(f"num_threads must be between 1 and 1024, not {number}")
    return number
