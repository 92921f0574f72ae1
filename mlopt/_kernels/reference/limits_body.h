/* The limit loops with one element at a time.  limit_fma keeps as many chains in flight as the vector form. */

T K(limit_fma)(size_t n, const T *x, const T *y, T *out)
{
    (void)out;
    const size_t steps = n / MLOPT_LIMIT_CHAINS;
    T total = 0;
    for (size_t chain = 0; steps && chain < MLOPT_LIMIT_CHAINS; chain += MLOPT_LIMIT_ACCUMULATORS) {
        const T a = *x, b = *y;
        T c0 = 0, c1 = 1, c2 = 2, c3 = 3, c4 = 4, c5 = 5, c6 = 6, c7 = 7, c8 = 8, c9 = 9, c10 = 10, c11 = 11;
        for (size_t i = 0; i < steps; i++) {
            c0 = c0 * a + b, c1 = c1 * a + b, c2 = c2 * a + b, c3 = c3 * a + b;
            c4 = c4 * a + b, c5 = c5 * a + b, c6 = c6 * a + b, c7 = c7 * a + b;
            c8 = c8 * a + b, c9 = c9 * a + b, c10 = c10 * a + b, c11 = c11 * a + b;
        }
        total += ((c0 + c1) + (c2 + c3)) + ((c4 + c5) + (c6 + c7)) + ((c8 + c9) + (c10 + c11));
    }
    return total;
}

static MLOPT_JOIN(MLOPT_REAL, _bits) F(bits_of)(T x)
{
    MLOPT_JOIN(MLOPT_REAL, _bits) bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static T F(of_bits)(MLOPT_JOIN(MLOPT_REAL, _bits) bits)
{
    T x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

T K(limit_read)(size_t n, const T *x, const T *y, T *out)
{
    (void)y, (void)out;
    MLOPT_JOIN(MLOPT_REAL, _bits) bits = 0;
    for (size_t i = 0; i < n; i++)
        bits |= F(bits_of)(x[i]);
    return F(of_bits)(bits);
}

T K(limit_read_two)(size_t n, const T *x, const T *y, T *out)
{
    (void)out;
    MLOPT_JOIN(MLOPT_REAL, _bits) bits = 0;
    for (size_t i = 0; i < n; i++)
        bits |= F(bits_of)(x[i]) | F(bits_of)(y[i]);
    return F(of_bits)(bits);
}

T K(limit_copy)(size_t n, const T *x, const T *y, T *out)
{
    (void)y;
    for (size_t i = 0; i < n; i++)
        out[i] = x[i];
    return 0;
}

T K(limit_triad)(size_t n, const T *x, const T *y, T *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = F(of_bits)(F(bits_of)(x[i]) | F(bits_of)(y[i]));
    return 0;
}

T K(limit_update)(size_t n, const T *x, const T *y, T *out)
{
    (void)y;
    for (size_t i = 0; i < n; i++)
        out[i] = F(of_bits)(F(bits_of)(out[i]) | F(bits_of)(x[i]));
    return 0;
}
