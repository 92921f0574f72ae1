#include "int8.h"

#include "../simd/int8.h"

#include <fenv.h>
#include <string.h>

#include "../nn/nn.h"
#include "../vector/coefficients.h"
#include "../vector/lookups.h"

#define MLOPT_REAL f32
#include "../simd/real.h"
#include "../vector/functions.h"
#include "../nn/activations.h"
#include "../simd/real_end.h"

#include "pack.h"
#include "tile.h"
#include "finish.h"
#include "gemm.h"
#include "chain.h"
#include "limit.h"
#include "quantize.h"
