/* Words for counters and random bits, over the registers of simd.h: what the sketch family adds to the vocabulary.
 *
 *   u64v                         f64_LANES unsigned integers of 64 bits
 *   u64_set1 u64_lanes           one number in all lanes; the number of each lane
 *   u64_add u64_xor3             modulo 2^64; bit by bit, of three
 *   u64_product(a, b)            the products of the lower halves
 *   u64_high(a)                  the upper halves
 *   u64_join(low, high)          the lower halves of two vectors, as the halves of one
 *   u32_join(even, odd)          the lower halves of two vectors, as every other 32-bit lane of one
 *
 * and for both element types, of random bits r in each lane:
 *
 *   random_uniform(r)            a number in (0, 1], never 0: of 31 bits for f32, of 52 for f64; the last bit is not
 * used random_centred(r)            a number in [-1, 1] of all but the first two bits random_sign(v, r)            v,
 * or -v where the first bit is set random_next(r)               r without its first bit
 */
#ifndef MLOPT_SIMD_RANDOM_H
#define MLOPT_SIMD_RANDOM_H

#include "simd.h"

typedef f64i u64v;

#if defined(__AVX512F__)

MLOPT_INLINE u64v u64_set1(uint64_t x) { return _mm512_set1_epi64((long long)x); }
MLOPT_INLINE u64v u64_lanes(void) { return _mm512_set_epi64(7, 6, 5, 4, 3, 2, 1, 0); }
MLOPT_INLINE u64v u64_add(u64v a, u64v b) { return _mm512_add_epi64(a, b); }
MLOPT_INLINE u64v u64_xor3(u64v a, u64v b, u64v c) { return _mm512_ternarylogic_epi64(a, b, c, 0x96); }
MLOPT_INLINE u64v u64_product(u64v a, u64v b) { return _mm512_mul_epu32(a, b); }
MLOPT_INLINE u64v u64_high(u64v a) { return _mm512_srli_epi64(a, 32); }
MLOPT_INLINE u64v u64_join(u64v low, u64v high)
{
    return _mm512_mask_blend_epi32(0xaaaa, low, _mm512_slli_epi64(high, 32));
}
MLOPT_INLINE f32i u32_join(u64v even, u64v odd) { return u64_join(even, odd); }

MLOPT_INLINE f32v f32_random_number(f32i a) { return _mm512_cvtepi32_ps(a); }
MLOPT_INLINE f32i f32_random_left(f32i a, unsigned by) { return _mm512_slli_epi32(a, by); }
MLOPT_INLINE f32i f32_random_right(f32i a, unsigned by) { return _mm512_srli_epi32(a, by); }
MLOPT_INLINE f64i f64_random_left(f64i a, unsigned by) { return _mm512_slli_epi64(a, by); }
MLOPT_INLINE f64i f64_random_right(f64i a, unsigned by) { return _mm512_srli_epi64(a, by); }
#define RANDOM_SIGN(type, V, I, ps)                                                                                    \
    MLOPT_INLINE V type##_random_sign(V v, I r)                                                                        \
    {                                                                                                                  \
        const I sign = type##_as_int(type##_set1(-0.0f));                                                              \
        return type##_from_int(_mm512_ternarylogic_epi64(type##_as_int(v), r, sign, 0x78)); /* v ^ (r & sign) */       \
    }

#elif defined(__AVX2__)

MLOPT_INLINE u64v u64_set1(uint64_t x) { return _mm256_set1_epi64x((long long)x); }
MLOPT_INLINE u64v u64_lanes(void) { return _mm256_set_epi64x(3, 2, 1, 0); }
MLOPT_INLINE u64v u64_add(u64v a, u64v b) { return _mm256_add_epi64(a, b); }
MLOPT_INLINE u64v u64_xor3(u64v a, u64v b, u64v c) { return _mm256_xor_si256(_mm256_xor_si256(a, b), c); }
MLOPT_INLINE u64v u64_product(u64v a, u64v b) { return _mm256_mul_epu32(a, b); }
MLOPT_INLINE u64v u64_high(u64v a) { return _mm256_srli_epi64(a, 32); }
MLOPT_INLINE u64v u64_join(u64v low, u64v high) { return _mm256_blend_epi32(low, _mm256_slli_epi64(high, 32), 0xaa); }
MLOPT_INLINE f32i u32_join(u64v even, u64v odd) { return u64_join(even, odd); }

MLOPT_INLINE f32v f32_random_number(f32i a) { return _mm256_cvtepi32_ps(a); }
MLOPT_INLINE f32i f32_random_left(f32i a, unsigned by) { return _mm256_slli_epi32(a, (int)by); }
MLOPT_INLINE f32i f32_random_right(f32i a, unsigned by) { return _mm256_srli_epi32(a, (int)by); }
MLOPT_INLINE f64i f64_random_left(f64i a, unsigned by) { return _mm256_slli_epi64(a, (int)by); }
MLOPT_INLINE f64i f64_random_right(f64i a, unsigned by) { return _mm256_srli_epi64(a, (int)by); }
#define RANDOM_SIGN(type, V, I, ps)                                                                                    \
    MLOPT_INLINE V type##_random_sign(V v, I r)                                                                        \
    {                                                                                                                  \
        return _mm256_xor_##ps(v, _mm256_and_##ps(type##_from_int(r), type##_set1(-0.0f)));                            \
    }

#else

MLOPT_INLINE u64v u64_set1(uint64_t x) { return (u64v)((f64u){0} + x); }
MLOPT_INLINE u64v u64_lanes(void) { return f64_lane_numbers(); }
MLOPT_INLINE u64v u64_add(u64v a, u64v b) { return (u64v)((f64u)a + (f64u)b); }
MLOPT_INLINE u64v u64_xor3(u64v a, u64v b, u64v c) { return a ^ b ^ c; }
MLOPT_INLINE u64v u64_product(u64v a, u64v b)
{
    const f64u lower = (f64u){0} + 0xffffffffu;
    return (u64v)(((f64u)a & lower) * ((f64u)b & lower));
}
MLOPT_INLINE u64v u64_high(u64v a) { return (u64v)((f64u)a >> 32); }
MLOPT_INLINE u64v u64_join(u64v low, u64v high)
{
    return (u64v)(((f64u)low & ((f64u){0} + 0xffffffffu)) | (f64u)high << 32);
}
MLOPT_INLINE f32i u32_join(u64v even, u64v odd)
{
    f32i joined = {0};
    for (int i = 0; i < f64_LANES; i++) {
        joined[2 * i] = (int32_t)(uint32_t)(uint64_t)even[i];
        joined[2 * i + 1] = (int32_t)(uint32_t)(uint64_t)odd[i];
    }
    return joined;
}

MLOPT_INLINE f32v f32_random_number(f32i a) { return __builtin_convertvector(a, f32v); }
MLOPT_INLINE f32i f32_random_left(f32i a, unsigned by) { return (f32i)((f32u)a << by); }
MLOPT_INLINE f32i f32_random_right(f32i a, unsigned by) { return (f32i)((f32u)a >> by); }
MLOPT_INLINE f64i f64_random_left(f64i a, unsigned by) { return (f64i)((f64u)a << by); }
MLOPT_INLINE f64i f64_random_right(f64i a, unsigned by) { return (f64i)((f64u)a >> by); }
#define RANDOM_SIGN(type, V, I, ps)                                                                                    \
    MLOPT_INLINE V type##_random_sign(V v, I r) { return (V)((I)v ^ (r & (I)type##_set1(-0.0f))); }

#endif

RANDOM_SIGN(f32, f32v, f32i, ps)
RANDOM_SIGN(f64, f64v, f64i, pd)
#undef RANDOM_SIGN

/* Integers of 31 bits become floats by conversion; 52 bits become the mantissa of a double between 1 and 2.  Nothing
 * here but the conversions rounds, so that all tiers agree. */
MLOPT_INLINE f32v f32_random_uniform(f32i r)
{
    const f32v number = f32_add(f32_random_number(f32_random_right(r, 1)), f32_set1(0.5f));
    return f32_mul(number, f32_set1(0x1p-31f));
}
MLOPT_INLINE f32v f32_random_centred(f32i r)
{
    return f32_mul(f32_random_number(f32_random_left(r, 2)), f32_set1(0x1p-31f));
}
MLOPT_INLINE f32i f32_random_next(f32i r) { return f32_random_left(r, 1); }

MLOPT_INLINE f64v f64_random_mantissa(f64i r)
{
    return f64_from_int(f64_int_or(f64_random_right(r, 12), f64_as_int(f64_set1(1.0))));
}
MLOPT_INLINE f64v f64_random_uniform(f64i r) { return f64_sub(f64_random_mantissa(r), f64_set1(1 - 0x1p-53)); }
MLOPT_INLINE f64v f64_random_centred(f64i r)
{
    const f64v half = f64_sub(f64_random_mantissa(f64_random_left(r, 2)), f64_set1(1.5));
    return f64_add(half, half);
}
MLOPT_INLINE f64i f64_random_next(f64i r) { return f64_random_left(r, 1); }

#endif
