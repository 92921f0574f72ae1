/* What each kind computes.  Lanes are nodes, bars or symbols: that is the walkers' affair (one_bar.h, history.h,
 * symbols.h).  A kind is a constant where these functions are called, and each call becomes one case. */

/* a / b, given inverse = 1 / b: where fma rounds once and b is an integer, the same bits as the division, on units that
 * are less busy (P. W. Markstein, IBM J. Res. Dev. 34, 1990). */
MLOPT_INLINE V quotient_by(V a, V b, V inverse)
{
    const V quotient = F(mul)(a, inverse);
    return F(fma)(F(fnma)(quotient, b, a), inverse, quotient);
}

/* Elementwise: sources x, numbers n. */
MLOPT_INLINE V elementwise(const int kind, const V *x, const V *n)
{
    const V zero = F(zero)(), one = F(set1)(1);
    switch (kind) {
    case MLOPT_FEATURES_linear:
        return F(fma)(n[1], F(fma)(n[0], x[1], x[0]), n[2]);
    case MLOPT_FEATURES_product:
        return F(mul)(x[0], x[1]);
    case MLOPT_FEATURES_distance:
        return F(mul)(n[1], F(abs)(F(fma)(n[0], x[1], x[0])));
    case MLOPT_FEATURES_quotient: {
        const V dividend = F(fma)(n[0], x[1], x[0]), divisor = F(fma)(n[1], x[3], x[2]);
        const M empty = F(eq)(divisor, zero);
        const V quotient = F(div)(F(mul)(n[2], dividend), F(select)(empty, one, divisor));
        return F(select)(empty, n[4], F(add)(quotient, n[3]));
    }
    case MLOPT_FEATURES_logarithm: {
        /* a lag is 0 while its ring fills, and lanes behind the last are 0/0 */
        const M empty = F(eq)(x[1], zero);
        const V quotient = F(div)(x[0], F(select)(empty, one, x[1]));
        return F(log)(F(select)(empty, one, quotient));
    }
    default: /* root */
        return F(sqrt)(F(max)(F(mul)(x[0], n[0]), zero));
    }
}

/* The series of a bar (open, high, low, close, volume) from it and the one before; `first` where there is none. */
MLOPT_INLINE void series_of(const V *bar, const V *before, M first, V *series)
{
    const V zero = F(zero)(), three = F(set1)(3);
    const V open = bar[0], high = bar[1], low = bar[2], close = bar[3], volume = bar[4];
    const V last_high = F(select)(first, high, before[1]), last_low = F(select)(first, low, before[2]);
    const V last_close = F(select)(first, close, before[3]);
    const V typical = F(div)(F(add)(F(add)(high, low), close), three);
    const V last_typical = F(div)(F(add)(F(add)(last_high, last_low), last_close), three);
    const V change = F(sub)(close, last_close), money = F(mul)(typical, volume);
    const V lowest = F(min)(low, last_close);
    const V rise = F(sub)(high, last_high), fall = F(sub)(last_low, low);
    series[MLOPT_SERIES_zero] = zero;
    series[MLOPT_SERIES_open] = open;
    series[MLOPT_SERIES_high] = high;
    series[MLOPT_SERIES_low] = low;
    series[MLOPT_SERIES_close] = close;
    series[MLOPT_SERIES_volume] = volume;
    series[MLOPT_SERIES_typical] = typical;
    series[MLOPT_SERIES_range] = F(sub)(high, low);
    series[MLOPT_SERIES_body] = F(sub)(close, open);
    series[MLOPT_SERIES_upper_shadow] = F(sub)(high, F(max)(open, close));
    series[MLOPT_SERIES_lower_shadow] = F(sub)(F(min)(open, close), low);
    series[MLOPT_SERIES_money] = money;
    series[MLOPT_SERIES_signed_volume] =
        F(select)(F(mask_or)(first, F(lt)(zero, change)), volume, F(select)(F(lt)(change, zero), F(neg)(volume), zero));
    series[MLOPT_SERIES_change] = change;
    series[MLOPT_SERIES_gain] = F(select)(F(lt)(zero, change), change, zero);
    series[MLOPT_SERIES_loss] = F(select)(F(lt)(change, zero), F(neg)(change), zero);
    series[MLOPT_SERIES_true_range] = F(sub)(F(max)(high, last_close), lowest);
    series[MLOPT_SERIES_buying] = F(sub)(close, lowest);
    series[MLOPT_SERIES_inflow] = F(select)(F(lt)(last_typical, typical), money, zero);
    series[MLOPT_SERIES_outflow] = F(select)(F(lt)(typical, last_typical), money, zero);
    series[MLOPT_SERIES_plus_movement] = F(select)(F(mask_and)(F(lt)(zero, rise), F(lt)(fall, rise)), rise, zero);
    series[MLOPT_SERIES_minus_movement] = F(select)(F(mask_and)(F(lt)(zero, fall), F(lt)(rise, fall)), fall, zero);
}

/* ----------------------------------------------------------------------------------------------------------------
 * Windows: terms summed over the values of a window, x (and y of a second ring), oldest first, then what the sums
 * make.  However it is walked, the terms of places j, j + LANES, j + 2 LANES ... are added one after another, and the
 * LANES sums by halves, as reduce_add does. */

enum { MOST_SUMS = 3 };

MLOPT_INLINE int sums_of(const int kind)
{
    return kind == MLOPT_FEATURES_shape ? 3 : kind == MLOPT_FEATURES_rank ? 2 : 1;
}

/* The x of a place behind the window's last that adds 0 to every sum. */
MLOPT_INLINE V no_term(const int kind, const V *source)
{
    return kind == MLOPT_FEATURES_rank ? F(set1)(INFINITY) : source[0];
}

MLOPT_INLINE void add_term(const int kind, V x, V y, const V *source, V *sum)
{
    const V one = F(set1)(1), d = F(sub)(x, source[0]);
    switch (kind) {
    case MLOPT_FEATURES_deviation:
        sum[0] = F(add)(sum[0], F(abs)(d));
        break;
    case MLOPT_FEATURES_shape: {
        const V square = F(mul)(d, d);
        sum[0] = F(add)(sum[0], square);
        sum[1] = F(fma)(square, d, sum[1]);
        sum[2] = F(fma)(square, square, sum[2]);
        break;
    }
    case MLOPT_FEATURES_rank:
        sum[0] = F(select)(F(lt)(x, source[0]), F(add)(sum[0], one), sum[0]);
        sum[1] = F(select)(F(eq)(x, source[0]), F(add)(sum[1], one), sum[1]);
        break;
    default: /* covariance */
        sum[0] = F(fma)(d, F(sub)(y, source[1]), sum[0]);
    }
}

MLOPT_INLINE void window_result(const int kind, const V *sum, const V *n, V *out)
{
    const V zero = F(zero)(), one = F(set1)(1), half = F(set1)(0.5);
    switch (kind) {
    case MLOPT_FEATURES_shape: {
        const V variance = quotient_by(sum[0], n[0], n[1]);
        const M flat = F(eq)(variance, zero);
        const V square = F(select)(flat, one, F(mul)(variance, variance));
        const V cube = F(mul)(F(select)(flat, one, variance), F(sqrt)(F(select)(flat, one, variance)));
        out[0] = F(select)(flat, zero, F(div)(F(mul)(n[2], sum[1]), cube));
        out[1] = F(select)(flat, zero, F(sub)(F(div)(F(mul)(n[3], sum[2]), square), n[4]));
        break;
    }
    case MLOPT_FEATURES_rank:
        out[0] = quotient_by(F(fma)(half, F(add)(sum[1], one), sum[0]), n[0], n[1]);
        break;
    default:
        out[0] = quotient_by(sum[0], n[0], n[1]);
    }
}

/* Where a window is walked with one of its places in every vector: the sums of its LANES places into the first. */
MLOPT_INLINE void fold_sums(const int kind, V (*sum)[MOST_SUMS])
{
    MLOPT_UNROLL_FULLY
    for (size_t width = LANES / 2; width > 0; width /= 2) {
        MLOPT_UNROLL_FULLY
        for (size_t place = 0; place < width; place++) {
            MLOPT_UNROLL_FULLY
            for (int s = 0; s < sums_of(kind); s++)
                sum[place][s] = F(add)(sum[place][s], sum[place + width][s]);
        }
    }
}

/* Takes the value of `back` bars ago into a search for `extreme`; age is -1 until it is found.  Whether any lane is
 * still searching. */
MLOPT_INLINE int find_age(V x, V extreme, int64_t back, V *age)
{
    const V zero = F(zero)();
    *age = F(select)(F(mask_and)(F(eq)(x, extreme), F(lt)(*age, zero)), F(set1)((double)back), *age);
    return F(any)(F(lt)(*age, zero));
}
