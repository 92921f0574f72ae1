/* The cells of an LSTM around its matrix products, for one element type: one time step of a batch. */

/* 1 / (1 + exp(-x)) to an absolute error of a rounding, which is what a gate needs; quicker than the relative one. */
MLOPT_INLINE V F(gate)(V x)
{
    const V half = F(set1)((T)0.5);
    return F(fma)(F(tanh)(F(mul)(x, half)), half, half);
}

void K(lstm_cell)(size_t rows, size_t hidden, const T *bias, T *gates, size_t gates_row, const T *before, T *cells,
                  T *out, size_t out_row, T *out_too, size_t out_too_row)
{
    for (size_t i = 0; i < rows; i++) {
        for (size_t j = 0; j < hidden; j += LANES) {
            const size_t left = hidden - j;
            T *const g = gates + j;
            const V input = F(gate)(F(add)(F(load_left)(g, left), F(load_left)(bias + j, left)));
            const V forget = F(gate)(F(add)(F(load_left)(g + hidden, left), F(load_left)(bias + hidden + j, left)));
            const V value =
                F(tanh)(F(add)(F(load_left)(g + 2 * hidden, left), F(load_left)(bias + 2 * hidden + j, left)));
            const V output =
                F(gate)(F(add)(F(load_left)(g + 3 * hidden, left), F(load_left)(bias + 3 * hidden + j, left)));
            const V cell = F(fma)(forget, F(load_left)(before + j, left), F(mul)(input, value));
            const V result = F(mul)(output, F(tanh)(cell));
            F(store_left)(g, left, input);
            F(store_left)(g + hidden, left, forget);
            F(store_left)(g + 2 * hidden, left, value);
            F(store_left)(g + 3 * hidden, left, output);
            F(store_left)(cells + j, left, cell);
            F(store_left)(out + j, left, result);
            if (out_too)
                F(store_left)(out_too + j, left, result);
        }
        gates += gates_row, before += hidden, cells += hidden, out += out_row;
        if (out_too)
            out_too += out_too_row;
    }
}

void K(lstm_cell_backward)(size_t rows, size_t hidden, const T *gates, size_t gates_row, const T *before,
                           const T *cells, const T *delta, size_t delta_row, const T *delta_too, size_t delta_too_row,
                           T *delta_cells, T *delta_gates, size_t delta_gates_row)
{
    const V one = F(set1)(1);
    for (size_t i = 0; i < rows; i++) {
        for (size_t j = 0; j < hidden; j += LANES) {
            const size_t left = hidden - j;
            const T *const g = gates + j;
            T *const d = delta_gates + j;
            const V input = F(load_left)(g, left), forget = F(load_left)(g + hidden, left);
            const V value = F(load_left)(g + 2 * hidden, left), output = F(load_left)(g + 3 * hidden, left);
            V of_out = delta ? F(load_left)(delta + j, left) : F(zero)();
            if (delta_too)
                of_out = F(add)(of_out, F(load_left)(delta_too + j, left));
            const V squashed = F(tanh)(F(load_left)(cells + j, left));
            const V through = F(mul)(F(mul)(of_out, output), F(fnma)(squashed, squashed, one));
            const V of_cell = F(add)(F(load_left)(delta_cells + j, left), through);
            F(store_left)(d, left, F(mul)(F(mul)(of_cell, value), F(mul)(input, F(sub)(one, input))));
            F(store_left)(d + hidden, left,
                          F(mul)(F(mul)(of_cell, F(load_left)(before + j, left)), F(mul)(forget, F(sub)(one, forget))));
            F(store_left)(d + 2 * hidden, left, F(mul)(F(mul)(of_cell, input), F(fnma)(value, value, one)));
            F(store_left)(d + 3 * hidden, left, F(mul)(F(mul)(of_out, squashed), F(mul)(output, F(sub)(one, output))));
            F(store_left)(delta_cells + j, left, F(mul)(of_cell, forget));
        }
        gates += gates_row, before += hidden, cells += hidden, delta_cells += hidden, delta_gates += delta_gates_row;
        if (delta)
            delta += delta_row;
        if (delta_too)
            delta_too += delta_too_row;
    }
}
