/* The table of a map (map.h): words, entries, hashes, and finding a key's entry. */
#ifndef MLOPT_LOCKFREE_MAP_TABLE_H
#define MLOPT_LOCKFREE_MAP_TABLE_H

#include "map.h"
#include "reclaim.h"

#include <string.h>

#define ALWAYS_INLINE static inline __attribute__((always_inline))
#define LIKELY(condition) __builtin_expect(!!(condition), 1)
#define UNLIKELY(condition) __builtin_expect(!!(condition), 0)

/* Key words. */
#define KEY_EMPTY ((uint64_t)0)
#define KEY_CLOSED ((uint64_t)1)
#define KEY_OWN ((uint64_t)2)                   /* of the entries that belong to the integers whose words are states */
#define KEY_FLIP ((uint64_t)0x9e6c63d0a5b8f4c2) /* a key nobody is likely to use becomes EMPTY */

/* Value words.  The window is one of NaNs, as float64, and of very large numbers, as integers. */
#define VALUE_FLIP ((uint64_t)0x7ff6b80000000000)
#define VALUE_WINDOW ((uint64_t)1 << 42)
#define VALUE_EMPTY ((uint64_t)0)
#define VALUE_REMOVED ((uint64_t)1)
#define VALUE_MOVED ((uint64_t)2)
#define VALUE_DROPPED ((uint64_t)3)
#define VALUE_FROZEN ((uint64_t)1 << 16) /* and the number of the thread */
#define VALUE_BOXED ((uint64_t)1 << 41)  /* and the number of the box */

_Static_assert((VALUE_FLIP & (VALUE_WINDOW - 1)) == 0, "the window is aligned");
_Static_assert(MLOPT_RECLAIM_MAX_THREADS <= VALUE_FROZEN, "frozen words end below twice their start");
_Static_assert(4 * MLOPT_MAP_MAX_CAPACITY <= VALUE_BOXED / 2, "every box has a number");

typedef struct entry {
    _Atomic uint64_t key, value;
} entry;

typedef struct key_block {
    uint64_t hash;
    size_t bytes;
    char data[];
} key_block;

#ifndef MLOPT_MAP_CHUNK
#define MLOPT_MAP_CHUNK 512 /* entries that a helper copies at once */
#endif
#ifndef MLOPT_MAP_STEP
#define MLOPT_MAP_STEP() ((void)0) /* between the steps of the protocol: tests let other threads run there */
#endif

enum { CHUNK = MLOPT_MAP_CHUNK, SMALLEST = 64, OWN_ENTRIES = 2 };

typedef struct table {
    _Alignas(64) uint64_t mask;
    uint64_t size, limit; /* entries, and how many may be claimed */
    entry *entries;
    struct table *_Atomic next;
    size_t chunk_count;
    struct table *retired_next;
    uint64_t retired_epoch;
    _Alignas(64) entry own[OWN_ENTRIES]; /* of integers whose words are states */
    /* written by those who claim entries and copy */
    _Alignas(64) _Atomic uint64_t claims, early_claims; /* early: before the migration to this table was over */
    _Atomic uint64_t boxes_taken;
    _Atomic size_t chunks_taken;
    _Atomic uint64_t *_Atomic boxes; /* the first size + OWN_ENTRIES belong to the entries, for copies */
    _Atomic unsigned char finished[];
} table;

_Static_assert(sizeof(entry) == 16 && sizeof(_Atomic uint64_t) == 8, "four entries to a cache line");
_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2 && ATOMIC_POINTER_LOCK_FREE == 2, "64-bit atomics are lock-free");

/* A key as it is searched for. */
typedef struct lookup {
    uint64_t word, hash; /* of bytes, the word has only the bits of the hash */
    const char *data;
    size_t bytes;
} lookup;

ALWAYS_INLINE uint64_t folded(uint64_t a, uint64_t b)
{
    const unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

ALWAYS_INLINE uint64_t load8(const char *from)
{
    uint64_t word;
    memcpy(&word, from, sizeof(word));
    return word;
}

ALWAYS_INLINE uint64_t hash_word(const uint64_t *secret, uint64_t word) { return folded(word ^ secret[0], secret[1]); }

static inline uint64_t hash_bytes(const uint64_t *secret, const char *data, size_t bytes)
{
    uint64_t hash = secret[0] ^ folded(bytes ^ 0xa0761d6478bd642fu, secret[1]);
    size_t left = bytes;
    for (; left >= 16; data += 16, left -= 16)
        hash = folded(load8(data) ^ secret[1], load8(data + 8) ^ hash);
    char rest[16] = {0};
    memcpy(rest, data, left);
    hash = folded(load8(rest) ^ secret[1], load8(rest + 8) ^ hash);
    return folded(hash ^ 0xe7037ed1a0b428dbu, secret[1]);
}

ALWAYS_INLINE lookup lookup_word(const uint64_t *secret, uint64_t word)
{
    return (lookup){word, hash_word(secret, word), NULL, 0};
}

ALWAYS_INLINE lookup lookup_bytes(const uint64_t *secret, const char *data, size_t bytes)
{
    const uint64_t hash = hash_bytes(secret, data, bytes);
    return (lookup){hash >> 58, hash, data, bytes};
}

ALWAYS_INLINE key_block *block_of(uint64_t word) { return (key_block *)(uintptr_t)(word & ~(uint64_t)63); }

/* Whether a word that is neither EMPTY nor CLOSED is that of the key. */
ALWAYS_INLINE int matches(mlopt_map_keys keys, uint64_t word, const lookup *key)
{
    if (keys == MLOPT_MAP_INT64)
        return word == key->word;
    if ((word & 63) != key->word)
        return 0;
    const key_block *block = block_of(word);
    return block->hash == key->hash && block->bytes == key->bytes && memcmp(block->data, key->data, key->bytes) == 0;
}

typedef enum found { FOUND, FREE_ENTRY, CLOSED_ENTRY } found;

/* The entry of the key, or the one at which its probe ends.  `word` receives what its key word was. */
ALWAYS_INLINE found locate(mlopt_map_keys keys, table *in, const lookup *key, entry **at, uint64_t *word)
{
    if (keys == MLOPT_MAP_INT64 && UNLIKELY(key->word <= KEY_CLOSED)) {
        *at = &in->own[key->word];
        *word = KEY_OWN;
        return FOUND;
    }
    for (uint64_t i = key->hash;; i++) {
        entry *one = &in->entries[i & in->mask];
        *word = atomic_load_explicit(&one->key, memory_order_acquire);
        *at = one;
        if (LIKELY(*word > KEY_CLOSED)) {
            if (LIKELY(matches(keys, *word, key)))
                return FOUND;
        } else {
            return *word == KEY_EMPTY ? FREE_ENTRY : CLOSED_ENTRY;
        }
    }
}

/* The entries by number, the own ones last. */
static inline entry *entry_at(table *in, uint64_t i) { return i < in->size ? &in->entries[i] : &in->own[i - in->size]; }

static inline uint64_t number_of(const table *in, const entry *one)
{
    const uintptr_t from_own = (uintptr_t)one - (uintptr_t)in->own;
    return from_own < sizeof(in->own) ? in->size + from_own / sizeof(entry) : (uint64_t)(one - in->entries);
}

typedef enum state { PRESENT, ABSENT, ELSEWHERE } state;

/* What a value word of an entry says; ELSEWHERE: the successor knows. */
ALWAYS_INLINE state read_value(table *in, entry *one, uint64_t *word, int64_t *value)
{
    for (;;) {
        *word = atomic_load_explicit(&one->value, memory_order_acquire);
        if (LIKELY(*word >= VALUE_WINDOW)) {
            *value = (int64_t)(*word ^ VALUE_FLIP);
            return PRESENT;
        }
        if (*word >= VALUE_BOXED) {
            _Atomic uint64_t *boxes = atomic_load_explicit(&in->boxes, memory_order_acquire);
            *value = (int64_t)atomic_load_explicit(&boxes[*word - VALUE_BOXED], memory_order_relaxed);
            return PRESENT;
        }
        if (*word < VALUE_FROZEN)
            return *word <= VALUE_REMOVED ? ABSENT : ELSEWHERE;
        mlopt_reclaim_record *owner = mlopt_reclaim_numbered((uint32_t)(*word - VALUE_FROZEN));
        MLOPT_MAP_STEP();
        *value = (int64_t)atomic_load_explicit(&owner->cell, memory_order_acquire);
        if (atomic_load_explicit(&one->value, memory_order_relaxed) == *word)
            return PRESENT;
    }
}

#endif
