# The C side of the dispatcher, declared for Cython: tables, register, processor.
from libc.stdint cimport int8_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t


cdef extern from "cpu.h" nogil:
    enum:
        MLOPT_CPU_AMX
    ctypedef struct mlopt_cpu:
        uint32_t features
        char brand[49]
        size_t l1d_bytes
        size_t l2_bytes
        size_t l3_bytes
        size_t cacheline_bytes
        int cores
    const mlopt_cpu *mlopt_cpu_detect()


cdef extern from "signatures.h" nogil:
    ctypedef void mlopt_unary_f32(size_t, const float *, float *) noexcept
    ctypedef void mlopt_unary_f64(size_t, const double *, double *) noexcept
    ctypedef void mlopt_binary_f32(size_t, const float *, size_t, const float *, size_t, float *) noexcept
    ctypedef void mlopt_binary_f64(size_t, const double *, size_t, const double *, size_t, double *) noexcept
    ctypedef void mlopt_ternary_f32(size_t, const float *, size_t, const float *, size_t, const float *, size_t,
                                    float *) noexcept
    ctypedef void mlopt_ternary_f64(size_t, const double *, size_t, const double *, size_t, const double *, size_t,
                                    double *) noexcept
    ctypedef float mlopt_reduce_f32(size_t, const float *) noexcept
    ctypedef double mlopt_reduce_f64(size_t, const double *) noexcept
    ctypedef size_t mlopt_argreduce_f32(size_t, const float *) noexcept
    ctypedef size_t mlopt_argreduce_f64(size_t, const double *) noexcept
    ctypedef void mlopt_moments_f32(size_t, const float *, float *, float *) noexcept
    ctypedef void mlopt_moments_f64(size_t, const double *, double *, double *) noexcept
    ctypedef float mlopt_dot_f32(size_t, const float *, const float *) noexcept
    ctypedef double mlopt_dot_f64(size_t, const double *, const double *) noexcept
    ctypedef void mlopt_axpy_f32(size_t, float, const float *, float *) noexcept
    ctypedef void mlopt_axpy_f64(size_t, double, const double *, double *) noexcept
    ctypedef void mlopt_scale_f32(size_t, float, const float *, float *) noexcept
    ctypedef void mlopt_scale_f64(size_t, double, const double *, double *) noexcept
    ctypedef void mlopt_row_f32(size_t, const float *, float *) noexcept
    ctypedef void mlopt_row_f64(size_t, const double *, double *) noexcept
    # features
    ctypedef struct mlopt_features_plan:
        pass
    ctypedef void mlopt_features_update_f64(const mlopt_features_plan *, void *, const double *, double *) noexcept
    ctypedef void mlopt_features_history_f64(const mlopt_features_plan *, void *, size_t, const double *, double *,
                                             double *) noexcept
    ctypedef void mlopt_features_symbols_f64(const mlopt_features_plan *, void *, size_t, const double **,
                                             const uint8_t *, double *, double *) noexcept
    ctypedef void mlopt_statistics_update_f64(size_t, const double *, double *, size_t) noexcept
    ctypedef void mlopt_standard_spans_f64(size_t, const double *, size_t, double *) noexcept

    # gemm
    ctypedef struct mlopt_gemm_blocks:
        size_t mc
        size_t kc
        size_t nc
    ctypedef struct mlopt_gemm_job_f32:
        size_t m
        size_t n
        size_t k
        const float *a
        ptrdiff_t a_row
        ptrdiff_t a_column
        const float *b
        ptrdiff_t b_row
        ptrdiff_t b_column
        float *c
        ptrdiff_t c_row
        ptrdiff_t c_column
        int accumulate
        const mlopt_gemm_blocks *blocks
        void *workspace
        const float *packed
        size_t packed_columns
        size_t packed_first
    ctypedef void mlopt_gemm_f32(const mlopt_gemm_job_f32 *) noexcept
    ctypedef void mlopt_gemm_unpack_f32(const mlopt_gemm_blocks *, size_t k, size_t n, const float *packed,
                                        float *b) noexcept
    ctypedef size_t mlopt_gemm_pack_f32(const mlopt_gemm_blocks *, size_t k, size_t n, const float *b, ptrdiff_t b_row,
                                        ptrdiff_t b_column, float *packed) noexcept
    ctypedef struct mlopt_gemm_job_f64:
        size_t m
        size_t n
        size_t k
        const double *a
        ptrdiff_t a_row
        ptrdiff_t a_column
        const double *b
        ptrdiff_t b_row
        ptrdiff_t b_column
        double *c
        ptrdiff_t c_row
        ptrdiff_t c_column
        int accumulate
        const mlopt_gemm_blocks *blocks
        void *workspace
        const double *packed
        size_t packed_columns
        size_t packed_first
    ctypedef void mlopt_gemm_f64(const mlopt_gemm_job_f64 *) noexcept
    ctypedef void mlopt_gemm_unpack_f64(const mlopt_gemm_blocks *, size_t k, size_t n, const double *packed,
                                        double *b) noexcept
    ctypedef size_t mlopt_gemm_pack_f64(const mlopt_gemm_blocks *, size_t k, size_t n, const double *b, ptrdiff_t b_row,
                                        ptrdiff_t b_column, double *packed) noexcept

    # nn
    ctypedef enum mlopt_activation:
        MLOPT_IDENTITY
        MLOPT_RELU
        MLOPT_TANH
        MLOPT_SIGMOID
        MLOPT_GELU
        MLOPT_SILU

    # int8
    ctypedef enum mlopt_int8_kind:
        MLOPT_INT8_TO_S32
        MLOPT_INT8_TO_F32
        MLOPT_INT8_TO_U8
        MLOPT_INT8_TO_S8
    ctypedef struct mlopt_int8_result:
        mlopt_int8_kind kind
        const int32_t *bias
        const float *scale
        size_t scale_step
        const float *shift
        mlopt_activation activation
        float out_multiplier
        int32_t out_zero
    ctypedef struct mlopt_int8_job:
        size_t m
        size_t n
        size_t k
        const void *a
        ptrdiff_t a_row
        ptrdiff_t a_column
        bint a_signed
        bint a_padded
        const void *b
        ptrdiff_t b_row
        ptrdiff_t b_column
        bint b_signed
        const int8_t *packed
        size_t packed_columns
        size_t packed_first
        const int32_t *a_zero
        size_t a_zero_step
        const int32_t *b_zero
        size_t b_zero_step
        void *c
        ptrdiff_t c_row
        mlopt_int8_result result
        const mlopt_gemm_blocks *blocks
        void *workspace
    ctypedef void mlopt_int8_gemm_s8(const mlopt_int8_job *) noexcept
    ctypedef size_t mlopt_int8_pack_s8(size_t k, size_t n, const void *b, ptrdiff_t b_row, ptrdiff_t b_column,
                                       bint b_signed, int8_t *packed) noexcept
    ctypedef struct mlopt_int8_layer:
        size_t inputs
        size_t outputs
        const int8_t *packed
        size_t packed_columns
        int32_t *start
        float *scale
        const float *shift
        mlopt_activation activation
        float multiplier
        int32_t zero
        bint dynamic
        const float *weight_scale
        uint8_t *bytes
        float *reals
    ctypedef struct mlopt_int8_step:
        pass
    ctypedef size_t mlopt_int8_plan_s8(size_t, const mlopt_int8_layer *, mlopt_int8_step *) noexcept
    ctypedef void mlopt_int8_run_s8(size_t, const mlopt_int8_step *, const float *, float *) noexcept
    ctypedef void mlopt_int8_inputs_s8(size_t, const mlopt_int8_layer *, const float *, size_t, uint8_t *,
                                       size_t) noexcept

    ctypedef void mlopt_int8_ranges_s8(size_t, const mlopt_int8_layer *, const float *, size_t, uint8_t *, size_t,
                                       int32_t *, float *) noexcept
    ctypedef void mlopt_int8_reals_s8(size_t, const mlopt_int8_layer *, const float *, void *, size_t) noexcept
    # bf16
    ctypedef struct mlopt_gemm_finish_f32:
        pass
    ctypedef struct mlopt_gemm_job_bf16:
        size_t m
        size_t n
        size_t k
        const void *a
        ptrdiff_t a_row
        ptrdiff_t a_column
        const void *b
        ptrdiff_t b_row
        ptrdiff_t b_column
        void *c
        ptrdiff_t c_row
        ptrdiff_t c_column
        int a_short
        int b_short
        int c_short
        int accumulate
        const mlopt_gemm_blocks *blocks
        void *workspace
        const uint16_t *packed
        size_t packed_columns
        size_t packed_first
    ctypedef void mlopt_product_bf16(const mlopt_gemm_job_bf16 *, const mlopt_gemm_finish_f32 *) noexcept
    ctypedef size_t mlopt_product_pack_bf16(const mlopt_gemm_blocks *, size_t k, size_t n, const void *b, int b_short,
                                            ptrdiff_t b_row, ptrdiff_t b_column, uint16_t *packed) noexcept

    # strassen
    ctypedef struct mlopt_matrix_f32:
        float *at
        ptrdiff_t row
        ptrdiff_t column
    ctypedef struct mlopt_matrix_f64:
        double *at
        ptrdiff_t row
        ptrdiff_t column
    ctypedef void mlopt_matrix_sum_f32(size_t, size_t, const mlopt_matrix_f32 *, const mlopt_matrix_f32 *,
                                       const mlopt_matrix_f32 *, int) noexcept
    ctypedef void mlopt_matrix_sum_f64(size_t, size_t, const mlopt_matrix_f64 *, const mlopt_matrix_f64 *,
                                       const mlopt_matrix_f64 *, int) noexcept
    ctypedef void mlopt_winograd_f32(size_t, size_t, const mlopt_matrix_f32 *, const mlopt_matrix_f32 *) noexcept
    ctypedef void mlopt_winograd_f64(size_t, size_t, const mlopt_matrix_f64 *, const mlopt_matrix_f64 *) noexcept

    # sketch
    ctypedef void mlopt_random_normal_f32(uint64_t key, uint64_t first, size_t n, float *out) noexcept
    ctypedef void mlopt_walsh_hadamard_f32(size_t length, size_t columns, float *x, ptrdiff_t row) noexcept
    ctypedef void mlopt_signed_sums_f32(size_t count, size_t columns, const float *x, ptrdiff_t row,
                                        const int32_t *indices, const int64_t *bounds, float *out,
                                        ptrdiff_t out_row) noexcept
    ctypedef void mlopt_transpose_scaled_f32(size_t rows, size_t columns, const float *x, ptrdiff_t row,
                                             ptrdiff_t column, const float *weight, const int32_t *places,
                                             float *out, ptrdiff_t out_row) noexcept
    ctypedef void mlopt_random_normal_f64(uint64_t key, uint64_t first, size_t n, double *out) noexcept
    ctypedef void mlopt_walsh_hadamard_f64(size_t length, size_t columns, double *x, ptrdiff_t row) noexcept
    ctypedef void mlopt_signed_sums_f64(size_t count, size_t columns, const double *x, ptrdiff_t row,
                                        const int32_t *indices, const int64_t *bounds, double *out,
                                        ptrdiff_t out_row) noexcept
    ctypedef void mlopt_transpose_scaled_f64(size_t rows, size_t columns, const double *x, ptrdiff_t row,
                                             ptrdiff_t column, const double *weight, const int32_t *places,
                                             double *out, ptrdiff_t out_row) noexcept


cdef extern from "gemm/gemm.h" nogil:
    size_t mlopt_gemm_workspace_bytes(const mlopt_gemm_blocks *, size_t element_bytes, size_t m, size_t n, size_t k)
    bint mlopt_gemm_in_place(size_t element_bytes, size_t m, size_t n, size_t k, ptrdiff_t a_column,
                             ptrdiff_t b_column, ptrdiff_t c_column)
    const mlopt_gemm_blocks *mlopt_gemm_default_blocks(size_t element_bytes)
    int mlopt_gemm_blocks_status()


cdef extern from "int8/int8.h" nogil:
    size_t mlopt_int8_workspace_bytes(const mlopt_gemm_blocks *, mlopt_int8_kind, size_t m, size_t n, size_t k)
    size_t mlopt_int8_packed_bytes(size_t k, size_t packed_columns)


cdef extern from "bf16/bf16.h" nogil:
    size_t mlopt_bf16_packed_elements(size_t k, size_t n)
    size_t mlopt_bf16_workspace_bytes(const mlopt_gemm_blocks *, size_t m, size_t n, size_t k, bint any_c)


cdef extern from "dispatch.h" nogil:
    ctypedef int mlopt_tier
    enum:
        MLOPT_TIER_COUNT
        MLOPT_TIER_reference

    # The table has one member per kernel and type; those that Cython code calls by name stand here.
    ctypedef struct mlopt_kernels:
        mlopt_tier tier
        mlopt_dot_f32 *dot_f32
        mlopt_dot_f64 *dot_f64
        mlopt_axpy_f32 *axpy_f32
        mlopt_axpy_f64 *axpy_f64
        mlopt_reduce_f32 *sum_f32
        mlopt_reduce_f64 *sum_f64
        mlopt_reduce_f32 *min_f32
        mlopt_reduce_f64 *min_f64
        mlopt_reduce_f32 *max_f32
        mlopt_reduce_f64 *max_f64
        mlopt_reduce_f32 *logsumexp_f32
        mlopt_reduce_f64 *logsumexp_f64
        mlopt_argreduce_f32 *argmax_f32
        mlopt_argreduce_f64 *argmax_f64
        mlopt_moments_f32 *moments_f32
        mlopt_moments_f64 *moments_f64
        mlopt_row_f32 *softmax_f32
        mlopt_row_f64 *softmax_f64
        # gemm
        mlopt_gemm_f32 *gemm_f32
        mlopt_gemm_f64 *gemm_f64
        mlopt_gemm_pack_f32 *gemm_pack_f32
        mlopt_gemm_pack_f64 *gemm_pack_f64
        mlopt_gemm_unpack_f32 *gemm_unpack_f32
        mlopt_gemm_unpack_f64 *gemm_unpack_f64
        # int8
        mlopt_int8_gemm_s8 *gemm_s8
        mlopt_int8_pack_s8 *gemm_pack_s8
        mlopt_int8_plan_s8 *chain_plan_s8
        mlopt_int8_run_s8 *chain_run_s8
        mlopt_int8_inputs_s8 *chain_inputs_s8
        mlopt_int8_ranges_s8 *chain_ranges_s8
        mlopt_int8_reals_s8 *chain_reals_s8
        # bf16
        mlopt_product_bf16 *gemm_bf16
        mlopt_product_pack_bf16 *gemm_pack_bf16
        # strassen
        mlopt_matrix_sum_f32 *matrix_add_f32
        mlopt_matrix_sum_f64 *matrix_add_f64
        mlopt_matrix_sum_f32 *matrix_subtract_f32
        mlopt_matrix_sum_f64 *matrix_subtract_f64
        mlopt_winograd_f32 *winograd_result_f32
        mlopt_winograd_f64 *winograd_result_f64
        # sketch
        mlopt_random_normal_f32 *random_normal_f32
        mlopt_random_normal_f64 *random_normal_f64
        mlopt_walsh_hadamard_f32 *walsh_hadamard_f32
        mlopt_walsh_hadamard_f64 *walsh_hadamard_f64
        mlopt_signed_sums_f32 *signed_sums_f32
        mlopt_signed_sums_f64 *signed_sums_f64
        mlopt_transpose_scaled_f32 *transpose_scaled_f32
        mlopt_transpose_scaled_f64 *transpose_scaled_f64
        # features
        mlopt_features_update_f64 *features_update_f64
        mlopt_features_history_f64 *features_history_f64
        mlopt_features_symbols_f64 *features_symbols_f64
        mlopt_statistics_update_f64 *statistics_update_f64
        mlopt_standard_spans_f64 *standard_spans_f64

    ctypedef struct mlopt_choice:
        const mlopt_kernels *table
        bint overridden
    ctypedef struct mlopt_kernel_info:
        const char *family
        const char *name
        const char *type
        const char *signature
        double flops
        double bound
        size_t offset

    ctypedef struct mlopt_tier_info:
        const char *name
        const char *purpose
        uint32_t needs
        int built
        int available

    void mlopt_dispatch_init()
    mlopt_tier_info mlopt_tiers[]
    const mlopt_kernel_info mlopt_register[]
    const size_t mlopt_register_count
    const mlopt_kernels *mlopt_table(mlopt_tier)
    mlopt_tier mlopt_origin(const mlopt_kernels *, const mlopt_kernel_info *)
    mlopt_tier mlopt_best_tier()
