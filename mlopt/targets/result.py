"""What a measured row holds, and how it is judged; plain data that goes to JSON and back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from mlopt.targets.measure import Spread

MEASURED = "measured"
ABSENT = "not in this version"
UNAVAILABLE = "not measured"  # the work is here, but something it needs is not, or it failed

MET = "met"
MISSED = "missed"
UNKNOWN = "not measured"


@dataclass(frozen=True)
class Goal:
    """A number to reach.

    Parameters
    ----------
    kind : str
        ``"stated"`` by the plan, ``"goal"`` of this library, or ``"stretch"``.
    text : str
        The goal as a reader sees it.
    metric : str
        Which of a row's metrics it is about.
    bound : float
        The number, in the metric's unit (times in seconds).
    better : str
        ``"lower"`` or ``"higher"``.
    scale : str, optional
        The limit that absolute figures belong to: the bound is multiplied or divided by what the
        machine of the figures reaches there over what this one does.
    """

    kind: str
    text: str
    metric: str
    bound: float
    better: str = "lower"
    scale: str | None = None


@dataclass(frozen=True)
class Judgement:
    """The verdict on one goal: met, missed, or not measured.

    `verdict` holds the value against `scaled_bound`, which is the bound where nothing scales it;
    `unscaled` says what the bare number would give.
    """

    kind: str
    text: str
    metric: str
    value: float | None
    bound: float
    scaled_bound: float
    verdict: str
    unscaled: str


@dataclass(frozen=True)
class Comparison:
    """Another implementation of the same work; `ratio` is its time over ours, pair by pair."""

    name: str
    figure: Spread
    ratio: Spread
    plan_figure: float | None = None  # the plan's "current" figure, in seconds


@dataclass(frozen=True)
class Share:
    """A limit of the machine, measured in the same rounds, and the share of it that was reached."""

    name: str
    rate: Spread
    unit: str
    share: Spread | None = None


@dataclass
class Row:
    """A row of the table: the work, what was measured, and the verdicts."""

    id: str
    title: str
    work: str
    part: str
    status: str = ABSENT
    reason: str = ""
    provisional: str = ""
    figure: Spread | None = None
    figures: dict[str, float] = field(default_factory=dict)
    baseline: Comparison | None = None
    stages: list[Comparison] = field(default_factory=list)
    peers: list[Comparison] = field(default_factory=list)
    limits: list[Share] = field(default_factory=list)
    metrics: dict[str, float] = field(default_factory=dict)
    scales: dict[str, float] = field(default_factory=dict)
    judgements: list[Judgement] = field(default_factory=list)
    details: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def best_peer(self) -> Comparison | None:
        """The fastest of the peers that were there."""
        return min(self.peers, key=lambda peer: peer.ratio.median, default=None)

    def verdict(self, kind: str | None = None) -> str:
        """The verdict over all goals, or those of one kind.

        A row that was not measured, or any of whose goals was not, is never met.
        """
        if self.status != MEASURED:
            return self.status
        verdicts = [j.verdict for j in self.judgements if j.kind == kind or (kind is None and j.kind != "stretch")]
        if MISSED in verdicts:
            return MISSED
        if not verdicts or UNKNOWN in verdicts:
            return UNKNOWN
        return f"{MET} (provisional)" if self.provisional else MET

    def to_dict(self) -> dict[str, Any]:
        """Nested plain types, for JSON."""
        return asdict(self) | {"verdict": self.verdict()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Row:
        """The row that :meth:`to_dict` was called on."""
        known = {f.name for f in fields(cls)}
        values = {name: value for name, value in data.items() if name in known}
        unknown = set(data) - known - {"verdict"}
        if unknown:
            raise ValueError(f"data has unknown fields: {', '.join(sorted(unknown))}")
        values["figure"] = _spread(values.get("figure"))
        values["baseline"] = _comparison(values["baseline"]) if values.get("baseline") else None
        values["stages"] = [_comparison(c) for c in values.get("stages", ())]
        values["peers"] = [_comparison(c) for c in values.get("peers", ())]
        values["limits"] = [
            Share(s["name"], Spread(**s["rate"]), s["unit"], _spread(s["share"])) for s in values.get("limits", ())
        ]
        values["judgements"] = [Judgement(**j) for j in values.get("judgements", ())]
        return cls(**values)


def _spread(data: Mapping[str, Any] | None) -> Spread | None:
    return Spread(**data) if data else None


def _comparison(data: Mapping[str, Any]) -> Comparison:
    return Comparison(data["name"], Spread(**data["figure"]), Spread(**data["ratio"]), data["plan_figure"])


def judge(goal: Goal, row: Row) -> Judgement:
    """Hold a row's metric against a goal; "not measured" where the metric or its scale is missing.

    `row.scales` has, for each limit measured, what this machine reaches over what the machine of the
    figures does; a time bound is divided by it and a rate bound multiplied.

    Examples
    --------
    >>> from mlopt.targets.result import Goal, Row, judge
    >>> row = Row("x", "x", "x", "1", metrics={"figure": 1.5e-6}, scales={"FMA float32": 0.5})
    >>> judge(Goal("goal", "<= 1 us", "figure", 1e-6, scale="FMA float32"), row).verdict
    'met'
    >>> judge(Goal("goal", "<= 1 us", "other", 1e-6), row).verdict
    'not measured'
    """
    value = row.metrics.get(goal.metric)
    bound = goal.bound
    measured = value is not None and math.isfinite(value)
    if goal.scale is not None:
        scale = row.scales.get(goal.scale)
        if scale is None or not scale > 0:
            measured = False
        else:
            bound = bound / scale if goal.better == "lower" else bound * scale

    def verdict(against: float) -> str:
        if value is None or not measured:
            return UNKNOWN
        return MET if (value <= against if goal.better == "lower" else value >= against) else MISSED

    return Judgement(
        goal.kind,
        goal.text,
        goal.metric,
        value if measured else None,
        goal.bound,
        bound,
        verdict(bound),
        verdict(goal.bound),
    )
