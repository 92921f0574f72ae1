"""NumPy's own allocations from the slab pool, inside a context (NEP 49)."""
from contextlib import ContextDecorator

cimport numpy as cnp
from cpython.pycapsule cimport PyCapsule_New
from libc.stdint cimport uint8_t
from libc.string cimport memcpy, strcpy

from mlopt._kernels.core cimport slab_acquire, slab_acquire_zeroed, slab_free, slab_malloc, slab_release, slab_usable

cnp.import_array()

cdef extern from "numpy/arrayobject.h":
    ctypedef struct PyDataMemAllocator:
        void *ctx
        void *(*malloc)(void *, size_t) noexcept nogil
        void *(*calloc)(void *, size_t, size_t) noexcept nogil
        void *(*realloc)(void *, void *, size_t) noexcept nogil
        void (*free)(void *, void *, size_t) noexcept nogil
    ctypedef struct PyDataMem_Handler:
        char name[127]
        uint8_t version
        PyDataMemAllocator allocator
    object PyDataMem_SetHandler(object)

cdef extern from * nogil:
    bint __builtin_mul_overflow(size_t, size_t, size_t *)


cdef void *handler_calloc(void *context, size_t count, size_t size) noexcept nogil:
    cdef size_t nbytes
    return NULL if __builtin_mul_overflow(count, size, &nbytes) else slab_acquire_zeroed(nbytes)


cdef void *handler_realloc(void *context, void *old, size_t size) noexcept nogil:
    cdef size_t usable
    cdef void *new
    if old == NULL:
        return slab_acquire(size)
    usable = slab_usable(old)
    if usable // 4 <= size <= usable:  # the block still fits, and does not waste too much
        return old
    new = slab_acquire(size)
    if new != NULL:
        memcpy(new, old, size if size < usable else usable)
        slab_release(old)
    return new


# Arrays keep a reference to the capsule, which points here: for as long as the process lives.
cdef PyDataMem_Handler handler
strcpy(handler.name, b"mlopt_slab")
handler.version = 1
handler.allocator.ctx = NULL
handler.allocator.malloc = slab_malloc()
handler.allocator.calloc = handler_calloc
handler.allocator.realloc = handler_realloc
handler.allocator.free = slab_free()
cdef object capsule = PyCapsule_New(&handler, "mem_handler", NULL)


class aligned_allocations(ContextDecorator):
    """Let NumPy itself allocate at 64 bytes, from the slab pool, inside a ``with`` block.

    Every array that NumPy makes inside the block (also as an intermediate or a result) lies on a cache line.
    The choice belongs to the current context (:mod:`contextvars`): other threads and tasks are not
    affected, and a thread started inside the block begins with NumPy's own allocator.  Arrays outlive the
    block; each gives its memory back to where it came from.  Blocks may be nested, and the object
    serves as a decorator.

    Examples
    --------
    >>> import numpy as np, mlopt
    >>> with mlopt.aligned_allocations():
    ...     x = np.arange(1000.0) + 1
    >>> mlopt.is_byte_aligned(x)
    True
    """

    def __init__(self):
        self._previous = []

    def __enter__(self):
        self._previous.append(PyDataMem_SetHandler(capsule))
        return self

    def __exit__(self, *exc_info):
        PyDataMem_SetHandler(self._previous.pop())
        return False

    def _recreate_cm(self):  # a decorated function may run in several threads at once
        return type(self)()


__all__ = ["aligned_allocations"]
