/* Contract of the int8 family: float32 to bytes and back, products of bytes with 32-bit sums, and the machine's limit
 * for them.
 *
 * int8.c is compiled once per vector tier, and once more for the tiers whose instructions multiply bytes
 * (avx2_vnni, avx512_vnni), over simd/int8.h; reference/int8.c is the scalar form.  Prototypes stand in signatures.h.
 *
 *   limit_int8      n multiply-adds, rounded down to a multiple of MLOPT_INT8_LIMIT_STEP, as chains of 32-bit sums:
 *                   every chain begins at its accumulator's number (0 to 11) and adds x[0] y[0] + ... + x[3] y[3] at
 * each step.  Returns the sum of the chains modulo 2^32.
 *
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
 */
#ifndef MLOPT_INT8_H
#define MLOPT_INT8_H

#include "../signatures.h"

#define MLOPT_INT8_ACCUMULATORS 12
/* 192 chains (12 registers of 16 lanes; narrower tiers make several passes), four multiply-adds each */
#define MLOPT_INT8_LIMIT_CHAINS ((size_t)192)
#define MLOPT_INT8_LIMIT_STEP (4 * MLOPT_INT8_LIMIT_CHAINS)

#endif
