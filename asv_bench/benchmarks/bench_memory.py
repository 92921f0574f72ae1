"""The allocator and the slab pool."""

import numpy as np

from .common import attribute


class AlignedArrays:
    """One aligned array and its release, beside NumPy's own."""

    params = ([(16,), (64, 128), (512, 512)],)
    param_names = ("shape",)

    def setup(self, shape):
        self.make = attribute("empty_aligned")

    def time_empty_aligned(self, shape):
        self.make(shape, np.float32)

    def time_numpy_empty(self, shape):
        np.empty(shape, np.float32)


class SlabPool:
    """Acquiring and releasing a block, timed from C."""

    params = ([64, 4096, 1 << 20],)
    param_names = ("nbytes",)

    def setup(self, nbytes):
        self.time_pairs = attribute("memory.pool.time_acquire_release")

    def track_acquire_release(self, nbytes):
        return min(self.time_pairs(nbytes, 100_000) for _ in range(5))

    track_acquire_release.unit = "ns"


class ArrayPools:
    """An array of a pool leased, looked at and released, from Python and in C."""

    params = (["matrix_pool", "batch_pool", "feature_pool"],)
    param_names = ("pool",)

    def setup(self, pool):
        self.pool = attribute(pool)()
        self.time_pairs = attribute("memory.array_pool.time_acquire_release")

    def time_lease(self, pool):
        lease = self.pool.acquire()
        lease.array  # noqa: B018
        lease.release()

    def time_with(self, pool):
        with self.pool.acquire() as lease:
            lease.array  # noqa: B018

    def track_acquire_release(self, pool):
        return min(self.time_pairs(self.pool, 100_000) for _ in range(5))

    track_acquire_release.unit = "ns"


class AlignedAllocations:
    """NumPy's own small arrays inside aligned_allocations()."""

    def setup(self):
        self.context = attribute("aligned_allocations")()
        self.context.__enter__()

    def teardown(self):
        if hasattr(self, "context"):
            self.context.__exit__(None, None, None)

    def time_numpy_empty_1k(self):
        np.empty(256, np.float32)

    def time_numpy_empty_16k(self):
        np.empty(4096, np.float32)
