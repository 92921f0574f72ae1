/* The kernels of the sparse family by element type and width of column numbers, for code that knows neither, and how a
 * matrix is shared among threads. */
#ifndef MLOPT_SPARSE_CALLS_H
#define MLOPT_SPARSE_CALLS_H

#include "dispatch.h"
#include "sparse/slices.h"

/* What the elements and the column numbers of a product are. */
typedef struct mlopt_sparse_types {
    const mlopt_kernels *table;
    int is_f64, is_long;
} mlopt_sparse_types;

#define MLOPT_SPARSE_KERNEL(name, declared, given, result)                                                             \
    static inline result mlopt_call_##name declared                                                                    \
    {                                                                                                                  \
        if (types->is_f64)                                                                                             \
            return types->is_long ? types->table->name##_long_f64 given : types->table->name##_f64 given;              \
        return types->is_long ? types->table->name##_long_f32 given : types->table->name##_f32 given;                  \
    }

MLOPT_SPARSE_KERNEL(spmv,
                    (const mlopt_sparse_types *types, const mlopt_csr *a, size_t first, size_t last, const void *x,
                     void *y),
                    (a, first, last, x, y), void)
MLOPT_SPARSE_KERNEL(spmv_transposed,
                    (const mlopt_sparse_types *types, const mlopt_csr *a, size_t first, size_t last, const void *x,
                     void *y),
                    (a, first, last, x, y), void)
MLOPT_SPARSE_KERNEL(spmm,
                    (const mlopt_sparse_types *types, const mlopt_csr *a, size_t first, size_t last, size_t n,
                     const void *b, size_t b_row, void *c, size_t c_row),
                    (a, first, last, n, b, b_row, c, c_row), void)
MLOPT_SPARSE_KERNEL(spmm_transposed,
                    (const mlopt_sparse_types *types, const mlopt_csr *a, size_t first, size_t last, size_t n,
                     const void *b, size_t b_row, void *c, size_t c_row),
                    (a, first, last, n, b, b_row, c, c_row), void)
MLOPT_SPARSE_KERNEL(sampled,
                    (const mlopt_sparse_types *types, const mlopt_csr *a, size_t first, size_t last, size_t length,
                     const void *u, size_t u_row, const void *v, size_t v_row, void *out),
                    (a, first, last, length, u, u_row, v, v_row, out), void)
MLOPT_SPARSE_KERNEL(spgemm,
                    (const mlopt_sparse_types *types, const mlopt_csr *a, size_t first, size_t last, const mlopt_csr *b,
                     void *scratch, size_t *ends, void *indices, void *values),
                    (a, first, last, b, scratch, ends, indices, values), size_t)
#undef MLOPT_SPARSE_KERNEL

static inline void mlopt_call_sell(const mlopt_sparse_types *types, const mlopt_sell *a, size_t first, size_t last,
                                   const void *x, void *y)
{
    if (types->is_f64)
        types->table->sell_f64(a, first, last, x, y);
    else
        types->table->sell_f32(a, first, last, x, y);
}

static inline void mlopt_call_sell_transposed(const mlopt_sparse_types *types, const mlopt_sell *a, size_t first,
                                              size_t last, const void *x, void *y)
{
    if (types->is_f64)
        types->table->sell_transposed_f64(a, first, last, x, y);
    else
        types->table->sell_transposed_f32(a, first, last, x, y);
}

/* out = x transposed; rows of both are contiguous */
static inline void mlopt_call_transpose(const mlopt_sparse_types *types, size_t rows, size_t columns, const void *x,
                                        size_t x_row, void *out, size_t out_row)
{
    if (types->is_f64)
        types->table->transpose_scaled_f64(rows, columns, x, (ptrdiff_t)x_row, 1, NULL, NULL, out, (ptrdiff_t)out_row);
    else
        types->table->transpose_scaled_f32(rows, columns, x, (ptrdiff_t)x_row, 1, NULL, NULL, out, (ptrdiff_t)out_row);
}

/* Kernels of dense arrays, by element type alone. */
#define MLOPT_DENSE_KERNEL(name, declared, given, result)                                                              \
    static inline result mlopt_call_##name declared                                                                    \
    {                                                                                                                  \
        return types->is_f64 ? types->table->name##_f64 given : types->table->name##_f32 given;                        \
    }

MLOPT_DENSE_KERNEL(count_nonzero, (const mlopt_sparse_types *types, size_t n, const void *x), (n, x), size_t)
MLOPT_DENSE_KERNEL(count_nonfinite, (const mlopt_sparse_types *types, size_t n, const void *x), (n, x), size_t)
MLOPT_DENSE_KERNEL(store_nonzero,
                   (const mlopt_sparse_types *types, size_t n, const void *x, int32_t *columns, void *values),
                   (n, x, columns, values), size_t)
#undef MLOPT_DENSE_KERNEL

/* Where row i begins. */
static inline size_t mlopt_row_start(const mlopt_csr *a, int is_long, size_t i)
{
    return is_long ? (size_t)((const int64_t *)a->indptr)[i] : (size_t)((const int32_t *)a->indptr)[i];
}

static inline size_t mlopt_column(const mlopt_csr *a, int is_long, size_t k)
{
    return is_long ? (size_t)((const int64_t *)a->indices)[k] : (size_t)((const int32_t *)a->indices)[k];
}

/* The first row of part `part` of `parts` that have equally many elements (a row counting as one more). */
static inline size_t mlopt_share_rows(const mlopt_csr *a, int is_long, size_t part, size_t parts)
{
    const size_t work = mlopt_row_start(a, is_long, a->rows) + a->rows;
    const size_t wanted = (size_t)((double)work * (double)part / (double)parts);
    size_t low = 0, high = a->rows;
    if (part == parts)
        return high;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (mlopt_row_start(a, is_long, middle) + middle < wanted)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The same for slices. */
static inline size_t mlopt_share_slices(const mlopt_sell *a, size_t part, size_t parts)
{
    const size_t wanted = (size_t)((double)a->start[a->slices] * (double)part / (double)parts);
    size_t low = 0, high = a->slices;
    if (part == parts)
        return high;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (a->start[middle] < wanted)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

#endif
