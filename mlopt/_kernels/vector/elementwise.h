/* Elementwise kernels and scaled updates for one element type.  Lanes behind the end hold 1, which no
 * function here objects to, so that they raise no flags. */

#define UNARY(name)                                                                                                    \
    void K(name)(size_t n, const T *x, T *out)                                                                         \
    {                                                                                                                  \
        size_t i = 0;                                                                                                  \
        for (; i + LANES <= n; i += LANES)                                                                             \
            F(store)(out + i, F(name)(F(load)(x + i)));                                                                \
        if (i < n)                                                                                                     \
            F(store_first)(out + i, n - i, F(name)(F(load_first_or)(x + i, n - i, F(set1)(1))));                       \
    }

UNARY(sqrt)
UNARY(exp)
UNARY(log)
UNARY(tanh)
UNARY(sigmoid)
UNARY(erf)
UNARY(relu)
UNARY(gelu)
UNARY(silu)

/* The loop is written out for each pattern of steps, so that a number is loaded once. */
#define BINARY_LOOP(word, A, A_FIRST, B, B_FIRST)                                                                      \
    {                                                                                                                  \
        size_t i = 0;                                                                                                  \
        for (; i + 4 * LANES <= n; i += 4 * LANES) {                                                                   \
            const V y0 = F(word)(A(0), B(0)), y1 = F(word)(A(1), B(1));                                                \
            const V y2 = F(word)(A(2), B(2)), y3 = F(word)(A(3), B(3));                                                \
            F(store)(out + i, y0);                                                                                     \
            F(store)(out + i + LANES, y1);                                                                             \
            F(store)(out + i + 2 * LANES, y2);                                                                         \
            F(store)(out + i + 3 * LANES, y3);                                                                         \
        }                                                                                                              \
        for (; i + LANES <= n; i += LANES)                                                                             \
            F(store)(out + i, F(word)(A(0), B(0)));                                                                    \
        if (i < n)                                                                                                     \
            F(store_first)(out + i, n - i, F(word)(A_FIRST, B_FIRST));                                                 \
    }
#define FROM_A(j) F(load)(a + i + (j) * LANES)
#define FROM_B(j) F(load)(b + i + (j) * LANES)
#define FIRST_A F(load_first_or)(a + i, n - i, F(set1)(1))
#define FIRST_B F(load_first_or)(b + i, n - i, F(set1)(1))
#define NUMBER_A(j) number
#define NUMBER_B(j) number

#define BINARY(name, word)                                                                                             \
    void K(name)(size_t n, const T *a, size_t a_step, const T *b, size_t b_step, T *out)                               \
    {                                                                                                                  \
        if (n == 0)                                                                                                    \
            return;                                                                                                    \
        if (a_step && b_step)                                                                                          \
            BINARY_LOOP(word, FROM_A, FIRST_A, FROM_B, FIRST_B)                                                        \
        else if (a_step) {                                                                                             \
            const V number = F(set1)(*b);                                                                              \
            BINARY_LOOP(word, FROM_A, FIRST_A, NUMBER_B, number)                                                       \
        } else if (b_step) {                                                                                           \
            const V number = F(set1)(*a);                                                                              \
            BINARY_LOOP(word, NUMBER_A, number, FROM_B, FIRST_B)                                                       \
        } else {                                                                                                       \
            const V number = F(word)(F(set1)(*a), F(set1)(*b));                                                        \
            size_t i = 0;                                                                                              \
            for (; i + LANES <= n; i += LANES)                                                                         \
                F(store)(out + i, number);                                                                             \
            if (i < n)                                                                                                 \
                F(store_first)(out + i, n - i, number);                                                                \
        }                                                                                                              \
    }

BINARY(add, add)
BINARY(subtract, sub)
BINARY(multiply, mul)
BINARY(divide, div)

#undef BINARY_LOOP
#undef FROM_A
#undef FROM_B
#undef FIRST_A
#undef FIRST_B
#undef NUMBER_A
#undef NUMBER_B

void K(fma)(size_t n, const T *a, size_t a_step, const T *b, size_t b_step, const T *c, size_t c_step, T *out)
{
    if (n == 0)
        return;
    const V one = F(set1)(1), a_number = F(set1)(*a), b_number = F(set1)(*b), c_number = F(set1)(*c);
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        const V x = a_step ? F(load)(a + i) : a_number, y = b_step ? F(load)(b + i) : b_number;
        const V z = c_step ? F(load)(c + i) : c_number;
        F(store)(out + i, F(fma_exact)(x, y, z));
    }
    if (i < n) {
        const size_t rest = n - i;
        const V x = a_step ? F(load_first_or)(a + i, rest, one) : a_number;
        const V y = b_step ? F(load_first_or)(b + i, rest, one) : b_number;
        const V z = c_step ? F(load_first_or)(c + i, rest, one) : c_number;
        F(store_first)(out + i, rest, F(fma_exact)(x, y, z));
    }
}

void K(axpy)(size_t n, T alpha, const T *x, T *y)
{
    const V a = F(set1)(alpha);
    size_t i = 0;
    for (; i + 4 * LANES <= n; i += 4 * LANES)
        for (size_t j = 0; j < 4; j++)
            F(store)(y + i + j * LANES, F(fma)(a, F(load)(x + i + j * LANES), F(load)(y + i + j * LANES)));
    for (; i + LANES <= n; i += LANES)
        F(store)(y + i, F(fma)(a, F(load)(x + i), F(load)(y + i)));
    if (i < n)
        F(store_first)(y + i, n - i, F(fma)(a, F(load_first)(x + i, n - i), F(load_first)(y + i, n - i)));
}

void K(scale)(size_t n, T alpha, const T *x, T *out)
{
    const V a = F(set1)(alpha);
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        F(store)(out + i, F(mul)(a, F(load)(x + i)));
    if (i < n) /* 1, not 0: an infinite alpha raises no flag in the lanes behind the end */
        F(store_first)(out + i, n - i, F(mul)(a, F(load_first_or)(x + i, n - i, F(set1)(1))));
}

#undef UNARY
#undef BINARY
