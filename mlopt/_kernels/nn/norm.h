/* Layer normalisation and dropout of a batch, for one element type. */

void K(layer_norm)(size_t rows, size_t columns, const T *bias, const T *gain, T eps, T *z, size_t z_row, T *normed,
                   size_t normed_row, T *inverse_deviations)
{
    const T share = 1 / (T)columns;
    for (size_t i = 0; i < rows; i++, z += z_row, normed += normed_row) {
        V sums = F(zero)(), squares = F(zero)();
        for (size_t j = 0; j < columns; j += LANES) {
            const size_t left = columns - j;
            const V x = F(add)(F(load_left)(z + j, left), F(load_left)(bias + j, left));
            sums = F(add)(sums, x);
            F(store_left)(normed + j, left, x);
        }
        const V mean = F(set1)(F(reduce_add)(sums) * share);
        for (size_t j = 0; j < columns; j += LANES) {
            const size_t left = columns - j;
            const V off = F(mul)(F(sub)(F(load_left)(normed + j, left), mean), F(kept)(left));
            squares = F(fma)(off, off, squares);
            F(store_left)(normed + j, left, off);
        }
        const T inverse = 1 / F(reduce_max)(F(sqrt)(F(set1)(F(reduce_add)(squares) * share + eps)));
        inverse_deviations[i] = inverse;
        for (size_t j = 0; j < columns; j += LANES) {
            const size_t left = columns - j;
            const V x = F(mul)(F(load_left)(normed + j, left), F(set1)(inverse));
            F(store_left)(normed + j, left, x);
            F(store_left)(z + j, left, F(mul)(x, F(load_left)(gain + j, left)));
        }
    }
}

void K(layer_norm_backward)(size_t rows, size_t columns, const T *gain, const T *normed, size_t normed_row,
                            const T *inverse_deviations, T *delta, size_t delta_row, T *gain_sums, T *bias_sums)
{
    const T share = 1 / (T)columns;
    memset(gain_sums, 0, columns * sizeof(T));
    memset(bias_sums, 0, columns * sizeof(T));
    for (size_t i = 0; i < rows; i++, normed += normed_row, delta += delta_row) {
        V sums = F(zero)(), products = F(zero)();
        for (size_t j = 0; j < columns; j += LANES) {
            const size_t left = columns - j;
            const V d = F(load_left)(delta + j, left), x = F(load_left)(normed + j, left);
            F(store_left)(gain_sums + j, left, F(fma)(d, x, F(load_left)(gain_sums + j, left)));
            const V scaled = F(mul)(d, F(load_left)(gain + j, left));
            sums = F(add)(sums, scaled);
            products = F(fma)(scaled, x, products);
        }
        const V mean = F(set1)(F(reduce_add)(sums) * share), along = F(set1)(F(reduce_add)(products) * share);
        const V inverse = F(set1)(inverse_deviations[i]);
        for (size_t j = 0; j < columns; j += LANES) {
            const size_t left = columns - j;
            const V scaled = F(mul)(F(load_left)(delta + j, left), F(load_left)(gain + j, left));
            const V rest = F(fnma)(along, F(load_left)(normed + j, left), F(sub)(scaled, mean));
            const V d = F(mul)(rest, inverse);
            F(store_left)(delta + j, left, d);
            F(store_left)(bias_sums + j, left, F(add)(d, F(load_left)(bias_sums + j, left)));
        }
    }
}

/* A number for each element of the grid (row, column) under a key: two rounds of a multiplicative hash. */
MLOPT_INLINE uint32_t F(hash)(uint32_t key, uint32_t place)
{
    uint32_t h = place * 0x9e3779b1u ^ key;
    h = (h ^ h >> 16) * 0x7feb352du;
    h = (h ^ h >> 15) * 0x846ca68bu;
    return h ^ h >> 16;
}

void K(dropout)(size_t first, size_t rows, size_t columns, uint64_t key, double rate, const T *x, size_t x_row, T *out,
                size_t out_row)
{
    const uint32_t threshold = (uint32_t)(rate * 4294967296.0);
    const T scale = (T)(1 / (1 - rate));
    for (size_t i = 0; i < rows; i++, x += x_row, out += out_row) {
        const uint32_t row_key = F(hash)((uint32_t)(key >> 32), (uint32_t)(first + i)) ^ (uint32_t)key;
        for (size_t j = 0; j < columns; j++)
            out[j] = F(hash)(row_key, (uint32_t)j) < threshold ? 0 : x[j] * scale;
    }
}
