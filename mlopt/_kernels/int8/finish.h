/* What becomes of a tile's sums. */

/* A part of C: its sums, `row` elements from row to row, and where its terms are. */
typedef struct int8_part {
    size_t rows, columns, first_row, first_column; /* its place in C */
    const int32_t *sums;
    ptrdiff_t row;
    const int32_t *column_sums; /* of B, without its zero points; from the part's first column on */
    const int32_t *row_sums;    /* of A, from the part's first row on; NULL: B has no zero points */
} int8_part;

/* The zero points that the packed operands have: the given ones, and what made their bytes fit. */
static inline int32_t int8_a_zero(const mlopt_int8_job *job, size_t i)
{
    return (job->a_zero ? job->a_zero[i * job->a_zero_step] : 0) + (job->a_signed ? 128 : 0);
}
static inline int32_t int8_b_zero(const mlopt_int8_job *job, size_t j)
{
    return (job->b_zero ? job->b_zero[j * job->b_zero_step] : 0) - (job->b_signed ? 0 : 128);
}

MLOPT_INLINE i32v int8_load_left(const int32_t *p, size_t left)
{
    return left < f32_LANES ? i32_load_first(p, left) : i32_load(p);
}
MLOPT_INLINE void int8_store_left(int32_t *p, size_t left, i32v v)
{
    if (left < f32_LANES)
        i32_store_first(p, left, v);
    else
        i32_store(p, v);
}

/* The shares of zero points that differ from row to row, into `to`, rows of TILE_COLUMNS; may be the sums' own place.
 */
static void int8_row_terms(const mlopt_int8_job *job, const int8_part *part, int32_t *to)
{
    int32_t b_zero[MLOPT_INT8_VECTORS * f32_LANES];
    for (size_t j = 0; part->row_sums && j < part->columns; j++)
        b_zero[j] = int8_b_zero(job, part->first_column + j);
    for (size_t i = 0; i < part->rows; i++) {
        const int32_t *const from = part->sums + (ptrdiff_t)i * part->row;
        const i32v a = i32_set1(job->a_zero_step ? -int8_a_zero(job, part->first_row + i) : 0);
        const i32v b = i32_set1(part->row_sums ? -part->row_sums[i] : 0);
        for (size_t j = 0; j < part->columns; j += f32_LANES) {
            const size_t left = part->columns - j;
            i32v sum = i32_load(from + j);
            if (job->a_zero_step)
                sum = i32_add(sum, i32_mul(a, int8_load_left(part->column_sums + j, left)));
            if (part->row_sums)
                sum = i32_add(sum, i32_mul(b, int8_load_left(b_zero + j, left)));
            i32_store(to + i * TILE_COLUMNS + j, sum);
        }
    }
}

/* f((sum + bias) scale + shift); the bias is in the sums already */
MLOPT_INLINE f32v int8_real(const mlopt_int8_result *result, size_t column, size_t left, i32v sum,
                            mlopt_activation activation)
{
    const float *const at = result->scale + column * result->scale_step;
    const f32v scale = result->scale_step ? f32_load_left(at, left) : f32_set1(*at);
    f32v x = f32_mul(f32_of_i32(sum), scale);
    if (result->shift)
        x = f32_add(x, f32_load_left(result->shift + column, left));
    return f32_activate(x, activation);
}

static void int8_to_floats(const mlopt_int8_job *job, const int8_part *part)
{
    const mlopt_int8_result result = job->result; /* in registers: stores could change what is pointed to */
    const mlopt_activation activation = result.activation;
    const size_t rows = part->rows, columns = part->columns, first = part->first_column;
    const ptrdiff_t row = part->row, to_row = job->c_row;
    const int32_t *from = part->sums;
    float *to = (float *)job->c + (ptrdiff_t)part->first_row * job->c_row + part->first_column;
#define LOOP(activation)                                                                                               \
    for (size_t i = 0; i < rows; i++, from += row, to += to_row)                                                       \
        for (size_t j = 0; j < columns; j += f32_LANES) {                                                              \
            const size_t left = columns - j;                                                                           \
            f32_store_left(to + j, left, int8_real(&result, first + j, left, i32_load(from + j), activation));         \
        }
    EACH_ACTIVATION(LOOP)
#undef LOOP
}

static void int8_to_bytes(const mlopt_int8_job *job, const int8_part *part)
{
    const mlopt_int8_result result = job->result; /* in registers: stores could change what is pointed to */
    const mlopt_activation activation = result.activation;
    const size_t rows = part->rows, columns = part->columns, first = part->first_column;
    const ptrdiff_t row = part->row, to_row = job->c_row;
    const int32_t *from = part->sums, zero = result.out_zero, lowest = result.kind == MLOPT_INT8_TO_U8 ? 0 : -128;
    const f32v low = f32_set1((float)(lowest - zero)), high = f32_set1((float)(lowest + 255 - zero));
    const f32v multiplier = f32_set1(result.out_multiplier);
    const i32v offset = i32_set1(zero);
    uint8_t *to = (uint8_t *)job->c + (ptrdiff_t)part->first_row * job->c_row + part->first_column;
#define LOOP(activation)                                                                                               \
    for (size_t i = 0; i < rows; i++, from += row, to += to_row)                                                       \
        for (size_t j = 0; j < columns; j += f32_LANES) {                                                              \
            const size_t left = columns - j;                                                                           \
            const f32v real = int8_real(&result, first + j, left, i32_load(from + j), activation);                     \
            const f32v scaled = f32_mul(real, multiplier);                                                             \
            const i32v q = i32_add(i32_round(f32_min(f32_max(scaled, low), high)), offset);                            \
            if (left < f32_LANES)                                                                                      \
                i32_narrow_first(to + j, left, q);                                                                     \
            else                                                                                                       \
                i32_narrow(to + j, q);                                                                                 \
        }
    EACH_ACTIVATION(LOOP)
#undef LOOP
}

/* Complete sums, except for the terms of rows, to C. */
static void int8_finish(const mlopt_int8_job *job, const int8_part *given)
{
    int32_t with_terms[MLOPT_INT8_ROWS * MLOPT_INT8_VECTORS * f32_LANES];
    int8_part part = *given;
    if (job->a_zero_step || part.row_sums) {
        int8_row_terms(job, given, with_terms);
        part.sums = with_terms;
        part.row = (ptrdiff_t)TILE_COLUMNS;
    }
    if (job->result.kind == MLOPT_INT8_TO_F32)
        int8_to_floats(job, &part);
    else if (job->result.kind != MLOPT_INT8_TO_S32)
        int8_to_bytes(job, &part);
    else {
        const int32_t *from = part.sums;
        int32_t *to = (int32_t *)job->c + (ptrdiff_t)part.first_row * job->c_row + part.first_column;
        for (size_t i = 0; i < part.rows; i++, from += part.row, to += job->c_row)
            for (size_t j = 0; j < part.columns; j += f32_LANES)
                int8_store_left(to + j, part.columns - j, i32_load(from + j));
    }
}
