#include "bf16.h"

#include "../simd/bf16.h"

#include "limit.h"
