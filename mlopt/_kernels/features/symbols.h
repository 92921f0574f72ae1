/* One bar of many symbols: lanes are symbols, whose states are interleaved, so that every word is a row of them.
 *
 * The symbols of a group that all tick, and have seen equally many bars, find their windows at the same place of their
 * rings: whole rows are loaded and stored (`together`).  Otherwise each lane looks at its own place, and the lanes of
 * those that do not tick keep what they had.  The walk is compiled once for each. */

typedef struct symbols_lanes {
    const mlopt_features_plan *plan;
    double *group;  /* states of this group, from the first of these lanes on */
    double *values; /* likewise; minus the words of a state, as values are numbered behind it */
    const double *const *bars;
    size_t first, some; /* of the symbols: the one in lane 0, and how many there are */
    double *out;
    const uint8_t *ticking;
    int64_t now;         /* together */
    int64_t nows[LANES]; /* apart */
    V bar;
    M ticks;
} symbols_lanes;

#define WALKER symbols_lanes
#define ROW MLOPT_FEATURES_LANES /* words from one row to the next */
#define NODE_ROW(row) (parameters + (size_t)(row) * lanes + i)
#define NODE_INDEX(row) (((const int64_t *)parameters)[(size_t)(row) * lanes + i])

MLOPT_INLINE double *value_row(const symbols_lanes *w, int64_t value)
{
    return w->values + (value - w->plan->state_words) * ROW;
}

MLOPT_INLINE double *state_row(const symbols_lanes *w, int64_t word) { return w->group + word * ROW; }

/* x where the lane's symbol ticks */
MLOPT_INLINE void keep(const symbols_lanes *w, const int together, double *row, V x)
{
    F(store)(row, together ? x : F(select)(w->ticks, x, F(load)(row)));
}

/* The rows of a ring `back` bars ago; `stride` words of a state lie between its places. */
MLOPT_INLINE V ring_row(const symbols_lanes *w, const int together, int64_t base, int64_t mask, int64_t stride,
                        int64_t back)
{
    if (together)
        return F(load)(state_row(w, base + ((w->now - back) & mask) * stride));
    int64_t at[LANES];
    MLOPT_UNROLL_FULLY
    for (size_t lane = 0; lane < LANES; lane++)
        at[lane] = (base + ((w->nows[lane] - back) & mask) * stride) * ROW + (int64_t)lane;
    return F(gather)(w->group, at);
}

MLOPT_INLINE void store_ring_row(const symbols_lanes *w, const int together, int64_t base, int64_t mask, int64_t stride,
                                 V x)
{
    if (together) {
        F(store)(state_row(w, base + (w->now & mask) * stride), x);
        return;
    }
    double each[LANES];
    F(store)(each, x);
    for (size_t lane = 0; lane < LANES; lane++)
        if (F(bits)(w->ticks) >> lane & 1)
            state_row(w, base + (w->nows[lane] & mask) * stride)[lane] = each[lane];
}

MLOPT_INLINE void lanes_series(const int together, KIND_ARGUMENTS)
{
    V bar[5], before[5], all[MLOPT_SERIES_COUNT];
    MLOPT_UNROLL_FULLY
    for (int f = 0; f < 5; f++) {
        bar[f] = F(load_first_or)(w->bars[f] + w->first, w->some, F(set1)(f < 4));
        before[f] = F(load)(state_row(w, MLOPT_FEATURES_LAST + f));
    }
    series_of(bar, before, F(eq)(w->bar, F(zero)()), all);
    MLOPT_UNROLL_FULLY
    for (int s = 0; s < MLOPT_SERIES_COUNT; s++)
        F(store)(value_row(w, step->values + s), all[s]);
    for (int64_t c = MLOPT_SERIES_COUNT; c < MLOPT_SERIES_COUNT + w->plan->columns; c++) {
        const V column = F(load_first)(w->bars[5 + c - MLOPT_SERIES_COUNT] + w->first, w->some);
        F(store)(value_row(w, step->values + c), column);
        keep(w, together, state_row(w, step->state + c), column);
    }
    MLOPT_UNROLL_FULLY
    for (int f = 0; f < 5; f++) {
        keep(w, together, state_row(w, MLOPT_FEATURES_BEFORE + f), before[f]);
        keep(w, together, state_row(w, MLOPT_FEATURES_LAST + f), bar[f]);
    }
}

MLOPT_INLINE void lanes_push(const int together, KIND_ARGUMENTS)
{
    const size_t lanes = (size_t)step->lanes;
    for (size_t i = 0; i < (size_t)step->used; i++) {
        const M started = F(le)(F(set1)(*NODE_ROW(4)), w->bar);
        const V x = F(select)(started, F(load)(value_row(w, NODE_INDEX(0))), F(zero)());
        store_ring_row(w, together, NODE_INDEX(1), NODE_INDEX(2), 1, x);
    }
}

MLOPT_INLINE void lanes_lag(const int together, KIND_ARGUMENTS)
{
    const size_t lanes = (size_t)step->lanes;
    for (size_t i = 0; i < (size_t)step->used; i++)
        F(store)
        (value_row(w, step->values + (int64_t)i),
         ring_row(w, together, NODE_INDEX(0), NODE_INDEX(1), 1, NODE_INDEX(2)));
}

MLOPT_INLINE void lanes_elementwise(const int together, KIND_ARGUMENTS)
{
    (void)together;
    const size_t lanes = (size_t)step->lanes;
    for (size_t i = 0; i < (size_t)step->used; i++) {
        V x[4], n[5];
        MLOPT_UNROLL_FULLY
        for (int s = 0; s < sources; s++)
            x[s] = F(load)(value_row(w, NODE_INDEX(s)));
        MLOPT_UNROLL_FULLY
        for (int k = 0; k < numbers; k++)
            n[k] = F(set1)(*NODE_ROW(sources + k));
        F(store)(value_row(w, step->values + (int64_t)i), elementwise(kind, x, n));
    }
}

MLOPT_INLINE void lanes_recurrence(const int together, KIND_ARGUMENTS)
{
    const size_t lanes = (size_t)step->lanes;
    for (size_t i = 0; i < (size_t)step->used; i++) {
        V x[2], n[4], row[12], out[2], leaving = F(zero)();
        MLOPT_UNROLL_FULLY
        for (int s = 0; s < sources; s++)
            x[s] = F(load)(value_row(w, NODE_INDEX(s)));
        MLOPT_UNROLL_FULLY
        for (int k = 0; k < numbers; k++)
            n[k] = F(set1)(*NODE_ROW(sources + 3 * rings + k));
        MLOPT_UNROLL_FULLY
        for (int r = 0; r < states; r++)
            row[r] = F(load)(state_row(w, step->state + (int64_t)(lanes * (size_t)r + i)));
        if (rings)
            leaving = ring_row(w, together, NODE_INDEX(sources), NODE_INDEX(sources + 1), 1, NODE_INDEX(sources + 2));
        uint32_t anew = recurrence(kind, row, x, leaving, n, w->bar, out);
        if (kind == MLOPT_FEATURES_moments && anew) {
            V rows[12], outs[2];
            memcpy(rows, row, sizeof rows);
            memcpy(outs, out, sizeof outs);
            for (size_t lane = 0; anew; lane++, anew >>= 1)
                if (anew & 1) {
                    const ring_view view = {state_row(w, NODE_INDEX(sources)) + lane, NODE_INDEX(sources + 1), ROW,
                                            together ? w->now : w->nows[lane]};
                    rebuild_moments(view, NODE_INDEX(sources + 2), rows, outs, lane);
                }
            memcpy(row, rows, sizeof rows);
            memcpy(out, outs, sizeof outs);
        }
        MLOPT_UNROLL_FULLY
        for (int r = 0; r < states; r++)
            keep(w, together, state_row(w, step->state + (int64_t)(lanes * (size_t)r + i)), row[r]);
        MLOPT_UNROLL_FULLY
        for (int o = 0; o < results; o++)
            F(store)(value_row(w, step->values + (int64_t)(lanes * (size_t)o + i)), out[o]);
    }
}

MLOPT_INLINE void lanes_window(const int together, KIND_ARGUMENTS)
{
    const size_t lanes = (size_t)step->lanes;
    for (size_t i = 0; i < (size_t)step->used; i++) {
        const int64_t count = NODE_INDEX(sources + 2), last_ring = sources + 3 * (rings - 1);
        V x[2], n[4], sum[LANES][MOST_SUMS], out[2];
        MLOPT_UNROLL_FULLY
        for (int s = 0; s < sources; s++)
            x[s] = F(load)(value_row(w, NODE_INDEX(s)));
        MLOPT_UNROLL_FULLY
        for (int k = 0; k < numbers; k++)
            n[k] = F(set1)(*NODE_ROW(sources + 3 * rings + k));
        MLOPT_UNROLL_FULLY
        for (size_t place = 0; place < LANES; place++) {
            MLOPT_UNROLL_FULLY
            for (int s = 0; s < sums_of(kind); s++)
                sum[place][s] = F(zero)();
        }
#define TERM(back)                                                                                                     \
    add_term(kind, ring_row(w, together, NODE_INDEX(sources), NODE_INDEX(sources + 1), 1, back),                       \
             ring_row(w, together, NODE_INDEX(last_ring), NODE_INDEX(last_ring + 1), 1, back), x, sum[place])
        int64_t back = count - 1; /* of the oldest that is left */
        for (; back >= (int64_t)LANES - 1; back -= (int64_t)LANES) {
            MLOPT_UNROLL_FULLY
            for (size_t place = 0; place < LANES; place++)
                TERM(back - (int64_t)place);
        }
        MLOPT_UNROLL_FULLY
        for (size_t place = 0; place < LANES; place++)
            if (back >= (int64_t)place)
                TERM(back - (int64_t)place);
#undef TERM
        fold_sums(kind, sum);
        window_result(kind, sum[0], n, out);
        MLOPT_UNROLL_FULLY
        for (int o = 0; o < results; o++)
            F(store)(value_row(w, step->values + (int64_t)(lanes * (size_t)o + i)), out[o]);
    }
}

MLOPT_INLINE void lanes_extrema(const int together, KIND_ARGUMENTS)
{
    const size_t lanes = (size_t)step->lanes;
    const extrema_levels at = extrema_levels_of(step, parameters);
    for (size_t i = 0; i < (size_t)step->used; i++) {
#define LEVEL(k, back) ring_row(w, together, at.base[k] + (int64_t)i, at.mask[k], step->lanes, back)
        const V sign = F(set1)(*NODE_ROW(4)), none = F(set1)(-INFINITY);
        const V x = F(mul)(sign, F(load)(value_row(w, NODE_INDEX(0))));
        V largest = F(select)(F(le)(F(set1)(*NODE_ROW(5)), w->bar), x, none);
        V level[16]; /* of a window of 10 000, 14 */
        for (int64_t k = 0;; k++) {
            store_ring_row(w, together, at.base[k] + (int64_t)i, at.mask[k], step->lanes, largest);
            level[k] = largest;
            if (k + 1 == step->levels)
                break;
            largest = F(max)(largest, LEVEL(k, (int64_t)1 << k));
        }
        for (int64_t v = 0; v < step->windows; v++) {
            const V y = F(max)(level[at.level[v]], LEVEL(at.level[v], at.lag[v]));
            F(store)(value_row(w, step->values + (int64_t)(lanes * (size_t)v + i)), F(mul)(sign, y));
        }
#undef LEVEL
    }
}

MLOPT_INLINE void lanes_age(const int together, KIND_ARGUMENTS)
{
    const size_t lanes = (size_t)step->lanes;
    for (size_t i = 0; i < (size_t)step->used; i++) {
        const V extreme = F(load)(value_row(w, NODE_INDEX(0)));
        V age = F(set1)(-1);
        for (int64_t back = 0; back < NODE_INDEX(3); back++)
            if (!find_age(ring_row(w, together, NODE_INDEX(1), NODE_INDEX(2), 1, back), extreme, back, &age))
                break;
        F(store)(value_row(w, step->values + (int64_t)i), F(max)(age, F(zero)()));
    }
}

MLOPT_INLINE void lanes_output(const int together, KIND_ARGUMENTS)
{
    const size_t lanes = (size_t)step->lanes, outputs = (size_t)w->plan->outputs;
    const V missing = F(set1)(NAN);
    for (size_t i = 0; i < outputs; i += LANES) {
        const size_t some = outputs - i < LANES ? outputs - i : LANES;
        V x[LANES];
        MLOPT_UNROLL_FULLY
        for (size_t f = 0; f < LANES; f++)
            x[f] = F(select)(F(le)(F(set1)(NODE_ROW(1)[f]), w->bar), F(load)(value_row(w, (&NODE_INDEX(0))[f])),
                             missing);
        F(transpose)(x);
        double *out = w->out + w->first * outputs + i;
        for (size_t lane = 0; lane < w->some; lane++, out += outputs)
            if (together || F(bits)(w->ticks) >> lane & 1) {
                if (some == LANES)
                    F(store)(out, x[lane]);
                else
                    F(store_first)(out, some, x[lane]);
            }
    }
}

#define LANES_CLASSES(walker, together)                                                                    \
    LANES_CLASS(walker, together, series)                                                                   \
    LANES_CLASS(walker, together, push)                                                                     \
    LANES_CLASS(walker, together, lag)                                                                      \
    LANES_CLASS(walker, together, elementwise)                                                              \
    LANES_CLASS(walker, together, recurrence)                                                               \
    LANES_CLASS(walker, together, window)                                                                   \
    LANES_CLASS(walker, together, extrema)                                                                  \
    LANES_CLASS(walker, together, age)                                                                      \
    LANES_CLASS(walker, together, output)
#define LANES_CLASS(walker, together, class)                                                                \
    MLOPT_INLINE void walker##_##class(KIND_ARGUMENTS)                                                      \
    {                                                                                                                  \
        lanes_##class(together, kind, sources, rings, numbers, states, results, w, step, parameters);                  \
    }

#undef WALKER
typedef symbols_lanes symbols_together;
#define WALKER symbols_together
LANES_CLASSES(symbols_together, 1)
#include "walk.h"

#undef WALKER
typedef symbols_lanes symbols_apart;
#define WALKER symbols_apart
LANES_CLASSES(symbols_apart, 0)
#include "walk.h"
#undef WALKER

void K(features_symbols)(const mlopt_features_plan *plan, void *states, size_t symbols, const double *const *bars,
                         const uint8_t *ticking, double *out, double *workspace)
{
    for (size_t first = 0; first < symbols; first += LANES) {
        double *group = (double *)states + first / ROW * ROW * (size_t)plan->state_words;
        int64_t *nows = (int64_t *)group + first % ROW;
        symbols_lanes w = {
            .plan = plan,
            .group = group + first % ROW,
            .values = workspace,
            .bars = bars,
            .first = first,
            .some = symbols - first < LANES ? symbols - first : LANES,
            .out = out,
            .now = nows[0],
        };
        uint32_t ticks = 0;
        int same = 1;
        for (size_t lane = 0; lane < LANES; lane++) {
            const int there = lane < w.some;
            ticks |= (uint32_t)(there && (!ticking || ticking[first + lane])) << lane;
            same &= !there || nows[lane] == w.now;
            w.nows[lane] = nows[lane];
        }
        if (!ticks)
            continue;
        const int together = same && ticks == (1u << w.some) - 1;
        double number[LANES], tick[LANES];
        for (size_t lane = 0; lane < LANES; lane++) {
            number[lane] = (double)(together ? w.now : nows[lane]);
            tick[lane] = ticks >> lane & 1;
        }
        w.bar = F(load)(number);
        w.ticks = F(lt)(F(zero)(), F(load)(tick));
        if (together)
            symbols_together_walk(&w, plan);
        else
            symbols_apart_walk(&w, plan);
        for (size_t lane = 0; lane < LANES; lane++) /* lanes beyond the last symbol keep up */
            nows[lane] = together ? w.now + 1 : nows[lane] + (int64_t)(ticks >> lane & 1);
    }
}

#undef ROW
#undef NODE_ROW
#undef NODE_INDEX
