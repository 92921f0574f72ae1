/* The strassen family, textbook form. */
#include "reference.h"

#define AT(matrix, i, j) ((matrix)->at + (ptrdiff_t)(i) * (matrix)->row + (ptrdiff_t)(j) * (matrix)->column)

#define STRASSEN_SUMS(T, type)                                                                                         \
    void MLOPT_SYMBOL(matrix_add, type)(size_t rows, size_t columns, const mlopt_matrix_##type *x,                     \
                                        const mlopt_matrix_##type *y, const mlopt_matrix_##type *z, int stream)        \
    {                                                                                                                  \
        (void)stream;                                                                                                  \
        for (size_t i = 0; i < rows; i++)                                                                              \
            for (size_t j = 0; j < columns; j++)                                                                       \
                *AT(z, i, j) = *AT(x, i, j) + *AT(y, i, j);                                                            \
    }                                                                                                                  \
                                                                                                                       \
    void MLOPT_SYMBOL(matrix_subtract, type)(size_t rows, size_t columns, const mlopt_matrix_##type *x,                \
                                             const mlopt_matrix_##type *y, const mlopt_matrix_##type *z, int stream)   \
    {                                                                                                                  \
        (void)stream;                                                                                                  \
        for (size_t i = 0; i < rows; i++)                                                                              \
            for (size_t j = 0; j < columns; j++)                                                                       \
                *AT(z, i, j) = *AT(x, i, j) - *AT(y, i, j);                                                            \
    }                                                                                                                  \
                                                                                                                       \
    void MLOPT_SYMBOL(winograd_result, type)(size_t rows, size_t columns, const mlopt_matrix_##type c[4],              \
                                             const mlopt_matrix_##type p[3])                                           \
    {                                                                                                                  \
        for (size_t i = 0; i < rows; i++)                                                                              \
            for (size_t j = 0; j < columns; j++) {                                                                     \
                const T p1 = *AT(&c[0], i, j), p6 = *AT(&c[1], i, j), p7 = *AT(&c[2], i, j), p5 = *AT(&c[3], i, j);    \
                *AT(&c[0], i, j) = p1 + *AT(&p[0], i, j);                                                              \
                *AT(&c[1], i, j) = p1 + p6 + p5 + *AT(&p[1], i, j);                                                    \
                *AT(&c[2], i, j) = p1 + p6 + p7 + *AT(&p[2], i, j);                                                    \
                *AT(&c[3], i, j) = p1 + p6 + p7 + p5;                                                                  \
            }                                                                                                          \
    }

STRASSEN_SUMS(float, f32)
STRASSEN_SUMS(double, f64)
