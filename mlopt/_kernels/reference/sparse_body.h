/* Compressed rows, for one element type and one type of column numbers, INDEX. */

/* Element k of row i, for all of rows [first, last). */
#define EACH_ELEMENT(a, first, last, i, k)                                                                             \
    for (size_t i = first; i < (last); i++)                                                                            \
        for (size_t k = (size_t)((const INDEX *)(a)->indptr)[i]; k < (size_t)((const INDEX *)(a)->indptr)[i + 1]; k++)

void KI(spmv)(const mlopt_csr *a, size_t first, size_t last, const T *x, T *y)
{
    const INDEX *const columns = a->indices;
    const T *const values = a->values;
    for (size_t i = first; i < last; i++)
        y[i] = 0;
    EACH_ELEMENT(a, first, last, i, k)
    y[i] += values[k] * x[columns[k]];
}

void KI(spmv_transposed)(const mlopt_csr *a, size_t first, size_t last, const T *x, T *y)
{
    const INDEX *const columns = a->indices;
    const T *const values = a->values;
    EACH_ELEMENT(a, first, last, i, k)
    y[columns[k]] += values[k] * x[i];
}

void KI(spmm)(const mlopt_csr *a, size_t first, size_t last, size_t n, const T *b, size_t b_row, T *c, size_t c_row)
{
    const INDEX *const columns = a->indices;
    const T *const values = a->values;
    for (size_t i = first; i < last; i++)
        for (size_t j = 0; j < n; j++)
            c[i * c_row + j] = 0;
    EACH_ELEMENT(a, first, last, i, k)
    for (size_t j = 0; j < n; j++)
        c[i * c_row + j] += values[k] * b[(size_t)columns[k] * b_row + j];
}

void KI(spmm_transposed)(const mlopt_csr *a, size_t first, size_t last, size_t n, const T *b, size_t b_row, T *c,
                         size_t c_row)
{
    const INDEX *const columns = a->indices;
    const T *const values = a->values;
    EACH_ELEMENT(a, first, last, i, k)
    for (size_t j = 0; j < n; j++)
        c[(size_t)columns[k] * c_row + j] += values[k] * b[i * b_row + j];
}

void KI(sampled)(const mlopt_csr *a, size_t first, size_t last, size_t length, const T *u, size_t u_row, const T *v,
                 size_t v_row, T *out)
{
    const INDEX *const columns = a->indices;
    EACH_ELEMENT(a, first, last, i, k)
    {
        T sum = 0;
        for (size_t j = 0; j < length; j++)
            sum += u[i * u_row + j] * v[(size_t)columns[k] * v_row + j];
        out[k] = sum;
    }
}

size_t KI(spgemm)(const mlopt_csr *a, size_t first, size_t last, const mlopt_csr *b, void *scratch, size_t *ends,
                  void *indices, T *values)
{
    const INDEX *const a_columns = a->indices, *const b_columns = b->indices;
    const T *const a_values = a->values, *const b_values = b->values;
    T *const sums = scratch;
    int32_t *const listed = (int32_t *)(void *)(sums + b->columns); /* whether a column is among the row's */
    INDEX *const out = indices;
    size_t total = 0;
    for (size_t j = 0; j < b->columns; j++)
        sums[j] = 0, listed[j] = 0;
    for (size_t i = first; i < last; i++) {
        const size_t start = total;
        EACH_ELEMENT(a, i, i + 1, same, k)
        {
            (void)same;
            const size_t row = (size_t)a_columns[k];
            EACH_ELEMENT(b, row, row + 1, of_b, q)
            {
                (void)of_b;
                const INDEX column = b_columns[q];
                if (!listed[column]) {
                    listed[column] = 1;
                    out[total++] = column;
                }
                sums[column] += a_values[k] * b_values[q];
            }
        }
        for (size_t k = start; k < total; k++) {
            values[k] = sums[out[k]];
            sums[out[k]] = 0;
            listed[out[k]] = 0;
        }
        ends[i - first] = total;
    }
    return total;
}

#undef EACH_ELEMENT
#undef KI
#undef INDEX
