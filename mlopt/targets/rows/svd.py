"""Randomised singular value decompositions.

The libraries differ in what an iteration gains, so that equal parameters would compare unequal work. Here every one
takes the fewest power iterations with which its spectral error is at most 1.01 times the smallest possible, as the
median over some runs of the very matrix that is then timed, and its other parameters as they come by default. The time
of this library includes the bound of its error, which the others do not give; the bound is checked against the error.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import mlopt
from mlopt.targets import peers
from mlopt.targets.contest import Contest, NotHere, Options
from mlopt.targets.limits import fma
from mlopt.targets.measure import Batch, calls
from mlopt.targets.memory import aligned_copy
from mlopt.targets.result import Row

ALLOWED = 1.01  # of the smallest possible error
MOST_ITERATIONS = 16
RUNS, RUNS_LARGE = 5, 3
STEPS = 40  # of the iteration for the norm of a large residual

Factors = tuple[np.ndarray, np.ndarray, np.ndarray]
Solver = Callable[[int, int], Factors]  # power iterations, seed


def with_values(values: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """A dense matrix of these singular values."""
    rng = np.random.default_rng(0)

    def orthonormal(length: int) -> np.ndarray:
        if length <= 1024:
            return np.linalg.qr(rng.standard_normal((length, len(values))))[0]
        # a reflection on 64 random vectors: all the others would take minutes
        vectors = np.linalg.qr(rng.standard_normal((length, 64)))[0]
        result: np.ndarray = np.eye(length, len(values)) - 2 * mlopt.matmul(vectors, vectors[: len(values)].T)
        return result

    return aligned_copy(mlopt.matmul(orthonormal(rows) * values, orthonormal(columns).T, method="gemm"))


def spectral_error(a: Any, factors: Factors) -> float:
    """The norm of what the factors leave of a matrix, by power iteration."""
    u, values, vh = factors
    x = np.random.default_rng(0).standard_normal((a.shape[1], 4))
    norm = 0.0
    for _ in range(STEPS):
        x = np.linalg.qr(x)[0]
        y = a @ x - u @ (values[:, np.newaxis] * (vh @ x))
        norm = float(np.linalg.norm(y, 2))
        x = a.T @ y - vh.T @ (values[:, np.newaxis] * (u.T @ y))
    return norm


def solvers(a: Any, rank: int) -> Iterator[tuple[str, Solver]]:
    """The peers that are there, by label."""
    if peers.find("sklearn") is not None:
        from sklearn.utils.extmath import randomized_svd

        yield (
            f"{peers.label('sklearn')} randomized_svd",
            lambda n_iter, seed: randomized_svd(a, rank, n_iter=n_iter, random_state=seed),
        )
    if (fbpca := peers.find("fbpca")) is not None:
        # its random numbers are NumPy's global ones
        yield peers.label("fbpca"), lambda n_iter, seed: fbpca.pca(a, rank, raw=True, n_iter=n_iter)


def fewest(solver: Solver, a: Any, best: float) -> tuple[int, float] | None:
    """The fewest power iterations with which a solver is near the smallest error, and its error over that."""
    runs = RUNS if max(a.shape) <= 1024 else RUNS_LARGE
    for n_iter in range(MOST_ITERATIONS + 1):
        error = statistics.median(spectral_error(a, solver(n_iter, seed)) for seed in range(runs)) / best
        if error <= ALLOWED:
            return n_iter, error
    return None


def measure(row: Row, options: Options, a: Any, rank: int, best: float) -> None:
    """One matrix, of this smallest possible error, by everyone."""

    def ours(n_iter: int, seed: int) -> Factors:
        return mlopt.linalg.randomized_svd(a, rank, n_iter=n_iter, rng=seed, num_threads=1)[:3]

    def batch(solver: Solver, n_iter: int) -> Batch:
        return calls(lambda: solver(n_iter, 0))

    found = fewest(ours, a, best)
    if found is None:
        raise NotHere(f"no number of iterations up to {MOST_ITERATIONS} is near the smallest error")
    result = mlopt.linalg.randomized_svd(a, rank, n_iter=found[0], rng=0, num_threads=1)
    error = spectral_error(a, result[:3])
    if not error <= result.error_bound:
        raise ArithmeticError(f"the error is {error}, above its bound {result.error_bound}")
    row.metrics["error"], row.metrics["bound_over_error"] = found[1], result.error_bound / error
    row.notes.append(
        f"{found[0]} power iterations, error {found[1]:.4f} × the smallest; bound {result.error_bound / error:.3g} × it"
    )
    batches: dict[str, Batch] = {}
    for label, solver in solvers(a, rank) if options.peers else ():
        reached = fewest(solver, a, best)
        if reached is None:
            row.notes.append(f"{label}: not near the smallest error with {MOST_ITERATIONS} iterations")
            continue
        row.notes.append(f"{label}: {reached[0]} power iterations, error {reached[1]:.4f} × the smallest")
        batches[label] = batch(solver, reached[0])
    Contest(ours=batch(ours, found[0]), peers=batches, limits=[fma("float64")]).fill(row, options.seconds)
    for comparison in row.peers:
        if comparison.name.startswith("scikit-learn"):
            row.metrics["vs_sklearn"] = comparison.ratio.median


def measure_svd_512(row: Row, options: Options) -> None:
    """512 x 512, singular values 1/i."""
    values = 1 / np.arange(1.0, 513.0)
    measure(row, options, with_values(values, 512, 512), 50, float(values[50]))


def measure_svd_dense(row: Row, options: Options) -> None:
    """10 000 x 2 000, singular values 1/i."""
    values = 1 / np.arange(1.0, 2001.0)
    measure(row, options, with_values(values, 10_000, 2_000), 50, float(values[50]))


def measure_svd_sparse(row: Row, options: Options) -> None:
    """Uniformly random places and values; the smallest error is the next singular value, from many iterations."""
    if peers.find("scipy") is None:
        raise NotHere("SciPy is not installed")
    import scipy.sparse

    rng = np.random.default_rng(0)
    a = scipy.sparse.random_array((100_000, 10_000), density=1e-3, format="csr", rng=rng)
    rank = 20
    best = mlopt.linalg.randomized_svd(a, rank + 1, n_iter=40, oversampling=43, rng=1).S[rank]
    measure(row, options, a, rank, float(best))
