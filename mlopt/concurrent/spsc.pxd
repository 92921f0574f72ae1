# The queue for Cython: reserve_record, write, publish_records; acquire_record, read, release_records.
#
#     cdef void *record
#     with nogil:
#         queue.acquire_record(-1, &record)       # blocks; raises QueueClosed, PeerDied
#         ...                                     # record_bytes bytes, aligned as NumPy aligns the dtype
#         queue.release_records(1)
cimport numpy as cnp
from cpython.object cimport PyObject
from libc.stdint cimport int64_t

from mlopt.concurrent.record_queue cimport RecordQueue
from mlopt.concurrent.shared_memory cimport Memory
from mlopt.memory.pool cimport Block

cdef class SPSCQueue(RecordQueue):
    cdef Block view_block    # holds `views`
    cdef PyObject **views    # the array over each slot, made when it is first asked for
    cdef cnp.dtype record_type
    cdef readonly tuple shape
    cdef int ndim
    cdef cnp.npy_intp dims[64]
    cdef size_t record_bytes
    cdef bint iterating

    cdef int attach_to(self, Memory memory) except -1
    cdef object view(self, void *record)
    cdef object view_of_many(self, void *first, int64_t count)
    cdef bint is_record(self, object record)
    cdef object as_records(self, object records, int extra, str what)
    cdef int check_out(self, object out, int extra) except -1
