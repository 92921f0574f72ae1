/* Pools of arrays: what happens seldom, to all free slots at once. */
#include "array_pool.h"

#include "array_pool_stacks.h"
#include "pages.h"
#include "lockfree/wait.h"

#include <sched.h>
#include <string.h>

/* Takes all free slots out and marks them; returns how many.  Others who find the pool empty try again until
 * end_drain, so nobody is told that there is nothing. */
static uint32_t begin_drain(mlopt_array_pool *pool, uint32_t *fresh)
{
    uint32_t drains = atomic_load_explicit(&pool->drains, memory_order_relaxed), count = 0;
    while (drains % 2 || !atomic_compare_exchange_weak_explicit(&pool->drains, &drains, drains + 1,
                                                                memory_order_seq_cst, memory_order_relaxed)) {
        sched_yield();
        drains = atomic_load_explicit(&pool->drains, memory_order_relaxed);
    }
    *fresh = atomic_exchange_explicit(&pool->fresh, (uint32_t)CLOSED_TO_FRESH, memory_order_acq_rel);
    for (uint32_t i = 0; i < MLOPT_POOL_SHARDS; i++)
        for (uint32_t top = pop_all(&pool->shards[i]); top; count++) {
            mlopt_pool_slot *slot = slot_of(pool, top - 1);
            slot->drained = 1;
            top = atomic_load_explicit(&slot->below, memory_order_relaxed);
        }
    return count;
}

static void end_drain(mlopt_array_pool *pool, uint32_t fresh, int give_back)
{
    if (give_back) {
        for (uint32_t number = fresh; number-- > 0;) { /* so that the lowest are used first */
            mlopt_pool_slot *slot = slot_of(pool, number);
            if (slot->drained) {
                slot->drained = 0;
                push(pool, &pool->shards[slot->shard], slot);
            }
        }
        atomic_store_explicit(&pool->fresh, fresh, memory_order_release);
    }
    atomic_fetch_add_explicit(&pool->drains, 1, memory_order_seq_cst);
    atomic_fetch_add_explicit(&pool->event, 1, memory_order_seq_cst);
    mlopt_wake(&pool->event, INT32_MAX, MLOPT_WAIT_PROCESS);
}

size_t mlopt_array_pool_trim(mlopt_array_pool *pool)
{
    const size_t page = mlopt_page_bytes();
    size_t given_back = 0;
    uint32_t fresh, before = 0;
    if (atomic_load_explicit(&pool->closed, memory_order_acquire))
        return 0;
    begin_drain(pool, &fresh);
    for (unsigned i = 0; i < MLOPT_POOL_CHUNKS && before < fresh; i++) {
        mlopt_pool_chunk *chunk = atomic_load_explicit(&pool->chunks[i], memory_order_acquire);
        const uint32_t slots = chunk_slots(pool, i);
        const uint32_t used = fresh - before < slots ? fresh - before : slots;
        for (uint32_t first = 0, last; first < used; first = last + 1) {
            for (last = first; last < used && chunk->slots[last].drained; last++)
                chunk->slots[last].poisoned = 0;
            /* whole pages within the run of free slots; behind the last used slot there is nothing to keep */
            const size_t start = round_up(first * pool->stride, page);
            const size_t end = last == used ? round_up(last * pool->stride, page) : last * pool->stride / page * page;
            if (end > start) {
                mlopt_drop_pages(chunk->data + start, end - start);
                given_back += end - start;
            }
        }
        before += slots;
    }
    end_drain(pool, fresh, 1);
    return given_back;
}

int mlopt_array_pool_close(mlopt_array_pool *pool)
{
    uint32_t fresh;
    if (atomic_load_explicit(&pool->closed, memory_order_acquire))
        return 1;
    const int idle = begin_drain(pool, &fresh) == fresh;
    if (idle)
        atomic_store_explicit(&pool->closed, fresh + 1, memory_order_release); /* before the drain ends */
    end_drain(pool, fresh, !idle);
    return idle;
}

void mlopt_array_pool_unmap(mlopt_array_pool *pool)
{
    for (unsigned i = 0; i < MLOPT_POOL_CHUNKS; i++) {
        mlopt_pool_chunk *chunk = atomic_load_explicit(&pool->chunks[i], memory_order_acquire);
        if (chunk && chunk->data) {
            munmap(chunk->data, chunk->data_bytes);
            chunk->data = NULL;
        }
    }
}

void mlopt_array_pool_stats(mlopt_array_pool *pool, mlopt_array_pool_statistics *statistics)
{
    memset(statistics, 0, sizeof *statistics);
    statistics->capacity = atomic_load_explicit(&pool->capacity, memory_order_acquire);
    uint32_t fresh = mlopt_array_pool_fresh(pool);
    if (fresh == (uint32_t)CLOSED_TO_FRESH)
        fresh = 0; /* a trim is under way */
    uint64_t high_water = 0;
    for (uint32_t i = 0; i < MLOPT_POOL_SHARDS; i++)
        high_water += atomic_load_explicit(&pool->shards[i].high_water, memory_order_relaxed);
    for (uint32_t number = 0; number < fresh; number++) {
        const uint64_t state = mlopt_pool_slot_state(slot_of(pool, number));
        statistics->acquisitions += state >> 1;
        statistics->in_use += (uint32_t)(state & 1);
    }
    if (high_water > fresh)
        high_water = fresh;
    statistics->high_water = (uint32_t)high_water;
    statistics->grown = statistics->capacity - pool->first_capacity;
    statistics->misses = atomic_load_explicit(&pool->misses, memory_order_relaxed);
    statistics->leaked = atomic_load_explicit(&pool->leaked, memory_order_relaxed);
}
