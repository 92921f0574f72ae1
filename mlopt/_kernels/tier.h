/* Included first by every source that is compiled once per tier; MLOPT_TIER is the tier's name. */
#ifndef MLOPT_TIER_H
#define MLOPT_TIER_H

#include "dispatch.h"

#ifndef MLOPT_TIER
#error "compile this file with -DMLOPT_TIER=<tier>"
#endif

#define MLOPT_JOIN_(a, b) a##b
#define MLOPT_JOIN(a, b) MLOPT_JOIN_(a, b)
#define MLOPT_JOIN3(a, b, c) MLOPT_JOIN(MLOPT_JOIN(a, b), c)

/* The exported symbol of a kernel: mlopt_exp_f32_avx512. */
#define MLOPT_SYMBOL(name, type) MLOPT_JOIN(MLOPT_JOIN3(mlopt_, name, _), MLOPT_JOIN3(type, _, MLOPT_TIER))

/* Every kernel of the register, declared under this tier's symbol. */
#define KERNEL(family, name, type, signature, flops, bound) mlopt_##signature##_##type MLOPT_SYMBOL(name, type);
#include "kernels.def"
#undef KERNEL

#endif
