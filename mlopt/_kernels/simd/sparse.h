/* Words of the sparse family: loads from, and stores to, the places that a vector of column numbers names.
 *
 *   gather_32(p, at)  gather_64(p, at)   lane i is p[at[i]], of LANES numbers in memory
 *   store_each(p, at, v)                 p[at[i]] is lane i, likewise
 *
 * Where MLOPT_SCATTER is 1, there are vectors of LANES 32-bit column numbers as well, P:
 *
 *   places_32(p, n, fill)  places_64(p, n, fill)   the first n of memory, the others `fill`
 *   gather_places(p, at)  scatter_places(p, at, v)
 *   store_chosen(p, mask, at)   those of the mask's lanes, one behind the other; LANES numbers are written
 *   store_places_32(p, n, at)  store_places_64(p, n, at)   the first n
 */
#ifndef MLOPT_SIMD_SPARSE_H
#define MLOPT_SIMD_SPARSE_H

#include "simd.h"

#if defined(__AVX2__)

/* Lane after lane, two column numbers a load: the gather instructions take half as long again, or twice. */
MLOPT_INLINE __m128 f32_four_places(const float *p, size_t a, size_t b, size_t c, size_t d)
{
    __m128 v = _mm_load_ss(p + a);
    v = _mm_insert_ps(v, _mm_load_ss(p + b), 0x10);
    v = _mm_insert_ps(v, _mm_load_ss(p + c), 0x20);
    return _mm_insert_ps(v, _mm_load_ss(p + d), 0x30);
}

MLOPT_INLINE __m128 f32_four_32(const float *p, const int32_t *at)
{
    uint64_t two[2];
    memcpy(two, at, sizeof two);
    return f32_four_places(p, (uint32_t)two[0], two[0] >> 32, (uint32_t)two[1], two[1] >> 32);
}

/* Four lanes, and two, to places of their own: a scatter instruction takes several times as long. */
MLOPT_INLINE void f32_store_four(float *p, const int32_t *at, __m128 v)
{
    _mm_store_ss(p + at[0], v);
    _mm_store_ss(p + at[1], _mm_movehdup_ps(v));
    _mm_store_ss(p + at[2], _mm_unpackhi_ps(v, v));
    _mm_store_ss(p + at[3], _mm_permute_ps(v, 0xff));
}

MLOPT_INLINE void f64_store_two(double *p, const int32_t *at, __m128d v)
{
    _mm_storel_pd(p + at[0], v);
    _mm_storeh_pd(p + at[1], v);
}

MLOPT_INLINE __m128 f32_four_64(const float *p, const int64_t *at)
{
    return f32_four_places(p, (size_t)at[0], (size_t)at[1], (size_t)at[2], (size_t)at[3]);
}

#endif

#if defined(__AVX512F__)

#define MLOPT_SCATTER 1
typedef __m512i f32p;
typedef __m256i f64p;

#define MLOPT_GATHER_F32(bits)                                                                                         \
    MLOPT_INLINE f32v f32_gather_##bits(const float *p, const int##bits##_t *at)                                       \
    {                                                                                                                  \
        f32v v = _mm512_castps128_ps512(f32_four_##bits(p, at));                                                       \
        v = _mm512_insertf32x4(v, f32_four_##bits(p, at + 4), 1);                                                      \
        v = _mm512_insertf32x4(v, f32_four_##bits(p, at + 8), 2);                                                      \
        return _mm512_insertf32x4(v, f32_four_##bits(p, at + 12), 3);                                                  \
    }
MLOPT_GATHER_F32(32)
MLOPT_GATHER_F32(64)
#undef MLOPT_GATHER_F32

MLOPT_INLINE f64v f64_lane_from(f64v v, __mmask8 lane, const double *p)
{
    return _mm512_mask_broadcastsd_pd(v, lane, _mm_load_sd(p));
}

MLOPT_INLINE f64v f64_gather_32(const double *p, const int32_t *at)
{
    uint64_t two[4];
    memcpy(two, at, sizeof two);
    f64v v = _mm512_set1_pd(p[(uint32_t)two[0]]);
    v = f64_lane_from(v, 0x02, p + (two[0] >> 32));
    v = f64_lane_from(v, 0x04, p + (uint32_t)two[1]);
    v = f64_lane_from(v, 0x08, p + (two[1] >> 32));
    v = f64_lane_from(v, 0x10, p + (uint32_t)two[2]);
    v = f64_lane_from(v, 0x20, p + (two[2] >> 32));
    v = f64_lane_from(v, 0x40, p + (uint32_t)two[3]);
    return f64_lane_from(v, 0x80, p + (two[3] >> 32));
}

MLOPT_INLINE f64v f64_gather_64(const double *p, const int64_t *at) { return f64_gather(p, at); }

MLOPT_INLINE void f32_store_each(float *p, const int32_t *at, f32v v)
{
    f32_store_four(p, at, _mm512_castps512_ps128(v));
    f32_store_four(p, at + 4, _mm512_extractf32x4_ps(v, 1));
    f32_store_four(p, at + 8, _mm512_extractf32x4_ps(v, 2));
    f32_store_four(p, at + 12, _mm512_extractf32x4_ps(v, 3));
}

MLOPT_INLINE void f64_store_each(double *p, const int32_t *at, f64v v)
{
    f64_store_two(p, at, _mm512_castpd512_pd128(v));
    f64_store_two(p, at + 2, _mm512_extractf64x2_pd(v, 1));
    f64_store_two(p, at + 4, _mm512_extractf64x2_pd(v, 2));
    f64_store_two(p, at + 6, _mm512_extractf64x2_pd(v, 3));
}

MLOPT_INLINE f32p f32_places_32(const int32_t *p, size_t n, int32_t fill)
{
    return _mm512_mask_loadu_epi32(_mm512_set1_epi32(fill), f32_first(n), p);
}

MLOPT_INLINE f64p f64_places_32(const int32_t *p, size_t n, int32_t fill)
{
    return _mm256_mask_loadu_epi32(_mm256_set1_epi32(fill), f64_first(n), p);
}

MLOPT_INLINE f64p f64_places_64(const int64_t *p, size_t n, int32_t fill)
{
    return _mm512_cvtepi64_epi32(_mm512_mask_loadu_epi64(_mm512_set1_epi64(fill), f64_first(n), p));
}

MLOPT_INLINE f32p f32_places_64(const int64_t *p, size_t n, int32_t fill)
{
    const size_t low = n < 8 ? n : 8;
    const f64p high = f64_places_64(p + low, n - low, fill);
    return _mm512_inserti64x4(_mm512_castsi256_si512(f64_places_64(p, low, fill)), high, 1);
}

MLOPT_INLINE f32v f32_gather_places(const float *p, f32p at) { return _mm512_i32gather_ps(at, p, 4); }
MLOPT_INLINE f64v f64_gather_places(const double *p, f64p at) { return _mm512_i32gather_pd(at, p, 8); }
MLOPT_INLINE void f32_scatter_places(float *p, f32p at, f32v v) { _mm512_i32scatter_ps(p, at, v, 4); }
MLOPT_INLINE void f64_scatter_places(double *p, f64p at, f64v v) { _mm512_i32scatter_pd(p, at, v, 8); }

MLOPT_INLINE void f32_store_chosen(int32_t *p, f32m mask, f32p at)
{
    _mm512_storeu_si512(p, _mm512_maskz_compress_epi32(mask, at));
}

MLOPT_INLINE void f64_store_chosen(int32_t *p, f64m mask, f64p at)
{
    _mm256_storeu_si256((__m256i *)(void *)p, _mm256_maskz_compress_epi32(mask, at));
}

MLOPT_INLINE void f32_store_places_32(int32_t *p, size_t n, f32p at) { _mm512_mask_storeu_epi32(p, f32_first(n), at); }
MLOPT_INLINE void f64_store_places_32(int32_t *p, size_t n, f64p at) { _mm256_mask_storeu_epi32(p, f64_first(n), at); }

MLOPT_INLINE void f64_store_places_64(int64_t *p, size_t n, f64p at)
{
    _mm512_mask_storeu_epi64(p, f64_first(n), _mm512_cvtepi32_epi64(at));
}

MLOPT_INLINE void f32_store_places_64(int64_t *p, size_t n, f32p at)
{
    const size_t low = n < 8 ? n : 8;
    f64_store_places_64(p, low, _mm512_castsi512_si256(at));
    f64_store_places_64(p + low, n - low, _mm512_extracti64x4_epi64(at, 1));
}

/* the lanes that hold these bits */
MLOPT_INLINE f32m f32_same_bits(f32v v, int64_t bits)
{
    return _mm512_cmpeq_epi32_mask(_mm512_castps_si512(v), _mm512_set1_epi32((int32_t)bits));
}

MLOPT_INLINE f64m f64_same_bits(f64v v, int64_t bits)
{
    return _mm512_cmpeq_epi64_mask(_mm512_castpd_si512(v), _mm512_set1_epi64(bits));
}

MLOPT_INLINE f32v f32_zero_where(f32m m, f32v v) { return _mm512_maskz_mov_ps((__mmask16)~m, v); }
MLOPT_INLINE f64v f64_zero_where(f64m m, f64v v) { return _mm512_maskz_mov_pd((__mmask8)~m, v); }

#else

#define MLOPT_SCATTER 0

#if defined(__AVX2__)

#define MLOPT_GATHER_REAL(bits)                                                                                        \
    MLOPT_INLINE f32v f32_gather_##bits(const float *p, const int##bits##_t *at)                                       \
    {                                                                                                                  \
        return _mm256_set_m128(f32_four_##bits(p, at + 4), f32_four_##bits(p, at));                                    \
    }                                                                                                                  \
    MLOPT_INLINE f64v f64_gather_##bits(const double *p, const int##bits##_t *at)                                      \
    {                                                                                                                  \
        const __m128d low = _mm_loadh_pd(_mm_load_sd(p + at[0]), p + at[1]);                                           \
        return _mm256_set_m128d(_mm_loadh_pd(_mm_load_sd(p + at[2]), p + at[3]), low);                                 \
    }

MLOPT_INLINE void f32_store_each(float *p, const int32_t *at, f32v v)
{
    f32_store_four(p, at, _mm256_castps256_ps128(v));
    f32_store_four(p, at + 4, _mm256_extractf128_ps(v, 1));
}

MLOPT_INLINE void f64_store_each(double *p, const int32_t *at, f64v v)
{
    f64_store_two(p, at, _mm256_castpd256_pd128(v));
    f64_store_two(p, at + 2, _mm256_extractf128_pd(v, 1));
}

#else

#define MLOPT_GATHER_ONE(type, T, bits)                                                                                \
    MLOPT_INLINE type##v type##_gather_##bits(const T *p, const int##bits##_t *at)                                     \
    {                                                                                                                  \
        T lanes[type##_LANES];                                                                                         \
        for (size_t i = 0; i < type##_LANES; i++)                                                                      \
            lanes[i] = p[at[i]];                                                                                       \
        return type##_load(lanes);                                                                                     \
    }
#define MLOPT_GATHER_REAL(bits) MLOPT_GATHER_ONE(f32, float, bits) MLOPT_GATHER_ONE(f64, double, bits)

#define MLOPT_STORE_EACH(type, T)                                                                                      \
    MLOPT_INLINE void type##_store_each(T *p, const int32_t *at, type##v v)                                            \
    {                                                                                                                  \
        T lanes[type##_LANES];                                                                                         \
        type##_store(lanes, v);                                                                                        \
        for (size_t i = 0; i < type##_LANES; i++)                                                                      \
            p[at[i]] = lanes[i];                                                                                       \
    }
MLOPT_STORE_EACH(f32, float)
MLOPT_STORE_EACH(f64, double)
#undef MLOPT_STORE_EACH

#endif

MLOPT_GATHER_REAL(32)
MLOPT_GATHER_REAL(64)

#endif
#endif
