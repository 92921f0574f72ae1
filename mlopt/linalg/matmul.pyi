from typing import Any, Literal

from numpy.typing import ArrayLike, NDArray

def matmul(
    a: ArrayLike,
    b: ArrayLike,
    /,
    out: NDArray[Any] | None = None,
    *,
    method: Literal["auto", "gemm", "strassen"] = "auto",
    num_threads: int | None = None,
    levels: int | None = None,
    cutoff: int | None = None,
    rescale: bool = False,
) -> Any: ...

__all__ = ["matmul"]
