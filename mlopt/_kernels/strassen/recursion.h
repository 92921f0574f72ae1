/* Strassen's product in Winograd's form: seven products and fifteen sums for one step of the recursion.
 *
 * With A, B and C cut into quadrants,
 *
 *     S1 = A21 + A22   T1 = B12 - B11   P1 = A11 B11   P5 = S1 T1   C11 = P1 + P2
 *     S2 = S1 - A11    T2 = B22 - T1    P2 = A12 B21   P6 = S2 T2   C12 = P1 + P6 + P5 + P3
 *     S3 = A11 - A21   T3 = B22 - B12   P3 = S4 B22    P7 = S3 T3   C21 = P1 + P6 + P7 + P4
 *     S4 = A12 - S2    T4 = B21 - T2    P4 = A22 T4                 C22 = P1 + P6 + P7 + P5
 *
 * (Higham, section 23.1, with the sign of T4 turned, so that everything is added).  The schedule needs three
 * temporaries: X for the S and P2, Y for the T and P3, Z for P4; P7, P5, P6 and P1 are computed where C21, C22,
 * C12 and C11 will stand, and one pass over the seven makes the result.  A sum is computed right before the
 * product that reads it, in place where its predecessor is not needed any more.
 *
 * Shapes
 *   The part of the product whose sides are multiples of 2^levels recurs; what is left over, fewer than 2^levels
 *   rows, columns and terms, is three ordinary products.  Operands are never copied: quadrants are strides.
 *   Temporaries are laid out like what they are computed from (rows or columns contiguous), so that sums of
 *   transposed operands run along what is contiguous.
 *
 * Numbers
 *   The order of operations depends on sizes, levels and layout alone, not on the number of threads.  With u the
 *   unit roundoff and n0 the size of the smallest products,
 *       max |C' - C| <= ((n / n0)^log2(18) (n0^2 + 6 n0) - 6 n) u max|A| max|B| + O(u^2)
 *   for square matrices (Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., theorem 23.3).
 *
 * Knows nothing of Python: products and threads are what the caller hands in.
 */
#ifndef MLOPT_RECURSION_H
#define MLOPT_RECURSION_H

#include "../dispatch.h"

#define MLOPT_STRASSEN_LEVELS 3 /* the most */

/* work(i, argument) for 0 <= i < count, in any order, perhaps at the same time. */
typedef void mlopt_strassen_spread(int count, void (*work)(int i, void *argument), void *argument);

#define MLOPT_STRASSEN(type)                                                                                           \
    typedef struct mlopt_strassen_##type {                                                                             \
        const mlopt_kernels *table;                                                                                    \
        /* the ordinary product: fills in the job's blocks and workspace; 0, or not where it could not */              \
        int (*product)(void *context, mlopt_gemm_job_##type *job);                                                     \
        void *context;                                                                                                 \
        mlopt_strassen_spread *spread; /* for sums; NULL to stay on this thread */                                     \
        int threads;                                                                                                   \
        size_t stream_bytes; /* temporaries from this size on are written past the caches */                           \
    } mlopt_strassen_##type;                                                                                           \
    /* C = A B with so many steps of the recursion.  job->accumulate must be 0; blocks and workspace of the job are    \
     * not used.  workspace: 64-byte aligned, mlopt_strassen_workspace_bytes.  0, or what the first product that       \
     * failed returned; C is then undefined.  Rules for strides and overlap as in gemm/gemm.h. */                      \
    int mlopt_strassen_multiply_##type(const mlopt_strassen_##type *how, const mlopt_gemm_job_##type *job, int levels, \
                                       void *workspace);

MLOPT_STRASSEN(f32)
MLOPT_STRASSEN(f64)
#undef MLOPT_STRASSEN

/* The steps that leave no product with a side of less than (cutoff + 1) / 2: at most so many. */
int mlopt_strassen_levels(size_t m, size_t n, size_t k, int most, size_t cutoff);

/* Bytes of workspace: about (mk + kn + mn) / 3 elements, or twice the largest where the sides differ. */
size_t mlopt_strassen_workspace_bytes(size_t element_bytes, size_t m, size_t n, size_t k, int levels);

#endif
