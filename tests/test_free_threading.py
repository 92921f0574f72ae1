"""What threads share, used by several at once: with the GIL they alternate often, without it they run together."""

import gc
import os
import subprocess
import sys
import threading

import numpy as np
import pytest
from pipeline.stages import bars, expected, fitted

import mlopt
from mlopt.concurrent import ConcurrentMap, Counter, Gauge, Histogram, SPSCQueue
from mlopt.concurrent.record_queue import next_serial
from mlopt.features import Scaler
from mlopt.memory import pool_statistics, trim
from mlopt.pipeline import Pipeline

THREADS = 4
ROUNDS = 20
TIERS = [tier for tier in mlopt.available_tiers() if tier != "reference"]

EVERY_MODULE = """
import importlib, pkgutil, sys
import mlopt

for module in pkgutil.walk_packages(mlopt.__path__, "mlopt."):
    if module.name.endswith(("__main__", "mlopt_allocation_counter")):  # a program, a library to be preloaded
        continue
    try:
        importlib.import_module(module.name)
    except ImportError as error:
        assert not (error.name or "").startswith("mlopt"), error
    assert not sys._is_gil_enabled(), f"{module.name} turned the GIL on"
print("done")
"""


@pytest.mark.skipif(getattr(sys, "_is_gil_enabled", lambda: True)(), reason="needs a Python without the GIL")
@pytest.mark.no_sanitizer
def test_no_module_turns_the_gil_on():
    environment = {name: value for name, value in os.environ.items() if name != "PYTHON_GIL"}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", EVERY_MODULE],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr


def in_threads(run_threads, work, count=THREADS):
    """Calls work(0), work(1), ... together."""
    run_threads(*[lambda i=i: work(i) for i in range(count)])


def close(got, wanted):
    tolerance = 1e-5 if np.asarray(wanted).dtype == np.float32 else 1e-12
    np.testing.assert_allclose(got, wanted, rtol=tolerance, atol=tolerance)


def test_functions_on_tiers_that_change(run_threads):
    rng = np.random.default_rng(0)
    a = rng.standard_normal((THREADS, 60, 70))
    b = rng.standard_normal((THREADS, 70, 50))

    def work(i):
        for n in range(ROUNDS):
            with mlopt.use_isa(TIERS[(i + n) % len(TIERS)]):
                close(mlopt.matmul(a[i], b[i]), a[i] @ b[i])
                close(mlopt.exp(a[i]), np.exp(a[i]))
                close(mlopt.softmax(a[i]).sum(axis=-1), np.ones(60))
                close(mlopt.sum(a[i], axis=0), a[i].sum(axis=0))
                assert mlopt.current_isa() == TIERS[(i + n) % len(TIERS)]

    in_threads(run_threads, work)


@pytest.mark.parametrize("kind", ["mlp", "large batches", "lstm", "quantized"])
def test_one_model_predicts_for_many_threads(run_threads, kind):
    rng = np.random.default_rng(1)
    if kind == "lstm":
        samples = rng.standard_normal((THREADS, 5, 6)).astype(np.float32)
    else:
        samples = rng.standard_normal((THREADS, 12)).astype(np.float32)
    if kind == "large batches":  # computed without the GIL
        samples = rng.standard_normal((THREADS, 300, 12)).astype(np.float32)

    def make():
        if kind == "lstm":
            return mlopt.nn.LSTM(6, 16, rng=0)
        model = mlopt.nn.MLP([12, 32, 32, 3], rng=0)
        return model.quantize(samples) if kind == "quantized" else model

    wanted = [make().predict(sample) for sample in samples]
    for _ in range(ROUNDS):
        model = make()  # its first calls are the ones that share out its workspaces

        def work(i, model=model):
            for _ in range(20):
                close(model.predict(samples[i]), wanted[i])

        in_threads(run_threads, work)


def test_threads_that_end_leave_no_workspace_to_others(run_threads):
    model = mlopt.nn.MLP([4, 8, 2], rng=0)
    x, y = np.ones((THREADS, 4), np.float32), np.zeros((THREADS, 2), np.float32)
    x *= np.arange(1, THREADS + 1)[:, None]

    def gradient(i):
        return np.concatenate([part.ravel() for layer in model.gradient(x[i], y[i]) for part in layer])

    wanted = [gradient(i) for i in range(THREADS)]

    def work(i):
        for _ in range(10):
            close(gradient(i), wanted[i])

    for _ in range(ROUNDS):
        in_threads(run_threads, work)


def test_steps_do_not_overlap(run_threads):
    model = mlopt.nn.MLP([4, 64, 64, 1], rng=0)
    X, y = np.ones((64, 4), np.float32), np.zeros((64, 1), np.float32)
    done = Counter()

    def work(_):
        for _ in range(50):
            try:
                model.train_step(X, y)
            except RuntimeError as error:
                if "in another thread" not in str(error):
                    raise
            else:
                done.increment()

    in_threads(run_threads, work)
    assert model.get_state()["steps"] == done.value > 0
    model.train_step(X, y)  # nothing is left of it


def test_predictions_follow_a_training(run_threads):
    model = mlopt.nn.MLP([4, 32, 2], rng=0)
    X, y = np.ones((8, 4), np.float32), np.zeros((8, 2), np.float32)
    x = np.ones(4, np.float32)
    ended = threading.Event()

    def train():
        try:
            for _ in range(300):
                model.train_step(X, y)
        finally:
            ended.set()

    def predict():
        while not ended.is_set():
            assert np.isfinite(model.predict(x)).all()

    def hold():
        while not ended.is_set():
            assert len(model.parameters) == 2  # views, dropped at once

    def predict_after():
        predict()
        for _ in range(10):  # packed parameters that are not those of the last step would show
            close(model.predict(x), model.copy().predict(x))

    run_threads(train, predict_after, predict_after, hold)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int8])
def test_packed_matrices_are_repacked_for_many_tiers(run_threads, dtype):
    rng = np.random.default_rng(2)
    if dtype == np.int8:
        a = rng.integers(0, 255, (THREADS, 7, 40)).astype(np.uint8)
        b = rng.integers(-128, 127, (40, 30)).astype(np.int8)
        packed = mlopt.linalg.PackedInt8Matrix(b)
        wanted = a.astype(np.int32) @ b.astype(np.int32)
        product = mlopt.matmul_int8
    else:
        a, b = rng.standard_normal((THREADS, 7, 40)).astype(dtype), rng.standard_normal((40, 30)).astype(dtype)
        packed = mlopt.linalg.PackedMatrix(b)
        wanted = a @ b
        product = mlopt.matmul

    def work(i):
        for n in range(10 * ROUNDS):
            with mlopt.use_isa(TIERS[(i + n) % len(TIERS)]):
                close(product(a[i], packed), wanted[i])
                np.testing.assert_array_equal(np.asarray(packed), b)

    in_threads(run_threads, work)


def sparse_matrix(seed):
    rng = np.random.default_rng(seed)
    a = rng.standard_normal((200, 150))
    a[rng.random(a.shape) > 0.05] = 0
    return a


def test_first_products_of_a_sparse_array(run_threads):
    x = np.random.default_rng(3).standard_normal((THREADS, 150))
    for seed in range(ROUNDS):
        dense = sparse_matrix(seed)
        a = mlopt.sparse.csr_array(dense)
        narrow = mlopt.sparse.csr_array(dense.astype(np.float32))
        square = mlopt.sparse.csr_array((a.data, a.indices, a.indptr), shape=(200, 150))

        def work(i, a=a, narrow=narrow, square=square, dense=dense):
            for _ in range(4):  # the second makes the sliced form
                close(a @ x[i], dense @ x[i])
                np.testing.assert_allclose(narrow @ x[i], dense @ x[i], rtol=1e-4, atol=1e-4)  # in float64
            assert square.has_canonical_format
            close((square.T @ a).toarray(), dense.T @ dense)

        in_threads(run_threads, work)


@pytest.mark.parametrize("method", ["standard", "minmax", "robust"])
def test_first_transforms_of_a_scaler(run_threads, method):
    table = np.random.default_rng(4).standard_normal((50, 200))
    wanted = Scaler(200, method).fit(table).transform(table)
    for _ in range(10 * ROUNDS):
        scaler = Scaler(200, method).fit(table)
        in_threads(run_threads, lambda _, scaler=scaler: close(scaler.transform(table), wanted))


def test_array_pool(run_threads):
    pool = mlopt.ArrayPool((8, 8), capacity=2 * THREADS, when_empty="grow")
    kept = [[] for _ in range(THREADS)]

    def work(i):
        for n in range(50 * ROUNDS):
            with pool.acquire() as lease:
                lease.array.fill(i)
                assert (lease.array == i).all()
            if n % 50 == 0:
                lease = pool.acquire()
                kept[i].append(lease.array)  # outlives its lease
                lease.array.fill(n)
                del lease
            if n % 100 == 0:
                assert pool.statistics["capacity"] >= 2 * THREADS
                pool.trim()
        for array in kept[i]:
            assert (array == array[0, 0]).all()

    in_threads(run_threads, work)
    kept.clear()
    gc.collect()
    assert pool.statistics["in_use"] == 0
    assert pool.statistics["leaked"] == THREADS * ROUNDS


def test_debugging_array_pool(run_threads):
    pool = mlopt.ArrayPool(16, capacity=2 * THREADS, debug=True)

    def work(i):
        for _ in range(20 * ROUNDS):
            with pool.acquire() as lease:
                lease.array.fill(i)
                assert (lease.array == i).all()

    in_threads(run_threads, work)
    assert pool.statistics["in_use"] == 0


@pytest.mark.parametrize("key", ["int64", "bytes"])
def test_concurrent_map(run_threads, key):
    map = ConcurrentMap(key)

    def name(n):
        return n if key == "int64" else b"%d" % n

    def work(i):
        for n in range(50 * ROUNDS):
            map.add(name(n % 300), 1)
            map[name(10_000 + THREADS * n + i)] = n
            assert map[name(10_000 + THREADS * n + i)] == n
            if n % 7:
                del map[name(10_000 + THREADS * n + i)]
            if n % 200 == 0:
                assert len(map.items()) >= 1

    in_threads(run_threads, work)
    assert sum(map[name(n)] for n in range(300)) == THREADS * 50 * ROUNDS


def test_metrics(run_threads):
    counter, gauge, histogram = Counter(), Gauge(), Histogram()
    names = mlopt.concurrent.MetricsRegistry().counter("records_total", "Records", ["thread"])

    def work(i):
        for n in range(100 * ROUNDS):
            counter.increment()
            gauge.add(1)
            histogram.record(n)
            names.labels(str(n % 5)).increment()
            if n % 100 == 0:
                assert histogram.snapshot().count <= THREADS * 100 * ROUNDS
                assert counter.value <= THREADS * 100 * ROUNDS

    in_threads(run_threads, work)
    total = THREADS * 100 * ROUNDS
    assert (counter.value, gauge.value, histogram.count) == (total, total, total)
    assert sum(names.labels(str(n)).value for n in range(5)) == total


def test_queue(run_threads):
    queue = SPSCQueue(3, capacity=7)
    count = 100 * ROUNDS

    def produce():
        for n in range(count):
            record = queue.reserve(timeout=60)
            record[:] = n
            queue.publish()
        queue.close()

    def consume():
        for n, record in enumerate(queue):
            assert record.tolist() == [n] * 3
        assert n == count - 1

    def look():
        while not queue.closed:
            assert 0 <= len(queue) <= 7
            assert "SPSCQueue" in repr(queue)

    run_threads(produce, consume, look)


def test_every_queue_has_a_number_of_its_own(run_threads):
    numbers = [[] for _ in range(THREADS)]

    def work(i):
        for n in range(50 * ROUNDS):
            numbers[i].append(next_serial())
            if n % 10 == 0:
                SPSCQueue(1, capacity=1).detach()

    in_threads(run_threads, work)
    assert len({number for some in numbers for number in some}) == THREADS * 50 * ROUNDS


@pytest.mark.parametrize("workers", ["fused", "threads"])
def test_pipelines_while_the_pool_is_trimmed(run_threads, workers):
    rows = bars(300)
    wanted = expected(rows)
    running = Counter()

    def run():
        try:
            outputs = np.zeros((len(rows), 3), np.float32)
            with Pipeline([rows, *fitted(), outputs], workers=workers) as pipeline:
                assert pipeline.run()["records_out"] == len(rows)
            np.testing.assert_array_equal(outputs, wanted)
        finally:
            running.increment()

    def watch():
        while running.value < 2:
            assert pool_statistics()["bytes_in_use"] > 0
            trim()
            mlopt.empty_aligned(10_000).fill(1)

    run_threads(run, run, watch)
