# The module that is linked with OpenMP: team sizes and split products.
from mlopt._kernels.dispatch cimport (
    mlopt_gemm_f32,
    mlopt_gemm_f64,
    mlopt_gemm_job_f32,
    mlopt_gemm_job_f64,
    mlopt_int8_gemm_s8,
    mlopt_int8_job,
)

# The threads a call gets that does not ask for a number.
cdef int team_size() noexcept nogil

# Runs work(i, argument) for 0 <= i < count, each in a thread of its own where threads may be used.
cdef void team_run(int count, void (*work)(int i, void *argument) noexcept nogil, void *argument) noexcept nogil

# The threads that so many multiplications are worth, at most `threads`.
cdef int gemm_threads(double work, int threads) noexcept nogil

# The panels that a product is worth, at most `threads`.
cdef int gemm_panels(size_t m, size_t n, size_t k, int threads) noexcept nogil

# Runs the kernel on panels of C; gemm/parallel.h says what the workspace must hold.
cdef void gemm_split_f32(mlopt_gemm_f32 *kernel, const mlopt_gemm_job_f32 *job, int panels,
                         size_t workspace_bytes) noexcept nogil
cdef void gemm_split_f64(mlopt_gemm_f64 *kernel, const mlopt_gemm_job_f64 *job, int panels,
                         size_t workspace_bytes) noexcept nogil
cdef void int8_split(mlopt_int8_gemm_s8 *kernel, const mlopt_int8_job *job, int panels,
                     size_t workspace_bytes) noexcept nogil
