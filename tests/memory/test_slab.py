"""The slab pool: classes, cache, limits, statistics, threads, fork, misuse."""

import gc
import os
import subprocess
import sys
import threading
import time

import pytest

import mlopt
from mlopt.memory import pool

MIB = 1 << 20
SMALL_REQUESTS = [0, 1, 63, 64, 65, 256, 257, 320, 321, 1000, 4096, 4097, 100_000]
REQUESTS = [*SMALL_REQUESTS, MIB - 1, MIB, 2 * MIB - 1, 2 * MIB, 9_000_000]


@pytest.mark.parametrize("request_bytes", REQUESTS)
def test_block_is_aligned_large_enough_and_not_wasteful(request_bytes):
    block = pool.acquire(request_bytes)
    assert block.address % (2 * MIB if block.nbytes >= 2 * MIB else 64) == 0
    assert request_bytes <= block.nbytes <= max(64, request_bytes + 63, 1.25 * request_bytes)


def test_every_request_up_to_a_few_kilobytes():
    for nbytes in range(1, 5000):
        usable = pool.acquire(nbytes).nbytes
        assert usable % 64 == 0
        assert nbytes <= usable <= max(nbytes + 63, 1.25 * nbytes)
        assert pool.acquire(usable).nbytes == usable


def test_cached_block_is_used_again():
    block = pool.acquire(12345)
    address = block.address
    before = pool.pool_statistics()
    del block
    block = pool.acquire(12300)
    after = pool.pool_statistics()
    assert block.address == address
    assert after["hits"] == before["hits"] + 1
    assert after["misses"] == before["misses"]
    assert after["bytes_in_use"] == before["bytes_in_use"]


def test_statistics_count_what_is_held():
    before = pool.pool_statistics()
    blocks = [pool.acquire(1000) for _ in range(50)]
    during = pool.pool_statistics()
    assert during["blocks_in_use"] == before["blocks_in_use"] + 50
    assert during["bytes_in_use"] == before["bytes_in_use"] + 50 * 1024
    assert during["hits"] + during["misses"] == before["hits"] + before["misses"] + 50
    assert during["bytes_peak"] >= during["bytes_in_use"] + during["bytes_cached"]
    del blocks
    assert pool.pool_statistics()["blocks_in_use"] == before["blocks_in_use"]


def test_trim_gives_everything_back():
    sizes = (10, 1000, 100_000, 3 * MIB)
    for block in [pool.acquire(nbytes) for nbytes in sizes]:
        del block
    cached = pool.pool_statistics()["bytes_cached"]
    assert cached >= sum(sizes)
    assert pool.trim() == cached
    assert pool.pool_statistics()["bytes_cached"] == 0
    assert pool.trim() == 0


@pytest.mark.parametrize("nbytes", [64, 4096, 512 << 10])
def test_cache_of_a_small_class_is_bounded(nbytes):
    pool.trim()
    count = min(max(4 * MIB // nbytes, 8), 4096)
    blocks = [pool.acquire(nbytes) for _ in range(count + 20)]
    returned = pool.pool_statistics()["returned"]
    del blocks
    after = pool.pool_statistics()
    assert after["blocks_cached"] == count
    assert after["returned"] == returned + 20


def test_cache_of_large_blocks_is_bounded():
    pool.trim()
    blocks = [pool.acquire(40 * MIB) for _ in range(10)]  # never touched: costs address space only
    del blocks
    assert 0 < pool.pool_statistics()["bytes_cached"] <= 256 * MIB
    pool.trim()
    blocks = [pool.acquire(MIB) for _ in range(10)]
    del blocks
    assert pool.pool_statistics()["blocks_cached"] == 10  # the count of large bytes went back to 0


def test_sizes_of_an_earlier_phase_make_room():
    pool.trim()
    blocks = [pool.acquire(40 * MIB) for _ in range(6)]  # all but 16 MiB of the limit
    del blocks
    for _ in range(80):
        pool.acquire(30 * MIB)
    misses = pool.pool_statistics()["misses"]
    for _ in range(10):
        pool.acquire(30 * MIB)
    statistics = pool.pool_statistics()
    assert statistics["misses"] == misses
    assert 30 * MIB < statistics["bytes_cached"] <= 256 * MIB


def test_two_sizes_that_do_not_fit_together_do_not_throw_each_other_out():
    pool.trim()
    for _ in range(200):
        pool.acquire(160 * MIB)
        pool.acquire(190 * MIB)
    misses = pool.pool_statistics()["misses"]
    for _ in range(20):
        pool.acquire(160 * MIB)
        pool.acquire(190 * MIB)
    assert pool.pool_statistics()["misses"] == misses + 20  # one of them is kept


def test_block_over_the_limit_is_not_cached():
    pool.trim()
    pool.acquire(300 * MIB)
    assert pool.pool_statistics()["bytes_cached"] == 0


@pytest.mark.parametrize("nbytes", [1000, 100_000, 3 * MIB])
def test_zeroed_block_is_zero_when_used_again(nbytes):
    for _ in range(3):
        x = mlopt.zeros_aligned(nbytes, "u1")
        assert not x.any()
        x.fill(255)
        del x


@pytest.mark.parametrize("nbytes", [1 << 41, (1 << 40) + 1, (1 << 64) - 1])
def test_no_memory_is_a_memory_error(nbytes):
    with pytest.raises(MemoryError, match=str(nbytes)):
        pool.acquire(nbytes)
    with pytest.raises(MemoryError, match=str(nbytes)):
        pool.acquire(nbytes, zeroed=True)


def test_blocks_are_not_made_by_hand():
    with pytest.raises(TypeError, match="empty_aligned"):
        pool.Block()


def test_threads_never_share_a_block():
    """Every thread writes its mark over its blocks and finds it there again, while all draw on one class."""
    failures, start = [], threading.Barrier(4)

    def work(mark):
        start.wait()
        for i in range(300):
            arrays = [mlopt.empty_aligned(1000 + 300 * j, "u1") for j in range(1 + i % 7)]
            for x in arrays:
                x.fill(mark)
            if any((x != mark).any() for x in arrays):
                failures.append(mark)
            if i % 50 == 0:
                pool.trim()

    threads = [threading.Thread(target=work, args=(mark,)) for mark in range(1, 5)]
    before = pool.pool_statistics()["blocks_in_use"]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert not failures
    assert pool.pool_statistics()["blocks_in_use"] == before


def wait_for_the_end_of(thread):
    """To its last instruction: Python has joined it before, and what it kept it gives back there."""
    task = f"/proc/self/task/{thread.native_id}"
    if not os.path.isdir("/proc/self/task"):
        pytest.skip("the end of a thread cannot be seen here")
    deadline = time.monotonic() + 30
    while os.path.exists(task):
        assert time.monotonic() < deadline, "the thread did not end"
        time.sleep(0.001)


def test_blocks_that_an_ended_thread_kept_are_used_by_others():
    gc.collect()  # blocks of earlier tests
    pool.trim()
    addresses = []
    size = 3500  # which nothing else asks for

    def work():
        blocks = [pool.acquire(size) for _ in range(5)]
        addresses.extend(block.address for block in blocks)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    wait_for_the_end_of(thread)
    misses = pool.pool_statistics()["misses"]
    blocks = [pool.acquire(size) for _ in range(5)]
    assert {block.address for block in blocks} == set(addresses)
    assert pool.pool_statistics()["misses"] == misses


def test_trim_reaches_what_other_threads_keep_with_their_next_release():
    gc.collect()  # blocks of earlier tests
    pool.trim()
    kept, trimmed = threading.Event(), threading.Event()
    cached = []

    def work():
        pool.acquire(2000)
        kept.set()
        assert trimmed.wait(60)
        pool.acquire(1000)
        cached.append(pool.trim())

    thread = threading.Thread(target=work)
    thread.start()
    assert kept.wait(60)
    given_back, left = pool.trim(), pool.pool_statistics()["blocks_cached"]
    trimmed.set()
    thread.join(60)
    assert (given_back, left) == (0, 1)  # the other thread's block is out of reach, and counted
    assert cached == [2048 + 1024]
    assert pool.pool_statistics()["blocks_cached"] == 0


def test_threads_without_the_gil():
    before = pool.pool_statistics()
    threads = [threading.Thread(target=pool.time_acquire_release, args=(640, 200_000)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    after = pool.pool_statistics()
    assert after["blocks_in_use"] == before["blocks_in_use"]
    assert after["hits"] + after["misses"] == before["hits"] + before["misses"] + 600_000


def run(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)


def test_release_of_a_block_twice_ends_the_process():
    done = run("from mlopt.memory import pool; pool.release_twice()")
    assert done.returncode < 0
    assert "released a block twice" in done.stderr


def test_release_of_something_else_ends_the_process():
    done = run("from mlopt.memory import pool; pool.release_foreign()")
    assert done.returncode < 0
    assert "no block of the slab pool" in done.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_child_of_a_fork_uses_the_pool_while_the_parent_does():
    done = run("""
import os, threading
import mlopt
from mlopt.memory import pool
stop = False
def work():
    while not stop:
        pool.time_acquire_release(1000, 10000)
threads = [threading.Thread(target=work) for _ in range(2)]
for t in threads: t.start()
for i in range(10):
    child = os.fork()
    if child == 0:
        x = [mlopt.ones_aligned(100) for _ in range(100)]
        del x
        pool.trim()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
stop = True
for t in threads: t.join()
print("done")
""")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "done\n"


@pytest.mark.parametrize("period", [1, 2, 5])
def test_blocks_are_refused_on_request(period):
    pool.trim()
    before = pool.pool_statistics()
    refused = 0
    pool.fail_every(period)
    try:
        blocks = []
        for _ in range(10):
            try:
                blocks.append(pool.acquire(777))
            except MemoryError:
                refused += 1
        assert refused == 10 // period
        blocks.clear()
        if period > 1:
            blocks.append(pool.acquire(777))  # from the cache: not counted, never refused
            assert pool.pool_statistics()["hits"] == before["hits"] + 1
    finally:
        assert pool.fail_every(0) == refused
    blocks.clear()
    after = pool.pool_statistics()
    assert after["misses"] == before["misses"] + 10 - refused
    assert after["blocks_in_use"] == before["blocks_in_use"]
    assert pool.fail_every(0) == 0
    pool.acquire(100_000)


@pytest.mark.parametrize("period", [-1, 1 << 32])
def test_period_of_failures_is_checked(period):
    with pytest.raises(ValueError, match="period"):
        pool.fail_every(period)
