"""Quantised models from ONNX graphs: the operators on bytes, in addition to those of :mod:`.onnx_operators`.

Three ways of writing a quantised model are read:

- QDQ: QuantizeLinear and DequantizeLinear around the operators on real numbers;
- QOperator: QuantizeLinear, then QLinearMatMul, QGemm, QLinearAdd and their like, then DequantizeLinear;
- dynamic: DynamicQuantizeLinear, MatMulInteger, Cast and Mul, or what ONNX Runtime makes of them.

int8 data are what uint8 data with a zero point greater by 128 are, and become these.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mlopt.nn.exchange.chain import Activation, Affine
from mlopt.nn.exchange.onnx_graph import FEATURES, Array, Link, Node, Stream, Walk, follow, settled
from mlopt.nn.exchange.onnx_operators import OPERATORS, arithmetic, cast, gemm, matmul, row, transpose
from mlopt.nn.exchange.quantized_chain import SMALLEST_SCALE, ByteDense, Rounding, build_quantized
from mlopt.nn.quantized import QuantizedMLP

BYTES = (np.dtype(np.int8), np.dtype(np.uint8))


def quantized_from(onnx: Any, model: Any) -> QuantizedMLP:
    """The model of a graph that was checked."""
    return build_quantized(Walk(onnx, model, OPERATORS | QUANTIZED, QuantizedNode).layers())


# --- values --------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Parameters:
    """Scales and zero points, one or one for each channel, of int8 or uint8."""

    scale: Array
    zero: Array

    def agree(self, other: Parameters) -> bool:
        return (
            self.zero.dtype == other.zero.dtype
            and np.array_equal(self.scale, other.scale)
            and np.array_equal(self.zero, other.zero)
        )


@dataclass(frozen=True, eq=False)
class Bytes:
    """The data as bytes, one scale and zero point for all."""

    stream: Stream
    parameters: Parameters


@dataclass(frozen=True, eq=False)
class Weights:
    """A constant matrix as bytes; `axis` of the channels that scales and zero points belong to."""

    data: Array
    parameters: Parameters
    axis: int

    @property
    def T(self) -> Weights:
        return Weights(self.data.T, self.parameters, 1 - self.axis)

    def real(self) -> Array:
        return dequantized(self.data, self.parameters, self.axis)


@dataclass(frozen=True, eq=False)
class Dynamic:
    """An output of DynamicQuantizeLinear: ``"bytes"``, ``"scale"`` or ``"zero"``; or ``"scales"``, times `factor`."""

    stream: Stream
    part: str
    factor: Array | None = None


@dataclass(frozen=True, eq=False)
class Sums:
    """What MatMulInteger makes of :class:`Dynamic` bytes; `real` behind Cast."""

    stream: Stream
    data: Array
    zero: Array
    real: bool = False


class QuantizedNode(Node):
    """A node whose constants may be quantised."""

    def constant(self, position: int, ndim: int | None = None) -> Array:
        value: Any = self.value(position)
        if isinstance(value, Weights):
            real = value.real()
            if ndim in (None, real.ndim):
                return real
        return super().constant(position, ndim)

    def parameters(self, scale: int, zero: int, default: Any = np.uint8) -> Parameters:
        """Of a scale and a zero point that is optional."""
        scales = self.constant(scale)
        if scales.dtype != np.float32 or scales.ndim > 1 or scales.size == 0:
            raise self.refuse(f"the scale, input {scale}, must be one float32 or a vector, "
                              f"it is {scales.dtype} of shape {scales.shape}")  # fmt: skip
        if not (np.isfinite(scales).all() and (scales >= SMALLEST_SCALE).all()):
            raise self.refuse(f"the scale, input {scale}, must be positive, finite and not below {SMALLEST_SCALE}")
        zeros = self.constant(zero) if self.has(zero) else np.zeros(scales.shape, default)
        if zeros.ndim > 1 or zeros.size not in (1, scales.size):
            raise self.refuse(f"the zero point, input {zero}, must have the scale's shape, {scales.shape}, "
                              f"it has {zeros.shape}")  # fmt: skip
        self.walk.left -= scales.size + zeros.size
        return Parameters(scales.reshape(-1), np.broadcast_to(zeros.reshape(-1), (scales.size,)))

    def parameters_of_data(self, scale: int, zero: int) -> Parameters:
        found = self.parameters(scale, zero)
        if found.scale.size != 1:
            raise self.refuse("the data must have one scale, not one for each channel")
        if found.zero.dtype not in BYTES:
            raise self.refuse(f"the data must become int8 or uint8, not {found.zero.dtype}")
        return found

    def bytes(self, position: int, scale: int, zero: int) -> Stream:
        """The real numbers that bytes of the data stand for."""
        value: Any = self.value(position)
        if not isinstance(value, Bytes):
            raise self.refuse(f"input {position} must be data that was quantised")
        if not value.parameters.agree(self.parameters_of_data(scale, zero)):
            raise self.refuse(f"input {position} was quantised with another scale or zero point")
        return rounded(self, value)

    def weights(self, position: int, scale: int, zero: int) -> Weights:
        """Weights (inputs, outputs) with scales of their columns."""
        data = self.constant_bytes(position)
        parameters = self.parameters(scale, zero, data.dtype)
        if parameters.zero.dtype != data.dtype:
            raise self.refuse(f"the zero point, input {zero}, must be {data.dtype} as the weights are")
        return Weights(data, parameters, 1)

    def constant_bytes(self, position: int) -> Array:
        data = self.constant(position, 2)
        if data.dtype not in BYTES:
            raise self.refuse(f"input {position} must be int8 or uint8, not {data.dtype}")
        self.walk.left -= data.size
        if self.walk.left < 0:
            raise self.refuse("the parameters that nodes share are too many to be copied for each")
        return data


def dequantized(data: Array, parameters: Parameters, axis: int) -> Array:
    """Real numbers, float32, as DequantizeLinear computes them."""
    shape = [1] * data.ndim
    if parameters.scale.size > 1:
        shape[axis] = -1
    else:
        shape = [1] * min(data.ndim, 1) if data.ndim else []
    scale, zero = (part.reshape(shape) for part in (parameters.scale, parameters.zero))
    real: Array = (data.astype(np.int64) - zero).astype(np.float32) * scale
    return real


def rounded(node: Node, value: Bytes) -> Stream:
    zero = value.parameters.zero
    offset = 128 if zero.dtype == np.int8 else 0
    return follow(value.stream, Rounding(node.where, float(value.parameters.scale[0]), int(zero[0]) + offset))


# --- QDQ -----------------------------------------------------------------------------------------


def plain_attributes(node: QuantizedNode) -> None:
    if node.attribute("block_size", 0):
        raise node.refuse("scales of blocks are not supported")


def quantize_linear(node: QuantizedNode) -> Any:
    plain_attributes(node)
    value = node.value(0)
    if isinstance(value, Stream):
        return Bytes(settled(node.where, value), node.parameters_of_data(1, 2))
    values = node.numbers(0)
    parameters = node.parameters(1, 2)
    axis = channel_axis(node, values, parameters)
    if parameters.zero.dtype not in BYTES:
        raise node.refuse(f"constants must become int8 or uint8, not {parameters.zero.dtype}")
    limits = np.iinfo(parameters.zero.dtype)
    shape = [-1 if i == axis and parameters.scale.size > 1 else 1 for i in range(values.ndim)]
    scale, zero = (part.reshape(shape) for part in (parameters.scale, parameters.zero))
    steps = np.nan_to_num(np.rint(values / scale), nan=-np.inf) + zero
    return np.clip(steps, limits.min, limits.max).astype(parameters.zero.dtype)


def channel_axis(node: QuantizedNode, values: Array, parameters: Parameters) -> int:
    if parameters.scale.size == 1:
        return 1
    axis = node.axis(node.attribute("axis", 1), values.ndim)
    if values.shape[axis] != parameters.scale.size:
        raise node.refuse(f"{parameters.scale.size} scales do not fit axis {axis} of shape {values.shape}")
    return axis


def dequantize_linear(node: QuantizedNode) -> Any:
    plain_attributes(node)
    value: Any = node.value(0)
    if isinstance(value, Bytes):
        return node.bytes(0, 1, 2)
    if not isinstance(value, np.ndarray) or value.dtype not in (*BYTES, np.dtype(np.int32)):
        raise node.refuse("its input must be data that was quantised, or a constant of int8, uint8 or int32")
    parameters = node.parameters(1, 2, value.dtype)
    if parameters.zero.dtype != value.dtype or (value.dtype == np.int32 and parameters.zero.any()):
        raise node.refuse(f"its zero point must be {value.dtype} as its input is, and 0 where that is int32")
    axis = channel_axis(node, value, parameters)
    if value.ndim == 2 and value.size and value.dtype in BYTES:
        return Weights(value, parameters, axis)
    node.walk.left -= value.size
    if node.walk.left < 0:
        raise node.refuse("the parameters that nodes share are too many to be copied for each")
    return dequantized(value, parameters, axis)


def byte_dense(node: QuantizedNode, stream: Stream, weights: Weights, biases: Array | None) -> Stream:
    inputs, outputs = weights.data.shape
    if stream.axes[-1] != FEATURES:
        raise node.refuse(f"the last axis must be the features, but the axes are ({', '.join(stream.axes)})")
    if stream.width not in (None, inputs):
        raise node.refuse(f"the weights take {inputs} values, but are given {stream.width}")
    scale, zero = weights.parameters.scale, weights.parameters.zero
    if scale.size != 1 and weights.axis != 1:
        raise node.refuse("scales of the weights must belong to outputs, they belong to inputs")
    if scale.size not in (1, outputs):
        raise node.refuse(f"{scale.size} scales do not fit {outputs} outputs")
    if not inputs or not outputs:
        raise node.refuse(f"weights must have elements, their shape is {weights.data.shape}")
    layer = ByteDense(
        node.where, weights.data, np.broadcast_to(scale, outputs), np.broadcast_to(zero.astype(np.int32), outputs),
        np.zeros(outputs) if biases is None else np.broadcast_to(biases, outputs),
    )  # fmt: skip
    return follow(stream, layer, outputs)


def taken(node: QuantizedNode, weights: Weights) -> Weights:
    """Weights that this node's layer will have."""
    node.walk.left -= weights.data.size
    if node.walk.left < 0:
        raise node.refuse("the parameters that nodes share are too many to be copied for each")
    return weights


def quantized_matmul(node: QuantizedNode) -> Any:
    weights: Any = node.value(1)
    if not isinstance(weights, Weights):
        return matmul(node)
    return byte_dense(node, node.stream(), taken(node, weights), None)


def quantized_gemm(node: QuantizedNode) -> Any:
    weights: Any = node.value(1)
    if not isinstance(weights, Weights):
        return gemm(node)
    stream = node.stream()
    if len(stream.axes) != 2 or node.attribute("transA", 0):
        raise node.refuse("the first input must be (samples, features), not transposed")
    if node.attribute("alpha", 1.0) != 1 or node.attribute("beta", 1.0) != 1:
        raise node.refuse("alpha and beta must be 1")
    weights = weights.T if node.attribute("transB", 0) else weights
    biases = row(node, node.numbers(2), weights.data.shape[1]) if node.has(2) else None
    return byte_dense(node, stream, taken(node, weights), biases)


def quantized_transpose(node: QuantizedNode) -> Any:
    value: Any = node.value(0)
    if not isinstance(value, Weights):
        return transpose(node)
    order = list(node.attribute("perm", [1, 0]))
    if order not in ([0, 1], [1, 0]):
        raise node.refuse(f"perm must order 2 axes, got {order}")
    return value if order == [0, 1] else value.T


def unrounded(link: Link | None) -> Link | None:
    """What is in front of the roundings at the end."""
    while link is not None and isinstance(link.layer, Rounding):
        link = link.before
    return link


def silu_of(node: QuantizedNode, a: Stream, b: Stream) -> Stream | None:
    """The product of data and their sigmoid, rounded or not."""
    for x, factor in ((a, b), (b, a)):
        last = unrounded(factor.link)
        if last is None or not isinstance(last.layer, Activation) or last.layer.name != "sigmoid":
            continue
        if unrounded(last.before) is unrounded(x.link) and x.axes == factor.axes:
            return follow(x, Activation(node.where, "silu"))
    return None


# --- QOperator -----------------------------------------------------------------------------------


def qlinear_matmul(node: QuantizedNode) -> Any:
    stream = byte_dense(node, node.bytes(0, 1, 2), node.weights(3, 4, 5), None)
    return Bytes(stream, node.parameters_of_data(6, 7))


def qgemm(node: QuantizedNode) -> Any:
    stream, weights = node.bytes(0, 1, 2), node.weights(3, 4, 5)
    if len(stream.axes) != 2 or node.attribute("transA", 0):
        raise node.refuse("the first input must be (samples, features), not transposed")
    if node.attribute("alpha", 1.0) != 1:
        raise node.refuse("alpha must be 1")
    if node.attribute("transB", 0):
        weights = replace(weights, data=weights.data.T)
    biases = None
    if node.has(6):
        sums = node.constant(6)
        if sums.dtype != np.int32:
            raise node.refuse(f"input 6 must be int32, not {sums.dtype}")
        unit = node.constant(1).reshape(-1) * weights.parameters.scale
        biases = row(node, sums, weights.data.shape[1]).astype(np.float32) * unit
    after = byte_dense(node, stream, weights, biases)
    return Bytes(after, node.parameters_of_data(7, 8)) if node.has(7) else after


def qlinear_add(node: QuantizedNode) -> Any:
    """Of data and a constant, whichever comes first."""
    data, other = (0, 3) if isinstance(node.value(0), Bytes) else (3, 0)
    stream, parameters = node.bytes(data, data + 1, data + 2), node.parameters(other + 1, other + 2)
    constant = node.constant(other)
    if constant.dtype != parameters.zero.dtype or parameters.scale.size != 1:
        raise node.refuse("the constant must have one scale, and a zero point of its own type")
    node.walk.left -= constant.size
    real = dequantized(constant, parameters, 0)
    shift = row(node, real, constant.size if stream.width is None else stream.width)
    return Bytes(follow(stream, Affine(node.where, np.ones(()), shift, real.dtype)), node.parameters_of_data(6, 7))


def qlinear_mul(node: QuantizedNode) -> Any:
    """Of data and their sigmoid."""
    product = silu_of(node, node.bytes(0, 1, 2), node.bytes(3, 4, 5))
    if product is None:
        raise node.refuse("of products of data, only x Sigmoid(x) is supported")
    return Bytes(product, node.parameters_of_data(6, 7))


def qlinear_activation(name: str) -> Callable[[QuantizedNode], Any]:
    def activation(node: QuantizedNode) -> Any:
        stream = node.bytes(0, 1, 2)
        if name == "softmax" and node.axis(node.attribute("axis", -1), len(stream.axes)) != len(stream.axes) - 1:
            raise node.refuse("axis must be the features', the last")
        return Bytes(follow(stream, Activation(node.where, name)), node.parameters_of_data(3, 4))

    return activation


# --- dynamic -------------------------------------------------------------------------------------


def dynamic_quantize_linear(node: QuantizedNode) -> Any:
    stream = node.stream()
    return [Dynamic(stream, part) for part in ("bytes", "scale", "zero")]


def dynamic_part(node: QuantizedNode, position: int, part: str, stream: Stream | None = None) -> Stream:
    value: Any = node.value(position)
    if not isinstance(value, Dynamic) or value.part != part or (stream is not None and value.stream is not stream):
        raise node.refuse(f"input {position} must be the {part} of DynamicQuantizeLinear, of the same data")
    return value.stream


def matmul_integer(node: QuantizedNode) -> Any:
    stream = dynamic_part(node, 0, "bytes")
    dynamic_part(node, 2, "zero", stream)
    data = node.constant_bytes(1)
    zero = node.constant(3).reshape(-1) if node.has(3) else np.zeros(1, data.dtype)
    if zero.dtype != data.dtype or zero.size not in (1, data.shape[1]):
        raise node.refuse(f"input 3 must be zero points of {data.dtype}, one or one for each output")
    return Sums(stream, data, zero)


def quantized_cast(node: QuantizedNode) -> Any:
    value: Any = node.value(0)
    if not isinstance(value, Sums):
        return cast(node)
    if node.attribute("to", 0) != node.walk.onnx.TensorProto.FLOAT:
        raise node.refuse("sums must become float32")
    return replace(value, real=True)


def quantized_arithmetic(node: QuantizedNode) -> Any:
    """Mul of scales, and of sums with scales, in addition."""
    values: list[Any] = [node.value(0), node.value(1)]
    if node.proto.op_type == "Mul" and all(isinstance(value, Stream) for value in values):
        return silu_of(node, *(settled(node.where, value) for value in values)) or arithmetic(node)
    if not any(isinstance(value, Dynamic | Sums) for value in values):
        return arithmetic(node)
    if node.proto.op_type == "Mul":
        for position, (a, b) in enumerate((values, values[::-1])):
            if isinstance(a, Dynamic) and a.part == "scale" and isinstance(b, np.ndarray):
                return Dynamic(a.stream, "scales", node.parameters(1 - position, len(values)).scale)
            if isinstance(a, Sums) and a.real and isinstance(b, Dynamic) and b.factor is not None:
                if a.stream is not b.stream:
                    break
                return dynamic_dense(node, a.stream, Weights(a.data, Parameters(b.factor, a.zero), 1), None)
    raise node.refuse("sums must be multiplied with the scale of their data times that of the weights")


def dynamic_dense(node: QuantizedNode, stream: Stream, weights: Weights, biases: Array | None) -> Stream:
    return byte_dense(node, follow(stream, Rounding(node.where, None, 0)), weights, biases)


def biases_of(node: QuantizedNode, position: int, weights: Weights) -> Array | None:
    return row(node, node.numbers(position), weights.data.shape[1]) if node.has(position) else None


def dynamic_quantize_matmul(node: QuantizedNode) -> Any:
    weights = node.weights(1, 2, 3)
    return dynamic_dense(node, node.stream(), weights, biases_of(node, 4, weights))


def matmul_integer_to_float(node: QuantizedNode) -> Any:
    weights = node.weights(1, 3, 5)
    biases = biases_of(node, 6, weights)
    if isinstance(node.value(0), Bytes):
        return byte_dense(node, node.bytes(0, 2, 4), weights, biases)
    stream = dynamic_part(node, 0, "bytes")
    dynamic_part(node, 2, "scale", stream)
    dynamic_part(node, 4, "zero", stream)
    return dynamic_dense(node, stream, weights, biases)


QUANTIZED: dict[str, Callable[[Any], Any]] = {
    "Add": quantized_arithmetic, "Cast": quantized_cast, "DequantizeLinear": dequantize_linear,
    "Div": quantized_arithmetic, "DynamicQuantizeLinear": dynamic_quantize_linear,
    "DynamicQuantizeMatMul": dynamic_quantize_matmul, "Gemm": quantized_gemm, "MatMul": quantized_matmul,
    "MatMulInteger": matmul_integer, "MatMulIntegerToFloat": matmul_integer_to_float, "Mul": quantized_arithmetic,
    "QGemm": qgemm, "QLinearAdd": qlinear_add, "QLinearMatMul": qlinear_matmul,
    "QLinearMul": qlinear_mul,
    "QLinearSigmoid": qlinear_activation("sigmoid"), "QLinearSoftmax": qlinear_activation("softmax"),
    "QuantizeLinear": quantize_linear, "Sub": quantized_arithmetic, "Transpose": quantized_transpose,
}  # fmt: skip
