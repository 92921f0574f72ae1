"""The layout of feature plans, read from the kernels' contract header (features.h)."""

cdef extern from *:
    """
    #include "features/features.h"

    typedef struct mlopt_kind_row {
        const char *name;
        int parameters, states;
    } mlopt_kind_row;
    static const mlopt_kind_row mlopt_kind_rows[] = {
    #define KIND(name, parameters, states) {#name, parameters, states},
        MLOPT_FEATURES_KINDS
    #undef KIND
    };
    typedef struct mlopt_series_row {
        const char *name;
        int start;
    } mlopt_series_row;
    static const mlopt_series_row mlopt_series_rows[] = {
    #define SERIES(name, start) {#name, start},
        MLOPT_FEATURES_SERIES
    #undef SERIES
    };
    """
    ctypedef struct mlopt_kind_row:
        const char *name
        int parameters
        int states
    ctypedef struct mlopt_series_row:
        const char *name
        int start
    const mlopt_kind_row mlopt_kind_rows[]
    const mlopt_series_row mlopt_series_rows[]
    enum:
        MLOPT_FEATURES_KIND_COUNT
        MLOPT_SERIES_COUNT
        MLOPT_FEATURES_LANES
        MLOPT_FEATURES_HEADER_WORDS


LANES = MLOPT_FEATURES_LANES
HEADER_WORDS = MLOPT_FEATURES_HEADER_WORDS
# name -> (number, rows of parameters, rows of state)
KINDS = {mlopt_kind_rows[k].name.decode(): (k, mlopt_kind_rows[k].parameters, mlopt_kind_rows[k].states)
         for k in range(MLOPT_FEATURES_KIND_COUNT)}
# name -> (number, first bar that has it)
SERIES = {mlopt_series_rows[s].name.decode(): (s, mlopt_series_rows[s].start) for s in range(MLOPT_SERIES_COUNT)}
