"""Sparse arrays by themselves: rows and elements, numbers, sums, products, and the same by columns."""

import operator
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_sparse import arrays, compressed, dense

import mlopt
from mlopt.sparse import csc_array, csr_array

SHAPE = (6, 5)


def both(seed=0, shape=SHAPE, dtype=np.float64, index_type=np.int32):
    """A csr_array and the same as a dense matrix."""
    rng = np.random.default_rng(seed)
    parts = compressed(*shape, rng.integers(0, 7, shape[0]), seed, dtype, index_type)
    return csr_array(parts, shape), dense(*parts, shape)


def assert_equals(a, expected, kind=csr_array):
    assert type(a) is kind
    assert a.shape == expected.shape
    assert a.dtype == expected.dtype
    np.testing.assert_array_equal(a.toarray(), expected)
    again = kind((a.data, a.indices, a.indptr), a.shape)
    assert again.has_canonical_format == a.has_canonical_format


# --- rows and elements ---------------------------------------------------------------------------


@given(arrays(), st.data())
def test_slices_of_rows(given_, data):
    parts, shape = given_
    a, expected = csr_array(parts, shape), dense(*parts, shape)
    if data.draw(st.booleans()):
        a = a.sum_duplicates()
        assert a.has_canonical_format
    part = data.draw(st.slices(shape[0]))
    assert_equals(a[part], expected[part])
    assert_equals(a[part, :], expected[part])
    assert_equals(a[part, ...], expected[part])
    if part.indices(shape[0])[2] == 1 and a[part].nnz:
        assert np.shares_memory(a[part].data, a.data)
        assert np.shares_memory(a[part].indices, a.indices)


@given(arrays(), st.data())
def test_chosen_rows(given_, data):
    parts, shape = given_
    a, expected = csr_array(parts, shape), dense(*parts, shape)
    if shape[0]:
        rows = data.draw(st.lists(st.integers(-shape[0], shape[0] - 1)))
        chosen = np.array(rows, np.int64)
        for key in (rows, chosen, chosen.astype(np.int32), chosen.astype(np.int8), chosen[::-1]):
            if len(key) or hasattr(key, "dtype"):
                assert_equals(a[key], expected[key])
    mask = np.array(data.draw(st.lists(st.booleans(), min_size=shape[0], max_size=shape[0])), bool)
    assert_equals(a[mask], expected[mask])
    assert_equals(a[[]], expected[:0])


def test_single_rows_and_elements():
    a, expected = both()
    for i in (0, 5, -1, -6, np.int64(2), np.array(3)):
        assert_equals(a[i], expected[[i]])
        assert np.shares_memory(a[2].data, a.data)
        for j in range(-5, 5):
            assert a[i, j] == expected[i, j]
            assert type(a[i, j]) is np.float64
    assert [row.toarray().tolist() for row in a] == [[row.tolist()] for row in expected]
    assert a[...] is a
    assert a[:] is a
    assert a[:, :] is a


@pytest.mark.parametrize(
    ("key", "message"),
    [
        (6, "index 6 is out of bounds for axis 0 with size 6"),
        (-7, "index -7 is out of bounds for axis 0 with size 6"),
        ((0, 5), "index 5 is out of bounds for axis 1 with size 5"),
        ((6, 0), "index 6 is out of bounds for axis 0 with size 6"),
        ((0, 0, 0), "too many indices for array: array is 2-dimensional, but 3 were indexed"),
        ([0, 6], "index 6 is out of bounds for axis 0 with size 6"),
        (np.array([-7]), "index -7 is out of bounds"),
        (np.array([2**63], np.uint64), "index 9223372036854775808 is out of bounds"),
        ([True], "boolean index did not match: it has 1 elements, and axis 0 has size 6"),
        (1.0, "rows are chosen by an integer, a slice, or a vector of integers or booleans, not by float"),
        (True, "not by bool"), (None, "not by NoneType"), ("a", "not by str"), ([[0]], "not by list"),
        (np.zeros((1, 1), int), "not by an array of 2 dimensions, int64"),
        ((slice(None), 0), "columns of a csr_array are not chosen"),
        ((0, [1]), "columns of a csr_array are not chosen"),
        ((0, slice(1)), r"use tocsc\(\)\[:, columns\]"), ((0, True), "columns of a csr_array are not chosen"),
    ],
)  # fmt: skip
def test_wrong_indices(key, message):
    with pytest.raises(IndexError, match=message):
        both()[0][key]


def test_columns():
    a, expected = both()
    b = a.tocsc()
    for key in (slice(1, 3), slice(None, None, -2), [0, -1, 0], np.arange(5) % 2 == 0, slice(None)):
        assert_equals(b[:, key], expected[:, key], csc_array)
    assert_equals(b[:, 2], expected[:, [2]], csc_array)
    assert b[3, -1] == expected[3, -1]
    for key in (0, slice(None), (0, slice(None)), (0, 0, 0), ([0], 0)):
        with pytest.raises(IndexError):
            b[key]
    with pytest.raises(IndexError, match="index 5 is out of bounds"):
        b[:, 5]


# --- numbers -------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "number", [3, -2.5, 0, True, np.float32(0.5), np.float64(0.5), np.int64(2), np.int8(2), np.array(1.5)], ids=repr
)
def test_numbers(dtype, number):
    a, expected = both(dtype=dtype)
    a = a.sum_duplicates()  # or sums would be rounded in another order
    for view, dense_view in ((a, expected), (a.T, expected.T)):
        kind = type(view)
        assert_equals(view * number, dense_view * number, kind)
        assert_equals(number * view, number * dense_view, kind)
        assert (view * number).nnz == view.nnz
        if number != 0:
            assert_equals(view / number, dense_view / number, kind)
        assert_equals(-view, -dense_view, kind)
        assert_equals(abs(view), abs(dense_view), kind)
        assert +view is view
    assert (a * 2).indices is a.indices


def test_numbers_that_are_not_finite():
    a = csr_array([[0.0, 1.0, -2.0]])
    np.testing.assert_array_equal((a * np.inf).toarray(), [[0, np.inf, -np.inf]])
    np.testing.assert_array_equal((a * np.nan).toarray(), [[0, np.nan, np.nan]])
    with pytest.warns(RuntimeWarning, match="divide by zero"):
        b = a / 0
    np.testing.assert_array_equal(b.toarray(), [[0, np.inf, -np.inf]])


def test_numbers_that_do_not_fit():
    for a in (both()[0], both()[0].T):
        for operation, left, right in ((operator.mul, a, 1j), (operator.mul, 1j, a), (operator.truediv, a, 1j)):
            with pytest.raises(TypeError, match=r"elements of type complex128; a csr_array has float32 or float64"):
                operation(left, right)
        for other in ("a", None, [1.0], np.ones(5), object()):
            for operation in (operator.mul, operator.truediv):
                with pytest.raises(TypeError):
                    operation(a, other)
                with pytest.raises(TypeError):
                    operation(other, a)
        with pytest.raises(TypeError):
            2.0 / a
        with pytest.raises(TypeError):
            a**2
        for operation in (operator.add, operator.sub):
            for left, right in ((a, 1.0), (np.float64(1), a)):
                with pytest.raises(TypeError, match=r"and the number 1.0 would be dense; use toarray\(\)"):
                    operation(left, right)
            for left, right in ((a, np.ones(SHAPE)), (np.ones(SHAPE), a)):
                with pytest.raises(TypeError, match=r"and a dense array is dense; use toarray\(\)"):
                    operation(left, right)
            with pytest.raises(TypeError):
                operation(a, "a")
        for other in (a, 1, np.ones(3)):
            with pytest.raises(TypeError, match="a csr_array is not compared element by element"):
                a == other  # noqa: B015
        assert a != "a"
        assert (a == None) is False  # noqa: E711
        with pytest.raises(ValueError, match=r"the truth value of a cs._array is ambiguous"):
            bool(a)


@given(arrays(), st.integers(0, 2**32 - 1), st.sampled_from([np.float32, np.float64]))
def test_sums(given_, seed, dtype):
    parts, shape = given_
    a, x = csr_array(parts, shape), dense(*parts, shape)
    b, y = both(seed, shape, dtype, np.int64) if shape[1] else (csr_array(shape, dtype=dtype), np.zeros(shape, dtype))
    for kind, u, v in ((csr_array, a, b), (csr_array, a, b.tocsc()), (csr_array, a.tocsc(), b)):
        assert_equals(u + v, x + y, kind)
        assert_equals(u - v, x - y, kind)
    assert_equals(a.T + b.T, (x + y).T, csc_array)
    assert_equals(a.T - b.T, (x - y).T, csc_array)
    assert (a + b).has_canonical_format
    pattern = dense(np.ones(a.nnz), a.indices, a.indptr, shape) + dense(np.ones(b.nnz), b.indices, b.indptr, shape)
    assert (a - b).nnz == (a + b).nnz == np.count_nonzero(pattern)
    assert_equals(sum([a, b]), x + y)
    assert a + 0 is a
    assert_equals(0 - a, -x)
    if shape[0] != shape[1]:
        with pytest.raises(ValueError, match=r"cannot be added; expected the same shape"):
            a + a.T


# --- products ------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtypes", [(x, y) for x in (np.float32, np.float64) for y in (np.float32, np.float64)])
def test_products(dtypes):
    a, x = both(0, (6, 5), dtypes[0])
    b, y = both(1, (5, 4), dtypes[1], np.int64)
    expected = x @ y
    for left in (a, a.tocsc()):
        for right in (b, b.tocsc()):
            assert_equals(left @ right, expected)
        for right in (y, np.asfortranarray(y), np.repeat(y, 2, 1)[:, ::2]):
            product = left @ right
            assert type(product) is np.ndarray
            assert product.dtype == expected.dtype
            np.testing.assert_array_equal(product, expected)
        np.testing.assert_array_equal(left @ y[:, 0], expected[:, 0])
        np.testing.assert_array_equal(left @ y.tolist(), x @ y.tolist())
    for right in (b, b.tocsc()):
        product = x @ right
        assert type(product) is np.ndarray
        assert product.dtype == expected.dtype
        np.testing.assert_array_equal(product, expected)
        np.testing.assert_array_equal(x[0] @ right, expected[0])
        np.testing.assert_array_equal(x.tolist() @ right, x.astype(float) @ y)


def test_products_of_the_transpose():
    a, x = both()
    left, right = np.arange(12.0).reshape(2, 6), np.arange(10.0).reshape(5, 2)
    np.testing.assert_array_equal(a.T @ left.T, x.T @ left.T)
    np.testing.assert_array_equal(right.T @ a.T, right.T @ x.T)
    assert_equals(a.T @ a, x.T @ x)
    assert_equals(a @ a.T, x @ x.T)


@pytest.mark.parametrize("view", [lambda a: a, lambda a: a.tocsc()], ids=["csr", "csc"])
def test_products_that_do_not_fit(view):
    a = view(both()[0])
    b = view(both(1)[0])
    for other in (np.ones(6), np.ones((6, 2)), np.ones((1, 5)), a, b, np.ones((2, 5, 2)), np.ones((0, 2))):
        with pytest.raises(ValueError, match=r"shape|dimensions|rows"):
            a @ other
    for other in (np.ones(5), np.ones((2, 5)), np.ones((6, 1)), np.ones((2, 2, 6))):
        with pytest.raises(ValueError, match=r"shape|dimensions|rows"):
            other @ a
    for other in (2.0, None, "a", np.float64(1), np.array(1.0)):
        with pytest.raises(TypeError):
            a @ other
        with pytest.raises(TypeError):
            other @ a
    with pytest.raises(TypeError):
        a @ (np.ones(5) * 1j)


# --- by columns ----------------------------------------------------------------------------------


@given(arrays())
def test_by_columns(given_):
    parts, shape = given_
    expected = dense(*parts, shape).T
    a = csc_array(parts, shape[::-1])
    assert a.data.ctypes.data == parts[0].ctypes.data
    assert (a.nnz, a.ndim, a.density, a.nbytes) == (a.T.nnz, 2, a.T.density, a.T.nbytes)
    assert (a.has_sorted_indices, a.has_canonical_format) == (a.T.has_sorted_indices, a.T.has_canonical_format)
    assert a.T is a.transpose()
    assert a.tocsc() is a
    for b in (a, csc_array(expected), csc_array(a), csc_array(a.tocsr()), a.copy(), a.sort_indices(),
              a.sum_duplicates(), a.eliminate_zeros(), csc_array(a, copy=True)):  # fmt: skip
        assert_equals(b, expected, csc_array)
    assert_equals(csr_array(a), expected)
    row, col = parts[1], np.repeat(np.arange(shape[0]), np.diff(parts[2]))
    assert_equals(csc_array((parts[0], (row, col)), a.shape), expected, csc_array)
    assert_equals(csc_array(a.shape, dtype=a.dtype), np.zeros_like(expected), csc_array)
    assert_equals(a.astype("float32"), expected.astype(np.float32), csc_array)
    for order in ("C", "F"):
        assert a.toarray(order).flags[f"{order}_CONTIGUOUS"]
        np.testing.assert_array_equal(a.todense(order), expected)
    out = np.full(a.shape, np.nan, a.dtype)
    assert a.toarray(out=out) is out
    np.testing.assert_array_equal(out, expected)


def test_by_columns_refuses():
    a = both()[0].tocsc()
    for call, error, message in (
        (lambda: csc_array(a, (5, 6)), ValueError, r"shape is \(5, 6\), and arg has shape \(6, 5\)"),
        (lambda: csc_array([1.0]), ValueError, "a has 1 dimensions; expected 2"),
        (lambda: csc_array((a.data, a.indices, a.indptr), (3, 5)), ValueError, r"indices\[\d+\] is [34]; expected"),
        (lambda: csc_array((1.0, 2.0)), ValueError, "arg is a tuple of another form"),
        (lambda: a.toarray("K"), ValueError, "order is 'K'"),
        (lambda: a.toarray(out=[1]), TypeError, "out must be an ndarray, not list"),
    ):
        with pytest.raises(error, match=message):
            call()
    with pytest.raises(TypeError, match="unhashable"):
        hash(a)
    with pytest.raises(AttributeError):
        a.shape = (1, 1)


def test_large_arrays():
    # beyond what passes over arrays do with the GIL, and the lengths of vectors
    rng = np.random.default_rng(0)
    data, indices, indptr = compressed(3000, 500, rng.integers(0, 40, 3000), 5)
    a = csr_array((data, indices, indptr), (3000, 500))
    assert not a.has_sorted_indices
    b = a.sum_duplicates()
    assert b.has_canonical_format
    expected = dense(data, indices, indptr, a.shape)
    assert_equals(b, expected)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_equals(a + a, 2 * expected)
    assert_equals(mlopt.sparse.csr_array(expected), expected)
    for place in (0, 1, indices.size - 1, indices.size // 2):
        wrong = indices.copy()
        wrong[place] = 500
        with pytest.raises(ValueError, match=rf"indices\[{place}\] is 500"):
            csr_array((data, wrong, indptr), (3000, 500))
