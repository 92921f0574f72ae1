"""The terminal's side of the soak: the live line, and the table at the end."""

from __future__ import annotations

import time
from types import TracebackType
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from mlopt.demo.units import duration
from mlopt.soak.result import LoadResult, Result
from mlopt.soak.verdicts import FAULTS, MIB

if TYPE_CHECKING:
    from mlopt.soak.run import Soak

SHOWN = (
    "bad", "compared", "dropped", "starts", "kills", "restarts", "read_again", "empty", "rounds", "refused",
    "memory_errors",
)  # fmt: skip


def clock(seconds: float) -> str:
    """A time as hours, minutes and seconds.

    Examples
    --------
    >>> from mlopt.soak.table import clock
    >>> clock(3725.4)
    '1:02:05'
    """
    whole = int(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"


class LiveLine:
    """One line that says how it goes; called with the run after every sample."""

    def __init__(self, console: Console, enabled: bool) -> None:
        self._live = Live(console=console, auto_refresh=False, transient=True) if enabled else None
        self._before = 0, time.monotonic()

    def __call__(self, soak: Soak) -> None:
        if self._live is None:
            return
        records, now = sum(host.counters.get("records", 0) for host in soak.hosts), time.monotonic()
        rate = (records - self._before[0]) / max(now - self._before[1], 1e-3)
        self._before = records, now
        faults = sum(host.counters.get(fault, 0) for host in soak.hosts for fault in FAULTS)
        restarts = sum(host.counters.get("restarts", 0) for host in soak.hosts)
        line = Text.assemble(
            f"{clock(soak.elapsed)} of {clock(soak.settings.seconds)}   {records:,} records   {rate:,.0f}/s   ",
            f"{soak.resident / MIB:,.0f} MiB   {restarts:,} restarts   ",
            (f"{faults:,} faults", "bold red" if faults else "green"),
        )
        self._live.update(line, refresh=True)

    def __enter__(self) -> LiveLine:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()


def _latency(load: LoadResult) -> list[str]:
    if load.latency is None or not load.latency.count:
        return ["", "", ""]
    return [duration(load.latency.quantile(q)) for q in (0.5, 0.99, 0.999)]


def _also(load: LoadResult) -> str:
    return ", ".join(f"{load.counters[name]:,} {name.replace('_', ' ')}" for name in SHOWN if load.counters.get(name))


def load_table(result: Result) -> Table:
    """The loads: records, rate, latencies, faults."""
    early = f", ended early by {result.ended_early}" if result.ended_early else ""
    title = f"{clock(result.seconds)} under load, seed {result.settings['seed']}{early}"
    table = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("load", no_wrap=True)
    for name in ("records", "per second", "median", "p99", "p99.9", "MiB", "faults"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("also", overflow="fold")
    for load in result.loads:
        records = load.counters.get("records", 0)
        faults = sum(load.counters.get(fault, 0) for fault in FAULTS)
        resident = result.series[f"{load.name}/resident"]
        known = resident[resident == resident]
        table.add_row(
            load.name,
            f"{records:,}",
            f"{records / max(result.seconds, 1e-3):,.0f}",
            *_latency(load),
            f"{known[-1] / MIB:,.0f}" if len(known) else "",
            Text(f"{faults:,}", "bold red" if faults else "green"),
            _also(load),
        )
    return table


def print_result(result: Result, console: Console) -> None:
    """Print the table, then what was judged: what did not hold in full, the rest in numbers."""
    console.print(load_table(result))
    held = [verdict for verdict in result.verdicts if verdict.held]
    for verdict in result.verdicts:
        if not verdict.held:
            text = Text.assemble(("✗ ", "bold red"), (f"{verdict.name}: ", "bold"), verdict.words)
            console.print(text, soft_wrap=True)
    worst = max(
        (verdict for verdict in held if verdict.name.startswith("memory of")),
        key=lambda verdict: verdict.value,
        default=None,
    )
    words = f"{len(held)} of {len(result.verdicts)} checks held"
    if worst is not None:
        words += f"; the {worst.name} grew the most of those: {worst.words}"
    mark = ("✓ ", "bold green") if result.held else ("✗ ", "bold red")
    console.print(Text.assemble(mark, words), soft_wrap=True)
