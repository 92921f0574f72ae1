"""The scaler: statistics against NumPy, in place, state, bad input."""

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mlopt.features import Scaler


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


def test_running_is_fitted(table):
    running = Scaler(7)
    for row in table:
        assert running.update(row) is running
    assert running.get_state() == Scaler(7).fit(table).get_state()
    assert Scaler(7).update(table[:100]).update(table[100:]).get_state() == running.get_state()


@pytest.mark.parametrize("method", ["standard", "minmax"])
def test_in_place_and_float32(table, method):
    scaler = Scaler(7, method).fit(table)
    expected = scaler.transform(table)
    out32 = np.empty(table.shape, np.float32)
    assert scaler.transform(table, out32) is out32
    np.testing.assert_array_equal(out32, expected.astype(np.float32))
    row = table[7].copy()
    assert scaler.transform(row, out=row) is row
    np.testing.assert_array_equal(row, expected[7])
    frozen = table.copy()
    frozen.flags.writeable = False
    np.testing.assert_array_equal(scaler.transform(frozen), expected)
    assert scaler.transform(table).ctypes.data % 64 == 0


def test_nothing_seen():
    assert np.isnan(Scaler(2).transform(np.ones(2))).all()
    assert np.isnan(Scaler(2).means).all()


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
        (state[:-8], "damaged"),
        (state[:-1] + bytes([state[-1] ^ 1]), "damaged"),
    ):
        with pytest.raises(ValueError, match=message):
            scaler.set_state(bad)
        assert scaler.get_state() == state


def test_bad_input():
    for features, error in ((0, ValueError), (-1, ValueError), (2.0, TypeError), (True, TypeError)):
        with pytest.raises(error, match="features must be"):
            Scaler(features)
    with pytest.raises(ValueError, match="method must be"):
        Scaler(2, "robust")
    scaler = Scaler(2).fit(np.ones((3, 2)))
    state = scaler.get_state()
    x = np.ones((4, 2))
    for bad, error, message in (
        ([1.0, 2.0], TypeError, "x must be an ndarray, not list"),
        (x.astype(np.float32), TypeError, "x must be float64, not float32"),
        (np.ones(3), ValueError, r"x must have shape \(2,\) or \(n, 2\), not \(3,\)"),
        (np.asfortranarray(x), ValueError, "x must be C-contiguous"),
        (np.array([1, np.inf]), ValueError, "x must be finite or NaN, not inf"),
    ):
        for call in (scaler.update, scaler.fit):
            with pytest.raises(error, match=message):
                call(bad)
        assert scaler.get_state() == state
    frozen = x.copy()
    frozen.flags.writeable = False
    block = np.ones(9)
    for out, error, message in (
        (np.ones((3, 2)), ValueError, r"out must have the shape of x, \(4, 2\)"),
        (frozen, ValueError, "out must be writeable"),
        (x.astype(int), TypeError, "out must be float64 or float32"),
    ):
        with pytest.raises(error, match=message):
            scaler.transform(x, out)
    with pytest.raises(ValueError, match="x itself"):
        scaler.transform(block[:8].reshape(4, 2), block[1:].reshape(4, 2))


@given(arrays(np.float64, st.tuples(st.integers(1, 30), st.just(3)), elements=st.floats(-1e6, 1e6, width=64)))
@settings(deadline=None, max_examples=60)
def test_any_table(x):
    y = Scaler(3).fit(x).transform(x)
    assert np.isfinite(y).all()
    assert np.abs(y).max() <= np.sqrt(len(x)) * 1.01
