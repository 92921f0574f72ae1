"""A directive that shows the measured targets from the JSON that ``mlopt targets --json`` wrote."""

from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

MISSING = "The table has not been measured for this version. ``mlopt targets`` measures it on your machine."


class TargetTable(SphinxDirective):
    """``.. target-table:: targets.json``"""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        path = Path(self.env.doc2path(self.env.docname)).parent / self.arguments[0]
        self.env.note_dependency(str(path))
        if not path.exists():
            return self.parse_text_to_nodes(f".. note::\n\n   {MISSING}\n")
        from mlopt.targets.report import Report, to_rst

        return self.parse_text_to_nodes(to_rst(Report.from_json(path.read_text("utf-8"))), allow_section_headings=True)


def setup(app: Sphinx) -> dict[str, object]:
    """Register the directive."""
    app.add_directive("target-table", TargetTable)
    return {"parallel_read_safe": True}
