"""LSTM networks: values and gradients against PyTorch and by themselves, training, doors, errors, state, threads."""

import copy
import pickle
import threading

import numpy as np
import pytest

import mlopt
from mlopt.nn import LSTM, SGD, AdamW

HEADS = [
    ("mse", "identity"), ("mse", "tanh"), ("huber", "identity"), ("cross_entropy", "softmax"),
    ("cross_entropy", "identity"), ("binary_cross_entropy", "sigmoid"), ("binary_cross_entropy", "identity"),
]  # fmt: skip
# inputs, hidden, layers, samples (None: no such axis), steps; the way back takes 512 rows of all times at once
SHAPES = [
    (1, 1, 1, None, 1), (1, 1, 1, 1, 1), (3, 17, 1, 5, 7), (17, 33, 2, 4, 9), (33, 3, 3, 1, 40), (3, 3, 5, 2, 3),
    (5, 8, 2, 40, 20), (2, 3, 2, 600, 3), (3, 4, 1, None, 600), (3, 5, 2, 512, 2), (4, 5, 1, 171, 4), (2, 6, 2, 3, 1),
    (17, 1, 4, 3, 5), (1, 33, 1, 700, 1),
]  # fmt: skip
TIERS = mlopt.available_tiers()


def data(model, rows, steps, every=False, seed=0):
    """A batch that fits the model's loss, targets of the last step or of every one."""
    rng = np.random.default_rng([seed, steps, rows or 0])
    lead = () if rows is None else (rows,)
    outputs = model.head[-1] if model.head else model.hidden
    X = rng.standard_normal((*lead, steps, model.parameters[0][0].shape[0])).astype(model.dtype)
    y = rng.random((*lead, steps, outputs) if every else (*lead, outputs)).astype(model.dtype)
    if model.loss_function == "cross_entropy":
        y /= y.sum(axis=-1, keepdims=True)
    return X, y


def shaken(model, seed=5):
    """The model with biases that are not all alike."""
    rng = np.random.default_rng(seed)
    for layer in model.parameters:
        layer[-1][...] += 0.3 * rng.standard_normal(layer[-1].shape)
    return model


def nearly(a, b, eps):
    scale = max(np.abs(np.asarray(b)).max(), 1e-6)
    np.testing.assert_allclose(a, b, rtol=0, atol=eps * scale)


def parts(layers):
    return [part.copy() for layer in layers for part in layer]


# --- against PyTorch -----------------------------------------------------------------------------


class Peer:
    """The same network in PyTorch, in float64; the second bias of its layers stays 0."""

    def __init__(self, model):
        self.torch = torch = pytest.importorskip("torch")
        torch.set_num_threads(1)
        self.model = model
        inputs = model.parameters[0][0].shape[0]
        self.lstm = torch.nn.LSTM(inputs, model.hidden, model.num_layers, batch_first=True, dtype=torch.float64)
        self.head = []
        with torch.no_grad():
            for i, (x_weights, h_weights, bias) in enumerate(model.parameters[: model.num_layers]):
                getattr(self.lstm, f"weight_ih_l{i}").copy_(torch.tensor(x_weights.T))
                getattr(self.lstm, f"weight_hh_l{i}").copy_(torch.tensor(h_weights.T))
                getattr(self.lstm, f"bias_ih_l{i}").copy_(torch.tensor(bias))
                getattr(self.lstm, f"bias_hh_l{i}").zero_()
                getattr(self.lstm, f"bias_hh_l{i}").requires_grad_(False)
            for weights, bias in model.parameters[model.num_layers :]:
                linear = torch.nn.Linear(*weights.shape, dtype=torch.float64)
                linear.weight.copy_(torch.tensor(weights.T))
                linear.bias.copy_(torch.tensor(bias))
                self.head.append(linear)

    @property
    def tensors(self):
        """In the order of the model's parameters, with whether they lie across."""
        for i in range(self.model.num_layers):
            yield getattr(self.lstm, f"weight_ih_l{i}"), True
            yield getattr(self.lstm, f"weight_hh_l{i}"), True
            yield getattr(self.lstm, f"bias_ih_l{i}"), False
        for linear in self.head:
            yield linear.weight, True
            yield linear.bias, False

    def states(self, x):
        """Hidden states of every step; with truncate, of pieces counted from the end, detached from each other."""
        steps, piece = x.shape[-2], self.model.truncate
        if piece is None:
            return self.lstm(x)[0]
        ends = [*range(steps % piece or piece, steps, piece), steps]
        done, state, first = [], None, 0
        for end in ends:
            out, state = self.lstm(x[..., first:end, :], state)
            state = tuple(s.detach() for s in state)
            done.append(out)
            first = end
        return self.torch.cat(done, dim=-2)

    def logits(self, X, every):
        z = self.states(self.torch.tensor(X.astype(np.float64)))
        if not every:
            z = z[..., -1, :]
        activations = {"relu": self.torch.relu, "tanh": self.torch.tanh, "gelu": self.torch.nn.functional.gelu}
        for i, linear in enumerate(self.head):
            z = linear(z)
            if i < len(self.head) - 1:
                z = activations[self.model.activation](z)
        return self.torch.tanh(z) if self.model.output == "tanh" else z

    def final(self, logits):
        if self.model.output in ("softmax", "sigmoid"):
            return {"softmax": lambda t: t.softmax(-1), "sigmoid": self.torch.sigmoid}[self.model.output](logits)
        return logits

    def loss(self, logits, y, weights=None):
        """The weighted mean; y probabilities or values, logits of the same shape."""
        nn, target = self.torch.nn.functional, self.torch.tensor(np.asarray(y, np.float64))
        name = self.model.loss_function
        if name == "cross_entropy":
            terms = -(target * logits.log_softmax(-1)).sum(-1, keepdim=True)
        elif name == "binary_cross_entropy":
            terms = nn.binary_cross_entropy_with_logits(logits, target, reduction="none")
        elif name == "huber":
            terms = nn.huber_loss(logits, target, reduction="none", delta=self.model.huber_delta)
        else:
            terms = nn.mse_loss(logits, target, reduction="none")
        if weights is None:
            return terms.mean()
        of_samples = terms.reshape(len(weights), -1).mean(1)
        weights = self.torch.tensor(np.asarray(weights, np.float64))
        return (weights * of_samples).sum() / weights.sum()

    def agree(self, X, y, eps, every, weights=None):
        """Prediction, loss and every gradient of the model, compared."""
        model = self.model
        for tensor, _ in self.tensors:
            tensor.grad = None
        logits = self.logits(X, every)
        value = self.loss(logits, y, weights)
        value.backward()
        nearly(model.predict(X, sequences=every), self.final(logits).detach().numpy(), eps)
        assert model.loss(X, y, weights) == pytest.approx(value.item(), rel=eps)
        gradients = [part for layer in model.gradient(X, y, weights) for part in layer]
        theirs = [tensor.grad.numpy().T if across else tensor.grad.numpy() for tensor, across in self.tensors]
        scale = max(np.abs(part).max() for part in theirs)
        for part, expected in zip(gradients, theirs, strict=True):
            np.testing.assert_allclose(part, expected, rtol=0, atol=eps * scale)


@pytest.mark.peer
@pytest.mark.parametrize("every", [False, True], ids=["last", "sequences"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(("dtype", "eps"), [("float64", 1e-12), ("float32", 1e-5)])
def test_values_and_gradients_are_those_of_torch(dtype, eps, shape, every):
    inputs, hidden, layers, rows, steps = shape
    model = shaken(LSTM(inputs, hidden, layers, dtype=dtype, rng=1))
    Peer(model).agree(*data(model, rows, steps, every), eps, every)


@pytest.mark.peer
@pytest.mark.parametrize("every", [False, True], ids=["last", "sequences"])
@pytest.mark.parametrize("head", [(1,), (9, 4), (40, 3, 5)], ids=str)
@pytest.mark.parametrize("activation", ["relu", "tanh", "gelu"])
@pytest.mark.parametrize("rows", [None, 1, 6])
def test_heads_are_those_of_torch(rows, activation, head, every):
    model = shaken(LSTM(3, 17, 2, head=head, activation=activation, dtype="float64", rng=2))
    Peer(model).agree(*data(model, rows, 5, every), 1e-12, every)


@pytest.mark.peer
@pytest.mark.parametrize("every", [False, True], ids=["last", "sequences"])
@pytest.mark.parametrize("weighted", [False, True], ids=["mean", "weighted"])
@pytest.mark.parametrize(
    ("loss", "output", "head"), [(*kind, head) for kind in HEADS for head in ((), (8, 5)) if head or kind[1] != "tanh"]
)
def test_losses_and_weights_are_those_of_torch(loss, output, head, weighted, every):
    model = shaken(LSTM(4, 7, 2, head=head, loss=loss, output=output, huber_delta=0.3, dtype="float64", rng=3))
    weights = np.random.default_rng(4).random(6) * (np.arange(6) != 2) if weighted else None
    Peer(model).agree(*data(model, 6, 5, every), 1e-12, every, weights)


@pytest.mark.peer
@pytest.mark.parametrize("every", [False, True], ids=["last", "sequences"])
@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize(("steps", "truncate"), [(7, 1), (7, 2), (7, 3), (8, 4), (7, 7), (7, 50), (90, 13), (1, 1)])
def test_truncation_is_that_of_detached_states(steps, truncate, layers, every):
    model = shaken(LSTM(3, 5, layers, head=[2], truncate=truncate, dtype="float64", rng=4))
    Peer(model).agree(*data(model, 9, steps, every), 1e-12, every)


@pytest.mark.peer
@pytest.mark.parametrize("every", [False, True], ids=["last", "sequences"])
@pytest.mark.parametrize("truncate", [None, 4])
@pytest.mark.parametrize("optimizer", [AdamW(lr=1e-2), SGD(0.05, 0.9, 1e-3)], ids=["adamw", "momentum"])
def test_trajectories_are_those_of_torch(optimizer, truncate, every):
    model = shaken(LSTM(3, 9, 2, head=[6, 2], optimizer=optimizer, truncate=truncate, dtype="float64", rng=5))
    peer = Peer(model)
    kind = peer.torch.optim.AdamW if isinstance(optimizer, AdamW) else peer.torch.optim.SGD
    arguments = {name: value for name, value in optimizer._arguments().items() if name != "clip_norm"}
    theirs = kind([tensor for tensor, _ in peer.tensors], **arguments)
    for step in range(100):
        X, y = data(model, 4, 6, every, seed=step)
        theirs.zero_grad()
        value = peer.loss(peer.logits(X, every), y)
        value.backward()
        theirs.step()
        assert model.train_step(X, y) == pytest.approx(value.item(), rel=1e-8)
    ours = [part for layer in model.parameters for part in layer]
    for part, (tensor, across) in zip(ours, peer.tensors, strict=True):
        expected = tensor.detach().numpy()
        np.testing.assert_allclose(part, expected.T if across else expected, rtol=1e-7, atol=1e-9)


# --- by themselves -------------------------------------------------------------------------------


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


@pytest.mark.parametrize("every", [False, True], ids=["last", "sequences"])
@pytest.mark.parametrize(("loss", "output"), HEADS)
def test_gradient_against_central_differences(loss, output, every):
    model = LSTM(2, 3, 2, head=[4, 3], activation="silu", loss=loss, output=output, dtype="float64", rng=6)
    X, y = data(shaken(model), 3, 4, every)
    gradients = np.concatenate([part.ravel() for part in parts(model.gradient(X, y))])
    central_differences(model, lambda m: m.loss(X, y), gradients)


@pytest.mark.parametrize("every", [False, True], ids=["last", "sequences"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_batch_is_the_mean_of_its_samples(dtype, every):
    model = shaken(LSTM(5, 19, 2, head=[3], dtype=dtype, rng=7))
    X, y = data(model, 6, 8, every)
    eps = 50 * np.finfo(dtype).eps
    alone = [model.predict(x, sequences=every) for x in X]
    nearly(model.predict(X, sequences=every), np.stack(alone), eps)
    sums = [np.zeros(part.shape) for part in parts(model.parameters)]
    for x, target in zip(X, y, strict=True):
        for total, part in zip(sums, parts(model.gradient(x, target)), strict=True):
            total += part / len(X)
    for part, total in zip(parts(model.gradient(X, y)), sums, strict=True):
        nearly(part, total, eps)


def test_the_last_of_the_sequence_is_the_result():
    model = LSTM(3, 5, 2, head=[4, 2], rng=0)
    X, _ = data(model, 4, 7)
    every = model.predict(X, sequences=True)
    nearly(every[:, -1], model.predict(X), 1e-6)
    nearly(every[:, 3], model.predict(np.ascontiguousarray(X[:, :4])), 1e-6)
    nearly(model.predict(X[1], sequences=True), every[1], 1e-6)


@pytest.mark.parametrize("head", [(), (4,)], ids=str)
def test_labels_are_one_hot_targets(head):
    model = LSTM(3, 4, head=head, loss="cross_entropy", output="softmax", rng=0)
    X, _ = data(model, 5, 6)
    rng = np.random.default_rng(1)
    for labels in (rng.integers(4, size=5), rng.integers(4, size=(5, 6))):
        one_hot = np.eye(4, dtype=np.float32)[labels]
        expected = model.loss(X, one_hot), parts(model.gradient(X, one_hot))
        for kind in (np.int64, np.int32, np.uint8):
            assert model.loss(X, labels.astype(kind)) == expected[0]
        for part, other in zip(parts(model.gradient(X, labels)), expected[1], strict=True):
            np.testing.assert_array_equal(part, other)
        assert model.loss(X[0], labels[0]) == model.loss(X[0], one_hot[0])
    for bad in ([0, 1, 4, 0, 0], [0, -1, 2, 0, 0], rng.integers(4, 9, size=(5, 6))):
        with pytest.raises(ValueError, match="y must hold class labels"):
            model.train_step(X, bad)


def test_integers_are_labels_though_there_are_as_many_steps_as_classes():
    model = LSTM(3, 4, loss="cross_entropy", output="softmax", rng=0)
    X, _ = data(model, 5, 4)
    labels = np.random.default_rng(1).integers(4, size=(5, 4))
    one_hot = np.eye(4, dtype=np.float32)[labels]
    assert model.loss(X, labels) == model.loss(X, one_hot)
    assert model.loss(X[0], labels[0].tolist()) == model.loss(X[0], one_hot[0])
    assert model.loss(X, one_hot[:, 0]) == model.loss(X, labels[:, 0])


def test_weights_are_repetitions():
    model = LSTM(3, 5, head=[2], dtype="float64", rng=0)
    for every in (False, True):
        X, y = data(model, 4, 5, every)
        counts = [2, 0, 1, 3]
        weighted = model.loss(X, y, counts), parts(model.gradient(X, y, counts))
        X, y = np.repeat(X, counts, axis=0), np.repeat(y, counts, axis=0)
        assert weighted[0] == pytest.approx(model.loss(X, y), rel=1e-13)
        for part, expected in zip(weighted[1], parts(model.gradient(X, y)), strict=True):
            nearly(part, expected, 1e-13)


@pytest.mark.parametrize("tier", TIERS)
@pytest.mark.parametrize("every", [False, True], ids=["last", "sequences"])
@pytest.mark.parametrize("rows", [None, 13, 520])
def test_tiers_agree_with_reference(tier, rows, every):
    model = shaken(LSTM(5, 21, 2, head=[11, 3], activation="gelu", truncate=4, rng=0))
    X, y = data(model, rows, 6, every)

    def everything():
        return [model.predict(X, sequences=every), np.array(model.loss(X, y)), *parts(model.gradient(X, y))]

    with mlopt.use_isa("reference"):
        expected = everything()
    with mlopt.use_isa(tier):
        for result, reference in zip(everything(), expected, strict=True):
            nearly(result, reference, 2e-5)


def test_tiers_drop_the_same():
    def train(tier):
        model = LSTM(3, 8, 3, dropout=0.5, dtype="float64", rng=0)
        with mlopt.use_isa(tier):
            return [model.train_step(*data(model, 4, 5, seed=step)) for step in range(5)]

    expected = train("reference")
    for tier in TIERS:
        np.testing.assert_allclose(train(tier), expected, rtol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_results_do_not_depend_on_earlier_calls(dtype):
    """The workspace has held larger batches, longer series, NaN, gradients and predictions in turn."""
    model = shaken(LSTM(3, 7, 3, head=[5, 2], dropout=0.4, optimizer=SGD(0.0), dtype=dtype, rng=8))
    calls = [(rows, steps, every) for rows, steps in ((2, 3), (700, 2), (1, 40), (9, 60), (None, 5), (3, 1), (1, 1))
             for every in (False, True)]  # fmt: skip

    def everything(model, rows, steps, every):
        X, y = data(model, rows, steps, every)
        out = np.empty_like(y)
        bound = model.bind(X, out)().copy()
        return [model.predict(X, sequences=every), bound, np.array(model.loss(X, y)), *parts(model.gradient(X, y))]

    poison = np.full((300, 9, 3), np.nan, dtype)
    order = np.random.default_rng(0).permutation(len(calls))
    for i in (*order, *order[::-1]):
        expected = everything(model.copy(), *calls[i])
        for result, fresh in zip(everything(model, *calls[i]), expected, strict=True):
            assert np.isfinite(result).all()
            np.testing.assert_array_equal(result, fresh)
        model.predict(poison, sequences=True)
        state = model.get_state()
        model.train_step(poison, np.zeros((300, 2)))
        model.set_state(state)


def test_learns_to_remember_the_first_step():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((256, 8, 1)).astype(np.float32)
    labels = (X[:, 0, 0] > 0).astype(int)
    model = LSTM(1, 12, head=[2], loss="cross_entropy", output="softmax", optimizer=AdamW(lr=0.02), rng=0)
    history = model.fit(X, labels, epochs=40, batch_size=64, rng=0)
    assert history.loss[-1] < 0.1 < 0.6 < history.loss[0]
    assert (model.predict(X).argmax(1) == labels).mean() > 0.95


def test_fit_takes_targets_of_every_step():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((64, 10, 1)).astype(np.float32)
    y = np.cumsum(X, axis=1).astype(np.float32)
    losses = []
    for targets in (y, y[..., 0]):
        model = LSTM(1, 16, head=[1], optimizer=AdamW(lr=0.02), rng=0)
        losses.append(model.fit(X, targets, epochs=30, batch_size=16, rng=0).loss)
    assert losses[0] == losses[1]
    assert losses[0][-1] < 0.2 * losses[0][0]


def test_the_penalty_is_of_weights_only():
    model, plain = (shaken(LSTM(3, 5, 2, head=[4, 2], l2=l2, optimizer=SGD(1.0), dtype="float64", rng=0))
                    for l2 in (0.1, 0.0))  # fmt: skip
    X, y = data(model, 6, 4)
    before = parts(model.parameters)
    squares = sum((part**2).sum() for part in before if part.ndim == 2)
    assert model.loss(X, y) == plain.loss(X, y)
    assert model.train_step(X, y) == pytest.approx(plain.train_step(X, y) + 0.05 * squares, rel=1e-13)
    for part, other, start in zip(parts(model.parameters), parts(plain.parameters), before, strict=True):
        nearly(part, other - 0.1 * start if start.ndim == 2 else other, 1e-13)


def test_a_clipped_step_has_the_length_of_the_limit():
    model = LSTM(3, 5, 2, head=[2], optimizer=SGD(1.0, clip_norm=0.125), dtype="float64", rng=0)
    X, y = data(model, 6, 4, every=True)
    gradient = np.concatenate([part.ravel() for part in parts(model.gradient(X, y + 3))])
    before = model.get_state()["parameters"]
    model.train_step(X, y + 3)
    step = before - model.get_state()["parameters"]
    assert np.linalg.norm(gradient) > 0.25
    nearly(step, gradient * 0.125 / np.linalg.norm(gradient), 1e-12)


def test_a_schedule_may_ask_the_model():
    model, other = (LSTM(3, 5, head=[2], optimizer=SGD(0.1), rng=0) for _ in range(2))
    X, y = data(model, 2, 3)
    held = data(model, 90, 20, every=True)
    model.optimizer.lr = lambda step: 0.1 + 0 * model.loss(*held)
    for _ in range(5):
        assert model.train_step(X, y) == other.train_step(X, y)
    np.testing.assert_array_equal(model.get_state()["parameters"], other.get_state()["parameters"])


def test_a_wide_head_has_room_for_its_products():
    model = LSTM(1, 2, head=[8, 70000], dtype="float64", rng=0)
    X, y = data(model, None, 2)
    alone = parts(model.gradient(X, y))
    for part, expected in zip(alone, parts(model.gradient(np.stack([X, X]), np.stack([y, y]))), strict=True):
        nearly(part, expected, 1e-13)


def test_initial_weights():
    model = LSTM(30, 100, 2, head=[4], rng=0)
    for x_weights, h_weights, bias in model.parameters[:2]:
        for weights in (x_weights, h_weights):
            assert np.abs(weights).max() <= 0.1
            assert weights.std() == pytest.approx(0.1 / 3**0.5, rel=0.02)
        np.testing.assert_array_equal(bias, np.repeat([0, 1, 0, 0], 100))
    assert (model.parameters[2][1] == 0).all()


def test_same_seed_same_result():
    def train(rng):
        model = LSTM(3, 8, 2, dropout=0.3, rng=rng)
        for step in range(10):
            model.train_step(*data(model, 5, 6, seed=step))
        return model.get_state()["parameters"]

    np.testing.assert_array_equal(train(5), train(np.random.default_rng(5)))
    assert (train(5) != train(6)).any()


# --- dropout -------------------------------------------------------------------------------------


def test_dropout_is_drawn_from_seed_and_step():
    model = LSTM(3, 8, 2, dropout=0.5, optimizer=SGD(0.0), rng=0)
    X, y = data(model, 5, 6)
    state = model.get_state()
    first, second = model.train_step(X, y), model.train_step(X, y)
    assert first != second
    model.set_state(state)
    assert [model.train_step(X, y), model.train_step(X, y)] == [first, second]
    model.set_state({**state, "seed": state["seed"] ^ 1})
    assert model.train_step(X, y) != first
    model.set_state({**state, "steps": 1})
    assert model.train_step(X, y) == second


def test_dropout_is_of_training_only():
    model = LSTM(3, 8, 3, head=[2], dropout=0.5, rng=0)
    plain = LSTM(3, 8, 3, head=[2], rng=0)
    X, y = data(model, 5, 6)
    np.testing.assert_array_equal(model.predict(X), plain.predict(X))
    assert model.loss(X, y) == plain.loss(X, y)
    for part, expected in zip(parts(model.gradient(X, y)), parts(plain.gradient(X, y)), strict=True):
        np.testing.assert_array_equal(part, expected)
    assert model.train_step(X, y) != plain.train_step(X, y)


def test_a_single_layer_has_nothing_to_drop():
    model, plain = (LSTM(3, 8, head=[4, 2], dropout=rate, rng=0) for rate in (0.9, 0.0))
    X, y = data(model, 5, 6)
    assert model.train_step(X, y) == plain.train_step(X, y)


@pytest.mark.parametrize("every", [False, True], ids=["last", "sequences"])
@pytest.mark.parametrize("rows", [None, 3])
def test_dropout_gradient_against_central_differences(rows, every):
    """The step of plain SGD, with the mask that the same seed and step give again and again."""
    model = shaken(LSTM(2, 4, 3, head=[2], dropout=0.4, optimizer=SGD(lr=1.0), dtype="float64", rng=9))
    X, y = data(model, rows, 4, every)
    state = model.get_state()
    model.train_step(X, y)
    step = state["parameters"] - model.get_state()["parameters"]
    model.set_state(state)
    plain = np.concatenate([part.ravel() for part in parts(model.gradient(X, y))])
    assert np.abs(step - plain).max() > 1e-3 * np.abs(plain).max(), "nothing was dropped"
    central_differences(model, lambda m: m.train_step(X, y), step)


def test_dropout_is_right_in_expectation():
    """With weights so small that all is linear, and Huber's loss far off, which is linear too."""
    model = LSTM(2, 16, 2, head=[1], loss="huber", dropout=0.5, optimizer=SGD(0.0), dtype="float64", rng=1)
    for layer in model.parameters[:2]:
        layer[0][...] *= 0.02
        layer[1][...] = 0
    X = np.ones((64, 4, 2))
    y = np.full((64, 1), 10.0)
    base = model.copy()
    for part in base.parameters[1]:
        part[...] = 0
    effect = model.loss(X, y) - base.loss(X, y)
    losses = np.array([model.train_step(X, y) for _ in range(400)]) - base.loss(X, y)
    assert abs(effect) > 1e-6
    error = losses.std() / len(losses) ** 0.5
    assert losses.std() > 1e-3 * abs(effect)
    assert losses.mean() == pytest.approx(effect, abs=4 * error + 1e-2 * abs(effect))


# --- doors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("every", [False, True], ids=["last", "sequences"])
@pytest.mark.parametrize("rows", [None, 1, 5])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_bound_calls_are_the_plain_ones(dtype, rows, every):
    model = LSTM(3, 10, 2, head=[4], loss="cross_entropy", output="softmax", dtype=dtype, rng=0)
    X, y = data(model, rows, 7, every)
    out = np.empty_like(y)
    infer = model.bind(X, out)
    for _ in range(3):
        assert infer() is out
        np.testing.assert_array_equal(out, model.predict(X, sequences=every))
        model.train_step(X, y)
        X += 0.1
    model.parameters[0][1][...] *= 2
    np.testing.assert_array_equal(infer(), model.predict(X, sequences=every))
    with mlopt.use_isa("reference"):
        np.testing.assert_array_equal(infer(), model.predict(X, sequences=every))
    assert infer.model is model
    assert infer.x is X
    assert infer.out is out


def test_predict_accepts_what_is_like_an_array():
    model = LSTM(3, 4, head=[2], rng=0)
    X = np.arange(24, dtype=np.float32).reshape(2, 4, 3) / 24
    expected = model.predict(X)
    wide = np.zeros((2, 8, 5), np.float32)
    wide[:, ::2, 1:4] = X
    across = np.ascontiguousarray(X.transpose(2, 1, 0)).transpose(2, 1, 0)
    for given in (X.tolist(), X.astype(np.float64), wide[:, ::2, 1:4], across, X[:, ::-1][:, ::-1]):
        np.testing.assert_array_equal(model.predict(given), expected)
        np.testing.assert_array_equal(model.predict(given, sequences=True), model.predict(X, sequences=True))
    y = np.zeros((2, 2), np.float32)
    assert model.loss(wide[:, ::2, 1:4], y.astype(np.float64)) == model.loss(X, np.asfortranarray(y))
    assert model.predict(np.empty((0, 4, 3), np.float32)).shape == (0, 2)
    assert model.predict(np.empty((0, 4, 3), np.float32), sequences=True).shape == (0, 4, 2)
    out = np.empty((2, 2), np.float32)
    assert model.predict(X.tolist(), out=out) is out
    np.testing.assert_array_equal(out, expected)
    np.testing.assert_array_equal(model.predict(X.astype(">f4")), expected)
    read_only = X.copy()
    read_only.flags.writeable = False
    np.testing.assert_array_equal(model.predict(read_only), expected)


def test_targets_of_one_output_need_no_axis():
    model = LSTM(3, 4, head=[1], rng=0)
    X, y = data(model, 5, 6)
    assert model.loss(X, y[:, 0]) == model.loss(X, y)
    assert model.loss(X[0], y[0, 0]) == model.loss(X[0], y[0])
    X, y = data(model, 5, 6, every=True)
    assert model.loss(X, y[..., 0]) == model.loss(X, y)
    assert model.loss(X[0], y[0, :, 0]) == model.loss(X[0], y[0])


def test_gradients_are_the_same_objects():
    model = LSTM(3, 4, 2, rng=0)
    X, y = data(model, 5, 6)
    assert model.gradient(X, y) is model.gradient(X[0], y[0])
    shapes = [[part.shape for part in layer] for layer in model.parameters]
    assert shapes == [[part.shape for part in layer] for layer in model.gradient(X, y)]
    assert shapes == [[(3, 16), (4, 16), (16,)], [(4, 16), (4, 16), (16,)]]


# --- errors --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ({"inputs": 0}, ValueError, "inputs"), ({"inputs": 2.5}, TypeError, "inputs"),
        ({"hidden": 0}, ValueError, "hidden"), ({"hidden": -3}, ValueError, "hidden"),
        ({"hidden": "8"}, TypeError, "hidden"), ({"hidden": 1 << 40}, ValueError, "hidden"),
        ({"num_layers": 0}, ValueError, "num_layers"), ({"num_layers": -1}, ValueError, "num_layers"),
        ({"num_layers": 65}, ValueError, "num_layers"), ({"num_layers": 1.5}, TypeError, "num_layers"),
        ({"head": [0]}, ValueError, "head"), ({"head": [3, -1]}, ValueError, "head"),
        ({"head": 5}, TypeError, "head"), ({"head": "5"}, TypeError, "head"), ({"head": [2.5]}, TypeError, "head"),
        ({"truncate": 0}, ValueError, "truncate"), ({"truncate": -1}, ValueError, "truncate"),
        ({"truncate": 2.5}, TypeError, "truncate"), ({"truncate": "2"}, TypeError, "truncate"),
        ({"truncate": 1 << 70}, ValueError, "truncate"),
        ({"dropout": 1.0}, ValueError, "dropout"), ({"dropout": -0.1}, ValueError, "dropout"),
        ({"dropout": "a"}, TypeError, "dropout"), ({"dropout": float("nan")}, ValueError, "dropout"),
        ({"l2": -1}, ValueError, "l2"), ({"huber_delta": 0}, ValueError, "huber_delta"),
        ({"activation": "swish"}, ValueError, "activation='swish'"), ({"activation": None}, TypeError, "activation"),
        ({"loss": "l1"}, ValueError, "loss='l1'"), ({"output": "tanh"}, ValueError, "needs a head"),
        ({"output": "softmax"}, ValueError, "output='softmax' goes with loss 'cross_entropy'"),
        ({"head": [3], "output": "relu", "loss": "cross_entropy"}, ValueError, "output='relu'"),
        ({"dtype": "float16"}, ValueError, "dtype"), ({"optimizer": "adam"}, TypeError, "optimizer"),
        ({"rng": -1}, ValueError, None),
    ],
)  # fmt: skip
def test_bad_models(arguments, error, match):
    arguments = {"inputs": 3, "hidden": 4, **arguments}
    with pytest.raises(error, match=match):
        LSTM(arguments.pop("inputs"), arguments.pop("hidden"), **arguments)


f32 = np.float32
GOOD = np.zeros((4, 5, 3), f32)
BAD_CALLS = [
    ("predict", (np.zeros(3, f32),), {}, ValueError, "X must have shape"),
    ("predict", (np.zeros((5, 4), f32),), {}, ValueError, "X must have shape"),
    ("predict", (np.zeros((1, 4, 5, 3), f32),), {}, ValueError, "X must have shape"),
    ("predict", (np.zeros((0, 3), f32),), {}, ValueError, "at least one time step"),
    ("predict", (np.zeros((4, 0, 3), f32),), {}, ValueError, "at least one time step"),
    ("predict", (np.zeros((5, 3), complex),), {}, TypeError, "X must be numeric"),
    ("predict", ([["a", "b", "c"]],), {}, TypeError, "X must be numeric"),
    ("predict", (GOOD,), {"out": np.zeros((4, 3), f32)}, ValueError, "out must have shape"),
    ("predict", (GOOD,), {"out": np.zeros((4, 5, 2), f32)}, ValueError, "out must have shape"),
    ("predict", (GOOD,), {"out": np.zeros((4, 2), f32), "sequences": True}, ValueError, "out must have shape"),
    ("predict", (GOOD,), {"out": np.zeros((4, 2))}, TypeError, "out must be float32.*float64"),
    ("predict", (GOOD,), {"out": [0, 0]}, TypeError, "out must be an ndarray"),
    ("predict", (GOOD,), {"out": np.zeros((2, 4), f32).T}, ValueError, "C-contiguous"),
    ("predict", (GOOD,), {"out": np.frombuffer(bytes(32), f32).reshape(4, 2)}, ValueError, "writeable"),
    ("gradient", (GOOD, np.zeros((4, 3), f32)), {}, ValueError, "y must have shape"),
    ("gradient", (GOOD, np.zeros((3, 2), f32)), {}, ValueError, "y must have shape"),
    ("gradient", (GOOD, np.zeros((4, 5), f32)), {}, ValueError, "y must have shape"),
    ("gradient", (GOOD, np.zeros((4, 6, 2), f32)), {}, ValueError, "y must have shape"),
    ("gradient", (GOOD, np.zeros(2, f32)), {}, ValueError, "y must have shape"),
    ("train_step", (GOOD, np.zeros((4, 2), f32), [1, 1]), {}, ValueError, "sample_weight must have shape"),
    ("train_step", (GOOD, np.zeros((4, 5, 2), f32), np.ones((4, 5))), {}, ValueError, "sample_weight must have shape"),
    ("train_step", (GOOD, np.zeros((4, 2), f32), [1, -1, 1, 1]), {}, ValueError, "sample_weight must be finite"),
    ("train_step", (GOOD, np.zeros((4, 2), f32), [0, 0, 0, 0]), {}, ValueError, "sample_weight must be finite"),
    ("train_step", (GOOD[:0], np.zeros((0, 2), f32)), {}, ValueError, "at least one sample"),
    ("train_step", (GOOD[:0], np.zeros((0, 5, 2), f32)), {}, ValueError, "at least one sample"),
    ("loss", (GOOD[:0], np.zeros((0, 2), f32)), {}, ValueError, "at least one sample"),
    ("train_step", (GOOD[0], ["x", "y"]), {}, TypeError, "y must be numeric"),
    ("fit", (GOOD[0], np.zeros((5, 2), f32)), {"epochs": 1}, ValueError, "X must be a batch"),
    ("fit", (GOOD[:0], np.zeros((0, 2), f32)), {"epochs": 1}, ValueError, "X must be a batch"),
    ("bind", (np.zeros((5, 3)), np.zeros(2, f32)), {}, TypeError, "x must be float32.*float64"),
    ("bind", (GOOD.tolist(), np.zeros((4, 2), f32)), {}, TypeError, "x must be an ndarray"),
    ("bind", (GOOD[:, ::2], np.zeros((4, 2), f32)), {}, ValueError, "x must be C-contiguous"),
    ("bind", (GOOD, None), {}, TypeError, "out must be an ndarray"),
    ("bind", (GOOD, np.zeros((4, 3), f32)), {}, ValueError, "out must have shape"),
    ("bind", (GOOD, np.zeros((4, 4, 2), f32)), {}, ValueError, "out must have shape"),
]


@pytest.mark.parametrize(("method", "arguments", "keywords", "error", "match"), BAD_CALLS)
def test_errors_leave_everything_unchanged(method, arguments, keywords, error, match):
    model = LSTM(3, 4, head=[2], rng=0)
    model.train_step(GOOD, np.zeros((4, 2), f32))
    gradients = model.gradient(GOOD, np.zeros((4, 2), f32))
    before = pickle.dumps(model.get_state()), pickle.dumps(gradients), pickle.dumps(keywords)
    with pytest.raises(error, match=match):
        getattr(model, method)(*arguments, **keywords)
    assert (pickle.dumps(model.get_state()), pickle.dumps(gradients), pickle.dumps(keywords)) == before
    assert np.isfinite(model.train_step(np.ones_like(GOOD), np.zeros((4, 5, 2), f32)))


def test_out_may_not_overlap_the_input():
    model = LSTM(3, 4, rng=0)
    whole = np.zeros(100, f32)
    with pytest.raises(ValueError, match="overlap"):
        model.predict(whole[:15].reshape(5, 3), out=whole[14:18])
    with pytest.raises(ValueError, match="overlap"):
        model.bind(whole[:15].reshape(5, 3), whole[14:34].reshape(5, 4))
    model.predict(whole[:15].reshape(5, 3), out=whole[15:19])


def test_the_bound_class_is_not_made_by_hand():
    from mlopt.nn.lstm import BoundSeries

    with pytest.raises(TypeError, match=r"is made by LSTM\.bind"):
        BoundSeries()


# --- state ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("optimizer", [AdamW(lr=0.01), SGD(0.1, 0.9)], ids=["adamw", "momentum"])
@pytest.mark.parametrize("duplicate", [LSTM.copy, copy.copy, copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_duplicates_go_on_alike(duplicate, optimizer):
    model = LSTM(3, 6, 2, head=[5, 2], activation="tanh", dropout=0.3, truncate=3, l2=1e-3, huber_delta=0.5,
                 loss="huber", optimizer=copy.copy(optimizer), rng=0)  # fmt: skip
    X, y = data(model, 8, 5)
    for _ in range(3):
        model.train_step(X, y)
    other = duplicate(model)
    assert repr(other) == repr(model)
    for _ in range(3):
        assert other.train_step(X, y) == model.train_step(X, y)
    np.testing.assert_array_equal(other.get_state()["parameters"], model.get_state()["parameters"])
    other.parameters[0][0][...] = 0
    other.optimizer.lr = 1.0
    assert (model.parameters[0][0] != 0).any()
    assert model.optimizer.lr == optimizer.lr


def test_set_state_goes_back():
    model = LSTM(3, 6, 2, head=[2], dropout=0.3, rng=0)
    X, y = data(model, 8, 5)
    model.train_step(X, y)
    state = model.get_state()
    losses = [model.train_step(X, y) for _ in range(3)]
    other = LSTM(3, 6, 2, head=[2], dropout=0.3, rng=1)
    for again in (model, other):
        again.set_state(state)
        assert [again.train_step(X, y) for _ in range(3)] == losses
    with pytest.raises(ValueError, match=r"state\['parameters'\] must have shape"):
        model.set_state(LSTM(3, 6, 1, head=[2], rng=0).get_state())


def test_arguments_can_be_read_and_make_the_model_again():
    model = LSTM(3, 6, 2, head=[5, 2], activation="tanh", output="sigmoid", loss="binary_cross_entropy",
                 optimizer=SGD(0.5), dropout=0.25, truncate=7, l2=0.5, dtype="float64", rng=0)  # fmt: skip
    assert (model.hidden, model.num_layers, model.head, model.truncate, model.dropout) == (6, 2, (5, 2), 7, 0.25)
    assert repr(eval(repr(model), {"LSTM": LSTM, "SGD": SGD})) == repr(model)
    assert LSTM(3, 4, rng=0).truncate is None


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


def test_one_model_from_several_threads():
    model = LSTM(4, 24, 2, head=[3], rng=0)
    sizes = [(40, 12), (3, 5), (70, 6), (None, 30)]
    batches = [data(model, rows, steps, every=i % 2 == 1, seed=i) for i, (rows, steps) in enumerate(sizes)]

    def everything(i):
        X, y = batches[i]
        return [model.predict(X, sequences=i % 2 == 1), np.array(model.loss(X, y)), *parts(model.gradient(X, y))]

    expected = [everything(i) for i in range(len(batches))]

    def work(i):
        X, y = batches[i]
        infer = model.bind(X, np.empty_like(y))
        for _ in range(15):
            for result, alone in zip(everything(i), expected[i], strict=True):
                np.testing.assert_array_equal(result, alone)
            np.testing.assert_array_equal(infer(), expected[i][0])
        return model.gradient(X, y)

    gradients = in_threads(work)
    assert len({id(views) for views in gradients}) == len(gradients), "one vector a thread"


def test_overlapping_steps_are_refused_or_serial():
    model = LSTM(8, 64, 2, head=[1], rng=0)
    X, y = data(model, 60, 20)

    def work(i):
        refused = []
        for _ in range(4):
            try:
                assert np.isfinite(model.train_step(X, y))
            except RuntimeError as error:
                refused.append(str(error))
        return refused

    assert model.get_state()["steps"] == 0
    refused = [message for messages in in_threads(work, 3) for message in messages]
    assert all("in another thread" in message for message in refused)
    assert model.get_state()["steps"] + len(refused) == 12
    assert model.get_state()["steps"] >= 1
