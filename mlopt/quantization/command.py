"""Quantise a model to 8-bit integers, and say what that changes.

Reads a float model, an ONNX file or one that mlopt saved, and samples to calibrate with.  A share of the samples is
kept apart: on these the float and the quantised model are compared, and with labels the score of both.  Where the
score drops by more than is allowed, nothing is written and the exit code is 1.

  mlopt quantize model.onnx --calibration samples.npy --labels labels.npy
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import warnings
import zipfile
import zlib
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlopt.cli import CommandError

METHODS = ("minmax", "percentile", "mse", "entropy")
DATA = (".npy", ".npz", ".csv")
MODELS = (".onnx", ".safetensors")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``mlopt quantize``."""
    parser.add_argument("model", metavar="MODEL", type=_ending_in(MODELS), help="a float model: .onnx or .safetensors")
    parser.add_argument(
        "--calibration",
        metavar="FILE",
        type=_ending_in(DATA),
        help="samples, (samples, inputs): .npy, .npz with one array or one called X, or .csv; needed for --mode static",
    )
    parser.add_argument(
        "--labels",
        metavar="FILE",
        type=_ending_in(DATA),
        help="of the samples: class labels, or targets of the outputs' shape; .npz with one array or one called y",
    )
    parser.add_argument(
        "--mode",
        choices=("static", "dynamic"),
        default="static",
        help="scales of inputs from the calibration, or from each sample itself (default: static)",
    )
    parser.add_argument(
        "--method",
        choices=METHODS,
        default="minmax",
        help="how the calibration finds ranges (default: minmax)",
    )
    parser.add_argument(
        "--output",
        metavar="FILE",
        type=_ending_in(MODELS),
        help="what to write: .onnx or .safetensors (default: MODEL with .int8.onnx)",
    )
    parser.add_argument(
        "--holdout",
        metavar="SHARE",
        type=_number(0.0, 1.0, below=True),
        default=0.2,
        help="share of the samples kept apart for the comparison; 0 compares on those of the calibration"
        " (default: %(default)s)",
    )
    parser.add_argument(
        "--max-drop",
        metavar="D",
        type=_number(0.0, math.inf),
        default=0.005,
        help="largest drop of the score that is allowed, with labels (default: %(default)s)",
    )
    parser.add_argument("--json", metavar="FILE", help="write the comparison as JSON to a file, or - for the output")


def _ending_in(suffixes: tuple[str, ...]) -> Any:
    def parse(text: str) -> str:
        if not text.lower().endswith(suffixes):
            raise argparse.ArgumentTypeError(f"{text!r} must end in one of: {', '.join(suffixes)}")
        return text

    return parse


def _number(least: float, most: float, below: bool = False) -> Any:
    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not (least <= value <= most) or (below and value == most):
            expected = f"from {least:g} to {'less than ' if below else ''}{most:g}"
            raise argparse.ArgumentTypeError(f"{text!r} is not a number {expected}")
        return value

    return parse


def run(arguments: argparse.Namespace) -> int:
    """``mlopt quantize``: 1 where the score drops by more than is allowed."""
    try:
        return _quantize(arguments)
    except (OSError, ValueError, TypeError) as error:
        raise CommandError(" ".join(str(error).split())) from error


def _quantize(arguments: argparse.Namespace) -> int:
    output = arguments.output or os.path.splitext(arguments.model)[0] + ".int8.onnx"
    if os.path.exists(output) and os.path.samefile(output, arguments.model):
        raise ValueError("--output must be another file than the model")
    for path in (output, arguments.json):
        folder = os.path.dirname(path or "")
        if folder and not os.path.isdir(folder):
            raise ValueError(f"there is no folder {folder!r} to write {path!r} into")
    if arguments.calibration is None and (arguments.mode == "static" or arguments.labels is not None):
        needing = "--mode static" if arguments.mode == "static" else "--labels"
        raise ValueError(f"{needing} needs samples: --calibration FILE")
    model = _model(arguments.model)
    samples = labels = None
    if arguments.calibration is not None:
        samples = _array(arguments.calibration, "X")
        if samples.ndim != 2 or samples.shape[1] != model.layers[0] or not len(samples):
            raise ValueError(f"{arguments.calibration} must hold (samples, {model.layers[0]}), it is {samples.shape}")
    if arguments.labels is not None and samples is not None:
        labels = _labels(arguments.labels, len(samples), model.layers[-1])
    fitting, kept = _parts(0 if samples is None else len(samples), arguments)
    quantized = model.quantize(
        samples[fitting] if samples is not None and arguments.mode == "static" else None,
        mode=arguments.mode, method=arguments.method,
    )  # fmt: skip
    report = None
    if samples is not None:
        report = quantized.compare(samples[kept], None if labels is None else labels[kept])
        change = report.score_change
        if change is not None and math.isnan(change):
            raise ValueError(f"the {report.metric} is not defined: the targets that were kept apart are all the same")
        _show(report, arguments)
        if change is not None and change < -arguments.max_drop:
            print(f"mlopt quantize: the {report.metric} drops by {-change:.4g}, more than --max-drop "
                  f"{arguments.max_drop:g}; nothing is written", file=sys.stderr)  # fmt: skip
            return 1
    _write(quantized, output)
    if arguments.json not in (None, "-"):
        with open(arguments.json, "w", encoding="utf-8") as file:
            file.write(_as_json(report, arguments, output))
    print(f"written to {output}, {quantized.nbytes} bytes of parameters",
          file=sys.stderr if arguments.json == "-" else sys.stdout)  # fmt: skip
    if arguments.json == "-":
        sys.stdout.write(_as_json(report, arguments, output))
    return 0


# --- files ---------------------------------------------------------------------------------------


def _model(path: str) -> Any:
    from mlopt.nn import MLP, QuantizedMLP, from_onnx, load

    model = from_onnx(path) if path.lower().endswith(".onnx") else load(path)
    if isinstance(model, QuantizedMLP):
        raise ValueError(f"{path} is quantised already")
    if not isinstance(model, MLP):
        raise ValueError(f"{path} holds an {type(model).__name__}, only an MLP can be quantised")
    return model


def _write(quantized: Any, path: str) -> None:
    from mlopt.nn import save, to_onnx

    (to_onnx if path.lower().endswith(".onnx") else save)(quantized, path)


def _array(path: str, name: str) -> NDArray[Any]:
    """The array of a file."""
    try:
        if path.lower().endswith(".csv"):
            return _csv(path)
        with open(path, "rb") as file:
            found = np.load(file, allow_pickle=False)
            if isinstance(found, np.ndarray):
                return found
            names = list(found)
            if name in names or len(names) == 1:
                array: NDArray[Any] = found[name if name in names else names[0]]
                return array
    except (ValueError, EOFError, MemoryError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{path} cannot be read: {error}") from None
    raise ValueError(f"{path} must hold one array, or one called {name}, it has: {', '.join(names) or 'none'}")


def _csv(path: str) -> NDArray[Any]:
    """Numbers with commas between them, below a line of names or not."""
    with open(path, encoding="utf-8") as file:
        first = file.readline()
    try:
        [float(field) for field in first.split(",")]
        header = 0
    except ValueError:
        header = 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that there are no numbers, which is told where the shape is checked
        return np.loadtxt(path, delimiter=",", skiprows=header, ndmin=2)


def _labels(path: str, count: int, outputs: int) -> NDArray[Any]:
    labels = _array(path, "y")
    if len(labels.shape) == 0 or len(labels) != count:
        raise ValueError(f"{path} must hold one entry for each of {count} samples, its shape is {labels.shape}")
    if outputs > 1 and labels.size == count:
        labels = labels.reshape(count)
        if labels.dtype.kind == "f" and (labels == np.rint(labels)).all():
            labels = labels.astype(np.int64)  # as CSV has them
    return labels


def _parts(count: int, arguments: argparse.Namespace) -> tuple[NDArray[Any], NDArray[Any]]:
    """Which samples calibrate, and which are kept for the comparison."""
    everything = np.arange(count)
    kept = round(count * arguments.holdout)
    if arguments.mode == "dynamic" or arguments.holdout == 0 or count == 0:
        return everything, everything  # nothing is fitted, or the user says so
    if kept in (0, count):
        raise ValueError(f"--holdout {arguments.holdout:g} of {count} samples leaves none on one side")
    order = np.random.default_rng(0).permutation(count)
    return np.sort(order[kept:]), np.sort(order[:kept])


# --- what is shown -------------------------------------------------------------------------------


def _as_json(report: Any, arguments: argparse.Namespace, output: str) -> str:
    content: dict[str, Any] = {
        "model": arguments.model, "output": output, "mode": arguments.mode, "method": arguments.method,
        "holdout": arguments.holdout, "max_drop": arguments.max_drop,
        "report": None if report is None else {**asdict(report), "score_change": report.score_change},
    }  # fmt: skip
    return json.dumps(_finite(content), indent=2, allow_nan=False) + "\n"


def _finite(value: Any) -> Any:
    """With null for what JSON has no number for."""
    if isinstance(value, dict):
        return {name: _finite(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _show(report: Any, arguments: argparse.Namespace) -> None:
    """A table where rich is installed, lines otherwise."""
    to = sys.stderr if arguments.json == "-" else sys.stdout
    try:
        from rich.box import SIMPLE_HEAD
        from rich.console import Console
        from rich.table import Table
    except ImportError:
        print(report, file=to)
        return
    console = Console(file=to)
    table = Table("", "max error", "mean error", "signal to noise", box=SIMPLE_HEAD)
    for i, layer in enumerate(report.layers):
        errors = (f"{layer.max_error:.4g}", f"{layer.mean_error:.4g}", f"{layer.signal_to_noise:.1f} dB")
        table.add_row(f"layer {i}", *errors)
    table.add_row("predictions", f"{report.max_error:.4g}", f"{report.mean_error:.4g}", "")
    console.print(table)
    lines = [f"{report.samples} samples compared, parameters {report.bytes} -> {report.quantized_bytes} bytes"]
    if report.agreement is not None:
        lines.append(f"same largest output in {100 * report.agreement:.2f} % of them")
    if report.score is None:
        lines.append("no labels: the score was not compared")
    else:
        lines.append(f"{report.metric} {report.score:.4f} -> {report.quantized_score:.4f} ({report.score_change:+.4f})")
    for line in lines:
        console.print(line, markup=False, highlight=False)
