"""What keeps a group of stages running: a thread, or a process that is started again where it dies."""

from __future__ import annotations

import contextvars
import os
import pickle
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from mlopt._kernels.core import current_isa
from mlopt.concurrent import SPSCQueue
from mlopt.pipeline.chain import Chain
from mlopt.pipeline.checkpoints import Checkpoint
from mlopt.pipeline.delivery import PipelineError
from mlopt.pipeline.process import FINISHED, UNREADABLE, Task
from mlopt.pipeline.worker import Worker

__all__ = ["Group", "ProcessGroup", "ThreadGroup"]

MOST_DEATHS = 5  # in a row, without a record done in between
LEAVE = 5.0  # seconds that a worker has to leave by itself when its pipeline is closed

Fail = Callable[[BaseException], None]


class Group:
    """Stages that run together."""

    def __init__(
        self, number: int, chain: Chain, stages: list[Any], source: SPSCQueue, target: SPSCQueue, fail: Fail
    ) -> None:
        self.number, self.chain, self.stages = number, chain, stages
        self.source: SPSCQueue = source
        self.target: SPSCQueue = target
        self.fail = fail
        self.thread: threading.Thread | None = None
        self.restarts = 0
        self.unsettled = False  # the worker may know more than the caller's stages

    @property
    def pid(self) -> int | None:
        """Of the process, where it is one."""
        return None

    def start(self, run: int) -> None:
        """Work until the end of this run comes by."""
        context = contextvars.copy_context()  # the tier of whoever starts it
        self.thread = threading.Thread(target=context.run, args=(self._guarded, run), daemon=True)
        self.thread.start()
        self.unsettled = True

    def _guarded(self, run: int) -> None:
        try:
            self._work(run)
        except BaseException as error:
            self.fail(error)

    def _work(self, run: int) -> None:
        raise NotImplementedError

    def leave(self) -> None:
        """Leave after the record it is at."""
        raise NotImplementedError

    def error_of(self, number: int) -> BaseException | None:
        """The exception that failed a record, where it is at hand."""
        return None

    def join(self, timeout: float | None) -> None:
        """Wait until it has left."""
        if self.thread is not None:
            self.thread.join(timeout)

    def is_alive(self) -> bool:
        """Whether it has not."""
        return self.thread is not None and self.thread.is_alive()

    @property
    def names(self) -> str:
        """What its stages are called."""
        return " and ".join(link.name for link in self.chain.links)

    def settle(self) -> None:
        """The caller's stages know what the worker knew, after it has left."""
        self.unsettled = False

    def close(self) -> None:
        """Give everything back, after :meth:`leave`; a thread that does not come back keeps what it uses."""
        if not self.is_alive():
            del self.source, self.target


class ThreadGroup(Group):
    """Stages on a thread, which leaves the GIL alone where no stage needs it."""

    def __init__(
        self, number: int, chain: Chain, stages: list[Any], source: SPSCQueue, target: SPSCQueue, fail: Fail
    ) -> None:
        super().__init__(number, chain, stages, source, target, fail)
        self.stop = np.zeros(1, np.int64)
        self.worker = Worker(source, target, chain, number, self.stop)

    def start(self, run: int) -> None:
        self.stop[0] = 0
        super().start(run)

    def _work(self, run: int) -> None:
        self.worker.run(run)

    def leave(self) -> None:
        self.stop[0] = 1

    def error_of(self, number: int) -> BaseException | None:
        return self.worker.errors.pop(number, None)

    def close(self) -> None:
        super().close()
        if not self.is_alive():
            del self.worker


class ProcessGroup(Group):
    """Stages in a process.

    Where it dies, another goes on: from the last checkpoint, over the records that were not released, publishing
    what had not been published.
    """

    def __init__(
        self,
        number: int,
        chain: Chain,
        stages: list[Any],
        source: SPSCQueue,
        target: SPSCQueue,
        checkpoint_every: int,
        fail: Fail,
    ) -> None:
        super().__init__(number, chain, stages, source, target, fail)
        self.every = checkpoint_every
        self.checkpoint = Checkpoint()
        self.consumed = 0  # records that the caller's stages know of
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        process = self.process
        return None if process is None or process.returncode is not None else process.pid

    def start(self, run: int) -> None:
        self.checkpoint.stop[0] = 0
        # a worker that was killed on its way out may not have released what its last checkpoint has seen
        self.consumed = max(self.consumed, self.source.released)
        try:
            self.checkpoint.save(self.consumed, self.chain.get_state())
        except Exception as error:
            reason = f"what it remembers cannot be kept: {type(error).__name__}: {error}"
            raise PipelineError(self.names, self._next_record(), reason) from error
        self.task = self._task(run)
        super().start(run)

    def _work(self, run: int) -> None:
        deaths, reached = 0, (-1, -1)
        while True:
            code, said = self._run_process(self.task)
            if code == FINISHED or self.checkpoint.stop[0]:
                return  # killed on its way out: nothing is lost by that
            if code == UNREADABLE:
                raise PipelineError(self.names, self._next_record(), f"its process cannot read it: {said.strip()}")
            self.restarts += 1
            done = (self.source.released, self.target.published)
            deaths = deaths + 1 if done == reached else 1
            reached = done
            if deaths >= MOST_DEATHS:
                reason = f"its process ended {deaths} times (code {code}): {said}"
                raise PipelineError(self.names, self._next_record(), reason)

    def _next_record(self) -> int:
        """The number of the record behind the last that it published, while no process runs."""
        return Worker(self.source, self.target, self.chain, self.number, self.checkpoint.stop).last_published() + 1

    def _task(self, run: int) -> bytes:
        assert self.source.name is not None
        assert self.target.name is not None
        task = Task(
            self.stages, self.chain.inputs, self.chain.input_type, self.chain.output_type, self.number,
            self.source.name, self.target.name, self.checkpoint.file, self.every, run, os.getpid(), current_isa(),
        )  # fmt: skip
        try:
            return pickle.dumps((sys.path, pickle.dumps(task)))
        except Exception as error:
            reason = f"it cannot be sent to a process: {type(error).__name__}: {error}"
            raise PipelineError(self.names, self._next_record(), reason) from error

    def _run_process(self, task: bytes) -> tuple[int, str]:
        """Start the process and wait for its end: its exit code, and the end of what it said."""
        with tempfile.TemporaryFile() as said:
            self.process = subprocess.Popen(
                [sys.executable, "-c", "from mlopt.pipeline.process import main; main()"],
                stdin=subprocess.PIPE,
                stderr=said,
                pass_fds=(self.checkpoint.file,),
            )
            try:
                self.process.communicate(task)
            except BrokenPipeError:
                self.process.wait()
            said.seek(0)
            return self.process.returncode, said.read().decode(errors="replace")[-2000:]

    def leave(self) -> None:
        self.checkpoint.stop[0] = 1

    def settle(self) -> None:
        found = self.checkpoint.load() if self.unsettled else None
        if found is not None:
            self.consumed, states = found
            self.chain.set_state(states)
        super().settle()

    def close(self) -> None:
        self.join(LEAVE)
        while self.is_alive():  # whatever is in the way
            process = self.process
            if process is not None and process.poll() is None:
                process.kill()
            self.join(0.01)
        self.checkpoint.close()
        super().close()
