/* The vocabulary over 64-byte registers: AVX-512 F, DQ, BW, VL. */
#ifndef MLOPT_SIMD_AVX512_H
#define MLOPT_SIMD_AVX512_H

#include <immintrin.h>

typedef float f32_element;
typedef double f64_element;
typedef __m512 f32v;
typedef __m512d f64v;
typedef __mmask16 f32m;
typedef __mmask8 f64m;
typedef __m512i f32i;
typedef __m512i f64i;
#define f32_LANES 16
#define f64_LANES 8

/* The tile of a matrix product: 24 of the 32 registers hold sums. */
#define MLOPT_TILE_ROWS 8
#define MLOPT_TILE_VECTORS 3
/* Half vectors cost half on processors that do 64 bytes in two steps (Zen 4), and nothing more elsewhere. */
#define MLOPT_TILE_HALVES 1
typedef __m256 f32h;
typedef __m256d f64h;
/* Two registers are a table. */
#define MLOPT_LOOKUP 1

/* n <= lanes */
MLOPT_INLINE f32m f32_first(size_t n) { return (f32m)_bzhi_u32(0xffffu, (unsigned)n); }
MLOPT_INLINE f64m f64_first(size_t n) { return (f64m)_bzhi_u32(0xffu, (unsigned)n); }

MLOPT_INLINE f32v f32_join_high(f32v low, __m256 high) { return _mm512_insertf32x8(low, high, 1); }
MLOPT_INLINE f64v f64_join_high(f64v low, __m256d high) { return _mm512_insertf64x4(low, high, 1); }
MLOPT_INLINE __m256 f32_high_half(f32v v) { return _mm512_extractf32x8_ps(v, 1); }
MLOPT_INLINE __m256d f64_high_half(f64v v) { return _mm512_extractf64x4_pd(v, 1); }

#define MLOPT_AVX512_REAL(type, T, V, M, ps, epi, si, mantissa)                                                        \
    MLOPT_INLINE V type##_load(const T *p) { return _mm512_loadu_##ps(p); }                                            \
    MLOPT_INLINE void type##_store(T *p, V v) { _mm512_storeu_##ps(p, v); }                                            \
    MLOPT_INLINE V type##_load_halves(const T *p)                                                                      \
    {                                                                                                                  \
        const V low = _mm512_cast##ps##256_##ps##512(_mm256_loadu_##ps(p));                                            \
        return type##_join_high(low, _mm256_loadu_##ps(p + type##_LANES / 2));                                         \
    }                                                                                                                  \
    MLOPT_INLINE void type##_store_halves(T *p, V v)                                                                   \
    {                                                                                                                  \
        _mm256_storeu_##ps(p, _mm512_cast##ps##512_##ps##256(v));                                                      \
        _mm256_storeu_##ps(p + type##_LANES / 2, type##_high_half(v));                                                 \
    }                                                                                                                  \
    MLOPT_INLINE void type##_stream(T *p, V v) { _mm512_stream_##ps(p, v); }                                           \
    MLOPT_INLINE void type##_stream_end(void) { _mm_sfence(); }                                                        \
    MLOPT_INLINE V type##_load_first(const T *p, size_t n) { return _mm512_maskz_loadu_##ps(type##_first(n), p); }     \
    MLOPT_INLINE V type##_load_first_or(const T *p, size_t n, V fill)                                                  \
    {                                                                                                                  \
        return _mm512_mask_loadu_##ps(fill, type##_first(n), p);                                                       \
    }                                                                                                                  \
    MLOPT_INLINE void type##_store_first(T *p, size_t n, V v) { _mm512_mask_storeu_##ps(p, type##_first(n), v); }      \
    MLOPT_INLINE V type##_set1(T x) { return _mm512_set1_##ps(x); }                                                    \
    MLOPT_INLINE V type##_zero(void) { return _mm512_setzero_##ps(); }                                                 \
    MLOPT_INLINE V type##_add(V a, V b) { return _mm512_add_##ps(a, b); }                                              \
    MLOPT_INLINE V type##_sub(V a, V b) { return _mm512_sub_##ps(a, b); }                                              \
    MLOPT_INLINE V type##_mul(V a, V b) { return _mm512_mul_##ps(a, b); }                                              \
    MLOPT_INLINE V type##_div(V a, V b) { return _mm512_div_##ps(a, b); }                                              \
    MLOPT_INLINE V type##_sqrt(V a) { return _mm512_sqrt_##ps(a); }                                                    \
    MLOPT_INLINE V type##_abs(V a) { return _mm512_abs_##ps(a); }                                                      \
    MLOPT_INLINE V type##_neg(V a) { return _mm512_xor_##ps(a, _mm512_set1_##ps((T)-0.0)); }                           \
    MLOPT_INLINE V type##_fma(V a, V b, V c) { return _mm512_fmadd_##ps(a, b, c); }                                    \
    MLOPT_INLINE V type##_fma_exact(V a, V b, V c) { return _mm512_fmadd_##ps(a, b, c); }                              \
    MLOPT_INLINE V type##_fnma(V a, V b, V c) { return _mm512_fnmadd_##ps(a, b, c); }                                  \
    MLOPT_INLINE V type##_min(V a, V b) { return _mm512_min_##ps(a, b); }                                              \
    MLOPT_INLINE V type##_max(V a, V b) { return _mm512_max_##ps(a, b); }                                              \
    MLOPT_INLINE M type##_lt(V a, V b) { return _mm512_cmp_##ps##_mask(a, b, _CMP_LT_OQ); }                            \
    MLOPT_INLINE M type##_le(V a, V b) { return _mm512_cmp_##ps##_mask(a, b, _CMP_LE_OQ); }                            \
    MLOPT_INLINE M type##_eq(V a, V b) { return _mm512_cmp_##ps##_mask(a, b, _CMP_EQ_OQ); }                            \
    MLOPT_INLINE M type##_unordered(V a, V b) { return _mm512_cmp_##ps##_mask(a, b, _CMP_UNORD_Q); }                   \
    MLOPT_INLINE V type##_select(M m, V a, V b) { return _mm512_mask_blend_##ps(m, b, a); }                            \
    MLOPT_INLINE M type##_mask_or(M a, M b) { return (M)(a | b); }                                                     \
    MLOPT_INLINE M type##_mask_and(M a, M b) { return (M)(a & b); }                                                    \
    MLOPT_INLINE int type##_any(M m) { return m != 0; }                                                                \
    MLOPT_INLINE uint32_t type##_bits(M m) { return m; }                                                               \
    MLOPT_INLINE __m512i type##_as_int(V a) { return _mm512_cast##ps##_si512(a); }                                     \
    MLOPT_INLINE V type##_from_int(__m512i a) { return _mm512_castsi512_##ps(a); }                                     \
    MLOPT_INLINE __m512i type##_int_set1(int64_t x) { return _mm512_set1_##epi((si)x); }                               \
    MLOPT_INLINE __m512i type##_int_add(__m512i a, __m512i b) { return _mm512_add_##epi(a, b); }                       \
    MLOPT_INLINE __m512i type##_int_sub(__m512i a, __m512i b) { return _mm512_sub_##epi(a, b); }                       \
    MLOPT_INLINE __m512i type##_int_and(__m512i a, __m512i b) { return _mm512_and_si512(a, b); }                       \
    MLOPT_INLINE __m512i type##_int_or(__m512i a, __m512i b) { return _mm512_or_si512(a, b); }                         \
    MLOPT_INLINE __m512i type##_int_left(__m512i a) { return _mm512_slli_##epi(a, mantissa); }                         \
    MLOPT_INLINE __m512i type##_int_right(__m512i a) { return _mm512_srli_##epi(a, mantissa); }                        \
    MLOPT_INLINE __m512i type##_table_index(V v, int bits)                                                             \
    {                                                                                                                  \
        return _mm512_srli_##epi(type##_as_int(v), (unsigned)(mantissa - bits));                                       \
    }                                                                                                                  \
    MLOPT_INLINE V type##_lookup(const T *table, __m512i at)                                                           \
    {                                                                                                                  \
        return _mm512_permutex2var_##ps(type##_load(table), at, type##_load(table + type##_LANES));                    \
    }                                                                                                                  \
    MLOPT_INLINE V type##_exponent(V a) { return _mm512_getexp_##ps(a); }                                              \
    MLOPT_INLINE V type##_significand(V a) { return _mm512_getmant_##ps(a, _MM_MANT_NORM_1_2, _MM_MANT_SIGN_src); }    \
    MLOPT_INLINE T type##_reduce_add(V a) { return _mm512_reduce_add_##ps(a); }                                        \
    MLOPT_INLINE T type##_reduce_min(V a) { return _mm512_reduce_min_##ps(a); }                                        \
    MLOPT_INLINE T type##_reduce_max(V a) { return _mm512_reduce_max_##ps(a); }

#define MLOPT_AVX512_HALF(type, T, V, H, ps)                                                                           \
    MLOPT_INLINE H type##_half(V v) { return _mm512_cast##ps##512_##ps##256(v); }                                      \
    MLOPT_INLINE H type##_half_set1(T x) { return _mm256_set1_##ps(x); }                                               \
    MLOPT_INLINE H type##_half_zero(void) { return _mm256_setzero_##ps(); }                                            \
    MLOPT_INLINE H type##_half_load_first(const T *p, size_t n)                                                        \
    {                                                                                                                  \
        return _mm256_maskz_loadu_##ps((__mmask8)type##_first(n), p);                                                  \
    }                                                                                                                  \
    MLOPT_INLINE void type##_half_store_first(T *p, size_t n, H v)                                                     \
    {                                                                                                                  \
        _mm256_mask_storeu_##ps(p, (__mmask8)type##_first(n), v);                                                      \
    }                                                                                                                  \
    MLOPT_INLINE H type##_half_add(H a, H b) { return _mm256_add_##ps(a, b); }                                         \
    MLOPT_INLINE H type##_half_fma(H a, H b, H c) { return _mm256_fmadd_##ps(a, b, c); }

MLOPT_AVX512_HALF(f32, float, f32v, f32h, ps)
MLOPT_AVX512_HALF(f64, double, f64v, f64h, pd)

MLOPT_AVX512_REAL(f32, float, f32v, f32m, ps, epi32, int32_t, 23)
MLOPT_AVX512_REAL(f64, double, f64v, f64m, pd, epi64, int64_t, 52)

/* Lanes in any order: lane l of the result is lane index[l] of v; indices count modulo the lanes. */
MLOPT_INLINE f32i f32_lane_numbers(void)
{
    return _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
}
MLOPT_INLINE f64i f64_lane_numbers(void) { return _mm512_set_epi64(7, 6, 5, 4, 3, 2, 1, 0); }
/* lane numbers divided by 2^power */
MLOPT_INLINE f32i f32_lane_shares(int power) { return _mm512_srl_epi32(f32_lane_numbers(), _mm_cvtsi32_si128(power)); }
MLOPT_INLINE f64i f64_lane_shares(int power) { return _mm512_srl_epi64(f64_lane_numbers(), _mm_cvtsi32_si128(power)); }
MLOPT_INLINE f32i f32_lanes_onward(f32i index, int by) { return _mm512_add_epi32(index, _mm512_set1_epi32(by)); }
MLOPT_INLINE f64i f64_lanes_onward(f64i index, int by) { return _mm512_add_epi64(index, _mm512_set1_epi64(by)); }
MLOPT_INLINE f32v f32_permute(f32v v, f32i index) { return _mm512_permutexvar_ps(index, v); }
MLOPT_INLINE f64v f64_permute(f64v v, f64i index) { return _mm512_permutexvar_pd(index, v); }

MLOPT_INLINE f32v f32_inverse(f32v a) { return _mm512_rcp14_ps(a); }
MLOPT_INLINE f64v f64_inverse(f64v a) { return _mm512_div_pd(_mm512_set1_pd(1), a); }

/* Transposed sums: each step adds the two halves of every vector and packs two vectors into one. */
MLOPT_INLINE f32v f32_pair_lanes(f32v a, f32v b)
{
    return _mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
}

MLOPT_INLINE f64v f64_pair_lanes(f64v a, f64v b)
{
    return _mm512_add_pd(_mm512_unpacklo_pd(a, b), _mm512_unpackhi_pd(a, b));
}

MLOPT_INLINE f32v f32_pair_halves(f32v a, f32v b)
{
    const f64v x = _mm512_castps_pd(a), y = _mm512_castps_pd(b);
    return _mm512_add_ps(_mm512_castpd_ps(_mm512_unpacklo_pd(x, y)), _mm512_castpd_ps(_mm512_unpackhi_pd(x, y)));
}

MLOPT_INLINE f32v f32_pair_quarters(f32v a, f32v b)
{
    return _mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0x88), _mm512_shuffle_f32x4(a, b, 0xdd));
}

MLOPT_INLINE f64v f64_pair_quarters(f64v a, f64v b)
{
    return _mm512_add_pd(_mm512_shuffle_f64x2(a, b, 0x88), _mm512_shuffle_f64x2(a, b, 0xdd));
}

/* four vectors; each 128-bit quarter holds the four sums over that quarter */
MLOPT_INLINE f32v f32_quarter_sums(const f32v *rows)
{
    return f32_pair_halves(f32_pair_lanes(rows[0], rows[1]), f32_pair_lanes(rows[2], rows[3]));
}

MLOPT_INLINE f32v f32_reduce_add_each(const f32v *rows)
{
    const f32v a = f32_pair_quarters(f32_quarter_sums(rows), f32_quarter_sums(rows + 4));
    const f32v b = f32_pair_quarters(f32_quarter_sums(rows + 8), f32_quarter_sums(rows + 12));
    return f32_pair_quarters(a, b);
}

MLOPT_INLINE f64v f64_reduce_add_each(const f64v *rows)
{
    const f64v a = f64_pair_quarters(f64_pair_lanes(rows[0], rows[1]), f64_pair_lanes(rows[2], rows[3]));
    const f64v b = f64_pair_quarters(f64_pair_lanes(rows[4], rows[5]), f64_pair_lanes(rows[6], rows[7]));
    return f64_pair_quarters(a, b);
}

/* Columns 4q + c of a matrix from rows whose quarters q hold column c of each four rows: quarters change places. */
MLOPT_INLINE void f32_transpose_quarters(f32v a, f32v b, f32v c, f32v d, f32v *out, int stride)
{
    const f32v even = _mm512_shuffle_f32x4(a, b, 0x88), even_too = _mm512_shuffle_f32x4(c, d, 0x88);
    const f32v odd = _mm512_shuffle_f32x4(a, b, 0xdd), odd_too = _mm512_shuffle_f32x4(c, d, 0xdd);
    out[0] = _mm512_shuffle_f32x4(even, even_too, 0x88);
    out[stride] = _mm512_shuffle_f32x4(odd, odd_too, 0x88);
    out[2 * stride] = _mm512_shuffle_f32x4(even, even_too, 0xdd);
    out[3 * stride] = _mm512_shuffle_f32x4(odd, odd_too, 0xdd);
}

MLOPT_INLINE void f32_transpose(f32v *rows)
{
    f64v fours[4][4]; /* [rows / 4][column % 4] */
    MLOPT_UNROLL_FULLY
    for (int i = 0; i < 4; i++) {
        const f32v *const r = rows + 4 * i;
        const f64v low = _mm512_castps_pd(_mm512_unpacklo_ps(r[0], r[1]));
        const f64v low_too = _mm512_castps_pd(_mm512_unpacklo_ps(r[2], r[3]));
        const f64v high = _mm512_castps_pd(_mm512_unpackhi_ps(r[0], r[1]));
        const f64v high_too = _mm512_castps_pd(_mm512_unpackhi_ps(r[2], r[3]));
        fours[i][0] = _mm512_unpacklo_pd(low, low_too);
        fours[i][1] = _mm512_unpackhi_pd(low, low_too);
        fours[i][2] = _mm512_unpacklo_pd(high, high_too);
        fours[i][3] = _mm512_unpackhi_pd(high, high_too);
    }
    MLOPT_UNROLL_FULLY
    for (int c = 0; c < 4; c++)
        f32_transpose_quarters(_mm512_castpd_ps(fours[0][c]), _mm512_castpd_ps(fours[1][c]),
                               _mm512_castpd_ps(fours[2][c]), _mm512_castpd_ps(fours[3][c]), rows + c, 4);
}

MLOPT_INLINE void f64_transpose(f64v *rows)
{
    f32v twos[2][4]; /* [column % 2][rows / 2] */
    MLOPT_UNROLL_FULLY
    for (int i = 0; i < 4; i++) {
        twos[0][i] = _mm512_castpd_ps(_mm512_unpacklo_pd(rows[2 * i], rows[2 * i + 1]));
        twos[1][i] = _mm512_castpd_ps(_mm512_unpackhi_pd(rows[2 * i], rows[2 * i + 1]));
    }
    MLOPT_UNROLL_FULLY
    for (int c = 0; c < 2; c++) {
        f32v columns[4];
        f32_transpose_quarters(twos[c][0], twos[c][1], twos[c][2], twos[c][3], columns, 1);
        MLOPT_UNROLL_FULLY
        for (int q = 0; q < 4; q++)
            rows[2 * q + c] = _mm512_castps_pd(columns[q]);
    }
}

/* loads into lane after lane: the gather instruction takes twice as long on Zen, and is slow on patched Intel cores */
MLOPT_INLINE f64v f64_gather(const double *p, const int64_t *at)
{
    f64v v = _mm512_set1_pd(p[at[0]]);
    v = _mm512_mask_broadcastsd_pd(v, 0x02, _mm_load_sd(p + at[1]));
    v = _mm512_mask_broadcastsd_pd(v, 0x04, _mm_load_sd(p + at[2]));
    v = _mm512_mask_broadcastsd_pd(v, 0x08, _mm_load_sd(p + at[3]));
    v = _mm512_mask_broadcastsd_pd(v, 0x10, _mm_load_sd(p + at[4]));
    v = _mm512_mask_broadcastsd_pd(v, 0x20, _mm_load_sd(p + at[5]));
    v = _mm512_mask_broadcastsd_pd(v, 0x40, _mm_load_sd(p + at[6]));
    return _mm512_mask_broadcastsd_pd(v, 0x80, _mm_load_sd(p + at[7]));
}

/* By shuffles: the ports that load are busy with the other operand. */
MLOPT_INLINE f32v f32_spread(const float *p, f32v block, int lane)
{
    (void)p;
    const f32v quarter = lane / 4 == 0   ? _mm512_shuffle_f32x4(block, block, 0x00)
                         : lane / 4 == 1 ? _mm512_shuffle_f32x4(block, block, 0x55)
                         : lane / 4 == 2 ? _mm512_shuffle_f32x4(block, block, 0xaa)
                                         : _mm512_shuffle_f32x4(block, block, 0xff);
    return lane % 4 == 0   ? _mm512_permute_ps(quarter, 0x00)
           : lane % 4 == 1 ? _mm512_permute_ps(quarter, 0x55)
           : lane % 4 == 2 ? _mm512_permute_ps(quarter, 0xaa)
                           : _mm512_permute_ps(quarter, 0xff);
}

MLOPT_INLINE f64v f64_spread(const double *p, f64v block, int lane)
{
    (void)p;
    const f64v quarter = lane / 2 == 0   ? _mm512_shuffle_f64x2(block, block, 0x00)
                         : lane / 2 == 1 ? _mm512_shuffle_f64x2(block, block, 0x55)
                         : lane / 2 == 2 ? _mm512_shuffle_f64x2(block, block, 0xaa)
                                         : _mm512_shuffle_f64x2(block, block, 0xff);
    return lane % 2 == 0 ? _mm512_permute_pd(quarter, 0x00) : _mm512_permute_pd(quarter, 0xff);
}

#endif
