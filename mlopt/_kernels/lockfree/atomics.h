/* Numbers in Python objects that several threads look at while none of them holds a lock.
 *
 * Cython's objects have no _Atomic members, so these work on plain ones, by the compilers' built-ins.  With the GIL
 * they cost nothing that is not lost in the call around them; without it they are what orders the rest.
 *
 * Flags    say that something was done: set with release behind it, read with acquire in front of its use.
 *          A flag that is taken is a lock that nobody waits for: the taker acquires what the one before it left
 *          when it set the flag back to 0.
 * Counts   change with release behind what they count, such as parameters that were written, and are read with
 *          acquire: who read a count sees what was counted, and perhaps more.
 * Owners   are set once, by the thread that they name.  Each thread only asks whether it is itself,
 *          which nobody else can change: relaxed.
 */
#ifndef MLOPT_LOCKFREE_ATOMICS_H
#define MLOPT_LOCKFREE_ATOMICS_H

#include <stddef.h>

static inline int mlopt_flag_get(const int *flag) { return __atomic_load_n(flag, __ATOMIC_ACQUIRE); }

static inline void mlopt_flag_set(int *flag, int value) { __atomic_store_n(flag, value, __ATOMIC_RELEASE); }

/* Sets the flag; whether it was 0 before. */
static inline int mlopt_flag_take(int *flag) { return __atomic_exchange_n(flag, 1, __ATOMIC_ACQUIRE) == 0; }

static inline size_t mlopt_count_get(const size_t *count) { return __atomic_load_n(count, __ATOMIC_ACQUIRE); }

/* Adds, modulo the size of the type; the count before. */
static inline size_t mlopt_count_add(size_t *count, size_t n) { return __atomic_fetch_add(count, n, __ATOMIC_ACQ_REL); }

static inline unsigned long mlopt_owner_get(const unsigned long *owner)
{
    return __atomic_load_n(owner, __ATOMIC_RELAXED);
}

/* Whether there was no owner before: now there is. */
static inline int mlopt_owner_take(unsigned long *owner, unsigned long thread)
{
    unsigned long none = 0;
    return __atomic_compare_exchange_n(owner, &none, thread, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

#endif
