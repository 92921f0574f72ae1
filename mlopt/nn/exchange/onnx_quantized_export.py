"""Quantised models as ONNX graphs.

With fixed scales, QuantizeLinear and DequantizeLinear stand in front of every dense layer, and DequantizeLinear behind
its weights.  Biases are int32 where these are exactly the model's, as they are of most models that were read; otherwise
real numbers, added behind MatMul, so that nothing is rounded that the model does not round.  With scales from the data,
it is DynamicQuantizeLinear, MatMulInteger and the product with both scales.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mlopt.nn.exchange.onnx_writer import OPSET_WITH_GELU, Writer
from mlopt.nn.quantize import QuantizedLayer
from mlopt.nn.quantized import QuantizedMLP


def quantized_proto(onnx: Any, model: QuantizedMLP) -> Any:
    """The graph of a quantised model."""
    writer = QuantizedWriter(onnx, np.dtype(np.float32))
    writer.opset = OPSET_WITH_GELU  # of all, as the reference implementation has the operators on bytes from 19 on
    for i, layer in enumerate(model.quantized_layers):
        (writer.static_dense if model.mode == "static" else writer.dynamic_dense)(i, layer)
        writer.activation(i, layer.activation)
    if model.output != model.quantized_layers[-1].activation:
        writer.activation(len(model.quantized_layers), model.output)
    return writer.model(["samples", model.layers[0]], ["samples", model.layers[-1]])


class QuantizedWriter(Writer):
    """The writer of layers of bytes."""

    def static_dense(self, i: int, layer: QuantizedLayer) -> None:
        name = f"dense_{i}"
        scale = self.array(f"{name}_input_scale", np.float32(layer.input_scale))
        zero = self.array(f"{name}_input_zero_point", np.uint8(layer.input_zero_point))
        self.node("QuantizeLinear", [self.value, scale, zero], f"{name}_input_quantized")
        inputs = self.node("DequantizeLinear", [self.value, scale, zero], f"{name}_input")
        weights = self.node("DequantizeLinear", self.weights(name, layer), f"{name}_weights", axis=1)
        unit = np.float32(layer.input_scale) * layer.weight_scale
        sums = exact_sums(layer.bias, unit)
        if sums is None:
            self.node("MatMul", [inputs, weights], name)
            self.biases(name, layer)
        else:
            parts = [self.array(f"{name}_bias_sums", sums), self.array(f"{name}_bias_scale", unit)]
            bias = self.node("DequantizeLinear", parts, f"{name}_bias", axis=0)
            self.node("Gemm", [inputs, weights, bias], name)

    def dynamic_dense(self, i: int, layer: QuantizedLayer) -> None:
        name = f"dense_{i}"
        data, scale, zero = (f"{name}_input_{part}" for part in ("quantized", "scale", "zero_point"))
        self.node("DynamicQuantizeLinear", [self.value], f"{name}_input", [data, scale, zero])
        weights, weight_scale, _ = self.weights(name, layer)
        sums = self.node("MatMulInteger", [data, weights, zero], f"{name}_sums")
        real = self.node("Cast", [sums], f"{name}_sums_real", to=self.onnx.TensorProto.FLOAT)
        unit = self.node("Mul", [scale, weight_scale], f"{name}_scale")
        self.node("Mul", [real, unit], name)
        self.biases(name, layer)

    def weights(self, name: str, layer: QuantizedLayer) -> list[str]:
        """Bytes, scales and zero points."""
        zero = np.asarray(layer.weight_zero_point).astype(layer.weights.dtype)
        return [
            self.array(f"{name}_weights_quantized", layer.weights),
            self.array(f"{name}_weights_scale", layer.weight_scale), self.array(f"{name}_weights_zero_point", zero),
        ]  # fmt: skip

    def biases(self, name: str, layer: QuantizedLayer) -> None:
        self.node("Add", [self.value, self.array(f"{name}_bias", layer.bias)], f"{name}_biased")


def exact_sums(bias: Any, unit: Any) -> Any:
    """The int32 that give the biases exactly when they are multiplied by `unit`; None where there are none."""
    with np.errstate(all="ignore"):
        steps = np.rint(bias.astype(np.float64) / unit)
        if not (np.abs(steps) < 2**31).all():
            return None
        sums = steps.astype(np.int32)
        return sums if np.array_equal(sums.astype(np.float32) * unit, bias) else None
