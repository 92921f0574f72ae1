/* Making the sliced form of compressed rows (sparse.h). */
#ifndef MLOPT_SPARSE_SLICES_H
#define MLOPT_SPARSE_SLICES_H

#include "sparse.h"

/* Rows of fewer than MLOPT_SPARSE_LONG_ROW elements, which the sliced form holds, and how many elements they have. */
void mlopt_slices_count(const mlopt_csr *a, int index_bytes, size_t *rows, size_t *elements);

/* Bytes of the sliced form of so many rows and elements. */
size_t mlopt_slices_bytes(size_t rows, size_t elements, size_t element_bytes);

/* Makes it, in a block of so many bytes, 64-byte aligned; the numbers of the other rows go to long_rows. */
mlopt_sell mlopt_slices_make(const mlopt_csr *a, int index_bytes, size_t element_bytes, size_t rows, size_t elements,
                             void *block, int64_t *long_rows);

#endif
