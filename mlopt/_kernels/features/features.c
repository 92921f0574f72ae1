#include "groups.h"

#include "../simd/simd.h"

#include <fenv.h>

#include "../vector/coefficients.h"
#include "../vector/lookups.h"

#define MLOPT_REAL f64
#include "../simd/real.h"
#include "../vector/functions.h"

#include "kinds.h"
#include "recurrences.h"

/* What a class's function takes: the kind's constants, the walker, the step and its parameters. */
#define KIND_ARGUMENTS                                                                                                 \
    const int kind __attribute__((unused)), const int sources __attribute__((unused)),                                 \
        const int rings __attribute__((unused)), const int numbers __attribute__((unused)),                            \
        const int states __attribute__((unused)), const int results __attribute__((unused)),                           \
        const WALKER *w __attribute__((unused)), const mlopt_features_step *step __attribute__((unused)),              \
        const double *parameters __attribute__((unused))

/* The flags of the nodes from the i-th on, behind a step's rows of parameters. */
MLOPT_INLINE int64_t flags_of(const mlopt_features_step *step, const double *parameters, int rows, size_t i)
{
    return ((const int64_t *)parameters)[rows * step->lanes + (int64_t)i / MLOPT_FEATURES_LANES];
}

MLOPT_INLINE int same_source(int64_t flags, int source) { return flags >> source & 1; }
MLOPT_INLINE int result_is_read(int64_t flags, int result) { return flags >> (8 + result) & 1; }

typedef struct extrema_levels {
    const int64_t *base, *mask, *level, *lag;
} extrema_levels;

/* The numbers behind an extrema step's rows. */
MLOPT_INLINE extrema_levels extrema_levels_of(const mlopt_features_step *step, const double *parameters)
{
    const int64_t *base = (const int64_t *)parameters + 6 * step->lanes + step->lanes / MLOPT_FEATURES_LANES;
    const int64_t *mask = base + step->levels;
    const int64_t *level = mask + step->levels, *lag = level + step->windows;
    return (extrema_levels){base, mask, level, lag};
}

#include "one_bar.h"
#include "history.h"
#include "symbols.h"
#include "statistics.h"

#include "../simd/real_end.h"
