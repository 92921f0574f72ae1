/* Blocking and packing for one element type.
 *
 * C is computed in blocks of mc x mc, which L3 holds together with what they are made from.  For each, k runs in blocks
 * of kc, n in blocks of nc: a block of B, kc x nc, lies in L2 as panels as wide as a tile, [k][columns], and meets all
 * rows of A, a group of tile rows after the other.  The first group packs the block while it computes.
 *
 * A stays where it is when its rows are contiguous along k, or when it is small and its columns are contiguous;
 * otherwise its groups are packed, [k][rows]. */

/* Rows of B between the one a fresh tile reads and the one it prefetches: more, and rows 32 KB apart would push each
 * other out of L2. */
#define FRESH_AHEAD 32

/* What the loops over blocks share. */
typedef struct F(plan) {
    JOB job;
    const FINISH *finish; /* or NULL */
    int order;            /* of A, as the tiles see it */
    int pack_a;           /* whether blocks of A are packed */
    int fresh;            /* whether the first group of rows packs B */
    int b_direct;         /* whether B is read where it is */
    int last_source;      /* of B for tiles that are cut short, when it is not fresh */
} F(plan);

/* Whether and how the operands are packed. */
static void F(make_plan)(F(plan) * plan)
{
    const JOB *const job = &plan->job;
    const size_t groups = (job->m + MLOPT_TILE_ROWS - 1) / MLOPT_TILE_ROWS;
    const size_t b_bytes = job->n * job->k * sizeof(T);
    plan->order = job->a_column == 1 ? MLOPT_TILE_BY_ROWS : MLOPT_TILE_BY_COLUMNS;
    const size_t reach = mlopt_gemm_least(job->k, job->blocks->kc) *
                         (size_t)(job->a_column < 0 ? -job->a_column : job->a_column) * sizeof(T);
    plan->pack_a = job->a_column != 1 && (job->a_row != 1 || (groups > 4 && reach > MLOPT_GEMM_SMALL));
    plan->b_direct = !job->packed && job->b_column == 1 && b_bytes <= MLOPT_GEMM_RESIDENT;
    plan->fresh = !job->packed && job->b_column == 1 && !plan->b_direct;
    plan->last_source = plan->b_direct ? MLOPT_TILE_CUT : MLOPT_TILE_PADDED;
}

/* C += A B or C = A B for a block: A at a, groups in a's order; B at b (rows b_row apart) or in panels at `panels`; C
 * at `row` and `column` of the whole.  last: it is complete then. */
static void F(block)(const F(plan) * plan, size_t m, size_t n, size_t k, const T *a, const T *b, T *panels, size_t row,
                     size_t column, int accumulate, int last)
{
    const JOB *const job = &plan->job;
    T buffer[MLOPT_TILE_ROWS * TILE_COLUMNS];
    T *const c = job->c + (ptrdiff_t)row * job->c_row + (ptrdiff_t)column * job->c_column;
    const ptrdiff_t a_row = plan->pack_a ? (ptrdiff_t)k : job->a_row;
    F(tile_arguments) t = {.k = k, .accumulate = accumulate};
    for (size_t i = 0, rows; i < m; i += rows) {
        rows = F(group)(i, m);
        const int fresh = plan->fresh && i == 0;
        t.ahead = FRESH_AHEAD * job->b_row;
        t.a = a + (ptrdiff_t)i * a_row;
        t.a_step = plan->order == MLOPT_TILE_BY_ROWS ? job->a_row : plan->pack_a ? (ptrdiff_t)rows : job->a_column;
        const T *const next = i + rows < m ? t.a + (ptrdiff_t)rows * a_row : a;
        for (size_t j = 0, tile = 0; j < n; j += TILE_COLUMNS, tile++) {
            const size_t columns = mlopt_gemm_least(n - j, TILE_COLUMNS);
            const size_t vectors = (columns + LANES - 1) / LANES;
            t.last = columns - (vectors - 1) * LANES;
            /* together, the tiles of a group ask for the next group once */
            if (plan->order == MLOPT_TILE_BY_ROWS) {
                t.next[0] = next + (ptrdiff_t)(2 * tile % MLOPT_TILE_ROWS) * t.a_step;
                t.next[1] = t.next[0] + t.a_step;
                t.next_step = MLOPT_TILE_ROUND;
            } else {
                t.next[0] = next + (ptrdiff_t)(tile % 4 * (k / 4)) * t.a_step;
                t.next[1] = t.next[0] + t.a_step;
                t.next_step = 2 * t.a_step;
            }
            if (panels) {
                t.b = panels + j * k;
                t.b_row = (ptrdiff_t)TILE_COLUMNS;
            }
            if (fresh || !panels) {
                t.copy = panels ? panels + j * k : NULL;
                t.b = b + j;
                t.b_row = job->b_row;
            }
            const int source = F(tile_source)(fresh, t.last, plan->last_source);
            F(tile_function) *const compute = F(tiles)[rows - 1][vectors - 1][source][plan->order];
            T *const corner = c + (ptrdiff_t)i * job->c_row + (ptrdiff_t)j * job->c_column;
            if (job->c_column == 1) {
                t.c = corner;
                t.c_row = job->c_row;
                compute(&t);
                if (last && plan->finish)
                    plan->finish->call(plan->finish->with, rows, columns, row + i, column + j, corner);
                continue;
            }
            t.c = buffer;
            t.c_row = (ptrdiff_t)TILE_COLUMNS;
            t.accumulate = 0;
            compute(&t);
            for (size_t s = 0; s < columns; s++)
                for (size_t r = 0; r < rows; r++) {
                    T *const element = corner + (ptrdiff_t)r * job->c_row + (ptrdiff_t)s * job->c_column;
                    *element = accumulate ? *element + buffer[r * TILE_COLUMNS + s] : buffer[r * TILE_COLUMNS + s];
                }
        }
    }
}

/* One block of C, m x n of it at row i, column j. */
static void F(block_of_c)(const F(plan) * plan, size_t i, size_t m, size_t j, size_t n, T *a_packed, T *b_packed)
{
    const JOB *const job = &plan->job;
    const size_t kc = mlopt_gemm_piece(job->k, job->blocks->kc, MLOPT_TILE_ROUND);
    const size_t panels = (n + TILE_COLUMNS - 1) / TILE_COLUMNS;
    const size_t per_block = mlopt_gemm_most(job->blocks->nc / TILE_COLUMNS, 1);
    const size_t blocks = plan->b_direct ? 1 : (panels + per_block - 1) / per_block;
    for (size_t p = 0; p < job->k; p += kc) {
        const size_t k = mlopt_gemm_least(job->k - p, kc);
        const T *a = job->a + (ptrdiff_t)i * job->a_row + (ptrdiff_t)p * job->a_column;
        if (plan->pack_a) {
            F(pack_groups)(m, k, a, job->a_row, job->a_column, a_packed);
            a = a_packed;
        }
        for (size_t block = 0; block < blocks; block++) {
            const size_t first = block ? panels * block / blocks * TILE_COLUMNS : 0;
            const size_t end = block + 1 < blocks ? panels * (block + 1) / blocks * TILE_COLUMNS : n;
            const T *const b = job->b + (ptrdiff_t)p * job->b_row + (ptrdiff_t)(j + first) * job->b_column;
            T *at = plan->b_direct ? NULL : b_packed;
            if (job->packed)
                at = (T *)job->packed + p * job->packed_columns + (job->packed_first + j + first) * k;
            else if (at && !plan->fresh)
                F(pack_panels)(k, end - first, b, job->b_row, job->b_column, at);
            F(block)(plan, m, end - first, k, a, b, at, i, j + first, job->accumulate || p > 0, p + k == job->k);
        }
    }
}

/* The product in blocks. */
static void F(blocked)(const JOB *job, const FINISH *finish)
{
    F(plan) plan;
    plan.job = *job;
    plan.finish = finish;
    F(make_plan)(&plan);
    T *const b_packed = job->workspace;
    T *const a_packed = b_packed ? b_packed + mlopt_gemm_b_elements(job->blocks, job->n, job->k) : NULL;
    const size_t rows = mlopt_gemm_piece(job->m, job->blocks->mc, MLOPT_TILE_ROWS);
    const size_t columns = mlopt_gemm_piece(job->n, job->blocks->mc, TILE_COLUMNS);
    for (size_t j = 0; j < job->n; j += columns)
        for (size_t i = 0; i < job->m; i += rows)
            F(block_of_c)(&plan, i, mlopt_gemm_least(job->m - i, rows), j, mlopt_gemm_least(job->n - j, columns),
                          a_packed, b_packed);
}

#undef FRESH_AHEAD
