/* How the states of many symbols lie (features_symbols), and the way of one state into a group and out of it. */
#ifndef MLOPT_FEATURES_GROUPS_H
#define MLOPT_FEATURES_GROUPS_H

#include "features.h"

/* Moves every one of `count` values, `stride` words apart, so many places on, the last ones to the beginning. */
static inline void mlopt_features_turn(double *first, int64_t stride, int64_t count, int64_t places)
{
    const int64_t ends[3][2] = {
        {0, count - 1}, {0, places - 1}, {places, count - 1}}; /* turn round all, then both parts */
    for (int part = 0; part < 3; part++)
        for (int64_t a = ends[part][0], b = ends[part][1]; a < b; a++, b--) {
            const double value = first[a * stride];
            first[a * stride] = first[b * stride];
            first[b * stride] = value;
        }
}

/* Turns the rings of a state so that its clock is another. */
static inline void mlopt_features_set_clock(const mlopt_features_plan *plan, double *state, int64_t clock)
{
    mlopt_features_state *header = (mlopt_features_state *)state;
    const int64_t later = clock - header->clock;
    header->clock = clock;
    for (int64_t s = 0; s < plan->step_count && later; s++) {
        const mlopt_features_step *step = &plan->steps[s];
        const int64_t *rows = (const int64_t *)plan + step->parameters, lanes = step->lanes;
        if (step->kind == MLOPT_FEATURES_push)
            for (int64_t i = 0; i < step->used; i++) {
                double *ring = state + rows[lanes + i];
                const int64_t capacity = rows[2 * lanes + i] + 1;
                for (int64_t slot = 0; slot < capacity; slot++) /* the second copy is what it was */
                    ring[(slot + later) & (capacity - 1)] = ring[capacity + slot];
                for (int64_t slot = 0; slot < capacity; slot++)
                    ring[capacity + slot] = ring[slot];
            }
        if (step->kind == MLOPT_FEATURES_extrema) {
            const int64_t *base = rows + 6 * lanes + lanes / MLOPT_FEATURES_LANES, *mask = base + step->levels;
            for (int64_t k = 0; k < step->levels; k++)
                for (int64_t lane = 0; lane < lanes; lane++)
                    mlopt_features_turn(state + base[k] + lane, lanes, mask[k] + 1, later & mask[k]);
        }
    }
}

/* A group is the states of MLOPT_FEATURES_LANES symbols, and a trailer.  While all of them tick together, they are
 * interleaved word by word: a row is one word of each; what a node of a recurrence remembers lies together there, node
 * after node, where a state has row after row, and rings are stored once.  Once they do not, the states lie one after
 * another, each with room for its values; until they have ticked together often enough again. */
typedef struct mlopt_features_trailer {
    int64_t apart;   /* one after another */
    int64_t in_step; /* calls in a row in which they could have been interleaved */
    int64_t unused[6];
} mlopt_features_trailer;

#define MLOPT_FEATURES_IN_STEP 8 /* such calls until they are: moving the states costs as much as three save */

static inline int64_t mlopt_features_group_words(const mlopt_features_plan *plan)
{
    return MLOPT_FEATURES_LANES * plan->words_with_values + (int64_t)(sizeof(mlopt_features_trailer) / 8);
}

static inline mlopt_features_trailer *mlopt_features_trailer_of(const mlopt_features_plan *plan, const double *group)
{
    return (mlopt_features_trailer *)(group + MLOPT_FEATURES_LANES * plan->words_with_values);
}

/* A word of the header of one symbol's state. */
static inline double *mlopt_features_word(const mlopt_features_plan *plan, double *group, int64_t symbol, int64_t word)
{
    return mlopt_features_trailer_of(plan, group)->apart ? group + symbol * plan->words_with_values + word
                                                         : group + word * MLOPT_FEATURES_LANES + symbol;
}

/* Copies the states of `count` symbols of an interleaved group out of it, or into it, word after word. */
static inline void mlopt_features_move(const mlopt_features_plan *plan, double *group, int64_t symbol, int64_t count,
                                       double *states, int into)
{
#define MOVE(word, row)                                                                                                \
    for (int64_t i = 0; i < count; i++) {                                                                              \
        double *single = &states[i * plan->state_words + (word)];                                                      \
        double *grouped = &group[(row) * MLOPT_FEATURES_LANES + symbol + i];                                           \
        *(into ? grouped : single) = *(into ? single : grouped);                                                       \
    }
    int64_t next = 0; /* what a step remembers lies behind the last step's, and has an order of its own */
    for (int64_t s = 0; s < plan->step_count; s++) {
        const mlopt_features_step *step = &plan->steps[s];
        const int64_t rows = mlopt_features_rows(step->kind);
        if (!rows)
            continue;
        for (; next < step->state; next++)
            MOVE(next, next)
        for (int64_t node = 0; node < step->lanes; node++)
            for (int64_t r = 0; r < rows; r++)
                MOVE(step->state + r * step->lanes + node, step->state + node * rows + r)
        next = step->state + rows * step->lanes;
    }
    for (; next < plan->state_words; next++)
        MOVE(next, next)
#undef MOVE
}

/* The states of `count` symbols of a group, one after another, each by a clock that counts its bars. */
static inline void mlopt_features_take(const mlopt_features_plan *plan, const double *group, int64_t symbol,
                                       int64_t count, double *states)
{
    const int apart = mlopt_features_trailer_of(plan, group)->apart != 0;
    if (!apart)
        mlopt_features_move(plan, (double *)group, symbol, count, states, 0);
    for (int64_t i = 0; i < count; i++) {
        double *state = states + i * plan->state_words;
        const double *from = group + (symbol + i) * plan->words_with_values;
        for (int64_t w = 0; w < plan->state_words && apart; w++)
            state[w] = from[w];
        for (int64_t s = 0; s < plan->step_count && !apart; s++) {
            const mlopt_features_step *step = &plan->steps[s];
            const int64_t *base = (const int64_t *)plan + step->parameters + step->lanes, *mask = base + step->lanes;
            for (int64_t ring = 0; ring < step->used && step->kind == MLOPT_FEATURES_push; ring++)
                for (int64_t slot = base[ring]; slot <= base[ring] + mask[ring]; slot++)
                    state[slot + mask[ring] + 1] = state[slot];
        }
        mlopt_features_set_clock(plan, state, ((mlopt_features_state *)state)->bars);
    }
}

/* Lays a group's states apart, or interleaves them, by the clock of the first; the workspace holds them in between. */
static inline void mlopt_features_regroup(const mlopt_features_plan *plan, double *group, int apart, double *workspace)
{
    mlopt_features_take(plan, group, 0, MLOPT_FEATURES_LANES, workspace);
    *mlopt_features_trailer_of(plan, group) = (mlopt_features_trailer){apart, 0, {0}};
    const int64_t clock = ((mlopt_features_state *)workspace)->clock;
    for (int64_t s = 0; s < MLOPT_FEATURES_LANES; s++) {
        double *state = workspace + s * plan->state_words;
        if (!apart)
            mlopt_features_set_clock(plan, state, clock);
        for (int64_t w = 0; w < plan->state_words && apart; w++)
            group[s * plan->words_with_values + w] = state[w];
    }
    if (!apart)
        mlopt_features_move(plan, group, 0, MLOPT_FEATURES_LANES, workspace, 1);
}

/* Replaces the state of one symbol of a group, which lies apart until all of its symbols tick. */
static inline void mlopt_features_put(const mlopt_features_plan *plan, double *group, int64_t symbol,
                                      const double *state, double *workspace)
{
    mlopt_features_trailer *trailer = mlopt_features_trailer_of(plan, group);
    if (!trailer->apart)
        mlopt_features_regroup(plan, group, 1, workspace);
    trailer->in_step = MLOPT_FEATURES_IN_STEP;
    for (int64_t w = 0; w < plan->state_words; w++)
        group[symbol * plan->words_with_values + w] = state[w];
}

#endif
