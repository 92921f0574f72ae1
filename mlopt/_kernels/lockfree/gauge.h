/* A number that goes up and down: one 64-bit word, which holds a double.
 *
 * Setting and reading are one store and one load.  Adding repeats a compare-and-swap until no other thread
 * came between: lock-free, and of threads that add at once one always gets on.  All of them are relaxed: a
 * gauge stands for itself and publishes no other memory. */
#ifndef MLOPT_LOCKFREE_GAUGE_H
#define MLOPT_LOCKFREE_GAUGE_H

#include <stdatomic.h>

typedef struct mlopt_gauge {
    _Alignas(64) _Atomic double value;
} mlopt_gauge;

_Static_assert(sizeof(_Atomic double) == 8 && ATOMIC_LLONG_LOCK_FREE == 2, "a double is one atomic word");

static inline void mlopt_gauge_set(mlopt_gauge *gauge, double value)
{
    atomic_store_explicit(&gauge->value, value, memory_order_relaxed);
}

static inline double mlopt_gauge_get(const mlopt_gauge *gauge)
{
    return atomic_load_explicit(&gauge->value, memory_order_relaxed);
}

static inline void mlopt_gauge_add(mlopt_gauge *gauge, double amount)
{
    double seen = atomic_load_explicit(&gauge->value, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(&gauge->value, &seen, seen + amount, memory_order_relaxed,
                                                  memory_order_relaxed))
        ;
}

#endif
