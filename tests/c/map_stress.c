// sources: memory/slab.c lockfree/reclaim.c
/* Threads that change a map in every way while it grows and sheds removed keys, and others that read it and walk over
 * it.  Each thread owns keys, of which it knows the values exactly; all share counters, to which they only add, and
 * keys whose values name them.  A key that was removed is replaced by one that never was, so that tables fill up
 * with removed ones.  Small maps are made and destroyed one after another, so that many migrations, the
 * first entries of a table and the integers and values that look like states are all met often.  Threads stop
 * between the steps of a migration, and its chunks are small.
 *
 * A lost or repeated change shows as a wrong value, a wrong ordering as a report of ThreadSanitizer. */
#include <sched.h>
#include <stdint.h>

static inline void pause_sometimes(void);
#define MLOPT_MAP_CHUNK 16
#define MLOPT_MAP_STEP() pause_sometimes()
#include "lockfree/map.c"
#include "memory/slab.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { WRITERS = 3, READERS = 1, OWNED = 400, SHARED = 40, COUNTERS = 8, GENERATIONS = 32, ROUND = 3000 };
enum { KEYS = COUNTERS + SHARED + WRITERS * OWNED * GENERATIONS };

static const double SECONDS = 4;

typedef struct worker {
    pthread_t thread;
    unsigned self;
    int64_t added[COUNTERS];
    size_t operations;
} worker;

static mlopt_map *map;
static int of_bytes;
static _Atomic int ready, writing;
static _Thread_local long steps_to_stop = -1;
static size_t total_operations, migrations, stops;

#define REQUIRE(condition, what)                                                                                       \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s (line %d)\n", what, __LINE__);                                                         \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    return *state ^= *state << 17;
}

/* In place of what a scheduler does rarely: another thread runs between two steps.  One thread of a round even stops
 * at some step until the others are through with everything: they must not need it. */
static inline void pause_sometimes(void)
{
    if (steps_to_stop >= 0 && steps_to_stop-- == 0) {
        stops++;
        while (atomic_load(&writing) > 1)
            sched_yield();
    }
    static _Thread_local uint64_t state = 0x2545f4914f6cdd1d;
    if (next_random(&state) % 32 == 0)
        sched_yield();
}

/* Key number n: the first two are the integers whose words are states. */
static mlopt_map_key key_of(uint64_t n, char *buffer)
{
    if (!of_bytes)
        return (mlopt_map_key){NULL, 0, (int64_t)(n ^ KEY_FLIP)};
    const size_t bytes = n == 0 ? 0 : 8 + n % 29;
    memset(buffer, 'k', 40);
    memcpy(buffer, &n, sizeof(n));
    return (mlopt_map_key){buffer, bytes, 0};
}

static uint64_t number_of_key(mlopt_map_key key)
{
    uint64_t n = 0;
    if (!of_bytes)
        return (uint64_t)key.number ^ KEY_FLIP;
    if (key.bytes)
        memcpy(&n, key.data, sizeof(n));
    return n;
}

/* Values carry their key: 16 bits of it, and an eighth of them looks like a state. */
static int64_t value_of(uint64_t n, uint64_t random)
{
    const uint64_t window = random % 8 == 0 ? 0 : VALUE_WINDOW;
    return (int64_t)((window | (n & 0xffff) << 20 | random >> 44) ^ VALUE_FLIP);
}

static void check_value(uint64_t n, int64_t value)
{
    const uint64_t word = (uint64_t)value ^ VALUE_FLIP;
    REQUIRE(word >> 43 == 0 && ((word >> 20) & 0xffff) == (n & 0xffff), "a value is not of its key");
}

static int get(mlopt_map_key key, int64_t *value)
{
    const int there =
        of_bytes ? mlopt_map_find_bytes(map, key.data, key.bytes, value) : mlopt_map_find(map, key.number, value);
    REQUIRE(there >= 0, "no memory");
    return there;
}

/* What a writer knows of a key of its own. */
typedef struct owned {
    int64_t value;
    int present;
    uint64_t generation;
} owned;

static uint64_t own_number(const worker *one, const owned *keys, uint64_t i)
{
    return COUNTERS + SHARED + one->self + WRITERS * (i + OWNED * keys[i].generation);
}

static void own_step(worker *one, uint64_t *state, owned *keys)
{
    char buffer[64];
    const uint64_t random = next_random(state), i = random % OWNED, n = own_number(one, keys, i);
    owned *own = &keys[i];
    const mlopt_map_key key = key_of(n, buffer);
    int64_t value = 0;
    const int64_t fresh = value_of(n, next_random(state));
    switch ((random >> 32) % 6) {
    case 0:
        REQUIRE(mlopt_map_remove(map, key, &value) == own->present, "removed what was not there");
        REQUIRE(!own->present || value == own->value, "removed another value");
        if (own->present && own->generation + 1 < GENERATIONS)
            own->generation++;
        own->present = 0;
        break;
    case 1:
        REQUIRE(mlopt_map_insert(map, key, fresh, &value) == !own->present, "insert disagrees");
        REQUIRE(!own->present || value == own->value, "insert found another value");
        own->value = own->present ? own->value : fresh;
        own->present = 1;
        break;
    case 2:
        REQUIRE(mlopt_map_update_if(map, key, own->value, fresh) == own->present, "update_if disagrees");
        own->value = own->present ? fresh : own->value;
        break;
    case 3:
        REQUIRE(mlopt_map_put(map, key, fresh, &value) == !own->present, "put disagrees");
        REQUIRE(!own->present || value == own->value, "put replaced another value");
        own->value = fresh;
        own->present = 1;
        break;
    default:
        REQUIRE(get(key, &value) == own->present, "a key was lost, or came back");
        REQUIRE(!own->present || value == own->value, "a change was lost");
    }
}

/* All own keys go and come back, often within one migration: the successor must have room for what seemed gone. */
static void sweep(worker *one, uint64_t *state, owned *keys)
{
    char buffer[64];
    for (int back = 0; back < 2; back++)
        for (uint64_t i = 0; i < OWNED; i++) {
            const uint64_t n = own_number(one, keys, i);
            const mlopt_map_key key = key_of(n, buffer);
            if (back) {
                keys[i].value = value_of(n, next_random(state));
                REQUIRE(mlopt_map_put(map, key, keys[i].value, NULL) == 1, "put disagrees");
                keys[i].present = 1;
            } else {
                REQUIRE(mlopt_map_remove(map, key, NULL) == keys[i].present, "a key was lost, or came back");
            }
        }
}

static void shared_step(worker *one, uint64_t *state)
{
    char buffer[64];
    const uint64_t random = next_random(state), counter = random % COUNTERS, n = COUNTERS + random % SHARED;
    int64_t value;
    if (random >> 63) {
        const int64_t delta = (int64_t)(random >> 8 & 0xff);
        REQUIRE(mlopt_map_add(map, key_of(counter, buffer), delta, NULL) >= 0, "no memory");
        one->added[counter] += delta;
        return;
    }
    const mlopt_map_key key = key_of(n, buffer);
    switch ((random >> 32) % 4) {
    case 0:
        if (mlopt_map_remove(map, key, &value) == 1)
            check_value(n, value);
        break;
    case 1:
        if (get(key, &value) && mlopt_map_update_if(map, key, value, value_of(n, next_random(state))) >= 0)
            check_value(n, value);
        break;
    default:
        if (mlopt_map_put(map, key, value_of(n, next_random(state)), &value) == 0)
            check_value(n, value);
    }
}

/* A barrier: macOS has none. */
static void wait_for_all(void)
{
    atomic_fetch_add(&ready, 1);
    while (atomic_load(&ready) < WRITERS + READERS)
        sched_yield();
}

static void *write_keys(void *argument)
{
    worker *one = argument;
    uint64_t state = 88172645463325252ull * (one->self + 1) + total_operations;
    owned keys[OWNED] = {0};
    steps_to_stop = one->self == 0 ? (long)(next_random(&state) % (4 * ROUND)) : -1;
    wait_for_all();
    for (int i = 0; i < ROUND; i++) {
        if (next_random(&state) % 1024 == 0)
            sweep(one, &state, keys);
        else if (next_random(&state) % 3)
            own_step(one, &state, keys);
        else
            shared_step(one, &state);
        one->operations++;
    }
    steps_to_stop = -1;
    atomic_fetch_sub(&writing, 1);
    for (uint64_t i = 0; i < OWNED; i++) {
        char buffer[64];
        int64_t value;
        const mlopt_map_key key = key_of(own_number(one, keys, i), buffer);
        const int there = get(key, &value);
        REQUIRE(there == keys[i].present && (!there || value == keys[i].value), "a key is wrong in the end");
        REQUIRE(mlopt_map_remove(map, key, NULL) == there, "a key is wrong in the end");
    }
    return NULL;
}

/* Counters never go down, and a walk shows no key twice. */
static void *read_keys(void *argument)
{
    (void)argument;
    int64_t last[COUNTERS] = {0}, value;
    char buffer[64];
    wait_for_all();
    while (atomic_load(&writing)) {
        for (uint64_t n = 0; n < COUNTERS + SHARED; n++) {
            const int there = get(key_of(n, buffer), &value);
            if (n >= COUNTERS && there)
                check_value(n, value);
            if (n < COUNTERS) {
                REQUIRE(there ? value >= last[n] : last[n] == 0, "a counter went back");
                last[n] = there ? value : 0;
            }
        }
        static _Thread_local char seen[KEYS];
        memset(seen, 0, sizeof(seen));
        mlopt_map_walk walk;
        mlopt_map_key key;
        uint64_t keys = 0;
        REQUIRE(mlopt_map_walk_begin(map, &walk) == 0, "no memory");
        while (mlopt_map_walk_next(&walk, &key, &value)) {
            const uint64_t n = number_of_key(key);
            REQUIRE(n < sizeof(seen) && !seen[n]++, "a walk shows a key twice, or a foreign one");
            if (n >= COUNTERS)
                check_value(n, value);
            keys++;
        }
        for (int n = 0; n < COUNTERS; n++)
            REQUIRE(seen[n] || last[n] == 0, "a walk leaves out a key that is always there");
        REQUIRE(keys <= walk.bound, "a walk shows more keys than it said");
        mlopt_map_walk_end(&walk);
        sched_yield();
    }
    return NULL;
}

static void run_round(uint64_t seed)
{
    worker workers[WRITERS + READERS] = {0};
    const uint64_t before = atomic_load(&mlopt_reclaim_epoch);
    map = mlopt_map_create(of_bytes ? MLOPT_MAP_BYTES : MLOPT_MAP_INT64, 1, seed * 0x9e3779b97f4a7c15u,
                           seed ^ 0x5851f42d);
    REQUIRE(map, "no memory");
    atomic_store(&writing, WRITERS);
    atomic_store(&ready, 0);
    for (unsigned i = 0; i < WRITERS + READERS; i++) {
        workers[i].self = i;
        REQUIRE(!pthread_create(&workers[i].thread, NULL, i < WRITERS ? write_keys : read_keys, &workers[i]),
                "no thread");
    }
    for (int i = 0; i < WRITERS + READERS; i++) {
        pthread_join(workers[i].thread, NULL);
        total_operations += workers[i].operations;
    }
    char buffer[64];
    for (uint64_t n = 0; n < COUNTERS + SHARED; n++) {
        int64_t value = 0, sum = 0;
        for (int i = 0; n < COUNTERS && i < WRITERS; i++)
            sum += workers[i].added[n];
        const int there = mlopt_map_remove(map, key_of(n, buffer), &value);
        REQUIRE(n >= COUNTERS || value == sum, "additions were lost");
        REQUIRE(there >= 0, "no memory");
    }
    REQUIRE(mlopt_map_count(map) == 0, "the count is not that of the keys");
    REQUIRE(mlopt_map_collect(map) == 0, "memory is held back by nobody");
    migrations += atomic_load(&mlopt_reclaim_epoch) - before;
    mlopt_map_destroy(map);
}

int main(void)
{
    struct timespec begin, now;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    mlopt_map_use_memory(mlopt_slab_acquire, mlopt_slab_acquire_zeroed, mlopt_slab_release);
    size_t rounds = 0;
    do {
        of_bytes = rounds % 2;
        run_round(++rounds);
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while ((double)(now.tv_sec - begin.tv_sec) + 1e-9 * (double)(now.tv_nsec - begin.tv_nsec) < SECONDS);
    mlopt_slab_statistics statistics;
    mlopt_slab_stats(&statistics);
    printf("%zu rounds, %zu operations, %zu migrations, %zu threads stopped on the way\n", rounds, total_operations,
           migrations, stops);
    REQUIRE(rounds < 2 || migrations > rounds, "nothing was migrated");
    REQUIRE(statistics.blocks_in_use == 0, "blocks were lost");
    return 0;
}
