/* The free blocks that each thread of the slab pool keeps to itself (slab.h). */
#ifndef MLOPT_SLAB_CACHES_H
#define MLOPT_SLAB_CACHES_H

#include "lockfree/thread_local.h"
#include "slab_stacks.h"

/* Never given back: another thread takes it over when its thread has ended. */
typedef struct thread_cache {
    _Atomic uint32_t counts[THREAD_CLASSES]; /* written by its thread alone, read by whoever counts */
    _Atomic uint64_t hits;                   /* so are the acquisitions it served */
    _Atomic uint32_t room;                   /* THREAD_BLOCKS, or 0 after a trim: then it has to empty itself */
    _Atomic uint32_t owned;
    struct thread_cache *next;
    void *blocks[THREAD_CLASSES][THREAD_BLOCKS];
} thread_cache;

static thread_cache *_Atomic thread_caches;        /* all there ever were */
static MLOPT_THREAD_LOCAL thread_cache *own_cache; /* NULL before the first release and after the thread's end */
static MLOPT_THREAD_LOCAL int thread_ended;

/* One of an ended thread, whose last writes the acquire makes visible, or a new one; NULL without memory. */
static thread_cache *claim_cache(void)
{
    thread_cache *cache = atomic_load_explicit(&thread_caches, memory_order_acquire);
    for (; cache; cache = cache->next) {
        uint32_t owned = 0;
        if (atomic_compare_exchange_strong_explicit(&cache->owned, &owned, 1, memory_order_acquire,
                                                    memory_order_relaxed)) {
            atomic_store_explicit(&cache->room, THREAD_BLOCKS, memory_order_relaxed);
            return cache;
        }
    }
    cache = calloc(1, sizeof *cache);
    if (cache == NULL)
        return NULL;
    atomic_init(&cache->owned, 1);
    atomic_init(&cache->room, THREAD_BLOCKS);
    cache->next = atomic_load_explicit(&thread_caches, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(&thread_caches, &cache->next, cache, memory_order_release,
                                                  memory_order_relaxed))
        ;
    return cache;
}

static void disown_cache(thread_cache *cache) { atomic_store_explicit(&cache->owned, 0, memory_order_release); }

/* The block that it got last, NULL where it has none. */
static inline void *take(thread_cache *cache, unsigned size_class)
{
    const uint32_t count = atomic_load_explicit(&cache->counts[size_class], memory_order_relaxed);
    if (UNLIKELY(count == 0))
        return NULL;
    atomic_store_explicit(&cache->counts[size_class], count - 1, memory_order_relaxed);
    return cache->blocks[size_class][count - 1];
}

/* Whether there was room for one more. */
static inline int keep(thread_cache *cache, unsigned size_class, void *block)
{
    const uint32_t count = atomic_load_explicit(&cache->counts[size_class], memory_order_relaxed);
    if (UNLIKELY(count >= atomic_load_explicit(&cache->room, memory_order_relaxed)))
        return 0;
    cache->blocks[size_class][count] = block;
    atomic_store_explicit(&cache->counts[size_class], count + 1, memory_order_relaxed);
    return 1;
}

#endif
