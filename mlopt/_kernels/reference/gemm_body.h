/* Three loops, one multiplication and one addition at a time. */

void K(gemm)(const MLOPT_JOIN(mlopt_gemm_job_, MLOPT_REAL) *job)
{
    const T *const b_first = job->packed ? job->packed + job->packed_first : job->b;
    const ptrdiff_t b_row = job->packed ? (ptrdiff_t)job->packed_columns : job->b_row;
    const ptrdiff_t b_column = job->packed ? 1 : job->b_column;
    for (size_t i = 0; i < job->m; i++)
        for (size_t j = 0; j < job->n; j++) {
            const T *a = job->a + (ptrdiff_t)i * job->a_row, *b = b_first + (ptrdiff_t)j * b_column;
            T *const c = job->c + (ptrdiff_t)i * job->c_row + (ptrdiff_t)j * job->c_column;
            T sum = 0;
            for (size_t p = 0; p < job->k; p++, a += job->a_column, b += b_row)
                sum += *a * *b;
            *c = job->accumulate ? *c + sum : sum;
        }
}

void K(gemm_then)(const MLOPT_JOIN(mlopt_gemm_job_, MLOPT_REAL) *job,
                  const MLOPT_JOIN(mlopt_gemm_finish_, MLOPT_REAL) *finish)
{
    K(gemm)(job);
    if (finish && job->m && job->n)
        finish->call(finish->with, job->m, job->n, 0, 0, job->c);
}

/* packed: B row by row */
size_t K(gemm_pack)(const mlopt_gemm_blocks *blocks, size_t k, size_t n, const T *b, ptrdiff_t b_row,
                    ptrdiff_t b_column, T *packed)
{
    (void)blocks;
    for (size_t p = 0; packed && p < k; p++)
        for (size_t j = 0; j < n; j++)
            packed[p * n + j] = b[(ptrdiff_t)p * b_row + (ptrdiff_t)j * b_column];
    return n;
}

void K(gemm_unpack)(const mlopt_gemm_blocks *blocks, size_t k, size_t n, const T *packed, T *b)
{
    (void)blocks;
    for (size_t i = 0; i < k * n; i++)
        b[i] = packed[i];
}
