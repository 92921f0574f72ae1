"""What a run of the demo found: plain data, to and from report.json."""

from dataclasses import asdict, dataclass, field, fields
from typing import Any

from mlopt.concurrent import Histogram
from mlopt.demo.accuracy import Accuracy
from mlopt.demo.walk_forward import Fold

SCHEMA = "mlopt.demo/1"
QUANTILES = {"median": 0.5, "p99": 0.99, "p999": 0.999}


@dataclass(frozen=True)
class Stage:
    """One stage of serving a bar: its latencies in nanoseconds, the baseline's, and the stated target."""

    name: str
    work: str
    latency: Histogram
    target: float | None = None  # of the median, in nanoseconds
    baseline: float | None = None  # the baseline program's median
    ratio: tuple[float, float, float] | None = None  # baseline over ours, bar by bar: lower quartile, median, upper
    ratio_target: float | None = None

    def quantile(self, name: str) -> float:
        """A quantile by its name in QUANTILES."""
        return self.latency.quantile(QUANTILES[name])

    @property
    def passed(self) -> bool | None:
        """Whether every target that is stated was met; None where none is or nothing was measured."""
        verdicts = []
        if self.target is not None:
            verdicts.append(self.quantile("median") < self.target)
        if self.ratio_target is not None and self.ratio is not None:
            verdicts.append(self.ratio[1] >= self.ratio_target)
        return all(verdicts) if verdicts else None

    def to_dict(self) -> dict[str, Any]:
        """Plain types; with the figures that follow from the histogram, for readers of the file."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        figures = {name: self.quantile(name) for name in QUANTILES} | {"max": self.latency.max}
        return values | {"latency": self.latency.to_dict(), "figures": figures, "passed": self.passed}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Stage":
        """The stage that `to_dict` described."""
        values = {name: value for name, value in values.items() if name not in ("figures", "passed")}
        ratio = tuple(values["ratio"]) if values.get("ratio") else None
        return cls(**values | {"latency": Histogram.from_dict(values["latency"]), "ratio": ratio})


@dataclass(frozen=True)
class Training:
    """One fold: what was trained and judged on, the mean loss of each epoch, and the accuracy after."""

    fold: Fold
    test_from: str
    test_to: str
    losses: list[float]
    test_loss: float
    accuracy: Accuracy


@dataclass(frozen=True)
class Check:
    """One quantity compared with the reference tier: how often, and the worst deviation.

    A deviation is ``|a - b| / (1 + |b|)`` for features, and relative to the largest element for outputs and gradients.
    """

    name: str
    checks: int
    failures: int
    worst: float
    tolerance: float


@dataclass(frozen=True)
class Result:
    """A run of the demo."""

    bars: dict[str, Any]  # source, count, first, last, warm_up, trained, served, passes
    network: dict[str, Any]  # layers, parameters, activation, output, loss, optimizer, dtype
    machine: dict[str, Any]  # brand, cores, tier, python, numpy, mlopt
    settings: dict[str, Any]  # seed, check_every, baseline_every
    seconds: dict[str, float]  # features, training, serving, total
    clock_nanoseconds: float  # what reading the clock adds to each stage
    stages: list[Stage]
    cold: Histogram  # the total of the bars right after a check or the baseline program, which are not in the stages
    training: list[Training]
    served: Accuracy
    final_losses: list[float]  # of each epoch of the network that is served, trained on all older bars
    checks: list[Check] = field(default_factory=list)

    @property
    def walk_forward(self) -> Accuracy:
        """The accuracy over all folds."""
        return sum((training.accuracy for training in self.training[1:]), self.training[0].accuracy)

    @property
    def passed(self) -> bool:
        """Whether every check against the reference tier was within its tolerance."""
        return all(check.failures == 0 for check in self.checks)

    def to_dict(self) -> dict[str, Any]:
        """Plain types, ready for :mod:`json`."""
        values = asdict_without(self, "stages", "cold", "training", "served", "checks")
        return {
            "schema": SCHEMA,
            **values,
            "stages": [stage.to_dict() for stage in self.stages],
            "cold": self.cold.to_dict(),
            "training": [
                asdict_without(training, "accuracy", "fold")
                | {"fold": training.fold._asdict(), "accuracy": accuracy_to_dict(training.accuracy)}
                for training in self.training
            ],
            "walk_forward": accuracy_to_dict(self.walk_forward),
            "served": accuracy_to_dict(self.served),
            "checks": [asdict(check) for check in self.checks],
            "passed": self.passed,
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Result":
        """The result that `to_dict` described.

        Raises
        ------
        ValueError
            If `values` has another schema.
        """
        if values.get("schema") != SCHEMA:
            raise ValueError(f"values must have schema {SCHEMA!r}, not {values.get('schema')!r}")
        values = {f.name: values[f.name] for f in fields(cls)}
        return cls(
            **values
            | {
                "stages": [Stage.from_dict(stage) for stage in values["stages"]],
                "cold": Histogram.from_dict(values["cold"]),
                "training": [
                    Training(**t | {"fold": Fold(**t["fold"]), "accuracy": accuracy_from_dict(t["accuracy"])})
                    for t in values["training"]
                ],
                "served": accuracy_from_dict(values["served"]),
                "checks": [Check(**check) for check in values["checks"]],
            }
        )


def asdict_without(instance: Any, *names: str) -> dict[str, Any]:
    """The fields of a dataclass but for some, by name."""
    return {f.name: getattr(instance, f.name) for f in fields(instance) if f.name not in names}


def accuracy_to_dict(accuracy: Accuracy) -> dict[str, Any]:
    """The counts, and what follows from them."""
    low, high = accuracy.interval
    follows = {"hit_rate": accuracy.hit_rate, "low": low, "high": high, "up_rate": accuracy.up_rate}
    return asdict(accuracy) | follows | {"verdict": accuracy.verdict}


def accuracy_from_dict(values: dict[str, Any]) -> Accuracy:
    """The accuracy that `accuracy_to_dict` described."""
    return Accuracy(values["count"], values["hits"], values["ups"])
