"""Pools of the arrays that programs of this kind need many of."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from mlopt.memory.array_pool import ArrayPool

Shape = int | Sequence[int]


def matrix_pool(
    shape: Shape = (32, 32), dtype: DTypeLike = np.float64, capacity: int = 1_000_000, **options: Any
) -> ArrayPool:
    """A pool of matrices: a million of 32 by 32 float64 unless told otherwise, 8 GB of address space.

    Parameters
    ----------
    shape, dtype, capacity, **options
        As for :class:`ArrayPool`.

    Returns
    -------
    ArrayPool
        The pool.

    Examples
    --------
    >>> import mlopt
    >>> mlopt.matrix_pool(capacity=1000)
    ArrayPool((32, 32), 'float64', 1000)
    """
    return ArrayPool(shape, dtype, capacity, **options)


def batch_pool(
    shape: Shape = (64, 128), dtype: DTypeLike = np.float32, capacity: int = 10_000, **options: Any
) -> ArrayPool:
    """A pool of batches: ten thousand of 64 by 128 float32 unless told otherwise, 330 MB of address space.

    Parameters
    ----------
    shape, dtype, capacity, **options
        As for :class:`ArrayPool`.

    Returns
    -------
    ArrayPool
        The pool.

    Examples
    --------
    >>> import mlopt
    >>> mlopt.batch_pool()
    ArrayPool((64, 128), 'float32', 10000)
    """
    return ArrayPool(shape, dtype, capacity, **options)


def feature_pool(
    shape: Shape = (128,), dtype: DTypeLike = np.float64, capacity: int = 100_000, **options: Any
) -> ArrayPool:
    """A pool of vectors of features: a hundred thousand of 128 float64 unless told otherwise, 102 MB of address space.

    Parameters
    ----------
    shape, dtype, capacity, **options
        As for :class:`ArrayPool`.

    Returns
    -------
    ArrayPool
        The pool.

    Examples
    --------
    >>> import mlopt
    >>> mlopt.feature_pool()
    ArrayPool((128,), 'float64', 100000)
    """
    return ArrayPool(shape, dtype, capacity, **options)


__all__ = ["batch_pool", "feature_pool", "matrix_pool"]
