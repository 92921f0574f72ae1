/* A stack of LSTM layers with a head of dense layers over the kernels of a table: forward, and back through time.
 *
 * A layer's weights are one matrix (inputs + hidden, 4 hidden), the gates in the order input, forget, cell, output, so
 * that a time step is one product of the rows [x_t, h_t-1].  Everything of a batch is kept time by time: an array has
 * steps x rows rows.  A layer goes through all times before the next begins; what stays in the second-level cache
 * meanwhile are its weights.  Backwards, the weights' gradient is one product over some times together.
 *
 * The functions here allocate nothing, call no Python and check nothing. */
#ifndef MLOPT_NN_LSTM_H
#define MLOPT_NN_LSTM_H

#include "network.h"

/* Rows of gates whose products are made together on the way back. */
#define MLOPT_LSTM_CHUNK ((size_t)512)
/* Parts of a crew begin at multiples of so many rows. */
#define MLOPT_LSTM_PART ((size_t)8)

/* Offsets count elements of the flat vector; or of the workspace, in one row's share. */
typedef struct mlopt_lstm_layer {
    size_t inputs, hidden, width; /* width: inputs + hidden */
    size_t weights, bias;
    size_t joined, gates, cells; /* in the workspace, an array of every time: [x_t, h_t-1], the gates, the cells */
    double dropout;              /* of the outputs, on their way to the next layer */
} mlopt_lstm_layer;

typedef struct mlopt_lstm {
    const mlopt_lstm_layer *layers;
    size_t count, inputs, hidden;
    mlopt_network head; /* of no layers: what the last layer puts out is the result */
    size_t tops;        /* in the workspace: the last layer's outputs of every time */
    size_t light, full; /* elements of workspace per row of every time: of predictions, and of gradients */
    size_t deltas;      /* in the workspace: two arrays for gradients of joined rows, taken in turn */
    size_t widest;      /* of the layers' widths */
    size_t truncate;    /* times after which the way back ends, 0: never */
} mlopt_lstm;

typedef struct mlopt_lstm_workspace {
    mlopt_workspace at; /* samples: of the head, for as many rows as it sees; product: of all */
    void *series;       /* mlopt_lstm.light or .full elements for every row of every time */
    void *carried;      /* mlopt_lstm_carried_elements */
    void *packed;       /* mlopt_lstm_packed_elements, for gradients */
    size_t rows, steps; /* of the call */
    int every;          /* whether the result is that of every time, not of the last alone */
} mlopt_lstm_workspace;

/* Times that a layer goes back through before the products with its inputs: some, whose gates a cache holds; or all of
 * them, so that a crew meets less often. */
static inline size_t mlopt_lstm_together(size_t rows, size_t steps, int crew)
{
    const size_t some = rows >= MLOPT_LSTM_CHUNK ? 1 : MLOPT_LSTM_CHUNK / rows;
    return crew > 1 || some > steps ? steps : some;
}

/* In bfloat16 twice as many take the same memory. */
static inline size_t mlopt_lstm_short_together(size_t rows, size_t steps, int crew)
{
    return mlopt_gemm_least(2 * mlopt_lstm_together(rows, steps, crew), steps);
}

/* For every layer h and c of a row, the state; behind them for one layer at a time h and c of gradients, the sums of
 * the gradients of gates, and these of the times that are computed together. */
static inline size_t mlopt_lstm_carried_elements(const mlopt_lstm *lstm, size_t rows, size_t steps, int crew)
{
    const size_t gates = mlopt_lstm_together(rows, steps, crew) * rows + 1;
    return (2 * lstm->count + 2) * rows * lstm->hidden + gates * 4 * lstm->hidden;
}

/* In bfloat16 there are behind them the gradients of gates of some rows for each of the crew, and their sums over all
 * times for every so many rows. */
static inline size_t mlopt_lstm_short_elements(const mlopt_lstm *lstm, size_t rows, size_t steps, int crew)
{
    const size_t more = (size_t)crew * MLOPT_LSTM_PART + (rows + MLOPT_LSTM_PART - 1) / MLOPT_LSTM_PART;
    return mlopt_lstm_carried_elements(lstm, rows, steps, crew) + more * 4 * lstm->hidden;
}

/* A layer's weights packed for the way back, with the columns that packing may add. */
static inline size_t mlopt_lstm_packed_elements(const mlopt_lstm *lstm)
{
    return (lstm->widest + MLOPT_GEMM_TILE_COLUMNS) * (4 * lstm->hidden + 16);
}

/* In bfloat16: of all layers for the way there, which one layer's for the way back may overwrite. */
static inline size_t mlopt_lstm_short_packed_elements(const mlopt_lstm *lstm)
{
    size_t all = 0;
    for (size_t l = 0; l < lstm->count; l++)
        all += mlopt_bf16_packed_elements(lstm->layers[l].width, 4 * lstm->hidden);
    return mlopt_gemm_most(all, mlopt_bf16_packed_elements(4 * lstm->hidden, lstm->widest));
}

static inline size_t mlopt_lstm_short_bytes(const mlopt_lstm *lstm, const mlopt_gemm_blocks *blocks, size_t rows)
{
    const size_t chunk = 2 * mlopt_gemm_most(MLOPT_LSTM_CHUNK, rows) + rows;
    return mlopt_short_product_bytes(blocks, chunk, lstm->widest, 4 * lstm->hidden);
}

static inline size_t mlopt_lstm_product_bytes(const mlopt_lstm *lstm, const mlopt_gemm_blocks *blocks,
                                              size_t element_bytes, size_t rows)
{
    const size_t chunk = mlopt_gemm_most(MLOPT_LSTM_CHUNK, rows) + rows;
    return mlopt_product_bytes(blocks, element_bytes, chunk, lstm->widest, 4 * lstm->hidden);
}

#define CALL(kernel) table->NN_JOIN(kernel##_, MLOPT_REAL)
#define NETWORK(name) NN_JOIN(mlopt_network_##name##_, MLOPT_FORM)
#define LSTM(name) NN_JOIN(mlopt_lstm_##name##_, MLOPT_FORM)

#define T float
#define MLOPT_REAL f32
#define MLOPT_FORM f32
#include "lstm_pass.h"

#include "lstm_parts.h"

#include "lstm_body.h"
#undef MLOPT_FORM

#define MLOPT_FORM bf16
#include "lstm_pass.h"

#include "lstm_parts_bf16.h"

#include "lstm_body.h"
#undef T
#undef MLOPT_REAL
#undef MLOPT_FORM

#define T double
#define MLOPT_REAL f64
#define MLOPT_FORM f64
#include "lstm_pass.h"

#include "lstm_parts.h"

#include "lstm_body.h"
#undef T
#undef MLOPT_REAL
#undef MLOPT_FORM

#undef CALL
#undef NETWORK
#undef LSTM

#endif
