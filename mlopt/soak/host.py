"""The program of a load's process: runs it, and tells the supervisor how it goes.

``python -m mlopt.soak.host '{"name": …}'`` writes a line of JSON every interval, and a last one with everything.
It stops when its input says so, or ends: a host does not outlive its supervisor.
"""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import json
import os
import resource
import select
import signal
import sys
import time
from typing import Any

from mlopt.memory import pool_statistics
from mlopt.soak import processes
from mlopt.soak.intervals import Intervals
from mlopt.soak.loads import load_class
from mlopt.soak.loads.base import Load, setting_from

SETTLE_SECONDS = 5.0
HARMLESS = ("/dev/urandom", "/dev/null", "anon_inode")
KEPT_BY_PYTHON = ("multiprocessing.resource_tracker", "multiprocessing.forkserver")


def _say(out: Any, values: dict[str, Any]) -> None:
    with contextlib.suppress(BrokenPipeError):  # the supervisor has gone: its end of our input tells us, too
        out.write(json.dumps(values) + "\n")
        out.flush()


def _leftovers(before: dict[str, int]) -> list[str]:
    """Descriptors and child processes that were not there before the load, once what is ending has ended."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while True:
        gc.collect()
        after = processes.descriptors()
        found = [
            f"{count - before.get(target, 0)} more descriptors of {target}"
            for target, count in after.items()
            if count > before.get(target, 0) and not target.startswith(HARMLESS)
        ]
        children = processes.descendants(os.getpid(), processes.parents())[1:]
        commands = {pid: processes.command_of(pid) for pid in children}
        found += [
            f"process {pid} ({command})"
            for pid, command in commands.items()
            if not any(name in command for name in KEPT_BY_PYTHON)
        ]
        trackers = sum(any(name in command for name in KEPT_BY_PYTHON) for command in commands.values())
        if trackers:  # each holds a pipe
            found = [text for text in found if text != f"{trackers} more descriptors of pipe"]
        if not found or time.monotonic() > deadline:
            return found
        time.sleep(0.05)


def _figures(load: Load, intervals: Intervals | None) -> dict[str, Any]:
    latency = intervals.quantiles() if intervals is not None else {}
    statistics = pool_statistics()
    return {
        "counters": load.counters(),
        "latency": latency,
        "pool": {"in_use": statistics["bytes_in_use"], "cached": statistics["bytes_cached"]},
    }


def _crash_on_request(fault: str, started: float) -> None:
    if fault == "crash" and time.monotonic() > started + 2:
        os.kill(os.getpid(), signal.SIGSEGV)


def _step_back(niceness: int) -> None:
    """Leave the processors to others: by itself, and by its session where the kernel shares them among sessions."""
    os.nice(niceness)
    with contextlib.suppress(OSError), open("/proc/self/autogroup", "w", encoding="ascii") as group:
        group.write(str(niceness))


def main() -> int:
    """Run one load until it is told to stop."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    faulthandler.enable()
    faulthandler.register(signal.SIGUSR1, all_threads=True)  # the supervisor asks a load that stands still where it is
    values = json.loads(sys.argv[1])
    setting = setting_from(values)
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what anything prints is not taken for a report
    kind = load_class(setting.name)
    _step_back(kind.niceness)
    load = kind(setting)
    before = processes.descriptors()
    started = time.monotonic()
    load.start()
    intervals = Intervals(load.latency) if load.latency is not None else None
    stop = False
    while not (stop or load.problems or all(load.counters().get(name) for name in load.rising)):
        # its processes are on their way
        stop = bool(select.select([sys.stdin], [], [], 0.05)[0])
    _say(out, {"kind": "started"})
    while not stop:
        stop = bool(select.select([sys.stdin], [], [], setting.interval)[0])
        _say(out, {"kind": "sample"} | _figures(load, intervals))
        _crash_on_request(setting.fault, started)
    load.stop()
    leftovers = _leftovers(before)
    if setting.fault == "leave":
        leftovers.append("nothing, but it was asked for something")
    for text in leftovers:
        load.note(f"left behind: {text}")
    histogram = load.latency.to_dict() if load.latency is not None else None
    figures = _figures(load, intervals)
    figures["counters"]["leftovers"] = len(leftovers)
    _say(out, {"kind": "end", "histogram": histogram, "problems": load.problems} | figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
