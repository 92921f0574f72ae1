/* Polynomials of the elementary functions, lowest power first: Chebyshev fits over the stated
 * interval, computed with 40 digits; the relative error of each fit is below half the type's eps
 * times the share that its term has in the result. */
#ifndef MLOPT_COEFFICIENTS_H
#define MLOPT_COEFFICIENTS_H

#define MLOPT_COUNT(array) ((int)(sizeof(array) / sizeof *(array)))

/* (exp(r) - 1 - r) / r^2, |r| <= ln(2)/2 */
static const float f32_exp_poly[] = {5.0e-1f, 1.66665769e-1f, 4.16665545e-2f, 8.36319033e-3f, 1.39261977e-3f};
static const double f64_exp_poly[] = {
    5.000000000000001e-1, 1.6666666666666667e-1, 4.1666666666624064e-2, 8.3333333333300569e-3, 1.3888888917245788e-3,
    1.984126986307828e-4, 2.4801521246131494e-5, 2.7557268421682612e-6, 2.7620112139572364e-7, 2.5100403716576691e-8,
};

/* (log((1+s)/(1-s)) - 2s) / s^3 in s^2, |s| <= (sqrt(2)-1)/(sqrt(2)+1) */
static const float f32_log_poly[] = {6.66666665e-1f, 4.00001294e-1f, 2.85499686e-1f, 2.33534276e-1f};
static const double f64_log_poly[] = {
    6.6666666666666666e-1, 4.000000000000101e-1,  2.8571428570723249e-1, 2.2222222409750114e-1,
    1.8181793732111754e-1, 1.5386342449645144e-1, 1.3266048812203002e-1, 1.3114834869597498e-1,
};

/* (erf(x) - x) / x in x^2, |x| <= 1 */
static const float f32_erf_poly[] = {
    1.28379166e-1f, -3.76126267e-1f, 1.12835947e-1f, -2.6854212e-2f, 5.18908742e-3f, -8.01686429e-4f, 7.87587506e-5f,
};
static const double f64_erf_poly[] = {
    1.2837916709551257e-1, -3.761263890318354e-1,  1.1283791670945006e-1, -2.686617064323777e-2,
    5.2239776071164227e-3, -8.5483259753896921e-4, 1.2055294904839708e-4, -1.492473690741966e-5,
    1.6447424703317362e-6, -1.6208483801871706e-7, 1.3720064546777686e-8, -7.7958988270021422e-10,
};

/* (1 + 2z) exp(z^2) erfc(z) in t = (z - k) / (z + k), z >= 0, k = 2 (f32) and 4 (f64) */
#define f32_ERFCX_SHIFT 2.0f
#define f64_ERFCX_SHIFT 4.0
static const float f32_erfcx_poly[] = {
    1.27697838f,    -9.27630388e-2f, -1.66030604e-1f, 1.64035273e-1f,  -5.42159009e-2f, -7.94070691e-3f,
    8.70021721e-3f, 1.0404808e-3f,   -1.40835775e-3f, -1.82478015e-4f, 1.65867579e-4f,
};
static const double f64_erfcx_poly[] = {
    1.2329951186255525,     -1.3962111684056249e-1, 1.5379652102610162e-2,  6.8097054254686208e-2,
    -1.0103906603585294e-1, 9.3732834998651721e-2,  -6.6330365820503671e-2, 3.7167515531843196e-2,
    -1.6197733979924258e-2, 5.031970032548695e-3,   -7.5777371418388841e-4, -1.9925700412184814e-4,
    1.506231178516207e-4,   -2.4398117942079951e-5, -1.1225140354449657e-5, 5.7072395736932574e-6,
    2.9805960553227689e-7,  -8.2180206548130448e-7, 7.1119124280104235e-8,  1.0683442926744586e-7,
    -1.6357383982124768e-8, -1.2544825403855519e-8, 1.5712153638319064e-9,  9.6554082254828637e-10,
};

/* 1.5 * 2^mantissa: adding it rounds a small number to an integer that stands in the low bits */
#define f32_ROUNDER 12582912.0f
#define f64_ROUNDER 6755399441055744.0
#define f32_TWO_TO_MANTISSA 8388608.0f
#define f64_TWO_TO_MANTISSA 4503599627370496.0
#define f32_BIAS 127
#define f64_BIAS 1023
/* ln(2) in two parts, the first short enough for n * high to be exact (Cody and Waite) */
#define f32_LN2_HIGH 0.693359375f
#define f32_LN2_LOW -2.12194440e-4f
#define f64_LN2_HIGH 6.93147180369123816490e-01
#define f64_LN2_LOW 1.90821492927058770002e-10
/* |x| up to which exp(x) is normal and its scaling is one step */
#define f32_EXP_NORMAL 87.0f
#define f64_EXP_NORMAL 708.0
/* beyond these exp overflows, or is below half the smallest denormal */
#define f32_EXP_HIGH 89.0f
#define f64_EXP_HIGH 710.0
#define f32_EXP_LOW -104.5f
#define f64_EXP_LOW -746.0
#define f32_MIN_NORMAL 0x1p-126f
#define f64_MIN_NORMAL 0x1p-1022
/* |x| from which tanh is 1 and erf is 1, to the last bit */
#define f32_TANH_ONE 9.25f
#define f64_TANH_ONE 20.0
#define f32_ERF_ONE 4.5f
#define f64_ERF_ONE 6.5
/* |x| from which Phi(-|x|) is 0 */
#define f32_PHI_ZERO 15.0f
#define f64_PHI_ZERO 39.5

#endif
