"""A directive that lists the feature families group by group, from the table itself."""

from itertools import groupby

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

COLUMNS = {"Name": 23, "Formula": 42, "Unit": 8, "Lookback": 14, "TA-Lib": 9, "Pass": 4}


class FeatureFamilies(SphinxDirective):
    """``.. feature-families::``"""

    def run(self) -> list[nodes.Node]:
        from mlopt.features import FAMILIES

        lines = []
        for group, families in groupby(FAMILIES.values(), lambda family: family.group):
            lines += [group, "~" * len(group), "", ".. list-table::", "   :class: families", "   :header-rows: 1"]
            lines += [f"   :widths: {' '.join(map(str, COLUMNS.values()))}", ""]
            lines += row(COLUMNS)
            for family in families:
                note = f" -- *{family.source}*" if family.source else ""
                talib = f"``{family.talib}``" if family.talib else ""
                name = f"``{pattern(family)}``"
                lines += row(
                    [name, f"``{family.formula}``{note}", family.unit, lookback(family), talib, "●" * family.window]
                )
            lines.append("")
        return self.parse_text_to_nodes("\n".join(lines), allow_section_headings=True)


def row(cells) -> list[str]:
    """One row of a list-table."""
    return [f"   {' ' if i else '*'} - {cell}" for i, cell in enumerate(cells)]


def pattern(family) -> str:
    """The family's names: a letter for each period that must be given, in brackets those that may be left out."""
    letters = "nmk"[: len(family.periods)]
    needed = [letter for letter, period in zip(letters, family.periods, strict=True) if period is None]
    default = "".join(f"_{period}" for period in family.periods if period is not None)
    series = f"({','.join('XY'[: len(family.inputs)])})" if family.inputs else ""
    return "".join([family.name, *(f"_{letter}" for letter in needed), f"[{default}]" if default else "", series])


def lookback(family) -> str:
    """Of the default periods; where the name must give some, of a feature of the default set."""
    from mlopt.features import DEFAULT_FEATURES
    from mlopt.features.definitions import parse_feature

    if None not in family.periods:
        return str(parse_feature(family.name).lookback)
    example = next(name for name in DEFAULT_FEATURES if parse_feature(name).family is family)
    return f"{parse_feature(example).lookback} (``{example}``)"


def setup(app: Sphinx) -> dict[str, object]:
    """Register the directive."""
    app.add_directive("feature-families", FeatureFamilies)
    return {"parallel_read_safe": True}
