// sources:
/* A producer and a consumer at the ends of rings of many sizes, one record at a time and many, looking and waiting.
 * Every record carries its number and a checksum: one that is lost, twice there, out of order or half written shows,
 * and a wrong ordering as a report of ThreadSanitizer. */
#include "lockfree/ring.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { WORDS = 6 };

static const double SECONDS = 4;

typedef struct run {
    mlopt_ring *ring;
    uint64_t records, seed;
} run;

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    return *state ^= *state << 17;
}

static void fail(const char *what, uint64_t number)
{
    fprintf(stderr, "record %llu: %s\n", (unsigned long long)number, what);
    abort();
}

static void fill(uint64_t *record, uint64_t number)
{
    record[0] = number;
    record[WORDS - 1] = number * 0x9e3779b97f4a7c15u;
    for (int i = 1; i < WORDS - 1; i++)
        record[WORDS - 1] ^= record[i] = number * (uint64_t)(i + 1);
}

static void check(const uint64_t *record, uint64_t number)
{
    uint64_t sum = number * 0x9e3779b97f4a7c15u;
    for (int i = 1; i < WORDS - 1; i++)
        sum ^= record[i];
    if (record[0] != number)
        fail("another record was there", number);
    if (record[WORDS - 1] != sum)
        fail("half written", number);
}

static void *produce(void *argument)
{
    run *the = argument;
    uint64_t state = the->seed;
    for (uint64_t number = 0; number < the->records;) {
        void *first;
        uint64_t count = 1 + next_random(&state) % 4;
        if (count > the->records - number)
            count = the->records - number;
        if (next_random(&state) % 4 == 0) {
            count = mlopt_ring_try_reserve_many(the->ring, count, &first);
        } else {
            first = mlopt_ring_try_reserve(the->ring);
            count = first != NULL;
        }
        if (count == 0) {
            const int found = mlopt_ring_await_space(the->ring, 1000000000);
            if (found != MLOPT_RING_READY && found != MLOPT_RING_NOT_YET)
                fail("producer found the ring broken", number);
            continue;
        }
        for (uint64_t i = 0; i < count; i++)
            fill((uint64_t *)((char *)first + i * the->ring->stride), number + i);
        mlopt_ring_publish(the->ring, count);
        number += count;
    }
    mlopt_ring_close(the->ring, MLOPT_RING_NO_MORE);
    return NULL;
}

static void consume(run *the)
{
    uint64_t state = the->seed * 3 + 1, number = 0, held = 0;
    for (;;) {
        void *first;
        uint64_t count = 1 + next_random(&state) % 4;
        if (next_random(&state) % 4 == 0) {
            count = mlopt_ring_try_acquire_many(the->ring, count, &first);
        } else {
            first = mlopt_ring_try_acquire(the->ring);
            count = first != NULL;
        }
        if (count == 0 && held) {
            mlopt_ring_release(the->ring, held);
            held = 0;
        } else if (count == 0) {
            const int found = mlopt_ring_await_records(the->ring, 1000000000);
            if (found == MLOPT_RING_CLOSED)
                break;
            if (found != MLOPT_RING_READY && found != MLOPT_RING_NOT_YET)
                fail("consumer found the ring broken", number);
        }
        for (uint64_t i = 0; i < count; i++)
            check((const uint64_t *)((char *)first + i * the->ring->stride), number + i);
        number += count;
        held += count;
        if (held && next_random(&state) % 2) {
            const uint64_t some = 1 + next_random(&state) % held;
            mlopt_ring_release(the->ring, some);
            held -= some;
        }
    }
    if (number != the->records)
        fail("the last of them", number);
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

int main(void)
{
    static const uint64_t capacities[] = {1, 2, 3, 5, 8, 64, 1000};
    uint64_t records = 0, rings = 0, described, offset;
    const double end = now() + SECONDS;
    for (; now() < end; rings++) {
        const uint64_t capacity = capacities[rings % (sizeof capacities / sizeof *capacities)];
        const uint64_t bytes = mlopt_ring_bytes(WORDS * 8, capacity, 0, 0, &offset);
        mlopt_ring *ring = aligned_alloc(MLOPT_RING_APART, sizeof *ring);
        mlopt_ring_shared *shared = aligned_alloc(MLOPT_RING_APART, (bytes + 127) / 128 * 128);
        pthread_t thread;
        if (ring == NULL || shared == NULL)
            return 1;
        memset(shared, 0, bytes);
        mlopt_ring_create(shared, WORDS * 8, capacity, NULL, 0, 0, mlopt_process_self(0));
        if (!mlopt_ring_attach(ring, shared, bytes, mlopt_process_self(1), &described) ||
            mlopt_ring_claim_producer(ring) != MLOPT_RING_READY || mlopt_ring_claim_consumer(ring) != MLOPT_RING_READY)
            return 1;
        ring->registered &= (int)(rings / 7 % 2); /* with real fences, and with membarrier */
        run the = {ring, 500 + capacity * 20, rings + 1};
        if (pthread_create(&thread, NULL, produce, &the))
            return 1;
        consume(&the);
        pthread_join(thread, NULL);
        if (mlopt_ring_published(ring) != the.records)
            fail("published too often", the.records);
        records += the.records;
        free(shared);
        free(ring);
    }
    printf("%llu records through %llu rings\n", (unsigned long long)records, (unsigned long long)rings);
    return 0;
}
