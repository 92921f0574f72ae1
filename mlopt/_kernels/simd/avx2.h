/* The vocabulary over 32-byte registers: AVX2 and FMA. */
#ifndef MLOPT_SIMD_AVX2_H
#define MLOPT_SIMD_AVX2_H

#include <immintrin.h>

typedef float f32_element;
typedef double f64_element;
typedef __m256 f32v;
typedef __m256d f64v;
typedef __m256 f32m;
typedef __m256d f64m;
typedef __m256i f32i;
typedef __m256i f64i;
#define f32_LANES 8
#define f64_LANES 4

/* The tile of a matrix product: 12 of the 16 registers hold sums. */
#define MLOPT_TILE_ROWS 4
#define MLOPT_TILE_VECTORS 3
#define MLOPT_TILE_HALVES 0
#define MLOPT_LOOKUP 0

/* A window into this gives the mask of the first n lanes. */
static const int32_t mlopt_first_32[16] = {-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0};
static const int64_t mlopt_first_64[8] = {-1, -1, -1, -1, 0, 0, 0, 0};

/* n <= lanes */
MLOPT_INLINE __m256i f32_first(size_t n) { return _mm256_loadu_si256((const __m256i *)(mlopt_first_32 + 8 - n)); }
MLOPT_INLINE __m256i f64_first(size_t n) { return _mm256_loadu_si256((const __m256i *)(mlopt_first_64 + 4 - n)); }

#define MLOPT_AVX2_REAL(type, T, V, ps, epi, epix, si, mantissa)                                                       \
    MLOPT_INLINE V type##_load(const T *p) { return _mm256_loadu_##ps(p); }                                            \
    MLOPT_INLINE void type##_store(T *p, V v) { _mm256_storeu_##ps(p, v); }                                            \
    MLOPT_INLINE V type##_load_halves(const T *p) { return _mm256_loadu_##ps(p); }                                     \
    MLOPT_INLINE void type##_store_halves(T *p, V v) { _mm256_storeu_##ps(p, v); }                                     \
    MLOPT_INLINE void type##_stream(T *p, V v) { _mm256_stream_##ps(p, v); }                                           \
    MLOPT_INLINE void type##_stream_end(void) { _mm_sfence(); }                                                        \
    MLOPT_INLINE V type##_load_first(const T *p, size_t n) { return _mm256_maskload_##ps(p, type##_first(n)); }        \
    MLOPT_INLINE V type##_load_first_or(const T *p, size_t n, V fill)                                                  \
    {                                                                                                                  \
        const __m256i first = type##_first(n);                                                                         \
        return _mm256_blendv_##ps(fill, _mm256_maskload_##ps(p, first), _mm256_castsi256_##ps(first));                 \
    }                                                                                                                  \
    MLOPT_INLINE void type##_store_first(T *p, size_t n, V v) { _mm256_maskstore_##ps(p, type##_first(n), v); }        \
    MLOPT_INLINE V type##_set1(T x) { return _mm256_set1_##ps(x); }                                                    \
    MLOPT_INLINE V type##_zero(void) { return _mm256_setzero_##ps(); }                                                 \
    MLOPT_INLINE V type##_add(V a, V b) { return _mm256_add_##ps(a, b); }                                              \
    MLOPT_INLINE V type##_sub(V a, V b) { return _mm256_sub_##ps(a, b); }                                              \
    MLOPT_INLINE V type##_mul(V a, V b) { return _mm256_mul_##ps(a, b); }                                              \
    MLOPT_INLINE V type##_div(V a, V b) { return _mm256_div_##ps(a, b); }                                              \
    MLOPT_INLINE V type##_inverse(V a) { return _mm256_div_##ps(_mm256_set1_##ps(1), a); }                             \
    MLOPT_INLINE V type##_sqrt(V a) { return _mm256_sqrt_##ps(a); }                                                    \
    MLOPT_INLINE V type##_abs(V a) { return _mm256_andnot_##ps(_mm256_set1_##ps((T)-0.0), a); }                        \
    MLOPT_INLINE V type##_neg(V a) { return _mm256_xor_##ps(a, _mm256_set1_##ps((T)-0.0)); }                           \
    MLOPT_INLINE V type##_fma(V a, V b, V c) { return _mm256_fmadd_##ps(a, b, c); }                                    \
    MLOPT_INLINE V type##_fma_exact(V a, V b, V c) { return _mm256_fmadd_##ps(a, b, c); }                              \
    MLOPT_INLINE V type##_fnma(V a, V b, V c) { return _mm256_fnmadd_##ps(a, b, c); }                                  \
    MLOPT_INLINE V type##_min(V a, V b) { return _mm256_min_##ps(a, b); }                                              \
    MLOPT_INLINE V type##_max(V a, V b) { return _mm256_max_##ps(a, b); }                                              \
    MLOPT_INLINE V type##_lt(V a, V b) { return _mm256_cmp_##ps(a, b, _CMP_LT_OQ); }                                   \
    MLOPT_INLINE V type##_le(V a, V b) { return _mm256_cmp_##ps(a, b, _CMP_LE_OQ); }                                   \
    MLOPT_INLINE V type##_eq(V a, V b) { return _mm256_cmp_##ps(a, b, _CMP_EQ_OQ); }                                   \
    MLOPT_INLINE V type##_unordered(V a, V b) { return _mm256_cmp_##ps(a, b, _CMP_UNORD_Q); }                          \
    MLOPT_INLINE V type##_select(V m, V a, V b) { return _mm256_blendv_##ps(b, a, m); }                                \
    MLOPT_INLINE V type##_mask_or(V a, V b) { return _mm256_or_##ps(a, b); }                                           \
    MLOPT_INLINE V type##_mask_and(V a, V b) { return _mm256_and_##ps(a, b); }                                         \
    MLOPT_INLINE int type##_any(V m) { return _mm256_movemask_##ps(m) != 0; }                                          \
    MLOPT_INLINE uint32_t type##_bits(V m) { return (uint32_t)_mm256_movemask_##ps(m); }                               \
    MLOPT_INLINE __m256i type##_as_int(V a) { return _mm256_cast##ps##_si256(a); }                                     \
    MLOPT_INLINE V type##_from_int(__m256i a) { return _mm256_castsi256_##ps(a); }                                     \
    MLOPT_INLINE __m256i type##_int_set1(int64_t x) { return _mm256_set1_##epix((si)x); }                              \
    MLOPT_INLINE __m256i type##_int_add(__m256i a, __m256i b) { return _mm256_add_##epi(a, b); }                       \
    MLOPT_INLINE __m256i type##_int_sub(__m256i a, __m256i b) { return _mm256_sub_##epi(a, b); }                       \
    MLOPT_INLINE __m256i type##_int_and(__m256i a, __m256i b) { return _mm256_and_si256(a, b); }                       \
    MLOPT_INLINE __m256i type##_int_or(__m256i a, __m256i b) { return _mm256_or_si256(a, b); }                         \
    MLOPT_INLINE __m256i type##_int_left(__m256i a) { return _mm256_slli_##epi(a, mantissa); }                         \
    MLOPT_INLINE __m256i type##_int_right(__m256i a) { return _mm256_srli_##epi(a, mantissa); }

MLOPT_AVX2_REAL(f32, float, f32v, ps, epi32, epi32, int32_t, 23)
MLOPT_AVX2_REAL(f64, double, f64v, pd, epi64, epi64x, int64_t, 52)

/* loads and inserts: the gather instruction takes longer */
MLOPT_INLINE f64v f64_gather(const double *p, const int64_t *at)
{
    return _mm256_set_pd(p[at[3]], p[at[2]], p[at[1]], p[at[0]]);
}

#define MLOPT_AVX2_REDUCE(word, op_ps, op_pd)                                                                          \
    MLOPT_INLINE float f32_reduce_##word(f32v v)                                                                       \
    {                                                                                                                  \
        __m128 x = op_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));                                      \
        x = op_ps(x, _mm_movehl_ps(x, x));                                                                             \
        return _mm_cvtss_f32(op_ps(x, _mm_shuffle_ps(x, x, 1)));                                                       \
    }                                                                                                                  \
    MLOPT_INLINE double f64_reduce_##word(f64v v)                                                                      \
    {                                                                                                                  \
        __m128d x = op_pd(_mm256_castpd256_pd128(v), _mm256_extractf128_pd(v, 1));                                     \
        return _mm_cvtsd_f64(op_pd(x, _mm_unpackhi_pd(x, x)));                                                         \
    }

MLOPT_AVX2_REDUCE(add, _mm_add_ps, _mm_add_pd)
MLOPT_AVX2_REDUCE(min, _mm_min_ps, _mm_min_pd)
MLOPT_AVX2_REDUCE(max, _mm_max_ps, _mm_max_pd)

MLOPT_INLINE f32v f32_reduce_add_each(const f32v *rows)
{
    const f32v a = _mm256_hadd_ps(_mm256_hadd_ps(rows[0], rows[1]), _mm256_hadd_ps(rows[2], rows[3]));
    const f32v b = _mm256_hadd_ps(_mm256_hadd_ps(rows[4], rows[5]), _mm256_hadd_ps(rows[6], rows[7]));
    return _mm256_add_ps(_mm256_permute2f128_ps(a, b, 0x20), _mm256_permute2f128_ps(a, b, 0x31));
}

MLOPT_INLINE f64v f64_reduce_add_each(const f64v *rows)
{
    const f64v a = _mm256_hadd_pd(rows[0], rows[1]), b = _mm256_hadd_pd(rows[2], rows[3]);
    return _mm256_add_pd(_mm256_permute2f128_pd(a, b, 0x20), _mm256_permute2f128_pd(a, b, 0x31));
}

MLOPT_INLINE void f64_transpose(f64v *rows)
{
    const f64v even = _mm256_unpacklo_pd(rows[0], rows[1]), even_too = _mm256_unpacklo_pd(rows[2], rows[3]);
    const f64v odd = _mm256_unpackhi_pd(rows[0], rows[1]), odd_too = _mm256_unpackhi_pd(rows[2], rows[3]);
    rows[0] = _mm256_permute2f128_pd(even, even_too, 0x20);
    rows[1] = _mm256_permute2f128_pd(odd, odd_too, 0x20);
    rows[2] = _mm256_permute2f128_pd(even, even_too, 0x31);
    rows[3] = _mm256_permute2f128_pd(odd, odd_too, 0x31);
}

MLOPT_INLINE void f32_transpose(f32v *rows)
{
    f64v fours[2][4]; /* [rows / 4][column % 4] */
    MLOPT_UNROLL_FULLY
    for (int i = 0; i < 2; i++) {
        const f32v *const r = rows + 4 * i;
        const f64v low = _mm256_castps_pd(_mm256_unpacklo_ps(r[0], r[1]));
        const f64v low_too = _mm256_castps_pd(_mm256_unpacklo_ps(r[2], r[3]));
        const f64v high = _mm256_castps_pd(_mm256_unpackhi_ps(r[0], r[1]));
        const f64v high_too = _mm256_castps_pd(_mm256_unpackhi_ps(r[2], r[3]));
        fours[i][0] = _mm256_unpacklo_pd(low, low_too);
        fours[i][1] = _mm256_unpackhi_pd(low, low_too);
        fours[i][2] = _mm256_unpacklo_pd(high, high_too);
        fours[i][3] = _mm256_unpackhi_pd(high, high_too);
    }
    MLOPT_UNROLL_FULLY
    for (int c = 0; c < 4; c++) {
        rows[c] = _mm256_castpd_ps(_mm256_permute2f128_pd(fours[0][c], fours[1][c], 0x20));
        rows[4 + c] = _mm256_castpd_ps(_mm256_permute2f128_pd(fours[0][c], fours[1][c], 0x31));
    }
}

/* Lanes in any order (see avx512.h); doubles move as two halves each. */
MLOPT_INLINE f32i f32_lane_numbers(void) { return _mm256_set_epi32(7, 6, 5, 4, 3, 2, 1, 0); }
MLOPT_INLINE f64i f64_lane_numbers(void) { return f32_lane_numbers(); }
MLOPT_INLINE f32i f32_lane_shares(int power) { return _mm256_srl_epi32(f32_lane_numbers(), _mm_cvtsi32_si128(power)); }
MLOPT_INLINE f64i f64_lane_shares(int power)
{
    const __m256i pairs = _mm256_set_epi32(3, 3, 2, 2, 1, 1, 0, 0), odd = _mm256_set_epi32(1, 0, 1, 0, 1, 0, 1, 0);
    return _mm256_add_epi32(_mm256_slli_epi32(_mm256_srl_epi32(pairs, _mm_cvtsi32_si128(power)), 1), odd);
}
MLOPT_INLINE f32i f32_lanes_onward(f32i index, int by) { return _mm256_add_epi32(index, _mm256_set1_epi32(by)); }
MLOPT_INLINE f64i f64_lanes_onward(f64i index, int by) { return _mm256_add_epi32(index, _mm256_set1_epi32(2 * by)); }
MLOPT_INLINE f32v f32_permute(f32v v, f32i index) { return _mm256_permutevar8x32_ps(v, index); }
MLOPT_INLINE f64v f64_permute(f64v v, f64i index)
{
    return _mm256_castps_pd(_mm256_permutevar8x32_ps(_mm256_castpd_ps(v), index));
}

MLOPT_INLINE f32v f32_spread(const float *p, f32v block, int lane) { return (void)block, _mm256_set1_ps(p[lane]); }
MLOPT_INLINE f64v f64_spread(const double *p, f64v block, int lane) { return (void)block, _mm256_set1_pd(p[lane]); }

#endif
