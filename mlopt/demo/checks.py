"""Checks while serving: a bar is computed again with the reference kernels, and compared."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

import mlopt
from mlopt.demo.result import Check
from mlopt.features import FeatureExtractor
from mlopt.nn import MLP

# Features are float64 from compensated sums.  The network is float32: a few hundred terms a sum, through a
# few layers, a unit in the last place being 6e-8 of the largest.
TOLERANCES = {"features": 1e-9, "inference": 1e-5, "gradient": 1e-5}


class Checker:
    """Computes bars again on the reference tier and keeps the worst deviations."""

    def __init__(self) -> None:
        self._checks = dict.fromkeys(TOLERANCES, 0)
        self._failures = dict.fromkeys(TOLERANCES, 0)
        self._worst = dict.fromkeys(TOLERANCES, 0.0)

    def features(self, extractor: FeatureExtractor) -> None:
        """The last bar's features."""
        self._count("features", extractor.verify())

    def inference(self, model: MLP, x: NDArray[np.float32], got: NDArray[np.float32]) -> None:
        """One forecast."""
        with mlopt.use_isa("reference"):
            expected = model.predict(x)
        self._compare("inference", got, expected)

    def gradient(self, model: MLP, x: NDArray[np.float32], y: NDArray[np.float32]) -> None:
        """The gradient of one sample, which `model` computed last."""
        got = _flat(model.gradient(x, y))
        with mlopt.use_isa("reference"):
            expected = _flat(model.gradient(x, y))
        self._compare("gradient", got, expected)

    def _compare(self, name: str, got: NDArray[Any], expected: NDArray[Any]) -> None:
        largest = max(float(np.abs(expected).max()), float(np.finfo(np.float32).tiny))
        self._count(name, float(np.abs(got.astype(np.float64) - expected).max()) / largest)

    def _count(self, name: str, deviation: float) -> None:
        if not np.isfinite(deviation):  # NaN on one side
            deviation = np.finfo(np.float64).max
        self._checks[name] += 1
        self._failures[name] += deviation > TOLERANCES[name]
        self._worst[name] = max(self._worst[name], float(deviation))

    def results(self) -> list[Check]:
        """What was found, a row a quantity."""
        return [
            Check(name, self._checks[name], self._failures[name], self._worst[name], tolerance)
            for name, tolerance in TOLERANCES.items()
        ]


def _flat(gradients: Sequence[Sequence[NDArray[Any]]]) -> NDArray[Any]:
    return np.concatenate([part.ravel() for layer in gradients for part in layer])
