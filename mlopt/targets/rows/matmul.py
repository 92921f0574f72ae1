"""Matrix products."""

from __future__ import annotations

import math
import statistics
import time
from typing import Any

import mlopt
from mlopt.targets import peers, products
from mlopt.targets.contest import OURS, Contest, NotHere, Options
from mlopt.targets.limits import TYPES, fma
from mlopt.targets.measure import Batch, calls
from mlopt.targets.rates import Rate, chosen, measure
from mlopt.targets.result import MEASURED, Row, Share
from mlopt.targets.shapes import SHAPES, operands

ROW_SIZES = (64, 128, 256, 500, 512, 1000, 1024, 2048)
FULL_SIZES = (3000, 4096)
MOMENT = 1e8  # multiplications
SHAPE_STEP = 2
LINES = 16  # of detail


def usable_cores() -> int:
    """How many cores this process may run on."""
    from mlopt._kernels.core import cpu_report

    return int(cpu_report()["cores"])


def on_reference(batch: Batch) -> Batch:
    """The same batch on the reference tier."""

    def on_scalar_loops(count: int) -> float:
        with mlopt.use_isa("reference"):
            seconds = batch(count)
        return seconds

    return on_scalar_loops


def measure_matmul_1024(row: Row, options: Options) -> None:
    """float64: one thread; then all cores, against the peers on as many and the limit of all of them."""
    measure_square(row, options, "float64")


def measure_matmul_1024_f32(row: Row, options: Options) -> None:
    """float32, in the same way."""
    measure_square(row, options, "float32")


def measure_square(row: Row, options: Options, dtype: str, n: int = 1024) -> None:
    """Square matrices on one thread and on all cores."""
    a, b, c = operands(n, n, n, "nn", dtype)
    contest = products.contest(a, b, c, with_peers=False)
    contest.variants = {}
    contest.peers = products.peer_batches(a, b, c, scipy=True) if options.peers else {}
    if dtype == "float64":  # the baseline takes seconds: once is enough
        contest.baseline = on_reference(calls(lambda: mlopt.matmul(a, b, num_threads=1)))
        contest.plan_figure = 850e-3
    contest.fill(row, options.seconds)
    cores = usable_cores()
    if cores == 1:
        row.notes.append("one core: nothing to measure on all cores")
        return
    flops = contest.amount
    with peers.threads(cores):
        together = fma(dtype, cores)
        everywhere = Contest(
            ours=products.ours(a, b, c, threads=cores),
            peers=products.peer_batches(a, b, c, scipy=True) if options.peers else {},
            limits=[together],
        )
        rounds = everywhere.measure(options.seconds)
    limit_key = f"limit {together.name}"
    row.figures[f"{cores} cores"] = row.metrics["all_cores"] = rounds.seconds(OURS).median
    row.limits.append(
        Share(
            together.name,
            rounds.rate(limit_key, together.amount),
            together.unit,
            rounds.ratio(limit_key, of=OURS, factor=flops / together.amount),
        )
    )
    for name in (OURS, *(f"peer {peer}" for peer in everywhere.peers)):
        row.details.append(
            {
                f"on {cores} cores": name.removeprefix("peer "),
                "ms": rounds.seconds(name).median * 1e3,
                "÷ ours": rounds.ratio(name, of=OURS).median,
                "% of limit": 100 * rounds.ratio(limit_key, of=name, factor=flops / together.amount).median,
            }
        )


def detail(rate: Rate, method: str = "gemm") -> dict[str, Any]:
    """A line of a row's detail: a product, its share of the limit, the best peer."""
    seconds, share = rate.ours[method]
    line: dict[str, Any] = {"product": rate.name, "type": rate.dtype, "µs": seconds * 1e6, "% of limit": 100 * share}
    if rate.source:
        line["from"] = rate.source
    if best := rate.against_best(method):
        line |= {"best peer": best[0], "÷ ours": best[1]}
    return line


def sum_up(row: Row, rates: list[Rate]) -> None:
    """The worst and the middle ratio to the best peer over many products, and a line for those worst off."""
    row.status = MEASURED
    by_ratio = sorted(rates, key=lambda rate: (rate.against_best("gemm") or ("", math.inf))[1])
    shown = {rate.id for rate in by_ratio[:LINES]}
    row.details += [detail(rate) for rate in rates if rate.id in shown]
    ratios = [best[1] for rate in rates if (best := rate.against_best("gemm"))]
    if ratios:
        row.metrics["worst_vs_peer"], row.metrics["median_vs_peer"] = min(ratios), statistics.median(ratios)
        if len(rates) > LINES:
            row.notes.append(f"below: the {LINES} of {len(rates)} with the lowest ratios")
        behind = sum(ratio < 1 for ratio in ratios)
        row.notes.append(
            f"best peer's time over ours: {min(ratios):.3g} at worst, {statistics.median(ratios):.3g} in the middle; "
            f"behind at {behind} of {len(ratios)}"
        )


def measure_matmul_sizes(row: Row, options: Options) -> None:
    """Square sizes of both types; from 4096 on only with --full."""
    sizes = [*ROW_SIZES, *(FULL_SIZES if options.full else ())]
    chosen_points = chosen([f"square/{dtype}/{n}" for dtype in TYPES for n in sizes])
    sum_up(row, [measure(point, options.seconds / 10, options.peers) for point in chosen_points])


def measure_matmul_shapes(row: Row, options: Options) -> None:
    """The shapes of the list that take a moment, float32; all of them in both types with --full."""
    everything = chosen(["shapes"] if options.full else ["shapes/float32"])
    if not options.full:
        moment = {str(shape) for shape in SHAPES if shape.m * shape.n * shape.k <= MOMENT}
        everything = [point for point in everything if point.id.split("/")[2] in moment][::SHAPE_STEP]
    sum_up(row, [measure(point, options.seconds / 20, options.peers) for point in everything])
    if not options.full:
        row.notes.append(f"{len(everything)} of the {len(SHAPES)}; all with --full, or `mlopt rates --only shapes`")


def measure_matmul_small(row: Row, options: Options) -> None:
    """8³, 16³, 32³ as a user writes them, against NumPy."""
    rates = [measure(point, options.seconds / 5, options.peers) for point in chosen(["small"])]
    sum_up(row, rates)
    if options.peers:
        label = peers.label("numpy")
        row.metrics["worst_vs_numpy"] = min(rate.ratios["gemm"][label][0] for rate in rates)


def measure_strassen_4096(row: Row, options: Options) -> None:
    """Strassen against this library's own GEMM, the peers and the limit; 8192 with --full."""
    if "strassen" not in products.methods():
        raise NotHere("method='strassen' is not in this version")
    for dtype in ("float64", "float32"):
        for n in (4096, *((8192,) if options.full else ())):
            a, b, c = operands(n, n, n, "nn", dtype)
            contest = products.contest(a, b, c, options.peers)
            gemm, contest.ours = contest.ours, contest.variants.pop("strassen")
            contest.variants = {"gemm": gemm} | contest.variants
            part = row if (dtype, n) == ("float64", 4096) else Row(row.id, row.title, row.work, row.part)
            rounds = contest.fill(part, options.seconds, min_rounds=2)
            suffix = "" if (dtype, n) == ("float64", 4096) else f"_{TYPES[dtype]}" + ("" if n == 4096 else f"_{n}")
            for metric in ("share", "vs_peer"):
                if metric in part.metrics:
                    row.metrics[metric + suffix] = part.metrics[metric]
            row.metrics["vs_gemm" + suffix] = rounds.ratio("variant gemm", of=OURS).median
            if "auto" in contest.variants:
                row.metrics["auto_vs_gemm" + suffix] = rounds.ratio("variant gemm", of="variant auto").median
            row.figures[f"{dtype} {n}²"] = part.metrics["figure"]
            line: dict[str, Any] = {"size": n, "type": dtype, "s": part.metrics["figure"]}
            line |= {"% of limit": 100 * part.metrics["share"], "÷ own GEMM": row.metrics["vs_gemm" + suffix]}
            if part.best_peer is not None:
                line |= {"best peer": part.best_peer.name, "peer ÷ ours": part.best_peer.ratio.median}
            row.details.append(line)


def measure_matmul_cores(row: Row, options: Options) -> None:
    """One core against all of them, and how busy they were."""
    cores = usable_cores()
    if cores == 1:
        raise NotHere("this process may run on one core only")
    n = 4096 if options.full else 2048
    a, b, c = operands(n, n, n, "nn", "float64")
    busy: list[float] = []

    def with_processor_time(count: int) -> float:
        before = time.process_time()
        seconds = together(count)
        busy.append((time.process_time() - before) / (seconds * cores))
        return seconds

    together = products.ours(a, b, c, threads=cores)
    limit, all_of_them = fma("float64"), fma("float64", cores)
    contest = Contest(
        ours=with_processor_time, variants={"one core": products.ours(a, b, c)}, limits=[limit, all_of_them]
    )
    rounds = contest.fill(row, options.seconds)
    speedup = rounds.ratio("variant one core", of=OURS)
    row.metrics["speedup"] = speedup.median
    row.metrics["busy"] = statistics.median(busy)
    factor = all_of_them.amount / limit.amount
    loops = rounds.ratio(f"limit {limit.name}", of=f"limit {all_of_them.name}", factor=factor)
    row.notes.append(
        f"{n}² on {cores} cores: {speedup.median:.3g} times one core, the processors {100 * row.metrics['busy']:.0f} % "
        f"busy; the multiply-add loop gains {loops.median:.3g} times"
    )
