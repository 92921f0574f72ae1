"""Every nn kernel of the register, on every tier and type, against wider arithmetic: odd sizes, guard pages behind
every operand, gaps between rows, poison around what is written."""

from math import erfc

import numpy as np
import pytest
from guard import guarded
from kernels.wide import DTYPE, FUNCTIONS, WIDE

from mlopt._kernels.register import Kernel, kernel_report

ACTIVATIONS = ("identity", "relu", "tanh", "sigmoid", "gelu", "silu")
SIZES = [(1, 1), (2, 3), (3, 17), (7, 8), (16, 16), (17, 31), (33, 50), (50, 10), (9, 65), (5, 129), (64, 257)]
POISON = -1.2345e9


# the tiers that bring nn kernels of their own
ORIGINS = next(row["origin"] for row in kernel_report() if row["family"] == "nn")


@pytest.fixture(params=[tier for tier, origin in ORIGINS.items() if tier == origin])
def tier(request):
    return request.param


@pytest.fixture(params=["f32", "f64"])
def type(request):
    return request.param


def spaced(matrix, type, extra=3):
    """Rows `extra` elements longer than needed, poisoned behind the matrix but for the last row."""
    rows, columns = matrix.shape
    whole = np.full(rows * (columns + extra) - extra, POISON, DTYPE[type])
    for i in range(rows):
        whole[i * (columns + extra) : i * (columns + extra) + columns] = matrix[i]
    return guarded(whole), columns + extra


def unspaced(flat, shape, row):
    """The matrix in a spaced array, after checking that the poison between the rows is untouched."""
    rows, columns = shape
    result = np.empty(shape, flat.dtype)
    for i in range(rows):
        result[i] = flat[i * row : i * row + columns]
        assert np.all(flat[i * row + columns : (i + 1) * row] == flat.dtype.type(POISON))
    return result


def draw(type, *shape, seed=0, scale=1.0):
    return (np.random.default_rng([seed, *shape]).standard_normal(shape) * scale).astype(DTYPE[type])


def cumulative(z):
    """The normal distribution; double precision is enough for bounds of several eps."""
    return np.array([erfc(-x * 0.5**0.5) / 2 for x in z.ravel().astype(float)], z.dtype).reshape(z.shape)


def activate(z, activation):
    if activation == "gelu":
        return z * cumulative(z)
    return z if activation == "identity" else FUNCTIONS[activation](z)


def slope(z, activation):
    """The derivative at z, in z's (wide) type."""
    if activation == "relu":
        return (z > 0).astype(z.dtype)
    if activation == "tanh":
        return 1 - np.tanh(z) ** 2
    s = FUNCTIONS["sigmoid"](z)
    if activation == "sigmoid":
        return s * (1 - s)
    if activation == "silu":
        return s + z * s * (1 - s)
    if activation == "gelu":
        return cumulative(z) + z * np.exp(-z * z / 2) / np.sqrt(2 * z.dtype.type(np.pi))
    return np.ones_like(z)


def saved_for(z, activation, type):
    """What the backward kernels take: z itself for gelu and silu, else the output."""
    return (z if activation in ("gelu", "silu") else activate(z.astype(WIDE[type]), activation)).astype(DTYPE[type])


def check(observed, label, tier, type, result, wide, magnitude, terms=0):
    """The error in eps of the magnitudes that entered, against the contract's bound."""
    eps = np.finfo(DTYPE[type]).eps
    bound = 8 + (terms if tier == "reference" else terms / 4)
    error = np.abs(result - wide) / (eps * np.maximum(magnitude, np.finfo(DTYPE[type]).tiny / eps))
    observed(f"{label}_{type}", tier, float(error.max() / bound), 1.0)


@pytest.mark.parametrize(("inputs", "outputs"), SIZES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_dense(tier, type, activation, inputs, outputs, observed):
    x, w, b = draw(type, inputs), draw(type, inputs, outputs), draw(type, outputs)
    kernel = Kernel("dense", type, tier)
    (weights, w_row) = spaced(w, type)
    arguments = (guarded(x), weights, guarded(b))
    z, out = guarded(np.full(outputs, POISON, DTYPE[type])), guarded(np.full(outputs, POISON, DTYPE[type]))
    dims, steps = (inputs, outputs, ACTIVATIONS.index(activation)), (1, w_row, 1, 1, 1)
    kernel(dims, *arguments, z, out, steps=steps)
    wide_x, wide_w, wide_b = (a.astype(WIDE[type]) for a in (x, w, b))
    wide = wide_x @ wide_w + wide_b
    magnitude = np.abs(wide_x) @ np.abs(wide_w) + np.abs(wide_b)
    check(observed, "dense", tier, type, z, wide, magnitude, inputs)
    check(observed, f"dense {activation}", tier, type, out, activate(z.astype(WIDE[type]), activation), np.abs(z) + 1)
    kernel(dims, *arguments, z, z, steps=steps)
    np.testing.assert_array_equal(z, out)


@pytest.mark.parametrize("activation", ["identity", "relu"])
def test_dense_keeps_nan_and_infinity(tier, type, activation):
    x = np.ones(3, DTYPE[type])
    w = np.zeros((3, 5), DTYPE[type])
    w[0] = [np.nan, np.inf, -np.inf, 2, -2]
    bias, out = np.zeros(5, DTYPE[type]), np.empty(5, DTYPE[type])
    Kernel("dense", type, tier)(
        (3, 5, ACTIVATIONS.index(activation)), x, w, bias, out, out, steps=(1, w.shape[1], 1, 1, 1)
    )
    floor = 0 if activation == "relu" else -np.inf
    np.testing.assert_array_equal(out, np.maximum([np.nan, np.inf, -np.inf, 2, -2], floor))


@pytest.mark.parametrize(("inputs", "outputs"), SIZES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_dense_backward(tier, type, activation, inputs, outputs, observed):
    w, delta, z = draw(type, inputs, outputs), draw(type, outputs), draw(type, inputs, seed=1)
    saved = saved_for(z, activation, type)
    out = guarded(np.full(inputs + 1, POISON, DTYPE[type]))
    weights, w_row = spaced(w, type)
    Kernel("dense_backward", type, tier)(
        (inputs, outputs, ACTIVATIONS.index(activation)), weights, guarded(delta), guarded(saved), out[1:],
        steps=(w_row, 1, 1, 1),
    )  # fmt: skip
    assert out[0] == DTYPE[type](POISON)
    wide_w, wide_delta = w.astype(WIDE[type]), delta.astype(WIDE[type])
    sums, magnitude = wide_w @ wide_delta, np.abs(wide_w) @ np.abs(wide_delta)
    wide = sums * slope(z.astype(WIDE[type]), activation)
    check(observed, "dense_backward", tier, type, out[1:], wide, magnitude, outputs)


@pytest.mark.parametrize("gap", [0, 3])
@pytest.mark.parametrize(("rows", "columns"), [*SIZES, (100, 50)])
def test_outer(tier, type, rows, columns, gap):
    x, delta = draw(type, rows), draw(type, columns)
    out, out_row = spaced(np.full((rows, columns), POISON), type, gap)
    Kernel("outer", type, tier)((rows, columns), guarded(x), guarded(delta), out, steps=(1, 1, out_row))
    np.testing.assert_array_equal(unspaced(out, (rows, columns), out_row), np.outer(x, delta))


@pytest.mark.parametrize(("rows", "columns"), SIZES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_bias_activation(tier, type, activation, rows, columns, observed):
    products, bias = draw(type, rows, columns, scale=3), draw(type, columns)
    (z, z_row), (out, out_row) = spaced(products, type), spaced(np.full((rows, columns), POISON), type, 5)
    dims = (rows, columns, ACTIVATIONS.index(activation))
    kernel = Kernel("bias_activation", type, tier)
    kernel(dims, guarded(bias), z, out, steps=(1, z_row, out_row))
    sums = unspaced(z, (rows, columns), z_row)
    np.testing.assert_array_equal(sums, products + bias)
    result = unspaced(out, (rows, columns), out_row)
    check(
        observed, f"bias {activation}", tier, type, result, activate(sums.astype(WIDE[type]), activation),
        np.abs(sums) + 1,
    )  # fmt: skip
    z, z_row = spaced(products, type)
    kernel(dims, guarded(bias), z, z, steps=(1, z_row, z_row))
    np.testing.assert_array_equal(unspaced(z, (rows, columns), z_row), result)


@pytest.mark.parametrize(("rows", "columns"), [*SIZES, (1000, 70)])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activation_backward(tier, type, activation, rows, columns, observed):
    z, before = draw(type, rows, columns, scale=2), draw(type, rows, columns, seed=1)
    (saved, saved_row), (delta, delta_row) = spaced(saved_for(z, activation, type), type), spaced(before, type, 5)
    sums = guarded(np.full(columns + 1, POISON, DTYPE[type]))
    Kernel("activation_backward", type, tier)(
        (rows, columns, ACTIVATIONS.index(activation)), saved, delta, sums[1:], steps=(saved_row, delta_row, 1)
    )
    assert sums[0] == DTYPE[type](POISON)
    result = unspaced(delta, (rows, columns), delta_row)
    wide = before * slope(z.astype(WIDE[type]), activation)
    check(observed, f"backward {activation}", tier, type, result, wide, np.abs(before))
    check(
        observed, "column sums", tier, type, sums[1:], result.astype(WIDE[type]).sum(axis=0),
        np.abs(result).sum(axis=0), rows,
    )  # fmt: skip


@pytest.mark.parametrize("activation", ["gelu", "silu"])
def test_slopes_of_large_arguments(tier, type, activation):
    info = np.finfo(DTYPE[type])
    z = np.array([0, 30, -30, 1e3, -1e3, info.max, -info.max, np.inf, -np.inf, np.nan, -0.0, 1e-30], DTYPE[type])
    delta, sums = np.ones_like(z), np.empty_like(z)
    dims = (1, z.size, ACTIVATIONS.index(activation))
    Kernel("activation_backward", type, tier)(dims, z, delta, sums)
    expected = [0.5, 1, 0, 1, 0, 1, 0, 1, 0, np.nan, 0.5, 0.5]
    np.testing.assert_allclose(delta, expected, atol=1e-10)


def softmax(logits):
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


LOSSES = ("mse", "huber", "cross_entropy", "binary_cross_entropy")
HUBER_THRESHOLD = 1.25


def wide_loss(name, output, target):
    """Every term, and the gradient of their sum (for mse without the factor 2)."""
    if name == "mse":
        return (output - target) ** 2, output - target
    if name == "huber":
        size = np.abs(output - target)
        near = np.minimum(size, HUBER_THRESHOLD)
        return near * (size - near / 2), np.clip(output - target, -HUBER_THRESHOLD, HUBER_THRESHOLD)
    if name == "cross_entropy":
        shifted = output - output.max(axis=1, keepdims=True)
        terms = target * (np.log(np.exp(shifted).sum(axis=1, keepdims=True)) - shifted)
        return terms, softmax(output) * target.sum(axis=1, keepdims=True) - target
    terms = np.maximum(output, 0) - output * target + np.log1p(np.exp(-np.abs(output)))
    return terms, FUNCTIONS["sigmoid"](output) - target


@pytest.mark.parametrize(("rows", "columns"), SIZES)
@pytest.mark.parametrize("name", LOSSES)
def test_losses(tier, type, name, rows, columns, observed):
    logits = draw(type, rows, columns, scale=4)
    targets = np.random.default_rng(rows).random((rows, columns)).astype(DTYPE[type])
    (output, output_row), (target, target_row) = spaced(logits, type), spaced(targets, type, 2)
    delta, delta_row = spaced(np.full((rows, columns), POISON), type, 5)
    kernel = Kernel(name, type, tier)
    arguments = (rows, columns), output, target
    total = kernel(*arguments, delta, number=0.25, steps=(output_row, target_row, delta_row))[0]
    terms, gradient = wide_loss(name, logits.astype(WIDE[type]), targets.astype(WIDE[type]))
    check(observed, name, tier, type, total, terms.sum(), np.abs(terms).sum() + np.abs(logits).sum(), columns)
    result = unspaced(delta, (rows, columns), delta_row)
    check(
        observed, f"{name} gradient", tier, type, result, gradient / 4,
        0.25 * (np.abs(logits) + targets.sum(axis=1, keepdims=True) + 1), columns,
    )  # fmt: skip
    assert kernel(*arguments, None, number=0.25, steps=(output_row, target_row, 1))[0] == total
    kernel(*arguments, output, number=0.25, steps=(output_row, target_row, output_row))
    np.testing.assert_array_equal(unspaced(output, (rows, columns), output_row), result)


def test_losses_of_certain_answers(tier, type):
    """A logit of any size on the right side costs nothing, on the wrong side its size; nothing is NaN."""
    big = np.array([[1e4, -1e4, 0.0]], DTYPE[type])
    target = np.array([[1, 0, 0]], DTYPE[type])
    out = np.empty_like(big)
    assert Kernel("cross_entropy", type, tier)((1, 3), big, target, out, steps=(3, 3, 3))[0] == 0
    np.testing.assert_array_equal(out, 0)
    assert Kernel("binary_cross_entropy", type, tier)((1, 2), big, target, out, steps=(3, 3, 3))[0] == 0
    wrong = 1 - target
    assert Kernel("binary_cross_entropy", type, tier)((1, 2), big, wrong, out, steps=(3, 3, 3))[0] == 2e4
    small = np.array([[-40.0]], DTYPE[type])  # log1p, not log(1 + e)
    loss = Kernel("binary_cross_entropy", type, tier)((1, 1), small, np.zeros((1, 1), DTYPE[type]), out)[0]
    assert loss == pytest.approx(np.exp(-40), rel=1e-6)


@pytest.mark.parametrize(("rows", "columns"), SIZES)
def test_layer_norm(tier, type, rows, columns, observed):
    """Forward against its definition, back against the formula in wide arithmetic."""
    eps = 1e-5
    sums, bias, gain = draw(type, rows, columns, scale=3), draw(type, columns), draw(type, columns, seed=1)
    (z, z_row), (normed, normed_row) = spaced(sums, type), spaced(np.full((rows, columns), POISON), type, 5)
    inverse = guarded(np.full(rows, POISON, DTYPE[type]))
    steps = (1, 1, z_row, normed_row, 1)
    Kernel("layer_norm", type, tier)((rows, columns), guarded(bias), guarded(gain), z, normed, inverse, steps=steps)
    wide = sums.astype(WIDE[type]) + bias
    off = wide - wide.mean(axis=1, keepdims=True)
    deviation = np.sqrt((off**2).mean(axis=1, keepdims=True) + eps)
    result = unspaced(normed, (rows, columns), normed_row)
    magnitude = (np.abs(wide).max(axis=1, keepdims=True) / deviation) + 1
    check(observed, "layer_norm", tier, type, result, off / deviation, magnitude, columns)
    check(observed, "layer_norm deviation", tier, type, inverse, 1 / deviation[:, 0], magnitude[:, 0] / deviation[:, 0],
          columns)  # fmt: skip
    np.testing.assert_array_equal(unspaced(z, (rows, columns), z_row), result * gain)

    before = draw(type, rows, columns, seed=2)
    delta, delta_row = spaced(before, type)
    gain_sums, bias_sums = (guarded(np.full(columns, POISON, DTYPE[type])) for _ in range(2))
    Kernel("layer_norm_backward", type, tier)(
        (rows, columns), guarded(gain), normed, inverse, delta, gain_sums, bias_sums,
        steps=(1, normed_row, 1, delta_row, 1, 1),
    )  # fmt: skip
    x, scaled = result.astype(WIDE[type]), before.astype(WIDE[type]) * gain
    inner = scaled - scaled.mean(axis=1, keepdims=True) - x * (scaled * x).mean(axis=1, keepdims=True)
    expected = inner * inverse.astype(WIDE[type])[:, None]
    got = unspaced(delta, (rows, columns), delta_row)
    size = (np.abs(scaled) + np.abs(scaled).mean(axis=1, keepdims=True) * (1 + x * x)) * inverse[:, None]
    check(observed, "layer_norm back", tier, type, got, expected, size + 1e-3, columns)
    terms = before.astype(WIDE[type]) * x
    check(observed, "layer_norm gain", tier, type, gain_sums, terms.sum(axis=0), np.abs(terms).sum(axis=0), 4 * rows)
    wide = got.astype(WIDE[type])
    check(observed, "layer_norm bias", tier, type, bias_sums, wide.sum(axis=0), np.abs(wide).sum(axis=0), 4 * rows)


@pytest.mark.parametrize(("rows", "columns"), SIZES)
def test_dropout_is_the_same_on_every_tier(tier, type, rows, columns):
    given, key, rate = draw(type, rows, columns), 0x123456789ABCDEF, 0.3

    def drop(tier):
        (x, x_row), (out, out_row) = spaced(given, type), spaced(np.full((rows, columns), POISON), type, 5)
        Kernel("dropout", type, tier)((rows, columns, key), x, out, number=rate, steps=(x_row, out_row))
        return unspaced(out, (rows, columns), out_row)

    out = drop(tier)
    np.testing.assert_array_equal(out, drop("reference"))
    kept = out != 0
    np.testing.assert_array_equal(out[kept], (given * DTYPE[type](1 / (1 - rate)))[kept])
    later = np.empty((rows // 2, columns), DTYPE[type])
    half = np.ascontiguousarray(given[rows - rows // 2 :])
    Kernel("dropout", type, tier)(
        (rows // 2, columns, key, rows - rows // 2), half, later, number=rate, steps=(columns, columns)
    )
    np.testing.assert_array_equal(later, out[rows - rows // 2 :], "rows are numbered")
    place, place_row = spaced(given, type)
    Kernel("dropout", type, tier)((rows, columns, key), place, place, number=rate, steps=(place_row, place_row))
    np.testing.assert_array_equal(unspaced(place, (rows, columns), place_row), out)


def test_dropout_drops_its_share(tier, type):
    ones, out = np.ones((400, 500), DTYPE[type]), np.empty((400, 500), DTYPE[type])
    for rate in (0.0, 0.1, 0.5, 0.9):
        Kernel("dropout", type, tier)((400, 500, 77), ones, out, number=rate, steps=(500, 500))
        dropped = out == 0
        assert dropped.mean() == pytest.approx(rate, abs=4 * (rate * (1 - rate) / out.size) ** 0.5)
        if rate == 0.5:
            # neighbours are independent, in rows and in columns
            for a, b in ((dropped[:, 1:], dropped[:, :-1]), (dropped[1:], dropped[:-1])):
                assert (a & b).mean() == pytest.approx(0.25, abs=0.01)


CELLS = [(1, 1), (2, 3), (3, 17), (5, 8), (4, 16), (9, 31), (2, 65), (1, 129)]


def gates_of(sums, hidden):
    """Input, forget, value and output gates from sums, in their (wide) type."""
    parts = [sums[:, k * hidden : (k + 1) * hidden] for k in range(4)]
    return [np.tanh(part) if k == 2 else FUNCTIONS["sigmoid"](part) for k, part in enumerate(parts)]


@pytest.mark.parametrize("twice", [False, True], ids=["out", "out twice"])
@pytest.mark.parametrize(("rows", "hidden"), CELLS)
def test_lstm_cell(tier, type, rows, hidden, twice, observed):
    sums, bias = draw(type, rows, 4 * hidden, scale=2), draw(type, 4 * hidden)
    before = draw(type, rows, hidden, seed=1)
    empty = np.full((rows, hidden), POISON)
    gates, gates_row = spaced(sums, type)
    (out, out_row), (too, too_row) = spaced(empty, type, 5), spaced(empty, type, 7)
    cells = guarded(empty.astype(DTYPE[type]))
    kernel, steps = Kernel("lstm_cell", type, tier), (1, gates_row, 1, 1, out_row, too_row)
    kernel((rows, hidden), guarded(bias), gates, guarded(before), cells, out, too if twice else None, steps=steps)

    wide = sums.astype(WIDE[type]) + bias
    four = unspaced(gates, sums.shape, gates_row)
    check(observed, "lstm_cell gates", tier, type, four, np.hstack(gates_of(wide, hidden)), np.abs(wide) + 1)
    given, forget, value, opened = np.split(four.astype(WIDE[type]), 4, axis=1)
    expected = forget * before + given * value
    check(observed, "lstm_cell cells", tier, type, cells, expected, np.abs(forget * before) + np.abs(given * value))
    result = unspaced(out, before.shape, out_row)
    after = cells.astype(WIDE[type])
    check(observed, "lstm_cell", tier, type, result, opened * np.tanh(after), np.abs(opened) * (np.abs(after) + 1))
    again = unspaced(too, before.shape, too_row)
    np.testing.assert_array_equal(again, result if twice else empty.astype(DTYPE[type]))

    # the cells may take the place of those before
    gates, gates_row = spaced(sums, type)
    place, (out, out_row) = guarded(before), spaced(empty, type, 5)
    kernel((rows, hidden), guarded(bias), gates, place, place, out, None, steps=steps)
    np.testing.assert_array_equal(place, cells)
    np.testing.assert_array_equal(unspaced(out, before.shape, out_row), result)


@pytest.mark.parametrize("given", [(True, True), (True, False), (False, True), (False, False)], ids=str)
@pytest.mark.parametrize(("rows", "hidden"), CELLS)
def test_lstm_cell_backward(tier, type, rows, hidden, given, observed):
    four = np.hstack(gates_of(draw(type, rows, 4 * hidden, scale=2).astype(WIDE[type]), hidden)).astype(DTYPE[type])
    before, cells = draw(type, rows, hidden, seed=1), draw(type, rows, hidden, seed=2)
    of_cells = draw(type, rows, hidden, seed=3)
    of_out = [draw(type, rows, hidden, seed=seed) if there else np.zeros((rows, hidden), DTYPE[type])
              for seed, there in zip((4, 5), given, strict=True)]  # fmt: skip
    gates, gates_row = spaced(four, type)
    (delta, delta_row), (too, too_row) = spaced(of_out[0], type, 5), spaced(of_out[1], type, 7)
    place = guarded(of_cells)
    result, result_row = spaced(np.full(four.shape, POISON), type, 1)
    kernel, steps = Kernel("lstm_cell_backward", type, tier), (gates_row, 1, 1, delta_row, too_row, 1, result_row)
    operands = (delta if given[0] else None, too if given[1] else None)
    kernel((rows, hidden), gates, guarded(before), guarded(cells), *operands, place, result, steps=steps)

    put, forget, value, opened = np.split(four.astype(WIDE[type]), 4, axis=1)
    squashed = np.tanh(cells.astype(WIDE[type]))
    whole = of_out[0].astype(WIDE[type]) + of_out[1]
    through = of_cells + whole * opened * (1 - squashed**2)
    size = np.abs(of_cells) + np.abs(of_out[0]) + np.abs(of_out[1])
    expected = [through * value * put * (1 - put), through * before * forget * (1 - forget),
                through * put * (1 - value**2), whole * squashed * opened * (1 - opened)]  # fmt: skip
    sizes = [size, size * np.abs(before), size, size]
    deltas = unspaced(result, four.shape, result_row)
    check(observed, "lstm_cell back", tier, type, deltas, np.hstack(expected), np.hstack(sizes))
    check(observed, "lstm_cell back cells", tier, type, place, through * forget, size)
    np.testing.assert_array_equal(unspaced(gates, four.shape, gates_row), four)

    # the gradients of the sums may take the gates' place
    place = guarded(of_cells)
    kernel((rows, hidden), gates, guarded(before), guarded(cells), *operands, place, gates,
           steps=(*steps[:-1], gates_row))  # fmt: skip
    np.testing.assert_array_equal(unspaced(gates, four.shape, gates_row), deltas)


@pytest.mark.parametrize("size", [0.0, 1e4])
def test_lstm_cells_saturate(tier, type, size):
    """Gates of large sums are 0 or 1, and have no slope; nothing is NaN."""
    hidden = 5
    gates = np.repeat(np.array([[size, -size, size, -size]], DTYPE[type]), hidden, axis=1)
    bias, before = np.zeros(4 * hidden, DTYPE[type]), np.full((1, hidden), 3, DTYPE[type])
    cells, out = np.empty_like(before), np.empty_like(before)
    Kernel("lstm_cell", type, tier)((1, hidden), bias, gates, before, cells, out, None,
                                    steps=(1, 4 * hidden, 1, 1, hidden, 1))  # fmt: skip
    expected = [0.5, 0.5, 0, 0.5] if size == 0 else [1, 0, 1, 0]
    np.testing.assert_allclose(gates[0], np.repeat(expected, hidden), atol=1e-7)
    np.testing.assert_allclose(cells, 1.5 if size == 0 else 1, atol=1e-6)
    np.testing.assert_allclose(out, np.tanh(1.5) / 2 if size == 0 else 0, atol=1e-6)
    delta, of_cells, deltas = np.ones_like(before), np.ones_like(before), np.empty_like(gates)
    Kernel("lstm_cell_backward", type, tier)((1, hidden), gates, before, cells, delta, None, of_cells, deltas,
                                             steps=(4 * hidden, 1, 1, hidden, 1, 1, 4 * hidden))  # fmt: skip
    if size:
        np.testing.assert_array_equal(deltas, 0)
    assert np.isfinite(of_cells).all()


@pytest.mark.parametrize("n", [0, 1, 7, 8, 16, 17, 63, 129, 1021])
def test_adamw(tier, type, n, observed):
    lr, beta1, beta2, eps, decay = 1e-2, 0.9, 0.99, 1e-8, 0.1
    p, m, v = draw(type, n), draw(type, n, seed=1, scale=0.1), draw(type, n, seed=2) ** 2
    arrays = [guarded(a) for a in (draw(type, n, seed=3), m, v, p)]
    t = 7
    rates = [1 - lr * decay, 1 - beta1, beta2, 1 - beta2, lr / (1 - beta1**t), 1 / np.sqrt(1 - beta2**t), eps]
    Kernel("adamw", type, tier)((n,), np.array(rates, DTYPE[type]), *arrays)
    g, m, v, p = (a.astype(WIDE[type]) for a in (arrays[0], m, v, p))
    m2, v2 = m + (g - m) * (1 - beta1), beta2 * v + (1 - beta2) * g * g
    step = lr * (m2 / (1 - beta1**t)) / (np.sqrt(v2 / (1 - beta2**t)) + eps)
    if n:
        check(observed, "adamw first", tier, type, arrays[1], m2, np.abs(m) + np.abs(g))
        check(observed, "adamw second", tier, type, arrays[2], v2, v2)
        check(observed, "adamw", tier, type, arrays[3], p * (1 - lr * decay) - step, np.abs(p) + np.abs(step))


@pytest.mark.parametrize(("momentum", "nesterov"), [(0.0, 0), (0.9, 0), (0.9, 1)])
@pytest.mark.parametrize("n", [0, 1, 7, 8, 16, 17, 63, 129, 1021])
def test_sgd(tier, type, n, momentum, nesterov, observed):
    lr, decay = 0.1, 0.01
    g, velocity, p = draw(type, n), draw(type, n, seed=1), draw(type, n, seed=2)
    arrays = [guarded(g), guarded(velocity) if momentum else None, guarded(p)]
    Kernel("sgd", type, tier)((n,), np.array([lr, momentum, decay, nesterov], DTYPE[type]), *arrays)
    g, velocity, p = (a.astype(WIDE[type]) for a in (g, velocity, p))
    changed = momentum * velocity + g + decay * p
    step = momentum * changed + g + decay * p if nesterov else changed
    magnitude = np.abs(momentum * velocity) + np.abs(g) + np.abs(p)
    if n:
        check(observed, "sgd", tier, type, arrays[2], p - lr * step, 2 * magnitude)
        if momentum:
            check(observed, "sgd velocity", tier, type, arrays[1], changed, magnitude)


def test_optimisers_leave_padding_zero(tier, type):
    zeros = [np.zeros(37, DTYPE[type]) for _ in range(4)]
    Kernel("adamw", type, tier)((37,), np.array([0.9, 0.1, 0.9, 0.1, 0.1, 10, 1e-8], DTYPE[type]), *zeros)
    Kernel("sgd", type, tier)((37,), np.array([0.1, 0.9, 0.1, 0], DTYPE[type]), *zeros[:3])
    assert all(np.array_equal(array, np.zeros(37)) for array in zeros)
