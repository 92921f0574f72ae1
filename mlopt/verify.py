"""Compare every kernel on every tier of this machine with the reference kernels, on random data.

Kernels whose operands are laid out by a public class are run through that class.
"""

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

import mlopt
from mlopt._kernels.register import Kernel, available_tiers, kernel_report
from mlopt.features import FeatureExtractor
from mlopt.linalg import PackedInt8Matrix, matmul_int8
from mlopt.memory import empty_aligned
from mlopt.nn import MLP
from mlopt.sparse import csr_array
from mlopt.sparse.sampled import sampled_values

__all__ = ["Verdict", "verify"]

# bf16: products of float32 numbers, which are rounded on the way
DTYPES: dict[str, np.dtype[Any]] = {
    "f32": np.dtype(np.float32), "f64": np.dtype(np.float64), "bf16": np.dtype(np.float32),
}  # fmt: skip
SIZES = (1, 5, 16, 63, 257, 1024, 4099)


@dataclass
class Problem:
    """One call of a kernel: what goes in, where the results are, and how far they may differ."""

    dims: tuple[int, ...]
    operands: list[Any]  # arrays, or None
    outputs: tuple[int, ...] = ()  # which operands are written
    returned: int = 0  # how many numbers the kernel returns
    number: float = 1.0
    steps: tuple[int, ...] | None = None  # of the operands; None: 1
    # for each result, the size that the stated bound is a multiple of; None: ULP of the result
    scale: Callable[[], list[Any]] | None = None


def _unary(n: int, draw: Callable[[int], NDArray[Any]]) -> Problem:
    x = draw(n)
    return Problem((n,), [x, np.empty_like(x)], outputs=(1,))


def _positive(n: int, draw: Callable[[int], NDArray[Any]]) -> Problem:
    problem = _unary(n, draw)
    np.abs(problem.operands[0], out=problem.operands[0])
    return problem


def _binary(n: int, draw: Callable[[int], NDArray[Any]]) -> Problem:
    return Problem((n,), [draw(n), draw(n), np.empty_like(draw(n))], outputs=(2,))


def _ternary(n: int, draw: Callable[[int], NDArray[Any]]) -> Problem:
    return Problem((n,), [draw(n), draw(n), draw(n), np.empty_like(draw(n))], outputs=(3,))


def _row(n: int, draw: Callable[[int], NDArray[Any]]) -> Problem:
    problem = _unary(n, draw)
    x = problem.operands[0].astype(np.float64)
    shares = np.exp(x - x.max()) / np.exp(x - x.max()).sum()
    # beside the stated bound: the error of x - max, and that of the reference, which sums in order
    size = shares * (1 + (x.max() - x) / 16 + n**0.5 / 8)
    problem.scale = lambda: [size]
    return problem


def _axpy(n: int, draw: Callable[[int], NDArray[Any]]) -> Problem:
    x, y = draw(n), draw(n)
    size = np.abs(0.7 * x) + np.abs(y)
    return Problem((n,), [x, y], outputs=(1,), number=0.7, scale=lambda: [size])


def _scale(n: int, draw: Callable[[int], NDArray[Any]]) -> Problem:
    return _unary(n, draw)


def _reduce(n: int, draw: Callable[[int], NDArray[Any]]) -> Problem:
    x = draw(n)
    return Problem((n,), [x], returned=1, scale=lambda: [np.abs(x).sum()])


def _dot(n: int, draw: Callable[[int], NDArray[Any]]) -> Problem:
    x, y = draw(n), draw(n)
    return Problem((n,), [x, y], returned=1, scale=lambda: [np.abs(x * y).sum()])


def _moments(n: int, draw: Callable[[int], NDArray[Any]]) -> Problem:
    x = draw(n)
    return Problem((n,), [x], returned=2, scale=lambda: [np.abs(x).mean(), np.square(x).sum()])


def _gemm(n: int, draw: Callable[[int], NDArray[Any]]) -> Problem:
    m, columns, terms = n % 67 + 1, n % 41 + 2, n
    a, b = draw(m * terms), draw(terms * columns)
    size = np.abs(a).reshape(m, terms) @ np.abs(b).reshape(terms, columns) * terms
    c = np.empty(m * columns, a.dtype)
    workspace = empty_aligned(GEMM_WORKSPACE // a.itemsize, a.dtype)
    return Problem((m, columns, terms), [a, b, c, workspace], outputs=(2,), scale=lambda: [size.ravel()])


def _product(n: int, draw: Callable[[int], NDArray[Any]]) -> Problem:
    problem = _gemm(n, draw)
    return Problem(problem.dims, [*problem.operands, None], problem.outputs, scale=problem.scale)


def _rounding(n: int, draw: Callable[[int], NDArray[Any]]) -> Problem:
    return Problem((n,), [draw(n), np.empty(n, np.uint16)], outputs=(1,))


def _widening(n: int, draw: Callable[[int], NDArray[Any]]) -> Problem:
    return Problem((n,), [draw(n).view(np.uint16)[::2].copy(), np.empty(n, np.float32)], outputs=(1,))


def _matrix_sum(n: int, draw: Callable[[int], NDArray[Any]]) -> Problem:
    x, y = draw(5 * n), draw(5 * n)
    return Problem((5, n, n % 2), [x, y, np.empty_like(x)], outputs=(2,))


def _bytes(n: int, zero_point: int) -> list[NDArray[Any]]:
    return [np.array([zero_point], np.int32), np.array([-128, 127], np.int32), np.empty(n, np.int8)]


def _quantize(n: int, draw: Callable[[int], NDArray[Any]]) -> Problem:
    return Problem((n,), [draw(n), *_bytes(n, 3)], outputs=(3,), number=1 / 32)


def _dequantize(n: int, draw: Callable[[int], NDArray[Any]]) -> Problem:
    q = np.clip(np.rint(16 * draw(n)), -128, 127).astype(np.int8)
    return Problem((n, 0, 1), [q, *_bytes(n, -5)[:1], np.empty(n, np.float32)], outputs=(2,), number=1 / 32)


def _winograd(n: int, draw: Callable[[int], NDArray[Any]]) -> Problem:
    operands = [draw(5 * n) for _ in range(7)]
    size = np.abs(operands).sum(axis=0)
    return Problem((5, n), operands, outputs=(0, 1, 2, 3), scale=lambda: [size] * 4)


def _count(n: int, draw: Callable[[int], NDArray[Any]]) -> Problem:
    x = draw(n)
    x[::3], x[::7] = 0, np.nan
    return Problem((n,), [x], returned=1)


def _store_nonzero(n: int, draw: Callable[[int], NDArray[Any]]) -> Problem:
    x = draw(n)
    x[::3] = 0
    return Problem((n,), [x, np.zeros(n, np.int32), np.zeros_like(x)], outputs=(1, 2), returned=1)


def _random_normal(n: int, draw: Callable[[int], NDArray[Any]]) -> Problem:
    return Problem((n, 1 << 40 | n, 5 * n), [np.empty_like(draw(n))], outputs=(0,))


def _walsh_hadamard(n: int, draw: Callable[[int], NDArray[Any]]) -> Problem:
    length, columns = 1 << n.bit_length(), n % 23 + 1
    return Problem((length, columns), [draw(length * columns)], outputs=(0,), steps=(columns,))


def _signed_sums(n: int, draw: Callable[[int], NDArray[Any]]) -> Problem:
    count, columns = n % 13 + 1, n % 41 + 1
    lengths = np.arange(2 * count) * 7 % 11
    bounds = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    indices = (np.arange(bounds[-1]) * 31 % n).astype(np.int32)
    operands = [draw(n * columns), indices, bounds, np.empty_like(draw(count * columns))]
    return Problem((count, columns), operands, outputs=(3,), steps=(columns, 1, 1, columns))


def _transpose_scaled(n: int, draw: Callable[[int], NDArray[Any]]) -> Problem:
    places = (np.arange(n)[::-1]).astype(np.int32)
    operands = [draw(19 * n), draw(n), places, np.empty_like(draw(19 * n))]
    return Problem((19, n, 1), operands, outputs=(3,), steps=(n, 1, 1, 19))


GEMM_WORKSPACE = 2 << 20  # bytes; for the blocks that invoke.h calls with

# how to call a kernel of a signature
SIGNATURES = {
    "unary": _unary, "binary": _binary, "ternary": _ternary, "row": _row, "axpy": _axpy, "scale": _scale,
    "reduce": _reduce, "argreduce": _reduce, "dot": _dot, "moments": _moments,
    "gemm": _gemm, "product": _product, "rounding": _rounding, "widening": _widening,
    "quantize": _quantize, "dequantize": _dequantize, "matrix_sum": _matrix_sum, "winograd": _winograd,
    "count": _count, "store_nonzero": _store_nonzero,
    "random_normal": _random_normal, "walsh_hadamard": _walsh_hadamard, "signed_sums": _signed_sums,
    "transpose_scaled": _transpose_scaled,
}  # fmt: skip
# kernels whose domain is not the whole line
DOMAINS = {"log": _positive, "sqrt": _positive}


@dataclass
class Verdict:
    """How one kernel of one type did: the largest deviation as a share of what is allowed, by tier."""

    family: str
    name: str
    type: str
    worst: dict[str, float] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Whether every tier stays within what the bound allows."""
        return all(share <= 1 for share in self.worst.values())


def _call(row: dict[str, Any], tier: str, problem: Problem) -> list[NDArray[Any]]:
    operands = [None if operand is None else operand.copy() for operand in problem.operands]
    returned = Kernel(row["name"], row["type"], tier)(
        problem.dims, *operands, number=problem.number, steps=problem.steps
    )
    return [operands[i] for i in problem.outputs] + [np.asarray(value) for value in returned[: problem.returned]]


def _share(got: NDArray[Any], expected: NDArray[Any], size: Any, bound: float, dtype: np.dtype[Any]) -> float:
    """The deviation of two results, each within the bound of the truth, as a share of what that allows."""
    if not np.array_equal(np.isnan(got), np.isnan(expected)):
        return float("inf")
    differ = (got != expected) & ~np.isnan(expected)
    if not differ.any():
        return 0.0
    if not np.isfinite(expected[differ]).all():
        return float("inf")
    unit = np.spacing(np.abs(expected, dtype=dtype)) if size is None else np.finfo(dtype).eps * size
    allowed = np.maximum(2.0 * bound * unit, np.finfo(np.float64).tiny)
    return float((np.abs(got - expected, dtype=np.float64) / allowed)[differ].max())


def _network(kind: str, seed: int) -> list[NDArray[Any]]:
    """A network's forecasts, gradients and parameters after steps, of one sample and of batches."""
    dtype = DTYPES[kind]
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(33, 21)).astype(dtype), rng.uniform(size=(33, 5)).astype(dtype)
    results = []
    for model in (
        MLP([21, 35, 18, 5], activation="tanh", dtype=dtype, rng=seed),
        MLP([21, 35, 18, 5], activation="gelu", output="softmax", loss="cross_entropy", dtype=dtype, rng=seed),
        MLP([21, 35, 18, 5], activation="silu", output="sigmoid", loss="binary_cross_entropy", dtype=dtype, rng=seed),
    ):
        for inputs, targets in ((x[0], y[0]), (x, y)):
            results.append(model.predict(inputs))
            results += [part.copy() for pair in model.gradient(inputs, targets) for part in pair]
            model.train_step(inputs, targets)
            results += [part.copy() for pair in model.parameters for part in pair]
    return results


def _products_of_bytes(kind: str, seed: int) -> list[NDArray[Any]]:
    """Exact sums, and what is made of them, of signed and unsigned bytes with and without zero points."""
    del kind
    rng = np.random.default_rng(seed)
    results = []
    for m, n, k in ((1, 1, 1), (1, 97, 65), (9, 49, 130), (67, 200, 257)):
        for a_type, b_type in (("uint8", "int8"), ("int8", "uint8")):
            a = rng.integers(0, 256, (m, k)).astype(np.uint8).view(a_type)
            b = rng.integers(0, 256, (k, n)).astype(np.uint8).view(b_type)
            zeros: dict[str, Any] = {"a_zero_point": 3, "b_zero_point": rng.integers(0, 128, n)}
            scale, bias = rng.uniform(1e-5, 1e-4, n).astype(np.float32), rng.normal(size=n).astype(np.float32)
            real: dict[str, Any] = {"scale": scale, "bias": bias, "activation": "relu"}
            results += [matmul_int8(a, b), matmul_int8(a, b, **zeros), matmul_int8(a, b, **real, **zeros)]
            results.append(matmul_int8(a, PackedInt8Matrix(b), **real, out_dtype="int8", out_scale=0.05))
    return [result.astype(np.float32) if result.dtype == np.int8 else result for result in results]


def _quantized_network(kind: str, seed: int) -> list[NDArray[Any]]:
    """Forecasts of networks of bytes, static and dynamic ones, of single samples and of a batch."""
    dtype = DTYPES[kind]
    x = np.random.default_rng(seed).normal(size=(33, 21)).astype(dtype)
    relu = MLP([21, 115, 18, 5], rng=seed)
    results = []
    for model in (relu.quantize(x), relu.quantize(mode="dynamic"), MLP([21, 5], output="tanh", rng=seed).quantize(x)):
        results += [model.predict(x), *(model.predict(sample) for sample in x[:3])]
    return results


def _features(kind: str, seed: int) -> list[NDArray[Any]]:
    """The default features of a random walk."""
    del kind
    rng = np.random.default_rng(seed)
    closes = 100 * np.exp(np.cumsum(rng.normal(0, 0.01, 400)))
    opens = np.concatenate([[100.0], closes[:-1]])
    reach = rng.uniform(0, 0.01, (2, 400))
    highs, lows = np.maximum(opens, closes) * (1 + reach[0]), np.minimum(opens, closes) * (1 - reach[1])
    bars = np.stack([opens, highs, lows, closes, rng.uniform(1e5, 1e6, 400)], axis=1)
    return list(FeatureExtractor().transform(bars).T)


def _sparse_products(kind: str, seed: int) -> list[NDArray[Any]]:
    """Products of sparse matrices with vectors, twice, so that both forms are used, with matrices and each other."""
    dtype = DTYPES[kind]
    rng = np.random.default_rng(seed)
    lengths = np.minimum(rng.zipf(1.5, 500), 150)
    starts = np.concatenate([[0], np.cumsum(lengths)])
    places, values = rng.integers(0, 120, starts[-1]), rng.normal(size=starts[-1]).astype(dtype)
    x, y = rng.normal(size=(120, 19)).astype(dtype), rng.normal(size=(500, 19)).astype(dtype)
    results = []
    for index_type in (np.int32, np.int64):
        a = csr_array((values, places.astype(index_type), starts.astype(index_type)), (500, 120))
        results += [a @ x[:, 0], a @ x[:, 0], a @ x, a @ np.asfortranarray(x), a.T @ y, a.T @ y[:, 0]]
        results += [(a.T @ a).toarray(), sampled_values(y, x.T, a)]
    return results


@dataclass(frozen=True)
class Whole:
    """A public class over the kernels of a family; its results may differ by eps times this, of the largest."""

    family: str
    name: str
    type: str
    compute: Callable[[str, int], list[NDArray[Any]]]
    bound: float


WHOLES = (
    Whole("nn", "MLP", "f32", _network, 4096),
    Whole("nn", "MLP", "f64", _network, 4096),
    Whole("int8", "matmul_int8", "f32", _products_of_bytes, 0),
    Whole("int8", "QuantizedMLP", "f32", _quantized_network, 4),
    Whole("features", "FeatureExtractor", "f64", _features, 4096),
    Whole("sparse", "csr_array", "f32", _sparse_products, 64),
    Whole("sparse", "csr_array", "f64", _sparse_products, 64),
)


def _verify_kernel(row: dict[str, Any], seed: int) -> Verdict:
    verdict = Verdict(row["family"], row["name"], row["type"])
    make = DOMAINS.get(row["name"], SIGNATURES[row["signature"]])
    dtype = DTYPES[row["type"]]
    rng = np.random.default_rng(seed)
    for n in SIZES:
        problem = make(n, lambda count: rng.normal(scale=3, size=count).astype(dtype))
        expected = _call(row, "reference", problem)
        sizes = problem.scale() if problem.scale else [None] * len(expected)
        for tier in available_tiers():
            shares = [
                _share(got, wanted, size, row["bound"], dtype)
                for got, wanted, size in zip(_call(row, tier, problem), expected, sizes, strict=True)
            ]
            verdict.worst[tier] = max(verdict.worst.get(tier, 0.0), *shares)
    return verdict


def _verify_whole(whole: Whole, seed: int) -> Verdict:
    verdict = Verdict(whole.family, whole.name, whole.type)
    dtype = DTYPES[whole.type]
    results = {}
    for tier in available_tiers():
        with mlopt.use_isa(tier):
            results[tier] = whole.compute(whole.type, seed)
    for tier, got in results.items():
        verdict.worst[tier] = max(
            _share(part, wanted, np.nanmax(np.abs(wanted)), whole.bound / 2, dtype)
            for part, wanted in zip(got, results["reference"], strict=True)
        )
    return verdict


def verify(seed: int = 0) -> list[Verdict]:
    """Run every kernel of the register on every tier of this machine.

    Parameters
    ----------
    seed : int, default 0
        Of the random operands.

    Returns
    -------
    list of Verdict
        One a kernel and type, then one a class that runs kernels.

    Examples
    --------
    >>> from mlopt.verify import verify
    >>> all(verdict.passed for verdict in verify())
    True
    """
    kernels = [_verify_kernel(row, seed) for row in kernel_report() if row["signature"] in SIGNATURES]
    return kernels + [_verify_whole(whole, seed) for whole in WHOLES]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``mlopt verify``."""
    parser.add_argument("--seed", type=int, default=0, help="of the random operands (default: 0)")


def run(arguments: argparse.Namespace) -> int:
    """``mlopt verify``: print the table; 1 where a kernel failed."""
    tiers = [tier for tier in available_tiers() if tier != "reference"]
    verdicts = verify(arguments.seed)
    width = max(len(verdict.name) for verdict in verdicts) + 4

    def line(first: str, cells: list[str]) -> str:
        return f"{first:<{width + 1}}" + "".join(f"{cell:>{max(len(tier), 6) + 2}}" for tier, cell in zip(tiers, cells))  # noqa: B905

    print(line("kernel", tiers))
    for verdict in verdicts:
        cells = ["ok" if verdict.worst[tier] <= 1 else "FAILED" for tier in tiers]
        print(line(f"{verdict.name} {verdict.type}", cells))
    failed = [verdict for verdict in verdicts if not verdict.passed]
    for verdict in failed:
        for tier, share in verdict.worst.items():
            if share > 1:
                words = f"{share:.3g} times the allowed deviation"
                print(f"{verdict.name} {verdict.type} on {tier}: {words}", file=sys.stderr)
    print(f"{len(verdicts)} rows on {len(tiers)} tiers against the reference: {len(failed)} failed")
    return 1 if failed else 0
