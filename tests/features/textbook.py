"""The definitions of the features written once more, over whole columns with NumPy.

Columns begin with NaN where a definition has not seen enough bars: what is made of them begins later by itself.
"""

import re
from types import SimpleNamespace

import numpy as np

from mlopt.features import FAMILIES

ROWS_AT_ONCE = 1 << 13

# --- what definitions are made of ----------------------------------------------------------------


def first_bar(*columns):
    """The first bar that all columns have."""
    return max(int(np.argmin(np.isnan(x))) if not np.isnan(x).all() else len(x) for x in columns)


def rolling(n, function, *columns):
    """function over the last n values of every column, along the last axis."""
    y = np.full(len(columns[0]), np.nan)
    first = first_bar(*columns) + n - 1
    for begin in range(first, len(y), ROWS_AT_ONCE):
        end = min(begin + ROWS_AT_ONCE, len(y))
        windows = [np.lib.stride_tricks.sliding_window_view(x[begin - n + 1 : end], n) for x in columns]
        y[begin:end] = function(*windows)
    return y


def about_the_mean(w):
    """Deviations from the mean; from the latest value first, so that equal values have none."""
    d = w - w[:, -1:]
    return d - d.mean(axis=1, keepdims=True)


def mean(x, n):
    return rolling(n, lambda w: w[:, -1] + (w - w[:, -1:]).mean(axis=1), x)


def total(x, n):
    return rolling(n, lambda w: w.sum(axis=1), x)


def std(x, n):
    return rolling(n, lambda w: np.sqrt((about_the_mean(w) ** 2).mean(axis=1)), x)


def highest(x, n):
    return rolling(n, lambda w: w.max(axis=1), x)


def lowest(x, n):
    return rolling(n, lambda w: w.min(axis=1), x)


def wma(x, n):
    return rolling(n, lambda w: w @ np.arange(1, n + 1) / (n * (n + 1) / 2), x)


def lag(x, n):
    return np.concatenate([np.full(min(n, len(x)), np.nan), x[: max(len(x) - n, 0)]])


def ratio(a, b, empty=0.0):
    """a / b; `empty` where b is 0."""
    a, b = np.broadcast_arrays(a, b)
    y = np.where(np.isnan(a) | np.isnan(b), np.nan, empty)
    np.divide(a, b, out=y, where=(b != 0) & ~np.isnan(y))
    return y


def recursion(x, begin, first, weights):
    """y = y' + weight (x - y'), from the value `first` of bar `begin` on."""
    y = np.full(len(x), np.nan)
    if begin < len(x):
        last, values = first, [first]
        weights = np.broadcast_to(weights, len(x))[begin + 1 :].tolist()
        for value, weight in zip(x[begin + 1 :].tolist(), weights, strict=True):
            last = weight * value + (1 - weight) * last
            values.append(last)
        y[begin:] = values
    return y


def ema(x, n, weight=None):
    """Exponential average, of weight 2 / (n + 1), seeded with the mean of n values."""
    begin = first_bar(x) + n - 1
    return recursion(x, begin, np.mean(x[begin - n + 1 : begin + 1]) if begin < len(x) else 0, weight or 2 / (n + 1))


def wilder(x, n):
    return ema(x, n, 1 / n)


# --- definitions that take more than a line ------------------------------------------------------


def hull(x, n):
    return wma(2 * wma(x, n // 2) - wma(x, n), int(np.sqrt(n)))


def kama(x, n):
    efficiency = ratio(np.abs(x - lag(x, n)), total(np.abs(x - lag(x, 1)), n), empty=1.0)
    fast, slow = 2 / (2 + 1), 2 / (30 + 1)
    smoothing = (efficiency * (fast - slow) + slow) ** 2
    begin = first_bar(efficiency)
    y = recursion(x, begin - 1, x[begin - 1], smoothing)
    y[:begin] = np.nan
    return y


def macd(x, fast, slow, _signal=0):
    """The faster average begins later than it could, with the slower one."""
    fast, slow = sorted((fast, slow))
    later = x.copy()
    later[: first_bar(x) + slow - fast] = np.nan
    return ema(later, fast) - ema(x, slow)


def directional(b, n, plus):
    """Wilder's sums of n bars, begun with the sum of n - 1."""

    def wilder_sum(x):
        y = np.full(len(x), np.nan)
        last = x[1:n].sum()
        for t in range(n, len(x)):
            y[t] = last = last - last / n + x[t]
        return y

    up, down = b.high - lag(b.high, 1), lag(b.low, 1) - b.low
    moved = np.where((up > down) & (up > 0), up, 0) if plus else np.where((down > up) & (down > 0), down, 0)
    return 100 * ratio(wilder_sum(moved), wilder_sum(true_range(b)))


def directional_index(b, n):
    plus, minus = directional(b, n, True), directional(b, n, False)
    return 100 * ratio(np.abs(plus - minus), plus + minus)


def adx(b, n):
    return wilder(directional_index(b, n), n)


def aroon(x, n):
    """100 where the latest of the n + 1 values is the highest, 0 where the first is."""

    def since(w):
        return np.argmax(w[:, ::-1] == w.max(axis=1, keepdims=True), axis=1)

    return 100 * (n - rolling(n + 1, since, x)) / n


def sar(b, acceleration, maximum):
    """The stop of every bar: made of the bars before, or the extreme of the trade that it ends."""
    acceleration, maximum = min(acceleration, maximum) / 100, maximum / 100
    high, low = b.high.tolist(), b.low.tolist()
    y = np.full(len(high), np.nan)
    if len(high) < 2:
        return y
    up, down = high[1] - high[0], low[0] - low[1]
    is_long = not (down > up and down > 0)
    stop, extreme, factor = (low[0], high[1], acceleration) if is_long else (high[0], low[1], acceleration)
    for t in range(1, len(high)):
        before = max(t - 1, 1)  # bar 1 has none
        if (low[t] <= stop) if is_long else (high[t] >= stop):
            is_long, factor = not is_long, acceleration
            stop, extreme = extreme, (high[t] if is_long else low[t])
            # never within the last two bars, when it is turned and when it is moved
            bound = min(low[t], low[before]) if is_long else max(high[t], high[before])
            y[t] = stop = min(stop, bound) if is_long else max(stop, bound)
        else:
            y[t] = stop
            if (high[t] > extreme) if is_long else (low[t] < extreme):
                extreme = high[t] if is_long else low[t]
                factor = min(factor + acceleration, maximum)
            bound = min(low[t], low[before]) if is_long else max(high[t], high[before])
        stop += factor * (extreme - stop)
        stop = min(stop, bound) if is_long else max(stop, bound)
    return y


def middle(b, n):
    return (highest(b.high, n) + lowest(b.low, n)) / 2


def regression(x, n, at):
    """Least squares through n values, at `at` bars from their middle; the slope for None."""
    places = np.arange(n) - (n - 1) / 2
    slope = rolling(n, lambda w: about_the_mean(w) @ places / (places @ places), x)
    return slope if at is None else mean(x, n) + at * slope


def gains(x, n):
    change = x - lag(x, 1)
    return wilder(np.maximum(change, 0), n), wilder(np.maximum(-change, 0), n)


def rsi(x, n):
    gain, loss = gains(x, n)
    return 100 * ratio(gain, gain + loss)


def cmo(x, n):
    gain, loss = gains(x, n)
    return 100 * ratio(gain - loss, gain + loss)


def within(x, bottom, top):
    return ratio(x - bottom, top - bottom)


def stoch_k(b, n, m, _k=0):
    return mean(100 * within(b.close, lowest(b.low, n), highest(b.high, n)), m)


def stoch_rsi_k(b, n, m, _k=0):
    strength = rsi(b.close, n)
    return 100 * within(strength, lowest(strength, m), highest(strength, m))


def percent_b(x, n):
    lower, upper = mean(x, n) - 2 * std(x, n), mean(x, n) + 2 * std(x, n)
    return np.where(std(x, n) == 0, 0, within(x, lower, upper))


def cci(b, n):
    deviation = rolling(n, lambda w: np.abs(about_the_mean(w)).mean(axis=1), b.typical)
    return ratio(b.typical - mean(b.typical, n), 0.015 * deviation)


def ultimate(b, *periods):
    pressure = b.close - np.minimum(b.low, lag(b.close, 1))
    pressure[:1] = np.nan
    short, middle, long = (ratio(total(pressure, n), total(true_range(b), n)) for n in sorted(periods))
    return 100 * (4 * short + 2 * middle + long) / 7


def true_range(b):
    last = lag(b.close, 1)
    return np.maximum(b.high - b.low, np.maximum(np.abs(b.high - last), np.abs(b.low - last)))


def parkinson(b, n):
    return np.sqrt(mean(np.log(b.high / b.low) ** 2, n) / (4 * np.log(2)))


def garman_klass(b, n):
    body, whole = np.log(b.close / b.open) ** 2, np.log(b.high / b.low) ** 2
    return np.sqrt(mean(whole / 2 - (2 * np.log(2) - 1) * body, n))


def rogers_satchell_variance(b, n):
    up = np.log(b.high / b.close) * np.log(b.high / b.open)
    return mean(up + np.log(b.low / b.close) * np.log(b.low / b.open), n)


def yang_zhang(b, n):
    def variance(x):
        return rolling(n, lambda w: (about_the_mean(w) ** 2).sum(axis=1) / (n - 1), x)

    k = 0.34 / (1.34 + (n + 1) / (n - 1))
    overnight, day = variance(np.log(b.open / lag(b.close, 1))), variance(np.log(b.close / b.open))
    return np.sqrt(overnight + k * day + (1 - k) * rogers_satchell_variance(b, n))


def rank(x, n):
    def of_the_last(w):
        last = w[:, -1:]
        return ((w < last).sum(axis=1) + ((w == last).sum(axis=1) + 1) / 2) / n

    return rolling(n, of_the_last, x)


def standardised(w):
    """Deviations from the mean in sample standard deviations; 0 where all values are equal."""
    d = about_the_mean(w)
    deviation = np.sqrt((d**2).sum(axis=1, keepdims=True) / (w.shape[1] - 1))
    return np.divide(d, deviation, out=np.zeros_like(d), where=deviation != 0)


def skew(x, n):
    return rolling(n, lambda w: n / ((n - 1) * (n - 2)) * (standardised(w) ** 3).sum(axis=1), x)


def kurtosis(x, n):
    def excess(w):
        fourth = n * (n + 1) / ((n - 1) * (n - 2) * (n - 3)) * (standardised(w) ** 4).sum(axis=1)
        return np.where((w == w[:, -1:]).all(axis=1), 0, fourth - 3 * (n - 1) ** 2 / ((n - 2) * (n - 3)))

    return rolling(n, excess, x)


def correlation(x, y, n):
    def of_windows(v, w):
        return (standardised(v) * standardised(w)).sum(axis=1) / (n - 1)

    return rolling(n, of_windows, x, y)


def beta(x, y, n):
    def of_windows(v, w):
        v, w = about_the_mean(v), about_the_mean(w)
        return ratio((v * w).sum(axis=1), (v * v).sum(axis=1))

    return rolling(n, of_windows, change_rate(x, 1), change_rate(y, 1))


def change_rate(x, n):
    return ratio(x - lag(x, n), lag(x, n))


def running_total(x):
    return np.cumsum(x.astype(np.longdouble)).astype(float)


def obv(b):
    signs = np.sign(b.close - lag(b.close, 1))
    signs[:1] = 1
    return running_total(signs * b.volume)


def close_location(b):
    return ratio((b.close - b.low) - (b.high - b.close), b.high - b.low)


def accumulation(b):
    return running_total(close_location(b) * b.volume)


def chaikin_oscillator(b, fast, slow):
    line = accumulation(b)
    y = recursion(line, 0, line[0], 2 / (fast + 1)) - recursion(line, 0, line[0], 2 / (slow + 1))
    y[: max(fast, slow) - 1] = np.nan
    return y


def mfi(b, n):
    """Of the flows of money where the typical price rose, and where it fell."""
    change, money = b.typical - lag(b.typical, 1), b.typical * b.volume
    change[1:], money[:1] = np.diff(b.typical), np.nan
    inflow, outflow = total(np.where(change > 0, money, 0 * money), n), total(np.where(change < 0, money, 0 * money), n)
    return 100 * ratio(inflow, inflow + outflow)


# --- the families --------------------------------------------------------------------------------

# of the bars, the series that a name may give in parentheses, and the periods
FORMULAS = {
    "return": lambda b, x, n: change_rate(x, n),
    "log_return": lambda b, n: np.log(b.close / lag(b.close, n)),
    "gap": lambda b: b.open / lag(b.close, 1) - 1,
    "roc": lambda b, x, n: 100 * change_rate(x, n),
    "momentum": lambda b, x, n: x - lag(x, n),
    "lag": lambda b, x, n: lag(x, n),
    "sma": lambda b, x, n: mean(x, n),
    "ema": lambda b, x, n: ema(x, n),
    "wma": lambda b, x, n: wma(x, n),
    "dema": lambda b, x, n: 2 * ema(x, n) - ema(ema(x, n), n),
    "tema": lambda b, x, n: 3 * ema(x, n) - 3 * ema(ema(x, n), n) + ema(ema(ema(x, n), n), n),
    "trima": lambda b, x, n: mean(mean(x, (n + 1) // 2), n // 2 + 1),
    "kama": lambda b, x, n: kama(x, n),
    "hull": lambda b, x, n: hull(x, n),
    "macd": lambda b, x, *periods: macd(x, *periods),
    "macd_signal": lambda b, x, n, m, k: ema(macd(x, n, m), k),
    "macd_histogram": lambda b, x, n, m, k: macd(x, n, m) - ema(macd(x, n, m), k),
    "price_oscillator": lambda b, x, n, m: 100 * ratio(mean(x, n) - mean(x, m), mean(x, m)),
    "trix": lambda b, x, n: 100 * change_rate(ema(ema(ema(x, n), n), n), 1),
    "plus_di": lambda b, n: directional(b, n, True),
    "minus_di": lambda b, n: directional(b, n, False),
    "dx": directional_index,
    "adx": adx,
    "adxr": lambda b, n: (adx(b, n) + lag(adx(b, n), n - 1)) / 2,
    "aroon_up": lambda b, n: aroon(b.high, n),
    "aroon_down": lambda b, n: aroon(-b.low, n),
    "aroon_oscillator": lambda b, n: aroon(b.high, n) - aroon(-b.low, n),
    "sar": sar,
    "ichimoku_conversion": middle,
    "ichimoku_base": middle,
    "ichimoku_span_a": lambda b, n, m: lag((middle(b, n) + middle(b, m)) / 2, m),
    "ichimoku_span_b": lambda b, n, m: lag(middle(b, n), m),
    "slope": lambda b, x, n: regression(x, n, None),
    "linear_regression": lambda b, x, n: regression(x, n, (n - 1) / 2),
    "forecast": lambda b, x, n: regression(x, n, (n + 1) / 2),
    "trend_correlation": lambda b, x, n: correlation(x, np.where(np.isnan(x), np.nan, np.arange(len(x))), n),
    "rsi": lambda b, x, n: rsi(x, n),
    "cmo": lambda b, x, n: cmo(x, n),
    "stoch_k": stoch_k,
    "stoch_d": lambda b, n, m, k: mean(stoch_k(b, n, m), k),
    "stoch_rsi_k": stoch_rsi_k,
    "stoch_rsi_d": lambda b, n, m, k: mean(stoch_rsi_k(b, n, m), k),
    "williams_r": lambda b, n: -100 * within(highest(b.high, n) - b.close, 0, highest(b.high, n) - lowest(b.low, n)),
    "cci": cci,
    "ultimate": ultimate,
    "true_range": true_range,
    "atr": lambda b, n: wilder(true_range(b), n),
    "natr": lambda b, n: 100 * wilder(true_range(b), n) / b.close,
    "bollinger_upper": lambda b, x, n: mean(x, n) + 2 * std(x, n),
    "bollinger_lower": lambda b, x, n: mean(x, n) - 2 * std(x, n),
    "bollinger_percent_b": lambda b, x, n: percent_b(x, n),
    "bollinger_width": lambda b, x, n: ratio(4 * std(x, n), mean(x, n)),
    "keltner_upper": lambda b, n, m: ema(b.close, n) + 2 * wilder(true_range(b), m),
    "keltner_lower": lambda b, n, m: ema(b.close, n) - 2 * wilder(true_range(b), m),
    "donchian_upper": lambda b, n: highest(b.high, n),
    "donchian_middle": middle,
    "donchian_lower": lambda b, n: lowest(b.low, n),
    "realised_volatility": lambda b, n: np.sqrt(mean(np.log(b.close / lag(b.close, 1)) ** 2, n)),
    "parkinson": parkinson,
    "garman_klass": garman_klass,
    "rogers_satchell": lambda b, n: np.sqrt(rogers_satchell_variance(b, n)),
    "yang_zhang": yang_zhang,
    "std": lambda b, x, n: std(x, n),
    "zscore": lambda b, x, n: ratio(x - mean(x, n), std(x, n)),
    "min": lambda b, x, n: lowest(x, n),
    "max": lambda b, x, n: highest(x, n),
    "position": lambda b, x, n: within(x, lowest(x, n), highest(x, n)),
    "rank": lambda b, x, n: rank(x, n),
    "skew": lambda b, x, n: skew(x, n),
    "kurtosis": lambda b, x, n: kurtosis(x, n),
    "correlation": lambda b, x, y, n: correlation(x, y, n),
    "beta": lambda b, x, y, n: beta(x, y, n),
    "obv": obv,
    "accumulation": accumulation,
    "chaikin_oscillator": chaikin_oscillator,
    "chaikin_money_flow": lambda b, n: ratio(total(close_location(b) * b.volume, n), total(b.volume, n)),
    "mfi": mfi,
    "vwap": lambda b, n: ratio(total(b.typical * b.volume, n), total(b.volume, n)),
    "volume_sma": lambda b, n: mean(b.volume, n),
    "volume_ratio": lambda b, n: ratio(b.volume, mean(b.volume, n)),
    "volume_zscore": lambda b, n: ratio(b.volume - mean(b.volume, n), std(b.volume, n)),
    "typical_price": lambda b: b.typical,
    "median_price": lambda b: (b.high + b.low) / 2,
    "average_price": lambda b: (b.open + b.high + b.low + b.close) / 4,
    "weighted_close": lambda b: (b.high + b.low + 2 * b.close) / 4,
    "candle_range": lambda b: (b.high - b.low) / b.close,
    "candle_body": lambda b: ratio(b.close - b.open, b.high - b.low),
    "candle_upper_shadow": lambda b: ratio(b.high - np.maximum(b.open, b.close), b.high - b.low),
    "candle_lower_shadow": lambda b: ratio(np.minimum(b.open, b.close) - b.low, b.high - b.low),
    "close_location": close_location,
}


def parse(name):
    """Family, periods and series of a name, defaults filled in."""
    family, digits, inputs = re.fullmatch(r"(\D+?)((?:_\d+)*)(?:\((.*)\))?", name).groups()
    periods = [int(n) for n in digits.split("_")[1:]]
    periods += FAMILIES[family].periods[len(periods) :]
    return family, periods, [x.strip() for x in inputs.split(",")] if inputs else list(FAMILIES[family].inputs)


def series_of(bars, columns=()):
    """What a name may give in parentheses, and the numbers of the bars."""
    names = ("open", "high", "low", "close", "volume", *columns)
    b = SimpleNamespace(**dict(zip(names, np.ascontiguousarray(bars.T), strict=True)))
    b.typical = (b.high + b.low + b.close) / 3
    return b


def textbook(name, bars, columns=()):
    """One feature over (n, 5) bars, or (n, 5 + columns) with the caller's own columns."""
    b = series_of(bars, columns)
    family, periods, inputs = parse(name)
    with np.errstate(all="ignore"):
        return FORMULAS[family](b, *(getattr(b, x) for x in inputs), *periods)
