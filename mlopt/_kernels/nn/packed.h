/* A chain of layers forward for one sample, from packed weights, for one element type.
 *
 * What bounds it is loading the weights, so that no lane of a load may be wasted: a layer's outputs are taken in whole
 * vectors, up to PACKED_VECTORS of them at a time, and those that are left, r < LANES, in a tail of `room` lanes, the
 * power of two at r or above, where one vector of weights serves LANES / room inputs at once and the sums are added up
 * across the lanes in the end.
 *
 * packed_plan lays a layer out as steps, each with the body made for its number of vectors or lanes; packed_run walks
 * them.  The tail goes first: adding up across its lanes goes on beside what follows.  A step's weights: the bias,
 * then for every input its weights for all vectors; in a tail, for every LANES / room inputs one vector. */

#ifndef PACKED_VECTORS
#define PACKED_VECTORS 8
#endif
#define LAYER MLOPT_JOIN(mlopt_packed_layer_, MLOPT_REAL)
#define PACKED_STEP MLOPT_JOIN(mlopt_packed_step_, MLOPT_REAL)

/* room is a constant where this is inlined. */
MLOPT_INLINE void F(packed_tail)(const size_t room, const PACKED_STEP *step, const T *x, T *out)
{
    const int share = (int)(LANES / room);
    const T *w = step->weights + LANES;
    const size_t inputs = step->inputs;
    const size_t parts = room > 4 ? 8 : room > 2 ? 4 : 2; /* of the sum; as in dense_block, no loop over them */
    V sums[8];
    I index[8];
    sums[0] = F(load)(step->weights);
    index[0] = F(lane_shares)(__builtin_ctzl(room));
#define EACH(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7)
#define BEGIN(s)                                                                                                       \
    if ((s) > 0 && (s) < parts)                                                                                        \
        sums[s] = F(zero)();                                                                                           \
    if ((s) > 0 && (s) < room)                                                                                         \
        index[s] = F(lanes_onward)(index[(s) > 0 ? (s) - 1 : 0], share);
    EACH(BEGIN)
#define ADD(s)                                                                                                         \
    if ((s) < room)                                                                                                    \
        sums[(s) % parts] =                                                                                            \
            F(fma)(room == 1 ? block : F(permute)(block, index[s]), F(load)(w + (s) * LANES), sums[(s) % parts]);
#define ADD_LAST(s)                                                                                                    \
    if (i + (s) * (size_t)share < inputs) {                                                                            \
        ADD(s)                                                                                                         \
    }
    size_t i = 0;
    if (room == 1) {
        for (; i + 2 * LANES <= inputs; i += 2 * LANES, w += 2 * LANES) {
            sums[0] = F(fma)(F(load)(x + i), F(load)(w), sums[0]);
            sums[1] = F(fma)(F(load)(x + i + LANES), F(load)(w + LANES), sums[1]);
        }
    }
    for (; i + LANES <= inputs; i += LANES, w += room * LANES) {
        const V block = F(load)(x + i);
        EACH(ADD)
    }
    if (i < inputs) {
        const V block = F(load_first)(x + i, inputs - i);
        EACH(ADD_LAST)
    }
#undef EACH
#undef BEGIN
#undef ADD
#undef ADD_LAST
    if (parts > 4)
        sums[0] = F(add)(sums[0], sums[4]), sums[1] = F(add)(sums[1], sums[5]), sums[2] = F(add)(sums[2], sums[6]),
        sums[3] = F(add)(sums[3], sums[7]);
    if (parts > 2)
        sums[0] = F(add)(sums[0], sums[2]), sums[1] = F(add)(sums[1], sums[3]);
    V sum = F(add)(sums[0], sums[1]);
    MLOPT_UNROLL_FULLY
    for (size_t half = LANES / 2; half >= room; half /= 2)
        sum = F(add)(sum, F(permute)(sum, F(lanes_onward)(F(lane_numbers)(), (int)half)));
    sum = F(at_least)(sum, F(set1)(step->floor));
    if (step->last == LANES)
        F(store)(out, sum);
    else
        F(store_first)(out, step->last, sum);
}

#define EACH_TAIL(TAIL) TAIL(1) TAIL(2) TAIL(4) TAIL(8)
#define VECTORS_BODY(vectors, split)                                                                                   \
    static void K(packed_vectors_##vectors)(const PACKED_STEP *step, const T *x, T *out)                               \
    {                                                                                                                  \
        const T *const bias = step->weights;                                                                           \
        F(dense_block)(vectors, split, 0, step->inputs, step->last, x, bias + vectors * LANES, vectors * LANES, bias,  \
                       F(set1)(step->floor), out);                                                                     \
    }
#define TAIL_BODY(room)                                                                                                \
    static void K(packed_tail_##room)(const PACKED_STEP *step, const T *x, T *out)                                     \
    {                                                                                                                  \
        F(packed_tail)((size_t)room < LANES ? (size_t)room : LANES / 2, step, x, out);                                 \
    }
EACH_PANEL(VECTORS_BODY)
EACH_TAIL(TAIL_BODY)
#undef VECTORS_BODY
#undef TAIL_BODY

/* The activation of a whole layer, where it is more than a floor. */
static void K(packed_activation)(const PACKED_STEP *step, const T *x, T *out)
{
#define LOOP(activation)                                                                                               \
    for (size_t j = 0; j < step->inputs; j += LANES)                                                                   \
        F(store_left)(out + j, step->inputs - j, F(activate)(F(load_left)(x + j, step->inputs - j), activation));
    const mlopt_activation activation = step->activation;
    EACH_ACTIVATION(LOOP)
#undef LOOP
}

/* Bias and weights of `wide` outputs from the first on, `share` inputs to a row of `row` elements that were 0. */
static void F(pack_rows)(const LAYER *layer, size_t first, size_t wide, size_t share, size_t row, T *to)
{
    if (layer->bias)
        memcpy(to, layer->bias + first, wide * sizeof(T));
    to += row;
    for (size_t i = 0; i < layer->inputs; i++) {
        const T *const from = layer->w + i * layer->w_row + first * layer->w_column;
        T *const here = to + i / share * row + i % share * (row / share);
        for (size_t j = 0; j < wide; j++)
            here[j] = from[j * layer->w_column];
    }
}

size_t K(packed_plan)(size_t count, const LAYER *layers, PACKED_STEP *steps, T *packed, size_t *packed_length)
{
    static void (*const vector_bodies[])(const PACKED_STEP *, const T *, T *) = {
#define VECTORS_NAME(vectors, split) [vectors] = K(packed_vectors_##vectors),
        EACH_PANEL(VECTORS_NAME)};
    static void (*const tail_bodies[])(const PACKED_STEP *, const T *, T *) = {
#define TAIL_NAME(room) [room] = K(packed_tail_##room),
        EACH_TAIL(TAIL_NAME)};
#undef VECTORS_NAME
#undef TAIL_NAME
    size_t used = 0, length = 0;
    for (const LAYER *layer = layers; layer < layers + count; layer++) {
        const size_t inputs = layer->inputs, outputs = layer->outputs, left = outputs % LANES;
        const mlopt_activation activation = layer->activation;
        const int first_layer = layer == layers, last_layer = layer == layers + count - 1;
        const int floor_only = activation == MLOPT_IDENTITY || (activation == MLOPT_RELU && layer->z == layer->out);
        const int only_sums = !floor_only || layer->z != layer->out;
        size_t vectors = outputs / LANES + (2 * left > LANES), room = 0;
        if (left && 2 * left <= LANES)
            for (room = 1; room < left; room *= 2) {
            }
        PACKED_STEP step = {.inputs = inputs,
                            .x = first_layer ? NULL : layer[-1].out,
                            .floor = activation == MLOPT_RELU && !only_sums ? 0 : (T)-INFINITY};
        T *const z = last_layer && !only_sums ? NULL : layer->z;
        for (size_t done = 0, wide; done < vectors || room;) {
            const size_t rest = vectors - done, panels = (rest + PACKED_VECTORS - 1) / PACKED_VECTORS;
            const size_t tail = room, first = tail ? vectors * LANES : done * LANES;
            const size_t panel = tail ? 1 : (rest + panels - 1) / panels;
            wide = outputs - first < panel * LANES ? outputs - first : panel * LANES;
            step.run = tail ? tail_bodies[tail] : vector_bodies[panel];
            step.weights = packed ? packed + length : NULL;
            step.out = z ? z + first : NULL;
            step.first = first;
            const int spare = z && (first + panel * LANES <= layer->room);
            step.last = spare ? LANES : wide - (panel - 1) * LANES;
            const size_t share = tail ? LANES / tail : 1;
            const size_t step_length = ((inputs + share - 1) / share + 1) * panel * LANES;
            if (steps) {
                memset(packed + length, 0, step_length * sizeof(T));
                F(pack_rows)(layer, first, wide, share, panel * LANES, packed + length);
                steps[used] = step;
            }
            length += step_length;
            used++;
            done += tail ? 0 : panel;
            room = 0;
        }
        if (only_sums) {
            if (steps)
                steps[used] = (PACKED_STEP){.run = K(packed_activation),
                                            .inputs = outputs,
                                            .x = layer->z,
                                            .out = last_layer ? NULL : layer->out,
                                            .activation = activation};
            used++;
        }
    }
    *packed_length = length;
    return used;
}

void K(packed_run)(size_t count, const PACKED_STEP *steps, const T *x, T *out)
{
    for (const PACKED_STEP *step = steps, *end = steps + count; step < end; step++)
        step->run(step, step->x ? step->x : x, step->out ? step->out : out + step->first);
}

#undef LAYER
#undef PACKED_STEP
#undef EACH_TAIL
