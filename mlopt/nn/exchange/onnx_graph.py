"""The walk over an ONNX graph that keeps, for every value, what it is.

A value is an array known from the file (:class:`numpy.ndarray`), the data that runs through the model
(:class:`Stream`), the final states of several LSTM layers (:class:`States`), the shape of one of these
(:class:`Shape`), or an array of zeros (:class:`Zeros`), which LSTMs start from.  A stream knows the layers it has
passed and names its axes, so that what exporters put around an LSTM, transposed and reshaped, is followed without the
sizes.

:class:`Walk` is given the operators: functions that take a :class:`Node` and return the value of its output, or a list
of them.  It knows none itself; :mod:`.onnx_operators` and :mod:`.onnx_quantized` have them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mlopt.nn.exchange.chain import SPARE_ELEMENTS, Activation, Affine, Layer

Array: TypeAlias = NDArray[Any]
FEATURES, DIRECTION = "features", "direction"
MOST_DIMENSIONS = 8


# --- values --------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Link:
    """A layer and what comes before it; compared by identity."""

    before: Link | None
    layer: Any  # a Layer, or one of a quantised model


@dataclass(frozen=True, eq=False)
class Stream:
    """The data behind `link`, or a function of it that is not a layer yet.

    `form` is ``("plain",)``, ``("scaled", k)``: k x, ``("sigmoid",)``, ``("erf", s)``: erf(s x), ``("erf+1", s, k)``:
    k (1 + erf(s x)), or ``("x(erf+1)", s, k)``: x times that.
    """

    link: Link | None
    axes: tuple[str, ...]
    width: int | None
    time: str | None = None  # behind an LSTM, the axis of the steps
    form: tuple[Any, ...] = ("plain",)


@dataclass(frozen=True, eq=False)
class States:
    """The final states of LSTM layers, stacked on their first axis."""

    parts: tuple[Stream, ...]


@dataclass(frozen=True, eq=False)
class Shape:
    """Sizes, numbers or names of axes."""

    sizes: tuple[int | str, ...]


class Zeros:
    """An array of zeros of any shape."""


Value: TypeAlias = Array | Stream | States | Shape | Zeros


def array_of(onnx: Any, tensor: Any) -> Array:
    """The values of a tensor that was checked."""
    types = onnx.TensorProto
    kind, field = {
        types.FLOAT: ("<f4", "float_data"), types.DOUBLE: ("<f8", "double_data"), types.INT64: ("<i8", "int64_data"),
        types.INT32: ("<i4", "int32_data"), types.BOOL: ("?", "int32_data"), types.INT8: ("i1", "int32_data"),
        types.UINT8: ("u1", "int32_data"),
    }[tensor.data_type]  # fmt: skip
    if tensor.HasField("raw_data"):
        values = np.frombuffer(tensor.raw_data, np.uint8 if kind == "?" else kind)
    else:
        values = np.array(getattr(tensor, field), "<i4" if kind in ("i1", "u1") else kind)
        if kind in ("i1", "u1") and values.size and not np.array_equal(values, values.astype(kind)):
            raise ValueError(f"tensor {tensor.name!r} has values that are not bytes")
    return values.astype(np.dtype(kind).newbyteorder("="), copy=False).reshape(tuple(tensor.dims))


def follow(stream: Stream, layer: Any, width: int | None = None) -> Stream:
    width = stream.width if width is None else width
    return replace(stream, link=Link(stream.link, layer), form=("plain",), width=width)


def settled(where: str, stream: Stream) -> Stream:
    """The stream as the output of its last layer."""
    match stream.form:
        case ("plain",):
            return stream
        case ("scaled", k):
            scale = np.asarray(k)
            return follow(stream, Affine(where, scale.astype(np.float64), np.zeros(()), scale.dtype))
        case ("sigmoid",):
            return follow(stream, Activation(where, "sigmoid"))
    raise ValueError(f"{where}: what is computed with Erf in front of it is not the exact GELU")


def chain_of(link: Link | None) -> Iterator[Any]:
    found = []
    while link is not None:
        found.append(link.layer)
        link = link.before
    return iter(found[::-1])


# --- the walk ------------------------------------------------------------------------------------


def name_of(node: Any) -> str:
    return f"node {node.name or ', '.join(map(str, node.output))!r} ({node.op_type})"


class Node:
    """What an operator wants to know of its node."""

    def __init__(self, walk: Walk, proto: Any) -> None:
        self.walk = walk
        self.proto = proto
        self.where = name_of(proto)
        self.attributes = {attribute.name: attribute for attribute in proto.attribute}

    def refuse(self, reason: str) -> ValueError:
        return ValueError(f"{self.where}: {reason}")

    def attribute(self, name: str, default: Any) -> Any:
        """The value of an attribute, of its default's kind."""
        found = self.attributes.get(name)
        if found is None:
            return default
        value = self.walk.onnx.helper.get_attribute_value(found)
        return value.decode("utf-8", "replace") if isinstance(value, bytes) else value

    def has(self, position: int) -> bool:
        return position < len(self.proto.input) and self.proto.input[position] != ""

    def value(self, position: int) -> Value:
        if not self.has(position):
            raise self.refuse(f"input {position} is missing")
        name = self.proto.input[position]
        if name not in self.walk.values:
            raise self.refuse(f"input {name!r} is not a value that is followed")
        return self.walk.values[name]

    def stream(self, position: int = 0) -> Stream:
        """The data, as the output of a layer."""
        value = self.value(position)
        if not isinstance(value, Stream):
            raise self.refuse(f"input {position} must be what the layers in front of it make of the model's input")
        return settled(self.where, value)

    def constant(self, position: int, ndim: int | None = None) -> Array:
        value = self.value(position)
        if not isinstance(value, np.ndarray):
            raise self.refuse(f"input {position} must be constant")
        if ndim is not None and (value.ndim != ndim or value.size == 0):
            raise self.refuse(f"input {position} must have {ndim} dimensions and elements, its shape is {value.shape}")
        return value

    def numbers(self, position: int, ndim: int | None = None) -> Array:
        """A constant of floating-point numbers."""
        value = self.constant(position, ndim)
        if value.dtype.kind != "f":
            raise self.refuse(f"input {position} must be float32 or float64, not {value.dtype}")
        self.walk.left -= value.size
        if self.walk.left < 0:
            raise self.refuse("the parameters that nodes share are too many to be copied for each")
        return value

    def integers(self, position: int) -> list[int]:
        value = self.constant(position)
        if value.dtype.kind != "i" or value.size > MOST_DIMENSIONS:
            raise self.refuse(f"input {position} must be a few integers")
        return [int(number) for number in value.ravel()]

    def shape(self, position: int) -> tuple[int | str, ...]:
        value = self.value(position)
        return value.sizes if isinstance(value, Shape) else tuple(self.integers(position))

    def axes(self, ndim: int, position: int = 1) -> list[int]:
        """The axes of Squeeze and Unsqueeze, an attribute or an input."""
        found = list(self.attribute("axes", ())) or (self.integers(position) if self.has(position) else [])
        if not found:
            raise self.refuse("axes must be given")
        return [self.axis(axis, ndim) for axis in found]

    def axis(self, axis: int, ndim: int) -> int:
        if not -ndim <= axis < ndim:
            raise self.refuse(f"axis {axis} is not one of {ndim}")
        return axis % ndim


class Walk:
    """One pass over the nodes of a checked model.

    `operators` are found by their names in ONNX, and each is called with a `node`, a :class:`Node` or a kind of it.
    """

    def __init__(
        self, onnx: Any, model: Any, operators: Mapping[str, Callable[[Any], Any]], node: type[Node] = Node
    ) -> None:
        self.onnx = onnx
        self.operators = operators
        self.node = node
        self.graph = model.graph
        self.opset = max((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), default=1)
        self.values: dict[str, Value] = {tensor.name: array_of(onnx, tensor) for tensor in self.graph.initializer}
        self.sizes: dict[str, int] = {}  # of the input's axes, where the graph fixes them
        # nodes may share arrays, the model cannot: what is taken for it must not grow far beyond what the file has
        self.left = SPARE_ELEMENTS + sum(value.size for value in self.values.values() if isinstance(value, np.ndarray))

    def layers(self) -> list[Layer]:
        self.add_input()
        for node in self.graph.node:
            operator = self.operators.get(node.op_type)
            if operator is None:
                raise ValueError(f"{name_of(node)} is not supported")
            with np.errstate(all="ignore"):
                found = operator(self.node(self, node))
            results = found if isinstance(found, list) else [found]
            self.values.update((name, value) for name, value in zip(node.output, results, strict=False) if name)
        if len(self.graph.output) != 1:
            raise ValueError(f"the graph must have one output, it has {len(self.graph.output)}")
        name = self.graph.output[0].name
        stream = self.values.get(name)
        if not isinstance(stream, Stream):
            raise ValueError(f"output {name!r} must be what the layers make of the input")
        stream = settled(f"output {name!r}", stream)
        if stream.axes[-1] != FEATURES or len(stream.axes) != 2 or stream.time in stream.axes:
            raise ValueError(f"output {name!r} must be (samples, outputs), with an LSTM of its last step, "
                             f"but its axes are ({', '.join(stream.axes)})")  # fmt: skip
        return list(chain_of(stream.link))

    def add_input(self) -> None:
        entries = [entry for entry in self.graph.input if entry.name not in self.values]
        if len(entries) != 1:
            raise ValueError(f"the graph must have one input, it has {len(entries)}")
        entry = entries[0]
        shape = entry.type.tensor_type.shape.dim
        if not 2 <= len(shape) <= MOST_DIMENSIONS:
            raise ValueError(f"input {entry.name!r} has {len(shape)} dimensions, expected 2, or 3 of sequences")
        width = shape[-1].dim_value if shape[-1].HasField("dim_value") else None
        names = (*(f"axis {i}" for i in range(len(shape) - 1)), FEATURES)
        sized = [(name, size) for name, size in zip(names, shape, strict=True) if size.HasField("dim_value")]
        self.sizes = {name: size.dim_value for name, size in sized}
        self.values[entry.name] = Stream(None, names, width)
