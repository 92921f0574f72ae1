/* Calls a kernel through the name of its signature: what tests and benchmarks of the whole register
 * share.  A new signature adds one row to MLOPT_INVOCATIONS. */
#ifndef MLOPT_INVOKE_H
#define MLOPT_INVOKE_H

#include "dispatch.h"

#include <string.h>
#include <time.h>

typedef struct mlopt_call {
    size_t dims[4];    /* lengths; elementwise kernels and reductions use the first */
    void *operands[8]; /* in the order of the prototype, numbers left out */
    size_t steps[8];   /* 1, or 0 for an operand that is a single number */
    double number;     /* alpha */
    double result[2];  /* what the kernel returned */
} mlopt_call;

/* gemm here: contiguous, dims m, n, k, these blocks; the fourth operand is the workspace, 64-byte aligned. */
static const mlopt_gemm_blocks mlopt_invoke_blocks = {256, 256, 192};

/* strassen: operand i, contiguous */
#define MLOPT_INVOKE_MATRIX(type, i) ((mlopt_matrix_##type){p[i], (ptrdiff_t)m, 1})

/* One row per signature: how a call's operands become arguments. */
#define MLOPT_INVOCATIONS(T, type)                                                                                     \
    INVOKE(unary, type, (n, p[0], p[1]))                                                                               \
    INVOKE(binary, type, (n, p[0], step[0], p[1], step[1], p[2]))                                                      \
    INVOKE(ternary, type, (n, p[0], step[0], p[1], step[1], p[2], step[2], p[3]))                                      \
    INVOKE(row, type, (n, p[0], p[1]))                                                                                 \
    INVOKE(axpy, type, (n, (T)c->number, p[0], p[1]))                                                                  \
    INVOKE(scale, type, (n, (T)c->number, p[0], p[1]))                                                                 \
    INVOKE(gemm, type,                                                                                                 \
           (&(mlopt_gemm_job_##type){n, c->dims[1], c->dims[2], p[0], (ptrdiff_t)c->dims[2], 1, p[1],                  \
                                     (ptrdiff_t)c->dims[1], 1, p[2], (ptrdiff_t)c->dims[1], 1, 0,                      \
                                     &mlopt_invoke_blocks, p[3], NULL, 0, 0}))                                         \
    /* the same; what is to be done then is the fifth operand, or NULL */                                              \
    INVOKE(gemm_then, type,                                                                                            \
           (&(mlopt_gemm_job_##type){n, c->dims[1], c->dims[2], p[0], (ptrdiff_t)c->dims[2], 1, p[1],                  \
                                     (ptrdiff_t)c->dims[1], 1, p[2], (ptrdiff_t)c->dims[1], 1, 0,                      \
                                     &mlopt_invoke_blocks, p[3], NULL, 0, 0},                                          \
            (const void *)p[4]))                                                                                       \
    /* strassen: contiguous, dims rows, columns, stream */                                                             \
    INVOKE(matrix_sum, type,                                                                                           \
           (n, m, &MLOPT_INVOKE_MATRIX(type, 0), &MLOPT_INVOKE_MATRIX(type, 1), &MLOPT_INVOKE_MATRIX(type, 2),         \
            (int)c->dims[2]))                                                                                          \
    INVOKE(winograd, type,                                                                                             \
           (n, m,                                                                                                      \
            (const mlopt_matrix_##type[4]){MLOPT_INVOKE_MATRIX(type, 0), MLOPT_INVOKE_MATRIX(type, 1),                 \
                                           MLOPT_INVOKE_MATRIX(type, 2), MLOPT_INVOKE_MATRIX(type, 3)},                \
            (const mlopt_matrix_##type[3]){MLOPT_INVOKE_MATRIX(type, 4), MLOPT_INVOKE_MATRIX(type, 5),                 \
                                           MLOPT_INVOKE_MATRIX(type, 6)}))                                             \
    /* sketch: the key and the first number are dims[1] and dims[2] */                                                 \
    INVOKE(random_normal, type, (m, c->dims[2], n, p[0]))                                                              \
    /* dims are length and columns; count and columns, the operands x, indices, bounds, out; rows and columns, and the \
     * step of a column; steps are row lengths */                                                                      \
    INVOKE(walsh_hadamard, type, (n, m, p[0], (ptrdiff_t)step[0]))                                                     \
    INVOKE(signed_sums, type,                                                                                          \
           (n, m, p[0], (ptrdiff_t)step[0], (const int32_t *)c->operands[1], (const int64_t *)c->operands[2], p[3],    \
            (ptrdiff_t)step[3]))                                                                                       \
    INVOKE(transpose_scaled, type,                                                                                     \
           (n, m, p[0], (ptrdiff_t)step[0], (ptrdiff_t)c->dims[2], p[1], (const int32_t *)c->operands[2], p[3],        \
            (ptrdiff_t)step[3]))                                                                                       \
    INVOKE_RESULT(reduce, type, (n, p[0]))                                                                             \
    INVOKE_RESULT(argreduce, type, (n, p[0]))                                                                          \
    INVOKE_RESULT(dot, type, (n, p[0], p[1]))                                                                          \
    INVOKE_RESULT(limit, type, (n, p[0], p[1], p[2]))                                                                  \
    INVOKE(moments, type, (n, p[0], (T *)&c->result[0], (T *)&c->result[1]))                                           \
    /* columns: dims are rows and columns, steps are row lengths */                                                    \
    INVOKE(columns, type, (n, m, p[0], (ptrdiff_t)step[0], p[1]))                                                      \
    INVOKE(argcolumns, type, (n, m, p[0], (ptrdiff_t)step[0], (size_t *)c->operands[1]))                               \
    INVOKE(moments_columns, type, (n, m, p[0], (ptrdiff_t)step[0], p[1], p[2]))                                        \
    INVOKE(softmax_columns, type, (n, m, p[0], (ptrdiff_t)step[0], p[1], (ptrdiff_t)step[1]))                          \
    /* nn: the activation is dims[2]; steps are row lengths */                                                         \
    INVOKE(dense, type, (n, m, p[0], p[1], step[1], p[2], (mlopt_activation)c->dims[2], p[3], p[4]))                   \
    /* operands: layers, steps, packed, lengths of it; steps, x, out */                                                \
    INVOKE_RESULT(packed_plan, type, (n, (const void *)p[0], (void *)p[1], p[2], (size_t *)c->operands[3]))            \
    INVOKE(packed_run, type, (n, (const void *)p[0], p[1], p[2]))                                                      \
    INVOKE(dense_backward, type, (n, m, p[0], step[0], p[1], (mlopt_activation)c->dims[2], p[2], p[3]))                \
    INVOKE(outer, type, (n, m, p[0], p[1], p[2], step[2]))                                                             \
    INVOKE(bias_activation, type, (n, m, p[0], (mlopt_activation)c->dims[2], p[1], step[1], p[2], step[2]))            \
    INVOKE(activation_backward, type, (n, m, (mlopt_activation)c->dims[2], p[0], step[0], p[1], step[1], p[2]))        \
    INVOKE_RESULT(loss, type, (n, m, p[0], step[0], p[1], step[1], (T)c->number, p[2], step[2]))                       \
    INVOKE_RESULT(huber, type, (n, m, p[0], step[0], p[1], step[1], (T)1.25, (T)c->number, p[2], step[2]))             \
    INVOKE(layer_norm, type, (n, m, p[0], p[1], (T)1e-5, p[2], step[2], p[3], step[3], p[4]))                          \
    INVOKE(layer_norm_backward, type, (n, m, p[0], p[1], step[1], p[2], p[3], step[3], p[4], p[5]))                    \
    INVOKE(lstm_cell, type, (n, m, p[0], p[1], step[1], p[2], p[3], p[4], step[4], p[5], step[5]))                     \
    INVOKE(lstm_cell_backward, type,                                                                                   \
           (n, m, p[0], step[0], p[1], p[2], p[3], step[3], p[4], step[4], p[5], p[6], step[6]))                       \
    /* the key is dims[2], the first row's number dims[3] */                                                           \
    INVOKE(dropout, type, (c->dims[3], n, m, c->dims[2], c->number, p[0], step[0], p[1], step[1]))                     \
    INVOKE(adamw, type, (n, (const void *)p[0], p[1], p[2], p[3], p[4]))                                               \
    INVOKE(sgd, type, (n, (const void *)p[0], p[1], p[2], p[3]))                                                       \
    /* sparse: operand 0 is a mlopt_csr or mlopt_sell, dims are the first and the last row, and the dense columns */   \
    INVOKE(sparse_vector, type, ((const void *)p[0], n, m, p[1], p[2]))                                                \
    INVOKE(sliced_vector, type, ((const void *)p[0], n, m, p[1], p[2]))                                                \
    INVOKE(sparse_matrix, type, ((const void *)p[0], n, m, c->dims[2], p[1], step[1], p[2], step[2]))                  \
    INVOKE(sampled, type, ((const void *)p[0], n, m, c->dims[2], p[1], step[1], p[2], step[2], p[3]))                  \
    INVOKE_RESULT(                                                                                                     \
        sparse_product, type,                                                                                          \
        ((const void *)p[0], n, m, (const void *)p[1], p[2], (size_t *)c->operands[3], c->operands[4], p[5]))          \
    INVOKE_RESULT(count, type, (n, p[0]))                                                                              \
    INVOKE_RESULT(store_nonzero, type, (n, p[0], (int32_t *)c->operands[1], p[2]))

/* Rows of one type only. */
#define MLOPT_INVOCATIONS_F64                                                                                          \
    INVOKE(features_update, f64, ((const struct mlopt_features_plan *)p[0], p[1], p[2], p[3]))                         \
    INVOKE(statistics_update, f64, (n, p[0], p[1], step[1]))                                                           \
    INVOKE(standard_spans, f64, (n, p[0], step[0], p[1]))                                                              \
    INVOKE(features_history, f64, ((const struct mlopt_features_plan *)p[0], p[1], n, p[2], p[3], p[4]))               \
    /* the addresses of the columns are operand 2 */                                                                   \
    INVOKE(features_symbols, f64,                                                                                      \
           ((const struct mlopt_features_plan *)p[0], p[1], n, (const double *const *)p[2], p[3], p[4], p[5]))

/* bytes and bfloat16 */
#define MLOPT_INVOCATIONS_SHORT                                                                                        \
    INVOKE(int8_gemm, s8, ((const void *)p[0]))                                                                        \
    INVOKE_RESULT(int8_pack, s8, (n, m, p[0], (ptrdiff_t)step[0], 1, 1, p[1]))                                         \
    INVOKE_RESULT(int8_plan, s8, (n, (const void *)p[0], (void *)p[1]))                                                \
    INVOKE(int8_run, s8, (n, (const void *)p[0], (const void *)p[1], (void *)p[2]))                                    \
    INVOKE(int8_inputs, s8, (n, (const void *)p[0], (const void *)p[1], step[1], (void *)p[2], step[2]))               \
    INVOKE(int8_ranges, s8,                                                                                            \
           (n, (const void *)p[0], (const void *)p[1], step[1], (void *)p[2], step[2], (void *)p[3], (void *)p[4]))    \
    INVOKE(int8_reals, s8, (n, (const void *)p[0], (const void *)p[1], p[2], step[2]))                                 \
    INVOKE_RESULT(limit_int8, s8, (n, (const uint8_t *)p[0], p[1]))                                                    \
    INVOKE_RESULT(limit_bf16, bf16, (n, p[0], p[1]))                                                                   \
    /* as gemm, of float32 operands: dims m, n, k; the fourth operand is the workspace, 64-byte aligned */             \
    INVOKE(product, bf16,                                                                                              \
           (&(mlopt_gemm_job_bf16){n,                                                                                  \
                                   m,                                                                                  \
                                   c->dims[2],                                                                         \
                                   p[0],                                                                               \
                                   (ptrdiff_t)c->dims[2],                                                              \
                                   1,                                                                                  \
                                   p[1],                                                                               \
                                   (ptrdiff_t)m,                                                                       \
                                   1,                                                                                  \
                                   p[2],                                                                               \
                                   (ptrdiff_t)m,                                                                       \
                                   1,                                                                                  \
                                   0,                                                                                  \
                                   0,                                                                                  \
                                   0,                                                                                  \
                                   0,                                                                                  \
                                   &mlopt_invoke_blocks,                                                               \
                                   p[3],                                                                               \
                                   NULL,                                                                               \
                                   0,                                                                                  \
                                   0},                                                                                 \
            (const void *)p[4]))                                                                                       \
    /* dims k, n; the step of the second operand is B's kind: 1 for bfloat16 */                                        \
    INVOKE_RESULT(product_pack, bf16, (&mlopt_invoke_blocks, n, m, p[0], (int)step[1], (ptrdiff_t)m, 1, p[1]))         \
    INVOKE(rounding, bf16, (n, (const float *)c->operands[0], p[1]))                                                   \
    INVOKE(widening, bf16, (n, p[0], (float *)c->operands[1]))                                                         \
    INVOKE(                                                                                                            \
        rounding_rows, bf16,                                                                                           \
        (n, m, (const float *)c->operands[0], (ptrdiff_t)step[0], p[1], (ptrdiff_t)step[1], (float *)c->operands[2]))

/* float32 to bytes and back: the scale is c->number, or operand 1; whether bytes are signed is dims[2] */
#define MLOPT_INVOCATIONS_BYTES                                                                                        \
    INVOKE(range, f32, (n, p[0], p[1], p[2]))                                                                          \
    INVOKE(range_columns, f32, (n, m, p[0], step[0], p[1], p[2]))                                                      \
    INVOKE(quantize, f32,                                                                                              \
           (n, p[0], (float)c->number, *(const int32_t *)(void *)p[1], (const int32_t *)(void *)p[2], (void *)p[3]))   \
    INVOKE(quantize_columns, f32,                                                                                      \
           (n, m, p[0], step[0], p[1], (const int32_t *)(void *)p[2], (const int32_t *)(void *)p[3], (void *)p[4],     \
            step[4]))                                                                                                  \
    INVOKE(dequantize, f32,                                                                                            \
           (n, (const void *)p[0], (float)c->number, *(const int32_t *)(void *)p[1], (int)c->dims[2], p[2]))           \
    INVOKE(dequantize_columns, f32,                                                                                    \
           (n, m, (const void *)p[0], step[0], p[1], (const int32_t *)(void *)p[2], (int)c->dims[2], p[3], step[3]))

typedef void mlopt_invoker(void *kernel, mlopt_call *call);

#define INVOKE(signature, type, arguments)                                                                             \
    static inline void mlopt_invoke_##signature##_##type(void *kernel, mlopt_call *c)                                  \
    {                                                                                                                  \
        const size_t n = c->dims[0], m = c->dims[1], *step = c->steps;                                                 \
        mlopt_element_##type **p = (mlopt_element_##type **)c->operands;                                               \
        (void)n, (void)m, (void)step;                                                                                  \
        ((mlopt_##signature##_##type *)kernel) arguments;                                                              \
    }
#define INVOKE_RESULT(signature, type, arguments)                                                                      \
    static inline void mlopt_invoke_##signature##_##type(void *kernel, mlopt_call *c)                                  \
    {                                                                                                                  \
        const size_t n = c->dims[0], m = c->dims[1], *step = c->steps;                                                 \
        mlopt_element_##type **p = (mlopt_element_##type **)c->operands;                                               \
        (void)m, (void)step;                                                                                           \
        c->result[0] = (double)((mlopt_##signature##_##type *)kernel)arguments;                                        \
    }
typedef float mlopt_element_f32;
typedef double mlopt_element_f64;
typedef int8_t mlopt_element_s8;
typedef uint16_t mlopt_element_bf16;
MLOPT_INVOCATIONS(float, f32)
MLOPT_INVOCATIONS(double, f64)
MLOPT_INVOCATIONS_F64
MLOPT_INVOCATIONS_SHORT
MLOPT_INVOCATIONS_BYTES
#undef INVOKE
#undef INVOKE_RESULT

/* The invoker of a register row, NULL where its signature has none here. */
static inline mlopt_invoker *mlopt_find_invoker(const mlopt_kernel_info *info)
{
#define INVOKE(name, of_type, arguments)                                                                               \
    if (!strcmp(info->signature, #name) && !strcmp(info->type, #of_type))                                              \
        return mlopt_invoke_##name##_##of_type;
#define INVOKE_RESULT INVOKE
    MLOPT_INVOCATIONS(float, f32)
    MLOPT_INVOCATIONS(double, f64)
    MLOPT_INVOCATIONS_F64
    MLOPT_INVOCATIONS_SHORT
    MLOPT_INVOCATIONS_BYTES
#undef INVOKE
#undef INVOKE_RESULT
    return NULL;
}

/* Nanoseconds for a number of calls in a row. */
static inline double mlopt_time_calls(mlopt_invoker *invoker, void *kernel, mlopt_call *call, size_t calls)
{
    struct timespec start, end;
    clock_gettime(CLOCK_MONOTONIC, &start);
    for (size_t i = 0; i < calls; i++)
        invoker(kernel, call);
    clock_gettime(CLOCK_MONOTONIC, &end);
    return (double)(end.tv_sec - start.tv_sec) * 1e9 + (double)(end.tv_nsec - start.tv_nsec);
}

#endif
