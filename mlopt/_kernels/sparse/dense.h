/* What is asked of dense matrices: how many elements count, and which they are. */

size_t K(count_nonzero)(size_t n, const T *x)
{
    const V zero = F(zero)();
    size_t zeros = 0, i = 0;
    for (; i + 4 * LANES <= n; i += 4 * LANES) {
        MLOPT_UNROLL_FULLY
        for (size_t v = 0; v < 4; v++)
            zeros += (size_t)__builtin_popcount(F(bits)(F(eq)(F(load)(x + i + v * LANES), zero)));
    }
    for (; i < n; i++)
        zeros += x[i] == 0;
    return n - zeros;
}

size_t K(count_nonfinite)(size_t n, const T *x)
{
    const V largest = F(set1)(IS_F32 ? (T)FLT_MAX : (T)DBL_MAX);
    size_t finite = 0, i = 0;
    for (; i + 4 * LANES <= n; i += 4 * LANES) {
        MLOPT_UNROLL_FULLY
        for (size_t v = 0; v < 4; v++)
            finite += (size_t)__builtin_popcount(F(bits)(F(le)(F(abs)(F(load)(x + i + v * LANES)), largest)));
    }
    for (; i < n; i++)
        finite += isfinite(x[i]) != 0;
    return n - finite;
}

size_t K(store_nonzero)(size_t n, const T *x, int32_t *columns, T *values)
{
    const V zero = F(zero)();
    size_t count = 0;
    for (size_t i = 0; i < n; i += LANES) {
        const size_t lanes = n - i < LANES ? n - i : LANES;
        const V number = lanes == LANES ? F(load)(x + i) : F(load_first)(x + i, lanes);
        uint32_t left = ~F(bits)(F(eq)(number, zero)) & (uint32_t)((UINT64_C(1) << lanes) - 1);
        for (; left; left &= left - 1, count++) {
            const size_t at = i + (size_t)__builtin_ctz(left);
            columns[count] = (int32_t)at;
            values[count] = x[at];
        }
    }
    return count;
}
