/* The limit loop of bytes. */

int32_t MLOPT_SYMBOL(limit_int8, s8)(size_t n, const uint8_t *x, const int8_t *y)
{
    const size_t steps = n / MLOPT_INT8_LIMIT_STEP;
    if (steps == 0)
        return 0;
    u8_operand a = u8_split(i32_spread(x));
    const s8_operand b = s8_split(i32_spread(y));
    i32v total = i32_zero();
    for (size_t chain = 0; chain < MLOPT_INT8_LIMIT_CHAINS; chain += MLOPT_INT8_ACCUMULATORS * f32_LANES) {
        i32v c[MLOPT_INT8_ACCUMULATORS];
        MLOPT_UNROLL_FULLY
        for (int j = 0; j < MLOPT_INT8_ACCUMULATORS; j++)
            c[j] = i32_set1(j);
        size_t left = steps;
        do {
            MLOPT_UNROLL_FULLY
            for (int j = 0; j < MLOPT_INT8_ACCUMULATORS; j++) {
                a = u8_opaque(a); /* or products, always the same, would be computed once */
                c[j] = i32_opaque(i32_dot(c[j], a, b));
            }
        } while (--left);
        MLOPT_UNROLL_FULLY
        for (int j = 0; j < MLOPT_INT8_ACCUMULATORS; j++)
            total = i32_add(total, c[j]);
    }
    return i32_reduce_add(total);
}
