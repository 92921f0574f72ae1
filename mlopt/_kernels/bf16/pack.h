/* Operands rounded and packed. */

/* Where element (i, p) of an operand is. */
typedef struct bf16_view {
    const char *at;
    ptrdiff_t row, column; /* in elements */
    int is_short;
} bf16_view;

static inline bf16_view bf16_part(bf16_view v, size_t i, size_t j)
{
    const ptrdiff_t offset = (ptrdiff_t)i * v.row + (ptrdiff_t)j * v.column;
    v.at += offset * (v.is_short ? 2 : 4);
    return v;
}

static inline const float *bf16_float_at(const bf16_view *v, ptrdiff_t i) { return (const float *)v->at + i; }
static inline const uint16_t *bf16_short_at(const bf16_view *v, ptrdiff_t i) { return (const uint16_t *)v->at + i; }

/* Element (i, j), rounded. */
static uint16_t bf16_element(const bf16_view *v, size_t i, size_t j)
{
    const ptrdiff_t offset = (ptrdiff_t)i * v->row + (ptrdiff_t)j * v->column;
    if (v->is_short)
        return *bf16_short_at(v, offset);
    uint32_t bits;
    memcpy(&bits, bf16_float_at(v, offset), 4);
    if ((bits & 0x7fffffff) > 0x7f800000)
        return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

/* `lanes` pairs of rows p and p + 1 (or 0, where there is none) of columns that follow each other from j on. */
MLOPT_INLINE bf16_pairs bf16_two_rows(const bf16_view *v, ptrdiff_t p, ptrdiff_t j, int both, size_t lanes)
{
    const ptrdiff_t first = p * v->row + j, second = both ? first + v->row : first;
    if (v->is_short) {
        const uint16_t *const x = bf16_short_at(v, first), *const y = bf16_short_at(v, second);
        const f32i low = lanes == f32_LANES ? bf16_load(x) : bf16_load_first(x, lanes);
        const f32i high = lanes == f32_LANES ? bf16_load(y) : bf16_load_first(y, lanes);
        return both ? bf16_join(low, high) : low;
    }
    const float *const x = bf16_float_at(v, first), *const y = bf16_float_at(v, second);
    const f32v low = lanes == f32_LANES ? f32_load(x) : f32_load_first(x, lanes);
    const f32v high = lanes == f32_LANES ? f32_load(y) : f32_load_first(y, lanes);
    return bf16_round_join(low, both ? high : f32_zero());
}

/* A panel of columns that are contiguous along k. */
static void bf16_pack_across(size_t k, size_t columns, const bf16_view *b, uint16_t *dst)
{
    for (size_t c = 0; c < columns; c += f32_LANES) {
        const size_t wide = mlopt_gemm_least(columns - c, f32_LANES);
        size_t p = 0;
        for (; p + 2 * f32_LANES <= k; p += 2 * f32_LANES) {
            f32v block[f32_LANES];
            for (size_t i = 0; i < f32_LANES; i++) {
                const ptrdiff_t at = (ptrdiff_t)(c + i) * b->column + (ptrdiff_t)p;
                block[i] = f32_zero();
                if (i < wide && b->is_short)
                    memcpy(&block[i], bf16_short_at(b, at), sizeof block[i]);
                else if (i < wide)
                    block[i] = f32_from_int(bf16_round_run(bf16_float_at(b, at)));
            }
            f32_transpose(block);
            MLOPT_UNROLL_FULLY
            for (size_t i = 0; i < f32_LANES; i++)
                memcpy(dst + ((p / 2 + i) * BF16_COLUMNS + c) * 2, &block[i], sizeof block[i]);
        }
        for (; p < mlopt_bf16_up(k, 2); p++)
            for (size_t i = 0; i < f32_LANES; i++)
                dst[(p / 2 * BF16_COLUMNS + c + i) * 2 + p % 2] = i < wide && p < k ? bf16_element(b, p, c + i) : 0;
    }
}

/* Any n columns of B as panels, one behind the other. */
static void bf16_pack_panels(size_t k, size_t n, bf16_view b, uint16_t *dst)
{
    for (size_t j = 0; j < n; j += BF16_COLUMNS, dst += mlopt_bf16_up(k, 2) * BF16_COLUMNS) {
        const size_t columns = mlopt_gemm_least(n - j, BF16_COLUMNS);
        const bf16_view from = bf16_part(b, 0, j);
        if (b.row == 1 && b.column != 1) {
            bf16_pack_across(k, columns, &from, dst);
            continue;
        }
        uint16_t *to = dst;
        for (size_t p = 0; p < k; p += 2, to += 2 * BF16_COLUMNS) {
            const int both = p + 1 < k;
            if (b.column == 1) {
                for (size_t c = 0; c < columns; c += f32_LANES) {
                    const size_t lanes = mlopt_gemm_least(columns - c, f32_LANES);
                    const bf16_pairs pairs = bf16_two_rows(&from, (ptrdiff_t)p, (ptrdiff_t)c, both, lanes);
                    memcpy(to + 2 * c, &pairs, sizeof pairs);
                }
            } else {
                for (size_t c = 0; c < mlopt_bf16_up(columns, f32_LANES); c++) {
                    to[2 * c] = c < columns ? bf16_element(&from, p, c) : 0;
                    to[2 * c + 1] = c < columns && both ? bf16_element(&from, p + 1, c) : 0;
                }
            }
        }
    }
}

/* m rows of A, each contiguous along k, as rows of bfloat16 filled up to a whole pair. */
static void bf16_pack_rows(size_t m, size_t k, const bf16_view *a, uint16_t *dst)
{
    const size_t wide = mlopt_bf16_up(k, 2);
    for (size_t i = 0; i < m; i++, dst += wide) {
        const float *const from = bf16_float_at(a, (ptrdiff_t)i * a->row);
        size_t p = 0;
        for (; p + 2 * f32_LANES <= k; p += 2 * f32_LANES) {
            const bf16_pairs pairs = bf16_round_run(from + p);
            memcpy(dst + p, &pairs, sizeof pairs);
        }
        for (; p + f32_LANES <= k; p += f32_LANES)
            bf16_store_rounded(dst + p, f32_load(from + p));
        if (p < k)
            bf16_store_first(dst + p, k - p, bf16_bits(f32_load_first(from + p, k - p)));
        if (k < wide)
            dst[k] = 0;
    }
}

/* m rows of A as groups of a tile's rows, one behind the other, [pair][rows][2]. */
static void bf16_pack_groups(size_t m, size_t k, const bf16_view *a, uint16_t *dst)
{
    const size_t group = 2 * BF16_ROWS * mlopt_bf16_up(k, 2) / 2;
    /* columns of A follow each other in a row of its transpose */
    const bf16_view across = {a->at, a->column, a->row, a->is_short};
    size_t i = 0;
    for (; a->row == 1 && i + f32_LANES <= m; i += f32_LANES) {
        uint16_t *to = dst + i / BF16_ROWS * group;
        for (size_t p = 0; p < k; p += 2, to += 2 * BF16_ROWS) {
            const bf16_pairs pairs = bf16_two_rows(&across, (ptrdiff_t)p, (ptrdiff_t)i, p + 1 < k, f32_LANES);
            MLOPT_UNROLL_FULLY
            for (size_t g = 0; g < f32_LANES / BF16_ROWS; g++)
                memcpy(to + g * group, (const char *)&pairs + g * 4 * BF16_ROWS, 4 * BF16_ROWS);
        }
    }
    for (; i < m; i += BF16_ROWS) {
        const size_t rows = mlopt_gemm_least(m - i, BF16_ROWS);
        uint16_t *to = dst + i / BF16_ROWS * group;
        for (size_t p = 0; p < k; p += 2, to += 2 * BF16_ROWS)
            for (size_t r = 0; r < rows; r++) {
                to[2 * r] = bf16_element(a, i + r, p);
                to[2 * r + 1] = p + 1 < k ? bf16_element(a, i + r, p + 1) : 0;
            }
    }
}

size_t MLOPT_SYMBOL(gemm_pack, bf16)(const mlopt_gemm_blocks *blocks, size_t k, size_t n, const void *b, int b_short,
                                     ptrdiff_t b_row, ptrdiff_t b_column, uint16_t *packed)
{
    const size_t columns = mlopt_bf16_up(n, BF16_COLUMNS),
                 kc = mlopt_gemm_piece(k, mlopt_bf16_most(blocks), MLOPT_BF16_STEP);
    const bf16_view view = {b, b_row, b_column, b_short};
    for (size_t p = 0; packed && p < k; p += kc)
        bf16_pack_panels(mlopt_gemm_least(k - p, kc), n, bf16_part(view, p, 0), packed + p * columns);
    return columns;
}
