"""What keeps a group of stages running: a thread, or a process that is started again where it dies."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from mlopt.concurrent import SPSCQueue
from mlopt.pipeline.chain import Chain
from mlopt.pipeline.checkpoints import Checkpoint
from mlopt.pipeline.delivery import PipelineError
from mlopt.pipeline.process import FINISHED, STOPPED, Task
from mlopt.pipeline.worker import Worker

__all__ = ["Group", "ProcessGroup", "ThreadGroup"]

MOST_DEATHS = 5  # in a row, without a record done in between

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

    @property
    def pid(self) -> int | None:
        """Of the process, where it is one."""
        return None

    def start(self, run: int) -> None:
        """Work until the end of this run comes by."""
        self.thread = threading.Thread(target=self._guarded, args=(run,), daemon=True)
        self.thread.start()

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

    def settle(self) -> None:
        """The caller's stages know what the worker knew, after it has left."""

    def close(self) -> None:
        """Give everything back."""
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
        state = len(pickle.dumps(chain.get_state(), pickle.HIGHEST_PROTOCOL))
        self.size = (state + state // 4 + 4096) // 64 * 64
        self.checkpoint = Checkpoint(self.size)
        self.process: subprocess.Popen[bytes] | None = None
        self.lock = threading.Lock()

    @property
    def pid(self) -> int | None:
        process = self.process
        return None if process is None or process.returncode is not None else process.pid

    def start(self, run: int) -> None:
        self.checkpoint.stop[0] = 0
        self.checkpoint.save(self.source.released, self.chain.get_state())
        super().start(run)

    def _work(self, run: int) -> None:
        deaths, reached = 0, -1
        task = self._task(run)
        while True:
            code, said = self._run_process(task)
            if code == FINISHED or (code == STOPPED and self.checkpoint.stop[0]):
                return
            if self.checkpoint.stop[0]:
                return  # killed on its way out: nothing is lost by that
            self.restarts += 1
            deaths = deaths + 1 if self.source.released == reached else 1
            reached = self.source.released
            if deaths >= MOST_DEATHS:
                name = " and ".join(link.name for link in self.chain.links)
                reason = f"its process ended {deaths} times (code {code}): {said}"
                raise PipelineError(name, self.source.released, reason)

    def _task(self, run: int) -> bytes:
        assert self.source.name is not None
        assert self.target.name is not None
        task = Task(
            self.stages, self.chain.inputs, self.chain.input_type, self.chain.output_type, self.number,
            self.source.name, self.target.name, (self.size, self.checkpoint.file), self.every, run, os.getpid(),
        )  # fmt: skip
        try:
            return pickle.dumps((sys.path, pickle.dumps(task)))
        except Exception as error:
            names = ", ".join(link.name for link in self.chain.links)
            raise PipelineError(names, 0, f"it cannot be sent to a process: {error}") from error

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
        found = self.checkpoint.load()
        if found is not None:
            self.chain.set_state(found[1])

    def close(self) -> None:
        process = self.process
        if process is not None and process.poll() is None:
            process.kill()
            process.wait()
        self.checkpoint.close()
        super().close()
