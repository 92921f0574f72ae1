/* What a random matrix Omega (n x columns) is, as lists of the columns of A that are added up and subtracted to a
 * column of A Omega, and how such lists are applied to a few rows of A at a time. */
#ifndef MLOPT_SKETCH_PLAN_H
#define MLOPT_SKETCH_PLAN_H

#include "dispatch.h"
#include "sketch/philox.h"

#include <stdlib.h>
#include <string.h>

/* Columns of A that are transposed, transformed and added up before the next ones are touched. */
#define MLOPT_SKETCH_CHUNK 2048
/* Rows of A that are taken together: sixteen, so that a chunk of them is 128 or 256 KiB and stays in the second-level
 * cache.  Where A's columns are contiguous, 256 bytes of each: with less, every line of memory is a page of its own. */
#define MLOPT_SKETCH_ROWS 16
#define MLOPT_SKETCH_COLUMN_BYTES 256

static inline size_t mlopt_sketch_together(size_t element_bytes, ptrdiff_t a_row, ptrdiff_t a_column)
{
    return a_row == 1 && a_column != 1 ? MLOPT_SKETCH_COLUMN_BYTES / element_bytes : MLOPT_SKETCH_ROWS;
}

typedef struct mlopt_sketch_plan {
    size_t n, columns;
    size_t block;           /* columns that are transformed together, a power of two; 1: none are */
    const void *weights;    /* of the columns of A */
    const int32_t *places;  /* where they go within their chunk; NULL: they stay */
    const int32_t *indices; /* of columns within a chunk; signed_sums says how they are used */
    const int64_t *bounds;  /* 2 columns + 1 for each chunk, counted from the first index of all */
} mlopt_sketch_plan;

static inline size_t mlopt_sketch_chunk(const mlopt_sketch_plan *plan)
{
    return plan->block > MLOPT_SKETCH_CHUNK ? plan->block : MLOPT_SKETCH_CHUNK;
}

static inline size_t mlopt_sketch_workspace_elements(const mlopt_sketch_plan *plan, size_t together)
{
    const size_t whole = (plan->n + plan->block - 1) / plan->block * plan->block, chunk = mlopt_sketch_chunk(plan);
    return ((whole < chunk ? whole : chunk) + 2 * plan->columns) * together;
}

static inline uint64_t mlopt_sketch_word(uint64_t key, uint64_t number, enum mlopt_philox_use use)
{
    uint32_t words[4];
    mlopt_philox(key, number / 2, use, words);
    return (uint64_t)words[number % 2 * 2 + 1] << 32 | words[number % 2 * 2];
}

/* bit i of the stream of signs */
static inline void mlopt_sketch_signs(uint64_t key, size_t n, double size, void *weights, size_t element_bytes)
{
    uint32_t words[4];
    for (size_t i = 0; i < n; i++) {
        if (i % 128 == 0)
            mlopt_philox(key, i / 128, MLOPT_PHILOX_SIGNS, words);
        const double weight = words[i % 128 / 32] >> i % 32 & 1 ? -size : size;
        if (element_bytes == 8)
            ((double *)weights)[i] = weight;
        else
            ((float *)weights)[i] = (float)weight;
    }
}

/* A random order of the columns of each chunk (Fisher and Yates): columns of A that lie side by side would otherwise
 * meet few rows of H that differ there, and a matrix that is large in few of them would be sketched badly. */
static inline void mlopt_sketch_order(uint64_t key, size_t n, size_t chunk, int32_t *places)
{
    uint32_t words[4];
    for (size_t i = 0; i < n; i++) {
        const size_t first = i / chunk * chunk, at = i - first;
        if (i % 4 == 0)
            mlopt_philox(key, i / 4, MLOPT_PHILOX_ORDER, words);
        const size_t other = (size_t)((uint64_t)words[i % 4] * (at + 1) >> 32);
        places[i] = places[first + other];
        places[first + other] = (int32_t)at;
    }
}

/* `count` different numbers below `total` (Floyd's algorithm); seen: a bit for each of them, zeroed */
static inline void mlopt_sketch_places(uint64_t key, uint64_t total, size_t count, uint64_t *places, uint8_t *seen)
{
    for (size_t j = 0; j < count; j++) {
        const uint64_t last = total - count + j;
        uint64_t place = mlopt_sketch_word(key, j, MLOPT_PHILOX_PLACES) % (last + 1);
        if (seen[place / 8] >> place % 8 & 1)
            place = last;
        seen[place / 8] |= (uint8_t)(1 << place % 8);
        places[j] = place;
    }
}

/* Rows of H_N, N = block * a power of two, N >= n: element i of row p * block + q is H_block[q][i % block] times the
 * sign of popcount(p & i / block).  H_block is applied to the blocks; which is added and which is subtracted stands in
 * the lists. */
static inline void mlopt_srht_lists(size_t n, size_t columns, size_t block, size_t chunk, const uint64_t *places,
                                    int32_t *indices, int64_t *bounds)
{
    int64_t filled = 0;
    for (size_t first = 0; first < n; first += chunk) {
        const size_t blocks = ((n - first < chunk ? n - first : chunk) + block - 1) / block;
        for (size_t j = 0; j < columns; j++)
            for (int minus = 0; minus < 2; minus++) {
                *bounds++ = filled;
                for (size_t i = 0; i < blocks; i++)
                    if (__builtin_parityll(places[j] / block & (first / block + i)) == minus)
                        indices[filled++] = (int32_t)(i * block + places[j] % block);
            }
        *bounds++ = filled;
    }
}

/* `zeta` numbers of +1 and -1 in every row of Omega, one in each of so many equal parts of its columns (the block
 * construction of Kane and Nelson, "Sparser Johnson-Lindenstrauss transforms", J. ACM 61, 2014), where the parts cannot
 * be equal turned round by a random number of columns; targets: room for chunk * zeta numbers; next: 2 columns */
static inline void mlopt_sparse_sign_lists(uint64_t key, size_t n, size_t columns, size_t zeta, size_t chunk,
                                           uint32_t *targets, int64_t *next, int32_t *indices, int64_t *bounds)
{
    int64_t filled = 0;
    for (size_t first = 0; first < n; first += chunk) {
        const size_t some = n - first < chunk ? n - first : chunk;
        memset(next, 0, 2 * columns * sizeof *next);
        for (size_t i = 0; i < some; i++) {
            uint32_t words[12] = {0};
            mlopt_philox(key, 3 * (first + i), MLOPT_PHILOX_PLACES, words);
            if (zeta > 4)
                mlopt_philox(key, 3 * (first + i) + 1, MLOPT_PHILOX_PLACES, words + 4);
            if (columns % zeta)
                mlopt_philox(key, 3 * (first + i) + 2, MLOPT_PHILOX_PLACES, words + 8);
            const size_t turn = (size_t)((uint64_t)words[8] * columns >> 32);
            for (size_t z = 0; z < zeta; z++) {
                const size_t low = z * columns / zeta, high = (z + 1) * columns / zeta;
                const size_t place = turn + low + (size_t)((uint64_t)(words[z] >> 1) * (high - low) >> 31);
                const uint32_t target = (uint32_t)(2 * (place % columns) + (words[z] & 1));
                targets[i * zeta + z] = target, next[target]++;
            }
        }
        for (size_t t = 0; t < 2 * columns; t++) {
            const int64_t count = next[t];
            bounds[t] = next[t] = filled;
            filled += count;
        }
        for (size_t i = 0; i < some * zeta; i++)
            indices[next[targets[i]]++] = (int32_t)(i / zeta);
        bounds += 2 * columns;
        *bounds++ = filled;
    }
}

/* out = A Omega for up to `together` rows of A; out's rows are contiguous */
#define MLOPT_SKETCH_APPLY(T, type)                                                                                    \
    static inline void mlopt_sketch_rows_##type(const mlopt_kernels *table, const mlopt_sketch_plan *plan,             \
                                                size_t together, size_t rows, const T *a, ptrdiff_t a_row,             \
                                                ptrdiff_t a_column, T *out, ptrdiff_t out_row, T *workspace)           \
    {                                                                                                                  \
        const size_t chunk = mlopt_sketch_chunk(plan), columns = plan->columns, block = plan->block;                   \
        const ptrdiff_t row = (ptrdiff_t)together;                                                                     \
        T *const sums = workspace, *const more = sums + columns * together, *const panel = more + columns * together;  \
        const int64_t *bounds = plan->bounds;                                                                          \
        for (size_t first = 0; first < plan->n; first += chunk, bounds += 2 * columns + 1) {                           \
            const size_t some = plan->n - first < chunk ? plan->n - first : chunk;                                     \
            const size_t whole = (some + block - 1) / block * block;                                                   \
            table->transpose_scaled_##type(rows, some, a + (ptrdiff_t)first * a_column, a_row, a_column,               \
                                           (const T *)plan->weights + first,                                           \
                                           plan->places ? plan->places + first : NULL, panel, row);                    \
            memset(panel + some * together, 0, (whole - some) * together * sizeof(T));                                 \
            for (size_t b = 0; block > 1 && b < whole; b += block)                                                     \
                table->walsh_hadamard_##type(block, rows, panel + b * together, row);                                  \
            table->signed_sums_##type(columns, rows, panel, row, plan->indices, bounds, first ? more : sums, row);     \
            if (first)                                                                                                 \
                for (size_t j = 0; j < columns; j++)                                                                   \
                    table->axpy_##type(rows, 1, more + j * together, sums + j * together);                             \
        }                                                                                                              \
        table->transpose_scaled_##type(columns, rows, sums, row, 1, NULL, NULL, out, out_row);                         \
    }

MLOPT_SKETCH_APPLY(float, f32)
MLOPT_SKETCH_APPLY(double, f64)

#endif
