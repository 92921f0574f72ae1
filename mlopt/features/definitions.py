"""Features by name: their family, periods and series; combinations of them.

A feature's name is its family and its periods: ``sma_20``, ``macd_12_26_9``; periods at the end may be left out where
the table (families.py) gives defaults (``macd``).  Families of one series take another in parentheses:
``sma_20(volume)``, ``zscore_50(spread)`` where the caller has a column of that name.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mlopt.features import graph as g
from mlopt.features.families import FAMILIES, Family
from mlopt.features.formulas import sum_of
from mlopt.features.graph import Value, series

__all__ = ["INPUTS", "Combination", "Feature", "feature_of", "parse_feature"]

MAXIMUM_PERIOD = 10_000
# the series that a name may give in parentheses
INPUTS = ("open", "high", "low", "close", "volume", "typical")


@dataclass(frozen=True)
class Feature:
    """One feature: a family with its inputs and periods, or a combination of others."""

    name: str
    family: Family
    periods: tuple[int, ...]
    value: Value
    inputs: tuple[str, ...] = ()

    @property
    def lookback(self) -> int:
        """How many bars come before the first one that has the feature."""
        return self.value.ready


@dataclass(frozen=True)
class Combination:
    """A feature that is a linear combination of others.

    Attributes
    ----------
    name : str
        The feature's name.
    weights : mapping of str to float
        Features by name, each with its weight.
    offset : float
        What is added to the sum.

    Examples
    --------
    >>> from mlopt.features import Combination, FeatureExtractor
    >>> spread = Combination("spread", {"sma_2": 1.0, "sma_3": -1.0})
    >>> FeatureExtractor([spread]).transform([[10, 11, 9, 10, 5], [10, 13, 10, 13, 5], [13, 13, 12, 13, 5]])
    array([[nan],
           [nan],
           [ 1.]])
    """

    name: str
    weights: Mapping[str, float]
    offset: float = 0.0

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not re.fullmatch(r"[A-Za-z_]\w*", self.name):
            raise ValueError(f"name must be a word of letters, digits and underscores, not {self.name!r}")
        if not isinstance(self.weights, Mapping):
            raise TypeError(f"weights must be a mapping of feature names, not {type(self.weights).__name__}")
        if not self.weights:
            raise ValueError(f"weights of {self.name!r} must name at least one feature")
        for number in (*self.weights.values(), self.offset):
            if not math.isfinite(number):
                raise ValueError(f"weights and offset of {self.name!r} must be finite, not {number!r}")


_NAME = re.compile(r"([a-z][a-z_]*?)((?:_[0-9]+)*)(?:\(([^()]*)\))?")


def parse_feature(name: str, columns: Sequence[str] = ()) -> Feature:
    """The feature of a name such as ``sma_20`` or ``sma_20(volume)``.

    Parameters
    ----------
    name : str
        The family, its periods, and the series it is of where that is not the default.
    columns : sequence of str
        The caller's own columns, in their order: further series.

    Raises
    ------
    ValueError
        If the family is unknown, or a period or series is missing, superfluous, unknown or out of range.
    """
    if not isinstance(name, str):
        raise TypeError(f"features: a name must be a string, not {type(name).__name__}")
    matched = _NAME.fullmatch(name)
    family = FAMILIES.get(matched[1]) if matched else None
    if matched is None or family is None:
        raise ValueError(f"features: no feature {name!r}; the families are {', '.join(FAMILIES)}")
    given = tuple(int(period) for period in matched[2].split("_")[1:])
    required = sum(period is None for period in family.periods)
    if not required <= len(given) <= len(family.periods):
        expected = f"{required} to {len(family.periods)}" if required < len(family.periods) else f"{required}"
        raise ValueError(f"features: {name!r} has {len(given)} periods, {family.name!r} takes {expected}")
    if not all(family.minimum <= period <= MAXIMUM_PERIOD for period in given):
        raise ValueError(f"features: the periods of {name!r} must be from {family.minimum} to {MAXIMUM_PERIOD}")
    periods = given + tuple(int(period or 0) for period in family.periods[len(given) :])
    inputs = family.inputs if matched[3] is None else tuple(part.strip() for part in matched[3].split(","))
    if len(inputs) != len(family.inputs):
        expected = f"takes {len(family.inputs)} series" if family.inputs else "is of whole bars and takes no series"
        raise ValueError(f"features: {name!r} names {len(inputs)} series, {family.name!r} {expected}")
    values = []
    for source in inputs:
        if source not in INPUTS and source not in columns:
            known = ", ".join((*INPUTS, *columns))
            raise ValueError(f"features: no series {source!r} for {name!r}; there are {known}")
        values.append(series(source) if source in INPUTS else g.column(list(columns).index(source)))
    return Feature(name, family, periods, family.build(*values, *periods), inputs)


def feature_of(feature: str | Combination, columns: Sequence[str] = ()) -> Feature:
    """The feature of a name or a combination."""
    if not isinstance(feature, Combination):
        return parse_feature(feature, columns)
    parts = [(float(weight), parse_feature(name, columns)) for name, weight in feature.weights.items()]
    value = sum_of([(weight, part.value) for weight, part in parts], float(feature.offset))
    units = {(part.family.unit, part.inputs if part.family.unit == "input" else ()) for _, part in parts}
    # of several units, none: an error is relative to the result itself
    unit, inputs = units.pop() if len(units) == 1 else ("1", ())
    return Feature(feature.name, Family(feature.name, "linear combination", unit, sum_of), (), value, inputs)
