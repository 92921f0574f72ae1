/* Contract of the sparse family: products with matrices in compressed rows (CSR), and what makes such matrices of
 * dense ones.
 *
 * sparse.c is compiled once per vector tier; reference/sparse.c is the scalar form.  Prototypes stand in signatures.h.
 * Every kernel that reads a mlopt_csr exists twice: with 32-bit column numbers and row starts, and with 64-bit ones
 * (*_long).  Columns are fewer than 2^31 in both.  Rows may be empty, and their column numbers in any order.
 *
 * Kernels work on rows [first, last) of A, so that threads can share a matrix; a row is always summed in the same way.
 *
 *   spmv              y[i] = sum of A[i, j] x[j], for the rows given.  Rows of fewer than MLOPT_SPARSE_LONG_ROW
 * elements are summed one after the other, longer ones in several parts. sell              the same for slices [first,
 * last) of a matrix in sliced form, bit by bit as spmv does its short rows. spmv_transposed   y += A^T x, of the rows
 * given; y has as many elements as A columns. spmm              C = A B, of the rows given; B has n columns and
 * contiguous rows, and so has C. spmm_transposed   C += A^T B, of the rows given. sampled           out[k] = the scalar
 * product of row i of U and row j of V, `length` numbers each, for every element k = (i, j) of A's pattern; A's values
 * are not read. spgemm            rows [first, last) of A B: their column numbers and values one behind the other, in
 * no particular order, none twice; ends[i] is where those of row first + i end.  Returns how many there are. No row of
 * B may have a column twice.  Elements that sum to 0 are kept.
 *   *_nonzero         count_nonzero: how many elements are not 0 (NaN is not); store_nonzero: their numbers and values,
 *                     of a dense row; returns how many.
 *   count_nonfinite   how many are NaN or infinite
 *
 * NaN and infinities of a dense operand meet the stored elements of A only: a missing element is not a factor 0.
 *
 * Sliced form (after SELL-C-sigma: Kreutzer, Hager, Wellein, Fehske, Bishop, "A unified sparse matrix data format for
 * efficient general sparse matrix-vector multiplication on modern processors with wide SIMD units", SIAM J. Sci.
 * Comput. 36, 2014): slices of MLOPT_SPARSE_SLICE rows, of similar length, since rows are sorted by length within
 * windows of MLOPT_SPARSE_WINDOW.  As many elements as the shortest row of a slice has are stored across its rows,
 * element after element; the rest follows row by row.  Nothing is filled up, so that nothing is multiplied that is not
 * stored, and rows are summed in their order.  Rows of MLOPT_SPARSE_LONG_ROW elements and more stay in compressed rows.
 */
#ifndef MLOPT_SPARSE_H
#define MLOPT_SPARSE_H

#include "../signatures.h"

#define MLOPT_SPARSE_LONG_ROW 64
#define MLOPT_SPARSE_WINDOW 1024
/* rows of a slice: a vector of 64 bytes, on all tiers */
#define MLOPT_SPARSE_SLICE(element_bytes) (64 / (element_bytes))
/* elements that spgemm may write behind a row's own in its scratch memory */
#define MLOPT_SPARSE_SLACK 64

/* Bytes of scratch memory for spgemm, 64-byte aligned, whole lines; its contents do not matter. */
static inline size_t mlopt_spgemm_scratch_bytes(size_t element_bytes, size_t columns)
{
    return ((columns + MLOPT_SPARSE_SLACK) * (element_bytes + sizeof(int32_t)) + 63) / 64 * 64;
}

#endif
