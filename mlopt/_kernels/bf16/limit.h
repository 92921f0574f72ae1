/* The limit loop of bfloat16. */

float MLOPT_SYMBOL(limit_bf16, bf16)(size_t n, const uint16_t *x, const uint16_t *y)
{
    const size_t steps = n / MLOPT_BF16_LIMIT_STEP;
    if (steps == 0)
        return 0;
    const bf16_operand a = bf16_split(bf16_spread(x)), b = bf16_split(bf16_spread(y));
    f32v total = f32_zero();
    for (size_t chain = 0; chain < MLOPT_BF16_LIMIT_CHAINS; chain += MLOPT_BF16_ACCUMULATORS * f32_LANES) {
        f32v c[MLOPT_BF16_ACCUMULATORS];
        MLOPT_UNROLL_FULLY
        for (int j = 0; j < MLOPT_BF16_ACCUMULATORS; j++)
            c[j] = f32_set1((float)j);
        for (size_t i = 0; i < steps; i++) {
            MLOPT_UNROLL_FULLY
            for (int j = 0; j < MLOPT_BF16_ACCUMULATORS; j++)
                c[j] = bf16_dot(c[j], a, b);
        }
        MLOPT_UNROLL_FULLY
        for (int j = 0; j < MLOPT_BF16_ACCUMULATORS; j++)
            total = f32_add(total, c[j]);
    }
    return f32_reduce_add(total);
}
