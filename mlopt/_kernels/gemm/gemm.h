/* Contract of the gemm family: C = A B and C += A B for matrices with any strides.
 *
 * gemm_body.h decides between tiles in blocks (blocked.h, tile.h), few rows (few.h) and dot products (dots.h), all over
 * simd/ and compiled once per vector tier and element type by gemm.c;
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
 * gemm_then
 *   The same, and then the function that is given, unless NULL, is called for every part of C as soon as that
 *   is complete, each element once: tile by tile where C is computed in tiles, for the whole of it otherwise.
 *   What it writes to C stays.
 *
 * Numbers
 *   Every element is summed over k in order, in blocks of blocks->kc or a little less whose sums are added in
 *   order (in a product with few rows or columns and operands contiguous along k: in lanes).  The
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
/* The most rows, or columns, for which dot products may replace tiles; and where B has to be laid across for them. */
#define MLOPT_GEMM_DOT_ROWS ((size_t)32)
#define MLOPT_GEMM_NARROW ((size_t)8)
/* Panels that threads compute start at multiples of this, a multiple of every tier's columns of a tile. */
#define MLOPT_GEMM_PANEL ((size_t)48)
/* The reach, in bytes, of a block of A that is read where it is though its rows are not contiguous, and the size of a B
 * that is not packed. */
#define MLOPT_GEMM_SMALL ((size_t)256 * 1024)
#define MLOPT_GEMM_RESIDENT ((size_t)512 * 1024)

/* Bytes of an operand that no cache is likely to hold. */
#define MLOPT_GEMM_FAR ((size_t)16 * 1024 * 1024)

static inline size_t mlopt_gemm_least(size_t a, size_t b) { return a < b ? a : b; }
static inline size_t mlopt_gemm_most(size_t a, size_t b) { return a > b ? a : b; }

/* The size of all but the last of as few equal pieces as at most `most` allows, a multiple of unit. */
static inline size_t mlopt_gemm_piece(size_t whole, size_t most, size_t unit)
{
    if (whole > most) {
        const size_t pieces = (whole + most - 1) / most;
        whole = (whole + pieces - 1) / pieces;
    }
    return (whole + unit - 1) / unit * unit;
}

/* Elements of workspace for a block of B; that of A lies behind. */
static inline size_t mlopt_gemm_b_elements(const mlopt_gemm_blocks *blocks, size_t n, size_t k)
{
    const size_t tile = MLOPT_GEMM_TILE_COLUMNS, nc = mlopt_gemm_most(blocks->nc, tile);
    return (mlopt_gemm_least(k, blocks->kc) + 8) * (mlopt_gemm_least(n, nc) + tile);
}

/* Whether C is a few columns, which would leave most lanes of a tile empty, but k long enough for dot products. */
static inline int mlopt_gemm_is_narrow(size_t m, size_t n, size_t k, size_t lanes)
{
    return n <= MLOPT_GEMM_NARROW && n <= lanes / 2 && m >= 16 && k >= lanes;
}

/* Whether a product of contiguous rows is small enough, and not narrow, to need no workspace on any tier. */
static inline int mlopt_gemm_in_place(size_t element_bytes, size_t m, size_t n, size_t k, ptrdiff_t a_column,
                                      ptrdiff_t b_column, ptrdiff_t c_column)
{
    return a_column == 1 && b_column == 1 && c_column == 1 && n * k * element_bytes <= MLOPT_GEMM_RESIDENT &&
           (n > MLOPT_GEMM_NARROW || m < 16);
}

/* Bytes of workspace that a product needs: packed blocks of A and B, whichever of the two becomes
 * which, or B laid across. */
static inline size_t mlopt_gemm_workspace_bytes(const mlopt_gemm_blocks *blocks, size_t element_bytes, size_t m,
                                                size_t n, size_t k)
{
    const size_t most = mlopt_gemm_most(m, n);
    const size_t rows = mlopt_gemm_least(most, blocks->mc) + MLOPT_GEMM_TILE_ROWS;
    const size_t packed = mlopt_gemm_b_elements(blocks, most, k) + (mlopt_gemm_least(k, blocks->kc) + 8) * rows;
    return mlopt_gemm_most(packed, MLOPT_GEMM_NARROW * k) * element_bytes;
}

/* The block sizes for elements of 1, 4 or 8 bytes, from the detected caches or, but for bytes,
 * MLOPT_GEMM_BLOCKS="mc,kc,nc". Constant for the process; thread-safe. */
const mlopt_gemm_blocks *mlopt_gemm_default_blocks(size_t element_bytes);

/* 0, or -1 where MLOPT_GEMM_BLOCKS is set but is not three positive numbers (the caches' sizes are then used). */
int mlopt_gemm_blocks_status(void);

#endif
