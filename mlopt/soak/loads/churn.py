"""Aligned arrays that are taken, filled, handed over and given back by several threads."""

from __future__ import annotations

import queue
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

import mlopt
from mlopt.soak.loads.base import Load, Setting

THREADS = 3
HELD = 24
BATCH = 200
LARGEST = 16.0  # binary logarithm of the bytes, but for one block in LARGE_EVERY
LARGE_EVERY, LARGE = 100, 3 << 20


class Churn(Load):
    """Blocks of many sizes of the slab pool, each with a mark that must still stand when it is given back."""

    name = "churn"
    title = "aligned arrays of 64 B to 3 MiB on three threads, passed between them, the pool trimmed now and then"

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self._records, self._wrong = [0] * THREADS, [0] * THREADS
        self._passed: queue.Queue[tuple[NDArray[np.uint8], int]] = queue.Queue(32)
        self._trims = 0

    def start(self) -> None:
        """Start the threads."""
        for place in range(THREADS):
            self.spawn(f"churn {place}", lambda place=place: self._churn(place))  # type: ignore[misc]

    def _check(self, place: int, array: NDArray[np.uint8], mark: int) -> None:
        if array[0] != mark or array[-1] != mark or array.ctypes.data % 64:
            self._wrong[place] += 1
            self.note(f"a block of {array.nbytes} bytes with mark {mark} had {array[0]} and {array[-1]}")

    def _churn(self, place: int) -> None:
        rng = np.random.default_rng([self.setting.seed, place])
        held: list[tuple[NDArray[np.uint8], int] | None] = [None] * HELD
        while not self.stopping.is_set():
            random = (2 ** rng.uniform(6, LARGEST, BATCH)).astype(int)
            random[::LARGE_EVERY] = rng.integers(LARGE // 4, LARGE, BATCH // LARGE_EVERY)
            sizes = random.tolist()
            for size, at, action in zip(sizes, *rng.integers([[HELD], [8]], size=(2, BATCH)).tolist(), strict=True):
                mark = (size + at + place) % 251
                entry = held[at]
                if entry is not None:
                    self._check(place, *entry)
                    if action == 0:
                        try:
                            self._passed.put_nowait(entry)
                            entry = self._passed.get_nowait()
                            self._check(place, *entry)
                        except (queue.Full, queue.Empty):
                            pass
                array = mlopt.empty_aligned(size, np.uint8)
                array[0] = array[-1] = mark
                held[at] = array, mark
            self._records[place] += BATCH
            if place == 0 and self._records[0] % (200 * BATCH) == 0:
                mlopt.memory.trim()
                self._trims += 1

    def finish(self) -> None:
        """Give back what is on its way."""
        while not self._passed.empty():
            self._passed.get_nowait()

    def work_done(self) -> Mapping[str, int]:
        """Arrays made, marks that were wrong, trims."""
        return {"records": sum(self._records), "wrong": sum(self._wrong), "trims": self._trims}
