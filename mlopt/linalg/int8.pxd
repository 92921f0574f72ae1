# Products of bytes: packed right operands, and jobs with workspace and threads.
cimport numpy as cnp

from mlopt._kernels.dispatch cimport mlopt_int8_job, mlopt_kernels


cdef class PackedInt8Matrix:
    cdef const mlopt_kernels *table  # whose tier packed it
    cdef cnp.ndarray data            # of one dimension, aligned
    cdef cnp.ndarray given           # what it was packed from
    cdef size_t columns              # of the packed form
    cdef readonly tuple shape
    cdef readonly cnp.dtype dtype

    cdef int pack(self, const mlopt_kernels *table) except -1


# Runs the job, all but blocks and workspace of it given: 0, or -1 where there is no memory.
cdef int run_int8(const mlopt_kernels *table, mlopt_int8_job *job, int threads) noexcept nogil
