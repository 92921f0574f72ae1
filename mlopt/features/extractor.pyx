"""Streaming features: one bar in, one vector of features out, in constant time."""
import math

import numpy as np

cimport numpy as cnp
from cpython.float cimport PyFloat_AS_DOUBLE, PyFloat_AsDouble, PyFloat_CheckExact
from libc.stdint cimport INT64_MIN, int64_t, uint8_t
from libc.string cimport memcpy

from mlopt._kernels.core cimport current_table, table_of
from mlopt._kernels.dispatch cimport mlopt_features_plan, mlopt_kernels

from mlopt.features.bars import FIELDS, as_timestamps, bars_table
from mlopt.features.definitions import INPUTS, feature_of
from mlopt.features.families import DEFAULT_FEATURES
from mlopt.features.layout import MOST_COLUMNS
from mlopt.features.plan import compile_plan, empty_words
from mlopt.features.state import StateFormat

cnp.import_array()


cdef extern from "features/groups.h" nogil:
    enum:
        MLOPT_BAR_PRICE
        MLOPT_BAR_VOLUME
        MLOPT_BAR_RANGE
        MLOPT_BAR_BODY
        MLOPT_BAR_COLUMN
        MLOPT_FEATURES_LANES
        MLOPT_FEATURES_MOST_COLUMNS
    ctypedef struct mlopt_features_state:
        int64_t bars
        int64_t timestamp
        double last[8]
    mlopt_bar_fault mlopt_features_bar_fault(const double *, int64_t)
    double *mlopt_features_columns(const mlopt_features_plan *, void *)
    void mlopt_features_step_back(const mlopt_features_plan *, void *)
    void mlopt_features_take(const mlopt_features_plan *, const double *, int64_t, int64_t, double *)
    void mlopt_features_put(const mlopt_features_plan *, double *, int64_t, const double *, double *)
    double *mlopt_features_word(const mlopt_features_plan *, double *, int64_t, int64_t)
    int64_t mlopt_features_group_words(const mlopt_features_plan *)
    int64_t mlopt_features_history_words(const mlopt_features_plan *)
    int64_t mlopt_features_symbols_words(const mlopt_features_plan *)


cdef enum:
    BAR_LATE = -1  # no fault of the numbers: not later than the bar before
    GROUP = MLOPT_FEATURES_LANES
    MOST_FIELDS = 5 + MLOPT_FEATURES_MOST_COLUMNS

cdef dict ON_BAD = {"raise": ON_BAD_RAISE, "skip": ON_BAD_SKIP, "hold": ON_BAD_HOLD}
STATE = StateFormat(b"mlFX", 2, "IQ", "FeatureExtractor.get_state")  # digest of the plan, symbols


cdef class FeatureExtractor:
    """Turns a stream of bars into feature vectors, a bar at a time, in constant time per bar.

    Parameters
    ----------
    features : "default" or sequence of str and Combination, optional
        Which features, in which order: names such as ``"sma_20"``, of any period, or ``"sma_20(volume)"``, of another
        series (:data:`mlopt.features.FAMILIES` is the table; :data:`mlopt.features.DEFAULT_FEATURES` the default).
    symbols : int, optional
        How many symbols are streamed side by side, each with its own history.
    columns : sequence of str, optional
        Names of further series that come with every bar, behind its volume: any finite numbers.
    on_bad : {"raise", "skip", "hold"}, optional
        What to do with a bad bar: a number that is not finite, a price that is not positive, a negative volume, high
        below low, open or close outside of them, a timestamp that is not later than the one before.  The state stays as
        it was in any case.  ``"raise"``: ValueError.  ``"skip"``: :meth:`update` and :meth:`peek` return None (with
        several symbols, the symbol's row is NaN), :meth:`transform` has a row of NaN.  ``"hold"``: the last good bar's
        vector stands (NaN before the first).

    Attributes
    ----------
    names : tuple of str
        The features, in the order of the vector.
    symbols : int
        As given.
    columns : tuple of str
        As given.
    lookback : int
        How many bars come before the first vector without NaN.
    bars_seen : int or ndarray of int64, shape (symbols,)
        How many good bars were streamed.
    is_ready : bool or ndarray of bool, shape (symbols,)
        Whether the last vector is without NaN.
    on_bad : str
        As given.
    state_bytes : int
        The size of the streaming state of one symbol.

    Notes
    -----
    A feature is NaN until it has seen enough bars.  Streaming allocates nothing.  The tier of :class:`mlopt.use_isa` is
    followed bar by bar; on ``"reference"`` every window is recomputed from kept history by its textbook definition.  An
    extractor is not to be used by two threads at once.

    Of many symbols, each gets the same bits as from an extractor of its own.  Eight neighbours that tick together are
    computed at once, several times as fast; neighbours that do not, one after another, until they have ticked together
    in a few calls again.

    Examples
    --------
    >>> from mlopt.features import FeatureExtractor
    >>> extractor = FeatureExtractor(["sma_2", "return_1"])
    >>> extractor.update(10.0, 11.0, 9.0, 10.0, 1000.0)
    array([nan, nan])
    >>> extractor.update(10.0, 12.0, 10.0, 12.0, 1500.0)
    array([11. ,  0.2])

    Two symbols:

    >>> pair = FeatureExtractor(["sma_2"], symbols=2)
    >>> _ = pair.update([10, 50], [11, 51], [9, 49], [10, 50], [1000, 0])
    >>> pair.update([10, 50], [12, 54], [10, 50], [12, 54], [1500, 10])
    array([[11.],
           [52.]])
    """
    def __init__(self, features="default", symbols=1, *, columns=(), on_bad="raise"):
        if isinstance(symbols, bool) or not isinstance(symbols, (int, np.integer)):
            raise TypeError(f"symbols must be an integer, not {type(symbols).__name__}")
        if not 1 <= symbols <= 1 << 24:
            raise ValueError(f"symbols must be from 1 to {1 << 24}, not {symbols}")
        if on_bad not in ON_BAD:
            raise ValueError(f"on_bad must be 'raise', 'skip' or 'hold', not {on_bad!r}")
        self.columns = check_columns(columns)
        if isinstance(features, str):
            if features != "default":
                raise ValueError(f"features must be 'default' or a list of names, not {features!r}")
            features = DEFAULT_FEATURES
        self.specification = tuple(features)
        self.features = tuple(feature_of(feature, self.columns) for feature in self.specification)
        self.names = names = tuple(feature.name for feature in self.features)
        if not names:
            raise ValueError("features must name at least one feature")
        if len(set(names)) < len(names):
            raise ValueError(f"features: {max(names, key=names.count)!r} is there twice")
        self.plan = plan = compile_plan([feature.value for feature in self.features], len(self.columns))
        self.symbols = symbols
        self.width = len(names)
        self.fields = len(FIELDS) + len(self.columns)
        self.lookback = max(plan.ready)
        self.on_bad = on_bad
        self.bad_policy = ON_BAD[on_bad]
        self.words = plan.words
        self.compiled = <const mlopt_features_plan *>cnp.PyArray_DATA(self.words)
        self.state_words = len(plan.initial)
        if symbols == 1:
            self.memory = empty_words(self.state_words + plan.values)
            self.workspace = empty_words(0)
            self.vector = empty_words(len(names))
        else:
            self.memory = empty_words(-(-symbols // GROUP) * mlopt_features_group_words(self.compiled))
            self.workspace = empty_words(mlopt_features_symbols_words(self.compiled))
            self.vector = empty_words(symbols * len(names)).reshape(symbols, len(names))
        self.scratch = None  # of peek, made when it is needed: the state once more, or a group's
        self.peeked = None
        self.held = {}  # of several symbols, the last good row of those whose row was made NaN by a bad bar
        self.state = <double *>cnp.PyArray_DATA(self.memory)
        self.out = <double *>cnp.PyArray_DATA(self.vector)
        self.vector_view = read_only(self.vector)
        self.reset()

    def __repr__(self):
        what = f"{len(self.names)} features"
        if self.symbols > 1:
            return f"{type(self).__name__}({what}, {self.symbols} symbols)"
        return f"{type(self).__name__}({what}, {self.bars_seen} bars seen)"

    def reset(self):
        """Forget every bar."""
        initial = self.plan.initial.copy()
        initial[:2].view(np.int64)[1] = INT64_MIN
        self.memory[:] = 0
        if self.symbols == 1:
            self.memory[:self.state_words] = initial
        else:
            groups = self.memory.reshape(-1, mlopt_features_group_words(self.compiled))
            groups[:, :GROUP * self.state_words] = np.repeat(initial, GROUP)
        self.vector[:] = np.nan
        self.held.clear()

    cdef double *group_of(self, Py_ssize_t symbol) noexcept:
        return self.state + symbol // GROUP * mlopt_features_group_words(self.compiled)

    cdef int64_t *header_word(self, Py_ssize_t symbol, int64_t word) noexcept:
        """A word of the header of one of several symbols."""
        return <int64_t *>mlopt_features_word(self.compiled, self.group_of(symbol), symbol % GROUP, word)

    @property
    def bars_seen(self):
        if self.symbols == 1:
            return (<mlopt_features_state *>self.state).bars
        return np.array([self.header_word(symbol, 0)[0] for symbol in range(self.symbols)], np.int64)

    @property
    def is_ready(self):
        return self.bars_seen > self.lookback

    @property
    def state_bytes(self):
        return 8 * (self.state_words + (self.plan.values if self.symbols == 1 else 0))

    # --- one bar ---------------------------------------------------------------------------------

    def update(self, open, high, low, close, volume, *columns, timestamp=None, where=None):
        """Take in one bar, of one symbol or of each.

        Parameters
        ----------
        open, high, low, close : float or array_like of shape (symbols,)
            Prices, positive.
        volume : float or array_like of shape (symbols,)
            Traded volume, 0 or more.
        *columns : float or array_like of shape (symbols,)
            The extractor's own columns, in their order.
        timestamp : int, datetime64, datetime or array_like of shape (symbols,), optional
            When the bar was; must be later than the last one given (integers are compared as they are, times in
            nanoseconds).
        where : array_like of bool, shape (symbols,), optional
            Which symbols tick, all by default; the others keep their state and their row, and their numbers are not
            looked at.

        Returns
        -------
        ndarray of float64, shape (features,) or (symbols, features), or None
            The features: a read-only view of one aligned array, the same object in every call and overwritten by the
            next (copy it to keep it).  None for a bad bar of the only symbol with ``on_bad="skip"``.

        Raises
        ------
        ValueError
            For a bad bar with ``on_bad="raise"``, naming what is wrong; nothing has changed then.
        """
        cdef double[MOST_FIELDS] bar
        cdef mlopt_features_state *header
        cdef int64_t now
        cdef mlopt_bar_fault fault
        cdef const mlopt_kernels *table = current_table()
        if self.symbols > 1:
            return self.update_symbols((open, high, low, close, volume, *columns), timestamp, where, table)
        if where is not None:
            raise ValueError("where is for extractors of several symbols")
        self.take_bar(open, high, low, close, volume, columns, bar)
        fault = mlopt_features_bar_fault(bar, self.fields - 5)
        if timestamp is not None:
            header = <mlopt_features_state *>self.state
            now = as_timestamp(timestamp)
            if fault == MLOPT_BAR_GOOD and now <= header.timestamp:
                fault = BAR_LATE
            if fault == MLOPT_BAR_GOOD:
                header.timestamp = now
        if fault != MLOPT_BAR_GOOD:
            return self.refuse(fault, bar, self.vector_view)
        table.features_update_f64(self.compiled, self.state, bar, self.out)
        return self.vector_view

    cdef mlopt_bar_fault stream(self, const mlopt_kernels *table, const double *bar) noexcept nogil:
        cdef mlopt_bar_fault fault = mlopt_features_bar_fault(bar, self.fields - 5)
        if fault == MLOPT_BAR_GOOD:
            table.features_update_f64(self.compiled, self.state, bar, self.out)
        return fault

    cdef Py_ssize_t stream_many(self, const mlopt_kernels *table, const double *bars, Py_ssize_t count, double *out,
                                double *workspace) noexcept nogil:
        cdef Py_ssize_t good = 0, width = self.width
        while good < count and mlopt_features_bar_fault(bars + good * self.fields, self.fields - 5) == MLOPT_BAR_GOOD:
            good += 1
        if good > 0:
            table.features_history_f64(self.compiled, self.state, good, bars, out, workspace)
            memcpy(self.out, out + (good - 1) * width, width * sizeof(double))
        return good

    cdef Py_ssize_t history_words(self) noexcept:
        return mlopt_features_history_words(self.compiled)

    cdef int take_bar(self, open, high, low, close, volume, tuple columns, double *bar) except -1:
        """The numbers of a bar, where there is one symbol."""
        cdef Py_ssize_t i
        bar[0] = as_double(open)
        bar[1] = as_double(high)
        bar[2] = as_double(low)
        bar[3] = as_double(close)
        bar[4] = as_double(volume)
        if len(columns) != self.fields - 5:
            raise TypeError(f"a bar has {len(columns)} columns behind its volume, expected {len(self.columns)}: "
                            f"{', '.join(self.columns) or 'none'}")
        for i in range(len(columns)):
            bar[5 + i] = as_double(columns[i])
        return 0

    cdef refuse(self, mlopt_bar_fault fault, const double *bar, held):
        if self.bad_policy == ON_BAD_RAISE:
            raise ValueError(self.describe(fault, bar))
        return held if self.bad_policy == ON_BAD_HOLD else None

    cdef str describe(self, mlopt_bar_fault fault, const double *bar):
        """What is wrong with a bar."""
        cdef Py_ssize_t i
        if fault == BAR_LATE:
            return "timestamp must be later than that of the bar before"
        if fault == MLOPT_BAR_COLUMN:
            for i in range(5, self.fields):
                if not -1e100 <= bar[i] <= 1e100:
                    return f"{self.columns[i - 5]} must be a finite number (-1e100 to 1e100), not {bar[i]!r}"
        if fault == MLOPT_BAR_PRICE:
            for i in range(4):
                if not 1e-100 <= bar[i] <= 1e100:
                    return f"{FIELDS[i]} must be a positive number (1e-100 to 1e100), not {bar[i]!r}"
        if fault == MLOPT_BAR_VOLUME:
            return f"volume must be 0 or a positive number (to 1e100), not {bar[4]!r}"
        if fault == MLOPT_BAR_RANGE:
            return f"high must not be below low, but high={bar[1]!r} and low={bar[2]!r}"
        name, value = ("open", bar[0]) if not bar[2] <= bar[0] <= bar[1] else ("close", bar[3])
        return f"{name} must lie between low={bar[2]!r} and high={bar[1]!r}, not {value!r}"

    def peek(self, open, high, low, close, volume, *columns, where=None):
        """The features that :meth:`update` would return, leaving the state as it is.

        For a bar that is still forming.  Parameters and errors as for :meth:`update`; the array returned is another one
        than update's, read-only too and overwritten by the next peek.  Copies the state.
        """
        cdef double[MOST_FIELDS] bar
        cdef const mlopt_kernels *table = current_table()
        cdef mlopt_bar_fault fault
        if self.scratch is None:
            words = self.state_words + self.plan.values
            self.scratch = empty_words(words if self.symbols == 1 else mlopt_features_group_words(self.compiled))
            self.peeked = empty_words(self.vector.size).reshape((<object>self.vector).shape)
            self.peeked_view = read_only(self.peeked)
        if self.symbols > 1:
            return self.peek_symbols((open, high, low, close, volume, *columns), where, table)
        if where is not None:
            raise ValueError("where is for extractors of several symbols")
        self.take_bar(open, high, low, close, volume, columns, bar)
        fault = mlopt_features_bar_fault(bar, self.fields - 5)
        if fault != MLOPT_BAR_GOOD:
            return self.refuse(fault, bar, self.vector_view)
        memcpy(cnp.PyArray_DATA(self.scratch), self.state, 8 * self.state_words)
        table.features_update_f64(self.compiled, cnp.PyArray_DATA(self.scratch), bar,
                                  <double *>cnp.PyArray_DATA(self.peeked))
        return self.peeked_view

    # --- many symbols ----------------------------------------------------------------------------

    cdef update_symbols(self, tuple values, timestamp, where, const mlopt_kernels *table):
        cdef const double *bars[MOST_FIELDS]
        cdef cnp.ndarray ticking, times
        cdef const uint8_t *ticks = NULL
        cdef double *workspace = <double *>cnp.PyArray_DATA(self.workspace)
        cdef list kept = self.symbol_columns(values, bars)
        ticking, failing = self.good_symbols(bars, where)
        if timestamp is not None:
            times = symbol_times(timestamp, self.symbols)
            last = np.array([self.header_word(symbol, 1)[0] for symbol in range(self.symbols)], np.int64)
            late = (times <= last) & (True if ticking is None else ticking.view(bool))
            if late.any():
                if self.bad_policy == ON_BAD_RAISE:
                    raise ValueError(f"symbol {int(np.argmax(late))}: {self.describe(BAR_LATE, NULL)}")
                failing = late if failing is None else failing | late
                ticking = (~late if ticking is None else ticking.view(bool) & ~late).view(np.uint8)
            for symbol in np.arange(self.symbols) if ticking is None else np.flatnonzero(ticking):
                self.header_word(symbol, 1)[0] = times[symbol]
        if ticking is not None:
            ticks = <const uint8_t *>cnp.PyArray_DATA(ticking)
        with nogil:
            table.features_symbols_f64(self.compiled, self.state, self.symbols, bars, ticks, self.out, workspace)
        if self.held:
            for symbol in np.arange(self.symbols) if ticking is None else np.flatnonzero(ticking):
                self.held.pop(symbol, None)
        if failing is not None and self.bad_policy == ON_BAD_SKIP:
            for symbol in np.flatnonzero(failing):
                self.held.setdefault(symbol, self.vector[symbol].copy())
            self.vector[failing] = np.nan
        del kept
        return self.vector_view

    cdef row(self, symbol):
        """The vector of a symbol's last good bar."""
        return self.vector if self.symbols == 1 else self.held.get(symbol, self.vector[symbol])

    cdef peek_symbols(self, tuple values, where, const mlopt_kernels *table):
        """Group after group, on a copy of its states."""
        cdef const double *bars[MOST_FIELDS]
        cdef list kept = self.symbol_columns(values, bars)
        cdef cnp.ndarray ticking, failing
        cdef double *scratch = <double *>cnp.PyArray_DATA(self.scratch)
        cdef double *out = <double *>cnp.PyArray_DATA(self.peeked)
        cdef double *workspace = <double *>cnp.PyArray_DATA(self.workspace)
        cdef const uint8_t *ticks = NULL
        cdef Py_ssize_t first, some, field, width = len(self.names)
        ticking, failing = self.good_symbols(bars, where)
        if ticking is not None:
            ticks = <const uint8_t *>cnp.PyArray_DATA(ticking)
        self.peeked[:] = self.vector
        for symbol, row in self.held.items():
            self.peeked[symbol] = row
        for first in range(0, self.symbols, GROUP):
            memcpy(scratch, self.group_of(first), 8 * mlopt_features_group_words(self.compiled))
            some = min(<Py_ssize_t>GROUP, self.symbols - first)
            table.features_symbols_f64(self.compiled, scratch, some, bars, ticks, out + first * width, workspace)
            for field in range(self.fields):
                bars[field] += GROUP
            if ticks != NULL:
                ticks += GROUP
        if failing is not None and self.bad_policy == ON_BAD_SKIP:
            self.peeked[failing] = np.nan
        del kept
        return self.peeked_view

    cdef list symbol_columns(self, tuple values, const double **bars):
        """Every field's numbers as a contiguous array, and where each begins."""
        cdef list kept = []
        cdef cnp.ndarray array
        if len(values) != self.fields:
            raise TypeError(f"a bar has {len(values) - 5} columns behind its volume, expected {len(self.columns)}: "
                            f"{', '.join(self.columns) or 'none'}")
        for i, value in enumerate(values):
            if not (isinstance(value, cnp.ndarray) and cnp.PyArray_TYPE(value) == cnp.NPY_DOUBLE
                    and cnp.PyArray_ISCARRAY_RO(value) and cnp.PyArray_NDIM(value) == 1):
                name = (*FIELDS, *self.columns)[i]
                try:
                    value = np.ascontiguousarray(value, np.float64)
                except (TypeError, ValueError) as error:
                    raise TypeError(f"{name} must be numbers, one a symbol ({error})") from None
            array = value
            if cnp.PyArray_NDIM(array) != 1 or array.shape[0] != self.symbols:
                name = (*FIELDS, *self.columns)[i]
                raise ValueError(f"{name} must have shape ({self.symbols},), one number a symbol, not {value.shape}")
            bars[i] = <const double *>cnp.PyArray_DATA(array)
            kept.append(array)
        return kept

    cdef tuple good_symbols(self, const double **bars, where):
        """Which symbols tick with a good bar, None for all; and which with a bad one, None for none."""
        cdef double[MOST_FIELDS] bar
        cdef Py_ssize_t s, f
        cdef mlopt_bar_fault fault
        cdef cnp.ndarray ticking = None, failing = None
        cdef uint8_t *ticks = NULL
        if where is not None:
            ticking = as_ticking(where, self.symbols)
            ticks = <uint8_t *>cnp.PyArray_DATA(ticking)
        for s in range(self.symbols):
            if ticks != NULL and not ticks[s]:
                continue
            for f in range(self.fields):
                bar[f] = bars[f][s]
            fault = mlopt_features_bar_fault(bar, self.fields - 5)
            if fault == MLOPT_BAR_GOOD:
                continue
            if self.bad_policy == ON_BAD_RAISE:
                raise ValueError(f"symbol {s}: {self.describe(fault, bar)}")
            if ticking is None:
                ticking = np.ones(self.symbols, np.uint8)
                ticks = <uint8_t *>cnp.PyArray_DATA(ticking)
            if failing is None:
                failing = np.zeros(self.symbols, bool)
            ticks[s] = 0
            failing[s] = True
        return ticking, failing

    cdef Py_ssize_t check_symbol(self, symbol) except -1:
        if isinstance(symbol, bool) or not isinstance(symbol, (int, np.integer)):
            raise TypeError(f"symbol must be an integer, not {type(symbol).__name__}")
        if not 0 <= symbol < self.symbols:
            raise ValueError(f"symbol must be from 0 to {self.symbols - 1}, not {symbol}")
        return symbol

    cdef void take(self, Py_ssize_t symbol, double *state) noexcept:
        """The state of one symbol, into `state`."""
        if self.symbols == 1:
            memcpy(state, self.state, 8 * self.state_words)
        else:
            mlopt_features_take(self.compiled, self.group_of(symbol), symbol % GROUP, 1, state)

    cdef void put(self, Py_ssize_t symbol, const double *state) noexcept:
        """Back again."""
        if self.symbols == 1:
            memcpy(self.state, state, 8 * self.state_words)
        else:
            mlopt_features_put(self.compiled, self.group_of(symbol), symbol % GROUP, state,
                               <double *>cnp.PyArray_DATA(self.workspace))

    def verify(self, symbol=0):
        """Recompute the last bar's features from kept history on the reference tier.

        Every window is recomputed by its textbook definition; recursive features (exponential averages, running totals,
        the parabolic stop) by one step from the bar before.

        Parameters
        ----------
        symbol : int, optional
            Which, where there are several.

        Returns
        -------
        float
            The largest difference from the last vector, relative to the larger of the two numbers and of the feature's
            natural scale: the bar's close for prices, its volume or a running total for volumes, 100 for percentages, 1
            for pure numbers.
            NaN against a number counts as infinite.

        Raises
        ------
        ValueError
            Before the symbol's first bar.
        """
        cdef Py_ssize_t which = self.check_symbol(symbol)
        cdef cnp.ndarray memory = empty_words(self.state_words + self.plan.values)
        cdef mlopt_features_state *scratch = <mlopt_features_state *>cnp.PyArray_DATA(memory)
        cdef double[MOST_FIELDS] bar
        self.take(which, <double *>scratch)
        if scratch.bars == 0:
            raise ValueError("verify: no bar was streamed yet")
        memcpy(bar, scratch.last, 5 * sizeof(double))
        memcpy(&bar[5], mlopt_features_columns(self.compiled, scratch), (self.fields - 5) * sizeof(double))
        mlopt_features_step_back(self.compiled, scratch)
        expected = np.empty(len(self.names))
        table_of("reference").features_update_f64(self.compiled, scratch, bar, <double *>cnp.PyArray_DATA(expected))
        last = dict(zip((*FIELDS, *self.columns), bar, strict=False)) | {"typical": bar[3]}
        last["volumes"] = max(bar[4], *(abs(memory[word]) for word in self.plan.totals), 0.0)
        worst = 0.0
        for feature, now, then in zip(self.features, self.row(which).tolist(), expected.tolist(), strict=True):
            if now == then or (math.isnan(now) and math.isnan(then)):
                continue
            difference = abs(now - then) / max(abs(now), abs(then), natural_scale(feature, last))
            worst = max(worst, difference if difference >= 0 else math.inf)
        return worst

    # --- history ---------------------------------------------------------------------------------

    def transform(self, bars):
        """The features of a whole history, bit for bit what streaming it would give.

        Starts from an extractor that has seen nothing, and leaves this one's state alone.

        Parameters
        ----------
        bars : Bars, array_like, DataFrame or mapping of arrays
            Columns open, high, low, close, volume, then the extractor's own: an (n, 5 + columns) array has them in this
            order, a pandas or polars frame or a mapping by name, in any case.  A column timestamp, datetime, date or
            time must increase.  Of several symbols, an array of shape (n, symbols, 5 + columns).

        Returns
        -------
        ndarray of float64, shape (n, len(names)) or (n, symbols, len(names))
            One row a bar; the first `lookback` rows contain NaN.  64-byte aligned; of several symbols, a view that has
            each symbol's rows together.
        """
        return self.run(bars, False)

    def warm_up(self, bars):
        """Stream a history through the extractor, as :meth:`update` would, bar after bar.

        Parameters
        ----------
        bars : Bars, array_like, DataFrame or mapping of arrays
            As for :meth:`transform`.  If a bar is bad and ``on_bad="raise"``, nothing is streamed.

        Returns
        -------
        FeatureExtractor
            Itself.
        """
        self.run(bars, True)
        return self

    cdef run(self, bars, bint keep):
        """The features of a history, from the first bar or going on; the states and last rows are kept if so wanted."""
        cdef Py_ssize_t symbol, width = len(self.names)
        cdef cnp.ndarray rows, times, results, states, vectors
        rows, times = bars_table(bars, self.columns, self.symbols)
        cdef Py_ssize_t count = rows.shape[1]
        results = empty_words(self.symbols * count * width).reshape(self.symbols, count, width)
        states = empty_words(self.symbols * self.state_words).reshape(self.symbols, self.state_words)
        vectors = np.full((self.symbols, width), np.nan)
        if keep:
            vectors[:] = [self.row(symbol) for symbol in range(self.symbols)]
        memory = empty_words(self.state_words + self.plan.values)
        workspace = empty_words(mlopt_features_history_words(self.compiled))
        for symbol in range(self.symbols):
            if keep:
                self.take(symbol, <double *>cnp.PyArray_DATA(memory))
            else:
                memory[:self.state_words] = self.plan.initial
                memory[:2].view(np.int64)[1] = INT64_MIN
            self.run_one(rows[symbol], None if times is None else times[symbol], memory, workspace, results[symbol],
                         vectors[symbol], f"symbol {symbol}: " if self.symbols > 1 else "")
            states[symbol] = memory[:self.state_words]
        if keep:
            for symbol in range(self.symbols):
                self.put(symbol, <const double *>cnp.PyArray_DATA(states) + symbol * self.state_words)
            self.vector[:] = vectors.reshape((<object>self.vector).shape)
            self.held.clear()
        return results[0] if self.symbols == 1 else results.transpose(1, 0, 2)

    cdef run_one(self, cnp.ndarray rows, cnp.ndarray times, cnp.ndarray memory, cnp.ndarray workspace,
                 cnp.ndarray result, cnp.ndarray vector, str where):
        """One symbol's history: stretches of good bars at once, bad ones by the policy; `vector` is the last row."""
        cdef const mlopt_kernels *table = current_table()
        cdef Py_ssize_t count = rows.shape[0], width = result.shape[1], i = 0, first
        cdef const double *bar = <const double *>cnp.PyArray_DATA(rows)
        cdef const int64_t *time = NULL if times is None else <const int64_t *>cnp.PyArray_DATA(times)
        cdef double *out = <double *>cnp.PyArray_DATA(result)
        cdef double *held = <double *>cnp.PyArray_DATA(vector)
        cdef mlopt_features_state *header = <mlopt_features_state *>cnp.PyArray_DATA(memory)
        cdef mlopt_bar_fault fault = MLOPT_BAR_GOOD
        cdef double missing = np.nan
        with nogil:
            while i < count:
                first = i
                while i < count:
                    fault = mlopt_features_bar_fault(bar + i * self.fields, self.fields - 5)
                    if fault == MLOPT_BAR_GOOD and time != NULL:
                        if time[i] <= header.timestamp:
                            fault = BAR_LATE
                        else:
                            header.timestamp = time[i]
                    if fault != MLOPT_BAR_GOOD:
                        break
                    i += 1
                if i > first:
                    table.features_history_f64(self.compiled, header, i - first, bar + first * self.fields,
                                               out + first * width, <double *>cnp.PyArray_DATA(workspace))
                    memcpy(held, out + (i - 1) * width, width * sizeof(double))
                if i < count:
                    if self.bad_policy == ON_BAD_RAISE:
                        break
                    if self.bad_policy == ON_BAD_HOLD:
                        memcpy(out + i * width, held, width * sizeof(double))
                    else:
                        fill(out + i * width, width, missing)
                    i += 1
        if i < count:
            raise ValueError(f"bars: {where}bar {i}: {self.describe(fault, bar + i * self.fields)}")

    # --- state -----------------------------------------------------------------------------------

    def get_state(self, symbol=None):
        """The streaming state, as bytes that :meth:`set_state` of an extractor of the same features takes.

        Continuing from it gives the same bits.

        Parameters
        ----------
        symbol : int, optional
            Of one symbol alone: what an extractor of only this one would return.
        """
        which = range(self.symbols) if symbol is None else [self.check_symbol(symbol)]
        cdef cnp.ndarray states = empty_words(len(which) * self.state_words).reshape(len(which), self.state_words)
        rows = np.array([self.row(each) for each in which])
        for i, each in enumerate(which):
            self.take(each, <double *>cnp.PyArray_DATA(states) + <Py_ssize_t>i * self.state_words)
        return STATE.pack((self.plan.digest, len(which)), states.tobytes() + rows.tobytes())

    def set_state(self, state, symbol=None):
        """Continue from a state that :meth:`get_state` returned.

        Parameters
        ----------
        state : bytes-like
            Of an extractor of the same features and symbols; of one symbol, where `symbol` says which it becomes.
        symbol : int, optional
            Which symbol continues from it; all by default.

        Raises
        ------
        ValueError
            If it is not such a state, of other features, of another version or damaged; nothing has changed then.
        """
        cdef cnp.ndarray states
        which = range(self.symbols) if symbol is None else [self.check_symbol(symbol)]
        fields, payload = STATE.unpack(state)
        if fields[0] != self.plan.digest:
            raise ValueError("state is of an extractor of other features")
        if fields[1] != len(which):
            raise ValueError(f"state is of {fields[1]} symbols, expected {len(which)}")
        words = len(which) * self.state_words
        numbers = STATE.numbers(fields, payload, words + len(which) * len(self.names))
        states = empty_words(words).reshape(len(which), self.state_words)
        states[:] = numbers[:words].reshape(len(which), self.state_words)
        seen = states.view(np.int64)[:, 0]
        if not ((seen >= 0) & (seen < 2**53)).all():
            raise ValueError("state is damaged: its count of bars is impossible")
        for i, each in enumerate(which):
            self.put(each, <const double *>cnp.PyArray_DATA(states) + <Py_ssize_t>i * self.state_words)
            self.held.pop(each, None)
        rows = numbers[words:].reshape(len(which), len(self.names))
        self.vector.reshape(self.symbols, len(self.names))[list(which)] = rows

    def __reduce__(self):
        return restore, (type(self), self.specification, self.symbols, self.columns, self.on_bad, self.get_state())


cdef inline double as_double(x) except? -1.0:
    return PyFloat_AS_DOUBLE(x) if PyFloat_CheckExact(x) else PyFloat_AsDouble(x)


cdef int64_t as_timestamp(time) except? -1:
    if isinstance(time, int):
        return time
    return as_timestamps(time)


cdef symbol_times(time, Py_ssize_t symbols):
    times = np.asarray(as_timestamps(time))
    if times.shape not in ((), (symbols,)):
        raise ValueError(f"timestamp must be one, or have shape ({symbols},), one a symbol, not {times.shape}")
    return np.broadcast_to(times, symbols)


cdef as_ticking(where, Py_ssize_t symbols):
    ticking = np.asarray(where)
    if ticking.dtype != bool or ticking.shape != (symbols,):
        raise ValueError(f"where must be an array of bool of shape ({symbols},), not {ticking.dtype} {ticking.shape}")
    return ticking.astype(np.uint8)


def check_columns(columns):
    """The names of the caller's columns as a tuple."""
    if isinstance(columns, str):
        raise TypeError("columns must be a sequence of names, not a string")
    columns = tuple(columns)
    for name in columns:
        if not isinstance(name, str):
            raise TypeError(f"columns: a name must be a string, not {type(name).__name__}")
        if not name.isidentifier() or name in (*INPUTS, "timestamp", "where"):
            raise ValueError(f"columns: {name!r} must be a word that is not the name of a bar's own series")
    if len(set(columns)) < len(columns):
        raise ValueError(f"columns: {max(columns, key=columns.count)!r} is there twice")
    if len(columns) > MOST_COLUMNS:
        raise ValueError(f"columns: at most {MOST_COLUMNS}, not {len(columns)}")
    return columns


def natural_scale(feature, last):
    """What an error of a feature is relative to, beside its value: the size of the numbers of the last bar."""
    unit = feature.family.unit
    if unit == "input":
        return abs(last[feature.inputs[0]])
    return {"price": last["close"], "percent": 100.0, "1": 1.0, "volume": last["volumes"]}[unit]


cdef void fill(double *out, Py_ssize_t count, double value) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(count):
        out[i] = value


cdef read_only(cnp.ndarray array):
    view = array[:]
    view.flags.writeable = False
    return view


def restore(cls, features, symbols, columns, on_bad, state):
    """Make an extractor again from its pickle."""
    extractor = cls(features, symbols, columns=columns, on_bad=on_bad)
    extractor.set_state(state)
    return extractor
