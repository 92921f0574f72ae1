"""Everything at once under load, in a process of its own: ``mlopt soak``, briefly."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from mlopt.targets.contest import NotHere, Options
from mlopt.targets.result import MEASURED, Row

SECONDS, FULL_SECONDS = 10, 600


def measure_soak(row: Row, options: Options) -> None:
    """The faults of a short run, and what its checks found; a longer run with the sizes that take minutes."""
    seconds = FULL_SECONDS if options.full else SECONDS
    with tempfile.TemporaryDirectory(prefix="mlopt-soak-") as folder:
        command = [sys.executable, "-m", "mlopt", "soak", "--no-progress", "--seconds", str(seconds)]
        done = subprocess.run(
            [*command, "--report", folder], capture_output=True, text=True, timeout=seconds + 300, check=False
        )
        if done.returncode == 2:
            raise NotHere(done.stderr.strip().splitlines()[-1])
        if done.returncode not in (0, 1):
            raise RuntimeError(f"mlopt soak ended with {done.returncode}: {done.stderr[-2000:]}")
        values = json.loads(Path(folder, "soak.json").read_text(encoding="utf-8"))
    fill(row, values)


def fill(row: Row, values: dict[str, Any]) -> None:
    """Write what a soak.json says into the row."""
    from mlopt.soak.verdicts import FAULTS

    failed = [verdict for verdict in values["verdicts"] if not verdict["held"]]
    memory = [verdict for verdict in values["verdicts"] if verdict["name"].startswith("memory of")]
    row.status = MEASURED
    row.metrics["faults"] = sum(load["counters"].get(fault, 0) for load in values["loads"] for fault in FAULTS)
    row.metrics["not_held"] = len(failed)
    row.metrics["growth"] = max(verdict["value"] for verdict in memory)
    row.details += [{"load": load["name"]} | load["counters"] for load in values["loads"]]
    row.notes.append(
        f"{values['seconds']:.0f} s, {len(values['loads'])} loads at a time, {len(values['verdicts'])} checks; growth: "
        "of the resident memory of a load's processes, the largest, in MiB after the first quarter"
        + ("" if values["seconds"] < 600 else ", or MiB an hour")
    )
    row.notes += [f"did not hold: {verdict['name']}: {verdict['words'].splitlines()[0]}" for verdict in failed]
