/* Few rows, or short ones: what keeps a side of the product in registers. */

/* Of C that is computed from rows of B at a time: half of a first-level cache. */
#define STRIP_BYTES 16384
/* The longest k for which all of a narrow B stays in registers. */
#define SHORT_K 8

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
        for (size_t q = 0; q < count; q++) {                                                                           \
            of_b[q] = fetch(b + (ptrdiff_t)q * job->b_row + at);                                                       \
            if (far)                                                                                                   \
                __builtin_prefetch(b + (ptrdiff_t)q * job->b_row + at + 1024 / sizeof(T), 0, 2);                       \
        }                                                                                                              \
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

#undef STRIP_BYTES
