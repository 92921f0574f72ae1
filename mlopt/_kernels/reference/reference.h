/* What every file of the reference tier starts with: scalar types, C's own functions. */
#ifndef MLOPT_REFERENCE_H
#define MLOPT_REFERENCE_H

#include "../tier.h"

#include <math.h>

typedef float f32_element;
typedef double f64_element;

/* The C library's function for the element type: LIBM(exp) is expf or exp. */
#define LIBM_f32(name) name##f
#define LIBM_f64(name) name
#define LIBM_OF_(real, name) LIBM_##real(name)
#define LIBM_OF(real, name) LIBM_OF_(real, name)
#define LIBM(name) LIBM_OF(MLOPT_REAL, name)

/* The next wider arithmetic, for functions whose textbook form, or whose form in C libraries, loses digits. */
typedef double f32_wide;
typedef long double f64_wide;
#define f32_EXP_WIDE exp
#define f64_EXP_WIDE expl
#define f32_TANH_WIDE(x) tanh((double)(x))
#define f64_TANH_WIDE(x) tanhl((long double)(x))
#define f32_ERFC_WIDE(x) erfc((double)(x) * -0.70710678118654752440)
#define f64_ERFC_WIDE(x) erfcl((long double)(x) * -0.70710678118654752440084436210484904L)

#endif
