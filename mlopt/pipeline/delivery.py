"""What becomes of records at the end of a pipeline: outputs to the sink, failures to whoever wants to hear of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

from mlopt.pipeline.sinks import Sink

__all__ = ["Delivery", "PipelineError"]

OnBad = Callable[[int, str, str], Any]


class PipelineError(Exception):
    """A record that a stage could not do, or a stage that cannot go on.

    Everything before the record has been delivered; the pipeline goes on behind it where it is started again.

    Parameters
    ----------
    stage : str
        Which stage: its class or function, ``"source"``, ``"sink"`` or ``"on_bad"``.
    record : int
        The number of the record, counted from 0 at the pipeline's first start.
    reason : str
        What was wrong.

    Attributes
    ----------
    stage, record, reason
        As given; the stage's own exception, where there is one, is ``__cause__``.

    Examples
    --------
    >>> from mlopt.pipeline import PipelineError
    >>> print(PipelineError("FeatureExtractor", 17, "high must not be below low"))
    record 17: FeatureExtractor: high must not be below low
    """

    def __init__(self, stage: str, record: int, reason: str) -> None:
        super().__init__(stage, record, reason)
        self.stage, self.record, self.reason = stage, record, reason

    def __str__(self) -> str:
        return f"record {self.record}: {self.stage}: {self.reason}"


class Delivery:
    """Counts what arrives and hands it on.

    Parameters
    ----------
    sink : Sink
        Where outputs go.
    on_error : str
        ``"raise"`` or ``"skip"``.
    on_bad : callable or None
        Told ``(record, stage, reason)`` of every failure that is skipped.
    """

    def __init__(self, sink: Sink, on_error: str, on_bad: OnBad | None) -> None:
        self.sink, self.on_error, self.on_bad = sink, on_error, on_bad
        self.done = 0  # the number behind the last record that was dealt with
        self.out = self.without_output = self.bad = 0

    def outputs(self, first: int, rows: NDArray[Any]) -> int:
        """Outputs of records in a row; how many the sink took."""
        try:
            taken = self.sink.put(first, rows)
        except Exception as error:
            raise PipelineError("sink", first, f"{type(error).__name__}: {error}") from error
        self.out += taken
        self.done = first + taken
        return taken

    def nothing(self, number: int) -> None:
        """A record has no output."""
        self.without_output += 1
        self._skip(number)

    def failed(self, number: int, stage: str, reason: str, error: BaseException | None = None) -> None:
        """A record failed; PipelineError, or what `on_bad` makes of it."""
        self.bad += 1
        self._skip(number)
        if error is not None and not isinstance(error, Exception):
            raise error  # an interrupt, which is not for us
        if self.on_error == "raise":
            raise PipelineError(stage, number, reason) from error
        if self.on_bad is not None:
            try:
                self.on_bad(number, stage, reason)
            except Exception as trouble:
                raise PipelineError("on_bad", number, f"{type(trouble).__name__}: {trouble}") from trouble

    def _skip(self, number: int) -> None:
        self.done = number + 1
        try:
            self.sink.skip(number)
        except Exception as error:
            raise PipelineError("sink", number, f"{type(error).__name__}: {error}") from error
