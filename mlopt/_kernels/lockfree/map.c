#include "map.h"

#include "map_change.h"

void mlopt_map_use_memory(void *(*new_acquire)(size_t), void *(*new_acquire_zeroed)(size_t),
                          void (*new_release)(void *))
{
    acquire = new_acquire;
    acquire_zeroed = new_acquire_zeroed;
    release = new_release;
}

mlopt_map *mlopt_map_create(mlopt_map_keys keys, uint64_t capacity, uint64_t secret0, uint64_t secret1)
{
    uint64_t size = SMALLEST;
    while (size / 2 + size / 8 < capacity)
        size *= 2;
    mlopt_map *map = acquire_zeroed(sizeof(mlopt_map));
    if (map == NULL)
        return NULL;
    map->keys = keys;
    map->secret[0] = secret0;
    map->secret[1] = secret1 | 1;
    table *root = new_table(map, size);
    if (root == NULL) {
        release(map);
        return NULL;
    }
    atomic_init(&map->root, root);
    return map;
}

void mlopt_map_destroy(mlopt_map *map)
{
    if (map == NULL)
        return;
    table *root = atomic_load_explicit(&map->root, memory_order_acquire), *next;
    for (table *one = atomic_load_explicit(&map->retired, memory_order_acquire); one; one = next) {
        next = one->retired_next;
        free_retired(map, one);
    }
    next = atomic_load_explicit(&root->next, memory_order_acquire);
    if (map->keys == MLOPT_MAP_BYTES) {
        for (uint64_t i = 0; i < root->size; i++) {
            const uint64_t word = atomic_load_explicit(&root->entries[i].key, memory_order_relaxed);
            /* what has been copied, or perhaps has, belongs to the successor */
            if (word > KEY_CLOSED &&
                atomic_load_explicit(&root->entries[i].value, memory_order_relaxed) != VALUE_MOVED) {
                entry *copy;
                uint64_t there = KEY_EMPTY;
                const key_block *block = block_of(word);
                const lookup key = {block->hash >> 58, block->hash, block->data, block->bytes};
                if (next == NULL || locate(MLOPT_MAP_BYTES, next, &key, &copy, &there) != FOUND || there != word)
                    release(block_of(word));
            }
        }
        for (uint64_t i = 0; next && i < next->size; i++) {
            const uint64_t word = atomic_load_explicit(&next->entries[i].key, memory_order_relaxed);
            if (word > KEY_CLOSED)
                release(block_of(word));
        }
    }
    if (next)
        free_table(map, next);
    free_table(map, root);
    release(map);
}

/* ---------------------------------------------------------------------------------------------- */
/* Reading */

/* Inside a section. */
ALWAYS_INLINE int find(mlopt_map *map, mlopt_map_keys keys, const lookup *key, int64_t *value)
{
    /* sequentially consistent: reclaim.h */
    table *in = atomic_load_explicit(&map->root, memory_order_seq_cst);
    for (;;) {
        entry *one;
        uint64_t word;
        const found result = locate(keys, in, key, &one, &word);
        if (LIKELY(result == FOUND)) {
            const state now = read_value(in, one, &word, value);
            if (LIKELY(now != ELSEWHERE))
                return now == PRESENT;
            MLOPT_MAP_STEP();
        } else if (result == FREE_ENTRY) {
            return 0;
        }
        in = atomic_load_explicit(&in->next, memory_order_acquire);
    }
}

int mlopt_map_find(mlopt_map *map, int64_t key, int64_t *value)
{
    mlopt_reclaim_record *mine = mlopt_reclaim_mine();
    if (UNLIKELY(map->keys != MLOPT_MAP_INT64))
        return MLOPT_MAP_OTHER_KEYS;
    if (UNLIKELY(mine == NULL))
        return MLOPT_MAP_NO_MEMORY;
    const lookup searched = lookup_word(map->secret, (uint64_t)key ^ KEY_FLIP);
    mlopt_reclaim_enter(mine);
    const int there = find(map, MLOPT_MAP_INT64, &searched, value);
    mlopt_reclaim_leave(mine);
    return there;
}

int mlopt_map_find_bytes(mlopt_map *map, const void *data, size_t bytes, int64_t *value)
{
    mlopt_reclaim_record *mine = mlopt_reclaim_mine();
    if (UNLIKELY(map->keys != MLOPT_MAP_BYTES))
        return MLOPT_MAP_OTHER_KEYS;
    if (UNLIKELY(mine == NULL))
        return MLOPT_MAP_NO_MEMORY;
    const lookup searched = lookup_bytes(map->secret, data, bytes);
    mlopt_reclaim_enter(mine);
    const int there = find(map, MLOPT_MAP_BYTES, &searched, value);
    mlopt_reclaim_leave(mine);
    return there;
}

/* Keys whose entries are fetched ahead of the one that is read. */
enum { AHEAD = 8 };

int64_t mlopt_map_find_many(mlopt_map *map, const int64_t *keys, size_t count, int64_t missing, int64_t *values)
{
    mlopt_reclaim_record *mine = mlopt_reclaim_mine();
    if (UNLIKELY(map->keys != MLOPT_MAP_INT64))
        return MLOPT_MAP_OTHER_KEYS;
    if (UNLIKELY(mine == NULL))
        return MLOPT_MAP_NO_MEMORY;
    int64_t present = 0;
    lookup searched[AHEAD];
    mlopt_reclaim_enter(mine);
    const table *root = atomic_load_explicit(&map->root, memory_order_seq_cst);
    for (size_t i = 0; i < count + AHEAD; i++) {
        lookup *place = &searched[i % AHEAD];
        if (i >= AHEAD) {
            int64_t value;
            const int there = find(map, MLOPT_MAP_INT64, place, &value);
            values[i - AHEAD] = there ? value : missing;
            present += there;
        }
        if (i < count) {
            *place = lookup_word(map->secret, (uint64_t)keys[i] ^ KEY_FLIP);
            __builtin_prefetch(&root->entries[place->hash & root->mask]);
        }
    }
    mlopt_reclaim_leave(mine);
    return present;
}

/* ---------------------------------------------------------------------------------------------- */
/* Changing */

/* 0, or what went wrong. */
static int apply(mlopt_map *map, mlopt_map_key key, change *wanted)
{
    mlopt_reclaim_record *mine = mlopt_reclaim_mine();
    if (UNLIKELY((key.data != NULL) != (map->keys == MLOPT_MAP_BYTES)))
        return MLOPT_MAP_OTHER_KEYS;
    if (UNLIKELY(mine == NULL))
        return MLOPT_MAP_NO_MEMORY;
    const lookup searched = map->keys == MLOPT_MAP_BYTES ? lookup_bytes(map->secret, key.data, key.bytes)
                                                         : lookup_word(map->secret, (uint64_t)key.number ^ KEY_FLIP);
    key_block *block = NULL;
    mlopt_reclaim_enter(mine);
    table *in = atomic_load_explicit(&map->root, memory_order_seq_cst);
    if (UNLIKELY(atomic_load_explicit(&in->next, memory_order_acquire) != NULL))
        help(map, mine, in); /* as far as there is memory: who needs the room will say so */
    outcome result;
    while ((result = change_in(map, mine, in, &searched, wanted, &block)) != DONE) {
        if (result == AGAIN)
            continue;
        if (result == FOLLOW) {
            in = atomic_load_explicit(&in->next, memory_order_acquire);
            continue;
        }
        if (result == NO_MEMORY || outgrow(map, mine, in)) {
            result = NO_MEMORY;
            break;
        }
        in = atomic_load_explicit(&map->root, memory_order_seq_cst);
    }
    if (UNLIKELY(block != NULL))
        destroy_block(&block);
    if (result == DONE && wanted->changed && wanted->was_present == (wanted->kind == REMOVE))
        atomic_fetch_add_explicit(&map->stripes[mine->number % STRIPES].keys, wanted->was_present ? -1 : 1,
                                  memory_order_relaxed);
    mlopt_reclaim_leave(mine);
    if (UNLIKELY(atomic_load_explicit(&map->retired, memory_order_relaxed) != NULL) &&
        (mine->retired || ++mine->operations % 64 == 0)) {
        mine->retired = 0;
        collect(map);
    }
    return result == DONE ? 0 : MLOPT_MAP_NO_MEMORY;
}

int mlopt_map_put(mlopt_map *map, mlopt_map_key key, int64_t value, int64_t *previous)
{
    change one = {.kind = PUT, .argument = value};
    const int status = apply(map, key, &one);
    if (UNLIKELY(status))
        return status;
    if (one.was_present && previous)
        *previous = one.before;
    return !one.was_present;
}

int mlopt_map_insert(mlopt_map *map, mlopt_map_key key, int64_t value, int64_t *present)
{
    change one = {.kind = INSERT, .argument = value};
    const int status = apply(map, key, &one);
    if (UNLIKELY(status))
        return status;
    if (one.was_present && present)
        *present = one.before;
    return !one.was_present;
}

int mlopt_map_update_if(mlopt_map *map, mlopt_map_key key, int64_t expected, int64_t value)
{
    change one = {.kind = UPDATE_IF, .argument = value, .expected = expected};
    const int status = apply(map, key, &one);
    return status ? status : one.changed;
}

int mlopt_map_add(mlopt_map *map, mlopt_map_key key, int64_t delta, int64_t *sum)
{
    change one = {.kind = ADD, .argument = delta};
    const int status = apply(map, key, &one);
    if (UNLIKELY(status))
        return status;
    if (sum)
        *sum = one.after;
    return !one.was_present;
}

int mlopt_map_remove(mlopt_map *map, mlopt_map_key key, int64_t *previous)
{
    change one = {.kind = REMOVE};
    const int status = apply(map, key, &one);
    if (UNLIKELY(status))
        return status;
    if (one.was_present && previous)
        *previous = one.before;
    return one.was_present;
}

/* ---------------------------------------------------------------------------------------------- */
/* The whole */

mlopt_map_keys mlopt_map_kind(const mlopt_map *map) { return map->keys; }

int64_t mlopt_map_count(mlopt_map *map) { return count_keys(map); }

size_t mlopt_map_collect(mlopt_map *map) { return collect(map); }

uint64_t mlopt_map_bytes(mlopt_map *map) { return atomic_load_explicit(&map->bytes, memory_order_relaxed); }

int mlopt_map_walk_begin(mlopt_map *map, mlopt_map_walk *walk)
{
    mlopt_reclaim_record *mine = mlopt_reclaim_mine();
    if (mine == NULL)
        return MLOPT_MAP_NO_MEMORY;
    mlopt_reclaim_enter(mine);
    table *root;
    /* the walk is over a table that no other leads to: what is not in it was not there now */
    while (root = atomic_load_explicit(&map->root, memory_order_seq_cst),
           atomic_load_explicit(&root->next, memory_order_acquire) != NULL)
        if (finish(map, mine, root)) {
            mlopt_reclaim_leave(mine);
            return MLOPT_MAP_NO_MEMORY;
        }
    *walk = (mlopt_map_walk){map, root, mine, 0, root->size - root->size / 8 + OWN_ENTRIES};
    return 0;
}

int mlopt_map_walk_next(mlopt_map_walk *walk, mlopt_map_key *key, int64_t *value)
{
    table *in = walk->table;
    const mlopt_map_keys keys = walk->map->keys;
    while (walk->position < in->size + OWN_ENTRIES) {
        const uint64_t i = walk->position++;
        entry *one = entry_at(in, i);
        uint64_t word = atomic_load_explicit(&one->key, memory_order_acquire);
        if (word <= KEY_CLOSED || (keys == MLOPT_MAP_BYTES && i >= in->size))
            continue;
        lookup searched;
        if (keys == MLOPT_MAP_INT64) {
            searched = lookup_word(walk->map->secret, i < in->size ? word : i - in->size);
            *key = (mlopt_map_key){NULL, sizeof(int64_t), (int64_t)(searched.word ^ KEY_FLIP)};
        } else {
            const key_block *block = block_of(word);
            searched = (lookup){block->hash >> 58, block->hash, block->data, block->bytes};
            *key = (mlopt_map_key){block->data, block->bytes, 0};
        }
        const state now = read_value(in, one, &word, value);
        if (now == PRESENT || (now == ELSEWHERE && find(walk->map, keys, &searched, value)))
            return 1;
    }
    return 0;
}

void mlopt_map_walk_end(mlopt_map_walk *walk) { mlopt_reclaim_leave(walk->record); }

int mlopt_map_clear(mlopt_map *map)
{
    mlopt_map_walk walk;
    mlopt_map_key key;
    int64_t value;
    int status = mlopt_map_walk_begin(map, &walk);
    if (status)
        return status;
    while (status >= 0 && mlopt_map_walk_next(&walk, &key, &value))
        status = mlopt_map_remove(map, key, NULL);
    mlopt_map_walk_end(&walk);
    return status < 0 ? status : 0;
}
