"""The report's plots, as SVG that takes its colours and fonts from the page around it."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter, PercentFormatter
from numpy.typing import NDArray

from mlopt.concurrent import Histogram
from mlopt.demo.accuracy import Accuracy
from mlopt.demo.result import Result
from mlopt.demo.units import duration, factor

# Drawn in these colours, which are then replaced by the page's own: light and dark need one drawing.
INK, MUTED, GRID, PAPER = "#010101", "#020202", "#030303", "#040404"
OURS, BASELINE, TARGET = "#050505", "#060606", "#070707"
PAGE_COLOURS = {
    INK: "var(--ink)", MUTED: "var(--muted)", GRID: "var(--line)", PAPER: "var(--paper)",
    OURS: "var(--ours)", BASELINE: "var(--baseline)", TARGET: "var(--target)",
}  # fmt: skip
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none", "font.size": 10, "text.color": INK, "axes.labelcolor": MUTED, "axes.edgecolor": GRID,
    "xtick.color": GRID, "ytick.color": GRID, "xtick.labelcolor": MUTED, "ytick.labelcolor": MUTED, "grid.color": GRID,
    "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "axes.axisbelow": True,
    "grid.linewidth": 0.6, "legend.frameon": False, "figure.facecolor": "none", "axes.facecolor": "none",
}  # fmt: skip


def _draw(name: str, width: float, height: float, draw: Callable[[Figure], None]) -> str:
    """An <svg> element of its own namespace of ids; `name` is what they begin with."""
    with matplotlib.rc_context(STYLE | {"svg.hashsalt": name}):
        figure = Figure(figsize=(width, height), layout="constrained")
        draw(figure)
        text = io.StringIO()
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    # ids are unique within a drawing only, and the page holds several
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = re.sub(r"(url\(#|href=\"#)", rf"\g<1>{name}-", svg)
    head = r'<svg \1 xmlns:xlink="http://www.w3.org/1999/xlink" role="img">'
    svg = re.sub(r'<svg [^>]*?(viewBox="[^"]*")[^>]*>', head, svg, count=1)
    for drawn, shown in PAGE_COLOURS.items():
        svg = svg.replace(drawn, shown)
    return re.sub(r"font: ([\d.]+)px [^;\"]*", r"font-size: \1px", svg)


def _density(latency: Histogram, edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """The share of values between logarithmic edges; a cell wider than a span is spread over it."""
    start, width, count = latency.cells()
    cumulative = np.concatenate([[0], np.cumsum(count)]) / latency.count
    # a value of 200 stands for times from 199.5 to 200.5
    bounds = np.concatenate([start - 0.5, [start[-1] + width[-1] - 0.5]])
    return np.diff(np.interp(edges, bounds, cumulative, left=0, right=1))


def latencies(result: Result) -> str:
    """The distribution of every stage's latency, one above the other on one logarithmic axis."""
    stages = result.stages
    low = min(stage.latency.min for stage in stages)
    high = max([stage.latency.quantile(0.9999) for stage in stages] + [stage.baseline or 0 for stage in stages])
    edges = np.geomspace(max(low, 1) / 1.3, high * 1.6, 160)
    middles = np.sqrt(edges[1:] * edges[:-1])

    def draw(figure: Figure) -> None:
        rows = figure.subplots(len(stages), 1, sharex=True, squeeze=False)[:, 0]
        for axes, stage in zip(rows, stages, strict=True):
            density = _density(stage.latency, edges)
            axes.fill_between(middles, density, color=OURS, alpha=0.25, linewidth=0)
            axes.plot(middles, density, color=OURS, linewidth=1.4)
            axes.axvline(stage.quantile("median"), color=OURS, linewidth=1, linestyle=(0, (1, 1.5)))
            if stage.target is not None:
                axes.axvline(stage.target, color=TARGET, linewidth=1.6)
            if stage.baseline is not None:
                axes.axvline(stage.baseline, color=BASELINE, linewidth=1.6)
            axes.set(xscale="log", xlim=(edges[0], edges[-1]), ylim=(0, None), yticks=[])
            axes.spines["left"].set_visible(False)
            axes.set_ylabel(stage.name, rotation=0, ha="right", va="center", color=INK)
            axes.tick_params(axis="x", length=3)
        rows[-1].xaxis.set_major_formatter(FuncFormatter(lambda value, _: duration(value)))
        rows[-1].xaxis.set_minor_formatter(NullFormatter())

    return _draw("latencies", 9, 0.85 * len(stages) + 0.5, draw)


def losses(result: Result) -> str:
    """The loss of every epoch, fold after fold, then of the network that is served."""

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        at = 0
        for number, training in enumerate(result.training, 1):
            epochs = np.arange(at, at + len(training.losses)) + 0.5
            axes.plot(epochs, training.losses, color=OURS, linewidth=1.6, label="training" if number == 1 else None)
            label = "on the bars that follow" if number == 1 else None
            axes.plot([epochs[-1]], [training.test_loss], "o", color=BASELINE, markersize=6, label=label)
            at += len(training.losses)
            axes.axvline(at, color=GRID, linewidth=0.8)
        epochs = np.arange(at, at + len(result.final_losses)) + 0.5
        axes.plot(epochs, result.final_losses, color=OURS, linewidth=1.6)
        at += len(result.final_losses)
        axes.axhline(np.log(2), color=TARGET, linewidth=1.4, label="a coin flip, log 2")
        axes.set(xlabel="epoch, fold after fold; last the network that is served", ylabel="cross-entropy", xlim=(0, at))
        axes.grid(axis="x", visible=False)
        axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=4)

    return _draw("losses", 9, 3.4, draw)


def _dots_with_intervals(axes: Axes, at: list[float], accuracies: list[Accuracy], labels: list[str]) -> None:
    for x, accuracy in zip(at, accuracies, strict=True):
        low, high = accuracy.interval
        axes.plot([x, x], [low, high], color=OURS, linewidth=2, solid_capstyle="round")
        axes.plot([x], [accuracy.hit_rate], "o", color=OURS, markersize=7)
        axes.plot([x - 0.22, x + 0.22], [accuracy.up_rate] * 2, color=BASELINE, linewidth=2)
    axes.set_xticks(at, labels)


def accuracy(result: Result) -> str:
    """The hit rate of each fold and of the bars served, with its interval, beside the base rate."""

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        axes.axhline(0.5, color=TARGET, linewidth=1.4, label="a coin flip")
        spans = [f"{t.test_from[:7]}\nto {t.test_to[:7]}" for t in result.training]
        folds = [t.accuracy for t in result.training]
        at = [float(i) for i in range(len(folds))]
        _dots_with_intervals(axes, [*at, len(folds) + 0.5], [*folds, result.served], [*spans, "served"])
        axes.plot([], [], color=OURS, marker="o", linewidth=2, label="hit rate, 95 % interval")
        axes.plot([], [], color=BASELINE, linewidth=2, label="base rate of up days")
        axes.axvline(len(folds) - 0.25, color=GRID, linewidth=0.8)
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axes.grid(axis="x", visible=False)
        low = min(0.4, *(a.interval[0] - 0.01 for a in [*folds, result.served]))
        axes.set(ylim=(low, max(0.65, *(a.interval[1] + 0.04 for a in [*folds, result.served]))))
        axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=3)

    return _draw("accuracy", 9, 3.4, draw)


def ratios(result: Result) -> str:
    """How many times our time the baseline program took, a bar per stage, with the stated ratio."""
    stages = [(stage, stage.ratio) for stage in result.stages if stage.ratio is not None]

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        for at, (stage, ratio) in enumerate(reversed(stages)):
            low, median, high = ratio
            axes.barh(at, median, left=0, color=OURS, height=0.55, alpha=0.85)
            axes.plot([low, high], [at, at], color=INK, linewidth=1.6)
            axes.annotate(factor(median), (max(high, median), at),
                          xytext=(6, 0), textcoords="offset points", va="center", color=INK)  # fmt: skip
            if stage.ratio_target is not None:
                axes.plot([stage.ratio_target] * 2, [at - 0.42, at + 0.42], color=TARGET, linewidth=2.4)
        axes.set_yticks(range(len(stages)), [stage.name for stage, _ in reversed(stages)])
        axes.tick_params(axis="y", labelcolor=INK, length=0)
        axes.set(
            xscale="log",
            xlim=(min(1, *(ratio[1] / 2 for _, ratio in stages)), 3 * max(ratio[2] for _, ratio in stages)),
        )
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}×"))
        axes.grid(axis="y", visible=False)

    return _draw("ratios", 9, 0.45 * len(stages) + 0.7, draw) if stages else ""
