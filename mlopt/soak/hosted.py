"""The supervisor's side of a load's process: starting it, hearing from it, stopping it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

from mlopt.concurrent import Histogram
from mlopt.soak.loads import load_class
from mlopt.soak.loads.base import Setting
from mlopt.soak.result import LoadResult

STALL_SECONDS = 60.0  # that a counter of a load may stand still
DUMP_SECONDS = 2.0  # for a load that stands still to write where it is
CHUNK = 1 << 16


class Hosted:
    """One load in a process of its own.

    Parameters
    ----------
    label : str
        What it is called: the load's name, with a number where there are several.
    setting : Setting
        What the load is told.
    """

    def __init__(self, label: str, setting: Setting) -> None:
        self.label = label
        kind = load_class(setting.name)
        self.passing_children = kind.passing_children
        self.result = LoadResult(label, kind.title)
        self.counters: dict[str, int] = {}
        self.latency: dict[str, float] = {}
        self.pool: dict[str, float] = {}
        self.ended = self.started = self._stalled = False
        self._risen = dict.fromkeys(kind.rising, time.monotonic())  # when each counter last did
        self._buffer = b""
        self._log = Path(setting.folder, f"{label}.log")
        with open(self._log, "ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "mlopt.soak.host", json.dumps(asdict(setting))],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,  # an interrupt at the terminal is for the supervisor, which stops it in order
            )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._in: BinaryIO = self._process.stdin  # type: ignore[assignment]
        self._out: BinaryIO = self._process.stdout  # type: ignore[assignment]
        os.set_blocking(self._out.fileno(), False)

    @property
    def pid(self) -> int:
        """Of the load's process."""
        return self._process.pid

    def fileno(self) -> int:
        """Where reports come in, for select."""
        return self._out.fileno()

    def read(self) -> None:
        """Take in what has been reported so far."""
        while True:
            try:
                data = os.read(self.fileno(), CHUNK)
            except BlockingIOError:
                return
            if not data:
                self.ended = True
                return
            *lines, self._buffer = (self._buffer + data).split(b"\n")
            for line in lines:
                self._take(json.loads(line))

    def _take(self, report: dict[str, Any]) -> None:
        if report["kind"] == "started":
            self.started = True
            self._risen = dict.fromkeys(self._risen, time.monotonic())
            return
        for name in self._risen:
            if report["counters"].get(name, 0) > self.counters.get(name, 0):
                self._risen[name] = time.monotonic()
        self.counters, self.latency, self.pool = report["counters"], report["latency"], report["pool"]
        if report["kind"] == "end":
            self.result.problems = report["problems"] + self.result.problems
            self.result.counters = dict(self.counters)
            if report["histogram"] is not None:
                self.result.latency = Histogram.from_dict(report["histogram"])

    def _count(self, fault: str, text: str) -> None:
        self.result.problems.append(text)
        self.result.counters[fault] = self.result.counters.get(fault, 0) + 1

    def log(self, last: int = 2000) -> str:
        """The end of what the process wrote."""
        with open(self._log, "rb") as log:
            log.seek(max(0, os.path.getsize(self._log) - last))
            return log.read().decode(errors="replace").strip()

    def bound_log(self, limit: int = 1 << 20) -> None:
        """Keep what the process wrote from filling the disk."""
        with contextlib.suppress(FileNotFoundError):
            if os.path.getsize(self._log) > limit:
                os.truncate(self._log, 0)

    def give_up(self, why: str) -> None:
        """End a load that has not started."""
        if not (self.started or self.ended):
            self._stall(why)
            self.ended = True

    def _stall(self, why: str) -> None:
        """Ask a load that stands still where it is, and end it."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGUSR1)
        time.sleep(DUMP_SECONDS)
        self._stalled = True
        self._count("stalls", f"{why}\n{self.log(8000)}")
        self.kill()

    def watch(self) -> bool:
        """Whether it still goes on; a load that stands still is asked where it is, and ended."""
        self.bound_log()
        if self.ended or self._stalled:
            return False
        name = min(self._risen, key=self._risen.__getitem__)
        if time.monotonic() - self._risen[name] < STALL_SECONDS:
            return True
        self._stall(f"{name} stood still for {STALL_SECONDS:g} s")
        return False

    def tell_to_stop(self) -> None:
        """Ask the load to stop; it answers with its last report."""
        with contextlib.suppress(BrokenPipeError, ValueError):
            self._in.write(b"stop\n")
            self._in.flush()

    def kill(self) -> None:
        """End the process, and those of its own."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    def close(self, deadline: float) -> LoadResult:
        """Wait for the process until `deadline` (monotonic seconds), end it then; its result."""
        if self._out.closed:
            return self.result
        try:
            code = self._process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self._stall("did not stop in time")
            self._process.wait()
        else:
            self.read()
            if code:
                self.kill()  # what it started
            if code and not self._stalled:
                self._count("errors", f"its process ended with {code}\n{self.log()}")
        if not self.result.counters.get("records"):
            self.result.counters = dict(self.counters) | self.result.counters
        for stream in (self._in, self._out):
            with contextlib.suppress(BrokenPipeError):
                stream.close()
        return self.result
