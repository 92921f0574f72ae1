/* Running statistics of vectors, element by element.
 *
 * Rows of statistics: count, mean, sum of squared deviations, smallest, largest.  An element starts as 0, 0, 0,
 * infinity, -infinity.  Domain: numbers and NaN, which leaves its element as it was.  x, statistics and span are
 * disjoint. Source: B. P. Welford, Technometrics 4 (1962).
 *
 *   statistics_update  takes in one vector
 *   standard_spans     the population standard deviation of each element; infinity where nothing ever varied, NaN where
 *                      nothing was seen
 */
MLOPT_INLINE void update_statistics(V x, V *row)
{
    const V one = F(set1)(1);
    const M missing = F(unordered)(x, x);
    const V known = F(select)(missing, row[1], x); /* a deviation of 0 */
    const V count = F(select)(missing, row[0], F(add)(row[0], one)), deviation = F(sub)(known, row[1]);
    const V mean = F(add)(row[1], F(div)(deviation, F(max)(count, one)));
    row[0] = count;
    row[1] = mean;
    row[2] = F(fma)(deviation, F(sub)(known, mean), row[2]);
    row[3] = F(select)(missing, row[3], F(min)(known, row[3]));
    row[4] = F(select)(missing, row[4], F(max)(known, row[4]));
}

void K(statistics_update)(size_t n, const double *x, double *statistics, size_t row)
{
    V rows[5];
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        MLOPT_UNROLL_FULLY
        for (size_t r = 0; r < 5; r++)
            rows[r] = F(load)(statistics + r * row + i);
        update_statistics(F(load)(x + i), rows);
        MLOPT_UNROLL_FULLY
        for (size_t r = 0; r < 5; r++)
            F(store)(statistics + r * row + i, rows[r]);
    }
    if (i < n) {
        for (size_t r = 0; r < 5; r++)
            rows[r] = F(load_first)(statistics + r * row + i, n - i);
        update_statistics(F(load_first)(x + i, n - i), rows);
        for (size_t r = 0; r < 5; r++)
            F(store_first)(statistics + r * row + i, n - i, rows[r]);
    }
}

MLOPT_INLINE V span_of(V count, V squares)
{
    const V zero = F(zero)(), one = F(set1)(1);
    const V span = F(sqrt)(F(div)(squares, F(max)(count, one)));
    return F(select)(F(eq)(count, zero), F(set1)(NAN), F(select)(F(lt)(zero, span), span, F(set1)(INFINITY)));
}

void K(standard_spans)(size_t n, const double *statistics, size_t row, double *span)
{
    const double *squares = statistics + 2 * row;
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        F(store)(span + i, span_of(F(load)(statistics + i), F(load)(squares + i)));
    if (i < n)
        F(store_first)(span + i, n - i,
                       span_of(F(load_first)(statistics + i, n - i), F(load_first)(squares + i, n - i)));
}
