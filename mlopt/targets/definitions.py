"""The table of the stated targets: what each is, what it should reach, and what measures it.

A row's ``measure`` lives in ``rows/``; a row without one is not in this version and says so.
``mlopt targets``, the ``track_*`` benchmarks and the documentation all read this table.
"""

from __future__ import annotations

import importlib
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import cast

from mlopt.targets import peers
from mlopt.targets.contest import NotHere, Options
from mlopt.targets.result import ABSENT, UNAVAILABLE, Goal, Row, judge

Measurer = Callable[[Row, Options], None]


@dataclass(frozen=True)
class Target:
    """One stated target.

    Parameters
    ----------
    id : str
        Its name on the command line, in JSON and in the benchmark history.
    title : str
        What is measured.
    work : str
        The work, exactly.
    part : str
        ``"hot path"`` or ``"algorithms"``.
    goals : tuple of Goal
        Stated numbers, this library's goals, stretch goals.
    measured_by : str, optional
        ``"module"`` in ``mlopt.targets.rows`` whose ``measure_<id>(row, options)`` fills the row.
    """

    id: str
    title: str
    work: str
    part: str
    goals: tuple[Goal, ...] = ()
    measured_by: str | None = None

    def row(self) -> Row:
        """The row, not measured yet."""
        return Row(self.id, self.title, self.work, self.part)

    def measurer(self) -> Measurer | None:
        """The function that fills the row, None where this version has none."""
        if self.measured_by is None:
            return None
        module = importlib.import_module(f"mlopt.targets.rows.{self.measured_by}")
        return cast(Measurer, getattr(module, f"measure_{self.id}"))

    def run(self, options: Options | None = None) -> Row:
        """Measure and judge.  What fails gives a row that says what failed, never one that passes.

        Examples
        --------
        >>> from mlopt.targets.definitions import find
        >>> find("gpu_parity").run().verdict()
        'not in this version'
        """
        row = self.row()
        measure = self.measurer()
        if measure is None:
            row.reason = ABSENT
            return row
        options = options or Options()
        if options.peers:
            peers.load_threaded()
        try:
            with peers.threads(1):
                measure(row, options)
        except NotHere as error:
            row = self.row()
            row.status, row.reason = UNAVAILABLE, str(error)
        except Exception as error:
            row = self.row()
            row.status, row.reason = UNAVAILABLE, f"failed: {type(error).__name__}: {error}"
            row.notes.append(traceback.format_exc(limit=-3))
        row.notes += peers.laming_notes()
        row.judgements = [judge(goal, row) for goal in self.goals]
        return row


def lower(kind: str, text: str, bound: float, metric: str = "figure", scale: str | None = None) -> Goal:
    """A goal that is met at or below a number."""
    return Goal(kind, text, metric, bound, "lower", scale)


def higher(kind: str, text: str, bound: float, metric: str, scale: str | None = None) -> Goal:
    """A goal that is met at or above a number."""
    return Goal(kind, text, metric, bound, "higher", scale)


F32, F64, L1 = "FMA float32", "FMA float64", "L1 read"
HOT, ALGORITHMS = "hot path", "algorithms"

TARGETS = (
    Target(
        "feature_extraction",
        "one bar in, features out",
        "one symbol, the default set, FeatureExtractor.update(...) from Python, real S&P 500 bars, after warm-up",
        HOT,
        (
            lower("stated", "< 5 µs", 5e-6, scale=F64),
            lower("goal", "≤ 1 µs", 1e-6, scale=F64),
            lower("stretch", "≤ 0.5 µs", 0.5e-6, scale=F64),
        ),
        "features",
    ),
    Target(
        "matmul_1024",
        "1024×1024 @ 1024×1024, float64",
        "mlopt.matmul(a, b, out=c), float64, one thread; and on all cores",
        HOT,
        (
            lower("stated", "< 40 ms", 40e-3, scale=F64),
            higher("goal", "≥ 95 % of the FMA limit", 0.95, "share"),
            higher("goal", "≥ 1.1× the best peer", 1.1, "vs_peer"),
        ),
        "matmul",
    ),
    Target(
        "matmul_1024_f32",
        "1024×1024 @ 1024×1024, float32",
        "mlopt.matmul(a, b, out=c), float32, one thread; and on all cores",
        HOT,
        (
            higher("goal", "≥ 96 % of the FMA limit", 0.96, "share"),
            higher("goal", "≥ 1.07× the best peer", 1.07, "vs_peer"),
        ),
        "matmul",
    ),
    Target(
        "matmul_sizes",
        "square products of many sizes",
        "mlopt.matmul(a, b, out=c), float64 and float32, 64² to 2048² (to 4096² with --full), one thread",
        HOT,
        (higher("goal", "≥ the best peer at every size", 1.0, "worst_vs_peer"),),
        "matmul",
    ),
    Target(
        "matmul_shapes",
        "odd, prime, skinny and rectangular products from networks",
        "mlopt.matmul(a, b, out=c) of a fixed list of 200 shapes, one thread: those that take a moment, float32 (all, "
        "and float64, with --full)",
        HOT,
        (
            higher("goal", "≥ the best peer at each", 1.0, "worst_vs_peer"),
            higher("goal", "median ≥ 1.1× the best peer", 1.1, "median_vs_peer"),
        ),
        "matmul",
    ),
    Target(
        "matmul_small",
        "8³, 16³, 32³ from Python",
        "mlopt.matmul(a, b), float64 and float32, against a @ b of NumPy and PyTorch, one thread",
        HOT,
        (higher("goal", "≥ 2× NumPy", 2.0, "worst_vs_numpy"),),
        "matmul",
    ),
    Target(
        "matmul_cores",
        "one core against all",
        "mlopt.matmul(a, b, out=c), 2048² (4096² with --full) float64; processor time ÷ (wall × cores)",
        HOT,
        (
            higher("goal", "two cores ≥ 1.9× one", 1.9, "speedup"),
            higher("goal", "processors ≥ 95 % busy", 0.95, "busy"),
        ),
        "matmul",
    ),
    Target(
        "training_iteration",
        "one optimiser step: forward, backward, AdamW",
        "5-layer LSTM, 100 inputs, hidden 128, 60 steps, batch 64, float32, MSE on the last step",
        HOT,
        (
            lower("stated", "< 200 ms", 200e-3, scale=F32),
            higher("goal", "≥ 1.35× PyTorch", 1.35, "vs_peer"),
            lower("stretch", "< 100 ms", 100e-3, scale=F32),
        ),
        "training",
    ),
    Target(
        "training_iteration_bf16",
        "one optimiser step with products in bfloat16",
        'the LSTM and the step of training_iteration with precision="bf16", beside both in float32',
        HOT,
        (
            higher("goal", "≥ 1.5× our own float32", 1.5, "vs_float32"),
            higher("goal", "≥ 2× PyTorch in float32", 2.0, "vs_peer"),
            higher("goal", "≥ 70 % of the bfloat16 limit", 0.7, "share"),
        ),
        "training",
    ),
    Target(
        "training_iteration_mlp",
        "one optimiser step of an MLP",
        "MLP 100-256-256-256-256-10, ReLU, batch 1024, float32, MSE: forward, backward, AdamW",
        HOT,
        (
            higher("goal", "≥ 2.3× PyTorch", 2.3, "vs_peer"),
            higher("goal", "≥ 75 % of the FMA limit", 0.75, "share"),
        ),
        "training",
    ),
    Target(
        "training_step_mlp",
        "one optimiser step of an MLP, small batch",
        "MLP 100-256-256-256-256-10, ReLU, batch 64, float32, MSE: forward, backward, AdamW",
        HOT,
        (higher("goal", "≥ 2.5× PyTorch", 2.5, "vs_peer"),),
        "training",
    ),
    Target(
        "fit_digits",
        "a whole fit",
        "MLPClassifier(random_state=0).fit on three quarters of scikit-learn's digits, defaults, float64",
        HOT,
        (
            higher("goal", "≥ 5× scikit-learn", 5.0, "vs_peer"),
            higher("goal", "at least its accuracy", 0.0, "score_over_peer"),
        ),
        "training",
    ),
    Target(
        "gradient",
        "all parameter gradients of one sample",
        "MLP 100-50-10, ReLU, MSE, float32, from Python, no allocation",
        HOT,
        (
            lower("stated", "< 2 µs", 2e-6, scale=L1),
            lower("goal", "≤ 0.4 µs", 0.4e-6, scale=L1),
        ),
        "network",
    ),
    Target(
        "inference",
        "one sample, one thread, from Python",
        "MLP 100-50-10, float32: predict(x, out=) and the bound call; median, p99, p99.9 of 10⁶ calls",
        HOT,
        (
            lower("stated", "< 3 µs", 3e-6, scale=L1),
            lower("stretch", "< 1 µs", 1e-6, scale=L1),
            lower("goal", "predict(x, out=) ≤ 0.2 µs", 0.2e-6, scale=L1),
            lower("goal", "bound ≤ 1.25 × (L1 read of the same bytes + an empty call)", 1.25, "bound_over_floor"),
            lower("goal", "bound p99.9 ≤ 1 µs", 1e-6, "bound_p999", scale=L1),
            lower("stretch", "int8 ≤ 0.06 µs", 0.06e-6, "int8", scale=L1),
        ),
        "network",
    ),
    Target(
        "inference_shapes",
        "one sample, 20 random networks",
        "MLPs of 2 to 4 layers with random widths, 8 to 32 KB of float32 parameters: the bound call",
        HOT,
        (
            lower("goal", "each ≤ 1.25 × (L1 read of the same bytes + an empty call)", 1.25, "worst_over_floor"),
            lower("goal", "median ≤ 1.25 ×", 1.25, "median_over_floor"),
        ),
        "network",
    ),
    Target(
        "inference_int8",
        "one sample in int8 against float32",
        "bound calls of MLPs from 8-8-8 to 4096-4096-4096 and 100-50-10, weights from L1 to memory",
        HOT,
        (
            higher("goal", "int8 faster at every size", 1.0, "worst_ratio"),
            higher("stretch", "median ≥ 3 ×", 3.0, "median_ratio"),
        ),
        "network",
    ),
    Target(
        "allocations",
        "heap allocations on the hot path",
        "malloc, calloc, realloc, aligned_alloc and mmap counted while bars run through features, inference, "
        "gradient and update",
        HOT,
        (
            lower("stated", "< 1 000 per second", 1000.0, "per_second"),
            lower("goal", "0 after warm-up", 0.0, "per_bar"),
        ),
        "pipeline",
    ),
    Target(
        "cache_hit_rate",
        "L1d hit rate of the hot kernels",
        "hardware counters where the machine has them, else simulated and labelled so",
        HOT,
        (higher("stated", "> 95 %", 0.95, "share"), higher("goal", "≥ 99 %", 0.99, "share")),
    ),
    Target(
        "branch_prediction",
        "branches predicted in the hot kernels",
        "as cache_hit_rate",
        HOT,
        (higher("stated", "> 99 %", 0.99, "share"),),
    ),
    Target(
        "ipc",
        "instructions per cycle of the hot kernels",
        "as cache_hit_rate",
        HOT,
        (higher("stated", "> 3.5", 3.5, "figure"),),
    ),
    Target(
        "cpu_utilisation",
        "CPU time ÷ (wall × cores)",
        "matmul_4096 and the training iteration on all cores",
        HOT,
        (
            higher("stated", "> 90 %", 0.90, "share"),
            higher("goal", "≥ 95 %", 0.95, "share"),
            higher("goal", "two cores ≥ 1.9× one", 1.9, "speedup"),
        ),
        "training",
    ),
    Target(
        "strassen_4096",
        "Strassen against GEMM",
        "mlopt.matmul(a, b, out=c, method='strassen'), float64 and float32 4096² (8192² with --full), one thread",
        ALGORITHMS,
        (
            higher("goal", "≥ 1.35× the best peer (float64)", 1.35, "vs_peer"),
            higher("goal", "≥ 1.2× the best peer (float32)", 1.2, "vs_peer_f32"),
            higher("goal", "≥ 110 % of the FMA limit (float64)", 1.10, "share"),
            higher("goal", "≥ 110 % of the FMA limit (float32)", 1.10, "share_f32"),
        ),
        "matmul",
    ),
    Target(
        "feature_symbols",
        "one bar of 1024 symbols, a symbol",
        "FeatureExtractor(symbols=1024), the default set, update(...) of arrays from Python, all symbols ticking",
        ALGORITHMS,
        (
            lower("goal", "≤ 250 ns a symbol", 250e-9, scale=F64),
            lower("goal", "≤ 1.5× the memory roofline", 1.5, "vs_roofline"),
        ),
        "features",
    ),
    Target(
        "feature_history",
        "5 000 bars of history, a bar",
        "transform of real S&P 500 bars, the features of the default set that TA-Lib has too; the whole set beside it",
        ALGORITHMS,
        (higher("goal", "≥ 2× TA-Lib's batch functions", 2.0, "vs_peer"),),
        "features",
    ),
    Target(
        "svd_512",
        "randomised SVD",
        "512×512 float64, singular values 1/i, rank 50, spectral error ≤ 1.01 × optimal",
        ALGORITHMS,
        (
            lower("stated", "< 20 ms", 20e-3, scale=F64),
            lower("goal", "≤ 3 ms", 3e-3, scale=F64),
            higher("goal", "≥ 1.5× the best peer at that error", 1.5, "vs_peer"),
            lower("stretch", "≤ 2 ms", 2e-3, scale=F64),
        ),
        "svd",
    ),
    Target(
        "svd_dense",
        "randomised SVD of a large dense matrix",
        "10 000×2 000 float64, singular values 1/i, rank 50, spectral error ≤ 1.01 × optimal, one thread",
        ALGORITHMS,
        (higher("goal", "≥ 3× scikit-learn at equal error", 3.0, "vs_sklearn"),),
        "svd",
    ),
    Target(
        "svd_sparse",
        "randomised SVD of a large sparse matrix",
        "100 000×10 000 float64 at 0.1 % density, rank 20, spectral error ≤ 1.01 × optimal, one thread",
        ALGORITHMS,
        (higher("goal", "≥ 3× scikit-learn at equal error", 3.0, "vs_sklearn"),),
        "svd",
    ),
    Target(
        "sparse_vs_dense",
        "sparse kernels against dense ones",
        "4096² float64 at 0.1 % density, one thread: csr_array @ vector, @ 64 columns, @ itself; each new result",
        ALGORITHMS,
        (
            higher("stated", "100× this library's dense kernels, each", 100.0, "vs_dense"),
            higher("goal", "≥ 1.5× the best of SciPy, MKL and PyTorch, each", 1.5, "vs_peer"),
        ),
        "sparse",
    ),
    Target(
        "sparse_sizes",
        "sparse products of other sizes",
        "16384² at 0.1 %, 4096² at 1 %: the same three products",
        ALGORITHMS,
        (higher("goal", "≥ 1.5× the best of SciPy, MKL and PyTorch, each", 1.5, "vs_peer"),),
        "sparse",
    ),
    Target(
        "sparse_real",
        "sparse products of matrices as they occur",
        "TF-IDF of the standard library's sources, the Laplacian of a 512² grid, a power-law graph of 50 000 nodes: "
        "the same three products (the first times its transpose)",
        ALGORITHMS,
        (higher("goal", "never slower than the best of SciPy, MKL and PyTorch", 1.0, "vs_peer"),),
        "sparse",
    ),
    Target(
        "vector_ops",
        "dot, axpy, sum, max, add, mul, exp, tanh, sigmoid, softmax",
        "1 K, 16 K, 1 M, 64 M elements, float32 and float64 (64 M with --full): the kernel against the scalar loop and "
        "the limit loop with as many streams; from Python against NumPy and PyTorch",
        ALGORITHMS,
        (
            higher("stated", "dot, sum, max ≥ 16× the scalar loop (float32, 1 K)", 16.0, "reductions_vs_scalar"),
            higher("goal", "add, mul ≥ 90 % of the L1 load-store limit (float32, 1 K)", 0.90, "elementwise_share"),
            higher("goal", "from Python ≥ 0.95× the best of NumPy and PyTorch, everywhere", 0.95, "worst_vs_peer"),
        ),
        "vector_ops",
    ),
    Target(
        "int8_gemm",
        "int8 matrix product",
        "mlopt.matmul_int8(a, b, out=c), u8×s8→s32 1024², one thread; b packed before, and the fused requantising form",
        ALGORITHMS,
        (
            higher("goal", "≥ 95 % of the vpdpbusd limit", 0.95, "share"),
            higher("goal", "≥ the best peer", 1.0, "vs_peer"),
        ),
        "int8",
    ),
    Target(
        "int8_sizes",
        "int8 products of many sizes",
        "mlopt.matmul_int8, u8×s8, 32² to 4096², one thread: to int32, b packed before where the peer has it so; to u8",
        ALGORITHMS,
        (
            higher("goal", "≥ the best peer at every size", 1.0, "worst_vs_peer"),
            higher("goal", "requantised ≥ the best peer at every size", 1.0, "requantised_worst_vs_peer"),
        ),
        "int8",
    ),
    Target(
        "pipeline_throughput",
        "bars → features → scale → model → output",
        "Pipeline over a table of real bars, in place, a bar; the baseline program's stages, and the same stages as "
        "they are usually written, each returning new arrays",
        ALGORITHMS,
        (
            higher("stated", "10× the baseline", 10.0, "vs_baseline"),
            higher("goal", "≥ 10× the same stages copying and allocating", 10.0, "vs_copying"),
            lower("goal", "0 allocations a record", 0.0, "allocations"),
        ),
        "pipeline",
    ),
    Target(
        "pools",
        "acquire, .array, release from Python",
        "pools of 1 M (32, 32) f64 matrices, 10 K (64, 128) f32 batches, 100 K (128,) f64 vectors",
        ALGORITHMS,
        (
            lower("goal", "≤ 60 ns", 60e-9, scale=L1),
            higher("goal", "in C, each of two threads ≥ 0.9× one", 0.9, "two_threads"),
            higher("goal", "NumPy's small arrays from the slab pool ≥ 1× its own", 1.0, "numpy_small"),
            higher("goal", "the same, 16 of them alive", 1.0, "numpy_together"),
        ),
        "pools",
    ),
    Target(
        "spsc",
        "records between two processes",
        "400-byte records, one call a record on either side, read in place; in C 64-byte records between two threads, "
        "written and read, one call a record, and the median latency one way",
        ALGORITHMS,
        (
            higher("goal", "≥ 2 M records/s from Python", 2e6, "rate"),
            higher("goal", "≥ 50 M records/s in C", 50e6, "c_rate"),
            higher("stretch", "≥ 100 M records/s in C", 100e6, "c_rate"),
            lower("goal", "latency ≤ 300 ns spinning", 300e-9, "latency"),
        ),
        "queues",
    ),
    Target(
        "counter_increment",
        "counting, with any number of threads",
        "one Counter.add(1) without the GIL, a call from Cython each; beside increment() from Python",
        ALGORITHMS,
        (lower("goal", "≤ 5 ns", 5e-9, scale=L1),),
        "counters",
    ),
    Target(
        "map_read",
        "one read of a map that threads share",
        "10 000 int64 keys in random order, ConcurrentMap.get from Python; the same read in C without the GIL",
        ALGORITHMS,
        (
            lower("goal", "≤ 20 ns in C", 20e-9, "in_c", scale=L1),
            higher("goal", "from Python ≥ 0.7× dict.get", 0.7, "vs_peer"),
        ),
        "maps",
    ),
    Target(
        "overall",
        "the whole loop per bar",
        "features, inference, gradient, update of an MLP features-50-10, one real bar after another, against the "
        "baseline program on the same bars",
        ALGORITHMS,
        (
            higher("stated", "≥ 100× the baseline", 100.0, "vs_baseline"),
            higher("stretch", "320× the baseline", 320.0, "vs_baseline"),
        ),
        "pipeline",
    ),
    Target("gpu_parity", "batch size up to which a core beats a GPU", "MLP 100-50-10, latency from Python", ALGORITHMS),
    Target("pgo", "the pipeline rebuilt with its own profile", "measured and reported as it is", ALGORITHMS),
    Target(
        "soak",
        "everything at once under load",
        "mlopt soak for 10 s: pipelines with killed workers, queues, pools, maps, refused allocations; every record "
        "accounted for, resident memory sampled",
        ALGORITHMS,
        (
            lower("goal", "0 errors", 0.0, "faults"),
            lower("goal", "every check holds", 0.0, "not_held"),
        ),
        "soak",
    ),
)


def find(id: str) -> Target:
    """The target of an id; ValueError lists the ids.

    Parameters
    ----------
    id : str
        As in the table.

    Returns
    -------
    Target

    Examples
    --------
    >>> from mlopt.targets.definitions import find
    >>> find("gradient").goals[0].text
    '< 2 µs'
    """
    for target in TARGETS:
        if target.id == id:
            return target
    raise ValueError(f"id={id!r} is not a target; one of: {', '.join(target.id for target in TARGETS)}")


def run(ids: Sequence[str] | None = None, options: Options | None = None) -> Iterator[Row]:
    """Measure the targets of these ids, or all, in the order of the table.

    Parameters
    ----------
    ids : sequence of str, optional
        All by default.
    options : Options, optional
        How to measure.

    Yields
    ------
    Row
        As soon as it is measured.
    """
    chosen = TARGETS if ids is None else [find(id) for id in ids]
    for target in chosen:
        yield target.run(options)
