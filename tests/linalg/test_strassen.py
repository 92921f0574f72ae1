"""Strassen's product: sizes, layouts, the documented error bound, scaling, NaN and infinity, arguments, the flag."""

import itertools
import os
import subprocess
import sys
from math import log2

import numpy as np
import pytest
from guard import guarded
from hypothesis import given, settings
from hypothesis import strategies as st
from kernels.test_gemm import LAYOUTS, POISON, laid_out

import mlopt
from mlopt.linalg import strassen
from mlopt.linalg.scaling import scaled_operands
from mlopt.memory import pool_statistics

FLOATS = (np.float32, np.float64)
WIDE = {np.dtype(np.float32): np.float64, np.dtype(np.float64): np.longdouble}
SIZES = [(65, 65, 65), (66, 130, 97), (101, 75, 259), (128, 128, 128), (150, 67, 81), (80, 311, 73)]


def normal(shape, dtype=np.float64, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def wide_product(a, b):
    wide = WIDE[np.promote_types(a.dtype, b.dtype)]
    return np.matmul(a.astype(wide), b.astype(wide))


def higham(k, levels, dtype):
    """The factor of max|A| max|B| in the bound, for a common length k that the steps divide or not."""
    n0 = -(-k >> levels) + 1 if k % (1 << levels) else k >> levels
    n = n0 << levels
    return ((n / n0) ** log2(18) * (n0**2 + 6 * n0) - 6 * n) * float(np.finfo(dtype).eps) / 2


def check(a, b, c, levels):
    exact = wide_product(a, b)
    bound = higham(a.shape[-1], levels, c.dtype) * float(np.abs(a).max()) * float(np.abs(b).max())
    error = float(np.abs(c - exact).max())
    assert error <= bound
    return error / bound


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("levels", [1, 2, 3])
@pytest.mark.parametrize("size", SIZES)
def test_sizes(size, levels, dtype):
    m, n, k = size
    a, b = normal((m, k), dtype, 1), normal((k, n), dtype, 2)
    c = mlopt.matmul(a, b, method="strassen", levels=levels, cutoff=1)
    assert c.dtype == dtype
    assert c.flags.c_contiguous
    assert c.ctypes.data % 64 == 0
    check(a, b, c, levels)


@pytest.mark.parametrize("dtype", FLOATS)
def test_layouts(dtype):
    """Any strides of all three; operands end at guard pages; C is not read, and nothing beside it written."""
    m, n, k = 67, 71, 69
    for a_layout, b_layout, c_layout in itertools.product(LAYOUTS, repeat=3):
        (_, a), (_, b) = laid_out(normal((m, k), dtype, 1), a_layout), laid_out(normal((k, n), dtype, 2), b_layout)
        whole, c = laid_out(np.full((m, n), np.nan, dtype), c_layout)
        assert mlopt.matmul(a, b, c, method="strassen", levels=2, cutoff=8) is c
        check(a, b, c, 2)
        c[...] = POISON
        assert (whole == dtype(POISON)).all(), "written beside C"


@settings(deadline=None, max_examples=100)
@given(
    size=st.tuples(*[st.integers(1, 60)] * 3),
    levels=st.integers(1, 3),
    cutoff=st.integers(1, 20),
    layouts=st.tuples(*[st.sampled_from(LAYOUTS)] * 3),
    dtype=st.sampled_from(FLOATS),
)
def test_any_size(size, levels, cutoff, layouts, dtype):
    m, n, k = size
    (_, a), (_, b) = laid_out(normal((m, k), dtype, 1), layouts[0]), laid_out(normal((k, n), dtype, 2), layouts[1])
    _, c = laid_out(np.full((m, n), np.nan, dtype), layouts[2])
    mlopt.matmul(a, b, c, method="strassen", levels=levels, cutoff=cutoff)
    check(a, b, c, levels)


@pytest.mark.parametrize("tier", mlopt.available_tiers())
@pytest.mark.parametrize("dtype", FLOATS)
def test_every_tier(tier, dtype):
    a, b = normal((90, 77), dtype, 1), normal((77, 85), dtype, 2)
    with mlopt.use_isa(tier):
        check(a, b, mlopt.matmul(a, b, method="strassen", levels=2, cutoff=4), 2)


def test_integers_are_exact():
    a, b = (np.random.default_rng(s).integers(-9, 9, (130, 130)).astype(np.float64) for s in (1, 2))
    for levels in (1, 2, 3):
        np.testing.assert_array_equal(mlopt.matmul(a, b, method="strassen", levels=levels), a @ b)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("levels", [1, 2, 3])
def test_workspace_is_large_enough(dtype, levels):
    for m, n, k in [(64, 64, 64), (16, 200, 40), (200, 16, 40), (40, 33, 150), (131, 77, 50)]:
        bytes_needed = strassen.workspace_bytes(m, n, k, dtype, levels)
        assert bytes_needed % 64 == 0
        for a_order, b_order, c_order in itertools.product("CF", repeat=3):
            a, b = np.asarray(normal((m, k), dtype), order=a_order), np.asarray(normal((k, n), dtype), order=b_order)
            c = np.zeros((m, n), dtype, order=c_order)
            strassen.multiply_within(guarded(np.zeros(bytes_needed, np.uint8)), a, b, c, levels)
            check(a, b, c, levels)


def test_workspace_goes_back():
    a = normal((200, 200))
    before = pool_statistics()["blocks_in_use"]
    mlopt.matmul(a, a, a.copy(), method="strassen", levels=2)
    assert pool_statistics()["blocks_in_use"] == before


def counted(a, b, **how):
    """Whether a call by name gives the bits of the ordinary product, that is, took no step."""
    return not np.array_equal(mlopt.matmul(a, b, method="strassen", **how), mlopt.matmul(a, b, method="gemm"))


def test_which_products_are_split():
    x = normal((300, 300))
    assert not counted(x[:64], x)
    assert not counted(x, x[:, :64])
    assert not counted(x[:, :64], x[:64])
    assert counted(x[:65, :65], x[:65, :65])
    assert not counted(x, x, cutoff=300)
    assert counted(x, x, cutoff=299)
    assert not counted(x[:64, :64], x[:64, :64], levels=1)
    assert counted(x[:64, :64], x[:64, :64], levels=1, cutoff=63)
    one, two, three = (mlopt.matmul(x, x, method="strassen", levels=d, cutoff=20) for d in (1, 2, 3))
    assert not np.array_equal(one, two)
    assert not np.array_equal(two, three)
    np.testing.assert_array_equal(mlopt.matmul(x, x, method="strassen", cutoff=20), three)
    np.testing.assert_array_equal(mlopt.matmul(x, x, method="strassen", cutoff=149), two)
    np.testing.assert_array_equal(mlopt.matmul(x, x, method="strassen", levels=3), three)
    np.testing.assert_array_equal(mlopt.matmul(x, x, method="strassen"), one)


# ----------------------------------------------------------------------------------------------- accuracy


def hostile(kind, n, dtype, seed):
    """Operands that punish a normwise bound; f32 by 1e±15, f64 by 1e±150."""
    rng = np.random.default_rng(seed)
    reach = 15 if dtype == np.float32 else 150
    a, b = rng.uniform(-1, 1, (2, n, n))
    spread = 10.0 ** rng.uniform(-reach, reach, n)
    if kind == "rows":
        a *= spread[:, None]
    elif kind == "columns":
        b *= spread
    elif kind == "both":
        a *= spread[:, None]
        b *= spread[::-1] ** -1
    elif kind == "inner":
        a *= spread
        b /= spread[:, None]
    elif kind == "quadrants":
        a[: n // 2, : n // 2] *= 10.0**reach
        b[n // 2 :] *= 10.0**-reach
    elif kind == "cancellation":
        a[:, 1::2] = a[:, ::2] * (1 + 1e-3 * rng.uniform(size=(n, n // 2)))
        b[1::2] = -b[::2]
    else:
        assert kind == "positive"
        a, b = np.abs(a), np.abs(b)
    return a.astype(dtype), b.astype(dtype)


KINDS = ("rows", "columns", "both", "inner", "quadrants", "cancellation", "positive")


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("kind", KINDS)
def test_bound_on_hostile_scalings(kind, dtype):
    worst = 0.0
    for levels in (1, 2, 3):
        for n in (64, 136):
            a, b = hostile(kind, n, dtype, levels)
            worst = max(worst, check(a, b, mlopt.matmul(a, b, method="strassen", levels=levels, cutoff=1), levels))
    print(f"{kind} {np.dtype(dtype)}: largest error {worst:.2g} of the bound")


@pytest.mark.parametrize("kind", ["both", "cancellation"])
def test_bound_in_exact_arithmetic(kind):
    from fractions import Fraction

    n, levels = 24, 2
    a, b = hostile(kind, n, np.float64, 5)
    c = mlopt.matmul(a, b, method="strassen", levels=levels, cutoff=1)
    left, right = ([[Fraction(float(v)) for v in row] for row in x] for x in (a, b.T))
    limit = Fraction(higham(n, levels, np.float64) * float(np.abs(a).max())) * Fraction(float(np.abs(b).max()))
    for i, j in itertools.product(range(n), repeat=2):
        assert abs(Fraction(float(c[i, j])) - sum(map(Fraction.__mul__, left[i], right[j]))) <= limit


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("kind", [*KINDS, "all"])
def test_rescaled_bound_holds_element_by_element(kind, dtype):
    for levels in (1, 2, 3):
        a, b = hostile(kind if kind != "all" else "both", 72, dtype, levels)
        if kind == "all":
            spread = (10.0 ** np.random.default_rng(9).uniform(-4, 4, 72)).astype(dtype)
            a, b = a * spread, b / spread[:, None]
        c = mlopt.matmul(a, b, method="strassen", levels=levels, cutoff=1, rescale=True)
        scaled_a, scaled_b, (rows, columns) = scaled_operands(a, b)
        assert np.abs(scaled_a).max() <= 1
        assert np.abs(scaled_b).max() <= 1
        wide = WIDE[np.dtype(dtype)]
        unit = np.ldexp(np.ones((72, 72), wide), rows[:, None] + columns)
        # what scaling may lose is far below, and so is one rounding to a denormal number
        limit = higham(72, levels, dtype) * unit + float(np.finfo(dtype).smallest_subnormal)
        assert (np.abs(c - wide_product(a, b)) <= limit).all()


def test_rescaling_is_needed_and_helps():
    a, b = hostile("both", 128, np.float64, 0)
    exact = wide_product(a, b)
    size = np.matmul(np.abs(a).astype(np.longdouble), np.abs(b).astype(np.longdouble))
    plain = mlopt.matmul(a, b, method="strassen", levels=2, cutoff=16)
    scaled = mlopt.matmul(a, b, method="strassen", levels=2, cutoff=16, rescale=True)
    assert np.max(np.abs(plain - exact) / size) > 1  # not a digit left in the small rows
    assert np.max(np.abs(scaled - exact) / size) < 1e-13


def test_scaling_is_exact():
    a, b = hostile("inner", 70, np.float64, 1)
    scaled_a, scaled_b, _ = scaled_operands(a, b)
    for scaled, x in ((scaled_a, a), (scaled_b, b)):
        np.testing.assert_array_equal(np.frexp(scaled)[0], np.frexp(x)[0])
    a, b = (np.ldexp(np.random.default_rng(s).integers(-9, 9, (70, 70)), s * 100) for s in (1, 2))
    np.testing.assert_array_equal(mlopt.matmul(a, b, method="strassen", levels=1, cutoff=1, rescale=True), a @ b)


def test_rescaling_keeps_sums_from_overflowing():
    huge = np.finfo(np.float64).max
    a, b = np.full((70, 70), huge), np.full((70, 70), 2.0**-1000)
    assert not np.isfinite(mlopt.matmul(a, b, method="strassen", levels=1)).all()
    c = mlopt.matmul(a, b, method="strassen", levels=1, rescale=True)
    np.testing.assert_allclose(c, mlopt.matmul(a, b, method="gemm"), rtol=1e-13)
    assert np.isinf(mlopt.matmul(a, a, method="strassen", levels=1, rescale=True)).all()  # as it must


def test_rescaling_extremes():
    smallest = np.finfo(np.float64).smallest_subnormal
    a = np.zeros((70, 80))
    a[3], a[:, 5], a[7] = smallest, 2.0, 0.0
    b = np.full((80, 66), 1.5)
    b[:, 4] = 0
    expected = mlopt.matmul(a, b, method="gemm")
    np.testing.assert_allclose(mlopt.matmul(a, b, method="strassen", levels=2, cutoff=1, rescale=True), expected)
    a[1, 1] = np.nan
    a[2, 2] = np.inf
    c = mlopt.matmul(a, b, method="strassen", levels=1, cutoff=1, rescale=True)
    assert np.isnan(c[1]).all()
    assert not np.isfinite(c[2]).any()


# ----------------------------------------------------------------------------------------------- NaN, infinity


@pytest.mark.parametrize("levels", [1, 2, 3])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_where_nan_and_infinity_spread(value, levels):
    """To whole rows of C at distances of m / 2^levels from the row of A, to columns for B, and nowhere else."""
    m, n, k = 81, 90, 75
    a, b = normal((m, k), seed=1), normal((k, n), seed=2)
    how = {"method": "strassen", "levels": levels, "cutoff": 1}
    clean = mlopt.matmul(a, b, **how)
    rows, columns = m >> levels, n >> levels
    with np.errstate(invalid="ignore"):
        for i, p in [(0, 0), (m // 2 + 3, k // 2 + 1), (5, k - 1), (m - 1, 3)]:
            spoiled = a.copy()
            spoiled[i, p] = value
            c = mlopt.matmul(spoiled, b, **how)
            # rows that the steps leave over are an ordinary product's
            reached = (np.arange(m) % rows == i % rows) & (np.arange(m) < rows << levels)
            reached = reached if i < rows << levels else np.arange(m) == i
            np.testing.assert_array_equal(c[~reached], clean[~reached])
            assert not np.isfinite(c[i]).any()
        for p, j in [(0, 0), (k // 2 + 1, n // 2 + 3), (k - 1, 5), (3, n - 1)]:
            spoiled = b.copy()
            spoiled[p, j] = value
            c = mlopt.matmul(a, spoiled, **how)
            reached = (np.arange(n) % columns == j % columns) & (np.arange(n) < columns << levels)
            reached = reached if j < columns << levels else np.arange(n) == j
            np.testing.assert_array_equal(c[:, ~reached], clean[:, ~reached])
            assert not np.isfinite(c[:, j]).any()


def test_infinity_becomes_nan_elsewhere():
    """The documented example: one infinity, and rows that are finite in truth are not."""
    a, b = normal((80, 80), seed=1), normal((80, 80), seed=2)
    a[0, 0] = np.inf
    ordinary = mlopt.matmul(a, b)
    c = mlopt.matmul(a, b, method="strassen", levels=1)
    assert np.isinf(ordinary[0]).all()
    assert np.isfinite(ordinary[1:]).all()
    assert not np.isfinite(c[[0, 40]]).any()
    assert np.isnan(c[40]).any()
    assert np.isfinite(np.delete(c, [0, 40], 0)).all()


# ----------------------------------------------------------------------------------------------- matmul's semantics


def test_stacks_types_and_broadcasting():
    how = {"method": "strassen", "levels": 2, "cutoff": 8}
    for left, right in [((3, 40, 50), (3, 50, 30)), ((40, 50), (2, 50, 30)), ((2, 1, 40, 50), (3, 50, 30)),
                        ((0, 40, 50), (50, 30)), ((2, 0, 50), (50, 30)), ((2, 40, 0), (0, 30))]:  # fmt: skip
        for types in itertools.product(FLOATS, repeat=2):
            a, b = normal(left, types[0], 1), normal(right, types[1], 2)
            expected = np.matmul(a, b)
            c = mlopt.matmul(a, b, **how)
            assert (c.shape, c.dtype) == (expected.shape, expected.dtype)
            np.testing.assert_allclose(c, expected, rtol=1e-3, atol=1e-4)
            out = np.full(expected.shape, np.nan, expected.dtype)
            assert mlopt.matmul(a, b, out, **how) is out
            np.testing.assert_array_equal(out, c)
    stack = normal((3, 40, 50)), normal((3, 50, 30))
    together = mlopt.matmul(*stack, **how)
    for i in range(3):
        np.testing.assert_array_equal(together[i], mlopt.matmul(stack[0][i], stack[1][i], **how))


def test_what_it_leaves_to_the_ordinary_product():
    vector, matrix = normal(70), normal((70, 70))
    for a, b in [(vector, matrix), (matrix, vector), (vector, vector)]:
        np.testing.assert_array_equal(mlopt.matmul(a, b, method="strassen"), mlopt.matmul(a, b))
    for dtype in (int, complex, bool, object, np.float16):
        x = (matrix > 0).astype(dtype)
        c = mlopt.matmul(x, x, method="strassen")
        assert c.dtype == np.matmul(x, x).dtype
        np.testing.assert_array_equal(c, np.matmul(x, x))
    masked = np.ma.masked_array(matrix, matrix > 5)
    assert type(mlopt.matmul(masked, matrix, method="strassen")) is np.ma.MaskedArray
    lists = mlopt.matmul(matrix.tolist(), matrix.tolist(), method="strassen")
    np.testing.assert_array_equal(lists, mlopt.matmul(matrix, matrix, method="strassen"))


def test_errors_are_those_of_numpy():
    a, b = normal((70, 80)), normal((70, 80))
    for args in [(a, b), (np.stack([a, a]), np.stack([a.T] * 3)), (a, b.T, np.zeros((70, 71))),
                 (a, b.T, np.zeros((70, 70), int)),
                 (a, b.T, np.broadcast_to(0.0, (70, 70))), (a, b.T, "no")]:  # fmt: skip
        with pytest.raises(Exception) as numpy_error:
            np.matmul(*args[:2], out=args[2] if len(args) > 2 else None)
        with pytest.raises(type(numpy_error.value)) as error:
            mlopt.matmul(*args, method="strassen")
        assert str(error.value) == str(numpy_error.value)


def test_out_overlaps():
    how = {"method": "strassen", "levels": 1}
    x, y = normal((100, 100), seed=1), normal((100, 100), seed=2)
    expected = mlopt.matmul(x, y, **how)
    for which in (0, 1):
        operands = [x.copy(), y.copy()]
        out = operands[which]
        assert mlopt.matmul(*operands, out, **how) is out
        np.testing.assert_array_equal(out, expected)
    whole = np.vstack([x, x])
    expected = mlopt.matmul(whole[:100].copy(), y, **how)
    mlopt.matmul(whole[:100], y, whole[50:150], **how)
    np.testing.assert_array_equal(whole[50:150], expected)
    # an output whose elements share places follows NumPy
    memory = np.zeros(100 + 99)
    out = np.lib.stride_tricks.as_strided(memory, (100, 100), (8, 8))
    mlopt.matmul(x, y, out, **how)
    ours = memory.copy()
    np.matmul(x, y, out)
    np.testing.assert_allclose(ours, memory)


def test_byte_order_and_alignment():
    a = normal((70, 70))
    expected = mlopt.matmul(a, a, method="strassen")
    np.testing.assert_array_equal(mlopt.matmul(a.astype(">f8"), a, method="strassen"), expected)
    raw = np.zeros(a.nbytes + 1, np.uint8)[1:].view(np.float64).reshape(a.shape)
    raw[...] = a
    np.testing.assert_array_equal(mlopt.matmul(raw, a, method="strassen"), expected)
    record = np.zeros(a.shape, [("x", "f8"), ("y", "f4")])
    record["x"] = a
    np.testing.assert_array_equal(mlopt.matmul(record["x"], a, method="strassen"), expected)
    mlopt.matmul(a, a, record["x"], method="strassen")
    np.testing.assert_allclose(record["x"], expected, atol=1e-12)


@pytest.mark.parametrize("dtype", FLOATS)
def test_threads_do_not_change_a_bit(dtype):
    # the quadrants of the second are large enough for sums on several threads
    for n, levels in ((700, 2), (1500 if dtype == np.float64 else 2100, 1)):
        a, b = normal((n, n), dtype, 1), normal((n, n), dtype, 2)
        for left in (a, a.T):
            one = mlopt.matmul(left, b, method="strassen", levels=levels, num_threads=1)
            for threads in (2, 3):
                c = mlopt.matmul(left, b, method="strassen", levels=levels, num_threads=threads)
                np.testing.assert_array_equal(c, one)


# ----------------------------------------------------------------------------------------------- arguments, the flag


@pytest.mark.parametrize(
    ("argument", "value", "error"),
    [
        ("levels", 0, ValueError), ("levels", 4, ValueError), ("levels", -1, ValueError), ("levels", 1.0, TypeError),
        ("levels", "1", TypeError), ("cutoff", 0, ValueError), ("cutoff", -5, ValueError), ("cutoff", 9.5, TypeError),
        ("rescale", 1, TypeError), ("rescale", None, TypeError), ("num_threads", 0, ValueError),
    ],
)  # fmt: skip
def test_bad_arguments(argument, value, error):
    out = np.zeros((70, 70))
    with pytest.raises(error, match=f"^{argument} must be"):
        mlopt.matmul(np.eye(70), np.eye(70), out, method="strassen", **{argument: value})
    assert not out.any()


@pytest.mark.parametrize("method", ["auto", "gemm"])
@pytest.mark.parametrize(("argument", "value"), [("levels", 1), ("cutoff", 64), ("rescale", True), ("rescale", 0)])
def test_arguments_of_another_method(method, argument, value):
    with pytest.raises(ValueError, match=f"^{argument}={value!r} is for method='strassen'"):
        mlopt.matmul(np.eye(2), np.eye(2), method=method, **{argument: value})


def test_the_rule_is_monotonous():
    for dtype, sizes in strassen.SIZES.items():
        assert list(sizes) == sorted(sizes)
        for levels, size in enumerate(sizes):
            assert strassen.levels_for(size, size, size, dtype) >= levels + 1
            assert strassen.levels_for(size - 1, size, 4 * size, dtype) == strassen.levels_for(*[size - 1] * 3, dtype)


def test_the_flag(monkeypatch):
    monkeypatch.setitem(strassen.SIZES, np.dtype(np.float64), (260, 1000, 1000))
    a, b = normal((270, 270), seed=1), normal((270, 270), seed=2)
    ordinary, fast = mlopt.matmul(a, b, method="gemm"), mlopt.matmul(a, b, method="strassen", levels=1)
    assert not np.array_equal(ordinary, fast)
    np.testing.assert_array_equal(mlopt.matmul(a, b), ordinary)
    with mlopt.flags(strassen=True):
        np.testing.assert_array_equal(mlopt.matmul(a, b), fast)
        np.testing.assert_array_equal(mlopt.matmul(np.stack([a, a]), b)[1], fast)
        np.testing.assert_array_equal(mlopt.matmul(a, b, method="gemm"), ordinary)
        # below the rule's size
        small = np.ascontiguousarray(a[:, :259])
        np.testing.assert_array_equal(mlopt.matmul(small, b[:259]), mlopt.matmul(small, b[:259], method="gemm"))
        # sums cannot run along rows or columns
        spread = np.zeros((270, 540))[:, ::2]
        spread[...] = a
        np.testing.assert_array_equal(mlopt.matmul(spread, b), mlopt.matmul(spread, b, method="gemm"))
        with pytest.raises(TypeError):
            mlopt.matmul(a, b, "no")
        with mlopt.flags(strassen=False):
            np.testing.assert_array_equal(mlopt.matmul(a, b), ordinary)
    np.testing.assert_array_equal(mlopt.matmul(a, b), ordinary)


def run(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **environment}, capture_output=True, text=True, timeout=120
    )


def test_sizes_from_the_environment():
    code = """
import numpy as np, mlopt
a, b = np.random.default_rng(0).standard_normal((2, 270, 270))
assert np.array_equal(mlopt.matmul(a, b), mlopt.matmul(a, b, method="strassen", levels=2))
"""
    done = run(code, MLOPT_FLAGS="strassen", MLOPT_STRASSEN_SIZES="70,140,280")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("text", ["1,2,3", "100", "100,200", "300,200,400", "a,b,c", "100,200,400,800"])
def test_bad_sizes_in_the_environment(text):
    done = run("import mlopt", MLOPT_STRASSEN_SIZES=text)
    assert done.returncode != 0
    assert f"ImportError: MLOPT_STRASSEN_SIZES={text!r} must be three numbers" in done.stderr
