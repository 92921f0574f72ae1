"""Features the way they were computed: over the whole window, at every bar."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from mlopt.features.definitions import parse_feature
from mlopt.features.graph import Node, Value
from mlopt.features.layout import KINDS, SERIES
from mlopt.targets.baseline import series

WINDOW = 500

_NAMES = {number: name for name, (number, _) in SERIES.items()}


class Step(NamedTuple):
    """One loop over the window: what it reads, by place, and its numbers."""

    loop: Callable[..., Any]
    inputs: tuple[int, ...]
    arguments: tuple[Any, ...]
    results: int


class Features:
    """Computes named features of the last bar of a window.

    The formulas are those of the library's table of features, evaluated step by step over the whole
    window; what a stream would remember of earlier bars (exponential averages, running totals) starts
    with the window.

    Parameters
    ----------
    names : sequence of str
        As :class:`mlopt.features.FeatureExtractor` takes them.

    Examples
    --------
    >>> import numpy as np
    >>> from mlopt.targets.baseline.features import Features
    >>> bars = np.array([[10, 11, 9, 10, 1000], [10, 12, 10, 12, 1500.0]])
    >>> Features(["sma_2"]).compute(bars)
    array([11.])
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.steps: list[Step] = []
        self.count = len(series.SERIES)  # of series so far: those of the bars themselves come first
        self.places: dict[Value, int] = {}
        values = [parse_feature(name).value for name in names]
        for value in values:
            self._plan(value.node)
        self.outputs = [self.places[value] for value in values]

    def _plan(self, node: Node) -> None:
        """Append the step of a node, those that it reads before it."""
        if Value(node) in self.places:
            return
        if node.kind == "bar":
            self.places[Value(node)] = series.SERIES.index(_NAMES[int(node.numbers[0])])
            return
        loop, values, arguments = _step(node)
        for value in values:
            self._plan(value.node)
        results = 2 if node.kind == "sum" else KINDS[node.kind].results or 1  # here, a sum keeps no rounding
        self.places.update({Value(node, port): self.count + port for port in range(results)})
        self.count += results
        self.steps.append(Step(loop, tuple(self.places[value] for value in values), arguments, results))

    def compute(self, window: np.ndarray[Any, np.dtype[np.float64]]) -> np.ndarray[Any, np.dtype[np.float64]]:
        """A fresh vector of the features at the window's last bar, from its bars (rows of five columns)."""
        results = series.of_bars(window)
        for loop, inputs, arguments, count in self.steps:
            result = loop(*[results[place] for place in inputs], *arguments)
            if count == 1:
                results.append(result)
            else:
                results += result
        return np.array([results[place][-1] for place in self.outputs])


def _step(node: Node) -> tuple[Callable[..., Any], tuple[Value, ...], tuple[Any, ...]]:
    """The loop of one step of the formulas, the series it reads, and what it takes behind them."""
    kind, inputs, numbers = node.kind, node.inputs, node.numbers
    looked_back_at = tuple(value for value, _ in node.windows)
    bars = node.windows[0][1] if node.windows else 0
    first = max(value.ready for value in inputs or looked_back_at)
    match kind:
        case "lag":
            return series.lag, looked_back_at, (first, bars)
        case "linear" | "product" | "distance" | "quotient" | "logarithm" | "root":
            return getattr(series, kind), inputs, (first, *numbers)
        case "sum":
            return series.window_sum, inputs, (first, bars)
        case "weighted":
            return series.weighted, inputs[:2], (inputs[0].ready, bars, numbers[1])
        case "moments" | "rank":
            return getattr(series, kind), inputs, (first, bars)
        case "average":
            alpha, count, divisor, start = numbers
            return series.average, inputs, (alpha, int(count), divisor, int(start), node.ready)
        case "adaptive" | "accumulate":
            return getattr(series, kind), inputs, (first,)
        case "sar":
            return series.sar, inputs, (*numbers[:2], node.ready)
        case "extrema":
            return series.extremum, inputs, (first, numbers[0], bars)
        case "deviation" | "age":
            return getattr(series, kind), inputs + looked_back_at, (node.ready, bars)
        case "shape":
            return (
                series.shape,
                inputs + looked_back_at,
                (node.ready, bars, bars * numbers[2], bars * numbers[3], numbers[4]),
            )
        case "covariance":
            return series.covariance, inputs + looked_back_at, (max(x.ready for x in looked_back_at), bars)
    raise NotImplementedError(f"the baseline program has no loop for the step {kind!r}")
