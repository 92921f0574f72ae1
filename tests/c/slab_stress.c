// sources: memory/slab.c
/* Threads that take blocks of the slab pool, mark them, pass some to each other and give them back, while
 * one trims, reads the statistics, and has some requests refused.  A block in two hands shows as a wrong mark, a wrong
 * ordering as a report of ThreadSanitizer. */
#include "memory/slab.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { THREADS = 4, HELD = 16, SLOTS = 32 };

static const double SECONDS = 4;
static _Atomic int stop;
static _Atomic size_t rounds, unserved;
static void *_Atomic passed[SLOTS]; /* blocks on their way from one thread to another */

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    return *state ^= *state << 17;
}

static size_t random_size(uint64_t *state)
{
    const uint64_t random = next_random(state);
    switch (random % 64) {
    case 0:
        return MLOPT_SLAB_LARGE + random % 100000; /* large, malloc */
    case 1:
        return MLOPT_SLAB_HUGE + random % 100000; /* mapped */
    default:
        return 16 + (random >> 8) % 300; /* few classes, much contention */
    }
}

/* The first bytes hold the mark, and so do the last; in between nobody looks. */
static void mark(char *block, size_t bytes, unsigned char with)
{
    memset(block, with, 16);
    memset(block + bytes - 16, with, 16);
}

static void check(const char *block, size_t bytes, unsigned char with)
{
    for (int i = 0; i < 16; i++)
        if ((unsigned char)block[i] != with || (unsigned char)block[bytes - 16 + (size_t)i] != with) {
            fprintf(stderr, "a block was in two hands\n");
            abort();
        }
}

static void *work(void *argument)
{
    const unsigned char self = (unsigned char)(uintptr_t)argument;
    uint64_t state = 88172645463325252ull * self;
    char *held[HELD] = {0};
    size_t sizes[HELD] = {0}, done = 0;
    while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
        const size_t i = next_random(&state) % HELD;
        if (held[i]) {
            check(held[i], sizes[i], self);
            if (next_random(&state) % 4 == 0) { /* given to whoever comes by; what lay there is ours to release */
                void *other =
                    atomic_exchange_explicit(&passed[next_random(&state) % SLOTS], held[i], memory_order_acq_rel);
                mlopt_slab_release(other);
            } else {
                mlopt_slab_release(held[i]);
            }
            held[i] = NULL;
        } else {
            sizes[i] = random_size(&state);
            held[i] = mlopt_slab_acquire(sizes[i]);
            if (held[i] == NULL) { /* refused on purpose: counted, and compared with what the pool says */
                atomic_fetch_add_explicit(&unserved, 1, memory_order_relaxed);
                continue;
            }
            if ((uintptr_t)held[i] % MLOPT_SLAB_ALIGNMENT || mlopt_slab_usable(held[i]) < sizes[i])
                abort();
            mark(held[i], sizes[i], self);
        }
        done++;
    }
    for (int i = 0; i < HELD; i++)
        mlopt_slab_release(held[i]);
    atomic_fetch_add(&rounds, done);
    return NULL;
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

int main(void)
{
    pthread_t threads[THREADS];
    mlopt_slab_statistics statistics;
    const double end = now() + SECONDS;
    uint64_t refused = 0;
    for (uintptr_t i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, work, (void *)(i + 1)))
            return 1;
    while (now() < end) {
        const struct timespec pause = {0, 20000000};
        nanosleep(&pause, NULL);
        mlopt_slab_trim();
        mlopt_slab_stats(&statistics);
        refused += mlopt_slab_fail_every(statistics.misses % 2 ? 5 : 0);
    }
    atomic_store(&stop, 1);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    refused += mlopt_slab_fail_every(0);
    for (int i = 0; i < SLOTS; i++)
        mlopt_slab_release(atomic_load(&passed[i]));
    mlopt_slab_trim();
    mlopt_slab_stats(&statistics);
    printf("%zu rounds, %llu hits, %llu misses, %llu refused\n", atomic_load(&rounds),
           (unsigned long long)statistics.hits, (unsigned long long)statistics.misses, (unsigned long long)refused);
    if (refused == 0 || refused != atomic_load(&unserved)) {
        fprintf(stderr, "%llu were refused, %zu were not served\n", (unsigned long long)refused,
                atomic_load(&unserved));
        return 1;
    }
    if (statistics.blocks_in_use || statistics.blocks_cached || statistics.returned != statistics.misses) {
        fprintf(stderr, "blocks were lost: %zu in use, %zu cached\n", statistics.blocks_in_use,
                statistics.blocks_cached);
        return 1;
    }
    return 0;
}
