/* Polynomials of the random numbers, lowest power first: Chebyshev fits over |x| <= pi/4, computed with 50 digits. */
#ifndef MLOPT_SKETCH_COEFFICIENTS_H
#define MLOPT_SKETCH_COEFFICIENTS_H

#include "../vector/coefficients.h"

/* (sin(x) - x) / x^3 in x^2 */
static const float f32_sin_poly[] = {-1.66666647e-1f, 8.33274827e-3f, -1.95878909e-4f};
static const double f64_sin_poly[] = {
    -1.6666666666666665e-1, 8.3333333333309485e-3,  -1.9841269836758574e-4,
    2.7557316102552431e-6,  -2.5051131845001673e-8, 1.5918129294726065e-10,
};

/* (cos(x) - 1 + x^2 / 2) / x^4 in x^2 */
static const float f32_cos_poly[] = {4.16666647e-2f, -1.3888303e-3f, 2.45479421e-5f};
static const double f64_cos_poly[] = {
    4.1666666666666665e-2,  -1.3888888888887397e-3, 2.4801587298765688e-5,
    -2.7557317271729787e-7, 2.0876146268401977e-9,  -1.1382632425433795e-11,
};

#endif
