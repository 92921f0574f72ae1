/* float32 to bytes and back. */

#define RANGE_VECTORS 4

void MLOPT_SYMBOL(range, f32)(size_t n, const float *x, float *low, float *high)
{
    f32v least[RANGE_VECTORS], largest[RANGE_VECTORS], nothing[RANGE_VECTORS]; /* sums of 0 x: 0, or NaN */
    MLOPT_UNROLL_FULLY
    for (int j = 0; j < RANGE_VECTORS; j++) {
        least[j] = f32_set1(*low);
        largest[j] = f32_set1(*high);
        nothing[j] = f32_zero();
    }
    size_t i = 0;
    for (; i + RANGE_VECTORS * f32_LANES <= n; i += RANGE_VECTORS * f32_LANES) {
        MLOPT_UNROLL_FULLY
        for (int j = 0; j < RANGE_VECTORS; j++) {
            const f32v v = f32_load(x + i + (size_t)j * f32_LANES);
            least[j] = f32_min(v, least[j]);
            largest[j] = f32_max(v, largest[j]);
            nothing[j] = f32_fma(v, f32_zero(), nothing[j]);
        }
    }
    MLOPT_UNROLL_FULLY
    for (int j = 1; j < RANGE_VECTORS; j++) {
        least[0] = f32_min(least[0], least[j]);
        largest[0] = f32_max(largest[0], largest[j]);
        nothing[0] = f32_add(nothing[0], nothing[j]);
    }
    for (; i < n; i += f32_LANES) {
        const f32v v = f32_load_first_or(x + i, n - i < f32_LANES ? n - i : f32_LANES, f32_set1(*low));
        least[0] = f32_min(v, least[0]);
        largest[0] = f32_max(v, largest[0]);
        nothing[0] = f32_fma(v, f32_zero(), nothing[0]);
    }
    const float not_finite = f32_reduce_add(nothing[0]);
    *low = f32_reduce_min(least[0]) + not_finite;
    *high = f32_reduce_max(largest[0]) + not_finite;
}

/* The rows of a strip that RANGE_VECTORS registers are wide. */
MLOPT_INLINE void range_strip(size_t rows, const float *x, size_t x_row, float *low, float *high)
{
    f32v least[RANGE_VECTORS], largest[RANGE_VECTORS], nothing[RANGE_VECTORS];
    MLOPT_UNROLL_FULLY
    for (int j = 0; j < RANGE_VECTORS; j++) {
        least[j] = f32_load(low + (size_t)j * f32_LANES);
        largest[j] = f32_load(high + (size_t)j * f32_LANES);
        nothing[j] = f32_zero();
    }
    for (; rows; rows--, x += x_row) {
        MLOPT_UNROLL_FULLY
        for (int j = 0; j < RANGE_VECTORS; j++) {
            const f32v v = f32_load(x + (size_t)j * f32_LANES);
            least[j] = f32_min(v, least[j]);
            largest[j] = f32_max(v, largest[j]);
            nothing[j] = f32_fma(v, f32_zero(), nothing[j]);
        }
    }
    MLOPT_UNROLL_FULLY
    for (int j = 0; j < RANGE_VECTORS; j++) {
        f32_store(low + (size_t)j * f32_LANES, f32_add(least[j], nothing[j]));
        f32_store(high + (size_t)j * f32_LANES, f32_add(largest[j], nothing[j]));
    }
}

MLOPT_INLINE void range_strip_first(size_t rows, size_t n, const float *x, size_t x_row, float *low, float *high)
{
    f32v least = f32_load_first(low, n), largest = f32_load_first(high, n), nothing = f32_zero();
    for (; rows; rows--, x += x_row) {
        const f32v v = f32_load_first(x, n);
        least = f32_min(v, least);
        largest = f32_max(v, largest);
        nothing = f32_fma(v, f32_zero(), nothing);
    }
    f32_store_first(low, n, f32_add(least, nothing));
    f32_store_first(high, n, f32_add(largest, nothing));
}

/* Rows that are read side by side, each a stream to the prefetchers. */
#define RANGE_ROWS 16

void MLOPT_SYMBOL(range_columns, f32)(size_t rows, size_t columns, const float *x, size_t x_row, float *low,
                                      float *high)
{
    while (rows) {
        const size_t count = rows < RANGE_ROWS ? rows : RANGE_ROWS;
        size_t j = 0;
        for (; j + RANGE_VECTORS * f32_LANES <= columns; j += RANGE_VECTORS * f32_LANES)
            range_strip(count, x + j, x_row, low + j, high + j);
        for (; j < columns; j += f32_LANES)
            range_strip_first(count, columns - j < f32_LANES ? columns - j : f32_LANES, x + j, x_row, low + j,
                              high + j);
        x += count * x_row;
        rows -= count;
    }
}

#undef RANGE_VECTORS
#undef RANGE_ROWS

/* Below and above any zero point's reach: where a byte's limits are taken as integers, floats only have to stay within
 * what i32_round takes. */
#define MLOPT_QUANTIZE_FAR 1024.0f

/* NaN to the lower limit: max and min return their second operand then. */
MLOPT_INLINE f32v f32_clamp(f32v v, f32v low, f32v high) { return f32_min(f32_max(v, low), high); }

/* Numbers of one scale. */
typedef struct quantize_words {
    f32v scale, low, high;
    i32v zero_point;
} quantize_words;

MLOPT_INLINE i32v quantize_one(f32v x, quantize_words w)
{
    return i32_add(i32_round(f32_clamp(f32_div(x, w.scale), w.low, w.high)), w.zero_point);
}

void MLOPT_SYMBOL(quantize, f32)(size_t n, const float *x, float scale, int32_t zero_point, const int32_t *limits,
                                 uint8_t *out)
{
    const quantize_words w = {f32_set1(scale), f32_set1((float)(limits[0] - zero_point)),
                              f32_set1((float)(limits[1] - zero_point)), i32_set1(zero_point)};
    size_t i = 0;
    for (; i + 4 * f32_LANES <= n; i += 4 * f32_LANES) {
        const i32v q0 = quantize_one(f32_load(x + i), w);
        const i32v q1 = quantize_one(f32_load(x + i + f32_LANES), w);
        const i32v q2 = quantize_one(f32_load(x + i + 2 * f32_LANES), w);
        const i32v q3 = quantize_one(f32_load(x + i + 3 * f32_LANES), w);
        i32_narrow_four(out + i, q0, q1, q2, q3);
    }
    for (; i + f32_LANES <= n; i += f32_LANES)
        i32_narrow(out + i, quantize_one(f32_load(x + i), w));
    if (i == n)
        return;
    if (n >= f32_LANES) /* the last vector, some of it again */
        i32_narrow(out + n - f32_LANES, quantize_one(f32_load(x + n - f32_LANES), w));
    else
        i32_narrow_first(out, n, quantize_one(f32_load_first(x, n), w));
}

MLOPT_INLINE i32v quantize_each(f32v x, f32v scale, i32v zero_point, i32v low, i32v high)
{
    const f32v v = f32_clamp(f32_div(x, scale), f32_set1(-MLOPT_QUANTIZE_FAR), f32_set1(MLOPT_QUANTIZE_FAR));
    return i32_min(i32_max(i32_add(i32_round(v), zero_point), low), high);
}

void MLOPT_SYMBOL(quantize_columns, f32)(size_t rows, size_t columns, const float *x, size_t x_row, const float *scale,
                                         const int32_t *zero_point, const int32_t *limits, uint8_t *out, size_t out_row)
{
    const i32v low = i32_set1(limits[0]), high = i32_set1(limits[1]);
    if (columns < f32_LANES) {
        const f32v divisor = f32_load_first_or(scale, columns, f32_set1(1));
        const i32v zero = i32_load_first(zero_point, columns);
        for (; rows; rows--, x += x_row, out += out_row)
            i32_narrow_first(out, columns, quantize_each(f32_load_first(x, columns), divisor, zero, low, high));
        return;
    }
    const size_t last = columns - f32_LANES;
    for (; rows; rows--, x += x_row, out += out_row) {
        for (size_t j = 0; j < last; j += f32_LANES) {
            const i32v zero = i32_load(zero_point + j);
            i32_narrow(out + j, quantize_each(f32_load(x + j), f32_load(scale + j), zero, low, high));
        }
        const i32v zero = i32_load(zero_point + last); /* some of it may be again */
        i32_narrow(out + last, quantize_each(f32_load(x + last), f32_load(scale + last), zero, low, high));
    }
}

MLOPT_INLINE i32v dequantize_load(const uint8_t *x, int is_signed)
{
    return is_signed ? i32_widen_s8((const int8_t *)x) : i32_widen_u8(x);
}

MLOPT_INLINE i32v dequantize_load_first(const uint8_t *x, size_t n, int is_signed)
{
    return is_signed ? i32_widen_s8_first((const int8_t *)x, n) : i32_widen_u8_first(x, n);
}

MLOPT_INLINE f32v dequantize_one(i32v q, f32v scale, i32v zero_point)
{
    return f32_mul(f32_of_i32(i32_sub(q, zero_point)), scale);
}

#define DEQUANTIZED(at) dequantize_one(dequantize_load(x + (at), is_signed), factor, zero)

MLOPT_INLINE void dequantize_all(size_t n, const uint8_t *x, float scale, int32_t zero_point, int is_signed, float *out)
{
    const f32v factor = f32_set1(scale);
    const i32v zero = i32_set1(zero_point);
    if (n < f32_LANES) {
        f32_store_first(out, n, dequantize_one(dequantize_load_first(x, n, is_signed), factor, zero));
        return;
    }
    size_t i = 0;
    const size_t last = n - f32_LANES;
    if (5 * n > ((size_t)1 << 20) && 5 * n > mlopt_cpu_detect()->l3_bytes) { /* past the caches */
        f32_store(out, DEQUANTIZED(0));
        for (i = -(uintptr_t)out % sizeof(f32v) / sizeof(float); i < last; i += f32_LANES)
            f32_stream(out + i, DEQUANTIZED(i));
        f32_stream_end();
    } else
        for (; i + f32_LANES < last; i += 2 * f32_LANES) {
            f32_store(out + i, DEQUANTIZED(i));
            f32_store(out + i + f32_LANES, DEQUANTIZED(i + f32_LANES));
        }
    if (i < last)
        f32_store(out + i, DEQUANTIZED(i));
    f32_store(out + last, DEQUANTIZED(last)); /* some of it may be again */
}

void MLOPT_SYMBOL(dequantize, f32)(size_t n, const uint8_t *x, float scale, int32_t zero_point, int is_signed,
                                   float *out)
{
    if (is_signed)
        dequantize_all(n, x, scale, zero_point, 1, out);
    else
        dequantize_all(n, x, scale, zero_point, 0, out);
}

MLOPT_INLINE void dequantize_rows(size_t rows, size_t columns, const uint8_t *x, size_t x_row, const float *scale,
                                  const int32_t *zero_point, int is_signed, float *out, size_t out_row)
{
    if (columns < f32_LANES) {
        const f32v factor = f32_load_first(scale, columns);
        const i32v zero = i32_load_first(zero_point, columns);
        for (; rows; rows--, x += x_row, out += out_row)
            f32_store_first(out, columns, dequantize_one(dequantize_load_first(x, columns, is_signed), factor, zero));
        return;
    }
    const size_t last = columns - f32_LANES;
    for (; rows; rows--, x += x_row, out += out_row) {
        for (size_t j = 0; j < last; j += f32_LANES)
            f32_store(out + j,
                      dequantize_one(dequantize_load(x + j, is_signed), f32_load(scale + j), i32_load(zero_point + j)));
        f32_store(out + last, dequantize_one(dequantize_load(x + last, is_signed), f32_load(scale + last),
                                             i32_load(zero_point + last))); /* some of it may be again */
    }
}

void MLOPT_SYMBOL(dequantize_columns, f32)(size_t rows, size_t columns, const uint8_t *x, size_t x_row,
                                           const float *scale, const int32_t *zero_point, int is_signed, float *out,
                                           size_t out_row)
{
    if (is_signed)
        dequantize_rows(rows, columns, x, x_row, scale, zero_point, 1, out, out_row);
    else
        dequantize_rows(rows, columns, x, x_row, scale, zero_point, 0, out, out_row);
}

#undef DEQUANTIZED
