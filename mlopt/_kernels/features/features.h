/* Contract of the features family: bars of market data in, vectors of features out.
 *
 * A feature set is a plan: a list of steps, each one kind of computation over nodes.  mlopt/features/plan.py writes
 * plans; a kernel walks one.  The plan is constant and may be shared; everything that changes lies in one state, which
 * may be copied byte by byte (it holds no pointers) and continued by any kernel on any tier, also in mid-stream.
 *
 *   plan    struct mlopt_features_plan, its steps, then their parameters: rows of `lanes` words of 8 bytes, one word a
 *           node, each row an index (int64) or a number (double), in the order named below; behind them, for every
 *           MLOPT_FEATURES_LANES nodes a word whose bit s says that source s is the same value for all of them, and bit
 *           8 + r that result r of any of them is read; at the next multiple of 8 words the same parameters node after
 *           node
 *   state   struct mlopt_features_state, then rings and what steps remember; an index counts words of 8 bytes from its
 *           start.  64-byte aligned, as every offset of a row in it is
 *   values  what steps compute in the current bar; their indices go on where the state ends
 *   ring    the last `capacity` (a power of two) values of one series, stored twice in a row, so that every window is
 *           contiguous; `mask` is capacity - 1
 *
 * Three kernels walk a plan, and give the same bits on one tier:
 *
 *   features_update     one bar of one symbol; the lanes of a vector are nodes of one kind.  The memory of the state
 *                       goes on for the values (plan->words_with_values in all)
 *   features_history    many bars of one symbol, blocks of MLOPT_FEATURES_BLOCK bars in columns; lanes are bars, or
 *                       nodes where a bar needs the one before
 *   features_symbols    one bar of many symbols; lanes are symbols, in groups of MLOPT_FEATURES_LANES that tick
 * together; the others as features_update has them, one after another
 *
 * They advance the state by a bar and write plan->outputs numbers a bar, NaN where the feature has not seen enough
 * bars. Work per bar does not grow with the windows, except for the kinds that go over theirs (deviation, shape, rank,
 * covariance, age: one vector pass), nodes that are computed anew, and the levels of kind extrema (log2 of the window).
 *
 * Domain: every bar must pass mlopt_features_bar_fault.  out is disjoint from the state and needs the alignment of its
 * element only.
 *
 * Accuracy: sums are compensated: what enters and leaves does so without error but for 2^-106 of the largest value that
 * went through, so that errors do not accumulate; where what leaves a window is so much larger than what stays that
 * even this could be seen, the node is computed anew from its ring.  Squares are taken about an earlier value of the
 * series; where cancellation would cost more than 4 digits, the node is computed anew about the latest.  Every feature
 * stays within bound * eps of the reference, relative to the larger of its value and its terms, for any length of
 * stream.  Kind quotient: a quotient whose divisor is 0 is a number of the plan, 0 as in TA-Lib mostly.
 *
 * reference/features.c recomputes every window from its ring by the textbook definition.
 */
#ifndef MLOPT_FEATURES_H
#define MLOPT_FEATURES_H

#include "../signatures.h"

/* Nodes of every step are padded to a multiple of this on all tiers, one layout of the state; and so many symbols share
 * a group. */
#define MLOPT_FEATURES_LANES 8
/* Columns that a bar may have besides its five. */
#define MLOPT_FEATURES_MOST_COLUMNS 64
/* Symbols that features_symbols computes at once at the most. */
#define MLOPT_FEATURES_MOST_LANES 32
/* Bars that features_history computes at once. */
#define MLOPT_FEATURES_BLOCK 128

/* The kinds of step: (name, class, sources, rings, numbers, rows of state, results).  A node's parameters are, in this
 * order, the index of each source's value, (base, mask, window) of each ring, and its numbers.  Kinds of one class are
 * walked alike: elementwise, recurrence (one value after another), window (terms summed over a window).
 *
 *   bar         the series of the current bar (MLOPT_FEATURES_SERIES), then the caller's own columns; no parameters.
 *               The columns stand in the state too, where the header has no place for them
 *   push        x; start:                               writes x to its ring, 0 before bar `start`
 *   lag                                                 x as it was `window` bars ago
 *   linear      a, b; weight, scale, offset:            scale (a + weight b) + offset
 *   product     a, b:                                   a b
 *   distance    a, b; weight, scale:                    scale |a + weight b|
 *   quotient    a, b, c, d; weight, divisor_weight, scale, offset, empty:
 *                                                       scale (a + weight b) / (c + divisor_weight d) + offset,
 *                                                       `empty` where the divisor is 0
 *   logarithm   a, b:                                   log(a / b)
 *   root        a; scale:                               sqrt(scale a)
 *   sum         x; count, inverse, start:               sum of the window, its mean, the sum's rounding error;
 *                                                       inverse is 1 / count
 *   weighted    x, the first and last result of its sum; count, divisor, its inverse, start:
 *                                                       sum weighted 1 (oldest) to count over divisor
 *   moments     x; count, inverse, start:                   mean, then population standard deviation
 *   average     x; alpha, count, divisor, start:        exponential, seeded with the sum of the first count / divisor
 *   adaptive    x, weight; start:                       y += weight (x - y), from the x before bar `start` on
 *   accumulate  x; start:                               running total
 *   sar         high, low; acceleration, maximum, start: Wilder's parabolic stop and reverse
 *   extrema     x; sign, start; then for every level base and mask, for every window level and lag:
 *               the largest sign * value of every window, times sign
 *   deviation   mean; count, inverse:                   mean absolute deviation of the window from `mean`
 *   shape       mean; count, inverse, two factors, an offset: skewness, then excess kurtosis of the window
 *   rank        x; count, inverse:                      rank of x in the window (ties: the mean rank) over count
 *   covariance  mean of x, mean of y; count, inverse:   mean product of deviations, of two rings
 *   age         extreme:                                how many bars ago the window's extreme was, the latest if
 * several output      x; ready:                               writes out, NaN before bar `ready`
 */
#define MLOPT_FEATURES_KINDS                                                                                           \
    KIND(bar, series, 0, 0, 0, 1, 1)                                                                                   \
    KIND(push, push, 1, 1, 1, 0, 0)                                                                                    \
    KIND(lag, lag, 0, 1, 0, 0, 1)                                                                                      \
    KIND(linear, elementwise, 2, 0, 3, 0, 1)                                                                           \
    KIND(product, elementwise, 2, 0, 0, 0, 1)                                                                          \
    KIND(distance, elementwise, 2, 0, 2, 0, 1)                                                                         \
    KIND(quotient, elementwise, 4, 0, 5, 0, 1)                                                                         \
    KIND(logarithm, elementwise, 2, 0, 0, 0, 1)                                                                        \
    KIND(root, elementwise, 1, 0, 1, 0, 1)                                                                             \
    KIND(sum, recurrence, 1, 1, 3, 2, 3)                                                                               \
    KIND(weighted, recurrence, 3, 1, 4, 2, 1)                                                                          \
    KIND(moments, recurrence, 1, 1, 3, 5, 2)                                                                           \
    KIND(average, recurrence, 1, 0, 4, 2, 1)                                                                           \
    KIND(adaptive, recurrence, 2, 0, 1, 2, 1)                                                                          \
    KIND(accumulate, recurrence, 1, 0, 1, 4, 1)                                                                        \
    KIND(sar, recurrence, 2, 0, 3, 12, 1)                                                                              \
    KIND(extrema, extrema, 1, 1, 2, 0, 0)                                                                              \
    KIND(deviation, window, 1, 1, 2, 0, 1)                                                                             \
    KIND(shape, window, 1, 1, 5, 0, 2)                                                                                 \
    KIND(rank, window, 1, 1, 2, 0, 1)                                                                                  \
    KIND(covariance, window, 2, 2, 2, 0, 1)                                                                            \
    KIND(age, age, 1, 1, 0, 0, 1)                                                                                      \
    KIND(output, output, 1, 0, 1, 0, 0)

/* The series every bar gives: (name, first bar that has it). */
#define MLOPT_FEATURES_SERIES                                                                                          \
    SERIES(zero, 0)                                                                                                    \
    SERIES(open, 0)                                                                                                    \
    SERIES(high, 0)                                                                                                    \
    SERIES(low, 0)                                                                                                     \
    SERIES(close, 0)                                                                                                   \
    SERIES(volume, 0)                                                                                                  \
    SERIES(typical, 0)        /* (high + low + close) / 3 */                                                           \
    SERIES(range, 0)          /* high - low */                                                                         \
    SERIES(body, 0)           /* close - open */                                                                       \
    SERIES(upper_shadow, 0)   /* high - max(open, close) */                                                            \
    SERIES(lower_shadow, 0)   /* min(open, close) - low */                                                             \
    SERIES(money, 0)          /* typical * volume */                                                                   \
    SERIES(signed_volume, 0)  /* volume with the sign of change; the first bar's volume */                             \
    SERIES(change, 1)         /* close - previous close */                                                             \
    SERIES(gain, 1)           /* max(change, 0) */                                                                     \
    SERIES(loss, 1)           /* max(-change, 0) */                                                                    \
    SERIES(true_range, 1)     /* max(high, previous close) - min(low, previous close) */                               \
    SERIES(buying, 1)         /* close - min(low, previous close) */                                                   \
    SERIES(inflow, 1)         /* money where typical rose, else 0 */                                                   \
    SERIES(outflow, 1)        /* money where typical fell, else 0 */                                                   \
    SERIES(plus_movement, 1)  /* rise of high where positive and more than the fall of low, else 0 */                  \
    SERIES(minus_movement, 1) /* fall of low where positive and more than the rise of high, else 0 */

enum mlopt_features_kind {
#define KIND(name, class, sources, rings, numbers, states, results) MLOPT_FEATURES_##name,
    MLOPT_FEATURES_KINDS
#undef KIND
        MLOPT_FEATURES_KIND_COUNT
};

enum mlopt_features_series {
#define SERIES(name, start) MLOPT_SERIES_##name,
    MLOPT_FEATURES_SERIES
#undef SERIES
        MLOPT_SERIES_COUNT
};

typedef struct mlopt_features_step {
    int64_t kind;
    int64_t lanes;      /* a multiple of MLOPT_FEATURES_LANES */
    int64_t used;       /* nodes */
    int64_t parameters; /* word of the plan: rows of `lanes` */
    int64_t values;     /* word: rows of `lanes` results */
    int64_t state;      /* word of the state: rows of `lanes` */
    int64_t levels;     /* kind extrema */
    int64_t windows;    /* kind extrema */
} mlopt_features_step;

typedef struct mlopt_features_plan {
    int64_t words;             /* of the plan */
    int64_t state_words;       /* of the state: where the values begin */
    int64_t words_with_values; /* of both */
    int64_t outputs;
    int64_t columns; /* the caller's, behind the five of a bar */
    int64_t step_count;
    int64_t unused[2];
    mlopt_features_step steps[];
} mlopt_features_plan;

typedef struct mlopt_features_state {
    int64_t bars;      /* seen so far */
    int64_t timestamp; /* of the last, where the caller gave one: kept here, not looked at */
    int64_t nothing;   /* a word that stays 0 */
    int64_t clock; /* where rings are: the next value comes to clock & mask.  Goes on with every bar; the same as bars
                    * until symbols are interleaved, which need the same clock */
    int64_t unused[4];
    double last[8], before[8]; /* the last bar and the one before it */
} mlopt_features_state;

#define MLOPT_FEATURES_HEADER_WORDS ((int64_t)(sizeof(mlopt_features_state) / 8))
#define MLOPT_FEATURES_NOTHING 2 /* words of the state where these begin */
#define MLOPT_FEATURES_CLOCK 3
#define MLOPT_FEATURES_LAST 8
#define MLOPT_FEATURES_BEFORE 16

/* What is wrong with a bar (open, high, low, close, volume, then columns). */
typedef enum mlopt_bar_fault {
    MLOPT_BAR_GOOD,
    MLOPT_BAR_PRICE,  /* a price outside [1e-100, 1e100], or not a number */
    MLOPT_BAR_VOLUME, /* volume outside [0, 1e100], or not a number */
    MLOPT_BAR_RANGE,  /* high below low */
    MLOPT_BAR_BODY,   /* open or close outside [low, high] */
    MLOPT_BAR_COLUMN  /* a column outside [-1e100, 1e100], or not a number */
} mlopt_bar_fault;

static inline mlopt_bar_fault mlopt_features_bar_fault(const double *bar, int64_t columns)
{
    const double open = bar[0], high = bar[1], low = bar[2], close = bar[3], volume = bar[4];
    for (int64_t i = 5; i < 5 + columns; i++)
        if (!(bar[i] >= -1e100 && bar[i] <= 1e100))
            return MLOPT_BAR_COLUMN;
    if ((open >= low) & (open <= high) & (close >= low) & (close <= high) & (low >= 1e-100) & (high <= 1e100) &
        (volume >= 0) & (volume <= 1e100))
        return MLOPT_BAR_GOOD;
    for (int i = 0; i < 4; i++)
        if (!(bar[i] >= 1e-100 && bar[i] <= 1e100))
            return MLOPT_BAR_PRICE;
    if (!(volume >= 0 && volume <= 1e100))
        return MLOPT_BAR_VOLUME;
    return high < low ? MLOPT_BAR_RANGE : MLOPT_BAR_BODY;
}

/* The parameters of a step's nodes, node after node; `rows` are those of its kind. */
static inline const double *mlopt_features_nodes(const mlopt_features_step *step, const double *parameters,
                                                 int64_t rows)
{
    const int64_t words = rows * step->lanes + step->lanes / MLOPT_FEATURES_LANES + 2 * (step->levels + step->windows);
    return parameters + (words + 7) / 8 * 8;
}

/* Rows of state of a recurrence. */
static inline int64_t mlopt_features_rows(int64_t kind)
{
    static const int8_t rows[] = {
#define KIND(name, class, sources, rings, numbers, states, results) states,
        MLOPT_FEATURES_KINDS
#undef KIND
    };
    return kind == MLOPT_FEATURES_bar ? 0 : rows[kind];
}

/* Rows at the end of a kind's state that hold what rows at its beginning were before the last bar. */
static inline int64_t mlopt_features_rows_before(int64_t kind)
{
    switch (kind) {
    case MLOPT_FEATURES_average:
    case MLOPT_FEATURES_adaptive:
        return 1;
    case MLOPT_FEATURES_accumulate:
        return 2;
    case MLOPT_FEATURES_sar:
        return 6;
    default:
        return 0;
    }
}

/* The caller's columns of the last bar. */
static inline double *mlopt_features_columns(const mlopt_features_plan *plan, void *state)
{
    return (double *)state + plan->steps[0].state + MLOPT_SERIES_COUNT;
}

/* Takes back the last bar as far as the reference tier needs it, which finds everything else in the
 * rings: the count of bars, the bar before, averages and totals. */
static inline void mlopt_features_step_back(const mlopt_features_plan *plan, void *state)
{
    mlopt_features_state *header = (mlopt_features_state *)state;
    header->bars--;
    header->clock--;
    for (int i = 0; i < 5; i++)
        header->last[i] = header->before[i];
    for (int64_t s = 0; s < plan->step_count; s++) {
        const mlopt_features_step *step = &plan->steps[s];
        double *memory = (double *)state + step->state;
        const int64_t words = mlopt_features_rows_before(step->kind) * step->lanes;
        for (int64_t i = 0; i < words; i++)
            memory[i] = memory[i + words];
    }
}

/* Words between the columns of features_history: not a power of two, or columns would share cache sets. */
#define MLOPT_FEATURES_COLUMN (MLOPT_FEATURES_BLOCK + 8)

/* Bars before a block that features_history keeps of every level of an extrema step, in whole vectors. */
static inline int64_t mlopt_features_prefix(const mlopt_features_plan *plan, const mlopt_features_step *step)
{
    const int64_t *mask =
        (const int64_t *)plan + step->parameters + 6 * step->lanes + step->lanes / MLOPT_FEATURES_LANES + step->levels;
    int64_t most = 0;
    for (int64_t k = 0; k < step->levels; k++)
        most = mask[k] > most ? mask[k] : most;
    return (most + 7) / 8 * 8;
}

/* The words of workspace that each kernel needs. */
static inline int64_t mlopt_features_history_words(const mlopt_features_plan *plan)
{
    const int64_t values = plan->words_with_values - plan->state_words;
    int64_t words = values * (1 + MLOPT_FEATURES_COLUMN) + plan->state_words / 8 + 8 + 5 * MLOPT_FEATURES_COLUMN;
    int64_t levels = 0;
    for (int64_t s = 0; s < plan->step_count; s++) {
        const mlopt_features_step *step = &plan->steps[s];
        const int64_t *mask = (const int64_t *)plan + step->parameters + 2 * step->lanes;
        for (int64_t i = 0; i < step->used && step->kind == MLOPT_FEATURES_push; i++)
            words += mask[i] + 8 + MLOPT_FEATURES_COLUMN;
        if (step->kind == MLOPT_FEATURES_extrema) {
            const int64_t needed = step->levels * (mlopt_features_prefix(plan, step) + MLOPT_FEATURES_COLUMN);
            levels = needed > levels ? needed : levels;
        }
    }
    return words + levels;
}

static inline int64_t mlopt_features_symbols_words(const mlopt_features_plan *plan)
{
    const int64_t values = (plan->words_with_values - plan->state_words) * MLOPT_FEATURES_MOST_LANES;
    const int64_t states = plan->words_with_values + plan->state_words * MLOPT_FEATURES_LANES;
    return values > states ? values : states;
}

#endif
