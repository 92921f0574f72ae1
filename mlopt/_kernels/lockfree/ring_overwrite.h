/* The ring (ring.h) whose producer never waits: where it is full, the oldest record that waits is discarded.
 *
 * What waits is a queue of slot numbers (`entries`), so that a record in the consumer's hands is not in the way of
 * those that come after it.  A slot goes round:
 *
 *     the producer's spare ---publish---> entries[t] ---take---> log[k] ---release---> log[k] ---reuse---> spare
 *                                            '--------------- drop: straight back --------------------------^
 *
 * Positions    published  records ever published; entries[published - 1] is the newest.
 *              head       records ever taken or dropped.  Moved by compare-and-swap, by n by the consumer, by one
 *                         by the producer; whoever wins has the slot.  The low two bits say who moved it: the
 *                         consumer's swap inverts bit 1, the producer's bit 0.
 *              taken      records ever taken; their slots lie in the log in this order.
 *              released   of these the consumer is done with; `reused` of these the producer has used again.
 *              Dropped are those that head counts and taken does not.
 *
 * Enough       There are 2 capacity + 1 slots; at most capacity wait, at most capacity are held by the consumer (it
 *              takes no more), so whenever the producer needs a spare and dropped none, the log has one to reuse.
 *
 * Ordering     published: release and acquire, as in ring.h; it covers the record and its entry.  head: an entry is
 *              read before the swap that makes it ours; that succeeds only if head did not move, and until it moves
 *              no one writes that entry.  The swap releases so that the producer, which reads head with acquire,
 *              sees all that was released before; released: release and acquire, as in ring.h.
 *
 * Death        A process may die between any two stores.  Before each swap it writes down what it is about to do,
 *              and which way the bit will point (`take_intent`, `drop_intent`); its successor sees by the bit whether
 *              that was done.  The spare is stored with the position it is meant for: if that is published, the spare
 *              is gone.
 *
 * tests/memory_model goes through all executions of a model of this, with a death at every operation. */
#ifndef MLOPT_LOCKFREE_RING_OVERWRITE_H
#define MLOPT_LOCKFREE_RING_OVERWRITE_H

#include "lockfree/ring.h"

#define MLOPT_HEAD_PRODUCER UINT64_C(1)
#define MLOPT_HEAD_CONSUMER UINT64_C(2)
#define MLOPT_HEAD_ONE UINT64_C(4)
#define MLOPT_INTENT_BITS 30 /* of a number of slots; above these, the low bits of a position; bit 0 is the flip */
#define MLOPT_INTENT_MASK ((UINT64_C(1) << MLOPT_INTENT_BITS) - 1)

static inline uint64_t mlopt_intent(uint64_t position, uint64_t number, int flip)
{
    return (position & MLOPT_INTENT_MASK) << (MLOPT_INTENT_BITS + 1) | number << 1 | (flip != 0);
}

static inline uint64_t mlopt_intent_number(uint64_t intent) { return intent >> 1 & MLOPT_INTENT_MASK; }

/* Whether an intent is about that position. */
static inline int mlopt_intent_at(uint64_t intent, uint64_t position)
{
    return intent >> (MLOPT_INTENT_BITS + 1) == (position & MLOPT_INTENT_MASK);
}

/* Records ever taken, by a consumer that may have died before it counted its last ones. */
static inline uint64_t mlopt_overwrite_taken(mlopt_ring_shared *shared, uint64_t head)
{
    /* in this order: an intent is not written before the last one is counted */
    const uint64_t intent = atomic_load_explicit(&shared->take_intent, memory_order_acquire);
    const uint64_t taken = atomic_load_explicit(&shared->taken, memory_order_acquire);
    const int done = (intent & 1) == ((head & MLOPT_HEAD_CONSUMER) != 0);
    return taken + (done && mlopt_intent_at(intent, taken) ? mlopt_intent_number(intent) : 0);
}

/* Records ever dropped: exact, whoever asks. */
static inline uint64_t mlopt_overwrite_dropped(mlopt_ring *ring)
{
    uint64_t head, taken, again = atomic_load_explicit(&ring->shared->head, memory_order_acquire);
    do {
        head = again;
        taken = mlopt_overwrite_taken(ring->shared, head);
        /* what was read, with acquire, belongs to this head if it is still there */
        again = atomic_load_explicit(&ring->shared->head, memory_order_acquire);
    } while (again != head);
    return head / MLOPT_HEAD_ONE - taken;
}

static inline void *mlopt_overwrite_damaged(mlopt_ring *ring)
{
    atomic_store_explicit(&ring->damaged, 1, memory_order_relaxed);
    return NULL;
}

/* ---------------------------------------------------------------------------------------------
 * Producer */

/* Stores the spare for the next position.  Slots of the log are counted as reused after that: if this is where it ends,
 * the successor finds the spare at the log's end and counts it. */
static inline void mlopt_overwrite_set_spare(mlopt_ring *ring, uint64_t slot)
{
    ring->producer.slot = slot;
    atomic_store_explicit(&ring->shared->spare, mlopt_intent(ring->producer.position, slot, 0), memory_order_release);
}

/* The next slot to write: the one just dropped, or the log's oldest.  Whether there is one, as there must be. */
static inline int mlopt_overwrite_next_spare(mlopt_ring *ring)
{
    uint64_t slot;
    if (ring->producer.dropped_slot >= 0) {
        slot = (uint64_t)ring->producer.dropped_slot;
        ring->producer.dropped_slot = -1;
        if (slot < ring->slots) {
            mlopt_overwrite_set_spare(ring, slot);
            return 1;
        }
    } else {
        const uint64_t released = atomic_load_explicit(&ring->shared->released, memory_order_acquire) + ring->slots - 1;
        slot = atomic_load_explicit(&ring->log[ring->producer.reused % ring->slots], memory_order_relaxed);
        if (released != ring->producer.reused && released - ring->producer.reused <= ring->slots &&
            slot < ring->slots) {
            mlopt_overwrite_set_spare(ring, slot);
            ring->producer.reused++;
            atomic_store_explicit(&ring->shared->reused, ring->producer.reused, memory_order_release);
            return 1;
        }
    }
    mlopt_overwrite_damaged(ring);
    return 0;
}

static inline int mlopt_overwrite_claim_producer(mlopt_ring *ring)
{
    if (!mlopt_ring_take_role(&ring->shared->producer, ring->self))
        return MLOPT_RING_NOT_YET;
    const uint64_t head = atomic_load_explicit(&ring->shared->head, memory_order_acquire);
    const uint64_t spare = atomic_load_explicit(&ring->shared->spare, memory_order_acquire);
    const uint64_t drop = atomic_load_explicit(&ring->shared->drop_intent, memory_order_acquire);
    const uint64_t published = atomic_load_explicit(&ring->shared->published, memory_order_acquire);
    const uint64_t released = atomic_load_explicit(&ring->shared->released, memory_order_acquire) + ring->slots - 1;
    const int has_spare = mlopt_intent_at(spare, published);
    const int dropped = (drop & 1) == ((head & MLOPT_HEAD_PRODUCER) != 0);
    ring->producer.position = published;
    ring->producer.slot = mlopt_intent_number(spare);
    ring->producer.reused = atomic_load_explicit(&ring->shared->reused, memory_order_acquire);
    ring->producer.reserved = 0;
    ring->producer.dropped_slot = -1;
    /* a slot that was dropped for the record that is, or was just, about to be published, and is not the spare yet; the
     * first intent of all is 0, and nothing was dropped while the head's bit is 0 */
    if (dropped && drop != 0 && mlopt_intent_at(drop, has_spare ? published : published - 1))
        ring->producer.dropped_slot = (int64_t)mlopt_intent_number(drop);
    if (has_spare && released != ring->producer.reused &&
        atomic_load_explicit(&ring->log[ring->producer.reused % ring->slots], memory_order_relaxed) ==
            ring->producer.slot) {
        ring->producer.reused++;
        atomic_store_explicit(&ring->shared->reused, ring->producer.reused, memory_order_release);
    }
    if (!has_spare && !mlopt_overwrite_next_spare(ring))
        return MLOPT_RING_DAMAGED;
    if (ring->producer.slot >= ring->slots)
        return MLOPT_RING_DAMAGED;
    ring->producer.claimed = 1;
    return MLOPT_RING_READY;
}

/* The slot to write next; there is always one. */
static inline void *mlopt_overwrite_reserve(mlopt_ring *ring)
{
    ring->producer.reserved = 1;
    return mlopt_ring_slot(ring, ring->producer.slot);
}

/* Drops the oldest record if the queue is full.  Whether all is as it can be. */
static inline int mlopt_overwrite_make_room(mlopt_ring *ring)
{
    uint64_t head = atomic_load_explicit(&ring->shared->head, memory_order_acquire);
    while (ring->producer.position - head / MLOPT_HEAD_ONE >= ring->capacity) {
        if (ring->producer.position - head / MLOPT_HEAD_ONE > ring->capacity || ring->producer.dropped_slot >= 0)
            return 0;
        const uint64_t slot =
            atomic_load_explicit(&ring->entries[head / MLOPT_HEAD_ONE % ring->capacity], memory_order_relaxed);
        const uint64_t next = (head + MLOPT_HEAD_ONE) ^ MLOPT_HEAD_PRODUCER;
        atomic_store_explicit(&ring->shared->drop_intent,
                              mlopt_intent(ring->producer.position, slot & MLOPT_INTENT_MASK, next & 1),
                              memory_order_release);
        /* a failed swap acquires: the consumer that took the record released others before */
        if (atomic_compare_exchange_strong_explicit(&ring->shared->head, &head, next, memory_order_acq_rel,
                                                    memory_order_acquire)) {
            ring->producer.dropped_slot = (int64_t)slot;
            break;
        }
    }
    return 1;
}

static inline void mlopt_overwrite_publish(mlopt_ring *ring)
{
    if (!mlopt_overwrite_make_room(ring)) {
        mlopt_overwrite_damaged(ring);
        return;
    }
    atomic_store_explicit(&ring->entries[ring->producer.position % ring->capacity], (uint32_t)ring->producer.slot,
                          memory_order_relaxed);
    ring->producer.position++;
    ring->producer.reserved = 0;
    atomic_store_explicit(&ring->shared->published, ring->producer.position, memory_order_release);
    mlopt_overwrite_next_spare(ring);
    mlopt_bell_ring(&ring->shared->consumer_sleeps, ring->registered);
}

/* ---------------------------------------------------------------------------------------------
 * Consumer.  Its positions count records taken; those below `taken` are in the log. */

static inline int mlopt_overwrite_claim_consumer(mlopt_ring *ring)
{
    if (!mlopt_ring_take_role(&ring->shared->consumer, ring->self))
        return MLOPT_RING_NOT_YET;
    uint64_t head, again = atomic_load_explicit(&ring->shared->head, memory_order_acquire);
    do { /* the producer may move it meanwhile, but not the bit */
        head = again;
        ring->consumer.taken = mlopt_overwrite_taken(ring->shared, head);
        again = atomic_load_explicit(&ring->shared->head, memory_order_acquire);
    } while (again != head);
    atomic_store_explicit(&ring->shared->taken, ring->consumer.taken, memory_order_release);
    ring->consumer.released = ring->consumer.position =
        atomic_load_explicit(&ring->shared->released, memory_order_acquire);
    if (ring->consumer.taken - ring->consumer.released > ring->capacity)
        return MLOPT_RING_DAMAGED;
    ring->consumer.claimed = 1;
    return MLOPT_RING_READY;
}

/* Takes up to `count` records whose slots lie one after the other out of the queue and into the log; how many. */
static inline uint64_t mlopt_overwrite_take(mlopt_ring *ring, uint64_t count)
{
    const uint64_t room = ring->capacity - (ring->consumer.taken - ring->consumer.released);
    uint64_t head = atomic_load_explicit(&ring->shared->head, memory_order_acquire);
    count = count < room ? count : room;
    while (count > 0) {
        const uint64_t position = head / MLOPT_HEAD_ONE;
        const uint64_t waiting = atomic_load_explicit(&ring->shared->published, memory_order_acquire) - position;
        if (waiting == 0)
            return 0;
        uint64_t many = 0, first = 0;
        for (; many < count && many < waiting && many < ring->capacity; many++) {
            const uint64_t slot =
                atomic_load_explicit(&ring->entries[(position + many) % ring->capacity], memory_order_relaxed);
            if (many == 0)
                first = slot;
            if (slot != first + many || slot >= ring->slots)
                break;
            atomic_store_explicit(&ring->log[(ring->consumer.taken + ring->slots - 1 + many) % ring->slots],
                                  (uint32_t)slot, memory_order_relaxed);
        }
        const uint64_t next = (head + many * MLOPT_HEAD_ONE) ^ MLOPT_HEAD_CONSUMER;
        atomic_store_explicit(&ring->shared->take_intent,
                              mlopt_intent(ring->consumer.taken, many, (next & MLOPT_HEAD_CONSUMER) != 0),
                              memory_order_release);
        const uint64_t seen = head;
        if (many == 0 || waiting > ring->capacity) { /* nonsense, unless the producer went on meanwhile */
            head = atomic_load_explicit(&ring->shared->head, memory_order_acquire);
            if (head == seen) {
                mlopt_overwrite_damaged(ring);
                return 0;
            }
        } else if (atomic_compare_exchange_strong_explicit(&ring->shared->head, &head, next, memory_order_acq_rel,
                                                           memory_order_acquire)) {
            ring->consumer.taken += many;
            atomic_store_explicit(&ring->shared->taken, ring->consumer.taken, memory_order_release);
            return many;
        }
    }
    return 0;
}

/* Up to `count` records that lie one after the other: those that a dead consumer had taken, else new ones. */
static inline uint64_t mlopt_overwrite_try_acquire_many(mlopt_ring *ring, uint64_t count, void **first)
{
    uint64_t many = 0, slot = 0;
    *first = NULL;
    if (atomic_load_explicit(&ring->damaged, memory_order_relaxed))
        return 0;
    if (ring->consumer.position == ring->consumer.taken && mlopt_overwrite_take(ring, count) == 0)
        return 0;
    for (; many < count && ring->consumer.position + many < ring->consumer.taken; many++) {
        const uint64_t next = atomic_load_explicit(
            &ring->log[(ring->consumer.position + ring->slots - 1 + many) % ring->slots], memory_order_relaxed);
        if (many == 0)
            slot = next;
        if (next != slot + many)
            break;
    }
    if (slot + many > ring->slots) {
        mlopt_overwrite_damaged(ring);
        return 0;
    }
    *first = mlopt_ring_slot(ring, slot);
    ring->consumer.position += many;
    return many;
}

static inline void *mlopt_overwrite_try_acquire(mlopt_ring *ring)
{
    void *record;
    mlopt_overwrite_try_acquire_many(ring, 1, &record);
    return record;
}

static inline void mlopt_overwrite_release(mlopt_ring *ring, uint64_t count)
{
    ring->consumer.released += count;
    atomic_store_explicit(&ring->shared->released, ring->consumer.released, memory_order_release);
}

/* ---------------------------------------------------------------------------------------------
 * Waiting, for the consumer alone */

static inline int mlopt_overwrite_state(mlopt_ring *ring)
{
    const uint32_t closed = mlopt_ring_closed(ring);
    const uint64_t head = atomic_load_explicit(&ring->shared->head, memory_order_acquire);
    const uint64_t published = atomic_load_explicit(&ring->shared->published, memory_order_acquire);
    if (atomic_load_explicit(&ring->damaged, memory_order_relaxed))
        return MLOPT_RING_DAMAGED;
    if (closed & MLOPT_RING_NO_READER)
        return MLOPT_RING_CLOSED;
    if (ring->consumer.position != ring->consumer.taken)
        return MLOPT_RING_READY;
    if (published != head / MLOPT_HEAD_ONE) /* all held: nothing more can be taken until something is released */
        return ring->consumer.taken - ring->consumer.released < ring->capacity ? MLOPT_RING_READY : MLOPT_RING_NOT_YET;
    return closed ? MLOPT_RING_CLOSED : MLOPT_RING_NOT_YET;
}

static inline int mlopt_overwrite_await_records(mlopt_ring *ring, int64_t nanoseconds)
{
    return mlopt_ring_await(ring, mlopt_overwrite_state, &ring->shared->consumer_sleeps, &ring->shared->producer,
                            nanoseconds);
}

#endif
