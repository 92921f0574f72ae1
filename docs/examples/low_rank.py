"""A kernel matrix replaced by factors that are known to be near enough."""

from time import perf_counter

import numpy as np

import mlopt

points = np.random.default_rng(0).uniform(-1, 1, (800, 3))
squares = np.sum(points**2, axis=1)
kernel = np.exp(2 * mlopt.matmul(points, points.T) - squares[:, None] - squares)  # of a Gaussian process

print(f"{'tolerance':<12}{'rank':>6}{'bound':>12}{'error':>12}{'numbers kept':>15}{'ms':>8}")
for tolerance in (1.0, 1e-2, 1e-4, 1e-6):
    start = perf_counter()
    U, S, Vh, bound = mlopt.linalg.randomized_svd(kernel, None, tol=tolerance, rng=0)
    seconds = perf_counter() - start
    error = np.linalg.norm(kernel - U * S @ Vh, 2)
    kept = (U.size + S.size + Vh.size) / kernel.size
    print(f"{tolerance:<12.0e}{S.size:>6}{bound:>12.1e}{error:>12.1e}{kept:>14.1%}{1e3 * seconds:>9.0f}")
