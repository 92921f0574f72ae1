/* A network laid out for one sample by the kernels of a table: see packed_plan in nn/nn.h. */
#ifndef MLOPT_NN_PLAN_H
#define MLOPT_NN_PLAN_H

#include "network.h"

/* Some steps of a plan. */
typedef struct mlopt_plan_part {
    size_t count;
    void *steps;
} mlopt_plan_part;

typedef struct mlopt_plan {
    const mlopt_kernels *table; /* whose kernels made it; NULL: there is none */
    size_t version;             /* of the parameters that are packed in it */
    mlopt_plan_part forward;
    mlopt_plan_part *back; /* of every layer but the first: from the gradient of its sums to that of its inputs; NULL
                              where no gradient was wanted */
} mlopt_plan;

/* Bytes of a step, of the larger type. */
#define MLOPT_PLAN_STEP_BYTES sizeof(mlopt_packed_step_f64)
/* Scratch: bytes of a layer, of the larger type. */
#define MLOPT_PLAN_LAYER_BYTES sizeof(mlopt_packed_layer_f64)

#define CALL(kernel) table->NN_JOIN(kernel##_, MLOPT_REAL)
#define NETWORK(name) NN_JOIN(mlopt_network_##name##_, MLOPT_REAL)
#define PLAN(name) NN_JOIN(mlopt_plan_##name##_, MLOPT_REAL)
#define AT(offset) ((T *)workspace->samples + (offset) * workspace->capacity)

#define T float
#define MLOPT_REAL f32
#include "plan_body.h"
#undef T
#undef MLOPT_REAL

#define T double
#define MLOPT_REAL f64
#include "plan_body.h"
#undef T
#undef MLOPT_REAL

#undef CALL
#undef NETWORK
#undef PLAN
#undef AT

static inline void mlopt_plan_run(const mlopt_plan *plan, int is_f64, const void *x, void *out)
{
    const mlopt_kernels *const table = plan->table;
    if (is_f64)
        table->packed_run_f64(plan->forward.count, plan->forward.steps, x, out);
    else
        table->packed_run_f32(plan->forward.count, plan->forward.steps, x, out);
}

#endif
