"""Timing of alternatives against each other on a machine that drifts.

Every alternative is a *batch*: a function that runs its work a number of times and returns the
seconds that took.  :func:`paired` runs one batch of each in turn, round after round, so that a
slow second falls on all of them; a ratio is taken within a round, and what is quoted is the
median over the rounds with the quartiles beside it.
"""

from __future__ import annotations

import gc
import itertools
import math
import statistics
import time
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

Batch = Callable[[int], float]
Clock = Callable[[], float]

SLOW_ROUNDS = 3


@dataclass(frozen=True)
class Spread:
    """A measured quantity: the median of its samples, and the quartiles that say how far to trust it.

    Parameters
    ----------
    median, low, high : float
        Median, lower and upper quartile.
    rounds : int
        Number of samples.

    Examples
    --------
    >>> from mlopt.targets.measure import Spread
    >>> Spread.of([3.0, 1.0, 2.0])
    Spread(median=2.0, low=1.5, high=2.5, rounds=3)
    """

    median: float
    low: float
    high: float
    rounds: int

    @classmethod
    def of(cls, samples: Sequence[float]) -> Spread:
        """The spread of one or more samples."""
        if not samples:
            raise ValueError("samples is empty: nothing was measured")
        if len(samples) == 1:
            return cls(samples[0], samples[0], samples[0], 1)
        low, median, high = statistics.quantiles(samples, n=4, method="inclusive")
        return cls(median, low, high, len(samples))

    def scaled(self, factor: float) -> Spread:
        """The same quantity in another unit; `factor` is positive."""
        return Spread(self.median * factor, self.low * factor, self.high * factor, self.rounds)


@dataclass(frozen=True)
class Rounds:
    """Seconds per call of every alternative, round by round, from the first round on."""

    samples: Mapping[str, tuple[float, ...]]

    def seconds(self, name: str) -> Spread:
        """Time of one call of an alternative."""
        return Spread.of(self.samples[name])

    def rate(self, name: str, amount: float) -> Spread:
        """`amount` (operations, bytes) per second, where one call does so much."""
        return Spread.of([amount / s for s in self.samples[name]])

    def ratio(self, name: str, of: str, factor: float = 1.0) -> Spread:
        """How many times the time of `of` the alternative `name` took, pair by pair, times `factor`."""
        pairs = zip(self.samples[name], self.samples[of], strict=False)  # a slow one has fewer rounds
        return Spread.of([factor * a / b for a, b in pairs])


def calls(function: Callable[[], object], clock: Clock = time.perf_counter) -> Batch:
    """A batch out of a function without arguments.

    Examples
    --------
    >>> from mlopt.targets.measure import calls
    >>> calls(lambda: None)(10) > 0
    True
    """

    def batch(count: int) -> float:
        repeat = itertools.repeat(None, count)
        start = clock()
        for _ in repeat:
            function()
        return clock() - start

    return batch


def on_processor_time(batch: Batch) -> Batch:
    """The same batch, by the processor time of this thread: what other processes take of it is left out.

    Examples
    --------
    >>> import time
    >>> from mlopt.targets.measure import calls, on_processor_time
    >>> on_processor_time(calls(lambda: time.sleep(0.01)))(1) < 0.01
    True
    """

    def timed(count: int) -> float:
        start = time.thread_time()
        batch(count)
        return time.thread_time() - start

    return timed


@contextmanager
def collector_off() -> Iterator[None]:
    """The garbage collector off, after one collection; its former state comes back."""
    enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def calibrate(batch: Batch, batch_seconds: float) -> int:
    """Warm a batch up, and the count of calls with which it takes at least `batch_seconds`."""
    count = 1
    if batch(1) >= 20 * batch_seconds:
        return count  # so slow that it needs no warming
    while True:
        taken = batch(count)
        if taken >= batch_seconds:
            return count
        growth = 1.1 * batch_seconds / taken if taken > 0 else 10.0
        count = math.ceil(count * min(max(growth, 1.5), 10.0))


def paired(
    alternatives: Mapping[str, Batch],
    seconds: float = 1.0,
    *,
    batch_seconds: float = 3e-3,
    min_rounds: int = 5,
    max_rounds: int = 300,
    clock: Clock = time.perf_counter,
) -> Rounds:
    """Measure alternatives interleaved: A B C, A B C, ...

    Parameters
    ----------
    alternatives : mapping of str to batch
        What to measure; a batch runs its work so many times and returns the seconds.
    seconds : float
        Time for the rounds; the calibration that goes before, and warms up, is not counted.  An
        alternative that alone has used it up after three rounds sits out the others.
    batch_seconds : float
        Each alternative is repeated within a round until it takes at least this long.
    min_rounds, max_rounds : int
        Bounds on the number of rounds; at least `min_rounds` are run however long they take.
    clock : callable
        Seconds since some fixed time.

    Returns
    -------
    Rounds
        Seconds per call, round by round.

    Examples
    --------
    >>> from mlopt.targets.measure import calls, paired
    >>> rounds = paired({"one": calls(lambda: sum(range(2000))), "two": calls(lambda: sum(range(8000)))}, 0.05)
    >>> rounds.ratio("two", of="one").median > 1
    True
    """
    if not alternatives:
        raise ValueError("alternatives is empty: nothing to measure")
    if not 1 <= min_rounds <= max_rounds:
        raise ValueError(f"min_rounds must be from 1 to max_rounds={max_rounds}, not {min_rounds}")
    samples: dict[str, list[float]] = {name: [] for name in alternatives}
    spent = dict.fromkeys(alternatives, 0.0)
    with collector_off():
        counts = {name: calibrate(batch, batch_seconds) for name, batch in alternatives.items()}
        start = clock()
        for done in range(max_rounds):
            if done >= min_rounds and clock() - start >= seconds:
                break
            for name, batch in alternatives.items():
                if done >= SLOW_ROUNDS and spent[name] >= seconds:
                    continue
                taken = batch(counts[name])
                spent[name] += taken
                samples[name].append(taken / counts[name])
    return Rounds({name: tuple(values) for name, values in samples.items()})


@dataclass(frozen=True)
class Latencies:
    """Percentiles over single calls, in seconds, and the clock's own time that was taken off each."""

    median: float
    p99: float
    p999: float
    worst: float
    calls: int
    clock_overhead: float


def latencies(function: Callable[[], object], count: int, clock: Callable[[], int] = time.perf_counter_ns) -> Latencies:
    """Time each of `count` calls on its own.

    The clock is read before and after a call; the median of what two readings with nothing between
    them show is subtracted, and reported as `clock_overhead`.

    Examples
    --------
    >>> from mlopt.targets.measure import latencies
    >>> times = latencies(lambda: None, 1000)
    >>> 0 <= times.median <= times.p99 <= times.worst
    True
    """
    if count < 1:
        raise ValueError(f"count must be at least 1, not {count}")
    times = array("q", bytes(8 * count))
    with collector_off():
        for i in range(min(count, 20_000)):
            start = clock()
            times[i] = clock() - start
        overhead = int(statistics.median(times[: min(count, 20_000)]))
        for _ in range(min(count, 1000)):
            function()
        for i in range(count):
            start = clock()
            function()
            times[i] = clock() - start
    ordered = sorted(times)

    def at(share: float) -> float:
        return max(0, ordered[min(count - 1, int(share * count))] - overhead) * 1e-9

    return Latencies(at(0.5), at(0.99), at(0.999), at(1.0), count, overhead * 1e-9)
