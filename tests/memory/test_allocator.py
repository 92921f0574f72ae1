"""aligned_allocations: NumPy's memory from the slab pool inside a context."""

import asyncio
import gc
import threading

import numpy as np
import pytest

import mlopt
from mlopt.memory import pool

try:
    from numpy._core.multiarray import get_handler_name
except ImportError:  # NumPy's own test hook
    get_handler_name = None


def handler_name():
    return get_handler_name() if get_handler_name else "unknown"


def in_use():
    return pool.pool_statistics()["blocks_in_use"]


@pytest.mark.parametrize("nbytes", [1, 10, 100, 1000, 1024, 5000, 100_000, 3 << 20])
def test_everything_is_aligned_inside(nbytes):
    with mlopt.aligned_allocations():
        arrays = [f(nbytes, "u1") for f in (np.empty, np.zeros, np.ones) for _ in range(5)]
        arrays += [arrays[-1] + 1, arrays[-1].copy(), np.concatenate(arrays[-2:])]
    assert all(mlopt.is_byte_aligned(x) for x in arrays)
    assert all(not x.any() for x in arrays[5:10])


def test_arrays_outlive_the_context():
    gc.collect()
    before = in_use()
    with mlopt.aligned_allocations():
        x = np.arange(1000.0)
        inside = in_use()
    assert inside == before + 1
    assert x.sum() == 499500
    y = x + 1  # outside: NumPy's own memory
    assert in_use() == inside
    del x
    assert in_use() == before
    assert y[0] == 1


def test_arrays_of_before_are_freed_inside():
    x = np.ones(1000)
    with mlopt.aligned_allocations():
        x.resize(5000, refcheck=False)  # its own allocator's realloc
        assert x[:1000].all()
        del x


@pytest.mark.parametrize("old", [1, 100, 5000, 300_000])
@pytest.mark.parametrize("new", [1, 100, 5000, 300_000])
def test_realloc_keeps_alignment_and_contents(old, new):
    with mlopt.aligned_allocations():
        x = np.arange(old, dtype="f8")
        x.resize(new, refcheck=False)
    assert mlopt.is_byte_aligned(x)
    kept = min(old, new)
    np.testing.assert_array_equal(x[:kept], np.arange(kept))
    assert not x[kept:].any()


def test_zeros_are_zero_when_memory_is_used_again():
    with mlopt.aligned_allocations():
        for nbytes in (100, 100_000, 3 << 20):
            for _ in range(3):
                x = np.zeros(nbytes, "u1")
                assert not x.any()
                x.fill(7)
                del x


def test_reused_nested_decorator_and_exceptions():
    outside = handler_name()
    context = mlopt.aligned_allocations()
    for _ in range(2):
        with context, context, mlopt.aligned_allocations():
            inside = handler_name()
    assert handler_name() == outside

    @context
    def decorated():
        assert handler_name() == inside
        return np.empty(1000)

    assert mlopt.is_byte_aligned(decorated())
    assert handler_name() == outside
    with pytest.raises(ZeroDivisionError), mlopt.aligned_allocations():
        1 / 0  # noqa: B018
    assert handler_name() == outside
    if get_handler_name:
        assert inside == "mlopt_slab"
        assert outside == "default_allocator"


def test_other_threads_and_tasks_are_not_affected():
    gc.collect()

    def made_in_pool():
        before = in_use()
        x = np.ones(1000)
        return in_use() - before, x

    results = []
    with mlopt.aligned_allocations():
        thread = threading.Thread(target=lambda: results.append(made_in_pool()))
        thread.start()
        thread.join()
        assert made_in_pool()[0] == 1
    assert results[0][0] == 0

    async def inside():
        with mlopt.aligned_allocations():
            await asyncio.sleep(0)
            return made_in_pool()[0]

    async def outside():
        counts = [made_in_pool()[0]]
        await asyncio.sleep(0)
        return counts[0] + made_in_pool()[0]

    async def both():
        return await asyncio.gather(inside(), outside())

    assert asyncio.run(both()) == [1, 0]


def test_no_memory():
    with mlopt.aligned_allocations(), pytest.raises(MemoryError):
        np.empty(1 << 45, "u1")


def test_freed_by_another_thread():
    before = in_use()
    with mlopt.aligned_allocations():
        arrays = [np.ones(500) for _ in range(100)]
    thread = threading.Thread(target=arrays.clear)
    thread.start()
    thread.join()
    assert in_use() == before
