/* A network laid out for one sample by the kernels of a table: see packed_plan in nn/nn.h. */
#ifndef MLOPT_NN_PLAN_H
#define MLOPT_NN_PLAN_H

#include "network.h"

typedef struct mlopt_plan {
    const mlopt_kernels *table; /* whose kernels made it; NULL: there is none */
    size_t version;             /* of the parameters that are packed in it */
    size_t count;               /* steps */
    void *steps;
} mlopt_plan;

#define MLOPT_PLAN(type, T)                                                                                            \
    /* Steps, and elements of packed, that the plan takes; steps NULL: nothing is written.  layers: scratch, one a     \
     * layer. */                                                                                                       \
    static inline size_t mlopt_plan_make_##type(const mlopt_kernels *table, const mlopt_network *network,                   \
                                           const T *parameters, const mlopt_workspace *workspace, void *layers,        \
                                           void *steps, T *packed, size_t *length)                                     \
    {                                                                                                                  \
        mlopt_packed_layer_##type *const to = layers;                                                                  \
        T *const samples = workspace->samples;                                                                         \
        for (size_t i = 0; i < network->count; i++) {                                                                  \
            const mlopt_layer *const l = network->layers + i;                                                          \
            to[i] = (mlopt_packed_layer_##type){                                                                       \
                .inputs = l->inputs,                                                                                   \
                .outputs = l->outputs,                                                                                 \
                .w = parameters + l->weights,                                                                          \
                .bias = parameters + l->bias,                                                                          \
                .w_row = l->outputs,                                                                                   \
                .z = samples + l->z * workspace->capacity,                                                             \
                .out = samples + l->out * workspace->capacity,                                                         \
                .room = l->row,                                                                                        \
                .activation = l->activation,                                                                           \
            };                                                                                                         \
        }                                                                                                              \
        return table->packed_plan_##type(network->count, to, steps, packed, length);                                   \
    }

MLOPT_PLAN(f32, float)
MLOPT_PLAN(f64, double)
#undef MLOPT_PLAN

static inline void mlopt_plan_run(const mlopt_plan *plan, int is_f64, const void *x, void *out)
{
    if (is_f64)
        plan->table->packed_run_f64(plan->count, plan->steps, x, out);
    else
        plan->table->packed_run_f32(plan->count, plan->steps, x, out);
}

/* Bytes of a step, and of a layer's scratch, of the larger type. */
#define MLOPT_PLAN_STEP_BYTES sizeof(mlopt_packed_step_f64)
#define MLOPT_PLAN_LAYER_BYTES sizeof(mlopt_packed_layer_f64)

#endif
