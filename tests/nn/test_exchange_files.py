"""Saved models: what is loaded is what was saved, and what is damaged or made up is refused."""

import json
import os
import stat
import struct
import tracemalloc

import numpy as np
import pytest

from mlopt.nn import LSTM, MLP, SGD, AdamW, from_safetensors, load, save
from mlopt.nn.exchange import files

pytest.importorskip("safetensors")


def trained(seed=0, **options):
    model = MLP([5, 7, 6, 3], rng=seed, **options)
    rng = np.random.default_rng(seed)
    for _ in range(3):
        model.train_step(rng.standard_normal((8, 5)), np.abs(rng.standard_normal((8, 3))) / 10)
    return model


def same_state(a, b):
    a, b = a.get_state(), b.get_state()
    assert a.keys() == b.keys()
    for name, value in a.items():
        np.testing.assert_array_equal(value, b[name])
        assert np.asarray(value).dtype == np.asarray(b[name]).dtype


MODELS = {
    "plain": {}, "float64": {"dtype": "float64"}, "sgd": {"optimizer": SGD(0.1, 0.9, 0.01)},
    "sgd plain": {"optimizer": SGD()},
    "adamw": {"optimizer": AdamW(1e-2, (0.8, 0.99), 1e-6, 0.1)}, "activation": {"activation": "gelu"},
    "softmax": {"output": "softmax", "loss": "cross_entropy"}, "logits": {"loss": "binary_cross_entropy"},
    "activations": {"activation": ["tanh", "silu"]}, "dropouts": {"dropout": [0.0, 0.5]},
    "norms": {"layer_norm": [True, False]}, "norm": {"layer_norm": True, "dtype": "float64"},
    "penalty": {"l2": 0.01, "loss": "huber", "huber_delta": 0.5},
}  # fmt: skip


def test_the_smallest_model(tmp_path):
    model = MLP([1, 1], rng=0)
    save(model, tmp_path / "model")
    same_state(load(tmp_path / "model"), model)


@pytest.mark.parametrize("options", MODELS.values(), ids=MODELS)
def test_training_goes_on_where_it_was(options, tmp_path):
    model = trained(**options)
    save(model, tmp_path / "model")
    other = load(tmp_path / "model")
    assert type(other) is MLP
    assert repr(other) == repr(model)
    same_state(other, model)
    X, y = np.ones((4, 5)), np.ones((4, 3)) / 3
    np.testing.assert_array_equal(other.predict(X), model.predict(X))
    for _ in range(3):
        assert other.train_step(X, y) == model.train_step(X, y)
    same_state(other, model)


LSTMS = {
    "plain": {}, "head": {"head": (6, 2), "activation": "tanh", "dtype": "float64", "num_layers": 2},
    "dropout": {"num_layers": 2, "dropout": 0.5, "optimizer": SGD(0.1, 0.9, nesterov=True, clip_norm=1.0)},
    "options": {"truncate": 3, "l2": 0.01, "loss": "huber", "huber_delta": 0.5, "optimizer": AdamW(clip_norm=0.1)},
}  # fmt: skip


@pytest.mark.parametrize("options", LSTMS.values(), ids=LSTMS)
def test_lstm(options, tmp_path):
    model = LSTM(3, 5, **options, rng=0)
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((2, 4, 3)), rng.standard_normal((2, 2 if "head" in options else 5))
    for _ in range(3):
        model.train_step(X, y)
    save(model, tmp_path / "model")
    other = load(tmp_path / "model")
    assert type(other) is LSTM
    assert repr(other) == repr(model)
    same_state(other, model)
    np.testing.assert_array_equal(other.predict(X), model.predict(X))
    for _ in range(3):
        assert other.train_step(X, y) == model.train_step(X, y)
    same_state(other, model)


def test_every_argument_of_the_constructors_is_kept():
    models = {"MLP": MLP([2, 3, 1]), "LSTM": LSTM(2, 3)}
    for kind, model in models.items():
        assert model._arguments().keys() <= files.ARGUMENTS[kind].keys()
    for optimizer in (AdamW(), SGD()):
        known = files.OPTIMIZER_ARGUMENTS[type(optimizer).__name__].keys()
        assert optimizer._arguments().keys() <= known


def test_a_schedule_is_kept_as_the_rate_of_this_step(tmp_path):
    def schedule(step):
        return 0.5 / (1 + step)

    model = MLP([5, 3], optimizer=SGD(lr=schedule), rng=0)
    for _ in range(4):
        model.train_step(np.ones(5), np.ones(3))
    save(model, tmp_path / "model")
    assert load(tmp_path / "model").optimizer.lr == 0.1


def test_other_readers_of_the_format_read_it(tmp_path):
    numpy_files = pytest.importorskip("safetensors.numpy")
    model = trained()
    save(model, tmp_path / "model.safetensors")
    tensors = numpy_files.load_file(tmp_path / "model.safetensors")
    state = model.get_state()
    assert tensors.keys() == state.keys()
    for name, value in tensors.items():
        np.testing.assert_array_equal(value, state[name])
    with pytest.importorskip("safetensors").safe_open(tmp_path / "model.safetensors", "numpy") as opened:
        assert opened.metadata()["format"] == "mlopt.nn"


def test_files_of_other_writers_of_the_format_are_read(tmp_path):
    numpy_files = pytest.importorskip("safetensors.numpy")
    model = trained()
    save(model, tmp_path / "model")
    with pytest.importorskip("safetensors").safe_open(tmp_path / "model", "numpy") as opened:
        tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
        numpy_files.save_file(tensors, tmp_path / "again", opened.metadata())
    same_state(load(tmp_path / "again"), model)


def test_from_safetensors_is_load():
    assert from_safetensors is load


# --- writing -------------------------------------------------------------------------------------


def test_a_file_is_whole_or_untouched(tmp_path, monkeypatch):
    path = tmp_path / "model"
    save(trained(0), path)
    before = path.read_bytes()

    def broken(*_):
        raise OSError("no space left")

    for function in ("replace", "fsync"):
        with monkeypatch.context() as patched:
            patched.setattr(os, function, broken)
            with pytest.raises(OSError, match="no space left"):
                save(trained(1), path)
        assert path.read_bytes() == before
        assert [entry.name for entry in tmp_path.iterdir()] == ["model"], "nothing is left beside it"
    save(trained(1), path)
    assert path.read_bytes() != before


def test_permissions_and_links(tmp_path):
    path = tmp_path / "model"
    save(trained(), path)
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~mask
    path.chmod(0o600)
    link = tmp_path / "link"
    link.symlink_to(path)
    other = trained(1)
    save(other, link)
    assert link.is_symlink()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    same_state(load(path), other)


def test_what_cannot_be_saved(tmp_path, monkeypatch):
    with pytest.raises(TypeError, match="model must be an MLP, LSTM or QuantizedMLP, not dict"):
        save({}, tmp_path / "model")

    class Other(AdamW):
        pass

    with pytest.raises(ValueError, match="optimizer must be AdamW or SGD to be saved, not Other"):
        save(MLP([2, 1], optimizer=Other()), tmp_path / "model")
    with pytest.raises(FileNotFoundError):
        save(trained(), tmp_path / "no" / "folder")
    monkeypatch.delitem(files.ARGUMENTS["MLP"], "activation")
    with pytest.raises(ValueError, match=r"model has the arguments \['activation'\], which a file of version 1"):
        save(trained(), tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_methods_of_the_classes(tmp_path):
    model = trained()
    model.save(tmp_path / "model")
    same_state(MLP.load(tmp_path / "model"), model)
    with pytest.raises(ValueError, match="holds an MLP, not an LSTM"):
        LSTM.load(tmp_path / "model")


def test_no_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "none")


# --- files that are not what they say ------------------------------------------------------------


class File:
    """The parts of a saved model, to be changed and written again."""

    def __init__(self, model, path):
        save(model, path)
        data = path.read_bytes()
        (length,) = struct.unpack("<Q", data[:8])
        self.path = path
        self.header = json.loads(data[8 : 8 + length])
        self.metadata = self.header["__metadata__"]
        self.arguments = json.loads(self.metadata["arguments"])
        self.data = data[8 + length :]

    def write(self, text=None, length=None):
        if text is None:
            if isinstance(self.arguments, dict):
                self.metadata["arguments"] = json.dumps(self.arguments)
            text = json.dumps(self.header).encode()
        self.path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + self.data)


@pytest.fixture
def file(tmp_path):
    return File(trained(), tmp_path / "model")


def test_the_parts_written_again_are_read(file):
    file.write()
    same_state(load(file.path), trained())


def nested(depth):
    return b"[" * depth + b"]" * depth


TEXTS = {
    "no JSON": (b"{", "its header is not JSON"), "not UTF-8": (b'{"\xff": 1}', "its header is not JSON"),
    "a list": (b"[]", "must be a JSON object, not list"), "deep": (nested(100000), ""),
    "twice": (b'{"steps": 1, "steps": 1}', "its header has a key twice"), "NaN": (b'{"steps": NaN}', "the number NaN"),
    "Infinity": (b'{"steps": -Infinity}', "the number -Infinity"), "empty": (b"{}", "format 'mlopt.nn'"),
    "digits": (b'{"steps": ' + b"9" * 10000 + b"}", ""),
}  # fmt: skip


@pytest.mark.parametrize("name", TEXTS)
def test_bad_headers(file, name):
    text, match = TEXTS[name]
    file.write(text)
    with pytest.raises(ValueError, match=f"cannot be loaded: .*({match}|deserializing header)"):
        load(file.path)


@pytest.mark.parametrize("length", [1 << 21, 1 << 62, (1 << 64) - 1, 0, 1])
def test_a_header_of_another_length(file, length):
    file.write(length=length)
    with pytest.raises(ValueError, match="deserializing header"):
        load(file.path)


def at(path, value):
    """A change of the arguments."""

    def change(file):
        target = file.arguments
        for key in path[:-1]:
            target = target[key]
        target[path[-1]] = value

    return change


def header(path, value):
    def change(file):
        target = file.header
        for key in path[:-1]:
            target = target[key]
        if value is None:
            del target[path[-1]]
        else:
            target[path[-1]] = value

    return change


def removed(name):
    return lambda file: file.arguments.pop(name)


def replaced(text):
    def change(file):
        file.arguments = None
        file.metadata["arguments"] = text

    return change


LIES = {
    "format": (header(["__metadata__", "format"], "pt"), "format 'mlopt.nn'"),
    "no metadata": (header(["__metadata__"], None), "format 'mlopt.nn'"),
    "version": (header(["__metadata__", "version"], "2"), "it has version '2', expected '1'"),
    "no version": (header(["__metadata__", "version"], None), "it has version None"),
    "class": (header(["__metadata__", "class"], "os.system"), "its class is 'os.system', expected one of: MLP, LSTM"),
    "class list": (header(["__metadata__", "class"], ["MLP"]), "its class is"),
    "other class": (header(["__metadata__", "class"], "LSTM"), "its LSTM has the unknown arguments"),
    "arguments": (replaced("[1]"), "its arguments must be a JSON object, not list"),
    "arguments no JSON": (replaced("{"), "its arguments is not JSON"),
    "arguments twice": (replaced('{"l2": 1, "l2": 2}'), "its arguments has a key twice"),
    "no text": (replaced(5), "its metadata must have arguments"),
    "unknown argument": (at(["rng"], 1), r"unknown arguments \['rng'\]"),
    "missing": (removed("activation"), "its MLP lacks the argument activation"),
    "no layers": (removed("layers"), "lacks the argument layers"),
    "layers": (at(["layers"], "5763"), "must have for layers a list of at least two widths, not '5763'"),
    "one layer": (at(["layers"], [5]), "must have for layers"),
    "negative": (at(["layers"], [5, -7, 6, 3]), "must have for layers"),
    "zero": (at(["layers"], [5, 0, 6, 3]), "must have for layers"),
    "float": (at(["layers"], [5, 7.0, 6, 3]), "must have for layers"),
    "bool": (at(["layers"], [True, 7, 6, 3]), "must have for layers"),
    "wide": (at(["layers"], [1 << 24] * 4), r"parameters is F32 \[111\], expected F32 \[844"),
    "too wide": (at(["layers"], [1 << 60, 7, 6, 3]), "must have for layers"),
    "other widths": (at(["layers"], [5, 7, 6, 4]), r"expected F32 \[118\]"),
    "activation": (at(["activation"], "os"), "activation='os' is not one of"),
    "activation number": (at(["activation"], 3), "must have for activation"),
    "output": (at(["output"], "softmax"), "output='softmax'"),
    "loss": (at(["loss"], {}), "must have for loss a name"),
    "precision": (at(["precision"], "half"), "must have for precision full or bf16, not 'half'"),
    "precision list": (at(["precision"], ["bf16"]), "must have for precision full or bf16"),
    "dtype": (at(["dtype"], "float16"), "must have for dtype float32 or float64"),
    "other dtype": (at(["dtype"], "float64"), "its tensor parameters is F32"),
    "optimizer": (at(["optimizer", "kind"], "Adam"), "its optimizer is 'Adam', expected one of: AdamW, SGD"),
    "optimizer name": (at(["optimizer"], "AdamW"), "must have for optimizer an object"),
    "other optimizer": (
        at(["optimizer"], {"kind": "SGD", "lr": 0.1, "momentum": 0, "weight_decay": 0}),
        "tensor moments",
    ),
    "lr": (at(["optimizer", "lr"], "0.1"), "its AdamW must have for lr a number, not '0.1'"),
    "negative lr": (at(["optimizer", "lr"], -1), "lr must be"),
    "betas": (at(["optimizer", "betas"], [0.9]), "must have for betas two numbers"),
    "huge number": (at(["optimizer", "eps"], 10**400), ""),
    "unknown of optimizer": (at(["optimizer", "fused"], True), r"its AdamW has the unknown arguments \['fused'\]"),
    "norm": (at(["layer_norm"], [True]), "its MLP has 1 values of layer_norm for 2 hidden layers"),
    "norms": (at(["layer_norm"], True), r"expected F32 \[137\]"),
    "norm number": (at(["layer_norm"], 1), "must have for layer_norm true or false"),
    "dropout": (at(["dropout"], [[0.5]]), "must have for dropout"),
    "no tensor": (header(["moments"], None), "its tensors must be parameters, moments, steps, seed, not"),
    "more tensors": (header(["more"], {}), "its tensors must be"),
    "tensor": (header(["moments"], [1]), "its tensor moments must have dtype, shape and data_offsets"),
    "type": (header(["moments", "dtype"], "BF16"), "its tensor moments has the type 'BF16'"),
    "type list": (header(["moments", "dtype"], []), "its tensor moments has the type"),
    "other type": (header(["steps", "dtype"], "F64"), "its tensor steps is F64"),
    "shape": (header(["moments", "shape"], [222]), r"its tensor moments is F32 \[222\], expected F32 \[2, 111\]"),
    "negative shape": (header(["moments", "shape"], [-2, -111]), "must have up to two sizes"),
    "float shape": (header(["moments", "shape"], [2.0, 111]), "must have up to two sizes"),
    "large shape": (
        header(["moments", "shape"], [1 << 40, 1 << 40]),
        "its tensor moments has 888 bytes, expected 483570",
    ),
    "long shape": (header(["moments", "shape"], [1] * 1000), "must have up to two sizes"),
    "offsets": (header(["moments", "data_offsets"], [444, 1333]), "its tensor moments has 889 bytes, expected 888"),
    "overlap": (header(["moments", "data_offsets"], [0, 888]), "begins at"),
    "beyond": (
        header(["steps", "data_offsets"], [1 << 50, (1 << 50) + 8]),
        "its tensor seed begins at 1340, expected 1332",
    ),
    "backwards": (header(["steps", "data_offsets"], [1340, 1332]), "its tensor steps has -8 bytes"),
}


@pytest.mark.parametrize("lie", LIES)
def test_lies(file, lie):
    change, match = LIES[lie]
    change(file)
    file.write()
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=f"cannot be loaded: .*({match}|deserializing header)"):
            load(file.path)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_negative_steps(file):
    first, end = file.header["steps"]["data_offsets"]
    file.data = file.data[:first] + struct.pack("<q", -1) + file.data[end:]
    file.write()
    with pytest.raises(ValueError, match="steps"):
        load(file.path)


LSTM_LIES = [{"num_layers": 1 << 24}, {"hidden": 1 << 24}, {"head": [1 << 24] * 9}, {"inputs": 0}]


@pytest.mark.parametrize("change", LSTM_LIES)
def test_lies_about_an_lstm(change, tmp_path):
    file = File(LSTM(3, 4, rng=0), tmp_path / "model")
    file.write()
    load(file.path)
    file.arguments.update(change)
    file.write()
    with pytest.raises(ValueError, match=r"its tensor parameters is F32|must have for inputs"):
        load(file.path)


# --- damage --------------------------------------------------------------------------------------


def survives(path):
    """Refused with a ValueError, or a model that computes."""
    try:
        model = load(path)
    except ValueError:
        return 0
    with np.errstate(all="ignore"):
        assert model.predict(np.ones(model.layers[0])).shape == model.layers[-1:]
    return 1


def small(path):
    save(MLP([2, 2, 1], optimizer=SGD(), rng=0), path)
    return path.read_bytes()


def test_truncated(tmp_path):
    whole = small(tmp_path / "model")
    for length in range(len(whole)):
        (tmp_path / "model").write_bytes(whole[:length])
        assert survives(tmp_path / "model") == 0, length
    (tmp_path / "model").write_bytes(whole + b"\0")
    assert survives(tmp_path / "model") == 0


def test_single_bits(tmp_path):
    whole = small(tmp_path / "model")
    loaded = 0
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        (tmp_path / "model").write_bytes(damaged)
        loaded += survives(tmp_path / "model")
    assert 0 < loaded < len(whole) / 2, "of the numbers any bit may change, of the header few"


def test_random_bytes(tmp_path):
    whole = small(tmp_path / "model")
    rng = np.random.default_rng(0)
    for _ in range(500):
        damaged = bytearray(whole)
        for place in rng.integers(0, len(whole), 3):
            damaged[place] = rng.integers(256)
        (tmp_path / "model").write_bytes(damaged)
        survives(tmp_path / "model")
