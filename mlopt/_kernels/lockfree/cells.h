/* Cells that threads count into without meeting: what counters are made of.
 *
 * Every thread index (thread_index.h) has a cache line of its own, into which its thread alone writes; the
 * total is the sum over all of them.
 *
 * Adding     is a relaxed load, an addition and a relaxed store, with no lock prefix: a cell has one writer, so
 *            that no count can fall between its load and its store, and a 64-bit store is never seen in halves.
 *            When an index passes to another thread, thread_index.h orders the last store of the one before the
 *            first load of the other.  Threads without an index add to a shared cell, by fetch_add.
 *            Wait-free: a bounded number of instructions, whatever the others do.
 * Chunks     The lines of the first MLOPT_CELLS_PER_CHUNK indices come with the counter; those of the others are
 *            added so many at a time by the first thread that needs them, which publishes a zeroed chunk by one
 *            compare-and-swap.  Its release pairs with the acquire of whoever loads the pointer: the zeros are
 *            there before the chunk is.  Where the swap fails, another chunk is there and ours goes back; where
 *            there is no memory, the shared cell takes the count.  Nothing is lost and nobody waits.
 * Reading    sums relaxed loads.  A cell only grows, and no thread reads an older value of it after a newer one:
 *            of two reads of one thread, or of two that are ordered in another way (a join, a lock, a queue), the
 *            second is not below the first.  A read has all that happened before it, and of what is added
 *            meanwhile any part: it lies between the totals at its start and at its end, and need not be one
 *            that there was in between.
 * Not for    signal handlers: one that interrupts its own thread between load and store would be overwritten.
 *
 * Counts are modulo 2^64. */
#ifndef MLOPT_LOCKFREE_CELLS_H
#define MLOPT_LOCKFREE_CELLS_H

#include "thread_index.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define MLOPT_CACHE_LINE 64
#define MLOPT_CELLS_PER_CHUNK 8
#define MLOPT_CELLS_CHUNKS (MLOPT_THREAD_INDICES / MLOPT_CELLS_PER_CHUNK)

/* Where memory comes from: zeroed and at a multiple of 64 bytes, NULL where there is none. */
typedef void *(*mlopt_acquire_zeroed)(size_t bytes);
typedef void (*mlopt_release)(void *block);

typedef struct mlopt_cell {
    _Alignas(MLOPT_CACHE_LINE) _Atomic uint64_t value;
} mlopt_cell;

typedef struct mlopt_cells {
    mlopt_cell shared;
    _Alignas(MLOPT_CACHE_LINE) mlopt_cell *_Atomic chunks[MLOPT_CELLS_CHUNKS]; /* read by all, written once each */
    mlopt_acquire_zeroed acquire;
    mlopt_release release;
    mlopt_cell first[MLOPT_CELLS_PER_CHUNK];
} mlopt_cells;

_Static_assert(sizeof(mlopt_cell) == MLOPT_CACHE_LINE, "no two cells share a cache line");
_Static_assert(MLOPT_CELLS_CHUNKS *MLOPT_CELLS_PER_CHUNK == MLOPT_THREAD_INDICES, "every index has a cell");
_Static_assert(offsetof(mlopt_cells, chunks) % MLOPT_CACHE_LINE == 0 &&
                   offsetof(mlopt_cells, first) % MLOPT_CACHE_LINE == 0,
               "what is written lies apart from what is only read");
_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2 && ATOMIC_POINTER_LOCK_FREE == 2, "64-bit atomics are lock-free");

/* NULL where there is no memory. */
static inline mlopt_cells *mlopt_cells_new(mlopt_acquire_zeroed acquire, mlopt_release release)
{
    mlopt_cells *cells = (mlopt_cells *)acquire(sizeof(mlopt_cells));
    if (cells == NULL)
        return NULL;
    cells->acquire = acquire;
    cells->release = release;
    atomic_store_explicit(&cells->chunks[0], cells->first, memory_order_relaxed);
    return cells;
}

/* No thread may be using them any more. */
static inline void mlopt_cells_delete(mlopt_cells *cells)
{
    if (cells == NULL)
        return;
    for (size_t chunk = 1; chunk < MLOPT_CELLS_CHUNKS; chunk++)
        cells->release(atomic_load_explicit(&cells->chunks[chunk], memory_order_relaxed));
    cells->release(cells);
}

/* The chunk that a thread found missing; NULL where there is no memory. */
static __attribute__((noinline, cold, unused)) mlopt_cell *mlopt_cells_grow(mlopt_cells *cells, unsigned chunk)
{
    mlopt_cell *added = (mlopt_cell *)cells->acquire(MLOPT_CELLS_PER_CHUNK * sizeof(mlopt_cell)), *there = NULL;
    if (added == NULL || atomic_compare_exchange_strong_explicit(&cells->chunks[chunk], &there, added,
                                                                 memory_order_release, memory_order_acquire))
        return added;
    cells->release(added);
    return there;
}

/* Adds to a cell that the calling thread alone writes. */
static inline void mlopt_own_add(_Atomic uint64_t *own, uint64_t amount)
{
    atomic_store_explicit(own, atomic_load_explicit(own, memory_order_relaxed) + amount, memory_order_relaxed);
}

/* `index` is the calling thread's, from mlopt_thread_index. */
static inline void mlopt_cells_add(mlopt_cells *cells, unsigned index, uint64_t amount)
{
    if (__builtin_expect(index < MLOPT_THREAD_INDICES, 1)) {
        const unsigned number = index / MLOPT_CELLS_PER_CHUNK;
        mlopt_cell *chunk = atomic_load_explicit(&cells->chunks[number], memory_order_acquire);
        if (__builtin_expect(chunk == NULL, 0))
            chunk = mlopt_cells_grow(cells, number);
        if (__builtin_expect(chunk != NULL, 1)) {
            mlopt_own_add(&chunk[index % MLOPT_CELLS_PER_CHUNK].value, amount);
            return;
        }
    }
    atomic_fetch_add_explicit(&cells->shared.value, amount, memory_order_relaxed);
}

static inline uint64_t mlopt_cells_sum(const mlopt_cells *cells)
{
    uint64_t sum = atomic_load_explicit(&cells->shared.value, memory_order_relaxed);
    for (size_t number = 0; number < MLOPT_CELLS_CHUNKS; number++) {
        const mlopt_cell *chunk = atomic_load_explicit(&cells->chunks[number], memory_order_acquire);
        for (size_t i = 0; chunk != NULL && i < MLOPT_CELLS_PER_CHUNK; i++)
            sum += atomic_load_explicit(&chunk[i].value, memory_order_relaxed);
    }
    return sum;
}

#endif
