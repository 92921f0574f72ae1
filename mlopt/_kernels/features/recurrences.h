/* Kinds that carry something from bar to bar: rows of state, of which each call makes those after the bar.
 *
 * Sums are pairs, sum + low, to which values are added and from which they are taken without error but for the rounding
 * of low: 2^-106 of the largest value that went through.  Where what leaves a window is so much larger than what stays
 * that even this could be seen, and where nothing but zeros stays, the node is computed anew from its ring. */

/* What leaves may be so many times what stays. */
#define MUCH 0x1p40

/* sum + low += x, the rounding error going to low (Knuth's two-sum) */
MLOPT_INLINE void add_exactly(V *sum, V *low, V x)
{
    const V total = F(add)(*sum, x), part = F(sub)(total, *sum);
    const V error = F(add)(F(sub)(*sum, F(sub)(total, part)), F(sub)(x, part));
    *low = F(add)(*low, error);
    *sum = total;
}

/* sum + low += a x */
MLOPT_INLINE void add_product(V *sum, V *low, V a, V x)
{
    const V product = F(mul)(a, x);
    *low = F(add)(*low, F(fma_exact)(a, x, F(neg)(product)));
    add_exactly(sum, low, product);
}

/* The same number with all that fits in sum, low being far smaller. */
MLOPT_INLINE void settle(V *sum, V *low)
{
    const V total = F(add)(*sum, *low);
    *low = F(sub)(*low, F(sub)(total, *sum));
    *sum = total;
}

/* Where what left, of this size, was much larger than what stayed. */
MLOPT_INLINE M left_little(V leaving, V staying)
{
    return F(lt)(F(mul)(F(abs)(staying), F(set1)(MUCH)), F(abs)(leaving));
}

/* Rows: sum, low.  Numbers: count, inverse, start.  Results: sum, mean, low. */
MLOPT_INLINE M next_sum(V *row, const V *source, V leaving, const V *n, V bar, V *out)
{
    add_exactly(&row[0], &row[1], F(select)(F(le)(n[2], bar), source[0], F(zero)()));
    add_exactly(&row[0], &row[1], F(neg)(leaving));
    settle(&row[0], &row[1]);
    out[0] = row[0];
    out[1] = quotient_by(row[0], n[0], n[1]);
    out[2] = row[1];
    return left_little(leaving, row[0]);
}

/* Rows: sum, low.  Sources: x, sum and low of the window's plain sum.  Numbers: count, divisor, its inverse, start. */
MLOPT_INLINE M next_weighted(V *row, const V *source, V leaving, const V *n, V bar, V *out)
{
    const V x = F(select)(F(le)(n[3], bar), source[0], F(zero)());
    /* every weight falls by one: the plain sum before this bar leaves, the new value enters with `count` */
    add_product(&row[0], &row[1], F(add)(n[0], F(set1)(1)), x);
    add_exactly(&row[0], &row[1], F(neg)(source[1]));
    add_exactly(&row[0], &row[1], F(neg)(leaving));
    row[1] = F(sub)(row[1], source[2]);
    settle(&row[0], &row[1]);
    out[0] = quotient_by(row[0], n[1], n[2]);
    return left_little(leaving, row[0]);
}

/* Rows: shift; sums of differences from it and of their squares, each with its low.  Numbers: count, inverse, start.
 * Results: mean, deviation. */
MLOPT_INLINE M next_moments(V *row, const V *source, V leaving, const V *n, V bar, V *out)
{
    const V x = source[0], zero = F(zero)(), count = n[0], start = n[2];
    const M started = F(le)(start, bar), full = F(le)(F(add)(start, count), bar); /* a value leaves */
    row[0] = F(select)(F(eq)(start, bar), x, row[0]);
    const V entering = F(select)(started, F(sub)(x, row[0]), zero);
    const V departing = F(select)(full, F(sub)(leaving, row[0]), zero), square = F(mul)(departing, departing);
    add_exactly(&row[1], &row[2], entering);
    add_exactly(&row[1], &row[2], F(neg)(departing));
    settle(&row[1], &row[2]);
    add_exactly(&row[3], &row[4], F(mul)(entering, entering));
    add_exactly(&row[3], &row[4], F(neg)(square));
    settle(&row[3], &row[4]);

    const V offset = quotient_by(row[1], count, n[1]), lost = F(mul)(row[1], offset);
    const V squares = F(max)(F(sub)(row[3], lost), zero);
    out[0] = F(add)(row[0], offset);
    out[1] = F(sqrt)(quotient_by(squares, count, n[1]));
    /* cancellation would cost 4 digits; a shift from the window itself costs at most a factor `count`: no rebuild loops
     */
    const M cancelled = F(lt)(F(mul)(F(max)(count, F(set1)(1e4)), squares), lost);
    return F(mask_and)(full, F(mask_or)(cancelled, left_little(square, squares)));
}

/* Row 0: the average (while it is being seeded, the sum); 1: its value before.  Numbers: alpha, count, divisor, start.
 */
MLOPT_INLINE void next_average(V *row, const V *source, const V *n, V bar, V *out)
{
    const V x = source[0], last = row[0], seen = F(sub)(bar, n[3]); /* before this bar */
    V y = F(fma)(n[0], F(sub)(x, last), last);
    const M seeding = F(lt)(seen, n[1]);
    if (F(any)(seeding)) {
        const V sum = F(select)(F(lt)(seen, F(zero)()), last, F(add)(last, x));
        const M seeded = F(eq)(F(add)(seen, F(set1)(1)), n[1]);
        y = F(select)(seeding, F(select)(seeded, F(div)(sum, n[2]), sum), y);
    }
    row[1] = last;
    row[0] = out[0] = y;
}

/* Row 0: the average; 1: its value before.  Sources: x, weight.  Number: start. */
MLOPT_INLINE void next_adaptive(V *row, const V *source, const V *n, V bar, V *out)
{
    const V x = source[0], last = row[0], y = F(fma)(source[1], F(sub)(x, last), last);
    row[1] = last;
    row[0] = out[0] = F(select)(F(lt)(bar, n[0]), x, y);
}

/* Rows: total, low; both before.  Number: start. */
MLOPT_INLINE void next_accumulate(V *row, const V *source, const V *n, V bar, V *out)
{
    row[2] = row[0];
    row[3] = row[1];
    add_exactly(&row[0], &row[1], F(select)(F(le)(n[0], bar), source[0], F(zero)()));
    out[0] = F(add)(row[0], row[1]);
}

/* Rows: side (1 long, -1 short), the next stop, the extreme, the factor; the last bar's high and low; all before.
 * Sources: high, low.  Numbers: acceleration, maximum, start.
 * J. W. Wilder, New Concepts in Technical Trading Systems (1978), begun as TA-Lib begins it.  A short position is a
 * long one in prices of the other sign: everything is computed for the long one. */
MLOPT_INLINE void next_sar(V *row, const V *source, const V *n, V bar, V *out)
{
    const V zero = F(zero)(), one = F(set1)(1), minus_one = F(set1)(-1), high = source[0], low = source[1];
    MLOPT_UNROLL_FULLY
    for (int r = 0; r < 6; r++)
        row[6 + r] = row[r];
    /* bar `start` decides the side by the movement since the bar before, starts at that bar's other end, and is its own
     * predecessor */
    const M begins = F(eq)(bar, n[2]);
    const V rise = F(sub)(high, row[4]), fall = F(sub)(row[5], low);
    const M falls = F(mask_and)(F(lt)(zero, fall), F(lt)(rise, fall));
    const V first_side = F(select)(falls, minus_one, one);
    const V first_stop = F(select)(falls, row[4], row[5]), first_extreme = F(select)(falls, low, high);
    const V side = F(select)(begins, first_side, row[0]);
    const V stop = F(mul)(side, F(select)(begins, first_stop, row[1]));
    const V extreme = F(mul)(side, F(select)(begins, first_extreme, row[2]));
    const V factor = F(select)(begins, n[0], row[3]);
    const V last_high = F(select)(begins, high, row[4]), last_low = F(select)(begins, low, row[5]);
    const M is_long = F(lt)(zero, side);
    const V top = F(select)(is_long, high, F(neg)(low)), bottom = F(select)(is_long, low, F(neg)(high));
    const V highest = F(max)(top, F(select)(is_long, last_high, F(neg)(last_low)));
    const V lowest = F(min)(bottom, F(select)(is_long, last_low, F(neg)(last_high)));

    const M reverses = F(le)(bottom, stop);
    const V turned = F(max)(extreme, highest);
    const V turned_stop = F(max)(F(fma)(n[0], F(sub)(bottom, turned), turned), highest);
    const M rises = F(lt)(extreme, top);
    const V raised = F(select)(rises, F(min)(F(add)(factor, n[0]), n[1]), factor);
    const V reached = F(select)(rises, top, extreme);
    const V followed = F(min)(F(fma)(raised, F(sub)(reached, stop), stop), lowest);
    out[0] = F(mul)(side, F(select)(reverses, turned, stop));
    const M waits = F(lt)(bar, n[2]); /* only leaves its high and low */
    row[0] = F(select)(waits, zero, F(select)(reverses, F(neg)(side), side));
    row[1] = F(select)(waits, zero, F(mul)(side, F(select)(reverses, turned_stop, followed)));
    row[2] = F(select)(waits, zero, F(mul)(side, F(select)(reverses, bottom, reached)));
    row[3] = F(select)(waits, zero, F(select)(reverses, n[0], raised));
    row[4] = high;
    row[5] = low;
}

/* One bar of a recurrence.  Returns which lanes must be computed anew. */
MLOPT_INLINE uint32_t recurrence(const int kind, V *row, const V *source, V leaving, const V *n, V bar, V *out)
{
    switch (kind) {
    case MLOPT_FEATURES_sum:
        return F(bits)(next_sum(row, source, leaving, n, bar, out));
    case MLOPT_FEATURES_weighted:
        return F(bits)(next_weighted(row, source, leaving, n, bar, out));
    case MLOPT_FEATURES_moments:
        return F(bits)(next_moments(row, source, leaving, n, bar, out));
    case MLOPT_FEATURES_average:
        next_average(row, source, n, bar, out);
        return 0;
    case MLOPT_FEATURES_adaptive:
        next_adaptive(row, source, n, bar, out);
        return 0;
    case MLOPT_FEATURES_accumulate:
        next_accumulate(row, source, n, bar, out);
        return 0;
    default:
        next_sar(row, source, n, bar, out);
        return 0;
    }
}

/* The values of one ring, wherever they lie: ring[((now - back) & mask) * stride] is the one `back` bars ago. */
typedef struct ring_view {
    const double *ring;
    int64_t mask, stride, now;
} ring_view;

/* sum + low += a x, for one number */
static void F(add_one)(double *sum, double *low, double a, double x)
{
    const double product = a * x, total = *sum + product, part = total - *sum;
    *low += fma(a, x, -product) + ((*sum - (total - part)) + (product - part));
    *sum = total;
}

/* One lane of a recurrence with a ring anew, from the last `count` values; moments about the latest of them. */
static __attribute__((noinline)) void F(compute_anew)(int kind, ring_view view, int64_t count, V *row, V *out,
                                                      size_t lane)
{
    const double latest = view.ring[(view.now & view.mask) * view.stride];
    const double shift = kind == MLOPT_FEATURES_moments ? latest : 0;
    double sum = 0, low = 0, second = 0, second_low = 0;
    for (int64_t j = 0; j < count; j++) {
        const double x = view.ring[((view.now - (count - 1 - j)) & view.mask) * view.stride] - shift;
        F(add_one)(&sum, &low, kind == MLOPT_FEATURES_weighted ? (double)(j + 1) : 1, x);
        F(add_one)(&second, &second_low, x, x);
    }
    const double n = (double)count, total = sum + low;
    low -= total - sum;
    switch (kind) {
    case MLOPT_FEATURES_moments:
        row[0][lane] = shift;
        row[1][lane] = total;
        row[2][lane] = low;
        row[3][lane] = second;
        row[4][lane] = second_low;
        out[0][lane] = shift + total / n;
        sum = 0;
        for (int64_t j = 0; j < count; j++) {
            const double d = view.ring[((view.now - (count - 1 - j)) & view.mask) * view.stride] - shift - total / n;
            sum += d * d;
        }
        out[1][lane] = sqrt(sum / n);
        return;
    case MLOPT_FEATURES_weighted:
        out[0][lane] = total / (n * (n + 1) / 2);
        break;
    default:
        out[0][lane] = total;
        out[1][lane] = total / n;
        out[2][lane] = low;
    }
    row[0][lane] = total;
    row[1][lane] = low;
}
