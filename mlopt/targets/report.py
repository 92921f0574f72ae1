"""The table of targets: in the terminal, as JSON, and as reStructuredText or Markdown."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import IO, Any

from mlopt.targets import peers
from mlopt.targets.measure import Spread
from mlopt.targets.result import MEASURED, MET, MISSED, Comparison, Judgement, Row

FORMAT = 1


@dataclass
class Report:
    """All rows of a run and the machine they were measured on."""

    rows: list[Row]
    machine: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def to_json(self) -> str:
        """The whole report as JSON.

        Examples
        --------
        >>> from mlopt.targets.report import Report
        >>> Report.from_json(Report([]).to_json())
        Report(rows=[], machine={}, notes=[])
        """
        data = {
            "format": FORMAT,
            "machine": self.machine,
            "notes": self.notes,
            "rows": [row.to_dict() for row in self.rows],
        }
        return json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Report:
        """The report that :meth:`to_json` was called on."""
        data = json.loads(text)
        if data.get("format") != FORMAT:
            raise ValueError(f"text has format {data.get('format')!r}; this version reads {FORMAT}")
        return cls([Row.from_dict(row) for row in data["rows"]], data["machine"], data["notes"])


def describe_machine() -> dict[str, Any]:
    """What a reader needs to know to compare the figures with others."""
    import numpy as np

    import mlopt
    from mlopt._kernels.core import cpu_report, current_isa

    cpu = cpu_report()
    return {
        "cpu": cpu["brand"].strip(),
        "cores": cpu["cores"],
        "l1d_bytes": cpu["l1d_bytes"],
        "l2_bytes": cpu["l2_bytes"],
        "tier": current_isa(),
        "mlopt": mlopt.__version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "system": f"{platform.system()} {platform.machine()}",
        "peers": peers.installed(),
        "blas": peers.blas_report(),
        "load": round(os.getloadavg()[0], 2),
        "date": time.strftime("%Y-%m-%d"),
    }


def machine_lines(machine: dict[str, Any]) -> list[str]:
    """The machine in two or three lines."""
    lines = [
        f"{machine['cpu']}, {machine['cores']} cores, tier {machine['tier']}; mlopt {machine['mlopt']}, "
        f"Python {machine['python']}, NumPy {machine['numpy']}; load {machine['load']}; {machine['date']}",
    ]
    if machine["peers"]:
        lines.append("installed: " + ", ".join(f"{name} {version}" for name, version in machine["peers"].items()))
    kernels = {
        f"{blas['prefix'].removeprefix('lib')} {blas['version']} ({blas['architecture'] or 'unknown'} kernels)"
        for blas in machine["blas"]
        if blas["prefix"]
    }
    if kernels:
        lines.append("BLAS: " + ", ".join(sorted(kernels)))
    return lines


UNITS = ((1e-6, 1e9, "ns"), (1e-3, 1e6, "µs"), (1.0, 1e3, "ms"), (float("inf"), 1.0, "s"))


def duration(seconds: float) -> str:
    """Seconds in the unit that fits.

    Examples
    --------
    >>> from mlopt.targets.report import duration
    >>> duration(2.5e-6), duration(0)
    ('2.5 µs', '0 ns')
    """
    factor, unit = next((factor, unit) for below, factor, unit in UNITS if seconds < below)
    value = seconds * factor
    return f"{value:.3g} {unit}" if value < 999.5 else f"{value:.0f} {unit}"


def rate(value: float, unit: str) -> str:
    """A rate with its SI prefix.

    Examples
    --------
    >>> from mlopt.targets.report import rate
    >>> rate(1.182e11, "FLOP/s")
    '118 GFLOP/s'
    """
    for prefix, size in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= size:
            return f"{value / size:.3g} {prefix}{unit}"
    return f"{value:.3g} {unit}"


def ratio(spread: Spread) -> str:
    """A ratio with its quartiles, in words of at most three digits."""

    def digits(x: float) -> str:
        return f"{x:.0f}" if x >= 100 else f"{x:.3g}"

    if spread.rounds == 1:
        return f"{digits(spread.median)}× (once)"
    return f"{digits(spread.median)}× ({digits(spread.low)}–{digits(spread.high)})"


def compared(comparison: Comparison) -> str:
    """Another implementation: its time, how many times ours that is, and the plan's figure beside it."""
    text = f"{comparison.name}: {duration(comparison.figure.median)}, {ratio(comparison.ratio)}"
    if comparison.plan_figure is not None:
        text += f"; the plan's figure: {duration(comparison.plan_figure)}"
    return text


def over_many(row: Row) -> list[str]:
    """The best peers over many pieces of work: their times over ours, at worst and in the middle."""
    named = {"worst_vs_peer": "worst", "median_vs_peer": "median"}
    ratios = [f"{name} {row.metrics[metric]:.2f}×" for metric, name in named.items() if metric in row.metrics]
    return ["best peer each time: " + ", ".join(ratios)] if ratios else []


def judged(judgement: Judgement) -> str:
    """A goal and its verdict."""
    text = f"{judgement.kind} {judgement.text}: {judgement.verdict}"
    if judgement.value is not None and judgement.metric != "figure":
        text += f", {judgement.value:.3g}" if judgement.bound > 1e-3 or judgement.value == 0 else ""
    if judgement.scaled_bound != judgement.bound:
        text += f" (scaled to this machine: {judgement.scaled_bound / judgement.bound:.2g}×"
        text += f"; unscaled: {judgement.unscaled})" if judgement.unscaled != judgement.verdict else ")"
    return text


HEADERS = ("target", "measured", "stated and goals", "baseline", "peers", "limit")


def cells(row: Row) -> tuple[list[str], ...]:
    """The cells of a row, each a list of lines, in the order of HEADERS."""
    measured = [row.verdict()]
    if row.status != MEASURED and row.reason not in ("", row.status):
        measured.append(row.reason)
    if row.figure is not None:
        measured.insert(0, duration(row.figure.median))
        if row.figure.rounds > 1:
            measured[0] += f" ({duration(row.figure.low)}–{duration(row.figure.high)})"
    if row.provisional:
        measured.append(row.provisional)
    measured += [f"{name}: {duration(value)}" for name, value in row.figures.items()]
    limits = []
    for limit in row.limits:
        limits.append(f"{limit.name}: {rate(limit.rate.median, limit.unit)}")
        if limit.share is not None:
            limits[-1] += f", reached {100 * limit.share.median:.0f} %"
    baseline = [compared(row.baseline)] if row.baseline is not None else []
    return (
        [row.id, row.title],
        measured,
        [judged(j) for j in row.judgements],
        baseline + [compared(stage) for stage in row.stages],
        [compared(peer) for peer in row.peers] or over_many(row) or (["n/a"] if row.status == MEASURED else []),
        limits,
    )


def detail_table(details: Sequence[dict[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """Header and lines of a row's detail."""
    header: list[str] = []
    for line in details:
        header += [name for name in line if name not in header]
    return header, [[_plain(line.get(name, "")) for name in header] for line in details]


def _plain(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


STYLES = {MET: "green", MISSED: "red"}


def print_row(row: Row, console: Any) -> None:
    """One row in the terminal."""
    from rich.markup import escape
    from rich.table import Table

    parts = dict(zip(HEADERS, cells(row), strict=True))
    style = STYLES.get(row.verdict().split(" ")[0], "yellow" if row.status == MEASURED else "dim")
    console.print(f"[bold]{row.id}[/bold]  {escape(row.title)}  [{style}]{escape(row.verdict())}[/{style}]")
    if row.status != MEASURED:
        if row.reason not in ("", row.status):
            console.print(f"  {escape(row.reason)}")
        return
    table = Table(box=None, show_header=False, padding=(0, 1), pad_edge=True)
    table.add_column(style="dim", no_wrap=True)
    table.add_column()
    table.add_row("work", escape(row.work))
    for name in HEADERS[1:]:
        lines = parts[name]
        if name == "measured":
            lines = [line for line in lines if line != row.verdict()]
        if lines:
            table.add_row(name, escape("\n".join(lines)))
    for note in row.notes:
        table.add_row("note", escape(note))
    console.print(table)
    if row.details:
        header, values = detail_table(row.details)
        detail = Table(*header, box=None, padding=(0, 1), header_style="dim")
        for line in values:
            detail.add_row(*map(escape, line))
        console.print(detail)


def summary(rows: Iterable[Row]) -> str:
    """How many rows met, missed, were not measured."""
    verdicts = [row.verdict() for row in rows]
    return ", ".join(f"{verdicts.count(v)} {v}" for v in dict.fromkeys(verdicts))


def to_markdown(report: Report) -> str:
    """The table in Markdown."""
    lines = [f"| {' | '.join(HEADERS)} |", f"|{' --- |' * len(HEADERS)}"]
    for row in report.rows:
        text = ["<br>".join(lines) for lines in cells(row)]
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in text) + " |")
    return "\n".join([*machine_lines(report.machine), "", *lines, "", summary(report.rows), ""])


def to_rst(report: Report) -> str:
    """The table in reStructuredText, with the detail tables behind it."""
    lines = [*machine_lines(report.machine), ""]
    lines += rst_table(
        HEADERS, [["\n".join(f"| {_rst(line)}" for line in cell) for cell in cells(row)] for row in report.rows]
    )
    lines += [summary(report.rows) + ".", ""]
    for row in report.rows:
        if row.details or (row.notes and row.status == MEASURED):
            lines += [row.id, "~" * len(row.id), "", row.work + ".", ""]
            for note in row.notes:
                lines += [f"- {_rst(note)}"]
            lines += [""]
        if row.details:
            header, table = detail_table(row.details)
            lines += rst_table(header, table)
    return "\n".join(lines) + "\n"


def _rst(text: str) -> str:
    for character in "\\*`|_":
        text = text.replace(character, "\\" + character)
    return " ".join(text.split())


def rst_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A table in reStructuredText."""
    lines = [".. list-table::", "   :header-rows: 1", ""]
    for row in [header, *rows]:
        for number, cell in enumerate(row):
            first, *rest = cell.splitlines() or [""]
            lines.append(f"   {'* -' if number == 0 else '  -'} {first}".rstrip())
            lines += [f"       {line}" for line in rest]
    return [*lines, ""]


def write_json(report: Report, file: IO[str]) -> None:
    """The report as JSON, with a newline at the end."""
    file.write(report.to_json() + "\n")
