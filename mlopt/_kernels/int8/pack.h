/* Operands of products of bytes, packed. */

#define TILE_COLUMNS ((size_t)MLOPT_INT8_VECTORS * f32_LANES)

/* Four rows ahead are fetched while four are packed: a stride of whole pages leaves nothing else that would. */
#define INT8_PACK_AHEAD 16

/* Where panels go: the first of them, bytes from one to the next, the sums of their columns, NULL where nobody asks. */
typedef struct int8_panels {
    int8_t *at;
    size_t step;
    int32_t *sums;
} int8_panels;

/* Four rows of a vector of columns, as they are packed, to the panels' step of k that `at` points to. */
MLOPT_INLINE void int8_put(const int8_panels *to, size_t column, i32v four)
{
    const size_t panel = column / TILE_COLUMNS, within = column - panel * TILE_COLUMNS;
    i32_store((int32_t *)(void *)(to->at + panel * to->step + 4 * within), four);
    if (to->sums) {
        int32_t *const sum = to->sums + column;
        i32_store(sum, i32_dot(i32_load(sum), u8_split(i32_set1(0x01010101)), s8_split(four)));
    }
}

/* Whole fours of k, rows contiguous: line by line of B.  Inlined with constant columns for four panels side by side,
 * which are whole cache lines. */
MLOPT_INLINE void int8_lines(size_t fours, const size_t columns, const uint8_t *b, ptrdiff_t b_row, i32v flip,
                             const int8_panels *panels)
{
    int8_panels to = *panels;
    for (size_t p = 0; p < fours; p++, b += 4 * b_row, to.at += 4 * TILE_COLUMNS) {
        MLOPT_UNROLL_FULLY
        for (size_t line = 0; line < columns; line += 64)
            for (int r = 0; r < 4; r++)
                __builtin_prefetch(b + (INT8_PACK_AHEAD + r) * b_row + line);
        size_t j = 0;
        MLOPT_UNROLL_FULLY
        for (; j + 4 * f32_LANES <= columns; j += 4 * f32_LANES) {
            const uint8_t *const at = b + j;
            i32v fours_of[4];
            i32_interleave_four(at, at + b_row, at + 2 * b_row, at + 3 * b_row, fours_of);
            MLOPT_UNROLL_FULLY
            for (size_t v = 0; v < 4; v++)
                int8_put(&to, j + v * f32_LANES, i32_xor(fours_of[v], flip));
        }
        for (; j < columns; j += f32_LANES) {
            const uint8_t *const at = b + j;
            const size_t left = columns - j;
            const i32v four = left < f32_LANES
                                  ? i32_interleave_first(at, at + b_row, at + 2 * b_row, at + 3 * b_row, left)
                                  : i32_interleave(at, at + b_row, at + 2 * b_row, at + 3 * b_row);
            int8_put(&to, j, i32_xor(four, flip));
        }
    }
}

static void int8_pack_lines(size_t fours, size_t columns, const uint8_t *b, ptrdiff_t b_row, i32v flip,
                            const int8_panels *panels)
{
    if (columns == 4 * TILE_COLUMNS)
        int8_lines(fours, 4 * TILE_COLUMNS, b, b_row, flip, panels);
    else
        int8_lines(fours, columns, b, b_row, flip, panels);
}

/* A vector of columns that are contiguous along k, from `column` on: blocks of as many fours as lanes are transposed.
 */
static void int8_pack_columns(size_t blocks, size_t column, const uint8_t *b, ptrdiff_t b_column, i32v flip,
                              const int8_panels *panels)
{
    int8_panels to = *panels;
    const uint8_t *from = b + (ptrdiff_t)column * b_column;
    for (size_t p = 0; p < blocks; p++, from += 4 * f32_LANES) {
        f32v block[f32_LANES];
        MLOPT_UNROLL_FULLY
        for (size_t i = 0; i < f32_LANES; i++)
            block[i] = f32_from_int(i32_load_bytes(from + (ptrdiff_t)i * b_column));
        f32_transpose(block);
        MLOPT_UNROLL_FULLY
        for (size_t i = 0; i < f32_LANES; i++, to.at += 4 * TILE_COLUMNS)
            int8_put(&to, column, i32_xor(f32_as_int(block[i]), flip));
    }
}

/* Columns `begin` to `end`, from step `first` of k on, byte by byte.  Rows behind k are zeros. */
static void int8_pack_bytes(size_t first, size_t k, size_t begin, size_t end, const uint8_t *b, ptrdiff_t b_row,
                            ptrdiff_t b_column, uint8_t flip, const int8_panels *panels)
{
    for (size_t p = first; p < k; p += 4) {
        const int8_panels to = {panels->at + p * TILE_COLUMNS, panels->step, panels->sums};
        const size_t rows = mlopt_gemm_least(k - p, 4);
        for (size_t j = begin; j < end; j += f32_LANES) {
            const uint8_t *const from = b + (ptrdiff_t)p * b_row + (ptrdiff_t)j * b_column;
            const size_t wide = mlopt_gemm_least(end - j, f32_LANES);
            uint8_t bytes[4 * f32_LANES] = {0};
            for (size_t r = 0; r < rows; r++)
                for (size_t c = 0; c < wide; c++)
                    bytes[4 * c + r] = from[(ptrdiff_t)r * b_row + (ptrdiff_t)c * b_column] ^ flip;
            int8_put(&to, j, i32_load_bytes(bytes));
        }
    }
}

/* Any n columns of B, 128 taken off where they are unsigned; their sums are added to those of the panels, which hold
 * anything behind the last column. */
static void int8_pack_panels(size_t k, size_t n, const uint8_t *b, ptrdiff_t b_row, ptrdiff_t b_column, int b_signed,
                             const int8_panels *panels)
{
    const uint8_t one = b_signed ? 0 : 0x80;
    const i32v flip = i32_set1(b_signed ? 0 : (int32_t)0x80808080);
    const size_t strip = 4 * TILE_COLUMNS; /* whole cache lines */
    for (size_t j = 0; j < n; j += strip) {
        const uint8_t *const from = b + (ptrdiff_t)j * b_column;
        const size_t columns = mlopt_gemm_least(n - j, strip);
        const int8_panels to = {panels->at + j / TILE_COLUMNS * panels->step, panels->step,
                                panels->sums ? panels->sums + j : NULL};
        if (b_column == 1) {
            int8_pack_lines(k / 4, columns, from, b_row, flip, &to);
            int8_pack_bytes(k / 4 * 4, k, 0, columns, from, b_row, 1, one, &to);
            continue;
        }
        const size_t whole = b_row == 1 ? columns / f32_LANES * f32_LANES : 0, blocks = k / (4 * f32_LANES);
        for (size_t column = 0; column < whole; column += f32_LANES)
            int8_pack_columns(blocks, column, from, b_column, flip, &to);
        int8_pack_bytes(blocks * 4 * f32_LANES, k, 0, whole, from, b_row, b_column, one, &to);
        int8_pack_bytes(0, k, whole, columns, from, b_row, b_column, one, &to);
    }
}

size_t MLOPT_SYMBOL(gemm_pack, s8)(size_t k, size_t n, const void *b, ptrdiff_t b_row, ptrdiff_t b_column, int b_signed,
                                   int8_t *packed)
{
    const size_t columns = mlopt_int8_round(n, TILE_COLUMNS), deep = mlopt_int8_round(k, 4);
    if (packed) {
        int32_t *const sums = (int32_t *)(void *)(packed + deep * columns);
        memset(sums, 0, 4 * columns);
        const int8_panels panels = {packed, deep * TILE_COLUMNS, sums};
        int8_pack_panels(k, n, b, b_row, b_column, b_signed, &panels);
    }
    return columns;
}

/* Rows of A as unsigned bytes, contiguous, each `deep` long and filled up with zeros. */
static void int8_pack_rows(size_t rows, size_t k, size_t deep, const uint8_t *a, ptrdiff_t a_row, ptrdiff_t a_column,
                           int a_signed, uint8_t *to)
{
    const size_t lane_bytes = 4 * f32_LANES;
    const i32v flip = i32_set1(a_signed ? (int32_t)0x80808080 : 0);
    const uint8_t one = a_signed ? 0x80 : 0;
    for (size_t i = 0; i < rows; i++, a += a_row, to += deep) {
        size_t p = 0;
        if (a_column == 1)
            for (; p + lane_bytes <= k; p += lane_bytes)
                i32_store((int32_t *)(void *)(to + p), i32_xor(i32_load_bytes(a + p), flip));
        for (; p < k; p++)
            to[p] = a[(ptrdiff_t)p * a_column] ^ one;
        for (; p < deep; p++)
            to[p] = 0;
    }
}
