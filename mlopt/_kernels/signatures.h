/* The C prototypes that kernels.def names.  Lengths count elements, steps are in elements.
 *
 * Rules for every kernel, unless its contract header says otherwise: n may be 0; pointers need the
 * alignment of their element only; nothing before the first or behind the last element is read or
 * written; an output may be the same array as an input, but may not overlap it otherwise. */
#ifndef MLOPT_SIGNATURES_H
#define MLOPT_SIGNATURES_H

#include <stddef.h>
#include <stdint.h>

/* gemm: how a product is cut to fit the caches (gemm/gemm.h): rows of A, the common length, columns of B. */
typedef struct mlopt_gemm_blocks {
    size_t mc, kc, nc;
} mlopt_gemm_blocks;

#define MLOPT_GEMM_SIGNATURE(T, type)                                                                                  \
    /* C = A B, or C += A B; A is m x k, B is k x n; strides in elements; see gemm/gemm.h */                           \
    typedef struct mlopt_gemm_job_##type {                                                                             \
        size_t m, n, k;                                                                                                \
        const T *a;                                                                                                    \
        ptrdiff_t a_row, a_column;                                                                                     \
        const T *b;                                                                                                    \
        ptrdiff_t b_row, b_column;                                                                                     \
        T *c;                                                                                                          \
        ptrdiff_t c_row, c_column;                                                                                     \
        int accumulate;                                                                                                \
        const mlopt_gemm_blocks *blocks;                                                                               \
        void *workspace;                                                                                               \
        /* B packed by gemm_pack of the same tier and blocks, or NULL; columns of the whole of it, this B's first */   \
        const T *packed;                                                                                               \
        size_t packed_columns, packed_first;                                                                           \
    } mlopt_gemm_job_##type;                                                                                           \
    typedef void mlopt_gemm_##type(const mlopt_gemm_job_##type *job);                                                  \
    /* called for every part of C, each element once, when it is complete and still in the nearest cache: its rows and \
     * columns, the place of its corner in C and in memory; c_column is 1 */                                           \
    typedef struct mlopt_gemm_finish_##type {                                                                          \
        void (*call)(const void *with, size_t rows, size_t columns, size_t row, size_t column, T *c);                  \
        const void *with;                                                                                              \
    } mlopt_gemm_finish_##type;                                                                                        \
    typedef void mlopt_gemm_then_##type(const mlopt_gemm_job_##type *job, const mlopt_gemm_finish_##type *finish);     \
    /* packs B, k x n, for products with it, where packed is given; returns the columns of the packed form, of         \
     * k elements each */                                                                                              \
    typedef size_t mlopt_gemm_pack_##type(const mlopt_gemm_blocks *blocks, size_t k, size_t n, const T *b,             \
                                          ptrdiff_t b_row, ptrdiff_t b_column, T *packed);                             \
    /* and back, row by row */                                                                                         \
    typedef void mlopt_gemm_unpack_##type(const mlopt_gemm_blocks *blocks, size_t k, size_t n, const T *packed, T *b);

#define MLOPT_VECTOR_SIGNATURES(T, type)                                                                               \
    /* out[i] = f(x[i]) */                                                                                             \
    typedef void mlopt_unary_##type(size_t n, const T *x, T *out);                                                     \
    /* out[i] = f(a[i*a_step], b[i*b_step]); a step is 1, or 0 for a number that stands for all */                     \
    typedef void mlopt_binary_##type(size_t n, const T *a, size_t a_step, const T *b, size_t b_step, T *out);          \
    typedef void mlopt_ternary_##type(size_t n, const T *a, size_t a_step, const T *b, size_t b_step, const T *c,      \
                                      size_t c_step, T *out);                                                          \
    /* the reduction of x; n >= 1 where it has no identity (min, max, logsumexp: -inf for 0) */                        \
    typedef T mlopt_reduce_##type(size_t n, const T *x);                                                               \
    /* the index of the first extreme element, a NaN counting as the extreme; n >= 1 */                                \
    typedef size_t mlopt_argreduce_##type(size_t n, const T *x);                                                       \
    /* mean and sum of squared deviations from it */                                                                   \
    typedef void mlopt_moments_##type(size_t n, const T *x, T *mean, T *squares);                                      \
    typedef T mlopt_dot_##type(size_t n, const T *x, const T *y);                                                      \
    /* y += alpha x */                                                                                                 \
    typedef void mlopt_axpy_##type(size_t n, T alpha, const T *x, T *y);                                               \
    /* out = alpha x */                                                                                                \
    typedef void mlopt_scale_##type(size_t n, T alpha, const T *x, T *out);                                            \
    /* out = f(x), where each element depends on the whole row */                                                      \
    typedef void mlopt_row_##type(size_t n, const T *x, T *out);                                                       \
    /* out[c] = the reduction of column c of a matrix; row is the step from one row to the next, which may be          \
     * negative or shorter than the row; rows >= 1 where the reduction has no identity */                              \
    typedef void mlopt_columns_##type(size_t rows, size_t columns, const T *x, ptrdiff_t row, T *out);                 \
    typedef void mlopt_argcolumns_##type(size_t rows, size_t columns, const T *x, ptrdiff_t row, size_t *out);         \
    typedef void mlopt_moments_columns_##type(size_t rows, size_t columns, const T *x, ptrdiff_t row, T *mean,         \
                                              T *squares);                                                             \
    typedef void mlopt_softmax_columns_##type(size_t rows, size_t columns, const T *x, ptrdiff_t row, T *out,          \
                                              ptrdiff_t out_row);                                                      \
    /* a loop at a limit of the machine (limits/limits.h says which operands it uses) */                               \
    typedef T mlopt_limit_##type(size_t n, const T *x, const T *y, T *out);

/* strassen: sums of matrices (strassen/strassen.h) */
#define MLOPT_STRASSEN_SIGNATURES(T, type)                                                                             \
    /* element (i, j) is at[i * row + j * column] */                                                                   \
    typedef struct mlopt_matrix_##type {                                                                               \
        T *at;                                                                                                         \
        ptrdiff_t row, column;                                                                                         \
    } mlopt_matrix_##type;                                                                                             \
    /* z = f(x, y), which are not written; stream: past the caches */                                                  \
    typedef void mlopt_matrix_sum_##type(size_t rows, size_t columns, const mlopt_matrix_##type *x,                    \
                                         const mlopt_matrix_##type *y, const mlopt_matrix_##type *z, int stream);      \
    typedef void mlopt_winograd_##type(size_t rows, size_t columns, const mlopt_matrix_##type c[4],                    \
                                       const mlopt_matrix_##type p[3]);

/* sketch (sketch/sketch.h) */
#define MLOPT_SKETCH_SIGNATURES(T, type)                                                                               \
    typedef void mlopt_random_normal_##type(uint64_t key, uint64_t first, size_t n, T *out);                           \
    typedef void mlopt_walsh_hadamard_##type(size_t length, size_t columns, T *x, ptrdiff_t row);                      \
    typedef void mlopt_signed_sums_##type(size_t count, size_t columns, const T *x, ptrdiff_t row,                     \
                                          const int32_t *indices, const int64_t *bounds, T *out, ptrdiff_t out_row);   \
    typedef void mlopt_transpose_scaled_##type(size_t rows, size_t columns, const T *x, ptrdiff_t row,                 \
                                               ptrdiff_t column, const T *weight, const int32_t *places, T *out,       \
                                               ptrdiff_t out_row);

MLOPT_VECTOR_SIGNATURES(float, f32)
MLOPT_VECTOR_SIGNATURES(double, f64)
MLOPT_GEMM_SIGNATURE(float, f32)
MLOPT_GEMM_SIGNATURE(double, f64)
MLOPT_STRASSEN_SIGNATURES(float, f32)
MLOPT_STRASSEN_SIGNATURES(double, f64)
MLOPT_SKETCH_SIGNATURES(float, f32)
MLOPT_SKETCH_SIGNATURES(double, f64)

/* nn (nn/nn.h says what each computes) */
typedef enum mlopt_activation {
    MLOPT_IDENTITY,
    MLOPT_RELU,
    MLOPT_TANH,
    MLOPT_SIGMOID,
    MLOPT_GELU,
    MLOPT_SILU,
} mlopt_activation;

#define MLOPT_NN_SIGNATURES(T, type)                                                                                   \
    /* z = x w + bias, out = f(z); one sample */                                                                       \
    typedef void mlopt_dense_##type(size_t inputs, size_t outputs, const T *x, const T *w, size_t w_row,               \
                                    const T *bias, mlopt_activation activation, T *z, T *out);                         \
    /* a chain of such layers, each taking what the one before put out */                                              \
    typedef struct mlopt_packed_layer_##type {                                                                         \
        size_t inputs, outputs;                                                                                        \
        const T *w,                                                                                                    \
            *bias; /* w: w_row elements from input to input, w_column from output to output; bias: NULL for 0 */       \
        size_t w_row, w_column;                                                                                        \
        T *z, *out;  /* the sums and what the activation makes of them: may be one */                                  \
        size_t room; /* elements that may be written at z */                                                           \
        mlopt_activation activation;                                                                                   \
    } mlopt_packed_layer_##type;                                                                                       \
    /* a part of a layer, made by packed_plan; x or out NULL: the chain's own */                                       \
    typedef struct mlopt_packed_step_##type {                                                                          \
        void (*run)(const struct mlopt_packed_step_##type *step, const T *x, T *out);                                  \
        const T *x, *weights;                                                                                          \
        T *out;                                                                                                        \
        size_t inputs, first, last; /* last: elements of its last vector that are stored */                            \
        T floor;                                                                                                       \
        mlopt_activation activation;                                                                                   \
    } mlopt_packed_step_##type;                                                                                        \
    /* the number of steps, and elements of packed; steps NULL: only these */                                          \
    typedef size_t mlopt_packed_plan_##type(size_t count, const mlopt_packed_layer_##type *layers,                     \
                                            mlopt_packed_step_##type *steps, T *packed, size_t *packed_length);        \
    typedef void mlopt_packed_run_##type(size_t count, const mlopt_packed_step_##type *steps, const T *x, T *out);     \
    /* out = f'(saved) (w delta); one sample */                                                                        \
    typedef void mlopt_dense_backward_##type(size_t inputs, size_t outputs, const T *w, size_t w_row, const T *delta,  \
                                             mlopt_activation activation, const T *saved, T *out);                     \
    /* out = x delta^T */                                                                                              \
    typedef void mlopt_outer_##type(size_t rows, size_t columns, const T *x, const T *delta, T *out, size_t out_row);  \
    /* z += bias, out = f(z); a batch */                                                                               \
    typedef void mlopt_bias_activation_##type(size_t rows, size_t columns, const T *bias, mlopt_activation activation, \
                                              T *z, size_t z_row, T *out, size_t out_row);                             \
    /* delta *= f'(saved), sums = column sums of delta; a batch */                                                     \
    typedef void mlopt_activation_backward_##type(size_t rows, size_t columns, mlopt_activation activation,            \
                                                  const T *saved, size_t saved_row, T *delta, size_t delta_row,        \
                                                  T *sums);                                                            \
    /* the sum of the losses; delta, where given, is scale times its gradient */                                       \
    typedef double mlopt_loss_##type(size_t rows, size_t columns, const T *output, size_t output_row, const T *target, \
                                     size_t target_row, T scale, T *delta, size_t delta_row);                          \
    typedef double mlopt_huber_##type(size_t rows, size_t columns, const T *output, size_t output_row,                 \
                                      const T *target, size_t target_row, T threshold, T scale, T *delta,              \
                                      size_t delta_row);                                                               \
    /* normed = (z + bias - mean) / deviation of every row, z = gain normed */                                         \
    typedef void mlopt_layer_norm_##type(size_t rows, size_t columns, const T *bias, const T *gain, T eps, T *z,       \
                                         size_t z_row, T *normed, size_t normed_row, T *inverse_deviations);           \
    /* delta, the gradient of gain normed, becomes that of the z given above; its column sums, and the gain's gradient \
     */                                                                                                                \
    typedef void mlopt_layer_norm_backward_##type(size_t rows, size_t columns, const T *gain, const T *normed,         \
                                                  size_t normed_row, const T *inverse_deviations, T *delta,            \
                                                  size_t delta_row, T *gain_sums, T *bias_sums);                       \
    /* out = x / (1 - rate), or 0 for a share `rate` of the elements that the key chooses; first: number of the first  \
     * row */                                                                                                          \
    typedef void mlopt_dropout_##type(size_t first, size_t rows, size_t columns, uint64_t key, double rate,            \
                                      const T *x, size_t x_row, T *out, size_t out_row);                               \
    /* a time step of an LSTM: gates hold the sums without bias, and then the gates; rows of cells are hidden long */  \
    typedef void mlopt_lstm_cell_##type(size_t rows, size_t hidden, const T *bias, T *gates, size_t gates_row,         \
                                        const T *before, T *cells, T *out, size_t out_row, T *out_too,                 \
                                        size_t out_too_row);                                                           \
    /* and back: delta + delta_too, each NULL for 0, is the gradient of the outputs, delta_cells that of the cells and \
     * then of those before; delta_gates becomes that of the sums */                                                   \
    typedef void mlopt_lstm_cell_backward_##type(size_t rows, size_t hidden, const T *gates, size_t gates_row,         \
                                                 const T *before, const T *cells, const T *delta, size_t delta_row,    \
                                                 const T *delta_too, size_t delta_too_row, T *delta_cells,             \
                                                 T *delta_gates, size_t delta_gates_row);                              \
    typedef struct mlopt_adamw_rates_##type {                                                                          \
        T decay;           /* 1 - lr * weight_decay */                                                                 \
        T beta1_rest;      /* 1 - beta1 */                                                                             \
        T beta2;           /* beta2 */                                                                                 \
        T beta2_rest;      /* 1 - beta2 */                                                                             \
        T step;            /* lr / (1 - beta1^t) */                                                                    \
        T root_correction; /* 1 / sqrt(1 - beta2^t) */                                                                 \
        T eps;                                                                                                         \
    } mlopt_adamw_rates_##type;                                                                                        \
    typedef void mlopt_adamw_##type(size_t n, const mlopt_adamw_rates_##type *rates, const T *gradient, T *first,      \
                                    T *second, T *parameter);                                                          \
    typedef struct mlopt_sgd_rates_##type {                                                                            \
        T lr, momentum, weight_decay;                                                                                  \
        T nesterov; /* 0 or 1 */                                                                                       \
    } mlopt_sgd_rates_##type;                                                                                          \
    typedef void mlopt_sgd_##type(size_t n, const mlopt_sgd_rates_##type *rates, const T *gradient, T *velocity,       \
                                  T *parameter);

MLOPT_NN_SIGNATURES(float, f32)
MLOPT_NN_SIGNATURES(double, f64)

/* features: features/features.h */
struct mlopt_features_plan;
typedef void mlopt_features_update_f64(const struct mlopt_features_plan *plan, void *state, const double *bar,
                                       double *out);
typedef void mlopt_features_history_f64(const struct mlopt_features_plan *plan, void *state, size_t bars,
                                        const double *bar, double *out, double *workspace);
/* bars: 5 and the caller's columns, each a number a symbol; ticking: NULL for all */
typedef void mlopt_features_symbols_f64(const struct mlopt_features_plan *plan, void *states, size_t symbols,
                                        const double *const *bars, const uint8_t *ticking, double *out,
                                        double *workspace);
/* statistics: rows of `row` numbers each (features/statistics.h) */
typedef void mlopt_statistics_update_f64(size_t n, const double *x, double *statistics, size_t row);
typedef void mlopt_standard_spans_f64(size_t n, const double *statistics, size_t row, double *span);

/* int8: products of bytes with 32-bit sums (int8/int8.h) */
typedef enum mlopt_int8_kind {
    MLOPT_INT8_TO_S32,
    MLOPT_INT8_TO_F32,
    MLOPT_INT8_TO_U8,
    MLOPT_INT8_TO_S8
} mlopt_int8_kind;

/* What becomes of the sums of a row: s32: sum + bias; f32: f((sum + bias) scale + shift); u8 and s8: that times
 * out_multiplier, rounded, plus out_zero, saturated. */
typedef struct mlopt_int8_result {
    mlopt_int8_kind kind;
    const int32_t *bias; /* of every column, or NULL: 0 */
    const float *scale;  /* of every column, or one for all where scale_step is 0 */
    size_t scale_step;
    const float *shift; /* of every column, or NULL: 0 */
    mlopt_activation activation;
    float out_multiplier;
    int32_t out_zero;
} mlopt_int8_result;

typedef struct mlopt_int8_job {
    size_t m, n, k;
    const void *a; /* m x k bytes, steps in elements */
    ptrdiff_t a_row, a_column;
    int a_signed;
    int a_padded;  /* rows of A may be read up to a multiple of 4 */
    const void *b; /* k x n bytes; not read where packed is given */
    ptrdiff_t b_row, b_column;
    int b_signed;
    const int8_t *packed; /* B packed by gemm_pack of the same tier, or NULL */
    size_t packed_columns, packed_first;
    const int32_t *a_zero; /* zero points: of every row, or one for all where the step is 0; NULL: 0 */
    size_t a_zero_step;
    const int32_t *b_zero; /* of every column, likewise */
    size_t b_zero_step;
    void *c; /* m x n, rows contiguous */
    ptrdiff_t c_row;
    mlopt_int8_result result;
    const mlopt_gemm_blocks *blocks;
    void *workspace; /* 64-byte aligned, mlopt_int8_workspace_bytes of it */
} mlopt_int8_job;

typedef void mlopt_int8_gemm_s8(const mlopt_int8_job *job);
/* packs B, k x n, for products with it; returns the columns of the packed form (mlopt_int8_packed_bytes) */
typedef size_t mlopt_int8_pack_s8(size_t k, size_t n, const void *b, ptrdiff_t b_row, ptrdiff_t b_column, int b_signed,
                                  int8_t *packed);
typedef int32_t mlopt_limit_int8_s8(size_t n, const uint8_t *x, const int8_t *y);
/* float32 to bytes and back; limits are the lowest and the highest byte, as numbers.  In rows, every column has a scale
 * and a zero point of its own. */
/* widens [low, high] to hold x; both NaN where a number is not finite */
typedef void mlopt_range_f32(size_t n, const float *x, float *low, float *high);
typedef void mlopt_range_columns_f32(size_t rows, size_t columns, const float *x, size_t x_row, float *low,
                                     float *high);
typedef void mlopt_quantize_f32(size_t n, const float *x, float scale, int32_t zero_point, const int32_t *limits,
                                uint8_t *out);
typedef void mlopt_quantize_columns_f32(size_t rows, size_t columns, const float *x, size_t x_row, const float *scale,
                                        const int32_t *zero_point, const int32_t *limits, uint8_t *out, size_t out_row);
typedef void mlopt_dequantize_f32(size_t n, const uint8_t *x, float scale, int32_t zero_point, int is_signed,
                                  float *out);
typedef void mlopt_dequantize_columns_f32(size_t rows, size_t columns, const uint8_t *x, size_t x_row,
                                          const float *scale, const int32_t *zero_point, int is_signed, float *out,
                                          size_t out_row);

/* A chain of quantised layers for one sample: see int8/int8.h. */
typedef struct mlopt_int8_layer {
    size_t inputs, outputs;
    const int8_t *packed; /* signed weights, by gemm_pack of the same tier */
    size_t packed_columns;
    /* of every column, whole multiples of MLOPT_INT8_PANEL: what sums begin with, what a unit of them is worth, what is
     * added then; written where the layer is dynamic */
    int32_t *start;
    float *scale;
    const float *shift;
    mlopt_activation activation;
    /* its inputs as bytes: round(x multiplier) + zero */
    float multiplier;
    int32_t zero;
    /* by the range of each sample: then weight_scale takes the part of scale, and -zero column_sums is start */
    int dynamic;
    const float *weight_scale;
    uint8_t *bytes; /* the place of its inputs, a multiple of 64 */
    float *reals;   /* the place of its outputs, a multiple of MLOPT_INT8_PANEL */
} mlopt_int8_layer;

typedef struct mlopt_int8_step {
    void (*run)(const struct mlopt_int8_step *step, const float *x, float *out);
    const mlopt_int8_layer *layer;
    const mlopt_int8_layer *next; /* whose inputs the outputs become, or NULL: they stay real */
    const float *x;               /* NULL: the chain's */
    float *out;                   /* NULL: the chain's */
    size_t first, columns;
    mlopt_activation activation;
    float floor;
    /* real numbers to bytes: round(x multiplier), clipped to low and high, + zero */
    float multiplier, low, high;
    int32_t zero;
} mlopt_int8_step;

/* the number of steps; steps NULL: only that.  Layers must stay where they are. */
typedef size_t mlopt_int8_plan_s8(size_t count, const mlopt_int8_layer *layers, mlopt_int8_step *steps);
typedef void mlopt_int8_run_s8(size_t count, const mlopt_int8_step *steps, const float *x, float *out);
/* rows of real numbers to bytes, as the layer's inputs, which are not dynamic; out_row is at least their number rounded
 * up to a multiple of 16 */
typedef void mlopt_int8_inputs_s8(size_t rows, const mlopt_int8_layer *layer, const float *x, size_t x_row,
                                  uint8_t *out, size_t out_row);

/* The same for a dynamic layer, each row by its own range: also its zero point, and what a unit of it is worth. */
typedef void mlopt_int8_ranges_s8(size_t rows, const mlopt_int8_layer *layer, const float *x, size_t x_row,
                                  uint8_t *out, size_t out_row, int32_t *zeros, float *units);
/* sums (int32) of a dynamic layer's outputs to real numbers, in place */
typedef void mlopt_int8_reals_s8(size_t rows, const mlopt_int8_layer *layer, const float *units, void *sums,
                                 size_t sums_row);

/* bf16: bfloat16 as its 16 bits, products with float32 sums (bf16/bf16.h) */
typedef float mlopt_limit_bf16_bf16(size_t n, const uint16_t *x, const uint16_t *y);
/* C = A B, or C += A B, as mlopt_gemm_job_f32; the elements of an operand that is `short` are bfloat16, else float32 */
typedef struct mlopt_gemm_job_bf16 {
    size_t m, n, k;
    const void *a;
    ptrdiff_t a_row, a_column;
    const void *b;
    ptrdiff_t b_row, b_column;
    void *c;
    ptrdiff_t c_row, c_column;
    int a_short, b_short, c_short;
    int accumulate;
    const mlopt_gemm_blocks *blocks;
    void *workspace;
    /* B packed by gemm_pack of the same tier and blocks, or NULL; columns of the whole of it, this B's first */
    const uint16_t *packed;
    size_t packed_columns, packed_first;
} mlopt_gemm_job_bf16;
/* finish: as in gemm_then, or NULL; of float32 */
typedef void mlopt_product_bf16(const mlopt_gemm_job_bf16 *job, const mlopt_gemm_finish_f32 *finish);
/* packs B, k x n; returns the columns of the packed form, of k elements each, k rounded up to an even number */
typedef size_t mlopt_product_pack_bf16(const mlopt_gemm_blocks *blocks, size_t k, size_t n, const void *b, int b_short,
                                       ptrdiff_t b_row, ptrdiff_t b_column, uint16_t *packed);
typedef void mlopt_rounding_bf16(size_t n, const float *x, uint16_t *out);
typedef void mlopt_widening_bf16(size_t n, const uint16_t *x, float *out);
/* a matrix rounded; sums, unless NULL: the sums of its columns, before rounding, are added to them */
typedef void mlopt_rounding_rows_bf16(size_t rows, size_t columns, const float *x, ptrdiff_t x_row, uint16_t *out,
                                      ptrdiff_t out_row, float *sums);

/* sparse: matrices in compressed rows (sparse/sparse.h) */
typedef struct mlopt_csr {
    size_t rows, columns;
    const void *indptr;  /* rows + 1 numbers, of 32 or 64 bits: where rows begin and end */
    const void *indices; /* columns, of the same type */
    const void *values;  /* float or double */
} mlopt_csr;

/* Rows in slices, for products with a vector. */
typedef struct mlopt_sell {
    size_t rows, slices;
    const size_t *start;    /* slices + 1: where the elements of a slice begin */
    const int32_t *full;    /* elements that all rows of a slice have */
    const int32_t *row;     /* the number of every row */
    const int32_t *rest;    /* how many elements it has beyond those */
    const int32_t *columns; /* of every element */
    const void *values;
} mlopt_sell;

#define MLOPT_SPARSE_SIGNATURES(T, type)                                                                               \
    typedef void mlopt_sparse_vector_##type(const mlopt_csr *a, size_t first, size_t last, const T *x, T *y);          \
    typedef void mlopt_sliced_vector_##type(const mlopt_sell *a, size_t first, size_t last, const T *x, T *y);         \
    typedef void mlopt_sparse_matrix_##type(const mlopt_csr *a, size_t first, size_t last, size_t n, const T *b,       \
                                            size_t b_row, T *c, size_t c_row);                                         \
    typedef void mlopt_sampled_##type(const mlopt_csr *a, size_t first, size_t last, size_t length, const T *u,        \
                                      size_t u_row, const T *v, size_t v_row, T *out);                                 \
    typedef size_t mlopt_sparse_product_##type(const mlopt_csr *a, size_t first, size_t last, const mlopt_csr *b,      \
                                               void *scratch, size_t *ends, void *indices, T *values);                 \
    typedef size_t mlopt_count_##type(size_t n, const T *x);                                                           \
    typedef size_t mlopt_store_nonzero_##type(size_t n, const T *x, int32_t *columns, T *values);

MLOPT_SPARSE_SIGNATURES(float, f32)
MLOPT_SPARSE_SIGNATURES(double, f64)

#endif
