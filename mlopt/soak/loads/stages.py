"""The stages that the loads share, made the same way wherever they are made: features, scaling, a network."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

import mlopt
from mlopt.features import FeatureExtractor, Scaler
from mlopt.nn import MLP
from mlopt.nn.mlp import BoundPrediction
from mlopt.soak.stream import BarStream

HIDDEN = 32
OUTPUTS = 4
WARM_UP = 2048
PACKED = 16  # calls by which a bound network works from packed parameters, whose sums have another order


def bind_packed(model: MLP, x: NDArray[np.float32], out: NDArray[np.float32]) -> BoundPrediction:
    """The bound call of a network, with its parameters packed: bit for bit the same from the first record on."""
    infer = model.bind(x, out)
    x.fill(0)
    for _ in range(PACKED):
        infer()
    return infer


@dataclass
class Stages:
    """An extractor that is warm, a fitted scaler, a network."""

    extractor: FeatureExtractor
    scaler: Scaler
    model: MLP

    @classmethod
    def of(cls, stream: BarStream, seed: int) -> Stages:
        """The stages of a stream: equal for equal streams and seeds, in whatever process."""
        history = stream.history(WARM_UP)
        extractor = FeatureExtractor()
        rows = extractor.transform(history)[extractor.lookback :]
        scaler = Scaler(len(extractor.names)).fit(rows)
        extractor.warm_up(history)
        model = MLP([len(extractor.names), HIDDEN, OUTPUTS], dtype="float32", rng=np.random.default_rng([seed, 3]))
        return cls(extractor, scaler, model)


class Independent:
    """The stages once more, called one by one from Python: what a pipeline's outputs are compared with."""

    def __init__(self, stream: BarStream, seed: int) -> None:
        stages = Stages.of(stream, seed)
        self._update, self._scale = stages.extractor.update, stages.scaler.transform
        self._bars = stream.bars()
        self._x = mlopt.empty_aligned(len(stages.extractor.names), np.float32)
        self._out = mlopt.empty_aligned(OUTPUTS, np.float32)
        self._infer = bind_packed(stages.model, self._x, self._out)
        self._next = 0

    def output(self, number: int) -> NDArray[np.float32] | None:
        """The output of record `number`, which rises from call to call; None if the record is bad."""
        features = None
        for _ in range(self._next, number + 1):
            try:
                features = self._update(*next(self._bars))
            except ValueError:
                features = None
        self._next = number + 1
        if features is None:
            return None
        self._scale(features, self._x)
        self._infer()
        return self._out
