"""Aligned memory for what is measured, so that nobody's data is worse placed than another's."""

from __future__ import annotations

import numpy as np

PAGE = 4096
STAGGER = 17 * 64


def aligned(shape: int | tuple[int, ...], dtype: str | np.dtype, fill: float = 0.0, place: int = 0) -> np.ndarray:
    """A touched array at a multiple of 64 bytes.

    Arrays that are used together take different places: a store and a later load whose addresses
    differ by a multiple of a page wait for each other, and would be measured instead of the loop.

    Examples
    --------
    >>> from mlopt.targets.memory import aligned
    >>> aligned((2, 3), "float32").shape
    (2, 3)
    """
    dtype = np.dtype(dtype)
    count = int(np.prod(shape))
    raw = np.empty(count * dtype.itemsize + 2 * PAGE, np.uint8)
    offset = -raw.ctypes.data % PAGE + place * STAGGER % PAGE
    array = raw[offset : offset + count * dtype.itemsize].view(dtype).reshape(shape)
    array[...] = fill
    return array


def aligned_copy(array: np.ndarray, place: int = 0) -> np.ndarray:
    """A C-contiguous copy at a multiple of 64 bytes."""
    copy = aligned(array.shape, array.dtype, place=place)
    copy[...] = array
    return copy
