/* A pool of arrays: a fixed number of equal slots, 64-byte aligned, in one reservation of address space.
 *
 * Slots          are mapped in huge pages where the system offers them and without a reservation of memory:
 *                what nobody touches costs none.  A slot has a record of one cache line beside it, none in it,
 *                so threads that hold neighbouring slots never write to the same line.
 * Shards         Free slots lie in Treiber stacks, one for each of up to 64 threads; a thread's number (and so
 *                its shard) is given to another when it ends, and more threads share.  A slot belongs to
 *                the shard of the thread that took it first and goes back there, whoever releases it, so
 *                that threads that acquire and release for themselves touch no common line, and a
 *                producer whose consumer releases uses the same few slots again and again.
 * Capacity       A thread whose shard is empty takes a slot that was never used, from a counter; once there
 *                is none it steals from other shards, and the slot moves to its own.  So every slot can be had
 *                by every thread.  "Empty" is exact: it is returned only where two looks at all heads
 *                found the same tags and no slot, hence there was a moment without any.
 * ABA            A head is one 64-bit word: slot number + 1 (32 bits) and a tag (32) that every removal
 *                increments, so that a head that left and came back does not compare equal, unless a
 *                multiple of 2^32 removals fell between one thread's load and its compare-and-swap.
 *                Records live as long as the pool, so a thread that lost a race may still read one.
 * State          A record counts acquisitions and holds whether the slot is in use, in one word.  Its value
 *                while in use names one acquisition for good: releasing with any other value fails.
 * Ordering       A push swaps the head with release: the record's link, and whatever the last holder wrote
 *                into the slot, are visible to the thread whose removal acquires the head.  A removal is a
 *                read-modify-write, hence part of the release sequence of earlier pushes.  Links, depths and
 *                states are relaxed: they are ordered by the head, or only tell misuse.
 *                Chunks of a grown pool are published with release and their slot numbers reach
 *                others through the capacity (acquire) or a head.
 * Waiting        One who waits adds itself to `waiters` and looks at the heads once more before it sleeps; one
 *                who releases pushes, then looks at `waiters`.  Store, then load of another word, on both
 *                sides: so both pairs are sequentially consistent, and one of the two sees the other.
 * Trimming       takes all free slots out and makes `drains` odd meanwhile; who finds the pool empty then
 *                tries again.  Nobody else ever waits for anyone.
 * Fork           A child inherits a consistent pool in memory of its own, unless another thread was trimming.
 *
 * All functions are thread safe; init and destroy have the pool to themselves.
 */
#ifndef MLOPT_ARRAY_POOL_H
#define MLOPT_ARRAY_POOL_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define MLOPT_POOL_SHARDS 64
#define MLOPT_POOL_CHUNKS 32
#define MLOPT_POOL_MAX_CAPACITY ((uint32_t)1 << 31)

typedef enum mlopt_pool_policy { MLOPT_POOL_RAISE, MLOPT_POOL_GROW, MLOPT_POOL_WAIT } mlopt_pool_policy;

typedef enum mlopt_pool_status {
    MLOPT_POOL_OK,
    MLOPT_POOL_IS_EMPTY,
    MLOPT_POOL_IS_CLOSED,
    MLOPT_POOL_NO_MEMORY,
    MLOPT_POOL_INTERRUPTED /* by a signal, while waiting */
} mlopt_pool_status;

/* What is known of a slot.  Atomic members are read by threads that do not hold it. */
typedef struct mlopt_pool_slot {
    _Alignas(64) _Atomic uint64_t state; /* acquisitions << 1 | in use */
    _Atomic uint32_t below;              /* in the free list: number + 1 of the next slot, 0 at its end */
    _Atomic uint32_t depth;              /* in the free list: slots from this one down */
    char *data;                          /* the slot; NULL until it is first taken */
    void *view;                          /* whatever the holder keeps with the slot */
    uint32_t number;
    uint32_t shard;    /* where it goes back to */
    uint32_t poisoned; /* whether the slot holds the poison */
    uint32_t drained;  /* taken out by a trim that is under way */
} mlopt_pool_slot;

typedef struct mlopt_pool_shard {
    _Alignas(64) _Atomic uint64_t head; /* removals << 32 | slot number + 1 */
    _Atomic uint32_t owned;             /* slots that go back to here */
    _Atomic uint32_t high_water;        /* the most of them that were in use */
} mlopt_pool_shard;

/* Chunk 0 holds the first `capacity` slots, every further one as many as all before it. */
typedef struct mlopt_pool_chunk {
    char *data;
    mlopt_pool_slot *slots;
    size_t data_bytes, slot_bytes; /* as mapped */
} mlopt_pool_chunk;

typedef struct mlopt_array_pool {
    /* never written after init */
    size_t stride; /* bytes from slot to slot */
    uint32_t first_capacity;
    int policy, zero, poison;
    uint64_t poison_word;
    /* written where no free slot was at hand */
    _Alignas(64) _Atomic uint32_t fresh; /* slots handed out so far */
    _Atomic uint32_t capacity;
    _Atomic uint32_t shard_count; /* shards that ever owned a slot are below this */
    _Atomic uint32_t closed;      /* 0, or the slots ever in use + 1 */
    _Atomic uint32_t drains;      /* odd while one is under way */
    _Atomic uint64_t misses;      /* acquisitions that found no slot */
    _Atomic uint64_t leaked;
    _Alignas(64) _Atomic uint32_t waiters;
    _Atomic uint32_t event; /* changes when a slot came back while someone waited */
    mlopt_pool_chunk *_Atomic chunks[MLOPT_POOL_CHUNKS];
    mlopt_pool_shard shards[MLOPT_POOL_SHARDS];
} mlopt_array_pool;

typedef struct mlopt_array_pool_statistics {
    uint32_t capacity, in_use, high_water;
    uint64_t misses, acquisitions, grown, leaked;
} mlopt_array_pool_statistics;

_Static_assert(sizeof(mlopt_pool_slot) == 64 && sizeof(mlopt_pool_shard) == 64, "no two of them share a cache line");
_Static_assert(offsetof(mlopt_array_pool, fresh) % 64 == 0 && offsetof(mlopt_array_pool, shards) % 64 == 0,
               "what every acquisition reads is on lines that nobody writes to");

/* A pool of `capacity` slots of `bytes` bytes each; poison_word is written over released slots where `poison` is set.
 * NULL when the address space cannot be had.  1 <= capacity <= MLOPT_POOL_MAX_CAPACITY, and no overflow. */
mlopt_array_pool *mlopt_array_pool_create(size_t bytes, uint32_t capacity, mlopt_pool_policy policy, int zero,
                                          int poison, uint64_t poison_word);

/* Gives all memory back; nobody may hold a slot. */
void mlopt_array_pool_destroy(mlopt_array_pool *pool);

/* A slot in use, contents as its last holder left them (fresh ones are zero); NULL with the reason in `status`.
 * Never waits; an empty pool of the policy GROW grows. */
mlopt_pool_slot *mlopt_array_pool_acquire(mlopt_array_pool *pool, mlopt_pool_status *status);

/* The same, but waits so many nanoseconds for a slot to come back; for ever where they are negative. */
mlopt_pool_slot *mlopt_array_pool_acquire_waiting(mlopt_array_pool *pool, int64_t nanoseconds,
                                                  mlopt_pool_status *status);

/* Gives a slot back that nobody holds any more (mlopt_pool_slot_end). */
void mlopt_array_pool_give_back(mlopt_array_pool *pool, mlopt_pool_slot *slot);

/* The slot that begins at an address, NULL where none that was ever in use does. */
mlopt_pool_slot *mlopt_array_pool_find(mlopt_array_pool *pool, const void *address);

/* The slot of a number below the count of slots that were ever in use. */
mlopt_pool_slot *mlopt_array_pool_slot(mlopt_array_pool *pool, uint32_t number);

/* For the holder of a slot of a poisoned pool: the offset of the first byte that was written to since the slot was
 * released, -1 where none was.  The poison is gone afterwards: zeros where the pool zeroes. */
int64_t mlopt_array_pool_unpoison(const mlopt_array_pool *pool, mlopt_pool_slot *slot);

/* Gives the pages of free slots back to the system; returns their bytes, touched or not. */
size_t mlopt_array_pool_trim(mlopt_array_pool *pool);

/* No acquisition succeeds any more; 0 and nothing done where slots are in use. */
int mlopt_array_pool_close(mlopt_array_pool *pool);

/* Gives the memory of the slots of a closed pool back; the records stay. */
void mlopt_array_pool_unmap(mlopt_array_pool *pool);

/* A consistent picture only while no other thread uses the pool; otherwise an approximate one. */
void mlopt_array_pool_stats(mlopt_array_pool *pool, mlopt_array_pool_statistics *statistics);

static inline uint32_t mlopt_array_pool_capacity(const mlopt_array_pool *pool)
{
    return atomic_load_explicit(&pool->capacity, memory_order_relaxed);
}

static inline int mlopt_array_pool_closed(const mlopt_array_pool *pool)
{
    return atomic_load_explicit(&pool->closed, memory_order_acquire) != 0;
}

/* How many slots were ever in use; not while a trim is under way. */
static inline uint32_t mlopt_array_pool_fresh(const mlopt_array_pool *pool)
{
    const uint32_t closed = atomic_load_explicit(&pool->closed, memory_order_acquire);
    return closed ? closed - 1 : atomic_load_explicit(&pool->fresh, memory_order_acquire);
}

static inline void mlopt_array_pool_note_leak(mlopt_array_pool *pool)
{
    atomic_fetch_add_explicit(&pool->leaked, 1, memory_order_relaxed);
}

/* The state of the acquisition that a holder was just given. */
static inline uint64_t mlopt_pool_slot_state(const mlopt_pool_slot *slot)
{
    return atomic_load_explicit(&slot->state, memory_order_relaxed);
}

/* Ends an acquisition, after which the slot is still the caller's to tidy up and give back; 0 and nothing done where
 * `state` is not that of the slot's present acquisition.  Of several threads that try, one succeeds. */
static inline int mlopt_pool_slot_end(mlopt_pool_slot *slot, uint64_t state)
{
    return (state & 1) && atomic_compare_exchange_strong_explicit(&slot->state, &state, state - 1, memory_order_relaxed,
                                                                  memory_order_relaxed);
}

static inline int mlopt_pool_slot_in_use(const mlopt_pool_slot *slot) { return (int)(mlopt_pool_slot_state(slot) & 1); }

#endif
