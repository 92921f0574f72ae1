"""The neutral form of a quantised model, and the making of a QuantizedMLP from it.

Besides the layers of :mod:`.chain` there are :class:`Rounding`, real numbers that become bytes and real numbers again,
and :class:`ByteDense`.  A QuantizedMLP rounds in front of its dense layers and nowhere else.  A rounding elsewhere, in
front of an activation or behind the last layer, is left out: results differ from the graph's by no more than that
rounding did, which is half a step, or what it cut off where its range was too small.  A range that begins at zero is
more than rounding: quantisers fold a Relu into it.  It becomes that Relu again, and where there is no place for one, a
dense layer with ones on its diagonal does exactly what the rounding does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlopt.nn.exchange.chain import SPARE_ELEMENTS, Activation, Affine, Dense, Dropout, Floats
from mlopt.nn.quantize import QuantizedLayer
from mlopt.nn.quantized import QuantizedMLP

SMALLEST_SCALE = float(np.finfo(np.float32).tiny)
NEVER_NEGATIVE = ("relu", "sigmoid")


@dataclass(frozen=True, eq=False)
class Rounding:
    """To uint8 and back; `scale` None for the range that each batch has itself."""

    where: str
    scale: float | None
    zero: int

    @property
    def cuts(self) -> bool:
        """Whether nothing negative is left."""
        return self.scale is not None and self.zero == 0


@dataclass(frozen=True, eq=False)
class ByteDense:
    """``x @ ((data - zero) * scale) + biases``; data (inputs, outputs) of int8 or uint8."""

    where: str
    data: NDArray[Any]
    scale: Floats
    zero: NDArray[Any]
    biases: Floats


@dataclass(eq=False)
class Open:
    """A layer of the model in the making."""

    where: str
    rounding: Rounding
    data: NDArray[Any]
    scale: Floats
    biases: Floats
    zero: NDArray[Any] = field(default_factory=lambda: np.zeros((), np.int32))
    activation: str | None = None


class QuantizedFolder:
    """Takes layers one by one and keeps the quantised layers that they amount to."""

    def __init__(self, width: int | None, spare: int) -> None:
        self.layers: list[Open] = []
        self.width = width
        self.spare = spare
        self.pending: Rounding | None = None  # what came behind the last layer
        self.softmax = False

    def add(self, layer: Any) -> None:
        if self.softmax and not isinstance(layer, Rounding) and getattr(layer, "name", "") != "identity":
            raise ValueError(f"{layer.where}: softmax must be the last layer")
        match layer:
            case Rounding():
                self.add_rounding(layer)
            case ByteDense():
                self.add_dense(layer)
            case Affine():
                self.add_affine(layer)
            case Activation():
                if layer.name != "identity":
                    self.add_activation(layer)
            case Dropout():
                pass
            case Dense():
                raise ValueError(f"{layer.where}: its weights must be int8 or uint8 behind DequantizeLinear, as those "
                                 "of other layers, but they are real")  # fmt: skip
            case _:
                kind = type(layer).__name__
                raise ValueError(f"{layer.where}: a quantised model has no {kind} layer")

    def add_rounding(self, layer: Rounding) -> None:
        before = self.pending
        if before is not None and before.cuts and not layer.cuts:
            self.insert(before)
        self.pending = layer

    def add_dense(self, layer: ByteDense) -> None:
        inputs, outputs = layer.data.shape
        if self.width is not None and inputs != self.width:
            raise ValueError(f"{layer.where} takes {inputs} values, but is given {self.width}")
        if self.pending is None:
            raise ValueError(f"{layer.where}: its input is not quantised, QuantizeLinear and DequantizeLinear must be "
                             "in front of it")  # fmt: skip
        self.layers.append(Open(layer.where, self.pending, layer.data, layer.scale, layer.biases, layer.zero))
        self.pending, self.width = None, outputs

    def add_affine(self, layer: Affine) -> None:
        if layer.width not in (None, self.width):
            raise ValueError(f"{layer.where} takes {layer.width} values, but is given {self.width}")
        if self.pending is not None and self.pending.cuts:
            self.insert(self.pending)
        if not self.layers or self.layers[-1].activation is not None:
            raise ValueError(f"{layer.where}: arithmetic must follow a dense layer directly")
        if not (layer.scale > 0).all():
            raise ValueError(f"{layer.where}: a factor must be positive, as scales are")
        self.pending, last = None, self.layers[-1]
        last.scale, last.biases = last.scale * layer.scale, last.biases * layer.scale + layer.shift

    def add_activation(self, layer: Activation) -> None:
        last = self.layers[-1] if self.layers else None
        cuts = self.pending is not None and self.pending.cuts
        if last is None or last.activation is not None or (cuts and layer.name != "relu"):
            if self.pending is None:
                raise ValueError(f"{layer.where}: an activation must follow a dense layer, or what is quantised")
            last = self.insert(self.pending)
        self.pending = None
        if layer.name == "softmax":
            self.softmax = True
        else:
            last.activation = layer.name

    def floor(self) -> None:
        """Makes the last layer do what a rounding behind it does to negative numbers."""
        if self.pending is None or not self.pending.cuts or self.layers[-1].activation in NEVER_NEGATIVE:
            return
        if self.layers[-1].activation is None:
            self.layers[-1].activation = "relu"
        else:
            self.insert(self.pending)

    def insert(self, rounding: Rounding) -> Open:
        """A diagonal layer that rounds."""
        if self.width is None:
            raise ValueError(f"{rounding.where}: there is no layer that says how many values it takes")
        self.spare -= self.width * self.width
        if self.spare < 0:
            raise ValueError(f"{rounding.where} has no dense layer next to it, and one of its width, {self.width}, in "
                             "addition would be larger than the model")  # fmt: skip
        data = np.eye(self.width, dtype=np.int8)
        self.layers.append(Open(rounding.where, rounding, data, np.ones(self.width), np.zeros(self.width)))
        self.pending = None
        return self.layers[-1]

    def finish(self) -> None:
        if not self.layers:
            raise ValueError("the model has no dense layer")
        if not self.softmax:
            self.floor()


def build_quantized(layers: Sequence[Any], source: Any = None) -> QuantizedMLP:
    """The model of a chain."""
    denses = [layer for layer in layers if isinstance(layer, ByteDense)]
    width = denses[0].data.shape[0] if denses else None
    folder = QuantizedFolder(width, SPARE_ELEMENTS + sum(layer.data.size for layer in denses))
    with np.errstate(all="ignore"):
        for layer in layers:
            folder.add(layer)
        folder.finish()
        dynamic = {layer.rounding.scale is None for layer in folder.layers}
        if len(dynamic) > 1:
            raise ValueError("some layers have scales for their inputs, others take them from the data: "
                             "expected one of both")  # fmt: skip
        finished = [finished_layer(layer) for layer in folder.layers]
    output = "softmax" if folder.softmax else finished[-1].activation
    return QuantizedMLP(finished, output=output, mode="dynamic" if dynamic.pop() else "static", source=source)


def finished_layer(layer: Open) -> QuantizedLayer:
    data, zero = centred(layer.data, layer.zero)
    scale = layer.scale.astype(np.float32)
    rounding = layer.rounding
    if rounding.scale is None and (data.dtype != np.int8 or zero.any()):
        raise ValueError(f"{layer.where}: weights less their zero points must fit int8 where scales of inputs come "
                         "from the data")  # fmt: skip
    products = scale * np.float32(1.0 if rounding.scale is None else rounding.scale)
    if not (np.isfinite(products).all() and scale.min(initial=1) >= SMALLEST_SCALE):
        raise ValueError(f"{layer.where}: its scales must be at least {SMALLEST_SCALE} and their products finite")
    try:
        return QuantizedLayer(
            data, scale, layer.biases.astype(np.float32), layer.activation or "identity", rounding.scale or 1.0,
            rounding.zero, zero,
        )  # fmt: skip
    except ValueError as error:
        raise ValueError(f"{layer.where}: {error}") from None


def centred(data: NDArray[Any], zero: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """The same weights as int8 without zero points, which is fastest, where they fit."""
    if data.dtype == np.int8 and not zero.any():
        return data, zero
    moved = data.astype(np.int16) - zero.astype(np.int16)
    if moved.min(initial=0) >= -128 and moved.max(initial=0) <= 127:
        return moved.astype(np.int8), np.zeros((), np.int32)
    return data, zero
