"""Training: steps of networks on batches, and a whole fit."""

from __future__ import annotations

import statistics
import time
import warnings
from collections.abc import Callable
from itertools import pairwise
from typing import Any, Literal

import numpy as np

from mlopt._extras import needs
from mlopt.targets import peers
from mlopt.targets.contest import OURS, Contest, NotHere, Options
from mlopt.targets.limits import dot_bf16, fma
from mlopt.targets.measure import Batch, calls
from mlopt.targets.products import ours as products_ours
from mlopt.targets.result import Row
from mlopt.targets.rows.matmul import on_reference, usable_cores
from mlopt.targets.rows.network import baseline_network, make_network, make_samples, torch_network
from mlopt.targets.shapes import operands

LARGE = (100, 256, 256, 256, 256, 10)
BATCH, SMALL_BATCH = 1024, 64
INPUTS, HIDDEN, LAYERS, STEPS, SERIES = 100, 128, 5, 60, 64


def measure_training_iteration(row: Row, options: Options) -> None:
    """One step of an LSTM on a batch of series."""
    from mlopt.targets.baseline.lstm import Series

    model, x, y = series_model()
    before = Series(model.parameters)
    limit = fma("float32")
    contest = Contest(
        ours=calls(lambda: model.train_step(x, y)),
        baseline=on_reference(calls(lambda: before.train_step(x, y))),
        limits=[limit],
        share_of=limit.name,
        amount=series_flops(),
        plan_figure=5.0,
    )
    if options.peers and (torch := peers.find("torch")) is not None:
        contest.peers[f"{peers.label('torch')}, fused AdamW"] = calls(torch_series_step(torch, model, x, y))
    contest.fill(row, options.seconds, min_rounds=3 if options.seconds < 1 else 5)


def measure_training_iteration_bf16(row: Row, options: Options) -> None:
    """The same step with its products in bfloat16, beside the step in float32."""
    model, x, y = series_model("bf16")
    full, _, _ = series_model()
    limit = dot_bf16()
    contest = Contest(
        ours=calls(lambda: model.train_step(x, y)),
        variants={"float32": calls(lambda: full.train_step(x, y))},
        limits=[limit],
        share_of=limit.name,
        amount=series_flops(),
    )
    if options.peers and (torch := peers.find("torch")) is not None:
        contest.peers[f"{peers.label('torch')}, float32, fused AdamW"] = calls(torch_series_step(torch, full, x, y))
    rounds = contest.fill(row, options.seconds, min_rounds=3 if options.seconds < 1 else 5)
    row.figures["float32"] = row.metrics["float32"]
    row.metrics["vs_float32"] = rounds.ratio("variant float32", of=OURS).median
    row.notes.append(f"{row.metrics['vs_float32']:.3g} times as fast as the same step in float32")


def measure_cpu_utilisation(row: Row, options: Options) -> None:
    """The step of the LSTM, and a large product, on all cores: how busy they were."""
    cores = usable_cores()
    if cores == 1:
        raise NotHere("this process may run on one core only")
    model, x, y = series_model()
    n = 4096 if options.full else 2048
    a, b, c = operands(n, n, n, "nn", "float64")
    busy: dict[str, list[float]] = {"step": [], "product": []}

    def watched(name: str, batch: Batch) -> Batch:
        def with_processor_time(count: int) -> float:
            before = time.process_time()
            seconds = batch(count)
            busy[name].append((time.process_time() - before) / (seconds * cores))
            return seconds

        return with_processor_time

    def on(threads: int) -> Batch:
        step = calls(lambda: model.train_step(x, y))

        def batch(count: int) -> float:
            with peers.threads(threads):
                return step(count)

        return batch

    limit, all_of_them = fma("float32"), fma("float32", cores)
    contest = Contest(
        ours=watched("step", on(cores)),
        variants={
            "one core": on(1), "product": watched("product", products_ours(a, b, c, threads=cores)),
        },
        limits=[limit, all_of_them],
    )  # fmt: skip
    rounds = contest.fill(row, options.seconds)
    row.metrics["speedup"] = rounds.ratio("variant one core", of=OURS).median
    row.metrics["busy_step"], row.metrics["busy_product"] = (statistics.median(busy[k]) for k in ("step", "product"))
    row.metrics["share"] = min(row.metrics["busy_step"], row.metrics["busy_product"])
    factor = all_of_them.amount / limit.amount
    loops = rounds.ratio(f"limit {limit.name}", of=f"limit {all_of_them.name}", factor=factor)
    row.notes.append(
        f"the step on {cores} cores: {row.metrics['speedup']:.3g} times one core, processors "
        f"{100 * row.metrics['busy_step']:.0f} % busy; {n}² float64: {100 * row.metrics['busy_product']:.0f} %; "
        f"the multiply-add loop gains {loops.median:.3g} times"
    )


def series_flops() -> float:
    """Floating-point operations of the training iteration's products."""
    products = 4 * HIDDEN * ((INPUTS + HIDDEN) + (LAYERS - 1) * 2 * HIDDEN)
    # the first layer needs no gradient of its input
    return SERIES * STEPS * (6.0 * products - 2.0 * 4 * HIDDEN * INPUTS)


def series_model(precision: Literal["full", "bf16"] = "full") -> tuple[Any, np.ndarray, np.ndarray]:
    """The LSTM of the training iteration, samples and targets."""
    from mlopt.nn import LSTM

    rng = np.random.default_rng(1)
    x = rng.standard_normal((SERIES, STEPS, INPUTS)).astype("float32")
    y = rng.standard_normal((SERIES, HIDDEN)).astype("float32")
    return LSTM(INPUTS, HIDDEN, LAYERS, rng=0, precision=precision), x, y


def torch_series_step(torch: Any, model: Any, x: np.ndarray, y: np.ndarray) -> Callable[[], object]:
    """PyTorch's step of the same LSTM on the same data."""
    network = torch.nn.LSTM(INPUTS, HIDDEN, LAYERS, batch_first=True)
    with torch.no_grad():
        for i, (w_x, w_h, b) in enumerate(model.parameters):
            getattr(network, f"weight_ih_l{i}").copy_(torch.from_numpy(w_x.T.copy()))
            getattr(network, f"weight_hh_l{i}").copy_(torch.from_numpy(w_h.T.copy()))
            getattr(network, f"bias_ih_l{i}").copy_(torch.from_numpy(b.copy()))
            getattr(network, f"bias_hh_l{i}").zero_()
    return step_of(torch, network, lambda inputs: network(inputs)[0][:, -1], x, y)


def step_of(torch: Any, network: Any, forward: Any, x: np.ndarray, y: np.ndarray) -> Callable[[], object]:
    """Forward, backward and the optimiser."""
    loss = torch.nn.MSELoss()
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, weight_decay=1e-2, fused=True)
    inputs, targets = torch.from_numpy(x), torch.from_numpy(y)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        loss(forward(inputs), targets).backward()
        optimizer.step()

    return step


def measure_training_iteration_mlp(row: Row, options: Options) -> None:
    """One step on a large batch."""
    measure_mlp(row, options, BATCH)


def measure_training_step_mlp(row: Row, options: Options) -> None:
    """One step on a small batch."""
    measure_mlp(row, options, SMALL_BATCH)


def measure_mlp(row: Row, options: Options, batch: int) -> None:
    """One step of the same network."""
    model = make_network(LARGE)
    x, y = make_samples(LARGE, batch)
    before = baseline_network(model)
    products = [inputs * outputs for inputs, outputs in pairwise(LARGE)]
    flops = batch * (6.0 * sum(products) - 2.0 * products[0])  # the first layer needs no gradient of its input
    limit = fma("float32")
    contest = Contest(
        ours=calls(lambda: model.train_step(x, y)),
        baseline=on_reference(calls(lambda: before.train_step(x, y))),
        limits=[limit],
        share_of=limit.name,
        amount=flops,
    )
    if options.peers and (torch := peers.find("torch")) is not None:
        network = torch_network(torch, model)
        contest.peers[f"{peers.label('torch')}, fused AdamW"] = calls(step_of(torch, network, network, x, y))
    contest.fill(row, options.seconds)


def measure_fit_digits(row: Row, options: Options) -> None:
    """A whole fit of the classifier, and the accuracy on samples that it has not seen."""
    try:
        datasets, selection = (needs(f"sklearn.{name}", extra="sklearn") for name in ("datasets", "model_selection"))
    except ImportError as error:
        raise NotHere(str(error)) from error
    from sklearn.neural_network import MLPClassifier as Theirs

    from mlopt.estimators import MLPClassifier

    X, y = datasets.load_digits(return_X_y=True)
    train, test, train_y, test_y = selection.train_test_split(X / 16, y, test_size=0.25, random_state=0, stratify=y)
    ours, theirs = MLPClassifier(random_state=0), Theirs(random_state=0)
    single, ours_single = train.astype("float32"), MLPClassifier(random_state=0)
    contest = Contest(
        ours=calls(lambda: ours.fit(train, train_y)),
        variants={"float32": calls(lambda: ours_single.fit(single, train_y))},
    )
    if options.peers:
        contest.peers[peers.label("sklearn")] = calls(lambda: theirs.fit(train, train_y))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # 200 epochs, as many as the defaults allow, are not the end for either
        contest.fill(row, options.seconds)
    row.figures["float32 data"] = row.metrics["float32"]
    row.metrics["score"] = float(ours.score(test, test_y))
    if options.peers:
        row.metrics["score_over_peer"] = row.metrics["score"] - float(theirs.score(test, test_y))
        scores = ours.score(test, test_y), theirs.score(test, test_y)
        row.notes.append("accuracy on a quarter set aside: ours {:.4f}, theirs {:.4f}".format(*scores))
