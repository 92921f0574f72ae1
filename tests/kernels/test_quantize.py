"""float32 to bytes and back on every tier: to the bit, all sizes, misaligned, NaN, ties, limits, memory bounds."""

import numpy as np
import pytest
from guard import guarded
from hypothesis import given, settings
from hypothesis import strategies as st
from kernels.conftest import SIZES, tiers_of

from mlopt._kernels.register import Kernel

TIERS = tiers_of("int8")
LIMITS = {"int8": (-128, 127), "uint8": (0, 255)}
NARROW = {"int8": (-127, 127), "uint8": (1, 255)}
SHAPES = (
    (1, 1), (2, 3), (1, 7), (3, 8), (4, 15), (5, 16), (3, 17), (7, 31), (2, 33), (3, 64), (2, 65), (3, 130), (1, 515),
)  # fmt: skip
HOSTILE = np.array(
    [0, -0.0, np.nan, -np.nan, np.inf, -np.inf, 3.4e38, -3.4e38, 1e-45, -1e-45, 1.1754944e-38, 0.5, -0.5, 1.5, 2.5,
     -1.5, -2.5, 126.5, 127.5, 128.5, -127.5, -128.5, -129.5, 254.5, 255.5, 256.5, 0.49999997, 0.50000006, 8388609.0,
     2147483648.0, -2147483904.0, 4294967296.0, 1e10, -1e10],
    np.float32,
)  # fmt: skip


@pytest.fixture(params=TIERS)
def tier(request):
    return request.param


def expected_bytes(x, scale, zero_point, limits):
    """The definition, in float32 and then in integers that do not overflow."""
    with np.errstate(all="ignore"):
        quotient = np.rint(np.divide(x, scale, dtype=np.float32)).astype(np.float64)
    quotient = np.where(np.isnan(quotient), -np.inf, quotient) + zero_point
    return np.clip(quotient, *limits).astype(np.int64).astype(np.uint8)


def expected_numbers(q, scale, zero_point):
    return (q.astype(np.int32) - zero_point).astype(np.float32) * scale


def numbers(n, seed=0):
    """Around the range, on ties, beyond it, and hostile ones."""
    rng = np.random.default_rng(seed)
    x = (rng.standard_normal(n) * 80).astype(np.float32)
    ties = rng.random(n) < 0.3
    x[ties] = np.round(x[ties]) + np.float32(0.5)
    hostile = rng.random(n) < 0.2
    x[hostile] = rng.choice(HOSTILE, hostile.sum())
    return x


@pytest.mark.parametrize("n", SIZES)
def test_range(tier, n):
    rng = np.random.default_rng(n)
    x = guarded(rng.standard_normal(n).astype(np.float32) * 3)
    for low, high in ((0, 0), (-0.5, 0.25), (2, 2), (-100, 100)):
        ends = np.array([low, high], np.float32)
        Kernel("range", "f32", tier)((n,), x, ends[:1], ends[1:])
        expected = np.float32([low, high]) if n == 0 else [min(x.min(), low), max(x.max(), high)]
        np.testing.assert_array_equal(ends, np.float32(expected))


@pytest.mark.parametrize("shape", [*SHAPES, (16, 70), (17, 129), (40, 300)])
def test_range_columns(tier, shape):
    rows, columns = shape
    rng = np.random.default_rng(columns)
    x = rng.standard_normal(shape).astype(np.float32) * 3
    low, high = guarded(-rng.random(columns, np.float32)), guarded(rng.random(columns, np.float32))
    least, largest = np.minimum(x.min(0), low), np.maximum(x.max(0), high)
    flat, window = rows_of(x, columns + 3)
    kernel = Kernel("range_columns", "f32", tier)
    before = low.copy(), high.copy()
    kernel(shape, flat, low, high, steps=(columns + 3, 1, 1))
    np.testing.assert_array_equal(low, least)
    np.testing.assert_array_equal(high, largest)
    for bad in (np.nan, np.inf, -np.inf):
        low[...], high[...] = before
        row, column = rng.integers(rows), rng.integers(columns)
        window[...] = x
        window[row, column] = bad
        kernel(shape, flat, low, high, steps=(columns + 3, 1, 1))
        assert np.flatnonzero(np.isnan(low)).tolist() == np.flatnonzero(np.isnan(high)).tolist() == [column]
        window[...] = x
        kernel(shape, flat, low, high, steps=(columns + 3, 1, 1))  # NaN stays
        assert np.isnan(low[column])
        assert np.isnan(high[column])
        others = np.arange(columns) != column
        np.testing.assert_array_equal(low[others], least[others])


@pytest.mark.parametrize("n", [1, 16, 17, 64, 65, 200])
def test_range_of_numbers_that_are_not_finite(tier, n):
    for bad in (np.nan, -np.nan, np.inf, -np.inf):
        for place in range(n):
            x = np.ones(n, np.float32)
            x[place] = bad
            ends = np.zeros(2, np.float32)
            Kernel("range", "f32", tier)((n,), x, ends[:1], ends[1:])
            assert np.isnan(ends).all()
    x = np.full(n, np.finfo(np.float32).max)
    x[::2] *= -1
    ends = np.zeros(2, np.float32)
    Kernel("range", "f32", tier)((n,), x, ends[:1], ends[1:])
    assert ends.tolist() == [-np.finfo(np.float32).max, np.finfo(np.float32).max if n > 1 else 0]


def quantize(tier, x, scale, zero_point, limits, out):
    zero, ends = np.array([zero_point], np.int32), np.array(limits, np.int32)
    Kernel("quantize", "f32", tier)((x.size,), x, zero, ends, out, number=float(scale))


@pytest.mark.parametrize("dtype", LIMITS)
@pytest.mark.parametrize("scale", [1.0, 0.37, 1e-3, 1e-45, 1.1754944e-38, 3.4e38, 0.33333334])
def test_values(tier, dtype, scale):
    scale = np.float32(scale)
    with np.errstate(all="ignore"):
        x = np.concatenate([HOSTILE, HOSTILE * scale, numbers(3000), numbers(3000, 1) * scale])
    for limits in (LIMITS[dtype], NARROW[dtype]):
        for zero_point in (LIMITS[dtype][0], limits[0], -3 if dtype == "int8" else 131, limits[1]):
            if not limits[0] <= zero_point <= limits[1]:
                continue
            out = np.empty(x.size, np.uint8)
            quantize(tier, x, scale, zero_point, limits, out)
            np.testing.assert_array_equal(out, expected_bytes(x, scale, zero_point, limits))


@pytest.mark.parametrize("n", SIZES)
def test_sizes_stay_in_bounds(tier, n):
    """Misaligned, a guard page behind every operand, the memory before the output untouched."""
    x = guarded(numbers(n, seed=n))
    out = guarded(np.full(n + 1, 0xA5, np.uint8))
    quantize(tier, x, 1.0, 5, LIMITS["int8"], out[1:])
    assert out[0] == 0xA5
    np.testing.assert_array_equal(out[1:], expected_bytes(x, np.float32(1), 5, LIMITS["int8"]))
    for dtype in ("int8", "uint8"):
        q = guarded(np.random.default_rng(n).integers(*LIMITS[dtype], n, dtype, endpoint=True))
        back = guarded(np.full(n + 1, -1.2345e9, np.float32))
        zero = np.array([7], np.int32)
        Kernel("dequantize", "f32", tier)((n, 0, dtype == "int8"), q, zero, back[1:], number=float(np.float32(0.3)))
        assert back[0] == np.float32(-1.2345e9)
        np.testing.assert_array_equal(back[1:], expected_numbers(q, np.float32(0.3), 7))


@pytest.mark.parametrize("dtype", LIMITS)
@pytest.mark.parametrize("zero_point", ["lowest", 0, "highest"])
@pytest.mark.parametrize("scale", [1.0, 0.1, 1e-45, 1e-38, 3e38])
def test_every_byte_back(tier, dtype, zero_point, scale):
    lowest, highest = LIMITS[dtype]
    zero_point = {"lowest": lowest, "highest": highest}.get(zero_point, zero_point)
    q = np.arange(lowest, highest + 1).astype(dtype)
    out, scale = np.empty(256, np.float32), np.float32(scale)
    zero = np.array([zero_point], np.int32)
    Kernel("dequantize", "f32", tier)((256, 0, dtype == "int8"), q, zero, out, number=float(scale))
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(out, expected_numbers(q, scale, zero_point))


def rows_of(values, step):
    """Rows that are longer than the matrix is wide; the last ends at an unreadable page."""
    rows, columns = values.shape
    flat = np.full((rows - 1) * step + columns, 77, values.dtype)
    flat = guarded(flat)
    window = np.lib.stride_tricks.as_strided(flat, values.shape, (step * flat.itemsize, flat.itemsize))
    window[...] = values
    return flat, window


def channels(columns, dtype, seed=0):
    rng = np.random.default_rng(seed)
    scale = np.exp(rng.standard_normal(columns) * 3).astype(np.float32)
    zero = rng.integers(*LIMITS[dtype], columns, np.int32, endpoint=True)
    zero[:2] = LIMITS[dtype][: zero[:2].size]
    return scale, zero


@pytest.mark.parametrize("dtype", LIMITS)
@pytest.mark.parametrize("shape", SHAPES)
def test_columns(tier, dtype, shape):
    rows, columns = shape
    scale, zero = channels(columns, dtype, rows)
    with np.errstate(over="ignore"):
        x = numbers(rows * columns, columns).reshape(shape) * scale
    flat, _ = rows_of(x, columns + 3)
    out, window = rows_of(np.full(shape, 0xA5, np.uint8), columns + 5)
    Kernel("quantize_columns", "f32", tier)(
        shape, flat, guarded(scale), guarded(zero), np.array(LIMITS[dtype], np.int32), out,
        steps=(columns + 3, 1, 1, 1, columns + 5),
    )  # fmt: skip
    np.testing.assert_array_equal(window, expected_bytes(x, scale, zero, LIMITS[dtype]))
    gaps = np.ones(out.size, bool)
    gaps[(np.arange(rows)[:, None] * (columns + 5) + np.arange(columns)).ravel()] = False
    assert (out[gaps] == 77).all()

    back, numbers_window = rows_of(np.full(shape, np.float32(-9e9)), columns + 2)
    Kernel("dequantize_columns", "f32", tier)(
        (rows, columns, dtype == "int8"), out, guarded(scale), guarded(zero), back,
        steps=(columns + 5, 1, 1, columns + 2),
    )  # fmt: skip
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(numbers_window, expected_numbers(window.view(dtype), scale, zero))


def test_columns_of_hostile_numbers(tier):
    """Every hostile number with every kind of scale and zero point, narrow limits too."""
    scale = np.array([1e-45, 1e-38, 1e-3, 1.0, 0.33333334, 7.0, 3.4e38], np.float32)
    for dtype in ("int8", "uint8"):
        for limits in (LIMITS[dtype], NARROW[dtype]):
            for zero_point in limits:
                zero = np.full(scale.size, zero_point, np.int32)
                x = np.repeat(HOSTILE[:, None], scale.size, axis=1)
                out = np.empty(x.shape, np.uint8)
                Kernel("quantize_columns", "f32", tier)(
                    x.shape, x, scale, zero, np.array(limits, np.int32), out,
                    steps=(scale.size, 1, 1, 1, scale.size),
                )  # fmt: skip
                np.testing.assert_array_equal(out, expected_bytes(x, scale, zero_point, limits))


@pytest.mark.parametrize("offset", [0, 1, 5, 16])
def test_past_the_caches(tier, offset):
    """More than the last-level cache holds: the loop that stores past it, at any alignment."""
    if tier == "reference":
        pytest.skip("has one loop")
    n = (48 << 20) // 4 + 19
    q = np.resize(np.arange(251, dtype=np.uint8), n)
    out = np.zeros(n + offset, np.float32)
    Kernel("dequantize", "f32", tier)((n, 0, 0), q, np.array([9], np.int32), out[offset:], number=0.25)
    assert not out[:offset].any()
    period = expected_numbers(np.arange(251, dtype=np.uint8), np.float32(0.25), 9)
    whole = n // 251 * 251
    assert (out[offset : offset + whole].reshape(-1, 251) == period).all()
    np.testing.assert_array_equal(out[offset + whole :], period[: n - whole])


def test_no_rows_and_no_columns(tier):
    out = np.full(4, 0xA5, np.uint8)
    x, scale, zero = np.ones(4, np.float32), np.ones(4, np.float32), np.zeros(4, np.int32)
    limits = np.array([-128, 127], np.int32)
    for shape in ((0, 4), (4, 0)):
        Kernel("quantize_columns", "f32", tier)(shape, x, scale, zero, limits, out, steps=(4, 1, 1, 1, 4))
    assert (out == 0xA5).all()


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.floats(width=32), min_size=1, max_size=70),
    st.floats(min_value=2.0**-149, max_value=2.0**127, width=32),
    st.integers(-128, 127),
)
def test_tiers_agree(values, scale, zero_point):
    x, scale = np.array(values, np.float32), np.float32(scale)
    expected = expected_bytes(x, scale, zero_point, LIMITS["int8"])
    for tier in TIERS:
        out = np.empty(x.size, np.uint8)
        quantize(tier, x, scale, zero_point, LIMITS["int8"], out)
        np.testing.assert_array_equal(out, expected, err_msg=tier)
