"""Run the same functions on every tier of this machine."""

from time import perf_counter

import numpy as np

import mlopt

x = mlopt.empty_aligned(4096, np.float32)
x[:] = np.random.default_rng(0).uniform(-5, 5, x.size)
out = mlopt.empty_aligned(x.size, np.float32)
exact = np.exp(x.astype(np.float64))

print(f"{'tier':<14}{'exp, ns an element':>20}{'largest error, ULP':>20}")
for tier in mlopt.available_tiers():
    with mlopt.use_isa(tier):
        seconds = []
        for _ in range(50):
            start = perf_counter()
            mlopt.exp(x, out=out)
            seconds.append(perf_counter() - start)
    error = np.max(np.abs(out - exact) / np.spacing(exact.astype(np.float32)))
    print(f"{tier:<14}{1e9 * np.median(seconds) / x.size:>20.2f}{error:>20.2f}")
