"""Aligned arrays, NumPy's allocator, and the slab pool behind both."""

from mlopt.memory.aligned import byte_align, empty_aligned, is_byte_aligned, ones_aligned, zeros_aligned
from mlopt.memory.allocator import aligned_allocations
from mlopt.memory.pool import pool_statistics, trim

__all__ = [
    "aligned_allocations",
    "byte_align",
    "empty_aligned",
    "is_byte_aligned",
    "ones_aligned",
    "pool_statistics",
    "trim",
    "zeros_aligned",
]
