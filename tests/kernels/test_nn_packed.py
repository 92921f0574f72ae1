"""Chains of layers from packed weights, on every tier and type, against wide arithmetic: shapes around every register
width, the activations, guard pages behind what is read and written."""

from itertools import pairwise

import numpy as np
import pytest
from guard import guarded
from kernels.test_nn import ACTIVATIONS, activate, draw, tier, type  # noqa: F401  (fixtures)
from kernels.wide import DTYPE, WIDE

from mlopt._kernels.register import Kernel

LAYER = np.dtype(
    [("inputs", "u8"), ("outputs", "u8"), ("w", "u8"), ("bias", "u8"), ("w_row", "u8"), ("w_column", "u8"),
     ("z", "u8"), ("out", "u8"), ("room", "u8"), ("activation", "u4"), ("padding", "u4")]
)  # fmt: skip
STEP_BYTES = 80
POISON = -1.2345e9
SHAPES = [
    (1, 1), (3, 2), (16, 16), (17, 33), (5, 129), (31, 8), (40, 9), (15, 4), (64, 257), (100, 50, 10), (9, 24, 1),
    (7, 130, 65, 3), (20, 48, 5, 2),
]  # fmt: skip


class Chain:
    """A planned chain, with everything it points to."""

    def __init__(self, widths, activations, type, tier, across=False):  # noqa: F811
        dtype = DTYPE[type]
        self.layers, self.arrays = np.zeros(len(widths) - 1, LAYER), []
        for i, (inputs, outputs) in enumerate(pairwise(widths)):
            w, bias = draw(type, inputs, outputs) / inputs**0.5, draw(type, outputs) * (not across)
            room = -(-outputs // 16) * 16
            z, out = (guarded(np.full(room, POISON, dtype)) for _ in range(2))
            apart = activations[i] in ("gelu", "silu")
            self.arrays.append((guarded((w.T if across else w).ravel()), guarded(bias), z, out, w, bias))
            flat, flat_bias, z, out = self.arrays[-1][:4]
            self.layers[i] = (
                inputs, outputs, flat.ctypes.data, 0 if across else flat_bias.ctypes.data,
                *((1, inputs) if across else (outputs, 1)), (z if apart else out).ctypes.data, out.ctypes.data, room,
                ACTIVATIONS.index(activations[i]), 0,
            )  # fmt: skip
        self.kernel = Kernel("packed_plan", type, tier)
        self.count, length = self.plan(dtype, None, None)
        self.steps = np.zeros(self.count * STEP_BYTES // dtype().itemsize, dtype)
        self.packed = guarded(np.full(length, POISON, dtype))
        assert self.plan(dtype, self.steps, self.packed) == (self.count, length)

    def plan(self, dtype, steps, packed):
        length = np.zeros(1, np.uint64)
        count = self.kernel((len(self.layers),), self.layers.view(dtype), steps, packed, length.view(dtype))[0]
        return int(count), int(length[0])


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("widths", SHAPES)
@pytest.mark.parametrize("across", [False, True], ids=["", "across"])
def test_chains(tier, type, across, widths, activation, observed):  # noqa: F811
    last = "identity" if activation == "relu" else activation
    activations = [activation] * (len(widths) - 2) + [last]
    chain = Chain(widths, activations, type, tier, across)
    x, out = draw(type, widths[0]), guarded(np.full(widths[-1], POISON, DTYPE[type]))
    Kernel("packed_run", type, tier)((chain.count,), chain.steps, guarded(x), out)
    wide, size = x.astype(WIDE[type]), np.abs(x).astype(WIDE[type])
    eps = np.finfo(DTYPE[type]).eps
    bound = 8 * len(widths) + (sum(widths) if tier == "reference" else sum(widths) / 4)
    for i, ((_, _, z, outputs, w, bias), name) in enumerate(zip(chain.arrays, activations, strict=True)):
        size = size @ np.abs(w) + np.abs(bias) + 1
        sums = wide @ w.astype(WIDE[type]) + bias
        wide = activate(sums, name)
        # what the way back needs: the sums of gelu and silu, the outputs of all layers but the last
        kept = [(z, sums)] if name in ("gelu", "silu") else []
        for values, expected in kept + ([(outputs, wide)] if i < len(widths) - 2 else []):
            error = np.abs(values[: len(bias)] - expected) / (eps * size)
            observed(f"packed kept_{type}", tier, float(error.max() / bound), 1.0)
    observed(f"packed_{type}", tier, float((np.abs(out - wide) / (eps * size)).max() / bound), 1.0)


def test_not_a_number_stays_one(tier, type):  # noqa: F811
    chain = Chain((4, 20, 3), ["relu", "identity"], type, tier)
    x, out = np.array([1, np.nan, 0, 2], DTYPE[type]), np.zeros(3, DTYPE[type])
    Kernel("packed_run", type, tier)((chain.count,), chain.steps, x, out)
    assert np.isnan(out).all()


@pytest.mark.parametrize("outputs", [1, 2, 4, 8, 16, 32, 34, 48, 50, 64, 128, 130, 256])
def test_packing_wastes_nothing_where_widths_are_powers_of_two(tier, type, outputs):  # noqa: F811
    chain = Chain((96, outputs), ["identity"], type, tier)
    lanes = 64 // DTYPE[type]().itemsize
    assert len(chain.packed) <= 96 * outputs + outputs + 2 * lanes
