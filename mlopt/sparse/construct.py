"""What a sparse array is made of, from what users have: the three arrays, checked but for what they hold."""

from __future__ import annotations

import operator
import sys
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mlopt.sparse import dense, rows

Array = NDArray[Any]

FLOATS = (np.dtype(np.float32), np.dtype(np.float64))
INT32, INT64 = np.dtype(np.int32), np.dtype(np.int64)
LARGEST = np.iinfo(np.int32).max


class Parts(NamedTuple):
    """What a sparse array takes; `ready` where the arrays' contents are known to be right."""

    data: Array
    indices: Array
    indptr: Array
    columns: int
    ready: bool = False
    canonical: bool = False


def is_scipy(x: Any) -> bool:
    """Whether this is a sparse array or matrix of SciPy's, which it can only be once SciPy was imported."""
    module = sys.modules.get("scipy.sparse")
    return module is not None and bool(module.issparse(x))


def checked_shape(shape: Any) -> tuple[int, int]:
    try:
        sides = tuple(operator.index(side) for side in shape)
    except TypeError:
        raise TypeError(f"shape is {shape!r}; expected two integers") from None
    if len(sides) != 2:
        raise ValueError(f"shape is {shape!r}; expected two integers")
    if min(sides) < 0 or max(sides) > np.iinfo(np.int64).max:
        raise ValueError(f"shape is {shape!r}; expected sides from 0 to 2**63 - 1")
    return sides


def is_shape(x: Any) -> bool:
    return len(x) == 2 and all(isinstance(side, int | np.integer) and not isinstance(side, bool) for side in x)


def is_coordinates(x: Any) -> bool:
    return len(x) == 2 and np.ndim(x[0]) == 1 and hasattr(x[1], "__len__") and len(x[1]) == 2


def checked_dtype(dtype: Any) -> np.dtype[Any]:
    given: np.dtype[Any] = np.dtype(dtype)
    if given not in FLOATS:
        raise TypeError(f"dtype is {given}; expected float32 or float64")
    return given


def plain(x: Any, name: str) -> Array:
    """The argument as an ndarray."""
    if isinstance(x, np.ma.MaskedArray):
        raise TypeError(f"{name} is a masked array; fill or compress it first")
    return np.asarray(x)


def vector(array: Array, name: str) -> Array:
    if array.ndim != 1:
        raise ValueError(f"{name} has {array.ndim} dimensions; expected 1")
    return array


def packed(array: Array, dtype: np.dtype[Any], copy: bool) -> Array:
    """The array without gaps, aligned, of the type and the machine's byte order; itself where it is so already."""
    result = np.ascontiguousarray(array, None if array.dtype == dtype else dtype)
    if not result.flags.aligned or (copy and np.may_share_memory(result, array)):
        result = result.copy()
    # long and long long are one type by two numbers
    return result if result.dtype.num == dtype.num else result.view(dtype)


def value_type(array: Array, name: str, dtype: Any) -> np.dtype[Any]:
    """The type to hold these numbers in: their own, or what the caller wants."""
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name} has elements of type {array.dtype}; expected real numbers")
    if dtype is not None:
        return checked_dtype(dtype)
    own = array.dtype.newbyteorder("=")
    if own not in FLOATS:
        raise TypeError(f"{name} has elements of type {own}; expected float32 or float64, or dtype= to convert them")
    return own


def values(x: Any, name: str, dtype: Any, copy: bool) -> Array:
    given = plain(x, name)
    return packed(vector(given, name), value_type(given, name, dtype), copy)


def fitting(largest: int) -> np.dtype[Any]:
    return INT32 if largest <= LARGEST else INT64


def index_vector(x: Any, name: str, copy: bool = False) -> Array:
    """Indices: int32 and int64 as they are; of other types and of lists int32 where they fit in it."""
    given = vector(plain(x, name), name)
    if given.size == 0 and not hasattr(x, "dtype"):
        return np.zeros(0, INT32)
    if given.dtype.kind not in "iu":
        raise TypeError(f"{name} has elements of type {given.dtype}; expected integers")
    if given.dtype.kind == "i" and given.itemsize >= 4 and not isinstance(x, list | tuple | range):
        return packed(given, INT32 if given.itemsize == 4 else INT64, copy)
    low, high = (int(given.min()), int(given.max())) if given.size else (0, 0)
    if high > np.iinfo(np.int64).max:
        raise ValueError(f"{name} has the number {high}; expected numbers below 2**63")
    return packed(given, fitting(max(high, -1 - low)), copy)


def from_buffers(data: Any, indices: Any, indptr: Any, shape: Any, dtype: Any, copy: bool) -> Parts:
    data = values(data, "data", dtype, copy)
    indices, indptr = index_vector(indices, "indices", copy), index_vector(indptr, "indptr", copy)
    if data.size != indices.size:
        raise ValueError(f"data has {data.size} elements and indices has {indices.size}; expected as many")
    if indptr.size == 0:
        raise ValueError("indptr is empty; expected at least one number, 0")
    if shape is None:
        shape = (indptr.size - 1, max(int(indices.max()) + 1, 0) if indices.size else 0)
    shape = checked_shape(shape)
    if indptr.size != shape[0] + 1:
        raise ValueError(f"indptr has {indptr.size} elements; expected {shape[0] + 1}")
    if indices.dtype != indptr.dtype or max(shape) > LARGEST:
        indices, indptr = packed(indices, INT64, False), packed(indptr, INT64, False)
    return Parts(data, indices, indptr, shape[1])


def from_coordinates(data: Any, row: Any, col: Any, shape: Any, dtype: Any) -> Parts:
    data = values(data, "data", dtype, False)
    row, col = index_vector(row, "row"), index_vector(col, "col")
    for array, name in ((row, "row"), (col, "col")):
        if array.size != data.size:
            raise ValueError(f"data has {data.size} elements and {name} has {array.size}; expected as many")
    if shape is None:
        if not data.size:
            raise ValueError("shape is None, and there are no elements to take it from; expected two integers")
        shape = (max(int(row.max()) + 1, 0), max(int(col.max()) + 1, 0))
    shape = checked_shape(shape)
    for array, name, side in ((row, "row", shape[0]), (col, "col", shape[1])):
        if array.size and (array.min() < 0 or array.max() >= side):
            place = np.flatnonzero((array < 0) | (array >= side))[0]
            raise ValueError(f"{name}[{place}] is {array[place]}; expected a number at least 0 and less than {side}")
    index_type = fitting(max(*shape, data.size))
    arrays = rows.compress(data, packed(row, index_type, False), packed(col, index_type, False), shape[0])
    return Parts(*arrays, shape[1], ready=True)


def from_dense(a: Any, shape: Any, dtype: Any) -> Parts:
    given = plain(a, "a")
    if given.ndim != 2:
        raise ValueError(f"a has {given.ndim} dimensions; expected 2")
    if shape is not None and checked_shape(shape) != given.shape:
        raise ValueError(f"shape is {shape!r}, and a has shape {given.shape}; expected the same or None")
    given = np.asarray(given, value_type(given, "a", dtype))
    return Parts(*dense.nonzero_rows(given), given.shape[1], ready=True, canonical=True)


def from_scipy(a: Any, shape: Any, dtype: Any, copy: bool) -> Parts:
    if not is_scipy(a):
        raise TypeError(f"a must be a sparse array of SciPy's, not {type(a).__name__}")
    if a.ndim != 2:
        raise ValueError(f"a has {a.ndim} dimensions; expected 2")
    if shape is not None and checked_shape(shape) != a.shape:
        raise ValueError(f"shape is {shape!r}, and a has shape {a.shape}; expected the same or None")
    compressed = a.tocsr()
    count = compressed.indptr[-1]  # SciPy allows room behind the last element
    return from_buffers(
        compressed.data[:count], compressed.indices[:count], compressed.indptr, compressed.shape, dtype, copy
    )


def empty(shape: Any, dtype: Any) -> Parts:
    rows, columns = checked_shape(shape)
    index_type = fitting(max(rows, columns))
    data = np.zeros(0, np.float64 if dtype is None else checked_dtype(dtype))
    return Parts(data, np.zeros(0, index_type), np.zeros(rows + 1, index_type), columns, ready=True, canonical=True)


def parts(arg: Any, shape: Any, dtype: Any, copy: bool) -> Parts:
    """From whatever the constructor was given, but for mlopt's own."""
    if is_scipy(arg):
        return from_scipy(arg, shape, dtype, copy)
    if not isinstance(arg, tuple):
        return from_dense(arg, shape, dtype)
    if len(arg) == 3:
        return from_buffers(*arg, shape, dtype, copy)
    if is_shape(arg):
        if shape is not None and checked_shape(shape) != checked_shape(arg):
            raise ValueError(f"shape is {shape!r}, and arg is the shape {arg!r}; expected the same or None")
        return empty(arg, dtype)
    if is_coordinates(arg):
        row, col = arg[1]
        return from_coordinates(arg[0], row, col, shape, dtype)
    raise ValueError(
        "arg is a tuple of another form than (data, indices, indptr), (data, (row, col)) and (rows, columns); "
        "a dense array may be a list of lists"
    )


def to_scipy(kind: str, arrays: tuple[Array, Array, Array], shape: tuple[int, int], copy: bool) -> Any:
    """SciPy's csr_array or csc_array over the same memory, or over copies."""
    try:
        import scipy.sparse
    except ModuleNotFoundError as error:
        raise ImportError("scipy is not installed, and to_scipy makes an array of its: pip install scipy") from error
    data, indices, indptr = (array.copy() if copy else array for array in arrays)
    # its constructor would narrow int64 indices, which takes a copy
    result = getattr(scipy.sparse, kind)(shape, dtype=data.dtype)
    result.data, result.indices, result.indptr = data, indices, indptr
    return result
