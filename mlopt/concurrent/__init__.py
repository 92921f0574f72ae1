"""What threads and processes share, and what measures them: counters, gauges, histograms, and a registry of them."""

from mlopt.concurrent.counters import Counter, Gauge
from mlopt.concurrent.exposition import MetricsServer
from mlopt.concurrent.families import MetricFamily
from mlopt.concurrent.histogram import Histogram, now
from mlopt.concurrent.metrics import MetricsRegistry

__all__ = ["Counter", "Gauge", "Histogram", "MetricFamily", "MetricsRegistry", "MetricsServer", "now"]
