"""ArrayPool: leases, policies, misuse, memory that is touched lazily, threads, statistics."""

import gc
import os
import pickle
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

import mlopt
from mlopt.memory import Lease, PoolEmpty, array_pool
from mlopt.targets.allocations import count_allocations

TIMEOUT = 60


def run_threads(*functions):
    """Run functions at once, each on a thread; what one of them raises is raised here."""
    failures = []

    def guarded(function):
        try:
            function()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(function,), daemon=True) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(TIMEOUT)
    assert not any(thread.is_alive() for thread in threads)
    if failures:
        raise failures[0]


@pytest.mark.parametrize("shape", [3, (), (2, 5), (0,), (4, 0, 3), [2, 2], (1,) * 64])
@pytest.mark.parametrize("dtype", ["f4", "f8", "i1", "c16", "S7", "M8[ns]", "f4,i1", "(2,3)f4", ">f8"])
def test_arrays_are_what_was_asked_for(shape, dtype):
    if dtype == "(2,3)f4" and len(np.empty(shape).shape) > 60:
        pytest.skip("more dimensions than there are")
    pool = mlopt.ArrayPool(shape, dtype, 5)
    like = np.empty(shape, dtype)
    leases = [pool.acquire() for _ in range(5)]
    for lease in leases:
        array = lease.array
        assert (array.shape, array.dtype) == (like.shape, like.dtype) == (pool.shape, pool.dtype)
        assert array.flags.c_contiguous
        assert array.flags.writeable
        assert array.flags.aligned
        assert mlopt.is_byte_aligned(array)
        assert not array.view(np.ndarray).tobytes().strip(b"\0")
    places = sorted(lease.array.ctypes.data for lease in leases)
    assert min(np.diff(places)) >= max(like.nbytes, 64)


def test_arrays_do_not_overlap():
    pool = mlopt.ArrayPool(100, "u1", 64, when_empty="grow")
    leases = [pool.acquire() for _ in range(200)]
    for i, lease in enumerate(leases):
        lease.array.fill(i)
    assert all((lease.array == i).all() for i, lease in enumerate(leases))
    assert [lease.slot for lease in leases] == list(range(200))


def test_slot_and_array_are_used_again():
    pool = mlopt.ArrayPool((2, 2))
    with pool.acquire() as lease:
        first, slot = lease.array, lease.slot
        first.fill(7)
        assert lease.array is first
    with pool.acquire() as lease:
        assert (lease.slot, lease.array is first) == (slot, True)
        assert (lease.array == 7).all()


@pytest.mark.parametrize("change", ["setflags", "shape", "dtype"])
def test_array_that_was_changed_for_good_is_replaced(change):
    pool = mlopt.ArrayPool((2, 3), "f8", 1)
    lease = pool.acquire()
    array = lease.array
    if change == "setflags":
        array.setflags(write=False)
    elif change == "shape":
        array.shape = (6,)
    else:
        array.dtype = "i8"
    lease.release()
    lease = pool.acquire()
    assert lease.array is not array
    assert (lease.array.shape, lease.array.dtype, lease.array.flags.writeable) == ((2, 3), np.float64, True)


def test_released_lease():
    pool = mlopt.ArrayPool(3)
    lease = pool.acquire()
    assert repr(lease) == "<Lease of slot 0, (3,) float64>"
    lease.release()
    assert repr(lease) == "<Lease of slot 0, released>"
    again = pool.acquire()  # the same slot: the old lease must not come to life
    assert again.slot == lease.slot
    for use in (lease.release, lambda: lease.array, lease.__enter__, lambda: pool.release(lease)):
        with pytest.raises(ValueError, match="lease of slot 0 was released already"):
            use()
    assert again.array.shape == (3,)
    with again:
        again.release()
    with pytest.raises(ZeroDivisionError), pool.acquire() as lease:
        1 / 0  # noqa: B018
    assert lease.released
    assert pool.statistics["in_use"] == 0


def test_release_by_array():
    pool, other = mlopt.ArrayPool((4, 4), capacity=3), mlopt.ArrayPool((4, 4), capacity=3)
    lease, foreign = pool.acquire(), other.acquire()
    array = lease.array
    for bad, message in [
        (np.empty((4, 4)), r"array of shape \(4, 4\) of float64 is not one that this pool lent"),
        (mlopt.empty_aligned((4, 4)), "not one that this pool lent"),
        (foreign.array, r"array of shape \(4, 4\) of float64 is of another pool"),
        (array[:], "is a view or an earlier array of slot 0"),
        (array[0], "is a view or an earlier array of slot 0"),
        (array[1:], "not one that this pool lent"),
        (foreign, "Lease of slot 0, .* is of another pool"),
    ]:
        with pytest.raises(ValueError, match=message):
            pool.release(bad)
    for bad in (None, 3, [1.0], "lease"):
        with pytest.raises(TypeError, match=f"array_or_lease must be a Lease or an ndarray, not {type(bad).__name__}"):
            pool.release(bad)
    assert not lease.released
    pool.release(array)
    assert lease.released
    with pytest.raises(ValueError, match="array of slot 0 was released already"):
        pool.release(array)
    pool.release(pool.acquire())
    assert pool.statistics["in_use"] == 0


def test_raise_when_empty():
    pool = mlopt.ArrayPool(3, capacity=2)
    leases = [pool.acquire(), pool.acquire()]
    with pytest.raises(PoolEmpty, match="all 2 arrays of the pool are leased"):
        pool.acquire()
    assert issubclass(PoolEmpty, MemoryError)
    assert pool.try_acquire() is None
    leases.pop().release()
    assert pool.try_acquire().array.shape == (3,)
    with pytest.raises(ValueError, match=r"timeout=1.* when_empty='wait'"):
        pool.acquire(timeout=1)


def test_grow_when_empty():
    pool = mlopt.ArrayPool(3, capacity=3, when_empty="grow")
    leases = [pool.acquire() for _ in range(20)]
    assert len(pool) == pool.capacity == 24
    statistics = pool.statistics
    assert statistics == {
        "capacity": 24, "in_use": 20, "high_water": 20, "misses": 3, "acquisitions": 20, "grown": 21, "leaked": 0,
    }  # fmt: skip
    for lease in leases:
        pool.release(lease.array)
    assert pool.statistics["in_use"] == 0


def test_growth_without_address_space():
    pool = mlopt.ArrayPool(1 << 44, "u1", 1, when_empty="grow")
    with pytest.raises(MemoryError, match="cannot grow beyond"):
        [pool.acquire() for _ in range(20)]
    assert pool.try_acquire() is not None


def test_wait_when_empty():
    pool = mlopt.ArrayPool(3, capacity=1, when_empty="wait")
    lease = pool.acquire()
    lease.array.fill(5)
    for timeout in (0, 0.01):
        with pytest.raises(TimeoutError, match=f"were leased for {timeout} seconds"):
            pool.acquire(timeout)
    assert pool.try_acquire() is None
    for bad, error in ((-1, ValueError), (float("nan"), ValueError), ("1", TypeError)):
        with pytest.raises(error, match="timeout"):
            pool.acquire(bad)
    got = []

    def wait():
        with pool.acquire(timeout=TIMEOUT) as other:
            got.append(other.array[0])

    def give_back():
        while pool.statistics["misses"] < 4:  # until the other waits, or is about to
            pass
        lease.release()

    run_threads(wait, give_back)
    assert got == [5]


def test_every_waiting_thread_gets_its_turn():
    pool = mlopt.ArrayPool(1, "i8", 2, when_empty="wait")

    def work():
        for _ in range(300):
            with pool.acquire() as lease:
                lease.array[0] += 1

    run_threads(*[work] * 8)
    total = sum(lease.array[0] for lease in [pool.acquire(), pool.acquire()])
    assert total == 2400


def test_waiting_stops_when_the_pool_is_interrupted():
    code = """
import os, signal, threading, mlopt
pool = mlopt.ArrayPool(1, capacity=1, when_empty="wait")
lease = pool.acquire()
threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
try:
    pool.acquire()
except KeyboardInterrupt:
    print("interrupted")
lease.release()
with pool.acquire(timeout=1):
    print("usable")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=TIMEOUT)
    assert done.stdout.split() == ["interrupted", "usable"], done.stderr


def test_collected_lease_gives_its_slot_back():
    pool = mlopt.ArrayPool(3, capacity=1)
    pool.acquire()
    assert (pool.statistics["in_use"], pool.statistics["leaked"]) == (0, 1)
    array = pool.acquire().array  # the lease is collected, the array is not
    array.fill(3)
    view = array[1:]
    assert (pool.statistics["in_use"], pool.statistics["leaked"]) == (1, 2)
    assert pool.try_acquire() is None
    del array
    assert pool.try_acquire() is None
    assert (view == 3).all()
    del view
    assert pool.acquire().array.shape == (3,)
    array = pool.acquire().array
    pool.release(array)  # such an array can be released, too
    with pytest.raises(ValueError, match="released already"):
        pool.release(array)
    lease = pool.acquire()
    assert lease.array is not array
    del array
    assert not lease.released
    assert pool.statistics["leaked"] == 4


def test_pool_and_memory_outlive_their_names():
    lease = mlopt.ArrayPool(1000).acquire()
    gc.collect()
    lease.array.fill(2)
    array = lease.array
    lease.release()
    del lease
    gc.collect()
    assert (array == 2).all()  # the pool is gone, its memory is not


def test_zero_on_release():
    pool = mlopt.ArrayPool(100, capacity=2, zero_on_release=True)
    for _ in range(5):
        with pool.acquire() as lease:
            assert not lease.array.any()
            lease.array.fill(1)


@pytest.mark.parametrize(
    ("dtype", "check"),
    [("f8", np.isnan), ("f4", np.isnan), ("f2", np.isnan), ("c8", np.isnan), ("i4", lambda x: x.view("u1") == 0xDB)],
)
def test_debug_poisons_and_finds_writes(dtype, check):
    pool = mlopt.ArrayPool(10, dtype, 2, debug=True)
    lease = pool.acquire()
    assert not lease.array.any()
    array, view = lease.array, lease.array[2:]
    lease.release()
    assert check(array).all()
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 1
    lease = pool.acquire()  # nothing was written
    assert lease.array is not array
    assert lease.array.flags.writeable
    with pytest.raises(ValueError, match="is a view or an earlier array of slot 0"):
        pool.release(array)
    lease.release()
    view[1] = 1
    with pytest.raises(RuntimeError, match=rf"slot 0 .* written to after its release, at byte \d+ of {array.nbytes}"):
        pool.acquire()
    assert pool.statistics["in_use"] == 0
    pool.acquire().release()


def test_debug_with_zeros():
    pool = mlopt.ArrayPool(10, capacity=1, debug=True, zero_on_release=True)
    for _ in range(3):
        with pool.acquire() as lease:
            assert not lease.array.any()
            lease.array.fill(1)
    pool.trim()
    with pool.acquire() as lease:
        assert not lease.array.any()


def resident():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGESIZE")


@pytest.mark.no_sanitizer
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_memory_is_touched_lazily_and_trimmed():
    gc.collect()
    before = resident()
    pool = mlopt.matrix_pool()
    assert len(pool) == 1_000_000
    leases = [pool.acquire() for _ in range(100)]
    assert resident() - before < 16 << 20  # of 8 GB
    for lease in leases:
        lease.array.fill(1)
    leases += [pool.acquire() for _ in range(9900)]
    for lease in leases[:5000]:
        lease.array.fill(1)
    assert resident() - before > 30 << 20
    kept = leases.pop(2000)
    kept.array.fill(9)
    for lease in leases:
        lease.release()
    del leases, lease
    filled = resident()
    assert pool.trim() >= 9998 * 8192
    assert filled - resident() > 30 << 20
    assert (kept.array == 9).all()
    assert not pool.acquire().array.any()
    kept.release()
    pool.close()


def test_close():
    pool = mlopt.ArrayPool(1000, capacity=4, when_empty="wait")
    lease, other = pool.acquire(), pool.acquire()
    other.array.fill(4)
    kept = other.array
    other.release()
    with pytest.raises(ValueError, match="1 arrays of the pool are still leased"):
        pool.close()
    assert not pool.closed
    pool.acquire().release()
    lease.release()
    pool.close()
    pool.close()
    assert pool.closed
    for acquire in (pool.acquire, pool.try_acquire, lambda: pool.acquire(timeout=1)):
        with pytest.raises(ValueError, match="pool is closed"):
            acquire()
    assert pool.trim() == 0
    assert (kept == 4).all()
    assert pool.statistics["acquisitions"] == 3


def test_close_wakes_nobody_into_nothing():
    """Whoever waits holds nothing, but the pool is in use, so it cannot be closed."""
    pool = mlopt.ArrayPool(3, capacity=1, when_empty="wait")
    lease = pool.acquire()

    def wait():
        pool.acquire(timeout=TIMEOUT).release()

    def try_to_close():
        while pool.statistics["misses"] == 0:
            pass
        with pytest.raises(ValueError, match="still leased"):
            pool.close()
        lease.release()

    run_threads(wait, try_to_close)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"shape": -1}, ValueError, "negative dimension -1"),
        ({"shape": 2.5}, TypeError, "shape.*not float"),
        ({"shape": (1,) * 65}, ValueError, "65 dimensions"),
        ({"shape": 3, "dtype": object}, TypeError, "dtype object holds objects"),
        ({"shape": 3, "dtype": "S"}, TypeError, "no size"),
        ({"shape": 1 << 62}, ValueError, "overflows"),
        ({"shape": 1 << 50, "capacity": 1 << 20}, ValueError, "overflows"),
        ({"shape": 1 << 40, "capacity": 100}, MemoryError, "no address space for 100 arrays"),
        ({"shape": 3, "capacity": 0}, ValueError, "capacity=0 must be from 1 to 2147483648"),
        ({"shape": 3, "capacity": -1}, ValueError, "capacity=-1"),
        ({"shape": 3, "capacity": 1 << 70}, ValueError, "capacity"),
        ({"shape": 3, "capacity": 2.0}, TypeError, "capacity must be an integer, not float"),
        ({"shape": 3, "when_empty": "panic"}, ValueError, "when_empty='panic' must be one of 'raise', 'grow', 'wait'"),
        ({"shape": 3, "when_empty": None}, ValueError, "when_empty=None"),
    ],
)
def test_bad_arguments(arguments, error, message):
    with pytest.raises(error, match=message):
        mlopt.ArrayPool(**arguments)


def test_leases_are_not_made_by_hand_and_pools_not_pickled():
    with pytest.raises(TypeError, match=r"ArrayPool\.acquire"):
        Lease()
    empty = Lease.__new__(Lease)
    assert empty.released
    for use in (empty.release, lambda: empty.array):
        with pytest.raises(ValueError, match="the lease is of nothing"):
            use()
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(mlopt.ArrayPool(3))


@pytest.mark.parametrize(
    ("factory", "shape", "dtype", "capacity"),
    [
        (mlopt.matrix_pool, (32, 32), "f8", 1_000_000),
        (mlopt.batch_pool, (64, 128), "f4", 10_000),
        (mlopt.feature_pool, (128,), "f8", 100_000),
    ],
)
def test_factories(factory, shape, dtype, capacity):
    pool = factory()
    assert (pool.shape, pool.dtype, pool.capacity) == (shape, np.dtype(dtype), capacity)
    with pool.acquire() as lease:
        assert not lease.array.any()
    pool = factory(5, "i2", 1, when_empty="grow", zero_on_release=True)
    assert (pool.shape, pool.dtype, len(pool)) == ((5,), np.int16, 1)


def test_exact_capacity_is_usable_by_every_thread():
    """Slots that other threads, also ended ones, released last are found."""
    pool = mlopt.ArrayPool(8, "i8", 6)
    held = []

    def take_all():
        leases = [pool.acquire() for _ in range(6)]
        held.append({lease.slot for lease in leases})
        for lease in leases:
            lease.release()

    for _ in range(5):
        run_threads(take_all)
    assert held == [set(range(6))] * 5
    assert (pool.statistics["misses"], pool.statistics["in_use"]) == (0, 0)


@pytest.mark.parametrize("debug", [False, True])
def test_threads_never_share_an_array(debug):
    """Each thread holds one array at most, so nobody finds the pool empty although capacity is exact."""
    pool = mlopt.ArrayPool(50, "i8", 4, debug=debug)

    def work(mark):
        for _ in range(300):
            with pool.acquire() as lease:
                lease.array.fill(mark)
                assert (lease.array == mark).all()

    def trim():
        for _ in range(50):
            pool.trim()

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        run_threads(*[lambda mark=mark: work(mark) for mark in range(4)], trim)
    finally:
        sys.setswitchinterval(interval)
    assert pool.statistics["acquisitions"] == 1200
    assert pool.statistics["in_use"] == pool.statistics["misses"] == 0


def test_threads_without_the_gil():
    pool = mlopt.ArrayPool(8, capacity=3)
    run_threads(*[lambda: array_pool.time_acquire_release(pool, 100_000)] * 3)
    assert pool.statistics["acquisitions"] == 300_000
    assert pool.statistics["in_use"] == 0


def test_released_by_another_thread_goes_back_to_the_first():
    pool = mlopt.ArrayPool(8, capacity=1000)
    slots = set()
    for _ in range(50):
        lease = pool.acquire()
        slots.add(lease.slot)
        run_threads(lease.release)
    assert slots == {0}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_child_of_fork_has_a_pool_of_its_own():
    pool = mlopt.ArrayPool(8, capacity=2)
    lease = pool.acquire()
    lease.array.fill(1)
    child = os.fork()
    if child == 0:
        signal.alarm(TIMEOUT)
        lease.array.fill(2)
        with pool.acquire():
            pass
        os._exit(0 if pool.statistics["in_use"] == 1 else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert (lease.array == 1).all()
    assert pool.statistics["acquisitions"] == 1


@pytest.mark.no_sanitizer
def test_nothing_is_allocated():
    setup = "import mlopt; pool = mlopt.matrix_pool()"
    count = count_allocations("lease = pool.acquire(); lease.array; lease.release()", setup, iterations=10_000)
    if count.allocations is None:
        pytest.skip(count.reason)
    assert (count.allocations, count.allocations_with_objects) == (0, 0)
    count = count_allocations("with pool.acquire() as lease: lease.array", setup, iterations=10_000)
    assert count.allocations == 0


class Pools(RuleBasedStateMachine):
    """Any order of calls against a model: which leases are held, and what their arrays hold."""

    def __init__(self):
        super().__init__()
        self.pool = mlopt.ArrayPool(3, "i8", 3, when_empty="grow")
        self.held = {}
        self.released = []
        self.count = self.high = self.leaked = 0

    @rule()
    def acquire(self):
        lease = self.pool.acquire()
        self.count += 1
        lease.array.fill(self.count)
        self.held[self.count] = lease
        self.high = max(self.high, len(self.held))

    @precondition(lambda self: self.held)
    @rule(data=st.data(), how=st.sampled_from(["lease", "pool", "array", "with", "collect"]))
    def release(self, data, how):
        lease = self.held.pop(data.draw(st.sampled_from(sorted(self.held))))
        if how == "lease":
            lease.release()
        elif how == "pool":
            self.pool.release(lease)
        elif how == "array":
            self.pool.release(lease.array)
        elif how == "with":
            with lease:
                pass
        else:
            self.leaked += 1
            del lease
            return
        self.released.append(lease)

    @precondition(lambda self: self.released)
    @rule(data=st.data())
    def release_again(self, data):
        with pytest.raises(ValueError, match="released already"):
            data.draw(st.sampled_from(self.released)).release()

    @rule()
    def trim(self):
        self.pool.trim()

    @invariant()
    def arrays_hold_what_was_written(self):
        assert all((lease.array == mark).all() for mark, lease in self.held.items())
        assert len({lease.slot for lease in self.held.values()}) == len(self.held)

    @invariant()
    def statistics_are_exact(self):
        statistics = self.pool.statistics
        assert statistics["in_use"] == len(self.held)
        assert statistics["high_water"] == self.high
        assert statistics["acquisitions"] == self.count
        assert statistics["leaked"] == self.leaked
        assert statistics["capacity"] == len(self.pool) >= self.high

    def teardown(self):
        for lease in self.held.values():
            lease.release()
        self.pool.close()


TestPools = Pools.TestCase
TestPools.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
