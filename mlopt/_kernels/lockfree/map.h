/* A hash map that threads share without locks: from 64-bit integers or bytes to 64-bit integers.
 *
 * Open addressing with linear probing over entries of 16 bytes, a key word and a value word, in the manner of
 * Click's non-blocking hash table.  Every state of an entry lies in these two words, each is changed by
 * compare-and-swap alone, and each moves only forward:
 *
 *     key word     EMPTY --> a key (for the table's life)          value word   EMPTY --> value <--> REMOVED
 *                  EMPTY --> CLOSED                                             value --> FROZEN --> MOVED
 *                                                                     EMPTY, REMOVED --> DROPPED
 *
 * Keys        A key is stored in the first entry of its probe sequence whose key word is EMPTY.  An entry is never
 *             given to another key, so that a key that is not found before the first EMPTY word is not there.
 * Removing    leaves the key with the value word REMOVED; the next migration drops it.
 * Migration   A table whose entries are used up gets a successor (`next`) of twice the size, or of the same
 *             where most of them are REMOVED.  Whoever changes the map and sees a successor copies a chunk of
 *             512 entries, and so may anyone at any time: every step below is a compare-and-swap that one of the
 *             helpers wins, and a helper that stops leaves nothing that others could not finish.
 *               EMPTY key      -> CLOSED: no key can come to lie behind it any more.  Only after this is a new
 *                                key whose probe ends here stored in the successor.
 *               EMPTY, REMOVED value -> DROPPED; the successor knows nothing of the key.
 *               a value        -> FROZEN by thread t, which showed the value in its cell before: from here on
 *                                it cannot change.  Everyone can read the value, and copy it.  The copy swaps the
 *                                successor's value word from EMPTY, which it leaves once and never returns to:
 *                                a late copy fails.  Then FROZEN -> MOVED: from here on the successor speaks.
 *             Until then the old entry speaks, for readers and writers.  When every entry is CLOSED, MOVED or
 *             DROPPED, the root is swapped to the successor, and only then may this one get a successor.
 * Room        Of a table of n entries, 5/8 n may be claimed.  A successor receives at most 11/16 n copies (it is
 *             larger, where more entries are taken), and n/8 new keys during the migration (who comes then
 *             finishes it first): it is never full, and a probe always ends.
 * All values  Value words are the values, with some bits flipped so that 0 is EMPTY; a window of 2^42 patterns
 *             means states.  A value that lies in the window is boxed: it stands in an array beside the table, in a
 *             place that is written once and named by the word.  Key words 0 and 1 are states too (after
 *             flipping other bits); the two integers that would be stored so have entries of their own.
 * Bytes       The key word is the address of a block with hash, length and bytes, and six bits of the hash.
 *             Words are compared by these bits, then hash, length and bytes.  A block belongs to the
 *             newest table that holds it; one whose entry was DROPPED is freed with its table.
 * Hash        64x64->128 bit multiplications folded (as in wyhash) with two random words of the map.
 * Ordering    Words are swapped with release and loaded with acquire: who sees a key's address sees the block, who
 *             sees a boxed value's number sees the box, who sees FROZEN sees the cell, and who sees CLOSED, MOVED
 *             or DROPPED sees the successor and the copy.  A cell is stored with release, loaded with acquire, and
 *             the value word loaded again: had the cell belonged to a later entry already, its owner would have
 *             seen this one MOVED before, and so would the second load.  Counts are relaxed.
 * Reclaiming  reclaim.h: every call is a section.  What sections protect is the tables and the blocks of keys;
 *             integers as values need nothing more.
 * Progress    Reading is lock-free, and waits for nobody: a probe in at most two tables, unless the map grows again
 *             meanwhile.  Changes are lock-free; one that finds the table used up allocates and zeroes the next.
 * Linearised  at the swap or load of the value word that decides, or at the load of an EMPTY key word.
 *
 * A function that returns MLOPT_MAP_NO_MEMORY has changed nothing that can be observed. */
#ifndef MLOPT_LOCKFREE_MAP_H
#define MLOPT_LOCKFREE_MAP_H

#include <stddef.h>
#include <stdint.h>

#define MLOPT_MAP_NO_MEMORY (-1)
#define MLOPT_MAP_OTHER_KEYS (-2) /* bytes where the map has integers, or integers where it has bytes */
#define MLOPT_MAP_MAX_CAPACITY ((uint64_t)1 << 36)

typedef struct mlopt_map mlopt_map;

typedef enum mlopt_map_keys { MLOPT_MAP_INT64, MLOPT_MAP_BYTES } mlopt_map_keys;

/* A key: `data` is NULL for an integer. */
typedef struct mlopt_map_key {
    const void *data;
    size_t bytes;
    int64_t number;
} mlopt_map_key;

/* Where memory comes from (the slab pool's functions); to be set once, before any map is made. */
void mlopt_map_use_memory(void *(*acquire)(size_t), void *(*acquire_zeroed)(size_t), void (*release)(void *));

/* A map with room for `capacity` keys before it grows; NULL where there is no memory.  The words are its
 * secret. */
mlopt_map *mlopt_map_create(mlopt_map_keys keys, uint64_t capacity, uint64_t secret0, uint64_t secret1);

/* No other thread may use it any more. */
void mlopt_map_destroy(mlopt_map *map);

mlopt_map_keys mlopt_map_kind(const mlopt_map *map);

/* 1 and the value, or 0. */
int mlopt_map_find(mlopt_map *map, int64_t key, int64_t *value);
int mlopt_map_find_bytes(mlopt_map *map, const void *data, size_t bytes, int64_t *value);

/* The values of `count` integers in one section, in the order of the keys; those that are absent get `missing`.
 * How many were there. */
int64_t mlopt_map_find_many(mlopt_map *map, const int64_t *keys, size_t count, int64_t missing, int64_t *values);

/* 1 where the key is new, 0 where it was there: `previous`, unless NULL, receives its value. */
int mlopt_map_put(mlopt_map *map, mlopt_map_key key, int64_t value, int64_t *previous);

/* The same, but a value that is there stays. */
int mlopt_map_insert(mlopt_map *map, mlopt_map_key key, int64_t value, int64_t *present);

/* 1 where the key was there and its value `expected`, which becomes `value`; 0 where nothing changed. */
int mlopt_map_update_if(mlopt_map *map, mlopt_map_key key, int64_t expected, int64_t value);

/* Adds to the value, modulo 2^64; what is not there counts as 0.  1 where the key is new, 0 where it was there. */
int mlopt_map_add(mlopt_map *map, mlopt_map_key key, int64_t delta, int64_t *sum);

/* 1 where the key was there; `previous`, unless NULL, receives its value. */
int mlopt_map_remove(mlopt_map *map, mlopt_map_key key, int64_t *previous);

/* Removes every key that is there when it begins and is not stored again meanwhile.  0, or MLOPT_MAP_NO_MEMORY. */
int mlopt_map_clear(mlopt_map *map);

/* How many keys there are: exactly, while no other thread changes the map. */
int64_t mlopt_map_count(mlopt_map *map);

/* The bytes that the map has for tables and what migrations left, without keys and boxes. */
uint64_t mlopt_map_bytes(mlopt_map *map);

/* Frees what was retired, as far as no reader can see it; returns how many tables still wait. */
size_t mlopt_map_collect(mlopt_map *map);

/* Walks over one table.  Every key that is there from begin to end comes exactly once, with a value that it
 * had in between; a key that comes or goes meanwhile comes once or not at all.  Between begin and end the thread is in
 * a section, which holds memory back.  begin returns 0, or MLOPT_MAP_NO_MEMORY, with no section to end. */
typedef struct mlopt_map_walk {
    mlopt_map *map;
    void *table, *record;
    uint64_t position, bound; /* at most `bound` keys come */
} mlopt_map_walk;

int mlopt_map_walk_begin(mlopt_map *map, mlopt_map_walk *walk);
int mlopt_map_walk_next(mlopt_map_walk *walk, mlopt_map_key *key, int64_t *value);
void mlopt_map_walk_end(mlopt_map_walk *walk);

#endif
