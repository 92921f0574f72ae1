/* The microkernel: a tile of C held in registers while pairs of k run by.
 *
 * B comes in panels, [pair][columns][2], whose columns are filled up with zeros to whole tiles.  A lies by rows, each
 * contiguous along k, or by columns, packed, [pair][rows of a tile][2].  As in gemm/tile.h memory is asked for evenly:
 * a line of C and two of the next rows of A every few steps. */

/* 24 of 32 registers hold sums; where pairs are widened, B and A take twice as many. */
#if defined(__AVX512BF16__)
#define BF16_ROWS 8
#else
#define BF16_ROWS 4
#endif
#if defined(__AVX2__) && !defined(__AVX512F__)
#define BF16_VECTORS 2
#else
#define BF16_VECTORS 3
#endif
#define BF16_COLUMNS ((size_t)(BF16_VECTORS * f32_LANES))
_Static_assert(BF16_ROWS <= MLOPT_BF16_TILE_ROWS, "workspaces are sized for smaller tiles");
_Static_assert(MLOPT_BF16_TILE_COLUMNS % (BF16_VECTORS * f32_LANES) == 0, "blocks of B hold whole tiles");
/* Steps between two rounds of prefetches. */
#define BF16_ROUND 8

enum { BF16_BY_ROWS, BF16_BY_COLUMNS, BF16_ORDERS };

typedef struct bf16_tile_arguments {
    size_t pairs; /* of k */
    int odd;      /* and one element more, of an A that is not filled up */
    const uint16_t *a;
    ptrdiff_t a_step; /* elements from row to row, or from pair to pair */
    const uint16_t *b;
    ptrdiff_t second; /* elements from the first to the second vector of B, of a tile of two */
    float *c;
    ptrdiff_t c_row;
    const uint16_t *next[2]; /* what the tiles to come need of A, */
    ptrdiff_t next_step;     /* and how far it is to the next round's */
    size_t last;             /* lanes of the last vector that belong to C */
    int accumulate;
} bf16_tile_arguments;

/* One step: the pairs of `rows` rows of A by `at`, times a row of the panel. */
#define BF16_STEP(at)                                                                                                  \
    {                                                                                                                  \
        bf16_operand row[BF16_VECTORS];                                                                                \
        MLOPT_UNROLL_FULLY                                                                                             \
        for (size_t j = 0; j < vectors; j++) {                                                                         \
            bf16_pairs of_b;                                                                                           \
            memcpy(&of_b, j == 1 && vectors == 2 ? b + second : b + 2 * j * f32_LANES, sizeof of_b);                   \
            row[j] = bf16_split(of_b);                                                                                 \
        }                                                                                                              \
        MLOPT_UNROLL_FULLY                                                                                             \
        for (size_t i = 0; i < rows; i++) {                                                                            \
            const bf16_operand x = bf16_split(at(i));                                                                  \
            MLOPT_UNROLL_FULLY                                                                                         \
            for (size_t j = 0; j < vectors; j++)                                                                       \
                sums[i][j] = bf16_dot(sums[i][j], x, row[j]);                                                          \
        }                                                                                                              \
    }
/* rows 0 to 3 and 4 to 7: addresses that need no register of their own */
#define BF16_ROW(i) (((i) < 4 ? a : a_low) + ((i) % 4 == 3 ? a_three : (ptrdiff_t)((i) % 4) * a_step))
#define BF16_PAIR(i) bf16_spread(order == BF16_BY_ROWS ? BF16_ROW(i) : a + 2 * (i))
#define BF16_SINGLE(i) f32_int_set1(*BF16_ROW(i))

MLOPT_INLINE void bf16_tile(const size_t rows, const size_t vectors, const int order, const bf16_tile_arguments *t)
{
    f32v sums[BF16_ROWS][BF16_VECTORS];
    MLOPT_UNROLL_FULLY
    for (size_t i = 0; i < rows; i++) {
        MLOPT_UNROLL_FULLY
        for (size_t j = 0; j < vectors; j++)
            sums[i][j] = f32_zero();
    }
    const ptrdiff_t a_step = t->a_step, a_three = 3 * a_step, next_step = t->next_step, c_row = t->c_row;
    const ptrdiff_t second = t->second;
    const uint16_t *a = t->a, *a_low = a + 4 * a_step, *b = t->b, *next = t->next[0], *next_too = t->next[1];
    const float *c_line = t->c;
    size_t c_left = rows;
    for (size_t left = t->pairs, steps; left; left -= steps) {
        __builtin_prefetch(next, 0, 2);
        __builtin_prefetch(next_too, 0, 2);
        next += next_step, next_too += next_step;
        MLOPT_UNROLL_FULLY
        for (size_t j = 0; j < vectors; j++)
            __builtin_prefetch(c_line + j * f32_LANES, 1);
        c_line += --c_left ? c_row : 0;
        c_left += !c_left;
        steps = left < BF16_ROUND ? left : BF16_ROUND;
        MLOPT_ROLLED
        for (size_t step = 0; step < steps; step++) {
            BF16_STEP(BF16_PAIR)
            a += order == BF16_BY_ROWS ? 2 : a_step;
            a_low += order == BF16_BY_ROWS ? 2 : a_step;
            b += 2 * BF16_COLUMNS;
        }
    }
    if (order == BF16_BY_ROWS && t->odd)
        BF16_STEP(BF16_SINGLE)
    float *c = t->c;
    const size_t last = t->last;
    if (t->accumulate) {
        MLOPT_UNROLL_FULLY
        for (size_t i = 0; i < rows; i++) {
            const float *const at = c + (ptrdiff_t)i * c_row;
            MLOPT_UNROLL_FULLY
            for (size_t j = 0; j < vectors; j++)
                sums[i][j] =
                    f32_add(j + 1 < vectors ? f32_load(at + j * f32_LANES) : f32_load_first(at + j * f32_LANES, last),
                            sums[i][j]);
        }
    }
    MLOPT_UNROLL_FULLY
    for (size_t i = 0; i < rows; i++, c += c_row) {
        MLOPT_UNROLL_FULLY
        for (size_t j = 0; j + 1 < vectors; j++)
            f32_store(c + j * f32_LANES, sums[i][j]);
        f32_store_first(c + (vectors - 1) * f32_LANES, last, sums[i][vectors - 1]);
    }
}

#undef BF16_STEP
#undef BF16_ROW
#undef BF16_PAIR
#undef BF16_SINGLE

typedef void bf16_tile_function(const bf16_tile_arguments *t);

/* Every size of tile in both orders of A: mlopt_tile_8x3_BY_ROWS_bf16_avx512_bf16. */
#define TILE_NAME(rows, vectors, order) MLOPT_SYMBOL(tile_##rows##x##vectors##_##order, bf16)
#define TILE(rows, vectors, order)                                                                                     \
    static void TILE_NAME(rows, vectors, order)(const bf16_tile_arguments *t)                                          \
    {                                                                                                                  \
        bf16_tile(rows, vectors, BF16_##order, t);                                                                     \
    }
#define NAME(rows, vectors, order) TILE_NAME(rows, vectors, order),
#define ORDERS(one, rows, vectors) one(rows, vectors, BY_ROWS) one(rows, vectors, BY_COLUMNS)
#define ORDERS_NAMED(one, rows, vectors) {ORDERS(one, rows, vectors)},
#if BF16_VECTORS == 3
#define WIDTHS(orders, one, rows) orders(one, rows, 1) orders(one, rows, 2) orders(one, rows, 3)
#else
#define WIDTHS(orders, one, rows) orders(one, rows, 1) orders(one, rows, 2)
#endif
#define TILES(rows) WIDTHS(ORDERS, TILE, rows)
#define TILES_NAMED(rows) {WIDTHS(ORDERS_NAMED, NAME, rows)},

TILES(1)
TILES(2)
TILES(3)
TILES(4)
#if BF16_ROWS == 8
TILES(5)
TILES(6)
TILES(7)
TILES(8)
#endif

static bf16_tile_function *const bf16_tiles[][BF16_VECTORS][BF16_ORDERS] = {
    TILES_NAMED(1) TILES_NAMED(2) TILES_NAMED(3) TILES_NAMED(4)
#if BF16_ROWS == 8
        TILES_NAMED(5) TILES_NAMED(6) TILES_NAMED(7) TILES_NAMED(8)
#endif
};

#undef TILE_NAME
#undef TILE
#undef NAME
#undef ORDERS
#undef ORDERS_NAMED
#undef WIDTHS
#undef TILES
#undef TILES_NAMED
