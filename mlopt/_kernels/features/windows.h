/* Steps with memory: sums, moments, averages and extrema of sliding windows. */

#define STATE(row) (memory + (size_t)(row) * lanes + i)

/* sum + low += x, the rounding error going to low (Knuth's two-sum) */
MLOPT_INLINE void add_compensated(V *sum, V *low, V x)
{
    const V total = F(add)(*sum, x), part = F(sub)(total, *sum);
    const V error = F(add)(F(sub)(*sum, F(sub)(total, part)), F(sub)(x, part));
    *low = F(add)(*low, error);
    *sum = total;
}

/* A sliding sum beside a fresh one that never subtracts.  The fresh one restarts every `count` bars;
 * just before, it has added exactly the values in the window, and takes the sliding one's place. */
typedef struct sliding_sum {
    V sum, low, fresh, fresh_low;
} sliding_sum;

MLOPT_INLINE sliding_sum load_sum(const double *memory, size_t lanes, size_t i)
{
    return (sliding_sum){F(load)(STATE(0)), F(load)(STATE(1)), F(load)(STATE(2)), F(load)(STATE(3))};
}

MLOPT_INLINE void store_sum(double *memory, size_t lanes, size_t i, sliding_sum s, M renew)
{
    F(store)(STATE(0), F(select)(renew, s.fresh, s.sum));
    F(store)(STATE(1), F(select)(renew, s.fresh_low, s.low));
    F(store)(STATE(2), F(select)(renew, F(zero)(), s.fresh));
    F(store)(STATE(3), F(select)(renew, F(zero)(), s.fresh_low));
}

/* The series of each lane, 0 before the bar it starts with. */
MLOPT_INLINE V gather_from(const double *state, const double *source, const double *start, V bar)
{
    return F(select)(F(le)(F(load)(start), bar), gather(state, source), F(zero)());
}

MLOPT_INLINE V one_where_not_zero(V x) { return F(select)(F(eq)(x, F(zero)()), F(zero)(), F(set1)(1)); }

/* Rows of state: the sliding and the fresh sum, the age of the fresh one, how many values are not 0. */
static void F(step_sum)(const mlopt_features_step *step, const double *parameters, double *state, int64_t now)
{
    double *memory = state + step->state;
    const V bar = F(set1)((double)now);
    EACH_VECTOR(step)
    {
        const V x = gather_from(state, PARAMETER(0), PARAMETER(6), bar);
        const V leaving = gather_back(state, PARAMETER(1), PARAMETER(2), PARAMETER(3), now);
        const V age = F(add)(F(load)(STATE(4)), F(set1)(1));
        const M renew = F(eq)(age, F(load)(PARAMETER(4)));
        sliding_sum s = load_sum(memory, lanes, i);
        add_compensated(&s.sum, &s.low, x);
        add_compensated(&s.sum, &s.low, F(neg)(leaving));
        add_compensated(&s.fresh, &s.fresh_low, x);
        /* nothing but zeros in the window: exactly 0, whatever rounding left, for quotients of two sums */
        const V others = F(add)(F(load)(STATE(5)), F(sub)(one_where_not_zero(x), one_where_not_zero(leaving)));
        const M empty = F(eq)(others, F(zero)());
        s.sum = F(select)(empty, F(zero)(), s.sum);
        s.low = F(select)(empty, F(zero)(), s.low);
        const V total = F(select)(renew, F(add)(s.fresh, s.fresh_low), F(add)(s.sum, s.low));
        F(store)(values + i, F(div)(total, F(load)(PARAMETER(5))));
        store_sum(memory, lanes, i, s, renew);
        F(store)(STATE(4), F(select)(renew, F(zero)(), age));
        F(store)(STATE(5), others);
    }
}

static void F(step_weighted)(const mlopt_features_step *step, const double *parameters, double *state, int64_t now)
{
    double *memory = state + step->state;
    const V bar = F(set1)((double)now);
    EACH_VECTOR(step)
    {
        const V x = gather_from(state, PARAMETER(0), PARAMETER(6), bar), count = F(load)(PARAMETER(4));
        const V leaving = gather_back(state, PARAMETER(1), PARAMETER(2), PARAMETER(3), now);
        const V age = F(add)(F(load)(STATE(4)), F(set1)(1));
        const M renew = F(eq)(age, count);
        sliding_sum s = load_sum(memory, lanes, i);
        /* every weight falls by one: the plain sum before this bar leaves, the new value enters with `count` */
        add_compensated(&s.sum, &s.low, F(mul)(F(add)(count, F(set1)(1)), x));
        add_compensated(&s.sum, &s.low, F(neg)(gather(state, PARAMETER(7))));
        add_compensated(&s.sum, &s.low, F(neg)(leaving));
        add_compensated(&s.fresh, &s.fresh_low, F(mul)(age, x));
        const V total = F(select)(renew, F(add)(s.fresh, s.fresh_low), F(add)(s.sum, s.low));
        F(store)(values + i, F(div)(total, F(load)(PARAMETER(5))));
        store_sum(memory, lanes, i, s, renew);
        F(store)(STATE(4), F(select)(renew, F(zero)(), age));
    }
}

/* Mean, deviation and sums of one lane anew, about its latest value. */
static __attribute__((noinline)) void F(rebuild_moments)(double *memory, size_t lanes, const double *window,
                                                         int64_t count, double *mean, double *deviation)
{
    const double shift = window[count - 1];
    double first = 0, second = 0, squares = 0;
    for (int64_t j = 0; j < count; j++)
        first += window[j] - shift;
    const double center = first / (double)count;
    for (int64_t j = 0; j < count; j++) {
        const double d = window[j] - shift;
        second += d * d;
        squares += (d - center) * (d - center);
    }
    memory[0] = shift;
    memory[lanes] = first;
    memory[3 * lanes] = second;
    memory[2 * lanes] = memory[4 * lanes] = 0;
    *mean = shift + center;
    *deviation = sqrt(squares / (double)count);
}

/* Rows of state: shift; first, low; second, low; next shift; the fresh sums about it, likewise; age. */
static void F(step_moments)(const mlopt_features_step *step, const double *parameters, double *state, int64_t now)
{
    double *memory = state + step->state;
    const V bar = F(set1)((double)now), one = F(set1)(1), zero = F(zero)();
    EACH_VECTOR(step)
    {
        const V x = gather(state, PARAMETER(0)), count = F(load)(PARAMETER(4)), start = F(load)(PARAMETER(5));
        const V leaving = gather_back(state, PARAMETER(1), PARAMETER(2), PARAMETER(3), now);
        const M started = F(le)(start, bar), is_first = F(eq)(start, bar);
        const M full = F(le)(F(add)(start, count), bar); /* a value leaves */
        const V shift = F(select)(is_first, x, F(load)(STATE(0)));
        const V next_shift = F(select)(is_first, x, F(load)(STATE(5)));
        V first = F(load)(STATE(1)), first_low = F(load)(STATE(2));
        V second = F(load)(STATE(3)), second_low = F(load)(STATE(4));
        V fresh = F(load)(STATE(6)), fresh_low = F(load)(STATE(7));
        V fresh_second = F(load)(STATE(8)), fresh_second_low = F(load)(STATE(9));
        const V entering = F(select)(started, F(sub)(x, shift), zero);
        const V departing = F(select)(full, F(sub)(leaving, shift), zero);
        const V anew = F(select)(started, F(sub)(x, next_shift), zero);
        add_compensated(&first, &first_low, entering);
        add_compensated(&first, &first_low, F(neg)(departing));
        add_compensated(&second, &second_low, F(mul)(entering, entering));
        add_compensated(&second, &second_low, F(neg)(F(mul)(departing, departing)));
        add_compensated(&fresh, &fresh_low, anew);
        add_compensated(&fresh_second, &fresh_second_low, F(mul)(anew, anew));
        const V age = F(add)(F(load)(STATE(10)), F(select)(started, one, zero));
        const M renew = F(mask_and)(started, F(eq)(age, count));
        const V about = F(select)(renew, next_shift, shift);
        first = F(select)(renew, fresh, first);
        first_low = F(select)(renew, fresh_low, first_low);
        second = F(select)(renew, fresh_second, second);
        second_low = F(select)(renew, fresh_second_low, second_low);
        F(store)(STATE(0), about);
        F(store)(STATE(1), first);
        F(store)(STATE(2), first_low);
        F(store)(STATE(3), second);
        F(store)(STATE(4), second_low);
        F(store)(STATE(5), F(select)(renew, x, next_shift));
        F(store)(STATE(6), F(select)(renew, zero, fresh));
        F(store)(STATE(7), F(select)(renew, zero, fresh_low));
        F(store)(STATE(8), F(select)(renew, zero, fresh_second));
        F(store)(STATE(9), F(select)(renew, zero, fresh_second_low));
        F(store)(STATE(10), F(select)(renew, zero, age));

        const V total = F(add)(first, first_low), offset = F(div)(total, count);
        const V lost = F(mul)(total, offset);
        const V squares = F(max)(F(sub)(F(add)(second, second_low), lost), zero);
        F(store)(values + i, F(add)(about, offset));
        F(store)(values + lanes + i, F(sqrt)(F(div)(squares, count)));
        /* a shift taken from the window itself costs at most a factor `count`: no rebuild loops */
        const V limit = F(mul)(F(max)(count, F(set1)(1e4)), squares);
        const M cancelled = F(mask_and)(full, F(lt)(limit, lost));
        for (uint32_t lane = 0, bits = F(bits)(cancelled); bits; lane++, bits >>= 1)
            if (bits & 1) {
                const int64_t *rows = (const int64_t *)PARAMETER(0) + lane;
                const int64_t window = rows[3 * lanes];
                F(rebuild_moments)(STATE(0) + lane, lanes,
                                   ring_window(state, rows[lanes], rows[2 * lanes], window, now), window,
                                   values + i + lane, values + lanes + i + lane);
            }
    }
}

/* Rows of state: the average (while it is being seeded, the sum); its value before this bar. */
static void F(step_average)(const mlopt_features_step *step, const double *parameters, double *state, int64_t now)
{
    double *memory = state + step->state;
    const V bar = F(set1)((double)now), one = F(set1)(1);
    EACH_VECTOR(step)
    {
        const V x = gather(state, PARAMETER(0)), last = F(load)(STATE(0));
        const V seen = F(sub)(bar, F(load)(PARAMETER(3))), count = F(load)(PARAMETER(2)); /* before this bar */
        V y = F(fma)(F(load)(PARAMETER(1)), F(sub)(x, last), last);
        const M seeding = F(lt)(seen, count);
        if (F(any)(seeding)) {
            const V sum = F(select)(F(lt)(seen, F(zero)()), last, F(add)(last, x));
            const M seeded = F(eq)(F(add)(seen, one), count);
            y = F(select)(seeding, F(select)(seeded, F(div)(sum, count), sum), y);
        }
        F(store)(STATE(1), last);
        F(store)(STATE(0), y);
        F(store)(values + i, y);
    }
}

/* Level k holds the largest of the last 2^k values, made of two of level k - 1; a window is the larger
 * of the two of its level that cover it.  Lanes are series, so that every level is one operation. */
static void F(step_extrema)(const mlopt_features_step *step, const double *parameters, double *state, int64_t now)
{
    const int64_t levels = step->levels, windows = step->windows;
    const int64_t *base = (const int64_t *)parameters + 5 * step->lanes, *mask = base + levels;
    const int64_t *level = mask + levels, *lag = level + windows;
    const V bar = F(set1)((double)now);
    EACH_VECTOR(step)
    {
#define ROW(k, bars) (state + base[k] + (size_t)((bars) & mask[k]) * lanes + i)
        const V sign = F(load)(PARAMETER(1)), none = F(set1)(-INFINITY);
        const V x = F(mul)(sign, gather(state, PARAMETER(0)));
        V largest = F(select)(F(le)(F(load)(PARAMETER(2)), bar), x, none);
        for (int64_t k = 0;; k++) {
            F(store)(ROW(k, now), largest);
            if (k + 1 == levels)
                break;
            largest = F(max)(largest, F(load)(ROW(k, now - ((int64_t)1 << k))));
        }
        for (int64_t w = 0; w < windows; w++) {
            const V y = F(max)(F(load)(ROW(level[w], now)), F(load)(ROW(level[w], now - lag[w])));
            F(store)(values + (size_t)w * lanes + i, F(mul)(sign, y));
        }
#undef ROW
    }
}

static void F(step_deviation)(const mlopt_features_step *step, const double *parameters, double *state, int64_t now)
{
    const int64_t lanes = step->lanes, *row = (const int64_t *)parameters;
    for (int64_t lane = 0; lane < step->used; lane++) {
        const size_t count = (size_t)row[3 * lanes + lane];
        const double *window = ring_window(state, row[lanes + lane], row[2 * lanes + lane], (int64_t)count, now);
        const V mean = F(set1)(state[row[lane]]);
        V total = F(zero)();
        size_t j = 0;
        for (; j + LANES <= count; j += LANES)
            total = F(add)(total, F(abs)(F(sub)(F(load)(window + j), mean)));
        if (j < count)
            total = F(add)(total, F(abs)(F(sub)(F(load_first_or)(window + j, count - j, mean), mean)));
        state[step->values + lane] = F(reduce_add)(total) / (double)count;
    }
}

/* Rows of state: total, low; both before this bar. */
static void F(step_accumulate)(const mlopt_features_step *step, const double *parameters, double *state, int64_t now)
{
    double *memory = state + step->state;
    const V bar = F(set1)((double)now);
    EACH_VECTOR(step)
    {
        V total = F(load)(STATE(0)), low = F(load)(STATE(1));
        F(store)(STATE(2), total);
        F(store)(STATE(3), low);
        add_compensated(&total, &low, gather_from(state, PARAMETER(0), PARAMETER(1), bar));
        F(store)(STATE(0), total);
        F(store)(STATE(1), low);
        F(store)(values + i, F(add)(total, low));
    }
}
