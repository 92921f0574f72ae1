"""Reductions over one or more axes, and the row functions softmax and logsumexp.

float32 and float64 run on this library's kernels (axes.h says how); whatever else NumPy takes (integers, bool,
complex, objects, half precision, its subclasses) is handed to NumPy's own function, with its types and errors.
"""
import numpy as np

cimport numpy as cnp

from mlopt._kernels.core cimport current_table, slab_acquire, slab_release
from mlopt._kernels.dispatch cimport mlopt_kernels

cnp.import_array()

cdef extern from "axes.h" nogil:
    ctypedef enum mlopt_operation:
        SUM "MLOPT_SUM"
        MEAN "MLOPT_MEAN"
        VAR "MLOPT_VAR"
        MIN "MLOPT_MIN"
        MAX "MLOPT_MAX"
        ARGMAX "MLOPT_ARGMAX"
        NORM "MLOPT_NORM"
        LOGSUMEXP "MLOPT_LOGSUMEXP"
    ctypedef struct mlopt_axis:
        size_t size
        cnp.npy_intp stride
        cnp.npy_intp other
        int place
    ctypedef struct mlopt_reduction:
        const mlopt_kernels *table
        mlopt_operation operation
        bint is_f64
        double ddof
        const char *x
        char *out
        int kept_count
        int reduced_count
        mlopt_axis *kept
        mlopt_axis *reduced
    void mlopt_order_kept(mlopt_reduction *)
    size_t mlopt_plan_reduction(mlopt_reduction *)
    void mlopt_run_reduction(const mlopt_reduction *, void *buffer)
    bint mlopt_softmax_axes(const mlopt_kernels *, bint is_f64, int ndim, const cnp.npy_intp *shape,
                            const cnp.npy_intp *strides, const cnp.npy_intp *out_strides, int place, const char *x,
                            char *out)

# Elements from which a call outlasts taking the GIL back.
cdef enum:
    RELEASE_GIL = 16384

NAMES = ("sum", "mean", "var", "min", "max", "argmax", "norm", "logsumexp")


# For types other than float32 and float64.
def _numpy_norm(a, axis, out, keepdims):
    a = np.asarray(a)
    if not np.issubdtype(a.dtype, np.inexact):
        a = a.astype(np.float64)
    squares = a.real ** 2 + a.imag ** 2 if np.iscomplexobj(a) else a * a
    return _finish(np.asarray(np.sqrt(np.sum(squares, axis=axis, keepdims=keepdims))), out)


def _numpy_logsumexp(a, axis, out, keepdims):
    a = _real(np.asarray(a), "logsumexp")
    if a.dtype.kind != "f" or a.dtype.itemsize < 4:
        return logsumexp(a.astype(np.float64), axis, out=out, keepdims=keepdims)
    largest = np.max(a, axis=axis, keepdims=True, initial=-np.inf)
    shift = np.where(np.isfinite(largest), largest, 0)
    with np.errstate(divide="ignore"):
        result = np.log(np.sum(np.exp(a - shift), axis=axis, keepdims=True)) + shift
    return _finish(result if keepdims else result.reshape(np.sum(a, axis=axis).shape), out)


def _numpy(int operation, a, axis, out, keepdims, ddof):
    """NumPy's own function, or the definition where NumPy has none."""
    if operation == NORM:
        return _numpy_norm(a, axis, out, keepdims)
    if operation == LOGSUMEXP:
        return _numpy_logsumexp(a, axis, out, keepdims)
    keywords = {"ddof": ddof} if operation == VAR else {}
    if keepdims:  # which the methods of subclasses need not know
        keywords["keepdims"] = True
    return getattr(np, NAMES[operation])(a, axis=axis, out=out, **keywords)


def _real(a, name):
    """The array, if its type is a real number's."""
    if a.dtype.kind not in "biuf":
        raise TypeError(f"{name}: a must be an array of real numbers, not of {a.dtype}")
    return a


def _finish(result, out):
    """The result where the caller wants it; a scalar when it has no axes."""
    if out is None:
        return result[()]
    if not isinstance(out, np.ndarray):
        raise TypeError(f"out must be an ndarray, not {type(out).__name__}")
    if out.shape != result.shape:
        raise ValueError(f"out has shape {out.shape}, the result has shape {result.shape}")
    np.copyto(out, result, casting="same_kind")
    return out


cdef inline bint is_ours(cnp.ndarray a) noexcept:
    cdef int kind = cnp.PyArray_TYPE(a)
    return (kind == cnp.NPY_FLOAT or kind == cnp.NPY_DOUBLE) and cnp.PyArray_ISBEHAVED_RO(a)


# NumPy's subclasses, masked arrays among them, and what takes NumPy's functions over, mean their own reduction.
cdef inline bint has_own_functions(object array):
    return type(array) is not cnp.ndarray and (isinstance(array, np.ndarray) or hasattr(array, "__array_function__"))


cdef int run(mlopt_reduction *r, size_t elements) except -1:
    cdef size_t bytes = mlopt_plan_reduction(r)
    cdef void *buffer = NULL
    if bytes:
        buffer = slab_acquire(bytes)
        if buffer == NULL:
            raise MemoryError(f"no memory for a buffer of {bytes} bytes")
    if elements < RELEASE_GIL:
        mlopt_run_reduction(r, buffer)
    else:
        with nogil:
            mlopt_run_reduction(r, buffer)
    slab_release(buffer)
    return 0


cdef object reduce_whole(mlopt_reduction *r, cnp.ndarray a):
    """The reduction of all axes to one NumPy scalar: the short way for small arrays."""
    cdef cnp.npy_intp index
    cdef double number
    cdef int i
    r.kept_count = 0
    if cnp.PyArray_IS_C_CONTIGUOUS(a):
        r.reduced_count = 1
        r.reduced[0] = mlopt_axis(cnp.PyArray_SIZE(a), cnp.PyArray_ITEMSIZE(a), 0, 0)
    else:
        r.reduced_count = cnp.PyArray_NDIM(a)
        for i in range(r.reduced_count):
            r.reduced[i] = mlopt_axis(cnp.PyArray_DIM(a, i), cnp.PyArray_STRIDE(a, i), 0, i)
    r.out = <char *>&index if r.operation == ARGMAX else <char *>&number
    run(r, cnp.PyArray_SIZE(a))
    return np.intp(index) if r.operation == ARGMAX else cnp.PyArray_ToScalar(&number, a)


cdef object reduce_some(mlopt_reduction *r, cnp.ndarray a, const bint *reduced, bint keepdims):
    """The reduction of some axes to an array, which lies in memory as the kept axes do."""
    cdef cnp.npy_intp shape[cnp.NPY_MAXDIMS]
    cdef cnp.npy_intp size
    cdef int i, kept = 0, place
    cdef bint moved = False
    cdef cnp.ndarray result
    r.kept_count = r.reduced_count = 0
    for i in range(cnp.PyArray_NDIM(a)):
        if reduced[i]:
            r.reduced[r.reduced_count] = mlopt_axis(cnp.PyArray_DIM(a, i), cnp.PyArray_STRIDE(a, i), 0, i)
            r.reduced_count += 1
        else:
            r.kept[r.kept_count] = mlopt_axis(cnp.PyArray_DIM(a, i), cnp.PyArray_STRIDE(a, i), 0, i)
            r.kept_count += 1
    kept = r.kept_count
    mlopt_order_kept(r)
    order = [0] * kept
    for i in range(kept):
        shape[i] = r.kept[i].size
        order[i] = r.kept[i].place
        moved = moved or (i > 0 and r.kept[i].place < r.kept[i - 1].place)
    result = cnp.PyArray_EMPTY(kept, shape, cnp.NPY_INTP if r.operation == ARGMAX else cnp.PyArray_TYPE(a), 0)
    r.out = cnp.PyArray_BYTES(result)
    if cnp.PyArray_SIZE(result):
        run(r, cnp.PyArray_SIZE(a))
    if moved:
        result = (<object>result).transpose([order.index(place) for place in sorted(order)])
    if keepdims:
        for i in range(cnp.PyArray_NDIM(a)):
            shape[i] = 1 if reduced[i] else cnp.PyArray_DIM(a, i)
        return (<object>result).reshape([size for size in shape[:cnp.PyArray_NDIM(a)]])
    return result


cdef int read_axes(object axis, cnp.ndarray a, bint *reduced) except -1:
    """Marks the axes; returns how many they are."""
    cdef int i, ndim = cnp.PyArray_NDIM(a), count = 0
    for i in range(ndim):
        reduced[i] = axis is None
    if axis is None:
        return ndim
    for place in np.lib.array_utils.normalize_axis_tuple(axis, ndim, "axis"):
        reduced[<int>place] = True
        count += 1
    return count


cdef object reduce_axes(mlopt_operation operation, object array, object axis, object out, bint keepdims, double ddof):
    cdef cnp.ndarray a
    cdef mlopt_reduction r
    cdef bint reduced[cnp.NPY_MAXDIMS]
    cdef int i, count
    cdef size_t length = 1
    if has_own_functions(array):
        if operation in (NORM, LOGSUMEXP) and isinstance(array, np.ma.MaskedArray):
            raise TypeError(f"{NAMES[operation]}: masked arrays are not supported; fill or compress the array first")
        return _numpy(operation, array, axis, out, keepdims, ddof)
    a = <cnp.ndarray>array if type(array) is cnp.ndarray else np.asarray(array)
    if not is_ours(a) or cnp.PyArray_NDIM(a) == 0:
        return _numpy(operation, a, axis, out, keepdims, ddof)
    if operation == ARGMAX and axis is not None and not hasattr(axis, "__index__"):
        raise TypeError(f"axis must be an integer or None for argmax, not {axis!r}")
    count = read_axes(axis, a, reduced)
    for i in range(cnp.PyArray_NDIM(a)):
        if reduced[i]:
            length *= cnp.PyArray_DIM(a, i)
    if out is not None and operation <= ARGMAX and isinstance(out, np.ndarray) and \
            out.dtype != (np.intp if operation == ARGMAX else a.dtype):
        return _numpy(operation, a, axis, out, keepdims, ddof)  # NumPy computes in the type of out
    if length == 0 or (operation == VAR and ddof >= length):  # NumPy's errors, identities and warnings
        return _numpy(operation, a, axis, out, keepdims, ddof)

    r.table = current_table()
    r.operation = operation
    r.is_f64 = cnp.PyArray_TYPE(a) == cnp.NPY_DOUBLE
    r.ddof = ddof
    r.x = cnp.PyArray_BYTES(a)
    if count == cnp.PyArray_NDIM(a) and out is None and not keepdims:
        return reduce_whole(&r, a)
    return _finish(reduce_some(&r, a, reduced, keepdims), out)


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

    Raises
    ------
    TypeError, ValueError
        As :func:`numpy.sum` where an axis does not exist, or `out` does not fit.

    Notes
    -----
    Several accumulators over short blocks, block sums added pairwise: the error is at most 24 eps times the sum of the
    absolute values. Elements are added as they lie in memory, in an order that the shape and the order of the axes in
    memory fix: alignment, steps and threads change nothing. The array is never copied as a whole. Unlike NumPy's, the
    reductions raise no floating-point warnings.

    NumPy's own function reduces every other type, NumPy's subclasses (masked arrays among them), and an array into an
    `out` of another type. A pandas Series is its values, NaN included.

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
        The divisor is ``n - ddof``; where it is not positive, the result and the warning are NumPy's.

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
        -inf for an empty axis; of the type of `a` for float32, float64 and long double, else float64.

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
        Real numbers of at least one dimension; anything but float32 is computed in float64.
    axis : int, default: -1
        The axis along which the result sums to 1.
    out : ndarray, optional
        Where to store the result, of the same shape and type, in any layout; may be `a`.

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
    cdef cnp.ndarray x, result
    cdef const mlopt_kernels *table
    cdef bint is_f64, direct
    cdef int place
    if isinstance(a, np.ma.MaskedArray):
        raise TypeError("softmax: masked arrays are not supported; fill or compress the array first")
    x = np.asarray(a)
    if not is_ours(x):
        x = np.asarray(_real(x, "softmax"), np.float64)
    if x.ndim == 0:
        raise ValueError("a must have at least one dimension, not 0")
    place = np.lib.array_utils.normalize_axis_index(axis, x.ndim)
    if out is not None:
        if not isinstance(out, np.ndarray) or out.dtype != x.dtype:
            raise TypeError(f"out must be an ndarray of {x.dtype}, not {getattr(out, 'dtype', type(out).__name__)}")
        if out.shape != (<object>x).shape:
            raise ValueError(f"out has shape {out.shape}, the result has shape {(<object>x).shape}")
        if not out.flags.writeable:
            raise ValueError("out must be writable, not read-only")
    if cnp.PyArray_SIZE(x) == 0:
        return np.empty_like(x) if out is None else out
    # straight into out where it is dense, and no other memory of the input
    direct = out is not None and is_ours(out) and (out.flags.c_contiguous or out.flags.f_contiguous) and (
        same_memory(out, x) or not np.may_share_memory(out, x))
    result = out if direct else np.empty_like(x, subok=False)
    table = current_table()
    is_f64 = cnp.PyArray_TYPE(x) == cnp.NPY_DOUBLE
    if not softmax_into(table, is_f64, place, x, result):
        cnp.PyArray_CopyInto(result, x)
        softmax_into(table, is_f64, place, result, result)
    if out is None or direct:
        return result if out is None else out
    out[...] = result
    return out


cdef bint same_memory(cnp.ndarray a, cnp.ndarray b):
    return cnp.PyArray_DATA(a) == cnp.PyArray_DATA(b) and (<object>a).strides == (<object>b).strides


cdef bint softmax_into(const mlopt_kernels *table, bint is_f64, int place, cnp.ndarray x, cnp.ndarray out):
    cdef bint done
    if cnp.PyArray_SIZE(x) < RELEASE_GIL:
        return mlopt_softmax_axes(table, is_f64, cnp.PyArray_NDIM(x), cnp.PyArray_DIMS(x), cnp.PyArray_STRIDES(x),
                                  cnp.PyArray_STRIDES(out), place, cnp.PyArray_BYTES(x), cnp.PyArray_BYTES(out))
    with nogil:
        done = mlopt_softmax_axes(table, is_f64, cnp.PyArray_NDIM(x), cnp.PyArray_DIMS(x), cnp.PyArray_STRIDES(x),
                                  cnp.PyArray_STRIDES(out), place, cnp.PyArray_BYTES(x), cnp.PyArray_BYTES(out))
    return done
