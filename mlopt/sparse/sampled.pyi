from typing import Any

from numpy.typing import ArrayLike, NDArray

from mlopt.sparse.compressed import CompressedRows

def sampled_values(
    a: ArrayLike, b: ArrayLike, pattern: CompressedRows, num_threads: int | None = None
) -> NDArray[Any]: ...

__all__ = ["sampled_values"]
