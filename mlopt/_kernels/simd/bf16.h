/* Words for bfloat16, over the registers of simd.h: what the bf16 family adds to the vocabulary.
 *
 *   bf16_pairs                   f32_LANES pairs of bfloat16, the first of a pair in the lower half of its lane
 *   bf16_spread(p)               the pair at p in every lane
 *   bf16_operand bf16_split(v)   what bf16_dot wants of pairs
 *   bf16_dot(c, a, b)            c + a0 b0 + a1 b1 of the pairs of every lane; float32 sums */
#ifndef MLOPT_SIMD_BF16_H
#define MLOPT_SIMD_BF16_H

#include "simd.h"

typedef f32i bf16_pairs;

MLOPT_INLINE bf16_pairs bf16_spread(const uint16_t *p)
{
    int32_t pair;
    memcpy(&pair, p, 4);
    return f32_int_set1(pair);
}

#if defined(__AVX512BF16__)
typedef bf16_pairs bf16_operand;
MLOPT_INLINE bf16_operand bf16_split(bf16_pairs v) { return v; }
MLOPT_INLINE f32v bf16_dot(f32v c, bf16_operand a, bf16_operand b)
{
    return _mm512_dpbf16_ps(c, (__m512bh)a, (__m512bh)b);
}
#else
typedef struct {
    f32v even, odd;
} bf16_operand;
MLOPT_INLINE bf16_operand bf16_split(bf16_pairs v)
{
    const f32v whole = f32_from_int(v), odd = f32_from_int(f32_int_and(v, f32_int_set1((int32_t)0xffff0000)));
#if defined(__AVX512F__)
    const f32v even = f32_from_int(_mm512_slli_epi32(f32_as_int(whole), 16));
#elif defined(__AVX2__)
    const f32v even = f32_from_int(_mm256_slli_epi32(f32_as_int(whole), 16));
#else
    const f32v even = f32_from_int((f32i)((f32u)f32_as_int(whole) << 16));
#endif
    return (bf16_operand){even, odd};
}
MLOPT_INLINE f32v bf16_dot(f32v c, bf16_operand a, bf16_operand b)
{
    return f32_fma(a.even, b.even, f32_fma(a.odd, b.odd, c));
}
#endif

#endif
