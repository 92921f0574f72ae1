"""The slab pool seen from Python: blocks, statistics, trimming."""
from operator import index

cimport cython
from libc.stdint cimport uintptr_t
from libc.string cimport memset

from mlopt._kernels.core cimport (
    slab_acquire,
    slab_acquire_zeroed,
    slab_fail_every,
    slab_release,
    slab_statistics,
    slab_trim,
    slab_usable,
)
from mlopt._kernels.slab cimport mlopt_slab_statistics


cdef extern from *:
    """
    #include <time.h>
    static double mlopt_seconds(void)
    {
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
    }
    """
    double mlopt_seconds() noexcept nogil


cdef Block new_block(size_t nbytes, bint zeroed):
    cdef Block block = Block.__new__(Block)
    block.data = slab_acquire_zeroed(nbytes) if zeroed else slab_acquire(nbytes)
    if block.data == NULL:
        raise MemoryError(f"no memory for a block of {nbytes} bytes")
    return block


@cython.freelist(64)
@cython.no_gc
@cython.final
cdef class Block:
    """A block of the slab pool, given back when the object is collected: what owns an array's memory."""

    def __init__(self):
        raise TypeError("blocks are made by mlopt.empty_aligned and its family")

    def __dealloc__(self):
        slab_release(self.data)

    @property
    def address(self):
        """The address of the first byte, a multiple of 64."""
        return <uintptr_t>self.data

    @property
    def nbytes(self):
        """How many bytes may be used."""
        return slab_usable(self.data)

    def __repr__(self):
        return f"<Block of {self.nbytes} bytes at {self.address:#x}>"


def acquire(size_t nbytes, bint zeroed=False):
    """A :class:`Block` of at least `nbytes` bytes: for tests and benchmarks."""
    return new_block(nbytes, zeroed)


def pool_statistics():
    """What the slab pool holds and how it was used.

    Returns
    -------
    dict
        ``blocks_in_use``, ``bytes_in_use``; ``blocks_cached``, ``bytes_cached`` (free, kept for the next
        request); ``bytes_peak`` (the most ever held, in use and cached); ``hits`` and ``misses``
        (requests served from the cache, and from the system); ``returned`` (blocks given back to the
        system).  While other threads allocate, the figures are approximate.

    Examples
    --------
    >>> import mlopt
    >>> x = mlopt.empty_aligned(1000)
    >>> mlopt.memory.pool_statistics()["bytes_in_use"] >= x.nbytes
    True
    """
    cdef mlopt_slab_statistics statistics
    slab_statistics(&statistics)
    return {
        "blocks_in_use": statistics.blocks_in_use,
        "bytes_in_use": statistics.bytes_in_use,
        "blocks_cached": statistics.blocks_cached,
        "bytes_cached": statistics.bytes_cached,
        "bytes_peak": statistics.bytes_peak,
        "hits": statistics.hits,
        "misses": statistics.misses,
        "returned": statistics.returned,
    }


def trim():
    """Give all memory that the slab pool caches back to the system.

    Returns
    -------
    int
        How many bytes that were.

    Examples
    --------
    >>> import mlopt
    >>> x = mlopt.empty_aligned(1000)
    >>> del x
    >>> mlopt.memory.trim() >= 8000
    True
    """
    cdef size_t given_back
    with nogil:
        given_back = slab_trim()
    return given_back


def time_acquire_release(size_t nbytes, size_t calls=100_000):
    """Nanoseconds for one acquire and release of a block, in C, over `calls` calls in a row."""
    cdef size_t _i
    cdef double start
    with nogil:
        start = mlopt_seconds()
        for _i in range(calls):
            slab_release(slab_acquire(nbytes))
        start = mlopt_seconds() - start
    return 1e9 * start / calls


def fail_every(period):
    """Refuse every `period`-th block that the slab pool has to take from the system, as if there were no memory.

    What the pool serves from its cache is not counted.  For tests: callers can be shown to survive it.

    Parameters
    ----------
    period : int
        1 refuses every block, 0 none.

    Returns
    -------
    int
        How many were refused since the call before.

    Raises
    ------
    ValueError
        If `period` is negative or above ``2**32 - 1``.

    Examples
    --------
    >>> import mlopt
    >>> from mlopt.memory.pool import fail_every
    >>> _ = mlopt.memory.trim()
    >>> _ = fail_every(1)
    >>> try:
    ...     x = mlopt.empty_aligned(1000)
    ... except MemoryError as error:
    ...     print(error)
    ... finally:
    ...     refused = fail_every(0)
    no memory for a block of 8000 bytes
    >>> refused
    1
    """
    number = index(period)
    if not 0 <= number < 1 << 32:
        raise ValueError(f"period must be from 0 to {(1 << 32) - 1}, not {period}")
    return slab_fail_every(number)


def release_twice():
    """Break the pool's rules: ends the process.  For tests."""
    cdef void *block = slab_acquire(64)
    slab_release(block)
    slab_release(block)


def release_foreign():
    """Break the pool's rules: ends the process.  For tests."""
    cdef char bytes[256]
    memset(bytes, 0, sizeof(bytes))
    slab_release(&bytes[128])


__all__ = ["Block", "acquire", "fail_every", "pool_statistics", "time_acquire_release", "trim"]
