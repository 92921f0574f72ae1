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

#define LAYER MLOPT_JOIN(mlopt_packed_layer_, MLOPT_REAL)
#define PACKED_STEP MLOPT_JOIN(mlopt_packed_step_, MLOPT_REAL)

/* A step is a layer, or where its sums are kept these and the activation; packed: rows without gaps, the bias behind
 * them. */
static void F(packed_layer)(const PACKED_STEP *step, const T *x, T *out)
{
    const size_t inputs = step->inputs, outputs = step->last;
    for (size_t j = 0; j < outputs; j++) {
        T sum = step->weights[inputs * outputs + j];
        for (size_t i = 0; i < inputs; i++)
            sum += x[i] * step->weights[i * outputs + j];
        out[j] = F(activate)(sum, step->activation);
    }
}

static void F(packed_activation)(const PACKED_STEP *step, const T *x, T *out)
{
    for (size_t j = 0; j < step->inputs; j++)
        out[j] = F(activate)(x[j], step->activation);
}

size_t K(packed_plan)(size_t count, const LAYER *layers, PACKED_STEP *steps, T *packed, size_t *packed_length)
{
    size_t used = 0;
    *packed_length = 0;
    for (size_t n = 0; n < count; n++) {
        const LAYER *const layer = layers + n;
        const int apart = layer->z != layer->out;
        T *const to = packed ? packed + *packed_length : NULL, *const out = n < count - 1 ? layer->out : NULL;
        *packed_length += (layer->inputs + 1) * layer->outputs;
        const size_t step = used;
        used += apart ? 2 : 1;
        if (!steps)
            continue;
        for (size_t i = 0; i <= layer->inputs; i++)
            for (size_t j = 0; j < layer->outputs; j++)
                to[i * layer->outputs + j] = i < layer->inputs ? layer->w[i * layer->w_row + j * layer->w_column]
                                             : layer->bias     ? layer->bias[j]
                                                               : 0;
        steps[step] = (PACKED_STEP){.run = F(packed_layer),
                                    .x = n ? layer[-1].out : NULL,
                                    .weights = to,
                                    .out = apart ? layer->z : out,
                                    .inputs = layer->inputs,
                                    .last = layer->outputs,
                                    .activation = apart ? MLOPT_IDENTITY : layer->activation};
        if (apart)
            steps[step + 1] = (PACKED_STEP){.run = F(packed_activation),
                                            .x = layer->z,
                                            .out = out,
                                            .inputs = layer->outputs,
                                            .activation = layer->activation};
    }
    return used;
}

void K(packed_run)(size_t count, const PACKED_STEP *steps, const T *x, T *out)
{
    for (size_t n = 0; n < count; n++)
        steps[n].run(steps + n, steps[n].x ? steps[n].x : x, steps[n].out ? steps[n].out : out);
}

#undef LAYER
#undef PACKED_STEP

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
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < columns; j++)
            out[i * out_row + j] = x[i] * delta[j];
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
        if (sums)
            sums[j] = sum;
    }
}

void K(layer_norm)(size_t rows, size_t columns, const T *bias, const T *gain, T eps, T *z, size_t z_row, T *normed,
                   size_t normed_row, T *inverse_deviations)
{
    for (size_t i = 0; i < rows; i++, z += z_row, normed += normed_row) {
        T mean = 0, variance = 0;
        for (size_t j = 0; j < columns; j++)
            mean += z[j] + bias[j];
        mean /= (T)columns;
        for (size_t j = 0; j < columns; j++)
            variance += (z[j] + bias[j] - mean) * (z[j] + bias[j] - mean);
        inverse_deviations[i] = 1 / LIBM(sqrt)(variance / (T)columns + eps);
        for (size_t j = 0; j < columns; j++) {
            normed[j] = (z[j] + bias[j] - mean) * inverse_deviations[i];
            z[j] = gain[j] * normed[j];
        }
    }
}

void K(layer_norm_backward)(size_t rows, size_t columns, const T *gain, const T *normed, size_t normed_row,
                            const T *inverse_deviations, T *delta, size_t delta_row, T *gain_sums, T *bias_sums)
{
    for (size_t j = 0; j < columns; j++)
        gain_sums[j] = bias_sums[j] = 0;
    for (size_t i = 0; i < rows; i++, normed += normed_row, delta += delta_row) {
        T mean = 0, along = 0;
        for (size_t j = 0; j < columns; j++) {
            gain_sums[j] += delta[j] * normed[j];
            mean += gain[j] * delta[j];
            along += gain[j] * delta[j] * normed[j];
        }
        mean /= (T)columns;
        along /= (T)columns;
        for (size_t j = 0; j < columns; j++) {
            delta[j] = (gain[j] * delta[j] - mean - along * normed[j]) * inverse_deviations[i];
            bias_sums[j] += delta[j];
        }
    }
}

static uint32_t F(hash)(uint32_t key, uint32_t place)
{
    uint32_t h = place * 0x9e3779b1u ^ key;
    h = (h ^ h >> 16) * 0x7feb352du;
    h = (h ^ h >> 15) * 0x846ca68bu;
    return h ^ h >> 16;
}

void K(dropout)(size_t first, size_t rows, size_t columns, uint64_t key, double rate, const T *x, size_t x_row, T *out,
                size_t out_row)
{
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < columns; j++) {
            const uint32_t row_key = F(hash)((uint32_t)(key >> 32), (uint32_t)(first + i)) ^ (uint32_t)key;
            const int dropped = F(hash)(row_key, (uint32_t)j) < (uint32_t)(rate * 4294967296.0);
            out[i * out_row + j] = dropped ? 0 : x[i * x_row + j] * (T)(1 / (1 - rate));
        }
}

void K(lstm_cell)(size_t rows, size_t hidden, const T *bias, T *gates, size_t gates_row, const T *before, T *cells,
                  T *out, size_t out_row, T *out_too, size_t out_too_row)
{
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < hidden; j++) {
            T *const g = gates + i * gates_row + j;
            for (size_t k = 0; k < 4; k++)
                g[k * hidden] = F(activate)(g[k * hidden] + bias[k * hidden + j], k == 2 ? MLOPT_TANH : MLOPT_SIGMOID);
            const T cell = g[hidden] * before[i * hidden + j] + g[0] * g[2 * hidden];
            cells[i * hidden + j] = cell;
            out[i * out_row + j] = g[3 * hidden] * LIBM(tanh)(cell);
            if (out_too)
                out_too[i * out_too_row + j] = out[i * out_row + j];
        }
}

void K(lstm_cell_backward)(size_t rows, size_t hidden, const T *gates, size_t gates_row, const T *before,
                           const T *cells, const T *delta, size_t delta_row, const T *delta_too, size_t delta_too_row,
                           T *delta_cells, T *delta_gates, size_t delta_gates_row)
{
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < hidden; j++) {
            const T *const g = gates + i * gates_row + j;
            T *const d = delta_gates + i * delta_gates_row + j, *const of_cells = delta_cells + i * hidden + j;
            const T input = g[0], forget = g[hidden], value = g[2 * hidden], output = g[3 * hidden];
            const T of_out =
                (delta ? delta[i * delta_row + j] : 0) + (delta_too ? delta_too[i * delta_too_row + j] : 0);
            const T squashed = LIBM(tanh)(cells[i * hidden + j]);
            const T of_cell = *of_cells + of_out * output * (1 - squashed * squashed);
            d[0] = of_cell * value * input * (1 - input);
            d[hidden] = of_cell * before[i * hidden + j] * forget * (1 - forget);
            d[2 * hidden] = of_cell * input * (1 - value * value);
            d[3 * hidden] = of_out * squashed * output * (1 - output);
            *of_cells = of_cell * forget;
        }
}

double K(huber)(size_t rows, size_t columns, const T *output, size_t output_row, const T *target, size_t target_row,
                T threshold, T scale, T *delta, size_t delta_row)
{
    double total = 0;
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < columns; j++) {
            const T difference = output[i * output_row + j] - target[i * target_row + j];
            const T size = difference < 0 ? -difference : difference;
            total += size <= threshold ? (double)(size * size / 2) : (double)(threshold * (size - threshold / 2));
            if (delta)
                delta[i * delta_row + j] = scale * (size <= threshold ? difference
                                                    : difference < 0  ? -threshold
                                                                      : threshold);
        }
    return total;
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
        if (velocity) {
            velocity[i] = r->momentum * velocity[i] + step;
            step = r->nesterov != 0 ? step + r->momentum * velocity[i] : velocity[i];
        }
        parameter[i] -= r->lr * step;
    }
}
