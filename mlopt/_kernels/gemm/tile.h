/* The microkernel for one element type: a tile of C held in registers while k runs by.
 *
 * One body serves every size of tile and every source of its operands; what differs is constant where
 * it is inlined:
 *   rows, vectors   the size of the tile
 *   edge            what the last vector of a row is
 *   order           how A lies in memory
 *   fresh           whether the rows of B are also copied to where later tiles find them packed
 *
 * Memory is asked for evenly, while the multiplications go on.  A burst of prefetches fills the buffers of
 * outstanding misses, and everything behind it waits: two lines of the next rows of A, one line of C and
 * the rows of B that are some steps ahead are requested every few steps instead. */

#ifndef MLOPT_TILE_KINDS
#define MLOPT_TILE_KINDS
/* What the last vector of a tile is. */
enum {
    MLOPT_TILE_FULL,   /* whole */
    MLOPT_TILE_PADDED, /* cut short in C, whole in B (packed B is filled up with zeros) */
    MLOPT_TILE_CUT,    /* cut short in C and in B */
    MLOPT_TILE_EDGES
};
/* How A lies. */
enum {
    MLOPT_TILE_BY_ROWS,    /* rows are contiguous along k, a_step apart */
    MLOPT_TILE_BY_COLUMNS, /* what one step of k needs is contiguous, steps are a_step apart */
    MLOPT_TILE_ORDERS
};
/* Steps of k between two rounds of prefetches. */
#define MLOPT_TILE_ROUND 8
#endif

typedef struct F(tile_arguments) {
    size_t k;
    const T *a;
    ptrdiff_t a_step;
    const T *b;
    ptrdiff_t b_row;
    T *c;
    ptrdiff_t c_row;
    T *copy;            /* fresh: the packed rows of B */
    ptrdiff_t ahead;    /* elements from a row of B to the one prefetched with it */
    const T *next[2];   /* what the tiles to come need of A, */
    ptrdiff_t next_step; /* and how far it is to the next round's */
    size_t last;        /* lanes of the last vector that belong to C */
    int accumulate;
} F(tile_arguments);

/* What of C a tile of some edge reads and writes: row i, vector j. */
MLOPT_INLINE V F(tile_load)(const int cut, const T *p, size_t last)
{
    return cut ? F(load_first)(p, last) : F(load)(p);
}

MLOPT_INLINE void F(tile)(const size_t rows, const size_t vectors, const int edge, const int order, const int fresh,
                          const F(tile_arguments) * t)
{
    V sums[MLOPT_TILE_ROWS][MLOPT_TILE_VECTORS];
    const size_t last = t->last;
    const ptrdiff_t a_step = t->a_step, a_three = 3 * a_step, b_row = t->b_row, ahead = t->ahead;
    /* rows 0 to 3 and 4 to 7: addresses that need no register of their own */
    const T *a = t->a, *a_low = order == MLOPT_TILE_BY_ROWS ? a + 4 * a_step : a + 4;
    const T *b = t->b, *next = t->next[0], *next_too = t->next[1], *c_line = t->c;
    const ptrdiff_t next_step = t->next_step, c_row = t->c_row;
    T *copy = t->copy;
    size_t rounds = t->k / MLOPT_TILE_ROUND, c_left = rows;
    MLOPT_UNROLL_FULLY
    for (size_t i = 0; i < rows; i++) {
        MLOPT_UNROLL_FULLY
        for (size_t j = 0; j < vectors; j++)
            sums[i][j] = F(zero)();
    }
    MLOPT_ROLLED
    for (size_t i = rounds; i < rows; i++)
        for (size_t j = 0; j < vectors; j++)
            __builtin_prefetch(t->c + (ptrdiff_t)i * c_row + j * LANES, 1);
#define A(i)                                                                                                           \
    (order == MLOPT_TILE_BY_ROWS                                                                                       \
         ? ((i) < 4 ? a : a_low)[(i) % 4 == 3 ? a_three : (ptrdiff_t)((i) % 4) * a_step]                               \
         : a[i])
#define STEP                                                                                                           \
    {                                                                                                                  \
        V row[MLOPT_TILE_VECTORS];                                                                                     \
        MLOPT_UNROLL_FULLY                                                                                             \
        for (size_t j = 0; j < vectors; j++) {                                                                         \
            row[j] = F(tile_load)(edge == MLOPT_TILE_CUT && j == vectors - 1, b + j * LANES, last);                    \
            if (fresh) {                                                                                               \
                F(store)(copy + j * LANES, row[j]);                                                                    \
                __builtin_prefetch(b + ahead + j * LANES, 0, 2);                                                       \
            }                                                                                                          \
        }                                                                                                              \
        MLOPT_UNROLL_FULLY                                                                                             \
        for (size_t i = 0; i < rows; i++) {                                                                            \
            const V x = F(set1)(A(i));                                                                                 \
            MLOPT_UNROLL_FULLY                                                                                         \
            for (size_t j = 0; j < vectors; j++)                                                                       \
                sums[i][j] = F(fma)(x, row[j], sums[i][j]);                                                            \
        }                                                                                                              \
        b += b_row;                                                                                                    \
        a += order == MLOPT_TILE_BY_ROWS ? 1 : a_step;                                                                 \
        a_low += 1;                                                                                                    \
        if (fresh)                                                                                                     \
            copy += MLOPT_TILE_VECTORS * LANES;                                                                        \
    }
    for (; rounds; rounds--) {
        __builtin_prefetch(next, 0, 2);
        __builtin_prefetch(next_too, 0, 2);
        next += next_step, next_too += next_step;
        MLOPT_UNROLL_FULLY
        for (size_t j = 0; j < vectors; j++)
            __builtin_prefetch(c_line + j * LANES, 1);
        c_line += --c_left ? c_row : 0;
        c_left += !c_left;
        MLOPT_ROLLED
        for (int step = 0; step < MLOPT_TILE_ROUND; step++)
            STEP
    }
    MLOPT_ROLLED
    for (size_t left = t->k % MLOPT_TILE_ROUND; left; left--)
        STEP
#undef STEP
#undef A
    T *c = t->c;
    if (t->accumulate) {
        MLOPT_UNROLL_FULLY
        for (size_t i = 0; i < rows; i++) {
            MLOPT_UNROLL_FULLY
            for (size_t j = 0; j < vectors; j++)
                sums[i][j] = F(add)(F(tile_load)(edge != MLOPT_TILE_FULL && j == vectors - 1,
                                                 c + (ptrdiff_t)i * c_row + j * LANES, last),
                                    sums[i][j]);
        }
    }
    MLOPT_UNROLL_FULLY
    for (size_t i = 0; i < rows; i++, c += c_row) {
        MLOPT_UNROLL_FULLY
        for (size_t j = 0; j < vectors; j++) {
            if (edge != MLOPT_TILE_FULL && j == vectors - 1)
                F(store_first)(c + j * LANES, last, sums[i][j]);
            else
                F(store)(c + j * LANES, sums[i][j]);
        }
    }
}

typedef void F(tile_function)(const F(tile_arguments) * t);

/* Every size of tile, each kind of edge, both orders of A: mlopt_tile_8x3_FULL_BY_ROWS_f64_avx512. */
#define TILE(rows, vectors, edge, order)                                                                               \
    static void K(tile_##rows##x##vectors##_##edge##_##order)(const F(tile_arguments) * t)                             \
    {                                                                                                                  \
        F(tile)(rows, vectors, MLOPT_TILE_##edge, MLOPT_TILE_##order, 0, t);                                           \
    }
#define TILE_NAME(rows, vectors, edge, order) K(tile_##rows##x##vectors##_##edge##_##order),
#define TILE_ORDERS(one, rows, vectors, edge) one(rows, vectors, edge, BY_ROWS) one(rows, vectors, edge, BY_COLUMNS)
#define TILE_ORDERS_NAMED(one, rows, vectors, edge) {TILE_ORDERS(one, rows, vectors, edge)},
#define TILE_EDGES(orders, one, rows, vectors)                                                                         \
    orders(one, rows, vectors, FULL) orders(one, rows, vectors, PADDED) orders(one, rows, vectors, CUT)
#define TILE_EDGES_NAMED(orders, one, rows, vectors) {TILE_EDGES(orders, one, rows, vectors)},
#if MLOPT_TILE_VECTORS == 3
#define TILE_WIDTHS(edges, orders, one, rows)                                                                          \
    edges(orders, one, rows, 1) edges(orders, one, rows, 2) edges(orders, one, rows, 3)
#else
#define TILE_WIDTHS(edges, orders, one, rows) edges(orders, one, rows, 1) edges(orders, one, rows, 2)
#endif
#define TILES(rows) TILE_WIDTHS(TILE_EDGES, TILE_ORDERS, TILE, rows)
#define TILES_NAMED(rows) {TILE_WIDTHS(TILE_EDGES_NAMED, TILE_ORDERS_NAMED, TILE_NAME, rows)},

TILES(1)
TILES(2)
TILES(3)
TILES(4)
#if MLOPT_TILE_ROWS == 8
TILES(5)
TILES(6)
TILES(7)
TILES(8)
#endif

static F(tile_function) *const F(tiles)[][MLOPT_TILE_VECTORS][MLOPT_TILE_EDGES][MLOPT_TILE_ORDERS] = {
    TILES_NAMED(1) TILES_NAMED(2) TILES_NAMED(3) TILES_NAMED(4)
#if MLOPT_TILE_ROWS == 8
        TILES_NAMED(5) TILES_NAMED(6) TILES_NAMED(7) TILES_NAMED(8)
#endif
};

/* The tiles that meet a block of B first, and pack it. */
#define FRESH(rows, vectors, edge, order)                                                                              \
    static void K(tile_fresh_##vectors##_##edge##_##order)(const F(tile_arguments) * t)                                \
    {                                                                                                                  \
        F(tile)(MLOPT_TILE_ROWS, vectors, MLOPT_TILE_##edge, MLOPT_TILE_##order, 1, t);                                \
    }
#define FRESH_NAME(rows, vectors, edge, order) K(tile_fresh_##vectors##_##edge##_##order),
#define FRESH_EDGES(orders, one, rows, vectors) orders(one, rows, vectors, FULL) orders(one, rows, vectors, CUT)
#define FRESH_EDGES_NAMED(orders, one, rows, vectors) {FRESH_EDGES(orders, one, rows, vectors)},

TILE_WIDTHS(FRESH_EDGES, TILE_ORDERS, FRESH, 0)

static F(tile_function) *const F(fresh_tiles)[MLOPT_TILE_VECTORS][2][MLOPT_TILE_ORDERS] = {
    TILE_WIDTHS(FRESH_EDGES_NAMED, TILE_ORDERS_NAMED, FRESH_NAME, 0)};

#undef TILE
#undef TILE_NAME
#undef TILE_ORDERS
#undef TILE_ORDERS_NAMED
#undef TILE_EDGES
#undef TILE_EDGES_NAMED
#undef TILE_WIDTHS
#undef TILES
#undef TILES_NAMED
#undef FRESH
#undef FRESH_NAME
#undef FRESH_EDGES
#undef FRESH_EDGES_NAMED
