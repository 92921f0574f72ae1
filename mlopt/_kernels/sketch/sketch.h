/* Contract of the sketch family: random numbers, and the transforms that apply random matrices to dense ones.
 *
 * sketch.c over simd/ is the body, reference/sketch.c the scalar form.  Every kernel gives the same bits on every tier:
 * no operation is contracted, sums have a fixed order, and lanes never meet.  x and out must not overlap.
 *
 *   random_normal     out[i] = standard normal number (first + i) of the stream `key`, which depends on those two
 *                     alone: whoever fills a part of a stream fills it with what the whole would have there.  Counters
 *                     are hashed by Philox4x32 of ten rounds (Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as
 *                     easy as 1, 2, 3", SC 2011), and pairs of the words become pairs of normal numbers by Box and
 *                     Muller's method.  The streams of the two types are independent.  float32 numbers are at most 6.7
 *                     in magnitude, of 31 random bits for the radius and 30 and a sign for the angle; float64 ones are
 *                     at most 8.6, of 52 and 52.  Error against the exact transform of the same bits: 3 eps of the
 *                     radius.
 *   walsh_hadamard    x = H x in place, for a matrix x of `length` rows, a power of two up to 2^24: down every column,
 *                     H[i][j] = (-1)^popcount(i & j), not normalised.  Columns are contiguous elements, row is the step
 *                     from row to row.  One contiguous column is one vector.  Each element is the root of a tree of
 *                     sums and differences of log2(length) levels.  Strides of whole vectors are done in registers,
 *                     three levels for each time that data are loaded, depth first, so that parts of a length that no
 *                     cache holds are transformed within a cache.
 *   signed_sums       out row j = the sum of the rows of x named by indices[bounds[2j] .. bounds[2j+1] - 1] minus that
 *                     of those named by indices[bounds[2j+1] .. bounds[2j+2] - 1], for j < count: a product with a
 *                     sparse matrix of +1 and -1.  MLOPT_SUMS accumulators, the term t of a list goes to accumulator
 *                     t % MLOPT_SUMS.
 *   transpose_scaled  out[places[j] * out_row + i] = weight[j] x[i * row + j * column] for i < rows, j < columns;
 *                     weight NULL: 1, places NULL: j.  Fast where row or column is 1.
 *
 * The stream: number j of float32 is word (j % 64) / 16 of counter 16 (j / 64) + j % 16, and words 0 and 1, and 2 and
 * 3, are pairs; number j of float64 is pair of words (j % 32) / 16 of counter 16 (j / 32) + j % 16, and the two pairs
 * are a pair.  So registers of any width up to sixteen lanes are filled and stored without a shuffle. */
#ifndef MLOPT_SKETCH_H
#define MLOPT_SKETCH_H

#define MLOPT_SUMS 4
/* what walsh_hadamard transforms pass by pass: a share of the first-level cache */
#define MLOPT_WALSH_BYTES ((size_t)1 << 14)
/* counters of a block of the stream */
#define MLOPT_RANDOM_BLOCK 16
/* bytes behind those that are transposed, of every row, that are called from memory: 256 to 512 were the quickest for
 * matrices that no cache holds (Zen 5), a third faster than none */
#define MLOPT_TRANSPOSE_AHEAD 512
/* and contiguous columns, so many ahead */
#define MLOPT_TRANSPOSE_COLUMNS_AHEAD 8

#endif
