/* The table of one tier: every kernel of the register under the tier's symbol. */
#include "tier.h"

extern const mlopt_kernels MLOPT_JOIN(mlopt_tier_table_, MLOPT_TIER);

const mlopt_kernels MLOPT_JOIN(mlopt_tier_table_, MLOPT_TIER) = {
    .tier = MLOPT_JOIN(MLOPT_TIER_, MLOPT_TIER),
#define KERNEL(family, name, type, signature, flops, bound) .name##_##type = MLOPT_SYMBOL(name, type),
#include "kernels.def"
#undef KERNEL
};
