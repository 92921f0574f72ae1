"""The writer of ONNX graphs whose nodes follow one another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mlopt.nn.exchange.chain import LAYER_NORM_EPS, Floats

# operator sets: LayerNormalization came with 17, Gelu with 20; the IR versions are those of the releases that had them
OPSET, OPSET_WITH_GELU = (17, 8), (20, 9)
OPERATORS = {"relu": "Relu", "tanh": "Tanh", "sigmoid": "Sigmoid", "gelu": "Gelu"}
# ONNX keeps the gates as input, output, forget, cell
GATES_TO_ONNX = (0, 3, 1, 2)


class Writer:
    """Collects nodes that follow one another."""

    def __init__(self, onnx: Any, dtype: np.dtype[Any]) -> None:
        self.onnx = onnx
        self.dtype = dtype
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []
        self.value = "input"
        self.opset = OPSET

    def node(
        self, operator: str, inputs: list[str], name: str, outputs: list[str] | None = None, **options: Any
    ) -> str:
        outputs = [f"{name}_output"] if outputs is None else outputs
        self.nodes.append(self.onnx.helper.make_node(operator, inputs, outputs, name=name, **options))
        self.value = outputs[-1]
        return self.value

    def array(self, name: str, values: Any) -> str:
        self.initializers.append(self.onnx.numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def dense(self, i: int, layer: Sequence[Floats]) -> None:
        weights, biases, *norm = layer
        name = f"dense_{i}"
        parameters = [self.array(f"{name}_weights", weights), self.array(f"{name}_biases", biases)]
        self.node("Gemm", [self.value, *parameters], name)
        if norm:
            gain, shift = self.array(f"norm_{i}_gain", norm[0]), self.array(f"norm_{i}_shift", norm[1])
            self.node("LayerNormalization", [self.value, gain, shift], f"norm_{i}", axis=-1, epsilon=LAYER_NORM_EPS)

    def activation(self, i: int, kind: str) -> None:
        before, name = self.value, f"{kind}_{i}"
        match kind:
            case "identity":
                pass
            case "softmax":
                self.node("Softmax", [before], name, axis=-1)
            case "silu":
                self.node("Mul", [before, self.node("Sigmoid", [before], f"sigmoid_of_{name}")], name)
            case _:
                self.node(OPERATORS[kind], [before], name)
                if kind == "gelu":
                    self.opset = OPSET_WITH_GELU

    def lstm(self, layers: Sequence[Sequence[Floats]], hidden: int) -> None:
        # ONNX Runtime has layout 0 alone: steps first
        self.node("Transpose", [self.value], "steps_first", perm=[1, 0, 2])
        axes = [self.array(f"axis_{axis}", np.array([axis])) for axis in (0, 1)]
        for i, (inputs, recurrent, biases) in enumerate(layers):
            name, last = f"lstm_{i}", i == len(layers) - 1
            both = np.concatenate([onnx_gates(biases), np.zeros_like(biases)])
            arrays = [
                self.array(f"{name}_input_weights", onnx_gates(inputs.T)[np.newaxis]),
                self.array(f"{name}_recurrent_weights", onnx_gates(recurrent.T)[np.newaxis]),
                self.array(f"{name}_biases", both[np.newaxis]),
            ]
            outputs = ["", f"{name}_last"] if last else [f"{name}_steps"]
            self.node("LSTM", [self.value, *arrays], name, outputs, hidden_size=hidden)
            self.node("Squeeze", [self.value, axes[0 if last else 1]], f"{name}_squeezed")

    def model(self, inputs: list[Any], outputs: list[Any]) -> Any:
        helper = self.onnx.helper
        kind = helper.np_dtype_to_tensor_dtype(self.dtype)
        self.nodes[-1].output[-1] = "output"
        graph = helper.make_graph(
            self.nodes, "mlopt", [helper.make_tensor_value_info("input", kind, inputs)],
            [helper.make_tensor_value_info("output", kind, outputs)], self.initializers,
        )  # fmt: skip
        opset, ir_version = self.opset
        proto = helper.make_model(
            graph, producer_name="mlopt", ir_version=ir_version, opset_imports=[helper.make_opsetid("", opset)]
        )
        self.onnx.checker.check_model(proto)
        return proto


def onnx_gates(array: Floats) -> Floats:
    blocks = array.reshape(4, -1, *array.shape[1:])
    return blocks[list(GATES_TO_ONNX)].reshape(array.shape)
