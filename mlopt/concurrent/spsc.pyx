"""Queues from one producer to one consumer, between threads or processes, without copying."""
import ast
import atexit
import errno
import math
import os
import time
import weakref

cimport cython
from cpython.exc cimport PyErr_CheckSignals
from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF, Py_XDECREF
from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memcpy

import numpy as np

cimport numpy as cnp

from mlopt._kernels.atomics cimport mlopt_count_add
from mlopt.concurrent cimport shared_memory
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
    mlopt_ring_bytes,
    mlopt_ring_close,
    mlopt_ring_closed,
    mlopt_ring_create,
    mlopt_ring_holder,
    mlopt_ring_leave,
    mlopt_ring_published,
    mlopt_ring_released,
    mlopt_ring_shared,
)
from mlopt.concurrent.histogram cimport mlopt_clock_now
from mlopt.concurrent.shared_memory cimport Memory
from mlopt.memory.pool cimport Block, new_block

from mlopt.concurrent.shared_memory import clean_up as clean_up_segments
from mlopt.concurrent.shared_memory import path_of as shared_memory_path

cnp.import_array()

cdef extern from "numpy/arrayobject.h":
    # the declarations of Cython's own numpy.pxd want objects where NULL is meant
    object mlopt_new_array "PyArray_NewFromDescr"(void *subtype, cnp.dtype descr, int ndim, const cnp.npy_intp *dims,
                                                  const cnp.npy_intp *strides, void *data, int flags, void *obj)
    void *mlopt_descr "PyArray_DESCR"(cnp.ndarray)
    bint mlopt_same_type "PyArray_EquivTypes"(void *, void *)

cdef extern from * nogil:
    bint likely "__builtin_expect"(bint, bint)

cdef int64_t FOR_EVER = -1
cdef double LONGEST = 9e9  # seconds, some 285 years: what 63 bits of nanoseconds hold
LOOK_SECONDS = 0.001  # between looks for a queue that is not there yet

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


def record_format(shape, dtype):
    """Shape and dtype of a record, checked."""
    dtype = np.dtype(dtype)
    try:
        shape = (int(shape.__index__()),) if hasattr(shape, "__index__") else tuple(int(n.__index__()) for n in shape)
    except (AttributeError, TypeError) as error:
        raise TypeError(f"shape must be an int or a tuple of ints, not {shape!r}") from error
    shape, dtype = shape + dtype.shape, dtype.base
    if dtype.hasobject:
        raise TypeError(f"dtype must be without Python objects, not {dtype}")
    if dtype.itemsize == 0 or any(n < 1 for n in shape):
        raise ValueError(f"records must have at least one byte, not shape {shape} of {dtype}")
    if len(shape) >= 64:
        raise ValueError(f"shape must have fewer than 64 axes, not {len(shape)}")
    return shape, dtype


def description_of(tuple shape, dtype):
    """Shape and dtype as they lie in the queue for whoever attaches: a Python literal, as in .npy files."""
    return repr((shape, np.lib.format.dtype_to_descr(dtype))).encode()


def format_of(bytes description):
    """What `description_of` described; ValueError where that is nothing of the kind."""
    try:
        shape, descr = ast.literal_eval(description.decode())
        return record_format(shape, np.lib.format.descr_to_dtype(descr))
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError, OverflowError, IndexError) as error:
        raise ValueError(f"the queue does not say what its records are: {error}") from error


@cython.no_gc_clear  # __dealloc__ needs what it refers to
cdef class SPSCQueue:
    """A queue of records of one shape and dtype, from one producer to one consumer, without locks or copies.

    The producer writes a record where it lies in the queue and publishes it; the consumer reads it there
    and releases it.  With a `name`, producer and consumer may be processes; without one, they are threads.

    Parameters
    ----------
    shape : int or tuple of int
        Shape of a record, ``()`` for a scalar or one structured record.
    dtype : dtype, default float64
        Of a record; structured ones are fine, Python objects are not.
    capacity : int, default 1024
        How many records the queue holds.
    name : str, optional
        Letters, digits, ``_``, ``-`` and ``.``: a segment of POSIX shared memory ``mlopt-<name>``, of mode 0600, that
        other processes of the same user find with :meth:`attach`.
    overflow : {"block", "drop_oldest"}, default "block"
        What happens where the queue is full: the producer waits, or the oldest record that the consumer has not
        acquired is discarded and counted in `dropped`.  Records that the consumer holds, `capacity` at most, are left
        alone.  For that the queue has twice as many slots, and :meth:`reserve_many` returns one at a time.

    Attributes
    ----------
    shape : tuple of int
        Shape of a record.

    Raises
    ------
    FileExistsError
        If `name` is in use by a living process.  What dead ones left is replaced.
    ValueError, TypeError
        If an argument is not as said above.
    MemoryError
        If there is no memory for so many records.

    See Also
    --------
    attach : the queue of that name, in another process.

    Notes
    -----
    A ring of slots with the positions of both sides on cache lines of their own, each side with a copy of the other's,
    as in Rigtorp's `SPSCQueue <https://github.com/rigtorp/SPSCQueue>`_; who waits spins for a microsecond or two and
    sleeps on a futex.  Every operation is constant work and makes no system call unless somebody sleeps.

    One thread at a time is the producer and one the consumer.  Objects take a role when they first do what belongs to
    it; another object gets it after :meth:`detach`, or when the holder is collected or its process is dead.
    It then goes on where the last one stopped: what was acquired but not released is read again.
    A process that ends without :meth:`close` is missed by the other side (:class:`PeerDied`).

    Arrays from :meth:`reserve` and :meth:`acquire` are views of slots, the same object every time a slot comes round.
    They are yours until :meth:`publish` and :meth:`release`.

    Examples
    --------
    >>> from mlopt.concurrent import SPSCQueue
    >>> queue = SPSCQueue(3, capacity=8)
    >>> record = queue.reserve()         # write in place
    >>> record[:] = 1, 2, 3
    >>> queue.publish()
    >>> queue.put([4, 5, 6])             # or copy
    >>> queue.close()
    >>> for record in queue:             # released when the next one comes
    ...     print(record)
    [1. 2. 3.]
    [4. 5. 6.]
    """

    def __init__(self, shape, dtype=np.float64, capacity=1024, name=None, *, overflow="block"):
        cdef uint64_t nbytes = 0, offset = 0
        cdef Memory memory
        cdef bytes description
        if self.ring != NULL:
            raise TypeError("a queue is initialised once")
        shape, dtype = record_format(shape, dtype)
        if not hasattr(capacity, "__index__"):
            raise TypeError(f"capacity must be an int, not {type(capacity).__name__}")
        if not 1 <= capacity < 1 << 46:
            raise ValueError(f"capacity must be at least 1 and less than 2**46, not {capacity}")
        if overflow not in ("block", "drop_oldest"):
            raise ValueError(f"overflow must be 'block' or 'drop_oldest', not {overflow!r}")
        overwrites = overflow == "drop_oldest"
        description = description_of(shape, dtype)
        if dtype.itemsize * math.prod(shape) < 1 << 46:
            nbytes = mlopt_ring_bytes(dtype.itemsize * math.prod(shape), capacity, len(description), overwrites,
                                      &offset)
        if nbytes == 0:
            raise ValueError(f"{capacity} records of shape {shape} and {dtype} are too large: more than 2**46 bytes, "
                             "or, where the oldest are dropped, more than 2**28 records")
        if name is None:
            memory = shared_memory.private_memory(nbytes)
        else:
            shared_memory_path(name)
            memory = shared_memory.create_segment(name, nbytes)
        mlopt_ring_create(<mlopt_ring_shared *>memory.address, dtype.itemsize * math.prod(shape), capacity,
                          <char *>description, len(description), overwrites, mlopt_process_self(0))
        self.attach_to(memory)

    cdef int attach_to(self, Memory memory) except -1:
        """Become a queue over that memory; ValueError where it holds none."""
        cdef uint64_t description_bytes = 0
        cdef Block block = new_block(sizeof(mlopt_ring) + MLOPT_RING_APART, True)
        cdef mlopt_ring *ring = <mlopt_ring *>mlopt_ring_aligned(block.data)
        cdef mlopt_ring_shared *shared = <mlopt_ring_shared *>memory.address
        cdef Block view_block
        self.serial = next_serial()
        if not mlopt_ring_attach(ring, shared, memory.nbytes, mlopt_process_self(self.serial), &description_bytes):
            raise ValueError(f"{memory.name!r} is not a queue of this version, or damaged")
        shape, dtype = format_of(shared.description[:description_bytes])
        if dtype.itemsize * math.prod(shape) != ring.record_bytes:
            raise ValueError(f"{memory.name!r} is damaged: {shape} of {dtype} are not {ring.record_bytes} bytes")
        view_block = new_block(ring.slots * sizeof(PyObject *), True)
        self.shape = shape
        self.record_type = dtype
        self.ndim = len(shape)
        for axis in range(self.ndim):
            self.dims[axis] = shape[axis]
        self.record_bytes = ring.record_bytes
        self.memory = memory
        self.block = block
        self.view_block = view_block
        self.views = <PyObject **>view_block.data
        self.ring = ring
        live.add(self)
        return 0

    def __dealloc__(self):
        cdef uint64_t slot
        if self.ring == NULL:
            return
        for slot in range(self.ring.slots):
            Py_XDECREF(self.views[slot])

    @classmethod
    def attach(cls, name, timeout=0):
        """The queue of that name that another process, or this one, made.

        Parameters
        ----------
        name : str
            As it was given to the constructor.
        timeout : float or None, default 0
            Seconds to wait for it to be there; None waits for ever.

        Returns
        -------
        SPSCQueue

        Raises
        ------
        FileNotFoundError
            If there is none in time.
        PermissionError
            If it belongs to another user, or its mode is not 0600.
        ValueError
            If `name` can be no name, or what is there is no queue.

        Examples
        --------
        >>> import os
        >>> from mlopt.concurrent import SPSCQueue
        >>> with SPSCQueue(2, name=f"doctest-{os.getpid()}") as queue:
        ...     other = SPSCQueue.attach(queue.name)
        ...     queue.put([1, 2])
        ...     print(other.get())
        [1. 2.]
        """
        cdef SPSCQueue queue
        cdef Memory memory
        cdef int64_t limit = nanoseconds_of(timeout), start = mlopt_clock_now()
        shared_memory_path(name)
        while True:
            late = limit >= 0 and mlopt_clock_now() - start >= limit
            try:
                memory = shared_memory.open_segment(name)
                if memory is not None and (<mlopt_ring_shared *>memory.address).magic != 0:
                    queue = cls.__new__(cls)
                    queue.attach_to(memory)
                    return queue
                if late:
                    raise FileNotFoundError(errno.ENOENT, "the queue is not complete", name)
            except FileNotFoundError:
                if late:
                    raise
            time.sleep(LOOK_SECONDS)

    @staticmethod
    def clean_up():
        """Unlink the named queues that no living process uses.

        Returns
        -------
        list of str
            Their names.  Always empty where the system does not list its shared memory (macOS).

        Examples
        --------
        >>> from mlopt.concurrent import SPSCQueue
        >>> SPSCQueue.clean_up()  # doctest: +SKIP
        ['ticks']
        """
        return clean_up_segments()

    # ------------------------------------------------------------------------------------------
    # Roles and waiting

    cdef int claim(self, bint producing) except -1:
        """Take a role, at its first use."""
        cdef int state
        role = "producer" if producing else "consumer"
        if self.ring == NULL:
            raise ValueError("the queue was not initialised")
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

    # ------------------------------------------------------------------------------------------
    # Arrays

    cdef object view(self, void *record):
        """The array over a slot; slots and their entries belong to one side at a time."""
        cdef uint64_t slot = (<unsigned char *>record - self.ring.records) // self.ring.stride
        cdef object array
        if self.views[slot] != NULL:
            return <object>self.views[slot]
        Py_INCREF(self.record_type)
        array = mlopt_new_array(<void *>cnp.ndarray, self.record_type, self.ndim, self.dims, NULL, record,
                                cnp.NPY_ARRAY_WRITEABLE, NULL)
        cnp.set_array_base(array, self.memory)
        Py_INCREF(array)
        self.views[slot] = <PyObject *>array
        return array

    cdef object view_of_many(self, void *first, int64_t count):
        cdef cnp.npy_intp dims[64]
        cdef cnp.npy_intp strides[64]
        cdef cnp.npy_intp step = self.record_type.itemsize
        cdef int axis
        cdef object array
        for axis in range(self.ndim, 0, -1):
            dims[axis] = self.dims[axis - 1]
            strides[axis] = step
            step *= dims[axis]
        dims[0] = count
        strides[0] = self.ring.stride
        Py_INCREF(self.record_type)
        array = mlopt_new_array(<void *>cnp.ndarray, self.record_type, self.ndim + 1, dims, strides, first,
                                cnp.NPY_ARRAY_WRITEABLE, NULL)
        cnp.set_array_base(array, self.memory)
        return array

    cdef bint is_record(self, object record):
        """Whether an object's bytes are those of a record as it is."""
        cdef int axis
        if not cnp.PyArray_CheckExact(record) or cnp.PyArray_NDIM(record) != self.ndim:
            return False
        for axis in range(self.ndim):
            if cnp.PyArray_DIM(record, axis) != self.dims[axis]:
                return False
        return (cnp.PyArray_IS_C_CONTIGUOUS(record)
                and (mlopt_descr(<cnp.ndarray>record) == <void *>self.record_type
                     or mlopt_same_type(mlopt_descr(<cnp.ndarray>record), <void *>self.record_type)))

    cdef object as_records(self, object records, int extra, str what):
        """An array of records, converted where NumPy's assignment would."""
        if isinstance(records, np.ndarray):
            array = records
            if not np.can_cast(array.dtype, self.record_type, "same_kind"):
                raise TypeError(f"{what} must be of {self.record_type} or cast to it safely, not {array.dtype}")
            array = np.ascontiguousarray(array, self.record_type).reshape(array.shape)
        else:
            try:
                array = np.array(records, self.record_type, order="C")
            except (ValueError, TypeError) as error:
                raise type(error)(f"{what} cannot be made an array of {self.record_type}: {error}") from error
        if array.ndim < extra or array.shape[extra:] != self.shape:
            expected = f"(n, {', '.join(map(str, self.shape))})" if extra else f"{self.shape}"
            raise ValueError(f"{what} must have shape {expected}, not {array.shape}")
        return array

    cdef int check_out(self, object out, int extra) except -1:
        if not isinstance(out, np.ndarray):
            raise TypeError(f"out must be an array, not {type(out).__name__}")
        if out.ndim < extra or out.shape[extra:] != self.shape:
            expected = f"(n, {', '.join(map(str, self.shape))})" if extra else f"{self.shape}"
            raise ValueError(f"out must have shape {expected}, not {out.shape}")
        if not out.flags.writeable:
            raise ValueError("out must be writeable")
        if not np.can_cast(self.record_type, out.dtype, "same_kind"):
            raise TypeError(f"out must hold {self.record_type}, not {out.dtype}")
        return 0

    # ------------------------------------------------------------------------------------------
    # Producer

    def reserve(self, timeout=None):
        """The next free slot, to be written in place and then published.

        Parameters
        ----------
        timeout : float or None, default None
            Seconds to wait while the queue is full; None waits for ever.

        Returns
        -------
        ndarray
            A view of the slot; what it contains is arbitrary.  The same one until it is published.

        Raises
        ------
        TimeoutError
            If the queue is full for so long.
        QueueClosed
            If it is closed.
        PeerDied
            If it is full and the consumer's process is dead.
        RuntimeError
            If another object is the producer.

        Examples
        --------
        >>> from mlopt.concurrent import SPSCQueue
        >>> queue = SPSCQueue((), [("time", "i8"), ("price", "f8")])
        >>> record = queue.reserve()
        >>> record["time"], record["price"] = 7, 101.5
        >>> queue.publish()
        >>> queue.get()
        np.void((7, 101.5), dtype=[('time', '<i8'), ('price', '<f8')])
        """
        cdef void *record = NULL
        cdef int64_t limit = nanoseconds_of(timeout)
        if not self.try_reserve_record(&record):
            with nogil:
                self.reserve_record(limit, &record)
        return self.view(record)

    def try_reserve(self):
        """The next free slot as in :meth:`reserve`, None where the queue is full."""
        cdef void *record = NULL
        return self.view(record) if self.try_reserve_record(&record) else None

    def reserve_many(self, Py_ssize_t n, timeout=None):
        """Free slots that lie one after the other.

        Parameters
        ----------
        n : int
            How many are wanted.
        timeout : float or None, default None
            Seconds to wait for the first.

        Returns
        -------
        ndarray, shape (k, \\*shape)
            A view of 1 to `n` slots: fewer where fewer are free, or the ring begins anew.  Records begin on cache
            lines, so the array is not contiguous unless their bytes are whole cache lines, or 32, 16, 8...

        Raises
        ------
        ValueError
            If `n` is less than 1.
        TimeoutError, QueueClosed, PeerDied, RuntimeError
            As in :meth:`reserve`.

        Examples
        --------
        >>> from mlopt.concurrent import SPSCQueue
        >>> queue = SPSCQueue((), "i8")
        >>> records = queue.reserve_many(4)
        >>> records[:] = 1, 2, 3, 4
        >>> queue.publish(len(records))
        >>> len(queue)
        4
        """
        cdef void *first = NULL
        cdef int64_t limit = nanoseconds_of(timeout), count
        if n < 1:
            raise ValueError(f"n must be at least 1, not {n}")
        with nogil:
            count = self.reserve_records(n, limit, &first)
        return self.view_of_many(first, count)

    def publish(self, Py_ssize_t n=1):
        """Hand the first `n` reserved slots to the consumer.

        Raises
        ------
        ValueError
            If so many are not reserved; nothing is published.
        """
        self.publish_records(n)

    def put(self, record, timeout=None):
        """Copy a record into the queue.

        Parameters
        ----------
        record : array_like
            Of the queue's shape.  An array of the queue's dtype is copied in one go.
        timeout : float or None, default None
            Seconds to wait while the queue is full.

        Raises
        ------
        ValueError, TypeError
            If `record` has another shape, or a dtype that does not cast to the queue's in the same kind.
        TimeoutError, QueueClosed, PeerDied, RuntimeError
            As in :meth:`reserve`; nothing is put.
        """
        cdef void *slot = NULL
        cdef int64_t limit = nanoseconds_of(timeout)
        if not self.is_record(record):
            record = self.as_records(record, 0, "record")
        if not self.try_reserve_record(&slot):
            with nogil:
                self.reserve_record(limit, &slot)
        memcpy(slot, cnp.PyArray_DATA(record), self.record_bytes)
        self.publish_records(1)

    def try_put(self, record):
        """Copy a record into the queue as in :meth:`put`, unless it is full.

        Returns
        -------
        bool
            Whether there was room.
        """
        cdef void *slot = NULL
        if not self.is_record(record):
            record = self.as_records(record, 0, "record")
        if not self.try_reserve_record(&slot):
            return False
        memcpy(slot, cnp.PyArray_DATA(record), self.record_bytes)
        self.publish_records(1)
        return True

    def put_many(self, records, timeout=None):
        """Copy all of an array's records into the queue, in order.

        Parameters
        ----------
        records : array_like, shape (n, \\*shape)
            May be more than the queue's capacity.
        timeout : float or None, default None
            Seconds to wait for room for all of them.

        Raises
        ------
        ValueError, TypeError
            As in :meth:`put`; nothing is put.
        TimeoutError, QueueClosed, PeerDied, RuntimeError
            As in :meth:`reserve`.  The attribute `done` of the exception says how many records were put before.
        """
        cdef object array = self.as_records(records, 1, "records")
        cdef const char *source = cnp.PyArray_BYTES(array)
        cdef void *first = NULL
        cdef int64_t limit = nanoseconds_of(timeout), start = mlopt_clock_now(), count, i
        cdef int64_t left = cnp.PyArray_DIM(array, 0), wanted = left, remaining = limit
        try:
            with nogil:
                while left > 0:
                    if limit > 0:
                        remaining = max(start + limit - mlopt_clock_now(), 0)
                    count = self.reserve_records(left, remaining, &first)
                    if self.ring.stride == self.record_bytes:
                        memcpy(first, source, count * self.record_bytes)
                    else:
                        for i in range(count):
                            memcpy(<char *>first + i * self.ring.stride, source + i * self.record_bytes,
                                   self.record_bytes)
                    self.publish_records(count)
                    source += count * self.record_bytes
                    left -= count
        except Exception as error:
            error.done = wanted - left
            raise

    # ------------------------------------------------------------------------------------------
    # Consumer

    def acquire(self, timeout=None):
        """The next record, to be read in place and then released.

        Parameters
        ----------
        timeout : float or None, default None
            Seconds to wait while the queue is empty; None waits for ever.

        Returns
        -------
        ndarray
            A view of the slot.  Several may be held at once; they are released in order.

        Raises
        ------
        TimeoutError
            If the queue is empty for so long.
        QueueClosed
            If it is closed and all records were read.
        PeerDied
            If it is empty and the producer's process is dead.
        RuntimeError
            If another object is the consumer.

        Examples
        --------
        >>> from mlopt.concurrent import SPSCQueue
        >>> queue = SPSCQueue(2)
        >>> queue.put_many([[1, 2], [3, 4]])
        >>> first, second = queue.acquire(), queue.acquire()
        >>> first + second
        array([4., 6.])
        >>> queue.release(2)
        """
        cdef void *record = NULL
        cdef int64_t limit = nanoseconds_of(timeout)
        if not self.try_acquire_record(&record):
            with nogil:
                self.acquire_record(limit, &record)
        return self.view(record)

    def try_acquire(self):
        """The next record as in :meth:`acquire`, None where there is none yet."""
        cdef void *record = NULL
        return self.view(record) if self.try_acquire_record(&record) else None

    def acquire_many(self, Py_ssize_t n, timeout=None):
        """Records that lie one after the other.

        Parameters
        ----------
        n : int
            How many are wanted.
        timeout : float or None, default None
            Seconds to wait for the first.

        Returns
        -------
        ndarray, shape (k, \\*shape)
            A view of 1 to `n` records, as in :meth:`reserve_many`.

        Raises
        ------
        ValueError
            If `n` is less than 1.
        TimeoutError, QueueClosed, PeerDied, RuntimeError
            As in :meth:`acquire`.
        """
        cdef void *first = NULL
        cdef int64_t limit = nanoseconds_of(timeout), count
        if n < 1:
            raise ValueError(f"n must be at least 1, not {n}")
        with nogil:
            count = self.acquire_records(n, limit, &first)
        return self.view_of_many(first, count)

    def release(self, Py_ssize_t n=1):
        """Give the `n` oldest of the records that are held back to the producer.

        Raises
        ------
        ValueError
            If so many are not held; nothing is released.
        """
        self.release_records(n)

    def get(self, out=None, timeout=None):
        """Copy the next record out of the queue.

        Parameters
        ----------
        out : ndarray, optional
            Where to; of the queue's shape.  One of the queue's dtype is filled in one go.
        timeout : float or None, default None
            Seconds to wait while the queue is empty.

        Returns
        -------
        ndarray or scalar
            `out`, or a new array; a NumPy scalar where the shape is ``()``.

        Raises
        ------
        ValueError, TypeError
            If `out` is not such an array, or records are held, which are before this one; nothing is taken.
        TimeoutError, QueueClosed, PeerDied, RuntimeError
            As in :meth:`acquire`.
        """
        cdef void *slot = NULL
        cdef int64_t limit = nanoseconds_of(timeout)
        cdef bint direct = out is not None and self.is_record(out) and cnp.PyArray_ISWRITEABLE(out)
        if out is not None and not direct:
            self.check_out(out, 0)
        self.require_none_held()
        if not self.try_acquire_record(&slot):
            with nogil:
                self.acquire_record(limit, &slot)
        try:
            if direct:
                memcpy(cnp.PyArray_DATA(out), slot, self.record_bytes)
            elif out is not None:
                np.copyto(out, self.view(slot), casting="same_kind")
            else:
                out = self.view(slot).copy()
                if self.ndim == 0:
                    out = out[()]
        finally:
            mlopt_queue_release(self.ring, 1)
        return out

    def get_many(self, out, timeout=None):
        """Copy the records that are there out of the queue.

        Parameters
        ----------
        out : ndarray, shape (n, \\*shape)
            Where to; at most `n` records are taken.
        timeout : float or None, default None
            Seconds to wait for the first.

        Returns
        -------
        int
            How many were taken, at least one.

        Raises
        ------
        ValueError, TypeError
            As in :meth:`get`; also if `out` has no place for a record.
        TimeoutError, QueueClosed, PeerDied, RuntimeError
            As in :meth:`acquire`.

        Examples
        --------
        >>> import numpy as np
        >>> from mlopt.concurrent import SPSCQueue
        >>> queue = SPSCQueue((), "i4")
        >>> queue.put_many([1, 2, 3])
        >>> out = np.zeros(8, "i4")
        >>> out[: queue.get_many(out)]
        array([1, 2, 3], dtype=int32)
        """
        cdef void *first = NULL
        cdef int64_t limit = nanoseconds_of(timeout), count, done = 0
        self.check_out(out, 1)
        if len(out) == 0:
            raise ValueError("out must have room for at least one record")
        self.require_none_held()
        cdef int64_t most = len(out)
        with nogil:
            count = self.acquire_records(most, limit, &first)
        while count > 0:
            try:
                np.copyto(out[done : done + count], self.view_of_many(first, count), casting="same_kind")
            finally:
                mlopt_queue_release(self.ring, count)
            done += count
            count = mlopt_queue_try_acquire_many(self.ring, most - done, &first) if done < most else 0
        return done

    cdef int require_none_held(self) except -1:
        if self.ring != NULL and self.ring.consumer.claimed:
            held = self.ring.consumer.position - self.ring.consumer.released
            if held:
                raise ValueError(f"{held} records are held: release them before one is copied out and released")
        return 0

    def __iter__(self):
        return self

    def __next__(self):
        cdef void *record = NULL
        if self.iterating and self.ring.consumer.position != self.ring.consumer.released:
            mlopt_queue_release(self.ring, 1)
        self.iterating = False
        try:
            if not self.try_acquire_record(&record):
                with nogil:
                    self.acquire_record(FOR_EVER, &record)
        except QueueClosed:
            raise StopIteration from None
        self.iterating = True
        return self.view(record)

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

    def __reduce__(self):
        if self.memory is None or self.memory.name is None:
            raise TypeError("a queue without a name cannot be sent to another process: give it one (name=)")
        return type(self).attach, (self.memory.name,)

    # ------------------------------------------------------------------------------------------
    # What it is and how it stands

    def __len__(self):
        # read in this order: the later, the larger
        cdef uint64_t gone = mlopt_ring_released(self.ring) + mlopt_queue_dropped(self.ring)
        return min(mlopt_ring_published(self.ring) - gone, self.ring.slots)

    @property
    def dtype(self):
        """The dtype of a record."""
        return self.record_type

    @property
    def capacity(self):
        """How many records fit."""
        return self.ring.capacity

    @property
    def name(self):
        """The name under which other processes find the queue, or None."""
        return self.memory.name

    @property
    def published(self):
        """How many records were ever published."""
        return mlopt_ring_published(self.ring)

    @property
    def released(self):
        """How many records were ever released."""
        return mlopt_ring_released(self.ring)

    @property
    def dropped(self):
        """How many records were discarded unread; 0 where the producer waits."""
        return mlopt_queue_dropped(self.ring)

    @property
    def overflow(self):
        """What happens where the queue is full, ``"block"`` or ``"drop_oldest"``."""
        return "drop_oldest" if mlopt_queue_overwrites(self.ring) else "block"

    @property
    def closed(self):
        """Whether one of the sides has closed the queue."""
        return mlopt_ring_closed(self.ring) != 0

    def __repr__(self):
        name = "" if self.name is None else f", name={self.name!r}"
        return (f"SPSCQueue({self.shape}, {self.dtype}, capacity={self.capacity}{name}: {len(self)} records"
                f"{', closed' if self.closed else ''})")


def all_alive():
    while True:
        try:
            return list(live)
        except RuntimeError:  # another thread made one, or collected one, meanwhile
            continue


def leave_children_alone():
    cdef SPSCQueue queue
    for queue in all_alive():
        queue.after_fork()


def unlink_at_exit():
    global exiting
    cdef SPSCQueue queue
    exiting = True
    for queue in all_alive():
        queue.memory.unlink()


os.register_at_fork(after_in_child=leave_children_alone)
atexit.register(unlink_at_exit)

__all__ = ["PeerDied", "QueueClosed", "SPSCQueue"]
