from collections.abc import Sequence
from typing import Any, SupportsIndex, TypeVar

from numpy import dtype, ndarray
from numpy.typing import DTypeLike, NDArray

_Shape = SupportsIndex | Sequence[SupportsIndex]
_Array = TypeVar("_Array", bound=ndarray[Any, dtype[Any]])

def empty_aligned(
    shape: _Shape, dtype: DTypeLike = ..., *, align: SupportsIndex = 64, pad_rows: bool = False
) -> NDArray[Any]: ...
def zeros_aligned(
    shape: _Shape, dtype: DTypeLike = ..., *, align: SupportsIndex = 64, pad_rows: bool = False
) -> NDArray[Any]: ...
def ones_aligned(
    shape: _Shape, dtype: DTypeLike = ..., *, align: SupportsIndex = 64, pad_rows: bool = False
) -> NDArray[Any]: ...
def is_byte_aligned(array: NDArray[Any], align: SupportsIndex = 64) -> bool: ...
def byte_align(array: _Array, align: SupportsIndex = 64) -> _Array: ...
