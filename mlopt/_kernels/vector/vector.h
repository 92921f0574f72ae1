/* Contract of the vector family: elementwise functions, reductions of vectors and of columns, scaled updates, rows.
 *
 * The bodies are elementwise.h, reduce.h and columns.h (over simd/), compiled once per vector tier and element
 * type by vector.c; reference/vector.c is the scalar form.  Prototypes: signatures.h.  The common
 * rules for lengths, alignment and aliasing stand there too.
 *
 * Domain and special values
 *   Every function takes every bit pattern.  NaN gives NaN.  Infinities, zeros and denormals give
 *   what C's Annex F gives for exp, log, tanh, erf; sigmoid(-inf) = 0, sigmoid(inf) = 1;
 *   relu(-0) = -0; gelu and silu are x * Phi(x) and x * sigmoid(x) as written, so that -inf gives
 *   NaN, as in PyTorch.  The floating-point flags overflow, invalid and divide-by-zero are raised
 *   where the reference raises them, never by lanes behind the end; underflow and inexact are not
 *   specified, and reductions leave the flags unspecified.
 *
 * Accuracy (checked in tests/kernels)
 *   Elementwise: the ULP bound of the register's row; where silu and gelu multiply by a denormal
 *   number, its rounding counts |x| times.
 *   sum, dot: bound * eps * sum |terms| for every n up to 2^40, in the worst case: blocks of 16
 *   additions in each of 8 vectors of accumulators, block sums added pairwise: as NumPy's pairwise sum.
 *   The order is fixed by n alone: the result does not depend on alignment.  The reference tier adds
 *   one by one: its bound grows with n.
 *   moments: mean within bound * eps * mean|x|; squares are taken about the mean of their block and
 *   merged (Chan, Golub, LeVeque 1979), so that a large mean does not cancel.
 *   min, max: exact; a NaN anywhere gives NaN; which zero is returned among zeros is not specified.
 *   argmax: exact, the first of equals, the first NaN before all.
 *   softmax: every element within bound ULP of the exact quotient, plus the error of the input's
 *   difference from the maximum; rows sum to 1 within n eps.
 *
 *   *_columns: as the function of a vector, for each column.  Sums are pairwise over chains of 16 rows, moments take
 * the deviations from the column's mean in a second pass, argmax numbers the first of equals, softmax and logsumexp
 * take the column's maximum first.  A column's result depends on its own elements alone, not on what stands beside it.
 *
 * Memory
 *   Elementwise functions whose arrays together do not fit the last-level cache store past the caches, unless they
 *   work in place.
 *
 * Aliasing
 *   out may be an input.  softmax and softmax_columns may run in place; the other columns kernels may not.
 */
#ifndef MLOPT_VECTOR_H
#define MLOPT_VECTOR_H

#include "../simd/simd.h"

#endif
