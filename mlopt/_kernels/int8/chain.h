/* A chain of layers for one sample, from weights packed for products.
 *
 * What bounds it, once latencies are hidden, is loading the weights.  Two panels are taken together, so that a load of
 * four inputs serves up to six vectors of weights; few vectors take several steps of k at a time, so that enough sums
 * are under way.  Every number of vectors is a body of its own. */

#define INT8_WIDE (2 * MLOPT_INT8_VECTORS)

/* How real numbers become bytes. */
typedef struct int8_rounding {
    f32v multiplier, low, high;
    i32v zero;
} int8_rounding;

MLOPT_INLINE int8_rounding int8_rounding_of(float multiplier, int32_t zero)
{
    return (int8_rounding){f32_set1(multiplier), f32_set1((float)-zero), f32_set1((float)(255 - zero)), i32_set1(zero)};
}

/* The plan has converted the numbers. */
MLOPT_INLINE int8_rounding int8_rounding_of_step(const mlopt_int8_step *step)
{
    return (int8_rounding){f32_set1(step->multiplier), f32_set1(step->low), f32_set1(step->high), i32_set1(step->zero)};
}

/* The step makes a layer's inputs. */
static inline void int8_round_for(mlopt_int8_step *step, const mlopt_int8_layer *layer)
{
    step->multiplier = layer->multiplier;
    step->low = (float)-layer->zero;
    step->high = (float)(255 - layer->zero);
    step->zero = layer->zero;
}

MLOPT_INLINE i32v int8_rounded(f32v x, const int8_rounding *by)
{
    return i32_add(i32_round(f32_min(f32_max(f32_mul(x, by->multiplier), by->low), by->high)), by->zero);
}

/* Whole vectors are written: a masked store would not be forwarded to the loads that follow. */
MLOPT_INLINE void int8_take_in(size_t n, const float *x, const int8_rounding *by, uint8_t *out)
{
    size_t i = 0;
    for (; i + f32_LANES <= n; i += f32_LANES)
        i32_narrow(out + i, int8_rounded(f32_load(x + i), by));
    if (i < n)
        i32_narrow(out + i, int8_rounded(f32_load_first(x + i, n - i), by));
}

/* The first step: the chain's inputs. */
static void int8_input(const mlopt_int8_step *step, const float *x, float *out)
{
    const int8_rounding by = int8_rounding_of_step(step);
    (void)out;
    int8_take_in(step->layer->inputs, x, &by, step->layer->bytes);
}

/* Inputs to bytes by their own range: their zero point, and what a unit is worth. */
MLOPT_INLINE int32_t int8_take_in_range(size_t n, const float *x, uint8_t *out, float *unit)
{
    f32v low = f32_zero(), high = f32_zero();
    for (size_t i = 0; i < n; i += f32_LANES) {
        const f32v here = f32_load_left(x + i, n - i);
        low = f32_min(here, low), high = f32_max(here, high);
    }
    float multiplier;
    const int32_t zero = mlopt_int8_range(f32_reduce_min(low), f32_reduce_max(high), &multiplier, unit);
    const int8_rounding by = int8_rounding_of(multiplier, zero);
    int8_take_in(n, x, &by, out);
    return zero;
}

/* The first step of a layer that takes the scale of its inputs from themselves: its terms of columns follow from it. */
static void int8_dynamic_input(const mlopt_int8_step *step, const float *x, float *out)
{
    const mlopt_int8_layer *const layer = step->layer;
    float scale;
    (void)out;
    const i32v minus_zero = i32_set1(-int8_take_in_range(layer->inputs, x, layer->bytes, &scale));
    const int32_t *const sums =
        (const int32_t *)(const void *)(layer->packed + mlopt_int8_round(layer->inputs, 4) * layer->packed_columns);
    const f32v unit = f32_set1(scale);
    for (size_t j = 0; j < layer->packed_columns; j += f32_LANES) {
        i32_store(layer->start + j, i32_mul(minus_zero, i32_load(sums + j)));
        f32_store(layer->scale + j, f32_mul(unit, f32_load(layer->weight_scale + j)));
    }
}

/* The activation of real numbers, where it is more than a floor. */
static void int8_activation(const mlopt_int8_step *step, const float *x, float *out)
{
    const mlopt_activation activation = step->activation;
    const size_t n = step->columns;
#define LOOP(activation)                                                                                               \
    for (size_t j = 0; j < n; j += f32_LANES)                                                                          \
        f32_store_left(out + j, n - j, f32_activate(f32_load_left(x + j, n - j), activation));
    EACH_ACTIVATION(LOOP)
#undef LOOP
}

/* Where a step's outputs go: what its fields say, in registers, which stores of bytes would have read again. */
typedef struct int8_outputs {
    const float *scale, *shift;
    uint8_t *bytes; /* NULL: they stay real */
    float *reals;
    size_t columns;
    f32v floor;
    int8_rounding by;
} int8_outputs;

MLOPT_INLINE int8_outputs int8_outputs_of(const mlopt_int8_step *step, float *out)
{
    const mlopt_int8_layer *const layer = step->layer;
    return (int8_outputs){.scale = layer->scale + step->first,
                          .shift = layer->shift + step->first,
                          .bytes = step->next ? step->next->bytes + step->first : NULL,
                          .reals = out + step->first,
                          .columns = step->columns,
                          .floor = f32_set1(step->floor),
                          .by = int8_rounding_of_step(step)};
}

/* A vector of complete sums, number `v` of the step's. */
MLOPT_INLINE void int8_put_out(const int8_outputs *to, const size_t v, i32v sum)
{
    const size_t column = v * f32_LANES;
    const f32v scaled = f32_mul(f32_of_i32(sum), f32_load(to->scale + column));
    const f32v real = f32_max(to->floor, f32_add(scaled, f32_load(to->shift + column)));
    if (to->bytes)
        i32_narrow(to->bytes + column, int8_rounded(real, &to->by));
    else if (to->columns < column + f32_LANES)
        f32_store_first(to->reals + column, to->columns - column, real);
    else
        f32_store(to->reals + column, real);
}

/* `vectors` vectors of outputs, `sets` steps of k at a time; both constant. */
#define EACH_SUM(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7) DO(8) DO(9) DO(10) DO(11)
MLOPT_INLINE void int8_dense(const size_t vectors, const size_t sets, const mlopt_int8_step *step, float *out)
{
    const mlopt_int8_layer *const layer = step->layer;
    const size_t fours = (layer->inputs + 3) / 4, panel = 4 * fours * TILE_COLUMNS;
    const uint8_t *a = layer->bytes, *const end = a + fours / sets * sets * 4;
    const int8_t *b = layer->packed + step->first * 4 * fours;
    const int32_t *const start = layer->start + step->first;
    i32v sums[12]; /* sets is a power of two */
#define BEGIN(s)                                                                                                       \
    if ((s) < vectors * sets)                                                                                          \
        sums[s] = (s) < vectors ? i32_load(start + (s) * f32_LANES) : i32_zero();
    EACH_SUM(BEGIN)
#undef BEGIN
    /* sum s: vector s % vectors of step s / vectors */
#define AT(s)                                                                                                          \
    (b + (s) / vectors * 4 * TILE_COLUMNS + (s) % vectors / MLOPT_INT8_VECTORS * panel +                               \
     (s) % vectors % MLOPT_INT8_VECTORS * 4 * f32_LANES)
#define ADD(s)                                                                                                         \
    if ((s) < vectors * sets)                                                                                          \
        sums[s] = i32_dot(sums[s], u8_split(i32_spread(a + (s) / vectors * 4)), s8_split(i32_load_bytes(AT(s))));
    for (; a < end; a += 4 * sets, b += sets * 4 * TILE_COLUMNS) {
        EACH_SUM(ADD)
    }
    const size_t left = fours % sets;
#define ADD_LAST(s)                                                                                                    \
    if ((s) < vectors * (sets - 1) && (s) / vectors < left) {                                                          \
        ADD(s)                                                                                                         \
    }
    EACH_SUM(ADD_LAST)
#undef ADD_LAST
#undef ADD
#undef AT
    const int8_outputs to = int8_outputs_of(step, out);
    /* as a tree, half of the sets at a time */
    const size_t eight = sets > 4 ? 4 * vectors : 12, four = sets > 2 ? 2 * vectors : 12, two = sets > 1 ? vectors : 12;
#define HALVE(s, half)                                                                                                 \
    if ((s) < (half) && (s) + (half) < 12)                                                                             \
        sums[s] = i32_add(sums[s], sums[(s) + (half) < 12 ? (s) + (half) : 0]);
#define EIGHT(s) HALVE(s, eight)
#define FOUR(s) HALVE(s, four)
#define TWO(s) HALVE(s, two)
    EACH_SUM(EIGHT)
    EACH_SUM(FOUR)
    EACH_SUM(TWO)
#undef HALVE
#undef EIGHT
#undef FOUR
#undef TWO
#define PUT(s)                                                                                                         \
    if ((s) < vectors)                                                                                                 \
        int8_put_out(&to, s, sums[s]);
    EACH_SUM(PUT)
#undef PUT
}
#undef EACH_SUM

#if MLOPT_INT8_VECTORS == 3
#define EACH_BODY(BODY) BODY(1, 8) BODY(2, 4) BODY(3, 4) BODY(4, 2) BODY(5, 2) BODY(6, 2)
#else
#define EACH_BODY(BODY) BODY(1, 4) BODY(2, 2) BODY(3, 2) BODY(4, 2)
#endif
#define BODY(vectors, sets)                                                                                            \
    static void MLOPT_SYMBOL(chain_vectors_##vectors, s8)(const mlopt_int8_step *step, const float *x, float *out)     \
    {                                                                                                                  \
        (void)x;                                                                                                       \
        int8_dense(vectors, sets, step, out);                                                                          \
    }
EACH_BODY(BODY)
#undef BODY

size_t MLOPT_SYMBOL(chain_plan, s8)(size_t count, const mlopt_int8_layer *layers, mlopt_int8_step *steps)
{
    static void (*const bodies[])(const mlopt_int8_step *, const float *, float *) = {
#define NAME(vectors, sets) [vectors] = MLOPT_SYMBOL(chain_vectors_##vectors, s8),
        EACH_BODY(NAME)};
#undef NAME
    size_t used = 0;
    for (const mlopt_int8_layer *layer = layers, *end = layers + count; layer < end; layer++) {
        const mlopt_int8_layer *const next = layer + 1 < end ? layer + 1 : NULL;
        const int floor_only = layer->activation == MLOPT_IDENTITY || layer->activation == MLOPT_RELU;
        const int to_bytes = floor_only && next && !next->dynamic;
        /* real outputs go to the chain's own if nothing comes after them */
        float *const reals = next ? layer->reals : NULL;
        mlopt_int8_step step = {.layer = layer};
        if (layer == layers || !(layer[-1].activation <= MLOPT_RELU) || layer->dynamic) {
            step.run = layer->dynamic ? int8_dynamic_input : int8_input;
            step.x = layer == layers ? NULL : layer[-1].reals;
            int8_round_for(&step, layer);
            if (steps)
                steps[used] = step;
            used++;
        }
        for (size_t j = 0; j < layer->outputs; j += INT8_WIDE * f32_LANES) {
            const size_t columns = mlopt_gemm_least(layer->outputs - j, INT8_WIDE * f32_LANES);
            step = (mlopt_int8_step){.run = bodies[(columns + f32_LANES - 1) / f32_LANES],
                                     .layer = layer,
                                     .next = to_bytes ? next : NULL,
                                     .out = reals,
                                     .first = j,
                                     .columns = columns,
                                     .floor = layer->activation == MLOPT_RELU ? 0 : -INFINITY};
            if (to_bytes)
                int8_round_for(&step, next);
            if (steps)
                steps[used] = step;
            used++;
        }
        if (!floor_only) {
            step = (mlopt_int8_step){.run = int8_activation,
                                     .x = reals,
                                     .out = reals,
                                     .columns = layer->outputs,
                                     .activation = layer->activation};
            if (steps)
                steps[used] = step;
            used++;
        }
    }
    return used;
}
#undef EACH_BODY

void MLOPT_SYMBOL(chain_run, s8)(size_t count, const mlopt_int8_step *steps, const float *x, float *out)
{
    for (const mlopt_int8_step *step = steps, *end = steps + count; step < end; step++) {
        float *const to = step->out ? step->out : out;
        step->run(step, step->x ? step->x : step->layer ? x : to, to);
    }
}

void MLOPT_SYMBOL(chain_inputs, s8)(size_t rows, const mlopt_int8_layer *layer, const float *x, size_t x_row,
                                    uint8_t *out, size_t out_row)
{
    const int8_rounding by = int8_rounding_of(layer->multiplier, layer->zero);
    for (size_t i = 0; i < rows; i++, x += x_row, out += out_row)
        int8_take_in(layer->inputs, x, &by, out);
}

void MLOPT_SYMBOL(chain_ranges, s8)(size_t rows, const mlopt_int8_layer *layer, const float *x, size_t x_row,
                                    uint8_t *out, size_t out_row, int32_t *zeros, float *units)
{
    for (size_t i = 0; i < rows; i++, x += x_row, out += out_row)
        zeros[i] = int8_take_in_range(layer->inputs, x, out, units + i);
}

void MLOPT_SYMBOL(chain_reals, s8)(size_t rows, const mlopt_int8_layer *layer, const float *units, void *sums,
                                   size_t sums_row)
{
    const mlopt_activation activation = layer->activation;
    const float *const weight_scale = layer->weight_scale, *const shift = layer->shift;
    const size_t n = layer->outputs;
    int32_t *from = sums;
    float *to = sums;
#define LOOP(activation)                                                                                               \
    for (size_t i = 0; i < rows; i++, from += sums_row, to += sums_row) {                                              \
        const f32v unit = f32_set1(units[i]);                                                                          \
        for (size_t j = 0; j < n; j += f32_LANES) {                                                                    \
            const f32v scale = f32_mul(unit, f32_load(weight_scale + j));                                              \
            const f32v scaled = f32_mul(f32_of_i32(int8_load_left(from + j, n - j)), scale);                           \
            f32_store_left(to + j, n - j, f32_activate(f32_add(scaled, f32_load(shift + j)), activation));             \
        }                                                                                                              \
    }
    EACH_ACTIVATION(LOOP)
#undef LOOP
}
