"""exp, log, tanh, sigmoid and erf: a stride of all float32 patterns, and float64 where errors are largest.

`make test-ulp` goes through every float32 pattern.
"""

import numpy as np
import pytest
from kernels.every_float32 import ORACLES, bounds, search
from kernels.wide import FUNCTIONS, ulp_error

from mlopt._kernels.register import Kernel

STRIDES = {"exp": 4003, "log": 4007, "tanh": 4013, "sigmoid": 4019, "erf": 4021}  # primes
SAMPLES = 200_000


@pytest.mark.parametrize("name", ORACLES)
def test_float32(name, tier, observed):
    pytest.importorskip("scipy")
    offset = 977 * list(ORACLES).index(name)
    worst = search(name, [tier], offset, STRIDES[name])[tier]
    observed(f"{name}_f32 patterns", tier, worst.error, bounds()[name])


def samples(name):
    """Numbers of every size, and many where the function bends."""
    rng = np.random.default_rng(2)
    n = SAMPLES if name != "erf" else 1500  # mpmath is slow
    x = [
        rng.standard_normal(n) * np.exp2(rng.integers(-8, 9, n).astype(float)),
        rng.uniform(-1.2, 1.2, n),
        rng.uniform(-25, 25, n),
        np.exp2(rng.uniform(-1070, 5, n)),
        rng.uniform(0.16, 0.25, n),
    ]
    x = np.concatenate(x)
    return np.abs(x) if name == "log" else x


@pytest.mark.skipif(np.finfo(np.longdouble).nmant < 60, reason="long double is no wider than double here")
@pytest.mark.parametrize("name", ORACLES)
def test_float64(name, tier, observed):
    x = samples(name)
    with np.errstate(all="ignore"):
        exact = FUNCTIONS[name](x.astype(np.longdouble))
    out = np.empty_like(x)
    Kernel(name, "f64", tier)((x.size,), x, out)
    observed(f"{name}_f64 samples", tier, ulp_error(out, exact), bounds()[name])


def around(edges, steps=200):
    """Each edge, a positive number, with its neighbours on both sides; then the same below zero."""
    kind = np.uint32 if edges.dtype == np.float32 else np.uint64
    patterns = edges.view(kind)[:, None] + np.arange(-steps, steps).astype(kind)
    x = patterns.view(edges.dtype).ravel()
    return np.concatenate([x, -x])


@pytest.mark.skipif(np.finfo(np.longdouble).nmant < 60, reason="long double is no wider than double here")
def test_edges_of_tables(tier, observed):
    """Where tanh and log go from one entry of their tables to the next (vector/lookups.h), and where tanh becomes 1."""
    starts = np.ldexp(np.arange(8, 16) / 8, np.arange(-1, 4)[:, None]).ravel()
    edges = np.append(starts[starts > 0.625] - 0.625, 9.25)
    x = around(edges.astype(np.float32))
    out = np.empty_like(x)
    Kernel("tanh", "f32", tier)((x.size,), x, out)
    assert np.abs(out).max() == 1
    observed("tanh_f32 edges", tier, ulp_error(out, np.tanh(x.astype(np.longdouble))), bounds()["tanh"])

    x = np.abs(around(np.ldexp(np.arange(16, 33) / 16, np.arange(-3, 4)[:, None]).ravel()))
    out = np.empty_like(x)
    Kernel("log", "f64", tier)((x.size,), x, out)
    observed("log_f64 edges", tier, ulp_error(out, np.log(x.astype(np.longdouble))), bounds()["log"])
