"""What features are computed from: a graph of steps over the series of a bar.

The functions here build it.  Equal calls give the same node, so that features share what they have in
common: `bollinger_upper_20` and `zscore_20` one pair of moments, all windows of the close one ring.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

from mlopt.features.layout import SERIES

__all__ = ["Node", "Value"]


class Node(NamedTuple):
    """One computation: its kind (features.h), what it reads, its numbers, the first bar it is defined for."""

    kind: str
    inputs: tuple[Value, ...]
    numbers: tuple[float, ...]
    ready: int


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
    number, start = SERIES[name]
    return Value(Node("bar", (), (number,), start))


def _node(kind: str, inputs: tuple[Value, ...], numbers: tuple[float, ...] = (), delay: int = 0) -> Node:
    return Node(kind, inputs, numbers, max(x.ready for x in inputs) + delay)


def _terms(x: Term) -> tuple[Value, float, Value]:
    return (x, 0.0, series("zero")) if isinstance(x, Value) else x


def lag(x: Value, bars: int) -> Value:
    """`x` as it was `bars` ago."""
    return Value(_node("lag", (x,), (bars,), bars))


def linear(x: Term, scale: float = 1.0, offset: float = 0.0) -> Value:
    a, weight, b = _terms(x)
    return Value(_node("linear", (a, b), (weight, scale, offset)))


def product(a: Value, b: Value) -> Value:
    return Value(_node("product", (a, b)))


def quotient(x: Term, y: Term, scale: float = 1.0, offset: float = 0.0) -> Value:
    """``scale * x / y + offset``, 0 where `y` is 0."""
    (a, weight, b), (c, divisor_weight, d) = _terms(x), _terms(y)
    return Value(_node("quotient", (a, b, c, d), (weight, divisor_weight, scale, offset)))


def logarithm(a: Value, b: Value) -> Value:
    """``log(a / b)``."""
    return Value(_node("logarithm", (a, b)))


def root(x: Value, scale: float = 1.0) -> Value:
    """``sqrt(scale * x)``."""
    return Value(_node("root", (x,), (scale,)))


def total(x: Value, n: int) -> Value:
    """The sum of the last `n`."""
    return Value(_node("sum", (x,), (n, 1), n - 1))


def mean(x: Value, n: int) -> Value:
    """The mean of the last `n`."""
    return Value(_node("sum", (x,), (n, n), n - 1))


def weighted_mean(x: Value, n: int) -> Value:
    """The mean of the last `n`, weighted 1 (oldest) to `n`."""
    return Value(Node("weighted", (x, total(x, n)), (n, n * (n + 1) // 2), x.ready + n - 1))


def moments(x: Value, n: int) -> tuple[Value, Value]:
    """Mean and population standard deviation of the last `n`."""
    node = _node("moments", (x,), (n,), n - 1)
    return Value(node, 0), Value(node, 1)


def average(x: Value, n: int, alpha: float | None = None, start: int | None = None) -> Value:
    """Exponential average with weight `alpha` (2/(n+1)), seeded with the mean of `n` values from bar `start` on."""
    start = x.ready if start is None else start
    return Value(Node("average", (x,), (2 / (n + 1) if alpha is None else alpha, n, start), start + n - 1))


def wilder(x: Value, n: int) -> Value:
    """Wilder's smoothing: an exponential average of weight 1/n."""
    return average(x, n, 1 / n)


def highest(x: Value, n: int) -> Value:
    return Value(_node("extrema", (x,), (1, n), n - 1))


def lowest(x: Value, n: int) -> Value:
    return Value(_node("extrema", (x,), (-1, n), n - 1))


def deviation(x: Value, n: int) -> Value:
    """The mean absolute deviation of the last `n` from their mean."""
    return Value(_node("deviation", (moments(x, n)[0], x), (n,)))


def running(x: Value) -> Value:
    """The sum of all."""
    return Value(_node("accumulate", (x,)))
