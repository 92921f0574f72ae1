/* Contract of the features family: one bar of market data in, a vector of features out.
 *
 * A feature set is a plan: a list of steps, each one kind of computation over lanes, all lanes of a
 * step advancing in one vector operation.  mlopt/features/plan.py writes plans; a kernel walks one.
 * The plan is constant and may be shared; everything that changes lies in one state block, which may
 * be copied byte by byte (it holds no pointers) and continued on any tier, also in mid-stream.
 *
 *   plan    struct mlopt_features_plan, its steps, then their parameters: rows of `lanes` words of 8
 *           bytes, each row an index (int64) or a number (double) per lane, in the order named below
 *   state   struct mlopt_features_state, then values, step states and rings; an index counts words
 *           of 8 bytes from its start.  64-byte aligned, as every offset of a row in it is
 *   ring    the last `capacity` (a power of two) values of one series, stored twice in a row, so
 *           that every window is contiguous; `mask` is capacity - 1
 *
 * features_update advances the state by one bar and writes plan->outputs numbers to out, NaN where
 * the feature has not seen enough bars.  Work per bar does not grow with the windows, except for
 * kind deviation (one vector pass) and the levels of kind extrema (log2 of the window).
 *
 * Domain: the bar must pass mlopt_features_bar_fault.  out is disjoint from the state and needs the
 * alignment of its element only.
 *
 * Accuracy: sums are compensated, and replaced once per window length by a sum that only ever added
 * the values now in the window, so that errors neither accumulate nor survive what caused them.
 * Squares are taken about a value of the series at most two windows old; where cancellation would
 * still cost more than 4 digits, the lane is computed anew.  Every feature stays within
 * bound * eps of the reference, relative to the larger of its value and its terms, for any length
 * of stream.  Kind quotient: a quotient whose divisor is 0 is 0, as in TA-Lib.
 *
 * reference/features.c recomputes every window from its ring by the textbook definition.
 */
#ifndef MLOPT_FEATURES_H
#define MLOPT_FEATURES_H

#include "../signatures.h"

/* Lanes of every step are padded to a multiple of this on all tiers: one layout of the state. */
#define MLOPT_FEATURES_LANES 8

/* The kinds of step: (name, rows of parameters per lane, rows of state per lane).
 *
 *   bar         the series of the current bar (MLOPT_FEATURES_SERIES); no parameters
 *   push        source, base, mask, start: writes values to rings, 0 before bar `start`
 *   lag         base, mask, lag
 *   linear      a, b, weight, scale, offset:                scale (a + weight b) + offset
 *   product     a, b:                                       a b
 *   quotient    a, b, c, d, weight, divisor_weight, scale, offset:
 *                                                           scale (a + weight b) / (c + divisor_weight d) + offset
 *   logarithm   a, b:                                       log(a / b)
 *   root        a, scale:                                   sqrt(scale a)
 *   sum         source, base, mask, window, count, divisor, start: sum of the window over divisor
 *   weighted    as sum, and the slot of the window's plain sum: sum weighted 1 (oldest) to count
 *   moments     source, base, mask, window, count, start:   mean, then population standard deviation
 *   average     source, alpha, count, start:                exponential, seeded with the mean of the first count
 *   extrema     source, sign, start, base, mask; then for every level base and mask, for every window level and lag:
 *               the largest sign * value of every window, times sign
 *   deviation   mean, base, mask, window:                   mean absolute deviation from `mean`
 *   accumulate  source, start:                              running total
 *   output      source, ready:                              writes out, NaN before bar `ready`
 */
#define MLOPT_FEATURES_KINDS                                                                                           \
    KIND(bar, 0, 0)                                                                                                    \
    KIND(push, 4, 0)                                                                                                   \
    KIND(lag, 3, 0)                                                                                                    \
    KIND(linear, 5, 0)                                                                                                 \
    KIND(product, 2, 0)                                                                                                \
    KIND(quotient, 8, 0)                                                                                               \
    KIND(logarithm, 2, 0)                                                                                              \
    KIND(root, 2, 0)                                                                                                   \
    KIND(sum, 7, 6)                                                                                                    \
    KIND(weighted, 8, 5)                                                                                               \
    KIND(moments, 6, 11)                                                                                               \
    KIND(average, 4, 2)                                                                                                \
    KIND(extrema, 5, 0)                                                                                                \
    KIND(deviation, 4, 0)                                                                                              \
    KIND(accumulate, 2, 4)                                                                                             \
    KIND(output, 2, 0)

/* The series every bar gives: (name, first bar that has it). */
#define MLOPT_FEATURES_SERIES                                                                                          \
    SERIES(zero, 0)                                                                                                    \
    SERIES(open, 0)                                                                                                    \
    SERIES(high, 0)                                                                                                    \
    SERIES(low, 0)                                                                                                     \
    SERIES(close, 0)                                                                                                   \
    SERIES(volume, 0)                                                                                                  \
    SERIES(typical, 0)       /* (high + low + close) / 3 */                                                            \
    SERIES(range, 0)         /* high - low */                                                                          \
    SERIES(body, 0)          /* close - open */                                                                        \
    SERIES(upper_shadow, 0)  /* high - max(open, close) */                                                             \
    SERIES(lower_shadow, 0)  /* min(open, close) - low */                                                              \
    SERIES(money, 0)         /* typical * volume */                                                                    \
    SERIES(signed_volume, 0) /* volume with the sign of change; the first bar's volume */                              \
    SERIES(change, 1)        /* close - previous close */                                                              \
    SERIES(gain, 1)          /* max(change, 0) */                                                                      \
    SERIES(loss, 1)          /* max(-change, 0) */                                                                     \
    SERIES(true_range, 1)    /* max(high, previous close) - min(low, previous close) */                                \
    SERIES(inflow, 1)        /* money where typical rose, else 0 */                                                    \
    SERIES(outflow, 1)       /* money where typical fell, else 0 */

enum mlopt_features_kind {
#define KIND(name, parameters, states) MLOPT_FEATURES_##name,
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
    int64_t used;       /* lanes that stand for something */
    int64_t parameters; /* word of the plan */
    int64_t values;     /* word of the state: `lanes` results */
    int64_t state;      /* word of the state: rows of `lanes` */
    int64_t levels;     /* kind extrema */
    int64_t windows;    /* kind extrema */
} mlopt_features_step;

typedef struct mlopt_features_plan {
    int64_t words;       /* of the plan */
    int64_t state_words; /* of the state */
    int64_t outputs;
    int64_t step_count;
    int64_t unused[4];
    mlopt_features_step steps[];
} mlopt_features_plan;

typedef struct mlopt_features_state {
    int64_t bars; /* seen so far */
    int64_t unused[7];
    double last[8], before[8]; /* the last bar and the one before it */
} mlopt_features_state;

#define MLOPT_FEATURES_HEADER_WORDS ((int64_t)(sizeof(mlopt_features_state) / 8))

/* What is wrong with a bar (open, high, low, close, volume). */
typedef enum mlopt_bar_fault {
    MLOPT_BAR_GOOD,
    MLOPT_BAR_PRICE,  /* a price outside [1e-100, 1e100], or not a number */
    MLOPT_BAR_VOLUME, /* volume outside [0, 1e100], or not a number */
    MLOPT_BAR_RANGE,  /* high below low */
    MLOPT_BAR_BODY    /* open or close outside [low, high] */
} mlopt_bar_fault;

static inline mlopt_bar_fault mlopt_features_bar_fault(const double bar[5])
{
    const double open = bar[0], high = bar[1], low = bar[2], close = bar[3], volume = bar[4];
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

/* Takes back the last bar as far as the reference tier needs it, which finds everything else in the
 * rings: the count of bars, the bar before, averages and totals. */
static inline void mlopt_features_step_back(const mlopt_features_plan *plan, void *state)
{
    mlopt_features_state *header = (mlopt_features_state *)state;
    header->bars--;
    for (int i = 0; i < 5; i++)
        header->last[i] = header->before[i];
    for (int64_t s = 0; s < plan->step_count; s++) {
        const mlopt_features_step *step = &plan->steps[s];
        double *memory = (double *)state + step->state;
        const int64_t rows = step->kind == MLOPT_FEATURES_average ? 1 : step->kind == MLOPT_FEATURES_accumulate ? 2 : 0;
        for (int64_t i = 0; i < rows * step->lanes; i++)
            memory[i] = memory[i + rows * step->lanes];
    }
}

#endif
