"""A hash map that threads share without locks."""
cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_Check, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.long cimport PyLong_AsLongLongAndOverflow
from cpython.number cimport PyIndex_Check, PyNumber_Index
from libc.string cimport memcpy

cimport numpy as cnp

from mlopt._kernels.core cimport slab_acquire, slab_acquire_zeroed, slab_release

import os

import numpy as np

cnp.import_array()


cdef extern from "lockfree/map.h" nogil:
    void mlopt_map_use_memory(void *(*)(size_t) noexcept nogil, void *(*)(size_t) noexcept nogil,
                              void (*)(void *) noexcept nogil)
    mlopt_map *mlopt_map_create(mlopt_map_keys, uint64_t, uint64_t, uint64_t)
    void mlopt_map_destroy(mlopt_map *)
    mlopt_map_keys mlopt_map_kind(const mlopt_map *)
    int mlopt_map_find(mlopt_map *, int64_t, int64_t *)
    int mlopt_map_find_bytes(mlopt_map *, const void *, size_t, int64_t *)
    int64_t mlopt_map_find_many(mlopt_map *, const int64_t *, size_t, int64_t, int64_t *)
    int mlopt_map_put(mlopt_map *, mlopt_map_key, int64_t, int64_t *)
    int mlopt_map_insert(mlopt_map *, mlopt_map_key, int64_t, int64_t *)
    int mlopt_map_update_if(mlopt_map *, mlopt_map_key, int64_t, int64_t)
    int mlopt_map_add(mlopt_map *, mlopt_map_key, int64_t, int64_t *)
    int mlopt_map_remove(mlopt_map *, mlopt_map_key, int64_t *)
    int mlopt_map_clear(mlopt_map *)
    int64_t mlopt_map_count(mlopt_map *)
    uint64_t mlopt_map_bytes(mlopt_map *)
    size_t mlopt_map_collect(mlopt_map *)
    int mlopt_map_walk_begin(mlopt_map *, mlopt_map_walk *)
    int mlopt_map_walk_next(mlopt_map_walk *, mlopt_map_key *, int64_t *)
    void mlopt_map_walk_end(mlopt_map_walk *)


mlopt_map_use_memory(slab_acquire, slab_acquire_zeroed, slab_release)

cdef object MISSING = object()


cdef int64_t as_int64(object number, str argument) except? -1:
    cdef int overflow = 0
    cdef int64_t result
    if not isinstance(number, int):
        if not PyIndex_Check(number):
            raise TypeError(f"{argument} must be an integer, not {type(number).__name__}")
        number = PyNumber_Index(number)
    result = PyLong_AsLongLongAndOverflow(number, &overflow)
    if overflow:
        raise ValueError(f"{argument} must be from -2**63 to 2**63 - 1, not {number}")
    return result


cdef int check(int status) except -1:
    if status == MLOPT_MAP_NO_MEMORY:
        raise MemoryError("no memory for the map to grow; it is unchanged")
    return status


cdef inline mlopt_map_key of_int64(int64_t number) noexcept nogil:
    cdef mlopt_map_key key
    key.data = NULL
    key.bytes = 0
    key.number = number
    return key


cdef inline mlopt_map_key of_bytes(const void *data, size_t size) noexcept nogil:
    cdef mlopt_map_key key
    key.data = data
    key.bytes = size
    key.number = 0
    return key


cdef object key_object(const mlopt_map_key *key):
    if key.data == NULL:
        return key.number
    return PyBytes_FromStringAndSize(<const char *>key.data, key.bytes)


@cython.final
cdef class ConcurrentMap:
    """A hash map from integers or bytes to 64-bit integers that any number of threads read and change at once.

    No operation locks: a thread that stops anywhere holds up no other.  Reading waits for nobody, not even for the
    map while it grows.  Each operation on one key happens at one moment between its call and its return.  Without
    the GIL, Cython code calls the ``find_int64``, ``put_int64``, ... of ``mlopt/concurrent/map.pxd``.

    Parameters
    ----------
    key : {"int64", "bytes"}, default "int64"
        What keys are: integers from ``-2**63`` to ``2**63 - 1``, or :class:`bytes` of any length.
    capacity : int, default 0
        How many keys there is room for before the map grows, at most ``2**36``.

    Raises
    ------
    ValueError
        If one of the parameters is not among these.
    MemoryError
        If there is no memory for `capacity` keys; later, where the map would have to grow and cannot: it is then
        unchanged.

    Notes
    -----
    Values are integers from ``-2**63`` to ``2**63 - 1``: figures, bit patterns of floats, or numbers of slots
    in an array.  An integer key takes 16 bytes of a table that is at most 5/8 full; a key of bytes 192 or more
    besides.  Tables double, and are cleaned of removed keys, but do not become smaller; memory goes back
    to the slab pool with the map, and that of an outgrown table as soon as no thread can be reading it.

    Open addressing in the manner of Cliff Click's non-blocking hash table, with epochs for reclamation:
    :doc:`/guide/concurrent_map` describes the protocol.  Operations take expected constant time; a change that finds
    the table used up allocates the next, and every change made meanwhile copies 512 entries of it.  Hashes
    depend on a random number of each map.

    Examples
    --------
    >>> from mlopt.concurrent import ConcurrentMap
    >>> positions = ConcurrentMap(capacity=1000)
    >>> positions[7203] = 100
    >>> positions.add(7203, -30)
    70
    >>> positions[7203], positions.get(1), 1 in positions
    (70, None, False)
    >>> slots = ConcurrentMap(key="bytes")
    >>> slots.insert(b"BTCUSDT", 0), slots.insert(b"BTCUSDT", 1)
    (True, False)
    >>> slots.items()
    [(b'BTCUSDT', 0)]
    """

    def __cinit__(self, key="int64", capacity=0):
        cdef mlopt_map_keys kind
        cdef uint64_t secret[2]
        cdef int64_t room = as_int64(capacity, "capacity")
        cdef bytes random
        if not isinstance(key, str) or key not in ("int64", "bytes"):
            raise ValueError(f"key must be 'int64' or 'bytes', not {key!r}")
        if not 0 <= room <= <int64_t>MLOPT_MAP_MAX_CAPACITY:
            raise ValueError(f"capacity must be from 0 to {MLOPT_MAP_MAX_CAPACITY}, not {capacity}")
        kind = MLOPT_MAP_BYTES if key == "bytes" else MLOPT_MAP_INT64
        random = os.urandom(sizeof(secret))
        memcpy(secret, PyBytes_AS_STRING(random), sizeof(secret))
        self.map = mlopt_map_create(kind, room, secret[0], secret[1])
        if self.map == NULL:
            raise MemoryError(f"no memory for a map of {capacity} keys")

    def __dealloc__(self):
        mlopt_map_destroy(self.map)

    # ------------------------------------------------------------------------------------------
    # Without the GIL

    cdef int find_int64(self, int64_t key, int64_t *value) noexcept nogil:
        return mlopt_map_find(self.map, key, value)

    cdef int find_bytes(self, const void *key, size_t size, int64_t *value) noexcept nogil:
        return mlopt_map_find_bytes(self.map, key, size, value)

    cdef int put_int64(self, int64_t key, int64_t value, int64_t *previous) noexcept nogil:
        return mlopt_map_put(self.map, of_int64(key), value, previous)

    cdef int put_bytes(self, const void *key, size_t size, int64_t value, int64_t *previous) noexcept nogil:
        return mlopt_map_put(self.map, of_bytes(key, size), value, previous)

    cdef int insert_int64(self, int64_t key, int64_t value, int64_t *present) noexcept nogil:
        return mlopt_map_insert(self.map, of_int64(key), value, present)

    cdef int insert_bytes(self, const void *key, size_t size, int64_t value, int64_t *present) noexcept nogil:
        return mlopt_map_insert(self.map, of_bytes(key, size), value, present)

    cdef int update_int64_if(self, int64_t key, int64_t expected, int64_t value) noexcept nogil:
        return mlopt_map_update_if(self.map, of_int64(key), expected, value)

    cdef int update_bytes_if(self, const void *key, size_t size, int64_t expected, int64_t value) noexcept nogil:
        return mlopt_map_update_if(self.map, of_bytes(key, size), expected, value)

    cdef int add_int64(self, int64_t key, int64_t delta, int64_t *sum) noexcept nogil:
        return mlopt_map_add(self.map, of_int64(key), delta, sum)

    cdef int add_bytes(self, const void *key, size_t size, int64_t delta, int64_t *sum) noexcept nogil:
        return mlopt_map_add(self.map, of_bytes(key, size), delta, sum)

    cdef int remove_int64(self, int64_t key, int64_t *previous) noexcept nogil:
        return mlopt_map_remove(self.map, of_int64(key), previous)

    cdef int remove_bytes(self, const void *key, size_t size, int64_t *previous) noexcept nogil:
        return mlopt_map_remove(self.map, of_bytes(key, size), previous)

    cdef int64_t find_many(self, const int64_t *keys, size_t count, int64_t missing, int64_t *values) noexcept nogil:
        return mlopt_map_find_many(self.map, keys, count, missing, values)

    # ------------------------------------------------------------------------------------------
    # From Python

    cdef int parse(self, object key, mlopt_map_key *parsed) except -1:
        if mlopt_map_kind(self.map) == MLOPT_MAP_INT64:
            parsed[0] = of_int64(as_int64(key, "key"))
        elif PyBytes_Check(key):
            parsed[0] = of_bytes(PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key))
        else:
            raise TypeError(f"key must be bytes, not {type(key).__name__}")
        return 0

    cdef int get_value(self, object key, int64_t *value) except -1:
        if mlopt_map_kind(self.map) == MLOPT_MAP_INT64:
            return check(mlopt_map_find(self.map, as_int64(key, "key"), value))
        if not PyBytes_Check(key):
            raise TypeError(f"key must be bytes, not {type(key).__name__}")
        return check(mlopt_map_find_bytes(self.map, PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key), value))

    def get(self, key, default=None):
        """The value of a key, or `default`.

        Parameters
        ----------
        key : int or bytes
        default : object, optional
            What is returned for a key that is not there.

        Returns
        -------
        int

        Raises
        ------
        TypeError
            If `key` is not of the map's type; so in all methods.
        ValueError
            If an integer does not fit into 64 bits; so in all methods.
        """
        cdef int64_t value
        return value if self.get_value(key, &value) else default

    def __getitem__(self, key):
        cdef int64_t value
        if not self.get_value(key, &value):
            raise KeyError(key)
        return value

    def __contains__(self, key):
        cdef int64_t value
        return self.get_value(key, &value) == 1

    def __setitem__(self, key, value):
        cdef mlopt_map_key parsed
        self.parse(key, &parsed)
        check(mlopt_map_put(self.map, parsed, as_int64(value, "value"), NULL))

    def __delitem__(self, key):
        cdef mlopt_map_key parsed
        self.parse(key, &parsed)
        if not check(mlopt_map_remove(self.map, parsed, NULL)):
            raise KeyError(key)

    def pop(self, key, default=MISSING):
        """Remove a key and return its value; without the key `default`, or KeyError.

        Of several threads that pop a key, one gets the value.

        Parameters
        ----------
        key : int or bytes
        default : object, optional

        Returns
        -------
        int
        """
        cdef mlopt_map_key parsed
        cdef int64_t value
        self.parse(key, &parsed)
        if check(mlopt_map_remove(self.map, parsed, &value)):
            return value
        if default is MISSING:
            raise KeyError(key)
        return default

    def setdefault(self, key, value):
        """The value of a key; where there is none, `value`, which is then stored.

        Threads that call it at once get the same value.

        Parameters
        ----------
        key : int or bytes
        value : int

        Returns
        -------
        int
        """
        cdef mlopt_map_key parsed
        cdef int64_t present = as_int64(value, "value")
        self.parse(key, &parsed)
        check(mlopt_map_insert(self.map, parsed, present, &present))
        return present

    def insert(self, key, value):
        """Store a value only where the key is not there.

        Of several threads that insert a key, one succeeds.

        Parameters
        ----------
        key : int or bytes
        value : int

        Returns
        -------
        bool
            Whether the key is new.
        """
        cdef mlopt_map_key parsed
        self.parse(key, &parsed)
        return check(mlopt_map_insert(self.map, parsed, as_int64(value, "value"), NULL)) == 1

    def update_if(self, key, expected, value):
        """Replace the value of a key only where it is `expected` (compare and swap).

        Parameters
        ----------
        key : int or bytes
        expected, value : int

        Returns
        -------
        bool
            Whether the value was replaced; False also where the key is not there.

        Examples
        --------
        >>> from mlopt.concurrent import ConcurrentMap
        >>> state = ConcurrentMap()
        >>> state[1] = 0
        >>> state.update_if(1, 0, 5), state.update_if(1, 0, 6), state[1]
        (True, False, 5)
        """
        cdef mlopt_map_key parsed
        self.parse(key, &parsed)
        return check(mlopt_map_update_if(self.map, parsed, as_int64(expected, "expected"),
                                         as_int64(value, "value"))) == 1

    def add(self, key, delta=1):
        """Add to the value of a key, which counts as 0 where it is not there; no addition is lost.

        Parameters
        ----------
        key : int or bytes
        delta : int, default 1

        Returns
        -------
        int
            The sum, modulo ``2**64``, as a signed integer.
        """
        cdef mlopt_map_key parsed
        cdef int64_t total = 0
        self.parse(key, &parsed)
        check(mlopt_map_add(self.map, parsed, as_int64(delta, "delta"), &total))
        return total

    def get_many(self, keys, default=0, out=None):
        """The values of many integer keys, without the GIL.

        Parameters
        ----------
        keys : ndarray of int64
            Of any shape.
        default : int, default 0
            The value of a key that is not there.
        out : ndarray of int64, optional
            C-contiguous and of the shape of `keys`; it may be `keys` itself.

        Returns
        -------
        ndarray of int64
            `out`, or a new array.

        Raises
        ------
        TypeError
            If an array is not of int64, or the map's keys are bytes.
        ValueError
            If `out` has another shape, is not contiguous or not writeable.
        """
        cdef cnp.ndarray searched, values
        cdef int64_t missing = as_int64(default, "default"), present
        if mlopt_map_kind(self.map) != MLOPT_MAP_INT64:
            raise TypeError("get_many needs a map with int64 keys, not bytes")
        if not isinstance(keys, np.ndarray) or keys.dtype != np.int64:
            raise TypeError(f"keys must be an array of int64, not {getattr(keys, 'dtype', type(keys).__name__)}")
        if out is None:
            out = np.empty(keys.shape, np.int64)
        elif not isinstance(out, np.ndarray) or out.dtype != np.int64:
            raise TypeError(f"out must be an array of int64, not {getattr(out, 'dtype', type(out).__name__)}")
        elif out.shape != keys.shape or not out.flags.c_contiguous or not out.flags.writeable:
            raise ValueError(f"out must be writeable, C-contiguous and of shape {keys.shape}, "
                             f"not of shape {out.shape} and strides {out.strides}")
        searched = np.ascontiguousarray(keys)
        values = out
        if searched is not values and np.may_share_memory(searched, values):
            searched = searched.copy()
        with nogil:
            present = mlopt_map_find_many(self.map, <const int64_t *>cnp.PyArray_DATA(searched),
                                          cnp.PyArray_SIZE(searched), missing, <int64_t *>cnp.PyArray_DATA(values))
        check(<int>present if present < 0 else 0)
        return values

    def snapshot(self):
        """The keys and values of a map with int64 keys, without the GIL.

        Returns
        -------
        keys, values : ndarray of int64
            In no order.  Every key that is there throughout the call is in it, once, with a value that it had
            during the call; a key that was stored or removed meanwhile may be.  While no thread changes the map,
            this is exactly its contents; otherwise it need not have been at any one moment.

        Raises
        ------
        TypeError
            If the keys are bytes: see :meth:`items`.

        Examples
        --------
        >>> from mlopt.concurrent import ConcurrentMap
        >>> map = ConcurrentMap()
        >>> map[3] = 9
        >>> map.snapshot()
        (array([3]), array([9]))
        """
        cdef mlopt_map_walk walk
        cdef mlopt_map_key key
        cdef int64_t value
        cdef int64_t *keys
        cdef int64_t *values
        cdef Py_ssize_t count = 0
        if mlopt_map_kind(self.map) != MLOPT_MAP_INT64:
            raise TypeError("snapshot needs a map with int64 keys, not bytes; items() is for both")
        check(mlopt_map_walk_begin(self.map, &walk))
        try:
            all_keys, all_values = np.empty(walk.bound, np.int64), np.empty(walk.bound, np.int64)
            keys = <int64_t *>cnp.PyArray_DATA(<cnp.ndarray>all_keys)
            values = <int64_t *>cnp.PyArray_DATA(<cnp.ndarray>all_values)
            with nogil:
                while mlopt_map_walk_next(&walk, &key, &value):
                    keys[count] = key.number
                    values[count] = value
                    count += 1
        finally:
            mlopt_map_walk_end(&walk)
        return all_keys[:count].copy(), all_values[:count].copy()

    cdef list walk_all(self, bint with_keys, bint with_values):
        cdef mlopt_map_walk walk
        cdef mlopt_map_key key
        cdef int64_t value
        result = []
        check(mlopt_map_walk_begin(self.map, &walk))
        try:
            while mlopt_map_walk_next(&walk, &key, &value):
                if with_keys and with_values:
                    result.append((key_object(&key), value))
                else:
                    result.append(key_object(&key) if with_keys else value)
        finally:
            mlopt_map_walk_end(&walk)
        return result

    def items(self):
        """A list of all (key, value), with the promise of :meth:`snapshot`; for keys of both types."""
        return self.walk_all(True, True)

    def keys(self):
        """A list of all keys, with the promise of :meth:`snapshot`; for keys of both types."""
        return self.walk_all(True, False)

    def values(self):
        """A list of the values of all keys, with the promise of :meth:`snapshot`; for keys of both types."""
        return self.walk_all(False, True)

    def __iter__(self):
        return iter(self.walk_all(True, False))

    def clear(self):
        """Remove every key that is there when the call begins and is not stored again meanwhile; keep the table."""
        cdef int status
        with nogil:
            status = mlopt_map_clear(self.map)
        check(status)

    def __len__(self):
        return mlopt_map_count(self.map)

    @property
    def key_type(self):
        """What keys are, ``"int64"`` or ``"bytes"``."""
        return "bytes" if mlopt_map_kind(self.map) == MLOPT_MAP_BYTES else "int64"

    @property
    def nbytes(self):
        """Bytes in tables, those included that a reader may still be looking at; without the keys of bytes."""
        mlopt_map_collect(self.map)
        return mlopt_map_bytes(self.map)

    def __reduce__(self):
        raise TypeError("a ConcurrentMap cannot be pickled: its memory belongs to this process; dict(map.items()) can")

    def __repr__(self):
        return f"<ConcurrentMap of {len(self)} {self.key_type} keys>"


__all__ = ["ConcurrentMap"]
