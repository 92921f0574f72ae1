/* Products as dot products: both operands are contiguous along k, one side of C is small. */

/* Their longest k at a time. */
#define DOT_K 4096
/* Dot products in registers, and those of them that share an operand. */
#define DOT_BLOCK (MLOPT_TILE_ROWS == 8 ? 16 : 8)
#define DOT_SIDE (MLOPT_TILE_ROWS == 8 ? 4 : 2)

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
        V of_b[DOT_SIDE];                                                                                              \
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

/* C from dot products.  The longer side runs by once; where it comes from memory, it is asked for ahead, which would
 * slow down what comes from a cache.  Rows that are short follow each other, and prefetchers follow fewer of them
 * better. */
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

#undef DOT_K
#undef DOT_BLOCK
#undef DOT_SIDE
