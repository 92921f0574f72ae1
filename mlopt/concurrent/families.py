"""Metrics of one name and several label values, and how they are shown."""

from __future__ import annotations

import logging
import math
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np

from mlopt.concurrent.counters import Counter, Gauge
from mlopt.concurrent.histogram import Histogram

METRIC_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
# 100 ns to 10 s, three to a decade: latencies of single calls and of whole requests
SECONDS_BUCKETS = (*(float(f"{digits}e{power}") for power in range(-7, 1) for digits in (1, 2.5, 5)), 10.0)
POWERS_OF_FOUR = tuple(4.0**power for power in range(16))
log = logging.getLogger(__name__)

Child = TypeVar("Child", bound=Counter | Gauge | Histogram)


def check_name(name: str, what: str = "name", pattern: re.Pattern[str] = METRIC_NAME) -> str:
    """The name, if it is one by Prometheus's rules."""
    if not isinstance(name, str):
        raise TypeError(f"{what} must be a string, not {type(name).__name__}")
    if not pattern.fullmatch(name):
        raise ValueError(f"{what} must match {pattern.pattern}, not be {name!r}")
    return name


def check_labels(labels: Sequence[str], reserved: Sequence[str]) -> tuple[str, ...]:
    """The label names, if they are distinct, allowed, and not of the kind's own."""
    if isinstance(labels, str):
        raise TypeError(f"labels must be a sequence of names, not the string {labels!r}")
    names = tuple(check_name(label, "a label", LABEL_NAME) for label in labels)
    for label in names:
        if label.startswith("__") or label in reserved:
            raise ValueError(f"label {label!r} is reserved")
    if len(set(names)) != len(names):
        raise ValueError(f"labels must be distinct, not {names}")
    return names


@dataclass(frozen=True)
class HistogramView:
    """How a histogram is shown: bounds and quantiles in the exported unit, of which a recorded 1 is `scale`."""

    unit: str
    scale: float
    buckets: tuple[float, ...]
    quantiles: tuple[float, ...]

    @classmethod
    def checked(
        cls, name: str, unit: str, scale: float | None, buckets: Sequence[float] | None, quantiles: Sequence[float]
    ) -> HistogramView:
        """The view, if the arguments of :meth:`MetricsRegistry.histogram` make one."""
        if unit and not name.endswith(f"_{unit}"):
            raise ValueError(f"name must end with its unit, _{unit}, not be {name!r}")
        scale = (1e-9 if unit == "seconds" else 1.0) if scale is None else float(scale)
        if not 0 < scale < math.inf:
            raise ValueError(f"scale must be positive and finite, not {scale}")
        if buckets is None:
            buckets = SECONDS_BUCKETS if unit == "seconds" else POWERS_OF_FOUR
        bounds = tuple(float(bound) for bound in buckets)
        if bounds and bounds[-1] == math.inf:
            bounds = bounds[:-1]  # it is always there
        if not all(0 <= bound < math.inf for bound in bounds) or any(np.diff(bounds) <= 0):
            raise ValueError(f"buckets must be finite, not negative and ascending, not {tuple(buckets)}")
        shares = tuple(float(q) for q in quantiles)
        if not all(0 <= q <= 1 for q in shares):
            raise ValueError(f"quantiles must be from 0 to 1, not {tuple(quantiles)}")
        return cls(unit, scale, bounds, shares)

    def sample(self, histogram: Histogram) -> dict[str, Any]:
        """What the histogram holds now: everything out of one copy."""
        copy = histogram.snapshot()
        count = copy.count
        start, width, counts = copy.cells()
        # all of a cell counts below a bound where its middle does: right but for values within the error of the bound
        middles = start + 0.5 * (width - 1)
        limits = np.array([self.recorded(bound) for bound in self.buckets])
        cumulative = np.concatenate(([0], np.cumsum(counts)))[np.searchsorted(middles, limits, side="right")]
        return {
            "count": count,
            "sum": copy.total * self.scale,
            "min": copy.min * self.scale if count else None,
            "max": copy.max * self.scale if count else None,
            "buckets": [[bound, int(below)] for bound, below in zip(self.buckets, cumulative, strict=True)],
            "quantiles": {str(q): copy.quantile(q) * self.scale if count else math.nan for q in self.quantiles},
        }

    def recorded(self, bound: float) -> float:
        """A bound in the unit of what is recorded; whole where only the division's rounding keeps it from that."""
        limit = bound / self.scale
        whole = round(limit)
        return float(whole) if abs(limit - whole) <= 1e-12 * whole else limit


class MetricFamily(Generic[Child]):
    """The metrics of one name: one for each combination of label values, made when it is first asked for.

    Made by :class:`MetricsRegistry`.

    Attributes
    ----------
    kind : type
        :class:`Counter`, :class:`Gauge` or :class:`Histogram`.
    name, help : str
        What it is called, and what it counts.
    label_names : tuple of str
        The labels, in the order in which values may be given.
    view : HistogramView, optional
        Unit, buckets and quantiles of histograms.

    Examples
    --------
    >>> from mlopt.concurrent import MetricsRegistry
    >>> fills = MetricsRegistry().counter("fills_total", "Orders filled", labels=["symbol", "side"])
    >>> fills.labels(symbol="SPX", side="buy").increment()
    >>> fills.labels("SPX", "buy").value
    1
    """

    def __init__(
        self,
        kind: type[Child],
        name: str,
        help: str,
        label_names: tuple[str, ...],
        make: Callable[[dict[str, str]], Child],
        view: HistogramView | None = None,
    ) -> None:
        self.kind, self.name, self.help, self.label_names = kind, name, help, label_names
        self.view = view
        self._make = make
        self._children: dict[tuple[str, ...], Child] = {}
        self._lock = threading.Lock()  # of changes; a look-up takes none

    def labels(self, *values: object, **named: object) -> Child:
        """The metric with these label values, in the order of `label_names` or by name.

        Values are turned into strings.  Keep the result where the same values come again and again: this is a
        look-up, and counting is not.

        Raises
        ------
        ValueError
            If the labels are not those of the family.
        """
        key = self._key(values, named)
        child = self._children.get(key)
        if child is None:
            with self._lock:
                child = self._children.get(key)
                if child is None:
                    child = self._children[key] = self._make(dict(zip(self.label_names, key, strict=True)))
        return child

    def attach(self, metric: Child, *values: object, **named: object) -> Child:
        """Show a metric that is there already under these label values; the family's own is replaced.

        Raises
        ------
        TypeError
            If `metric` is of another kind than the family's.
        ValueError
            If the labels are not those of the family.
        """
        if not isinstance(metric, self.kind):
            raise TypeError(f"metric must be a {self.kind.__name__}, not {type(metric).__name__}")
        key = self._key(values, named)
        with self._lock:
            self._children[key] = metric
        return metric

    def remove(self, *values: object, **named: object) -> None:
        """Show the metric with these label values no more; whoever holds it may go on counting.

        Raises
        ------
        KeyError
            If there is none.
        """
        key = self._key(values, named)
        with self._lock:
            del self._children[key]

    def items(self) -> list[tuple[dict[str, str], Child]]:
        """The label values and the metrics there are, in the order in which they were made."""
        with self._lock:
            children = list(self._children.items())
        return [(dict(zip(self.label_names, key, strict=True)), child) for key, child in children]

    def _key(self, values: tuple[object, ...], named: Mapping[str, object]) -> tuple[str, ...]:
        if named and not values and named.keys() == set(self.label_names):
            values = tuple([named[label] for label in self.label_names])
        elif named or len(values) != len(self.label_names):
            given = f"{len(values)} values" if values else f"{tuple(named)}"
            raise ValueError(f"labels of {self.name} must be {self.label_names}, not {given}")
        return tuple([str(value) for value in values])

    def sample_names(self) -> set[str]:
        """The names that it takes in the exposition."""
        if self.kind is Counter:
            base = self.name.removesuffix("_total")
            return {base, f"{base}_total"}
        if self.kind is Gauge:
            return {self.name}
        return {self.name} | {f"{self.name}_{end}" for end in ("bucket", "sum", "count", "quantile")}

    def read(self) -> dict[str, Any]:
        """Type, help and samples as plain Python values."""
        samples: list[dict[str, Any]] = []
        for labels, child in self.items():
            if isinstance(child, Histogram):
                assert self.view is not None
                samples.append({"labels": labels} | self.view.sample(child))
            else:
                samples.append({"labels": labels, "value": self._value(child)})
        kind, unit = self.kind.__name__.lower(), self.view.unit if self.view else ""
        return {"name": self.name, "type": kind, "help": self.help, "unit": unit, "samples": samples}

    def _value(self, child: Counter | Gauge) -> float:
        try:
            return child.value
        except Exception:  # a gauge's function: the others are shown all the same
            log.warning("the function of gauge %s failed", self.name, exc_info=True)
            return math.nan

    def __repr__(self) -> str:
        return f"<MetricFamily of {self.kind.__name__} {self.name}{self.label_names}, {len(self._children)} of them>"
