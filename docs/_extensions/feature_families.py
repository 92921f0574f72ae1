"""A directive that lists the feature families with formula and unit, from the table itself."""

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective


class FeatureFamilies(SphinxDirective):
    """``.. feature-families::``"""

    def run(self) -> list[nodes.Node]:
        from mlopt.features import FAMILIES

        lines = [".. list-table::", "   :header-rows: 1", "   :widths: 25 60 15", ""]
        lines += ["   * - Family", "     - Formula", "     - Unit"]
        for family in FAMILIES.values():
            # one period letter each, its default where there is one
            periods = "".join(
                f"_{letter if period is None else period}"
                for letter, period in zip("nmk", family.periods, strict=False)
            )
            lines += [f"   * - ``{family.name}{periods}``", f"     - ``{family.formula}``", f"     - {family.unit}"]
        return self.parse_text_to_nodes("\n".join(lines))


def setup(app: Sphinx) -> dict[str, object]:
    """Register the directive."""
    app.add_directive("feature-families", FeatureFamilies)
    return {"parallel_read_safe": True}
