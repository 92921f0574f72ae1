/* Many bars of one symbol, a block at a time: every value is a column of bars.  Lanes are bars; in recurrences they are
 * nodes, LANES bars after another between two transpositions. */

typedef struct history {
    const mlopt_features_plan *plan;
    double *state;
    const double *bars; /* of this block, rows of 5 and the caller's columns */
    double *out;
    double *workspace;
    int64_t *column_of; /* by value: the word of the workspace of its first bar */
    int64_t *ring_of;   /* by word of the state / 8: the same of the ring there */
    int64_t bar_columns, levels;
    int64_t now, clock; /* of the first bar of this block: its number, and its place in rings */
    size_t count;
} history;

#define WALKER history
#define NODE_ROW(row) (parameters + (size_t)(row) * lanes + i)
#define NODE_INDEX(row) (((const int64_t *)parameters)[(size_t)(row) * lanes + i])
#define EACH_BAR(t) for (size_t t = 0; t < w->count; t += LANES)

MLOPT_INLINE double *column_of(const history *w, int64_t value)
{
    return w->workspace + w->column_of[value - w->plan->state_words];
}

MLOPT_INLINE const double *ring_column(const history *w, int64_t base) { return w->workspace + w->ring_of[base / 8]; }

/* The numbers of LANES bars from the t-th of the block on. */
MLOPT_INLINE V bar_numbers(const history *w, int64_t t)
{
    static const double lane_numbers[8] = {0, 1, 2, 3, 4, 5, 6, 7};
    return F(add)(F(set1)((double)(w->now + t)), F(load)(lane_numbers));
}

MLOPT_INLINE void history_series(KIND_ARGUMENTS)
{
    const mlopt_features_state *header = (const mlopt_features_state *)w->state;
    const size_t width = 5 + (size_t)w->plan->columns;
    double *raw = w->workspace + w->bar_columns + 1; /* the bar before the block comes first */
    for (size_t f = 0; f < 5; f++) {
        double *column = raw + f * MLOPT_FEATURES_COLUMN;
        column[-1] = header->last[f];
        for (size_t t = 0; t < w->count; t++)
            column[t] = w->bars[t * width + f];
    }
    EACH_BAR(t)
    {
        V bar[5], before[5], all[MLOPT_SERIES_COUNT];
        MLOPT_UNROLL_FULLY
        for (size_t f = 0; f < 5; f++) {
            bar[f] = F(load)(raw + f * MLOPT_FEATURES_COLUMN + t);
            before[f] = F(load)(raw + f * MLOPT_FEATURES_COLUMN + t - 1);
        }
        series_of(bar, before, F(eq)(bar_numbers(w, (int64_t)t), F(zero)()), all);
        MLOPT_UNROLL_FULLY
        for (int s = 0; s < MLOPT_SERIES_COUNT; s++)
            F(store)(column_of(w, step->values + s) + t, all[s]);
    }
    for (size_t c = 5; c < width; c++) {
        double *column = column_of(w, step->values + MLOPT_SERIES_COUNT + (int64_t)c - 5);
        for (size_t t = 0; t < w->count; t++)
            column[t] = w->bars[t * width + c];
        mlopt_features_columns(w->plan, w->state)[c - 5] = column[w->count - 1];
    }
}

/* The ring's values before the block, the block's behind them; then the ring as the block leaves it. */
MLOPT_INLINE void history_push(KIND_ARGUMENTS)
{
    const size_t lanes = (size_t)step->lanes;
    for (size_t i = 0; i < (size_t)step->used; i++) {
        const int64_t base = NODE_INDEX(1), mask = NODE_INDEX(2), capacity = mask + 1;
        const double *source = column_of(w, NODE_INDEX(0));
        double *ring = w->state + base, *column = w->workspace + w->ring_of[base / 8];
        memcpy(column - capacity, ring + (w->clock & mask), (size_t)capacity * sizeof(double));
        const V start = F(set1)(*NODE_ROW(4)), zero = F(zero)();
        EACH_BAR(t)
        F(store)(column + t, F(select)(F(le)(start, bar_numbers(w, (int64_t)t)), F(load)(source + t), zero));
        const int64_t count = (int64_t)w->count;
        for (int64_t t = count < capacity ? 0 : count - capacity; t < count; t++) {
            double *slot = ring + ((w->clock + t) & mask);
            slot[0] = slot[capacity] = column[t];
        }
    }
}

/* Columns of lags are those of their rings, seen later: history_begin has placed them. */
MLOPT_INLINE void history_lag(KIND_ARGUMENTS) {}

MLOPT_INLINE void history_elementwise(KIND_ARGUMENTS)
{
    const size_t lanes = (size_t)step->lanes;
    for (size_t i = 0; i < (size_t)step->used; i++) {
        const double *source[4];
        double *values = column_of(w, step->values + (int64_t)i);
        V n[5];
        MLOPT_UNROLL_FULLY
        for (int s = 0; s < sources; s++)
            source[s] = column_of(w, NODE_INDEX(s));
        MLOPT_UNROLL_FULLY
        for (int k = 0; k < numbers; k++)
            n[k] = F(set1)(*NODE_ROW(sources + k));
        EACH_BAR(t)
        {
            V x[4];
            MLOPT_UNROLL_FULLY
            for (int s = 0; s < sources; s++)
                x[s] = F(load)(source[s] + t);
            F(store)(values + t, elementwise(kind, x, n));
        }
    }
}

MLOPT_INLINE void history_recurrence(KIND_ARGUMENTS)
{
    const size_t lanes = (size_t)step->lanes;
    for (size_t i = 0; i < (size_t)step->used; i += LANES) {
        double *memory = w->state + step->state + i;
        const double *source[3][LANES], *ring[LANES];
        double *values[3][LANES];
        const int64_t flags = flags_of(step, parameters, sources + 3 * rings + numbers, i);
        V n[5], row[12];
        for (size_t lane = 0; lane < LANES; lane++) {
            for (int s = 0; s < sources; s++)
                source[s][lane] = column_of(w, ((const int64_t *)NODE_ROW(s))[lane]);
            for (int o = 0; o < results; o++)
                values[o][lane] = column_of(w, step->values + (int64_t)((size_t)o * lanes + i + lane));
            ring[lane] = NULL;
            if (rings && i + lane < (size_t)step->used)
                ring[lane] = ring_column(w, ((const int64_t *)NODE_ROW(sources))[lane]) -
                             ((const int64_t *)NODE_ROW(sources + 2))[lane];
            else
                ring[lane] = source[0][lane]; /* of a lane that stands for nothing */
        }
        MLOPT_UNROLL_FULLY
        for (int k = 0; k < numbers; k++)
            n[k] = F(load)(NODE_ROW(sources + 3 * rings + k));
        MLOPT_UNROLL_FULLY
        for (int r = 0; r < states; r++)
            row[r] = F(load)(memory + (size_t)r * lanes);
        EACH_BAR(t)
        {
            V x[3][LANES], leaving[LANES], out[3][LANES];
            MLOPT_UNROLL_FULLY
            for (int s = 0; s < sources; s++)
                if (same_source(flags, s)) {
                    MLOPT_UNROLL_FULLY
                    for (size_t j = 0; j < LANES; j++)
                        x[s][j] = F(set1)(source[s][0][t + j]);
                } else {
                    MLOPT_UNROLL_FULLY
                    for (size_t lane = 0; lane < LANES; lane++)
                        x[s][lane] = F(load)(source[s][lane] + t);
                    F(transpose)(x[s]);
                }
            if (rings) {
                MLOPT_UNROLL_FULLY
                for (size_t lane = 0; lane < LANES; lane++)
                    leaving[lane] = F(load)(ring[lane] + t);
                F(transpose)(leaving);
            }
            MLOPT_UNROLL_FULLY
            for (size_t j = 0; j < LANES; j++) {
                V now_x[3], now_out[3];
                MLOPT_UNROLL_FULLY
                for (int s = 0; s < sources; s++)
                    now_x[s] = x[s][j];
                const V bar = F(set1)((double)(w->now + (int64_t)(t + j)));
                uint32_t anew = recurrence(kind, row, now_x, rings ? leaving[j] : bar, n, bar, now_out);
                if (rings && anew) {
                    V rows[12], outs[3];
                    memcpy(rows, row, sizeof rows);
                    memcpy(outs, now_out, sizeof outs);
                    for (size_t lane = 0; anew; lane++, anew >>= 1)
                        if (anew & 1) {
                            const int64_t window = ((const int64_t *)NODE_ROW(sources + 2))[lane];
                            const ring_view view = {ring[lane] + window, -1, 1, (int64_t)(t + j)};
                            F(compute_anew)(kind, view, window, rows, outs, lane);
                        }
                    memcpy(row, rows, sizeof rows);
                    memcpy(now_out, outs, sizeof outs);
                }
                MLOPT_UNROLL_FULLY
                for (int o = 0; o < results; o++)
                    out[o][j] = now_out[o];
            }
            MLOPT_UNROLL_FULLY
            for (int o = 0; o < results; o++)
                if (result_is_read(flags, o)) {
                    F(transpose)(out[o]);
                    MLOPT_UNROLL_FULLY
                    for (size_t lane = 0; lane < LANES; lane++)
                        F(store)(values[o][lane] + t, out[o][lane]);
                }
        }
        MLOPT_UNROLL_FULLY
        for (int r = 0; r < states; r++)
            F(store)(memory + (size_t)r * lanes, row[r]);
    }
}

MLOPT_INLINE void history_window(KIND_ARGUMENTS)
{
    const size_t lanes = (size_t)step->lanes;
    for (size_t i = 0; i < (size_t)step->used; i++) {
        const int64_t count = NODE_INDEX(sources + 2);
        const double *first = ring_column(w, NODE_INDEX(sources)) - (count - 1), *second = first, *source[2];
        if (rings == 2)
            second = ring_column(w, NODE_INDEX(sources + 3)) - (count - 1);
        V n[5];
        MLOPT_UNROLL_FULLY
        for (int s = 0; s < sources; s++)
            source[s] = column_of(w, NODE_INDEX(s));
        MLOPT_UNROLL_FULLY
        for (int k = 0; k < numbers; k++)
            n[k] = F(set1)(*NODE_ROW(sources + 3 * rings + k));
        EACH_BAR(t)
        {
            V x[2], sum[LANES][MOST_SUMS], out[2];
            MLOPT_UNROLL_FULLY
            for (int s = 0; s < sources; s++)
                x[s] = F(load)(source[s] + t);
            MLOPT_UNROLL_FULLY
            for (size_t place = 0; place < LANES; place++) {
                MLOPT_UNROLL_FULLY
                for (int s = 0; s < sums_of(kind); s++)
                    sum[place][s] = F(zero)();
            }
            int64_t j = 0;
            for (; j + (int64_t)LANES <= count; j += (int64_t)LANES) {
                MLOPT_UNROLL_FULLY
                for (size_t place = 0; place < LANES; place++)
                    add_term(kind, F(load)(first + (int64_t)(t + place) + j),
                             F(load)(second + (int64_t)(t + place) + j), x, sum[place]);
            }
            MLOPT_UNROLL_FULLY
            for (size_t place = 0; place < LANES; place++)
                if (j + (int64_t)place < count)
                    add_term(kind, F(load)(first + (int64_t)(t + place) + j),
                             F(load)(second + (int64_t)(t + place) + j), x, sum[place]);
            fold_sums(kind, sum);
            window_result(kind, sum[0], n, out);
            MLOPT_UNROLL_FULLY
            for (int o = 0; o < results; o++)
                F(store)(column_of(w, step->values + (int64_t)((size_t)o * lanes + i)) + t, out[o]);
        }
    }
}

/* The levels of one series after another, behind what the state has of them before the block. */
MLOPT_INLINE void history_extrema(KIND_ARGUMENTS)
{
    const size_t lanes = (size_t)step->lanes;
    const extrema_levels at = extrema_levels_of(step, parameters);
    const int64_t count = (int64_t)w->count, prefix = mlopt_features_prefix(w->plan, step);
    for (size_t i = 0; i < (size_t)step->used; i++) {
#define LEVEL(k) (w->workspace + w->levels + (k) * (prefix + MLOPT_FEATURES_COLUMN) + prefix)
#define IN_STATE(k, bar) w->state[at.base[k] + ((bar) & at.mask[k]) * step->lanes + (int64_t)i]
        const double *source = column_of(w, NODE_INDEX(0));
        const V sign = F(set1)(*NODE_ROW(4)), start = F(set1)(*NODE_ROW(5)), none = F(set1)(-INFINITY);
        for (int64_t k = 0; k < step->levels; k++)
            for (int64_t back = 1; back <= at.mask[k]; back++)
                LEVEL(k)[-back] = IN_STATE(k, w->clock - back);
        EACH_BAR(t)
        F(store)(LEVEL(0) + t,
                 F(select)(F(le)(start, bar_numbers(w, (int64_t)t)), F(mul)(sign, F(load)(source + t)), none));
        for (int64_t k = 0; k + 1 < step->levels; k++)
            EACH_BAR(t)
        F(store)(LEVEL(k + 1) + t, F(max)(F(load)(LEVEL(k) + t), F(load)(LEVEL(k) + t - ((int64_t)1 << k))));
        for (int64_t k = 0; k < step->levels; k++)
            for (int64_t t = count <= at.mask[k] ? 0 : count - at.mask[k] - 1; t < count; t++)
                IN_STATE(k, w->clock + t) = LEVEL(k)[t];
        for (int64_t v = 0; v < step->windows; v++) {
            const double *level = LEVEL(at.level[v]), *earlier = level - at.lag[v];
            double *values = column_of(w, step->values + (int64_t)((size_t)v * lanes + i));
            EACH_BAR(t)
            F(store)(values + t, F(mul)(sign, F(max)(F(load)(level + t), F(load)(earlier + t))));
        }
#undef IN_STATE
#undef LEVEL
    }
}

MLOPT_INLINE void history_age(KIND_ARGUMENTS)
{
    const size_t lanes = (size_t)step->lanes;
    for (size_t i = 0; i < (size_t)step->used; i++) {
        const double *ring = ring_column(w, NODE_INDEX(1)), *extreme = column_of(w, NODE_INDEX(0));
        double *values = column_of(w, step->values + (int64_t)i);
        EACH_BAR(t)
        {
            V age = F(set1)(-1);
            for (int64_t back = 0; back < NODE_INDEX(3); back++)
                if (!find_age(F(load)(ring + (int64_t)t - back), F(load)(extreme + t), back, &age))
                    break;
            F(store)(values + t, F(max)(age, F(zero)()));
        }
    }
}

MLOPT_INLINE void history_output(KIND_ARGUMENTS)
{
    const size_t lanes = (size_t)step->lanes, outputs = (size_t)w->plan->outputs;
    const V missing = F(set1)(NAN);
    for (size_t i = 0; i < outputs; i += LANES) {
        const size_t some = outputs - i < LANES ? outputs - i : LANES;
        const double *source[LANES], *ready = NODE_ROW(1);
        int all_ready = 1;
        for (size_t lane = 0; lane < LANES; lane++) {
            source[lane] = column_of(w, ((const int64_t *)NODE_ROW(0))[lane]);
            all_ready &= ready[lane] <= (double)w->now;
        }
        EACH_BAR(t)
        {
            const V bar = bar_numbers(w, (int64_t)t);
            V x[LANES];
            MLOPT_UNROLL_FULLY
            for (size_t lane = 0; lane < LANES; lane++)
                x[lane] = F(load)(source[lane] + t);
            if (!all_ready) {
                MLOPT_UNROLL_FULLY
                for (size_t lane = 0; lane < LANES; lane++)
                    x[lane] = F(select)(F(le)(F(set1)(ready[lane]), bar), x[lane], missing);
            }
            F(transpose)(x);
            double *out = w->out + t * outputs + i;
            if (some == LANES) {
                MLOPT_UNROLL_FULLY
                for (size_t j = 0; j < LANES; j++)
                    F(store)(out + j * outputs, x[j]);
            } else {
                for (size_t j = 0; j < LANES; j++)
                    F(store_first)(out + j * outputs, some, x[j]);
            }
        }
    }
}

#include "walk.h"

/* Gives every value and ring its place in the workspace. */
static void F(history_begin)(history *w)
{
    const mlopt_features_plan *plan = w->plan;
    const int64_t values = plan->words_with_values - plan->state_words;
    w->column_of = (int64_t *)w->workspace;
    w->ring_of = w->column_of + values;
    int64_t next = (values + plan->state_words / 8 + 7) / 8 * 8;
    for (int64_t v = 0; v < values; v++, next += MLOPT_FEATURES_COLUMN)
        w->column_of[v] = next;
    w->bar_columns = next;
    next += 5 * MLOPT_FEATURES_COLUMN;
    for (int64_t s = 0; s < plan->step_count; s++) {
        const mlopt_features_step *step = &plan->steps[s];
        const int64_t *row = (const int64_t *)plan + step->parameters;
        for (int64_t i = 0; i < step->used; i++)
            if (step->kind == MLOPT_FEATURES_push) {
                const int64_t base = row[step->lanes + i], mask = row[2 * step->lanes + i];
                next += (mask + 8) / 8 * 8;
                w->ring_of[base / 8] = next;
                next += MLOPT_FEATURES_COLUMN;
            } else if (step->kind == MLOPT_FEATURES_lag)
                w->column_of[step->values - plan->state_words + i] = w->ring_of[row[i] / 8] - row[2 * step->lanes + i];
    }
    w->levels = next;
}

void K(features_history)(const mlopt_features_plan *plan, void *state, size_t bars, const double *bar, double *out,
                         double *workspace)
{
    const size_t width = 5 + (size_t)plan->columns, outputs = (size_t)plan->outputs;
    mlopt_features_state *header = state;
    history w = {.plan = plan, .state = state, .workspace = workspace};
    if (bars >= LANES)
        F(history_begin)(&w);
    while (bars >= LANES) {
        w.bars = bar;
        w.out = out;
        w.now = header->bars;
        w.clock = header->clock;
        w.count = (bars < MLOPT_FEATURES_BLOCK ? bars : MLOPT_FEATURES_BLOCK) / LANES * LANES;
        F(history_walk)(&w, plan);
        bar += w.count * width;
        out += w.count * outputs;
        bars -= w.count;
        header->clock += (int64_t)w.count - 2;
        header->bars += (int64_t)w.count - 2; /* of a block, the last two leave something in the header */
        F(take_bar)(state, bar - 2 * width);
        F(take_bar)(state, bar - width);
    }
    for (; bars; bars--, bar += width, out += outputs)
        K(features_update)(plan, state, bar, out);
}

#undef WALKER
#undef NODE_ROW
#undef NODE_INDEX
#undef EACH_BAR
