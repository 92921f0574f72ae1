"""usage: update_targets.py REPORT.json: put what `mlopt targets --json` wrote into README.md and docs/targets.json."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from mlopt.targets.report import Report, duration, over_many, ratio, summary
from mlopt.targets.result import MEASURED

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"(<!-- targets:begin -->\n).*?(<!-- targets:end -->)", re.DOTALL)


def readme_table(report: Report) -> str:
    """The measured rows on one screen: time, stated target, baseline, best peer."""
    lines = ["| work | measured | stated target | against the baseline | against the best peer |", "|" + " --- |" * 5]
    for row in report.rows:
        if row.status != MEASURED:
            continue
        figure = duration(row.figure.median) if row.figure is not None else ""
        stated = ", ".join(f"{j.text} ({j.verdict})" for j in row.judgements if j.kind == "stated")
        baseline = ratio(row.baseline.ratio) if row.baseline is not None else ""
        best = min(row.peers, key=lambda peer: peer.ratio.median, default=None)
        peer = f"{ratio(best.ratio)} {best.name}" if best is not None else "".join(over_many(row)) or "n/a"
        lines.append("| " + " | ".join((row.title, figure, stated, baseline, peer)).replace("||", "") + " |")
    machine = report.machine
    lines += [
        "",
        f"{machine['cpu']}, one thread, tier {machine['tier']}, NumPy {machine['numpy']}, {machine['date']}. "
        f"Ratios are how many times longer the other takes: median (quartiles) of interleaved pairs. "
        f"Of all rows: {summary(report.rows)}.",
        "",
    ]
    return "\n".join(lines)


def main(path: str) -> None:
    """Check the report, then write both files."""
    text = Path(path).read_text("utf-8")
    report = Report.from_json(text)
    readme = ROOT / "README.md"
    old = readme.read_text("utf-8")
    new, count = BLOCK.subn(lambda match: f"{match[1]}{readme_table(report)}{match[2]}", old)
    if count != 1:
        raise SystemExit(f"{readme} must have one block <!-- targets:begin --> ... <!-- targets:end -->, not {count}")
    readme.write_text(new, "utf-8")
    (ROOT / "docs" / "targets.json").write_text(report.to_json() + "\n", "utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    main(sys.argv[1])
