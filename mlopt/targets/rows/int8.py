"""Products of bytes."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

import mlopt
from mlopt.targets import peers
from mlopt.targets.contest import OURS, Contest, Options
from mlopt.targets.limits import dot_int8
from mlopt.targets.measure import Batch, calls
from mlopt.targets.memory import aligned, aligned_copy
from mlopt.targets.result import MEASURED, Row

SIZES = (32, 64, 128, 256, 512, 1024, 2048, 4096)
ZERO = 128  # of a and of 8-bit results


@dataclass(frozen=True)
class Square:
    """u8 x s8 of side n, with what it is computed into; and everyone's way to compute it."""

    n: int

    @cached_property
    def a(self) -> np.ndarray:
        return aligned_copy(np.random.default_rng(self.n).integers(0, 256, (self.n, self.n), np.uint8))

    @cached_property
    def b(self) -> np.ndarray:
        return aligned_copy(np.random.default_rng(0).integers(-128, 128, (self.n, self.n), np.int8), place=1)

    @cached_property
    def packed(self) -> Any:
        return mlopt.linalg.PackedInt8Matrix(self.b)

    @property
    def amount(self) -> float:
        return 2.0 * self.n**3

    @property
    def scale(self) -> np.float32:
        """With which results fill their range: sums are about 100 * 74 * sqrt(n)."""
        return np.float32(40 / (74 * 74 * self.n**0.5))

    def result(self, dtype: str, place: int) -> np.ndarray:
        return aligned((self.n, self.n), dtype, place=place)

    def ours(self, packed: bool = False) -> Batch:
        """Sums by this library."""
        a, right, c = self.a, self.packed if packed else self.b, self.result("int32", 2)
        return calls(lambda: mlopt.matmul_int8(a, right, c, num_threads=1))

    def requantised(self) -> Batch:
        """Bytes again, b packed before."""
        a, b, c, scale = self.a, self.packed, self.result("uint8", 2), self.scale
        return calls(
            lambda: mlopt.matmul_int8(a, b, c, a_zero_point=ZERO, scale=scale, out_zero_point=ZERO, num_threads=1)
        )

    def sums_by_peers(self) -> dict[str, Batch]:
        """PyTorch is handed b with every call; ONNX Runtime has packed it before."""
        result = {}
        if (torch := peers.find("torch")) is not None:
            left, right, out = (torch.from_numpy(x) for x in (self.a, self.b, self.result("int32", 3)))
            result[f"{peers.label('torch')} _int_mm"] = calls(lambda: torch._int_mm(left, right, out=out))
        run = onnx_call([("MatMulInteger", ["a", "b"], ["y"])], self.a, self.result("int32", 4), {"b": self.b})
        if run is not None:
            result[f"{peers.label('onnxruntime')} MatMulInteger"] = calls(run)
        return result

    def bytes_by_peers(self) -> dict[str, Batch]:
        """The requantised product in one operation."""
        one, zero = np.float32(1), np.uint8(ZERO)
        run = onnx_call(
            [("QLinearMatMul", ["a", "as", "az", "b", "bs", "bz", "ys", "yz"], ["y"])], self.a, self.result("uint8", 4),
            {"b": self.b, "as": self.scale, "az": zero, "bs": one, "bz": np.int8(0), "ys": one, "yz": zero},
        )  # fmt: skip
        return {} if run is None else {f"{peers.label('onnxruntime')} QLinearMatMul": calls(run)}


def onnx_call(
    nodes: list[Any], a: np.ndarray, y: np.ndarray, constants: Mapping[str, Any]
) -> Callable[[], object] | None:
    """A run of ONNX Runtime with its input and output bound before, on one thread; None where it is not installed."""
    runtime, onnx = peers.find("onnxruntime"), peers.find("onnx")
    if runtime is None or onnx is None:
        return None
    from onnx import helper, numpy_helper

    def described(name: str, x: np.ndarray) -> Any:
        return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(x.dtype), x.shape)

    graph = helper.make_graph(
        [helper.make_node(*node) for node in nodes],
        "product",
        [described("a", a)],
        [described("y", y)],
        [numpy_helper.from_array(np.asarray(x), name) for name, x in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = runtime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    binding = session.io_binding()
    for name, array, bind in (("a", a, binding.bind_input), ("y", y, binding.bind_output)):
        bind(name, "cpu", 0, array.dtype.type, list(array.shape), array.ctypes.data)
    bound = a, y  # by their addresses: kept for as long as the run is

    def run(of: object = bound) -> None:
        session.run_with_iobinding(binding)

    return run


def measure_int8_gemm(row: Row, options: Options, n: int = 1024) -> None:
    """Sums from operands as they are; further forms, the peers, NumPy's product of int32 and the limit."""
    square, limit = Square(n), dot_int8()
    wide_a, wide_b, wide_c = square.a.astype(np.int32), square.b.astype(np.int32), square.result("int32", 5)
    real_a, real_b, real_c = (aligned((n, n), "float32", place=place) for place in range(3))
    real_a[...], real_b[...] = square.a, square.b
    contest = Contest(
        ours=square.ours(),
        baseline=calls(lambda: np.matmul(wide_a, wide_b, out=wide_c)),
        variants={
            "packed": square.ours(packed=True),
            "requantised": square.requantised(),
            "float32": calls(lambda: mlopt.matmul(real_a, real_b, out=real_c, num_threads=1)),
        },
        peers=(square.sums_by_peers() | square.bytes_by_peers()) if options.peers else {},
        limits=[limit],
        share_of=limit.name,
        amount=square.amount,
    )
    rounds = contest.fill(row, options.seconds)
    row.metrics["vs_float32"] = rounds.ratio("variant float32", of=OURS).median
    key = f"limit {limit.name}"
    for form in ("packed", "requantised"):
        share = rounds.ratio(key, of=f"variant {form}", factor=square.amount / limit.amount).median
        row.metrics[f"{form}_share"] = share
        row.notes.append(f"{form}: {100 * share:.3g} % of the limit")
    row.notes.append(f"{row.metrics['vs_float32']:.3g} times as fast as this library's float32 product")
    row.notes.append("baseline: NumPy's product of int32 arrays")


def measure_int8_sizes(row: Row, options: Options) -> None:
    """Every size in three forms; each of the peers against the form that is given what it is given."""
    forms = {OURS: "", "variant packed": "packed ", "variant requantised": "requantised "}
    ratios: dict[str, list[float]] = {"": [], "requantised_": []}
    for n in SIZES:
        square, limit = Square(n), dot_int8()
        contest = Contest(
            ours=square.ours(),
            variants={"packed": square.ours(packed=True), "requantised": square.requantised()},
            peers=(square.sums_by_peers() | square.bytes_by_peers()) if options.peers else {},
            limits=[limit],
        )
        rounds = contest.measure(options.seconds / 4)
        line: dict[str, Any] = {"product": f"{n}²", "µs": rounds.seconds(OURS).median * 1e6}
        for name, form in forms.items():
            share = rounds.ratio(f"limit {limit.name}", of=name, factor=square.amount / limit.amount)
            line[f"{form}% of limit"] = 100 * share.median
        for label in contest.peers:
            operation = label.split()[-1]
            of = {"MatMulInteger": "variant packed", "QLinearMatMul": "variant requantised"}.get(operation, OURS)
            ratio = rounds.ratio(f"peer {label}", of=of).median
            ratios["requantised_" if of == "variant requantised" else ""].append(ratio)
            line[f"{operation} ÷ ours"] = ratio
        row.details.append(line)
    row.status = MEASURED
    for prefix, found in ratios.items():
        if found:
            row.metrics[f"{prefix}worst_vs_peer"] = min(found)
            row.metrics[f"{prefix}median_vs_peer"] = statistics.median(found)
            row.notes.append(
                f"{'requantised' if prefix else 'sums'}: a peer's time over ours {min(found):.3g} at worst, "
                f"{statistics.median(found):.3g} in the middle"
            )
