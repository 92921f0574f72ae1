"""Learning-rate schedules: functions of the number of the step, to be given to an optimiser as its `lr`."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class CosineSchedule:
    """Half a cosine from `lr` to `final`, after a linear rise.

    Parameters
    ----------
    lr : float
        The largest rate.
    steps : int
        Steps until `final` is reached, those of the rise included; it stays there.
    warmup : int, default 0
        Steps of the linear rise from 0 to `lr`.
    final : float, default 0.0
        The last rate.

    Examples
    --------
    >>> import mlopt
    >>> rate = mlopt.nn.CosineSchedule(0.1, steps=100, warmup=10)
    >>> [round(rate(step), 4) for step in (0, 9, 55, 100, 1000)]
    [0.01, 0.1, 0.05, 0.0, 0.0]
    """

    lr: float
    steps: int
    warmup: int = 0
    final: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.warmup < self.steps:
            raise ValueError(f"warmup must be at least 0 and below steps={self.steps}, got {self.warmup}")

    def __call__(self, step: int) -> float:
        if step < self.warmup:
            return self.lr * (step + 1) / self.warmup
        done = min(1.0, (step - self.warmup) / (self.steps - self.warmup))
        return self.final + (self.lr - self.final) * (1 + math.cos(math.pi * done)) / 2


@dataclass(frozen=True)
class StepSchedule:
    """`lr` times `factor` after every so many steps.

    Parameters
    ----------
    lr : float
        The first rate.
    every : int
        Steps between two changes.
    factor : float, default 0.1
        What the rate is multiplied with.

    Examples
    --------
    >>> import mlopt
    >>> rate = mlopt.nn.StepSchedule(0.1, every=10, factor=0.5)
    >>> [rate(step) for step in (0, 9, 10, 20)]
    [0.1, 0.1, 0.05, 0.025]
    """

    lr: float
    every: int
    factor: float = 0.1

    def __post_init__(self) -> None:
        if self.every < 1:
            raise ValueError(f"every must be at least 1, got {self.every}")

    def __call__(self, step: int) -> float:
        return float(self.lr * self.factor ** (step // self.every))


@dataclass(frozen=True)
class ExponentialSchedule:
    """`lr` times `factor` to the power of the step's number.

    Parameters
    ----------
    lr : float
        The first rate.
    factor : float
        What the rate is multiplied with after each step.

    Examples
    --------
    >>> import mlopt
    >>> rate = mlopt.nn.ExponentialSchedule(0.1, 0.99)
    >>> round(rate(100), 4)
    0.0366
    """

    lr: float
    factor: float

    def __call__(self, step: int) -> float:
        return float(self.lr * self.factor**step)
