"""Vector operations: kernel against scalar loop and limit loop, and from Python against NumPy and PyTorch."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np

import mlopt
from mlopt.targets import peers
from mlopt.targets.contest import OURS, Contest, Options
from mlopt.targets.limits import TYPES, kernel_batch, stream
from mlopt.targets.measure import calls
from mlopt.targets.memory import aligned
from mlopt.targets.result import MEASURED, Row

SIZES = {"1K": 1 << 10, "16K": 1 << 14, "1M": 1 << 20, "64M": 1 << 26}
HUGE = 1 << 26  # float64 of it takes gigabytes
ALPHA = 1e-6


@dataclass
class Data:
    """The arrays of one size and type; `t` and the tensors share their memory."""

    x: np.ndarray
    y: np.ndarray
    out: np.ndarray
    scratch: np.ndarray

    def tensors(self) -> list[Any]:
        """x, y, out as PyTorch tensors over the same memory."""
        torch: Any = peers.find("torch")
        return [torch.from_numpy(array) for array in (self.x, self.y, self.out)]


Call = Callable[[], object]


@dataclass(frozen=True)
class Operation:
    """One operation: its kernel, the loop with its streams, and how each library spells it.

    `ours` gets the package, so that a version without the function still has the others.
    """

    kernel: str
    loop: str
    operands: str
    ours: Callable[[Data], Call]
    numpy: Callable[[Data], Call]
    torch: Callable[[Any, Any, Any, Any], Call]
    numkong: Callable[[Any, Data], Call] | None = None


def _numpy_axpy(d: Data) -> Call:
    def axpy() -> None:
        np.multiply(d.x, ALPHA, out=d.scratch)
        np.add(d.y, d.scratch, out=d.y)

    return axpy


def _numpy_sigmoid(d: Data) -> Call:
    def sigmoid() -> None:
        np.negative(d.x, out=d.out)
        np.exp(d.out, out=d.out)
        np.add(d.out, 1, out=d.out)
        np.divide(1, d.out, out=d.out)

    return sigmoid


def _numpy_softmax(d: Data) -> Call:
    def softmax() -> None:
        np.subtract(d.x, d.x.max(), out=d.out)
        np.exp(d.out, out=d.out)
        np.divide(d.out, d.out.sum(), out=d.out)

    return softmax


def _binary(name: str, numpy_name: str, torch_name: str) -> Operation:
    return Operation(
        name,
        "triad",
        "x y out",
        lambda d: partial(getattr(mlopt, name), d.x, d.y, out=d.out),
        lambda d: partial(getattr(np, numpy_name), d.x, d.y, out=d.out),
        lambda torch, x, y, out: partial(getattr(torch, torch_name), x, y, out=out),
    )


def _unary(name: str, by_numpy: Callable[[Data], Call]) -> Operation:
    return Operation(
        name,
        "copy",
        "x out",
        lambda d: partial(getattr(mlopt, name), d.x, out=d.out),
        by_numpy,
        lambda torch, x, y, out: partial(getattr(torch, name), x, out=out),
    )


OPERATIONS = {
    "dot": Operation(
        "dot",
        "read_two",
        "x y",
        lambda d: lambda: mlopt.dot(d.x, d.y),
        lambda d: lambda: np.dot(d.x, d.y),
        lambda torch, x, y, out: lambda: torch.dot(x, y),
        lambda numkong, d: lambda: numkong.dot(d.x, d.y),
    ),
    "axpy": Operation(
        "axpy",
        "update",
        "x y",
        lambda d: lambda: mlopt.axpy(ALPHA, d.x, d.y),
        _numpy_axpy,
        lambda torch, x, y, out: lambda: y.add_(x, alpha=ALPHA),
    ),
    "sum": Operation(
        "sum",
        "read",
        "x",
        lambda d: lambda: mlopt.sum(d.x),
        lambda d: lambda: np.sum(d.x),
        lambda torch, x, y, out: lambda: torch.sum(x),
    ),
    "max": Operation(
        "max",
        "read",
        "x",
        lambda d: lambda: mlopt.max(d.x),
        lambda d: lambda: np.max(d.x),
        lambda torch, x, y, out: lambda: torch.max(x),
    ),
    "add": _binary("add", "add", "add"),
    "mul": _binary("multiply", "multiply", "mul"),
    "exp": _unary("exp", lambda d: lambda: np.exp(d.x, out=d.out)),
    "tanh": _unary("tanh", lambda d: lambda: np.tanh(d.x, out=d.out)),
    "sigmoid": _unary("sigmoid", _numpy_sigmoid),
    "softmax": Operation(
        "softmax",
        "copy",
        "x out",
        lambda d: lambda: mlopt.softmax(d.x, out=d.out),
        _numpy_softmax,
        lambda torch, x, y, out: lambda: torch.softmax(x, 0, out=out),
    ),
}
REDUCTIONS = ("dot", "sum", "max")
ELEMENTWISE = ("add", "mul")


@lru_cache(maxsize=1)
def make_data(n: int, dtype: str) -> Data:
    """Numbers in (-1, 1), aligned and touched; what was made last is kept, for the operations that follow."""
    rng = np.random.default_rng(n)
    x, y = (aligned(n, dtype, place=place) for place in range(2))
    for array in (x, y):
        for start in range(0, n, 1 << 20):  # no temporary array of gigabytes
            array[start : start + (1 << 20)] = rng.uniform(-1, 1, min(n - start, 1 << 20))
    return Data(x, y, aligned(n, dtype, place=2), aligned(n, dtype, place=3))


def contest(name: str, dtype: str, n: int, options: Options) -> Contest:
    """The kernel and the Python function of one operation, with everything they are compared with."""
    operation, kind, data = OPERATIONS[name], TYPES[dtype], make_data(n, dtype)
    baseline = None
    operands = [getattr(data, operand) for operand in operation.operands.split()]
    steps = (1,) * len(operands)
    limit = stream(operation.loop, dtype, n)
    if n < HUGE:
        baseline = kernel_batch(operation.kernel, kind, (n,), *operands, number=ALPHA, steps=steps, tier="reference")
    result = Contest(
        ours=kernel_batch(operation.kernel, kind, (n,), *operands, number=ALPHA, steps=steps),
        baseline=baseline,
        limits=[limit],
        share_of=limit.name,
        amount=limit.amount,
    )
    with contextlib.suppress(AttributeError):  # this version may have the kernel and no function over it
        result.variants["python"] = calls(operation.ours(data))
    if not options.peers:
        return result
    result.peers["NumPy"] = calls(operation.numpy(data))
    if (torch := peers.find("torch")) is not None:
        result.peers["PyTorch"] = calls(operation.torch(torch, *data.tensors()))
    if operation.numkong is not None and (numkong := peers.find("numkong")) is not None:
        result.peers["NumKong"] = calls(operation.numkong(numkong, data))
    return result


def measure_vector_ops(row: Row, options: Options) -> None:
    """Every operation, type and size; the row sums them up."""
    against_peers: list[float] = []
    everywhere = options.peers and peers.find("torch") is not None
    for dtype in TYPES:
        for size, n in SIZES.items():
            if n >= HUGE and dtype == "float64" and not options.full:
                continue
            for name in OPERATIONS:
                line, worst = measure_one(name, dtype, size, n, options)
                row.details.append(line)
                if worst is None:
                    everywhere = False
                else:
                    against_peers.append(worst)
    row.status = MEASURED
    first = {(line["operation"], line["type"], line["size"]): line for line in row.details}
    row.metrics["reductions_vs_scalar"] = min(first[name, "float32", "1K"]["× scalar"] for name in REDUCTIONS)
    row.metrics["elementwise_share"] = min(first[name, "float32", "1K"]["% of limit"] for name in ELEMENTWISE) / 100
    if everywhere:
        row.metrics["worst_vs_peer"] = min(against_peers)
    elif options.peers:
        row.notes.append("not every operation could be compared from Python with both NumPy and PyTorch")


def measure_one(name: str, dtype: str, size: str, n: int, options: Options) -> tuple[dict[str, Any], float | None]:
    """A line of the detail, and the best peer's time over ours from Python where both were measured."""
    made = contest(name, dtype, n, options)
    rounds = made.measure(options.seconds / 20, min_rounds=5 if n < HUGE else 2)
    limit = f"limit {made.share_of}"
    line: dict[str, Any] = {
        "operation": name,
        "type": dtype,
        "size": size,
        "kernel µs": rounds.seconds(OURS).median * 1e6,
        "× scalar": rounds.ratio("baseline", of=OURS).median if made.baseline is not None else "",
        "% of limit": 100 * rounds.ratio(limit, of=OURS).median,
    }
    python = "variant python"
    if python not in rounds.samples:
        return line, None
    line["Python µs"] = rounds.seconds(python).median * 1e6
    ratios = {
        peer.removeprefix("peer "): rounds.ratio(peer, of=python).median
        for peer in rounds.samples
        if peer.startswith("peer ")
    }
    line |= {f"{peer} ÷ ours": value for peer, value in ratios.items()}
    both = [ratios[peer] for peer in ("NumPy", "PyTorch") if peer in ratios]
    return line, min(both) if both else None
