// sources:
/* A producer that never waits and a consumer that is slower: records come in order, whole, and stay as they are while
 * they are held; what was read and what was dropped is what was published.  From time to time both are replaced, by
 * others who find what the last ones left behind. */
#include "lockfree/queue.h"

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

static void *produce(void *argument)
{
    run *the = argument;
    uint64_t state = the->seed;
    for (uint64_t number = 0; number < the->records; number++) {
        uint64_t *record = mlopt_queue_try_reserve(the->ring);
        for (int i = 0; i < WORDS; i++)
            record[i] = number * (uint64_t)(i + 1);
        mlopt_queue_publish(the->ring, 1);
        if (mlopt_queue_damaged(the->ring))
            fail("producer found the ring damaged", number);
        if (next_random(&state) % 100 == 0) { /* another producer */
            the->ring->producer.claimed = 0;
            if (mlopt_queue_claim_producer(the->ring) != MLOPT_RING_READY)
                fail("no successor to the producer", number);
        }
        if (next_random(&state) % 1024 == 0) /* lets the consumer catch up */
            mlopt_ring_pause(2000);
    }
    mlopt_ring_close(the->ring, MLOPT_RING_NO_MORE);
    return NULL;
}

static void check(const uint64_t *record)
{
    for (int i = 1; i < WORDS; i++)
        if (record[i] != record[0] * (uint64_t)(i + 1))
            fail("half written, or written again while it was held", record[0]);
}

/* How many records were read; held ones are looked at again before they go. */
static uint64_t consume(run *the)
{
    uint64_t state = the->seed * 3 + 1, expected = 0, held = 0, read = 0;
    const uint64_t *kept[64];
    for (;;) {
        void *first;
        const uint64_t want = 1 + next_random(&state) % 4;
        const uint64_t count = held + want <= 64 ? mlopt_queue_try_acquire_many(the->ring, want, &first) : 0;
        for (uint64_t i = 0; i < count; i++) {
            const uint64_t *record = (const uint64_t *)((char *)first + i * the->ring->stride);
            check(record);
            if (record[0] < expected)
                fail("came too late", record[0]);
            expected = record[0] + 1;
            kept[held++] = record;
        }
        read += count;
        if (held && (count == 0 || next_random(&state) % 2)) {
            uint64_t some = count == 0 ? held : 1 + next_random(&state) % held;
            for (uint64_t i = 0; i < held; i++)
                check(kept[i]);
            mlopt_queue_release(the->ring, some);
            held -= some;
            memmove(kept, kept + some, held * sizeof *kept);
            if (next_random(&state) % 50 == 0) { /* another consumer, who finds the held ones again */
                the->ring->consumer.claimed = 0;
                if (mlopt_queue_claim_consumer(the->ring) != MLOPT_RING_READY)
                    fail("no successor to the consumer", expected);
                for (uint64_t i = 0; i < held; i++) {
                    const uint64_t *again = mlopt_queue_try_acquire(the->ring);
                    if (again != kept[i])
                        fail("was held and is not found again", kept[i][0]);
                }
            }
        } else if (count == 0) {
            const int found = mlopt_queue_await_records(the->ring, 1000000000);
            if (found == MLOPT_RING_CLOSED)
                return read;
            if (found != MLOPT_RING_READY && found != MLOPT_RING_NOT_YET)
                fail("consumer found the ring broken", expected);
        }
    }
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
    uint64_t published = 0, dropped = 0, rings = 0, described, offset;
    const double end = now() + SECONDS;
    for (; now() < end; rings++) {
        const uint64_t capacity = capacities[rings % (sizeof capacities / sizeof *capacities)];
        const uint64_t bytes = mlopt_ring_bytes(WORDS * 8, capacity, 0, 1, &offset);
        mlopt_ring *ring = aligned_alloc(MLOPT_RING_APART, sizeof *ring);
        mlopt_ring_shared *shared = aligned_alloc(MLOPT_RING_APART, (bytes + 127) / 128 * 128);
        pthread_t thread;
        if (ring == NULL || shared == NULL)
            return 1;
        memset(shared, 0, bytes);
        mlopt_ring_create(shared, WORDS * 8, capacity, NULL, 0, 1, mlopt_process_self(0));
        if (!mlopt_ring_attach(ring, shared, bytes, mlopt_process_self(1), &described) ||
            mlopt_queue_claim_producer(ring) != MLOPT_RING_READY ||
            mlopt_queue_claim_consumer(ring) != MLOPT_RING_READY)
            return 1;
        run the = {ring, 2000 + capacity * 20, rings + 1};
        if (pthread_create(&thread, NULL, produce, &the))
            return 1;
        const uint64_t read = consume(&the);
        pthread_join(thread, NULL);
        if (read + mlopt_queue_dropped(ring) != the.records || mlopt_ring_published(ring) != the.records)
            fail("read and dropped are not what was published", the.records);
        published += the.records;
        dropped += mlopt_queue_dropped(ring);
        free(shared);
        free(ring);
    }
    printf("%llu records through %llu rings, %llu dropped\n", (unsigned long long)published, (unsigned long long)rings,
           (unsigned long long)dropped);
    if (dropped == 0 || dropped == published) {
        fprintf(stderr, "nothing was tested\n");
        return 1;
    }
    return 0;
}
