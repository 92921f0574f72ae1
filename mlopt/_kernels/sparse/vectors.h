/* Products with a vector. */

/* The sum of a row of many elements: four registers of partial sums. */
static T FI(long_row)(size_t n, const INDEX *columns, const T *values, const T *x)
{
    V sums[4] = {F(zero)(), F(zero)(), F(zero)(), F(zero)()};
    size_t k = 0;
    for (; k + 4 * LANES <= n; k += 4 * LANES) {
        MLOPT_UNROLL_FULLY
        for (size_t i = 0; i < 4; i++)
            sums[i] = F(fma)(F(load)(values + k + i * LANES), BY_BITS(gather_)(x, columns + k + i * LANES), sums[i]);
    }
    V sum = F(add)(F(add)(sums[0], sums[1]), F(add)(sums[2], sums[3]));
    for (; k + LANES <= n; k += LANES)
        sum = F(fma)(F(load)(values + k), BY_BITS(gather_)(x, columns + k), sum);
    T result = F(reduce_add)(sum);
    for (; k < n; k++)
        result = F(multiply_add)(values[k], x[columns[k]], result);
    return result;
}

void KI(spmv)(const mlopt_csr *a, size_t first, size_t last, const T *x, T *y)
{
    const INDEX *const indptr = a->indptr, *const columns = a->indices;
    const T *const values = a->values;
    for (size_t i = first; i < last; i++) {
        const size_t start = (size_t)indptr[i], end = (size_t)indptr[i + 1];
        if (end - start >= MLOPT_SPARSE_LONG_ROW) {
            y[i] = FI(long_row)(end - start, columns + start, values + start, x);
            continue;
        }
        T sum = 0;
        for (size_t k = start; k < end; k++)
            sum = F(multiply_add)(values[k], x[columns[k]], sum);
        y[i] = sum;
    }
}

void KI(spmv_transposed)(const mlopt_csr *a, size_t first, size_t last, const T *x, T *y)
{
    const INDEX *const indptr = a->indptr, *const columns = a->indices;
    const T *const values = a->values;
    for (size_t i = first; i < last; i++) {
        const size_t end = (size_t)indptr[i + 1];
        for (size_t k = (size_t)indptr[i]; k < end; k++)
            y[columns[k]] = F(multiply_add)(values[k], x[i], y[columns[k]]);
    }
}
