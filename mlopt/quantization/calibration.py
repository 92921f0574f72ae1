"""The range of numbers that bytes should stand for, found from batches of examples.

A wide range keeps outliers, a narrow one the digits of all others.  :class:`MinMax` keeps everything,
:class:`Percentile` cuts off a share, :class:`MSE` and :class:`Entropy` minimise what the bytes lose, as a squared
error or in information.
All but MinMax look at a histogram (``histogram.py``); results do not depend on how the numbers came in batches.
"""

from __future__ import annotations

import operator
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from mlopt.quantization.arrays import dequantize, quantize, range_parameters
from mlopt.quantization.histogram import Histogram

__all__ = ["MSE", "Calibrator", "Entropy", "MinMax", "Percentile", "calibrator"]


def _numbers(x: ArrayLike) -> NDArray[np.float32]:
    """Finite float32."""
    if isinstance(x, np.ma.MaskedArray):
        raise TypeError("x is a masked array; fill or compress it first")
    given = np.asarray(x)
    if given.dtype.kind not in "biuf":
        raise TypeError(f"x has elements of type {given.dtype}; expected real numbers")
    with np.errstate(over="ignore", invalid="ignore"):
        numbers = given.astype(np.float32, copy=False)
    if not np.isfinite(numbers).all():
        raise ValueError("x has a number that is not finite, or not in float32; expected finite numbers")
    return numbers


class Calibrator:
    """What all calibrators have."""

    def update(self, x: ArrayLike) -> Calibrator:
        """Take a batch into account.

        Parameters
        ----------
        x : array_like
            Finite real numbers of any shape.

        Returns
        -------
        Calibrator
            Itself.

        Raises
        ------
        TypeError
            If `x` has other than real numbers.
        ValueError
            If a number is not finite; nothing of the batch is counted then.
        """
        self._add(_numbers(x))
        return self

    def range(self) -> tuple[float, float]:
        """The smallest and the largest number to stand for.

        Returns
        -------
        tuple of float
            ``(low, high)``, for 256 bytes.

        Raises
        ------
        ValueError
            If no numbers have come yet.
        """
        self._check()
        return self._range(symmetric=False)

    def parameters(self, dtype: DTypeLike = "int8", symmetric: bool | None = None) -> tuple[Any, Any]:
        """Scale and zero point.

        Parameters
        ----------
        dtype : {"int8", "uint8"}, default: "int8"
            The type of the bytes.
        symmetric : bool, optional
            Whether the zero point is the middle; by default, True for int8 and False for uint8.

        Returns
        -------
        tuple of (float32, int8 or uint8)
            ``(scale, zero_point)``.

        Raises
        ------
        TypeError
            If `dtype` is neither.
        ValueError
            If no numbers have come yet.
        """
        self._check()
        if symmetric is None:
            symmetric = dtype in ("int8", np.int8) or np.dtype(dtype) == np.int8
        low, high = self._range(bool(symmetric))
        return range_parameters(low, high, dtype, bool(symmetric))

    def _check(self) -> None:
        if not self._count():
            raise ValueError("no numbers yet: call update first")

    def _add(self, x: NDArray[np.float32]) -> None:
        raise NotImplementedError

    def _count(self) -> int:
        raise NotImplementedError

    def _range(self, symmetric: bool) -> tuple[float, float]:
        raise NotImplementedError


class MinMax(Calibrator):
    """All numbers that came: from the smallest to the largest.

    Nothing saturates, and one outlier decides the scale of everything.

    Examples
    --------
    >>> import numpy as np, mlopt
    >>> calibrator = mlopt.quantization.MinMax()
    >>> for batch in ([0.5, -1.0], [2.0, 0.0]):
    ...     calibrator.update(batch).range()
    (-1.0, 0.5)
    (-1.0, 2.0)
    >>> scale, zero_point = calibrator.parameters("uint8")
    >>> print(scale, zero_point)
    0.011764706 85
    """

    def __init__(self) -> None:
        self._seen = 0
        self._low, self._high = np.inf, -np.inf

    def _add(self, x: NDArray[np.float32]) -> None:
        if x.size:
            self._seen += x.size
            self._low, self._high = min(self._low, float(x.min())), max(self._high, float(x.max()))

    def _count(self) -> int:
        return self._seen

    def _range(self, symmetric: bool) -> tuple[float, float]:
        return self._low, self._high


class _OfHistogram(Calibrator):
    """Calibrators that look at a histogram."""

    def __init__(self, bins: int = 2048) -> None:
        try:
            count = operator.index(bins)
        except TypeError:
            raise TypeError(f"bins must be an integer, not {type(bins).__name__}") from None
        if not 512 <= count <= 1 << 20 or count & (count - 1):
            raise ValueError(f"bins is {count}; expected a power of two from 512 to {1 << 20}")
        self.bins = count
        self._histogram = Histogram(count)

    def _add(self, x: NDArray[np.float32]) -> None:
        self._histogram.add(x)

    def _count(self) -> int:
        return self._histogram.count


class Percentile(_OfHistogram):
    """All but a share of the numbers.

    Parameters
    ----------
    percentile : float, default: 99.99
        How many of a hundred numbers are kept; half of the others are cut off at either end.
    bins : int, default: 2048
        At least so many bins up to the largest magnitude; a power of two. A quantile is exact to the width of a bin.

    Attributes
    ----------
    percentile, bins
        As given.

    Raises
    ------
    ValueError
        If `percentile` is not above 0 and at most 100, or `bins` not a power of two from 512 to 2**20.

    Notes
    -----
    H. Wu et al., "Integer Quantization for Deep Learning Inference: Principles and Empirical Evaluation"
    (arXiv 2004.09602).

    Examples
    --------
    >>> import numpy as np, mlopt
    >>> x = np.append(np.linspace(-1, 1, 100_001), 1000.0)
    >>> low, high = mlopt.quantization.Percentile(99.9, bins=1 << 20).update(x).range()
    >>> print(f"{low:.3f} {high:.3f}")
    -0.999 0.999
    """

    def __init__(self, percentile: float = 99.99, bins: int = 2048) -> None:
        super().__init__(bins)
        if not 0 < percentile <= 100:
            raise ValueError(f"percentile is {percentile}; expected a number above 0, at most 100")
        self.percentile = percentile

    def _range(self, symmetric: bool) -> tuple[float, float]:
        cut = (100 - self.percentile) / 200
        return self._histogram.quantile(cut), self._histogram.quantile(1 - cut)


class MSE(_OfHistogram):
    """The range whose bytes have the smallest mean squared error.

    Parameters
    ----------
    candidates : int, default: 100
        How many ranges are tried in each search.
    bins : int, default: 2048
        At least so many bins up to the largest magnitude; a power of two.

    Attributes
    ----------
    candidates, bins
        As given.

    Raises
    ------
    ValueError
        If `candidates` is below 2, or `bins` not a power of two from 512 to 2**20.

    Notes
    -----
    Every occupied bin stands for its middle. Ranges are shares of the whole one, first of both ends together, then of
    either end by itself, twice. M. Nagel et al., "A White Paper on Neural Network Quantization" (arXiv 2106.08295).

    Examples
    --------
    >>> import numpy as np, mlopt
    >>> x = np.random.default_rng(0).laplace(size=100_000)
    >>> low, high = mlopt.quantization.MSE().update(x).range()
    >>> print(f"{x.max():.1f} {high:.1f}")
    11.9 10.3
    """

    def __init__(self, candidates: int = 100, bins: int = 2048) -> None:
        super().__init__(bins)
        if operator.index(candidates) < 2:
            raise ValueError(f"candidates is {candidates}; expected at least 2")
        self.candidates = operator.index(candidates)

    def _range(self, symmetric: bool) -> tuple[float, float]:
        low, high = min(self._histogram.low, 0.0), max(self._histogram.high, 0.0)
        if low == high:
            return low, high
        middles, weights = self._histogram.occupied()
        shares = np.arange(1, self.candidates + 1) / self.candidates
        if symmetric:
            reach = max(-low, high) * shares
            best = float(reach[_squared_errors(middles, weights, -reach, reach, symmetric=True).argmin()])
            return -best, best
        lows, highs = low * shares, high * shares
        at_low = at_high = int(_squared_errors(middles, weights, lows, highs, symmetric=False).argmin())
        for _ in range(2):
            at_low = int(_squared_errors(middles, weights, lows, highs[at_high], symmetric=False).argmin())
            at_high = int(_squared_errors(middles, weights, lows[at_low], highs, symmetric=False).argmin())
        return float(lows[at_low]), float(highs[at_high])


def _squared_errors(middles: NDArray[Any], weights: NDArray[Any], low: Any, high: Any, *, symmetric: bool) -> Any:
    """What ranges lose on numbers with weights, one error a range."""
    low, high = np.broadcast_arrays(low, high)
    errors = np.empty(low.shape)
    for i, (least, largest) in enumerate(zip(low, high, strict=True)):
        levels = 254 if symmetric else 255
        scale = max((largest - least) / levels, np.finfo(np.float32).tiny)
        shift = 127 if symmetric else np.rint(np.clip(-least / scale, 0, 255))
        steps = np.clip(np.rint(middles / scale) + shift, 0, levels) - shift
        errors[i] = np.dot(weights, np.square(steps * scale - middles))
    return errors


class Entropy(_OfHistogram):
    """The range whose bytes lose the least information: TensorRT's calibration.

    Parameters
    ----------
    bins : int, default: 2048
        At least so many bins up to the largest magnitude; a power of two.

    Attributes
    ----------
    bins
        As given.

    Raises
    ------
    ValueError
        If `bins` is not a power of two from 512 to 2**20.

    Notes
    -----
    For every threshold, the distribution of magnitudes with everything above it moved to its last bin is compared with
    the same quantised to 128 levels (256 where no number is negative and the bytes are not symmetric) by the
    Kullback-Leibler divergence; the threshold with the smallest is taken. The bin at zero counts as its neighbour,
    because many numbers that are exactly zero would decide everything else. Where outliers go to a bin that is empty in
    the quantised form, which would make the divergence infinite, it counts as holding one number. A search looks at
    `bins` to twice as many thresholds, and at as many numbers as there are levels for each.

    S. Migacz, "8-bit Inference with TensorRT" (GPU Technology Conference 2017).

    Examples
    --------
    >>> import numpy as np, mlopt
    >>> x = np.append(np.random.default_rng(0).standard_normal(100_000), 100.0)
    >>> low, high = mlopt.quantization.Entropy().update(x).range()
    >>> bool(high < 20)
    True
    """

    def _range(self, symmetric: bool) -> tuple[float, float]:
        low, high = self._histogram.low, self._histogram.high
        if low == high == 0:
            return low, high
        levels = 256 if low >= 0 and not symmetric else 128
        threshold = _least_divergence(self._histogram.magnitudes(), levels) * self._histogram.width
        return max(low, -threshold), min(high, threshold)


def _least_divergence(counts: NDArray[Any], levels: int) -> int:
    """The number of bins, at least `levels`, after which to cut."""
    counts = counts.copy()
    counts[0] = counts[1] if counts[1:].any() else counts[0]
    total = counts.sum()
    some = counts > 0
    before = np.concatenate([[0.0], np.cumsum(counts)])
    filled = np.concatenate([[0], np.cumsum(some)])
    logs = np.where(some, np.log(np.where(some, counts, 1.0)), 0.0)
    entropies = np.concatenate([[0.0], np.cumsum(counts * logs)])
    best, smallest = counts.size, np.inf
    for cut in range(max(levels, int(np.argmax(some)) + 1), counts.size + 1):
        outliers = total - before[cut]
        edges = np.arange(levels + 1) * cut // levels
        sums, occupied = np.diff(before[edges]), np.diff(filled[edges])
        there = occupied > 0
        means = np.log(sums[there] / occupied[there])
        # sum of P log(P / Q), both of counts: P has the outliers in its last bin, Q the means of its levels
        own, cross = entropies[cut], np.dot(sums[there], means)
        if outliers > 0:
            last = counts[cut - 1]
            own += (last + outliers) * np.log(last + outliers) - last * logs[cut - 1]
            cross += outliers * means[-1] if some[cut - 1] else 0.0  # log 1
        divergence = (own - cross) / total - np.log(total / before[cut])
        if divergence < smallest:
            best, smallest = cut, divergence
    return best


_NAMES: dict[str, type[Calibrator]] = {"minmax": MinMax, "percentile": Percentile, "mse": MSE, "entropy": Entropy}


def calibrator(name: Literal["minmax", "percentile", "mse", "entropy"], **options: Any) -> Calibrator:
    """A calibrator by its name.

    Parameters
    ----------
    name : {"minmax", "percentile", "mse", "entropy"}
        Which.
    **options
        Its parameters.

    Returns
    -------
    Calibrator
        A new :class:`MinMax`, :class:`Percentile`, :class:`MSE` or :class:`Entropy`.

    Raises
    ------
    ValueError
        If there is none of that name.

    Examples
    --------
    >>> import mlopt
    >>> mlopt.quantization.calibrator("percentile", percentile=99).percentile
    99
    """
    if not isinstance(name, str) or name not in _NAMES:
        raise ValueError(f"calibration is {name!r}; expected one of {', '.join(map(repr, _NAMES))}")
    return _NAMES[name](**options)


def parameters_of(
    x: NDArray[np.float32], calibration: Any, dtype: DTypeLike, symmetric: bool, axis: int | None
) -> tuple[Any, Any]:
    """Scales and zero points of an array by a calibration's name, or by a calibrator that has seen data."""
    if isinstance(calibration, Calibrator):
        if axis is not None:
            raise ValueError("calibration is a calibrator, which has one range; expected no axis")
        return calibration.parameters(dtype, symmetric)
    if axis is None:
        chosen = calibrator(calibration)
        return chosen.update(x if x.size else np.zeros(1, np.float32)).parameters(dtype, symmetric)
    if calibration != "mse":
        raise ValueError(f"calibration is {calibration!r}; expected 'minmax' or 'mse' with an axis")
    return _channel_parameters(x, dtype, symmetric, axis)


def _channel_parameters(
    x: NDArray[np.float32], dtype: DTypeLike, symmetric: bool, axis: int
) -> tuple[NDArray[Any], NDArray[Any]]:
    """For every channel, the share of its range with the smallest squared error, found on its own numbers."""
    _numbers(x)
    others = tuple(i for i in range(x.ndim) if i != axis)
    whole = quantize(x, dtype=dtype, symmetric=symmetric, axis=axis)
    scales, zeros = whole.scale, whole.zero_point
    smallest = np.full(x.shape[axis], np.inf)
    best = scales.copy()
    for share in np.arange(100, 19, -2) / 100:
        tried = np.maximum(scales * np.float32(share), np.finfo(np.float32).tiny)
        q = quantize(x, dtype=dtype, symmetric=symmetric, axis=axis, scale=tried, zero_point=zeros)
        errors = np.square(np.subtract(dequantize(q), x, dtype=np.float64)).sum(axis=others)
        better = errors < smallest
        best[better], smallest[better] = tried[better], errors[better]
    return best, zeros
