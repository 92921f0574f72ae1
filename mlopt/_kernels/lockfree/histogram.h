/* A log-linear histogram of non-negative integers (the layout of HDR histograms): every octave is cut
 * into 2^bits cells of equal width, so that a cell's relative width is the same everywhere.
 *
 * Values below 2^(bits+1) have a cell of their own.  A larger value v, with its highest bit at
 * position p, lies in cell (p - bits) * 2^bits + (v >> (p - bits)): the cells are numbered without
 * gaps, and neither the number of values nor their range changes the memory taken.  A cell's middle is
 * within 2^-(bits+1), relatively, of every value in it.
 *
 * Recording  Every thread index (thread_index.h) has a shard of its own, with all the cells: added at the thread's
 *            first recording, written by it alone, by loads and stores without a lock prefix, as in cells.h, where
 *            it is said why no count is lost or torn, also when an index passes to another thread.  Wait-free.
 *            Threads without an index, and those for whose shard there was no memory, record into the shared shard,
 *            which is there from the start, by atomic read-modify-writes (lock-free).
 * Ordering   A recording stores smallest, largest and total, then the count, then the cell, each with release; a
 *            reader loads in the opposite order, with acquire: extremes and total cover every value it counted.
 * Reading    adds the shards up into the reader's memory: each cell, as a counter's total, lies between what it was
 *            at the start and at the end.  The count of what is read is the sum of its cells.
 *            Values that come to the shared shard while it is cleared may be in its cells and not in its total.
 * Clearing   raises the epoch.  A shard of another epoch counts as empty, and its owner empties it when it records
 *            next: nobody writes into another's shard.  The owner stores the zeros, and all that follows, with
 *            release after it saw the new epoch: a reader that met one of them finds the epoch changed afterwards,
 *            and starts again. */
#ifndef MLOPT_LOCKFREE_HISTOGRAM_H
#define MLOPT_LOCKFREE_HISTOGRAM_H

#include "cells.h"

#include <string.h>

#define MLOPT_HISTOGRAM_MIN_BITS 1
#define MLOPT_HISTOGRAM_MAX_BITS 12

typedef struct mlopt_histogram_shard {
    _Alignas(MLOPT_CACHE_LINE) _Atomic int64_t smallest;
    _Atomic int64_t largest;
    _Atomic double total;
    _Atomic uint64_t count;
    _Atomic uint64_t epoch;                              /* of the histogram when the shard was last emptied */
    _Alignas(MLOPT_CACHE_LINE) _Atomic uint64_t cells[]; /* mlopt_histogram_cell_count(bits) of them */
} mlopt_histogram_shard;

/* Only read while threads record, but for the epoch and where a shard is added. */
typedef struct mlopt_histogram {
    _Alignas(MLOPT_CACHE_LINE) int bits;
    _Atomic uint64_t epoch;
    mlopt_acquire_zeroed acquire;
    mlopt_release release;
    mlopt_histogram_shard *shared;
    mlopt_histogram_shard *_Atomic shards[MLOPT_THREAD_INDICES];
} mlopt_histogram;

/* What was read of a histogram besides its cells; smallest > largest where it is empty. */
typedef struct mlopt_histogram_summary {
    int64_t count, smallest, largest;
    double total;
} mlopt_histogram_summary;

_Static_assert(offsetof(mlopt_histogram_shard, cells) == MLOPT_CACHE_LINE, "a summary is one cache line");

/* The cells that hold every value from 0 to 2^63 - 1. */
static inline size_t mlopt_histogram_cell_count(int bits) { return (size_t)(64 - bits) << bits; }

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

/* The owner's, or that of a shard that nobody else knows yet. */
static __attribute__((noinline, cold, unused)) void mlopt_histogram_shard_empty(mlopt_histogram_shard *shard, int bits,
                                                                                uint64_t epoch)
{
    atomic_store_explicit(&shard->smallest, INT64_MAX, memory_order_release);
    atomic_store_explicit(&shard->largest, -1, memory_order_release);
    atomic_store_explicit(&shard->total, 0, memory_order_release);
    atomic_store_explicit(&shard->count, 0, memory_order_release);
    for (size_t cell = mlopt_histogram_cell_count(bits); cell-- > 0;)
        atomic_store_explicit(&shard->cells[cell], 0, memory_order_release);
    atomic_store_explicit(&shard->epoch, epoch, memory_order_release);
}

static inline mlopt_histogram_shard *mlopt_histogram_shard_new(const mlopt_histogram *histogram)
{
    mlopt_histogram_shard *shard = (mlopt_histogram_shard *)histogram->acquire(
        sizeof(mlopt_histogram_shard) + mlopt_histogram_cell_count(histogram->bits) * sizeof(uint64_t));
    if (shard != NULL) { /* the cells are zero already */
        atomic_store_explicit(&shard->smallest, INT64_MAX, memory_order_relaxed);
        atomic_store_explicit(&shard->largest, -1, memory_order_relaxed);
    }
    return shard;
}

/* NULL where there is no memory. */
static inline mlopt_histogram *mlopt_histogram_new(int bits, mlopt_acquire_zeroed acquire, mlopt_release release)
{
    mlopt_histogram *histogram = (mlopt_histogram *)acquire(sizeof(mlopt_histogram));
    if (histogram == NULL)
        return NULL;
    histogram->bits = bits;
    histogram->acquire = acquire;
    histogram->release = release;
    histogram->shared = mlopt_histogram_shard_new(histogram);
    if (histogram->shared != NULL)
        return histogram;
    release(histogram);
    return NULL;
}

/* No thread may be using it any more. */
static inline void mlopt_histogram_delete(mlopt_histogram *histogram)
{
    if (histogram == NULL)
        return;
    for (size_t i = 0; i < MLOPT_THREAD_INDICES; i++)
        histogram->release(atomic_load_explicit(&histogram->shards[i], memory_order_relaxed));
    histogram->release(histogram->shared);
    histogram->release(histogram);
}

/* A thread's own shard, which it adds or empties where it has to; NULL where there is none and no memory for it. */
static __attribute__((noinline, cold, unused)) mlopt_histogram_shard *
mlopt_histogram_prepare(mlopt_histogram *histogram, unsigned index, mlopt_histogram_shard *shard, uint64_t epoch)
{
    if (shard != NULL) {
        mlopt_histogram_shard_empty(shard, histogram->bits, epoch);
        return shard;
    }
    shard = mlopt_histogram_shard_new(histogram);
    if (shard != NULL) {
        atomic_store_explicit(&shard->epoch, epoch, memory_order_relaxed);
        /* pairs with the acquire of readers: a shard that is seen is whole */
        atomic_store_explicit(&histogram->shards[index], shard, memory_order_release);
    }
    return shard;
}

/* The shard that a thread may write without read-modify-writes, NULL where it has to take the shared one. */
static inline mlopt_histogram_shard *mlopt_histogram_own(mlopt_histogram *histogram, unsigned index)
{
    if (__builtin_expect(index >= MLOPT_THREAD_INDICES, 0))
        return NULL;
    const uint64_t epoch = atomic_load_explicit(&histogram->epoch, memory_order_acquire);
    mlopt_histogram_shard *shard = atomic_load_explicit(&histogram->shards[index], memory_order_relaxed);
    if (__builtin_expect(shard == NULL || atomic_load_explicit(&shard->epoch, memory_order_relaxed) != epoch, 0))
        shard = mlopt_histogram_prepare(histogram, index, shard, epoch);
    return shard;
}

/* Counts values of one cell into the shared shard. */
static __attribute__((noinline, cold, unused)) void mlopt_histogram_add_shared(mlopt_histogram_shard *shard,
                                                                               size_t cell, int64_t smallest,
                                                                               int64_t largest, double total,
                                                                               int64_t count)
{
    int64_t seen = atomic_load_explicit(&shard->smallest, memory_order_relaxed);
    while (smallest < seen && !atomic_compare_exchange_weak_explicit(&shard->smallest, &seen, smallest,
                                                                     memory_order_relaxed, memory_order_relaxed))
        ;
    seen = atomic_load_explicit(&shard->largest, memory_order_relaxed);
    while (largest > seen && !atomic_compare_exchange_weak_explicit(&shard->largest, &seen, largest,
                                                                    memory_order_relaxed, memory_order_relaxed))
        ;
    double sum = atomic_load_explicit(&shard->total, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(&shard->total, &sum, sum + total, memory_order_relaxed,
                                                  memory_order_relaxed))
        ;
    atomic_fetch_add_explicit(&shard->count, (uint64_t)count, memory_order_release);
    atomic_fetch_add_explicit(&shard->cells[cell], (uint64_t)count, memory_order_release);
}

/* Adds to a word that the calling thread alone writes. */
static inline void mlopt_histogram_count(_Atomic uint64_t *own, int64_t count)
{
    const uint64_t before = atomic_load_explicit(own, memory_order_relaxed);
    atomic_store_explicit(own, before + (uint64_t)count, memory_order_release);
}

/* Counts values of one cell: `count` of them, from `smallest` to `largest`, with the sum `total`. */
static inline void mlopt_histogram_add(mlopt_histogram *histogram, unsigned index, size_t cell, int64_t smallest,
                                       int64_t largest, double total, int64_t count)
{
    mlopt_histogram_shard *shard = mlopt_histogram_own(histogram, index);
    if (__builtin_expect(shard == NULL, 0)) {
        mlopt_histogram_add_shared(histogram->shared, cell, smallest, largest, total, count);
        return;
    }
    if (smallest < atomic_load_explicit(&shard->smallest, memory_order_relaxed))
        atomic_store_explicit(&shard->smallest, smallest, memory_order_release);
    if (largest > atomic_load_explicit(&shard->largest, memory_order_relaxed))
        atomic_store_explicit(&shard->largest, largest, memory_order_release);
    const double sum = atomic_load_explicit(&shard->total, memory_order_relaxed);
    atomic_store_explicit(&shard->total, sum + total, memory_order_release);
    mlopt_histogram_count(&shard->count, count);
    mlopt_histogram_count(&shard->cells[cell], count);
}

/* value >= 0, count >= 0; `index` is the calling thread's, from mlopt_thread_index. */
static inline void mlopt_histogram_record(mlopt_histogram *histogram, unsigned index, int64_t value, int64_t count)
{
    mlopt_histogram_add(histogram, index, mlopt_histogram_cell_of(histogram->bits, value), value, value,
                        (double)value * (double)count, count);
}

/* Forgets what was recorded; of what is recorded meanwhile, any part. */
static inline void mlopt_histogram_clear(mlopt_histogram *histogram, unsigned index)
{
    atomic_fetch_add_explicit(&histogram->epoch, 1, memory_order_acq_rel);
    mlopt_histogram_shard *shared = histogram->shared;
    for (size_t cell = mlopt_histogram_cell_count(histogram->bits); cell-- > 0;)
        if (atomic_load_explicit(&shared->cells[cell], memory_order_relaxed))
            atomic_store_explicit(&shared->cells[cell], 0, memory_order_release);
    atomic_store_explicit(&shared->smallest, INT64_MAX, memory_order_release);
    atomic_store_explicit(&shared->largest, -1, memory_order_release);
    atomic_store_explicit(&shared->total, 0, memory_order_release);
    atomic_store_explicit(&shared->count, 0, memory_order_release);
    if (index < MLOPT_THREAD_INDICES && atomic_load_explicit(&histogram->shards[index], memory_order_relaxed))
        mlopt_histogram_own(histogram, index); /* empties ours now rather than when we record next */
}

/* The shards that count: the shared one is number MLOPT_THREAD_INDICES. */
static inline mlopt_histogram_shard *mlopt_histogram_shard_at(const mlopt_histogram *histogram, size_t number,
                                                              uint64_t epoch)
{
    if (number == MLOPT_THREAD_INDICES)
        return histogram->shared;
    mlopt_histogram_shard *shard = atomic_load_explicit(&histogram->shards[number], memory_order_acquire);
    if (shard == NULL || atomic_load_explicit(&shard->epoch, memory_order_acquire) != epoch)
        return NULL;
    return shard;
}

/* Takes the extremes of a shard into a summary, and adds its total. */
static inline void mlopt_histogram_join(mlopt_histogram_summary *summary, const mlopt_histogram_shard *shard)
{
    const int64_t smallest = atomic_load_explicit(&shard->smallest, memory_order_acquire);
    const int64_t largest = atomic_load_explicit(&shard->largest, memory_order_acquire);
    summary->smallest = smallest < summary->smallest ? smallest : summary->smallest;
    summary->largest = largest > summary->largest ? largest : summary->largest;
    summary->total += atomic_load_explicit(&shard->total, memory_order_acquire);
}

/* How many values were recorded, and their extremes and sum: one line of each shard. */
static inline void mlopt_histogram_summarise(const mlopt_histogram *histogram, mlopt_histogram_summary *summary)
{
    uint64_t epoch, count;
    do {
        *summary = (mlopt_histogram_summary){0, INT64_MAX, -1, 0};
        count = 0;
        epoch = atomic_load_explicit(&histogram->epoch, memory_order_acquire);
        for (size_t number = 0; number <= MLOPT_THREAD_INDICES; number++) {
            const mlopt_histogram_shard *shard = mlopt_histogram_shard_at(histogram, number, epoch);
            if (shard == NULL)
                continue;
            count += atomic_load_explicit(&shard->count, memory_order_acquire);
            mlopt_histogram_join(summary, shard);
        }
    } while (atomic_load_explicit(&histogram->epoch, memory_order_relaxed) != epoch);
    /* counted, but its extremes are gone: the shared shard is being cleared */
    summary->count = summary->smallest > summary->largest ? 0 : (int64_t)count;
}

/* All of a histogram: its cells, into mlopt_histogram_cell_count(bits) words, and what goes with them. */
static inline void mlopt_histogram_read(const mlopt_histogram *histogram, int64_t *cells,
                                        mlopt_histogram_summary *summary)
{
    const size_t cell_count = mlopt_histogram_cell_count(histogram->bits);
    uint64_t epoch, count;
    size_t first, last;
    do {
        *summary = (mlopt_histogram_summary){0, INT64_MAX, -1, 0};
        count = 0, first = cell_count, last = 0;
        memset(cells, 0, cell_count * sizeof *cells);
        epoch = atomic_load_explicit(&histogram->epoch, memory_order_acquire);
        for (size_t number = 0; number <= MLOPT_THREAD_INDICES; number++) {
            const mlopt_histogram_shard *shard = mlopt_histogram_shard_at(histogram, number, epoch);
            if (shard == NULL || atomic_load_explicit(&shard->count, memory_order_acquire) == 0)
                continue; /* what a recording counts after this comes after the read */
            size_t from = 0, to = cell_count;
            if (number < MLOPT_THREAD_INDICES) { /* an owner widens its extremes before it counts outside of them */
                const int64_t smallest = atomic_load_explicit(&shard->smallest, memory_order_acquire);
                const int64_t largest = atomic_load_explicit(&shard->largest, memory_order_acquire);
                from = smallest > largest ? to : mlopt_histogram_cell_of(histogram->bits, smallest);
                to = smallest > largest ? to : mlopt_histogram_cell_of(histogram->bits, largest) + 1;
            }
            for (size_t cell = from; cell < to; cell++) {
                const uint64_t here = atomic_load_explicit(&shard->cells[cell], memory_order_acquire);
                if (here == 0)
                    continue;
                cells[cell] = (int64_t)((uint64_t)cells[cell] + here);
                count += here;
                first = cell < first ? cell : first;
                last = cell > last ? cell : last;
            }
            mlopt_histogram_join(summary, shard);
        }
    } while (atomic_load_explicit(&histogram->epoch, memory_order_relaxed) != epoch);
    summary->count = (int64_t)count;
    if (count == 0) {
        *summary = (mlopt_histogram_summary){0, INT64_MAX, -1, 0};
        return;
    }
    /* Values on their way in may have moved the extremes before their cells, and clearing the shared shard
     * takes them back one by one: what is read agrees with its cells whatever happened. */
    int64_t width;
    const int64_t low = mlopt_histogram_cell_start(histogram->bits, first, &width), low_end = low + (width - 1);
    summary->smallest = summary->smallest < low || summary->smallest > low_end ? low : summary->smallest;
    const int64_t high = mlopt_histogram_cell_start(histogram->bits, last, &width), high_end = high + (width - 1);
    summary->largest = summary->largest < high || summary->largest > high_end ? high_end : summary->largest;
}

/* The cell that holds the value of a rank from 1 to the count, in ascending order. */
static inline size_t mlopt_histogram_cell_at(const int64_t *cells, int64_t rank)
{
    size_t cell = 0;
    for (int64_t seen = cells[0]; seen < rank; seen += cells[cell])
        cell++;
    return cell;
}

#endif
