/* Walsh-Hadamard transforms, signed sums of rows and scaled transposes, for one element type. */

#define AT(i, j) (x + (ptrdiff_t)(i) * row + (ptrdiff_t)(j))

/* `levels` (1 to 3) levels of butterflies between the rows i + k * apart; the largest stride comes first */
#define WALSH_PASS(levels, LOAD, STORE)                                                                                \
    {                                                                                                                  \
        V v[1 << (levels)];                                                                                            \
        MLOPT_UNROLL_FULLY                                                                                             \
        for (size_t k = 0; k < 1 << (levels); k++)                                                                     \
            v[k] = LOAD(AT(i + k * apart, c));                                                                         \
        MLOPT_UNROLL_FULLY                                                                                             \
        for (size_t half = 1 << (levels) >> 1; half; half >>= 1)                                                       \
            MLOPT_UNROLL_FULLY                                                                                         \
        for (size_t k = 0; k < 1 << (levels); k++)                                                                     \
            if (!(k & half)) {                                                                                         \
                const V sum = F(add)(v[k], v[k + half]);                                                               \
                v[k + half] = F(sub)(v[k], v[k + half]);                                                               \
                v[k] = sum;                                                                                            \
            }                                                                                                          \
        MLOPT_UNROLL_FULLY                                                                                             \
        for (size_t k = 0; k < 1 << (levels); k++)                                                                     \
            STORE(AT(i + k * apart, c), v[k]);                                                                         \
    }
#define LOAD_REST(p) F(load_first)(p, rest)
#define STORE_REST(p, v) F(store_first)(p, rest, v)
/* in every part of so many rows, `apart` of them from one row of a butterfly to the next */
#define WALSH_LEVELS(levels)                                                                                           \
    for (size_t part = 0; part < length; part += apart << (levels))                                                    \
        for (size_t i = part; i < part + apart; i++) {                                                                 \
            size_t c = 0;                                                                                              \
            for (; c + LANES <= columns; c += LANES)                                                                   \
                WALSH_PASS(levels, F(load), F(store))                                                                  \
            if (c < columns) {                                                                                         \
                const size_t rest = columns - c;                                                                       \
                WALSH_PASS(levels, LOAD_REST, STORE_REST)                                                              \
            }                                                                                                          \
        }

/* Down few columns: what fits in a cache pass by pass, more depth first, so that its eighths are done one by one. */
static void F(walsh_down)(size_t length, size_t columns, T *x, ptrdiff_t row)
{
    size_t apart = length / 8;
    if (length * columns * sizeof(T) > MLOPT_WALSH_BYTES && apart > 1) {
        WALSH_LEVELS(3)
        for (size_t k = 0; k < 8; k++)
            F(walsh_down)(apart, columns, AT(k * apart, 0), row);
        return;
    }
    for (; apart >= 1; apart /= 8) {
        WALSH_LEVELS(3)
        if (apart < 8)
            break;
    }
    const size_t left = apart ? apart : length; /* rows of the parts that are left */
    apart = 1;
    if (left == 4)
        WALSH_LEVELS(2)
    else if (left == 2)
        WALSH_LEVELS(1)
}

/* LANES vectors of a contiguous vector, the strides within a register: as a matrix, there and back */
MLOPT_INLINE void F(walsh_within)(T *x)
{
    V v[LANES];
    MLOPT_UNROLL_FULLY
    for (size_t k = 0; k < LANES; k++)
        v[k] = F(load)(x + k * LANES);
    F(transpose)(v);
    MLOPT_UNROLL_FULLY
    for (size_t half = LANES / 2; half; half >>= 1)
        MLOPT_UNROLL_FULLY
    for (size_t k = 0; k < LANES; k++)
        if (!(k & half)) {
            const V sum = F(add)(v[k], v[k + half]);
            v[k + half] = F(sub)(v[k], v[k + half]);
            v[k] = sum;
        }
    F(transpose)(v);
    MLOPT_UNROLL_FULLY
    for (size_t k = 0; k < LANES; k++)
        F(store)(x + k * LANES, v[k]);
}

static void F(walsh_vector)(size_t length, T *x)
{
    size_t half = length / 2;
    if (length >= LANES * LANES) {
        F(walsh_down)(length / LANES, LANES, x, (ptrdiff_t)LANES);
        for (size_t i = 0; i < length; i += LANES * LANES)
            F(walsh_within)(x + i);
        half = 0;
    }
    for (; half; half >>= 1)
        for (size_t i = 0; i < length; i += 2 * half)
            for (size_t k = i; k < i + half; k++) {
                const T sum = x[k] + x[k + half];
                x[k + half] = x[k] - x[k + half];
                x[k] = sum;
            }
}

void K(walsh_hadamard)(size_t length, size_t columns, T *x, ptrdiff_t row)
{
    const size_t together = 4 * LANES; /* columns of one walk through the rows: whole cache lines, few of them */
    if (columns == 1 && row == 1) {
        F(walsh_vector)(length, x);
        return;
    }
    for (size_t c = 0; c < columns; c += together)
        F(walsh_down)(length, columns - c < together ? columns - c : together, AT(0, c), row);
}

#undef WALSH_LEVELS
#undef WALSH_PASS
#undef LOAD_REST
#undef STORE_REST

/* the rows named by a list, added up in MLOPT_SUMS accumulators of `VECTORS` vectors each */
#define LIST_SUM(total, begin, end, VECTORS, LOAD)                                                                     \
    {                                                                                                                  \
        V sums[MLOPT_SUMS][VECTORS];                                                                                   \
        MLOPT_UNROLL_FULLY                                                                                             \
        for (int64_t s = 0; s < MLOPT_SUMS; s++)                                                                       \
            MLOPT_UNROLL_FULLY                                                                                         \
        for (size_t v = 0; v < VECTORS; v++)                                                                           \
            sums[s][v] = F(zero)();                                                                                    \
        int64_t t = begin;                                                                                             \
        for (; t + MLOPT_SUMS <= end; t += MLOPT_SUMS)                                                                 \
            MLOPT_UNROLL_FULLY                                                                                         \
        for (int64_t s = 0; s < MLOPT_SUMS; s++)                                                                       \
            MLOPT_UNROLL_FULLY                                                                                         \
        for (size_t v = 0; v < VECTORS; v++)                                                                           \
            sums[s][v] = F(add)(sums[s][v], LOAD(AT(indices[t + s], c + v * LANES)));                                  \
        MLOPT_UNROLL_FULLY                                                                                             \
        for (int64_t s = 0; s < MLOPT_SUMS - 1; s++)                                                                   \
            if (t + s < end)                                                                                           \
                MLOPT_UNROLL_FULLY                                                                                     \
        for (size_t v = 0; v < VECTORS; v++)                                                                           \
            sums[s][v] = F(add)(sums[s][v], LOAD(AT(indices[t + s], c + v * LANES)));                                  \
        MLOPT_UNROLL_FULLY                                                                                             \
        for (size_t v = 0; v < VECTORS; v++)                                                                           \
            total[v] = F(add)(F(add)(sums[0][v], sums[1][v]), F(add)(sums[2][v], sums[3][v]));                         \
    }
#define SUMS_OF(VECTORS, LOAD, STORE)                                                                                  \
    {                                                                                                                  \
        V plus[VECTORS], minus[VECTORS];                                                                               \
        LIST_SUM(plus, bounds[0], bounds[1], VECTORS, LOAD)                                                            \
        LIST_SUM(minus, bounds[1], bounds[2], VECTORS, LOAD)                                                           \
        MLOPT_UNROLL_FULLY                                                                                             \
        for (size_t v = 0; v < VECTORS; v++)                                                                           \
            STORE(out + c + v * LANES, F(sub)(plus[v], minus[v]));                                                     \
    }
#define LOAD_REST(p) F(load_first)(p, rest)
#define STORE_REST(p, v) F(store_first)(p, rest, v)

void K(signed_sums)(size_t count, size_t columns, const T *x, ptrdiff_t row, const int32_t *indices,
                    const int64_t *bounds, T *out, ptrdiff_t out_row)
{
    for (size_t j = 0; j < count; j++, bounds += 2, out += out_row) {
        size_t c = 0;
        for (; c + 2 * LANES <= columns; c += 2 * LANES)
            SUMS_OF(2, F(load), F(store))
        for (; c + LANES <= columns; c += LANES)
            SUMS_OF(1, F(load), F(store))
        if (c < columns) {
            const size_t rest = columns - c;
            SUMS_OF(1, LOAD_REST, STORE_REST)
        }
    }
}

#undef LIST_SUM
#undef SUMS_OF
#undef LOAD_REST
#undef STORE_REST

/* where column j goes */
MLOPT_INLINE ptrdiff_t F(place)(const int32_t *places, size_t j) { return places ? places[j] : (ptrdiff_t)j; }

/* a corner of a transpose: at most LANES rows and columns, the last row standing for those that are missing */
static void F(transpose_corner)(size_t rows, size_t columns, const T *x, ptrdiff_t row, const T *weight,
                                const int32_t *places, T *out, ptrdiff_t out_row)
{
    const V weights = weight ? F(load_first)(weight, columns) : F(set1)(1);
    V v[LANES];
    for (size_t k = 0; k < LANES; k++)
        v[k] = F(mul)(F(load_first)(x + (ptrdiff_t)(k < rows ? k : rows - 1) * row, columns), weights);
    F(transpose)(v);
    for (size_t k = 0; k < columns; k++)
        F(store_first)(out + F(place)(places, k) * out_row, rows, v[k]);
}

/* rows of x are contiguous */
static void F(transpose_rows)(size_t rows, size_t columns, const T *x, ptrdiff_t row, const T *weight,
                              const int32_t *places, T *out, ptrdiff_t out_row)
{
    for (size_t i = 0; i < rows; i += LANES) {
        const T *const from = x + (ptrdiff_t)i * row;
        size_t j = 0;
        if (i + LANES <= rows)
            for (; j + LANES <= columns; j += LANES) {
                const V weights = weight ? F(load)(weight + j) : F(set1)(1);
                V v[LANES];
                MLOPT_UNROLL_FULLY
                for (size_t k = 0; k < LANES; k++)
                    v[k] = F(mul)(F(load)(from + (ptrdiff_t)k * row + j), weights);
                /* the processor does not see so many streams */
                MLOPT_UNROLL_FULLY
                for (size_t k = 0; k < LANES; k++)
                    __builtin_prefetch(from + (ptrdiff_t)k * row + j + MLOPT_TRANSPOSE_AHEAD / sizeof(T), 0, 3);
                F(transpose)(v);
                MLOPT_UNROLL_FULLY
                for (size_t k = 0; k < LANES; k++)
                    F(store)(out + F(place)(places, j + k) * out_row + i, v[k]);
            }
        for (; j < columns; j += LANES)
            F(transpose_corner)(rows - i < LANES ? rows - i : LANES, columns - j < LANES ? columns - j : LANES,
                                from + j, row, weight ? weight + j : NULL, places ? places + j : NULL,
                                places ? out + i : out + (ptrdiff_t)j * out_row + i, out_row);
    }
}

void K(transpose_scaled)(size_t rows, size_t columns, const T *x, ptrdiff_t row, ptrdiff_t column, const T *weight,
                         const int32_t *places, T *out, ptrdiff_t out_row)
{
    if (column == 1) {
        F(transpose_rows)(rows, columns, x, row, weight, places, out, out_row);
        return;
    }
    for (size_t j = 0; j < columns; j++) {
        const T *const from = x + (ptrdiff_t)j * column;
        const T scale = weight ? weight[j] : 1;
        T *const to = out + F(place)(places, j) * out_row;
        size_t i = 0;
        if (row == 1) {
            for (size_t ahead = 0; ahead < rows; ahead += 64 / sizeof(T))
                __builtin_prefetch(from + MLOPT_TRANSPOSE_COLUMNS_AHEAD * column + (ptrdiff_t)ahead, 0, 3);
            for (; i + LANES <= rows; i += LANES)
                F(store)(to + i, F(mul)(F(load)(from + i), F(set1)(scale)));
            if (i < rows)
                F(store_first)(to + i, rows - i, F(mul)(F(load_first)(from + i, rows - i), F(set1)(scale)));
            continue;
        }
        for (; i < rows; i++)
            to[i] = scale * from[(ptrdiff_t)i * row];
    }
}

#undef AT
