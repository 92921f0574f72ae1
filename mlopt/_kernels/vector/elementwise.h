/* Elementwise kernels and scaled updates for one element type.  Lanes behind the end hold 1, which no
 * function here objects to, so that they raise no flags.
 *
 * A pattern says what the vector at `at` is, given how operands are loaded: PATTERN(word, LOAD, at). */

/* The arrays of a binary kernel lie in the first-level cache together. */
#define IS_NEAR(n) ((n) * sizeof(T) <= 10240)

/* Whether to write out past the caches: `arrays` arrays of its length, itself among them, do not fit the last one.
 * What is updated in place has been loaded anyway. */
MLOPT_INLINE int F(leaves_caches)(size_t n, size_t arrays, int in_place)
{
    if (in_place || n * sizeof(T) < ((size_t)1 << 20))
        return 0;
    const size_t last = mlopt_cpu_detect()->l3_bytes;
    return n * sizeof(T) * arrays > (last ? last : (size_t)32 << 20);
}

#define LOAD_REST(p) F(load_first_or)(p, rest, F(set1)(1))

/* Vector by vector from i on, then what is left: the end of every loop. */
#define LAST_LOOP(PATTERN, word)                                                                                       \
    for (; i + LANES <= n; i += LANES)                                                                                 \
        F(store)(out + i, PATTERN(word, F(load), i));                                                                  \
    if (i < n) {                                                                                                       \
        const size_t rest = n - i;                                                                                     \
        F(store_first)(out + i, rest, PATTERN(word, LOAD_REST, i));                                                    \
    }

/* Past the caches, which needs aligned vectors of out. */
#define STREAM_LOOP(PATTERN, word)                                                                                     \
    {                                                                                                                  \
        const size_t rest = -(uintptr_t)out % sizeof(V) / sizeof(T);                                                   \
        if (rest)                                                                                                      \
            F(store_first)(out, rest, PATTERN(word, LOAD_REST, 0));                                                    \
        for (i = rest; i + LANES <= n; i += LANES)                                                                     \
            F(stream)(out + i, PATTERN(word, F(load_halves), i));                                                      \
        F(stream_end)();                                                                                               \
    }

/* For functions of many instructions. */
#define FUNCTION_LOOP(PATTERN, word, arrays, in_place)                                                                 \
    {                                                                                                                  \
        size_t i = 0;                                                                                                  \
        if (F(leaves_caches)(n, arrays, in_place))                                                                     \
            STREAM_LOOP(PATTERN, word)                                                                                 \
        LAST_LOOP(PATTERN, word)                                                                                       \
    }

/* For what only memory bounds: whole vectors near, halves from further away (simd/README.md). */
#define MEMORY_LOOP(PATTERN, word, arrays, in_place)                                                                   \
    {                                                                                                                  \
        size_t i = 0;                                                                                                  \
        if (IS_NEAR(n)) {                                                                                              \
            for (; i + 4 * LANES <= n; i += 4 * LANES) {                                                               \
                const V y0 = PATTERN(word, F(load), i), y1 = PATTERN(word, F(load), i + LANES);                        \
                const V y2 = PATTERN(word, F(load), i + 2 * LANES), y3 = PATTERN(word, F(load), i + 3 * LANES);        \
                F(store)(out + i, y0);                                                                                 \
                F(store)(out + i + LANES, y1);                                                                         \
                F(store)(out + i + 2 * LANES, y2);                                                                     \
                F(store)(out + i + 3 * LANES, y3);                                                                     \
            }                                                                                                          \
        } else if (F(leaves_caches)(n, arrays, in_place)) {                                                            \
            STREAM_LOOP(PATTERN, word)                                                                                 \
        } else {                                                                                                       \
            for (; i + 2 * LANES <= n; i += 2 * LANES) {                                                               \
                F(store_halves)(out + i, PATTERN(word, F(load_halves), i));                                            \
                F(store_halves)(out + i + LANES, PATTERN(word, F(load_halves), i + LANES));                            \
            }                                                                                                          \
        }                                                                                                              \
        LAST_LOOP(PATTERN, word)                                                                                       \
    }

#define OF_X(word, LOAD, at) F(word)(LOAD(x + (at)))
#define UNARY(name, LOOP)                                                                                              \
    void K(name)(size_t n, const T *x, T *out) { LOOP(OF_X, name, 2, x == out) }

UNARY(sqrt, FUNCTION_LOOP)
UNARY(exp, FUNCTION_LOOP)
UNARY(log, FUNCTION_LOOP)
UNARY(tanh, FUNCTION_LOOP)
UNARY(sigmoid, FUNCTION_LOOP)
UNARY(erf, FUNCTION_LOOP)
UNARY(relu, MEMORY_LOOP)
UNARY(gelu, FUNCTION_LOOP)
UNARY(silu, FUNCTION_LOOP)

/* The loop is written out for each pattern of steps, so that a number is loaded once. */
#define OF_BOTH(word, LOAD, at) F(word)(LOAD(a + (at)), LOAD(b + (at)))
#define OF_A(word, LOAD, at) F(word)(LOAD(a + (at)), number)
#define OF_B(word, LOAD, at) F(word)(number, LOAD(b + (at)))
#define OF_NONE(word, LOAD, at) number

#define BINARY(name, word)                                                                                             \
    void K(name)(size_t n, const T *a, size_t a_step, const T *b, size_t b_step, T *out)                               \
    {                                                                                                                  \
        if (n == 0)                                                                                                    \
            return;                                                                                                    \
        if (a_step && b_step)                                                                                          \
            MEMORY_LOOP(OF_BOTH, word, 3, a == out || b == out)                                                        \
        else if (a_step) {                                                                                             \
            const V number = F(set1)(*b);                                                                              \
            MEMORY_LOOP(OF_A, word, 2, a == out)                                                                       \
        } else if (b_step) {                                                                                           \
            const V number = F(set1)(*a);                                                                              \
            MEMORY_LOOP(OF_B, word, 2, b == out)                                                                       \
        } else {                                                                                                       \
            const V number = F(word)(F(set1)(*a), F(set1)(*b));                                                        \
            FUNCTION_LOOP(OF_NONE, word, 1, 0)                                                                         \
        }                                                                                                              \
    }

BINARY(add, add)
BINARY(subtract, sub)
BINARY(multiply, mul)
BINARY(divide, div)

#define OF_THREE(word, LOAD, at)                                                                                       \
    F(word)(a_step ? LOAD(a + (at)) : a_number, b_step ? LOAD(b + (at)) : b_number, c_step ? LOAD(c + (at)) : c_number)

void K(fma)(size_t n, const T *a, size_t a_step, const T *b, size_t b_step, const T *c, size_t c_step, T *out)
{
    if (n == 0)
        return;
    const V a_number = F(set1)(*a), b_number = F(set1)(*b), c_number = F(set1)(*c);
    FUNCTION_LOOP(OF_THREE, fma_exact, 4, a == out || b == out || c == out)
}

#define UPDATED(word, LOAD, at) F(word)(factor, LOAD(x + (at)), LOAD(out + (at)))
#define SCALED(word, LOAD, at) F(word)(factor, LOAD(x + (at)))

void K(axpy)(size_t n, T alpha, const T *x, T *y)
{
    const V factor = F(set1)(alpha);
    T *out = y;
    MEMORY_LOOP(UPDATED, fma, 2, 1)
}

void K(scale)(size_t n, T alpha, const T *x, T *out)
{
    const V factor = F(set1)(alpha);
    MEMORY_LOOP(SCALED, mul, 2, x == out)
}

#undef IS_NEAR
#undef LOAD_REST
#undef LAST_LOOP
#undef STREAM_LOOP
#undef FUNCTION_LOOP
#undef MEMORY_LOOP
#undef OF_X
#undef UNARY
#undef OF_BOTH
#undef OF_A
#undef OF_B
#undef OF_NONE
#undef BINARY
#undef OF_THREE
#undef UPDATED
#undef SCALED
