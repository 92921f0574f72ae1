"""The queue of records of so many bytes that :class:`SPSCQueue` gives shapes: its roles, waiting and end."""
import atexit
import os
import weakref

cimport cython
from cpython.exc cimport PyErr_CheckSignals
from libc.stdint cimport int64_t, uint64_t

from mlopt._kernels.atomics cimport mlopt_count_add
from mlopt.concurrent.histogram cimport mlopt_clock_now
from mlopt.concurrent.ring cimport (
    MLOPT_PROCESS_LEFT,
    MLOPT_RING_APART,
    MLOPT_RING_CLOSED,
    MLOPT_RING_DAMAGED,
    MLOPT_RING_DIED,
    MLOPT_RING_NOT_YET,
    MLOPT_RING_NO_MORE,
    MLOPT_RING_NO_READER,
    MLOPT_RING_READY,
    MLOPT_RING_SLICE,
    mlopt_fence_register,
    mlopt_process_number,
    mlopt_process_self,
    mlopt_queue_await_records,
    mlopt_queue_await_space,
    mlopt_queue_claim_consumer,
    mlopt_queue_claim_producer,
    mlopt_queue_damaged,
    mlopt_queue_dropped,
    mlopt_queue_overwrites,
    mlopt_queue_publish,
    mlopt_queue_release,
    mlopt_queue_try_acquire,
    mlopt_queue_try_acquire_many,
    mlopt_queue_try_reserve,
    mlopt_queue_try_reserve_many,
    mlopt_ring,
    mlopt_ring_aligned,
    mlopt_ring_attach,
    mlopt_ring_close,
    mlopt_ring_closed,
    mlopt_ring_holder,
    mlopt_ring_leave,
    mlopt_ring_published,
    mlopt_ring_released,
    mlopt_ring_shared,
)
from mlopt.concurrent.shared_memory cimport Memory
from mlopt.memory.pool cimport Block, new_block

cdef extern from * nogil:
    bint likely "__builtin_expect"(bint, bint)

cdef double LONGEST = 9e9  # seconds, some 285 years: what 63 bits of nanoseconds hold

cdef size_t serials = 0
cdef bint exiting = False
live = weakref.WeakSet()


class QueueClosed(Exception):
    """The queue is closed: nothing more can be put, or all that was put has been read.

    Examples
    --------
    >>> from mlopt.concurrent import QueueClosed, SPSCQueue
    >>> queue = SPSCQueue(2)
    >>> queue.close()
    >>> try:
    ...     queue.put([1, 2])
    ... except QueueClosed as error:
    ...     print(error)
    the queue is closed
    """


class PeerDied(ConnectionError):
    """The process at the other end of a queue ended without closing it.

    Parameters
    ----------
    role : str
        Who that was, ``"producer"`` or ``"consumer"``.
    pid : int
        Its process number.

    Examples
    --------
    >>> from mlopt.concurrent import PeerDied
    >>> error = PeerDied("producer", 4711)
    >>> error.role, error.pid
    ('producer', 4711)
    """

    def __init__(self, role, pid):
        super().__init__(role, pid)

    @property
    def role(self):
        """``"producer"`` or ``"consumer"``."""
        return self.args[0]

    @property
    def pid(self):
        """The number of the process."""
        return self.args[1]

    def __str__(self):
        return f"the {self.role}, process {self.pid}, ended without closing the queue"


cdef int64_t nanoseconds_of(timeout) except? -1:
    """A timeout in seconds as nanoseconds, None as -1."""
    cdef double seconds
    if timeout is None:
        return FOR_EVER
    try:
        seconds = timeout
    except TypeError as error:
        raise TypeError(f"timeout must be a number of seconds or None, not {type(timeout).__name__}") from error
    if not seconds >= 0:
        raise ValueError(f"timeout must be at least 0 seconds, or None to wait for ever, not {timeout}")
    return <int64_t>(min(seconds, LONGEST) * 1e9)


def next_serial():
    return mlopt_count_add(&serials, 1) % MLOPT_PROCESS_LEFT


@cython.no_gc_clear  # __del__ and who inherits need the ring until the end
cdef class RecordQueue:
    cdef bytes attach_ring(self, Memory memory):
        """Become a queue over that memory, and return what it says of its records; ValueError where it holds none."""
        cdef uint64_t description_bytes = 0
        cdef Block block = new_block(sizeof(mlopt_ring) + MLOPT_RING_APART, True)
        cdef mlopt_ring *ring = <mlopt_ring *>mlopt_ring_aligned(block.data)
        cdef mlopt_ring_shared *shared = <mlopt_ring_shared *>memory.address
        self.serial = next_serial()
        if not mlopt_ring_attach(ring, shared, memory.nbytes, mlopt_process_self(self.serial), &description_bytes):
            raise ValueError(f"{memory.name!r} is not a queue of this version, or damaged")
        self.memory = memory
        self.block = block
        self.ring = ring
        live.add(self)
        return shared.description[:description_bytes]

    cdef mlopt_ring *own_ring(self) except NULL:
        if self.ring == NULL:
            raise ValueError("the queue was not initialised")
        return self.ring

    # ------------------------------------------------------------------------------------------
    # Roles and waiting

    cdef int claim(self, bint producing) except -1:
        """Take a role, at its first use."""
        cdef int state
        role = "producer" if producing else "consumer"
        self.own_ring()
        if self.left:
            raise ValueError("the queue was detached")
        if not producing and mlopt_ring_closed(self.ring) & MLOPT_RING_NO_READER:
            raise QueueClosed("the queue's consumer has closed it")
        state = mlopt_queue_claim_producer(self.ring) if producing else mlopt_queue_claim_consumer(self.ring)
        if state == MLOPT_RING_NOT_YET:
            pid = mlopt_process_number(mlopt_ring_holder(self.ring, producing))
            where = "an object of this process" if pid == os.getpid() else f"process {pid}"
            raise RuntimeError(f"the queue has a {role} already: {where}")
        if state != MLOPT_RING_READY:
            self.fail(state, producing)
        return 0

    cdef int fail(self, int state, bint producing) except -1:
        if state == MLOPT_RING_NOT_YET:
            raise TimeoutError("the queue is full" if producing else "the queue is empty")
        if state == MLOPT_RING_CLOSED:
            raise QueueClosed("the queue is closed" if producing else "the queue is closed and everything was read")
        if state == MLOPT_RING_DIED:
            raise PeerDied("consumer" if producing else "producer",
                           mlopt_process_number(mlopt_ring_holder(self.ring, not producing)))
        raise RuntimeError("the queue is damaged: its positions cannot be")

    cdef int wait(self, bint producing, int64_t nanoseconds) except -1 nogil:
        """Wait until there is a free slot, or a record; else raise."""
        cdef int state
        cdef int64_t end = 0, left = MLOPT_RING_SLICE
        if nanoseconds >= 0:
            end = mlopt_clock_now() + nanoseconds
        while True:
            if nanoseconds >= 0:
                left = end - mlopt_clock_now() if nanoseconds > 0 else 0
            if producing:
                state = mlopt_queue_await_space(self.ring, left)
            else:
                state = mlopt_queue_await_records(self.ring, left)
            if state == MLOPT_RING_READY:
                return 0
            with gil:
                if state != MLOPT_RING_NOT_YET or (nanoseconds >= 0 and left <= 0):
                    self.fail(state, producing)
                PyErr_CheckSignals()

    cdef int try_reserve_record(self, void **record) except -1 nogil:
        if not likely(self.ring != NULL and self.ring.producer.claimed, 1):
            with gil:
                self.claim(True)
        if not likely(mlopt_ring_closed(self.ring) == 0, 1):
            with gil:
                self.fail(MLOPT_RING_CLOSED, True)
        record[0] = mlopt_queue_try_reserve(self.ring)
        if not likely(mlopt_queue_damaged(self.ring) == 0, 1):
            with gil:
                self.fail(MLOPT_RING_DAMAGED, True)
        return record[0] != NULL

    cdef int try_acquire_record(self, void **record) except -1 nogil:
        if not likely(self.ring != NULL and self.ring.consumer.claimed, 1):
            with gil:
                self.claim(False)
        record[0] = mlopt_queue_try_acquire(self.ring)
        if record[0] == NULL and mlopt_ring_closed(self.ring):
            record[0] = mlopt_queue_try_acquire(self.ring)  # published just before it was closed
            if record[0] == NULL:
                with gil:
                    self.fail(MLOPT_RING_CLOSED, False)
        return record[0] != NULL

    cdef int reserve_record(self, int64_t nanoseconds, void **record) except -1 nogil:
        self.try_reserve_record(record)
        while record[0] == NULL:
            self.wait(True, nanoseconds)
            record[0] = mlopt_queue_try_reserve(self.ring)
        return 0

    cdef int acquire_record(self, int64_t nanoseconds, void **record) except -1 nogil:
        self.try_acquire_record(record)
        while record[0] == NULL:
            self.wait(False, nanoseconds)
            record[0] = mlopt_queue_try_acquire(self.ring)
        return 0

    cdef int64_t reserve_records(self, uint64_t count, int64_t nanoseconds, void **first) except -1 nogil:
        cdef int64_t found
        self.reserve_record(nanoseconds, first)
        found = mlopt_queue_try_reserve_many(self.ring, count, first)
        return found

    cdef int64_t acquire_records(self, uint64_t count, int64_t nanoseconds, void **first) except -1 nogil:
        cdef int64_t found
        if not likely(self.ring != NULL and self.ring.consumer.claimed, 1):
            with gil:
                self.claim(False)
        found = mlopt_queue_try_acquire_many(self.ring, count, first)
        while found == 0:
            self.wait(False, nanoseconds)
            found = mlopt_queue_try_acquire_many(self.ring, count, first)
        return found

    cdef int publish_records(self, uint64_t count) except -1 nogil:
        if not likely(self.ring != NULL and 1 <= count <= self.ring.producer.reserved, 1):
            with gil:
                self.refuse_count(True, count)
        mlopt_queue_publish(self.ring, count)
        if not likely(mlopt_queue_damaged(self.ring) == 0, 1):
            with gil:
                self.fail(MLOPT_RING_DAMAGED, True)
        return 0

    cdef int release_records(self, uint64_t count) except -1 nogil:
        if not likely(self.ring != NULL and self.ring.consumer.claimed
                      and 1 <= count <= self.ring.consumer.position - self.ring.consumer.released, 1):
            with gil:
                self.refuse_count(False, count)
        mlopt_queue_release(self.ring, count)
        return 0

    cdef int refuse_count(self, bint producing, uint64_t count) except -1:
        cdef uint64_t most = 0
        if self.ring != NULL and producing:
            most = self.ring.producer.reserved
        elif self.ring != NULL and self.ring.consumer.claimed:
            most = self.ring.consumer.position - self.ring.consumer.released
        what = "reserved" if producing else "held"
        raise ValueError(f"n must be at least 1 and at most the {most} records that are {what}, not {<int64_t>count}")

    cdef uint64_t stride(self) noexcept nogil:
        return self.ring.stride

    cdef int require_none_held(self) except -1:
        if self.ring != NULL and self.ring.consumer.claimed:
            held = self.ring.consumer.position - self.ring.consumer.released
            if held:
                raise ValueError(f"{held} records are held: release them before one is copied out and released")
        return 0

    # ------------------------------------------------------------------------------------------
    # The end

    def close(self):
        """Say that there is no more to come, or, as the consumer alone, that no more will be read.

        The consumer gets what is in the queue, and then :class:`QueueClosed`; the producer gets it at once.  For
        both, waiting ends.  The name of a queue that this object made is taken away, unless records are in it
        that nobody is there yet to read: then when the object is collected or the process ends.  Closing twice
        is fine.
        """
        if self.ring == NULL or self.left:
            return
        consumer_alone = self.ring.consumer.claimed and not self.ring.producer.claimed
        mlopt_ring_close(self.ring, MLOPT_RING_NO_READER if consumer_alone else MLOPT_RING_NO_MORE)
        if consumer_alone:
            self.ring.consumer.claimed = 0  # the next use finds it closed
        if len(self) == 0 or mlopt_ring_holder(self.ring, False) != 0:
            self.memory.unlink()

    def detach(self):
        """Give up the roles this object has, for another object to take, without closing the queue.

        The name goes with the object that made the queue.  Arrays over slots stay valid memory.
        """
        if self.ring == NULL or self.left:
            return
        self.left = True
        mlopt_ring_leave(self.ring)
        self.memory.unlink()

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()

    def __del__(self):
        if not exiting:  # a process that ends without closing is to be missed
            self.detach()

    cdef int after_fork(self) except -1:
        """In a child: the roles are the parent's."""
        if self.ring == NULL:
            return 0
        self.serial = next_serial()
        self.ring.self = mlopt_process_self(self.serial)
        self.ring.registered = mlopt_fence_register()
        self.ring.producer.claimed = self.ring.consumer.claimed = 0
        return 0

    # ------------------------------------------------------------------------------------------
    # What it is and how it stands

    def __len__(self):
        # read in this order: the later, the larger
        cdef mlopt_ring *ring = self.own_ring()
        cdef uint64_t gone = mlopt_ring_released(ring) + mlopt_queue_dropped(ring)
        return min(mlopt_ring_published(ring) - gone, ring.slots)

    @property
    def capacity(self):
        """How many records fit."""
        return self.own_ring().capacity

    @property
    def name(self):
        """The name under which other processes find the queue, or None."""
        self.own_ring()
        return self.memory.name

    @property
    def published(self):
        """How many records were ever published."""
        return mlopt_ring_published(self.own_ring())

    @property
    def released(self):
        """How many records were ever released."""
        return mlopt_ring_released(self.own_ring())

    @property
    def dropped(self):
        """How many records were discarded unread; 0 where the producer waits."""
        return mlopt_queue_dropped(self.own_ring())

    @property
    def overflow(self):
        """What happens where the queue is full, ``"block"`` or ``"drop_oldest"``."""
        return "drop_oldest" if mlopt_queue_overwrites(self.own_ring()) else "block"

    @property
    def closed(self):
        """Whether one of the sides has closed the queue."""
        return mlopt_ring_closed(self.own_ring()) != 0


def all_alive():
    while True:
        try:
            return list(live)
        except RuntimeError:  # another thread made one, or collected one, meanwhile
            continue


def leave_children_alone():
    cdef RecordQueue queue
    for queue in all_alive():
        queue.after_fork()


def unlink_at_exit():
    global exiting
    cdef RecordQueue queue
    exiting = True
    for queue in all_alive():
        queue.memory.unlink()


os.register_at_fork(after_in_child=leave_children_alone)
atexit.register(unlink_at_exit)

__all__ = ["PeerDied", "QueueClosed"]
