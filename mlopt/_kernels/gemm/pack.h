/* Operands for one element type: exchanged, and packed. */

#define TILE_COLUMNS (MLOPT_TILE_VECTORS * LANES)
#define JOB MLOPT_JOIN(mlopt_gemm_job_, MLOPT_REAL)
#define FINISH MLOPT_JOIN(mlopt_gemm_finish_, MLOPT_REAL)

/* The product with A and B exchanged: C^T = B^T A^T. */
static void F(exchange)(JOB *job)
{
    const JOB given = *job;
    job->m = given.n, job->n = given.m;
    job->a = given.b, job->a_row = given.b_column, job->a_column = given.b_row;
    job->b = given.a, job->b_row = given.a_column, job->b_column = given.a_row;
    job->c_row = given.c_column, job->c_column = given.c_row;
}

/* The rows of the group that begins at row i of m: all groups are as equal as can be. */
static inline size_t F(group)(size_t i, size_t m)
{
    const size_t left = m - i, groups = (left + MLOPT_TILE_ROWS - 1) / MLOPT_TILE_ROWS;
    return left % MLOPT_TILE_ROWS == 0 ? MLOPT_TILE_ROWS : groups == 1 ? left : (left + groups - 1) / groups;
}

/* dst[p * rows + r] = a[r, p] for each group of rows, one behind the other.  Some steps of k at a time, so that
 * lines of A that groups share are read once. */
static void F(pack_groups)(size_t m, size_t k, const T *a, ptrdiff_t a_row, ptrdiff_t a_column, T *dst)
{
    for (size_t first = 0; first < k; first += 16) {
        const size_t steps = mlopt_gemm_least(k - first, 16);
        for (size_t i = 0, rows; i < m; i += rows) {
            rows = F(group)(i, m);
            const T *from = a + (ptrdiff_t)i * a_row + (ptrdiff_t)first * a_column;
            T *to = dst + i * k + first * rows;
            if (a_row == 1 && rows == MLOPT_TILE_ROWS) {
                for (size_t p = 0; p < steps; p++, from += a_column, to += MLOPT_TILE_ROWS)
                    memcpy(to, from, MLOPT_TILE_ROWS * sizeof(T));
            } else {
                for (size_t p = 0; p < steps; p++, from += a_column, to += rows)
                    for (size_t r = 0; r < rows; r++)
                        to[r] = from[(ptrdiff_t)r * a_row];
            }
        }
    }
}

/* Up to TILE_COLUMNS columns of B that are contiguous along k, as a panel. */
static void F(pack_transposed)(size_t k, size_t columns, const T *b, ptrdiff_t b_column, T *dst)
{
    for (size_t c = 0; c < columns; c += LANES) {
        const size_t wide = mlopt_gemm_least(columns - c, LANES);
        const T *const from = b + (ptrdiff_t)c * b_column;
        V block[LANES];
        size_t p = 0;
        for (; p + LANES <= k; p += LANES) {
            if (wide == LANES) {
                MLOPT_UNROLL_FULLY
                for (size_t i = 0; i < LANES; i++)
                    block[i] = F(load)(from + (ptrdiff_t)i * b_column + p);
            } else {
                for (size_t i = 0; i < LANES; i++)
                    block[i] = i < wide ? F(load)(from + (ptrdiff_t)i * b_column + p) : F(zero)();
            }
            F(transpose)(block);
            MLOPT_UNROLL_FULLY
            for (size_t i = 0; i < LANES; i++)
                F(store)(dst + (p + i) * TILE_COLUMNS + c, block[i]);
        }
        for (; p < k; p++)
            for (size_t i = 0; i < LANES; i++)
                dst[p * TILE_COLUMNS + c + i] = i < wide ? from[(ptrdiff_t)i * b_column + (ptrdiff_t)p] : 0;
    }
}

/* Any n columns of B as panels, one behind the other, filled up with zeros to whole vectors. */
static void F(pack_panels)(size_t k, size_t n, const T *b, ptrdiff_t b_row, ptrdiff_t b_column, T *dst)
{
    for (size_t j = 0; j < n; j += TILE_COLUMNS, dst += k * TILE_COLUMNS) {
        const size_t columns = mlopt_gemm_least(n - j, TILE_COLUMNS);
        const size_t vectors = (columns + LANES - 1) / LANES, last = columns - (vectors - 1) * LANES;
        const T *from = b + (ptrdiff_t)j * b_column;
        if (b_row == 1 && b_column != 1) {
            F(pack_transposed)(k, columns, from, b_column, dst);
            continue;
        }
        T *to = dst;
        for (size_t p = 0; p < k; p++, from += b_row, to += TILE_COLUMNS) {
            if (b_column == 1) {
                for (size_t v = 0; v + 1 < vectors; v++)
                    F(store)(to + v * LANES, F(load)(from + v * LANES));
                F(store)(to + (vectors - 1) * LANES, F(load_first)(from + (vectors - 1) * LANES, last));
            } else {
                for (size_t c = 0; c < columns; c++)
                    to[c] = from[(ptrdiff_t)c * b_column];
                for (size_t c = columns; c < vectors * LANES; c++)
                    to[c] = 0;
            }
        }
    }
}

size_t K(gemm_pack)(const mlopt_gemm_blocks *blocks, size_t k, size_t n, const T *b, ptrdiff_t b_row,
                    ptrdiff_t b_column, T *packed)
{
    const size_t columns = (n + TILE_COLUMNS - 1) / TILE_COLUMNS * TILE_COLUMNS;
    const size_t kc = mlopt_gemm_piece(k, blocks->kc, MLOPT_TILE_ROUND);
    for (size_t p = 0; packed && p < k; p += kc)
        F(pack_panels)(mlopt_gemm_least(k - p, kc), n, b + (ptrdiff_t)p * b_row, b_row, b_column, packed + p * columns);
    return columns;
}

void K(gemm_unpack)(const mlopt_gemm_blocks *blocks, size_t k, size_t n, const T *packed, T *b)
{
    const size_t columns = (n + TILE_COLUMNS - 1) / TILE_COLUMNS * TILE_COLUMNS;
    const size_t kc = mlopt_gemm_piece(k, blocks->kc, MLOPT_TILE_ROUND);
    for (size_t first = 0; first < k; first += kc) {
        const size_t length = mlopt_gemm_least(k - first, kc);
        for (size_t p = 0; p < length; p++)
            for (size_t j = 0; j < n; j++) {
                const T *const panel = packed + first * columns + j / TILE_COLUMNS * TILE_COLUMNS * length;
                b[(first + p) * n + j] = panel[p * TILE_COLUMNS + j % TILE_COLUMNS];
            }
    }
}
