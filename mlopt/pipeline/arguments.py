"""What a pipeline is made of, checked: numbers, timeouts, stages."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from mlopt.features import FeatureExtractor
from mlopt.features.bars import FIELDS
from mlopt.pipeline.links import input_of, is_bindable, name_of
from mlopt.pipeline.sinks import Sink, TableSink
from mlopt.pipeline.sources import Source, TableSource
from mlopt.pipeline.stages import Apply, Learn

__all__ = ["check_count", "check_tables", "check_timeout", "groups_of", "names_of", "one_of"]


def one_of(name: str, value: Any, choices: Sequence[str]) -> str:
    """A string that is one of those."""
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a string, not {type(value).__name__}")
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}, not {value!r}")
    return value


def check_count(name: str, value: Any, least: int) -> int:
    """An integer that is large enough."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{name} must be an integer, not {type(value).__name__}")
    if value < least:
        raise ValueError(f"{name} must be at least {least}, not {value}")
    return int(value)


def check_timeout(timeout: Any) -> float | None:
    """Seconds, at most as many as threads can wait; None for ever."""
    if timeout is None:
        return None
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float, np.integer, np.floating)):
        raise TypeError(f"timeout must be a number of seconds or None, not {type(timeout).__name__}")
    if not timeout >= 0:
        raise ValueError(f"timeout must be at least 0 seconds, or None to wait for ever, not {timeout}")
    return float(min(timeout, threading.TIMEOUT_MAX))


def groups_of(stages: Any) -> list[list[Any]]:
    """What stands between source and sink, one list a worker, functions wrapped."""
    if not isinstance(stages, Sequence) or isinstance(stages, (str, bytes)):
        raise TypeError(f"stages must be a list of source, stages and sink, not {type(stages).__name__}")
    if len(stages) < 3:
        raise ValueError(f"stages must be a source, at least one stage and a sink, not {len(stages)} objects")
    groups = [
        [_stage_of(stage) for stage in (group if isinstance(group, (list, tuple)) else [group])]
        for group in stages[1:-1]
    ]
    if not all(groups):
        raise ValueError("stages: a group of stages is empty")
    remembering: set[int] = set()
    for stage in (stage for group in groups for stage in group):
        memory = _memory_of(stage)
        if id(memory) in remembering:
            raise ValueError(f"stages: the same {name_of(stage)} stands twice, but it remembers records of one place")
        if memory is not None:
            remembering.add(id(memory))
    return groups


def _stage_of(stage: Any) -> Any:
    """A stage as links know it."""
    known = isinstance(stage, (Apply, Learn)) or input_of(stage)[0] is not None or is_bindable(stage)
    return Apply(stage) if callable(stage) and not known else stage


def _memory_of(stage: Any) -> Any:
    """The object in which a stage keeps what it remembers of records; None where it remembers nothing."""
    if isinstance(stage, Learn):
        return stage.scaler
    if isinstance(stage, Apply):
        return stage.function if hasattr(stage.function, "get_state") else None
    return stage if isinstance(stage, FeatureExtractor) else None


def names_of(stage: Any) -> tuple[str, ...] | None:
    """What the columns of a stage's records are called."""
    return (*FIELDS, *stage.columns) if isinstance(stage, FeatureExtractor) else None


def check_tables(source: Source | None, sink: Sink) -> None:
    """ValueError where outputs would overwrite records that were not read yet."""
    if not isinstance(source, TableSource) or not isinstance(sink, TableSink):
        return
    if np.may_share_memory(source.table, sink.table):
        raise ValueError("stages: the array at the end must not overlap the table at the beginning")
