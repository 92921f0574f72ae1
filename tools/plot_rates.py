"""usage: plot_rates.py [RATES.json [FOLDER]]: draw what `mlopt rates --json` wrote, into docs/figures.

The same file gives the same pictures, byte for byte.  Needs matplotlib.
"""

from __future__ import annotations

import hashlib
import statistics
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")

from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mlopt.targets.rates import Rate, Rates

ROOT = Path(__file__).parents[1]
BLUE, RED, ORANGE, GREEN, PURPLE, SKY, GREY = (
    "#0072B2", "#D55E00", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#666666",
)  # fmt: skip
# Colours of Okabe and Ito, which everybody tells apart, and a mark and a dash for each.
OURS: dict[str, dict[str, Any]] = {
    "gemm": {"color": BLUE, "marker": "o", "linewidth": 2.2, "label": "mlopt", "zorder": 5},
    "strassen": {"color": RED, "marker": "D", "linewidth": 2.2, "label": "mlopt, Strassen", "zorder": 5},
    "auto": {"color": RED, "marker": "", "linestyle": ":", "label": "mlopt, auto with Strassen allowed", "zorder": 4},
    "python": {"color": BLUE, "marker": "o", "label": "mlopt", "zorder": 5},
}
PEERS: dict[str, dict[str, Any]] = {
    "NumPy": {"color": ORANGE, "marker": "s", "linestyle": "--"},
    "PyTorch": {"color": GREEN, "marker": "^", "linestyle": "-."},
    "AOCL-BLIS": {"color": PURPLE, "marker": "v", "linestyle": (0, (5, 1))},
    "NumKong": {"color": SKY, "marker": "P", "linestyle": ":"},
}
OTHER = {"color": GREY, "marker": "x", "linestyle": ":"}
STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "mlopt",
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.7,
    "lines.markersize": 4.5,
    "lines.linewidth": 1.3,
    "legend.frameon": False,
}


def style_of(peer: str) -> dict[str, Any]:
    """How a peer is drawn; its label has the version."""
    return {"label": peer, "zorder": 3} | PEERS.get(peer.split(" ")[0], OTHER)


def alternatives(rates: list[Rate], methods: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """Every library and method that occurs, with its style; this library's last, to lie above the others."""
    peers = dict.fromkeys(peer for rate in rates for peer in rate.peers)
    found = {peer: style_of(peer) for peer in peers}
    return found | {method: OURS[method] for method in methods if any(method in rate.ours for rate in rates)}


def share(rate: Rate, name: str) -> float | None:
    """Percent of the limit."""
    entry = rate.ours.get(name) or rate.peers.get(name)
    return None if entry is None else 100 * entry[1]


def square(rates: Rates, dtype: str) -> Figure:
    """Shares of the multiply-add limit over the size of square matrices."""
    found = rates.of("square", dtype)
    figure, axes = pyplot.subplots(figsize=(8, 4.6), layout="constrained")
    top = 100.0
    for name, style in alternatives(found, ("gemm", "auto", "strassen")).items():
        pairs = [(int(rate.name), value) for rate in found if (value := share(rate, name)) is not None]
        axes.plot(*zip(*pairs, strict=True), **style)
        top = max(top, *(value for _, value in pairs))
    limit = statistics.median(rate.limit_rate for rate in found) / 1e9
    axes.axhline(100, color="black", linewidth=1.2)
    axes.annotate(
        f"limit: a loop of multiply-adds, {limit:.0f} GFLOP/s", (8, 100), (0, 4), textcoords="offset points", fontsize=9
    )
    sizes = [2**i for i in range(3, 13)]
    axes.set_xscale("log", base=2)
    axes.set_xticks(sizes, [str(n) for n in sizes])
    axes.set_ylim(0, 5 * (top // 5 + 2))
    axes.set_xlabel("n, of matrices n × n")
    axes.set_ylabel("rate, % of the multiply-add limit")
    axes.set_title(f"Square products, {dtype}, one thread", loc="left", fontweight="bold")
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles[::-1], labels[::-1], loc="outside lower center", ncols=min(3, len(handles)))
    return figure


def shapes(rates: Rates) -> Figure:
    """The best peer's time over ours, sorted, for the list of shapes."""
    figure, axes = pyplot.subplots(figsize=(8, 4.6), layout="constrained")
    for dtype, color, marker, above in (("float32", BLUE, "o", False), ("float64", RED, "D", True)):
        against = [(best[1], rate) for rate in rates.of("shapes", dtype) if (best := rate.against_best("gemm"))]
        if not against:
            continue
        against.sort(key=lambda pair: pair[0])
        ratios = [ratio for ratio, _ in against]
        middle = statistics.median(ratios)
        x = [(i + 0.5) / len(ratios) * 100 for i in range(len(ratios))]
        label = f"{dtype}: median {middle:.2f}, ahead or even at {sum(r >= 1 for r in ratios)} of {len(ratios)}"
        axes.plot(x, ratios, color=color, marker=marker, markersize=3, linewidth=1, label=label)
        axes.plot(
            [50],
            [middle],
            color=color,
            marker=marker,
            markersize=9,
            markeredgecolor="white",
            markeredgewidth=1.5,
            zorder=6,
        )
        worst = against[0][1]
        axes.annotate(
            f"{ratios[0]:.2f} at worst, {dtype}: {worst.name}, {worst.source}",
            (x[0], ratios[0]), (120, 6 if above else -6), textcoords="offset points", fontsize=9, color=color,
            va="center", arrowprops={"arrowstyle": "-", "color": color, "linewidth": 0.8},
        )  # fmt: skip
    axes.axhline(1, color="black", linewidth=1.2)
    axes.axvline(50, color=GREY, linewidth=0.8, linestyle=":")
    axes.annotate("as fast as the best peer", (99, 1), (0, -12), textcoords="offset points", fontsize=9, ha="right")
    axes.set_yscale("log", base=2)
    low, high = axes.get_ylim()
    ticks = [t for t in (1 / 16, 1 / 8, 1 / 4, 0.5, 0.75, 1, 1.5, 2, 3, 4, 8, 16) if low <= t <= high]
    axes.set_yticks(ticks, [f"{t:g}" for t in ticks])
    axes.minorticks_off()
    axes.set_xlim(0, 100)
    axes.set_xlabel("shapes, sorted by the ratio of each type, %")
    axes.set_ylabel("best peer's time ÷ mlopt's")
    axes.set_title("Shapes from networks, one thread", loc="left", fontweight="bold")
    axes.legend(loc="upper left")
    return figure


SHIFT = {"NumPy": -0.22, "PyTorch": 0.22, "NumKong": 0.0}
ROOM = 125.0  # percent: beyond it the caches differ from call to call, not the loops


def vectors(rates: Rates, dtype: str) -> Figure:
    """Shares of the limit loop for every operation, a panel for each number of elements."""
    found = rates.of("vector", dtype)
    sizes = list(dict.fromkeys(rate.name.split(" ")[1] for rate in found))
    operations = list(dict.fromkeys(rate.name.split(" ")[0] for rate in found))
    figure, panels = pyplot.subplots(1, len(sizes), figsize=(8, 4.4), sharey=True, layout="constrained", squeeze=False)
    styles = alternatives(found, ("python",))
    for axes, size in zip(panels[0], sizes, strict=True):
        draw_panel(axes, [rate for rate in found if rate.name.split(" ")[1] == size], operations, styles)
        axes.set_title(f"{size} elements", fontsize=10)
    panels[0][0].set_yticks(range(len(operations)), operations)
    panels[0][0].invert_yaxis()
    title = f"Vector operations, {dtype}, called from Python, one thread"
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=12)
    handles = [
        Line2D([], [], color=style["color"], marker=style["marker"], linestyle="", label=style["label"])
        for style in reversed(styles.values())
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=min(3, len(handles)))
    return figure


def draw_panel(axes: Axes, rates: list[Rate], operations: list[str], styles: dict[str, dict[str, Any]]) -> None:
    """One number of elements: a mark for every library and operation."""
    for name, style in styles.items():
        for rate in rates:
            value = share(rate, name)
            if value is None:
                continue
            y = operations.index(rate.name.split(" ")[0])
            if name == "python":
                axes.barh(y, min(value, ROOM), height=0.66, color=BLUE, alpha=0.35, zorder=1)
            axes.plot(
                [min(value, ROOM)], [y + SHIFT.get(name.split(" ")[0], 0)], color=style["color"],
                marker=style["marker"], linestyle="", zorder=style["zorder"],
            )  # fmt: skip
    axes.axvline(100, color="black", linewidth=1.2)
    axes.set_xlim(0, ROOM + 5)
    axes.set_xticks([0, 50, 100])
    axes.set_xlabel("% of the limit loop")
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)


def draw(path: Path, folder: Path) -> list[Path]:
    """All figures for which there are rates; returns their files."""
    text = path.read_text("utf-8")
    rates = Rates.from_json(text)
    made = []
    with mpl.rc_context(STYLE):
        figures = {f"rates_square_{dtype}": square(rates, dtype) for dtype in types(rates, "square")}
        figures |= {f"rates_vector_{dtype}": vectors(rates, dtype) for dtype in types(rates, "vector")}
        if types(rates, "shapes"):
            figures["rates_shapes"] = shapes(rates)
        folder.mkdir(parents=True, exist_ok=True)
        for name, figure in figures.items():
            file = folder / f"{name}.svg"
            figure.savefig(file, metadata={"Date": None, "Creator": None, "Source": digest(text)})
            pyplot.close(figure)
            lines = file.read_text("utf-8").splitlines()
            file.write_text("\n".join(line.rstrip() for line in lines) + "\n", "utf-8")
            made.append(file)
    return made


def types(rates: Rates, set: str) -> list[str]:
    """The types of which a set has rates."""
    return [dtype for dtype in ("float64", "float32") if rates.of(set, dtype)]


def digest(text: str) -> str:
    """What a figure says of the rates that it was drawn from."""
    return f"rates {hashlib.sha256(text.encode()).hexdigest()[:16]}"


if __name__ == "__main__":
    if len(sys.argv) > 3 or sys.argv[1:2] == ["--help"]:
        raise SystemExit(__doc__)
    source, target = [*sys.argv[1:], "", ""][:2]
    for drawn in draw(Path(source or ROOT / "docs" / "rates.json"), Path(target or ROOT / "docs" / "figures")):
        print(drawn)
