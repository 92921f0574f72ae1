"""Quantised models in files of the safetensors format: what :mod:`.files` keeps of them, and checks.

The metadata's arguments hold widths, activations, output and mode; the tensors ``input_scale`` and
``input_zero_point`` one number a layer, and ``weights``, ``weight_scale``, ``weight_zero_point`` and ``bias`` with
``.0``, ``.1`` behind them what :class:`mlopt.nn.QuantizedLayer` says.  The float model that it came from is not kept.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlopt.nn.exchange.checks import Expected, check_arguments, is_list, is_string, is_width, parsed, short
from mlopt.nn.quantize import QuantizedLayer
from mlopt.nn.quantized import QuantizedMLP

KIND = "QuantizedMLP"
ARGUMENTS: dict[str, Expected] = {
    "layers": (lambda value: is_list(is_width)(value) and len(value) >= 2, "a list of at least two widths", True),
    "activation": (is_list(is_string), "a list of names", True),
    "output": (is_string, "a name", True),
    "mode": (lambda value: value in ("static", "dynamic"), "static or dynamic", True),
}  # fmt: skip


def contents(model: QuantizedMLP) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """The arguments and the tensors that a file keeps."""
    layers = model.quantized_layers
    arguments: dict[str, Any] = {
        "layers": list(model.layers), "activation": [layer.activation for layer in layers], "output": model.output,
        "mode": model.mode,
    }  # fmt: skip
    tensors: dict[str, NDArray[Any]] = {
        "input_scale": np.array([layer.input_scale for layer in layers], np.float32),
        "input_zero_point": np.array([layer.input_zero_point for layer in layers], np.uint8),
    }
    for i, layer in enumerate(layers):
        tensors |= {
            f"weights.{i}": layer.weights, f"weight_scale.{i}": layer.weight_scale, f"bias.{i}": layer.bias,
            f"weight_zero_point.{i}": np.asarray(layer.weight_zero_point).astype(layer.weights.dtype),
        }  # fmt: skip
    return arguments, tensors


def restored_quantized(metadata: dict[str, str], file: Any) -> QuantizedMLP:
    """The model of an open file, of which format, version and class were checked."""
    text = metadata.get("arguments")
    if not isinstance(text, str):
        raise ValueError("its metadata must have arguments")
    arguments = parsed(text, "its arguments")
    check_arguments(KIND, arguments, ARGUMENTS)
    widths, activations = arguments["layers"], arguments["activation"]
    count = len(widths) - 1
    if len(activations) != count:
        raise ValueError(f"its {KIND} has {len(activations)} activations for {count} layers")
    check_tensors(widths, file)
    get: Callable[[str], NDArray[Any]] = file.get_tensor
    scales, zeros = get("input_scale"), get("input_zero_point")
    layers = [
        QuantizedLayer(
            get(f"weights.{i}"), get(f"weight_scale.{i}"), get(f"bias.{i}"), activations[i], float(scales[i]),
            int(zeros[i]), get(f"weight_zero_point.{i}"),
        )
        for i in range(count)
    ]  # fmt: skip
    return QuantizedMLP(layers, output=arguments["output"], mode=arguments["mode"])


def check_tensors(widths: list[int], file: Any) -> None:
    """That there are these tensors, as large as the widths say, before anything is allocated."""
    count, either = len(widths) - 1, ("I8", "U8")
    allowed: dict[str, tuple[tuple[str, ...], list[int]]] = {
        "input_scale": (("F32",), [count]), "input_zero_point": (("U8",), [count]),
    }  # fmt: skip
    for i, (inputs, outputs) in enumerate(pairwise(widths)):
        allowed |= {
            f"weights.{i}": (either, [inputs, outputs]), f"weight_zero_point.{i}": (either, [outputs]),
            f"weight_scale.{i}": (("F32",), [outputs]), f"bias.{i}": (("F32",), [outputs]),
        }  # fmt: skip
    if (names := sorted(file.keys())) != sorted(allowed):
        raise ValueError(f"its tensors must be those of {count} layers, not {short(names)}")
    for name, (kinds, shape) in allowed.items():
        tensor = file.get_slice(name)
        if tensor.get_dtype() not in kinds or tensor.get_shape() != shape:
            raise ValueError(f"its tensor {name} is {tensor.get_dtype()} {short(tensor.get_shape())}, "
                             f"expected {' or '.join(kinds)} {shape}")  # fmt: skip
