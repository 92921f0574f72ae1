"""Live bars through a pipeline in processes, and what a monitor would see of it."""

import numpy as np

import mlopt
from mlopt.concurrent import MetricsRegistry
from mlopt.features import FeatureExtractor, Scaler, sample_bars
from mlopt.pipeline import Pipeline

bars = sample_bars()
history, live = bars[:3000], bars[3000:4000]

extractor = FeatureExtractor(["return_1", "rsi_14", "sma_20", "atr_14"])
features = extractor.transform(history)
scaler = Scaler(4).fit(features[extractor.lookback :])
model = mlopt.nn.MLP((4, 16, 1), rng=0)  # untrained: this is about the way to it

metrics = MetricsRegistry()
position = metrics.gauge("position", "What the model would hold")


def trade(number, output):
    position.set(float(output[0]))


def feed():
    for i, row in enumerate(live.as_array().tolist()):
        if i == 500:
            row[1] = -1.0  # a high that cannot be
        yield row


with Pipeline(
    [feed(), [extractor, scaler], model, trade],
    workers="processes",
    on_error="skip",
    on_bad=lambda number, stage, reason: print(f"bar {number}: {stage}: {reason}"),
) as pipeline:
    for name in ("records_in", "records_out", "bad", "restarts"):
        metrics.gauge(name, f"Pipeline: {name}", function=lambda name=name: pipeline.statistics[name])
    latency = metrics.histogram("latency_seconds", "Source to sink", ["stream"], unit="seconds", quantiles=[0.5, 0.99])
    latency.attach(pipeline.latency, stream="bars")
    pipeline.run()  # metrics.serve() would show them to Prometheus meanwhile
    for metric in metrics.collect():
        for sample in metric["samples"]:
            print(metric["name"], sample.get("value", sample.get("quantiles")))

assert np.isfinite(position.value)
