/* The functions of plan.h for the element type T. */

/* Lays out the network; back: one part a layer, or NULL.  Returns the number of steps, and how many elements of packed
 * they take; steps NULL: nothing is written.  layers: scratch, one a layer. */
static inline size_t PLAN(make)(const mlopt_kernels *table, const mlopt_network *network, const T *parameters,
                                const mlopt_workspace *workspace, void *layers, char *steps, T *packed, size_t *length,
                                mlopt_plan_part *forward, mlopt_plan_part *back)
{
    NN_JOIN(mlopt_packed_layer_, MLOPT_REAL) *const to = layers;
    size_t used, count;
    for (size_t i = 0; i < network->count; i++) {
        const mlopt_layer *const l = network->layers + i;
        to[i].inputs = l->inputs;
        to[i].outputs = l->outputs;
        to[i].w = parameters + l->weights;
        to[i].bias = parameters + l->bias;
        to[i].w_row = l->outputs;
        to[i].w_column = 1;
        to[i].z = AT(l->z);
        to[i].out = AT(l->out);
        to[i].room = l->row;
        to[i].activation = l->activation;
    }
    forward->steps = steps;
    count = forward->count = CALL(packed_plan)(network->count, to, (void *)steps, packed, length);
    for (size_t i = 1; back && i < network->count; i++) {
        const mlopt_layer *const l = network->layers + i;
        to->inputs = l->outputs;
        to->outputs = l->inputs;
        to->bias = NULL;
        to->w = parameters + l->weights;
        to->w_row = 1;
        to->w_column = l->outputs;
        to->room = l->inputs;
        to->z = to->out = NULL;
        to->activation = MLOPT_IDENTITY;
        back[i].steps = steps ? steps + count * sizeof(NN_JOIN(mlopt_packed_step_, MLOPT_REAL)) : NULL;
        back[i].count = CALL(packed_plan)(1, to, back[i].steps, steps ? packed + *length : NULL, &used);
        count += back[i].count;
        *length += used;
    }
    return count;
}

/* The gradient of one sample; returns its loss. */
static inline double PLAN(gradient)(const mlopt_plan *plan, const mlopt_network *network,
                                    const mlopt_objective *objective, const T *x, const mlopt_targets *targets,
                                    const mlopt_workspace *workspace, T *gradient)
{
    const mlopt_kernels *const table = plan->table;
    const mlopt_layer *const first = network->layers, *layer = first + network->count - 1;
    T *const output = AT(layer->out);
    CALL(packed_run)(plan->forward.count, plan->forward.steps, x, output);
    T *delta = gradient + layer->bias;
    const double loss = NETWORK(loss_of)(table, objective, 1, output, layer->row, targets, delta, layer->row);
    for (;; layer--) {
        if (layer->activation != MLOPT_IDENTITY)
            CALL(activation_backward)(1, layer->outputs, layer->activation, AT(layer->z), layer->row, delta, layer->row,
                                      delta);
        const T *const input = layer == first ? x : AT(layer[-1].out);
        CALL(outer)(layer->inputs, layer->outputs, input, delta, gradient + layer->weights, layer->outputs);
        if (layer == first)
            return loss;
        T *const below = gradient + layer[-1].bias;
        const mlopt_plan_part *const back = plan->back + (layer - first);
        CALL(packed_run)(back->count, back->steps, delta, below);
        delta = below;
    }
}
