"""Training with the products of batches in bfloat16: as good as float32, with the same range, on any tier."""

import copy
import pickle

import numpy as np
import pytest
from kernels.conftest import tiers_of

import mlopt
from mlopt.nn import LSTM, MLP, SGD, AdamW

# The rounding of a bfloat16 number, relative.
UNIT = 2.0**-8


def mlp_task(seed, samples=512):
    """A smooth function of 8 numbers, with some noise."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((samples, 8)).astype(np.float32)
    y = np.sin(x[:, 0]) + x[:, 1] * x[:, 2] + 0.3 * rng.standard_normal(samples)
    return x, y.astype(np.float32)[:, None]


def lstm_task(seed, samples=128):
    """A sum over some of the last steps, with some noise."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((samples, 12, 3)).astype(np.float32)
    y = x[:, -4:, :2].sum(axis=(1, 2)) + 0.3 * rng.standard_normal(samples)
    return x, y.astype(np.float32)[:, None]


def mlp(precision, seed=0, **more):
    more = {"optimizer": AdamW(lr=3e-3), **more}
    return MLP([8, 48, 40, 1], activation="tanh", rng=seed, precision=precision, **more)


def lstm(precision, seed=0, **more):
    more = {"optimizer": AdamW(lr=1e-2), **more}
    return LSTM(3, 24, 2, head=[1], rng=seed, precision=precision, **more)


TASKS = pytest.mark.parametrize(("task", "make"), [(mlp_task, mlp), (lstm_task, lstm)], ids=["mlp", "lstm"])


def flat(gradient):
    return np.concatenate([part.ravel().astype(np.float64) for layer in gradient for part in layer])


def gradient_of(model, x, y, **more):
    return flat(model.gradient(x, y, **more))


def distance(a, b):
    return np.linalg.norm(a - b) / np.linalg.norm(b)


@TASKS
def test_training_reaches_the_loss_of_float32(task, make):
    """On samples that it has not seen, after many batches, at a rate that ends at 0; over some seeds within 1 %."""
    steps, ratios = 10 * 64, []
    for seed in range(4):
        (x, y), unseen = task(seed, 64 * 128), task(seed + 100, 2000)
        models = [
            make(precision, seed, optimizer=AdamW(lr=lambda step: 1e-2 * (1 - step / steps)))
            for precision in ("full", "bf16")
        ]
        first = models[0].loss(*unseen)
        for model in models:
            model.fit(x, y, epochs=10, batch_size=128, rng=seed)
        full, short = (model.loss(*unseen) for model in models)
        assert full < 0.1 * first, "the task is learnt"
        assert short != full
        ratios.append(short / full)
    assert np.mean(ratios) == pytest.approx(1, abs=0.01)
    assert ratios == pytest.approx([1] * len(ratios), abs=0.03), "a seed by itself wanders a little"


@TASKS
def test_gradients_are_those_of_float32_up_to_rounding(task, make):
    """Against the size of what adds up to a gradient, one sample after the other."""
    x, y = (part[:64] for part in task(0))
    full, short = make("full"), make("bf16")
    for _ in range(3):
        terms = np.mean([np.abs(gradient_of(full, *sample)) for sample in zip(x, y, strict=True)], axis=0)
        error = np.linalg.norm(gradient_of(short, x, y) - gradient_of(full, x, y)) / np.linalg.norm(terms)
        assert UNIT / 100 < error < UNIT
        assert short.loss(x, y) == pytest.approx(full.loss(x, y), rel=UNIT)
        np.testing.assert_allclose(short.predict(x), full.predict(x), rtol=4 * UNIT, atol=4 * UNIT)
        for _ in range(5):
            full.train_step(x, y)
        short.set_state(full.get_state())


@TASKS
@pytest.mark.parametrize("exponent", [-20, -40, -66])
def test_small_gradients_need_no_scaling(task, make, exponent):
    """bfloat16 has float32's range: gradients of a loss scaled by 2^-66 are those of the loss, scaled.

    Beyond huber_delta, the gradient of Huber's loss is huber_delta times a sign.
    """
    x, y = task(0)
    y = y + np.where(y >= 0, 5, -5).astype(np.float32)  # far from any prediction
    factor = 2.0**exponent
    ordinary, small, full = (
        make(precision, loss="huber", huber_delta=delta)
        for precision, delta in (("bf16", 2.0**-4), ("bf16", 2.0**-4 * factor), ("full", 2.0**-4 * factor))
    )
    expected, got = gradient_of(ordinary, x, y), gradient_of(small, x, y)
    assert 0 < np.abs(got).max() < factor
    assert distance(got / factor, expected) < 1e-5
    assert np.count_nonzero(got) > 0.99 * np.count_nonzero(expected), "nothing is lost to underflow"
    assert distance(got, gradient_of(full, x, y)) < 2 * UNIT


@pytest.mark.parametrize("value", [np.nan, np.inf])
@TASKS
def test_nan_and_infinity_propagate(task, make, value):
    x, y = task(0)
    x[3, ..., 0] = value
    full, short = make("full"), make("bf16")
    with np.errstate(all="ignore"):
        expected, got = full.predict(x), short.predict(x)
        np.testing.assert_array_equal(np.isnan(got), np.isnan(expected))
        assert np.isnan(short.loss(x, y)) == np.isnan(full.loss(x, y))
        np.testing.assert_array_equal(np.isfinite(gradient_of(short, x, y)), np.isfinite(gradient_of(full, x, y)))


@TASKS
def test_one_sample_is_float32(task, make):
    x, y = task(0)
    full, short = make("full"), make("bf16")
    np.testing.assert_array_equal(short.predict(x[0]), full.predict(x[0]))
    np.testing.assert_array_equal(short.predict(x[:1]), full.predict(x[:1]))
    np.testing.assert_array_equal(gradient_of(short, x[0], y[0]), gradient_of(full, x[0], y[0]))
    out, expected = np.empty(1, np.float32), full.predict(x[0])
    call = short.bind(x[0], out)
    for _ in range(10):  # in place, and then packed
        np.testing.assert_allclose(call(), expected, rtol=1e-5, atol=1e-6)
    # after batches, and batches after it
    batch = short.predict(x)
    short.predict(x[0])
    np.testing.assert_array_equal(short.predict(x), batch)


@pytest.mark.parametrize(
    "more", [{"layer_norm": True, "dropout": 0.2}, {"activation": "gelu"}, {"activation": "silu", "layer_norm": True}]
)
def test_layers_of_every_kind(more):
    x, y = mlp_task(0)
    full, short = (MLP([8, 48, 33, 1], rng=0, precision=p, **more) for p in ("full", "bf16"))
    assert distance(gradient_of(short, x, y), gradient_of(full, x, y)) < 4 * UNIT
    assert short.train_step(x, y) == pytest.approx(full.train_step(x, y), rel=4 * UNIT)


@pytest.mark.parametrize("more", [{"dropout": 0.3}, {"truncate": 3}, {"head": [7, 1]}, {"hidden": 33}])
@pytest.mark.parametrize("rows", [2, 9, 40])
def test_series_of_every_kind(more, rows):
    rng = np.random.default_rng(rows)
    arguments = {"inputs": 5, "hidden": 24, "num_layers": 3, "activation": "tanh", **more}
    sizes = [arguments.pop(name) for name in ("inputs", "hidden", "num_layers")]
    full, short = (LSTM(*sizes, rng=0, precision=p, **arguments) for p in ("full", "bf16"))
    x = rng.standard_normal((rows, 11, 5)).astype(np.float32)
    outputs = full.head[-1] if full.head else full.hidden
    for lead in ((rows,), (rows, 11)):
        y = rng.standard_normal((*lead, outputs)).astype(np.float32)
        assert distance(gradient_of(short, x, y), gradient_of(full, x, y)) < 8 * UNIT
    np.testing.assert_allclose(
        short.predict(x, sequences=True), full.predict(x, sequences=True), rtol=4 * UNIT, atol=4 * UNIT
    )
    # the dropped outputs are the same ones
    assert short.train_step(x, y) == pytest.approx(full.train_step(x, y), rel=4 * UNIT)


@pytest.mark.parametrize("tier", tiers_of("bf16"))
@TASKS
def test_tiers_agree(task, make, tier):
    """Sums in another order flip a rounding here and there, no more."""
    x, y = task(0)
    model = make("bf16")
    expected = gradient_of(model, x, y)
    with mlopt.use_isa(tier):
        assert distance(gradient_of(model, x, y), expected) < UNIT / 2


@pytest.mark.parametrize("make", [mlp, lstm])
def test_any_number_of_threads_gives_the_same(make):
    states = []
    before = mlopt.get_num_threads()
    try:
        for threads in (1, 2, 3):
            mlopt.set_num_threads(threads)
            if make is mlp:
                model = MLP([64, 256, 256, 1], rng=0, precision="bf16")
                x = np.random.default_rng(0).standard_normal((1000, 64)).astype(np.float32)
            else:
                model = LSTM(64, 128, 2, head=[1], rng=0, precision="bf16")
                x = np.random.default_rng(0).standard_normal((130, 30, 64)).astype(np.float32)
            y = x.reshape(len(x), -1)[:, :1].copy()
            losses = [model.train_step(x, y) for _ in range(3)]
            states.append((losses, model.get_state()["parameters"], model.predict(x)))
    finally:
        mlopt.set_num_threads(before)
    for losses, parameters, predictions in states[1:]:
        assert losses == states[0][0]
        np.testing.assert_array_equal(parameters, states[0][1])
        np.testing.assert_array_equal(predictions, states[0][2])


@pytest.mark.parametrize("make", [mlp, lstm])
def test_the_argument(make, tmp_path):
    assert make(None).precision == "full"
    model = make("bf16")
    assert model.precision == "bf16"
    assert "precision='bf16'" in repr(model)
    for again in (copy.copy(model), copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert again.precision == "bf16"
    with pytest.raises(ValueError, match="precision='bf16' needs dtype='float32', got dtype='float64'"):
        make("bf16", dtype="float64")
    make("full", dtype="float64")
    with pytest.raises(ValueError, match="precision='half' is not one of: full, bf16"):
        make("half")
    with pytest.raises(TypeError, match="precision must be a string, not int"):
        make(16)


@pytest.mark.parametrize("make", [mlp, lstm])
@pytest.mark.parametrize("precision", ["full", "bf16"])
def test_saved_and_loaded(make, precision, tmp_path):
    pytest.importorskip("safetensors")
    model = make(precision)
    model.save(tmp_path / "model")
    assert mlopt.nn.load(tmp_path / "model").precision == precision


def test_other_optimisers_and_fit():
    x, y = mlp_task(0)
    model = MLP([8, 32, 1], rng=0, precision="bf16", optimizer=SGD(lr=0.05, momentum=0.9, clip_norm=1.0), l2=1e-4)
    history = model.fit(x, y, epochs=20, batch_size=33, rng=0)
    assert history.loss[-1] < 0.5 * history.loss[0]
