/* The nn family, textbook form. */
#include "reference.h"

#define MLOPT_REAL f32
#include "../simd/real.h"
#include "nn_body.h"
#include "../simd/real_end.h"

#define MLOPT_REAL f64
#include "../simd/real.h"
#include "nn_body.h"
#include "../simd/real_end.h"
