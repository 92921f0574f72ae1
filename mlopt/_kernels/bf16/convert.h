/* Between float32 and bfloat16. */

void MLOPT_SYMBOL(round, bf16)(size_t n, const float *x, uint16_t *out)
{
    size_t i = 0;
    for (; i + f32_LANES <= n; i += f32_LANES)
        bf16_store(out + i, bf16_bits(f32_load(x + i)));
    if (i < n)
        bf16_store_first(out + i, n - i, bf16_bits(f32_load_first(x + i, n - i)));
}

void MLOPT_SYMBOL(widen, bf16)(size_t n, const uint16_t *x, float *out)
{
    size_t i = 0;
    for (; i + f32_LANES <= n; i += f32_LANES)
        f32_store(out + i, bf16_value(bf16_load(x + i)));
    if (i < n)
        f32_store_first(out + i, n - i, bf16_value(bf16_load_first(x + i, n - i)));
}

/* Some rows, a vector of columns after the other: the sums of a column stay in a register. */
MLOPT_INLINE void bf16_round_some(const size_t rows, size_t columns, const float *x, ptrdiff_t x_row, uint16_t *out,
                                  ptrdiff_t out_row, float *sums)
{
    size_t j = 0;
    for (; j + f32_LANES <= columns; j += f32_LANES) {
        f32v sum = sums ? f32_load(sums + j) : f32_zero();
        MLOPT_UNROLL_FULLY
        for (size_t i = 0; i < rows; i++) {
            const f32v v = f32_load(x + (ptrdiff_t)i * x_row + j);
            sum = f32_add(sum, v);
            bf16_store_rounded(out + (ptrdiff_t)i * out_row + j, v);
        }
        if (sums)
            f32_store(sums + j, sum);
    }
    if (j == columns)
        return;
    const size_t last = columns - j;
    f32v sum = sums ? f32_load_first(sums + j, last) : f32_zero();
    for (size_t i = 0; i < rows; i++) {
        const f32v v = f32_load_first(x + (ptrdiff_t)i * x_row + j, last);
        sum = f32_add(sum, v);
        bf16_store_first(out + (ptrdiff_t)i * out_row + j, last, bf16_bits(v));
    }
    if (sums)
        f32_store_first(sums + j, last, sum);
}

void MLOPT_SYMBOL(round_rows, bf16)(size_t rows, size_t columns, const float *x, ptrdiff_t x_row, uint16_t *out,
                                    ptrdiff_t out_row, float *sums)
{
    size_t i = 0;
    for (; i + 8 <= rows; i += 8, x += 8 * x_row, out += 8 * out_row)
        bf16_round_some(8, columns, x, x_row, out, out_row, sums);
    for (; i < rows; i++, x += x_row, out += out_row)
        bf16_round_some(1, columns, x, x_row, out, out_row, sums);
}
