"""Serving bar by bar: a pipeline of features, scaling and inference, then gradient and update; each stage timed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mlopt.concurrent import Histogram, now
from mlopt.demo.baseline import BaselineProgram
from mlopt.demo.checks import Checker
from mlopt.features import FeatureExtractor, Scaler
from mlopt.nn import MLP
from mlopt.pipeline import Learn, Pipeline

# the first three are stages of one pipeline, which is one call: their times are taken inside of it
STAGES = {
    "features": "FeatureExtractor, in the pipeline: a bar in, its features out",
    "scale": "Scaler, in the pipeline: learns from them, scales by mean and deviation so far, into the network’s input",
    "inference": "MLP, in the pipeline: will the next bar close higher?",
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
    """What records each stage: since its start, where the pipeline does not say how long it took."""
    given = ("features", "scale", "inference", "total")
    return [latency[name].record if name in given else latency[name].record_since for name in STAGES]


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
        self._pipeline = Pipeline([None, extractor, Learn(scaler), model, None], timed=True)
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
        extractor, model, bars, pipeline = self._extractor, self._model, self._bars, self._pipeline
        push, times = pipeline.push, pipeline.times
        gradient, train_step = model.gradient, model.train_step
        # the network's input and output for this bar, in the pipeline, and a copy of the input for the bar before
        x, probability, before = pipeline.output_of(1), pipeline.output_of(2), self._last.copy()
        label = np.zeros(1, np.float32)
        warm, cold = _recorders(served.latency), _recorders(served.cold)
        recorders = cold
        forecasts = []
        for i in range(self._start, len(bars)):
            open_, high, low, close, volume = bars[i]
            label[0] = close > bars[i - 1][3]
            number = i - self._start + 1
            check, compare = number % check_every == 0, number % baseline_every == 0
            record_features, record_scale, record_inference, record_gradient, record_update, record_total = recorders
            recorders = cold if check or compare else warm  # of the next bar

            start = now()
            push(open_, high, low, close, volume)
            inferred = now()
            gradient(before, label)
            differentiated = record_gradient(inferred)
            extraction, scaling, inference = times.tolist()
            record_features(extraction)
            record_scale(scaling)
            record_inference(inference)
            if check:
                checker.features(extractor)
                checker.inference(model, x, probability)
                checker.gradient(model, before, label)
            resumed = now()
            train_step(before, label)
            updated = record_update(resumed)

            record_total(inferred - start + updated - resumed)
            forecasts.append(float(probability[0]))
            np.copyto(before, x)
            if baseline is not None and compare:
                # the call of the pipeline counts, not only what its stages took
                around = inferred - start - extraction - scaling - inference
                ours = (extraction + around, scaling, inference, differentiated - inferred, updated - resumed)
                served.pairs.append((ours, baseline.serve(i, self._scaler, label)))
            if number % 100 == 0:
                progress(number)
        return forecasts
