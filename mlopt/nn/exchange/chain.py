"""The neutral form of a model, a list of layers, and the making of an MLP or LSTM from it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mlopt.nn.lstm import LSTM
from mlopt.nn.mlp import MLP

Floats: TypeAlias = NDArray[np.floating[Any]]
Model: TypeAlias = MLP | LSTM

LAYER_NORM_EPS = 1e-5
# Elements of diagonal layers that may be added to any model; beyond, no more than the model has itself.
SPARE_ELEMENTS = 1 << 22


@dataclass(frozen=True, eq=False)
class Dense:
    """``x @ weights + biases``, weights (inputs, outputs)."""

    where: str
    weights: Floats
    biases: Floats


@dataclass(frozen=True, eq=False)
class Affine:
    """``x * scale + shift`` of every feature, or of all with one number: batch normalisation, standardisation.

    In float64, made of numbers of type `dtype`.
    """

    where: str
    scale: Floats
    shift: Floats
    dtype: np.dtype[Any]

    @property
    def width(self) -> int | None:
        return max((part.size for part in (self.scale, self.shift) if part.ndim), default=None)


@dataclass(frozen=True, eq=False)
class LayerNorm:
    """Layer normalisation over all features, eps 1e-5; a gain of 1, a shift of 0 where there are none."""

    where: str
    width: int
    gain: Floats | None
    shift: Floats | None


@dataclass(frozen=True, eq=False)
class Activation:
    """One of the names that the models know, or softmax."""

    where: str
    name: str


@dataclass(frozen=True, eq=False)
class Dropout:
    """Inverted dropout, in training only."""

    where: str
    rate: float


@dataclass(frozen=True, eq=False)
class Recurrent:
    """One LSTM layer, gates input, forget, cell, output."""

    where: str
    input_weights: Floats
    recurrent_weights: Floats
    biases: Floats


Layer: TypeAlias = Dense | Affine | LayerNorm | Activation | Dropout | Recurrent


def affine_of_batch_norm(
    where: str, mean: Floats, variance: Floats, eps: float, gain: Floats | None, shift: Floats | None
) -> Affine:
    """Batch normalisation with fixed statistics."""
    if (variance < 0).any():
        raise ValueError(f"{where}: variances must be at least 0, got {variance.min()}")
    with np.errstate(all="ignore"):
        scale = 1 / np.sqrt(variance.astype(np.float64) + eps)
        if gain is not None:
            scale = scale * gain
        offset = -mean * scale
        if shift is not None:
            offset = offset + shift
    return Affine(where, scale, offset, mean.dtype)


@dataclass(eq=False)
class Unit:
    """One layer of a model: dense, normalisation, activation, dropout; each as far as it is there."""

    weights: Floats
    biases: Floats
    gain: Floats | None = None
    shift: Floats | None = None
    activation: str | None = None
    dropout: float = 0.0

    @property
    def open(self) -> bool:
        return self.activation is None and not self.dropout


def width_at_start(layers: Sequence[Layer]) -> int | None:
    """What the first layer that says so takes."""
    for layer in layers:
        if isinstance(layer, Dense):
            return int(layer.weights.shape[0])
        if isinstance(layer, LayerNorm):
            return layer.width
        if isinstance(layer, Affine) and layer.width is not None:
            return layer.width
    return None


class Folder:
    """Takes layers one by one and keeps the units that they amount to."""

    def __init__(self, width: int | None, spare: int) -> None:
        self.units: list[Unit] = []
        self.width = width
        self.spare = spare
        self.pending: Affine | None = None  # in front of the next dense layer

    def check_width(self, where: str, width: int) -> None:
        if self.width is not None and width != self.width:
            raise ValueError(f"{where} takes {width} values, but is given {self.width}")
        self.width = width

    def add(self, layer: Layer) -> None:
        if self.units and self.units[-1].activation == "softmax":
            if isinstance(layer, Activation) and layer.name == "identity":
                return
            raise ValueError(f"{layer.where}: softmax must be the last layer")
        match layer:
            case Dense():
                self.add_dense(layer)
            case Affine():
                self.add_affine(layer)
            case LayerNorm():
                self.check_width(layer.where, layer.width)
                unit = self.last(layer.where)
                if unit.gain is not None:
                    unit = self.insert(layer.where)
                unit.gain = np.ones(layer.width) if layer.gain is None else layer.gain
                unit.shift = np.zeros(layer.width) if layer.shift is None else layer.shift
            case Activation():
                if layer.name != "identity":
                    self.add_activation(layer)
            case Dropout():
                self.add_dropout(layer)

    def add_dense(self, layer: Dense) -> None:
        self.check_width(layer.where, layer.weights.shape[0])
        weights, biases = layer.weights, layer.biases
        if self.pending is not None:
            scale, shift = self.spread(self.pending)
            weights = weights.astype(np.float64)
            biases = biases + shift @ weights
            weights *= scale[:, None]
            self.pending = None
        self.units.append(Unit(weights, biases))
        self.width = layer.weights.shape[1]

    def add_affine(self, layer: Affine) -> None:
        if layer.width is not None:
            self.check_width(layer.where, layer.width)
        scale, shift = layer.scale, layer.shift
        if self.pending is not None:
            earlier = self.pending
            self.pending = Affine(earlier.where, earlier.scale * scale, earlier.shift * scale + shift, layer.dtype)
        elif self.units and self.units[-1].open:
            unit = self.units[-1]
            if unit.gain is not None and unit.shift is not None:
                unit.gain, unit.shift = unit.gain * scale, unit.shift * scale + shift
            else:
                unit.weights, unit.biases = unit.weights * scale, unit.biases * scale + shift
        else:
            self.pending = layer

    def add_activation(self, layer: Activation) -> None:
        if self.pending is None and self.units and self.units[-1].activation is None and layer.name == "relu":
            self.units[-1].activation = "relu"  # it commutes with the dropout that may be there
        else:
            self.last(layer.where).activation = layer.name

    def add_dropout(self, layer: Dropout) -> None:
        if not 0 <= layer.rate < 1:
            raise ValueError(f"{layer.where}: the rate must be in [0, 1), got {layer.rate}")
        if self.units:
            unit = self.units[-1]
            unit.dropout = 1 - (1 - unit.dropout) * (1 - layer.rate) if unit.dropout else layer.rate
        elif layer.rate:
            left_out(layer.where)

    def last(self, where: str) -> Unit:
        """The last unit, still without activation; a new one if there is none."""
        if self.pending is not None or not self.units or not self.units[-1].open:
            return self.insert(where)
        return self.units[-1]

    def insert(self, where: str) -> Unit:
        """A diagonal dense layer: of what is pending, or of ones."""
        if self.width is None:
            raise ValueError(f"{where}: there is no layer that says how many values it takes")
        self.spare -= self.width * self.width
        if self.spare < 0:
            raise ValueError(f"{where} has no dense layer next to it, and one of its width, {self.width}, in addition "
                             "would be larger than the model")  # fmt: skip
        if self.pending is None:
            unit = Unit(np.eye(self.width, dtype=np.float32), np.zeros(self.width))
        else:
            scale, shift = self.spread(self.pending)
            unit = Unit(np.diag(scale), shift)
            self.pending = None
        self.units.append(unit)
        return unit

    def spread(self, layer: Affine) -> tuple[Floats, Floats]:
        """Scale and shift of every feature."""
        return np.broadcast_to(layer.scale, (self.width or 0,)), np.broadcast_to(layer.shift, (self.width or 0,))

    def finish(self, where: str) -> list[Unit]:
        if self.pending is not None:
            self.insert(self.pending.where)
        if self.units and (self.units[-1].gain is not None):
            self.insert(where)  # a model's last layer has no normalisation
        if self.units and self.units[-1].dropout:
            left_out(where)
            self.units[-1].dropout = 0.0
        return self.units


def left_out(where: str) -> None:
    warnings.warn(
        f"{where}: dropout is left out where the model has no place for it; predictions are the same", stacklevel=2
    )


def fold(layers: Sequence[Layer], width: int | None = None) -> list[Unit]:
    """The units of dense layers and what stands between them; `width` is what the first one is given."""
    elements = sum(layer.weights.size for layer in layers if isinstance(layer, Dense))
    folder = Folder(width_at_start(layers) if width is None else width, SPARE_ELEMENTS + elements)
    with np.errstate(all="ignore"):
        for layer in layers:
            folder.add(layer)
        return folder.finish(layers[-1].where if layers else "the model")


def types_of(layer: Layer) -> Iterator[np.dtype[Any]]:
    if isinstance(layer, Affine):
        yield layer.dtype
    else:
        yield from (value.dtype for value in vars(layer).values() if isinstance(value, np.ndarray))


def dtype_of(layers: Sequence[Layer]) -> np.dtype[Any]:
    """The one type of all arrays."""
    found: np.dtype[Any] | None = None
    for layer in layers:
        for dtype in types_of(layer):
            if dtype not in (np.dtype(np.float32), np.dtype(np.float64)):
                raise ValueError(f"{layer.where} must hold float32 or float64, not {dtype}")
            if found is not None and dtype != found:
                raise ValueError(f"{layer.where} holds {dtype}, but what is in front of it {found}")
            found = dtype
    if found is None:
        raise ValueError("the model has no layer with parameters")
    return found


def output_of(units: list[Unit], loss: str | None) -> dict[str, Any]:
    """The arguments output and loss; a link decides the loss where none is named."""
    output = (units[-1].activation if units else None) or "identity"
    usual = {"softmax": "cross_entropy", "sigmoid": "binary_cross_entropy"}
    return {"output": output, "loss": usual.get(output, "mse") if loss is None else loss}


def build(layers: Sequence[Layer], *, loss: str | None = None, optimizer: Any = None) -> Model:
    """The model of a chain: an LSTM where it begins with one, an MLP otherwise."""
    dtype = dtype_of(layers)
    if any(isinstance(layer, Recurrent) for layer in layers):
        return build_lstm(layers, dtype, loss, optimizer)
    units = fold(layers)
    hidden = units[:-1]
    options: dict[str, Any] = {}
    if any(unit.dropout for unit in hidden):
        options["dropout"] = [unit.dropout for unit in hidden]
    if any(unit.gain is not None for unit in hidden):
        options["layer_norm"] = [unit.gain is not None for unit in hidden]
    if hidden:
        options["activation"] = one_or_each([unit.activation or "identity" for unit in hidden])
    widths = [units[0].weights.shape[0], *(unit.weights.shape[1] for unit in units)]
    model = MLP(widths, **output_of(units, loss), optimizer=optimizer, dtype=dtype, rng=0, **options)
    fill(model, units)
    return model


def build_lstm(layers: Sequence[Layer], dtype: np.dtype[Any], loss: str | None, optimizer: Any) -> LSTM:
    recurrent: list[Recurrent] = []
    rates: list[float] = []
    rest: list[Layer] = []
    for layer in layers:
        if isinstance(layer, Recurrent):
            if rest and not (recurrent and len(rest) == 1 and isinstance(rest[0], Dropout)):
                raise ValueError(f"{layer.where}: an LSTM must be the first layer, or follow another")
            if recurrent:
                rates.append(rest[0].rate if rest and isinstance(rest[0], Dropout) else 0.0)
            rest.clear()
            recurrent.append(layer)
        elif not (isinstance(layer, Activation) and layer.name == "identity"):
            rest.append(layer)
    first, hidden = recurrent[0], recurrent[0].recurrent_weights.shape[0]
    for layer in recurrent:
        inputs = first.input_weights.shape[0] if layer is first else hidden
        expected = ((inputs, 4 * hidden), (hidden, 4 * hidden), (4 * hidden,))
        if (layer.input_weights.shape, layer.recurrent_weights.shape, layer.biases.shape) != expected:
            raise ValueError(f"{layer.where}: all LSTM layers must have the first one's hidden size, {hidden}")
    if len(set(rates)) > 1:
        raise ValueError(f"{first.where}: dropout between LSTM layers must be the same everywhere, got {rates}")
    units = fold(rest, hidden)
    options: dict[str, Any] = {}
    if rates and rates[0]:
        options["dropout"] = rates[0]
    for unit in units[:-1]:
        if unit.gain is not None:
            raise ValueError("layer normalisation behind an LSTM is not supported")
        if unit.dropout:
            left_out("the head of the LSTM")
    if len(units) > 1:
        names = {unit.activation or "identity" for unit in units[:-1]}
        if len(names) > 1:
            raise ValueError(f"the hidden layers behind an LSTM must have one activation, got {sorted(names)}")
        options["activation"] = names.pop()
    if units:
        options["head"] = [unit.weights.shape[1] for unit in units]
    model = LSTM(
        first.input_weights.shape[0], hidden, len(recurrent), **output_of(units, loss), optimizer=optimizer,
        dtype=dtype, rng=0, **options,
    )  # fmt: skip
    fill(model, [*recurrent, *units])
    return model


def one_or_each(names: list[str]) -> str | list[str]:
    return names[0] if len(set(names)) == 1 else names


def fill(model: Model, layers: Sequence[Unit | Recurrent]) -> None:
    """Sets the parameters, rounded to the model's type."""
    values = []
    for layer in layers:
        if isinstance(layer, Recurrent):
            values.append([layer.input_weights, layer.recurrent_weights, layer.biases])
        else:
            norm = [] if layer.gain is None or layer.shift is None else [layer.gain, layer.shift]
            values.append([layer.weights, layer.biases, *norm])
    with np.errstate(all="ignore"):
        model.set_parameters(values)
