"""Scalar products and scaled updates of vectors."""
import numpy as np

cimport numpy as cnp

from mlopt._kernels.core cimport current_table
from mlopt._kernels.dispatch cimport mlopt_kernels

cnp.import_array()

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


def dot(x, y):
    """Scalar product of two vectors.

    Contiguous float32 or float64 vectors of one type are multiplied by this library's kernel, from
    any object with the buffer protocol; everything else goes to :func:`numpy.dot`.

    Parameters
    ----------
    x, y : array_like
        The vectors.

    Returns
    -------
    scalar
        ``sum(x * y)``, of the operands' type; what :func:`numpy.dot` returns for other input.

    Raises
    ------
    ValueError
        If the lengths differ.

    Notes
    -----
    The error is at most ``4 * eps * sum(abs(x * y))`` whatever the length, and the result does not
    depend on alignment or threads. Complex vectors are not conjugated, as in NumPy.

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
        if isinstance(x, np.ndarray) and isinstance(y, np.ndarray):
            return np.dot(x, y)
        left_array, right_array = np.asarray(x), np.asarray(y)
        type_num = vector_type(left_array)
        if type_num < 0 or vector_type(right_array) != type_num:
            return np.dot(x, y)
        x, y = left_array, right_array
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


cdef int checked_vector(object x, str name) except -1:
    if not isinstance(x, np.ndarray):
        raise TypeError(f"{name} must be an ndarray, not {type(x).__name__}")
    if x.dtype != np.float32 and x.dtype != np.float64:
        raise TypeError(f"{name} must be float32 or float64, not {x.dtype}")
    if x.ndim != 1 or not cnp.PyArray_ISCARRAY_RO(<cnp.ndarray>x):
        raise ValueError(f"{name} must be a contiguous vector, not shape {x.shape} with strides {x.strides}")
    return 0


def axpy(alpha, x, y):
    """Add a multiple of a vector to another, in place: ``y += alpha * x``.

    Parameters
    ----------
    alpha : float
        The factor.
    x : ndarray
        A contiguous vector, float32 or float64.
    y : ndarray
        A writable contiguous vector of the type and length of `x`. It may be `x` itself, but not
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
        If length or layout do not fit, `y` is read-only, or the two overlap.

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
    cdef int type_num = vector_type(x)
    if type_num < 0 or vector_type(y) != type_num:
        checked_vector(x, "x")
        checked_vector(y, "y")
        if x.dtype != y.dtype:
            raise TypeError(f"y must have the type of x, {x.dtype}, not {y.dtype}")
        type_num = cnp.PyArray_TYPE(<cnp.ndarray>x)
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
    size = n * cnp.PyArray_ITEMSIZE(<cnp.ndarray>x)
    if left != right and left < right + size and right < left + size:
        raise ValueError("y must be x itself or not overlap it")
    table = current_table()
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
