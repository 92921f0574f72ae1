"""What every load is: threads that work until they are told to stop, counters, an account of what went wrong."""

from __future__ import annotations

import threading
import time
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from mlopt.concurrent import Histogram
from mlopt.soak.ledger import Ledger
from mlopt.soak.stream import BarStream

JOIN_SECONDS = 60.0


@dataclass(frozen=True)
class Setting:
    """What a load is told: where its shapes of days lie, its seed, what to break, where files may go."""

    name: str
    seed: int
    folder: str
    fault: str = ""
    interval: float = 1.0

    def stream(self, number: int = 0) -> BarStream:
        """The endless bars of this load; another stream for another number."""
        return BarStream(np.load(Path(self.folder, "shapes.npy")), self.seed + number)


class Load(ABC):
    """One kind of work, from :meth:`start` to :meth:`stop`.

    Parameters
    ----------
    setting : Setting
        What the supervisor asks for.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    rising: ClassVar[tuple[str, ...]] = ("records",)  # counters none of which may stand still
    niceness: ClassVar[int] = 10  # of its processes: the pipelines, whose latencies are looked at, come first
    passing_children: ClassVar[bool] = False  # whether its child processes live for a moment: not sampled, then

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.rng = np.random.default_rng([setting.seed, 7])
        self.stopping = threading.Event()
        self.latency: Histogram | None = None
        self.problems: list[str] = []
        self._errors = 0
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()

    # -- what a load brings --

    @abstractmethod
    def start(self) -> None:
        """Begin: threads by :meth:`spawn`, processes of its own."""

    @abstractmethod
    def work_done(self) -> Mapping[str, int]:
        """Its counters: ``records`` and what else it counts; names of FAULTS must stay zero."""

    def finish(self) -> None:  # noqa: B027, most loads have nothing to do
        """After the threads have ended: stop processes, close accounts."""

    # -- what it has --

    def spawn(self, name: str, body: Callable[[], None]) -> None:
        """Run `body` on a thread; what it raises is an error of the load, and stops it."""

        def run() -> None:
            try:
                body()
            except Exception as error:
                self.error(f"{name}: {type(error).__name__}: {error}\n{traceback.format_exc(limit=-4)}")

        thread = threading.Thread(target=run, name=name)
        self._threads.append(thread)
        thread.start()

    def error(self, text: str) -> None:
        """Count an unexpected error."""
        with self._lock:
            self._errors += 1
            self.note(text)

    def note(self, text: str) -> None:
        """Keep a sentence about what went wrong; the first few are kept."""
        if len(self.problems) < 20:
            self.problems.append(text[:4000])

    def stop(self) -> None:
        """Tell the threads to stop, wait for them, and close."""
        self.stopping.set()
        deadline = time.monotonic() + JOIN_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
            if thread.is_alive():
                self.error(f"{thread.name} did not stop within {JOIN_SECONDS:g} s")
        try:
            self.finish()
        except Exception as error:
            self.error(f"stopping: {type(error).__name__}: {error}\n{traceback.format_exc(limit=-4)}")

    def counters(self) -> dict[str, int]:
        """What was done, and what went wrong."""
        counters = dict(self.work_done())
        counters["errors"] = counters.get("errors", 0) + self._errors
        return counters


def add_ledger(counters: dict[str, int], *ledgers: Ledger) -> dict[str, int]:
    """The counters with the faults of the accounts added."""
    for ledger in ledgers:
        for name, count in ledger.counters().items():
            counters[name] = counters.get(name, 0) + count
    return counters


def setting_from(values: Mapping[str, Any]) -> Setting:
    """The setting that came as JSON."""
    return Setting(**values)
