/* A layer forward and backward for one sample, for one element type.
 *
 * Forward is bound by loading the weights, outer by storing the gradients: the sums of up to eight
 * vectors of outputs stay in registers while every weight is read once.  Narrow layers take several
 * inputs at once, so that enough independent sums hide the latency of an FMA. */

/* `vectors` vectors of outputs in `split` sums each, taken in turn: constants where this is inlined. */
MLOPT_INLINE void F(dense_block)(const int vectors, const int split, size_t inputs, size_t left, const T *x, const T *w,
                                 size_t w_row, const T *bias, V floor, T *out)
{
    V sums[16];
    MLOPT_UNROLL_FULLY
    for (int v = 0; v < vectors; v++)
        sums[v] = F(load)(bias + v * LANES);
    MLOPT_UNROLL_FULLY
    for (int v = vectors; v < vectors * split; v++)
        sums[v] = F(zero)();
    size_t i = 0;
    for (; i + LANES <= inputs; i += LANES) {
        const V block = F(load)(x + i);
        MLOPT_UNROLL_FULLY
        for (int s = 0; s < (int)LANES; s++) {
            const V number = F(spread)(x + i, block, s);
            MLOPT_UNROLL_FULLY
            for (int v = 0; v < vectors; v++)
                sums[s % split * vectors + v] = F(fma)(number, F(load)(w + v * LANES), sums[s % split * vectors + v]);
            w += w_row;
        }
    }
    for (; i < inputs; i++, w += w_row) {
        const V number = F(set1)(x[i]);
        MLOPT_UNROLL_FULLY
        for (int v = 0; v < vectors; v++)
            sums[v] = F(fma)(number, F(load)(w + v * LANES), sums[v]);
    }
    MLOPT_UNROLL_FULLY
    for (int half = split / 2; half > 0; half /= 2) {
        MLOPT_UNROLL_FULLY
        for (int v = 0; v < half * vectors; v++)
            sums[v] = F(add)(sums[v], sums[v + half * vectors]);
    }
    MLOPT_UNROLL_FULLY
    for (int v = 0; v < vectors; v++) {
        const V z = F(select)(F(lt)(sums[v], floor), floor, sums[v]);
        if (v < vectors - 1)
            F(store)(out + v * LANES, z);
        else
            F(store_left)(out + v * LANES, left - v * LANES, z);
    }
}

void K(dense)(size_t inputs, size_t outputs, const T *x, const T *w, size_t w_row, const T *bias,
              mlopt_activation activation, T *z, T *out)
{
    /* relu is a floor on the way out; the other activations are a second pass over the row */
    const int fused = activation == MLOPT_IDENTITY || activation == MLOPT_RELU;
    const V floor = F(set1)(activation == MLOPT_RELU && z == out ? 0 : (T)-INFINITY);
#define BLOCK(vectors, split)                                                                                          \
    F(dense_block)(vectors, split, inputs, outputs - j, x, w + j, w_row, bias + j, floor, z + j)
    for (size_t j = 0; j < outputs; j += 8 * LANES)
        switch ((outputs - j + LANES - 1) / LANES) {
        case 1:
            BLOCK(1, 8);
            break;
        case 2:
            BLOCK(2, 4);
            break;
        case 3:
            BLOCK(3, 4);
            break;
        case 4:
            BLOCK(4, 2);
            break;
        case 5:
            BLOCK(5, 2);
            break;
        case 6:
            BLOCK(6, 2);
            break;
        case 7:
            BLOCK(7, 2);
            break;
        default:
            BLOCK(8, 1);
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
    for (size_t j = 0; j < columns; j += LANES) {
        const V factor = F(load_left)(delta + j, columns - j);
        const T *row = w + j;
        MLOPT_UNROLL_FULLY
        for (size_t r = 0; r < LANES; r++, row += w_row)
            sums[r] = F(fma)(F(load)(row), factor, sums[r]);
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
            sum = F(fma)(F(load)(w + r * w_row + j), F(load_left)(delta + j, outputs - j), sum);
        rest[r - i] = F(reduce_add)(sum);
    }
    F(store_first)(out + i, inputs - i, F(slope)(F(load)(rest), F(load_first)(saved + i, inputs - i), activation));
}

/* `vectors` vectors of delta stay in registers; the last has as many elements as are left, then padding */
MLOPT_INLINE void F(outer_block)(const int vectors, size_t rows, size_t left, const T *x, const T *delta, T *out,
                                 size_t out_row)
{
    V factors[8];
    MLOPT_UNROLL_FULLY
    for (int v = 0; v < vectors - 1; v++)
        factors[v] = F(load)(delta + v * LANES);
    const size_t tail = left - (vectors - 1) * LANES;
    factors[vectors - 1] = F(load_left)(delta + (vectors - 1) * LANES, tail);
    /* 0 in the lanes of the padding, even where x is infinite */
    const V ones = tail < LANES ? F(load_first)(F(ones), tail) : F(set1)(1);
    const M padding = F(eq)(ones, F(zero)());
    for (size_t i = 0; i < rows; i++, out += out_row) {
        const V number = F(set1)(x[i]);
        MLOPT_UNROLL_FULLY
        for (int v = 0; v < vectors - 1; v++)
            F(store)(out + v * LANES, F(mul)(number, factors[v]));
        F(store)(out + (vectors - 1) * LANES, F(select)(padding, F(zero)(), F(mul)(number, factors[vectors - 1])));
    }
}

void K(outer)(size_t rows, size_t columns, const T *x, const T *delta, T *out, size_t out_row)
{
#define BLOCK(vectors) F(outer_block)(vectors, rows, columns - j, x, delta + j, out + j, out_row)
    size_t j = 0;
    for (; j < columns; j += 8 * LANES)
        switch ((columns - j + LANES - 1) / LANES) {
        case 1:
            BLOCK(1);
            break;
        case 2:
            BLOCK(2);
            break;
        case 3:
            BLOCK(3);
            break;
        case 4:
            BLOCK(4);
            break;
        case 5:
            BLOCK(5);
            break;
        case 6:
            BLOCK(6);
            break;
        case 7:
            BLOCK(7);
            break;
        default:
            BLOCK(8);
        }
#undef BLOCK
    /* padding that is wider than a vector */
    const size_t written = (columns + LANES - 1) / LANES * LANES;
    const size_t padded = (columns + MLOPT_LINE - 1) / MLOPT_LINE * MLOPT_LINE;
    if (written < padded)
        for (size_t i = 0; i < rows; i++)
            for (j = written; j < padded; j += LANES)
                F(store)(out + i * out_row + j, F(zero)());
}
