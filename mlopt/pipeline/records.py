"""How a record lies in the queues between stages."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["DATA", "END", "FAILED", "NOTHING", "record_type"]

# what a record is; the first three are those of links.pxd
DATA, NOTHING, FAILED, END = range(4)
HEADER = 64  # bytes before the values, which are on a cache line
TEXT = 192  # bytes that there are at least for the values, or for the reason of a failure

FIELDS = {"number": "i8", "time": "i8", "status": "i4", "stage": "i4", "length": "i4"}


def record_type(count: int, dtype: np.dtype[Any]) -> np.dtype[Any]:
    """A record of `count` numbers: its number, when it came, what it is; then the numbers, or a text.

    Fields: ``number`` of the record since the beginning; ``time`` at which it came, in the nanoseconds of
    :func:`mlopt.concurrent.now`; ``status``; ``stage`` that failed, or the run that ends; ``length`` of the text.
    """
    size = max(TEXT, (count * dtype.itemsize + 63) // 64 * 64)
    offsets = np.cumsum([0] + [np.dtype(kind).itemsize for kind in FIELDS.values()]).tolist()
    return np.dtype(
        {
            "names": [*FIELDS, "values", "text"],
            "formats": [*FIELDS.values(), (dtype, (count,)), f"V{size}"],
            "offsets": [*offsets[:-1], HEADER, HEADER],
            "itemsize": HEADER + size,
        }
    )
