/* Which way a product goes. */

/* Vectors that hold x numbers. */
static double F(vectors)(size_t x)
{
    const size_t part = MLOPT_TILE_HALVES ? LANES / 2 : LANES;
    return (double)((x + part - 1) / part * part) / (double)LANES;
}

/* Cycles for a step of k where rows of A and columns of B are contiguous along it: tiles, laying the panels of B
 * across, and, where C lies across as well, storing it. */
static double F(cost)(size_t m, size_t n, size_t k, int c_across)
{
    const double panels = 5.0 * (double)n / (double)LANES;
    return (double)m * F(vectors)(n) + panels + (c_across ? 1.5 * (double)m * (double)n / (double)k : 0);
}

/* Whether dot products take fewer cycles than that, per number of the longer side: it may be cut without a difference.
 */
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

/* The product; whether `finish`, unless NULL, was called by it. */
MLOPT_INLINE int F(product)(JOB *job, const FINISH *finish)
{
    int exchanged = 0;
    if (job->k == 0) {
        for (size_t i = 0; !job->accumulate && i < job->m; i++)
            for (size_t j = 0; j < job->n; j++)
                job->c[(ptrdiff_t)i * job->c_row + (ptrdiff_t)j * job->c_column] = 0;
        return 0;
    }
    /* vectors run along n: exchanged where C is contiguous the other way, or is one column */
    if (!job->packed && (job->n == 1 || (job->m != 1 && job->c_column != 1 && job->c_row == 1)))
        F(exchange)(job), exchanged = !exchanged;
    /* the stride of a dimension of one element means nothing */
    if (job->n == 1)
        job->b_column = job->b_row == 1 ? 0 : 1, job->c_column = 1;
    if (job->k == 1)
        job->a_column = 1, job->b_row = 0;
    const int along_k = !job->packed && job->a_column == 1 && job->b_row == 1 && job->b_column != 1;
    if (along_k && F(prefers_dots)(job)) {
        F(dot_blocks)(job);
        return 0;
    }
    if (job->n == 1)
        job->b_column = 1;
    if (!job->packed && mlopt_gemm_is_narrow(job->m, job->n, job->k, LANES) && job->a_column == 1) {
        F(narrow_dots)(job);
        return 0;
    }
    if (along_k && F(cost)(job->n, job->m, job->k, 1) < F(cost)(job->m, job->n, job->k, 0))
        F(exchange)(job), exchanged = !exchanged;
    if (!job->packed && job->m <= 4 && job->b_column == 1 && job->c_column == 1) {
        if (job->n * job->k * sizeof(T) > MLOPT_GEMM_FAR)
            F(few_rows)(1, job);
        else
            F(few_rows)(0, job);
        return 0;
    }
    if (!job->packed && job->n <= LANES && job->k <= SHORT_K && job->c_column == 1) {
        F(short_rows)(job);
        return 0;
    }
    const FINISH *const now = exchanged || job->c_column != 1 ? NULL : finish;
    F(blocked)(job, now);
    return now != NULL;
}

void K(gemm_then)(const JOB *given, const FINISH *finish)
{
    JOB job = *given;
    if (job.m == 0 || job.n == 0)
        return;
    if (!F(product)(&job, finish) && finish)
        finish->call(finish->with, given->m, given->n, 0, 0, given->c);
}

void K(gemm)(const JOB *given)
{
    JOB job = *given;
    if (job.m && job.n)
        F(product)(&job, NULL);
}

#undef FINISH
#undef SHORT_K
#undef TILE_COLUMNS
#undef JOB
