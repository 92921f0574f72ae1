"""What threads share: maps, counters, gauges, histograms, and their registry."""

import itertools
import threading

import numpy as np

from .common import attribute

LOOP = 100_000


class MapReads:
    """Reads of a ConcurrentMap in C, in random order, beside a dictionary from Python."""

    params = ([100, 10_000, 1_000_000],)
    param_names = ("keys",)

    def setup(self, keys):
        self.find_all = attribute("targets.map_loops.find_all")
        self.map = attribute("concurrent.ConcurrentMap")(capacity=keys)
        rng = np.random.default_rng(0)
        drawn = rng.integers(-(2**63), 2**63 - 1, keys, dtype=np.int64)
        for key in drawn.tolist():
            self.map[key] = key
        self.order = rng.permutation(drawn)[:10_000]
        self.some = self.order[:1000].tolist()
        self.dictionary = dict.fromkeys(drawn.tolist(), 0)
        self.out = np.empty_like(self.order)

    def time_in_c(self, keys):
        self.find_all(self.map, self.order, 1)

    def time_get_many(self, keys):
        self.map.get_many(self.order, 0, self.out)

    def time_thousand_gets(self, keys):
        get = self.map.get
        for key in self.some:
            get(key)

    def time_thousand_gets_of_dict(self, keys):
        get = self.dictionary.get
        for key in self.some:
            get(key)


class MapChanges:
    """Additions in C to keys that are there, and growth from nothing."""

    params = ([10_000, 1_000_000],)
    param_names = ("keys",)

    def setup(self, keys):
        self.add_all = attribute("targets.map_loops.add_all")
        self.make = attribute("concurrent.ConcurrentMap")
        self.keys = np.random.default_rng(0).permutation(np.arange(keys))
        self.map = self.make()
        self.add_all(self.map, self.keys, 1)

    def time_add(self, keys):
        self.add_all(self.map, self.keys, 1)

    def time_grow(self, keys):
        self.add_all(self.make(), self.keys, 1)


class Counting:
    """One addition or recording, timed in a loop in C without the GIL."""

    def setup(self):
        self.counter, self.histogram = attribute("concurrent.Counter")(), attribute("concurrent.Histogram")()
        self.loops = {
            name: attribute(f"targets.counter_loops.time_{name}")
            for name in ("counter_add", "cell_add", "histogram_record")
        }

    def best(self, name, metric):
        return min(self.loops[name](metric, LOOP) for _ in range(20)) / LOOP

    def track_counter_add(self):
        return self.best("counter_add", self.counter)

    def track_cell_add(self):
        return self.best("cell_add", self.counter)

    def track_histogram_record(self):
        return self.best("histogram_record", self.histogram)

    def track_two_threads_add(self):
        """Both add to one counter; the slower one's time."""
        worst = []

        def work(together):
            together.wait()
            worst.append(self.best("counter_add", self.counter))

        together = threading.Barrier(2)
        threads = [threading.Thread(target=work, args=(together,)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return max(worst)

    track_counter_add.unit = track_cell_add.unit = track_histogram_record.unit = track_two_threads_add.unit = "ns"


class CountingFromPython:
    """The same from Python, beside a counter that needs the GIL."""

    def setup(self):
        self.increment = attribute("concurrent.Counter")().increment
        gauge = attribute("concurrent.Gauge")()
        self.set, self.add = gauge.set, gauge.add
        histogram = attribute("concurrent.Histogram")()
        self.record, self.record_since = histogram.record, histogram.record_since
        self.count = itertools.count().__next__

    def time_counter_increment(self):
        self.increment()

    def time_gauge_set(self):
        self.set(1.5)

    def time_gauge_add(self):
        self.add(1.5)

    def time_histogram_record(self):
        self.record(1000)

    def time_histogram_record_since(self):
        self.record_since(0)

    def time_itertools_count(self):
        self.count()


class Collecting:
    """Reading a registry of 100 counters and 10 histograms."""

    def setup(self):
        self.metrics = attribute("concurrent.MetricsRegistry")()
        orders = self.metrics.counter("orders_total", "Orders", ["symbol"])
        latency = self.metrics.histogram("latency_seconds", "Latency", ["stage"], unit="seconds", quantiles=[0.5, 0.99])
        for i in range(100):
            orders.labels(i).increment()
        for i in range(10):
            for value in range(1, 100_000, 100):
                latency.labels(i).record(value)

    def time_collect(self):
        self.metrics.collect()
