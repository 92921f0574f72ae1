/* What the parts of a pass share, for the element type T. */

/* Where the workspace holds an array of every time, and its row of time t. */
static inline T *LSTM(array)(const mlopt_lstm_workspace *w, size_t offset)
{
    return (T *)w->series + offset * w->rows * w->steps;
}

/* A pass over a batch, for the crew. */
typedef struct LSTM(pass) {
    const mlopt_kernels *table;
    const mlopt_lstm *lstm;
    const T *parameters, *x;
    const uint64_t *dropout; /* NULL, or the seed and the number of the step */
    const mlopt_lstm_workspace *w;
    int keep; /* gates and cells stay for the way back, and so do the states' cells */
    T *gradient;
    /* backward: the layer, the gradients of its outputs, `delta_row` elements from row to row, of the times from
     * delta_time on (those before: 0), those of its joined rows (NULL: not wanted), the columns of its packed weights
     * (in bfloat16 also forward), and the times that are computed together */
    size_t layer;
    const T *delta;
    size_t delta_row, delta_time;
    T *below;
    size_t packed_columns;
    size_t from, end;
} LSTM(pass);

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
