"""The bound calls of networks in a process of their own, as a service would make them.

``python -m mlopt.targets.serving_loop`` takes the shapes from its input.  In a process that was ever inside
:class:`mlopt.use_isa`, as one is that measured the baseline program, every call looks up its context: 8 ns.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

Widths = tuple[int, ...]


def parameter_bytes(widths: Iterable[int]) -> int:
    """Of a float32 network."""
    return 4 * sum(int(inputs + 1) * int(outputs) for inputs, outputs in pairwise(widths))


def measure_bound(shapes: Sequence[Widths], seconds: float) -> list[dict[str, Any]]:
    """Of every network the seconds of the bound call and of reading its parameters from L1, interleaved with an empty
    call, and the call over the sum of the two; measured in a fresh process."""
    return in_process("bound", shapes, seconds)


def measure_quantized(shapes: Sequence[Widths], seconds: float) -> list[dict[str, Any]]:
    """Of every network the seconds of the bound call in float32 and of the quantised one, interleaved, and the ratio of
    the two; measured in a fresh process."""
    return in_process("quantized", shapes, seconds)


def in_process(what: str, shapes: Sequence[Widths], seconds: float) -> list[dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, "-m", "mlopt.targets.serving_loop"],
        input=json.dumps({"what": what, "shapes": shapes, "seconds": seconds}),
        capture_output=True,
        text=True,
        timeout=60 + 20 * seconds * len(shapes),
    )
    if done.returncode != 0:
        raise RuntimeError(f"the measured process failed:\n{done.stderr}")
    results: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return results


def bound_here(widths: Widths, seconds: float) -> dict[str, Any]:
    """What :func:`measure_bound` measures, for one network in this process."""
    from mlopt.nn import MLP
    from mlopt.targets.contest import OURS, Contest
    from mlopt.targets.empty import EmptyCall
    from mlopt.targets.limits import l1_read
    from mlopt.targets.measure import calls
    from mlopt.targets.memory import aligned, aligned_copy

    model = MLP(widths, rng=0)
    x = aligned_copy(np.random.default_rng(1).standard_normal(widths[0]).astype("float32"))
    limit = l1_read(parameter_bytes(widths))
    contest = Contest(
        ours=calls(model.bind(x, aligned(widths[-1], "float32", place=1))),
        limits=[limit],
        variants={"empty": calls(EmptyCall())},
    )
    rounds = contest.measure(seconds)
    samples = [rounds.samples[name] for name in (OURS, f"limit {limit.name}", "variant empty")]
    over = [call / (read + empty) for call, read, empty in zip(*samples, strict=True)]
    return {"widths": widths, "bound": rounds.seconds(OURS).median, "over": float(np.median(over))}


def quantized_here(widths: Widths, seconds: float) -> dict[str, Any]:
    """What :func:`measure_quantized` measures, for one network in this process."""
    from mlopt.nn import MLP
    from mlopt.targets.contest import OURS, Contest
    from mlopt.targets.measure import calls
    from mlopt.targets.memory import aligned, aligned_copy

    model = MLP(widths, rng=0)
    samples = np.random.default_rng(1).standard_normal((64, widths[0])).astype("float32")
    x = aligned_copy(samples[0])
    quantized = model.quantize(samples)
    contest = Contest(
        ours=calls(quantized.bind(x, aligned(widths[-1], "float32", place=1))),
        variants={"float32": calls(model.bind(x, aligned(widths[-1], "float32", place=2)))},
    )
    rounds = contest.measure(seconds)
    return {
        "widths": widths,
        "int8": rounds.seconds(OURS).median,
        "float32": rounds.seconds("variant float32").median,
        "ratio": rounds.ratio("variant float32", of=OURS).median,
    }


if __name__ == "__main__":
    request = json.loads(sys.stdin.read())
    measure = {"bound": bound_here, "quantized": quantized_here}[request["what"]]
    print(json.dumps([measure(tuple(widths), request["seconds"]) for widths in request["shapes"]]))
