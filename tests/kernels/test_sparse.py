"""Products of sparse matrices with vectors and dense matrices on every tier, against wider arithmetic: all lengths of
rows, ranges of rows, guard pages behind every array, poison around what is written, elements of other rows that would
fault."""

import itertools

import numpy as np
import pytest
from guard import guarded
from hypothesis import given, settings
from hypothesis import strategies as st
from kernels.conftest import tiers_of
from kernels.sparse_matrices import (
    INDEX,
    LONG_ROW,
    POISON,
    WINDOW,
    Rows,
    Slices,
    assert_gaps,
    draw,
    kernel,
    ranges,
    spaced,
    wide_product,
    worst,
)
from kernels.wide import DTYPE
from random_sparse import arrays, assert_same_bits, dense

from mlopt._kernels.register import Kernel, kernel_report

TIERS = tiers_of("sparse")
# around the registers, the blocks of four registers and the length from which rows are summed in parts
LENGTHS = [
    0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 0, 0, 62, 63, 64, 65, 66, 67, 71, 72, 79, 80, 81, 95, 96, 97,
    127, 128, 129, 130, 143, 144, 145, 191, 192, 193, 260, 1021, 0,
]  # fmt: skip
COLUMNS = 401
SPECIAL = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.5, 5e-324, 1e-40, 3e38, 1e308]


@pytest.fixture(params=TIERS)
def tier(request):
    return request.param


@pytest.fixture(params=["f32", "f64"])
def type(request):
    return request.param


@pytest.fixture(params=[32, 64])
def bits(request):
    return request.param


def bound_of(name):
    return next(row["bound"] for row in kernel_report() if row["name"] == name and row["family"] == "sparse")


def lengths(seed=0):
    return np.random.default_rng(seed).permutation(LENGTHS)


# --- products with a vector ----------------------------------------------------------------------


def test_spmv(tier, type, bits, observed):
    a = Rows.random(lengths(), COLUMNS, type, bits)
    x = guarded(draw(type, COLUMNS))
    wide = wide_product(a, x, type)
    for first, last in ranges(a.rows):
        y = guarded(np.full(a.rows, POISON, DTYPE[type]))
        kernel("spmv", type, bits, tier)((first, last), a.only(first, last).struct, x, y)
        assert (np.delete(y, slice(first, last)) == DTYPE[type](POISON)).all()
        chosen = slice(first, last)
        error = worst(y[chosen], [part[chosen] for part in wide])
        observed(f"spmv {type}", tier, error, bound_of("spmv"))


def test_spmv_of_every_length(tier, type, bits, observed):
    for length in range(2 * LONG_ROW + 2):
        a = Rows.random([length], 3 * LONG_ROW, type, bits, seed=length)
        x, y = guarded(draw(type, a.columns)), guarded(np.full(1, np.nan, DTYPE[type]))
        kernel("spmv", type, bits, tier)((0, 1), a.struct, x, y)
        observed(f"spmv {type}", tier, worst(y, wide_product(a, x, type)), bound_of("spmv"))


def test_spmv_transposed(tier, type, bits, observed):
    a = Rows.random(lengths(), COLUMNS, type, bits)
    x = guarded(draw(type, a.rows))
    for first, last in ranges(a.rows):
        start = draw(type, COLUMNS, seed=1)
        y = guarded(start)
        kernel("spmv_transposed", type, bits, tier)((first, last), a.only(first, last).struct, x, y)
        part = a.transposed(first, last)
        untouched = part.counts == 0
        np.testing.assert_array_equal(y[untouched], start[untouched])
        error = worst(y, wide_product(part, x, type, start))
        observed(f"spmv_transposed {type}", tier, error, bound_of("spmv_transposed"))


def test_matrices_without_rows_or_columns(tier, type, bits):
    empty = np.zeros(0, DTYPE[type])
    for rows, columns in ((0, 0), (0, 5), (5, 0)):
        a = Rows(empty, empty.astype(INDEX[bits]), np.zeros(rows + 1, INDEX[bits]), columns)
        y, z = guarded(np.full(rows, np.nan, DTYPE[type])), guarded(np.ones(columns, DTYPE[type]))
        kernel("spmv", type, bits, tier)((0, rows), a.struct, guarded(np.ones(columns, DTYPE[type])), y)
        kernel("spmv_transposed", type, bits, tier)((0, rows), a.struct, guarded(np.ones(rows, DTYPE[type])), z)
        assert (y == 0).all()
        assert (z == 1).all()


@pytest.mark.parametrize("name", ["spmv", "spmv_transposed", "spmm", "spmm_transposed"])
def test_special_values(tier, type, bits, name):
    """As by wider arithmetic; a missing element meets neither NaN nor infinity."""
    rng = np.random.default_rng(3)
    with np.errstate(over="ignore"):
        special = np.array(SPECIAL).astype(DTYPE[type])
    for length in (1, 2, 3, 9, LONG_ROW, 3 * LONG_ROW + 5):
        for _ in range(20):
            a = Rows.random([length, 0, length, 1], 4 * LONG_ROW, type, bits, seed=length)
            a.data[rng.integers(0, a.data.size, 2)] = rng.choice(special, 2)
            a.indices[:] = a.indices // 2 * 2  # nothing is stored in half of the columns
            transposed = name.endswith("transposed")
            part = a.transposed(0, a.rows) if transposed else a
            x = draw(type, part.columns, seed=length)
            if not transposed:
                x[1::2] = np.resize([np.nan, np.inf], x[1::2].size)
            x[rng.integers(0, x.size, 2)] = rng.choice(special, 2)
            y = guarded(np.zeros(part.rows, DTYPE[type]))
            dims = (0, a.rows, 1) if name.startswith("spmm") else (0, a.rows)
            kernel(name, type, bits, tier)(dims, a.struct, guarded(x), y)
            expected = wide_product(part, x, type)
            assert not np.signbit(y[(y == 0) & (expected[0] == 0)]).any(), "sums begin with 0, not -0"
            with np.errstate(over="ignore"):
                overflown = np.abs(expected[1]) > np.finfo(y.dtype).max / 2  # where the order of terms decides
            expected = [np.broadcast_to(e, y.shape)[~overflown] for e in expected]
            with np.errstate(invalid="ignore"):
                assert worst(y[~overflown], expected) <= 1


def test_denormals_are_exact(tier, type, bits):
    tiny = np.finfo(DTYPE[type]).smallest_subnormal
    for length in (3, LONG_ROW + 40):
        a = Rows.random([length] * 3, 50, type, bits)
        a.data[:] = np.random.default_rng(0).integers(-9, 10, a.data.size) * tiny
        x = np.random.default_rng(1).integers(-9, 10, 50).astype(DTYPE[type])
        y = np.empty(3, DTYPE[type])
        kernel("spmv", type, bits, tier)((0, 3), a.struct, x, y)
        np.testing.assert_array_equal(y, wide_product(a, x, type)[0].astype(DTYPE[type]))


# --- slices --------------------------------------------------------------------------------------


def windows(rows, seed=0):
    """Lengths of rows of more than one window, long ones among them."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 12, rows)
    counts[rng.integers(0, rows, rows // 20)] = rng.integers(0, 3 * LONG_ROW, rows // 20)
    return counts


@pytest.mark.parametrize("rows", [0, 1, 7, 8, 9, 15, 16, 17, 40, WINDOW, WINDOW + 1, 2 * WINDOW + 91])
def test_slices_are_the_rows_to_the_bit(tier, type, rows, observed):
    a = Rows.random(windows(rows), COLUMNS, type, 32, seed=rows)
    x = guarded(draw(type, COLUMNS))
    sliced = Slices(a)
    by_rows = np.full(rows, np.nan, DTYPE[type])
    kernel("spmv", type, 32, tier)((0, rows), a.struct, x, by_rows)
    wide = wide_product(a, x, type)
    for first, last in ranges(sliced.slices):
        y = guarded(np.full(rows, POISON, DTYPE[type]))
        Kernel("sell", type, tier)((first, last), sliced.struct, x, y)
        width = 64 // y.itemsize
        there = sliced.row[first * width : last * width]
        assert_same_bits(y[there], by_rows[there])
        assert (np.delete(y, there) == DTYPE[type](POISON)).all()
        observed(f"sell {type}", tier, worst(y[there], [part[there] for part in wide]), bound_of("sell"))


def test_slices_of_equal_rows_have_no_rest(tier, type):
    for length in (0, 1, 2, LONG_ROW - 1):
        a = Rows.random([length] * 48, COLUMNS, type, 32)
        x, y, by_rows = guarded(draw(type, COLUMNS)), *np.full((2, 48), np.nan, DTYPE[type])
        sliced = Slices(a)
        assert not sliced.rest.any()
        Kernel("sell", type, tier)((0, sliced.slices), sliced.struct, x, y)
        kernel("spmv", type, 32, tier)((0, 48), a.struct, x, by_rows)
        assert_same_bits(y, by_rows)


def test_slices_of_special_values(tier, type):
    a = Rows.random(windows(200), COLUMNS, type, 32)
    a.data[::37] = np.resize([np.nan, np.inf, -np.inf, -0.0], a.data[::37].size)
    x = draw(type, COLUMNS)
    x[::11], x[np.setdiff1d(np.arange(COLUMNS), a.indices)] = np.inf, np.nan
    y, by_rows = np.full((2, 200), np.nan, DTYPE[type])
    sliced = Slices(a)
    Kernel("sell", type, tier)((0, sliced.slices), sliced.struct, guarded(x), y)
    kernel("spmv", type, 32, tier)((0, 200), a.struct, x, by_rows)
    np.testing.assert_array_equal(y[sliced.row], by_rows[sliced.row])


@pytest.mark.parametrize("rows", [0, 1, 7, 8, 9, 15, 16, 17, 40, WINDOW, WINDOW + 1, 2 * WINDOW + 91])
def test_transposed_slices(tier, type, rows, observed):
    a = Rows.random(np.minimum(windows(rows), LONG_ROW - 1), COLUMNS, type, 32, seed=rows)
    x, start = guarded(draw(type, rows)), draw(type, COLUMNS, seed=1)
    sliced = Slices(a)
    part = a.transposed(0, rows)
    for cut in {0, sliced.slices // 3, sliced.slices}:  # a call goes on where the one before ended
        y = guarded(start)
        for first, last in ((0, cut), (cut, sliced.slices)):
            Kernel("sell_transposed", type, tier)((first, last), sliced.struct, x, y)
        np.testing.assert_array_equal(y[part.counts == 0], start[part.counts == 0])
        error = worst(y, wide_product(part, x, type, start))
        observed(f"sell_transposed {type}", tier, error, bound_of("sell_transposed"))


def test_transposed_slices_of_special_values(tier, type):
    """A column that no row has stays as it is, whatever the rows' numbers are."""
    a = Rows.random(np.minimum(windows(200), 5), 4 * COLUMNS, type, 32)
    x = draw(type, 200)
    x[::7], x[::11] = np.inf, np.nan
    y, by_rows = np.zeros((2, 4 * COLUMNS), DTYPE[type])
    sliced = Slices(a)
    Kernel("sell_transposed", type, tier)((0, sliced.slices), sliced.struct, guarded(x), y)
    kernel("spmv_transposed", type, 32, tier)((0, 200), a.struct, x, by_rows)
    np.testing.assert_array_equal(np.isnan(y), np.isnan(by_rows))
    np.testing.assert_array_equal(np.isinf(y), np.isinf(by_rows))


# --- products with a matrix ----------------------------------------------------------------------


@pytest.mark.parametrize("gap", [0, 3])
def test_spmm_of_every_width(tier, type, bits, gap, observed):
    rows, widest = [5, 0, 1, 23, 70, 2], 2 * 8 * (64 // DTYPE[type]().itemsize) + 1
    a, b = Rows.random(rows, 61, type, bits), draw(type, 61, widest)
    call = kernel("spmm", type, bits, tier)
    wide = wide_product(a, b, type)
    only = a.only(1, 5)
    for n in range(widest + 1):
        _, left = spaced(b[:, :n], n + gap)
        whole, c = spaced(np.full((6, n), POISON, DTYPE[type]), n + gap)
        call((1, 5, n), only.struct, left, c, steps=(0, n + gap, n + gap))
        error = worst(c[1:5], [part[1:5, :n] for part in wide])
        observed(f"spmm {type}", tier, error, bound_of("spmm"))
        assert (c[[0, 5]] == DTYPE[type](POISON)).all()
        assert_gaps(whole, c.shape, n + gap)


@pytest.mark.parametrize("gap", [0, 3])
def test_spmm_transposed_of_every_width(tier, type, bits, gap, observed):
    widest = 2 * 8 * (64 // DTYPE[type]().itemsize) + 1
    a, b = Rows.random([5, 0, 1, 23, 70, 2], 31, type, bits), draw(type, 6, widest)
    call = kernel("spmm_transposed", type, bits, tier)
    part, only, start = a.transposed(1, 5), a.only(1, 5), draw(type, 31, widest, seed=1)
    wide = wide_product(part, b, type, start)
    for n in range(widest + 1):
        _, left = spaced(b[:, :n], n + gap)
        whole, c = spaced(start[:, :n], n + gap)
        call((1, 5, n), only.struct, left, c, steps=(0, n + gap, n + gap))
        error = worst(c, [wide[0][:, :n], wide[1][:, :n], wide[2]])
        observed(f"spmm_transposed {type}", tier, error, bound_of("spmm_transposed"))
        np.testing.assert_array_equal(c[part.counts == 0], start[part.counts == 0, :n])
        assert_gaps(whole, c.shape, n + gap)


@pytest.mark.parametrize("name", ["spmm", "spmm_transposed"])
def test_spmm_of_all_ranges(tier, type, bits, name, observed):
    a = Rows.random(lengths(1), COLUMNS, type, bits)
    for n in (1, 19, 140):
        b = guarded(draw(type, COLUMNS if name == "spmm" else a.rows, n))
        for first, last in ranges(a.rows):
            if name == "spmm":
                c = guarded(np.full((a.rows, n), POISON, DTYPE[type]))
                wide = [part[first:last] for part in wide_product(a, b, type)]
                chosen = slice(first, last)
                assert (np.delete(c, chosen, 0) == DTYPE[type](POISON)).all()
            else:
                start, chosen = draw(type, COLUMNS, n, seed=2), slice(None)
                c, wide = guarded(start), wide_product(a.transposed(first, last), b, type, start)
            kernel(name, type, bits, tier)((first, last, n), a.only(first, last).struct, b, c, steps=(0, n, n))
            observed(f"{name} {type}", tier, worst(c[chosen], wide), bound_of(name))


# --- what threads rely on ------------------------------------------------------------------------


def test_parts_are_the_whole_to_the_bit(tier, type, bits):
    """Rows in parts, and dense columns in parts of whole lines."""
    a, n = Rows.random(lengths(2), COLUMNS, type, bits), 64
    b, left = draw(type, COLUMNS, n), draw(type, a.rows, n)
    x, line = np.ascontiguousarray(b[:, 0]), 64 // DTYPE[type]().itemsize
    cuts = [0, 3, 4, 20, a.rows]
    parts = list(itertools.pairwise(cuts))
    y, y_whole = np.zeros((2, a.rows), DTYPE[type])
    kernel("spmv", type, bits, tier)((0, a.rows), a.struct, x, y_whole)
    c, c_whole = np.zeros((2, a.rows, n), DTYPE[type])
    kernel("spmm", type, bits, tier)((0, a.rows, n), a.struct, b, c_whole, steps=(0, n, n))
    for first, last in parts:
        kernel("spmv", type, bits, tier)((first, last), a.struct, x, y)
        kernel("spmm", type, bits, tier)((first, last, n), a.struct, b, c, steps=(0, n, n))
    assert_same_bits(y, y_whole)
    assert_same_bits(c, c_whole)
    d, d_whole = np.zeros((2, COLUMNS, n), DTYPE[type])
    call = kernel("spmm_transposed", type, bits, tier)
    call((0, a.rows, n), a.struct, left, d_whole, steps=(0, n, n))
    for first, last in ((0, line), (line, 3 * line), (3 * line, n)):
        if last > first:
            call((0, a.rows, last - first), a.struct, left[:, first:last], d[:, first:last], steps=(0, n, n))
    assert_same_bits(d, d_whole)


@settings(deadline=None, max_examples=60)
@given(arrays(max_side=20), st.integers(0, 40), st.integers(0, 2**32 - 1))
def test_small_integers_are_exact_on_all_tiers(given_, n, seed):
    (data, indices, indptr), shape = given_
    type, bits = ("f32" if data.dtype == np.float32 else "f64"), 8 * indices.itemsize
    a, matrix = Rows(data, indices, indptr, shape[1]), dense(data, indices, indptr, shape)
    rng = np.random.default_rng(seed)
    b, left = (guarded(rng.integers(-4, 5, (side, n)).astype(data.dtype)) for side in shape[::-1])
    x = guarded(rng.integers(-4, 5, shape[1]).astype(data.dtype))
    for tier in TIERS:
        y, c = guarded(np.full(shape[0], np.nan, data.dtype)), guarded(np.full((shape[0], n), np.nan, data.dtype))
        d = guarded(np.zeros((shape[1], n), data.dtype))
        kernel("spmv", type, bits, tier)((0, shape[0]), a.struct, x, y)
        kernel("spmm", type, bits, tier)((0, shape[0], n), a.struct, b, c, steps=(0, n, n))
        kernel("spmm_transposed", type, bits, tier)((0, shape[0], n), a.struct, left, d, steps=(0, n, n))
        np.testing.assert_array_equal(y, matrix @ x)
        np.testing.assert_array_equal(c, matrix @ b)
        np.testing.assert_array_equal(d, matrix.T @ left)
