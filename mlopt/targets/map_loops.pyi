import numpy as np
from numpy.typing import NDArray

from mlopt.concurrent import ConcurrentMap

__all__ = ["add_all", "find_all"]

def find_all(map: ConcurrentMap, keys: NDArray[np.int64], repeats: int) -> int: ...
def add_all(map: ConcurrentMap, keys: NDArray[np.int64], repeats: int) -> None: ...
