"""Operands of sparse products: real numbers, lengths of rows as graphs have them, memory of every kind."""

import numpy as np
from random_sparse import compressed, dense

from mlopt.sparse import csr_array

REAL = [np.float32, np.float64]
# multiplications from which a product is given to a second thread; an element counts 32 of them with a vector, 8 with
# a column of a matrix
THREADED = 2 * 256**3


def random_rows(rows, columns, counts, seed=0, dtype=np.float64, index_type=np.int32):
    """An array of real numbers, so many in each row."""
    _, indices, indptr = compressed(rows, columns, counts, seed, dtype, index_type)
    data = np.random.default_rng(seed).standard_normal(indices.size).astype(dtype)
    return csr_array((data, indices, indptr), (rows, columns))


def random_csr(*arguments, **keywords):
    """Such an array, and the same as a dense matrix of float64."""
    a = random_rows(*arguments, **keywords)
    return a, dense(a.data.astype(np.float64), a.indices, a.indptr, a.shape)


def power_law(rows, most, seed=0):
    """Lengths of rows: few are long."""
    lengths = np.minimum(np.random.default_rng(seed).zipf(1.5, rows), most)
    return np.where(np.arange(rows) % 7 == 0, 0, lengths)


def assert_close(result, expected, size, dtype):
    assert type(result) is np.ndarray
    assert result.dtype == dtype
    assert result.shape == expected.shape
    assert (np.abs(result - expected) <= 300 * np.finfo(dtype).eps * size).all()


def layouts(values):
    """The same numbers in memory of every kind."""
    dtype = values.dtype
    yield values.copy()
    yield values.copy("F")
    yield values[::-1].copy()[::-1]
    yield values[..., ::-1].copy()[..., ::-1]
    yield values[::-1].copy("F")[::-1]
    spread = np.full([2 * side + 1 for side in values.shape], np.nan, dtype)
    spread[tuple(slice(None, -1, 2) for _ in values.shape)] = values
    yield spread[tuple(slice(None, -1, 2) for _ in values.shape)]
    padded = np.full((*values.shape[:-1], values.shape[-1] + 3), np.nan, dtype)
    padded[..., 1:-2] = values
    yield padded[..., 1:-2]
    yield padded.astype(dtype.newbyteorder())[..., 1:-2]
    misaligned = np.zeros(values.nbytes + 1, np.uint8)[1:].view(dtype).reshape(values.shape)
    misaligned[...] = values
    yield misaligned
    odd = np.zeros(values.shape, np.dtype([("pad", "u1"), ("value", dtype)]))
    odd["value"] = values
    yield odd["value"]  # strides that are no multiple of an element
    locked = values.copy()
    locked.flags.writeable = False
    yield locked
    yield values.astype(dtype.newbyteorder())
    yield values.view(type("Sub", (np.ndarray,), {}))
