# Products of bytes: jobs with workspace and threads.
cimport numpy as cnp

from mlopt._kernels.dispatch cimport mlopt_int8_job, mlopt_kernels

# Runs the job, all but blocks and workspace of it given: 0, or -1 where there is no memory.
cdef int run_int8(const mlopt_kernels *table, mlopt_int8_job *job, int threads) noexcept nogil

# A mlopt_int8_kind, or -1.
cdef int kind_of(cnp.dtype dtype) noexcept

cdef bint is_bytes(cnp.ndarray x) noexcept
