/* Reductions and row functions for one element type. */

#define ACCUMULATORS 8
/* Elements whose terms are added one after the other: 16 to an accumulator's lane. */
#define BLOCK (16 * ACCUMULATORS * LANES)

/* Adds accumulators in a fixed tree. */
MLOPT_INLINE V F(tree_add)(V sums[ACCUMULATORS])
{
    MLOPT_UNROLL_FULLY
    for (int width = ACCUMULATORS / 2; width > 0; width /= 2) {
        MLOPT_UNROLL_FULLY
        for (int j = 0; j < width; j++)
            sums[j] = F(add)(sums[j], sums[j + width]);
    }
    return sums[0];
}

/* Sum over at most a block.  TERM(V accumulator, i) and TERM_FIRST add the terms at i. */
#define BLOCK_SUM(STEP, STEP_FIRST)                                                                                    \
    V sums[ACCUMULATORS];                                                                                              \
    MLOPT_UNROLL_FULLY                                                                                                 \
    for (int j = 0; j < ACCUMULATORS; j++)                                                                             \
        sums[j] = F(zero)();                                                                                           \
    size_t i = 0;                                                                                                      \
    for (; i + ACCUMULATORS * LANES <= n; i += ACCUMULATORS * LANES) {                                                 \
        MLOPT_UNROLL_FULLY                                                                                             \
        for (int j = 0; j < ACCUMULATORS; j++)                                                                         \
            sums[j] = STEP(sums[j], i + j * LANES);                                                                    \
    }                                                                                                                  \
    for (; i + LANES <= n; i += LANES)                                                                                 \
        sums[0] = STEP(sums[0], i);                                                                                    \
    if (i < n)                                                                                                         \
        sums[1] = STEP_FIRST(sums[1], i);                                                                              \
    return F(reduce_add)(F(tree_add)(sums));

static T F(sum_block)(size_t n, const T *x)
{
#define STEP(acc, at) F(add)(acc, F(load)(x + (at)))
#define STEP_FIRST(acc, at) F(add)(acc, F(load_first)(x + (at), n - (at)))
    BLOCK_SUM(STEP, STEP_FIRST)
#undef STEP
#undef STEP_FIRST
}

static T F(dot_block)(size_t n, const T *x, const T *y)
{
#define STEP(acc, at) F(fma)(F(load)(x + (at)), F(load)(y + (at)), acc)
#define STEP_FIRST(acc, at) F(fma)(F(load_first)(x + (at), n - (at)), F(load_first)(y + (at), n - (at)), acc)
    BLOCK_SUM(STEP, STEP_FIRST)
#undef STEP
#undef STEP_FIRST
}

/* Sum of (x - center)^2; the sum of x - center, which rounding leaves, goes to *rest. */
static T F(squares_block)(size_t n, const T *x, T center, T *rest)
{
    const V mean = F(set1)(center);
    V squares[4], rests[4];
    MLOPT_UNROLL_FULLY
    for (int j = 0; j < 4; j++)
        squares[j] = rests[j] = F(zero)();
    size_t i = 0;
    for (; i + 4 * LANES <= n; i += 4 * LANES) {
        MLOPT_UNROLL_FULLY
        for (int j = 0; j < 4; j++) {
            const V d = F(sub)(F(load)(x + i + j * LANES), mean);
            squares[j] = F(fma)(d, d, squares[j]);
            rests[j] = F(add)(rests[j], d);
        }
    }
    for (; i < n; i += LANES) {
        const size_t left = n - i < LANES ? n - i : LANES;
        const V d = F(sub)(F(load_first_or)(x + i, left, mean), mean);
        squares[0] = F(fma)(d, d, squares[0]);
        rests[0] = F(add)(rests[0], d);
    }
    *rest = F(reduce_add)(F(add)(F(add)(rests[0], rests[2]), F(add)(rests[1], rests[3])));
    return F(reduce_add)(F(add)(F(add)(squares[0], squares[2]), F(add)(squares[1], squares[3])));
}

/* Adds block sums pairwise while they arrive: level l holds the sum of 2^l blocks. */
typedef struct F(pairwise) {
    size_t blocks;
    T level[64];
} F(pairwise);

MLOPT_INLINE void F(pairwise_add)(F(pairwise) * p, T block)
{
    int level = 0;
    for (size_t full = p->blocks; full & 1; full >>= 1)
        block = p->level[level++] + block;
    p->level[level] = block;
    p->blocks++;
}

MLOPT_INLINE T F(pairwise_total)(const F(pairwise) * p)
{
    T total = 0;
    int level = 0;
    for (size_t full = p->blocks; full; full >>= 1, level++)
        if (full & 1)
            total = p->level[level] + total;
    return total;
}

T K(sum)(size_t n, const T *x)
{
    if (n <= BLOCK)
        return F(sum_block)(n, x);
    F(pairwise) sums;
    sums.blocks = 0;
    for (size_t i = 0; i < n; i += BLOCK)
        F(pairwise_add)(&sums, F(sum_block)(n - i < BLOCK ? n - i : BLOCK, x + i));
    return F(pairwise_total)(&sums);
}

T K(dot)(size_t n, const T *x, const T *y)
{
    if (n <= BLOCK)
        return F(dot_block)(n, x, y);
    F(pairwise) sums;
    sums.blocks = 0;
    for (size_t i = 0; i < n; i += BLOCK) {
        const size_t block = n - i < BLOCK ? n - i : BLOCK;
        F(pairwise_add)(&sums, F(dot_block)(block, x + i, y + i));
    }
    return F(pairwise_total)(&sums);
}

void K(moments)(size_t n, const T *x, T *mean, T *squares)
{
    T total_mean = 0, total_squares = 0;
    for (size_t done = 0; done < n;) {
        const size_t block = n - done < BLOCK ? n - done : BLOCK;
        T block_mean = F(sum_block)(block, x + done) / (T)block, rest;
        T block_squares = F(squares_block)(block, x + done, block_mean, &rest);
        block_squares -= rest * rest / (T)block;
        block_mean += rest / (T)block;
        if (done == 0) {
            total_mean = block_mean;
            total_squares = block_squares;
        } else {
            const T difference = block_mean - total_mean, all = (T)(done + block);
            total_mean += difference * ((T)block / all);
            total_squares += block_squares + difference * difference * ((T)done / all * (T)block);
        }
        done += block;
    }
    *mean = n ? total_mean : (T)NAN;
    *squares = n ? total_squares : (T)NAN;
}

#define EXTREME(name, word, start)                                                                                     \
    T K(name)(size_t n, const T *x)                                                                                    \
    {                                                                                                                  \
        V best[4];                                                                                                     \
        MLOPT_UNROLL_FULLY                                                                                             \
        for (int j = 0; j < 4; j++)                                                                                    \
            best[j] = F(set1)(start);                                                                                  \
        M nan = F(unordered)(best[0], best[0]);                                                                        \
        size_t i = 0;                                                                                                  \
        for (; i + 4 * LANES <= n; i += 4 * LANES) {                                                                   \
            M first, second;                                                                                           \
            const V x0 = F(load)(x + i), x1 = F(load)(x + i + LANES);                                                  \
            const V x2 = F(load)(x + i + 2 * LANES), x3 = F(load)(x + i + 3 * LANES);                                  \
            first = F(unordered)(x0, x1);                                                                              \
            second = F(unordered)(x2, x3);                                                                             \
            best[0] = F(word)(x0, best[0]);                                                                            \
            best[1] = F(word)(x1, best[1]);                                                                            \
            best[2] = F(word)(x2, best[2]);                                                                            \
            best[3] = F(word)(x3, best[3]);                                                                            \
            nan = F(mask_or)(nan, F(mask_or)(first, second));                                                          \
        }                                                                                                              \
        for (; i < n; i += LANES) {                                                                                    \
            const V value = n - i < LANES ? F(load_first_or)(x + i, n - i, F(set1)(start)) : F(load)(x + i);           \
            nan = F(mask_or)(nan, F(unordered)(value, value));                                                         \
            best[0] = F(word)(value, best[0]);                                                                         \
        }                                                                                                              \
        if (F(any)(nan))                                                                                               \
            return (T)NAN;                                                                                             \
        return F(reduce_##word)(F(word)(F(word)(best[0], best[1]), F(word)(best[2], best[3])));                        \
    }

EXTREME(min, min, (T)INFINITY)
EXTREME(max, max, (T)-INFINITY)

MLOPT_INLINE size_t F(find)(size_t n, const T *x, T value)
{
    const V wanted = F(set1)(value);
    const int nan = value != value;
    for (size_t i = 0; i < n; i += LANES) {
        const size_t left = n - i < LANES ? n - i : LANES;
        const V v = F(load_first)(x + i, left);
        const uint32_t hits = F(bits)(nan ? F(unordered)(v, v) : F(eq)(v, wanted)) & (uint32_t)((1ull << left) - 1);
        if (hits)
            return i + (size_t)__builtin_ctz(hits);
    }
    return n;
}

/* The extreme is found block by block; only the winning block is searched for its place. */
size_t K(argmax)(size_t n, const T *x)
{
    size_t best_block = 0;
    T best = x[0];
    for (size_t i = 0; i < n; i += BLOCK) {
        const T block = K(max)(n - i < BLOCK ? n - i : BLOCK, x + i);
        if (block != block || block > best) {
            best = block;
            best_block = i;
            if (block != block)
                break;
        }
    }
    return best_block + F(find)(n - best_block, x + best_block, best);
}

/* out = exp(x - shift) */
static void F(exp_shifted)(size_t n, const T *x, T shift, T *out)
{
    const V by = F(set1)(shift);
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        F(store)(out + i, F(exp)(F(sub)(F(load)(x + i), by)));
    if (i < n)
        F(store_first)(out + i, n - i, F(exp)(F(sub)(F(load_first_or)(x + i, n - i, by), by)));
}

void K(softmax)(size_t n, const T *x, T *out)
{
    if (n == 0)
        return;
    F(exp_shifted)(n, x, K(max)(n, x), out);
    const T total = K(sum)(n, out);
    K(divide)(n, out, 1, &total, 0, out);
}

T K(logsumexp)(size_t n, const T *x)
{
    if (n == 0)
        return (T)-INFINITY;
    const T largest = K(max)(n, x);
    if (!(largest - largest == 0)) /* an infinity or NaN */
        return largest;
    T terms[256];
    F(pairwise) sums;
    sums.blocks = 0;
    for (size_t i = 0; i < n; i += 256) {
        const size_t block = n - i < 256 ? n - i : 256;
        F(exp_shifted)(block, x + i, largest, terms);
        F(pairwise_add)(&sums, F(sum_block)(block, terms));
    }
    return largest + (T)log((double)F(pairwise_total)(&sums));
}

#undef ACCUMULATORS
#undef BLOCK
#undef BLOCK_SUM
#undef EXTREME
