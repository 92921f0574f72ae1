/* Contract of the bf16 family: bfloat16 (the upper half of a float32) and products of it with float32 sums.
 *
 * bf16.c is compiled once per vector tier, and once more for avx512_bf16, whose instruction multiplies pairs;
 * reference/bf16.c is the scalar form.  Prototypes stand in signatures.h.
 *
 *   limit_bf16      n multiply-adds, rounded down to a multiple of MLOPT_BF16_LIMIT_STEP, as chains of float32 sums:
 *                   every chain begins at its accumulator's number (0 to 11) and adds x[0] y[0] + x[1] y[1] at each
 * step. Returns the sum of the chains.
 */
#ifndef MLOPT_BF16_H
#define MLOPT_BF16_H

#include "../signatures.h"

#define MLOPT_BF16_ACCUMULATORS 12
#define MLOPT_BF16_LIMIT_CHAINS ((size_t)192)
#define MLOPT_BF16_LIMIT_STEP (2 * MLOPT_BF16_LIMIT_CHAINS)

#endif
