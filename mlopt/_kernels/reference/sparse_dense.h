/* Dense matrices, and rows in slices, for one element type. */

void K(sell)(const mlopt_sell *a, size_t first, size_t last, const T *x, T *y)
{
    const size_t slice = MLOPT_SPARSE_SLICE(sizeof(T));
    for (size_t s = first; s < last; s++) {
        const T *const values = a->values;
        size_t rest = a->start[s] + (size_t)a->full[s] * slice;
        for (size_t i = s * slice; i < a->rows && i < (s + 1) * slice; i++) {
            T sum = 0;
            for (size_t k = 0; k < (size_t)a->full[s]; k++) {
                const size_t at = a->start[s] + k * slice + i % slice;
                sum += values[at] * x[a->columns[at]];
            }
            for (int32_t k = 0; k < a->rest[i]; k++, rest++)
                sum += values[rest] * x[a->columns[rest]];
            y[a->row[i]] = sum;
        }
    }
}

void K(sell_transposed)(const mlopt_sell *a, size_t first, size_t last, const T *x, T *y)
{
    const size_t slice = MLOPT_SPARSE_SLICE(sizeof(T));
    for (size_t s = first; s < last; s++) {
        const T *const values = a->values;
        size_t rest = a->start[s] + (size_t)a->full[s] * slice;
        for (size_t i = s * slice; i < a->rows && i < (s + 1) * slice; i++) {
            for (size_t k = 0; k < (size_t)a->full[s]; k++) {
                const size_t at = a->start[s] + k * slice + i % slice;
                y[a->columns[at]] += values[at] * x[a->row[i]];
            }
            for (int32_t k = 0; k < a->rest[i]; k++, rest++)
                y[a->columns[rest]] += values[rest] * x[a->row[i]];
        }
    }
}

size_t K(count_nonzero)(size_t n, const T *x)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        if (x[i] != 0)
            count++;
    return count;
}

size_t K(count_nonfinite)(size_t n, const T *x)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        if (!isfinite(x[i]))
            count++;
    return count;
}

size_t K(store_nonzero)(size_t n, const T *x, int32_t *columns, T *values)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        if (x[i] != 0) {
            columns[count] = (int32_t)i;
            values[count++] = x[i];
        }
    return count;
}
