"""Two threads at the ends of a ring, in C alone: what the queue can do without Python."""
cdef extern from "ring_loops.h" nogil:
    double mlopt_time_ring(unsigned long long record_bytes, unsigned long long capacity, unsigned long long records,
                           unsigned long long batch)
    int mlopt_time_latency(int futex, long long rounds, long long *nanoseconds)

import numpy as np


def time_ring(unsigned long long record_bytes=64, unsigned long long records=10_000_000, *,
              unsigned long long capacity=1024, unsigned long long batch=1):
    """Seconds until a thread has read, and summed up, all records that another has written.

    Parameters
    ----------
    record_bytes : int, default 64
        A multiple of 8.
    records : int
        How many.
    capacity : int
        Of the ring.
    batch : int, default 1
        Records to a reserve and publish, and to an acquire and release; 1 for the calls that take no number.

    Raises
    ------
    ValueError
        If `record_bytes` is no positive multiple of 8, or another argument is 0.
    MemoryError
        If there is no memory or no thread.
    RuntimeError
        If a record was not what was written.
    """
    cdef double seconds
    if record_bytes == 0 or record_bytes % 8 or not records or not capacity or not batch:
        raise ValueError("record_bytes must be a positive multiple of 8, and records, capacity and batch positive")
    with nogil:
        seconds = mlopt_time_ring(record_bytes, capacity, records, batch)
    if seconds == -1:
        raise MemoryError("no memory for a ring, or no thread")
    if seconds == -2:
        raise RuntimeError("a record was not what was written")
    return seconds


def time_latency(str mode="spin", long long rounds=100_000):
    """Nanoseconds one way, from a publish in one thread to its sight in another, of single 64-byte records.

    Parameters
    ----------
    mode : {"spin", "futex"}
        How the threads wait: looking all the time, or as the public queue does, asleep after a microsecond or two.
    rounds : int
        How many records go to and fro.

    Returns
    -------
    ndarray of int64, shape (rounds,)
        Half of each round's time.
    """
    cdef long long[::1] times
    if mode not in ("spin", "futex"):
        raise ValueError(f"mode must be 'spin' or 'futex', not {mode!r}")
    if rounds < 1:
        raise ValueError(f"rounds must be at least 1, not {rounds}")
    result = np.empty(rounds, np.longlong)
    times = result
    cdef int failed, futex = mode == "futex"
    with nogil:
        failed = mlopt_time_latency(futex, rounds, &times[0])
    if failed:
        raise MemoryError("no memory for a ring, or no thread")
    return result.astype(np.int64, copy=False)


__all__ = ["time_latency", "time_ring"]
