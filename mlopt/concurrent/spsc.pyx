"""Queues from one producer to one consumer, between threads or processes, without copying."""
import ast
import errno
import math
import time

cimport cython
from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF, Py_XDECREF
from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memcpy

import numpy as np

cimport numpy as cnp

from mlopt.concurrent cimport shared_memory
from mlopt.concurrent.ring cimport (
    mlopt_process_self,
    mlopt_queue_release,
    mlopt_queue_try_acquire_many,
    mlopt_ring_bytes,
    mlopt_ring_create,
    mlopt_ring_shared,
)
from mlopt.concurrent.histogram cimport mlopt_clock_now
from mlopt.concurrent.record_queue cimport FOR_EVER, RecordQueue, nanoseconds_of
from mlopt.concurrent.shared_memory cimport Memory
from mlopt.memory.pool cimport new_block

from mlopt.concurrent.record_queue import PeerDied, QueueClosed
from mlopt.concurrent.shared_memory import clean_up as clean_up_segments
from mlopt.concurrent.shared_memory import path_of as shared_memory_path

cnp.import_array()

cdef extern from "numpy/arrayobject.h":
    # the declarations of Cython's own numpy.pxd want objects where NULL is meant
    object mlopt_new_array "PyArray_NewFromDescr"(void *subtype, cnp.dtype descr, int ndim, const cnp.npy_intp *dims,
                                                  const cnp.npy_intp *strides, void *data, int flags, void *obj)
    void *mlopt_descr "PyArray_DESCR"(cnp.ndarray)
    bint mlopt_same_type "PyArray_EquivTypes"(void *, void *)

LOOK_SECONDS = 0.001  # between looks for a queue that is not there yet


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
cdef class SPSCQueue(RecordQueue):
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
        cdef bytes description = self.attach_ring(memory)
        shape, dtype = format_of(description)
        if dtype.itemsize * math.prod(shape) != self.ring.record_bytes:
            raise ValueError(f"{memory.name!r} is damaged: {shape} of {dtype} are not {self.ring.record_bytes} bytes")
        self.view_block = new_block(self.ring.slots * sizeof(PyObject *), True)
        self.views = <PyObject **>self.view_block.data
        self.shape = shape
        self.record_type = dtype
        self.ndim = len(shape)
        for axis in range(self.ndim):
            self.dims[axis] = shape[axis]
        self.record_bytes = self.ring.record_bytes
        return 0

    def __dealloc__(self):
        cdef uint64_t slot
        if self.views == NULL:
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
    # What it is

    def __reduce__(self):
        if self.memory is None or self.memory.name is None:
            raise TypeError("a queue without a name cannot be sent to another process: give it one (name=)")
        return type(self).attach, (self.memory.name,)

    @property
    def dtype(self):
        """The dtype of a record."""
        return self.record_type

    def __repr__(self):
        name = "" if self.name is None else f", name={self.name!r}"
        return (f"SPSCQueue({self.shape}, {self.dtype}, capacity={self.capacity}{name}: {len(self)} records"
                f"{', closed' if self.closed else ''})")


__all__ = ["PeerDied", "QueueClosed", "SPSCQueue"]
