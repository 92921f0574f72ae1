/* Arrays as the quantisation kernels see them.
 *
 * A contiguous array is (outer, channels, inner): every channel has a scale and a zero point, one behind the other in
 * `scale` and `zero_point`.  One scale for all is (1, 1, n), the last axis (n, channels, 1). */
#ifndef MLOPT_QUANTIZATION_WALK_H
#define MLOPT_QUANTIZATION_WALK_H

#include "dispatch.h"

#include <float.h>
#include <math.h>

typedef struct mlopt_channels {
    const mlopt_kernels *table;
    size_t outer, channels, inner;
} mlopt_channels;

/* Elements of a row that few channels are repeated to, so that rows fill registers. */
#define MLOPT_ROW 256

/* How many rows of few channels make one row of the kernels; 1 where that saves nothing. */
static inline size_t mlopt_rows_in_one(const mlopt_channels *a)
{
    return a->channels <= MLOPT_ROW / 8 && a->outer >= MLOPT_ROW ? MLOPT_ROW / a->channels : 1;
}

static inline void mlopt_repeat(const mlopt_channels *a, size_t times, const float *scale, const int32_t *zero_point,
                                float *scales, int32_t *zero_points)
{
    for (size_t i = 0; i < times * a->channels; i++) {
        scales[i] = scale[i % a->channels];
        zero_points[i] = zero_point[i % a->channels];
    }
}

static inline void mlopt_quantize_channels(const mlopt_channels *a, const float *x, const float *scale,
                                           const int32_t *zero_point, const int32_t *limits, uint8_t *out)
{
    const size_t c = a->channels;
    if (a->inner == 1 && c > 1) {
        const size_t times = mlopt_rows_in_one(a), rows = a->outer / times, rest = a->outer % times,
                     done = rows * times;
        float scales[MLOPT_ROW];
        int32_t zeros[MLOPT_ROW];
        if (times > 1) {
            mlopt_repeat(a, times, scale, zero_point, scales, zeros);
            a->table->quantize_columns_f32(rows, times * c, x, times * c, scales, zeros, limits, out, times * c);
            a->table->quantize_columns_f32(rest, c, x + done * c, c, scale, zero_point, limits, out + done * c, c);
        } else
            a->table->quantize_columns_f32(rows, c, x, c, scale, zero_point, limits, out, c);
        return;
    }
    for (size_t i = 0; i < a->outer; i++)
        for (size_t j = 0; j < c; j++, x += a->inner, out += a->inner)
            a->table->quantize_f32(a->inner, x, scale[j], zero_point[j], limits, out);
}

static inline void mlopt_dequantize_channels(const mlopt_channels *a, const uint8_t *x, const float *scale,
                                             const int32_t *zero_point, int is_signed, float *out)
{
    const size_t c = a->channels;
    if (a->inner == 1 && c > 1) {
        const size_t times = mlopt_rows_in_one(a), rows = a->outer / times, rest = a->outer % times,
                     done = rows * times;
        float scales[MLOPT_ROW];
        int32_t zeros[MLOPT_ROW];
        if (times > 1) {
            mlopt_repeat(a, times, scale, zero_point, scales, zeros);
            a->table->dequantize_columns_f32(rows, times * c, x, times * c, scales, zeros, is_signed, out, times * c);
            a->table->dequantize_columns_f32(rest, c, x + done * c, c, scale, zero_point, is_signed, out + done * c, c);
        } else
            a->table->dequantize_columns_f32(rows, c, x, c, scale, zero_point, is_signed, out, c);
        return;
    }
    for (size_t i = 0; i < a->outer; i++)
        for (size_t j = 0; j < c; j++, x += a->inner, out += a->inner)
            a->table->dequantize_f32(a->inner, x, scale[j], zero_point[j], is_signed, out);
}

/* A NaN stays. */
static inline void mlopt_widen(float *low, float *high, float least, float largest)
{
    if (least < *low || least != least)
        *low = least;
    if (largest > *high || largest != largest)
        *high = largest;
}

/* Widens low and high of every channel to what is in the array; they are NaN where that is not finite. */
static inline void mlopt_channel_ranges(const mlopt_channels *a, const float *x, float *low, float *high)
{
    const size_t c = a->channels;
    if (a->inner == 1 && c > 1) {
        const size_t times = mlopt_rows_in_one(a), width = times * c, rows = a->outer / times;
        float least[MLOPT_ROW], largest[MLOPT_ROW];
        if (times > 1) {
            for (size_t j = 0; j < width; j++) {
                least[j] = low[j % c];
                largest[j] = high[j % c];
            }
            a->table->range_columns_f32(rows, width, x, width, least, largest);
            for (size_t j = 0; j < width; j++)
                mlopt_widen(&low[j % c], &high[j % c], least[j], largest[j]);
        } else
            a->table->range_columns_f32(rows, c, x, c, low, high);
        a->table->range_columns_f32(a->outer - rows * times, c, x + rows * width, c, low, high);
        return;
    }
    for (size_t i = 0; i < a->outer; i++)
        for (size_t j = 0; j < c; j++, x += a->inner)
            a->table->range_f32(a->inner, x, &low[j], &high[j]);
}

/* How a range of numbers becomes a scale and a zero point, for bytes from `lowest` to lowest + 255. */
typedef enum mlopt_scheme {
    MLOPT_AFFINE,    /* the range, widened to hold zero, to all bytes */
    MLOPT_SYMMETRIC, /* the range, made symmetric about zero, to 127 bytes on either side of the middle */
    MLOPT_DYNAMIC,   /* as affine, with ONNX's roundings to the last bit (DynamicQuantizeLinear) */
} mlopt_scheme;

/* low <= 0 <= high, finite. */
static inline void mlopt_choose(mlopt_scheme scheme, float low, float high, int32_t lowest, float *scale,
                                int32_t *zero_point)
{
    if (scheme == MLOPT_SYMMETRIC) {
        const float reach = -low > high ? -low : high;
        *scale = reach / 127;
        *zero_point = lowest + 128;
    } else {
        const float span = high - low;
        *scale = isfinite(span) || scheme == MLOPT_DYNAMIC ? span / 255 : (float)(((double)high - low) / 255);
    }
    if (low == high || (scheme == MLOPT_DYNAMIC && *scale == 0))
        *scale = 1; /* nothing but zeros, or numbers that no scale is small enough for */
    else if (scheme != MLOPT_DYNAMIC && *scale < FLT_MIN)
        *scale = FLT_MIN; /* a denormal scale could be so far from its quotient that numbers in the range saturate */
    if (scheme != MLOPT_SYMMETRIC) {
        const float least = (float)lowest, largest = (float)(lowest + 255);
        const float exact = least - low / *scale;
        *zero_point = (int32_t)nearbyintf(exact < least ? least : exact > largest ? largest : exact);
    }
}

#endif
