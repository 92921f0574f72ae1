"""TA-Lib as a peer: its stream handles, bar by bar, and its batch functions over a history."""

from __future__ import annotations

import importlib
import itertools
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

FIELDS = ("open", "high", "low", "close", "volume")


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
    history = {name: np.ascontiguousarray(bars[:1000, i]) for i, name in enumerate(FIELDS)}
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


def talib_batches(talib: Any, bars: np.ndarray, names: tuple[str, ...]) -> tuple[Callable[[], object], list[str], int]:
    """TA-Lib's functions over a whole history, for the features that it has: each function once, all its outputs.

    Returns
    -------
    callable, list of str, int
        The computation, the features that it covers, how many functions.
    """
    from mlopt.features.definitions import parse_feature

    function_of: Any = importlib.import_module("talib.abstract").Function
    columns = {field: np.ascontiguousarray(bars[:, i]) for i, field in enumerate(FIELDS)}
    other_series = {"donchian_upper": ("high",), "donchian_lower": ("low",), "volume_sma": ("volume",)}
    calls: dict[Any, Callable[[], object]] = {}
    covered = []
    for feature in map(parse_feature, names):
        if feature.family.talib is None:
            continue
        name = feature.family.talib.split("[")[0]
        function = function_of(name)
        wanted = [
            x for inputs in function.input_names.values() for x in ([inputs] if isinstance(inputs, str) else inputs)
        ]
        series = other_series.get(feature.family.name, feature.inputs) or tuple(wanted)
        if not set(series) <= set(columns):
            continue
        if name == "SAR":
            numbers = dict(zip(("acceleration", "maximum"), (period / 100 for period in feature.periods), strict=True))
        else:
            places = [place for place in function.parameters if "period" in place]
            numbers = dict(zip(places, feature.periods, strict=False))
        covered.append(feature.name)
        arguments = [columns[x] for x in series]
        calls[name, series, tuple(numbers.items())] = partial(getattr(talib, name), *arguments, **numbers)
    functions = list(calls.values())
    return lambda: [function() for function in functions], covered, len(functions)
