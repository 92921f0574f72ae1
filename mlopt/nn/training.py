"""Training over many batches: shuffling, validation, early stopping.  What a step does belongs to the model."""

from __future__ import annotations

import operator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Data = tuple[Any, Any]


@dataclass
class History:
    """What :meth:`MLP.fit` and :meth:`LSTM.fit` went through.

    Parameters
    ----------
    loss : list of float
        Mean loss of the steps of each epoch.
    validation_loss : list of float
        Loss on the validation data after each epoch; empty without any.
    best_epoch : int
        The epoch, from 0, whose parameters the model has now: the one of the least validation loss where
        `patience` was given, else the last.
    stopped : bool
        Whether training ended before its epochs because the validation loss stayed above its minimum.

    Examples
    --------
    >>> import mlopt
    >>> mlopt.nn.History(loss=[0.5, 0.25]).loss[-1]
    0.25
    """

    loss: list[float] = field(default_factory=list)
    validation_loss: list[float] = field(default_factory=list)
    best_epoch: int = 0
    stopped: bool = False


def count(name: str, value: Any, least: int) -> int:
    """An integer argument, checked."""
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be an integer, got {value!r}") from None
    if number < least:
        raise ValueError(f"{name} must be at least {least}, got {number}")
    return number


def fit(
    model: Any,
    X: np.ndarray,
    y: np.ndarray,
    *,
    epochs: int,
    batch_size: int,
    shuffle: bool,
    sample_weight: np.ndarray | None,
    validation: Data | None,
    patience: int | None,
    min_delta: float,
    rng: Any,
) -> History:
    """Train a model on arrays that it has checked: the loop behind ``fit``."""
    epochs, batch_size = count("epochs", epochs, 0), count("batch_size", batch_size, 1)
    if patience is not None:
        patience = count("patience", patience, 1)
        if validation is None:
            raise ValueError("patience needs validation=(X, y) to judge by")
    rows = len(X)
    order = np.arange(rows)
    generator = np.random.default_rng(rng)
    size = min(batch_size, rows)
    x_rows, y_rows = np.empty((size, *X.shape[1:]), X.dtype), np.empty((size, *y.shape[1:]), y.dtype)
    weight_rows = None if sample_weight is None else np.empty(size, sample_weight.dtype)
    history, best, best_state = History(), np.inf, None
    for epoch in range(epochs):
        if shuffle:
            generator.shuffle(order)
        total, share = 0.0, 0.0
        for first in range(0, rows, size):
            chosen = order[first : first + size]
            n = len(chosen)
            np.take(X, chosen, axis=0, out=x_rows[:n], mode="clip")
            np.take(y, chosen, axis=0, out=y_rows[:n], mode="clip")
            weights, part = None, float(n)
            if sample_weight is not None and weight_rows is not None:
                weights = np.take(sample_weight, chosen, out=weight_rows[:n], mode="clip")
                part = float(weights.sum())
                if part == 0:
                    continue
            total += part * model.train_step(x_rows[:n], y_rows[:n], weights)
            share += part
        history.loss.append(total / share if share else np.nan)
        history.best_epoch = epoch
        if validation is None:
            continue
        history.validation_loss.append(model.loss(*validation))
        if patience is None:
            continue
        if history.validation_loss[-1] < best - min_delta:
            best, best_state, best_epoch = history.validation_loss[-1], model.get_state(), epoch
        elif best_state is not None and epoch - best_epoch >= patience:
            history.stopped = True
            break
    if best_state is not None:
        model.set_state(best_state)
        history.best_epoch = best_epoch
    return history
