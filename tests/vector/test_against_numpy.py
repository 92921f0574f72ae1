"""The reductions against NumPy's functions of the same name: any type, layout, axis, out, and errors."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import mlopt

NAMES = ("sum", "mean", "var", "min", "max", "argmax")
DTYPES = ["?", "i1", "u2", "i4", "i8", "f2", "f4", "f8", ">f4", ">f8", "g", "F", "D", "O"]


def outcome(function, *arguments, **keywords):
    """What a call gives: type, shape and values, or the kind of error, and the categories of its warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result = function(*arguments, **keywords)
        except (TypeError, ValueError, ZeroDivisionError) as error:
            return "error", next(kind for kind in (TypeError, ValueError, ZeroDivisionError) if isinstance(error, kind))
    categories = {w.category for w in caught if "encountered" not in str(w.message)}  # reductions raise no flags
    return "result", result, categories


def assert_same(ours, theirs, exact):
    assert ours[0] == theirs[0], (ours, theirs)
    if ours[0] == "error":
        assert ours[1] == theirs[1]
        return
    assert ours[2] == theirs[2]
    assert type(ours[1]) is type(theirs[1])
    assert getattr(ours[1], "dtype", None) == getattr(theirs[1], "dtype", None)
    assert np.shape(ours[1]) == np.shape(theirs[1])
    kind = getattr(ours[1], "dtype", np.dtype("O"))
    if exact or kind.kind not in "fc":
        np.testing.assert_array_equal(ours[1], theirs[1])
    else:
        np.testing.assert_allclose(ours[1], theirs[1], rtol=200 * np.finfo(kind).eps, atol=200 * np.finfo(kind).eps)


@st.composite
def layouts(draw, dtypes=tuple(DTYPES), min_side=0, max_dims=4):
    """An array of any type: transposed, with negative and long steps, broadcast, Fortran order, empty."""
    dtype = np.dtype(draw(st.sampled_from(dtypes)))
    shape = draw(hnp.array_shapes(min_dims=0, max_dims=max_dims, min_side=min_side, max_side=6))
    rng = np.random.default_rng(draw(st.integers(0, 1 << 16)))
    steps = [draw(st.sampled_from([1, 1, 1, 2, -1, -2])) for _ in shape]
    big = np.asarray(rng.integers(-9, 9, [size * abs(step) for size, step in zip(shape, steps, strict=True)]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        a = big.astype(np.float64).astype(dtype, order=draw(st.sampled_from("CF")))
    a = a[tuple(slice(None, None, step) for step in steps)] if shape else a
    a = a.transpose(draw(st.permutations(range(a.ndim))))
    if a.ndim and draw(st.integers(0, 9)) == 0:
        a = np.broadcast_to(a, (draw(st.integers(1, 3)), *a.shape))
    if dtype.kind == "f" and a.size and a.flags.writeable and draw(st.integers(0, 4)) == 0:
        a[tuple(draw(st.integers(0, size - 1)) for size in a.shape)] = draw(st.sampled_from([np.nan, np.inf, -np.inf]))
    return a


def axes(draw, ndim):
    """None, an axis, some axes; now and then one that does not exist or is there twice."""
    if ndim and draw(st.integers(0, 19)) == 0:
        return draw(st.sampled_from([ndim, -ndim - 1, (0, 0), 1.5, "x"]))
    choices = [st.none()]
    if ndim:
        choices += [st.integers(-ndim, ndim - 1), hnp.valid_tuple_axes(ndim)]
    return draw(st.one_of(choices))


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_any_array_any_axes(data):
    name = data.draw(st.sampled_from(NAMES))
    a = data.draw(layouts())
    axis = axes(data.draw, a.ndim)
    keywords = {"keepdims": data.draw(st.booleans())}
    if name == "var":
        keywords["ddof"] = data.draw(st.sampled_from([0, 0, 1, 1.5, 7]))
    ours = outcome(getattr(mlopt, name), a, axis, **keywords)
    theirs = outcome(getattr(np, name), a, axis, **keywords)
    assert_same(ours, theirs, exact=name in ("min", "max", "argmax"))


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_out(data):
    name = data.draw(st.sampled_from(NAMES))
    a = data.draw(layouts(("f4", "f8", "i4"), min_side=1, max_dims=3))
    axis = data.draw(st.one_of(st.none(), st.integers(-a.ndim, a.ndim - 1))) if a.ndim else None
    with np.errstate(all="ignore"):
        expected = np.asarray(getattr(np, name)(a, axis))
    shape = data.draw(st.sampled_from([expected.shape, expected.shape, expected.shape, (7,), (*expected.shape, 1)]))
    dtype = data.draw(st.sampled_from([expected.dtype, expected.dtype, "f4", "f8", "i8", "D"]))
    order = data.draw(st.sampled_from("CF"))
    mine, theirs_out = np.zeros(shape, dtype, order), np.zeros(shape, dtype, order)
    ours = outcome(getattr(mlopt, name), a, axis, out=mine)
    theirs = outcome(getattr(np, name), a, axis, out=theirs_out)
    assert ours[0] == theirs[0]
    if ours[0] == "result":
        assert ours[1] is mine
        np.testing.assert_allclose(mine, theirs_out, rtol=1e-5, atol=1e-5)
    else:
        assert ours[1] == theirs[1]
        assert not mine.any()


@pytest.mark.parametrize("name", NAMES)
def test_out_may_be_the_input(name):
    a = np.random.default_rng(0).standard_normal((6, 6))
    out = a[2] if name != "argmax" else np.empty(6, np.intp)
    expected = getattr(np, name)(a, axis=0)
    np.testing.assert_allclose(getattr(mlopt, name)(a, 0, out=out), expected, rtol=1e-13)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", [*NAMES, "norm", "logsumexp"])
def test_layout_changes_nothing(name, dtype):
    """A strided array of many pieces, or of several reduced axes, gives what its contiguous copy gives."""
    rng = np.random.default_rng(1)
    function = getattr(mlopt, name)
    exact = name not in ("var", "logsumexp")  # which merge their pieces
    rtol = 0 if exact else 16 * np.finfo(dtype).eps
    big = rng.standard_normal((3, 2 * 30_011)).astype(dtype)
    np.testing.assert_allclose(function(big[:, ::2], 1), function(big[:, ::2].copy(), 1), rtol=rtol)
    np.testing.assert_allclose(function(big[1, ::2]), function(big[1, ::2].copy()), rtol=rtol)
    deep = rng.standard_normal((40, 9, 50, 11)).astype(dtype)
    if name != "argmax":
        for axes in ((0, 2), (1, 3), (0, 3), (0, 1, 2)):
            kept = tuple(i for i in range(4) if i not in axes)
            lines = np.ascontiguousarray(deep.transpose(kept + axes)).reshape(*(deep.shape[i] for i in kept), -1)
            eps = np.finfo(dtype).eps
            np.testing.assert_allclose(function(deep, axes), function(lines, -1), rtol=64 * eps, atol=512 * eps)
    for axis in range(4):
        result = function(deep, axis)
        np.testing.assert_array_equal(
            function(deep.transpose(3, 1, 0, 2), (3, 1, 0, 2).index(axis)),
            result.transpose([i - (i > axis) for i in (3, 1, 0, 2) if i != axis]),
        )


@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
@pytest.mark.parametrize("kind", [list, tuple, np.matrix])
def test_what_is_like_an_array(kind):
    values = [[1.5, 2.5], [3.0, -1.0]]
    for name in NAMES:
        a = kind(values)
        assert_same(outcome(getattr(mlopt, name), a, 0), outcome(getattr(np, name), a, 0), exact=False)


def test_masked_arrays_are_numpys():
    a = np.ma.masked_array([[1.0, 2.0], [5.0, 9.0]], [[False, True], [False, False]])
    for name in ("sum", "mean", "min", "max", "var"):
        ours, theirs = getattr(mlopt, name)(a, 0), getattr(np, name)(a, 0)
        assert isinstance(ours, np.ma.MaskedArray)
        np.testing.assert_array_equal(ours, theirs)


def test_series_are_arrays():
    pandas = pytest.importorskip("pandas")
    series = pandas.Series([1.0, np.nan, 4.0])
    assert np.isnan(mlopt.sum(series))  # the values as they are: pandas' own methods skip NaN
    assert mlopt.max(series.fillna(0)) == 4


@pytest.mark.parametrize("dtype", ["?", "i2", "f2", "f4", "f8", "g", ">f8"])
@pytest.mark.parametrize("axis", [None, 0, -1, (0, 1)])
@pytest.mark.parametrize("keepdims", [False, True])
def test_norm_and_logsumexp_of_real_types(dtype, axis, keepdims):
    a = np.array([[1, 0, 1], [0, 1, 1]], dtype)
    wide = a.astype(np.float64)
    result = mlopt.norm(a, axis, keepdims=keepdims)
    expected = np.sqrt(np.sum(wide**2, axis=axis, keepdims=keepdims))
    np.testing.assert_allclose(result, expected, rtol=1e-3 if dtype == "f2" else 1e-6)
    assert np.shape(result) == np.shape(expected)
    result = mlopt.logsumexp(a, axis, keepdims=keepdims)
    expected = np.log(np.sum(np.exp(wide), axis=axis, keepdims=keepdims))
    np.testing.assert_allclose(result, expected, rtol=1e-6)
    assert np.shape(result) == np.shape(expected)
    assert result.dtype == (a.dtype.newbyteorder("=") if dtype in ("f4", "g") else np.float64)


def test_norm_of_complex_numbers_and_refusals():
    np.testing.assert_allclose(mlopt.norm(np.array([3j, 4])), 5)
    for function in (mlopt.logsumexp, mlopt.softmax):
        for a in (np.array([1j]), np.array(["a"])):
            with pytest.raises(TypeError, match="real numbers"):
                function(a)
    for empty in (np.zeros(0), np.zeros(0, np.longdouble), np.zeros(0, int)):
        assert mlopt.logsumexp(empty) == -np.inf
        assert mlopt.norm(empty) == 0
    assert mlopt.logsumexp(np.float64(3)) == 3
    assert mlopt.logsumexp(np.zeros((2, 0)), axis=1).tolist() == [-np.inf, -np.inf]
    assert mlopt.norm(np.zeros((2, 0)), axis=1).tolist() == [0, 0]


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_softmax_of_any_layout(data):
    a = data.draw(layouts(("f4", "f8", "i4"), min_side=1))
    if a.ndim == 0:
        return
    a = np.where(np.isfinite(a), a, 0).astype(a.dtype) if data.draw(st.booleans()) else a
    axis = data.draw(st.integers(-a.ndim, a.ndim - 1))
    with np.errstate(all="ignore"):
        wide = a.astype(np.float64)
        e = np.exp(wide - wide.max(axis, keepdims=True))
        expected = e / e.sum(axis, keepdims=True)
    result = mlopt.softmax(a, axis)
    assert result.dtype == (a.dtype if a.dtype.kind == "f" else np.float64)
    np.testing.assert_allclose(result, expected, rtol=2e-6, atol=1e-30)
    out = np.zeros([2 * size for size in a.shape], result.dtype)[tuple(slice(None, None, 2) for _ in a.shape)]
    assert mlopt.softmax(a, axis, out=out) is out
    np.testing.assert_array_equal(out, result)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_ufunc_methods(data):
    """reduce, accumulate, reduceat, at: over any axis of any layout, with where, initial, dtype and keepdims."""
    name = data.draw(st.sampled_from(["add", "multiply", "subtract"]))
    ours, theirs = getattr(mlopt, name), getattr(np, name)
    a = data.draw(layouts(("f4", "f8"), min_side=1, max_dims=3))
    if a.ndim == 0:
        return
    axis = data.draw(st.integers(-a.ndim, a.ndim - 1))
    keywords = {"keepdims": data.draw(st.booleans()), "dtype": data.draw(st.sampled_from([None, "f8", "f4"]))}
    if name != "subtract" and data.draw(st.booleans()):
        keywords |= {"where": a > 0, "initial": 2}
    with np.errstate(all="ignore"):
        assert_same(outcome(ours.reduce, a, axis, **keywords), outcome(theirs.reduce, a, axis, **keywords), exact=False)
        assert_same(outcome(ours.accumulate, a, axis), outcome(theirs.accumulate, a, axis), exact=True)
        if name != "subtract":
            both = [outcome(ufunc.reduce, a, (0, a.ndim - 1) if a.ndim > 1 else 0) for ufunc in (ours, theirs)]
            assert_same(*both, exact=False)
        mine, other = a.copy(), a.copy()
        places = data.draw(st.lists(st.integers(0, a.shape[0] - 1), max_size=5))
        ours.at(mine, places, 2)
        theirs.at(other, places, 2)
    np.testing.assert_array_equal(mine, other)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_ufunc_arguments(data):
    """where=, out=, casting=, dtype= of a call."""
    name = data.draw(st.sampled_from(["add", "divide", "sqrt", "exp"]))
    ours, theirs = getattr(mlopt, name), getattr(np, name)
    a = data.draw(layouts(("f2", "f4", "f8", "i4", "F", "?"), max_dims=3))
    operands = (a,) * ours.nin
    keywords = {
        "dtype": data.draw(st.sampled_from([None, None, "f4", "f8", "i4", "D"])),
        "casting": data.draw(st.sampled_from(["same_kind", "same_kind", "no", "safe", "unsafe"])),
    }
    results = []
    for ufunc in (ours, theirs):
        out = np.full(a.shape, 7, np.complex128)
        extra = {"out": out, "where": np.asarray(a != 1)} if "where" in data.draw(st.just("where")) else {}
        results.append(outcome(ufunc, *operands, **keywords, **extra))
    tolerant = [r if r[0] == "error" else (r[0], np.asarray(r[1]), set()) for r in results]
    assert tolerant[0][0] == tolerant[1][0]
    if tolerant[0][0] == "result":
        np.testing.assert_allclose(tolerant[0][1], tolerant[1][1], rtol=1e-2 if a.dtype == "f2" else 1e-6)
    else:
        assert tolerant[0][1] == tolerant[1][1]
