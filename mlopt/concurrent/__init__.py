"""What threads and processes share, and what measures them: queues, histograms of latencies."""

from mlopt.concurrent.histogram import Histogram, now
from mlopt.concurrent.spsc import PeerDied, QueueClosed, SPSCQueue

__all__ = ["Histogram", "PeerDied", "QueueClosed", "SPSCQueue", "now"]
