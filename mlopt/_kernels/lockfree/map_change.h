/* Changing a map (map.h): what a change does to a value, to an entry, and in one table. */
#ifndef MLOPT_LOCKFREE_MAP_CHANGE_H
#define MLOPT_LOCKFREE_MAP_CHANGE_H

#include "map_copy.h"

static void *(*acquire)(size_t);

typedef enum change_kind { PUT, INSERT, UPDATE_IF, ADD, REMOVE } change_kind;

typedef struct change {
    change_kind kind;
    int64_t argument, expected;
    /* what came of it */
    int was_present, changed;
    int64_t before, after;
} change;

/* What a change does to a value, or to a key that is not there; 0 where nothing is to be stored. */
static inline int decide(change *one, int present, int64_t value)
{
    one->was_present = present;
    one->before = value;
    one->after =
        one->kind == ADD ? (int64_t)((uint64_t)(present ? value : 0) + (uint64_t)one->argument) : one->argument;
    switch (one->kind) {
    case INSERT:
        return !present;
    case UPDATE_IF:
        return present && value == one->expected;
    case REMOVE:
        return present;
    default:
        return 1;
    }
}

/* The word for a value of a user; VALUE_EMPTY where the boxes are used up, VALUE_REMOVED where there is no memory.
 * `box` is 0, or the one that this call took before. */
static inline uint64_t encode(table *in, int64_t value, uint64_t *box)
{
    if (LIKELY(!needs_box(value)))
        return (uint64_t)value ^ VALUE_FLIP;
    _Atomic uint64_t *boxes = boxes_for(in);
    if (boxes == NULL)
        return VALUE_REMOVED;
    if (*box == 0) {
        *box = in->size + OWN_ENTRIES + atomic_fetch_add_explicit(&in->boxes_taken, 1, memory_order_relaxed);
        if (*box >= boxes_of(in))
            return VALUE_EMPTY;
    }
    atomic_store_explicit(&boxes[*box], (uint64_t)value, memory_order_relaxed);
    return VALUE_BOXED + *box;
}

/* Room for one more key in a table; 0 where it is used up. */
static inline int reserve(mlopt_map *map, table *in)
{
    if (UNLIKELY(atomic_load_explicit(&map->root, memory_order_acquire) != in) &&
        atomic_fetch_add_explicit(&in->early_claims, 1, memory_order_relaxed) >= in->size / 8)
        return 0;
    if (LIKELY(atomic_fetch_add_explicit(&in->claims, 1, memory_order_relaxed) < in->limit))
        return 1;
    atomic_fetch_sub_explicit(&in->claims, 1, memory_order_relaxed);
    return 0;
}

typedef enum outcome { DONE, FULL, FOLLOW, AGAIN, NO_MEMORY } outcome;

/* The change of the value word of an entry that is the key's. */
static inline outcome change_value(table *in, entry *one, change *wanted)
{
    for (uint64_t box = 0;;) {
        uint64_t word;
        int64_t value = 0;
        const state now = read_value(in, one, &word, &value);
        if (now == ELSEWHERE)
            return FOLLOW;
        wanted->changed = decide(wanted, now == PRESENT, value);
        if (!wanted->changed)
            return DONE;
        if (UNLIKELY(word >= VALUE_FROZEN && word < VALUE_BOXED))
            return AGAIN; /* there is a successor now: the entry is to be moved to it first */
        uint64_t stored = VALUE_REMOVED;
        if (wanted->kind != REMOVE) {
            stored = encode(in, wanted->after, &box);
            if (UNLIKELY(stored <= VALUE_REMOVED))
                return stored == VALUE_EMPTY ? FULL : NO_MEMORY;
        }
        MLOPT_MAP_STEP();
        if (LIKELY(atomic_compare_exchange_strong_explicit(&one->value, &word, stored, memory_order_release,
                                                           memory_order_relaxed)))
            return DONE;
    }
}

static void destroy_block(key_block **block)
{
    release(*block);
    *block = NULL;
}

static key_block *new_block(const lookup *key)
{
    key_block *block = acquire(sizeof(key_block) + key->bytes);
    if (block) {
        block->hash = key->hash;
        block->bytes = key->bytes;
        memcpy(block->data, key->data, key->bytes);
    }
    return block;
}

/* The change in one table.  `block` holds the bytes of a new key, until an entry does. */
static outcome change_in(mlopt_map *map, mlopt_reclaim_record *mine, table *in, const lookup *key, change *wanted,
                         key_block **block)
{
    int reserved = 0;
    for (;;) {
        entry *one;
        uint64_t seen;
        const found result = locate(map->keys, in, key, &one, &seen);
        table *next = atomic_load_explicit(&in->next, memory_order_acquire);
        MLOPT_MAP_STEP();
        if (result == FREE_ENTRY && next == NULL) {
            if (!decide(wanted, 0, 0)) {
                wanted->changed = 0;
                return DONE;
            }
            if (!reserved && !reserve(map, in))
                return FULL;
            reserved = 1;
            uint64_t word = key->word;
            if (map->keys == MLOPT_MAP_BYTES) {
                if (*block == NULL && (*block = new_block(key)) == NULL) {
                    atomic_fetch_sub_explicit(&in->claims, 1, memory_order_relaxed);
                    return NO_MEMORY;
                }
                word = (uint64_t)(uintptr_t)*block | key->word;
            }
            if (!atomic_compare_exchange_strong_explicit(&one->key, &seen, word, memory_order_release,
                                                         memory_order_relaxed))
                continue; /* to another key, or to this one, or it was closed: look again */
            *block = NULL;
            MLOPT_MAP_STEP();
            return change_value(in, one, wanted);
        }
        if (reserved) {
            atomic_fetch_sub_explicit(&in->claims, 1, memory_order_relaxed);
            reserved = 0;
        }
        if (result == FOUND && next == NULL)
            return change_value(in, one, wanted);
        if (result != CLOSED_ENTRY && copy_entry(map, mine, in, next, one))
            return NO_MEMORY;
        /* an entry that was free may have been taken by another key: then the probe goes on behind it */
        if (result == FREE_ENTRY && atomic_load_explicit(&one->key, memory_order_acquire) != KEY_CLOSED)
            continue;
        return FOLLOW;
    }
}

#endif
