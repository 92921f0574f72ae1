/* The functions of network.h for the element type T. */

/* c = a b, sizes m x k and k x n */
static inline void NETWORK(product)(const mlopt_kernels *table, const mlopt_workspace *workspace, size_t m, size_t n,
                                    size_t k, const T *a, size_t a_row, size_t a_column, const T *b, size_t b_row,
                                    size_t b_column, T *c, size_t c_row)
{
    const NN_JOIN(mlopt_gemm_job_, MLOPT_REAL) job = {
        .m = m,
        .n = n,
        .k = k,
        .a = a,
        .a_row = (ptrdiff_t)a_row,
        .a_column = (ptrdiff_t)a_column,
        .b = b,
        .b_row = (ptrdiff_t)b_row,
        .b_column = (ptrdiff_t)b_column,
        .c = c,
        .c_row = (ptrdiff_t)c_row,
        .c_column = 1,
        .blocks = workspace->blocks,
        .workspace = workspace->product,
    };
    CALL(gemm)(&job);
}

/* All layers, without the link.  The last one's result goes to out, rows in a row, or where out is
 * NULL into the workspace; returns where it went and the elements from row to row. */
static inline T *NETWORK(forward)(const mlopt_kernels *table, const mlopt_network *network, const T *parameters,
                                  size_t rows, const T *x, const mlopt_workspace *workspace, T *out, size_t *out_row)
{
    const mlopt_layer *layer = network->layers, *last = layer + network->count - 1;
    const T *input = x;
    size_t input_row = layer->inputs;
    for (;; layer++) {
        T *result = AT(layer->out);
        size_t result_row = layer->row;
        if (layer == last && out) {
            result = out;
            result_row = layer->outputs;
        }
        T *z = result;
        size_t z_row = result_row;
        if (layer->z != layer->out) {
            z = AT(layer->z);
            z_row = layer->row;
        }
        const T *weights = parameters + layer->weights, *bias = parameters + layer->bias;
        if (rows == 1)
            CALL(dense)(layer->inputs, layer->outputs, input, weights, layer->row, bias, layer->activation, z, result);
        else {
            NETWORK(product)(table, workspace, rows, layer->outputs, layer->inputs, input, input_row, 1, weights,
                             layer->row, 1, z, z_row);
            CALL(bias_activation)(rows, layer->outputs, bias, layer->activation, z, z_row, result, result_row);
        }
        if (layer == last) {
            *out_row = result_row;
            return result;
        }
        input = result;
        input_row = result_row;
    }
}

/* out is (rows, outputs) without gaps. */
static inline void NETWORK(predict)(const mlopt_kernels *table, const mlopt_network *network, const T *parameters,
                                    size_t rows, const T *x, const mlopt_workspace *workspace, T *out)
{
    const size_t outputs = network->layers[network->count - 1].outputs;
    size_t out_row;
    NETWORK(forward)(table, network, parameters, rows, x, workspace, out, &out_row);
    if (network->link == MLOPT_LINK_SOFTMAX)
        for (size_t i = 0; i < rows; i++)
            CALL(softmax)(outputs, out + i * outputs, out + i * outputs);
    else if (network->link == MLOPT_LINK_SIGMOID)
        CALL(sigmoid)(rows * outputs, out, out);
}

/* The loss of results that forward left; delta, unless NULL, becomes its gradient. */
static inline double NETWORK(loss_of)(const mlopt_kernels *table, const mlopt_network *network, size_t rows,
                                      const T *output, size_t output_row, const T *target, size_t target_row, T *delta,
                                      size_t delta_row)
{
    const size_t outputs = network->layers[network->count - 1].outputs;
    const double samples = (double)rows, elements = samples * (double)outputs;
    switch (network->loss) {
    case MLOPT_CROSS_ENTROPY:
        return CALL(cross_entropy)(rows, outputs, output, output_row, target, target_row, (T)(1 / samples), delta,
                                   delta_row) /
               samples;
    case MLOPT_BINARY_CROSS_ENTROPY:
        return CALL(binary_cross_entropy)(rows, outputs, output, output_row, target, target_row, (T)(1 / elements),
                                          delta, delta_row) /
               elements;
    default:
        return CALL(mse)(rows, outputs, output, output_row, target, target_row, (T)(2 / elements), delta, delta_row) /
               elements;
    }
}

static inline double NETWORK(loss)(const mlopt_kernels *table, const mlopt_network *network, const T *parameters,
                                   size_t rows, const T *x, const T *target, size_t target_row,
                                   const mlopt_workspace *workspace)
{
    size_t row;
    const T *output = NETWORK(forward)(table, network, parameters, rows, x, workspace, NULL, &row);
    return NETWORK(loss_of)(table, network, rows, output, row, target, target_row, NULL, 0);
}

/* One sample: the gradient of a layer's sums is the gradient of its biases, so it is made in place. */
static inline double NETWORK(gradient_one)(const mlopt_kernels *table, const mlopt_network *network,
                                           const T *parameters, const T *x, const T *target,
                                           const mlopt_workspace *workspace, T *gradient)
{
    const mlopt_layer *first = network->layers, *layer = first + network->count - 1;
    size_t row;
    const T *output = NETWORK(forward)(table, network, parameters, 1, x, workspace, NULL, &row);
    T *delta = gradient + layer->bias;
    const double loss = NETWORK(loss_of)(table, network, 1, output, row, target, row, delta, row);
    if (layer->activation != MLOPT_IDENTITY)
        CALL(activation_backward)(1, layer->outputs, layer->activation, AT(layer->z), row, delta, row, delta);
    for (;; layer--) {
        const T *input = layer == first ? x : AT(layer[-1].out);
        CALL(outer)(layer->inputs, layer->outputs, input, delta, gradient + layer->weights, layer->row);
        if (layer == first)
            return loss;
        T *below = gradient + layer[-1].bias;
        CALL(dense_backward)(layer->inputs, layer->outputs, parameters + layer->weights, layer->row, delta,
                             layer[-1].activation, AT(layer[-1].z), below);
        delta = below;
    }
}

static inline double NETWORK(gradient_batch)(const mlopt_kernels *table, const mlopt_network *network,
                                             const T *parameters, size_t rows, const T *x, const T *target,
                                             size_t target_row, const mlopt_workspace *workspace, T *gradient)
{
    const mlopt_layer *first = network->layers, *layer = first + network->count - 1;
    size_t row;
    const T *output = NETWORK(forward)(table, network, parameters, rows, x, workspace, NULL, &row);
    T *delta = AT(network->deltas[0]), *below = AT(network->deltas[1]);
    const double loss = NETWORK(loss_of)(table, network, rows, output, row, target, target_row, delta, row);
    for (;; layer--) {
        CALL(activation_backward)(rows, layer->outputs, layer->activation, AT(layer->z), layer->row, delta, layer->row,
                                  gradient + layer->bias);
        const T *input = layer == first ? x : AT(layer[-1].out);
        const size_t input_row = layer == first ? layer->inputs : layer[-1].row;
        NETWORK(product)(table, workspace, layer->inputs, layer->outputs, rows, input, 1, input_row, delta, layer->row,
                         1, gradient + layer->weights, layer->row);
        if (layer == first)
            return loss;
        NETWORK(product)(table, workspace, rows, layer->inputs, layer->outputs, delta, layer->row, 1,
                         parameters + layer->weights, 1, layer->row, below, layer[-1].row);
        T *const done = delta;
        delta = below;
        below = done;
    }
}

/* The gradient of the mean loss over the rows; returns that loss. */
static inline double NETWORK(gradient)(const mlopt_kernels *table, const mlopt_network *network, const T *parameters,
                                       size_t rows, const T *x, const T *target, size_t target_row,
                                       const mlopt_workspace *workspace, T *gradient)
{
    return rows == 1
               ? NETWORK(gradient_one)(table, network, parameters, x, target, workspace, gradient)
               : NETWORK(gradient_batch)(table, network, parameters, rows, x, target, target_row, workspace, gradient);
}

/* Step number t (from 1) of AdamW; moments: first then second, n elements each. */
static inline void NETWORK(adamw)(const mlopt_kernels *table, size_t n, const double rates[5], double t,
                                  const T *gradient, T *moments, T *parameters)
{
    const double lr = rates[0], beta1 = rates[1], beta2 = rates[2], eps = rates[3], weight_decay = rates[4];
    const NN_JOIN(mlopt_adamw_rates_, MLOPT_REAL) step = {
        .decay = (T)(1 - lr * weight_decay),
        .beta1_rest = (T)(1 - beta1),
        .beta2 = (T)beta2,
        .beta2_rest = (T)(1 - beta2),
        .step = (T)(lr / (1 - pow(beta1, t))),
        .root_correction = (T)(1 / sqrt(1 - pow(beta2, t))),
        .eps = (T)eps,
    };
    CALL(adamw)(n, &step, gradient, moments, moments + n, parameters);
}

static inline void NETWORK(sgd)(const mlopt_kernels *table, size_t n, const double rates[5], const T *gradient,
                                T *velocity, T *parameters)
{
    const NN_JOIN(mlopt_sgd_rates_, MLOPT_REAL) step = {
        .lr = (T)rates[0],
        .momentum = (T)rates[1],
        .weight_decay = (T)rates[2],
    };
    CALL(sgd)(n, &step, gradient, rates[1] != 0 ? velocity : NULL, parameters);
}
