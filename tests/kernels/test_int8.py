"""Products of bytes on every tier, bit by bit: sizes, signs, zero points, strides, results, memory bounds, threads."""

import itertools

import numpy as np
import pytest
from guard import guarded
from hypothesis import given, settings
from hypothesis import strategies as st
from kernels.conftest import tiers_of
from kernels.wide import FUNCTIONS, denormal_factor, ulp_error
from numpy.lib.stride_tricks import as_strided, sliding_window_view

from mlopt._kernels.register import Kernel, kernel_report
from mlopt.linalg.int8_gemm import Int8Product

BLOCKS = (16, 64, 96)  # the smallest: small products go beyond one block in each direction
DEPTH = 0x7FFFFFFF  # the largest sum
POISON = {np.int32: -123456789, np.float32: -1.2345e9, np.uint8: 0xA5, np.int8: -0x5B}
TIERS = tiers_of("int8")
SIGNS = list(itertools.product((np.uint8, np.int8), repeat=2))
RANGES = {np.uint8: (0, 255), np.int8: (-128, 127)}
M = (0, 1, 2, 3, 4, 5, 7, 8, 9, 13, 16, 17)
N = (0, 1, 3, 4, 15, 16, 17, 31, 33, 47, 48, 49, 63, 64, 65, 95, 96, 97, 101)
K = (0, 1, 2, 3, 4, 5, 15, 16, 17, 63, 64, 65, 67, 131, 260)
SOME = [(1, 1, 1), (1, 50, 67), (9, 1, 130), (8, 48, 64), (5, 49, 129), (17, 97, 33), (35, 101, 131)]
BOUNDS = {row["name"]: row["bound"] for row in kernel_report() if row["family"] == "vector" and row["type"] == "f32"}


@pytest.fixture(params=TIERS)
def tier(request):
    return request.param


def bytes_of(shape, dtype, seed=0):
    low, high = RANGES[dtype]
    return guarded(np.random.default_rng([seed, *shape]).integers(low, high, shape, dtype, endpoint=True))


def wrapped(sums):
    """Modulo 2^32."""
    return (np.asarray(sums, np.int64) & 0xFFFFFFFF).astype(np.uint32).view(np.int32)


def sums_of(a, b, a_zero=None, b_zero=None, bias=None):
    left = a.astype(np.int64) - (0 if a_zero is None else a_zero[:, None])
    right = b.astype(np.int64) - (0 if b_zero is None else b_zero)
    return wrapped(left @ right + (0 if bias is None else bias))


def product(a, b, dtype, tier, *, gap=3, pack=False, blocks=BLOCKS, **options):
    """The kernel's result; its C, workspace and packed operand end at unreadable pages, rows of C have gaps."""
    m, n, row = a.shape[0], b.shape[1], b.shape[1] + gap
    flat = guarded(np.full(max(m * row - gap, 0), POISON[dtype], dtype))
    c = as_strided(flat, (m, n), (row * flat.itemsize, flat.itemsize))
    arrays = {name: guarded(value) for name, value in options.items() if isinstance(value, np.ndarray)}
    options |= arrays
    probe = Int8Product(a, b, c, tier, blocks=blocks, **options)
    if options.get("panels", 1) == 1:
        options["workspace"] = guarded(np.full(probe.workspace_bytes, 0x5A, np.uint8))
        assert options["workspace"].ctypes.data % 64 == 0
    if pack:
        options["packed"] = guarded(np.full(probe.packed_bytes, 0x5A, np.int8))
    Int8Product(a, b, c, tier, blocks=blocks, **options)()
    result = np.array(c)
    c[...] = POISON[dtype]
    assert (flat == dtype(POISON[dtype])).all(), "written between the rows of C"
    return result


def real_of(sums, scale, shift=None, activation="identity"):
    """Float results as the contract rounds them; the activation, where it is one that rounds, in float64."""
    with np.errstate(all="ignore"):
        x = sums.astype(np.float32) * np.float32(scale)
        x = x if shift is None else x + shift
        if activation == "relu":
            return np.where(x < 0, np.float32(0), x)
        return x if activation == "identity" else FUNCTIONS[activation](x.astype(np.float64))


def quantised(real, dtype, multiplier=1.0, zero=0):
    low, high = RANGES[dtype]
    with np.errstate(all="ignore"):
        scaled = real * np.float32(multiplier)
    scaled = np.where(np.isnan(scaled), np.float32(low - zero), scaled)
    return (np.rint(np.clip(scaled, low - zero, high - zero)).astype(np.int32) + zero).astype(dtype)


# --- sums ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("signs", SIGNS, ids=lambda s: f"{np.dtype(s[0])}-{np.dtype(s[1])}")
def test_sizes(tier, signs):
    for i, (m, n, k) in enumerate(itertools.product(M, N, K)):
        if i % 4 != SIGNS.index(signs):  # a quarter of the grid for each pair of signs
            continue
        a, b = bytes_of((m, k), signs[0]), bytes_of((k, n), signs[1], 1)
        np.testing.assert_array_equal(product(a, b, np.int32, tier, pack=i % 8 < 4), sums_of(a, b), f"{m}, {n}, {k}")


def zero_points(kind, length, dtype, seed):
    low, high = RANGES[dtype]
    draw = np.random.default_rng(seed).integers
    return {
        "none": None,
        "zero": np.zeros(1, np.int32),
        "one": draw(low, high, 1, np.int32, endpoint=True),
        "lowest": np.array([low], np.int32),
        "highest": np.array([high], np.int32),
        "each": draw(low, high, length, np.int32, endpoint=True),
        "each zero": np.zeros(length, np.int32),
    }[kind]


@pytest.mark.parametrize("of_b", ["none", "zero", "one", "lowest", "highest", "each", "each zero"])
@pytest.mark.parametrize("of_a", ["none", "zero", "one", "lowest", "highest", "each"])
def test_zero_points_and_bias(tier, of_a, of_b):
    for (m, n, k), signs, pack in itertools.product(SOME, SIGNS, (False, True)):
        a, b = bytes_of((m, k), signs[0]), bytes_of((k, n), signs[1], 1)
        a_zero, b_zero = zero_points(of_a, m, signs[0], 2), zero_points(of_b, n, signs[1], 3)
        bias = np.random.default_rng(4).integers(-(1 << 31), 1 << 31, n, np.int64).astype(np.int32) if pack else None
        expected = sums_of(a, b, a_zero, b_zero, bias)
        result = product(a, b, np.int32, tier, pack=pack, a_zero=a_zero, b_zero=b_zero, bias=bias)
        np.testing.assert_array_equal(result, expected)


def laid_out(values, layout):
    """The values in memory of a layout, whose last byte, or nearly, is before an unreadable page."""
    m, n = values.shape
    if layout == "rows":
        return guarded(values)
    if layout == "columns":
        return guarded(values.T).T
    if layout == "reversed":
        return guarded(values[::-1, ::-1])[::-1, ::-1]
    if layout == "reversed columns":
        return guarded(values.T[::-1, ::-1])[::-1, ::-1].T
    whole = {"padded": (m, n + 5), "padded columns": (n, m + 7), "spread": (2 * m, 3 * n)}[layout]
    whole = guarded(np.full(whole, 0x5A, values.dtype))
    view = {"padded": whole[:, 5:], "padded columns": whole.T[7:], "spread": whole[1::2, 2::3]}[layout]
    view[...] = values
    return view


LAYOUTS = ("rows", "columns", "reversed", "reversed columns", "padded", "padded columns", "spread")


@pytest.mark.parametrize("b_layout", LAYOUTS)
@pytest.mark.parametrize("a_layout", LAYOUTS)
def test_strides(tier, a_layout, b_layout):
    for (m, n, k), signs in itertools.product([(1, 1, 9), (3, 17, 5), (9, 53, 76), (19, 98, 131)], SIGNS):
        a, b = bytes_of((m, k), signs[0]), bytes_of((k, n), signs[1], 1)
        zeros = {"a_zero": np.full(1, 3, np.int32), "b_zero": np.full(1, -2, np.int32)}
        expected = sums_of(a, b, **zeros)
        left, right = laid_out(a, a_layout), laid_out(b, b_layout)
        for pack in (False, True):
            np.testing.assert_array_equal(product(left, right, np.int32, tier, pack=pack, **zeros), expected)


def test_operands_of_stride_zero(tier):
    for m, n, k in SOME:
        a, b = bytes_of((m, k), np.uint8), bytes_of((k, n), np.int8, 1)
        for left in (a, np.broadcast_to(a[:1], a.shape), np.broadcast_to(a[:, :1], a.shape)):
            for right in (b, np.broadcast_to(b[:1], b.shape), np.broadcast_to(b[:, :1], b.shape)):
                np.testing.assert_array_equal(product(left, right, np.int32, tier), sums_of(left, right))


def test_padded_rows(tier):
    """Rows that may be read up to a multiple of 4, whatever stands there; not what lies behind."""
    for (m, n, k), pack in itertools.product([(1, 17, 1), (3, 33, 6), (9, 97, 131), (17, 50, 63)], (False, True)):
        whole, b = bytes_of((m, -(-k // 4) * 4), np.uint8), bytes_of((k, n), np.uint8, 1)
        zeros = {"a_zero": zero_points("each", m, np.uint8, 2), "b_zero": zero_points("each", n, np.uint8, 3)}
        a = whole[:, :k]
        expected = sums_of(a, b, **zeros)
        np.testing.assert_array_equal(product(a, b, np.int32, tier, pack=pack, a_padded=True, **zeros), expected)


@settings(deadline=None, max_examples=60)
@given(
    size=st.tuples(st.integers(0, 40), st.integers(0, 110), st.integers(0, 200)),
    blocks=st.tuples(st.integers(1, 80), st.integers(1, 200), st.integers(1, 200)),
    layouts=st.tuples(*[st.sampled_from(LAYOUTS)] * 2),
    signs=st.sampled_from(SIGNS),
    zeros=st.tuples(*[st.sampled_from(("none", "one", "each"))] * 2),
    dtype=st.sampled_from(tuple(POISON)),
    pack=st.booleans(),
)
def test_any_blocks_and_layouts(size, blocks, layouts, signs, zeros, dtype, pack):
    m, n, k = size
    a, b = bytes_of((m, k), signs[0]), bytes_of((k, n), signs[1], 1)
    a_zero, b_zero = zero_points(zeros[0], m, signs[0], 2), zero_points(zeros[1], n, signs[1], 3)
    expected = sums_of(a, b, a_zero, b_zero)
    options = {} if dtype == np.int32 else {"scale": np.full(1, 0.01, np.float32)}
    if dtype != np.int32:
        expected = real_of(expected, 0.01)
    if dtype in RANGES:
        expected = quantised(expected, dtype)
    left, right = laid_out(a, layouts[0]), laid_out(b, layouts[1])
    for tier in TIERS:
        result = product(left, right, dtype, tier, blocks=blocks, pack=pack, a_zero=a_zero, b_zero=b_zero, **options)
        np.testing.assert_array_equal(result, expected, tier)


def test_default_blocks(tier):
    for m, n, k in ((65, 97, 600), (300, 310, 290), (40, 900, 2100)) if tier != "reference" else ((65, 97, 600),):
        a, b = bytes_of((m, k), np.uint8), bytes_of((k, n), np.int8, 1)
        expected = wrapped(a.astype(np.float64) @ b.astype(np.float64))  # exact: far below 2^53
        for left, right in itertools.product((a, np.asfortranarray(a)), (b, np.asfortranarray(b))):
            np.testing.assert_array_equal(product(left, right, np.int32, tier, blocks=None), expected)


def test_a_that_is_too_large_to_be_packed_whole(tier):
    if tier in ("reference", "generic"):
        pytest.skip("takes seconds; the bodies of generic run on the others")
    m, n, k = 1100, 97, 62000
    a, b = sliding_window_view(bytes_of((m + k - 1,), np.int8), k), bytes_of((k, n), np.int8, 1)
    weights = np.random.default_rng(2).integers(-1000, 1000, n)
    result = product(a, b, np.int32, tier, blocks=(512, 1024, 96))
    np.testing.assert_array_equal(result @ weights, a @ (b @ weights))


@pytest.mark.parametrize("pack", [False, True])
def test_no_sum_saturates_up_to_the_documented_depth(tier, pack):
    for (a_type, a_value, a_zero), (b_type, b_value, b_zero) in itertools.product(
        [(np.uint8, 255, 0), (np.uint8, 0, 255), (np.int8, -128, 0), (np.int8, 127, -128)],
        [(np.int8, -128, 0), (np.int8, 127, 0), (np.int8, 127, -128), (np.uint8, 255, 0), (np.uint8, 0, 255)],
    ):
        deepest = DEPTH // (abs(a_value - a_zero) * abs(b_value - b_zero))
        for k in (2, 1000, deepest):
            a, b = np.full((1, k), a_value, a_type), np.full((k, 1), b_value, b_type)
            left, right = np.broadcast_to(a, (9, k)), np.broadcast_to(b, (k, 17))
            zeros = {"a_zero": np.full(1, a_zero, np.int32), "b_zero": np.full(1, b_zero, np.int32)}
            expected = k * (a_value - a_zero) * (b_value - b_zero)
            assert abs(expected) <= DEPTH
            assert (product(left, right, np.int32, tier, blocks=None, pack=pack, **zeros) == expected).all()


# --- what becomes of the sums ----------------------------------------------------------------------


def results(tier, sums, dtype, **options):
    """Results for given sums, which are the bias of a product of zeros."""
    n = sums.size
    a, b = guarded(np.zeros((1, 4), np.uint8)), guarded(np.zeros((4, n), np.int8))
    return product(a, b, dtype, tier, bias=np.ascontiguousarray(sums, np.int32), **options)[0]


SUMS = np.unique(
    np.concatenate(
        [np.arange(-700, 701), [-(1 << 31), 1 - (1 << 31), (1 << 31) - 1, (1 << 24) + 1, -(1 << 24) - 3, 33554434 + 1]]
    )
).astype(np.int32)


@pytest.mark.parametrize("activation", ["identity", "relu"])
@pytest.mark.parametrize("each", [False, True])
def test_float_results_are_bit_identical(tier, activation, each):
    rng = np.random.default_rng(0)
    scale = (rng.standard_normal(SUMS.size if each else 1) * 0.37).astype(np.float32)
    for shift in (None, rng.standard_normal(SUMS.size).astype(np.float32)):
        expected = real_of(SUMS, scale, shift, activation)
        result = results(tier, SUMS, np.float32, scale=scale, shift=shift, activation=activation)
        np.testing.assert_array_equal(result.view(np.uint32), expected.view(np.uint32))
        reference = results("reference", SUMS, np.float32, scale=scale, shift=shift, activation=activation)
        np.testing.assert_array_equal(result.view(np.uint32), reference.view(np.uint32))


@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "gelu", "silu"])
def test_float_results_of_other_activations(tier, activation, observed):
    for scale in (1e-3, 0.02, 0.1):
        result = results(tier, SUMS, np.float32, scale=np.full(1, scale, np.float32), activation=activation)
        exact = real_of(SUMS, scale, None, activation)
        factor = denormal_factor(activation, [real_of(SUMS, scale)])
        observed(f"gemm s8 {activation}", tier, ulp_error(result, exact, factor), BOUNDS[activation])


@pytest.mark.parametrize("dtype", [np.uint8, np.int8])
@pytest.mark.parametrize("activation", ["identity", "relu", "tanh", "sigmoid", "gelu", "silu"])
def test_bytes_are_made_of_the_real_numbers(tier, activation, dtype):
    low, high = RANGES[dtype]
    scale = (0.05 + np.random.default_rng(0).random(SUMS.size) * 0.01).astype(np.float32)
    shift = np.random.default_rng(1).standard_normal(SUMS.size).astype(np.float32)
    given = {"scale": scale, "shift": shift, "activation": activation}
    real = results(tier, SUMS, np.float32, **given)
    for zero, multiplier in itertools.product((low, low + 1, 0, 7, high), (1.0, 3.7, 60.0, 1e-3)):
        result = results(tier, SUMS, dtype, out_zero=zero, out_multiplier=multiplier, **given)
        np.testing.assert_array_equal(result, quantised(real, dtype, multiplier, zero))


@pytest.mark.parametrize("dtype", [np.uint8, np.int8])
def test_ties_go_to_even(tier, dtype):
    half = np.full(1, 0.5, np.float32)
    for zero in (RANGES[dtype][0], 0, 3, RANGES[dtype][1]):
        result = results(tier, SUMS, dtype, scale=half, out_zero=zero)
        expected = [min(max(round(int(s) / 2) + zero, RANGES[dtype][0]), RANGES[dtype][1]) for s in SUMS]
        np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3e38, 1e-45])
@pytest.mark.parametrize("activation", ["identity", "relu", "tanh", "sigmoid", "gelu", "silu"])
def test_special_scales_and_shifts(tier, activation, value):
    sums = np.resize(np.array([0, 1, -1, 5, (1 << 31) - 1, -(1 << 31)], np.int32), 53)
    one, special = np.ones(53, np.float32), np.full(53, value, np.float32)
    for scale, shift in ((special[:1], None), (special, one), (one[:1], special), (special, -special)):
        given = {"scale": scale, "shift": shift, "activation": activation}
        real = results(tier, sums, np.float32, **given)
        exact = real_of(sums, scale, shift, activation)
        assert ulp_error(real, exact) <= BOUNDS.get(activation, 0)
        for dtype, zero in ((np.uint8, 0), (np.uint8, 255), (np.int8, -3)):
            result = results(tier, sums, dtype, out_zero=zero, **given)
            np.testing.assert_array_equal(result, quantised(real, dtype, 1.0, zero))


@pytest.mark.parametrize("dtype", [np.float32, np.uint8, np.int8])
def test_results_over_several_blocks(tier, dtype):
    """Sums that are kept from one block of k to the next, tiles that are cut, all at once."""
    for (m, n, k), signs, pack in itertools.product(SOME, SIGNS, (False, True)):
        a, b = bytes_of((m, k), signs[0]), bytes_of((k, n), signs[1], 1)
        a_zero, b_zero = zero_points("each", m, signs[0], 2), zero_points("each", n, signs[1], 3)
        rng = np.random.default_rng(4)
        bias, scale = rng.integers(-5000, 5000, n, np.int32), (rng.random(n) * 1e-3).astype(np.float32)
        shift = rng.standard_normal(n).astype(np.float32)
        expected = real_of(sums_of(a, b, a_zero, b_zero, bias), scale, shift, "relu")
        options = {"a_zero": a_zero, "b_zero": b_zero, "bias": bias, "scale": scale, "shift": shift}
        if dtype in RANGES:
            expected = quantised(expected, dtype, 1.7, 2)
            options |= {"out_multiplier": 1.7, "out_zero": 2}
        result = product(a, b, dtype, tier, pack=pack, activation="relu", **options)
        np.testing.assert_array_equal(result, expected)


# --- threads, packed operands, the limit -----------------------------------------------------------


@pytest.mark.parametrize("dtype", list(POISON))
@pytest.mark.parametrize("pack", [False, True])
def test_panels_compute_what_the_whole_computes(tier, dtype, pack):
    for m, n, k in ((300, 20, 70), (20, 300, 70), (1, 400, 130), (97, 5, 9)):
        a, b = bytes_of((m, k), np.int8), bytes_of((k, n), np.uint8, 1)
        rng = np.random.default_rng(4)
        options = {"bias": rng.integers(-5000, 5000, n, np.int32)}
        options |= {"a_zero": zero_points("each", m, np.int8, 2), "b_zero": zero_points("each", n, np.uint8, 3)}
        if dtype != np.int32:
            options |= {"scale": (rng.random(n) * 1e-3).astype(np.float32), "shift": rng.random(n).astype(np.float32)}
        whole = product(a, b, dtype, tier, pack=pack, **options)
        for panels in (2, 3, 5):
            np.testing.assert_array_equal(product(a, b, dtype, tier, pack=pack, panels=panels, **options), whole)


def test_layout_of_the_packed_operand(tier):
    if tier == "reference":
        pytest.skip("has a layout of its own")
    pack = Kernel("gemm_pack", "s8", tier)
    probe = Int8Product(*(np.zeros((1, 1), np.uint8),) * 2, np.zeros((1, 1), np.int32), tier)
    wide = probe.packed_bytes // 8  # k = 1 makes four rows, sums four more
    for n, k in ((1, 1), (5, 9), (wide, 64), (2 * wide + 1, 67)):
        b = bytes_of((k, n), np.int8)
        columns, deep = -(-n // wide) * wide, -(-k // 4) * 4
        packed = guarded(np.full((deep + 4) * columns, 0x5A, np.int8))
        pack((k, n), b, packed, steps=(n, 1))
        panels = np.array(packed[: deep * columns]).reshape(columns // wide, deep // 4, wide, 4)
        unpacked = panels.transpose(1, 3, 0, 2).reshape(deep, columns)
        np.testing.assert_array_equal(unpacked[:k, :n], b)
        assert not unpacked[k:, :n].any()
        sums = np.array(packed[deep * columns :]).view(np.int32)
        np.testing.assert_array_equal(sums[:n], b.astype(np.int64).sum(0))


@pytest.mark.parametrize("n", [0, 1, 767, 768, 769, 7680, 768 * 5000])
def test_limit_loop(tier, n):
    x, y = guarded(np.array([255, 1, 0, 200], np.uint8)), guarded(np.array([-128, 127, 5, -128], np.int8))
    steps, product_of_four = n // 768, int(x.astype(np.int64) @ y.astype(np.int64))
    chains = sum(chain % 12 + steps * product_of_four for chain in range(192)) if steps else 0
    assert Kernel("limit_int8", "s8", tier)((n,), x, y)[0] == wrapped([chains])[0]
