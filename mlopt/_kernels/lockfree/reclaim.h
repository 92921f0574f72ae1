/* When memory that other threads may still be reading can be given back: epochs.
 *
 * A reader enters a section before it follows a pointer and leaves it afterwards; what was unlinked is freed
 * once every thread that was inside a section at that time has left it.
 *
 * Record      one per thread, on a cache line of its own: the epoch at which the thread entered, 0 outside.
 *             Records are never given back; one whose thread has ended is taken by the next thread that comes.
 * Retiring    whoever unlinks something takes the number of the current epoch and starts the next one.  It may
 *             be freed when every record is outside, or entered in a later epoch than that number.
 * Ordering    Entering is a sequentially consistent exchange of the record, then the structure's root is loaded,
 *             sequentially consistent too; unlinking is a sequentially consistent swap of that root, then the
 *             records are loaded, sequentially consistent.  In the one order of the four, either the reader's
 *             exchange comes before the load of its record, which then holds the memory back, or the swap comes
 *             before the reader's load, which then does not see what was unlinked.  The epoch is loaded with
 *             acquire and incremented with release: who entered in a later epoch than the number sees the
 *             swap as well.  Leaving is a release, so that what was read in the section was read before the
 *             memory is written by its next owner.
 * Cost        one exchange and one store (on x86 the exchange is the full fence that is needed).
 * A thread that stops inside a section holds back what is retired from then on, nothing else: nobody waits.
 * Fork        The child has one thread.  Records of the others are put outside; those that were inside are not
 *             taken again, since what they had announced is still referred to (the cell below).
 *
 * One copy per process: compiled into the module that owns the map (concurrent/map.pyx). */
#ifndef MLOPT_LOCKFREE_RECLAIM_H
#define MLOPT_LOCKFREE_RECLAIM_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define MLOPT_RECLAIM_MAX_THREADS 65536

typedef struct mlopt_reclaim_record {
    _Alignas(64) _Atomic uint64_t epoch; /* when its thread entered, 0 outside */
    _Atomic uint64_t cell;               /* what the thread shows to others: the map's value on its way */
    _Atomic uint32_t taken;              /* a thread has it */
    uint32_t number;                     /* from 0 */
    uint32_t depth;                      /* sections inside each other */
    uint32_t operations, retired;        /* for its owner's use */
} mlopt_reclaim_record;

_Static_assert(sizeof(mlopt_reclaim_record) == 64, "one cache line, shared with nobody");

extern _Atomic uint64_t mlopt_reclaim_epoch;

/* The record of the calling thread; NULL when there is no memory for a first call. */
mlopt_reclaim_record *mlopt_reclaim_mine(void);

/* The record of a number that was seen. */
mlopt_reclaim_record *mlopt_reclaim_numbered(uint32_t number);

/* The earliest epoch that a thread is in; UINT64_MAX where all are outside. */
uint64_t mlopt_reclaim_oldest(void);

static inline void mlopt_reclaim_enter(mlopt_reclaim_record *record)
{
    if (record->depth++ == 0)
        atomic_exchange_explicit(&record->epoch, atomic_load_explicit(&mlopt_reclaim_epoch, memory_order_acquire),
                                 memory_order_seq_cst);
}

static inline void mlopt_reclaim_leave(mlopt_reclaim_record *record)
{
    if (--record->depth == 0)
        atomic_store_explicit(&record->epoch, 0, memory_order_release);
}

/* The number under which to keep what the caller has just unlinked (by a sequentially consistent swap). */
static inline uint64_t mlopt_reclaim_retire(void)
{
    return atomic_fetch_add_explicit(&mlopt_reclaim_epoch, 1, memory_order_seq_cst);
}

#endif
