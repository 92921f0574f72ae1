"""What features are computed from: a graph of steps over the series of a bar.

The functions here build it.  Equal calls give the same node, so that features share what they have in
common: `bollinger_upper_20` and `zscore_20` one pair of moments, all windows of the close one ring.
"""

from __future__ import annotations

import math
from functools import cache
from typing import NamedTuple

from mlopt.features.layout import SERIES

__all__ = ["Node", "Value"]


class Node(NamedTuple):
    """One computation: its kind (features.h), what it reads, its numbers, the first bar it is defined for.

    `windows` has, for every ring the kind reads, the value that the ring keeps and how many bars back it is read.
    """

    kind: str
    inputs: tuple[Value, ...]
    numbers: tuple[float, ...]
    ready: int
    windows: tuple[tuple[Value, int], ...] = ()

    @property
    def reads(self) -> tuple[Value, ...]:
        """Every value it needs to be there."""
        return self.inputs + tuple(value for value, _ in self.windows)


class Value(NamedTuple):
    """One of a node's results."""

    node: Node
    port: int = 0

    @property
    def ready(self) -> int:
        return self.node.ready


# a value, or a value plus a weight times another
Term = Value | tuple[Value, float, Value]


@cache
def series(name: str) -> Value:
    """What a bar gives by itself."""
    number, start = SERIES[name]
    return Value(Node("bar", (), (number,), start))


@cache
def column(number: int) -> Value:
    """The caller's own, behind the five numbers of a bar."""
    return Value(Node("bar", (), (len(SERIES) + number,), 0))


def _node(
    kind: str, inputs: tuple[Value, ...], numbers: tuple[float, ...] = (), window: int = 1, of: tuple[Value, ...] = ()
) -> Node:
    """Numbers are floats; a window of n values is whole n - 1 bars after its values begin."""
    ready = max(max((x.ready for x in inputs), default=0), *(x.ready + window - 1 for x in of), 0)
    return Node(kind, inputs, tuple(map(float, numbers)), ready, tuple((x, window) for x in of))


def _terms(x: Term) -> tuple[Value, float, Value]:
    return (x, 0.0, series("zero")) if isinstance(x, Value) else x


def lag(x: Value, bars: int) -> Value:
    """`x` as it was `bars` ago."""
    return Value(Node("lag", (), (), x.ready + bars, ((x, bars),)))


def linear(x: Term, scale: float = 1.0, offset: float = 0.0) -> Value:
    """``scale * x + offset``."""
    a, weight, b = _terms(x)
    return Value(_node("linear", (a, b), (weight, scale, offset)))


def product(a: Value, b: Value) -> Value:
    return Value(_node("product", (a, b)))


def distance(x: Term, scale: float = 1.0) -> Value:
    """``scale * abs(x)``."""
    a, weight, b = _terms(x)
    return Value(_node("distance", (a, b), (weight, scale)))


def quotient(x: Term, y: Term, scale: float = 1.0, offset: float = 0.0, empty: float = 0.0) -> Value:
    """``scale * x / y + offset``, `empty` where `y` is 0."""
    (a, weight, b), (c, divisor_weight, d) = _terms(x), _terms(y)
    return Value(_node("quotient", (a, b, c, d), (weight, divisor_weight, scale, offset, empty)))


def logarithm(a: Value, b: Value) -> Value:
    """``log(a / b)``."""
    return Value(_node("logarithm", (a, b)))


def root(x: Value, scale: float = 1.0) -> Value:
    """``sqrt(scale * x)``."""
    return Value(_node("root", (x,), (scale,)))


def total(x: Value, n: int) -> Value:
    """The sum of the last `n`."""
    return Value(_node("sum", (x,), (n, 1 / n, x.ready), n, (x,)), 0)


def mean(x: Value, n: int) -> Value:
    """The mean of the last `n`."""
    return Value(total(x, n).node, 1)


def weighted_mean(x: Value, n: int) -> Value:
    """The mean of the last `n`, weighted 1 (oldest) to `n`."""
    weights, plain = n * (n + 1) // 2, total(x, n)
    numbers = (n, weights, 1 / weights, x.ready)
    return Value(_node("weighted", (x, plain, Value(plain.node, 2)), numbers, n, (x,)))


def moments(x: Value, n: int) -> tuple[Value, Value]:
    """Mean and population standard deviation of the last `n`."""
    node = _node("moments", (x,), (n, 1 / n, x.ready), n, (x,))
    return Value(node, 0), Value(node, 1)


def average(
    x: Value, n: int, alpha: float | None = None, *, start: int | None = None, seeds: int | None = None,
    divisor: int | None = None, ready: int | None = None,
) -> Value:  # fmt: skip
    """Exponential average with weight `alpha` (2/(n+1)), seeded with the mean of `n` values from bar `start` on.

    `seeds`: with so many values instead; `divisor`: with their sum over this; `ready`: the first bar that counts.
    """
    start, seeds = x.ready if start is None else start, seeds or n
    numbers = (2 / (n + 1) if alpha is None else alpha, float(seeds), float(divisor or seeds), float(start))
    return Value(Node("average", (x,), numbers, start + seeds - 1 if ready is None else ready))


def wilder(x: Value, n: int) -> Value:
    """Wilder's smoothing: an exponential average of weight 1/n."""
    return average(x, n, 1 / n)


def adaptive(x: Value, weight: Value) -> Value:
    """``y += weight * (x - y)``, from the last `x` on before there was a weight."""
    return Value(_node("adaptive", (x, weight), (weight.ready,)))


def parabolic(high: Value, low: Value, acceleration: float, maximum: float) -> Value:
    """Wilder's parabolic stop and reverse."""
    start = max(high.ready, low.ready) + 1
    return Value(Node("sar", (high, low), (acceleration, maximum, float(start)), start))


def _extreme(x: Value, n: int, sign: float) -> Value:
    return Value(_node("extrema", (x,), (sign, x.ready), n, (x,)))


def highest(x: Value, n: int) -> Value:
    """The largest of the last `n`."""
    return _extreme(x, n, 1.0)


def lowest(x: Value, n: int) -> Value:
    """The smallest of the last `n`."""
    return _extreme(x, n, -1.0)


def age(extreme: Value) -> Value:
    """How many bars ago the highest or lowest value of a window was."""
    node = extreme.node
    return Value(Node("age", (extreme,), (), node.ready, node.windows))


def deviation(x: Value, n: int) -> Value:
    """The mean absolute deviation of the last `n` from their mean."""
    return Value(_node("deviation", (moments(x, n)[0],), (n, 1 / n), n, (x,)))


def shape(x: Value, n: int) -> tuple[Value, Value]:
    """Skewness and excess kurtosis of the last `n`, corrected for bias."""
    skew = math.sqrt(n * (n - 1)) / (n - 2) if n > 2 else 0.0
    kurtosis, offset = ((n - 1) * (n + 1), 3 * (n - 1) ** 2) if n > 3 else (0, 0)
    pairs = (n - 2) * (n - 3) or 1
    node = _node("shape", (moments(x, n)[0],), (n, 1 / n, skew / n, kurtosis / pairs / n, offset / pairs), n, (x,))
    return Value(node, 0), Value(node, 1)


def rank(x: Value, n: int) -> Value:
    """The rank of `x` among the last `n`, over `n`; of equals, the mean of their ranks."""
    return Value(_node("rank", (x,), (n, 1 / n), n, (x,)))


def covariance(x: Value, y: Value, n: int) -> Value:
    """The mean product of the deviations of `x` and `y` over the last `n`."""
    return Value(_node("covariance", (moments(x, n)[0], moments(y, n)[0]), (n, 1 / n), n, (x, y)))


def running(x: Value) -> Value:
    """The sum of all."""
    return Value(_node("accumulate", (x,), (x.ready,)))
