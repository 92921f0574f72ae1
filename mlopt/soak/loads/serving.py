"""Bars through features, scaling, inference and an online update, on two threads, against a second run of each."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

import mlopt
from mlopt.concurrent import Histogram, now
from mlopt.soak.ledger import Ledger
from mlopt.soak.loads.base import Load, Setting, add_ledger
from mlopt.soak.loads.stages import OUTPUTS, Independent, Stages, bind_packed

THREADS = 2
BATCH = 512
COMPARED = 61  # every so many records


class Serving(Load):
    """Each thread serves a stream of its own; forecasts are compared with stages called one by one."""

    name = "serving"
    title = "stages called one by one on two threads, with online updates of a second network"

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self.latency = Histogram()
        self._records, self._wrong = [0] * THREADS, [0] * THREADS
        self._bad: list[Ledger] = []
        self._kept: list[bytearray] = []

    def start(self) -> None:
        """Start the threads."""
        self._streams = [self.setting.stream(100 * place) for place in range(THREADS)]
        self._bad = [Ledger(stream.is_bad) for stream in self._streams]
        for place in range(THREADS):
            self.spawn(f"serving {place}", lambda place=place: self._serve(place))  # type: ignore[misc]

    def _serve(self, place: int) -> None:
        seed = self.setting.seed + 100 * place
        stream = self._streams[place]
        stages, independent = Stages.of(stream, seed), Independent(stream, seed)
        learner = stages.model.copy()
        x = mlopt.empty_aligned(len(stages.extractor.names), np.float32)
        out = mlopt.empty_aligned(OUTPUTS, np.float32)
        targets = np.eye(OUTPUTS, dtype=np.float32)
        update, scale, infer = stages.extractor.update, stages.scaler.transform, bind_packed(stages.model, x, out)
        bars = stream.bars()
        latency = self.latency if place == 0 else None
        bad = self._bad[place]
        number = 0
        while not self.stopping.is_set():
            for _ in range(BATCH):
                bar = next(bars)
                start = now()
                try:
                    scale(update(*bar), x)
                except ValueError:
                    bad.take(number)
                    number += 1
                    continue
                infer()
                if latency is not None:
                    latency.record_since(start)
                learner.train_step(x, targets[number % OUTPUTS])
                if number % COMPARED == 0:
                    expected = independent.output(number)
                    if expected is None or expected.tobytes() != out.tobytes():
                        self._wrong[place] += 1
                        self.note(f"record {number}: {out} is not {expected}")
                number += 1
            bad.close(number)
            self._records[place] = number
            if self.setting.fault == "stall":
                self.stopping.wait()
            if self.setting.fault == "leak":
                self._kept.append(bytearray(b"\1" * (2 << 20)))
        if not np.isfinite(learner.parameters[0][0]).all():
            self._wrong[place] += 1
            self.note("the network that learned has parameters that are not finite")

    def work_done(self) -> Mapping[str, int]:
        """Records served, bad ones among them, forecasts that differed."""
        counters = {
            "records": sum(self._records),
            "bad": sum(ledger.received for ledger in self._bad),
            "wrong": sum(self._wrong),
        }
        return add_ledger(counters, *self._bad)
