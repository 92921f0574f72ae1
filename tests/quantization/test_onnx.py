"""ONNX's QuantizeLinear, DequantizeLinear and DynamicQuantizeLinear: the same bits.

Against ONNX Runtime where it is installed, and against the reference implementation of the onnx package where that is
defined: it converts what does not fit int32, and NaN, to whatever the processor does, and gives an array of zeros a
scale of 1/255 that is not the operator's.
"""

import functools

import numpy as np
import pytest

from mlopt import QuantizedArray, quantize
from mlopt.quantization import dynamic_quantize

onnx = pytest.importorskip("onnx")
helper, TensorProto = onnx.helper, onnx.TensorProto
TYPES = {"float32": TensorProto.FLOAT, "int8": TensorProto.INT8, "uint8": TensorProto.UINT8}
LIMITS = {"int8": (-128, 127), "uint8": (0, 255)}
BYTES = sorted(LIMITS)


@functools.cache
def proto(operator, inputs, outputs, axis):
    attributes = {} if axis is None else {"axis": axis}
    ins, outs = [f"in{i}" for i in range(len(inputs))], [f"out{i}" for i in range(len(outputs))]
    graph = helper.make_graph(
        [helper.make_node(operator, ins, outs, **attributes)],
        "one",
        [
            helper.make_tensor_value_info(name, TYPES[dtype], [None] * ndim)
            for name, (dtype, ndim) in zip(ins, inputs, strict=True)
        ],
        [helper.make_tensor_value_info(name, TYPES[dtype], None) for name, dtype in zip(outs, outputs, strict=True)],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)


@functools.cache
def session(engine, *key):
    model = proto(*key)
    if engine == "reference":
        from onnx.reference import ReferenceEvaluator

        return ReferenceEvaluator(model)
    return pytest.importorskip("onnxruntime").InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )


def run(engine, operator, inputs, outputs, axis=None):
    inputs = [np.asarray(x) for x in inputs]
    key = (operator, tuple((x.dtype.name, x.ndim) for x in inputs), tuple(outputs), axis)
    return session(engine, *key).run(None, {f"in{i}": x for i, x in enumerate(inputs)})


ENGINES = ["reference", pytest.param("runtime", marks=pytest.mark.peer)]
engines = pytest.mark.parametrize("engine", ENGINES)


def hostile(engine):
    values = [0, -0.0, 1e-45, -1e-45, 1.1754944e-38, 0.5, -0.5, 1.5, 2.5, -2.5, 126.5, 127.5, -128.5, 254.5, 255.5]
    if engine == "runtime":
        values += [np.inf, -np.inf, np.nan, 3.4e38, -3.4e38, 2147483648.0, 1e20]
    return np.array(values, np.float32)


def numbers(engine, shape, rng, scale=1.0):
    x = (rng.standard_normal(shape) * 90).astype(np.float32)
    ties = rng.random(shape) < 0.3
    x[ties] = np.round(x[ties]) + np.float32(0.5)
    with np.errstate(over="ignore", under="ignore"):
        x = x * np.float32(scale)
        strange = rng.random(shape) < 0.1
        x[strange] = rng.choice(hostile(engine), strange.sum()) * np.float32(1 if rng.random() < 0.5 else scale)
    return x


def same_bits(a, b):
    assert a.dtype == b.dtype
    assert a.shape == b.shape
    bits = np.uint8 if a.itemsize == 1 else np.uint32
    np.testing.assert_array_equal(a.view(bits), b.view(bits))


@engines
@pytest.mark.parametrize("dtype", BYTES)
def test_quantize_linear(engine, dtype):
    rng = np.random.default_rng(0)
    scales = [1.0, 0.1, 1 / 3, 7.3e-3, 123.0] + ([1e-45, 3e-39, 3e36] if engine == "runtime" else [])
    for scale in np.array(scales, np.float32):
        for zero_point in (LIMITS[dtype][0], 3, LIMITS[dtype][1]):
            for n in (1, 7, 16, 33, 1001):
                x = numbers(engine, n, rng, scale)
                (expected,) = run(engine, "QuantizeLinear", [x, scale, np.dtype(dtype).type(zero_point)], [dtype])
                same_bits(quantize(x, scale=scale, zero_point=zero_point, dtype=dtype).data, expected)


@pytest.mark.peer
@pytest.mark.parametrize("dtype", BYTES)
def test_any_bits(dtype):
    """Numbers and scales of any exponent, NaN of any kind."""
    rng = np.random.default_rng(8)
    x = rng.integers(0, 2**32, 20_000, np.uint32).view(np.float32)
    for scale in rng.integers(1, 0x7F800000, 200, np.uint32).view(np.float32):
        with np.errstate(all="ignore"):
            x[:5000] = (rng.integers(-600, 600, 5000) / 2).astype(np.float32) * scale
            x[5000:10_000] = np.nextafter(x[:5000], np.float32(rng.choice([-np.inf, np.inf])))
        zero_point = np.dtype(dtype).type(rng.integers(*LIMITS[dtype], endpoint=True))
        (expected,) = run("runtime", "QuantizeLinear", [x, scale, zero_point], [dtype])
        same_bits(quantize(x, scale=scale, zero_point=zero_point, dtype=dtype).data, expected)


@engines
@pytest.mark.parametrize("dtype", BYTES)
@pytest.mark.parametrize("shape", [(7,), (5, 3), (200, 3), (3, 500), (2, 17, 9), (2, 3, 4, 5)])
def test_quantize_linear_per_axis(engine, dtype, shape):
    rng = np.random.default_rng(1)
    for axis in range(-len(shape), len(shape)):
        scale = np.exp(rng.standard_normal(shape[axis])).astype(np.float32)
        zero_point = rng.integers(*LIMITS[dtype], shape[axis], dtype, endpoint=True)
        x = numbers(engine, shape, rng)
        (expected,) = run(engine, "QuantizeLinear", [x, scale, zero_point], [dtype], axis)
        same_bits(quantize(x, scale=scale, zero_point=zero_point, dtype=dtype, axis=axis).data, expected)


@engines
@pytest.mark.parametrize("dtype", BYTES)
def test_dequantize_linear(engine, dtype):
    rng = np.random.default_rng(2)
    q = np.arange(LIMITS[dtype][0], LIMITS[dtype][1] + 1).astype(dtype)
    for scale in np.array([1.0, 0.1, 1e-45, 1e-38, 1e36], np.float32):
        for zero_point in (*LIMITS[dtype], 3):
            zero = np.dtype(dtype).type(zero_point)
            (expected,) = run(engine, "DequantizeLinear", [q, scale, zero], ["float32"])
            same_bits(QuantizedArray(q, scale, zero).dequantize(), expected)
    for shape in [(7,), (5, 3), (200, 3), (2, 17, 9), (2, 3, 4, 5)]:
        for axis in range(-len(shape), len(shape)):
            q = rng.integers(*LIMITS[dtype], shape, dtype, endpoint=True)
            scale = np.exp(rng.standard_normal(shape[axis])).astype(np.float32)
            zero = rng.integers(*LIMITS[dtype], shape[axis], dtype, endpoint=True)
            (expected,) = run(engine, "DequantizeLinear", [q, scale, zero], ["float32"], axis)
            same_bits(QuantizedArray(q, scale, zero, axis).dequantize(), expected)


@engines
def test_dynamic_quantize_linear(engine):
    rng = np.random.default_rng(3)
    outputs = ["uint8", "float32", "uint8"]
    arrays = [[1.0, 2.0], [-5.0], [7.0], [-1.0, 1.0], [0.0, 255.0], [-0.5, 254.5], [-1.5, 253.5], [-127.5, 127.5]]
    arrays += [[1e38, -1e38], [1e-30, -3e-30], [3e-38, -1e-38], [0.0, -0.0, 1e-3]]
    arrays += [
        rng.standard_normal(n) * np.exp(rng.standard_normal() * 8) + rng.standard_normal() for n in range(1, 300)
    ]
    arrays += [np.round(rng.standard_normal((20, 30)) * 100) / 2 for _ in range(50)]
    arrays += [rng.uniform(*sorted(rng.standard_normal(2)), 1000) for _ in range(50)]
    if engine == "runtime":
        arrays += [np.zeros(10), [3e-43, -2e-42], rng.standard_normal(1000) * 1e-40]
    for array in arrays:
        x = np.array(array, np.float32)
        y, scale, zero_point = run(engine, "DynamicQuantizeLinear", [x], outputs)
        q = dynamic_quantize(x)
        same_bits(q.data, y)
        same_bits(np.asarray(q.scale), scale)
        same_bits(np.asarray(q.zero_point), zero_point)


def test_dynamic_quantize_where_the_scale_underflows():
    """255 scales are less than the smallest float32 is apart from zero: all of it is nothing."""
    q = dynamic_quantize(np.array([1e-45, -1e-45], np.float32))
    assert q.scale == 1
    assert not q.dequantize().any()


@engines
@pytest.mark.parametrize("dtype", BYTES)
@pytest.mark.parametrize("symmetric", [True, False])
def test_what_quantize_computes_is_onnx(engine, dtype, symmetric):
    """With the scale and zero point that it found, the operator gives the same bytes and the same numbers."""
    x = np.random.default_rng(4).standard_normal((30, 40)).astype(np.float32)
    for axis in (None, 0, 1):
        q = quantize(x, dtype=dtype, symmetric=symmetric, axis=axis)
        (data,) = run(engine, "QuantizeLinear", [x, q.scale, q.zero_point], [dtype], axis)
        same_bits(q.data, data)
        (back,) = run(engine, "DequantizeLinear", [data, q.scale, q.zero_point], ["float32"], axis)
        same_bits(q.dequantize(), back)
