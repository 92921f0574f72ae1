"""Reading the map that threads share."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable

import numpy as np

from mlopt.concurrent import ConcurrentMap
from mlopt.targets.contest import Contest, Options
from mlopt.targets.limits import l1_read
from mlopt.targets.map_loops import find_all
from mlopt.targets.measure import Batch
from mlopt.targets.result import Row

KEYS = 10_000


def reads(map: ConcurrentMap, keys: np.ndarray) -> Batch:
    """A batch of reads in C, one key at a time, around the keys."""

    def batch(count: int) -> float:
        rounds, rest = divmod(count, len(keys))
        start = time.perf_counter()
        find_all(map, keys, rounds)
        find_all(map, keys[:rest], 1)
        return time.perf_counter() - start

    return batch


def reads_at_once(map: ConcurrentMap, keys: np.ndarray) -> Batch:
    """A batch of reads by ``get_many`` of all the keys."""
    out = np.empty_like(keys)

    def batch(count: int) -> float:
        start = time.perf_counter()
        for _ in range(count // len(keys)):
            map.get_many(keys, out=out)
        map.get_many(keys[: count % len(keys)])
        return time.perf_counter() - start

    return batch


def gets(get: Callable[[int], object], keys: list[int]) -> Batch:
    """A batch of calls from Python around the keys."""

    def batch(count: int) -> float:
        chosen = itertools.islice(itertools.cycle(keys), count)
        start = time.perf_counter()
        for key in chosen:
            get(key)
        return time.perf_counter() - start

    return batch


def measure_map_read(row: Row, options: Options) -> None:
    """Reads of keys that are there, in random order: from Python beside a dictionary, and in C."""
    rng = np.random.default_rng(0)
    keys = rng.integers(-(2**63), 2**63 - 1, KEYS, dtype=np.int64)
    map, dictionary = ConcurrentMap(capacity=KEYS), {}
    for i, key in enumerate(keys.tolist()):
        map[key] = dictionary[key] = i
    order = rng.permutation(keys)
    if find_all(map, order, 1) != sum(dictionary.values()):
        raise ArithmeticError("the map does not have the values that were stored")
    contest = Contest(
        ours=gets(map.get, order.tolist()),
        peers={"dict.get": gets(dictionary.get, order.tolist())} if options.peers else {},
        variants={"in_c": reads(map, order), "get_many": reads_at_once(map, order)},
        limits=[l1_read()],
    )
    contest.fill(row, options.seconds)
    row.notes.append(
        f"{row.metrics['in_c'] * 1e9:.1f} ns a read in C without the GIL, entering and leaving a section each time; "
        f"{row.metrics['get_many'] * 1e9:.1f} ns in get_many; {map.nbytes} bytes for {KEYS} keys"
    )
