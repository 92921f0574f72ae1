"""Random matrices: their distribution, what they keep of a subspace, and that nothing but the key decides."""

import doctest

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mlopt
from mlopt.linalg.randomized import sketches
from mlopt.linalg.randomized.sketches import KINDS, choose, sketch, standard_normal

stats = pytest.importorskip("scipy.stats")
sparse = pytest.importorskip("scipy.sparse")

DTYPES = (np.float32, np.float64)


def omega(n, columns, kind, key=0, dtype=np.float64):
    """The random matrix of a sketch: what it makes of the identity."""
    return sketch(np.eye(n, dtype=dtype), columns, kind, key, dtype)


# -- normal numbers ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("key", [0, 1, 2**64 - 1])
def test_normal_distribution(dtype, key):
    """Moments within five of their deviations; Kolmogorov and Smirnov's test; tails as often as they should be."""
    n = 1_000_000
    x = standard_normal(n, key, dtype).astype(np.float64)
    for power, expected, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96), (6, 15, 10_170)):
        assert abs((x**power).mean() - expected) < 5 * np.sqrt(variance / n), power
    assert stats.kstest(x, "norm").pvalue > 1e-3
    for limit in (2, 3, 4, 4.5):
        expected = 2 * stats.norm.sf(limit) * n
        assert abs((np.abs(x) > limit).sum() - expected) < 5 * np.sqrt(expected) + 1
    assert np.abs(x).max() > 4.5


@pytest.mark.parametrize("dtype", DTYPES)
def test_normals_are_independent(dtype):
    """Products with neighbours, parts of pairs, other streams and the other type average 0."""
    n = 1_000_000
    x = standard_normal(n, 3, dtype).astype(np.float64)
    others = {lag: x[lag:] for lag in (1, 2, 3, 8, 15, 16, 17, 31, 32, 48, 64)}
    others |= {key: standard_normal(n, key, dtype).astype(np.float64) for key in (2, 2**32 + 3, 3 << 32)}
    others["type"] = standard_normal(n, 3, DTYPES[1 - DTYPES.index(dtype)]).astype(np.float64)
    for what, y in others.items():
        z = x[: len(y)]
        for left, right in ((z, y), (z**2 - 1, y**2 - 1), (z, y**2 - 1), (np.abs(z), np.sign(y))):
            deviation = left.std() * right.std() / np.sqrt(len(y))
            assert abs((left * right).mean() - left.mean() * right.mean()) < 5 * deviation, what


def test_serial_bins():
    """Pairs and triples of successive numbers fall evenly into bins of equal probability."""
    x = standard_normal(3 << 18, 11, np.float32).astype(np.float64)
    bins = np.minimum((stats.norm.cdf(x) * 16).astype(int), 15)
    for size in (1, 2, 3):
        together = bins[: len(bins) // size * size].reshape(-1, size) @ 16 ** np.arange(size)
        assert stats.chisquare(np.bincount(together, minlength=16**size)).pvalue > 1e-3


@pytest.mark.parametrize("dtype", DTYPES)
def test_normals_do_not_depend_on_threads_or_shape(dtype):
    whole = standard_normal(100_003, 9, dtype, num_threads=1)
    for threads in (2, 3, 7):
        np.testing.assert_array_equal(standard_normal(100_003, 9, dtype, num_threads=threads), whole)
    part = standard_normal((7, 131), 9, dtype)
    np.testing.assert_array_equal(part.ravel(), whole[: part.size])
    assert part.dtype == dtype
    assert mlopt.is_byte_aligned(part, 64)
    assert standard_normal((0, 3), 1).shape == (0, 3)


# -- sketches ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("n", "columns"), [(1, 1), (2, 5), (30, 7), (64, 64), (100, 33), (300, 8)])
def test_scale(kind, n, columns):
    """The average of Omega Omega^T over keys is the identity."""
    keys = 400
    products = np.array([w @ w.T for w in (omega(n, columns, kind, key) for key in range(keys))])
    mean, deviation = products.mean(axis=0), products.std(axis=0) / np.sqrt(keys)
    assert (np.abs(mean - np.eye(n)) <= 5.5 * deviation + 0.02 / columns + 1e-12).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("basis", ["coordinates", "random", "cosines", "signs"])
def test_subspace_embedding(kind, basis):
    """Q^T Omega of an orthonormal Q keeps its rank, and with many columns its singular values are near 1."""
    n, rank = 700, 20
    vectors = {
        "coordinates": np.eye(n)[:, 3 : 3 + rank],
        "random": np.random.default_rng(0).standard_normal((n, rank)),
        "cosines": np.cos(np.pi * np.outer(np.arange(n) + 0.5, np.arange(rank)) / n),
        "signs": np.where(np.arange(n)[:, None] >> np.arange(rank) % 10 & 1, -1.0, 1.0) + np.eye(n, rank),
    }[basis]
    q = np.linalg.qr(vectors)[0]
    for key in range(20):
        smallest = np.linalg.svd(sketch(q.T.copy(), rank + 10, kind, key), compute_uv=False)[-1]
        assert smallest > 0.02
        values = np.linalg.svd(sketch(q.T.copy(), 400, kind, key), compute_uv=False)
        assert values[-1] > 0.6
        assert values[0] < 1.4


@pytest.mark.parametrize("columns", [1, 2, 8, 9, 60])
def test_sparse_sign_has_its_shape(columns):
    w, few = omega(5000, columns, "sparse-sign"), min(columns, 8)
    np.testing.assert_array_equal((w != 0).sum(axis=1), few)
    np.testing.assert_allclose(np.abs(w[w != 0]), few**-0.5)
    used = (w != 0).sum(axis=0)
    assert np.abs(used - 5000 * few / columns).max() <= 5 * np.sqrt(5000 * few / columns)
    assert abs(np.sign(w).sum()) <= 5 * np.sqrt(5000 * few)


@pytest.mark.parametrize(("n", "columns"), [(64, 60), (64, 64), (2048, 2000), (8192, 130), (1 << 14, 9)])
def test_srht_is_a_sample_of_a_signed_transform(n, columns):
    """Columns of +1 and -1, orthogonal where no row of the transform is left out; so are rows where no column is."""
    w = omega(n, columns, "srht") * np.sqrt(columns)
    np.testing.assert_allclose(np.abs(w), 1, rtol=1e-12)
    np.testing.assert_array_equal(np.rint(w).T @ np.rint(w), n * np.eye(columns))
    w = np.rint(omega(n // 2 - 3, n, "srht") * np.sqrt(n)) if n <= 2048 else np.eye(1)
    np.testing.assert_array_equal(w @ w.T, w.shape[1] * np.eye(len(w)))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("places", ["adjacent", "strided", "a quarter"])
def test_matrices_of_few_columns(kind, places):
    """What is large in few columns, wherever they are, is sketched to its rank."""
    n, rank = 4096, 24
    at = {"adjacent": np.arange(32, 32 + rank), "strided": np.arange(rank) * 128, "a quarter": np.arange(rank) * 32}
    a = np.zeros((rank, n))
    a[:, at[places]] = np.linalg.qr(np.random.default_rng(0).standard_normal((rank, rank)))[0]
    for key in range(20):
        assert np.linalg.svd(sketch(a, rank + 10, kind, key), compute_uv=False)[-1] > 0.02


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("m", "n", "columns"), [(1, 1, 1), (3, 50, 4), (17, 5000, 12), (100, 333, 60), (0, 5, 2)])
def test_product(kind, dtype, m, n, columns):
    a = np.random.default_rng(m + n).standard_normal((m, n)).astype(dtype)
    y, w = sketch(a, columns, kind, 5, dtype), omega(n, columns, kind, 5, dtype)
    assert (y.shape, y.dtype) == ((m, columns), dtype)
    assert y.flags.c_contiguous
    error = np.abs(y - a.astype(np.float64) @ w.astype(np.float64))
    size = np.linalg.norm(a, axis=1)[:, None] * np.linalg.norm(w, axis=0)
    assert (error <= 20 * np.finfo(dtype).eps * size).all()


def layouts(a):
    yield "columns", np.asfortranarray(a)
    yield "reversed", a[::-1, ::-1].copy()[::-1, ::-1]
    yield "every second", np.repeat(a, 2, axis=1)[:, ::2]
    yield "swapped", a.astype(a.dtype.newbyteorder())
    unaligned = np.zeros(a.nbytes + 1, np.uint8)[1:].view(a.dtype).reshape(a.shape)
    unaligned[...] = a
    yield "unaligned", unaligned
    readonly = a.copy()
    readonly.flags.writeable = False
    yield "read-only", readonly
    yield "subclass", a.view(np.matrix) if hasattr(np, "matrix") else a


@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_layouts_and_types_of_the_operand(kind, dtype):
    a = np.random.default_rng(1).integers(-9, 10, (70, 3000)).astype(dtype)
    expected = sketch(a, 12, kind, 5, dtype)
    scale = np.abs(expected).max() * np.finfo(dtype).eps * 50
    for name, layout in layouts(a):
        got = sketch(layout, 12, kind, 5, dtype)
        assert type(got) is np.ndarray
        np.testing.assert_allclose(got, expected, atol=scale, rtol=0, err_msg=name)
    for other in (np.float32, np.float64, np.int8, np.int64, np.float16):
        got = sketch(a.astype(other), 12, kind, 5, dtype)
        np.testing.assert_allclose(got, expected, atol=scale, rtol=0, err_msg=str(other))
        assert got.dtype == dtype


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_threads_do_not_matter(kind, dtype):
    a = np.random.default_rng(2).standard_normal((1003, 517)).astype(dtype)
    for operand in (a, np.asfortranarray(a), a.astype(DTYPES[1 - DTYPES.index(dtype)])):
        one = sketch(operand, 30, kind, 4, dtype, num_threads=1)
        for threads in (2, 3, 8):
            np.testing.assert_array_equal(sketch(operand, 30, kind, 4, dtype, num_threads=threads), one)


@pytest.mark.parametrize("kind", ["sparse-sign", "srht"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_tiers_give_the_same_bits(kind, dtype):
    a = np.random.default_rng(3).standard_normal((37, 2500)).astype(dtype)
    expected = None
    for tier in ("reference", "generic", mlopt.current_isa()):
        with mlopt.use_isa(tier):
            y = sketch(a, 21, kind, 4, dtype)
        expected = y if expected is None else expected
        np.testing.assert_array_equal(y, expected)


@pytest.mark.parametrize("kind", ["sparse-sign", "srht"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("m", [1, 15, 33, 64, 65, 131])
def test_layouts_give_the_same_bits(kind, dtype, m):
    a = np.random.default_rng(m).standard_normal((m, 2100)).astype(dtype)
    expected = sketch(a, 21, kind, 4, dtype)
    for layout in (np.asfortranarray(a), np.repeat(a, 2, axis=1)[:, ::2]):
        np.testing.assert_array_equal(sketch(layout, 21, kind, 4, dtype), expected)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 40), st.integers(1, 300), st.integers(1, 90), st.sampled_from(KINDS), st.integers(0, 2**64 - 1))
def test_any_shape_and_key(m, n, columns, kind, key):
    a = np.random.default_rng(n).standard_normal((m, n))
    y = sketch(a, columns, kind, key)
    np.testing.assert_allclose(y, a @ omega(n, columns, kind, key), rtol=0, atol=1e-11)
    np.testing.assert_array_equal(y, sketch(a.copy(), columns, kind, key))
    if n > 20 and columns > 1:
        assert not np.array_equal(y, sketch(a, columns, kind, key ^ 1))


@pytest.mark.parametrize("kind", ["gaussian", "sparse-sign"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("form", ["csr_array", "csr_matrix", "csc_array", "coo_array"])
def test_sparse_operands(kind, dtype, form):
    a = sparse.random(200, 4500, 0.02, random_state=0, dtype=dtype, format="csr")
    y = sketch(getattr(sparse, form)(a), 11, kind, 3, dtype)
    assert isinstance(y, np.ndarray)
    assert (y.dtype, y.flags.c_contiguous) == (dtype, True)
    expected = sketch(a.toarray(), 11, kind, 3, dtype)
    np.testing.assert_allclose(y, expected, rtol=0, atol=np.finfo(dtype).eps * 100)


def test_not_finite_numbers_stay_in_their_rows():
    a = np.random.default_rng(0).standard_normal((40, 100))
    a[7, 50] = np.nan
    for kind in KINDS:
        y = sketch(a, 10, kind, 0)
        assert np.isfinite(np.delete(y, 7, axis=0)).all()
        assert np.isnan(y[7]).any()


# -- arguments --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"kind": "uniform"}, ValueError, "kind must be one of"),
        ({"columns": 0}, ValueError, "columns must be at least 1, not 0"),
        ({"a": np.ones(3)}, ValueError, "a must be a matrix"),
        ({"a": np.ones((3, 3), complex)}, TypeError, "real numbers"),
        ({"key": -1}, ValueError, "key must be between"),
        ({"key": 1 << 64}, ValueError, "key must be between"),
        ({"key": 1.0}, TypeError, "key must be an integer"),
        ({"key": True}, TypeError, "key must be an integer"),
        ({"dtype": np.float16}, TypeError, "float32 or float64"),
        ({"a": sparse.csr_array(np.eye(3)), "kind": "srht"}, ValueError, "dense"),
    ],
)
def test_bad_arguments(change, error, words):
    arguments = {"a": np.ones((3, 3)), "columns": 2, "kind": "gaussian", "key": 0} | change
    with pytest.raises(error, match=words):
        sketch(**arguments)


def test_choice():
    dense = np.ones((1000, 800))
    assert choose(dense, 5) == "gaussian"
    assert choose(dense, 60) == "srht"
    assert choose(sparse.csr_array(dense), 60) == "gaussian"
    for columns in (1, 10, 100, 700):
        assert choose(dense, columns) in KINDS
        sketch(dense, columns, choose(dense, columns), 0)
    assert sketches.is_dense(dense)
    assert not sketches.is_dense(sparse.csr_array(dense))


def test_examples():
    """The module is internal: the doctests of public names leave it out."""
    found = doctest.testmod(sketches)
    assert found.attempted > 0
    assert found.failed == 0
