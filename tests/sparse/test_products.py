"""Products of sparse arrays with dense operands, through the public operators and by `products`: every type and every
stride, `out`, threads, tiers, several threads at once."""

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_sparse import arrays, assert_same_bits, dense
from sparse_operands import REAL, THREADED, assert_close, layouts, power_law, random_csr, random_rows

import mlopt
from mlopt.memory import pool
from mlopt.sparse import csr_array
from mlopt.sparse.products import matmul, matmul_transposed
from mlopt.sparse.sampled import sampled_values

INDEX = [np.int32, np.int64]
TIERS = mlopt.available_tiers()


# --- types and strides ---------------------------------------------------------------------------


@pytest.mark.parametrize("other", ["?", "i1", "u2", "i4", "i8", "u8", "f2", "f4", "f8", "g"])
@pytest.mark.parametrize("index_type", INDEX)
@pytest.mark.parametrize("dtype", REAL)
def test_types(dtype, index_type, other):
    a, x = random_csr(40, 30, power_law(40, 90), dtype=dtype, index_type=index_type)
    rng = np.random.default_rng(1)
    expected_type = np.result_type(dtype, other)
    if expected_type not in (np.float32, np.float64):
        expected_type = np.dtype(np.float64)
    for shape in ((), (1,), (5,)):
        b, left = (rng.integers(0, 2 if other == "?" else 9, (side, *shape)).astype(other) for side in (30, 40))
        for ours, matrix, operand in ((a @ b, x, b), (a.T @ left, x.T, left), (left.T @ a, x.T, left)):
            ours = ours.T if ours.shape != (matrix.shape[0], *shape) else ours
            sizes = np.abs(matrix).astype(float) @ operand.astype(float)
            assert_close(ours, matrix.astype(float) @ operand.astype(float), sizes, expected_type)


def test_what_is_not_a_real_number_is_refused():
    a = random_rows(4, 3, [1, 2, 0, 3])
    for b in (np.ones(3, complex), np.array(["a"] * 3), np.array([None] * 3), np.zeros(3, "M8[s]"), np.zeros(3, "m8")):
        with pytest.raises(TypeError, match=r"b has elements of type .*; expected real numbers"):
            a @ b
        with pytest.raises(TypeError, match=r"b has elements of type .*; expected real numbers"):
            matmul_transposed(a, np.resize(b, 4))
    for b in (np.ones(4), np.ones((4, 2)), np.ones((1, 3)), np.ones((3, 1, 1))):
        with pytest.raises(ValueError, match="b has"):
            matmul(a, b)
    for b in (np.ones(3), np.ones((3, 2)), np.ones((1, 4)), np.ones((4, 1, 1)), np.float64(1)):
        with pytest.raises(ValueError, match="b has"):
            matmul_transposed(a, b)


@pytest.mark.parametrize("dtype", REAL)
@pytest.mark.parametrize("shape", [(), (1,), (2,), (7,), (33,)])
def test_strides(dtype, shape):
    a = random_rows(50, 41, power_law(50, 100), dtype=dtype)
    b, left = (np.random.default_rng(0).standard_normal((n, *shape)).astype(dtype) for n in (41, 50))
    expected, transposed = matmul(a, b), matmul_transposed(a, left)
    for operand in layouts(b):
        np.testing.assert_array_equal(operand, b)
        np.testing.assert_array_equal(matmul(a, operand), expected)
    for operand in layouts(left):
        np.testing.assert_array_equal(matmul_transposed(a, operand), transposed)


def test_broadcast_operands():
    a, x = random_csr(20, 12, [3] * 20)
    column, row = np.arange(12.0)[:, None], np.arange(5.0)
    for b in (np.broadcast_to(column, (12, 5)), np.broadcast_to(row, (12, 5)), np.broadcast_to(2.0, (12, 5)),
              np.broadcast_to(2.0, 12), np.broadcast_to(row[:1], (12, 1))):  # fmt: skip
        np.testing.assert_allclose(a @ b, x @ b, rtol=0, atol=1e-12)
        np.testing.assert_allclose(b.T @ a.T, b.T @ x.T, rtol=0, atol=1e-12)


@pytest.mark.parametrize("dtype", REAL)
@pytest.mark.parametrize("index_type", INDEX)
def test_empty_shapes(dtype, index_type):
    for rows, columns in ((0, 0), (0, 4), (3, 0), (3, 4)):
        a = csr_array((np.zeros(0, dtype), np.zeros(0, index_type), np.zeros(rows + 1, index_type)), (rows, columns))
        for shape in ((), (0,), (1,), (5,)):
            for _ in range(3):  # the plan, too
                for ours, side in ((a @ np.ones((columns, *shape), dtype), rows),
                                   (a.T @ np.ones((rows, *shape), dtype), columns)):  # fmt: skip
                    np.testing.assert_array_equal(ours, np.zeros((side, *shape), dtype), strict=True)
            left = np.ones((*shape, rows), dtype)
            np.testing.assert_array_equal(left @ a, np.zeros((*shape, columns), dtype), strict=True)
        sampled = sampled_values(np.ones((rows, 2)), np.ones((2, columns)), a)
        assert sampled.shape == (0,)
        assert sampled.dtype == dtype
    a = random_rows(3, 4, [2, 0, 3], dtype=dtype, index_type=index_type)
    assert (a @ np.ones((4, 0))).shape == (3, 0)
    assert (np.ones((0, 3)) @ a).shape == (0, 4)
    assert matmul_transposed(a, np.ones((3, 0))).shape == (4, 0)
    np.testing.assert_array_equal(sampled_values(np.ones((3, 0)), np.ones((0, 4)), a), np.zeros(5, dtype), strict=True)


# --- numbers -------------------------------------------------------------------------------------


def test_special_values_as_scipy():
    sparse = pytest.importorskip("scipy.sparse", exc_type=ImportError)
    rng = np.random.default_rng(0)
    special = [np.nan, np.inf, -np.inf, 0.0, -0.0]
    for dtype in REAL:
        a = random_rows(300, 200, power_law(300, 100), dtype=dtype)
        data = np.array(a.data)
        data[rng.integers(0, data.size, 10)] = np.resize(special, 10)
        a = csr_array((data, a.indices, a.indptr), a.shape)
        theirs = sparse.csr_array((data, a.indices, a.indptr), a.shape)
        for shape in ((), (1,), (20,)):
            b, left = (rng.standard_normal((n, *shape)).astype(dtype) for n in (200, 300))
            b[rng.integers(0, 200, 2)], left[rng.integers(0, 300, 2)] = np.inf, np.nan
            for _ in range(2):
                for ours, expected in ((a @ b, theirs @ b), (a.T @ left, theirs.T @ left)):
                    assert not np.isfinite(expected).all()
                    assert np.isfinite(expected).any()
                    np.testing.assert_array_equal(np.isnan(ours), np.isnan(expected))
                    np.testing.assert_array_equal(np.isinf(ours), np.isinf(expected))
                    np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dtype", REAL)
def test_a_missing_element_is_no_factor(dtype):
    a = csr_array((np.ones(1000, dtype), np.zeros(1000, np.int32), np.arange(1001, dtype=np.int32)), (1000, 3))
    b = np.array([1, np.inf, np.nan], dtype)
    for _ in range(3):
        np.testing.assert_array_equal(a @ b, np.ones(1000))
        np.testing.assert_array_equal(a @ np.stack([b, b], 1), np.ones((1000, 2)))


@settings(deadline=None, max_examples=80)
@given(arrays(max_side=30), st.integers(0, 20), st.sampled_from(REAL), st.integers(0, 2**32 - 1))
def test_small_integers_are_exact(given_, n, dtype, seed):
    parts, shape = given_
    a, x = csr_array(parts, shape), dense(*parts, shape)
    rng = np.random.default_rng(seed)
    b, left = (rng.integers(-4, 5, (side, n)).astype(dtype) for side in shape[::-1])
    v, w = (rng.integers(-4, 5, side).astype(dtype) for side in shape[::-1])
    for _ in range(2):
        np.testing.assert_array_equal(a @ b, x @ b, strict=True)
        np.testing.assert_array_equal(a @ v, x @ v, strict=True)
        np.testing.assert_array_equal(left.T @ a, left.T @ x, strict=True)
        np.testing.assert_array_equal(a.T @ w, x.T @ w, strict=True)
    sampled = sampled_values(left, b.T, a)
    row = np.repeat(np.arange(shape[0]), np.diff(parts[2]))
    np.testing.assert_array_equal(sampled, (left @ b.T)[row, parts[1]].astype(a.dtype), strict=True)


@settings(deadline=None, max_examples=20)
@given(st.integers(600, 3000), st.integers(1, 400), st.integers(0, 2**32 - 1), st.sampled_from(REAL))
def test_rows_of_a_power_law(rows, columns, seed, dtype):
    """The first product is by rows, the next ones by slices: the same to the bit."""
    a, x = random_csr(rows, columns, power_law(rows, 300, seed), seed, dtype)
    b = np.random.default_rng(seed).standard_normal(columns).astype(dtype)
    sizes = dense(np.abs(a.data), a.indices, a.indptr, a.shape).astype(float) @ np.abs(b)
    first = a @ b
    assert_close(first, x.astype(float) @ b.astype(float), sizes, dtype)
    for _ in range(2):
        assert_same_bits(a @ b, first)
    # a matrix of one column, which is the vector
    np.testing.assert_array_equal((a @ b[:, None])[:, 0], first)


@pytest.mark.parametrize("index_type", INDEX)
@pytest.mark.parametrize("dtype", REAL)
def test_both_forms_give_the_same_bits(dtype, index_type):
    for seed, counts in enumerate((power_law(5000, 200), np.full(4096, 5), np.full(1000, 63), np.full(1100, 64),
                                   np.tile([0, 1], 2000), [0] * 3000 + [40] * 17)):  # fmt: skip
        a = random_rows(len(counts), 999, counts, seed, dtype, index_type)
        x = np.random.default_rng(seed).standard_normal(999).astype(dtype)
        products = [a @ x for _ in range(3)]
        for other in products[1:]:
            assert_same_bits(other, products[0])
        assert_same_bits(a.copy() @ x, products[0])


def test_another_type_does_not_disturb_the_plan():
    a, x = random_csr(2000, 300, [3] * 2000, dtype=np.float32)
    b = np.random.default_rng(0).standard_normal(300)
    narrow, wide = a @ b.astype(np.float32), a @ b
    for _ in range(3):
        np.testing.assert_array_equal(a @ b, wide, strict=True)
        np.testing.assert_array_equal(a @ b.astype(np.float32), narrow, strict=True)
    np.testing.assert_allclose(wide, x.astype(float) @ b, rtol=0, atol=1e-13)


# --- out -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", REAL)
@pytest.mark.parametrize("shape", [(), (1,), (6,)])
@pytest.mark.parametrize("function", [matmul, matmul_transposed])
def test_out(function, shape, dtype):
    a = random_rows(40, 40, power_law(40, 80), dtype=dtype)
    b = np.random.default_rng(0).standard_normal((40, *shape)).astype(dtype)
    expected = function(a, b)
    for out in layouts(np.full((40, *shape), -7.0, dtype)):
        if not out.flags.writeable:
            continue
        beside = out.base.copy() if isinstance(out.base, np.ndarray) else None
        assert function(a, b, out=out) is out
        np.testing.assert_array_equal(out, expected)
        if beside is not None and out.base.dtype == dtype:  # what lies between the elements is as before
            out[...] = -7.0
            np.testing.assert_array_equal(out.base, beside)


@pytest.mark.parametrize("function", [matmul, matmul_transposed])
def test_out_over_an_operand(function):
    a = random_rows(40, 40, [5] * 40)
    rng = np.random.default_rng(0)
    for shape in ((), (6,)):
        b = rng.standard_normal((40, *shape))
        expected = function(a, b)
        both = b.copy()
        assert function(a, both, out=both) is both
        np.testing.assert_array_equal(both, expected)
        memory = np.zeros(b.size + 3)
        b_part, out = memory[:-3].reshape(b.shape), memory[3:].reshape(b.shape)
        b_part[...] = b
        function(a, b_part, out=out)
        np.testing.assert_array_equal(out, expected)
        # the elements of the matrix itself
        data = a.data.copy()
        borrowed = csr_array((data, a.indices, a.indptr), a.shape)
        if not shape:
            function(borrowed, b, out=data[:40])
            np.testing.assert_array_equal(data[:40], expected)


@pytest.mark.parametrize("function", [matmul, matmul_transposed])
def test_out_that_does_not_fit(function):
    a = random_rows(8, 8, [3] * 8)
    locked = np.zeros((8, 2))
    locked.flags.writeable = False
    b = np.ones((8, 2))
    for out in (np.zeros((8, 3)), np.zeros((9, 2)), np.zeros(8), np.zeros((8, 2), np.float32), np.zeros((8, 2), int),
                locked, np.zeros((2, 8, 2))):  # fmt: skip
        with pytest.raises(ValueError, match=r"out is a .* array of shape"):
            function(a, b, out=out)
        assert not out.any()
    with pytest.raises(ValueError, match="out is a"):
        function(a, b[:, 0], out=np.zeros((8, 1)))
    for out in ([[0.0] * 2] * 8, "out", memoryview(np.zeros((8, 2)))):
        with pytest.raises(TypeError, match="out must be an ndarray"):
            function(a, b, out=out)
    out = np.zeros((8, 2))
    with pytest.raises(ValueError, match="b has shape"):
        function(a, np.ones((7, 2)), out=out)
    assert not out.any()


# --- threads -------------------------------------------------------------------------------------


def test_threads_do_not_change_a_bit():
    counts = power_law(60_000, 4000, 1)
    counts[:500] = 600  # most elements lie in the first rows
    a = random_rows(60_000, 5000, counts)
    rng = np.random.default_rng(0)
    x, b, left = (rng.standard_normal(shape) for shape in (5000, (5000, 40), (60_000, 40)))
    assert 8 * 40 * a.nnz >= THREADED, "too small for a second thread: the test would compare nothing"
    one = matmul(a, b, num_threads=1), matmul_transposed(a, left, num_threads=1)
    for threads in (2, 3):
        assert_same_bits(matmul(a, b, num_threads=threads), one[0])
        assert_same_bits(matmul_transposed(a, left, num_threads=threads), one[1])
    for counts in (np.full(200_000, 7), np.where(np.arange(100_000) % 50, 5, 500), np.full(1100, 1000)):
        a = random_rows(counts.size, 5000, counts)
        assert 32 * a.nnz >= THREADED, "too small for a second thread: the test would compare nothing"
        products = [matmul(a, x, num_threads=threads) for threads in (1, 2, 3, 1, 2, 3)]
        for other in products[1:]:
            assert_same_bits(other, products[0])


@pytest.mark.parametrize("threads", [0, -1, 1025])
def test_numbers_of_threads_that_are_refused(threads):
    a = random_rows(8, 8, [3] * 8)
    for call in (lambda: matmul(a, np.ones(8), num_threads=threads),
                 lambda: matmul_transposed(a, np.ones((8, 2)), num_threads=threads),
                 lambda: sampled_values(np.ones((8, 2)), np.ones((2, 8)), a, num_threads=threads)):  # fmt: skip
        with pytest.raises(ValueError, match="num_threads must be between 1 and 1024"):
            call()


@pytest.mark.parametrize("dtype", REAL)
def test_threads_that_make_the_plan_together(dtype):
    a = random_rows(30_000, 2000, np.where(np.arange(30_000) % 100, 6, 100), dtype=dtype)
    b = np.random.default_rng(0).standard_normal(2000)
    expected = [a.copy() @ b.astype(kind) for kind in REAL]
    for _ in range(8):
        fresh, wrong = a.copy(), []
        barrier = threading.Barrier(4)

        def multiply(fresh=fresh, wrong=wrong, barrier=barrier):
            barrier.wait()
            for _ in range(4):
                for kind, product in zip(REAL, expected, strict=True):
                    if not np.array_equal(fresh @ b.astype(kind), product):
                        wrong.append(kind)

        threads = [threading.Thread(target=multiply) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not wrong


# --- tiers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", REAL)
def test_tiers_agree_and_may_change_between_products(dtype):
    a, x = random_csr(3000, 200, power_law(3000, 150), dtype=dtype)
    rng = np.random.default_rng(0)
    b, left = rng.standard_normal((200, 9)).astype(dtype), rng.standard_normal((3000, 9)).astype(dtype)
    row = np.repeat(np.arange(3000), np.diff(a.indptr))
    sizes = dense(np.abs(a.data), a.indices, a.indptr, a.shape).astype(float)
    for tier in [*TIERS, *TIERS[::-1], "reference"]:
        with mlopt.use_isa(tier):
            for column in (b, b[:, 0]):
                assert_close(a @ column, x.astype(float) @ column, sizes @ np.abs(column), dtype)
            assert_close(left.T @ a, left.T.astype(float) @ x, np.abs(left.T) @ sizes, dtype)
            sampled = sampled_values(left, b.T, a)
            expected = (left.astype(float) @ b.T)[row, a.indices]
            assert_close(sampled, expected, (np.abs(left) @ np.abs(b.T))[row, a.indices], dtype)


# --- memory --------------------------------------------------------------------------------------


@pytest.mark.no_sanitizer
def test_products_leave_no_memory_behind():
    def products():
        a = random_rows(2000, 300, [4] * 2000)
        b = np.ones((300, 5))
        for operand in (b[:, 0], b, np.asfortranarray(b), b.astype(np.float32)):
            for _ in range(3):
                a @ operand
                np.ones((2, 2000)) @ a
        sampled_values(np.ones((2000, 5)), b.T, a)
        a @ a.T

    products()
    before = pool.pool_statistics()
    for _ in range(20):
        products()
    after = pool.pool_statistics()
    assert after["blocks_in_use"] == before["blocks_in_use"]
    assert after["bytes_in_use"] == before["bytes_in_use"]
