"""The table of features: name, formula, unit, TA-Lib's name, and how each is built.

A feature's name is its family and its periods: ``sma_20``, ``macd_12_26_9``; periods at the end may be
left out where the table gives defaults (``macd``).  Where TA-Lib has the function, the definition is
TA-Lib's, initialisation included.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass

from mlopt.features import graph as g
from mlopt.features.graph import Term, Value, series

__all__ = ["DEFAULT_FEATURES", "FAMILIES", "Family", "Feature", "parse_feature"]

MAXIMUM_PERIOD = 10_000


@dataclass(frozen=True)
class Family:
    """One row of the table.

    Attributes
    ----------
    name : str
        What stands before the periods in a feature's name.
    formula : str
        n, m, k are the periods in the order of the name; C, H, L, O, V the bar; x' the value one bar before.
    unit : str
        "price", "volume", "percent" or "1".
    build : callable
        Makes the feature's value from its periods.
    periods : tuple
        One entry per period: its default, or None where the name must give it.
    minimum : int
        The smallest period.
    talib : str or None
        The function in TA-Lib, with its output where it has several.
    """

    name: str
    formula: str
    unit: str
    build: Callable[..., Value]
    periods: tuple[int | None, ...] = ()
    minimum: int = 1
    talib: str | None = None


@dataclass(frozen=True)
class Feature:
    """One feature: a family with its periods."""

    name: str
    family: Family
    periods: tuple[int, ...]
    value: Value

    @property
    def lookback(self) -> int:
        """How many bars come before the first one that has the feature."""
        return self.value.ready


opening, high, low, close, volume, typical = map(series, ("open", "high", "low", "close", "volume", "typical"))
log_range_squared = g.product(g.logarithm(high, low), g.logarithm(high, low))


def log_return(n: int) -> Value:
    return g.logarithm(close, g.lag(close, n))


def price_range(n: int) -> Term:
    return g.highest(high, n), -1, g.lowest(low, n)


def macd(fast: int, slow: int, _signal: int = 0) -> Value:
    # both averages begin together: the faster one is seeded later than it could be
    fast, slow = sorted((fast, slow))
    return g.linear((g.average(close, fast, start=slow - fast), -1, g.average(close, slow)))


def macd_signal(fast: int, slow: int, signal: int) -> Value:
    return g.average(macd(fast, slow), signal)


def rsi(n: int) -> Value:
    gain, loss = g.wilder(series("gain"), n), g.wilder(series("loss"), n)
    return g.quotient(gain, (gain, 1, loss), scale=100)


def stochastic_k(n: int, slow: int, _slow_d: int = 0) -> Value:
    return g.mean(g.quotient((close, -1, g.lowest(low, n)), price_range(n), scale=100), slow)


def bollinger(n: int, deviations: float) -> Value:
    mean, deviation = g.moments(close, n)
    return g.linear((mean, deviations, deviation))


def percent_b(n: int) -> Value:
    # (C - mean + 2 s) / (4 s), with one subtraction of prices
    mean, deviation = g.moments(close, n)
    return g.quotient((close, -1, mean), deviation, scale=0.25, offset=0.5)


def bollinger_width(n: int) -> Value:
    mean, deviation = g.moments(close, n)
    return g.quotient(deviation, mean, scale=4)


def zscore(x: Value, n: int) -> Value:
    mean, deviation = g.moments(x, n)
    return g.quotient((x, -1, mean), deviation)


def money_flow_index(n: int) -> Value:
    inflow, outflow = g.total(series("inflow"), n), g.total(series("outflow"), n)
    return g.quotient(inflow, (inflow, 1, outflow), scale=100)


def true_range_average(n: int) -> Value:
    return g.wilder(series("true_range"), n)


FAMILIES = {
    family.name: family
    for family in (
        Family(
            "return",
            "C / C[n] - 1",
            "1",
            lambda n: g.quotient((close, -1, g.lag(close, n)), g.lag(close, n)),
            (None,),
            talib="ROCP",
        ),
        Family("log_return", "log(C / C[n])", "1", log_return, (None,)),
        Family("gap", "O / C' - 1", "1", lambda: g.quotient((opening, -1, g.lag(close, 1)), g.lag(close, 1))),
        Family("sma", "sum(C, n) / n", "price", lambda n: g.mean(close, n), (None,), talib="SMA"),
        Family(
            "ema",
            "y' + 2/(n+1) (C - y'), seeded with sma_n",
            "price",
            lambda n: g.average(close, n),
            (None,),
            talib="EMA",
        ),
        Family(
            "wma",
            "mean of n closes weighted 1 to n",
            "price",
            lambda n: g.weighted_mean(close, n),
            (None,),
            talib="WMA",
        ),
        Family("macd", "ema_n - ema_m, seeded at the same bar", "price", macd, (12, 26, 9), 2, "MACD[0]"),
        Family("macd_signal", "ema(macd, k)", "price", macd_signal, (12, 26, 9), 2, "MACD[1]"),
        Family(
            "macd_histogram",
            "macd - macd_signal",
            "price",
            lambda n, m, k: g.linear((macd(n, m), -1, macd_signal(n, m, k))),
            (12, 26, 9),
            2,
            "MACD[2]",
        ),
        Family("rsi", "100 G / (G + D), Wilder's averages of gains and losses", "percent", rsi, (None,), 2, "RSI"),
        Family(
            "stoch_k",
            "mean(100 (C - min(L, n)) / (max(H, n) - min(L, n)), m)",
            "percent",
            stochastic_k,
            (None, 3, 3),
            talib="STOCH[0]",
        ),
        Family(
            "stoch_d",
            "mean(stoch_k, k)",
            "percent",
            lambda n, m, k: g.mean(stochastic_k(n, m), k),
            (None, 3, 3),
            talib="STOCH[1]",
        ),
        Family(
            "williams_r",
            "-100 (max(H, n) - C) / (max(H, n) - min(L, n))",
            "percent",
            lambda n: g.quotient((g.highest(high, n), -1, close), price_range(n), scale=-100),
            (None,),
            2,
            "WILLR",
        ),
        Family(
            "roc",
            "100 (C / C[n] - 1)",
            "percent",
            lambda n: g.quotient((close, -1, g.lag(close, n)), g.lag(close, n), scale=100),
            (None,),
            talib="ROC",
        ),
        Family("momentum", "C - C[n]", "price", lambda n: g.linear((close, -1, g.lag(close, n))), (None,), talib="MOM"),
        Family("true_range", "max(H, C') - min(L, C')", "price", lambda: series("true_range"), talib="TRANGE"),
        Family("atr", "Wilder's average of true_range", "price", true_range_average, (None,), 2, "ATR"),
        Family(
            "natr",
            "100 atr / C",
            "percent",
            lambda n: g.quotient(true_range_average(n), close, scale=100),
            (None,),
            2,
            "NATR",
        ),
        Family("bollinger_upper", "sma_n + 2 std_n", "price", lambda n: bollinger(n, 2.0), (None,), 2, "BBANDS[0]"),
        Family("bollinger_lower", "sma_n - 2 std_n", "price", lambda n: bollinger(n, -2.0), (None,), 2, "BBANDS[2]"),
        Family("bollinger_percent_b", "(C - lower) / (upper - lower)", "1", percent_b, (None,), 2),
        Family("bollinger_width", "(upper - lower) / sma_n", "1", bollinger_width, (None,), 2),
        Family("donchian_upper", "max(H, n)", "price", lambda n: g.highest(high, n), (None,), talib="MAX"),
        Family(
            "donchian_middle",
            "(max(H, n) + min(L, n)) / 2",
            "price",
            lambda n: g.linear((g.highest(high, n), 1, g.lowest(low, n)), scale=0.5),
            (None,),
            talib="MIDPRICE",
        ),
        Family("donchian_lower", "min(L, n)", "price", lambda n: g.lowest(low, n), (None,), talib="MIN"),
        Family(
            "cci",
            "(T - mean(T, n)) / (0.015 mean absolute deviation), T = (H + L + C) / 3",
            "1",
            lambda n: g.quotient((typical, -1, g.moments(typical, n)[0]), g.deviation(typical, n), scale=1 / 0.015),
            (None,),
            2,
            "CCI",
        ),
        Family(
            "std",
            "population standard deviation of n closes",
            "price",
            lambda n: g.moments(close, n)[1],
            (None,),
            2,
            "STDDEV",
        ),
        Family("zscore", "(C - sma_n) / std_n", "1", lambda n: zscore(close, n), (None,), 2),
        Family("min", "min(C, n)", "price", lambda n: g.lowest(close, n), (None,), talib="MIN"),
        Family("max", "max(C, n)", "price", lambda n: g.highest(close, n), (None,), talib="MAX"),
        Family(
            "position",
            "(C - min(C, n)) / (max(C, n) - min(C, n))",
            "1",
            lambda n: g.quotient((close, -1, g.lowest(close, n)), (g.highest(close, n), -1, g.lowest(close, n))),
            (None,),
            2,
        ),
        Family(
            "realised_volatility",
            "sqrt(mean(log_return_1^2, n)), a bar, not annualised",
            "1",
            lambda n: g.root(g.mean(g.product(log_return(1), log_return(1)), n)),
            (None,),
        ),
        Family(
            "parkinson",
            "sqrt(mean(log(H / L)^2, n) / (4 log 2)), a bar, not annualised",
            "1",
            lambda n: g.root(g.mean(log_range_squared, n), 1 / (4 * math.log(2))),
            (None,),
        ),
        Family(
            "obv",
            "V + the sum of V where C rose, -V where it fell",
            "volume",
            lambda: g.running(series("signed_volume")),
            talib="OBV",
        ),
        Family(
            "mfi",
            "100 P / (P + N), sums of T V where T rose, where it fell",
            "percent",
            money_flow_index,
            (None,),
            2,
            "MFI",
        ),
        Family(
            "vwap",
            "sum(T V, n) / sum(V, n)",
            "price",
            lambda n: g.quotient(g.total(series("money"), n), g.total(volume, n)),
            (None,),
        ),
        Family("volume_sma", "sum(V, n) / n", "volume", lambda n: g.mean(volume, n), (None,), talib="SMA"),
        Family("volume_ratio", "V / volume_sma_n", "1", lambda n: g.quotient(volume, g.mean(volume, n)), (None,)),
        Family(
            "volume_zscore",
            "(V - volume_sma_n) / its population standard deviation",
            "1",
            lambda n: zscore(volume, n),
            (None,),
            2,
        ),
        Family("typical_price", "(H + L + C) / 3", "price", lambda: typical, talib="TYPPRICE"),
        Family("candle_range", "(H - L) / C", "1", lambda: g.quotient(series("range"), close)),
        Family("candle_body", "(C - O) / (H - L)", "1", lambda: g.quotient(series("body"), series("range"))),
        Family(
            "candle_upper_shadow",
            "(H - max(O, C)) / (H - L)",
            "1",
            lambda: g.quotient(series("upper_shadow"), series("range")),
        ),
        Family(
            "candle_lower_shadow",
            "(min(O, C) - L) / (H - L)",
            "1",
            lambda: g.quotient(series("lower_shadow"), series("range")),
        ),
    )
}

DEFAULT_FEATURES = (
    "return_1", "return_2", "return_5", "return_10", "return_20",
    "log_return_1", "log_return_2", "log_return_5", "log_return_10", "log_return_20",
    "gap", "candle_range", "candle_body", "candle_upper_shadow", "candle_lower_shadow", "typical_price",
    "sma_5", "sma_10", "sma_20", "sma_50", "sma_200",
    "wma_10", "wma_20",
    "ema_5", "ema_12", "ema_20", "ema_26", "ema_50", "ema_200",
    "macd", "macd_signal", "macd_histogram",
    "rsi_7", "rsi_14",
    "stoch_k_14", "stoch_d_14", "williams_r_14", "roc_10", "momentum_10", "cci_20", "mfi_14",
    "true_range", "atr_14", "natr_14",
    "bollinger_upper_20", "bollinger_lower_20", "bollinger_percent_b_20", "bollinger_width_20",
    "donchian_upper_20", "donchian_middle_20", "donchian_lower_20",
    "std_20", "zscore_20", "min_20", "max_20", "position_20",
    "realised_volatility_20", "parkinson_20",
    "obv", "vwap_20", "volume_sma_20", "volume_ratio_20", "volume_zscore_20", "zscore_50",
)  # fmt: skip


def parse_feature(name: str) -> Feature:
    """The feature of a name such as ``sma_20``.

    Raises
    ------
    ValueError
        If the family is unknown, or a period is missing, superfluous or out of range.
    """
    if not isinstance(name, str):
        raise TypeError(f"features: a name must be a string, not {type(name).__name__}")
    matched = re.fullmatch(r"([a-z][a-z_]*?)((?:_[0-9]+)*)", name)
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
    return Feature(name, family, periods, family.build(*periods))
