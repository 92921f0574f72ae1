/* The functions of lstm.h for the element type T. */

/* Where the workspace holds an array of every time, and its row of time t. */
static inline T *LSTM(array)(const mlopt_lstm_workspace *w, size_t offset)
{
    return (T *)w->series + offset * w->rows * w->steps;
}

/* c = a b over the workspace of products */
static inline void LSTM(product)(const mlopt_kernels *table, const mlopt_lstm_workspace *w, size_t m, size_t n,
                                 size_t k, const T *a, size_t a_row, size_t a_column, const T *b, size_t b_row, T *c,
                                 size_t c_row, int accumulate)
{
    NETWORK(product)(table, &w->at, m, n, k, a, a_row, a_column, b, b_row, 1, c, c_row, accumulate);
}

/* The batch (rows, steps, inputs) becomes the first layer's rows, time by time. */
static inline void LSTM(take_in)(const mlopt_lstm *lstm, const T *x, const mlopt_lstm_workspace *w)
{
    const size_t inputs = lstm->inputs, width = lstm->layers[0].width, rows = w->rows;
    T *const joined = LSTM(array)(w, lstm->layers[0].joined);
    for (size_t i = 0; i < rows; i++)
        for (size_t t = 0; t < w->steps; t++)
            memcpy(joined + (t * rows + i) * width, x + (i * w->steps + t) * inputs, inputs * sizeof(T));
}

/* The state of a layer, h and then c, rows of hidden elements each. */
static inline T *LSTM(state)(const mlopt_lstm *lstm, const mlopt_lstm_workspace *w, size_t layer)
{
    return (T *)w->carried + layer * 2 * w->rows * lstm->hidden;
}

/* A row of sums of gates, and behind it the gates of some times. */
static inline T *LSTM(chunk)(const mlopt_lstm *lstm, const mlopt_lstm_workspace *w)
{
    return (T *)w->carried + (2 * lstm->count + 2) * w->rows * lstm->hidden;
}

/* All layers through all times, from the states in the workspace, which become those after the last time.  keep: gates
 * and cells stay for the way back, and so do the states' cells. */
static inline void LSTM(forward)(const mlopt_kernels *table, const mlopt_lstm *lstm, const T *parameters, const T *x,
                                 const uint64_t *dropout, const mlopt_lstm_workspace *w, int keep)
{
    const size_t rows = w->rows, steps = w->steps, hidden = lstm->hidden;
    LSTM(take_in)(lstm, x, w);
    for (size_t l = 0; l < lstm->count; l++) {
        const mlopt_lstm_layer *const layer = lstm->layers + l;
        const size_t inputs = layer->inputs, width = layer->width;
        const int last = l + 1 == lstm->count;
        const size_t next_width = last ? hidden : layer[1].width;
        T *const joined = LSTM(array)(w, layer->joined);
        T *const next = LSTM(array)(w, last ? lstm->tops : layer[1].joined);
        T *const h = LSTM(state)(lstm, w, l), *const c = h + rows * hidden;
        T *const gates = keep ? LSTM(array)(w, layer->gates) : LSTM(chunk)(lstm, w);
        T *const cells = keep ? LSTM(array)(w, layer->cells) : c;
        for (size_t i = 0; i < rows; i++)
            memcpy(joined + i * width + inputs, h + i * hidden, hidden * sizeof(T));
        for (size_t t = 0; t < steps; t++) {
            const T *const in = joined + t * rows * width;
            T *const z = keep ? gates + t * rows * 4 * hidden : gates;
            const T *const before = t > 0 && keep ? cells + (t - 1) * rows * hidden : c;
            T *const now = keep ? cells + t * rows * hidden : c;
            T *const out = next + t * rows * next_width;
            T *const again = t + 1 < steps ? joined + (t + 1) * rows * width + inputs : h;
            const T *const weights = parameters + layer->weights;
            LSTM(product)(table, w, rows, 4 * hidden, width, in, width, 1, weights, 4 * hidden, z, 4 * hidden, 0);
            CALL(lstm_cell)(rows, hidden, parameters + layer->bias, z, 4 * hidden, before, now, again,
                            t + 1 < steps ? width : hidden, out, next_width);
            if (!last && dropout && layer->dropout > 0)
                CALL(dropout)(rows, hidden, mlopt_dropout_key(dropout[0], dropout[1], 64 * t + l), layer->dropout, out,
                              next_width, out, next_width);
        }
    }
}

/* The rows that the result is made from: the last time's outputs or those of every time. */
static inline T *LSTM(results)(const mlopt_lstm *lstm, const mlopt_lstm_workspace *w, size_t *count)
{
    T *const tops = LSTM(array)(w, lstm->tops);
    *count = w->every ? w->rows * w->steps : w->rows;
    return w->every ? tops : tops + (w->steps - 1) * w->rows * lstm->hidden;
}

/* out: (rows, outputs), or (rows, steps, outputs) for every time */
static inline void LSTM(predict)(const mlopt_kernels *table, const mlopt_lstm *lstm, const mlopt_objective *objective,
                                 const T *parameters, const T *x, const mlopt_lstm_workspace *w, T *out)
{
    const size_t outputs = objective->outputs, hidden = lstm->hidden, rows = w->rows;
    size_t count, row = hidden;
    LSTM(forward)(table, lstm, parameters, x, NULL, w, 0);
    const T *result = LSTM(results)(lstm, w, &count);
    if (lstm->head.count)
        result = NETWORK(forward)(table, &lstm->head, parameters, count, result, hidden, NULL, &w->at, NULL, &row);
    for (size_t i = 0; i < rows; i++)
        for (size_t t = 0; t < count / rows; t++)
            memcpy(out + (i * (count / rows) + t) * outputs, result + (t * rows + i) * row, outputs * sizeof(T));
    NETWORK(apply_link)(table, objective, count, out);
}

/* The mean loss of the results, and where delta is given their gradient, rows of `row` elements. */
static inline double LSTM(loss_of)(const mlopt_kernels *table, const mlopt_objective *objective, const T *output,
                                   size_t row, const mlopt_targets *targets, const mlopt_lstm_workspace *w, T *delta)
{
    if (!w->every)
        return NETWORK(loss_of)(table, objective, w->rows, output, row, targets, delta, row);
    /* a time's rows lie together, their targets do not */
    double total = 0;
    for (size_t t = 0; t < w->steps; t++) {
        mlopt_targets now = *targets;
        now.row = w->steps * objective->outputs;
        now.values = (const T *)targets->values + t * objective->outputs;
        const size_t first = t * w->rows * row;
        total +=
            NETWORK(loss_of)(table, objective, w->rows, output + first, row, &now, delta ? delta + first : NULL, row);
    }
    return total;
}

static inline double LSTM(loss)(const mlopt_kernels *table, const mlopt_lstm *lstm, const mlopt_objective *objective,
                                const T *parameters, const T *x, const mlopt_targets *targets,
                                const mlopt_lstm_workspace *w)
{
    size_t count, row = lstm->hidden;
    LSTM(forward)(table, lstm, parameters, x, NULL, w, 0);
    const T *result = LSTM(results)(lstm, w, &count);
    if (lstm->head.count)
        result =
            NETWORK(forward)(table, &lstm->head, parameters, count, result, lstm->hidden, NULL, &w->at, NULL, &row);
    return LSTM(loss_of)(table, objective, result, row, targets, w, NULL);
}

/* One layer back through time.  delta: gradients of its outputs, delta_row elements from row to row, of the times from
 * `first` on (those before: 0).  Its weights' gradient; and the gradients of its joined rows of every time, of which
 * those of the inputs are only made where `below` wants them. */
static inline void LSTM(layer_backward)(const mlopt_kernels *table, const mlopt_lstm *lstm, size_t l,
                                        const T *parameters, const T *delta, size_t delta_row, size_t first,
                                        const mlopt_lstm_workspace *w, T *gradient, T *below)
{
    const mlopt_lstm_layer *const layer = lstm->layers + l;
    const size_t rows = w->rows, steps = w->steps, hidden = lstm->hidden, inputs = layer->inputs, width = layer->width;
    const size_t gates_row = 4 * hidden, block = rows * hidden;
    const T *const joined = LSTM(array)(w, layer->joined), *const gates = LSTM(array)(w, layer->gates);
    const T *const cells = LSTM(array)(w, layer->cells);
    const T *const start = LSTM(state)(lstm, w, l) + block;
    T *const delta_h = (T *)w->carried + 2 * lstm->count * block, *const delta_c = delta_h + block;
    T *const sums = LSTM(chunk)(lstm, w), *const chunk = sums + gates_row;
    const size_t together = rows >= MLOPT_LSTM_CHUNK ? 1 : MLOPT_LSTM_CHUNK / rows;
    T *const dw = gradient + layer->weights, *const db = gradient + layer->bias;
    /* only the columns that are wanted of the transposed weights */
    const size_t skipped = below ? 0 : inputs, columns = width - skipped;
    T *const packed = w->packed;
    NN_JOIN(mlopt_gemm_job_, MLOPT_REAL)
    back = {
        .m = rows,
        .n = columns,
        .k = gates_row,
        .a_row = (ptrdiff_t)gates_row,
        .a_column = 1,
        .b_row = 1,
        .b_column = (ptrdiff_t)gates_row,
        .c_column = 1,
        .blocks = w->at.blocks,
        .workspace = w->at.product,
        .packed = packed,
    };
    back.packed_columns =
        CALL(gemm_pack)(w->at.blocks, gates_row, columns, parameters + layer->weights + skipped * gates_row, 1,
                        (ptrdiff_t)gates_row, packed);
    memset(db, 0, gates_row * sizeof(T));
    memset(delta_c, 0, block * sizeof(T));
    const T *carried = NULL;
    size_t carried_row = 0;
    int begun = 0;
    for (size_t end = steps, from; end > 0; end = from) {
        from = end > together ? end - together : 0;
        for (size_t t = end; t-- > from;) {
            T *const z = chunk + (t - from) * rows * gates_row;
            CALL(lstm_cell_backward)(rows, hidden, gates + t * rows * gates_row, gates_row,
                                     t ? cells + (t - 1) * block : start, cells + t * block,
                                     t >= first ? delta + (t - first) * rows * delta_row : NULL, delta_row, carried,
                                     carried_row, delta_c, z, gates_row);
            back.a = z;
            back.c = below ? below + t * rows * width : delta_h;
            back.c_row = (ptrdiff_t)(below ? width : hidden);
            if (t > 0 || below)
                CALL(gemm)(&back);
            carried = below ? back.c + inputs : delta_h;
            carried_row = (size_t)back.c_row;
            if (lstm->truncate && (steps - t) % lstm->truncate == 0) {
                memset(delta_c, 0, block * sizeof(T));
                carried = NULL;
            }
        }
        const size_t count = (end - from) * rows;
        LSTM(product)(table, w, width, gates_row, count, joined + from * rows * width, 1, width, chunk, gates_row, dw,
                      gates_row, begun);
        begun = 1;
        CALL(activation_backward)(count, gates_row, MLOPT_IDENTITY, chunk, gates_row, chunk, gates_row, sums);
        CALL(axpy)(gates_row, 1, sums, db);
    }
}

/* The gradient of the mean loss; returns that loss.  The states in the workspace are those before the first time. */
static inline double LSTM(gradient)(const mlopt_kernels *table, const mlopt_lstm *lstm,
                                    const mlopt_objective *objective, const T *parameters, const T *x,
                                    const mlopt_targets *targets, const uint64_t *dropout,
                                    const mlopt_lstm_workspace *w, T *gradient)
{
    const size_t hidden = lstm->hidden, rows = w->rows, first = w->every ? 0 : w->steps - 1;
    size_t count, row = hidden;
    LSTM(forward)(table, lstm, parameters, x, dropout, w, 1);
    const T *const results = LSTM(results)(lstm, w, &count);
    /* gradients of joined rows, two layers' in turn; the first half takes those of the results */
    T *const deltas[2] = {LSTM(array)(w, lstm->deltas), LSTM(array)(w, lstm->deltas + lstm->widest)};
    T *const delta = deltas[0];
    double loss;
    if (lstm->head.count) {
        const mlopt_network *const head = &lstm->head;
        const T *const output =
            NETWORK(forward)(table, head, parameters, count, results, hidden, NULL, &w->at, NULL, &row);
        T *const of_head = (T *)w->at.samples + head->deltas[0] * w->at.capacity;
        loss = LSTM(loss_of)(table, objective, output, row, targets, w, of_head);
        NETWORK(backward)(table, head, parameters, count, results, hidden, NULL, &w->at, gradient, delta, hidden);
    } else
        loss = LSTM(loss_of)(table, objective, results, hidden, targets, w, delta);
    const T *from = delta;
    size_t from_row = hidden, from_time = first;
    for (size_t l = lstm->count; l-- > 0;) {
        T *const below = l ? deltas[(lstm->count - l) % 2] : NULL;
        LSTM(layer_backward)(table, lstm, l, parameters, from, from_row, from_time, w, gradient, below);
        if (l && dropout && lstm->layers[l - 1].dropout > 0)
            for (size_t t = 0; t < w->steps; t++) {
                T *const at = below + t * rows * lstm->layers[l].width;
                CALL(dropout)(rows, hidden, mlopt_dropout_key(dropout[0], dropout[1], 64 * t + l - 1),
                              lstm->layers[l - 1].dropout, at, lstm->layers[l].width, at, lstm->layers[l].width);
            }
        from = below;
        from_row = lstm->layers[l].width;
        from_time = 0;
    }
    return loss;
}
