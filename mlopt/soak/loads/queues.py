"""Queues: between two threads, and between two processes either of which is killed and started again."""

from __future__ import annotations

import contextlib
import mmap
import os
import select
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mlopt.concurrent import Histogram, PeerDied, QueueClosed, SPSCQueue, now
from mlopt.soak.ledger import Ledger
from mlopt.soak.loads.base import Load, Setting, add_ledger

NUMBERS = 50  # of a record: 400 bytes
CAPACITY = 512
WAIT = 0.2  # seconds until whoever waits looks around
KILL_SECONDS = 1.5, 6.0
STOP_SECONDS = 40.0
HELD = 32  # records that the consumer has in its hands at most
JOURNAL = struct.Struct("q")  # the number of the last record that the consumer has looked at


def fill(record: NDArray[np.int64], number: int) -> None:
    """Write what record `number` is."""
    record[:] = number
    record[1:4] ^= number << 20
    record[-1] = ~number


def is_right(record: NDArray[np.int64], number: int) -> bool:
    """Whether a record is whole, and the one of that number."""
    mixed = number ^ (number << 20)
    first, second, third, fourth, *_ = record[:5].tolist()
    return (
        (first, second, third, fourth) == (number, mixed, mixed, mixed)
        and record[-1] == ~number
        and bool((record[4:-1] == number).all())
    )


class Queues(Load):
    """Numbered records with a pattern; each must come once, in order, whole, whoever was killed in between."""

    name = "queues"
    title = "a queue between two threads, and one between two processes, producer and consumer killed in turn"
    niceness = 5
    rising = ("between_threads", "in_processes")

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self.latency = Histogram()
        self._between_threads = SPSCQueue(NUMBERS, np.int64, CAPACITY)
        self._ledger = Ledger()
        self._wrong = self._kills = self._again = self._in_processes = self._lost = 0
        self._queue_name = f"soak-{os.getpid()}"
        self._children: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        """Start threads and processes."""
        self._queue = SPSCQueue(NUMBERS, np.int64, CAPACITY, self._queue_name)
        self._journal_path = Path(self.setting.folder, f"{self._queue_name}.journal")
        self._journal_path.write_bytes(JOURNAL.pack(-1))
        self.spawn("producer", self._produce)
        self.spawn("consumer", self._consume)
        self.spawn("killer", self._kill)

    # -- between threads --

    def _produce(self) -> None:
        queue, number = self._between_threads, 0
        batch = np.empty((64, NUMBERS), np.int64)
        rng = np.random.default_rng([self.setting.seed, 1])
        try:
            while not self.stopping.is_set():
                kind = int(rng.integers(3))
                with contextlib.suppress(TimeoutError):
                    if kind == 0:
                        for _ in range(64):
                            record = queue.reserve(timeout=WAIT)
                            fill(record, number)
                            record[4] = now()  # a time instead of the number
                            queue.publish()
                            number += 1
                    elif kind == 1:
                        count = int(rng.integers(1, 64))
                        for i in range(count):
                            fill(batch[i], number + i)
                            batch[i, 4] = now()
                        queue.put_many(batch[:count])
                        number += count
                    elif queue.try_reserve() is not None:
                        record = queue.reserve(timeout=WAIT)
                        fill(record, number)
                        record[4] = now()
                        queue.publish()
                        number += 1
        finally:
            self._produced = number
            queue.close()

    def _consume(self) -> None:
        queue, ledger, record_since = self._between_threads, self._ledger, self.latency.record_since  # type: ignore[union-attr]
        rng = np.random.default_rng([self.setting.seed, 2])
        while True:
            try:
                if rng.integers(2):
                    records = queue.acquire_many(32, timeout=WAIT)
                else:
                    records = queue.acquire(timeout=WAIT)[np.newaxis]
            except TimeoutError:
                continue
            except QueueClosed:
                break
            for record in records:
                number = int(record[0])
                ledger.take(number)
                record_since(int(record[4]))
                record[4] = number
                if not is_right(record, number):
                    self._wrong += 1
                    self.note(f"between threads: record {number} is {record}")
            queue.release(len(records))
        ledger.close(self._produced)

    # -- between processes --

    def _start_child(self, role: str) -> None:
        self._children[role] = subprocess.Popen(
            [sys.executable, "-m", "mlopt.soak.loads.queues", role, self._queue_name, str(self._journal_path)],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def _kill(self) -> None:
        for role in ROLES:
            self._start_child(role)
        before = 0  # what was read when the last one was killed
        while not self.stopping.wait(float(self.rng.uniform(*KILL_SECONDS))):
            if self._queue.released == before:
                continue  # on a machine that is busy enough they have not come to work yet
            role = list(ROLES)[int(self.rng.integers(len(ROLES)))]
            child = self._children[role]
            child.send_signal(signal.SIGKILL)
            self._ended(role, -signal.SIGKILL)
            self._kills += 1
            released = self._queue.released
            if role == "consumer":
                (seen,) = JOURNAL.unpack(self._journal_path.read_bytes())
                if not released - 1 <= seen < released + HELD:
                    self._wrong += 1
                    self.note(f"between processes: {released} are released, but the consumer was at record {seen}")
                self._again += max(0, seen + 1 - released)  # the next one reads them again
            self._in_processes = before = released
            self._start_child(role)

    def _ended(self, role: str, expected: int, seconds: float = 20.0) -> None:
        """Wait for a process; anything but the expected end is an error."""
        child = self._children.pop(role)
        try:
            _, told = child.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            child.kill()
            _, told = child.communicate()
            told += b"\nit did not stop"
        if child.returncode != expected:
            self.error(f"the {role} ended with {child.returncode}: {told.decode(errors='replace')[-2000:]}")

    def finish(self) -> None:
        """Let the producer close, the consumer read to the end, and compare the counts."""
        for role in ROLES:  # the producer first: it closes the queue, and the consumer reads what is left
            if role in self._children:
                self._ended(role, 0, STOP_SECONDS)
        published, released = self._queue.published, self._queue.released
        self._in_processes = released
        self._lost = published - released
        if self._lost:
            self.note(f"between processes: {published} were published, {released} read")
        self._queue.close()
        self._between_threads.close()

    def work_done(self) -> Mapping[str, int]:
        """Records of both queues, kills, records read again after one, faults."""
        if self._children:
            self._in_processes = self._queue.released
        counters = {
            "records": self._ledger.received + self._in_processes,
            "between_threads": self._ledger.received,
            "in_processes": self._in_processes,
            "restarts": self._kills,
            "read_again": self._again,
            "wrong": self._wrong,
            "lost": self._lost,
        }
        return add_ledger(counters, self._ledger)


# -- the processes --------------------------------------------------------------------------------


def _told_to_stop() -> bool:
    return bool(select.select([sys.stdin], [], [], 0)[0])  # its end: the one who started us closed it


def produce(name: str, journal: str) -> None:
    """Go on with the record behind the last that was published."""
    queue = SPSCQueue.attach(name, timeout=10)
    number = queue.published
    look_at = 0.0
    while True:
        if time.monotonic() > look_at:
            if _told_to_stop():
                break
            look_at = time.monotonic() + WAIT
        try:
            record = queue.reserve(timeout=WAIT)
        except TimeoutError:
            continue
        except PeerDied:
            time.sleep(0.01)  # the next consumer is on its way
            continue
        fill(record, number)
        queue.publish()
        number += 1
    queue.close()


def consume(name: str, journal: str) -> None:
    """Read from the first record on that was not released; raise where one is not what it must be."""
    queue = SPSCQueue.attach(name, timeout=10)
    number = queue.released
    with open(journal, "r+b") as file, mmap.mmap(file.fileno(), JOURNAL.size) as notes:
        while True:
            try:
                records = queue.acquire_many(HELD, timeout=WAIT)
            except TimeoutError:
                continue
            except PeerDied:
                time.sleep(0.01)  # the next producer is on its way
                continue
            except QueueClosed:
                return
            for record in records:
                if not is_right(record, number):
                    raise RuntimeError(f"record {number} is {record}")
                JOURNAL.pack_into(notes, 0, number)
                number += 1
            queue.release(len(records))


ROLES = {"producer": produce, "consumer": consume}

if __name__ == "__main__":
    ROLES[sys.argv[1]](*sys.argv[2:])
