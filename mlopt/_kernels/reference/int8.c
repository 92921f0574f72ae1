/* The int8 family, textbook form. */
#include "reference.h"

#include "../int8/int8.h"

int32_t MLOPT_SYMBOL(limit_int8, s8)(size_t n, const uint8_t *x, const int8_t *y)
{
    const size_t steps = n / MLOPT_INT8_LIMIT_STEP;
    uint32_t total = 0;
    for (size_t chain = 0; steps && chain < MLOPT_INT8_LIMIT_CHAINS; chain++) {
        uint32_t c = (uint32_t)(chain % MLOPT_INT8_ACCUMULATORS);
        for (size_t i = 0; i < steps; i++)
            for (int j = 0; j < 4; j++)
                c += (uint32_t)(x[j] * y[j]);
        total += c;
    }
    return (int32_t)total;
}

static void widen(float x, float *low, float *high)
{
    if (!isfinite(x))
        *low = *high = NAN; /* for good: no comparison with it is true */
    else if (x < *low)
        *low = x;
    else if (x > *high)
        *high = x;
}

void MLOPT_SYMBOL(range, f32)(size_t n, const float *x, float *low, float *high)
{
    for (size_t i = 0; i < n; i++)
        widen(x[i], low, high);
}

void MLOPT_SYMBOL(range_columns, f32)(size_t rows, size_t columns, const float *x, size_t x_row, float *low,
                                      float *high)
{
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < columns; j++)
            widen(x[i * x_row + j], &low[j], &high[j]);
}

static uint8_t quantized(float x, float scale, int32_t zero_point, const int32_t *limits)
{
    const float low = (float)(limits[0] - zero_point), high = (float)(limits[1] - zero_point);
    float quotient = x / scale;
    if (!(quotient > low)) /* NaN too */
        quotient = low;
    else if (quotient > high)
        quotient = high;
    return (uint8_t)((int32_t)nearbyintf(quotient) + zero_point);
}

static float dequantized(uint8_t q, float scale, int32_t zero_point, int is_signed)
{
    return (float)((is_signed ? (int8_t)q : q) - zero_point) * scale;
}

void MLOPT_SYMBOL(quantize, f32)(size_t n, const float *x, float scale, int32_t zero_point, const int32_t *limits,
                                 uint8_t *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = quantized(x[i], scale, zero_point, limits);
}

void MLOPT_SYMBOL(quantize_columns, f32)(size_t rows, size_t columns, const float *x, size_t x_row, const float *scale,
                                         const int32_t *zero_point, const int32_t *limits, uint8_t *out, size_t out_row)
{
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < columns; j++)
            out[i * out_row + j] = quantized(x[i * x_row + j], scale[j], zero_point[j], limits);
}

void MLOPT_SYMBOL(dequantize, f32)(size_t n, const uint8_t *x, float scale, int32_t zero_point, int is_signed,
                                   float *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = dequantized(x[i], scale, zero_point, is_signed);
}

void MLOPT_SYMBOL(dequantize_columns, f32)(size_t rows, size_t columns, const uint8_t *x, size_t x_row,
                                           const float *scale, const int32_t *zero_point, int is_signed, float *out,
                                           size_t out_row)
{
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < columns; j++)
            out[i * out_row + j] = dequantized(x[i * x_row + j], scale[j], zero_point[j], is_signed);
}
