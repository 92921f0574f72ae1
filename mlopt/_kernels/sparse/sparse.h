/* Sparse matrices: compressed rows. */
#ifndef MLOPT_SPARSE_H
#define MLOPT_SPARSE_H

#include <stddef.h>

/* Row i has the elements indptr[i] to indptr[i + 1] - 1 of values, in the columns that indices names. */
typedef struct mlopt_csr {
    size_t rows, columns;
    const void *indptr; /* rows + 1 numbers, int32 or int64; the first is 0, none is less than the one before */
    const void *indices;
    const void *values; /* float or double */
} mlopt_csr;

#endif
