"""The elementwise functions are NumPy ufuncs in every respect: types, promotion, memory, warnings."""

import operator
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import mlopt

SHARED = ("add", "subtract", "multiply", "divide", "sqrt", "exp", "log", "tanh")
OWN = ("fma", "sigmoid", "erf", "relu", "gelu", "silu")


def test_they_are_ufuncs():
    for name in SHARED + OWN:
        assert isinstance(getattr(mlopt, name), np.ufunc)
        assert getattr(mlopt, name).__name__ == name
        assert "Parameters" in getattr(mlopt, name).__doc__


@pytest.mark.parametrize("name", SHARED)
def test_types_are_numpys(name):
    ours, theirs = getattr(mlopt, name), getattr(np, name)
    assert ours.types == theirs.types
    assert ours.nin == theirs.nin
    assert ours.identity == theirs.identity


MIXED = [np.bool_, np.int8, np.uint8, np.int64, np.float16, np.float32, np.float64, np.longdouble, np.complex64]


@pytest.mark.parametrize("name", ["add", "subtract", "multiply", "divide"])
@pytest.mark.parametrize("left", MIXED)
@pytest.mark.parametrize("right", MIXED)
def test_binary_promotion_is_numpys(name, left, right):
    a, b = np.array([1, 0, 1, 1], left), np.array([1, 1, 1, 1], right)
    try:
        expected = getattr(np, name)(a, b)
    except TypeError as error:
        with pytest.raises(type(error)):
            getattr(mlopt, name)(a, b)
        return
    result = getattr(mlopt, name)(a, b)
    assert result.dtype == expected.dtype
    np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("name", ["sqrt", "exp", "log", "tanh"])
@pytest.mark.parametrize("dtype", [t for t in MIXED if t is not np.bool_])
def test_unary_promotion_is_numpys(name, dtype):
    x = np.array([1, 2, 3], dtype)
    result, expected = getattr(mlopt, name)(x), getattr(np, name)(x)
    assert result.dtype == expected.dtype
    np.testing.assert_allclose(result, expected, rtol=4 * np.finfo(expected.dtype).eps)


@pytest.mark.parametrize("value", [2, 2.5, True, np.float32(2), np.float64(2), np.int32(2)])
def test_python_scalars_are_weak(value):
    for dtype in (np.float32, np.float64):
        x = np.arange(5, dtype=dtype)
        assert mlopt.add(x, value).dtype == np.add(x, value).dtype
        assert mlopt.multiply(value, x).dtype == np.multiply(value, x).dtype


def test_objects_go_to_their_own_methods():
    result = mlopt.add(np.array(["a", "b"], object), np.array(["c", "d"], object))
    assert result.tolist() == ["ac", "bd"]
    with pytest.raises(TypeError):
        mlopt.add(np.array([{}], object), 1)


def test_integers_of_own_functions_become_float64():
    assert mlopt.sigmoid(np.arange(3)).dtype == np.float64
    assert mlopt.fma(2, 3, 4) == 10
    with pytest.raises(TypeError, match="sigmoid"):
        mlopt.sigmoid(np.array([1j]))


def test_fma_rounds_once():
    a, b = 1 + 2.0**-30, 1 - 2.0**-30
    assert mlopt.fma(a, b, -1.0) == -(2.0**-60)
    assert mlopt.fma(np.float32(1 + 2.0**-13), np.float32(1 - 2.0**-13), np.float32(-1)) == -(2.0**-26)


@settings(max_examples=80, deadline=None)
@given(
    st.sampled_from(["add", "subtract", "multiply", "exp", "tanh", "sigmoid", "fma"]),
    st.sampled_from([np.float32, np.float64]),
    st.data(),
)
def test_any_strides_give_the_contiguous_result(name, dtype, data):
    ufunc = getattr(mlopt, name)
    n = data.draw(st.integers(0, 1200))
    rng = np.random.default_rng(n)

    def layout():
        step = data.draw(st.sampled_from([-3, -2, -1, 1, 2, 5]))
        return (rng.standard_normal(max(1, n * abs(step))).astype(dtype))[::step][:n]

    operands = [layout() for _ in range(ufunc.nin)]
    out = layout()
    result = ufunc(*operands, out=out)
    assert result is out
    np.testing.assert_array_equal(out, ufunc(*[x.copy() for x in operands]))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shift", [-17, -1, 1, 2, 8, 33])
def test_overlap_is_numpys(dtype, shift):
    base = np.random.default_rng(0).standard_normal(2000).astype(dtype)
    ours, theirs = base.copy(), base.copy()
    low, high = max(0, shift), 2000 + min(0, shift)
    for array, module in ((ours, mlopt), (theirs, np)):
        module.multiply(array[low - shift : high - shift], array[low:high], out=array[low:high])
    np.testing.assert_array_equal(ours, theirs)


@settings(max_examples=60, deadline=None)
@given(hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=4, max_side=6))
def test_broadcasting(shapes):
    a, b = (np.random.default_rng(i).standard_normal(shape) for i, shape in enumerate(shapes.input_shapes))
    np.testing.assert_array_equal(mlopt.subtract(a, b), np.subtract(a, b))
    np.testing.assert_array_equal(mlopt.divide(a.astype("f4").T, 3), np.divide(a.astype("f4").T, np.float32(3)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_reduce_accumulate_reduceat_outer_at(dtype):
    x = np.random.default_rng(1).standard_normal((13, 700)).astype(dtype)
    for axis in (0, 1, None, (0, 1)):
        np.testing.assert_allclose(mlopt.add.reduce(x, axis=axis), np.add.reduce(x, axis=axis), rtol=1e-3, atol=1e-4)
    small = x[:, :20]
    np.testing.assert_array_equal(mlopt.multiply.accumulate(small, axis=1), np.multiply.accumulate(small, axis=1))
    np.testing.assert_array_equal(mlopt.subtract.accumulate(small), np.subtract.accumulate(small))
    np.testing.assert_allclose(mlopt.multiply.reduce(small, axis=1), np.multiply.reduce(small, axis=1), rtol=1e-5)
    np.testing.assert_allclose(mlopt.add.reduceat(x[0], [0, 5, 100]), np.add.reduceat(x[0], [0, 5, 100]), rtol=1e-4)
    np.testing.assert_array_equal(mlopt.multiply.outer(x[0], x[1]), np.multiply.outer(x[0], x[1]))
    ours, theirs = x[0].copy(), x[0].copy()
    mlopt.add.at(ours, [3, 3, 4], 1)
    np.add.at(theirs, [3, 3, 4], 1)
    np.testing.assert_array_equal(ours, theirs)


def test_where_and_dtype_arguments():
    x = np.arange(6.0)
    out = np.full(6, -1.0)
    mlopt.exp(x, out=out, where=x > 3)
    np.testing.assert_array_equal(out[:4], -1)
    assert mlopt.add(x, x, dtype=np.float32, casting="same_kind").dtype == np.float32
    read_only = np.zeros(6)
    read_only.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        mlopt.exp(x, out=read_only)
    with pytest.raises(ValueError, match="broadcast"):
        mlopt.add(np.zeros(3), np.zeros(4))


def test_read_only_and_swapped_inputs():
    x = np.linspace(0, 1, 50)
    x.flags.writeable = False
    np.testing.assert_array_equal(mlopt.sqrt(x), np.sqrt(x))
    np.testing.assert_array_equal(mlopt.sqrt(x.astype(">f8")), np.sqrt(x))
    raw = np.zeros(8 * 51 + 1, np.uint8)[1:401].view(np.float64)
    raw[...] = x
    np.testing.assert_array_equal(mlopt.sqrt(raw), np.sqrt(x))


WARNINGS = [
    ("log", (0.0,)), ("log", (-1.0,)), ("exp", (1e5,)), ("divide", (1.0, 0.0)), ("divide", (0.0, 0.0)),
    ("sqrt", (-1.0,)), ("multiply", (1e308, 10.0)), ("exp", (np.nan,)), ("exp", (np.inf,)), ("log", (np.inf,)),
    ("tanh", (np.inf,)), ("tanh", (np.nan,)), ("add", (np.inf, -np.inf)), ("subtract", (np.nan, 1.0)),
]  # fmt: skip


@pytest.mark.parametrize(("name", "arguments"), WARNINGS)
@pytest.mark.parametrize("n", [1, 3, 100])
def test_warnings_are_numpys(name, arguments, n):
    seen = {}
    for module in (mlopt, np):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            getattr(module, name)(*[np.full(n, value) for value in arguments])
        seen[module.__name__] = [(w.category, str(w.message)) for w in caught]
    assert seen["mlopt"] == seen["numpy"]


def test_dispatch_on_other_types():
    class Wrapped:
        def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
            return ufunc.__name__, method

    assert mlopt.relu(Wrapped()) == ("relu", "__call__")
    assert operator.itemgetter(0)(mlopt.add(Wrapped(), 1)) == "add"


def test_pandas_series_keep_their_index():
    pandas = pytest.importorskip("pandas")
    series = pandas.Series([0.0, 1.0], index=["a", "b"])
    assert list(mlopt.exp(series).index) == ["a", "b"]


def test_every_tier_is_used_by_its_context():
    x = np.linspace(-3, 3, 1001, dtype=np.float32)
    from mlopt._kernels.register import Kernel

    for tier in mlopt.available_tiers():
        expected = np.empty_like(x)
        Kernel("gelu", "f32", tier)((x.size,), x, expected)
        with mlopt.use_isa(tier):
            np.testing.assert_array_equal(mlopt.gelu(x), expected)
