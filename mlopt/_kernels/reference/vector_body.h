/* One loop per kernel, one operation at a time, in the order of the definition. */

#define UNARY(name, expression)                                                                                        \
    void K(name)(size_t n, const T *x, T *out)                                                                         \
    {                                                                                                                  \
        for (size_t i = 0; i < n; i++) {                                                                               \
            const T v = x[i];                                                                                          \
            out[i] = (expression);                                                                                     \
        }                                                                                                              \
    }

UNARY(sqrt, LIBM(sqrt)(v))
UNARY(exp, LIBM(exp)(v))
UNARY(log, LIBM(log)(v))
UNARY(tanh, (T)F(TANH_WIDE)(v))
UNARY(sigmoid, (T)(1 / (1 + F(EXP_WIDE)(-(F(wide))v))))
UNARY(erf, LIBM(erf)(v))
UNARY(relu, isless(v, 0) ? 0 : v)
UNARY(gelu, v *(T)(F(ERFC_WIDE)(v) / 2))
UNARY(silu, v *(isless(v, 0) ? LIBM(exp)(v) / (1 + LIBM(exp)(v)) : 1 / (1 + LIBM(exp)(-v))))

#define BINARY(name, operator)                                                                                         \
    void K(name)(size_t n, const T *a, size_t a_step, const T *b, size_t b_step, T *out)                               \
    {                                                                                                                  \
        const T a_number = n ? *a : 0, b_number = n ? *b : 0;                                                          \
        for (size_t i = 0; i < n; i++)                                                                                 \
            out[i] = (a_step ? a[i] : a_number) operator(b_step ? b[i] : b_number);                                    \
    }

BINARY(add, +)
BINARY(subtract, -)
BINARY(multiply, *)
BINARY(divide, /)

void K(fma)(size_t n, const T *a, size_t a_step, const T *b, size_t b_step, const T *c, size_t c_step, T *out)
{
    const T a_number = n ? *a : 0, b_number = n ? *b : 0, c_number = n ? *c : 0;
    for (size_t i = 0; i < n; i++)
        out[i] = LIBM(fma)(a_step ? a[i] : a_number, b_step ? b[i] : b_number, c_step ? c[i] : c_number);
}

void K(axpy)(size_t n, T alpha, const T *x, T *y)
{
    for (size_t i = 0; i < n; i++)
        y[i] += alpha * x[i];
}

void K(scale)(size_t n, T alpha, const T *x, T *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = alpha * x[i];
}

T K(sum)(size_t n, const T *x)
{
    T total = 0;
    for (size_t i = 0; i < n; i++)
        total += x[i];
    return total;
}

T K(dot)(size_t n, const T *x, const T *y)
{
    T total = 0;
    for (size_t i = 0; i < n; i++)
        total += x[i] * y[i];
    return total;
}

T K(min)(size_t n, const T *x)
{
    T best = (T)INFINITY;
    for (size_t i = 0; i < n; i++) {
        if (x[i] != x[i])
            return (T)NAN;
        if (x[i] < best)
            best = x[i];
    }
    return best;
}

T K(max)(size_t n, const T *x)
{
    T best = (T)-INFINITY;
    for (size_t i = 0; i < n; i++) {
        if (x[i] != x[i])
            return (T)NAN;
        if (x[i] > best)
            best = x[i];
    }
    return best;
}

size_t K(argmax)(size_t n, const T *x)
{
    size_t best = 0;
    for (size_t i = 0; i < n; i++) {
        if (x[i] != x[i])
            return i;
        if (x[i] > x[best])
            best = i;
    }
    return best;
}

void K(moments)(size_t n, const T *x, T *mean, T *squares)
{
    const T center = n ? K(sum)(n, x) / (T)n : (T)NAN;
    T total = 0;
    for (size_t i = 0; i < n; i++)
        total += (x[i] - center) * (x[i] - center);
    *mean = center;
    *squares = n ? total : (T)NAN;
}

void K(softmax)(size_t n, const T *x, T *out)
{
    const T largest = K(max)(n, x);
    for (size_t i = 0; i < n; i++)
        out[i] = LIBM(exp)(x[i] - largest);
    const T total = K(sum)(n, out);
    for (size_t i = 0; i < n; i++)
        out[i] /= total;
}

T K(logsumexp)(size_t n, const T *x)
{
    const T largest = K(max)(n, x);
    if (n == 0 || !(largest - largest == 0))
        return n ? largest : (T)-INFINITY;
    T total = 0;
    for (size_t i = 0; i < n; i++)
        total += LIBM(exp)(x[i] - largest);
    return largest + LIBM(log)(total);
}

/* START before the first row, STEP(so far, element) for each. */
#define COLUMNS(name, START, STEP)                                                                                     \
    void K(name)(size_t rows, size_t columns, const T *x, ptrdiff_t row, T *out)                                       \
    {                                                                                                                  \
        for (size_t c = 0; c < columns; c++) {                                                                         \
            T so_far = START;                                                                                          \
            for (size_t r = 0; r < rows; r++) {                                                                        \
                const T v = x[(ptrdiff_t)r * row + (ptrdiff_t)c];                                                      \
                so_far = STEP;                                                                                         \
            }                                                                                                          \
            out[c] = so_far;                                                                                           \
        }                                                                                                              \
    }

COLUMNS(sum_columns, 0, so_far + v)
COLUMNS(squares_columns, 0, so_far + v * v)
COLUMNS(min_columns, (T)INFINITY, so_far != so_far || so_far < v ? so_far : v)
COLUMNS(max_columns, (T)-INFINITY, so_far != so_far || so_far > v ? so_far : v)

void K(argmax_columns)(size_t rows, size_t columns, const T *x, ptrdiff_t row, size_t *out)
{
    for (size_t c = 0; c < columns; c++) {
        T best = x[c];
        out[c] = 0;
        for (size_t r = 1; r < rows && best == best; r++) {
            const T v = x[(ptrdiff_t)r * row + (ptrdiff_t)c];
            if (v > best || v != v) {
                best = v;
                out[c] = r;
            }
        }
    }
}

void K(moments_columns)(size_t rows, size_t columns, const T *x, ptrdiff_t row, T *mean, T *squares)
{
    K(sum_columns)(rows, columns, x, row, mean);
    for (size_t c = 0; c < columns; c++) {
        mean[c] /= (T)rows;
        squares[c] = 0;
        for (size_t r = 0; r < rows; r++) {
            const T deviation = x[(ptrdiff_t)r * row + (ptrdiff_t)c] - mean[c];
            squares[c] += deviation * deviation;
        }
    }
}

void K(logsumexp_columns)(size_t rows, size_t columns, const T *x, ptrdiff_t row, T *out)
{
    K(max_columns)(rows, columns, x, row, out);
    for (size_t c = 0; c < columns; c++) {
        T total = 0;
        if (!(out[c] - out[c] == 0))
            continue;
        for (size_t r = 0; r < rows; r++)
            total += LIBM(exp)(x[(ptrdiff_t)r * row + (ptrdiff_t)c] - out[c]);
        out[c] += LIBM(log)(total);
    }
}

void K(softmax_columns)(size_t rows, size_t columns, const T *x, ptrdiff_t row, T *out, ptrdiff_t out_row)
{
    for (size_t c = 0; c < columns; c++, x++, out++) {
        T largest, total = 0;
        K(max_columns)(rows, 1, x, row, &largest);
        for (size_t r = 0; r < rows; r++)
            total += out[(ptrdiff_t)r * out_row] = LIBM(exp)(x[(ptrdiff_t)r * row] - largest);
        for (size_t r = 0; r < rows; r++)
            out[(ptrdiff_t)r * out_row] /= total;
    }
}

#undef UNARY
#undef BINARY
#undef COLUMNS
