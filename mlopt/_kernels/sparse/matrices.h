/* Products with a dense matrix of contiguous rows: up to eight vectors of columns at a time, which stay in registers
 * while a row of A is walked. */

/* The first elements of row `at` of a matrix, soon to be read or written. */
MLOPT_INLINE void FI(fetch)(const T *row, size_t bytes)
{
    MLOPT_UNROLL_FULLY
    for (size_t i = 0; i < bytes; i += 64)
        __builtin_prefetch((const char *)row + i);
}

/* `vectors` is a constant; the last of them has `tail` elements */
MLOPT_INLINE void FI(columns)(const mlopt_csr *a, size_t first, size_t last, const size_t vectors, size_t tail,
                              const T *b, size_t b_row, T *c, size_t c_row)
{
    const INDEX *const indptr = a->indptr, *const columns = a->indices;
    const T *const values = a->values;
    const size_t end = (size_t)indptr[last];
    for (size_t i = first; i < last; i++) {
        V sums[8];
        MLOPT_UNROLL_FULLY
        for (size_t v = 0; v < vectors; v++)
            sums[v] = F(zero)();
        const size_t row_end = (size_t)indptr[i + 1];
        for (size_t k = (size_t)indptr[i]; k < row_end; k++) {
            const T *const row = b + (size_t)columns[k] * b_row;
            const V value = F(set1)(values[k]);
            const size_t later = k + AHEAD < end ? k + AHEAD : end - 1;
            FI(fetch)(b + (size_t)columns[later] * b_row, vectors * sizeof(V));
            MLOPT_UNROLL_FULLY
            for (size_t v = 0; v + 1 < vectors; v++)
                sums[v] = F(fma)(value, F(load)(row + v * LANES), sums[v]);
            sums[vectors - 1] = F(fma)(value,
                                       tail == LANES ? F(load)(row + (vectors - 1) * LANES)
                                                     : F(load_first)(row + (vectors - 1) * LANES, tail),
                                       sums[vectors - 1]);
        }
        T *const out = c + i * c_row;
        MLOPT_UNROLL_FULLY
        for (size_t v = 0; v + 1 < vectors; v++)
            F(store)(out + v * LANES, sums[v]);
        F(store_first)(out + (vectors - 1) * LANES, tail, sums[vectors - 1]);
    }
}

/* C += A^T B: a row of B in registers, added to the rows of C that A's row names */
MLOPT_INLINE void FI(columns_transposed)(const mlopt_csr *a, size_t first, size_t last, const size_t vectors,
                                         size_t tail, const T *b, size_t b_row, T *c, size_t c_row)
{
    const INDEX *const indptr = a->indptr, *const columns = a->indices;
    const T *const values = a->values;
    const size_t end = (size_t)indptr[last];
    for (size_t i = first; i < last; i++) {
        const T *const from = b + i * b_row;
        V row[8];
        MLOPT_UNROLL_FULLY
        for (size_t v = 0; v + 1 < vectors; v++)
            row[v] = F(load)(from + v * LANES);
        row[vectors - 1] = F(load_first)(from + (vectors - 1) * LANES, tail);
        const size_t row_end = (size_t)indptr[i + 1];
        for (size_t k = (size_t)indptr[i]; k < row_end; k++) {
            T *const out = c + (size_t)columns[k] * c_row;
            const V value = F(set1)(values[k]);
            const size_t later = k + AHEAD < end ? k + AHEAD : end - 1;
            FI(fetch)(c + (size_t)columns[later] * c_row, vectors * sizeof(V));
            MLOPT_UNROLL_FULLY
            for (size_t v = 0; v + 1 < vectors; v++)
                F(store)(out + v * LANES, F(fma)(value, row[v], F(load)(out + v * LANES)));
            T *const at = out + (vectors - 1) * LANES;
            if (tail == LANES)
                F(store)(at, F(fma)(value, row[vectors - 1], F(load)(at)));
            else
                F(store_first)(at, tail, F(fma)(value, row[vectors - 1], F(load_first)(at, tail)));
        }
    }
}

/* A strip of up to eight vectors of columns; a whole last vector is worth a body of its own. */
#define STRIP(function, count)                                                                                         \
    case count:                                                                                                        \
        if (tail == LANES)                                                                                             \
            FI(function)(a, first, last, count, LANES, b, b_row, c, c_row);                                            \
        else                                                                                                           \
            FI(function)(a, first, last, count, tail, b, b_row, c, c_row);                                             \
        break;
#define STRIPS(name, function)                                                                                         \
    void KI(name)(const mlopt_csr *a, size_t first, size_t last, size_t n, const T *b, size_t b_row, T *c,             \
                  size_t c_row)                                                                                        \
    {                                                                                                                  \
        for (size_t j = 0; j < n; j += 8 * LANES, b += 8 * LANES, c += 8 * LANES) {                                    \
            const size_t width = n - j < 8 * LANES ? n - j : 8 * LANES, vectors = (width + LANES - 1) / LANES;         \
            const size_t tail = width - (vectors - 1) * LANES;                                                         \
            switch (vectors) {                                                                                         \
                STRIP(function, 1)                                                                                     \
                STRIP(function, 2)                                                                                     \
                STRIP(function, 3)                                                                                     \
                STRIP(function, 4)                                                                                     \
                STRIP(function, 5)                                                                                     \
                STRIP(function, 6)                                                                                     \
                STRIP(function, 7)                                                                                     \
                STRIP(function, 8)                                                                                     \
            }                                                                                                          \
        }                                                                                                              \
    }

STRIPS(spmm, columns)
STRIPS(spmm_transposed, columns_transposed)

#undef STRIPS
#undef STRIP
