"""What sparse matrices are made from: counts of dense ones, and their elements that are not zero."""

import numpy as np
import pytest
from guard import guarded
from kernels.conftest import SIZES, tiers_of
from kernels.sparse_matrices import POISON, draw
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
