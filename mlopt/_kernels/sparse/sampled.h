/* Scalar products of rows of two dense matrices, where a sparse pattern has elements: four at a time. */

MLOPT_INLINE T FI(row_dot)(size_t length, const T *u, const T *v)
{
    V sum = F(zero)();
    size_t k = 0;
    for (; k + LANES <= length; k += LANES)
        sum = F(fma)(F(load)(u + k), F(load)(v + k), sum);
    if (k < length)
        sum = F(fma)(F(load_first)(u + k, length - k), F(load_first)(v + k, length - k), sum);
    return F(reduce_add)(sum);
}

void KI(sampled)(const mlopt_csr *a, size_t first, size_t last, size_t length, const T *u, size_t u_row, const T *v,
                 size_t v_row, T *out)
{
    const INDEX *const indptr = a->indptr, *const columns = a->indices;
    const size_t whole = length / LANES * LANES, rest = length - whole;
    for (size_t i = first; i < last; i++) {
        const T *const row = u + i * u_row;
        const size_t end = (size_t)indptr[i + 1];
        size_t k = (size_t)indptr[i];
        for (; k + 4 <= end; k += 4) {
            const T *const v0 = v + (size_t)columns[k] * v_row, *const v1 = v + (size_t)columns[k + 1] * v_row;
            const T *const v2 = v + (size_t)columns[k + 2] * v_row, *const v3 = v + (size_t)columns[k + 3] * v_row;
            V sum0 = F(zero)(), sum1 = F(zero)(), sum2 = F(zero)(), sum3 = F(zero)();
            for (size_t at = 0; at < whole; at += LANES) {
                const V x = F(load)(row + at);
                sum0 = F(fma)(x, F(load)(v0 + at), sum0);
                sum1 = F(fma)(x, F(load)(v1 + at), sum1);
                sum2 = F(fma)(x, F(load)(v2 + at), sum2);
                sum3 = F(fma)(x, F(load)(v3 + at), sum3);
            }
            if (rest) {
                const V x = F(load_first)(row + whole, rest);
                sum0 = F(fma)(x, F(load_first)(v0 + whole, rest), sum0);
                sum1 = F(fma)(x, F(load_first)(v1 + whole, rest), sum1);
                sum2 = F(fma)(x, F(load_first)(v2 + whole, rest), sum2);
                sum3 = F(fma)(x, F(load_first)(v3 + whole, rest), sum3);
            }
            out[k] = F(reduce_add)(sum0);
            out[k + 1] = F(reduce_add)(sum1);
            out[k + 2] = F(reduce_add)(sum2);
            out[k + 3] = F(reduce_add)(sum3);
        }
        for (; k < end; k++)
            out[k] = FI(row_dot)(length, row, v + (size_t)columns[k] * v_row);
    }
}
