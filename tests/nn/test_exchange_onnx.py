"""ONNX: models written and read again, graphs of others, and files that are not what they say."""

import math
import sys
import tracemalloc
from itertools import pairwise

import numpy as np
import pytest

from mlopt.nn import LSTM, MLP, SGD, from_onnx, to_onnx

onnx = pytest.importorskip("onnx")
helper, TensorProto = onnx.helper, onnx.TensorProto
TYPES = {"float32": TensorProto.FLOAT, "float64": TensorProto.DOUBLE}
TOLERANCE = {"float32": 2e-5, "float64": 1e-12}


def randomised(model, seed=0):
    rng = np.random.default_rng(seed)
    for part in (part for layer in model.parameters for part in layer):
        part[...] = rng.standard_normal(part.shape) / 2
    return model


def reference(proto, X):
    from onnx.reference import ReferenceEvaluator

    (result,) = ReferenceEvaluator(proto).run(None, {proto.graph.input[0].name: X})
    return result


def runtime(proto, X):
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    (result,) = session.run(None, {"input": X})
    return result


def nearly(result, expected, dtype, tolerance=None):
    assert result.shape == expected.shape
    assert result.dtype == expected.dtype == dtype
    tolerance = TOLERANCE[dtype] if tolerance is None else tolerance
    np.testing.assert_allclose(result, expected, rtol=0, atol=tolerance * max(1, np.abs(expected).max()))


def tolerance_of(options, dtype):
    """The reference implementation's own GELU is that of float32."""
    return 1e-6 if "gelu" in str(options) else TOLERANCE[dtype]


# --- written and read again ----------------------------------------------------------------------

MLPS = {
    **{name: {"activation": name} for name in ("relu", "tanh", "sigmoid", "gelu", "silu", "identity")},
    **{f"to {name}": {"output": name} for name in ("relu", "tanh", "gelu", "silu")},
    "softmax": {"output": "softmax", "loss": "cross_entropy"},
    "sigmoid link": {"output": "sigmoid", "loss": "binary_cross_entropy"},
    "each": {"activation": ["tanh", "silu"]}, "norm": {"layer_norm": True},
    "one norm": {"layer_norm": [False, True], "activation": "gelu"},
}  # fmt: skip
LSTMS = {
    "plain": {}, "layers": {"num_layers": 3}, "head": {"head": (4,), "output": "tanh"},
    "deep head": {"num_layers": 2, "head": (6, 4, 2), "activation": "gelu", "output": "softmax",
                  "loss": "cross_entropy"},
}  # fmt: skip


def mlp(name, dtype):
    return randomised(MLP([5, 9, 6, 3], **MLPS[name], dtype=dtype))


def lstm(name, dtype):
    return randomised(LSTM(3, 5, **LSTMS[name], dtype=dtype))


def samples(model, rows=(7,)):
    inputs = model._arguments().get("inputs") or model.layers[0]
    return np.random.default_rng(1).standard_normal((*rows, inputs)).astype(model.dtype)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("name", MLPS)
def test_mlp_means_what_the_standard_says(name, dtype):
    model = mlp(name, dtype)
    for rows in (7, 1):
        X = samples(model, (rows,))
        nearly(reference(to_onnx(model), X), model.predict(X), dtype, tolerance_of(MLPS[name], dtype))


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("name", LSTMS)
def test_lstm_means_what_the_standard_says(name, dtype):
    model = lstm(name, dtype)
    for rows in ((7, 4), (1, 6)):
        X = samples(model, rows)
        nearly(reference(to_onnx(model), X), model.predict(X), dtype, tolerance_of(LSTMS[name], dtype))


@pytest.mark.peer
@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("name", MLPS)
def test_mlp_in_onnx_runtime(name, dtype):
    if dtype == "float64" and "gelu" in str(MLPS[name]):
        pytest.skip("ONNX Runtime has no GELU in float64")
    model = mlp(name, dtype)
    for rows in (7, 1):
        X = samples(model, (rows,))
        nearly(runtime(to_onnx(model), X), model.predict(X), dtype)


@pytest.mark.peer
@pytest.mark.parametrize("name", LSTMS)
def test_lstm_in_onnx_runtime(name):
    model = lstm(name, "float32")
    for rows in ((7, 4), (1, 6)):
        X = samples(model, rows)
        nearly(runtime(to_onnx(model), X), model.predict(X), "float32")


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("name", [*MLPS, *LSTMS])
def test_there_and_back_bit_by_bit(name, dtype):
    model = mlp(name, dtype) if name in MLPS else lstm(name, dtype)
    again = from_onnx(to_onnx(model).SerializeToString(), loss=model._arguments()["loss"])
    ours, theirs = again._arguments(), model._arguments()
    assert {**ours, "activation": 0, "layer_norm": 0} == {**theirs, "activation": 0, "layer_norm": 0}
    for layer, other in zip(model.parameters, again.parameters, strict=True):
        for part, same in zip(layer, other, strict=True):
            np.testing.assert_array_equal(part, same)
    X = samples(model, (7,) if name in MLPS else (7, 4))
    np.testing.assert_array_equal(again.predict(X), model.predict(X))


def test_the_graph():
    graph = to_onnx(MLP([5, 9, 3])).graph
    ((given,), (result,)) = graph.input, graph.output
    assert (given.name, result.name) == ("input", "output")
    for value, width in ((given, 5), (result, 3)):
        samples, features = value.type.tensor_type.shape.dim
        assert samples.dim_param == "samples"
        assert features.dim_value == width


def test_a_path(tmp_path):
    model = mlp("gelu", "float32")
    proto = to_onnx(model, tmp_path / "model.onnx")
    assert (tmp_path / "model.onnx").read_bytes() == proto.SerializeToString()
    assert [entry.name for entry in tmp_path.iterdir()] == ["model.onnx"]
    for source in (tmp_path / "model.onnx", str(tmp_path / "model.onnx"), proto, bytearray(proto.SerializeToString())):
        np.testing.assert_array_equal(from_onnx(source).weights[0], model.weights[0])


def test_loss_and_optimizer_of_the_new_model():
    model = from_onnx(to_onnx(mlp("relu", "float32")), loss="cross_entropy", optimizer=SGD(0.5))
    assert (model.loss_function, model.output, model.optimizer.lr) == ("cross_entropy", "identity", 0.5)


# --- graphs of others ----------------------------------------------------------------------------


def graph_of(nodes, constants=(), inputs=("n", 4), dtype="float32", opset=20, outputs=("n", None), **options):
    """A model from (operator, inputs, outputs, attributes) and arrays by their names."""
    kind = TYPES[dtype]
    made = [helper.make_node(node[0], node[1].split(), node[2].split(), **dict(*node[3:])) for node in nodes]
    for node in made:
        node.input[:] = ["" if name == "-" else name for name in node.input]
        node.output[:] = ["" if name == "-" else name for name in node.output]
    tensors = [onnx.numpy_helper.from_array(np.asarray(array), name) for name, array in dict(constants).items()]
    outputs = [helper.make_tensor_value_info("y", kind, outputs)]
    graph = helper.make_graph(made, "g", [helper.make_tensor_value_info("x", kind, inputs)], outputs, tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9, **options)


rng = np.random.default_rng(3)


def normal(*shape, dtype="float32"):
    return (rng.standard_normal(shape) / 2).astype(dtype)


W, V, B, C = normal(4, 5), normal(5, 3), normal(5), normal(3)
one = np.float32
ROOT = one(math.sqrt(2))
DENSE = ("Gemm", "x W B", "h")
CHAINS = {
    "Gemm": ([("Gemm", "x W B", "y")], {}),
    "Gemm without biases": ([("Gemm", "x W", "y")], {}),
    "Gemm, factors, transposed": ([("Gemm", "x T B", "y", {"alpha": 0.5, "beta": 2.0, "transB": 1})],
                                  {"T": normal(5, 4)}),
    "Gemm, one bias": ([("Gemm", "x W b", "y")], {"b": one(0.5)}),
    "Gemm, biases of two dimensions": ([("Gemm", "x W b", "y")], {"b": normal(1, 5)}),
    "MatMul, Add": ([("MatMul", "x W", "h"), ("Add", "h B", "y")], {}),
    "MatMul, Add the other way": ([("MatMul", "x W", "h"), ("Add", "B h", "y")], {}),
    "MatMul, Transpose of weights": ([("Transpose", "T", "w"), ("MatMul", "x w", "y")], {"T": normal(5, 4)}),
    "arithmetic in front": ([("Sub", "x m", "a"), ("Div", "a s", "b"), ("MatMul", "b W", "y")],
                            {"m": normal(4), "s": normal(1, 4) + 2}),
    "arithmetic behind": ([("MatMul", "x W", "a"), ("Sub", "c a", "b"), ("Mul", "b B", "y")], {"c": one(1)}),
    "scaled": ([("Mul", "x c", "a"), ("Mul", "a c", "b"), ("Gemm", "b W B", "y")], {"c": one(3)}),
    "arithmetic behind an activation": ([DENSE, ("Relu", "h", "r"), ("Mul", "r c", "m"), ("Add", "B m", "y")],
                                        {"c": one(3)}),
    "activations": ([DENSE, ("Relu", "h", "r"), ("Gemm", "r V C", "g"), ("Tanh", "g", "y")], {}),
    "Sigmoid": ([DENSE, ("Sigmoid", "h", "r"), ("Gemm", "r V C", "g"), ("Sigmoid", "g", "y")], {}),
    "Softmax": ([DENSE, ("Softmax", "h", "y", {"axis": 1})], {}),
    "Gelu": ([DENSE, ("Gelu", "h", "y")], {}),
    "SiLU": ([DENSE, ("Sigmoid", "h", "s"), ("Mul", "h s", "y")], {}),
    "SiLU the other way": ([DENSE, ("Sigmoid", "h", "s"), ("Mul", "s h", "y")], {}),
    "GELU, halved last": ([DENSE, ("Div", "h q", "a"), ("Erf", "a", "e"), ("Add", "e o", "f"), ("Mul", "h f", "g"),
                           ("Mul", "g k", "y")], {"q": ROOT, "o": one(1), "k": one(0.5)}),
    "GELU, halved first": ([DENSE, ("Mul", "h r", "a"), ("Erf", "a", "e"), ("Add", "o e", "f"), ("Mul", "h k", "g"),
                            ("Mul", "f g", "y")], {"r": 1 / ROOT, "o": one(1), "k": one(0.5)}),
    "GELU, factor halved": ([DENSE, ("Mul", "h r", "a"), ("Erf", "a", "e"), ("Add", "o e", "f"), ("Mul", "f k", "g"),
                             ("Mul", "g h", "y")], {"r": 1 / ROOT, "o": one(1), "k": one(0.5)}),
    "BatchNormalization": ([DENSE, ("BatchNormalization", "h s b m v", "n", {"epsilon": 1e-3}), ("Relu", "n", "y")],
                           {"s": normal(5), "b": normal(5), "m": normal(5), "v": normal(5) ** 2}),
    "LayerNormalization": ([DENSE, ("LayerNormalization", "h s b", "n"), ("Relu", "n", "r"), ("Gemm", "r V C", "y")],
                           {"s": normal(5), "b": normal(5)}),
    "LayerNormalization, no bias, axis 1": ([DENSE, ("LayerNormalization", "h s", "y", {"axis": 1})], {"s": normal(5)}),
    "nothing": ([("Identity", "x", "i"), ("Gemm", "i W B", "h"), ("Identity", "h", "g"), ("Flatten", "g", "y")], {}),
    "Identity of weights": ([("Identity", "W", "w"), ("Gemm", "x w B", "y")], {}),
    "Dropout": ([DENSE, ("Relu", "h", "r"), ("Dropout", "r", "d"), ("Gemm", "d V C", "y")], {}),
    "Reshape": ([("Reshape", "x s", "r"), ("Gemm", "r W B", "g"), ("Reshape", "g t", "y")],
                {"s": [-1, 4], "t": [0, -1]}),
    "Constant": ([("Constant", "", "w", {"value": onnx.numpy_helper.from_array(W)}), ("MatMul", "x w", "h"),
                  ("Constant", "", "c", {"value_float": 2.0}), ("Mul", "h c", "y")], {}),
    "no dense layer": ([("Mul", "x m", "a"), ("Add", "a m", "y")], {"m": normal(4)}),
}  # fmt: skip


@pytest.mark.parametrize("name", CHAINS)
def test_chains(name):
    nodes, constants = CHAINS[name]
    proto = graph_of(nodes, {"W": W, "V": V, "B": B, "C": C, **constants})
    onnx.checker.check_model(proto)
    X = normal(6, 4)
    model = from_onnx(proto)
    nearly(model.predict(X), reference(proto, X).astype(np.float32), "float32")


@pytest.mark.parametrize("typed", [False, True])
def test_numbers_that_are_not_raw(typed):
    proto = graph_of([("Gemm", "x W B", "y")], {"W": W, "B": B})
    if typed:
        for tensor in proto.graph.initializer:
            tensor.float_data.extend(np.frombuffer(tensor.raw_data, np.float32))
            tensor.ClearField("raw_data")
    np.testing.assert_array_equal(from_onnx(proto).weights[0], W)


def test_dropout_is_taken_over():
    nodes = [DENSE, ("Relu", "h", "r"), ("Dropout", "r p", "d"), ("Gemm", "d V C", "y")]
    model = from_onnx(graph_of(nodes, {"W": W, "B": B, "V": V, "C": C, "p": one(0.25)}))
    assert np.ravel(model._arguments()["dropout"]).tolist() == [0.25]


def test_flattened_images():
    nodes = [("Flatten", "x", "f"), ("Gemm", "f W B", "y")]
    X = normal(3, 1, 2, 2)
    proto = graph_of(nodes, {"W": W, "B": B}, inputs=("n", 1, 2, 2))
    nearly(from_onnx(proto).predict(X.reshape(3, 4)), reference(proto, X), "float32")


def lstm_arrays(inputs=4, hidden=3, **others):
    arrays = {"w": normal(1, 4 * hidden, inputs), "r": normal(1, 4 * hidden, hidden), "b": normal(1, 8 * hidden)}
    arrays["r2"] = normal(1, 4 * hidden, hidden)
    places = {"zero": [0], "one": [1], "two": [2], "none": np.array(0), "last": np.array(-1)}
    return {**arrays, **places, "V": normal(3, 2), "C": normal(2), **others}


STEPS_FIRST = ("Transpose", "x", "t", {"perm": [1, 0, 2]})
LSTM_CHAINS = {
    "last state": [STEPS_FIRST, ("LSTM", "t w r b", "- h", {"hidden_size": 3}), ("Squeeze", "h zero", "y")],
    "last step": [STEPS_FIRST, ("LSTM", "t w r b", "s", {"hidden_size": 3}), ("Squeeze", "s one", "q"),
                  ("Gather", "q last", "y", {"axis": 0})],
    "last step, samples first": [STEPS_FIRST, ("LSTM", "t w r b", "s", {"hidden_size": 3}), ("Squeeze", "s one", "q"),
                                 ("Transpose", "q", "z", {"perm": [1, 0, 2]}), ("Gather", "z last", "y", {"axis": 1})],
    "no biases": [STEPS_FIRST, ("LSTM", "t w r", "- h", {"hidden_size": 3}), ("Squeeze", "h zero", "y")],
    "activations named": [STEPS_FIRST, ("LSTM", "t w r b", "- h", {"hidden_size": 3, "direction": "forward",
                          "activations": ["Sigmoid", "Tanh", "Tanh"]}), ("Squeeze", "h zero", "y")],
    "dense": [STEPS_FIRST, ("LSTM", "t w r b", "- h", {"hidden_size": 3}), ("Squeeze", "h zero", "q"),
              ("Gemm", "q V C", "y")],
    "dense at every step": [STEPS_FIRST, ("LSTM", "t w r b", "s", {"hidden_size": 3}), ("Squeeze", "s one", "q"),
                            ("MatMul", "q V", "m"), ("Add", "m C", "a"), ("Tanh", "a", "c"),
                            ("Gather", "c last", "y", {"axis": 0})],
    "layers": [STEPS_FIRST, ("LSTM", "t w r b", "s h", {"hidden_size": 3}), ("Squeeze", "s one", "q"),
               ("LSTM", "q r2 r b", "- g", {"hidden_size": 3}), ("Concat", "h g", "c", {"axis": 0}),
               ("Gather", "c last", "y", {"axis": 0})],
    "first of the layers": [STEPS_FIRST, ("LSTM", "t w r b", "s h", {"hidden_size": 3}), ("Squeeze", "s one", "q"),
                            ("LSTM", "q r2 r b", "- g", {"hidden_size": 3}), ("Concat", "h g", "c", {"axis": 0}),
                            ("Gather", "c none", "y", {"axis": 0})],
    "reshaped": [STEPS_FIRST, ("LSTM", "t w r b", "s", {"hidden_size": 3}),
                 ("Transpose", "s", "p", {"perm": [0, 2, 1, 3]}),
                 ("Constant", "", "k", {"value_ints": [0, 0, -1]}), ("Reshape", "p k", "q"),
                 ("Gather", "q last", "y", {"axis": 0})],
}  # fmt: skip


@pytest.mark.parametrize("name", LSTM_CHAINS)
def test_lstm_chains(name):
    proto = graph_of(LSTM_CHAINS[name], lstm_arrays(), inputs=("n", "t", 4))
    X = normal(5, 6, 4)
    model = from_onnx(proto)
    assert isinstance(model, LSTM)
    nearly(model.predict(X), reference(proto, X).astype(np.float32), "float32")


def test_lstm_with_samples_first():
    arrays = lstm_arrays()
    X = normal(5, 6, 4)
    other = graph_of(LSTM_CHAINS["last state"], arrays, inputs=("n", "t", 4))
    expected = from_onnx(other).predict(X)
    for nodes in (
        [("LSTM", "x w r b", "- h", {"hidden_size": 3, "layout": 1}), ("Squeeze", "h one", "y")],
        [("LSTM", "x w r b", "s", {"hidden_size": 3, "layout": 1}), ("Squeeze", "s two", "q"),
         ("Gather", "q last", "y", {"axis": 1})],
    ):  # fmt: skip
        model = from_onnx(graph_of(nodes, arrays, inputs=("n", "t", 4)))
        np.testing.assert_array_equal(model.predict(X), expected)


# --- what is not supported -----------------------------------------------------------------------

AFTER = ("Squeeze", "h zero", "y")
REFUSED = {
    "operator": ([DENSE, ("Selu", "h", "y")], {}, r"node 'y' \(Selu\) is not supported"),
    "input transposed": ([("Gemm", "x W B", "y", {"transA": 1})], {}, r"node 'y' \(Gemm\): the first input"),
    "weights are data": ([("Gemm", "W x", "y")], {}, r"node 'y' \(Gemm\): input 0 must be what the layers"),
    "two of the data": ([("MatMul", "x x", "y")], {}, r"node 'y' \(MatMul\): input 1 must be constant"),
    "sum of the data": ([DENSE, ("Relu", "h", "r"), ("Add", "h r", "y")], {},
                        r"node 'y' \(Add\): .* computed from the data"),
    "other product": ([DENSE, ("Relu", "h", "r"), ("Mul", "h r", "y")], {},
                      r"node 'y' \(Mul\): .* computed from the data"),
    "constant by data": ([DENSE, ("Div", "B h", "y")], {}, "divided by a constant, not a constant by it"),
    "other Erf": ([DENSE, ("Erf", "h", "y")], {}, "not the exact GELU"),
    "almost GELU": ([DENSE, ("Erf", "h", "e"), ("Add", "e o", "f"), ("Mul", "h f", "y")], {"o": one(1)},
                    "not the exact GELU"),
    "tanh GELU": ([DENSE, ("Gelu", "h", "y", {"approximate": "tanh"})], {}, "approximate='tanh' is not supported"),
    "softmax of samples": ([DENSE, ("Softmax", "h", "y", {"axis": 0})], {}, r"\(Softmax\): axis must be the features'"),
    "softmax first": ([("Softmax", "x", "s"), ("Gemm", "s W", "y")], {},
                      r"node 'y' \(Gemm\): softmax must be the last"),
    "epsilon": ([DENSE, ("LayerNormalization", "h B", "y", {"epsilon": 1e-3})], {}, "epsilon must be 1e-05"),
    "training": ([DENSE, ("BatchNormalization", "h B B B B", "y a b", {"training_mode": 1})], {}, "training_mode=1"),
    "negative variance": ([DENSE, ("BatchNormalization", "h B B B v", "y")], {"v": -np.ones(5, "f4")},
                          "variances must be"),
    "widths": ([("Gemm", "x V", "y")], {}, r"node 'y' \(Gemm\): the weights take 5 values, but are given 4"),
    "biases": ([("Gemm", "x W b", "y")], {"b": normal(4)}, r"a constant of shape \(4,\) does not fit 5 features"),
    "biases of samples": ([("Gemm", "x W b", "y")], {"b": normal(5, 1)}, r"shape \(5, 1\) does not fit"),
    "columns": ([("Add", "x b", "y")], {"b": normal(4, 1)}, "does not fit 4 features"),
    "dimensions": ([("Add", "x b", "y")], {"b": normal(1, 1, 4)}, "adds dimensions"),
    "flattened from the front": ([("Flatten", "x", "f", {"axis": 0}), ("Gemm", "f W", "y")], {},
                                 r"\(Flatten\): axis must be 1"),
    "reshaped": ([("Reshape", "x s", "f"), ("Gemm", "f W", "y")], {"s": [4, -1]},
                 r"\(Reshape\): to \(4, -1\) does more"),
    "transposed": ([("Transpose", "x", "t"), ("MatMul", "t W", "y")], {}, "the last axis must be the features"),
    "output transposed": ([DENSE, ("Transpose", "h", "y")], {}, r"output 'y' must be \(samples, outputs\)"),
    "output of constants": ([("Identity", "W", "y")], {}, "output 'y' must be what the layers make of the input"),
    "no layers": ([("Identity", "x", "y")], {}, "no layer with parameters"),
    "mixed types": ([("Gemm", "x W", "h"), ("Cast", "h", "y", {"to": 11})], {}, r"\(Cast\): only shapes"),
    "gathered": ([DENSE, ("Gather", "h z", "y", {"axis": 1})], {"z": np.array(0)}, "only the last step of an LSTM"),
    "dropout in training": ([DENSE, ("Dropout", "h p t", "y")], {"p": one(0.5), "t": np.array(True)},
                            "training_mode must"),
    "constants": ([("Add", "B B", "c"), ("Gemm", "x W c", "y")], {}, r"\(Add\): one input must be what the layers"),
    "ones": ([("ConstantOfShape", "s", "c", {"value": helper.make_tensor("v", 1, [1], [1.0])}), ("Gemm", "x W", "y")],
             {"s": [2]}, r"\(ConstantOfShape\): only zeros"),
    "ones expanded": ([("Expand", "o s", "c"), ("Gemm", "x W", "y")], {"o": one(1), "s": [2]},
                      r"\(Expand\): only zeros"),
    "statistics": ([DENSE, ("BatchNormalization", "h B B B v", "y")], {"v": np.ones(4, "f4")},
                   "must have the same size"),
    "fewer statistics": ([DENSE, ("BatchNormalization", "h v v v v", "y")], {"v": np.ones(4, "f4")},
                         "it takes 4 values"),
    "norm of samples": ([DENSE, ("LayerNormalization", "h B", "y", {"axis": 0})], {}, "axis must be the features'"),
    "norm of fewer": ([DENSE, ("LayerNormalization", "h v", "y")], {"v": normal(4)}, "its scale has 4 values"),
    "norm with fewer": ([DENSE, ("LayerNormalization", "h B v", "y")], {"v": normal(4)}, "its scale has 5 values"),
    "LSTM of samples": ([("LSTM", "x w r", "- y")], {"w": normal(1, 12, 4), "r": normal(1, 12, 3)},
                        "must be sequences"),
    "perm": ([("Transpose", "x", "t", {"perm": [0, 0]}), ("Gemm", "t W", "y")], {}, "perm must order 2 axes"),
    "float index": ([DENSE, ("Gather", "h z", "y")], {"z": one(0)}, "input 1 must be a few integers"),
    "many indices": ([DENSE, ("Gather", "h z", "y")], {"z": [0, 1]}, "one index is supported"),
    "index with dimensions": ([DENSE, ("Gather", "h z", "y")], {"z": [0]}, "one number without dimensions"),
    "no axes": ([DENSE, ("Squeeze", "h", "y")], {}, "axes must be given"),
    "squeezed samples": ([DENSE, ("Squeeze", "h z", "y")], {"z": [0]}, "only the axis of an LSTM's directions"),
    "axis": ([DENSE, ("Softmax", "h", "y", {"axis": 2})], {}, "axis 2 is not one of 2"),
    "unsqueezed": ([DENSE, ("Unsqueeze", "h z", "y")], {"z": [0]}, "only shapes are supported"),
    "cut": ([DENSE, ("Slice", "h z o", "y")], {"z": [0], "o": [1]}, "only shapes and zeros may be cut"),
    "cut with steps": ([("Shape", "x", "s"), ("Slice", "s z t z t", "c"), ("Gemm", "x W", "y")], {"z": [0], "t": [2]},
                       "one range is supported"),
    "sum of sizes": ([("Shape", "x", "s"), ("Add", "s s", "c"), ("Gemm", "x W", "y")], {}, "only the product with 1"),
    "joined": ([DENSE, ("Concat", "h h", "y", {"axis": 1})], {}, r"\(Concat\): input 0 must be constant"),
    "many sizes": ([("Concat", " ".join("ssssss"), "c", {"axis": 0}), ("Gemm", "x W", "y")], {"s": [1, 2]},
                   "of shapes, or"),
    "constant across": ([DENSE, ("Transpose", "h", "t"), ("Add", "t B", "y")], {},
                        "one number, or one for each feature"),
    "words": ([("Constant", "", "c", {"value_string": "no"}), ("Gemm", "x W", "y")], {}, "only numbers are supported"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_supported_is_named(name):
    nodes, constants, match = REFUSED[name]
    proto = graph_of(nodes, {"W": W, "V": V, "B": B, "C": C, **constants})
    with pytest.raises(ValueError, match=match):
        from_onnx(proto)


def recurrent(**attributes):
    return ("LSTM", "t w r b", "s h", {"hidden_size": 3, **attributes})


LSTM_REFUSED = {
    "reverse": ([recurrent(direction="reverse"), AFTER], {}, r"\(LSTM\): direction='reverse' is not supported"),
    "clip": ([recurrent(clip=1.0), AFTER], {}, "clip=1.0 is not supported"),
    "input_forget": ([recurrent(input_forget=1), AFTER], {}, "input_forget=1 is not supported"),
    "activations": ([recurrent(activations=["Sigmoid", "Relu", "Tanh"]), AFTER], {},
                    "activations must be Sigmoid, Tanh"),
    "lengths": ([("LSTM", "t w r b one", "s h"), AFTER], {"one": np.ones(1, np.int32)}, "sequence lengths"),
    "peepholes": ([("LSTM", "t w r b - - - p", "s h"), AFTER], {"p": normal(1, 9)}, "peepholes are not supported"),
    "states": ([("LSTM", "t w r b - p", "s h"), AFTER], {"p": normal(1, 5, 3)}, "must start from states of 0"),
    "weights": ([recurrent(), AFTER], {"w": normal(1, 8, 4)}, "do not fit together"),
    "hidden_size": ([recurrent(hidden_size=4), AFTER], {}, "do not fit together"),
    "inputs": ([recurrent(), AFTER], {"w": normal(1, 12, 5)}, "the weights take 5 values, but are given 4"),
    "every step": ([recurrent(), ("Squeeze", "s one", "y")], {}, "output 'y' must be"),
    "first step": ([recurrent(), ("Squeeze", "s one", "q"), ("Gather", "q z", "y")], {"z": np.array(0)},
                   "only the last step"),
    "samples removed": ([recurrent(), ("Squeeze", "h one", "y")], {}, "only the axis of an LSTM's directions"),
    "directions kept": ([recurrent(), ("Identity", "h", "y")], {}, "output 'y' must be"),
    "stacked on another axis": ([recurrent(), ("Concat", "h h", "c", {"axis": 1}), ("Gather", "c last", "y")], {},
                                "stacked on their first axis"),
    "taken from another axis": ([recurrent(), ("Concat", "h h", "c", {"axis": 0}),
                                 ("Gather", "c last", "y", {"axis": 1})],
                                {}, "the states of one layer must be taken"),
    "flattened": ([recurrent(), ("Squeeze", "s one", "q"), ("Flatten", "q", "y")], {}, "only the model's input may be"),
    "BatchNormalization": ([recurrent(), ("BatchNormalization", "s v v v v", "y")], {"v": np.ones(1, "f4")},
                           r"its input must be \(samples, features\)"),
    "cell": ([("LSTM", "t w r b", "s h c"), ("Squeeze", "c zero", "y")], {},
             "input 'c' is not a value that is followed"),
    "steps as samples": ([recurrent(), ("Squeeze", "s one", "q"), ("Transpose", "q", "p", {"perm": [1, 0, 2]}),
                          ("LSTM", "p w2 r", "- g"), ("Squeeze", "g zero", "y")], {"w2": normal(1, 12, 3)},
                          "its steps must be"),
}  # fmt: skip


@pytest.mark.parametrize("name", LSTM_REFUSED)
def test_lstms_that_are_not_supported(name):
    nodes, constants, match = LSTM_REFUSED[name]
    proto = graph_of([STEPS_FIRST, *nodes], lstm_arrays(**constants), inputs=("n", "t", 4))
    with pytest.raises(ValueError, match=match):
        from_onnx(proto)


def test_one_input_and_one_output():
    proto = graph_of([DENSE, ("Relu", "h", "y")], {"W": W, "B": B})
    proto.graph.input.append(helper.make_tensor_value_info("more", 1, ["n", 4]))
    with pytest.raises(ValueError, match="must have one input, it has 2"):
        from_onnx(proto)
    proto = graph_of([DENSE, ("Relu", "h", "y")], {"W": W, "B": B})
    proto.graph.output.append(helper.make_tensor_value_info("h", 1, ["n", 5]))
    with pytest.raises(ValueError, match="must have one output, it has 2"):
        from_onnx(proto)


def test_an_input_of_other_dimensions():
    for shape in (("n",), ("n",) * 9):
        with pytest.raises(ValueError, match=f"input 'x' has {len(shape)} dimensions"):
            from_onnx(graph_of([("Gemm", "x W", "y")], {"W": W}, inputs=shape))


@pytest.mark.skipif(onnx.defs.onnx_opset_version() < 24, reason="Swish came with operator set 24")
def test_swish():
    def proto(**attributes):
        nodes = [DENSE, ("Swish", "h", "y", attributes)]
        made = graph_of(nodes, {"W": W, "B": B}, opset=24)
        made.ir_version = 11
        return made

    assert from_onnx(proto()).output == from_onnx(proto(alpha=1.0)).output == "silu"
    with pytest.raises(ValueError, match=r"alpha=2.0 is not supported"):
        from_onnx(proto(alpha=2.0))


def test_what_is_no_file():
    with pytest.raises(ValueError, match="source must be a regular file, '/dev/zero' is not"):
        from_onnx("/dev/zero")


def test_other_arguments():
    with pytest.raises(TypeError, match=r"source must be a path, bytes or an onnx\.ModelProto, not int"):
        from_onnx(3)
    with pytest.raises(TypeError, match="model must be an MLP, LSTM or QuantizedMLP, not dict"):
        to_onnx({})
    with pytest.raises(FileNotFoundError):
        from_onnx("no such file")


def test_without_onnx(monkeypatch):
    model = mlp("relu", "float32")
    monkeypatch.setitem(sys.modules, "onnx", None)
    for call in (lambda: to_onnx(model), lambda: from_onnx(b"")):
        with pytest.raises(ImportError, match=r"onnx is not installed: pip install 'mlopt\[onnx\]'"):
            call()


# --- files that are not what they say ------------------------------------------------------------


def refused(proto, match, limit=1 << 20):
    """A ValueError, and no more memory than that."""
    data = proto.SerializeToString()
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=match):
            from_onnx(data)
        assert tracemalloc.get_traced_memory()[1] < limit + 4 * len(data)
    finally:
        tracemalloc.stop()


def simple():
    return graph_of([("Gemm", "x W B", "y")], {"W": W, "B": B})


def test_external_data_is_not_read(tmp_path):
    (tmp_path / "secret").write_bytes(W.tobytes())
    for place in ("initializer", "attribute"):
        proto = simple()
        if place == "attribute":
            constant = ("Constant", "", "W", {"value": onnx.numpy_helper.from_array(W)})
            proto = graph_of([constant, ("MatMul", "x W", "y")])
        tensor = proto.graph.initializer[0] if place == "initializer" else proto.graph.node[0].attribute[0].t
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="secret")
        (tmp_path / "model.onnx").write_bytes(proto.SerializeToString())
        for source in (proto, tmp_path / "model.onnx"):
            with pytest.raises(ValueError, match="lies outside the file"):
                from_onnx(source)


FALSE_DIMENSIONS = [[4, 6], [1 << 40, 1 << 40], [1 << 62, 4], [-4, -5], [4], [0, 5], [20, 1, 1, 1, 1, 1, 1, 1, 1]]


@pytest.mark.parametrize("dims", FALSE_DIMENSIONS)
def test_dimensions_without_numbers(dims):
    proto = simple()
    proto.graph.initializer[0].ClearField("dims")
    proto.graph.initializer[0].dims.extend(dims)
    refused(proto, "initializer 'W' has the dimensions")


@pytest.mark.parametrize("dims", [[0, 1 << 40], [1 << 40, 0], [0]])
def test_dimensions_of_nothing(dims):
    proto = simple()
    tensor = proto.graph.initializer[0]
    tensor.ClearField("dims")
    tensor.dims.extend(dims)
    tensor.raw_data = b""
    refused(proto, "must have 2 dimensions and elements")


def test_other_types_and_broken_numbers():
    for kind in (TensorProto.FLOAT16, TensorProto.STRING, TensorProto.COMPLEX64, 99):
        proto = simple()
        proto.graph.initializer[0].data_type = kind
        refused(proto, "initializer 'W' must be float32, float64, int32, int64, int8, uint8 or bool")
    proto = simple()
    proto.graph.initializer[0].data_type = TensorProto.INT64
    refused(proto, "but data for 10 elements")
    proto.graph.initializer[0].dims[1] = 10
    proto.graph.initializer[0].dims[0] = 1
    refused(proto, "input 1 must be float32 or float64, not int64")
    proto = simple()
    proto.graph.initializer[0].raw_data += b"\0"
    refused(proto, "but data for")


def test_shared_parameters_do_not_multiply():
    square = normal(500, 500)
    names = ["x", *(f"h{i}" for i in range(100)), "y"]
    nodes = [("MatMul", f"{before} W", after) for before, after in pairwise(names)]
    proto = graph_of(nodes, {"W": square}, inputs=("n", 500))
    # 250 000 numbers in the file, of 25 million
    refused(proto, "the parameters that nodes share are too many")


def test_small_parameters_may_be_shared():
    nodes = [DENSE, ("LayerNormalization", "h B B", "n"), ("Gemm", "n V C", "y")]
    proto = graph_of(nodes, {"W": W, "B": B, "V": V, "C": C})
    X = normal(3, 4)
    nearly(from_onnx(proto).predict(X), reference(proto, X), "float32")


def test_activations_do_not_make_layers_without_end():
    names = ["x", *(f"h{i}" for i in range(2000)), "y"]
    nodes = [("Tanh", before, after) for before, after in pairwise(names)]
    proto = graph_of([("Add", "x b", "z"), ("Tanh", "z", "h0"), *nodes[1:]], {"b": normal(1000)}, inputs=("n", 1000))
    refused(proto, r"\(Tanh\) has no dense layer next to it", limit=64 << 20)


def test_shapes_do_not_allocate():
    for operator in ("ConstantOfShape", "Expand"):
        nodes = [(operator, "k" if operator == "ConstantOfShape" else "o k", "c"), STEPS_FIRST,
                 ("LSTM", "t w r b - c", "s h"), ("Squeeze", "h zero", "y")]  # fmt: skip
        proto = graph_of(nodes, lstm_arrays(k=[1 << 40] * 3, o=one(0)), inputs=("n", "t", 4))
        assert from_onnx(proto).predict(normal(2, 3, 4)).shape == (2, 3)
    proto = graph_of([("ConstantOfShape", "k", "c"), ("Add", "x c", "y")], {"k": [1 << 40]})
    refused(proto, "input 1 must be constant")


def branch():
    inner = helper.make_graph([helper.make_node("Identity", ["x"], ["z"])], "inner", [],
                              [helper.make_tensor_value_info("z", 1, None)])  # fmt: skip
    return graph_of([("If", "c", "y", {"then_branch": inner, "else_branch": inner})], {"c": np.array(True)})


def with_function():
    proto = simple()
    proto.functions.append(helper.make_function("own", "f", ["x"], ["y"], [helper.make_node("Relu", ["x"], ["y"])], []))
    return proto


def with_sparse():
    proto = simple()
    values, indices = helper.make_tensor("v", 1, [1], [1.0]), helper.make_tensor("i", 7, [1], [0])
    proto.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [1 << 40]))
    return proto


def of_another_domain():
    proto = graph_of([("Gemm", "x W B", "y")], {"W": W, "B": B})
    proto.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    proto.graph.node[0].domain = "com.microsoft"
    return proto


def disordered():
    proto = graph_of([DENSE, ("Relu", "h", "y")], {"W": W, "B": B})
    first, second = proto.graph.node
    del proto.graph.node[:]
    proto.graph.node.extend([second, first])
    return proto


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (branch, r"node 'y' \(If\) is not supported"), (with_function, "has functions"), (with_sparse, "has sparse"),
        (of_another_domain, "domain 'com.microsoft'"), (disordered, "not a valid ONNX model"),
        (onnx.ModelProto, "not a valid ONNX model"),
    ],
)  # fmt: skip
def test_what_no_chain_has(make, match):
    refused(make(), match)


def survives(data):
    try:
        model = from_onnx(data)
    except ValueError:
        return 0
    with np.errstate(all="ignore"):
        assert model.predict(np.ones(model.layers[0])).shape == model.layers[-1:]
    return 1


def small():
    return to_onnx(MLP([2, 2, 1], activation="silu", rng=0)).SerializeToString()


def test_truncated():
    whole = small()
    assert survives(whole) == 1
    assert sum(survives(whole[:length]) for length in range(len(whole))) < 20, "but for the version at its end"


def test_single_bits():
    whole = small()
    loaded = 0
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        loaded += survives(bytes(damaged))
    assert 0 < loaded < len(whole)


def test_random_bytes():
    whole = small()
    rng = np.random.default_rng(0)
    for _ in range(500):
        damaged = bytearray(whole)
        for place in rng.integers(0, len(whole), 3):
            damaged[place] = rng.integers(256)
        survives(bytes(damaged))


def test_no_onnx_at_all():
    for data in (b"", b"\0", b"PK\x03\x04", bytes(range(256))):
        with pytest.raises(ValueError, match="source"):
            from_onnx(data)
