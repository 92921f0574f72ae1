#include "int8.h"

#include "../simd/int8.h"

#include "limit.h"
#include "quantize.h"
