"""The whole loop per bar: features, inference, gradient and update."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import mlopt
from mlopt.targets.contest import OURS, Contest, NotHere, Options
from mlopt.targets.limits import fma, l1_read
from mlopt.targets.measure import Batch, calls
from mlopt.targets.memory import aligned
from mlopt.targets.result import MEASURED, Comparison, Row
from mlopt.targets.rows.features import real_bars
from mlopt.targets.rows.matmul import on_reference
from mlopt.targets.rows.network import make_network

OUTPUTS = 10
HIDDEN = 50
WARM_UP = 1000
RECORDS = 50_000  # of a run with workers of their own


class Ours:
    """This library's loop: one extractor, one network, buffers that were bound before."""

    def __init__(self, bars: np.ndarray) -> None:
        from mlopt.features import FeatureExtractor, Scaler

        self.extractor = FeatureExtractor()
        history = self.extractor.transform(bars[:WARM_UP])[-(WARM_UP // 2) :]
        self.scaler = Scaler(history.shape[1]).fit(history)
        self.extractor.warm_up(bars[:WARM_UP])
        self.model = make_network((history.shape[1], HIDDEN, OUTPUTS))
        self.x = aligned(history.shape[1], "float32")
        self.out = aligned(OUTPUTS, "float32", place=1)
        self.infer = self.model.bind(self.x, self.out)
        targets = mlopt.zeros_aligned((OUTPUTS, OUTPUTS), np.float32, pad_rows=True)
        np.fill_diagonal(targets, 1)
        self.y = targets[0]
        self.next_target = itertools.cycle([*targets[1:], targets[0]]).__next__

    def features(self, bar: list[float]) -> None:
        """The scaled features of a bar into the network's input."""
        self.scaler.transform(self.extractor.update(*bar), self.x)

    def step(self, bar: list[float]) -> None:
        """One bar through the loop; the target is a fixed pattern."""
        self.features(bar)
        self.infer()
        self.model.train_step(self.x, self.next_target())


class Before:
    """The baseline program's loop on the same bars, with the same weights and scaling."""

    def __init__(self, ours: Ours, bars: np.ndarray) -> None:
        from mlopt.targets.baseline.features import Features
        from mlopt.targets.baseline.network import Network

        self.program = Features(ours.extractor.names)
        self.network = Network(ours.model.weights, ours.model.biases)
        self.shift, self.factor = ours.scaler.means, 1 / np.maximum(ours.scaler.deviations, 1e-12)
        self.bars = bars
        self.place = 0

    def features(self, end: int) -> np.ndarray:
        """The scaled features of the bar before `end`."""
        from mlopt.targets.baseline.features import WINDOW

        raw = self.program.compute(self.bars[end - WINDOW : end].copy())
        scaled: np.ndarray = mlopt.multiply(mlopt.subtract(raw, self.shift), self.factor).astype(np.float32)
        return scaled

    def target(self) -> np.ndarray:
        """The next target of the fixed pattern."""
        self.place = (self.place + 1) % OUTPUTS
        y = np.zeros(OUTPUTS, np.float32)
        y[self.place] = 1
        return y

    def step(self, end: int) -> np.ndarray:
        """One bar through the loop."""
        x = self.features(end)
        prediction = self.network.predict(x)
        self.network.update(self.network.gradient(x, self.target()))
        return prediction


def make_loops() -> tuple[Ours, Before, Any, Any]:
    """Both loops, and for each a call that takes the next bar."""
    bars = real_bars()
    ours = Ours(bars)
    before = Before(ours, bars)
    following = itertools.cycle(bars[WARM_UP:].tolist()).__next__
    ends = itertools.cycle(range(WARM_UP + 1, len(bars) + 1)).__next__
    return ours, before, lambda: ours.step(following()), lambda: before.step(ends())


def measure_overall(row: Row, options: Options) -> None:
    """Both loops on the same bars; then the stages of the baseline program beside the plan's figures."""
    ours, before, our_call, before_call = make_loops()
    width = len(ours.extractor.names)
    contest = Contest(
        ours=calls(our_call),
        baseline=on_reference(calls(before_call)),
        limits=[fma("float32"), l1_read()],
    )
    contest.fill(row, options.seconds)
    row.notes.append(f"MLP {width}-{HIDDEN}-{OUTPUTS}: as many inputs as the default set has features, scaled")
    bars = before.bars
    with mlopt.use_isa("reference"):
        x = before.features(WARM_UP)
    y = before.target()
    bar = bars[WARM_UP].tolist()
    stages = (
        ("features", lambda: before.features(WARM_UP), lambda: ours.features(bar), 100e-6),
        ("inference", lambda: before.network.predict(x), ours.infer, 50e-6),
        ("gradient", lambda: before.network.gradient(x, y), lambda: ours.model.gradient(ours.x, ours.y), 45e-6),
        (
            "gradient and update",
            lambda: before.network.train_step(x, y),
            lambda: ours.model.train_step(ours.x, ours.y),
            None,
        ),
    )
    for name, old, new, plan in stages:
        rounds = Contest(calls(new), on_reference(calls(old))).measure(options.seconds / 4)
        row.stages.append(
            Comparison(f"baseline {name}", rounds.seconds("baseline"), rounds.ratio("baseline", of=OURS), plan)
        )
        row.figures[name] = rounds.seconds(OURS).median
    row.notes.append("the training iteration (LSTM) with its cap is not in this version")


class Copying:
    """The stages of the pipeline as they are usually written: each takes arrays and returns new ones."""

    def __init__(self, ours: Ours) -> None:
        self.update = ours.extractor.update
        self.mean, self.deviation = ours.scaler.means, ours.scaler.deviations
        self.weights = [weight.copy() for weight in ours.model.weights]
        self.biases = [bias.copy() for bias in ours.model.biases]
        self.own_scale, self.own_predict = ours.scaler.transform, ours.model.predict
        self.outputs: list[np.ndarray] = []

    def step(self, bar: list[float]) -> None:
        """One bar, with NumPy behind the features, which are this library's: recomputing them would cost far more."""
        features = np.array(self.update(*bar))
        x = ((features - self.mean) / self.deviation).astype(np.float32)
        for i, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = x @ weight + bias
            if i + 1 < len(self.weights):
                x = np.maximum(x, 0)
        self.keep(x)

    def own_step(self, bar: list[float]) -> None:
        """One bar, by this library's functions throughout, each returning a new array."""
        features = np.array(self.update(*bar))
        self.keep(self.own_predict(self.own_scale(features).astype(np.float32)))

    def keep(self, output: np.ndarray) -> None:
        """The outputs of the last 10 000 bars or fewer."""
        self.outputs.append(output)
        if len(self.outputs) >= 10_000:
            self.outputs.clear()


def runs_of(ours: Ours, bars: np.ndarray, workers: str, capacity: int = 4096) -> Batch:
    """Bars from a table through a pipeline into a table."""
    from mlopt.pipeline import Pipeline

    def batch(count: int) -> float:
        rows = np.resize(bars, (count, bars.shape[1]))
        outputs = np.empty((count, OUTPUTS), np.float32)
        outputs.fill(0)  # its pages are there
        stages = [rows, ours.extractor, ours.scaler, ours.model, outputs]
        with Pipeline(stages, workers=workers, queue_capacity=capacity) as pipeline:
            start = time.perf_counter()
            pipeline.run()
            return time.perf_counter() - start

    return batch


def make_push() -> Callable[[], object]:
    """The next bar into a pipeline without a source."""
    from mlopt.pipeline import Pipeline

    bars = real_bars()
    ours = Ours(bars)
    push = Pipeline([None, ours.extractor, ours.scaler, ours.model, None]).push
    following = itertools.cycle(bars[WARM_UP:].tolist()).__next__
    return lambda: push(*following())


def allocations_of_push(records: int = 10_000) -> float:
    """Heap allocations a record, counted in a process of its own; NaN where they cannot be counted."""
    try:
        from mlopt.targets.allocations import count_allocations
    except ImportError:
        return math.nan
    setup = "from mlopt.targets.rows.pipeline import make_push; call = make_push()"
    counted = count_allocations("call()", setup, iterations=records, warm_up=5000)
    return math.nan if counted.allocations is None else counted.allocations / records


def measure_pipeline_throughput(row: Row, options: Options) -> None:
    """The pipeline over a table of real bars, by record, on threads; the stages as they are usually written."""
    ours, before, _, _ = make_loops()
    copying = Copying(Ours(before.bars))  # a loop beside the pipeline needs an extractor of its own
    bars = before.bars[WARM_UP:]
    following = itertools.cycle(bars.tolist()).__next__
    ends = itertools.cycle(range(WARM_UP + 1, len(before.bars) + 1)).__next__
    contest = Contest(
        ours=runs_of(ours, bars, "fused"),
        baseline=on_reference(calls(lambda: before.network.predict(before.features(ends())))),
        variants={
            "push": calls(make_push()),
            "copying": calls(lambda: copying.step(following())),
            "own_calls": calls(lambda: copying.own_step(following())),
        },
        limits=[fma("float64")],
    )
    rounds = contest.fill(row, options.seconds)
    for name in ("copying", "own_calls", "push"):
        row.metrics[f"vs_{name}"] = rounds.ratio(f"variant {name}", of=OURS).median
    row.metrics["allocations"] = allocations_of_push()
    threads = runs_of(Ours(before.bars), bars, "threads")
    row.metrics["threads"] = sorted(threads(RECORDS) / RECORDS for _ in range(3))[1]
    row.metrics["rate"] = 1 / rounds.seconds(OURS).median
    width = len(ours.extractor.names)
    microseconds = {name: row.metrics[name] * 1e6 for name in ("push", "copying", "own_calls", "threads")}
    row.notes += [
        f"a record is a bar; {width} features, MLP {width}-{HIDDEN}-{OUTPUTS}; record by record (push) "
        f"{microseconds['push']:.2f} µs; three workers on threads {microseconds['threads']:.2f} µs",
        f"as usually written, fresh arrays, NumPy behind the features: {microseconds['copying']:.2f} µs "
        f"({row.metrics['vs_copying']:.1f}×); fresh arrays, this library's calls: {microseconds['own_calls']:.2f} µs "
        f"({row.metrics['vs_own_calls']:.1f}×)",
    ]


def measure_allocations(row: Row, options: Options) -> None:
    """Heap allocations while bars go through the loop, counted in a process of its own, after warm-up."""
    try:
        from mlopt.targets.allocations import count_allocations
    except ImportError as error:
        raise NotHere(f"nothing here counts allocations ({error})") from error
    ours, _, call, _ = make_loops()
    bars = 10_000
    setup = "from mlopt.targets.rows.pipeline import make_loops; call = make_loops()[2]"
    counted = count_allocations("call()", setup, iterations=bars, warm_up=5000)
    if counted.allocations is None:
        raise NotHere(f"allocations cannot be counted here: {counted.reason}")
    per_bar = Contest(calls(call)).measure(options.seconds / 4).seconds(OURS)
    row.status = MEASURED
    row.metrics["per_bar"] = counted.allocations / bars
    row.metrics["per_second"] = counted.allocations / bars / per_bar.median
    for text, by_function in (
        ("as it runs", counted.by_function),
        ("with every Python object", counted.by_function_with_objects),
    ):
        row.details.append({"counted": text, "bars": bars} | {name: n for name, n in by_function.items() if n})
    row.notes.append(
        f"{len(ours.extractor.names)} features, MLP with {HIDDEN} hidden units, AdamW; "
        f"{per_bar.median * 1e6:.2f} µs a bar"
    )
