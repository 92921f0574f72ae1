/* Contract of the limits family: the machine's own limits, as loops that do nothing else.
 *
 * What other kernels are measured against (mlopt/targets): each loop moves the data, or issues the
 * multiply-adds, of a kernel and computes nothing that the moving does not hide.  They stand in the
 * register so that they are compiled with the same flags and vocabulary, run on the same tier, and
 * are tested like every other kernel.  limits.c over simd/ is the body, reference/limits.c the
 * scalar form; both give the same results.
 *
 *   limit_fma       n multiply-adds, rounded down to a multiple of MLOPT_LIMIT_CHAINS, as so many
 *                   independent chains c = c * x[0] + y[0]; a chain starts at its place (0 to 11)
 *                   among the accumulators.  Returns the sum of the chains; 2n operations.  Twelve
 *                   registers in flight cover two pipes of up to six cycles.  Choose |x[0]| < 1:
 *                   the chains stay finite and normal.  out is not used.
 *   limit_read      reads x; returns the bitwise or of all elements (an integer operation: the ports
 *                   that add are never what limits it).  y and out are not used.
 *   limit_read_two  reads x and y alternately, the streams of dot.  Returns the or of both.
 *   limit_copy      out = x: the streams of a unary function.  Returns 0.
 *   limit_triad     out = x | y, bit by bit: two streams in, one out, as in add and in STREAM's
 *                   triad.  Returns 0.
 *   limit_update    out = out | x, bit by bit: the streams of axpy.  Returns 0.
 *
 * Ordinary stores; rates count the bytes that the kernel names, not the lines that a cache reads
 * in order to own them.  Results are exact on every tier, except limit_fma's, which rounds as the
 * tier's fma does.  out may be x or y.
 */
#ifndef MLOPT_LIMITS_H
#define MLOPT_LIMITS_H

#define MLOPT_LIMIT_ACCUMULATORS 12
#define MLOPT_LIMIT_CHAINS ((size_t)192) /* 12 registers of 16 lanes; narrower tiers make several passes */

#endif
