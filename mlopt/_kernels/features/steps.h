/* Steps without memory: the bar's series, rings, arithmetic between lanes, output. */

#define PARAMETER(row) (parameters + (size_t)(row) * lanes + i)
#define EACH_VECTOR(step)                                                                                              \
    const size_t lanes = (size_t)(step)->lanes;                                                                        \
    double *values = state + (step)->values;                                                                           \
    for (size_t i = 0; i < (size_t)(step)->used; i += LANES)

/* The numbers at the words that a row of the plan names. */
MLOPT_INLINE V gather(const double *state, const double *row) { return F(gather)(state, (const int64_t *)row); }

/* The values `back` bars before bar `now` in each lane's ring. */
MLOPT_INLINE V gather_back(const double *state, const double *base, const double *mask, const double *back, int64_t now)
{
    const int64_t *bases = (const int64_t *)base, *masks = (const int64_t *)mask, *backs = (const int64_t *)back;
    int64_t at[LANES];
    MLOPT_UNROLL_FULLY
    for (size_t lane = 0; lane < LANES; lane++)
        at[lane] = bases[lane] + ((now - backs[lane]) & masks[lane]);
    return F(gather)(state, at);
}

/* The last `window` values of a ring, oldest first; contiguous. */
MLOPT_INLINE const double *ring_window(const double *state, int64_t base, int64_t mask, int64_t window, int64_t now)
{
    return state + base + (now & mask) + mask + 2 - window;
}

static void F(step_bar)(const mlopt_features_step *step, mlopt_features_state *header, const double *bar)
{
    double *series = (double *)header + step->values;
    const double *last = header->bars ? header->last : bar;
    const double open = bar[0], high = bar[1], low = bar[2], close = bar[3], volume = bar[4];
    const double typical = (high + low + close) / 3, last_typical = (last[1] + last[2] + last[3]) / 3;
    const double last_close = last[3], change = close - last_close, money = typical * volume;
    series[MLOPT_SERIES_zero] = 0;
    series[MLOPT_SERIES_open] = open;
    series[MLOPT_SERIES_high] = high;
    series[MLOPT_SERIES_low] = low;
    series[MLOPT_SERIES_close] = close;
    series[MLOPT_SERIES_volume] = volume;
    series[MLOPT_SERIES_typical] = typical;
    series[MLOPT_SERIES_range] = high - low;
    series[MLOPT_SERIES_body] = close - open;
    series[MLOPT_SERIES_upper_shadow] = high - (open > close ? open : close);
    series[MLOPT_SERIES_lower_shadow] = (open < close ? open : close) - low;
    series[MLOPT_SERIES_money] = money;
    series[MLOPT_SERIES_signed_volume] = change > 0 || !header->bars ? volume : change < 0 ? -volume : 0;
    series[MLOPT_SERIES_change] = change;
    series[MLOPT_SERIES_gain] = change > 0 ? change : 0;
    series[MLOPT_SERIES_loss] = change < 0 ? -change : 0;
    series[MLOPT_SERIES_true_range] = (high > last_close ? high : last_close) - (low < last_close ? low : last_close);
    series[MLOPT_SERIES_inflow] = typical > last_typical ? money : 0;
    series[MLOPT_SERIES_outflow] = typical < last_typical ? money : 0;
}

static void F(step_push)(const mlopt_features_step *step, const double *parameters, double *state, int64_t now)
{
    const int64_t lanes = step->lanes, *source = (const int64_t *)parameters, *base = source + lanes;
    const int64_t *mask = base + lanes, *start = mask + lanes;
    for (int64_t i = 0; i < step->used; i++) {
        double *slot = state + base[i] + (now & mask[i]);
        slot[0] = slot[mask[i] + 1] = now >= start[i] ? state[source[i]] : 0;
    }
}

static void F(step_lag)(const mlopt_features_step *step, const double *parameters, double *state, int64_t now)
{
    EACH_VECTOR(step)
    F(store)(values + i, gather_back(state, PARAMETER(0), PARAMETER(1), PARAMETER(2), now));
}

static void F(step_linear)(const mlopt_features_step *step, const double *parameters, double *state, int64_t now)
{
    (void)now;
    EACH_VECTOR(step)
    {
        const V sum = F(fma)(F(load)(PARAMETER(2)), gather(state, PARAMETER(1)), gather(state, PARAMETER(0)));
        F(store)(values + i, F(fma)(F(load)(PARAMETER(3)), sum, F(load)(PARAMETER(4))));
    }
}

static void F(step_product)(const mlopt_features_step *step, const double *parameters, double *state, int64_t now)
{
    (void)now;
    EACH_VECTOR(step)
    F(store)(values + i, F(mul)(gather(state, PARAMETER(0)), gather(state, PARAMETER(1))));
}

static void F(step_quotient)(const mlopt_features_step *step, const double *parameters, double *state, int64_t now)
{
    const V zero = F(zero)(), one = F(set1)(1);
    (void)now;
    EACH_VECTOR(step)
    {
        const V dividend = F(fma)(F(load)(PARAMETER(4)), gather(state, PARAMETER(1)), gather(state, PARAMETER(0)));
        const V divisor = F(fma)(F(load)(PARAMETER(5)), gather(state, PARAMETER(3)), gather(state, PARAMETER(2)));
        const M empty = F(eq)(divisor, zero);
        const V quotient = F(div)(F(mul)(F(load)(PARAMETER(6)), dividend), F(select)(empty, one, divisor));
        F(store)(values + i, F(select)(empty, zero, F(add)(quotient, F(load)(PARAMETER(7)))));
    }
}

static void F(step_logarithm)(const mlopt_features_step *step, const double *parameters, double *state, int64_t now)
{
    (void)now;
    EACH_VECTOR(step)
    {
        const V a = gather(state, PARAMETER(0)), b = gather(state, PARAMETER(1));
        /* a lag is 0 while its ring fills, and lanes behind the last are 0/0 */
        const M empty = F(eq)(b, F(zero)());
        const V quotient = F(div)(a, F(select)(empty, F(set1)(1), b));
        F(store)(values + i, F(log)(F(select)(empty, F(set1)(1), quotient)));
    }
}

static void F(step_root)(const mlopt_features_step *step, const double *parameters, double *state, int64_t now)
{
    (void)now;
    EACH_VECTOR(step)
    {
        const V x = F(mul)(gather(state, PARAMETER(0)), F(load)(PARAMETER(1)));
        F(store)(values + i, F(sqrt)(F(max)(x, F(zero)())));
    }
}

static void F(step_output)(const mlopt_features_plan *plan, const mlopt_features_step *step, const double *parameters,
                           const double *state, int64_t now, double *out)
{
    const size_t lanes = (size_t)step->lanes, outputs = (size_t)plan->outputs;
    const V bar = F(set1)((double)now), missing = F(set1)(NAN);
    for (size_t i = 0; i < outputs; i += LANES) {
        const V x = F(select)(F(le)(F(load)(PARAMETER(1)), bar), gather(state, PARAMETER(0)), missing);
        if (i + LANES <= outputs)
            F(store)(out + i, x);
        else
            F(store_first)(out + i, outputs - i, x);
    }
}
