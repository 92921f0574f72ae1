/* What the index types have in common: one multiply-add, and products of slices with a vector. */

/* a b + c of numbers, rounded as the vectors' fma */
MLOPT_INLINE T F(multiply_add)(T a, T b, T c)
{
#if defined(__FMA__)
    return IS_F32 ? __builtin_fmaf((float)a, (float)b, (float)c) : (T)__builtin_fma(a, b, c);
#else
    return a * b + c;
#endif
}

#define SLICE MLOPT_SPARSE_SLICE(sizeof(T))
#define SLICE_VECTORS (SLICE / LANES)

void K(sell)(const mlopt_sell *a, size_t first, size_t last, const T *x, T *y)
{
    for (size_t s = first; s < last; s++) {
        const int32_t *columns = a->columns + a->start[s];
        const T *values = (const T *)a->values + a->start[s];
        const size_t full = (size_t)a->full[s];
        T sums[SLICE];
        V sum[SLICE_VECTORS];
        MLOPT_UNROLL_FULLY
        for (size_t i = 0; i < SLICE_VECTORS; i++)
            sum[i] = F(zero)();
        for (size_t k = 0; k < full; k++, columns += SLICE, values += SLICE) {
            MLOPT_UNROLL_FULLY
            for (size_t i = 0; i < SLICE_VECTORS; i++)
                sum[i] = F(fma)(F(load)(values + i * LANES), F(gather_32)(x, columns + i * LANES), sum[i]);
        }
        const int32_t *const row = a->row + s * SLICE;
        if (a->start[s + 1] - a->start[s] == full * SLICE && full) {
            MLOPT_UNROLL_FULLY
            for (size_t i = 0; i < SLICE_VECTORS; i++)
                F(store_each)(y, row + i * LANES, sum[i]);
            continue;
        }
        /* rows of several lengths, or fewer of them */
        MLOPT_UNROLL_FULLY
        for (size_t i = 0; i < SLICE_VECTORS; i++)
            F(store)(sums + i * LANES, sum[i]);
        const int32_t *const rest = a->rest + s * SLICE;
        const size_t rows = a->rows - s * SLICE < SLICE ? a->rows - s * SLICE : SLICE;
        for (size_t i = 0; i < rows; i++) {
            for (int32_t k = 0; k < rest[i]; k++)
                sums[i] = F(multiply_add)(*values++, x[*columns++], sums[i]);
            y[row[i]] = sums[i];
        }
    }
}

/* y[columns[i]] += products[i], one after the other, since columns may be the same; two column numbers a load */
MLOPT_INLINE void F(add_each)(const int32_t *columns, const T *products, T *y)
{
    MLOPT_UNROLL_FULLY
    for (size_t i = 0; i < SLICE; i += 2) {
        uint64_t two;
        memcpy(&two, columns + i, sizeof two);
        const int high_first = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__;
        y[high_first ? two >> 32 : (uint32_t)two] += products[i];
        y[high_first ? (uint32_t)two : two >> 32] += products[i + 1];
    }
}

void K(sell_transposed)(const mlopt_sell *a, size_t first, size_t last, const T *x, T *y)
{
    for (size_t s = first; s < last; s++) {
        const int32_t *columns = a->columns + a->start[s];
        const T *values = (const T *)a->values + a->start[s];
        const int32_t *const row = a->row + s * SLICE, *const rest = a->rest + s * SLICE;
        const size_t full = (size_t)a->full[s];
        const size_t rows = a->rows - s * SLICE < SLICE ? a->rows - s * SLICE : SLICE;
        T numbers[SLICE], products[SLICE];
        for (size_t i = 0; i < SLICE; i++)
            numbers[i] = i < rows ? x[row[i]] : 0;
        V number[SLICE_VECTORS];
        MLOPT_UNROLL_FULLY
        for (size_t i = 0; i < SLICE_VECTORS; i++)
            number[i] = F(load)(numbers + i * LANES);
        for (size_t k = 0; k < full; k++, columns += SLICE, values += SLICE) {
            MLOPT_UNROLL_FULLY
            for (size_t i = 0; i < SLICE_VECTORS; i++)
                F(store)(products + i * LANES, F(mul)(F(load)(values + i * LANES), number[i]));
            F(add_each)(columns, products, y);
        }
        if (a->start[s + 1] - a->start[s] != full * SLICE)
            for (size_t i = 0; i < rows; i++)
                for (int32_t k = 0; k < rest[i]; k++, columns++)
                    y[*columns] = F(multiply_add)(*values++, numbers[i], y[*columns]);
    }
}

#undef SLICE_VECTORS
#undef SLICE
