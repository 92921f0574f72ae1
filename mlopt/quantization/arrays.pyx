"""Quantised arrays: what they are, how they are made, and how they become real numbers again."""
import operator

import numpy as np

cimport numpy as cnp
from libc.math cimport isfinite
from libc.stdint cimport int32_t, uint8_t

from mlopt._kernels.core cimport current_table
from mlopt._kernels.dispatch cimport mlopt_kernels
from mlopt.linalg.operands cimport overlap

cnp.import_array()

cdef extern from "walk.h" nogil:
    ctypedef struct mlopt_channels:
        const mlopt_kernels *table
        size_t outer
        size_t channels
        size_t inner
    ctypedef enum mlopt_scheme:
        AFFINE "MLOPT_AFFINE"
        SYMMETRIC "MLOPT_SYMMETRIC"
        DYNAMIC "MLOPT_DYNAMIC"
    void mlopt_quantize_channels(const mlopt_channels *, const float *, const float *, const int32_t *,
                                 const int32_t *limits, uint8_t *)
    void mlopt_dequantize_channels(const mlopt_channels *, const uint8_t *, const float *, const int32_t *,
                                   bint is_signed, float *)
    void mlopt_channel_ranges(const mlopt_channels *, const float *, float *low, float *high)
    void mlopt_choose(mlopt_scheme, float low, float high, int32_t lowest, float *scale, int32_t *zero_point)

# Elements from which a call outlasts taking the GIL back.
cdef enum:
    RELEASE_GIL = 16384

_Float32 = np.float32
_INT8, _UINT8, _FLOAT32 = np.dtype(np.int8), np.dtype(np.uint8), np.dtype(np.float32)


# A byte type of the caller's: its NumPy type number.
cdef int byte_type(object dtype) except -1:
    if dtype == "int8" or dtype is np.int8:
        return cnp.NPY_BYTE
    if dtype == "uint8" or dtype is np.uint8:
        return cnp.NPY_UBYTE
    try:
        given = np.dtype(dtype)
    except TypeError:
        given = None
    if given == _INT8:
        return cnp.NPY_BYTE
    if given == _UINT8:
        return cnp.NPY_UBYTE
    raise TypeError(f"dtype is {dtype!r}; expected int8 or uint8")


cdef inline int32_t lowest_of(int type_num) noexcept:
    return -128 if type_num == cnp.NPY_BYTE else 0


# Numbers as NumPy's scalars, of the types of these.
cdef cnp.ndarray _a_float, _an_int8, _a_uint8
_a_float, _an_int8, _a_uint8 = np.zeros((), np.float32), np.zeros((), np.int8), np.zeros((), np.uint8)


cdef inline object byte_scalar(int type_num, int32_t number):
    cdef uint8_t byte = <uint8_t>number
    return cnp.PyArray_ToScalar(&byte, _an_int8 if type_num == cnp.NPY_BYTE else _a_uint8)


cdef inline object float_scalar(float number):
    return cnp.PyArray_ToScalar(&number, _a_float)


# The channels' place in an array of ndim dimensions, or -1 for None.
cdef int axis_of(object axis, int ndim) except -2:
    if axis is None:
        return -1
    try:
        number = operator.index(axis)
    except TypeError:
        raise TypeError(f"axis must be an integer or None, not {type(axis).__name__}") from None
    if not -ndim <= number < ndim:
        raise ValueError(f"axis is {number}; an array of {ndim} dimensions has axes from {-ndim} to {ndim - 1}")
    return number + ndim if number < 0 else number


# (outer, channels, inner) of a contiguous array of either order.
cdef mlopt_channels layout(const mlopt_kernels *table, cnp.ndarray array, int axis):
    cdef mlopt_channels a = mlopt_channels(table, 1, 1, 1)
    cdef int i
    cdef bint reverse = not cnp.PyArray_IS_C_CONTIGUOUS(array)
    if axis < 0:
        a.inner = cnp.PyArray_SIZE(array)
        return a
    for i in range(cnp.PyArray_NDIM(array)):
        if i == axis:
            a.channels = cnp.PyArray_DIM(array, i)
        elif (i < axis) != reverse:
            a.outer *= cnp.PyArray_DIM(array, i)
        else:
            a.inner *= cnp.PyArray_DIM(array, i)
    return a


# Whether both lie in memory in the same order, without gaps.
cdef inline bint alike(cnp.ndarray x, cnp.ndarray y) noexcept:
    return (cnp.PyArray_IS_C_CONTIGUOUS(x) and cnp.PyArray_IS_C_CONTIGUOUS(y)) or \
        (cnp.PyArray_IS_F_CONTIGUOUS(x) and cnp.PyArray_IS_F_CONTIGUOUS(y))


# The array, or a copy, without gaps and of the machine's byte order.
cdef cnp.ndarray packed(cnp.ndarray a):
    if (cnp.PyArray_IS_C_CONTIGUOUS(a) or cnp.PyArray_IS_F_CONTIGUOUS(a)) and cnp.PyArray_ISBEHAVED_RO(a):
        return a
    return np.array(a, (<object>a).dtype.newbyteorder("="), order="C")


# An empty array that lies as the other.
cdef inline cnp.ndarray like(cnp.ndarray array, int type_num):
    return cnp.PyArray_EMPTY(cnp.PyArray_NDIM(array), cnp.PyArray_DIMS(array), type_num,
                             not cnp.PyArray_IS_C_CONTIGUOUS(array))


# Real numbers as float32, without gaps.
cdef cnp.ndarray real_input(object x, str name):
    if type(x) is cnp.ndarray and cnp.PyArray_TYPE(<cnp.ndarray>x) == cnp.NPY_FLOAT:
        return packed(x)
    if isinstance(x, np.ma.MaskedArray):
        raise TypeError(f"{name} is a masked array; fill or compress it first")
    given = np.asarray(x)
    if given.dtype.kind not in "biuf":
        raise TypeError(f"{name} has elements of type {given.dtype}; expected real numbers")
    with np.errstate(over="ignore", invalid="ignore"):
        return packed(np.asarray(given, np.float32))


# The caller's output: its shape and type are right, and it can be written to.
cdef int check_out(object out, tuple shape, object dtype) except -1:
    if not isinstance(out, np.ndarray) or isinstance(out, np.ma.MaskedArray):
        raise TypeError(f"out must be an ndarray, not {type(out).__name__}")
    if out.dtype != dtype:
        raise TypeError(f"out is an array of {out.dtype}; expected {dtype}")
    if out.shape != shape:
        raise ValueError(f"out has shape {out.shape}; expected {shape}")
    if not out.flags.writeable:
        raise ValueError("out is read-only; expected an array to write to")
    return 0


# Whether the kernels can write to out what they read from source.
cdef inline bint direct(cnp.ndarray out, cnp.ndarray source) noexcept:
    return alike(out, source) and cnp.PyArray_ISBEHAVED(out) and not overlap(out, source)


# Scales as the caller gave them: a float32, or a vector of them.
cdef object checked_scale(object scale, object axis, tuple shape):
    cdef float number
    if axis is None and isinstance(scale, (float, _Float32)):
        number = scale
        if number > 0 and isfinite(number):
            return scale if type(scale) is _Float32 else float_scalar(number)
    given = np.asarray(scale)
    if given.dtype.kind not in "iuf":
        raise TypeError(f"scale has elements of type {given.dtype}; expected real numbers")
    check_channels(given, "scale", axis, shape)
    if given.dtype == _FLOAT32:
        numbers = np.array(given, _FLOAT32)
    else:
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            numbers = np.array(given, _FLOAT32)
    cdef const float *values = <const float *>cnp.PyArray_DATA(<cnp.ndarray>numbers)
    cdef Py_ssize_t i
    for i in range(cnp.PyArray_SIZE(<cnp.ndarray>numbers)):
        if not (values[i] > 0 and isfinite(values[i])):
            raise ValueError(f"scale is {given[i] if given.ndim else given}; expected a positive, finite float32")
    return numbers if given.ndim else float_scalar(values[0])


cdef int check_channels(object given, str name, object axis, tuple shape) except -1:
    if given.ndim == 0 and axis is None:
        return 0
    if axis is None:
        raise ValueError(f"{name} has shape {given.shape}, and axis is None; expected one number, or an axis")
    if given.ndim != 1 or given.shape[0] != shape[axis]:
        raise ValueError(f"{name} has shape {given.shape}; expected ({shape[axis]},), a number for each channel "
                         f"along axis {axis}")
    return 0


# Zero points as the caller gave them, in the type of the bytes.
cdef object checked_zero_point(object zero_point, int type_num, object axis, tuple shape):
    if type(zero_point) is int and lowest_of(type_num) <= zero_point <= lowest_of(type_num) + 255:
        if axis is None:
            return byte_scalar(type_num, zero_point)
        return np.full(shape[axis], zero_point, _INT8 if type_num == cnp.NPY_BYTE else _UINT8)
    given = np.asarray(zero_point)
    if given.dtype.kind not in "iu":
        raise TypeError(f"zero_point has elements of type {given.dtype}; expected integers")
    cdef int32_t lowest = lowest_of(type_num)
    dtype = _INT8 if type_num == cnp.NPY_BYTE else _UINT8
    if given.ndim == 0 and axis is not None:
        given = np.full(shape[axis], given)
    check_channels(given, "zero_point", axis, shape)
    wrong = (given < lowest) | (given > lowest + 255)
    if wrong.any():
        raise ValueError(f"zero_point is {given[wrong][0] if given.ndim else given}; expected a number of {dtype}, "
                         f"from {lowest} to {lowest + 255}")
    return given.astype(dtype) if given.ndim else byte_scalar(type_num, given)


cdef object checked_index(object part):
    try:
        if not isinstance(part, (bool, np.bool_)):
            return operator.index(part)
    except TypeError:
        pass
    raise TypeError("indices of a QuantizedArray must be integers, slices, ellipsis (`...`) or None, "
                    f"not {type(part).__name__}")


cdef class QuantizedArray:
    """An array of bytes that stand for real numbers: ``(data - zero_point) * scale``.

    Parameters
    ----------
    data : ndarray of int8 or uint8
        The bytes, of any shape and strides. They are not copied.
    scale : float or array_like, shape (channels,)
        The distance of neighbouring numbers: positive, held as float32. One number for the whole array, or one
        for each channel along `axis`.
    zero_point : int or array_like, optional
        The byte that stands for 0, of the same shape as `scale` or one number; 0 by default.
    axis : int, optional
        The axis along which scales differ; None where there is one scale.

    Attributes
    ----------
    data : ndarray
        The bytes.
    scale : float32 or ndarray of float32
        Read-only.
    zero_point : int8, uint8 or ndarray
        In the type of `data`; read-only.
    axis : int or None
        Counted from the front.

    Raises
    ------
    TypeError
        If `data` is not an array of int8 or uint8, `scale` not of real numbers, `zero_point` not of integers.
    ValueError
        If a scale is not positive and finite, a zero point is outside the type of `data`, `axis` is not one of
        `data`, or a shape does not fit the channels.

    See Also
    --------
    mlopt.quantize : Makes one from real numbers.

    Notes
    -----
    The format is that of ONNX's QuantizeLinear and DequantizeLinear, per tensor and per axis. Where an array is
    expected, such as by ``numpy.asarray``, it gives its numbers, not its bytes.

    Examples
    --------
    >>> import numpy as np, mlopt
    >>> q = mlopt.QuantizedArray(np.array([[-2, 0, 2], [1, 2, 3]], np.int8), scale=[0.5, 10.0], axis=0)
    >>> np.asarray(q)
    array([[-1.,  0.,  1.],
           [10., 20., 30.]], dtype=float32)
    >>> q[1, 1:]
    QuantizedArray([2, 3], dtype=int8, scale=10.0, zero_point=0)
    """
    cdef readonly object data
    cdef readonly object scale
    cdef readonly object zero_point
    cdef readonly object axis

    def __init__(self, data, scale, zero_point=0, axis=None):
        if not isinstance(data, np.ndarray) or isinstance(data, np.ma.MaskedArray):
            raise TypeError(f"data must be an ndarray of int8 or uint8, not {type(data).__name__}")
        if data.dtype != _INT8 and data.dtype != _UINT8:
            raise TypeError(f"data is an array of {data.dtype}; expected int8 or uint8")
        cdef int place = axis_of(axis, data.ndim)
        channel_axis = None if place < 0 else place
        scales = checked_scale(scale, channel_axis, data.shape)
        zeros = checked_zero_point(zero_point, cnp.PyArray_TYPE(<cnp.ndarray>data), channel_axis, data.shape)
        fill(self, data.view(np.ndarray), scales, zeros, channel_axis)

    @property
    def shape(self):
        """The lengths of the axes."""
        return self.data.shape

    @property
    def ndim(self):
        """The number of axes."""
        return self.data.ndim

    @property
    def size(self):
        """The number of elements."""
        return self.data.size

    @property
    def dtype(self):
        """The type of the bytes, int8 or uint8."""
        return self.data.dtype

    @property
    def nbytes(self):
        """The bytes that data, scales and zero points take."""
        return self.data.nbytes + self.scale.nbytes + self.zero_point.nbytes

    @property
    def T(self):
        """The transpose: a view of the same bytes."""
        axis = None if self.axis is None else self.data.ndim - 1 - self.axis
        return make(self.data.T, self.scale, self.zero_point, axis)

    def dequantize(self, out=None):
        """The real numbers: ``(data - zero_point) * scale`` in float32.

        Parameters
        ----------
        out : ndarray of float32, optional
            Where to store them.

        Returns
        -------
        ndarray of float32
            `out`, or a new array.

        Raises
        ------
        TypeError, ValueError
            If `out` is not a writable array of float32 of this shape.

        Notes
        -----
        The difference is exact and the product is rounded once: the bits of ONNX's DequantizeLinear.

        Examples
        --------
        >>> import numpy as np, mlopt
        >>> mlopt.QuantizedArray(np.array([125, 130], np.uint8), scale=0.25, zero_point=128).dequantize()
        array([-0.75,  0.5 ], dtype=float32)
        """
        return dequantized(self, out)

    def copy(self):
        """The same with bytes of its own."""
        return make(self.data.copy(order="K"), self.scale, self.zero_point, self.axis)

    def __array__(self, dtype=None, copy=None):
        """The real numbers: always a new array."""
        if copy is False:
            raise ValueError("a QuantizedArray cannot become an array without a copy")
        numbers = dequantized(self, None)
        return numbers if dtype is None else numbers.astype(dtype, copy=False)

    def __getitem__(self, key):
        """A view of some of the elements, by integers, slices, an ellipsis and None."""
        keys, taken = [], 0
        for part in key if isinstance(key, tuple) else (key,):
            if part is not None and part is not Ellipsis:
                taken += 1
                if not isinstance(part, slice):
                    part = checked_index(part)
            keys.append(part)
        if Ellipsis not in keys:
            keys.append(Ellipsis)
        data = self.data[tuple(keys)]
        if self.axis is None:
            return make(data, self.scale, self.zero_point, None)
        cdef int place = 0, new_place = 0
        for part in keys:
            if part is None:
                new_place += 1
                continue
            if part is Ellipsis:
                count = self.data.ndim - taken
                if place <= self.axis < place + count:
                    return make(data, self.scale, self.zero_point, new_place + self.axis - place)
                place += count
                new_place += count
                continue
            if place == self.axis:
                axis = new_place if isinstance(part, slice) else None
                return make(data, self.scale[part], self.zero_point[part], axis)
            place += 1
            new_place += isinstance(part, slice)
        raise AssertionError("the axis of the channels is among those of data")

    def __len__(self):
        if self.data.ndim == 0:
            raise TypeError("len() of a QuantizedArray without dimensions")
        return self.data.shape[0]

    def __iter__(self):
        if self.data.ndim == 0:
            raise TypeError("iteration over a QuantizedArray without dimensions")
        return (self[i] for i in range(self.data.shape[0]))

    def __copy__(self):
        return self.copy()

    def __deepcopy__(self, memo):
        return self.copy()

    def __reduce__(self):
        return QuantizedArray, (np.ascontiguousarray(self.data) if self.data.ndim else self.data.copy(),
                                self.scale, self.zero_point, self.axis)

    def __repr__(self):
        def words(numbers):
            return np.array2string(numbers, separator=", ", threshold=6) if self.axis is not None else str(numbers)

        shown = np.array2string(self.data, separator=", ", prefix="QuantizedArray(", threshold=100)
        where = "" if self.axis is None else f", axis={self.axis}"
        return (f"QuantizedArray({shown}, dtype={self.data.dtype}, scale={words(self.scale)}, "
                f"zero_point={words(self.zero_point)}{where})")


cdef inline int fill(QuantizedArray q, object data, object scale, object zero_point, object axis) except -1:
    if axis is not None:
        (<cnp.ndarray>scale).flags.writeable = False
        (<cnp.ndarray>zero_point).flags.writeable = False
    q.data, q.scale, q.zero_point, q.axis = data, scale, zero_point, axis
    return 0


# Of parts that are known to be right.
cdef inline QuantizedArray make(object data, object scale, object zero_point, object axis):
    cdef QuantizedArray q = QuantizedArray.__new__(QuantizedArray)
    fill(q, data, scale, zero_point, axis)
    return q


cdef int run_dequantize(cnp.ndarray source, cnp.ndarray result, object scale, object zero_point, int axis) except -1:
    cdef mlopt_channels a = layout(current_table(), source, axis)
    cdef float scale_number
    cdef int32_t zero_number
    cdef const float *scales
    cdef const int32_t *zeros
    cdef cnp.ndarray wide_zeros, flat_scales
    cdef const uint8_t *x = <const uint8_t *>cnp.PyArray_DATA(source)
    cdef float *out = <float *>cnp.PyArray_DATA(result)
    cdef bint is_signed = cnp.PyArray_TYPE(source) == cnp.NPY_BYTE
    if axis < 0:
        scale_number, zero_number = scale, zero_point
        scales, zeros = &scale_number, &zero_number
    else:
        flat_scales, wide_zeros = np.ascontiguousarray(scale), np.array(zero_point, np.int32)
        scales, zeros = <const float *>cnp.PyArray_DATA(flat_scales), <const int32_t *>cnp.PyArray_DATA(wide_zeros)
    if cnp.PyArray_SIZE(source) < RELEASE_GIL:
        mlopt_dequantize_channels(&a, x, scales, zeros, is_signed, out)
    else:
        with nogil:
            mlopt_dequantize_channels(&a, x, scales, zeros, is_signed, out)
    return 0


# NumPy lets anyone who holds an array give it another shape or type, in place.
cdef int check_intact(QuantizedArray q) except -1:
    cdef cnp.ndarray data
    if q.data is None:
        raise ValueError("a QuantizedArray without data: its __init__ was not called")
    data = q.data
    if cnp.PyArray_TYPE(data) != cnp.NPY_BYTE and cnp.PyArray_TYPE(data) != cnp.NPY_UBYTE:
        raise ValueError(f"data has become an array of {(<object>data).dtype}; expected int8 or uint8")
    if q.axis is not None:
        shape = (<object>data).shape
        if not q.axis < len(shape) or shape[q.axis] != len(q.scale) or len(q.scale) != len(q.zero_point):
            raise ValueError(f"data has got the shape {shape}, which does not fit {len(q.scale)} channels along axis "
                             f"{q.axis}")
    return 0


cdef object dequantized(QuantizedArray q, object out):
    check_intact(q)
    cdef cnp.ndarray source = packed(q.data)
    cdef cnp.ndarray result
    cdef int axis = -1 if q.axis is None else q.axis
    if out is not None:
        check_out(out, q.data.shape, _FLOAT32)
        if direct(out, source):
            run_dequantize(source, out, q.scale, q.zero_point, axis)
            return out
    result = like(source, cnp.NPY_FLOAT)
    run_dequantize(source, result, q.scale, q.zero_point, axis)
    if out is None:
        return result
    np.copyto(out, result)
    return out


def dequantize(q, out=None):
    """The real numbers that a quantised array stands for.

    Parameters
    ----------
    q : QuantizedArray
        The array.
    out : ndarray of float32, optional
        Where to store them.

    Returns
    -------
    ndarray of float32
        ``(q.data - q.zero_point) * q.scale``.

    Raises
    ------
    TypeError
        If `q` is not a QuantizedArray, or `out` not an array of float32.
    ValueError
        If `out` does not have the shape of `q` or cannot be written to.

    See Also
    --------
    QuantizedArray.dequantize : The same as a method.

    Examples
    --------
    >>> import numpy as np, mlopt
    >>> mlopt.dequantize(mlopt.quantize(np.array([-1.0, 0.0, 0.5]), scale=0.25))
    array([-1. ,  0. ,  0.5], dtype=float32)
    """
    if not isinstance(q, QuantizedArray):
        raise TypeError(f"q must be a QuantizedArray, not {type(q).__name__}")
    return dequantized(<QuantizedArray>q, out)


cdef int run_quantize(cnp.ndarray source, cnp.ndarray result, const float *scales, const int32_t *zeros, int axis,
                      bint narrow) except -1:
    cdef mlopt_channels a = layout(current_table(), source, axis)
    cdef const float *x = <const float *>cnp.PyArray_DATA(source)
    cdef uint8_t *out = <uint8_t *>cnp.PyArray_DATA(result)
    cdef int32_t lowest = lowest_of(cnp.PyArray_TYPE(result))
    cdef int32_t[2] limits
    limits[0], limits[1] = lowest + narrow, lowest + 255
    if cnp.PyArray_SIZE(source) < RELEASE_GIL:
        mlopt_quantize_channels(&a, x, scales, zeros, limits, out)
    else:
        with nogil:
            mlopt_quantize_channels(&a, x, scales, zeros, limits, out)
    return 0


# The bytes of source, in out where there is one.
cdef object quantized(cnp.ndarray source, object out, int type_num, const float *scales, const int32_t *zeros,
                      int axis, bint narrow):
    cdef cnp.ndarray result
    if out is not None and direct(out, source):
        run_quantize(source, out, scales, zeros, axis, narrow)
        return out
    result = like(source, type_num)
    run_quantize(source, result, scales, zeros, axis, narrow)
    if out is None:
        return result
    np.copyto(out, result)
    return out


# The smallest and the largest number of every channel, 0 among them.
cdef int find_ranges(cnp.ndarray source, int axis, float *low, float *high) except -1:
    cdef mlopt_channels a = layout(current_table(), source, axis)
    cdef const float *x = <const float *>cnp.PyArray_DATA(source)
    cdef size_t i
    for i in range(a.channels):
        low[i] = high[i] = 0
    if cnp.PyArray_SIZE(source) < RELEASE_GIL:
        mlopt_channel_ranges(&a, x, low, high)
    else:
        with nogil:
            mlopt_channel_ranges(&a, x, low, high)
    for i in range(a.channels):
        if not isfinite(low[i]) or not isfinite(high[i]):
            raise ValueError("x has a number that is not finite, or not in float32; without a scale, expected finite "
                             "numbers")
    return 0


cdef QuantizedArray quantize_given(cnp.ndarray source, object out, int type_num, bint symmetric, object scale,
                                   object zero_point, int axis):
    cdef float scale_number
    cdef int32_t zero_number
    cdef cnp.ndarray flat_scales, wide_zeros
    shape = (<object>source).shape
    channel_axis = None if axis < 0 else axis
    scale = checked_scale(scale, channel_axis, shape)
    if zero_point is None:
        zero_point = 128 if symmetric and type_num == cnp.NPY_UBYTE else 0
    zero_point = checked_zero_point(zero_point, type_num, channel_axis, shape)
    if symmetric and np.any(zero_point != lowest_of(type_num) + 128):
        raise ValueError(f"zero_point is {zero_point}, and symmetric is True; expected {lowest_of(type_num) + 128}")
    if axis < 0:
        scale_number, zero_number = scale, zero_point
        data = quantized(source, out, type_num, &scale_number, &zero_number, -1, symmetric)
    else:
        flat_scales, wide_zeros = scale, zero_point.astype(np.int32)
        data = quantized(source, out, type_num, <const float *>cnp.PyArray_DATA(flat_scales),
                         <const int32_t *>cnp.PyArray_DATA(wide_zeros), axis, symmetric)
    return make(data, scale, zero_point, channel_axis)


# Scale and zero point from the array itself.
cdef QuantizedArray quantize_to_range(cnp.ndarray source, object out, int type_num, mlopt_scheme scheme, int axis):
    cdef float low, high, scale
    cdef float *channel_scales
    cdef int32_t zero
    cdef int32_t *channel_zeros
    cdef Py_ssize_t i
    cdef cnp.ndarray lows, highs, scales, zero_points
    if axis < 0:
        find_ranges(source, -1, &low, &high)
        mlopt_choose(scheme, low, high, lowest_of(type_num), &scale, &zero)
        if not isfinite(scale):
            raise ValueError(f"x has numbers from {low} to {high}: the difference is beyond float32")
        data = quantized(source, out, type_num, &scale, &zero, -1, scheme == SYMMETRIC)
        return make(data, float_scalar(scale), byte_scalar(type_num, zero), None)
    lows, highs = np.empty((2, cnp.PyArray_DIM(source, axis)), np.float32)
    find_ranges(source, axis, <float *>cnp.PyArray_DATA(lows), <float *>cnp.PyArray_DATA(highs))
    scales, zero_points = lows, np.empty(cnp.PyArray_DIM(lows, 0), np.int32)  # a range gives way to its scale
    channel_scales, channel_zeros = <float *>cnp.PyArray_DATA(scales), <int32_t *>cnp.PyArray_DATA(zero_points)
    for i in range(cnp.PyArray_DIM(scales, 0)):
        mlopt_choose(scheme, channel_scales[i], (<float *>cnp.PyArray_DATA(highs))[i], lowest_of(type_num), &scale,
                     &channel_zeros[i])
        channel_scales[i] = scale
    data = quantized(source, out, type_num, channel_scales, channel_zeros, axis, scheme == SYMMETRIC)
    byte = _INT8 if type_num == cnp.NPY_BYTE else _UINT8
    return make(data, (<object>scales).copy(), (<object>zero_points).astype(byte), axis)


def range_parameters(double low, double high, dtype, bint symmetric):
    """Scale and zero point, float32 and `dtype`, for a range of numbers, which is widened to hold zero."""
    cdef int type_num = byte_type(dtype)
    cdef mlopt_scheme scheme = SYMMETRIC if symmetric else AFFINE
    cdef float scale
    cdef int32_t zero
    mlopt_choose(scheme, min(low, 0.0), max(high, 0.0), lowest_of(type_num), &scale, &zero)
    return float_scalar(scale), byte_scalar(type_num, zero)


def quantize(x, *, dtype="int8", symmetric=None, axis=None, scale=None, zero_point=None, calibration="minmax",
             out=None):
    """Real numbers as bytes: ``round(x / scale) + zero_point``, saturated.

    Parameters
    ----------
    x : array_like
        Real numbers of any shape; other types are converted to float32.
    dtype : {"int8", "uint8"}, default: "int8"
        The type of the bytes.
    symmetric : bool, optional
        Whether the zero point is the middle (0 for int8, 128 for uint8) and the range is symmetric about zero, of
        255 bytes: [-127, 127] for int8. Otherwise all 256 bytes stand for the range of `x`, which is widened to hold
        zero. By default, True for int8 and False for uint8; with a `scale`, all bytes and any `zero_point`.
    axis : int, optional
        The axis along which every channel has a scale of its own; None for one scale.
    scale : float or array_like, shape (channels,), optional
        The scale; by default it is computed from `x`.
    zero_point : int or array_like, optional
        The zero point to a given `scale`; 0 by default (128 for uint8 with ``symmetric=True``).
    calibration : str or calibrator, default: "minmax"
        How the range is found where no scale is given: ``"minmax"`` takes all numbers, ``"percentile"``, ``"mse"`` and
        ``"entropy"`` cut off outliers (:mod:`mlopt.quantization`); or a calibrator that has seen data. With an `axis`,
        ``"minmax"`` or ``"mse"``.
    out : ndarray of int8 or uint8, optional
        Where to store the bytes.

    Returns
    -------
    QuantizedArray
        Of the shape of `x`; its ``data`` is `out` where given.

    Raises
    ------
    TypeError
        If `x` has other than real numbers, or `dtype` or the type of `out` is not as above.
    ValueError
        If `x` is not finite and no scale is given; if a scale, zero point, axis or shape is wrong.

    See Also
    --------
    mlopt.dequantize : The way back.
    mlopt.quantization.dynamic_quantize : As ONNX's DynamicQuantizeLinear.

    Notes
    -----
    Numbers are divided by the scale and rounded to the nearest integer, ties to even: the bits of ONNX's QuantizeLinear
    on every tier. A number in the range comes back within scale / 2, zero exactly. What is outside saturates,
    infinities too; NaN becomes the lowest byte. Where all numbers of a channel are zero, its scale is 1; no scale that
    is computed is below the smallest normal float32. Time is linear in the size; the GIL is released from 16384
    elements on.

    Ranges, symmetric and affine: R. Krishnamoorthi, "Quantizing deep convolutional networks for efficient inference"
    (arXiv 1806.08342), sections 2 and 3.

    Examples
    --------
    >>> import numpy as np, mlopt
    >>> mlopt.quantize(np.array([-1.0, 0.0, 0.5]))
    QuantizedArray([-127,    0,   64], dtype=int8, scale=0.007874016, zero_point=0)
    >>> mlopt.quantize(np.array([0.0, 1.0, 5.1]), dtype="uint8")
    QuantizedArray([  0,  50, 255], dtype=uint8, scale=0.02, zero_point=0)
    >>> weights = np.array([[0.1, 12.7], [-0.127, 3.0]])
    >>> mlopt.quantize(weights, axis=1).scale
    array([0.001, 0.1  ], dtype=float32)
    """
    cdef cnp.ndarray source = real_input(x, "x")
    cdef int type_num = byte_type(dtype)
    cdef int place = axis_of(axis, cnp.PyArray_NDIM(source))
    cdef bint middle = type_num == cnp.NPY_BYTE if symmetric is None else symmetric
    if out is not None:
        check_out(out, (<object>source).shape, _INT8 if type_num == cnp.NPY_BYTE else _UINT8)
        if overlap(out, source):
            source = source.copy()
    if scale is not None:
        return quantize_given(source, out, type_num, symmetric is not None and symmetric, scale, zero_point, place)
    if zero_point is not None:
        raise ValueError("zero_point is given, and scale is not; expected both or none")
    if calibration == "minmax":
        return quantize_to_range(source, out, type_num, SYMMETRIC if middle else AFFINE, place)
    from mlopt.quantization import calibration as calibrations

    number_type = _INT8 if type_num == cnp.NPY_BYTE else _UINT8
    scale, zero_point = calibrations.parameters_of(source, calibration, number_type, middle,
                                                   None if place < 0 else place)
    return quantize_given(source, out, type_num, middle, scale, zero_point, place)


def dynamic_quantize(x, out=None):
    """An array as uint8, with the scale and zero point of its range: ONNX's DynamicQuantizeLinear.

    Parameters
    ----------
    x : array_like
        Finite real numbers of any shape.
    out : ndarray of uint8, optional
        Where to store the bytes.

    Returns
    -------
    QuantizedArray
        Of uint8. With ``low = min(x, 0)`` and ``high = max(x, 0)``, the scale is ``(high - low) / 255`` and the zero
        point ``round(clip(0 - low / scale, 0, 255))``, computed in float32.

    Raises
    ------
    TypeError
        If `x` has other than real numbers, or `out` is not an array of uint8.
    ValueError
        If `x` has a number that is not finite, or a range beyond float32; if `out` does not have its shape.

    See Also
    --------
    mlopt.quantize : Has more choices.

    Notes
    -----
    The bits of ONNX Runtime: the scale of an array of zeros is 1. Where the scale underflows, and where there are no
    elements, which the operator's text leaves open, it is 1 as well.

    `ONNX: DynamicQuantizeLinear <https://onnx.ai/onnx/operators/onnx__DynamicQuantizeLinear.html>`_

    Examples
    --------
    >>> import numpy as np, mlopt
    >>> mlopt.quantization.dynamic_quantize(np.array([-1.0, 0.0, 4.1]))
    QuantizedArray([  0,  50, 255], dtype=uint8, scale=0.02, zero_point=50)
    """
    cdef cnp.ndarray source = real_input(x, "x")
    if out is not None:
        check_out(out, (<object>source).shape, _UINT8)
        if overlap(out, source):
            source = source.copy()
    return quantize_to_range(source, out, cnp.NPY_UBYTE, DYNAMIC, -1)


__all__ = ["QuantizedArray", "dequantize", "dynamic_quantize", "quantize"]
