/* Words for bytes and 32-bit integers, over the registers of simd.h: what the int8 family adds to the vocabulary.
 *
 *   i32v                         f32_LANES integers of 32 bits
 *   i32_load i32_store           whole vectors, any alignment
 *   i32_load_first(p, n) i32_store_first(p, n, v)    the first n lanes, the others 0
 *   i32_set1 i32_zero i32_add i32_sub i32_mul        modulo 2^32
 *   i32_spread(p)                the four bytes at p in every lane
 *   i32_load_bytes(p) i32_load_bytes_first(p, n)     4 f32_LANES bytes, or the first n of them and 0
 *   i32_xor                      bit by bit
 *   i32_opaque(v) u8_opaque(u)   the same, but the compiler cannot know it and keeps it in a register of its own
 *   i32_widen_u8 i32_widen_s8 (p), with _first (p, n)    f32_LANES bytes, each to a lane
 *   i32_narrow(p, v), with _first (p, n, v)          the lowest byte of every lane
 *   i32_interleave(p, q, r, s)   the bytes p[i], q[i], r[i], s[i] in lane i; with _first (p, q, r, s, n)
 *   i32_narrow_four(p, a, b, c, d)    the lowest bytes of four vectors, one behind the other
 *   i32_min i32_max              of signed numbers
 *   i32_interleave_four(p, q, r, s, v)    the same for 4 f32_LANES bytes of each, in four vectors
 *   f32_of_i32                   to the nearest float, ties to even
 *   i32_round                    the nearest integer, ties to even, for |x| < 2^22
 *   u8_operand u8_split(v)       what i32_dot wants of four unsigned bytes a lane
 *   s8_operand s8_split(v)       and of four signed ones
 *   i32_dot(c, u, s)             c + u0 s0 + u1 s1 + u2 s2 + u3 s3 of the bytes of every lane, exact modulo 2^32
 *
 * MLOPT_INT8_ROWS by MLOPT_INT8_VECTORS vectors are a tile that the registers hold. */
#ifndef MLOPT_SIMD_INT8_H
#define MLOPT_SIMD_INT8_H

#include "simd.h"

typedef f32i i32v;

#if defined(__AVX512F__)

#if defined(__AVX512VNNI__)
#define MLOPT_INT8_ROWS 8
#define MLOPT_INT8_VECTORS 3
#else
#define MLOPT_INT8_ROWS 8
#define MLOPT_INT8_VECTORS 2
#endif

MLOPT_INLINE i32v i32_load(const int32_t *p) { return _mm512_loadu_si512(p); }
MLOPT_INLINE void i32_store(int32_t *p, i32v v) { _mm512_storeu_si512(p, v); }
MLOPT_INLINE i32v i32_load_first(const int32_t *p, size_t n) { return _mm512_maskz_loadu_epi32(f32_first(n), p); }
MLOPT_INLINE void i32_store_first(int32_t *p, size_t n, i32v v) { _mm512_mask_storeu_epi32(p, f32_first(n), v); }
MLOPT_INLINE i32v i32_set1(int32_t x) { return _mm512_set1_epi32(x); }
MLOPT_INLINE i32v i32_zero(void) { return _mm512_setzero_si512(); }
MLOPT_INLINE i32v i32_add(i32v a, i32v b) { return _mm512_add_epi32(a, b); }
MLOPT_INLINE i32v i32_sub(i32v a, i32v b) { return _mm512_sub_epi32(a, b); }
MLOPT_INLINE i32v i32_mul(i32v a, i32v b) { return _mm512_mullo_epi32(a, b); }
MLOPT_INLINE i32v i32_min(i32v a, i32v b) { return _mm512_min_epi32(a, b); }
MLOPT_INLINE i32v i32_max(i32v a, i32v b) { return _mm512_max_epi32(a, b); }
MLOPT_INLINE i32v i32_xor(i32v a, i32v b) { return _mm512_xor_si512(a, b); }
MLOPT_INLINE i32v i32_opaque(i32v v)
{
    __asm__("" : "+v"(v));
    return v;
}
MLOPT_INLINE i32v i32_load_bytes(const void *p) { return _mm512_loadu_si512(p); }
MLOPT_INLINE i32v i32_load_bytes_first(const void *p, size_t n)
{
    return _mm512_maskz_loadu_epi8(n < 64 ? _bzhi_u64(~0ull, (unsigned)n) : ~0ull, p);
}
MLOPT_INLINE __m128i i32_sixteen_first(const void *p, size_t n)
{
    return _mm_maskz_loadu_epi8((__mmask16)f32_first(n), p);
}
MLOPT_INLINE i32v i32_widen_u8(const uint8_t *p) { return _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)p)); }
MLOPT_INLINE i32v i32_widen_s8(const int8_t *p) { return _mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)p)); }
MLOPT_INLINE i32v i32_widen_u8_first(const uint8_t *p, size_t n)
{
    return _mm512_cvtepu8_epi32(i32_sixteen_first(p, n));
}
MLOPT_INLINE i32v i32_widen_s8_first(const int8_t *p, size_t n)
{
    return _mm512_cvtepi8_epi32(i32_sixteen_first(p, n));
}
MLOPT_INLINE void i32_narrow(uint8_t *p, i32v v) { _mm_storeu_si128((__m128i *)p, _mm512_cvtepi32_epi8(v)); }
MLOPT_INLINE void i32_narrow_first(uint8_t *p, size_t n, i32v v)
{
    _mm_mask_storeu_epi8(p, (__mmask16)f32_first(n), _mm512_cvtepi32_epi8(v));
}
MLOPT_INLINE i32v i32_interleaved(__m128i a, __m128i b, __m128i c, __m128i d)
{
    const __m128i ab = _mm_unpacklo_epi8(a, b), cd = _mm_unpacklo_epi8(c, d);
    const __m128i ab_high = _mm_unpackhi_epi8(a, b), cd_high = _mm_unpackhi_epi8(c, d);
    const __m256i low = _mm256_set_m128i(_mm_unpackhi_epi16(ab, cd), _mm_unpacklo_epi16(ab, cd));
    const __m256i high = _mm256_set_m128i(_mm_unpackhi_epi16(ab_high, cd_high), _mm_unpacklo_epi16(ab_high, cd_high));
    return _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
}
MLOPT_INLINE i32v i32_interleave(const uint8_t *p, const uint8_t *q, const uint8_t *r, const uint8_t *s)
{
    return i32_interleaved(_mm_loadu_si128((const __m128i *)p), _mm_loadu_si128((const __m128i *)q),
                           _mm_loadu_si128((const __m128i *)r), _mm_loadu_si128((const __m128i *)s));
}
MLOPT_INLINE i32v i32_interleave_first(const uint8_t *p, const uint8_t *q, const uint8_t *r, const uint8_t *s, size_t n)
{
    return i32_interleaved(i32_sixteen_first(p, n), i32_sixteen_first(q, n), i32_sixteen_first(r, n),
                           i32_sixteen_first(s, n));
}
MLOPT_INLINE void i32_interleave_four(const uint8_t *p, const uint8_t *q, const uint8_t *r, const uint8_t *s, i32v *v)
{
    const i32v a = i32_load_bytes(p), b = i32_load_bytes(q), c = i32_load_bytes(r), d = i32_load_bytes(s);
    const i32v ab = _mm512_unpacklo_epi8(a, b), cd = _mm512_unpacklo_epi8(c, d);
    const i32v ab_high = _mm512_unpackhi_epi8(a, b), cd_high = _mm512_unpackhi_epi8(c, d);
    /* each quarter holds four columns of every sixteen */
    f32v columns[4];
    f32_transpose_quarters(f32_from_int(_mm512_unpacklo_epi16(ab, cd)), f32_from_int(_mm512_unpackhi_epi16(ab, cd)),
                           f32_from_int(_mm512_unpacklo_epi16(ab_high, cd_high)),
                           f32_from_int(_mm512_unpackhi_epi16(ab_high, cd_high)), columns, 1);
    MLOPT_UNROLL_FULLY
    for (int i = 0; i < 4; i++)
        v[i] = f32_as_int(columns[i]);
}
MLOPT_INLINE f32v f32_of_i32(i32v v) { return _mm512_cvtepi32_ps(v); }
MLOPT_INLINE i32v i32_round(f32v v)
{
    return _mm512_cvt_roundps_epi32(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

#if defined(__AVX512VNNI__)
typedef i32v u8_operand;
typedef i32v s8_operand;
MLOPT_INLINE u8_operand u8_split(i32v v) { return v; }
MLOPT_INLINE u8_operand u8_opaque(u8_operand u) { return i32_opaque(u); }
MLOPT_INLINE s8_operand s8_split(i32v v) { return v; }
MLOPT_INLINE i32v i32_dot(i32v c, u8_operand u, s8_operand s) { return _mm512_dpbusd_epi32(c, u, s); }
#else
/* vpmaddubsw would saturate: even and odd bytes as numbers of 16 bits, whose products' sums fit 32 */
typedef struct {
    i32v even, odd;
} u8_operand;
typedef u8_operand s8_operand;
MLOPT_INLINE u8_operand u8_split(i32v v)
{
    return (u8_operand){_mm512_and_si512(v, _mm512_set1_epi16(0xff)), _mm512_srli_epi16(v, 8)};
}
MLOPT_INLINE u8_operand u8_opaque(u8_operand u) { return (u8_operand){i32_opaque(u.even), i32_opaque(u.odd)}; }
MLOPT_INLINE s8_operand s8_split(i32v v)
{
    return (s8_operand){_mm512_srai_epi16(_mm512_slli_epi16(v, 8), 8), _mm512_srai_epi16(v, 8)};
}
MLOPT_INLINE i32v i32_dot(i32v c, u8_operand u, s8_operand s)
{
    c = _mm512_add_epi32(c, _mm512_madd_epi16(u.even, s.even));
    return _mm512_add_epi32(c, _mm512_madd_epi16(u.odd, s.odd));
}
#endif

#elif defined(__AVX2__)

#if defined(__AVXVNNI__)
#define MLOPT_INT8_ROWS 4
#define MLOPT_INT8_VECTORS 3
#else
#define MLOPT_INT8_ROWS 4
#define MLOPT_INT8_VECTORS 2
#endif

MLOPT_INLINE i32v i32_load(const int32_t *p) { return _mm256_loadu_si256((const __m256i *)p); }
MLOPT_INLINE void i32_store(int32_t *p, i32v v) { _mm256_storeu_si256((__m256i *)p, v); }
MLOPT_INLINE i32v i32_load_first(const int32_t *p, size_t n) { return _mm256_maskload_epi32(p, f32_first(n)); }
MLOPT_INLINE void i32_store_first(int32_t *p, size_t n, i32v v) { _mm256_maskstore_epi32(p, f32_first(n), v); }
MLOPT_INLINE i32v i32_set1(int32_t x) { return _mm256_set1_epi32(x); }
MLOPT_INLINE i32v i32_zero(void) { return _mm256_setzero_si256(); }
MLOPT_INLINE i32v i32_add(i32v a, i32v b) { return _mm256_add_epi32(a, b); }
MLOPT_INLINE i32v i32_sub(i32v a, i32v b) { return _mm256_sub_epi32(a, b); }
MLOPT_INLINE i32v i32_mul(i32v a, i32v b) { return _mm256_mullo_epi32(a, b); }
MLOPT_INLINE i32v i32_min(i32v a, i32v b) { return _mm256_min_epi32(a, b); }
MLOPT_INLINE i32v i32_max(i32v a, i32v b) { return _mm256_max_epi32(a, b); }
MLOPT_INLINE i32v i32_xor(i32v a, i32v b) { return _mm256_xor_si256(a, b); }
MLOPT_INLINE i32v i32_opaque(i32v v)
{
    __asm__("" : "+x"(v));
    return v;
}
MLOPT_INLINE i32v i32_load_bytes(const void *p) { return _mm256_loadu_si256((const __m256i *)p); }
MLOPT_INLINE i32v i32_load_bytes_first(const void *p, size_t n)
{
    uint8_t bytes[32] = {0};
    memcpy(bytes, p, n);
    return i32_load_bytes(bytes);
}
MLOPT_INLINE __m128i i32_eight(const void *p) { return _mm_loadl_epi64((const __m128i *)p); }
MLOPT_INLINE __m128i i32_eight_first(const void *p, size_t n)
{
    uint64_t bytes = 0;
    memcpy(&bytes, p, n);
    return _mm_cvtsi64_si128((long long)bytes);
}
MLOPT_INLINE i32v i32_widen_u8(const uint8_t *p) { return _mm256_cvtepu8_epi32(i32_eight(p)); }
MLOPT_INLINE i32v i32_widen_s8(const int8_t *p) { return _mm256_cvtepi8_epi32(i32_eight(p)); }
MLOPT_INLINE i32v i32_widen_u8_first(const uint8_t *p, size_t n) { return _mm256_cvtepu8_epi32(i32_eight_first(p, n)); }
MLOPT_INLINE i32v i32_widen_s8_first(const int8_t *p, size_t n) { return _mm256_cvtepi8_epi32(i32_eight_first(p, n)); }
MLOPT_INLINE uint64_t i32_low_bytes(i32v v)
{
    const __m256i order = _mm256_setr_epi8(0, 4, 8, 12, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 0, 4, 8, 12, -1,
                                           -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1);
    const __m256i fours = _mm256_shuffle_epi8(v, order);
    const __m128i low = _mm256_castsi256_si128(fours), high = _mm256_extracti128_si256(fours, 1);
    return (uint64_t)_mm_cvtsi128_si64(_mm_unpacklo_epi32(low, high));
}
MLOPT_INLINE void i32_narrow(uint8_t *p, i32v v)
{
    const uint64_t bytes = i32_low_bytes(v);
    memcpy(p, &bytes, 8);
}
MLOPT_INLINE void i32_narrow_first(uint8_t *p, size_t n, i32v v)
{
    const uint64_t bytes = i32_low_bytes(v);
    memcpy(p, &bytes, n);
}
MLOPT_INLINE i32v i32_interleaved(__m128i a, __m128i b, __m128i c, __m128i d)
{
    const __m128i ab = _mm_unpacklo_epi8(a, b), cd = _mm_unpacklo_epi8(c, d);
    return _mm256_set_m128i(_mm_unpackhi_epi16(ab, cd), _mm_unpacklo_epi16(ab, cd));
}
MLOPT_INLINE i32v i32_interleave(const uint8_t *p, const uint8_t *q, const uint8_t *r, const uint8_t *s)
{
    return i32_interleaved(i32_eight(p), i32_eight(q), i32_eight(r), i32_eight(s));
}
MLOPT_INLINE i32v i32_interleave_first(const uint8_t *p, const uint8_t *q, const uint8_t *r, const uint8_t *s, size_t n)
{
    return i32_interleaved(i32_eight_first(p, n), i32_eight_first(q, n), i32_eight_first(r, n), i32_eight_first(s, n));
}
MLOPT_INLINE void i32_interleave_four(const uint8_t *p, const uint8_t *q, const uint8_t *r, const uint8_t *s, i32v *v)
{
    const i32v a = i32_load_bytes(p), b = i32_load_bytes(q), c = i32_load_bytes(r), d = i32_load_bytes(s);
    const i32v ab = _mm256_unpacklo_epi8(a, b), cd = _mm256_unpacklo_epi8(c, d);
    const i32v ab_high = _mm256_unpackhi_epi8(a, b), cd_high = _mm256_unpackhi_epi8(c, d);
    /* each half holds four columns of every sixteen */
    const i32v first = _mm256_unpacklo_epi16(ab, cd), second = _mm256_unpackhi_epi16(ab, cd);
    const i32v third = _mm256_unpacklo_epi16(ab_high, cd_high), fourth = _mm256_unpackhi_epi16(ab_high, cd_high);
    v[0] = _mm256_permute2x128_si256(first, second, 0x20);
    v[1] = _mm256_permute2x128_si256(third, fourth, 0x20);
    v[2] = _mm256_permute2x128_si256(first, second, 0x31);
    v[3] = _mm256_permute2x128_si256(third, fourth, 0x31);
}
MLOPT_INLINE f32v f32_of_i32(i32v v) { return _mm256_cvtepi32_ps(v); }
MLOPT_INLINE i32v i32_round(f32v v)
{
    return _mm256_cvtps_epi32(_mm256_round_ps(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}

#if defined(__AVXVNNI__)
typedef i32v u8_operand;
typedef i32v s8_operand;
MLOPT_INLINE u8_operand u8_split(i32v v) { return v; }
MLOPT_INLINE u8_operand u8_opaque(u8_operand u) { return i32_opaque(u); }
MLOPT_INLINE s8_operand s8_split(i32v v) { return v; }
MLOPT_INLINE i32v i32_dot(i32v c, u8_operand u, s8_operand s) { return _mm256_dpbusd_avx_epi32(c, u, s); }
#else
/* vpmaddubsw would saturate: even and odd bytes as numbers of 16 bits, whose products' sums fit 32 */
typedef struct {
    i32v even, odd;
} u8_operand;
typedef u8_operand s8_operand;
MLOPT_INLINE u8_operand u8_split(i32v v)
{
    return (u8_operand){_mm256_and_si256(v, _mm256_set1_epi16(0xff)), _mm256_srli_epi16(v, 8)};
}
MLOPT_INLINE u8_operand u8_opaque(u8_operand u) { return (u8_operand){i32_opaque(u.even), i32_opaque(u.odd)}; }
MLOPT_INLINE s8_operand s8_split(i32v v)
{
    return (s8_operand){_mm256_srai_epi16(_mm256_slli_epi16(v, 8), 8), _mm256_srai_epi16(v, 8)};
}
MLOPT_INLINE i32v i32_dot(i32v c, u8_operand u, s8_operand s)
{
    /* one product after the other: the sum of both would want a register that a tile does not leave */
    c = i32_opaque(_mm256_add_epi32(c, _mm256_madd_epi16(u.even, s.even)));
    return _mm256_add_epi32(c, _mm256_madd_epi16(u.odd, s.odd));
}
#endif

#else /* the compiler's vector extensions */

#define MLOPT_INT8_ROWS 4
#define MLOPT_INT8_VECTORS 2

MLOPT_INLINE i32v i32_load(const int32_t *p)
{
    i32v v;
    memcpy(&v, p, sizeof v);
    return v;
}
MLOPT_INLINE void i32_store(int32_t *p, i32v v) { memcpy(p, &v, sizeof v); }
/* through memory: the vector may be wider than a register */
MLOPT_INLINE i32v i32_opaque(i32v v)
{
    __asm__("" : "+m"(v));
    return v;
}
MLOPT_INLINE i32v i32_load_bytes(const void *p)
{
    i32v v;
    memcpy(&v, p, sizeof v);
    return v;
}
MLOPT_INLINE i32v i32_load_bytes_first(const void *p, size_t n)
{
    i32v v = {0};
    memcpy(&v, p, n);
    return v;
}
MLOPT_INLINE i32v i32_load_first(const int32_t *p, size_t n) { return i32_load_bytes_first(p, 4 * n); }
MLOPT_INLINE void i32_store_first(int32_t *p, size_t n, i32v v) { memcpy(p, &v, 4 * n); }
MLOPT_INLINE i32v i32_set1(int32_t x) { return (i32v){0} + x; }
MLOPT_INLINE i32v i32_zero(void) { return (i32v){0}; }
MLOPT_INLINE i32v i32_add(i32v a, i32v b) { return (i32v)((f32u)a + (f32u)b); }
MLOPT_INLINE i32v i32_sub(i32v a, i32v b) { return (i32v)((f32u)a - (f32u)b); }
MLOPT_INLINE i32v i32_mul(i32v a, i32v b) { return (i32v)((f32u)a * (f32u)b); }
MLOPT_INLINE i32v i32_min(i32v a, i32v b)
{
    const i32v less = (i32v)(a < b);
    return (a & less) | (b & ~less);
}
MLOPT_INLINE i32v i32_max(i32v a, i32v b)
{
    const i32v less = (i32v)(a < b);
    return (b & less) | (a & ~less);
}
MLOPT_INLINE i32v i32_xor(i32v a, i32v b) { return a ^ b; }
MLOPT_INLINE i32v i32_widen_u8_first(const uint8_t *p, size_t n)
{
    int32_t lanes[f32_LANES] = {0};
    for (size_t i = 0; i < n; i++)
        lanes[i] = p[i];
    return i32_load(lanes);
}
MLOPT_INLINE i32v i32_widen_s8_first(const int8_t *p, size_t n)
{
    int32_t lanes[f32_LANES] = {0};
    for (size_t i = 0; i < n; i++)
        lanes[i] = p[i];
    return i32_load(lanes);
}
MLOPT_INLINE i32v i32_widen_u8(const uint8_t *p) { return i32_widen_u8_first(p, f32_LANES); }
MLOPT_INLINE i32v i32_widen_s8(const int8_t *p) { return i32_widen_s8_first(p, f32_LANES); }
MLOPT_INLINE void i32_narrow_first(uint8_t *p, size_t n, i32v v)
{
    for (size_t i = 0; i < n; i++)
        p[i] = (uint8_t)v[i];
}
MLOPT_INLINE void i32_narrow(uint8_t *p, i32v v) { i32_narrow_first(p, f32_LANES, v); }
MLOPT_INLINE i32v i32_interleave_first(const uint8_t *p, const uint8_t *q, const uint8_t *r, const uint8_t *s, size_t n)
{
    uint8_t bytes[4 * f32_LANES] = {0};
    for (size_t i = 0; i < n; i++)
        bytes[4 * i] = p[i], bytes[4 * i + 1] = q[i], bytes[4 * i + 2] = r[i], bytes[4 * i + 3] = s[i];
    return i32_load_bytes(bytes);
}
MLOPT_INLINE i32v i32_interleave(const uint8_t *p, const uint8_t *q, const uint8_t *r, const uint8_t *s)
{
    return i32_interleave_first(p, q, r, s, f32_LANES);
}
MLOPT_INLINE void i32_interleave_four(const uint8_t *p, const uint8_t *q, const uint8_t *r, const uint8_t *s, i32v *v)
{
    for (int i = 0; i < 4; i++, p += f32_LANES, q += f32_LANES, r += f32_LANES, s += f32_LANES)
        v[i] = i32_interleave(p, q, r, s);
}
MLOPT_INLINE f32v f32_of_i32(i32v v)
{
    float lanes[f32_LANES];
    for (int i = 0; i < f32_LANES; i++)
        lanes[i] = (float)v[i];
    return f32_load(lanes);
}
MLOPT_INLINE i32v i32_round(f32v v)
{
    /* the sum's last bit stands for 1: rounded as the sum is, and then in the low bits of its pattern */
    const f32v shifted = v + f32_set1(12582912.0f);
    return (i32v)((f32u)(i32v)shifted - (f32u)(i32v)f32_set1(12582912.0f));
}

typedef i32v u8_operand;
typedef i32v s8_operand;
MLOPT_INLINE u8_operand u8_split(i32v v) { return v; }
MLOPT_INLINE u8_operand u8_opaque(u8_operand u) { return i32_opaque(u); }
MLOPT_INLINE s8_operand s8_split(i32v v) { return v; }
/* byte after byte: the compiler finds the narrow multiplications where there are any */
MLOPT_INLINE i32v i32_dot(i32v c, u8_operand u, s8_operand s)
{
    MLOPT_UNROLL_FULLY
    for (int byte = 0; byte < 4; byte++) {
        const f32u a = (f32u)u >> (8 * byte) & 255;
        const i32v b = (i32v)((f32u)s << (24 - 8 * byte)) >> 24;
        c = i32_add(c, i32_mul((i32v)a, b));
    }
    return c;
}

#endif

MLOPT_INLINE void i32_narrow_four(uint8_t *p, i32v a, i32v b, i32v c, i32v d)
{
#if defined(__AVX2__) && !defined(__AVX512F__)
    /* packs work within 16 bytes: fours of bytes come out by lanes, and are put in order at the end */
    const i32v low = i32_set1(255);
    const i32v ab = _mm256_packus_epi32(_mm256_and_si256(a, low), _mm256_and_si256(b, low));
    const i32v cd = _mm256_packus_epi32(_mm256_and_si256(c, low), _mm256_and_si256(d, low));
    const i32v order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    i32_store((int32_t *)(void *)p, _mm256_permutevar8x32_epi32(_mm256_packus_epi16(ab, cd), order));
#else
    i32_narrow(p, a);
    i32_narrow(p + f32_LANES, b);
    i32_narrow(p + 2 * f32_LANES, c);
    i32_narrow(p + 3 * f32_LANES, d);
#endif
}

MLOPT_INLINE i32v i32_spread(const void *p)
{
    int32_t four;
    memcpy(&four, p, 4);
    return i32_set1(four);
}

MLOPT_INLINE int32_t i32_reduce_add(i32v v)
{
    int32_t lanes[f32_LANES];
    uint32_t sum = 0;
    memcpy(lanes, &v, sizeof v);
    MLOPT_UNROLL_FULLY
    for (int i = 0; i < f32_LANES; i++)
        sum += (uint32_t)lanes[i];
    return (int32_t)sum;
}

#endif
