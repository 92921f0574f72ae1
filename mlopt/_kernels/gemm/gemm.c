#include "../simd/simd.h"
#include "gemm.h"

_Static_assert(MLOPT_TILE_ROWS <= MLOPT_GEMM_TILE_ROWS, "workspaces are sized for smaller tiles");
_Static_assert(MLOPT_GEMM_TILE_COLUMNS >= f32_LANES * MLOPT_TILE_VECTORS, "workspaces are sized for smaller tiles");

#define MLOPT_REAL f32
#include "../simd/real.h"
#include "tile.h"
#include "pack.h"
#include "blocked.h"
#include "few.h"
#include "dots.h"
#include "gemm_body.h"
#include "../simd/real_end.h"

#define MLOPT_REAL f64
#include "../simd/real.h"
#include "tile.h"
#include "pack.h"
#include "blocked.h"
#include "few.h"
#include "dots.h"
#include "gemm_body.h"
#include "../simd/real_end.h"
