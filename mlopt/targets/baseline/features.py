"""Features the way they were computed: over the whole window, at every bar."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from mlopt.features.definitions import parse_feature
from mlopt.features.graph import Node, Value
from mlopt.features.layout import SERIES
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
        for value in node.inputs:
            self._plan(value.node)
        loop, arguments = _step(node)
        results = 2 if node.kind == "moments" else 1
        self.places.update({Value(node, port): self.count + port for port in range(results)})
        self.count += results
        self.steps.append(Step(loop, tuple(self.places[value] for value in node.inputs), arguments, results))

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


def _step(node: Node) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """The loop of one step of the formulas, and what it takes after the series it reads."""
    kind, numbers = node.kind, node.numbers
    first = max(value.ready for value in node.inputs)
    match kind:
        case "lag":
            return series.lag, (first, int(numbers[0]))
        case "linear" | "product" | "quotient" | "logarithm" | "root":
            return getattr(series, kind), (first, *numbers)
        case "sum":
            return series.window_sum, (first, int(numbers[0]), numbers[1])
        case "weighted":
            return series.weighted, (node.inputs[0].ready, int(numbers[0]), numbers[1])
        case "moments":
            return series.moments, (first, int(numbers[0]))
        case "average":
            return series.average, (numbers[0], int(numbers[1]), int(numbers[2]))
        case "extrema":
            return series.extremum, (first, numbers[0], int(numbers[1]))
        case "deviation":
            return series.deviation, (first, int(numbers[0]))
        case "accumulate":
            return series.accumulate, (first,)
    raise NotImplementedError(f"the baseline program has no loop for the step {kind!r}")
