"""Series of the caller's own, other series in a name, linear combinations; bars that come late."""

import datetime
import pickle

import numpy as np
import pytest
from features.measure import random_bars

import mlopt
from mlopt.features import Combination, FeatureExtractor

BARS = random_bars(120, seed=21)
SPREAD = np.random.default_rng(21).standard_normal(120) * 3


@pytest.fixture(params=mlopt.available_tiers())
def tier(request):
    with mlopt.use_isa(request.param):
        yield request.param


def rolling(x, n, function):
    y = np.full(len(x), np.nan)
    y[n - 1 :] = function(np.lib.stride_tricks.sliding_window_view(x, n))
    return y


def test_own_columns(tier):
    extractor = FeatureExtractor(
        ["sma_5(spread)", "lag_2(spread)", "zscore_7(spread)", "max_4(spread)", "beta_5(spread,close)", "sma_5"],
        columns=["spread"],
    )
    table = np.array([extractor.update(*bar, x).copy() for bar, x in zip(BARS, SPREAD, strict=True)])
    assert extractor.columns == ("spread",)
    assert extractor.verify() < 1e-12
    mean, deviation = (rolling(SPREAD, n, f) for n, f in ((7, lambda w: w.mean(axis=1)), (7, lambda w: w.std(axis=1))))
    expected = {
        0: rolling(SPREAD, 5, lambda w: w.mean(axis=1)),
        1: np.concatenate([[np.nan] * 2, SPREAD[:-2]]),
        2: (SPREAD - mean) / deviation,
        3: rolling(SPREAD, 4, lambda w: w.max(axis=1)),
        5: rolling(BARS[:, 3], 5, lambda w: w.mean(axis=1)),
    }
    for column, values in expected.items():
        np.testing.assert_allclose(table[:, column], values, rtol=1e-12, atol=1e-12)
    rates = np.stack([SPREAD[1:] / SPREAD[:-1] - 1, BARS[1:, 3] / BARS[:-1, 3] - 1])
    x, y = (np.lib.stride_tricks.sliding_window_view(rate, 5) for rate in rates)
    slope = [np.cov(a, b, bias=True)[0, 1] / np.var(a) for a, b in zip(x, y, strict=True)]
    np.testing.assert_allclose(table[5:, 4], slope, rtol=1e-9)

    history = np.column_stack([BARS, SPREAD])
    assert np.array_equal(extractor.transform(history), table, equal_nan=True)
    peeked = extractor.peek(*BARS[0], 1.0).copy()
    restored = pickle.loads(pickle.dumps(extractor))
    assert np.array_equal(restored.update(*BARS[0], 1.0), peeked, equal_nan=True)


def test_columns_of_frames():
    pandas = pytest.importorskip("pandas")
    names = ("open", "high", "low", "close", "volume")
    frame = pandas.DataFrame(dict(zip(names, BARS.T, strict=True)) | {"Spread": SPREAD})
    extractor = FeatureExtractor(["sma_5(spread)"], columns=["spread"])
    expected = extractor.transform(np.column_stack([BARS, SPREAD]))
    assert np.array_equal(extractor.transform(frame), expected, equal_nan=True)
    with pytest.raises(ValueError, match="no column 'spread'"):
        extractor.transform(frame.drop(columns="Spread"))


def test_series_in_a_name():
    table = FeatureExtractor(["volume_sma_5", "sma_5(volume)", "sma_5", "sma_5(close)", "rsi_4", "rsi_4(high)"])
    out = table.transform(BARS)
    assert np.array_equal(out[:, 0], out[:, 1], equal_nan=True)
    assert np.array_equal(out[:, 2], out[:, 3], equal_nan=True)
    highs = BARS.copy()
    highs[:, :4] = BARS[:, 1:2]
    np.testing.assert_allclose(out[:, 5], FeatureExtractor(["rsi_4"]).transform(highs)[:, 0], rtol=1e-12)
    spaced = FeatureExtractor(["correlation_5(close, volume)"]).transform(BARS)
    assert np.array_equal(spaced, FeatureExtractor(["correlation_5(close,volume)"]).transform(BARS), equal_nan=True)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("sma_5(money)", "no series 'money'.*there are open, high, low, close, volume, typical"),
        ("sma_5(close,high)", "names 2 series, 'sma' takes 1 series"),
        ("correlation_5(close)", "names 1 series, 'correlation' takes 2 series"),
        ("atr_5(close)", "is of whole bars and takes no series"),
        ("sma_5()", "no series ''"),
        ("sma(close)_5", "no feature"),
        ("sma_5((close))", "no feature"),
    ],
)
def test_bad_series(name, message):
    with pytest.raises(ValueError, match=message):
        FeatureExtractor([name])


@pytest.mark.parametrize(
    ("columns", "error", "message"),
    [
        ("spread", TypeError, "sequence of names"),
        ([3], TypeError, "must be a string, not int"),
        (["close"], ValueError, "'close' must be a word that is not the name of a bar's own series"),
        (["a b"], ValueError, "'a b' must be a word"),
        (["timestamp"], ValueError, "'timestamp' must be a word"),
        (["x", "x"], ValueError, "'x' is there twice"),
        ([f"x{i}" for i in range(65)], ValueError, "at most 64, not 65"),
    ],
)
def test_bad_columns(columns, error, message):
    with pytest.raises(error, match=message):
        FeatureExtractor(columns=columns)


def test_bars_with_the_wrong_columns():
    extractor = FeatureExtractor(["sma_2(x)"], columns=["x", "y"])
    for more in ((), (1.0,), (1.0, 2.0, 3.0)):
        with pytest.raises(TypeError, match=f"{len(more)} columns behind its volume, expected 2: x, y"):
            extractor.update(*BARS[0], *more)
    with pytest.raises(TypeError):
        extractor.update(*BARS[0], "a", 1.0)
    for bad in (np.nan, np.inf, -1e101):
        with pytest.raises(ValueError, match="y must be a finite number"):
            extractor.update(*BARS[0], 0.0, bad)
    assert extractor.bars_seen == 0
    extractor.update(*BARS[0], 0.0, -5.0)
    with pytest.raises(ValueError, match=r"shape \(n, 7\): open, high, low, close, volume, x, y"):
        extractor.transform(BARS)


def test_most_columns(tier):
    columns = [f"x{i}" for i in range(64)]
    rng = np.random.default_rng(3)
    bars = np.column_stack([BARS[:40], rng.standard_normal((40, 64))])
    extractor = FeatureExtractor([f"sma_3({name})" for name in columns], columns=columns)
    for t, bar in enumerate(bars):
        vector = extractor.update(*bar)
        if t >= 2:
            np.testing.assert_allclose(vector, bars[t - 2 : t + 1, 5:].mean(axis=0), rtol=1e-12, atol=1e-14)
    assert extractor.verify() < 1e-12


# --- combinations --------------------------------------------------------------------------------


def test_combination(tier):
    spread = Combination("trend", {"sma_3": 2.0, "sma_5": -1.5, "momentum_2": 0.25}, offset=7.0)
    extractor = FeatureExtractor(
        ["sma_3", "sma_5", "momentum_2", spread, Combination("half", {"sma_3": 0.5}, offset=1)]
    )
    assert extractor.names[3:] == ("trend", "half")
    table = extractor.transform(BARS)
    np.testing.assert_allclose(table[:, 3], table[:, :3] @ [2.0, -1.5, 0.25] + 7, rtol=1e-12)
    np.testing.assert_allclose(table[:, 4], table[:, 0] / 2 + 1, rtol=1e-15)
    assert extractor.warm_up(BARS).verify() < 1e-12
    assert pickle.loads(pickle.dumps(extractor)).names == extractor.names


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("a b", {"sma_3": 1}), ValueError, "name must be a word"),
        (("x", {}), ValueError, "must name at least one"),
        (("x", {"sma_3": np.nan}), ValueError, "must be finite"),
        (("x", {"sma_3": 1}, np.inf), ValueError, "must be finite"),
        (("x", ["sma_3"]), TypeError, "must be a mapping"),
    ],
)
def test_bad_combinations(arguments, error, message):
    with pytest.raises(error, match=message):
        Combination(*arguments)
    with pytest.raises(ValueError, match="no feature 'nothing_3'"):
        FeatureExtractor([Combination("x", {"nothing_3": 1})])
    with pytest.raises(ValueError, match="'sma_3' is there twice"):
        FeatureExtractor(["sma_3", Combination("sma_3", {"sma_4": 1})])


# --- timestamps ----------------------------------------------------------------------------------


def test_late_bars():
    extractor = FeatureExtractor(["sma_2"])
    extractor.update(*BARS[0], timestamp=10)
    state = extractor.get_state()
    for late in (10, 9, -1):
        with pytest.raises(ValueError, match="timestamp must be later than that of the bar before"):
            extractor.update(*BARS[1], timestamp=late)
        assert extractor.get_state() == state
    extractor.update(*BARS[1], timestamp=11)
    other = pickle.loads(pickle.dumps(extractor))
    with pytest.raises(ValueError, match="timestamp must be later"):
        other.update(*BARS[2], timestamp=11)
    assert other.update(*BARS[2]) is not None  # none given: not looked at
    with pytest.raises(TypeError, match="timestamp must be an integer or a time"):
        extractor.update(*BARS[2], timestamp="noon")
    extractor.reset()
    extractor.update(*BARS[0], timestamp=-(2**62))


def test_a_bad_bar_takes_no_time():
    extractor = FeatureExtractor(["sma_2"], on_bad="skip")
    extractor.update(*BARS[0], timestamp=1)
    assert extractor.update(1.0, 0.5, 1.0, 1.0, 1.0, timestamp=5) is None
    assert extractor.update(*BARS[1], timestamp=1) is None
    assert extractor.update(*BARS[1], timestamp=2) is not None


@pytest.mark.parametrize(
    "times",
    [
        [datetime.datetime(2024, 1, 2), datetime.datetime(2024, 1, 3)],
        [np.datetime64("2024-01-02"), np.datetime64("2024-01-02T00:00:01")],
        [1, np.int64(2)],
    ],
)
def test_forms_of_time(times):
    extractor = FeatureExtractor(["sma_2"])
    for bar, time in zip(BARS, times, strict=False):
        extractor.update(*bar, timestamp=time)
    with pytest.raises(ValueError, match="timestamp must be later"):
        extractor.update(*BARS[2], timestamp=times[0])


def test_late_bars_of_many():
    bars = np.stack([BARS[:3]] * 3, axis=1)
    extractor = FeatureExtractor(["sma_2"], 3, on_bad="hold")
    for t, times in enumerate(([5, 6, 7], 7)):
        extractor.update(*bars[t].T, timestamp=times)
    assert extractor.bars_seen.tolist() == [2, 2, 1]  # 7 is not later than 7
    extractor.update(*bars[2].T, timestamp=[8, 9, 10], where=[True, False, True])
    assert extractor.bars_seen.tolist() == [3, 2, 2]
    extractor.update(*bars[2].T, timestamp=9)
    assert extractor.bars_seen.tolist() == [4, 3, 2]
    strict = FeatureExtractor(["sma_2"], 3)
    strict.update(*bars[0].T, timestamp=[5, 6, 7])
    before = strict.get_state()
    with pytest.raises(ValueError, match="symbol 1: timestamp must be later"):
        strict.update(*bars[1].T, timestamp=6)
    assert strict.get_state() == before


def test_late_bars_in_a_history():
    pandas = pytest.importorskip("pandas")
    names = ("open", "high", "low", "close", "volume")
    times = pandas.date_range("2024-01-01", periods=120)
    frame = pandas.DataFrame(dict(zip(names, BARS.T, strict=True)), index=times)
    extractor = FeatureExtractor(["sma_3"])
    expected = extractor.transform(BARS)
    assert np.array_equal(extractor.transform(frame), expected, equal_nan=True)
    shuffled = frame.iloc[[0, 1, 3, 2, 4, 5]]
    with pytest.raises(ValueError, match="bars: bar 3: timestamp must be later"):
        extractor.transform(shuffled)
    skipped = FeatureExtractor(["sma_3"], on_bad="skip").transform(shuffled)
    assert np.isnan(skipped[3]).all()
    assert np.array_equal(skipped[[2, 4, 5]], extractor.transform(frame.iloc[[0, 1, 3, 4, 5]])[2:], equal_nan=True)
    warmed = FeatureExtractor(["sma_3"]).warm_up(frame.iloc[:50])
    with pytest.raises(ValueError, match="bar 0: timestamp must be later"):
        warmed.warm_up(frame.iloc[49:])
    assert warmed.warm_up(frame.iloc[50:]).bars_seen == 120
    intraday = frame.assign(date="2024-01-01", time=np.arange(120)).reset_index(drop=True)
    assert np.array_equal(extractor.transform(intraday), expected, equal_nan=True)
