"""One piece of work, done by this library, the baseline program and the peers: measured together."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

from mlopt.targets.limits import Limit
from mlopt.targets.measure import Batch, Rounds, on_processor_time, paired
from mlopt.targets.result import MEASURED, Comparison, Row, Share

OURS = "mlopt"


class NotHere(Exception):
    """The work of a row needs something that this version, or this machine, does not have."""


@dataclass(frozen=True)
class Options:
    """How long to measure, and what.

    Parameters
    ----------
    seconds : float
        Time for the rounds of one contest.
    peers : bool
        Whether other libraries take part.
    full : bool
        Whether sizes are measured that take minutes or gigabytes.
    """

    seconds: float = 2.0
    peers: bool = True
    full: bool = False


@dataclass
class Contest:
    """The alternatives of one row.

    Parameters
    ----------
    ours : batch
        This library, as a user calls it.
    baseline : batch, optional
        The same work in the baseline program.
    peers : dict of str to batch
        The same work by other libraries, by the label that the row prints.
    limits : list of Limit
        Loops at the machine's limits; absolute goals are scaled by those that have a known reference.
    share_of : str, optional
        The limit that the work is held against, `amount` being what one call does in its unit.
    variants : dict of str to batch
        Further forms of this library's work; their times become metrics of these names.
    plan_figure : float, optional
        What the plan says the work took before, in seconds.
    """

    ours: Batch
    baseline: Batch | None = None
    peers: dict[str, Batch] = field(default_factory=dict)
    limits: list[Limit] = field(default_factory=list)
    share_of: str | None = None
    amount: float = 0.0
    variants: dict[str, Batch] = field(default_factory=dict)
    plan_figure: float | None = None

    def measure(self, seconds: float, min_rounds: int = 5) -> Rounds:
        """All alternatives in turn, round after round."""
        alternatives = {OURS: self.ours} | {f"variant {name}": b for name, b in self.variants.items()}
        if self.baseline is not None:
            alternatives["baseline"] = self.baseline
        alternatives |= {f"peer {name}": b for name, b in self.peers.items()}
        alternatives |= {f"limit {limit.name}": limit.batch for limit in self.limits}
        return paired(alternatives, seconds, min_rounds=min_rounds)

    def on_processor_time(self) -> Contest:
        """The same contest by the processor time of this thread, for machines where others compute as well."""
        timed = on_processor_time
        return replace(
            self,
            ours=timed(self.ours),
            baseline=timed(self.baseline) if self.baseline is not None else None,
            peers={name: timed(batch) for name, batch in self.peers.items()},
            variants={name: timed(batch) for name, batch in self.variants.items()},
            limits=[replace(limit, batch=timed(limit.batch)) for limit in self.limits],
        )

    def fill(self, row: Row, seconds: float, min_rounds: int = 5) -> Rounds:
        """Measure, and write figure, comparisons, shares and metrics into the row."""
        rounds = self.measure(seconds, min_rounds)
        row.status = MEASURED
        row.figure = rounds.seconds(OURS)
        row.metrics["figure"] = row.figure.median
        for name in self.variants:
            row.metrics[name] = rounds.seconds(f"variant {name}").median
        if self.baseline is not None:
            ratio = rounds.ratio("baseline", of=OURS)
            row.baseline = Comparison("baseline program", rounds.seconds("baseline"), ratio, self.plan_figure)
            row.metrics["vs_baseline"] = ratio.median
        row.peers = [
            Comparison(name, rounds.seconds(f"peer {name}"), rounds.ratio(f"peer {name}", of=OURS))
            for name in self.peers
        ]
        if row.best_peer is not None:
            row.metrics["vs_peer"] = row.best_peer.ratio.median
        for limit in self.limits:
            key = f"limit {limit.name}"
            rate, share = rounds.rate(key, limit.amount), None
            if limit.name == self.share_of:
                share = rounds.ratio(key, of=OURS, factor=self.amount / limit.amount)
                row.metrics["share"] = share.median
            row.limits.append(Share(limit.name, rate, limit.unit, share))
            scale = limit.scale(rate.median)
            if scale is not None and math.isfinite(scale):
                row.scales[limit.name] = scale
        return rounds
