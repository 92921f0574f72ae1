"""Products of two sparse matrices, and of dense matrices where a sparse one has elements, on every tier."""

import numpy as np
import pytest
from guard import guarded
from hypothesis import given, settings
from hypothesis import strategies as st
from kernels.conftest import tiers_of
from kernels.sparse_matrices import (
    INDEX,
    POISON,
    SLACK,
    Rows,
    assert_gaps,
    draw,
    kernel,
    ranges,
    spaced,
    wide_product,
    worst,
)
from kernels.wide import DTYPE, WIDE
from random_sparse import assert_same_bits

from mlopt._kernels.register import kernel_report

TIERS = tiers_of("sparse")
# the bits that stand for a sum not begun (product.h)
UNTOUCHED = {"f32": np.uint32(0x7FA7A7A7), "f64": np.uint64(0x7FF4A7A7A7A7A7A7)}


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


# --- sparse times sparse -------------------------------------------------------------------------


def scratch_for(columns, dtype, fill):
    scratch = guarded(np.full(-(-(columns + SLACK) * (dtype.itemsize + 4) // 64) * 64, fill, np.uint8))
    assert scratch.ctypes.data % 64 == 0
    return scratch


def multiply(a, b, type, bits, tier, first=0, last=None, fill=0xFF, room=None):
    """(values, indices, ends) of the kernel, in arrays of exactly as many elements as there are or may be."""
    last = a.rows if last is None else last
    counts = [int(b.counts[a.indices[a.indptr[i] : a.indptr[i + 1]]].sum()) for i in range(first, last)]
    most = sum(min(count, b.columns) for count in counts) if room is None else room
    values, indices = guarded(np.full(most, POISON, DTYPE[type])), guarded(np.full(most, -1, INDEX[bits]))
    ends = guarded(np.zeros(last - first, np.uint64))
    scratch = scratch_for(b.columns, values.dtype, fill)
    call = kernel("spgemm", type, bits, tier)
    total = int(call((first, last), a.struct, b.struct, scratch, ends, indices, values)[0])
    assert total == (int(ends[-1]) if last > first else 0)
    assert (values[total:] == DTYPE[type](POISON)).all()
    if room is None and total < most:
        return multiply(a, b, type, bits, tier, first, last, fill, room=total)
    return values, indices, ends.astype(int)


def check(product, a, b, type, first, last):
    """The largest error of rows [first, last); their columns are exactly those that terms lie in."""
    values, indices, ends = product
    b_dense = np.zeros((b.rows, b.columns), WIDE[type])
    b_there = np.zeros(b_dense.shape, bool)
    with np.errstate(invalid="ignore"):  # signalling NaN
        b_dense[b.row_of, b.indices], b_there[b.row_of, b.indices] = b.data, True
    error = 0.0
    for i in range(first, last):
        own = slice(ends[i - first - 1] if i > first else 0, ends[i - first])
        assert np.unique(indices[own]).size == indices[own].size, "a column twice"
        part = slice(a.indptr[i], a.indptr[i + 1])
        there = b_there[a.indices[part]]
        np.testing.assert_array_equal(np.sort(indices[own]), np.flatnonzero(there.any(axis=0)))
        with np.errstate(invalid="ignore", over="ignore"):
            factors = a.data[part, None].astype(WIDE[type])
            terms = np.where(there, factors * b_dense[a.indices[part]], 0)
            wide = terms.sum(axis=0), np.abs(terms).sum(axis=0), there.sum(axis=0)
        error = max(error, worst(values[own], [numbers[indices[own]] for numbers in wide]))
    return error


B_LENGTHS = [0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 24, 25, 31, 32, 33, 40, 47, 48, 49, 0, 70, 99, 100]


def test_spgemm(tier, type, bits, observed):
    b = Rows.random(B_LENGTHS, 100, type, bits, seed=1, repeats=False)
    a = Rows.random([0, 1, 2, 0, 3, 7, 8, 9, 40, 200, 1, 0], b.rows, type, bits)  # columns repeated, in no order
    for first, last in ranges(a.rows):
        part = a.only(first, last)
        product = multiply(part, b, type, bits, tier, first, last)
        observed(f"spgemm {type}", tier, check(product, a, b, type, first, last), bound_of("spgemm"))


def test_spgemm_of_every_length(tier, type, bits, observed):
    """One row of B of each length, by one element of A and by two."""
    for length in range(2 * 16 + 2):
        b = Rows.random([length, 0, length], 45, type, bits, seed=length, repeats=False)
        a = Rows.random([1, 1, 2, 3, 3], 3, type, bits, seed=length)
        product = multiply(a, b, type, bits, tier)
        observed(f"spgemm {type}", tier, check(product, a, b, type, 0, a.rows), bound_of("spgemm"))


@pytest.mark.parametrize("shape", [(0, 0, 0), (0, 3, 2), (3, 0, 2), (3, 2, 0), (3, 2, 4)])
def test_spgemm_without_elements(tier, type, bits, shape):
    rows, inner, columns = shape
    empty = np.zeros(0, DTYPE[type]), np.zeros(0, INDEX[bits])
    a = Rows(*empty, np.zeros(rows + 1, INDEX[bits]), inner)
    b = Rows(*empty, np.zeros(inner + 1, INDEX[bits]), columns)
    values, indices, ends = multiply(a, b, type, bits, tier)
    assert values.size == indices.size == 0
    assert not ends.any()


def test_sums_of_zero_are_kept(tier, type, bits):
    b = Rows.random([30, 30], 30, type, bits, repeats=False)
    b.indices[30:], b.data[30:] = b.indices[:30], b.data[:30]
    a = Rows(np.array([1, -1], DTYPE[type]), np.array([0, 1], INDEX[bits]), np.array([0, 2], INDEX[bits]), 2)
    values, indices, _ = multiply(a, b, type, bits, tier)
    np.testing.assert_array_equal(values, np.zeros(30))
    assert not np.signbit(values).any()
    np.testing.assert_array_equal(np.sort(indices), np.arange(30))
    a.data[:] = 0
    assert multiply(a, b, type, bits, tier)[0].size == 30


@pytest.mark.parametrize("fill", [0x00, 0xA7, 0xFF])
def test_scratch_may_hold_anything(tier, type, bits, fill):
    b = Rows.random(B_LENGTHS, 100, type, bits, seed=1, repeats=False)
    a = Rows.random([3, 0, 40], b.rows, type, bits)
    for ours, others in zip(
        multiply(a, b, type, bits, tier, fill=fill), multiply(a, b, type, bits, tier, fill=0x5A), strict=True
    ):
        np.testing.assert_array_equal(ours, others)


@pytest.mark.parametrize("where", ["a", "b", "both"])
def test_the_mark_of_untouched_sums_as_a_value(tier, type, bits, where):
    """A NaN of exactly these bits is a NaN like any other: its sums are NaN, and every column is listed once."""
    b = Rows.random([20, 1, 40, 0, 33], 50, type, bits, seed=1, repeats=False)
    a = Rows.random([2, 5, 0, 30, 1], b.rows, type, bits)
    for matrix, name in ((a, "a"), (b, "b")):
        if where in (name, "both"):
            numbers = matrix.data.view(UNTOUCHED[type].dtype)
            numbers[::3] = UNTOUCHED[type]
            assert np.isnan(matrix.data[::3]).all()
    check(multiply(a, b, type, bits, tier), a, b, type, 0, a.rows)
    # alone, too, and twice over the same columns
    one = np.array([0, 1], INDEX[bits])
    a = Rows(np.ones(1, DTYPE[type]), one[:1], one, 1)
    a.data.view(UNTOUCHED[type].dtype)[:] = UNTOUCHED[type]
    b = Rows.random([37], 50, type, bits, repeats=False)
    values, indices, _ = multiply(a, b, type, bits, tier)
    assert np.isnan(values).all()
    np.testing.assert_array_equal(np.sort(indices), np.sort(b.indices))


def test_spgemm_of_special_values(tier, type, bits):
    rng = np.random.default_rng(0)
    b = Rows.random([20, 1, 40, 0, 33], 50, type, bits, seed=1, repeats=False)
    a = Rows.random([2, 5, 0, 30, 1], b.rows, type, bits)
    special = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0], DTYPE[type])
    for _ in range(20):
        a.data[rng.integers(0, a.data.size, 2)] = rng.choice(special, 2)
        b.data[rng.integers(0, b.data.size, 3)] = rng.choice(special, 3)
        check(multiply(a, b, type, bits, tier), a, b, type, 0, a.rows)


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_all_tiers_agree_on_small_integers(data):
    side = st.integers(0, 40)
    rows, inner, columns = data.draw(side), data.draw(side), data.draw(side)
    type, bits = data.draw(st.sampled_from(["f32", "f64"])), data.draw(st.sampled_from([32, 64]))
    seed = data.draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    a = Rows.random(rng.integers(0, 12 if inner else 1, rows), inner, type, bits, seed)
    b = Rows.random(rng.integers(0, columns + 1, inner), columns, type, bits, seed + 1, repeats=False)
    for matrix in (a, b):
        matrix.data[:] = rng.integers(-3, 4, matrix.data.size)
    for tier in TIERS:
        assert check(multiply(a, b, type, bits, tier), a, b, type, 0, rows) == 0


# --- sampled products ----------------------------------------------------------------------------


@pytest.mark.parametrize("gap", [0, 3])
def test_sampled_of_every_length(tier, type, bits, gap, observed):
    longest = 3 * (64 // DTYPE[type]().itemsize) + 1
    pattern = Rows.random([0, 1, 2, 3, 4, 5, 8, 0, 9, 30], 17, type, bits)
    pattern.data[:] = np.nan  # which nobody reads
    u, v = draw(type, pattern.rows, longest), draw(type, 17, longest, seed=1)
    for length in range(longest + 1):
        u_whole, left = spaced(u[:, :length], length + gap)
        _, right = spaced(v[:, :length], length + 2 * gap)
        terms = u[pattern.row_of, :length].astype(WIDE[type]) * v[pattern.indices, :length]
        wide = terms.sum(axis=1), np.abs(terms).sum(axis=1), length
        first, last = (0, pattern.rows) if length % 2 else (2, 9)
        out = guarded(np.full(pattern.data.size, POISON, DTYPE[type]))
        only = pattern.only(first, last)
        steps = (0, length + gap, length + 2 * gap, 0)
        kernel("sampled", type, bits, tier)((first, last, length), only.struct, left, right, out, steps=steps)
        own = slice(pattern.indptr[first], pattern.indptr[last])
        error = worst(out[own], [wide[0][own], wide[1][own], length])
        observed(f"sampled {type}", tier, error, bound_of("sampled"))
        assert (np.delete(out, own) == DTYPE[type](POISON)).all()
        assert_gaps(u_whole, left.shape, length + gap)


def test_sampled_of_all_ranges(tier, type, bits, observed):
    pattern = Rows.random([0, 6, 1, 0, 0, 25, 3, 70, 2], 31, type, bits)
    u, v = guarded(draw(type, pattern.rows, 203)), guarded(draw(type, 31, 203, seed=1))
    terms = u[pattern.row_of].astype(WIDE[type]) * v[pattern.indices]
    whole = guarded(np.full(pattern.data.size, np.nan, DTYPE[type]))
    call = kernel("sampled", type, bits, tier)
    call((0, pattern.rows, 203), pattern.struct, u, v, whole, steps=(0, 203, 203, 0))
    wide = terms.sum(axis=1), np.abs(terms).sum(axis=1), 203
    observed(f"sampled {type}", tier, worst(whole, wide), bound_of("sampled"))
    for first, last in ranges(pattern.rows):
        out = guarded(np.full(pattern.data.size, POISON, DTYPE[type]))
        call((first, last, 203), pattern.only(first, last).struct, u, v, out, steps=(0, 203, 203, 0))
        own = slice(pattern.indptr[first], pattern.indptr[last])
        assert_same_bits(out[own], whole[own])  # threads rely on it
        assert (np.delete(out, own) == DTYPE[type](POISON)).all()


def test_sampled_of_special_values(tier, type, bits):
    """What is not in the pattern is not computed with; the rest is as by wider arithmetic."""
    pattern = Rows.random([3, 0, 9], 40, type, bits)
    u, v = draw(type, 3, 21), draw(type, 40, 21)
    u[1] = np.nan
    v[np.setdiff1d(np.arange(40), pattern.indices)] = np.inf
    out = np.empty(12, DTYPE[type])
    call = kernel("sampled", type, bits, tier)
    call((0, 3, 21), pattern.struct, u, v, out, steps=(0, 21, 21, 0))
    assert np.isfinite(out).all()
    u[0, 20], v[pattern.indices[-1], 3] = np.inf, np.nan
    call((0, 3, 21), pattern.struct, u, v, out, steps=(0, 21, 21, 0))
    with np.errstate(invalid="ignore"):
        terms = u[pattern.row_of].astype(WIDE[type]) * v[pattern.indices]
        assert worst(out, (terms.sum(axis=1), np.abs(terms).sum(axis=1), 21)) <= 1


def test_wide_products_are_what_they_are_called(type):
    """The comparison itself, against a dense product."""
    a = Rows.random([3, 0, 9, 1], 6, type, 32)
    dense = np.zeros((4, 6))
    np.add.at(dense, (a.row_of, a.indices), a.data.astype(float))
    x = draw(type, 6, 2)
    np.testing.assert_allclose(wide_product(a, x, type)[0].astype(float), dense @ x, rtol=1e-13)
    transposed = a.transposed(0, 4)
    y = draw(type, 4)
    np.testing.assert_allclose(wide_product(transposed, y, type)[0].astype(float), dense.T @ y, rtol=1e-13)
    assert worst(np.ones(1, DTYPE[type]), (np.ones(1) * 2, np.ones(1), 1)) > 1
