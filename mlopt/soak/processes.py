"""What the system says of processes: memory, descriptors, threads, children; and of shared memory."""

from __future__ import annotations

import contextlib
import ctypes
import os
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from mlopt.concurrent import SPSCQueue

PROC = Path("/proc")
SEGMENTS = Path("/dev/shm")
PREFIX = "mlopt-"
PAGE = os.sysconf("SC_PAGE_SIZE")
SET_CHILD_SUBREAPER = 36  # prctl


@dataclass(frozen=True)
class Process:
    """A process at one moment; what the system does not tell is NaN."""

    pid: int
    parent: int
    resident: float  # bytes
    proportional: float  # bytes, pages that several processes share divided among them
    descriptors: float
    threads: float


def adopt_orphans() -> None:
    """Make processes whose parent died children of this one, so that none is lost sight of.  Linux only."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None, use_errno=True).prctl(SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _stat(pid: int) -> list[str] | None:
    try:
        text = (PROC / str(pid) / "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return text.rpartition(")")[2].split()  # from the third field, the state, on


def _pids() -> list[int]:
    return [int(name) for name in os.listdir(PROC) if name.isdigit()]


def parents() -> dict[int, int]:
    """Of every process that runs its parent; zombies are left out."""
    if not PROC.is_dir():
        lines = subprocess.run(
            ["ps", "-axo", "pid=,ppid=,stat="], capture_output=True, text=True, check=True
        ).stdout.splitlines()
        rows = [line.split() for line in lines]
        return {int(pid): int(parent) for pid, parent, state in rows if not state.startswith("Z")}
    stats = {pid: _stat(pid) for pid in _pids()}
    return {pid: int(stat[1]) for pid, stat in stats.items() if stat is not None and stat[0] != "Z"}


def reap(spared: Iterable[int]) -> None:
    """Take note of orphans that this process adopted and that have ended; `spared` are awaited by someone else."""
    own, spared = os.getpid(), set(spared)
    for pid in _pids() if PROC.is_dir() else ():
        stat = _stat(pid)
        if stat is not None and stat[0] == "Z" and int(stat[1]) == own and pid not in spared:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)


def descendants(root: int, parent_of: dict[int, int]) -> list[int]:
    """The process and all below it."""
    children: dict[int, list[int]] = {}
    for pid, parent in parent_of.items():
        children.setdefault(parent, []).append(pid)
    found, at = [root] if root in parent_of else [], 0
    while at < len(found):
        found.extend(children.get(found[at], []))
        at += 1
    return found


def look_at(pid: int) -> Process | None:
    """A process as it is now, None if it has gone."""
    nan = float("nan")
    if not PROC.is_dir():
        done = subprocess.run(["ps", "-o", "ppid=,rss=", "-p", str(pid)], capture_output=True, text=True, check=False)
        if done.returncode:
            return None
        parent, kilobytes = done.stdout.split()
        return Process(pid, int(parent), 1024.0 * int(kilobytes), nan, nan, nan)
    stat = _stat(pid)
    if stat is None or stat[0] == "Z":
        return None
    proportional = descriptors = nan
    with contextlib.suppress(OSError, ValueError):
        descriptors = float(len(os.listdir(PROC / str(pid) / "fd")))
    with contextlib.suppress(OSError, StopIteration, ValueError):
        lines = (PROC / str(pid) / "smaps_rollup").read_text().splitlines()
        proportional = 1024.0 * int(next(line for line in lines if line.startswith("Pss:")).split()[1])
    return Process(pid, int(stat[1]), float(int(stat[21]) * PAGE), proportional, descriptors, float(stat[17]))


def descriptors(pid: int | str = "self") -> dict[str, int]:
    """What the open descriptors of a process refer to, and how many to each; empty where the system does not tell."""
    folder = PROC / str(pid) / "fd"
    found: dict[str, int] = {}
    if folder.is_dir():
        for name in os.listdir(folder):
            with contextlib.suppress(OSError):
                target = os.readlink(folder / name).partition(":[")[0]  # pipe:[1234]: the number is no property
                found[target] = found.get(target, 0) + 1
        found.pop(str(PROC / str(os.getpid() if pid == "self" else pid) / "fd"), None)  # this listing's own
    return found


def command_of(pid: int) -> str:
    """The command line of a process, for messages."""
    try:
        return (PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return "?"


def segments() -> dict[str, int]:
    """The shared memory segments of this library by name, and their bytes."""
    found = {}
    with contextlib.suppress(FileNotFoundError):
        for entry in os.scandir(SEGMENTS):
            if entry.name.startswith(PREFIX):
                with contextlib.suppress(FileNotFoundError):
                    found[entry.name] = entry.stat().st_size
    return found


def left_segments(before: Iterable[str]) -> list[str]:
    """Takes the segments away that no living process uses; of these the ones that were not there before."""
    return sorted({PREFIX + name for name in SPSCQueue.clean_up()}.difference(before))


def totals(pids: Iterable[int]) -> tuple[dict[str, float], int]:
    """Of processes together resident and proportional memory, descriptors, threads, and the resident memory of the
    largest; and how many there were."""
    there = [process for process in map(look_at, pids) if process is not None]
    names = ("resident", "proportional", "descriptors", "threads")
    values = {name: sum(getattr(process, name) for process in there) for name in names}
    values["largest"] = max((process.resident for process in there), default=float("nan"))
    return values, len(there)
