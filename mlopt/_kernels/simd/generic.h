/* The vocabulary over the vector extensions of gcc and clang: any architecture, any width.
 * MLOPT_GENERIC_BYTES (a power of two, meson option generic_bytes) sets the width. */
#ifndef MLOPT_SIMD_GENERIC_H
#define MLOPT_SIMD_GENERIC_H

#ifndef MLOPT_GENERIC_BYTES
#define MLOPT_GENERIC_BYTES 16
#endif

typedef float f32_element;
typedef double f64_element;
typedef float f32v __attribute__((vector_size(MLOPT_GENERIC_BYTES)));
typedef double f64v __attribute__((vector_size(MLOPT_GENERIC_BYTES)));
typedef int32_t f32i __attribute__((vector_size(MLOPT_GENERIC_BYTES)));
typedef int64_t f64i __attribute__((vector_size(MLOPT_GENERIC_BYTES)));
typedef uint32_t f32u __attribute__((vector_size(MLOPT_GENERIC_BYTES)));
typedef uint64_t f64u __attribute__((vector_size(MLOPT_GENERIC_BYTES)));
typedef f32i f32m;
typedef f64i f64m;
#define f32_LANES (MLOPT_GENERIC_BYTES / 4)
#define f64_LANES (MLOPT_GENERIC_BYTES / 8)

/* The tile of a matrix product: 8 registers of the width hold sums, which leaves room for products on 16-register
 * machines. */
#define MLOPT_TILE_ROWS 4
#define MLOPT_TILE_VECTORS 2
#define MLOPT_TILE_HALVES 0
#define MLOPT_LOOKUP 0

#define MLOPT_GENERIC_REDUCE(type, T, V, word, expression)                                                             \
    MLOPT_INLINE T type##_reduce_##word(V v)                                                                           \
    {                                                                                                                  \
        T lanes[type##_LANES];                                                                                         \
        memcpy(lanes, &v, sizeof v);                                                                                   \
        for (int width = type##_LANES / 2; width > 0; width /= 2)                                                      \
            for (int i = 0; i < width; i++) {                                                                          \
                const T a = lanes[i], b = lanes[i + width];                                                            \
                lanes[i] = expression;                                                                                 \
            }                                                                                                          \
        return lanes[0];                                                                                               \
    }

#define MLOPT_GENERIC_REAL(type, T, V, I, U, fma_scalar, sqrt_scalar, mantissa)                                        \
    MLOPT_INLINE V type##_load(const T *p)                                                                             \
    {                                                                                                                  \
        V v;                                                                                                           \
        memcpy(&v, p, sizeof v);                                                                                       \
        return v;                                                                                                      \
    }                                                                                                                  \
    MLOPT_INLINE void type##_store(T *p, V v) { memcpy(p, &v, sizeof v); }                                             \
    MLOPT_INLINE V type##_load_halves(const T *p) { return type##_load(p); }                                           \
    MLOPT_INLINE void type##_store_halves(T *p, V v) { type##_store(p, v); }                                           \
    MLOPT_INLINE void type##_stream(T *p, V v) { type##_store(p, v); }                                                 \
    MLOPT_INLINE void type##_stream_end(void) {}                                                                       \
    MLOPT_INLINE V type##_load_first_or(const T *p, size_t n, V fill)                                                  \
    {                                                                                                                  \
        T lanes[type##_LANES];                                                                                         \
        memcpy(lanes, &fill, sizeof fill);                                                                             \
        for (size_t i = 0; i < n; i++)                                                                                 \
            lanes[i] = p[i];                                                                                           \
        return type##_load(lanes);                                                                                     \
    }                                                                                                                  \
    MLOPT_INLINE void type##_store_first(T *p, size_t n, V v)                                                          \
    {                                                                                                                  \
        T lanes[type##_LANES];                                                                                         \
        memcpy(lanes, &v, sizeof v);                                                                                   \
        for (size_t i = 0; i < n; i++)                                                                                 \
            p[i] = lanes[i];                                                                                           \
    }                                                                                                                  \
    MLOPT_INLINE V type##_zero(void) { return (V){0}; }                                                                \
    MLOPT_INLINE V type##_set1(T x)                                                                                    \
    {                                                                                                                  \
        T lanes[type##_LANES];                                                                                         \
        for (int i = 0; i < type##_LANES; i++)                                                                         \
            lanes[i] = x;                                                                                              \
        return type##_load(lanes);                                                                                     \
    }                                                                                                                  \
    MLOPT_INLINE V type##_load_first(const T *p, size_t n) { return type##_load_first_or(p, n, type##_zero()); }       \
    MLOPT_INLINE V type##_add(V a, V b) { return a + b; }                                                              \
    MLOPT_INLINE V type##_sub(V a, V b) { return a - b; }                                                              \
    MLOPT_INLINE V type##_mul(V a, V b) { return a * b; }                                                              \
    MLOPT_INLINE V type##_div(V a, V b) { return a / b; }                                                              \
    MLOPT_INLINE V type##_inverse(V a) { return 1 / a; }                                                               \
    MLOPT_INLINE V type##_neg(V a) { return -a; }                                                                      \
    MLOPT_INLINE V type##_fma(V a, V b, V c) { return a * b + c; }                                                     \
    MLOPT_INLINE V type##_fnma(V a, V b, V c) { return c - a * b; }                                                    \
    MLOPT_INLINE V type##_fma_exact(V a, V b, V c)                                                                     \
    {                                                                                                                  \
        for (int i = 0; i < type##_LANES; i++)                                                                         \
            a[i] = fma_scalar(a[i], b[i], c[i]);                                                                       \
        return a;                                                                                                      \
    }                                                                                                                  \
    MLOPT_INLINE V type##_sqrt(V a)                                                                                    \
    {                                                                                                                  \
        for (int i = 0; i < type##_LANES; i++)                                                                         \
            a[i] = sqrt_scalar(a[i]);                                                                                  \
        return a;                                                                                                      \
    }                                                                                                                  \
    MLOPT_INLINE I type##_as_int(V a) { return (I)a; }                                                                 \
    MLOPT_INLINE V type##_from_int(I a) { return (V)a; }                                                               \
    MLOPT_INLINE I type##_int_set1(int64_t x) { return (I){0} + (__typeof__(((I){0})[0]))x; }                          \
    MLOPT_INLINE I type##_int_add(I a, I b) { return (I)((U)a + (U)b); }                                               \
    MLOPT_INLINE I type##_int_sub(I a, I b) { return (I)((U)a - (U)b); }                                               \
    MLOPT_INLINE I type##_int_and(I a, I b) { return a & b; }                                                          \
    MLOPT_INLINE I type##_int_or(I a, I b) { return a | b; }                                                           \
    MLOPT_INLINE I type##_int_left(I a) { return (I)((U)a << mantissa); }                                              \
    MLOPT_INLINE I type##_int_right(I a) { return (I)((U)a >> mantissa); }                                             \
    MLOPT_INLINE V type##_select(I m, V a, V b) { return (V)((m & (I)a) | (~m & (I)b)); }                              \
    MLOPT_INLINE V type##_abs(V a) { return (V)((I)a & ~(I)type##_set1((T)-0.0)); }                                    \
    MLOPT_INLINE I type##_unordered(V a, V b) { return (I)((a != a) | (b != b)); }                                     \
    MLOPT_INLINE I type##_eq(V a, V b) { return (I)(a == b); }                                                         \
    /* < and <= raise "invalid" on a NaN; the vocabulary's are quiet: compare with NaN lanes zeroed */                 \
    MLOPT_INLINE I type##_lt(V a, V b)                                                                                 \
    {                                                                                                                  \
        const I ordered = ~type##_unordered(a, b);                                                                     \
        return (I)((V)((I)a & ordered) < (V)((I)b & ordered));                                                         \
    }                                                                                                                  \
    MLOPT_INLINE I type##_le(V a, V b)                                                                                 \
    {                                                                                                                  \
        const I ordered = ~type##_unordered(a, b);                                                                     \
        return (I)((V)((I)a & ordered) <= (V)((I)b & ordered)) & ordered;                                              \
    }                                                                                                                  \
    MLOPT_INLINE V type##_min(V a, V b) { return type##_select(type##_lt(a, b), a, b); }                               \
    MLOPT_INLINE V type##_max(V a, V b) { return type##_select(type##_lt(b, a), a, b); }                               \
    MLOPT_INLINE I type##_mask_or(I a, I b) { return a | b; }                                                          \
    MLOPT_INLINE I type##_mask_and(I a, I b) { return a & b; }                                                         \
    MLOPT_INLINE uint32_t type##_bits(I m)                                                                             \
    {                                                                                                                  \
        uint32_t bits = 0;                                                                                             \
        for (int i = 0; i < type##_LANES; i++)                                                                         \
            bits |= (uint32_t)(m[i] != 0) << i;                                                                        \
        return bits;                                                                                                   \
    }                                                                                                                  \
    MLOPT_INLINE int type##_any(I m) { return type##_bits(m) != 0; }                                                   \
    MLOPT_GENERIC_REDUCE(type, T, V, add, a + b)                                                                       \
    MLOPT_GENERIC_REDUCE(type, T, V, min, a < b ? a : b)                                                               \
    MLOPT_GENERIC_REDUCE(type, T, V, max, a > b ? a : b)                                                               \
    MLOPT_INLINE V type##_spread(const T *p, V block, int lane)                                                        \
    {                                                                                                                  \
        (void)block;                                                                                                   \
        return type##_set1(p[lane]);                                                                                   \
    }                                                                                                                  \
    /* lanes in any order (see avx512.h) */                                                                            \
    MLOPT_INLINE I type##_lane_shares(int power)                                                                       \
    {                                                                                                                  \
        I index = {0};                                                                                                 \
        for (int i = 0; i < type##_LANES; i++)                                                                         \
            index[i] = i >> power;                                                                                     \
        return index;                                                                                                  \
    }                                                                                                                  \
    MLOPT_INLINE I type##_lane_numbers(void) { return type##_lane_shares(0); }                                         \
    MLOPT_INLINE I type##_lanes_onward(I index, int by) { return type##_int_add(index, type##_int_set1(by)); }         \
    MLOPT_INLINE V type##_permute(V v, I index)                                                                        \
    {                                                                                                                  \
        V result = v;                                                                                                  \
        for (int i = 0; i < type##_LANES; i++)                                                                         \
            result[i] = v[index[i] & (type##_LANES - 1)];                                                              \
        return result;                                                                                                 \
    }                                                                                                                  \
    MLOPT_INLINE void type##_transpose(V *rows)                                                                        \
    {                                                                                                                  \
        for (size_t i = 0; i < type##_LANES; i++)                                                                      \
            for (size_t j = 0; j < i; j++) {                                                                           \
                const T upper = rows[j][i];                                                                            \
                rows[j][i] = rows[i][j];                                                                               \
                rows[i][j] = upper;                                                                                    \
            }                                                                                                          \
    }                                                                                                                  \
    MLOPT_INLINE V type##_reduce_add_each(const V *rows)                                                               \
    {                                                                                                                  \
        T sums[type##_LANES];                                                                                          \
        for (int r = 0; r < type##_LANES; r++)                                                                         \
            sums[r] = type##_reduce_add(rows[r]);                                                                      \
        return type##_load(sums);                                                                                      \
    }

MLOPT_GENERIC_REAL(f32, float, f32v, f32i, f32u, fmaf, sqrtf, 23)
MLOPT_GENERIC_REAL(f64, double, f64v, f64i, f64u, fma, sqrt, 52)

MLOPT_INLINE f64v f64_gather(const double *p, const int64_t *at)
{
    f64v v;
    for (int i = 0; i < f64_LANES; i++)
        v[i] = p[at[i]];
    return v;
}

#endif
