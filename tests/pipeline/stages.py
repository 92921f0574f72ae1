"""Stages and pipelines for the tests; a module of its own, since processes import what they are sent."""

import numpy as np

import mlopt
from mlopt.features import FeatureExtractor, Scaler, sample_bars

FEATURES = ("return_1", "rsi_14", "sma_20", "ema_10", "atr_14", "zscore_20")


def bars(count=700):
    """Real bars as a table."""
    return np.ascontiguousarray(sample_bars()[:count].as_array())


def fitted(count=700):
    """(extractor, scaler, model) for those features; the extractor has seen nothing."""
    extractor = FeatureExtractor(FEATURES)
    scaler = Scaler(len(FEATURES)).fit(extractor.transform(bars(count))[extractor.lookback :])
    return extractor, scaler, mlopt.nn.MLP((len(FEATURES), 12, 3), rng=1)


def expected(rows):
    """What the three stages make of the rows, one call after the other; NaN rows for bad bars."""
    extractor, scaler, model = fitted()
    outputs = np.full((len(rows), 3), np.nan, np.float32)
    for i, row in enumerate(rows):
        try:
            features = extractor.update(*row)
        except ValueError:
            continue
        outputs[i] = model.predict(scaler.transform(features, np.empty(len(FEATURES), np.float32)))
    return outputs


def spoiled(rows, where):
    """The rows with impossible bars at some places."""
    rows = rows.copy()
    for place, i in enumerate(where):
        rows[i, place % 5] = (np.nan, -1.0, 1e9, 0.0, -5.0)[place % 5]
    return rows


class Total:
    """A stage with a memory: running totals."""

    def __init__(self):
        self.sum = 0.0

    def __call__(self, x, out):
        self.sum += x[0]
        out[0] = self.sum

    def get_state(self):
        return self.sum

    def set_state(self, state):
        self.sum = state


def fails_on_13(x, out):
    """A stage that raises for one record."""
    if x[0] == 13:
        raise ArithmeticError("thirteen")
    out[:] = x


def odd_only(x, out):
    """A stage without output for even numbers."""
    out[:] = x
    return x[0] % 2 == 1
