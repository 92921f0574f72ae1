"""Calibrators: ranges of what came in batches, and what becomes of them."""

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mlopt import quantize
from mlopt.quantization import MSE, Entropy, MinMax, Percentile, calibrator
from mlopt.quantization.calibration import _least_divergence
from mlopt.quantization.histogram import Histogram

NAMES = ["minmax", "percentile", "mse", "entropy"]


def normal(n=50_000, seed=0):
    return np.random.default_rng(seed).standard_normal(n).astype(np.float32)


def error(x, q):
    return float(np.square(q.dequantize().astype(np.float64) - x).mean())


# --- the histogram -------------------------------------------------------------------------------


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        hnp.arrays(np.float32, st.integers(0, 20), elements=st.floats(width=32, allow_nan=False, allow_infinity=False)),
        min_size=1,
        max_size=6,
    )
)
def test_batches_do_not_matter(batches):
    """Batch by batch, backwards, and at once: the same bins, counts and ends; and they are what NumPy counts."""
    at_once, forward, backward = Histogram(512), Histogram(512), Histogram(512)
    together = np.concatenate(batches)
    at_once.add(together)
    for batch in batches:
        forward.add(batch)
    for batch in batches[::-1]:
        backward.add(batch)
    for other in (forward, backward):
        np.testing.assert_array_equal(other.counts, at_once.counts)
        assert (other.exponent, other.count, other.low, other.high) == (
            at_once.exponent, at_once.count, at_once.low, at_once.high,
        )  # fmt: skip
    assert at_once.counts.sum() == at_once.count == together.size
    if together.size and together.any():
        places = np.floor(together.astype(np.float64) / at_once.width) + at_once.side
        assert 512 <= np.abs(together.astype(np.float64)).max() / at_once.width < 1024
        np.testing.assert_array_equal(at_once.counts, np.bincount(places.astype(int), minlength=at_once.counts.size))


def test_quantiles():
    histogram = Histogram(4096)
    x = normal()
    histogram.add(x)
    for share in (0, 0.001, 0.1, 0.5, 0.9, 0.999, 1):
        found = histogram.quantile(share)
        assert (x < found - histogram.width).mean() <= share <= (x <= found + histogram.width).mean()
    assert histogram.quantile(0) == x.min()
    assert histogram.quantile(1) == x.max()


# --- all calibrators -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_streams(name):
    """The same from one array and from batches, in any order, of a range that grows and shrinks."""
    x = normal(5000) * np.linspace(0.1, 10, 5000, dtype=np.float32)
    whole = calibrator(name).update(x)
    pieces, backwards = calibrator(name), calibrator(name)
    for piece in np.array_split(x, 13):
        pieces.update(piece)
    for piece in np.array_split(x.reshape(100, 50)[::-1], 7):
        backwards.update(piece)
    assert whole.range() == pieces.range() == backwards.range()
    for dtype in ("int8", "uint8"):
        for symmetric in (None, True, False):
            assert whole.parameters(dtype, symmetric) == backwards.parameters(dtype, symmetric)
    again = pickle.loads(pickle.dumps(whole))
    assert again.update(x).range() == whole.update(x).range()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "x",
    [normal(2000), np.abs(normal(2000)), -np.abs(normal(2000)) - 1, normal(2000) + 20, [3.0], [-1e-45, 1e38], [0.0]],
    ids=["both", "positive", "negative", "far", "one", "extreme", "zero"],
)  # fmt: skip
def test_ranges_and_parameters(name, x):
    x = np.asarray(x, np.float32)
    c = calibrator(name).update(x)
    low, high = c.range()
    assert isinstance(low, float)
    assert min(x.min(), 0) <= low <= high <= max(x.max(), 0)
    for dtype in ("int8", "uint8"):
        scale, zero_point = c.parameters(dtype, symmetric=False)
        assert (scale.dtype, zero_point.dtype) == (np.float32, dtype)
        assert scale > 0
        lowest = -128 if dtype == "int8" else 0
        span = max(high, 0) - min(low, 0)
        if span >= 1e-36:
            assert scale == pytest.approx(span / 255, rel=1e-6)
            assert abs((int(zero_point) - lowest) - -min(low, 0) / scale) <= 0.51
        scale, zero_point = c.parameters(dtype, symmetric=True)
        assert zero_point == lowest + 128
        assert scale <= max(np.abs(x).max() / np.float32(127), 1)
    assert c.parameters("int8") == c.parameters("int8", symmetric=True) == c.parameters()
    assert c.parameters(np.uint8) == c.parameters("uint8", symmetric=False)


@pytest.mark.parametrize("name", ["percentile", "entropy"])
@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_outliers_are_cut_off(name, dtype):
    """A few numbers a hundred times too large: all others keep their digits."""
    x = np.concatenate([normal(), [150.0, -100.0]]).astype(np.float32)
    body = x[:-2]
    clipped, whole = quantize(x, calibration=name, dtype=dtype), quantize(x, dtype=dtype)
    assert 3 < calibrator(name).update(x).range()[1] < 40
    assert error(body, clipped[:-2]) < 0.1 * error(body, whole[:-2])
    lowest = -128 if dtype == "int8" else 0
    assert clipped.data[-2] == lowest + 255
    assert clipped.data[-1] == (lowest + 1 if dtype == "int8" else lowest)


@pytest.mark.parametrize("name", NAMES)
def test_refused(name):
    c = calibrator(name)
    for call in (c.range, c.parameters):
        with pytest.raises(ValueError, match="no numbers yet: call update first"):
            call()
    c.update([])
    with pytest.raises(ValueError, match="no numbers yet"):
        c.range()
    c.update([1.0, -2.0, 0.25] * 100)
    before = c.range()
    for bad in ([1.0, np.nan], [1.0, np.inf], [5.0, 1e300]):
        with pytest.raises(ValueError, match="x has a number that is not finite"):
            c.update(bad)
    for bad in ([1j], ["a"], np.ma.array([1.0])):
        with pytest.raises(TypeError, match="x "):
            c.update(bad)
    assert c.range() == before
    with pytest.raises(TypeError, match="dtype is 'int4'; expected int8 or uint8"):
        c.parameters("int4")


def test_by_name():
    for name, cls in zip(NAMES, (MinMax, Percentile, MSE, Entropy), strict=True):
        assert type(calibrator(name)) is cls
    assert calibrator("mse", candidates=30, bins=512).bins == 512
    for bad in ("best", None, ["mse"]):
        with pytest.raises(ValueError, match="expected one of 'minmax', 'percentile', 'mse', 'entropy'"):
            calibrator(bad)
    for bad in (100, 511, 0, -512, 1 << 21):
        with pytest.raises(ValueError, match=f"bins is {bad}; expected a power of two"):
            Entropy(bins=bad)
    with pytest.raises(TypeError, match="bins must be an integer, not float"):
        Percentile(bins=512.0)
    for bad in (0, -1, 100.5, np.nan):
        with pytest.raises(ValueError, match="percentile is"):
            Percentile(bad)
    with pytest.raises(ValueError, match="candidates is 1"):
        MSE(candidates=1)


def test_quantize_with_a_calibrator():
    seen, x = normal(5000), normal(100, seed=9) * 2
    c = MinMax().update(seen)
    q = quantize(x, calibration=c, dtype="uint8")
    assert (q.scale, q.zero_point) == c.parameters("uint8")
    np.testing.assert_array_equal(q.data, quantize(x, scale=q.scale, zero_point=q.zero_point, dtype="uint8").data)
    assert quantize(x * 9, calibration=c).data.min() == -127
    with pytest.raises(ValueError, match="calibration is a calibrator, which has one range; expected no axis"):
        quantize(x[None], calibration=c, axis=1)
    with pytest.raises(ValueError, match="no numbers yet"):
        quantize(x, calibration=MSE())


# --- each by itself ------------------------------------------------------------------------------


def test_minmax():
    c = MinMax()
    assert c.update([[1.0, 5.0]]).range() == (1.0, 5.0)
    assert c.update(np.float64(-3)).range() == (-3.0, 5.0)
    scale, zero_point = c.parameters("uint8")
    assert scale == np.float32(8) / np.float32(255)
    assert zero_point == 96


def test_percentile():
    x = normal(200_000)
    for percentile in (90, 99, 99.9, 100):
        low, high = Percentile(percentile).update(x).range()
        exact = np.percentile(x, [(100 - percentile) / 2, (100 + percentile) / 2])
        assert np.abs(np.array([low, high]) - exact).max() < 5 / 1024
    assert Percentile(100).update(x).range() == MinMax().update(x).range()


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize("symmetric", [True, False])
def test_mse_is_the_best_of_many(dtype, symmetric):
    """No share of the whole range does better, but for what the bins' width hides."""
    rng = np.random.default_rng(5)
    for x in (rng.standard_t(3, 20_000), rng.exponential(size=20_000), rng.laplace(size=20_000) - 1):
        x = x.astype(np.float32)
        found = error(x, quantize(x, calibration="mse", dtype=dtype, symmetric=symmetric))
        for share in np.linspace(0.05, 1, 40):
            c = MinMax().update([x.min() * share, x.max() * share])
            tried = error(x, quantize(x, calibration=c, dtype=dtype, symmetric=symmetric))
            assert found <= tried * 1.02


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_mse_of_channels(dtype, symmetric, axis):
    rng = np.random.default_rng(6)
    x = rng.laplace(size=(8, 20_000) if axis == 0 else (20_000, 8)).astype(np.float32)
    x = x * np.exp(rng.standard_normal(x.shape[axis])).astype(np.float32).reshape((-1, 1) if axis == 0 else (1, -1))
    q, whole = (
        quantize(x, dtype=dtype, symmetric=symmetric, axis=axis, calibration=name) for name in ("mse", "minmax")
    )
    lost, lost_whole = (np.square(np.asarray(r, float) - x).sum(1 - axis % 2) for r in (q, whole))
    assert (lost <= lost_whole).all()
    assert lost.sum() < 0.97 * lost_whole.sum()
    if symmetric:
        assert q.data.astype(int).min() >= (-127 if dtype == "int8" else 1)


def test_mse_of_channels_of_zeros():
    x = np.zeros((3, 5), np.float32)
    x[1] = np.arange(5)
    q = quantize(x, axis=0, calibration="mse")
    assert q.scale[0] > 0
    np.testing.assert_array_equal(q[0].dequantize(), 0)
    assert quantize(np.empty((0, 3)), axis=1, calibration="mse").shape == (0, 3)


def divergence(counts, cut, levels):
    """The definition, bin by bin."""
    reference = counts[:cut].copy()
    reference[-1] += counts[cut:].sum()
    candidate = np.zeros(cut)
    for level in range(levels):
        bins = slice(level * cut // levels, (level + 1) * cut // levels)
        some = counts[:cut][bins] > 0
        candidate[bins][some] = counts[:cut][bins].sum() / max(some.sum(), 1)
    total = candidate.sum()
    if total == 0:
        return np.inf
    if candidate[-1] == 0 and reference[-1] > 0:
        candidate[-1] = 1
    p, q = reference / reference.sum(), candidate / total
    return float(np.sum(p[p > 0] * np.log(p[p > 0] / q[p > 0])))


@pytest.mark.parametrize("levels", [8, 16])
def test_divergence_is_that_of_the_definition(levels):
    rng = np.random.default_rng(7)
    for trial in range(30):
        counts = rng.poisson(200 * np.exp(-np.arange(120) / rng.uniform(3, 40))).astype(float)
        counts[rng.random(120) < 0.2] = 0
        if trial % 5 == 4:
            counts[:30] = 0
        counts[-1] += 1 + trial % 3
        counts[0] = counts[1]
        every = [divergence(counts, cut, levels) for cut in range(levels, counts.size + 1)]
        found = _least_divergence(counts, levels)
        assert every[found - levels] == pytest.approx(min(every), rel=1e-9, abs=1e-12)


def test_entropy_of_a_half_line():
    """Without negative numbers, and bytes that are not symmetric, there are 256 levels."""
    x = np.abs(normal())
    c = Entropy().update(np.append(x, 50.0))
    low, high = c.range()
    assert 0 <= low < 0.1
    assert 2 < high < 50
    zeros = Entropy().update(np.append(np.maximum(normal(), 0), 50.0))
    assert 2 < zeros.range()[1] < 50
