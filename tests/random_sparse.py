"""Sparse matrices for tests: any order, duplicates, empty rows, both index types."""

import numpy as np
from hypothesis import strategies as st


def compressed(rows, columns, counts, seed, dtype=np.float64, index_type=np.int32, repeats=True):
    """(data, indices, indptr) with so many elements in each row, unsorted and, where wanted, repeated.

    The elements are small integers, some of them zero, so that sums are exact in any order.
    """
    rng = np.random.default_rng(seed)
    indptr = np.concatenate([[0], np.cumsum(counts)]).astype(index_type)
    if repeats:
        indices = rng.integers(0, max(columns, 1), indptr[-1])
    else:
        indices = np.concatenate([np.zeros(0), *(rng.permutation(columns)[:count] for count in counts)])
    return rng.integers(-4, 5, indptr[-1]).astype(dtype), indices.astype(index_type), indptr


def dense(data, indices, indptr, shape):
    """The same as a dense matrix."""
    result = np.zeros(shape, data.dtype)
    np.add.at(result, (np.repeat(np.arange(shape[0]), np.diff(indptr)), indices), data)
    return result


def assert_same_bits(a, b):
    """Zeros of different signs are different."""
    assert a.dtype == b.dtype
    bits = f"u{a.itemsize}"
    np.testing.assert_array_equal(np.ascontiguousarray(a).view(bits), np.ascontiguousarray(b).view(bits))


@st.composite
def arrays(draw, max_side=12):
    """((data, indices, indptr), shape) of any kind."""
    rows, columns = draw(st.integers(0, max_side)), draw(st.integers(0, max_side))
    repeats = draw(st.booleans())
    most = 0 if columns == 0 else 40 if repeats else columns
    counts = draw(st.lists(st.integers(0, most), min_size=rows, max_size=rows))
    dtype, index_type = draw(st.sampled_from([np.float32, np.float64])), draw(st.sampled_from([np.int32, np.int64]))
    seed = draw(st.integers(0, 2**32 - 1))
    return compressed(rows, columns, counts, seed, dtype, index_type, repeats), (rows, columns)
