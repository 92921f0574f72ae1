"""What threads and processes share, and what measures them: histograms of latencies."""

from mlopt.concurrent.histogram import Histogram, now

__all__ = ["Histogram", "now"]
