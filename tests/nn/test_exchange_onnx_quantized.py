"""Quantised models from and to ONNX: written and read again, graphs of others, files that are not what they say.

Where a graph rounds at places that a model has no rounding for, results may differ by that rounding, half a step of
each, and where a byte in between falls on the other side of a tie by what one step of it makes at the outputs.
"""

import zlib

import numpy as np
import pytest

from mlopt.nn import MLP, QuantizedLayer, QuantizedMLP, from_onnx, load, save, to_onnx

onnx = pytest.importorskip("onnx")
pytest.importorskip("safetensors")
helper, TensorProto = onnx.helper, onnx.TensorProto
RNG = np.random.default_rng(0)
X = RNG.standard_normal((200, 6)).astype(np.float32)


@pytest.fixture(autouse=True)
def seed(request):
    """Every test draws the same numbers, whichever tests run before it."""
    global RNG
    RNG = np.random.default_rng(zlib.crc32(request.node.name.encode()))


def reference(proto, X):
    from onnx.reference import ReferenceEvaluator

    (result,) = ReferenceEvaluator(proto).run(None, {proto.graph.input[0].name: X})
    return result


def runtime(proto, X):
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    (result,) = session.run(None, {proto.graph.input[0].name: X})
    return result


def float_model(**options):
    model = MLP([6, 9, 8, 3], rng=0, **options)
    for part in (part for layer in model.parameters for part in layer):
        part[...] = RNG.standard_normal(part.shape) / 2
    return model


MODELS = {
    **{name: {"activation": name} for name in ("relu", "tanh", "sigmoid", "gelu", "silu", "identity")},
    "softmax": {"output": "softmax", "loss": "cross_entropy"}, "to relu": {"output": "relu"},
    "to tanh": {"output": "tanh"}, "to sigmoid": {"output": "sigmoid"},
    "sigmoid link": {"output": "sigmoid", "loss": "binary_cross_entropy"}, "each": {"activation": ["tanh", "relu"]},
}  # fmt: skip


def bytes_of(shape, dtype, low=0, high=256):
    return (RNG.integers(low, high, shape) + np.iinfo(dtype).min).astype(dtype)


def odd_model(mode="static"):
    """Layers that no calibration makes: uint8 weights, zero points, biases that are and are not whole sums."""
    zero = 0 if mode == "dynamic" else [-3, 0, 5, 100]
    second = np.uint8 if mode == "static" else np.int8
    scale = np.float32(0.25) * np.float32([0.5, 0.125, 2, 1])
    return QuantizedMLP(
        [
            QuantizedLayer(bytes_of((6, 4), np.int8), 4 * scale, [8, -4, 100, 7] * scale, "tanh", 0.25, 130, zero),
            QuantizedLayer(bytes_of((4, 5), second), 0.01, np.sqrt([0.1, 0.2, 3, 0, 9.5]), "relu", 1 / 127, 128,
                           200 if mode == "static" else 0),
            QuantizedLayer(bytes_of((5, 2), np.int8), 0.1, np.sqrt([0.5, 0.1]), "identity", 0.02, 0),
        ],
        output="softmax", mode=mode,
    )  # fmt: skip


def quantized_models():
    for name, options in MODELS.items():
        for mode in ("static", "dynamic"):
            yield pytest.param(lambda o=options, m=mode: float_model(**o).quantize(X, mode=m), id=f"{name}, {mode}")
    yield pytest.param(odd_model, id="odd, static")
    yield pytest.param(lambda: odd_model("dynamic"), id="odd, dynamic")
    yield pytest.param(lambda: MLP([1, 1], rng=0).quantize(np.float32([[0], [1]])), id="smallest")


def samples_of(model):
    return np.ascontiguousarray(X[:, : model.layers[0]])


def same_model(a, b):
    assert type(b) is QuantizedMLP
    assert (a.layers, a.output, a.mode) == (b.layers, b.output, b.mode)
    inputs = samples_of(a)
    np.testing.assert_array_equal(a.predict(inputs), b.predict(inputs))
    np.testing.assert_array_equal(a.predict(inputs[0]), b.predict(inputs[0]))


# --- written and read again ----------------------------------------------------------------------


@pytest.mark.parametrize("make", list(quantized_models()))
def test_read_again(make, tmp_path):
    model = make()
    same_model(model, from_onnx(to_onnx(model)))
    to_onnx(model, tmp_path / "model.onnx")
    same_model(model, from_onnx(tmp_path / "model.onnx"))
    again = from_onnx(to_onnx(from_onnx(to_onnx(model))))
    same_model(model, again)


@pytest.mark.parametrize("make", list(quantized_models()))
def test_saved_and_loaded(make, tmp_path):
    model = make()
    save(model, tmp_path / "model.safetensors")
    other = load(tmp_path / "model.safetensors")
    same_model(model, other)
    for a, b in zip(model.quantized_layers, other.quantized_layers, strict=True):
        for name in ("weights", "weight_scale", "weight_zero_point", "bias"):
            np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
            assert getattr(a, name).dtype == getattr(b, name).dtype
        assert (a.activation, a.input_scale, a.input_zero_point) == (b.activation, b.input_scale, b.input_zero_point)


def one_step(model):
    """What one step of a byte in each layer can make at the outputs, one behind the other."""
    reach, total = 0.0, 0.0
    for layer in model.quantized_layers[1:][::-1]:
        weights = np.abs(layer.dequantized())
        reach = weights.max() if reach == 0 else weights.sum(axis=1).max() * reach
        total += layer.input_scale * reach
    return total


def nearly_all(result, expected, step):
    """Equal but for the last bits, except where a byte fell on the other side of a tie."""
    assert (result.dtype, result.shape) == (expected.dtype, expected.shape)
    difference = np.abs(result - expected)
    assert np.mean(difference.max(axis=1) > 1e-5 * max(1, np.abs(expected).max())) <= 0.05
    assert difference.max() <= step + 1e-5


@pytest.mark.parametrize("name", [*MODELS, "odd"])
def test_static_graph_computes_the_same(name):
    model = odd_model() if name == "odd" else float_model(**MODELS[name]).quantize(X)
    nearly_all(model.predict(X), reference(to_onnx(model), X), one_step(model))


@pytest.mark.parametrize("name", [*MODELS, "odd"])
def test_dynamic_graph_computes_the_same_of_single_samples(name):
    model = odd_model("dynamic") if name == "odd" else float_model(**MODELS[name]).quantize(mode="dynamic")
    graph = to_onnx(model)
    expected = np.concatenate([reference(graph, X[i : i + 1]) for i in range(50)])
    # a range of 6 to 9 numbers may be another by its last bit, and all its bytes with it
    difference = np.abs(model.predict(X[:50]) - expected)
    assert difference.max() <= 0.02 * max(1, np.abs(expected).max())
    assert np.median(difference) <= 1e-5 * max(1, np.abs(expected).max())


def test_biases_that_are_whole_sums_become_int32():
    graph = to_onnx(odd_model()).graph
    assert [node.op_type for node in graph.node if node.op_type in ("Gemm", "MatMul")] == ["Gemm", "MatMul", "MatMul"]
    (sums,) = [tensor for tensor in graph.initializer if tensor.data_type == TensorProto.INT32]
    np.testing.assert_array_equal(onnx.numpy_helper.to_array(sums), [8, -4, 100, 7])


# --- graphs of others ----------------------------------------------------------------------------


class Graph:
    """Collects nodes of a graph that begins with the value "input"."""

    def __init__(self):
        self.nodes, self.arrays, self.value = [], {}, "input"

    def array(self, values, name=None):
        name = f"array_{len(self.arrays)}" if name is None else name
        self.arrays[name] = np.asarray(values)
        return name

    def node(self, operator, *inputs, outputs=1, **options):
        names = [f"value_{len(self.nodes)}{'' if i == 0 else f'_{i}'}" for i in range(outputs)]
        inputs = [name if isinstance(name, str) else self.array(name) for name in inputs]
        name = f"{operator}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, names, name=name, **options))
        self.value = names[0]
        return names if outputs > 1 else names[0]

    def rounding(self, scale, zero, dtype=np.uint8):
        parameters = self.array(np.float32(scale)), self.array(np.asarray(zero, dtype))
        self.node("QuantizeLinear", self.value, *parameters)
        return self.node("DequantizeLinear", self.value, *parameters)

    def weights(self, data, scale, zero=None, axis=1):
        scale = np.asarray(scale, np.float32)
        zero = np.zeros(scale.shape, data.dtype) if zero is None else np.asarray(zero, data.dtype)
        return self.node("DequantizeLinear", data, scale, zero, **({"axis": axis} if scale.ndim else {}))

    def proto(self, inputs=6, outputs=None, opset=21):
        arrays = [onnx.numpy_helper.from_array(array, name) for name, array in self.arrays.items()]
        graph = helper.make_graph(
            self.nodes, "graph", [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["n", inputs])],
            [helper.make_tensor_value_info(self.value, TensorProto.FLOAT, ["n", outputs])], arrays,
        )  # fmt: skip
        opsets = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def dense_graph(
    activation_dtype=np.uint8, weight_dtype=np.int8, per_channel=False, weight_zero=0, operator="Gemm", bias="int32",
    between=True, activation="Relu", end=True,
):  # fmt: skip
    """Two layers, as quantisers write them."""
    graph, first = Graph(), 128 if activation_dtype == np.uint8 else 0
    low = np.iinfo(activation_dtype).min
    graph.rounding(0.025, first, activation_dtype)
    for i, (inputs, outputs) in enumerate(((6, 5), (5, 4))):
        data, data_in = graph.value, bytes_of((inputs, outputs), weight_dtype)
        scale = np.linspace(0.004, 0.01, outputs) if per_channel else np.float32(0.007)
        zero = np.full(np.shape(scale), weight_zero)
        unit = np.float32(0.025 if i == 0 else 0.03) * np.asarray(scale, np.float32)
        sums = RNG.integers(-3000, 3000, outputs).astype(np.int32)
        if operator == "Gemm transposed":
            weights = graph.weights(np.ascontiguousarray(data_in.T), scale, zero, axis=0)
        else:
            weights = graph.weights(data_in, scale, zero)
        numbers = (sums * unit).astype(np.float32)
        if bias == "int32":
            zeros = np.zeros(unit.shape, np.int32)
            biases = graph.node("DequantizeLinear", sums, unit, zeros, **({"axis": 0} if unit.ndim else {}))
        else:
            biases = graph.array(numbers)
        if operator == "MatMul":
            graph.node("MatMul", data, weights)
            if between:
                graph.rounding(0.05, first, activation_dtype)
            graph.node("Add", graph.value, biases)
        else:
            graph.node("Gemm", data, weights, biases, transB=int(operator == "Gemm transposed"))
        if i == 0:
            if between:
                graph.rounding(0.06, first, activation_dtype)
            graph.node(activation, graph.value)
            graph.rounding(0.03, low if activation in ("Relu", "Sigmoid") else first, activation_dtype)
        elif end:
            graph.rounding(0.05, first, activation_dtype)
    return graph.proto()


@pytest.mark.parametrize("options", [
    {}, {"activation_dtype": np.int8}, {"weight_dtype": np.uint8, "weight_zero": 128},
    {"weight_dtype": np.uint8, "weight_zero": 90}, {"per_channel": True}, {"per_channel": True, "weight_zero": 3},
    {"operator": "Gemm transposed", "per_channel": True}, {"operator": "MatMul"}, {"bias": "float"},
    {"operator": "MatMul", "bias": "float", "per_channel": True}, {"between": False}, {"end": False},
    {"activation": "Tanh"}, {"activation": "Sigmoid"}, {"activation": "Gelu"},
    {"activation_dtype": np.int8, "activation": "Tanh", "operator": "MatMul"},
], ids=str)  # fmt: skip
def test_qdq(options):
    proto = dense_graph(**options)
    model = from_onnx(proto)
    assert isinstance(model, QuantizedMLP)
    assert (model.layers, model.mode) == ((6, 5, 4), "static")
    between, matmul = options.get("between", True), options.get("operator") == "MatMul"
    weights = np.abs(model.quantized_layers[1].dequantized())
    # half a step of each rounding that is left out in the first layer moves its bytes by less than that and one more
    first = (0.03 if between else 0) + (0.025 if matmul and between else 0) + 0.03
    bound = (first if between or matmul else 0.03) * weights.sum(axis=0).max()
    bound += (0.025 if matmul and between else 0) + (0.025 if options.get("end", True) else 0)
    result, expected = model.predict(X), reference(proto, X)
    ends = np.float32(0.05) * np.float32([-128, 127])
    if options.get("end", True):
        result = np.clip(result, *ends)
    inside = np.abs(model_sums(model)) <= 0.05 * 127 if matmul and between else np.ones_like(result, bool)
    assert inside.mean() > 0.5
    assert np.abs(result - expected)[inside.all(axis=1)].max() <= bound * (1 + 1e-5)
    if not between and not matmul:
        off = 0.025 if options.get("end", True) else 0
        assert np.mean(np.abs(result - expected) <= off + 1e-4) > 0.98


def model_sums(model):
    """What the dense layer of the end makes without its bias."""
    last = model.quantized_layers[-1]
    return np.clip(model.predict(X) - last.bias, -1e9, 1e9)


def test_weights_with_zero_points_that_fit_int8_become_symmetric():
    model = from_onnx(dense_graph(weight_dtype=np.uint8, weight_zero=128))
    for layer in model.quantized_layers:
        assert layer.weights.dtype == np.int8
        assert not layer.weight_zero_point.any()


def test_relu_that_is_in_the_zero_point():
    graph = Graph()
    graph.rounding(0.03, 128)
    graph.node("MatMul", graph.value, graph.weights(bytes_of((6, 4), np.int8), 0.01))
    graph.rounding(0.02, 0)
    model = from_onnx(graph.proto())
    assert model.quantized_layers[0].activation == "relu"
    expected = reference(graph.proto(), X)
    assert np.abs(np.minimum(model.predict(X), 255 * np.float32(0.02)) - expected).max() <= 0.01 + 1e-5


@pytest.mark.parametrize("operator", ["Tanh", "Add", "Gelu", "Softmax", "end"])
def test_a_range_that_begins_at_zero_keeps_its_effect(operator):
    graph = Graph()
    graph.rounding(0.03, 128)
    data = graph.value
    weights = graph.weights(bytes_of((6, 4), np.int8), 0.003)
    graph.node("MatMul", data, weights)
    if operator == "end":
        graph.node("Tanh", graph.value)
    graph.rounding(0.02, 0)
    if operator == "Add":
        graph.node("Add", graph.value, np.float32([-1, 2, -3, 4]))
    elif operator != "end":
        graph.node(operator, graph.value)
    model = from_onnx(graph.proto())
    assert len(model.quantized_layers) == 2
    nearly_all(model.predict(X), reference(graph.proto(), X), 0.0201)


def test_factors_and_biases_are_folded():
    graph = Graph()
    graph.rounding(0.03, 128)
    data = graph.value
    weights = graph.weights(bytes_of((6, 4), np.int8), 0.01)
    graph.node("MatMul", data, weights)
    graph.node("Mul", graph.value, np.float32([1, 2, 0.5, 3]))
    graph.node("Sub", np.float32([1, 2, 3, 4]), graph.node("Mul", graph.value, np.float32(1)))
    with pytest.raises(ValueError, match=r"'Sub_6' \(Sub\): a factor must be positive"):
        from_onnx(graph.proto())
    graph.nodes[-1].input[:] = reversed(graph.nodes[-1].input)
    model = from_onnx(graph.proto())
    assert len(model.quantized_layers) == 1
    np.testing.assert_allclose(model.predict(X), reference(graph.proto(), X), atol=1e-4)


def test_weights_that_are_quantised_or_transposed_in_the_graph():
    values = RNG.standard_normal((4, 6)).astype(np.float32)
    graph = Graph()
    graph.rounding(0.03, 128)
    data = graph.value
    parameters = graph.array(np.full(4, 0.02, np.float32)), graph.array(np.zeros(4, np.int8))
    graph.node("QuantizeLinear", values, *parameters, axis=0)
    graph.node("DequantizeLinear", graph.value, *parameters, axis=0)
    graph.node("MatMul", data, graph.node("Transpose", graph.value, perm=[1, 0]))
    model = from_onnx(graph.proto())
    np.testing.assert_array_equal(
        model.quantized_layers[0].weights, np.clip(np.rint(values / np.float32(0.02)), -128, 127).T
    )
    np.testing.assert_allclose(model.predict(X), reference(graph.proto(), X), atol=1e-4)


def qlinear_graph(signed=False, per_column=False):
    dtype, middle = (np.int8, 0) if signed else (np.uint8, 128)
    graph = Graph()
    ends = [(np.float32(0.025), np.array(middle, dtype)), (np.float32(0.05), np.array(middle, dtype)),
            (np.float32(0.1), np.array(middle, dtype))]  # fmt: skip
    graph.node("QuantizeLinear", "input", *ends[0])
    for i, (inputs, outputs) in enumerate(((6, 5), (5, 4))):
        scale = np.linspace(0.004, 0.01, outputs, dtype=np.float32) if per_column else np.float32(0.007)
        zero = np.full(np.shape(scale), 2, np.int8)
        weights = bytes_of((inputs, outputs), np.int8), scale, zero
        graph.node("QLinearMatMul", graph.value, *ends[i], *weights, *ends[i + 1])
    graph.node("DequantizeLinear", graph.value, *ends[2])
    return graph.proto()


@pytest.mark.parametrize(("signed", "per_column"), [(False, False), (True, False), (False, True), (True, True)])
def test_qlinear_matmul(signed, per_column):
    proto = qlinear_graph(signed, per_column)
    model = from_onnx(proto)
    result, expected = model.predict(X), reference(proto, X)
    result = np.clip(result, np.float32(-12.8), np.float32(12.7))
    # the rounding at the end, and a byte between the layers that falls on the other side of a tie
    step = 0.05 * np.abs(model.quantized_layers[1].dequantized()).max()
    assert np.abs(result - expected).max() <= 0.05 + step + 1e-4
    assert np.mean(np.abs(result - expected) <= 0.05 + 1e-4) > 0.98


def dynamic_graph(weight_dtype=np.int8, zero=None, per_column=False, swapped=False):
    graph, value = Graph(), "input"
    for i, (inputs, outputs) in enumerate(((6, 5), (5, 4))):
        data, scale, point = graph.node("DynamicQuantizeLinear", value, outputs=3)
        weights = bytes_of((inputs, outputs), weight_dtype, 1)
        unit = np.linspace(0.004, 0.01, outputs, dtype=np.float32) if per_column else np.float32(0.007)
        zeros = [] if zero is None else [np.full(outputs if per_column else (), zero, weight_dtype)]
        graph.node("MatMulInteger", data, weights, point, *zeros)
        real = graph.node("Cast", graph.value, to=TensorProto.FLOAT)
        both = graph.node("Mul", *((unit, scale) if swapped else (scale, unit)))
        graph.node("Mul", *((both, real) if swapped else (real, both)))
        value = graph.node("Add", graph.value, RNG.standard_normal(outputs).astype(np.float32))
        if i == 0:
            value = graph.node("Relu", value)
    return graph.proto()


@pytest.mark.parametrize("options", [
    {}, {"zero": 0}, {"weight_dtype": np.uint8, "zero": 128}, {"per_column": True}, {"swapped": True},
    {"per_column": True, "zero": 0, "swapped": True},
], ids=str)  # fmt: skip
def test_dynamic(options):
    proto = dynamic_graph(**options)
    model = from_onnx(proto)
    assert model.mode == "dynamic"
    expected = np.concatenate([reference(proto, X[i : i + 1]) for i in range(50)])
    difference = np.abs(model.predict(X[:50]) - expected)
    assert difference.max() <= 0.02 * np.abs(expected).max()
    assert np.median(difference) <= 1e-5


# --- what ONNX Runtime's quantiser makes ---------------------------------------------------------

PEERS = {
    **{name: {"activation": name} for name in ("relu", "tanh", "sigmoid", "identity", "silu")},
    "softmax": {"output": "softmax", "loss": "cross_entropy"}, "to sigmoid": {"output": "sigmoid"},
    "to relu": {"output": "relu"}, "to tanh": {"output": "tanh"},
}  # fmt: skip


class Reader:
    """Calibration data in batches."""

    def __init__(self):
        self.batches = iter([{"input": X[i : i + 50]} for i in range(0, len(X), 50)])

    def get_next(self):
        return next(self.batches, None)


def quantized_by_runtime(tmp_path, options, **how):
    quantization = pytest.importorskip("onnxruntime.quantization")
    types, formats = quantization.QuantType, quantization.QuantFormat
    to_onnx(float_model(**options), tmp_path / "float.onnx")
    result = tmp_path / "quantized.onnx"
    if how.pop("dynamic", False):
        quantization.quantize_dynamic(tmp_path / "float.onnx", result, weight_type=types[how.pop("weights")], **how)
    else:
        quantization.quantize_static(
            tmp_path / "float.onnx", result, Reader(), quant_format=formats[how.pop("format")],
            activation_type=types[how.pop("activations")], weight_type=types[how.pop("weights")], **how,
        )  # fmt: skip
    return onnx.load(result)


def data_scales(proto):
    """Of all bytes that data become, and of those that the outputs are made of."""
    arrays = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in proto.graph.initializer}
    made_by = {name: node for node in proto.graph.node for name in node.output}
    last = made_by["output"]
    while last.op_type != "DequantizeLinear":
        last = made_by[last.input[0]]
    data = [node for node in proto.graph.node if node.op_type.startswith("QLinear") or node.op_type == "QGemm"]
    places = {"QGemm": 7, "QLinearSigmoid": 3, "QLinearSoftmax": 3}
    scales = [node.input[places.get(node.op_type, 6)] for node in data]
    scales += [node.input[1] for node in proto.graph.node if node.op_type == "QuantizeLinear"]
    return [float(arrays[name]) for name in scales], float(arrays[last.input[1]])


def largest_difference(model, scales):
    """What a step rounded off in every layer, in front of its activation or behind, can make at the outputs."""
    difference = 0.0
    for i, layer in enumerate(model.quantized_layers):
        if i:  # whose bytes are then others, by as much and one step
            difference += layer.input_scale
        difference = 1.13 * (difference * np.abs(layer.dequantized()).sum(axis=0).max() + max(scales))  # SiLU's slope
    return difference


@pytest.mark.peer
@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize(("format", "activations", "weights"), [
    ("QDQ", "QUInt8", "QInt8"), ("QDQ", "QInt8", "QInt8"), ("QDQ", "QUInt8", "QUInt8"),
    ("QOperator", "QUInt8", "QInt8"), ("QOperator", "QInt8", "QInt8"), ("QOperator", "QUInt8", "QUInt8"),
])  # fmt: skip
@pytest.mark.parametrize("name", PEERS)
def test_static_models_of_onnxruntime(name, format, activations, weights, per_channel, tmp_path):
    proto = quantized_by_runtime(
        tmp_path, PEERS[name], format=format, activations=activations, weights=weights, per_channel=per_channel
    )
    model = from_onnx(proto)
    # a range in front of an activation that begins at zero cuts off what is below: a layer of its own
    assert len(model.quantized_layers) in (3, 4)
    scales, step = data_scales(proto)
    difference = np.abs(model.predict(X) - runtime(proto, X))
    assert difference.max() <= largest_difference(model, scales)
    # rounding in front of the last activation is half a step at most, a quarter in the middle
    assert difference.mean() <= step + max(scales) / 4
    if name in ("relu", "identity", "to relu"):
        # only the end is rounded in addition: half a step, but where a byte falls on the other side of a tie
        assert np.mean(difference <= step / 2 * (1 + 1e-4) + 1e-5) >= 0.98


@pytest.mark.peer
@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("weights", ["QInt8", "QUInt8"])
@pytest.mark.parametrize("name", [*PEERS, "gelu"])
def test_dynamic_models_of_onnxruntime(name, weights, per_channel, tmp_path):
    options = {**PEERS, "gelu": {"activation": "gelu"}}[name]
    proto = quantized_by_runtime(tmp_path, options, dynamic=True, weights=weights, per_channel=per_channel)
    arrays = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in proto.graph.initializer}
    integers = [node for node in proto.graph.node if node.op_type == "MatMulInteger"]
    centred = [arrays[node.input[1]].astype(int) - arrays[node.input[3]].reshape(-1) for node in integers]
    if not all(-128 <= part.min() <= part.max() <= 127 for part in centred):
        with pytest.raises(ValueError, match="must fit int8"):
            from_onnx(proto)
        return
    model = from_onnx(proto)
    assert model.mode == "dynamic"
    expected = np.concatenate([runtime(proto, X[i : i + 1]) for i in range(50)])
    close_to_runtime(model.predict(X[:50]), expected)


def close_to_runtime(result, expected):
    """But for single bytes, and in dynamic mode for last bits of a range that move all bytes of a layer."""
    difference, unit = np.abs(result - expected), max(1, np.abs(expected).max())
    assert difference.max() <= 0.02 * unit
    assert np.mean(difference <= 1e-5 * unit) >= 0.9


@pytest.mark.peer
@pytest.mark.parametrize("mode", ["static", "dynamic"])
@pytest.mark.parametrize("name", [*MODELS, "odd"])
def test_onnxruntime_computes_what_is_written(name, mode):
    model = odd_model(mode) if name == "odd" else float_model(**MODELS[name]).quantize(X, mode=mode)
    proto = to_onnx(model)
    expected = np.concatenate([runtime(proto, X[i : i + 1]) for i in range(50)])
    close_to_runtime(model.predict(X[:50]), expected)


@pytest.mark.peer
@pytest.mark.parametrize(("mode", "name", "fused"), [
    *[("dynamic", name, "DynamicQuantizeMatMul") for name in [*MODELS, "odd"] if name != "silu"],
    *[("static", name, "QGemm") for name in ("relu", "identity", "softmax")],
])  # fmt: skip
def test_what_onnxruntime_fuses(mode, name, fused, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    model = odd_model(mode) if name == "odd" else float_model(**MODELS[name]).quantize(X, mode=mode)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(tmp_path / "fused.onnx")
    onnxruntime.InferenceSession(to_onnx(model).SerializeToString(), options, providers=["CPUExecutionProvider"])
    proto = onnx.load(tmp_path / "fused.onnx")
    assert fused in [node.op_type for node in proto.graph.node]
    if mode == "dynamic":
        same_model(model, from_onnx(proto))
    else:  # which has rounded biases to whole sums
        nearly_all(from_onnx(proto).predict(X), model.predict(X), one_step(model))


# --- what is refused -----------------------------------------------------------------------------


def changed(change, make=dense_graph):
    proto = make()
    change(proto.graph)
    return proto


def node_of(graph, operator, number=0):
    return [node for node in graph.node if node.op_type == operator][number]


def set_array(graph, name, values):
    (tensor,) = [tensor for tensor in graph.initializer if tensor.name == name]
    tensor.CopyFrom(onnx.numpy_helper.from_array(np.asarray(values), name))


def set_input(operator, position, values, number=0):
    return lambda graph: set_array(graph, node_of(graph, operator, number).input[position], values)


def set_attribute(operator, **options):
    return lambda graph: node_of(graph, operator).attribute.extend(
        helper.make_attribute(name, value) for name, value in options.items()
    )


def rename(operator, to):
    def change(graph):
        node_of(graph, operator).op_type = to

    return change


def microsoft(graph):
    node_of(graph, "Relu").domain = "com.microsoft"


def scales_that_overflow(graph):
    set_array(graph, node_of(graph, "QuantizeLinear").input[1], np.float32(10))
    set_array(graph, node_of(graph, "DequantizeLinear", 1).input[1], np.float32(3e38))


NAN = np.float32(np.nan)
REFUSED = {
    "scale of zero": (set_input("QuantizeLinear", 1, np.float32(0)), r"'QuantizeLinear_0'.*must be positive"),
    "negative scale": (set_input("QuantizeLinear", 1, np.float32(-1)), "must be positive"),
    "scale NaN": (set_input("QuantizeLinear", 1, NAN), "must be positive"),
    "infinite scale": (set_input("DequantizeLinear", 1, np.float32(np.inf), 1), "must be positive"),
    "denormal scale": (set_input("DequantizeLinear", 1, np.float32(1e-40), 1), "must be positive"),
    "double scale": (set_input("QuantizeLinear", 1, np.float64(0.1)), r"float32|valid"),
    "scales that overflow": (scales_that_overflow, r"'Gemm_4' \(Gemm\): its scales must be"),
    "no scales": (set_input("DequantizeLinear", 1, np.zeros(0, np.float32), 1), "must be one float32 or a vector"),
    "matrix of scales": (set_input("DequantizeLinear", 1, np.ones((2, 2), np.float32), 1), "must be one float32"),
    "scales of data": (set_input("QuantizeLinear", 1, np.ones(6, np.float32)), "the data must have one scale"),
    "other zero points": (set_input("DequantizeLinear", 2, np.zeros(3, np.int8), 1), "must have the scale's shape"),
    "other type of zero point": (set_input("DequantizeLinear", 2, np.uint8(0), 1), "must be int8|valid"),
    "too many scales": (set_input("DequantizeLinear", 1, np.ones(7, np.float32), 1), "do not fit|the scale's shape"),
    "int32 data": (set_input("QuantizeLinear", 2, np.int32(0)), "int8 or uint8|another scale|valid"),
    "weights int32": (set_input("DequantizeLinear", 0, np.zeros((6, 5), np.int32), 1), "int32|valid"),
    "blocks": (set_attribute("QuantizeLinear", block_size=2), "blocks are not supported"),
    "Selu": (rename("Relu", "Selu"), r"'Relu_7' \(Selu\) is not supported"),
    "Relu of Microsoft": (microsoft, r"'Relu_7' \(Relu\) of the domain 'com.microsoft' is not supported"),
    "alpha": (set_attribute("Gemm", alpha=0.5), "alpha and beta must be 1"),
    "other width": (set_input("DequantizeLinear", 0, np.zeros((7, 5), np.int8), 1), "take 7 values"),
    "other bias": (set_input("DequantizeLinear", 0, np.zeros(4, np.int32), 2), "does not fit 5 features"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
    change, message = REFUSED[name]
    with pytest.raises(ValueError, match=message):
        from_onnx(changed(change))


def test_another_scale_behind_than_in_front():
    graph = Graph()
    graph.node("QuantizeLinear", "input", np.float32(0.1), np.uint8(128))
    graph.node("DequantizeLinear", graph.value, np.float32(0.2), np.uint8(128))
    graph.node("MatMul", graph.value, graph.weights(bytes_of((6, 4), np.int8), 0.01))
    with pytest.raises(ValueError, match=r"'DequantizeLinear_1' .*another scale or zero point"):
        from_onnx(graph.proto())


@pytest.mark.parametrize("second", ["Tanh", "Softmax"])
def test_activations_in_a_row(second):
    graph = Graph()
    graph.rounding(0.03, 128)
    data = graph.value
    graph.node("MatMul", data, graph.weights(bytes_of((6, 4), np.int8), 0.003))
    graph.node("Tanh", graph.value)
    first = len(graph.nodes)
    graph.node(second, graph.value)
    with pytest.raises(ValueError, match=rf"'{second}_{first}' .*must follow a dense layer, or what is quantised"):
        from_onnx(graph.proto())
    graph.nodes.pop()
    graph.value = f"value_{first - 1}"
    graph.rounding(0.01, 128)
    graph.node(second, graph.value)
    model = from_onnx(graph.proto())
    assert len(model.quantized_layers) == 2
    nearly_all(model.predict(X), reference(graph.proto(), X), 0.01)


def test_input_that_is_not_quantised():
    graph = Graph()
    graph.node("MatMul", "input", graph.weights(bytes_of((6, 4), np.int8), 0.01))
    with pytest.raises(ValueError, match=r"'MatMul_1' \(MatMul\): its input is not quantised"):
        from_onnx(graph.proto())


def test_weights_that_are_real():
    graph = Graph()
    graph.rounding(0.03, 128)
    graph.node("MatMul", graph.value, np.ones((6, 4), np.float32))
    with pytest.raises(ValueError, match=r"'MatMul_2' \(MatMul\): its weights must be int8 or uint8"):
        from_onnx(graph.proto())


def test_scales_of_inputs():
    graph = Graph()
    graph.rounding(0.03, 128)
    data = graph.value
    graph.node("MatMul", data, graph.weights(bytes_of((6, 4), np.int8), np.ones(6), axis=0))
    with pytest.raises(ValueError, match="must belong to outputs"):
        from_onnx(graph.proto())


def test_layers_of_both_modes():
    graph = Graph()
    graph.rounding(0.03, 128)
    data = graph.value
    graph.node("MatMul", data, graph.weights(bytes_of((6, 4), np.int8), 0.01))
    quantized, scale, point = graph.node("DynamicQuantizeLinear", graph.value, outputs=3)
    graph.node("Cast", graph.node("MatMulInteger", quantized, bytes_of((4, 3), np.int8), point), to=TensorProto.FLOAT)
    graph.node("Mul", graph.value, graph.node("Mul", scale, np.float32(0.1)))
    with pytest.raises(ValueError, match="expected one of both"):
        from_onnx(graph.proto())


@pytest.mark.parametrize(("change", "message"), [
    (lambda graph: node_of(graph, "MatMulInteger").input.pop(), "input 2 is missing|zero"),
    (set_attribute("Cast", saturate=1), "valid|$^"),
    (rename("Mul", "Div"), "sums must be multiplied"),
    (lambda graph: node_of(graph, "Cast").attribute[0].CopyFrom(helper.make_attribute("to", TensorProto.DOUBLE)),
     "sums must become float32|valid"),
    (set_input("MatMulInteger", 1, np.zeros((6, 5), np.float32)), "int8 or uint8|valid"),
])  # fmt: skip
def test_dynamic_refused(change, message):
    proto = changed(change, dynamic_graph)
    if message.endswith("$^"):
        assert from_onnx(proto).mode == "dynamic"  # an attribute that does not change it
        return
    with pytest.raises(ValueError, match=message):
        from_onnx(proto)


def test_dynamic_zero_points_that_do_not_fit():
    with pytest.raises(ValueError, match=r"'Mul_4'.*must fit int8"):
        from_onnx(dynamic_graph(np.uint8, 3))


def test_many_layers(tmp_path):
    layer = QuantizedLayer(np.eye(2, dtype=np.int8), 1.0, [0, 0], "relu", 1.0, 0)
    model = QuantizedMLP([layer] * 200, output="relu")
    same_model(model, from_onnx(to_onnx(model)))
    save(model, tmp_path / "model")
    same_model(model, load(tmp_path / "model"))


def test_it_cannot_be_trained():
    with pytest.raises(ValueError, match="neither loss nor optimizer"):
        from_onnx(dense_graph(), loss="mse")


def test_matrices_that_nodes_share_are_not_copied_for_each():
    graph = Graph()
    weights = graph.weights(np.zeros((1000, 1000), np.int8), 0.01)
    data = "input"
    for _ in range(60):
        graph.value = data
        data = graph.node("MatMul", graph.rounding(0.1, 128), weights)
    with pytest.raises(ValueError, match="share are too many"):
        from_onnx(graph.proto(1000))


def damaged(data):
    """Copies of a file with something wrong."""
    rng = np.random.default_rng(1)
    for length in np.linspace(0, len(data) - 1, 60).astype(int):
        yield data[:length]
    for _ in range(600):
        copy = bytearray(data)
        for place in rng.integers(0, len(data), rng.integers(1, 4)):
            copy[place] = rng.integers(0, 256)
        yield bytes(copy)


@pytest.mark.parametrize("make", [dense_graph, qlinear_graph, dynamic_graph])
def test_damaged_files(make):
    refused = 0
    for data in damaged(make().SerializeToString()):
        try:
            model = from_onnx(data)
        except ValueError:
            refused += 1
        else:
            assert isinstance(model, QuantizedMLP | MLP)
            model.predict(np.zeros((2, model.layers[0]), np.float32))
    assert refused > 100


def test_damaged_saved_files(tmp_path):
    model = odd_model()
    save(model, tmp_path / "model")
    data = (tmp_path / "model").read_bytes()
    refused = 0
    for copy in damaged(data):
        (tmp_path / "damaged").write_bytes(copy)
        try:
            load(tmp_path / "damaged").predict(X)
        except ValueError:
            refused += 1
    assert refused > 100


@pytest.mark.parametrize(("old", "new", "message"), [
    ("[6, 4, 5, 2]", "[6, 4, 6, 2]", "weights.1 is"), ('"static"', '"random"', "static or dynamic"),
    ('"tanh"', '"selu"', "selu"), ('"softmax"', '"argmax"', "argmax"), ("[6, 4, 5, 2]", "[6, 4, 5]", "3 activations"),
    ("[6, 4, 5, 2]", "[6, 4, true, 2]", "a list of at least two widths"), ('"mode"', '"made"', "unknown arguments"),
    ("[6, 4, 5, 2]", "[6, 16777216, 5, 2]", "weights.0 is"),
])  # fmt: skip
def test_saved_files_that_are_not_what_they_say(old, new, message, tmp_path):
    import safetensors
    from safetensors.numpy import save_file

    save(odd_model(), tmp_path / "model")
    with safetensors.safe_open(tmp_path / "model", framework="numpy") as file:
        metadata, tensors = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    assert old in metadata["arguments"]
    metadata["arguments"] = metadata["arguments"].replace(old, new)
    save_file(tensors, tmp_path / "other", metadata)
    with pytest.raises(ValueError, match=message):
        load(tmp_path / "other")


@pytest.mark.parametrize(("name", "values"), [
    ("input_scale", np.float32([0, 1, 1])), ("input_scale", np.float32([np.nan, 1, 1])),
    ("input_scale", np.float32([1e-40, 1, 1])), ("input_scale", np.float32([1, 1])),
    ("weight_scale.0", np.float32([1, -1, 1, 1])), ("bias.0", np.float64([1, 1, 1, 1])),
    ("weights.0", np.zeros((6, 5), np.int8)), ("more", np.zeros(1, np.int8)),
], ids=str)  # fmt: skip
def test_saved_tensors_that_are_not_what_they_should(name, values, tmp_path):
    import safetensors
    from safetensors.numpy import save_file

    save(odd_model(), tmp_path / "model")
    with safetensors.safe_open(tmp_path / "model", framework="numpy") as file:
        metadata, tensors = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    save_file({**tensors, name: values}, tmp_path / "other", metadata)
    with pytest.raises(ValueError, match="cannot be loaded"):
        load(tmp_path / "other")
