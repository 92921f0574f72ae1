"""Feature extraction."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np

from mlopt.targets import peers
from mlopt.targets.contest import Contest, NotHere, Options
from mlopt.targets.limits import fma, stream
from mlopt.targets.measure import calls
from mlopt.targets.result import Row
from mlopt.targets.rows.talib import talib_batches, talib_streams

SYMBOLS = 1024
HISTORY = 5000


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


def measure_feature_extraction(row: Row, options: Options) -> None:
    """One bar in, the default set out."""
    bars = real_bars()
    from mlopt.features import FeatureExtractor

    extractor = FeatureExtractor()
    for bar in bars[:1000].tolist():
        extractor.update(*bar)
    names = tuple(extractor.names)
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


def state_traffic(names: tuple[str, ...]) -> tuple[int, int]:
    """How many numbers of one symbol's state a bar reads, and how many it writes, as the plan has it."""
    from mlopt.features.definitions import parse_feature
    from mlopt.features.layout import KINDS
    from mlopt.features.plan import compile_plan

    words = compile_plan([parse_feature(name).value for name in names]).words.tolist()
    kinds = {kind.number: (name, kind) for name, kind in KINDS.items()}
    read = written = 10  # the last two bars
    for first in range(8, 8 + 8 * words[5], 8):
        number, lanes, used, parameters, _, _, levels, windows = words[first : first + 8]
        name, kind = kinds[number]
        if name == "push":
            written += used
        elif name == "extrema":
            read += used * (levels - 1 + windows)
            written += used * levels
        elif kind.kind_class == "window":
            for ring in range(kind.rings):
                row = parameters + (kind.sources + 3 * ring + 2) * lanes
                read += sum(words[row : row + used])
        elif kind.kind_class in ("recurrence", "lag"):
            read += used * (kind.states + kind.rings)
            written += used * kind.states
    return read, written


def measure_feature_symbols(row: Row, options: Options) -> None:
    """One bar of many symbols, against reading and writing as much of the state."""
    bars = real_bars()
    from mlopt.features import FeatureExtractor

    extractor = FeatureExtractor(symbols=SYMBOLS)
    single = FeatureExtractor()
    columns = [np.empty(SYMBOLS) for _ in range(5)]
    for bar in bars[: 2 * single.lookback]:
        extractor.update(*(np.full(SYMBOLS, number) for number in bar))
    next_bar = itertools.cycle(bars[:64].tolist()).__next__

    def update() -> None:
        for column, number in zip(columns, next_bar(), strict=True):
            column.fill(number)
        extractor.update(*columns)

    read, written = state_traffic(extractor.names)
    loop = stream("update", "float64", read * SYMBOLS // 2, "memory")
    touched = 8.0 * SYMBOLS * (read + written)
    contest = Contest(
        ours=calls(update),
        variants={"one_symbol": calls(bar_after_bar(bars, single.update))},
        limits=[fma("float64"), loop],
        share_of=loop.name,
        amount=touched,
    )
    contest.fill(row, options.seconds)
    assert row.figure is not None
    row.figure = row.figure.scaled(1 / SYMBOLS)
    row.metrics["figure"] = row.figure.median
    row.metrics["vs_roofline"] = 1 / row.metrics["share"]
    row.notes.append(
        f"{SYMBOLS} symbols, {len(extractor.names)} values each; a symbol's bar reads {8 * read} and writes "
        f"{8 * written} bytes of its {extractor.state_bytes} bytes of state; the roofline is a loop over as many"
    )


def measure_feature_history(row: Row, options: Options) -> None:
    """A history at once, against TA-Lib's functions for the features that both have."""
    bars = real_bars()[:HISTORY]
    from mlopt.features import FeatureExtractor

    whole = FeatureExtractor()
    talib = peers.find("talib") if options.peers else None
    contest = Contest(ours=calls(lambda: whole.transform(bars)), limits=[fma("float64")])
    # once a large block was freed, glibc keeps the pages of smaller ones: no faults whenever TA-Lib makes an output
    np.ones(1 << 21).sum()
    if talib is not None:
        compute, names, functions = talib_batches(talib, bars, whole.names)
        shared = FeatureExtractor(names)
        contest.ours = calls(lambda: shared.transform(bars))
        contest.variants["whole_set"] = calls(lambda: whole.transform(bars))
        contest.peers[f"{peers.label('talib')} ({functions} functions, {len(names)} features)"] = calls(compute)
        row.notes.append(f"the {len(names)} features of the default set that TA-Lib has")
    contest.fill(row, options.seconds)
    assert row.figure is not None
    row.figure = row.figure.scaled(1 / len(bars))
    row.metrics["figure"] = row.figure.median
    if "whole_set" in row.metrics:
        row.metrics["whole_set"] /= len(bars)
        row.notes.append(f"all {len(whole.names)} features: {1e9 * row.metrics['whole_set']:.0f} ns a bar")
