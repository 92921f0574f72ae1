/* Migration of a map (map.h): making tables, copying entries, swapping the root, freeing what is retired. */
#ifndef MLOPT_LOCKFREE_MAP_COPY_H
#define MLOPT_LOCKFREE_MAP_COPY_H

#include "map_table.h"

enum { STRIPES = 16 };

typedef struct stripe {
    _Alignas(64) _Atomic int64_t keys; /* come, less gone, through threads of one number modulo STRIPES */
} stripe;

struct mlopt_map {
    _Alignas(64) table *_Atomic root;
    uint64_t secret[2];
    mlopt_map_keys keys;
    _Alignas(64) table *_Atomic retired;
    _Atomic uint64_t bytes; /* of all tables */
    stripe stripes[STRIPES];
};

static void *(*acquire_zeroed)(size_t);
static void (*release)(void *);

static inline int64_t count_keys(mlopt_map *map)
{
    int64_t keys = 0;
    for (int i = 0; i < STRIPES; i++)
        keys += atomic_load_explicit(&map->stripes[i].keys, memory_order_relaxed);
    return keys < 0 ? 0 : keys;
}

/* ---------------------------------------------------------------------------------------------- */
/* Tables */

static inline uint64_t boxes_of(const table *one) { return 2 * (one->size + OWN_ENTRIES); }

static inline uint64_t table_bytes(const table *one)
{
    return sizeof(table) + one->chunk_count + one->size * sizeof(entry);
}

static table *new_table(mlopt_map *map, uint64_t size)
{
    const size_t chunk_count = (size + OWN_ENTRIES + CHUNK - 1) / CHUNK;
    entry *entries = acquire_zeroed(size * sizeof(entry));
    table *made = entries ? acquire_zeroed(sizeof(table) + chunk_count) : NULL;
    if (made == NULL) {
        release(entries);
        return NULL;
    }
    made->size = size;
    made->mask = size - 1;
    made->limit = size / 2 + size / 8;
    made->chunk_count = chunk_count;
    made->entries = entries;
    for (int i = 0; i < OWN_ENTRIES; i++)
        atomic_init(&made->own[i].key, KEY_OWN);
    atomic_fetch_add_explicit(&map->bytes, table_bytes(made), memory_order_relaxed);
    return made;
}

/* Without the blocks of its keys. */
static void free_table(mlopt_map *map, table *one)
{
    atomic_fetch_sub_explicit(&map->bytes, table_bytes(one), memory_order_relaxed);
    release((void *)atomic_load_explicit(&one->boxes, memory_order_relaxed));
    release(one->entries);
    release(one);
}

/* The boxes, made with the first value that needs one. */
static _Atomic uint64_t *boxes_for(table *in)
{
    _Atomic uint64_t *boxes = atomic_load_explicit(&in->boxes, memory_order_acquire), *none = NULL;
    if (boxes)
        return boxes;
    boxes = acquire_zeroed(boxes_of(in) * sizeof(*boxes));
    if (boxes && !atomic_compare_exchange_strong_explicit(&in->boxes, &none, boxes, memory_order_acq_rel,
                                                          memory_order_acquire)) {
        release((void *)boxes);
        return none;
    }
    return boxes;
}

ALWAYS_INLINE int needs_box(int64_t value) { return UNLIKELY(((uint64_t)value ^ VALUE_FLIP) < VALUE_WINDOW); }

/* ---------------------------------------------------------------------------------------------- */
/* Freeing */

/* A retired table, and the blocks of the keys that its successor did not take over. */
static void free_retired(mlopt_map *map, table *one)
{
    if (map->keys == MLOPT_MAP_BYTES)
        for (uint64_t i = 0; i < one->size; i++)
            if (atomic_load_explicit(&one->entries[i].value, memory_order_relaxed) == VALUE_DROPPED)
                release(block_of(atomic_load_explicit(&one->entries[i].key, memory_order_relaxed)));
    free_table(map, one);
}

static void keep_retired(mlopt_map *map, table *one)
{
    table *head = atomic_load_explicit(&map->retired, memory_order_relaxed);
    do
        one->retired_next = head;
    while (
        !atomic_compare_exchange_weak_explicit(&map->retired, &head, one, memory_order_release, memory_order_relaxed));
}

static size_t collect(mlopt_map *map)
{
    size_t waiting = 0;
    /* the whole list at once: no table is in two hands */
    table *one = atomic_exchange_explicit(&map->retired, NULL, memory_order_acquire), *next;
    const uint64_t oldest = one ? mlopt_reclaim_oldest() : 0;
    for (; one; one = next) {
        next = one->retired_next;
        if (one->retired_epoch < oldest) {
            free_retired(map, one);
        } else {
            keep_retired(map, one);
            waiting++;
        }
    }
    return waiting;
}

/* ---------------------------------------------------------------------------------------------- */
/* Copying */

/* Stores a frozen value in the successor, unless it has been.  The successor has room, and boxes where one is
 * needed. */
static void carry(mlopt_map *map, table *to, const lookup *key, uint64_t key_word, int64_t value)
{
    entry *one;
    uint64_t seen;
    for (;;) {
        const found result = locate(map->keys, to, key, &one, &seen);
        if (result == CLOSED_ENTRY) /* a table that has a successor itself is complete */
            return;
        if (result == FOUND)
            break;
        /* counted before: there are never more entries taken than claims */
        atomic_fetch_add_explicit(&to->claims, 1, memory_order_relaxed);
        if (atomic_compare_exchange_strong_explicit(&one->key, &seen, key_word, memory_order_release,
                                                    memory_order_relaxed))
            break;
        atomic_fetch_sub_explicit(&to->claims, 1, memory_order_relaxed);
    }
    MLOPT_MAP_STEP();
    uint64_t word = (uint64_t)value ^ VALUE_FLIP, empty = VALUE_EMPTY;
    if (needs_box(value)) { /* the entry's own: whoever copies to it stores the same */
        const uint64_t box = number_of(to, one);
        atomic_store_explicit(&atomic_load_explicit(&to->boxes, memory_order_acquire)[box], (uint64_t)value,
                              memory_order_relaxed);
        word = VALUE_BOXED + box;
    }
    atomic_compare_exchange_strong_explicit(&one->value, &empty, word, memory_order_release, memory_order_relaxed);
}

/* Makes an entry CLOSED, MOVED or DROPPED.  0, or MLOPT_MAP_NO_MEMORY. */
static int copy_entry(mlopt_map *map, mlopt_reclaim_record *mine, table *from, table *to, entry *one)
{
    uint64_t key_word = atomic_load_explicit(&one->key, memory_order_acquire);
    if (key_word == KEY_EMPTY && atomic_compare_exchange_strong_explicit(&one->key, &key_word, KEY_CLOSED,
                                                                         memory_order_release, memory_order_acquire))
        return 0;
    if (key_word == KEY_CLOSED)
        return 0;
    lookup key;
    if (map->keys == MLOPT_MAP_BYTES && key_word != KEY_OWN) {
        const key_block *block = block_of(key_word);
        key = (lookup){block->hash >> 58, block->hash, block->data, block->bytes};
    } else {
        const uint64_t number = number_of(from, one);
        key = lookup_word(map->secret, number < from->size ? key_word : number - from->size);
    }
    for (;;) {
        uint64_t word;
        int64_t value;
        const state now = read_value(from, one, &word, &value);
        if (now == ELSEWHERE)
            return 0;
        if (now == ABSENT) {
            if (atomic_compare_exchange_strong_explicit(&one->value, &word, VALUE_DROPPED, memory_order_release,
                                                        memory_order_relaxed))
                return 0;
            continue;
        }
        if (word < VALUE_FROZEN || word >= VALUE_BOXED) { /* not frozen yet */
            /* before the freezing, so that who sees it frozen can finish */
            if (needs_box(value) && boxes_for(to) == NULL)
                return MLOPT_MAP_NO_MEMORY;
            atomic_store_explicit(&mine->cell, (uint64_t)value, memory_order_release);
            MLOPT_MAP_STEP();
            const uint64_t frozen = VALUE_FROZEN + mine->number;
            if (!atomic_compare_exchange_strong_explicit(&one->value, &word, frozen, memory_order_acq_rel,
                                                         memory_order_relaxed))
                continue;
            word = frozen;
        }
        MLOPT_MAP_STEP();
        carry(map, to, &key, key_word, value);
        MLOPT_MAP_STEP();
        /* fails where a helper was faster */
        atomic_compare_exchange_strong_explicit(&one->value, &word, VALUE_MOVED, memory_order_acq_rel,
                                                memory_order_acquire);
        return 0;
    }
}

static int copy_chunk(mlopt_map *map, mlopt_reclaim_record *mine, table *from, table *to, size_t chunk)
{
    const uint64_t entries = from->size + OWN_ENTRIES, start = (uint64_t)chunk * CHUNK;
    const uint64_t end = start + CHUNK < entries ? start + CHUNK : entries;
    for (uint64_t i = start; i < end; i++)
        if (copy_entry(map, mine, from, to, entry_at(from, i)))
            return MLOPT_MAP_NO_MEMORY;
    atomic_store_explicit(&from->finished[chunk], 1, memory_order_release);
    return 0;
}

/* Completes the migration away from a table, whatever the other helpers do.  0, or MLOPT_MAP_NO_MEMORY. */
static int finish(mlopt_map *map, mlopt_reclaim_record *mine, table *from)
{
    table *to = atomic_load_explicit(&from->next, memory_order_acquire);
    if (atomic_load_explicit(&map->root, memory_order_acquire) != from)
        return 0;
    for (size_t chunk = 0; chunk < from->chunk_count; chunk++)
        if (!atomic_load_explicit(&from->finished[chunk], memory_order_acquire) &&
            copy_chunk(map, mine, from, to, chunk))
            return MLOPT_MAP_NO_MEMORY;
    table *expected = from;
    if (atomic_compare_exchange_strong_explicit(&map->root, &expected, to, memory_order_seq_cst,
                                                memory_order_relaxed)) {
        from->retired_epoch = mlopt_reclaim_retire();
        keep_retired(map, from);
        mine->retired = 1;
    }
    return 0;
}

/* A share of the migration, for whoever comes by. */
static int help(mlopt_map *map, mlopt_reclaim_record *mine, table *from)
{
    table *to = atomic_load_explicit(&from->next, memory_order_acquire);
    if (atomic_load_explicit(&map->root, memory_order_acquire) != from)
        return 0;
    const size_t chunk = atomic_fetch_add_explicit(&from->chunks_taken, 1, memory_order_relaxed);
    if (chunk < from->chunk_count && copy_chunk(map, mine, from, to, chunk))
        return MLOPT_MAP_NO_MEMORY;
    return chunk + 1 < from->chunk_count ? 0 : finish(map, mine, from);
}

/* Sees to it that a table that is used up gets a successor.  The caller then starts again from the root. */
static __attribute__((noinline)) int outgrow(mlopt_map *map, mlopt_reclaim_record *mine, table *full)
{
    table *root = atomic_load_explicit(&map->root, memory_order_acquire);
    if (root != full) /* only the root gets a successor: what leads to this table is finished first */
        return atomic_load_explicit(&root->next, memory_order_acquire) == full ? finish(map, mine, root) : 0;
    if (atomic_load_explicit(&full->next, memory_order_acquire))
        return finish(map, mine, full);
    /* twice the size, unless at least half of the claimed entries are of removed keys; and unless so many are taken
     * that they would not leave room, should all of them be stored again during the migration (a sixteenth is for
     * claims that are about to be given up) */
    const uint64_t claims = atomic_load_explicit(&full->claims, memory_order_relaxed);
    const int same = (uint64_t)count_keys(map) <= full->limit / 2 && claims <= full->limit + full->size / 16;
    const uint64_t size = same ? full->size : 2 * full->size;
    table *made = new_table(map, size), *none = NULL;
    if (made == NULL)
        return MLOPT_MAP_NO_MEMORY;
    if (!atomic_compare_exchange_strong_explicit(&full->next, &none, made, memory_order_acq_rel, memory_order_acquire))
        free_table(map, made);
    return 0;
}

#endif
