"""A directive that tabulates what ``mlopt rates --json`` measured."""

from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

MISSING = "The rates have not been measured for this version. ``mlopt rates`` measures them on your machine."
MAIN = {"square": "gemm", "small": "gemm", "shapes": "gemm", "vector": "python"}


def summary(rates: Any) -> list[dict[str, Any]]:
    """A line for every set, type and method."""
    from mlopt.targets.rates import summaries

    return [
        {
            "work": line.set,
            "type": line.dtype,
            "method": line.method,
            "points": line.points,
            "median ÷ ours": f"{line.median:.2f}",
            "worst ÷ ours": f"{line.worst:.2f}",
            "worst at": f"{line.worst_name} ({line.worst_peer})",
            "behind at": line.behind,
        }
        for line in summaries(rates)
    ]


def points(rates: Any, set: str, dtype: str, count: int | None) -> list[dict[str, Any]]:
    """A line for every point of a set and type, or for the `count` with the lowest ratio to the best peer."""
    from mlopt.targets.report import duration

    method = MAIN[set]
    found = [rate for rate in rates.of(set, dtype) if method in rate.ours]
    if count is not None:
        found = sorted(found, key=lambda rate: (rate.against_best(method) or ("", 0))[1])[:count]
    lines = []
    for rate in found:
        line = {"size" if set != "vector" else "operation": rate.name}
        if rate.source:
            line["from"] = rate.source
        line["time"] = duration(rate.ours[method][0])
        line["% of limit"] = f"{100 * rate.ours[method][1]:.0f}"
        for name, (_, share) in {k: v for k, v in rate.ours.items() if k != method}.items():
            line[f"{name} %"] = f"{100 * share:.0f}"
        for name, (_, share) in rate.peers.items():
            line[f"{name.split(' ')[0]} %"] = f"{100 * share:.0f}"
        if best := rate.against_best(method):
            line["best peer ÷ ours"] = f"{best[1]:.2f}"
        lines.append(line)
    return lines


class RateTable(SphinxDirective):
    """``.. rate-table:: rates.json``, with what to show: ``machine``, ``summary``, or a set and a type."""

    required_arguments = 1
    option_spec = {  # noqa: RUF012
        "show": directives.unchanged_required,
        "worst": directives.positive_int,
    }

    def run(self) -> list[nodes.Node]:
        path = Path(self.env.doc2path(self.env.docname)).parent / self.arguments[0]
        self.env.note_dependency(str(path))
        if not path.exists():
            return self.parse_text_to_nodes(f".. note::\n\n   {MISSING}\n")
        from mlopt.targets.rates import Rates
        from mlopt.targets.report import detail_table, machine_lines, rst_table

        rates, show = Rates.from_json(path.read_text("utf-8")), self.options["show"]
        if show == "machine":
            clock = f"measured: {rates.machine.get('clock', 'wall time')}"
            return self.parse_text_to_nodes("\n\n".join([*machine_lines(rates.machine), clock]))
        lines = summary(rates) if show == "summary" else points(rates, *show.split(), self.options.get("worst"))
        return self.parse_text_to_nodes("\n".join(rst_table(*detail_table(lines)))) if lines else []


def setup(app: Sphinx) -> dict[str, object]:
    """Register the directive."""
    app.add_directive("rate-table", RateTable)
    return {"parallel_read_safe": True}
