"""The terminal's side of the demo: the live progress, and the table at the end."""

from __future__ import annotations

from types import TracebackType

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from mlopt.demo.accuracy import Accuracy
from mlopt.demo.result import Result, Stage
from mlopt.demo.units import duration, factor


class LiveProgress:
    """A bar for each part of the job; calling it with (part, done, total) moves that part's bar.

    Parameters
    ----------
    console : Console
        Where to draw.
    enabled : bool
        Whether anything is drawn.
    """

    def __init__(self, console: Console, enabled: bool) -> None:
        columns = (
            SpinnerColumn(finished_text="[green]✓"), TextColumn("{task.description:<26}"), BarColumn(),
            MofNCompleteColumn(), TimeElapsedColumn(),
        )  # fmt: skip
        self._progress = Progress(*columns, console=console, disable=not enabled)
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, part: str, done: int, total: int) -> None:
        if part not in self._tasks:
            self._tasks[part] = self._progress.add_task(part, total=total)
        self._progress.update(self._tasks[part], completed=done)

    def __enter__(self) -> LiveProgress:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()


def _mark(passed: bool | None) -> Text:
    if passed is None:
        return Text("")
    return Text("✓", "bold green") if passed else Text("✗", "bold red")


def _stated(stage: Stage) -> str:
    parts = [] if stage.target is None else [f"< {duration(stage.target)}"]
    return ", ".join(parts + ([] if stage.ratio_target is None else [f"≥ {factor(stage.ratio_target)}"]))


def latency_table(result: Result) -> Table:
    """The stages: latencies, the ratio to the baseline, the stated targets."""
    bars = result.bars
    title = f"{bars['served']:,} bars served, {bars['passes']} times over"
    table = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("stage", no_wrap=True)
    for name in ("median", "p99", "p99.9", "baseline", "ratio", "stated"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("")
    for number, stage in enumerate(result.stages):
        if number == len(result.stages) - 1:
            table.add_section()
        table.add_row(
            stage.name,
            *(duration(stage.quantile(name)) for name in ("median", "p99", "p999")),
            "" if stage.baseline is None else duration(stage.baseline),
            "" if stage.ratio is None else factor(stage.ratio[1]),
            _stated(stage),
            _mark(stage.passed),
        )
    return table


def _accuracy_lines(name: str, accuracy: Accuracy) -> Text:
    low, high = accuracy.interval
    return Text.assemble(
        f"{name:<14}{accuracy.hit_rate:.1%} of {accuracy.count:,} directions right (95 %: {low:.1%} to {high:.1%}),"
        f" {accuracy.up_rate:.1%} up\n{'':14}",
        (accuracy.verdict, "bold"),
    )


def _check_lines(result: Result) -> Text:
    checks, failures = sum(c.checks for c in result.checks), sum(c.failures for c in result.checks)
    if failures:
        deviations = "".join(
            f"\n{'':14}{c.name}: {c.failures} of {c.checks}, by up to {c.worst:.2g} where {c.tolerance:.2g} is allowed"
            for c in result.checks
            if c.failures
        )
        words = f"{failures} of {checks} FAILED against the reference kernels{deviations}"
        return Text(f"{'checks':<14}{words}", "bold red")
    share = max((c.worst / c.tolerance for c in result.checks), default=0.0)
    words = f"{checks} against the reference kernels passed, the worst at {share:.1%} of its tolerance"
    return Text(f"{'checks':<14}{words}")


def print_result(result: Result, console: Console) -> None:
    """Print the table and what else a person wants to know first."""
    console.print(latency_table(result))
    words = (
        _accuracy_lines("walk-forward", result.walk_forward),
        _accuracy_lines("served", result.served),
        _check_lines(result),
    )
    for lines in words:
        console.print(lines, soft_wrap=True)
