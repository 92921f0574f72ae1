"""Training walk-forward on the older bars."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlopt.demo.accuracy import Accuracy
from mlopt.demo.result import Training
from mlopt.demo.walk_forward import Fold, walk_forward
from mlopt.nn import MLP, AdamW

HIDDEN = (50, 10)  # the network that the targets are stated for, and a layer on top for the probability
EPOCHS = 20
BATCH = 64
LEARNING_RATE = 5e-4

Array = NDArray[np.float32]
Progress = Callable[[str, int, int], None]


def make_network(inputs: int, seed: Sequence[int]) -> MLP:
    """The network of the demo: from features to the probability that the next bar closes higher."""
    return MLP(
        [inputs, *HIDDEN, 1],
        activation="relu",
        output="sigmoid",
        loss="binary_cross_entropy",
        optimizer=AdamW(lr=LEARNING_RATE),
        dtype="float32",
        rng=np.random.default_rng(seed),
    )


def judge(model: MLP, inputs: Array, ups: Array) -> tuple[Accuracy, float]:
    """The accuracy and the mean cross-entropy of a model's forecasts."""
    forecasts = model.predict(inputs)[:, 0].astype(np.float64)
    return accuracy_of(forecasts, ups[:, 0]), cross_entropy(forecasts, ups[:, 0])


def accuracy_of(forecasts: NDArray[np.floating[Any]], ups: NDArray[np.floating[Any]]) -> Accuracy:
    """Forecasts above one half, held against what came."""
    hits = (forecasts > 0.5) == (ups > 0.5)
    return Accuracy(len(ups), int(hits.sum()), int((ups > 0.5).sum()))


def cross_entropy(forecasts: NDArray[np.float64], ups: NDArray[np.floating[Any]]) -> float:
    """The mean loss of forecast probabilities."""
    chosen = np.where(ups > 0.5, forecasts, 1 - forecasts)
    return float(-np.log(np.maximum(chosen, np.finfo(np.float32).tiny)).mean())


def fit(
    model: MLP, inputs: Array, ups: Array, rng: np.random.Generator, after_epoch: Callable[[], None]
) -> list[float]:
    """EPOCHS passes over the samples in mini-batches of random order; the mean loss of each."""
    losses = []
    for _ in range(EPOCHS):
        order = rng.permutation(len(inputs))
        total = 0.0
        for start in range(0, len(order), BATCH):
            chosen = order[start : start + BATCH]
            total += model.train_step(inputs[chosen], ups[chosen]) * len(chosen)
        losses.append(total / len(order))
        after_epoch()
    return losses


def train(
    inputs: Array, ups: Array, dates: Sequence[str], start: int, stop: int, folds: int, seed: int, progress: Progress
) -> tuple[MLP, list[Training], list[float]]:
    """Train on expanding windows, judging each on what follows it; then on everything, to be served.

    Parameters
    ----------
    inputs : ndarray of float32, shape (bars, features)
        Scaled features, each row with what was known at its bar.
    ups : ndarray of float32, shape (bars, 1)
        1 where the next bar closes higher.
    dates : sequence of str
        Of the bars.
    start, stop : int
        The older bars that have features and whose label is known when serving begins.
    folds : int
        How many windows.
    seed : int
        Of the initial weights and the order of the samples.
    progress : callable
        Told (part, done, total).

    Returns
    -------
    model : MLP
        Trained on all of the older bars.
    training : list of Training
        One a fold.
    losses : list of float
        The loss of each epoch of `model`.
    """
    split = walk_forward(start, stop, folds)
    total, done = (folds + 1) * EPOCHS, 0

    def after_epoch() -> None:
        nonlocal done
        done += 1
        progress("training", done, total)

    def fit_span(number: int, first: int, last: int) -> tuple[MLP, list[float]]:
        model = make_network(inputs.shape[1], [seed, number])
        rng = np.random.default_rng([seed, number, 1])
        return model, fit(model, inputs[first:last], ups[first:last], rng, after_epoch)

    def fit_fold(number: int, fold: Fold) -> Training:
        model, losses = fit_span(number, fold.train_start, fold.train_stop)
        judged = slice(fold.test_start, fold.test_stop)
        accuracy, loss = judge(model, inputs[judged], ups[judged])
        return Training(fold, dates[fold.test_start], dates[fold.test_stop - 1], losses, loss, accuracy)

    training = [fit_fold(number, fold) for number, fold in enumerate(split)]
    model, losses = fit_span(folds, start, stop)
    return model, training, losses
