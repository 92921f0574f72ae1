# The queue for Cython: reserve_record, write, publish_records; acquire_record, read, release_records.
#
#     cdef void *record
#     with nogil:
#         queue.acquire_record(-1, &record)       # blocks; raises QueueClosed, PeerDied
#         ...                                     # record_bytes bytes, aligned as NumPy aligns the dtype
#         queue.release_records(1)
cimport numpy as cnp
from cpython.object cimport PyObject
from libc.stdint cimport int64_t, uint64_t

from mlopt.concurrent.ring cimport mlopt_ring
from mlopt.concurrent.shared_memory cimport Memory
from mlopt.memory.pool cimport Block

cdef class SPSCQueue:
    cdef mlopt_ring *ring
    cdef Memory memory       # holds the ring's shared part
    cdef Block block         # holds `ring`
    cdef Block view_block    # holds `views`
    cdef PyObject **views    # the array over each slot, made when it is first asked for
    cdef cnp.dtype record_type
    cdef readonly tuple shape
    cdef int ndim
    cdef cnp.npy_intp dims[64]
    cdef size_t record_bytes
    cdef bint left, iterating
    cdef object serial
    cdef object __weakref__

    # Nanoseconds to wait: -1 for ever, 0 not at all.  *record is the slot; TimeoutError, QueueClosed, PeerDied.
    cdef int reserve_record(self, int64_t nanoseconds, void **record) except -1 nogil
    cdef int acquire_record(self, int64_t nanoseconds, void **record) except -1 nogil
    # At least one, at most `count` records, `stride()` bytes apart; returns how many.
    cdef int64_t reserve_records(self, uint64_t count, int64_t nanoseconds, void **first) except -1 nogil
    cdef int64_t acquire_records(self, uint64_t count, int64_t nanoseconds, void **first) except -1 nogil
    # 1 and the slot, or 0 and NULL where there is none now; QueueClosed where there will be none.
    cdef int try_reserve_record(self, void **record) except -1 nogil
    cdef int try_acquire_record(self, void **record) except -1 nogil
    cdef int publish_records(self, uint64_t count) except -1 nogil
    cdef int release_records(self, uint64_t count) except -1 nogil
    cdef uint64_t stride(self) noexcept nogil

    cdef int refuse_count(self, bint producing, uint64_t count) except -1
    cdef int require_none_held(self) except -1
    cdef int claim(self, bint producing) except -1
    cdef int wait(self, bint producing, int64_t nanoseconds) except -1 nogil
    cdef int fail(self, int state, bint producing) except -1
    cdef object view(self, void *record)
    cdef object view_of_many(self, void *first, int64_t count)
    cdef bint is_record(self, object record)
    cdef object as_records(self, object records, int extra, str what)
    cdef int check_out(self, object out, int extra) except -1
    cdef int attach_to(self, Memory memory) except -1
    cdef int after_fork(self) except -1
