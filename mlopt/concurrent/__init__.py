"""What threads and processes share, and what measures them: a map, and histograms of latencies."""

from mlopt.concurrent.histogram import Histogram, now
from mlopt.concurrent.map import ConcurrentMap

__all__ = ["ConcurrentMap", "Histogram", "now"]
