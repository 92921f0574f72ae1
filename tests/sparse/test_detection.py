"""matmul finds sparse operands by itself, and takes them where it is told to."""

import numpy as np
import pytest

import mlopt
from mlopt.sparse.detection import detected_product


def matrix(shape, density, dtype=np.float64, seed=0):
    rng = np.random.default_rng(seed)
    return np.where(rng.random(shape) < density, rng.standard_normal(shape), 0).astype(dtype)


def close(result, a, b):
    dtype = result.dtype
    exact = a.astype(np.float64) @ b.astype(np.float64)
    bound = a.shape[-1] * np.finfo(dtype).eps * (np.abs(a).astype(np.float64) @ np.abs(b).astype(np.float64))
    assert (np.abs(result - exact) <= bound).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("out", [False, True])
def test_auto_is_the_product(dtype, order, out):
    sparse, dense = np.asarray(matrix((700, 600), 0.01, dtype), order=order), matrix((600, 650), 1, dtype, 1)
    given = np.empty((700, 650), dtype) if out else None
    result = mlopt.matmul(sparse, dense, out=given)
    assert given is None or result is given
    assert result.flags.c_contiguous
    close(result, sparse, dense)
    given = np.empty((650, 700), dtype) if out else None
    result = mlopt.matmul(dense.T, sparse.T, out=given)
    assert result.flags.c_contiguous
    close(result, dense.T, sparse.T)


@pytest.mark.parametrize("right", [False, True])
def test_auto_takes_the_sparse_product_only_where_the_other_is_finite(right):
    sparse, dense = matrix((1500, 1400), 0.002), matrix((1400, 1300), 1, seed=1)
    operands = (dense.T, sparse.T) if right else (sparse, dense)
    assert detected_product(*operands) is not None
    np.testing.assert_array_equal(mlopt.matmul(*operands), detected_product(*operands))
    dense[1300, 7] = np.inf
    dense[12, 8] = np.nan
    assert detected_product(*operands) is None
    result = mlopt.matmul(*operands)
    np.testing.assert_array_equal(result, mlopt.matmul(*operands, method="gemm"))
    assert np.isnan(result).any()


@pytest.mark.parametrize("density", [0.3, 0.6, 1.0])
def test_auto_leaves_dense_matrices_alone(density):
    a, b = matrix((900, 800), density), matrix((800, 700), density, seed=1)
    np.testing.assert_array_equal(mlopt.matmul(a, b), mlopt.matmul(a, b, method="gemm"))


def test_auto_with_an_out_that_numpy_casts():
    a, b = matrix((700, 600), 0.01), matrix((600, 650), 1)
    with pytest.raises(TypeError, match=r"same_kind|cast"):
        mlopt.matmul(a, b, out=np.empty((700, 650), np.int64))
    with pytest.raises(ValueError, match=r"mismatch|dimension"):
        mlopt.matmul(a, b, out=np.empty((650, 700)))


def test_auto_with_an_out_that_overlaps():
    a, b = matrix((640, 640), 0.005), matrix((640, 640), 1)
    expected = a @ b
    mlopt.matmul(a, b, out=b)
    np.testing.assert_allclose(b, expected, rtol=1e-12, atol=1e-12)


def test_blocks_of_zeros_that_a_sample_may_miss():
    a, b = np.zeros((1024, 1024)), matrix((1024, 1024), 1)
    a[:256, :256] = 1.0  # 6 % in one corner
    close(mlopt.matmul(a, b), a, b)


@pytest.mark.parametrize(
    "shapes", [((5, 4), (4, 3)), ((5, 4), (4,)), ((4,), (4, 3)), ((0, 4), (4, 3)), ((5, 0), (0, 3))]
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.bool_, np.float16])
def test_method_sparse(shapes, dtype):
    a, b = (matrix(shape, 0.5, seed=i).astype(dtype) for i, shape in enumerate(shapes))
    result = mlopt.matmul(a, b, method="sparse")
    expected = np.matmul(a.astype(np.float64), b.astype(np.float64))
    assert result.dtype in (np.float32, np.float64)
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-6)


def test_method_sparse_leaves_zeros_out():
    a, b = np.array([[0.0, 2.0], [1.0, 0.0]]), np.array([[np.inf], [3.0]])
    np.testing.assert_array_equal(mlopt.matmul(a, b, method="sparse"), [[6.0], [np.inf]])
    np.testing.assert_array_equal(mlopt.matmul(b.T, a, method="sparse"), [[3.0, np.inf]])


def test_method_sparse_takes_the_sparser_operand():
    a, b = np.full((3, 3), 2.0), np.eye(3)
    a[0, 0] = np.nan  # if b is the sparse one, only column 0 of the result has it
    result = mlopt.matmul(a, b, method="sparse")
    assert np.isnan(result).sum() == 1


@pytest.mark.parametrize(
    ("a", "b", "error", "match"),
    [
        (np.ones(3), np.ones(3), ValueError, "a matrix among them"),
        (np.ones((2, 3, 3)), np.ones((3, 3)), ValueError, "a has 3 dimensions"),
        (np.ones((3, 3)), np.ones((2, 3, 3)), ValueError, "b has 3 dimensions"),
        (np.ones((3, 3), complex), np.ones((3, 3)), TypeError, "a has elements of type complex128"),
        (np.ones((3, 2)), np.ones((3, 3)), ValueError, "shape"),
    ],
)
def test_method_sparse_refuses(a, b, error, match):
    with pytest.raises(error, match=match):
        mlopt.matmul(a, b, method="sparse")


@pytest.mark.parametrize("form", ["csr", "csc"])
@pytest.mark.parametrize("vector", [False, True])
def test_sparse_operands(form, vector):
    a, b = matrix((6, 5), 0.4), matrix((5,) if vector else (5, 3), 1, seed=1)
    sparse = mlopt.sparse.csr_array(a)
    sparse = sparse if form == "csr" else sparse.tocsc()
    out = np.empty((6,) if vector else (6, 3))
    assert mlopt.matmul(sparse, b, out=out, num_threads=1) is out
    np.testing.assert_allclose(out, a @ b, rtol=1e-14)
    left = b if vector else b.T
    out = np.empty((6,) if vector else (3, 6))
    assert mlopt.matmul(left, sparse.T, out=out) is out
    np.testing.assert_allclose(out, left @ a.T, rtol=1e-14)


@pytest.mark.parametrize("forms", [("csr", "csr"), ("csr", "csc"), ("csc", "csr"), ("csc", "csc")])
def test_two_sparse_operands(forms):
    a, b = matrix((6, 5), 0.4), matrix((5, 7), 0.4, seed=1)
    left, right = mlopt.sparse.csr_array(a), mlopt.sparse.csr_array(b)
    left, right = (x.tocsc() if form == "csc" else x for x, form in zip((left, right), forms, strict=True))
    result = mlopt.matmul(left, right)
    assert isinstance(result, mlopt.sparse.csr_array)
    np.testing.assert_allclose(result.toarray(), a @ b, rtol=1e-14)
    with pytest.raises(ValueError, match="out is given, and both operands are sparse"):
        mlopt.matmul(left, right, out=np.empty((6, 7)))


@pytest.mark.parametrize("method", ["gemm", "strassen"])
def test_methods_of_dense_operands(method):
    a = mlopt.sparse.csr_array(np.eye(3))
    with pytest.raises(ValueError, match=f"method='{method}' is given, and a is sparse"):
        mlopt.matmul(a, np.ones((3, 3)), method=method)
    with pytest.raises(ValueError, match=f"method='{method}' is given, and b is sparse"):
        mlopt.matmul(np.ones((3, 3)), a, method=method)


@pytest.mark.parametrize("kind", ["csr_array", "csc_array", "coo_array", "csr_matrix", "bsr_array"])
def test_operands_of_scipy(kind):
    scipy_sparse = pytest.importorskip("scipy.sparse")
    a, b = matrix((6, 6), 0.4), matrix((6, 3), 1, seed=1)
    sparse = getattr(scipy_sparse, kind)(a)
    np.testing.assert_allclose(mlopt.matmul(sparse, b), a @ b, rtol=1e-14)
    np.testing.assert_allclose(mlopt.matmul(b.T, sparse), b.T @ a, rtol=1e-14)


def test_density():
    for dtype in (np.float32, np.float64, np.int8, np.bool_):
        a = matrix((37, 53), 0.3).astype(dtype)
        for x in (a, a.T, a[::2], a[:, ::3], a[:, 3:40], a.ravel(), np.asfortranarray(a)):
            assert mlopt.sparse.density(x) == np.count_nonzero(x) / x.size
    assert mlopt.sparse.density(np.array([np.nan, 0.0, -0.0, 5e-324])) == 0.5


@pytest.mark.parametrize("density", [0, 0.02, 0.5, 1])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_from_dense_grows_its_arrays(density, dtype):
    whole = matrix((300, 154), density, dtype)
    for a in (whole, whole[:, ::2], whole[:, 5:]):
        sparse = mlopt.sparse.csr_array(a)
        assert sparse.nnz == np.count_nonzero(a)
        assert sparse.has_canonical_format
        np.testing.assert_array_equal(sparse.toarray(), a)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sampled_matmul(dtype):
    a, b, pattern = matrix((23, 17), 1, dtype), matrix((17, 31), 1, dtype, 1), matrix((23, 31), 0.2, dtype, 2)
    sparse = mlopt.sparse.csr_array(pattern)
    for left, right in ((a, b), (np.asfortranarray(a), np.asfortranarray(b)), (a[:, ::-1], b[::-1])):
        result = mlopt.sparse.sampled_matmul(left, right, sparse)
        assert result.dtype == dtype
        np.testing.assert_array_equal(result.indices, sparse.indices)
        np.testing.assert_allclose(result.toarray(), np.where(pattern != 0, a @ b, 0), rtol=1e-4, atol=1e-5)


def test_sampled_matmul_is_the_gradient_of_a_sparse_factor():
    s, x, g = mlopt.sparse.csr_array(matrix((4, 5), 0.5)), matrix((5, 3), 1, seed=1), matrix((4, 3), 1, seed=2)
    gradient = mlopt.sparse.sampled_matmul(g, x.T, s)
    step = 1e-6
    for k in range(s.nnz):
        data = s.data.copy()
        data[k] += step
        moved = mlopt.sparse.csr_array((data, s.indices, s.indptr), s.shape)
        np.testing.assert_allclose(((moved @ x - s @ x) * g).sum() / step, gradient.data[k], rtol=1e-6)


@pytest.mark.parametrize(
    ("a", "b", "error", "match"),
    [
        (np.ones((4, 2)), np.ones((2, 5)), ValueError, "a has 4 rows; expected 3"),
        (np.ones((3, 2)), np.ones((2, 4)), ValueError, "b has 4 columns; expected 5"),
        (np.ones((3, 2)), np.ones((3, 5)), ValueError, "b has 3 rows; expected 2"),
        (np.ones(3), np.ones((2, 5)), ValueError, "a has 1 dimensions"),
        (np.ones((3, 2)), np.ones((2, 5), complex), TypeError, "b has elements of type complex128"),
    ],
)
def test_sampled_matmul_refuses(a, b, error, match):
    with pytest.raises(error, match=match):
        mlopt.sparse.sampled_matmul(a, b, mlopt.sparse.csr_array((3, 5)))
    with pytest.raises(TypeError, match="pattern must be a csr_array"):
        mlopt.sparse.sampled_matmul(np.ones((3, 2)), np.ones((2, 5)), np.ones((3, 5)))
