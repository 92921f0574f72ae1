from libc.stdint cimport int64_t, uint64_t

from mlopt.concurrent.ring cimport mlopt_ring
from mlopt.concurrent.shared_memory cimport Memory
from mlopt.memory.pool cimport Block

cdef enum:
    FOR_EVER = -1


# A timeout in seconds as nanoseconds, None as FOR_EVER.
cdef int64_t nanoseconds_of(timeout) except? -1


cdef class RecordQueue:
    cdef mlopt_ring *ring
    cdef Memory memory       # holds the ring's shared part
    cdef Block block         # holds `ring`
    cdef bint left
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

    cdef mlopt_ring *own_ring(self) except NULL
    cdef bytes attach_ring(self, Memory memory)
    cdef int claim(self, bint producing) except -1
    cdef int fail(self, int state, bint producing) except -1
    cdef int wait(self, bint producing, int64_t nanoseconds) except -1 nogil
    cdef int refuse_count(self, bint producing, uint64_t count) except -1
    cdef int require_none_held(self) except -1
    cdef int after_fork(self) except -1
