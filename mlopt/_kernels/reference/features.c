/* The features family, textbook form: every window is recomputed from its ring, one value at a time.
 *
 * What the vector tiers carry from bar to bar is written too, computed anew, so that a stream may go
 * over to another tier after any bar.  An exponential average and a running total have no window:
 * they take one step of their recursion. */
#include "reference.h"

#include "../features/groups.h"

#include <string.h>

#define MLOPT_REAL f64
#include "../simd/real.h"

#define INDEX(row) (((const int64_t *)parameters)[(row) * lanes + lane])
#define NUMBER(row) (parameters[(row) * lanes + lane])
#define STATE(row) (memory[(row) * lanes + lane])
#define EACH_NODE(step)                                                                                                \
    const int64_t lanes = (step)->lanes;                                                                               \
    double *values = state + (step)->values, *memory = state + (step)->state;                                          \
    (void)memory, (void)now;                                                                                           \
    for (int64_t lane = 0; lane < (step)->used; lane++)

/* The value `back` bars before bar `now`. */
static double ring_value(const double *state, int64_t base, int64_t mask, int64_t back, int64_t now)
{
    return state[base + ((now - back) & mask)];
}

/* The number of the bar; `now` is its place in rings. */
static int64_t bar_number(const double *state) { return ((const mlopt_features_state *)state)->bars; }

static double larger(double a, double b) { return a > b ? a : b; }
static double smaller(double a, double b) { return a < b ? a : b; }

static void step_bar(const mlopt_features_step *step, mlopt_features_state *header, const double *bar, int64_t columns)
{
    double *series = (double *)header + step->values;
    const double open = bar[0], high = bar[1], low = bar[2], close = bar[3], volume = bar[4];
    const int first = header->bars == 0;
    const double last_close = first ? close : header->last[3];
    const double typical = (high + low + close) / 3;
    const double last_typical = first ? typical : (header->last[1] + header->last[2] + header->last[3]) / 3;
    series[MLOPT_SERIES_zero] = 0;
    series[MLOPT_SERIES_open] = open;
    series[MLOPT_SERIES_high] = high;
    series[MLOPT_SERIES_low] = low;
    series[MLOPT_SERIES_close] = close;
    series[MLOPT_SERIES_volume] = volume;
    series[MLOPT_SERIES_typical] = typical;
    series[MLOPT_SERIES_range] = high - low;
    series[MLOPT_SERIES_body] = close - open;
    series[MLOPT_SERIES_upper_shadow] = high - larger(open, close);
    series[MLOPT_SERIES_lower_shadow] = smaller(open, close) - low;
    series[MLOPT_SERIES_money] = typical * volume;
    series[MLOPT_SERIES_signed_volume] = volume * (first ? 1 : (close > last_close) - (close < last_close));
    series[MLOPT_SERIES_change] = close - last_close;
    series[MLOPT_SERIES_gain] = larger(close - last_close, 0);
    series[MLOPT_SERIES_loss] = larger(last_close - close, 0);
    series[MLOPT_SERIES_true_range] = larger(high - low, larger(fabs(high - last_close), fabs(low - last_close)));
    series[MLOPT_SERIES_buying] = close - smaller(low, last_close);
    series[MLOPT_SERIES_inflow] = typical > last_typical ? typical * volume : 0;
    series[MLOPT_SERIES_outflow] = typical < last_typical ? typical * volume : 0;
    const double rise = first ? 0 : high - header->last[1], fall = first ? 0 : header->last[2] - low;
    series[MLOPT_SERIES_plus_movement] = rise > 0 && rise > fall ? rise : 0;
    series[MLOPT_SERIES_minus_movement] = fall > 0 && fall > rise ? fall : 0;
    for (int64_t column = 0; column < columns; column++)
        series[MLOPT_SERIES_COUNT + column] = ((double *)header)[step->state + MLOPT_SERIES_COUNT + column] =
            bar[5 + column];
}

static void step_push(const mlopt_features_step *step, const double *parameters, double *state, int64_t now)
{
    EACH_NODE(step)
    {
        const int64_t slot = INDEX(1) + (now & INDEX(2));
        state[slot] = (double)bar_number(state) >= NUMBER(4) ? state[INDEX(0)] : 0;
        state[slot + INDEX(2) + 1] = state[slot];
    }
    (void)values;
}

static void step_lag(const mlopt_features_step *step, const double *parameters, double *state, int64_t now)
{
    EACH_NODE(step) values[lane] = ring_value(state, INDEX(0), INDEX(1), INDEX(2), now);
}

static void step_linear(const mlopt_features_step *step, const double *parameters, double *state, int64_t now)
{
    EACH_NODE(step) values[lane] = NUMBER(3) * (state[INDEX(0)] + NUMBER(2) * state[INDEX(1)]) + NUMBER(4);
}

static void step_product(const mlopt_features_step *step, const double *parameters, double *state, int64_t now)
{
    EACH_NODE(step) values[lane] = state[INDEX(0)] * state[INDEX(1)];
}

static void step_distance(const mlopt_features_step *step, const double *parameters, double *state, int64_t now)
{
    EACH_NODE(step) values[lane] = NUMBER(3) * fabs(state[INDEX(0)] + NUMBER(2) * state[INDEX(1)]);
}

static void step_quotient(const mlopt_features_step *step, const double *parameters, double *state, int64_t now)
{
    EACH_NODE(step)
    {
        const double dividend = state[INDEX(0)] + NUMBER(4) * state[INDEX(1)];
        const double divisor = state[INDEX(2)] + NUMBER(5) * state[INDEX(3)];
        values[lane] = divisor == 0 ? NUMBER(8) : NUMBER(6) * dividend / divisor + NUMBER(7);
    }
}

static void step_logarithm(const mlopt_features_step *step, const double *parameters, double *state, int64_t now)
{
    EACH_NODE(step) values[lane] = state[INDEX(1)] == 0 ? 0 : log(state[INDEX(0)] / state[INDEX(1)]);
}

static void step_root(const mlopt_features_step *step, const double *parameters, double *state, int64_t now)
{
    EACH_NODE(step) values[lane] = sqrt(larger(state[INDEX(0)] * NUMBER(1), 0));
}

static void step_sum(const mlopt_features_step *step, const double *parameters, double *state, int64_t now)
{
    EACH_NODE(step)
    {
        double total = 0;
        for (int64_t back = INDEX(3) - 1; back >= 0; back--)
            total += ring_value(state, INDEX(1), INDEX(2), back, now);
        values[lane] = STATE(0) = total;
        values[lanes + lane] = total / NUMBER(4);
        values[2 * lanes + lane] = STATE(1) = 0; /* the vector tiers' rounding error */
    }
}

static void step_weighted(const mlopt_features_step *step, const double *parameters, double *state, int64_t now)
{
    EACH_NODE(step)
    {
        const int64_t count = INDEX(5);
        double total = 0;
        for (int64_t back = count - 1; back >= 0; back--)
            total += (double)(count - back) * ring_value(state, INDEX(3), INDEX(4), back, now);
        values[lane] = total / NUMBER(7);
        STATE(0) = total;
        STATE(1) = 0;
    }
}

static void step_moments(const mlopt_features_step *step, const double *parameters, double *state, int64_t now)
{
    EACH_NODE(step)
    {
        const int64_t seen = bar_number(state) - (int64_t)NUMBER(6) + 1, window = INDEX(3);
        if (seen < 1)
            continue;
        const int64_t count = seen < window ? seen : window;
        const double latest = ring_value(state, INDEX(1), INDEX(2), 0, now);
        double first = 0, second = 0, squares = 0;
        for (int64_t back = count - 1; back >= 0; back--) {
            const double x = ring_value(state, INDEX(1), INDEX(2), back, now);
            first += x - latest;
            second += (x - latest) * (x - latest);
        }
        const double mean = latest + first / (double)count; /* exact where the series stands still */
        for (int64_t back = count - 1; back >= 0; back--) {
            const double x = ring_value(state, INDEX(1), INDEX(2), back, now);
            squares += (x - mean) * (x - mean);
        }
        values[lane] = mean;
        values[lanes + lane] = sqrt(squares / (double)count);
        STATE(0) = latest;
        STATE(1) = first;
        STATE(3) = second;
        STATE(2) = STATE(4) = 0;
    }
}

static void step_average(const mlopt_features_step *step, const double *parameters, double *state, int64_t now)
{
    EACH_NODE(step)
    {
        const double x = state[INDEX(0)], alpha = NUMBER(1), count = NUMBER(2), last = STATE(0);
        const double seen = (double)bar_number(state) - NUMBER(4);
        double y = alpha * x + (1 - alpha) * last;
        if (seen < 0)
            y = last;
        else if (seen < count)
            y = seen + 1 == count ? (last + x) / NUMBER(3) : last + x;
        STATE(1) = last;
        STATE(0) = values[lane] = y;
    }
}

static void step_adaptive(const mlopt_features_step *step, const double *parameters, double *state, int64_t now)
{
    EACH_NODE(step)
    {
        const double x = state[INDEX(0)], weight = state[INDEX(1)], last = STATE(0);
        STATE(1) = last;
        STATE(0) = values[lane] = (double)bar_number(state) < NUMBER(2) ? x : weight * x + (1 - weight) * last;
    }
}

/* Rows: side, stop, extreme, factor, last high, last low; the same before. */
static void step_sar(const mlopt_features_step *step, const double *parameters, double *state, int64_t now)
{
    EACH_NODE(step)
    {
        const double high = state[INDEX(0)], low = state[INDEX(1)], acceleration = NUMBER(2), maximum = NUMBER(3);
        double last_high = STATE(4), last_low = STATE(5);
        for (int row = 0; row < 6; row++)
            STATE(6 + row) = STATE(row);
        STATE(4) = high;
        STATE(5) = low;
        if ((double)bar_number(state) < NUMBER(4)) {
            values[lane] = 0;
            continue;
        }
        if ((double)bar_number(state) == NUMBER(4)) {
            const double fall = last_low - low;
            const int falls = fall > 0 && fall > high - last_high;
            STATE(0) = falls ? -1 : 1;
            STATE(1) = falls ? last_high : last_low;
            STATE(2) = falls ? low : high;
            STATE(3) = acceleration;
            last_high = high;
            last_low = low;
        }
        double stop = STATE(1), extreme = STATE(2), factor = STATE(3);
        const int is_long = STATE(0) > 0;
        if (is_long ? low <= stop : high >= stop) {
            stop = extreme;
            extreme = is_long ? low : high;
            factor = acceleration;
            STATE(0) = -STATE(0);
            stop = is_long ? larger(stop, larger(high, last_high)) : smaller(stop, smaller(low, last_low));
            values[lane] = stop;
            stop += factor * (extreme - stop);
            stop = is_long ? larger(stop, larger(high, last_high)) : smaller(stop, smaller(low, last_low));
        } else {
            values[lane] = stop;
            if (is_long ? high > extreme : low < extreme) {
                extreme = is_long ? high : low;
                factor = smaller(factor + acceleration, maximum);
            }
            stop += factor * (extreme - stop);
            stop = is_long ? smaller(stop, smaller(low, last_low)) : larger(stop, larger(high, last_high));
        }
        STATE(1) = stop;
        STATE(2) = extreme;
        STATE(3) = factor;
    }
}

/* The largest sign * x of the last `count` bars from bar `start` on. */
static double largest(const double *state, int64_t base, int64_t mask, double sign, int64_t count, int64_t start,
                      int64_t now)
{
    double best = -INFINITY;
    for (int64_t back = 0; back < count && bar_number(state) - back >= start; back++)
        best = larger(best, sign * ring_value(state, base, mask, back, now));
    return best;
}

static void step_extrema(const mlopt_features_step *step, const double *parameters, double *state, int64_t now)
{
    const int64_t levels = step->levels, windows = step->windows;
    const int64_t *base = (const int64_t *)parameters + 6 * step->lanes + step->lanes / MLOPT_FEATURES_LANES;
    const int64_t *mask = base + levels;
    const int64_t *level = mask + levels, *lag = level + windows;
    EACH_NODE(step)
    {
        const double sign = NUMBER(4);
        const int64_t start = (int64_t)NUMBER(5);
        for (int64_t k = 0; k < levels; k++)
            state[base[k] + (now & mask[k]) * lanes + lane] =
                largest(state, INDEX(1), INDEX(2), sign, (int64_t)1 << k, start, now);
        for (int64_t w = 0; w < windows; w++)
            values[w * lanes + lane] =
                sign * largest(state, INDEX(1), INDEX(2), sign, ((int64_t)1 << level[w]) + lag[w], start, now);
    }
}

static void step_deviation(const mlopt_features_step *step, const double *parameters, double *state, int64_t now)
{
    EACH_NODE(step)
    {
        double total = 0;
        for (int64_t back = INDEX(3) - 1; back >= 0; back--)
            total += fabs(ring_value(state, INDEX(1), INDEX(2), back, now) - state[INDEX(0)]);
        values[lane] = total / (double)INDEX(3);
    }
}

static void step_shape(const mlopt_features_step *step, const double *parameters, double *state, int64_t now)
{
    EACH_NODE(step)
    {
        double second = 0, third = 0, fourth = 0;
        for (int64_t back = INDEX(3) - 1; back >= 0; back--) {
            const double d = ring_value(state, INDEX(1), INDEX(2), back, now) - state[INDEX(0)];
            second += d * d;
            third += d * d * d;
            fourth += d * d * d * d;
        }
        second /= NUMBER(4);
        values[lane] = second == 0 ? 0 : NUMBER(6) * third / (second * sqrt(second));
        values[lanes + lane] = second == 0 ? 0 : NUMBER(7) * fourth / (second * second) - NUMBER(8);
    }
}

static void step_rank(const mlopt_features_step *step, const double *parameters, double *state, int64_t now)
{
    EACH_NODE(step)
    {
        double less = 0, equal = 0;
        for (int64_t back = INDEX(3) - 1; back >= 0; back--) {
            const double x = ring_value(state, INDEX(1), INDEX(2), back, now);
            less += x < state[INDEX(0)];
            equal += x == state[INDEX(0)];
        }
        values[lane] = (less + (equal + 1) / 2) / NUMBER(4);
    }
}

static void step_covariance(const mlopt_features_step *step, const double *parameters, double *state, int64_t now)
{
    EACH_NODE(step)
    {
        double total = 0;
        for (int64_t back = INDEX(4) - 1; back >= 0; back--) {
            const double x = ring_value(state, INDEX(2), INDEX(3), back, now);
            const double y = ring_value(state, INDEX(5), INDEX(6), back, now);
            total += (x - state[INDEX(0)]) * (y - state[INDEX(1)]);
        }
        values[lane] = total / NUMBER(8);
    }
}

static void step_age(const mlopt_features_step *step, const double *parameters, double *state, int64_t now)
{
    EACH_NODE(step)
    {
        values[lane] = 0;
        for (int64_t back = 0; back < INDEX(3); back++)
            if (ring_value(state, INDEX(1), INDEX(2), back, now) == state[INDEX(0)]) {
                values[lane] = (double)back;
                break;
            }
    }
}

static void step_accumulate(const mlopt_features_step *step, const double *parameters, double *state, int64_t now)
{
    EACH_NODE(step)
    {
        const double last = STATE(0) + STATE(1);
        STATE(2) = STATE(0);
        STATE(3) = STATE(1);
        STATE(0) = values[lane] = (double)bar_number(state) < NUMBER(1) ? last : last + state[INDEX(0)];
        STATE(1) = 0;
    }
}

static void step_output(const mlopt_features_step *step, const double *parameters, const double *state, int64_t now,
                        double *out)
{
    const int64_t lanes = step->lanes;
    (void)now;
    for (int64_t lane = 0; lane < step->used; lane++)
        out[lane] = (double)bar_number(state) < NUMBER(1) ? NAN : state[INDEX(0)];
}

void K(features_update)(const mlopt_features_plan *plan, void *state, const double *bar, double *out)
{
    mlopt_features_state *header = state;
    const int64_t now = header->clock;
    for (const mlopt_features_step *step = plan->steps; step < plan->steps + plan->step_count; step++) {
        const double *parameters = (const double *)plan + step->parameters;
        switch (step->kind) {
        case MLOPT_FEATURES_bar:
            step_bar(step, header, bar, plan->columns);
            break;
        case MLOPT_FEATURES_output:
            step_output(step, parameters, state, now, out);
            break;
#define CASE(kind)                                                                                                     \
    case MLOPT_FEATURES_##kind:                                                                                        \
        step_##kind(step, parameters, state, now);                                                                     \
        break;
            CASE(push)
            CASE(lag)
            CASE(linear)
            CASE(product)
            CASE(distance)
            CASE(quotient)
            CASE(logarithm)
            CASE(root)
            CASE(sum)
            CASE(weighted)
            CASE(moments)
            CASE(average)
            CASE(adaptive)
            CASE(accumulate)
            CASE(sar)
            CASE(extrema)
            CASE(deviation)
            CASE(shape)
            CASE(rank)
            CASE(covariance)
            CASE(age)
#undef CASE
        }
    }
    memcpy(header->before, header->last, 5 * sizeof(double));
    memcpy(header->last, bar, 5 * sizeof(double));
    header->bars++;
    header->clock++;
}

void K(features_history)(const mlopt_features_plan *plan, void *state, size_t bars, const double *bar, double *out,
                         double *workspace)
{
    (void)workspace;
    for (; bars; bars--, bar += 5 + plan->columns, out += plan->outputs)
        K(features_update)(plan, state, bar, out);
}

/* One symbol after another, its state taken out of its group and put back; the workspace is the state. */
void K(features_symbols)(const mlopt_features_plan *plan, void *states, size_t symbols, const double *const *bars,
                         const uint8_t *ticking, double *out, double *workspace)
{
    for (size_t s = 0; s < symbols; s++) {
        if (ticking && !ticking[s])
            continue;
        double *group = (double *)states + s / MLOPT_FEATURES_LANES * (size_t)mlopt_features_group_words(plan);
        double bar[MLOPT_FEATURES_MOST_COLUMNS + 5];
        for (int64_t field = 0; field < 5 + plan->columns; field++)
            bar[field] = bars[field][s];
        mlopt_features_take(plan, group, (int64_t)(s % MLOPT_FEATURES_LANES), 1, workspace);
        K(features_update)(plan, workspace, bar, out + s * (size_t)plan->outputs);
        mlopt_features_put(plan, group, (int64_t)(s % MLOPT_FEATURES_LANES), workspace,
                           workspace + plan->words_with_values);
    }
}

void K(statistics_update)(size_t n, const double *x, double *statistics, size_t row)
{
    for (size_t i = 0; i < n; i++) {
        double *count = statistics + i, *mean = count + row, *squares = mean + row;
        double *smallest = squares + row, *largest = smallest + row;
        if (isnan(x[i]))
            continue;
        const double deviation = x[i] - *mean;
        *count += 1;
        *mean += deviation / *count;
        *squares += deviation * (x[i] - *mean);
        *smallest = smaller(x[i], *smallest);
        *largest = larger(x[i], *largest);
    }
}

void K(standard_spans)(size_t n, const double *statistics, size_t row, double *span)
{
    for (size_t i = 0; i < n; i++) {
        const double count = statistics[i], deviation = sqrt(statistics[2 * row + i] / (count > 1 ? count : 1));
        span[i] = count == 0 ? NAN : deviation > 0 ? deviation : INFINITY;
    }
}

#include "../simd/real_end.h"
