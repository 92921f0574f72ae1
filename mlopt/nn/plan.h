/* A network laid out for one sample by the kernels of a table: see packed_plan in nn/nn.h. */
#ifndef MLOPT_NN_PLAN_H
#define MLOPT_NN_PLAN_H

#include "network.h"

#define MLOPT_PLAN(type, T)                                                                                            \
    /* Steps, and elements of packed, that the plan takes; steps NULL: nothing is written.  layers: scratch, one a     \
     * layer. */                                                                                                       \
    static inline size_t mlopt_plan_##type(const mlopt_kernels *table, const mlopt_network *network,                   \
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
    }                                                                                                                  \
    static inline void mlopt_run_plan_##type(const mlopt_kernels *table, size_t count, const void *steps, const T *x,  \
                                             T *out)                                                                   \
    {                                                                                                                  \
        table->packed_run_##type(count, steps, x, out);                                                                \
    }

MLOPT_PLAN(f32, float)
MLOPT_PLAN(f64, double)
#undef MLOPT_PLAN

/* Bytes of a step, and of a layer's scratch, of the larger type. */
#define MLOPT_PLAN_STEP_BYTES sizeof(mlopt_packed_step_f64)
#define MLOPT_PLAN_LAYER_BYTES sizeof(mlopt_packed_layer_f64)

#endif
