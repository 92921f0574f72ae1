/* The table of one tier: every kernel of the families it brings under the tier's symbol; NULL for the others. */
#include "tier.h"

extern const mlopt_kernels MLOPT_JOIN(mlopt_tier_table_, MLOPT_TIER);

/* meson defines MLOPT_HAS_<family> as 0 or 1 */
#define ENTRY_0(symbol) NULL
#define ENTRY_1(symbol) symbol

const mlopt_kernels MLOPT_JOIN(mlopt_tier_table_, MLOPT_TIER) = {
    .tier = MLOPT_JOIN(MLOPT_TIER_, MLOPT_TIER),
#define KERNEL(family, name, type, signature, flops, bound)                                                            \
    .name##_##type = MLOPT_JOIN(ENTRY_, MLOPT_HAS_##family)(MLOPT_SYMBOL(name, type)),
#include "kernels.def"
#undef KERNEL
};
