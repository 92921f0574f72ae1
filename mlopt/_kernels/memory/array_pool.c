#include "array_pool.h"

#include "array_pool_stacks.h"
#include "lockfree/clock.h"
#include "pages.h"
#include "lockfree/thread_index.h"
#include "lockfree/wait.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>

/* ---------------------------------------------------------------------------------------------- */
/* Memory */

static void *map_lazily(size_t bytes)
{
    if (bytes >= MLOPT_HUGE_PAGE)
        return mlopt_map_huge(0, bytes, MAP_NORESERVE);
    void *start = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return start == MAP_FAILED ? NULL : start;
}

static void unmap_chunk(mlopt_pool_chunk *chunk)
{
    if (chunk->data)
        munmap(chunk->data, chunk->data_bytes);
    if (chunk->slots)
        munmap(chunk->slots, chunk->slot_bytes);
    free(chunk);
}

static mlopt_pool_chunk *map_chunk(size_t stride, uint32_t slots)
{
    const size_t page = mlopt_page_bytes();
    mlopt_pool_chunk *chunk = calloc(1, sizeof *chunk);
    if (chunk == NULL || stride > SIZE_MAX / 4 / slots) {
        free(chunk);
        return NULL;
    }
    chunk->data_bytes = round_up(stride * slots, page);
    chunk->slot_bytes = round_up(sizeof(mlopt_pool_slot) * slots, page);
    chunk->data = map_lazily(chunk->data_bytes);
    chunk->slots = map_lazily(chunk->slot_bytes); /* all zeros: free, never acquired */
    if (chunk->data == NULL || chunk->slots == NULL) {
        unmap_chunk(chunk);
        return NULL;
    }
    return chunk;
}

mlopt_array_pool *mlopt_array_pool_create(size_t bytes, uint32_t capacity, mlopt_pool_policy policy, int zero,
                                          int poison, uint64_t poison_word)
{
    mlopt_array_pool *pool = aligned_alloc(64, round_up(sizeof *pool, 64));
    if (pool == NULL)
        return NULL;
    memset(pool, 0, sizeof *pool);
    pool->stride = round_up(bytes ? bytes : 1, 64);
    pool->first_capacity = capacity;
    pool->policy = policy;
    pool->zero = zero;
    pool->poison = poison;
    pool->poison_word = poison_word;
    atomic_init(&pool->capacity, capacity);
    mlopt_pool_chunk *chunk = map_chunk(pool->stride, capacity);
    if (chunk == NULL) {
        free(pool);
        return NULL;
    }
    atomic_init(&pool->chunks[0], chunk);
    return pool;
}

void mlopt_array_pool_destroy(mlopt_array_pool *pool)
{
    for (unsigned i = 0; i < MLOPT_POOL_CHUNKS; i++) {
        mlopt_pool_chunk *chunk = atomic_load_explicit(&pool->chunks[i], memory_order_acquire);
        if (chunk)
            unmap_chunk(chunk);
    }
    free(pool);
}

/* Adds a chunk to a pool of this capacity, unless another thread did; 0 where there is no address space. */
static int grow(mlopt_array_pool *pool, uint32_t capacity)
{
    unsigned number = 0;
    for (uint32_t total = 0; total < capacity; number++)
        total += chunk_slots(pool, number);
    const uint32_t slots = number < MLOPT_POOL_CHUNKS ? capacity : 0;
    if (slots == 0 || capacity > MLOPT_POOL_MAX_CAPACITY - slots)
        return 0;
    mlopt_pool_chunk *none = NULL;
    if (atomic_load_explicit(&pool->chunks[number], memory_order_acquire) == NULL) {
        mlopt_pool_chunk *chunk = map_chunk(pool->stride, slots);
        if (chunk == NULL)
            return atomic_load_explicit(&pool->capacity, memory_order_relaxed) != capacity;
        if (!atomic_compare_exchange_strong_explicit(&pool->chunks[number], &none, chunk, memory_order_acq_rel,
                                                     memory_order_acquire))
            unmap_chunk(chunk);
    }
    /* release: a claim that reads the new capacity finds the chunk */
    atomic_compare_exchange_strong_explicit(&pool->capacity, &capacity, capacity + slots, memory_order_acq_rel,
                                            memory_order_relaxed);
    return 1;
}

/* ---------------------------------------------------------------------------------------------- */
/* Acquiring */

static inline void note_in_use(mlopt_pool_shard *shard, uint32_t in_use)
{
    uint32_t high = atomic_load_explicit(&shard->high_water, memory_order_relaxed);
    while (UNLIKELY((int32_t)(in_use - high) > 0) &&
           !atomic_compare_exchange_weak_explicit(&shard->high_water, &high, in_use, memory_order_relaxed,
                                                  memory_order_relaxed))
        ;
}

/* A slot of the shard that its home's thread takes. */
static inline mlopt_pool_slot *pop_home(mlopt_array_pool *pool, uint32_t home)
{
    mlopt_pool_shard *shard = &pool->shards[home];
    mlopt_pool_slot *slot = pop(pool, shard);
    if (LIKELY(slot != NULL)) {
        const uint32_t free_before = atomic_load_explicit(&slot->depth, memory_order_relaxed);
        note_in_use(shard, atomic_load_explicit(&shard->owned, memory_order_relaxed) - free_before + 1);
    }
    return slot;
}

/* The slot goes back to this shard from now on; the caller has just taken it. */
static void move_to(mlopt_array_pool *pool, uint32_t number, mlopt_pool_slot *slot)
{
    mlopt_pool_shard *shard = &pool->shards[number];
    slot->shard = number;
    const uint32_t owned = atomic_fetch_add_explicit(&shard->owned, 1, memory_order_relaxed) + 1;
    const uint32_t top = (uint32_t)atomic_load_explicit(&shard->head, memory_order_acquire);
    note_in_use(shard, owned - (top ? atomic_load_explicit(&slot_of(pool, top - 1)->depth, memory_order_relaxed) : 0));
    /* release before the slot can be pushed there: who looks for slots to steal looks at that shard, too */
    uint32_t count = atomic_load_explicit(&pool->shard_count, memory_order_relaxed);
    while (count <= number && !atomic_compare_exchange_weak_explicit(&pool->shard_count, &count, number + 1,
                                                                     memory_order_seq_cst, memory_order_relaxed))
        ;
}

static mlopt_pool_slot *claim_fresh(mlopt_array_pool *pool, uint32_t home)
{
    uint32_t number = atomic_load_explicit(&pool->fresh, memory_order_relaxed);
    do {
        if (number >= atomic_load_explicit(&pool->capacity, memory_order_acquire))
            return NULL;
    } while (!atomic_compare_exchange_weak_explicit(&pool->fresh, &number, number + 1, memory_order_acq_rel,
                                                    memory_order_relaxed));
    const uint32_t first = pool->first_capacity;
    const unsigned chunk = number < first ? 0 : 32 - (unsigned)__builtin_clz(number / first);
    const uint32_t before = chunk == 0 ? 0 : first << (chunk - 1);
    mlopt_pool_slot *slot = slot_of(pool, number);
    slot->data = atomic_load_explicit(&pool->chunks[chunk], memory_order_relaxed)->data +
                 (size_t)(number - before) * pool->stride;
    slot->number = number;
    move_to(pool, home, slot);
    return slot;
}

/* A free slot from wherever there is one; NULL where there was a moment at which there was none. */
static __attribute__((noinline)) mlopt_pool_slot *find_free(mlopt_array_pool *pool, uint32_t home)
{
    for (;;) {
        uint64_t heads[MLOPT_POOL_SHARDS];
        const uint32_t drains = atomic_load_explicit(&pool->drains, memory_order_seq_cst);
        mlopt_pool_slot *slot = claim_fresh(pool, home);
        if (slot)
            return slot;
        const uint32_t count = atomic_load_explicit(&pool->shard_count, memory_order_seq_cst);
        for (uint32_t i = 0; i < count; i++) {
            const uint32_t number = (home + i) % count;
            MLOPT_POOL_BETWEEN();
            mlopt_pool_shard *shard = &pool->shards[number];
            while ((uint32_t)(heads[number] = atomic_load_explicit(&shard->head, memory_order_seq_cst)) != 0) {
                slot = number == home ? pop_home(pool, home) : pop(pool, shard);
                if (slot == NULL)
                    continue;
                if (number != home) {
                    atomic_fetch_sub_explicit(&shard->owned, 1, memory_order_relaxed);
                    move_to(pool, home, slot);
                }
                return slot;
            }
        }
        /* Every shard was empty when it was looked at.  Were all at once?  A slot that came and went changed a tag. */
        int same = count == atomic_load_explicit(&pool->shard_count, memory_order_seq_cst);
        for (uint32_t i = 0; i < count; i++)
            same &= heads[i] == atomic_load_explicit(&pool->shards[i].head, memory_order_seq_cst);
        if (same && drains % 2 == 0 && drains == atomic_load_explicit(&pool->drains, memory_order_seq_cst))
            return NULL;
        if (drains % 2)
            sched_yield();
    }
}

static inline mlopt_pool_slot *take(mlopt_pool_slot *slot)
{
    const uint64_t state = atomic_load_explicit(&slot->state, memory_order_relaxed);
    atomic_store_explicit(&slot->state, state + 3, memory_order_relaxed); /* one more acquisition, in use */
    return slot;
}

static __attribute__((noinline)) mlopt_pool_slot *acquire_elsewhere(mlopt_array_pool *pool, uint32_t home,
                                                                    mlopt_pool_status *status)
{
    for (int missed = 0;; missed = 1) {
        const uint32_t capacity = atomic_load_explicit(&pool->capacity, memory_order_acquire);
        mlopt_pool_slot *slot = find_free(pool, home);
        if (slot)
            return take(slot);
        if (atomic_load_explicit(&pool->closed, memory_order_acquire)) {
            *status = MLOPT_POOL_IS_CLOSED;
            return NULL;
        }
        if (!missed)
            atomic_fetch_add_explicit(&pool->misses, 1, memory_order_relaxed);
        if (pool->policy != MLOPT_POOL_GROW) {
            *status = MLOPT_POOL_IS_EMPTY;
            return NULL;
        }
        if (!grow(pool, capacity)) {
            *status = MLOPT_POOL_NO_MEMORY;
            return NULL;
        }
    }
}

mlopt_pool_slot *mlopt_array_pool_acquire(mlopt_array_pool *pool, mlopt_pool_status *status)
{
    const uint32_t home = mlopt_thread_index() % MLOPT_POOL_SHARDS;
    mlopt_pool_slot *slot = pop_home(pool, home);
    if (UNLIKELY(slot == NULL))
        return acquire_elsewhere(pool, home, status);
    return take(slot);
}

static void wake_one(mlopt_array_pool *pool)
{
    atomic_fetch_add_explicit(&pool->event, 1, memory_order_seq_cst);
    mlopt_wake(&pool->event, 1, MLOPT_WAIT_PROCESS);
}

mlopt_pool_slot *mlopt_array_pool_acquire_waiting(mlopt_array_pool *pool, int64_t nanoseconds,
                                                  mlopt_pool_status *status)
{
    const uint32_t home = mlopt_thread_index() % MLOPT_POOL_SHARDS;
    const int64_t start = mlopt_clock_now();
    mlopt_pool_slot *slot = NULL;
    *status = MLOPT_POOL_OK;
    atomic_fetch_add_explicit(&pool->waiters, 1, memory_order_seq_cst);
    for (;;) {
        const uint32_t event = atomic_load_explicit(&pool->event, memory_order_seq_cst);
        slot = find_free(pool, home);
        if (slot || *status != MLOPT_POOL_OK)
            break;
        if (atomic_load_explicit(&pool->closed, memory_order_acquire)) {
            *status = MLOPT_POOL_IS_CLOSED;
            break;
        }
        const int64_t spent = mlopt_clock_now() - start;
        if (nanoseconds >= 0 && spent >= nanoseconds) {
            *status = MLOPT_POOL_IS_EMPTY;
            break;
        }
        /* after a signal one more look: the slot whose waking was taken for it must not lie there */
        if (mlopt_wait(&pool->event, event, nanoseconds < 0 ? -1 : nanoseconds - spent, MLOPT_WAIT_PROCESS) ==
            MLOPT_WAIT_INTERRUPTED)
            *status = MLOPT_POOL_INTERRUPTED;
    }
    const uint32_t others = atomic_fetch_sub_explicit(&pool->waiters, 1, memory_order_seq_cst) - 1;
    if (slot == NULL && others > 0)
        wake_one(pool); /* a waking that this thread took without using it belongs to another */
    if (slot) {
        *status = MLOPT_POOL_OK;
        return take(slot);
    }
    return NULL;
}

/* ---------------------------------------------------------------------------------------------- */
/* Releasing */

static void fill(char *data, size_t bytes, uint64_t word)
{
    for (size_t i = 0; i < bytes; i += sizeof word)
        memcpy(data + i, &word, sizeof word);
}

int64_t mlopt_array_pool_unpoison(const mlopt_array_pool *pool, mlopt_pool_slot *slot)
{
    char poison[sizeof pool->poison_word];
    int64_t written = -1;
    memcpy(poison, &pool->poison_word, sizeof poison);
    for (size_t i = 0; slot->poisoned && written < 0 && i < pool->stride; i++)
        if (slot->data[i] != poison[i % sizeof poison])
            written = (int64_t)i;
    if (slot->poisoned && pool->zero)
        memset(slot->data, 0, pool->stride);
    slot->poisoned = 0;
    return written;
}

void mlopt_array_pool_give_back(mlopt_array_pool *pool, mlopt_pool_slot *slot)
{
    if (UNLIKELY(pool->poison)) {
        fill(slot->data, pool->stride, pool->poison_word);
        slot->poisoned = 1;
    } else if (pool->zero) {
        memset(slot->data, 0, pool->stride);
    }
    push(pool, &pool->shards[slot->shard], slot);
    if (pool->policy == MLOPT_POOL_WAIT && atomic_load_explicit(&pool->waiters, memory_order_seq_cst) > 0)
        wake_one(pool);
}

mlopt_pool_slot *mlopt_array_pool_find(mlopt_array_pool *pool, const void *address)
{
    const uint32_t fresh = atomic_load_explicit(&pool->fresh, memory_order_acquire);
    uint32_t before = 0;
    for (unsigned i = 0; i < MLOPT_POOL_CHUNKS; i++) {
        const mlopt_pool_chunk *chunk = atomic_load_explicit(&pool->chunks[i], memory_order_acquire);
        if (chunk == NULL)
            break;
        const uint32_t slots = chunk_slots(pool, i);
        const size_t offset = (size_t)((uintptr_t)address - (uintptr_t)chunk->data);
        if ((uintptr_t)address >= (uintptr_t)chunk->data && offset < pool->stride * slots) {
            const uint32_t number = before + (uint32_t)(offset / pool->stride);
            return offset % pool->stride == 0 && number < fresh ? slot_of(pool, number) : NULL;
        }
        before += slots;
    }
    return NULL;
}

mlopt_pool_slot *mlopt_array_pool_slot(mlopt_array_pool *pool, uint32_t number) { return slot_of(pool, number); }
