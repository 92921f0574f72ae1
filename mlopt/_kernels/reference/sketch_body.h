/* The sketch kernels with one element at a time. */

static T F(polynomial)(T x, const T *coefficients, int count)
{
    T sum = coefficients[count - 1];
    for (int i = count - 2; i >= 0; i--)
        sum = sum * x + coefficients[i];
    return sum;
}

/* u = 2^k m with m between sqrt(1/2) and sqrt(2); -log(u) = -k ln 2 - log m, log m from s = f / (2 + f), f = m - 1 */
static T F(minus_log)(T u)
{
    int exponent;
    T m = LIBM(frexp)(u, &exponent);
    if (F(bits)(m) < F(bits)((T)0.70710678118654752))
        m *= 2, exponent -= 1;
    const T k = (T)exponent, f = m - 1, s = f / (f + 2), z = s * s, half_square = f * f * (T)0.5;
    const T series = half_square + z * F(polynomial)(z, F(log_poly), MLOPT_COUNT(F(log_poly)));
    const T correction = s * series + k * F(LN2_LOW);
    return half_square - correction - f - k * F(LN2_HIGH);
}

/* number j of the stream */
static T F(normal)(uint64_t key, uint64_t j)
{
    const uint64_t block = j / (MLOPT_RANDOM_BLOCK * 2 * F(PAIRS)), within = j % (MLOPT_RANDOM_BLOCK * 2 * F(PAIRS));
    const uint64_t counter = MLOPT_RANDOM_BLOCK * block + within % MLOPT_RANDOM_BLOCK;
    const int which = (int)(within / MLOPT_RANDOM_BLOCK);
    uint32_t words[4];
    int signs[2];
    mlopt_philox(key, counter, F(USE), words);
    const uint32_t *const of_pair = words + which / 2 * 2;
    const T radius = LIBM(sqrt)(F(minus_log)(F(open_uniform)(of_pair)));
    const T x = F(angle)(of_pair, signs) * (T)0.78539816339744831, z = x * x;
    const T sine = x + x * z * F(polynomial)(z, F(sin_poly), MLOPT_COUNT(F(sin_poly)));
    const T cosine = 1 - z * (T)0.5 + z * z * F(polynomial)(z, F(cos_poly), MLOPT_COUNT(F(cos_poly)));
    const T magnitude = radius * (which % 2 ? cosine + sine : cosine - sine);
    return signs[which % 2] ? -magnitude : magnitude;
}

void K(random_normal)(uint64_t key, uint64_t first, size_t n, T *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = F(normal)(key, first + i);
}

void K(walsh_hadamard)(size_t length, size_t columns, T *x, ptrdiff_t row)
{
    for (size_t half = length / 2; half; half /= 2)
        for (size_t i = 0; i < length; i++)
            if (!(i & half))
                for (size_t c = 0; c < columns; c++) {
                    T *const upper = x + (ptrdiff_t)i * row + (ptrdiff_t)c;
                    T *const lower = upper + (ptrdiff_t)half * row;
                    const T sum = *upper + *lower, difference = *upper - *lower;
                    *upper = sum, *lower = difference;
                }
}

static T F(list_sum)(const T *x, ptrdiff_t row, const int32_t *indices, int64_t count)
{
    T sums[MLOPT_SUMS] = {0};
    for (int64_t t = 0; t < count; t++)
        sums[t % MLOPT_SUMS] += x[indices[t] * row];
    return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

void K(signed_sums)(size_t count, size_t columns, const T *x, ptrdiff_t row, const int32_t *indices,
                    const int64_t *bounds, T *out, ptrdiff_t out_row)
{
    for (size_t j = 0; j < count; j++)
        for (size_t c = 0; c < columns; c++) {
            const int64_t *const at = bounds + 2 * j;
            const T plus = F(list_sum)(x + c, row, indices + at[0], at[1] - at[0]);
            const T minus = F(list_sum)(x + c, row, indices + at[1], at[2] - at[1]);
            out[(ptrdiff_t)j * out_row + (ptrdiff_t)c] = plus - minus;
        }
}

void K(transpose_scaled)(size_t rows, size_t columns, const T *x, ptrdiff_t row, ptrdiff_t column, const T *weight,
                         const int32_t *places, T *out, ptrdiff_t out_row)
{
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < columns; j++) {
            const T element = x[(ptrdiff_t)i * row + (ptrdiff_t)j * column];
            out[(places ? places[j] : (ptrdiff_t)j) * out_row + (ptrdiff_t)i] = weight ? weight[j] * element : element;
        }
}
