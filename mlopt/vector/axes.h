/* Reductions over any axes of an array of any strides, with the register's kernels for rows and columns.
 *
 * Axes are taken in the order in which they lie in memory, so that transposing an array changes neither the result nor
 * the speed, and neighbours that run on are joined.  Then the innermost axis decides:
 *
 *   it is reduced     one row kernel per result
 *   it is kept        one column kernel for all results along it
 *
 * What does not lie as a kernel needs it goes through a buffer, never as a whole: a line piece by piece (the pieces of
 * a sum are joined as the kernel joins its blocks, so that the result is that of the contiguous line to the last bit),
 * columns strip by strip. */
#ifndef MLOPT_AXES_H
#define MLOPT_AXES_H

#include <Python.h>
#include <numpy/arrayobject.h>

#include "dispatch.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef enum mlopt_operation {
    MLOPT_SUM,
    MLOPT_MEAN,
    MLOPT_VAR,
    MLOPT_MIN,
    MLOPT_MAX,
    MLOPT_ARGMAX,
    MLOPT_NORM,
    MLOPT_LOGSUMEXP,
} mlopt_operation;

/* Elements of a piece: a power of two times the block of every tier's sums. */
#define MLOPT_PIECE 8192
/* What a buffer of columns should and may take; below the second, a strip is a cache line wide. */
#define MLOPT_STRIPS_BYTES ((size_t)256 << 10)
#define MLOPT_STRIPS_LIMIT ((size_t)16 << 20)

typedef struct mlopt_axis {
    size_t size;
    npy_intp stride; /* bytes */
    npy_intp other;  /* the same axis' stride in a second array */
    int place;       /* which axis of the array it is */
} mlopt_axis;

typedef struct mlopt_reduction {
    const mlopt_kernels *table;
    mlopt_operation operation;
    int is_f64;
    double ddof;
    const char *x;
    char *out; /* one number (or intp) per combination of the kept axes, the last one fastest */
    int kept_count, reduced_count;
    mlopt_axis kept[NPY_MAXDIMS], reduced[NPY_MAXDIMS];
    size_t length; /* of a line */
    size_t strip;  /* columns that the buffer takes at once; 0: columns lie as they should */
    int down_columns;
} mlopt_reduction;

static int mlopt_further_apart(const void *a, const void *b)
{
    const mlopt_axis *x = a, *y = b;
    const npy_intp first = labs(x->stride), second = labs(y->stride);
    return first != second ? (first < second) - (first > second) : x->place - y->place;
}

/* Drops axes of one element and joins what runs on; returns how many axes are left. */
static int mlopt_join_axes(int count, mlopt_axis *axes)
{
    int joined = 0;
    for (int i = 0; i < count; i++) {
        if (axes[i].size == 1)
            continue;
        mlopt_axis *last = joined ? &axes[joined - 1] : NULL;
        const npy_intp size = (npy_intp)axes[i].size;
        if (last && last->stride == axes[i].stride * size && last->other == axes[i].other * size) {
            last->size *= axes[i].size;
            last->stride = axes[i].stride;
            last->other = axes[i].other;
        } else {
            axes[joined++] = axes[i];
        }
    }
    return joined;
}

/* Puts the kept axes in the order of memory, which is that of the results. */
static void mlopt_order_kept(mlopt_reduction *r)
{
    qsort(r->kept, (size_t)r->kept_count, sizeof *r->kept, mlopt_further_apart);
}

/* Decides how the array is walked; returns the bytes of buffer that takes. */
static size_t mlopt_plan_reduction(mlopt_reduction *r)
{
    const size_t itemsize = r->is_f64 ? 8 : 4;
    if (r->operation != MLOPT_ARGMAX) { /* whose places count from the first element on */
        for (int i = 0; i < r->reduced_count; i++)
            if (r->reduced[i].stride < 0) {
                r->x += (npy_intp)(r->reduced[i].size - 1) * r->reduced[i].stride;
                r->reduced[i].stride = -r->reduced[i].stride;
            }
        qsort(r->reduced, (size_t)r->reduced_count, sizeof *r->reduced, mlopt_further_apart);
    }
    r->length = 1;
    for (int i = 0; i < r->reduced_count; i++)
        r->length *= r->reduced[i].size;
    r->kept_count = mlopt_join_axes(r->kept_count, r->kept);
    r->reduced_count = mlopt_join_axes(r->reduced_count, r->reduced);

    const mlopt_axis *kept = r->kept_count ? &r->kept[r->kept_count - 1] : NULL;
    const mlopt_axis *reduced = r->reduced_count ? &r->reduced[r->reduced_count - 1] : NULL;
    r->strip = 0;
    r->down_columns = kept && (!reduced || labs(kept->stride) < labs(reduced->stride));
    if (r->down_columns && (kept->stride != (npy_intp)itemsize || r->reduced_count > 1)) {
        const size_t line = r->length * itemsize, narrow = 64 / itemsize;
        r->strip = MLOPT_STRIPS_BYTES / line < narrow ? narrow : MLOPT_STRIPS_BYTES / line;
        if (r->strip > kept->size)
            r->strip = kept->size;
        if (r->strip * line <= MLOPT_STRIPS_LIMIT)
            return r->strip * line;
        r->down_columns = 0;
    }
    const int as_it_lies = !reduced || (r->reduced_count == 1 && reduced->stride == (npy_intp)itemsize);
    return r->down_columns || as_it_lies ? 0 : MLOPT_PIECE * itemsize;
}

/* Steps an index over all axes but the last `inner`; 0 when it has been everywhere. */
static inline int mlopt_step(const mlopt_axis *axes, int count, int inner, size_t *index, const char **at)
{
    for (int i = count - inner - 1; i >= 0; i--) {
        *at += axes[i].stride;
        if (++index[i] < axes[i].size)
            return 1;
        *at -= (npy_intp)axes[i].size * axes[i].stride;
        index[i] = 0;
    }
    return 0;
}

/* to[i] = from[i * step] */
#define MLOPT_GATHER(type, bits)                                                                                       \
    static inline void mlopt_gather_##type(bits *restrict to, const bits *restrict from, npy_intp step, size_t n)      \
    {                                                                                                                  \
        if (step == 2) { /* which compilers do with shuffles */                                                        \
            for (size_t i = 0; i < n; i++)                                                                             \
                to[i] = from[2 * i];                                                                                   \
            return;                                                                                                    \
        }                                                                                                              \
        size_t i = 0;                                                                                                  \
        for (; i + 4 <= n; i += 4, from += 4 * step) {                                                                 \
            to[i] = from[0];                                                                                           \
            to[i + 1] = from[step];                                                                                    \
            to[i + 2] = from[2 * step];                                                                                \
            to[i + 3] = from[3 * step];                                                                                \
        }                                                                                                              \
        for (; i < n; i++, from += step)                                                                               \
            to[i] = *from;                                                                                             \
    }
MLOPT_GATHER(f32, float)
MLOPT_GATHER(f64, double)

static inline void mlopt_gather(char *to, const char *from, npy_intp stride, size_t n, size_t itemsize)
{
    if (stride == (npy_intp)itemsize)
        memcpy(to, from, n * itemsize);
    else if (itemsize == 8)
        mlopt_gather_f64((double *)to, (const double *)from, stride / 8, n);
    else
        mlopt_gather_f32((float *)to, (const float *)from, stride / 4, n);
}

#define MLOPT_REDUCE_AXES(T, type)                                                                                     \
    /* the divisor is positive: the caller has seen to that */                                                         \
    static inline T mlopt_variance_##type(const mlopt_reduction *r, T squares)                                         \
    {                                                                                                                  \
        return (T)((double)squares / ((double)r->length - r->ddof));                                                   \
    }                                                                                                                  \
                                                                                                                       \
    static inline void mlopt_reduce_line_##type(const mlopt_reduction *r, const T *x, char *out)                       \
    {                                                                                                                  \
        const mlopt_kernels *table = r->table;                                                                         \
        const size_t n = r->length;                                                                                    \
        T value = 0, squares;                                                                                          \
        switch (r->operation) {                                                                                        \
        case MLOPT_SUM:                                                                                                \
            value = table->sum_##type(n, x);                                                                           \
            break;                                                                                                     \
        case MLOPT_MEAN:                                                                                               \
            value = table->sum_##type(n, x) / (T)n;                                                                    \
            break;                                                                                                     \
        case MLOPT_VAR:                                                                                                \
            table->moments_##type(n, x, &value, &squares);                                                             \
            value = mlopt_variance_##type(r, squares);                                                                 \
            break;                                                                                                     \
        case MLOPT_MIN:                                                                                                \
            value = table->min_##type(n, x);                                                                           \
            break;                                                                                                     \
        case MLOPT_MAX:                                                                                                \
            value = table->max_##type(n, x);                                                                           \
            break;                                                                                                     \
        case MLOPT_ARGMAX:                                                                                             \
            *(size_t *)out = table->argmax_##type(n, x);                                                               \
            return;                                                                                                    \
        case MLOPT_NORM:                                                                                               \
            value = (T)sqrt((double)table->dot_##type(n, x, x));                                                       \
            break;                                                                                                     \
        case MLOPT_LOGSUMEXP:                                                                                          \
            value = table->logsumexp_##type(n, x);                                                                     \
            break;                                                                                                     \
        }                                                                                                              \
        *(T *)out = value;                                                                                             \
    }                                                                                                                  \
                                                                                                                       \
    /* A line that arrives in pieces. */                                                                               \
    typedef struct mlopt_line_##type {                                                                                 \
        size_t done, pieces, place;                                                                                    \
        T level[64]; /* sums of 2^l pieces */                                                                          \
        T best, mean, squares;                                                                                         \
        double largest, total; /* logsumexp */                                                                         \
    } mlopt_line_##type;                                                                                               \
                                                                                                                       \
    static void mlopt_add_sum_##type(mlopt_line_##type *line, T sum)                                                   \
    {                                                                                                                  \
        int level = 0;                                                                                                 \
        for (size_t full = line->pieces++; full & 1; full >>= 1)                                                       \
            sum = line->level[level++] + sum;                                                                          \
        line->level[level] = sum;                                                                                      \
    }                                                                                                                  \
                                                                                                                       \
    static T mlopt_total_##type(const mlopt_line_##type *line)                                                         \
    {                                                                                                                  \
        T total = 0;                                                                                                   \
        int level = 0;                                                                                                 \
        for (size_t full = line->pieces; full; full >>= 1, level++)                                                    \
            if (full & 1)                                                                                              \
                total = line->level[level] + total;                                                                    \
        return total;                                                                                                  \
    }                                                                                                                  \
                                                                                                                       \
    static void mlopt_add_piece_##type(const mlopt_reduction *r, mlopt_line_##type *line, size_t n, const T *x)        \
    {                                                                                                                  \
        const mlopt_kernels *table = r->table;                                                                         \
        T value, squares;                                                                                              \
        switch (r->operation) {                                                                                        \
        case MLOPT_SUM:                                                                                                \
        case MLOPT_MEAN:                                                                                               \
            mlopt_add_sum_##type(line, table->sum_##type(n, x));                                                       \
            break;                                                                                                     \
        case MLOPT_NORM:                                                                                               \
            mlopt_add_sum_##type(line, table->dot_##type(n, x, x));                                                    \
            break;                                                                                                     \
        case MLOPT_VAR:                                                                                                \
            table->moments_##type(n, x, &value, &squares);                                                             \
            if (line->done == 0) {                                                                                     \
                line->mean = value;                                                                                    \
                line->squares = squares;                                                                               \
            } else { /* Chan, Golub, LeVeque */                                                                        \
                const T difference = value - line->mean, all = (T)(line->done + n);                                    \
                line->mean += difference * ((T)n / all);                                                               \
                line->squares += squares + difference * difference * ((T)line->done / all * (T)n);                     \
            }                                                                                                          \
            break;                                                                                                     \
        case MLOPT_MIN:                                                                                                \
            value = table->min_##type(n, x);                                                                           \
            if (line->done == 0 || value < line->best || value != value)                                               \
                line->best = value;                                                                                    \
            break;                                                                                                     \
        case MLOPT_MAX:                                                                                                \
            value = table->max_##type(n, x);                                                                           \
            if (line->done == 0 || value > line->best || value != value)                                               \
                line->best = value;                                                                                    \
            break;                                                                                                     \
        case MLOPT_ARGMAX: {                                                                                           \
            const size_t place = table->argmax_##type(n, x);                                                           \
            value = x[place];                                                                                          \
            if (line->done == 0 || value > line->best || (value != value && line->best == line->best)) {               \
                line->best = value;                                                                                    \
                line->place = line->done + place;                                                                      \
            }                                                                                                          \
            break;                                                                                                     \
        }                                                                                                              \
        case MLOPT_LOGSUMEXP: {                                                                                        \
            const double part = (double)table->logsumexp_##type(n, x);                                                 \
            if (line->done == 0) {                                                                                     \
                line->largest = part;                                                                                  \
                line->total = 1;                                                                                       \
            } else if (part > line->largest) {                                                                         \
                line->total = line->total * exp(line->largest - part) + 1;                                             \
                line->largest = part;                                                                                  \
            } else if (part != part || line->largest - line->largest == 0) {                                           \
                line->total += exp(part - line->largest);                                                              \
            }                                                                                                          \
            break;                                                                                                     \
        }                                                                                                              \
        }                                                                                                              \
        line->done += n;                                                                                               \
    }                                                                                                                  \
                                                                                                                       \
    static void mlopt_finish_line_##type(const mlopt_reduction *r, const mlopt_line_##type *line, char *out)           \
    {                                                                                                                  \
        T value = line->best;                                                                                          \
        if (r->operation == MLOPT_ARGMAX) {                                                                            \
            *(size_t *)out = line->place;                                                                              \
            return;                                                                                                    \
        }                                                                                                              \
        if (r->operation == MLOPT_SUM)                                                                                 \
            value = mlopt_total_##type(line);                                                                          \
        else if (r->operation == MLOPT_MEAN)                                                                           \
            value = mlopt_total_##type(line) / (T)r->length;                                                           \
        else if (r->operation == MLOPT_NORM)                                                                           \
            value = (T)sqrt((double)mlopt_total_##type(line));                                                         \
        else if (r->operation == MLOPT_VAR)                                                                            \
            value = mlopt_variance_##type(r, line->squares);                                                           \
        else if (r->operation == MLOPT_LOGSUMEXP)                                                                      \
            value = (T)(line->largest + log(line->total));                                                             \
        *(T *)out = value;                                                                                             \
    }                                                                                                                  \
                                                                                                                       \
    static void mlopt_gather_line_##type(const mlopt_reduction *r, const char *x, T *buffer, char *out)                \
    {                                                                                                                  \
        const mlopt_axis *last = &r->reduced[r->reduced_count - 1];                                                    \
        size_t index[NPY_MAXDIMS] = {0}, filled = 0;                                                                   \
        mlopt_line_##type line = {0};                                                                                  \
        do {                                                                                                           \
            for (size_t i = 0; i < last->size;) {                                                                      \
                const size_t room = MLOPT_PIECE - filled, rest = last->size - i, some = rest < room ? rest : room;     \
                mlopt_gather((char *)(buffer + filled), x + (npy_intp)i * last->stride, last->stride, some,            \
                             sizeof(T));                                                                               \
                i += some;                                                                                             \
                filled += some;                                                                                        \
                if (filled == MLOPT_PIECE) {                                                                           \
                    mlopt_add_piece_##type(r, &line, filled, buffer);                                                  \
                    filled = 0;                                                                                        \
                }                                                                                                      \
            }                                                                                                          \
        } while (mlopt_step(r->reduced, r->reduced_count, 1, index, &x));                                              \
        if (filled)                                                                                                    \
            mlopt_add_piece_##type(r, &line, filled, buffer);                                                          \
        mlopt_finish_line_##type(r, &line, out);                                                                       \
    }                                                                                                                  \
                                                                                                                       \
    /* r->length rows; row is the step between them, in elements */                                                    \
    static void mlopt_reduce_columns_##type(const mlopt_reduction *r, size_t columns, const T *x, ptrdiff_t row,       \
                                            char *out)                                                                 \
    {                                                                                                                  \
        const mlopt_kernels *table = r->table;                                                                         \
        const size_t rows = r->length;                                                                                 \
        T *result = (T *)out;                                                                                          \
        switch (r->operation) {                                                                                        \
        case MLOPT_SUM:                                                                                                \
            table->sum_columns_##type(rows, columns, x, row, result);                                                  \
            break;                                                                                                     \
        case MLOPT_MEAN:                                                                                               \
            table->sum_columns_##type(rows, columns, x, row, result);                                                  \
            for (size_t c = 0; c < columns; c++)                                                                       \
                result[c] /= (T)rows;                                                                                  \
            break;                                                                                                     \
        case MLOPT_NORM:                                                                                               \
            table->squares_columns_##type(rows, columns, x, row, result);                                              \
            for (size_t c = 0; c < columns; c++)                                                                       \
                result[c] = (T)sqrt((double)result[c]);                                                                \
            break;                                                                                                     \
        case MLOPT_VAR:                                                                                                \
            for (size_t c = 0; c < columns; c += 256) {                                                                \
                T means[256];                                                                                          \
                const size_t some = columns - c < 256 ? columns - c : 256;                                             \
                table->moments_columns_##type(rows, some, x + c, row, means, result + c);                              \
                for (size_t i = c; i < c + some; i++)                                                                  \
                    result[i] = mlopt_variance_##type(r, result[i]);                                                   \
            }                                                                                                          \
            break;                                                                                                     \
        case MLOPT_MIN:                                                                                                \
            table->min_columns_##type(rows, columns, x, row, result);                                                  \
            break;                                                                                                     \
        case MLOPT_MAX:                                                                                                \
            table->max_columns_##type(rows, columns, x, row, result);                                                  \
            break;                                                                                                     \
        case MLOPT_ARGMAX:                                                                                             \
            table->argmax_columns_##type(rows, columns, x, row, (size_t *)out);                                        \
            break;                                                                                                     \
        case MLOPT_LOGSUMEXP:                                                                                          \
            table->logsumexp_columns_##type(rows, columns, x, row, result);                                            \
            break;                                                                                                     \
        }                                                                                                              \
    }                                                                                                                  \
                                                                                                                       \
    static void mlopt_gather_columns_##type(const mlopt_reduction *r, const char *x, T *buffer, char *out,             \
                                            size_t result_size)                                                        \
    {                                                                                                                  \
        const mlopt_axis *across = &r->kept[r->kept_count - 1];                                                        \
        for (size_t c = 0; c < across->size; c += r->strip) {                                                          \
            const size_t rest = across->size - c, some = rest < r->strip ? rest : r->strip;                            \
            const char *at = x + (npy_intp)c * across->stride;                                                         \
            size_t index[NPY_MAXDIMS] = {0};                                                                           \
            T *to = buffer;                                                                                            \
            do {                                                                                                       \
                mlopt_gather((char *)to, at, across->stride, some, sizeof(T));                                         \
                to += some;                                                                                            \
            } while (mlopt_step(r->reduced, r->reduced_count, 0, index, &at));                                         \
            mlopt_reduce_columns_##type(r, some, buffer, (ptrdiff_t)some, out + c * result_size);                      \
        }                                                                                                              \
    }                                                                                                                  \
                                                                                                                       \
    static void mlopt_reduce_##type##_axes(const mlopt_reduction *r, T *buffer)                                        \
    {                                                                                                                  \
        const size_t result_size = r->operation == MLOPT_ARGMAX ? sizeof(size_t) : sizeof(T);                          \
        size_t index[NPY_MAXDIMS] = {0};                                                                               \
        const char *x = r->x;                                                                                          \
        char *out = r->out;                                                                                            \
        if (r->down_columns) {                                                                                         \
            const size_t columns = r->kept[r->kept_count - 1].size;                                                    \
            const ptrdiff_t row = r->reduced_count ? r->reduced[0].stride / (npy_intp)sizeof(T) : 0;                   \
            do {                                                                                                       \
                if (r->strip)                                                                                          \
                    mlopt_gather_columns_##type(r, x, buffer, out, result_size);                                       \
                else                                                                                                   \
                    mlopt_reduce_columns_##type(r, columns, (const T *)x, row, out);                                   \
                out += columns * result_size;                                                                          \
            } while (mlopt_step(r->kept, r->kept_count, 1, index, &x));                                                \
            return;                                                                                                    \
        }                                                                                                              \
        do {                                                                                                           \
            if (buffer)                                                                                                \
                mlopt_gather_line_##type(r, x, buffer, out);                                                           \
            else                                                                                                       \
                mlopt_reduce_line_##type(r, (const T *)x, out);                                                        \
            out += result_size;                                                                                        \
        } while (mlopt_step(r->kept, r->kept_count, 0, index, &x));                                                    \
    }                                                                                                                  \
                                                                                                                       \
    /* Softmax over one axis of x into out; `others` are the other axes, joined, out's strides in `other`. */          \
    static void mlopt_softmax_##type##_axes(const mlopt_kernels *table, const mlopt_axis *axis, int count,             \
                                            const mlopt_axis *others, const char *x, char *out)                        \
    {                                                                                                                  \
        const int rows = axis->stride == (npy_intp)sizeof(T) && axis->other == (npy_intp)sizeof(T);                    \
        size_t index[NPY_MAXDIMS] = {0};                                                                               \
        const char *from = x;                                                                                          \
        do {                                                                                                           \
            npy_intp at = 0;                                                                                           \
            for (int i = 0; i < count - !rows; i++)                                                                    \
                at += (npy_intp)index[i] * others[i].other;                                                            \
            if (rows)                                                                                                  \
                table->softmax_##type(axis->size, (const T *)from, (T *)(out + at));                                   \
            else                                                                                                       \
                table->softmax_columns_##type(axis->size, others[count - 1].size, (const T *)from,                     \
                                              axis->stride / (npy_intp)sizeof(T), (T *)(out + at),                     \
                                              axis->other / (npy_intp)sizeof(T));                                      \
        } while (mlopt_step(others, count, !rows, index, &from));                                                      \
    }

MLOPT_REDUCE_AXES(float, f32)
MLOPT_REDUCE_AXES(double, f64)

/* No size may be 0; the buffer is what mlopt_plan_reduction asked for, NULL where that was 0. */
static void mlopt_run_reduction(const mlopt_reduction *r, void *buffer)
{
    if (r->is_f64)
        mlopt_reduce_f64_axes(r, buffer);
    else
        mlopt_reduce_f32_axes(r, buffer);
}

/* Whether an axis is contiguous in both arrays. */
static inline int mlopt_is_unit(const mlopt_axis *axis, npy_intp itemsize)
{
    return axis->stride == itemsize && axis->other == itemsize;
}

/* Softmax over the axis `place` of x into out, no size 0; 0 where neither that axis nor the innermost of the others
 * is contiguous in both: then nothing was done. */
static int mlopt_softmax_axes(const mlopt_kernels *table, int is_f64, int ndim, const npy_intp *shape,
                              const npy_intp *strides, const npy_intp *out_strides, int place, const char *x, char *out)
{
    const npy_intp itemsize = is_f64 ? 8 : 4;
    mlopt_axis axis = {0, 0, 0, 0}, others[NPY_MAXDIMS];
    int count = 0;
    for (int i = 0; i < ndim; i++) {
        const mlopt_axis it = {(size_t)shape[i], strides[i], out_strides[i], i};
        if (i == place)
            axis = it;
        else
            others[count++] = it;
    }
    if (axis.size == 1)
        axis.stride = axis.other = itemsize;
    qsort(others, (size_t)count, sizeof *others, mlopt_further_apart);
    count = mlopt_join_axes(count, others);
    if (!mlopt_is_unit(&axis, itemsize) && !(count && mlopt_is_unit(&others[count - 1], itemsize)))
        return 0;
    if (is_f64)
        mlopt_softmax_f64_axes(table, &axis, count, others, x, out);
    else
        mlopt_softmax_f32_axes(table, &axis, count, others, x, out);
    return 1;
}

#endif
