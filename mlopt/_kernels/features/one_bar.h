/* One bar of one symbol: the lanes of a vector are nodes of one kind. */

typedef struct one_bar {
    const mlopt_features_plan *plan;
    double *state;
    const double *bar;
    double *out;
    int64_t now, clock; /* the bar's number, and its place in rings */
} one_bar;

#define WALKER one_bar
#define NODE_ROW(row) (parameters + (size_t)(row) * lanes + i)
#define RING_ROW(ring) (sources + 3 * (ring))
#define FIRST_NUMBER (sources + 3 * rings)

typedef union words {
    double number[LANES];
    int64_t index[LANES];
} words;

/* Source s of the nodes from the i-th on: the values whose indices are in a row of the plan. */
MLOPT_INLINE V source_of(const one_bar *w, const double *row, int source, int64_t flags)
{
    const int64_t *at = (const int64_t *)row;
    return same_source(flags, source) ? F(set1)(w->state[at[0]]) : F(gather)(w->state, at);
}

/* The values of the rings of `row` (base, mask, window), a window ago. */
MLOPT_INLINE V gather_leaving(const one_bar *w, const double *row, size_t lanes)
{
    const I base = F(as_int)(F(load)(row)), mask = F(as_int)(F(load)(row + lanes));
    const I back = F(as_int)(F(load)(row + 2 * lanes));
    words at;
    F(store)
    (at.number, F(from_int)(F(int_add)(base, F(int_and)(F(int_sub)(F(int_set1)(w->clock), back), mask))));
    return F(gather)(w->state, at.index);
}

/* The last `window` values of a node's ring, oldest first; contiguous. */
MLOPT_INLINE const double *window_of(const one_bar *w, const int64_t *row, size_t lanes, int64_t *window)
{
    const int64_t base = row[0], mask = row[lanes];
    *window = row[2 * lanes];
    return w->state + base + (w->clock & mask) + mask + 2 - *window;
}

MLOPT_INLINE void one_bar_series(KIND_ARGUMENTS)
{
    double *series = w->state + step->values;
    const mlopt_features_state *header = (const mlopt_features_state *)w->state;
    V bar[5], before[5], all[MLOPT_SERIES_COUNT];
    MLOPT_UNROLL_FULLY
    for (int f = 0; f < 5; f++) {
        bar[f] = F(set1)(w->bar[f]);
        before[f] = F(set1)(header->last[f]);
    }
    series_of(bar, before, F(eq)(F(set1)((double)w->now), F(zero)()), all);
    MLOPT_UNROLL_FULLY
    for (int s = 0; s < MLOPT_SERIES_COUNT; s++)
        series[s] = all[s][0];
    for (int64_t c = 0; c < w->plan->columns; c++)
        series[MLOPT_SERIES_COUNT + c] = mlopt_features_columns(w->plan, w->state)[c] = w->bar[5 + c];
}

MLOPT_INLINE void one_bar_push(KIND_ARGUMENTS)
{
    const int64_t lanes = step->lanes, *source = (const int64_t *)parameters, *base = source + lanes;
    const int64_t *mask = base + lanes;
    const double *start = parameters + 4 * lanes, now = (double)w->now;
    for (int64_t i = 0; i < step->used; i++) {
        double *slot = w->state + base[i] + (w->clock & mask[i]);
        slot[0] = slot[mask[i] + 1] = now >= start[i] ? w->state[source[i]] : 0;
    }
}

MLOPT_INLINE void one_bar_lag(KIND_ARGUMENTS)
{
    const size_t lanes = (size_t)step->lanes;
    for (size_t i = 0; i < (size_t)step->used; i += LANES)
        F(store)(w->state + step->values + i, gather_leaving(w, NODE_ROW(0), lanes));
}

MLOPT_INLINE void one_bar_elementwise(KIND_ARGUMENTS)
{
    const size_t lanes = (size_t)step->lanes;
    for (size_t i = 0; i < (size_t)step->used; i += LANES) {
        V x[4], n[5];
        const int64_t flags = flags_of(step, parameters, FIRST_NUMBER + numbers, i);
        MLOPT_UNROLL_FULLY
        for (int s = 0; s < sources; s++)
            x[s] = source_of(w, NODE_ROW(s), s, flags);
        MLOPT_UNROLL_FULLY
        for (int k = 0; k < numbers; k++)
            n[k] = F(load)(NODE_ROW(FIRST_NUMBER + k));
        F(store)(w->state + step->values + i, elementwise(kind, x, n));
    }
}

/* The nodes of a vector whose bits are set, anew; `ring` are their rings: rows of bases, masks and windows. */
static __attribute__((noinline)) void F(one_bar_anew)(int kind, const one_bar *w, const int64_t *ring, size_t lanes,
                                                      uint32_t anew, V *row, V *out)
{
    for (size_t lane = 0; anew; lane++, anew >>= 1)
        if (anew & 1) {
            const ring_view view = {w->state + ring[lane], ring[lanes + lane], 1, w->clock};
            F(compute_anew)(kind, view, ring[2 * lanes + lane], row, out, lane);
        }
}

MLOPT_INLINE void one_bar_recurrence(KIND_ARGUMENTS)
{
    const size_t lanes = (size_t)step->lanes;
    const V bar = F(set1)((double)w->now);
    for (size_t i = 0; i < (size_t)step->used; i += LANES) {
        double *memory = w->state + step->state + i, *values = w->state + step->values + i;
        V x[4], n[5], row[12], out[3];
        const int64_t flags = flags_of(step, parameters, FIRST_NUMBER + numbers, i);
        MLOPT_UNROLL_FULLY
        for (int s = 0; s < sources; s++)
            x[s] = source_of(w, NODE_ROW(s), s, flags);
        MLOPT_UNROLL_FULLY
        for (int k = 0; k < numbers; k++)
            n[k] = F(load)(NODE_ROW(FIRST_NUMBER + k));
        MLOPT_UNROLL_FULLY
        for (int r = 0; r < states; r++)
            row[r] = F(load)(memory + (size_t)r * lanes);
        const V leaving = rings ? gather_leaving(w, NODE_ROW(RING_ROW(0)), lanes) : F(zero)();
        uint32_t anew = recurrence(kind, row, x, leaving, n, bar, out);
        if (rings && anew) {
            V rows[12], outs[3];
            memcpy(rows, row, sizeof rows);
            memcpy(outs, out, sizeof outs);
            F(one_bar_anew)(kind, w, (const int64_t *)NODE_ROW(RING_ROW(0)), lanes, anew, rows, outs);
            memcpy(row, rows, sizeof rows);
            memcpy(out, outs, sizeof outs);
        }
        MLOPT_UNROLL_FULLY
        for (int r = 0; r < states; r++)
            F(store)(memory + (size_t)r * lanes, row[r]);
        MLOPT_UNROLL_FULLY
        for (int o = 0; o < results; o++)
            F(store)(values + (size_t)o * lanes, out[o]);
    }
}

MLOPT_INLINE void one_bar_window(KIND_ARGUMENTS)
{
    const size_t lanes = (size_t)step->lanes, used = (size_t)step->used;
    for (size_t i = 0; i < used; i += LANES) {
        double sums[MOST_SUMS][LANES] = {{0}};
        for (size_t lane = 0; lane < LANES && i + lane < used; lane++) {
            const int64_t *row = (const int64_t *)NODE_ROW(0) + lane;
            int64_t count;
            const double *first = window_of(w, row + (size_t)RING_ROW(0) * lanes, lanes, &count);
            const double *second = rings == 2 ? window_of(w, row + (size_t)RING_ROW(1) * lanes, lanes, &count) : first;
            const size_t n = (size_t)count;
            V x[2], sum[MOST_SUMS];
            MLOPT_UNROLL_FULLY
            for (int s = 0; s < sources; s++)
                x[s] = F(set1)(w->state[row[(size_t)s * lanes]]);
            MLOPT_UNROLL_FULLY
            for (int s = 0; s < sums_of(kind); s++)
                sum[s] = F(zero)();
            size_t j = 0;
            for (; j + LANES <= n; j += LANES)
                add_term(kind, F(load)(first + j), F(load)(second + j), x, sum);
            if (j < n)
                add_term(kind, F(load_first_or)(first + j, n - j, no_term(kind, x)),
                         F(load_first_or)(second + j, n - j, rings == 2 ? x[1] : x[0]), x, sum);
            MLOPT_UNROLL_FULLY
            for (int s = 0; s < sums_of(kind); s++)
                sums[s][lane] = F(reduce_add)(sum[s]);
        }
        V total[MOST_SUMS], n[5], out[2];
        MLOPT_UNROLL_FULLY
        for (int s = 0; s < sums_of(kind); s++)
            total[s] = F(load)(sums[s]);
        MLOPT_UNROLL_FULLY
        for (int k = 0; k < numbers; k++)
            n[k] = F(load)(NODE_ROW(FIRST_NUMBER + k));
        window_result(kind, total, n, out);
        MLOPT_UNROLL_FULLY
        for (int o = 0; o < results; o++)
            F(store)(w->state + step->values + (size_t)o * lanes + i, out[o]);
    }
}

/* Level k holds the largest of the last 2^k values, made of two of level k - 1; a window is the larger
 * of the two of its level that cover it.  Lanes are series, so that every level is one operation. */
MLOPT_INLINE void one_bar_extrema(KIND_ARGUMENTS)
{
    const size_t lanes = (size_t)step->lanes;
    const extrema_levels at = extrema_levels_of(step, parameters);
    for (size_t i = 0; i < (size_t)step->used; i += LANES) {
#define LEVEL(k, bar) (w->state + at.base[k] + (size_t)((bar) & at.mask[k]) * lanes + i)
        const V sign = F(load)(NODE_ROW(FIRST_NUMBER)), none = F(set1)(-INFINITY);
        const V x = F(mul)(sign, F(gather)(w->state, (const int64_t *)NODE_ROW(0)));
        V largest = F(select)(F(le)(F(load)(NODE_ROW(FIRST_NUMBER + 1)), F(set1)((double)w->now)), x, none);
        for (int64_t k = 0;; k++) {
            F(store)(LEVEL(k, w->clock), largest);
            if (k + 1 == step->levels)
                break;
            largest = F(max)(largest, F(load)(LEVEL(k, w->clock - ((int64_t)1 << k))));
        }
        for (int64_t v = 0; v < step->windows; v++) {
            const int64_t k = at.level[v];
            const V y = F(max)(F(load)(LEVEL(k, w->clock)), F(load)(LEVEL(k, w->clock - at.lag[v])));
            F(store)(w->state + step->values + (size_t)v * lanes + i, F(mul)(sign, y));
        }
#undef LEVEL
    }
}

MLOPT_INLINE void one_bar_age(KIND_ARGUMENTS)
{
    const size_t lanes = (size_t)step->lanes;
    for (size_t i = 0; i < (size_t)step->used; i++) {
        const int64_t *row = (const int64_t *)NODE_ROW(0);
        int64_t count;
        const double *window = window_of(w, row + lanes, lanes, &count);
        const V extreme = F(set1)(w->state[row[0]]), nothing = F(set1)(NAN);
        double age = 0;
        for (size_t j = (size_t)count; j > 0;) { /* places 0 to j - 1 are still to be looked at, the latest first */
            const size_t some = j < LANES ? j : LANES;
            const uint32_t found = F(bits)(F(eq)(F(load_first_or)(window + j - some, some, nothing), extreme));
            j -= some;
            if (found) {
                age = (double)(count - 1 - (int64_t)j - (31 - __builtin_clz(found)));
                break;
            }
        }
        w->state[step->values + (int64_t)i] = age;
    }
}

MLOPT_INLINE void one_bar_output(KIND_ARGUMENTS)
{
    const size_t lanes = (size_t)step->lanes, outputs = (size_t)w->plan->outputs;
    const V bar = F(set1)((double)w->now), missing = F(set1)(NAN);
    for (size_t i = 0; i < outputs; i += LANES) {
        const V x =
            F(select)(F(le)(F(load)(NODE_ROW(1)), bar), F(gather)(w->state, (const int64_t *)NODE_ROW(0)), missing);
        if (i + LANES <= outputs)
            F(store)(w->out + i, x);
        else
            F(store_first)(w->out + i, outputs - i, x);
    }
}

#include "walk.h"

static void F(take_bar)(double *state, const double *bar)
{
    mlopt_features_state *header = (mlopt_features_state *)state;
    memcpy(header->before, header->last, 5 * sizeof(double));
    memcpy(header->last, bar, 5 * sizeof(double));
    header->bars++;
    header->clock++;
}

void K(features_update)(const mlopt_features_plan *plan, void *state, const double *bar, double *out)
{
    const mlopt_features_state *header = state;
    const one_bar w = {plan, state, bar, out, header->bars, header->clock};
    F(one_bar_walk)(&w, plan);
    F(take_bar)(state, bar);
}

#undef WALKER
#undef NODE_ROW
