/* The functions of network.h for the element type T: forward and gradient. */

/* What follows a product, tile by tile: the pass over a layer's sums, or over the gradient of what it put out. */
typedef struct NETWORK(after) {
    const mlopt_kernels *table;
    mlopt_activation activation;
    const T *bias;     /* forward */
    T *out;            /* forward: what the activation makes of the sums */
    const T *saved;    /* backward */
    size_t row, c_row; /* elements from row to row, of out or saved, and of C */
} NETWORK(after);

static void NETWORK(activate)(const void *with, size_t rows, size_t columns, size_t row, size_t column, T *c)
{
    const NETWORK(after) *const a = with;
    a->table->NN_JOIN(bias_activation_, MLOPT_REAL)(rows, columns, a->bias + column, a->activation, c, a->c_row,
                                                    a->out + row * a->row + column, a->row);
}

static void NETWORK(differentiate)(const void *with, size_t rows, size_t columns, size_t row, size_t column, T *c)
{
    const NETWORK(after) *const a = with;
    a->table->NN_JOIN(activation_backward_, MLOPT_REAL)(rows, columns, a->activation, a->saved + row * a->row + column,
                                                        a->row, c, a->c_row, NULL);
}

/* c = a b or c += a b, sizes m x k and k x n, by member `crew` of the crew; then `finish`, unless NULL. */
static inline void NETWORK(product)(const mlopt_kernels *table, const mlopt_workspace *workspace, int crew, size_t m,
                                    size_t n, size_t k, const T *a, size_t a_row, size_t a_column, const T *b,
                                    size_t b_row, size_t b_column, T *c, size_t c_row, int accumulate,
                                    void (*finish)(const void *, size_t, size_t, size_t, size_t, T *),
                                    const NETWORK(after) * with)
{
    const NN_JOIN(mlopt_gemm_job_, MLOPT_FORM) job = {
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
        .workspace = workspace->product + (size_t)crew * workspace->product_bytes,
    };
    const NN_JOIN(mlopt_gemm_finish_, MLOPT_REAL) then = {finish, with};
#if MLOPT_SHORT
    table->gemm_bf16(&job, finish ? &then : NULL);
#else
    CALL(gemm_then)(&job, finish ? &then : NULL);
#endif
}

/* A pass over a batch, for the crew. */
typedef struct NETWORK(pass) {
    const mlopt_kernels *table;
    const mlopt_network *network;
    const T *parameters;
    size_t rows;
    const T *x;
    size_t x_row;
    const uint64_t *dropout; /* NULL, or the seed and the number of the step */
    const mlopt_workspace *workspace;
    T *out; /* of the last layer, or NULL: into the workspace */
    T *gradient;
    const mlopt_layer *layer; /* backward: where it is, */
    T *delta, *below;         /* the gradient of its sums, and where that of its inputs goes */
    size_t below_row;
} NETWORK(pass);

/* All layers for some rows, without the link.  Returns the last one's result of the first of them, and the elements
 * from row to row. */
static inline T *NETWORK(forward_rows)(const NETWORK(pass) * pass, int crew, size_t first, size_t rows, size_t *out_row)
{
    const mlopt_kernels *const table = pass->table;
    const mlopt_network *const network = pass->network;
    const mlopt_workspace *const workspace = pass->workspace;
    const uint64_t *const dropout = pass->dropout;
    const mlopt_layer *layer = network->layers, *last = layer + network->count - 1;
    size_t input_row = pass->x_row;
    const T *input = pass->x + first * input_row;
    for (;; layer++) {
        const T *weights = pass->parameters + layer->weights, *bias = pass->parameters + layer->bias;
        const size_t outputs = layer->outputs, row = layer->row;
        T *result = AT(layer->out) + first * row;
        size_t result_row = row;
        if (layer == last && pass->out) {
            result = pass->out + first * outputs;
            result_row = outputs;
        }
        T *z = result;
        size_t z_row = result_row;
        if (layer->z != layer->out) {
            z = AT(layer->z) + first * row;
            z_row = row;
        }
        if (pass->rows == 1 && !layer->normalises)
            CALL(dense)(layer->inputs, outputs, input, weights, outputs, bias, layer->activation, z, result);
        else {
            const NETWORK(after) after = {table, layer->activation, bias, result, NULL, result_row, z_row};
            NETWORK(product)(table, workspace, crew, rows, outputs, layer->inputs, input, input_row, 1, weights,
                             outputs, 1, z, z_row, 0, layer->normalises ? NULL : NETWORK(activate), &after);
            if (layer->normalises) {
                CALL(layer_norm)(rows, outputs, bias, pass->parameters + layer->gain, (T)MLOPT_LAYER_NORM_EPS, z, z_row,
                                 AT(layer->normed) + first * row, row, AT(layer->deviations) + first);
                CALL(bias_activation)(rows, outputs, pass->parameters + layer->shift, layer->activation, z, z_row,
                                      result, result_row);
            }
        }
        if (layer == last) {
            *out_row = result_row;
            return result;
        }
        if (dropout && layer->dropout > 0) {
            T *const dropped = AT(layer->dropped) + first * row;
            CALL(dropout)(first, rows, outputs,
                          mlopt_dropout_key(dropout[0], dropout[1], (uint64_t)(layer - network->layers)),
                          layer->dropout, result, result_row, dropped, row);
            result = dropped;
        }
        input = result;
        input_row = result_row;
    }
}

static void NETWORK(forward_part)(int i, void *argument)
{
    const NETWORK(pass) *const pass = argument;
    const int count = pass->workspace->crew.size;
    const size_t first = mlopt_part_begin(pass->rows, MLOPT_GEMM_PANEL, i, count),
                 end = mlopt_part_begin(pass->rows, MLOPT_GEMM_PANEL, i + 1, count);
    size_t row;
    if (first < end)
        NETWORK(forward_rows)(pass, i, first, end - first, &row);
}

static inline T *NETWORK(forward)(NETWORK(pass) * pass, size_t *out_row)
{
    const mlopt_layer *const last = pass->network->layers + pass->network->count - 1;
    const mlopt_workspace *const workspace = pass->workspace;
    if (workspace->crew.size == 1)
        return NETWORK(forward_rows)(pass, 0, 0, pass->rows, out_row);
    mlopt_crew_run(&workspace->crew, NETWORK(forward_part), pass);
    *out_row = pass->out ? last->outputs : last->row;
    return pass->out ? pass->out : AT(last->out);
}

/* x has x_row elements from row to row, out has no gaps. */
static inline void NETWORK(predict)(const mlopt_kernels *table, const mlopt_network *network,
                                    const mlopt_objective *objective, const T *parameters, size_t rows, const T *x,
                                    size_t x_row, const mlopt_workspace *workspace, T *out)
{
    NETWORK(pass)
    pass = {.table = table,
            .network = network,
            .parameters = parameters,
            .rows = rows,
            .x = x,
            .x_row = x_row,
            .workspace = workspace,
            .out = out};
    size_t out_row;
    NETWORK(forward)(&pass, &out_row);
    NETWORK(apply_link)(table, objective, rows, out);
}

static inline double NETWORK(loss)(const mlopt_kernels *table, const mlopt_network *network,
                                   const mlopt_objective *objective, const T *parameters, size_t rows, const T *x,
                                   size_t x_row, const mlopt_targets *targets, const mlopt_workspace *workspace)
{
    NETWORK(pass)
    pass = {.table = table,
            .network = network,
            .parameters = parameters,
            .rows = rows,
            .x = x,
            .x_row = x_row,
            .workspace = workspace};
    size_t row;
    const T *output = NETWORK(forward)(&pass, &row);
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

/* Whether the inputs of a layer were dropped out. */
static inline int NETWORK(drops)(const NETWORK(pass) * pass, const mlopt_layer *layer)
{
    return layer != pass->network->layers && pass->dropout && layer[-1].dropout > 0;
}

/* Some columns of a layer: the sums of the gradients of its sums, and their products with the inputs. */
static void NETWORK(weights_part)(int i, void *argument)
{
    const NETWORK(pass) *const pass = argument;
    const mlopt_kernels *const table = pass->table;
    const mlopt_workspace *const workspace = pass->workspace;
    const mlopt_layer *const layer = pass->layer, *const lowest = pass->network->layers;
    const int count = workspace->crew.size;
    const size_t outputs = layer->outputs, row = layer->row;
    const size_t first = mlopt_part_begin(outputs, MLOPT_GEMM_PANEL, i, count),
                 end = mlopt_part_begin(outputs, MLOPT_GEMM_PANEL, i + 1, count);
    if (first == end)
        return;
    T *const delta = pass->delta + first;
    if (!layer->normalises)
        CALL(activation_backward)(pass->rows, end - first, MLOPT_IDENTITY, delta, row, delta, row,
                                  pass->gradient + layer->bias + first);
    const T *const input =
        layer == lowest ? pass->x : AT(NETWORK(drops)(pass, layer) ? layer[-1].dropped : layer[-1].out);
    NETWORK(product)(table, workspace, i, layer->inputs, end - first, pass->rows, input, 1,
                     layer == lowest ? pass->x_row : layer[-1].row, delta, row, 1,
                     pass->gradient + layer->weights + first, outputs, 0, NULL, NULL);
}

/* Some rows: from the gradient of a layer's sums to that of the sums of the layer below, unless it normalises. */
static void NETWORK(rows_part)(int i, void *argument)
{
    const NETWORK(pass) *const pass = argument;
    const mlopt_kernels *const table = pass->table;
    const mlopt_workspace *const workspace = pass->workspace;
    const mlopt_layer *const layer = pass->layer, *const lowest = pass->network->layers;
    const int count = workspace->crew.size, dropped = NETWORK(drops)(pass, layer);
    const size_t first = mlopt_part_begin(pass->rows, MLOPT_GEMM_PANEL, i, count),
                 end = mlopt_part_begin(pass->rows, MLOPT_GEMM_PANEL, i + 1, count);
    if (first == end)
        return;
    const size_t rows = end - first, inputs = layer->inputs, below_row = pass->below_row;
    T *const below = pass->below + first * below_row;
    NETWORK(after) after = {.table = table, .c_row = below_row};
    if (layer != lowest) {
        after.activation = layer[-1].activation;
        after.saved = AT(layer[-1].z) + first * layer[-1].row;
        after.row = layer[-1].row;
    }
    const int now = layer != lowest && !dropped && after.activation != MLOPT_IDENTITY;
    NETWORK(product)(table, workspace, i, rows, inputs, layer->outputs, pass->delta + first * layer->row, layer->row, 1,
                     pass->parameters + layer->weights, 1, layer->outputs, below, below_row, 0,
                     now ? NETWORK(differentiate) : NULL, &after);
    if (dropped) {
        const uint64_t *const dropout = pass->dropout;
        CALL(dropout)(first, rows, inputs, mlopt_dropout_key(dropout[0], dropout[1], (uint64_t)(layer - 1 - lowest)),
                      layer[-1].dropout, below, below_row, below, below_row);
        NETWORK(differentiate)(&after, rows, inputs, 0, 0, below);
    }
}

/* A batch, from what forward left.  The gradient of what the last layer put out stands in the workspace, and is
 * overwritten.  dx, unless NULL, becomes the gradient of the input, dx_row elements from row to row. */
static inline void NETWORK(backward)(NETWORK(pass) * pass, T *dx, size_t dx_row)
{
    const mlopt_kernels *const table = pass->table;
    const mlopt_network *const network = pass->network;
    const mlopt_workspace *const workspace = pass->workspace;
    const mlopt_layer *const first = network->layers, *layer = first + network->count - 1;
    T *delta = AT(network->deltas[0]), *below = AT(network->deltas[1]);
    const size_t rows = pass->rows;
    if (layer->activation != MLOPT_IDENTITY)
        CALL(activation_backward)(rows, layer->outputs, layer->activation, AT(layer->z), layer->row, delta, layer->row,
                                  NULL);
    for (;; layer--) {
        if (layer->normalises) {
            const T *const gain = pass->parameters + layer->gain;
            CALL(activation_backward)(rows, layer->outputs, MLOPT_IDENTITY, delta, layer->row, delta, layer->row,
                                      pass->gradient + layer->shift);
            CALL(layer_norm_backward)(rows, layer->outputs, gain, AT(layer->normed), layer->row, AT(layer->deviations),
                                      delta, layer->row, pass->gradient + layer->gain, pass->gradient + layer->bias);
        }
        pass->layer = layer;
        pass->delta = delta;
        mlopt_crew_run(&workspace->crew, NETWORK(weights_part), pass);
        if (layer == first && !dx)
            return;
        pass->below = layer == first ? dx : below;
        pass->below_row = layer == first ? dx_row : layer[-1].row;
        mlopt_crew_run(&workspace->crew, NETWORK(rows_part), pass);
        if (layer == first)
            return;
        T *const done = delta;
        delta = below;
        below = done;
    }
}

/* The gradient of the mean loss over the rows; returns that loss. */
static inline double NETWORK(gradient)(const mlopt_kernels *table, const mlopt_network *network,
                                       const mlopt_objective *objective, const T *parameters, size_t rows, const T *x,
                                       size_t x_row, const mlopt_targets *targets, const uint64_t *dropout,
                                       const mlopt_workspace *workspace, T *gradient)
{
    NETWORK(pass)
    pass = {.table = table,
            .network = network,
            .parameters = parameters,
            .rows = rows,
            .x = x,
            .x_row = x_row,
            .dropout = dropout,
            .workspace = workspace,
            .gradient = gradient};
    size_t row;
    const T *output = NETWORK(forward)(&pass, &row);
    if (rows == 1 && !dropout && network->plain)
        return NETWORK(gradient_one)(table, network, objective, parameters, x, output, targets, workspace, gradient);
    const double loss = NETWORK(loss_of)(table, objective, rows, output, row, targets, AT(network->deltas[0]), row);
    NETWORK(backward)(&pass, NULL, 0);
    return loss;
}
