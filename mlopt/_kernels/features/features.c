#include "features.h"

#include "../simd/simd.h"

#include <fenv.h>

#include "../vector/coefficients.h"
#include "../vector/lookups.h"

#define MLOPT_REAL f64
#include "../simd/real.h"
#include "../vector/functions.h"
#include "steps.h"
#include "windows.h"

void K(features_update)(const mlopt_features_plan *plan, void *state, const double *bar, double *out)
{
    mlopt_features_state *header = state;
    const int64_t now = header->bars;
    for (int64_t s = 0; s < plan->step_count; s++) {
        const mlopt_features_step *step = &plan->steps[s];
        const double *parameters = (const double *)plan + step->parameters;
        switch (step->kind) {
        case MLOPT_FEATURES_bar:
            F(step_bar)(step, header, bar);
            break;
        case MLOPT_FEATURES_output:
            F(step_output)(plan, step, parameters, state, now, out);
            break;
#define CASE(kind)                                                                                                     \
    case MLOPT_FEATURES_##kind:                                                                                        \
        F(step_##kind)(step, parameters, state, now);                                                                  \
        break;
            CASE(push)
            CASE(lag)
            CASE(linear)
            CASE(product)
            CASE(quotient)
            CASE(logarithm)
            CASE(root)
            CASE(sum)
            CASE(weighted)
            CASE(moments)
            CASE(average)
            CASE(extrema)
            CASE(deviation)
            CASE(accumulate)
#undef CASE
        }
    }
    memcpy(header->before, header->last, 5 * sizeof(double));
    memcpy(header->last, bar, 5 * sizeof(double));
    header->bars = now + 1;
}

#include "../simd/real_end.h"
