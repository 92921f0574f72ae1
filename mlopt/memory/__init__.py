"""Aligned arrays, pools of arrays, NumPy's allocator, and the slab pool."""

from mlopt.memory.aligned import byte_align, empty_aligned, is_byte_aligned, ones_aligned, zeros_aligned
from mlopt.memory.allocator import aligned_allocations
from mlopt.memory.array_pool import ArrayPool, Lease, PoolEmpty
from mlopt.memory.pool import pool_statistics, trim
from mlopt.memory.pools import batch_pool, feature_pool, matrix_pool

__all__ = [
    "ArrayPool",
    "Lease",
    "PoolEmpty",
    "aligned_allocations",
    "batch_pool",
    "byte_align",
    "empty_aligned",
    "feature_pool",
    "is_byte_aligned",
    "matrix_pool",
    "ones_aligned",
    "pool_statistics",
    "trim",
    "zeros_aligned",
]
