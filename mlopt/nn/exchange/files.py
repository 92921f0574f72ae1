"""Models in files of the safetensors format, written whole and read with distrust.

The header's metadata says what the model is; the tensors are its state.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import numpy as np

from mlopt._extras import needs
from mlopt._files import whole_file
from mlopt.nn.exchange.chain import Model
from mlopt.nn.exchange.checks import (
    Expected,
    check_arguments,
    is_bool,
    is_list,
    is_none,
    is_number,
    is_string,
    is_width,
    one_of,
    parsed,
    short,
)
from mlopt.nn.exchange.quantized_file import KIND, contents, restored_quantized
from mlopt.nn.lstm import LSTM
from mlopt.nn.mlp import MLP
from mlopt.nn.optimizers import SGD, AdamW
from mlopt.nn.quantized import QuantizedMLP

__all__ = ["from_safetensors", "load", "save"]

FORMAT, VERSION = "mlopt.nn", "1"
TYPES = {"float32": "F32", "float64": "F64", "int64": "I64", "uint64": "U64"}

TENSORS = ("parameters", "moments", "steps", "seed")
NUMBERS = {"steps": "int64", "seed": "uint64"}


def save(model: Model | QuantizedMLP, path: str | os.PathLike[str]) -> None:
    """Write a model to a file: what it is, its parameters, and the optimiser's state.

    Parameters
    ----------
    model : MLP, LSTM or QuantizedMLP
        The model.
    path : str or os.PathLike
        The file, in the safetensors format.  It is complete or, after an error, what it was.

    See Also
    --------
    load : Reads it.

    Notes
    -----
    The file holds the tensors ``parameters``, ``moments``, ``steps`` and ``seed`` of :meth:`MLP.get_state`.  A learning
    rate that is a function of the step is kept as the number that it is at this step.  Of a QuantizedMLP it holds the
    layers' arrays, and not the float model that it came from.

    Examples
    --------
    >>> import mlopt, os, tempfile
    >>> model = mlopt.nn.MLP([3, 8, 2], rng=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "model.safetensors")
    ...     mlopt.nn.save(model, path)
    ...     again = mlopt.nn.load(path)
    >>> again.layers
    (3, 8, 2)
    """
    if isinstance(model, QuantizedMLP):
        save_quantized(model, path)
        return
    check_model(model)
    state = model.get_state()
    arguments = arguments_of(model)
    kind = type(model).__name__
    if unknown := arguments.keys() - ARGUMENTS[kind].keys():
        raise ValueError(f"model has the arguments {sorted(unknown)}, which a file of version {VERSION} does not keep")
    arguments["optimizer"] = optimizer_as_json(arguments["optimizer"], int(state["steps"]))
    metadata = {"format": FORMAT, "version": VERSION, "class": kind, "arguments": json.dumps(arguments)}
    tensors = {name: np.asarray(state[name], NUMBERS.get(name)) for name in TENSORS}
    write_whole(path, [needs("safetensors.numpy", extra="safetensors").save(tensors, metadata)])


def save_quantized(model: QuantizedMLP, path: str | os.PathLike[str]) -> None:
    arguments, tensors = contents(model)
    metadata = {"format": FORMAT, "version": VERSION, "class": KIND, "arguments": json.dumps(arguments)}
    write_whole(path, [needs("safetensors.numpy", extra="safetensors").save(tensors, metadata)])


def load(path: str | os.PathLike[str]) -> Model | QuantizedMLP:
    """Read a model that :func:`save` wrote; also called ``from_safetensors``.

    Parameters
    ----------
    path : str or os.PathLike
        The file.  It need not be trusted: nothing in it is executed, and no more memory is taken than its size
        justifies.

    Returns
    -------
    MLP, LSTM or QuantizedMLP
        In the state it was in; training goes on as if it had never stopped.

    Raises
    ------
    ValueError
        Where the file is not one of these, is of another version, or is damaged.

    Examples
    --------
    >>> import mlopt, os, tempfile
    >>> model = mlopt.nn.MLP([3, 8, 2], rng=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "model.safetensors")
    ...     mlopt.nn.save(model, path)
    ...     again = mlopt.nn.load(path)
    >>> bool((again.weights[0] == model.weights[0]).all())
    True
    """
    safetensors = needs("safetensors", extra="safetensors")
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            if is_quantized(file.metadata()):
                return restored_quantized(file.metadata(), file)
            kind, arguments = checked_metadata(file.metadata())
            check_tensors(kind, arguments, file)
            return restored(kind, arguments, {name: file.get_tensor(name) for name in TENSORS})
    except (safetensors.SafetensorError, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise ValueError(f"{os.fspath(path)!r} cannot be loaded: {error}") from None


from_safetensors = load


def arguments_of(model: Any) -> dict[str, Any]:
    """What the constructor was given."""
    return dict(model._arguments())


def check_model(model: Any) -> None:
    if not isinstance(model, MLP | LSTM):
        raise TypeError(f"model must be an MLP, LSTM or QuantizedMLP, not {type(model).__name__}")


# --- writing -------------------------------------------------------------------------------------


def write_whole(path: str | os.PathLike[str], blocks: Iterable[bytes]) -> None:
    with whole_file(path) as file:
        file.writelines(blocks)


def optimizer_as_json(optimizer: Any, steps: int) -> dict[str, Any]:
    kind = type(optimizer).__name__
    if OPTIMIZERS.get(kind) is not type(optimizer):
        raise ValueError(f"optimizer must be AdamW or SGD to be saved, not {kind}")
    arguments = optimizer._arguments()
    if callable(arguments["lr"]):
        arguments["lr"] = float(arguments["lr"](steps))
    return {"kind": kind, **arguments}


# --- reading -------------------------------------------------------------------------------------


def is_quantized(metadata: Any) -> bool:
    check_format(metadata)
    return bool(metadata.get("class") == "QuantizedMLP")


def check_format(metadata: Any) -> None:
    if not isinstance(metadata, dict) or metadata.get("format") != FORMAT:
        raise ValueError(f"its metadata must have the format {FORMAT!r}: it was not written by mlopt")
    if (version := metadata.get("version")) != VERSION:
        raise ValueError(f"it has version {short(version)}, expected {VERSION!r}")


def checked_metadata(metadata: Any) -> tuple[str, dict[str, Any]]:
    """The class and the arguments of the constructor, each of a type that is expected."""
    check_format(metadata)
    kind = metadata.get("class")
    if not isinstance(kind, str) or kind not in ARGUMENTS:
        raise ValueError(f"its class is {short(kind)}, expected one of: {', '.join((*ARGUMENTS, 'QuantizedMLP'))}")
    text = metadata.get("arguments")
    if not isinstance(text, str):
        raise ValueError("its metadata must have arguments")
    arguments = parsed(text, "its arguments")
    check_arguments(kind, arguments, ARGUMENTS[kind])
    optimizer = arguments["optimizer"]
    name = optimizer.get("kind")
    if not isinstance(name, str) or name not in OPTIMIZERS:
        raise ValueError(f"its optimizer is {short(name)}, expected one of: {', '.join(OPTIMIZERS)}")
    check_arguments(name, optimizer, OPTIMIZER_ARGUMENTS[name])
    return kind, arguments


def check_tensors(kind: str, arguments: dict[str, Any], file: Any) -> None:
    """That there are the tensors of a state, as large as the arguments say, before anything is allocated."""
    if (names := sorted(file.keys())) != sorted(TENSORS):
        raise ValueError(f"its tensors must be {', '.join(TENSORS)}, not {short(names)}")
    count = {"MLP": parameters_of_mlp, "LSTM": parameters_of_lstm}[kind](arguments)
    rows: tuple[int, ...] = {"SGD": (0, 1), "AdamW": (2,)}[arguments["optimizer"]["kind"]]
    code = TYPES[arguments["dtype"]]
    allowed: dict[str, list[tuple[str, list[int]]]] = {
        "parameters": [(code, [count])], "moments": [(code, [n, count]) for n in rows],
        **{name: [(TYPES[dtype], [])] for name, dtype in NUMBERS.items()},
    }  # fmt: skip
    for name in TENSORS:
        tensor = file.get_slice(name)
        found = (tensor.get_dtype(), tensor.get_shape())
        if found not in allowed[name]:
            expected = " or ".join(f"{dtype} {shape}" for dtype, shape in allowed[name])
            raise ValueError(f"its tensor {name} is {found[0]} {short(found[1])}, expected {expected}")


def parameters_of_mlp(arguments: dict[str, Any]) -> int:
    widths: list[int] = arguments["layers"]
    given = arguments.get("layer_norm", False)
    hidden = len(widths) - 2
    norms: list[bool] = [given] * hidden if isinstance(given, bool) else given
    if len(norms) != hidden:
        raise ValueError(f"its MLP has {len(norms)} values of layer_norm for {hidden} hidden layers")
    dense = sum((inputs + 1) * outputs for inputs, outputs in pairwise(widths))
    return dense + sum(2 * width for width, norm in zip(widths[1:-1], norms, strict=True) if norm)


def parameters_of_lstm(arguments: dict[str, Any]) -> int:
    inputs: int = arguments["inputs"]
    hidden: int = arguments["hidden"]
    layers: int = arguments["num_layers"]
    first, others = (inputs + hidden + 1) * 4 * hidden, (2 * hidden + 1) * 4 * hidden
    widths: list[int] = [hidden, *arguments["head"]]
    return first + (layers - 1) * others + sum((before + 1) * after for before, after in pairwise(widths))


def restored(kind: str, arguments: dict[str, Any], state: dict[str, Any]) -> Model:
    optimizer = arguments.pop("optimizer")
    arguments["optimizer"] = OPTIMIZERS[optimizer.pop("kind")](**optimizer)
    model: Model
    if kind == "MLP":
        model = MLP(arguments.pop("layers"), **arguments, rng=0)
    else:
        positional = [arguments.pop(name) for name in ("inputs", "hidden", "num_layers")]
        model = LSTM(*positional, **arguments, rng=0)
    model.set_state({**state, **{name: int(state[name]) for name in NUMBERS}})
    return model


# --- what arguments may be -----------------------------------------------------------------------


NAMES: Expected = (one_of(is_string, is_list(is_string)), "a name, or a list of names", True)
NAME: Expected = (is_string, "a name", True)
NUMBER: Expected = (is_number, "a number", True)
CLIP: Expected = (one_of(is_none, is_number), "a number or null", False)
COMMON: dict[str, Expected] = {
    "activation": NAMES, "output": NAME, "loss": NAME,
    "dtype": (lambda value: value in ("float32", "float64"), "float32 or float64", True),
    "optimizer": (lambda value: isinstance(value, dict), "an object", True),
    "dropout": (one_of(is_number, is_list(is_number)), "a number, or a list of numbers", False),
    "precision": (lambda value: value in ("full", "bf16"), "full or bf16", False),
    "l2": (is_number, "a number", False), "huber_delta": (is_number, "a number", False),
}  # fmt: skip
ARGUMENTS: dict[str, dict[str, Expected]] = {
    "MLP": {
        **COMMON,
        "layers": (lambda value: is_list(is_width)(value) and len(value) >= 2, "a list of at least two widths", True),
        "layer_norm": (one_of(is_bool, is_list(is_bool)), "true or false, or a list of them", False),
    },
    "LSTM": {
        **COMMON,
        "inputs": (is_width, "a width", True), "hidden": (is_width, "a width", True),
        "num_layers": (is_width, "a number of layers", True),
        "head": (is_list(is_width), "a list of widths", True),
        "truncate": (one_of(is_none, is_width), "a number of steps or null", False),
    },
}  # fmt: skip
OPTIMIZERS: dict[str, Any] = {"AdamW": AdamW, "SGD": SGD}
OPTIMIZER_ARGUMENTS: dict[str, dict[str, Expected]] = {
    "AdamW": {
        "kind": NAME, "lr": NUMBER, "eps": NUMBER, "weight_decay": NUMBER, "clip_norm": CLIP,
        "betas": (lambda value: is_list(is_number)(value) and len(value) == 2, "two numbers", True),
    },
    "SGD": {
        "kind": NAME, "lr": NUMBER, "momentum": NUMBER, "weight_decay": NUMBER, "clip_norm": CLIP,
        "nesterov": (is_bool, "true or false", False),
    },
}  # fmt: skip
