/* The functions of lstm.h for the element type T. */

/* The rows that the result is made from: the last time's outputs or those of every time. */
static inline T *LSTM(results)(const mlopt_lstm *lstm, const mlopt_lstm_workspace *w, size_t *count)
{
    T *const tops = LSTM(array)(w, lstm->tops);
    *count = w->every ? w->rows * w->steps : w->rows;
    return w->every ? tops : tops + (w->steps - 1) * w->rows * lstm->hidden;
}

static inline NETWORK(pass) LSTM(head_pass)(const LSTM(pass) * pass, size_t rows, const T *x)
{
    const NETWORK(pass) head = {.table = pass->table,
                                .network = &pass->lstm->head,
                                .parameters = pass->parameters,
                                .rows = rows,
                                .x = x,
                                .x_row = pass->lstm->hidden,
                                .workspace = &pass->w->at,
                                .gradient = pass->gradient};
    return head;
}

/* out: (rows, outputs), or (rows, steps, outputs) for every time */
static inline void LSTM(predict)(const mlopt_kernels *table, const mlopt_lstm *lstm, const mlopt_objective *objective,
                                 const T *parameters, const T *x, const mlopt_lstm_workspace *w, T *out)
{
    const size_t outputs = objective->outputs, hidden = lstm->hidden, rows = w->rows;
    size_t count, row = hidden;
    LSTM(pass) pass = {.table = table, .lstm = lstm, .parameters = parameters, .x = x, .w = w};
    LSTM(forward)(&pass);
    const T *result = LSTM(results)(lstm, w, &count);
    if (lstm->head.count) {
        NETWORK(pass) head = LSTM(head_pass)(&pass, count, result);
        result = NETWORK(forward)(&head, &row);
    }
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
    LSTM(pass) pass = {.table = table, .lstm = lstm, .parameters = parameters, .x = x, .w = w};
    LSTM(forward)(&pass);
    const T *result = LSTM(results)(lstm, w, &count);
    if (lstm->head.count) {
        NETWORK(pass) head = LSTM(head_pass)(&pass, count, result);
        result = NETWORK(forward)(&head, &row);
    }
    return LSTM(loss_of)(table, objective, result, row, targets, w, NULL);
}

/* The gradient of the mean loss; returns that loss.  The states in the workspace are those before the first time. */
static inline double LSTM(gradient)(const mlopt_kernels *table, const mlopt_lstm *lstm,
                                    const mlopt_objective *objective, const T *parameters, const T *x,
                                    const mlopt_targets *targets, const uint64_t *dropout,
                                    const mlopt_lstm_workspace *w, T *gradient)
{
    const size_t hidden = lstm->hidden, rows = w->rows;
    size_t count, row = hidden;
    LSTM(pass)
    pass = {.table = table,
            .lstm = lstm,
            .parameters = parameters,
            .x = x,
            .dropout = dropout,
            .w = w,
            .keep = 1,
            .gradient = gradient};
    LSTM(forward)(&pass);
    const T *const results = LSTM(results)(lstm, w, &count);
    /* gradients of joined rows, two layers' in turn; the first half takes those of the results */
    T *const deltas[2] = {LSTM(array)(w, lstm->deltas), LSTM(array)(w, lstm->deltas + lstm->widest)};
    T *const delta = deltas[0];
    double loss;
    if (lstm->head.count) {
        NETWORK(pass) head = LSTM(head_pass)(&pass, count, results);
        const T *const output = NETWORK(forward)(&head, &row);
        T *const of_head = (T *)w->at.samples + lstm->head.deltas[0] * w->at.capacity;
        loss = LSTM(loss_of)(table, objective, output, row, targets, w, of_head);
        NETWORK(backward)(&head, delta, hidden);
    } else
        loss = LSTM(loss_of)(table, objective, results, hidden, targets, w, delta);
    pass.delta = delta;
    pass.delta_row = hidden;
    pass.delta_time = w->every ? 0 : w->steps - 1;
    for (size_t l = lstm->count; l-- > 0;) {
        const mlopt_lstm_layer *const layer = lstm->layers + l;
        pass.layer = l;
        pass.below = l ? deltas[(lstm->count - l) % 2] : NULL;
        LSTM(layer_backward)(&pass);
        if (l && dropout && layer[-1].dropout > 0)
            for (size_t t = 0; t < w->steps; t++) {
                T *const at = pass.below + t * rows * layer->width;
                CALL(dropout)(0, rows, hidden, mlopt_dropout_key(dropout[0], dropout[1], 64 * t + l - 1),
                              layer[-1].dropout, at, layer->width, at, layer->width);
            }
        pass.delta = pass.below;
        pass.delta_row = layer->width;
        pass.delta_time = 0;
    }
    return loss;
}
