/* The microkernel for one element type: a tile of C held in registers while k runs by.
 *
 * One body serves every size of tile and every source of its operands; what differs is constant where
 * it is inlined:
 *   rows, vectors   the size of the tile
 *   source          where B comes from, and what the last vector of a row is
 *   order           how A lies in memory
 *
 * Memory is asked for evenly, while the multiplications go on.  A burst of prefetches fills the buffers of
 * outstanding misses, and everything behind it waits: two lines of the next rows of A, one line of C and
 * the rows of B that are some steps ahead are requested every few steps instead. */

#ifndef MLOPT_TILE_KINDS
#define MLOPT_TILE_KINDS
/* Where B comes from.  A vector that is cut short has fewer lanes in C than elsewhere. */
enum {
    MLOPT_TILE_FULL, /* packed, or small and in place; all vectors are whole */
#if MLOPT_TILE_HALVES
    MLOPT_TILE_CUT,  /* the last vector is cut short */
    MLOPT_TILE_HALF, /* to half its lanes or fewer */
#else
    MLOPT_TILE_PADDED, /* the last vector is cut short in C, but filled up with zeros in packed B */
    MLOPT_TILE_CUT,    /* cut short in both */
#endif
    MLOPT_TILE_FRESH,     /* in place and not met before: its rows are asked for ahead, and packed for later tiles */
    MLOPT_TILE_FRESH_CUT, /* the same, and the last vector is cut short */
#if MLOPT_TILE_HALVES
    MLOPT_TILE_FRESH_HALF,
#endif
    MLOPT_TILE_SOURCES
};
#if MLOPT_TILE_HALVES
#define MLOPT_TILE_PADDED MLOPT_TILE_CUT /* a masked load costs no more than another */
#define MLOPT_TILE_IS_HALF(source) ((source) == MLOPT_TILE_HALF || (source) == MLOPT_TILE_FRESH_HALF)
#else
#define MLOPT_TILE_IS_HALF(source) 0
#define MLOPT_TILE_FRESH_HALF MLOPT_TILE_FRESH_CUT
#endif
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
    T *copy;             /* fresh: the packed rows of B */
    ptrdiff_t ahead;     /* elements from a row of B to the one prefetched with it */
    const T *next[2];    /* what the tiles to come need of A, */
    ptrdiff_t next_step; /* and how far it is to the next round's */
    size_t last;         /* lanes of the last vector that belong to C */
    int accumulate;
} F(tile_arguments);

MLOPT_INLINE V F(tile_load)(const int cut, const T *p, size_t last)
{
    return cut ? F(load_first)(p, last) : F(load)(p);
}

#if MLOPT_TILE_HALVES
#define HALF_ROWS(name, count) H name[count];
#define IF_HALF(...)                                                                                                   \
    if (half) {                                                                                                        \
        __VA_ARGS__;                                                                                                   \
    }
#else
#define HALF_ROWS(name, count)
#define IF_HALF(...)
#endif

MLOPT_INLINE void F(tile)(const size_t rows, const size_t vectors, const int source, const int order,
                          const F(tile_arguments) * t)
{
    const int fresh = source >= MLOPT_TILE_FRESH, half = MLOPT_TILE_IS_HALF(source);
    const int cut_b = source == MLOPT_TILE_CUT || source == MLOPT_TILE_FRESH_CUT;
    const int cut_c = cut_b || source == MLOPT_TILE_PADDED;
    const size_t wide = vectors - (size_t)half; /* vectors that are more than half */
    V sums[MLOPT_TILE_ROWS][MLOPT_TILE_VECTORS];
    HALF_ROWS(half_sums, MLOPT_TILE_ROWS)
    const size_t last = t->last;
    const ptrdiff_t a_step = t->a_step, a_three = 3 * a_step, b_row = t->b_row, ahead = t->ahead;
    /* rows 0 to 3 and 4 to 7: addresses that need no register of their own */
    const T *a = t->a, *a_low = order == MLOPT_TILE_BY_ROWS ? a + 4 * a_step : a + 4;
    const T *b = t->b, *next = t->next[0], *next_too = t->next[1], *c_line = t->c;
    const ptrdiff_t next_step = t->next_step, c_row = t->c_row;
    T *copy = t->copy;
    MLOPT_UNROLL_FULLY
    for (size_t i = 0; i < rows; i++) {
        MLOPT_UNROLL_FULLY
        for (size_t j = 0; j < wide; j++)
            sums[i][j] = F(zero)();
        IF_HALF(half_sums[i] = F(half_zero)());
    }
    size_t c_left = rows;
    for (size_t left = t->k, steps; left; left -= steps) {
        __builtin_prefetch(next, 0, 2);
        __builtin_prefetch(next_too, 0, 2);
        next += next_step, next_too += next_step;
        MLOPT_UNROLL_FULLY
        for (size_t j = 0; j < vectors; j++)
            __builtin_prefetch(c_line + j * LANES, 1);
        c_line += --c_left ? c_row : 0;
        c_left += !c_left;
        steps = left < MLOPT_TILE_ROUND ? left : MLOPT_TILE_ROUND;
        MLOPT_ROLLED
        for (size_t step = 0; step < steps; step++) {
            V row[MLOPT_TILE_VECTORS];
            HALF_ROWS(half_row, 1)
            MLOPT_UNROLL_FULLY
            for (size_t j = 0; j < wide; j++) {
                row[j] = F(tile_load)(cut_b && j == vectors - 1, b + j * LANES, last);
                if (fresh) {
                    F(store)(copy + j * LANES, row[j]);
                    __builtin_prefetch(b + ahead + j * LANES, 0, 2);
                }
            }
            IF_HALF(half_row[0] = F(half_load_first)(b + wide * LANES, last);
                    if (fresh) F(half_store_first)(copy + wide * LANES, LANES / 2, half_row[0]));
            MLOPT_UNROLL_FULLY
            for (size_t i = 0; i < rows; i++) {
                const T *const of_a = i < 4 ? a : a_low;
                const T of_row = order == MLOPT_TILE_BY_COLUMNS ? of_a[i % 4]
                                 : i % 4 == 3                   ? of_a[a_three]
                                                                : of_a[(ptrdiff_t)(i % 4) * a_step];
                const V x = F(set1)(of_row);
                MLOPT_UNROLL_FULLY
                for (size_t j = 0; j < wide; j++)
                    sums[i][j] = F(fma)(x, row[j], sums[i][j]);
                IF_HALF(half_sums[i] =
                            F(half_fma)(wide ? F(half)(x) : F(half_set1)(of_row), half_row[0], half_sums[i]));
            }
            a += order == MLOPT_TILE_BY_ROWS ? 1 : a_step;
            a_low += order == MLOPT_TILE_BY_ROWS ? 1 : a_step;
            b += b_row;
            if (fresh)
                copy += MLOPT_TILE_VECTORS * LANES;
        }
    }
    T *c = t->c;
    if (t->accumulate) {
        MLOPT_UNROLL_FULLY
        for (size_t i = 0; i < rows; i++) {
            MLOPT_UNROLL_FULLY
            for (size_t j = 0; j < wide; j++)
                sums[i][j] = F(add)(F(tile_load)(cut_c && j == vectors - 1, c + (ptrdiff_t)i * c_row + j * LANES, last),
                                    sums[i][j]);
            IF_HALF(half_sums[i] =
                        F(half_add)(F(half_load_first)(c + (ptrdiff_t)i * c_row + wide * LANES, last), half_sums[i]));
        }
    }
    MLOPT_UNROLL_FULLY
    for (size_t i = 0; i < rows; i++, c += c_row) {
        MLOPT_UNROLL_FULLY
        for (size_t j = 0; j < wide; j++) {
            if (cut_c && j == vectors - 1)
                F(store_first)(c + j * LANES, last, sums[i][j]);
            else
                F(store)(c + j * LANES, sums[i][j]);
        }
        IF_HALF(F(half_store_first)(c + wide * LANES, last, half_sums[i]));
    }
}

#undef HALF_ROWS
#undef IF_HALF

typedef void F(tile_function)(const F(tile_arguments) * t);

/* Every size of tile from every source in both orders of A: mlopt_tile_8x3_FULL_BY_ROWS_f64_avx512. */
#define TILE(rows, vectors, source, order)                                                                             \
    static void K(tile_##rows##x##vectors##_##source##_##order)(const F(tile_arguments) * t)                           \
    {                                                                                                                  \
        F(tile)(rows, vectors, MLOPT_TILE_##source, MLOPT_TILE_##order, t);                                            \
    }
#define NAME(rows, vectors, source, order) K(tile_##rows##x##vectors##_##source##_##order),
#define ORDERS(one, rows, vectors, source) one(rows, vectors, source, BY_ROWS) one(rows, vectors, source, BY_COLUMNS)
#define ORDERS_NAMED(one, rows, vectors, source) {ORDERS(one, rows, vectors, source)},
#if MLOPT_TILE_HALVES
#define SOURCES(orders, one, rows, vectors)                                                                            \
    orders(one, rows, vectors, FULL) orders(one, rows, vectors, CUT) orders(one, rows, vectors, HALF)                  \
        orders(one, rows, vectors, FRESH) orders(one, rows, vectors, FRESH_CUT) orders(one, rows, vectors, FRESH_HALF)
#else
#define SOURCES(orders, one, rows, vectors)                                                                            \
    orders(one, rows, vectors, FULL) orders(one, rows, vectors, PADDED) orders(one, rows, vectors, CUT)                \
        orders(one, rows, vectors, FRESH) orders(one, rows, vectors, FRESH_CUT)
#endif
#define SOURCES_NAMED(orders, one, rows, vectors) {SOURCES(orders, one, rows, vectors)},
#if MLOPT_TILE_VECTORS == 3
#define WIDTHS(sources, orders, one, rows)                                                                             \
    sources(orders, one, rows, 1) sources(orders, one, rows, 2) sources(orders, one, rows, 3)
#else
#define WIDTHS(sources, orders, one, rows) sources(orders, one, rows, 1) sources(orders, one, rows, 2)
#endif
#define TILES(rows) WIDTHS(SOURCES, ORDERS, TILE, rows)
#define TILES_NAMED(rows) {WIDTHS(SOURCES_NAMED, ORDERS_NAMED, NAME, rows)},

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

/* The source of a tile whose last vector has `last` lanes in C. */
static inline int F(tile_source)(int fresh, size_t last, int cut)
{
    if (last == LANES)
        return fresh ? MLOPT_TILE_FRESH : MLOPT_TILE_FULL;
#if MLOPT_TILE_HALVES
    if (last <= LANES / 2)
        return fresh ? MLOPT_TILE_FRESH_HALF : MLOPT_TILE_HALF;
#endif
    return fresh ? MLOPT_TILE_FRESH_CUT : cut;
}

static F(tile_function) *const F(tiles)[][MLOPT_TILE_VECTORS][MLOPT_TILE_SOURCES][MLOPT_TILE_ORDERS] = {
    TILES_NAMED(1) TILES_NAMED(2) TILES_NAMED(3) TILES_NAMED(4)
#if MLOPT_TILE_ROWS == 8
        TILES_NAMED(5) TILES_NAMED(6) TILES_NAMED(7) TILES_NAMED(8)
#endif
};

#undef TILE
#undef NAME
#undef ORDERS
#undef ORDERS_NAMED
#undef SOURCES
#undef SOURCES_NAMED
#undef WIDTHS
#undef TILES
#undef TILES_NAMED
