import gc
import multiprocessing
import os
import pickle
import sys
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlopt.concurrent import Counter, Gauge
from mlopt.concurrent.counters import thread_indices_in_use
from mlopt.memory import pool_statistics
from mlopt.targets.counter_loops import time_cell_add, time_counter_add

MORE_THAN_INDICES = 256 + 10


@given(st.lists(st.integers(0, 2**63 - 1)))
def test_value_is_the_sum(amounts):
    counter = Counter()
    for amount in amounts:
        counter.increment(amount)
    assert counter.value == sum(amounts) % 2**64


def test_increment_is_one_unless_said():
    counter = Counter("orders_total", "Orders sent", {"symbol": "SPX"})
    assert counter.increment() is None
    counter.increment(0)
    counter.increment(n=True)
    assert counter.value == 2
    assert (counter.name, counter.help, counter.labels) == ("orders_total", "Orders sent", {"symbol": "SPX"})
    assert repr(counter) == 'Counter(orders_total{symbol="SPX"} 2)'
    counter.labels["symbol"] = "NDX"
    assert counter.labels == {"symbol": "SPX"}


@pytest.mark.parametrize(
    ("amount", "error", "text"),
    [
        (-1, ValueError, "n must be at least 0, not -1"),
        (1.0, TypeError, "float"),
        ("1", TypeError, "str"),
        (None, TypeError, "NoneType"),
        (2**63, OverflowError, "too large"),
    ],
)
def test_what_is_no_count_counts_nothing(amount, error, text):
    counter = Counter()
    with pytest.raises(error, match=text):
        counter.increment(amount)
    assert counter.value == 0


@pytest.mark.parametrize("kind", [Counter, Gauge])
def test_descriptions_are_strings(kind):
    for arguments, text in (
        ({"name": 3}, "name must be a string, not int"),
        ({"help": None}, "help must be a string, not NoneType"),
        ({"labels": {"a": 1}}, "labels must map strings to strings, not 'a' to 1"),
    ):
        with pytest.raises(TypeError, match=text):
            kind(**arguments)
    with pytest.raises(TypeError, match=f"a {kind.__name__} cannot be pickled"):
        pickle.dumps(kind())


def test_threads_lose_nothing(run_threads):
    counter, gauge = Counter(), Gauge()

    def work():
        for _ in range(2000):
            counter.increment()
            gauge.add(1)
        time_counter_add(counter, 300_000)  # without the GIL
        time_cell_add(counter, 300_000)

    run_threads(*[work] * 4)
    assert counter.value == 4 * 602_000
    assert gauge.value == 8000


def test_reads_of_one_thread_are_in_order(run_threads):
    counter = Counter()

    def write():
        time_counter_add(counter, 3_000_000)

    def read():
        last = 0
        while last < 6_000_000:
            value = counter.value
            assert value >= last
            last = value

    run_threads(write, write, read)


def test_threads_that_come_and_go_leave_their_counts(run_threads):
    counter = Counter()
    before = thread_indices_in_use()
    for _ in range(100):
        run_threads(*[counter.increment] * 3)
    assert counter.value == 300
    assert thread_indices_in_use() <= before + 6  # a thread that was joined may still be on its way out


def test_more_threads_than_indices_share():
    counter = Counter()
    all_there, done = threading.Barrier(MORE_THAN_INDICES), threading.Barrier(MORE_THAN_INDICES)
    indices = []

    def work():
        counter.increment()
        all_there.wait(60)
        counter.increment(10)
        indices.append(thread_indices_in_use())
        done.wait(60)

    threads = [threading.Thread(target=work, daemon=True) for _ in range(MORE_THAN_INDICES)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert counter.value == 11 * MORE_THAN_INDICES
    assert max(indices) == 256


def test_memory_goes_back_to_the_pool(run_threads):
    gc.collect()
    before = pool_statistics()["blocks_in_use"]
    counter, gauge = Counter(), Gauge()
    run_threads(*[counter.increment] * 12)
    assert pool_statistics()["blocks_in_use"] > before
    del counter, gauge
    gc.collect()
    assert pool_statistics()["blocks_in_use"] == before


def _count_in_child(counter, connection):
    counter.increment(5)
    threads = [threading.Thread(target=counter.increment) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    connection.send((counter.value, thread_indices_in_use()))


@pytest.mark.no_sanitizer
@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork here")
@pytest.mark.skipif(sys.version_info >= (3, 12), reason="a fork beside threads warns")
def test_a_forked_child_goes_on_for_itself():
    counter = Counter()
    counter.increment(100)
    release, holding = threading.Event(), threading.Barrier(9)

    def hold():
        counter.increment()
        holding.wait(30)
        release.wait(60)

    threads = [threading.Thread(target=hold, daemon=True) for _ in range(8)]
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    child = context.Process(target=_count_in_child, args=(counter, theirs))
    try:
        for thread in threads:
            thread.start()
        holding.wait(30)
        child.start()
        assert ours.poll(60)
        value, indices = ours.recv()
        child.join(60)
    finally:
        release.set()
        for thread in threads:
            thread.join(60)
        if child.is_alive():
            os.kill(child.pid, 9)
    assert value == 100 + 8 + 5 + 3
    assert indices <= 4  # those of the parent's threads are free in the child
    assert counter.value == 108


def test_gauge():
    gauge = Gauge("depth", "Records waiting")
    assert gauge.value == 0
    gauge.set(2.5)
    gauge.add(-4)
    assert gauge.value == -1.5
    gauge.set(float("inf"))
    assert gauge.value == float("inf")
    assert repr(gauge) == "Gauge(depth inf)"
    with pytest.raises(TypeError):
        gauge.set("3")
    with pytest.raises(TypeError):
        gauge.add(None)
    assert gauge.value == float("inf")


def test_gauge_of_a_function():
    values = [1, 2, 3]
    gauge = Gauge("length", function=lambda: len(values))
    assert gauge.value == 3.0
    assert type(gauge.value) is float
    values.pop()
    assert gauge.value == 2.0
    for change in (gauge.set, gauge.add):
        with pytest.raises(TypeError, match="this gauge reads a function"):
            change(1)
    with pytest.raises(TypeError, match="function must be callable, not int"):
        Gauge(function=3)
    with pytest.raises(ZeroDivisionError):
        _ = Gauge(function=lambda: 1 / 0).value
