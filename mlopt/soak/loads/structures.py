"""Maps, counters, gauges and histograms, hammered by threads that come and go; totals compared while it is quiet."""

from __future__ import annotations

import itertools
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from mlopt.concurrent import ConcurrentMap, Counter, Gauge, Histogram, MetricsRegistry
from mlopt.soak.loads.base import Load, Setting

THREADS = 3
ROUND_SECONDS = 0.4  # that threads live
SHARED = 64  # keys that all threads add to
OWN = 20_000  # keys that one thread puts in and takes out
BATCH = 256


class _Round:
    """What the threads of a round did, each in a place of its own."""

    def __init__(self) -> None:
        self.sums = np.zeros((THREADS, SHARED), np.int64)
        self.own: list[dict[int, int]] = [{} for _ in range(THREADS)]
        self.records = [0] * THREADS


class Structures(Load):
    """Rounds of threads; after each, every total is exact and every key has its value."""

    name = "structures"
    title = "maps, counters, gauges, histograms on threads that come and go, with a reader; totals after every round"

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self._counts = dict.fromkeys(("records", "rounds", "wrong"), 0)
        self._map, self._names = ConcurrentMap(), ConcurrentMap("bytes")
        self._counter, self._gauge, self._histogram = Counter("records"), Gauge("sum"), Histogram()
        self._registry = MetricsRegistry()
        self._labelled = self._registry.counter("soak_records", "records by thread", labels=("thread",))
        self._sums = np.zeros(SHARED, np.int64)

    def start(self) -> None:
        """Start who starts the threads."""
        self.spawn("rounds", self._run)

    def _run(self) -> None:
        for number in itertools.count():
            if self.stopping.is_set():
                return
            stop, this = threading.Event(), _Round()
            bodies = [partial(self._write, place, number, this, stop) for place in range(THREADS)]
            bodies.append(partial(self._read, stop))
            threads = [threading.Thread(target=self._guarded, args=(body,)) for body in bodies]
            for thread in threads:
                thread.start()
            self.stopping.wait(ROUND_SECONDS)
            stop.set()
            for thread in threads:
                thread.join(30)
                if thread.is_alive():
                    self.error("a thread of a round did not stop within 30 s")
                    return
            self._compare(this)

    def _guarded(self, body: Callable[[], None]) -> None:
        try:
            body()
        except Exception as error:
            self.error(f"{type(error).__name__}: {error}\n{traceback.format_exc(limit=-4)}")

    def _write(self, place: int, number: int, this: _Round, stop: threading.Event) -> None:
        rng = np.random.default_rng([self.setting.seed, number, place])
        shared, names, sums, own = self._map, self._names, this.sums[place], this.own[place]
        base = (place + 1) << 32
        child = self._labelled.labels(thread=str(place))
        while not stop.is_set():
            keys = rng.integers(SHARED, size=BATCH)
            for key in keys.tolist():
                shared.add(key - SHARED // 2, key + 1)
                names.add(b"name %d" % key, 1)
                self._histogram.record(key)
                self._counter.increment()
                self._gauge.add(1.0)
            np.add.at(sums, keys, 1)
            for key in (base + rng.integers(OWN, size=BATCH)).tolist():
                if key in own:
                    if shared.pop(key) != own.pop(key):
                        self._differs(f"key {key} had another value than it was given")
                else:
                    own[key] = ~key * 3
                    if not shared.insert(key, ~key * 3):
                        self._differs(f"key {key} was there before it was put in")
            child.increment(BATCH)
            this.records[place] += 2 * BATCH
        for key, value in own.items():
            if shared.get(key) != value:
                self._differs(f"key {key} has value {shared.get(key)}, not {value}")
            del shared[key]

    def _read(self, stop: threading.Event) -> None:
        """What a reader sees of keys that are there all along: every one, once, at values that only rise."""
        seen = dict.fromkeys(range(-SHARED // 2, SHARED // 2), 0)
        counted = 0
        while not stop.is_set():
            pairs = [(key, value) for key, value in self._map.items() if abs(key) <= SHARED]  # type: ignore[arg-type]
            found = dict(pairs)
            if len(found) != len(pairs):
                self._differs("a snapshot had a key twice")
            for key, before in seen.items():
                value = found.get(key, 0)
                if value < before:
                    self._differs(f"key {key} fell from {before} to {value}")
                seen[key] = value
            if self._counter.value < counted:
                self._differs(f"the counter fell from {counted} to {self._counter.value}")
            counted = self._counter.value
            self._registry.collect()
            time.sleep(0.002)

    def _differs(self, text: str) -> None:
        with self._lock:
            self._counts["wrong"] += 1
            self.note(text)

    def _compare(self, this: _Round) -> None:
        self._sums += this.sums.sum(axis=0)
        total = int(self._sums.sum())
        expected = {key - SHARED // 2: int((key + 1) * n) for key, n in enumerate(self._sums) if n}
        if dict(self._map.items()) != expected:
            self._differs("the map of int64 keys is not what was added up")
        named = {b"name %d" % key: int(n) for key, n in enumerate(self._sums) if n}
        if dict(self._names.items()) != named:
            self._differs("the map of bytes keys is not what was added up")
        starts, _, counts = self._histogram.cells()
        if counts.tolist() != [int(n) for n in self._sums if n] or starts[0] != np.flatnonzero(self._sums)[0]:
            self._differs("the histogram is not what was recorded")
        for name, value in (
            ("counter", self._counter.value),
            ("gauge", int(self._gauge.value)),
            ("histogram", self._histogram.count),
        ):
            if value != total:
                self._differs(f"the {name} has {value}, not {total}")
        self._counts["records"] += sum(this.records)
        self._counts["rounds"] += 1

    def work_done(self) -> Mapping[str, int]:
        """Operations, rounds, what differed."""
        return dict(self._counts)
