/* A layer forward and backward for one sample, for one element type.
 *
 * Forward is bound by loading the weights, outer by storing the gradients: the sums of up to eight
 * vectors of outputs stay in registers while every weight is read once.  Narrow layers take several
 * inputs at once, so that enough independent sums hide the latency of an FMA. */

/* A vector that is whole, or holds no more than is left. */
MLOPT_INLINE V F(load_cut)(const int cut, const T *p, size_t left) { return cut ? F(load_first)(p, left) : F(load)(p); }

/* Sums of a panel fill half of the registers where there are 32. */
#define PARTS(many, few) (MLOPT_TILE_ROWS == 8 ? (many) : (few))
#define EACH_PANEL(P)                                                                                                  \
    P(1, 8)                                                                                                            \
    P(2, PARTS(8, 4)) P(3, PARTS(4, 2)) P(4, PARTS(4, 2)) P(5, 2) P(6, PARTS(2, 1)) P(7, PARTS(2, 1)) P(8, PARTS(2, 1))

/* vectors of outputs, the parts that each one's sum is kept in so that enough additions are under way at once, and
 * whether the last vector of the weights is cut short to `last` elements: constants where this is inlined.  Of the last
 * vector of the result, `last` elements are stored. */
MLOPT_INLINE void F(dense_block)(const int vectors, const int split, const int cut, size_t inputs, size_t last,
                                 const T *x, const T *w, size_t w_row, const T *bias, V floor, T *out)
{
    /* No loops over the sums: a compiler that unrolls one after it has looked for what can be registers keeps an array
     * in memory. */
    V sums[16];
#define EACH_VECTOR(DO, s) DO(0, s) DO(1, s) DO(2, s) DO(3, s) DO(4, s) DO(5, s) DO(6, s) DO(7, s)
#define BEGIN(v, s)                                                                                                    \
    if ((v) < vectors) {                                                                                               \
        sums[v] = F(load_cut)(cut && (v) == vectors - 1, bias + (v) * LANES, last);                                    \
        if (split > 1)                                                                                                 \
            sums[vectors + (v)] = F(zero)();                                                                           \
        if (split > 2)                                                                                                 \
            sums[2 * vectors + (v)] = sums[3 * vectors + (v)] = F(zero)();                                             \
        if (split > 4)                                                                                                 \
            sums[4 * vectors + (v)] = sums[5 * vectors + (v)] = sums[6 * vectors + (v)] = sums[7 * vectors + (v)] =    \
                F(zero)();                                                                                             \
    }
    EACH_VECTOR(BEGIN, 0)
#undef BEGIN
#define ADD(v, s)                                                                                                      \
    if ((v) < vectors)                                                                                                 \
        sums[(s) % split * vectors + (v)] = F(fma)(                                                                    \
            number, F(load_cut)(cut && (v) == vectors - 1, w + (v) * LANES, last), sums[(s) % split * vectors + (v)]);
#define MULTIPLY(s, spread)                                                                                            \
    {                                                                                                                  \
        const V number = spread;                                                                                       \
        EACH_VECTOR(ADD, s)                                                                                            \
        w += w_row;                                                                                                    \
    }
#define SPREAD(s)                                                                                                      \
    if ((s) < (int)LANES)                                                                                              \
    MULTIPLY(s, F(spread)(x + i, block, (s) % (int)LANES))
#define ONE(s) MULTIPLY(s, F(set1)(x[i + (s)]))
#define TWO(STEP, s) STEP(s) STEP((s) + 1)
#define FOUR(STEP, s) TWO(STEP, s) TWO(STEP, (s) + 2)
#define EIGHT(STEP, s) FOUR(STEP, s) FOUR(STEP, (s) + 4)
    size_t i = 0;
    for (; i + LANES <= inputs; i += LANES) {
        const V block = F(load)(x + i);
        EIGHT(SPREAD, 0)
        EIGHT(SPREAD, 8)
    }
#define REST(count, STEPS)                                                                                             \
    if (LANES > (count) && (inputs & (count))) {                                                                       \
        STEPS;                                                                                                         \
        i += (count);                                                                                                  \
    }
    REST(8, EIGHT(ONE, 0))
    REST(4, FOUR(ONE, 0))
    REST(2, TWO(ONE, 0))
    REST(1, ONE(0))
#define FOLD(v, s)                                                                                                     \
    if ((v) < vectors) {                                                                                               \
        if (split > 4)                                                                                                 \
            sums[v] = F(add)(F(add)(sums[v], sums[4 * vectors + (v)]),                                                 \
                             F(add)(sums[2 * vectors + (v)], sums[6 * vectors + (v)])),                                \
            sums[vectors + (v)] = F(add)(F(add)(sums[vectors + (v)], sums[5 * vectors + (v)]),                         \
                                         F(add)(sums[3 * vectors + (v)], sums[7 * vectors + (v)]));                    \
        else if (split > 2)                                                                                            \
            sums[v] = F(add)(sums[v], sums[2 * vectors + (v)]),                                                        \
            sums[vectors + (v)] = F(add)(sums[vectors + (v)], sums[3 * vectors + (v)]);                                \
        if (split > 1)                                                                                                 \
            sums[v] = F(add)(sums[v], sums[vectors + (v)]);                                                            \
    }
    EACH_VECTOR(FOLD, 0)
#undef EACH_VECTOR
#undef ADD
#undef MULTIPLY
#undef SPREAD
#undef ONE
#undef TWO
#undef FOUR
#undef EIGHT
#undef REST
#undef FOLD
    MLOPT_UNROLL_FULLY
    for (int v = 0; v < vectors - 1; v++)
        F(store)(out + v * LANES, F(at_least)(sums[v], floor));
    const V z = F(at_least)(sums[vectors - 1], floor);
    if (last == LANES)
        F(store)(out + (vectors - 1) * LANES, z);
    else
        F(store_first)(out + (vectors - 1) * LANES, last, z);
}

void K(dense)(size_t inputs, size_t outputs, const T *x, const T *w, size_t w_row, const T *bias,
              mlopt_activation activation, T *z, T *out)
{
    /* relu is a floor on the way out; the other activations are a second pass over the row */
    const int fused = activation == MLOPT_IDENTITY || activation == MLOPT_RELU;
    const V floor = F(set1)(activation == MLOPT_RELU && z == out ? 0 : (T)-INFINITY);
#define BLOCK(vectors, split)                                                                                          \
    case vectors:                                                                                                      \
        if (outputs - j >= (vectors) * LANES)                                                                          \
            F(dense_block)(vectors, split, 0, inputs, LANES, x, w + j, w_row, bias + j, floor, z + j);                 \
        else                                                                                                           \
            F(dense_block)                                                                                             \
        (vectors, split, 1, inputs, outputs - j - (vectors - 1) * LANES, x, w + j, w_row, bias + j, floor, z + j);     \
        break;
    for (size_t j = 0; j < outputs; j += 8 * LANES)
        switch (mlopt_least((outputs - j + LANES - 1) / LANES, 8)) {
            EACH_PANEL(BLOCK)
        }
#undef BLOCK
    if (fused && z == out)
        return;
    for (size_t j = 0; j < outputs; j += LANES)
        F(store_left)(out + j, outputs - j, F(activate)(F(load_left)(z + j, outputs - j), activation));
}

/* LANES rows of w against delta; the sum of row r in lane r */
MLOPT_INLINE V F(rows_by_vector)(size_t columns, const T *w, size_t w_row, const T *delta)
{
    V sums[LANES];
    MLOPT_UNROLL_FULLY
    for (size_t r = 0; r < LANES; r++)
        sums[r] = F(zero)();
    size_t j = 0;
    for (; j + LANES <= columns; j += LANES) {
        const V factor = F(load)(delta + j);
        const T *row = w + j;
        MLOPT_UNROLL_FULLY
        for (size_t r = 0; r < LANES; r++, row += w_row)
            sums[r] = F(fma)(F(load)(row), factor, sums[r]);
    }
    if (j < columns) {
        const size_t left = columns - j;
        const V factor = F(load_first)(delta + j, left);
        const T *row = w + j;
        MLOPT_UNROLL_FULLY
        for (size_t r = 0; r < LANES; r++, row += w_row)
            sums[r] = F(fma)(F(load_first)(row, left), factor, sums[r]);
    }
    return F(reduce_add_each)(sums);
}

void K(dense_backward)(size_t inputs, size_t outputs, const T *w, size_t w_row, const T *delta,
                       mlopt_activation activation, const T *saved, T *out)
{
    size_t i = 0;
    for (; i + LANES <= inputs; i += LANES) {
        const V sums = F(rows_by_vector)(outputs, w + i * w_row, w_row, delta);
        F(store)(out + i, F(slope)(sums, F(load)(saved + i), activation));
    }
    if (i == inputs)
        return;
    T rest[LANES] = {0};
    for (size_t r = i; r < inputs; r++) {
        V sum = F(zero)();
        for (size_t j = 0; j < outputs; j += LANES)
            sum = F(fma)(F(load_left)(w + r * w_row + j, outputs - j), F(load_left)(delta + j, outputs - j), sum);
        rest[r - i] = F(reduce_add)(sum);
    }
    F(store_first)(out + i, inputs - i, F(slope)(F(load)(rest), F(load_first)(saved + i, inputs - i), activation));
}

/* `vectors` vectors of delta stay in registers; cut: the last one is not whole. */
MLOPT_INLINE void F(outer_block)(const int vectors, const int cut, size_t rows, size_t left, const T *x, const T *delta,
                                 T *out, size_t out_row)
{
    const size_t last = left - (vectors - 1) * LANES;
    V factors[8];
    MLOPT_UNROLL_FULLY
    for (int v = 0; v < vectors; v++)
        factors[v] = F(load_cut)(cut && v == vectors - 1, delta + v * LANES, last);
    for (size_t i = 0; i < rows; i++, out += out_row) {
        const V number = F(set1)(x[i]);
        MLOPT_UNROLL_FULLY
        for (int v = 0; v < vectors; v++) {
            if (cut && v == vectors - 1)
                F(store_first)(out + v * LANES, last, F(mul)(number, factors[v]));
            else
                F(store)(out + v * LANES, F(mul)(number, factors[v]));
        }
    }
}

void K(outer)(size_t rows, size_t columns, const T *x, const T *delta, T *out, size_t out_row)
{
#define BLOCK(vectors)                                                                                                 \
    case vectors:                                                                                                      \
        if (columns - j >= (vectors) * LANES)                                                                          \
            F(outer_block)(vectors, 0, rows, columns - j, x, delta + j, out + j, out_row);                             \
        else                                                                                                           \
            F(outer_block)(vectors, 1, rows, columns - j, x, delta + j, out + j, out_row);                             \
        break;
    for (size_t j = 0; j < columns; j += 8 * LANES)
        switch (mlopt_least((columns - j + LANES - 1) / LANES, 8)) {
            BLOCK(1)
            BLOCK(2)
            BLOCK(3)
            BLOCK(4)
            BLOCK(5)
            BLOCK(6)
            BLOCK(7)
            BLOCK(8)
        }
#undef BLOCK
}
