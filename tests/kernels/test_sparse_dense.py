"""What sparse matrices are made from: counts of dense ones, their elements that are not zero, their transpose."""

import numpy as np
import pytest
from guard import guarded
from kernels.conftest import SIZES, tiers_of
from kernels.sparse_matrices import POISON, assert_gaps, draw, spaced
from kernels.wide import DTYPE

from mlopt._kernels.register import Kernel

SPECIAL = [np.nan, -np.nan, np.inf, -np.inf, 0.0, -0.0, 5e-324, -1e-40, 1.0, 3e38, 1.7e308]


@pytest.fixture(params=tiers_of("sparse"))
def tier(request):
    return request.param


@pytest.fixture(params=["f32", "f64"])
def type(request):
    return request.param


def vectors(type):
    """Of all sizes: mostly zeros, none, only zeros, and special values."""
    with np.errstate(over="ignore", under="ignore"):
        special = np.array(SPECIAL).astype(DTYPE[type])
    for n in SIZES:
        rng = np.random.default_rng(n)
        x = draw(type, n)
        yield x
        yield np.where(rng.random(n) < 0.9, DTYPE[type](0), x)
        yield np.zeros(n, DTYPE[type])
        yield rng.choice(special, n)
        for place in {0, n // 2, n - 1} if n else ():
            one = np.zeros(n, DTYPE[type])
            one[place] = np.finfo(one.dtype).smallest_subnormal
            yield one
            one = np.ones(n, DTYPE[type])
            one[place] = np.nan
            yield one


def test_counts(tier, type):
    for x in vectors(type):
        x = guarded(x)
        assert Kernel("count_nonzero", type, tier)((x.size,), x)[0] == np.count_nonzero(x)
        assert Kernel("count_nonfinite", type, tier)((x.size,), x)[0] == x.size - np.count_nonzero(np.isfinite(x))


def test_limits_of_what_is_finite(tier, type):
    largest = np.finfo(DTYPE[type]).max
    for n in (1, 200):
        x = guarded(np.resize([largest, -largest], n).astype(DTYPE[type]))
        assert Kernel("count_nonfinite", type, tier)((n,), x)[0] == 0
        assert Kernel("count_nonzero", type, tier)((n,), x)[0] == n


def test_store_nonzero(tier, type):
    for x in vectors(type):
        x, expected = guarded(x), np.flatnonzero(x)
        columns = guarded(np.full(expected.size, -1, np.int32))
        values = guarded(np.full(expected.size, POISON, DTYPE[type]))
        assert Kernel("store_nonzero", type, tier)((x.size,), x, columns, values)[0] == expected.size
        np.testing.assert_array_equal(columns, expected)
        np.testing.assert_array_equal(values.view(f"u{x.itemsize}"), x[expected].view(f"u{x.itemsize}"))  # NaN's bits


@pytest.mark.parametrize("gap", [0, 3])
def test_transpose(tier, type, gap):
    sides = (0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 50)
    for rows in sides:
        for columns in sides:
            x = draw(type, rows, columns)
            x_whole, given = spaced(x, columns + gap)
            out_whole, out = spaced(np.full((columns, rows), POISON, DTYPE[type]), rows + 2 * gap)
            steps = (columns + gap, rows + 2 * gap)
            Kernel("transpose", type, tier)((rows, columns), given, out, steps=steps)
            np.testing.assert_array_equal(out, x.T)
            assert_gaps(x_whole, x.shape, steps[0])
            assert_gaps(out_whole, out.shape, steps[1])


def test_transpose_keeps_bits(tier, type):
    number = np.dtype(f"u{DTYPE[type]().itemsize}")
    bits = np.random.default_rng(0).integers(0, 2 ** (8 * number.itemsize - 1), (33, 18)).astype(number)
    bits[3, 4] = {4: 0x7FA7A7A7, 8: 0x7FF4A7A7A7A7A7A7}[number.itemsize]  # a signalling NaN
    x, out = guarded(bits).view(DTYPE[type]), np.empty((18, 33), DTYPE[type])
    Kernel("transpose", type, tier)((33, 18), x, out, steps=(18, 33))
    np.testing.assert_array_equal(out.view(number), bits.T)
