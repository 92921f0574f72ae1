"""Layers, losses and training of multilayer perceptrons: normalisation, dropout, penalty, clipping, schedules, fit,
views of parameters, packed parameters, threads."""

import pickle
import threading

import numpy as np
import pytest

import mlopt
from mlopt.nn import MLP, SGD, AdamW, CosineSchedule, ExponentialSchedule, History, StepSchedule

TIERS = mlopt.available_tiers()
f32 = np.float32


def data(model, rows, seed=0):
    """Samples and targets that fit the model's loss; rows None for one sample without a batch axis."""
    rng = np.random.default_rng([seed, rows or 0])
    shape = () if rows is None else (rows,)
    X = rng.standard_normal((*shape, model.layers[0])).astype(model.dtype)
    y = rng.random((*shape, model.layers[-1])).astype(model.dtype)
    if model.loss_function == "cross_entropy":
        y /= y.sum(axis=-1, keepdims=True)
    return X, y


def shaken(model, seed=5):
    """The model with biases, gains and shifts that are not all alike."""
    rng = np.random.default_rng(seed)
    for layer in model.parameters:
        for part in layer[1:]:
            part[...] += 0.3 * rng.standard_normal(part.shape)
    return model


def nearly(a, b, eps):
    scale = max(np.abs(np.asarray(b)).max(), 1e-6)
    np.testing.assert_allclose(a, b, rtol=0, atol=eps * scale)


def parts(layers):
    return [part.copy() for layer in layers for part in layer]


def flat(layers):
    return np.concatenate([part.ravel() for layer in layers for part in layer])


def central_differences(model, loss, gradients, h=1e-5):
    """Every parameter, by loss(model) above and below it; gradients in the order of the state's vector."""
    state = model.get_state()
    for i in range(len(gradients)):
        values = []
        for sign in (1, -1):
            moved = state["parameters"].copy()
            moved[i] += sign * h
            model.set_state({**state, "parameters": moved})
            values.append(loss(model))
        assert gradients[i] == pytest.approx((values[0] - values[1]) / (2 * h), rel=1e-5, abs=1e-8), i
    model.set_state(state)


class Peer:
    """The same network in PyTorch, in float64."""

    def __init__(self, model):
        self.torch = torch = pytest.importorskip("torch")
        torch.set_num_threads(1)
        self.model = model
        hidden = len(model.layers) - 2
        names = (model.activation,) * hidden if isinstance(model.activation, str) else model.activation
        kinds = {"relu": torch.nn.ReLU, "tanh": torch.nn.Tanh, "sigmoid": torch.nn.Sigmoid, "gelu": torch.nn.GELU,
                 "silu": torch.nn.SiLU, "identity": torch.nn.Identity}  # fmt: skip
        modules, self.tensors = [], []
        for i, (weights, bias, *norm) in enumerate(model.parameters):
            linear = torch.nn.Linear(*weights.shape, dtype=torch.float64)
            self.fill(linear.weight, weights.T)
            self.fill(linear.bias, bias)
            self.tensors += [linear.weight, linear.bias]
            modules.append(linear)
            if norm:
                layer_norm = torch.nn.LayerNorm(len(bias), dtype=torch.float64)
                self.fill(layer_norm.weight, norm[0])
                self.fill(layer_norm.bias, norm[1])
                self.tensors += [layer_norm.weight, layer_norm.bias]
                modules.append(layer_norm)
            if i < hidden:
                modules.append(kinds[names[i]]())
        self.network = torch.nn.Sequential(*modules)

    def fill(self, tensor, values):
        with self.torch.no_grad():
            tensor.copy_(self.torch.tensor(values))

    def terms(self, X, y):
        """The loss of every element, for cross-entropy of every sample; and the logits."""
        nn, logits = self.torch.nn.functional, self.network(self.torch.tensor(X.astype(np.float64)))
        target, name = self.torch.tensor(y.astype(np.float64)), self.model.loss_function
        if name == "cross_entropy":
            return nn.cross_entropy(logits, target, reduction="none"), logits
        if name == "binary_cross_entropy":
            return nn.binary_cross_entropy_with_logits(logits, target, reduction="none"), logits
        if name == "huber":
            loss = self.torch.nn.HuberLoss(reduction="none", delta=self.model.huber_delta)
            return loss(logits, target), logits
        return nn.mse_loss(logits, target, reduction="none"), logits

    def loss(self, X, y):
        return self.terms(X, y)[0].mean()

    def gradients(self, value):
        for tensor in self.tensors:
            tensor.grad = None
        value.backward()
        return [tensor.grad.numpy().T for tensor in self.tensors]

    def same_parameters(self, rtol=1e-7, atol=1e-9):
        for part, tensor in zip(parts(self.model.parameters), self.tensors, strict=True):
            np.testing.assert_allclose(part, tensor.detach().numpy().T, rtol=rtol, atol=atol)


MODELS = {
    "activations": {"activation": ["gelu", "tanh", "identity"]},
    "normed": {"layer_norm": True},
    "normed in part": {"layer_norm": [False, True, False], "activation": "silu"},
    "normed, of each": {"layer_norm": [True, False, True], "activation": ["sigmoid", "relu", "gelu"]},
    "huber": {"loss": "huber", "huber_delta": 0.4},
    "huber, normed": {"loss": "huber", "layer_norm": True, "activation": "tanh"},
    "classes, normed": {"loss": "cross_entropy", "output": "softmax", "layer_norm": True},
}


def model_of(name, widths=(6, 17, 33, 9, 3), **more):
    return shaken(MLP(widths, **{"dtype": "float64", "rng": 0, **MODELS[name], **more}))


# --- layers and losses ---------------------------------------------------------------------------


@pytest.mark.peer
@pytest.mark.parametrize("rows", [None, 1, 2, 20])
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(("dtype", "eps"), [("float64", 1e-12), ("float32", 2e-5)])
def test_values_and_gradients_are_those_of_torch(dtype, eps, name, rows):
    model = model_of(name, dtype=dtype)
    peer = Peer(model)
    X, y = data(model, rows)
    terms, logits = peer.terms(X, y)
    final = logits.softmax(-1) if model.output == "softmax" else logits
    nearly(model.predict(X), final.detach().numpy(), eps)
    assert model.loss(X, y) == pytest.approx(terms.mean().item(), rel=eps)
    theirs = peer.gradients(terms.mean())
    scale = max(np.abs(part).max() for part in theirs)
    for part, expected in zip(parts(model.gradient(X, y)), theirs, strict=True):
        np.testing.assert_allclose(part, expected, rtol=0, atol=eps * scale)


@pytest.mark.peer
@pytest.mark.parametrize("rows", [1, 16])
@pytest.mark.parametrize("optimizer", [AdamW(lr=1e-2), SGD(0.02, 0.9, 1e-3, nesterov=True)], ids=["adamw", "nesterov"])
@pytest.mark.parametrize("name", MODELS)
def test_trajectories_are_those_of_torch(name, optimizer, rows):
    model = model_of(name, optimizer=optimizer)
    peer = Peer(model)
    kind = peer.torch.optim.AdamW if isinstance(optimizer, AdamW) else peer.torch.optim.SGD
    arguments = {name: value for name, value in optimizer._arguments().items() if name != "clip_norm"}
    theirs = kind(peer.tensors, **arguments)
    for step in range(100):
        X, y = data(model, rows, seed=step)
        theirs.zero_grad()
        value = peer.loss(X, y)
        value.backward()
        theirs.step()
        assert model.train_step(X, y) == pytest.approx(value.item(), rel=1e-7)
    peer.same_parameters(rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("rows", [None, 1, 5])
@pytest.mark.parametrize("name", MODELS)
def test_gradient_against_central_differences(name, rows):
    model = model_of(name, widths=(3, 5, 4, 6, 2), activation=["tanh", "gelu", "silu"])
    X, y = data(model, rows)
    central_differences(model, lambda m: m.loss(X, y), flat(model.gradient(X, y)))


@pytest.mark.parametrize("tier", TIERS)
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("rows", [None, 13])
def test_tiers_agree_with_reference(tier, name, rows):
    model = model_of(name, widths=(40, 70, 31, 50, 10), dtype="float32", dropout=0.3)
    X, y = data(model, rows)

    def everything():
        results = [model.predict(X), np.array(model.loss(X, y)), *parts(model.gradient(X, y))]
        return [*results, np.array(model.copy().train_step(X, y))]

    with mlopt.use_isa("reference"):
        expected = everything()
    with mlopt.use_isa(tier):
        for result, reference in zip(everything(), expected, strict=True):
            nearly(result, reference, 3e-5)


def test_activations_and_norms_can_be_read():
    model = MLP([3, 4, 5, 2], activation=["tanh", "relu"], layer_norm=[True, False], dropout=[0.0, 0.5], rng=0)
    assert (model.activation, model.layer_norm, model.dropout) == (("tanh", "relu"), (True, False), (0.0, 0.5))
    assert [len(layer) for layer in model.parameters] == [4, 2, 2]
    assert repr(eval(repr(model), {"MLP": MLP, "AdamW": AdamW})) == repr(model)
    alike = MLP([3, 4, 5, 2], layer_norm=True, dropout=0.5, rng=0)
    assert (alike.activation, alike.layer_norm, alike.dropout) == ("relu", True, 0.5)
    for gain, shift in (layer[2:] for layer in alike.parameters[:2]):
        assert (gain == 1).all()
        assert (shift == 0).all()
    again = pickle.loads(pickle.dumps(model))
    assert repr(again) == repr(model)
    np.testing.assert_array_equal(flat(again.parameters), flat(model.parameters))


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ({"layer_norm": 1}, TypeError, "layer_norm must be a bool"), ({"layer_norm": "ab"}, TypeError, "layer_norm"),
        ({"layer_norm": [True]}, ValueError, "layer_norm must be one value or 2"),
        ({"layer_norm": [True, 2]}, TypeError, "layer_norm"), ({"dropout": "ab"}, TypeError, "dropout"),
        ({"dropout": [0.5]}, ValueError, "dropout must be one value or 2"),
        ({"dropout": [0, 1]}, ValueError, "dropout"),
        ({"dropout": True}, TypeError, "dropout"), ({"dropout": [0.5, None]}, TypeError, "dropout"),
        ({"activation": ["relu", 1]}, TypeError, "activation"),
        ({"activation": ["relu"] * 3}, ValueError, "activation"),
        ({"huber_delta": float("inf")}, ValueError, "huber_delta"), ({"huber_delta": "1"}, TypeError, "huber_delta"),
        ({"l2": float("nan")}, ValueError, "l2"), ({"l2": None}, TypeError, "l2"),
    ],
)  # fmt: skip
def test_bad_layers(arguments, error, match):
    with pytest.raises(error, match=match):
        MLP([3, 4, 5, 2], rng=0, **arguments)


# --- dropout -------------------------------------------------------------------------------------


def test_dropout_is_drawn_from_seed_and_step():
    model = MLP([4, 30, 20, 2], dropout=0.5, optimizer=SGD(0.0), rng=0)
    X, y = data(model, 7)
    state = model.get_state()
    first, second = model.train_step(X, y), model.train_step(X, y)
    assert first != second
    model.set_state(state)
    assert [model.train_step(X, y), model.train_step(X, y)] == [first, second]
    model.set_state({**state, "seed": state["seed"] ^ 1})
    assert model.train_step(X, y) != first
    model.set_state({**state, "steps": 1})
    assert model.train_step(X, y) == second


@pytest.mark.parametrize("rows", [None, 1, 7])
def test_dropout_is_of_training_only(rows):
    model, plain = (MLP([4, 30, 20, 2], dropout=rate, rng=0) for rate in ([0.0, 0.8], 0.0))
    X, y = data(model, rows)
    np.testing.assert_array_equal(model.predict(X), plain.predict(X))
    assert model.loss(X, y) == plain.loss(X, y)
    np.testing.assert_array_equal(flat(model.gradient(X, y)), flat(plain.gradient(X, y)))
    assert model.train_step(X, y) != plain.train_step(X, y)


@pytest.mark.parametrize("rows", [None, 1, 4])
@pytest.mark.parametrize("layer_norm", [False, True])
@pytest.mark.parametrize("rate", [0.4, [0.0, 0.5], [0.3, 0.0]], ids=str)
def test_dropout_gradient_against_central_differences(rate, layer_norm, rows):
    """The step of plain SGD, with the mask that the same seed and step give again and again."""
    model = shaken(MLP([3, 8, 7, 2], activation=["tanh", "gelu"], dropout=rate, layer_norm=layer_norm,
                       optimizer=SGD(lr=1.0), dtype="float64", rng=2))  # fmt: skip
    X, y = data(model, rows)
    state = model.get_state()
    model.train_step(X, y)
    step = state["parameters"] - model.get_state()["parameters"]
    model.set_state(state)
    plain = flat(model.gradient(X, y))
    assert np.abs(step - plain).max() > 1e-3 * np.abs(plain).max(), "nothing was dropped"
    central_differences(model, lambda m: m.train_step(X, y), step)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_dropout_is_right_in_expectation(rate):
    """All is linear: the layers, and Huber's loss far off its minimum."""
    model = MLP([3, 40, 30, 1], activation="identity", dropout=rate, loss="huber", huber_delta=1e-3,
                optimizer=SGD(0.0), dtype="float64", rng=1)  # fmt: skip
    X, y = np.ones((100, 3)), np.full((100, 1), 1e4)
    losses = np.array([model.train_step(X, y) for _ in range(300)])
    assert losses.std() > 0
    assert losses.mean() == pytest.approx(model.loss(X, y), abs=4 * losses.std() / len(losses) ** 0.5)


@pytest.mark.parametrize(("widths", "dtype"), [((5, 9, 3), "float32"), ((2, 8, 70000), "float64")])
def test_dropout_of_one_sample_has_room_for_its_products(widths, dtype):
    model = MLP(widths, dropout=0.5, optimizer=SGD(0.1), dtype=dtype, rng=0)
    X, y = data(model, None)
    other = model.copy()
    other.train_step(np.stack([X, X]), np.stack([y, y]))
    other.set_state(model.get_state())
    assert model.train_step(X, y) == other.train_step(X[None], y[None])
    np.testing.assert_array_equal(flat(model.parameters), flat(other.parameters))


# --- weights, penalty, clipping ------------------------------------------------------------------

LOSSES = [("mse", "identity"), ("huber", "identity"), ("cross_entropy", "softmax"), ("binary_cross_entropy", "sigmoid")]


@pytest.mark.parametrize(("loss", "output"), LOSSES)
def test_weights_are_repetitions(loss, output):
    model = MLP([4, 9, 3], loss=loss, output=output, dtype="float64", rng=0)
    X, y = data(model, 5)
    counts = [2, 0, 1, 3, 1]
    weighted = model.loss(X, y, counts), parts(model.gradient(X, y, counts)), model.copy().train_step(X, y, counts)
    X, y = np.repeat(X, counts, axis=0), np.repeat(y, counts, axis=0)
    assert weighted[0] == pytest.approx(model.loss(X, y), rel=1e-13)
    assert weighted[2] == pytest.approx(model.copy().train_step(X, y), rel=1e-13)
    for part, expected in zip(weighted[1], parts(model.gradient(X, y)), strict=True):
        nearly(part, expected, 1e-13)


@pytest.mark.peer
@pytest.mark.parametrize("rows", [1, 9])
@pytest.mark.parametrize(("loss", "output"), LOSSES)
def test_weighted_means_are_those_of_torch(loss, output, rows):
    model = MLP([4, 9, 3], loss=loss, output=output, huber_delta=0.2, dtype="float64", rng=0)
    peer = Peer(model)
    X, y = data(model, rows)
    weights = np.random.default_rng(3).random(rows) + 0.1
    terms = peer.terms(X, y)[0]
    of_samples = terms if terms.ndim == 1 else terms.mean(1)
    value = (of_samples * peer.torch.tensor(weights)).sum() / weights.sum()
    assert model.loss(X, y, weights) == pytest.approx(value.item(), rel=1e-12)
    for part, expected in zip(parts(model.gradient(X, y, weights)), peer.gradients(value), strict=True):
        nearly(part, expected, 1e-12)


def test_one_weighted_sample_is_that_sample():
    model = MLP([4, 9, 3], dtype="float64", rng=0)
    X, y = data(model, None)
    for _ in range(7):  # packed from some call on
        assert model.loss(X, y, [0.5]) == pytest.approx(model.loss(X, y), rel=1e-14)
        nearly(flat(model.gradient(X, y, [0.5])), flat(model.gradient(X, y)), 1e-14)


@pytest.mark.parametrize(
    ("weights", "match"),
    [([1, 1], r"shape \(3,\)"), (np.ones((3, 1)), r"shape \(3,\)"), (1.0, r"shape \(3,\)"),
     ([1, -1, 1], "not negative"),
     ([0, 0, 0], "not all 0"), ([1, np.nan, 1], "finite"), ([1, np.inf, 1], "finite")],
)  # fmt: skip
def test_bad_weights_change_nothing(weights, match):
    model = MLP([4, 9, 3], rng=0)
    X, y = data(model, 3)
    before = pickle.dumps(model.get_state())
    for call in (model.train_step, model.gradient, model.loss):
        with pytest.raises(ValueError, match=match):
            call(X, y, weights)
    with pytest.raises(ValueError, match=match):
        model.fit(X, y, epochs=1, sample_weight=weights)
    assert pickle.dumps(model.get_state()) == before


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("layer_norm", [False, True])
def test_the_penalty_is_of_weights_only(layer_norm, dtype):
    penalty = 0.1
    model, plain = (
        shaken(MLP([4, 9, 7, 3], layer_norm=layer_norm, l2=l2, optimizer=SGD(1.0), dtype=dtype, rng=0))
        for l2 in (penalty, 0.0)
    )
    X, y = data(model, 5)
    before = parts(model.parameters)
    squares = sum((part.astype(np.float64) ** 2).sum() for part in before if part.ndim == 2)
    assert model.loss(X, y) == plain.loss(X, y)
    np.testing.assert_array_equal(flat(model.gradient(X, y)), flat(plain.gradient(X, y)))
    eps = 30 * float(np.finfo(dtype).eps)
    assert model.train_step(X, y) == pytest.approx(plain.train_step(X, y) + penalty / 2 * squares, rel=eps)
    for part, other, start in zip(parts(model.parameters), parts(plain.parameters), before, strict=True):
        nearly(part, other - penalty * start if start.ndim == 2 else other, eps)


def test_the_penalty_may_change_between_steps():
    model = MLP([4, 3], optimizer=SGD(0.0), rng=0)
    X, y = data(model, 5)
    plain = model.train_step(X, y)
    model.l2 = 2.0
    squares = float((model.weights[0].astype(np.float64) ** 2).sum())
    assert model.train_step(X, y) == pytest.approx(plain + squares, rel=1e-6)
    for bad, error in ((-1, ValueError), (np.nan, ValueError), ("1", TypeError)):
        with pytest.raises(error, match="l2"):
            model.l2 = bad
    assert model.l2 == 2.0


@pytest.mark.peer
@pytest.mark.parametrize("limit", [1e-3, 0.5, 1e3])
@pytest.mark.parametrize("rows", [1, 9])
@pytest.mark.parametrize("optimizer", [AdamW, SGD])
def test_clipping_is_that_of_torch(optimizer, rows, limit):
    model = MLP([4, 9, 7, 3], layer_norm=[True, False], l2=0.01, optimizer=optimizer(lr=0.05, clip_norm=limit),
                dtype="float64", rng=0)  # fmt: skip
    peer = Peer(model)
    theirs = getattr(peer.torch.optim, optimizer.__name__)(peer.tensors, lr=0.05)
    clipped = 0
    for step in range(30):
        X, y = data(model, rows, seed=step)
        theirs.zero_grad()
        value = peer.loss(X, y)
        value = value + 0.005 * sum((tensor**2).sum() for tensor in peer.tensors if tensor.ndim == 2)
        value.backward()
        clipped += float(peer.torch.nn.utils.clip_grad_norm_(peer.tensors, limit)) > limit
        theirs.step()
        assert model.train_step(X, y) == pytest.approx(value.item(), rel=1e-4)
    assert clipped == (30 if limit < 0.1 else 0) or limit == 0.5
    # PyTorch adds 1e-6 to the norm that it divides by
    peer.same_parameters(rtol=2e-3, atol=1e-4)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_clipped_step_has_the_length_of_the_limit(dtype):
    model = MLP([4, 30, 3], optimizer=SGD(1.0, clip_norm=0.25), dtype=dtype, rng=0)
    X, y = data(model, 6)
    gradient = flat(model.gradient(X, y + 5)).astype(np.float64)
    before = flat(model.parameters).astype(np.float64)
    model.train_step(X, y + 5)
    step = before - flat(model.parameters)
    assert np.linalg.norm(gradient) > 0.5
    assert np.linalg.norm(step) == pytest.approx(0.25, rel=1e-5)
    nearly(step, gradient * 0.25 / np.linalg.norm(gradient), 1e-5)
    for bad in (0, -1, np.nan, np.inf):
        with pytest.raises(ValueError, match="clip_norm"):
            model.optimizer.clip_norm = bad
    assert model.optimizer.clip_norm == 0.25


# --- schedules -----------------------------------------------------------------------------------


@pytest.mark.peer
@pytest.mark.parametrize(
    ("schedule", "theirs", "arguments"),
    [(CosineSchedule(0.1, 40), "CosineAnnealingLR", {"T_max": 40}),
     (CosineSchedule(0.1, 40, final=0.02), "CosineAnnealingLR", {"T_max": 40, "eta_min": 0.02}),
     (StepSchedule(0.1, 7), "StepLR", {"step_size": 7}),
     (StepSchedule(0.1, 3, 0.5), "StepLR", {"step_size": 3, "gamma": 0.5}),
     (ExponentialSchedule(0.1, 0.9), "ExponentialLR", {"gamma": 0.9})],
)  # fmt: skip
def test_schedules_are_those_of_torch(schedule, theirs, arguments):
    torch = pytest.importorskip("torch")
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    scheduler = getattr(torch.optim.lr_scheduler, theirs)(optimizer, **arguments)
    for step in range(40):
        assert schedule(step) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-9, abs=1e-15)
        optimizer.step()
        scheduler.step()


def test_schedules_stay_where_they_end():
    schedule = CosineSchedule(0.2, steps=10, warmup=4, final=0.01)
    assert [schedule(step) for step in range(4)] == pytest.approx([0.05, 0.1, 0.15, 0.2])
    assert schedule(4) == 0.2
    assert schedule(10) == schedule(11) == schedule(10**9) == pytest.approx(0.01)
    for bad in (10, 11, -1):
        with pytest.raises(ValueError, match="warmup"):
            CosineSchedule(0.2, steps=10, warmup=bad)
    with pytest.raises(ValueError, match="every"):
        StepSchedule(0.1, every=0)


@pytest.mark.parametrize("kind", [SGD, AdamW])
def test_a_schedule_gives_every_step_its_rate(kind):
    rates = [0.0, 0.1, 0.02, 0.0, 0.3]
    asked = []

    def schedule(step):
        asked.append(step)
        return rates[step]

    model, other = (MLP([3, 4, 2], optimizer=kind(lr=lr), rng=0) for lr in (schedule, 0.0))
    assert model.optimizer.lr is schedule
    X, y = data(model, 5)
    asked.clear()
    for rate in rates:
        other.optimizer.lr = rate
        model.train_step(X, y)
        other.train_step(X, y)
        np.testing.assert_array_equal(flat(model.parameters), flat(other.parameters))
    assert asked == [0, 1, 2, 3, 4]
    model.set_state({**model.get_state(), "steps": 1})
    model.train_step(X, y)
    assert asked[-1] == 1
    model.optimizer.lr = 0.5
    model.train_step(X, y)
    assert len(asked) == 6


def test_a_bad_rate_stops_the_step():
    model = MLP([3, 4, 2], optimizer=SGD(lr=lambda step: 0.1 if step < 1 else np.nan), rng=0)
    X, y = data(model, 5)
    model.train_step(X, y)
    before = pickle.dumps(model.get_state())
    with pytest.raises(ValueError, match="lr must be"):
        model.train_step(X, y)
    assert pickle.dumps(model.get_state()) == before
    model.optimizer.lr = 0.1
    model.train_step(X, y)
    with pytest.raises((ValueError, TypeError)):
        SGD(lr=lambda step: "fast")
    with pytest.raises(ZeroDivisionError):
        SGD(lr=lambda step: 1 / step)


@pytest.mark.parametrize("rows", [None, 5])
def test_a_schedule_may_ask_the_model(rows):
    """For a validation loss, say: of another batch, in the same workspace."""
    model, other = (MLP([3, 8, 4], loss="cross_entropy", output="softmax", optimizer=SGD(0.1), rng=0) for _ in range(2))
    X, _ = data(model, rows)
    labels = 2 if rows is None else np.arange(rows) % 4
    held, held_labels = data(model, 300, seed=1)[0], np.arange(300) % 4
    model.optimizer.lr = lambda step: 0.1 + 0 * model.loss(held, held_labels)
    for _ in range(5):
        assert model.train_step(X, labels) == other.train_step(X, labels)
    np.testing.assert_array_equal(flat(model.parameters), flat(other.parameters))


def test_schedules_are_copied_with_the_model():
    model = MLP([3, 4, 2], optimizer=AdamW(lr=CosineSchedule(0.1, 20, warmup=3)), rng=0)
    X, y = data(model, 5)
    model.train_step(X, y)
    other = pickle.loads(pickle.dumps(model))
    assert other.optimizer == model.optimizer
    for _ in range(5):
        assert other.train_step(X, y) == model.train_step(X, y)


# --- fit -----------------------------------------------------------------------------------------


def by_hand(model, X, y, epochs, batch_size, shuffle, rng, weights=None):
    """What fit should do, and the mean losses of the epochs."""
    order, generator, losses = np.arange(len(X)), np.random.default_rng(rng), []
    for _ in range(epochs):
        if shuffle:
            generator.shuffle(order)
        total = share = 0.0
        for first in range(0, len(X), batch_size):
            chosen = order[first : first + batch_size]
            of_batch = None if weights is None else weights[chosen]
            part = len(chosen) if weights is None else of_batch.sum()
            if part:
                total += part * model.train_step(X[chosen], y[chosen], of_batch)
                share += part
        losses.append(total / share)
    return losses


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("rows", "batch_size"), [(50, 16), (50, 50), (50, 1000), (33, 32), (7, 1)])
def test_fit_is_these_steps(rows, batch_size, weighted, shuffle):
    model, other = (MLP([3, 8, 2], dropout=0.2, dtype="float64", rng=0) for _ in range(2))
    X, y = data(model, rows)
    weights = np.random.default_rng(1).integers(0, 3, rows).astype(float) if weighted else None
    history = model.fit(X, y, epochs=3, batch_size=batch_size, shuffle=shuffle, sample_weight=weights, rng=9)
    expected = by_hand(other, X, y, 3, batch_size, shuffle, 9, weights)
    assert history == History(loss=history.loss, best_epoch=2)
    assert history.loss == pytest.approx(expected, rel=1e-12)
    np.testing.assert_array_equal(flat(model.parameters), flat(other.parameters))
    assert model.get_state()["steps"] == other.get_state()["steps"]


def test_shuffling_is_of_the_seed():
    def train(rng, shuffle=True):
        model = MLP([3, 8, 2], rng=0)
        model.fit(*data(model, 40), epochs=2, batch_size=8, shuffle=shuffle, rng=rng)
        return flat(model.parameters)

    np.testing.assert_array_equal(train(3), train(np.random.default_rng(3)))
    np.testing.assert_array_equal(train(3, False), train(4, False))
    assert (train(3) != train(4)).any()
    assert (train(3) != train(3, False)).any()


def test_fit_takes_labels_lists_and_leaves_them():
    model, other = (MLP([3, 8, 4], loss="cross_entropy", output="softmax", rng=0) for _ in range(2))
    X, _ = data(model, 30)
    labels = np.arange(30, dtype=np.uint8) % 4
    before = X.copy(), labels.copy()
    model.fit(X, labels, epochs=2, rng=0)
    other.fit(X.tolist(), labels.tolist(), epochs=2, rng=0)
    np.testing.assert_array_equal(flat(model.parameters), flat(other.parameters))
    np.testing.assert_array_equal(X, before[0])
    np.testing.assert_array_equal(labels, before[1])


def test_validation_is_noted_and_changes_nothing():
    model, other = (MLP([3, 8, 2], rng=0) for _ in range(2))
    X, y = data(model, 40)
    held = data(model, 11, seed=1)
    history = model.fit(X, y, epochs=4, validation=held, rng=0)
    assert other.fit(X, y, epochs=4, rng=0).loss == history.loss
    assert len(history.validation_loss) == 4
    assert history.validation_loss[-1] == model.loss(*held)
    assert (history.best_epoch, history.stopped) == (3, False)
    np.testing.assert_array_equal(flat(model.parameters), flat(other.parameters))


@pytest.mark.parametrize("patience", [1, 3])
def test_patience_restores_the_best(patience):
    """The validation targets are what the training targets are not: it becomes worse after some epochs."""
    model = MLP([2, 8, 1], optimizer=SGD(lr=0.05, momentum=0.5), rng=3)
    X, _ = data(model, 32)
    y = X[:, :1] * 2
    held = X, X[:, :1]
    states = []
    twin = model.copy()
    generator = np.random.default_rng(0)
    for _ in range(40):
        twin.fit(X, y, epochs=1, batch_size=8, shuffle=False, rng=generator)
        states.append((twin.loss(*held), flat(twin.parameters).copy()))
    losses = [loss for loss, _ in states]
    best, end = 0, None
    for epoch, loss in enumerate(losses):
        if loss < losses[best]:
            best = epoch
        elif epoch and epoch - best >= patience:
            end = epoch
            break
    assert end is not None
    history = model.fit(X, y, epochs=40, batch_size=8, shuffle=False, validation=held, patience=patience)
    assert history.validation_loss == losses[: end + 1]
    assert (history.best_epoch, history.stopped) == (best, True)
    np.testing.assert_array_equal(flat(model.parameters), states[best][1])
    assert model.get_state()["steps"] == 4 * (best + 1)
    assert model.loss(*held) == losses[best]


def test_the_best_is_restored_where_the_epochs_end():
    model = MLP([2, 1], optimizer=SGD(lr=0.05), rng=0)
    X, _ = data(model, 32)
    model.set_parameters([([[0], [0]], [0])])
    held = X, X[:, :1] * 0.05  # one step is too far
    history = model.fit(X, X[:, :1] * 2, epochs=5, validation=held, patience=5, rng=0)
    assert (history.best_epoch, history.stopped, len(history.loss)) == (0, False, 5)
    assert model.get_state()["steps"] == 1
    assert model.loss(*held) == history.validation_loss[0] == min(history.validation_loss)


def test_min_delta_counts_only_what_is_much_lower():
    model = MLP([2, 1], optimizer=SGD(lr=1e-4), rng=0)
    X, y = data(model, 32)
    history = model.fit(X, y, epochs=50, validation=(X, y), patience=2, min_delta=0.5, rng=0)
    assert history.validation_loss[2] < history.validation_loss[1] < history.validation_loss[0]
    assert (history.best_epoch, history.stopped, len(history.loss)) == (0, True, 3)


def test_no_epochs_change_nothing():
    model = MLP([2, 1], rng=0)
    before = pickle.dumps(model.get_state())
    assert model.fit(*data(model, 5), epochs=0) == History()
    assert pickle.dumps(model.get_state()) == before


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [({"epochs": -1}, ValueError, "epochs"), ({"epochs": 1.5}, TypeError, "epochs"),
     ({"batch_size": 0}, ValueError, "batch_size"), ({"batch_size": "8"}, TypeError, "batch_size"),
     ({"patience": 3}, ValueError, "patience needs validation"), ({"patience": 0}, ValueError, "patience"),
     ({"X": np.zeros(3, f32)}, ValueError, "batch"), ({"X": np.zeros((0, 3), f32)}, ValueError, "batch"),
     ({"y": np.zeros((4, 2), f32)}, ValueError, "y must have shape"), ({"rng": -1}, ValueError, None)],
)  # fmt: skip
def test_bad_fits_change_nothing(arguments, error, match):
    model = MLP([3, 2], rng=0)
    before = pickle.dumps(model.get_state())
    arguments = {"X": np.zeros((5, 3), f32), "y": np.zeros((5, 2), f32), "epochs": 1, **arguments}
    with pytest.raises(error, match=match):
        model.fit(arguments.pop("X"), arguments.pop("y"), **arguments)
    assert pickle.dumps(model.get_state()) == before


# --- views of parameters, packed parameters ------------------------------------------------------


def assert_current(model, x, infer=None):
    """Single samples are predicted from the parameters of now: as in a batch, and as by a fresh copy."""
    eps = 100 * np.finfo(model.dtype).eps
    fresh = model.copy().predict(x)
    nearly(model.predict(x), fresh, eps)
    nearly(model.predict(np.stack([x, x]))[1], fresh, eps)
    nearly(model.predict(x[None])[0], fresh, eps)
    if infer is not None:
        nearly(infer(), fresh, eps)


def packed(model, x, infer, y):
    """After some calls with the same parameters they are packed."""
    for _ in range(6):
        model.predict(x)
        infer()
        model.gradient(x, y)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", range(20))
def test_packed_samples_are_those_of_a_batch(case, dtype):
    """Random layers, after every kind of change."""
    rng = np.random.default_rng([case, 77])
    widths = [int(width) for width in rng.integers(1, 150, rng.integers(2, 6))]
    names = [str(name) for name in rng.choice(["relu", "tanh", "sigmoid", "gelu", "silu", "identity"], len(widths) - 2)]
    loss, output = LOSSES[case % 4]
    model = shaken(MLP(widths, activation=names, loss=loss, output=output, dtype=dtype, rng=case))
    x, y = data(model, None)
    infer = model.bind(x, np.empty(widths[-1], dtype))
    gradient = model.bind_gradient(x, y)
    draws = np.random.default_rng(case)
    eps = 200 * np.finfo(dtype).eps

    def check():
        packed(model, x, infer, y)
        x[...] = draws.standard_normal(x.shape)  # what an earlier call left is of another sample
        assert_current(model, x, infer)
        x[...] = draws.standard_normal(x.shape)
        batch = flat(model.copy().gradient(np.stack([x, x]), np.stack([y, y])))
        nearly(flat(model.gradient(x, y)), batch, eps)
        nearly(flat(gradient()), batch, eps)

    check()
    state = model.get_state()
    model.train_step(x, y)
    check()
    model.train_step(*data(model, 50))  # the workspace grows
    check()
    model.set_state(state)
    check()
    model.set_parameters([[part * 0.9 for part in layer] for layer in model.parameters])
    check()
    view = model.weights[-1]
    check()
    view *= 0.8
    check()
    del view
    check()
    model.biases[0][...] += 0.1  # the view is gone at once
    check()
    for tier in TIERS:
        with mlopt.use_isa(tier):
            check()
    check()


@pytest.mark.parametrize("name", ["weights", "biases"])
def test_writing_through_a_view_is_seen_at_once(name):
    model = MLP([6, 20, 3], rng=0)
    x, y = data(model, None)
    infer = model.bind(x, np.empty(3, f32))
    packed(model, x, infer, y)
    views = getattr(model, name)
    for number in range(20):
        views[number % 2][...] += 0.1
        assert_current(model, x, infer)
    before = infer().copy()
    inner = views[0][..., ::2]
    del views
    packed(model, x, infer, y)
    assert_current(model, x, infer)
    inner *= -1
    assert (infer() != before).any()
    assert_current(model, x, infer)
    base = memoryview(inner.base if inner.base is not None else inner)
    del inner
    packed(model, x, infer, y)
    np.asarray(base)[...] = 0.25
    assert_current(model, x, infer)
    del base
    packed(model, x, infer, y)
    assert_current(model, x, infer)


def test_views_are_of_the_model_and_outlive_it():
    model = MLP([3, 4, 2], rng=0)
    first, second = model.weights[0], model.parameters[0][0]
    assert np.shares_memory(first, second)
    first[0, 0] = 7
    assert second[0, 0] == 7
    model.train_step(*data(model, 5))
    assert first[0, 0] != 7
    del model
    assert first[0, 0] == second[0, 0]


@pytest.mark.parametrize("name", MODELS)
def test_set_parameters_takes_what_parameters_gives(name):
    model, other = model_of(name), model_of(name, rng=1)
    x, y = data(model, None)
    packed(other, x, other.bind(x, np.empty(3)), y)
    other.set_parameters(model.parameters)
    np.testing.assert_array_equal(flat(other.parameters), flat(model.parameters))
    np.testing.assert_array_equal(other.predict(x), model.copy().predict(x))
    other.set_parameters([[part.tolist() for part in layer] for layer in model.parameters])
    np.testing.assert_array_equal(flat(other.parameters), flat(model.parameters))


def test_parameters_may_change_places():
    model = shaken(MLP([4, 4, 4], rng=0))
    first, second = [[part.copy() for part in layer] for layer in model.parameters]
    model.set_parameters(model.parameters[::-1])
    for layer, expected in zip(model.parameters, (second, first), strict=True):
        for part, other in zip(layer, expected, strict=True):
            np.testing.assert_array_equal(part, other)
    model.set_parameters([(weights.T, bias[::-1]) for weights, bias in model.parameters])
    np.testing.assert_array_equal(model.weights[0], second[0].T)
    np.testing.assert_array_equal(model.biases[0], second[1][::-1])


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        (lambda p: p[:1], ValueError, "parameters must hold"), (lambda p: [p[0], p[1][:1]], ValueError, "must hold"),
        (lambda p: [p[0], (p[1][0], p[1][1][:-1])], ValueError, r"parameters\[1\]\[1\] must have shape"),
        (lambda p: [p[0], (p[1][0].T, p[1][1])], ValueError, r"parameters\[1\]\[0\] must have shape"),
        (lambda p: [p[0], (p[1][0], p[1][1] * 1j)], TypeError, r"parameters\[1\]\[1\] must be numeric"),
        (lambda p: [p[0], (p[1][0], "ab")], TypeError, r"parameters\[1\]\[1\] must be numeric"),
        (lambda p: [p[0], 5], TypeError, "parameters must be"), (lambda p: None, TypeError, "parameters must be"),
        (lambda p: 5, TypeError, "parameters must be"),
    ],
)  # fmt: skip
def test_bad_parameters_change_nothing(change, error, match):
    model, other = MLP([3, 4, 2], rng=0), MLP([3, 4, 2], rng=1)
    before = pickle.dumps(model.get_state())
    with pytest.raises(error, match=match):
        model.set_parameters(change(other.parameters))
    assert pickle.dumps(model.get_state()) == before


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_results_do_not_depend_on_earlier_calls(dtype):
    """The workspace has held larger batches, NaN, gradients and predictions in turn."""
    model = shaken(MLP([5, 19, 30, 3], activation=["gelu", "tanh"], layer_norm=[False, True], dtype=dtype, rng=8))
    plain = shaken(MLP([5, 19, 30, 3], activation=["gelu", "relu"], dtype=dtype, rng=8))
    poison = np.full((100, 5), np.nan, dtype)
    for m in (model, plain):
        for rows in (3, 700, 1, None, 2, 65, None, 1):
            X, y = data(m, rows)
            fresh = m.copy()
            expected = [fresh.predict(X), np.array(fresh.loss(X, y)), *parts(fresh.gradient(X, y))]
            results = [m.predict(X), np.array(m.loss(X, y)), *parts(m.gradient(X, y))]
            for result, other in zip(results, expected, strict=True):
                assert np.isfinite(result).all()
                nearly(result, other, 20 * np.finfo(dtype).eps)
            for bad in (poison, poison[0]):
                m.predict(bad)
                m.gradient(bad, np.zeros((*bad.shape[:-1], 3)))


# --- threads -------------------------------------------------------------------------------------


def in_threads(work, count=4):
    """work(0), work(1), ... at once; their results, or the first exception."""
    results, errors, start = [None] * count, [], threading.Barrier(count)

    def run(i):
        try:
            start.wait()
            results[i] = work(i)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return results


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_number_of_threads_changes_nothing(dtype):
    def train(threads):
        before = mlopt.get_num_threads()
        mlopt.set_num_threads(threads)
        try:
            model = MLP([40, 90, 70, 3], dropout=0.2, layer_norm=[True, False], dtype=dtype, rng=0)
            history = model.fit(*data(model, 500), epochs=3, batch_size=200, rng=0)
            return history.loss, model.get_state()["parameters"]
        finally:
            mlopt.set_num_threads(before)

    one, two = train(1), train(2)
    assert one[0] == two[0]
    np.testing.assert_array_equal(one[1], two[1])


def test_one_model_from_several_threads():
    model = MLP([30, 60, 40, 5], layer_norm=[True, False], rng=0)
    batches = [data(model, rows, seed=i) for i, rows in enumerate((300, None, 1, 40))]

    def everything(i):
        X, y = batches[i]
        return [model.predict(X), np.array(model.loss(X, y)), *parts(model.gradient(X, y))]

    expected = [everything(i) for i in range(4)]

    def work(i):
        for _ in range(40):
            for result, alone in zip(everything(i), expected[i], strict=True):
                np.testing.assert_array_equal(result, alone)
        return model.gradient(*batches[i])

    gradients = in_threads(work)
    for i, views in enumerate(gradients):
        for part, alone in zip(parts(views), expected[i][2:], strict=True):
            np.testing.assert_array_equal(part, alone)
    for i in range(4):
        for j in range(i):
            assert not np.shares_memory(gradients[i][0][0], gradients[j][0][0])


def test_overlapping_steps_are_refused_or_serial():
    model = MLP([64, 256, 256, 4], optimizer=SGD(0.0), rng=0)
    X, y = data(model, 1000)
    loss = model.loss(X, y)

    def work(i):
        refused = []
        for _ in range(5):
            try:
                assert model.train_step(X, y) == loss
            except RuntimeError as error:
                refused.append(str(error))
        return refused

    refused = [message for messages in in_threads(work, 3) for message in messages]
    assert all("in another thread" in message for message in refused)
    assert model.get_state()["steps"] + len(refused) == 15
    assert model.get_state()["steps"] >= 5
    model.train_step(X, y)


def test_threads_come_and_go():
    model = MLP([20, 40, 3], rng=0)
    X, y = data(model, 20)
    expected = parts(model.gradient(X, y))
    for _ in range(20):
        for views in in_threads(lambda i: model.gradient(X, y), 2):
            for part, alone in zip(parts(views), expected, strict=True):
                np.testing.assert_array_equal(part, alone)


def test_predictions_go_on_while_another_thread_trains():
    model = MLP([64, 256, 256, 4], rng=0)
    X, y = data(model, 1000)
    x = X[0].copy()

    def work(i):
        for _ in range(10 if i else 5):
            if i:
                assert np.isfinite(model.predict(x)).all()
                assert np.isfinite(model.predict(X)).all()
            else:
                model.train_step(X, y)

    in_threads(work, 3)
    assert_current(model, x)
