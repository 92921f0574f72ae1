/* Reductions down the columns of a matrix whose rows are contiguous, for one element type.
 *
 * Columns are taken in strips, a strip by blocks of rows, so that memory is read row by row and the state of a strip
 * stays in the first-level cache. */

/* Columns of a strip. */
#define STRIP 512
/* Rows whose terms are added one after the other. */
#define CHAIN 16

MLOPT_INLINE size_t F(smaller)(size_t a, size_t b) { return a < b ? a : b; }
MLOPT_INLINE V F(load_some)(const T *p, size_t n) { return n < LANES ? F(load_first)(p, n) : F(load)(p); }
MLOPT_INLINE void F(store_some)(T *p, size_t n, V v)
{
    if (n < LANES)
        F(store_first)(p, n, v);
    else
        F(store)(p, v);
}

/* The rows of the first of two halves: the largest 2^k CHAIN below them. */
MLOPT_INLINE size_t F(first_half)(size_t rows)
{
    size_t half = CHAIN;
    while (half * 2 < rows)
        half *= 2;
    return half;
}

/* The width of vector i, of which only the last may be short. */
#define IN_LAST(i) ((i) + 1 < vectors ? LANES : left)

/* Sums of terms, pairwise over chains of rows.  TERM(sum, x, center) adds the term of a column whose center is
 * `center`; there are `parts` sums of terms, the second over SECOND, which stands STRIP elements behind the first.
 *
 * A chain adds CHAIN rows.  Where a strip has fewer vectors than it takes to hide the latency of an addition, several
 * chains run at once and are joined as the recursion would join them. */
#define PAIRWISE_COLUMNS(name, parts, TERM, SECOND)                                                                    \
    MLOPT_INLINE void F(name##_chains)(size_t rows, size_t left, const T *x, ptrdiff_t row, const T *center, T *out,   \
                                       const int vectors, const int chains)                                            \
    {                                                                                                                  \
        V sums[8], seconds[8], middle[4];                                                                              \
        MLOPT_UNROLL_FULLY                                                                                             \
        for (int k = 0; k < vectors * chains; k++)                                                                     \
            sums[k] = seconds[k] = F(zero)();                                                                          \
        MLOPT_UNROLL_FULLY                                                                                             \
        for (int i = 0; i < vectors; i++)                                                                              \
            middle[i] = center ? F(load_some)(center + (size_t)i * LANES, IN_LAST(i)) : F(zero)();                     \
        for (size_t r = 0; r < rows; r++) {                                                                            \
            MLOPT_UNROLL_FULLY                                                                                         \
            for (int k = 0; k < vectors * chains; k++) {                                                               \
                const int i = k % vectors, chain = k / vectors;                                                        \
                const T *at = x + ((ptrdiff_t)r + chain * CHAIN) * row + (ptrdiff_t)((size_t)i * LANES);               \
                const V v = F(load_some)(at, IN_LAST(i));                                                              \
                sums[k] = TERM(sums[k], v, middle[i]);                                                                 \
                if (parts == 2)                                                                                        \
                    seconds[k] = SECOND(seconds[k], v, middle[i]);                                                     \
            }                                                                                                          \
        }                                                                                                              \
        MLOPT_UNROLL_FULLY                                                                                             \
        for (int step = vectors; step < vectors * chains; step *= 2) {                                                 \
            MLOPT_UNROLL_FULLY                                                                                         \
            for (int k = 0; k < vectors * chains; k++)                                                                 \
                if (k / step % 2 == 0 && k % step < vectors && k + step < 8) {                                         \
                    sums[k] = F(add)(sums[k], sums[k + step]);                                                         \
                    if (parts == 2)                                                                                    \
                        seconds[k] = F(add)(seconds[k], seconds[k + step]);                                            \
                }                                                                                                      \
        }                                                                                                              \
        MLOPT_UNROLL_FULLY                                                                                             \
        for (int i = 0; i < vectors; i++) {                                                                            \
            F(store_some)(out + (size_t)i * LANES, IN_LAST(i), sums[i]);                                               \
            if (parts == 2)                                                                                            \
                F(store_some)(out + STRIP + (size_t)i * LANES, IN_LAST(i), seconds[i]);                                \
        }                                                                                                              \
    }                                                                                                                  \
    /* as many chains as there are rows for */                                                                         \
    MLOPT_INLINE void F(name##_leaf)(size_t rows, size_t columns, const T *x, ptrdiff_t row, const T *center, T *out)  \
    {                                                                                                                  \
        const size_t vectors = (columns + LANES - 1) / LANES, last = columns - (vectors - 1) * LANES;                  \
        const size_t chain = F(smaller)(rows, CHAIN);                                                                  \
        if (rows == 8 * CHAIN)                                                                                         \
            F(name##_chains)(chain, last, x, row, center, out, 1, 8);                                                  \
        else if (rows == 4 * CHAIN)                                                                                    \
            F(name##_chains)(chain, last, x, row, center, out, 2, 4);                                                  \
        else if (rows == 2 * CHAIN && vectors == 4)                                                                    \
            F(name##_chains)(chain, last, x, row, center, out, 4, 2);                                                  \
        else if (rows == 2 * CHAIN)                                                                                    \
            F(name##_chains)(chain, last, x, row, center, out, 3, 2);                                                  \
        else {                                                                                                         \
            size_t c = 0;                                                                                              \
            for (; c + 4 * LANES <= columns; c += 4 * LANES)                                                           \
                F(name##_chains)(rows, LANES, x + c, row, center ? center + c : NULL, out + c, 4, 1);                  \
            for (; c < columns; c += LANES)                                                                            \
                F(name##_chains)(rows, F(smaller)(columns - c, LANES), x + c, row, center ? center + c : NULL,         \
                                 out + c, 1, 1);                                                                       \
        }                                                                                                              \
    }                                                                                                                  \
    static void F(name##_strip)(size_t rows, size_t columns, const T *x, ptrdiff_t row, const T *center, T *out)       \
    {                                                                                                                  \
        const size_t chains = columns <= LANES ? 8 : columns <= 2 * LANES ? 4 : columns <= 4 * LANES ? 2 : 1;          \
        if (rows <= CHAIN || rows == chains * CHAIN) {                                                                 \
            F(name##_leaf)(rows, columns, x, row, center, out);                                                        \
            return;                                                                                                    \
        }                                                                                                              \
        T rest[parts * STRIP];                                                                                         \
        const size_t half = F(first_half)(rows);                                                                       \
        F(name##_strip)(half, columns, x, row, center, out);                                                           \
        F(name##_strip)(rows - half, columns, x + (ptrdiff_t)half * row, row, center, rest);                           \
        for (size_t part = 0; part < parts * STRIP; part += STRIP)                                                     \
            for (size_t c = 0; c < columns; c += LANES) {                                                              \
                const size_t left = F(smaller)(columns - c, LANES);                                                    \
                const V first = F(load_some)(out + part + c, left);                                                    \
                F(store_some)(out + part + c, left, F(add)(first, F(load_some)(rest + part + c, left)));               \
            }                                                                                                          \
    }

#define PLAIN(sum, v, center) F(add)(sum, ((void)(center), v))
#define SQUARE(sum, v, center) F(fma)(v, ((void)(center), v), sum)
#define DEVIATION(sum, v, center) F(add)(sum, F(sub)(v, center))
#define DEVIATION_SQUARE(sum, v, center) F(fma)(F(sub)(v, center), F(sub)(v, center), sum)
#define EXPONENTIAL(sum, v, center) F(add)(sum, F(exp)(F(sub)(v, center)))
PAIRWISE_COLUMNS(sums, 1, PLAIN, PLAIN)
PAIRWISE_COLUMNS(squares, 1, SQUARE, SQUARE)
PAIRWISE_COLUMNS(deviations, 2, DEVIATION_SQUARE, DEVIATION)
PAIRWISE_COLUMNS(exponentials, 1, EXPONENTIAL, EXPONENTIAL)
#undef PLAIN
#undef SQUARE
#undef DEVIATION
#undef DEVIATION_SQUARE
#undef EXPONENTIAL

#define SUM_COLUMNS(name, strip)                                                                                       \
    void K(name)(size_t rows, size_t columns, const T *x, ptrdiff_t row, T *out)                                       \
    {                                                                                                                  \
        for (size_t c = 0; c < columns; c += STRIP)                                                                    \
            F(strip)(rows, F(smaller)(columns - c, STRIP), x + c, row, NULL, out + c);                                 \
    }

SUM_COLUMNS(sum_columns, sums_strip)
SUM_COLUMNS(squares_columns, squares_strip)

/* Squared deviations from the mean; what the mean's rounding added is taken off again. */
void K(moments_columns)(size_t rows, size_t columns, const T *x, ptrdiff_t row, T *mean, T *squares)
{
    const T count = (T)rows;
    T sums[2 * STRIP];
    for (size_t c = 0; c < columns; c += STRIP) {
        const size_t strip = F(smaller)(columns - c, STRIP);
        F(sums_strip)(rows, strip, x + c, row, NULL, sums);
        for (size_t i = 0; i < strip; i++)
            mean[c + i] = sums[i] / count;
        F(deviations_strip)(rows, strip, x + c, row, mean + c, sums);
        for (size_t i = 0; i < strip; i++) {
            const T rest = sums[STRIP + i] / count;
            squares[c + i] = sums[i] - sums[STRIP + i] * rest;
            mean[c + i] += rest;
        }
    }
}

/* Rows that an extreme is carried over in registers. */
#define RUN 16

#define EXTREME_COLUMNS(name, word, start)                                                                             \
    MLOPT_INLINE void F(name##_run)(size_t rows, size_t left, const T *x, ptrdiff_t row, T *out, const int vectors)    \
    {                                                                                                                  \
        V best[4];                                                                                                     \
        M nan[4];                                                                                                      \
        MLOPT_UNROLL_FULLY                                                                                             \
        for (int j = 0; j < vectors; j++) {                                                                            \
            best[j] = F(load_some)(out + (size_t)j * LANES, left);                                                     \
            nan[j] = F(unordered)(best[j], best[j]);                                                                   \
        }                                                                                                              \
        size_t r = 0;                                                                                                  \
        for (; r + 2 <= rows; r += 2) {                                                                                \
            MLOPT_UNROLL_FULLY                                                                                         \
            for (int j = 0; j < vectors; j++) {                                                                        \
                const V a = F(load_some)(x + (ptrdiff_t)r * row + (ptrdiff_t)((size_t)j * LANES), left);               \
                const V b = F(load_some)(x + (ptrdiff_t)(r + 1) * row + (ptrdiff_t)((size_t)j * LANES), left);         \
                nan[j] = F(mask_or)(nan[j], F(unordered)(a, b));                                                       \
                best[j] = F(word)(F(word)(a, b), best[j]);                                                             \
            }                                                                                                          \
        }                                                                                                              \
        for (; r < rows; r++) {                                                                                        \
            MLOPT_UNROLL_FULLY                                                                                         \
            for (int j = 0; j < vectors; j++) {                                                                        \
                const V a = F(load_some)(x + (ptrdiff_t)r * row + (ptrdiff_t)((size_t)j * LANES), left);               \
                nan[j] = F(mask_or)(nan[j], F(unordered)(a, a));                                                       \
                best[j] = F(word)(a, best[j]);                                                                         \
            }                                                                                                          \
        }                                                                                                              \
        MLOPT_UNROLL_FULLY                                                                                             \
        for (int j = 0; j < vectors; j++)                                                                              \
            F(store_some)(out + (size_t)j * LANES, left, F(select)(nan[j], F(set1)((T)NAN), best[j]));                 \
    }                                                                                                                  \
    void K(name)(size_t rows, size_t columns, const T *x, ptrdiff_t row, T *out)                                       \
    {                                                                                                                  \
        for (size_t c = 0; c < columns; c++)                                                                           \
            out[c] = start;                                                                                            \
        for (size_t strip = 0; strip < columns; strip += STRIP) {                                                      \
            const size_t end = F(smaller)(strip + STRIP, columns);                                                     \
            const size_t run = columns <= LANES ? rows : RUN; /* a single vector stays in its register */              \
            for (size_t r = 0; r < rows; r += run) {                                                                   \
                const T *from = x + (ptrdiff_t)r * row;                                                                \
                const size_t some = F(smaller)(rows - r, run);                                                         \
                size_t c = strip;                                                                                      \
                for (; c + 4 * LANES <= end; c += 4 * LANES)                                                           \
                    F(name##_run)(some, LANES, from + c, row, out + c, 4);                                             \
                for (; c < end; c += LANES)                                                                            \
                    F(name##_run)(some, F(smaller)(end - c, LANES), from + c, row, out + c, 1);                        \
            }                                                                                                          \
        }                                                                                                              \
    }

EXTREME_COLUMNS(min_columns, min, (T)INFINITY)
EXTREME_COLUMNS(max_columns, max, (T)-INFINITY)

/* Rows whose numbers are exact in every element type. */
#define NUMBERED 65536

/* Larger, or the first NaN. */
MLOPT_INLINE M F(is_better)(V v, V largest)
{
    return F(mask_or)(F(lt)(largest, v), F(mask_and)(F(unordered)(v, v), F(eq)(largest, largest)));
}

/* The largest of each column from row `first` on, and its row as a number; a NaN is the largest. */
MLOPT_INLINE void F(argmax_run)(size_t first, size_t rows, size_t left, const T *x, ptrdiff_t row, T *best, T *where)
{
    const V one = F(set1)(1);
    V largest = F(load_some)(best, left), place = F(load_some)(where, left), number = F(set1)((T)first);
    for (size_t r = 0; r < rows; r++) {
        const V v = F(load_some)(x + (ptrdiff_t)r * row, left);
        const M better = F(is_better)(v, largest);
        largest = F(select)(better, v, largest);
        place = F(select)(better, number, place);
        number = F(add)(number, one);
    }
    F(store_some)(best, left, largest);
    F(store_some)(where, left, place);
}

/* The same for one vector of columns: four quarters of the rows at once, since each waits for its own comparisons. */
static void F(argmax_quarters)(size_t rows, size_t left, const T *x, ptrdiff_t row, T *best, T *where)
{
    T others[3][LANES], places[3][LANES];
    const size_t quarter = rows / 4;
    if (quarter == 0) {
        F(argmax_run)(0, rows, left, x, row, best, where);
        return;
    }
    V largest[4], place[4], number = F(zero)();
    MLOPT_UNROLL_FULLY
    for (int j = 0; j < 4; j++) {
        largest[j] = F(load_some)(x + (ptrdiff_t)((size_t)j * quarter) * row, left);
        place[j] = F(zero)();
    }
    for (size_t r = 1; r < quarter; r++) {
        number = F(add)(number, F(set1)(1));
        MLOPT_UNROLL_FULLY
        for (int j = 0; j < 4; j++) {
            const V v = F(load_some)(x + (ptrdiff_t)(r + (size_t)j * quarter) * row, left);
            const M better = F(is_better)(v, largest[j]);
            largest[j] = F(select)(better, v, largest[j]);
            place[j] = F(select)(better, number, place[j]);
        }
    }
    F(store_some)(best, left, largest[0]);
    F(store_some)(where, left, place[0]);
    for (size_t j = 1; j < 4; j++) {
        F(store_some)(others[j - 1], left, largest[j]);
        F(store_some)(places[j - 1], left, place[j]);
        for (size_t c = 0; c < left; c++)
            if (others[j - 1][c] > best[c] || (others[j - 1][c] != others[j - 1][c] && best[c] == best[c])) {
                best[c] = others[j - 1][c];
                where[c] = places[j - 1][c] + (T)(j * quarter);
            }
    }
    F(argmax_run)(4 * quarter, rows - 4 * quarter, left, x + (ptrdiff_t)(4 * quarter) * row, row, best, where);
}

void K(argmax_columns)(size_t rows, size_t columns, const T *x, ptrdiff_t row, size_t *out)
{
    T best[STRIP], where[STRIP], all[STRIP];
    for (size_t strip = 0; strip < columns; strip += STRIP) {
        const size_t width = F(smaller)(columns - strip, STRIP);
        for (size_t top = 0; top < rows; top += NUMBERED) {
            const T *from = x + (ptrdiff_t)top * row + strip;
            const size_t some = F(smaller)(rows - top, NUMBERED);
            for (size_t c = 0; c < width; c++) {
                best[c] = from[c];
                where[c] = 0;
            }
            if (width <= LANES)
                F(argmax_quarters)(some, width, from, row, best, where);
            else
                for (size_t r = 0; r < some; r += RUN)
                    for (size_t c = 0; c < width; c += LANES)
                        F(argmax_run)(r, F(smaller)(some - r, RUN), F(smaller)(width - c, LANES),
                                      from + (ptrdiff_t)r * row + c, row, best + c, where + c);
            for (size_t c = 0; c < width; c++)
                if (top == 0 || best[c] > all[c] || (best[c] != best[c] && all[c] == all[c])) {
                    all[c] = best[c];
                    out[strip + c] = top + (size_t)where[c];
                }
        }
    }
}

void K(logsumexp_columns)(size_t rows, size_t columns, const T *x, ptrdiff_t row, T *out)
{
    T sums[STRIP];
    K(max_columns)(rows, columns, x, row, out);
    for (size_t c = 0; c < columns; c += STRIP) {
        const size_t strip = F(smaller)(columns - c, STRIP);
        F(exponentials_strip)(rows, strip, x + c, row, out + c, sums);
        for (size_t i = 0; i < strip; i++)
            if (out[c + i] - out[c + i] == 0) /* else an infinity or NaN */
                out[c + i] += (T)log((double)sums[i]);
    }
}

void K(softmax_columns)(size_t rows, size_t columns, const T *x, ptrdiff_t row, T *out, ptrdiff_t out_row)
{
    T largest[STRIP], sums[STRIP];
    for (size_t strip = 0; strip < columns; strip += STRIP) {
        const size_t width = F(smaller)(columns - strip, STRIP);
        K(max_columns)(rows, width, x + strip, row, largest);
        for (size_t r = 0; r < rows; r++) {
            const T *from = x + (ptrdiff_t)r * row + strip;
            T *to = out + (ptrdiff_t)r * out_row + strip;
            for (size_t c = 0; c < width; c += LANES) {
                const size_t left = F(smaller)(width - c, LANES);
                F(store_some)(to + c, left,
                              F(exp)(F(sub)(F(load_some)(from + c, left), F(load_some)(largest + c, left))));
            }
        }
        F(sums_strip)(rows, width, out + strip, out_row, NULL, sums);
        for (size_t r = 0; r < rows; r++) {
            T *to = out + (ptrdiff_t)r * out_row + strip;
            for (size_t c = 0; c < width; c += LANES) {
                const size_t left = F(smaller)(width - c, LANES);
                const V sum = left < LANES ? F(load_first_or)(sums + c, left, F(set1)(1)) : F(load)(sums + c);
                F(store_some)(to + c, left, F(div)(F(load_some)(to + c, left), sum));
            }
        }
    }
}

#undef STRIP
#undef CHAIN
#undef IN_LAST
#undef PAIRWISE_COLUMNS
#undef SUM_COLUMNS
#undef RUN
#undef EXTREME_COLUMNS
#undef NUMBERED
