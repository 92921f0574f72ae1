/* Two threads at the ends of a ring (lockfree/ring.h), timed. */
#ifndef MLOPT_TARGETS_RING_LOOPS_H
#define MLOPT_TARGETS_RING_LOOPS_H

#include "lockfree/clock.h"
#include "lockfree/ring.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

typedef struct mlopt_ring_loop {
    mlopt_ring *ring, *back;
    uint64_t records, batch;
    int futex;
    uint64_t sum;
} mlopt_ring_loop;

/* Each thread on a processor of its own, where the system lets it be said: threads that give up their processor to each
 * other are left together on one of two otherwise, and what is timed is the change of threads. */
#ifdef __linux__
typedef struct mlopt_loop_places {
    cpu_set_t before;
    int kept;
} mlopt_loop_places;

/* The processor of that number among those of `before`, counted around. */
static inline void mlopt_loop_place(pthread_t thread, const cpu_set_t *before, int number)
{
    cpu_set_t one;
    CPU_ZERO(&one);
    number %= CPU_COUNT(before);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, before) && number-- == 0)
            CPU_SET(cpu, &one);
    pthread_setaffinity_np(thread, sizeof one, &one);
}

static inline void mlopt_loop_part(mlopt_loop_places *places, pthread_t other)
{
    places->kept = pthread_getaffinity_np(pthread_self(), sizeof places->before, &places->before) == 0;
    if (places->kept) {
        mlopt_loop_place(pthread_self(), &places->before, 0);
        mlopt_loop_place(other, &places->before, 1);
    }
}

static inline void mlopt_loop_rejoin(const mlopt_loop_places *places)
{
    if (places->kept)
        pthread_setaffinity_np(pthread_self(), sizeof places->before, &places->before);
}
#else
typedef int mlopt_loop_places;
static inline void mlopt_loop_part(mlopt_loop_places *places, pthread_t other) { (void)places, (void)other; }
static inline void mlopt_loop_rejoin(const mlopt_loop_places *places) { (void)places; }
#endif

static inline mlopt_ring *mlopt_ring_loop_new(uint64_t record_bytes, uint64_t capacity)
{
    uint64_t offset, described, bytes = mlopt_ring_bytes(record_bytes, capacity, 0, 0, &offset);
    mlopt_ring *ring = aligned_alloc(MLOPT_RING_APART, sizeof *ring);
    mlopt_ring_shared *shared = bytes ? aligned_alloc(4096, (bytes + 4095) / 4096 * 4096) : NULL;
    if (ring == NULL || shared == NULL) {
        free(ring);
        free(shared);
        return NULL;
    }
    memset(shared, 0, bytes);
    mlopt_ring_create(shared, record_bytes, capacity, NULL, 0, 0, mlopt_process_self(0));
    mlopt_ring_attach(ring, shared, bytes, mlopt_process_self(1), &described);
    mlopt_ring_claim_producer(ring);
    mlopt_ring_claim_consumer(ring);
    return ring;
}

static inline void mlopt_ring_loop_free(mlopt_ring *ring)
{
    if (ring != NULL)
        free(ring->shared);
    free(ring);
}

/* Looks get rarer as in mlopt_ring_await, unless every nanosecond counts; a processor that others want is given up. */
typedef struct mlopt_loop_wait {
    int spins, yields;
} mlopt_loop_wait;

static inline void mlopt_loop_pause(mlopt_loop_wait *wait)
{
    mlopt_ring_pause(wait->spins);
    if (wait->spins < MLOPT_RING_SPINS)
        wait->spins *= 2;
    else if (++wait->yields % 64 == 0)
        sched_yield();
}

static inline void *mlopt_loop_reserve(mlopt_ring *ring, int futex)
{
    mlopt_loop_wait wait = {1, 0};
    void *record;
    while ((record = mlopt_ring_try_reserve(ring)) == NULL)
        if (futex)
            mlopt_ring_await_space(ring, MLOPT_RING_SLICE);
        else
            mlopt_loop_pause(&wait);
    return record;
}

static inline void *mlopt_loop_acquire(mlopt_ring *ring, int futex)
{
    mlopt_loop_wait wait = {1, 0};
    void *record;
    while ((record = mlopt_ring_try_acquire(ring)) == NULL)
        if (futex)
            mlopt_ring_await_records(ring, MLOPT_RING_SLICE);
        else
            mlopt_loop_pause(&wait);
    return record;
}

/* Every word of every record is written, and read and summed up. */
static inline void mlopt_loop_write(uint64_t *record, uint64_t words, uint64_t number)
{
    for (uint64_t i = 0; i < words; i++)
        record[i] = number + i;
}

static inline uint64_t mlopt_loop_read(const uint64_t *record, uint64_t words)
{
    uint64_t sum = 0;
    for (uint64_t i = 0; i < words; i++)
        sum += record[i];
    return sum;
}

static void *mlopt_loop_consume(void *argument)
{
    mlopt_ring_loop *loop = argument;
    mlopt_ring *ring = loop->ring;
    const uint64_t words = ring->record_bytes / 8, stride = ring->stride;
    uint64_t sum = 0;
    if (loop->batch == 1) {
        for (uint64_t i = 0; i < loop->records; i++) {
            const uint64_t *record = mlopt_loop_acquire(ring, loop->futex);
            sum += words == 8 ? mlopt_loop_read(record, 8) : mlopt_loop_read(record, words);
            mlopt_ring_release(ring, 1);
        }
    } else {
        mlopt_loop_wait wait = {1, 0};
        for (uint64_t i = 0; i < loop->records;) {
            void *first;
            const uint64_t count = mlopt_ring_try_acquire_many(ring, loop->batch, &first);
            if (count == 0) {
                mlopt_loop_pause(&wait);
                continue;
            }
            for (uint64_t k = 0; k < count; k++)
                sum += mlopt_loop_read((const uint64_t *)((char *)first + k * stride), words);
            mlopt_ring_release(ring, count);
            i += count;
            wait.spins = 1;
        }
    }
    loop->sum = sum;
    return NULL;
}

/* Seconds; -1 where there is no memory or thread, -2 where the sum is not what it must be. */
static double mlopt_time_ring(unsigned long long record_bytes, unsigned long long capacity, unsigned long long records,
                              unsigned long long batch)
{
    mlopt_ring *ring = mlopt_ring_loop_new(record_bytes, capacity);
    mlopt_ring_loop loop = {ring, NULL, records, batch, 0, 0};
    pthread_t thread;
    if (ring == NULL || pthread_create(&thread, NULL, mlopt_loop_consume, &loop)) {
        mlopt_ring_loop_free(ring);
        return -1;
    }
    mlopt_loop_places places;
    mlopt_loop_part(&places, thread);
    const uint64_t words = record_bytes / 8, stride = ring->stride;
    const int64_t start = mlopt_clock_now();
    if (batch == 1) {
        for (uint64_t i = 0; i < records; i++) {
            uint64_t *record = mlopt_loop_reserve(ring, 0);
            if (words == 8)
                mlopt_loop_write(record, 8, i);
            else
                mlopt_loop_write(record, words, i);
            mlopt_ring_publish(ring, 1);
        }
    } else {
        mlopt_loop_wait wait = {1, 0};
        for (uint64_t i = 0; i < records;) {
            void *first;
            uint64_t count = mlopt_ring_try_reserve_many(ring, batch < records - i ? batch : records - i, &first);
            if (count == 0) {
                mlopt_loop_pause(&wait);
                continue;
            }
            for (uint64_t k = 0; k < count; k++)
                mlopt_loop_write((uint64_t *)((char *)first + k * stride), words, i + k);
            mlopt_ring_publish(ring, count);
            i += count;
            wait.spins = 1;
        }
    }
    pthread_join(thread, NULL);
    const int64_t end = mlopt_clock_now();
    mlopt_loop_rejoin(&places);
    mlopt_ring_loop_free(ring);
    /* the sum over records i and words k of i + k, modulo 2^64; products of neighbours are halved before they wrap */
    const uint64_t of_records = records % 2 ? (records - 1) / 2 * records : records / 2 * (records - 1);
    const uint64_t of_words = words % 2 ? (words - 1) / 2 * words : words / 2 * (words - 1);
    return loop.sum == of_records * words + of_words * records ? 1e-9 * (double)(end - start) : -2;
}

static void *mlopt_loop_echo(void *argument)
{
    mlopt_ring_loop *loop = argument;
    for (uint64_t i = 0; i < loop->records; i++) {
        const uint64_t number = *(const uint64_t *)mlopt_loop_acquire(loop->ring, loop->futex);
        mlopt_ring_release(loop->ring, 1);
        *(uint64_t *)mlopt_loop_reserve(loop->back, loop->futex) = number;
        mlopt_ring_publish(loop->back, 1);
    }
    return NULL;
}

/* 0, or -1 where there is no memory or thread. */
static int mlopt_time_latency(int futex, long long rounds, long long *nanoseconds)
{
    mlopt_ring *there = mlopt_ring_loop_new(64, 64), *back = mlopt_ring_loop_new(64, 64);
    mlopt_ring_loop loop = {there, back, (uint64_t)rounds, 1, futex, 0};
    pthread_t thread;
    const int failed = there == NULL || back == NULL || pthread_create(&thread, NULL, mlopt_loop_echo, &loop) ? -1 : 0;
    if (!failed) {
        mlopt_loop_places places;
        mlopt_loop_part(&places, thread);
        for (long long i = 0; i < rounds; i++) {
            if (futex) { /* let the other side fall asleep */
                const struct timespec pause = {0, 20000};
                nanosleep(&pause, NULL);
            }
            const int64_t start = mlopt_clock_now();
            *(uint64_t *)mlopt_loop_reserve(there, futex) = (uint64_t)i;
            mlopt_ring_publish(there, 1);
            mlopt_loop_acquire(back, futex);
            nanoseconds[i] = (mlopt_clock_now() - start) / 2;
            mlopt_ring_release(back, 1);
        }
        pthread_join(thread, NULL);
        mlopt_loop_rejoin(&places);
    }
    mlopt_ring_loop_free(there);
    mlopt_ring_loop_free(back);
    return failed;
}

#endif
