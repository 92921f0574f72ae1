from typing import Any

from numpy.typing import NDArray

from mlopt.sparse.compressed import CompressedRows

def transpose_arrays(a: CompressedRows) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]: ...
def matmul_sparse(
    a: CompressedRows, b: CompressedRows, num_threads: int | None = None
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]: ...

__all__ = ["matmul_sparse", "transpose_arrays"]
