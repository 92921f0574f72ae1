/* The limits family, textbook form: what a scalar loop reaches. */
#include "reference.h"

#include "../limits/limits.h"

#include <string.h>

typedef uint32_t f32_bits;
typedef uint64_t f64_bits;

#define MLOPT_REAL f32
#include "../simd/real.h"
#include "limits_body.h"
#include "../simd/real_end.h"

#define MLOPT_REAL f64
#include "../simd/real.h"
#include "limits_body.h"
#include "../simd/real_end.h"
