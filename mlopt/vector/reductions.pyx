"""Reductions over one or more axes, and the row functions softmax and logsumexp.

float32 and float64 run on this library's kernels, row by row; whatever else NumPy takes (integers,
bool, complex, objects, half precision) is handed to NumPy's own function, with its types and errors.
"""
import numpy as np

cimport numpy as cnp
from libc.math cimport sqrt

from mlopt._kernels.core cimport current_table
from mlopt._kernels.dispatch cimport mlopt_kernels

cnp.import_array()

# Elements from which a call outlasts taking the GIL back.
cdef enum:
    RELEASE_GIL = 16384

cdef enum Operation:
    SUM, MEAN, VAR, MIN, MAX, ARGMAX, NORM, LOGSUMEXP

NAMES = ("sum", "mean", "var", "min", "max", "argmax", "norm", "logsumexp")


# NumPy's functions for what the kernels do not cover; those that NumPy lacks work in float64.
def _numpy_norm(a, axis, out, keepdims, ddof):
    result = np.linalg.norm(a if axis is not None else np.ravel(a), axis=axis, keepdims=False)
    return _finish(np.asarray(result), a.shape, axis, out, keepdims)


FALLBACK = {
    SUM: lambda a, axis, out, keepdims, ddof: np.sum(a, axis=axis, out=out, keepdims=keepdims),
    MEAN: lambda a, axis, out, keepdims, ddof: np.mean(a, axis=axis, out=out, keepdims=keepdims),
    VAR: lambda a, axis, out, keepdims, ddof: np.var(a, axis=axis, out=out, keepdims=keepdims, ddof=ddof),
    MIN: lambda a, axis, out, keepdims, ddof: np.min(a, axis=axis, out=out, keepdims=keepdims),
    MAX: lambda a, axis, out, keepdims, ddof: np.max(a, axis=axis, out=out, keepdims=keepdims),
    ARGMAX: lambda a, axis, out, keepdims, ddof: np.argmax(a, axis=axis, out=out, keepdims=keepdims),
    NORM: _numpy_norm,
}


cdef inline bint is_ours(cnp.ndarray a) noexcept:
    cdef int kind = cnp.PyArray_TYPE(a)
    return (kind == cnp.NPY_FLOAT or kind == cnp.NPY_DOUBLE) and cnp.PyArray_ISBEHAVED_RO(a)


cdef double reduce_f32(const mlopt_kernels *table, Operation operation, size_t n, const float *x,
                       double ddof) noexcept nogil:
    cdef float mean, squares
    if operation == SUM:
        return table.sum_f32(n, x)
    if operation == MEAN:
        return table.sum_f32(n, x) / <float>n
    if operation == MIN:
        return table.min_f32(n, x)
    if operation == MAX:
        return table.max_f32(n, x)
    if operation == ARGMAX:
        return <double>table.argmax_f32(n, x)
    if operation == NORM:
        return sqrt(table.dot_f32(n, x, x))
    if operation == LOGSUMEXP:
        return table.logsumexp_f32(n, x)
    table.moments_f32(n, x, &mean, &squares)
    return squares / (n - ddof if n > ddof else 0.0)


cdef double reduce_f64(const mlopt_kernels *table, Operation operation, size_t n, const double *x,
                       double ddof) noexcept nogil:
    cdef double mean, squares
    if operation == SUM:
        return table.sum_f64(n, x)
    if operation == MEAN:
        return table.sum_f64(n, x) / <double>n
    if operation == MIN:
        return table.min_f64(n, x)
    if operation == MAX:
        return table.max_f64(n, x)
    if operation == ARGMAX:
        return <double>table.argmax_f64(n, x)
    if operation == NORM:
        return sqrt(table.dot_f64(n, x, x))
    if operation == LOGSUMEXP:
        return table.logsumexp_f64(n, x)
    table.moments_f64(n, x, &mean, &squares)
    return squares / (n - ddof if n > ddof else 0.0)


cdef void reduce_rows(const mlopt_kernels *table, Operation operation, bint is_f64, size_t rows, size_t n,
                      const char *x, char *result, double ddof) noexcept nogil:
    """One result per contiguous row; result has the rows' type, or intp for ARGMAX."""
    cdef size_t row
    cdef double value
    for row in range(rows):
        if is_f64:
            value = reduce_f64(table, operation, n, <const double *>x + row * n, ddof)
        else:
            value = reduce_f32(table, operation, n, <const float *>x + row * n, ddof)
        if operation == ARGMAX:
            (<cnp.npy_intp *>result)[row] = <cnp.npy_intp>value
        elif is_f64:
            (<double *>result)[row] = value
        else:
            (<float *>result)[row] = <float>value


cdef object reduce_whole(Operation operation, cnp.ndarray a, double ddof):
    """The reduction of a contiguous array to one NumPy scalar: the short way for small arrays."""
    cdef const mlopt_kernels *table = current_table()
    cdef size_t n = cnp.PyArray_SIZE(a)
    cdef bint is_f64 = cnp.PyArray_TYPE(a) == cnp.NPY_DOUBLE
    cdef const char *data = <const char *>cnp.PyArray_DATA(a)
    cdef double f64
    cdef float f32
    cdef char *cell = <char *>&f64 if is_f64 else <char *>&f32
    cdef cnp.npy_intp index
    if operation == ARGMAX:
        reduce_rows(table, operation, is_f64, 1, n, data, <char *>&index, ddof)
        return np.intp(index)
    if n < RELEASE_GIL:
        reduce_rows(table, operation, is_f64, 1, n, data, cell, ddof)
    else:
        with nogil:
            reduce_rows(table, operation, is_f64, 1, n, data, cell, ddof)
    return cnp.PyArray_ToScalar(cell, a)


cdef object reduce_axes(Operation operation, object array, object axis, object out, bint keepdims, double ddof):
    cdef cnp.ndarray a, rows, result
    if type(array) is cnp.ndarray and axis is None and out is None and not keepdims:
        a = <cnp.ndarray>array
        if is_ours(a) and cnp.PyArray_IS_C_CONTIGUOUS(a) and cnp.PyArray_SIZE(a) > 0:
            return reduce_whole(operation, a, ddof)
    a = np.asanyarray(array)
    if isinstance(a, np.ma.MaskedArray):
        raise TypeError(f"{NAMES[operation]}: masked arrays are not supported; fill or compress the array first")
    if not is_ours(a):
        if operation == LOGSUMEXP:
            a = np.asarray(a, np.float64)
        else:
            return FALLBACK[operation](a, axis, out, keepdims, ddof)

    axes = tuple(range(a.ndim)) if axis is None else np.lib.array_utils.normalize_axis_tuple(axis, a.ndim, "axis")
    if operation == ARGMAX and axis is not None and len(axes) != 1:
        raise TypeError(f"axis must be an integer or None for argmax, not {axis!r}")
    kept = tuple([i for i in range(a.ndim) if i not in axes])
    shape = (<object>a).shape
    cdef size_t n = 1
    for i in axes:
        n *= shape[i]
    if n == 0 and operation in (MIN, MAX, ARGMAX):
        raise ValueError(f"{NAMES[operation]} of an empty axis has no value: shape {shape}, axis {axis}")
    if n == 0 and operation in (MEAN, VAR):
        return FALLBACK[operation](a, axis, out, keepdims, ddof)

    rows = np.ascontiguousarray((<object>a).transpose(kept + tuple(axes)))
    result = np.empty([shape[i] for i in kept], np.intp if operation == ARGMAX else a.dtype)
    cdef const mlopt_kernels *table = current_table()
    cdef bint is_f64 = cnp.PyArray_TYPE(a) == cnp.NPY_DOUBLE
    cdef size_t count = cnp.PyArray_SIZE(result)
    cdef const char *from_ = <const char *>cnp.PyArray_DATA(rows)
    cdef char *to = <char *>cnp.PyArray_DATA(result)
    with nogil:
        reduce_rows(table, operation, is_f64, count, n, from_, to, ddof)
    return _finish(result, shape, axis, out, keepdims)


def _finish(result, shape, axis, out, keepdims):
    """The result as the caller asked for it: axes kept, stored in out, a scalar when it has no axes."""
    if keepdims:
        axes = range(len(shape)) if axis is None else np.lib.array_utils.normalize_axis_tuple(axis, len(shape))
        result = result.reshape([1 if i in axes else size for i, size in enumerate(shape)])
    if out is None:
        return result[()]
    if not isinstance(out, np.ndarray):
        raise TypeError(f"out must be an ndarray, not {type(out).__name__}")
    if out.shape != result.shape:
        raise ValueError(f"out has shape {out.shape}, the result has shape {result.shape}")
    np.copyto(out, result, casting="same_kind")
    return out


def sum(a, axis=None, *, out=None, bint keepdims=False):
    """Sum of the elements, over all axes or the given ones.

    Parameters
    ----------
    a : array_like
        Input of any shape.
    axis : int or tuple of int, optional
        Axes to sum over; all of them by default.
    out : ndarray, optional
        Where to store the result.
    keepdims : bool, default: False
        Whether the reduced axes stay, with size 1.

    Returns
    -------
    ndarray or scalar
        Of the type of `a` for float32 and float64, else as :func:`numpy.sum`.

    Notes
    -----
    Several accumulators over short blocks, block sums added pairwise: the error is at most
    24 eps times the sum of the absolute values, the order fixed by the length alone.

    Examples
    --------
    >>> import numpy as np, mlopt
    >>> mlopt.sum(np.ones((2, 3), np.float32), axis=0)
    array([2., 2., 2.], dtype=float32)
    """
    return reduce_axes(SUM, a, axis, out, keepdims, 0)


def mean(a, axis=None, *, out=None, bint keepdims=False):
    """Arithmetic mean; parameters as for :func:`mlopt.sum`.

    Returns
    -------
    ndarray or scalar
        NaN (with NumPy's warning) for an empty axis.

    Examples
    --------
    >>> import numpy as np, mlopt
    >>> mlopt.mean(np.array([1.0, 2.0, 6.0]))
    np.float64(3.0)
    """
    return reduce_axes(MEAN, a, axis, out, keepdims, 0)


def var(a, axis=None, *, out=None, double ddof=0, bint keepdims=False):
    """Variance about the mean; parameters as for :func:`mlopt.sum`.

    Parameters
    ----------
    ddof : float, default: 0
        The divisor is ``n - ddof``.

    Notes
    -----
    Deviations are taken from the mean of their block and blocks are merged (Chan, Golub and
    LeVeque, 1979): a large mean does not cancel.

    Examples
    --------
    >>> import numpy as np, mlopt
    >>> mlopt.var(np.array([1e8, 1e8 + 2]))
    np.float64(1.0)
    """
    return reduce_axes(VAR, a, axis, out, keepdims, ddof)


def min(a, axis=None, *, out=None, bint keepdims=False):
    """Smallest element, NaN if there is one; parameters as for :func:`mlopt.sum`.

    Raises
    ------
    ValueError
        If there is nothing to take the minimum of.

    Examples
    --------
    >>> import numpy as np, mlopt
    >>> mlopt.min(np.array([3.0, -1.0, 2.0]))
    np.float64(-1.0)
    """
    return reduce_axes(MIN, a, axis, out, keepdims, 0)


def max(a, axis=None, *, out=None, bint keepdims=False):
    """Largest element, NaN if there is one; parameters as for :func:`mlopt.sum`.

    Raises
    ------
    ValueError
        If there is nothing to take the maximum of.

    Examples
    --------
    >>> import numpy as np, mlopt
    >>> mlopt.max(np.array([[1.0, 5.0], [7.0, 2.0]]), axis=1)
    array([5., 7.])
    """
    return reduce_axes(MAX, a, axis, out, keepdims, 0)


def argmax(a, axis=None, *, out=None, bint keepdims=False):
    """Index of the first largest element, or of the first NaN; into the flattened array if no axis is given.

    Parameters
    ----------
    a : array_like
        Input of any shape.
    axis : int, optional
        The axis to search along.
    out : ndarray, optional
        Where to store the result.
    keepdims : bool, default: False
        Whether the searched axis stays, with size 1.

    Examples
    --------
    >>> import numpy as np, mlopt
    >>> mlopt.argmax(np.array([1.0, 9.0, 9.0]))
    np.int64(1)
    """
    return reduce_axes(ARGMAX, a, axis, out, keepdims, 0)


def norm(a, axis=None, *, out=None, bint keepdims=False):
    """Euclidean norm, the square root of the sum of squares; parameters as for :func:`mlopt.sum`.

    Examples
    --------
    >>> import numpy as np, mlopt
    >>> mlopt.norm(np.array([3.0, 4.0]))
    np.float64(5.0)
    """
    return reduce_axes(NORM, a, axis, out, keepdims, 0)


def logsumexp(a, axis=None, *, out=None, bint keepdims=False):
    """``log(sum(exp(a)))`` without overflow; parameters as for :func:`mlopt.sum`.

    Returns
    -------
    ndarray or scalar
        -inf for an empty axis; float64 for input that is not float32.

    Examples
    --------
    >>> import numpy as np, mlopt
    >>> mlopt.logsumexp(np.array([1000.0, 1000.0])) - 1000
    np.float64(0.69314718...)
    """
    return reduce_axes(LOGSUMEXP, a, axis, out, keepdims, 0)


def softmax(a, axis=-1, *, out=None):
    """``exp(a) / sum(exp(a))`` along one axis, without overflow.

    Parameters
    ----------
    a : array_like
        Input of at least one dimension; anything but float32 is computed in float64.
    axis : int, default: -1
        The axis along which the result sums to 1.
    out : ndarray, optional
        Where to store the result, of the same shape and type; may be `a`.

    Returns
    -------
    ndarray
        Of the shape of `a`.

    Examples
    --------
    >>> import numpy as np, mlopt
    >>> mlopt.softmax(np.zeros(4))
    array([0.25, 0.25, 0.25, 0.25])
    """
    cdef cnp.ndarray x = np.asarray(a), rows, result
    if not is_ours(x):
        x = np.asarray(x, np.float64)
    if x.ndim == 0:
        raise ValueError("a must have at least one dimension, not 0")
    axis = np.lib.array_utils.normalize_axis_index(axis, x.ndim)
    shape = (<object>x).shape
    if out is not None:
        if not isinstance(out, np.ndarray) or out.dtype != x.dtype:
            raise TypeError(f"out must be an ndarray of {x.dtype}, not {getattr(out, 'dtype', type(out).__name__)}")
        if out.shape != shape:
            raise ValueError(f"out has shape {out.shape}, the result has shape {shape}")
        if not out.flags.writeable:
            raise ValueError("out is read-only")
    cdef bint last = axis == x.ndim - 1
    rows = np.ascontiguousarray(x if last else np.moveaxis(x, axis, -1))
    # straight into out where the rows lie there, and no other memory of the input does
    cdef bint direct = last and out is not None and out.flags.c_contiguous and (
        out is a or rows is not x or not np.may_share_memory(out, x))
    result = out if direct else np.empty_like(rows)
    cdef const mlopt_kernels *table = current_table()
    cdef size_t n = shape[axis]
    cdef size_t count = cnp.PyArray_SIZE(x) // n if n else 0
    cdef char *from_ = <char *>cnp.PyArray_DATA(rows)
    cdef char *to = <char *>cnp.PyArray_DATA(result)
    cdef bint is_f64 = cnp.PyArray_TYPE(x) == cnp.NPY_DOUBLE
    if count * n < RELEASE_GIL:
        softmax_rows(table, is_f64, count, n, from_, to)
    else:
        with nogil:
            softmax_rows(table, is_f64, count, n, from_, to)
    if direct:
        return out
    answer = result if last else np.moveaxis(result, -1, axis)
    if out is None:
        return answer
    out[...] = answer
    return out


cdef void softmax_rows(const mlopt_kernels *table, bint is_f64, size_t rows, size_t n, const char *x,
                       char *out) noexcept nogil:
    cdef size_t row
    for row in range(rows):
        if is_f64:
            table.softmax_f64(n, <const double *>x + row * n, <double *>out + row * n)
        else:
            table.softmax_f32(n, <const float *>x + row * n, <float *>out + row * n)
