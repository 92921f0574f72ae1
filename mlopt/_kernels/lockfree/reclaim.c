#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "reclaim.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { RECORDS_PER_CHUNK = 64, CHUNK_COUNT = MLOPT_RECLAIM_MAX_THREADS / RECORDS_PER_CHUNK };

typedef struct chunk {
    mlopt_reclaim_record records[RECORDS_PER_CHUNK];
} chunk;

_Atomic uint64_t mlopt_reclaim_epoch = 1; /* 0 means outside */

static chunk first; /* enough for most processes, and there without memory */
static chunk *_Atomic chunks[CHUNK_COUNT];
static pthread_key_t at_exit;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static _Thread_local mlopt_reclaim_record *mine;

static void number_records(chunk *one, uint32_t start)
{
    for (uint32_t i = 0; i < RECORDS_PER_CHUNK; i++)
        one->records[i].number = start + i;
}

/* The thread has ended, outside of any section: its cell is referred to by nobody. */
static void give_back(void *record)
{
    mine = NULL;
    atomic_store_explicit(&((mlopt_reclaim_record *)record)->taken, 0, memory_order_release);
}

static void after_fork(void)
{
    for (int c = 0; c < CHUNK_COUNT; c++) {
        chunk *one = atomic_load_explicit(&chunks[c], memory_order_acquire);
        if (one == NULL)
            return;
        for (int i = 0; i < RECORDS_PER_CHUNK; i++) {
            mlopt_reclaim_record *record = &one->records[i];
            if (record == mine)
                continue;
            if (atomic_load_explicit(&record->epoch, memory_order_relaxed) == 0) {
                record->depth = 0;
                atomic_store_explicit(&record->taken, 0, memory_order_relaxed);
            }
            atomic_store_explicit(&record->epoch, 0, memory_order_relaxed);
        }
    }
}

static void initialise(void)
{
    number_records(&first, 0);
    atomic_store_explicit(&chunks[0], &first, memory_order_release);
    if (pthread_key_create(&at_exit, give_back))
        abort();
    pthread_atfork(NULL, NULL, after_fork);
}

static chunk *chunk_at(int c)
{
    chunk *one = atomic_load_explicit(&chunks[c], memory_order_acquire), *none = NULL;
    if (one)
        return one;
    chunk *made = aligned_alloc(64, sizeof(chunk));
    if (made == NULL)
        return NULL;
    memset(made, 0, sizeof(chunk));
    number_records(made, (uint32_t)c * RECORDS_PER_CHUNK);
    /* sequentially consistent, for mlopt_reclaim_oldest */
    if (atomic_compare_exchange_strong_explicit(&chunks[c], &none, made, memory_order_seq_cst, memory_order_seq_cst))
        return made;
    free(made);
    return none;
}

static __attribute__((noinline)) mlopt_reclaim_record *take_record(void)
{
    pthread_once(&once, initialise);
    for (int c = 0; c < CHUNK_COUNT; c++) {
        chunk *one = chunk_at(c);
        if (one == NULL)
            return NULL;
        for (int i = 0; i < RECORDS_PER_CHUNK; i++) {
            mlopt_reclaim_record *record = &one->records[i];
            uint32_t nobody = 0;
            if (atomic_load_explicit(&record->taken, memory_order_relaxed) == 0 &&
                atomic_compare_exchange_strong_explicit(&record->taken, &nobody, 1, memory_order_acquire,
                                                        memory_order_relaxed)) {
                if (pthread_setspecific(at_exit, record)) {
                    atomic_store_explicit(&record->taken, 0, memory_order_release);
                    return NULL;
                }
                return mine = record;
            }
        }
    }
    return NULL;
}

mlopt_reclaim_record *mlopt_reclaim_mine(void) { return mine ? mine : take_record(); }

mlopt_reclaim_record *mlopt_reclaim_numbered(uint32_t number)
{
    chunk *one = atomic_load_explicit(&chunks[number / RECORDS_PER_CHUNK], memory_order_acquire);
    return &one->records[number % RECORDS_PER_CHUNK];
}

uint64_t mlopt_reclaim_oldest(void)
{
    uint64_t oldest = UINT64_MAX;
    for (int c = 0; c < CHUNK_COUNT; c++) {
        /* a chunk that comes later than this load holds only threads that enter later than it */
        chunk *one = atomic_load_explicit(&chunks[c], memory_order_seq_cst);
        if (one == NULL)
            break;
        for (int i = 0; i < RECORDS_PER_CHUNK; i++) {
            const uint64_t epoch = atomic_load_explicit(&one->records[i].epoch, memory_order_seq_cst);
            if (epoch && epoch < oldest)
                oldest = epoch;
        }
    }
    return oldest;
}
