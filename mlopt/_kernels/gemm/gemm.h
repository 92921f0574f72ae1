/* Contract of the gemm family: C = A B and C += A B for matrices with any strides.
 *
 * The body is gemm_body.h (over simd/), compiled once per vector tier and element type by gemm.c;
 * reference/gemm.c is the scalar triple loop.  The job's prototype stands in signatures.h.
 *
 * Domain
 *   A is m x k, B is k x n, C is m x n; any of them may be 0: with k = 0 the product is zero.  Strides
 *   count elements; those of A and B may have any sign or be 0 (a broadcast operand), those of C must
 *   give every element its own place.  Elements need their natural alignment only.  A unit stride
 *   in C (either one) is fast, any other goes through a tile on the stack.
 *
 * Memory
 *   Exactly the elements of A, B and C are touched.  With accumulate = 0, C is never read: a NaN in
 *   uninitialised memory does not reach the result.  C must not overlap A or B.
 *   workspace is 64-byte aligned and has mlopt_gemm_workspace_bytes for the job's sizes or more; what
 *   it holds before and after means nothing.
 *
 * Numbers
 *   Every element is summed over k in order, in blocks of blocks->kc whose sums are added in order (a
 *   product with at most MLOPT_GEMM_DOT_ROWS rows and both operands contiguous along k: in lanes).  The
 *   order depends on k, on the blocks and on the layout only, so that a C computed in panels of at least
 *   MLOPT_GEMM_PANEL rows or columns is bit by bit the C computed in one call.
 *   |error| <= bound * k * eps * sum |a||b|.  NaN and infinities propagate as in the triple loop;
 *   floating-point flags are unspecified.
 */
#ifndef MLOPT_GEMM_H
#define MLOPT_GEMM_H

#include "../signatures.h"

/* Upper limits of any tier's tile, for the size of workspaces. */
#define MLOPT_GEMM_TILE_COLUMNS ((size_t)64)
#define MLOPT_GEMM_TILE_ROWS ((size_t)8)
/* The most rows for which dot products replace tiles. */
#define MLOPT_GEMM_DOT_ROWS ((size_t)4)
/* Panels that threads compute start at multiples of this. */
#define MLOPT_GEMM_PANEL ((size_t)48)
/* A row of packed A is this much longer than kc, in bytes: rows must not be a power of two apart. */
#define MLOPT_GEMM_ROW_PAD ((size_t)64)

static inline size_t mlopt_gemm_least(size_t a, size_t b) { return a < b ? a : b; }

/* Elements between two rows of packed A. */
static inline size_t mlopt_gemm_packed_row(size_t kc, size_t element_bytes)
{
    const size_t line = 64 / element_bytes;
    return (kc + line - 1) / line * line + MLOPT_GEMM_ROW_PAD / element_bytes;
}

/* Bytes of workspace that a product needs: packed blocks of A and B, whichever of the two becomes which. */
static inline size_t mlopt_gemm_workspace_bytes(const mlopt_gemm_blocks *blocks, size_t element_bytes, size_t m,
                                                size_t n, size_t k)
{
    const size_t tile = MLOPT_GEMM_TILE_COLUMNS, most = m > n ? m : n;
    const size_t kc = mlopt_gemm_least(k, blocks->kc);
    const size_t mc = mlopt_gemm_least(most + MLOPT_GEMM_TILE_ROWS, blocks->mc);
    const size_t nc = mlopt_gemm_least(most, blocks->nc) + tile;
    return (mc * mlopt_gemm_packed_row(kc, element_bytes) + kc * nc) * element_bytes + 64;
}

/* The block sizes for elements of 4 or 8 bytes, from the detected caches or MLOPT_GEMM_BLOCKS="mc,kc,nc".
 * Constant for the process; thread-safe. */
const mlopt_gemm_blocks *mlopt_gemm_default_blocks(size_t element_bytes);

/* 0, or -1 where MLOPT_GEMM_BLOCKS is set but is not three positive numbers (the caches' sizes are then used). */
int mlopt_gemm_blocks_status(void);

#endif
