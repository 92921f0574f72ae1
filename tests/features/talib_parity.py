"""TA-Lib's functions for the features that have their names in the table, and where the two differ by design."""

import numpy as np
import pytest
from features.measure import largest, scale
from features.textbook import FORMULAS, change_rate, parse, series_of, std

from mlopt.features import FAMILIES

PERIODS = (2, 3, 5, 10, 14, 20, 33, 50, 200)
# TA-Lib begins every output of such a function where its last one begins
LAST_OUTPUT = {"stoch_k": "stoch_d", "stoch_rsi_k": "stoch_rsi_d", "macd": "macd_signal"}


def ends_with(name):
    """The feature that TA-Lib's output for this one begins with, where it waits for another."""
    family, periods, _ = parse(name)
    return "_".join(map(str, [LAST_OUTPUT[family], *periods])) if family in LAST_OUTPUT else None


def talib_scale(name, bars):
    """What a difference from TA-Lib is relative to, beside the value: the textbook's scale, except for BETA.

    TA-Lib divides by n sum(x^2) - sum(x)^2, of sums that run from the first bar on: a variance whose error is the
    rounding of the largest squares so far.
    """
    family, periods, inputs = parse(name)
    if family != "beta":
        return scale(name, FAMILIES[family].unit, bars)
    x = change_rate(getattr(series_of(bars), inputs[0]), 1)
    value = np.abs(np.nan_to_num(FORMULAS["beta"](None, *(getattr(series_of(bars), y) for y in inputs), *periods)))
    with np.errstate(all="ignore"):
        lost = (largest(np.nan_to_num(x), len(x)) / std(x, periods[0])) ** 2
    # of what rounds to 1e-13, so much is lost before 1e-9 is
    return np.maximum(1, value) * np.maximum(1, np.nan_to_num(lost, nan=1.0, posinf=1.0) / 1e4)


def averages(talib, b, n):
    return {
        f"sma_{n}": talib.SMA(b.close, n),
        f"ema_{n}": talib.EMA(b.close, n),
        f"wma_{n}": talib.WMA(b.close, n),
        f"dema_{n}": talib.DEMA(b.close, n),
        f"tema_{n}": talib.TEMA(b.close, n),
        f"trima_{n}": talib.TRIMA(b.close, n),
        f"kama_{n}": talib.KAMA(b.close, n),
        f"sma_{n}(volume)": talib.SMA(b.volume, n),
        f"ema_{n}(typical)": talib.EMA(b.typical, n),
        f"volume_sma_{n}": talib.SMA(b.volume, n),
    }


def trends(talib, b, n):
    aroon = talib.AROON(b.high, b.low, n)
    return {
        f"price_oscillator_{n}_{2 * n}": talib.PPO(b.close, n, 2 * n, 0),
        f"trix_{n}": talib.TRIX(b.close, n),
        f"plus_di_{n}": talib.PLUS_DI(b.high, b.low, b.close, n),
        f"minus_di_{n}": talib.MINUS_DI(b.high, b.low, b.close, n),
        f"dx_{n}": talib.DX(b.high, b.low, b.close, n),
        f"adx_{n}": talib.ADX(b.high, b.low, b.close, n),
        f"adxr_{n}": talib.ADXR(b.high, b.low, b.close, n),
        f"aroon_up_{n}": aroon[1],
        f"aroon_down_{n}": aroon[0],
        f"aroon_oscillator_{n}": talib.AROONOSC(b.high, b.low, n),
        f"slope_{n}": talib.LINEARREG_SLOPE(b.close, n),
        f"linear_regression_{n}": talib.LINEARREG(b.close, n),
        f"forecast_{n}": talib.TSF(b.close, n),
    }


def oscillators(talib, b, n):
    stochastic = talib.STOCH(b.high, b.low, b.close, n, 3, 0, 3, 0)
    of_rsi = talib.STOCHRSI(b.close, n, 5, 3, 0)
    return {
        f"return_{n}": talib.ROCP(b.close, n),
        f"roc_{n}": talib.ROC(b.close, n),
        f"momentum_{n}": talib.MOM(b.close, n),
        f"rsi_{n}": talib.RSI(b.close, n),
        f"rsi_{n}(high)": talib.RSI(b.high, n),
        f"cmo_{n}": talib.CMO(b.close, n),
        f"stoch_k_{n}": stochastic[0],
        f"stoch_d_{n}": stochastic[1],
        f"stoch_rsi_k_{n}": of_rsi[0],
        f"stoch_rsi_d_{n}": of_rsi[1],
        f"williams_r_{n}": talib.WILLR(b.high, b.low, b.close, n),
        f"cci_{n}": talib.CCI(b.high, b.low, b.close, n),
        f"ultimate_{n}_{2 * n}_{4 * n}": talib.ULTOSC(b.high, b.low, b.close, n, 2 * n, 4 * n),
        f"mfi_{n}": talib.MFI(b.high, b.low, b.close, b.volume, n),
    }


def ranges(talib, b, n):
    bands = talib.BBANDS(b.close, n, 2, 2)
    return {
        f"atr_{n}": talib.ATR(b.high, b.low, b.close, n),
        f"natr_{n}": talib.NATR(b.high, b.low, b.close, n),
        f"bollinger_upper_{n}": bands[0],
        f"bollinger_lower_{n}": bands[2],
        f"donchian_upper_{n}": talib.MAX(b.high, n),
        f"donchian_lower_{n}": talib.MIN(b.low, n),
        f"donchian_middle_{n}": talib.MIDPRICE(b.high, b.low, n),
        f"std_{n}": talib.STDDEV(b.close, n),
        f"min_{n}": talib.MIN(b.close, n),
        f"max_{n}": talib.MAX(b.close, n),
        f"correlation_{n}": talib.CORREL(b.high, b.low, n),
        f"correlation_{n}(close,volume)": talib.CORREL(b.close, b.volume, n),
        f"beta_{n}": talib.BETA(b.high, b.low, n),
        f"beta_{n}(open,close)": talib.BETA(b.open, b.close, n),
    }


def talib_columns(bars):
    """TA-Lib's output for every feature that has its name in the table."""
    talib = pytest.importorskip("talib")
    b = series_of(bars)
    columns = {}
    for n in PERIODS:
        for functions in (averages, trends, oscillators, ranges):
            columns |= functions(talib, b, n)
    for name, periods in (("", ()), ("_5_35_5", (5, 35, 5)), ("_30_7_3", (30, 7, 3))):
        macd = talib.MACD(b.close, *periods)
        columns |= {f"macd{name}": macd[0], f"macd_signal{name}": macd[1], f"macd_histogram{name}": macd[2]}
    for n, m in ((3, 10), (10, 3), (5, 34)):
        columns[f"chaikin_oscillator_{n}_{m}"] = talib.ADOSC(b.high, b.low, b.close, b.volume, n, m)
    for n, m in ((2, 20), (1, 10), (5, 50), (30, 20)):
        columns[f"sar_{n}_{m}"] = talib.SAR(b.high, b.low, n / 100, m / 100)
    for k, m in ((3, 2), (14, 9)):
        of_rsi, of_price = talib.STOCHRSI(b.close, 14, k, m, 0), talib.STOCH(b.high, b.low, b.close, 14, k, 0, m, 0)
        for i, output in enumerate("kd"):
            columns |= {f"stoch_rsi_{output}_14_{k}_{m}": of_rsi[i], f"stoch_{output}_14_{k}_{m}": of_price[i]}
    return columns | {
        "true_range": talib.TRANGE(b.high, b.low, b.close),
        "obv": talib.OBV(b.close, b.volume),
        "accumulation": talib.AD(b.high, b.low, b.close, b.volume),
        "typical_price": talib.TYPPRICE(b.high, b.low, b.close),
        "median_price": talib.MEDPRICE(b.high, b.low),
        "average_price": talib.AVGPRICE(b.open, b.high, b.low, b.close),
        "weighted_close": talib.WCLPRICE(b.high, b.low, b.close),
        "candle_body": talib.BOP(b.open, b.high, b.low, b.close),
    }
