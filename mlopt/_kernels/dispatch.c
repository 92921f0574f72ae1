#include "dispatch.h"

#include <pthread.h>
#include <string.h>

/* What each tier's library brings.  meson defines MLOPT_BUILT_<tier> for the libraries it links. */
#define DECLARE(tier) extern const mlopt_kernels mlopt_tier_table_##tier;
#ifdef MLOPT_BUILT_reference
DECLARE(reference)
#define TABLE_reference &mlopt_tier_table_reference
#endif
#ifdef MLOPT_BUILT_generic
DECLARE(generic)
#define TABLE_generic &mlopt_tier_table_generic
#endif
#ifdef MLOPT_BUILT_avx2
DECLARE(avx2)
#define TABLE_avx2 &mlopt_tier_table_avx2
#else
#define TABLE_avx2 NULL
#endif
#ifdef MLOPT_BUILT_avx2_vnni
DECLARE(avx2_vnni)
#define TABLE_avx2_vnni &mlopt_tier_table_avx2_vnni
#else
#define TABLE_avx2_vnni NULL
#endif
#ifdef MLOPT_BUILT_avx512
DECLARE(avx512)
#define TABLE_avx512 &mlopt_tier_table_avx512
#else
#define TABLE_avx512 NULL
#endif
#ifdef MLOPT_BUILT_avx512_vnni
DECLARE(avx512_vnni)
#define TABLE_avx512_vnni &mlopt_tier_table_avx512_vnni
#else
#define TABLE_avx512_vnni NULL
#endif
#ifdef MLOPT_BUILT_avx512_bf16
DECLARE(avx512_bf16)
#define TABLE_avx512_bf16 &mlopt_tier_table_avx512_bf16
#else
#define TABLE_avx512_bf16 NULL
#endif

static const mlopt_kernels *const contributions[MLOPT_TIER_COUNT] = {
#define TIER(name, needs, purpose) TABLE_##name,
#include "tiers.def"
#undef TIER
};

mlopt_tier_info mlopt_tiers[MLOPT_TIER_COUNT] = {
#define TIER(name, needs, purpose) {#name, purpose, needs, 0, 0},
#include "tiers.def"
#undef TIER
};

const mlopt_kernel_info mlopt_register[] = {
#define KERNEL(family, name, type, signature, flops, bound)                                                            \
    {#family, #name, #type, #signature, flops, bound, offsetof(mlopt_kernels, name##_##type)},
#include "kernels.def"
#undef KERNEL
};
const size_t mlopt_register_count = sizeof mlopt_register / sizeof *mlopt_register;

static mlopt_kernels tables[MLOPT_TIER_COUNT];
static pthread_once_t filled = PTHREAD_ONCE_INIT;

typedef void (*entry)(void);

static entry get(const mlopt_kernels *table, size_t offset)
{
    entry pointer;
    memcpy(&pointer, (const char *)table + offset, sizeof pointer);
    return pointer;
}

static void overlay(mlopt_kernels *table, const mlopt_kernels *with)
{
    for (size_t i = 0; i < mlopt_register_count; i++) {
        const size_t offset = mlopt_register[i].offset;
        if (get(with, offset))
            memcpy((char *)table + offset, (const char *)with + offset, sizeof(entry));
    }
}

static void fill(void)
{
    const uint32_t features = mlopt_cpu_detect()->features;
    for (int t = 0; t < MLOPT_TIER_COUNT; t++) {
        mlopt_tiers[t].built = contributions[t] != NULL;
        mlopt_tiers[t].available =
            (mlopt_tiers[t].needs & ~features) == 0 && (mlopt_tiers[t].built || t == MLOPT_TIER_avx2_vnni ||
                                                        t == MLOPT_TIER_avx512_vnni || t == MLOPT_TIER_avx512_bf16);
    }
    for (int cap = 0; cap < MLOPT_TIER_COUNT; cap++) {
        const int first = cap == MLOPT_TIER_reference ? MLOPT_TIER_reference : MLOPT_TIER_generic;
        for (int t = first; t <= cap; t++)
            if (mlopt_tiers[t].available && contributions[t])
                overlay(&tables[cap], contributions[t]);
        tables[cap].tier = (mlopt_tier)cap;
    }
}

void mlopt_dispatch_init(void) { pthread_once(&filled, fill); }

const mlopt_kernels *mlopt_table(mlopt_tier cap) { return mlopt_tiers[cap].available ? &tables[cap] : NULL; }

mlopt_tier mlopt_origin(const mlopt_kernels *table, const mlopt_kernel_info *kernel)
{
    const entry pointer = get(table, kernel->offset);
    for (int t = 0; t < MLOPT_TIER_COUNT; t++)
        if (contributions[t] && get(contributions[t], kernel->offset) == pointer)
            return (mlopt_tier)t;
    return MLOPT_TIER_COUNT;
}

mlopt_tier mlopt_best_tier(void)
{
    for (int t = MLOPT_TIER_COUNT - 1; t > 0; t--)
        if (mlopt_tiers[t].available)
            return (mlopt_tier)t;
    return MLOPT_TIER_reference;
}
