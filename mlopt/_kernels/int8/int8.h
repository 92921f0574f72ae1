/* Contract of the int8 family: bytes from and to real numbers, products of bytes with 32-bit sums, chains of layers of
 * them, and the machine's limit for such products.
 *
 * int8.c is compiled once per vector tier, and once more for the tiers whose instructions multiply bytes (avx2_vnni,
 * avx512_vnni), over simd/int8.h; reference/int8.c is the scalar form.  Prototypes stand in signatures.h.
 *
 * Quantisation
 *   range           what quantisation asks of numbers, in one pass: the smallest and the largest, and whether all are
 *                   finite.  low and high hold a range before the call, and both are NaN after it where a number is
 *                   not finite, or where they were; which zero an end is among zeros is not specified.
 *   quantize        out = min(max(round(x / scale) + zero_point, limits[0]), limits[1]), rounded to the nearest even,
 *                   divided, not multiplied by the reciprocal: ONNX's QuantizeLinear.  NaN gives limits[0], infinities
 *                   the limits.  scale is positive, limits are within [-128, 127] or [0, 255], the zero point is one
 *                   of them.  The bytes are the numbers' lowest.
 *   dequantize      out = (x - zero_point) * scale, rounded once, of signed or unsigned bytes: DequantizeLinear.
 *   *_columns       the same over rows, whose columns have scales and zero points of their own; steps of rows are in
 *                   elements.  limits of quantize_columns hold every zero point.
 * All are exact, the same bits on every tier; none may run in place.  dequantize stores past the caches where its
 * arrays do not fit them.
 *
 * Products
 *   gemm            C = (A - a_zero) (B - b_zero) + bias, and what `result` makes of it.  Operands are bytes, signed or
 *                   not, of any strides; rows of C are contiguous.  m, n and k may be 0.  C must not overlap A or B.
 *   gemm_pack       B for products with it: panels as wide as a tile, four steps of k together, as signed bytes (128
 *                   is taken off unsigned ones), k filled up with zeros; behind the panels the sum of every column's
 *                   bytes as they are packed.
 * Exactly the elements of A, B and C are touched, with a_padded rows of A up to a multiple of 4.  Sums are exact modulo
 * 2^32.  The instructions multiply unsigned by signed bytes: signed A is read with 128 added, unsigned B is packed with
 * 128 taken off, and both are part of the zero points then.  With a' and b' for what is multiplied, za and zb for what
 * stands for zero in it:
 *     sum (a' - za)(b' - zb) = sum a' b' - za sum b' - zb sum a' + k za zb.
 * Real results: float(sum), times scale, plus shift, each rounded; the activation; for bytes times out_multiplier, to
 * the nearest integer, ties to even, a NaN being the lowest.  Bit-identical on all tiers where the activation is the
 * identity or relu, within the bounds of the elementwise kernels for the others.
 *
 * Chains
 *   chain_plan, chain_run
 *                   layers for one sample, each f((sum of bytes + start) scale + shift): the inputs of the first become
 *                   bytes, the outputs of each those of the next.  A dynamic layer takes the scale of its inputs from
 *                   their range, 0 included, as ONNX's DynamicQuantizeLinear does.  The results are those of
 *                   chain_inputs and gemm, or chain_ranges, gemm and chain_reals.
 *   chain_inputs    real numbers to bytes, as a layer that is not dynamic takes them: round(x multiplier) + zero,
 *                   saturated, a NaN being 0
 *   chain_ranges    the same for a dynamic layer, row by row: zero points and what a unit is worth as well
 *   chain_reals     f(sum (unit of the row * weight_scale) + shift), in place of the sums
 *
 *   limit_int8      n multiply-adds, rounded down to a multiple of MLOPT_INT8_LIMIT_STEP, as chains of 32-bit sums:
 *                   every chain begins at its accumulator's number (0 to 11) and adds x[0] y[0] + ... + x[3] y[3] at
 *                   each step.  Returns the sum of the chains modulo 2^32.
 */
#ifndef MLOPT_INT8_H
#define MLOPT_INT8_H

#include "../gemm/gemm.h"

#include <math.h>

#define MLOPT_INT8_ACCUMULATORS 12
/* 192 chains (12 registers of 16 lanes; narrower tiers make several passes), four multiply-adds each */
#define MLOPT_INT8_LIMIT_CHAINS ((size_t)192)
#define MLOPT_INT8_LIMIT_STEP (4 * MLOPT_INT8_LIMIT_CHAINS)

/* A multiple of the columns of every tier's tile: blocks and the panels of threads begin at multiples of it. */
#define MLOPT_INT8_PANEL ((size_t)96)
#define MLOPT_INT8_TILE_ROWS ((size_t)8)

static inline size_t mlopt_int8_round(size_t x, size_t unit) { return (x + unit - 1) / unit * unit; }

/* Bytes of the packed form of k rows, of so many columns as gemm_pack returned. */
static inline size_t mlopt_int8_packed_bytes(size_t k, size_t packed_columns)
{
    return (mlopt_int8_round(k, 4) + 4) * packed_columns;
}

/* The block of k, a multiple of 4, and how many columns of B a block has. */
static inline size_t mlopt_int8_kc(const mlopt_gemm_blocks *blocks, size_t k)
{
    return mlopt_gemm_piece(k, mlopt_int8_round(blocks->kc, 64), 64);
}
static inline size_t mlopt_int8_nc(const mlopt_gemm_blocks *blocks, size_t n, size_t k)
{
    const size_t kc = mlopt_gemm_most(mlopt_int8_kc(blocks, k), 64), most = blocks->nc * blocks->kc / kc;
    return mlopt_gemm_piece(n, mlopt_gemm_most(most / MLOPT_INT8_PANEL * MLOPT_INT8_PANEL, MLOPT_INT8_PANEL),
                            MLOPT_INT8_PANEL);
}

/* The rows of A that are packed at a time: all of them, once, where several blocks of columns meet them, and they are
 * not too much. */
static inline size_t mlopt_int8_mc(const mlopt_gemm_blocks *blocks, size_t m, size_t n, size_t k)
{
    const int all = n > mlopt_int8_nc(blocks, n, k) && m * k <= ((size_t)64 << 20);
    return all ? m : mlopt_gemm_least(m, mlopt_int8_round(blocks->mc, 8));
}

/* And the bytes that they take. */
static inline size_t mlopt_int8_a_bytes(const mlopt_gemm_blocks *blocks, size_t m, size_t n, size_t k)
{
    const size_t mc = mlopt_int8_mc(blocks, m, n, k), deep = mlopt_int8_round(k, 4);
    return mlopt_int8_round(mc * (mc < m ? mlopt_gemm_least(mlopt_int8_kc(blocks, k), deep) : deep), 64);
}

/* Whether sums of several blocks of k have to be kept apart from C. */
static inline int mlopt_int8_keeps_sums(const mlopt_gemm_blocks *blocks, mlopt_int8_kind kind, size_t k)
{
    return kind != MLOPT_INT8_TO_S32 && k > mlopt_int8_kc(blocks, k);
}

/* Bytes of workspace: a block of B, one of A, terms of columns, sums of rows of A, sums of several blocks of k. */
static inline size_t mlopt_int8_workspace_bytes(const mlopt_gemm_blocks *blocks, mlopt_int8_kind kind, size_t m,
                                                size_t n, size_t k)
{
    const size_t kc = mlopt_int8_kc(blocks, k), nc = mlopt_int8_nc(blocks, n, k);
    const size_t kept = mlopt_int8_keeps_sums(blocks, kind, k) ? m * nc : 0;
    return kc * nc + mlopt_int8_a_bytes(blocks, m, n, k) + 4 * (2 * nc + mlopt_int8_round(m, 16) + kept);
}

/* The zero point, the scale and its inverse of unsigned bytes for a range that includes 0; an empty or infinite one has
 * scale 1. */
static inline int32_t mlopt_int8_range(float low, float high, float *multiplier, float *scale)
{
    const float unit = (high - low) / 255;
    if (!(unit > 0) || !(unit <= 3.4e38f) || !(1 / unit <= 3.4e38f)) {
        *multiplier = *scale = 1;
        return 0;
    }
    *scale = unit;
    *multiplier = 1 / unit;
    const float zero = -low / unit;
    return (int32_t)(zero > 255 ? 255 : nearbyintf(zero));
}

#endif
