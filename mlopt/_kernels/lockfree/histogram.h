/* A log-linear histogram of non-negative integers (the layout of HDR histograms): every octave is cut
 * into 2^bits cells of equal width, so that a cell's relative width is the same everywhere.
 *
 * Values below 2^(bits+1) have a cell of their own.  A larger value v, with its highest bit at
 * position p, lies in cell (p - bits) * 2^bits + (v >> (p - bits)): the cells are numbered without
 * gaps, and neither the number of values nor their range changes the memory taken.  A cell's middle is
 * within 2^-(bits+1), relatively, of every value in it.
 *
 * One writer.  Each recording touches one cell and the summary; making both atomic is all it takes
 * for several. */
#ifndef MLOPT_LOCKFREE_HISTOGRAM_H
#define MLOPT_LOCKFREE_HISTOGRAM_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define MLOPT_HISTOGRAM_MIN_BITS 1
#define MLOPT_HISTOGRAM_MAX_BITS 12

typedef struct mlopt_histogram {
    int bits;
    int64_t count, smallest, largest;
    double total;
    int64_t *cells; /* mlopt_histogram_cell_count(bits) of them; the owner's memory */
} mlopt_histogram;

/* The cells that hold every value from 0 to 2^63 - 1. */
static inline size_t mlopt_histogram_cell_count(int bits) { return (size_t)(64 - bits) << bits; }

static inline void mlopt_histogram_clear(mlopt_histogram *histogram)
{
    memset(histogram->cells, 0, mlopt_histogram_cell_count(histogram->bits) * sizeof *histogram->cells);
    histogram->count = 0;
    histogram->smallest = INT64_MAX;
    histogram->largest = 0;
    histogram->total = 0;
}

static inline size_t mlopt_histogram_cell_of(int bits, int64_t value)
{
    /* the bit that is set keeps small values in the first octave, where the shift is 0 */
    int shift = 63 - bits - __builtin_clzll((uint64_t)value | (uint64_t)1 << bits);
    return ((size_t)shift << bits) + (size_t)(value >> shift);
}

/* The smallest value of a cell, and how many values fall into it. */
static inline int64_t mlopt_histogram_cell_start(int bits, size_t cell, int64_t *width)
{
    size_t octave = cell >> bits;
    int shift = octave > 0 ? (int)octave - 1 : 0;
    *width = (int64_t)1 << shift;
    return (int64_t)(cell - ((size_t)shift << bits)) << shift;
}

/* value >= 0, count >= 0 */
static inline void mlopt_histogram_record(mlopt_histogram *histogram, int64_t value, int64_t count)
{
    histogram->cells[mlopt_histogram_cell_of(histogram->bits, value)] += count;
    histogram->count += count;
    histogram->total += (double)value * (double)count;
    if (value < histogram->smallest)
        histogram->smallest = value;
    if (value > histogram->largest)
        histogram->largest = value;
}

/* The cell that holds the value of a rank from 1 to count, in ascending order. */
static inline size_t mlopt_histogram_cell_at(const mlopt_histogram *histogram, int64_t rank)
{
    size_t cell = 0;
    for (int64_t seen = histogram->cells[0]; seen < rank; seen += histogram->cells[cell])
        cell++;
    return cell;
}

#endif
