"""What threads share."""

import numpy as np

from .common import attribute


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
