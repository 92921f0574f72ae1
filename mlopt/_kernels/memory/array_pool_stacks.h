/* What the two sources of pools of arrays share: where slots lie, and the stacks (array_pool.h has the orderings). */
#ifndef MLOPT_ARRAY_POOL_STACKS_H
#define MLOPT_ARRAY_POOL_STACKS_H

#include "array_pool.h"

#define LIKELY(condition) __builtin_expect(!!(condition), 1)
#define UNLIKELY(condition) __builtin_expect(!!(condition), 0)

/* A test puts delays where another thread must not come between unnoticed. */
#ifndef MLOPT_POOL_BETWEEN
#define MLOPT_POOL_BETWEEN() ((void)0)
#endif

enum { CLOSED_TO_FRESH = UINT32_MAX };

static inline mlopt_pool_slot *slot_of(mlopt_array_pool *pool, uint32_t number)
{
    /* whoever knows the number got it through an acquire that follows the chunk's publication */
    const uint32_t first = pool->first_capacity;
    if (LIKELY(number < first))
        return &atomic_load_explicit(&pool->chunks[0], memory_order_relaxed)->slots[number];
    const unsigned chunk = 32 - (unsigned)__builtin_clz(number / first);
    const uint32_t before = first << (chunk - 1);
    return &atomic_load_explicit(&pool->chunks[chunk], memory_order_relaxed)->slots[number - before];
}

static inline uint32_t chunk_slots(const mlopt_array_pool *pool, unsigned chunk)
{
    return chunk == 0 ? pool->first_capacity : pool->first_capacity << (chunk - 1);
}

static inline size_t round_up(size_t bytes, size_t to) { return (bytes + to - 1) & ~(to - 1); }

static inline void push(mlopt_array_pool *pool, mlopt_pool_shard *shard, mlopt_pool_slot *slot)
{
    uint64_t head = atomic_load_explicit(&shard->head, memory_order_acquire), new_head;
    do {
        const uint32_t below = (uint32_t)head;
        const uint32_t depth = below ? atomic_load_explicit(&slot_of(pool, below - 1)->depth, memory_order_relaxed) : 0;
        atomic_store_explicit(&slot->below, below, memory_order_relaxed);
        atomic_store_explicit(&slot->depth, depth + 1, memory_order_relaxed);
        new_head = (head & ~(uint64_t)UINT32_MAX) | (slot->number + 1);
        /* sequentially consistent for those who wait; release is what the stack needs */
    } while (!atomic_compare_exchange_weak_explicit(&shard->head, &head, new_head, memory_order_seq_cst,
                                                    memory_order_acquire));
}

/* The head is loaded with sequential consistency for those who wait; acquire is what the stack needs. */
static inline mlopt_pool_slot *pop(mlopt_array_pool *pool, mlopt_pool_shard *shard)
{
    uint64_t head = atomic_load_explicit(&shard->head, memory_order_seq_cst), new_head;
    mlopt_pool_slot *slot;
    do {
        if ((uint32_t)head == 0)
            return NULL;
        slot = slot_of(pool, (uint32_t)head - 1);
        const uint32_t below = atomic_load_explicit(&slot->below, memory_order_relaxed);
        MLOPT_POOL_BETWEEN();
        new_head = (((head >> 32) + 1) << 32) | below;
    } while (!atomic_compare_exchange_weak_explicit(&shard->head, &head, new_head, memory_order_acquire,
                                                    memory_order_acquire));
    return slot;
}

/* Empties the stack; the slots hang together by `below`. */
static inline uint32_t pop_all(mlopt_pool_shard *shard)
{
    uint64_t head = atomic_load_explicit(&shard->head, memory_order_acquire), new_head;
    do {
        if ((uint32_t)head == 0)
            return 0;
        new_head = ((head >> 32) + 1) << 32;
    } while (!atomic_compare_exchange_weak_explicit(&shard->head, &head, new_head, memory_order_acquire,
                                                    memory_order_acquire));
    return (uint32_t)head;
}

#endif
