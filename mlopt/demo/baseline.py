"""The baseline program beside the server: the same stages of the same bars, the way it was done before."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

import mlopt
from mlopt.concurrent import now
from mlopt.features import Scaler
from mlopt.nn import MLP, AdamW
from mlopt.targets.baseline.features import WINDOW, Features
from mlopt.targets.baseline.network import Network

Array = NDArray[Any]


class Classifier(Network):
    """The baseline's network with a sigmoid at its end."""

    def forward(self, x: Array) -> list[Array]:
        """What every layer puts out, the input first.

        Squared error behind this output, its sigmoid taken as the identity, has twice the gradient of
        cross-entropy; AdamW takes the same steps with it.
        """
        outputs = super().forward(x)
        return [*outputs[:-1], mlopt.sigmoid(outputs[-1])]


class BaselineProgram:
    """Features over the full window, scalar loops, fresh arrays at every stage.

    Parameters
    ----------
    bars : sequence of tuple
        All bars.
    names : sequence of str
        The features.
    model : MLP
        The trained network; its parameters are copied.
    """

    def __init__(self, bars: Sequence[tuple[float, ...]], names: Sequence[str], model: MLP) -> None:
        self._bars = np.array(bars)
        self._features = Features(names)
        optimizer = model.optimizer
        if not isinstance(optimizer, AdamW):
            raise TypeError(f"model must be trained by AdamW, not {type(optimizer).__name__}")
        rate = optimizer.lr
        if callable(rate):
            raise TypeError("model must be trained at one rate, not by a schedule")
        self._network = Classifier(
            model.weights, model.biases, rate, optimizer.betas, optimizer.eps, optimizer.weight_decay
        )
        self._before = np.zeros(len(names), np.float32)

    def serve(self, i: int, scaler: Scaler, label: NDArray[np.float32]) -> tuple[int, ...]:
        """Do everything for bar `i`; the nanoseconds of features, scale, inference, gradient, update with it."""
        with mlopt.use_isa("reference"):
            start = now()
            features = self._features.compute(self._bars[max(0, i + 1 - WINDOW) : i + 1].copy())
            extracted = now()
            x = scaler.transform(features).astype(np.float32)
            scaled = now()
            self._network.predict(x)
            inferred = now()
            gradients = self._network.gradient(self._before, label)
            differentiated = now()
            self._network.update(gradients)
            updated = now()
        self._before = x
        times = (start, extracted, scaled, inferred, differentiated)
        return (*(end - begin for begin, end in pairwise(times)), updated - inferred)
