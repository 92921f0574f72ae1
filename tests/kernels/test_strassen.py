"""The sums of Strassen's product on every tier: the same bits everywhere, any strides, memory bounds."""

import itertools

import numpy as np
import pytest
from guard import guarded
from hypothesis import given, settings
from hypothesis import strategies as st
from kernels.conftest import rows
from kernels.test_gemm import LAYOUTS, POISON, laid_out
from kernels.wide import DTYPE

from mlopt._kernels.register import Kernel, available_tiers
from mlopt.linalg.strassen import matrix_sum, winograd_result

SUMS = rows("matrix_sum")
RESULTS = rows("winograd")
SIZES = [(0, 5), (5, 0), (1, 1), (1, 15), (3, 16), (4, 17), (5, 31), (8, 63), (9, 64), (17, 65), (70, 129)]
FAR = (1030, 1027)  # above the size from which several rows are computed together
FUNCTION = {"matrix_add": np.add, "matrix_subtract": np.subtract}


def values(count, shape, dtype, seed=0):
    return [x.astype(dtype) for x in np.random.default_rng(seed).standard_normal((count, *shape))]


def result_of(c, p):
    u2 = c[0] + c[1]
    u3 = u2 + c[2]
    return [c[0] + p[0], u2 + c[3] + p[1], u3 + p[2], u3 + c[3]]


@pytest.mark.parametrize(("name", "type", "bound"), SUMS)
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("size", [*SIZES, FAR])
def test_sums(name, type, bound, tier, size, stream):
    x, y = (guarded(v) for v in values(2, size, DTYPE[type]))
    expected = FUNCTION[name](x, y)
    z = guarded(np.full(size, POISON, x.dtype))
    matrix_sum(name, tier, x, y, z, stream)
    np.testing.assert_array_equal(z, expected)
    Kernel(name, type, tier)((*size, int(stream)), x, y, z)
    np.testing.assert_array_equal(z, expected)
    for in_place in (x, y):
        left, right = (v.copy() if v is not in_place else v for v in (x, y))
        saved = in_place.copy()
        matrix_sum(name, tier, left, right, in_place)
        np.testing.assert_array_equal(in_place, expected)
        in_place[...] = saved


@pytest.mark.parametrize(("name", "type", "bound"), SUMS)
def test_streamed_rows(name, type, bound, tier):
    """Rows aligned to any tier's vectors, with a rest; nothing beside them is written."""
    dtype = DTYPE[type]
    for m, n in ((5, 70), FAR):
        whole = np.full(m * 1088 + 64, POISON, dtype)
        whole = whole[-whole.ctypes.data % 64 // whole.itemsize :][: m * 1088].reshape(m, 1088)
        x, y = values(2, (m, n), dtype)
        matrix_sum(name, tier, x, y, whole[:, :n], stream=True)
        np.testing.assert_array_equal(whole[:, :n], FUNCTION[name](x, y))
        assert (whole[:, n:] == dtype(POISON)).all()


@pytest.mark.parametrize(("name", "type", "bound"), SUMS)
@pytest.mark.parametrize("size", [(1, 9), (9, 1), (19, 53), (37, 30)])
def test_strides_of_sums(name, type, bound, tier, size):
    x, y = values(2, size, DTYPE[type])
    expected = FUNCTION[name](x, y)
    for layouts in itertools.product(LAYOUTS, repeat=3):
        (_, left), (_, right) = laid_out(x, layouts[0]), laid_out(y, layouts[1])
        whole, z = laid_out(np.full_like(x, np.nan), layouts[2])
        matrix_sum(name, tier, left, right, z, stream=True)
        np.testing.assert_array_equal(z, expected)
        z[...] = POISON
        assert (whole == DTYPE[type](POISON)).all(), "written beside z"


@pytest.mark.parametrize(("name", "type", "bound"), RESULTS)
@pytest.mark.parametrize("size", SIZES)
def test_result(name, type, bound, tier, size):
    operands = [guarded(v) for v in values(7, size, DTYPE[type])]
    expected = result_of(operands[:4], operands[4:])
    Kernel(name, type, tier)(size, *operands)
    for got, wanted in zip(operands[:4], expected, strict=True):
        np.testing.assert_array_equal(got, wanted)


@pytest.mark.parametrize(("name", "type", "bound"), RESULTS)
@settings(deadline=None, max_examples=60)
@given(
    size=st.tuples(st.integers(0, 40), st.integers(0, 70)),
    layouts=st.one_of(
        st.lists(st.sampled_from(LAYOUTS), min_size=7, max_size=7), st.sampled_from(LAYOUTS).map(lambda one: [one] * 7)
    ),
)
def test_strides_of_the_result(name, type, bound, size, layouts):
    given_values = values(7, size, DTYPE[type])
    expected = result_of(given_values[:4], given_values[4:])
    for tier in available_tiers():
        pairs = [laid_out(v, layout) for v, layout in zip(given_values, layouts, strict=True)]
        winograd_result(tier, [view for _, view in pairs[:4]], [view for _, view in pairs[4:]])
        for (whole, view), wanted in zip(pairs, expected, strict=False):
            np.testing.assert_array_equal(view, wanted)
            view[...] = POISON
            assert (whole == DTYPE[type](POISON)).all(), "written beside an output"
        for (_, view), wanted in zip(pairs[4:], given_values[4:], strict=True):
            np.testing.assert_array_equal(view, wanted)


@pytest.mark.parametrize(("name", "type", "bound"), SUMS)
def test_special_values(name, type, bound, tier):
    special = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, np.finfo(DTYPE[type]).max], DTYPE[type])
    x, y = (np.ascontiguousarray(v) for v in np.meshgrid(special, np.tile(special, 5)))
    z = np.empty_like(x)
    with np.errstate(all="ignore"):
        matrix_sum(name, tier, x, y, z)
        np.testing.assert_array_equal(z, FUNCTION[name](x, y))
        np.testing.assert_array_equal(np.signbit(z[~np.isnan(z)]), np.signbit(FUNCTION[name](x, y)[~np.isnan(z)]))
