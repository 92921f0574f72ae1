"""A matrix product as this library and the others compute it: batches for a contest."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

import mlopt
from mlopt.targets import cblas, peers
from mlopt.targets.contest import Contest
from mlopt.targets.limits import fma, stream
from mlopt.targets.measure import Batch, calls

MATMUL: Any = mlopt.matmul  # methods are asked for that a version may not have
STRASSEN_FROM = 512  # smaller products are not worth a method that starts from 64


@cache
def methods() -> tuple[str, ...]:
    """The methods of :func:`mlopt.matmul` that this version has and that compute differently.

    ``"auto"`` is among them where a flag lets it choose another than ``"gemm"``.
    """
    found = ["gemm"]
    try:
        MATMUL(np.ones((1, 1)), np.ones((1, 1)), method="strassen")
    except ValueError:
        return tuple(found)
    found.append("strassen")
    if hasattr(mlopt, "flags"):
        found.append("auto")
    return tuple(found)


def ours(a: np.ndarray, b: np.ndarray, c: np.ndarray, method: str = "gemm", threads: int = 1) -> Batch:
    """``a @ b`` into `c` by this library; ``"auto"`` may choose Strassen's algorithm."""
    batch = calls(lambda: MATMUL(a, b, out=c, method=method, num_threads=threads))
    flags: Any = getattr(mlopt, "flags", None)
    if method != "auto" or flags is None:
        return batch

    def with_strassen_allowed(count: int) -> float:
        with flags(strassen=True):
            seconds = batch(count)
        return seconds

    return with_strassen_allowed


def peer_batches(a: np.ndarray, b: np.ndarray, c: np.ndarray, scipy: bool = False) -> dict[str, Batch]:
    """``a @ b`` into `c` by every peer that is there.

    SciPy takes part where it is asked for and nothing is transposed: its library is nearly NumPy's.
    """
    result = {peers.label("numpy"): calls(lambda: np.matmul(a, b, out=c))}
    if (torch := peers.find("torch")) is not None:
        left, right, out = (torch.from_numpy(array) for array in (a, b, c))
        result[peers.label("torch")] = calls(lambda: torch.matmul(left, right, out=out))
    if scipy and peers.find("scipy") is not None and a.flags.c_contiguous and b.flags.c_contiguous:
        from scipy.linalg.blas import dgemm, sgemm

        gemm = sgemm if a.dtype == np.float32 else dgemm
        # Fortran order: the product of the transposes, so that nothing is copied
        result[peers.label("scipy")] = calls(lambda: gemm(1.0, b.T, a.T, c=c.T, overwrite_c=1))
    if (library := cblas.load()) is not None:
        result[library.label] = calls(library.product(a, b, c))
    return result


def contest(a: np.ndarray, b: np.ndarray, c: np.ndarray, with_peers: bool = True) -> Contest:
    """Every method and every peer on one thread, against the multiply-adds that a core can do.

    A matrix times a vector is held against reading the matrix.
    """
    m, k, n = *a.shape, b.shape[1]
    dtype, amount = a.dtype, 2.0 * m * n * k
    limit = fma(dtype.name)
    if min(m, n) == 1:
        limit, amount = stream("read", dtype.name, k * max(m, n)), float(k * max(m, n) * dtype.itemsize)
    others = methods()[1:] if min(m, n, k) >= STRASSEN_FROM else ()
    return Contest(
        ours=ours(a, b, c),
        variants={method: ours(a, b, c, method) for method in others},
        peers=peer_batches(a, b, c) if with_peers else {},
        limits=[limit],
        share_of=limit.name,
        amount=amount,
    )
