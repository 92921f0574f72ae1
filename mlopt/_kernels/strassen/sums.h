/* Sums of matrices for one element type. */

#define MATRIX MLOPT_JOIN(mlopt_matrix_, MLOPT_REAL)
#define AT(matrix, i, j) ((matrix).at + (ptrdiff_t)(i) * (matrix).row + (ptrdiff_t)(j) * (matrix).column)

MLOPT_INLINE void F(swap_strides)(MATRIX *x)
{
    const ptrdiff_t row = x->row;
    x->row = x->column, x->column = row;
}

/* Whether every row begins at a multiple of the vector. */
MLOPT_INLINE int F(rows_aligned)(MATRIX x) { return ((uintptr_t)x.at | ((size_t)x.row * sizeof(T))) % sizeof(V) == 0; }

/* TOGETHER rows at a time, 4 vectors of them a step. */
#define MATRIX_SUM_ROWS(word, STORE, TOGETHER)                                                                         \
    for (; i + TOGETHER <= rows; i += TOGETHER) {                                                                      \
        const size_t steps = 4 / TOGETHER;                                                                             \
        size_t j = 0;                                                                                                  \
        for (; j + steps * LANES <= columns; j += steps * LANES) {                                                     \
            V sums[4];                                                                                                 \
            MLOPT_UNROLL_FULLY                                                                                         \
            for (size_t v = 0; v < 4; v++)                                                                             \
                sums[v] = F(word)(F(load)(AT(x, i + v / steps, 0) + j + v % steps * LANES),                            \
                                  F(load)(AT(y, i + v / steps, 0) + j + v % steps * LANES));                           \
            MLOPT_UNROLL_FULLY                                                                                         \
            for (size_t v = 0; v < 4; v++)                                                                             \
                STORE(AT(z, i + v / steps, 0) + j + v % steps * LANES, sums[v]);                                       \
        }                                                                                                              \
        for (size_t r = i; r < i + TOGETHER; r++) {                                                                    \
            const T *const from = AT(x, r, 0), *const other = AT(y, r, 0);                                             \
            T *const to = AT(z, r, 0);                                                                                 \
            size_t at = j;                                                                                             \
            for (; at + LANES <= columns; at += LANES)                                                                 \
                STORE(to + at, F(word)(F(load)(from + at), F(load)(other + at)));                                      \
            const size_t rest = columns - at;                                                                          \
            const V last = F(word)(F(load_first)(from + at, rest), F(load_first)(other + at, rest));                   \
            if (rest)                                                                                                  \
                F(store_first)(to + at, rest, last);                                                                   \
        }                                                                                                              \
    }

#define MATRIX_SUM_LOOP(word, STORE)                                                                                   \
    {                                                                                                                  \
        size_t i = 0;                                                                                                  \
        if (rows * columns * sizeof(T) >= MLOPT_STRASSEN_FAR_BYTES)                                                    \
            MATRIX_SUM_ROWS(word, STORE, 4)                                                                            \
        MATRIX_SUM_ROWS(word, STORE, 1)                                                                                \
    }

#define MATRIX_SUM(name, word, sign)                                                                                   \
    void K(name)(size_t rows, size_t columns, const MATRIX *given_x, const MATRIX *given_y, const MATRIX *given_z,     \
                 int stream)                                                                                           \
    {                                                                                                                  \
        MATRIX x = *given_x, y = *given_y, z = *given_z;                                                               \
        if (x.row == 1 && y.row == 1 && z.row == 1 && !(x.column == 1 && y.column == 1 && z.column == 1)) {            \
            const size_t count = rows;                                                                                 \
            rows = columns, columns = count;                                                                           \
            F(swap_strides)(&x), F(swap_strides)(&y), F(swap_strides)(&z);                                             \
        }                                                                                                              \
        if (x.column != 1 || y.column != 1 || z.column != 1) {                                                         \
            for (size_t i = 0; i < rows; i++)                                                                          \
                for (size_t j = 0; j < columns; j++)                                                                   \
                    *AT(z, i, j) = *AT(x, i, j) + (sign) * *AT(y, i, j);                                               \
        } else if (stream && F(rows_aligned)(z)) {                                                                     \
            MATRIX_SUM_LOOP(word, F(stream))                                                                           \
            F(stream_end)();                                                                                           \
        } else {                                                                                                       \
            MATRIX_SUM_LOOP(word, F(store))                                                                            \
        }                                                                                                              \
    }

MATRIX_SUM(matrix_add, add, 1)
MATRIX_SUM(matrix_subtract, sub, -1)

#undef MATRIX_SUM
#undef MATRIX_SUM_LOOP
#undef MATRIX_SUM_ROWS

MLOPT_INLINE void F(result_vectors)(V p1, V p6, V p7, V p5, V p2, V p3, V p4, V out[4])
{
    const V u2 = F(add)(p1, p6), u3 = F(add)(u2, p7);
    out[0] = F(add)(p1, p2);
    out[1] = F(add)(F(add)(u2, p5), p3);
    out[2] = F(add)(u3, p4);
    out[3] = F(add)(u3, p5);
}

void K(winograd_result)(size_t rows, size_t columns, const MATRIX given_c[4], const MATRIX given_p[3])
{
    MATRIX of[7];
    int row_unit = 1, column_unit = 1;
    for (int q = 0; q < 7; q++) {
        of[q] = q < 4 ? given_c[q] : given_p[q - 4];
        row_unit &= of[q].row == 1;
        column_unit &= of[q].column == 1;
    }
    if (row_unit && !column_unit) {
        const size_t count = rows;
        rows = columns, columns = count;
        for (int q = 0; q < 7; q++)
            F(swap_strides)(&of[q]);
    }
    for (size_t i = 0; i < rows; i++) {
        T *at[7];
        for (int q = 0; q < 7; q++)
            at[q] = AT(of[q], i, 0);
        size_t j = 0;
        if (row_unit || column_unit) {
            V out[4];
            for (; j + LANES <= columns; j += LANES) {
                F(result_vectors)(F(load)(at[0] + j), F(load)(at[1] + j), F(load)(at[2] + j), F(load)(at[3] + j),
                                  F(load)(at[4] + j), F(load)(at[5] + j), F(load)(at[6] + j), out);
                MLOPT_UNROLL_FULLY
                for (int q = 0; q < 4; q++)
                    F(store)(at[q] + j, out[q]);
            }
            if (j < columns) {
                const size_t rest = columns - j;
                F(result_vectors)(F(load_first)(at[0] + j, rest), F(load_first)(at[1] + j, rest),
                                  F(load_first)(at[2] + j, rest), F(load_first)(at[3] + j, rest),
                                  F(load_first)(at[4] + j, rest), F(load_first)(at[5] + j, rest),
                                  F(load_first)(at[6] + j, rest), out);
                MLOPT_UNROLL_FULLY
                for (int q = 0; q < 4; q++)
                    F(store_first)(at[q] + j, rest, out[q]);
            }
            continue;
        }
        for (; j < columns; j++) {
            const T p1 = *AT(of[0], i, j), p6 = *AT(of[1], i, j), p7 = *AT(of[2], i, j), p5 = *AT(of[3], i, j);
            const T u2 = p1 + p6, u3 = u2 + p7;
            *AT(of[0], i, j) = p1 + *AT(of[4], i, j);
            *AT(of[1], i, j) = u2 + p5 + *AT(of[5], i, j);
            *AT(of[2], i, j) = u3 + *AT(of[6], i, j);
            *AT(of[3], i, j) = u3 + p5;
        }
    }
}

#undef MATRIX
#undef AT
