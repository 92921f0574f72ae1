"""Sparse arrays from SciPy's and back, without copies, and the same results."""

import io

import numpy as np
import pytest
from hypothesis import given
from random_sparse import arrays

import mlopt
from mlopt.sparse import csc_array, csr_array, load_npz, save_npz

sparse = pytest.importorskip("scipy.sparse", exc_type=ImportError)

FORMATS = ["csr", "csc", "coo", "bsr", "dia", "lil", "dok"]
KINDS = ["array", "matrix"]


def theirs(parts, shape, kind="csr_array"):
    result = getattr(sparse, kind)(shape, dtype=parts[0].dtype)
    result.data, result.indices, result.indptr = parts
    return result


def address(x):
    return [part.ctypes.data for part in (x.data, x.indices, x.indptr)]


@given(arrays())
def test_to_and_from_without_copies(given_):
    parts, shape = given_
    for kind in ("csr_array", "csr_matrix"):
        source = theirs(parts, shape, kind)
        a = csr_array(source)
        assert address(a) == address(source)
        assert a.indices.dtype == source.indices.dtype
        assert a.has_sorted_indices == source.has_sorted_indices
        assert a.has_canonical_format == source.has_canonical_format
        np.testing.assert_array_equal(a.toarray(), source.toarray())
        back = a.to_scipy()
        assert type(back) is sparse.csr_array
        assert address(back) == address(source)
        back.check_format()
        np.testing.assert_array_equal(back.toarray(), source.toarray())
        copied = a.to_scipy(copy=True)
        copied.sum_duplicates()  # in place
        np.testing.assert_array_equal(copied.toarray(), source.toarray())
        b = csr_array.from_scipy(source, copy=True)
        assert not np.shares_memory(b.indptr, source.indptr)
    source = theirs(parts, shape[::-1], "csc_array")
    a = csc_array(source)
    assert address(a) == address(source) == address(a.to_scipy())
    assert type(a.to_scipy()) is sparse.csc_array
    np.testing.assert_array_equal(a.toarray(), source.toarray())
    np.testing.assert_array_equal(a.to_scipy(copy=True).toarray(), source.toarray())


def test_what_is_given_back_cannot_be_written_to():
    a = csr_array(np.eye(3)).to_scipy()
    with pytest.raises(ValueError, match="read-only"):
        a.data[0] = 2
    with pytest.raises(ValueError, match="read-only"):
        a.setdiag(2)
    np.testing.assert_array_equal((a + a).toarray(), 2 * np.eye(3))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("format_", FORMATS)
def test_formats(format_, kind):
    rng = np.random.default_rng(0)
    expected = rng.integers(1, 5, (6, 8)) * (rng.random((6, 8)) < 0.3) * 1.0
    source = getattr(sparse, f"{format_}_{kind}")(expected)
    for made in (csr_array(source), csr_array.from_scipy(source), csc_array(source)):
        np.testing.assert_array_equal(made.toarray(), expected)
    with pytest.raises(TypeError, match="expected float32 or float64, or dtype= to convert"):
        csr_array(source.astype(int))
    np.testing.assert_array_equal(csr_array(source.astype(int), dtype="float32").toarray(), expected)
    with pytest.raises(TypeError, match="expected real numbers"):
        csr_array(source.astype(complex))
    with pytest.raises(ValueError, match=r"shape is \(8, 6\), and a has shape \(6, 8\)"):
        csr_array(source, (8, 6))
    if format_ not in ("bsr", "dia"):  # which store zeros
        assert mlopt.sparse.density(source) == np.count_nonzero(expected) / 48


def test_arrays_of_theirs_that_are_odd():
    source = sparse.csr_array(np.eye(3))
    source.data, source.indices = np.append(source.data, [7.0, 8.0]), np.append(source.indices, [90, -3])
    np.testing.assert_array_equal(csr_array(source).toarray(), np.eye(3))  # room behind the last element
    source.indices[1] = 3
    with pytest.raises(ValueError, match=r"^indices\[1\] is 3; expected"):
        csr_array(source)
    with pytest.raises(ValueError, match="a has 1 dimensions; expected 2"):
        csr_array(sparse.coo_array(np.ones(3)))


@given(arrays())
def test_coordinates(given_):
    parts, shape = given_
    row = np.repeat(np.arange(shape[0]), np.diff(parts[2]))
    expected = sparse.coo_array((parts[0], (row, parts[1])), shape).tocsr()
    a = csr_array((parts[0], (row, parts[1])), shape)
    for name in ("data", "indices", "indptr"):
        np.testing.assert_array_equal(getattr(a, name), getattr(expected, name))
    by_columns = csr_array(parts, shape).tocsc()
    expected = theirs(parts, shape).tocsc()
    for name in ("data", "indices", "indptr"):
        np.testing.assert_array_equal(getattr(by_columns, name), getattr(expected, name))


def test_operations_with_theirs():
    rng = np.random.default_rng(0)
    x, y = (rng.integers(-3, 4, (5, 5)) * (rng.random((5, 5)) < 0.5) * 1.0 for _ in range(2))
    for made in (csr_array(x), csc_array(x)):
        for kind in ("csr_array", "csc_array", "coo_array", "csr_matrix"):
            their = getattr(sparse, kind)(y)
            for actual, expected in (
                (made @ their, x @ y), (their @ made, y @ x), (made + their, x + y), (their + made, y + x),
                (made - their, x - y), (their - made, y - x),
            ):  # fmt: skip
                assert isinstance(actual, csr_array | csc_array)
                np.testing.assert_array_equal(actual.toarray(), expected)


@pytest.mark.parametrize("kind", ["csr_array", "csr_matrix", "csc_array", "csc_matrix", "coo_array", "coo_matrix"])
@pytest.mark.parametrize("compressed", [True, False])
def test_files_of_theirs(kind, compressed, tmp_path):
    rng = np.random.default_rng(0)
    expected = rng.standard_normal((7, 4)) * (rng.random((7, 4)) < 0.4)
    source = getattr(sparse, kind)(expected)
    sparse.save_npz(tmp_path / "theirs.npz", source, compressed)
    a = load_npz(tmp_path / "theirs.npz")
    assert type(a) is (csc_array if "csc" in kind else csr_array)
    np.testing.assert_array_equal(a.toarray(), expected)
    if "coo" not in kind:
        assert a.indices.dtype == source.indices.dtype


@given(arrays())
def test_files_of_ours(given_):
    parts, shape = given_
    a = csr_array(parts, shape)
    for made in (a, a.T):
        file = io.BytesIO()
        save_npz(file, made)
        file.seek(0)
        loaded = sparse.load_npz(file)
        assert type(loaded).__name__ == type(made).__name__
        assert loaded.shape == made.shape
        assert loaded.dtype == made.dtype
        np.testing.assert_array_equal(loaded.toarray(), made.toarray())
        # the same members, types and values as SciPy writes
        theirs_file = io.BytesIO()
        sparse.save_npz(theirs_file, made.to_scipy())
        file.seek(0)
        theirs_file.seek(0)
        with np.load(file) as x, np.load(theirs_file) as y:
            assert set(x.files) == set(y.files)
            for name in y.files:
                assert x[name].dtype == y[name].dtype
                assert x[name].shape == y[name].shape
                np.testing.assert_array_equal(x[name], y[name])
