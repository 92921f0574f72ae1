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
