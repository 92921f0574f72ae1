/* Sleeping until a 32-bit word changes: a futex on Linux, short sleeps elsewhere. */
#ifndef MLOPT_LOCKFREE_WAIT_H
#define MLOPT_LOCKFREE_WAIT_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <stdatomic.h>
#include <stdint.h>
#include <time.h>
#ifdef __linux__
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

/* Who may sleep on a word, or wake. */
typedef enum mlopt_wait_scope { MLOPT_WAIT_PROCESS, MLOPT_WAIT_SYSTEM } mlopt_wait_scope;

typedef enum mlopt_wait_result { MLOPT_WAIT_CHANGED, MLOPT_WAIT_TIMED_OUT, MLOPT_WAIT_INTERRUPTED } mlopt_wait_result;

/* Sleeps while the word is `expected`, at most so many nanoseconds (for ever where they are negative); may
 * return without cause.  The comparison and going to sleep are one step for a waker. */
static inline mlopt_wait_result mlopt_wait(_Atomic uint32_t *word, uint32_t expected, int64_t nanoseconds,
                                           mlopt_wait_scope scope)
{
#ifdef __linux__
    const int operation = scope == MLOPT_WAIT_PROCESS ? FUTEX_WAIT_PRIVATE : FUTEX_WAIT;
    const struct timespec time = {(time_t)(nanoseconds / 1000000000), (long)(nanoseconds % 1000000000)};
    if (syscall(SYS_futex, word, operation, expected, nanoseconds < 0 ? NULL : &time, NULL, 0) == 0)
        return MLOPT_WAIT_CHANGED;
    return errno == ETIMEDOUT ? MLOPT_WAIT_TIMED_OUT : errno == EINTR ? MLOPT_WAIT_INTERRUPTED : MLOPT_WAIT_CHANGED;
#else
    (void)scope;
    const struct timespec nap = {0, 50000};
    for (int64_t slept = 0; atomic_load_explicit(word, memory_order_seq_cst) == expected; slept += nap.tv_nsec) {
        if (nanoseconds >= 0 && slept >= nanoseconds)
            return MLOPT_WAIT_TIMED_OUT;
        if (nanosleep(&nap, NULL) != 0)
            return MLOPT_WAIT_INTERRUPTED;
    }
    return MLOPT_WAIT_CHANGED;
#endif
}

/* Wakes up to `count` who sleep on the word; it has been changed before. */
static inline void mlopt_wake(_Atomic uint32_t *word, int count, mlopt_wait_scope scope)
{
#ifdef __linux__
    syscall(SYS_futex, word, scope == MLOPT_WAIT_PROCESS ? FUTEX_WAKE_PRIVATE : FUTEX_WAKE, count, NULL, NULL, 0);
#else
    (void)word, (void)count, (void)scope;
#endif
}

#endif
