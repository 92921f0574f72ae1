#include "nn.h"

#include <fenv.h>
#include <string.h>

#include "../vector/coefficients.h"
#include "../vector/lookups.h"

#define MLOPT_REAL f32
#include "../simd/real.h"
#include "../vector/functions.h"
#include "activations.h"
#include "dense.h"
#include "packed.h"
#include "batch.h"
#include "losses.h"
#include "norm.h"
#include "cells.h"
#include "updates.h"
#include "../simd/real_end.h"

#define MLOPT_REAL f64
#include "../simd/real.h"
#include "../vector/functions.h"
#include "activations.h"
#include "dense.h"
#include "packed.h"
#include "batch.h"
#include "losses.h"
#include "norm.h"
#include "cells.h"
#include "updates.h"
#include "../simd/real_end.h"
