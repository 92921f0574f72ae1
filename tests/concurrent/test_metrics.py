import json
import logging
import math
import pickle
import sys
import urllib.error
from urllib.request import urlopen

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlopt.concurrent import Counter, Gauge, Histogram, MetricFamily, MetricsRegistry

client = pytest.importorskip("prometheus_client")
parser = pytest.importorskip("prometheus_client.parser")


def scrape(server):
    """{metric: (type, {(sample name, labels): value})} of what the server answers."""
    with urlopen(server.url, timeout=30) as answer:
        text = answer.read().decode()
    return parsed(text)


def parsed(text):
    return {
        family.name: (
            family.type,
            {(s.name, tuple(sorted(s.labels.items()))): s.value for s in family.samples},
        )
        for family in parser.text_string_to_metric_families(text)
    }


@pytest.fixture
def metrics():
    return MetricsRegistry()


@pytest.fixture
def server(metrics):
    with metrics.serve() as server:
        yield server


def test_endpoint_shows_counters_and_gauges(metrics, server):
    metrics.counter("bars_total", "Bars read").increment(3)
    orders = metrics.counter("orders", "Orders sent", ["symbol", "side"])
    orders.labels(side="buy", symbol="SPX").increment(2)
    orders.labels('N"D\\X\n', "sell").increment()
    metrics.gauge("depth", "Records\nwaiting").set(-1.5)
    metrics.gauge("length", function=lambda: 7)
    found = scrape(server)
    assert found["bars"] == ("counter", {("bars_total", ()): 3})
    assert found["orders"] == (
        "counter",
        {
            ("orders_total", (("side", "buy"), ("symbol", "SPX"))): 2,
            ("orders_total", (("side", "sell"), ("symbol", 'N"D\\X\n'))): 1,
        },
    )
    assert found["depth"] == ("gauge", {("depth", ()): -1.5})
    assert found["length"] == ("gauge", {("length", ()): 7})
    orders.labels("SPX", "buy").increment()
    assert scrape(server)["orders"][1]["orders_total", (("side", "buy"), ("symbol", "SPX"))] == 3


def test_endpoint_shows_histograms_in_seconds(metrics, server):
    latency = metrics.histogram("update_seconds", "One bar", ["stage"], unit="seconds", quantiles=[0.5, 0.999])
    for nanoseconds in (100, 101, 300, 2_000_000, 30_000_000_000):
        latency.labels(stage="model").record(nanoseconds)
    found = scrape(server)
    kind, samples = found["update_seconds"]
    assert kind == "histogram"
    stage = ("stage", "model")
    below = {dict(labels)["le"]: value for (name, labels), value in samples.items() if name.endswith("_bucket")}
    assert list(below)[-2:] == ["10.0", "+Inf"]
    assert (below["1e-07"], below["2.5e-07"], below["5e-07"], below["0.001"], below["0.0025"]) == (1, 2, 3, 3, 4)
    assert (below["10.0"], below["+Inf"]) == (4, 5)
    assert samples["update_seconds_count", (stage,)] == 5
    assert samples["update_seconds_sum", (stage,)] == pytest.approx(30.002000501)
    kind, samples = found["update_seconds_quantile"]
    assert kind == "gauge"
    assert samples["update_seconds_quantile", (("quantile", "0.5"), stage)] == pytest.approx(3e-7, rel=0.004)
    assert samples["update_seconds_quantile", (("quantile", "0.999"), stage)] == pytest.approx(30)


def test_quantiles_without_buckets_are_a_summary(metrics, server):
    sizes = metrics.histogram("sizes", "Records a batch", buckets=(), quantiles=(0, 0.5))
    kind, samples = scrape(server)["sizes"]
    assert kind == "summary"
    assert samples["sizes_count", ()] == 0
    assert math.isnan(samples["sizes", (("quantile", "0.5"),)])
    sizes.record_all(np.arange(1, 10))
    _, samples = scrape(server)["sizes"]
    assert samples["sizes", (("quantile", "0.5"),)] == 5
    assert samples["sizes", (("quantile", "0.0"),)] == 1
    assert (samples["sizes_count", ()], samples["sizes_sum", ()]) == (9, 45)


@given(
    st.lists(st.integers(0, 2**40), min_size=1),
    st.lists(st.integers(1, 2**40), min_size=1, unique=True).map(sorted),
    st.integers(1, 10),
)
def test_buckets_are_exact_but_for_the_cells_error(values, bounds, bits):
    metrics = MetricsRegistry()
    histogram = metrics.histogram("x", buckets=bounds, bits=bits)
    histogram.record_all(np.array(values))
    (sample,) = metrics.collect()[0]["samples"]
    error = histogram.relative_error * (1 + 1e-12)
    array = np.array(values, float)
    assert [bound for bound, _ in sample["buckets"]] == bounds
    for bound, below in sample["buckets"]:
        # those that lie surely below, and those that may
        surely, perhaps = array + error * array <= bound, array - error * array <= bound
        assert surely.sum() <= below <= perhaps.sum()
    assert all(np.diff([below for _, below in sample["buckets"]]) >= 0)
    assert sample["count"] == len(values)


@pytest.mark.parametrize("scale", [1e-9, 1e-6, 1e-3, 0.1, 1.0, 60.0])
def test_small_values_are_exact_at_any_scale(scale):
    metrics = MetricsRegistry()
    bounds = [n * scale for n in range(1, 200)]
    histogram = metrics.histogram("x", scale=scale, buckets=bounds)
    histogram.record_all(np.arange(256))
    (sample,) = metrics.collect()[0]["samples"]
    assert [below for _, below in sample["buckets"]] == [n + 1 for n in range(1, 200)]


@pytest.mark.parametrize("name", ["", "3x", "a-b", "a b", "ä", "a\n", "a.b"])
def test_names_follow_prometheus(metrics, name):
    for make in (metrics.counter, metrics.gauge, metrics.histogram):
        with pytest.raises(ValueError, match="name must match"):
            make(name)
    with pytest.raises(ValueError, match="a label must match"):
        metrics.counter("x", labels=[name])
    assert metrics.collect() == []


def test_no_pickle(metrics):
    with pytest.raises(TypeError, match="a MetricsRegistry cannot be pickled"):
        pickle.dumps(metrics)


def test_labels_follow_prometheus(metrics):
    for labels, text in ((["__a"], "reserved"), (["a", "a"], "distinct"), (["a:b"], "a label must match")):
        with pytest.raises(ValueError, match=text):
            metrics.gauge("x", labels=labels)
    for label in ("le", "quantile"):
        metrics.counter(f"fine_{label}", labels=[label])
        with pytest.raises(ValueError, match=f"label '{label}' is reserved"):
            metrics.histogram("x", labels=[label])
    with pytest.raises(TypeError, match="not the string 'symbol'"):
        metrics.counter("x", labels="symbol")
    with pytest.raises(TypeError, match="name must be a string, not int"):
        metrics.counter(3)
    for make in (metrics.counter, metrics.gauge, metrics.histogram):
        with pytest.raises(TypeError, match="help must be a string, not int"):
            make("x", 3)
    assert [metric["name"] for metric in metrics.collect()] == ["fine_le", "fine_quantile"]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (("counter", "a"), ("counter", "a")),
        (("counter", "a_total"), ("counter", "a")),
        (("counter", "a"), ("gauge", "a_total")),
        (("histogram", "a"), ("gauge", "a_count")),
        (("gauge", "a_sum"), ("histogram", "a")),
        (("histogram", "a"), ("counter", "a_bucket")),
    ],
)
def test_a_name_is_taken_once(metrics, first, second):
    getattr(metrics, first[0])(first[1])
    with pytest.raises(ValueError, match=r"name '\w+' is taken: \w+ belongs to"):
        getattr(metrics, second[0])(second[1])
    assert len(metrics.families()) == 1
    metrics.remove(first[1])
    getattr(metrics, second[0])(second[1])
    with pytest.raises(KeyError):
        metrics.remove("b")


def test_histogram_arguments(metrics):
    for arguments, text in (
        ({"unit": "seconds"}, "name must end with its unit, _seconds, not be 'x'"),
        ({"scale": 0}, "scale must be positive"),
        ({"scale": math.nan}, "scale must be positive"),
        ({"buckets": [2, 1]}, "ascending"),
        ({"buckets": [1, 1]}, "ascending"),
        ({"buckets": [-1, 1]}, "not negative"),
        ({"buckets": [math.inf, math.inf]}, "finite"),
        ({"quantiles": [1.5]}, "quantiles must be from 0 to 1"),
        ({"bits": 0}, "bits must be from 1 to 12"),
    ):
        with pytest.raises(ValueError, match=text):
            metrics.histogram("x", **arguments)
    histogram = metrics.histogram("x", buckets=[1, 2, math.inf])
    assert isinstance(histogram, Histogram)
    assert metrics.collect()[0]["samples"][0]["buckets"] == [[1, 0], [2, 0]]


def test_families(metrics):
    family = metrics.counter("orders_total", "Orders", ["symbol", "side"])
    assert isinstance(family, MetricFamily)
    one = family.labels("SPX", "buy")
    assert family.labels(side="buy", symbol="SPX") is one
    assert one.labels == {"symbol": "SPX", "side": "buy"}
    assert family.labels(3, "buy") is family.labels("3", "buy")
    for values, named in (((), {}), (("SPX",), {}), (("SPX",), {"side": "buy"}), ((), {"symbol": 1, "other": 2})):
        with pytest.raises(ValueError, match="labels of orders_total must be"):
            family.labels(*values, **named)
    own = Counter()
    assert family.attach(own, "SPX", "buy") is own
    assert family.labels("SPX", "buy") is own
    with pytest.raises(TypeError, match="metric must be a Counter, not Gauge"):
        family.attach(Gauge(), "SPX", "sell")
    family.remove("3", "buy")
    assert family.items() == [({"symbol": "SPX", "side": "buy"}, own)]
    assert list(metrics) == [family]
    assert "orders_total" in repr(metrics)
    assert "orders_total" in repr(family)


def test_threads_get_the_same_child(metrics, run_threads):
    family = metrics.counter("orders_total", labels=["symbol"])

    def work():
        for i in range(300):
            family.labels(i).increment()

    run_threads(*[work] * 4)
    assert [child.value for _, child in family.items()] == [4] * 300


def test_a_function_that_fails_hides_nothing_else(metrics, caplog):
    metrics.gauge("broken", function=lambda: 1 / 0)
    metrics.gauge("whole").set(1)
    with caplog.at_level(logging.WARNING):
        broken, whole = metrics.collect()
    assert math.isnan(broken["samples"][0]["value"])
    assert whole["samples"][0]["value"] == 1
    assert "gauge broken failed" in caplog.text
    assert "ZeroDivisionError" in caplog.text
    with pytest.raises(ValueError, match="function goes with a gauge without labels"):
        metrics.gauge("x", labels=["a"], function=lambda: 1)


def test_snapshot_is_json(metrics):
    metrics.gauge("nothing").set(math.nan)
    metrics.histogram("h_seconds", unit="seconds", quantiles=[0.5], buckets=[1e-6])
    metrics.histogram("full_seconds", unit="seconds", quantiles=[0.5], buckets=[1e-6]).record(2000)
    state = json.loads(json.dumps(metrics.snapshot(), allow_nan=False))
    assert state["schema"] == "mlopt.MetricsRegistry/1"
    nothing, empty, full = state["metrics"]
    assert nothing["samples"] == [{"labels": {}, "value": None}]
    assert empty["samples"][0]["quantiles"] == {"0.5": None}
    (sample,) = full["samples"]
    assert sample == {
        "labels": {},
        "count": 1,
        "sum": pytest.approx(2e-6),
        "min": pytest.approx(2e-6),
        "max": pytest.approx(2e-6),
        "buckets": [[1e-6, 0]],
        "quantiles": {"0.5": pytest.approx(2e-6)},
    }


def test_in_a_registry_of_prometheus_client(metrics):
    registry = client.CollectorRegistry()
    client.Counter("theirs", "x", registry=registry)
    metrics.counter("ours").increment(4)
    collector = metrics.register_to(registry)
    metrics.gauge("later").set(2)
    found = parsed(client.generate_latest(registry).decode())
    assert registry.get_sample_value("ours_total") == 4
    assert {"theirs", "ours", "later"} <= found.keys()
    clashing = MetricsRegistry()
    clashing.counter("theirs")
    with pytest.raises(ValueError, match="theirs"):
        clashing.register_to(registry)
    registry.unregister(collector)
    assert registry.get_sample_value("ours_total") is None
    collector = metrics.register_to()
    try:
        assert client.REGISTRY.get_sample_value("later") == 2
    finally:
        client.REGISTRY.unregister(collector)


def test_server_closes_its_port(metrics):
    server = metrics.serve()
    assert server.url == f"http://127.0.0.1:{server.port}/metrics"
    assert repr(server) == f"<MetricsServer {server.url}>"
    assert scrape(server) == {}
    with pytest.raises(OSError):
        metrics.serve(server.port)
    server.close()
    server.close()
    assert "closed" in repr(server)
    with pytest.raises(urllib.error.URLError):
        scrape(server)
    with metrics.serve(server.port) as again:
        assert again.port == server.port
    for port, error in ((-1, ValueError), (65536, ValueError), ("80", TypeError), (True, TypeError)):
        with pytest.raises(error, match="port must be"):
            metrics.serve(port)


def test_without_prometheus_client(metrics, monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "prometheus_client"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "path", [])
    for ask in (metrics.serve, metrics.register_to):
        with pytest.raises(ImportError, match=r"prometheus_client is not installed: pip install 'mlopt\[metrics\]'"):
            ask()
    metrics.counter("x").increment()
    assert metrics.snapshot()["metrics"][0]["samples"][0]["value"] == 1
