"""usage: update_soak.py SOAK.json: put what `mlopt soak` wrote into docs/guide/soak.rst and docs/figures/soak.svg."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

from mlopt.demo.units import duration
from mlopt.soak.plots import draw
from mlopt.soak.result import LoadResult, Result
from mlopt.soak.verdicts import MIB

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"(\.\. the run begins\n).*?(\.\. the run ends\n)", re.DOTALL)
HEAD = "load", "records", "per second", "median", "p99.9", "memory at the end"


def cells(load: LoadResult, result: Result) -> list[str]:
    """A row of the table."""
    records = load.counters.get("records", 0)
    resident = result.series[f"{load.name}/resident"]
    known = resident[resident == resident]
    latency = ["", ""]
    if load.latency is not None and load.latency.count:
        latency = [duration(load.latency.quantile(q)) for q in (0.5, 0.999)]
    memory = f"{known[-1] / MIB:,.0f} MiB" if len(known) else ""
    return [f"``{load.name}``", f"{records:,}", f"{records / result.seconds:,.0f}", *latency, memory]


def section(result: Result) -> str:
    """Where it ran, what was judged, the table and the plot."""
    machine, held = result.machine, sum(verdict.held for verdict in result.verdicts)
    memory = [verdict for verdict in result.verdicts if verdict.name.startswith("memory of")]
    worst = max(memory, key=lambda verdict: verdict.value)
    records = sum(load.counters.get("records", 0) for load in result.loads)
    lines = [
        "",
        f"{result.seconds / 60:.0f} minutes on {machine['cores']} cores of an {machine['brand']}, tier "
        f"``{machine['tier']}``, {result.began[:10]}: {held} of {len(result.verdicts)} checks held,",
        f"{records:,} records. The {worst.name} grew the most: {worst.words}.",
        *(f"Did not hold: {one.name}: {one.words.splitlines()[0]}." for one in result.verdicts if not one.held),
        "",
        ".. list-table::",
        "   :header-rows: 1",
        "",
    ]
    for row in (list(HEAD), *(cells(load, result) for load in result.loads)):
        lines += [f"   {'*' if i == 0 else ' '} - {cell}".rstrip() for i, cell in enumerate(row)]
    lines += [
        "",
        ".. figure:: ../figures/soak.svg",
        "   :alt: resident memory, records per second and latencies over the run, with restarts as ticks",
        "",
        "   The run: memory of each load, records per second, latencies, restarts.",
        "",
    ]
    return "\n".join(lines) + "\n"


def main(path: str) -> None:
    """Check the report, then write both files."""
    result = Result.from_dict(json.loads(Path(path).read_text("utf-8")))
    page = ROOT / "docs" / "guide" / "soak.rst"
    new, count = BLOCK.subn(lambda match: f"{match[1]}{section(result)}{match[2]}", page.read_text("utf-8"))
    if count != 1:
        raise SystemExit(f"{page} must have one block '.. the run begins' ... '.. the run ends', not {count}")
    # a tenth of a point is enough
    figure = re.sub(r"\d+\.\d\d+", lambda number: f"{float(number[0]):.1f}", draw(result))
    page.write_text(new, "utf-8")
    (ROOT / "docs" / "figures" / "soak.svg").write_text(figure, "utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    main(sys.argv[1])
