/* The int8 family, textbook form. */
#include "reference.h"

#include "../int8/int8.h"

#include <string.h>

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

size_t MLOPT_SYMBOL(gemm_pack, s8)(size_t k, size_t n, const void *b, ptrdiff_t b_row, ptrdiff_t b_column, int b_signed,
                                   int8_t *packed)
{
    const uint8_t *const from = b;
    for (size_t p = 0; packed && p < k; p++)
        for (size_t j = 0; j < n; j++) {
            const uint8_t byte = from[(ptrdiff_t)p * b_row + (ptrdiff_t)j * b_column];
            packed[p * n + j] = (int8_t)(byte ^ (b_signed ? 0 : 0x80));
        }
    return n;
}

static int32_t element(const void *x, ptrdiff_t at, int is_signed)
{
    return is_signed ? ((const int8_t *)x)[at] : ((const uint8_t *)x)[at];
}

static float activated(float x, mlopt_activation activation)
{
    switch (activation) {
    case MLOPT_RELU:
        return isless(x, 0) ? 0 : x;
    case MLOPT_TANH:
        return tanhf(x);
    case MLOPT_SIGMOID:
        return (float)(1 / (1 + exp(-(double)x)));
    case MLOPT_GELU:
        return (float)(0.5 * (double)x * erfc((double)x * -0.70710678118654752440));
    case MLOPT_SILU:
        return (float)((double)x / (1 + exp(-(double)x)));
    default:
        return x;
    }
}

static void put(const mlopt_int8_job *job, size_t i, size_t j, int32_t sum)
{
    const mlopt_int8_result *const r = &job->result;
    const ptrdiff_t at = (ptrdiff_t)i * job->c_row + (ptrdiff_t)j;
    if (r->kind == MLOPT_INT8_TO_S32) {
        ((int32_t *)job->c)[at] = sum;
        return;
    }
    float x = (float)sum * r->scale[j * r->scale_step];
    if (r->shift)
        x += r->shift[j];
    x = activated(x, r->activation);
    if (r->kind == MLOPT_INT8_TO_F32) {
        ((float *)job->c)[at] = x;
        return;
    }
    x *= r->out_multiplier;
    const int32_t lowest = r->kind == MLOPT_INT8_TO_U8 ? 0 : -128;
    const float low = (float)(lowest - r->out_zero), high = (float)(lowest + 255 - r->out_zero);
    x = x > low ? x : low; /* a NaN becomes the lowest */
    x = x < high ? x : high;
    ((uint8_t *)job->c)[at] = (uint8_t)((int32_t)nearbyintf(x) + r->out_zero);
}

void MLOPT_SYMBOL(gemm, s8)(const mlopt_int8_job *job)
{
    for (size_t i = 0; i < job->m; i++)
        for (size_t j = 0; j < job->n; j++) {
            const int32_t a_zero = job->a_zero ? job->a_zero[i * job->a_zero_step] : 0;
            const int32_t b_zero = job->b_zero ? job->b_zero[j * job->b_zero_step] : 0;
            uint32_t sum = job->result.bias ? (uint32_t)job->result.bias[j] : 0;
            for (size_t p = 0; p < job->k; p++) {
                const int32_t a =
                    element(job->a, (ptrdiff_t)i * job->a_row + (ptrdiff_t)p * job->a_column, job->a_signed);
                const int32_t b =
                    job->packed
                        ? job->packed[p * job->packed_columns + job->packed_first + j] + (job->b_signed ? 0 : 128)
                        : element(job->b, (ptrdiff_t)p * job->b_row + (ptrdiff_t)j * job->b_column, job->b_signed);
                sum += (uint32_t)((a - a_zero) * (b - b_zero));
            }
            put(job, i, j, (int32_t)sum);
        }
}

static uint8_t as_byte(float x, float multiplier, int32_t zero)
{
    x *= multiplier;
    const float low = (float)-zero, high = (float)(255 - zero);
    x = x > low ? x : low; /* a NaN becomes the lowest */
    x = x < high ? x : high;
    return (uint8_t)((int32_t)nearbyintf(x) + zero);
}

/* The bytes of inputs by their own range; returns their zero point. */
static int32_t by_range(size_t n, const float *x, uint8_t *bytes, float *unit)
{
    float low = 0, high = 0, multiplier;
    for (size_t i = 0; i < n; i++) {
        low = x[i] < low ? x[i] : low;
        high = x[i] > high ? x[i] : high;
    }
    const int32_t zero = mlopt_int8_range(low, high, &multiplier, unit);
    for (size_t i = 0; i < n; i++)
        bytes[i] = as_byte(x[i], multiplier, zero);
    return zero;
}

/* A step is a layer. */
static void run_layer(const mlopt_int8_step *step, const float *x, float *out)
{
    const mlopt_int8_layer *const l = step->layer;
    float scale = 1;
    int32_t zero = l->zero;
    if (l->dynamic)
        zero = by_range(l->inputs, x, l->bytes, &scale);
    else
        for (size_t i = 0; i < l->inputs; i++)
            l->bytes[i] = as_byte(x[i], l->multiplier, zero);
    for (size_t j = 0; j < l->outputs; j++) {
        uint32_t sum = l->dynamic ? 0 : (uint32_t)l->start[j];
        for (size_t p = 0; p < l->inputs; p++)
            sum += (uint32_t)((l->bytes[p] - (l->dynamic ? zero : 0)) * l->packed[p * l->packed_columns + j]);
        const float unit = l->dynamic ? scale * l->weight_scale[j] : l->scale[j];
        float *const to = out + j;
        *to = activated((float)(int32_t)sum * unit + l->shift[j], l->activation);
    }
}

size_t MLOPT_SYMBOL(chain_plan, s8)(size_t count, const mlopt_int8_layer *layers, mlopt_int8_step *steps)
{
    for (size_t i = 0; steps && i < count; i++)
        steps[i] = (mlopt_int8_step){.run = run_layer,
                                     .layer = layers + i,
                                     .x = i ? layers[i - 1].reals : NULL,
                                     .out = i + 1 < count ? layers[i].reals : NULL};
    return count;
}

void MLOPT_SYMBOL(chain_run, s8)(size_t count, const mlopt_int8_step *steps, const float *x, float *out)
{
    for (size_t i = 0; i < count; i++)
        steps[i].run(steps + i, steps[i].x ? steps[i].x : x, steps[i].out ? steps[i].out : out);
}

void MLOPT_SYMBOL(chain_ranges, s8)(size_t rows, const mlopt_int8_layer *layer, const float *x, size_t x_row,
                                    uint8_t *out, size_t out_row, int32_t *zeros, float *units)
{
    for (size_t i = 0; i < rows; i++)
        zeros[i] = by_range(layer->inputs, x + i * x_row, out + i * out_row, units + i);
}

void MLOPT_SYMBOL(chain_reals, s8)(size_t rows, const mlopt_int8_layer *layer, const float *units, void *sums,
                                   size_t sums_row)
{
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < layer->outputs; j++) {
            char *const at = (char *)sums + 4 * (i * sums_row + j);
            int32_t sum;
            memcpy(&sum, at, 4);
            const float unit = units[i] * layer->weight_scale[j];
            const float x = activated((float)sum * unit + layer->shift[j], layer->activation);
            memcpy(at, &x, 4);
        }
}

void MLOPT_SYMBOL(chain_inputs, s8)(size_t rows, const mlopt_int8_layer *layer, const float *x, size_t x_row,
                                    uint8_t *out, size_t out_row)
{
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < layer->inputs; j++)
            out[i * out_row + j] = as_byte(x[i * x_row + j], layer->multiplier, layer->zero);
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
