"""Feature extraction."""

from __future__ import annotations

import importlib
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from mlopt.targets import peers
from mlopt.targets.contest import Contest, NotHere, Options
from mlopt.targets.limits import fma
from mlopt.targets.measure import calls
from mlopt.targets.result import Row

WHOLE = 128  # values a bar of the default set, from which on the figure is final


def real_bars() -> np.ndarray:
    """The sample bars, one per row: open, high, low, close, volume."""
    try:
        from mlopt.features import sample_bars
    except ImportError as error:
        raise NotHere(f"mlopt.features is not in this version ({error})") from error
    try:
        return np.ascontiguousarray(sample_bars().as_array())
    except ImportError as error:
        raise NotHere(str(error)) from error


def bar_after_bar(bars: np.ndarray, function: Callable[..., object]) -> Callable[[], object]:
    """A call that hands the next bar to a function of five numbers, from the first again after the last."""
    following = itertools.cycle(bars.tolist()).__next__
    return lambda: function(*following())


def baseline_features(names: tuple[str, ...], bars: np.ndarray) -> Callable[[], object]:
    """A call that computes the features of the next window of the baseline program."""
    from mlopt.targets.baseline.features import WINDOW, Features

    program = Features(names)
    starts = itertools.cycle(range(len(bars) - WINDOW)).__next__

    def next_window() -> np.ndarray:
        start = starts()
        return program.compute(bars[start : start + WINDOW])

    return next_window


def talib_streams(talib: Any, bars: np.ndarray, outputs: int) -> tuple[Callable[[], object], int, int]:
    """TA-Lib's stream handles, function after function, until they give at least so many outputs a bar.

    Returns
    -------
    callable, int, int
        The update of all of them with the next bar, how many functions, how many outputs.
    """
    from talib import stream

    groups = talib.get_function_groups()
    kinds = (
        "Overlap Studies",
        "Momentum Indicators",
        "Volume Indicators",
        "Volatility Indicators",
        "Price Transform",
        "Cycle Indicators",
        "Statistic Functions",
    )
    function_of: Any = importlib.import_module("talib.abstract").Function
    history = {
        name: np.ascontiguousarray(bars[:1000, i]) for i, name in enumerate(("open", "high", "low", "close", "volume"))
    }
    columns = list(history)
    updates, count = [], 0
    for name in (name for kind in kinds for name in groups.get(kind, ())):
        function = function_of(name)
        series = []
        for wanted in function.input_names.values():
            series += [wanted] if isinstance(wanted, str) else list(wanted)
        if not set(series) <= set(columns):
            continue  # takes periods as a series, which is no indicator of a bar
        try:
            handle = getattr(stream, name)(*(history[s] for s in series))
        except Exception:  # a function that this history, or its default arguments, do not suit
            continue
        updates.append((handle.update, tuple(columns.index(s) for s in series)))
        count += len(function.output_names)
        if count >= outputs:
            break
    following = itertools.cycle(bars[1000:].tolist()).__next__
    arguments = [(update, *places) for update, places in updates]

    def update_all() -> list[object]:
        bar = following()
        return [update(*[bar[place] for place in places]) for update, *places in arguments]

    return update_all, len(updates), count


def measure_feature_extraction(row: Row, options: Options) -> None:
    """One bar in, the default set out."""
    bars = real_bars()
    from mlopt.features import FeatureExtractor

    extractor = FeatureExtractor()
    for bar in bars[:1000].tolist():
        extractor.update(*bar)
    names = tuple(extractor.names)
    if len(names) < WHOLE:
        row.provisional = f"provisional: the default set has {len(names)} of at least {WHOLE} values"
    row.notes.append(f"{len(names)} values a bar; handing over the next bar, about 60 ns, is part of every figure")
    contest = Contest(
        ours=calls(bar_after_bar(bars, extractor.update)),
        baseline=calls(baseline_features(names, bars)),
        limits=[fma("float64")],
        plan_figure=100e-6,
    )
    if options.peers and (talib := peers.find("talib")) is not None:
        update_all, functions, outputs = talib_streams(talib, bars, len(names))
        contest.peers[f"{peers.label('talib')} streams ({functions} functions, {outputs} outputs)"] = calls(update_all)
    contest.fill(row, options.seconds)
