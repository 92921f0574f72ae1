"""Random test matrices: normal numbers of a counter-based generator, and products with them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlopt.linalg.matmul import matmul

Array = NDArray[Any]


def standard_normal(shape: tuple[int, ...], key: int, dtype: Any, num_threads: int | None = None) -> Array:
    """Independent standard normal numbers of the stream `key`."""
    generator = np.random.Generator(np.random.Philox(key=key))
    return generator.standard_normal(shape, dtype=np.dtype(dtype).type)


def choose(a: Any, columns: int) -> str:
    """The kind of test matrix that ``"auto"`` takes for so many columns."""
    return "gaussian"


def sketch(a: Any, columns: int, kind: str, key: int, dtype: Any, num_threads: int | None = None) -> Array:
    """The product of `a` with a random test matrix of so many columns."""
    shape = (a.shape[1], columns)
    if kind == "gaussian" or kind == "srht":
        omega = standard_normal(shape, key, dtype)
    else:
        generator = np.random.Generator(np.random.Philox(key=key))
        nonzeros = min(columns, 8)
        omega = np.zeros(shape, dtype)
        places = generator.random(shape).argsort(axis=1)[:, :nonzeros]
        np.put_along_axis(omega, places, generator.choice([-1.0, 1.0], places.shape) / np.sqrt(nonzeros), axis=1)
    if isinstance(a, np.ndarray):
        product: Array = matmul(np.ascontiguousarray(a, dtype), omega, num_threads=num_threads)
        return product
    return np.ascontiguousarray(a @ omega, dtype)
