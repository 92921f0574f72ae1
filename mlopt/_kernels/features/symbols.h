/* One bar of many symbols: lanes are symbols, whose states are interleaved in groups, so that every word is a row of
 * them. All symbols of such a group tick, by one clock: their windows lie at the same place of their rings. */

/* Vectors of symbols that are walked at once: what a node's parameters say is read once for all of them. */
#define UNITS 4

typedef struct symbols {
    int64_t outputs, columns;
    int64_t state_words;  /* where values are numbered from */
    size_t units;         /* so many, of LANES symbols each */
    double *state[UNITS]; /* from the first of each unit's symbols on */
    double *values;       /* rows of UNITS vectors */
    const double *const *bars;
    size_t first, some; /* the symbol in the first lane, and how many there are in all lanes */
    double *out;
    int from_memory; /* the states are more than caches hold: rows that follow one another are asked for as well */
    int64_t ahead;   /* words from a unit's states to those of the unit that is walked next in its place */
    int64_t clock;
    V bar[UNITS]; /* each symbol's number of the bar */
} symbols;

#define WALKER symbols
#define ROW MLOPT_FEATURES_LANES /* words from one row of a group to the next */
/* The i-th node's parameters. */
#define EACH_NODE(i)                                                                                                   \
    const double *node = mlopt_features_nodes(step, parameters, NODE_ROWS);                                            \
    for (size_t i = 0; i < (size_t)step->used; i++, node += NODE_ROWS)
#define NODE_ROWS (sources + 3 * rings + numbers)
#define INDEX(row) (((const int64_t *)node)[row])
#define NUMBER(row) node[row]
#define EACH_UNIT(u) for (size_t u = 0; u < w->units; u++)

MLOPT_INLINE double *value_row(const symbols *w, size_t unit, int64_t value)
{
    return w->values + ((size_t)(value - w->state_words) * UNITS + unit) * LANES;
}

MLOPT_INLINE double *state_row(const symbols *w, size_t unit, int64_t word) { return w->state[unit] + word * ROW; }

/* The numbers of a unit's symbols in a field of the bar, `fill` in lanes without a symbol. */
MLOPT_INLINE V field_of(const symbols *w, size_t unit, int64_t field, double fill)
{
    const size_t before = unit * LANES, some = w->some - before;
    return F(load_first_or)(w->bars[field] + w->first + before, some < LANES ? some : LANES, F(set1)(fill));
}

/* The row of a ring `back` bars ago; `stride` words of a state lie between its places. */
MLOPT_INLINE double *ring_row(const symbols *w, size_t unit, int64_t base, int64_t mask, int64_t stride, int64_t back)
{
    double *row = state_row(w, unit, base + ((w->clock - back) & mask) * stride);
    __builtin_prefetch(row + w->ahead, 0, 2);
    return row;
}

MLOPT_INLINE void symbols_series(KIND_ARGUMENTS)
{
    EACH_UNIT(u)
    {
        V bar[5], before[5], all[MLOPT_SERIES_COUNT];
        MLOPT_UNROLL_FULLY
        for (int f = 0; f < 5; f++) {
            bar[f] = field_of(w, u, f, f < 4);
            before[f] = F(load)(state_row(w, u, MLOPT_FEATURES_LAST + f));
        }
        series_of(bar, before, F(eq)(w->bar[u], F(zero)()), all);
        MLOPT_UNROLL_FULLY
        for (int s = 0; s < MLOPT_SERIES_COUNT; s++)
            F(store)(value_row(w, u, step->values + s), all[s]);
        for (int64_t c = MLOPT_SERIES_COUNT; c < MLOPT_SERIES_COUNT + w->columns; c++) {
            const V column = field_of(w, u, 5 + c - MLOPT_SERIES_COUNT, 0);
            F(store)(value_row(w, u, step->values + c), column);
            F(store)(state_row(w, u, step->state + c), column);
        }
        MLOPT_UNROLL_FULLY
        for (int f = 0; f < 5; f++) {
            F(store)(state_row(w, u, MLOPT_FEATURES_BEFORE + f), before[f]);
            F(store)(state_row(w, u, MLOPT_FEATURES_LAST + f), bar[f]);
        }
    }
}

MLOPT_INLINE void symbols_push(KIND_ARGUMENTS)
{
    EACH_NODE(i)
    EACH_UNIT(u)
    {
        const M started = F(le)(F(set1)(NUMBER(4)), w->bar[u]);
        const V x = F(select)(started, F(load)(value_row(w, u, INDEX(0))), F(zero)());
        F(store)(ring_row(w, u, INDEX(1), INDEX(2), 1, 0), x);
    }
}

MLOPT_INLINE void symbols_lag(KIND_ARGUMENTS)
{
    EACH_NODE(i)
    EACH_UNIT(u)
    F(store)
    (value_row(w, u, step->values + (int64_t)i), F(load)(ring_row(w, u, INDEX(0), INDEX(1), 1, INDEX(2))));
}

MLOPT_INLINE void symbols_elementwise(KIND_ARGUMENTS)
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
static __attribute__((noinline)) void F(symbols_anew)(int kind, const symbols *w, size_t unit, const int64_t *ring,
                                                      uint32_t anew, V *row, V *out)
{
    for (size_t lane = 0; anew; lane++, anew >>= 1)
        if (anew & 1) {
            const ring_view view = {state_row(w, unit, ring[0]) + lane, ring[1], ROW, w->clock};
            F(compute_anew)(kind, view, ring[2], row, out, lane);
        }
}

MLOPT_INLINE void symbols_recurrence(KIND_ARGUMENTS)
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
                if (w->from_memory)
                    __builtin_prefetch(memory + r * ROW + w->ahead, 0, 2);
                row[r] = F(load)(memory + r * ROW);
            }
            if (rings)
                leaving = F(load)(ring_row(w, u, INDEX(sources), INDEX(sources + 1), 1, INDEX(sources + 2)));
            uint32_t anew = recurrence(kind, row, x, leaving, n, w->bar[u], out);
            if (rings && anew) {
                V rows[12], outs[3];
                memcpy(rows, row, sizeof rows);
                memcpy(outs, out, sizeof outs);
                F(symbols_anew)(kind, w, u, &INDEX(sources), anew, rows, outs);
                memcpy(row, rows, sizeof rows);
                memcpy(out, outs, sizeof outs);
            }
            MLOPT_UNROLL_FULLY
            for (int r = 0; r < states; r++)
                F(store)(memory + r * ROW, row[r]);
            MLOPT_UNROLL_FULLY
            for (int o = 0; o < results; o++)
                if (result_is_read(flags, o))
                    F(store)(value_row(w, u, step->values + (int64_t)(lanes * (size_t)o + i)), out[o]);
        }
    }
}

MLOPT_INLINE void symbols_window(KIND_ARGUMENTS)
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
    add_term(kind, F(load)(ring_row(w, u, INDEX(sources), INDEX(sources + 1), 1, back)),                               \
             F(load)(ring_row(w, u, INDEX(second), INDEX(second + 1), 1, back)), x, sum[place])
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

MLOPT_INLINE void symbols_extrema(KIND_ARGUMENTS)
{
    const size_t lanes = (size_t)step->lanes;
    const extrema_levels at = extrema_levels_of(step, parameters);
    EACH_NODE(i)
    EACH_UNIT(u)
    {
#define LEVEL(k, back) ring_row(w, u, at.base[k] + (int64_t)i, at.mask[k], MLOPT_FEATURES_LANES, back)
        const V sign = F(set1)(NUMBER(4)), none = F(set1)(-INFINITY);
        const V x = F(mul)(sign, F(load)(value_row(w, u, INDEX(0))));
        V largest = F(select)(F(le)(F(set1)(NUMBER(5)), w->bar[u]), x, none);
        V level[16]; /* of a window of 10 000, 14 */
        for (int64_t k = 0;; k++) {
            F(store)(LEVEL(k, 0), largest);
            level[k] = largest;
            if (k + 1 == step->levels)
                break;
            largest = F(max)(largest, F(load)(LEVEL(k, (int64_t)1 << k)));
        }
        for (int64_t v = 0; v < step->windows; v++) {
            const V y = F(max)(level[at.level[v]], F(load)(LEVEL(at.level[v], at.lag[v])));
            F(store)(value_row(w, u, step->values + (int64_t)(lanes * (size_t)v + i)), F(mul)(sign, y));
        }
#undef LEVEL
    }
}

MLOPT_INLINE void symbols_age(KIND_ARGUMENTS)
{
    EACH_NODE(i)
    EACH_UNIT(u)
    {
        const V extreme = F(load)(value_row(w, u, INDEX(0)));
        V age = F(set1)(-1);
        for (int64_t back = 0; back < INDEX(3); back++)
            if (!find_age(F(load)(ring_row(w, u, INDEX(1), INDEX(2), 1, back)), extreme, back, &age))
                break;
        F(store)(value_row(w, u, step->values + (int64_t)i), F(max)(age, F(zero)()));
    }
}

MLOPT_INLINE void symbols_output(KIND_ARGUMENTS)
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
                x[f] = F(select)(F(le)(F(set1)(ready[f]), w->bar[u]), F(load)(value_row(w, u, source[f])), missing);
            F(transpose)(x);
            const size_t before = u * LANES, left = w->some - before;
            double *out = w->out + (w->first + before) * outputs + i;
            for (size_t lane = 0; lane < (left < LANES ? left : LANES); lane++, out += outputs)
                if (width == LANES)
                    F(store)(out, x[lane]);
                else
                    F(store_first)(out, width, x[lane]);
        }
    }
}

#include "walk.h"

/* How a group has to be walked. */
enum { NOBODY_TICKS, TOGETHER, APART };

/* How the group of the symbols from `first` on has to be walked; its states are laid out accordingly. */
static int F(arrange)(const mlopt_features_plan *plan, double *group, const uint8_t *ticking, size_t first, size_t some,
                      double *workspace)
{
    mlopt_features_trailer *trailer = mlopt_features_trailer_of(plan, group);
    int any = 0, all = 1;
    for (size_t s = 0; s < ROW && s < some; s++) {
        const int ticks = !ticking || ticking[first + s];
        any |= ticks;
        all &= ticks;
    }
    if (!any)
        return NOBODY_TICKS;
    trailer->in_step = all ? trailer->in_step + 1 : 0;
    if (trailer->apart ? trailer->in_step > MLOPT_FEATURES_IN_STEP : !all)
        mlopt_features_regroup(plan, group, !all, workspace);
    return trailer->apart ? APART : TOGETHER;
}

/* Words of the symbols of an interleaved group. */
MLOPT_INLINE int64_t *header_row(double *group, int64_t word) { return (int64_t *)group + word * ROW; }

/* The symbols from `first` to `last`, in whole groups that tick together. */
static void F(walk_together)(symbols *w, const mlopt_features_plan *plan, double *states, size_t first, size_t last,
                             size_t count)
{
    const size_t words = (size_t)mlopt_features_group_words(plan), groups = (last - first) / ROW;
    w->ahead = last < count ? (int64_t)(groups * words) : 0;
    for (w->first = first; w->first < last && w->first < count; w->first += UNITS * LANES) {
        w->some = (last < count ? last : count) - w->first;
        w->units = (w->some + LANES - 1) / LANES < UNITS ? (w->some + LANES - 1) / LANES : UNITS;
        for (size_t u = 0; u < w->units; u++) {
            const size_t symbol = w->first + u * LANES;
            double number[LANES];
            w->state[u] = states + symbol / ROW * words + symbol % ROW;
            for (size_t lane = 0; lane < LANES; lane++)
                number[lane] = (double)((const int64_t *)w->state[u])[lane];
            w->bar[u] = F(load)(number);
        }
        F(symbols_walk)(w, plan);
    }
    for (size_t g = 0; g < groups; g++)
        for (size_t s = 0; s < ROW; s++) { /* those that are not there too */
            double *group = states + (first / ROW + g) * words;
            header_row(group, 0)[s]++;
            header_row(group, MLOPT_FEATURES_CLOCK)[s] = w->clock + 1;
        }
}

/* The symbols of a group that tick, one after another. */
static void F(walk_apart)(const symbols *w, const mlopt_features_plan *plan, double *group, const uint8_t *ticking,
                          size_t first, size_t some)
{
    for (size_t s = 0; s < ROW && s < some; s++) {
        if (ticking && !ticking[first + s])
            continue;
        double bar[5 + MLOPT_FEATURES_MOST_COLUMNS];
        for (int64_t field = 0; field < 5 + w->columns; field++)
            bar[field] = w->bars[field][first + s];
        K(features_update)
        (plan, mlopt_features_word(plan, group, (int64_t)s, 0), bar, w->out + (first + s) * (size_t)w->outputs);
    }
}

void K(features_symbols)(const mlopt_features_plan *plan, void *states, size_t count, const double *const *bars,
                         const uint8_t *ticking, double *out, double *workspace)
{
    const size_t words = (size_t)mlopt_features_group_words(plan);
    symbols w = {
        .from_memory = count / ROW * words > (size_t)6 << 20, /* 48 MiB */
        .outputs = plan->outputs,
        .columns = plan->columns,
        .state_words = plan->state_words,
        .values = workspace,
        .bars = bars,
        .out = out,
    };
    size_t first = 0, last = 0; /* groups that wait to be walked together */
    for (size_t at = 0; at < count; at += ROW) {
        double *group = (double *)states + at / ROW * words;
        const int how = F(arrange)(plan, group, ticking, at, count - at, workspace);
        const int joins =
            how == TOGETHER && last - first < UNITS * LANES && *header_row(group, MLOPT_FEATURES_CLOCK) == w.clock;
        if (first < last && !joins) {
            F(walk_together)(&w, plan, states, first, last, count);
            first = last;
        }
        if (how == APART)
            F(walk_apart)(&w, plan, group, ticking, at, count - at);
        if (how == TOGETHER) {
            if (first == last) {
                first = at;
                w.clock = *header_row(group, MLOPT_FEATURES_CLOCK);
            }
            last = at + ROW;
        }
    }
    if (first < last)
        F(walk_together)(&w, plan, states, first, last, count);
}

#undef WALKER
#undef UNITS
#undef ROW
#undef NODE_ROWS
#undef EACH_NODE
#undef INDEX
#undef NUMBER
#undef EACH_UNIT
