/* The inner loop: a tile of sums, computed over k in registers.  Every size of tile is a function of its own. */

/* Steps of k between two rounds of prefetches: a cache line of A. */
#define INT8_ROUND 16

typedef struct int8_tile_arguments {
    size_t fours; /* steps of k, four bytes each */
    const uint8_t *a;
    ptrdiff_t a_row;
    const int8_t *b;
    const int32_t *start; /* what the sums of every column begin with */
    int32_t *sums;
    ptrdiff_t row;          /* elements from row to row of sums */
    const uint8_t *next[2]; /* rows of A that the tiles to come need */
    const char *c;          /* where the result goes, to be fetched */
    ptrdiff_t c_row;        /* bytes */
} int8_tile_arguments;

MLOPT_INLINE void int8_tile(const size_t rows, const size_t vectors, const int8_tile_arguments *t)
{
    i32v sums[MLOPT_INT8_ROWS][MLOPT_INT8_VECTORS];
    const ptrdiff_t a_row = t->a_row, a_three = 3 * a_row, c_row = t->c_row;
    const uint8_t *a = t->a, *a_low = a + 4 * a_row, *next = t->next[0], *next_too = t->next[1];
    const int8_t *b = t->b;
    const char *c_line = t->c;
    MLOPT_UNROLL_FULLY
    for (size_t j = 0; j < vectors; j++) {
        const i32v start = i32_load(t->start + j * f32_LANES);
        MLOPT_UNROLL_FULLY
        for (size_t i = 0; i < rows; i++)
            sums[i][j] = start;
    }
    size_t c_left = rows;
    for (size_t left = t->fours, steps; left; left -= steps) {
        __builtin_prefetch(next, 0, 2);
        __builtin_prefetch(next_too, 0, 2);
        next += 4 * INT8_ROUND, next_too += 4 * INT8_ROUND;
        MLOPT_UNROLL_FULLY
        for (size_t j = 0; j < vectors; j++)
            __builtin_prefetch(c_line + j * 4 * f32_LANES, 1);
        c_line += --c_left ? c_row : 0;
        c_left += !c_left;
        steps = left < INT8_ROUND ? left : INT8_ROUND;
        MLOPT_ROLLED
        for (size_t step = 0; step < steps; step++) {
            s8_operand row[MLOPT_INT8_VECTORS];
            MLOPT_UNROLL_FULLY
            for (size_t j = 0; j < vectors; j++)
                row[j] = s8_split(i32_load_bytes(b + j * 4 * f32_LANES));
            MLOPT_UNROLL_FULLY
            for (size_t i = 0; i < rows; i++) {
                const uint8_t *const of_a = i < 4 ? a : a_low;
                const u8_operand x =
                    u8_split(i32_spread(i % 4 == 3 ? of_a + a_three : of_a + (ptrdiff_t)(i % 4) * a_row));
                MLOPT_UNROLL_FULLY
                for (size_t j = 0; j < vectors; j++)
                    sums[i][j] = i32_dot(sums[i][j], x, row[j]);
            }
            a += 4, a_low += 4;
            b += 4 * MLOPT_INT8_VECTORS * f32_LANES;
        }
    }
    int32_t *to = t->sums;
    MLOPT_UNROLL_FULLY
    for (size_t i = 0; i < rows; i++, to += t->row) {
        MLOPT_UNROLL_FULLY
        for (size_t j = 0; j < vectors; j++)
            i32_store(to + j * f32_LANES, sums[i][j]);
    }
}

typedef void int8_tile_function(const int8_tile_arguments *t);

/* mlopt_tile_8x3_s8_avx512_vnni */
#define TILE(rows, vectors)                                                                                            \
    static void MLOPT_SYMBOL(tile_##rows##x##vectors, s8)(const int8_tile_arguments *t) { int8_tile(rows, vectors, t); }
#define NAME(rows, vectors) MLOPT_SYMBOL(tile_##rows##x##vectors, s8),
#if MLOPT_INT8_VECTORS == 3
#define WIDTHS(one, rows) one(rows, 1) one(rows, 2) one(rows, 3)
#else
#define WIDTHS(one, rows) one(rows, 1) one(rows, 2)
#endif

WIDTHS(TILE, 1)
WIDTHS(TILE, 2)
WIDTHS(TILE, 3)
WIDTHS(TILE, 4)
#if MLOPT_INT8_ROWS == 8
WIDTHS(TILE, 5)
WIDTHS(TILE, 6)
WIDTHS(TILE, 7)
WIDTHS(TILE, 8)
#endif

static int8_tile_function *const int8_tiles[][MLOPT_INT8_VECTORS] = {
    {WIDTHS(NAME, 1)}, {WIDTHS(NAME, 2)}, {WIDTHS(NAME, 3)}, {WIDTHS(NAME, 4)},
#if MLOPT_INT8_ROWS == 8
    {WIDTHS(NAME, 5)}, {WIDTHS(NAME, 6)}, {WIDTHS(NAME, 7)}, {WIDTHS(NAME, 8)},
#endif
};

#undef TILE
#undef NAME
#undef WIDTHS
