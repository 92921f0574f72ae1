"""Whether it held: the slope of the memory with its confidence interval, and what must be zero."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

HOUR = 3600.0
MIB = float(1 << 20)

# A window of at least LONG seconds is judged by its slope, a shorter one by its growth: in a minute, an allocator that
# settles looks like a leak of hundreds of megabytes an hour.
LONG = 300.0
SLOPE_LIMIT = 1.0  # MiB an hour, that a whole day's noise stays under
SETTLING = 4.0  # MiB that any long window may bring: an allocator's fragments spread for hours
GROWTH_LIMIT = 16.0  # MiB of one load's processes together, in a short run after its first quarter
FEWEST = 6  # samples that say anything
HANDLES_LIMIT = 16  # descriptors or threads more than before: processes that are being restarted have some for a moment
POINTS = 120  # stretches that a slope is fitted to
UPPER = 0.75  # what a stretch counts as: a process that was killed is away for some of its samples
CONFIDENCE = 1.96  # standard deviations: 95 %

# Counters that must be zero in every load.
FAULTS = {
    "lost": "records lost",
    "duplicated": "records twice",
    "out_of_order": "records out of order",
    "unexpected": "records that should not be",
    "wrong": "wrong values",
    "errors": "unexpected errors",
    "stalls": "stalls",
    "leftovers": "things left behind",
}


@dataclass(frozen=True)
class Slope:
    """A robust slope per unit of time, with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Verdict:
    """One thing that was judged.

    Parameters
    ----------
    name : str
        What was judged.
    held : bool
        Whether it is as it must be.
    words : str
        What was found, with the limit.
    value : float
        The number that was judged.
    """

    name: str
    held: bool
    words: str
    value: float


def _stretches(
    times: NDArray[np.float64], values: NDArray[np.float64], count: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The upper quartiles of up to `count` stretches of equal numbers of samples, at their middles."""
    if len(times) <= count:
        return times, values
    edges = np.linspace(0, len(times), count + 1).astype(int)
    spans = list(pairwise(edges))
    return (
        np.array([np.median(times[first:last]) for first, last in spans]),
        np.array([np.quantile(values[first:last], UPPER) for first, last in spans]),
    )


def _neighbours(residuals: NDArray[np.float64]) -> float:
    """How much the variance of a mean is raised by the correlation of neighbouring residuals, at least 1."""
    centred = residuals - np.median(residuals)
    spread = np.median(np.abs(centred)) * 5
    centred = np.clip(centred, -spread, spread)  # a process that was away is no correlation
    variance = float((centred**2).mean())
    if variance == 0:
        return 1.0
    r = min(0.95, max(0.0, float((centred[1:] * centred[:-1]).mean()) / variance))
    return (1 + r) / (1 - r)


def theil_sen(times: NDArray[np.float64], values: NDArray[np.float64]) -> Slope:
    """The median of the slopes between all pairs of points, and its 95 % interval.

    A quarter of the points and more may be anything (a process that was away for a sample) without moving it.  The
    interval is Sen's, from the distribution of Kendall's tau of a series without a trend.  It supposes independent
    points: the variance is widened by what neighbouring residuals have in common, (1 + r) / (1 - r) with their
    correlation r.

    Parameters
    ----------
    times, values : ndarray of float64, shape (n,)
        At least 3 points, at times that rise.

    Returns
    -------
    Slope

    References
    ----------
    P. K. Sen, "Estimates of the regression coefficient based on Kendall's tau", J. Amer. Statist. Assoc. 63 (1968).

    Examples
    --------
    >>> import numpy as np
    >>> from mlopt.soak.verdicts import theil_sen
    >>> times = np.arange(20.0)
    >>> theil_sen(times, 2 * times + np.where(times == 7, 1000, 0)).value
    2.0
    """
    if len(times) != len(values) or len(times) < 3:
        raise ValueError(f"times and values must be of one length of at least 3, not {len(times)} and {len(values)}")
    n = len(times)
    first, second = np.triu_indices(n, 1)
    slopes = np.sort((values[second] - values[first]) / (times[second] - times[first]))
    slope = float(np.median(slopes))
    widening = _neighbours(values - slope * times)
    width = CONFIDENCE * np.sqrt(widening * n * (n - 1) * (2 * n + 5) / 18)
    below = max(0, int(np.floor((len(slopes) - width) / 2)))
    above = min(len(slopes) - 1, int(np.ceil((len(slopes) + width) / 2)))
    return Slope(float(slope), float(slopes[below]), float(slopes[above]))


def _quarters(
    times: NDArray[np.float64], values: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The values of the second quarter of the time, and of the last."""
    share = (times - times[0]) / max(times[-1] - times[0], 1e-9)
    return values[(share >= 0.25) & (share < 0.5)], values[share >= 0.75]


def judge_memory(
    name: str, times: NDArray[np.float64], resident: NDArray[np.float64], largest: NDArray[np.float64] | None = None
) -> Verdict:
    """Whether resident memory stayed flat once everything ran.

    Of a long run, the upper quartiles of POINTS stretches of the second half are fitted: it did not if the slope is
    above its limit *and* its whole interval above zero; the limit is SLOPE_LIMIT, or SETTLING over the window.  Of a
    short run, the upper quartile of the last quarter may not be more than GROWTH_LIMIT above that of the second
    quarter; of the largest process alone, since those that are killed and started again are away for much of a short
    time.

    Parameters
    ----------
    name : str
        Whose memory.
    times, resident : ndarray of float64, shape (n,)
        Seconds, and bytes of all processes together; samples that are NaN are left out.
    largest : ndarray of float64, shape (n,), optional
        Bytes of the largest process; `resident` by default.

    Returns
    -------
    Verdict
        Its value in MiB an hour for a long run, in MiB for a short one.
    """
    known = np.isfinite(resident)
    times, mib = times[known], resident[known] / MIB
    title = f"memory of {name}"
    if len(times) < FEWEST:
        return Verdict(title, False, f"{len(times)} samples are too few to judge", 0.0)
    late = times >= times[0] + (times[-1] - times[0]) / 2
    if times[late][-1] - times[late][0] < LONG:
        before, after = _quarters(times, mib if largest is None else largest[known] / MIB)
        growth = float(np.quantile(after, UPPER) - np.quantile(before, UPPER)) if len(before) and len(after) else 0.0
        words = f"{growth:+.2f} MiB after the first quarter (limit {GROWTH_LIMIT:g})"
        return Verdict(title, growth <= GROWTH_LIMIT, words, growth)
    slope = theil_sen(*_stretches(times[late] / HOUR, mib[late], POINTS))
    limit = max(SLOPE_LIMIT, SETTLING * HOUR / (times[-1] - times[late][0]))
    held = bool(slope.value <= limit or slope.low <= 0)
    interval = f"95 %: {slope.low:+.2f} to {slope.high:+.2f}"
    words = f"{slope.value:+.2f} MiB/h, {interval} (limit {limit:.3g}, or 0 inside)"
    return Verdict(title, held, words, slope.value)


def judge_handles(name: str, what: str, times: NDArray[np.float64], counts: NDArray[np.float64]) -> Verdict:
    """Whether a count of handles (descriptors, threads, segments) is as it was early on.

    The medians of the last and the second quarter are compared; the limit is HANDLES_LIMIT.
    """
    known = np.isfinite(counts)
    title = f"{what} of {name}"
    if known.sum() < FEWEST:
        return Verdict(title, False, f"{known.sum()} samples are too few to judge", 0.0)
    before, after = _quarters(times[known], counts[known])
    growth = float(np.median(after) - np.median(before)) if len(before) and len(after) else 0.0
    return Verdict(title, growth <= HANDLES_LIMIT, f"{growth:+g} (limit {HANDLES_LIMIT})", growth)


def judge_counters(name: str, counters: Mapping[str, int], problems: Sequence[str]) -> list[Verdict]:
    """A verdict for each kind of fault that a load had, or one that it had none."""
    found = {fault: counters.get(fault, 0) for fault in FAULTS if counters.get(fault, 0)}
    if not found:
        return [Verdict(f"records of {name}", True, f"{counters.get('records', 0):,}, every one accounted for", 0.0)]
    told = f": {problems[0].splitlines()[0]}" if problems and problems[0] else ""
    return [
        Verdict(f"{FAULTS[fault]} in {name}", False, f"{count:,} (limit 0){told}", float(count))
        for fault, count in found.items()
    ]
