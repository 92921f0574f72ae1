"""Which rows an index means."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["chosen", "is_index", "place"]


def is_index(x: Any) -> bool:
    """Whether this is one integer."""
    return hasattr(x, "__index__") and not isinstance(x, bool | np.bool_) and np.ndim(x) == 0


def place(index: Any, length: int, axis: int) -> int:
    """An index counted from the front."""
    number = operator.index(index)
    if not -length <= number < length:
        raise IndexError(f"index {number} is out of bounds for axis {axis} with size {length}")
    return number + length if number < 0 else number


def chosen(key: Any, length: int) -> NDArray[np.int64]:
    """The rows that a vector of integers or booleans chooses, counted from the front."""
    given = np.asarray(key)
    if given.ndim == 1 and given.size == 0 and not hasattr(key, "dtype"):
        return np.zeros(0, np.int64)
    if given.ndim != 1 or given.dtype.kind not in "biu":
        kind = f"an array of {given.ndim} dimensions, {given.dtype}"
        raise IndexError(
            "rows are chosen by an integer, a slice, or a vector of integers or booleans, not by "
            + (kind if isinstance(key, np.ndarray) else type(key).__name__)
        )
    if given.dtype.kind == "b":
        if given.size != length:
            raise IndexError(f"boolean index did not match: it has {given.size} elements, and axis 0 has size {length}")
        return np.flatnonzero(given)
    outside = (given < -length) | (given >= length)
    if outside.any():
        raise IndexError(f"index {given[outside][0]} is out of bounds for axis 0 with size {length}")
    numbers = given.astype(np.int64)
    return np.where(numbers < 0, numbers + length, numbers)
