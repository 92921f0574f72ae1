"""The limit loops compute what their contract says, on every tier; the rates they give are positive."""

import numpy as np
import pytest

from mlopt._kernels.core import available_tiers
from mlopt._kernels.register import Kernel
from mlopt.targets import limits
from mlopt.targets.memory import aligned, aligned_copy

DTYPES = {"f32": np.float32, "f64": np.float64}
SIZES = [0, 1, 3, 15, 16, 17, 31, 64, 127, 257, 1000]


def operands(n, dtype):
    """Two inputs and an output with a margin, off their alignment by an element."""
    rng = np.random.default_rng(n)
    x, y = (1 + rng.uniform(size=n + 1).astype(dtype)[1:] for _ in range(2))
    return x, y, np.full(n + 65, 7, dtype)


def bits(array):
    return np.ascontiguousarray(array).view(f"u{array.dtype.itemsize}")


@pytest.mark.parametrize("tier", available_tiers())
@pytest.mark.parametrize("kind", DTYPES)
@pytest.mark.parametrize("n", SIZES)
def test_streams(tier, kind, n):
    x, y, out = operands(n, DTYPES[kind])
    before = y[::-1].copy()
    for name, expected in (
        ("limit_copy", bits(x)), ("limit_triad", bits(x) | bits(y)), ("limit_update", bits(before) | bits(x))
    ):  # fmt: skip
        out[:] = 7
        out[1 : n + 1] = before
        assert Kernel(name, kind, tier)((n,), x, y, out[1:])[0] == 0
        np.testing.assert_array_equal(bits(out[1 : n + 1]), expected)
        assert out[0] == 7
        assert (out[n + 1 :] == 7).all()


@pytest.mark.parametrize("tier", available_tiers())
@pytest.mark.parametrize("kind", DTYPES)
@pytest.mark.parametrize("n", SIZES)
def test_reads_see_every_element(tier, kind, n):
    x, y, out = operands(n, DTYPES[kind])
    for name, seen in (("limit_read", bits(x)), ("limit_read_two", np.concatenate([bits(x), bits(y)]))):
        expected = np.bitwise_or.reduce(seen, initial=0).astype(seen.dtype).reshape(1).view(x.dtype)[0]
        assert Kernel(name, kind, tier)((n,), x, y, out)[0] == expected


@pytest.mark.parametrize("tier", available_tiers())
@pytest.mark.parametrize(("kind", "eps"), [("f32", 2.0**-23), ("f64", 2.0**-52)])
@pytest.mark.parametrize("n", [0, 1, 191, 192, 1000, 19200])
def test_fma_chains(tier, kind, eps, n):
    x, y, out = (np.full(1, value, DTYPES[kind]) for value in (0.9, 0.3, 7))
    steps = n // limits.CHAINS
    chains = np.arange(12.0)
    for _ in range(steps):
        chains = chains * float(x[0]) + float(y[0])
    expected = 16 * chains.sum() if steps else 0.0
    assert Kernel("limit_fma", kind, tier)((n,), x, y, out)[0] == pytest.approx(expected, rel=64 * eps)
    assert out[0] == 7


def test_rates():
    made = [limits.fma("float32"), limits.fma("float64", 2), limits.l1_read(), limits.stream("triad", "float64", 99)]
    made += [limits.dot_int8(), limits.dot_bf16()]
    for limit in made:
        assert limit.amount > 0
        assert limit.batch(2) > 0
    assert limits.fma("float64").scale(125e9) == 1
    assert limits.stream("copy", "float32", 8).scale(1.0) is None


def test_memory_is_aligned_and_staggered():
    for place in range(5):
        array = aligned((3, 5), "float32", place=place)
        assert array.ctypes.data % 64 == 0
        assert array.ctypes.data % 4096 == place * 1088 % 4096
    np.testing.assert_array_equal(aligned_copy(np.arange(6.0).reshape(2, 3)), np.arange(6.0).reshape(2, 3))
