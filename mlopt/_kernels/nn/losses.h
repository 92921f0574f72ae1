/* Losses and their gradients, for one element type. */

double K(mse)(size_t rows, size_t columns, const T *output, size_t output_row, const T *target, size_t target_row,
              T scale, T *delta, size_t delta_row)
{
    const V factor = F(set1)(scale);
    double total = 0;
    for (size_t i = 0; i < rows; i++, output += output_row, target += target_row) {
        V squares = F(zero)();
        for (size_t j = 0; j < columns; j += LANES) {
            const size_t left = columns - j;
            const V difference = F(sub)(F(load_left)(output + j, left), F(load_left)(target + j, left));
            squares = F(fma)(difference, difference, squares);
            if (delta)
                F(store_left)(delta + j, left, F(mul)(factor, difference));
        }
        total += (double)F(reduce_add)(squares);
        if (delta)
            delta += delta_row;
    }
    return total;
}

double K(huber)(size_t rows, size_t columns, const T *output, size_t output_row, const T *target, size_t target_row,
                T threshold, T scale, T *delta, size_t delta_row)
{
    const V factor = F(set1)(scale), limit = F(set1)(threshold), half = F(set1)((T)0.5);
    double total = 0;
    for (size_t i = 0; i < rows; i++, output += output_row, target += target_row) {
        V losses = F(zero)();
        for (size_t j = 0; j < columns; j += LANES) {
            const size_t left = columns - j;
            const V difference = F(sub)(F(load_left)(output + j, left), F(load_left)(target + j, left));
            const V size = F(abs)(difference), near = F(select)(F(lt)(limit, size), limit, size);
            /* near (size - near / 2) is half the square, or the line that goes on from it */
            losses = F(fma)(near, F(fnma)(half, near, size), losses);
            if (delta)
                F(store_left)(delta + j, left, F(mul)(factor, F(copysign)(near, difference)));
        }
        total += (double)F(reduce_add)(losses);
        if (delta)
            delta += delta_row;
    }
    return total;
}

/* log(1 + e), 0 <= e <= 1, exact where e is far below 1 too */
MLOPT_INLINE V F(log1p_unit)(V e)
{
    const V one = F(set1)(1), sum = F(add)(one, e), rounded = F(sub)(sum, one);
    const M lost = F(eq)(rounded, F(zero)());
    const V divisor = F(select)(lost, one, rounded);
    return F(select)(lost, e, F(mul)(F(log)(sum), F(div)(e, divisor)));
}

/* 1 in the first lanes, 0 behind the end */
MLOPT_INLINE V F(kept)(size_t left) { return left < LANES ? F(load_first)(F(ones), left) : F(set1)(1); }

double K(binary_cross_entropy)(size_t rows, size_t columns, const T *output, size_t output_row, const T *target,
                               size_t target_row, T scale, T *delta, size_t delta_row)
{
    const V factor = F(set1)(scale), zero = F(zero)(), one = F(set1)(1);
    double total = 0;
    for (size_t i = 0; i < rows; i++, output += output_row, target += target_row) {
        V losses = zero;
        for (size_t j = 0; j < columns; j += LANES) {
            const size_t left = columns - j;
            const V o = F(load_left)(output + j, left), t = F(load_left)(target + j, left);
            const V e = F(exp)(F(neg)(F(abs)(o)));
            /* 0 times infinity is 0 here: certain and right costs nothing */
            const V linear = F(sub)(F(relu)(o), F(select)(F(eq)(t, zero), zero, F(mul)(o, t)));
            losses = F(fma)(F(kept)(left), F(add)(F(log1p_unit)(e), linear), losses);
            if (delta) {
                const V sigmoid = F(div)(F(select)(F(lt)(o, zero), e, one), F(add)(one, e));
                F(store_left)(delta + j, left, F(mul)(factor, F(sub)(sigmoid, t)));
            }
        }
        total += (double)F(reduce_add)(losses);
        if (delta)
            delta += delta_row;
    }
    return total;
}

MLOPT_INLINE T F(row_max)(size_t n, const T *x)
{
    const V least = F(set1)((T)-INFINITY);
    V best = least;
    for (size_t j = 0; j < n; j += LANES)
        best = F(max)(n - j < LANES ? F(load_first_or)(x + j, n - j, least) : F(load)(x + j), best);
    return F(reduce_max)(best);
}

double K(cross_entropy)(size_t rows, size_t columns, const T *output, size_t output_row, const T *target,
                        size_t target_row, T scale, T *delta, size_t delta_row)
{
    const V factor = F(set1)(scale), zero = F(zero)();
    double total = 0;
    for (size_t i = 0; i < rows; i++, output += output_row, target += target_row) {
        /* about the largest logit; a NaN that the maximum passes over still comes in with its term */
        const V shift = F(set1)(F(row_max)(columns, output));
        V exponentials = zero, weights = zero, products = zero;
        for (size_t j = 0; j < columns; j += LANES) {
            const size_t left = columns - j;
            const V o = left < LANES ? F(load_first_or)(output + j, left, shift) : F(load)(output + j);
            const V t = F(load_left)(target + j, left), below = F(sub)(o, shift), e = F(exp)(below);
            exponentials = F(fma)(F(kept)(left), e, exponentials);
            weights = F(add)(weights, t);
            products = F(add)(products, F(select)(F(eq)(t, zero), zero, F(mul)(below, t)));
            if (delta)
                F(store_left)(delta + j, left, e);
        }
        const T sum = F(reduce_add)(exponentials), weight = F(reduce_add)(weights);
        total += log((double)sum) * (double)weight - (double)F(reduce_add)(products);
        if (!delta)
            continue;
        const V share = F(set1)(weight / sum);
        for (size_t j = 0; j < columns; j += LANES) {
            const size_t left = columns - j;
            const V softmax = F(mul)(F(load_left)(delta + j, left), share);
            F(store_left)(delta + j, left, F(mul)(factor, F(sub)(softmax, F(load_left)(target + j, left))));
        }
        delta += delta_row;
    }
    return total;
}
