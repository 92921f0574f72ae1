"""The table of features: name, formula, unit, TA-Lib's name, and how each is built.

A feature's name is its family and its periods: ``sma_20``, ``macd_12_26_9``; periods at the end may be
left out where the table gives defaults (``macd``).  Families of one series take another in parentheses: ``sma_20(volume)``,
``zscore_50(spread)`` where the caller has a column of that name.  Where TA-Lib has the function, the definition is
TA-Lib's, initialisation included.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from mlopt.features import graph as g
from mlopt.features.graph import Term, Value, series

__all__ = ["DEFAULT_FEATURES", "FAMILIES", "Combination", "Family", "Feature", "feature_of", "parse_feature"]

MAXIMUM_PERIOD = 10_000
# the series that a name may give in parentheses
INPUTS = ("open", "high", "low", "close", "volume", "typical")


@dataclass(frozen=True)
class Family:
    """One row of the table.

    Attributes
    ----------
    name : str
        What stands before the periods in a feature's name.
    formula : str
        n, m, k are the periods in the order of the name; C, H, L, O, V the bar, T its typical price; X (and Y) what a name
        may give in parentheses; x' the value one bar before, x[n] the one n bars before.
    unit : str
        "price", "volume", "percent", "1" or "input": that of X.
    build : callable
        Makes the feature's value from its inputs and periods.
    periods : tuple
        One entry per period: its default, or None where the name must give it.
    minimum : int
        The smallest period.
    talib : str or None
        The function in TA-Lib, with its output where it has several.
    inputs : tuple of str
        The series it is of where the name gives none in parentheses; empty where it is of whole bars.
    window : bool
        Whether a bar costs one vector pass over the window, not constant time.
    source : str
        Who defined it, where it is not TA-Lib's or a plain statistic.
    group : str
        The heading it stands under.
    """

    name: str
    formula: str
    unit: str
    build: Callable[..., Value]
    periods: tuple[int | None, ...] = ()
    minimum: int = 1
    talib: str | None = None
    inputs: tuple[str, ...] = ()
    window: bool = False
    source: str = ""
    group: str = ""


@dataclass(frozen=True)
class Feature:
    """One feature: a family with its inputs and periods, or a combination of others."""

    name: str
    family: Family
    periods: tuple[int, ...]
    value: Value
    inputs: tuple[str, ...] = ()

    @property
    def lookback(self) -> int:
        """How many bars come before the first one that has the feature."""
        return self.value.ready


@dataclass(frozen=True)
class Combination:
    """A feature that is a linear combination of others.

    Attributes
    ----------
    name : str
        The feature's name.
    weights : mapping of str to float
        Features by name, each with its weight.
    offset : float
        What is added to the sum.

    Examples
    --------
    >>> from mlopt.features import Combination, FeatureExtractor
    >>> spread = Combination("spread", {"sma_2": 1.0, "sma_3": -1.0})
    >>> FeatureExtractor([spread]).transform([[10, 11, 9, 10, 5], [10, 13, 10, 13, 5], [13, 13, 12, 13, 5]])
    array([[nan],
           [nan],
           [ 1.]])
    """

    name: str
    weights: Mapping[str, float]
    offset: float = 0.0

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not re.fullmatch(r"[A-Za-z_]\w*", self.name):
            raise ValueError(f"name must be a word of letters, digits and underscores, not {self.name!r}")
        if not isinstance(self.weights, Mapping):
            raise TypeError(f"weights must be a mapping of feature names, not {type(self.weights).__name__}")
        if not self.weights:
            raise ValueError(f"weights of {self.name!r} must name at least one feature")
        for number in (*self.weights.values(), self.offset):
            if not math.isfinite(number):
                raise ValueError(f"weights and offset of {self.name!r} must be finite, not {number!r}")


opening, high, low, close, volume, typical = map(series, ("open", "high", "low", "close", "volume", "typical"))
bar_range = series("range")
log_range_squared = g.product(g.logarithm(high, low), g.logarithm(high, low))


def change_rate(x: Value, n: int, scale: float = 1.0) -> Value:
    return g.quotient((x, -1, g.lag(x, n)), g.lag(x, n), scale=scale)


def middle(n: int) -> Value:
    return g.linear((g.highest(high, n), 1, g.lowest(low, n)), scale=0.5)


def sum_of(terms: Sequence[tuple[float, Value]], offset: float = 0.0) -> Value:
    """The terms, each with its weight, one after another."""
    (weight, value), *others = terms
    result = g.linear(value, weight, 0.0 if others else offset)
    for i, (weight, value) in enumerate(others, 1):
        result = g.linear((result, weight, value), offset=offset if i == len(others) else 0.0)
    return result


def double_average(x: Value, n: int) -> Value:
    once = g.average(x, n)
    return g.linear((g.linear(once, 2), -1, g.average(once, n)))


def triple_average(x: Value, n: int) -> Value:
    once = g.average(x, n)
    twice = g.average(once, n)
    return g.linear((g.linear((once, -1, twice), 3), 1, g.average(twice, n)))


def triangular(x: Value, n: int) -> Value:
    return g.mean(g.mean(x, (n + 1) // 2), n // 2 + 1)


def hull(x: Value, n: int) -> Value:
    difference = g.linear((g.linear(g.weighted_mean(x, n // 2), 2), -1, g.weighted_mean(x, n)))
    return g.weighted_mean(difference, math.isqrt(n))


def kaufman(x: Value, n: int) -> Value:
    path = g.total(g.distance((x, -1, g.lag(x, 1))), n)
    efficiency = g.quotient(g.distance((x, -1, g.lag(x, n))), path, empty=1)
    slowest = 2 / 31
    weight = g.linear(efficiency, 2 / 3 - slowest, slowest)
    return g.adaptive(x, g.product(weight, weight))


def trix(x: Value, n: int) -> Value:
    return change_rate(g.average(g.average(g.average(x, n), n), n), 1, 100)


def slope(x: Value, n: int) -> Value:
    return g.linear((g.weighted_mean(x, n), -1, g.mean(x, n)), 6 / (n - 1))


def regression_end(x: Value, n: int, ahead: int = 0) -> Value:
    # the line's value at the last bar is 3 wma - 2 sma
    weighted, plain = g.weighted_mean(x, n), g.mean(x, n)
    return g.linear((plain, 3 + 6 * ahead / (n - 1), g.linear((weighted, -1, plain))))


def trend_correlation(x: Value, n: int) -> Value:
    mean, deviation = g.moments(x, n)
    return g.quotient((g.weighted_mean(x, n), -1, mean), deviation, scale=(n + 1) / 2 / math.sqrt((n * n - 1) / 12))


def macd(x: Value, fast: int, slow: int, _signal: int = 0) -> Value:
    # both averages begin together: the faster one is seeded later than it could be
    fast, slow = sorted((fast, slow))
    return g.linear((g.average(x, fast, start=x.ready + slow - fast), -1, g.average(x, slow)))


def macd_signal(x: Value, fast: int, slow: int, signal: int) -> Value:
    return g.average(macd(x, fast, slow), signal)


def gains(x: Value) -> tuple[Value, Value]:
    """What `x` rose by since the last bar, and fell by."""
    if x == close:
        return series("gain"), series("loss")
    change = g.linear((x, -1, g.lag(x, 1)))
    size = g.distance(change)
    return g.linear((size, 1, change), 0.5), g.linear((size, -1, change), 0.5)


def rsi(x: Value, n: int) -> Value:
    gain, loss = (g.wilder(side, n) for side in gains(x))
    return g.quotient(gain, (gain, 1, loss), scale=100)


def chande_momentum(x: Value, n: int) -> Value:
    gain, loss = (g.wilder(side, n) for side in gains(x))
    return g.quotient((gain, -1, loss), (gain, 1, loss), scale=100)


def within(x: Value, bottom: Value, top: Value, scale: float = 1.0) -> Value:
    return g.quotient((x, -1, bottom), (top, -1, bottom), scale=scale)


def stochastic(n: int) -> Value:
    return within(close, g.lowest(low, n), g.highest(high, n), 100)


def stochastic_k(n: int, slow: int, _slow_d: int = 0) -> Value:
    return g.mean(stochastic(n), slow)


def stochastic_rsi(n: int, k: int, _d: int = 0) -> Value:
    strength = rsi(close, n)
    return within(strength, g.lowest(strength, k), g.highest(strength, k), 100)


def ultimate(n: int, m: int, k: int) -> Value:
    parts = [g.quotient(g.total(series("buying"), p), g.total(series("true_range"), p)) for p in sorted((n, m, k))]
    return sum_of([(400 / 7, parts[0]), (200 / 7, parts[1]), (100 / 7, parts[2])])


def aroon(n: int, side: int) -> Value:
    extreme = g.highest(high, n + 1) if side > 0 else g.lowest(low, n + 1)
    return g.linear(g.age(extreme), -100 / n, 100)


def directional(n: int, side: str) -> Value:
    # Wilder's sums, as averages: n - 1 values, then one step before the first that counts
    movement, true_range = (
        g.average(series(name), n, 1 / n, seeds=n - 1, divisor=n, ready=n) for name in (f"{side}_movement", "true_range")
    )
    return g.quotient(movement, true_range, scale=100)


def directional_index(n: int) -> Value:
    plus, minus = directional(n, "plus"), directional(n, "minus")
    return g.quotient(g.distance((plus, -1, minus)), (plus, 1, minus), scale=100)


def directional_average(n: int) -> Value:
    return g.wilder(directional_index(n), n)


def bollinger(x: Value, n: int, deviations: float) -> Value:
    mean, deviation = g.moments(x, n)
    return g.linear((mean, deviations, deviation))


def percent_b(x: Value, n: int) -> Value:
    # (X - mean + 2 s) / (4 s), with one subtraction of prices
    mean, deviation = g.moments(x, n)
    return g.quotient((x, -1, mean), deviation, scale=0.25, offset=0.5)


def bollinger_width(x: Value, n: int) -> Value:
    mean, deviation = g.moments(x, n)
    return g.quotient(deviation, mean, scale=4)


def zscore(x: Value, n: int) -> Value:
    mean, deviation = g.moments(x, n)
    return g.quotient((x, -1, mean), deviation)


def squared(x: Value) -> Value:
    return g.product(x, x)


def keltner(n: int, m: int, ranges: float) -> Value:
    return g.linear((g.average(close, n), ranges, true_range_average(m)))


def correlation(x: Value, y: Value, n: int) -> Value:
    return g.quotient(g.covariance(x, y, n), g.product(g.moments(x, n)[1], g.moments(y, n)[1]))


def beta(x: Value, y: Value, n: int) -> Value:
    of_x, of_y = change_rate(x, 1), change_rate(y, 1)
    return g.quotient(g.covariance(of_x, of_y, n), squared(g.moments(of_x, n)[1]))


def money_flow_index(n: int) -> Value:
    inflow, outflow = g.total(series("inflow"), n), g.total(series("outflow"), n)
    return g.quotient(inflow, (inflow, 1, outflow), scale=100)


def true_range_average(n: int) -> Value:
    return g.wilder(series("true_range"), n)


def accumulation() -> Value:
    """The volume of a bar, by where in its range it closes: all of it at the high, minus all at the low."""
    return g.product(close_location(), volume)


def close_location() -> Value:
    # of differences alone, which are exact where the range is small
    return g.quotient((g.linear((close, -1, low)), -1, g.linear((high, -1, close))), bar_range)


def chaikin_oscillator(fast: int, slow: int) -> Value:
    line = g.running(accumulation())
    # TA-Lib begins both averages with the line's first value
    fast_average, slow_average = (g.average(line, n, seeds=1, ready=max(fast, slow) - 1) for n in (fast, slow))
    return g.linear((fast_average, -1, slow_average))


def garman_klass(n: int) -> Value:
    body = squared(g.logarithm(close, opening))
    variance = sum_of([(0.5, log_range_squared), (1 - 2 * math.log(2), body)])
    return g.root(g.mean(variance, n))


def rogers_satchell_terms() -> Value:
    up = g.product(g.logarithm(high, close), g.logarithm(high, opening))
    return g.linear((up, 1, g.product(g.logarithm(low, close), g.logarithm(low, opening))))


def yang_zhang(n: int) -> Value:
    weight = 0.34 / (1.34 + (n + 1) / (n - 1))
    overnight = squared(g.moments(g.logarithm(opening, g.lag(close, 1)), n)[1])
    body = squared(g.moments(g.logarithm(close, opening), n)[1])
    sample = n / (n - 1)
    inner = g.mean(rogers_satchell_terms(), n)
    return g.root(sum_of([(sample, overnight), (sample * weight, body), (1 - weight, inner)]))


CLOSE = ("close",)

# by heading: name, formula, unit, how it is built, periods, smallest period, TA-Lib's name
_TABLE: dict[str, tuple[Family, ...]] = {
    "Returns and lags": (
        Family("return", "X / X[n] - 1", "1", change_rate, (None,), talib="ROCP", inputs=CLOSE),
        Family("log_return", "log(C / C[n])", "1", lambda n: g.logarithm(close, g.lag(close, n)), (None,)),
        Family("gap", "O / C' - 1", "1", lambda: g.quotient((opening, -1, g.lag(close, 1)), g.lag(close, 1))),
        Family("roc", "100 (X / X[n] - 1)", "percent", lambda x, n: change_rate(x, n, 100), (None,), 1, "ROC", CLOSE),
        Family("momentum", "X - X[n]", "input", lambda x, n: g.linear((x, -1, g.lag(x, n))), (None,), 1, "MOM", CLOSE),
        Family("lag", "X[n]", "input", g.lag, (None,), inputs=CLOSE),
    ),
    "Averages": (
        Family("sma", "sum(X, n) / n", "input", g.mean, (None,), 1, "SMA", CLOSE),
        Family("ema", "y' + 2/(n+1) (X - y'), seeded with sma_n", "input", g.average, (None,), 1, "EMA", CLOSE),
        Family("wma", "mean of n values weighted 1 to n", "input", g.weighted_mean, (None,), 1, "WMA", CLOSE),
        Family("dema", "2 ema - ema(ema)", "input", double_average, (None,), 1, "DEMA", CLOSE),
        Family("tema", "3 ema - 3 ema(ema) + ema(ema(ema))", "input", triple_average, (None,), 1, "TEMA", CLOSE),
        Family("trima", "sma(sma(X, (n+1) / 2), n / 2 + 1)", "input", triangular, (None,), 1, "TRIMA", CLOSE),
        Family(
            "kama",
            "y' + (e (2/3 - 2/31) + 2/31)^2 (X - y'), e = |X - X[n]| / sum(|X - X'|, n)",
            "input", kaufman, (None,), 2, "KAMA", CLOSE, source="P. J. Kaufman, Smarter Trading (1995)",
        ),
        Family(
            "hull", "wma(2 wma(X, n / 2) - wma(X, n), sqrt(n)), whole numbers", "input", hull, (None,), 2, inputs=CLOSE,
            source="A. Hull (2005)",
        ),
    ),
    "Trend": (
        Family("macd", "ema_n - ema_m, seeded at the same bar", "input", macd, (12, 26, 9), 2, "MACD[0]", CLOSE),
        Family("macd_signal", "ema(macd, k)", "input", macd_signal, (12, 26, 9), 2, "MACD[1]", CLOSE),
        Family(
            "macd_histogram", "macd - macd_signal", "input",
            lambda x, n, m, k: g.linear((macd(x, n, m), -1, macd_signal(x, n, m, k))), (12, 26, 9), 2, "MACD[2]", CLOSE,
        ),
        Family(
            "price_oscillator", "100 (sma_n - sma_m) / sma_m", "percent",
            lambda x, n, m: g.quotient((g.mean(x, n), -1, g.mean(x, m)), g.mean(x, m), scale=100),
            (12, 26), 2, "PPO", CLOSE,
        ),
        Family("trix", "roc_1 of ema(ema(ema(X, n), n), n)", "percent", trix, (None,), 1, "TRIX", CLOSE),
        Family("plus_di", "100 DM+ / TR, Wilder's sums", "percent", lambda n: directional(n, "plus"), (None,), 2, "PLUS_DI"),
        Family(
            "minus_di", "100 DM- / TR, Wilder's sums", "percent", lambda n: directional(n, "minus"), (None,), 2, "MINUS_DI",
        ),
        Family("dx", "100 |plus_di - minus_di| / (plus_di + minus_di)", "percent", directional_index, (None,), 2, "DX"),
        Family("adx", "Wilder's average of dx", "percent", directional_average, (None,), 2, "ADX"),
        Family(
            "adxr", "(adx + adx[n-1]) / 2", "percent",
            lambda n: g.linear((directional_average(n), 1, g.lag(directional_average(n), n - 1)), 0.5), (None,), 2, "ADXR",
        ),
        Family("aroon_up", "100 (n - bars since max(H, n+1)) / n", "percent", lambda n: aroon(n, 1), (None,), 2, "AROON[1]",
               window=True),
        Family("aroon_down", "100 (n - bars since min(L, n+1)) / n", "percent", lambda n: aroon(n, -1), (None,), 2,
               "AROON[0]", window=True),
        Family("aroon_oscillator", "aroon_up - aroon_down", "percent",
               lambda n: g.linear((aroon(n, 1), -1, aroon(n, -1))), (None,), 2, "AROONOSC", window=True),
        Family(
            "sar", "parabolic stop and reverse; acceleration n %, at most m %", "price",
            lambda n, m: g.parabolic(high, low, min(n, m) / 100, m / 100), (2, 20), 1, "SAR",
            source="J. W. Wilder, New Concepts in Technical Trading Systems (1978)",
        ),
        Family("ichimoku_conversion", "(max(H, n) + min(L, n)) / 2", "price", middle, (9,), source="G. Hosoda"),
        Family("ichimoku_base", "(max(H, n) + min(L, n)) / 2", "price", middle, (26,), source="G. Hosoda"),
        Family(
            "ichimoku_span_a", "(ichimoku_conversion_n + ichimoku_base_m) / 2, m bars ago", "price",
            lambda n, m: g.lag(g.linear((middle(n), 1, middle(m)), 0.5), m), (9, 26), source="G. Hosoda",
        ),
        Family(
            "ichimoku_span_b", "(max(H, n) + min(L, n)) / 2, m bars ago", "price",
            lambda n, m: g.lag(middle(n), m), (52, 26), source="G. Hosoda",
        ),
        Family("slope", "slope of the line through n values", "input", slope, (None,), 2, "LINEARREG_SLOPE", CLOSE),
        Family("linear_regression", "that line at the last bar", "input", regression_end, (None,), 2, "LINEARREG", CLOSE),
        Family("forecast", "that line one bar ahead", "input", lambda x, n: regression_end(x, n, 1), (None,), 2, "TSF", CLOSE),
        Family("trend_correlation", "correlation of n values with time", "1", trend_correlation, (None,), 2, inputs=CLOSE),
    ),
    "Oscillators": (
        Family("rsi", "100 G / (G + D), Wilder's averages of gains and losses", "percent", rsi, (None,), 2, "RSI", CLOSE),
        Family("cmo", "100 (G - D) / (G + D), likewise", "percent", chande_momentum, (None,), 2, "CMO", CLOSE),
        Family("stoch_k", "mean(100 (C - min(L, n)) / (max(H, n) - min(L, n)), m)", "percent", stochastic_k, (None, 3, 3), 1,
               "STOCH[0]"),
        Family("stoch_d", "mean(stoch_k, k)", "percent", lambda n, m, k: g.mean(stochastic_k(n, m), k), (None, 3, 3), 1,
               "STOCH[1]"),
        Family("stoch_rsi_k", "100 (rsi_n - min(rsi_n, m)) / (max(rsi_n, m) - min(rsi_n, m))", "percent", stochastic_rsi,
               (14, 5, 3), 2, "STOCHRSI[0]"),
        Family("stoch_rsi_d", "mean(stoch_rsi_k, k)", "percent",
               lambda n, m, k: g.mean(stochastic_rsi(n, m), k), (14, 5, 3), 2, "STOCHRSI[1]"),
        Family("williams_r", "-100 (max(H, n) - C) / (max(H, n) - min(L, n))", "percent",
               lambda n: g.quotient((g.highest(high, n), -1, close), (g.highest(high, n), -1, g.lowest(low, n)), -100),
               (None,), 2, "WILLR"),
        Family("cci", "(T - mean(T, n)) / (0.015 mean absolute deviation)", "1",
               lambda n: g.quotient((typical, -1, g.moments(typical, n)[0]), g.deviation(typical, n), 1 / 0.015),
               (None,), 2, "CCI", window=True),
        Family("ultimate", "100 (4 a_n + 2 a_m + a_k) / 7, a = sum(C - min(L, C')) / sum(TR)", "percent", ultimate,
               (7, 14, 28), 1, "ULTOSC"),
    ),
    "Volatility and channels": (
        Family("true_range", "max(H, C') - min(L, C')", "price", lambda: series("true_range"), talib="TRANGE"),
        Family("atr", "Wilder's average of true_range", "price", true_range_average, (None,), 2, "ATR"),
        Family("natr", "100 atr / C", "percent", lambda n: g.quotient(true_range_average(n), close, 100), (None,), 2, "NATR"),
        Family("bollinger_upper", "sma_n + 2 std_n", "input", lambda x, n: bollinger(x, n, 2.0), (None,), 2, "BBANDS[0]", CLOSE),
        Family("bollinger_lower", "sma_n - 2 std_n", "input", lambda x, n: bollinger(x, n, -2.0), (None,), 2, "BBANDS[2]", CLOSE),
        Family("bollinger_percent_b", "(X - lower) / (upper - lower)", "1", percent_b, (None,), 2, inputs=CLOSE),
        Family("bollinger_width", "(upper - lower) / sma_n", "1", bollinger_width, (None,), 2, inputs=CLOSE),
        Family("keltner_upper", "ema_n + 2 atr_m", "price", lambda n, m: keltner(n, m, 2.0), (20, 10), 2,
               source="L. B. Raschke's form"),
        Family("keltner_lower", "ema_n - 2 atr_m", "price", lambda n, m: keltner(n, m, -2.0), (20, 10), 2,
               source="L. B. Raschke's form"),
        Family("donchian_upper", "max(H, n)", "price", lambda n: g.highest(high, n), (None,), talib="MAX"),
        Family("donchian_middle", "(max(H, n) + min(L, n)) / 2", "price", middle, (None,), talib="MIDPRICE"),
        Family("donchian_lower", "min(L, n)", "price", lambda n: g.lowest(low, n), (None,), talib="MIN"),
        Family("realised_volatility", "sqrt(mean(log_return_1^2, n)), a bar, not annualised", "1",
               lambda n: g.root(g.mean(squared(g.logarithm(close, g.lag(close, 1))), n)), (None,)),
        Family("parkinson", "sqrt(mean(log(H / L)^2, n) / (4 log 2)), likewise", "1",
               lambda n: g.root(g.mean(log_range_squared, n), 1 / (4 * math.log(2))), (None,),
               source="M. Parkinson, J. Business 53 (1980)"),
        Family("garman_klass", "sqrt(mean(log(H / L)^2 / 2 - (2 log 2 - 1) log(C / O)^2, n)), likewise", "1", garman_klass,
               (None,), source="M. B. Garman, M. J. Klass, J. Business 53 (1980)"),
        Family("rogers_satchell", "sqrt(mean(log(H / C) log(H / O) + log(L / C) log(L / O), n)), likewise", "1",
               lambda n: g.root(g.mean(rogers_satchell_terms(), n)), (None,),
               source="L. C. G. Rogers, S. E. Satchell, Ann. Appl. Probab. 1 (1991)"),
        Family("yang_zhang", "sqrt(var(log(O / C'), n) + k var(log(C / O), n) + (1 - k) rogers_satchell_n^2), likewise;"
               " sample variances, k = 0.34 / (1.34 + (n + 1) / (n - 1))", "1", yang_zhang, (None,), 2,
               source="D. Yang, Q. Zhang, J. Business 73 (2000)"),
    ),
    "Statistics": (
        Family("std", "population standard deviation of n values", "input", lambda x, n: g.moments(x, n)[1], (None,), 2,
               "STDDEV", CLOSE),
        Family("zscore", "(X - sma_n) / std_n", "1", zscore, (None,), 2, inputs=CLOSE),
        Family("min", "min(X, n)", "input", g.lowest, (None,), 1, "MIN", CLOSE),
        Family("max", "max(X, n)", "input", g.highest, (None,), 1, "MAX", CLOSE),
        Family("position", "(X - min(X, n)) / (max(X, n) - min(X, n))", "1",
               lambda x, n: within(x, g.lowest(x, n), g.highest(x, n)), (None,), 2, inputs=CLOSE),
        Family("rank", "rank of X among n values, over n; of equals the mean", "1", g.rank, (None,), 2, inputs=CLOSE,
               window=True, source="pandas: rolling(n).rank(pct=True)"),
        Family("skew", "skewness of n values, corrected for bias", "1", lambda x, n: g.shape(x, n)[0], (None,), 3,
               inputs=CLOSE, window=True, source="pandas: rolling(n).skew()"),
        Family("kurtosis", "excess kurtosis of n values, corrected for bias", "1", lambda x, n: g.shape(x, n)[1], (None,), 4,
               inputs=CLOSE, window=True, source="pandas: rolling(n).kurt()"),
        Family("correlation", "correlation of n values of X and Y", "1", correlation, (None,), 2, "CORREL", ("high", "low"),
               window=True),
        Family("beta", "covariance of return_1 of X and Y over n bars / variance of X's", "1", beta, (None,), 2, "BETA",
               ("high", "low"), window=True),
    ),
    "Volume": (
        Family("obv", "V + the sum of V where C rose, -V where it fell", "volume",
               lambda: g.running(series("signed_volume")), talib="OBV"),
        Family("accumulation", "the sum of V (2 C - H - L) / (H - L)", "volume", lambda: g.running(accumulation()), talib="AD"),
        Family("chaikin_oscillator", "ema(accumulation, n) - ema(accumulation, m), seeded with its first value", "volume",
               chaikin_oscillator, (3, 10), 2, "ADOSC"),
        Family("chaikin_money_flow", "sum(V (2 C - H - L) / (H - L), n) / sum(V, n)", "1",
               lambda n: g.quotient(g.total(accumulation(), n), g.total(volume, n)), (None,)),
        Family("mfi", "100 P / (P + N), sums of T V where T rose, where it fell", "percent", money_flow_index, (None,), 2, "MFI"),
        Family("vwap", "sum(T V, n) / sum(V, n)", "price",
               lambda n: g.quotient(g.total(series("money"), n), g.total(volume, n)), (None,)),
        Family("volume_sma", "sum(V, n) / n", "volume", lambda n: g.mean(volume, n), (None,), talib="SMA"),
        Family("volume_ratio", "V / volume_sma_n", "1", lambda n: g.quotient(volume, g.mean(volume, n)), (None,)),
        Family("volume_zscore", "(V - volume_sma_n) / its population standard deviation", "1",
               lambda n: zscore(volume, n), (None,), 2),
    ),
    "The bar": (
        Family("typical_price", "(H + L + C) / 3", "price", lambda: typical, talib="TYPPRICE"),
        Family("median_price", "(H + L) / 2", "price", lambda: g.linear((high, 1, low), 0.5), talib="MEDPRICE"),
        Family("average_price", "(O + H + L + C) / 4", "price",
               lambda: sum_of([(0.25, opening), (0.25, high), (0.25, low), (0.25, close)]), talib="AVGPRICE"),
        Family("weighted_close", "(H + L + 2 C) / 4", "price",
               lambda: sum_of([(0.25, high), (0.25, low), (0.5, close)]), talib="WCLPRICE"),
        Family("candle_range", "(H - L) / C", "1", lambda: g.quotient(bar_range, close)),
        Family("candle_body", "(C - O) / (H - L)", "1", lambda: g.quotient(series("body"), bar_range), talib="BOP"),
        Family("candle_upper_shadow", "(H - max(O, C)) / (H - L)", "1", lambda: g.quotient(series("upper_shadow"), bar_range)),
        Family("candle_lower_shadow", "(min(O, C) - L) / (H - L)", "1", lambda: g.quotient(series("lower_shadow"), bar_range)),
        Family("close_location", "(2 C - H - L) / (H - L)", "1", close_location),
    ),
}  # fmt: skip

FAMILIES = {
    family.name: replace(family, group=group) for group, families in _TABLE.items() for family in families
}  # fmt: skip

DEFAULT_FEATURES = (
    "return_1", "return_2", "return_3", "return_5", "return_10", "return_20", "return_50",
    "log_return_1", "log_return_2", "log_return_5", "log_return_10", "log_return_20",
    "gap", "roc_10", "momentum_10", "lag_1", "lag_2", "lag_5",
    "sma_5", "sma_10", "sma_20", "sma_50", "sma_100", "sma_200",
    "ema_5", "ema_12", "ema_20", "ema_26", "ema_50", "ema_200",
    "wma_10", "wma_20", "dema_20", "tema_20", "trima_20", "kama_10", "hull_16",
    "macd", "macd_signal", "macd_histogram", "price_oscillator", "trix_15",
    "plus_di_14", "minus_di_14", "dx_14", "adx_14", "adxr_14",
    "aroon_up_14", "aroon_down_14", "aroon_oscillator_14", "sar",
    "ichimoku_conversion", "ichimoku_base", "ichimoku_span_a", "ichimoku_span_b",
    "slope_14", "linear_regression_14", "forecast_14", "trend_correlation_20",
    "rsi_7", "rsi_14", "rsi_21", "cmo_14", "stoch_k_14", "stoch_d_14", "stoch_rsi_k", "stoch_rsi_d",
    "williams_r_14", "cci_14", "cci_20", "ultimate",
    "true_range", "atr_7", "atr_14", "natr_14",
    "bollinger_upper_20", "bollinger_lower_20", "bollinger_percent_b_20", "bollinger_width_20",
    "keltner_upper", "keltner_lower", "donchian_upper_20", "donchian_middle_20", "donchian_lower_20",
    "realised_volatility_20", "realised_volatility_50", "parkinson_20", "garman_klass_20", "rogers_satchell_20",
    "yang_zhang_20",
    "std_5", "std_10", "std_20", "std_50", "zscore_10", "zscore_20", "zscore_50", "min_20", "max_20", "position_20",
    "position_50", "rank_20", "rank_50", "skew_20", "kurtosis_20", "correlation_20", "correlation_20(close,volume)",
    "beta_20",
    "obv", "accumulation", "chaikin_oscillator", "chaikin_money_flow_20", "mfi_14", "vwap_20",
    "volume_sma_5", "volume_sma_20", "volume_ratio_20", "volume_zscore_20", "return_1(volume)", "ema_20(volume)",
    "rank_20(volume)",
    "typical_price", "median_price", "average_price", "weighted_close",
    "candle_range", "candle_body", "candle_upper_shadow", "candle_lower_shadow", "close_location",
)  # fmt: skip

_NAME = re.compile(r"([a-z][a-z_]*?)((?:_[0-9]+)*)(?:\(([^()]*)\))?")


def parse_feature(name: str, columns: Sequence[str] = ()) -> Feature:
    """The feature of a name such as ``sma_20`` or ``sma_20(volume)``.

    Parameters
    ----------
    name : str
        The family, its periods, and the series it is of where that is not the default.
    columns : sequence of str
        The caller's own columns, in their order: further series.

    Raises
    ------
    ValueError
        If the family is unknown, or a period or series is missing, superfluous, unknown or out of range.
    """
    if not isinstance(name, str):
        raise TypeError(f"features: a name must be a string, not {type(name).__name__}")
    matched = _NAME.fullmatch(name)
    family = FAMILIES.get(matched[1]) if matched else None
    if matched is None or family is None:
        raise ValueError(f"features: no feature {name!r}; the families are {', '.join(FAMILIES)}")
    given = tuple(int(period) for period in matched[2].split("_")[1:])
    required = sum(period is None for period in family.periods)
    if not required <= len(given) <= len(family.periods):
        expected = f"{required} to {len(family.periods)}" if required < len(family.periods) else f"{required}"
        raise ValueError(f"features: {name!r} has {len(given)} periods, {family.name!r} takes {expected}")
    if not all(family.minimum <= period <= MAXIMUM_PERIOD for period in given):
        raise ValueError(f"features: the periods of {name!r} must be from {family.minimum} to {MAXIMUM_PERIOD}")
    periods = given + tuple(int(period or 0) for period in family.periods[len(given) :])
    inputs = family.inputs if matched[3] is None else tuple(part.strip() for part in matched[3].split(","))
    if len(inputs) != len(family.inputs):
        expected = f"takes {len(family.inputs)} series" if family.inputs else "is of whole bars and takes no series"
        raise ValueError(f"features: {name!r} names {len(inputs)} series, {family.name!r} {expected}")
    values = []
    for source in inputs:
        if source not in INPUTS and source not in columns:
            known = ", ".join((*INPUTS, *columns))
            raise ValueError(f"features: no series {source!r} for {name!r}; there are {known}")
        values.append(series(source) if source in INPUTS else g.column(list(columns).index(source)))
    return Feature(name, family, periods, family.build(*values, *periods), inputs)


def feature_of(feature: str | Combination, columns: Sequence[str] = ()) -> Feature:
    """The feature of a name or a combination."""
    if not isinstance(feature, Combination):
        return parse_feature(feature, columns)
    parts = [(float(weight), parse_feature(name, columns)) for name, weight in feature.weights.items()]
    value = sum_of([(weight, part.value) for weight, part in parts], float(feature.offset))
    units = {(part.family.unit, part.inputs if part.family.unit == "input" else ()) for _, part in parts}
    # of several units, none: an error is relative to the result itself
    unit, inputs = units.pop() if len(units) == 1 else ("1", ())
    return Feature(feature.name, Family(feature.name, "linear combination", unit, sum_of), (), value, inputs)
