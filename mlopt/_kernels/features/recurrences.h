/* Kinds that carry something from bar to bar: rows of state, of which each call makes those after the bar. */

/* sum + low += x, the rounding error going to low (Knuth's two-sum) */
MLOPT_INLINE void add_compensated(V *sum, V *low, V x)
{
    const V total = F(add)(*sum, x), part = F(sub)(total, *sum);
    const V error = F(add)(F(sub)(*sum, F(sub)(total, part)), F(sub)(x, part));
    *low = F(add)(*low, error);
    *sum = total;
}

/* sum + low += a x, exactly but for the rounding of low */
MLOPT_INLINE void add_product(V *sum, V *low, V a, V x)
{
    const V product = F(mul)(a, x);
    *low = F(add)(*low, F(fma_exact)(a, x, F(neg)(product)));
    add_compensated(sum, low, product);
}

/* The age of a window's fresh sum with the bar that comes: 1 to count, over and over, from the first bar of moments on
 * and from bar 0 on for other sums. */
MLOPT_INLINE V age_of(const int kind, const V *n, V bar)
{
    const V one = F(set1)(1), zero = F(zero)(), shift = F(set1)(0x1.8p52); /* adding it rounds to whole numbers */
    const V bars = kind == MLOPT_FEATURES_moments ? F(max)(F(sub)(bar, n[2]), zero) : bar;
    const V times = F(sub)(F(add)(F(mul)(bars, n[1]), shift), shift);
    const V rest = F(add)(F(fnma)(times, n[0], bars), one);
    return F(select)(F(lt)(rest, one), F(add)(rest, n[0]), rest);
}

/* The same, given the age with the bar before. */
MLOPT_INLINE V next_age(const int kind, const V *n, V bar, V age)
{
    const V one = F(set1)(1);
    const V next = F(select)(F(eq)(age, n[0]), one, F(add)(age, one));
    return kind == MLOPT_FEATURES_moments ? F(select)(F(le)(bar, n[2]), one, next) : next;
}

/* Rows 0 and 1 a sliding sum, 2 and 3 a fresh one that never subtracts and is `age` bars old.  At age `count` it has
 * added exactly the values in the window, takes the sliding one's place and starts again.  Returns the sum. */
MLOPT_INLINE V renew_sum(V *row, V age, V count)
{
    const V zero = F(zero)();
    const M renew = F(eq)(age, count);
    row[0] = F(select)(renew, row[2], row[0]);
    row[1] = F(select)(renew, row[3], row[1]);
    row[2] = F(select)(renew, zero, row[2]);
    row[3] = F(select)(renew, zero, row[3]);
    return F(add)(row[0], row[1]);
}

/* Row 4: one more than the last bar with a value that is not 0.  Numbers: count, inverse, start.  Results: sum, mean, what
 * the sum lost in rounding. */
MLOPT_INLINE void next_sum(V *row, const V *source, V leaving, const V *n, V bar, V age, V *out)
{
    const V zero = F(zero)(), x = F(select)(F(le)(n[2], bar), source[0], zero);
    add_compensated(&row[0], &row[1], x);
    add_compensated(&row[0], &row[1], F(neg)(leaving));
    add_compensated(&row[2], &row[3], x);
    /* nothing but zeros in the window: exactly 0, whatever rounding left, for quotients of two sums */
    const V seen = F(add)(bar, F(set1)(1));
    row[4] = F(select)(F(eq)(x, zero), row[4], seen);
    const M empty = F(le)(row[4], F(sub)(seen, n[0]));
    row[0] = F(select)(empty, zero, row[0]);
    row[1] = F(select)(empty, zero, row[1]);
    out[0] = renew_sum(row, age, n[0]);
    out[1] = quotient_by(out[0], n[0], n[1]);
    out[2] = F(sub)(row[1], F(sub)(out[0], row[0]));
}

/* Sources: x, the plain sum of the window, what it lost.  Numbers: count, inverse, divisor, its inverse, start. */
MLOPT_INLINE void next_weighted(V *row, const V *source, V leaving, const V *n, V bar, V age, V *out)
{
    const V x = F(select)(F(le)(n[4], bar), source[0], F(zero)());
    /* every weight falls by one: the plain sum before this bar leaves, the new value enters with `count` */
    add_product(&row[0], &row[1], F(add)(n[0], F(set1)(1)), x);
    add_compensated(&row[0], &row[1], F(neg)(source[1]));
    row[1] = F(sub)(row[1], source[2]);
    add_compensated(&row[0], &row[1], F(neg)(leaving));
    add_product(&row[2], &row[3], age, x);
    out[0] = quotient_by(renew_sum(row, age, n[0]), n[2], n[3]);
}

/* Rows: shift; first, low; second, low; next shift; the fresh sums about it, likewise.  Numbers: count, inverse,
 * start.  Results: mean, deviation.
 * Returns where cancellation calls for the node to be computed anew. */
MLOPT_INLINE M next_moments(V *row, const V *source, V leaving, const V *n, V bar, V age, V *out)
{
    const V x = source[0], zero = F(zero)(), count = n[0], start = n[2];
    const M started = F(le)(start, bar), is_first = F(eq)(start, bar);
    const M full = F(le)(F(add)(start, count), bar); /* a value leaves */
    const V shift = F(select)(is_first, x, row[0]), next_shift = F(select)(is_first, x, row[5]);
    const V entering = F(select)(started, F(sub)(x, shift), zero);
    const V departing = F(select)(full, F(sub)(leaving, shift), zero);
    const V anew = F(select)(started, F(sub)(x, next_shift), zero);
    add_compensated(&row[1], &row[2], entering);
    add_compensated(&row[1], &row[2], F(neg)(departing));
    add_compensated(&row[3], &row[4], F(mul)(entering, entering));
    add_compensated(&row[3], &row[4], F(neg)(F(mul)(departing, departing)));
    add_compensated(&row[6], &row[7], anew);
    add_compensated(&row[8], &row[9], F(mul)(anew, anew));
    const M renew = F(mask_and)(started, F(eq)(age, count));
    row[0] = F(select)(renew, next_shift, shift);
    row[5] = F(select)(renew, x, next_shift);
    MLOPT_UNROLL_FULLY
    for (int r = 0; r < 4; r++) {
        row[1 + r] = F(select)(renew, row[6 + r], row[1 + r]);
        row[6 + r] = F(select)(renew, zero, row[6 + r]);
    }

    const V total = F(add)(row[1], row[2]), offset = quotient_by(total, count, n[1]);
    const V lost = F(mul)(total, offset);
    const V squares = F(max)(F(sub)(F(add)(row[3], row[4]), lost), zero);
    out[0] = F(add)(row[0], offset);
    out[1] = F(sqrt)(quotient_by(squares, count, n[1]));
    /* a shift taken from the window itself costs at most a factor `count`: no rebuild loops */
    const V limit = F(mul)(F(max)(count, F(set1)(1e4)), squares);
    return F(mask_and)(full, F(lt)(limit, lost));
}

/* Row 0: the average (while it is being seeded, the sum); 1: its value before.  Numbers: alpha, count, divisor, start. */
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
    add_compensated(&row[0], &row[1], F(select)(F(le)(n[0], bar), source[0], F(zero)()));
    out[0] = F(add)(row[0], row[1]);
}

/* Rows: side (1 long, -1 short), the next stop, the extreme, the factor; the last bar's high and low; all before.
 * Sources: high, low.  Numbers: acceleration, maximum, start.
 * J. W. Wilder, New Concepts in Technical Trading Systems (1978), begun as TA-Lib begins it.  A short position is a long
 * one in prices of the other sign: everything is computed for the long one. */
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

/* One bar of a recurrence; of those with a ring, `age` is that of the fresh sum.  Returns which lanes must be computed anew (kind moments). */
MLOPT_INLINE uint32_t recurrence(const int kind, V *row, const V *source, V leaving, const V *n, V bar, V age, V *out)
{
    switch (kind) {
    case MLOPT_FEATURES_sum:
        next_sum(row, source, leaving, n, bar, age, out);
        return 0;
    case MLOPT_FEATURES_weighted:
        next_weighted(row, source, leaving, n, bar, age, out);
        return 0;
    case MLOPT_FEATURES_moments:
        return F(bits)(next_moments(row, source, leaving, n, bar, age, out));
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

/* Mean, deviation and sums of one lane of kind moments anew, about its latest value. */
static __attribute__((noinline)) void rebuild_moments(ring_view view, int64_t count, V *row, V *out, size_t lane)
{
#define VALUE(j) view.ring[((view.now - (count - 1 - (j))) & view.mask) * view.stride]
    const double shift = VALUE(count - 1);
    double first = 0, second = 0, squares = 0;
    for (int64_t j = 0; j < count; j++)
        first += VALUE(j) - shift;
    const double center = first / (double)count;
    for (int64_t j = 0; j < count; j++) {
        const double d = VALUE(j) - shift;
        second += d * d;
        squares += (d - center) * (d - center);
    }
#undef VALUE
    const double anew[5] = {shift, first, 0, second, 0};
    for (int r = 0; r < 5; r++)
        row[r][lane] = anew[r];
    out[0][lane] = shift + center;
    out[1][lane] = sqrt(squares / (double)count);
}
