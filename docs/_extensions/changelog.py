"""A directive that includes CHANGELOG.md: headings, lists, links, emphasis and code of Keep a Changelog."""

import re
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

UNDERLINES = {2: "=", 3: "-"}


def to_rst(markdown: str) -> list[str]:
    """The lines in reStructuredText, from the first heading of level 2 on."""
    lines: list[str] = []
    for line in markdown.splitlines():
        heading = re.fullmatch(r"(#{2,3}) (.*)", line)
        text = heading[2] if heading else line
        text = re.sub(r"`([^`]+)`", r"``\1``", text)
        text = re.sub(r"\[([^\]]+)\]\(([^)]+)\)", r"`\1 <\2>`__", text)
        if heading:
            text = text.replace("[", "").replace("]", "")
            lines += ["", text, UNDERLINES[len(heading[1])] * len(text), ""]
        elif lines:
            if line.startswith("- ") and not lines[-1].startswith(("- ", "  ")):
                lines.append("")
            lines.append(text)
    return lines


class Changelog(SphinxDirective):
    """``.. changelog:: ../CHANGELOG.md``"""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        path = Path(self.env.doc2path(self.env.docname)).parent / self.arguments[0]
        self.env.note_dependency(str(path))
        return self.parse_text_to_nodes("\n".join(to_rst(path.read_text("utf-8"))), allow_section_headings=True)


def setup(app: Sphinx) -> dict[str, object]:
    """Register the directive."""
    app.add_directive("changelog", Changelog)
    return {"parallel_read_safe": True}


__all__ = ["Changelog", "setup", "to_rst"]
