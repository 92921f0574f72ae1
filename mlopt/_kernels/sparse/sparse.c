#include "../simd/sparse.h"

#include <float.h>

#include "sparse.h"

/* What may be fetched while rows are summed: the rows of the dense operand that are due so many elements later. */
#define AHEAD 8

#define MLOPT_REAL f32
#include "../simd/real.h"
#include "dense.h"
#include "sliced.h"
#define INDEX_BITS 32
#include "compressed.h"
#define INDEX_BITS 64
#include "compressed.h"
#include "../simd/real_end.h"

#define MLOPT_REAL f64
#include "../simd/real.h"
#include "dense.h"
#include "sliced.h"
#define INDEX_BITS 32
#include "compressed.h"
#define INDEX_BITS 64
#include "compressed.h"
#include "../simd/real_end.h"
