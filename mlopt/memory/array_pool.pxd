# Pools of arrays for other Cython modules: slots by address, without the GIL.
cimport numpy as cnp
from cpython.object cimport PyObject
from libc.stdint cimport uint32_t, uint64_t


cdef extern from "memory/array_pool.h" nogil:
    ctypedef enum mlopt_pool_policy:
        MLOPT_POOL_RAISE
        MLOPT_POOL_GROW
        MLOPT_POOL_WAIT
    ctypedef enum mlopt_pool_status:
        MLOPT_POOL_OK
        MLOPT_POOL_IS_EMPTY
        MLOPT_POOL_IS_CLOSED
        MLOPT_POOL_NO_MEMORY
        MLOPT_POOL_INTERRUPTED
    const uint32_t MLOPT_POOL_MAX_CAPACITY
    ctypedef struct mlopt_pool_slot:
        char *data
        void *view
        uint32_t number
    ctypedef struct mlopt_array_pool:
        size_t stride
        int policy
        int zero
        int poison
    ctypedef struct mlopt_array_pool_statistics:
        uint32_t capacity
        uint32_t in_use
        uint32_t high_water
        uint64_t misses
        uint64_t acquisitions
        uint64_t grown
        uint64_t leaked


# The owner of a pool's memory, which every view refers to.
cdef class PoolMemory:
    cdef mlopt_array_pool *pool


cdef class ArrayPool:
    cdef mlopt_array_pool *pool
    cdef PoolMemory memory
    cdef cnp.dtype _dtype
    cdef int ndim
    cdef int view_flags
    cdef size_t nbytes
    cdef cnp.npy_intp dims[64]
    cdef mlopt_pool_slot *wait(self, mlopt_pool_status status, object timeout, bint required) except? NULL
    cdef int prepare(self, mlopt_pool_slot *slot) except -1
    cdef void give_back(self, mlopt_pool_slot *slot) noexcept
    cdef bint is_intact(self, PyObject *kept, mlopt_pool_slot *slot) noexcept
    cdef mlopt_pool_slot *slot_of(self, cnp.ndarray array) except NULL


cdef class Lease:
    cdef ArrayPool pool
    cdef mlopt_pool_slot *slot
    cdef uint64_t state
    cdef bint end(self) noexcept


# The first byte of a free slot, 64-byte aligned; NULL where the pool is empty (of the policy "grow": where there is no
# memory) or closed.  Never waits.  The pool must not be collected meanwhile.
cdef void *acquire_slot(ArrayPool pool) noexcept nogil

# Gives a slot of acquire_slot back; False where the address is none of a slot in use.
cdef bint release_slot(ArrayPool pool, void *data) noexcept nogil
