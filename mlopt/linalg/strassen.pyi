from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

SIZES: dict[np.dtype[Any], tuple[int, int, int]]
SMALLEST: int

def levels_for(m: int, n: int, k: int, dtype: DTypeLike) -> int: ...
def product(
    a: ArrayLike,
    b: ArrayLike,
    out: NDArray[Any] | None,
    asked: bool,
    num_threads: int | None,
    levels: int | None,
    cutoff: int | None,
    rescale: bool,
) -> NDArray[Any] | None: ...
def matrix_sum(
    name: str, tier: str, x: NDArray[Any], y: NDArray[Any], z: NDArray[Any], stream: bool = False
) -> None: ...
def winograd_result(tier: str, quadrants: Sequence[NDArray[Any]], products: Sequence[NDArray[Any]]) -> None: ...
def multiply_within(
    workspace: NDArray[np.uint8], a: NDArray[Any], b: NDArray[Any], c: NDArray[Any], levels: int, threads: int = 1
) -> None: ...
def workspace_bytes(m: int, n: int, k: int, dtype: DTypeLike, levels: int) -> int: ...
