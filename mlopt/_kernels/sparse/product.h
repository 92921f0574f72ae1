/* The product of two sparse matrices, row by row (Gustavson, "Two fast algorithms for sparse matrices: multiplication
 * and permuted transposition", ACM Trans. Math. Softw. 4, 1978): multiples of rows of B are added up in a dense row
 * whose untouched elements hold a signalling NaN, which arithmetic never yields; the columns touched are listed. */

#define UNTOUCHED (IS_F32 ? (int64_t)0x7fa7a7a7 : (int64_t)0x7ff4a7a7a7a7a7a7)

#if INDEX_BITS == 32
MLOPT_INLINE int F(untouched)(const T *p)
{
    const int64_t wide = UNTOUCHED;
    const int32_t narrow = (int32_t)wide;
    return !memcmp(p, IS_F32 ? (const void *)&narrow : (const void *)&wide, sizeof(T));
}

MLOPT_INLINE void F(touch_not)(T *p)
{
    const int64_t wide = UNTOUCHED;
    const int32_t narrow = (int32_t)wide;
    memcpy(p, IS_F32 ? (const void *)&narrow : (const void *)&wide, sizeof(T));
}
#endif

/* Rows of fewer elements are added one by one, and fewer sums are moved so: what was just stored one way cannot be
 * loaded the other way at once. */
#define SHORT_ROW 6
#define SHORT_LIST 32

/* sums += value * (the row of B); returns how many columns are listed then */
MLOPT_INLINE size_t FI(add_row)(T value, size_t n, const INDEX *columns, const T *values, T *sums, int32_t *touched,
                                size_t count, int32_t dummy)
{
#if MLOPT_SCATTER
    const V factor = F(set1)(value);
    for (size_t k = 0; n >= SHORT_ROW && k < n; k += LANES) {
        const size_t lanes = n - k < LANES ? n - k : LANES;
        const MLOPT_JOIN(MLOPT_REAL, p) at = BY_BITS(places_)(columns + k, lanes, dummy);
        const V before = F(gather_places)(sums, at);
        const M fresh = F(same_bits)(before, UNTOUCHED);
        F(scatter_places)(sums, at, F(fma)(factor, F(load_first)(values + k, lanes), F(zero_where)(fresh, before)));
        const M listed = fresh & F(first)(lanes);
        F(store_chosen)(touched + count, listed, at);
        count += (size_t)__builtin_popcount(listed);
    }
    if (n >= SHORT_ROW)
        return count;
#else
    (void)dummy;
#endif
    for (size_t k = 0; k < n; k++) {
        T *const sum = sums + columns[k];
        const int fresh = F(untouched)(sum);
        touched[count] = (int32_t)columns[k];
        count += (size_t)fresh;
        *sum = F(multiply_add)(value, values[k], fresh ? 0 : *sum);
    }
    return count;
}

/* moves the sums listed out, and leaves them untouched */
MLOPT_INLINE void FI(take_out)(size_t count, const int32_t *touched, T *sums, INDEX *indices, T *values, int32_t dummy)
{
    size_t k = 0;
#if MLOPT_SCATTER
    const V untouched = F(from_int)(F(int_set1)(UNTOUCHED));
    for (; count >= SHORT_LIST && k < count; k += LANES) {
        const size_t lanes = count - k < LANES ? count - k : LANES;
        const MLOPT_JOIN(MLOPT_REAL, p) at = F(places_32)(touched + k, lanes, dummy);
        BY_BITS(store_places_)(indices + k, lanes, at);
        F(store_first)(values + k, lanes, F(gather_places)(sums, at));
        F(scatter_places)(sums, at, untouched);
    }
#else
    (void)dummy;
#endif
    for (; k < count; k++) {
        indices[k] = touched[k];
        values[k] = sums[touched[k]];
        F(touch_not)(sums + touched[k]);
    }
}

size_t KI(spgemm)(const mlopt_csr *a, size_t first, size_t last, const mlopt_csr *b, void *scratch, size_t *ends,
                  void *indices, T *values)
{
    const INDEX *const a_indptr = a->indptr, *const a_columns = a->indices;
    const INDEX *const b_indptr = b->indptr, *const b_columns = b->indices;
    const T *const a_values = a->values, *const b_values = b->values;
    T *const sums = scratch;
    int32_t *const touched = (int32_t *)(void *)(sums + b->columns + MLOPT_SPARSE_SLACK);
    const int32_t dummy = (int32_t)b->columns; /* a place for the lanes that are not used */
    const size_t end = (size_t)a_indptr[last];
    INDEX *const out = indices;
    size_t total = 0;
    for (size_t j = 0; j <= b->columns; j++)
        F(touch_not)(sums + j);
    for (size_t i = first; i < last; i++) {
        size_t count = 0;
        const size_t row_end = (size_t)a_indptr[i + 1];
        for (size_t k = (size_t)a_indptr[i]; k < row_end; k++) {
            const size_t later = (size_t)a_columns[k + AHEAD < end ? k + AHEAD : end - 1];
            const size_t due = (size_t)b_indptr[later];
            __builtin_prefetch(b_columns + due);
            __builtin_prefetch(b_values + due);
            __builtin_prefetch((const char *)(b_values + due) + 64);
            const size_t row = (size_t)a_columns[k], start = (size_t)b_indptr[row];
            count = FI(add_row)(a_values[k], (size_t)b_indptr[row + 1] - start, b_columns + start, b_values + start,
                                sums, touched, count, dummy);
        }
        FI(take_out)(count, touched, sums, out + total, values + total, dummy);
        total += count;
        ends[i - first] = total;
    }
    return total;
}

#undef UNTOUCHED
