# Products of bfloat16 with workspace and threads, for the public functions.
from mlopt._kernels.dispatch cimport mlopt_gemm_job_bf16, mlopt_kernels

# Fills in blocks and workspace and computes with the table's kernel on at most `threads` threads.
# -1 where there is no memory for the workspace; C is untouched then.
cdef int run_bf16(const mlopt_kernels *table, mlopt_gemm_job_bf16 *job, int threads) noexcept nogil

# Whether x is a plain array of bfloat16 (ml_dtypes.bfloat16, which is not imported for that).
cdef bint is_bfloat16(x)

# The product of two such arrays; None where NumPy is to decide: about shapes that do not fit, or another `out`.
cdef object bf16_product(a, b, out, threads)
