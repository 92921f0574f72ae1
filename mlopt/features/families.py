"""The table of features: name, formula, unit, TA-Lib's name, and how each is built.

Where TA-Lib has the function, the definition is TA-Lib's, initialisation included.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from mlopt.features import formulas as f
from mlopt.features import graph as g
from mlopt.features.graph import Value, series

__all__ = ["DEFAULT_FEATURES", "FAMILIES", "Family"]


@dataclass(frozen=True)
class Family:
    """One row of the table.

    Attributes
    ----------
    name : str
        What stands before the periods in a feature's name.
    formula : str
        n, m, k are the periods in the order of the name; C, H, L, O, V the bar, T its typical price; X (and Y) what a
        name may give in parentheses; x' the value one bar before, x[n] the one n bars before.
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


CLOSE = ("close",)

# by heading: name, formula, unit, how it is built, periods, smallest period, TA-Lib's name
_TABLE: dict[str, tuple[Family, ...]] = {
    "Returns and lags": (
        Family("return", "X / X[n] - 1", "1", f.change_rate, (None,), talib="ROCP", inputs=CLOSE),
        Family("log_return", "log(C / C[n])", "1", lambda n: g.logarithm(f.close, g.lag(f.close, n)), (None,)),
        Family("gap", "O / C' - 1", "1", lambda: g.quotient((f.opening, -1, g.lag(f.close, 1)), g.lag(f.close, 1))),
        Family("roc", "100 (X / X[n] - 1)", "percent", lambda x, n: f.change_rate(x, n, 100), (None,), 1, "ROC", CLOSE),
        Family("momentum", "X - X[n]", "input", lambda x, n: g.linear((x, -1, g.lag(x, n))), (None,), 1, "MOM", CLOSE),
        Family("lag", "X[n]", "input", g.lag, (None,), inputs=CLOSE),
    ),
    "Averages": (
        Family("sma", "sum(X, n) / n", "input", g.mean, (None,), 1, "SMA", CLOSE),
        Family("ema", "y' + 2/(n+1) (X - y'), seeded with sma_n", "input", g.average, (None,), 1, "EMA", CLOSE),
        Family("wma", "mean of n values weighted 1 to n", "input", g.weighted_mean, (None,), 1, "WMA", CLOSE),
        Family("dema", "2 ema - ema(ema)", "input", f.double_average, (None,), 1, "DEMA", CLOSE),
        Family("tema", "3 ema - 3 ema(ema) + ema(ema(ema))", "input", f.triple_average, (None,), 1, "TEMA", CLOSE),
        Family("trima", "sma(sma(X, (n+1) / 2), n / 2 + 1)", "input", f.triangular, (None,), 1, "TRIMA", CLOSE),
        Family(
            "kama",
            "y' + (e (2/3 - 2/31) + 2/31)^2 (X - y'), e = |X - X[n]| / sum(|X - X'|, n)",
            "input", f.kaufman, (None,), 2, "KAMA", CLOSE, source="P. J. Kaufman, Smarter Trading (1995)",
        ),
        Family(
            "hull", "wma(2 wma(X, n / 2) - wma(X, n), sqrt(n)), whole numbers", "input", f.hull, (None,), 2,
            inputs=CLOSE,
            source="A. Hull (2005)",
        ),
    ),
    "Trend": (
        Family("macd", "ema_n - ema_m, seeded at the same bar", "input", f.macd, (12, 26, 9), 2, "MACD[0]", CLOSE),
        Family("macd_signal", "ema(macd, k)", "input", f.macd_signal, (12, 26, 9), 2, "MACD[1]", CLOSE),
        Family(
            "macd_histogram", "macd - macd_signal", "input",
            lambda x, n, m, k: g.linear((f.macd(x, n, m), -1, f.macd_signal(x, n, m, k))), (12, 26, 9), 2, "MACD[2]",
            CLOSE,
        ),
        Family(
            "price_oscillator", "100 (sma_n - sma_m) / sma_m", "percent",
            lambda x, n, m: g.quotient((g.mean(x, n), -1, g.mean(x, m)), g.mean(x, m), scale=100),
            (12, 26), 2, "PPO", CLOSE,
        ),
        Family("trix", "roc_1 of ema(ema(ema(X, n), n), n)", "percent", f.trix, (None,), 1, "TRIX", CLOSE),
        Family("plus_di", "100 DM+ / TR, Wilder's sums", "percent", lambda n: f.directional(n, "plus"), (None,), 2,
               "PLUS_DI"),
        Family(
            "minus_di", "100 DM- / TR, Wilder's sums", "percent", lambda n: f.directional(n, "minus"), (None,), 2,
            "MINUS_DI",
        ),
        Family("dx", "100 |plus_di - minus_di| / (plus_di + minus_di)", "percent", f.directional_index, (None,), 2,
               "DX"),
        Family("adx", "Wilder's average of dx", "percent", f.directional_average, (None,), 2, "ADX"),
        Family(
            "adxr", "(adx + adx[n-1]) / 2", "percent",
            lambda n: g.linear((f.directional_average(n), 1, g.lag(f.directional_average(n), n - 1)), 0.5), (None,),
            2, "ADXR",
        ),
        Family("aroon_up", "100 (n - bars since max(H, n+1)) / n", "percent", lambda n: f.aroon(n, 1), (None,), 2,
               "AROON[1]",
               window=True),
        Family("aroon_down", "100 (n - bars since min(L, n+1)) / n", "percent", lambda n: f.aroon(n, -1), (None,), 2,
               "AROON[0]", window=True),
        Family("aroon_oscillator", "aroon_up - aroon_down", "percent",
               lambda n: g.linear((f.aroon(n, 1), -1, f.aroon(n, -1))), (None,), 2, "AROONOSC", window=True),
        Family(
            "sar", "parabolic stop and reverse; acceleration n %, at most m %", "price",
            lambda n, m: g.parabolic(f.high, f.low, min(n, m) / 100, m / 100), (2, 20), 1, "SAR",
            source="J. W. Wilder, New Concepts in Technical Trading Systems (1978)",
        ),
        Family("ichimoku_conversion", "(max(H, n) + min(L, n)) / 2", "price", f.middle, (9,), source="G. Hosoda"),
        Family("ichimoku_base", "(max(H, n) + min(L, n)) / 2", "price", f.middle, (26,), source="G. Hosoda"),
        Family(
            "ichimoku_span_a", "(ichimoku_conversion_n + ichimoku_base_m) / 2, m bars ago", "price",
            lambda n, m: g.lag(g.linear((f.middle(n), 1, f.middle(m)), 0.5), m), (9, 26), source="G. Hosoda",
        ),
        Family(
            "ichimoku_span_b", "(max(H, n) + min(L, n)) / 2, m bars ago", "price",
            lambda n, m: g.lag(f.middle(n), m), (52, 26), source="G. Hosoda",
        ),
        Family("slope", "slope of the line through n values", "input", f.slope, (None,), 2, "LINEARREG_SLOPE", CLOSE),
        Family("linear_regression", "that line at the last bar", "input", f.regression_end, (None,), 2, "LINEARREG",
               CLOSE),
        Family("forecast", "that line one bar ahead", "input", lambda x, n: f.regression_end(x, n, 1), (None,), 2,
               "TSF", CLOSE),
        Family("trend_correlation", "correlation of n values with time", "1", f.trend_correlation, (None,), 2,
               inputs=CLOSE),
    ),
    "Oscillators": (
        Family("rsi", "100 G / (G + D), Wilder's averages of gains and losses", "percent", f.rsi, (None,), 2, "RSI",
               CLOSE),
        Family("cmo", "100 (G - D) / (G + D), likewise", "percent", f.chande_momentum, (None,), 2, "CMO", CLOSE),
        Family("stoch_k", "mean(100 (C - min(L, n)) / (max(H, n) - min(L, n)), m)", "percent", f.stochastic_k,
               (None, 3, 3), 1,
               "STOCH[0]"),
        Family("stoch_d", "mean(stoch_k, k)", "percent", lambda n, m, k: g.mean(f.stochastic_k(n, m), k),
               (None, 3, 3), 1,
               "STOCH[1]"),
        Family("stoch_rsi_k", "100 (rsi_n - min(rsi_n, m)) / (max(rsi_n, m) - min(rsi_n, m))", "percent",
               f.stochastic_rsi,
               (14, 5, 3), 2, "STOCHRSI[0]"),
        Family("stoch_rsi_d", "mean(stoch_rsi_k, k)", "percent",
               lambda n, m, k: g.mean(f.stochastic_rsi(n, m), k), (14, 5, 3), 2, "STOCHRSI[1]"),
        Family("williams_r", "-100 (max(H, n) - C) / (max(H, n) - min(L, n))", "percent",
               lambda n: g.quotient((g.highest(f.high, n), -1, f.close),
               (g.highest(f.high, n), -1, g.lowest(f.low, n)), -100),
               (None,), 2, "WILLR"),
        Family("cci", "(T - mean(T, n)) / (0.015 mean absolute deviation)", "1",
               lambda n: g.quotient((f.typical, -1, g.moments(f.typical, n)[0]), g.deviation(f.typical, n), 1 / 0.015),
               (None,), 2, "CCI", window=True),
        Family("ultimate", "100 (4 a_n + 2 a_m + a_k) / 7, a = sum(C - min(L, C')) / sum(TR)", "percent", f.ultimate,
               (7, 14, 28), 1, "ULTOSC"),
    ),
    "Volatility and channels": (
        Family("true_range", "max(H, C') - min(L, C')", "price", lambda: series("true_range"), talib="TRANGE"),
        Family("atr", "Wilder's average of true_range", "price", f.true_range_average, (None,), 2, "ATR"),
        Family("natr", "100 atr / C", "percent", lambda n: g.quotient(f.true_range_average(n), f.close, 100), (None,),
               2, "NATR"),
        Family("bollinger_upper", "sma_n + 2 std_n", "input", lambda x, n: f.bollinger(x, n, 2.0), (None,), 2,
               "BBANDS[0]", CLOSE),
        Family("bollinger_lower", "sma_n - 2 std_n", "input", lambda x, n: f.bollinger(x, n, -2.0), (None,), 2,
               "BBANDS[2]", CLOSE),
        Family("bollinger_percent_b", "(X - lower) / (upper - lower)", "1", f.percent_b, (None,), 2, inputs=CLOSE),
        Family("bollinger_width", "(upper - lower) / sma_n", "1", f.bollinger_width, (None,), 2, inputs=CLOSE),
        Family("keltner_upper", "ema_n + 2 atr_m", "price", lambda n, m: f.keltner(n, m, 2.0), (20, 10), 2,
               source="L. B. Raschke's form"),
        Family("keltner_lower", "ema_n - 2 atr_m", "price", lambda n, m: f.keltner(n, m, -2.0), (20, 10), 2,
               source="L. B. Raschke's form"),
        Family("donchian_upper", "max(H, n)", "price", lambda n: g.highest(f.high, n), (None,), talib="MAX"),
        Family("donchian_middle", "(max(H, n) + min(L, n)) / 2", "price", f.middle, (None,), talib="MIDPRICE"),
        Family("donchian_lower", "min(L, n)", "price", lambda n: g.lowest(f.low, n), (None,), talib="MIN"),
        Family("realised_volatility", "sqrt(mean(log_return_1^2, n)), a bar, not annualised", "1",
               lambda n: g.root(g.mean(f.squared(g.logarithm(f.close, g.lag(f.close, 1))), n)), (None,)),
        Family("parkinson", "sqrt(mean(log(H / L)^2, n) / (4 log 2)), likewise", "1",
               lambda n: g.root(g.mean(f.log_range_squared, n), 1 / (4 * math.log(2))), (None,),
               source="M. Parkinson, J. Business 53 (1980)"),
        Family("garman_klass", "sqrt(mean(log(H / L)^2 / 2 - (2 log 2 - 1) log(C / O)^2, n)), likewise", "1",
               f.garman_klass,
               (None,), source="M. B. Garman, M. J. Klass, J. Business 53 (1980)"),
        Family("rogers_satchell", "sqrt(mean(log(H / C) log(H / O) + log(L / C) log(L / O), n)), likewise", "1",
               lambda n: g.root(g.mean(f.rogers_satchell_terms(), n)), (None,),
               source="L. C. G. Rogers, S. E. Satchell, Ann. Appl. Probab. 1 (1991)"),
        Family("yang_zhang", "sqrt(var(log(O / C'), n) + k var(log(C / O), n) + (1 - k) rogers_satchell_n^2), likewise;"
               " sample variances, k = 0.34 / (1.34 + (n + 1) / (n - 1))", "1", f.yang_zhang, (None,), 2,
               source="D. Yang, Q. Zhang, J. Business 73 (2000)"),
    ),
    "Statistics": (
        Family("std", "population standard deviation of n values", "input", lambda x, n: g.moments(x, n)[1], (None,), 2,
               "STDDEV", CLOSE),
        Family("zscore", "(X - sma_n) / std_n", "1", f.zscore, (None,), 2, inputs=CLOSE),
        Family("min", "min(X, n)", "input", g.lowest, (None,), 1, "MIN", CLOSE),
        Family("max", "max(X, n)", "input", g.highest, (None,), 1, "MAX", CLOSE),
        Family("position", "(X - min(X, n)) / (max(X, n) - min(X, n))", "1",
               lambda x, n: f.within(x, g.lowest(x, n), g.highest(x, n)), (None,), 2, inputs=CLOSE),
        Family("rank", "rank of X among n values, over n; of equals the mean", "1", g.rank, (None,), 2, inputs=CLOSE,
               window=True, source="pandas: rolling(n).rank(pct=True)"),
        Family("skew", "skewness of n values, corrected for bias", "1", lambda x, n: g.shape(x, n)[0], (None,), 3,
               inputs=CLOSE, window=True, source="pandas: rolling(n).skew()"),
        Family("kurtosis", "excess kurtosis of n values, corrected for bias", "1", lambda x, n: g.shape(x, n)[1],
               (None,), 4,
               inputs=CLOSE, window=True, source="pandas: rolling(n).kurt()"),
        Family("correlation", "correlation of n values of X and Y", "1", f.correlation, (None,), 2, "CORREL",
               ("high", "low"),
               window=True),
        Family("beta", "covariance of return_1 of X and Y over n bars / variance of X's", "1", f.beta, (None,), 2,
               "BETA",
               ("high", "low"), window=True),
    ),
    "Volume": (
        Family("obv", "V + the sum of V where C rose, -V where it fell", "volume",
               lambda: g.running(series("signed_volume")), talib="OBV"),
        Family("accumulation", "the sum of V (2 C - H - L) / (H - L)", "volume", lambda: g.running(f.accumulation()),
               talib="AD"),
        Family("chaikin_oscillator", "ema(accumulation, n) - ema(accumulation, m), seeded with its first value",
               "volume",
               f.chaikin_oscillator, (3, 10), 2, "ADOSC"),
        Family("chaikin_money_flow", "sum(V (2 C - H - L) / (H - L), n) / sum(V, n)", "1",
               lambda n: g.quotient(g.total(f.accumulation(), n), g.total(f.volume, n)), (None,)),
        Family("mfi", "100 P / (P + N), sums of T V where T rose, where it fell", "percent", f.money_flow_index,
               (None,), 2, "MFI"),
        Family("vwap", "sum(T V, n) / sum(V, n)", "price",
               lambda n: g.quotient(g.total(series("money"), n), g.total(f.volume, n)), (None,)),
        Family("volume_sma", "sum(V, n) / n", "volume", lambda n: g.mean(f.volume, n), (None,), talib="SMA"),
        Family("volume_ratio", "V / volume_sma_n", "1", lambda n: g.quotient(f.volume, g.mean(f.volume, n)), (None,)),
        Family("volume_zscore", "(V - volume_sma_n) / its population standard deviation", "1",
               lambda n: f.zscore(f.volume, n), (None,), 2),
    ),
    "The bar": (
        Family("typical_price", "(H + L + C) / 3", "price", lambda: f.typical, talib="TYPPRICE"),
        Family("median_price", "(H + L) / 2", "price", lambda: g.linear((f.high, 1, f.low), 0.5), talib="MEDPRICE"),
        Family("average_price", "(O + H + L + C) / 4", "price",
               lambda: f.sum_of([(0.25, f.opening), (0.25, f.high), (0.25, f.low), (0.25, f.close)]), talib="AVGPRICE"),
        Family("weighted_close", "(H + L + 2 C) / 4", "price",
               lambda: f.sum_of([(0.25, f.high), (0.25, f.low), (0.5, f.close)]), talib="WCLPRICE"),
        Family("candle_range", "(H - L) / C", "1", lambda: g.quotient(f.bar_range, f.close)),
        Family("candle_body", "(C - O) / (H - L)", "1", lambda: g.quotient(series("body"), f.bar_range), talib="BOP"),
        Family("candle_upper_shadow", "(H - max(O, C)) / (H - L)", "1",
               lambda: g.quotient(series("upper_shadow"), f.bar_range)),
        Family("candle_lower_shadow", "(min(O, C) - L) / (H - L)", "1",
               lambda: g.quotient(series("lower_shadow"), f.bar_range)),
        Family("close_location", "(2 C - H - L) / (H - L)", "1", f.close_location),
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
