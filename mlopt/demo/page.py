"""The report as files: report.json with everything, index.html to look at, needing nothing beside it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template

from mlopt.demo import plots
from mlopt.demo.accuracy import Accuracy
from mlopt.demo.result import Result, Stage
from mlopt.demo.units import duration, factor


def write_report(result: Result, directory: str | os.PathLike[str]) -> Path:
    """Write report.json and index.html.

    Parameters
    ----------
    result : Result
        What to report.
    directory : path
        Where to; it is made if need be, and the two files in it are replaced.

    Returns
    -------
    Path
        The page.
    """
    directory = Path(directory)
    page = render(result)
    directory.mkdir(parents=True, exist_ok=True)
    text = json.dumps(result.to_dict(), indent=1, allow_nan=False, ensure_ascii=False)
    (directory / "report.json").write_text(text + "\n", encoding="utf-8")
    (directory / "index.html").write_text(page, encoding="utf-8")
    return directory / "index.html"


def render(result: Result) -> str:
    """The page, as HTML."""
    package = files("mlopt.demo")
    template = Template((package / "page.html").read_text(encoding="utf-8"))
    bars = result.bars
    return template.substitute(
        style=(package / "page.css").read_text(encoding="utf-8").rstrip(),
        version=escape(result.machine["mlopt"]),
        count=f"{bars['count']:,}",
        source=escape(bars["source"]),
        first=bars["first"],
        last=bars["last"],
        trained=f"{bars['trained']:,}",
        served=f"{bars['served']:,}",
        cards=_cards(result),
        latency_table=_latency_table(result),
        latency_note=_latency_note(result),
        latency_plot=plots.latencies(result),
        ratio_note=_ratio_note(result),
        ratio_plot=plots.ratios(result),
        accuracy_words=_accuracy_words(result),
        accuracy_table=_accuracy_table(result),
        accuracy_plot=plots.accuracy(result),
        training_note=_training_note(result),
        loss_plot=plots.losses(result),
        check_note=_check_note(result),
        check_table=_check_table(result),
        facts=_facts(result),
    )


def _table(header: Iterable[str], rows: Iterable[Iterable[str]], last_is_sum: bool = False) -> str:
    """An HTML table; a cell that begins with '<t' is taken as it is."""
    heads = "".join(name if name.startswith("<t") else f"<th>{name}</th>" for name in header)
    lines = ["<table>", f"<tr>{heads}</tr>"]
    rows = [list(row) for row in rows]
    for i, row in enumerate(rows):
        kind = ' class="sum"' if last_is_sum and i == len(rows) - 1 else ""
        cells = "".join(cell if cell.startswith("<t") else f"<td>{cell}</td>" for cell in row)
        lines.append(f"<tr{kind}>{cells}</tr>")
    return "\n".join([*lines, "</table>"])


def _mark(passed: bool | None) -> str:
    if passed is None:
        return ""
    return '<span class="pass">✓ met</span>' if passed else '<span class="fail">✗ missed</span>'


def _cards(result: Result) -> str:
    total = result.stages[-1]
    stated = [stage.passed for stage in result.stages if stage.passed is not None]
    checks = sum(check.checks for check in result.checks)
    failures = sum(check.failures for check in result.checks)
    low, high = result.served.interval
    figures = [
        (duration(total.quantile("median")), "a bar, median: features to update"),
        (factor(total.ratio[1]) if total.ratio else "n/a", "faster than the baseline program"),
        (f"{sum(stated)} of {len(stated)}", "stated targets met"),
        (f"{result.served.hit_rate:.1%}", f"of directions right ({low:.1%} to {high:.1%})"),
        (f"{checks - failures} of {checks}", "checks against the reference kernels passed"),
    ]
    return "\n".join(f'<div class="card"><b>{figure}</b><span>{words}</span></div>' for figure, words in figures)


def _target(stage: Stage) -> str:
    parts = []
    if stage.target is not None:
        parts.append(f"&lt; {duration(stage.target)}")
    if stage.ratio_target is not None:
        parts.append(f"≥ {factor(stage.ratio_target)}")
    return ", ".join(parts)


def _latency_table(result: Result) -> str:
    return _table(
        ["stage", "median", "p99", "p99.9", "largest", "baseline", "ratio", "stated", ""],
        (
            [
                f"<td>{stage.name}<small>{escape(stage.work)}</small></td>",
                *(duration(stage.quantile(name)) for name in ("median", "p99", "p999")),
                duration(stage.latency.max),
                "" if stage.baseline is None else duration(stage.baseline),
                "" if stage.ratio is None else factor(stage.ratio[1]),
                _target(stage),
                _mark(stage.passed),
            ]
            for stage in result.stages
        ),
        last_is_sum=True,
    )


def _latency_note(result: Result) -> str:
    bars, latency = result.bars, result.stages[-1].latency
    return (
        f"{latency.count + result.cold.count:,} bars served: the {bars['served']:,} younger bars, {bars['passes']}"
        f" times over. Called from Python; reading the clock adds {duration(result.clock_nanoseconds)} to each stage"
        f" and is not taken off. Quantiles are within {latency.relative_error:.1%}. A time target is held against the"
        f" median. {_cold_words(result)}"
    )


def _cold_words(result: Result) -> str:
    if result.cold.count == 0:
        return ""
    return (
        f"The {result.cold.count:,} bars right after a check or the baseline program, which leave cold caches behind,"
        f" are counted apart: {duration(result.cold.quantile(0.5))} in the median."
    )


def _ratio_note(result: Result) -> str:
    if result.stages[-1].ratio is None:
        return "The baseline program was not run."
    return (
        f"Every {result.settings['baseline_every']}th bar is also run, right after, by a program that does the same"
        " work the way it was done before: features recomputed over the full window, sequential scalar loops, fresh"
        " arrays at every stage. The ratio is taken bar by bar."
    )


def _accuracy_words(result: Result) -> str:
    served, trained = result.served, result.walk_forward
    return (
        f"On the bars served, {_said(served)}. Walk-forward on the older bars, {_said(trained)}. The forecast is of the"
        " next bar’s direction, the first time each bar is served."
    )


def _said(accuracy: Accuracy) -> str:
    low, high = accuracy.interval
    return (
        f"{accuracy.hit_rate:.1%} of {accuracy.count:,} directions were right (95 % interval {low:.1%} to {high:.1%};"
        f" {accuracy.up_rate:.1%} of bars were up): <b>{escape(accuracy.verdict)}</b>"
    )


def _accuracy_table(result: Result) -> str:
    def row(name: str, accuracy: Accuracy) -> list[str]:
        low, high = accuracy.interval
        rates = [f"{accuracy.hit_rate:.1%}", f"{low:.1%} – {high:.1%}", f"{accuracy.up_rate:.1%}"]
        return [name, f"{accuracy.count:,}", *rates, f'<td class="words">{escape(accuracy.verdict)}</td>']

    rows = [row(f"fold {i}: {t.test_from} to {t.test_to}", t.accuracy) for i, t in enumerate(result.training, 1)]
    rows += [row("all folds", result.walk_forward), row("served", result.served)]
    return _table(["", "forecasts", "right", "95 % interval", "up days", '<th class="words">in words</th>'], rows)


def _training_note(result: Result) -> str:
    network = result.network
    return (
        f"A network of {'-'.join(map(str, network['layers']))} ({network['parameters']:,} parameters,"
        f" {escape(network['activation'])}, {escape(network['dtype'])}) and {escape(network['optimizer'])}, in"
        f" {len(result.training)} expanding windows: trained on everything up to a point, judged on the bars that"
        " follow, which it had not seen. Features are scaled with what was known at each bar."
    )


def _check_note(result: Result) -> str:
    verdict = "All were within their tolerance." if result.passed else "Some were not within their tolerance."
    return (
        f"Every {result.settings['check_every']}th bar served is computed again with the reference kernels, textbook"
        f" scalar loops, and compared. {verdict}"
    )


def _check_table(result: Result) -> str:
    return _table(
        ["", "checks", "worst deviation", "tolerance", ""],
        (
            [c.name, f"{c.checks}", f"{c.worst:.2g}", f"{c.tolerance:.2g}", _mark(c.failures == 0)]
            for c in result.checks
        ),
    )


def _facts(result: Result) -> str:
    machine, seconds = result.machine, result.seconds
    facts = {
        "machine": f"{machine['brand']}, {machine['cores']} cores",
        "kernels": machine["tier"],
        "versions": f"mlopt {machine['mlopt']}, Python {machine['python']}, NumPy {machine['numpy']}",
        "seed": str(result.settings["seed"]),
        "time": ", ".join(f"{name} {value:.2g} s" for name, value in seconds.items()),
    }
    return "\n".join(f"<dt>{name}</dt><dd>{escape(value)}</dd>" for name, value in facts.items())
