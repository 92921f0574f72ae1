"""The supervisor: starts the loads, samples them, watches them, stops them, judges."""

from __future__ import annotations

import os
import platform
import select
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

import mlopt
from mlopt._kernels.core import cpu_report, current_isa
from mlopt.soak import processes
from mlopt.soak.hosted import Hosted
from mlopt.soak.loads import LOADS
from mlopt.soak.loads.base import Setting
from mlopt.soak.result import LoadResult, Result
from mlopt.soak.series import Series
from mlopt.soak.stream import day_shapes
from mlopt.soak.verdicts import Verdict, judge_counters, judge_handles, judge_memory
from mlopt.targets.allocations import count_allocations_of

START_SECONDS = 120.0  # for all loads to have done something
STOP_SECONDS = 120.0
SUPERVISOR = "supervisor"
FUSED_STEP = "mlopt.soak.loads.pipelines:fused_step"
COUNTED = 5000  # records whose allocations are counted, after as many
GROUP_COLUMNS = ("resident", "largest", "proportional", "descriptors", "threads")
LATENCY_COLUMNS = ("median", "p99", "p999", "max")


@dataclass(frozen=True)
class Settings:
    """What to run.

    Parameters
    ----------
    seconds : float
        For how long.
    seed : int
        Of the streams, and of what is killed and refused when; the times of it are the machine's.
    processes : int
        How many pipelines in processes there are.
    interval : float
        Seconds from sample to sample; 0 chooses.
    loads : tuple of str
        Which loads; all by default.
    faults : dict of str to str
        What to break on purpose in which load: to see that it is found.
    """

    seconds: float = 60.0
    seed: int = 0
    processes: int = 1
    interval: float = 0.0
    loads: tuple[str, ...] = field(default_factory=lambda: tuple(LOADS))
    faults: Mapping[str, str] = field(default_factory=dict)

    @property
    def sample_seconds(self) -> float:
        """Seconds from sample to sample."""
        return self.interval or min(1.0, max(0.2, self.seconds / 40))


class Soak:
    """One run.

    Parameters
    ----------
    settings : Settings
        What to run.
    told : callable, optional
        Called after every sample with this object, for the live line.
    """

    def __init__(self, settings: Settings, told: Callable[[Soak], None] = lambda soak: None) -> None:
        self.settings = settings
        self.stop_reason = ""
        self.elapsed = 0.0
        self.hosts: list[Hosted] = []
        self.resident = 0.0
        self._told = told
        self._others: set[int] = set()  # processes that are none of this run's

    def end_early(self, reason: str) -> None:
        """Stop in order before the time is over; safe in a signal handler."""
        self.stop_reason = self.stop_reason or reason

    def run(self) -> Result:
        """Run to the end, and judge."""
        processes.adopt_orphans()
        before = set(processes.segments())
        self._others = set(processes.descendants(os.getpid(), processes.parents()))
        began = datetime.now(UTC).isoformat(timespec="seconds")
        folder = tempfile.mkdtemp(prefix="mlopt-soak-")
        try:
            np.save(Path(folder, "shapes.npy"), day_shapes())
            try:
                self._start(folder)
                series = self._watch()
            finally:
                results = self._stop()
            verdicts = self._judge(series, results, before)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return Result(
            _machine(), asdict(self.settings) | {"interval": self.settings.sample_seconds}, began, self.elapsed,
            self.stop_reason, results, series, verdicts,
        )  # fmt: skip

    def _start(self, folder: str) -> None:
        settings = self.settings
        for number, name in enumerate(settings.loads):
            copies = settings.processes if name == "processes" else 1
            for copy in range(copies):
                label = name if copies == 1 else f"{name} {copy + 1}"
                seed = 1000 * settings.seed + 10_000_000 * number + 10_000 * copy
                wanted = settings.faults.get(name, "") if copy == 0 else ""
                self.hosts.append(Hosted(label, Setting(name, seed, folder, wanted, settings.sample_seconds)))
        deadline = time.monotonic() + START_SECONDS
        while not all(host.started or host.ended for host in self.hosts) and not self.stop_reason:
            if time.monotonic() > deadline:
                for host in self.hosts:
                    host.give_up(f"did not start within {START_SECONDS:g} s")
            self._listen(0.1)

    def _listen(self, seconds: float) -> None:
        """Take in reports for so long; what has come already in any case."""
        end = time.monotonic() + seconds
        while True:
            left = end - time.monotonic()
            wait = min(max(left, 0.0), 0.1)
            for host in select.select([host for host in self.hosts if not host.ended], [], [], wait)[0]:
                host.read()
            if left <= 0 or self.stop_reason:
                return

    def _columns(self) -> tuple[list[str], list[str]]:
        groups = [host.label for host in self.hosts] + [SUPERVISOR]
        columns = [f"{group}/{name}" for group in groups for name in GROUP_COLUMNS]
        peaks = [f"{host.label}/{name}" for host in self.hosts for name in LATENCY_COLUMNS]
        counts = ("records", "restarts", "pool_in_use", "pool_cached", "processes")
        columns += [f"{host.label}/{name}" for host in self.hosts for name in counts]
        return [*columns, *peaks, "segments", "segment_bytes"], peaks

    def _watch(self) -> Series:
        columns, peaks = self._columns()
        series = Series(columns, peaks)
        started = due = time.monotonic()
        while not self.stop_reason:
            now = time.monotonic()
            self.elapsed = now - started
            series.add(self.elapsed, self._sample())
            self._told(self)
            if self.elapsed >= self.settings.seconds:
                break
            due = max(due + self.settings.sample_seconds, now)
            self._listen(min(due, started + self.settings.seconds) - time.monotonic())
            running = sum(host.watch() for host in self.hosts)  # now that what they said has been heard
            if not running:
                self.end_early("no load is running any more")
        self.elapsed = time.monotonic() - started
        return series

    def _sample(self) -> dict[str, float]:
        parent_of = processes.parents()
        processes.reap(host.pid for host in self.hosts)
        values: dict[str, float] = {}
        self.resident = 0.0
        own = set(processes.descendants(os.getpid(), parent_of)) - self._others | {os.getpid()}
        for host in self.hosts:
            pids = processes.descendants(host.pid, parent_of)
            own -= set(pids)
            totals, count = processes.totals(pids[:1] if host.passing_children else pids)
            if count:
                values |= {f"{host.label}/{name}": value for name, value in totals.items()}
                self.resident += totals["resident"]
            values[f"{host.label}/processes"] = count
            for name in ("records", "restarts"):
                if name in host.counters:
                    values[f"{host.label}/{name}"] = host.counters[name]
            values |= {f"{host.label}/pool_{name}": value for name, value in host.pool.items()}
            values |= {f"{host.label}/{name}": value for name, value in host.latency.items()}
        totals, _ = processes.totals(own)
        values |= {f"{SUPERVISOR}/{name}": value for name, value in totals.items()}
        self.resident += totals["resident"]
        segments = processes.segments()
        return values | {"segments": len(segments), "segment_bytes": sum(segments.values())}

    def _stop(self) -> list[LoadResult]:
        for host in self.hosts:
            host.tell_to_stop()
        deadline = time.monotonic() + STOP_SECONDS
        reason, self.stop_reason = self.stop_reason, ""
        while not all(host.ended for host in self.hosts) and time.monotonic() < deadline:
            self._listen(0.05)
        self.stop_reason = reason or self.stop_reason
        return [host.close(deadline) for host in self.hosts]

    def _judge(self, series: Series, results: Sequence[LoadResult], before: set[str]) -> list[Verdict]:
        verdicts = []
        for result in results:
            verdicts += judge_counters(result.name, result.counters, result.problems)
        for group in [result.name for result in results] + [SUPERVISOR]:
            memory = series[f"{group}/resident"], series[f"{group}/largest"]
            verdicts.append(judge_memory(group, series.times, *memory))
            for name in ("descriptors", "threads"):
                if np.isfinite(series[f"{group}/{name}"]).any():
                    verdicts.append(judge_handles(group, name, series.times, series[f"{group}/{name}"]))
        left = [pid for pid in processes.descendants(os.getpid(), processes.parents()) if pid not in self._others]
        commands = [processes.command_of(pid) for pid in left]
        words = "none is left" if not left else f"{len(left)} are left: {'; '.join(commands)[:500]}"
        verdicts.append(Verdict("processes after the stop", not left, words, float(len(left))))
        segments = processes.left_segments(before)
        words = "none is left" if not segments else f"{len(segments)} are left: {', '.join(segments)[:500]}"
        verdicts.append(Verdict("shared memory after the stop", not segments, words, float(len(segments))))
        if "fused" in self.settings.loads:
            verdicts += _count_allocations()
        return verdicts


def _count_allocations() -> list[Verdict]:
    """Of the fused pipeline, record by record, in a process of its own; no verdict where this system cannot count."""
    counted = count_allocations_of(FUSED_STEP, iterations=COUNTED, warm_up=COUNTED)
    if counted.allocations is None:
        return []
    words = f"{counted.allocations:,} in {COUNTED:,} records (limit 0)"
    return [
        Verdict("allocations of the fused pipeline", counted.allocations == 0, words, counted.allocations / COUNTED)
    ]


def _machine() -> dict[str, Any]:
    report = cpu_report()
    return {
        "brand": report["brand"], "cores": report["cores"], "tier": current_isa(), "system": platform.platform(),
        "python": platform.python_version(), "numpy": np.__version__, "mlopt": mlopt.__version__,
    }  # fmt: skip
