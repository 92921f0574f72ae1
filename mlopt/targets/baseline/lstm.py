"""A stack of LSTM layers as a chain of array operations, each into a fresh array."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import mlopt
from mlopt.targets.baseline.network import adamw

Array = np.ndarray[Any, np.dtype[Any]]


class Series:
    """LSTM layers, mean squared error on the last step, AdamW; one operation after the other.

    Call its methods inside ``mlopt.use_isa("reference")``: every operation is then a scalar loop.

    Parameters
    ----------
    parameters : sequence of (Array, Array, Array)
        Of every layer the weights of inputs and hidden state, and the biases, as :attr:`mlopt.nn.LSTM.parameters`;
        copied.

    Examples
    --------
    >>> import numpy as np, mlopt
    >>> from mlopt.targets.baseline.lstm import Series
    >>> model = mlopt.nn.LSTM(3, 4, rng=0)
    >>> X = np.ones((2, 5, 3), np.float32)
    >>> with mlopt.use_isa("reference"):
    ...     np.abs(Series(model.parameters).predict(X) - model.predict(X)).max() < 1e-6
    np.True_
    """

    def __init__(self, parameters: Sequence[Sequence[Array]]) -> None:
        self.layers = [[part.copy() for part in layer] for layer in parameters]
        self.first = [[np.zeros_like(part) for part in layer] for layer in parameters]
        self.second = [[np.zeros_like(part) for part in layer] for layer in parameters]
        self.steps = 0

    def forward(self, x: Array) -> list[list[dict[str, Array]]]:
        """What every layer computes at every time step."""
        series = [np.ascontiguousarray(x[:, t]) for t in range(x.shape[1])]
        layers = []
        for w_x, w_h, b in self.layers:
            hidden = w_h.shape[0]
            h = c = np.zeros((x.shape[0], hidden), x.dtype)
            steps = []
            for x_t in series:
                sums = mlopt.add(mlopt.add(mlopt.matmul(x_t, w_x), mlopt.matmul(h, w_h)), b)
                i, f, g, o = (np.ascontiguousarray(sums[:, k * hidden : (k + 1) * hidden]) for k in range(4))
                i, f, g, o = mlopt.sigmoid(i), mlopt.sigmoid(f), mlopt.tanh(g), mlopt.sigmoid(o)
                step = {"x": x_t, "h": h, "c": c, "i": i, "f": f, "g": g, "o": o}
                c = mlopt.add(mlopt.multiply(f, c), mlopt.multiply(i, g))
                step["squashed"] = mlopt.tanh(c)
                h = step["out"] = mlopt.multiply(o, step["squashed"])
                steps.append(step)
            layers.append(steps)
            series = [step["out"] for step in steps]
        return layers

    def predict(self, x: Array) -> Array:
        """The hidden state after the last time step."""
        return self.forward(x)[-1][-1]["out"]

    def gradient(self, x: Array, y: Array) -> list[list[Array]]:
        """Gradients of the mean squared error for all parameters."""
        layers = self.forward(x)
        last = layers[-1][-1]["out"]
        factor = x.dtype.type(2.0 / y.size)
        from_above: list[Array | None] = [None] * (x.shape[1] - 1)
        from_above.append(mlopt.multiply(mlopt.subtract(last, y), factor))
        gradients: list[list[Array]] = []
        for (w_x, w_h, b), steps in zip(reversed(self.layers), reversed(layers), strict=True):
            d_w_x, d_w_h, d_b = np.zeros_like(w_x), np.zeros_like(w_h), np.zeros_like(b)
            d_h, d_c = np.zeros_like(last), np.zeros_like(last)
            below: list[Array | None] = []
            for step, above in zip(reversed(steps), reversed(from_above), strict=True):
                if above is not None:
                    d_h = mlopt.add(d_h, above)
                d_o, d_c = of_output(step, d_h, d_c)
                d_i, d_f = mlopt.multiply(d_c, step["g"]), mlopt.multiply(d_c, step["c"])
                d_g = mlopt.multiply(d_c, step["i"])
                parts = [of_sigmoid(d_i, step["i"]), of_sigmoid(d_f, step["f"]), of_tanh(d_g, step["g"]),
                         of_sigmoid(d_o, step["o"])]  # fmt: skip
                sums = np.concatenate(parts, axis=1)
                d_w_x = mlopt.add(d_w_x, mlopt.matmul(step["x"].T, sums))
                d_w_h = mlopt.add(d_w_h, mlopt.matmul(step["h"].T, sums))
                d_b = mlopt.add(d_b, mlopt.add.reduce(sums, axis=0))
                below.append(mlopt.matmul(sums, w_x.T) if len(gradients) < len(self.layers) - 1 else None)
                d_h, d_c = mlopt.matmul(sums, w_h.T), mlopt.multiply(d_c, step["f"])
            from_above = below[::-1]
            gradients.append([d_w_x, d_w_h, d_b])
        return gradients[::-1]

    def train_step(self, x: Array, y: Array) -> None:
        """Gradient, and one step of AdamW with its defaults."""
        gradients = self.gradient(x, y)
        self.steps += 1
        for i, layer in enumerate(gradients):
            for j, gradient in enumerate(layer):
                self.layers[i][j], self.first[i][j], self.second[i][j] = adamw(
                    self.layers[i][j], gradient, self.first[i][j], self.second[i][j], self.steps
                )


def of_output(step: dict[str, Array], d_h: Array, d_c: Array) -> tuple[Array, Array]:
    """From the gradient of an output to those of its gate and of the cell."""
    squashed = step["squashed"]
    return mlopt.multiply(d_h, squashed), mlopt.add(d_c, of_tanh(mlopt.multiply(d_h, step["o"]), squashed))


def of_sigmoid(delta: Array, out: Array) -> Array:
    """A gradient through a sigmoid."""
    through: Array = mlopt.multiply(delta, mlopt.multiply(out, mlopt.subtract(out.dtype.type(1), out)))
    return through


def of_tanh(delta: Array, out: Array) -> Array:
    """A gradient through a hyperbolic tangent."""
    through: Array = mlopt.multiply(delta, mlopt.subtract(out.dtype.type(1), mlopt.multiply(out, out)))
    return through
