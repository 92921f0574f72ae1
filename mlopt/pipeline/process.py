"""A group of stages in a process of its own, which runs ``main`` and is told what to do over its standard input."""

from __future__ import annotations

import os
import pickle
import signal
import sys
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np

from mlopt._kernels.core import current_isa, use_isa
from mlopt.concurrent import SPSCQueue
from mlopt.pipeline.chain import Chain
from mlopt.pipeline.checkpoints import Checkpoint
from mlopt.pipeline.worker import Worker

FINISHED, STOPPED, ORPHANED, UNREADABLE = 0, 3, 4, 5  # exit codes


@dataclass
class Task:
    """What the process is to do."""

    stages: list[Any]
    inputs: int
    dtype: np.dtype[Any]
    wanted: np.dtype[Any] | None
    stage: int
    source: str
    target: str
    checkpoint: int  # file descriptor
    every: int
    run: int
    parent: int
    tier: str


def perform(task: Task) -> int:
    """Do it; the exit code."""
    checkpoint = Checkpoint(task.checkpoint)
    chain = Chain(task.stages, task.inputs, task.dtype, wanted=task.wanted)
    source, target = SPSCQueue.attach(task.source), SPSCQueue.attach(task.target)
    worker = Worker(source, target, chain, task.stage, checkpoint.stop)
    found = checkpoint.load()
    if found is not None:
        consumed, states = found
        chain.set_state(states)
        worker.skip(consumed)
    orphaned = False

    def idle() -> bool:
        nonlocal orphaned
        orphaned = os.getppid() != task.parent
        return orphaned

    def save(consumed: int) -> None:
        checkpoint.save(consumed, chain.get_state())

    # where the process's own tier is that one, no context has to be looked up for each record
    with use_isa(task.tier) if task.tier != current_isa() else nullcontext():
        ended = worker.run(task.run, worker.last_published(), save, task.every, idle)
    return FINISHED if ended else ORPHANED if orphaned else STOPPED


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of the terminal: the parent decides when to stop
    path, task = pickle.load(sys.stdin.buffer)
    sys.path[:] = path  # before the task, whose classes may lie there
    try:
        received = pickle.loads(task)
    except Exception as error:  # of other machines' modules, or of a main program: no later process can read it either
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(UNREADABLE)
    sys.exit(perform(received))
