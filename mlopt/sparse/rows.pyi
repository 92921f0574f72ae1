from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

def sort(data: Array, indices: Array, indptr: Array) -> tuple[Array, Array]: ...
def merge_duplicates(data: Array, indices: Array, indptr: Array) -> tuple[Array, Array, Array]: ...
def drop_zeros(data: Array, indices: Array, indptr: Array) -> tuple[Array, Array, Array]: ...
def choose(data: Array, indices: Array, indptr: Array, rows: NDArray[np.int64]) -> tuple[Array, Array, Array]: ...
def compress(data: Array, row: Array, column: Array, rows: int) -> tuple[Array, Array, Array]: ...
def add(
    a_data: Array,
    a_indices: Array,
    a_indptr: Array,
    b_data: Array,
    b_indices: Array,
    b_indptr: Array,
    factor: float,
) -> tuple[Array, Array, Array]: ...
def spread(data: Array, indices: Array, indptr: Array, out: Array) -> None: ...

__all__ = ["add", "choose", "compress", "drop_zeros", "merge_duplicates", "sort", "spread"]
