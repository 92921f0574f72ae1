/* The microkernel for one element type: a tile of C held in registers while k runs by.
 *
 * Rows of A are contiguous along k and a_row apart; rows of B are contiguous along n and b_row apart.
 * One body serves packed and unpacked operands and every size of tile: rows, vectors and edge are
 * constants where it is inlined. */

#ifndef MLOPT_TILE_KINDS
#define MLOPT_TILE_KINDS
/* What the last vector of a tile is. */
enum {
    MLOPT_TILE_FULL,   /* whole */
    MLOPT_TILE_PADDED, /* cut short in C, whole in B (packed B is filled up with zeros) */
    MLOPT_TILE_CUT,    /* cut short in C and in B */
    MLOPT_TILE_EDGES
};
#endif

typedef struct F(tile_arguments) {
    size_t k;
    const T *a;
    ptrdiff_t a_row;
    const T *b;
    ptrdiff_t b_row;
    T *c;
    ptrdiff_t c_row;
    size_t last; /* lanes of the last vector that belong to C */
    int accumulate;
} F(tile_arguments);

MLOPT_INLINE void F(tile)(const size_t rows, const size_t vectors, const int edge, const F(tile_arguments) * t)
{
    V sums[MLOPT_TILE_ROWS][MLOPT_TILE_VECTORS];
    const T *a[MLOPT_TILE_ROWS];
    MLOPT_UNROLL_FULLY
    for (size_t i = 0; i < rows; i++) {
        a[i] = t->a + (ptrdiff_t)i * t->a_row;
        MLOPT_UNROLL_FULLY
        for (size_t j = 0; j < vectors; j++) {
            sums[i][j] = F(zero)();
            __builtin_prefetch(t->c + (ptrdiff_t)i * t->c_row + j * LANES, 1);
        }
    }
    const T *b = t->b;
    const ptrdiff_t b_row = t->b_row;
    const size_t k = t->k, last = t->last;
    MLOPT_UNROLL(4)
    for (size_t p = 0; p < k; p++) {
        V row[MLOPT_TILE_VECTORS];
        MLOPT_UNROLL_FULLY
        for (size_t j = 0; j < vectors; j++)
            row[j] = edge == MLOPT_TILE_CUT && j == vectors - 1 ? F(load_first)(b + j * LANES, last)
                                                                : F(load)(b + j * LANES);
        MLOPT_UNROLL_FULLY
        for (size_t i = 0; i < rows; i++) {
            const V x = F(set1)(a[i][p]);
            MLOPT_UNROLL_FULLY
            for (size_t j = 0; j < vectors; j++)
                sums[i][j] = F(fma)(x, row[j], sums[i][j]);
        }
        b += b_row;
    }
    MLOPT_UNROLL_FULLY
    for (size_t i = 0; i < rows; i++) {
        T *c = t->c + (ptrdiff_t)i * t->c_row;
        MLOPT_UNROLL_FULLY
        for (size_t j = 0; j < vectors; j++) {
            if (edge != MLOPT_TILE_FULL && j == vectors - 1) {
                if (t->accumulate)
                    sums[i][j] = F(add)(F(load_first)(c + j * LANES, last), sums[i][j]);
                F(store_first)(c + j * LANES, last, sums[i][j]);
            } else {
                if (t->accumulate)
                    sums[i][j] = F(add)(F(load)(c + j * LANES), sums[i][j]);
                F(store)(c + j * LANES, sums[i][j]);
            }
        }
    }
}

/* Every size of tile: 8, 4, 2 and 1 rows, 1 to MLOPT_TILE_VECTORS vectors, each kind of edge. */
typedef void F(tile_function)(const F(tile_arguments) * t);

#define TILE(rows, vectors, edge)                                                                                      \
    static void K(tile_##rows##x##vectors##_##edge)(const F(tile_arguments) * t)                                       \
    {                                                                                                                  \
        F(tile)(rows, vectors, MLOPT_TILE_##edge, t);                                                                  \
    }
#define TILE_NAME(rows, vectors, edge) K(tile_##rows##x##vectors##_##edge),
#define TILE_EDGES(one, rows, vectors) one(rows, vectors, FULL) one(rows, vectors, PADDED) one(rows, vectors, CUT)
#if MLOPT_TILE_VECTORS == 3
#define TILE_WIDTHS(each, one, rows) each(one, rows, 1) each(one, rows, 2) each(one, rows, 3)
#else
#define TILE_WIDTHS(each, one, rows) each(one, rows, 1) each(one, rows, 2)
#endif

TILE_WIDTHS(TILE_EDGES, TILE, 1)
TILE_WIDTHS(TILE_EDGES, TILE, 2)
TILE_WIDTHS(TILE_EDGES, TILE, 4)
#if MLOPT_TILE_ROWS == 8
TILE_WIDTHS(TILE_EDGES, TILE, 8)
#endif

#define TILE_ROW(one, rows, vectors) {TILE_EDGES(one, rows, vectors)},
static F(tile_function) *const F(tiles)[][MLOPT_TILE_VECTORS][MLOPT_TILE_EDGES] = {
    {TILE_WIDTHS(TILE_ROW, TILE_NAME, 1)},
    {TILE_WIDTHS(TILE_ROW, TILE_NAME, 2)},
    {TILE_WIDTHS(TILE_ROW, TILE_NAME, 4)},
#if MLOPT_TILE_ROWS == 8
    {TILE_WIDTHS(TILE_ROW, TILE_NAME, 8)},
#endif
};

#undef TILE
#undef TILE_NAME
#undef TILE_EDGES
#undef TILE_WIDTHS
#undef TILE_ROW
