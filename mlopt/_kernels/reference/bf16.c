/* The bf16 family, textbook form. */
#include "reference.h"

#include "../bf16/bf16.h"

#include <string.h>

static float widened(uint16_t x)
{
    const uint32_t bits = (uint32_t)x << 16;
    float result;
    memcpy(&result, &bits, 4);
    return result;
}

float MLOPT_SYMBOL(limit_bf16, bf16)(size_t n, const uint16_t *x, const uint16_t *y)
{
    const size_t steps = n / MLOPT_BF16_LIMIT_STEP;
    float total = 0;
    for (size_t chain = 0; steps && chain < MLOPT_BF16_LIMIT_CHAINS; chain++) {
        float c = (float)(chain % MLOPT_BF16_LIMIT_STARTS);
        for (size_t i = 0; i < steps; i++)
            for (int j = 0; j < 2; j++)
                c += widened(x[j]) * widened(y[j]);
        total += c;
    }
    return total;
}

static uint16_t rounded(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, 4);
    if (x != x)
        return (uint16_t)((bits >> 16) | 0x0040);
    const uint32_t rest = bits & 0xffff;
    uint16_t result = (uint16_t)(bits >> 16);
    if (rest > 0x8000 || (rest == 0x8000 && (result & 1)))
        result++;
    return result;
}

void MLOPT_SYMBOL(round, bf16)(size_t n, const float *x, uint16_t *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = rounded(x[i]);
}

void MLOPT_SYMBOL(widen, bf16)(size_t n, const uint16_t *x, float *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = widened(x[i]);
}

void MLOPT_SYMBOL(round_rows, bf16)(size_t rows, size_t columns, const float *x, ptrdiff_t x_row, uint16_t *out,
                                    ptrdiff_t out_row, float *sums)
{
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < columns; j++) {
            const float element = x[(ptrdiff_t)i * x_row + (ptrdiff_t)j];
            out[(ptrdiff_t)i * out_row + (ptrdiff_t)j] = rounded(element);
            if (sums)
                sums[j] += element;
        }
}

/* An element of an operand, rounded where it is not bfloat16. */
static float element(const void *x, ptrdiff_t at, int is_short)
{
    return widened(is_short ? ((const uint16_t *)x)[at] : rounded(((const float *)x)[at]));
}

void MLOPT_SYMBOL(gemm, bf16)(const mlopt_gemm_job_bf16 *job, const mlopt_gemm_finish_f32 *finish)
{
    const void *const b_first = job->packed ? (const void *)(job->packed + job->packed_first) : job->b;
    const ptrdiff_t b_row = job->packed ? (ptrdiff_t)job->packed_columns : job->b_row;
    const ptrdiff_t b_column = job->packed ? 1 : job->b_column;
    for (size_t i = 0; i < job->m; i++)
        for (size_t j = 0; j < job->n; j++) {
            const ptrdiff_t at = (ptrdiff_t)i * job->c_row + (ptrdiff_t)j * job->c_column;
            float sum = 0;
            for (size_t p = 0; p < job->k; p++)
                sum += element(job->a, (ptrdiff_t)i * job->a_row + (ptrdiff_t)p * job->a_column, job->a_short) *
                       element(b_first, (ptrdiff_t)p * b_row + (ptrdiff_t)j * b_column, job->packed || job->b_short);
            if (job->accumulate)
                sum += job->c_short ? widened(((const uint16_t *)job->c)[at]) : ((const float *)job->c)[at];
            if (job->c_short)
                ((uint16_t *)job->c)[at] = rounded(sum);
            else
                ((float *)job->c)[at] = sum;
        }
    if (finish && job->m && job->n)
        finish->call(finish->with, job->m, job->n, 0, 0, job->c);
}

/* packed: B row by row */
size_t MLOPT_SYMBOL(gemm_pack, bf16)(const mlopt_gemm_blocks *blocks, size_t k, size_t n, const void *b, int b_short,
                                     ptrdiff_t b_row, ptrdiff_t b_column, uint16_t *packed)
{
    (void)blocks;
    for (size_t p = 0; packed && p < k; p++)
        for (size_t j = 0; j < n; j++) {
            const ptrdiff_t at = (ptrdiff_t)p * b_row + (ptrdiff_t)j * b_column;
            packed[p * n + j] = b_short ? ((const uint16_t *)b)[at] : rounded(((const float *)b)[at]);
        }
    return n;
}
