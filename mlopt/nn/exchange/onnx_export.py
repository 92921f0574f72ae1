"""Models as ONNX graphs; of quantised ones, :mod:`.onnx_quantized_export` makes the graph."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from mlopt._extras import needs
from mlopt.nn.exchange.chain import Model
from mlopt.nn.exchange.files import arguments_of, check_model, write_whole
from mlopt.nn.exchange.onnx_quantized_export import quantized_proto
from mlopt.nn.exchange.onnx_writer import Writer
from mlopt.nn.lstm import LSTM
from mlopt.nn.quantized import QuantizedMLP

__all__ = ["to_onnx"]


def to_onnx(model: Model | QuantizedMLP, path: str | os.PathLike[str] | None = None) -> Any:
    """Make an ONNX graph of what a model predicts.

    Parameters
    ----------
    model : MLP, LSTM or QuantizedMLP
        The model.
    path : str or os.PathLike, optional
        A file to write as well.  It is complete or, after an error, what it was.

    Returns
    -------
    onnx.ModelProto
        With one input, ``input``: (samples, inputs), of an LSTM (samples, steps, inputs), and one output, ``output``:
        (samples, outputs), of an LSTM what it predicts at the last step; any number of samples and steps.  What is of
        training alone, dropout among it, is left out.

    Notes
    -----
    ONNX Runtime computes float32 models of all kinds; of float64, it has neither GELU nor LSTM.

    Of a quantised model with fixed scales, QuantizeLinear and DequantizeLinear stand around the layers; with scales
    from the data, it is DynamicQuantizeLinear and MatMulInteger, which take one range for all samples of a call.

    Examples
    --------
    >>> import mlopt
    >>> model = mlopt.nn.MLP([3, 8, 2], output="softmax", loss="cross_entropy", rng=0)
    >>> graph = mlopt.nn.to_onnx(model).graph
    >>> [node.op_type for node in graph.node]
    ['Gemm', 'Relu', 'Gemm', 'Softmax']
    """
    onnx = needs("onnx", extra="onnx")
    if isinstance(model, QuantizedMLP):
        return written(quantized_proto(onnx, model), path)
    check_model(model)
    writer = Writer(onnx, model.dtype)
    arguments = arguments_of(model)
    layers = list(model.parameters)
    if isinstance(model, LSTM):
        recurrent = arguments["num_layers"]
        shape: list[Any] = ["samples", "steps", arguments["inputs"]]
        widths = [arguments["hidden"], *arguments["head"]]
        writer.lstm(layers[:recurrent], arguments["hidden"])
        layers = layers[recurrent:]
    else:
        shape, widths = ["samples", arguments["layers"][0]], list(arguments["layers"])
    names = activations(arguments["activation"], len(layers) - 1)
    for i, layer in enumerate(layers):
        writer.dense(i, layer)
        writer.activation(i, names[i] if i < len(layers) - 1 else arguments["output"])
    return written(writer.model(shape, ["samples", widths[-1]]), path)


def written(proto: Any, path: str | os.PathLike[str] | None) -> Any:
    if path is not None:
        write_whole(path, [proto.SerializeToString()])
    return proto


def activations(names: str | Sequence[str], count: int) -> list[str]:
    return [names] * count if isinstance(names, str) else list(names)
