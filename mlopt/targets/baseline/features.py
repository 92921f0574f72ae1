"""Features the way they were computed: over the whole window, at every bar."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mlopt.features.definitions import parse_feature
from mlopt.features.graph import Node
from mlopt.features.layout import SERIES
from mlopt.targets.baseline import series

WINDOW = 500

_NAMES = {number: name for name, (number, _) in SERIES.items()}


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
    >>> from mlopt.targets.baseline import Features
    >>> bars = np.array([[10, 11, 9, 10, 1000], [10, 12, 10, 12, 1500.0]])
    >>> Features(["sma_2"]).compute(bars)
    array([11.])
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.values = [parse_feature(name).value for name in names]
        self.nodes: list[Node] = []
        for value in self.values:
            self._visit(value.node, set(self.nodes))

    def _visit(self, node: Node, known: set[Node]) -> None:
        if node in known:
            return
        for value in node.inputs:
            self._visit(value.node, known)
        known.add(node)
        self.nodes.append(node)

    def compute(self, window: np.ndarray[Any, np.dtype[np.float64]]) -> np.ndarray[Any, np.dtype[np.float64]]:
        """A fresh vector of the features at the window's last bar, from its bars (rows of five columns)."""
        results: dict[Node, Any] = {}
        for node in self.nodes:
            results[node] = _evaluate(node, window, results)
        features = np.empty(len(self.values))
        for i, value in enumerate(self.values):
            of_node = results[value.node]
            features[i] = (of_node[value.port] if isinstance(of_node, tuple) else of_node)[-1]
        return features


def _evaluate(node: Node, window: np.ndarray[Any, np.dtype[np.float64]], results: dict[Node, Any]) -> Any:
    """The series of one step of the formulas; that of moments is a pair."""
    kind, numbers = node.kind, node.numbers
    if kind == "bar":
        return series.of_bars(_NAMES[int(numbers[0])], window)
    inputs = []
    for value in node.inputs:
        of_node = results[value.node]
        inputs.append(of_node[value.port] if isinstance(of_node, tuple) else of_node)
    first = max(value.ready for value in node.inputs)
    x = inputs[0]
    match kind:
        case "lag":
            return series.lag(x, first, int(numbers[0]))
        case "linear" | "product" | "quotient" | "logarithm" | "root":
            return getattr(series, kind)(*inputs, first, *numbers)
        case "sum":
            return series.window_sum(x, first, int(numbers[0]), numbers[1])
        case "weighted":
            return series.weighted(x, node.inputs[0].ready, int(numbers[0]), numbers[1])
        case "moments":
            return series.moments(x, first, int(numbers[0]))
        case "average":
            return series.average(x, numbers[0], int(numbers[1]), int(numbers[2]))
        case "extrema":
            return series.extremum(x, first, numbers[0], int(numbers[1]))
        case "deviation":
            return series.deviation(*inputs, first, int(numbers[0]))
        case "accumulate":
            return series.accumulate(x, first)
    raise NotImplementedError(f"the baseline program has no loop for the step {kind!r}")
