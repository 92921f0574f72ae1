/* Products in blocks: as gemm/blocked.h, but that B is always packed, and that a block of C that cannot be written in
 * place is computed beside it. */

typedef struct bf16_plan {
    mlopt_gemm_job_bf16 job;
    const mlopt_gemm_finish_f32 *finish; /* or NULL */
    bf16_view a, b;
    int order, in_place; /* of A */
    uint16_t *a_packed, *b_packed;
    float *beside; /* for a part of C, or NULL */
} bf16_plan;

/* The vectors of the tile that begins at vector v of `vectors`: as many as it takes, but where one would be left over,
 * whose tile takes longer than its share, the last four are two tiles. */
static inline size_t bf16_tile_vectors(size_t v, size_t vectors)
{
    const size_t left = vectors - v;
    return left == 4 && BF16_VECTORS == 3 ? 2 : mlopt_gemm_least(left, BF16_VECTORS);
}

/* A vector of the first row of panels. */
static inline const uint16_t *bf16_vector(const uint16_t *panels, size_t v, size_t pairs)
{
    return panels + (v / BF16_VECTORS * BF16_COLUMNS * pairs + v % BF16_VECTORS * f32_LANES) * 2;
}

/* c += A B or c = A B, for a block of packed operands.  last: it is complete then; row and column are its place in the
 * whole. */
static void bf16_block(const bf16_plan *plan, size_t m, size_t n, size_t k, const uint16_t *a, ptrdiff_t a_row,
                       const uint16_t *panels, float *c, ptrdiff_t c_row, int accumulate,
                       const mlopt_gemm_finish_f32 *finish, size_t row, size_t column)
{
    const size_t pairs = mlopt_bf16_up(k, 2) / 2, all = (n + f32_LANES - 1) / f32_LANES;
    bf16_tile_arguments t = {.pairs = plan->in_place ? k / 2 : pairs, .odd = plan->in_place && k % 2};
    t.a_step = plan->order == BF16_BY_ROWS ? a_row : (ptrdiff_t)(2 * BF16_ROWS);
    t.c_row = c_row;
    t.accumulate = accumulate;
    /* elements of A from group to group */
    const ptrdiff_t group = plan->order == BF16_BY_ROWS ? BF16_ROWS * a_row : (ptrdiff_t)(2 * BF16_ROWS * pairs);
    for (size_t i = 0, at = 0; i < m; i += BF16_ROWS, at++) {
        const size_t rows = mlopt_gemm_least(m - i, BF16_ROWS);
        t.a = a + (ptrdiff_t)at * group;
        const uint16_t *const next = i + BF16_ROWS < m ? t.a + group : a;
        for (size_t v = 0, tile = 0, vectors; v < all; v += vectors, tile++) {
            vectors = bf16_tile_vectors(v, all);
            const size_t j = v * f32_LANES, columns = mlopt_gemm_least(n - j, vectors * f32_LANES);
            t.b = bf16_vector(panels, v, pairs);
            t.second = bf16_vector(panels, v + 1, pairs) - t.b;
            t.c = c + (ptrdiff_t)i * c_row + j;
            t.last = columns - (vectors - 1) * f32_LANES;
            /* together, the tiles of a group ask for the next group once */
            if (plan->order == BF16_BY_ROWS) {
                t.next[0] = next + (ptrdiff_t)(2 * tile % BF16_ROWS) * a_row;
                t.next[1] = t.next[0] + a_row;
                t.next_step = 2 * BF16_ROUND;
            } else {
                t.next[0] = next + (ptrdiff_t)(tile % 4 * (pairs / 4)) * t.a_step;
                t.next[1] = t.next[0] + 2 * t.a_step;
                t.next_step = 4 * t.a_step;
            }
            bf16_tiles[rows - 1][vectors - 1][plan->order](&t);
            if (finish)
                finish->call(finish->with, rows, columns, row + i, column + j, t.c);
        }
    }
}

/* The m x n elements of C from row i and column j on, computed at c. */
static void bf16_block_of_c(const bf16_plan *plan, size_t i, size_t m, size_t j, size_t n, float *c, ptrdiff_t c_row,
                            int accumulate)
{
    const mlopt_gemm_job_bf16 *const job = &plan->job;
    const size_t kc = mlopt_gemm_piece(job->k, mlopt_bf16_most(job->blocks), MLOPT_BF16_STEP);
    const size_t nc = mlopt_bf16_columns(job->blocks, mlopt_bf16_depth(job->blocks, job->k));
    for (size_t p = 0; p < job->k; p += kc) {
        const size_t k = mlopt_gemm_least(job->k - p, kc);
        const mlopt_gemm_finish_f32 *const finish = p + k == job->k && !plan->beside ? plan->finish : NULL;
        const bf16_view from = bf16_part(plan->a, i, p);
        const uint16_t *a = plan->a_packed;
        ptrdiff_t a_row = (ptrdiff_t)mlopt_bf16_up(k, 2);
        if (plan->in_place)
            a = (const uint16_t *)from.at, a_row = from.row;
        else if (plan->order == BF16_BY_ROWS)
            bf16_pack_rows(m, k, &from, plan->a_packed);
        else
            bf16_pack_groups(m, k, &from, plan->a_packed);
        for (size_t first = 0; first < n; first += nc) {
            const size_t columns = mlopt_gemm_least(n - first, nc);
            const uint16_t *panels = plan->b_packed;
            if (job->packed)
                panels = job->packed + p * job->packed_columns + (job->packed_first + j + first) * mlopt_bf16_up(k, 2);
            else
                bf16_pack_panels(k, columns, bf16_part(plan->b, p, j + first), plan->b_packed);
            bf16_block(plan, m, columns, k, a, a_row, panels, c + first, c_row, accumulate || p > 0, finish, i,
                       j + first);
        }
    }
}

/* A row of a finished part to its place in a bfloat16 C that is contiguous along it. */
static void bf16_put_row(size_t n, const float *from, int accumulate, uint16_t *to)
{
    for (size_t s = 0; s < n; s += f32_LANES) {
        const size_t lanes = mlopt_gemm_least(n - s, f32_LANES);
        f32v sum = f32_load_first(from + s, lanes);
        if (accumulate)
            sum = f32_add(bf16_value(bf16_load_first(to + s, lanes)), sum);
        bf16_store_first(to + s, lanes, bf16_bits(sum));
    }
}

/* A finished part from beside C to its place. */
static void bf16_put(const mlopt_gemm_job_bf16 *job, size_t i, size_t m, size_t j, size_t n, const float *from,
                     size_t from_row)
{
    for (size_t r = 0; r < m; r++) {
        if (job->c_short && job->c_column == 1) {
            uint16_t *const to = (uint16_t *)job->c + (ptrdiff_t)(i + r) * job->c_row + j;
            bf16_put_row(n, from + r * from_row, job->accumulate, to);
            continue;
        }
        for (size_t s = 0; s < n; s++) {
            const ptrdiff_t at = (ptrdiff_t)(i + r) * job->c_row + (ptrdiff_t)(j + s) * job->c_column;
            const float sum = from[r * from_row + s];
            if (!job->c_short) {
                float *const element = (float *)job->c + at;
                *element = job->accumulate ? *element + sum : sum;
                continue;
            }
            uint16_t *const element = (uint16_t *)job->c + at;
            const uint32_t bits = (uint32_t)*element << 16;
            float before;
            memcpy(&before, &bits, 4);
            const float total = job->accumulate ? before + sum : sum;
            const bf16_view result = {(const char *)&total, 0, 0, 0};
            *element = bf16_element(&result, 0, 0);
        }
    }
}

static void bf16_exchange(mlopt_gemm_job_bf16 *job)
{
    const mlopt_gemm_job_bf16 given = *job;
    job->m = given.n, job->n = given.m;
    job->a = given.b, job->a_row = given.b_column, job->a_column = given.b_row, job->a_short = given.b_short;
    job->b = given.a, job->b_row = given.a_column, job->b_column = given.a_row, job->b_short = given.a_short;
    job->c_row = given.c_column, job->c_column = given.c_row;
}

/* C of no terms. */
static void bf16_nothing(const mlopt_gemm_job_bf16 *job)
{
    for (size_t i = 0; !job->accumulate && i < job->m; i++)
        for (size_t j = 0; j < job->n; j++) {
            const ptrdiff_t at = (ptrdiff_t)i * job->c_row + (ptrdiff_t)j * job->c_column;
            if (job->c_short)
                ((uint16_t *)job->c)[at] = 0;
            else
                ((float *)job->c)[at] = 0;
        }
}

/* Rows and columns of C at a time: what the last-level cache holds, or what there is room for beside it. */
static void bf16_blocks_of_c(bf16_plan *plan)
{
    const mlopt_gemm_job_bf16 *const job = &plan->job;
    const size_t most = plan->beside ? mlopt_gemm_least(MLOPT_BF16_PART_ROWS, job->blocks->mc) : job->blocks->mc;
    const size_t most_columns = plan->beside ? MLOPT_BF16_PART_COLUMNS : job->blocks->mc;
    const size_t rows = mlopt_gemm_piece(job->m, most, BF16_ROWS);
    const size_t columns = mlopt_gemm_piece(job->n, most_columns, MLOPT_BF16_TILE_COLUMNS);
    for (size_t j = 0; j < job->n; j += columns)
        for (size_t i = 0; i < job->m; i += rows) {
            const size_t m = mlopt_gemm_least(job->m - i, rows), n = mlopt_gemm_least(job->n - j, columns);
            if (plan->beside) {
                bf16_block_of_c(plan, i, m, j, n, plan->beside, (ptrdiff_t)n, 0);
                bf16_put(job, i, m, j, n, plan->beside, n);
            } else {
                float *const c = (float *)job->c + (ptrdiff_t)i * job->c_row + j;
                bf16_block_of_c(plan, i, m, j, n, c, job->c_row, job->accumulate);
            }
        }
}

void MLOPT_SYMBOL(gemm, bf16)(const mlopt_gemm_job_bf16 *given, const mlopt_gemm_finish_f32 *finish)
{
    bf16_plan plan = {.job = *given};
    mlopt_gemm_job_bf16 *const job = &plan.job;
    int exchanged = 0;
    if (job->m == 0 || job->n == 0)
        return;
    if (job->k == 0)
        bf16_nothing(job);
    else {
        if (!job->packed && job->c_column != 1 && job->c_row == 1 && job->m != 1)
            bf16_exchange(job), exchanged = 1;
        /* the stride of a dimension of one element means nothing */
        if (job->n == 1)
            job->c_column = 1, job->b_column = job->b_row == 1 ? 0 : 1;
        if (job->k == 1)
            job->a_column = 1, job->b_row = 0;
        plan.a = (bf16_view){job->a, job->a_row, job->a_column, job->a_short};
        plan.b = (bf16_view){job->b, job->b_row, job->b_column, job->b_short};
        plan.order = job->a_column == 1 ? BF16_BY_ROWS : BF16_BY_COLUMNS;
        plan.in_place = job->a_column == 1 && job->a_short;
        const size_t depth = mlopt_bf16_depth(job->blocks, job->k);
        const size_t columns =
            mlopt_gemm_least(mlopt_bf16_up(job->n, MLOPT_BF16_TILE_COLUMNS), mlopt_bf16_columns(job->blocks, depth));
        const size_t rows = mlopt_bf16_up(mlopt_gemm_least(job->m, job->blocks->mc), BF16_ROWS);
        plan.b_packed = job->workspace;
        plan.a_packed = plan.b_packed + (job->packed ? 0 : depth * columns);
        if (job->c_short || job->c_column != 1) {
            const size_t used = (size_t)(plan.a_packed - plan.b_packed) + (plan.in_place ? 0 : depth * rows);
            plan.beside = (float *)job->workspace + mlopt_bf16_up(used, 32) / 2;
        }
        plan.finish = exchanged || plan.beside ? NULL : finish;
        bf16_blocks_of_c(&plan);
        if (plan.finish)
            return;
    }
    if (finish)
        finish->call(finish->with, given->m, given->n, 0, 0, given->c);
}
