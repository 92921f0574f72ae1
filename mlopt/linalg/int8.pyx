"""Products of 8-bit integers with 32-bit sums."""
import operator

import numpy as np

cimport cython
cimport numpy as cnp
from libc.math cimport isfinite
from libc.stdint cimport int8_t, int32_t, int64_t

from mlopt._kernels.core cimport current_table
from mlopt._kernels.dispatch cimport (
    MLOPT_INT8_TO_S8,
    MLOPT_INT8_TO_S32,
    MLOPT_INT8_TO_U8,
    mlopt_int8_job,
    mlopt_int8_kind,
    mlopt_int8_packed_bytes,
    mlopt_kernels,
)
from mlopt._kernels.threads cimport team_size
from mlopt.linalg.int8_gemm cimport is_bytes, kind_of, run_int8
from mlopt.linalg.operands cimport checked_threads, overlap
from mlopt.memory.aligned cimport aligned_array

from mlopt.linalg.int8_gemm import ACTIVATIONS

cnp.import_array()

cdef object INT32 = np.dtype(np.int32)
cdef object FLOAT32 = np.dtype(np.float32)
# Multiplications from which the GIL is released, and from which threads are asked for.
cdef double RELEASE_WORK = 64 * 64 * 64
cdef double THREADS_WORK = 128 * 128 * 128


cdef cnp.ndarray as_bytes(x, str name):
    if isinstance(x, cnp.ndarray) and is_bytes(<cnp.ndarray>x):
        return <cnp.ndarray>x
    found = np.asarray(x)
    if found.dtype != np.uint8 and found.dtype != np.int8:
        raise TypeError(f"{name} must be an array of uint8 or int8, got {found.dtype}")
    return found


cdef class PackedInt8Matrix:
    """The right operand of products of bytes, packed once.

    :func:`mlopt.matmul_int8` copies its right operand into panels, four numbers of a column together, as its
    instructions want them. Weights that many inputs are multiplied with can be packed beforehand.

    Parameters
    ----------
    b : array_like of int8 or uint8, shape (k, n)
        The matrix, of any strides. It is copied.

    Attributes
    ----------
    shape : tuple of int
        ``(k, n)``.
    dtype : dtype
        int8 or uint8.

    Raises
    ------
    TypeError
        If `b` is neither int8 nor uint8.
    ValueError
        If `b` does not have two dimensions.

    See Also
    --------
    mlopt.matmul_int8 : Takes it as its second operand.

    Notes
    -----
    A matrix that was packed by one tier is packed again by the first product on another.

    Examples
    --------
    >>> import numpy as np, mlopt
    >>> weights = mlopt.linalg.PackedInt8Matrix(np.array([[1, 2], [3, 4]], np.int8))
    >>> mlopt.matmul_int8(np.array([[1, 1]], np.uint8), weights)
    array([[4, 6]], dtype=int32)
    """

    def __init__(self, b):
        given = as_bytes(b, "b")
        if given.ndim != 2:
            raise ValueError(f"b must have 2 dimensions, got {given.ndim}")
        self.given = np.array(given, order="C")
        self.given.flags.writeable = False
        self.shape = np.shape(given)
        self.dtype = given.dtype
        self.pack(current_table())

    cdef int pack(self, const mlopt_kernels *table) except -1:
        cdef size_t k = cnp.PyArray_DIM(self.given, 0), n = cnp.PyArray_DIM(self.given, 1)
        cdef bint is_signed = cnp.PyArray_TYPE(self.given) == cnp.NPY_INT8
        cdef const void *source = cnp.PyArray_DATA(self.given)
        cdef size_t columns = table.gemm_pack_s8(k, n, NULL, 0, 0, is_signed, NULL)
        cdef cnp.npy_intp length = mlopt_int8_packed_bytes(k, columns)
        cdef cnp.ndarray data = aligned_array(1, &length, cnp.NPY_INT8, False)
        with nogil:
            table.gemm_pack_s8(k, n, source, n, 1, is_signed, <int8_t *>cnp.PyArray_DATA(data))
        with cython.critical_section(self):
            self.table, self.data, self.columns = table, data, columns
        return 0

    cdef cnp.ndarray form_for(self, const mlopt_kernels *table, size_t *columns):
        cdef const mlopt_kernels *has
        while True:
            with cython.critical_section(self):
                has, columns[0], data = self.table, self.columns, self.data
            if has == table:
                return data  # kept: another thread may exchange it from here on
            self.pack(table)

    def __array__(self, dtype=None, copy=None):
        """The matrix, read-only."""
        return np.array(self.given, dtype=dtype, copy=copy)

    def __reduce__(self):
        return PackedInt8Matrix, (self.given,)

    def __repr__(self):
        return f"<PackedInt8Matrix {self.shape[0]} x {self.shape[1]}, {self.dtype}>"


# --- arguments -----------------------------------------------------------------------------------


cdef bint one_integer(value, bint is_signed, int32_t *to) except -1:
    """Takes in a number that is in the operand's range, and says whether it is."""
    if not (-128 if is_signed else 0) <= value <= (127 if is_signed else 255):
        return False
    to[0] = value
    return True


cdef cnp.ndarray per_element(value, str name, Py_ssize_t length, object dtype, bint is_signed):
    """A number, or one for each of so many, as int32; within the operand's range."""
    cdef int low = -128 if is_signed else 0, high = 127 if is_signed else 255
    found = np.asarray(value)
    if found.dtype.kind not in "iu":
        raise TypeError(f"{name} must be an integer or an array of integers, got {found.dtype}")
    if found.ndim > 1 or (found.ndim == 1 and found.shape[0] not in (1, length)):
        raise ValueError(f"{name} must be a number or have shape ({length},), got {found.shape}")
    if found.size and (found.min() < low or found.max() > high):
        raise ValueError(f"{name} must be in the range of {dtype}, {low} to {high}, got {value!r}")
    return np.ascontiguousarray(found.ravel(), np.int32)


cdef cnp.ndarray floats(value, str name, Py_ssize_t length):
    found = np.asarray(value)
    if found.dtype.kind not in "fiu":
        raise TypeError(f"{name} must be a real number or an array of them, got {found.dtype}")
    if found.ndim > 1 or (found.ndim == 1 and found.shape[0] not in (1, length)):
        raise ValueError(f"{name} must be a number or have shape ({length},), got {found.shape}")
    return np.ascontiguousarray(found.ravel(), np.float32)


cdef int64_t reach(bint is_signed, const int32_t *zero, Py_ssize_t count) noexcept:
    """The largest magnitude of an element less its zero point."""
    cdef int64_t low = -128 if is_signed else 0, most = 128 if is_signed else 255, here
    cdef Py_ssize_t i
    for i in range(count):
        here = max(low + 255 - zero[i], zero[i] - low)
        most = here if i == 0 else max(most, here)
    return most


cdef int check_depth(size_t k, int64_t a, int64_t b) except -1:
    if a * b * <int64_t>k > 0x7fffffff:
        raise ValueError(f"k must be at most {0x7fffffff // (a * b)}, got {k}: sums of products of up to {a} * {b} may "
                         "not fit 32 bits beyond")
    return 0


cdef tuple unwrapped(a, b, a_zero_point, b_zero_point, scale, out, out_dtype):
    """Of a QuantizedArray its bytes and zero point; of two of them the scale as well, unless sums are wanted."""
    from mlopt.quantization.arrays import QuantizedArray
    left, right = isinstance(a, QuantizedArray), isinstance(b, QuantizedArray)
    if left and a.axis is not None:
        raise ValueError(f"a must have one scale, got one for each channel along axis {a.axis}")
    if right and b.axis not in (None, 1):
        raise ValueError(f"b must have one scale or one for each column, got one for each channel along axis {b.axis}")
    for name, zero, quantized in (("a", a_zero_point, left), ("b", b_zero_point, right)):
        if quantized and zero is not 0:
            raise ValueError(f"{name}_zero_point must be left out with a QuantizedArray, got {zero!r}")
    if left and right and scale is None:
        wanted = out.dtype if out_dtype is None and isinstance(out, cnp.ndarray) else out_dtype
        if wanted is None or wanted not in ("int32", np.int32, INT32):
            scale = a.scale * b.scale
    return (a.data if left else a, b.data if right else b, a.zero_point if left else a_zero_point,
            b.zero_point if right else b_zero_point, scale)


def matmul_int8(a, b, out=None, *, a_zero_point=0, b_zero_point=0, scale=None, bias=None, activation="identity",
                out_dtype=None, out_scale=1.0, out_zero_point=0, num_threads=None):
    """Matrix product of 8-bit integers with exact 32-bit sums, and what is made of them.

    The sums are ``(a - a_zero_point) @ (b - b_zero_point) + bias`` in int32. With `scale`, results are real numbers,
    ``activation(sums * scale)``, in float32; with an `out_dtype` of 8 bits as well, they are quantised again:
    ``round(real / out_scale) + out_zero_point``, saturated.

    Parameters
    ----------
    a : array_like of uint8 or int8, shape (..., k), or QuantizedArray
        The left operand. A :class:`mlopt.QuantizedArray` brings its zero point. Contiguous along k, uint8 and k a
        multiple of 4, it is read in place; otherwise rows are copied, which costs little where n is large.
    b : array_like of int8 or uint8, shape (k, n), or PackedInt8Matrix or QuantizedArray
        The right operand. Two quantised arrays bring their scales as well: the result is real by default.
    out : ndarray, optional
        Where to store the result: of its shape and dtype, C-contiguous, writable, apart from all other arguments.
    a_zero_point : int or array_like of int, shape (m,), default 0
        What stands for zero in `a`, or in each of its rows; in the range of its dtype.
    b_zero_point : int or array_like of int, shape (n,), default 0
        What stands for zero in `b`, or in each of its columns.
    scale : float or array_like of float, shape (n,), optional
        What one unit of the sums is worth: the product of the scales of `a` and `b`. Not with int32 results.
    bias : array_like, shape (n,), optional
        Integers are added to the sums (modulo 2**32), floats to the real numbers before the activation.
    activation : {"identity", "relu", "tanh", "sigmoid", "gelu", "silu"}, default "identity"
        Of the real numbers.
    out_dtype : {int32, float32, uint8, int8}, optional
        Of the result: that of `out`, else int32 without and float32 with `scale`.
    out_scale : float, default 1.0
        What one unit of an 8-bit result is worth.
    out_zero_point : int, default 0
        What stands for zero in an 8-bit result.
    num_threads : int, optional
        At most so many threads, whatever :func:`mlopt.set_num_threads` says.

    Returns
    -------
    ndarray, shape (..., n)
        The result, `out` if that was given.

    Raises
    ------
    TypeError
        If an operand is not of 8 bits, or another argument not of its type.
    ValueError
        If shapes do not fit, a zero point is out of range, an argument does not go with the result's type, or sums
        might not fit 32 bits: k times the largest magnitudes of ``a - a_zero_point`` and ``b - b_zero_point`` must be
        below 2**31, which holds for k up to 65793 for uint8 by int8 without zero points, 33025 for uint8 by uint8.
    MemoryError
        If there is no memory for the workspace.

    See Also
    --------
    mlopt.linalg.PackedInt8Matrix : A right operand that is used again and again.
    mlopt.matmul : Products of floating-point numbers.

    Notes
    -----
    2 m n k operations. Sums are exact; 8-bit results follow ONNX's QLinearMatMul, with ties to even and the scales
    multiplied beforehand (``scale = a_scale * b_scale / y_scale``); the result does not depend on the number of
    threads, nor on the tier but for the last bits of activations other than relu. With `out_scale` other than 1, real
    numbers are multiplied by its reciprocal in float32.

    Examples
    --------
    >>> import numpy as np, mlopt
    >>> a = np.array([[130, 128, 127, 0]], np.uint8)
    >>> b = np.array([[1, -1], [2, -2], [3, -3], [4, 127]], np.int8)
    >>> mlopt.matmul_int8(a, b, a_zero_point=128)
    array([[  -513, -16255]], dtype=int32)
    >>> mlopt.matmul_int8(a, b, a_zero_point=128, scale=0.01, out_dtype=np.int8)
    array([[  -5, -128]], dtype=int8)

    The real product of quantised arrays:

    >>> x = mlopt.quantize(np.array([[0.5, 1.0, -1.0]]), dtype="uint8")
    >>> w = mlopt.quantize(np.array([[1.0, 10.0], [2.0, 20.0], [3.0, -30.0]]), axis=1)
    >>> mlopt.matmul_int8(x, w).round(1)
    array([[-0.5, 54.9]], dtype=float32)
    """
    if not (isinstance(a, cnp.ndarray) and (isinstance(b, cnp.ndarray) or isinstance(b, PackedInt8Matrix))):
        a, b, a_zero_point, b_zero_point, scale = unwrapped(a, b, a_zero_point, b_zero_point, scale, out, out_dtype)
    cdef mlopt_int8_job job
    cdef cnp.ndarray left = as_bytes(a, "a"), right = None, result, a_zero = None, b_zero = None
    cdef cnp.ndarray scales = None, integers = None, shift = None, rows
    cdef PackedInt8Matrix packed = None
    cdef int32_t one_a_zero = 0, one_b_zero = 0
    cdef float one_scale
    cdef const mlopt_kernels *table = current_table()
    cdef cnp.npy_intp shape[2]
    cdef int ndim = cnp.PyArray_NDIM(left), threads = 1, kind, status
    if ndim == 0:
        raise ValueError("a must have at least 1 dimension, got a scalar")
    if isinstance(b, PackedInt8Matrix):
        packed = <PackedInt8Matrix>b
        job.b_signed = cnp.PyArray_TYPE(packed.given) == cnp.NPY_INT8
        job.k, job.n = cnp.PyArray_DIM(packed.given, 0), cnp.PyArray_DIM(packed.given, 1)
    else:
        right = as_bytes(b, "b")
        if cnp.PyArray_NDIM(right) != 2:
            raise ValueError(f"b must have shape (k, n), got {np.shape(right)}")
        job.b_signed = cnp.PyArray_TYPE(right) == cnp.NPY_INT8
        job.k, job.n = cnp.PyArray_DIM(right, 0), cnp.PyArray_DIM(right, 1)
    job.a_signed = cnp.PyArray_TYPE(left) == cnp.NPY_INT8
    if <size_t>cnp.PyArray_DIM(left, ndim - 1) != job.k:
        raise ValueError(f"a must have shape (..., {job.k}) to be multiplied with b of shape ({job.k}, {job.n}), got "
                         f"{np.shape(left)}")
    if ndim == 2:
        rows = left
    else:
        rows = left.reshape(-1, job.k) if job.k else np.empty((int(np.prod(np.shape(left)[:ndim - 1])), 0), left.dtype)
    job.m = cnp.PyArray_DIM(rows, 0)

    # zero points and scales: one number, or one for each
    job.a_zero = job.b_zero = NULL
    job.a_zero_step = job.b_zero_step = 0
    if type(a_zero_point) is int and one_integer(a_zero_point, job.a_signed, &one_a_zero):
        job.a_zero = &one_a_zero
    else:
        a_zero = per_element(a_zero_point, "a_zero_point", job.m, left.dtype, job.a_signed)
        job.a_zero, job.a_zero_step = <int32_t *>cnp.PyArray_DATA(a_zero), cnp.PyArray_DIM(a_zero, 0) > 1
    if type(b_zero_point) is int and one_integer(b_zero_point, job.b_signed, &one_b_zero):
        job.b_zero = &one_b_zero
    else:
        b_zero = per_element(b_zero_point, "b_zero_point", job.n, packed.dtype if packed is not None else right.dtype,
                             job.b_signed)
        job.b_zero, job.b_zero_step = <int32_t *>cnp.PyArray_DATA(b_zero), cnp.PyArray_DIM(b_zero, 0) > 1
    if job.k > 0x7fffffff // 65025:
        check_depth(job.k, reach(job.a_signed, job.a_zero, 1 if a_zero is None else cnp.PyArray_DIM(a_zero, 0)),
                    reach(job.b_signed, job.b_zero, 1 if b_zero is None else cnp.PyArray_DIM(b_zero, 0)))

    # the result
    if out is not None and not isinstance(out, cnp.ndarray):
        raise TypeError(f"out must be an ndarray, not {type(out).__name__}")
    if out_dtype is None:
        dtype = out.dtype if out is not None else INT32 if scale is None else FLOAT32
    else:
        try:
            dtype = np.dtype(out_dtype)
        except TypeError:
            raise TypeError(f"out_dtype must be int32, float32, uint8 or int8, got {out_dtype!r}") from None
    kind = kind_of(<cnp.dtype>dtype)
    if kind < 0:
        raise TypeError(f"{'out_dtype' if out_dtype is not None else 'out'} must be int32, float32, uint8 or int8, "
                        f"got {dtype}")
    job.result.kind = <mlopt_int8_kind>kind
    set_result(&job, scale, bias, activation, out_scale, out_zero_point, dtype)
    if type(scale) is float or (scale is not None and isinstance(scale, np.float32)):
        one_scale = scale
        job.result.scale = &one_scale
    elif scale is not None:
        scales = floats(scale, "scale", job.n)
        job.result.scale, job.result.scale_step = <float *>cnp.PyArray_DATA(scales), cnp.PyArray_DIM(scales, 0) > 1
    if bias is not None:
        integers, shift = checked_bias(bias, job.n, kind == MLOPT_INT8_TO_S32)
        if integers is not None:
            job.result.bias = <int32_t *>cnp.PyArray_DATA(integers)
        else:
            job.result.shift = <float *>cnp.PyArray_DATA(shift)
    if out is None:
        shape[0], shape[1] = job.m, job.n
        result = aligned_array(2, shape, (<cnp.dtype>dtype).type_num, False)
    else:
        result = <cnp.ndarray>out
        check_out(result, left, job.n, dtype)
        check_apart(result, left, "a")
        check_apart(result, right, "b")
        check_apart(result, a_zero, "a_zero_point")
        check_apart(result, b_zero, "b_zero_point")
        check_apart(result, scales, "scale")
        check_apart(result, integers, "bias")
        check_apart(result, shift, "bias")

    job.a = cnp.PyArray_DATA(rows)
    job.a_row, job.a_column = cnp.PyArray_STRIDE(rows, 0), cnp.PyArray_STRIDE(rows, 1)
    job.a_padded = False
    job.c, job.c_row = cnp.PyArray_DATA(result), job.n
    job.packed = NULL
    job.packed_first = job.packed_columns = 0
    job.b, job.b_row, job.b_column = NULL, 0, 0
    if packed is not None:
        right = packed.form_for(table, &job.packed_columns)
        job.packed = <int8_t *>cnp.PyArray_DATA(right)
    else:
        job.b = cnp.PyArray_DATA(right)
        job.b_row, job.b_column = cnp.PyArray_STRIDE(right, 0), cnp.PyArray_STRIDE(right, 1)
    cdef double work = <double>job.m * <double>job.n * <double>job.k
    if num_threads is not None:
        threads = checked_threads(num_threads)
    elif work >= THREADS_WORK:
        threads = team_size()
    if work < RELEASE_WORK:
        status = run_int8(table, &job, threads)
    else:
        with nogil:
            status = run_int8(table, &job, threads)
    if status != 0:
        raise MemoryError("no memory for the workspace of a matrix product")
    if out is not None:
        return out
    return result if ndim == 2 else result.reshape(np.shape(left)[:ndim - 1] + (job.n,))


cdef int set_result(mlopt_int8_job *job, scale, bias, activation, out_scale, out_zero_point, dtype) except -1:
    cdef bint to_bytes = job.result.kind == MLOPT_INT8_TO_U8 or job.result.kind == MLOPT_INT8_TO_S8
    if not isinstance(activation, str):
        raise TypeError(f"activation must be a string, not {type(activation).__name__}")
    if activation not in ACTIVATIONS:
        raise ValueError(f"activation={activation!r} is not one of: {', '.join(ACTIVATIONS)}")
    job.result.activation = ACTIVATIONS.index(activation)
    job.result.bias = NULL
    job.result.scale = job.result.shift = NULL
    job.result.scale_step = 0
    job.result.out_multiplier, job.result.out_zero = 1, 0
    if job.result.kind == MLOPT_INT8_TO_S32:
        if scale is not None:
            raise ValueError(f"scale={scale!r} needs an out_dtype of float32, uint8 or int8, got int32")
        if activation != "identity":
            raise ValueError(f"activation={activation!r} needs an out_dtype of float32, uint8 or int8, got int32")
    elif scale is None:
        raise ValueError(f"scale must be given for an out_dtype of {dtype}")
    if not to_bytes:
        if out_scale is not 1.0 and out_scale != 1:
            raise ValueError(f"out_scale={out_scale!r} needs an out_dtype of uint8 or int8, got {dtype}")
        if out_zero_point is not 0 and out_zero_point != 0:
            raise ValueError(f"out_zero_point={out_zero_point!r} needs an out_dtype of uint8 or int8, got {dtype}")
        return 0
    cdef double of_out
    try:
        of_out = out_scale
    except TypeError:
        raise TypeError(f"out_scale must be a real number, not {type(out_scale).__name__}") from None
    if not isfinite(of_out) or of_out <= 0:
        raise ValueError(f"out_scale must be positive and finite, got {out_scale!r}")
    try:
        zero = operator.index(out_zero_point)
    except TypeError:
        raise TypeError(f"out_zero_point must be an integer, not {type(out_zero_point).__name__}") from None
    low = 0 if job.result.kind == MLOPT_INT8_TO_U8 else -128
    if not low <= zero <= low + 255:
        raise ValueError(f"out_zero_point must be in the range of {dtype}, {low} to {low + 255}, got {zero}")
    job.result.out_multiplier = <float>1 / <float>of_out
    if not isfinite(job.result.out_multiplier) or job.result.out_multiplier == 0:
        raise ValueError(f"out_scale must have a reciprocal in float32, got {out_scale!r}")
    job.result.out_zero = zero
    return 0


cdef tuple checked_bias(bias, Py_ssize_t n, bint integers_only):
    found = np.asarray(bias)
    if found.shape != (n,):
        raise ValueError(f"bias must have shape ({n},), got {found.shape}")
    if found.dtype.kind in "iu":
        if found.size and (found.min() < -0x80000000 or found.max() > 0x7fffffff):
            raise ValueError("bias must be in the range of int32")
        return np.ascontiguousarray(found, np.int32), None
    if found.dtype.kind != "f" or integers_only:
        expected = "integers for an out_dtype of int32" if integers_only else "integers or real numbers"
        raise TypeError(f"bias must be an array of {expected}, got {found.dtype}")
    return None, np.ascontiguousarray(found, np.float32)


cdef int check_out(cnp.ndarray out, cnp.ndarray left, Py_ssize_t n, dtype) except -1:
    cdef int i, last = cnp.PyArray_NDIM(left) - 1
    cdef bint fits = cnp.PyArray_NDIM(out) == last + 1 and cnp.PyArray_DIM(out, last) == n
    if kind_of(out.dtype) != kind_of(dtype):
        raise TypeError(f"out must be an array of {dtype}, got {out.dtype}")
    for i in range(last):
        fits = fits and cnp.PyArray_DIM(out, i) == cnp.PyArray_DIM(left, i)
    if not fits:
        raise ValueError(f"out must have shape {np.shape(left)[:last] + (n,)}, got {np.shape(out)}")
    if not cnp.PyArray_ISWRITEABLE(out):
        raise ValueError("out must be writable, got a read-only array")
    if not cnp.PyArray_IS_C_CONTIGUOUS(out) or not cnp.PyArray_ISALIGNED(out):
        raise ValueError("out must be C-contiguous and aligned")
    return 0


cdef int check_apart(cnp.ndarray out, cnp.ndarray other, str name) except -1:
    if other is not None and overlap(out, other):
        raise ValueError(f"out must not overlap {name}")
    return 0


__all__ = ["PackedInt8Matrix", "matmul_int8"]  # and Int8Product, for tests and benchmarks
