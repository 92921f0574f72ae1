#include "vector.h"

#include <fenv.h>

#include "coefficients.h"
#include "lookups.h"

#define MLOPT_REAL f32
#include "../simd/real.h"
#include "functions.h"
#include "elementwise.h"
#include "reduce.h"
#include "columns.h"
#include "../simd/real_end.h"

#define MLOPT_REAL f64
#include "../simd/real.h"
#include "functions.h"
#include "elementwise.h"
#include "reduce.h"
#include "columns.h"
#include "../simd/real_end.h"
