/* The limit loop of bfloat16. */

/* With twelve, the instruction's latency is the limit. */
#if defined(__AVX512F__)
#define BF16_CHAINS MLOPT_BF16_LIMIT_STARTS
#else
#define BF16_CHAINS (MLOPT_BF16_LIMIT_STARTS / 2)
#endif

float MLOPT_SYMBOL(limit_bf16, bf16)(size_t n, const uint16_t *x, const uint16_t *y)
{
    const size_t steps = n / MLOPT_BF16_LIMIT_STEP;
    if (steps == 0)
        return 0;
    const bf16_operand a = bf16_split(bf16_spread(x)), b = bf16_split(bf16_spread(y));
    f32v total = f32_zero();
    for (size_t chain = 0; chain < MLOPT_BF16_LIMIT_CHAINS; chain += BF16_CHAINS * f32_LANES) {
        f32v c[BF16_CHAINS];
        MLOPT_UNROLL_FULLY
        for (int j = 0; j < BF16_CHAINS; j++)
            c[j] = f32_set1((float)((chain / f32_LANES + (size_t)j) % MLOPT_BF16_LIMIT_STARTS));
        for (size_t i = 0; i < steps; i++) {
            MLOPT_UNROLL_FULLY
            for (int j = 0; j < BF16_CHAINS; j++)
                c[j] = bf16_dot(c[j], a, b);
        }
        MLOPT_UNROLL_FULLY
        for (int j = 0; j < BF16_CHAINS; j++)
            total = f32_add(total, c[j]);
    }
    return f32_reduce_add(total);
}
