from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

def fill_normal(out: NDArray[Any], key: int, first: int = 0, threads: int | None = None) -> None: ...

class SketchPlan:
    dtype: np.dtype[Any]
    def __init__(self, kind: str, n: int, columns: int, key: int, dtype: DTypeLike) -> None: ...
    def dense(self) -> NDArray[Any]: ...
    def apply(self, a: NDArray[Any], out: NDArray[Any], threads: int | None = None) -> None: ...

__all__ = ["SketchPlan", "fill_normal"]
