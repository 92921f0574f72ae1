"""Training: steps of networks on batches, and a whole fit."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np

from mlopt._extras import needs
from mlopt.targets import peers
from mlopt.targets.contest import Contest, NotHere, Options
from mlopt.targets.limits import fma
from mlopt.targets.measure import calls
from mlopt.targets.result import Row
from mlopt.targets.rows.matmul import on_reference
from mlopt.targets.rows.network import baseline_network, make_network, make_samples, torch_network

LARGE = (100, 256, 256, 256, 256, 10)
BATCH, SMALL_BATCH = 1024, 64
INPUTS, HIDDEN, LAYERS, STEPS, SERIES = 100, 128, 5, 60, 64


def measure_training_iteration(row: Row, options: Options) -> None:
    """One step of an LSTM on a batch of series."""
    from mlopt.nn import LSTM
    from mlopt.targets.baseline.lstm import Series

    model = LSTM(INPUTS, HIDDEN, LAYERS, rng=0)
    rng = np.random.default_rng(1)
    x = rng.standard_normal((SERIES, STEPS, INPUTS)).astype("float32")
    y = rng.standard_normal((SERIES, HIDDEN)).astype("float32")
    before = Series(model.parameters)
    rows = SERIES * STEPS
    products = 4 * HIDDEN * ((INPUTS + HIDDEN) + (LAYERS - 1) * 2 * HIDDEN)
    flops = rows * (6.0 * products - 2.0 * 4 * HIDDEN * INPUTS)  # the first layer needs no gradient of its input
    limit = fma("float32")
    contest = Contest(
        ours=calls(lambda: model.train_step(x, y)),
        baseline=on_reference(calls(lambda: before.train_step(x, y))),
        limits=[limit],
        share_of=limit.name,
        amount=flops,
        plan_figure=5.0,
    )
    if options.peers and (torch := peers.find("torch")) is not None:
        contest.peers[f"{peers.label('torch')}, fused AdamW"] = calls(torch_series_step(torch, model, x, y))
    contest.fill(row, options.seconds, min_rounds=3 if options.seconds < 1 else 5)


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

    from mlopt import MLPClassifier

    X, y = datasets.load_digits(return_X_y=True)
    train, test, train_y, test_y = selection.train_test_split(X / 16, y, test_size=0.25, random_state=0, stratify=y)
    ours, theirs = MLPClassifier(random_state=0), Theirs(random_state=0)
    contest = Contest(ours=calls(lambda: ours.fit(train, train_y)))
    if options.peers:
        contest.peers[peers.label("sklearn")] = calls(lambda: theirs.fit(train, train_y))
    contest.fill(row, options.seconds)
    row.metrics["score"] = float(ours.score(test, test_y))
    row.figures["epochs"] = float(ours.n_iter_)
    if options.peers:
        row.metrics["score_over_peer"] = row.metrics["score"] - float(theirs.score(test, test_y))
        row.notes.append(
            f"accuracy on a quarter set aside: ours {ours.score(test, test_y):.4f}, theirs {theirs.score(test, test_y):.4f}"
        )
