"""Reductions and row functions through the public door: axes, outputs, other types, errors."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import mlopt

NUMPY = {
    "sum": np.sum, "mean": np.mean, "var": np.var, "min": np.min, "max": np.max,
    "norm": lambda a, axis=None, keepdims=False: np.sqrt(np.sum(np.square(a), axis=axis, keepdims=keepdims)),
    "logsumexp": lambda a, axis=None, keepdims=False: np.log(np.sum(np.exp(a), axis=axis, keepdims=keepdims)),
}  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_axes_match_numpy(data):
    name = data.draw(st.sampled_from(sorted(NUMPY)))
    dtype = data.draw(st.sampled_from([np.float32, np.float64]))
    shape = data.draw(hnp.array_shapes(min_dims=1, max_dims=4, max_side=7))
    a = np.random.default_rng(data.draw(st.integers(0, 99))).standard_normal(shape).astype(dtype)
    order = data.draw(st.permutations(range(a.ndim)))
    a = a.transpose(order)[tuple(slice(None, None, data.draw(st.sampled_from([1, -1, 2]))) for _ in shape)]
    axis = data.draw(st.one_of(st.none(), hnp.valid_tuple_axes(a.ndim), st.integers(-a.ndim, a.ndim - 1)))
    keepdims = data.draw(st.booleans())
    result = getattr(mlopt, name)(a, axis, keepdims=keepdims)
    expected = NUMPY[name](a, axis=axis, keepdims=keepdims)
    assert np.shape(result) == np.shape(expected)
    assert result.dtype == dtype
    np.testing.assert_allclose(result, expected, rtol=2e-5 if dtype == np.float32 else 1e-13, atol=1e-5)
    out = np.empty_like(expected) if np.shape(expected) else np.empty((), dtype)
    assert getattr(mlopt, name)(a, axis, keepdims=keepdims, out=out) is out
    np.testing.assert_array_equal(out, result)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32])
def test_argmax(dtype):
    a = np.random.default_rng(0).integers(0, 9, (5, 6, 7)).astype(dtype)
    for axis in (None, 0, 1, 2, -1):
        result = mlopt.argmax(a, axis)
        assert result.dtype == np.intp
        np.testing.assert_array_equal(result, np.argmax(a, axis))
        np.testing.assert_array_equal(mlopt.argmax(a, axis, keepdims=True), np.argmax(a, axis, keepdims=True))
    for axes in ((0, 1), (0, 0), (7,), ()):
        with pytest.raises(TypeError, match="axis"):
            mlopt.argmax(a.astype(np.float64), axes)


@pytest.mark.parametrize("dtype", [np.bool_, np.int8, np.int64, np.uint32, np.float16, np.complex128, np.longdouble])
@pytest.mark.parametrize("name", ["sum", "mean", "var", "min", "max"])
def test_other_types_are_numpys(name, dtype):
    a = np.arange(12).reshape(3, 4).astype(dtype)
    for axis in (None, 1):
        result, expected = getattr(mlopt, name)(a, axis), getattr(np, name)(a, axis=axis)
        assert result.dtype == expected.dtype
        np.testing.assert_array_equal(result, expected)


def test_lists_frames_and_subclasses():
    assert mlopt.sum([1, 2, 3]) == 6
    assert mlopt.sum([[1.5], [2.5]], axis=0).tolist() == [4.0]
    pandas = pytest.importorskip("pandas")
    assert mlopt.max(pandas.Series([1.0, 4.0])) == 4
    masked = np.ma.masked_array([1.0, 2.0], [True, False])
    assert mlopt.sum(masked) == 2
    for function in (mlopt.norm, mlopt.logsumexp, mlopt.softmax):
        with pytest.raises(TypeError, match="masked"):
            function(masked)


@pytest.mark.parametrize("name", ["min", "max", "argmax"])
def test_nothing_has_no_extreme(name):
    with pytest.raises(ValueError, match=r"empty|zero-size"):
        getattr(mlopt, name)(np.zeros(0))
    with pytest.raises(ValueError, match=r"empty|zero-size"):
        getattr(mlopt, name)(np.zeros((3, 0)), axis=1)


def test_empty_sums_and_means():
    assert mlopt.sum(np.zeros(0)) == 0
    assert mlopt.sum(np.zeros((3, 0)), axis=1).tolist() == [0, 0, 0]
    assert mlopt.sum(np.zeros((0, 3)), axis=1).shape == (0,)
    assert mlopt.logsumexp(np.zeros(0)) == -np.inf
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert np.isnan(mlopt.mean(np.zeros(0)))
    assert any("empty" in str(w.message) for w in caught)


def test_errors_name_the_argument():
    a = np.ones((2, 3))
    with pytest.raises(ValueError, match="axis"):
        mlopt.sum(a, axis=2)
    with pytest.raises(ValueError, match=r"out has shape \(3,\), the result has shape \(2,\)"):
        mlopt.sum(a, axis=1, out=np.empty(3))
    with pytest.raises(TypeError, match="out must be an ndarray"):
        mlopt.sum(a, axis=1, out=[0, 0])
    with pytest.raises(TypeError):
        mlopt.norm(a, axis=1, out=np.empty(2, np.int64))


def test_large_arrays_and_ddof():
    x = np.random.default_rng(0).standard_normal(300_001) + 100
    np.testing.assert_allclose(mlopt.var(x, ddof=1), np.var(x, ddof=1), rtol=1e-12)
    np.testing.assert_allclose(mlopt.sum(x), np.sum(x), rtol=1e-14)
    assert mlopt.var(np.array([1e8, 1e8 + 2], np.float64)) == 1


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_softmax(dtype, axis):
    x = (np.random.default_rng(0).standard_normal((4, 5, 600)) * 10).astype(dtype)
    e = np.exp(x - x.max(axis, keepdims=True))
    expected = e / e.sum(axis, keepdims=True)
    result = mlopt.softmax(x, axis)
    assert result.dtype == dtype
    np.testing.assert_allclose(result, expected, rtol=1e-5 if dtype == np.float32 else 1e-13)
    out = np.empty_like(x)
    assert mlopt.softmax(x, axis, out=out) is out
    np.testing.assert_array_equal(out, result)
    in_place = x.copy()
    mlopt.softmax(in_place, axis, out=in_place)
    np.testing.assert_array_equal(in_place, result)
    shifted = np.zeros((5, 5, 600), dtype)
    shifted[1:] = x
    mlopt.softmax(shifted[1:], axis, out=shifted[:-1])
    np.testing.assert_array_equal(shifted[:-1], result)


def test_softmax_errors_and_other_types():
    np.testing.assert_array_equal(mlopt.softmax([0, 0]), [0.5, 0.5])
    assert mlopt.softmax(np.zeros((0, 3))).shape == (0, 3)
    assert mlopt.softmax(np.zeros((3, 0))).shape == (3, 0)
    with pytest.raises(ValueError, match="dimension"):
        mlopt.softmax(1.0)
    with pytest.raises(ValueError, match="axis"):
        mlopt.softmax(np.zeros(3), axis=1)
    with pytest.raises(TypeError, match="out must be an ndarray of float64"):
        mlopt.softmax(np.zeros(3), out=np.zeros(3, np.float32))
    with pytest.raises(ValueError, match="out has shape"):
        mlopt.softmax(np.zeros(3), out=np.zeros(4))
    read_only = np.zeros(3)
    read_only.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        mlopt.softmax(np.zeros(3), out=read_only)
