"""Scaling of feature vectors by statistics that are fitted once or kept running."""
from numbers import Real

import numpy as np

cimport cython
cimport numpy as cnp
from libc.math cimport INFINITY, NAN
from libc.string cimport memcpy

from mlopt._kernels.atomics cimport mlopt_flag_get, mlopt_flag_set
from mlopt._kernels.core cimport current_table
from mlopt._kernels.dispatch cimport mlopt_kernels

from mlopt.features.plan import empty_words
from mlopt.features.state import StateFormat

cnp.import_array()

cdef enum:
    STANDARD
    MINMAX
    ROBUST

METHODS = ("standard", "minmax", "robust")  # in the order of the enum
QUARTILES = (25.0, 75.0)
STATE = StateFormat(b"mlSC", 3, "IIdd", "Scaler.get_state")  # method, features, quantile_range

cdef tuple checked_range(quantile_range):
    try:
        low, high = quantile_range
    except (TypeError, ValueError):
        raise ValueError(f"quantile_range must be two numbers, not {quantile_range!r}") from None
    for percent in (low, high):
        if not isinstance(percent, Real) or isinstance(percent, bool):
            raise TypeError(f"quantile_range must be two real numbers, not {quantile_range!r}")
    if not 0 <= low < high <= 100:
        raise ValueError(f"quantile_range must be rising and from 0 to 100, not {quantile_range!r}")
    return float(low), float(high)


cdef bint overlap(cnp.ndarray a, cnp.ndarray b) noexcept:
    # of two contiguous arrays
    cdef char *first = <char *>cnp.PyArray_DATA(a)
    cdef char *second = <char *>cnp.PyArray_DATA(b)
    return first < second + cnp.PyArray_NBYTES(b) and second < first + cnp.PyArray_NBYTES(a)


cdef class Scaler:
    """Brings every feature to a common scale, in place, one vector or a whole table.

    Parameters
    ----------
    features : int
        Numbers per vector.
    method : {"standard", "minmax", "robust"}, optional
        ``"standard"``: subtract the mean, divide by the population standard deviation.
        ``"minmax"``: map what was seen to the range 0 to 1 (values beyond it go beyond).
        ``"robust"``: subtract the median, divide by the distance of two quantiles, which outliers do not
        move; only fitted, as a stream's quantiles are not kept.
    quantile_range : tuple of float, optional
        For ``"robust"``: the two quantiles in percent, the quartiles by default.

    Attributes
    ----------
    features : int
        As given.
    method : str
        As given.
    quantile_range : tuple of float
        As given.
    counts, means, deviations, minima, maxima : ndarray of float64
        The statistics of each feature so far (copies).
    medians, quantile_spans : ndarray of float64
        For ``"robust"``: the median and the distance of the two quantiles, linearly interpolated (copies);
        NaN for the others.

    Notes
    -----
    NaN (a feature that is not ready) is left out of the statistics and stays NaN.  A feature that never
    varied scales to 0, one that was never seen to NaN.  Where a feature varied but its two quantiles are
    equal, ``"robust"`` only subtracts the median.  Means and deviations are Welford's; neither
    :meth:`update` nor :meth:`transform` and :meth:`inverse_transform` with `out` allocate.

    Examples
    --------
    >>> import numpy as np
    >>> from mlopt.features import Scaler
    >>> scaler = Scaler(2).fit(np.array([[1.0, 10.0], [3.0, 30.0]]))
    >>> scaler.transform(np.array([3.0, 20.0]))
    array([1., 0.])
    >>> robust = Scaler(1, "robust").fit(np.array([[1.0], [2.0], [3.0], [4.0], [1000.0]]))
    >>> robust.transform(np.array([4.0]))
    array([0.5])
    """
    def __init__(self, features, method="standard", *, quantile_range=QUARTILES):
        if isinstance(features, bool) or not isinstance(features, (int, np.integer)):
            raise TypeError(f"features must be an integer, not {type(features).__name__}")
        if not 1 <= features <= 1 << 24:
            raise ValueError(f"features must be from 1 to {1 << 24}, not {features}")
        if method not in METHODS:
            raise ValueError(f"method must be 'standard', 'minmax' or 'robust', not {method!r}")
        quantile_range = checked_range(quantile_range)
        if method != "robust" and quantile_range != QUARTILES:
            raise ValueError(f"quantile_range={quantile_range} is for method='robust'; "
                             f"expected {QUARTILES} for another")
        self.features = features
        self.method = method
        self.quantile_range = quantile_range
        self.kind = METHODS.index(method)
        self.statistics = empty_words(7 * self.features).reshape(7, self.features)
        self.scales = empty_words(2 * self.features)
        self.shift = <double *>cnp.PyArray_DATA(self.scales)
        self.span = self.shift + self.features
        self.count = <double *>cnp.PyArray_DATA(self.statistics)
        self.mean = self.count + self.features
        self.smallest = self.mean + 2 * self.features
        self.largest = self.smallest + self.features
        self.median = self.largest + self.features
        self.distance = self.median + self.features
        self.reset()

    def __repr__(self):
        quantile_range = f", quantile_range={self.quantile_range}" if self.kind == ROBUST else ""
        return f"{type(self).__name__}({self.features}, {self.method!r}{quantile_range})"

    def reset(self):
        """Forget everything seen."""
        self.statistics[:3] = 0
        self.statistics[3] = np.inf
        self.statistics[4] = -np.inf
        self.statistics[5:] = np.nan
        self.stale = True

    @property
    def counts(self):
        return self.statistics[0].copy()

    @property
    def means(self):
        return np.where(self.statistics[0] > 0, self.statistics[1], np.nan)

    @property
    def deviations(self):
        counts = np.maximum(self.statistics[0], 1)
        return np.where(self.statistics[0] > 0, np.sqrt(self.statistics[2] / counts), np.nan)

    @property
    def minima(self):
        return np.where(self.statistics[0] > 0, self.statistics[3], np.nan)

    @property
    def maxima(self):
        return np.where(self.statistics[0] > 0, self.statistics[4], np.nan)

    @property
    def medians(self):
        return self.statistics[5].copy()

    @property
    def quantile_spans(self):
        return self.statistics[6].copy()

    def update(self, x):
        """Take one vector, or the rows of a table, into the statistics.

        Parameters
        ----------
        x : ndarray of float64, shape (features,) or (n, features)
            C-contiguous; NaN is left out, infinities are refused.

        Returns
        -------
        Scaler
            Itself.

        Raises
        ------
        ValueError
            With ``method="robust"``, which takes a table by :meth:`fit`.
        """
        if self.kind == ROBUST:
            raise ValueError("update is not for method='robust': the quantiles of a stream are not kept; use fit")
        cdef Py_ssize_t rows = self.check_numbers(x)
        self.learn(current_table(), <const double *>cnp.PyArray_DATA(x), rows)
        return self

    def fit(self, x):
        """Forget everything, then take in the rows of `x`, whatever the method; parameters as for :meth:`update`."""
        cdef Py_ssize_t rows = self.check_numbers(x)
        quantiles = self.quantiles(x) if self.kind == ROBUST else np.nan
        self.reset()
        self.learn(current_table(), <const double *>cnp.PyArray_DATA(x), rows)
        self.statistics[5:] = quantiles
        return self

    cdef Py_ssize_t check_numbers(self, x) except -1:
        """Refuses what the statistics cannot take in; the number of rows."""
        cdef Py_ssize_t rows = self.check(x, "x", False), i
        cdef const double *values = <const double *>cnp.PyArray_DATA(x)
        for i in range(rows * self.features):
            if values[i] == INFINITY or values[i] == -INFINITY:
                raise ValueError(f"x must be finite or NaN, not {values[i]!r} at {np.unravel_index(i, x.shape)}")
        return rows

    cdef quantiles(self, x):
        """Rows: the median, the distance of the two quantiles; NaN where there is no number."""
        low, high = self.quantile_range
        result = np.full((2, self.features), np.nan)
        for i, column in enumerate(np.atleast_2d(x).T):
            numbers = column[~np.isnan(column)]
            if numbers.size:
                lower, median, upper = np.quantile(numbers, (low / 100, 0.5, high / 100), overwrite_input=True)
                result[:, i] = median, upper - lower
        return result

    cdef void learn(self, const mlopt_kernels *table, const double *x, Py_ssize_t rows) noexcept nogil:
        cdef Py_ssize_t _row, n = self.features
        self.stale = True
        for _row in range(rows):
            table.statistics_update_f64(n, x, self.count, n)
            x += n

    def transform(self, x, out=None):
        """Scale one vector or the rows of a table by the statistics so far.

        Parameters
        ----------
        x : ndarray of float64, shape (features,) or (n, features)
            C-contiguous.
        out : ndarray of float64 or float32, optional
            Where to write, of the same shape; may be `x` itself.  A new float64 array by default.

        Returns
        -------
        ndarray
            `out`.
        """
        return self.convert(x, out, False)

    def inverse_transform(self, x, out=None):
        """Bring back what :meth:`transform` scaled; parameters and what is returned as for it.

        A feature that never varied comes back as its mean, smallest value or median, one never seen as NaN.

        Examples
        --------
        >>> import numpy as np
        >>> from mlopt.features import Scaler
        >>> scaler = Scaler(2, "minmax").fit(np.array([[1.0, 10.0], [3.0, 30.0]]))
        >>> scaler.inverse_transform(np.array([0.5, 2.0]))
        array([ 2., 50.])
        """
        return self.convert(x, out, True)

    cdef convert(self, x, out, bint back):
        cdef Py_ssize_t rows = self.check(x, "x", False)
        if out is None:
            out = empty_words(rows * self.features).reshape((<object>x).shape)
        elif out is not x:
            self.check(out, "out", True)
            if not cnp.PyArray_SAMESHAPE(out, x):
                raise ValueError(f"out must have the shape of x, {x.shape}, not {out.shape}")
            if overlap(out, x) and (cnp.PyArray_DATA(out) != cnp.PyArray_DATA(x)
                                    or cnp.PyArray_TYPE(out) != cnp.NPY_DOUBLE):
                raise ValueError("out must be x itself, of its type, or not overlap it")
        if not cnp.PyArray_ISWRITEABLE(out):
            raise ValueError("out must be writeable")
        if mlopt_flag_get(&self.stale):
            with cython.critical_section(self):
                if self.stale:  # of several threads that transform, one does it
                    self.rescale(current_table())
        cdef const double *values = <const double *>cnp.PyArray_DATA(x)
        if cnp.PyArray_TYPE(out) == cnp.NPY_FLOAT:
            self.scale(values, <float *>cnp.PyArray_DATA(out), rows, back)
        else:
            self.scale(values, <double *>cnp.PyArray_DATA(out), rows, back)
        return out

    cdef void rescale(self, const mlopt_kernels *table) noexcept nogil:
        """What the statistics make of a number x: (x - shift) / span."""
        cdef Py_ssize_t i
        cdef double span
        if self.kind == STANDARD:
            memcpy(self.shift, self.mean, self.features * sizeof(double))
            table.standard_spans_f64(self.features, self.count, self.features, self.span)
            mlopt_flag_set(&self.stale, False)
            return
        for i in range(self.features):
            if self.kind == MINMAX:
                self.shift[i] = self.smallest[i]
                span = self.largest[i] - self.smallest[i]
            else:
                self.shift[i] = self.median[i]
                # many equal values: the quantiles meet, though the feature varied
                span = 1 if self.distance[i] == 0 and self.smallest[i] < self.largest[i] else self.distance[i]
            # what never varied becomes 0, or stays NaN; what was never seen becomes NaN
            self.span[i] = NAN if self.count[i] == 0 else span if span > 0 else INFINITY
        mlopt_flag_set(&self.stale, False)

    cdef void scale(self, const double *x, real *out, Py_ssize_t rows, bint back) noexcept nogil:
        cdef Py_ssize_t _row, i, n = self.features
        cdef const double *shift = self.shift
        cdef const double *span = self.span
        for _row in range(rows):
            if back:
                for i in range(n):
                    out[i] = <real>(x[i] * (0 if span[i] == INFINITY else span[i]) + shift[i])
            else:
                for i in range(n):
                    out[i] = <real>((x[i] - shift[i]) / span[i])
            x += n
            out += n

    cdef Py_ssize_t check(self, x, str name, bint may_be_f32) except -1:
        """Refuses what the loops cannot walk; the number of rows."""
        if not isinstance(x, cnp.ndarray):
            raise TypeError(f"{name} must be an ndarray, not {type(x).__name__}")
        cdef cnp.ndarray array = x
        cdef int kind = cnp.PyArray_TYPE(array), dimensions = cnp.PyArray_NDIM(array)
        if kind != cnp.NPY_DOUBLE and not (may_be_f32 and kind == cnp.NPY_FLOAT) or cnp.PyArray_ISBYTESWAPPED(array):
            raise TypeError(f"{name} must be float64{' or float32' if may_be_f32 else ''}, not {x.dtype}")
        if not 1 <= dimensions <= 2 or array.shape[dimensions - 1] != self.features:
            raise ValueError(f"{name} must have shape ({self.features},) or (n, {self.features}), not {x.shape}")
        if not cnp.PyArray_IS_C_CONTIGUOUS(array) or not cnp.PyArray_ISALIGNED(array):
            raise ValueError(f"{name} must be C-contiguous and aligned to its elements")
        return 1 if dimensions == 1 else array.shape[0]

    def get_state(self):
        """The statistics, as bytes that :meth:`set_state` takes."""
        return STATE.pack((self.kind, self.features, *self.quantile_range), self.statistics.tobytes())

    def set_state(self, state):
        """Continue from statistics that :meth:`get_state` of a scaler of the same kind returned.

        Raises
        ------
        ValueError
            If it is not such a state or damaged; nothing has changed then.
        """
        fields, payload = STATE.unpack(state)
        kind, features, low, high = fields[:4]
        if (kind, features, (low, high)) != (self.kind, self.features, self.quantile_range):
            method = METHODS[kind] if kind < len(METHODS) else kind
            raise ValueError(f"state is of a scaler of {features} features, method {method!r}, quantile_range "
                             f"{(low, high)}; expected {self.features}, {self.method!r}, {self.quantile_range}")
        self.statistics[:] = STATE.numbers(fields, payload, self.statistics.size).reshape(7, -1)
        self.stale = True

    def __reduce__(self):
        return restore, (type(self), self.features, self.method, self.quantile_range, self.get_state())


def restore(cls, features, method, quantile_range, state):
    """Make a scaler again from its pickle."""
    scaler = cls(features, method, quantile_range=quantile_range)
    scaler.set_state(state)
    return scaler
