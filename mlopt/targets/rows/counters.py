"""Counting from many threads: in C, and from Python beside what programs count with otherwise."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

from mlopt.concurrent import Counter, Histogram
from mlopt.targets import peers
from mlopt.targets.contest import OURS, Contest, Options
from mlopt.targets.counter_loops import time_cell_add, time_counter_add, time_histogram_record
from mlopt.targets.limits import l1_read
from mlopt.targets.measure import Batch, calls
from mlopt.targets.result import Comparison, Row

LOOP = 1000  # additions in one call of a loop in C


def in_c(loop: Callable[[Any, int], int], metric: Counter | Histogram) -> Batch:
    """A batch of `count` times LOOP additions in C; the seconds of one of them, times `count`.

    Examples
    --------
    >>> from mlopt.concurrent import Counter
    >>> from mlopt.targets.counter_loops import time_counter_add
    >>> counter = Counter()
    >>> in_c(time_counter_add, counter)(3) > 0
    True
    >>> counter.value
    3000
    """
    return lambda count: loop(metric, count * LOOP) * 1e-9 / LOOP


def python_peers() -> dict[str, Batch]:
    """Counting from Python by others."""
    result = {"itertools.count": calls(itertools.count().__next__)}
    if (client := peers.find("prometheus_client")) is not None:
        theirs = client.Counter("mlopt_targets", "Calls", registry=None)
        result[peers.label("prometheus_client")] = calls(theirs.inc)
    return result


def measure_counter_increment(row: Row, options: Options) -> None:
    """An addition in C; then one from Python beside the peers, whose ratios are to that one."""
    counter, histogram = Counter(), Histogram()
    contest = Contest(
        ours=in_c(time_counter_add, counter),
        variants={
            "index known": in_c(time_cell_add, counter),
            "histogram": in_c(time_histogram_record, histogram),
        },
        limits=[l1_read()],
    )
    contest.fill(row, options.seconds)
    theirs = python_peers() if options.peers else {}
    rounds = Contest(ours=calls(counter.increment), peers=theirs).measure(options.seconds)
    row.metrics["from_python"] = row.figures["increment() from Python"] = rounds.seconds(OURS).median
    row.figures["thread's index known before"] = row.metrics["index known"]
    row.figures["Histogram.record_value"] = row.metrics["histogram"]
    row.peers = [
        Comparison(name, rounds.seconds(f"peer {name}"), rounds.ratio(f"peer {name}", of=OURS)) for name in theirs
    ]
    if row.best_peer is not None:
        row.metrics["vs_peer"] = row.best_peer.ratio.median
    row.notes.append("the peers are called from Python: their ratios are to increment() from Python")
