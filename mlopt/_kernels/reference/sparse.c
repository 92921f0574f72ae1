/* The sparse family, textbook form. */
#include "reference.h"

#include "../sparse/sparse.h"

#define MLOPT_REAL f32
#include "../simd/real.h"
#include "sparse_dense.h"
#define INDEX int32_t
#define KI(name) K(name)
#include "sparse_body.h"
#define INDEX int64_t
#define KI(name) K(MLOPT_JOIN(name, _long))
#include "sparse_body.h"
#include "../simd/real_end.h"

#define MLOPT_REAL f64
#include "../simd/real.h"
#include "sparse_dense.h"
#define INDEX int32_t
#define KI(name) K(name)
#include "sparse_body.h"
#define INDEX int64_t
#define KI(name) K(MLOPT_JOIN(name, _long))
#include "sparse_body.h"
#include "../simd/real_end.h"
