"""What threads and processes share, and what measures them: counters, gauges and histograms of latencies."""

from mlopt.concurrent.counters import Counter, Gauge
from mlopt.concurrent.histogram import Histogram, now

__all__ = ["Counter", "Gauge", "Histogram", "now"]
