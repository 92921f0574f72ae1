/* Blocking and packing for one element type.
 *
 * C is computed in blocks of mc x mc, which L3 holds together with what they are made from.  For each, k runs in blocks
 * of kc, n in blocks of nc: a block of B, kc x nc, lies in L2 as panels as wide as a tile, [k][columns], and meets all
 * rows of A, a group of tile rows after the other.  The first group packs the block while it computes.
 *
 * A stays where it is when its rows are contiguous along k, or when it is small and its columns are contiguous;
 * otherwise its groups are packed, [k][rows]. */

#define TILE_COLUMNS (MLOPT_TILE_VECTORS * LANES)
#define JOB MLOPT_JOIN(mlopt_gemm_job_, MLOPT_REAL)
/* Rows of B between the one a fresh tile reads and the one it prefetches: more, and rows 32 KB apart would push each
 * other out of L2. */
#define FRESH_AHEAD 32
/* Their longest k at a time. */
#define DOT_K 4096
/* Of C that is computed from rows of B at a time: half of a first-level cache. */
#define STRIP_BYTES 16384
/* The longest k for which all of a narrow B stays in registers. */
#define SHORT_K 8
/* Dot products in registers, and those of them that share an operand. */
#define DOT_BLOCK (MLOPT_TILE_ROWS == 8 ? 16 : 8)
#define DOT_SIDE (MLOPT_TILE_ROWS == 8 ? 4 : 2)

/* What the loops over blocks share. */
typedef struct F(plan) {
    JOB job;
    int order;      /* of A, as the tiles see it */
    int pack_a;     /* whether blocks of A are packed */
    int fresh;      /* whether the first group of rows packs B */
    int b_direct;   /* whether B is read where it is */
    int last_source; /* of B for tiles that are cut short, when it is not fresh */
} F(plan);

/* The rows of the group that begins at row i of m: all groups are as equal as can be. */
static inline size_t F(group)(size_t i, size_t m)
{
    const size_t left = m - i, groups = (left + MLOPT_TILE_ROWS - 1) / MLOPT_TILE_ROWS;
    return left % MLOPT_TILE_ROWS == 0 ? MLOPT_TILE_ROWS : groups == 1 ? left : (left + groups - 1) / groups;
}

/* dst[p * rows + r] = a[r, p] for each group of rows, one behind the other.  Some steps of k at a time, so that
 * lines of A that groups share are read once. */
static void F(pack_groups)(size_t m, size_t k, const T *a, ptrdiff_t a_row, ptrdiff_t a_column, T *dst)
{
    for (size_t first = 0; first < k; first += 16) {
        const size_t steps = mlopt_gemm_least(k - first, 16);
        for (size_t i = 0, rows; i < m; i += rows) {
            rows = F(group)(i, m);
            const T *from = a + (ptrdiff_t)i * a_row + (ptrdiff_t)first * a_column;
            T *to = dst + i * k + first * rows;
            if (a_row == 1 && rows == MLOPT_TILE_ROWS) {
                for (size_t p = 0; p < steps; p++, from += a_column, to += MLOPT_TILE_ROWS)
                    memcpy(to, from, MLOPT_TILE_ROWS * sizeof(T));
            } else {
                for (size_t p = 0; p < steps; p++, from += a_column, to += rows)
                    for (size_t r = 0; r < rows; r++)
                        to[r] = from[(ptrdiff_t)r * a_row];
            }
        }
    }
}

/* Up to TILE_COLUMNS columns of B that are contiguous along k, as a panel. */
static void F(pack_transposed)(size_t k, size_t columns, const T *b, ptrdiff_t b_column, T *dst)
{
    for (size_t c = 0; c < columns; c += LANES) {
        const size_t wide = mlopt_gemm_least(columns - c, LANES);
        const T *const from = b + (ptrdiff_t)c * b_column;
        V block[LANES];
        size_t p = 0;
        for (; p + LANES <= k; p += LANES) {
            if (wide == LANES) {
                MLOPT_UNROLL_FULLY
                for (size_t i = 0; i < LANES; i++)
                    block[i] = F(load)(from + (ptrdiff_t)i * b_column + p);
            } else {
                for (size_t i = 0; i < LANES; i++)
                    block[i] = i < wide ? F(load)(from + (ptrdiff_t)i * b_column + p) : F(zero)();
            }
            F(transpose)(block);
            MLOPT_UNROLL_FULLY
            for (size_t i = 0; i < LANES; i++)
                F(store)(dst + (p + i) * TILE_COLUMNS + c, block[i]);
        }
        for (; p < k; p++)
            for (size_t i = 0; i < LANES; i++)
                dst[p * TILE_COLUMNS + c + i] = i < wide ? from[(ptrdiff_t)i * b_column + p] : 0;
    }
}

/* Any n columns of B as panels, one behind the other, filled up with zeros to whole vectors. */
static void F(pack_panels)(size_t k, size_t n, const T *b, ptrdiff_t b_row, ptrdiff_t b_column, T *dst)
{
    for (size_t j = 0; j < n; j += TILE_COLUMNS, dst += k * TILE_COLUMNS) {
        const size_t columns = mlopt_gemm_least(n - j, TILE_COLUMNS);
        const size_t vectors = (columns + LANES - 1) / LANES, last = columns - (vectors - 1) * LANES;
        const T *from = b + (ptrdiff_t)j * b_column;
        if (b_row == 1 && b_column != 1) {
            F(pack_transposed)(k, columns, from, b_column, dst);
            continue;
        }
        T *to = dst;
        for (size_t p = 0; p < k; p++, from += b_row, to += TILE_COLUMNS) {
            if (b_column == 1) {
                for (size_t v = 0; v + 1 < vectors; v++)
                    F(store)(to + v * LANES, F(load)(from + v * LANES));
                F(store)(to + (vectors - 1) * LANES, F(load_first)(from + (vectors - 1) * LANES, last));
            } else {
                for (size_t c = 0; c < columns; c++)
                    to[c] = from[(ptrdiff_t)c * b_column];
                for (size_t c = columns; c < vectors * LANES; c++)
                    to[c] = 0;
            }
        }
    }
}

/* C += A B or C = A B for a block: A at a, groups in a's order; B at b (rows b_row apart) or in panels at `panels`. */
static void F(block)(const F(plan) * plan, size_t m, size_t n, size_t k, const T *a, const T *b, T *panels, T *c,
                     int accumulate)
{
    const JOB *const job = &plan->job;
    T buffer[MLOPT_TILE_ROWS * TILE_COLUMNS];
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
                t.copy = panels + j * k;
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
            F(block)(plan, m, end - first, k, a, b, at,
                     job->c + (ptrdiff_t)i * job->c_row + (ptrdiff_t)(j + first) * job->c_column,
                     job->accumulate || p > 0);
        }
    }
}

/* `count` rows of B, from row p and column j on, are weighted and added to the sums: [vector][row]. */
MLOPT_INLINE void F(weigh)(const size_t rows, const size_t count, const int far, const JOB *job, size_t p, size_t j,
                           size_t width, T *sums)
{
    V weights[4][8];
    const T *const b = job->b + (ptrdiff_t)p * job->b_row + j;
    MLOPT_UNROLL_FULLY
    for (size_t i = 0; i < rows; i++) {
        MLOPT_UNROLL_FULLY
        for (size_t q = 0; q < count; q++)
            weights[i][q] = F(set1)(job->a[(ptrdiff_t)i * job->a_row + (ptrdiff_t)(p + q) * job->a_column]);
    }
#define STEP(fetch)                                                                                                    \
    {                                                                                                                  \
        V of_b[8];                                                                                                     \
        MLOPT_UNROLL_FULLY                                                                                             \
        for (size_t q = 0; q < count; q++)                                                                             \
        {                                                                                                              \
            of_b[q] = fetch(b + (ptrdiff_t)q * job->b_row + at);                                                       \
            if (far)                                                                                                   \
                __builtin_prefetch(b + (ptrdiff_t)q * job->b_row + at + 1024 / sizeof(T), 0, 2);                       \
        }                                                     \
        MLOPT_UNROLL_FULLY                                                                                             \
        for (size_t i = 0; i < rows; i++) {                                                                            \
            T *const sum_at = sums + at * rows + i * LANES;                                                            \
            V sum = p ? F(load)(sum_at) : F(zero)();                                                                   \
            MLOPT_UNROLL_FULLY                                                                                         \
            for (size_t q = 0; q < count; q++)                                                                         \
                sum = F(fma)(weights[i][q], of_b[q], sum);                                                             \
            F(store)(sum_at, sum);                                                                                     \
        }                                                                                                              \
    }
#define LOAD_LAST(from) F(load_first)(from, width - at)
    size_t at = 0;
    MLOPT_ROLLED
    for (; at + LANES <= width; at += LANES)
        STEP(F(load))
    if (at < width)
        STEP(LOAD_LAST)
#undef LOAD_LAST
#undef STEP
}

/* Strips of C.  The sums lie apart from C: one run of memory instead of several rows a power of two apart, and one that
 * is half a page away from B, since a load waits for any store before it whose address ends in the same twelve bits. */
MLOPT_INLINE void F(weigh_strips)(const size_t rows, const size_t count, const int far, const JOB *job)
{
    T memory[(STRIP_BYTES + 4096) / sizeof(T)] __attribute__((aligned(64)));
    T *const sums = memory + (((size_t)job->b + 2048 - (size_t)memory) % 4096 & ~(size_t)63) / sizeof(T);
    const size_t strip = STRIP_BYTES / sizeof(T) / rows / LANES * LANES;
    for (size_t j = 0; j < job->n; j += strip) {
        const size_t width = mlopt_gemm_least(job->n - j, strip);
        size_t p = 0;
        for (; p + count <= job->k; p += count)
            F(weigh)(rows, count, far, job, p, j, width, sums);
        for (; p + 2 <= job->k; p += 2)
            F(weigh)(rows, 2, 0, job, p, j, width, sums);
        if (p < job->k)
            F(weigh)(rows, 1, 0, job, p, j, width, sums);
        for (size_t i = 0; i < rows; i++)
            for (size_t at = 0; at < width; at += LANES) {
                T *const c = job->c + (ptrdiff_t)i * job->c_row + j + at;
                const size_t lanes = mlopt_gemm_least(width - at, LANES);
                const V sum = F(load)(sums + at * rows + i * LANES);
                F(store_first)(c, lanes, job->accumulate ? F(add)(F(load_first)(c, lanes), sum) : sum);
            }
    }
}

/* C of few rows: B runs by in rows as long as can be, which is how memory likes it best. */
MLOPT_INLINE void F(few_rows)(const int far, const JOB *job)
{
    if (job->m == 1)
        F(weigh_strips)(1, 8, far, job);
    else if (job->m == 2)
        F(weigh_strips)(2, MLOPT_TILE_ROWS, far, job);
    else if (job->m == 3)
        F(weigh_strips)(3, MLOPT_TILE_ROWS / 2, far, job);
    else
        F(weigh_strips)(4, MLOPT_TILE_ROWS / 2, far, job);
}

/* C of many short rows: B stays in registers, k of them. */
MLOPT_INLINE void F(short_rows_of)(const size_t k, const JOB *job)
{
    V b[SHORT_K];
    T row[LANES];
    MLOPT_UNROLL_FULLY
    for (size_t p = 0; p < k; p++) {
        for (size_t j = 0; j < job->n; j++)
            row[j] = job->b[(ptrdiff_t)p * job->b_row + (ptrdiff_t)j * job->b_column];
        b[p] = F(load_first)(row, job->n);
    }
    const T *a = job->a;
    T *c = job->c;
    for (size_t i = 0; i < job->m; i++, a += job->a_row, c += job->c_row) {
        V sum = job->accumulate ? F(load_first)(c, job->n) : F(zero)();
        MLOPT_UNROLL_FULLY
        for (size_t p = 0; p < k; p++)
            sum = F(fma)(F(set1)(a[(ptrdiff_t)p * job->a_column]), b[p], sum);
        F(store_first)(c, job->n, sum);
    }
}

static void F(short_rows)(const JOB *job)
{
    switch (job->k) {
    case 1:
        F(short_rows_of)(1, job);
        break;
    case 2:
        F(short_rows_of)(2, job);
        break;
    case 3:
        F(short_rows_of)(3, job);
        break;
    case 4:
        F(short_rows_of)(4, job);
        break;
    case 5:
        F(short_rows_of)(5, job);
        break;
    case 6:
        F(short_rows_of)(6, job);
        break;
    case 7:
        F(short_rows_of)(7, job);
        break;
    default:
        F(short_rows_of)(8, job);
    }
}

/* The product with A and B exchanged: C^T = B^T A^T. */
static void F(exchange)(JOB *job)
{
    const JOB given = *job;
    job->m = given.n, job->n = given.m;
    job->a = given.b, job->a_row = given.b_column, job->a_column = given.b_row;
    job->b = given.a, job->b_row = given.a_column, job->b_column = given.a_row;
    job->c_row = given.c_column, job->c_column = given.c_row;
}

/* rows x columns dot products, those of a row one behind the other in out; both operands contiguous along k.
 * ahead: bytes from what is read of A to what is asked for, or 0 */
MLOPT_INLINE void F(dot_block)(const size_t rows, const size_t columns, const size_t ahead, size_t k, const T *a,
                               ptrdiff_t a_row, const T *b, ptrdiff_t b_column, T *out)
{
    V sums[DOT_BLOCK];
    MLOPT_UNROLL_FULLY
    for (size_t s = 0; s < DOT_BLOCK; s++)
        sums[s] = F(zero)();
    size_t p = 0;
#define STEP(load)                                                                                                     \
    {                                                                                                                  \
        V of_b[DOT_SIDE];                                                                                        \
        MLOPT_UNROLL_FULLY                                                                                             \
        for (size_t j = 0; j < columns; j++)                                                                           \
            of_b[j] = load(b + (ptrdiff_t)j * b_column + p);                                                           \
        MLOPT_UNROLL_FULLY                                                                                             \
        for (size_t i = 0; i < rows; i++) {                                                                            \
            const V of_a = load(a + (ptrdiff_t)i * a_row + p);                                                         \
            if (ahead)                                                                                                 \
                __builtin_prefetch(a + (ptrdiff_t)i * a_row + p + ahead / sizeof(T), 0, 2);                            \
            MLOPT_UNROLL_FULLY                                                                                         \
            for (size_t j = 0; j < columns; j++)                                                                       \
                sums[i * columns + j] = F(fma)(of_a, of_b[j], sums[i * columns + j]);                                  \
        }                                                                                                              \
    }
#define LOAD_LAST(at) F(load_first)(at, k - p)
    MLOPT_ROLLED
    for (; p + LANES <= k; p += LANES)
        STEP(F(load))
    if (p < k)
        STEP(LOAD_LAST)
#undef LOAD_LAST
#undef STEP
    MLOPT_UNROLL_FULLY
    for (size_t s = 0; s < rows * columns; s += LANES)
        F(store_first)(out + s, mlopt_gemm_least(rows * columns - s, LANES), F(reduce_add_each)(sums + s));
}

/* A block of C at row i, column j. */
MLOPT_INLINE void F(dot_store)(const size_t rows, const size_t columns, const size_t ahead, const JOB *job, size_t i,
                               size_t j)
{
    T out[DOT_BLOCK];
    F(dot_block)(rows, columns, ahead, job->k, job->a + (ptrdiff_t)i * job->a_row, job->a_row,
                 job->b + (ptrdiff_t)j * job->b_column, job->b_column, out);
    for (size_t r = 0; r < rows; r++)
        for (size_t s = 0; s < columns; s++) {
            T *const element = job->c + (ptrdiff_t)(i + r) * job->c_row + (ptrdiff_t)(j + s) * job->c_column;
            *element = job->accumulate ? *element + out[r * columns + s] : out[r * columns + s];
        }
}

/* Some whole rows of C, from row i on. */
MLOPT_INLINE void F(dot_rows)(const size_t rows, const size_t ahead, const JOB *job, size_t i)
{
    size_t j = 0;
    if (ahead && job->n >= DOT_SIDE) {
        F(dot_store)(rows, DOT_SIDE, ahead, job, i, 0);
        j += DOT_SIDE;
    }
    for (; j + DOT_SIDE <= job->n; j += DOT_SIDE)
        F(dot_store)(rows, DOT_SIDE, 0, job, i, j);
#if MLOPT_TILE_ROWS == 8
    if (job->n - j == 3)
        F(dot_store)(rows, 3, 0, job, i, j);
    else if (job->n - j == 2)
        F(dot_store)(rows, 2, 0, job, i, j);
#endif
    if (job->n - j == 1)
        F(dot_store)(rows, 1, 0, job, i, j);
}

/* C from dot products.  The longer side runs by once; where it comes from memory, it is asked for ahead, which would slow
 * down what comes from a cache.  Rows that are short follow each other, and prefetchers follow fewer of them better. */
static void F(dots)(JOB *job)
{
    if (job->m < job->n)
        F(exchange)(job);
    const int far = job->m * job->k * sizeof(T) > MLOPT_GEMM_FAR, brief = job->k * sizeof(T) <= 1024;
    const size_t rows = DOT_BLOCK / DOT_SIDE;
    size_t i = 0;
    if (job->n == 1 && far && brief)
        for (; i + 4 <= job->m; i += 4)
            F(dot_store)(4, 1, 2048, job, i, 0);
    if (job->n == 1 && far)
        for (; i + 8 <= job->m; i += 8)
            F(dot_store)(8, 1, 1024, job, i, 0);
    if (job->n == 1)
        for (; i + 8 <= job->m; i += 8)
            F(dot_store)(8, 1, 0, job, i, 0);
    if (job->n == 2)
        for (; i + DOT_BLOCK / 2 <= job->m; i += DOT_BLOCK / 2)
            F(dot_store)(DOT_BLOCK / 2, 2, 0, job, i, 0);
    if (far)
        for (; i + rows <= job->m; i += rows)
            F(dot_rows)(rows, 1024, job, i);
    for (; i + rows <= job->m; i += rows)
        F(dot_rows)(rows, 0, job, i);
    if (job->m - i >= 2) {
        F(dot_rows)(2, 0, job, i);
        i += 2;
    }
    if (i < job->m)
        F(dot_rows)(1, 0, job, i);
}

/* The same in blocks of k that a cache holds for all rows of the shorter side. */
static void F(dot_blocks)(const JOB *given)
{
    const size_t most = mlopt_gemm_least(given->m, given->n) == 1 ? given->k : DOT_K;
    for (size_t p = 0; p < given->k; p += most) {
        JOB job = *given;
        job.k = mlopt_gemm_least(given->k - p, most);
        job.a += p, job.b += p;
        job.accumulate |= p > 0;
        F(dots)(&job);
    }
}

/* The same where C is narrow and B, which is then small, lies across: its columns are laid along k first. */
static void F(narrow_dots)(JOB *job)
{
    T *const columns = job->workspace;
    for (size_t p = 0; p < job->k; p++)
        for (size_t j = 0; j < job->n; j++)
            columns[j * job->k + p] = job->b[(ptrdiff_t)p * job->b_row + (ptrdiff_t)j * job->b_column];
    job->b = columns, job->b_row = 1, job->b_column = (ptrdiff_t)job->k;
    F(dot_blocks)(job);
}

/* Vectors that hold x numbers. */
static double F(vectors)(size_t x)
{
    const size_t part = MLOPT_TILE_HALVES ? LANES / 2 : LANES;
    return (double)((x + part - 1) / part * part) / (double)LANES;
}

/* Cycles for a step of k where rows of A and columns of B are contiguous along it: tiles, laying the panels of B across,
 * and, where C lies across as well, storing it. */
static double F(cost)(size_t m, size_t n, size_t k, int c_across)
{
    const double panels = 5.0 * (double)n / (double)LANES;
    return (double)m * F(vectors)(n) + panels + (c_across ? 1.5 * (double)m * (double)n / (double)k : 0);
}

/* Whether dot products take fewer cycles than that, per number of the longer side: it may be cut without a difference. */
static int F(prefers_dots)(const JOB *job)
{
    const size_t side = mlopt_gemm_least(job->m, job->n);
    if (side > MLOPT_GEMM_DOT_ROWS || side <= 2)
        return side <= 2;
    const double s = (double)side, k = (double)job->k, lanes = (double)LANES;
    const double dots = s * (1.1 / lanes + 4.0 / k), across = 1.5 * s / k;
    const double along_short = F(vectors)(side) + (job->m <= job->n ? across : 0);
    const double along_long = (s + 5.0) / lanes + (job->m <= job->n ? 0 : across);
    return dots < along_short && dots < along_long;
}

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

void K(gemm)(const JOB *given)
{
    F(plan) plan;
    plan.job = *given;
    JOB *const job = &plan.job;
    if (job->m == 0 || job->n == 0)
        return;
    if (job->k == 0) {
        for (size_t i = 0; !job->accumulate && i < job->m; i++)
            for (size_t j = 0; j < job->n; j++)
                job->c[(ptrdiff_t)i * job->c_row + (ptrdiff_t)j * job->c_column] = 0;
        return;
    }
    /* vectors run along n: exchanged where C is contiguous the other way, or is one column */
    if (!job->packed && (job->n == 1 || (job->m != 1 && job->c_column != 1 && job->c_row == 1)))
        F(exchange)(job);
    /* the stride of a dimension of one element means nothing */
    if (job->n == 1)
        job->b_column = job->b_row == 1 ? 0 : 1, job->c_column = 1;
    if (job->k == 1)
        job->a_column = 1, job->b_row = 0;
    const int along_k = !job->packed && job->a_column == 1 && job->b_row == 1 && job->b_column != 1;
    if (along_k && F(prefers_dots)(job)) {
        F(dot_blocks)(job);
        return;
    }
    if (job->n == 1)
        job->b_column = 1;
    if (!job->packed && mlopt_gemm_is_narrow(job->m, job->n, job->k, LANES) && job->a_column == 1) {
        F(narrow_dots)(job);
        return;
    }
    if (along_k && F(cost)(job->n, job->m, job->k, 1) < F(cost)(job->m, job->n, job->k, 0))
        F(exchange)(job);
    if (!job->packed && job->m <= 4 && job->b_column == 1 && job->c_column == 1) {
        if (job->n * job->k * sizeof(T) > MLOPT_GEMM_FAR)
            F(few_rows)(1, job);
        else
            F(few_rows)(0, job);
        return;
    }
    if (!job->packed && job->n <= LANES && job->k <= SHORT_K && job->c_column == 1) {
        F(short_rows)(job);
        return;
    }

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

size_t K(gemm_pack)(const mlopt_gemm_blocks *blocks, size_t k, size_t n, const T *b, ptrdiff_t b_row,
                    ptrdiff_t b_column, T *packed)
{
    const size_t columns = (n + TILE_COLUMNS - 1) / TILE_COLUMNS * TILE_COLUMNS;
    const size_t kc = mlopt_gemm_piece(k, blocks->kc, MLOPT_TILE_ROUND);
    for (size_t p = 0; packed && p < k; p += kc)
        F(pack_panels)(mlopt_gemm_least(k - p, kc), n, b + (ptrdiff_t)p * b_row, b_row, b_column, packed + p * columns);
    return columns;
}

void K(gemm_unpack)(const mlopt_gemm_blocks *blocks, size_t k, size_t n, const T *packed, T *b)
{
    const size_t columns = (n + TILE_COLUMNS - 1) / TILE_COLUMNS * TILE_COLUMNS;
    const size_t kc = mlopt_gemm_piece(k, blocks->kc, MLOPT_TILE_ROUND);
    for (size_t first = 0; first < k; first += kc) {
        const size_t length = mlopt_gemm_least(k - first, kc);
        for (size_t p = 0; p < length; p++)
            for (size_t j = 0; j < n; j++) {
                const T *const panel = packed + first * columns + j / TILE_COLUMNS * TILE_COLUMNS * length;
                b[(first + p) * n + j] = panel[p * TILE_COLUMNS + j % TILE_COLUMNS];
            }
    }
}

#undef SHORT_K
#undef STRIP_BYTES
#undef DOT_K
#undef DOT_SIDE
#undef DOT_BLOCK
#undef TILE_COLUMNS
#undef JOB
#undef FRESH_AHEAD
