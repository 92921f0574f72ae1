"""The solvers of scikit-learn's perceptrons over :class:`mlopt.nn.MLP`.

scikit-learn sums the loss over the outputs where the network takes the mean, and halves the squared
error.  A :class:`Head` says by how much; the solvers scale step sizes and penalties by it, so that
every step is the one that scikit-learn takes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
import scipy.optimize
from numpy.typing import NDArray
from scipy.sparse import issparse

from mlopt.nn import MLP, SGD, AdamW

Array: TypeAlias = NDArray[Any]
Batch: TypeAlias = tuple[Array, Array, Array | None]

# Rows that are computed at a time where the batch is not the caller's choice: what stays in the cache.
ROWS = 512
SMALLEST_EPS = 1.2e-38
SMALLEST_RATE = 1e-6


@dataclass(frozen=True)
class Head:
    """The end of a network: its output, its loss, and scikit-learn's loss as multiples of that."""

    output: str
    loss: str
    gradient_scale: float  # of the loss whose gradient is followed
    loss_scale: float  # of the loss that is reported


class Samples:
    """Samples, targets and weights, handed out a batch at a time in arrays that are used again."""

    def __init__(self, X: Any, y: Array, weights: Array | None, batch_size: int) -> None:
        self.X, self.y, self.weights = X, y, weights
        self.count: int = X.shape[0]
        self.batch_size = batch_size
        self._x = np.empty((batch_size, X.shape[1]), X.dtype)
        self._y = np.empty((batch_size, *y.shape[1:]), y.dtype)
        self._weights = None if weights is None else np.empty(batch_size, weights.dtype)

    def in_order(self) -> Iterator[Batch]:
        """Batches of the samples as they stand."""
        for start in range(0, self.count, self.batch_size):
            rows = slice(start, start + self.batch_size)
            x = self.X[rows]
            if issparse(x):
                x = x.toarray(out=self._x[: x.shape[0]])
            yield x, self.y[rows], None if self.weights is None else self.weights[rows]

    def gathered(self, order: NDArray[np.intp]) -> Iterator[Batch]:
        """Batches of the samples in this order."""
        X, y, weights = self.X, self.y, self.weights
        sparse = issparse(X)
        batch_x, batch_y, batch_weights = self._x, self._y, self._weights
        for start in range(0, self.count, self.batch_size):
            rows = order[start : start + self.batch_size]
            if len(rows) < self.batch_size:
                batch_x, batch_y = batch_x[: len(rows)], batch_y[: len(rows)]
                batch_weights = None if batch_weights is None else batch_weights[: len(rows)]
            if sparse:
                X[rows].toarray(out=batch_x)
            else:
                X.take(rows, 0, batch_x, "clip")
            y.take(rows, 0, batch_y, "clip")
            if weights is not None:
                weights.take(rows, 0, batch_weights, "clip")
            yield batch_x, batch_y, batch_weights


def outputs(model: MLP, X: Any) -> Array:
    """The network's outputs, a part of the rows at a time."""
    result = np.empty((X.shape[0], model.layers[-1]), model.dtype)
    for start in range(0, X.shape[0], ROWS):
        part = slice(start, start + ROWS)
        model.predict(X[part].toarray() if issparse(X) else X[part], out=result[part])
    return result


def squared_weights(model: MLP) -> float:
    """The sum of the squares of all weights."""
    return float(sum(np.einsum("ij,ij->", weights, weights) for weights in model.weights))


class Descent:
    """Stochastic gradient descent: a model with its optimiser, and what outlasts an epoch."""

    def __init__(self, model: MLP, head: Head) -> None:
        self.model, self.head = model, head

    def epoch(self, samples: Samples, order: NDArray[np.intp] | None, alpha: float) -> float:
        """A step for every batch.

        Returns the mean of the losses before the steps, weighted by the batches' sizes.
        """
        model, head = self.model, self.head
        more_penalty = (head.gradient_scale - head.loss_scale) / 2
        loss = 0.0
        size = -1.0
        for x, y, weights in samples.in_order() if order is None else samples.gathered(order):
            batch_size = len(x) if weights is None else float(weights.sum())
            if batch_size != size:
                if batch_size == 0:
                    continue
                size = batch_size
                model.l2 = alpha / (head.gradient_scale * size)
            penalty = more_penalty * model.l2 * squared_weights(model) if more_penalty else 0.0
            self.prepare()
            loss += (head.loss_scale * model.train_step(x, y, weights) + penalty) * len(x)
        return loss / samples.count

    def prepare(self) -> None:
        """Set the optimiser's numbers for the next step."""

    def end_epoch(self, samples_seen: int) -> None:
        """Follow the schedule."""

    def slow_down(self) -> float | None:
        """After no progress: the next learning rate, or None where there is none."""
        return None


class AdamDescent(Descent):
    """Adam as scikit-learn defines it: epsilon is added before the second moment's bias is corrected."""

    def __init__(self, model: MLP, head: Head, beta_2: float, epsilon: float) -> None:
        super().__init__(model, head)
        self.beta_2 = beta_2
        self.epsilon = epsilon / head.gradient_scale
        self.remembered = 1.0  # beta_2 to the number of steps

    @staticmethod
    def optimizer(learning_rate: float, beta_1: float, beta_2: float) -> AdamW:
        """What the model of such a descent is created with."""
        return AdamW(learning_rate, (beta_1, beta_2), weight_decay=0.0)

    def prepare(self) -> None:
        """Divide epsilon by what :class:`mlopt.nn.AdamW` multiplies the root of the second moment with."""
        optimizer: Any = self.model.optimizer
        self.remembered *= self.beta_2
        optimizer.eps = max(self.epsilon / (1 - self.remembered) ** 0.5, SMALLEST_EPS)


class GradientDescent(Descent):
    """Gradient descent with momentum and a schedule of the learning rate."""

    def __init__(self, model: MLP, head: Head, learning_rate: float, schedule: str, power_t: float) -> None:
        super().__init__(model, head)
        self.initial_rate, self.schedule, self.power_t = learning_rate, schedule, power_t
        self.rate = learning_rate

    @staticmethod
    def optimizer(head: Head, learning_rate: float, momentum: float, nesterov: bool) -> SGD:
        """What the model of such a descent is created with."""
        momentum = min(momentum, float(np.nextafter(1, 0)))  # scikit-learn takes 1 too
        return SGD(head.gradient_scale * learning_rate, momentum, nesterov=nesterov and momentum > 0)

    def end_epoch(self, samples_seen: int) -> None:
        """Set the rate of the next epoch."""
        if self.schedule == "invscaling":
            self.set_rate(self.initial_rate / (samples_seen + 1) ** self.power_t)

    def slow_down(self) -> float | None:
        """A fifth of the learning rate, if it is adaptive and not too small."""
        if self.schedule != "adaptive" or self.rate <= SMALLEST_RATE:
            return None
        self.set_rate(self.rate / 5)
        return self.rate

    def set_rate(self, rate: float) -> None:
        """Change the learning rate but not the distance that the velocity goes on with.

        scikit-learn's velocity is a distance, the network's is to be multiplied by the rate.
        """
        state = self.model.get_state()
        state["moments"] = state["moments"] * (self.rate / rate)
        self.model.set_state(state)
        self.model.optimizer.lr = self.head.gradient_scale * rate
        self.rate = rate


class Objective:
    """Loss and gradient of all samples as functions of one vector of all parameters, for L-BFGS."""

    def __init__(self, model: MLP, head: Head, samples: Samples, alpha: float) -> None:
        self.model, self.head, self.samples = model, head, samples
        self.total = samples.count if samples.weights is None else float(samples.weights.sum())
        self.penalty = alpha / self.total
        self.loss = 0.0  # of the last call: the network's, without the penalty
        first = next(samples.in_order())
        # views that every step writes anew
        self._gradients = [part for pair in model.gradient(*first) for part in pair]
        self._parameters = [part for pair in model.parameters for part in pair]
        ends = np.cumsum([0, *(part.size for part in self._parameters)])
        self._places = [slice(*ends[i : i + 2]) for i in range(len(self._parameters))]
        self._is_weight = np.concatenate([np.full(part.size, float(part.ndim == 2)) for part in self._parameters])

    @staticmethod
    def optimizer() -> SGD:
        """What the model is created with: its steps stay in place, and leave loss and gradient."""
        return SGD(lr=0.0)

    def parameters(self) -> Array:
        """All parameters as one vector."""
        return np.concatenate([part.ravel() for part in self._parameters])

    def set_parameters(self, vector: Array) -> None:
        """Take over all parameters from a vector."""
        for part, place in zip(self._parameters, self._places, strict=True):
            part[...] = vector[place].reshape(part.shape)

    def __call__(self, vector: Array) -> tuple[float, Array]:
        self.set_parameters(vector)
        gradient = np.zeros_like(vector)
        self.loss = 0.0
        for x, y, weights in self.samples.in_order():
            size = len(x) if weights is None else float(weights.sum())
            if size == 0:
                continue
            self.loss += size / self.total * self.model.train_step(x, y, weights)
            factor = self.head.gradient_scale * size / self.total
            for part, place in zip(self._gradients, self._places, strict=True):
                gradient[place] += (factor * part).ravel()
        weights_only = vector * self._is_weight
        gradient += self.penalty * weights_only
        return self.head.gradient_scale * self.loss + self.penalty / 2 * float(weights_only @ weights_only), gradient

    def reported(self, value: float) -> float:
        """The loss that is reported where the last call returned `value`."""
        return value - (self.head.gradient_scale - self.head.loss_scale) * self.loss


def minimise(objective: Objective, *, max_iter: int, max_fun: int, tol: float, verbose: bool) -> Any:
    """Run L-BFGS from the model's parameters, leave the best ones in it and return SciPy's result."""
    iterations = 0

    def show(intermediate_result: Any) -> None:
        nonlocal iterations
        iterations += 1
        print(f"Iteration {iterations}, loss = {intermediate_result.fun:.8f}")

    result = scipy.optimize.minimize(
        objective,
        objective.parameters(),
        method="L-BFGS-B",
        jac=True,
        callback=show if verbose else None,
        options={"maxfun": max_fun, "maxiter": max_iter, "gtol": tol},
    )
    value, _ = objective(result.x)
    result.reported = objective.reported(value)
    return result


def glorot(layers: Sequence[int], activation: str, random_state: Any) -> list[tuple[Array, Array]]:
    """Weights and biases from scikit-learn's distribution, drawn in its order."""
    parameters = []
    for inputs, width in pairwise(layers):
        bound = ((2.0 if activation == "logistic" else 6.0) / (inputs + width)) ** 0.5
        weights = random_state.uniform(-bound, bound, (inputs, width))
        parameters.append((weights, random_state.uniform(-bound, bound, width)))
    return parameters
