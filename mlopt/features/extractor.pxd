# What pipelines cimport: an extractor that takes a bar without Python.
cimport numpy as cnp
from libc.stdint cimport int64_t

from mlopt._kernels.dispatch cimport mlopt_features_plan, mlopt_kernels


cdef extern from "features/groups.h" nogil:
    ctypedef int mlopt_bar_fault
    enum:
        MLOPT_BAR_GOOD


# What to do with a bad bar.
cdef enum:
    ON_BAD_RAISE
    ON_BAD_SKIP
    ON_BAD_HOLD


cdef class FeatureExtractor:
    cdef readonly tuple names, columns
    cdef readonly Py_ssize_t symbols
    cdef readonly int64_t lookback
    cdef readonly str on_bad
    cdef object plan, features, specification, held
    cdef cnp.ndarray words, memory, scratch, vector, peeked, workspace
    cdef object vector_view, peeked_view
    cdef const mlopt_features_plan *compiled
    cdef double *state  # of the only symbol; of several, the groups of GROUP of them (features.h)
    cdef double *out
    cdef int64_t fields, state_words
    cdef Py_ssize_t width  # features of a symbol
    cdef int bad_policy

    # One bar of the only symbol into `out`, which holds the last good bar's features; or what is wrong with it.
    cdef mlopt_bar_fault stream(self, const mlopt_kernels *table, const double *bar) noexcept nogil
    # As many good bars as come first, at most `count`, at once: a row of features each into `out`; how many they are.
    # `workspace` has history_words() words.
    cdef Py_ssize_t stream_many(self, const mlopt_kernels *table, const double *bars, Py_ssize_t count, double *out,
                                double *workspace) noexcept nogil
    cdef Py_ssize_t history_words(self) noexcept
    cdef str describe(self, mlopt_bar_fault fault, const double *bar)

    cdef double *group_of(self, Py_ssize_t symbol) noexcept
    cdef int64_t *header_word(self, Py_ssize_t symbol, int64_t word) noexcept
    cdef int take_bar(self, open, high, low, close, volume, tuple columns, double *bar) except -1
    cdef refuse(self, mlopt_bar_fault fault, const double *bar, held)
    cdef update_symbols(self, tuple values, timestamp, where, const mlopt_kernels *table)
    cdef row(self, symbol)
    cdef peek_symbols(self, tuple values, where, const mlopt_kernels *table)
    cdef list symbol_columns(self, tuple values, const double **bars)
    cdef tuple good_symbols(self, const double **bars, where)
    cdef Py_ssize_t check_symbol(self, symbol) except -1
    cdef void take(self, Py_ssize_t symbol, double *state) noexcept
    cdef void put(self, Py_ssize_t symbol, const double *state) noexcept
    cdef run(self, bars, bint keep)
    cdef run_one(self, cnp.ndarray rows, cnp.ndarray times, cnp.ndarray memory, cnp.ndarray workspace,
                 cnp.ndarray result, cnp.ndarray vector, str where)
