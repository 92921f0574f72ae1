"""Models from PyTorch modules."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from mlopt._extras import needs
from mlopt.nn.exchange.chain import (
    LAYER_NORM_EPS,
    Activation,
    Dense,
    Dropout,
    Floats,
    Layer,
    LayerNorm,
    Model,
    Recurrent,
    affine_of_batch_norm,
    build,
)

__all__ = ["from_torch"]

ACTIVATIONS = {"ReLU": "relu", "Tanh": "tanh", "Sigmoid": "sigmoid", "SiLU": "silu", "Identity": "identity"}


def from_torch(module: Any, *, loss: str | None = None, optimizer: Any = None) -> Model:
    """Make a model of PyTorch modules that run one after the other.

    Parameters
    ----------
    module : torch.nn.Module, or sequence of them
        A :class:`torch.nn.Sequential`, nested or not, one module, or a list of modules, of: Linear; ReLU, Tanh,
        Sigmoid, SiLU, exact GELU, Softmax as the last; Dropout; BatchNorm1d, which is folded into the dense layer next
        to it with the statistics of evaluation; LayerNorm; Identity and Flatten; one or more LSTM in front, of which
        the output at the last step goes on.
    loss : str, optional
        As of :class:`MLP`.  By default ``"cross_entropy"`` behind Softmax, ``"binary_cross_entropy"`` behind Sigmoid,
        ``"mse"`` otherwise; to train on a network that ends in logits, name it.
    optimizer : AdamW or SGD, optional
        Of the new model.

    Returns
    -------
    MLP or LSTM
        With copies of the parameters, in their type, float32 or float64.  An LSTM takes samples first, whatever
        ``batch_first`` was.

    Raises
    ------
    ValueError
        Where a module is of another kind: its position and type are named.

    Examples
    --------
    >>> import mlopt
    >>> from torch.nn import Linear, ReLU, Sequential, Softmax
    >>> network = Sequential(Linear(4, 8), ReLU(), Linear(8, 3), Softmax(dim=-1))
    >>> model = mlopt.nn.from_torch(network)
    >>> model.layers, model.activation, model.output
    ((4, 8, 3), 'relu', 'softmax')
    """
    torch = needs("torch", extra="torch")
    layers = [layer for where, part in flat(torch, module, "") for layer in layers_of(torch, where, part)]
    return build(layers, loss=loss, optimizer=optimizer)


def flat(torch: Any, module: Any, path: str) -> Iterator[tuple[str, Any]]:
    """(name for messages, module) in order, containers opened."""
    if type(module) in (list, tuple, torch.nn.Sequential, torch.nn.ModuleList):
        if isinstance(module, torch.nn.Module):
            check_hooks(f"module {path} ({type(module).__name__})" if path else type(module).__name__, module)
        for position, part in enumerate(module):
            yield from flat(torch, part, f"{path}.{position}" if path else str(position))
    else:
        yield f"layer {path or 0} ({type(module).__name__})", module


def check_hooks(where: str, module: Any) -> None:
    if module._forward_hooks or module._forward_pre_hooks:
        raise ValueError(f"{where} has forward hooks: what they do cannot be taken over; remove them first")


def array(where: str, tensor: Any) -> Floats:
    """A copy of a parameter."""
    if str(tensor.dtype) not in ("torch.float32", "torch.float64"):
        raise ValueError(f"{where} must hold float32 or float64, not {str(tensor.dtype).removeprefix('torch.')}")
    if tensor.is_meta:
        raise ValueError(f"{where} is on the meta device: it has no values")
    values: Floats = tensor.detach().cpu().numpy().copy()
    return values


def layers_of(torch: Any, where: str, module: Any) -> list[Layer]:
    nn = torch.nn
    kind = type(module)  # a subclass may compute anything
    name = kind.__name__ if getattr(nn, kind.__name__, None) is kind else ""
    if name:
        check_hooks(where, module)
    match name:
        case "Linear":
            weights = array(where, module.weight).T
            return [Dense(where, weights, bias(where, module, weights.shape[1], weights.dtype))]
        case "ReLU" | "Tanh" | "Sigmoid" | "SiLU" | "Identity":
            return [Activation(where, ACTIVATIONS[name])]
        case "GELU":
            if module.approximate != "none":
                raise ValueError(f"{where}: approximate={module.approximate!r} is not supported, only 'none'")
            return [Activation(where, "gelu")]
        case "Softmax":
            if module.dim not in (-1, 1):
                raise ValueError(f"{where}: dim must be -1 or 1, the features', got {module.dim}")
            return [Activation(where, "softmax")]
        case "Dropout":
            return [Dropout(where, float(module.p))]
        case "Flatten":
            if (module.start_dim, module.end_dim) != (1, -1):
                raise ValueError(f"{where}: only start_dim=1, end_dim=-1 is supported, got {module.extra_repr()}")
            return [Activation(where, "identity")]
        case "BatchNorm1d":
            return [batch_norm(where, module)]
        case "LayerNorm":
            return [layer_norm(where, module)]
        case "LSTM":
            return lstm(where, module)
    raise ValueError(f"{where} is not supported: Linear, ReLU, Tanh, Sigmoid, GELU, SiLU, Softmax, Dropout, "
                     "BatchNorm1d, LayerNorm, Identity, Flatten and LSTM are")  # fmt: skip


def bias(where: str, module: Any, size: int, dtype: np.dtype[Any]) -> Floats:
    return np.zeros(size, dtype) if module.bias is None else array(where, module.bias)


def batch_norm(where: str, module: Any) -> Layer:
    if module.running_mean is None:
        raise ValueError(f"{where} has no running statistics: track_running_stats must have been true")
    mean, variance = array(where, module.running_mean), array(where, module.running_var)
    gain = None if module.weight is None else array(where, module.weight)
    shift = None if module.bias is None else array(where, module.bias)
    return affine_of_batch_norm(where, mean, variance, module.eps, gain, shift)


def layer_norm(where: str, module: Any) -> Layer:
    if len(module.normalized_shape) != 1:
        raise ValueError(f"{where}: normalized_shape must be one number, got {tuple(module.normalized_shape)}")
    if module.eps != LAYER_NORM_EPS:
        raise ValueError(f"{where}: eps must be {LAYER_NORM_EPS}, got {module.eps}")
    (size,) = module.normalized_shape
    gain = None if module.weight is None else array(where, module.weight)
    shift = None if module.bias is None else array(where, module.bias)
    return LayerNorm(where, size, gain, shift)


def lstm(where: str, module: Any) -> list[Layer]:
    if module.bidirectional:
        raise ValueError(f"{where}: bidirectional=True is not supported")
    if module.proj_size:
        raise ValueError(f"{where}: proj_size={module.proj_size} is not supported, only 0")
    layers: list[Layer] = []
    for i in range(module.num_layers):
        if i and module.dropout:
            layers.append(Dropout(where, float(module.dropout)))
        inputs = array(where, getattr(module, f"weight_ih_l{i}")).T
        recurrent = array(where, getattr(module, f"weight_hh_l{i}")).T
        if module.bias:
            biases = array(where, getattr(module, f"bias_ih_l{i}")) + array(where, getattr(module, f"bias_hh_l{i}"))
        else:
            biases = np.zeros(inputs.shape[1], inputs.dtype)
        layers.append(Recurrent(where, inputs, recurrent, biases))
    return layers
