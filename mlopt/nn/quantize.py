"""From float networks to quantised ones, and how far apart the two are."""

from __future__ import annotations

import copy
import operator
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mlopt.linalg.matmul import matmul
from mlopt.nn.quantized import QuantizedMLP
from mlopt.quantization import calibrator, quantize
from mlopt.vector.ufuncs import gelu, relu, sigmoid, silu, tanh

if TYPE_CHECKING:
    from mlopt.nn.mlp import MLP

__all__ = ["LayerError", "QuantizationReport", "QuantizedLayer", "compare", "quantize_mlp"]

Floats = NDArray[np.float32]
Mode = Literal["static", "dynamic"]
Method = Literal["minmax", "percentile", "mse", "entropy"]

FUNCTIONS: dict[str, Any] = {
    "identity": lambda z: z, "relu": relu, "tanh": tanh, "sigmoid": sigmoid, "gelu": gelu, "silu": silu,
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class QuantizedLayer:
    """A dense layer in bytes: ``activation((x - input_zero_point) @ (weights - weight_zero_point) * scales + bias)``.

    Parameters
    ----------
    weights : ndarray of int8 or uint8, shape (inputs, outputs)
        The weights.
    weight_scale : array_like, shape (outputs,) or ()
        What a unit of each output's weights is worth.
    bias : array_like, shape (outputs,)
        Real numbers.
    activation : str
        As of :class:`mlopt.nn.MLP`.
    input_scale : float
        What a unit of the inputs is worth.
    input_zero_point : int
        The byte that stands for the input 0; inputs are uint8.
    weight_zero_point : array_like of int, shape (outputs,) or (), default 0
        What stands for the weight 0.

    Raises
    ------
    TypeError, ValueError
        If an argument is not that.

    Examples
    --------
    >>> import numpy as np, mlopt
    >>> layer = mlopt.nn.QuantizedLayer(np.array([[100], [-50]], np.int8), 0.01, [0.5], "identity", 0.1, 128)
    >>> network = mlopt.nn.QuantizedMLP([layer])
    >>> network.predict(np.array([1, 2], np.float32))  # 1.0 * 1 - 0.5 * 2 + 0.5
    array([0.5], dtype=float32)
    """

    weights: NDArray[Any]
    weight_scale: Any
    bias: Any
    activation: str
    input_scale: float
    input_zero_point: int
    weight_zero_point: Any = 0

    def __post_init__(self) -> None:
        weights = np.array(self.weights, order="C")  # a copy, as what is the caller's is not to be frozen
        if weights.dtype not in (np.dtype(np.int8), np.dtype(np.uint8)):
            raise TypeError(f"weights must be int8 or uint8, got {weights.dtype}")
        if weights.ndim != 2 or 0 in weights.shape:
            raise ValueError(f"weights must have shape (inputs, outputs), both at least 1, got {weights.shape}")
        if weights.shape[0] > MOST_INPUTS:
            raise ValueError(f"weights must have at most {MOST_INPUTS} inputs, whose sums fit 32 bits, got "
                             f"{weights.shape[0]}")  # fmt: skip
        if self.activation not in FUNCTIONS:
            raise ValueError(f"activation={self.activation!r} is not one of: {', '.join(FUNCTIONS)}")
        checked = {
            "weights": weights,
            "weight_scale": self._row("weight_scale", np.float32),
            "bias": self._row("bias", np.float32),
            "weight_zero_point": self._row("weight_zero_point", np.int64),
        }
        zero, limits = checked["weight_zero_point"], np.iinfo(weights.dtype)
        if zero.min() < limits.min or zero.max() > limits.max:
            raise ValueError(f"weight_zero_point must be in the range of {weights.dtype}, got {self.weight_zero_point}")
        checked["weight_zero_point"] = zero.astype(np.int32)
        input_zero = whole("input_zero_point", self.input_zero_point)
        if not 0 <= input_zero <= 255:
            raise ValueError(f"input_zero_point must be in 0 to 255, got {self.input_zero_point}")
        with np.errstate(all="ignore"):
            scale = real("input_scale", self.input_scale)
            usable = np.isfinite(scale) and scale > 0 and np.isfinite(1 / scale)
            worth = scale * checked["weight_scale"]
        if not usable:
            raise ValueError(f"input_scale must be positive and finite in float32, as its reciprocal, got "
                             f"{self.input_scale}")  # fmt: skip
        if not (np.isfinite(checked["weight_scale"]).all() and (checked["weight_scale"] > 0).all()):
            raise ValueError(f"weight_scale must be positive and finite in float32, got {self.weight_scale}")
        if not np.isfinite(worth).all():
            raise ValueError(f"weight_scale times input_scale must be finite in float32, got {self.weight_scale} "
                             f"times {self.input_scale}")  # fmt: skip
        for name, array in checked.items():
            array.flags.writeable = False
            object.__setattr__(self, name, array)
        object.__setattr__(self, "input_scale", float(scale))
        object.__setattr__(self, "input_zero_point", input_zero)

    def _row(self, name: str, dtype: Any) -> NDArray[Any]:
        """An argument that is a number for every output, or one for all."""
        given, outputs = np.asarray(getattr(self, name)), np.shape(self.weights)[1]
        kinds, words = ("biuf", "real numbers") if dtype is np.float32 else ("iu", "integers")
        if given.dtype.kind not in kinds:
            raise TypeError(f"{name} must be {words}, got {given.dtype}")
        if given.shape not in ((), (1,), (outputs,)):
            raise ValueError(f"{name} must have shape ({outputs},), got {given.shape}")
        with np.errstate(over="ignore"):
            return np.array(np.broadcast_to(given, outputs), dtype)

    def __reduce__(self) -> tuple[Any, ...]:
        return QuantizedLayer, tuple(getattr(self, field.name) for field in fields(self))

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays."""
        return sum(int(a.nbytes) for a in (self.weights, self.weight_scale, self.bias))

    def dequantized(self) -> Floats:
        """The weights as real numbers, float32."""
        centred = self.weights.astype(np.int32) - self.weight_zero_point
        return np.asarray(centred * self.weight_scale, np.float32)


def whole(name: str, given: Any) -> int:
    try:
        return operator.index(given)
    except TypeError:
        raise TypeError(f"{name} must be an integer, got {given!r}") from None


def real(name: str, given: Any) -> np.float32:
    number = np.asarray(given)
    if number.dtype.kind not in "biuf":
        raise TypeError(f"{name} must be a real number, got {given!r}")
    if number.shape:
        raise ValueError(f"{name} must be one number, got shape {number.shape}")
    return np.float32(number)


def checked_layers(layers: Any) -> tuple[QuantizedLayer, ...]:
    """The layers of a network, each of the right type."""
    try:
        result = tuple(layers)
    except TypeError:
        raise TypeError(f"layers must be a sequence of QuantizedLayer, got {type(layers).__name__}") from None
    if not result:
        raise ValueError("layers must hold at least one layer, got none")
    for i, layer in enumerate(result):
        if not isinstance(layer, QuantizedLayer):
            raise TypeError(f"layers[{i}] must be a QuantizedLayer, got {type(layer).__name__}")
    return result


def checked_source(source: Any, layers: tuple[int, ...]) -> MLP | None:
    """The float network to compare with, of the same widths."""
    from mlopt.nn.mlp import MLP

    if source is not None and not isinstance(source, MLP):
        raise TypeError(f"source must be an MLP, got {type(source).__name__}")
    if source is not None and tuple(source.layers) != tuple(layers):
        raise ValueError(f"source must have the layers {tuple(layers)}, got {tuple(source.layers)}")
    return source


# 255 * 255 times as many fit 31 bits
MOST_INPUTS = 33025


# --- quantising ----------------------------------------------------------------------------------


def quantize_mlp(model: MLP, calibration: ArrayLike | None, mode: Mode, method: Method) -> QuantizedMLP:
    """What :meth:`MLP.quantize` does."""
    if mode not in ("static", "dynamic"):
        raise ValueError(f"mode={mode!r} is not one of: static, dynamic")
    if np.any(model.layer_norm):
        raise ValueError("a model with layer_norm cannot be quantised")
    if mode == "static" and calibration is None:
        raise ValueError("calibration must be samples for mode='static', got None")
    count = len(model.weights)
    scales = [(1.0, 0)] * count
    if mode == "static":
        scales = input_scales(model, checked_samples("calibration", calibration, model.layers[0]), method)
    layers = []
    for weights, bias, activation, (scale, zero) in zip(
        model.weights, model.biases, activations_of(model), scales, strict=True
    ):
        packed = quantize(np.asarray(weights, np.float32), dtype="int8", symmetric=True, axis=1)
        layers.append(
            QuantizedLayer(packed.data, packed.scale, np.array(bias, np.float32), activation, float(scale), int(zero))
        )
    return QuantizedMLP(layers, output=model.output, mode=mode, source=copy.copy(model))


def checked_samples(name: str, X: ArrayLike | None, inputs: int) -> Floats:
    given = np.asarray(X)
    samples = np.atleast_2d(given)
    if not np.can_cast(samples.dtype, np.float32, "same_kind"):
        raise TypeError(f"{name} must be numeric and fit float32, got {samples.dtype}")
    with np.errstate(over="ignore"):
        samples = np.ascontiguousarray(samples, np.float32)
    if samples.ndim != 2 or samples.shape[1] != inputs or not len(samples):
        raise ValueError(f"{name} must have shape (samples, {inputs}) with at least one sample, got {given.shape}")
    if not np.isfinite(samples).all():
        raise ValueError(f"{name} must be finite, got NaN or infinity")
    return samples


def activations_of(model: MLP) -> list[str]:
    """Of every layer; the last one's is the identity where the output is a link."""
    hidden = model.activation
    names = [hidden] * (len(model.layers) - 2) if isinstance(hidden, str) else list(hidden)
    return [*names, model.output if model.output in FUNCTIONS and not links(model) else "identity"]


def links(model: MLP) -> bool:
    return model.output == "softmax" or (model.output == "sigmoid" and model.loss_function == "binary_cross_entropy")


def input_scales(model: MLP, samples: Floats, method: Method) -> list[tuple[float, int]]:
    """Scale and zero point of every layer's inputs, by a calibrator of its own, some samples at a time."""
    observers = [calibrator(method) for _ in model.weights]
    for first in range(0, len(samples), 4096):
        inputs = samples[first : first + 4096]
        for observer, (_, outputs) in zip(observers, forward(model, inputs), strict=True):
            observer.update(inputs)
            inputs = outputs
    return [observer.parameters("uint8", symmetric=False) for observer in observers]


def forward(model: MLP, inputs: Floats) -> Iterator[tuple[Floats, Floats]]:
    """Of every layer its sums and what its activation makes of them, in float32."""
    for weights, bias, activation in zip(model.weights, model.biases, activations_of(model), strict=True):
        sums = matmul(inputs, np.asarray(weights, np.float32)) + np.asarray(bias, np.float32)
        inputs = FUNCTIONS[activation](sums)
        yield sums, inputs


# --- comparing -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class LayerError:
    """What quantisation does to the outputs of a layer, all layers before it quantised as well.

    Attributes
    ----------
    max_error, mean_error : float
        Of the absolute differences.
    signal_to_noise : float
        10 log10 of the float outputs' mean square over that of the differences, in dB.
    """

    max_error: float
    mean_error: float
    signal_to_noise: float


@dataclass(frozen=True)
class QuantizationReport:
    """A float network and its quantised form on the same samples.

    Attributes
    ----------
    samples : int
        How many there were.
    max_error, mean_error : float
        Of the absolute differences of the predictions.
    agreement : float or None
        Share of samples with the same largest output, where there are several.
    metric : str or None
        ``"accuracy"`` for class labels (of a single probability: 0 and 1), ``"r2"`` otherwise; None where no targets
        were given.
    score, quantized_score : float or None
        Of the float and of the quantised network.
    layers : tuple of LayerError
        Layer by layer.
    bytes, quantized_bytes : int
        Of the parameters.
    """

    samples: int
    max_error: float
    mean_error: float
    agreement: float | None
    metric: str | None
    score: float | None
    quantized_score: float | None
    layers: tuple[LayerError, ...]
    bytes: int
    quantized_bytes: int

    @property
    def score_change(self) -> float | None:
        """The quantised network's score less that of the float one."""
        if self.score is None or self.quantized_score is None:
            return None
        return self.quantized_score - self.score

    def __str__(self) -> str:
        lines = [
            f"{self.samples} samples, parameters {self.bytes} -> {self.quantized_bytes} bytes",
            f"outputs      max error {self.max_error:.4g}, mean {self.mean_error:.4g}",
        ]
        if self.agreement is not None:
            lines.append(f"same class   {100 * self.agreement:.2f} %")
        if self.score is not None and self.score_change is not None:
            lines.append(f"{self.metric:12} {self.score:.4f} -> {self.quantized_score:.4f} ({self.score_change:+.4f})")
        for i, layer in enumerate(self.layers):
            lines.append(
                f"layer {i:<6} max error {layer.max_error:.4g}, mean {layer.mean_error:.4g}, "
                f"signal to noise {layer.signal_to_noise:.1f} dB"
            )
        return "\n".join(lines)


def compare(quantized: QuantizedMLP, X: ArrayLike, y: ArrayLike | None) -> QuantizationReport:
    """What :meth:`QuantizedMLP.compare` does."""
    samples = checked_samples("X", X, quantized.layers[0])
    source = quantized.source if quantized.source is not None else as_float(quantized)
    exact, found = np.asarray(source.predict(samples), np.float32), quantized.predict(samples)
    difference = np.abs(found - exact)
    several = exact.shape[1] > 1
    same = float(np.mean(exact.argmax(axis=1) == found.argmax(axis=1))) if several else None
    metric = score = quantized_score = None
    if y is not None:
        probability = quantized.output == "sigmoid"
        metric, score = scored(exact, y, probability)
        _, quantized_score = scored(found, y, probability)
    return QuantizationReport(
        samples=len(samples), max_error=float(difference.max()), mean_error=float(difference.mean()), agreement=same,
        metric=metric, score=score, quantized_score=quantized_score,
        layers=tuple(layer_errors(quantized, source, samples)),
        bytes=sum(a.nbytes for layer in source.parameters for a in layer), quantized_bytes=quantized.nbytes,
    )  # fmt: skip


def layer_errors(quantized: QuantizedMLP, source: MLP, samples: Floats) -> Iterator[LayerError]:
    layers = quantized.quantized_layers
    for i, (_, exact) in enumerate(forward(source, samples)):
        part = QuantizedMLP(layers[: i + 1], output=layers[i].activation, mode=quantized.mode)
        difference = np.abs(part.predict(samples) - exact).astype(np.float64)
        signal, noise = float(np.mean(np.square(exact, dtype=np.float64))), float(np.mean(difference**2))
        ratio = np.inf if noise == 0 else -np.inf if signal == 0 else 10 * np.log10(signal / noise)
        yield LayerError(float(difference.max()), float(difference.mean()), float(ratio))


def scored(outputs: Floats, y: ArrayLike, probability: bool) -> tuple[str, float]:
    """Accuracy for labels, R2 for targets of the outputs' shape.

    Where the output is a single probability, labels are 0 and 1.
    """
    targets = np.asarray(y)
    if targets.shape[:1] != outputs.shape[:1]:
        raise ValueError(f"y must have {len(outputs)} samples as X has, got shape {targets.shape}")
    if targets.ndim == 1 and outputs.shape[1] > 1:
        if targets.dtype.kind not in "iub":
            raise TypeError(f"y must be integer labels for a network of several outputs, got {targets.dtype}")
        return "accuracy", float(np.mean(outputs.argmax(axis=1) == targets))
    if probability and outputs.shape[1] == 1 and targets.size == len(outputs) and targets.dtype.kind in "iub":
        return "accuracy", float(np.mean((outputs > 0.5).ravel() == (targets.ravel() > 0)))
    if targets.dtype.kind not in "iubf":
        raise TypeError(f"y must be real numbers, got {targets.dtype}")
    targets = targets.reshape(len(outputs), -1).astype(np.float64)
    if targets.shape != outputs.shape:
        raise ValueError(f"y must have shape {outputs.shape}, got {np.shape(y)}")
    rest = np.sum((targets - outputs) ** 2)
    whole = np.sum((targets - targets.mean(axis=0)) ** 2)
    return "r2", float(1 - rest / whole) if whole > 0 else float("nan")


def as_float(quantized: QuantizedMLP) -> MLP:
    """A float network with the weights of a quantised one, dequantised."""
    from mlopt.nn.mlp import MLP

    layers = quantized.quantized_layers
    link = quantized.output if quantized.output != layers[-1].activation else None
    arguments: dict[str, Any] = {
        "activation": [layer.activation for layer in layers[:-1]],
        "output": quantized.output,
        "loss": {"softmax": "cross_entropy", "sigmoid": "binary_cross_entropy"}.get(str(link), "mse"),
    }
    model = MLP(quantized.layers, **arguments, rng=0)
    model.set_parameters([(layer.dequantized(), layer.bias) for layer in layers])
    return model
