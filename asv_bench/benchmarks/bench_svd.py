"""Randomised singular value decompositions, one thread: how long they take, and how good factors and bound are."""

import numpy as np

from .common import aligned, attribute

# rows, columns, rank, power iterations
DENSE = {"512 x 512": (512, 512, 50, 2), "4000 x 1000": (4000, 1000, 20, 2)}
SKETCHES = ("auto", "gaussian", "sparse-sign", "srht")
SEEDS = 5


def with_values(m, n):
    """A dense matrix of the singular values 1, 1/2, 1/3 ..."""
    rng = np.random.default_rng(0)
    left, right = (np.linalg.qr(rng.standard_normal((side, min(m, n))))[0] for side in (m, n))
    a = aligned((m, n), np.float64)
    a[...] = left / np.arange(1, min(m, n) + 1) @ right.T
    return a


class Dense:
    """Singular values 1/i in float64, with the bound of the error."""

    params = (list(DENSE), list(SKETCHES))
    param_names = ("matrix", "sketch")
    sample_time = 0.01
    warmup_time = 0.05

    def setup(self, matrix, sketch):
        svd = attribute("linalg.randomized_svd")
        m, n, rank, n_iter = DENSE[matrix]
        a = with_values(m, n)
        self.call = lambda: svd(a, rank, n_iter=n_iter, sketch=sketch, rng=0, num_threads=1)

    def time_call(self, matrix, sketch):
        self.call()


class Tolerance:
    """The rank that meets a tolerance found, of the same matrices."""

    params = (list(DENSE),)
    param_names = ("matrix",)
    sample_time = 0.01
    warmup_time = 0.05

    def setup(self, matrix):
        svd = attribute("linalg.randomized_svd")
        m, n, rank, _ = DENSE[matrix]
        a = with_values(m, n)
        self.call = lambda: svd(a, None, tol=2 / rank, rng=0, num_threads=1)

    def time_call(self, matrix):
        self.call()


class Sparse:
    """One element in a thousand."""

    params = ([(2_000, 1_000), (20_000, 4_000)], ["float32", "float64"])
    param_names = ("shape", "dtype")
    sample_time = 0.01
    warmup_time = 0.05

    def setup(self, shape, dtype):
        svd, csr_array = attribute("linalg.randomized_svd"), attribute("sparse.csr_array")
        m, n = shape
        places = np.unique(np.random.default_rng(0).integers(0, m * n, m * n // 1000))
        a = csr_array.from_coo(aligned(places.size, dtype), places // n, places % n, shape)
        self.call = lambda: svd(a, 20, rng=0, num_threads=1)

    def time_call(self, shape, dtype):
        self.call()


class Quality:
    """Of 512 x 512 at rank 50: the error over the smallest possible one, the bound over the error, the largest of a few
    runs."""

    params = (list(SKETCHES),)
    param_names = ("sketch",)
    timeout = 120

    def setup(self, sketch):
        svd = attribute("linalg.randomized_svd")
        self.a = with_values(512, 512)
        self.results = [svd(self.a, 50, sketch=sketch, rng=seed, num_threads=1) for seed in range(SEEDS)]
        self.errors = [float(np.linalg.norm(self.a - U * S @ Vh, 2)) for U, S, Vh, _ in self.results]

    def track_error(self, sketch):
        return 51 * max(self.errors)

    track_error.unit = "times the smallest possible error"

    def track_bound(self, sketch):
        return max(result.error_bound / error for result, error in zip(self.results, self.errors, strict=True))

    track_bound.unit = "times the error"
