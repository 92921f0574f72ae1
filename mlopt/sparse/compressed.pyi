from typing import Any

from numpy.typing import NDArray

class CompressedRows:
    shape: tuple[int, int]
    data: NDArray[Any]
    indices: NDArray[Any]
    indptr: NDArray[Any]

__all__ = ["CompressedRows"]
