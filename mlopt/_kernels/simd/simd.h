/* The vector vocabulary of the tier being compiled (README.md lists its words). */
#ifndef MLOPT_SIMD_H
#define MLOPT_SIMD_H

#include "../tier.h"

#include <math.h>
#include <string.h>

#define MLOPT_INLINE static inline __attribute__((always_inline, unused))
#if defined(__clang__)
#define MLOPT_UNROLL_FULLY _Pragma("clang loop unroll(full)")
#define MLOPT_ROLLED _Pragma("clang loop unroll(disable)")
#else
#define MLOPT_UNROLL_FULLY _Pragma("GCC unroll 64")
#define MLOPT_ROLLED _Pragma("GCC unroll 1")
#endif

#if defined(__AVX512F__)
#include "avx512.h"
#elif defined(__AVX2__)
#include "avx2.h"
#else
#include "generic.h"
#endif

#endif
