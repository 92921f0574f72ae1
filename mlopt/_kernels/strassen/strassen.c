#include "strassen.h"

#include "../simd/simd.h"

#define MLOPT_REAL f32
#include "../simd/real.h"
#include "sums.h"
#include "../simd/real_end.h"

#define MLOPT_REAL f64
#include "../simd/real.h"
#include "sums.h"
#include "../simd/real_end.h"
