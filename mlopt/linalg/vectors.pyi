from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

_Real = TypeVar("_Real", np.float32, np.float64)

def dot(x: ArrayLike, y: ArrayLike) -> Any: ...
def axpy(alpha: float, x: NDArray[_Real], y: NDArray[_Real]) -> NDArray[_Real]: ...

__all__ = ["axpy", "dot"]
