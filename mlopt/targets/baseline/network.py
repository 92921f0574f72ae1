"""A multilayer perceptron as a chain of array operations, each into a fresh array."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import mlopt

Array = np.ndarray[Any, np.dtype[Any]]
Pairs = list[tuple[Array, Array]]


class Network:
    """ReLU layers, mean squared error, AdamW; one operation after the other.

    Call its methods inside ``mlopt.use_isa("reference")``: every operation is then a scalar loop.

    Parameters
    ----------
    weights, biases : sequence of ndarray
        Of every layer, (inputs, outputs) and (outputs,); copied.
    lr, betas, eps, weight_decay
        As for :class:`mlopt.nn.AdamW`.

    Examples
    --------
    >>> import numpy as np, mlopt
    >>> from mlopt.targets.baseline.network import Network
    >>> network = Network([np.eye(2)], [np.array([0.0, 1.0])])
    >>> with mlopt.use_isa("reference"):
    ...     network.predict(np.array([3.0, 4.0]))
    array([3., 5.])
    """

    def __init__(
        self,
        weights: Sequence[Array],
        biases: Sequence[Array],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
    ) -> None:
        self.layers: Pairs = [(w.copy(), b.copy()) for w, b in zip(weights, biases, strict=True)]
        self.first = [(np.zeros_like(w), np.zeros_like(b)) for w, b in self.layers]
        self.second = [(np.zeros_like(w), np.zeros_like(b)) for w, b in self.layers]
        self.steps = 0
        self.lr, self.betas, self.eps, self.weight_decay = lr, betas, eps, weight_decay

    def forward(self, x: Array) -> list[Array]:
        """What every layer puts out, the input first."""
        outputs = [x]
        for number, (w, b) in enumerate(self.layers, 1):
            z = mlopt.add(mlopt.matmul(outputs[-1], w), b)
            outputs.append(mlopt.relu(z) if number < len(self.layers) else z)
        return outputs

    def predict(self, x: Array) -> Array:
        """The output for a sample (inputs,) or a batch (samples, inputs)."""
        return self.forward(x)[-1]

    def gradient(self, x: Array, y: Array) -> Pairs:
        """Gradients of the mean squared error for weights and biases of every layer."""
        outputs = self.forward(x)
        factor = x.dtype.type(2.0 / y.size)
        delta = mlopt.multiply(mlopt.subtract(outputs[-1], y), factor)
        gradients: Pairs = []
        for number in range(len(self.layers) - 1, -1, -1):
            below = outputs[number]
            if below.ndim == 1:
                gradients.append((mlopt.multiply(below[:, None], delta), delta))
            else:
                gradients.append((mlopt.matmul(below.T, delta), mlopt.add.reduce(delta, axis=0)))
            if number > 0:
                passed = np.greater(below, 0).astype(below.dtype)
                delta = mlopt.multiply(mlopt.matmul(delta, self.layers[number][0].T), passed)
        return gradients[::-1]

    def update(self, gradients: Pairs) -> None:
        """One step of AdamW."""
        self.steps += 1
        for i, pair in enumerate(gradients):
            changed = [
                adamw(*operands, self.steps, self.lr, self.betas, self.eps, self.weight_decay)
                for operands in zip(self.layers[i], pair, self.first[i], self.second[i], strict=True)
            ]
            self.layers[i], self.first[i], self.second[i] = zip(*changed, strict=True)

    def train_step(self, x: Array, y: Array) -> None:
        """Gradient and update."""
        self.update(self.gradient(x, y))


def adamw(
    parameter: Array,
    gradient: Array,
    first: Array,
    second: Array,
    steps: int,
    lr: float = 1e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 1e-2,
) -> tuple[Array, Array, Array]:
    """The step of this number, from 1, for one array: the parameter and its two moments."""
    number = parameter.dtype.type
    beta1, beta2 = betas
    first = mlopt.add(mlopt.multiply(first, number(beta1)), mlopt.multiply(gradient, number(1 - beta1)))
    squares = mlopt.multiply(gradient, gradient)
    second = mlopt.add(mlopt.multiply(second, number(beta2)), mlopt.multiply(squares, number(1 - beta2)))
    root = mlopt.multiply(mlopt.sqrt(second), number((1 - beta2**steps) ** -0.5))
    step = mlopt.divide(first, mlopt.add(root, number(eps)))
    step = mlopt.multiply(step, number(lr / (1 - beta1**steps)))
    decayed = mlopt.multiply(parameter, number(1 - lr * weight_decay))
    return mlopt.subtract(decayed, step), first, second
