/* Blocking and packing for one element type.
 *
 * B is packed in panels as wide as a tile, [k][columns], filled up with zeros to whole vectors; a block
 * of kc x nc stays in L2.  A is packed by making its rows contiguous; a tile's rows stay in L1 while
 * they meet all columns of the block of B.  An operand that is contiguous already is packed only where
 * that pays. */

#define TILE_COLUMNS (MLOPT_TILE_VECTORS * LANES)

typedef struct F(operand) {
    const T *at;
    ptrdiff_t row, column;
} F(operand);

/* dst[i * dst_row + p] = a[i, p] */
static void K(pack_rows)(size_t rows, size_t k, F(operand) a, T *dst, size_t dst_row)
{
    if (a.column == 1) {
        for (size_t i = 0; i < rows; i++) {
            const T *from = a.at + (ptrdiff_t)i * a.row;
            T *to = dst + i * dst_row;
            size_t p = 0;
            for (; p + LANES <= k; p += LANES)
                F(store)(to + p, F(load)(from + p));
            if (p < k)
                F(store_first)(to + p, k - p, F(load_first)(from + p, k - p));
        }
        return;
    }
    for (size_t i = 0; i < rows; i += 8) {
        const size_t together = rows - i < 8 ? rows - i : 8;
        const T *from = a.at + (ptrdiff_t)i * a.row;
        T *to = dst + i * dst_row;
        for (size_t p = 0; p < k; p++, from += a.column)
            if (together == 8) {
                MLOPT_UNROLL_FULLY
                for (size_t r = 0; r < 8; r++)
                    to[r * dst_row + p] = from[(ptrdiff_t)r * a.row];
            } else {
                for (size_t r = 0; r < together; r++)
                    to[r * dst_row + p] = from[(ptrdiff_t)r * a.row];
            }
    }
}

/* Panels of TILE_COLUMNS columns, one behind the other. */
static void K(pack_panels)(size_t k, size_t n, F(operand) b, T *dst)
{
    for (size_t j = 0; j < n; j += TILE_COLUMNS, dst += k * TILE_COLUMNS) {
        const size_t columns = n - j < TILE_COLUMNS ? n - j : TILE_COLUMNS;
        const size_t filled = (columns + LANES - 1) / LANES * LANES;
        const T *from = b.at + (ptrdiff_t)j * b.column;
        T *to = dst;
        if (b.column == 1 && columns == TILE_COLUMNS) {
            for (size_t p = 0; p < k; p++, from += b.row, to += TILE_COLUMNS) {
                MLOPT_UNROLL_FULLY
                for (size_t v = 0; v < MLOPT_TILE_VECTORS; v++)
                    F(store)(to + v * LANES, F(load)(from + v * LANES));
            }
        } else if (b.column == 1) {
            for (size_t p = 0; p < k; p++, from += b.row, to += TILE_COLUMNS) {
                size_t c = 0;
                for (; c + LANES <= columns; c += LANES)
                    F(store)(to + c, F(load)(from + c));
                if (c < columns)
                    F(store)(to + c, F(load_first)(from + c, columns - c));
            }
        } else {
            for (size_t p = 0; p < k; p++, from += b.row, to += TILE_COLUMNS) {
                for (size_t c = 0; c < columns; c++)
                    to[c] = from[(ptrdiff_t)c * b.column];
                for (size_t c = columns; c < filled; c++)
                    to[c] = 0;
            }
        }
    }
}

/* One block of C.  panel: elements between two panels of B; last_edge: MLOPT_TILE_PADDED for packed B, else
 * MLOPT_TILE_CUT. */
static void K(block)(size_t m, size_t n, size_t k, F(operand) a, F(operand) b, size_t panel, int last_edge, T *c,
                     ptrdiff_t c_row, ptrdiff_t c_column, int accumulate)
{
    T buffer[MLOPT_TILE_ROWS * TILE_COLUMNS];
    F(tile_arguments) t = {.k = k, .a_row = a.row, .b_row = b.row, .c_row = c_row, .accumulate = accumulate};
    for (size_t i = 0; i < m;) {
        size_t rows = MLOPT_TILE_ROWS;
        int size = MLOPT_TILE_ROWS == 8 ? 3 : 2;
        for (; rows > m - i; rows /= 2)
            size--;
        t.a = a.at + (ptrdiff_t)i * a.row;
        for (size_t j = 0; j < n; j += TILE_COLUMNS) {
            const size_t columns = n - j < TILE_COLUMNS ? n - j : TILE_COLUMNS;
            const size_t vectors = (columns + LANES - 1) / LANES;
            t.last = columns - (vectors - 1) * LANES;
            t.b = b.at + j / TILE_COLUMNS * panel;
            F(tile_function) *const compute =
                F(tiles)[size][vectors - 1][t.last == LANES ? MLOPT_TILE_FULL : last_edge];
            T *const corner = c + (ptrdiff_t)i * c_row + (ptrdiff_t)j * c_column;
            if (c_column == 1) {
                t.c = corner;
                compute(&t);
                continue;
            }
            t.c = buffer;
            t.c_row = (ptrdiff_t)TILE_COLUMNS;
            t.accumulate = 0;
            compute(&t);
            for (size_t r = 0; r < rows; r++)
                for (size_t s = 0; s < columns; s++) {
                    T *const element = corner + (ptrdiff_t)r * c_row + (ptrdiff_t)s * c_column;
                    *element = accumulate ? *element + buffer[r * TILE_COLUMNS + s] : buffer[r * TILE_COLUMNS + s];
                }
        }
        i += rows;
    }
}

/* One row of C from dot products: A's row and B's columns are contiguous along k. */
MLOPT_INLINE void F(dot_columns)(const size_t columns, size_t k, const T *a, const T *b, ptrdiff_t b_column, T *c,
                                 ptrdiff_t c_column, int accumulate)
{
    V sums[4][2];
    MLOPT_UNROLL_FULLY
    for (size_t j = 0; j < columns; j++)
        sums[j][0] = sums[j][1] = F(zero)();
    size_t p = 0;
    for (; p + 2 * LANES <= k; p += 2 * LANES) {
        const V first = F(load)(a + p), second = F(load)(a + p + LANES);
        MLOPT_UNROLL_FULLY
        for (size_t j = 0; j < columns; j++) {
            const T *const column = b + (ptrdiff_t)j * b_column + p;
            sums[j][0] = F(fma)(first, F(load)(column), sums[j][0]);
            sums[j][1] = F(fma)(second, F(load)(column + LANES), sums[j][1]);
        }
    }
    for (; p < k; p += LANES) {
        const size_t left = k - p < LANES ? k - p : LANES;
        const V x = F(load_first)(a + p, left);
        MLOPT_UNROLL_FULLY
        for (size_t j = 0; j < columns; j++)
            sums[j][0] = F(fma)(x, F(load_first)(b + (ptrdiff_t)j * b_column + p, left), sums[j][0]);
    }
    MLOPT_UNROLL_FULLY
    for (size_t j = 0; j < columns; j++) {
        const T sum = F(reduce_add)(F(add)(sums[j][0], sums[j][1]));
        T *const element = c + (ptrdiff_t)j * c_column;
        *element = accumulate ? *element + sum : sum;
    }
}

static void K(dots)(const MLOPT_JOIN(mlopt_gemm_job_, MLOPT_REAL) *job)
{
    size_t j = 0;
    for (; j + 4 <= job->n; j += 4)
        for (size_t i = 0; i < job->m; i++)
            F(dot_columns)(4, job->k, job->a + (ptrdiff_t)i * job->a_row, job->b + (ptrdiff_t)j * job->b_column,
                           job->b_column, job->c + (ptrdiff_t)i * job->c_row + (ptrdiff_t)j * job->c_column,
                           job->c_column, job->accumulate);
    for (; j < job->n; j++)
        for (size_t i = 0; i < job->m; i++)
            F(dot_columns)(1, job->k, job->a + (ptrdiff_t)i * job->a_row, job->b + (ptrdiff_t)j * job->b_column,
                           job->b_column, job->c + (ptrdiff_t)i * job->c_row + (ptrdiff_t)j * job->c_column,
                           job->c_column, job->accumulate);
}

void K(gemm)(const MLOPT_JOIN(mlopt_gemm_job_, MLOPT_REAL) *given)
{
    MLOPT_JOIN(mlopt_gemm_job_, MLOPT_REAL) job = *given;
    if (job.k == 0) {
        for (size_t i = 0; !job.accumulate && i < job.m; i++)
            for (size_t j = 0; j < job.n; j++)
                job.c[(ptrdiff_t)i * job.c_row + (ptrdiff_t)j * job.c_column] = 0;
        return;
    }
    /* vectors run along n: C^T = B^T A^T where C is contiguous the other way, or is one column */
    if (job.n == 1 || (job.m != 1 && job.c_column != 1 && job.c_row == 1)) {
        job.m = given->n, job.n = given->m;
        job.a = given->b, job.a_row = given->b_column, job.a_column = given->b_row;
        job.b = given->a, job.b_row = given->a_column, job.b_column = given->a_row;
        job.c_row = given->c_column, job.c_column = given->c_row;
    }
    /* the stride of a dimension of one element means nothing */
    if (job.n == 1)
        job.b_column = job.b_row == 1 ? 0 : 1, job.c_column = 1;
    if (job.k == 1)
        job.a_column = 1, job.b_row = 0;
    if (job.m <= MLOPT_GEMM_DOT_ROWS && job.a_column == 1 && job.b_row == 1 && job.b_column != 1) {
        K(dots)(&job);
        return;
    }
    if (job.n == 1)
        job.b_column = 1;

    const size_t kc = mlopt_gemm_least(job.k, job.blocks->kc), nc = mlopt_gemm_least(job.n, job.blocks->nc);
    const size_t large = 256;
    const int pack_b = job.b_column != 1 || (job.m > 4 * MLOPT_TILE_ROWS && (job.n > large || job.k > large));
    const int pack_a = job.a_column != 1 || (job.n > 4 * TILE_COLUMNS && job.m > large && job.k > large);
    const size_t mc = pack_a ? mlopt_gemm_least(job.m, job.blocks->mc) : job.m;
    const size_t a_packed_row = mlopt_gemm_packed_row(kc, sizeof(T));
    T *const b_packed = job.workspace;
    const size_t columns = (nc + TILE_COLUMNS - 1) / TILE_COLUMNS * TILE_COLUMNS;
    T *const a_packed = b_packed + (kc * columns + 64 / sizeof(T) - 1) / (64 / sizeof(T)) * (64 / sizeof(T));

    for (size_t p = 0; p < job.k; p += kc) {
        const size_t k = mlopt_gemm_least(job.k - p, kc);
        const int accumulate = job.accumulate || p > 0;
        for (size_t i = 0; i < job.m; i += mc) {
            const size_t m = mlopt_gemm_least(job.m - i, mc);
            F(operand) a = {job.a + (ptrdiff_t)i * job.a_row + (ptrdiff_t)p * job.a_column, job.a_row, job.a_column};
            if (pack_a) {
                K(pack_rows)(m, k, a, a_packed, a_packed_row);
                a = (F(operand)){a_packed, (ptrdiff_t)a_packed_row, 1};
            }
            for (size_t j = 0; j < job.n; j += nc) {
                const size_t n = mlopt_gemm_least(job.n - j, nc);
                const T *from = job.b + (ptrdiff_t)p * job.b_row + (ptrdiff_t)j * job.b_column;
                F(operand) b = {from, job.b_row, job.b_column};
                size_t panel = TILE_COLUMNS;
                if (pack_b) {
                    K(pack_panels)(k, n, b, b_packed);
                    b = (F(operand)){b_packed, (ptrdiff_t)TILE_COLUMNS, 1};
                    panel *= k;
                }
                K(block)(m, n, k, a, b, panel, pack_b ? MLOPT_TILE_PADDED : MLOPT_TILE_CUT,
                         job.c + (ptrdiff_t)i * job.c_row + (ptrdiff_t)j * job.c_column, job.c_row, job.c_column,
                         accumulate);
            }
        }
    }
}

#undef TILE_COLUMNS
