"""Serving bar by bar: features, scaling, inference, gradient, update, each stage timed on its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from mlopt.concurrent import Histogram, now
from mlopt.demo.baseline import BaselineProgram
from mlopt.demo.checks import Checker
from mlopt.features import FeatureExtractor, Scaler
from mlopt.nn import MLP

STAGES = {
    "features": "FeatureExtractor.update: a bar in, its features out",
    "scale": "Scaler.update and transform: by mean and deviation so far, into the network’s input",
    "inference": "the bound call: will the next bar close higher?",
    "gradient": "MLP.gradient: of all parameters, on its own; not in the total, as the update computes it too",
    "update": "MLP.train_step: gradient and AdamW, for the bar whose direction is now known",
    "total": "from the bar to the updated network",
}
Bars = list[tuple[float, float, float, float, float]]
Progress = Callable[[str, int, int], None]


@dataclass
class Served:
    """What serving found."""

    latency: dict[str, Histogram] = field(default_factory=lambda: {name: Histogram() for name in STAGES})
    # the bars right after a check or the baseline program, which leave the caches to us cold, are counted apart
    cold: dict[str, Histogram] = field(default_factory=lambda: {name: Histogram() for name in STAGES})
    forecasts: list[float] = field(default_factory=list)  # probabilities of "up", of the first pass
    # nanoseconds of every stage, of the bars that the baseline program ran too: ours and its own
    pairs: list[tuple[tuple[int, ...], tuple[int, ...]]] = field(default_factory=list)


def clock_cost(calls: int = 2000) -> float:
    """Nanoseconds that reading the clock adds to a stage: the median of stages in which nothing is done."""
    latency = Histogram()
    time = now()
    for _ in range(calls):
        time = latency.record_since(time)
    return latency.quantile(0.5)


def _recorders(latency: dict[str, Histogram]) -> list[Callable[[int], Any]]:
    """What records each stage: since its start, and the total as it is."""
    return [latency[name].record if name == "total" else latency[name].record_since for name in STAGES]


class Server:
    """The trained network and what feeds it, brought back to one state before every pass.

    Parameters
    ----------
    extractor, scaler, model
        As training left them.
    bars : list of tuple
        All bars, (open, high, low, close, volume) each.
    start : int
        The first bar to serve; the extractor and the scaler have seen those before.
    last : ndarray
        The scaled features of the bar before `start`.
    """

    def __init__(
        self, extractor: FeatureExtractor, scaler: Scaler, model: MLP, bars: Bars, start: int, last: np.ndarray
    ) -> None:
        self._extractor, self._scaler, self._model = extractor, scaler, model
        self._bars, self._start, self._last = bars, start, last.copy()
        self._state = extractor.get_state(), scaler.get_state(), model.get_state()

    def restore(self) -> None:
        """Back to how training left it."""
        extractor, scaler, model = self._state
        self._extractor.set_state(extractor)
        self._scaler.set_state(scaler)
        self._model.set_state(model)

    def serve(
        self,
        served: Served,
        checker: Checker,
        check_every: int,
        baseline: BaselineProgram | None,
        baseline_every: int,
        progress: Callable[[int], None],
    ) -> list[float]:
        """Serve all bars once; the forecasts.

        When a bar comes in, the direction of the one before is known: the gradient and the update are of
        that one, after the forecast is out.
        """
        extractor, model, bars = self._extractor, self._model, self._bars
        update_features, learn_scale, scale = extractor.update, self._scaler.update, self._scaler.transform
        gradient, train_step = model.gradient, model.train_step
        # two inputs that take turns: the bar's own, and that of the bar before
        inputs = [self._last.copy(), self._last.copy()]
        probability, label = np.zeros(1, np.float32), np.zeros(1, np.float32)
        infer = [model.bind(x, probability) for x in inputs]
        warm, cold = _recorders(served.latency), _recorders(served.cold)
        recorders = cold
        forecasts = []
        turn = 0
        for i in range(self._start, len(bars)):
            turn = 1 - turn
            x, before, forecast = inputs[turn], inputs[1 - turn], infer[turn]
            open_, high, low, close, volume = bars[i]
            label[0] = close > bars[i - 1][3]
            number = i - self._start + 1
            check, compare = number % check_every == 0, number % baseline_every == 0
            record_features, record_scale, record_inference, record_gradient, record_update, record_total = recorders
            recorders = cold if check or compare else warm  # of the next bar

            start = now()
            features = update_features(open_, high, low, close, volume)
            extracted = record_features(start)
            learn_scale(features)
            scale(features, x)
            scaled = record_scale(extracted)
            forecast()
            inferred = record_inference(scaled)
            gradient(before, label)
            differentiated = resumed = record_gradient(inferred)
            if check:
                checker.features(extractor)
                checker.inference(model, x, probability)
                checker.gradient(model, before, label)
                resumed = now()
            train_step(before, label)
            updated = record_update(resumed)

            record_total(inferred - start + updated - resumed)
            forecasts.append(float(probability[0]))
            if baseline is not None and compare:
                times = (start, extracted, scaled, inferred, differentiated)
                ours = (*(end - begin for begin, end in pairwise(times)), updated - resumed)
                served.pairs.append((ours, baseline.serve(i, self._scaler, label)))
            if number % 100 == 0:
                progress(number)
        return forecasts
