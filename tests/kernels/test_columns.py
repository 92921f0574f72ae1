"""Reductions down the columns of a matrix, on every tier: values, shapes, row steps, memory bounds, NaN, one layout."""

import numpy as np
import pytest
from guard import guarded
from kernels.conftest import rows
from kernels.wide import DTYPE, WIDE, ulp_error

from mlopt._kernels.register import Kernel

TYPES = ["f32", "f64"]
# narrower than a register, registers ± 1, more than a strip; chains and pairs of chains of rows ± 1
SHAPES = (
    (1, 1), (2, 3), (3, 1), (15, 4), (16, 7), (17, 8), (31, 9), (33, 15), (64, 16), (65, 17), (127, 31), (128, 5),
    (128, 33), (129, 64), (200, 65), (257, 2), (300, 100), (40, 511), (33, 512), (18, 513), (5, 1100), (2050, 3),
)  # fmt: skip
EXACT = {"min_columns": np.min, "max_columns": np.max}
POISON = -1.2345e9


def matrix(shape, type, seed=0):
    """Rows that are longer than the matrix is wide; the last row ends at an unreadable page."""
    rng = np.random.default_rng(seed)
    count, columns = shape
    step = columns + int(rng.integers(0, 5))
    flat = guarded((rng.standard_normal((count - 1) * step + columns) * 3 + 1).astype(DTYPE[type]))
    window = np.lib.stride_tricks.as_strided(flat, shape, (step * flat.itemsize, flat.itemsize))
    return flat, step, np.array(window)


def poisoned(n, type):
    """An output that ends at an unreadable page, misaligned, with a word before it that must stay."""
    return guarded(np.full(n + 1, POISON, DTYPE[type]))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("name", "type", "bound"), rows("columns"))
def test_columns(name, type, bound, tier, shape, observed):
    flat, step, x = matrix(shape, type)
    out = poisoned(shape[1], type)
    Kernel(name, type, tier)(shape, flat, out[1:], steps=(step, 1))
    assert out[0] == DTYPE[type](POISON)
    if name in EXACT:
        np.testing.assert_array_equal(out[1:], EXACT[name](x, axis=0))
        return
    wide, eps = x.astype(WIDE[type]), np.finfo(DTYPE[type]).eps
    if name == "logsumexp_columns":
        largest = wide.max(0)
        value = np.log(np.exp(wide - largest).sum(0)) + largest
        unit = np.maximum(1, np.abs(value))
    else:
        terms = wide * wide if name == "squares_columns" else wide
        value, unit = terms.sum(0), np.abs(terms).sum(0)
    growth = shape[0] if tier == "reference" else 1
    observed(f"{name}_{type}", tier, float(np.max(np.abs(out[1:] - value) / (eps * unit))), bound * growth)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("name", "type", "bound"), rows("moments_columns"))
def test_moments_columns(name, type, bound, tier, shape, observed):
    flat, step, x = matrix(shape, type, seed=1)
    mean, squares = poisoned(shape[1], type), poisoned(shape[1], type)
    Kernel(name, type, tier)(shape, flat, mean[1:], squares[1:], steps=(step, 1, 1))
    assert mean[0] == squares[0] == DTYPE[type](POISON)
    wide, eps = x.astype(WIDE[type]), np.finfo(DTYPE[type]).eps
    growth = shape[0] if tier == "reference" else 1
    center = wide.mean(0)
    exact = ((wide - center) ** 2).sum(0)
    observed(
        f"{name}_{type} mean",
        tier,
        float(np.max(np.abs(mean[1:] - center) / (eps * np.abs(wide).mean(0)))),
        bound * growth,
    )
    error = np.abs(squares[1:] - exact) / (eps * np.maximum(exact, eps))
    observed(f"{name}_{type} squares", tier, float(np.max(error)), bound * growth)


@pytest.mark.parametrize("type", TYPES)
def test_moments_do_not_cancel(tier, type):
    if tier == "reference":
        pytest.skip("takes its deviations from a mean that was summed one by one")
    x = (1e4 + np.random.default_rng(1).standard_normal((10_000, 3))).astype(DTYPE[type])
    mean, squares = np.empty((2, 3), DTYPE[type])
    Kernel("moments_columns", type, tier)(x.shape, x, mean, squares, steps=(3, 1, 1))
    wide = x.astype(WIDE[type])
    exact = ((wide - wide.mean(0)) ** 2).sum(0)
    assert np.all(np.abs(squares - exact) <= 32 * np.finfo(x.dtype).eps * exact)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("type", TYPES)
def test_argmax_columns(tier, type, shape):
    flat, step, x = matrix(shape, type, seed=2)
    out = guarded(np.full(shape[1] + 1, 77_777, np.uintp))
    kernel = Kernel("argmax_columns", type, tier)
    kernel(shape, flat, out[1:], steps=(step, 1))
    assert out[0] == 77_777
    np.testing.assert_array_equal(out[1:], x.argmax(0))
    x[...] = np.round(x)  # equals: the first counts
    x[shape[0] // 2 :, ::2] = np.nan
    x[shape[0] // 3 :, ::3] = np.nan
    kernel(shape, x, out[1:], steps=(shape[1], 1))
    np.testing.assert_array_equal(out[1:], x.argmax(0))
    kernel(shape, np.full_like(x, -np.inf), out[1:], steps=(shape[1], 1))
    assert not out[1:].any()


@pytest.mark.parametrize("type", TYPES)
def test_argmax_columns_of_many_rows(tier, type):
    x = np.zeros((140_000, 2), DTYPE[type])
    x[[70_000, 130_000], 0] = 1
    x[[65_535, 65_536], 1] = [1, np.nan]
    out = np.empty(2, np.uintp)
    Kernel("argmax_columns", type, tier)(x.shape, x, out, steps=(2, 1))
    assert out.tolist() == [70_000, 65_536]


@pytest.mark.parametrize("place", [0, 1, 15, 16, 17, 40, 128])
@pytest.mark.parametrize("columns", [1, 20, 300])
@pytest.mark.parametrize("type", TYPES)
def test_nan_is_an_extreme(tier, type, columns, place):
    x = np.ones((129, columns), DTYPE[type])
    x[place, columns // 2] = np.nan
    for name in EXACT:
        out = np.empty(columns, DTYPE[type])
        Kernel(name, type, tier)(x.shape, x, out, steps=(columns, 1))
        np.testing.assert_array_equal(out, x[place])


@pytest.mark.parametrize("type", TYPES)
def test_infinite_columns(tier, type):
    x = np.array([[-np.inf, np.inf, 1, np.nan], [-np.inf, 1, 2, 1]], DTYPE[type])
    out = np.empty(4, DTYPE[type])
    Kernel("logsumexp_columns", type, tier)(x.shape, x, out, steps=(4, 1))
    np.testing.assert_allclose(out, [-np.inf, np.inf, 2 + np.log1p(np.exp(-1)), np.nan], rtol=1e-6)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("name", "type", "bound"), rows("softmax_columns"))
def test_softmax_columns(name, type, bound, tier, shape, observed):
    flat, step, x = matrix(shape, type, seed=3)
    count, columns = shape
    out = poisoned((count - 1) * (columns + 2) + columns, type)
    kernel = Kernel(name, type, tier)
    kernel(shape, flat, out[1:], steps=(step, columns + 2))
    window = np.lib.stride_tricks.as_strided(out[1:], shape, ((columns + 2) * out.itemsize, out.itemsize))
    assert out[0] == DTYPE[type](POISON)
    between = np.lib.stride_tricks.as_strided(
        out[1 + columns :], (count - 1, 2), ((columns + 2) * out.itemsize, out.itemsize)
    )
    assert np.all(between == DTYPE[type](POISON))
    e = np.exp((x - x.max(0)).astype(WIDE[type]))
    growth = count if tier == "reference" else 1
    observed(f"{name}_{type}", tier, ulp_error(window, e / e.sum(0)), bound * growth)
    kernel(shape, flat, flat, steps=(step, step))
    in_place = np.lib.stride_tricks.as_strided(flat, shape, (step * flat.itemsize, flat.itemsize))
    np.testing.assert_array_equal(in_place, window)


@pytest.mark.parametrize("rows_count", [100, 128, 129, 1000, 5000])
@pytest.mark.parametrize("name", ["sum_columns", "squares_columns", "max_columns", "logsumexp_columns"])
@pytest.mark.parametrize("type", TYPES)
def test_a_column_is_the_same_in_any_matrix(tier, type, name, rows_count):
    """Whatever stands beside it, whatever the rows' step and sign."""
    x = np.random.default_rng(5).standard_normal((rows_count, 600)).astype(DTYPE[type])
    whole, some = np.empty(600, x.dtype), np.empty(600, x.dtype)
    kernel = Kernel(name, type, tier)
    kernel(x.shape, x, whole, steps=(600, 1))
    for first, columns in ((0, 1), (3, 2), (7, 30), (599, 1), (90, 510)):
        kernel((rows_count, columns), x[:, first:], some, steps=(600, 1))
        np.testing.assert_array_equal(some[:columns], whole[first : first + columns])
