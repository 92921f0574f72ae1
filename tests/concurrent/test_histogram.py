import json
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlopt.concurrent import Histogram, now
from mlopt.targets.counter_loops import time_histogram_record

values_of_any_size = st.lists(
    st.integers(0, 62).flatmap(lambda power: st.integers(0, 2**power)) | st.integers(0, 2**63 - 1), min_size=1
)
bits_allowed = st.integers(1, 12)


def filled(values, bits=7):
    histogram = Histogram(bits)
    for value in values:
        histogram.record(value)
    return histogram


@given(values_of_any_size, bits_allowed, st.floats(0, 1))
def test_quantile_is_numpys_within_the_stated_error(values, bits, q):
    exact = float(np.quantile(np.array(values, np.int64), q, method="inverted_cdf"))
    found = filled(values, bits).quantile(q)
    assert abs(found - exact) <= exact * Histogram(bits).relative_error * (1 + 1e-12)


@given(st.lists(st.integers(0, 255), min_size=1), st.floats(0, 1))
def test_small_values_are_exact(values, q):
    assert filled(values).quantile(q) == np.quantile(values, q, method="inverted_cdf")


@given(values_of_any_size, bits_allowed)
def test_summary_is_exact_and_cells_hold_every_value(values, bits):
    histogram = filled(values, bits)
    start, width, count = histogram.cells()
    assert (histogram.count, histogram.min, histogram.max) == (len(values), min(values), max(values))
    assert histogram.mean == pytest.approx(sum(values) / len(values))
    assert count.sum() == len(values)
    assert (np.diff(start) >= width[:-1]).all()
    for value in values:
        cell = np.searchsorted(start, value, side="right") - 1
        assert 0 <= value - int(start[cell]) < width[cell]
        assert width[cell] == 1 or width[cell] <= start[cell] * 2.0**-bits


@given(values_of_any_size, values_of_any_size)
def test_merge_is_the_histogram_of_both(left, right):
    merged = filled(left)
    merged.merge(filled(right))
    both = filled(left + right)
    assert merged.mean == pytest.approx(both.mean)
    assert merged.to_dict() | {"total": 0} == both.to_dict() | {"total": 0}


@given(values_of_any_size, bits_allowed)
def test_dictionary_and_pickle_bring_it_back(values, bits):
    histogram = filled(values, bits)
    state = json.loads(json.dumps(histogram.to_dict()))
    assert Histogram.from_dict(state).to_dict() == state
    assert pickle.loads(pickle.dumps(histogram)).to_dict() == state


def test_empty():
    histogram = Histogram()
    assert histogram.count == 0
    assert Histogram.from_dict(histogram.to_dict()).count == 0
    assert "empty" in repr(histogram)
    for ask in (lambda: histogram.min, lambda: histogram.max, lambda: histogram.mean, lambda: histogram.quantile(0.5)):
        with pytest.raises(ValueError, match="without values"):
            ask()


def test_record_all_counts_strided_arrays_and_writes_nothing_where_one_is_bad():
    values = np.arange(1000, dtype=np.int64)
    histogram = Histogram()
    histogram.record_all(values[::3])
    assert histogram.to_dict() == filled(range(0, 1000, 3)).to_dict()
    values[999] = -1
    with pytest.raises(ValueError, match=r"values\[999\] is -1"):
        histogram.record_all(values)
    assert histogram.count == 334


def test_repeated_count_and_clear():
    histogram = Histogram()
    histogram.record(10, 99)
    histogram.record(20)
    assert (histogram.quantile(0.99), histogram.quantile(1), histogram.count) == (10, 20, 100)
    histogram.clear()
    assert histogram.to_dict() == Histogram().to_dict()


def test_record_since_chains_stages():
    first, second = Histogram(), Histogram()
    start = now()
    end = second.record_since(first.record_since(start))
    assert end >= start
    assert first.max + second.max <= end - start
    first.record_since(now() + 10**12)  # a start that lies ahead counts as no time
    assert first.min == 0


@pytest.mark.parametrize("bits", [0, 13, -1])
def test_bits_out_of_range(bits):
    with pytest.raises(ValueError, match="bits must be from 1 to 12"):
        Histogram(bits)


def test_bad_arguments_record_nothing():
    histogram = Histogram()
    with pytest.raises(ValueError, match="value must be at least 0, not -5"):
        histogram.record(-5)
    with pytest.raises(ValueError, match="count must be at least 1, not 0"):
        histogram.record(5, 0)
    with pytest.raises(TypeError):
        histogram.record(0.5)
    with pytest.raises(ValueError, match="q must be from 0 to 1"):
        histogram.quantile(float("nan"))
    with pytest.raises(ValueError, match="bits=7, not 5"):
        histogram.merge(Histogram(5))
    assert histogram.count == 0


@pytest.mark.parametrize(
    "change",
    [
        {"schema": "other"}, {"bits": 99}, {"cells": None}, {"cells": [1]}, {"cells": [3, 3]}, {"cells": [3, 10**6]},
        {"counts": [0, 3]}, {"count": 5}, {"min": -3}, {"max": 10**6}, {"total": "x"}, {"min": None},
    ],
)  # fmt: skip
def test_malformed_dictionaries(change):
    state = filled([3, 3, 3, 9]).to_dict()
    with pytest.raises(ValueError):
        Histogram.from_dict(state | change)
    with pytest.raises(ValueError):
        Histogram.from_dict({key: value for key, value in state.items() if key not in change})


def test_recording_allocates_nothing():
    import tracemalloc

    histogram = Histogram()
    start = now()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(1000):
            start = histogram.record_since(start)
        after = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert after - before < 200  # the loop's own two numbers


def test_threads_lose_nothing(run_threads):
    histogram, counted_at_once = Histogram(3), 20_000

    def work(first):
        for value in range(first, 2000, 4):
            histogram.record(value, 2)
        time_histogram_record(histogram, counted_at_once)  # without the GIL

    run_threads(*[lambda first=first: work(first) for first in range(4)])
    wanted = Histogram(3)
    for value in range(2000):
        wanted.record(value, 2)
    for i in range(64):
        wanted.record(1000 + i, 4 * (counted_at_once // 64 + (i < counted_at_once % 64)))
    assert histogram.to_dict() == wanted.to_dict()
    assert (histogram.count, histogram.min, histogram.max) == (4000 + 4 * counted_at_once, 0, 1999)
    assert histogram.total == wanted.total


def test_readers_see_whole_histograms_that_grow(run_threads):
    histogram, per_thread = Histogram(), 1_000_000

    def record():
        time_histogram_record(histogram, per_thread)

    def read():
        last = 0
        while last < 2 * per_thread:
            state = histogram.to_dict()
            assert state["count"] == sum(state["counts"]) >= last
            last = state["count"]
            if last:
                assert 1000 <= state["min"] <= state["max"] < 1064
                assert 1000 * last <= state["total"] <= 1064 * 2 * per_thread
                assert 1000 <= histogram.quantile(0.5) < 1064
                assert Histogram.from_dict(state).count == last

    run_threads(record, record, read)
    assert histogram.count == 2 * per_thread


def test_clearing_while_others_record(run_threads):
    histogram, per_thread, rounds = Histogram(), 200_000, 50
    cleared = 0

    def record():
        for _ in range(5):
            time_histogram_record(histogram, per_thread // 5)

    def clear():
        nonlocal cleared
        for _ in range(rounds):
            state = histogram.snapshot()
            assert state.count <= 2 * per_thread
            if state.count:
                assert state.total >= 1000 * state.count
                assert 1000 <= state.min <= state.max < 1064
            histogram.clear()
            cleared += 1

    run_threads(record, record, clear)
    assert cleared == rounds
    histogram.clear()
    assert histogram.to_dict() == Histogram().to_dict()
    run_threads(record)
    assert histogram.count == per_thread


def test_threads_that_are_gone_are_merged_and_copied(run_threads):
    values = [3, 70_000, 5, 2**62, 11]
    histogram, other = Histogram(), Histogram()
    run_threads(*[lambda value=value: histogram.record(value) for value in values])
    run_threads(*[lambda value=value: other.record(value, 10) for value in values])
    copy = histogram.snapshot()
    assert copy.to_dict() == histogram.to_dict() == filled(values).to_dict()
    histogram.merge(other)
    assert histogram.count == 11 * len(values)
    assert copy.count == len(values)
    histogram.merge(histogram)
    assert histogram.count == 22 * len(values)
    assert (histogram.min, histogram.max) == (3, 2**62)
