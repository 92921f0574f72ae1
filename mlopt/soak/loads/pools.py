"""Pools of arrays with more demand than slots, by every policy."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mlopt.memory import ArrayPool, PoolEmpty
from mlopt.soak.loads.base import Load, Setting

THREADS = 3
SHAPE = (8, 16)
CAPACITY = 24
MOST_HELD = 16  # more than a thread's share
BATCH = 100
GROWN = 4 * CAPACITY


class Pools(Load):
    """Threads that take as many arrays as they can get, mark them, look again, and give them back."""

    name = "pools"
    title = "pools that wait, raise and grow, in debug mode and without, with more demand than slots on three threads"

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self._records, self._empty, self._wrong = [0] * THREADS, [0] * THREADS, [0] * THREADS
        self._lost = 0
        self._pools = {
            "wait": ArrayPool(SHAPE, np.float64, CAPACITY, when_empty="wait"),
            "raise": ArrayPool(SHAPE, np.float32, CAPACITY, debug=True),
            "zero": ArrayPool(SHAPE, np.float64, CAPACITY, zero_on_release=True),
            "grow": ArrayPool(SHAPE, np.float64, CAPACITY, when_empty="grow"),
        }

    def start(self) -> None:
        """Start the threads."""
        for place in range(THREADS):
            self.spawn(f"pools {place}", lambda place=place: self._work(place))  # type: ignore[misc]

    def _work(self, place: int) -> None:
        rng = np.random.default_rng([self.setting.seed, place])
        names = list(self._pools)
        while not self.stopping.is_set():
            name = names[int(rng.integers(len(names)))]
            for count in rng.integers(1, MOST_HELD, BATCH).tolist():
                self._round(place, name, count)
            self._records[place] += BATCH

    def _round(self, place: int, name: str, count: int) -> None:
        """Take `count` arrays or what there is of them, and give them back."""
        pool = self._pools[name]
        leases = []
        try:
            for i in range(count):
                lease = pool.acquire(timeout=0.01) if name == "wait" else pool.acquire()
                leases.append(lease)
                array = lease.array
                if name == "zero" and array.any():
                    self._differs(place, f"an array that should be zero is {array.ravel()[:4]}")
                array.fill(1000 * place + i)
        except (PoolEmpty, TimeoutError):
            self._empty[place] += 1
        for i, lease in enumerate(leases):
            if not (lease.array == 1000 * place + i).all():
                self._differs(place, f"an array of pool {name!r} marked {1000 * place + i} is {lease.array[0, :4]}")
            if i % 2:
                lease.release()
            else:
                pool.release(lease)

    def _differs(self, place: int, text: str) -> None:
        self._wrong[place] += 1
        self.note(text)

    def finish(self) -> None:
        """Everything must have come back."""
        for name, pool in self._pools.items():
            statistics = pool.statistics
            self._lost += statistics["in_use"]
            if statistics["in_use"]:
                self.note(f"pool {name!r} still has {statistics['in_use']} arrays in use")
            most = GROWN if name == "grow" else CAPACITY
            if statistics["capacity"] > most or statistics["high_water"] > most:
                self.error(f"pool {name!r}: {statistics}, but no more than {most} arrays were ever held")
            pool.close()

    def work_done(self) -> Mapping[str, int]:
        """Rounds, rounds that found the pool empty, marks that were wrong, arrays that did not come back."""
        return {
            "records": sum(self._records),
            "empty": sum(self._empty),
            "wrong": sum(self._wrong),
            "lost": self._lost,
        }
