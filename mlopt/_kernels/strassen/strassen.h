/* Contract of the strassen family: the sums of matrices that Strassen's product consists of, beside products.
 *
 * The bodies are sums.h (over simd/), compiled once per vector tier and element type by strassen.c;
 * reference/strassen.c is the scalar form.  Prototypes and the matrix type: signatures.h.  The recursion that
 * calls them is recursion.h.
 *
 *   matrix_add       z = x + y
 *   matrix_subtract  z = x - y
 *   winograd_result  the four quadrants of a product from the seven products of Winograd's form, in one pass:
 *                    c[0..3] hold P1, P6, P7, P5 and become C11, C12, C21, C22; p[0..2] are P2, P3 and P4, the
 *                    last of the sign that is added:
 *                        C11 = P1 + P2              C12 = (P1 + P6) + P5 + P3
 *                        C21 = (P1 + P6) + P7 + P4  C22 = (P1 + P6) + P7 + P5
 *
 * Domain
 *   rows and columns may be 0.  Strides count elements and may have any sign; those of an output must give
 *   every element its own place, those of an input may be 0.  Where every operand has unit stride along the
 *   same dimension, vectors run along it; any other layout is computed one element after the other.
 *
 * Memory
 *   Exactly the elements of the operands are touched.  z may be x or y; no other overlap.  With stream,
 *   z is written past the caches where its rows are aligned to the tier's vectors, and every store has become
 *   visible to other threads by the usual means when the kernel returns.
 *
 * Numbers
 *   Every addition is rounded once, in the order written: the same bits on every tier.
 */
#ifndef MLOPT_STRASSEN_H
#define MLOPT_STRASSEN_H

#include "../signatures.h"

/* Sums of this size and more come from beyond L2: several rows at a time keep more of memory's streams busy (four
 * rows of 32 MB matrices: 32 GB/s against 25, Zen 4; within the caches one row is up to 10 % faster). */
#define MLOPT_STRASSEN_FAR_BYTES ((size_t)4 << 20)

#endif
