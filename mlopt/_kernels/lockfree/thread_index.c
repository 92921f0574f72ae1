#include "lockfree/thread_index.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

enum { WORD_BITS = 64, WORDS = MLOPT_THREAD_INDICES / WORD_BITS };

_Static_assert(MLOPT_THREAD_INDICES % WORD_BITS == 0, "the table is made of whole words");
_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "64-bit atomics are lock-free");

MLOPT_THREAD_LOCAL unsigned mlopt_thread_index_plus_one;

static _Atomic uint64_t taken[WORDS]; /* a bit per index */
static pthread_key_t key;
static _Atomic int ready; /* 1 once the key is there */

static void give_back(void *index_plus_one)
{
    const unsigned index = (unsigned)(uintptr_t)index_plus_one - 1;
    /* first: what other destructors of this thread record goes where all may write */
    mlopt_thread_index_plus_one = MLOPT_THREAD_SHARED + 1;
    atomic_fetch_and_explicit(&taken[index / WORD_BITS], ~((uint64_t)1 << index % WORD_BITS), memory_order_release);
}

static void keep_own_after_fork(void)
{
    const unsigned known = mlopt_thread_index_plus_one;
    for (unsigned word = 0; word < WORDS; word++) {
        const int own = known > 0 && known <= MLOPT_THREAD_INDICES && (known - 1) / WORD_BITS == word;
        atomic_store_explicit(&taken[word], own ? (uint64_t)1 << (known - 1) % WORD_BITS : 0, memory_order_relaxed);
    }
}

void mlopt_thread_index_initialise(void)
{
    if (atomic_load_explicit(&ready, memory_order_relaxed) || pthread_key_create(&key, give_back))
        return;
    pthread_atfork(NULL, NULL, keep_own_after_fork);
    atomic_store_explicit(&ready, 1, memory_order_release); /* pairs with the load below: the key is written */
}

unsigned mlopt_thread_index_first(void)
{
    if (!atomic_load_explicit(&ready, memory_order_acquire))
        return MLOPT_THREAD_SHARED;
    for (unsigned word = 0; word < WORDS; word++) {
        uint64_t seen = atomic_load_explicit(&taken[word], memory_order_relaxed);
        while (~seen) { /* an iteration fails only where another thread took a bit or gave one back */
            const unsigned bit = (unsigned)__builtin_ctzll(~seen);
            seen = atomic_fetch_or_explicit(&taken[word], (uint64_t)1 << bit, memory_order_acquire);
            if (seen & (uint64_t)1 << bit)
                continue;
            const unsigned index = word * WORD_BITS + bit;
            if (pthread_setspecific(key, (void *)(uintptr_t)(index + 1))) { /* no memory: nobody would return it */
                atomic_fetch_and_explicit(&taken[word], ~((uint64_t)1 << bit), memory_order_release);
                return MLOPT_THREAD_SHARED;
            }
            mlopt_thread_index_plus_one = index + 1;
            return index;
        }
    }
    return MLOPT_THREAD_SHARED; /* not remembered: one may be free the next time */
}

unsigned mlopt_thread_index_count(void)
{
    unsigned count = 0;
    for (unsigned word = 0; word < WORDS; word++)
        count += (unsigned)__builtin_popcountll(atomic_load_explicit(&taken[word], memory_order_relaxed));
    return count;
}
