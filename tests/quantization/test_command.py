"""``mlopt quantize``: real runs on a small model."""

import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest

from mlopt.cli import main
from mlopt.nn import LSTM, MLP, QuantizedMLP, from_onnx, load, save, to_onnx

pytest.importorskip("onnx")
pytest.importorskip("safetensors")
RNG = np.random.default_rng(0)
X = RNG.standard_normal((400, 6)).astype(np.float32)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A model that knows its labels, and samples in files of all kinds."""
    model = MLP([6, 16, 3], output="softmax", loss="cross_entropy", rng=0)
    y = model.predict(X).argmax(axis=1)
    to_onnx(model, tmp_path / "model.onnx")
    save(model, tmp_path / "model.safetensors")
    np.save(tmp_path / "X.npy", X)
    np.save(tmp_path / "y.npy", y)
    np.savez(tmp_path / "data.npz", X=X, y=y)
    np.savetxt(tmp_path / "X.csv", X, delimiter=",", header="a,b,c,d,e,f", comments="")
    np.savetxt(tmp_path / "y.csv", y)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(capsys, *arguments):
    code = main(["quantize", *arguments])
    out, err = capsys.readouterr()
    return code, out, err


def refused(capsys, *arguments):
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    assert err.startswith("mlopt quantize: ")
    assert err.count("\n") == 1
    return err


def test_in_a_process_of_its_own(folder):
    process = subprocess.run(
        [sys.executable, "-m", "mlopt", "quantize", "model.onnx", "--calibration", "X.npy", "--labels", "y.npy",
         "--max-drop", "0.1"],
        capture_output=True, text=True, timeout=120, check=False, cwd=folder,
    )  # fmt: skip
    assert (process.returncode, process.stderr) == (0, "")
    assert "80 samples compared" in process.stdout
    assert "accuracy 1.0000 -> " in process.stdout
    assert isinstance(from_onnx(folder / "model.int8.onnx"), QuantizedMLP)


@pytest.mark.parametrize(("samples", "labels"), [("X.npy", "y.npy"), ("data.npz", "data.npz"), ("X.csv", "y.csv")])
def test_kinds_of_data_are_the_same(samples, labels, folder, capsys):
    arguments = ("--calibration", samples, "--labels", labels, "--json", "report.json", "--max-drop", "0.1")
    code, out, err = run(capsys, "model.onnx", *arguments)
    assert (code, err) == (0, "")
    assert out.rstrip().endswith("bytes of parameters")
    report = json.loads((folder / "report.json").read_text())
    assert (report["mode"], report["report"]["samples"], report["report"]["metric"]) == ("static", 80, "accuracy")
    kept = np.sort(np.random.default_rng(0).permutation(400)[:80])
    fitting = np.setdiff1d(np.arange(400), kept)
    expected = from_onnx("model.onnx").quantize(X[fitting])
    found = from_onnx("model.int8.onnx")
    np.testing.assert_array_equal(found.predict(X), expected.predict(X))
    assert report["report"]["max_error"] == expected.compare(X[kept]).max_error


@pytest.mark.parametrize("method", ["minmax", "percentile", "mse", "entropy"])
def test_methods_and_saved_models(method, folder, capsys):
    arguments = ("--calibration", "X.npy", "--method", method, "--output", "small.safetensors", "--holdout", "0")
    code, out, _ = run(capsys, "model.safetensors", *arguments)
    assert code == 0
    assert "400 samples compared" in out
    assert "no labels" in out
    expected = load("model.safetensors").quantize(X, method=method)
    np.testing.assert_array_equal(load("small.safetensors").predict(X), expected.predict(X))


def test_dynamic(folder, capsys):
    assert run(capsys, "model.onnx", "--mode", "dynamic")[0] == 0
    code, out, _ = run(capsys, "model.onnx", "--mode", "dynamic", "--calibration", "X.npy", "--output", "other.onnx")
    assert code == 0
    assert "400 samples compared" in out
    assert from_onnx("model.int8.onnx").mode == from_onnx("other.onnx").mode == "dynamic"


def test_json_on_the_output(folder, capsys):
    code, out, err = run(capsys, "model.onnx", "--calibration", "X.npy", "--json", "-")
    assert code == 0
    assert json.loads(out)["report"]["score"] is None
    assert "written to model.int8.onnx" in err


def test_a_drop_that_is_too_large_writes_nothing(folder, capsys):
    few = np.zeros_like(X)
    few[:, 0] = np.linspace(-1e6, 1e6, len(X))  # a scale that all other samples vanish in
    rng = np.random.default_rng(0)
    kept = np.sort(rng.permutation(400)[:80])
    few[kept] = X[kept]
    np.save("few.npy", few)
    before = sorted(os.listdir())
    arguments = ("--calibration", "few.npy", "--labels", "y.npy", "--json", "report.json")
    code, out, err = run(capsys, "model.onnx", *arguments)
    assert code == 1
    assert "accuracy 1.0000 -> " in out
    assert "the accuracy drops by" in err
    assert "nothing is written" in err
    assert sorted(os.listdir()) == before
    assert run(capsys, "model.onnx", *arguments, "--max-drop", "1")[0] == 0


def test_without_rich(folder, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "rich.box", None)
    code, out, _ = run(capsys, "model.onnx", "--calibration", "X.npy", "--labels", "y.npy", "--max-drop", "0.1")
    assert code == 0
    assert "layer 1      max error" in out


@pytest.mark.parametrize(("arguments", "message"), [
    (["model.onnx"], "--mode static needs samples"),
    (["model.onnx", "--mode", "dynamic", "--labels", "y.npy"], "--labels needs samples"),
    (["nosuch.onnx", "--calibration", "X.npy"], "No such file"),
    (["model.onnx", "--calibration", "nosuch.npy"], "No such file"),
    (["model.onnx", "--calibration", "y.npy"], r"y.npy must hold \(samples, 6\)"),
    (["model.onnx", "--calibration", "X.npy", "--labels", "short.npy"], "each of 400 samples"),
    (["model.onnx", "--calibration", "X.npy", "--labels", "text.npy"], "labels"),
    (["model.onnx", "--calibration", "two.npz"], "one array, or one called X, it has: a, b"),
    (["model.onnx", "--calibration", "objects.npy"], "objects.npy cannot be read"),
    (["model.onnx", "--calibration", "broken.npz"], "broken.npz cannot be read"),
    (["model.onnx", "--calibration", "broken.npy"], "broken.npy cannot be read"),
    (["model.onnx", "--calibration", "huge.npy"], "huge.npy cannot be read"),
    (["model.onnx", "--calibration", "empty.csv"], "empty.csv"),
    (["model.onnx", "--calibration", "words.csv"], "words.csv cannot be read"),
    (["model.onnx", "--calibration", "nan.npy"], "finite"),
    (["model.onnx", "--calibration", "X.npy", "--holdout", "0.001"], "leaves none on one side"),
    (["model.onnx", "--calibration", "X.npy", "--output", "model.onnx"], "another file than the model"),
    (["model.onnx", "--calibration", "X.npy", "--output", "nosuch/out.onnx"], "no folder 'nosuch'"),
    (["lstm.onnx", "--calibration", "X.npy"], "only an MLP can be quantised"),
    (["norm.onnx", "--calibration", "X.npy"], "layer_norm"),
    (["quantized.onnx", "--calibration", "X.npy"], "is quantised already"),
    (["broken.onnx", "--calibration", "X.npy"], "not an ONNX model|not a valid ONNX model"),
    (["constant.onnx", "--calibration", "X.npy", "--labels", "zeros.npy"], "r2 is not defined"),
], ids=lambda value: " ".join(value) if isinstance(value, list) else "")  # fmt: skip
def test_refused(arguments, message, folder, capsys):
    make_odd_files()
    before = sorted(os.listdir())
    error = refused(capsys, *arguments)
    assert re.search(message, error), error
    assert sorted(os.listdir()) == before


def huge_array():
    """A file that says it holds a hundred terabytes."""
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (4000000000000, 6), }"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(100)


def make_odd_files():
    np.save("short.npy", np.zeros(3, int))
    np.save("zeros.npy", np.zeros(400))
    np.save("text.npy", np.full(400, "a"))
    np.savez("two.npz", a=X, b=X)
    np.save("objects.npy", np.array([{}]), allow_pickle=True)
    np.save("nan.npy", np.full((400, 6), np.nan, np.float32))
    for name, content in {
        "broken.npz": b"PK\x03\x04 this is no archive", "broken.npy": b"\x93NUMPY", "empty.csv": b"",
        "words.csv": b"a,b\nc,d\n", "broken.onnx": b"this is no model",
        "huge.npy": huge_array(),
    }.items():  # fmt: skip
        with open(name, "wb") as file:
            file.write(content)
    to_onnx(LSTM(6, 4, rng=0), "lstm.onnx")
    to_onnx(MLP([6, 4, 2], layer_norm=True, rng=0), "norm.onnx")
    to_onnx(MLP([6, 4, 2], rng=0).quantize(X), "quantized.onnx")
    to_onnx(MLP([6, 4, 1], rng=0), "constant.onnx")


@pytest.mark.parametrize("arguments", [
    ["model.txt"], ["model.onnx", "--calibration", "X.txt"], ["model.onnx", "--output", "out.txt"],
    ["model.onnx", "--mode", "other"], ["model.onnx", "--method", "other"], ["model.onnx", "--holdout", "1"],
    ["model.onnx", "--holdout", "-0.1"], ["model.onnx", "--max-drop", "nan"], ["model.onnx", "--max-drop", "x"],
])  # fmt: skip
def test_arguments_that_are_not_understood(arguments, folder, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["quantize", *arguments])
    assert stopped.value.code == 2
    assert "error: argument" in capsys.readouterr().err
