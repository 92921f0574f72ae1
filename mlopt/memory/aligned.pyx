"""Arrays that begin on a cache line, in memory of the slab pool."""
cimport numpy as cnp
from cpython.number cimport PyIndex_Check
from cpython.object cimport PyObject
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.stdint cimport SIZE_MAX, uintptr_t

from mlopt.memory.pool cimport Block, new_block

import numpy as np

cnp.import_array()

cdef enum:
    CACHE_LINE = 64
    PAGE = 4096
    MAX_DIMS = 64
    MAX_ALIGN = 1 << 30
    SMALLEST_AVOIDED = 512  # row strides of this power of two and larger ones share too few cache sets

cdef extern from "numpy/arrayobject.h":
    # the declaration of Cython's own numpy.pxd wants objects where NULL is meant
    object mlopt_new_array "PyArray_NewFromDescr"(object subtype, cnp.dtype descr, int ndim, const cnp.npy_intp *dims,
                                                  const cnp.npy_intp *strides, void *data, int flags, void *obj)
    int PyArray_DescrConverter(object, void *) except 0
    bint PyDataType_REFCHK(cnp.dtype)
    bint PyDataType_HASSUBARRAY(cnp.dtype)
    cnp.dtype PyArray_DescrFromType(int)

cdef extern from * nogil:
    bint __builtin_mul_overflow(size_t, size_t, size_t *)
    bint __builtin_add_overflow(size_t, size_t, size_t *)


cdef size_t padded_stride(size_t row_bytes) noexcept nogil:
    """Whole cache lines, one more where the stride would map the rows onto few cache sets."""
    cdef size_t stride = (row_bytes + CACHE_LINE - 1) & ~<size_t>(CACHE_LINE - 1)
    if stride >= SMALLEST_AVOIDED and (stride % PAGE == 0 or stride & (stride - 1) == 0):
        stride += CACHE_LINE
    return stride


cdef cnp.ndarray aligned_array_of(int ndim, const cnp.npy_intp *shape, cnp.dtype dtype, size_t align, bint pad_rows,
                                  bint zeroed):
    cdef cnp.npy_intp strides[MAX_DIMS]
    cdef size_t nbytes = dtype.itemsize, extra = align - CACHE_LINE if align > CACHE_LINE else 0
    cdef bint overflow = False, empty = False
    cdef int axis
    for axis in range(ndim - 1, -1, -1):
        strides[axis] = <cnp.npy_intp>nbytes
        if shape[axis] == 0:
            empty = True
        else:
            overflow |= __builtin_mul_overflow(nbytes, <size_t>shape[axis], &nbytes)
        if pad_rows and axis == ndim - 1 and ndim > 1 and not overflow and nbytes < SIZE_MAX // 2:
            nbytes = padded_stride(nbytes)
    overflow |= __builtin_add_overflow(nbytes, extra, &extra)
    if overflow or extra > SIZE_MAX // 2:
        raise ValueError(f"shape {tuple([shape[axis] for axis in range(ndim)])} of {dtype} is too large: "
                         "its size in bytes overflows")
    cdef Block block = new_block(0 if empty else extra, zeroed)
    cdef char *data = <char *>((<uintptr_t>block.data + align - 1) & ~<uintptr_t>(align - 1))
    Py_INCREF(dtype)  # stolen below
    cdef cnp.ndarray array = mlopt_new_array(cnp.ndarray, dtype, ndim, shape, strides if pad_rows else NULL, data,
                                             cnp.NPY_ARRAY_CARRAY, NULL)
    cnp.set_array_base(array, block)
    return array


cdef cnp.ndarray aligned_array(int ndim, const cnp.npy_intp *shape, int type_number, bint zeroed):
    return aligned_array_of(ndim, shape, PyArray_DescrFromType(type_number), CACHE_LINE, False, zeroed)


cdef Py_ssize_t dimension(object value) except -1:
    cdef Py_ssize_t size
    if not PyIndex_Check(value):
        raise TypeError(f"shape must be an integer or a sequence of integers; {type(value).__name__} is neither")
    try:
        size = value
    except OverflowError:
        raise ValueError(f"shape has the dimension {value}, which is too large") from None
    if size < 0:
        raise ValueError(f"shape has the negative dimension {size}")
    return size


cdef int parse_shape(object shape, cnp.npy_intp *dims) except -1:
    cdef int ndim = 0
    if PyIndex_Check(shape):
        dims[0] = dimension(shape)
        return 1
    if isinstance(shape, (str, bytes)):
        raise TypeError(f"shape must be an integer or a sequence of integers, not {type(shape).__name__}")
    try:
        sizes = shape if isinstance(shape, (tuple, list)) else tuple(shape)
    except TypeError:
        raise TypeError(f"shape must be an integer or a sequence of integers, not {type(shape).__name__}") from None
    if len(sizes) > MAX_DIMS:
        raise ValueError(f"shape has {len(sizes)} dimensions; at most {MAX_DIMS} are possible")
    for size in sizes:
        dims[ndim] = dimension(size)
        ndim += 1
    return ndim


cdef size_t parse_align(object align, cnp.dtype dtype) except 0:
    cdef Py_ssize_t bytes
    if not PyIndex_Check(align):
        raise TypeError(f"align must be an integer, not {type(align).__name__}")
    try:
        bytes = align
    except OverflowError:
        bytes = -1
    if bytes < 1 or bytes > MAX_ALIGN or bytes & (bytes - 1):
        raise ValueError(f"align={align} must be a power of two from 1 to {MAX_ALIGN}")
    if dtype is not None and bytes < dtype.alignment:
        raise ValueError(f"align={align} is less than {dtype} needs, which is {dtype.alignment}")
    return <size_t>bytes


cdef cnp.dtype parse_layout(object shape, object dtype, cnp.npy_intp *dims, int *ndim):
    cdef PyObject *converted = NULL
    cdef cnp.dtype descr
    PyArray_DescrConverter(dtype, &converted)
    descr = <cnp.dtype>converted
    Py_DECREF(descr)  # the converter's reference
    if PyDataType_REFCHK(descr):
        raise TypeError(f"dtype {descr} holds objects, which aligned memory cannot")
    if PyDataType_HASSUBARRAY(descr):
        base, inner = descr.subdtype
        shape = ((shape,) if PyIndex_Check(shape) else tuple(shape)) + inner
        return parse_layout(shape, base, dims, ndim)
    if descr.itemsize == 0:
        raise TypeError(f"dtype {descr!r} has no size")
    ndim[0] = parse_shape(shape, dims)
    return descr


cdef cnp.ndarray make(object shape, object dtype, object align, bint pad_rows, bint zeroed):
    cdef cnp.npy_intp dims[MAX_DIMS]
    cdef int ndim = 0
    cdef cnp.dtype descr = parse_layout(shape, dtype, dims, &ndim)
    return aligned_array_of(ndim, dims, descr, parse_align(align, descr), pad_rows, zeroed)


def empty_aligned(shape, dtype=np.float64, *, align=64, bint pad_rows=False):
    """An array whose first element lies on a cache line, with arbitrary contents.

    The memory comes from the slab pool, which keeps freed blocks for the next request.

    Parameters
    ----------
    shape : int or sequence of ints
        Shape of the array.
    dtype : dtype_like, default float64
        Any type without Python objects in it.
    align : int, default 64
        The address is a multiple of this power of two (in bytes).
    pad_rows : bool, default False
        Let every row (the last axis) begin on a cache line as well: the row stride is rounded up to
        whole cache lines of 64 bytes, and by one more where it would be a multiple of 4096 or a power
        of two from 512 on, whose rows compete for few cache sets.  The array is then
        C-contiguous only by chance.  Arrays of fewer than two dimensions are not changed by this.

    Returns
    -------
    ndarray
        C-ordered array; its ``base`` owns the memory.

    Raises
    ------
    ValueError
        If a dimension is negative, the size overflows, or `align` is no power of two or less than
        `dtype` needs.
    TypeError
        If `shape` is no sequence of integers or `dtype` holds objects.
    MemoryError
        If there is no memory.

    See Also
    --------
    zeros_aligned, ones_aligned, byte_align, is_byte_aligned

    Examples
    --------
    >>> import numpy as np, mlopt
    >>> x = mlopt.empty_aligned((3, 512), np.float64, pad_rows=True)
    >>> x.ctypes.data % 64, x.strides
    (0, (4160, 8))
    """
    return make(shape, dtype, align, pad_rows, False)


def zeros_aligned(shape, dtype=np.float64, *, align=64, bint pad_rows=False):
    """Like :func:`empty_aligned`, filled with zeros.

    Parameters
    ----------
    shape, dtype, align, pad_rows
        As for :func:`empty_aligned`.  The padding is zero, too.

    Returns
    -------
    ndarray
        Array of zeros.

    Examples
    --------
    >>> import mlopt
    >>> mlopt.zeros_aligned(3)
    array([0., 0., 0.])
    """
    return make(shape, dtype, align, pad_rows, True)


def ones_aligned(shape, dtype=np.float64, *, align=64, bint pad_rows=False):
    """Like :func:`empty_aligned`, filled with ones.

    Parameters
    ----------
    shape, dtype, align, pad_rows
        As for :func:`empty_aligned`.

    Returns
    -------
    ndarray
        Array of ones.

    Examples
    --------
    >>> import mlopt
    >>> mlopt.ones_aligned((2, 2), "float32")
    array([[1., 1.],
           [1., 1.]], dtype=float32)
    """
    array = make(shape, dtype, align, pad_rows, False)
    array.fill(1)
    return array


def is_byte_aligned(array, align=64):
    """Whether the first element of an array lies at a multiple of `align` bytes.

    Parameters
    ----------
    array : ndarray
        The array.
    align : int, default 64
        A power of two.

    Returns
    -------
    bool
        True where it does.

    Examples
    --------
    >>> import mlopt
    >>> x = mlopt.empty_aligned(10)
    >>> mlopt.is_byte_aligned(x), mlopt.is_byte_aligned(x[1:])
    (True, False)
    """
    if not isinstance(array, cnp.ndarray):
        raise TypeError(f"array must be an ndarray, not {type(array).__name__}")
    return <uintptr_t>cnp.PyArray_DATA(<cnp.ndarray>array) % parse_align(align, None) == 0


def byte_align(array, align=64):
    """The array itself where it is aligned, else an aligned copy.

    Parameters
    ----------
    array : ndarray
        The array; it may be a view with any strides.
    align : int, default 64
        A power of two, at least what the type needs.

    Returns
    -------
    ndarray
        `array`, or a C-ordered copy whose first element lies at a multiple of `align` bytes.

    Examples
    --------
    >>> import mlopt
    >>> x = mlopt.ones_aligned(10)
    >>> mlopt.byte_align(x) is x, mlopt.byte_align(x[1:]).ctypes.data % 64
    (True, 0)
    """
    if is_byte_aligned(array, align):
        return array
    copy = make(array.shape, array.dtype, align, False, False)
    copy[...] = array
    return copy


__all__ = ["byte_align", "empty_aligned", "is_byte_aligned", "ones_aligned", "zeros_aligned"]
