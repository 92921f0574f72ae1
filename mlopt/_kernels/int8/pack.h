/* Operands of products of bytes, packed. */

#define TILE_COLUMNS ((size_t)MLOPT_INT8_VECTORS * f32_LANES)

/* Up to 4 rows of f32_LANES columns of B or less, as the bytes of every column together. */
MLOPT_INLINE i32v int8_four_rows(const uint8_t *b, ptrdiff_t b_row, ptrdiff_t b_column, size_t rows, size_t columns)
{
    uint8_t bytes[4 * f32_LANES] = {0};
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < columns; c++)
            bytes[4 * c + r] = b[(ptrdiff_t)r * b_row + (ptrdiff_t)c * b_column];
    return i32_load_bytes(bytes);
}

/* The part of flip that belongs to so many rows and columns. */
MLOPT_INLINE i32v int8_flip_of(size_t rows, size_t columns, i32v flip)
{
    uint8_t bytes[4 * f32_LANES] = {0}, all[4 * f32_LANES];
    memcpy(all, &flip, sizeof flip);
    for (size_t c = 0; c < columns; c++)
        memcpy(bytes + 4 * c, all + 4 * c, rows);
    return i32_load_bytes(bytes);
}

/* flip: 0x80 in every byte where B is unsigned.  Rows behind k and columns behind n are zeros. */
static void int8_pack_panel(size_t k, size_t columns, const uint8_t *b, ptrdiff_t b_row, ptrdiff_t b_column, i32v flip,
                            int8_t *panel, int32_t *sums)
{
    const u8_operand ones = u8_split(i32_set1(0x01010101));
    for (size_t v = 0; v < MLOPT_INT8_VECTORS; v++, panel += 4 * f32_LANES, sums += f32_LANES) {
        const size_t first = v * f32_LANES;
        const size_t wide = first >= columns ? 0 : mlopt_gemm_least(columns - first, f32_LANES);
        const uint8_t *from = b + (ptrdiff_t)first * b_column;
        int8_t *to = panel;
        i32v sum = i32_load(sums);
        size_t p = 0;
        if (wide == f32_LANES && b_column == 1)
            for (; p + 4 <= k; p += 4, from += 4 * b_row, to += 4 * TILE_COLUMNS) {
                const i32v four = i32_xor(i32_interleave(from, from + b_row, from + 2 * b_row, from + 3 * b_row), flip);
                i32_store((int32_t *)(void *)to, four);
                sum = i32_dot(sum, ones, s8_split(four));
            }
        else if (wide == f32_LANES && b_row == 1)
            for (; p + 4 * f32_LANES <= k; p += 4 * f32_LANES) {
                f32v block[f32_LANES];
                MLOPT_UNROLL_FULLY
                for (size_t i = 0; i < f32_LANES; i++)
                    block[i] = f32_from_int(i32_load_bytes(from + (ptrdiff_t)i * b_column));
                f32_transpose(block);
                for (size_t i = 0; i < f32_LANES; i++, to += 4 * TILE_COLUMNS) {
                    const i32v four = i32_xor(f32_as_int(block[i]), flip);
                    i32_store((int32_t *)(void *)to, four);
                    sum = i32_dot(sum, ones, s8_split(four));
                }
                from += 4 * f32_LANES;
            }
        for (; p < k; p += 4, from += 4 * b_row, to += 4 * TILE_COLUMNS) {
            const size_t rows = mlopt_gemm_least(k - p, 4);
            const i32v flipped = int8_flip_of(rows, wide, flip);
            const i32v four = i32_xor(int8_four_rows(from, b_row, b_column, rows, wide), flipped);
            i32_store((int32_t *)(void *)to, four);
            sum = i32_dot(sum, ones, s8_split(four));
        }
        i32_store(sums, sum);
    }
}

/* Any n columns of B as panels, `step` bytes from one to the next; their sums are added to `sums`. */
static void int8_pack_panels(size_t k, size_t n, const uint8_t *b, ptrdiff_t b_row, ptrdiff_t b_column, int b_signed,
                             int8_t *panels, size_t step, int32_t *sums)
{
    const i32v flip = i32_set1(b_signed ? 0 : (int32_t)0x80808080);
    for (size_t j = 0; j < n; j += TILE_COLUMNS, panels += step)
        int8_pack_panel(k, mlopt_gemm_least(n - j, TILE_COLUMNS), b + (ptrdiff_t)j * b_column, b_row, b_column, flip,
                        panels, sums + j);
}

size_t MLOPT_SYMBOL(gemm_pack, s8)(size_t k, size_t n, const void *b, ptrdiff_t b_row, ptrdiff_t b_column, int b_signed,
                                   int8_t *packed)
{
    const size_t columns = mlopt_int8_round(n, TILE_COLUMNS), deep = mlopt_int8_round(k, 4);
    if (packed) {
        int32_t *const sums = (int32_t *)(void *)(packed + deep * columns);
        memset(sums, 0, 4 * columns);
        int8_pack_panels(k, n, b, b_row, b_column, b_signed, packed, deep * TILE_COLUMNS, sums);
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
