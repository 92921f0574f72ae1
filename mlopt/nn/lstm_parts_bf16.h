/* The parts of a pass over a batch whose products are in bfloat16.
 *
 * What only products read is kept as bfloat16 alone: the joined rows [x_t, h_t-1] of every time, and the gradients of
 * gates of the times that are computed together.  Both are rounded once, while they are in the nearest cache, and then
 * read where they are; weights are rounded and packed once for a pass.  Cells, gates, states and all gradients that are
 * added to are float32. */

/* The array of every time of a layer's joined rows: half of its place. */
static inline uint16_t *mlopt_lstm_joined(const mlopt_lstm_workspace *w, const mlopt_lstm_layer *layer)
{
    return (uint16_t *)LSTM(array)(w, layer->joined);
}

/* Some rows of the batch (rows, steps, inputs) become the first layer's, time by time. */
static inline void LSTM(take_in)(const mlopt_kernels *table, const mlopt_lstm *lstm, const float *x,
                                 const mlopt_lstm_workspace *w, size_t first, size_t end)
{
    const size_t inputs = lstm->inputs, width = lstm->layers[0].width, rows = w->rows;
    uint16_t *const joined = mlopt_lstm_joined(w, lstm->layers);
    for (size_t i = first; i < end; i++)
        table->round_rows_bf16(w->steps, inputs, x + i * w->steps * inputs, (ptrdiff_t)inputs, joined + i * width,
                               (ptrdiff_t)(rows * width), NULL);
}

/* What a product needs, for one of the crew. */
static inline void mlopt_lstm_take_workspace(mlopt_gemm_job_bf16 *job, const mlopt_lstm_workspace *w, int crew)
{
    job->blocks = w->at.blocks;
    job->workspace = w->at.product + (size_t)crew * w->at.product_bytes;
}

/* The weights of all layers, packed one behind the other. */
static inline void LSTM(pack)(LSTM(pass) * pass)
{
    const mlopt_kernels *const table = pass->table;
    const size_t gates_row = 4 * pass->lstm->hidden;
    uint16_t *packed = pass->w->packed;
    for (size_t l = 0; l < pass->lstm->count; l++) {
        const mlopt_lstm_layer *const layer = pass->lstm->layers + l;
        pass->packed_columns =
            table->gemm_pack_bf16(pass->w->at.blocks, layer->width, gates_row, pass->parameters + layer->weights, 0,
                                  (ptrdiff_t)gates_row, 1, packed);
        packed += mlopt_bf16_packed_elements(layer->width, gates_row);
    }
}

/* Some rows of all layers through all times, from the states in the workspace. */
static void LSTM(forward_part)(int i, void *argument)
{
    const LSTM(pass) *const pass = argument;
    const mlopt_kernels *const table = pass->table;
    const mlopt_lstm *const lstm = pass->lstm;
    const mlopt_lstm_workspace *const w = pass->w;
    const uint64_t *const dropout = pass->dropout;
    const size_t rows = w->rows, steps = w->steps, hidden = lstm->hidden, gates_row = 4 * hidden;
    const int count = w->at.crew.size, keep = pass->keep;
    const size_t first = mlopt_part_begin(rows, MLOPT_LSTM_PART, i, count);
    const size_t end = mlopt_part_begin(rows, MLOPT_LSTM_PART, i + 1, count), part = end - first;
    if (part == 0)
        return;
    LSTM(take_in)(table, lstm, pass->x, w, first, end);
    /* outputs without those that are dropped, of one time */
    float *const dropped = (float *)w->carried + 2 * lstm->count * rows * hidden + first * hidden;
    const uint16_t *packed = w->packed;
    for (size_t l = 0; l < lstm->count; l++) {
        const mlopt_lstm_layer *const layer = lstm->layers + l;
        const size_t inputs = layer->inputs, width = layer->width;
        const int last = l + 1 == lstm->count, drops = !last && dropout && layer->dropout > 0;
        const size_t next_width = last ? hidden : layer[1].width;
        uint16_t *const joined = mlopt_lstm_joined(w, layer) + first * width;
        uint16_t *const next = last ? NULL : mlopt_lstm_joined(w, layer + 1) + first * next_width;
        float *const tops = LSTM(array)(w, lstm->tops) + first * hidden;
        float *const h = LSTM(state)(lstm, w, l) + first * hidden, *const c = h + rows * hidden;
        float *const gates = (keep ? LSTM(array)(w, layer->gates) : LSTM(chunk)(lstm, w)) + first * gates_row;
        float *const cells = keep ? LSTM(array)(w, layer->cells) + first * hidden : c;
        mlopt_gemm_job_bf16 sums = {
            .m = part,
            .n = gates_row,
            .k = width,
            .a_row = (ptrdiff_t)width,
            .a_column = 1,
            .a_short = 1,
            .c_row = (ptrdiff_t)gates_row,
            .c_column = 1,
            .packed = packed,
            .packed_columns = pass->packed_columns,
        };
        mlopt_lstm_take_workspace(&sums, w, i);
        table->round_rows_bf16(part, hidden, h, (ptrdiff_t)hidden, joined + inputs, (ptrdiff_t)width, NULL);
        for (size_t t = 0; t < steps; t++) {
            float *const z = keep ? gates + t * rows * gates_row : gates;
            const float *const before = t > 0 && keep ? cells + (t - 1) * rows * hidden : c;
            float *const now = keep ? cells + t * rows * hidden : c;
            sums.a = joined + t * rows * width;
            sums.c = z;
            table->gemm_bf16(&sums, NULL);
            table->lstm_cell_f32(part, hidden, pass->parameters + layer->bias, z, gates_row, before, now, h, hidden,
                                 last ? tops + t * rows * hidden : NULL, hidden);
            if (t + 1 < steps)
                table->round_rows_bf16(part, hidden, h, (ptrdiff_t)hidden, joined + (t + 1) * rows * width + inputs,
                                       (ptrdiff_t)width, NULL);
            if (drops)
                table->dropout_f32(first, part, hidden, mlopt_dropout_key(dropout[0], dropout[1], 64 * t + l),
                                   layer->dropout, h, hidden, dropped, hidden);
            if (!last)
                table->round_rows_bf16(part, hidden, drops ? dropped : h, (ptrdiff_t)hidden,
                                       next + t * rows * next_width, (ptrdiff_t)next_width, NULL);
        }
        packed += mlopt_bf16_packed_elements(width, gates_row);
    }
}

static void LSTM(forward)(LSTM(pass) * pass)
{
    LSTM(pack)(pass);
    mlopt_crew_run(&pass->w->at.crew, LSTM(forward_part), pass);
}

/* Of the times that are computed together the gradients of gates; and behind what is carried, those of some rows for
 * each of the crew, and the sums. */
static inline uint16_t *mlopt_lstm_short_chunk(const mlopt_lstm *lstm, const mlopt_lstm_workspace *w)
{
    return (uint16_t *)(LSTM(chunk)(lstm, w) + 4 * lstm->hidden);
}

static inline float *mlopt_lstm_gate_sums(const mlopt_lstm *lstm, const mlopt_lstm_workspace *w)
{
    return (float *)w->carried + mlopt_lstm_carried_elements(lstm, w->rows, w->steps, w->at.crew.size);
}

static inline float *mlopt_lstm_gate_rows(const mlopt_lstm *lstm, const mlopt_lstm_workspace *w, int crew)
{
    const size_t groups = (w->rows + MLOPT_LSTM_PART - 1) / MLOPT_LSTM_PART;
    return mlopt_lstm_gate_sums(lstm, w) + (groups + (size_t)crew * MLOPT_LSTM_PART) * 4 * lstm->hidden;
}

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
    const float *const gates = LSTM(array)(w, layer->gates) + first * gates_row;
    const float *const cells = LSTM(array)(w, layer->cells) + first * hidden;
    const float *const start = LSTM(state)(lstm, w, pass->layer) + block + first * hidden;
    float *const delta_h = (float *)w->carried + 2 * lstm->count * block + first * hidden, *const delta_c =
                                                                                               delta_h + block;
    uint16_t *const chunk = mlopt_lstm_short_chunk(lstm, w) + first * gates_row;
    float *const some = mlopt_lstm_gate_rows(lstm, w, i);
    float *const sums = mlopt_lstm_gate_sums(lstm, w) + first / MLOPT_LSTM_PART * gates_row;
    const float *const delta = pass->delta + first * pass->delta_row;
    float *const below = pass->below ? pass->below + first * width : NULL;
    mlopt_gemm_job_bf16 back = {
        .m = part,
        .n = below ? width : hidden,
        .k = gates_row,
        .a_row = (ptrdiff_t)gates_row,
        .a_column = 1,
        .a_short = 1,
        .c_row = (ptrdiff_t)(below ? width : hidden),
        .c_column = 1,
        .packed = w->packed,
        .packed_columns = pass->packed_columns,
    };
    mlopt_lstm_take_workspace(&back, w, i);
    for (size_t t = pass->end; t-- > pass->from;) {
        uint16_t *const z = chunk + (t - pass->from) * rows * gates_row;
        /* from the time behind: cut off where the way back ends */
        const int cut = t + 1 == steps || (lstm->truncate && (steps - t - 1) % lstm->truncate == 0);
        const size_t carried_row = (size_t)back.c_row;
        const float *const carried = cut ? NULL : below ? below + (t + 1) * rows * width + inputs : delta_h;
        const float *const of_out =
            t >= pass->delta_time ? delta + (t - pass->delta_time) * rows * pass->delta_row : NULL;
        const float *const before = t ? cells + (t - 1) * block : start;
        if (cut)
            memset(delta_c, 0, part * hidden * sizeof(float));
        for (size_t r = 0; r < part; r += MLOPT_LSTM_PART) {
            const size_t now = mlopt_gemm_least(part - r, MLOPT_LSTM_PART);
            table->lstm_cell_backward_f32(
                now, hidden, gates + (t * rows + r) * gates_row, gates_row, before + r * hidden,
                cells + t * block + r * hidden, of_out ? of_out + r * pass->delta_row : NULL, pass->delta_row,
                carried ? carried + r * carried_row : NULL, carried_row, delta_c + r * hidden, some, gates_row);
            table->round_rows_bf16(now, gates_row, some, (ptrdiff_t)gates_row, z + r * gates_row, (ptrdiff_t)gates_row,
                                   sums + r / MLOPT_LSTM_PART * gates_row);
        }
        back.a = z;
        back.c = below ? below + t * rows * width : delta_h;
        if (t > 0 || below)
            table->gemm_bf16(&back, NULL);
    }
}

/* Some columns of a layer's weights: their gradients of the same times, some of these after the others. */
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
    const size_t some = mlopt_lstm_short_together(w->rows, w->steps, 1);
    const uint16_t *const chunks = mlopt_lstm_short_chunk(pass->lstm, w) + first;
    mlopt_gemm_job_bf16 job = {
        .m = width,
        .n = columns,
        .a_row = 1,
        .a_column = (ptrdiff_t)width,
        .a_short = 1,
        .b_row = (ptrdiff_t)gates_row,
        .b_column = 1,
        .b_short = 1,
        .c = pass->gradient + layer->weights + first,
        .c_row = (ptrdiff_t)gates_row,
        .c_column = 1,
    };
    mlopt_lstm_take_workspace(&job, w, i);
    for (size_t end = pass->end, from; end > pass->from; end = from) {
        from = end > pass->from + some ? end - some : pass->from;
        job.k = (end - from) * w->rows;
        job.a = mlopt_lstm_joined(w, layer) + from * w->rows * width;
        job.b = chunks + (from - pass->from) * w->rows * gates_row;
        job.accumulate = end < w->steps;
        table->gemm_bf16(&job, NULL);
    }
}

/* One layer back through time: as in lstm_parts.h. */
static inline void LSTM(layer_backward)(LSTM(pass) * pass)
{
    const mlopt_kernels *const table = pass->table;
    const mlopt_lstm_workspace *const w = pass->w;
    const mlopt_lstm_layer *const layer = pass->lstm->layers + pass->layer;
    const size_t gates_row = 4 * pass->lstm->hidden;
    const size_t together = mlopt_lstm_short_together(w->rows, w->steps, w->at.crew.size);
    const size_t groups = (w->rows + MLOPT_LSTM_PART - 1) / MLOPT_LSTM_PART;
    /* only the columns that are wanted of the transposed weights */
    const size_t skipped = pass->below ? 0 : layer->inputs;
    float *const sums = mlopt_lstm_gate_sums(pass->lstm, w), *const bias = pass->gradient + layer->bias;
    pass->packed_columns = table->gemm_pack_bf16(w->at.blocks, gates_row, layer->width - skipped,
                                                 pass->parameters + layer->weights + skipped * gates_row, 0, 1,
                                                 (ptrdiff_t)gates_row, w->packed);
    memset(sums, 0, groups * gates_row * sizeof(float));
    for (pass->end = w->steps; pass->end > 0; pass->end = pass->from) {
        pass->from = pass->end > together ? pass->end - together : 0;
        mlopt_crew_run(&w->at.crew, LSTM(rows_part), pass);
        mlopt_crew_run(&w->at.crew, LSTM(weights_part), pass);
    }
    /* sums of the same rows for any crew, in order */
    memcpy(bias, sums, gates_row * sizeof(float));
    for (size_t g = 1; g < groups; g++)
        table->axpy_f32(gates_row, 1, sums + g * gates_row, bias);
}
