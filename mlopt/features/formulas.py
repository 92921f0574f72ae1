"""How features are built, where it takes more than a line: values made of values (graph.py)."""

from __future__ import annotations

import math
from collections.abc import Sequence

from mlopt.features import graph as g
from mlopt.features.graph import Value, series

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
        g.average(series(name), n, 1 / n, seeds=n - 1, divisor=n, ready=n)
        for name in (f"{side}_movement", "true_range")
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
