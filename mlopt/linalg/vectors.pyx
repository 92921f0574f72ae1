"""Scalar products and scaled updates of vectors."""
import numpy as np

cimport numpy as cnp

from mlopt._kernels.core cimport current_table, slab_acquire, slab_release
from mlopt._kernels.dispatch cimport mlopt_kernels

cnp.import_array()

cdef extern from "pieces.h" nogil:
    enum:
        MLOPT_VECTOR_PIECE
    ctypedef struct mlopt_strided:
        char *data
        ptrdiff_t stride
        bint is_f64
    float mlopt_dot_pieces_f32(const mlopt_kernels *, size_t, const mlopt_strided *, const mlopt_strided *, float *)
    double mlopt_dot_pieces_f64(const mlopt_kernels *, size_t, const mlopt_strided *, const mlopt_strided *, double *)
    void mlopt_axpy_pieces_f32(const mlopt_kernels *, size_t, float, const mlopt_strided *, const mlopt_strided *,
                               float *)
    void mlopt_axpy_pieces_f64(const mlopt_kernels *, size_t, double, const mlopt_strided *, const mlopt_strided *,
                               double *)

# Elements from which the GIL is released.
cdef Py_ssize_t RELEASE_LENGTH = 16384


# A contiguous vector of the machine's own float or double: its type, else -1.
cdef inline int vector_type(object x) noexcept:
    cdef int type_num
    if not cnp.PyArray_CheckExact(x):
        return -1
    type_num = cnp.PyArray_TYPE(<cnp.ndarray>x)
    if (type_num == cnp.NPY_DOUBLE or type_num == cnp.NPY_FLOAT) and cnp.PyArray_NDIM(<cnp.ndarray>x) == 1 \
            and cnp.PyArray_ISCARRAY_RO(<cnp.ndarray>x):
        return type_num
    return -1


# Whether it is a vector of the machine's own floats or doubles, with any stride.
cdef inline bint is_vector(object x) noexcept:
    return (isinstance(x, cnp.ndarray) and not isinstance(x, np.ma.MaskedArray)
            and cnp.PyArray_NDIM(<cnp.ndarray>x) == 1
            and cnp.PyArray_TYPE(<cnp.ndarray>x) in (cnp.NPY_FLOAT, cnp.NPY_DOUBLE)
            and cnp.PyArray_ISBEHAVED_RO(<cnp.ndarray>x))


cdef inline mlopt_strided strided(cnp.ndarray x):
    return mlopt_strided(cnp.PyArray_BYTES(x), cnp.PyArray_STRIDE(x, 0), cnp.PyArray_TYPE(x) == cnp.NPY_DOUBLE)


# Two buffers of a piece, for slab_release.
cdef void *piece_buffers() except NULL:
    cdef void *buffers = slab_acquire(2 * MLOPT_VECTOR_PIECE * sizeof(double))
    if buffers == NULL:
        raise MemoryError("no memory for the buffers of strided vectors")
    return buffers


cdef object dot_pieces(cnp.ndarray x, cnp.ndarray y):
    """The product of vectors of any strides, in the wider of their types."""
    cdef mlopt_strided left = strided(x), right = strided(y)
    cdef const mlopt_kernels *table = current_table()
    cdef size_t n = cnp.PyArray_DIM(x, 0)
    cdef bint is_f64 = left.is_f64 or right.is_f64
    cdef float sum_f32 = 0
    cdef double sum_f64 = 0
    cdef void *buffers = piece_buffers()
    with nogil:
        if is_f64:
            sum_f64 = mlopt_dot_pieces_f64(table, n, &left, &right, <double *>buffers)
        else:
            sum_f32 = mlopt_dot_pieces_f32(table, n, &left, &right, <float *>buffers)
    slab_release(buffers)
    return np.float64(sum_f64) if is_f64 else np.float32(sum_f32)


def dot(x, y):
    """Scalar product of two vectors.

    Vectors of float32 or float64, of any strides and of either type, from any object with the buffer
    protocol, are multiplied by this library's kernel; everything else goes to :func:`numpy.dot`.

    Parameters
    ----------
    x, y : array_like
        The vectors.

    Returns
    -------
    scalar
        ``sum(x * y)``, of the wider of the operands' types; what :func:`numpy.dot` returns for other input.

    Raises
    ------
    ValueError
        If the lengths differ.

    Notes
    -----
    The error is at most ``24 * eps * sum(abs(x * y))`` whatever the length, and the result does not
    depend on alignment, strides or threads. Complex vectors are not conjugated, as in NumPy.

    Examples
    --------
    >>> import numpy as np, mlopt
    >>> mlopt.dot(np.array([1.0, 2.0]), np.array([3.0, 4.0]))
    np.float64(11.0)
    """
    cdef const mlopt_kernels *table
    cdef Py_ssize_t n
    cdef void *left
    cdef void *right
    cdef double sum_f64
    cdef float sum_f32
    cdef int type_num = vector_type(x)
    if type_num < 0 or vector_type(y) != type_num:
        left_array = x if isinstance(x, np.ndarray) else np.asarray(x)
        right_array = y if isinstance(y, np.ndarray) else np.asarray(y)
        if not is_vector(left_array) or not is_vector(right_array):
            return np.dot(x, y)
        x, y = left_array, right_array
        type_num = vector_type(x)
        if type_num < 0 or vector_type(y) != type_num:
            if len(x) != len(y):
                raise ValueError(f"y must have the length of x, {len(x)}, not {len(y)}")
            return dot_pieces(x, y)
    n = cnp.PyArray_DIM(<cnp.ndarray>x, 0)
    if cnp.PyArray_DIM(<cnp.ndarray>y, 0) != n:
        raise ValueError(f"y must have the length of x, {n}, not {cnp.PyArray_DIM(<cnp.ndarray>y, 0)}")
    left, right = cnp.PyArray_DATA(<cnp.ndarray>x), cnp.PyArray_DATA(<cnp.ndarray>y)
    table = current_table()
    if type_num == cnp.NPY_DOUBLE:
        if n < RELEASE_LENGTH:
            sum_f64 = table.dot_f64(n, <double *>left, <double *>right)
        else:
            with nogil:
                sum_f64 = table.dot_f64(n, <double *>left, <double *>right)
        return cnp.PyArray_ToScalar(&sum_f64, <cnp.ndarray>x)
    if n < RELEASE_LENGTH:
        sum_f32 = table.dot_f32(n, <float *>left, <float *>right)
    else:
        with nogil:
            sum_f32 = table.dot_f32(n, <float *>left, <float *>right)
    return cnp.PyArray_ToScalar(&sum_f32, <cnp.ndarray>x)


cdef int check_vector(object x, str name) except -1:
    if not isinstance(x, np.ndarray) or isinstance(x, np.ma.MaskedArray):
        raise TypeError(f"{name} must be an ndarray, not {type(x).__name__}")
    if x.dtype != np.float32 and x.dtype != np.float64:
        raise TypeError(f"{name} must be float32 or float64, not {x.dtype}")
    if x.ndim != 1:
        raise ValueError(f"{name} must be a vector, not an array of shape {x.shape}")
    if not is_vector(x):
        raise ValueError(f"{name} must be aligned")
    return 0


def axpy(alpha, x, y):
    """Add a multiple of a vector to another, in place: ``y += alpha * x``.

    Parameters
    ----------
    alpha : float
        The factor.
    x : ndarray
        A vector of float32 or float64, of any stride; converted to the type of `y`.
    y : ndarray
        A writable vector of float32 or float64, of the length of `x` and any stride. It may be `x` itself, but not
        overlap it otherwise.

    Returns
    -------
    ndarray
        `y`.

    Raises
    ------
    TypeError
        If `alpha` is not a real number, or `x` or `y` is not such an ndarray.
    ValueError
        If the lengths differ, `y` is read-only, or the two overlap.

    Examples
    --------
    >>> import numpy as np, mlopt
    >>> mlopt.axpy(2.0, np.ones(3), np.zeros(3))
    array([2., 2., 2.])
    """
    cdef const mlopt_kernels *table
    cdef Py_ssize_t n, size
    cdef char *left
    cdef char *right
    cdef double factor
    cdef mlopt_strided from_, to
    cdef void *buffers
    cdef int type_num = vector_type(x)
    cdef bint plain = type_num >= 0 and vector_type(y) == type_num
    if not plain:
        check_vector(x, "x")
        check_vector(y, "y")
    try:
        factor = alpha
    except TypeError:
        raise TypeError(f"alpha must be a real number, not {type(alpha).__name__}") from None
    n = cnp.PyArray_DIM(<cnp.ndarray>x, 0)
    if cnp.PyArray_DIM(<cnp.ndarray>y, 0) != n:
        raise ValueError(f"y must have the length of x, {n}, not {cnp.PyArray_DIM(<cnp.ndarray>y, 0)}")
    if not cnp.PyArray_ISWRITEABLE(<cnp.ndarray>y):
        raise ValueError("y must be writable, not read-only")
    left, right = cnp.PyArray_BYTES(<cnp.ndarray>x), cnp.PyArray_BYTES(<cnp.ndarray>y)
    table = current_table()
    if not plain:
        from_, to = strided(x), strided(y)
        if (left != right or x.strides != y.strides or from_.is_f64 != to.is_f64) and np.shares_memory(x, y):
            raise ValueError("y must be x itself or not overlap it")
        buffers = piece_buffers()
        with nogil:
            if to.is_f64:
                mlopt_axpy_pieces_f64(table, n, factor, &from_, &to, <double *>buffers)
            else:
                mlopt_axpy_pieces_f32(table, n, <float>factor, &from_, &to, <float *>buffers)
        slab_release(buffers)
        return y
    size = n * cnp.PyArray_ITEMSIZE(<cnp.ndarray>x)
    if left != right and left < right + size and right < left + size:
        raise ValueError("y must be x itself or not overlap it")
    if n < RELEASE_LENGTH:
        if type_num == cnp.NPY_DOUBLE:
            table.axpy_f64(n, factor, <double *>left, <double *>right)
        else:
            table.axpy_f32(n, <float>factor, <float *>left, <float *>right)
    else:
        with nogil:
            if type_num == cnp.NPY_DOUBLE:
                table.axpy_f64(n, factor, <double *>left, <double *>right)
            else:
                table.axpy_f32(n, <float>factor, <float *>left, <float *>right)
    return y


__all__ = ["axpy", "dot"]
