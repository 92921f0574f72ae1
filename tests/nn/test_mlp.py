"""The multilayer perceptron: values, gradients, training, doors, errors, state."""

import copy
import pickle
import threading

import numpy as np
import pytest

import mlopt
from mlopt.nn import MLP, SGD, AdamW

ACTIVATIONS = ("relu", "tanh", "sigmoid", "gelu", "silu")
HEADS = [
    ("mse", "identity"), ("mse", "sigmoid"), ("mse", "gelu"), ("cross_entropy", "softmax"),
    ("cross_entropy", "identity"), ("binary_cross_entropy", "sigmoid"), ("binary_cross_entropy", "identity"),
]  # fmt: skip
TIERS = mlopt.available_tiers()


def data(model, rows, seed=0):
    """Samples and targets that fit the model's loss; rows None for one sample without a batch axis."""
    rng = np.random.default_rng(seed)
    shape = () if rows is None else (rows,)
    X = rng.standard_normal((*shape, model.layers[0])).astype(model.dtype)
    y = rng.random((*shape, model.layers[-1])).astype(model.dtype)
    if model.loss_function == "cross_entropy":
        y /= y.sum(axis=-1, keepdims=True)
    return X, y


def nearly(a, b, eps):
    scale = max(np.abs(np.asarray(b)).max(), 1e-6)
    np.testing.assert_allclose(a, b, rtol=0, atol=eps * scale)


# --- gradients -----------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [None, 1, 2, 7])
@pytest.mark.parametrize(("loss", "output"), HEADS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_gradient_against_central_differences(activation, loss, output, rows):
    model = MLP([5, 9, 4, 3], activation=activation, output=output, loss=loss, dtype="float64", rng=1)
    for biases in model.biases:
        biases[...] = np.random.default_rng(2).standard_normal(biases.shape) * 0.3
    X, y = data(model, rows)
    gradients = [[part.copy() for part in pair] for pair in model.gradient(X, y)]
    h = 1e-6
    for pair, gradient_pair in zip(model.parameters, gradients, strict=True):
        for part, gradient in zip(pair, gradient_pair, strict=True):
            for index in np.ndindex(part.shape):
                value = part[index]
                part[index] = value + h
                above = model.loss(X, y)
                part[index] = value - h
                below = model.loss(X, y)
                part[index] = value
                assert gradient[index] == pytest.approx((above - below) / (2 * h), rel=1e-6, abs=1e-8)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_batch_is_the_mean_of_its_samples(activation, dtype):
    model = MLP([20, 33, 17, 5], activation=activation, dtype=dtype, rng=0)
    X, y = data(model, 6)
    total = [[np.zeros(part.shape) for part in pair] for pair in model.parameters]
    predictions = []
    for sample, target in zip(X, y, strict=True):
        predictions.append(model.predict(sample))
        for sums, pair in zip(total, model.gradient(sample, target), strict=True):
            for s, part in zip(sums, pair, strict=True):
                s += part / len(X)
    eps = 20 * np.finfo(dtype).eps
    nearly(model.predict(X), np.stack(predictions), eps)
    for pair, sums in zip(model.gradient(X, y), total, strict=True):
        for part, s in zip(pair, sums, strict=True):
            nearly(part, s, eps)


@pytest.mark.parametrize("tier", TIERS)
@pytest.mark.parametrize(("loss", "output"), HEADS)
@pytest.mark.parametrize("rows", [None, 13])
def test_tiers_agree_with_reference(tier, loss, output, rows):
    model = MLP([40, 70, 31, 10], activation="gelu", output=output, loss=loss, rng=0)
    X, y = data(model, rows)

    def everything():
        parts = [part.copy() for pair in model.gradient(X, y) for part in pair]
        return [model.predict(X), np.array(model.loss(X, y)), *parts]

    with mlopt.use_isa("reference"):
        expected = everything()
    with mlopt.use_isa(tier):
        for result, reference in zip(everything(), expected, strict=True):
            nearly(result, reference, 2e-5)


# --- against PyTorch -----------------------------------------------------------------------------


def as_torch(model):
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)
    layers = {"relu": torch.nn.ReLU, "tanh": torch.nn.Tanh, "sigmoid": torch.nn.Sigmoid, "gelu": torch.nn.GELU,
              "silu": torch.nn.SiLU}  # fmt: skip
    modules = []
    for i, (weights, biases) in enumerate(model.parameters):
        linear = torch.nn.Linear(*weights.shape, dtype=torch.float64)
        with torch.no_grad():
            linear.weight.copy_(torch.tensor(weights.T))
            linear.bias.copy_(torch.tensor(biases))
        modules.append(linear)
        if i < len(model.parameters) - 1:
            modules.append(layers[model.activation]())
    losses = {"mse": torch.nn.MSELoss, "cross_entropy": torch.nn.CrossEntropyLoss,
              "binary_cross_entropy": torch.nn.BCEWithLogitsLoss}  # fmt: skip
    return torch, torch.nn.Sequential(*modules), losses[model.loss_function]()


LOGIT_HEADS = [("mse", "identity"), ("cross_entropy", "softmax"), ("binary_cross_entropy", "sigmoid")]


@pytest.mark.peer
@pytest.mark.parametrize(("loss", "output"), LOGIT_HEADS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_forward_loss_gradient_are_those_of_torch(activation, loss, output):
    model = MLP([12, 30, 7], activation=activation, output=output, loss=loss, dtype="float64", rng=0)
    torch, network, criterion = as_torch(model)
    X, y = data(model, 11)
    logits = network(torch.tensor(X))
    value = criterion(logits, torch.tensor(y))
    value.backward()
    final = {"identity": lambda t: t, "softmax": lambda t: t.softmax(1), "sigmoid": torch.sigmoid}[output]
    np.testing.assert_allclose(model.predict(X), final(logits).detach().numpy(), rtol=1e-12, atol=1e-14)
    assert model.loss(X, y) == pytest.approx(value.item(), rel=1e-12)
    linear = [module for module in network if isinstance(module, torch.nn.Linear)]
    for (weights, biases), module in zip(model.gradient(X, y), linear, strict=True):
        np.testing.assert_allclose(weights, module.weight.grad.numpy().T, rtol=1e-10, atol=1e-14)
        np.testing.assert_allclose(biases, module.bias.grad.numpy(), rtol=1e-10, atol=1e-14)


@pytest.mark.peer
@pytest.mark.parametrize("rows", [1, 16])
@pytest.mark.parametrize(
    "optimizer",
    [
        AdamW(lr=1e-2),
        AdamW(1e-3, (0.8, 0.95), 1e-6, 0.1),
        SGD(0.05),
        SGD(0.05, 0.9, 1e-3),
        SGD(0.01, 0.9, 1e-3, nesterov=True),
    ],
    ids=["adamw", "adamw-other", "sgd", "momentum", "nesterov"],
)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_trajectories_are_those_of_torch(activation, optimizer, rows):
    model = MLP([6, 20, 20, 3], activation=activation, optimizer=optimizer, dtype="float64", rng=3)
    torch, network, criterion = as_torch(model)
    kind = torch.optim.AdamW if isinstance(optimizer, AdamW) else torch.optim.SGD
    arguments = {name: value for name, value in optimizer._arguments().items() if name != "clip_norm"}
    theirs = kind(network.parameters(), **arguments)
    for step in range(100):
        X, y = data(model, rows, seed=step)
        theirs.zero_grad()
        value = criterion(network(torch.tensor(X)), torch.tensor(y))
        value.backward()
        theirs.step()
        assert model.train_step(X, y) == pytest.approx(value.item(), rel=1e-8)
    linear = [module for module in network if isinstance(module, torch.nn.Linear)]
    for (weights, biases), module in zip(model.parameters, linear, strict=True):
        np.testing.assert_allclose(weights, module.weight.detach().numpy().T, rtol=1e-7, atol=1e-10)
        np.testing.assert_allclose(biases, module.bias.detach().numpy(), rtol=1e-7, atol=1e-10)


# --- learning ------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_learns_xor(dtype):
    X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], dtype)
    labels = np.array([0, 1, 1, 0])
    model = MLP([2, 16, 2], activation="tanh", output="softmax", loss="cross_entropy", dtype=dtype,
                optimizer=AdamW(lr=0.02), rng=0)  # fmt: skip
    for _ in range(300):
        model.train_step(X, labels)
    assert (model.predict(X).argmax(axis=1) == labels).all()
    assert model.loss(X, labels) < 0.1


def test_learns_a_regression():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((256, 4)).astype(np.float32)
    y = (X @ [1, -2, 3, 0.5] + 0.25).astype(np.float32)
    model = MLP([4, 1], optimizer=SGD(lr=0.1, momentum=0.5), rng=0)
    for _ in range(200):
        model.train_step(X, y)
    np.testing.assert_allclose(model.weights[0].ravel(), [1, -2, 3, 0.5], atol=1e-4)
    assert model.biases[0][0] == pytest.approx(0.25, abs=1e-4)


def test_labels_are_one_hot_targets():
    model = MLP([5, 8, 4], output="softmax", loss="cross_entropy", rng=0)
    X, _ = data(model, 9)
    labels = np.arange(9) % 4
    one_hot = np.eye(4, dtype=np.float32)[labels]
    for kind in (np.int64, np.int32, np.uint8):
        assert model.loss(X, labels.astype(kind)) == model.loss(X, one_hot)
    assert model.loss(X[0], 2) == model.loss(X[0], one_hot[2])
    by_label = [part.copy() for pair in model.gradient(X, labels) for part in pair]
    by_target = [part for pair in model.gradient(X, one_hot) for part in pair]
    for a, b in zip(by_label, by_target, strict=True):
        np.testing.assert_array_equal(a, b)


def test_same_seed_same_result():
    def train(rng):
        model = MLP([10, 20, 3], rng=rng)
        for step in range(20):
            model.train_step(*data(model, 8, seed=step))
        return model.get_state()["parameters"]

    np.testing.assert_array_equal(train(5), train(np.random.default_rng(5)))
    assert (train(5) != train(6)).any()


def test_initial_weights():
    model = MLP([400, 300, 200], activation="relu", rng=0)
    assert model.weights[0].std() == pytest.approx((2 / 400) ** 0.5, rel=0.02)
    assert np.abs(model.weights[1]).max() <= (6 / 500) ** 0.5
    assert all((biases == 0).all() for biases in model.biases)


# --- doors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [None, 1, 5])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_bound_calls_are_the_plain_ones(rows, dtype):
    model = MLP([10, 7, 3], output="softmax", loss="cross_entropy", dtype=dtype, rng=0)
    X, y = data(model, rows)
    out = np.empty_like(y)
    infer, gradient = model.bind(X, out), model.bind_gradient(X, y)
    for _ in range(3):
        assert infer() is out
        np.testing.assert_array_equal(out, model.predict(X))
        for bound, plain in zip(gradient(), model.gradient(X, y), strict=True):
            np.testing.assert_array_equal(bound[0], plain[0])
            np.testing.assert_array_equal(bound[1], plain[1])
        model.train_step(X, y)
        X += 0.1
    assert gradient() is gradient.gradients
    assert infer.model is gradient.model is model
    assert infer.x is gradient.x is X
    assert infer.out is out
    assert gradient.y is y


def test_bound_objects_follow_use_isa():
    model = MLP([100, 50, 10], rng=0)
    X, _ = data(model, None)
    out = np.empty(10, np.float32)
    infer = model.bind(X, out)
    default = infer().copy()
    with mlopt.use_isa("reference"):
        reference = model.predict(X)
        np.testing.assert_array_equal(infer(), reference)
    np.testing.assert_array_equal(infer(), default)


def test_predict_accepts_what_is_like_an_array():
    model = MLP([3, 4, 2], rng=0)
    expected = model.predict(np.array([[1, 2, 3], [4, 5, 6]], np.float32))
    wide = np.arange(1, 13, dtype=np.float64).reshape(2, 6)
    for given in ([[1, 2, 3], [4, 5, 6]], np.array([[1, 2, 3], [4, 5, 6]]), np.array([[1.0, 4], [2, 5], [3, 6]]).T):
        np.testing.assert_array_equal(model.predict(given), expected)
    assert model.predict(wide[:, :3]).shape == (2, 2)
    assert model.predict(np.empty((0, 3), np.float32)).shape == (0, 2)
    out = np.empty((2, 2), np.float32)
    assert model.predict([[1, 2, 3], [4, 5, 6]], out=out) is out
    np.testing.assert_array_equal(out, expected)
    read_only = np.ones(3, np.float32)
    read_only.flags.writeable = False
    assert model.predict(read_only).shape == (2,)


def test_results_are_aligned_and_gradients_are_the_same_objects():
    model = MLP([30, 20, 10], rng=0)
    X, y = data(model, 4)
    assert mlopt.is_byte_aligned(model.predict(X), 64)
    first = model.gradient(X, y)
    assert model.gradient(X[0], y[0]) is first
    assert all(mlopt.is_byte_aligned(part, 64) for pair in (*first, *model.parameters) for part in pair)
    owners = set()
    for pair in first:
        for part in pair:
            while isinstance(part.base, np.ndarray):
                part = part.base
            owners.add(id(part))
    assert len(owners) == 1, "views of one vector"


def test_what_lies_between_the_arrays_stays_zero():
    model = MLP([3, 5, 2], rng=0)
    X, y = data(model, None)
    X[0] = np.inf
    model.gradient(X, y)
    with np.errstate(all="ignore"):
        model.train_step(X, y)
    for part in (model.weights[0], model.gradient(X, y)[0][0]):
        flat = np.lib.stride_tricks.as_strided(part, (64,), part.strides[-1:])
        np.testing.assert_array_equal(flat[[15, *range(21, 32), *range(42, 48), *range(50, 64)]], 0)


# --- errors --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ({"layers": [3]}, ValueError, "layers"), ({"layers": []}, ValueError, "layers"),
        ({"layers": [3, 0, 2]}, ValueError, "layers"), ({"layers": [3, -1]}, ValueError, "layers"),
        ({"layers": [3, 2.5]}, TypeError, "layers"), ({"layers": "34"}, TypeError, "layers"),
        ({"layers": 5}, TypeError, "layers"), ({"layers": [2, 1 << 40]}, ValueError, "layers"),
        ({"activation": ["relu"]}, ValueError, "activation must be one value or 0"),
        ({"layers": [3, 4, 4, 2], "activation": ["relu", "swish"]}, ValueError, "activation='swish'"),
        ({"dropout": 1.0}, ValueError, "dropout"), ({"layers": [3, 4, 2], "dropout": "a"}, TypeError, "dropout"),
        ({"l2": -1}, ValueError, "l2"), ({"huber_delta": 0}, ValueError, "huber_delta"),
        ({"activation": "swish"}, ValueError, "activation='swish'"), ({"activation": None}, TypeError, "activation"),
        ({"activation": "softmax"}, ValueError, "activation='softmax'"), ({"loss": "l1"}, ValueError, "loss='l1'"),
        ({"output": "softmax"}, ValueError, "output='softmax' goes with loss 'cross_entropy'"),
        ({"output": "relu", "loss": "cross_entropy"}, ValueError, "output='relu'"),
        ({"dtype": "float16"}, ValueError, "dtype"), ({"dtype": "floaty"}, TypeError, "dtype"),
        ({"optimizer": "adam"}, TypeError, "optimizer"), ({"rng": -1}, ValueError, None),
    ],
)  # fmt: skip
def test_bad_models(arguments, error, match):
    arguments = {"layers": [3, 2], **arguments}
    with pytest.raises(error, match=match):
        MLP(arguments.pop("layers"), **arguments)


f32 = np.float32
BAD_CALLS = [
    ("predict", (np.zeros(4, f32),), {}, ValueError, "X must have shape"),
    ("predict", (np.zeros((2, 2, 3), f32),), {}, ValueError, "X must have shape"),
    ("predict", (np.float32(1),), {}, ValueError, "X must have shape"),
    ("predict", (np.zeros(3, complex),), {}, TypeError, "X must be numeric"),
    ("predict", (["a", "b", "c"],), {}, TypeError, "X must be numeric"),
    ("predict", (np.zeros(3, f32),), {"out": np.zeros(3, f32)}, ValueError, "out must have shape"),
    ("predict", (np.zeros(3, f32),), {"out": np.zeros((1, 2), f32)}, ValueError, "out must have shape"),
    ("predict", (np.zeros((4, 3), f32),), {"out": np.zeros((3, 2), f32)}, ValueError, "out must have shape"),
    ("predict", (np.zeros(3, f32),), {"out": np.zeros(2)}, TypeError, "out must be float32.*float64"),
    ("predict", (np.zeros(3, f32),), {"out": [0, 0]}, TypeError, "out must be an ndarray"),
    ("predict", (np.zeros(3, f32),), {"out": np.zeros(4, f32)[::2]}, ValueError, "C-contiguous"),
    ("predict", (np.zeros(3, f32),), {"out": np.frombuffer(bytes(8), f32)}, ValueError, "writeable"),
    ("gradient", (np.zeros(3, f32), np.zeros(3, f32)), {}, ValueError, "y must have shape"),
    ("gradient", (np.zeros((4, 3), f32), np.zeros((3, 2), f32)), {}, ValueError, "y must have shape"),
    ("gradient", (np.zeros((4, 3), f32), np.zeros(2, f32)), {}, ValueError, "y must have shape"),
    ("train_step", (np.zeros((0, 3), f32), np.zeros((0, 2), f32)), {}, ValueError, "at least one sample"),
    ("train_step", (np.zeros(3, f32), ["x", "y"]), {}, TypeError, "y must be numeric"),
    ("train_step", (np.zeros((2, 3), f32), [[0, 1], [2]]), {}, ValueError, None),
    ("loss", (np.zeros(2, f32), np.zeros(2, f32)), {}, ValueError, "X must have shape"),
    ("bind", (np.zeros(3), np.zeros(2, f32)), {}, TypeError, "x must be float32.*float64"),
    ("bind", ([0, 0, 0], np.zeros(2, f32)), {}, TypeError, "x must be an ndarray"),
    ("bind", (np.zeros(6, f32)[::2], np.zeros(2, f32)), {}, ValueError, "x must be C-contiguous"),
    ("bind", (np.zeros(3, f32), None), {}, TypeError, "out must be an ndarray"),
    ("bind_gradient", (np.zeros(3, f32), np.zeros(2)), {}, TypeError, "y must be float32.*float64"),
    ("bind_gradient", (np.zeros(3, f32), np.zeros(3, f32)), {}, ValueError, "y must have shape"),
    ("bind_gradient", (np.zeros((0, 3), f32), np.zeros((0, 2), f32)), {}, ValueError, "at least one sample"),
]


@pytest.mark.parametrize(("method", "arguments", "keywords", "error", "match"), BAD_CALLS)
def test_errors_leave_everything_unchanged(method, arguments, keywords, error, match):
    model = MLP([3, 4, 2], rng=0)
    model.train_step(np.ones(3, f32), np.zeros(2, f32))
    gradients = model.gradient(np.ones(3, f32), np.zeros(2, f32))
    before = pickle.dumps(model.get_state()), pickle.dumps(gradients), pickle.dumps(keywords)
    with pytest.raises(error, match=match):
        getattr(model, method)(*arguments, **keywords)
    assert (pickle.dumps(model.get_state()), pickle.dumps(gradients), pickle.dumps(keywords)) == before


def test_out_may_not_overlap_the_input():
    model = MLP([3, 2], rng=0)
    whole = np.zeros(5, f32)
    with pytest.raises(ValueError, match="overlap"):
        model.predict(whole[:3], out=whole[1:3])
    with pytest.raises(ValueError, match="overlap"):
        model.bind(whole[:3], whole[2:4])
    model.predict(whole[:3], out=whole[3:])


@pytest.mark.parametrize("labels", [[0, 1, 4], [0, -1, 2], [[0], [1], [2]], [0, 1], [0.0, 1.0, 2.0]])
def test_bad_labels(labels):
    model = MLP([3, 4], output="softmax", loss="cross_entropy", rng=0)
    with pytest.raises(ValueError, match="y must"):
        model.train_step(np.zeros((3, 3), f32), labels)


def test_bound_classes_are_not_made_by_hand():
    from mlopt.nn.mlp import BoundGradient, BoundPrediction

    for kind in (BoundGradient, BoundPrediction):
        with pytest.raises(TypeError, match="is made by"):
            kind()


# --- state ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("optimizer", [AdamW(lr=0.01), SGD(0.1, 0.9)])
@pytest.mark.parametrize("duplicate", [MLP.copy, copy.copy, copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_duplicates_go_on_alike(duplicate, optimizer):
    model = MLP([5, 6, 2], activation="tanh", optimizer=copy.copy(optimizer), rng=0)
    X, y = data(model, 8)
    for _ in range(3):
        model.train_step(X, y)
    other = duplicate(model)
    assert repr(other) == repr(model)
    for _ in range(3):
        assert other.train_step(X, y) == model.train_step(X, y)
    np.testing.assert_array_equal(other.get_state()["parameters"], model.get_state()["parameters"])
    other.weights[0][...] = 0
    other.optimizer.lr = 1.0
    assert (model.weights[0] != 0).any()
    assert model.optimizer.lr == optimizer.lr


@pytest.mark.parametrize(
    "change",
    [
        lambda s: s.pop("steps"), lambda s: s.update(parameters=s["parameters"][1:]),
        lambda s: s.update(moments=s["moments"][:1]), lambda s: s.update(steps=-1),
        lambda s: s.update(parameters=s["parameters"] * 1j), lambda s: s.update(steps=1.5),
    ],
)  # fmt: skip
def test_bad_state_changes_nothing(change):
    model = MLP([3, 2], rng=0)
    before = pickle.dumps(model.get_state())
    state = MLP([3, 2], rng=1).get_state()
    change(state)
    with pytest.raises((ValueError, TypeError)):
        model.set_state(state)
    assert pickle.dumps(model.get_state()) == before
    with pytest.raises(ValueError, match="state must be"):
        model.set_state(None)


def test_repr_makes_the_model_again():
    model = MLP([3, 4, 2], activation="silu", output="softmax", loss="cross_entropy", optimizer=SGD(0.5), rng=0)
    names = {"MLP": MLP, "SGD": SGD}
    assert repr(eval(repr(model), names)) == repr(model)


# --- threads -------------------------------------------------------------------------------------


def test_bound_objects_from_several_threads():
    model = MLP([64, 128, 8], rng=0)
    X, _ = data(model, 300)
    expected = model.predict(X)
    failures = []

    def serve():
        out = np.empty((300, 8), np.float32)
        infer = model.bind(X, out)
        for _ in range(30):
            out[...] = 0
            infer()
            if not np.array_equal(out, expected):
                failures.append(out.copy())

    threads = [threading.Thread(target=serve) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_a_model_in_use_says_so():
    model = MLP([256, 512, 512, 8], rng=0)
    X, y = data(model, 2000)
    refused = []

    def train():
        for _ in range(4):
            try:
                model.train_step(X, y)
            except RuntimeError as error:
                refused.append(str(error))

    threads = [threading.Thread(target=train) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all("in another thread" in message for message in refused)
    assert model.get_state()["steps"] + len(refused) == 16
