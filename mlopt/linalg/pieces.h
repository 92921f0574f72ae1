/* dot and axpy of strided vectors and of two types: piece by piece through buffers, joined as the kernels join their
 * blocks, so that a strided vector gives what its contiguous copy gives, to the last bit. */
#ifndef MLOPT_PIECES_H
#define MLOPT_PIECES_H

#include "dispatch.h"

#include <stdint.h>
#include <string.h>

/* Elements of a piece: a power of two times the block of every tier's sums. */
#define MLOPT_VECTOR_PIECE 8192

typedef struct mlopt_strided {
    char *data;
    ptrdiff_t stride; /* bytes */
    int is_f64;
} mlopt_strided;

#define MLOPT_PIECES(T, type, own_f64)                                                                                 \
    /* elements from `first` on as T: where they lie, if they lie so, else in the buffer */                            \
    static T *mlopt_take_##type(const mlopt_strided *x, size_t first, size_t n, T *buffer)                             \
    {                                                                                                                  \
        const char *from = x->data + (ptrdiff_t)first * x->stride;                                                     \
        if (x->is_f64 == own_f64 && x->stride == (ptrdiff_t)sizeof(T))                                                 \
            return (T *)(uintptr_t)from;                                                                               \
        if (x->is_f64)                                                                                                 \
            for (size_t i = 0; i < n; i++)                                                                             \
                buffer[i] = (T)*(const double *)(from + (ptrdiff_t)i * x->stride);                                     \
        else                                                                                                           \
            for (size_t i = 0; i < n; i++)                                                                             \
                buffer[i] = (T)*(const float *)(from + (ptrdiff_t)i * x->stride);                                      \
        return buffer;                                                                                                 \
    }                                                                                                                  \
                                                                                                                       \
    static T mlopt_dot_pieces_##type(const mlopt_kernels *table, size_t n, const mlopt_strided *x,                     \
                                     const mlopt_strided *y, T *buffer)                                                \
    {                                                                                                                  \
        T level[64], total = 0;                                                                                        \
        size_t pieces = 0;                                                                                             \
        for (size_t i = 0; i < n; i += MLOPT_VECTOR_PIECE) {                                                           \
            const size_t some = n - i < MLOPT_VECTOR_PIECE ? n - i : MLOPT_VECTOR_PIECE;                               \
            const T *left = mlopt_take_##type(x, i, some, buffer);                                                     \
            T sum = table->dot_##type(some, left, mlopt_take_##type(y, i, some, buffer + MLOPT_VECTOR_PIECE));         \
            int at = 0;                                                                                                \
            for (size_t full = pieces++; full & 1; full >>= 1)                                                         \
                sum = level[at++] + sum;                                                                               \
            level[at] = sum;                                                                                           \
        }                                                                                                              \
        for (int at = 0; pieces >> at; at++)                                                                           \
            if (pieces >> at & 1)                                                                                      \
                total = level[at] + total;                                                                             \
        return total;                                                                                                  \
    }                                                                                                                  \
                                                                                                                       \
    static void mlopt_axpy_pieces_##type(const mlopt_kernels *table, size_t n, T alpha, const mlopt_strided *x,        \
                                         const mlopt_strided *y, T *buffer)                                            \
    {                                                                                                                  \
        for (size_t i = 0; i < n; i += MLOPT_VECTOR_PIECE) {                                                           \
            const size_t some = n - i < MLOPT_VECTOR_PIECE ? n - i : MLOPT_VECTOR_PIECE;                               \
            const T *from = mlopt_take_##type(x, i, some, buffer);                                                     \
            T *to = mlopt_take_##type(y, i, some, buffer + MLOPT_VECTOR_PIECE);                                        \
            table->axpy_##type(some, alpha, from, to);                                                                 \
            if (to == buffer + MLOPT_VECTOR_PIECE)                                                                     \
                for (size_t j = 0; j < some; j++)                                                                      \
                    memcpy(y->data + (ptrdiff_t)(i + j) * y->stride, to + j, sizeof(T));                               \
        }                                                                                                              \
    }

MLOPT_PIECES(float, f32, 0)
MLOPT_PIECES(double, f64, 1)

#endif
