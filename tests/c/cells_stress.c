// sources: memory/slab.c lockfree/thread_index.c
/* Threads that come, count into a counter and two histograms, and go, while one reads and one clears.  Totals must
 * be exact, indices must all come back, no reader may see a count go down, nor a histogram that is half cleared.
 *
 * Every thread also writes a plain word that belongs to its index: if an index passed on without its ordering,
 * ThreadSanitizer would report the word, and a chunk or shard published without it, by its zeros. */
#include "lockfree/histogram.h"
#include "memory/slab.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { SPAWNERS = 6, CROWD = MLOPT_THREAD_INDICES + 20, ADDITIONS = 400, BITS = 3 };

static const double SECONDS = 2.5;
static _Atomic int stop, reader_stop;
static _Atomic uint64_t expected, shared_additions, threads_run;
static mlopt_cells *counter;
static mlopt_histogram *kept, *cleared;
static uint64_t plain[MLOPT_THREAD_INDICES];

/* Memory for the counter and the histogram that is kept; a third of the chunks and shards get none. */
static void *acquire_sometimes(size_t bytes)
{
    static _Atomic unsigned calls;
    const int made = counter != NULL && kept != NULL;
    return made && atomic_fetch_add(&calls, 1) % 3 == 0 ? NULL : mlopt_slab_acquire_zeroed(bytes);
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static void fail(const char *what)
{
    fprintf(stderr, "%s\n", what);
    abort();
}

static void count(unsigned seed)
{
    uint64_t mine = 0, shared = 0;
    for (unsigned i = 0; i < ADDITIONS; i++) {
        const unsigned index = mlopt_thread_index(), amount = (seed + i) % 3;
        if (index < MLOPT_THREAD_INDICES)
            plain[index] += amount;
        else
            shared += amount;
        mlopt_cells_add(counter, index, amount);
        mlopt_histogram_record(kept, index, (seed * 31 + i * 7) % 1000, amount);
        mlopt_histogram_record(cleared, index, 500 + i % 500, 1);
        mine += amount;
    }
    atomic_fetch_add_explicit(&expected, mine, memory_order_relaxed);
    atomic_fetch_add_explicit(&shared_additions, shared, memory_order_relaxed);
    atomic_fetch_add_explicit(&threads_run, 1, memory_order_relaxed);
}

typedef struct pair {
    _Atomic int started;
    _Atomic unsigned seed;
} pair;

static void *come_and_go(void *argument)
{
    pair *both = argument;
    atomic_fetch_add(&both->started, 1);
    for (int i = 0; i < 20000 && atomic_load(&both->started) < 2; i++)
        ; /* both ask for an index at once, if they can */
    count(atomic_fetch_add(&both->seed, SPAWNERS));
    return NULL;
}

/* Its children follow each other, and take the indices that other spawners' children left. */
static void *spawn(void *argument)
{
    pair both = {0, (unsigned)(uintptr_t)argument};
    while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
        pthread_t children[2];
        atomic_store(&both.started, 0);
        for (int i = 0; i < 2; i++)
            if (pthread_create(&children[i], NULL, come_and_go, &both))
                fail("no thread");
        for (int i = 0; i < 2; i++)
            pthread_join(children[i], NULL);
    }
    return NULL;
}

static _Atomic int crowd_there, crowd_done;

static void arrive_and_wait(_Atomic int *arrived)
{
    atomic_fetch_add(arrived, 1);
    while (atomic_load(arrived) < CROWD)
        nanosleep(&(struct timespec){0, 1000000}, NULL);
}

static void *be_one_of_the_crowd(void *seed)
{
    mlopt_thread_index();
    arrive_and_wait(&crowd_there); /* more threads at once than there are indices */
    /* those that share do it for a while, all at once */
    for (int i = mlopt_thread_index() < MLOPT_THREAD_INDICES ? 1 : 50; i > 0; i--)
        count((unsigned)(uintptr_t)seed);
    arrive_and_wait(&crowd_done);
    return NULL;
}

static void check_reading(const mlopt_histogram *histogram, int64_t *cells, mlopt_histogram_summary *summary)
{
    int64_t sum = 0;
    mlopt_histogram_read(histogram, cells, summary);
    for (size_t cell = 0; cell < mlopt_histogram_cell_count(BITS); cell++)
        sum += cells[cell];
    if (sum != summary->count || (sum > 0 && summary->smallest > summary->largest))
        fail("what was read of a histogram does not agree with itself");
}

static void *clear_often(void *unused)
{
    while (!atomic_load_explicit(&reader_stop, memory_order_relaxed)) {
        nanosleep(&(struct timespec){0, 50000}, NULL);
        mlopt_histogram_clear(cleared, mlopt_thread_index());
    }
    return unused;
}

static void *read_often(void *result)
{
    uint64_t last = 0, reads = 0;
    int64_t last_count = 0, cells[(64 - BITS) << BITS];
    mlopt_histogram_summary summary;
    while (!atomic_load_explicit(&reader_stop, memory_order_relaxed)) {
        const uint64_t total = mlopt_cells_sum(counter);
        if (total < last)
            fail("a counter went down");
        last = total;
        check_reading(kept, cells, &summary);
        if (summary.count < last_count)
            fail("a histogram's count went down");
        last_count = summary.count;
        check_reading(cleared, cells, &summary);
        if (summary.count && (summary.smallest < 480 || summary.largest > 1023))
            fail("a value that nobody recorded");
        /* in the shared shard, a value that comes while it is cleared may be in one and not in the other */
        if (!atomic_load(&crowd_there) && summary.total < 500.0 * (double)summary.count)
            fail("a histogram that was half cleared");
        reads++;
    }
    *(uint64_t *)result = reads;
    return NULL;
}

int main(void)
{
    pthread_t spawners[SPAWNERS], crowd[CROWD], reader, clearer;
    uint64_t reads = 0, plain_total = 0;
    int64_t cells[(64 - BITS) << BITS];
    mlopt_histogram_summary summary;
    mlopt_thread_index_initialise();
    counter = mlopt_cells_new(acquire_sometimes, mlopt_slab_release);
    kept = mlopt_histogram_new(BITS, acquire_sometimes, mlopt_slab_release);
    cleared = mlopt_histogram_new(BITS, mlopt_slab_acquire_zeroed, mlopt_slab_release);
    if (pthread_create(&reader, NULL, read_often, &reads) || pthread_create(&clearer, NULL, clear_often, NULL))
        return 1;

    for (uintptr_t i = 0; i < SPAWNERS; i++)
        if (pthread_create(&spawners[i], NULL, spawn, (void *)i))
            return 1;
    const double end = now() + SECONDS;
    while (now() < end)
        nanosleep(&(struct timespec){0, 20000000}, NULL);
    atomic_store(&stop, 1);
    for (int i = 0; i < SPAWNERS; i++)
        pthread_join(spawners[i], NULL);

    for (uintptr_t i = 0; i < CROWD; i++)
        if (pthread_create(&crowd[i], NULL, be_one_of_the_crowd, (void *)i))
            return 1;
    for (int i = 0; i < CROWD; i++)
        pthread_join(crowd[i], NULL);
    atomic_store(&reader_stop, 1);
    pthread_join(reader, NULL);
    pthread_join(clearer, NULL);

    for (int i = 0; i < MLOPT_THREAD_INDICES; i++)
        plain_total += plain[i];
    const uint64_t total = mlopt_cells_sum(counter), wanted = atomic_load(&expected);
    mlopt_histogram_read(kept, cells, &summary);
    printf("%llu threads, %llu counted, %llu of them in the shared cell, %llu reads\n",
           (unsigned long long)atomic_load(&threads_run), (unsigned long long)total,
           (unsigned long long)atomic_load(&shared_additions), (unsigned long long)reads);
    if (total != wanted || (uint64_t)summary.count != wanted ||
        plain_total + atomic_load(&shared_additions) != wanted) {
        fprintf(stderr, "%llu were added; the histogram has %lld\n", (unsigned long long)wanted,
                (long long)summary.count);
        return 1;
    }
    mlopt_histogram_summarise(kept, &summary);
    if ((uint64_t)summary.count != wanted || mlopt_thread_index_count() != 0)
        fail("the summary is wrong, or indices were not returned");
    if (atomic_load(&shared_additions) == 0 || reads < 16)
        fail("the shared cell or the reader had nothing to do");
    mlopt_histogram_clear(cleared, mlopt_thread_index());
    mlopt_histogram_read(cleared, cells, &summary);
    if (summary.count != 0)
        fail("cleared, and not empty");
    mlopt_histogram_record(cleared, mlopt_thread_index(), 7, 1);
    mlopt_histogram_read(cleared, cells, &summary);
    if (summary.count != 1 || summary.smallest != 7 || summary.largest != 7 || summary.total != 7)
        fail("one value after clearing is not what is read");

    mlopt_cells_delete(counter);
    mlopt_histogram_delete(kept);
    mlopt_histogram_delete(cleared);
    mlopt_slab_statistics statistics;
    mlopt_slab_stats(&statistics);
    if (statistics.blocks_in_use)
        fail("memory was not given back");
    return 0;
}
