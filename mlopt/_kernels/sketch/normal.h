/* Pairs of normal numbers from random bits, for one element type.  Products and sums are rounded apart (never the
 * vocabulary's fma, which rounds once on some tiers and twice on others), so that all tiers agree to the bit. */

MLOPT_INLINE V F(plain_horner)(V x, const T *coefficients, int count)
{
    V sum = F(set1)(coefficients[count - 1]);
    MLOPT_UNROLL_FULLY
    for (int i = count - 2; i >= 0; i--)
        sum = F(add)(F(mul)(sum, x), F(set1)(coefficients[i]));
    return sum;
}
#define PLAIN_POLY(x, name) F(plain_horner)(x, F(name), MLOPT_COUNT(F(name)))

/* -log(u), 0 < u <= 1 and normal: as log_normal in vector/functions.h */
MLOPT_INLINE V F(minus_log)(V u)
{
    const I bias = F(int_left)(F(int_set1)(F(BIAS)));
    const I bits = F(as_int)(u);
    const I above = F(int_add)(F(int_sub)(bits, F(as_int)(F(set1)((T)0.70710678118654752))), bias);
    const I biased = F(int_right)(above); /* k + BIAS, k the exponent of u / sqrt(1/2) */
    const V m = F(from_int)(F(int_add)(F(int_sub)(bits, F(int_left)(biased)), bias));
    const V two = F(set1)(F(TWO_TO_MANTISSA));
    const V k = F(sub)(F(from_int)(F(int_or)(biased, F(as_int)(two))), F(set1)(F(TWO_TO_MANTISSA) + F(BIAS)));
    const V f = F(sub)(m, F(set1)(1));
    const V s = F(div)(f, F(add)(f, F(set1)(2)));
    const V z = F(mul)(s, s);
    const V half_square = F(mul)(F(mul)(f, f), F(set1)((T)0.5));
    const V series = F(add)(half_square, F(mul)(z, PLAIN_POLY(z, log_poly)));
    const V correction = F(add)(F(mul)(s, series), F(mul)(k, F(set1)(F(LN2_LOW))));
    return F(sub)(F(sub)(F(sub)(half_square, correction), f), F(mul)(k, F(set1)(F(LN2_HIGH))));
}

/* Box and Muller's pair: radius sqrt(-2 log u) times cosine and sine of an angle.  The angle's quadrant is two random
 * signs; in the quadrant it is x + pi/4, |x| <= pi/4, whose cosine and sine are (cos x -+ sin x) / sqrt(2). */
MLOPT_INLINE void F(normal_pair)(I radius_bits, I angle_bits, V *first, V *second)
{
    const V radius = F(sqrt)(F(minus_log)(F(random_uniform)(radius_bits)));
    const V x = F(mul)(F(random_centred)(angle_bits), F(set1)((T)0.78539816339744831));
    const V z = F(mul)(x, x);
    const V sine = F(add)(x, F(mul)(F(mul)(x, z), PLAIN_POLY(z, sin_poly)));
    const V high = F(mul)(F(mul)(z, z), PLAIN_POLY(z, cos_poly));
    const V cosine = F(add)(F(sub)(F(set1)(1), F(mul)(z, F(set1)((T)0.5))), high);
    *first = F(random_sign)(F(mul)(radius, F(sub)(cosine, sine)), angle_bits);
    *second = F(random_sign)(F(mul)(radius, F(add)(cosine, sine)), F(random_next)(angle_bits));
}

/* a block of the stream: MLOPT_RANDOM_BLOCK counters */
#define BLOCK ((size_t)MLOPT_RANDOM_BLOCK * (IS_F32 ? 4 : 2))

MLOPT_INLINE void F(normal_block)(const u64v *keys, uint64_t block, T *out);

void K(random_normal)(uint64_t key, uint64_t first, size_t n, T *out)
{
    u64v keys[2 * MLOPT_PHILOX_ROUNDS];
    mlopt_philox_keys(key, keys);
    uint64_t block = first / BLOCK;
    const size_t skipped = (size_t)(first % BLOCK);
    T part[BLOCK];
    if (skipped) {
        const size_t some = n < BLOCK - skipped ? n : BLOCK - skipped;
        F(normal_block)(keys, block++, part);
        memcpy(out, part + skipped, some * sizeof(T));
        out += some, n -= some;
    }
    for (; n >= BLOCK; n -= BLOCK, out += BLOCK)
        F(normal_block)(keys, block++, out);
    if (n) {
        F(normal_block)(keys, block, part);
        memcpy(out, part, n * sizeof(T));
    }
}
