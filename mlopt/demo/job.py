"""The job from bars to result."""

from __future__ import annotations

import platform
from collections.abc import Callable
from statistics import quantiles
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

import mlopt
from mlopt._kernels.core import cpu_report, current_isa
from mlopt.demo.baseline import BaselineProgram
from mlopt.demo.checks import Checker
from mlopt.demo.result import Result, Stage
from mlopt.demo.serving import STAGES, Served, Server, clock_cost
from mlopt.demo.training import accuracy_of, train
from mlopt.features import Bars, FeatureExtractor, Scaler, sample_bars

YOUNGER = 0.3  # the share of the bars that is served
FOLDS = 5
SAMPLE = "S&P 500 days"
BASELINE_EVERY = 20
NOT_IN_TOTAL = ("gradient", "total")  # the update computes the gradient too
FEWEST = 240  # bars with features that it takes to train and serve anything

Progress = Callable[[str, int, int], None]


class BarsError(ValueError):
    """Bars that the job cannot be done with."""


def run_demo(
    bars: Bars | None = None,
    source: str = "",
    *,
    seed: int = 0,
    passes: int = 10,
    check_every: int = 250,
    progress: Progress = lambda part, done, total: None,
) -> Result:
    """Train on the older bars, serve the younger ones, check, compare.

    Parameters
    ----------
    bars : Bars, optional
        Real bars; 20 years of S&P 500 days by default.
    source : str, optional
        Where they are from, for the report.
    seed : int, default 0
        Of initial weights and the order of samples; everything but the timings follows from it.
    passes : int, default 10
        Times that the younger bars are served, each from the same state: more latencies.  Forecasts are
        counted the first time.
    check_every : int, default 250
        Bars served from one check against the reference kernels to the next.
    progress : callable, optional
        Told (part, done, total) now and then.

    Returns
    -------
    Result

    Raises
    ------
    BarsError
        If there are too few bars, or one is impossible (high below low, ...).

    Examples
    --------
    >>> from mlopt.demo import run_demo
    >>> result = run_demo(passes=1)
    >>> result.passed
    True
    >>> result.served.count > 1000
    True
    """
    began = perf_counter()
    if bars is None:
        bars, source = sample_bars(), SAMPLE
    rows = list(bars)
    dates = _dates(bars)
    extractor = FeatureExtractor()
    warm_up = extractor.lookback
    split = warm_up + int((len(rows) - warm_up) * (1 - YOUNGER))
    if len(rows) - warm_up < FEWEST:
        raise BarsError(
            f"{len(rows)} bars are too few: the features need {warm_up} before the first, the rest {FEWEST} more"
        )
    try:
        extractor.transform(bars)  # to find an impossible bar before anything else is done
    except ValueError as error:
        raise BarsError(str(error)) from error
    ups = (bars.close[1:] > bars.close[:-1]).astype(np.float32)[:, np.newaxis]  # of bar i: whether bar i + 1 is higher

    scaler = Scaler(len(extractor.names))
    inputs = _stream(rows[:split], warm_up, extractor, scaler, progress)
    featured = perf_counter()
    # the last older bar's direction is known with the first younger one: it is learned online
    model, training, final_losses = train(inputs, ups, dates, warm_up, split - 1, FOLDS, seed, progress)
    trained = perf_counter()

    served, checker = Served(), Checker()
    server = Server(extractor, scaler, model, rows, split, inputs[-1])
    baseline = BaselineProgram(rows, extractor.names, model)
    count = len(rows) - split
    for number in range(passes):

        def told(done: int, before: int = number * count) -> None:
            progress("serving", before + done, passes * count)

        server.restore()
        forecasts = server.serve(served, checker, check_every, baseline, BASELINE_EVERY, told)
        served.forecasts = served.forecasts or forecasts
    progress("serving", passes * count, passes * count)
    done = perf_counter()
    # the last bar's direction is not known yet
    accuracy = accuracy_of(np.array(served.forecasts[:-1]), ups[split:, 0])
    return Result(
        bars={
            "source": source or "bars", "count": len(rows), "first": dates[0], "last": dates[-1], "warm_up": warm_up,
            "trained": split - warm_up, "served": count, "passes": passes,
        },
        network={
            "layers": list(model.layers), "parameters": sum(w.size + b.size for w, b in model.parameters),
            "activation": model.activation, "output": model.output, "loss": model.loss_function,
            "optimizer": repr(model.optimizer), "dtype": model.dtype.name,
        },
        machine={
            "brand": cpu_report()["brand"], "cores": cpu_report()["cores"], "tier": current_isa(),
            "python": platform.python_version(), "numpy": np.__version__, "mlopt": mlopt.__version__,
        },
        settings={"seed": seed, "check_every": check_every, "baseline_every": BASELINE_EVERY},
        seconds={
            "features": featured - began, "training": trained - featured, "serving": done - trained,
            "total": done - began,
        },
        clock_nanoseconds=clock_cost(),
        stages=_stages(served),
        cold=served.cold["total"],
        training=training,
        served=accuracy,
        final_losses=final_losses,
        checks=checker.results(),
    )  # fmt: skip


def _dates(bars: Bars) -> list[str]:
    if bars.timestamps is None:
        return [f"bar {i}" for i in range(len(bars))]
    return [str(day) for day in np.asarray(bars.timestamps, "datetime64[D]")]


def _stream(
    rows: list[Any], warm_up: int, extractor: FeatureExtractor, scaler: Scaler, progress: Progress
) -> NDArray[np.float32]:
    """The scaled features of every bar, each with what was known at it; 0 while warming up."""
    inputs = np.zeros((len(rows), len(extractor.names)), np.float32)
    for i, bar in enumerate(rows):
        features = extractor.update(*bar)
        if i >= warm_up:
            scaler.update(features).transform(features, inputs[i])
        if i % 500 == 0:
            progress("features", i, len(rows))
    progress("features", len(rows), len(rows))
    return inputs


def _stages(served: Served) -> list[Stage]:
    """Every stage with the baseline's time, the ratio bar by bar, and what is stated."""
    names = list(STAGES)
    stages = []
    for name in names:
        target, ratio_target = stated(name)
        parts = [i for i, part in enumerate(names) if (part not in NOT_IN_TOTAL if name == "total" else part == name)]
        ours = [sum(times[part] for part in parts) for times, _ in served.pairs]
        theirs = [sum(times[part] for part in parts) for _, times in served.pairs]
        baseline = ratio = None
        if len(ours) > 1:
            low, median, high = quantiles((b / max(a, 1) for a, b in zip(ours, theirs, strict=True)), n=4)
            ratio, baseline = (low, median, high), quantiles(theirs, n=2)[0]
        stages.append(Stage(name, STAGES[name], served.latency[name], target, baseline, ratio, ratio_target))
    return stages


def stated(stage: str) -> tuple[float | None, float | None]:
    """What is stated for a stage: nanoseconds, and the ratio to the baseline program."""
    from mlopt.targets.definitions import find

    ids = {"features": "feature_extraction", "inference": "inference", "gradient": "gradient", "total": "overall"}
    if stage not in ids:
        return None, None
    goal = next(goal for goal in find(ids[stage]).goals if goal.kind == "stated")
    return (None, goal.bound) if goal.metric == "vs_baseline" else (goal.bound * 1e9, None)
