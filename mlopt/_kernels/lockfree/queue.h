/* Both kinds of ring behind one set of functions, for the public queue: ring.h, whose producer waits, and
 * ring_overwrite.h, whose producer drops.  What each does is said there. */
#ifndef MLOPT_LOCKFREE_QUEUE_H
#define MLOPT_LOCKFREE_QUEUE_H

#include "lockfree/ring.h"
#include "lockfree/ring_overwrite.h"

static inline int mlopt_queue_overwrites(const mlopt_ring *ring) { return ring->entries != NULL; }

static inline int mlopt_queue_claim_producer(mlopt_ring *ring)
{
    return mlopt_queue_overwrites(ring) ? mlopt_overwrite_claim_producer(ring) : mlopt_ring_claim_producer(ring);
}

static inline int mlopt_queue_claim_consumer(mlopt_ring *ring)
{
    return mlopt_queue_overwrites(ring) ? mlopt_overwrite_claim_consumer(ring) : mlopt_ring_claim_consumer(ring);
}

static inline void *mlopt_queue_try_reserve(mlopt_ring *ring)
{
    return mlopt_queue_overwrites(ring) ? mlopt_overwrite_reserve(ring) : mlopt_ring_try_reserve(ring);
}

/* One at a time where it overwrites. */
static inline uint64_t mlopt_queue_try_reserve_many(mlopt_ring *ring, uint64_t count, void **first)
{
    if (!mlopt_queue_overwrites(ring))
        return mlopt_ring_try_reserve_many(ring, count, first);
    *first = mlopt_overwrite_reserve(ring);
    return 1;
}

static inline void mlopt_queue_publish(mlopt_ring *ring, uint64_t count)
{
    if (mlopt_queue_overwrites(ring))
        mlopt_overwrite_publish(ring);
    else
        mlopt_ring_publish(ring, count);
}

static inline void *mlopt_queue_try_acquire(mlopt_ring *ring)
{
    return mlopt_queue_overwrites(ring) ? mlopt_overwrite_try_acquire(ring) : mlopt_ring_try_acquire(ring);
}

static inline uint64_t mlopt_queue_try_acquire_many(mlopt_ring *ring, uint64_t count, void **first)
{
    return mlopt_queue_overwrites(ring) ? mlopt_overwrite_try_acquire_many(ring, count, first)
                                        : mlopt_ring_try_acquire_many(ring, count, first);
}

static inline void mlopt_queue_release(mlopt_ring *ring, uint64_t count)
{
    if (mlopt_queue_overwrites(ring))
        mlopt_overwrite_release(ring, count);
    else
        mlopt_ring_release(ring, count);
}

static inline int mlopt_queue_await_space(mlopt_ring *ring, int64_t nanoseconds)
{
    return mlopt_ring_await_space(ring, nanoseconds); /* never called where it overwrites */
}

static inline int mlopt_queue_await_records(mlopt_ring *ring, int64_t nanoseconds)
{
    return mlopt_queue_overwrites(ring) ? mlopt_overwrite_await_records(ring, nanoseconds)
                                        : mlopt_ring_await_records(ring, nanoseconds);
}

static inline uint64_t mlopt_queue_dropped(mlopt_ring *ring)
{
    return mlopt_queue_overwrites(ring) ? mlopt_overwrite_dropped(ring) : 0;
}

static inline int mlopt_queue_damaged(const mlopt_ring *ring)
{
    return atomic_load_explicit(&ring->damaged, memory_order_relaxed);
}

#endif
