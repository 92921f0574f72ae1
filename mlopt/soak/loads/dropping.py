"""A pipeline whose first queue is too small on purpose: the oldest records are lost, and every one is counted."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from mlopt.pipeline import Pipeline
from mlopt.soak.ledger import Ledger
from mlopt.soak.loads.base import Load, Setting

CAPACITY = 64
BURST = 512  # records that are pushed without a pause
STOP_SECONDS = 45.0


class Dropping(Load):
    """Numbers through a stage, in bursts larger than the queue; what is missing at the end is what was counted."""

    name = "dropping"
    title = "a pipeline on threads that loses the oldest records where they come too fast: exactly as many as it says"

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self.ledger = Ledger()
        self._wrong = self._pushed = self._miscounted = 0
        self.pipeline = Pipeline(
            [None, self._double, self._sink],
            inputs=2,
            workers="threads",
            queue_capacity=CAPACITY,
            overflow="drop_oldest",
        )

    @staticmethod
    def _double(x: NDArray[np.float64], out: NDArray[np.float64]) -> None:
        np.add(x, x, out=out)

    def _sink(self, number: int, output: NDArray[np.float64]) -> None:
        self.ledger.take(number)
        if output[0] != 2 * number or output[1] != -2 * number:
            self._wrong += 1
            self.note(f"record {number} came as {output}")

    def start(self) -> None:
        """Start the pipeline, and who pushes."""
        self.pipeline.start()
        self.spawn("pushing", self._push)

    def _push(self) -> None:
        number = 0
        while not self.stopping.is_set():
            for _ in range(BURST):
                self.pipeline.push(float(number), float(-number), timeout=STOP_SECONDS)
                number += 1
            self._pushed = number
            self.stopping.wait(float(self.rng.uniform(0, 0.02)))

    def finish(self) -> None:
        """Let the rest arrive, and compare what is missing with what was counted."""
        try:
            self.pipeline.stop(drain=True, timeout=STOP_SECONDS)
        finally:
            statistics = self.pipeline.statistics
            self.ledger.close(self._pushed)
            self._miscounted = abs(self.ledger.lost - statistics["dropped"])
            if self._miscounted or statistics["records_in"] != self._pushed:
                self.note(f"{self._pushed} were pushed, {self.ledger.lost} are missing: {statistics}")
            self.pipeline.close()

    def work_done(self) -> Mapping[str, int]:
        """Records that came, those that were dropped, and by how many that count is wrong."""
        counters = dict(self.ledger.counters())
        counters["lost"] = self._miscounted
        return counters | {
            "records": self.ledger.received,
            "dropped": self.pipeline.statistics["dropped"],
            "wrong": self._wrong,
        }
