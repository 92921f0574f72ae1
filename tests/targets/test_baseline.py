"""The baseline program computes what the library computes."""

import numpy as np
import pytest

import mlopt
from mlopt.nn import LSTM, MLP
from mlopt.targets.baseline.lstm import Series
from mlopt.targets.baseline.network import Network
from mlopt.targets.baseline.series import SERIES

pytest.importorskip("mlopt.features")

from mlopt.features import DEFAULT_FEATURES, FeatureExtractor
from mlopt.targets.baseline.features import WINDOW, Features


def made_bars(count, seed=0):
    """A random walk with ranges and volumes."""
    rng = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.01, count)))
    opening = close * np.exp(rng.normal(0, 0.005, count))
    high = np.maximum(opening, close) * (1 + rng.uniform(0, 0.01, count))
    low = np.minimum(opening, close) * (1 - rng.uniform(0, 0.01, count))
    return np.stack([opening, high, low, close, rng.uniform(1e6, 2e6, count)], axis=1)


@pytest.mark.parametrize("count", [WINDOW, 300])
def test_features_agree(count):
    """Both start with the first of these bars, so that recursions agree too."""
    bars, extractor = made_bars(count), FeatureExtractor()
    assert extractor.names == DEFAULT_FEATURES
    result = Features(extractor.names).compute(bars)
    assert np.isfinite(result).all()
    np.testing.assert_allclose(result, extractor.transform(bars)[-1], rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("count", [1, 2, 30])
def test_features_before_they_are_ready_are_nan(count):
    bars, extractor = made_bars(count), FeatureExtractor()
    result = Features(extractor.names).compute(bars)
    np.testing.assert_allclose(result, extractor.transform(bars)[-1], rtol=1e-7, atol=1e-9)
    assert np.isnan(result).any()


def test_series_are_those_of_the_library():
    from mlopt.features.layout import SERIES as LIBRARY

    assert set(LIBRARY) <= set(SERIES)


@pytest.mark.parametrize("rows", [None, 7])
def test_network_agrees(rows):
    widths = (20, 13, 8, 4)
    model = MLP(list(widths), rng=3)
    before = Network(model.weights, model.biases)
    rng = np.random.default_rng(4)
    lead = () if rows is None else (rows,)
    x, y = (rng.standard_normal((*lead, width)).astype(np.float32) for width in (widths[0], widths[-1]))
    with mlopt.use_isa("reference"):
        prediction, gradients = before.predict(x), before.gradient(x, y)
    np.testing.assert_allclose(model.predict(x), prediction, rtol=1e-4, atol=1e-6)
    for ours, theirs in zip(model.gradient(x, y), gradients, strict=True):
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_update_agrees():
    model = MLP([20, 13, 4], rng=3)
    kept = [w.copy() for w in model.weights]
    before = Network(model.weights, model.biases)
    rng = np.random.default_rng(5)
    for _ in range(5):
        x, y = (rng.standard_normal((6, width)).astype(np.float32) for width in (20, 4))
        with mlopt.use_isa("reference"):
            before.train_step(x, y)
        for w, w_before in zip(model.weights, kept, strict=True):
            np.testing.assert_array_equal(w, w_before)  # the baseline has its own parameters
        model.train_step(x, y)
        kept = [w.copy() for w in model.weights]
    for (w, b), ours_w, ours_b in zip(before.layers, model.weights, model.biases, strict=True):
        np.testing.assert_allclose(ours_w, w, rtol=1e-3, atol=1e-5)
        np.testing.assert_allclose(ours_b, b, rtol=1e-3, atol=1e-5)


def test_both_loops_agree():
    pytest.importorskip("arch")
    from mlopt.targets.rows.pipeline import WARM_UP, make_loops

    ours, before, our_call, before_call = make_loops()
    for _ in range(3):
        our_call()
        with mlopt.use_isa("reference"):
            before_call()
    with mlopt.use_isa("reference"):
        x = before.features(WARM_UP + 3)
    # a stream remembers more than 500 bars: running totals differ, nearly all else agrees
    assert np.isclose(ours.x, x, rtol=1e-2, atol=1e-2).mean() > 0.9


def test_series_agree():
    model = LSTM(3, 5, 2, dtype="float64", rng=0)
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((4, 6, 3)), rng.standard_normal((4, 5))
    series = Series(model.parameters)
    with mlopt.use_isa("reference"):
        np.testing.assert_allclose(series.predict(x), model.predict(x), rtol=1e-12)
        for layer, expected in zip(series.gradient(x, y), model.gradient(x, y), strict=True):
            for part, wanted in zip(layer, expected, strict=True):
                np.testing.assert_allclose(part, wanted, rtol=1e-10, atol=1e-15)
        for _ in range(3):
            series.train_step(x, y)
            model.train_step(x, y)
    for layer, expected in zip(series.layers, model.parameters, strict=True):
        for part, wanted in zip(layer, expected, strict=True):
            np.testing.assert_allclose(part, wanted, rtol=1e-9, atol=1e-14)
