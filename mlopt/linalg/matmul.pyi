from typing import Any, Literal

from numpy.typing import ArrayLike, NDArray

def matmul(
    a: ArrayLike,
    b: ArrayLike,
    /,
    out: NDArray[Any] | None = None,
    *,
    method: Literal["auto", "gemm"] = "auto",
    num_threads: int | None = None,
) -> Any: ...

__all__ = ["matmul"]
