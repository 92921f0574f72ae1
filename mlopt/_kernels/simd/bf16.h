/* Words for bfloat16, over the registers of simd.h: what the bf16 family adds to the vocabulary.
 *
 *   bf16_pairs                   f32_LANES pairs of bfloat16, the first of a pair in the lower half of its lane
 *   bf16_spread(p)               the pair at p in every lane
 *   bf16_operand bf16_split(v)   what bf16_dot wants of pairs
 *   bf16_dot(c, a, b)            c + a0 b0 + a1 b1 of the pairs of every lane; float32 sums
 *
 *   bf16_bits(v)                 float32 rounded to nearest even, the 16 bits in the lower half of each lane; a NaN
 *                                stays one, quiet
 *   bf16_value(bits)             and back
 *   bf16_load(p) bf16_load_first(p, n)        16 bits a lane, from memory, of all lanes or the first n
 *   bf16_store(p, bits) bf16_store_first(p, n, bits)
 *   bf16_join(first, second)     pairs from the lower halves
 *   bf16_store_rounded(p, v)     bf16_store(p, bf16_bits(v)), but denormals may become 0
 *   bf16_round_join(v, w)        pairs of v and w rounded likewise
 *   bf16_round_run(p)            pairs of 2 f32_LANES numbers that follow each other, rounded likewise */
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

MLOPT_INLINE f32i bf16_up(f32i v)
{
#if defined(__AVX512F__)
    return _mm512_slli_epi32(v, 16);
#elif defined(__AVX2__)
    return _mm256_slli_epi32(v, 16);
#else
    return (f32i)((f32u)v << 16);
#endif
}
MLOPT_INLINE f32i bf16_down(f32i v)
{
#if defined(__AVX512F__)
    return _mm512_srli_epi32(v, 16);
#elif defined(__AVX2__)
    return _mm256_srli_epi32(v, 16);
#else
    return (f32i)((f32u)v >> 16);
#endif
}

MLOPT_INLINE f32i bf16_bits(f32v v)
{
    const f32i bits = f32_as_int(v), one = f32_int_set1(1);
    const f32i odd = f32_int_and(bf16_down(bits), one);
    const f32i rounded = f32_int_add(bits, f32_int_add(odd, f32_int_set1(0x7fff)));
    const f32i quiet = f32_int_or(bits, f32_int_set1(0x400000));
    return bf16_down(f32_as_int(f32_select(f32_unordered(v, v), f32_from_int(quiet), f32_from_int(rounded))));
}
MLOPT_INLINE f32v bf16_value(f32i bits) { return f32_from_int(bf16_up(bits)); }
MLOPT_INLINE bf16_pairs bf16_join(f32i first, f32i second) { return f32_int_or(first, bf16_up(second)); }

#if defined(__AVX512F__)
MLOPT_INLINE f32i bf16_load(const uint16_t *p) { return _mm512_cvtepu16_epi32(_mm256_loadu_si256((const void *)p)); }
MLOPT_INLINE f32i bf16_load_first(const uint16_t *p, size_t n)
{
    return _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(f32_first(n), p));
}
MLOPT_INLINE void bf16_store(uint16_t *p, f32i bits) { _mm256_storeu_si256((void *)p, _mm512_cvtepi32_epi16(bits)); }
MLOPT_INLINE void bf16_store_first(uint16_t *p, size_t n, f32i bits)
{
    _mm256_mask_storeu_epi16(p, f32_first(n), _mm512_cvtepi32_epi16(bits));
}
#else
#if defined(__AVX2__)
MLOPT_INLINE f32i bf16_load(const uint16_t *p) { return _mm256_cvtepu16_epi32(_mm_loadu_si128((const void *)p)); }
MLOPT_INLINE void bf16_store(uint16_t *p, f32i bits)
{
    const __m256i twice = _mm256_permute4x64_epi64(_mm256_packus_epi32(bits, bits), 0x08);
    _mm_storeu_si128((void *)p, _mm256_castsi256_si128(twice));
}
#else
MLOPT_INLINE f32i bf16_load(const uint16_t *p)
{
    f32i bits;
    for (int i = 0; i < f32_LANES; i++)
        bits[i] = p[i];
    return bits;
}
MLOPT_INLINE void bf16_store(uint16_t *p, f32i bits)
{
    for (int i = 0; i < f32_LANES; i++)
        p[i] = (uint16_t)bits[i];
}
#endif
MLOPT_INLINE f32i bf16_load_first(const uint16_t *p, size_t n)
{
    uint16_t whole[f32_LANES] = {0};
    memcpy(whole, p, n * sizeof *p);
    return bf16_load(whole);
}
MLOPT_INLINE void bf16_store_first(uint16_t *p, size_t n, f32i bits)
{
    uint16_t whole[f32_LANES];
    bf16_store(whole, bits);
    memcpy(p, whole, n * sizeof *p);
}
#endif

#if defined(__AVX512BF16__)
MLOPT_INLINE void bf16_store_rounded(uint16_t *p, f32v v)
{
    _mm256_storeu_si256((void *)p, (__m256i)_mm512_cvtneps_pbh(v));
}
MLOPT_INLINE bf16_pairs bf16_round_join(f32v v, f32v w)
{
    const __m512i order = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6,
                                           21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    return _mm512_permutexvar_epi16(order, (__m512i)_mm512_cvtne2ps_pbh(w, v));
}
MLOPT_INLINE bf16_pairs bf16_round_run(const float *p)
{
    return (__m512i)_mm512_cvtne2ps_pbh(f32_load(p + f32_LANES), f32_load(p));
}
#else
MLOPT_INLINE void bf16_store_rounded(uint16_t *p, f32v v) { bf16_store(p, bf16_bits(v)); }
MLOPT_INLINE bf16_pairs bf16_round_join(f32v v, f32v w) { return bf16_join(bf16_bits(v), bf16_bits(w)); }
MLOPT_INLINE bf16_pairs bf16_round_run(const float *p)
{
    uint16_t run[2 * f32_LANES];
    bf16_pairs pairs;
    bf16_store(run, bf16_bits(f32_load(p)));
    bf16_store(run + f32_LANES, bf16_bits(f32_load(p + f32_LANES)));
    memcpy(&pairs, run, sizeof pairs);
    return pairs;
}
#endif

#endif
