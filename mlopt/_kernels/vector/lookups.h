/* tanh and log by tables that registers hold, for the tiers whose registers are large enough (simd/README.md);
 * elsewhere functions.h does without.  The polynomials are fits at Chebyshev points, computed with 50 digits. */
#ifndef MLOPT_LOOKUPS_H
#define MLOPT_LOOKUPS_H

#if MLOPT_LOOKUP

#define MLOPT_ALIGNED __attribute__((aligned(64)))

/* |x| + START is cut into 32 intervals, eight in each doubling, up to 10.  In each, tanh is a polynomial in what |x| is
 * beyond the interval's middle; in the first one the middle is 0, which keeps small numbers' digits.  The middles are
 * chosen where tanh is nearly a float32, so that the first coefficient has no error of its own. */
#define f32_TANH_START 0.625f
static const float f32_tanh_middle[] MLOPT_ALIGNED = {
    1.5003363f,    1.749765f,     2.000336f,     2.2495773f,    2.4997172f,    2.749523f,     3.0006678f,
    3.2493773f,    3.6246552f,    4.124435f,     4.6244826f,    5.125995f,     5.625512f,     6.1236353f,
    6.6255703f,    7.1188183f,    7.8596206f,    8.66434f,      0.0f,          9.3742445e-2f, 1.5621144e-1f,
    2.1874551e-1f, 2.8121307e-1f, 3.4375155e-1f, 4.3750852e-1f, 5.6240565e-1f, 6.874732e-1f,  8.123744e-1f,
    9.374493e-1f,  1.0624788f,    1.187622f,     1.3125731f,
};
static const float f32_tanh_table[][32] MLOPT_ALIGNED = {
    {9.05209e-1f,   9.413488e-1f,  9.640513e-1f, 9.7800773e-1f, 9.866068e-1f,  9.91852e-1f,   9.9506134e-1f,
     9.969939e-1f,  9.985797e-1f,  9.99477e-1f,  9.998076e-1f,  9.999294e-1f,  9.99974e-1f,   9.999904e-1f,
     9.999965e-1f,  9.999987e-1f,  9.999997e-1f, 9.9999994e-1f, 0.0f,          9.3468815e-2f, 1.5495309e-1f,
     2.1532206e-1f, 2.7402744e-1f, 3.308225e-1f, 4.1157714e-1f, 5.0976014e-1f, 5.963563e-1f,  6.70898e-1f,
     7.340481e-1f,  7.866107e-1f,  8.298399e-1f, 8.64925e-1f},
    {1.8059687e-1f, 1.1386217e-1f, 7.060471e-2f,  4.350057e-2f,   2.660685e-2f,  1.6229494e-2f, 9.852841e-3f,
     6.0031065e-3f, 2.8381657e-3f, 1.0454989e-3f, 3.847077e-4f,   1.4111568e-4f, 5.1966053e-5f, 1.9189458e-5f,
     7.03218e-6f,   2.6221767e-6f, 5.94486e-7f,   1.19114674e-7f, 1.0f,          9.9126357e-1f, 9.759895e-1f,
     9.536364e-1f,  9.2490894e-1f, 8.9055645e-1f, 8.306043e-1f,   7.401448e-1f,  6.4435947e-1f, 5.498961e-1f,
     4.611736e-1f,  3.8124377e-1f, 3.1136587e-1f, 2.5190476e-1f},
    {-1.634783e-1f,  -1.0718447e-1f, -6.806684e-2f,  -4.25442e-2f,   -2.625069e-2f,  -1.6097393e-2f, -9.804213e-3f,
     -5.985119e-3f,  -2.8344614e-3f, -1.0450782e-3f, -3.8467985e-4f, -1.4111823e-4f, -5.1969833e-5f, -1.9191919e-5f,
     -7.032841e-6f,  -2.6227942e-6f, -5.9629826e-7f, -1.2034432e-7f, 5.9484855e-6f,  -9.2652224e-2f, -1.5123259e-1f,
     -2.0533894e-1f, -2.5345042e-1f, -2.946161e-1f,  -3.4185743e-1f, -3.77296e-1f,   -3.8426757e-1f, -3.68924e-1f,
     -3.3852348e-1f, -2.9989037e-1f, -2.5838384e-1f, -2.1787874e-1f},
    {8.772965e-2f,  6.30152e-2f,    4.217815e-2f,   2.718614e-2f,  1.7085955e-2f,  1.0593581e-2f, 6.4953566e-3f,
     3.9810166e-3f, 1.9134514e-3f,  7.068847e-4f,   2.6038432e-4f, 9.555089e-5f,   3.519161e-5f,  1.2995572e-5f,
     4.7625635e-6f, 1.7756824e-6f,  4.2242192e-7f,  8.0438134e-8f, -3.339112e-1f,  -3.216103e-1f, -3.01765e-1f,
     -2.735611e-1f, -2.387785e-1f,  -1.9934751e-1f, -1.361967e-1f, -5.4596957e-2f, 1.4073025e-2f, 6.3905545e-2f,
     9.450886e-2f,  1.08624786e-1f, 1.1050517e-1f,  1.0441259e-1f},
    {-2.4826637e-2f, -2.3481417e-2f, -1.7892506e-2f, -1.2338304e-2f, -8.062592e-3f,  -5.1115607e-3f, -3.1820266e-3f,
     -1.9619372e-3f, -9.457619e-4f,  -3.5055244e-4f, -1.2931105e-4f, -4.7589936e-5f, -1.751719e-5f,  -6.4499145e-6f,
     -2.3710788e-6f, -8.74641e-7f,   -2.0206326e-7f, -2.9611419e-8f, 1.5967863e-2f,  6.092104e-2f,   9.7143196e-2f,
     1.2729421e-1f,  1.4985621e-1f,  1.6407906e-1f,  1.6969493e-1f,  1.532899e-1f,   1.1945399e-1f,  7.989904e-2f,
     4.334909e-2f,   1.4458658e-2f,  -5.5802674e-3f, -1.7673625e-2f},
};

MLOPT_INLINE f32v f32_tanh_lookup(f32v x)
{
    const f32v limit = f32_set1(f32_TANH_ONE), unclipped = f32_abs(x);
    const f32v magnitude = f32_select(f32_lt(limit, unclipped), limit, unclipped); /* keeps NaN */
    const f32i at = f32_table_index(f32_add(magnitude, f32_set1(f32_TANH_START)), 3);
    const f32v beyond = f32_sub(magnitude, f32_lookup(f32_tanh_middle, at));
    f32v sum = f32_lookup(f32_tanh_table[4], at);
    MLOPT_UNROLL_FULLY
    for (int i = 3; i >= 0; i--)
        sum = f32_fma(sum, beyond, f32_lookup(f32_tanh_table[i], at));
    const f32i sign = f32_int_and(f32_as_int(x), f32_as_int(f32_set1(-0.0f)));
    return f32_from_int(f32_int_or(f32_as_int(sum), sign)); /* the sum is not negative */
}

/* x = 2^k m with m in [1, 2); with c, near 1 / m and short, log x = k ln 2 - log c + log(1 + r), r = c m - 1 and
 * -1/32 <= r < 1/16.  -log c is in two parts, the first a multiple of 2^-33 as LN2_HIGH is.  At both ends the log of c
 * cancels k ln 2 where it must: the first c is 1, the last 1/2. */
static const double f64_log_inverse[] MLOPT_ALIGNED = {
    1.0,        0.9140625,  0.86328125, 0.8203125,  0.78125, 0.74609375, 0.7109375, 0.6796875,
    0.65234375, 0.62890625, 0.60546875, 0.58203125, 0.5625,  0.54296875, 0.5234375, 0.5,
};
static const double f64_log_high[] MLOPT_ALIGNED = {
    0.0,
    0.08985632914118469,
    0.14701474294997752,
    0.19806991377845407,
    0.24686007795389742,
    0.2929040164453909,
    0.3411707574268803,
    0.3861221452243626,
    0.42718363204039633,
    0.4637730794493109,
    0.501752327545546,
    0.5412311385152861,
    0.5753641448682174,
    0.610703511396423,
    0.6473376444773749,
    0.6931471803691238,
};
static const double f64_log_low[] MLOPT_ALIGNED = {
    0.0,
    -1.9323640537793985e-11,
    1.183214190684419e-11,
    -1.636027050360844e-11,
    -2.2371618707002346e-11,
    -1.2458277619972619e-11,
    -2.4113175283228763e-11,
    4.06708355714777e-11,
    2.2411035337322502e-11,
    4.5788580644928644e-11,
    1.47698595724902e-11,
    1.8817186750976793e-11,
    3.534444622136404e-11,
    -4.755226406680929e-11,
    5.127625454690905e-11,
    1.9082149292705877e-10,
};
/* (log(1 + r) - r) / r^2 */
static const double f64_log1p_poly[] = {
    -0.49999999999999994, 0.33333333333340287,  -0.2500000000009317, 0.1999999995328674, -0.16666665870721806,
    0.1428579138027727,   -0.12501839998216407, 0.11081912861679763, -0.088437987998088,
};

/* as log_normal in functions.h */
MLOPT_INLINE f64v f64_log_lookup(f64v x, const f64v *k_offset)
{
    const f64i at = f64_table_index(x, 4);
    f64v k = f64_exponent(x);
    if (k_offset)
        k = f64_add(k, *k_offset);
    const f64v r = f64_fma(f64_significand(x), f64_lookup(f64_log_inverse, at), f64_set1(-1));
    const f64v high = f64_fma(k, f64_set1(f64_LN2_HIGH), f64_lookup(f64_log_high, at));
    const f64v low = f64_fma(k, f64_set1(f64_LN2_LOW), f64_lookup(f64_log_low, at));
    const int degree = MLOPT_COUNT(f64_log1p_poly) - 1;
    f64v sum = f64_set1(f64_log1p_poly[degree]);
    MLOPT_UNROLL_FULLY
    for (int i = degree - 1; i >= 0; i--)
        sum = f64_fma(sum, r, f64_set1(f64_log1p_poly[i]));
    return f64_add(high, f64_add(r, f64_fma(f64_mul(r, r), sum, low)));
}

#define f32_TANH f32_tanh_lookup
#define f64_LOG_NORMAL f64_log_lookup

#else

#define f32_TANH f32_tanh_quotient
#define f64_LOG_NORMAL f64_log_normal

#endif

#define f64_TANH f64_tanh_quotient
#define f32_LOG_NORMAL f32_log_normal

#endif
