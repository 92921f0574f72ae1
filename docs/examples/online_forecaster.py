"""Forecast the direction of the next bar, and learn from what it was."""

from itertools import pairwise

import numpy as np

from mlopt.features import FeatureExtractor, Scaler
from mlopt.nn import MLP, AdamW

rng = np.random.default_rng(0)
closes = 100 * np.exp(np.cumsum(0.01 * rng.standard_normal(1500)))

extractor = FeatureExtractor()
scaler = Scaler(len(extractor.names))
model = MLP([len(extractor.names), 32, 1], output="sigmoid", loss="binary_cross_entropy", optimizer=AdamW(1e-4), rng=0)

sample = np.zeros(len(extractor.names), np.float32)  # what the network reads
forecast = np.zeros(1, np.float32)  # what it writes
infer = model.bind(sample, forecast)
outcome = np.zeros(1, np.float32)
hits = forecasts = 0

for number, (before, close) in enumerate(pairwise(closes)):
    if number > extractor.lookback:
        outcome[0] = close > before
        hits += (forecast[0] > 0.5) == outcome[0]
        forecasts += 1
        model.train_step(sample, outcome)
    features = extractor.update(before, max(before, close), min(before, close), close, 1000.0)
    if number >= extractor.lookback:
        scaler.update(features)
        scaler.transform(features, out=sample)
        infer()

print(f"{hits} of {forecasts} directions of a random walk: {hits / forecasts:.0%}, a coin-flip")
