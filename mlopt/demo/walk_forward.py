"""Splitting a time series so that nothing is judged on what it was trained on, or on what came before."""

from itertools import pairwise
from typing import NamedTuple


class Fold(NamedTuple):
    """A span of samples to train on and the later span to judge on, as half-open ranges."""

    train_start: int
    train_stop: int
    test_start: int
    test_stop: int


def walk_forward(start: int, stop: int, folds: int, horizon: int = 1) -> list[Fold]:
    """Expanding windows: train on everything up to a point, judge on what follows, move the point.

    Sample ``i`` has features of bars up to ``i`` and a label that is known at bar ``i + horizon``.  A
    fold that judges from sample ``t`` on trains only on samples whose label is known at bar ``t``.

    Parameters
    ----------
    start, stop : int
        The samples to use, half open.
    folds : int
        How many; the samples are cut into ``folds + 1`` spans of nearly equal length, of which the first
        is only ever trained on.
    horizon : int, default 1
        Bars until a label is known.

    Returns
    -------
    list of Fold
        In order of time; the spans judged on are disjoint and reach to `stop`.

    Raises
    ------
    ValueError
        If there are too few samples for so many folds.

    Examples
    --------
    >>> from mlopt.demo.walk_forward import walk_forward
    >>> for fold in walk_forward(0, 400, 3):
    ...     print(*fold)
    0 100 100 200
    0 200 200 300
    0 300 300 400
    """
    if folds < 1:
        raise ValueError(f"folds must be at least 1, not {folds}")
    if horizon < 1:
        raise ValueError(f"horizon must be at least 1, not {horizon}")
    edges = [start + (stop - start) * k // (folds + 1) for k in range(folds + 2)]
    if min(later - earlier for earlier, later in pairwise(edges)) < horizon + 1:
        raise ValueError(f"{stop - start} samples are too few for {folds} folds with horizon {horizon}")
    return [
        Fold(start, test_start - horizon + 1, test_start, test_stop) for test_start, test_stop in pairwise(edges[1:])
    ]
