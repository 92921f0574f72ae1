"""Named metrics with labels: a registry that makes them, reads them and serves them to Prometheus."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NoReturn, overload

from mlopt.concurrent.counters import Counter, Gauge
from mlopt.concurrent.families import Child, HistogramView, MetricFamily, check_labels, check_name
from mlopt.concurrent.histogram import Histogram

if TYPE_CHECKING:
    from mlopt.concurrent.exposition import MetricsServer

SCHEMA = "mlopt.MetricsRegistry/1"


class MetricsRegistry:
    """Counters, gauges and histograms by name: what a program shows of itself.

    Names and labels follow Prometheus's rules.  Without labels, `counter`, `gauge` and `histogram` give the metric
    itself; with labels, a :class:`MetricFamily` whose ``labels(...)`` does.  Counting is what it is without a registry:
    nothing is looked up or locked.

    Examples
    --------
    >>> from mlopt.concurrent import MetricsRegistry
    >>> metrics = MetricsRegistry()
    >>> bars = metrics.counter("bars_total", "Bars read")
    >>> latency = metrics.histogram("update_seconds", "One bar through the pipeline", unit="seconds")
    >>> bars.increment()
    >>> latency.record(1500)  # nanoseconds
    >>> [(metric["name"], metric["samples"][0].get("value")) for metric in metrics.collect()]
    [('bars_total', 1), ('update_seconds', None)]

    See :doc:`/guide/metrics` for serving them to Prometheus.
    """

    def __init__(self) -> None:
        self._families: dict[str, MetricFamily[Any]] = {}
        self._taken: dict[str, str] = {}  # a name in the exposition -> the metric that has it
        self._lock = threading.Lock()

    @overload
    def counter(self, name: str, help: str = "") -> Counter: ...
    @overload
    def counter(self, name: str, help: str = "", labels: Sequence[str] = ...) -> MetricFamily[Counter]: ...
    def counter(self, name: str, help: str = "", labels: Sequence[str] = ()) -> Counter | MetricFamily[Counter]:
        """A new counter, or with `labels`, the family of those with its name.

        Parameters
        ----------
        name : str
            Its name; in the exposition it ends with ``_total`` whether it does here or not.
        help : str, default ""
            What it counts.
        labels : sequence of str, default ()
            Names of labels.

        Raises
        ------
        ValueError
            If a name is not allowed, or taken.
        """
        names = check_labels(labels, ())
        family = MetricFamily(
            Counter, check_name(name), help, names, lambda values: Counter(name, help=help, labels=values)
        )
        return self._add(family)

    @overload
    def gauge(self, name: str, help: str = "", *, function: Callable[[], float] | None = ...) -> Gauge: ...
    @overload
    def gauge(self, name: str, help: str = "", labels: Sequence[str] = ...) -> MetricFamily[Gauge]: ...
    def gauge(
        self,
        name: str,
        help: str = "",
        labels: Sequence[str] = (),
        *,
        function: Callable[[], float] | None = None,
    ) -> Gauge | MetricFamily[Gauge]:
        """A new gauge, or with `labels`, the family of those with its name.

        Parameters
        ----------
        name, help, labels
            As for :meth:`counter`.
        function : callable, optional
            Called whenever the gauge is read, in the thread that reads.  If it fails, the gauge is shown as NaN, and
            the error goes to the log.  Not with labels: :meth:`MetricFamily.attach` gauges that have functions.

        Raises
        ------
        ValueError
            If a name is not allowed, or taken.
        """
        names = check_labels(labels, ())
        if names and function is not None:
            raise ValueError("function goes with a gauge without labels; attach gauges with functions to the family")
        family = MetricFamily(Gauge, check_name(name), help, names, lambda values: Gauge(name, help, values, function))
        return self._add(family)

    @overload
    def histogram(
        self, name: str, help: str = "", *, unit: str = ..., scale: float | None = ...,
        buckets: Sequence[float] | None = ..., quantiles: Sequence[float] = ..., bits: int = ...,
    ) -> Histogram: ...  # fmt: skip
    @overload
    def histogram(
        self, name: str, help: str = "", labels: Sequence[str] = ..., *, unit: str = ..., scale: float | None = ...,
        buckets: Sequence[float] | None = ..., quantiles: Sequence[float] = ..., bits: int = ...,
    ) -> MetricFamily[Histogram]: ...  # fmt: skip
    def histogram(
        self,
        name: str,
        help: str = "",
        labels: Sequence[str] = (),
        *,
        unit: str = "",
        scale: float | None = None,
        buckets: Sequence[float] | None = None,
        quantiles: Sequence[float] = (),
        bits: int = 7,
    ) -> Histogram | MetricFamily[Histogram]:
        """A new histogram, or with `labels`, the family of those with its name.

        Parameters
        ----------
        name, help, labels
            As for :meth:`counter`; the labels ``le`` and ``quantile`` are Prometheus's own.
        unit : str, default ""
            Unit in which it is shown; the name must end with it.
        scale : float, optional
            What a recorded 1 is in that unit; 1e-9 for ``"seconds"`` (nanoseconds are recorded), otherwise 1.
        buckets : sequence of float, optional
            Upper bounds of the buckets shown, ascending, in that unit; by default 100 ns to 10 s, three to a decade,
            or for other units the powers of four from 1 to 4**15.  With none and with quantiles, a summary is shown.
        quantiles : sequence of float, default ()
            Quantiles to show, of all that was recorded, from 0 to 1.
        bits : int, default 7
            As for :class:`Histogram`.

        Raises
        ------
        ValueError
            If a name is not allowed or taken, or another argument is out of range.

        Notes
        -----
        A bucket counts the values up to its bound: exact but for values that differ from the bound by less than the
        histogram's `relative_error`, which may fall on either side of it.
        """
        names = check_labels(labels, ("le", "quantile"))
        view = HistogramView.checked(check_name(name), unit, scale, buckets, quantiles)
        Histogram(bits)  # refuses what is out of range now
        family = MetricFamily(Histogram, name, help, names, lambda values: Histogram(bits), view)
        return self._add(family)

    def _add(self, family: MetricFamily[Child]) -> Child | MetricFamily[Child]:
        """Take the family in, and give what the user works with."""
        if not isinstance(family.help, str):
            raise TypeError(f"help must be a string, not {type(family.help).__name__}")
        with self._lock:
            for name in family.sample_names():
                if name in self._taken:
                    raise ValueError(f"name {family.name!r} is taken: {name} belongs to {self._taken[name]!r}")
            result: Child | MetricFamily[Child] = family if family.label_names else family.labels()
            self._taken |= dict.fromkeys(family.sample_names(), family.name)
            self._families[family.name] = family
        return result

    def families(self) -> list[MetricFamily[Any]]:
        """All families, those without labels among them, in the order in which they were made."""
        with self._lock:
            return list(self._families.values())

    def remove(self, name: str) -> None:
        """Show the metrics of a name no more, and free the name.

        Raises
        ------
        KeyError
            If there are none.
        """
        with self._lock:
            for sample_name in self._families.pop(name).sample_names():
                del self._taken[sample_name]

    def collect(self) -> list[dict[str, Any]]:
        """Everything as plain Python values.

        Returns
        -------
        list of dict
            ``name``, ``type``, ``help``, ``unit`` and ``samples``: a list of ``{"labels": ..., "value": ...}``, for
            histograms with ``count``, ``sum``, ``min``, ``max`` (None where there is none), ``buckets`` (bound and
            cumulative count) and ``quantiles`` instead of the value, all in the exported unit.
        """
        return [family.read() for family in self.families()]

    def snapshot(self) -> dict[str, Any]:
        """What `collect` gives with the time, ready for :mod:`json`; numbers that are not finite are None."""
        return {"schema": SCHEMA, "time": time.time(), "metrics": _finite(self.collect())}

    def register_to(self, registry: Any = None) -> Any:
        """Show everything, also what is added later, in a registry of prometheus-client.

        Parameters
        ----------
        registry : prometheus_client.CollectorRegistry, optional
            By default ``prometheus_client.REGISTRY``, the process's own.

        Returns
        -------
        collector
            What ``registry.unregister`` takes.

        Raises
        ------
        ImportError
            If prometheus-client is not installed; the extra ``metrics`` brings it.
        ValueError
            If the other registry has one of the names.
        """
        from mlopt.concurrent.exposition import register

        return register(self, registry)

    def serve(self, port: int = 0, address: str = "127.0.0.1") -> MetricsServer:
        """Serve ``/metrics`` to Prometheus from a thread of its own.

        Parameters
        ----------
        port : int, default 0
            0 takes a free one.
        address : str, default "127.0.0.1"
            Who may ask: by default, this machine only.

        Returns
        -------
        MetricsServer
            With `port`, `url` and `close`; a context manager.

        Raises
        ------
        ImportError
            If prometheus-client is not installed; the extra ``metrics`` brings it.
        ValueError
            If `port` is out of range.
        OSError
            If the address cannot be had.
        """
        from mlopt.concurrent.exposition import MetricsServer

        return MetricsServer(self, port, address)

    def __iter__(self) -> Iterator[MetricFamily[Any]]:
        return iter(self.families())

    def __reduce__(self) -> NoReturn:
        raise TypeError("a MetricsRegistry cannot be pickled: what it shows belongs to this process")

    def __repr__(self) -> str:
        return f"<MetricsRegistry of {', '.join(family.name for family in self.families()) or 'nothing'}>"


def _finite(value: Any) -> Any:
    """The same with None for numbers that JSON does not have."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
