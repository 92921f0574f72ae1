"""The report's plot: memory, rates and latencies over time, restarts as ticks."""

from __future__ import annotations

import io
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter
from numpy.typing import NDArray

from mlopt.demo.units import duration
from mlopt.soak.result import Result
from mlopt.soak.verdicts import MIB

# dark enough on white, light enough on black: the page around it may be either
INK, GRID = "#6b7280", "#9ca3af55"
COLOURS = ("#2563eb", "#d97706", "#059669", "#db2777", "#7c3aed", "#0891b2", "#65a30d", "#dc2626", "#a16207", "#475569")
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none", "svg.hashsalt": "soak", "font.size": 10, "text.color": INK, "axes.labelcolor": INK,
    "axes.edgecolor": INK, "xtick.color": INK, "ytick.color": INK, "grid.color": GRID, "axes.spines.top": False,
    "axes.spines.right": False, "axes.grid": True, "axes.axisbelow": True, "grid.linewidth": 0.6,
    "legend.frameon": False, "legend.fontsize": 8, "figure.facecolor": "none", "axes.facecolor": "none",
}  # fmt: skip
WINDOWS = 600  # points a line: what a plot of this width can show
UNITS = ((3600.0, "hours"), (60.0, "minutes"), (1.0, "seconds"))
LATENCIES = (("median", "-"), ("p99", "--"), ("p999", ":"))


def _thinned(
    times: NDArray[np.float64], values: NDArray[np.float64], function: Any = np.nanmedian
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Stretches of samples as one point each."""
    known = np.isfinite(values)
    times, values = times[known], values[known]
    if len(times) <= WINDOWS:
        return times, values
    edges = np.linspace(0, len(times), WINDOWS + 1).astype(int)[:-1]
    sizes = np.diff([*edges, len(times)])
    parts = np.split(values, edges[1:])
    return np.add.reduceat(times, edges) / sizes, np.array([function(part) for part in parts])


def _memory(axes: Axes, result: Result, hours: NDArray[np.float64]) -> None:
    groups = [load.name for load in result.loads] + ["supervisor"]
    for group, colour in zip(groups, (COLOURS * 3)[: len(groups)], strict=True):
        axes.plot(*_thinned(hours, result.series[f"{group}/resident"] / MIB), color=colour, linewidth=1.3, label=group)
    axes.set(ylabel="resident MiB", ylim=(0, None))
    axes.legend(ncols=5, loc="lower left", bbox_to_anchor=(0, 1))


def _rates(axes: Axes, result: Result, hours: NDArray[np.float64]) -> None:
    seconds = result.series.times
    span = max(5, len(seconds) // WINDOWS)  # a report that comes just too late for a sample is in the next
    if len(seconds) <= span:
        return
    for load, colour in zip(result.loads, COLOURS * 3, strict=False):
        records = result.series[f"{load.name}/records"]
        rates = (records[span:] - records[:-span]) / np.maximum(seconds[span:] - seconds[:-span], 1e-9)
        at, rates = _thinned((hours[span:] + hours[:-span]) / 2, rates)
        if len(rates) and rates.max() > 0:
            axes.plot(at, np.maximum(rates, 1.0), color=colour, linewidth=1.1)
    axes.set(ylabel="records/s", yscale="log")


def _latencies(axes: Axes, result: Result, hours: NDArray[np.float64]) -> None:
    for load, colour in zip(result.loads, COLOURS * 3, strict=False):
        for name, style in LATENCIES:
            at, values = _thinned(hours, result.series[f"{load.name}/{name}"])
            if len(values):
                label = f"{load.name}, {name.replace('p999', 'p99.9')}"
                axes.plot(at, values, color=colour, linestyle=style, linewidth=1.1, label=label)
    if axes.lines:
        axes.legend(ncols=4, loc="lower left", bbox_to_anchor=(0, 1))
        axes.set(yscale="log")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: duration(value)))
    axes.set(ylabel="latency")


def _restarts(axes: Axes, result: Result, hours: NDArray[np.float64]) -> None:
    names = [load.name for load in result.loads if "restarts" in load.counters]
    for place, name in enumerate(names):
        counts = result.series[f"{name}/restarts"]
        risen = np.flatnonzero(np.diff(counts) > 0) + 1
        colour = COLOURS[[load.name for load in result.loads].index(name) % len(COLOURS)]
        axes.plot(hours[risen], np.full(len(risen), place), "|", color=colour, markersize=11, markeredgewidth=0.8)
    axes.set_yticks(range(len(names)), names)
    axes.set(ylim=(-0.6, max(len(names), 1) - 0.4))
    axes.grid(axis="y", visible=False)
    axes.set_title("restarts after a kill", loc="left", fontsize=9)


def draw(result: Result) -> str:
    """The plot as SVG."""
    seconds = result.series.times
    unit, name = next((unit, name) for unit, name in UNITS if result.seconds > 2 * unit or unit == 1)
    times = seconds / unit
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(9, 9.5), layout="constrained")
        axes = figure.subplots(4, 1, sharex=True, height_ratios=(3, 3, 3, 1.1))
        for part, panel in zip((_memory, _rates, _latencies, _restarts), axes, strict=True):
            part(panel, result, times)
        if len(times):
            axes[-1].set(xlim=(0, max(times[-1], 1e-9)))
        axes[-1].set(xlabel=name)
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    return text.getvalue()
