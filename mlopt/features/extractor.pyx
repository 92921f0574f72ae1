"""Streaming features: one bar in, one vector of features out, in constant time."""
import math
import struct
import zlib

import numpy as np

cimport numpy as cnp
from libc.stdint cimport int64_t
from libc.string cimport memcpy

from mlopt._kernels.core cimport current_table, table_of
from mlopt._kernels.dispatch cimport mlopt_features_plan, mlopt_kernels

from mlopt.features.bars import bars_array
from mlopt.features.definitions import DEFAULT_FEATURES, parse_feature
from mlopt.features.plan import compile_plan, empty_words

cnp.import_array()


cdef extern from "features/features.h" nogil:
    ctypedef int mlopt_bar_fault
    enum:
        MLOPT_BAR_GOOD
        MLOPT_BAR_PRICE
        MLOPT_BAR_VOLUME
        MLOPT_BAR_RANGE
    ctypedef struct mlopt_features_state:
        int64_t bars
        double last[8]
    mlopt_bar_fault mlopt_features_bar_fault(const double *)
    void mlopt_features_step_back(const mlopt_features_plan *, void *)


cdef enum:
    ON_BAD_RAISE
    ON_BAD_SKIP
    ON_BAD_HOLD

cdef dict ON_BAD = {"raise": ON_BAD_RAISE, "skip": ON_BAD_SKIP, "hold": ON_BAD_HOLD}
FIELDS = ("open", "high", "low", "close", "volume")
STATE_HEADER = struct.Struct("<4sIIQI")  # magic, version, digest of the plan, payload bytes, its checksum
STATE_MAGIC, STATE_VERSION = b"mlFX", 1


cdef str describe_fault(const double *bar, str where):
    cdef mlopt_bar_fault fault = mlopt_features_bar_fault(bar)
    if fault == MLOPT_BAR_PRICE:
        for i in range(4):
            if not 1e-100 <= bar[i] <= 1e100:
                return f"{where}{FIELDS[i]} must be a positive number (1e-100 to 1e100), not {bar[i]!r}"
    if fault == MLOPT_BAR_VOLUME:
        return f"{where}volume must be 0 or a positive number (to 1e100), not {bar[4]!r}"
    if fault == MLOPT_BAR_RANGE:
        return f"{where}high must not be below low, but high={bar[1]!r} and low={bar[2]!r}"
    name, value = ("open", bar[0]) if not bar[2] <= bar[0] <= bar[1] else ("close", bar[3])
    return f"{where}{name} must lie between low={bar[2]!r} and high={bar[1]!r}, not {value!r}"


cdef class FeatureExtractor:
    """Turns a stream of bars into feature vectors, a bar at a time, in constant time per bar.

    Parameters
    ----------
    features : "default" or sequence of str, optional
        Which features, in which order: names such as ``"sma_20"``, of any period
        (:data:`mlopt.features.FAMILIES` is the table; :data:`mlopt.features.DEFAULT_FEATURES` the default).
    symbols : int, optional
        How many symbols are streamed; only 1 for now.
    on_bad : {"raise", "skip", "hold"}, optional
        What to do with a bad bar: a number that is not finite, a price that is not positive, a negative
        volume, high below low, open or close outside of them.  The state stays as it was in any case.
        ``"raise"``: ValueError.  ``"skip"``: :meth:`update` and :meth:`peek` return None, :meth:`transform`
        has a row of NaN.  ``"hold"``: the last good bar's vector stands (NaN before the first).

    Attributes
    ----------
    names : tuple of str
        The features, in the order of the vector.
    lookback : int
        How many bars come before the first vector without NaN.
    bars_seen : int
        How many good bars were streamed.
    is_ready : bool
        Whether the last vector is without NaN.
    on_bad : str
        As given.
    state_bytes : int
        The size of the streaming state.

    Notes
    -----
    A feature is NaN until it has seen enough bars.  Streaming allocates nothing.  The tier of
    :class:`mlopt.use_isa` is followed bar by bar; on ``"reference"`` every window is recomputed from
    kept history by its textbook definition.  An extractor is not to be used by two threads at once.

    Examples
    --------
    >>> from mlopt.features import FeatureExtractor
    >>> extractor = FeatureExtractor(["sma_2", "return_1"])
    >>> extractor.update(10.0, 11.0, 9.0, 10.0, 1000.0)
    array([nan, nan])
    >>> extractor.update(10.0, 12.0, 10.0, 12.0, 1500.0)
    array([11. ,  0.2])
    """
    cdef readonly tuple names
    cdef readonly int64_t lookback
    cdef readonly str on_bad
    cdef object plan, features
    cdef cnp.ndarray words, memory, scratch, vector, peeked
    cdef object vector_view, peeked_view
    cdef const mlopt_features_plan *compiled
    cdef mlopt_features_state *state
    cdef double *out
    cdef int bad_policy

    def __init__(self, features="default", symbols=1, *, on_bad="raise"):
        if isinstance(symbols, bool) or not isinstance(symbols, (int, np.integer)):
            raise TypeError(f"symbols must be an integer, not {type(symbols).__name__}")
        if symbols != 1:
            raise ValueError(f"symbols={symbols}: only one symbol an extractor is supported so far")
        if isinstance(features, str):
            if features != "default":
                raise ValueError(f"features must be 'default' or a list of names, not {features!r}")
            features = DEFAULT_FEATURES
        parsed = [parse_feature(name) for name in features]
        names = tuple(feature.name for feature in parsed)
        if not names:
            raise ValueError("features must name at least one feature")
        if len(set(names)) < len(names):
            raise ValueError(f"features: {max(names, key=names.count)!r} is there twice")
        if on_bad not in ON_BAD:
            raise ValueError(f"on_bad must be 'raise', 'skip' or 'hold', not {on_bad!r}")
        plan = compile_plan([feature.value for feature in parsed])
        self.names = names
        self.features = tuple(parsed)
        self.lookback = max(plan.ready)
        self.on_bad = on_bad
        self.bad_policy = ON_BAD[on_bad]
        self.plan = plan
        self.words = plan.words
        self.memory = empty_words(len(plan.initial))
        self.scratch = empty_words(len(plan.initial))
        self.vector = empty_words(len(names))
        self.peeked = empty_words(len(names))
        self.vector_view = read_only(self.vector)
        self.peeked_view = read_only(self.peeked)
        self.compiled = <const mlopt_features_plan *>cnp.PyArray_DATA(self.words)
        self.state = <mlopt_features_state *>cnp.PyArray_DATA(self.memory)
        self.out = <double *>cnp.PyArray_DATA(self.vector)
        self.reset()

    def __repr__(self):
        return f"{type(self).__name__}({len(self.names)} features, {self.state.bars} bars seen)"

    def reset(self):
        """Forget every bar."""
        self.memory[:] = self.plan.initial
        self.vector[:] = np.nan
        self.peeked[:] = np.nan

    @property
    def bars_seen(self):
        return self.state.bars

    @property
    def is_ready(self):
        return self.state.bars > self.lookback

    @property
    def state_bytes(self):
        return self.memory.nbytes

    def update(self, double open, double high, double low, double close, double volume):
        """Take in one bar.

        Parameters
        ----------
        open, high, low, close : float
            Prices, positive.
        volume : float
            Traded volume, 0 or more.

        Returns
        -------
        ndarray of float64 or None
            The features: a read-only view of one aligned vector, the same object in every call and
            overwritten by the next (copy it to keep it).  None for a bad bar with ``on_bad="skip"``.

        Raises
        ------
        ValueError
            For a bad bar with ``on_bad="raise"``, naming what is wrong.
        """
        cdef double[5] bar
        bar[0] = open
        bar[1] = high
        bar[2] = low
        bar[3] = close
        bar[4] = volume
        cdef const mlopt_kernels *table = current_table()
        if mlopt_features_bar_fault(bar) != MLOPT_BAR_GOOD:
            return self.refuse(bar, self.vector_view)
        table.features_update_f64(self.compiled, self.state, bar, self.out)
        return self.vector_view

    cdef refuse(self, const double *bar, held):
        if self.bad_policy == ON_BAD_RAISE:
            raise ValueError(describe_fault(bar, ""))
        return held if self.bad_policy == ON_BAD_HOLD else None

    def peek(self, double open, double high, double low, double close, double volume):
        """The features that :meth:`update` would return, leaving the state as it is.

        For a bar that is still forming.  Parameters and errors as for :meth:`update`; the vector
        returned is another one than update's, read-only too and overwritten by the next peek.
        """
        cdef double[5] bar
        bar[0] = open
        bar[1] = high
        bar[2] = low
        bar[3] = close
        bar[4] = volume
        cdef const mlopt_kernels *table = current_table()
        cdef void *scratch = cnp.PyArray_DATA(self.scratch)
        if mlopt_features_bar_fault(bar) != MLOPT_BAR_GOOD:
            return self.refuse(bar, self.vector_view)
        memcpy(scratch, self.state, cnp.PyArray_NBYTES(self.memory))
        table.features_update_f64(self.compiled, scratch, bar, <double *>cnp.PyArray_DATA(self.peeked))
        return self.peeked_view

    def verify(self):
        """Recompute the last bar's features from kept history on the reference tier.

        Every window is recomputed by its textbook definition; recursive features (exponential averages,
        running totals) by one step from the bar before.

        Returns
        -------
        float
            The largest difference from the last vector, relative to the larger of the two numbers and
            of the feature's natural scale: the bar's close for prices and volume for volumes, 100 for
            percentages, 1 for pure numbers.  NaN against a number counts as infinite.

        Raises
        ------
        ValueError
            Before the first bar.
        """
        if self.state.bars == 0:
            raise ValueError("verify: no bar was streamed yet")
        cdef mlopt_features_state *scratch = <mlopt_features_state *>cnp.PyArray_DATA(self.scratch)
        cdef double[5] bar
        memcpy(bar, self.state.last, sizeof(bar))
        memcpy(scratch, self.state, cnp.PyArray_NBYTES(self.memory))
        mlopt_features_step_back(self.compiled, scratch)
        expected = np.empty(len(self.names))
        table_of("reference").features_update_f64(self.compiled, scratch, bar, <double *>cnp.PyArray_DATA(expected))
        scales = {"price": bar[3], "percent": 100.0, "1": 1.0, "volume": bar[4]}
        worst = 0.0
        for feature, now, then in zip(self.features, self.vector.tolist(), expected.tolist(), strict=True):
            if now == then or (math.isnan(now) and math.isnan(then)):
                continue
            difference = abs(now - then) / max(abs(now), abs(then), scales[feature.family.unit])
            worst = max(worst, difference if difference >= 0 else math.inf)
        return worst

    def transform(self, bars):
        """The features of a whole history, bit for bit what streaming it would give.

        Starts from an extractor that has seen nothing, and leaves this one's state alone.

        Parameters
        ----------
        bars : Bars, array_like, DataFrame or mapping of arrays
            Columns open, high, low, close, volume: an (n, 5) array has them in this order, a pandas or
            polars frame or a mapping by name, in any case.

        Returns
        -------
        ndarray of float64, shape (n, len(names))
            One row a bar; the first `lookback` rows contain NaN.  64-byte aligned.
        """
        result, _ = self.run(bars, self.plan.initial)
        return result

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
        result, state = self.run(bars, self.memory)
        self.memory[:] = state
        good = result if self.on_bad != "skip" else result[~np.isnan(result).all(axis=1)]
        if len(good):
            self.vector[:] = good[-1]
        return self

    cdef tuple run(self, bars, initial):
        cdef cnp.ndarray rows = bars_array(bars)
        cdef const mlopt_kernels *table = current_table()
        cdef Py_ssize_t count = rows.shape[0], width = len(self.names), i, bad = -1
        cdef cnp.ndarray result = empty_words(count * width).reshape(count, width)
        cdef cnp.ndarray state = empty_words(len(initial))
        state[:] = initial
        cdef const double *bar = <const double *>cnp.PyArray_DATA(rows)
        cdef double *out = <double *>cnp.PyArray_DATA(result)
        cdef void *memory = cnp.PyArray_DATA(state)
        cdef int policy = self.bad_policy
        cdef cnp.ndarray held = np.array(self.vector) if initial is self.memory else np.full(width, np.nan)
        cdef const double *last = <const double *>cnp.PyArray_DATA(held)
        cdef double missing = np.nan
        with nogil:
            for i in range(count):
                if mlopt_features_bar_fault(bar) == MLOPT_BAR_GOOD:
                    table.features_update_f64(self.compiled, memory, bar, out)
                    last = out
                elif policy == ON_BAD_RAISE:
                    bad = i
                    break
                elif policy == ON_BAD_HOLD:
                    memcpy(out, last, width * sizeof(double))
                else:
                    fill(out, width, missing)
                bar += 5
                out += width
        if bad >= 0:
            raise ValueError(describe_fault(bar, f"bars: bar {bad}: "))
        return result, state

    def get_state(self):
        """The streaming state, as bytes that :meth:`set_state` of an extractor of the same features takes.

        Continuing from it gives the same bits.
        """
        payload = self.memory.tobytes() + self.vector.tobytes()
        header = STATE_HEADER.pack(STATE_MAGIC, STATE_VERSION, self.plan.digest, len(payload), zlib.crc32(payload))
        return header + payload

    def set_state(self, state):
        """Continue from a state that :meth:`get_state` returned.

        Parameters
        ----------
        state : bytes-like
            Of an extractor of the same features.

        Raises
        ------
        ValueError
            If it is not such a state, of other features, of another version or damaged; nothing has
            changed then.
        """
        data = memoryview(state).cast("B")
        if len(data) < STATE_HEADER.size or data[:4] != STATE_MAGIC:
            raise ValueError("state is not what FeatureExtractor.get_state returns")
        _, version, digest, size, checksum = STATE_HEADER.unpack_from(data)
        payload = data[STATE_HEADER.size:]
        if version != STATE_VERSION:
            raise ValueError(f"state has version {version}, expected {STATE_VERSION}")
        if digest != self.plan.digest:
            raise ValueError("state is of an extractor of other features")
        if not size == len(payload) == self.memory.nbytes + self.vector.nbytes:
            raise ValueError(f"state has {len(payload)} bytes behind its header, "
                             f"expected {self.memory.nbytes + self.vector.nbytes}")
        if zlib.crc32(payload) != checksum:
            raise ValueError("state is damaged: its checksum does not match")
        words = np.frombuffer(payload, np.float64)
        if not 0 <= words[:1].view(np.int64)[0] < 2**53:
            raise ValueError("state is damaged: its count of bars is impossible")
        self.memory[:] = words[:len(self.memory)]
        self.vector[:] = words[len(self.memory):]

    def __reduce__(self):
        return restore, (type(self), self.names, self.on_bad, self.get_state())


cdef void fill(double *out, Py_ssize_t count, double value) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(count):
        out[i] = value


cdef read_only(cnp.ndarray array):
    view = array[:]
    view.flags.writeable = False
    return view


def restore(cls, names, on_bad, state):
    """Make an extractor again from its pickle."""
    extractor = cls(names, on_bad=on_bad)
    extractor.set_state(state)
    return extractor
