/* The parts of a pass over a batch, for the element type T: some rows forward, and one layer back through time. */

/* Some rows of the batch (rows, steps, inputs) become the first layer's, time by time. */
static inline void LSTM(take_in)(const mlopt_lstm *lstm, const T *x, const mlopt_lstm_workspace *w, size_t first,
                                 size_t end)
{
    const size_t inputs = lstm->inputs, width = lstm->layers[0].width, rows = w->rows;
    T *const joined = LSTM(array)(w, lstm->layers[0].joined);
    for (size_t i = first; i < end; i++)
        for (size_t t = 0; t < w->steps; t++)
            memcpy(joined + (t * rows + i) * width, x + (i * w->steps + t) * inputs, inputs * sizeof(T));
}

/* Some rows of all layers through all times, from the states in the workspace, which become those after the last time
 * (but for what is kept). */
static void LSTM(forward_part)(int i, void *argument)
{
    const LSTM(pass) *const pass = argument;
    const mlopt_kernels *const table = pass->table;
    const mlopt_lstm *const lstm = pass->lstm;
    const mlopt_lstm_workspace *const w = pass->w;
    const uint64_t *const dropout = pass->dropout;
    const size_t rows = w->rows, steps = w->steps, hidden = lstm->hidden;
    const int count = w->at.crew.size, keep = pass->keep;
    const size_t first = mlopt_part_begin(rows, MLOPT_LSTM_PART, i, count);
    const size_t end = mlopt_part_begin(rows, MLOPT_LSTM_PART, i + 1, count), part = end - first;
    if (part == 0)
        return;
    LSTM(take_in)(lstm, pass->x, w, first, end);
    for (size_t l = 0; l < lstm->count; l++) {
        const mlopt_lstm_layer *const layer = lstm->layers + l;
        const size_t inputs = layer->inputs, width = layer->width, gates_row = 4 * hidden;
        const int last = l + 1 == lstm->count;
        const size_t next_width = last ? hidden : layer[1].width;
        T *const joined = LSTM(array)(w, layer->joined) + first * width;
        T *const next = LSTM(array)(w, last ? lstm->tops : layer[1].joined) + first * next_width;
        T *const h = LSTM(state)(lstm, w, l) + first * hidden, *const c = h + rows * hidden;
        T *const gates = (keep ? LSTM(array)(w, layer->gates) : LSTM(chunk)(lstm, w)) + first * gates_row;
        T *const cells = keep ? LSTM(array)(w, layer->cells) + first * hidden : c;
        for (size_t r = 0; r < part; r++)
            memcpy(joined + r * width + inputs, h + r * hidden, hidden * sizeof(T));
        for (size_t t = 0; t < steps; t++) {
            T *const z = keep ? gates + t * rows * gates_row : gates;
            const T *const before = t > 0 && keep ? cells + (t - 1) * rows * hidden : c;
            T *const now = keep ? cells + t * rows * hidden : c;
            T *const out = next + t * rows * next_width;
            T *const again = t + 1 < steps ? joined + (t + 1) * rows * width + inputs : h;
            NETWORK(product)(table, &w->at, i, part, gates_row, width, joined + t * rows * width, width, 1,
                             pass->parameters + layer->weights, gates_row, 1, z, gates_row, 0, NULL, NULL);
            CALL(lstm_cell)(part, hidden, pass->parameters + layer->bias, z, gates_row, before, now, again,
                            t + 1 < steps ? width : hidden, out, next_width);
            if (!last && dropout && layer->dropout > 0)
                CALL(dropout)(first, part, hidden, mlopt_dropout_key(dropout[0], dropout[1], 64 * t + l),
                              layer->dropout, out, next_width, out, next_width);
        }
    }
}

static void LSTM(forward)(LSTM(pass) * pass) { mlopt_crew_run(&pass->w->at.crew, LSTM(forward_part), pass); }

/* Some rows of a layer back through the times from pass->end down to pass->from. */
static void LSTM(rows_part)(int i, void *argument)
{
    const LSTM(pass) *const pass = argument;
    const mlopt_kernels *const table = pass->table;
    const mlopt_lstm *const lstm = pass->lstm;
    const mlopt_lstm_workspace *const w = pass->w;
    const mlopt_lstm_layer *const layer = lstm->layers + pass->layer;
    const size_t rows = w->rows, steps = w->steps, hidden = lstm->hidden, inputs = layer->inputs, width = layer->width;
    const size_t gates_row = 4 * hidden, block = rows * hidden;
    const int count = w->at.crew.size;
    const size_t first = mlopt_part_begin(rows, MLOPT_LSTM_PART, i, count);
    const size_t part = mlopt_part_begin(rows, MLOPT_LSTM_PART, i + 1, count) - first;
    if (part == 0)
        return;
    const T *const gates = LSTM(array)(w, layer->gates) + first * gates_row;
    const T *const cells = LSTM(array)(w, layer->cells) + first * hidden;
    const T *const start = LSTM(state)(lstm, w, pass->layer) + block + first * hidden;
    T *const delta_h = (T *)w->carried + 2 * lstm->count * block + first * hidden, *const delta_c = delta_h + block;
    T *const chunk = LSTM(chunk)(lstm, w) + gates_row + first * gates_row;
    const T *const delta = pass->delta + first * pass->delta_row;
    T *const below = pass->below ? pass->below + first * width : NULL;
    NN_JOIN(mlopt_gemm_job_, MLOPT_REAL)
    back = {
        .m = part,
        .n = below ? width : hidden,
        .k = gates_row,
        .a_row = (ptrdiff_t)gates_row,
        .a_column = 1,
        .b = pass->parameters + layer->weights + (below ? 0 : inputs * gates_row),
        .b_row = 1,
        .b_column = (ptrdiff_t)gates_row,
        .c_row = (ptrdiff_t)(below ? width : hidden),
        .c_column = 1,
        .blocks = w->at.blocks,
        .workspace = w->at.product + (size_t)i * w->at.product_bytes,
        .packed = w->packed,
        .packed_columns = pass->packed_columns,
    };
    for (size_t t = pass->end; t-- > pass->from;) {
        T *const z = chunk + (t - pass->from) * rows * gates_row;
        /* from the time behind: cut off where the way back ends */
        const int cut = t + 1 == steps || (lstm->truncate && (steps - t - 1) % lstm->truncate == 0);
        const T *const carried = cut ? NULL : below ? below + (t + 1) * rows * width + inputs : delta_h;
        if (cut)
            memset(delta_c, 0, part * hidden * sizeof(T));
        CALL(lstm_cell_backward)(part, hidden, gates + t * rows * gates_row, gates_row,
                                 t ? cells + (t - 1) * block : start, cells + t * block,
                                 t >= pass->delta_time ? delta + (t - pass->delta_time) * rows * pass->delta_row : NULL,
                                 pass->delta_row, carried, (size_t)back.c_row, delta_c, z, gates_row);
        back.a = z;
        back.c = below ? below + t * rows * width : delta_h;
        if (t > 0 || below)
            CALL(gemm)(&back);
    }
}

/* Some columns of a layer's weights and biases: their gradients of the same times, some of these after the others. */
static void LSTM(weights_part)(int i, void *argument)
{
    const LSTM(pass) *const pass = argument;
    const mlopt_kernels *const table = pass->table;
    const mlopt_lstm_workspace *const w = pass->w;
    const mlopt_lstm_layer *const layer = pass->lstm->layers + pass->layer;
    const size_t gates_row = 4 * pass->lstm->hidden, width = layer->width;
    const int count = w->at.crew.size;
    const size_t first = mlopt_part_begin(gates_row, MLOPT_GEMM_PANEL, i, count);
    const size_t columns = mlopt_part_begin(gates_row, MLOPT_GEMM_PANEL, i + 1, count) - first;
    if (columns == 0)
        return;
    const size_t some = mlopt_lstm_together(w->rows, w->steps, 1);
    T *const sums = LSTM(chunk)(pass->lstm, w) + first, *const chunks = sums + gates_row;
    for (size_t end = pass->end, from; end > pass->from; end = from) {
        from = end > pass->from + some ? end - some : pass->from;
        const size_t rows = (end - from) * w->rows;
        const T *const joined = LSTM(array)(w, layer->joined) + from * w->rows * width;
        T *const chunk = chunks + (from - pass->from) * w->rows * gates_row;
        NETWORK(product)(table, &w->at, i, width, columns, rows, joined, 1, width, chunk, gates_row, 1,
                         pass->gradient + layer->weights + first, gates_row, end < w->steps, NULL, NULL);
        CALL(activation_backward)(rows, columns, MLOPT_IDENTITY, chunk, gates_row, chunk, gates_row, sums);
        CALL(axpy)(columns, 1, sums, pass->gradient + layer->bias + first);
    }
}

/* One layer back through time: its weights' gradient, and the gradients of its joined rows of every time, of which
 * those of the inputs are only made where they are wanted. */
static inline void LSTM(layer_backward)(LSTM(pass) * pass)
{
    const mlopt_kernels *const table = pass->table;
    const mlopt_lstm_workspace *const w = pass->w;
    const mlopt_lstm_layer *const layer = pass->lstm->layers + pass->layer;
    const size_t gates_row = 4 * pass->lstm->hidden;
    const size_t together = mlopt_lstm_together(w->rows, w->steps, w->at.crew.size);
    /* only the columns that are wanted of the transposed weights */
    const size_t skipped = pass->below ? 0 : layer->inputs;
    pass->packed_columns =
        CALL(gemm_pack)(w->at.blocks, gates_row, layer->width - skipped,
                        pass->parameters + layer->weights + skipped * gates_row, 1, (ptrdiff_t)gates_row, w->packed);
    memset(pass->gradient + layer->bias, 0, gates_row * sizeof(T));
    for (pass->end = w->steps; pass->end > 0; pass->end = pass->from) {
        pass->from = pass->end > together ? pass->end - together : 0;
        mlopt_crew_run(&w->at.crew, LSTM(rows_part), pass);
        mlopt_crew_run(&w->at.crew, LSTM(weights_part), pass);
    }
}
