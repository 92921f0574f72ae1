"""bfloat16 on every tier: conversions bit by bit, products against wider arithmetic of the rounded operands."""

import ctypes
import itertools

import numpy as np
import pytest
from guard import guarded
from hypothesis import given, settings
from hypothesis import strategies as st
from kernels.conftest import SIZES, tiers_of
from kernels.test_gemm import LAYOUTS, POISON, laid_out

from mlopt._kernels.register import Kernel, kernel_report
from mlopt.linalg.bf16 import Product

ml_dtypes = pytest.importorskip("ml_dtypes")
BFLOAT16 = ml_dtypes.bfloat16
BOUND = next(row["bound"] for row in kernel_report() if (row["name"], row["type"]) == ("gemm", "bf16"))
BLOCKS = (16, 24, 48)  # small, so that small products go beyond one block in each direction
SIZES_OF_PRODUCTS = [
    (0, 3, 4), (3, 0, 4), (3, 4, 0), (0, 0, 0), (1, 1, 1), (1, 1, 67), (1, 23, 1), (2, 3, 5), (1, 50, 31), (50, 1, 31),
    (3, 17, 40), (4, 4, 129), (5, 129, 2), (8, 24, 16), (8, 48, 24), (9, 49, 25), (7, 47, 23), (13, 101, 53),
    (67, 71, 73), (16, 96, 64),
]  # fmt: skip
KINDS = ("float32", "bfloat16")
FINISH = ctypes.CFUNCTYPE(
    None, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t, ctypes.c_size_t, ctypes.c_size_t, ctypes.c_void_p
)


@pytest.fixture(params=tiers_of("bf16"))
def tier(request):
    return request.param


def rounded(x):
    """The bits of float32 numbers as bfloat16, by another library."""
    return np.asarray(x, np.float32).astype(BFLOAT16).view(np.uint16)


def widened(bits):
    return bits.view(BFLOAT16).astype(np.float64)


def as_kind(x, kind):
    return rounded(x) if kind == "bfloat16" else np.asarray(x, np.float32)


def value(x):
    """The numbers that a product sees of an operand."""
    return widened(x if x.dtype == np.uint16 else rounded(x))


def operands(m, n, k, seed=0):
    rng = np.random.default_rng(seed)
    return tuple(rng.standard_normal(s).astype(np.float32) for s in ((m, k), (k, n), (m, n)))


def check(a, b, c, tier, observed=None, blocks=BLOCKS, accumulate=False, packed=False):
    """Computes into c and compares with float64 products of the rounded operands."""
    k = a.shape[1]
    start = widened(np.array(c)) if c.dtype == np.uint16 else np.array(c, np.float64)
    expected = value(a) @ value(b) + (start if accumulate else 0)
    terms = np.abs(value(a)) @ np.abs(value(b)) + (np.abs(start) if accumulate else 0)
    limit = BOUND * (k + 2) * 2.0**-23 * terms + (k + 2) * 2.0**-126
    Product(a, b, c, tier, blocks=blocks, accumulate=accumulate, packed=packed)()
    if c.dtype == np.uint16:
        # rounded once more
        assert (np.abs(widened(c) - expected) <= limit + (np.abs(expected) + limit) * 2.0**-8).all()
        return
    error = np.abs(c - expected)
    assert (error <= limit).all()
    if observed is not None and c.size:
        observed("gemm bf16", tier, float((error / limit).max()) * BOUND, BOUND)


# --- conversions ---------------------------------------------------------------------------------


def every_upper_half():
    """float32 numbers around every bfloat16: itself, a bit more, below, at and above the middle to the next."""
    upper = np.arange(1 << 16, dtype=np.uint32) << 16
    return np.concatenate([upper | low for low in (0, 1, 0x7FFF, 0x8000, 0x8001, 0xFFFF)]).view(np.float32)


def test_rounding_of_every_number(tier):
    x = guarded(every_upper_half())
    out = guarded(np.zeros(x.size, np.uint16))
    Kernel("round", "bf16", tier)((x.size,), x, out)
    nan = np.isnan(x)
    np.testing.assert_array_equal(out[~nan], rounded(x[~nan]))
    assert np.isnan(widened(out[nan])).all()
    assert (out[nan] & 0x40).all(), "quiet"
    np.testing.assert_array_equal(out[nan] >> 15, x[nan].view(np.uint32) >> 31, "signs stay")


def test_widening_of_every_number(tier):
    bits = guarded(np.arange(1 << 16, dtype=np.uint16))
    out = guarded(np.zeros(bits.size, np.float32))
    Kernel("widen", "bf16", tier)((bits.size,), bits, out)
    np.testing.assert_array_equal(out.view(np.uint32), bits.astype(np.uint32) << 16)


@pytest.mark.parametrize("n", SIZES)
def test_conversions_of_any_length(tier, n):
    x = np.random.default_rng(n).standard_normal(n).astype(np.float32)
    out = guarded(np.zeros(n, np.uint16))
    Kernel("round", "bf16", tier)((n,), guarded(x), out)
    np.testing.assert_array_equal(out, rounded(x))
    back = guarded(np.zeros(n, np.float32))
    Kernel("widen", "bf16", tier)((n,), out, back)
    np.testing.assert_array_equal(back, widened(out))


@pytest.mark.parametrize("rows", [0, 1, 3, 8, 9, 21])
@pytest.mark.parametrize("columns", [0, 1, 15, 16, 17, 63, 130])
def test_rounding_of_rows(tier, rows, columns):
    rng = np.random.default_rng(rows)
    x = guarded(np.full((rows, columns + 3), np.nan, np.float32))[:, 3:]
    x[...] = rng.standard_normal((rows, columns))
    whole = guarded(np.full((rows, columns + 5), 7, np.uint16))
    out = whole[:, 5:]
    start = rng.standard_normal(columns).astype(np.float32)
    sums = guarded(start)
    kernel = Kernel("round_rows", "bf16", tier)
    kernel((rows, columns), x, out, sums, steps=(columns + 3, columns + 5, 1))
    np.testing.assert_array_equal(out, rounded(x))
    assert (whole[:, :5] == 7).all(), "written beside the rows"
    terms = np.abs(start.astype(np.float64)) + np.abs(x.astype(np.float64)).sum(axis=0)
    error = np.abs(sums - (start.astype(np.float64) + x.astype(np.float64).sum(axis=0)))
    assert (error <= (rows + 1) * 2.0**-23 * terms).all()
    out[...] = 0
    kernel((rows, columns), x, out, None, steps=(columns + 3, columns + 5, 1))
    np.testing.assert_array_equal(out, rounded(x))


def test_rounding_of_rows_of_special_values(tier):
    x = every_upper_half()
    x = x[~(np.abs(x) < 2.0**-126)]  # it may make 0 of denormals
    columns = x.size // 7
    x = x[: 7 * columns].reshape(7, columns)
    out = np.zeros(x.shape, np.uint16)
    Kernel("round_rows", "bf16", tier)(x.shape, x, out, None, steps=(columns, columns, 1))
    nan = np.isnan(x)
    np.testing.assert_array_equal(out[~nan], rounded(x[~nan]))
    assert np.isnan(widened(out[nan])).all()


@pytest.mark.parametrize("n", [0, 767, 768, 5000, 76800])
def test_the_limit_loop(tier, n):
    x, y = rounded([0.5, 3.0]), rounded([0.25, 2.0])
    steps = n // 768
    expected = sum(16 * (start + steps * (0.125 + 6)) for start in range(24)) if steps else 0
    assert Kernel("limit_bf16", "bf16", tier)((n,), x, y)[0] == pytest.approx(expected, rel=64 * 2.0**-23)


# --- products ------------------------------------------------------------------------------------


@pytest.mark.parametrize("accumulate", [False, True])
@pytest.mark.parametrize("size", SIZES_OF_PRODUCTS)
def test_sizes(tier, size, accumulate, observed):
    a, b, start = operands(*size)
    for a_kind, b_kind, c_kind, packed in itertools.product(KINDS, KINDS, KINDS, (False, True)):
        c = guarded(as_kind(start if accumulate else np.full_like(start, np.nan), c_kind))
        left, right = guarded(as_kind(a, a_kind)), guarded(as_kind(b, b_kind))
        check(left, right, c, tier, observed, accumulate=accumulate, packed=packed)


@pytest.mark.parametrize("b_layout", LAYOUTS)
@pytest.mark.parametrize("a_layout", LAYOUTS)
def test_strides(tier, a_layout, b_layout):
    for size in ((1, 1, 9), (1, 30, 27), (30, 1, 27), (3, 5, 17), (19, 53, 33)):
        a, b, start = operands(*size)
        for kind, c_kind, c_layout in itertools.product(KINDS, KINDS, LAYOUTS):
            left, right = laid_out(as_kind(a, kind), a_layout)[1], laid_out(as_kind(b, kind), b_layout)[1]
            for accumulate in (False, True):
                before = as_kind(start if accumulate else np.full_like(start, np.nan), c_kind)
                whole, c = laid_out_as(before, c_layout)
                check(left, right, c, tier, accumulate=accumulate)
                poison = whole.dtype.type(0x7777 if c_kind == "bfloat16" else POISON)
                c[...] = poison
                assert (whole == poison).all(), "written beside C"


def laid_out_as(values, layout):
    """laid_out, whose poison uint16 cannot hold."""
    if values.dtype == np.float32:
        return laid_out(values, layout)
    whole, view = laid_out(values.astype(np.float32), layout)
    memory = guarded(np.full(whole.shape, 0x7777, np.uint16))
    offset = (view.ctypes.data - whole.ctypes.data) // 4 if view.size else 0
    places = np.lib.stride_tricks.as_strided(
        memory.reshape(-1)[offset:] if view.size else memory, view.shape, [s // 2 for s in view.strides]
    )
    places[...] = values
    return memory, places


def test_operands_of_stride_zero(tier):
    for m, n, k in ((1, 1, 5), (2, 40, 30), (40, 2, 30), (20, 60, 40)):
        a, b, _ = operands(m, n, k)
        for kind in KINDS:
            x, y = as_kind(a, kind), as_kind(b, kind)
            for left in (x, np.broadcast_to(x[:1], x.shape), np.broadcast_to(x[:, :1], x.shape)):
                for right in (y, np.broadcast_to(y[:1], y.shape), np.broadcast_to(y[:, :1], y.shape)):
                    check(left, right, np.full((m, n), np.nan, np.float32), tier)


def test_default_blocks(tier, observed):
    for size in ((65, 97, 600), (300, 310, 290), (250, 500, 1100)) if tier != "reference" else ((65, 97, 600),):
        a, b, c = operands(*size)
        for x in (a, np.asfortranarray(a), rounded(a), np.asfortranarray(rounded(a))):
            check(x, b, c, tier, observed, blocks=None)
            check(x, np.asfortranarray(rounded(b)), c, tier, observed, blocks=None, packed=True)
        check(a, b, rounded(c), tier, blocks=None, accumulate=True)


@settings(deadline=None, max_examples=60)
@given(
    size=st.tuples(*[st.integers(0, 70)] * 3),
    blocks=st.tuples(*[st.integers(1, 80)] * 3),
    layouts=st.tuples(*[st.sampled_from(LAYOUTS)] * 2),
    kinds=st.tuples(*[st.sampled_from(KINDS)] * 3),
    accumulate=st.booleans(),
    packed=st.booleans(),
)
def test_any_blocks_and_layouts(size, blocks, layouts, kinds, accumulate, packed):
    a, b, start = operands(*size)
    a, b = laid_out(as_kind(a, kinds[0]), layouts[0])[1], laid_out(as_kind(b, kinds[1]), layouts[1])[1]
    for tier in tiers_of("bf16"):
        c = as_kind(start if accumulate else np.full_like(start, np.nan), kinds[2])
        check(a, b, c, tier, blocks=blocks, accumulate=accumulate, packed=packed)


def test_float32_operands_are_rounded_as_round_does(tier):
    a, b, c = operands(33, 50, 70)
    c_rounded = np.empty_like(c)
    Product(a, b, c, tier)()
    Product(rounded(a), rounded(b), c_rounded, tier)()
    np.testing.assert_array_equal(c, c_rounded)


def test_the_workspace_is_large_enough_and_not_overrun(tier):
    for size in ((1, 1, 1), (8, 48, 24), (70, 49, 131), (49, 70, 130)):
        a, b, c = operands(*size)
        for left, right in ((a, b), (np.asfortranarray(a), np.asfortranarray(b)), (rounded(a), rounded(b))):
            for target in (c, np.asfortranarray(c), rounded(c), np.zeros((2 * size[0], 2 * size[1]), "f4")[::2, ::2]):
                probe = Product(left, right, target, tier, blocks=BLOCKS)
                workspace = guarded(np.zeros(-(-probe.workspace_bytes // 64) * 64, np.uint8))
                Product(left, right, target, tier, blocks=BLOCKS, workspace=workspace)()
                got = widened(target) if target.dtype == np.uint16 else target
                np.testing.assert_allclose(got, value(a) @ value(b), rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize("special", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", KINDS)
def test_special_values_propagate(tier, special, kind):
    for m, n, k in ((1, 30, 20), (3, 3, 21), (20, 61, 30)):
        a, b, c = operands(m, n, k)
        a[m // 2, k // 3] = special
        b[k - 1, n - 1] = special
        b[k // 3, 0] = 0  # infinity times zero
        with np.errstate(all="ignore"):
            expected = sum(np.outer(value(a)[:, p], value(b)[p]) for p in range(k))
        for right in (as_kind(b, kind), np.asfortranarray(as_kind(b, kind))):
            Product(as_kind(a, kind), right, c, tier, blocks=BLOCKS)()
            np.testing.assert_array_equal(np.isnan(c), np.isnan(expected))
            np.testing.assert_array_equal(np.where(np.isinf(c), c, 0), np.where(np.isinf(expected), expected, 0))


def test_denormals_count_or_are_0(tier):
    """Within the part of the bound that is absolute, and no more is lost next to normal numbers."""
    a = np.array([[1e-39, 2.0, 3e-40]], np.float32)
    b = np.array([[1e20], [2.0**-127], [1.0]], np.float32)
    c = np.empty((1, 1), np.float32)
    Product(a, b, c, tier)()
    assert float(c[0, 0]) in (0.0, pytest.approx(1e-19, rel=0.01)), "one of the operands is denormal, or not"
    big = np.array([[1.0, 1e-39]], np.float32)
    Product(big, np.ones((2, 1), np.float32), c, tier)()
    assert c[0, 0] == 1


def test_parts_compute_what_the_whole_computes(tier):
    """What threads rely on: any rows or columns of C are those of C, bit by bit."""
    for m, n, k in ((130, 101, 70), (9, 200, 71), (200, 9, 70)):
        for kind, packed in itertools.product(KINDS, (False, True)):
            a, b, whole = operands(m, n, k)
            a, b = as_kind(a, kind), as_kind(b, kind)
            parts = np.empty_like(whole)
            for left in (a, np.asfortranarray(a)):
                Product(left, b, whole, tier, blocks=BLOCKS, packed=packed)()
                for at in (8, 33):
                    Product(left[:at], b, parts[:at], tier, blocks=BLOCKS, packed=packed)()
                    Product(left[at:], b, parts[at:], tier, blocks=BLOCKS, packed=packed)()
                    np.testing.assert_array_equal(parts, whole)
                for at in (5, 48):
                    Product(left, b[:, :at], parts[:, :at], tier, blocks=BLOCKS)()
                    Product(left, b[:, at:], parts[:, at:], tier, blocks=BLOCKS)()
                    np.testing.assert_array_equal(parts, whole)


def test_tiers_agree_within_the_bound():
    a, b, _ = operands(40, 60, 300)
    results = {}
    for tier in tiers_of("bf16"):
        results[tier] = np.empty((40, 60), np.float32)
        Product(a, b, results[tier], tier)()
    limit = 2 * BOUND * 302 * 2.0**-23 * (np.abs(value(a)) @ np.abs(value(b)))
    for tier, result in results.items():
        assert (np.abs(result - results["reference"].astype(np.float64)) <= limit).all(), tier


@pytest.mark.parametrize("size", [(1, 1, 1), (1, 50, 10), (3, 17, 5), (9, 49, 300), (70, 64, 601), (4, 300, 0)])
def test_what_follows_sees_every_element_once_when_it_is_complete(tier, size):
    m, n, k = size
    a, b, _ = operands(*size)
    c = guarded(np.full((m, n), np.nan, np.float32))
    expected = value(a) @ value(b)
    limit = BOUND * (k + 2) * 2.0**-23 * (np.abs(value(a)) @ np.abs(value(b))) + (k + 2) * 2.0**-126
    calls, wrong = np.zeros((m, n), int), []

    def finish(_, part_rows, part_columns, row, column, at):
        part = (slice(row, row + part_rows), slice(column, column + part_columns))
        if at != c[row:, column:].ctypes.data:
            wrong.append(("place", row, column))
        if not (np.abs(c[part] - expected[part]) <= limit[part]).all():
            wrong.append(("incomplete", row, column))
        calls[part] += 1
        c[part] *= 2

    call = FINISH(finish)
    then = np.array([ctypes.cast(call, ctypes.c_void_p).value, 0], np.uint64)
    workspace = np.zeros(1 << 21, np.uint8)
    workspace = workspace[-workspace.ctypes.data % 64 :]
    kernel = Kernel("gemm", "bf16", tier)
    kernel((m, n, k), guarded(a), guarded(b), c, workspace, then)
    assert wrong == []
    np.testing.assert_array_equal(calls, 1)
    plain = np.full((m, n), np.nan, np.float32)
    kernel((m, n, k), a, b, plain, workspace, None)
    np.testing.assert_array_equal(plain, c / 2)


@pytest.mark.parametrize(("k", "n"), [(1, 1), (7, 50), (32, 48), (65, 101), (300, 20)])
def test_packing_writes_what_it_says(tier, k, n):
    _, b, _ = operands(1, n, k)
    room = -(-k // 2) * 2 * (-(-n // 48) * 48)
    kernel = Kernel("gemm_pack", "bf16", tier)
    for kind in KINDS:
        packed = guarded(np.zeros(room, np.uint16))
        columns, _ = kernel((k, n), guarded(as_kind(b, kind)), packed, steps=(1, kind == "bfloat16"))
        assert n <= columns <= -(-n // 48) * 48
        assert sorted(packed[packed != 0]) == sorted(rounded(b)[rounded(b) != 0]), "every element once, zeros besides"
    assert kernel((k, n), b, None, steps=(1, 0))[0] == columns
