/* What a batch needs around its matrix products, for one element type: one pass over the rows each. */

void K(bias_activation)(size_t rows, size_t columns, const T *bias, mlopt_activation activation, T *z, size_t z_row,
                        T *out, size_t out_row)
{
    /* the switch stands outside the loops, so that each loop has one function inlined */
#define LOOP(activation)                                                                                               \
    for (size_t i = 0; i < rows; i++, z += z_row, out += out_row)                                                      \
        for (size_t j = 0; j < columns; j += LANES) {                                                                  \
            const size_t left = columns - j;                                                                           \
            const V sum = F(add)(F(load_left)(z + j, left), F(load_left)(bias + j, left));                             \
            if (z != out)                                                                                              \
                F(store_left)(z + j, left, sum);                                                                       \
            F(store_left)(out + j, left, F(activate)(sum, activation));                                                \
        }
    EACH_ACTIVATION(LOOP)
#undef LOOP
}

/* Down the columns in strips of up to four vectors, whose sums stay in registers. */
MLOPT_INLINE void F(backward_strip)(const int vectors, size_t rows, size_t left, mlopt_activation activation,
                                    const T *saved, size_t saved_row, T *delta, size_t delta_row, T *sums)
{
    V totals[2][4];
    MLOPT_UNROLL_FULLY
    for (int v = 0; v < vectors; v++)
        totals[0][v] = totals[1][v] = F(zero)();
    for (size_t i = 0; i < rows; i++, saved += saved_row, delta += delta_row) {
        MLOPT_UNROLL_FULLY
        for (int v = 0; v < vectors; v++) {
            const size_t here = vectors == 1 ? left : LANES;
            V d = F(load_left)(delta + v * LANES, here);
            if (activation != MLOPT_IDENTITY) {
                d = F(slope)(d, F(load_left)(saved + v * LANES, here), activation);
                F(store_left)(delta + v * LANES, here, d);
            }
            totals[0][v] = F(add)(totals[0][v], d);
        }
        if ((i & 31) == 31) {
            /* short runs are added up apart, so that the error grows with rows / 32 */
            MLOPT_UNROLL_FULLY
            for (int v = 0; v < vectors; v++) {
                totals[1][v] = F(add)(totals[1][v], totals[0][v]);
                totals[0][v] = F(zero)();
            }
        }
    }
    if (!sums)
        return;
    MLOPT_UNROLL_FULLY
    for (int v = 0; v < vectors; v++)
        F(store_left)(sums + v * LANES, vectors == 1 ? left : LANES, F(add)(totals[0][v], totals[1][v]));
}

void K(activation_backward)(size_t rows, size_t columns, mlopt_activation activation, const T *saved, size_t saved_row,
                            T *delta, size_t delta_row, T *sums)
{
#define LOOP(activation)                                                                                               \
    {                                                                                                                  \
        size_t j = 0;                                                                                                  \
        for (; j + 4 * LANES <= columns; j += 4 * LANES)                                                               \
            F(backward_strip)(4, rows, columns - j, activation, saved + j, saved_row, delta + j, delta_row,            \
                              sums ? sums + j : NULL);                                                                 \
        for (; j < columns; j += LANES)                                                                                \
            F(backward_strip)(1, rows, columns - j, activation, saved + j, saved_row, delta + j, delta_row,            \
                              sums ? sums + j : NULL);                                                                 \
    }
    EACH_ACTIVATION(LOOP)
#undef LOOP
}
