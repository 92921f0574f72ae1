# Matrix products with workspace and threads, for the public functions.
from mlopt._kernels.dispatch cimport mlopt_gemm_job_f32, mlopt_gemm_job_f64, mlopt_kernels

# Fills in blocks and workspace and computes with the table's kernel on at most `threads` threads.
# -1 where there is no memory for the workspace; C is untouched then.
cdef int run_f32(const mlopt_kernels *table, mlopt_gemm_job_f32 *job, int threads) noexcept nogil
cdef int run_f64(const mlopt_kernels *table, mlopt_gemm_job_f64 *job, int threads) noexcept nogil
