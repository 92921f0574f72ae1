"""What threads and processes share, and what measures them: queues, maps, counters, histograms, a registry."""

from mlopt.concurrent.counters import Counter, Gauge
from mlopt.concurrent.exposition import MetricsServer
from mlopt.concurrent.families import MetricFamily
from mlopt.concurrent.histogram import Histogram, now
from mlopt.concurrent.map import ConcurrentMap
from mlopt.concurrent.metrics import MetricsRegistry
from mlopt.concurrent.spsc import PeerDied, QueueClosed, SPSCQueue

__all__ = [
    "ConcurrentMap",
    "Counter",
    "Gauge",
    "Histogram",
    "MetricFamily",
    "MetricsRegistry",
    "MetricsServer",
    "PeerDied",
    "QueueClosed",
    "SPSCQueue",
    "now",
]
