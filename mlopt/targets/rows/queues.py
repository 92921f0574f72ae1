"""Records between two processes, one call a record on either side; and the ring alone, between threads in C."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np

from mlopt.concurrent import SPSCQueue
from mlopt.targets import peers
from mlopt.targets.contest import Contest, NotHere, Options
from mlopt.targets.measure import Batch, Spread
from mlopt.targets.result import Row
from mlopt.targets.ring_loops import time_latency, time_ring

NUMBERS = 50  # 400 bytes
CAPACITY = 4096
SECONDS = 30.0  # no wait that works takes so long
C_RECORDS = 200_000  # in C, few enough that other processes leave some of the batches alone
C_BATCHES = 40


def feed_by_put(queue: Any, orders: Any) -> None:
    """The other process: as many records as are asked for, each copied in by one call."""
    record = np.arange(float(NUMBERS))
    while count := orders.recv():
        for _ in range(count):
            queue.put(record)


def feed_in_place(queue: SPSCQueue, orders: Any) -> None:
    """The same, each written where it lies."""
    while count := orders.recv():
        for number in range(count):
            queue.reserve()[0] = number
            queue.publish()


def iterated(queue: SPSCQueue) -> Callable[[int], None]:
    """Reads records in place, released when the next one comes."""

    def read(count: int) -> None:
        for _ in range(count):
            next(queue)

    return read


def copied(queue: SPSCQueue) -> Callable[[int], None]:
    """Copies records out."""
    out = np.empty(NUMBERS)

    def read(count: int) -> None:
        for _ in range(count):
            queue.get(out)

    return read


def got(queue: Any) -> Callable[[int], None]:
    """Takes the objects that other queues hand out."""

    def read(count: int) -> None:
        for _ in range(count):
            queue.get()

    return read


@contextmanager
def fed(queue: Any, feed: Callable[[Any, Any], None], read: Callable[[int], None]) -> Iterator[Batch]:
    """A process that feeds the queue, and the batch that orders records from it and reads them.

    The time runs from the order on: what the queue holds before this process wakes is not for nothing.
    """
    context = multiprocessing.get_context("spawn")
    orders, remote = context.Pipe()
    process = context.Process(target=feed, args=(queue, remote), daemon=True)
    process.start()

    def batch(count: int) -> float:
        start = time.perf_counter()
        orders.send(count)
        read(count)
        return time.perf_counter() - start

    try:
        batch(1)  # the process is there: its start would be taken for the time of a record
        yield batch
        orders.send(0)
        process.join(SECONDS)
    finally:
        process.kill()
        process.join()


def named_queue(stack: ExitStack, number: int) -> SPSCQueue:
    """A queue that another process can attach to."""
    return stack.enter_context(SPSCQueue(NUMBERS, capacity=CAPACITY, name=f"targets-{os.getpid()}-{number}"))


def peer_batches(stack: ExitStack) -> dict[str, Batch]:
    """The same records through the queues that a user would take instead."""
    standard: Any = multiprocessing.get_context("spawn").Queue(CAPACITY)
    result = {"multiprocessing.Queue": stack.enter_context(fed(standard, feed_by_put, got(standard)))}
    if (module := peers.find("faster_fifo")) is not None:
        fifo = module.Queue(max_size_bytes=CAPACITY * 1024)
        result[peers.label("faster_fifo")] = stack.enter_context(fed(fifo, feed_by_put, got(fifo)))
    return result


def measure_ring(row: Row) -> None:
    """Rates and latencies in C: medians of many short batches, the best one beside them."""
    for name, record_bytes, batch in (("c_rate", 64, 1), ("c_rate_400", 400, 1), ("c_rate_batches", 64, 16)):
        times = [time_ring(record_bytes, C_RECORDS, batch=batch) for _ in range(C_BATCHES)]
        row.metrics[name] = C_RECORDS / Spread.of(times).median
        row.details.append({"rate": name, "record_bytes": record_bytes, "batch": batch, "best": C_RECORDS / min(times),
                            "median": row.metrics[name]})  # fmt: skip
    for mode, rounds in (("spin", 100_000), ("futex", 2_000)):
        taken = time_latency(mode, rounds) * 1e-9  # type: ignore[arg-type]
        name = "latency" if mode == "spin" else "latency_futex"
        row.metrics[name], row.metrics[f"{name}_p99"] = (float(np.quantile(taken, q)) for q in (0.5, 0.99))


def measure_spsc(row: Row, options: Options) -> None:
    """Two processes, 400-byte records; then the ring in C."""
    if (os.cpu_count() or 1) < 2:
        raise NotHere("two processors are needed")
    with ExitStack() as stack:
        first, second, third = (named_queue(stack, number) for number in range(3))
        contest = Contest(
            ours=stack.enter_context(fed(first, feed_by_put, iterated(first))),
            variants={
                "in_place": stack.enter_context(fed(second, feed_in_place, iterated(second))),
                "copied_out": stack.enter_context(fed(third, feed_by_put, copied(third))),
            },
            peers=peer_batches(stack) if options.peers else {},
        )
        contest.fill(row, options.seconds)
    row.metrics["rate"] = 1 / row.metrics["figure"]
    measure_ring(row)
    row.notes.append("a record is put by one call and read in place by one step of a loop; peers pickle each record")
