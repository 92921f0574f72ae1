"""Matrix products."""

from __future__ import annotations

import numpy as np

import mlopt
from mlopt.targets import peers
from mlopt.targets.contest import OURS, Contest, NotHere, Options
from mlopt.targets.limits import fma
from mlopt.targets.measure import Batch, calls
from mlopt.targets.memory import aligned, aligned_copy
from mlopt.targets.result import Row, Share


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


def peer_batches(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> dict[str, Batch]:
    """``a @ b`` into `c` by every peer that is there."""
    result = {peers.label("numpy"): calls(lambda: np.matmul(a, b, out=c))}
    if (torch := peers.find("torch")) is not None:
        left, right, out = (torch.from_numpy(array) for array in (a, b, c))
        result[peers.label("torch")] = calls(lambda: torch.matmul(left, right, out=out))
    if peers.find("scipy") is not None:
        from scipy.linalg.blas import dgemm

        # Fortran order: the product of the transposes, so that nothing is copied
        result[peers.label("scipy")] = calls(lambda: dgemm(1.0, b.T, a.T, c=c.T, overwrite_c=1))
    return result


def measure_matmul_1024(row: Row, options: Options) -> None:
    """One thread; then all cores, against the peers on as many and the limit of all of them."""
    if not hasattr(mlopt, "matmul"):
        raise NotHere("mlopt.matmul is not in this version")
    n = 1024
    flops = 2.0 * n**3
    rng = np.random.default_rng(0)
    a, b = (aligned_copy(rng.standard_normal((n, n)), place) for place in range(2))
    c = aligned((n, n), "float64", place=2)
    limit = fma("float64")
    contest = Contest(
        ours=calls(lambda: mlopt.matmul(a, b, out=c, num_threads=1)),
        baseline=on_reference(calls(lambda: mlopt.matmul(a, b, num_threads=1))),
        peers=peer_batches(a, b, c) if options.peers else {},
        limits=[limit],
        share_of=limit.name,
        amount=flops,
        plan_figure=850e-3,
    )
    contest.fill(row, options.seconds)
    cores = usable_cores()
    if cores == 1:
        row.notes.append("one core: nothing to measure on all cores")
        return
    with peers.threads(cores):
        together = fma("float64", cores)
        everywhere = Contest(
            ours=calls(lambda: mlopt.matmul(a, b, out=c, num_threads=cores)),
            peers=peer_batches(a, b, c) if options.peers else {},
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
