/* The functions of network.h for the element type T: forward and gradient. */

/* c = a b or c += a b, sizes m x k and k x n */
static inline void NETWORK(product)(const mlopt_kernels *table, const mlopt_workspace *workspace, size_t m, size_t n,
                                    size_t k, const T *a, size_t a_row, size_t a_column, const T *b, size_t b_row,
                                    size_t b_column, T *c, size_t c_row, int accumulate)
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
        .accumulate = accumulate,
        .blocks = workspace->blocks,
        .workspace = workspace->product,
    };
    CALL(gemm)(&job);
}

/* All layers, without the link.  The last one's result goes to out, rows in a row, or where out is
 * NULL into the workspace; returns where it went and the elements from row to row.  dropout: NULL, or the seed and the
 * number of the step. */
static inline T *NETWORK(forward)(const mlopt_kernels *table, const mlopt_network *network, const T *parameters,
                                  size_t rows, const T *x, size_t x_row, const uint64_t *dropout,
                                  const mlopt_workspace *workspace, T *out, size_t *out_row)
{
    const mlopt_layer *layer = network->layers, *last = layer + network->count - 1;
    const T *input = x;
    size_t input_row = x_row;
    for (;; layer++) {
        const T *weights = parameters + layer->weights, *bias = parameters + layer->bias;
        const size_t outputs = layer->outputs;
        T *result = AT(layer->out);
        size_t result_row = layer->row;
        if (layer == last && out) {
            result = out;
            result_row = outputs;
        }
        T *z = result;
        size_t z_row = result_row;
        if (layer->z != layer->out) {
            z = AT(layer->z);
            z_row = layer->row;
        }
        if (rows == 1 && !layer->normalises)
            CALL(dense)(layer->inputs, outputs, input, weights, outputs, bias, layer->activation, z, result);
        else {
            NETWORK(product)(table, workspace, rows, outputs, layer->inputs, input, input_row, 1, weights, outputs, 1,
                             z, z_row, 0);
            if (layer->normalises) {
                CALL(layer_norm)(rows, outputs, bias, parameters + layer->gain, (T)MLOPT_LAYER_NORM_EPS, z, z_row,
                                 AT(layer->normed), layer->row, AT(layer->deviations));
                bias = parameters + layer->shift;
            }
            CALL(bias_activation)(rows, outputs, bias, layer->activation, z, z_row, result, result_row);
        }
        if (layer == last) {
            *out_row = result_row;
            return result;
        }
        if (dropout && layer->dropout > 0) {
            T *const dropped = AT(layer->dropped);
            CALL(dropout)(rows, outputs, mlopt_dropout_key(dropout[0], dropout[1], (uint64_t)(layer - network->layers)),
                          layer->dropout, result, result_row, dropped, layer->row);
            result = dropped;
        }
        input = result;
        input_row = result_row;
    }
}

/* x has x_row elements from row to row, out has no gaps. */
static inline void NETWORK(predict)(const mlopt_kernels *table, const mlopt_network *network,
                                    const mlopt_objective *objective, const T *parameters, size_t rows, const T *x,
                                    size_t x_row, const mlopt_workspace *workspace, T *out)
{
    size_t out_row;
    NETWORK(forward)(table, network, parameters, rows, x, x_row, NULL, workspace, out, &out_row);
    NETWORK(apply_link)(table, objective, rows, out);
}

static inline double NETWORK(loss)(const mlopt_kernels *table, const mlopt_network *network,
                                   const mlopt_objective *objective, const T *parameters, size_t rows, const T *x,
                                   size_t x_row, const mlopt_targets *targets, const mlopt_workspace *workspace)
{
    size_t row;
    const T *output = NETWORK(forward)(table, network, parameters, rows, x, x_row, NULL, workspace, NULL, &row);
    return NETWORK(loss_of)(table, objective, rows, output, row, targets, NULL, 0);
}

/* One sample, from what forward left: the gradient of a layer's sums is the gradient of its biases, so it is made in
 * place. */
static inline double NETWORK(gradient_one)(const mlopt_kernels *table, const mlopt_network *network,
                                           const mlopt_objective *objective, const T *parameters, const T *x,
                                           const T *output, const mlopt_targets *targets,
                                           const mlopt_workspace *workspace, T *gradient)
{
    const mlopt_layer *first = network->layers, *layer = first + network->count - 1;
    T *delta = gradient + layer->bias;
    const double loss = NETWORK(loss_of)(table, objective, 1, output, layer->row, targets, delta, layer->row);
    if (layer->activation != MLOPT_IDENTITY)
        CALL(activation_backward)(1, layer->outputs, layer->activation, AT(layer->z), layer->row, delta, layer->row,
                                  delta);
    for (;; layer--) {
        const T *input = layer == first ? x : AT(layer[-1].out);
        CALL(outer)(layer->inputs, layer->outputs, input, delta, gradient + layer->weights, layer->outputs);
        if (layer == first)
            return loss;
        T *below = gradient + layer[-1].bias;
        CALL(dense_backward)(layer->inputs, layer->outputs, parameters + layer->weights, layer->outputs, delta,
                             layer[-1].activation, AT(layer[-1].z), below);
        delta = below;
    }
}

/* A batch, from what forward left.  delta: the gradient of what the last layer put out, which is overwritten.  dx,
 * unless NULL, becomes the gradient of the input, dx_row elements from row to row. */
static inline void NETWORK(backward)(const mlopt_kernels *table, const mlopt_network *network, const T *parameters,
                                     size_t rows, const T *x, size_t x_row, const uint64_t *dropout,
                                     const mlopt_workspace *workspace, T *gradient, T *dx, size_t dx_row)
{
    const mlopt_layer *first = network->layers, *layer = first + network->count - 1;
    T *delta = AT(network->deltas[0]), *below = AT(network->deltas[1]);
    for (;; layer--) {
        const size_t inputs = layer->inputs, outputs = layer->outputs, row = layer->row;
        CALL(activation_backward)(rows, outputs, layer->activation, AT(layer->z), row, delta, row,
                                  gradient + (layer->normalises ? layer->shift : layer->bias));
        if (layer->normalises)
            CALL(layer_norm_backward)(rows, outputs, parameters + layer->gain, AT(layer->normed), row,
                                      AT(layer->deviations), delta, row, gradient + layer->gain,
                                      gradient + layer->bias);
        const int dropped = layer != first && dropout && layer[-1].dropout > 0;
        const T *input = layer == first ? x : AT(dropped ? layer[-1].dropped : layer[-1].out);
        const size_t input_row = layer == first ? x_row : layer[-1].row;
        NETWORK(product)(table, workspace, inputs, outputs, rows, input, 1, input_row, delta, row, 1,
                         gradient + layer->weights, outputs, 0);
        if (layer == first && !dx)
            return;
        T *const to = layer == first ? dx : below;
        const size_t to_row = layer == first ? dx_row : layer[-1].row;
        NETWORK(product)(table, workspace, rows, inputs, outputs, delta, row, 1, parameters + layer->weights, 1,
                         outputs, to, to_row, 0);
        if (layer == first)
            return;
        if (dropped)
            CALL(dropout)(rows, inputs, mlopt_dropout_key(dropout[0], dropout[1], (uint64_t)(layer - 1 - first)),
                          layer[-1].dropout, below, to_row, below, to_row);
        T *const done = delta;
        delta = below;
        below = done;
    }
}

static inline double NETWORK(gradient_batch)(const mlopt_kernels *table, const mlopt_network *network,
                                             const mlopt_objective *objective, const T *parameters, size_t rows,
                                             const T *x, size_t x_row, const mlopt_targets *targets,
                                             const uint64_t *dropout, const mlopt_workspace *workspace, T *gradient,
                                             T *dx, size_t dx_row)
{
    size_t row;
    const T *output = NETWORK(forward)(table, network, parameters, rows, x, x_row, dropout, workspace, NULL, &row);
    const double loss = NETWORK(loss_of)(table, objective, rows, output, row, targets, AT(network->deltas[0]), row);
    NETWORK(backward)(table, network, parameters, rows, x, x_row, dropout, workspace, gradient, dx, dx_row);
    return loss;
}

/* The gradient of the mean loss over the rows; returns that loss. */
static inline double NETWORK(gradient)(const mlopt_kernels *table, const mlopt_network *network,
                                       const mlopt_objective *objective, const T *parameters, size_t rows, const T *x,
                                       size_t x_row, const mlopt_targets *targets, const uint64_t *dropout,
                                       const mlopt_workspace *workspace, T *gradient)
{
    if (rows > 1 || dropout || !network->plain)
        return NETWORK(gradient_batch)(table, network, objective, parameters, rows, x, x_row, targets, dropout,
                                       workspace, gradient, NULL, 0);
    size_t row;
    const T *output = NETWORK(forward)(table, network, parameters, 1, x, x_row, NULL, workspace, NULL, &row);
    return NETWORK(gradient_one)(table, network, objective, parameters, x, output, targets, workspace, gradient);
}
