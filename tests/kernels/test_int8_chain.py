"""The kernels of chains, where networks do not reach: places that end at a guard page, rows of any step, plans.

Values, sizes and hostile numbers are tests/nn/test_quantized.py's.
"""

import ctypes

import numpy as np
import pytest
from guard import guarded
from kernels.conftest import tiers_of

from mlopt._kernels.register import Kernel

PANEL = 96
f32 = np.float32
IDENTITY, RELU, TANH = 0, 1, 2


class Layer(ctypes.Structure):
    """mlopt_int8_layer of signatures.h."""

    _fields_ = (
        ("inputs", ctypes.c_size_t), ("outputs", ctypes.c_size_t), ("packed", ctypes.c_void_p),
        ("packed_columns", ctypes.c_size_t), ("start", ctypes.c_void_p), ("scale", ctypes.c_void_p),
        ("shift", ctypes.c_void_p), ("activation", ctypes.c_int), ("multiplier", ctypes.c_float),
        ("zero", ctypes.c_int32), ("dynamic", ctypes.c_int), ("weight_scale", ctypes.c_void_p),
        ("bytes", ctypes.c_void_p), ("reals", ctypes.c_void_p),
    )  # fmt: skip


class Step(ctypes.Structure):
    """mlopt_int8_step."""

    _fields_ = (
        ("run", ctypes.c_void_p), ("layer", ctypes.c_void_p), ("next", ctypes.c_void_p), ("x", ctypes.c_void_p),
        ("out", ctypes.c_void_p), ("first", ctypes.c_size_t), ("columns", ctypes.c_size_t),
        ("activation", ctypes.c_int), ("floor", ctypes.c_float), ("multiplier", ctypes.c_float),
        ("low", ctypes.c_float), ("high", ctypes.c_float), ("zero", ctypes.c_int32),
    )  # fmt: skip


@pytest.fixture(params=tiers_of("int8"))
def tier(request):
    return request.param


def up(n, unit):
    return -(-n // unit) * unit


class Chain:
    """Random layers whose every array is exactly as large as the contract says, and guarded."""

    def __init__(self, tier, widths, activations, dynamic, seed=0):
        rng = np.random.default_rng(seed)
        self.tier, self.kept, self.weights = tier, [], []
        self.layers = (Layer * len(activations))()
        pack = Kernel("gemm_pack", "s8", tier)
        for layer, inputs, outputs, activation in zip(self.layers, widths[:-1], widths[1:], activations, strict=True):
            weights = rng.integers(-128, 128, (inputs, outputs)).astype(np.int8)
            columns = int(pack((inputs, outputs), weights, None, steps=(outputs, 1))[0])
            packed = guarded(np.zeros((up(inputs, 4) + 4) * columns, np.int8))
            pack((inputs, outputs), weights, packed, steps=(outputs, 1))
            wide = up(columns, PANEL)
            scale, shift, start = np.zeros(wide, f32), np.zeros(wide, f32), np.zeros(wide, np.int32)
            scale[:outputs] = rng.uniform(0.5, 1.5, outputs) / 64 / inputs**0.5
            shift[:outputs] = rng.normal(size=outputs)
            layer.multiplier, layer.zero = 32.0, int(rng.integers(100, 150))
            unit = f32(1 / 32)
            start[:outputs] = -layer.zero * weights.astype(np.int64).sum(axis=0)
            arrays = {
                "packed": packed, "shift": guarded(shift), "weight_scale": guarded(scale),
                "start": guarded(np.full_like(start, 7) if dynamic else start),
                "scale": guarded(np.full_like(scale, 7) if dynamic else scale * unit),
                "bytes": guarded(np.zeros(up(inputs, 64), np.uint8)), "reals": guarded(np.zeros(wide, f32)),
            }  # fmt: skip
            for name, array in arrays.items():
                setattr(layer, name, array.ctypes.data)
            layer.inputs, layer.outputs, layer.packed_columns = inputs, outputs, columns
            layer.activation, layer.dynamic = activation, dynamic
            self.kept.append(arrays)
            self.weights.append(weights)
        self.memory = np.frombuffer(self.layers, np.uint8)
        plan = Kernel("chain_plan", "s8", tier)
        self.count = int(plan((len(self.layers),), self.memory, None)[0])
        self.steps = guarded(np.zeros(self.count * ctypes.sizeof(Step), np.uint8))
        assert plan((len(self.layers),), self.memory, self.steps)[0] == self.count

    def __call__(self, x):
        x, out = guarded(x), guarded(np.zeros(self.layers[-1].outputs, f32))
        Kernel("chain_run", "s8", self.tier)((self.count,), self.steps, x, out)
        return np.array(out)


@pytest.mark.parametrize("dynamic", [False, True])
@pytest.mark.parametrize(
    ("widths", "activations"),
    [
        ([1, 1], [IDENTITY]), ([3, 5, 2], [RELU, IDENTITY]), ([64, 96, 192, 96], [RELU, TANH, RELU]),
        ([65, 97, 193, 33], [TANH, IDENTITY, TANH]), ([16, 48, 17], [RELU, RELU]), ([128, 288, 4], [IDENTITY, TANH]),
    ],
)  # fmt: skip
def test_places_are_as_large_as_the_contract_says(tier, widths, activations, dynamic):
    x = np.random.default_rng(1).normal(size=widths[0]).astype(f32)
    expected = Chain("reference", widths, activations, dynamic)(x)
    chain = Chain(tier, widths, activations, dynamic)
    for _ in range(2):  # what a call leaves behind is no part of the next one
        if all(activation <= RELU for activation in activations):
            np.testing.assert_array_equal(chain(x), expected)
        else:
            np.testing.assert_allclose(chain(x), expected, atol=0.1)
        for arrays in chain.kept:
            arrays["bytes"][...] = 255
            arrays["reals"][...] = np.nan


@pytest.mark.parametrize("activation", [IDENTITY, RELU, TANH])
@pytest.mark.parametrize("count", [1, 2, 5])
def test_a_plan_begins_with_the_inputs_and_ends_with_the_outputs(tier, count, activation):
    widths = [20, *range(90, 90 + count)]
    chain = Chain(tier, widths, [activation] * count, dynamic=False)
    steps = (Step * chain.count).from_buffer(chain.steps)
    assert steps[0].x is None
    assert steps[chain.count - 1].out is None
    size = ctypes.sizeof(Layer)
    mine = range(chain.memory.ctypes.data, chain.memory.ctypes.data + count * size, size)
    assert {step.layer for step in steps} - {None} == set(mine)
    for step in steps:
        assert step.first + step.columns <= max(widths)


@pytest.mark.parametrize("inputs", [1, 3, 4, 15, 16, 17, 63, 64, 65, 130])
@pytest.mark.parametrize("rows", [0, 1, 3])
def test_rows_of_any_step(tier, inputs, rows):
    """Rows of the input end where they end; of the output no more is written than up to a multiple of 16."""
    rng = np.random.default_rng(inputs)
    layer = Layer(inputs=inputs, multiplier=8.0, zero=77)
    layer_memory = np.frombuffer(layer, np.uint8)
    x_row, out_row = inputs + 5, up(inputs, 16) + 3
    x = guarded((20 * rng.standard_normal(max(rows - 1, 0) * x_row + (inputs if rows else 0))).astype(f32))
    out = guarded(np.full(max(rows - 1, 0) * out_row + (up(inputs, 16) if rows else 0), 199, np.uint8))
    Kernel("chain_inputs", "s8", tier)((rows,), layer_memory, x, out, steps=(0, x_row, out_row))
    for row in range(rows):
        expected = np.clip(np.rint(x[row * x_row :][:inputs] * f32(8)) + 77, 0, 255)
        np.testing.assert_array_equal(out[row * out_row :][:inputs], expected)
        if row + 1 < rows:
            assert (out[row * out_row + up(inputs, 16) : (row + 1) * out_row] == 199).all()


HOSTILE = np.array([0, -0.0, np.nan, np.inf, -np.inf, 3.4e38, -3.4e38, 1e-45, 1.2e-38, 1, -1], f32)


def by_range(x):
    """ONNX's DynamicQuantizeLinear: bytes, zero point and scale."""
    with np.errstate(all="ignore"):
        low, high = f32(np.nanmin(x, initial=0)), f32(np.nanmax(x, initial=0))
        unit = f32(high - low) / f32(255)
        zero = 0
        if 0 < unit < np.inf and np.isfinite(1 / unit):
            zero = int(np.rint(min(-low / unit, f32(255))))
        else:
            unit = f32(1)
        scaled = x * (1 / unit)
        q = np.rint(np.clip(np.where(np.isnan(scaled), -np.inf, scaled), -zero, 255 - zero)) + zero
    return q.astype(np.uint8), zero, unit


@pytest.mark.parametrize("inputs", [1, 3, 4, 15, 16, 17, 63, 64, 65, 130])
@pytest.mark.parametrize("hostile", [0, 0.1, 1])
def test_rows_by_their_own_range(tier, inputs, hostile):
    rng = np.random.default_rng(inputs)
    rows, x_row, out_row = 7, inputs + 5, up(inputs, 16) + 3
    layer = Layer(inputs=inputs, dynamic=1)
    x = (rng.standard_normal((rows - 1) * x_row + inputs) * rng.choice([1e-30, 1, 1e30])).astype(f32)
    where = rng.random(x.size) < hostile
    x[where] = rng.choice(HOSTILE, where.sum())
    x = guarded(x)
    x[:inputs] = 0
    out = guarded(np.full((rows - 1) * out_row + up(inputs, 16), 199, np.uint8))
    zeros, units = guarded(np.zeros(rows, np.int32)), guarded(np.zeros(rows, f32))
    layer_memory = np.frombuffer(layer, np.uint8)
    Kernel("chain_ranges", "s8", tier)((rows,), layer_memory, x, out, zeros, units, steps=(0, x_row, out_row, 1, 1))
    for row in range(rows):
        q, zero, unit = by_range(np.asarray(x[row * x_row :][:inputs]))
        assert (zeros[row], units[row]) == (zero, unit)
        np.testing.assert_array_equal(out[row * out_row :][:inputs], q)
        if row + 1 < rows:
            assert (out[row * out_row + up(inputs, 16) : (row + 1) * out_row] == 199).all()


@pytest.mark.parametrize("activation", [IDENTITY, RELU, TANH])
@pytest.mark.parametrize("outputs", [1, 3, 15, 16, 17, 47, 48, 49, 97])
def test_sums_become_real_where_they_are(tier, outputs, activation):
    rng = np.random.default_rng(outputs)
    rows, row = 4, outputs + 3
    wide = up(outputs, PANEL)
    weight_scale, shift = guarded(rng.uniform(0, 0.01, wide).astype(f32)), guarded(rng.normal(size=wide).astype(f32))
    units = guarded(rng.uniform(0, 0.01, rows).astype(f32))
    layer = Layer(
        outputs=outputs, activation=activation, dynamic=1, weight_scale=weight_scale.ctypes.data,
        shift=shift.ctypes.data,
    )  # fmt: skip
    sums = rng.integers(-(2**31), 2**31, (rows - 1) * row + outputs).astype(np.int32)
    sums[:2] = sums[:2] // 2**16
    memory = guarded(sums)
    layer_memory = np.frombuffer(layer, np.uint8)
    Kernel("chain_reals", "s8", tier)((rows,), layer_memory, units, memory, steps=(0, 1, row))
    for i in range(rows):
        real = sums[i * row :][:outputs].astype(f32) * (units[i] * weight_scale[:outputs]) + shift[:outputs]
        got = memory[i * row :][:outputs].view(f32)
        if activation == TANH:
            np.testing.assert_allclose(got, np.tanh(np.asarray(real, float)), rtol=1e-6)
        else:
            np.testing.assert_array_equal(got, np.maximum(real, 0) if activation == RELU else real)
        if i + 1 < rows:
            gap = slice(i * row + outputs, (i + 1) * row)
            np.testing.assert_array_equal(memory[gap], sums[gap])
