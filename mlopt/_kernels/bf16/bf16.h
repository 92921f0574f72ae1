/* Contract of the bf16 family: bfloat16 (the upper half of a float32) and products of it with float32 sums.
 *
 * bf16.c is compiled once per vector tier, and once more for avx512_bf16, whose instruction multiplies pairs
 * (VDPBF16PS); the others widen pairs and multiply them one after the other.  reference/bf16.c is the scalar form.
 * Prototypes stand in signatures.h.
 *
 *   limit_bf16      n multiply-adds, rounded down to a multiple of MLOPT_BF16_LIMIT_STEP, as chains of float32 sums:
 *                   as many chains begin at 0 as at 1, ... and 23, and each adds x[0] y[0] + x[1] y[1] at each step.
 *                   Returns the sum of the chains.
 *   round           float32 to bfloat16: to nearest, ties to even; denormals too; beyond the largest bfloat16 by half a
 *                   step or more it is an infinity; a NaN stays one, quiet, with the upper bits of its payload.  The
 *                   floating-point environment has no say in it.
 *   widen           and back, exactly.
 *   round_rows      round for a matrix, which may make 0 of denormals; sums are of float32, row by row from the first
 *                   to the last, |error| <= rows eps sum |x|.
 *   gemm            C = A B and C += A B, with `finish` as gemm_then (gemm/gemm.h).
 *   gemm_pack       B for it, in panels as wide as a tile, [k / 2][columns][2], filled up with zeros.
 *
 * gemm
 *   Domain, aliasing and what is touched are as for the gemm family; of a bfloat16 operand elements are 2 bytes.
 *   C has float32 or bfloat16 elements: the latter are rounded once, from the finished float32 sum, which with
 *   accumulate includes the old C.  finish must be NULL then.  A bfloat16 C is computed in parts that the workspace
 *   holds, and so may be one whose rows are not contiguous.
 *   workspace is 64-byte aligned and has mlopt_bf16_workspace_bytes or more.  A bfloat16 A whose rows are contiguous is
 *   read where it is; any other A, and B unless it is packed, is rounded and packed block by block.
 *
 *   float32 operands are first rounded as `round` does it, each by 2^-8 of itself at most.  Then
 *       |error| <= bound * (k + 2) * 2^-23 sum |a||b| + (k + 2) * 2^-126,
 *   with a and b as rounded.  The last term is what flushing costs: the instruction takes denormal operands for 0
 *   and gives 0 for denormal sums, and rounds to nearest whatever the mode is; the other tiers do as float32 does.
 *   An element is summed over pairs of k in order, in blocks of 2 blocks->kc or a little less; the order depends on k
 *   and the blocks alone, so that any part of C computed by itself is bit by bit that part of the whole.  NaN and
 *   infinities propagate as in the triple loop.
 */
#ifndef MLOPT_BF16_H
#define MLOPT_BF16_H

#include "../gemm/gemm.h"

#define MLOPT_BF16_LIMIT_STARTS 24
#define MLOPT_BF16_LIMIT_CHAINS ((size_t)384)
#define MLOPT_BF16_LIMIT_STEP (2 * MLOPT_BF16_LIMIT_CHAINS)

/* Upper limits of any tier's tile; blocks of k are multiples of the step. */
#define MLOPT_BF16_TILE_COLUMNS ((size_t)48)
#define MLOPT_BF16_TILE_ROWS ((size_t)8)
#define MLOPT_BF16_STEP ((size_t)16)
/* A part of C that is computed beside its place. */
#define MLOPT_BF16_PART_ROWS ((size_t)240)
#define MLOPT_BF16_PART_COLUMNS ((size_t)480)

static inline size_t mlopt_bf16_up(size_t x, size_t unit) { return (x + unit - 1) / unit * unit; }

/* The most of k at a time: twice as many elements as of float32 take the same memory. */
static inline size_t mlopt_bf16_most(const mlopt_gemm_blocks *blocks) { return 2 * blocks->kc; }

/* A block of B: how much of k there is room for, and the columns that take the memory of a block of float32. */
static inline size_t mlopt_bf16_depth(const mlopt_gemm_blocks *blocks, size_t k)
{
    return mlopt_bf16_up(mlopt_gemm_least(k, mlopt_bf16_most(blocks)), MLOPT_BF16_STEP);
}

static inline size_t mlopt_bf16_columns(const mlopt_gemm_blocks *blocks, size_t depth)
{
    const size_t columns = mlopt_bf16_most(blocks) * blocks->nc / mlopt_gemm_most(depth, 1);
    return mlopt_gemm_most(columns / MLOPT_BF16_TILE_COLUMNS, 1) * MLOPT_BF16_TILE_COLUMNS;
}

/* Elements of B packed, of k x n. */
static inline size_t mlopt_bf16_packed_elements(size_t k, size_t n)
{
    return mlopt_bf16_up(k, 2) * mlopt_bf16_up(n, MLOPT_BF16_TILE_COLUMNS);
}

/* Bytes of workspace that a product needs, or the one exchanged; any_c: unless C is float32 and its rows are
 * contiguous.
 */
static inline size_t mlopt_bf16_workspace_bytes(const mlopt_gemm_blocks *blocks, size_t m, size_t n, size_t k,
                                                int any_c)
{
    const size_t most = mlopt_gemm_most(m, n);
    const size_t depth = mlopt_bf16_depth(blocks, k);
    const size_t columns =
        mlopt_gemm_least(mlopt_bf16_up(most, MLOPT_BF16_TILE_COLUMNS), mlopt_bf16_columns(blocks, depth));
    const size_t rows = mlopt_bf16_up(mlopt_gemm_least(most, blocks->mc), MLOPT_BF16_TILE_ROWS);
    const size_t part = mlopt_gemm_least(most, MLOPT_BF16_PART_ROWS) *
                        mlopt_bf16_up(mlopt_gemm_least(most, MLOPT_BF16_PART_COLUMNS), MLOPT_BF16_TILE_COLUMNS);
    return mlopt_bf16_up(depth * (columns + rows) * 2, 64) + (any_c ? part * 4 : 0) + 64;
}

#endif
