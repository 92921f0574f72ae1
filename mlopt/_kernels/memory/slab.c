#include "slab.h"

#include "pages.h"
#include "slab_caches.h"
#include "slab_stacks.h"

#include <pthread.h>
#include <string.h>

#ifdef __has_feature
#if __has_feature(address_sanitizer)
#define MLOPT_ADDRESS_SANITIZER
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(MLOPT_ADDRESS_SANITIZER)
#include <sanitizer/asan_interface.h>
#define POISON(block, bytes) __asan_poison_memory_region(block, bytes)
#define UNPOISON(block, bytes) __asan_unpoison_memory_region(block, bytes)
#else
#define POISON(block, bytes) ((void)(block), (void)(bytes))
#define UNPOISON(block, bytes) ((void)(block), (void)(bytes))
#endif

/* Touched only where the system is called, or by large blocks. */
static _Atomic size_t bytes_reserved, bytes_peak, large_bytes_cached;
static _Atomic uint64_t misses, returned;
/* Failures on purpose: nothing is ordered by them. */
static _Atomic uint32_t failure_period; /* 0: none */
static _Atomic uint64_t failure_candidates, failures;
/* Acquisitions of large blocks so far, and their number when each class was last asked for: nothing is ordered by them.
 */
static _Atomic uint32_t large_acquisitions, last_acquired[CLASS_COUNT];
/* A class that was not asked for during so many of them makes room for others. */
#define STALE_ACQUISITIONS 64

/* ---------------------------------------------------------------------------------------------- */
/* The system */

static void *system_allocate(size_t bytes)
{
    if (bytes >= MLOPT_SLAB_HUGE)
        return mlopt_map_huge(mlopt_page_bytes(), bytes, 0); /* a page for the header */
    header *start = aligned_alloc(MLOPT_SLAB_ALIGNMENT, sizeof(header) + bytes);
    return start ? start + 1 : NULL;
}

static void system_free(void *block, size_t bytes)
{
    UNPOISON(block, bytes);
    atomic_store_explicit(&header_of(block)->state, 0, memory_order_relaxed);
    if (bytes >= MLOPT_SLAB_HUGE)
        munmap((char *)block - mlopt_page_bytes(), bytes + mlopt_page_bytes());
    else
        free(header_of(block));
}

/* The number of a record without memory, 0 when there is no memory for records. */
static uint32_t new_record(void)
{
    uint32_t number = pop(&free_records);
    if (number)
        return number;
    number = atomic_load_explicit(&record_count, memory_order_relaxed);
    do {
        if (number >= (uint32_t)CHUNK_COUNT * RECORDS_PER_CHUNK)
            return 0;
        record *_Atomic *slot = &chunks[number / RECORDS_PER_CHUNK];
        if (atomic_load_explicit(slot, memory_order_acquire) == NULL) {
            record *chunk = aligned_alloc(64, RECORDS_PER_CHUNK * sizeof(record)), *none = NULL;
            if (chunk == NULL)
                return 0;
            memset(chunk, 0, RECORDS_PER_CHUNK * sizeof(record));
            for (int i = 0; i < RECORDS_PER_CHUNK; i++)
                atomic_init(&chunk[i].size_class, CLASS_COUNT);
            if (!atomic_compare_exchange_strong_explicit(slot, &none, chunk, memory_order_acq_rel,
                                                         memory_order_acquire))
                free(chunk);
        }
    } while (!atomic_compare_exchange_weak_explicit(&record_count, &number, number + 1, memory_order_acq_rel,
                                                    memory_order_relaxed));
    return number;
}

/* Gives the block of a record that is in no list back to the system, and the record to the next. */
static void detach(uint32_t number, record *one, size_t bytes)
{
    system_free(one->block, bytes);
    one->block = NULL;
    atomic_store_explicit(&one->size_class, CLASS_COUNT, memory_order_relaxed);
    atomic_fetch_sub_explicit(&bytes_reserved, bytes, memory_order_relaxed);
    atomic_fetch_add_explicit(&returned, 1, memory_order_relaxed);
    push(&free_records, number, one);
}

/* Whether this block is one to be refused on purpose. */
static int refused(void)
{
    const uint32_t period = atomic_load_explicit(&failure_period, memory_order_relaxed);
    if (LIKELY(period == 0))
        return 0;
    if ((atomic_fetch_add_explicit(&failure_candidates, 1, memory_order_relaxed) + 1) % period)
        return 0;
    atomic_fetch_add_explicit(&failures, 1, memory_order_relaxed);
    return 1;
}

/* A record with a fresh block of the class; 0 when there is no memory. */
static __attribute__((noinline)) uint32_t attach(unsigned size_class)
{
    if (refused())
        return 0;
    const size_t bytes = class_bytes(size_class);
    const uint32_t number = new_record();
    if (number == 0)
        return 0;
    record *one = record_of(number);
    void *block = system_allocate(bytes);
    if (block == NULL) { /* what other classes cache may be just what is missing */
        if (mlopt_slab_trim() > 0)
            block = system_allocate(bytes);
        if (block == NULL) {
            push(&free_records, number, one);
            return 0;
        }
    }
    header_of(block)->number = number;
    header_of(block)->size_class = size_class;
    one->block = block;
    atomic_store_explicit(&one->stacked, 0, memory_order_relaxed);
    atomic_store_explicit(&one->size_class, size_class, memory_order_relaxed);
    atomic_fetch_add_explicit(&misses, 1, memory_order_relaxed);
    const size_t reserved = atomic_fetch_add_explicit(&bytes_reserved, bytes, memory_order_relaxed) + bytes;
    size_t peak = atomic_load_explicit(&bytes_peak, memory_order_relaxed);
    while (peak < reserved && !atomic_compare_exchange_weak_explicit(&bytes_peak, &peak, reserved, memory_order_relaxed,
                                                                     memory_order_relaxed))
        ;
    return number;
}

/* ---------------------------------------------------------------------------------------------- */
/* What threads cache */

static pthread_once_t cache_key_once = PTHREAD_ONCE_INIT;
static pthread_key_t cache_key;
static int cache_key_made;

/* Gives a block that nobody uses to the stack of its class, or to the system where that is full. */
static inline void give_to_all(unsigned size_class, void *block)
{
    const uint32_t number = header_of(block)->number;
    record *one = record_of(number);
    if (UNLIKELY(depth_of(&free_blocks[size_class]) >= cached_blocks_limit(size_class))) {
        detach(number, one, class_bytes(size_class));
    } else {
        atomic_store_explicit(&one->stacked, 1, memory_order_relaxed);
        push(&free_blocks[size_class], number, one);
    }
}

static void empty_cache(thread_cache *cache)
{
    void *block;
    for (unsigned size_class = 0; size_class < THREAD_CLASSES; size_class++)
        while ((block = take(cache, size_class)) != NULL)
            give_to_all(size_class, block);
}

static void end_cache(void *cache)
{
    own_cache = NULL;
    thread_ended = 1; /* destructors that run later release to all */
    empty_cache(cache);
    disown_cache(cache);
}

static void make_cache_key(void) { cache_key_made = pthread_key_create(&cache_key, end_cache) == 0; }

/* Without a cache, with a full one, or after a trim. */
static __attribute__((noinline)) void release_slowly(unsigned size_class, void *block)
{
    thread_cache *cache = own_cache;
    if (cache == NULL && !thread_ended) {
        pthread_once(&cache_key_once, make_cache_key);
        if (cache_key_made && (cache = claim_cache()) != NULL) {
            if (pthread_setspecific(cache_key, cache) == 0) {
                own_cache = cache;
            } else {
                disown_cache(cache);
                cache = NULL;
            }
        }
    }
    if (cache) {
        if (atomic_load_explicit(&cache->room, memory_order_relaxed) == 0) { /* another thread trimmed the pool */
            atomic_store_explicit(&cache->room, THREAD_BLOCKS, memory_order_relaxed);
            empty_cache(cache);
        } else if (keep(cache, size_class, block)) {
            return;
        }
    }
    give_to_all(size_class, block);
}

/* ---------------------------------------------------------------------------------------------- */
/* The pool */

static inline void *hand_out(void *block, unsigned size_class, size_t bytes)
{
    atomic_store_explicit(&header_of(block)->state, IN_USE, memory_order_relaxed);
    POISON(block, class_bytes(size_class));
    UNPOISON(block, bytes);
    return block;
}

/* What the thread has none of. */
static __attribute__((noinline)) void *acquire_from_all(size_t bytes, int *fresh)
{
    if (UNLIKELY(bytes > (size_t)1 << 40))
        return NULL;
    const unsigned size_class = class_of(bytes);
    if (UNLIKELY(size_class >= LARGE_CLASS)) {
        const uint32_t now = atomic_fetch_add_explicit(&large_acquisitions, 1, memory_order_relaxed) + 1;
        atomic_store_explicit(&last_acquired[size_class], now, memory_order_relaxed);
    }
    uint32_t number = pop(&free_blocks[size_class]);
    *fresh = number == 0;
    if (UNLIKELY(number == 0)) {
        number = attach(size_class);
        if (number == 0)
            return NULL;
    } else if (UNLIKELY(size_class >= LARGE_CLASS)) {
        atomic_fetch_sub_explicit(&large_bytes_cached, class_bytes(size_class), memory_order_relaxed);
    }
    record *one = record_of(number);
    const uint64_t acquisitions = atomic_load_explicit(&one->acquisitions, memory_order_relaxed);
    atomic_store_explicit(&one->acquisitions, acquisitions + 1, memory_order_relaxed);
    atomic_store_explicit(&one->stacked, 0, memory_order_relaxed);
    return hand_out(one->block, size_class, bytes);
}

/* `fresh` is set where the block comes from the system. */
static inline void *acquire(size_t bytes, int *fresh)
{
    thread_cache *cache = own_cache;
    if (LIKELY(bytes <= THREAD_BYTES) && LIKELY(cache != NULL)) {
        const unsigned size_class = small_class_of(bytes);
        void *block = take(cache, size_class);
        if (LIKELY(block != NULL)) {
            const uint64_t hits = atomic_load_explicit(&cache->hits, memory_order_relaxed);
            atomic_store_explicit(&cache->hits, hits + 1, memory_order_relaxed);
            *fresh = 0;
            return hand_out(block, size_class, bytes);
        }
    }
    return acquire_from_all(bytes, fresh);
}

void *mlopt_slab_acquire(size_t bytes)
{
    int fresh;
    return acquire(bytes, &fresh);
}

void *mlopt_slab_malloc(void *context, size_t bytes)
{
    int fresh;
    (void)context;
    return acquire(bytes, &fresh);
}

void *mlopt_slab_acquire_zeroed(size_t bytes)
{
    int fresh;
    void *block = acquire(bytes, &fresh);
    if (block && !(fresh && mlopt_slab_class_bytes(bytes) >= MLOPT_SLAB_HUGE))
        memset(block, 0, bytes);
    return block;
}

/* Gives cached blocks of large classes that nobody has asked for lately back, until so many bytes more than the limit
 * are gone or there are none: a later phase of a program works with other sizes than an earlier one. */
static __attribute__((noinline)) size_t make_room(size_t wanted)
{
    const uint32_t now = atomic_load_explicit(&large_acquisitions, memory_order_relaxed);
    size_t gone = 0;
    for (unsigned size_class = CLASS_COUNT; size_class-- > LARGE_CLASS && gone < wanted;) {
        const size_t bytes = class_bytes(size_class);
        uint32_t number = 1;
        if (now - atomic_load_explicit(&last_acquired[size_class], memory_order_relaxed) < STALE_ACQUISITIONS)
            continue;
        while (gone < wanted && (number = pop(&free_blocks[size_class])) != 0) {
            atomic_fetch_sub_explicit(&large_bytes_cached, bytes, memory_order_relaxed);
            detach(number, record_of(number), bytes);
            gone += bytes;
        }
    }
    return gone;
}

static __attribute__((noinline)) void release_large(unsigned size_class, void *block)
{
    const size_t bytes = class_bytes(size_class);
    const uint32_t number = header_of(block)->number;
    record *one = record_of(number);
    const size_t cached = atomic_fetch_add_explicit(&large_bytes_cached, bytes, memory_order_relaxed) + bytes;
    if (cached > MLOPT_SLAB_CACHE_LIMIT &&
        (bytes > MLOPT_SLAB_CACHE_LIMIT ||
         make_room(cached - MLOPT_SLAB_CACHE_LIMIT) < cached - MLOPT_SLAB_CACHE_LIMIT)) {
        atomic_fetch_sub_explicit(&large_bytes_cached, bytes, memory_order_relaxed);
        detach(number, one, bytes);
        return;
    }
    atomic_store_explicit(&one->stacked, 1, memory_order_relaxed);
    push(&free_blocks[size_class], number, one);
}

static _Noreturn __attribute__((noinline)) void refuse_release(uint32_t state, void *block)
{
    die(state == FREE ? "released a block twice" : "released a pointer that is no block of the slab pool", block);
}

static inline void release(void *block)
{
    if (block == NULL)
        return;
    header *before = header_of(block);
#ifdef NDEBUG
    const uint32_t state = atomic_load_explicit(&before->state, memory_order_relaxed);
    if (UNLIKELY(state != IN_USE))
        refuse_release(state, block);
    atomic_store_explicit(&before->state, FREE, memory_order_relaxed);
#else
    uint32_t state = IN_USE;
    if (!atomic_compare_exchange_strong_explicit(&before->state, &state, FREE, memory_order_relaxed,
                                                 memory_order_relaxed))
        refuse_release(state, block);
#endif
    const unsigned size_class = before->size_class;
    POISON(block, class_bytes(size_class));
    if (LIKELY(size_class < THREAD_CLASSES)) {
        thread_cache *cache = own_cache;
        if (UNLIKELY(cache == NULL) || !keep(cache, size_class, block))
            release_slowly(size_class, block);
    } else if (size_class < LARGE_CLASS) {
        give_to_all(size_class, block);
    } else {
        release_large(size_class, block);
    }
}

void mlopt_slab_release(void *block) { release(block); }

void mlopt_slab_free(void *context, void *block, size_t bytes)
{
    (void)context, (void)bytes;
    release(block);
}

size_t mlopt_slab_usable(void *block)
{
    const size_t bytes = class_bytes(header_of(block)->size_class);
    UNPOISON(block, bytes);
    return bytes;
}

size_t mlopt_slab_class_bytes(size_t bytes) { return bytes > (size_t)1 << 40 ? 0 : class_bytes(class_of(bytes)); }

size_t mlopt_slab_trim(void)
{
    size_t given_back = 0;
    thread_cache *cache = atomic_load_explicit(&thread_caches, memory_order_acquire);
    for (; cache; cache = cache->next) /* nothing is ordered by it: a thread may see it late */
        if (cache != own_cache)
            atomic_store_explicit(&cache->room, 0, memory_order_relaxed);
    cache = own_cache;
    if (cache)
        for (unsigned size_class = 0; size_class < THREAD_CLASSES; size_class++)
            for (void *block = take(cache, size_class); block; block = take(cache, size_class)) {
                const uint32_t number = header_of(block)->number;
                detach(number, record_of(number), class_bytes(size_class));
                given_back += class_bytes(size_class);
            }
    for (unsigned size_class = 0; size_class < CLASS_COUNT; size_class++) {
        const size_t bytes = class_bytes(size_class);
        for (uint32_t number = pop_all(&free_blocks[size_class]); number;) {
            record *one = record_of(number);
            const uint32_t below = atomic_load_explicit(&one->below, memory_order_relaxed);
            if (size_class >= LARGE_CLASS)
                atomic_fetch_sub_explicit(&large_bytes_cached, bytes, memory_order_relaxed);
            detach(number, one, bytes);
            given_back += bytes;
            number = below;
        }
    }
    return given_back;
}

void mlopt_slab_stats(mlopt_slab_statistics *statistics)
{
    uint64_t acquisitions = 0;
    size_t blocks = 0, bytes = 0; /* of all that is not with the system */
    memset(statistics, 0, sizeof(*statistics));
    const uint32_t count = atomic_load_explicit(&record_count, memory_order_acquire);
    for (uint32_t number = 1; number < count; number++) {
        record *one = record_of(number);
        acquisitions += atomic_load_explicit(&one->acquisitions, memory_order_relaxed);
        const uint32_t size_class = atomic_load_explicit(&one->size_class, memory_order_relaxed);
        if (size_class == CLASS_COUNT)
            continue;
        blocks++;
        bytes += class_bytes(size_class);
        if (atomic_load_explicit(&one->stacked, memory_order_relaxed)) {
            statistics->blocks_cached++;
            statistics->bytes_cached += class_bytes(size_class);
        }
    }
    for (thread_cache *cache = atomic_load_explicit(&thread_caches, memory_order_acquire); cache; cache = cache->next) {
        acquisitions += atomic_load_explicit(&cache->hits, memory_order_relaxed);
        for (unsigned size_class = 0; size_class < THREAD_CLASSES; size_class++) {
            const uint32_t kept = atomic_load_explicit(&cache->counts[size_class], memory_order_relaxed);
            statistics->blocks_cached += kept;
            statistics->bytes_cached += kept * class_bytes(size_class);
        }
    }
    /* what moved meanwhile may have been seen in two places */
    statistics->blocks_in_use = blocks > statistics->blocks_cached ? blocks - statistics->blocks_cached : 0;
    statistics->bytes_in_use = bytes > statistics->bytes_cached ? bytes - statistics->bytes_cached : 0;
    statistics->misses = atomic_load_explicit(&misses, memory_order_relaxed);
    statistics->hits = acquisitions > statistics->misses ? acquisitions - statistics->misses : 0;
    statistics->returned = atomic_load_explicit(&returned, memory_order_relaxed);
    statistics->bytes_peak = atomic_load_explicit(&bytes_peak, memory_order_relaxed);
}

uint64_t mlopt_slab_fail_every(uint32_t period)
{
    atomic_store_explicit(&failure_period, period, memory_order_relaxed);
    atomic_store_explicit(&failure_candidates, 0, memory_order_relaxed);
    return atomic_exchange_explicit(&failures, 0, memory_order_relaxed);
}
