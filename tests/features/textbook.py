"""The definitions of the features written once more, over whole columns with NumPy."""

import numpy as np


def _ema(x, n, alpha=None, start=0):
    """Seeded with the mean of n values from `start` on."""
    y = np.full(len(x), np.nan)
    alpha = 2 / (n + 1) if alpha is None else alpha
    first = start + n - 1
    if first < len(x):
        y[first] = np.mean(x[start : first + 1])
        last, values = y[first], []
        for value in x[first + 1 :].tolist():
            last = alpha * value + (1 - alpha) * last
            values.append(last)
        y[first + 1 :] = values
    return y


def _windows(x, n, function, start=0):
    """function over the last n values along the last axis; NaN before, as if x began at `start`."""
    y = np.full(len(x), np.nan)
    if len(x) - start >= n:
        y[start + n - 1 :] = function(np.lib.stride_tricks.sliding_window_view(x[start:], n))
    return y


def _ratio(a, b):
    a, b = np.broadcast_arrays(a, b)
    known = ~np.isnan(a) & ~np.isnan(b)
    y = np.full(len(a), np.nan)
    y[known] = 0
    np.divide(a, b, out=y, where=known & (b != 0))
    return y


def textbook(name, bars):
    """One feature over (n, 5) bars."""
    o, h, l, c, v = np.ascontiguousarray(bars.T)  # noqa: E741
    family, periods = name, []
    while family.rsplit("_", 1)[-1].isdigit():
        family, period = family.rsplit("_", 1)
        periods.insert(0, int(period))
    n = periods[0] if periods else None
    typical = (h + l + c) / 3
    last = np.concatenate([c[:1], c[:-1]])
    lagged = np.concatenate([np.full(min(n or 1, len(c)), np.nan), c[: max(len(c) - (n or 1), 0)]])
    true_range = np.maximum(h, last) - np.minimum(l, last)
    true_range[0] = np.nan

    def mean(x):
        return _windows(x, n, lambda w: w.mean(axis=1))

    def std(x):
        return _windows(x, n, lambda w: w.std(axis=1))

    def highest(x):
        return _windows(x, n, lambda w: w.max(axis=1))

    def lowest(x):
        return _windows(x, n, lambda w: w.min(axis=1))

    def macd():
        return _ema(c, 12, start=14) - _ema(c, 26)

    def stochastic(smoothings):
        y, start = 100 * _ratio(c - lowest(l), highest(h) - lowest(l)), n - 1
        for _ in range(smoothings):
            y = _windows(y, 3, lambda w: w.mean(axis=1), start)
            start += 2
        return y

    def flows(sign):
        moved = np.sign(np.diff(typical, prepend=typical[:1])) == sign
        return _windows(np.where(moved, typical * v, 0), n, lambda w: w.sum(axis=1), 1)

    def rsi():
        change = np.diff(c, prepend=c[:1])
        up = _ema(np.maximum(change, 0), n, 1 / n, 1)
        down = _ema(np.maximum(-change, 0), n, 1 / n, 1)
        return 100 * _ratio(up, up + down)

    def cci():
        def deviation(w):
            return np.abs(w - w.mean(axis=1, keepdims=True)).mean(axis=1)

        return _ratio(typical - mean(typical), 0.015 * _windows(typical, n, deviation))

    def atr():
        return _ema(true_range, n, 1 / n, 1)

    signs = np.sign(c - last)
    signs[:1] = 1
    with np.errstate(all="ignore"):
        formulas = {
            "return": lambda: c / lagged - 1,
            "log_return": lambda: np.log(c / lagged),
            "gap": lambda: o / lagged - 1,
            "sma": lambda: mean(c),
            "ema": lambda: _ema(c, n),
            "wma": lambda: _windows(c, n, lambda w: w @ np.arange(1, n + 1) / (n * (n + 1) / 2)),
            "macd": macd,
            "macd_signal": lambda: _ema(macd(), 9, start=25),
            "macd_histogram": lambda: macd() - _ema(macd(), 9, start=25),
            "rsi": rsi,
            "stoch_k": lambda: stochastic(1),
            "stoch_d": lambda: stochastic(2),
            "williams_r": lambda: -100 * _ratio(highest(h) - c, highest(h) - lowest(l)),
            "roc": lambda: 100 * (c / lagged - 1),
            "momentum": lambda: c - lagged,
            "true_range": lambda: true_range,
            "atr": atr,
            "natr": lambda: 100 * atr() / c,
            "bollinger_upper": lambda: mean(c) + 2 * std(c),
            "bollinger_lower": lambda: mean(c) - 2 * std(c),
            "bollinger_percent_b": lambda: _ratio(c - mean(c) + 2 * std(c), 4 * std(c)),
            "bollinger_width": lambda: 4 * std(c) / mean(c),
            "donchian_upper": lambda: highest(h),
            "donchian_middle": lambda: (highest(h) + lowest(l)) / 2,
            "donchian_lower": lambda: lowest(l),
            "cci": cci,
            "std": lambda: std(c),
            "zscore": lambda: _ratio(c - mean(c), std(c)),
            "min": lambda: lowest(c),
            "max": lambda: highest(c),
            "position": lambda: _ratio(c - lowest(c), highest(c) - lowest(c)),
            "realised_volatility": lambda: np.sqrt(
                _windows(np.log(c / last) ** 2, n, lambda w: w.mean(axis=1), 1),
            ),
            "parkinson": lambda: np.sqrt(mean(np.log(h / l) ** 2) / (4 * np.log(2))),
            "obv": lambda: np.cumsum((signs * v).astype(np.longdouble)).astype(float),
            "mfi": lambda: 100 * _ratio(flows(1), flows(1) + flows(-1)),
            "vwap": lambda: _ratio(mean(typical * v), mean(v)),
            "volume_sma": lambda: mean(v),
            "volume_ratio": lambda: _ratio(v, mean(v)),
            "volume_zscore": lambda: _ratio(v - mean(v), std(v)),
            "typical_price": lambda: typical,
            "candle_range": lambda: (h - l) / c,
            "candle_body": lambda: _ratio(c - o, h - l),
            "candle_upper_shadow": lambda: _ratio(h - np.maximum(o, c), h - l),
            "candle_lower_shadow": lambda: _ratio(np.minimum(o, c) - l, h - l),
        }
        return formulas[family]()


def scale(name, unit, bars):
    """What an error of a feature is relative to, beside its value: the size of the numbers it is made of."""
    if unit == "volume":
        return np.cumsum(bars[:, 4]) if name == "obv" else bars[:, 4]
    return {"price": bars[:, 3], "percent": 100.0, "1": 1.0}[unit]


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
