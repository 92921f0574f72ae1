"""The latency of one inference: median, tail, and what of it is the clock."""

import numpy as np

from mlopt.concurrent import Histogram, now
from mlopt.nn import MLP

model = MLP([100, 50, 10], rng=0)
sample, out = np.ones(100, np.float32), np.empty(10, np.float32)
infer = model.bind(sample, out)

latency, clock = Histogram(), Histogram()
for _ in range(20_000):
    start = clock.record_since(now())  # an empty stage
    infer()
    latency.record_since(start)

for name, histogram in (("inference and clock", latency), ("clock alone", clock)):
    quantiles = "  ".join(f"p{100 * q:g} {histogram.quantile(q):.0f} ns" for q in (0.5, 0.99, 0.999))
    print(f"{name:<20}{quantiles}")
