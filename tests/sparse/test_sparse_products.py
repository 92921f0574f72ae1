"""Products of two sparse arrays: what SciPy computes, every sum that is zero kept, any threads."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_sparse import arrays, compressed, dense

import mlopt
from mlopt.sparse import csr_array
from mlopt.sparse.gustavson import matmul_sparse, transpose_arrays

REAL = [np.float32, np.float64]
INDEX = [np.int32, np.int64]


def small_integers(rows, columns, counts, seed=0, dtype=np.float64, index_type=np.int32, repeats=True):
    parts = compressed(rows, columns, counts, seed, dtype, index_type, repeats)
    return csr_array(parts, (rows, columns)), dense(*parts, (rows, columns))


def of(arrays_, columns):
    """The csr_array of three arrays, which are looked at."""
    data, indices, indptr = arrays_
    result = csr_array((data, indices, indptr), (indptr.size - 1, columns))
    assert result.sum_duplicates().nnz == result.nnz, "a column twice"
    return result


def pattern(a):
    return dense(np.ones(a.nnz), a.indices, a.indptr, a.shape) > 0


@settings(deadline=None, max_examples=80)
@given(arrays(max_side=25), st.integers(0, 25), st.integers(0, 2**32 - 1), st.sampled_from(REAL),
       st.sampled_from(INDEX), st.booleans())  # fmt: skip
def test_any_matrices(given_, columns, seed, dtype, index_type, repeats):
    parts, shape = given_
    a, x = csr_array(parts, shape), dense(*parts, shape)
    counts = np.random.default_rng(seed).integers(0, columns + 1, shape[1])
    b, y = small_integers(shape[1], columns, counts, seed, dtype, index_type, repeats)
    product = a @ b
    assert product.indices.dtype == product.indptr.dtype == np.promote_types(a.indices.dtype, index_type)
    assert product.dtype == np.promote_types(a.dtype, dtype)
    np.testing.assert_array_equal(product.toarray(), x @ y)
    # what is stored is where both have elements, sums of zero among it
    np.testing.assert_array_equal(pattern(product), pattern(a).astype(int) @ pattern(b) > 0)
    assert of((product.data, product.indices, product.indptr), columns).nnz == pattern(product).sum()


def test_as_scipy():
    pytest.importorskip("scipy.sparse", exc_type=ImportError)
    rng = np.random.default_rng(0)
    counts = np.minimum(rng.zipf(1.6, 700), 300)
    for dtype in REAL:
        a, _ = small_integers(700, 500, counts, 0, dtype)
        b, _ = small_integers(500, 600, counts[:500], 1, dtype)
        ours, theirs = a @ b, a.to_scipy() @ b.to_scipy()
        ours = ours.eliminate_zeros().sort_indices()
        theirs.eliminate_zeros()  # some versions leave sums of zero out
        theirs.sort_indices()
        np.testing.assert_array_equal(ours.indptr, theirs.indptr)
        np.testing.assert_array_equal(ours.indices, theirs.indices)
        np.testing.assert_array_equal(ours.data, theirs.data)


@pytest.mark.parametrize("dtype", REAL)
def test_special_values(dtype):
    """NaN and infinity reach the places where an element meets them, and no others."""
    a = csr_array((np.array([np.inf, 1, 0, np.nan], dtype), [0, 1, 0, 1], [0, 1, 2, 3, 4]), (4, 2))
    b = csr_array((np.array([1, 0, -1, 2], dtype), [0, 2, 4, 3], [0, 3, 4]), (2, 5))
    product = a @ b
    assert product.nnz == 3 + 1 + 3 + 1
    expected = np.zeros((4, 5))
    expected[0, [0, 2, 4]] = np.inf, np.nan, -np.inf
    expected[1, 3], expected[3, 3] = 2, np.nan
    np.testing.assert_array_equal(product.toarray(), expected)


@pytest.mark.parametrize("dtype", REAL)
def test_sums_of_zero_are_kept(dtype):
    a = csr_array((np.array([1, -1], dtype), [0, 1], [0, 2]), (1, 2))
    b = csr_array(np.ones((2, 40), dtype))
    product = a @ b
    assert product.nnz == 40
    assert not product.data.any()
    assert product.eliminate_zeros().nnz == 0


def test_signalling_nans():
    """The bits by which the kernel knows a sum that is not begun, as elements."""
    for dtype, number, bits in ((np.float32, np.uint32, 0x7FA7A7A7), (np.float64, np.uint64, 0x7FF4A7A7A7A7A7A7)):
        a, _ = small_integers(30, 25, [4] * 30, 0, dtype)
        b, _ = small_integers(25, 60, [17] * 25, 1, dtype, repeats=False)
        marked = np.array(b.data)
        marked.view(number)[::2] = bits
        for tier in mlopt.available_tiers():
            with mlopt.use_isa(tier):
                product = a @ csr_array((marked, b.indices, b.indptr), b.shape)
                assert product.nnz == (a @ b).nnz
                nan = dense(np.isnan(marked).astype(float), b.indices, b.indptr, b.shape)
                np.testing.assert_array_equal(np.isnan(product.toarray()), pattern(a).astype(float) @ nan > 0)


@pytest.mark.parametrize("shape", [(0, 0, 0), (0, 3, 2), (3, 0, 2), (3, 2, 0), (3, 2, 4)])
@pytest.mark.parametrize("index_type", INDEX)
def test_without_elements(shape, index_type):
    rows, inner, columns = shape
    a = small_integers(rows, inner, [0] * rows, index_type=index_type)[0]
    b = small_integers(inner, columns, [0] * inner, index_type=index_type)[0]
    product = a @ b
    assert product.shape == (rows, columns)
    assert product.nnz == 0
    assert product.indptr.dtype == index_type


@pytest.mark.parametrize("dtype", REAL)
@pytest.mark.parametrize("index_type", INDEX)
def test_threads_do_not_change_a_bit(dtype, index_type):
    rng = np.random.default_rng(0)
    counts = np.minimum(rng.zipf(1.5, 20_000), 900)
    counts[:20] = 2000  # most terms lie in the first rows
    indptr = np.concatenate([[0], np.cumsum(counts)])
    a = csr_array((rng.standard_normal(indptr[-1]).astype(dtype), rng.integers(0, 3001, indptr[-1]), indptr),
                  (20_000, 3001))  # fmt: skip
    counts = rng.integers(0, 40, 3001)
    b = csr_array(compressed(3001, 997, counts, 1, dtype, index_type, repeats=False), (3001, 997))
    terms = csr_array((np.ones(a.nnz), a.indices, a.indptr), a.shape) @ counts
    assert 200 * np.minimum(terms, 997).sum() > 2 * 256**3, "too small for a second thread"
    one = matmul_sparse(a, b, num_threads=1)
    expected = dense(*one, (20_000, 997))
    for threads in (2, 3, 5):
        parts = matmul_sparse(a, b, num_threads=threads)
        for ours, others in zip(parts, one, strict=True):
            np.testing.assert_array_equal(ours, others, strict=True)
    of(one, 997)
    x = rng.standard_normal(997).astype(dtype)
    size = np.abs(expected).max() * np.abs(x).sum()
    np.testing.assert_allclose(expected @ x, a @ (b @ x), rtol=0, atol=100 * np.finfo(dtype).eps * size)


@pytest.mark.parametrize("tier", mlopt.available_tiers())
def test_every_tier(tier):
    a, x = small_integers(300, 200, np.random.default_rng(0).integers(0, 60, 300))
    b, y = small_integers(200, 150, np.random.default_rng(1).integers(0, 60, 200), 1, index_type=np.int64)
    with mlopt.use_isa(tier):
        np.testing.assert_array_equal((a @ b).toarray(), x @ y)
        np.testing.assert_array_equal((a @ b @ b.T @ a.T).toarray(), x @ y @ y.T @ x.T)


@settings(deadline=None)
@given(arrays(max_side=25))
def test_transposed_arrays(given_):
    parts, shape = given_
    a = csr_array(parts, shape)
    data, indices, indptr = transpose_arrays(a)
    assert indices.dtype == indptr.dtype == a.indices.dtype
    assert data.dtype == a.dtype
    transposed = csr_array((data, indices, indptr), shape[::-1])
    assert transposed.has_sorted_indices
    np.testing.assert_array_equal(transposed.toarray(), dense(*parts, shape).T)
    # elements of one place follow each other in their order
    for column in range(shape[1]):
        order = np.flatnonzero(parts[1] == column)
        np.testing.assert_array_equal(data[indptr[column] : indptr[column + 1]], parts[0][order])


def test_shapes_that_do_not_fit():
    a, _ = small_integers(3, 4, [1] * 3)
    with pytest.raises(ValueError, match="b has 3 rows; expected 4, the columns of a"):
        matmul_sparse(a, a)
    with pytest.raises(ValueError, match="do not match the 4 columns of a"):
        a @ a
    with pytest.raises(TypeError):
        matmul_sparse(a, np.ones((4, 3)))
