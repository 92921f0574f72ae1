"""Pools of equal arrays: reserved at once, acquired and released in constant time without allocating."""
cimport cython
cimport numpy as cnp
from cpython.exc cimport PyErr_CheckSignals
from cpython.number cimport PyIndex_Check
from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF, Py_XDECREF
from libc.stdint cimport SIZE_MAX, int64_t, uint32_t, uint64_t
from libc.stdio cimport fprintf, stderr
from libc.stdlib cimport abort

from mlopt.memory.aligned cimport parse_layout

import numpy as np

cnp.import_array()

cdef extern from "lockfree/thread_index.h" nogil:
    void mlopt_thread_index_initialise()

mlopt_thread_index_initialise()

cdef extern from "lockfree/clock.h" nogil:
    int64_t mlopt_clock_now()

cdef extern from "memory/array_pool.h" nogil:
    mlopt_array_pool *mlopt_array_pool_create(size_t, uint32_t, mlopt_pool_policy, int, int, uint64_t)
    void mlopt_array_pool_destroy(mlopt_array_pool *)
    mlopt_pool_slot *mlopt_array_pool_acquire(mlopt_array_pool *, mlopt_pool_status *)
    mlopt_pool_slot *mlopt_array_pool_acquire_waiting(mlopt_array_pool *, int64_t, mlopt_pool_status *)
    void mlopt_array_pool_give_back(mlopt_array_pool *, mlopt_pool_slot *)
    mlopt_pool_slot *mlopt_array_pool_find(mlopt_array_pool *, const void *)
    mlopt_pool_slot *mlopt_array_pool_slot(mlopt_array_pool *, uint32_t)
    int64_t mlopt_array_pool_unpoison(const mlopt_array_pool *, mlopt_pool_slot *)
    size_t mlopt_array_pool_trim(mlopt_array_pool *)
    int mlopt_array_pool_close(mlopt_array_pool *)
    void mlopt_array_pool_unmap(mlopt_array_pool *)
    void mlopt_array_pool_stats(mlopt_array_pool *, mlopt_array_pool_statistics *)
    uint32_t mlopt_array_pool_capacity(const mlopt_array_pool *)
    uint32_t mlopt_array_pool_fresh(const mlopt_array_pool *)
    bint mlopt_array_pool_closed(const mlopt_array_pool *)
    void mlopt_array_pool_note_leak(mlopt_array_pool *)
    uint64_t mlopt_pool_slot_state(const mlopt_pool_slot *)
    bint mlopt_pool_slot_end(mlopt_pool_slot *, uint64_t)
    bint mlopt_pool_slot_in_use(const mlopt_pool_slot *)

cdef extern from *:
    """
    /* The base of an array that has one, exchanged; steals the reference. */
    static void mlopt_exchange_base(PyObject *array, PyObject *base)
    {
        PyArrayObject_fields *fields = (PyArrayObject_fields *)array;
        PyObject *old = fields->base;
        fields->base = base;
        Py_XDECREF(old);
    }

    /* Whether someone besides the one reference that the caller owns may hold the object.  Without the GIL
     * a count cannot be trusted. */
    static int mlopt_may_be_shared(PyObject *object)
    {
    #ifdef Py_GIL_DISABLED
        (void)object;
        return 1;
    #else
        return Py_REFCNT(object) > 1;
    #endif
    }
    """
    void mlopt_exchange_base(PyObject *, PyObject *)
    bint mlopt_may_be_shared(PyObject *)

cdef extern from "numpy/arrayobject.h":
    # the declaration of Cython's own numpy.pxd wants objects where NULL is meant
    object mlopt_new_array "PyArray_NewFromDescr"(object subtype, cnp.dtype descr, int ndim, const cnp.npy_intp *dims,
                                                  const cnp.npy_intp *strides, void *data, int flags, void *obj)
    void *PyArray_DESCR(cnp.ndarray)

cdef extern from * nogil:
    bint __builtin_mul_overflow(size_t, size_t, size_t *)

POLICIES = {"raise": MLOPT_POOL_RAISE, "grow": MLOPT_POOL_GROW, "wait": MLOPT_POOL_WAIT}
cdef int64_t FOR_EVER = -1
cdef double LONGEST = 1e9  # seconds, about 30 years: more is for ever


class PoolEmpty(MemoryError):
    """Every array of an :class:`ArrayPool` with ``when_empty="raise"`` is leased.

    Examples
    --------
    >>> import mlopt
    >>> pool = mlopt.ArrayPool(3, capacity=1)
    >>> lease = pool.acquire()
    >>> pool.acquire()
    Traceback (most recent call last):
        ...
    mlopt.memory.array_pool.PoolEmpty: all 1 arrays of the pool are leased
    """


cdef class PoolMemory:
    """The memory of a pool, unmapped when neither pool nor any array refers to it any more."""

    def __init__(self):
        raise TypeError("the memory of a pool is made by mlopt.ArrayPool")

    def __dealloc__(self):
        if self.pool != NULL:
            mlopt_array_pool_destroy(self.pool)


@cython.no_gc
@cython.final
cdef class Orphan:
    """The base of an array that outlived its lease: gives the slot back when the last view is gone."""
    cdef ArrayPool pool
    cdef mlopt_pool_slot *slot
    cdef uint64_t state

    def __init__(self):
        raise TypeError("made where a lease is collected before its array")

    def __dealloc__(self):
        if self.slot != NULL and mlopt_pool_slot_end(self.slot, self.state):
            self.pool.give_back(self.slot)


@cython.freelist(256)
@cython.no_gc
@cython.final
cdef class Lease:
    """An array of an :class:`ArrayPool` for a time: what :meth:`ArrayPool.acquire` returns.

    As a context manager it releases the array at the end, unless that was done before.

    A lease that is collected without having been released gives its slot back by itself, once its array and all
    views of it are gone, too; it counts as ``leaked`` in :attr:`ArrayPool.statistics`.

    Examples
    --------
    >>> import mlopt
    >>> pool = mlopt.ArrayPool((2, 3), "float32", 10)
    >>> with pool.acquire() as lease:
    ...     lease.array.fill(1)
    >>> lease.released
    True
    """

    def __init__(self):
        raise TypeError("leases are made by ArrayPool.acquire")

    def __dealloc__(self):
        if self.slot != NULL and mlopt_pool_slot_state(self.slot) == self.state:
            abandon(self)

    @property
    def array(self):
        """The array; ValueError after the release.

        Until then it is the same object every time; with ``debug=False`` later leases of the same slot get that
        object, too, so do not change its shape or flags for good.
        """
        if self.slot == NULL or mlopt_pool_slot_state(self.slot) != self.state:
            raise ValueError(released_message(self))
        return <object>self.slot.view

    @property
    def released(self):
        """Whether the array was given back."""
        return self.slot == NULL or mlopt_pool_slot_state(self.slot) != self.state

    @property
    def slot(self):
        """The number of the slot in its pool, from 0."""
        return self.slot.number if self.slot != NULL else None

    cdef bint end(self) noexcept:
        if self.slot == NULL or not mlopt_pool_slot_end(self.slot, self.state):
            return False
        self.pool.give_back(self.slot)
        return True

    def release(self):
        """Give the array back; nothing may use it any more.

        Raises
        ------
        ValueError
            If it was given back before.
        """
        if not self.end():
            raise ValueError(released_message(self))

    def __enter__(self):
        if self.slot == NULL or mlopt_pool_slot_state(self.slot) != self.state:
            raise ValueError(released_message(self))
        return self

    def __exit__(self, exc_type=None, exc_value=None, traceback=None):
        self.end()
        return False

    def __repr__(self):
        if self.slot == NULL:
            return "<Lease of nothing>"
        what = "released" if self.released else f"{self.pool.shape} {self.pool.dtype}"
        return f"<Lease of slot {self.slot.number}, {what}>"


cdef str released_message(Lease lease):
    if lease.slot == NULL:
        return "the lease is of nothing"
    return f"the lease of slot {lease.slot.number} was released already"


cdef abandon(Lease lease):
    """A lease is collected that was not released."""
    cdef mlopt_pool_slot *slot = lease.slot
    cdef PyObject *view = <PyObject *>slot.view
    cdef Orphan orphan
    mlopt_array_pool_note_leak(lease.pool.pool)
    if mlopt_may_be_shared(view):
        orphan = Orphan.__new__(Orphan)  # without memory for it the slot stays in use, which is safe
        orphan.pool = lease.pool
        orphan.slot = slot
        orphan.state = lease.state
        slot.view = NULL
        Py_INCREF(orphan)
        mlopt_exchange_base(view, <PyObject *>orphan)
        Py_XDECREF(view)  # may be the last reference, then the orphan gives the slot back
    else:
        lease.end()


cdef uint64_t poison_of(cnp.dtype dtype):
    """A signalling NaN for floats and complex numbers, else 0xDB bytes."""
    if dtype.kind in "fc" and dtype.isnative:
        part = dtype.itemsize // (2 if dtype.kind == "c" else 1)
        if part == 8:
            return 0x7FF4DBDBDBDBDBDB
        if part == 4:
            return 0x7FA4DBDB7FA4DBDB
        if part == 2:
            return 0x7DDB7DDB7DDB7DDB
    return 0xDBDBDBDBDBDBDBDB


cdef int64_t nanoseconds_of(object timeout) except? -1:
    cdef double seconds
    if timeout is None:
        return FOR_EVER
    try:
        seconds = timeout
    except TypeError:
        raise TypeError(f"timeout must be a number of seconds or None, not {type(timeout).__name__}") from None
    if not seconds >= 0:
        raise ValueError(f"timeout={timeout} must be at least 0 seconds")
    return FOR_EVER if seconds >= LONGEST else <int64_t>(1e9 * seconds)


@cython.no_gc
cdef class ArrayPool:
    """A fixed number of equal arrays, reserved at once and lent out one by one.

    Acquiring, using and releasing an array allocates nothing and takes some tens of nanoseconds.  Address space is
    reserved when the pool is made; memory is taken, in huge pages where the system offers them, when an
    array is first used.  Every array begins on a cache line and is C-contiguous.

    Parameters
    ----------
    shape : int or sequence of ints
        Shape of the arrays.
    dtype : dtype_like, default float64
        Their type, without Python objects in it.
    capacity : int, default 1024
        How many there are.
    when_empty : {"raise", "grow", "wait"}, default "raise"
        What :meth:`acquire` does when all are leased: raise :class:`PoolEmpty`, double the capacity, or
        wait until one is released.
    zero_on_release : bool, default False
        Fill arrays with zeros when they are released, so that every array is acquired full of zeros.  Otherwise
        an array holds what its last user left, or zeros.
    debug : bool, default False
        Find uses after the release: a released array is filled with signalling NaN (types other than
        floating-point ones: 0xDB bytes), the array object becomes read-only, every lease gets an array object of its
        own, and an array that was written to after its release through some other view is reported when it is
        acquired next.

    Attributes
    ----------
    shape : tuple of int
        Shape of the arrays.
    dtype : dtype
        Their type.
    capacity : int
        How many there are; also ``len(pool)``.
    statistics : dict
        What the pool was used for.
    closed : bool
        Whether :meth:`close` was called.

    Raises
    ------
    TypeError
        If `shape` or `capacity` are no integers or `dtype` holds objects.
    ValueError
        If the size overflows, `capacity` is not from 1 to 2\\ :sup:`31`, or `when_empty` is unknown.
    MemoryError
        If there is no address space.

    Notes
    -----
    All methods may be called by any thread; an array belongs to the holder of its lease.  Free arrays lie in lock-free
    stacks, one a thread (Treiber, "Systems Programming: Coping with Parallelism", IBM RJ 5118, 1986; heads are
    tagged against the ABA problem), from which other threads take when the pool is otherwise empty.

    Examples
    --------
    >>> import mlopt
    >>> pool = mlopt.ArrayPool((32, 32), capacity=100)
    >>> with pool.acquire() as lease:
    ...     lease.array[:] = 1.5
    ...     total = lease.array.sum()
    >>> total, pool.statistics["in_use"]
    (np.float64(1536.0), 0)
    """

    def __cinit__(self, shape, dtype=np.float64, capacity=1024, *, when_empty="raise", bint zero_on_release=False,
                  bint debug=False):
        cdef size_t nbytes, total
        cdef uint64_t slots
        cdef bint overflow = False
        cdef int axis
        self._dtype = parse_layout(shape, dtype, self.dims, &self.ndim)
        nbytes = self._dtype.itemsize
        for axis in range(self.ndim):
            overflow |= __builtin_mul_overflow(nbytes, <size_t>self.dims[axis], &nbytes)
        if not PyIndex_Check(capacity):
            raise TypeError(f"capacity must be an integer, not {type(capacity).__name__}")
        if not 1 <= capacity <= MLOPT_POOL_MAX_CAPACITY:
            raise ValueError(f"capacity={capacity} must be from 1 to {MLOPT_POOL_MAX_CAPACITY}")
        if not isinstance(when_empty, str) or when_empty not in POLICIES:
            raise ValueError(f"when_empty={when_empty!r} must be one of {', '.join(map(repr, POLICIES))}")
        slots = capacity
        if overflow or nbytes > SIZE_MAX // 4 or __builtin_mul_overflow(nbytes + 64, slots, &total) \
                or total > SIZE_MAX // 4:
            raise ValueError(f"{capacity} arrays of shape {self.shape} of {self._dtype} are too large: "
                             "their size in bytes overflows")
        self.nbytes = nbytes
        self.memory = PoolMemory.__new__(PoolMemory)
        self.memory.pool = mlopt_array_pool_create(nbytes, <uint32_t>slots, POLICIES[when_empty], zero_on_release,
                                                   debug, poison_of(self._dtype))
        if self.memory.pool == NULL:
            raise MemoryError(f"no address space for {capacity} arrays of shape {self.shape} of {self._dtype}")
        self.pool = self.memory.pool

    def __dealloc__(self):
        if self.pool != NULL:
            drop_views(self.pool)

    cdef int prepare(self, mlopt_pool_slot *slot) except -1:
        """A slot that was just acquired gets its array; it is given back where that fails."""
        cdef int64_t written = -1
        cdef cnp.ndarray view
        try:
            if self.pool.poison:
                written = mlopt_array_pool_unpoison(self.pool, slot)
                if written >= 0:
                    raise RuntimeError(f"slot {slot.number} of the pool was written to after its release, at byte "
                                       f"{written} of {self.nbytes}")
            if slot.view == NULL:
                Py_INCREF(self._dtype)  # stolen below
                view = mlopt_new_array(cnp.ndarray, self._dtype, self.ndim, self.dims, NULL, slot.data,
                                       cnp.NPY_ARRAY_CARRAY, NULL)
                cnp.set_array_base(view, self.memory)
                self.view_flags = cnp.PyArray_FLAGS(view)
                Py_INCREF(view)
                slot.view = <void *>view
        except BaseException:
            mlopt_pool_slot_end(slot, mlopt_pool_slot_state(slot))
            self.give_back(slot)
            raise
        return 0

    cdef void give_back(self, mlopt_pool_slot *slot) noexcept:
        """The slot's acquisition has ended; its array is kept where the next lease can have it as it is."""
        cdef PyObject *view = <PyObject *>slot.view
        if view != NULL and (self.pool.poison or not self.is_intact(view, slot)):
            slot.view = NULL
            if self.pool.poison:
                cnp.PyArray_CLEARFLAGS(<cnp.ndarray>view, cnp.NPY_ARRAY_WRITEABLE)
            Py_XDECREF(view)
        mlopt_array_pool_give_back(self.pool, slot)

    cdef mlopt_pool_slot *wait(self, mlopt_pool_status status, object timeout, bint required) except? NULL:
        """There was no free slot: what the policy says.  NULL without an error where none is `required`."""
        cdef mlopt_pool_slot *slot = NULL
        cdef int64_t nanoseconds = nanoseconds_of(timeout), start = mlopt_clock_now(), left = nanoseconds
        if status == MLOPT_POOL_IS_EMPTY and required and self.pool.policy == MLOPT_POOL_WAIT:
            while True:
                with nogil:
                    slot = mlopt_array_pool_acquire_waiting(self.pool, left, &status)
                if slot != NULL:
                    return slot
                if status != MLOPT_POOL_INTERRUPTED:
                    break
                PyErr_CheckSignals()
                if nanoseconds >= 0:
                    left = max(<int64_t>0, nanoseconds - (mlopt_clock_now() - start))
        if status == MLOPT_POOL_IS_CLOSED:
            raise ValueError("the pool is closed")
        if not required:
            return NULL
        if status == MLOPT_POOL_NO_MEMORY:
            raise MemoryError(f"the pool cannot grow beyond {self.capacity} arrays: no address space")
        if self.pool.policy == MLOPT_POOL_WAIT:
            raise TimeoutError(f"all {self.capacity} arrays of the pool were leased for {timeout} seconds")
        raise PoolEmpty(f"all {self.capacity} arrays of the pool are leased")

    def acquire(self, timeout=None):
        """Lease an array.

        Parameters
        ----------
        timeout : float, optional
            With ``when_empty="wait"``: seconds to wait for an array when all are leased; for ever by default.

        Returns
        -------
        Lease
            Keep it as long as the array is used.

        Raises
        ------
        PoolEmpty
            If all arrays are leased and ``when_empty="raise"``.
        TimeoutError
            If none came back in time.
        MemoryError
            If the pool cannot grow.
        ValueError
            If the pool is closed, or `timeout` is given and the pool does not wait.
        RuntimeError
            If ``debug=True`` and the array was written to after its release; the next call gets it anew.

        Examples
        --------
        >>> import mlopt
        >>> pool = mlopt.ArrayPool(1000, "float32")
        >>> lease = pool.acquire()
        >>> lease.array.shape
        (1000,)
        >>> lease.release()
        """
        cdef Lease lease
        cdef mlopt_pool_slot *slot
        cdef mlopt_pool_status status = MLOPT_POOL_OK
        if timeout is not None:
            nanoseconds_of(timeout)
            if self.pool.policy != MLOPT_POOL_WAIT:
                raise ValueError(f"timeout={timeout} is for pools with when_empty='wait'")
        lease = Lease.__new__(Lease)
        slot = mlopt_array_pool_acquire(self.pool, &status)
        if slot == NULL:
            slot = self.wait(status, timeout, True)
        if slot.view == NULL or self.pool.poison:
            self.prepare(slot)
        lease.pool = self
        lease.state = mlopt_pool_slot_state(slot)
        lease.slot = slot
        return lease

    def try_acquire(self):
        """Lease an array if there is one without waiting; a pool that grows has one.

        Returns
        -------
        Lease or None
            None where all are leased.

        Raises
        ------
        ValueError
            If the pool is closed.

        Examples
        --------
        >>> import mlopt
        >>> pool = mlopt.ArrayPool(3, capacity=1)
        >>> first, second = pool.try_acquire(), pool.try_acquire()
        >>> first, second
        (<Lease of slot 0, (3,) float64>, None)
        """
        cdef Lease lease = Lease.__new__(Lease)
        cdef mlopt_pool_status status = MLOPT_POOL_OK
        cdef mlopt_pool_slot *slot = mlopt_array_pool_acquire(self.pool, &status)
        if slot == NULL:
            self.wait(status, None, False)
            return None
        if slot.view == NULL or self.pool.poison:
            self.prepare(slot)
        lease.pool = self
        lease.state = mlopt_pool_slot_state(slot)
        lease.slot = slot
        return lease

    def release(self, array_or_lease):
        """Give an array back, by its lease or by itself.

        Parameters
        ----------
        array_or_lease : Lease or ndarray
            A lease of this pool, or its `array` (the very object, not a view of it).

        Raises
        ------
        TypeError
            If it is neither.
        ValueError
            If it was given back before, or is not of this pool.

        Examples
        --------
        >>> import mlopt
        >>> pool = mlopt.ArrayPool(3)
        >>> lease = pool.acquire()
        >>> pool.release(lease.array)
        >>> lease.released
        True
        """
        cdef mlopt_pool_slot *slot
        cdef Lease lease
        if isinstance(array_or_lease, Lease):
            lease = <Lease>array_or_lease
            if lease.pool is not self:
                raise ValueError(f"{lease!r} is of another pool")
            lease.release()
            return
        if not isinstance(array_or_lease, cnp.ndarray):
            raise TypeError(f"array_or_lease must be a Lease or an ndarray, not {type(array_or_lease).__name__}")
        slot = self.slot_of(array_or_lease)
        if not mlopt_pool_slot_end(slot, mlopt_pool_slot_state(slot)):
            raise ValueError(f"the array of slot {slot.number} was released already")
        self.give_back(slot)

    def trim(self):
        """Give the memory of free arrays back to the system; the address space stays reserved.

        Their contents are zero afterwards.

        Returns
        -------
        int
            How many bytes of whole pages the free arrays fill.

        Examples
        --------
        >>> import mlopt
        >>> pool = mlopt.ArrayPool((512, 512), capacity=4)
        >>> with pool.acquire() as lease:
        ...     lease.array.fill(1)
        >>> pool.trim()
        2097152
        """
        return mlopt_array_pool_trim(self.pool)

    def close(self):
        """Give all memory back; every later call of :meth:`acquire` raises ValueError.

        Arrays that were released and are still referred to keep the memory until they are gone.

        Raises
        ------
        ValueError
            If arrays are leased; nothing is changed.

        Examples
        --------
        >>> import mlopt
        >>> pool = mlopt.ArrayPool(1000)
        >>> pool.close()
        >>> pool.closed
        True
        """
        if self.closed:
            return
        if not mlopt_array_pool_close(self.pool):
            raise ValueError(f"{self.statistics['in_use']} arrays of the pool are still leased")
        drop_views(self.pool)
        if not mlopt_may_be_shared(<PyObject *>self.memory):
            mlopt_array_pool_unmap(self.pool)

    @property
    def closed(self):
        """Whether :meth:`close` was called."""
        return mlopt_array_pool_closed(self.pool)

    @property
    def shape(self):
        """Shape of the arrays."""
        return tuple([self.dims[axis] for axis in range(self.ndim)])

    @property
    def dtype(self):
        """Type of the arrays."""
        return self._dtype

    @property
    def capacity(self):
        """How many arrays the pool has; more after it grew."""
        return mlopt_array_pool_capacity(self.pool)

    def __len__(self):
        return mlopt_array_pool_capacity(self.pool)

    @property
    def statistics(self):
        """What the pool was used for, in time proportional to the arrays that were ever used.

        ``capacity``; ``in_use``, arrays leased now; ``high_water``, the most that were ever leased together
        (where several threads acquire, the sum over the threads of the most that each had, which can be more);
        ``acquisitions``; ``misses``, how often all were leased when one was wanted; ``grown``, arrays added
        since; ``leaked``, leases collected without a release.  While other threads use the pool, the figures are
        approximate.
        """
        cdef mlopt_array_pool_statistics statistics
        mlopt_array_pool_stats(self.pool, &statistics)
        return {
            "capacity": statistics.capacity,
            "in_use": statistics.in_use,
            "high_water": statistics.high_water,
            "misses": statistics.misses,
            "acquisitions": statistics.acquisitions,
            "grown": statistics.grown,
            "leaked": statistics.leaked,
        }

    def __repr__(self):
        return f"ArrayPool({self.shape}, {str(self.dtype)!r}, {self.capacity})"

    def __reduce__(self):
        raise TypeError("a pool cannot be pickled: its arrays belong to this process")

    cdef bint is_intact(self, PyObject *kept, mlopt_pool_slot *slot) noexcept:
        """Whether nobody changed the array itself (its flags, shape, type)."""
        cdef cnp.ndarray view = <cnp.ndarray>kept
        cdef int axis
        if (cnp.PyArray_FLAGS(view) != self.view_flags or cnp.PyArray_NDIM(view) != self.ndim
                or PyArray_DESCR(view) != <void *>self._dtype or cnp.PyArray_DATA(view) != slot.data):
            return False
        for axis in range(self.ndim):
            if cnp.PyArray_DIM(view, axis) != self.dims[axis]:
                return False
        return True

    cdef mlopt_pool_slot *slot_of(self, cnp.ndarray array) except NULL:
        """The slot that an array was leased from."""
        cdef mlopt_pool_slot *slot
        cdef PyObject *base = cnp.PyArray_BASE(array)
        if base != NULL and isinstance(<object>base, Orphan) and (<Orphan><object>base).pool is self:
            return (<Orphan><object>base).slot
        slot = mlopt_array_pool_find(self.pool, cnp.PyArray_DATA(array))
        what = f"array of shape {(<object>array).shape} of {array.dtype}"
        if slot == NULL or base == NULL:
            if base != NULL and isinstance(<object>base, (PoolMemory, Orphan)) and <object>base is not self.memory:
                raise ValueError(f"the {what} is of another pool")
            raise ValueError(f"the {what} is not one that this pool lent")
        if not mlopt_pool_slot_in_use(slot):
            raise ValueError(f"the array of slot {slot.number} was released already")
        if slot.view != <void *>array:
            raise ValueError(f"the {what} is a view or an earlier array of slot {slot.number}, not the one leased: "
                             "release the lease")
        return slot


cdef void drop_views(mlopt_array_pool *pool) noexcept:
    """Let the arrays go that are kept with the slots; nobody holds a slot."""
    cdef mlopt_pool_slot *slot
    cdef uint32_t number
    for number in range(mlopt_array_pool_fresh(pool)):
        slot = mlopt_array_pool_slot(pool, number)
        Py_XDECREF(<PyObject *>slot.view)
        slot.view = NULL


cdef void *acquire_slot(ArrayPool pool) noexcept nogil:
    cdef mlopt_pool_status status
    cdef mlopt_pool_slot *slot = mlopt_array_pool_acquire(pool.pool, &status)
    if slot == NULL:
        return NULL
    if pool.pool.poison and mlopt_array_pool_unpoison(pool.pool, slot) >= 0:
        fprintf(stderr, "mlopt: slot %u of a pool was written to after its release\n", <unsigned int>slot.number)
        abort()
    return slot.data


cdef bint release_slot(ArrayPool pool, void *data) noexcept nogil:
    cdef mlopt_pool_slot *slot = mlopt_array_pool_find(pool.pool, data)
    if slot == NULL or not mlopt_pool_slot_end(slot, mlopt_pool_slot_state(slot)):
        return False
    mlopt_array_pool_give_back(pool.pool, slot)
    return True


def time_acquire_release(ArrayPool pool not None, size_t calls=100_000):
    """Nanoseconds for one acquire and release of a slot, in C, over `calls` calls in a row."""
    cdef size_t _i
    cdef int64_t start
    with nogil:
        start = mlopt_clock_now()
        for _i in range(calls):
            release_slot(pool, acquire_slot(pool))
        start = mlopt_clock_now() - start
    return <double>start / calls


__all__ = ["ArrayPool", "Lease", "PoolEmpty", "time_acquire_release"]
