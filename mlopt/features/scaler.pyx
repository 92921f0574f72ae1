"""Scaling of feature vectors by statistics that are fitted once or kept running."""
import struct
import zlib

import numpy as np

cimport numpy as cnp
from libc.math cimport INFINITY, NAN, sqrt

from mlopt.features.plan import empty_words

cnp.import_array()

METHODS = ("standard", "minmax")
STATE_HEADER = struct.Struct("<4sIIII")  # magic, version, method, features, checksum
STATE_MAGIC, STATE_VERSION = b"mlSC", 1

ctypedef fused real:
    float
    double


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
    method : {"standard", "minmax"}, optional
        ``"standard"``: subtract the mean, divide by the population standard deviation.
        ``"minmax"``: map what was seen to the range 0 to 1 (values beyond it go beyond).

    Attributes
    ----------
    features : int
        As given.
    method : str
        As given.
    counts, means, deviations, minima, maxima : ndarray of float64
        The statistics of each feature so far (copies).

    Notes
    -----
    NaN (a feature that is not ready) is left out of the statistics and stays NaN.  A feature that never
    varied scales to 0, one that was never seen to NaN.  Statistics are Welford's; neither :meth:`update`
    nor :meth:`transform` with `out` allocates.

    Examples
    --------
    >>> import numpy as np
    >>> from mlopt.features import Scaler
    >>> scaler = Scaler(2).fit(np.array([[1.0, 10.0], [3.0, 30.0]]))
    >>> scaler.transform(np.array([3.0, 20.0]))
    array([1., 0.])
    """
    cdef readonly Py_ssize_t features
    cdef readonly str method
    cdef bint is_minmax
    cdef cnp.ndarray scales
    cdef cnp.ndarray statistics  # rows: count, mean, sum of squared deviations, smallest, largest
    cdef double *count
    cdef double *mean
    cdef double *squares
    cdef double *smallest
    cdef double *largest
    cdef double *shift  # what transform subtracts and divides by, made from the statistics when needed
    cdef double *span
    cdef bint stale

    def __init__(self, features, method="standard"):
        if isinstance(features, bool) or not isinstance(features, (int, np.integer)):
            raise TypeError(f"features must be an integer, not {type(features).__name__}")
        if not 1 <= features <= 1 << 24:
            raise ValueError(f"features must be from 1 to {1 << 24}, not {features}")
        if method not in METHODS:
            raise ValueError(f"method must be 'standard' or 'minmax', not {method!r}")
        self.features = features
        self.method = method
        self.is_minmax = method == "minmax"
        self.statistics = empty_words(5 * self.features).reshape(5, self.features)
        self.scales = empty_words(2 * self.features)
        self.shift = <double *>cnp.PyArray_DATA(self.scales)
        self.span = self.shift + self.features
        self.count = <double *>cnp.PyArray_DATA(self.statistics)
        self.mean = self.count + self.features
        self.squares = self.mean + self.features
        self.smallest = self.squares + self.features
        self.largest = self.smallest + self.features
        self.reset()

    def __repr__(self):
        return f"{type(self).__name__}({self.features}, {self.method!r})"

    def reset(self):
        """Forget everything seen."""
        self.statistics[:3] = 0
        self.statistics[3] = np.inf
        self.statistics[4] = -np.inf
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
        """
        cdef Py_ssize_t rows = self.check(x, "x", False), row
        cdef const double *values = <const double *>cnp.PyArray_DATA(x)
        for row in range(rows * self.features):
            if values[row] == INFINITY or values[row] == -INFINITY:
                raise ValueError(f"x must be finite or NaN, not {values[row]!r} at {np.unravel_index(row, x.shape)}")
        self.stale = True
        for row in range(rows):
            self.learn(values + row * self.features)
        return self

    def fit(self, x):
        """Forget everything, then take in the rows of `x`; parameters as for :meth:`update`."""
        before = self.statistics.copy()
        self.reset()
        try:
            return self.update(x)
        except BaseException:
            self.statistics[:] = before
            self.stale = True
            raise

    cdef void learn(self, const double *x) noexcept nogil:
        cdef Py_ssize_t i
        cdef double value, difference
        for i in range(self.features):
            value = x[i]
            if value != value:
                continue
            self.count[i] += 1
            difference = value - self.mean[i]
            self.mean[i] += difference / self.count[i]
            self.squares[i] += difference * (value - self.mean[i])
            self.smallest[i] = value if value < self.smallest[i] else self.smallest[i]
            self.largest[i] = value if value > self.largest[i] else self.largest[i]

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
        if self.stale:
            self.rescale()
        cdef const double *values = <const double *>cnp.PyArray_DATA(x)
        if cnp.PyArray_TYPE(out) == cnp.NPY_FLOAT:
            self.scale(values, <float *>cnp.PyArray_DATA(out), rows)
        else:
            self.scale(values, <double *>cnp.PyArray_DATA(out), rows)
        return out

    cdef void rescale(self) noexcept nogil:
        """What the statistics make of a number x: (x - shift) / span."""
        cdef Py_ssize_t i
        cdef double span
        for i in range(self.features):
            if self.is_minmax:
                self.shift[i] = self.smallest[i]
                span = self.largest[i] - self.smallest[i]
            else:
                self.shift[i] = self.mean[i]
                span = sqrt(self.squares[i] / self.count[i])
            # what never varied becomes 0, or stays NaN; what was never seen becomes NaN
            self.span[i] = NAN if self.count[i] == 0 else span if span > 0 else INFINITY
        self.stale = False

    cdef void scale(self, const double *x, real *out, Py_ssize_t rows) noexcept nogil:
        cdef Py_ssize_t _row, i, n = self.features
        cdef const double *shift = self.shift
        cdef const double *span = self.span
        for _row in range(rows):
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
        payload = self.statistics.tobytes()
        return STATE_HEADER.pack(STATE_MAGIC, STATE_VERSION, self.is_minmax, self.features,
                                 zlib.crc32(payload)) + payload

    def set_state(self, state):
        """Continue from statistics that :meth:`get_state` of a scaler of the same kind returned.

        Raises
        ------
        ValueError
            If it is not such a state or damaged; nothing has changed then.
        """
        data = memoryview(state).cast("B")
        if len(data) < STATE_HEADER.size or data[:4] != STATE_MAGIC:
            raise ValueError("state is not what Scaler.get_state returns")
        _, version, is_minmax, features, checksum = STATE_HEADER.unpack_from(data)
        payload = data[STATE_HEADER.size:]
        if version != STATE_VERSION:
            raise ValueError(f"state has version {version}, expected {STATE_VERSION}")
        if is_minmax != self.is_minmax or features != self.features:
            raise ValueError(f"state is of a scaler of {features} features, method {METHODS[is_minmax & 1]!r}; "
                             f"expected {self.features}, {self.method!r}")
        if len(payload) != self.statistics.nbytes or zlib.crc32(payload) != checksum:
            raise ValueError("state is damaged: its length or checksum does not match")
        self.statistics[:] = np.frombuffer(payload, np.float64).reshape(5, -1)
        self.stale = True

    def __reduce__(self):
        return restore, (type(self), self.features, self.method, self.get_state())


def restore(cls, features, method, state):
    """Make a scaler again from its pickle."""
    scaler = cls(features, method)
    scaler.set_state(state)
    return scaler
