/* One loop per kernel, one operation at a time, in the order of the definition. */

static T F(sigmoid)(T x) { return x < 0 ? LIBM(exp)(x) / (1 + LIBM(exp)(x)) : 1 / (1 + LIBM(exp)(-x)); }

static T F(normal_cumulative)(T x) { return (T)(F(ERFC_WIDE)(x) / 2); }

static T F(activate)(T z, mlopt_activation activation)
{
    switch (activation) {
    case MLOPT_RELU:
        return z < 0 ? 0 : z;
    case MLOPT_TANH:
        return LIBM(tanh)(z);
    case MLOPT_SIGMOID:
        return F(sigmoid)(z);
    case MLOPT_GELU:
        return z * F(normal_cumulative)(z);
    case MLOPT_SILU:
        return z * F(sigmoid)(z);
    default:
        return z;
    }
}

static T F(derivative)(T saved, mlopt_activation activation)
{
    const T s = F(sigmoid)(saved), largest = (T)INFINITY;
    switch (activation) {
    case MLOPT_RELU:
        return saved <= 0 ? 0 : 1;
    case MLOPT_TANH:
        return 1 - saved * saved;
    case MLOPT_SIGMOID:
        return saved * (1 - saved);
    case MLOPT_GELU:
        if (saved == largest || saved == -largest)
            return saved > 0;
        return F(normal_cumulative)(saved) + saved * LIBM(exp)(-saved * saved / 2) * (T)0.39894228040143267794;
    case MLOPT_SILU:
        if (saved == largest || saved == -largest)
            return saved > 0;
        return s + saved * s * (1 - s);
    default:
        return 1;
    }
}

void K(dense)(size_t inputs, size_t outputs, const T *x, const T *w, size_t w_row, const T *bias,
              mlopt_activation activation, T *z, T *out)
{
    for (size_t j = 0; j < outputs; j++) {
        T sum = bias[j];
        for (size_t i = 0; i < inputs; i++)
            sum += x[i] * w[i * w_row + j];
        z[j] = sum;
    }
    for (size_t j = 0; j < outputs; j++)
        out[j] = F(activate)(z[j], activation);
}

void K(dense_backward)(size_t inputs, size_t outputs, const T *w, size_t w_row, const T *delta,
                       mlopt_activation activation, const T *saved, T *out)
{
    for (size_t i = 0; i < inputs; i++) {
        T sum = 0;
        for (size_t j = 0; j < outputs; j++)
            sum += w[i * w_row + j] * delta[j];
        out[i] = sum * F(derivative)(saved[i], activation);
    }
}

void K(outer)(size_t rows, size_t columns, const T *x, const T *delta, T *out, size_t out_row)
{
    const size_t line = 64 / sizeof(T), padded = (columns + line - 1) / line * line;
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < padded; j++)
            out[i * out_row + j] = j < columns ? x[i] * delta[j] : 0;
}

void K(bias_activation)(size_t rows, size_t columns, const T *bias, mlopt_activation activation, T *z, size_t z_row,
                        T *out, size_t out_row)
{
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < columns; j++) {
            z[i * z_row + j] += bias[j];
            out[i * out_row + j] = F(activate)(z[i * z_row + j], activation);
        }
}

void K(activation_backward)(size_t rows, size_t columns, mlopt_activation activation, const T *saved, size_t saved_row,
                            T *delta, size_t delta_row, T *sums)
{
    for (size_t j = 0; j < columns; j++) {
        T sum = 0;
        for (size_t i = 0; i < rows; i++) {
            delta[i * delta_row + j] *= F(derivative)(saved[i * saved_row + j], activation);
            sum += delta[i * delta_row + j];
        }
        sums[j] = sum;
    }
}

double K(mse)(size_t rows, size_t columns, const T *output, size_t output_row, const T *target, size_t target_row,
              T scale, T *delta, size_t delta_row)
{
    double total = 0;
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < columns; j++) {
            const T difference = output[i * output_row + j] - target[i * target_row + j];
            total += (double)(difference * difference);
            if (delta)
                delta[i * delta_row + j] = scale * difference;
        }
    return total;
}

double K(cross_entropy)(size_t rows, size_t columns, const T *output, size_t output_row, const T *target,
                        size_t target_row, T scale, T *delta, size_t delta_row)
{
    double total = 0;
    for (size_t i = 0; i < rows; i++) {
        const T *o = output + i * output_row, *t = target + i * target_row;
        T largest = (T)-INFINITY, sum = 0, weight = 0;
        for (size_t j = 0; j < columns; j++)
            largest = o[j] > largest ? o[j] : largest;
        for (size_t j = 0; j < columns; j++) {
            sum += LIBM(exp)(o[j] - largest);
            weight += t[j];
        }
        for (size_t j = 0; j < columns; j++)
            if (t[j] != 0)
                total += (double)t[j] * (log((double)sum) - (double)(o[j] - largest));
        if (delta)
            for (size_t j = 0; j < columns; j++)
                delta[i * delta_row + j] = scale * (LIBM(exp)(o[j] - largest) / sum * weight - t[j]);
    }
    return total;
}

double K(binary_cross_entropy)(size_t rows, size_t columns, const T *output, size_t output_row, const T *target,
                               size_t target_row, T scale, T *delta, size_t delta_row)
{
    double total = 0;
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < columns; j++) {
            const T o = output[i * output_row + j], t = target[i * target_row + j];
            total += (double)((o < 0 ? 0 : o) - (t == 0 ? 0 : o * t) + LIBM(log1p)(LIBM(exp)(-LIBM(fabs)(o))));
            if (delta)
                delta[i * delta_row + j] = scale * (F(sigmoid)(o) - t);
        }
    return total;
}

void K(adamw)(size_t n, const MLOPT_JOIN(mlopt_adamw_rates_, MLOPT_REAL) *r, const T *gradient, T *first, T *second,
              T *parameter)
{
    for (size_t i = 0; i < n; i++) {
        first[i] += (gradient[i] - first[i]) * r->beta1_rest;
        second[i] = r->beta2 * second[i] + r->beta2_rest * gradient[i] * gradient[i];
        parameter[i] *= r->decay;
        parameter[i] -= r->step * first[i] / (LIBM(sqrt)(second[i]) * r->root_correction + r->eps);
    }
}

void K(sgd)(size_t n, const MLOPT_JOIN(mlopt_sgd_rates_, MLOPT_REAL) *r, const T *gradient, T *velocity, T *parameter)
{
    for (size_t i = 0; i < n; i++) {
        T step = gradient[i] + r->weight_decay * parameter[i];
        if (velocity)
            step = velocity[i] = r->momentum * velocity[i] + step;
        parameter[i] -= r->lr * step;
    }
}
