/* A ring of records from one producer to one consumer, in memory that threads or processes share.
 *
 *     released              read                published          claimed
 *        | held by the consumer | waits to be read  | written by the producer |  free
 *
 * Positions    count records since the ring was made and never go back, so 64 bits do for ever.  The record of
 *              position p lies in slot p mod capacity.  Only `published` and `released` are shared: a producer or
 *              consumer that takes over from one that died goes on where these stand, and what was acquired
 *              and not released is read again.
 *
 * Ordering     The producer stores `published` with release after it wrote the records; the consumer loads it with
 *              acquire before it reads them: it sees them whole.  The consumer stores `released` with release after its
 *              last read of a record; the producer loads it with acquire before it writes the slot again: no
 *              read is overtaken by the overwriting.  Nothing else needs an order on the way.
 *
 * Bells        See futex.h.  `published` and `released` are the changes that a sleeper waits for.  A
 *              consumer is woken by the first record.  A producer that found the ring full is woken once a quarter of
 *              it is free, or the consumer finds nothing to read: a record at a time, both would
 *              spend their time falling asleep.
 *
 * Lines        Each shared word that is written often has a cache line of its own.  Each side keeps a copy of the
 *              other's position and looks at the shared one only where the copy says full, or empty.
 *
 * Trust        The other side may be another program.  Sizes are checked once and kept in private memory
 *              (mlopt_ring); a position that cannot be is reported (MLOPT_RING_DAMAGED) and never used to address
 *              memory.
 *
 * Roles        `producer` and `consumer` name the object (process.h) that has the role.
 *
 * One thread at a time in each role.  No function but the ones named await blocks. */
#ifndef MLOPT_LOCKFREE_RING_H
#define MLOPT_LOCKFREE_RING_H

#include "lockfree/futex.h"
#include "lockfree/process.h"

#include <stdalign.h>
#include <stddef.h>

#define MLOPT_RING_MAGIC UINT64_C(0x676e6972746c6d01)
#define MLOPT_RING_VERSION 1
#define MLOPT_RING_LINE 64
#define MLOPT_RING_APART 128 /* bytes between words that two processors write: these fetch lines in pairs */
#define MLOPT_RING_LIMIT (UINT64_C(1) << 46)           /* bytes of a ring; keeps sums of sizes far from overflow */
#define MLOPT_RING_OVERWRITE_LIMIT (UINT64_C(1) << 28) /* records: numbers of slots are 30 bits */
#define MLOPT_RING_SPINS 32       /* the longest of the pauses before sleep; 63 in all, 1 to 2 us */
#define MLOPT_RING_SLICE 50000000 /* nanoseconds of sleep before looking whether the other side lives */

/* `closed` */
#define MLOPT_RING_NO_MORE 1   /* nothing will be published any more */
#define MLOPT_RING_NO_READER 2 /* nothing will be read any more */

enum { MLOPT_RING_READY, MLOPT_RING_NOT_YET, MLOPT_RING_CLOSED, MLOPT_RING_DIED, MLOPT_RING_DAMAGED };

typedef struct mlopt_ring_shared {
    /* What the ring is; never changes once magic is there. */
    _Atomic uint64_t magic; /* stored last, with release */
    uint32_t version, overwrites;
    uint64_t total_bytes, record_bytes, stride, capacity, description_bytes, records_offset;
    /* Read always, written seldom. */
    alignas(MLOPT_RING_LINE) _Atomic uint32_t consumer_sleeps;
    _Atomic uint32_t producer_sleeps, closed;
    _Atomic uint64_t creator, producer, consumer;
    alignas(MLOPT_RING_APART) _Atomic uint64_t published;
    alignas(MLOPT_RING_APART) _Atomic uint64_t released;
    /* Of rings that overwrite (ring_overwrite.h). */
    alignas(MLOPT_RING_APART) _Atomic uint64_t head;
    alignas(MLOPT_RING_APART) _Atomic uint64_t spare;
    _Atomic uint64_t drop_intent, reused;
    alignas(MLOPT_RING_APART) _Atomic uint64_t taken;
    _Atomic uint64_t take_intent;
    alignas(MLOPT_RING_APART) unsigned char description[]; /* what the records are, for whoever attaches */
} mlopt_ring_shared;

_Static_assert(offsetof(mlopt_ring_shared, consumer_sleeps) == 64, "the identity fills one line");
_Static_assert(offsetof(mlopt_ring_shared, published) == 128, "the bells share one line");
_Static_assert(offsetof(mlopt_ring_shared, released) == 256, "each position has a line");
_Static_assert(offsetof(mlopt_ring_shared, description) == 768, "and nothing beside it");

/* A ring as one process sees it.  The two sides' parts are touched by the threads in these roles alone. */
typedef struct mlopt_ring {
    mlopt_ring_shared *shared;
    unsigned char *records;
    uint64_t record_bytes, stride, capacity, slots;
    _Atomic uint32_t *entries, *log; /* of rings that overwrite, else NULL */
    uint64_t self;                   /* this object, as it stands in the roles */
    int registered;                  /* with membarrier */
    _Atomic int damaged;
    alignas(MLOPT_RING_APART) struct {
        uint64_t position, slot; /* where the next record is written */
        uint64_t seen;           /* a copy of `released`, perhaps old */
        uint64_t reserved;       /* records that may be published */
        uint64_t reused;         /* these two where it overwrites */
        int64_t dropped_slot;
        int claimed;
    } producer;
    alignas(MLOPT_RING_APART) struct {
        uint64_t position, slot; /* where the next record is read */
        uint64_t released;
        uint64_t seen;  /* a copy of `published`, perhaps old */
        uint64_t taken; /* where it overwrites */
        int claimed;
    } consumer;
} mlopt_ring;

/* ---------------------------------------------------------------------------------------------
 * Layout */

/* Small records stay within a cache line, larger ones take whole lines. */
static inline uint64_t mlopt_ring_stride(uint64_t record_bytes)
{
    if (record_bytes > MLOPT_RING_LINE / 2)
        return (record_bytes + MLOPT_RING_LINE - 1) & ~(uint64_t)(MLOPT_RING_LINE - 1);
    uint64_t stride = 1;
    while (stride < record_bytes)
        stride *= 2;
    return stride;
}

/* Where either of the structures above may begin in a block that has MLOPT_RING_APART bytes to spare. */
static inline void *mlopt_ring_aligned(void *block)
{
    return (void *)(((uintptr_t)block + MLOPT_RING_APART - 1) & ~(uintptr_t)(MLOPT_RING_APART - 1));
}

/* Where it overwrites, the queue, the consumer's hands and the producer's never want more slots than this. */
static inline uint64_t mlopt_ring_slots(uint64_t capacity, int overwrites)
{
    return overwrites ? 2 * capacity + 1 : capacity;
}

static inline uint64_t mlopt_ring_whole_lines(uint64_t bytes)
{
    return (bytes + MLOPT_RING_LINE - 1) / MLOPT_RING_LINE * MLOPT_RING_LINE;
}

/* Bytes of the ring and where its records begin; 0 where that is too much. */
static inline uint64_t mlopt_ring_bytes(uint64_t record_bytes, uint64_t capacity, uint64_t description_bytes,
                                        int overwrites, uint64_t *records_offset)
{
    if (record_bytes == 0 || capacity == 0 || record_bytes > MLOPT_RING_LIMIT || description_bytes > MLOPT_RING_LIMIT ||
        capacity > (overwrites ? MLOPT_RING_OVERWRITE_LIMIT : MLOPT_RING_LIMIT))
        return 0;
    const uint64_t slots = mlopt_ring_slots(capacity, overwrites);
    if (mlopt_ring_stride(record_bytes) > MLOPT_RING_LIMIT / slots)
        return 0;
    *records_offset = mlopt_ring_whole_lines(sizeof(mlopt_ring_shared) + description_bytes);
    if (overwrites)
        *records_offset += mlopt_ring_whole_lines(4 * capacity) + mlopt_ring_whole_lines(4 * slots);
    return *records_offset + mlopt_ring_stride(record_bytes) * slots;
}

/* The entries' place; the log follows. */
static inline _Atomic uint32_t *mlopt_ring_entries(mlopt_ring_shared *shared, uint64_t description_bytes)
{
    return (_Atomic uint32_t *)((unsigned char *)shared + mlopt_ring_whole_lines(sizeof *shared + description_bytes));
}

/* Makes a ring in zeroed memory of mlopt_ring_bytes bytes; others may attach from its last store on. */
static inline void mlopt_ring_create(mlopt_ring_shared *shared, uint64_t record_bytes, uint64_t capacity,
                                     const void *description, uint64_t description_bytes, int overwrites,
                                     uint64_t creator)
{
    shared->version = MLOPT_RING_VERSION;
    shared->overwrites = overwrites != 0;
    shared->record_bytes = record_bytes;
    shared->stride = mlopt_ring_stride(record_bytes);
    shared->capacity = capacity;
    shared->description_bytes = description_bytes;
    shared->total_bytes =
        mlopt_ring_bytes(record_bytes, capacity, description_bytes, overwrites, &shared->records_offset);
    if (description_bytes)
        memcpy(shared->description, description, description_bytes);
    if (overwrites) { /* slot 0 is the producer's first, all others are in the log as if read and released */
        const uint64_t slots = mlopt_ring_slots(capacity, 1);
        _Atomic uint32_t *log =
            mlopt_ring_entries(shared, description_bytes) + mlopt_ring_whole_lines(4 * capacity) / 4;
        for (uint64_t i = 0; i + 1 < slots; i++)
            atomic_store_explicit(&log[i], (uint32_t)i + 1, memory_order_relaxed);
    }
    atomic_store_explicit(&shared->creator, creator, memory_order_relaxed);
    atomic_store_explicit(&shared->magic, MLOPT_RING_MAGIC, memory_order_release);
}

/* Whether memory of so many bytes holds a ring that is what it says; then `ring` is filled in.  All that memory is
 * addressed by later is taken from here, not from the shared header again. */
static inline int mlopt_ring_attach(mlopt_ring *ring, mlopt_ring_shared *shared, uint64_t bytes, uint64_t self,
                                    uint64_t *description_bytes)
{
    uint64_t records_offset;
    memset(ring, 0, sizeof *ring);
    if (bytes < sizeof *shared || atomic_load_explicit(&shared->magic, memory_order_acquire) != MLOPT_RING_MAGIC ||
        shared->version != MLOPT_RING_VERSION)
        return 0;
    ring->record_bytes = *(const volatile uint64_t *)&shared->record_bytes; /* volatile: read once */
    ring->capacity = *(const volatile uint64_t *)&shared->capacity;
    *description_bytes = *(const volatile uint64_t *)&shared->description_bytes;
    const uint32_t overwrites = *(const volatile uint32_t *)&shared->overwrites;
    const uint64_t total =
        mlopt_ring_bytes(ring->record_bytes, ring->capacity, *description_bytes, overwrites == 1, &records_offset);
    if (overwrites > 1 || total == 0 || total != bytes || shared->total_bytes != total ||
        shared->records_offset != records_offset)
        return 0;
    ring->stride = mlopt_ring_stride(ring->record_bytes);
    ring->slots = mlopt_ring_slots(ring->capacity, overwrites == 1);
    ring->shared = shared;
    ring->records = (unsigned char *)shared + records_offset;
    if (overwrites) {
        ring->entries = mlopt_ring_entries(shared, *description_bytes);
        ring->log = ring->entries + mlopt_ring_whole_lines(4 * ring->capacity) / 4;
    }
    ring->self = self;
    ring->registered = mlopt_fence_register();
    return 1;
}

/* ---------------------------------------------------------------------------------------------
 * Roles */

/* Takes a role that nobody has, or whose holder left or died; 0 where somebody has it.  acq_rel: the next holder sees
 * all the last one did that lived to give it up. */
static inline int mlopt_ring_take_role(_Atomic uint64_t *role, uint64_t self)
{
    uint64_t holder = atomic_load_explicit(role, memory_order_acquire);
    do {
        if (holder == self)
            return 1;
        if (holder && mlopt_process_serial(holder) != MLOPT_PROCESS_LEFT && mlopt_process_alive(holder))
            return 0;
    } while (!atomic_compare_exchange_weak_explicit(role, &holder, self, memory_order_acq_rel, memory_order_acquire));
    return 1;
}

/* Gives a role up for another object, of this process or another; that this one had it stays to be seen. */
static inline void mlopt_ring_leave_role(_Atomic uint64_t *role, uint64_t self)
{
    atomic_compare_exchange_strong_explicit(role, &self, mlopt_process_with_serial(self, MLOPT_PROCESS_LEFT),
                                            memory_order_acq_rel, memory_order_relaxed);
}

/* Whether the holder of a role, or the last one, can no longer be waited for.  Nobody yet is no death. */
static inline int mlopt_ring_holder_died(_Atomic uint64_t *role)
{
    const uint64_t holder = atomic_load_explicit(role, memory_order_acquire);
    return holder != 0 && !mlopt_process_alive(holder);
}

/* READY, DAMAGED, or NOT_YET where another object has the role. */
static inline int mlopt_ring_claim_producer(mlopt_ring *ring)
{
    if (!mlopt_ring_take_role(&ring->shared->producer, ring->self))
        return MLOPT_RING_NOT_YET;
    ring->producer.position = atomic_load_explicit(&ring->shared->published, memory_order_acquire);
    ring->producer.seen = atomic_load_explicit(&ring->shared->released, memory_order_acquire);
    ring->producer.slot = ring->producer.position % ring->capacity;
    ring->producer.reserved = 0;
    if (ring->producer.position - ring->producer.seen > ring->capacity)
        return MLOPT_RING_DAMAGED;
    ring->producer.claimed = 1;
    return MLOPT_RING_READY;
}

static inline int mlopt_ring_claim_consumer(mlopt_ring *ring)
{
    if (!mlopt_ring_take_role(&ring->shared->consumer, ring->self))
        return MLOPT_RING_NOT_YET;
    ring->consumer.position = atomic_load_explicit(&ring->shared->released, memory_order_acquire);
    ring->consumer.seen = atomic_load_explicit(&ring->shared->published, memory_order_acquire);
    ring->consumer.slot = ring->consumer.position % ring->capacity;
    ring->consumer.released = ring->consumer.position;
    if (ring->consumer.seen - ring->consumer.position > ring->capacity)
        return MLOPT_RING_DAMAGED;
    ring->consumer.claimed = 1;
    return MLOPT_RING_READY;
}

/* Gives up what roles this object has. */
static inline void mlopt_ring_leave(mlopt_ring *ring)
{
    mlopt_ring_leave_role(&ring->shared->producer, ring->self);
    mlopt_ring_leave_role(&ring->shared->consumer, ring->self);
    ring->producer.claimed = ring->consumer.claimed = 0;
}

/* Whether all who ever used a ring are gone: its memory serves nobody. */
static inline int mlopt_ring_is_leftover(mlopt_ring_shared *shared)
{
    return !mlopt_process_alive(atomic_load_explicit(&shared->creator, memory_order_acquire)) &&
           !mlopt_process_alive(atomic_load_explicit(&shared->producer, memory_order_acquire)) &&
           !mlopt_process_alive(atomic_load_explicit(&shared->consumer, memory_order_acquire));
}

/* What anybody may ask. */
static inline uint64_t mlopt_ring_published(const mlopt_ring *ring)
{
    return atomic_load_explicit(&ring->shared->published, memory_order_acquire);
}

static inline uint64_t mlopt_ring_released(const mlopt_ring *ring)
{
    return atomic_load_explicit(&ring->shared->released, memory_order_acquire);
}

static inline uint64_t mlopt_ring_holder(const mlopt_ring *ring, int producer)
{
    return atomic_load_explicit(producer ? &ring->shared->producer : &ring->shared->consumer, memory_order_acquire);
}

/* Sets bits of `closed` and wakes both sides. */
static inline void mlopt_ring_close(mlopt_ring *ring, uint32_t bits)
{
    atomic_fetch_or_explicit(&ring->shared->closed, bits, memory_order_release); /* after what was published */
    mlopt_bell_ring(&ring->shared->consumer_sleeps, 0);
    mlopt_bell_ring(&ring->shared->producer_sleeps, 0);
}

static inline uint32_t mlopt_ring_closed(const mlopt_ring *ring)
{
    return atomic_load_explicit(&ring->shared->closed, memory_order_acquire);
}

/* ---------------------------------------------------------------------------------------------
 * Producer */

static inline unsigned char *mlopt_ring_slot(const mlopt_ring *ring, uint64_t slot)
{
    return ring->records + slot * ring->stride;
}

/* How many records are free, looking at the other side only where fewer than `want` were known to be.
 * A damaged position counts as full; mlopt_ring_check_producer tells. */
static inline uint64_t mlopt_ring_free(mlopt_ring *ring, uint64_t want)
{
    uint64_t used = ring->producer.position - ring->producer.seen;
    if (ring->capacity - used < want) {
        const uint64_t released = atomic_load_explicit(&ring->shared->released, memory_order_acquire);
        used = ring->producer.position - released;
        if (used > ring->capacity)
            return 0;
        ring->producer.seen = released;
    }
    return ring->capacity - used;
}

/* The next record to write, NULL where the ring is full.  Again the same one until it is published. */
static inline void *mlopt_ring_try_reserve(mlopt_ring *ring)
{
    if (__builtin_expect(mlopt_ring_free(ring, 1) == 0, 0))
        return NULL;
    if (ring->producer.reserved == 0)
        ring->producer.reserved = 1;
    return mlopt_ring_slot(ring, ring->producer.slot);
}

/* Up to `count` records that lie one after the other, a stride apart; how many they are. */
static inline uint64_t mlopt_ring_try_reserve_many(mlopt_ring *ring, uint64_t count, void **first)
{
    const uint64_t free = mlopt_ring_free(ring, count), left = ring->capacity - ring->producer.slot;
    count = count < free ? count : free;
    count = count < left ? count : left;
    *first = mlopt_ring_slot(ring, ring->producer.slot);
    if (ring->producer.reserved < count)
        ring->producer.reserved = count;
    return count;
}

/* Hands the next `count` records, at most what is reserved, to the consumer. */
static inline void mlopt_ring_publish(mlopt_ring *ring, uint64_t count)
{
    ring->producer.position += count;
    ring->producer.slot += count;
    if (ring->producer.slot >= ring->capacity)
        ring->producer.slot -= ring->capacity;
    ring->producer.reserved = 0;
    atomic_store_explicit(&ring->shared->published, ring->producer.position, memory_order_release);
    mlopt_bell_ring(&ring->shared->consumer_sleeps, ring->registered);
}

/* ---------------------------------------------------------------------------------------------
 * Consumer */

/* Nothing to read: a producer that sleeps until there is more room must not sleep on. */
static inline void mlopt_ring_wake_producer(mlopt_ring *ring)
{
    mlopt_bell_ring(&ring->shared->producer_sleeps, ring->registered);
}

/* How many records can be read; the mirror image of mlopt_ring_free. */
static inline uint64_t mlopt_ring_readable(mlopt_ring *ring, uint64_t want)
{
    uint64_t count = ring->consumer.seen - ring->consumer.position;
    if (count < want) {
        const uint64_t published = atomic_load_explicit(&ring->shared->published, memory_order_acquire);
        if (published - ring->consumer.released > ring->capacity ||
            published - ring->consumer.position > ring->capacity)
            return 0;
        ring->consumer.seen = published;
        count = published - ring->consumer.position;
    }
    return count;
}

/* Moves the read position on over records that are readable. */
static inline void mlopt_ring_advance(mlopt_ring *ring, uint64_t count)
{
    ring->consumer.position += count;
    ring->consumer.slot += count;
    if (ring->consumer.slot >= ring->capacity)
        ring->consumer.slot -= ring->capacity;
}

/* The next record to read, NULL where there is none.  It is held until it is released. */
static inline void *mlopt_ring_try_acquire(mlopt_ring *ring)
{
    if (__builtin_expect(mlopt_ring_readable(ring, 1) == 0, 0)) {
        mlopt_ring_wake_producer(ring);
        return NULL;
    }
    void *record = mlopt_ring_slot(ring, ring->consumer.slot);
    mlopt_ring_advance(ring, 1);
    return record;
}

static inline uint64_t mlopt_ring_try_acquire_many(mlopt_ring *ring, uint64_t count, void **first)
{
    const uint64_t readable = mlopt_ring_readable(ring, count), left = ring->capacity - ring->consumer.slot;
    if (readable == 0)
        mlopt_ring_wake_producer(ring);
    count = count < readable ? count : readable;
    count = count < left ? count : left;
    *first = mlopt_ring_slot(ring, ring->consumer.slot);
    mlopt_ring_advance(ring, count);
    return count;
}

/* Gives the oldest `count` held records, at most all, back to the producer. */
static inline void mlopt_ring_release(mlopt_ring *ring, uint64_t count)
{
    ring->consumer.released += count;
    atomic_store_explicit(&ring->shared->released, ring->consumer.released, memory_order_release);
    mlopt_light_fence(ring->registered);
    if (__builtin_expect(atomic_load_explicit(&ring->shared->producer_sleeps, memory_order_relaxed) != 0, 0)) {
        const uint64_t published = atomic_load_explicit(&ring->shared->published, memory_order_relaxed);
        if (published - ring->consumer.released <= ring->capacity - ring->capacity / 4)
            mlopt_bell_wake(&ring->shared->producer_sleeps);
    }
}

/* ---------------------------------------------------------------------------------------------
 * Waiting */

/* What there is to say where the ring is full, READY where it is not. */
static inline int mlopt_ring_producer_state(mlopt_ring *ring)
{
    const uint64_t released = atomic_load_explicit(&ring->shared->released, memory_order_acquire);
    if (mlopt_ring_closed(ring))
        return MLOPT_RING_CLOSED;
    if (ring->producer.position - released > ring->capacity)
        return MLOPT_RING_DAMAGED;
    return ring->producer.position - released < ring->capacity ? MLOPT_RING_READY : MLOPT_RING_NOT_YET;
}

/* What there is to say where the ring is empty.  `closed` is read first: what was published before is seen. */
static inline int mlopt_ring_consumer_state(mlopt_ring *ring)
{
    const uint32_t closed = mlopt_ring_closed(ring);
    const uint64_t published = atomic_load_explicit(&ring->shared->published, memory_order_acquire);
    if (published - ring->consumer.position > ring->capacity)
        return MLOPT_RING_DAMAGED;
    if (closed & MLOPT_RING_NO_READER)
        return MLOPT_RING_CLOSED;
    if (published != ring->consumer.position)
        return MLOPT_RING_READY;
    return closed ? MLOPT_RING_CLOSED : MLOPT_RING_NOT_YET;
}

/* Each look takes the position's cache line from the side that writes it, so looks get rarer: meanwhile records gather,
 * and the next look finds several. */
static inline void mlopt_ring_pause(int times)
{
    for (int i = 0; i < times; i++)
        mlopt_pause();
}

/* Spins, then sleeps once, for at most `nanoseconds` and at most a slice.  NOT_YET says nothing but that it has to be
 * called again; DIED that there is nothing, and that the other side's process is gone. */
static inline int mlopt_ring_await(mlopt_ring *ring, int (*state)(mlopt_ring *), _Atomic uint32_t *bell,
                                   _Atomic uint64_t *other, int64_t nanoseconds)
{
    int found = state(ring);
    for (int i = 1; found == MLOPT_RING_NOT_YET && i <= MLOPT_RING_SPINS; i *= 2) {
        mlopt_ring_pause(i);
        found = state(ring);
    }
    if (found != MLOPT_RING_NOT_YET || nanoseconds <= 0)
        return found;
    atomic_store_explicit(bell, 1, memory_order_relaxed);
    const int sure = mlopt_heavy_fence(ring->registered);
    found = state(ring);
    if (found == MLOPT_RING_NOT_YET) {
        const int64_t longest = sure ? MLOPT_RING_SLICE : MLOPT_BELL_UNSURE_NANOSECONDS;
        mlopt_bell_sleep(bell, nanoseconds < longest ? nanoseconds : longest);
        found = state(ring);
    }
    atomic_store_explicit(bell, 0, memory_order_relaxed);
    if (found == MLOPT_RING_NOT_YET && mlopt_ring_holder_died(other)) {
        found = state(ring); /* its last act may have come after we looked */
        if (found == MLOPT_RING_NOT_YET)
            found = MLOPT_RING_DIED;
    }
    return found;
}

static inline int mlopt_ring_await_space(mlopt_ring *ring, int64_t nanoseconds)
{
    return mlopt_ring_await(ring, mlopt_ring_producer_state, &ring->shared->producer_sleeps, &ring->shared->consumer,
                            nanoseconds);
}

static inline int mlopt_ring_await_records(mlopt_ring *ring, int64_t nanoseconds)
{
    return mlopt_ring_await(ring, mlopt_ring_consumer_state, &ring->shared->consumer_sleeps, &ring->shared->producer,
                            nanoseconds);
}

#endif
