/* The sketch family, textbook form.  Random numbers are the stream's, so the operations are those of the contract, in
 * its order; one counter and one pair at a time. */
#include "reference.h"

#include "../sketch/coefficients.h"
#include "../sketch/philox.h"
#include "../sketch/sketch.h"

#include <string.h>

static float f32_open_uniform(const uint32_t *words) { return ((float)(int32_t)(words[0] >> 1) + 0.5f) * 0x1p-31f; }
static double f64_open_uniform(const uint32_t *words)
{
    return (double)(((uint64_t)words[1] << 32 | words[0]) >> 12) * 0x1p-52 + 0x1p-53;
}

/* the angle beyond the middle of its quadrant, and the signs that make the quadrant */
static float f32_angle(const uint32_t *words, int signs[2])
{
    signs[0] = (int)(words[1] >> 31), signs[1] = (int)(words[1] >> 30 & 1);
    return (float)(int32_t)(words[1] << 2) * 0x1p-31f;
}
static double f64_angle(const uint32_t *words, int signs[2])
{
    const uint64_t bits = (uint64_t)words[3] << 32 | words[2];
    signs[0] = (int)(bits >> 63), signs[1] = (int)(bits >> 62 & 1);
    return (double)((int64_t)(bits << 2 >> 12) - ((int64_t)1 << 51)) * 0x1p-51;
}

static uint64_t f32_bits(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}
static uint64_t f64_bits(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

#define f32_PAIRS 2
#define f64_PAIRS 1
#define f32_USE MLOPT_PHILOX_NORMAL_F32
#define f64_USE MLOPT_PHILOX_NORMAL_F64
#define f32_MANTISSA_BITS 23
#define f64_MANTISSA_BITS 52

#define MLOPT_REAL f32
#include "../simd/real.h"
#include "sketch_body.h"
#include "../simd/real_end.h"

#define MLOPT_REAL f64
#include "../simd/real.h"
#include "sketch_body.h"
#include "../simd/real_end.h"
