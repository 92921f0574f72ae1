/* A small number for every thread: which cell of a counter is its own.
 *
 * A thread gets the lowest index that is free when it first asks, and gives it back when it ends (the
 * destructor of a pthread key).  While it has it, no other thread does; beyond MLOPT_THREAD_INDICES threads
 * at a time, and in a thread that is already being torn down, the answer is MLOPT_THREAD_SHARED: work with
 * what all share, by atomic read-modify-writes.
 *
 * Ordering   An index is returned with release and taken with acquire, both by read-modify-writes of the same
 *            word: every bit that changes beside it belongs to the release sequence too.  The thread that takes
 *            an index therefore sees the last store that its previous owner made under it, and goes on from
 *            there: that is all that makes a plain load and store of an own cell enough.
 * Cost       A load of a thread-local word and a comparison.  The first call in a thread is a few atomic
 *            instructions, and what pthread_setspecific does; there are no locks.
 * Fork       Of the parent's threads a child has one.  The indices of the others are free in it.
 *
 * What counts by index asks one table in a process: that of mlopt.concurrent.counters.  The pools of arrays, to
 * which an index is a hint where to begin, have one of their own. */
#ifndef MLOPT_LOCKFREE_THREAD_INDEX_H
#define MLOPT_LOCKFREE_THREAD_INDEX_H

#include "lockfree/thread_local.h"

#define MLOPT_THREAD_INDICES 256
#define MLOPT_THREAD_SHARED MLOPT_THREAD_INDICES

/* The thread's index plus one; 0 before it first asked. */
extern __attribute__((visibility("hidden"))) MLOPT_THREAD_LOCAL unsigned mlopt_thread_index_plus_one;

/* To be called once, before any thread asks: without it, or where the system has no thread-specific key left, all
 * threads share. */
void mlopt_thread_index_initialise(void);

/* The slow half of mlopt_thread_index. */
unsigned mlopt_thread_index_first(void);

/* From 0 to MLOPT_THREAD_SHARED. */
static inline unsigned mlopt_thread_index(void)
{
    const unsigned known = mlopt_thread_index_plus_one;
    return __builtin_expect(known != 0, 1) ? known - 1 : mlopt_thread_index_first();
}

/* How many indices threads have now. */
unsigned mlopt_thread_index_count(void);

#endif
