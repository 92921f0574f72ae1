/* Three loops, one multiplication and one addition at a time. */

void K(gemm)(const MLOPT_JOIN(mlopt_gemm_job_, MLOPT_REAL) *job)
{
    for (size_t i = 0; i < job->m; i++)
        for (size_t j = 0; j < job->n; j++) {
            const T *a = job->a + (ptrdiff_t)i * job->a_row, *b = job->b + (ptrdiff_t)j * job->b_column;
            T *const c = job->c + (ptrdiff_t)i * job->c_row + (ptrdiff_t)j * job->c_column;
            T sum = 0;
            for (size_t p = 0; p < job->k; p++, a += job->a_column, b += job->b_row)
                sum += *a * *b;
            *c = job->accumulate ? *c + sum : sum;
        }
}
