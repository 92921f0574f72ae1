"""What a run found: plain data, to and from soak.json."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from mlopt.concurrent import Histogram
from mlopt.soak.series import Series
from mlopt.soak.verdicts import Verdict

SCHEMA = "mlopt.soak/1"


@dataclass
class LoadResult:
    """One load: its counters at the end, its latencies if it measures any, what went wrong in words."""

    name: str
    title: str
    counters: dict[str, int] = field(default_factory=dict)
    latency: Histogram | None = None
    problems: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Plain types, ready for :mod:`json`."""
        values: dict[str, Any] = {"name": self.name, "title": self.title, "counters": self.counters}
        values["problems"] = self.problems
        values["latency"] = self.latency.to_dict() if self.latency is not None else None
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> LoadResult:
        """The load that `to_dict` described."""
        latency = Histogram.from_dict(values["latency"]) if values["latency"] is not None else None
        return cls(values["name"], values["title"], dict(values["counters"]), latency, list(values["problems"]))


@dataclass
class Result:
    """A run: what was asked for, what was sampled, how it was judged."""

    machine: dict[str, Any]  # brand, cores, tier, python, numpy, mlopt, system
    settings: dict[str, Any]  # seconds, seed, processes, interval, loads, faults
    began: str  # UTC
    seconds: float  # that it ran
    ended_early: str  # why, or ""
    loads: list[LoadResult]
    series: Series
    verdicts: list[Verdict]

    @property
    def held(self) -> bool:
        """Whether every verdict is as it must be."""
        return bool(self.verdicts) and all(verdict.held for verdict in self.verdicts)

    def to_dict(self) -> dict[str, Any]:
        """Plain types, ready for :mod:`json`."""
        return {
            "schema": SCHEMA,
            "held": self.held,
            "began": self.began,
            "seconds": self.seconds,
            "ended_early": self.ended_early,
            "machine": self.machine,
            "settings": self.settings,
            "verdicts": [asdict(verdict) for verdict in self.verdicts],
            "loads": [load.to_dict() for load in self.loads],
            "samples": self.series.to_dict(),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Result:
        """The result that `to_dict` described.

        Raises
        ------
        ValueError
            If `values` has another schema, or is not such a dictionary.
        """
        if not isinstance(values, Mapping) or values.get("schema") != SCHEMA:
            found = values.get("schema") if isinstance(values, Mapping) else type(values).__name__
            raise ValueError(f"values must have schema {SCHEMA!r}, not {found!r}")
        try:
            return cls(
                values["machine"],
                values["settings"],
                values["began"],
                values["seconds"],
                values["ended_early"],
                [LoadResult.from_dict(load) for load in values["loads"]],
                Series.from_dict(values["samples"]),
                [Verdict(**verdict) for verdict in values["verdicts"]],
            )
        except (KeyError, TypeError, IndexError, AttributeError) as error:
            raise ValueError(f"values are not a soak's result: {error!r}") from error
