"""Quantised arrays: made, indexed, turned back, and refused."""

import copy
import pickle
import threading
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import mlopt
from mlopt import QuantizedArray, dequantize, quantize
from mlopt.quantization import dynamic_quantize

SCHEMES = [("int8", True), ("int8", False), ("uint8", True), ("uint8", False)]
LOWEST = {"int8": -128, "uint8": 0}


def spread(scale, x, axis):
    """A number for each channel, so that it broadcasts."""
    shape = [1] * x.ndim
    shape[axis] = -1
    return np.reshape(scale, shape)


def random(shape, seed=0, offset=0.3):
    return (np.random.default_rng(seed).standard_normal(shape) + offset).astype(np.float32)


# --- quantize ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("dtype", "symmetric"), SCHEMES)
def test_within_half_a_scale(dtype, symmetric):
    for seed, offset in enumerate((0, 5, -5, 1000)):
        x = random((40, 50), seed, offset)
        q = quantize(x, dtype=dtype, symmetric=symmetric)
        assert q.dtype == dtype
        error = np.abs(q.dequantize().astype(np.float64) - x)
        assert error.max() <= float(q.scale) / 2 * (1 + 1e-6) + 1e-7 * np.abs(x).max()
        low, high = min(float(x.min()), 0), max(float(x.max()), 0)
        if symmetric:
            assert q.zero_point == LOWEST[dtype] + 128
            assert q.scale == np.float32(max(-low, high)) / np.float32(127)
            assert q.data.min() >= LOWEST[dtype] + 1
        else:
            assert q.scale == (np.float32(high) - np.float32(low)) / np.float32(255)
            assert q.data.max().astype(int) - q.data.min() >= (254 if low < 0 < high else 0)


def test_defaults():
    x = random(100)
    assert quantize(x).dtype == np.int8
    assert quantize(x).zero_point == 0
    assert quantize(x, dtype="uint8").zero_point not in (0, 128)
    for dtype in (np.uint8, np.dtype("uint8"), "u1", "uint8"):
        assert quantize(x, dtype=dtype).dtype == np.uint8


@pytest.mark.parametrize(("dtype", "symmetric"), SCHEMES)
@pytest.mark.parametrize(
    "shape", [(5,), (4, 6), (700, 3), (1000, 2), (3, 700), (4, 5, 6), (2, 3, 4, 5), (600, 300), (1, 300)]
)
def test_channels_are_as_each_alone(dtype, symmetric, shape):
    x = random(shape) * np.exp(random(shape, 1))
    for axis in range(-len(shape), len(shape)):
        q = quantize(x, dtype=dtype, symmetric=symmetric, axis=axis)
        assert q.axis == axis % len(shape)
        assert q.scale.shape == q.zero_point.shape == (shape[axis],)
        numbers = q.dequantize()
        for channel in range(0, shape[axis], max(1, shape[axis] // 7)):
            part = np.take(x, channel, axis)
            alone = quantize(part, dtype=dtype, symmetric=symmetric)
            assert alone.scale == q.scale[channel]
            assert alone.zero_point == q.zero_point[channel]
            np.testing.assert_array_equal(np.take(q.data, channel, axis), alone.data)
            np.testing.assert_array_equal(np.take(numbers, channel, axis), alone.dequantize())


@pytest.mark.parametrize("axis", [None, 0, 1, -1])
def test_layouts(axis):
    """Any strides give the same; contiguous ones keep their order."""
    x = random((30, 20, 7))
    expected = quantize(x, axis=axis)
    wide = np.zeros((60, 20, 14), np.float32)
    wide[::2, :, ::2] = x
    swapped = x.astype(x.dtype.newbyteorder())
    for other in (np.asfortranarray(x), wide[::2, :, ::2], swapped, x[::-1][::-1], x.astype(np.float64)):
        q = quantize(other, axis=axis)
        np.testing.assert_array_equal(q.data, expected.data)
        np.testing.assert_array_equal(q.scale, expected.scale)
        np.testing.assert_array_equal(q.dequantize(), expected.dequantize())
    fortran = quantize(np.asfortranarray(x), axis=axis)
    assert fortran.data.flags.f_contiguous
    assert fortran.dequantize().flags.f_contiguous


def test_ties_to_even_and_saturation():
    x = np.array([0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 126.5, 127.5, 1e30, -1e30, np.inf, -np.inf, np.nan], np.float32)
    q = quantize(x, scale=1.0)
    assert q.data.tolist() == [0, 2, 2, 0, -2, -2, 126, 127, 127, -128, 127, -128, -128]
    q = quantize(x, scale=1.0, dtype="uint8", zero_point=250)
    assert q.data.tolist() == [250, 252, 252, 250, 248, 248, 255, 255, 255, 0, 255, 0, 0]
    assert quantize(x, scale=1.0, dtype="uint8", symmetric=True).zero_point == 128
    assert quantize(x, scale=1.0, dtype="uint8").zero_point == 0
    assert quantize(x, scale=1.0, symmetric=True).data.min() == -127
    assert quantize([x], scale=[1.0], axis=0, symmetric=True).data.min() == -127


def test_divided_not_multiplied():
    """A quotient that the reciprocal gets wrong."""
    rng = np.random.default_rng(0)
    scale = rng.uniform(0.1, 1, 200_000).astype(np.float32)
    x = ((rng.integers(-120, 120, scale.size) + 0.5).astype(np.float32) * scale).astype(np.float32)
    quotient = np.rint(x / scale)
    assert (quotient != np.rint(x * (1 / scale))).any(), "the data does not tell them apart"
    q = quantize(x[None], scale=scale, axis=1)
    np.testing.assert_array_equal(q.data[0], quotient)


@pytest.mark.parametrize("axis", [None, 0, 1])
@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0)])
def test_empty(shape, axis):
    for dtype in ("int8", "uint8"):
        q = quantize(np.empty(shape, np.float32), dtype=dtype, axis=axis)
        assert q.shape == q.dequantize().shape == shape
        assert (np.asarray(q.scale) == 1).all()
    assert quantize([]).scale == 1
    assert dynamic_quantize([]).scale == 1


def test_zeros_have_scale_one():
    for dtype, symmetric in SCHEMES:
        q = quantize(np.zeros((2, 3)), dtype=dtype, symmetric=symmetric)
        assert q.scale == 1
        assert not q.dequantize().any()
        q = quantize([[0, 0], [0, 2.54]], dtype=dtype, symmetric=symmetric, axis=0)
        assert q.scale[0] == 1 != q.scale[1]


@pytest.mark.parametrize(("dtype", "symmetric"), SCHEMES)
def test_extreme_ranges(dtype, symmetric):
    largest = 0.99 * float(np.finfo(np.float32).max)  # the last byte may stand for half a scale more
    for x in ([largest, -largest], [largest, 0], [1e-45, 0], [180 * 2.0**-149, 0], [1e-39, -1e-40], [2.0**-126, 1e-40]):
        q = quantize(np.array(x, np.float32), dtype=dtype, symmetric=symmetric)
        error = np.abs(q.dequantize().astype(np.float64) - np.array(x, np.float32))
        assert error.max() <= float(q.scale) / 2 * (1 + 1e-5)


def test_types_of_input():
    for x in ([1, 2, -3], np.array([1, 2, -3], np.int16), np.array([1, 2, -3], np.float16), (1.0, 2.0, -3.0)):
        np.testing.assert_array_equal(quantize(x).data, [42, 85, -127])
    assert quantize(True).dequantize() == 1
    assert quantize(np.float32(2.0)).shape == ()
    assert quantize([[1.0]], scale=np.float64(0.5)).scale.dtype == np.float32
    assert quantize([1.0], scale=1).data[0] == 1
    assert quantize(quantize([1.0, -2.0])).scale == quantize([1.0, -2.0]).scale


@pytest.mark.parametrize("axis", [None, 1])
def test_out(axis):
    x = random((200, 300))
    expected = quantize(x, axis=axis)
    outs = [
        np.empty((200, 300), np.int8), np.empty((200, 300), np.int8, "F"), np.empty((400, 600), np.int8)[::2, ::2],
    ]  # fmt: skip
    for out in outs:
        q = quantize(x, axis=axis, out=out)
        assert np.shares_memory(q.data, out)
        np.testing.assert_array_equal(out, expected.data)
    numbers = expected.dequantize()
    for out in (np.empty((200, 300), np.float32), np.empty((200, 300), np.float32, "F"), np.empty((300, 400, 2), "f")):
        target = out if out.ndim == 2 else out[:200, :300, 0]
        assert expected.dequantize(target) is target
        np.testing.assert_array_equal(target, numbers)
        assert dequantize(expected, out=target) is target


def test_out_over_the_input():
    x = random(100)
    expected = quantize(x)
    memory = x.copy()
    out = memory.view(np.int8)[3:103]
    np.testing.assert_array_equal(quantize(memory, out=out).data, expected.data)
    memory = np.zeros(100, np.float32)
    q = QuantizedArray(memory.view(np.int8)[200:300], expected.scale)
    q.data[...] = expected.data
    np.testing.assert_array_equal(q.dequantize(memory), expected.dequantize())


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"dtype": "int16"}, TypeError, "dtype is 'int16'; expected int8 or uint8"),
        ({"dtype": "nonsense"}, TypeError, "dtype is 'nonsense'"),
        ({"axis": 2}, ValueError, "axis is 2; an array of 2 dimensions"),
        ({"axis": -3}, ValueError, "axis is -3"),
        ({"axis": 0.0}, TypeError, "axis must be an integer or None, not float"),
        ({"scale": 0}, ValueError, "scale is 0; expected a positive, finite float32"),
        ({"scale": -1.0}, ValueError, "scale is -1.0"),
        ({"scale": np.nan}, ValueError, "scale is nan"),
        ({"scale": np.inf}, ValueError, "scale is inf"),
        ({"scale": 1e-60}, ValueError, "scale is 1e-60"),
        ({"scale": 1e60}, ValueError, "scale is 1e"),
        ({"scale": "1"}, TypeError, "scale has elements of type"),
        ({"scale": True}, TypeError, "scale has elements of type bool"),
        ({"scale": [1.0, 2.0]}, ValueError, r"scale has shape \(2,\), and axis is None"),
        ({"scale": 1.0, "axis": 0}, ValueError, r"scale has shape \(\); expected \(2,\)"),
        ({"scale": [1.0] * 3, "axis": 0}, ValueError, r"scale has shape \(3,\); expected \(2,\), a number for each"),
        ({"scale": [1.0, -2.0], "axis": 0}, ValueError, "scale is -2.0"),
        ({"scale": 1.0, "zero_point": 1, "symmetric": True}, ValueError, "and symmetric is True; expected 0"),
        ({"zero_point": 3}, ValueError, "zero_point is given, and scale is not"),
        (
            {"scale": 1.0, "zero_point": 128},
            ValueError,
            "zero_point is 128; expected a number of int8, from -128",
        ),
        (
            {"scale": 1.0, "zero_point": -1, "dtype": "uint8"},
            ValueError,
            "zero_point is -1; expected a number",
        ),
        ({"scale": 1.0, "zero_point": 2**40}, ValueError, "zero_point is"),
        ({"scale": 1.0, "zero_point": 0.0}, TypeError, "zero_point has elements of type float64; expected integers"),
        ({"scale": [1.0, 2.0], "axis": 0, "zero_point": [1, 2, 3]}, ValueError, r"zero_point has shape \(3,\)"),
        ({"calibration": "best"}, ValueError, "calibration is 'best'; expected one of 'minmax', 'percentile'"),
        ({"calibration": "entropy", "axis": 0}, ValueError, "expected 'minmax' or 'mse' with an axis"),
        ({"out": np.empty((2, 3), np.uint8)}, TypeError, "out is an array of uint8; expected int8"),
        ({"out": np.empty((3, 2), np.int8)}, ValueError, r"out has shape \(3, 2\); expected \(2, 3\)"),
        ({"out": [1]}, TypeError, "out must be an ndarray, not list"),
    ],
)
def test_refused(arguments, error, words):
    with pytest.raises(error, match=words):
        quantize(np.ones((2, 3), np.float32), **arguments)


def test_refused_input():
    out = np.full(3, 77, np.int8)
    for bad in (np.nan, np.inf, -np.inf, 1e300):
        for axis in (None, 0):
            with pytest.raises(ValueError, match="x has a number that is not finite"):
                quantize([1.0, bad, 2.0], axis=axis, out=out)
        with pytest.raises(ValueError, match="x has a number that is not finite"):
            dynamic_quantize(np.array([1.0, bad, 2.0]))
        for calibration in ("percentile", "mse", "entropy"):
            with pytest.raises(ValueError, match="x has a number that is not finite"):
                quantize([1.0, bad, 2.0], calibration=calibration, out=out)
    assert (out == 77).all()
    for bad in (np.ones(3, complex), np.array(["a"]), np.array([None])):
        with pytest.raises(TypeError, match="expected real numbers"):
            quantize(bad)
    with pytest.raises(TypeError, match="masked"):
        quantize(np.ma.array([1.0, 2.0]))
    frozen = np.zeros(3, np.int8)
    frozen.flags.writeable = False
    with pytest.raises(ValueError, match="out is read-only"):
        quantize([1.0, 2.0, 3.0], out=frozen)
    with pytest.raises(ValueError, match="the difference is beyond float32"):
        dynamic_quantize(np.array([3e38, -3e38], np.float32))
    with pytest.raises(TypeError, match="q must be a QuantizedArray, not ndarray"):
        dequantize(np.zeros(3, np.int8))
    q = quantize([1.0, 2.0, 3.0])
    with pytest.raises(TypeError, match="out is an array of float64; expected float32"):
        q.dequantize(np.empty(3))
    with pytest.raises(ValueError, match=r"out has shape \(4,\); expected \(3,\)"):
        q.dequantize(np.empty(4, np.float32))


def finite_arrays():
    shapes = hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=9)
    return hnp.arrays(np.float32, shapes, elements=st.floats(-(2.0**120), 2.0**120, width=32))


@settings(max_examples=200, deadline=None)
@given(finite_arrays(), st.sampled_from(SCHEMES), st.data())
def test_round_trip(x, scheme, data):
    dtype, symmetric = scheme
    axis = data.draw(st.one_of(st.none(), st.integers(-x.ndim, x.ndim - 1)))
    q = quantize(x, dtype=dtype, symmetric=symmetric, axis=axis)
    scale = q.scale if axis is None else spread(q.scale, x, axis)
    numbers = q.dequantize()
    wide = np.asarray(scale, np.float64)
    # half a scale, and the roundings of quotient and product to float32: at most 255 scales large
    assert (np.abs(numbers.astype(np.float64) - x) <= wide * (0.5 + 255 * 2.0**-22)).all()
    assert (numbers[x == 0] == 0).all()
    again = quantize(numbers, dtype=dtype, axis=axis, scale=q.scale, zero_point=q.zero_point)
    np.testing.assert_array_equal(again.data, q.data)


@pytest.mark.parametrize("tier", mlopt.available_tiers())
def test_every_tier_is_the_same(tier):
    x = random((50, 70)) * 10
    for axis in (None, 0, 1):
        expected = quantize(x, axis=axis, dtype="uint8")
        with mlopt.use_isa(tier):
            q = quantize(x, axis=axis, dtype="uint8")
            np.testing.assert_array_equal(q.data, expected.data)
            np.testing.assert_array_equal(q.scale, expected.scale)
            np.testing.assert_array_equal(q.dequantize(), expected.dequantize())


def test_threads():
    x = random(200_000)
    expected = quantize(x)
    results = [None] * 4

    def work(i):
        for _ in range(20):
            q = quantize(x)
            results[i] = np.array_equal(q.data, expected.data) and np.array_equal(q.dequantize(), expected.dequantize())
            if not results[i]:
                return

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 4


# --- QuantizedArray ------------------------------------------------------------------------------


@pytest.fixture(params=[None, 0, 1, 2])
def cube(request):
    return quantize(random((3, 4, 5)), dtype="uint8", axis=request.param)


def test_properties(cube):
    assert cube.shape == (3, 4, 5)
    assert cube.ndim == 3
    assert cube.size == 60
    assert len(cube) == 3
    assert cube.dtype == np.uint8
    channels = 1 if cube.axis is None else cube.shape[cube.axis]
    assert cube.nbytes == 60 + 5 * channels
    for name in ("data", "scale", "zero_point", "axis"):
        with pytest.raises(AttributeError):
            setattr(cube, name, getattr(cube, name))
    if cube.axis is not None:
        with pytest.raises(ValueError, match="read-only"):
            cube.scale[0] = 0
    assert cube != quantize(random((3, 4, 5)), dtype="uint8")
    assert hash(cube) == hash(cube)


KEYS = [
    0, -1, slice(None), slice(1, 3), slice(None, None, -1), (slice(None), 1), (..., 2), (0, ..., slice(1, 4)), None,
    ..., (None, 1), (1, None, slice(None), 2), (slice(None), None, slice(1, None, 2)), (0, 1, 2), (), (..., None),
    (slice(None), slice(None), slice(None, None, -2)), (np.int64(1),), (slice(3, 3),), (None, ..., None, 1),
    (slice(None), slice(2, 0, -1), 0),
]  # fmt: skip


@pytest.mark.parametrize("key", KEYS, ids=str)
def test_indexing(cube, key):
    part = cube[key]
    expected = cube.dequantize()[key]
    assert part.shape == np.shape(expected)
    assert np.shares_memory(part.data, cube.data) or part.size == 0
    np.testing.assert_array_equal(part.dequantize(), expected)
    np.testing.assert_array_equal(part.T.dequantize(), np.transpose(expected))
    QuantizedArray(part.data, part.scale, part.zero_point, part.axis)  # is valid


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_indexing_as_numpy(data):
    shape = data.draw(hnp.array_shapes(min_dims=1, max_dims=4, max_side=5))
    axis = data.draw(st.one_of(st.none(), st.integers(0, len(shape) - 1)))
    key = data.draw(hnp.basic_indices(shape, allow_newaxis=True))
    q = quantize(random(shape, 3), axis=axis)
    np.testing.assert_array_equal(q[key].dequantize(), q.dequantize()[key])


@pytest.mark.parametrize("key", [[0, 1], np.array([0]), True, (0, np.array([True])), 1.0, "a", (0, False)], ids=str)
def test_other_indices_are_refused(cube, key):
    with pytest.raises(TypeError, match="indices of a QuantizedArray must be integers"):
        cube[key]


def test_indices_beyond(cube):
    for key in (3, -4, (0, 0, 0, 0), (0, 4), (..., ...)):
        with pytest.raises(IndexError):
            cube[key]


def test_iteration(cube):
    np.testing.assert_array_equal([part.dequantize() for part in cube], cube.dequantize())
    with pytest.raises(TypeError, match="without dimensions"):
        iter(cube[0, 0, 0])
    with pytest.raises(TypeError, match="without dimensions"):
        len(cube[0, 0, 0])


def same(a, b):
    np.testing.assert_array_equal(a.data, b.data)
    np.testing.assert_array_equal(a.scale, b.scale)
    np.testing.assert_array_equal(a.zero_point, b.zero_point)
    assert (a.axis, a.dtype, a.scale.dtype, a.zero_point.dtype) == (b.axis, b.dtype, b.scale.dtype, b.zero_point.dtype)


def test_copies(cube):
    for q in (cube, cube.T, cube[1], cube[0, 0, 0], cube[::2, ::-1]):
        for other in (q.copy(), copy.copy(q), copy.deepcopy(q), pickle.loads(pickle.dumps(q))):
            same(other, q)
            assert not np.shares_memory(other.data, q.data)


def test_as_array(cube):
    numbers = np.asarray(cube)
    assert numbers.dtype == np.float32
    np.testing.assert_array_equal(numbers, cube.dequantize())
    assert np.asarray(cube, np.float64).dtype == np.float64
    assert np.array(cube, dtype="f2", copy=True).dtype == np.float16
    with pytest.raises(ValueError, match="without a copy"):
        np.asarray(cube, copy=False)
    np.testing.assert_array_equal(np.add(cube, 1), numbers + 1)


def test_repr():
    q = quantize([[1.0, -2.0]], scale=0.5)
    assert repr(q) == "QuantizedArray([[ 2, -4]], dtype=int8, scale=0.5, zero_point=0)"
    q = quantize([[1.0, -2.0]], scale=[0.5, 0.25], axis=1)
    assert repr(q) == "QuantizedArray([[ 2, -8]], dtype=int8, scale=[0.5 , 0.25], zero_point=[0, 0], axis=1)"
    assert len(repr(quantize(random((1000, 1000)), axis=0))) < 3000


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (([1, 2], 1.0), TypeError, "data must be an ndarray of int8 or uint8, not list"),
        ((np.zeros(3), 1.0), TypeError, "data is an array of float64; expected int8 or uint8"),
        ((np.zeros(3, np.int16), 1.0), TypeError, "data is an array of int16"),
        ((np.zeros(3, np.int8), 0.0), ValueError, "scale is 0.0"),
        ((np.zeros(3, np.int8), 1.0, 200), ValueError, "zero_point is 200"),
        ((np.zeros(3, np.int8), [1.0, 2.0], 0, 0), ValueError, r"scale has shape \(2,\); expected \(3,\)"),
        ((np.zeros(3, np.int8), [1.0] * 3, 0, 1), ValueError, "axis is 1"),
        ((np.zeros((3, 3), np.int8), np.ones((3, 1)), 0, 0), ValueError, r"scale has shape \(3, 1\)"),
        ((np.ma.zeros(3, np.int8), 1.0), TypeError, "data must be an ndarray"),
    ],
)
def test_constructor_refuses(arguments, error, words):
    with pytest.raises(error, match=words):
        QuantizedArray(*arguments)


def test_spoiled_arrays():
    q = quantize(random((6, 4)), axis=0)
    q.data.shape = (24,)
    with pytest.raises(ValueError, match=r"data has got the shape \(24,\), which does not fit 6 channels along axis 0"):
        q.dequantize()
    q = quantize(random((6, 4)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # which recent NumPy gives
        q.data.dtype = np.float32
    with pytest.raises(ValueError, match="data has become an array of float32; expected int8 or uint8"):
        q.dequantize()
    with pytest.raises(ValueError, match="without data"):
        QuantizedArray.__new__(QuantizedArray).dequantize()


def test_constructor():
    data = np.arange(-3, 3, dtype=np.int8).reshape(2, 3)
    q = QuantizedArray(data, [1, 2, 4], np.array([0, 1, -1], np.int32), axis=-1)
    assert np.shares_memory(q.data, data)
    assert q.axis == 1
    assert q.scale.dtype == np.float32
    assert q.zero_point.dtype == np.int8
    np.testing.assert_array_equal(q.dequantize(), (data - [0, 1, -1]) * [1.0, 2.0, 4.0])
    assert QuantizedArray(data, [1.0, 2.0], 5, axis=0).zero_point.tolist() == [5, 5]
    read_only = data.copy()
    read_only.flags.writeable = False
    np.testing.assert_array_equal(QuantizedArray(read_only, 2.0).dequantize(), data * 2.0)
