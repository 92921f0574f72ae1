"""mlopt.matmul_int8: what the kernels' tests do not see: arguments, shapes, errors, tiers, threads, peers."""

import itertools
import pickle
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mlopt
from mlopt.linalg import PackedInt8Matrix

SIGNS = list(itertools.product((np.uint8, np.int8), repeat=2))
RANGES = {np.uint8: (0, 255), np.int8: (-128, 127)}


def bytes_of(shape, dtype, seed=0):
    return np.random.default_rng([seed, *shape]).integers(*RANGES[dtype], shape, dtype, endpoint=True)


def sums_of(a, b, a_zero=0, b_zero=0, bias=0):
    sums = (a.astype(np.int64) - a_zero) @ (b.astype(np.int64) - b_zero) + bias
    return (sums & 0xFFFFFFFF).astype(np.uint32).view(np.int32)


A, B = bytes_of((4, 6), np.uint8), bytes_of((6, 5), np.int8, 1)
SUMS = sums_of(A, B)


# --- shapes and layouts --------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(30,), (1, 30), (4, 30), (2, 3, 30), (2, 1, 5, 30), (0, 30), (2, 0, 30)])
@pytest.mark.parametrize("pack", [False, True])
def test_vectors_and_stacks(shape, pack):
    a, b = bytes_of(shape, np.uint8), bytes_of((30, 20), np.int8, 1)
    right = PackedInt8Matrix(b) if pack else b
    expected = sums_of(a, b)
    for left in (a, np.asfortranarray(a), np.repeat(a, 2, -1)[..., ::2], np.flip(np.flip(a).copy())):
        result = mlopt.matmul_int8(left, right)
        assert (result.dtype, result.shape) == (np.int32, (*shape[:-1], 20))
        np.testing.assert_array_equal(result, expected)
        for dtype in (np.int32, np.float32, np.uint8, np.int8):
            out = np.zeros(expected.shape, dtype)
            scale = None if dtype == np.int32 else 0.01
            assert mlopt.matmul_int8(left, right, out, scale=scale) is out
            np.testing.assert_array_equal(out, mlopt.matmul_int8(left, right, scale=scale, out_dtype=dtype))


@pytest.mark.parametrize(("m", "n", "k"), [(0, 4, 3), (3, 4, 0), (3, 0, 4), (0, 0, 0), (None, 3, 0)])
def test_empty(m, n, k):
    a, b = np.zeros((k,) if m is None else (m, k), np.uint8), np.zeros((k, n), np.int8)
    for right in (b, PackedInt8Matrix(b)):
        for options in ({}, {"scale": 1.0, "out_dtype": np.uint8, "out_zero_point": 0}):
            result = mlopt.matmul_int8(a, right, **options, bias=np.zeros(b.shape[1], np.int32))
            assert result.shape == (*a.shape[:-1], b.shape[1])
            assert not result.any()
        only_bias = mlopt.matmul_int8(a, right, bias=np.arange(n))
        np.testing.assert_array_equal(only_bias, np.broadcast_to(np.arange(n), only_bias.shape))


@pytest.mark.parametrize("signs", SIGNS)
def test_views_and_read_only_arrays(signs):
    whole_a, whole_b = bytes_of((2 * 37 + 1, 3 * 50), signs[0]), bytes_of((3 * 50, 2 * 61), signs[1], 1)
    a, b = whole_a[1::2, ::3], whole_b[::-3, 1::2]
    whole_a.flags.writeable = whole_b.flags.writeable = False
    expected = sums_of(a, b)
    for left, right in itertools.product((a, np.ascontiguousarray(a)), (b, np.asfortranarray(b), PackedInt8Matrix(b))):
        np.testing.assert_array_equal(mlopt.matmul_int8(left, right), expected)


def test_arguments_of_many_types():
    """Lists, numbers of NumPy, strided and read-only arrays, floats of any width."""
    bias = np.arange(10)[::2]
    bias.flags.writeable = False
    scale = np.repeat(np.linspace(0.1, 0.5, 5), 2)[::2]
    expected = sums_of(A, B, np.array([[1], [2], [3], [4]]), np.arange(5), bias)
    zeros = {"a_zero_point": [1, 2, 3, 4], "b_zero_point": np.repeat(np.arange(5, dtype=np.int8), 3)[::3]}
    np.testing.assert_array_equal(mlopt.matmul_int8(A, B, **zeros, bias=bias), expected)
    for kind in (np.float32, np.float64, np.float16):
        real = expected.astype(np.float32) * scale.astype(kind).astype(np.float32)
        np.testing.assert_array_equal(mlopt.matmul_int8(A, B, **zeros, bias=bias, scale=scale.astype(kind)), real)
    np.testing.assert_array_equal(mlopt.matmul_int8(A, B, a_zero_point=np.int64(7)), sums_of(A, B, 7))
    np.testing.assert_array_equal(mlopt.matmul_int8(A, B, b_zero_point=[7]), sums_of(A, B, 0, 7))
    np.testing.assert_array_equal(mlopt.matmul_int8(A, B, scale=np.float64(2)), SUMS * np.float32(2))
    np.testing.assert_array_equal(mlopt.matmul_int8(memoryview(A), B), SUMS)


def test_bias_of_floats_and_of_integers():
    shift, bias = np.linspace(-3, 3, 5), np.arange(5)
    scaled = SUMS.astype(np.float32) * np.float32(0.5)
    np.testing.assert_array_equal(mlopt.matmul_int8(A, B, scale=0.5, bias=shift), scaled + shift.astype(np.float32))
    np.testing.assert_array_equal(mlopt.matmul_int8(A, B, scale=0.5, bias=bias), scaled + bias.astype(np.float32) / 2)
    most = np.full(5, (1 << 31) - 1)
    np.testing.assert_array_equal(mlopt.matmul_int8(A, B, bias=most), sums_of(A, B, bias=most))


@pytest.mark.parametrize("activation", ["identity", "relu", "tanh", "sigmoid", "gelu", "silu"])
def test_activations_are_those_of_the_library(activation):
    real = SUMS.astype(np.float32) * np.float32(1e-3)
    expected = real if activation == "identity" else getattr(mlopt, activation)(real)
    np.testing.assert_array_equal(mlopt.matmul_int8(A, B, scale=1e-3, activation=activation), expected)


def test_the_result_s_scale():
    real = SUMS.astype(np.float32) * np.float32(1e-3)
    expected = np.clip(np.rint(real * (np.float32(1) / np.float32(0.3))) + 9, 0, 255)
    given = {"scale": 1e-3, "out_dtype": "uint8", "out_scale": 0.3, "out_zero_point": 9}
    np.testing.assert_array_equal(mlopt.matmul_int8(A, B, **given), expected)


@settings(deadline=None, max_examples=60)
@given(
    size=st.tuples(st.integers(0, 30), st.integers(0, 60), st.integers(0, 90)),
    signs=st.sampled_from(SIGNS),
    zeros=st.tuples(st.integers(0, 127), st.integers(0, 127)),
    order=st.tuples(*[st.sampled_from("CF")] * 2),
    pack=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_any_product(size, signs, zeros, order, pack, seed):
    m, n, k = size
    a = np.asarray(bytes_of((m, k), signs[0], seed), order=order[0])
    b = np.asarray(bytes_of((k, n), signs[1], seed + 1), order=order[1])
    result = mlopt.matmul_int8(a, PackedInt8Matrix(b) if pack else b, a_zero_point=zeros[0], b_zero_point=zeros[1])
    np.testing.assert_array_equal(result, sums_of(a, b, *zeros))


# --- the depth at which sums may not fit -----------------------------------------------------------


@pytest.mark.parametrize(
    ("signs", "zeros", "deepest"),
    [
        ((np.uint8, np.int8), (0, 0), 65793),
        ((np.uint8, np.uint8), (0, 0), 33025),
        ((np.int8, np.int8), (0, 0), 131071),
        ((np.int8, np.int8), (-128, 127), 33025),
        ((np.uint8, np.int8), (128, 0), 131071),
        ((np.uint8, np.int8), ([128, 0], 0), 65793),
        ((np.uint8, np.uint8), ([100, 128], [127, 255]), 0x7FFFFFFF // (155 * 255)),
    ],
)
def test_the_deepest_product(signs, zeros, deepest):
    b_value = 255 if signs[1] == np.uint8 else -128
    a = np.full((2, deepest + 1), RANGES[signs[0]][0 if signs[0] == np.int8 else 1], signs[0])
    b = np.full((deepest + 1, 2), b_value, signs[1])
    options = {"a_zero_point": zeros[0], "b_zero_point": zeros[1]}
    expected = sums_of(a[:, :-1], b[:-1], np.reshape(zeros[0], (-1, 1)), zeros[1])
    np.testing.assert_array_equal(mlopt.matmul_int8(a[:, :-1], b[:-1], **options), expected)
    out = np.full((2, 2), 77, np.int32)
    for right in (b, PackedInt8Matrix(b)):
        with pytest.raises(ValueError, match=rf"k must be at most {deepest}, got {deepest + 1}: sums of products"):
            mlopt.matmul_int8(a, right, out, **options)
    assert (out == 77).all()


# --- packed operands, tiers, threads ---------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.uint8, np.int8])
def test_packed_operand(dtype):
    b = bytes_of((70, 33), dtype)
    packed = PackedInt8Matrix(b[:, ::-1])
    assert (packed.shape, packed.dtype) == ((70, 33), dtype)
    assert repr(packed) == f"<PackedInt8Matrix 70 x 33, {np.dtype(dtype)}>"
    a, expected = bytes_of((9, 70), np.int8), b[:, ::-1].copy()
    b[...] = 0  # it was copied
    for again in (packed, pickle.loads(pickle.dumps(packed)), PackedInt8Matrix(packed)):
        np.testing.assert_array_equal(mlopt.matmul_int8(a, again), sums_of(a, expected))
        np.testing.assert_array_equal(np.asarray(again), expected)
    with pytest.raises(ValueError, match="read-only"):
        np.asarray(packed)[0] = 1


def test_tiers_flip_between_packing_and_product():
    a, b = bytes_of((13, 77), np.uint8), bytes_of((77, 101), np.int8, 1)
    for first, second in itertools.product(mlopt.available_tiers(), repeat=2):
        with mlopt.use_isa(first):
            packed = PackedInt8Matrix(b)
        with mlopt.use_isa(second):
            np.testing.assert_array_equal(mlopt.matmul_int8(a, packed), sums_of(a, b))


def test_tiers_flip_while_others_compute():
    a, b = bytes_of((40, 60), np.uint8), bytes_of((60, 150), np.int8, 1)
    packed, expected, errors = PackedInt8Matrix(b), sums_of(a, b), []

    def work(tier):
        try:
            with mlopt.use_isa(tier):
                for _ in range(100):
                    np.testing.assert_array_equal(mlopt.matmul_int8(a, packed), expected)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(tier,)) for tier in mlopt.available_tiers()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors


def test_threads_give_the_same_bits():
    for m, n, k in ((700, 300, 1500), (300, 700, 1500), (3, 2000, 9000)):
        a, b = bytes_of((m, k), np.int8), bytes_of((k, n), np.uint8, 1)
        rng = np.random.default_rng(2)
        options = {"scale": rng.random(n) * 1e-4, "bias": rng.standard_normal(n), "activation": "gelu",
                   "a_zero_point": rng.integers(-128, 128, m), "b_zero_point": rng.integers(0, 256, n)}  # fmt: skip
        for right in (b, PackedInt8Matrix(b)):
            one = mlopt.matmul_int8(a, right, **options, num_threads=1)
            for threads in (2, 3, 4, None):
                np.testing.assert_array_equal(mlopt.matmul_int8(a, right, **options, num_threads=threads), one)


# --- errors ----------------------------------------------------------------------------------------

ONES = np.ones(5)
U8 = {"scale": 1.0, "out_dtype": "uint8"}


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ((A.astype(int), B), TypeError, "a must be an array of uint8 or int8, got int64"),
        ((A, B.astype(np.float32)), TypeError, "b must be an array of uint8 or int8, got float32"),
        ((A > 0, B), TypeError, "a must be an array of uint8 or int8, got bool"),
        ((np.uint8(3), B), ValueError, "a must have at least 1 dimension, got a scalar"),
        ((A, B[0]), ValueError, r"b must have shape \(k, n\), got \(5,\)"),
        ((A, np.zeros((2, 6, 5), np.int8)), ValueError, r"b must have shape \(k, n\), got \(2, 6, 5\)"),
        ((A[:, :5], B), ValueError, r"a must have shape \(..., 6\) to be multiplied with b of .*, got \(4, 5\)"),
        ((A[:, :5], PackedInt8Matrix(B)), ValueError, r"a must have shape \(..., 6\)"),
        ((PackedInt8Matrix(B), B), ValueError, r"a must have shape \(..., 6\)"),
        ((A, B, [1]), TypeError, "out must be an ndarray, not list"),
        ((A, B, np.zeros((4, 5))), TypeError, "out must be int32, float32, uint8 or int8, got float64"),
        ((A, B, np.zeros((4, 5), ">i4")), TypeError, "out must be int32, float32, uint8 or int8, got >i4"),
        ((A, B, np.zeros((5, 4), np.int32)), ValueError, r"out must have shape \(4, 5\), got \(5, 4\)"),
        ((A[0], B, np.zeros((1, 5), np.int32)), ValueError, r"out must have shape \(5,\), got \(1, 5\)"),
        ((A, B, np.zeros((5, 4), np.int32).T), ValueError, "out must be C-contiguous and aligned"),
        ((A, B, np.zeros(81, "u1")[1:].view("i4").reshape(4, 5)), ValueError, "out must be C-contiguous and aligned"),
        ((A, B, np.broadcast_to(np.int32(0), (4, 5))), ValueError, "out must be writable, got a read-only array"),
    ],
)  # fmt: skip
def test_wrong_operands(arguments, error, text):
    with pytest.raises(error, match=text):
        mlopt.matmul_int8(*arguments)


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"a_zero_point": 0.5}, TypeError, "a_zero_point must be an integer or an array of integers, got float64"),
        ({"a_zero_point": False}, TypeError, "a_zero_point must be an integer or an array of integers, got bool"),
        ({"a_zero_point": 256}, ValueError, "a_zero_point must be in the range of uint8, 0 to 255, got 256"),
        ({"a_zero_point": -1}, ValueError, "a_zero_point must be in the range of uint8, 0 to 255, got -1"),
        ({"a_zero_point": 1 << 63}, ValueError, "a_zero_point must be in the range of uint8, 0 to 255, got 9223"),
        ({"a_zero_point": [1, 2, 3]}, ValueError, r"a_zero_point must be a number or have shape \(4,\), got \(3,\)"),
        ({"a_zero_point": [[1]]}, ValueError, r"a_zero_point must be a number or have shape \(4,\), got \(1, 1\)"),
        ({"b_zero_point": 128}, ValueError, "b_zero_point must be in the range of int8, -128 to 127, got 128"),
        ({"b_zero_point": [0] * 4}, ValueError, r"b_zero_point must be a number or have shape \(5,\), got \(4,\)"),
        ({"b_zero_point": "x"}, TypeError, "b_zero_point must be an integer or an array of integers, got <U1"),
        ({"scale": 1.0, "out_dtype": "int32"}, ValueError, "scale=1.0 needs an out_dtype of float32, uint8 or int8"),
        ({"scale": [1.0, 2.0]}, ValueError, r"scale must be a number or have shape \(5,\), got \(2,\)"),
        ({"scale": 1j}, TypeError, "scale must be a real number or an array of them, got complex128"),
        ({"out_dtype": "float32"}, ValueError, "scale must be given for an out_dtype of float32"),
        ({"out_dtype": "uint8"}, ValueError, "scale must be given for an out_dtype of uint8"),
        ({"out_dtype": "int64"}, TypeError, "out_dtype must be int32, float32, uint8 or int8, got int64"),
        ({"out_dtype": "bytes?"}, TypeError, "out_dtype must be int32, float32, uint8 or int8, got 'bytes"),
        ({"bias": 3}, ValueError, r"bias must have shape \(5,\), got \(\)"),
        ({"bias": [1] * 4}, ValueError, r"bias must have shape \(5,\), got \(4,\)"),
        ({"bias": ONES}, TypeError, "bias must be an array of integers for an out_dtype of int32, got float64"),
        ({"bias": ["x"] * 5, "scale": 1}, TypeError, "bias must be an array of integers or real numbers, got <U1"),
        ({"bias": [1 << 31] * 5}, ValueError, "bias must be in the range of int32"),
        ({"bias": np.full(5, 1 << 63, np.uint64)}, ValueError, "bias must be in the range of int32"),
        ({"activation": "relu"}, ValueError, "activation='relu' needs an out_dtype of float32, uint8 or int8"),
        ({"activation": "elu", "scale": 1}, ValueError, "activation='elu' is not one of: identity, relu, tanh"),
        ({"activation": None, "scale": 1}, TypeError, "activation must be a string, not NoneType"),
        ({"out_scale": 2.0}, ValueError, "out_scale=2.0 needs an out_dtype of uint8 or int8, got int32"),
        ({"out_scale": 2.0, "scale": 1}, ValueError, "out_scale=2.0 needs an out_dtype of uint8 or int8, got float32"),
        ({"out_zero_point": 1}, ValueError, "out_zero_point=1 needs an out_dtype of uint8 or int8, got int32"),
        ({"out_scale": 0.0} | U8, ValueError, "out_scale must be positive and finite, got 0.0"),
        ({"out_scale": -1.0} | U8, ValueError, "out_scale must be positive and finite, got -1.0"),
        ({"out_scale": np.inf} | U8, ValueError, "out_scale must be positive and finite, got inf"),
        ({"out_scale": 1e-40} | U8, ValueError, "out_scale must have a reciprocal in float32, got 1e-40"),
        ({"out_scale": 1e40} | U8, ValueError, "out_scale must have a reciprocal in float32, got 1e[+]40"),
        ({"out_scale": "1"} | U8, TypeError, "out_scale must be a real number, not str"),
        ({"out_zero_point": 256} | U8, ValueError, "out_zero_point must be in the range of uint8, 0 to 255, got 256"),
        ({"out_zero_point": 1.5} | U8, TypeError, "out_zero_point must be an integer, not float"),
        ({"num_threads": 0}, ValueError, "num_threads must be between 1 and 1024, not 0"),
        ({"num_threads": 1.0}, TypeError, "num_threads must be an integer or None, not float"),
    ],
)  # fmt: skip
def test_wrong_options_write_nothing(options, error, text):
    kind = options.get("out_dtype", "float32" if "scale" in options else "int32")
    out = np.full((4, 5), 77, kind if kind in ("int32", "float32", "uint8") else "int32")
    with pytest.raises(error, match=text):
        mlopt.matmul_int8(A, B, **options)
    with pytest.raises((ValueError, TypeError)):
        mlopt.matmul_int8(A, B, out, **options)
    assert (out == 77).all()


def test_out_must_not_overlap():
    memory = np.zeros(4096, np.uint8)
    a, out = memory[:24].reshape(4, 6), memory[20:100].view(np.int32).reshape(4, 5)
    with pytest.raises(ValueError, match=r"out must not overlap a$"):
        mlopt.matmul_int8(a, B, out)
    with pytest.raises(ValueError, match=r"out must not overlap b$"):
        mlopt.matmul_int8(A, memory[90:120].view(np.int8).reshape(6, 5), out)
    for name in ("a_zero_point", "b_zero_point", "bias"):
        with pytest.raises(ValueError, match=rf"out must not overlap {name}$"):
            mlopt.matmul_int8(A, B, out, **{name: out.ravel()[: 4 if name == "a_zero_point" else 5]})
    real = np.zeros((4, 5), np.float32)
    with pytest.raises(ValueError, match=r"out must not overlap scale$"):
        mlopt.matmul_int8(A, B, real, scale=real[2])
    with pytest.raises(ValueError, match=r"out must not overlap bias$"):
        mlopt.matmul_int8(A, B, real, scale=1, bias=real[2])


@pytest.mark.parametrize(
    ("b", "error", "text"),
    [
        (np.ones((2, 2)), TypeError, "b must be an array of uint8 or int8, got float64"),
        (np.ones(3, np.int8), ValueError, "b must have 2 dimensions, got 1"),
        (np.ones((2, 2, 2), np.int8), ValueError, "b must have 2 dimensions, got 3"),
    ],
)
def test_what_cannot_be_packed(b, error, text):
    with pytest.raises(error, match=text):
        PackedInt8Matrix(b)


# --- peers -------------------------------------------------------------------------------------------


def session(nodes, inputs, output, constants=()):
    """An ONNX Runtime session of a graph, on one thread."""
    onnx, runtime = pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
    types = {np.dtype(np.uint8): onnx.TensorProto.UINT8, np.dtype(np.int8): onnx.TensorProto.INT8,
             np.dtype(np.int32): onnx.TensorProto.INT32}  # fmt: skip

    def value(name, dtype, shape):
        return onnx.helper.make_tensor_value_info(name, types[np.dtype(dtype)], shape)

    graph = onnx.helper.make_graph(
        [onnx.helper.make_node(*node) for node in nodes], "products",
        [value(name, array.dtype, array.shape) for name, array in inputs.items()], [value(*output)],
        [onnx.numpy_helper.from_array(np.asarray(array), name) for name, array in dict(constants).items()],
    )  # fmt: skip
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 13)], ir_version=8)
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return runtime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"]).run(None, inputs)[0]


@pytest.mark.parametrize("axis", [None, 1])
def test_quantized_arrays(axis):
    """Their bytes, zero points and scales, as if they were given one by one."""
    rng = np.random.default_rng(3)
    x = mlopt.quantize(rng.normal(size=(5, 12)).astype(np.float32) + 1, dtype="uint8")
    w = mlopt.quantize(rng.normal(size=(12, 7)).astype(np.float32), axis=axis)
    assert x.zero_point > 0
    scale = x.scale * w.scale
    real = mlopt.matmul_int8(x, w)
    assert real.dtype == np.float32
    np.testing.assert_array_equal(real, mlopt.matmul_int8(x.data, w.data, a_zero_point=x.zero_point, scale=scale))
    np.testing.assert_allclose(real, x.dequantize() @ w.dequantize(), rtol=1e-4, atol=1e-4)
    sums = (x.data.astype(int) - int(x.zero_point)) @ w.data.astype(int)
    for dtype in ("int32", np.int32, np.dtype(np.int32)):
        np.testing.assert_array_equal(mlopt.matmul_int8(x, w, out_dtype=dtype), sums)
    np.testing.assert_array_equal(mlopt.matmul_int8(x, w, np.empty((5, 7), np.int32)), sums)
    np.testing.assert_array_equal(mlopt.matmul_int8(x, w.data), sums)
    np.testing.assert_array_equal(mlopt.matmul_int8(x, PackedInt8Matrix(w.data)), sums)
    np.testing.assert_array_equal(mlopt.matmul_int8(x.data, w, a_zero_point=x.zero_point), sums)
    np.testing.assert_array_equal(
        mlopt.matmul_int8(x, w, out_dtype="int8", out_scale=0.25),
        mlopt.matmul_int8(x.data, w.data, a_zero_point=x.zero_point, scale=scale, out_dtype="int8", out_scale=0.25),
    )


def test_quantized_arrays_that_do_not_fit():
    x, w = np.ones((4, 6), np.float32), np.ones((6, 3), np.float32)
    rows, both = mlopt.quantize(x, axis=0), mlopt.quantize(w, axis=0)
    for arguments, options, text in (
        ((rows, mlopt.quantize(w)), {}, "a must have one scale, got one for each channel along axis 0"),
        ((mlopt.quantize(x), both), {}, "b must have one scale or one for each column, got one for each .* axis 0"),
        ((mlopt.quantize(x), w.astype(np.int8)), {"a_zero_point": 3}, "a_zero_point must be left out .*, got 3"),
        ((x.astype(np.int8), mlopt.quantize(w)), {"b_zero_point": 1}, "b_zero_point must be left out .*, got 1"),
    ):
        with pytest.raises(ValueError, match=text):
            mlopt.matmul_int8(*arguments, **options)


@pytest.mark.peer
@pytest.mark.parametrize("signs", [(np.uint8, np.int8), (np.uint8, np.uint8)])
@pytest.mark.parametrize("zeros", [(0, 0), (7, 3), (128, 0), (255, 127)])
def test_parity_with_matmulinteger(signs, zeros):
    for m, n, k in ((1, 1, 1), (5, 33, 70), (64, 100, 129)):
        a, b = bytes_of((m, k), signs[0]), bytes_of((k, n), signs[1], 1)
        theirs = session(
            [("MatMulInteger", ["a", "b", "a_zero", "b_zero"], ["y"])], {"a": a}, ("y", np.int32, (m, n)),
            {"b": b, "a_zero": signs[0](zeros[0]), "b_zero": signs[1](zeros[1])},
        )  # fmt: skip
        np.testing.assert_array_equal(mlopt.matmul_int8(a, b, a_zero_point=zeros[0], b_zero_point=zeros[1]), theirs)


@pytest.mark.peer
@pytest.mark.parametrize("signs", [(np.uint8, np.int8), (np.uint8, np.uint8), (np.int8, np.int8)])
@pytest.mark.parametrize("each", [False, True])
def test_parity_with_qlinearmatmul(signs, each):
    """Bit by bit, its scales multiplied as ONNX Runtime multiplies them."""
    dtype = signs[0]  # of its result too
    for m, n, k in ((1, 1, 1), (5, 33, 70), (64, 100, 129)):
        a, b, rng = bytes_of((m, k), signs[0]), bytes_of((k, n), signs[1], 1), np.random.default_rng(k)
        a_scale, y_scale = np.float32(0.0173), np.float32(k**0.5 * 0.21)
        b_scale = (0.01 + rng.random(n) * 0.02).astype(np.float32) if each else np.float32(0.0219)
        a_zero, y_zero, b_zero = dtype(121), dtype(100), signs[1](125 if signs[1] == np.uint8 else 0)
        theirs = session(
            [("QLinearMatMul", ["a", "as", "az", "b", "bs", "bz", "ys", "yz"], ["y"])], {"a": a}, ("y", dtype, (m, n)),
            {"as": a_scale, "az": a_zero, "b": b, "bs": b_scale, "bz": np.full(n, b_zero) if each else b_zero,
             "ys": y_scale, "yz": y_zero},
        )  # fmt: skip
        ours = mlopt.matmul_int8(
            a, b, a_zero_point=a_zero, b_zero_point=b_zero, scale=a_scale * b_scale / y_scale, out_dtype=dtype,
            out_zero_point=y_zero,
        )  # fmt: skip
        np.testing.assert_array_equal(ours, theirs)
        assert np.unique(ours).size > min(m * n, 40) // 2, "saturated all over: nothing was compared"


@pytest.mark.peer
def test_parity_with_torch():
    torch = pytest.importorskip("torch")
    for m, n, k in ((17, 8, 16), (32, 64, 128), (100, 136, 72)):
        a, b = bytes_of((m, k), np.int8), bytes_of((k, n), np.int8, 1)
        theirs = torch._int_mm(torch.from_numpy(a), torch.from_numpy(b)).numpy()
        np.testing.assert_array_equal(mlopt.matmul_int8(a, b), theirs)
