"""The randomised SVD against the full one, on matrices whose singular values are known."""

import math

import numpy as np
import pytest
import scipy.sparse
import scipy.stats
import threadpoolctl

import mlopt
from mlopt.linalg import RandomizedSVDResult, randomized_svd
from mlopt.linalg.randomized.operators import checked, operator
from mlopt.linalg.randomized.orthonormal import lower_inverse, orthonormal, well_conditioned
from mlopt.linalg.randomized.residual import COLUMNS, residual_norm, smallest_component
from mlopt.linalg.randomized.svd import SKETCHES

N, RANK = 200, 20
INDEX = np.arange(1, N + 1.0)
SPECTRA = {
    "harmonic": 1 / INDEX,
    "slow": INDEX**-0.5,
    "flat": np.ones(N),
    "cliff": np.where(INDEX <= RANK, 1, 1e-8),
    "deep cliff": np.where(INDEX <= RANK, 1, 1e-11),
    "cliff before": np.where(INDEX < RANK, 1, 1e-4),
    "exponential": 0.8**INDEX,
    "steep": 0.4**INDEX,
    "noise": np.where(INDEX <= 10, 1 / INDEX, 1e-3),
    "deficient": np.where(INDEX <= 10, 1 / INDEX, 0.0),
    "just enough": np.where(INDEX <= RANK, 1 / INDEX, 0.0),
    "one": np.where(INDEX <= 1, 1.0, 0.0),
    "pairs": np.repeat(1 / INDEX[: N // 2], 2),
}


@pytest.fixture(autouse=True, scope="module")
def one_blas_thread():
    """Of the many small factorisations here: waiting threads would take more time than they save."""
    with threadpoolctl.threadpool_limits(1):
        yield


def orthogonal(n, columns, seed):
    return np.linalg.qr(np.random.default_rng(seed).standard_normal((n, columns)))[0]


def matrix_of(values, shape=(N, N), seed=0):
    """A matrix of these singular values."""
    count = min(*shape, len(values))
    left, right = orthogonal(shape[0], count, seed), orthogonal(shape[1], count, seed + 1)
    return (left * values[:count]) @ right.T


def error_of(a, result):
    """In the spectral norm, relative to the largest entry: near the limits of the range, nothing overflows."""
    scale = 2.0 ** math.frexp(float(np.abs(a).max(initial=0)) or 1.0)[1]
    values = result.S.astype(np.float64) / scale
    return np.linalg.norm(a.astype(np.float64) / scale - result.U.astype(np.float64) * values @ result.Vh, 2) * scale


def departure(result):
    """From orthonormality."""
    u, vh = result.U.astype(np.float64), result.Vh.astype(np.float64)
    unit = np.eye(u.shape[1])
    return max(np.abs(u.T @ u - unit).max(), np.abs(vh @ vh.T - unit).max())


def floor(a, dtype=np.float64):
    """What the bound may be of where the matrix has no more rank than was asked for: a few n eps norm(a)."""
    return 10 * max(a.shape) * np.finfo(dtype).eps * np.linalg.norm(a, 2)


@pytest.mark.parametrize("sketch", SKETCHES)
@pytest.mark.parametrize("name", SPECTRA)
def test_spectra(name, sketch):
    values = SPECTRA[name]
    a = matrix_of(values)
    for seed in range(4):
        result = randomized_svd(a, RANK, sketch=sketch, n_iter=4, rng=seed)
        error = error_of(a, result)
        assert departure(result) < 1e-14
        assert (np.diff(result.S) <= 0).all()
        assert (values[:RANK] * (1 + 1e-12) + 1e-14 >= result.S).all()
        assert error <= max(1.05 * values[RANK], 2e-14)
        assert error <= result.error_bound <= 2 * max(error, floor(a))


@pytest.mark.parametrize("scale", [1e300, 1e-300, 1e30, 1e-30, 2.0**-1022])
@pytest.mark.parametrize("name", ["harmonic", "flat", "cliff", "deficient"])
def test_scales(name, scale):
    a = matrix_of(SPECTRA[name]) * scale
    plain = randomized_svd(matrix_of(SPECTRA[name]), RANK, rng=0)
    result = randomized_svd(a, RANK, rng=0)
    assert departure(result) < 1e-14
    lost = N * 5e-324  # entries of denormal size are rounded
    error = error_of(a, result)
    assert error <= 1.01 * error_of(a / scale, plain) * scale + 1e-14 * scale + 10 * lost
    assert error <= result.error_bound + 10 * lost
    assert result.error_bound <= 2 * max(error, floor(a / scale) * scale) + 10 * lost


@pytest.mark.parametrize("shape", [(300, 80), (80, 300), (1, 50), (50, 1), (1, 1), (17, 17), (1000, 20), (33, 500)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_shapes(shape, dtype):
    a = np.random.default_rng(1).standard_normal(shape).astype(dtype)
    smaller = min(shape)
    full = np.linalg.svd(a.astype(np.float64), compute_uv=False)
    eps = np.finfo(dtype).eps
    for rank in {1, (smaller + 1) // 2, smaller}:
        result = randomized_svd(a, rank, n_iter=5, rng=0)
        assert isinstance(result, RandomizedSVDResult)
        assert [x.shape for x in result[:3]] == [(shape[0], rank), (rank,), (rank, shape[1])]
        assert {x.dtype for x in result[:3]} == {np.dtype(dtype)}
        assert type(result.error_bound) is float
        best = full[rank] if rank < smaller else 0
        error = error_of(a, result)
        assert error <= 1.05 * best + 30 * eps * full[0]
        assert error <= result.error_bound <= 2 * max(error, floor(a, dtype))
        assert departure(result) < 30 * eps


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_zero(dtype):
    result = randomized_svd(np.zeros((40, 30), dtype), 5, rng=0)
    assert departure(result) < 1e-14
    assert not result.S.any()
    assert result.error_bound == 0


@pytest.mark.parametrize("name", SPECTRA)
def test_float32(name):
    a = matrix_of(SPECTRA[name]).astype(np.float32)
    result = randomized_svd(a, RANK, n_iter=4, rng=3)
    error = error_of(a, result)
    assert departure(result) < 2e-6
    assert error <= result.error_bound <= 2 * max(error, floor(a, np.float32))
    assert error <= 1.05 * SPECTRA[name][RANK] + 2e-6


def test_nearly_optimal_by_default():
    """The work of the target: 512 x 512, singular values 1/i, rank 50."""
    values = 1 / np.arange(1, 513.0)
    a = matrix_of(values, (512, 512))
    errors = [error_of(a, randomized_svd(a, 50, rng=seed)) / values[50] for seed in range(8)]
    assert np.median(errors) < 1.006
    assert max(errors) < 1.03


def test_float32_steps_give_what_float64_steps_do(monkeypatch):
    from mlopt.linalg.randomized import svd as randomized

    a = matrix_of(SPECTRA["harmonic"])
    mixed = randomized_svd(a, RANK, n_iter=10, rng=0)
    monkeypatch.setattr(randomized, "SINGLE_RATIO", np.inf)
    wide = randomized_svd(a, RANK, n_iter=10, rng=0)
    assert not np.array_equal(mixed.S, wide.S)
    np.testing.assert_allclose(mixed.S, wide.S, rtol=1e-9)
    np.testing.assert_allclose(np.abs(np.sum(mixed.U * wide.U, axis=0)), 1, rtol=1e-6)


def test_more_iterations_are_more_exact():
    a = matrix_of(SPECTRA["slow"])
    errors = [error_of(a, randomized_svd(a, RANK, n_iter=n, rng=0)) for n in (0, 1, 2, 4, 8)]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] <= 1.001 * SPECTRA["slow"][RANK]


def test_signs():
    a = np.random.default_rng(5).standard_normal((60, 90))
    for x in (a, a.T):
        u, s, vh, _ = randomized_svd(x, 8, n_iter=8, rng=0)
        assert (u[np.abs(u).argmax(axis=0), np.arange(8)] > 0).all()
        other = randomized_svd(x, 8, n_iter=8, rng=1)
        np.testing.assert_allclose(other.U, u, atol=1e-5)
        np.testing.assert_allclose(other.Vh, vh, atol=1e-5)
        np.testing.assert_allclose(other.S, s)


def test_reproducible_whatever_the_threads():
    a = np.random.default_rng(5).standard_normal((600, 700))
    results = [randomized_svd(a, 10, rng=7, num_threads=threads) for threads in (1, 2, None)]
    generator = np.random.default_rng(7)
    results.append(randomized_svd(a, 10, rng=generator))
    for result in results[1:]:
        for x, y in zip(results[0], result, strict=True):
            np.testing.assert_array_equal(x, y)
    assert not np.array_equal(randomized_svd(a, 10, rng=8).U, results[0].U)
    assert not np.array_equal(randomized_svd(a, 10, rng=generator).U, results[0].U)
    assert randomized_svd(a, 10).S.shape == (10,)


@pytest.mark.parametrize("layout", [np.asfortranarray, lambda a: np.repeat(a, 2, axis=1)[:, ::2], np.ndarray.tolist])
def test_layouts(layout):
    a = np.random.default_rng(2).standard_normal((60, 50))
    result, plain = randomized_svd(layout(a), 6, rng=0), randomized_svd(a, 6, rng=0)
    np.testing.assert_allclose(result.S, plain.S, rtol=1e-9)
    np.testing.assert_allclose(result.U, plain.U, atol=1e-6)


@pytest.mark.parametrize("dtype", [np.int64, np.int8, np.bool_, np.float16])
def test_other_types(dtype):
    a = np.random.default_rng(2).integers(0, 2, (40, 30)).astype(dtype)
    result = randomized_svd(a, 6, n_iter=6, rng=0)
    assert result.S.dtype == (np.float32 if dtype == np.float16 else np.float64)
    assert error_of(a.astype(np.float64), result) <= result.error_bound


def test_given_matrix_is_left_alone():
    a = np.random.default_rng(2).standard_normal((60, 50)).astype(np.float32) * np.float32(1e-30)
    before = a.copy()
    randomized_svd(a, 3, rng=0)
    np.testing.assert_array_equal(a, before)
    a.flags.writeable = False
    randomized_svd(a, 3, rng=0)


# --- sparse -------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["csr", "csc", "coo"])
@pytest.mark.parametrize("shape", [(300, 200), (200, 300)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32])
def test_sparse(form, shape, dtype):
    rng = np.random.default_rng(4)
    a = scipy.sparse.random_array(shape, density=0.03, format=form, rng=rng)
    a = (100 * a).astype(dtype)
    dense = a.toarray()
    result = randomized_svd(a, 10, n_iter=6, rng=0)
    error = error_of(dense, result)
    best = np.linalg.svd(dense.astype(np.float64), compute_uv=False)[10]
    assert error <= 1.05 * best
    assert error <= result.error_bound <= 2 * error
    same = randomized_svd(dense, 10, n_iter=6, rng=0)
    np.testing.assert_allclose(result.S, same.S, rtol=1e-3)


@pytest.mark.parametrize("shape", [(90, 60), (60, 90)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sparse_arrays_of_this_library(shape, dtype):
    a = scipy.sparse.random_array(shape, density=0.1, format="csr", rng=np.random.default_rng(4)).astype(dtype)
    expected = randomized_svd(a, 5, rng=0)
    ours = mlopt.sparse.csr_array(a)
    for x, transposed in ((ours, False), (ours.T, True), (ours.T.T, False)):
        result = randomized_svd(x, 5, rng=0)
        u, vh = (result.Vh.T, result.U.T) if transposed else (result.U, result.Vh)
        np.testing.assert_array_equal(result.S, expected.S)
        np.testing.assert_allclose(np.abs(u), np.abs(expected.U), atol=1e-6)
        np.testing.assert_allclose(np.abs(vh), np.abs(expected.Vh), atol=1e-6)


@pytest.mark.parametrize("form", ["csr", "csc"])
def test_sparse_duplicates_count_once(form):
    kind = {"csr": scipy.sparse.csr_array, "csc": scipy.sparse.csc_array}[form]
    a = kind((np.array([1.0, -1.0, 2.0, 1.0]), np.array([1, 1, 0, 0]), np.array([0, 2, 4, 4])), shape=(3, 3))
    result = randomized_svd(a, 1, rng=0)
    np.testing.assert_allclose(result.S, [3])
    assert result.error_bound < 1e-10
    assert a.nnz == 4  # and is left as it was


@pytest.mark.parametrize("scale", [1e300, 1e-300])
def test_sparse_scales(scale):
    a = scipy.sparse.random_array((200, 150), density=0.05, format="csr", rng=np.random.default_rng(4)) * scale
    result = randomized_svd(a, 5, rng=0)
    error = error_of(a.toarray(), result)
    assert error <= result.error_bound <= 2 * error


def test_sparse_with_empty_rows_and_none_at_all():
    a = scipy.sparse.csr_array((60, 50))
    assert not randomized_svd(a, 4, rng=0).S.any()
    a = scipy.sparse.csr_array(([3.0], ([2], [1])), shape=(60, 50))
    result = randomized_svd(a, 2, rng=0)
    np.testing.assert_allclose(result.S, [3, 0], atol=1e-14)
    assert result.error_bound < 1e-9
    assert departure(result) < 1e-14


# --- the bound ----------------------------------------------------------------------------------


def test_smallest_component_is_the_quantile():
    for columns in (2, 8, 16):
        for failure in (1e-8, 1e-6, 0.1):
            quantile = scipy.stats.chi2.ppf(failure, columns)
            assert smallest_component(columns, failure) == pytest.approx(math.sqrt(quantile), rel=1e-6)


def test_bound_fails_as_often_as_it_may():
    """With a large stated probability of failure, and the worst residual: of rank one."""
    n, failure, trials = 30, 0.2, 400
    a = np.zeros((n, n))
    a[3, 5] = 1.0
    u, vh = np.zeros((n, 1)), np.zeros((1, n))
    u[0, 0] = vh[0, 0] = 1.0
    view = operator(checked(a), 1)
    bounds = [
        residual_norm(view, u, np.zeros(1), vh, key, expected=1.0, failure=failure, enough=1.0).upper
        for key in range(trials)
    ]
    failures = sum(bound < 1 - 1e-6 for bound in bounds)
    assert abs(failures / trials - failure) < 4 * math.sqrt(failure * (1 - failure) / trials)


@pytest.mark.parametrize("name", SPECTRA)
@pytest.mark.parametrize("rank", [1, 5, 30])
def test_bounds_hold(name, rank):
    """Of products that are not the best ones, too."""
    a = matrix_of(SPECTRA[name], (90, 120))
    view = operator(checked(a), 1)
    u, vh = orthogonal(90, rank, 8), orthogonal(120, rank, 9).T
    singular = np.linspace(1, 0.1, rank)
    true = np.linalg.norm(a - u * singular @ vh, 2)
    for key in range(5):
        bounds = residual_norm(view, u, singular, vh, key, expected=0.1)
        assert bounds.lower <= true * (1 + 1e-12) <= bounds.upper * (1 + 1e-12)
        assert bounds.upper <= 1.8 * true


def test_expected_norm_may_be_wrong():
    """It only decides how to compute: a residual far below what was expected is bounded all the same."""
    values = np.where(INDEX <= RANK, 1, 1e-9)
    a = matrix_of(values)
    view = operator(checked(a), 1)
    u, singular, vh = np.linalg.svd(a)
    for expected in (1.0, 1e-9, 1e-30, 0.0):
        bounds = residual_norm(view, u[:, :RANK], singular[:RANK], vh[:RANK], 0, expected=expected)
        assert 1e-9 <= bounds.upper <= (2.1e-9 if expected < 1 else 1e-2)


def test_powers_underflow_nowhere():
    a = matrix_of(np.full(N, 1e-12))
    a[0, 0] += 1
    result = randomized_svd(a, 1, n_iter=2, rng=0)
    assert 0.9e-12 <= result.error_bound <= 3e-12


# --- tol ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "tol"),
    [
        (name, tol)
        for name in ("harmonic", "exponential", "steep", "cliff", "noise", "deficient")
        for tol in (0.3, 0.02, 2e-3, 1e-6)
        if (SPECTRA[name][100:] < tol / 2).all()  # else it takes nearly all of the matrix
    ],
)
def test_tol(name, tol):
    values = SPECTRA[name]
    a = matrix_of(values)
    result = randomized_svd(a, None, tol=tol, rng=0)
    assert error_of(a, result) <= result.error_bound <= tol
    least = int((values > tol).sum())  # of the best approximation
    assert least <= len(result.S) <= max(1, (values > tol / 1.3).sum())


def test_tol_is_absolute_at_any_scale():
    a = matrix_of(SPECTRA["exponential"])
    rank = len(randomized_svd(a, None, tol=1e-3, rng=0).S)
    for scale in (2.0**900, 2.0**-900):
        result = randomized_svd(a * scale, None, tol=1e-3 * scale, rng=0)
        assert len(result.S) == rank
        assert result.error_bound <= 1e-3 * scale


def test_tol_at_another_end_of_the_range():
    a = matrix_of(SPECTRA["exponential"]) * 1e-300
    assert randomized_svd(a, None, tol=1e300, rng=0).S.shape == (1,)
    with pytest.warns(RuntimeWarning, match="above tol=1e-300"):
        randomized_svd(a * 1e300 * 1e300, 3, tol=1e-300, rng=0)


def test_tol_out_of_reach():
    a = matrix_of(SPECTRA["flat"])
    with pytest.warns(RuntimeWarning, match=r"with all 30 singular values, above tol=0.5"):
        result = randomized_svd(a, 30, tol=0.5, rng=0)
    assert result.S.shape == (30,)
    assert 1 - 1e-9 <= result.error_bound < 2


# --- errors -------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("wrap", [np.asarray, np.float32, scipy.sparse.csr_array])
def test_not_finite(bad, wrap):
    a = np.eye(20)
    a[3, 4] = bad
    with pytest.raises(ValueError, match="a must be finite"):
        randomized_svd(wrap(a), 2)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"rank": 0}, ValueError, "rank must be at least 1, not 0"),
        ({"rank": 6}, ValueError, "rank must be at most 5, the smaller side of a, not 6"),
        ({"rank": 2.5}, TypeError, "rank must be an integer, not float"),
        ({"rank": None}, ValueError, "rank must be an integer where tol is not given"),
        ({"oversampling": -1}, ValueError, "oversampling must be at least 0, not -1"),
        ({"n_iter": -1}, ValueError, "n_iter must be at least 0, not -1"),
        ({"n_iter": "2"}, TypeError, "n_iter must be an integer, not str"),
        ({"sketch": "fjlt"}, ValueError, "sketch='fjlt' is not a sketch; expected one of 'auto', 'gaussian'"),
        ({"tol": 0}, ValueError, "tol must be a positive number, not 0"),
        ({"tol": math.nan}, ValueError, "tol must be a positive number, not nan"),
        ({"tol": "x"}, ValueError, "tol must be a positive number, not 'x'"),
        ({"a": np.ones(3)}, ValueError, r"a must be a matrix, not an array of shape \(3,\)"),
        ({"a": np.ones((0, 3))}, ValueError, r"a must have at least one row and one column, not shape \(0, 3\)"),
        ({"a": np.ones((5, 5), complex)}, TypeError, "a must be real, not complex128"),
        ({"a": np.full((5, 5), "x")}, TypeError, "a must be a matrix of real numbers"),
        ({"a": scipy.sparse.eye_array(5), "sketch": "srht"}, ValueError, "sketch='srht' is for dense matrices only"),
        ({"num_threads": 0}, ValueError, "num_threads"),
    ],
)
def test_errors(arguments, error, message):
    arguments = {"a": np.eye(5, 8), "rank": 2} | arguments
    with pytest.raises(error, match=message):
        randomized_svd(arguments.pop("a"), arguments.pop("rank"), **arguments)


# --- bases --------------------------------------------------------------------------------------


@pytest.mark.parametrize("condition", [1, 1e3, 1e6, 1e9, 1e14, np.inf])
@pytest.mark.parametrize("columns", [1, 7, 64])
def test_orthonormal(condition, columns):
    values = np.geomspace(1, 1 / condition if condition < np.inf else 1e-300, columns)
    block = matrix_of(values, (200, columns))
    q, c, r = orthonormal(block)
    basis = q @ c
    assert np.abs(basis.T @ basis - np.eye(columns)).max() < 5e-15
    assert np.abs(basis @ r - block).max() < 5e-15


@pytest.mark.parametrize("block", [np.zeros((9, 4)), np.ones((9, 4)), np.eye(9, 4) * 1e-200], ids=["0", "1", "tiny"])
def test_orthonormal_of_deficient_blocks(block):
    q, c, r = orthonormal(block)
    basis = q @ c
    np.testing.assert_allclose(basis.T @ basis, np.eye(4), atol=1e-14)
    np.testing.assert_allclose(basis @ r, block, atol=1e-14)


def test_well_conditioned():
    block = matrix_of(np.geomspace(1, 1e-5, 20), (100, 20)).astype(np.float32)
    basis, inverse = well_conditioned(block)
    assert basis.dtype == np.float32
    assert np.linalg.cond(basis.astype(np.float64)) < 1.1
    np.testing.assert_allclose(np.linalg.svd(inverse, compute_uv=False)[0], 1e5, rtol=0.05)
    basis, inverse = well_conditioned(np.ones((100, 20), np.float32))
    assert inverse is None
    assert np.linalg.cond(basis.astype(np.float64)) < 1.1


@pytest.mark.parametrize("order", [1, 5, 47, 48, 49, 64, 130])
def test_lower_inverse(order):
    lower = np.tril(np.random.default_rng(order).standard_normal((order, order))) * 0.1 + np.eye(order)
    inverse = lower_inverse(lower)
    np.testing.assert_allclose(inverse @ lower, np.eye(order), atol=1e-12)


def test_components():
    assert COLUMNS % 2 == 0
    assert mlopt.linalg.randomized_svd is randomized_svd
