from typing import Any

from numpy.typing import ArrayLike, NDArray

from mlopt.sparse.compressed import CompressedRows

def matmul(
    a: CompressedRows, b: ArrayLike, out: NDArray[Any] | None = None, num_threads: int | None = None
) -> NDArray[Any]: ...
def matmul_transposed(
    a: CompressedRows, b: ArrayLike, out: NDArray[Any] | None = None, num_threads: int | None = None
) -> NDArray[Any]: ...
def transposed_copy(x: NDArray[Any], out: NDArray[Any] | None = None) -> NDArray[Any]: ...

__all__ = ["matmul", "matmul_transposed", "transposed_copy"]
