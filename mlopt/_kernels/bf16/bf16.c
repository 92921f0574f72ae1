#include "../simd/bf16.h"
#include "bf16.h"

#include "limit.h"

#include "convert.h"

#include "tile.h"

#include "pack.h"

#include "product.h"
