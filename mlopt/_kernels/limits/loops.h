/* The limit loops for one element type. */

T K(limit_fma)(size_t n, const T *x, const T *y, T *out)
{
    (void)out;
    const size_t steps = n / MLOPT_LIMIT_CHAINS;
    if (steps == 0)
        return 0;
    const V factor = F(set1)(*x), term = F(set1)(*y);
    V total = F(zero)();
    for (size_t chain = 0; chain < MLOPT_LIMIT_CHAINS; chain += MLOPT_LIMIT_ACCUMULATORS * LANES) {
        V c[MLOPT_LIMIT_ACCUMULATORS];
        MLOPT_UNROLL_FULLY
        for (int j = 0; j < MLOPT_LIMIT_ACCUMULATORS; j++)
            c[j] = F(set1)((T)j);
        for (size_t i = 0; i < steps; i++) {
            MLOPT_UNROLL_FULLY
            for (int j = 0; j < MLOPT_LIMIT_ACCUMULATORS; j++)
                c[j] = F(fma)(c[j], factor, term);
        }
        MLOPT_UNROLL_FULLY
        for (int j = 0; j < MLOPT_LIMIT_ACCUMULATORS; j++)
            total = F(add)(total, c[j]);
    }
    return F(reduce_add)(total);
}

MLOPT_INLINE V F(or)(V a, V b) { return F(from_int)(F(int_or)(F(as_int)(a), F(as_int)(b))); }

/* The or of all lanes, word by word. */
MLOPT_INLINE T F(reduce_or)(V v)
{
    uint64_t words[sizeof(V) / sizeof(uint64_t)], bits = 0;
    memcpy(words, &v, sizeof v);
    MLOPT_UNROLL_FULLY
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        bits |= words[i];
    const uint64_t lanes = IS_F32 ? bits | bits >> 32 : bits; /* an f32 is half a word, on either byte order */
    const uint32_t half = (uint32_t)lanes;
    T result;
    memcpy(&result, IS_F32 ? (const void *)&half : (const void *)&lanes, sizeof result);
    return result;
}

MLOPT_INLINE V F(tree_or)(V bits[8])
{
    MLOPT_UNROLL_FULLY
    for (int width = 4; width > 0; width /= 2) {
        MLOPT_UNROLL_FULLY
        for (int j = 0; j < width; j++)
            bits[j] = F(or)(bits[j], bits[j + width]);
    }
    return bits[0];
}

T K(limit_read)(size_t n, const T *x, const T *y, T *out)
{
    (void)y, (void)out;
    V bits[8];
    MLOPT_UNROLL_FULLY
    for (int j = 0; j < 8; j++)
        bits[j] = F(zero)();
    size_t i = 0;
    for (; i + 8 * LANES <= n; i += 8 * LANES) {
        MLOPT_UNROLL_FULLY
        for (int j = 0; j < 8; j++)
            bits[j] = F(or)(bits[j], F(load)(x + i + (size_t)j * LANES));
    }
    for (; i < n; i += LANES)
        bits[0] = F(or)(bits[0], n - i < LANES ? F(load_first)(x + i, n - i) : F(load)(x + i));
    return F(reduce_or)(F(tree_or)(bits));
}

T K(limit_read_two)(size_t n, const T *x, const T *y, T *out)
{
    (void)out;
    V bits[8];
    MLOPT_UNROLL_FULLY
    for (int j = 0; j < 8; j++)
        bits[j] = F(zero)();
    size_t i = 0;
    for (; i + 4 * LANES <= n; i += 4 * LANES) {
        MLOPT_UNROLL_FULLY
        for (int j = 0; j < 4; j++) {
            bits[2 * j] = F(or)(bits[2 * j], F(load)(x + i + (size_t)j * LANES));
            bits[2 * j + 1] = F(or)(bits[2 * j + 1], F(load)(y + i + (size_t)j * LANES));
        }
    }
    for (; i < n; i += LANES) {
        const size_t rest = n - i < LANES ? n - i : LANES;
        bits[0] = F(or)(bits[0], F(or)(F(load_first)(x + i, rest), F(load_first)(y + i, rest)));
    }
    return F(reduce_or)(F(tree_or)(bits));
}

/* FROM(at) and FROM_FIRST(at, rest) are what is stored. */
#define STORE_LOOP(name, unused, FROM, FROM_FIRST)                                                                     \
    T K(name)(size_t n, const T *x, const T *y, T *out)                                                                \
    {                                                                                                                  \
        (void)unused;                                                                                                  \
        size_t i = 0;                                                                                                  \
        for (; i + 4 * LANES <= n; i += 4 * LANES) {                                                                   \
            const V v0 = FROM(i), v1 = FROM(i + LANES), v2 = FROM(i + 2 * LANES), v3 = FROM(i + 3 * LANES);            \
            F(store)(out + i, v0);                                                                                     \
            F(store)(out + i + LANES, v1);                                                                             \
            F(store)(out + i + 2 * LANES, v2);                                                                         \
            F(store)(out + i + 3 * LANES, v3);                                                                         \
        }                                                                                                              \
        for (; i + LANES <= n; i += LANES)                                                                             \
            F(store)(out + i, FROM(i));                                                                                \
        if (i < n)                                                                                                     \
            F(store_first)(out + i, n - i, FROM_FIRST(i, n - i));                                                      \
        return 0;                                                                                                      \
    }

#define COPY(at) F(load)(x + (at))
#define COPY_FIRST(at, rest) F(load_first)(x + (at), rest)
#define TRIAD(at) F(or)(F(load)(x + (at)), F(load)(y + (at)))
#define TRIAD_FIRST(at, rest) F(or)(F(load_first)(x + (at), rest), F(load_first)(y + (at), rest))
#define UPDATE(at) F(or)(F(load)(x + (at)), F(load)(out + (at)))
#define UPDATE_FIRST(at, rest) F(or)(F(load_first)(x + (at), rest), F(load_first)(out + (at), rest))

STORE_LOOP(limit_copy, y, COPY, COPY_FIRST)
STORE_LOOP(limit_triad, y, TRIAD, TRIAD_FIRST)
STORE_LOOP(limit_update, y, UPDATE, UPDATE_FIRST)

#undef STORE_LOOP
#undef COPY
#undef COPY_FIRST
#undef TRIAD
#undef TRIAD_FIRST
#undef UPDATE
#undef UPDATE_FIRST
