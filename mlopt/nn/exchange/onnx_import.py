"""Models from ONNX graphs: the file, which is read with distrust and checked before anything follows the graph.

:mod:`.onnx_graph` walks over the nodes; what they do is in :mod:`.onnx_operators`, and of quantised graphs in
:mod:`.onnx_quantized`.
"""

from __future__ import annotations

import math
import os
import stat
from typing import Any

from mlopt._extras import needs
from mlopt.nn.exchange.chain import Model, build
from mlopt.nn.exchange.onnx_graph import MOST_DIMENSIONS, Walk, name_of
from mlopt.nn.exchange.onnx_operators import OPERATORS
from mlopt.nn.exchange.onnx_quantized import quantized_from
from mlopt.nn.quantized import QuantizedMLP

__all__ = ["from_onnx"]

# graphs with one of these are quantised; onnx_quantized.py reads them
BYTE_OPERATORS = frozenset({
    "DequantizeLinear", "DynamicQuantizeLinear", "DynamicQuantizeMatMul", "MatMulInteger", "MatMulIntegerToFloat",
    "QGemm", "QLinearAdd", "QLinearMatMul", "QLinearMul", "QLinearSigmoid", "QLinearSoftmax", "QuantizeLinear",
})  # fmt: skip
# those that ONNX Runtime adds to ONNX's own
CONTRIBUTED = frozenset(("com.microsoft", name) for name in BYTE_OPERATORS)


def from_onnx(source: Any, *, loss: str | None = None, optimizer: Any = None) -> Model | QuantizedMLP:
    """Make a model of an ONNX graph that is one chain of layers.

    Parameters
    ----------
    source : str, os.PathLike, bytes or onnx.ModelProto
        A file's path, its content, or a loaded model.  The file need not be trusted; tensors outside it are not read.
    loss : str, optional
        As of :class:`MLP`.  By default ``"cross_entropy"`` behind Softmax, ``"binary_cross_entropy"`` behind Sigmoid,
        ``"mse"`` otherwise.
    optimizer : AdamW or SGD, optional
        Of the new model.

    Returns
    -------
    MLP, LSTM or QuantizedMLP
        With the parameters in their type, float32 or float64.  An LSTM takes samples first, whatever the graph's order.
        A graph that computes with bytes becomes a QuantizedMLP.

    Raises
    ------
    ValueError
        Where the file is damaged, or a node is of a kind that no model has: its name and operator are named.

    Notes
    -----
    Understood are Gemm, MatMul and arithmetic with constants; Relu, Tanh, Sigmoid, SiLU and exact Gelu, also as PyTorch
    spells them out; LayerNormalization; Softmax as the last; BatchNormalization, which is folded into the dense layer
    next to it; Identity, Dropout, and Flatten, Reshape, Transpose, Squeeze and Gather where they only move the axes;
    LSTM, forward, from zeros, of which the last step goes on.

    Of quantised graphs: QuantizeLinear and DequantizeLinear around these, with one scale for data, and one for each
    output or one for all weights; QLinearMatMul, and ONNX Runtime's QGemm, QLinearAdd, QLinearMul, QLinearSigmoid and
    QLinearSoftmax; DynamicQuantizeLinear with MatMulInteger, DynamicQuantizeMatMul and MatMulIntegerToFloat.  Rounding
    in front of an activation or behind the last layer is left out; with scales from the data, each sample has its own
    range, where ONNX has one for a batch.

    Examples
    --------
    >>> import mlopt
    >>> model = mlopt.nn.MLP([3, 5, 2], activation="tanh", rng=0)
    >>> again = mlopt.nn.from_onnx(mlopt.nn.to_onnx(model))
    >>> again.layers, again.activation
    ((3, 5, 2), 'tanh')
    >>> bool((again.weights[0] == model.weights[0]).all())
    True
    """
    onnx = needs("onnx", extra="onnx")
    if isinstance(source, onnx.ModelProto):
        model = source
    elif isinstance(source, bytes | bytearray | memoryview):
        model = parsed(onnx, bytes(source))
    elif isinstance(source, str | os.PathLike):
        model = parsed(onnx, content(source))
    else:
        raise TypeError(f"source must be a path, bytes or an onnx.ModelProto, not {type(source).__name__}")
    check(onnx, model)
    if any(node.op_type in BYTE_OPERATORS for node in model.graph.node):
        if loss is not None or optimizer is not None:
            raise ValueError("source is quantised and cannot be trained: expected neither loss nor optimizer")
        return quantized_from(onnx, model)
    return build(Walk(onnx, model, OPERATORS).layers(), loss=loss, optimizer=optimizer)


# --- files ---------------------------------------------------------------------------------------


def content(path: str | os.PathLike[str]) -> bytes:
    with open(path, "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ValueError(f"source must be a regular file, {os.fspath(path)!r} is not")
        return file.read()


def parsed(onnx: Any, data: bytes) -> Any:
    errors = needs("google.protobuf.message", extra="onnx")  # comes with onnx
    try:
        return onnx.ModelProto.FromString(data)
    except errors.DecodeError as error:
        raise ValueError(f"source is not an ONNX model: {error}") from None


def check(onnx: Any, model: Any) -> None:
    """Everything that needs no understanding of the graph."""
    if model.functions or model.training_info:
        raise ValueError("source has functions or training information, which are not supported")
    graph = model.graph
    if graph.sparse_initializer:
        raise ValueError("source has sparse initializers, which are not supported")
    for tensor in graph.initializer:
        check_tensor(onnx, tensor, f"initializer {tensor.name!r}")
    for node in graph.node:
        where = name_of(node)
        if node.domain not in ("", "ai.onnx") and (node.domain, node.op_type) not in CONTRIBUTED:
            raise ValueError(f"{where} of the domain {node.domain!r} is not supported")
        for attribute in node.attribute:
            if attribute.HasField("g") or attribute.graphs or attribute.HasField("sparse_tensor"):
                raise ValueError(f"{where} is not supported")
            for tensor in (*([attribute.t] if attribute.HasField("t") else []), *attribute.tensors):
                check_tensor(onnx, tensor, f"{where}: attribute {attribute.name!r}")
    try:
        onnx.checker.check_model(model)
    except (onnx.checker.ValidationError, RuntimeError, ValueError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise ValueError(f"source is not a valid ONNX model: {reason}") from None


def check_tensor(onnx: Any, tensor: Any, where: str) -> None:
    """That the tensor is in the file, and as large as it says."""
    types = onnx.TensorProto
    if tensor.data_location == types.EXTERNAL or tensor.external_data:
        raise ValueError(f"{where} lies outside the file, where it is not read")
    dims = list(tensor.dims)
    if len(dims) > MOST_DIMENSIONS or any(size < 0 for size in dims):
        raise ValueError(f"{where} has the dimensions {dims[: MOST_DIMENSIONS + 1]}")
    kinds = {types.FLOAT: (4, "float_data"), types.DOUBLE: (8, "double_data"), types.INT64: (8, "int64_data"),
             types.INT32: (4, "int32_data"), types.BOOL: (1, "int32_data"), types.INT8: (1, "int32_data"),
             types.UINT8: (1, "int32_data")}  # fmt: skip
    if tensor.data_type not in kinds:
        raise ValueError(f"{where} must be float32, float64, int32, int64, int8, uint8 or bool, "
                         f"not data type {tensor.data_type}")  # fmt: skip
    size, field = kinds[tensor.data_type]
    if tensor.HasField("raw_data"):
        found, remainder = divmod(len(tensor.raw_data), size)
    else:
        found, remainder = len(getattr(tensor, field)), 0
    if remainder or found != math.prod(dims):
        raise ValueError(f"{where} has the dimensions {dims}, but data for {found} elements")
