/* Defines <walker>_walk(w, plan) for the WALKER that is defined: one function for every kind of step, which calls
 * <walker>_<class> with the kind's constants, and the loop over a plan's steps.  No include guard. */
#define WALKER_WORD(word) F(MLOPT_JOIN3(WALKER, _, word))

#define KIND(name, class, sources, rings, numbers, states, results)                                                    \
    static void WALKER_WORD(kind_##name)(const WALKER *walker, const mlopt_features_step *step,                        \
                                         const double *parameters)                                                     \
    {                                                                                                                  \
        const WALKER w = *walker;               /* copies: vector stores may alias */                                  \
        const mlopt_features_step here = *step; /* what pointers lead to */                                            \
        MLOPT_JOIN3(WALKER, _, class)                                                                                  \
        (MLOPT_FEATURES_##name, sources, rings, numbers, states, results, &w, &here, parameters);                      \
    }
MLOPT_FEATURES_KINDS
#undef KIND

static void WALKER_WORD(walk)(const WALKER *w, const mlopt_features_plan *plan)
{
    for (int64_t s = 0; s < plan->step_count; s++) {
        const mlopt_features_step *step = &plan->steps[s];
        const double *parameters = (const double *)plan + step->parameters;
        switch (step->kind) {
#define KIND(name, class, sources, rings, numbers, states, results)                                                    \
    case MLOPT_FEATURES_##name:                                                                                        \
        WALKER_WORD(kind_##name)(w, step, parameters);                                                                 \
        break;
            MLOPT_FEATURES_KINDS
#undef KIND
        }
    }
}

#undef WALKER_WORD
