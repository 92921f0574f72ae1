"""Running statistics of vectors on every tier: against wider arithmetic, NaN left out, at memory's edge."""

import numpy as np
import pytest
from guard import guarded
from kernels.conftest import SIZES

from mlopt._kernels.register import Kernel

ROWS = 5
SHORT = [n for n in SIZES if n <= 257]


def fresh(n):
    statistics = np.zeros((ROWS, n))
    statistics[3], statistics[4] = np.inf, -np.inf
    return statistics


def learn(tier, vectors, statistics):
    kernel = Kernel("statistics_update", "f64", tier)
    for x in vectors:
        kernel((len(x),), np.ascontiguousarray(x), statistics, steps=(1, len(x)))
    return statistics


def vectors_of(n, count, missing=0.2, seed=0):
    rng = np.random.default_rng(seed)
    x = 1e3 + rng.standard_normal((count, n)) * 10.0 ** rng.integers(-3, 6, n)
    x[rng.random((count, n)) < missing] = np.nan
    return x


@pytest.mark.parametrize("n", SHORT)
def test_against_wider_arithmetic(tier, n):
    x = vectors_of(n, 60)
    x[:, : n // 5] = np.nan  # never seen
    count, mean, squares, smallest, largest = learn(tier, x, fresh(n))
    seen = ~np.isnan(x)
    np.testing.assert_array_equal(count, seen.sum(axis=0))
    for i in range(n):
        column = x[seen[:, i], i].astype(np.longdouble)
        if not len(column):
            assert (mean[i], squares[i], smallest[i], largest[i]) == (0, 0, np.inf, -np.inf)
            continue
        assert (smallest[i], largest[i]) == (column.min(), column.max())
        deviations, rounding = column - column.mean(), 60 * np.spacing(float(np.abs(column).max()))
        assert abs(mean[i] - column.mean()) <= rounding
        expected = (deviations**2).sum()
        assert abs(squares[i] - expected) <= rounding * np.abs(deviations).sum() + 1e-14 * expected + rounding**2


@pytest.mark.parametrize("n", SHORT)
def test_one_vector_within_the_bound(tier, n, observed):
    """From the same statistics: in units of what rounding a number of this size, and its part of a square, may cost."""
    before = learn("reference", vectors_of(n, 30, missing=0, seed=1), fresh(n))
    x = vectors_of(n, 1, missing=0, seed=2)[0]
    after = learn(tier, [x], before.copy())
    wide = before.astype(np.longdouble)
    mean = wide[1] + (x - wide[1]) / (wide[0] + 1)
    squares = wide[2] + (x - wide[1]) * (x - mean)
    of_mean = np.spacing(np.maximum(np.abs(x), np.abs(before[1])))
    of_squares = np.spacing(after[2]) + of_mean * np.abs(x - before[1])
    for actual, expected, unit in ((after[1], mean, of_mean), (after[2], squares, of_squares)):
        error = np.abs(actual - expected) / unit
        observed("statistics_update f64", tier, float(np.max(error, initial=0)), 4.0)


def test_missing_numbers_and_flags(tier):
    statistics = learn(tier, vectors_of(33, 20, seed=3), fresh(33))
    with np.errstate(all="raise"):
        np.testing.assert_array_equal(learn(tier, [np.full(33, np.nan)], statistics.copy()), statistics)
        np.testing.assert_array_equal(learn(tier, [np.full(33, np.nan)], fresh(33)), fresh(33))


@pytest.mark.parametrize("n", SHORT)
def test_spans(tier, n):
    statistics = learn(tier, vectors_of(n, 40), fresh(n))
    statistics[:, : n // 4] = fresh(n // 4)  # never seen
    statistics[0, n // 4 : n // 2], statistics[2, n // 4 : n // 2] = 7, 0  # never varied
    span, kernel = np.full(n, -1.5), Kernel("standard_spans", "f64", tier)
    kernel((n,), statistics, span, steps=(n, 1))
    assert np.isnan(span[: n // 4]).all()
    assert np.isposinf(span[n // 4 : n // 2]).all()
    expected = np.sqrt(statistics[2, n // 2 :] / statistics[0, n // 2 :])
    np.testing.assert_allclose(span[n // 2 :], expected, rtol=4e-16)


@pytest.mark.parametrize("n", [1, 3, 7, 8, 9, 17])
def test_memory_bounds(tier, n):
    """Nothing is read or written behind the last row, nor between the rows' ends."""
    x, row = vectors_of(n, 1, seed=5)[0], n + 3
    wide = np.full((ROWS, row), -1.5)
    wide[:, :n] = fresh(n)
    flat = guarded(wide.ravel()[: (ROWS - 1) * row + n])
    Kernel("statistics_update", "f64", tier)((n,), guarded(x), flat, steps=(1, row))
    expected = wide.copy()
    expected[:, :n] = learn(tier, [x], fresh(n))
    np.testing.assert_array_equal(flat, expected.ravel()[: len(flat)])
    span = guarded(np.zeros(n))
    Kernel("standard_spans", "f64", tier)((n,), flat, span, steps=(row, 1))
    assert span.shape == (n,)
