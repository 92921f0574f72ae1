// sources: lockfree/thread_index.c
/* Threads that take slots of one small pool, mark them, pass some to each other and give them back, while one trims;
 * they never hold more than there are, so nobody may ever find the pool empty.  A slot in two hands shows as
 * a wrong mark, a wrong ordering as a report of ThreadSanitizer.  Then the same with a pool that is too small and
 * whose threads wait, with a pool that grows, and with threads that come and go. */
#include <sched.h>
#include <stdint.h>

/* Between reading a head and swapping it, and between looking at two shards, a thread often loses its processor. */
static void between(void);
#define MLOPT_POOL_BETWEEN() between()
#include "memory/array_pool.c" /* with the delays */
#include "memory/array_pool_upkeep.c"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { THREADS = 4, HELD = 2, BYTES = 192, PASSED = 2 };

static const int64_t NANOSECONDS = 1000000000, LONG_WAIT = 20000000000;
static _Atomic int stop, permits; /* as many as slots: who has one must get a slot */
static _Atomic size_t rounds;
static mlopt_array_pool *pool;
static mlopt_pool_slot *_Atomic passed[PASSED]; /* slots on their way from one thread to another */

static void fail(const char *what)
{
    fprintf(stderr, "%s\n", what);
    abort();
}

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    return *state ^= *state << 17;
}

static void between(void)
{
    static _Thread_local uint64_t random = 88172645463325252ull;
    if (next_random(&random) % 8 == 0)
        sched_yield();
}

static void release(mlopt_pool_slot *slot)
{
    if (!mlopt_pool_slot_end(slot, mlopt_pool_slot_state(slot)))
        fail("a slot that was held was not in use");
    mlopt_array_pool_give_back(pool, slot);
}

static void use(mlopt_pool_slot *slot, unsigned char mark)
{
    if (mlopt_array_pool_find(pool, slot->data) != slot)
        fail("a slot was not found by its address");
    memset(slot->data, mark, BYTES);
    for (int i = 0; i < BYTES; i++)
        if ((unsigned char)slot->data[i] != mark)
            fail("a slot was in two hands");
}

static mlopt_pool_slot *acquire(void)
{
    const int64_t start = mlopt_clock_now();
    mlopt_pool_status status = MLOPT_POOL_OK;
    mlopt_pool_slot *slot = mlopt_array_pool_acquire(pool, &status);
    if (slot == NULL && pool->policy == MLOPT_POOL_WAIT)
        slot = mlopt_array_pool_acquire_waiting(pool, LONG_WAIT, &status);
    if (mlopt_clock_now() - start >= LONG_WAIT)
        fail("one who waited was forgotten");
    if (slot == NULL)
        fail(status == MLOPT_POOL_IS_EMPTY ? "the pool was called empty, and was not" : "no slot");
    return slot;
}

static int take_permit(void)
{
    int left = atomic_load_explicit(&permits, memory_order_acquire);
    while (left > 0)
        if (atomic_compare_exchange_weak_explicit(&permits, &left, left - 1, memory_order_acq_rel,
                                                  memory_order_acquire))
            return 1;
    return 0;
}

static void release_with_permit(mlopt_pool_slot *slot)
{
    release(slot);
    atomic_fetch_add_explicit(&permits, 1, memory_order_acq_rel);
}

/* Up to HELD slots at a time, as permits allow; some are released by another thread. */
static void *work(void *argument)
{
    const unsigned char self = (unsigned char)(uintptr_t)argument;
    uint64_t random = 88172645463325252ull * self;
    size_t done = 0;
    for (; !atomic_load_explicit(&stop, memory_order_relaxed); done++) {
        mlopt_pool_slot *held[HELD];
        int count = 0;
        while (count < HELD && take_permit())
            held[count++] = acquire();
        if (count == 0)
            sched_yield();
        for (int i = 0; i < count; i++) {
            mlopt_pool_slot *slot = held[i];
            use(slot, self);
            if (next_random(&random) % 8 == 0)
                slot = atomic_exchange_explicit(&passed[next_random(&random) % PASSED], slot, memory_order_acq_rel);
            if (slot)
                release_with_permit(slot);
        }
    }
    atomic_fetch_add(&rounds, done);
    return NULL;
}

/* One slot for all. */
static void *wait_for_it(void *argument)
{
    size_t done = 0;
    for (; !atomic_load_explicit(&stop, memory_order_relaxed); done++) {
        mlopt_pool_slot *slot = acquire();
        use(slot, (unsigned char)(uintptr_t)argument);
        between();
        release(slot);
    }
    atomic_fetch_add(&rounds, done);
    return NULL;
}

/* A few rounds, so that many threads come and go. */
static void *brief(void *argument)
{
    for (int i = 0; i < 20; i++) {
        mlopt_pool_slot *slot = acquire();
        use(slot, (unsigned char)(uintptr_t)argument);
        release(slot);
    }
    return NULL;
}

static void run(const char *name, void *(*body)(void *), uint32_t capacity, mlopt_pool_policy policy, int trims)
{
    pthread_t threads[THREADS];
    mlopt_array_pool_statistics statistics;
    const int threads_come_and_go = body == brief;
    const int64_t end = mlopt_clock_now() + NANOSECONDS;
    pool = mlopt_array_pool_create(BYTES, capacity, policy, 0, 0, 0);
    if (pool == NULL)
        fail("no pool");
    atomic_store(&stop, 0);
    atomic_store(&rounds, 0);
    atomic_store(&permits, policy == MLOPT_POOL_GROW ? 100 : (int)capacity);
    size_t started = 0;
    while (mlopt_clock_now() < end) {
        if (threads_come_and_go || started == 0)
            for (uintptr_t i = 0; i < THREADS; i++, started++)
                if (pthread_create(&threads[i], NULL, body, (void *)(i + 1)))
                    fail("no thread");
        if (threads_come_and_go) {
            for (int i = 0; i < THREADS; i++)
                pthread_join(threads[i], NULL);
        } else {
            const struct timespec pause = {0, 200000};
            nanosleep(&pause, NULL);
        }
        if (trims) /* not where some wait: it wakes those whom a release forgot */
            mlopt_array_pool_trim(pool);
    }
    atomic_store(&stop, 1);
    if (!threads_come_and_go)
        for (int i = 0; i < THREADS; i++)
            pthread_join(threads[i], NULL);
    for (int i = 0; i < PASSED; i++) {
        mlopt_pool_slot *slot = atomic_exchange(&passed[i], NULL);
        if (slot)
            release(slot);
    }
    mlopt_array_pool_stats(pool, &statistics);
    printf("%s: %zu threads, %llu acquisitions, %llu misses, capacity %u\n", name, started,
           (unsigned long long)statistics.acquisitions, (unsigned long long)statistics.misses, statistics.capacity);
    if (statistics.in_use || !mlopt_array_pool_close(pool))
        fail("slots were lost");
    mlopt_array_pool_destroy(pool);
}

int main(void)
{
    mlopt_thread_index_initialise();
    run("exact capacity", work, THREADS + 1, MLOPT_POOL_RAISE, 0);
    run("exact capacity, trimmed", work, THREADS + 1, MLOPT_POOL_RAISE, 1);
    run("waiting", wait_for_it, 1, MLOPT_POOL_WAIT, 0);
    run("growing", work, 1, MLOPT_POOL_GROW, 1);
    run("threads that end", brief, THREADS, MLOPT_POOL_RAISE, 1);
    return 0;
}
