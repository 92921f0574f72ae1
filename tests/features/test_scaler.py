"""The scaler: statistics against NumPy and scikit-learn, there and back, in place, state, bad input."""

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mlopt.features import Scaler

METHODS = ["standard", "minmax", "robust"]


@pytest.fixture
def table():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((500, 7)) * 10.0 ** np.arange(-3, 4) + 1e3
    x[:40, 2] = np.nan  # not ready at first
    x[:, 5] = 3.25  # never varies
    return x


def test_standard(table):
    scaler = Scaler(7).fit(table)
    expected = (table - np.nanmean(table, axis=0)) / np.where(np.nanstd(table, axis=0) > 0, np.nanstd(table, axis=0), 1)
    np.testing.assert_allclose(scaler.transform(table), expected, rtol=1e-8, atol=1e-8)  # the mean is 1e6 deviations
    np.testing.assert_array_equal(scaler.counts, [500, 500, 460, 500, 500, 500, 500])
    np.testing.assert_allclose(scaler.means, np.nanmean(table, axis=0), rtol=1e-14)
    np.testing.assert_allclose(scaler.deviations, np.nanstd(table, axis=0), rtol=1e-9)


def test_minmax(table):
    scaler = Scaler(7, "minmax").fit(table)
    y = scaler.transform(table)
    np.testing.assert_array_equal(scaler.minima, np.nanmin(table, axis=0))
    np.testing.assert_array_equal(scaler.maxima, np.nanmax(table, axis=0))
    varying = [0, 1, 2, 3, 4, 6]
    assert np.nanmin(y[:, varying], axis=0).tolist() == [0] * 6
    assert np.nanmax(y[:, varying], axis=0).tolist() == [1] * 6
    assert (y[:, 5] == 0).all()


@pytest.mark.parametrize("quantile_range", [(25.0, 75.0), (0, 100), (7.5, 60)])
def test_robust(table, quantile_range):
    scaler = Scaler(7, "robust", quantile_range=quantile_range)
    assert scaler.fit(table) is scaler
    low, median, high = np.nanquantile(table, [quantile_range[0] / 100, 0.5, quantile_range[1] / 100], axis=0)
    np.testing.assert_array_equal(scaler.medians, median)
    np.testing.assert_array_equal(scaler.quantile_spans, high - low)
    expected = (table - median) / np.where(high > low, high - low, 1)
    np.testing.assert_array_equal(scaler.transform(table), expected)
    standard = Scaler(7).fit(table)
    for name in ("counts", "means", "deviations", "minima", "maxima"):
        np.testing.assert_array_equal(getattr(scaler, name), getattr(standard, name))
    assert np.isnan(standard.medians).all()
    assert np.isnan(standard.quantile_spans).all()


def test_robust_where_quantiles_meet():
    x = np.array([[0.0, 3.0], [0.0, 3.0], [0.0, 3.0], [0.0, 3.0], [50.0, 3.0]])
    scaler = Scaler(2, "robust").fit(x)
    assert scaler.quantile_spans.tolist() == [0, 0]
    assert scaler.transform(x[-1]).tolist() == [50, 0]  # varied: shifted only; never varied: 0, whatever comes
    assert scaler.transform(np.array([-2.0, 7.0])).tolist() == [-2, 0]


def test_robust_is_fitted_only(table):
    scaler = Scaler(7, "robust").fit(table)
    state = scaler.get_state()
    with pytest.raises(ValueError, match=r"method='robust'.*use fit"):
        scaler.update(table)
    assert scaler.get_state() == state
    assert scaler.fit(table[:10]).fit(table).get_state() == state
    assert np.isnan(scaler.fit(table[:0]).medians).all()
    scaler.fit(table).reset()
    assert scaler.get_state() == Scaler(7, "robust").get_state()


@pytest.mark.parametrize("method", ["standard", "minmax"])
def test_running_is_fitted(table, method):
    running, fitted, out = Scaler(7, method), Scaler(7, method).fit(table), np.empty(7)
    for row in table:
        assert running.update(row) is running
        running.transform(row, out)
    assert running.get_state() == fitted.get_state()
    np.testing.assert_array_equal(out, fitted.transform(row))
    assert Scaler(7, method).update(table[:100]).update(table[100:]).get_state() == running.get_state()


@pytest.mark.parametrize("call", ["transform", "inverse_transform"])
@pytest.mark.parametrize("method", METHODS)
def test_in_place_and_float32(table, method, call):
    call = getattr(Scaler(7, method).fit(table), call)
    before = table.copy()
    expected = call(table)
    np.testing.assert_array_equal(table, before)
    assert expected.ctypes.data % 64 == 0
    out32 = np.empty(table.shape, np.float32)
    assert call(table, out32) is out32
    np.testing.assert_array_equal(out32, expected.astype(np.float32))
    row = table[7].copy()
    assert call(row, out=row) is row
    np.testing.assert_array_equal(row, expected[7])
    assert call(table, out=table) is table
    np.testing.assert_array_equal(table, expected)


@pytest.mark.parametrize("method", METHODS)
def test_symbols(table, method):
    # a row per symbol, all through one read-only view that is overwritten tick by tick
    block = np.empty((20, 7))
    view = block[:]
    view.flags.writeable = False
    fitted, running, out = Scaler(7, method).fit(table), Scaler(7, method), np.empty_like(block)
    for tick in table.reshape(25, 20, 7):
        block[:] = tick
        if method != "robust":
            assert running.update(view) is running
        assert fitted.transform(view, out) is out
        np.testing.assert_array_equal(out, fitted.transform(tick))
        assert fitted.inverse_transform(out, out) is out
        np.testing.assert_allclose(out, tick, rtol=1e-12)
        np.testing.assert_array_equal(block, tick)
    if method != "robust":
        assert running.get_state() == fitted.get_state()
    assert running.fit(view).get_state() == Scaler(7, method).fit(tick).get_state()
    with pytest.raises(ValueError, match="out must be writeable"):
        running.transform(view, view)


def test_inverse_transform(table):
    for method in METHODS:
        scaler = Scaler(7, method).fit(table)
        np.testing.assert_allclose(scaler.inverse_transform(scaler.transform(table)), table, rtol=1e-12)
        assert scaler.inverse_transform(np.full(7, 9.0))[5] == 3.25  # never varied: back to its shift
        assert np.isnan(scaler.inverse_transform(np.full(7, np.nan))).all()
    standard, minmax, robust = (Scaler(7, method).fit(table) for method in METHODS)
    zeros, ones = np.zeros(7), np.ones(7)
    np.testing.assert_array_equal(standard.inverse_transform(zeros), standard.means)
    np.testing.assert_array_equal(standard.inverse_transform(ones), standard.means + standard.deviations)
    np.testing.assert_array_equal(minmax.inverse_transform(zeros), minmax.minima)
    np.testing.assert_allclose(minmax.inverse_transform(ones), minmax.maxima, rtol=1e-15)
    np.testing.assert_array_equal(robust.inverse_transform(zeros), robust.medians)
    np.testing.assert_array_equal(robust.inverse_transform(ones), robust.medians + robust.quantile_spans)


@pytest.mark.parametrize("method", METHODS)
def test_nothing_seen(method):
    scaler = Scaler(2, method)
    for _ in range(2):
        assert np.isnan(scaler.transform(np.ones(2))).tolist() == [True, True]
        assert np.isnan(scaler.inverse_transform(np.ones(2))).tolist() == [True, True]
        for name in ("means", "deviations", "minima", "maxima", "medians", "quantile_spans"):
            assert np.isnan(getattr(scaler, name)).all()
        scaler.fit(np.full((3, 2), np.nan))
    scaler.fit(np.array([[np.nan, 1.0], [np.nan, 2.0]]))
    for call in (scaler.transform, scaler.inverse_transform):
        assert np.isnan(call(np.ones(2))).tolist() == [True, False]


def test_state(table):
    scaler = Scaler(7, "minmax").fit(table[:200])
    others = [pickle.loads(pickle.dumps(scaler)), Scaler(7, "minmax")]
    others[1].set_state(scaler.get_state())
    scaler.update(table[200:])
    for other in others:
        assert other.update(table[200:]).get_state() == scaler.get_state()
    state = scaler.get_state()
    for bad, message in (
        (b"", "not what Scaler.get_state returns"),
        (Scaler(7).get_state(), "method 'standard'"),
        (Scaler(6, "minmax").get_state(), "of 6 features"),
        (state[:-8], f"{8 * 7 * 7 - 8} bytes behind its header, expected {8 * 7 * 7}"),
        (state[:-1] + bytes([state[-1] ^ 1]), "damaged"),
        (state[:4] + b"\1" + state[5:], "state has version 1, expected 3"),
        (state[:8] + b"\7" + state[9:], "method 7"),
    ):
        with pytest.raises(ValueError, match=message):
            scaler.set_state(bad)
        assert scaler.get_state() == state


def test_state_of_robust(table):
    scaler = Scaler(7, "robust", quantile_range=(10, 90)).fit(table)
    others = [pickle.loads(pickle.dumps(scaler)), Scaler(7, "robust", quantile_range=(10, 90))]
    others[1].set_state(scaler.get_state())
    for other in others:
        assert repr(other) == repr(scaler) == "Scaler(7, 'robust', quantile_range=(10.0, 90.0))"
        assert other.get_state() == scaler.get_state()
        np.testing.assert_array_equal(other.medians, scaler.medians)
        np.testing.assert_array_equal(other.transform(table), scaler.transform(table))
    state = scaler.get_state()
    for bad, message in (
        (Scaler(7, "robust").fit(table).get_state(), r"quantile_range \(25.0, 75.0\); expected.*\(10.0, 90.0\)"),
        (Scaler(7).fit(table).get_state(), "method 'standard'"),
        (state[:-1] + bytes([state[-1] ^ 1]), "damaged"),
    ):
        with pytest.raises(ValueError, match=message):
            scaler.set_state(bad)
        assert scaler.get_state() == state


def test_bad_input():
    for features, error in ((0, ValueError), (-1, ValueError), (2.0, TypeError), (True, TypeError)):
        with pytest.raises(error, match="features must be"):
            Scaler(features)
    with pytest.raises(ValueError, match="method must be 'standard', 'minmax' or 'robust', not 'quantile'"):
        Scaler(2, "quantile")
    for quantile_range, error, message in (
        (None, ValueError, "two numbers, not None"),
        ((25,), ValueError, r"two numbers, not \(25,\)"),
        (("25", "75"), TypeError, "two real numbers"),
        ((True, 75), TypeError, "two real numbers"),
        ((75, 25), ValueError, "rising and from 0 to 100"),
        ((50, 50), ValueError, "rising and from 0 to 100"),
        ((-1, 75), ValueError, "rising and from 0 to 100"),
        ((25, 100.5), ValueError, "rising and from 0 to 100"),
        ((np.nan, 75), ValueError, "rising and from 0 to 100"),
    ):
        with pytest.raises(error, match=f"quantile_range must be {message}"):
            Scaler(2, "robust", quantile_range=quantile_range)
    with pytest.raises(ValueError, match=r"quantile_range=\(10.0, 90.0\) is for method='robust'"):
        Scaler(2, quantile_range=(10, 90))


@pytest.mark.parametrize("method", METHODS)
def test_bad_array(method):
    scaler = Scaler(2, method).fit(np.arange(6.0).reshape(3, 2))
    state = scaler.get_state()
    x = np.ones((4, 2))
    learning = [scaler.fit] if method == "robust" else [scaler.fit, scaler.update]
    scaling = [scaler.transform, scaler.inverse_transform]
    for bad, error, message in (
        ([1.0, 2.0], TypeError, "x must be an ndarray, not list"),
        (x.astype(np.float32), TypeError, "x must be float64, not float32"),
        (np.ones(3), ValueError, r"x must have shape \(2,\) or \(n, 2\), not \(3,\)"),
        (np.asfortranarray(x), ValueError, "x must be C-contiguous"),
        (np.array([1, np.inf]), ValueError, "x must be finite or NaN, not inf"),
    ):
        for call in learning if "finite" in message else learning + scaling:
            with pytest.raises(error, match=message):
                call(bad)
        assert scaler.get_state() == state
    frozen = x.copy()
    frozen.flags.writeable = False
    block = np.ones(9)
    for call in scaling:
        for out, error, message in (
            (np.ones((3, 2)), ValueError, r"out must have the shape of x, \(4, 2\)"),
            (frozen, ValueError, "out must be writeable"),
            (x.astype(int), TypeError, "out must be float64 or float32"),
        ):
            with pytest.raises(error, match=message):
                call(x, out)
        with pytest.raises(ValueError, match="x itself"):
            call(block[:8].reshape(4, 2), block[1:].reshape(4, 2))


@given(arrays(np.float64, st.tuples(st.integers(1, 30), st.just(3)), elements=st.floats(-1e6, 1e6, width=64)))
@settings(deadline=None, max_examples=60)
def test_any_table(x):
    y = Scaler(3).fit(x).transform(x)
    assert np.isfinite(y).all()
    assert np.abs(y).max() <= np.sqrt(len(x)) * 1.01


# width 32 and no subnormals: spans whose squares and reciprocals float64 has
ELEMENTS = st.one_of(
    st.just(np.nan), st.sampled_from([0.0, 1.0]), st.floats(-1e6, 1e6, width=32, allow_subnormal=False)
)
TABLES = arrays(np.float64, st.tuples(st.integers(1, 30), st.just(3)), elements=ELEMENTS)


@given(TABLES, st.sampled_from(METHODS))
@settings(deadline=None, max_examples=150)
def test_any_table_there_and_back(x, method):
    scaler = Scaler(3, method).fit(x)
    y = scaler.transform(x)
    np.testing.assert_array_equal(np.isnan(y), np.isnan(x))
    assert (y[~np.isnan(x) & (scaler.minima == scaler.maxima)] == 0).all()
    size = np.fmax(np.abs(scaler.minima), np.abs(scaler.maxima))
    back = scaler.inverse_transform(y)
    assert (np.isnan(x) | (np.abs(back - x) <= 8 * np.finfo(float).eps * size)).all()


@given(TABLES, st.tuples(st.integers(0, 49), st.integers(50, 100)))
@settings(deadline=None, max_examples=100)
def test_any_table_robust(x, quantile_range):
    scaler = Scaler(3, "robust", quantile_range=quantile_range).fit(x)
    for i, column in enumerate(x.T):
        numbers = column[~np.isnan(column)]
        if len(numbers) == 0:
            assert np.isnan(scaler.medians[i])
            continue
        low, median, high = np.quantile(numbers, [quantile_range[0] / 100, 0.5, quantile_range[1] / 100])
        assert scaler.medians[i] == median
        assert scaler.quantile_spans[i] == high - low >= 0


# --- against scikit-learn ------------------------------------------------------------------------


@pytest.mark.peer
@pytest.mark.parametrize(
    ("method", "theirs", "arguments"),
    [
        ("standard", "StandardScaler", {}),
        ("minmax", "MinMaxScaler", {}),
        ("robust", "RobustScaler", {}),
        ("robust", "RobustScaler", {"quantile_range": (5.0, 99.0)}),
    ],
)
def test_scikit_learn(method, theirs, arguments):
    preprocessing = pytest.importorskip("sklearn.preprocessing")
    rng = np.random.default_rng(1)
    x = rng.standard_t(3, (501, 7)) * 10.0 ** np.arange(-3, 4) + 1
    x[rng.random(x.shape) < 0.1] = np.nan
    x[:, 5] = 3.25  # never varies
    x[:400, 6] = 2.0  # varies, its quartiles are equal
    ours = Scaler(7, method, **arguments).fit(x)
    theirs = getattr(preprocessing, theirs)(**arguments).fit(x)
    y = ours.transform(x)
    np.testing.assert_allclose(y, theirs.transform(x), rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(ours.inverse_transform(y), theirs.inverse_transform(y), rtol=1e-10, atol=1e-10)
