"""The map that threads share: against a dictionary, at the patterns that look like states, and while it grows."""

import os
import pickle
import struct
import sys
import threading
import warnings

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from mlopt.concurrent import ConcurrentMap
from mlopt.memory import pool_statistics
from mlopt.targets.map_loops import add_all, find_all

TIMEOUT = 120
LOW, HIGH = -(2**63), 2**63 - 1


def signed(word):
    return word - 2**64 if word >= 2**63 else word


# what lockfree/map_table.h flips: keys and values near these patterns are stored as states
KEY_FLIP, VALUE_FLIP, WINDOW = 0x9E6C63D0A5B8F4C2, 0x7FF6B80000000000, 2**42
SPECIAL_KEYS = [0, -1, 1, LOW, HIGH, *(signed(KEY_FLIP ^ i) for i in range(4))]
SPECIAL_VALUES = [
    0, -1, 1, LOW, HIGH, struct.unpack("q", struct.pack("d", -0.0))[0], struct.unpack("q", struct.pack("d", np.nan))[0],
    *(signed(VALUE_FLIP ^ word) for word in (0, 1, 2, 3, 4, 1 << 16, (1 << 16) + 1, 1 << 41, (1 << 41) + 66, WINDOW - 1,
                                             WINDOW)),
]  # fmt: skip


def run_threads(*functions):
    """Run each function in a thread of its own, all at once, and raise what one of them raised."""
    barrier = threading.Barrier(len(functions))
    errors = []

    def run(function):
        try:
            barrier.wait(TIMEOUT)
            function()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(function,), daemon=True) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(TIMEOUT)
    assert not any(thread.is_alive() for thread in threads)
    if errors:
        raise errors[0]


class Comparison(RuleBasedStateMachine):
    """The same calls on a map and a dictionary."""

    integers = st.integers(LOW, HIGH)
    any_key = (
        st.tuples(st.sampled_from(SPECIAL_KEYS), st.sampled_from([b"", b"\0", b"\0\0", b"a" * 16, b"a" * 17]))
        | st.tuples(st.integers(0, 300), st.integers(0, 300).map(b"%d".__mod__))
        | st.tuples(integers, st.binary(max_size=40))
    )
    any_value = st.sampled_from(SPECIAL_VALUES) | integers | st.integers(-3, 3)

    @initialize(kind=st.sampled_from(["int64", "bytes"]))
    def start(self, kind):
        self.map, self.expected, self.choice = ConcurrentMap(kind), {}, kind == "bytes"

    @rule(key=any_key, value=any_value)
    def put(self, key, value):
        self.map[key[self.choice]] = value
        self.expected[key[self.choice]] = value

    @rule(key=any_key, value=any_value)
    def insert(self, key, value):
        key = key[self.choice]
        assert self.map.insert(key, value) == (key not in self.expected)
        self.expected.setdefault(key, value)

    @rule(key=any_key, value=any_value)
    def setdefault(self, key, value):
        key = key[self.choice]
        assert self.map.setdefault(key, value) == self.expected.setdefault(key, value)

    @rule(key=any_key, value=any_value, right=st.booleans())
    def update_if(self, key, value, right):
        key = key[self.choice]
        expected = self.expected.get(key, 0) if right else value
        succeeds = self.expected.get(key) == expected
        assert self.map.update_if(key, expected, value) == succeeds
        if succeeds:
            self.expected[key] = value

    @rule(key=any_key, delta=any_value)
    def add(self, key, delta):
        key = key[self.choice]
        total = signed((self.expected.get(key, 0) + delta) % 2**64)
        assert self.map.add(key, delta) == total
        self.expected[key] = total

    @rule(key=any_key)
    def pop(self, key):
        key = key[self.choice]
        assert self.map.pop(key, None) == self.expected.pop(key, None)

    @rule(key=any_key)
    def delete(self, key):
        key = key[self.choice]
        if key in self.expected:
            del self.map[key], self.expected[key]
        else:
            with pytest.raises(KeyError):
                del self.map[key]

    @rule(key=any_key)
    def get(self, key):
        key = key[self.choice]
        assert self.map.get(key) == self.expected.get(key)
        assert (key in self.map) == (key in self.expected)

    @rule(start=st.integers(0, 300), value=any_value)
    def put_many(self, start, value):
        for i in range(start, start + 60):
            key = b"%d" % i if self.choice else i
            self.map[key] = self.expected[key] = value

    @rule()
    def clear(self):
        self.map.clear()
        self.expected.clear()

    @invariant()
    def same(self):
        if not hasattr(self, "map"):
            return
        items = self.map.items()
        assert len(items) == len(self.map) == len(self.expected)
        assert dict(items) == self.expected
        assert dict(zip(self.map.keys(), self.map.values(), strict=True)) == self.expected
        assert sorted(self.map) == sorted(self.expected)
        if not self.choice:
            keys, values = self.map.snapshot()
            assert dict(zip(keys.tolist(), values.tolist(), strict=True)) == self.expected


Comparison.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestComparison = Comparison.TestCase


@pytest.mark.parametrize("key", SPECIAL_KEYS)
@pytest.mark.parametrize("value", SPECIAL_VALUES)
def test_every_pattern_is_a_key_and_a_value(key, value):
    numbers = ConcurrentMap()
    assert key not in numbers
    assert numbers.insert(key, value)
    assert not numbers.insert(key, 5)
    numbers.update_if(key, value, value)
    for other in range(1000, 1200):  # grows, and takes the value along
        numbers[other] = other
    assert numbers[key] == value
    assert numbers.add(key, 1) == signed((value + 1) % 2**64)
    assert numbers.update_if(key, signed((value + 1) % 2**64), value)
    assert numbers.get_many(np.array([key, 5, key]), default=-7).tolist() == [value, -7, value]
    assert dict(numbers.items())[key] == value
    assert numbers.pop(key) == value
    assert key not in numbers
    assert len(numbers) == 200


def test_values_that_look_like_states_use_up_their_places():
    numbers = ConcurrentMap()
    size = numbers.nbytes
    values = [signed(VALUE_FLIP ^ (i * 977 % WINDOW)) for i in range(5000)]
    for i, value in enumerate(values):
        numbers[i % 7] = value
        assert numbers[i % 7] == value
    assert [numbers[i] for i in range(7)] == [values[max(range(i, 5000, 7))] for i in range(7)]
    assert numbers.nbytes == size


def test_bytes_of_any_length():
    keys = [b"", b"\0", b"\0\0", *(bytes([i]) * n for n in (1, 7, 8, 15, 16, 17, 31, 32, 33, 1000) for i in range(9)),
            b"x" * 1_000_000, b"x" * 999_999 + b"y"]  # fmt: skip
    keys = list(dict.fromkeys(keys))
    slots = ConcurrentMap("bytes")
    for i, key in enumerate(keys):
        assert slots.insert(key, i)
    assert slots.items() != []
    assert [slots[key] for key in keys] == list(range(len(keys)))
    assert sorted(slots.keys()) == sorted(keys)


@pytest.mark.parametrize("kind", ["int64", "bytes"])
def test_growth_keeps_every_key(kind):
    rng = np.random.default_rng(0)
    keys = rng.choice(10**9, 60_000, replace=False).tolist()
    if kind == "bytes":
        keys = [b"key %d" % key for key in keys]
    numbers = ConcurrentMap(kind)
    for i, key in enumerate(keys):
        numbers[key] = i
    assert [numbers[key] for key in keys] == list(range(len(keys)))
    for key in keys[::2]:
        del numbers[key]
    assert dict(numbers.items()) == {key: i for i, key in enumerate(keys) if i % 2}


def test_capacity_is_room():
    numbers = ConcurrentMap(capacity=1000)
    before = numbers.nbytes
    for i in range(1000):
        numbers[i] = i
    assert numbers.nbytes == before
    for i in range(1000, 5000):
        numbers[i] = i
    assert numbers.nbytes > before


def test_removed_keys_do_not_accumulate():
    numbers = ConcurrentMap(capacity=100)
    size = numbers.nbytes
    for i in range(50_000):
        numbers[i] = i
        if i >= 20:
            del numbers[i - 20]
    assert len(numbers) == 20
    assert numbers.nbytes == size


@pytest.mark.parametrize("kind", ["int64", "bytes"])
def test_memory_goes_back(kind):
    before = pool_statistics()["blocks_in_use"]
    numbers = ConcurrentMap(kind)
    for i in range(20_000):
        numbers[b"%d" % i if kind == "bytes" else i] = i if i % 9 else signed(VALUE_FLIP)
    for i in range(0, 20_000, 2):
        del numbers[b"%d" % i if kind == "bytes" else i]
    for i in range(20_000, 40_000):
        numbers[b"%d" % i if kind == "bytes" else i] = i
    assert pool_statistics()["blocks_in_use"] > before
    del numbers
    assert pool_statistics()["blocks_in_use"] == before


def test_outgrown_tables_are_freed():
    numbers = ConcurrentMap()
    for i in range(30_000):
        numbers[i] = i
    numbers.keys()  # completes what has begun
    alone = ConcurrentMap(capacity=30_000)
    assert numbers.nbytes == alone.nbytes


# ------------------------------------------------------------------------------------------------
# Threads


@pytest.mark.parametrize("threads", [2, 4])
def test_no_addition_is_lost_while_the_map_grows(threads):
    numbers = ConcurrentMap()
    rng = np.random.default_rng(threads)
    keys = [rng.permutation(np.arange(-3000, 3000)) for _ in range(threads)]
    run_threads(*(lambda mine=mine: add_all(numbers, mine, 5) for mine in keys))
    found, counts = numbers.snapshot()
    assert sorted(found) == list(range(-3000, 3000))
    assert set(counts.tolist()) == {5 * threads}
    assert len(numbers) == 6000


def test_readers_see_every_key_while_the_map_grows():
    numbers = ConcurrentMap()
    stable = np.concatenate([np.arange(500), np.array(SPECIAL_KEYS)])
    stable = np.unique(stable)
    expected = {}
    for i, key in enumerate(stable.tolist()):
        numbers[key] = expected[key] = SPECIAL_VALUES[i % len(SPECIAL_VALUES)]
    total = signed(sum(expected.values()) % 2**64)
    done = threading.Event()
    rounds = 0

    def grow():
        try:
            for start in range(1000, 400_000, 4000):
                add_all(numbers, np.arange(start, start + 4000), 1)
        finally:
            done.set()

    def read():
        nonlocal rounds
        while True:
            last = done.is_set()
            assert find_all(numbers, stable, 3) == signed(3 * total % 2**64)
            assert numbers.get_many(stable).tolist() == list(expected.values())
            rounds += 1
            if last:
                return

    run_threads(grow, read)
    assert rounds >= 2


def test_snapshot_has_every_stable_key_once():
    numbers = ConcurrentMap()
    stable = np.arange(2000) * 7
    add_all(numbers, stable, 1)
    done = threading.Event()

    def change():
        try:
            for start in range(100_000, 300_000, 2000):
                moving = np.arange(start, start + 2000)
                add_all(numbers, moving, 1)
                add_all(numbers, stable, 1)
                for key in moving[:500].tolist():
                    del numbers[key]
        finally:
            done.set()

    def look():
        previous = np.ones(len(stable), np.int64)
        while True:
            last = done.is_set()
            keys, values = numbers.snapshot()
            assert len(np.unique(keys)) == len(keys)
            order = np.argsort(keys)
            keys, values = keys[order], values[order]
            place = np.searchsorted(keys, stable)
            assert (keys[place] == stable).all()
            assert (values[place] >= previous).all()
            previous = values[place]
            if last:
                return

    run_threads(change, look)
    assert set(numbers.get_many(stable).tolist()) == {101}


def test_one_thread_wins():
    numbers, names = ConcurrentMap(), ConcurrentMap("bytes")
    inserted, popped, names_inserted = [], [], []

    def compete(self):
        for key in range(2000):
            if numbers.insert(key, self):
                inserted.append((key, self))
            if names.insert(b"%d" % key, self):
                names_inserted.append((b"%d" % key, self))
        popped.extend(key for key in range(2000) if numbers.pop(key + 10_000, None) is not None)

    add_all(numbers, np.arange(10_000, 12_000), 1)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        run_threads(*(lambda self=self: compete(self) for self in range(4)))
    finally:
        sys.setswitchinterval(interval)
    assert sorted(inserted) == sorted(numbers.items())
    assert sorted(names_inserted) == sorted(names.items())
    assert sorted(popped) == list(range(2000))


def test_threads_that_end_leave_nothing():
    numbers = ConcurrentMap()
    for start in range(0, 20_000, 200):
        run_threads(lambda start=start: add_all(numbers, np.arange(start, start + 200), 1))
    assert len(numbers) == 20_000
    numbers.keys()
    assert numbers.nbytes == ConcurrentMap(capacity=20_000).nbytes


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_child_process_goes_on():
    numbers = ConcurrentMap()
    add_all(numbers, np.arange(1000), 1)
    done = threading.Event()

    def read():
        while not done.is_set():
            find_all(numbers, np.arange(1000), 10)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of Python 3.12, that there are threads
            child = os.fork()
        if child == 0:
            status = 1
            try:
                for start in range(1000, 50_000, 1000):
                    add_all(numbers, np.arange(start, start + 1000), 1)
                numbers.keys()
                grown = numbers.nbytes == ConcurrentMap(capacity=50_000).nbytes  # no vanished reader holds memory
                status = 0 if grown and len(numbers) == 50_000 else 2
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    finally:
        done.set()
        reader.join(TIMEOUT)
    assert len(numbers) == 1000


# ------------------------------------------------------------------------------------------------
# Arguments


def test_get_many():
    numbers = ConcurrentMap()
    for i in range(100):
        numbers[i] = i * i
    keys = np.arange(-10, 190).reshape(2, 100)
    expected = np.where((keys >= 0) & (keys < 100), keys**2, -1)
    np.testing.assert_array_equal(numbers.get_many(keys, default=-1), expected)
    np.testing.assert_array_equal(numbers.get_many(keys[:, ::3], default=-1), expected[:, ::3])
    out = np.empty_like(keys)
    assert numbers.get_many(keys, -1, out) is out
    np.testing.assert_array_equal(out, expected)
    out = keys.copy()
    assert numbers.get_many(out, -1, out=out) is out
    np.testing.assert_array_equal(out, expected)
    shifted = np.arange(201)
    numbers.get_many(shifted[:-1], -1, out=shifted[1:])
    assert shifted.tolist() == [0, *(i * i for i in range(100)), *[-1] * 100]
    for count in range(20):
        assert numbers.get_many(np.arange(count)).tolist() == [i * i for i in range(count)]
    keys.flags.writeable = False
    numbers.get_many(keys)


def test_dictionary_errors():
    numbers, names = ConcurrentMap(), ConcurrentMap("bytes")
    for call in (lambda: numbers[5], lambda: numbers.pop(5), lambda: names[b"x"], lambda: numbers.__delitem__(5)):
        with pytest.raises(KeyError):
            call()
    assert numbers.pop(5, None) is None
    assert numbers.get(5, "nothing") == "nothing"
    numbers[np.int32(3)] = np.uint8(4)
    assert numbers[True + 2] == 4


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda m, n: ConcurrentMap("str"), ValueError, "key must be 'int64' or 'bytes', not 'str'"),
        (lambda m, n: ConcurrentMap(capacity=-1), ValueError, "capacity must be from 0"),
        (lambda m, n: ConcurrentMap(capacity=2**40), ValueError, "capacity must be from 0"),
        (lambda m, n: ConcurrentMap(capacity=1.5), TypeError, "capacity must be an integer, not float"),
        (lambda m, n: m[2**63], ValueError, r"key must be from -2\*\*63"),
        (lambda m, n: m.get(-(2**63) - 1), ValueError, "key must be from"),
        (lambda m, n: m["5"], TypeError, "key must be an integer, not str"),
        (lambda m, n: 5.0 in m, TypeError, "key must be an integer, not float"),
        (lambda m, n: m[b"5"], TypeError, "key must be an integer, not bytes"),
        (lambda m, n: n[5], TypeError, "key must be bytes, not int"),
        (lambda m, n: n.add("5"), TypeError, "key must be bytes, not str"),
        (lambda m, n: m.__setitem__(5, 2**63), ValueError, "value must be from"),
        (lambda m, n: m.__setitem__(5, "x"), TypeError, "value must be an integer, not str"),
        (lambda m, n: m.insert(5, None), TypeError, "value must be an integer, not NoneType"),
        (lambda m, n: m.setdefault(5, None), TypeError, "value must be"),
        (lambda m, n: m.update_if(5, 2**64, 0), ValueError, "expected must be"),
        (lambda m, n: m.add(5, 1e3), TypeError, "delta must be an integer, not float"),
        (lambda m, n: n.snapshot(), TypeError, "snapshot needs a map with int64 keys"),
        (lambda m, n: n.get_many(np.arange(3)), TypeError, "get_many needs a map with int64 keys"),
        (lambda m, n: m.get_many([1, 2]), TypeError, "keys must be an array of int64, not list"),
        (lambda m, n: m.get_many(np.arange(3.0)), TypeError, "keys must be an array of int64, not float64"),
        (lambda m, n: m.get_many(np.arange(3), "x"), TypeError, "default must be"),
        (lambda m, n: m.get_many(np.arange(3), out=np.empty(4, np.int64)), ValueError, r"of shape \(3,\)"),
        (lambda m, n: m.get_many(np.arange(3), out=np.empty(6, np.int64)[::2]), ValueError, "C-contiguous"),
        (lambda m, n: m.get_many(np.arange(3), out=np.empty(3)), TypeError, "out must be an array of int64, not f"),
        (lambda m, n: pickle.dumps(m), TypeError, "cannot be pickled"),
    ],
)  # fmt: skip
def test_bad_arguments(call, error, message):
    numbers, names = ConcurrentMap(), ConcurrentMap("bytes")
    with pytest.raises(error, match=message):
        call(numbers, names)
    assert len(numbers) == len(names) == 0


def test_no_memory_leaves_the_map_as_it_is():
    with pytest.raises(MemoryError):
        ConcurrentMap(capacity=2**36)


def test_properties():
    names = ConcurrentMap("bytes", capacity=10)
    names[b"a"] = 1
    assert (names.key_type, ConcurrentMap().key_type) == ("bytes", "int64")
    assert repr(names) == "<ConcurrentMap of 1 bytes keys>"
    assert names
    assert not ConcurrentMap()
