"""Networks in 8-bit integers: to the bit against NumPy on every tier, all doors, hostile samples, threads, errors."""

import copy
import pickle
import threading
from itertools import pairwise

import numpy as np
import pytest
from guard import guarded
from kernels.conftest import tiers_of

import mlopt
from mlopt.nn import MLP, QuantizedLayer, QuantizedMLP

TIERS = tiers_of("int8")
f32 = np.float32
WIDTHS = [
    [1, 1], [3, 5, 2], [4, 4, 4], [5, 15, 16, 17, 3], [16, 16, 1], [33, 47, 48, 49, 10], [63, 64, 65, 9], [96, 96, 96],
    [97, 95, 97, 33], [17, 100, 1], [100, 50, 10], [80, 112, 81, 79], [128, 144, 145], [257, 300, 10], [2, 193, 2],
]  # fmt: skip
HOSTILE = np.array([0, -0.0, np.nan, -np.nan, np.inf, -np.inf, 3.4e38, -3.4e38, 1e-45, -1e-45, 1, -1, 100], f32)


@pytest.fixture(params=TIERS)
def tier(request):
    with mlopt.use_isa(request.param):
        yield request.param


# --- the definition, in NumPy --------------------------------------------------------------------


def as_bytes(x, multiplier, zero):
    """round(x multiplier) + zero, saturated, NaN being 0."""
    with np.errstate(all="ignore"):
        scaled = x * f32(multiplier)
        return np.rint(np.clip(np.where(np.isnan(scaled), -np.inf, scaled), -zero, 255 - zero)).astype(np.int64) + zero


def dynamic_parameters(x):
    """Scale, its reciprocal and the zero point that ONNX's formula gives a sample."""
    with np.errstate(all="ignore"):
        low = f32(min(0, np.nanmin(x, initial=0)))
        high = f32(max(0, np.nanmax(x, initial=0)))
        unit = f32(f32(high - low) / f32(255))
        if not (0 < unit < np.inf and np.isfinite(f32(1) / unit)):
            return f32(1), f32(1), 0
        return unit, f32(1) / unit, int(np.rint(min(f32(-low / unit), 255)))


def reals(layer, q, zero, unit):
    """What a layer's activation is applied to."""
    sums = (q - zero) @ (layer.weights.astype(np.int64) - layer.weight_zero_point)
    assert np.abs(sums).max(initial=0) < 2**31
    with np.errstate(all="ignore"):
        return sums.astype(f32) * (layer.weight_scale * f32(unit)) + layer.bias


def by_numpy(model, X):
    """The predictions of a network of identity and relu."""
    results = []
    for x in X:
        for layer in model.quantized_layers:
            unit, multiplier, zero = f32(layer.input_scale), f32(1) / f32(layer.input_scale), layer.input_zero_point
            if model.mode == "dynamic":
                unit, multiplier, zero = dynamic_parameters(x)
            z = reals(layer, as_bytes(x, multiplier, zero), zero, unit)
            x = np.where(z < 0, f32(0), z) if layer.activation == "relu" else z
        results.append(x)
    return np.array(results, f32).reshape(len(X), model.layers[-1])


def network(widths, activation="relu", last="identity", *, seed=0, kind=np.int8, zeros=None, scale=0.03, **options):
    """Random layers whose numbers stay near 1; zeros: None, "one" or "each", the weights' zero points."""
    rng = np.random.default_rng(seed)
    limits = np.iinfo(kind)
    layers = []
    for i, (inputs, outputs) in enumerate(pairwise(widths)):
        zero = 0
        if zeros is not None:
            zero = rng.integers(limits.min, limits.max + 1, outputs if zeros == "each" else 1)
        weights = rng.integers(limits.min, limits.max + 1, (inputs, outputs), endpoint=False).astype(kind)
        middle = np.abs(weights.astype(float) - zero).mean(axis=0) + 1
        layers.append(
            QuantizedLayer(
                weights, rng.uniform(0.5, 1.5, outputs) / middle / inputs**0.5, rng.normal(0, 0.3, outputs),
                last if i == len(widths) - 2 else activation, scale * rng.uniform(0.7, 1.3), int(rng.integers(90, 160)),
                zero,
            )
        )  # fmt: skip
    return QuantizedMLP(layers, output=options.pop("output", last), **options)


def samples(rows, inputs, seed=0, hostile=0.0):
    rng = np.random.default_rng(seed)
    X = (1.5 * rng.standard_normal((rows, inputs))).astype(f32)
    where = rng.random(X.shape) < hostile
    X[where] = rng.choice(HOSTILE, where.sum())
    return X


def same_bits(a, b):
    np.testing.assert_array_equal(np.asarray(a).view(np.uint32), np.asarray(b).view(np.uint32))


def every_door(model, X):
    """The predictions, after seeing that single samples, the batch and both bound are the same to the bit."""
    batch = model.predict(X)
    out = np.full_like(batch, 7)
    assert model.bind(X, out)() is out
    same_bits(out, batch)
    x, one = np.empty(model.layers[0], f32), np.empty(model.layers[-1], f32)
    infer = model.bind(x, one)
    for sample, expected in zip(X, batch, strict=True):
        x[:] = sample
        one[:] = 7
        same_bits(infer(), expected)
        same_bits(model.predict(sample), expected)
    return batch


# --- values --------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["static", "dynamic"])
@pytest.mark.parametrize("widths", WIDTHS, ids=str)
def test_every_tier_is_numpy_to_the_bit(tier, widths, mode):
    model = network(widths, mode=mode)
    X = samples(9, widths[0])
    np.testing.assert_array_equal(every_door(model, X), by_numpy(model, X))


@pytest.mark.parametrize("mode", ["static", "dynamic"])
def test_every_width_of_a_layer(tier, mode):
    for width in range(1, 131):
        model = network([5, width, 3], mode=mode, seed=width)
        X = samples(3, 5, seed=width)
        np.testing.assert_array_equal(every_door(model, X), by_numpy(model, X))
        model = network([width, 2], "identity", "relu", mode=mode, seed=width)
        X = samples(3, width, seed=width)
        np.testing.assert_array_equal(every_door(model, X), by_numpy(model, X))


@pytest.mark.parametrize("mode", ["static", "dynamic"])
@pytest.mark.parametrize("count", [1, 2, 63, 64, 65, 130])
def test_deep_chains(tier, count, mode):
    model = network([7] + [11] * count, mode=mode)
    X = samples(5, 7)
    np.testing.assert_array_equal(every_door(model, X), by_numpy(model, X))


@pytest.mark.parametrize("zeros", [None, "one", "each"])
@pytest.mark.parametrize("kind", [np.int8, np.uint8])
@pytest.mark.parametrize("widths", [[1, 1], [3, 5, 2], [33, 97, 49, 10], [257, 300, 10], [5] * 70], ids=str)
def test_weights_with_zero_points(tier, widths, kind, zeros):
    model = network(widths, kind=kind, zeros=zeros)
    X = samples(6, widths[0])
    np.testing.assert_array_equal(every_door(model, X), by_numpy(model, X))


def test_mixed_layers(tier):
    parts = [
        network([20, 30]), network([30, 25], kind=np.uint8, zeros="each"), network([25, 9], zeros="one"),
        network([9, 4], kind=np.uint8),
    ]  # fmt: skip
    model = QuantizedMLP([part.quantized_layers[0] for part in parts])
    X = samples(6, 20)
    np.testing.assert_array_equal(every_door(model, X), by_numpy(model, X))


@pytest.mark.parametrize("mode", ["static", "dynamic"])
@pytest.mark.parametrize("rows", [1, 2, 7, 8, 9, 511, 512, 513, 1030])
def test_batches_beyond_a_block(tier, rows, mode):
    model = network([31, 50, 7], mode=mode)
    X = samples(rows, 31)
    batch = model.predict(X)
    picked = np.unique([0, rows // 2, min(rows - 1, 511), min(rows - 1, 512), rows - 1])
    np.testing.assert_array_equal(batch[picked], by_numpy(model, X[picked]))
    singles = np.stack([model.predict(x) for x in X])
    same_bits(singles, batch)


@pytest.mark.parametrize("mode", ["static", "dynamic"])
def test_the_deepest_sums(tier, mode):
    """The most inputs that a layer may have, at the ends of their bytes: sums close to 2**31."""
    most = 33025
    for weight in (-128, 127):
        layer = QuantizedLayer(np.full((most, 2), weight, np.int8), 1e-6, [0, 1], "identity", 1.0, 0)
        model = QuantizedMLP([layer], mode=mode)
        X = np.full((2, most), 255, f32)
        np.testing.assert_array_equal(every_door(model, X), by_numpy(model, X))
    if mode == "static":
        layer = QuantizedLayer(np.full((most, 2), 255, np.uint8), 1e-6, [0, 1], "identity", 1.0, 0)
        model = QuantizedMLP([layer])
        np.testing.assert_array_equal(every_door(model, X), by_numpy(model, X))


@pytest.mark.parametrize("mode", ["static", "dynamic"])
@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "gelu", "silu"])
def test_other_activations(tier, activation, mode):
    """One door as another to the bit; tiers may differ where a number falls between two bytes."""
    model = network([40, 70, 33, 10], activation, activation, mode=mode)
    X = samples(12, 40)
    found = every_door(model, X)
    with mlopt.use_isa("reference"):
        expected = model.predict(X)
    last = model.quantized_layers[-1]
    step = (last.weight_scale * last.input_scale).max() * 128
    assert np.abs(found - expected).max() <= 3 * step
    assert np.median(np.abs(found - expected)) <= 1e-6


@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "gelu", "silu"])
def test_a_last_activation(tier, activation):
    """With nothing rounded after it: within the bounds of the elementwise functions."""
    plain, model = network([40, 33]), network([40, 33], last=activation)
    X = samples(12, 40)
    with mlopt.use_isa("reference"):
        expected = getattr(mlopt, activation)(plain.predict(X))
    np.testing.assert_allclose(every_door(model, X), expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("mode", ["static", "dynamic"])
@pytest.mark.parametrize("output", ["softmax", "sigmoid"])
@pytest.mark.parametrize("widths", [[9, 1], [9, 20, 3], [40, 65, 17]], ids=str)
def test_links(tier, widths, output, mode):
    model = network(widths, output=output, mode=mode)
    X = samples(5, widths[0])
    z = by_numpy(QuantizedMLP(model.quantized_layers, mode=mode), X).astype(float)
    expected = 1 / (1 + np.exp(-z))
    if output == "softmax":
        expected = np.exp(z - z.max(axis=1, keepdims=True))
        expected /= expected.sum(axis=1, keepdims=True)
    found = model.predict(X)
    np.testing.assert_allclose(found, expected, rtol=2e-6, atol=1e-7)
    for x, row in zip(X, found, strict=True):  # softmax of one row sums in another order
        np.testing.assert_allclose(model.predict(x), row, rtol=1e-6, atol=1e-7)
        out = np.empty_like(row)
        same_bits(model.bind(x, out)(), model.predict(x))


# --- hostile samples -----------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["static", "dynamic"])
@pytest.mark.parametrize("widths", [[1, 1], [3, 5, 2], [33, 97, 10], [50, 50]], ids=str)
def test_nan_infinity_and_the_like(tier, widths, mode):
    model = network(widths, mode=mode)
    X = np.concatenate([samples(30, widths[0], hostile=share) for share in (0.05, 0.5, 1)])
    expected = by_numpy(model, X)
    assert np.isfinite(expected).all()
    np.testing.assert_array_equal(every_door(model, X), expected)


@pytest.mark.parametrize("mode", ["static", "dynamic"])
@pytest.mark.parametrize("value", [*HOSTILE, 255, -255, 0.5, 1.1754944e-38, 2.9e-37])
def test_constant_samples(tier, value, mode):
    for inputs in (1, 16, 37):
        model = network([inputs, 18, 4], mode=mode)
        X = np.full((3, inputs), value, f32)
        np.testing.assert_array_equal(every_door(model, X), by_numpy(model, X))


@pytest.mark.parametrize("mode", ["static", "dynamic"])
def test_a_sample_of_zeros_gives_the_biases(tier, mode):
    model = network([20, 33], mode=mode)
    same_bits(every_door(model, np.zeros((2, 20), f32)), np.stack([model.quantized_layers[0].bias] * 2))


def test_nan_is_the_lowest_byte_and_infinities_the_ends(tier):
    layer = QuantizedLayer(np.eye(3, dtype=np.int8), 1.0, np.zeros(3), "identity", 0.5, 100)
    model = QuantizedMLP([layer])
    found = every_door(model, np.array([[np.nan, np.inf, -np.inf]], f32))
    np.testing.assert_array_equal(found, [[-50, 77.5, -50]])


def test_an_infinite_range_has_scale_one(tier):
    layer = QuantizedLayer(np.eye(3, dtype=np.int8), 1.0, np.zeros(3), "identity", 1.0, 0)
    model = QuantizedMLP([layer], mode="dynamic")
    X = np.array([[np.inf, 3.4, -2], [-np.inf, 3.6, np.nan], [3e38, -3e38, 7], [np.nan, np.nan, np.nan]], f32)
    np.testing.assert_array_equal(every_door(model, X), [[255, 3, 0], [0, 4, 0], [255, 0, 7], [0, 0, 0]])


@pytest.mark.parametrize(("scale", "weight_scale"), [(3e38, 1e-3), (3e38, 1e-45), (3e-39, 1.0), (3e-39, 1e-45),
                                                     (1.0, 1e38), (1e-20, 3e38), (1e20, 3e-20)])  # fmt: skip
def test_huge_and_tiny_scales(tier, scale, weight_scale):
    rng = np.random.default_rng(0)
    weights = rng.integers(-128, 128, (21, 35)).astype(np.int8)
    layer = QuantizedLayer(weights, weight_scale, rng.standard_normal(35), "relu", scale, 120)
    behind = QuantizedLayer(rng.integers(-128, 128, (35, 4)).astype(np.int8), 0.01, np.zeros(4), "identity", 1.0, 3)
    X = samples(8, 21, hostile=0.3)
    with np.errstate(all="ignore"):
        X = np.concatenate([X, X * f32(scale), X * f32(1e-38)])
    model = QuantizedMLP([layer, behind])
    np.testing.assert_array_equal(every_door(model, X), by_numpy(model, X))


def test_biases_that_are_not_finite(tier):
    first = QuantizedLayer(np.ones((2, 3), np.int8), 1.0, [np.nan, np.inf, -np.inf], "relu", 1.0, 0)
    behind = QuantizedLayer(np.eye(3, dtype=np.int8), 1.0, np.zeros(3), "identity", 1.0, 5)
    np.testing.assert_array_equal(every_door(QuantizedMLP([first, behind]), np.ones((2, 2), f32)), [[-5, 250, 0]] * 2)


# --- doors ---------------------------------------------------------------------------------------


def test_what_is_like_an_array(tier):
    model = network([3, 4, 2])
    expected = model.predict(np.array([[1, 2, 3], [-4, 5, 6]], f32))
    columns = np.array([[1, -4.0], [2, 5], [3, 6]])
    wide = np.array([[1, 9, 2, 9, 3], [-4, 9, 5, 9, 6]], f32)
    for given in ([[1, 2, 3], [-4, 5, 6]], columns.T, columns.T.astype(int), wide[:, ::2], columns.astype(f32).T):
        same_bits(model.predict(given), expected)
        same_bits(model.predict(given[0]), expected[0])
    out = np.empty((2, 2), f32)
    assert model.predict([[1, 2, 3], [-4, 5, 6]], out=out) is out
    same_bits(out, expected)
    read_only = np.ones(3, f32)
    read_only.flags.writeable = False
    assert model.predict(read_only).shape == (2,)
    assert mlopt.is_byte_aligned(model.predict(wide[:, :3]), 64)


@pytest.mark.parametrize(("mode", "zeros"), [("static", None), ("static", "each"), ("dynamic", None)])
def test_empty_batches(tier, mode, zeros):
    model = network([3, 4, 2], mode=mode, zeros=zeros)
    X, out = np.empty((0, 3), f32), np.empty((0, 2), f32)
    assert model.predict(X).shape == (0, 2)
    assert model.bind(X, out)() is out


def test_properties_of_bound_objects():
    model = network([3, 4, 2])
    x, out = np.zeros(3, f32), np.zeros(2, f32)
    infer = model.bind(x, out)
    assert infer.model is model
    assert infer.x is x
    assert infer.out is out


@pytest.mark.parametrize("mode", ["static", "dynamic"])
def test_tiers_may_change_between_calls(mode):
    model = network([50, 97, 10], mode=mode)
    X = samples(5, 50)
    expected = by_numpy(model, X)
    x, one, out = X[0].copy(), np.empty(10, f32), np.empty((5, 10), f32)
    with mlopt.use_isa("reference"):
        single, batch = model.bind(x, one), model.bind(X, out)
    for tier in [*TIERS, *TIERS[::-1]]:
        with mlopt.use_isa(tier):
            one[:], out[:] = 7, 7
            np.testing.assert_array_equal(single(), expected[0])
            np.testing.assert_array_equal(batch(), expected)
            np.testing.assert_array_equal(model.predict(X), expected)
    np.testing.assert_array_equal(single(), expected[0])


@pytest.mark.parametrize("mode", ["static", "dynamic"])
@pytest.mark.parametrize("widths", [[1, 1], [3, 5, 2], [15, 17, 33], [100, 50, 10], [97, 95, 64, 48, 49]], ids=str)
def test_nothing_behind_the_arrays_is_touched(tier, widths, mode):
    for zeros in (None, "each") if mode == "static" else (None,):
        for last in ("identity", "tanh"):
            model = network(widths, "tanh" if last == "tanh" else "relu", last, mode=mode, zeros=zeros)
            for rows in (None, 1, 3):
                X = samples(rows or 1, widths[0])
                X = X[0] if rows is None else X
                expected = model.predict(X)
                x, out = guarded(X), guarded(np.zeros_like(expected))
                same_bits(model.predict(x), expected)
                same_bits(model.predict(X, out=out), expected)
                out[...] = 7
                same_bits(model.bind(x, out)(), expected)


def test_misaligned_rows(tier):
    """Inputs and outputs from any element on; what lies around the output stays."""
    model = network([19, 21, 18])
    for shift in range(5):
        x, out = np.zeros(19 + shift, f32), np.full(18 + 2 * shift, 7, f32)
        x[shift:] = samples(1, 19)[0]
        model.predict(x[shift:], out=out[shift : shift + 18])
        np.testing.assert_array_equal(out[shift : shift + 18], by_numpy(model, x[None, shift:])[0])
        assert (out[:shift] == 7).all()
        assert (out[shift + 18 :] == 7).all()


# --- errors --------------------------------------------------------------------------------------

GOOD = {
    "weights": np.array([[1, 2], [3, 4], [5, 6]], np.int8), "weight_scale": [0.1, 0.2], "bias": [0, 1],
    "activation": "relu", "input_scale": 0.5, "input_zero_point": 3, "weight_zero_point": 0,
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"weights": np.zeros((3, 2))}, TypeError, "weights must be int8 or uint8, got float64"),
        ({"weights": np.zeros(3, np.int8)}, ValueError, r"weights must have shape .* got \(3,\)"),
        ({"weights": np.zeros((0, 2), np.int8)}, ValueError, r"both at least 1, got \(0, 2\)"),
        ({"weights": np.zeros((33026, 1), np.int8)}, ValueError, "at most 33025 inputs.* got 33026"),
        ({"activation": "swish"}, ValueError, "activation='swish' is not one of: identity, relu"),
        ({"activation": "softmax"}, ValueError, "activation='softmax'"),
        ({"input_zero_point": -1}, ValueError, "input_zero_point must be in 0 to 255, got -1"),
        ({"input_zero_point": 256}, ValueError, "input_zero_point must be in 0 to 255, got 256"),
        ({"input_zero_point": 1.5}, TypeError, "input_zero_point must be an integer, got 1.5"),
        ({"input_zero_point": None}, TypeError, "input_zero_point must be an integer"),
        ({"weight_zero_point": 128}, ValueError, "weight_zero_point must be in the range of int8, got 128"),
        ({"weight_zero_point": 1 << 40}, ValueError, "weight_zero_point must be in the range of int8"),
        ({"weight_zero_point": -1, "weights": np.ones((3, 2), np.uint8)}, ValueError, "range of uint8, got -1"),
        ({"weight_zero_point": 0.5}, TypeError, "weight_zero_point must be integers, got float64"),
        ({"weight_zero_point": [1, 2, 3]}, ValueError, r"weight_zero_point must have shape \(2,\), got \(3,\)"),
        ({"weight_scale": [1, 2, 3]}, ValueError, r"weight_scale must have shape \(2,\), got \(3,\)"),
        ({"weight_scale": [1, 0]}, ValueError, "weight_scale must be positive and finite"),
        ({"weight_scale": [1, -1]}, ValueError, "weight_scale must be positive and finite"),
        ({"weight_scale": [1, np.nan]}, ValueError, "weight_scale must be positive and finite"),
        ({"weight_scale": 1e39}, ValueError, "weight_scale must be positive and finite"),
        ({"weight_scale": 1e-50}, ValueError, "weight_scale must be positive and finite"),
        ({"weight_scale": "a"}, TypeError, "weight_scale must be real numbers"),
        ({"bias": [1, 2, 3]}, ValueError, r"bias must have shape \(2,\), got \(3,\)"),
        ({"bias": np.zeros((2, 1))}, ValueError, r"bias must have shape \(2,\), got \(2, 1\)"),
        ({"bias": [1j, 0]}, TypeError, "bias must be real numbers, got complex128"),
        ({"input_scale": 0}, ValueError, "input_scale must be positive and finite"),
        ({"input_scale": -1.0}, ValueError, "input_scale must be positive and finite"),
        ({"input_scale": np.inf}, ValueError, "input_scale must be positive and finite"),
        ({"input_scale": np.nan}, ValueError, "input_scale must be positive and finite"),
        ({"input_scale": 1e39}, ValueError, "input_scale must be positive and finite"),
        ({"input_scale": 1e-39}, ValueError, "input_scale must be .* as its reciprocal"),
        ({"input_scale": [0.5]}, ValueError, r"input_scale must be one number, got shape \(1,\)"),
        ({"input_scale": "a"}, TypeError, "input_scale must be a real number, got 'a'"),
        ({"input_scale": 1e20, "weight_scale": 1e20}, ValueError, "weight_scale times input_scale must be finite"),
    ],
)  # fmt: skip
def test_bad_layers(change, error, match):
    QuantizedLayer(**GOOD)
    with pytest.raises(error, match=match):
        QuantizedLayer(**{**GOOD, **change})


def test_a_layer_has_arrays_of_its_own():
    weights = GOOD["weights"].copy()
    layer = QuantizedLayer(**{**GOOD, "weights": weights})
    model = QuantizedMLP([layer], output="relu")
    before = model.predict([1, 2, 3])
    weights[...] = 0  # the caller's stays writable, and is not the layer's
    np.testing.assert_array_equal(layer.weights, GOOD["weights"])
    np.testing.assert_array_equal(model.predict([1, 2, 3]), before)
    for array in (layer.weights, layer.weight_scale, layer.bias, layer.weight_zero_point):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0
    np.testing.assert_allclose(layer.dequantized(), GOOD["weights"] * np.array([0.1, 0.2]), rtol=1e-6)
    assert layer.dequantized().dtype == f32
    assert layer.nbytes == 6 + 8 + 8
    fortran = QuantizedLayer(**{**GOOD, "weights": np.asfortranarray(GOOD["weights"])})
    np.testing.assert_array_equal(QuantizedMLP([fortran], output="relu").predict([1, 2, 3]), before)


def test_dequantized_takes_zero_points_off():
    layer = QuantizedLayer(np.array([[0, 255]], np.uint8), [2, 0.5], 0.0, "relu", 1.0, 0, [128, 7])
    np.testing.assert_array_equal(layer.dequantized(), [[-256, 124]])
    np.testing.assert_array_equal(layer.bias, [0, 0])


LAYER = QuantizedLayer(**GOOD)


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ({"layers": []}, ValueError, "layers must hold at least one layer, got none"),
        ({"layers": 5}, TypeError, "layers must be a sequence of QuantizedLayer, got int"),
        ({"layers": [LAYER, None]}, TypeError, r"layers\[1\] must be a QuantizedLayer, got NoneType"),
        ({"layers": [LAYER, LAYER]}, ValueError, r"layers\[1\] must have 2 inputs as layers\[0\] has outputs, got 3"),
        ({"mode": "half"}, ValueError, "mode='half' is not one of: static, dynamic"),
        ({"output": "identity"}, ValueError, "output='identity' is neither the last layer's activation, 'relu'"),
        ({"output": "swish"}, ValueError, "output='swish'"),
        ({"output": "softmax"}, ValueError, "output='softmax' is neither .* nor softmax or sigmoid behind"),
        ({"source": 3}, TypeError, "source must be an MLP, got int"),
        ({"source": MLP([3, 4])}, ValueError, r"source must have the layers \(3, 2\), got \(3, 4\)"),
        ({"mode": "dynamic", "layers": [QuantizedLayer(**{**GOOD, "weight_zero_point": 1})]}, ValueError,
         "mode='dynamic' needs int8 weights without zero points"),
        ({"mode": "dynamic", "layers": [QuantizedLayer(**{**GOOD, "weights": np.ones((3, 2), np.uint8)})]}, ValueError,
         "mode='dynamic' needs int8 weights without zero points"),
    ],
)  # fmt: skip
def test_bad_networks(arguments, error, match):
    arguments = {"layers": [LAYER], "output": "relu", **arguments}
    with pytest.raises(error, match=match):
        QuantizedMLP(arguments.pop("layers"), **arguments)


BAD_CALLS = [
    ("predict", (np.zeros(4, f32),), {}, ValueError, r"X must have shape \(3,\) or \(samples, 3\), got \(4,\)"),
    ("predict", (np.zeros((2, 2, 3), f32),), {}, ValueError, "X must have shape"),
    ("predict", (np.float32(1),), {}, ValueError, "X must have shape"),
    ("predict", (np.zeros(3, complex),), {}, TypeError, "X must be numeric and fit float32, got complex128"),
    ("predict", (["a", "b", "c"],), {}, TypeError, "X must be numeric"),
    ("predict", (np.zeros(3, f32),), {"out": np.zeros(3, f32)}, ValueError, r"out must have shape \(2,\), got \(3,\)"),
    ("predict", (np.zeros(3, f32),), {"out": np.zeros((1, 2), f32)}, ValueError, "out must have shape"),
    ("predict", (np.zeros((4, 3), f32),), {"out": np.zeros((3, 2), f32)}, ValueError, "out must have shape"),
    ("predict", (np.zeros((4, 3), f32),), {"out": np.zeros((4, 3), f32)}, ValueError, "out must have shape"),
    ("predict", (np.zeros(3, f32),), {"out": np.zeros(2)}, TypeError, "out must be float32, got float64"),
    ("predict", (np.zeros(3, f32),), {"out": [0, 0]}, TypeError, "out must be an ndarray, not list"),
    ("predict", (np.zeros(3, f32),), {"out": np.zeros(4, f32)[::2]}, ValueError, "out must be C-contiguous"),
    ("predict", (np.zeros(3, f32),), {"out": np.frombuffer(bytes(8), f32)}, ValueError, "writable"),
    ("bind", (np.zeros(3), np.zeros(2, f32)), {}, TypeError, "x must be float32, got float64"),
    ("bind", ([0, 0, 0], np.zeros(2, f32)), {}, TypeError, "x must be an ndarray, not list"),
    ("bind", (np.zeros(6, f32)[::2], np.zeros(2, f32)), {}, ValueError, "x must be C-contiguous"),
    ("bind", (np.zeros(4, f32), np.zeros(2, f32)), {}, ValueError, "x must have shape"),
    ("bind", (np.zeros(3, f32), None), {}, TypeError, "out must be an ndarray, not NoneType"),
    ("bind", (np.zeros(3, f32), np.zeros(3, f32)), {}, ValueError, "out must have shape"),
    ("compare", (np.zeros((2, 4)),), {}, ValueError, r"X must have shape \(samples, 3\) with at least one sample"),
    ("compare", (np.zeros((0, 3)),), {}, ValueError, "with at least one sample, got"),
    ("compare", (np.full((2, 3), np.nan),), {}, ValueError, "X must be finite"),
    ("compare", (np.full((2, 3), 1e300),), {}, ValueError, "X must be finite"),
    ("compare", (np.zeros((2, 3), complex),), {}, TypeError, "X must be numeric"),
    ("compare", (np.zeros((2, 3)), [0]), {}, ValueError, r"y must have 2 samples as X has, got shape \(1,\)"),
    ("compare", (np.zeros((2, 3)), 1), {}, ValueError, r"y must have 2 samples as X has, got shape \(\)"),
    ("compare", (np.zeros((2, 3)), [0.0, 1.0]), {}, TypeError, "y must be integer labels.* got float64"),
    ("compare", (np.zeros((2, 3)), np.zeros((2, 3))), {}, ValueError, r"y must have shape \(2, 2\), got \(2, 3\)"),
    ("compare", (np.zeros((2, 3)), [["a", "b"]] * 2), {}, TypeError, "y must be real numbers"),
]


@pytest.mark.parametrize(("method", "arguments", "keywords", "error", "match"), BAD_CALLS)
def test_errors_write_nothing(method, arguments, keywords, error, match):
    model = MLP([3, 4, 2], rng=0).quantize(samples(20, 3))
    before = pickle.dumps((arguments, keywords))
    with pytest.raises(error, match=match):
        getattr(model, method)(*arguments, **keywords)
    assert pickle.dumps((arguments, keywords)) == before


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ({}, ValueError, "calibration must be samples for mode='static', got None"),
        ({"mode": "half"}, ValueError, "mode='half' is not one of: static, dynamic"),
        ({"calibration": np.zeros((5, 4))}, ValueError, r"calibration must have shape \(samples, 3\).* got \(5, 4\)"),
        ({"calibration": np.zeros((0, 3))}, ValueError, "calibration must have shape.* at least one sample"),
        ({"calibration": np.zeros((1, 2, 3))}, ValueError, "calibration must have shape"),
        ({"calibration": [[np.inf, 0, 0]]}, ValueError, "calibration must be finite"),
        ({"calibration": [["a", "b", "c"]]}, TypeError, "calibration must be numeric"),
        ({"calibration": np.zeros((5, 3)), "method": "best"}, ValueError, "best"),
    ],
)  # fmt: skip
def test_bad_quantisation(arguments, error, match):
    with pytest.raises(error, match=match):
        MLP([3, 4, 2], rng=0).quantize(**arguments)


def test_normalised_layers_are_refused():
    with pytest.raises(ValueError, match="layer_norm"):
        MLP([3, 4, 2], layer_norm=True, rng=0).quantize(np.zeros((5, 3)))


def test_out_may_not_overlap_the_input():
    model, whole = network([3, 2]), np.zeros(5, f32)
    with pytest.raises(ValueError, match="out must not overlap X"):
        model.predict(whole[:3], out=whole[1:3])
    with pytest.raises(ValueError, match="out must not overlap X"):
        model.bind(whole[:3], whole[2:4])
    model.predict(whole[:3], out=whole[3:])


def test_nothing_is_made_without_what_it_needs():
    from mlopt.nn.quantized import BoundQuantizedPrediction

    with pytest.raises(TypeError, match=r"is made by QuantizedMLP\.bind"):
        BoundQuantizedPrediction()
    with pytest.raises(TypeError, match="argument"):
        QuantizedMLP.__new__(QuantizedMLP)


# --- state ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["static", "dynamic"])
@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_duplicates_predict_alike(duplicate, mode):
    X = samples(40, 5)
    source = MLP([5, 6, 2], activation="tanh", output="softmax", loss="cross_entropy", rng=0)
    model = source.quantize(X, mode=mode)
    other = duplicate(model)
    same_bits(other.predict(X), model.predict(X))
    assert repr(other) == repr(model) == f"<QuantizedMLP 5 - 6 - 2, {mode}, {model.nbytes} bytes>"
    assert (other.output, other.mode, other.layers) == ("softmax", mode, (5, 6, 2))
    assert other.compare(X).max_error == model.compare(X).max_error
    assert not other.quantized_layers[0].weights.flags.writeable
    assert model.nbytes == sum(layer.nbytes for layer in model.quantized_layers) == 42 + 8 * 8


def test_training_the_source_changes_nothing():
    X = samples(40, 5)
    source = MLP([5, 6, 2], rng=0)
    model = source.quantize(X)
    before, error = model.predict(X), model.compare(X).max_error
    for _ in range(5):
        source.train_step(X, np.ones((40, 2), f32))
    same_bits(model.predict(X), before)
    assert model.compare(X).max_error == error


# --- quantising ----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("method", ["minmax", "percentile", "mse", "entropy"])
def test_layers_are_what_quantisation_says(method, dtype):
    model = MLP([6, 9, 4], activation=["silu"], dtype=dtype, rng=0)
    for bias in model.biases:
        bias[...] = np.random.default_rng(1).normal(size=bias.shape)
    X = samples(5000, 6)  # more than are forwarded together
    quantized = model.quantize(X, method=method)
    observers = [mlopt.quantization.calibrator(method) for _ in range(2)]
    hidden = X @ model.weights[0].astype(f32) + model.biases[0].astype(f32)
    for observer, inputs in zip(observers, (X, hidden / (1 + np.exp(-hidden))), strict=True):
        observer.update(inputs)
    for layer, weights, bias, observer in zip(
        quantized.quantized_layers, model.weights, model.biases, observers, strict=True
    ):
        scale, zero = observer.parameters("uint8", symmetric=False)
        assert layer.input_scale == pytest.approx(float(scale), rel=1e-5)
        assert abs(layer.input_zero_point - int(zero)) <= 1
        np.testing.assert_allclose(layer.weight_scale, np.abs(weights).max(axis=0) / 127, rtol=1e-6)
        assert np.abs(layer.weights.astype(int)).max() == 127
        assert (np.abs(layer.dequantized() - weights) <= layer.weight_scale * 0.5001).all()
        np.testing.assert_array_equal(layer.bias, bias.astype(f32))
    assert [layer.activation for layer in quantized.quantized_layers] == ["silu", "identity"]
    assert quantized.quantized_layers[0].input_scale > 0.02


HEADS = [
    ("mse", "identity"), ("mse", "sigmoid"), ("mse", "relu"), ("cross_entropy", "softmax"),
    ("cross_entropy", "identity"), ("binary_cross_entropy", "sigmoid"), ("huber", "tanh"),
]  # fmt: skip


@pytest.mark.parametrize("mode", ["static", "dynamic"])
@pytest.mark.parametrize(("loss", "output"), HEADS)
@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid", "gelu", "silu"])
def test_quantised_networks_are_close(activation, loss, output, mode):
    model = MLP([20, 50, 30, 4], activation=activation, loss=loss, output=output, rng=0)
    X = samples(300, 20)
    quantized = model.quantize(X if mode == "static" else None, mode)
    assert (quantized.mode, quantized.output, quantized.layers) == (mode, output, (20, 50, 30, 4))
    exact = model.predict(X)
    assert np.abs(quantized.predict(X) - exact).mean() < 0.02 * max(1, np.abs(exact).max())
    report = quantized.compare(X)
    assert all(layer.signal_to_noise > 25 for layer in report.layers)


def test_networks_of_zeros_and_of_tiny_numbers(tier):
    model = MLP([4, 5, 2], rng=0)
    model.set_parameters([(np.zeros_like(w), np.zeros_like(b)) for w, b in model.parameters])
    np.testing.assert_array_equal(every_door(model.quantize(np.zeros((3, 4))), samples(3, 4)), 0)
    model = MLP([4, 5, 2], rng=0)
    model.set_parameters([(w * f32(1e-38), b) for w, b in model.parameters])
    for X in (samples(3, 4) * f32(1e-38), np.full((3, 4), 3e38, f32), np.array([[3e38, -3e38, 1, 0]], f32)):
        quantized = model.quantize(X)
        found = every_door(quantized, X)
        np.testing.assert_array_equal(found, by_numpy(quantized, X))
        assert np.isfinite(found).all()


# --- reports -------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["static", "dynamic"])
def test_a_report_by_hand(mode):
    X = samples(200, 8)
    model = MLP([8, 12, 3], output="softmax", loss="cross_entropy", rng=0)
    labels = model.predict(X + samples(200, 8, seed=1) / 5).argmax(axis=1)
    quantized = model.quantize(X, mode)
    report = quantized.compare(X, labels)
    exact, found = model.predict(X), quantized.predict(X)
    difference = np.abs(exact - found)
    assert report.samples == 200
    assert report.max_error == pytest.approx(difference.max(), rel=1e-6)
    assert report.mean_error == pytest.approx(difference.mean(), rel=1e-5)
    assert report.agreement == np.mean(exact.argmax(axis=1) == found.argmax(axis=1))
    assert report.metric == "accuracy"
    assert report.score == np.mean(exact.argmax(axis=1) == labels)
    assert report.quantized_score == np.mean(found.argmax(axis=1) == labels)
    assert report.score_change == report.quantized_score - report.score
    assert report.bytes == 4 * (8 * 12 + 12 + 12 * 3 + 3)
    assert report.quantized_bytes == quantized.nbytes == 8 * 12 + 12 * 3 + 8 * 15
    layers = quantized.quantized_layers
    hidden = np.maximum(X @ model.weights[0] + model.biases[0], 0)
    for error, number, truth in (
        (report.layers[0], 1, hidden), (report.layers[1], 2, hidden @ model.weights[1] + model.biases[1]),
    ):  # fmt: skip
        got = by_numpy(QuantizedMLP(layers[:number], output=layers[number - 1].activation, mode=mode), X)
        off = np.abs(got.astype(float) - truth)
        assert error.max_error == pytest.approx(off.max(), rel=1e-4)
        assert error.mean_error == pytest.approx(off.mean(), rel=1e-4)
        ratio = 10 * np.log10(np.mean(np.square(truth, dtype=float)) / np.mean(off**2))
        assert error.signal_to_noise == pytest.approx(ratio, abs=1e-3)
    text = str(report).splitlines()
    assert text[0] == f"200 samples, parameters {report.bytes} -> {report.quantized_bytes} bytes"
    assert text[1] == f"outputs      max error {report.max_error:.4g}, mean {report.mean_error:.4g}"
    assert text[2] == f"same class   {100 * report.agreement:.2f} %"
    change = f"{report.score:.4f} -> {report.quantized_score:.4f} ({report.score_change:+.4f})"
    assert text[3] == f"accuracy     {change}"
    assert [line[:8] for line in text[4:]] == ["layer 0 ", "layer 1 "]
    assert text[4].endswith(f"signal to noise {report.layers[0].signal_to_noise:.1f} dB")


def test_reports_of_regressions():
    X = samples(200, 8)
    model = MLP([8, 12, 1], rng=0)
    y = model.predict(X)[:, 0] + 0.3 * np.random.default_rng(1).standard_normal(200)
    quantized = model.quantize(X)
    report = quantized.compare(X, y)
    assert report.agreement is None
    assert report.metric == "r2"
    for score, network_ in ((report.score, model), (report.quantized_score, quantized)):
        rest, whole = np.sum((y - network_.predict(X)[:, 0]) ** 2), np.sum((y - y.mean()) ** 2)
        assert score == pytest.approx(1 - rest / whole, abs=1e-9)
    assert quantized.compare(X, y[:, np.newaxis]).score == report.score
    assert "r2           " in str(report)
    assert "same class" not in str(report)
    bare = quantized.compare(X)
    assert (bare.metric, bare.score, bare.quantized_score, bare.score_change) == (None, None, None, None)
    assert "r2" not in str(bare)
    assert np.isnan(quantized.compare(X, np.ones(200)).score), "a constant has no variance to explain"
    several = MLP([8, 3], rng=0).quantize(X)
    assert several.compare(X, np.zeros((200, 3)) + X[:, :3]).metric == "r2"


@pytest.mark.parametrize("shape", [(200,), (200, 1)])
def test_labels_of_one_probability(shape):
    X = samples(200, 8)
    model = MLP([8, 12, 1], output="sigmoid", loss="binary_cross_entropy", rng=0)
    labels = (X[:, 0] > 0).astype(int)
    report = model.quantize(X).compare(X, labels.reshape(shape))
    assert report.metric == "accuracy"
    assert report.score == np.mean((model.predict(X)[:, 0] > 0.5) == labels)
    assert model.quantize(X).compare(X, labels.reshape(shape).astype(float)).metric == "r2"


@pytest.mark.parametrize(
    ("last", "output"), [("identity", "softmax"), ("identity", "sigmoid"), ("sigmoid", "sigmoid"), ("relu", "relu")]
)
def test_a_network_without_a_source_is_compared_with_its_own_weights(last, output):
    rng = np.random.default_rng(0)
    for widths in ([6, 3], [6, 20, 3]):
        model = network(widths, "tanh", last, output=output, scale=0.05, seed=int(rng.integers(100)))
        assert model.source is None
        report = model.compare(samples(100, 6))
        assert report.mean_error < 0.02
        assert all(layer.signal_to_noise > 20 for layer in report.layers), report
        assert report.bytes == sum(4 * (w.size + w.shape[1]) for w in (p.weights for p in model.quantized_layers))


# --- accuracy ------------------------------------------------------------------------------------

WAYS = [("static", "minmax"), ("static", "percentile"), ("static", "mse"), ("static", "entropy"), ("dynamic", "minmax")]


@pytest.fixture(scope="module")
def digits():
    datasets = pytest.importorskip("sklearn.datasets")
    X, y = datasets.load_digits(return_X_y=True)
    X = (X / 16).astype(f32)
    order = np.random.default_rng(0).permutation(len(X))
    X, y = X[order], y[order]
    model = MLP([64, 64, 32, 10], output="softmax", loss="cross_entropy", optimizer=mlopt.nn.AdamW(lr=3e-3), rng=0)
    model.fit(X[:1000], y[:1000], epochs=30, batch_size=32, rng=0)
    return model, X, y


@pytest.mark.parametrize(("mode", "method"), WAYS)
def test_digits(digits, mode, method):
    model, X, y = digits
    report = model.quantize(X[:1000], mode, method=method).compare(X[1000:], y[1000:])
    assert report.score > 0.94
    assert report.quantized_score >= report.score - 0.005
    assert report.agreement > 0.985
    assert report.quantized_bytes < 0.32 * report.bytes


@pytest.fixture(scope="module")
def market():
    """The demo's network, features and bars, trained as it trains them."""
    for module in ("arch", "matplotlib", "rich"):
        pytest.importorskip(module)
    from mlopt.demo.job import _stream
    from mlopt.demo.training import fit, make_network
    from mlopt.features import FeatureExtractor, Scaler, sample_bars

    bars, extractor = sample_bars(), FeatureExtractor()
    warm_up, count = extractor.lookback, len(extractor.names)
    X = _stream(list(bars), warm_up, extractor, Scaler(count), lambda *progress: None)[warm_up:-1]
    ups = (bars.close[1:] > bars.close[:-1])[warm_up:].astype(f32)[:, np.newaxis]
    model = make_network(count, [0, 0])
    fit(model, X[:3000], ups[:3000], np.random.default_rng(0), lambda: None)
    return model, X, ups.astype(int)


@pytest.mark.parametrize(("mode", "method"), WAYS)
def test_the_network_of_the_demo(market, mode, method):
    model, X, ups = market
    report = model.quantize(X[:3000], mode, method=method).compare(X, ups)
    assert report.metric == "accuracy"
    assert abs(report.score_change) <= 0.005, str(report)


# --- threads -------------------------------------------------------------------------------------


def in_threads(work, count=4):
    """Runs work(number) in several threads; what they raise is raised here."""
    failures = []

    def guarded_work(number):
        try:
            work(number)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=guarded_work, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


@pytest.mark.parametrize("mode", ["static", "dynamic"])
def test_threads_share_a_model_while_tiers_change(mode):
    model = network([64, 128, 65, 8], mode=mode)
    X = samples(400, 64)  # the GIL is released
    with mlopt.use_isa("reference"):
        expected = model.predict(X)

    def serve(number):
        x, one, out = np.empty(64, f32), np.empty(8, f32), np.empty_like(expected)
        single, batch = model.bind(x, one), model.bind(X, out)
        for i in range(12):
            with mlopt.use_isa(TIERS[1:][(i + number) % len(TIERS[1:])]):
                x[:] = X[i]
                out[...], one[...] = 0, 0
                same_bits(single(), expected[i])
                same_bits(batch(), expected)
                same_bits(model.predict(X), expected)
                same_bits(model.predict(X[i]), expected[i])

    in_threads(serve)


@pytest.mark.parametrize("mode", ["static", "dynamic"])
def test_many_short_threads(mode):
    model = network([20, 30, 8], mode=mode)
    X = samples(40, 20)
    expected = model.predict(X)
    for _ in range(5):
        in_threads(lambda number: [same_bits(model.predict(x), e) for x, e in zip(X, expected, strict=True)], 8)


def test_one_bound_object_in_threads_of_several_tiers():
    """Not asked of anyone, but no thread may lose the memory that it works with."""
    model = network([64, 128, 65, 128, 8])
    X, out = samples(1500, 64), np.empty((1500, 8), f32)
    expected, infer = model.predict(X), model.bind(X, out)
    infer()

    def serve(number):
        for i in range(40):
            with mlopt.use_isa(TIERS[1:][(i + number) % len(TIERS[1:])]):
                same_bits(infer(), expected)  # all threads write the same

    in_threads(serve)


@pytest.mark.parametrize("mode", ["static", "dynamic"])
def test_any_number_of_threads_gives_the_same_bits(mode):
    model = network([100, 160, 10], mode=mode)
    X = samples(1500, 100)
    before = mlopt.get_num_threads()
    results = []
    try:
        for count in (1, 2, 3):
            mlopt.set_num_threads(count)
            results.append(model.predict(X))
    finally:
        mlopt.set_num_threads(before)
    for result in results[1:]:
        same_bits(result, results[0])
    np.testing.assert_array_equal(results[0][::300], by_numpy(model, X[::300]))


# --- memory --------------------------------------------------------------------------------------


@pytest.mark.no_sanitizer
@pytest.mark.parametrize("mode", ["static", "dynamic"])
@pytest.mark.parametrize("output", ["identity", "softmax"])
@pytest.mark.parametrize("rows", [None, 20])
def test_bound_calls_allocate_nothing(mode, output, rows):
    from mlopt.targets.allocations import count_allocations

    loss = "mse" if output == "identity" else "cross_entropy"
    setup = f"""
import numpy as np, mlopt
model = mlopt.nn.MLP([50, 40, 10], output={output!r}, loss={loss!r}, rng=0)
model = model.quantize(np.random.default_rng(0).normal(size=(50, 50)), {mode!r})
rows = {rows!r}
x = np.ones(50 if rows is None else (rows, 50), np.float32)
out = np.empty(10 if rows is None else (rows, 10), np.float32)
infer = model.bind(x, out)
"""
    count = count_allocations("infer()", setup, iterations=500)
    if count.reason is not None:
        pytest.skip(count.reason)
    assert count.allocations == 0
