"""Pools of arrays: one array leased, looked at and released."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from mlopt.targets.contest import Contest, NotHere, Options
from mlopt.targets.limits import l1_read
from mlopt.targets.measure import Batch, calls, paired
from mlopt.targets.result import Row

if TYPE_CHECKING:
    from mlopt import ArrayPool

SIZES = 400, 1000, 4000  # bytes of an array that NumPy makes
AT_ONCE = 16  # arrays that are alive together
PAIRS = 200_000  # of an acquisition and a release, in C, at a time
ROUNDS = 15


def on_threads(count: int, pair_seconds: Callable[[], float]) -> float:
    """The time of one pair on the slowest of so many threads that run at once, each thread's by its shortest round.

    Processor time, so that a machine with fewer free cores than threads does not show.
    """
    start = threading.Barrier(count)
    shortest = []

    def work() -> None:
        start.wait()
        shortest.append(min(pair_seconds() for _ in range(ROUNDS)))

    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return max(shortest)


def leases(pool: ArrayPool) -> Batch:
    """A batch of leasing an array, looking at it, and releasing it; only the loop is measured with it."""

    def batch(count: int) -> float:
        acquire = pool.acquire
        repeat = itertools.repeat(None, count)
        start = time.perf_counter()
        for _ in repeat:
            lease = acquire()
            lease.array  # noqa: B018
            lease.release()
        return time.perf_counter() - start

    return batch


def empties(shape: tuple[int, ...], dtype: np.dtype) -> Batch:
    """The same of NumPy: an array of its allocator, which goes with the next one."""

    def batch(count: int) -> float:
        empty = np.empty
        repeat = itertools.repeat(None, count)
        start = time.perf_counter()
        for _ in repeat:
            empty(shape, dtype)
        return time.perf_counter() - start

    return batch


def from_the_pool(batch: Batch) -> Batch:
    """The same batch with NumPy's allocations from the slab pool."""
    from mlopt import aligned_allocations

    def inside(count: int) -> float:
        with aligned_allocations():
            return batch(count)

    return inside


def numpy_allocation(options: Options) -> dict[str, float]:
    """NumPy's own time for `np.empty` over that inside `aligned_allocations`: one at a time, then AT_ONCE alive."""

    def one(nbytes: int) -> Batch:
        return calls(lambda: np.empty(nbytes // 8))

    def together(nbytes: int) -> Batch:
        return calls(lambda: [np.empty(nbytes // 8) for _ in range(AT_ONCE)])

    arrays = {f"{nbytes} B": one(nbytes) for nbytes in SIZES}
    arrays |= {f"{AT_ONCE} of {nbytes} B": together(nbytes) for nbytes in SIZES}
    alternatives: dict[str, Batch] = {}
    for name, batch in arrays.items():
        alternatives |= {f"its own, {name}": batch, f"pool, {name}": from_the_pool(batch)}
    rounds = paired(alternatives, options.seconds)
    return {name: rounds.ratio(f"its own, {name}", of=f"pool, {name}").median for name in arrays}


def measure_pools(row: Row, options: Options) -> None:
    """From Python, the three pools; in C, one thread and two."""
    try:
        import mlopt
        from mlopt.memory.array_pool import time_acquire_release
    except ImportError as error:
        raise NotHere(f"pools of arrays are not in this version ({error})") from error

    pools = {
        "matrix_pool": mlopt.matrix_pool(),
        "batch_pool": mlopt.batch_pool(),
        "feature_pool": mlopt.feature_pool(),
    }

    def pair_seconds() -> float:
        start = time.thread_time()
        time_acquire_release(pools["matrix_pool"], PAIRS)
        return (time.thread_time() - start) / PAIRS

    contest = Contest(
        ours=leases(pools["matrix_pool"]),
        variants={name: leases(pool) for name, pool in pools.items() if name != "matrix_pool"},
        limits=[l1_read()],
    )
    if options.peers:
        for pool in pools.values():
            contest.peers[f"np.empty({pool.shape}, {pool.dtype.name!r})"] = empties(pool.shape, pool.dtype)
    contest.fill(row, options.seconds)
    one, two = on_threads(1, pair_seconds), on_threads(2, pair_seconds)
    row.metrics["one_thread"], row.metrics["two_threads"] = one, one / two
    row.notes.append(
        f"in C, acquire and release take {1e9 * one:.1f} ns on one thread and {1e9 * two:.1f} ns of processor time on "
        "each of two"
    )
    ratios = numpy_allocation(options)
    row.metrics["numpy_small"], row.metrics["numpy_together"] = ratios["400 B"], ratios[f"{AT_ONCE} of 400 B"]
    row.notes.append(
        "np.empty inside aligned_allocations, against NumPy's own allocator: "
        + ", ".join(f"{name} {ratio:.2f}×" for name, ratio in ratios.items())
    )
