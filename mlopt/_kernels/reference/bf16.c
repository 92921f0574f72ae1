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
        float c = (float)(chain % MLOPT_BF16_ACCUMULATORS);
        for (size_t i = 0; i < steps; i++)
            for (int j = 0; j < 2; j++)
                c += widened(x[j]) * widened(y[j]);
        total += c;
    }
    return total;
}
