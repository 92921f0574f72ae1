/* Blocking.
 *
 * Columns of C are computed in blocks of nc; for each, k runs in blocks of kc.  A block of B, kc x nc, lies in L2 as
 * panels as wide as a tile and meets all rows of A, a group of tile rows after the other.  A is read where it is when
 * its bytes are unsigned, contiguous along k and whole fours; otherwise blocks of it are packed. */

/* The rows of the group that begins at row i of m: all groups are as equal as can be. */
static inline size_t int8_group(size_t i, size_t m)
{
    const size_t left = m - i, groups = (left + MLOPT_INT8_ROWS - 1) / MLOPT_INT8_ROWS;
    return left % MLOPT_INT8_ROWS == 0 ? MLOPT_INT8_ROWS : groups == 1 ? left : (left + groups - 1) / groups;
}

/* A block of k for a block of columns. */
typedef struct int8_block {
    const mlopt_int8_job *job;
    size_t j, n, p, k;       /* its columns and steps of k; k as long as what is packed */
    const int8_t *panels;    /* of B */
    size_t panel_step;       /* bytes from panel to panel */
    const int32_t *start;    /* what the sums of this block begin with, whole panels */
    const int32_t *b_sums;   /* of the block's columns */
    const int32_t *row_sums; /* of all rows, or NULL */
    int32_t *kept;           /* sums of the blocks of k before, kept_row elements from row to row */
    ptrdiff_t kept_row;
    int last;
} int8_block;

/* Some rows of a block: A at a, rows a_row apart, from row `first` of C on. */
static void int8_rows(const int8_block *block, size_t first, size_t m, const uint8_t *a, ptrdiff_t a_row)
{
    const mlopt_int8_job *const job = block->job;
    int32_t buffer[MLOPT_INT8_ROWS * MLOPT_INT8_VECTORS * f32_LANES];
    const int to_sums = job->result.kind == MLOPT_INT8_TO_S32;
    const int direct = block->last ? to_sums && !job->a_zero_step && !block->row_sums && block->p == 0 : block->p == 0;
    const size_t c_bytes = job->result.kind <= MLOPT_INT8_TO_F32 ? 4 : 1;
    int8_tile_arguments t = {.fours = block->k / 4, .a_row = a_row, .c_row = job->c_row * (ptrdiff_t)c_bytes};
    for (size_t i = 0, rows; i < m; i += rows) {
        rows = int8_group(i, m);
        t.a = a + (ptrdiff_t)i * a_row;
        const uint8_t *const next = i + rows < m ? t.a + (ptrdiff_t)rows * a_row : a;
        for (size_t j = 0, tile = 0; j < block->n; j += TILE_COLUMNS, tile++) {
            const size_t columns = mlopt_gemm_least(block->n - j, TILE_COLUMNS);
            const size_t vectors = (columns + f32_LANES - 1) / f32_LANES, row = first + i, column = block->j + j;
            t.b = block->panels + tile * block->panel_step;
            t.start = block->start + j;
            /* together, the tiles of a group ask for the next group once */
            t.next[0] = next + (ptrdiff_t)(2 * tile % MLOPT_INT8_ROWS) * a_row;
            t.next[1] = t.next[0] + a_row;
            t.c = (const char *)job->c + ((ptrdiff_t)row * job->c_row + (ptrdiff_t)column) * (ptrdiff_t)c_bytes;
            int32_t *const kept = block->kept + (ptrdiff_t)row * block->kept_row + j;
            const int whole = columns % f32_LANES == 0;
            t.sums = direct && whole ? kept : buffer;
            t.row = direct && whole ? block->kept_row : (ptrdiff_t)TILE_COLUMNS;
            int8_tiles[rows - 1][vectors - 1](&t);
            if (direct && whole)
                continue;
            if (block->p > 0)
                for (size_t r = 0; r < rows; r++)
                    for (size_t c = 0; c < columns; c += f32_LANES) {
                        int32_t *const at = buffer + r * TILE_COLUMNS + c;
                        const i32v before = int8_load_left(kept + (ptrdiff_t)r * block->kept_row + c, columns - c);
                        i32_store(at, i32_add(i32_load(at), before));
                    }
            if (!block->last) {
                for (size_t r = 0; r < rows; r++)
                    for (size_t c = 0; c < columns; c += f32_LANES)
                        int8_store_left(kept + (ptrdiff_t)r * block->kept_row + c, columns - c,
                                        i32_load(buffer + r * TILE_COLUMNS + c));
                continue;
            }
            const int8_part part = {rows,
                                    columns,
                                    row,
                                    column,
                                    buffer,
                                    (ptrdiff_t)TILE_COLUMNS,
                                    block->b_sums + j,
                                    block->row_sums ? block->row_sums + row : NULL};
            int8_finish(job, &part);
        }
    }
}

/* The sum of every row of A, of its bytes as they are multiplied. */
static void int8_sum_rows(const mlopt_int8_job *job, int32_t *sums)
{
    const size_t lane_bytes = 4 * f32_LANES;
    const s8_operand ones = s8_split(i32_set1(0x01010101));
    const i32v flip = i32_set1(job->a_signed ? (int32_t)0x80808080 : 0);
    const uint8_t *a = job->a;
    for (size_t i = 0; i < job->m; i++, a += job->a_row) {
        i32v sum = i32_zero();
        size_t p = 0;
        if (job->a_column == 1)
            for (; p + lane_bytes <= job->k; p += lane_bytes)
                sum = i32_dot(sum, u8_split(i32_xor(i32_load_bytes(a + p), flip)), ones);
        uint32_t total = (uint32_t)i32_reduce_add(sum);
        for (; p < job->k; p++)
            total += a[(ptrdiff_t)p * job->a_column] ^ (job->a_signed ? 0x80u : 0u);
        sums[i] = (int32_t)total;
    }
}

static int int8_has_b_zero(const mlopt_int8_job *job)
{
    if (!job->b_signed)
        return 1;
    for (size_t j = 0; job->b_zero && j < (job->b_zero_step ? job->n : 1); j++)
        if (job->b_zero[j * job->b_zero_step] != 0)
            return 1;
    return 0;
}

/* What the zero points of A are multiplied with, column by column, and what sums begin with. */
static void int8_column_terms(const mlopt_int8_job *job, size_t first, size_t n, const int32_t *packed_sums,
                              int32_t *b_sums, int32_t *start)
{
    const uint32_t a_zero = job->a_zero_step ? 0 : (uint32_t)int8_a_zero(job, 0);
    const int32_t *const bias = job->result.bias;
    for (size_t j = 0; j < n; j++) {
        b_sums[j] = (int32_t)((uint32_t)packed_sums[j] - (uint32_t)job->k * (uint32_t)int8_b_zero(job, first + j));
        start[j] = (int32_t)((bias ? (uint32_t)bias[first + j] : 0) - a_zero * (uint32_t)b_sums[j]);
    }
}

/* All columns of one block. */
static void int8_columns(const mlopt_int8_job *job, size_t j, size_t n, const int32_t *row_sums, char *workspace)
{
    const size_t k = job->k, deep = mlopt_int8_round(k, 4), kc = mlopt_int8_kc(job->blocks, k);
    const size_t nc = mlopt_int8_nc(job->blocks, job->n, k), mc = mlopt_int8_mc(job->blocks, job->m, job->n, k);
    const int pack_a = job->a_signed || job->a_column != 1 || (k % 4 != 0 && !job->a_padded);
    const int pack_now = pack_a && (mc < job->m || j == 0); /* all of it stays for the columns to come */
    const size_t a_bytes = mlopt_int8_a_bytes(job->blocks, job->m, job->n, k);
    const int sums_matter = job->a_zero_step || int8_a_zero(job, 0) != 0; /* else they are multiplied with 0 */
    int8_t *const panels = (int8_t *)workspace;
    uint8_t *const rows = (uint8_t *)workspace + kc * nc;
    int32_t *const sums = (int32_t *)(void *)(rows + a_bytes);
    int32_t *const start = sums + nc, *const kept = start + nc + mlopt_int8_round(job->m, 16);
    const int to_sums = job->result.kind == MLOPT_INT8_TO_S32;
    int8_block block = {.job = job,
                        .j = j,
                        .n = n,
                        .b_sums = sums,
                        .row_sums = row_sums,
                        .start = start,
                        .kept = to_sums ? (int32_t *)job->c + j : kept,
                        .kept_row = to_sums ? job->c_row : (ptrdiff_t)nc};
    const size_t whole = mlopt_int8_round(n, TILE_COLUMNS);
    memset(sums, 0, 4 * whole);
    memset(start, 0, 4 * whole);
    do {
        const size_t left = k - block.p, here = left < kc ? left : kc;
        block.k = mlopt_int8_round(here, 4);
        block.last = here == left;
        if (job->packed) {
            block.panels = job->packed + (job->packed_first + j) * deep + block.p * TILE_COLUMNS;
            block.panel_step = deep * TILE_COLUMNS;
        } else {
            block.panels = panels;
            block.panel_step = block.k * TILE_COLUMNS;
            const int8_panels to = {panels, block.panel_step, sums_matter ? sums : NULL};
            int8_pack_panels(here, n,
                             (const uint8_t *)job->b + (ptrdiff_t)block.p * job->b_row + (ptrdiff_t)j * job->b_column,
                             job->b_row, job->b_column, job->b_signed, &to);
        }
        if (block.last) {
            const int32_t *const packed_sums =
                job->packed
                    ? (const int32_t *)(const void *)(job->packed + deep * job->packed_columns) + job->packed_first + j
                    : sums;
            int8_column_terms(job, j, n, packed_sums, sums, start);
        }
        const uint8_t *const a = (const uint8_t *)job->a + (ptrdiff_t)block.p * job->a_column;
        for (size_t i = 0, m; i < job->m; i += m) {
            m = pack_a ? mlopt_gemm_least(job->m - i, mc) : job->m;
            const uint8_t *const from = a + (ptrdiff_t)i * job->a_row;
            uint8_t *const packed = mc < job->m ? rows : rows + block.p * job->m;
            if (pack_now)
                int8_pack_rows(m, here, block.k, from, job->a_row, job->a_column, job->a_signed, packed);
            int8_rows(&block, i, m, pack_a ? packed : from, pack_a ? (ptrdiff_t)block.k : job->a_row);
        }
        block.p += here;
    } while (block.p < k);
}

void MLOPT_SYMBOL(gemm, s8)(const mlopt_int8_job *job)
{
    if (job->m == 0 || job->n == 0)
        return;
    const size_t kc = mlopt_int8_kc(job->blocks, job->k), nc = mlopt_int8_nc(job->blocks, job->n, job->k);
    char *const workspace = job->workspace;
    int32_t *row_sums = NULL;
    if (int8_has_b_zero(job)) {
        const size_t a = mlopt_int8_a_bytes(job->blocks, job->m, job->n, job->k);
        row_sums = (int32_t *)(void *)(workspace + kc * nc + a) + 2 * nc;
        int8_sum_rows(job, row_sums);
    }
    for (size_t j = 0; j < job->n; j += nc)
        int8_columns(job, j, mlopt_gemm_least(job->n - j, nc), row_sums, workspace);
}
