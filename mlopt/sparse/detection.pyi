from typing import Any

from numpy.typing import ArrayLike, NDArray

from mlopt.sparse.csr import csr_array

def detected_product(
    a: NDArray[Any], b: NDArray[Any], out: NDArray[Any] | None = None, num_threads: int | None = None
) -> NDArray[Any] | None: ...
def sparse_product(
    a: ArrayLike | csr_array,
    b: ArrayLike | csr_array,
    out: NDArray[Any] | None = None,
    num_threads: int | None = None,
    method: str = "auto",
) -> Any: ...

__all__ = ["detected_product", "sparse_product"]
