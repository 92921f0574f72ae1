"""The product kernel on every tier: sizes, strides, accumulation, memory bounds, special values."""

import itertools
import os
import subprocess
import sys

import numpy as np
import pytest
from guard import guarded
from hypothesis import given, settings
from hypothesis import strategies as st
from kernels.conftest import rows
from kernels.wide import DTYPE

import mlopt
from mlopt._kernels.register import Kernel, available_tiers
from mlopt.linalg.gemm import Product

TYPES = rows("gemm")
BLOCKS = (16, 24, 48)  # small, so that small products go beyond one block in each direction
SIZES = [
    (0, 3, 4), (3, 0, 4), (3, 4, 0), (0, 0, 0), (1, 1, 1), (1, 1, 67), (1, 23, 1), (2, 3, 5), (1, 50, 31), (50, 1, 31),
    (3, 17, 40), (4, 4, 129), (5, 129, 2), (8, 24, 16), (8, 48, 24), (9, 25, 25), (7, 47, 23), (13, 101, 53),
    (67, 71, 73),
]  # fmt: skip
SIZES_OF_STRIDES = [(1, 1, 9), (1, 30, 27), (30, 1, 27), (3, 5, 17), (19, 53, 31)]
POISON = -1.2345e9


def laid_out(values, layout):
    """The values in memory of a layout, ending at an unreadable page; and that memory."""
    m, n = values.shape
    if layout == "rows":
        whole = guarded(np.full((m, n), POISON, values.dtype))
        view = whole
    elif layout == "columns":
        whole = guarded(np.full((n, m), POISON, values.dtype))
        view = whole.T
    elif layout == "reversed":
        whole = guarded(np.full((m, n), POISON, values.dtype))
        view = whole[::-1, ::-1]
    elif layout == "reversed columns":
        whole = guarded(np.full((n, m), POISON, values.dtype))
        view = whole.T[::-1, ::-1]
    elif layout == "padded":
        whole = guarded(np.full((m, n + 3), POISON, values.dtype))
        view = whole[:, 3:]
    else:
        assert layout == "spread"
        whole = guarded(np.full((max(0, 2 * m - 1), max(0, 3 * n - 2)), POISON, values.dtype))
        view = whole[::2, ::3]
    view[...] = values
    return whole, view


LAYOUTS = ("rows", "columns", "reversed", "reversed columns", "padded", "spread")


def operands(m, n, k, dtype, seed=0):
    rng = np.random.default_rng(seed)
    return tuple(rng.standard_normal(s).astype(dtype) for s in ((m, k), (k, n), (m, n)))


def check(a, b, c, tier, bound, observed=None, blocks=BLOCKS, accumulate=False, name="gemm"):
    """Computes into c and compares with wider arithmetic, in units of k eps sum |a||b|."""
    wide = np.longdouble if c.dtype == np.float64 else np.float64
    start = np.array(c)
    expected = np.matmul(a.astype(wide), b.astype(wide)) + (start if accumulate else 0)
    size = np.matmul(np.abs(a).astype(wide), np.abs(b).astype(wide)) + (np.abs(start) if accumulate else 0)
    Product(a, b, c, tier, blocks=blocks, accumulate=accumulate)()
    if c.size == 0:
        return
    limit = size * (max(a.shape[1], 1) + accumulate) * float(np.finfo(c.dtype).eps)
    assert (np.abs(c - expected) <= bound * limit).all()
    if observed is not None and limit.all():
        observed(f"{name} {c.dtype}", tier, float((np.abs(c - expected) / limit).max()), bound)


@pytest.mark.parametrize(("name", "type", "bound"), TYPES)
@pytest.mark.parametrize("accumulate", [False, True])
@pytest.mark.parametrize("size", SIZES)
def test_sizes(name, type, bound, tier, size, accumulate, observed):
    a, b, start = (guarded(x) for x in operands(*size, DTYPE[type]))
    c = start if accumulate else guarded(np.full_like(start, np.nan))
    check(a, b, c, tier, bound, observed, accumulate=accumulate)


@pytest.mark.parametrize(("name", "type", "bound"), TYPES)
@pytest.mark.parametrize("b_layout", LAYOUTS)
@pytest.mark.parametrize("a_layout", LAYOUTS)
def test_strides(name, type, bound, tier, a_layout, b_layout):
    for c_layout, size in itertools.product(LAYOUTS, SIZES_OF_STRIDES):
        a, b, start = operands(*size, DTYPE[type])
        (_, a), (_, b) = laid_out(a, a_layout), laid_out(b, b_layout)
        for accumulate in (False, True):
            whole, c = laid_out(start if accumulate else np.full_like(start, np.nan), c_layout)
            check(a, b, c, tier, bound, accumulate=accumulate)
            c[...] = POISON
            assert (whole == DTYPE[type](POISON)).all(), "written beside C"


@pytest.mark.parametrize(("name", "type", "bound"), TYPES)
def test_operands_of_stride_zero(name, type, bound, tier):
    dtype = DTYPE[type]
    for m, n, k in ((1, 1, 5), (2, 40, 30), (40, 2, 30), (20, 60, 40)):
        a, b, _ = operands(m, n, k, dtype)
        for left in (a, np.broadcast_to(a[:1], a.shape), np.broadcast_to(a[:, :1], a.shape)):
            for right in (b, np.broadcast_to(b[:1], b.shape), np.broadcast_to(b[:, :1], b.shape)):
                check(left, right, np.full((m, n), np.nan, dtype), tier, bound)


@pytest.mark.parametrize(("name", "type", "bound"), TYPES)
def test_default_blocks(name, type, bound, tier, observed):
    for size in ((65, 97, 600), (300, 310, 290)) if tier != "reference" else ((65, 97, 600),):
        a, b, c = operands(*size, DTYPE[type])
        check(a, b, c, tier, bound, observed, blocks=None)
        check(a, np.asfortranarray(b), c, tier, bound, observed, blocks=None)
        check(np.asfortranarray(a), b, c, tier, bound, observed, blocks=None)


@pytest.mark.parametrize(("name", "type", "bound"), TYPES)
@settings(deadline=None, max_examples=40)
@given(
    size=st.tuples(*[st.integers(0, 70)] * 3),
    blocks=st.tuples(*[st.integers(1, 80)] * 3),
    layouts=st.tuples(*[st.sampled_from(LAYOUTS)] * 3),
    accumulate=st.booleans(),
)
def test_any_blocks_and_layouts(name, type, bound, size, blocks, layouts, accumulate):
    a, b, start = operands(*size, DTYPE[type])
    (_, a), (_, b) = laid_out(a, layouts[0]), laid_out(b, layouts[1])
    for tier in available_tiers():
        _, c = laid_out(start if accumulate else np.full_like(start, np.nan), layouts[2])
        check(a, b, c, tier, bound, blocks=blocks, accumulate=accumulate)


@pytest.mark.parametrize(("name", "type", "bound"), TYPES)
def test_workspace_is_large_enough_and_not_overrun(name, type, bound, tier):
    for size in ((1, 1, 1), (8, 48, 24), (70, 49, 130), (49, 70, 130)):
        a, b, c = operands(*size, DTYPE[type])
        for left, right in ((a, b), (np.asfortranarray(a), np.asfortranarray(b))):
            probe = Product(left, right, c, tier, blocks=BLOCKS)
            workspace = guarded(np.zeros(-(-probe.workspace_bytes // 64) * 64, np.uint8))
            assert workspace.ctypes.data % 64 == 0
            Product(left, right, c, tier, blocks=BLOCKS, workspace=workspace)()
            np.testing.assert_allclose(c, a @ b, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("name", "type", "bound"), TYPES)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_special_values_propagate(name, type, bound, tier, value):
    for m, n, k in ((1, 30, 20), (3, 3, 20), (20, 61, 30)):
        a, b, c = operands(m, n, k, DTYPE[type])
        a[m // 2, k // 3] = value
        b[k - 1, n - 1] = value
        b[k // 3, 0] = 0  # infinity times zero
        with np.errstate(all="ignore"):
            expected = sum(np.outer(a[:, p], b[p]) for p in range(k))
            for right in (b, np.asfortranarray(b)):
                Product(a, right, c, tier, blocks=BLOCKS)()
                np.testing.assert_array_equal(np.isnan(c), np.isnan(expected))
                np.testing.assert_array_equal(np.where(np.isinf(c), c, 0), np.where(np.isinf(expected), expected, 0))


@pytest.mark.parametrize(("name", "type", "bound"), TYPES)
def test_panels_compute_what_the_whole_computes(name, type, bound, tier):
    """What threads rely on: C in panels of 48 rows or columns and more is C, bit by bit."""
    for m, n, k in ((200, 4, 70), (4, 200, 70), (1, 150, 70), (150, 1, 70), (130, 101, 70)):
        a, b, whole = operands(m, n, k, DTYPE[type])
        for left in (a, np.asfortranarray(a)):
            for right in (b, np.asfortranarray(b)):
                Product(left, right, whole, tier, blocks=BLOCKS)()
                panels = np.empty_like(whole)
                if m > n:
                    Product(left[:48], right, panels[:48], tier, blocks=BLOCKS)()
                    Product(left[48:], right, panels[48:], tier, blocks=BLOCKS)()
                else:
                    Product(left, right[:, :48], panels[:, :48], tier, blocks=BLOCKS)()
                    Product(left, right[:, 48:], panels[:, 48:], tier, blocks=BLOCKS)()
                np.testing.assert_array_equal(panels, whole)


@pytest.mark.parametrize(("name", "type", "bound"), TYPES)
def test_through_the_register(name, type, bound, tier):
    a, b, c = operands(20, 30, 10, DTYPE[type])
    workspace = np.zeros(1 << 20, np.uint8)
    workspace = workspace[-workspace.ctypes.data % 64 :]
    Kernel(name, type, tier)((20, 30, 10), a, b, c, workspace)
    np.testing.assert_allclose(c, a @ b, rtol=1e-4, atol=1e-4)


def test_blocks_follow_the_caches():
    for name, blocks in mlopt.gemm_blocks().items():
        assert blocks.keys() == {"mc", "kc", "nc"}, name
        assert all(value > 0 for value in blocks.values())


def run(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **environment}, capture_output=True, text=True, timeout=120
    )


def test_blocks_from_the_environment():
    code = """
import numpy as np, mlopt
print(mlopt.gemm_blocks())
a, b = np.random.default_rng(0).random((2, 150, 150))
np.testing.assert_allclose(mlopt.matmul(a, b), a @ b)
"""
    done = run(code, MLOPT_GEMM_BLOCKS="40,50,60")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("{'mc': 40, 'kc': 50, 'nc': 60}") == 2


@pytest.mark.parametrize("text", ["1,2", "a,b,c", "0,1,1", "1,2,3,4", "-1,2,3", "1,2,9999999999"])
def test_bad_blocks_in_the_environment(text):
    done = run("import mlopt", MLOPT_GEMM_BLOCKS=text)
    assert done.returncode != 0
    assert f"ImportError: MLOPT_GEMM_BLOCKS={text!r} must be three positive numbers" in done.stderr
