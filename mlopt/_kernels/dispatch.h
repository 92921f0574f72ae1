/* One immutable table of kernel pointers per tier, generated from the register (kernels.def). */
#ifndef MLOPT_DISPATCH_H
#define MLOPT_DISPATCH_H

#include "cpu.h"
#include "signatures.h"

typedef enum mlopt_tier {
#define TIER(name, needs, purpose) MLOPT_TIER_##name,
#include "tiers.def"
#undef TIER
    MLOPT_TIER_COUNT
} mlopt_tier;

typedef struct mlopt_kernels {
    mlopt_tier tier; /* the highest tier this table may draw from */
#define KERNEL(family, name, type, signature, flops, bound) mlopt_##signature##_##type *name##_##type;
#include "kernels.def"
#undef KERNEL
} mlopt_kernels;

/* The process's table, and whether any context may have another. */
typedef struct mlopt_choice {
    const mlopt_kernels *table;
    int overridden;
} mlopt_choice;

/* A row of the register, for tests, benchmarks and reports. */
typedef struct mlopt_kernel_info {
    const char *family, *name, *type, *signature;
    double flops, bound;
    size_t offset; /* of its pointer in mlopt_kernels */
} mlopt_kernel_info;

typedef struct mlopt_tier_info {
    const char *name, *purpose;
    uint32_t needs;
    int built;     /* its kernels are in this build */
    int available; /* it has kernels here, or adds none, and the machine has what it needs */
} mlopt_tier_info;

/* Fills the tables for the machine; repeated calls do nothing.  Call before anything below. */
void mlopt_dispatch_init(void);

extern mlopt_tier_info mlopt_tiers[MLOPT_TIER_COUNT];
extern const mlopt_kernel_info mlopt_register[];
extern const size_t mlopt_register_count;

/* The table capped at a tier: generic's kernels, overridden by every available tier up to the cap,
 * best last; for MLOPT_TIER_reference the reference kernels alone.  NULL where the tier is not
 * available.  No entry of a returned table is NULL. */
const mlopt_kernels *mlopt_table(mlopt_tier cap);

/* The tier whose body stands in a table's entry: "the forced tier is the one that ran". */
mlopt_tier mlopt_origin(const mlopt_kernels *table, const mlopt_kernel_info *kernel);

/* The best available tier. */
mlopt_tier mlopt_best_tier(void);

#endif
