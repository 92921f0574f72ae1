"""The limits of this machine, as work that is measured in the same rounds as what it limits.

The loops are kernels of the register (``_kernels/limits``) and run on the tier in use.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

import numpy as np

from mlopt._kernels.core import current_isa
from mlopt._kernels.register import Kernel
from mlopt.targets.measure import Batch
from mlopt.targets.memory import aligned

# What the machine reaches that the absolute figures among the targets belong to.
MACHINE_OF_THE_FIGURES = {
    "FMA float32": 250e9,
    "FMA float64": 125e9,
    "L1 read": 335e9,
}

TYPES = {"float32": "f32", "float64": "f64"}
CHAINS = 192  # MLOPT_LIMIT_CHAINS: limit_fma does whole multiples of it


@dataclass(frozen=True)
class Limit:
    """A limit: a batch, what one call of it does, and the unit of the rate."""

    name: str
    batch: Batch
    amount: float
    unit: str
    cores: int = 1

    def scale(self, rate: float) -> float | None:
        """`rate` over that of the machine of the figures; None where none is known."""
        reference = MACHINE_OF_THE_FIGURES.get(self.name)
        return rate / reference if reference else None


def kernel_batch(
    name: str,
    kind: str,
    dims: tuple[int, ...],
    *operands: np.ndarray,
    number: float = 1.0,
    steps: tuple[int, ...] | None = None,
    tier: str | None = None,
) -> Batch:
    """A batch that calls a kernel from C, without Python in between.

    Examples
    --------
    >>> import numpy as np
    >>> from mlopt.targets.limits import kernel_batch
    >>> kernel_batch("sum", "f64", (8,), np.ones(8))(10) > 0
    True
    """
    kernel = Kernel(name, kind, tier or current_isa())

    def batch(count: int) -> float:
        return kernel.time(dims, *operands, number=number, steps=steps, calls=count) * count * 1e-9

    return batch


def fma(dtype: str, cores: int = 1) -> Limit:
    """Multiply-adds as fast as they issue, on one core or several at once."""
    kind, count = TYPES[dtype], CHAINS * 500
    factor, term, out = (aligned(CHAINS, dtype) for _ in range(3))
    factor[:], term[:] = 0.999, 0.001
    one = kernel_batch("limit_fma", kind, (count,), factor, term, out)
    name = f"FMA {dtype}" if cores == 1 else f"FMA {dtype}, {cores} cores"
    return Limit(name, one if cores == 1 else in_threads(one, cores), 2.0 * count * cores, "FLOP/s", cores)


def dot_int8() -> Limit:
    """Products of bytes added to 32-bit sums, as fast as they issue, on one core."""
    count = 4 * CHAINS * 500
    left, right = aligned(4, "uint8", 3), aligned(4, "int8", -2, place=1)
    return Limit("int8 dot products", kernel_batch("limit_int8", "s8", (count,), left, right), 2.0 * count, "OP/s")


def dot_bf16() -> Limit:
    """Products of bfloat16 pairs with float32 sums, as fast as they issue, on one core."""
    count = 2 * CHAINS * 500
    x = aligned(2, "uint16")
    return Limit("bfloat16 dot products", kernel_batch("limit_bf16", "bf16", (count,), x, x), 2.0 * count, "FLOP/s")


def in_threads(batch: Batch, threads: int) -> Batch:
    """The same batch in several threads at once; the time is that of the slowest."""

    def together(count: int) -> float:
        barrier = threading.Barrier(threads + 1)
        ends: list[float] = []

        def work() -> None:
            barrier.wait()
            batch(count)
            ends.append(time.perf_counter())

        workers = [threading.Thread(target=work) for _ in range(threads)]
        for worker in workers:
            worker.start()
        barrier.wait()
        start = time.perf_counter()
        for worker in workers:
            worker.join()
        return max(ends) - start

    return together


# loop -> operands read and written, in elements per element
STREAMS = {"read": 1, "read_two": 2, "copy": 2, "triad": 3, "update": 3}


def stream(loop: str, dtype: str, n: int, name: str | None = None) -> Limit:
    """A loop that moves n elements of each of its streams: read, read_two, copy, triad or update."""
    operands = [aligned(n, dtype, place=place) for place in range(3)]
    batch = kernel_batch(f"limit_{loop}", TYPES[dtype], (n,), *operands)
    return Limit(name or f"{loop.replace('_', ' ')} loop", batch, STREAMS[loop] * n * np.dtype(dtype).itemsize, "B/s")


def l1_read(nbytes: int = 16384) -> Limit:
    """Reads from the first-level cache: the limit of small networks, whose weights stay there."""
    return stream("read", "float32", nbytes // 4, "L1 read")
