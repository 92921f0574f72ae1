"""The layout of feature plans, read from the kernels' contract header (features.h)."""
from typing import NamedTuple

import numpy as np

cimport numpy as cnp
from libc.stdint cimport int64_t

cnp.import_array()


cdef extern from *:
    """
    #include "features/groups.h"

    typedef struct mlopt_kind_row {
        const char *name, *kind_class;
        int sources, rings, numbers, states, results;
    } mlopt_kind_row;
    static const mlopt_kind_row mlopt_kind_rows[] = {
    #define KIND(name, class, sources, rings, numbers, states, results) \
        {#name, #class, sources, rings, numbers, states, results},
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
    ctypedef struct mlopt_features_plan:
        pass
    int64_t mlopt_features_history_words(const mlopt_features_plan *)
    int64_t mlopt_features_symbols_words(const mlopt_features_plan *)
    int64_t mlopt_features_group_words(const mlopt_features_plan *)
    ctypedef struct mlopt_features_trailer:
        int64_t apart
    mlopt_features_trailer *mlopt_features_trailer_of(const mlopt_features_plan *, const double *)
    void mlopt_features_take(const mlopt_features_plan *, const double *, int64_t, int64_t, double *)
    void mlopt_features_put(const mlopt_features_plan *, double *, int64_t, const double *, double *)
    ctypedef struct mlopt_kind_row:
        const char *name
        const char *kind_class
        int sources
        int rings
        int numbers
        int states
        int results
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
        MLOPT_FEATURES_MOST_COLUMNS
        MLOPT_FEATURES_NOTHING


class Kind(NamedTuple):
    """One kind of step, as features.h has it."""

    number: int
    kind_class: str
    sources: int
    rings: int
    numbers: int
    states: int
    results: int


LANES = MLOPT_FEATURES_LANES
HEADER_WORDS = MLOPT_FEATURES_HEADER_WORDS
NOTHING = MLOPT_FEATURES_NOTHING
MOST_COLUMNS = MLOPT_FEATURES_MOST_COLUMNS
KINDS = {
    mlopt_kind_rows[k].name.decode(): Kind(
        k, mlopt_kind_rows[k].kind_class.decode(), mlopt_kind_rows[k].sources, mlopt_kind_rows[k].rings,
        mlopt_kind_rows[k].numbers, mlopt_kind_rows[k].states, mlopt_kind_rows[k].results)
    for k in range(MLOPT_FEATURES_KIND_COUNT)
}
# name -> (number, first bar that has it)
SERIES = {mlopt_series_rows[s].name.decode(): (s, mlopt_series_rows[s].start) for s in range(MLOPT_SERIES_COUNT)}


cdef const mlopt_features_plan *plan_of(cnp.ndarray words):
    return <const mlopt_features_plan *>cnp.PyArray_DATA(words)


def history_words(cnp.ndarray words not None):
    """The workspace that features_history needs for a plan, given as its words."""
    return mlopt_features_history_words(plan_of(words))


def symbols_words(cnp.ndarray words not None):
    """The workspace that features_symbols needs for a plan, given as its words."""
    return mlopt_features_symbols_words(plan_of(words))


def group_words(cnp.ndarray words not None):
    """The size of a group of symbols."""
    return mlopt_features_group_words(plan_of(words))


def take_symbol(cnp.ndarray words not None, cnp.ndarray group not None, symbol):
    """The state of one symbol of a group, and whether the group's states lie apart."""
    state = np.empty(words[1])
    mlopt_features_take(plan_of(words), <const double *>cnp.PyArray_DATA(group), symbol, 1,
                        <double *>cnp.PyArray_DATA(state))
    trailer = mlopt_features_trailer_of(plan_of(words), <const double *>cnp.PyArray_DATA(group))
    return state, trailer.apart != 0


def put_symbol(cnp.ndarray words not None, cnp.ndarray group not None, symbol, cnp.ndarray state not None):
    """Replace the state of one symbol of a group."""
    workspace = np.empty(symbols_words(words))
    mlopt_features_put(plan_of(words), <double *>cnp.PyArray_DATA(group), symbol,
                       <const double *>cnp.PyArray_DATA(state), <double *>cnp.PyArray_DATA(workspace))
