"""Bars to test with, and how far features are from the textbook."""

import numpy as np
from features.textbook import highest, lowest, parse, ratio, rsi, series_of, std, textbook

from mlopt.features import FAMILIES


def random_bars(count, seed=0, price=100.0, volatility=0.01, flat=0.02):
    """A random walk, some of it standing still."""
    rng = np.random.default_rng(seed)
    steps = volatility * rng.standard_normal(count) * (rng.random(count) > flat)
    close = price * np.exp(np.cumsum(steps))
    opening = np.concatenate([[price], close[:-1]])
    spread = 1 + volatility * rng.random((2, count)) * (rng.random(count) > flat)
    high = np.maximum(opening, close) * spread[0]
    low = np.minimum(opening, close) / spread[1]
    volume = np.floor(1e6 * rng.lognormal(0, 1, count)) * (rng.random(count) > flat)
    return np.stack([opening, high, low, close, volume], axis=1)


def largest(x, n):
    """The largest |x| of the last n bars, of fewer at the beginning."""
    y, width = np.abs(x), 1
    while width < min(n, len(x)):
        more = min(width, n - width)
        y[more:] = np.maximum(y[more:], y[:-more].copy())
        width += more
    return y


def magnified(x, n):
    """1, or a thousandth of the largest of n values in their standard deviations."""
    return np.nan_to_num(np.maximum(1, ratio(largest(x, n), 1000 * std(x, n))), nan=1.0)


def scale(name, unit, bars, columns=()):
    """What an error of a feature is relative to, beside its value: the size of the numbers it is made of.

    Two things magnify rounding, each by what it divides by:
    the position of the RSI in its range, by 100 / the range;
    deviations from a mean in standard deviations, by the values / their deviation.  A factor of 1000 of it is left out:
    what is asked is 1e-11, rounding is 1e-16.
    """
    b = series_of(bars, columns)
    family, periods, inputs = parse(name)
    reach = 2 * sum(periods) + 1
    if family in ("obv", "accumulation", "chaikin_oscillator"):
        return np.cumsum(b.volume)
    if family in ("stoch_rsi_k", "stoch_rsi_d"):
        strength = rsi(b.close, periods[0])
        span = np.nan_to_num(highest(strength, periods[1]) - lowest(strength, periods[1]), nan=np.inf)
        averaged = periods[2] if family == "stoch_rsi_d" else 1
        return largest(100 * np.maximum(1, 100 / np.maximum(span, 1e-300)), averaged)
    if family in ("trend_correlation", "skew", "kurtosis", "zscore", "correlation", "volume_zscore", "cci"):
        columns_of = {"cci": ["typical"], "volume_zscore": ["volume"]}.get(family, inputs)
        unit_of = 1 / 0.015 if family == "cci" else 1
        return unit_of * np.max([magnified(getattr(b, x), periods[0]) for x in columns_of], axis=0)
    if unit == "input":
        return largest(getattr(b, inputs[0]), reach)
    return {"price": largest(b.close, reach), "volume": largest(b.volume, reach), "percent": 100.0, "1": 1.0}[unit]


def errors(names, table, bars, columns=()):
    """The largest error of each feature, relative to its value and scale; NaN must be where the textbook has it."""
    worst = {}
    for name, column in zip(names, table.T, strict=True):
        expected = textbook(name, bars, columns)
        missing = np.isnan(expected)
        np.testing.assert_array_equal(np.isnan(column), missing, err_msg=name)
        size = np.maximum(np.abs(expected), scale(name, FAMILIES[parse(name)[0]].unit, bars, columns))
        worst[name] = np.max(np.where(missing, 0, relative(np.abs(column - expected), size)), initial=0)
    return worst


def relative(difference, size):
    """An error over what it is relative to; nothing is nothing, whatever that is."""
    return ratio(difference, np.where(difference == 0, 1, size), empty=np.inf)
