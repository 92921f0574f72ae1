from typing import Any, Literal

from numpy.typing import ArrayLike, NDArray

from mlopt.sparse import csc_array, csr_array

def add_product(
    a: NDArray[Any], b: NDArray[Any], out: NDArray[Any], num_threads: int | None = None
) -> NDArray[Any]: ...
def matmul(
    a: ArrayLike | csr_array | csc_array,
    b: ArrayLike | csr_array | csc_array,
    /,
    out: NDArray[Any] | None = None,
    *,
    method: Literal["auto", "gemm", "strassen", "sparse"] = "auto",
    num_threads: int | None = None,
    levels: int | None = None,
    cutoff: int | None = None,
    rescale: bool = False,
) -> Any: ...

__all__ = ["matmul"]
