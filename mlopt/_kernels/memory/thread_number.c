#include "thread_number.h"

#include <pthread.h>
#include <stdatomic.h>

MLOPT_TLS uint32_t mlopt_thread_number_known;

static _Atomic uint64_t taken; /* a bit for each number that a living thread has to itself */
static _Atomic uint32_t sharing;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t key;
static int key_made;

/* The thread ends; its key held the number + 1.  Should it ask again (in another key's destructor), it gets
 * a number again, and is called here again. */
static void give_back(void *number_and_one)
{
    mlopt_thread_number_known = 0;
    atomic_fetch_and_explicit(&taken, ~((uint64_t)1 << ((uintptr_t)number_and_one - 1)), memory_order_relaxed);
}

static void make_key(void) { key_made = pthread_key_create(&key, give_back) == 0; }

uint32_t mlopt_thread_number_assign(void)
{
    pthread_once(&once, make_key);
    uint64_t bits = atomic_load_explicit(&taken, memory_order_relaxed);
    while (key_made && ~bits != 0) {
        const uint32_t number = (uint32_t)__builtin_ctzll(~bits);
        if (!atomic_compare_exchange_weak_explicit(&taken, &bits, bits | (uint64_t)1 << number, memory_order_relaxed,
                                                   memory_order_relaxed))
            continue;
        if (pthread_setspecific(key, (void *)(uintptr_t)(number + 1)) != 0) {
            atomic_fetch_and_explicit(&taken, ~((uint64_t)1 << number), memory_order_relaxed);
            break;
        }
        mlopt_thread_number_known = number + 1;
        return number;
    }
    const uint32_t shared = atomic_fetch_add_explicit(&sharing, 1, memory_order_relaxed) % MLOPT_THREAD_NUMBERS;
    mlopt_thread_number_known = shared + 1;
    return shared;
}
