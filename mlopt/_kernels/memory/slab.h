/* The slab pool: every packing buffer, workspace and array that the library allocates comes from here.
 *
 * A block is handed out by size class and goes back to the free list of its class, so that in the
 * steady state no call reaches the operating system, nor malloc.
 *
 * Size classes   64, 128, 192, 256, then four to every doubling (320, 384, 448, 512, 640, ...) up to
 *                1 TiB.  A block is at most 25 % larger than what was asked for (above 256 bytes; 10 %
 *                on average), and costs a header line of 64 bytes before it and a record of 64 beside it.
 * Alignment      64 bytes.  Blocks of 2 MiB and more are mapped at 2 MiB boundaries, in huge pages where
 *                the system offers them; of those, what nobody touches costs no memory.
 * Free list      one Treiber stack per class, linked by record number.  Records are never given back, so a
 *                thread that lost a race may still read the one it saw.  The head is one 64-bit word:
 *                record number (32 bits) and a tag (32) that every removal increments, so that a head that
 *                left and came back does not compare equal (ABA), unless exactly a multiple of 2^32
 *                removals fell between one thread's load and its compare-and-swap.
 * Threads        keep up to 16 free blocks of each class of up to 4096 bytes to themselves: taking one from there and
 *                putting it back costs no atomic read-modify-write, which is what makes small arrays of NumPy as quick
 *                from here as from its own cache.  What does not fit goes to the stacks, and all of it when the
 *                thread ends.  Only its thread ever changes a cache; another reads how many blocks it has.
 * Ordering       A push publishes with release: the record's link, and whatever the last owner did to the
 *                block, are visible to the thread that takes it, whose load and swap of the head acquire.
 *                A removal needs no release: it is a read-modify-write, hence part of the release
 *                sequence of every earlier push.  Links and counts are relaxed atomics, since a thread that
 *                is about to lose its swap may read them while their new owner writes.
 * Bound          A class of small blocks caches 4 MiB, but from 8 to 4096 blocks, and threads up to 16 more each.
 *                Blocks of 1 MiB and more share MLOPT_SLAB_CACHE_LIMIT bytes.  What is over goes back to the
 *                system at once, but first what is cached of sizes that were not asked for during the last 64
 *                acquisitions of large blocks.
 * Statistics     are read off the records and the threads' caches: no shared counter is touched on the way.
 * Fork           There are no locks; a child inherits a consistent pool.  Blocks that other threads of the
 *                parent held stay in use in the child, and what they cached stays cached and out of reach.
 * Misuse         Releasing a pointer twice, or one that is not a block, ends the process with a message.  A
 *                debug build sees this even when two threads race; a build with AddressSanitizer poisons
 *                cached blocks and the bytes behind the ones that were asked for.
 * Failures       mlopt_slab_fail_every makes requests to the system fail on purpose, so that callers can be shown
 *                to survive it; an acquisition served from the cache looks at none of it.
 *
 * All functions are thread safe and never block.  One acquire and release of a block from the stacks is two
 * compare-and-swaps.
 */
#ifndef MLOPT_SLAB_H
#define MLOPT_SLAB_H

#include <stddef.h>
#include <stdint.h>

#define MLOPT_SLAB_ALIGNMENT 64
#define MLOPT_SLAB_HUGE ((size_t)2 << 20)          /* blocks from here on are mapped, aligned to this */
#define MLOPT_SLAB_LARGE ((size_t)1 << 20)         /* blocks from here on share one cache limit */
#define MLOPT_SLAB_CACHE_LIMIT ((size_t)256 << 20) /* bytes cached of those */

typedef struct mlopt_slab_statistics {
    size_t blocks_in_use, bytes_in_use;
    size_t blocks_cached, bytes_cached;
    size_t bytes_peak;     /* the most that was ever in use and cached together */
    uint64_t hits, misses; /* acquisitions served from the cache, and from the system */
    uint64_t returned;     /* blocks given back to the system */
} mlopt_slab_statistics;

/* A block of at least `bytes` bytes, contents arbitrary; NULL when there is no memory.  0 bytes are a
 * block like any other. */
void *mlopt_slab_acquire(size_t bytes);

/* The same, with the first `bytes` bytes zero; fresh pages are not touched. */
void *mlopt_slab_acquire_zeroed(size_t bytes);

/* Gives a block back; nothing may refer to it any more.  NULL is ignored. */
void mlopt_slab_release(void *block);

/* mlopt_slab_acquire and _release with the arguments that NumPy's allocators have, to be handed to it without a call
 * between. */
void *mlopt_slab_malloc(void *context, size_t bytes);
void mlopt_slab_free(void *context, void *block, size_t bytes);

/* How many bytes of the block may be used: the size of its class. */
size_t mlopt_slab_usable(void *block);

/* The size that a request is rounded up to; 0 where it is too large. */
size_t mlopt_slab_class_bytes(size_t bytes);

/* A consistent picture only while no other thread uses the pool; otherwise an approximate one. */
void mlopt_slab_stats(mlopt_slab_statistics *statistics);

/* Gives all cached blocks back to the system; returns their bytes.  What other threads keep to themselves goes to the
 * stacks with the next small block that each releases. */
size_t mlopt_slab_trim(void);

/* For tests: from now on every `period`-th block that would come from the system is refused, as if there
 * were no memory; 0 refuses none.  Returns how many were refused since the call before. */
uint64_t mlopt_slab_fail_every(uint32_t period);

#endif
