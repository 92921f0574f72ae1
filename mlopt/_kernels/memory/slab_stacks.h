/* Records, size classes and stacks of the slab pool (slab.h has the orderings): what its own parts share. */
#ifndef MLOPT_SLAB_STACKS_H
#define MLOPT_SLAB_STACKS_H

#include "slab.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define LIKELY(condition) __builtin_expect(!!(condition), 1)
#define UNLIKELY(condition) __builtin_expect(!!(condition), 0)

enum {
    CLASS_COUNT = 4 + 4 * 32,     /* 64..256 bytes, then four to a doubling up to 2^40 */
    LARGE_CLASS = 4 + 4 * 11 + 3, /* of MLOPT_SLAB_LARGE bytes */
    RECORDS_PER_CHUNK = 4096,
    CHUNK_COUNT = 4096,
    THREAD_CLASSES = 4 + 4 * 4, /* of up to 4096 bytes: those that threads cache */
    THREAD_BYTES = 4096,
    THREAD_BLOCKS = 16 /* of each of them */
};

/* What a header says of its block; anything else is before no block. */
enum { IN_USE = 0x6d6c6f70, FREE = 0x6d6c6f66 };

/* What is known of a block, beside it.  Atomic members are read by threads that do not own it. */
typedef struct record {
    _Alignas(64) void *block;      /* NULL while no memory belongs to the record */
    _Atomic uint64_t acquisitions; /* from the stack or the system, over all blocks that the record has stood for */
    _Atomic uint32_t below;        /* the next record in the free list, 0 at its end */
    _Atomic uint32_t depth;        /* records in the free list from this one down */
    _Atomic uint32_t stacked;      /* whether it lies in the stack of its class */
    _Atomic uint32_t size_class;   /* CLASS_COUNT while no memory belongs to the record */
} record;

/* The cache line before a block.  The state is that of the only one who may touch the block. */
typedef struct header {
    _Atomic uint32_t state;
    uint32_t number, size_class; /* of its record */
    char rest[MLOPT_SLAB_ALIGNMENT - 3 * sizeof(uint32_t)];
} header;

typedef struct stack {
    _Alignas(64) _Atomic uint64_t head; /* tag << 32 | record number */
} stack;

_Static_assert(sizeof(header) == MLOPT_SLAB_ALIGNMENT, "the header is one cache line");
_Static_assert(sizeof(record) == 64 && sizeof(stack) == 64, "no two of them share a cache line");
_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "64-bit atomics are lock-free");

static stack free_blocks[CLASS_COUNT];
static stack free_records;
static record *_Atomic chunks[CHUNK_COUNT];
static _Atomic uint32_t record_count = 1; /* number 0 stands for none */

static inline unsigned class_of(size_t bytes)
{
    if (bytes <= 256)
        return bytes == 0 ? 0 : (unsigned)((bytes - 1) / 64);
    const unsigned exponent = 63 - (unsigned)__builtin_clzll(bytes - 1);
    const unsigned quarter = (unsigned)((bytes - 1) >> (exponent - 2)) & 3;
    return 4 + 4 * (exponent - 8) + quarter;
}

/* The same of up to THREAD_BYTES bytes. */
static inline unsigned small_class_of(size_t bytes)
{
    static const uint8_t class_of_lines[THREAD_BYTES / 64 + 1] = {
        [0 ... 1] = 0,    [2] = 1,          [3] = 2,          [4] = 3,          [5] = 4,
        [6] = 5,          [7] = 6,          [8] = 7,          [9 ... 10] = 8,   [11 ... 12] = 9,
        [13 ... 14] = 10, [15 ... 16] = 11, [17 ... 20] = 12, [21 ... 24] = 13, [25 ... 28] = 14,
        [29 ... 32] = 15, [33 ... 40] = 16, [41 ... 48] = 17, [49 ... 56] = 18, [57 ... 64] = 19,
    };
    return class_of_lines[(bytes + 63) / 64];
}

#define CLASS_BYTES(size_class)                                                                                        \
    ((size_class) < 4 ? (size_t)64 * ((size_class) + 1) : (size_t)(5 + (size_class) % 4) << ((size_class) / 4 + 5))

_Static_assert(CLASS_BYTES(3) == 256 && CLASS_BYTES(4) == 320, "the two spacings meet");
_Static_assert(CLASS_BYTES(LARGE_CLASS) == MLOPT_SLAB_LARGE, "LARGE_CLASS is the class of MLOPT_SLAB_LARGE");
_Static_assert(CLASS_BYTES(THREAD_CLASSES - 1) == THREAD_BYTES, "what threads cache are small blocks");
_Static_assert(CLASS_BYTES(CLASS_COUNT - 1) == (size_t)1 << 40, "the largest class");

static inline size_t class_bytes(unsigned size_class) { return CLASS_BYTES(size_class); }

/* In the stack; what one thread caches makes up the rest. */
static inline uint32_t cached_blocks_limit(unsigned size_class)
{
    const size_t fitting = ((size_t)4 << 20) / class_bytes(size_class);
    const uint32_t limit = fitting < 8 ? 8 : fitting > 4096 ? 4096 : (uint32_t)fitting;
    return size_class < THREAD_CLASSES ? limit - THREAD_BLOCKS : limit;
}

static inline record *record_of(uint32_t number)
{
    /* whoever knows the number got it through an acquire that follows the chunk's publication */
    record *chunk = atomic_load_explicit(&chunks[number / RECORDS_PER_CHUNK], memory_order_relaxed);
    return &chunk[number % RECORDS_PER_CHUNK];
}

static inline header *header_of(void *block) { return (header *)block - 1; }

static _Noreturn void die(const char *what, void *block)
{
    fprintf(stderr, "mlopt: %s: %p\n", what, block);
    abort();
}

/* ---------------------------------------------------------------------------------------------- */
/* The stacks */

static inline void push(stack *list, uint32_t number, record *one)
{
    uint64_t head = atomic_load_explicit(&list->head, memory_order_acquire), new_head;
    do {
        const uint32_t below = (uint32_t)head;
        const uint32_t depth = below ? atomic_load_explicit(&record_of(below)->depth, memory_order_relaxed) : 0;
        atomic_store_explicit(&one->below, below, memory_order_relaxed);
        atomic_store_explicit(&one->depth, depth + 1, memory_order_relaxed);
        new_head = (head & ~(uint64_t)UINT32_MAX) | number;
    } while (!atomic_compare_exchange_weak_explicit(&list->head, &head, new_head, memory_order_release,
                                                    memory_order_acquire));
}

static inline uint32_t pop(stack *list)
{
    uint64_t head = atomic_load_explicit(&list->head, memory_order_acquire), new_head;
    do {
        if ((uint32_t)head == 0)
            return 0;
        const uint32_t below = atomic_load_explicit(&record_of((uint32_t)head)->below, memory_order_relaxed);
        new_head = (((head >> 32) + 1) << 32) | below;
    } while (!atomic_compare_exchange_weak_explicit(&list->head, &head, new_head, memory_order_acquire,
                                                    memory_order_acquire));
    return (uint32_t)head;
}

/* Empties the list; the records hang together by `below`. */
static uint32_t pop_all(stack *list)
{
    uint64_t head = atomic_load_explicit(&list->head, memory_order_acquire), new_head;
    do {
        if ((uint32_t)head == 0)
            return 0;
        new_head = ((head >> 32) + 1) << 32;
    } while (!atomic_compare_exchange_weak_explicit(&list->head, &head, new_head, memory_order_acquire,
                                                    memory_order_acquire));
    return (uint32_t)head;
}

static inline uint32_t depth_of(stack *list)
{
    const uint32_t top = (uint32_t)atomic_load_explicit(&list->head, memory_order_acquire);
    return top ? atomic_load_explicit(&record_of(top)->depth, memory_order_relaxed) : 0;
}

#endif
