"""A registry's metrics in prometheus-client's terms, and over HTTP."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any

from mlopt._extras import needs
from mlopt.concurrent.counters import Counter, Gauge
from mlopt.concurrent.families import MetricFamily
from mlopt.concurrent.metrics import MetricsRegistry

EXTRA = "metrics"


class Collector:
    """What a registry of prometheus-client asks for metrics: a custom collector."""

    def __init__(self, metrics: MetricsRegistry) -> None:
        self._metrics = metrics
        self._core = needs("prometheus_client.core", extra=EXTRA)
        self._number: Callable[[float], str] = needs("prometheus_client.utils", extra=EXTRA).floatToGoString

    def describe(self) -> Iterator[Any]:
        """The families without samples: what prometheus-client checks names by."""
        for family in self._metrics.families():
            yield from self._exposed(family, [])

    def collect(self) -> Iterator[Any]:
        """The families as they are now."""
        for family in self._metrics.families():
            yield from self._exposed(family, family.read()["samples"])

    def _exposed(self, family: MetricFamily[Any], samples: list[dict[str, Any]]) -> Iterator[Any]:
        core, names = self._core, family.label_names
        if family.kind is Counter or family.kind is Gauge:
            kind = core.CounterMetricFamily if family.kind is Counter else core.GaugeMetricFamily
            exposed = kind(family.name, family.help, labels=names)
            for sample in samples:
                exposed.add_metric(list(sample["labels"].values()), sample["value"])
            yield exposed
            return
        view = family.view
        assert view is not None
        summary = bool(view.quantiles) and not view.buckets
        kind = core.SummaryMetricFamily if summary else core.HistogramMetricFamily
        exposed = kind(family.name, family.help, labels=names, unit=view.unit)
        quantiles = exposed if summary else core.GaugeMetricFamily(f"{family.name}_quantile", family.help)
        for sample in samples:
            labels = list(sample["labels"].values())
            if summary:
                exposed.add_metric(labels, sample["count"], sample["sum"])
            else:
                buckets = [(self._number(bound), below) for bound, below in sample["buckets"]]
                exposed.add_metric(labels, [*buckets, ("+Inf", sample["count"])], sample["sum"])
            for share, value in sample["quantiles"].items():
                quantiles.add_sample(quantiles.name, sample["labels"] | {"quantile": share}, value)
        yield exposed
        if view.quantiles and not summary:
            yield quantiles


def register(metrics: MetricsRegistry, registry: Any = None) -> Collector:
    """Show the metrics in a registry of prometheus-client, by default the process's."""
    client = needs("prometheus_client", extra=EXTRA)
    collector = Collector(metrics)
    (client.REGISTRY if registry is None else registry).register(collector)
    return collector


class MetricsServer:
    """A thread that answers ``GET /metrics``, until it is closed.

    Made by :meth:`MetricsRegistry.serve`.

    Parameters
    ----------
    metrics : MetricsRegistry
        What it shows.
    port : int
        0 takes a free one.
    address : str
        Where it listens.

    Attributes
    ----------
    address : str
        Where it listens.
    port : int
        The port it has.
    url : str
        What to scrape.

    Examples
    --------
    >>> from urllib.request import urlopen
    >>> from mlopt.concurrent import MetricsRegistry
    >>> metrics = MetricsRegistry()
    >>> metrics.counter("bars_total", "Bars read").increment(3)
    >>> with metrics.serve() as server:
    ...     text = urlopen(server.url, timeout=10).read().decode()
    >>> [line for line in text.splitlines() if line.startswith("bars")]
    ['bars_total 3.0']
    """

    def __init__(self, metrics: MetricsRegistry, port: int = 0, address: str = "127.0.0.1") -> None:
        if isinstance(port, bool) or not isinstance(port, int):
            raise TypeError(f"port must be an int, not {type(port).__name__}")
        if not 0 <= port <= 65535:
            raise ValueError(f"port must be from 0 to 65535, not {port}")
        client = needs("prometheus_client", extra=EXTRA)
        registry = client.CollectorRegistry()
        register(metrics, registry)
        self._server, self._thread = client.start_http_server(port, addr=address, registry=registry)
        self._closed = False
        self.address = address
        self.port: int = self._server.server_port
        host = f"[{address}]" if ":" in address else address
        self.url = f"http://{host}:{self.port}/metrics"

    def close(self) -> None:
        """Stop answering and free the port; more than once is no error."""
        if not self._closed:
            self._closed = True
            self._server.shutdown()
            self._server.server_close()
            self._thread.join(10)

    def __enter__(self) -> MetricsServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<MetricsServer {'closed' if self._closed else self.url}>"
