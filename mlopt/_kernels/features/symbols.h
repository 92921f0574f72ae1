/* One bar of many symbols: lanes are symbols, whose states are interleaved, so that every word is a row of them (in the
 * order of mlopt_features_move).
 *
 * The symbols of a group that all tick, and have seen equally many bars, find their windows at the same place of their
 * rings: whole rows are loaded and stored (`together`).  Otherwise each lane looks at its own place, and the lanes of
 * those that do not tick keep what they had.  The walk is compiled once for each. */

/* Vectors of symbols that are walked at once, where they have seen equally many bars: what a node's parameters say is
 * read once for all of them. */
#define UNITS 2

typedef struct symbols_lanes {
    int64_t outputs, columns;
    int64_t state_words;  /* where values are numbered from */
    size_t units;         /* so many, of LANES symbols each */
    double *state[UNITS]; /* from the first of each unit's symbols on */
    double *values;       /* rows of UNITS vectors */
    const double *const *bars;
    size_t first, some; /* the symbol in the first lane, and how many there are in all lanes */
    double *out;
    int64_t ahead;       /* words from a unit's states to those of the unit that is walked next in its place */
    int64_t now;         /* together */
    int64_t nows[LANES]; /* apart, and then there is one unit */
    V bar;
    M ticks;
} symbols_lanes;

#define WALKER symbols_lanes
#define ROW MLOPT_FEATURES_LANES /* words from one row of a group's states to the next */
/* The i-th node's parameters. */
#define EACH_NODE(i)                                                                                                   \
    const double *node = mlopt_features_nodes(step, parameters, NODE_ROWS);                                            \
    for (size_t i = 0; i < (size_t)step->used; i++, node += NODE_ROWS)
#define NODE_ROWS (sources + 3 * rings + numbers)
#define INDEX(row) (((const int64_t *)node)[row])
#define NUMBER(row) node[row]
#define EACH_UNIT(u) for (size_t u = 0; u < (together ? w->units : 1); u++)

MLOPT_INLINE double *value_row(const symbols_lanes *w, size_t unit, int64_t value)
{
    return w->values + ((size_t)(value - w->state_words) * UNITS + unit) * LANES;
}

MLOPT_INLINE double *state_row(const symbols_lanes *w, size_t unit, int64_t word)
{
    return w->state[unit] + word * ROW;
}

/* The numbers of a unit's symbols in a field of the bar, `fill` in lanes without a symbol. */
MLOPT_INLINE V field_of(const symbols_lanes *w, size_t unit, int64_t field, double fill)
{
    const size_t before = unit * LANES, some = w->some - before;
    return F(load_first_or)(w->bars[field] + w->first + before, some < LANES ? some : LANES, F(set1)(fill));
}

/* x where the lane's symbol ticks */
MLOPT_INLINE void keep(const symbols_lanes *w, const int together, double *row, V x)
{
    F(store)(row, together ? x : F(select)(w->ticks, x, F(load)(row)));
}

/* The rows of a ring `back` bars ago; `stride` words of a state lie between its places. */
MLOPT_INLINE V ring_row(const symbols_lanes *w, size_t unit, const int together, int64_t base, int64_t mask,
                        int64_t stride, int64_t back)
{
    if (together) {
        const double *row = state_row(w, unit, base + ((w->now - back) & mask) * stride);
        __builtin_prefetch(row + w->ahead, 0, 2);
        return F(load)(row);
    }
    int64_t at[LANES];
    MLOPT_UNROLL_FULLY
    for (size_t lane = 0; lane < LANES; lane++)
        at[lane] = (base + ((w->nows[lane] - back) & mask) * stride) * ROW + (int64_t)lane;
    return F(gather)(w->state[0], at);
}

MLOPT_INLINE void store_ring_row(const symbols_lanes *w, size_t unit, const int together, int64_t base, int64_t mask,
                                 int64_t stride, V x)
{
    if (together) {
        double *row = state_row(w, unit, base + (w->now & mask) * stride);
        __builtin_prefetch(row + w->ahead, 0, 2);
        F(store)(row, x);
        return;
    }
    double each[LANES];
    F(store)(each, x);
    for (size_t lane = 0; lane < LANES; lane++)
        if (F(bits)(w->ticks) >> lane & 1)
            state_row(w, 0, base + (w->nows[lane] & mask) * stride)[lane] = each[lane];
}

MLOPT_INLINE void lanes_series(const int together, KIND_ARGUMENTS)
{
    EACH_UNIT(u)
    {
        V bar[5], before[5], all[MLOPT_SERIES_COUNT];
        MLOPT_UNROLL_FULLY
        for (int f = 0; f < 5; f++) {
            bar[f] = field_of(w, u, f, f < 4);
            before[f] = F(load)(state_row(w, u, MLOPT_FEATURES_LAST + f));
        }
        series_of(bar, before, F(eq)(w->bar, F(zero)()), all);
        MLOPT_UNROLL_FULLY
        for (int s = 0; s < MLOPT_SERIES_COUNT; s++)
            F(store)(value_row(w, u, step->values + s), all[s]);
        for (int64_t c = MLOPT_SERIES_COUNT; c < MLOPT_SERIES_COUNT + w->columns; c++) {
            const V column = field_of(w, u, 5 + c - MLOPT_SERIES_COUNT, 0);
            F(store)(value_row(w, u, step->values + c), column);
            keep(w, together, state_row(w, u, step->state + c), column);
        }
        MLOPT_UNROLL_FULLY
        for (int f = 0; f < 5; f++) {
            keep(w, together, state_row(w, u, MLOPT_FEATURES_BEFORE + f), before[f]);
            keep(w, together, state_row(w, u, MLOPT_FEATURES_LAST + f), bar[f]);
        }
    }
}

MLOPT_INLINE void lanes_push(const int together, KIND_ARGUMENTS)
{
    EACH_NODE(i)
    {
        const M started = F(le)(F(set1)(NUMBER(4)), w->bar);
        EACH_UNIT(u)
        {
            const V x = F(select)(started, F(load)(value_row(w, u, INDEX(0))), F(zero)());
            store_ring_row(w, u, together, INDEX(1), INDEX(2), 1, x);
        }
    }
}

MLOPT_INLINE void lanes_lag(const int together, KIND_ARGUMENTS)
{
    EACH_NODE(i)
    EACH_UNIT(u)
    F(store)
    (value_row(w, u, step->values + (int64_t)i), ring_row(w, u, together, INDEX(0), INDEX(1), 1, INDEX(2)));
}

MLOPT_INLINE void lanes_elementwise(const int together, KIND_ARGUMENTS)
{
    EACH_NODE(i)
    {
        V n[5];
        MLOPT_UNROLL_FULLY
        for (int k = 0; k < numbers; k++)
            n[k] = F(set1)(NUMBER(sources + k));
        EACH_UNIT(u)
        {
            V x[4];
            MLOPT_UNROLL_FULLY
            for (int s = 0; s < sources; s++)
                x[s] = F(load)(value_row(w, u, INDEX(s)));
            F(store)(value_row(w, u, step->values + (int64_t)i), elementwise(kind, x, n));
        }
    }
}

/* The lanes of a unit whose bits are set, anew; `ring` is the node's ring: base, mask, window. */
static __attribute__((noinline)) void F(lanes_anew)(int kind, const symbols_lanes *w, size_t unit, int together,
                                                    const int64_t *ring, uint32_t anew, V *row, V *out)
{
    for (size_t lane = 0; anew; lane++, anew >>= 1)
        if (anew & 1) {
            const ring_view view = {state_row(w, unit, ring[0]) + lane, ring[1], ROW,
                                    together ? w->now : w->nows[lane]};
            F(compute_anew)(kind, view, ring[2], row, out, lane);
        }
}

MLOPT_INLINE void lanes_recurrence(const int together, KIND_ARGUMENTS)
{
    const size_t lanes = (size_t)step->lanes;
    EACH_NODE(i)
    {
        V n[5];
        MLOPT_UNROLL_FULLY
        for (int k = 0; k < numbers; k++)
            n[k] = F(set1)(NUMBER(sources + 3 * rings + k));
        const int64_t flags = flags_of(step, parameters, sources + 3 * rings + numbers, i);
        EACH_UNIT(u)
        {
            double *memory = state_row(w, u, step->state + (int64_t)i * states); /* node after node */
            V x[3], row[12], out[3], leaving = F(zero)();
            MLOPT_UNROLL_FULLY
            for (int s = 0; s < sources; s++)
                x[s] = F(load)(value_row(w, u, INDEX(s)));
            MLOPT_UNROLL_FULLY
            for (int r = 0; r < states; r++) {
                if (together)
                    __builtin_prefetch(memory + r * ROW + w->ahead, 0, 2);
                row[r] = F(load)(memory + r * ROW);
            }
            if (rings)
                leaving = ring_row(w, u, together, INDEX(sources), INDEX(sources + 1), 1, INDEX(sources + 2));
            uint32_t anew = recurrence(kind, row, x, leaving, n, w->bar, out);
            if (rings && anew) {
                V rows[12], outs[3];
                memcpy(rows, row, sizeof rows);
                memcpy(outs, out, sizeof outs);
                F(lanes_anew)(kind, w, u, together, &INDEX(sources), anew, rows, outs);
                memcpy(row, rows, sizeof rows);
                memcpy(out, outs, sizeof outs);
            }
            MLOPT_UNROLL_FULLY
            for (int r = 0; r < states; r++)
                keep(w, together, memory + r * ROW, row[r]);
            MLOPT_UNROLL_FULLY
            for (int o = 0; o < results; o++)
                if (result_is_read(flags, o))
                    F(store)(value_row(w, u, step->values + (int64_t)(lanes * (size_t)o + i)), out[o]);
        }
    }
}

MLOPT_INLINE void lanes_window(const int together, KIND_ARGUMENTS)
{
    const size_t lanes = (size_t)step->lanes;
    EACH_NODE(i)
    {
        const int64_t count = INDEX(sources + 2), second = sources + 3 * (rings - 1);
        V n[5];
        MLOPT_UNROLL_FULLY
        for (int k = 0; k < numbers; k++)
            n[k] = F(set1)(NUMBER(sources + 3 * rings + k));
        EACH_UNIT(u)
        {
            V x[2], sum[LANES][MOST_SUMS], out[2];
            MLOPT_UNROLL_FULLY
            for (int s = 0; s < sources; s++)
                x[s] = F(load)(value_row(w, u, INDEX(s)));
            MLOPT_UNROLL_FULLY
            for (size_t place = 0; place < LANES; place++) {
                MLOPT_UNROLL_FULLY
                for (int s = 0; s < sums_of(kind); s++)
                    sum[place][s] = F(zero)();
            }
#define TERM(back)                                                                                                     \
    add_term(kind, ring_row(w, u, together, INDEX(sources), INDEX(sources + 1), 1, back),                              \
             ring_row(w, u, together, INDEX(second), INDEX(second + 1), 1, back), x, sum[place])
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
                F(store)(value_row(w, u, step->values + (int64_t)(lanes * (size_t)o + i)), out[o]);
        }
    }
}

MLOPT_INLINE void lanes_extrema(const int together, KIND_ARGUMENTS)
{
    const size_t lanes = (size_t)step->lanes;
    const extrema_levels at = extrema_levels_of(step, parameters);
    EACH_NODE(i)
    EACH_UNIT(u)
    {
#define LEVEL(k, back) ring_row(w, u, together, at.base[k] + (int64_t)i, at.mask[k], step->lanes, back)
        const V sign = F(set1)(NUMBER(4)), none = F(set1)(-INFINITY);
        const V x = F(mul)(sign, F(load)(value_row(w, u, INDEX(0))));
        V largest = F(select)(F(le)(F(set1)(NUMBER(5)), w->bar), x, none);
        V level[16]; /* of a window of 10 000, 14 */
        for (int64_t k = 0;; k++) {
            store_ring_row(w, u, together, at.base[k] + (int64_t)i, at.mask[k], step->lanes, largest);
            level[k] = largest;
            if (k + 1 == step->levels)
                break;
            largest = F(max)(largest, LEVEL(k, (int64_t)1 << k));
        }
        for (int64_t v = 0; v < step->windows; v++) {
            const V y = F(max)(level[at.level[v]], LEVEL(at.level[v], at.lag[v]));
            F(store)(value_row(w, u, step->values + (int64_t)(lanes * (size_t)v + i)), F(mul)(sign, y));
        }
#undef LEVEL
    }
}

MLOPT_INLINE void lanes_age(const int together, KIND_ARGUMENTS)
{
    EACH_NODE(i)
    EACH_UNIT(u)
    {
        const V extreme = F(load)(value_row(w, u, INDEX(0)));
        V age = F(set1)(-1);
        for (int64_t back = 0; back < INDEX(3); back++)
            if (!find_age(ring_row(w, u, together, INDEX(1), INDEX(2), 1, back), extreme, back, &age))
                break;
        F(store)(value_row(w, u, step->values + (int64_t)i), F(max)(age, F(zero)()));
    }
}

MLOPT_INLINE void lanes_output(const int together, KIND_ARGUMENTS)
{
    const size_t lanes = (size_t)step->lanes, outputs = (size_t)w->outputs;
    const V missing = F(set1)(NAN);
    for (size_t i = 0; i < outputs; i += LANES) {
        const size_t width = outputs - i < LANES ? outputs - i : LANES;
        const int64_t *source = (const int64_t *)parameters + i;
        const double *ready = parameters + lanes + i;
        EACH_UNIT(u)
        {
            V x[LANES];
            MLOPT_UNROLL_FULLY
            for (size_t f = 0; f < LANES; f++)
                x[f] = F(select)(F(le)(F(set1)(ready[f]), w->bar), F(load)(value_row(w, u, source[f])), missing);
            F(transpose)(x);
            const size_t before = u * LANES, left = w->some - before;
            double *out = w->out + (w->first + before) * outputs + i;
            for (size_t lane = 0; lane < (left < LANES ? left : LANES); lane++, out += outputs)
                if (together || F(bits)(w->ticks) >> lane & 1) {
                    if (width == LANES)
                        F(store)(out, x[lane]);
                    else
                        F(store_first)(out, width, x[lane]);
                }
        }
    }
}

#define LANES_CLASSES(walker, together)                                                                                \
    LANES_CLASS(walker, together, series)                                                                              \
    LANES_CLASS(walker, together, push)                                                                                \
    LANES_CLASS(walker, together, lag)                                                                                 \
    LANES_CLASS(walker, together, elementwise)                                                                         \
    LANES_CLASS(walker, together, recurrence)                                                                          \
    LANES_CLASS(walker, together, window)                                                                              \
    LANES_CLASS(walker, together, extrema)                                                                             \
    LANES_CLASS(walker, together, age)                                                                                 \
    LANES_CLASS(walker, together, output)
#define LANES_CLASS(walker, together, class)                                                                           \
    MLOPT_INLINE void walker##_##class(KIND_ARGUMENTS)                                                                 \
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

/* Where the count of bars of the LANES symbols from `first` on stands. */
MLOPT_INLINE int64_t *bars_seen(const mlopt_features_plan *plan, void *states, size_t first)
{
    return (int64_t *)states + first / ROW * ROW * (size_t)plan->state_words + first % ROW;
}

/* Which of the LANES symbols from `first` on tick; whether all that are there do, and have seen as many bars as the
 * first of them. */
static uint32_t F(ticks_of)(const int64_t *nows, const uint8_t *ticking, size_t first, size_t some, int *together)
{
    uint32_t ticks = 0;
    *together = 1;
    for (size_t lane = 0; lane < LANES && lane < some; lane++) {
        const int tick = !ticking || ticking[first + lane];
        ticks |= (uint32_t)tick << lane;
        *together &= tick & (nows[lane] == nows[0]);
    }
    return ticks;
}

void K(features_symbols)(const mlopt_features_plan *plan, void *states, size_t symbols, const double *const *bars,
                         const uint8_t *ticking, double *out, double *workspace)
{
    symbols_lanes w = {
        .outputs = plan->outputs,
        .columns = plan->columns,
        .state_words = plan->state_words,
        .values = workspace,
        .bars = bars,
        .out = out,
    };
    for (size_t first = 0; first < symbols; first += w.units * LANES) {
        int64_t *nows = bars_seen(plan, states, first);
        int together;
        const uint32_t ticks = F(ticks_of)(nows, ticking, first, symbols - first, &together);
        w.units = 1;
        w.state[0] = (double *)nows;
        w.first = first;
        w.now = nows[0];
        while (together && w.units < UNITS && first + w.units * LANES < symbols) {
            const size_t next = first + w.units * LANES;
            int64_t *others = bars_seen(plan, states, next);
            int too;
            F(ticks_of)(others, ticking, next, symbols - next, &too);
            if (!too || others[0] != w.now)
                break;
            w.state[w.units++] = (double *)others;
        }
        const size_t ahead = (w.units * LANES + ROW - 1) / ROW * ROW; /* symbols */
        w.ahead = first + ahead < symbols ? (int64_t)ahead * plan->state_words : 0;
        w.some = symbols - first < w.units * LANES ? symbols - first : w.units * LANES;
        if (together) {
            w.bar = F(set1)((double)w.now);
            F(symbols_together_walk)(&w, plan);
            for (size_t u = 0; u < w.units; u++) /* lanes beyond the last symbol keep up */
                for (size_t lane = 0; lane < LANES; lane++)
                    ((int64_t *)w.state[u])[lane] = w.now + 1;
        } else if (ticks) {
            double number[LANES], tick[LANES];
            for (size_t lane = 0; lane < LANES; lane++) {
                w.nows[lane] = nows[lane];
                number[lane] = (double)nows[lane];
                tick[lane] = ticks >> lane & 1;
            }
            w.bar = F(load)(number);
            w.ticks = F(lt)(F(zero)(), F(load)(tick));
            F(symbols_apart_walk)(&w, plan);
            for (size_t lane = 0; lane < LANES; lane++)
                nows[lane] += ticks >> lane & 1;
        }
    }
}

#undef UNITS
#undef ROW
#undef NODE_ROWS
#undef EACH_NODE
#undef INDEX
#undef NUMBER
#undef EACH_UNIT
