/* The recursion for one element type: T, TYPED(name). */

typedef TYPED(mlopt_matrix) TYPED(matrix);

static TYPED(matrix) TYPED(part)(TYPED(matrix) x, size_t row, size_t column)
{
    x.at += (ptrdiff_t)row * x.row + (ptrdiff_t)column * x.column;
    return x;
}

/* A temporary laid out like x. */
static TYPED(matrix) TYPED(temporary_like)(TYPED(matrix) x, T *at, size_t rows, size_t columns)
{
    if (x.row == 1 && x.column != 1)
        return (TYPED(matrix)){at, 1, (ptrdiff_t)row_length(sizeof(T), rows)};
    return (TYPED(matrix)){at, (ptrdiff_t)row_length(sizeof(T), columns), 1};
}

static int TYPED(ordinary)(const TYPED(mlopt_strassen) *how, size_t m, size_t n, size_t k, TYPED(matrix) a,
                           TYPED(matrix) b, TYPED(matrix) c, int accumulate)
{
    if (m == 0 || n == 0 || (accumulate && k == 0))
        return 0;
    TYPED(mlopt_gemm_job) job = {.m = m, .n = n, .k = k, .accumulate = accumulate};
    job.a = a.at, job.a_row = a.row, job.a_column = a.column;
    job.b = b.at, job.b_row = b.row, job.b_column = b.column;
    job.c = c.at, job.c_row = c.row, job.c_column = c.column;
    return how->product(how->context, &job);
}

/* A sum, or the result's pass, cut into bands of rows (of columns, where those are what is far apart). */
typedef struct TYPED(bands) {
    TYPED(mlopt_matrix_sum) *sum;
    TYPED(mlopt_winograd) *result;
    TYPED(matrix) of[7];
    size_t rows, columns;
    int count, by_columns, stream;
} TYPED(bands);

static void TYPED(band)(int i, void *argument)
{
    const TYPED(bands) *const bands = argument;
    const size_t longer = bands->by_columns ? bands->columns : bands->rows;
    const size_t first = longer * (size_t)i / (size_t)bands->count;
    const size_t length = longer * ((size_t)i + 1) / (size_t)bands->count - first;
    const size_t rows = bands->by_columns ? bands->rows : length, columns = bands->by_columns ? length : bands->columns;
    TYPED(matrix) of[7];
    for (int q = 0; q < (bands->sum ? 3 : 7); q++)
        of[q] = TYPED(part)(bands->of[q], bands->by_columns ? 0 : first, bands->by_columns ? first : 0);
    if (bands->sum)
        bands->sum(rows, columns, &of[0], &of[1], &of[2], bands->stream);
    else
        bands->result(rows, columns, of, of + 4);
}

static void TYPED(run_bands)(const TYPED(mlopt_strassen) *how, TYPED(bands) *bands)
{
    const size_t bytes = bands->rows * bands->columns * sizeof(T);
    bands->by_columns = bands->of[0].row == 1 && bands->of[0].column != 1;
    bands->count = how->spread && how->threads > 1 && bytes >= SPLIT_BYTES ? how->threads : 1;
    if (bands->count == 1)
        TYPED(band)(0, bands);
    else
        how->spread(bands->count, TYPED(band), bands);
}

/* z = x + y or x - y; z is new, or the x or y that is not needed any more. */
static void TYPED(sum)(const TYPED(mlopt_strassen) *how, TYPED(mlopt_matrix_sum) *kernel, size_t rows, size_t columns,
                       TYPED(matrix) x, TYPED(matrix) y, TYPED(matrix) z)
{
    TYPED(bands) bands = {.sum = kernel, .of = {x, y, z}, .rows = rows, .columns = columns};
    bands.stream = z.at != x.at && z.at != y.at && rows * columns * sizeof(T) >= how->stream_bytes;
    TYPED(run_bands)(how, &bands);
}

/* C = A B; m, n and k are multiples of 2^levels. */
static int TYPED(recur)(const TYPED(mlopt_strassen) *how, size_t m, size_t n, size_t k, TYPED(matrix) a,
                        TYPED(matrix) b, TYPED(matrix) c, int levels, T *workspace)
{
    if (levels == 0)
        return TYPED(ordinary)(how, m, n, k, a, b, c, 0);
    m /= 2, n /= 2, k /= 2, levels--;
    const TYPED(matrix) a11 = a, a12 = TYPED(part)(a, 0, k), a21 = TYPED(part)(a, m, 0), a22 = TYPED(part)(a, m, k);
    const TYPED(matrix) b11 = b, b12 = TYPED(part)(b, 0, n), b21 = TYPED(part)(b, k, 0), b22 = TYPED(part)(b, k, n);
    const TYPED(matrix) c11 = c, c12 = TYPED(part)(c, 0, n), c21 = TYPED(part)(c, m, 0), c22 = TYPED(part)(c, m, n);
    const temporaries size = temporaries_of(sizeof(T), m, n, k);
    T *const at_x = workspace, *const at_y = at_x + size.x, *const at_z = at_y + size.y, *const rest = at_z + size.z;
    const TYPED(matrix) x = TYPED(temporary_like)(a, at_x, m, k), y = TYPED(temporary_like)(b, at_y, k, n);
    const TYPED(matrix) p2 = TYPED(temporary_like)(c, at_x, m, n), p3 = TYPED(temporary_like)(c, at_y, m, n);
    const TYPED(matrix) p4 = TYPED(temporary_like)(c, at_z, m, n);
    TYPED(mlopt_matrix_sum) *const add = how->table->TYPED(matrix_add);
    TYPED(mlopt_matrix_sum) *const subtract = how->table->TYPED(matrix_subtract);
    int status;

    /* X = S3, Y = T3, C21 = P7 */
    TYPED(sum)(how, subtract, m, k, a11, a21, x);
    TYPED(sum)(how, subtract, k, n, b22, b12, y);
    if ((status = TYPED(recur)(how, m, n, k, x, y, c21, levels, rest)) != 0)
        return status;
    /* X = S1, Y = T1, C22 = P5 */
    TYPED(sum)(how, add, m, k, a21, a22, x);
    TYPED(sum)(how, subtract, k, n, b12, b11, y);
    if ((status = TYPED(recur)(how, m, n, k, x, y, c22, levels, rest)) != 0)
        return status;
    /* X = S2, Y = T2, C12 = P6 */
    TYPED(sum)(how, subtract, m, k, x, a11, x);
    TYPED(sum)(how, subtract, k, n, b22, y, y);
    if ((status = TYPED(recur)(how, m, n, k, x, y, c12, levels, rest)) != 0)
        return status;
    /* X = S4, Y = T4; then Z = P4, Y = P3, X = P2, C11 = P1 */
    TYPED(sum)(how, subtract, m, k, a12, x, x);
    TYPED(sum)(how, subtract, k, n, b21, y, y);
    if ((status = TYPED(recur)(how, m, n, k, a22, y, p4, levels, rest)) != 0 ||
        (status = TYPED(recur)(how, m, n, k, x, b22, p3, levels, rest)) != 0 ||
        (status = TYPED(recur)(how, m, n, k, a12, b21, p2, levels, rest)) != 0 ||
        (status = TYPED(recur)(how, m, n, k, a11, b11, c11, levels, rest)) != 0)
        return status;
    TYPED(bands) bands = {.result = how->table->TYPED(winograd_result), .of = {c11, c12, c21, c22, p2, p3, p4}};
    bands.rows = m, bands.columns = n;
    TYPED(run_bands)(how, &bands);
    return 0;
}

int TYPED(mlopt_strassen_multiply)(const TYPED(mlopt_strassen) *how, const TYPED(mlopt_gemm_job) *job, int levels,
                                   void *workspace)
{
    size_t m = job->m, n = job->n;
    const size_t k = job->k;
    TYPED(matrix) a = {(T *)job->a, job->a_row, job->a_column}, b = {(T *)job->b, job->b_row, job->b_column};
    TYPED(matrix) c = {job->c, job->c_row, job->c_column};
    /* rows of C are what products and sums run along: C^T = B^T A^T where its columns are contiguous */
    if (c.column != 1 && c.row == 1) {
        m = job->n, n = job->m;
        a = (TYPED(matrix)){(T *)job->b, job->b_column, job->b_row};
        b = (TYPED(matrix)){(T *)job->a, job->a_column, job->a_row};
        c = (TYPED(matrix)){job->c, job->c_column, job->c_row};
    }
    const size_t even_m = m >> levels << levels, even_n = n >> levels << levels, even_k = k >> levels << levels;
    int status = TYPED(recur)(how, even_m, even_n, even_k, a, b, c, levels, workspace);
    if (status == 0)
        status = TYPED(ordinary)(how, even_m, even_n, k - even_k, TYPED(part)(a, 0, even_k), TYPED(part)(b, even_k, 0),
                                 c, 1);
    if (status == 0)
        status =
            TYPED(ordinary)(how, even_m, n - even_n, k, a, TYPED(part)(b, 0, even_n), TYPED(part)(c, 0, even_n), 0);
    if (status == 0)
        status = TYPED(ordinary)(how, m - even_m, n, k, TYPED(part)(a, even_m, 0), b, TYPED(part)(c, even_m, 0), 0);
    return status;
}
