"""empty_aligned and its family."""

import gc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mlopt
from mlopt.memory import pool

MAKERS = {"empty": mlopt.empty_aligned, "zeros": mlopt.zeros_aligned, "ones": mlopt.ones_aligned}
NUMBERS = ["f4", "f8", "f2", "i1", "i8", "u2", "?", "c8", "c16", "g", ">f8"]
TYPES = [*NUMBERS, "S7", "U3", "M8[ns]", "V24", "f4,i1", "(2,3)f4"]
shapes = st.lists(st.integers(0, 9), max_size=4).map(tuple)
aligns = st.sampled_from([16, 32, 64, 128, 512, 4096, 1 << 16])


@pytest.mark.parametrize("maker", MAKERS)
@pytest.mark.parametrize("dtype", TYPES)
def test_type_shape_and_alignment_are_what_was_asked_for(maker, dtype):
    if maker == "ones" and dtype in ("M8[ns]", "V24"):
        pytest.skip("NumPy has no one of this type")
    like = getattr(np, maker)
    for shape in [3, (3,), (2, 5), (), (0,), (4, 0, 3), [2, 2], np.int64(4), (np.int8(2), 3)]:
        got, want = MAKERS[maker](shape, dtype), like(shape, dtype)
        assert got.shape == want.shape
        assert got.dtype == want.dtype
        assert got.strides == want.strides or got.size == 0
        assert got.flags.c_contiguous
        assert got.flags.writeable
        assert got.flags.aligned
        assert mlopt.is_byte_aligned(got)
        if maker != "empty":
            np.testing.assert_array_equal(got, want)


def test_default_type_is_double():
    assert mlopt.empty_aligned(2).dtype == np.float64
    assert mlopt.empty_aligned(2, None).dtype == np.float64


@given(shape=shapes, dtype=st.sampled_from(["u1", "f4", "f8", "c16", "S7"]), align=aligns, pad=st.booleans())
def test_any_shape_align_and_padding(shape, dtype, align, pad):
    x = mlopt.zeros_aligned(shape, dtype, align=align, pad_rows=pad)
    assert x.shape == shape
    assert x.ctypes.data % align == 0
    assert x.flags.writeable
    assert not x.astype(bool).any()
    x[...] = np.ones(shape, dtype)
    np.testing.assert_array_equal(x, np.ones(shape, dtype))
    if not pad or len(shape) < 2:
        assert x.flags.c_contiguous


@given(rows=st.integers(1, 5), columns=st.integers(1, 3000), planes=st.integers(1, 3), dtype=st.sampled_from("bhfdD"))
def test_padded_rows(rows, columns, planes, dtype):
    x = mlopt.empty_aligned((planes, rows, columns), dtype, pad_rows=True)
    plane, stride, item = x.strides
    row_bytes = columns * x.itemsize
    assert item == x.itemsize
    assert plane == rows * stride
    assert stride % 64 == 0
    assert row_bytes <= stride < row_bytes + 128
    assert stride % 4096 != 0
    assert stride < 512 or stride & (stride - 1) != 0
    block = x.base
    assert x.ctypes.data + planes * plane <= block.address + block.nbytes


@pytest.mark.parametrize(
    ("columns", "stride"), [(512, 4160), (64, 576), (32, 256), (8, 64), (1, 64), (511, 4160), (100, 832)]
)
def test_padded_stride_of_doubles(columns, stride):
    assert mlopt.empty_aligned((3, columns), pad_rows=True).strides == (stride, 8)


def test_padding_of_zeros_is_zero():
    for _ in range(2):
        x = mlopt.zeros_aligned((5, 10), "u1", pad_rows=True)
        whole = np.lib.stride_tricks.as_strided(x, (5, 64))
        assert not whole.any()
        whole.fill(1)
        del x, whole


def test_memory_goes_back_when_the_last_view_is_gone():
    gc.collect()
    before = pool.pool_statistics()["blocks_in_use"]
    view = mlopt.ones_aligned((10, 10))[2:, ::3].T
    assert pool.pool_statistics()["blocks_in_use"] == before + 1
    assert view.sum() == 32
    del view
    assert pool.pool_statistics()["blocks_in_use"] == before


def test_failure_leaks_nothing():
    before = pool.pool_statistics()["blocks_in_use"]
    for bad in [{"shape": -1}, {"shape": 3, "align": 3}, {"shape": 3, "dtype": object}, {"shape": 1 << 62}]:
        with pytest.raises((ValueError, TypeError)):
            mlopt.empty_aligned(**bad)
    assert pool.pool_statistics()["blocks_in_use"] == before


@pytest.mark.parametrize("maker", MAKERS.values())
@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"shape": -1}, ValueError, "negative dimension -1"),
        ({"shape": (2, -3)}, ValueError, "negative dimension -3"),
        ({"shape": 2.5}, TypeError, "shape.*not float"),
        ({"shape": "3"}, TypeError, "shape.*not str"),
        ({"shape": (2, 1.5)}, TypeError, "shape.*float is neither"),
        ({"shape": None}, TypeError, "shape.*not NoneType"),
        ({"shape": (1,) * 65}, ValueError, "65 dimensions"),
        ({"shape": 1 << 62}, ValueError, "overflows"),
        ({"shape": (1 << 32, 1 << 32)}, ValueError, "overflows"),
        ({"shape": (1 << 40, 1 << 40, 0)}, ValueError, "overflows"),
        ({"shape": 1 << 70}, ValueError, "too large"),
        ({"shape": 1 << 45}, MemoryError, "no memory"),
        ({"shape": 3, "dtype": object}, TypeError, "dtype object holds objects"),
        ({"shape": 3, "dtype": "f8,O"}, TypeError, "holds objects"),
        ({"shape": 3, "dtype": "S"}, TypeError, "no size"),
        ({"shape": 3, "dtype": "no type"}, TypeError, "no type"),
        ({"shape": 3, "align": 0}, ValueError, "align=0 must be a power of two"),
        ({"shape": 3, "align": -64}, ValueError, "align=-64"),
        ({"shape": 3, "align": 48}, ValueError, "align=48"),
        ({"shape": 3, "align": 1 << 40}, ValueError, "align"),
        ({"shape": 3, "align": 1 << 80}, ValueError, "align"),
        ({"shape": 3, "align": 64.0}, TypeError, "align must be an integer, not float"),
        ({"shape": 3, "align": 4}, ValueError, "align=4 is less than float64 needs, which is 8"),
    ],
)
def test_bad_arguments(maker, arguments, error, message):
    with pytest.raises(error, match=message):
        maker(**arguments)


def test_overflow_by_padding_and_alignment():
    with pytest.raises((ValueError, MemoryError)):
        mlopt.empty_aligned((2, (1 << 63) - 8), "u1", pad_rows=True)
    with pytest.raises(ValueError, match="overflows"):
        mlopt.empty_aligned((1 << 63) - 8, "u1", align=4096)


@given(offset=st.integers(0, 80), align=aligns, step=st.sampled_from([1, 2, -1]))
def test_byte_align(offset, align, step):
    x = mlopt.empty_aligned(200, "f4", align=align)
    x[:] = np.arange(200)
    view = x[offset::step]
    aligned = mlopt.byte_align(view, align)
    assert mlopt.is_byte_aligned(aligned, align)
    assert mlopt.is_byte_aligned(view, align) == (view.ctypes.data % align == 0)
    assert (aligned is view) == mlopt.is_byte_aligned(view, align)
    np.testing.assert_array_equal(aligned, view)


def test_byte_align_of_read_only_and_strided():
    x = np.frombuffer(bytes(range(101)), "u1")[1:]
    for view in (x, x.reshape(10, 10).T, x.reshape(10, 10)[:, 3]):
        np.testing.assert_array_equal(mlopt.byte_align(view), view)


@pytest.mark.parametrize("function", [mlopt.byte_align, mlopt.is_byte_aligned])
def test_bad_arguments_of_byte_align(function):
    with pytest.raises(TypeError, match="array must be an ndarray, not list"):
        function([1.0])
    with pytest.raises(ValueError, match="align=24"):
        function(np.ones(3), 24)
