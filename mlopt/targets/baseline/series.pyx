"""Series of indicators over a window of bars: one sequential scalar loop each, into a fresh array.

Every function takes float64 arrays of one length and `first`, the place of the first value that is
defined; what comes before the first defined result is NaN.
"""
cimport numpy as cnp
from libc.math cimport NAN, fabs, log, sqrt

cnp.import_array()


cdef cnp.ndarray fresh(Py_ssize_t n, Py_ssize_t undefined, double **data):
    cdef cnp.npy_intp length = n
    cdef cnp.ndarray series = cnp.PyArray_EMPTY(1, &length, cnp.NPY_DOUBLE, 0)
    cdef Py_ssize_t i
    data[0] = <double *>cnp.PyArray_DATA(series)
    for i in range(min(n, undefined)):
        data[0][i] = NAN
    return series


cdef enum:
    COUNT = 22
    FIRST_CHANGE = 13  # from here on they are of a bar and the one before

SERIES = ("zero", "open", "high", "low", "close", "volume", "typical", "range", "body", "upper_shadow",
          "lower_shadow", "money", "signed_volume", "change", "gain", "loss", "true_range", "buying", "inflow",
          "outflow", "plus_movement", "minus_movement")


def of_bars(const double[:, ::1] bars):
    """The series that bars give directly, in the order of SERIES; bars have columns open, high, low, close, volume."""
    cdef Py_ssize_t n = bars.shape[0], i, before
    cdef double *out[COUNT]
    cdef double open, high, low, close, volume, last_close, typical, last_typical, rise, fall
    series = [fresh(n, 0, &out[i]) for i in range(COUNT)]
    for i in range(n):
        before = i - 1 if i else 0
        open, high, low, close, volume = bars[i, 0], bars[i, 1], bars[i, 2], bars[i, 3], bars[i, 4]
        last_close = bars[before, 3]
        typical = (high + low + close) / 3
        last_typical = (bars[before, 1] + bars[before, 2] + bars[before, 3]) / 3 if i else typical
        rise, fall = high - bars[before, 1], bars[before, 2] - low
        out[0][i] = 0
        out[1][i] = open
        out[2][i] = high
        out[3][i] = low
        out[4][i] = close
        out[5][i] = volume
        out[6][i] = typical
        out[7][i] = high - low
        out[8][i] = close - open
        out[9][i] = high - max(open, close)
        out[10][i] = min(open, close) - low
        out[11][i] = typical * volume
        out[12][i] = volume * ((close > last_close) - (close < last_close)) if i else volume
        out[13][i] = close - last_close
        out[14][i] = max(close - last_close, 0)
        out[15][i] = max(last_close - close, 0)
        out[16][i] = max(high - low, max(fabs(high - last_close), fabs(low - last_close)))
        out[17][i] = close - min(low, last_close)
        out[18][i] = typical * volume if typical > last_typical else 0
        out[19][i] = typical * volume if typical < last_typical else 0
        out[20][i] = rise if rise > 0 and rise > fall else 0
        out[21][i] = fall if fall > 0 and fall > rise else 0
    for i in range(FIRST_CHANGE, COUNT if n else 0):
        out[i][0] = NAN
    return series


def lag(const double[::1] x, Py_ssize_t first, Py_ssize_t bars):
    """`x` as it was so many bars before."""
    cdef Py_ssize_t n = x.shape[0], i
    cdef double *out
    cdef cnp.ndarray series = fresh(n, first + bars, &out)
    for i in range(first + bars, n):
        out[i] = x[i - bars]
    return series


def linear(const double[::1] a, const double[::1] b, Py_ssize_t first, double weight, double scale, double offset):
    """``scale * (a + weight * b) + offset``."""
    cdef Py_ssize_t n = a.shape[0], i
    cdef double *out
    cdef cnp.ndarray series = fresh(n, first, &out)
    for i in range(first, n):
        out[i] = scale * (a[i] + weight * b[i]) + offset
    return series


def product(const double[::1] a, const double[::1] b, Py_ssize_t first):
    """``a * b``."""
    cdef Py_ssize_t n = a.shape[0], i
    cdef double *out
    cdef cnp.ndarray series = fresh(n, first, &out)
    for i in range(first, n):
        out[i] = a[i] * b[i]
    return series


def distance(const double[::1] a, const double[::1] b, Py_ssize_t first, double weight, double scale):
    """``scale * abs(a + weight * b)``."""
    cdef Py_ssize_t n = a.shape[0], i
    cdef double *out
    cdef cnp.ndarray series = fresh(n, first, &out)
    for i in range(first, n):
        out[i] = scale * fabs(a[i] + weight * b[i])
    return series


def quotient(const double[::1] a, const double[::1] b, const double[::1] c, const double[::1] d, Py_ssize_t first,
             double weight, double divisor_weight, double scale, double offset, double empty):
    """``scale * (a + weight * b) / (c + divisor_weight * d) + offset``, `empty` where the divisor is 0."""
    cdef Py_ssize_t n = a.shape[0], i
    cdef double *out
    cdef cnp.ndarray series = fresh(n, first, &out)
    cdef double divisor
    for i in range(first, n):
        divisor = c[i] + divisor_weight * d[i]
        out[i] = empty if divisor == 0 else scale * (a[i] + weight * b[i]) / divisor + offset
    return series


def logarithm(const double[::1] a, const double[::1] b, Py_ssize_t first):
    """``log(a / b)``, 0 where b is 0."""
    cdef Py_ssize_t n = a.shape[0], i
    cdef double *out
    cdef cnp.ndarray series = fresh(n, first, &out)
    for i in range(first, n):
        out[i] = 0 if b[i] == 0 else log(a[i] / b[i])
    return series


def root(const double[::1] x, Py_ssize_t first, double scale):
    """``sqrt(scale * x)``."""
    cdef Py_ssize_t n = x.shape[0], i
    cdef double *out
    cdef cnp.ndarray series = fresh(n, first, &out)
    for i in range(first, n):
        out[i] = sqrt(max(scale * x[i], 0))
    return series


def window_sum(const double[::1] x, Py_ssize_t first, Py_ssize_t count):
    """The sum of the last `count`, sliding, and their mean."""
    cdef Py_ssize_t n = x.shape[0], i
    cdef double *sum_
    cdef double *mean
    cdef cnp.ndarray sums = fresh(n, first + count - 1, &sum_), means = fresh(n, first + count - 1, &mean)
    cdef double total = 0
    for i in range(first, n):
        total += x[i]
        if i >= first + count:
            total -= x[i - count]
        if i >= first + count - 1:
            sum_[i] = total
            mean[i] = total / count
    return sums, means


def weighted(const double[::1] x, const double[::1] total, Py_ssize_t first, Py_ssize_t count, double divisor):
    """The sum of the last `count` weighted 1 (oldest) to `count`, sliding, over `divisor`; `total` is the plain sum."""
    cdef Py_ssize_t n = x.shape[0], i
    cdef double *out
    cdef cnp.ndarray series = fresh(n, first + count - 1, &out)
    cdef double value = 0
    for i in range(first, n):
        if i >= first + count:
            value += count * x[i] - total[i - 1]
        else:
            value += (i - first + 1) * x[i]
        if i >= first + count - 1:
            out[i] = value / divisor
    return series


def moments(const double[::1] x, Py_ssize_t first, Py_ssize_t count):
    """Mean and population standard deviation of the last `count`: sliding sums of x and of its square.

    Both about the first value, so that the squares do not swamp the variance.
    """
    cdef Py_ssize_t n = x.shape[0], i
    cdef double *mean
    cdef double *deviation
    cdef cnp.ndarray means = fresh(n, first + count - 1, &mean)
    cdef cnp.ndarray deviations = fresh(n, first + count - 1, &deviation)
    cdef double total = 0, squares = 0, origin = x[first] if first < n else 0, new, old
    for i in range(first, n):
        new = x[i] - origin
        total += new
        squares += new * new
        if i >= first + count:
            old = x[i - count] - origin
            total -= old
            squares -= old * old
        if i >= first + count - 1:
            mean[i] = origin + total / count
            deviation[i] = sqrt(max(squares / count - (total / count) * (total / count), 0))
    return means, deviations


def average(const double[::1] x, double alpha, Py_ssize_t count, double divisor, Py_ssize_t start, Py_ssize_t first):
    """Exponential average: seeded with the sum of `count` values from `start` on over `divisor`, then one step a bar.

    It counts from `first` on.
    """
    cdef Py_ssize_t n = x.shape[0], i
    cdef double *out
    cdef cnp.ndarray series = fresh(n, first, &out)
    cdef double value = 0
    for i in range(start, n):
        if i < start + count:
            value += x[i] / divisor
        else:
            value += alpha * (x[i] - value)
        if i >= first:
            out[i] = value
    return series


def adaptive(const double[::1] x, const double[::1] weight, Py_ssize_t first):
    """Exponential average with a weight of its own at every bar, from the value before `first` on."""
    cdef Py_ssize_t n = x.shape[0], i
    cdef double *out
    cdef cnp.ndarray series = fresh(n, first, &out)
    cdef double value = x[first - 1] if 0 < first < n else 0
    for i in range(first, n):
        value += weight[i] * (x[i] - value)
        out[i] = value
    return series


def sar(const double[::1] high, const double[::1] low, double acceleration, double maximum, Py_ssize_t first):
    """Wilder's parabolic stop and reverse; the movement into bar `first` says on which side it begins."""
    cdef Py_ssize_t n = high.shape[0], i, before = first
    cdef double *out
    cdef cnp.ndarray series = fresh(n, first, &out)
    cdef double stop, extreme, factor = acceleration, fall
    cdef bint long_side
    if first >= n:
        return series
    fall = low[first - 1] - low[first]
    long_side = fall <= 0 or fall <= high[first] - high[first - 1]
    stop = low[first - 1] if long_side else high[first - 1]
    extreme = high[first] if long_side else low[first]
    for i in range(first, n):
        if low[i] <= stop if long_side else high[i] >= stop:
            # reversed: the stop is where the extreme was, outside of the last two bars
            long_side = not long_side
            stop = min(extreme, min(low[before], low[i])) if long_side else max(extreme, max(high[before], high[i]))
            extreme = high[i] if long_side else low[i]
            factor = acceleration
            out[i] = stop
        else:
            out[i] = stop
            if high[i] > extreme if long_side else low[i] < extreme:
                extreme = high[i] if long_side else low[i]
                factor = min(factor + acceleration, maximum)
        stop += factor * (extreme - stop)
        stop = min(stop, min(low[before], low[i])) if long_side else max(stop, max(high[before], high[i]))
        before = i
    return series


def extremum(const double[::1] x, Py_ssize_t first, double sign, Py_ssize_t count):
    """The highest (`sign` 1) or lowest (-1) of the last `count`; searched anew only when it leaves the window."""
    cdef Py_ssize_t n = x.shape[0], i, j, best = -1
    cdef double *out
    cdef cnp.ndarray series = fresh(n, first + count - 1, &out)
    for i in range(first + count - 1, n):
        if best <= i - count:
            best = i - count + 1
            for j in range(best + 1, i + 1):
                if sign * x[j] >= sign * x[best]:
                    best = j
        elif sign * x[i] >= sign * x[best]:
            best = i
        out[i] = x[best]
    return series


def deviation(const double[::1] mean, const double[::1] x, Py_ssize_t first, Py_ssize_t count):
    """The mean absolute deviation of the last `count` from their mean; `first` is where the mean begins."""
    cdef Py_ssize_t n = x.shape[0], i, j
    cdef double *out
    cdef cnp.ndarray series = fresh(n, first, &out)
    cdef double total
    for i in range(first, n):
        total = 0
        for j in range(i - count + 1, i + 1):
            total += fabs(x[j] - mean[i])
        out[i] = total / count
    return series


def age(const double[::1] extreme, const double[::1] x, Py_ssize_t first, Py_ssize_t count):
    """How many bars ago the extreme of the last `count` was, the latest if several; searched only when it leaves."""
    cdef Py_ssize_t n = x.shape[0], i, place = first - count
    cdef double *out
    cdef cnp.ndarray series = fresh(n, first, &out)
    for i in range(first, n):
        if x[i] == extreme[i]:
            place = i
        elif place <= i - count:
            place = i - 1
            while x[place] != extreme[i]:
                place -= 1
        out[i] = i - place
    return series


def shape(const double[::1] mean, const double[::1] x, Py_ssize_t first, Py_ssize_t count, double skew_factor,
          double kurtosis_factor, double kurtosis_offset):
    """Skewness and excess kurtosis of the last `count`, 0 where all are equal; `first` is where the mean begins."""
    cdef Py_ssize_t n = x.shape[0], i, j
    cdef double *skewness
    cdef double *kurtosis
    cdef cnp.ndarray third_series = fresh(n, first, &skewness)
    cdef cnp.ndarray fourth_series = fresh(n, first, &kurtosis)
    cdef double second, third, fourth, d
    for i in range(first, n):
        second = third = fourth = 0
        for j in range(i - count + 1, i + 1):
            d = x[j] - mean[i]
            second += d * d
            third += d * d * d
            fourth += d * d * d * d
        second /= count
        skewness[i] = skew_factor * (third / count) / (second * sqrt(second)) if second else 0
        kurtosis[i] = kurtosis_factor * (fourth / count) / (second * second) - kurtosis_offset if second else 0
    return third_series, fourth_series


def rank(const double[::1] x, Py_ssize_t first, Py_ssize_t count):
    """The rank of the last of `count` among them, over `count`; of equals, the mean of their ranks."""
    cdef Py_ssize_t n = x.shape[0], i, j, less, equal
    cdef double *out
    cdef cnp.ndarray series = fresh(n, first + count - 1, &out)
    for i in range(first + count - 1, n):
        less = equal = 0
        for j in range(i - count + 1, i + 1):
            less += x[j] < x[i]
            equal += x[j] == x[i]
        out[i] = (less + (equal + 1) / 2.0) / count
    return series


def covariance(const double[::1] mean_x, const double[::1] mean_y, const double[::1] x, const double[::1] y,
               Py_ssize_t first, Py_ssize_t count):
    """The mean product of the deviations of the last `count`: a sliding sum of products about the first values."""
    cdef Py_ssize_t n = x.shape[0], i
    cdef double *out
    cdef cnp.ndarray series = fresh(n, first + count - 1, &out)
    cdef double total = 0, origin_x = x[first] if first < n else 0, origin_y = y[first] if first < n else 0
    for i in range(first, n):
        total += (x[i] - origin_x) * (y[i] - origin_y)
        if i >= first + count:
            total -= (x[i - count] - origin_x) * (y[i - count] - origin_y)
        if i >= first + count - 1:
            out[i] = total / count - (mean_x[i] - origin_x) * (mean_y[i] - origin_y)
    return series


def accumulate(const double[::1] x, Py_ssize_t first):
    """The sum of all so far."""
    cdef Py_ssize_t n = x.shape[0], i
    cdef double *out
    cdef cnp.ndarray series = fresh(n, first, &out)
    cdef double total = 0
    for i in range(first, n):
        total += x[i]
        out[i] = total
    return series
