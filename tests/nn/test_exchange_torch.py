"""Models from PyTorch: they predict what the modules do; and from the ONNX files that PyTorch writes."""

import io
import subprocess
import sys
import warnings

import numpy as np
import pytest

import mlopt.nn
from mlopt.nn import LSTM, from_onnx, from_torch

torch = pytest.importorskip("torch")
nn = torch.nn
pytestmark = pytest.mark.peer

ACTIVATIONS = [nn.ReLU, nn.Tanh, nn.Sigmoid, nn.GELU, nn.SiLU, nn.Identity]
TOLERANCE = {torch.float32: 2e-5, torch.float64: 1e-12}
DTYPES = [torch.float32, torch.float64]
PLACELESS_DROPOUT = "ignore:.*dropout is left out:UserWarning"


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def random_numbers(module, seed, dtype):
    """Every parameter and statistic of a module, random; the module, to evaluate."""
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in (*module.named_parameters(), *module.named_buffers()):
        if tensor.is_floating_point():
            values = torch.randn(tensor.shape, generator=generator, dtype=torch.float64) / 2
            tensor.data.copy_(values.abs() + 0.1 if name.endswith("var") else values)
    return module.to(dtype).eval()


def random_network(seed):
    """(Sequential, inputs): dense layers with what may stand between them, some of it nested."""
    rng = np.random.default_rng(seed)
    width = inputs = int(rng.integers(1, 20))
    modules = [nn.Flatten()] if rng.random() < 0.3 else []
    for _ in range(rng.integers(1, 4)):
        block = [nn.Linear(width, width := int(rng.integers(1, 40)), bias=bool(rng.random() < 0.7))]
        if rng.random() < 0.3:
            block.append(nn.BatchNorm1d(width, eps=1e-3, affine=bool(rng.random() < 0.5)))
        elif rng.random() < 0.3:
            affine, bias = rng.random(2) < 0.5
            block.append(nn.LayerNorm(width, elementwise_affine=bool(affine), bias=bool(bias)))
        block.append(ACTIVATIONS[rng.integers(len(ACTIVATIONS))]())
        if rng.random() < 0.3:
            block.append(nn.BatchNorm1d(width))
        if rng.random() < 0.3:
            block.append(nn.Dropout(0.3))
        modules += [nn.Sequential(*block)] if rng.random() < 0.4 else block
    modules += [nn.Linear(width, 3), *([], [nn.Softmax(-1)], [nn.Softmax(dim=1)], [nn.Sigmoid()])[rng.integers(4)]]
    return nn.Sequential(*modules), inputs


def agrees(model, network, X, dtype, tolerance=None):
    with torch.no_grad():
        expected = network(torch.tensor(X, dtype=dtype)).numpy()
    result = model.predict(X)
    assert result.dtype == expected.dtype
    tolerance = TOLERANCE[dtype] if tolerance is None else tolerance
    np.testing.assert_allclose(result, expected, rtol=0, atol=tolerance * max(1, np.abs(expected).max()))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("seed", range(20))
@pytest.mark.filterwarnings(PLACELESS_DROPOUT)
def test_random_networks(seed, dtype):
    network, inputs = random_network(seed)
    random_numbers(network, seed, dtype)
    model = from_torch(network)
    X = np.random.default_rng(seed).standard_normal((17, inputs))
    agrees(model, network, X, dtype)
    last = type(network[-1])
    assert (model.output == "softmax") == (last is nn.Softmax)
    assert model.loss_function == {nn.Softmax: "cross_entropy", nn.Sigmoid: "binary_cross_entropy"}.get(last, "mse")


def test_training_mode_makes_no_difference():
    network = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 2))
    random_numbers(network, 0, torch.float64)
    X = np.ones((3, 4))
    expected = from_torch(network).predict(X)
    np.testing.assert_array_equal(from_torch(network.train()).predict(X), expected)
    assert network.training


def test_parameters_are_copies():
    linear = nn.Linear(4, 3)
    model = from_torch([linear, nn.ReLU()])
    np.testing.assert_array_equal(model.weights[0], linear.weight.detach().numpy().T)
    before = linear.weight.detach().clone()
    model.weights[0][...] = 7
    assert (linear.weight == before).all()


def test_training_continues_as_in_torch():
    network = random_numbers(nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3)), 1, torch.float64)
    model = from_torch(network, loss="cross_entropy", optimizer=mlopt.nn.SGD(lr=0.1))
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    rng = np.random.default_rng(0)
    for _ in range(5):
        X, labels = rng.standard_normal((16, 4)), rng.integers(0, 3, 16)
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(network(torch.tensor(X)), torch.tensor(labels))
        loss.backward()
        optimizer.step()
        assert model.train_step(X, labels) == pytest.approx(loss.item(), rel=1e-12)


@pytest.mark.parametrize("kind", [list, tuple, lambda modules: nn.ModuleList(modules), lambda modules: [modules]])
def test_containers(kind):
    modules = [nn.Linear(4, 3), nn.Tanh()]
    assert from_torch(kind(modules)).output == "tanh"


class Unknown(nn.Linear):
    def forward(self, x):
        return super().forward(x) + 1


def with_hook():
    linear = nn.Linear(3, 2)
    linear.register_forward_hook(lambda *_: None)
    return linear


@pytest.mark.parametrize(
    ("modules", "match"),
    [
        (lambda: [nn.Linear(3, 2), nn.Conv1d(1, 1, 1)], r"layer 1 \(Conv1d\) is not supported"),
        (lambda: [nn.ReLU(), nn.Sequential(nn.Linear(3, 2), nn.Softplus())],
         r"layer 1.1 \(Softplus\) is not supported"),
        (lambda: [Unknown(3, 2)], r"layer 0 \(Unknown\) is not supported"),
        (lambda: nn.Bilinear(2, 2, 2), r"layer 0 \(Bilinear\) is not supported"),
        (lambda: "Linear", r"layer 0 \(str\) is not supported"),
        (lambda: [], "no layer with parameters"),
        (lambda: [nn.Linear(3, 2), nn.GELU("tanh")], r"layer 1 \(GELU\): approximate='tanh' is not supported"),
        (lambda: [nn.Linear(3, 2), nn.Softmax(0)], r"layer 1 \(Softmax\): dim must be"),
        (lambda: [nn.Linear(3, 2), nn.Softmax(-1), nn.Linear(2, 2)], r"layer 2 \(Linear\): softmax must be the last"),
        (lambda: [nn.Linear(3, 2), nn.LayerNorm(2, eps=1e-6)], r"layer 1 \(LayerNorm\): eps must be 1e-05, got 1e-06"),
        (lambda: [nn.Linear(3, 2), nn.LayerNorm((1, 2))], r"layer 1 \(LayerNorm\): normalized_shape"),
        (lambda: [nn.Linear(3, 2), nn.BatchNorm1d(2, track_running_stats=False)], r"layer 1 .* no running statistics"),
        (lambda: [nn.Linear(3, 2), nn.Flatten(0)], r"layer 1 \(Flatten\): only start_dim=1"),
        (lambda: [nn.Linear(3, 2), nn.Linear(3, 2)], r"layer 1 \(Linear\) takes 3 values, but is given 2"),
        (lambda: nn.Linear(3, 2).half(), r"layer 0 \(Linear\) must hold float32 or float64, not float16"),
        (lambda: nn.Linear(3, 2).to(torch.bfloat16), "not bfloat16"),
        (lambda: nn.Linear(3, 2, device="meta"), "meta device"),
        (lambda: [nn.Linear(3, 2), nn.Linear(2, 2).double()], r"layer 1 \(Linear\) holds float64, but .* float32"),
        (lambda: [with_hook()], r"layer 0 \(Linear\) has forward hooks"),
        (lambda: nn.LSTM(3, 4, bidirectional=True), r"layer 0 \(LSTM\): bidirectional=True is not supported"),
        (lambda: nn.LSTM(3, 4, proj_size=2), r"layer 0 \(LSTM\): proj_size=2 is not supported"),
        (lambda: [nn.Linear(3, 3), nn.LSTM(3, 4)], r"layer 1 \(LSTM\): an LSTM must be the first"),
        (lambda: [nn.LSTM(3, 4), nn.LSTM(4, 5)], r"layer 1 \(LSTM\): all LSTM layers must have the first one's hidden"),
        (lambda: [nn.LSTM(3, 4, 2), nn.Dropout(0.5), nn.LSTM(4, 4)], r"layer 0 \(LSTM\): dropout between .* the same"),
        (lambda: [nn.LSTM(3, 4), nn.ReLU(), nn.LSTM(4, 4)], r"layer 2 \(LSTM\): an LSTM must be the first layer, or"),
        (lambda: [nn.LSTM(3, 4), nn.Tanh(), nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2)],
         r"one activation, got \['relu', 'tanh'\]"),
        (lambda: [nn.LSTM(3, 4), nn.Linear(5, 2)], r"layer 1 \(Linear\) takes 5 values, but is given 4"),
        (lambda: [nn.LSTM(3, 4), nn.Linear(4, 2), nn.LayerNorm(2), nn.ReLU(), nn.Linear(2, 1)], "layer normalisation"),
    ],
)  # fmt: skip
def test_what_is_not_supported_is_named(modules, match):
    with pytest.raises(ValueError, match=match):
        from_torch(modules())


# --- LSTM ----------------------------------------------------------------------------------------


class Last(nn.Module):
    """An LSTM and what follows, of the last step or the last state."""

    def __init__(self, lstm, *head, state=False):
        super().__init__()
        self.lstm, self.head, self.state = lstm, nn.Sequential(*head), state

    def forward(self, x):
        if not self.lstm.batch_first:
            x = x.transpose(0, 1)
        steps, (states, _) = self.lstm(x)
        last = states[-1] if self.state else steps[:, -1] if self.lstm.batch_first else steps[-1]
        return self.head(last)


def random_lstm(seed, **options):
    rng = np.random.default_rng(seed)
    inputs, hidden, layers = (int(n) for n in rng.integers(1, (9, 20, 4)))
    lstm = nn.LSTM(inputs, hidden, layers, bias=bool(rng.random() < 0.7), batch_first=bool(rng.random() < 0.5),
                   dropout=0.25 if layers > 1 and rng.random() < 0.5 else 0.0)  # fmt: skip
    head = [
        [], [nn.Linear(hidden, 2)], [nn.Linear(hidden, 5), nn.ReLU(), nn.Linear(5, 2), nn.Softmax(-1)],
        [nn.Tanh(), nn.Linear(hidden, 3), nn.Tanh(), nn.Linear(3, 1), nn.Sigmoid()],
    ][rng.integers(4)]  # fmt: skip
    return Last(lstm, *head, **options), inputs


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("seed", range(20))
def test_random_lstms(seed, dtype):
    network, inputs = random_lstm(seed)
    random_numbers(network, seed, dtype)
    model = from_torch([network.lstm, network.head])
    assert isinstance(model, LSTM)
    assert model._arguments()["dropout"] == network.lstm.dropout
    X = np.random.default_rng(seed).standard_normal((5, 7, inputs))
    agrees(model, network, X, dtype)


def test_lstms_in_a_row_are_layers_of_one():
    first, second = nn.LSTM(3, 4, batch_first=True), nn.LSTM(4, 4, batch_first=True)
    random_numbers(nn.ModuleList([first, second]), 0, torch.float64)
    model = from_torch([first, nn.Dropout(0.5), second])
    assert (model._arguments()["num_layers"], model._arguments()["dropout"]) == (2, 0.5)
    X = np.random.default_rng(0).standard_normal((2, 6, 3))
    agrees(model, lambda x: second(first(x)[0])[0][:, -1], X, torch.float64)


# --- what PyTorch's exporters write ---------------------------------------------------------------


def exported(network, x, dynamo):
    if dynamo:
        pytest.importorskip("onnxscript")
    pytest.importorskip("onnx")
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if dynamo:
            sizes = ({0: torch.export.Dim("n")},)
            torch.onnx.export(network, (x,), dynamo=True, dynamic_shapes=sizes, verbose=False).save(file)
        else:
            torch.onnx.export(network, (x,), file, dynamo=False, input_names=["x"], dynamic_axes={"x": {0: "n"}})
    return file.getvalue()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("seed", range(20))
def test_exported_networks(seed, dtype):
    network, inputs = random_network(seed)
    random_numbers(network, seed, dtype)
    X = np.random.default_rng(seed).standard_normal((5, inputs))
    # an attribute of ONNX is float32: the eps of a normalisation loses digits
    tolerance = max(TOLERANCE[dtype], 1e-8)
    agrees(from_onnx(exported(network, torch.tensor(X, dtype=dtype), False)), network, X, dtype, tolerance)


@pytest.mark.parametrize("opset", [11, 13, 17])
def test_older_operator_sets(opset):
    pytest.importorskip("onnx")
    network = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.GELU(), nn.Linear(5, 4), nn.SiLU(), nn.Linear(4, 3),
                            nn.Softmax(-1))  # fmt: skip
    random_numbers(network, opset, torch.float32)
    X = np.random.default_rng(0).standard_normal((5, 4))
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(network, (torch.tensor(X, dtype=torch.float32),), file, dynamo=False, opset_version=opset)
    model = from_onnx(file.getvalue())
    assert list(model.activation) == ["gelu", "silu"]
    agrees(model, network, X, torch.float32)


@pytest.mark.parametrize("state", [False, True])
@pytest.mark.parametrize("seed", range(8))
def test_exported_lstms(seed, state):
    network, inputs = random_lstm(seed, state=state)
    random_numbers(network, seed, torch.float32)
    X = np.random.default_rng(seed).standard_normal((5, 7, inputs))
    model = from_onnx(exported(network, torch.tensor(X, dtype=torch.float32), False))
    assert isinstance(model, LSTM)
    agrees(model, network, X, torch.float32)


@pytest.mark.parametrize("state", [None, False, True])
def test_the_newer_exporter(state):
    if state is None:
        network = nn.Sequential(nn.Linear(3, 4), nn.GELU(), nn.LayerNorm(4), nn.Linear(4, 4), nn.SiLU(),
                                nn.BatchNorm1d(4), nn.Linear(4, 2))  # fmt: skip
        X = np.random.default_rng(0).standard_normal((5, 3))
    else:
        network = Last(nn.LSTM(3, 4, 2, batch_first=True), nn.Linear(4, 2), state=state)
        X = np.random.default_rng(0).standard_normal((5, 7, 3))
    random_numbers(network, 0, torch.float32)
    agrees(from_onnx(exported(network, torch.tensor(X, dtype=torch.float32), True)), network, X, torch.float32)


# --- imports -------------------------------------------------------------------------------------


def test_without_torch(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ImportError, match=r"torch is not installed: pip install 'mlopt\[torch\]'"):
        from_torch([])


def test_importing_mlopt_imports_none_of_them():
    code = "import sys, mlopt.nn; print(sorted({'torch', 'onnx', 'sklearn', 'safetensors'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
