"""Every vector kernel of the register, on every tier: values, sizes, alignment, aliasing, memory bounds."""

import numpy as np
import pytest
from guard import guarded
from hypothesis import given, settings
from hypothesis import strategies as st
from kernels.conftest import SIZES, rows
from kernels.wide import DTYPE, FUNCTIONS, WIDE, denormal_factor, ulp_error

from mlopt._kernels.register import Kernel, available_tiers

ARITY = {"unary": 1, "binary": 2, "ternary": 3}
ELEMENTWISE = rows("unary", "binary", "ternary")
POISON = -1.2345e9


def arity(name):
    return {"fma": 3, "add": 2, "subtract": 2, "multiply": 2, "divide": 2}.get(name, 1)


def special_values(dtype):
    info = np.finfo(dtype)
    magnitudes = [
        0, info.smallest_subnormal, info.smallest_subnormal * 3, info.tiny / 2, info.tiny, info.eps, 1e-3, 0.3, 0.5,
        0.625, 0.6250001, 0.7071067, 1, 1.0000001, 1.5, 2, 3, 5, 9, 10, 15, 17, 20, 38, 40, 80, 86.9, 87, 87.5, 88.5,
        88.9, 100, 103.9, 104.5, 110, 700, 708, 709.5, 710.5, 745, 746, 1e4, 1e20, info.max, np.inf,
    ]  # fmt: skip
    values = np.array(magnitudes, np.float64).astype(dtype, casting="same_kind") if dtype == np.float64 else None
    if values is None:
        with np.errstate(over="ignore"):
            values = np.array(magnitudes, np.float64).astype(dtype)
    return np.concatenate([values, -values, [np.nan]]).astype(dtype)


def inputs(name, type, n, seed=0):
    """Values over the whole range of the type, special ones among them, one array per operand."""
    rng = np.random.default_rng(seed)
    dtype = DTYPE[type]
    result = []
    for _ in range(arity(name)):
        x = rng.standard_normal(n) * np.exp2(rng.integers(-20, 8, n).astype(float))
        x = x.astype(dtype)
        special = special_values(dtype)
        where = rng.random(n) < 0.25
        x[where] = rng.choice(special, where.sum())
        result.append(x)
    return result


def exact(name, type, operands):
    with np.errstate(all="ignore"):
        return FUNCTIONS[name](*[x.astype(WIDE[type]) for x in operands])


@pytest.mark.parametrize(("name", "type", "bound"), ELEMENTWISE)
def test_elementwise_accuracy(name, type, bound, tier, observed):
    operands = inputs(name, type, 3000 if name in ("erf", "gelu") else 20000)
    out = np.empty_like(operands[0])
    Kernel(name, type, tier)((out.size,), *operands, out)
    wide = exact(name, type, operands)
    # a hair above the bound: the wide result is rounded too
    error = ulp_error(out, wide, denormal_factor(name, operands))
    observed(f"{name}_{type}", tier, error, bound * 1.001)


@pytest.mark.parametrize(("name", "type", "bound"), ELEMENTWISE)
def test_elementwise_special_values(name, type, bound, tier):
    """Signs of zero, infinities, NaN: the same class of result as C's functions give."""
    special = special_values(DTYPE[type])
    grids = [g.ravel().copy() for g in np.meshgrid(*[special] * arity(name))] if arity(name) < 3 else None
    if grids is None:
        some = special[:: max(1, special.size // 18)]
        grids = [g.ravel().copy() for g in np.meshgrid(some, some, some)]
    out = np.empty_like(grids[0])
    Kernel(name, type, tier)((out.size,), *grids, out)
    expected = np.empty_like(out)
    Kernel(name, type, "reference")((out.size,), *grids, expected)
    np.testing.assert_array_equal(np.isnan(out), np.isnan(expected))
    infinite = np.isinf(expected)
    np.testing.assert_array_equal(out[infinite], expected[infinite])
    zero = (expected == 0) & ~np.isnan(out)
    tiny = np.finfo(out.dtype).smallest_subnormal
    assert np.all(np.abs(out[zero]) <= 2 * tiny)
    exactly = zero & (out == 0)
    np.testing.assert_array_equal(np.signbit(out[exactly]), np.signbit(expected[exactly]))


@pytest.mark.parametrize("type", ["f32", "f64"])
@pytest.mark.parametrize(("name", "low", "high"), [("tanh", -1, 1), ("erf", -1, 1), ("sigmoid", 0, 1)])
def test_limits_are_reached(name, low, high, type, tier):
    """Not only within the bound, but exactly, and not passed on the way."""
    x = np.array([-np.inf, -1e30, -2000, 40, 1e30, np.inf], DTYPE[type])
    out = np.empty_like(x)
    Kernel(name, type, tier)((x.size,), x, out)
    np.testing.assert_array_equal(out, [low] * 3 + [high] * 3)
    x = np.linspace(-45, 45, 20011).astype(DTYPE[type])
    out = np.empty_like(x)
    Kernel(name, type, tier)((x.size,), x, out)
    assert out.min() >= low
    assert out.max() <= high


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize(("name", "type", "bound"), ELEMENTWISE)
def test_elementwise_sizes_stay_in_bounds(name, type, bound, tier, n):
    """Misaligned by one element, guard page behind every operand, the memory before the output untouched."""
    operands = [guarded(x) for x in inputs(name, type, n, seed=n)]
    out = guarded(np.full(n + 1, POISON, DTYPE[type]))
    kernel = Kernel(name, type, tier)
    kernel((n,), *operands, out[1:])
    assert out[0] == DTYPE[type](POISON)
    whole = np.empty(n + 64, DTYPE[type])
    aligned = whole[(-whole.ctypes.data % 64) // whole.itemsize :][:n]
    kernel((n,), *[x.copy() for x in operands], aligned)
    np.testing.assert_array_equal(out[1:], aligned)
    in_place = operands[0].copy()
    kernel((n,), in_place, *operands[1:], in_place)
    np.testing.assert_array_equal(in_place, aligned)


@pytest.mark.parametrize(("name", "type", "bound"), rows("binary", "ternary"))
def test_numbers_stand_for_all(name, type, bound, tier):
    """A step of 0 is the same as the number repeated."""
    n = 77
    operands = inputs(name, type, n, seed=3)
    kernel = Kernel(name, type, tier)
    for pattern in range(1, 2 ** len(operands)):
        steps = [0 if pattern >> i & 1 else 1 for i in range(len(operands))]
        repeated = [np.full(n, x[0]) if step == 0 else x for x, step in zip(operands, steps, strict=True)]
        expected, out = np.empty(n, DTYPE[type]), np.empty(n, DTYPE[type])
        kernel((n,), *repeated, expected)
        kernel((n,), *operands, out, steps=[*steps, 1])
        np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize(("name", "type", "bound"), rows("reduce", "argreduce", "dot", "moments"))
def test_reductions(name, type, bound, tier, n, observed):
    if n == 0 and name in ("argmax", "min", "max", "moments"):
        pytest.skip("has no value for no elements")
    rng = np.random.default_rng(n)
    x, y = ((rng.standard_normal(n) * 3 + 1).astype(DTYPE[type]) for _ in range(2))
    operands = [guarded(x), guarded(y)] if name == "dot" else [guarded(x)]
    kernel = Kernel(name, type, tier)
    first, second = kernel((n,), *operands)
    misaligned = np.empty(n + 1, DTYPE[type])[1:]
    misaligned[...] = x
    assert kernel((n,), misaligned, *operands[1:]) == (first, second), "the result depends on alignment"

    eps = np.finfo(DTYPE[type]).eps
    growth = max(1, n) if tier == "reference" else 1
    wide = x.astype(WIDE[type])
    label = f"{name}_{type}"
    if name in ("min", "max", "argmax"):
        assert first == getattr(np, name)(x)
    elif name == "logsumexp":
        value = np.log(np.sum(np.exp(wide - wide.max()))) + wide.max() if n else -np.inf
        error = 0.0 if first == value else float(abs(first - value) / (eps * max(1, abs(value))))
        observed(label, tier, error, bound * growth)
    elif name == "moments":
        mean, squares = wide.mean(), np.sum((wide - wide.mean()) ** 2)
        observed(f"{label} mean", tier, float(abs(first - mean) / (eps * np.abs(wide).mean())), bound * growth)
        observed(f"{label} squares", tier, float(abs(second - squares) / (eps * max(squares, eps))), bound * growth)
    else:
        terms = wide * y.astype(WIDE[type]) if name == "dot" else wide
        error = float(abs(first - terms.sum()) / (eps * np.abs(terms).sum())) if n else abs(first)
        observed(label, tier, error, bound * growth)


@pytest.mark.parametrize("type", ["f32", "f64"])
def test_large_sum_is_as_good_as_pairwise(tier, type):
    if tier == "reference":
        pytest.skip("the reference adds one by one")
    x = np.full(3_000_017, 0.1, DTYPE[type])
    total = Kernel("sum", type, tier)((x.size,), x)[0]
    exact_total = float(x[0]) * x.size
    assert abs(total - exact_total) <= 24 * np.finfo(x.dtype).eps * exact_total


@pytest.mark.parametrize("type", ["f32", "f64"])
def test_moments_do_not_cancel(tier, type):
    rng = np.random.default_rng(1)
    x = (1e4 + rng.standard_normal(10_000)).astype(DTYPE[type])
    wide = x.astype(WIDE[type])
    squares = Kernel("moments", type, tier)((x.size,), x)[1]
    exact_squares = float(np.sum((wide - wide.mean()) ** 2))
    assert abs(squares - exact_squares) <= 1e-3 * exact_squares


@pytest.mark.parametrize("place", [0, 1, 15, 16, 40, 4095, 4096, 4100, 8191])
@pytest.mark.parametrize("type", ["f32", "f64"])
def test_nan_is_an_extreme(tier, type, place):
    x = np.arange(8192, dtype=DTYPE[type])
    x[place] = np.nan
    x[-1] = np.nan
    for name in ("min", "max"):
        assert np.isnan(Kernel(name, type, tier)((x.size,), x)[0])
    assert Kernel("argmax", type, tier)((x.size,), x)[0] == place


@pytest.mark.parametrize("type", ["f32", "f64"])
def test_argmax_takes_the_first(tier, type):
    x = np.zeros(10_000, DTYPE[type])
    x[[77, 78, 5000, 9999]] = 3
    assert Kernel("argmax", type, tier)((x.size,), x)[0] == 77
    infinite = np.full(100, -np.inf, DTYPE[type])
    assert Kernel("argmax", type, tier)((100,), infinite)[0] == 0


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("type", ["f32", "f64"])
def test_axpy_and_scale(tier, type, n):
    rng = np.random.default_rng(n)
    eps = np.finfo(DTYPE[type]).eps
    x, y = (guarded(rng.standard_normal(n).astype(DTYPE[type])) for _ in range(2))
    before = y.copy()
    Kernel("axpy", type, tier)((n,), x, y, number=0.37)
    alpha = DTYPE[type](0.37)
    wide = alpha * x.astype(WIDE[type]) + before.astype(WIDE[type])
    assert np.all(np.abs(y - wide) <= eps * (np.abs(alpha * x) + np.abs(before)))
    out = guarded(np.full(n + 1, POISON, DTYPE[type]))
    Kernel("scale", type, tier)((n,), x, out[1:], number=0.37)
    assert out[0] == DTYPE[type](POISON)
    np.testing.assert_array_equal(out[1:], x * alpha)
    Kernel("scale", type, tier)((n,), x, x, number=0.37)
    np.testing.assert_array_equal(x, out[1:])


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize(("name", "type", "bound"), rows("row"))
def test_softmax(name, type, bound, tier, n, observed):
    rng = np.random.default_rng(n)
    x = guarded((rng.standard_normal(n) * 4).astype(DTYPE[type]))
    out = guarded(np.full(n + 1, POISON, DTYPE[type]))
    Kernel(name, type, tier)((n,), x, out[1:])
    assert out[0] == DTYPE[type](POISON)
    if n == 0:
        return
    # the kernel's input to exp is the rounded difference: bound that error apart
    shifted = (x - x.max()).astype(WIDE[type])
    e = np.exp(shifted)
    growth = max(1, n) if tier == "reference" else 1
    observed(f"{name}_{type}", tier, ulp_error(out[1:], e / e.sum()), bound * growth)
    Kernel(name, type, tier)((n,), x, x)
    np.testing.assert_array_equal(x, out[1:])


FLAG_CASES = [
    ("exp", [0.5, 1000.0], "over"), ("log", [1.0, 0.0], "divide"), ("log", [1.0, -1.0], "invalid"),
    ("divide", [1.0, 0.0], "divide"), ("sqrt", [4.0, -4.0], "invalid"),
]  # fmt: skip
QUIET = {
    "exp": [np.nan, np.inf, -np.inf, 0.0, -1.0], "log": [np.nan, np.inf, 1.0], "tanh": [np.nan, np.inf, -1e30, 1e-30],
    "sigmoid": [np.nan, np.inf, -np.inf, 1e30], "erf": [np.nan, np.inf, -1e30], "relu": [np.nan, -np.inf, np.inf],
    "sqrt": [np.nan, np.inf, 0.0], "gelu": [np.nan, np.inf, 1e30, -1e30], "silu": [np.nan, np.inf, 1e3],
}  # fmt: skip


@pytest.mark.parametrize("type", ["f32", "f64"])
@pytest.mark.parametrize(("name", "values", "flag"), FLAG_CASES)
def test_floating_point_flags_are_raised(name, values, flag, type, tier):
    import mlopt

    x = np.array(values, DTYPE[type])
    operands = (np.ones_like(x), x) if name == "divide" else (x,)
    with mlopt.use_isa(tier), np.errstate(all="ignore", **{flag: "raise"}), pytest.raises(FloatingPointError):
        getattr(mlopt, name)(*operands)


@pytest.mark.parametrize("n", [1, 3, 5, 17, 40])
@pytest.mark.parametrize("type", ["f32", "f64"])
@pytest.mark.parametrize("name", QUIET)
def test_no_spurious_flags(name, n, type, tier):
    import mlopt

    x = np.resize(np.array(QUIET[name], DTYPE[type]), n)
    with mlopt.use_isa(tier), np.errstate(over="raise", divide="raise", invalid="raise", under="ignore"):
        getattr(mlopt, name)(x)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_tiers_agree_on_any_bits(data):
    """The same random bit patterns on every tier: results within the sum of two bounds of each other."""
    name, type, bound = data.draw(st.sampled_from([p.values for p in ELEMENTWISE]))
    n = data.draw(st.integers(0, 100))
    bits = np.dtype(DTYPE[type]).itemsize
    raw = [
        np.frombuffer(data.draw(st.binary(min_size=n * bits, max_size=n * bits)), DTYPE[type])
        for _ in range(arity(name))
    ]
    results = {}
    for tier in available_tiers():
        results[tier] = np.empty(n, DTYPE[type])
        Kernel(name, type, tier)((n,), *raw, results[tier])
    for tier, result in results.items():
        with np.errstate(invalid="ignore"):  # signalling NaNs
            error = ulp_error(result, results["reference"].astype(WIDE[type]), denormal_factor(name, raw))
        assert error <= 2 * bound + 1, (name, type, tier)
