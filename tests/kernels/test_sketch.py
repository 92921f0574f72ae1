"""Random numbers and transforms of sketches on every tier: the reference's bits, other arithmetic, memory bounds."""

import numpy as np
import pytest
from guard import guarded
from kernels.conftest import rows, tiers_of
from kernels.wide import DTYPE, WIDE

from mlopt._kernels.register import Kernel

NORMAL, WALSH, SUMS = rows("random_normal"), rows("walsh_hadamard"), rows("signed_sums")
TRANSPOSES = rows("transpose_scaled")
POISON = -1.5
KEYS = (0, 1, 0x123456789ABCDEF0, 2**64 - 1)


@pytest.fixture(params=tiers_of("sketch"))
def tier(request):
    return request.param


# -- random numbers ---------------------------------------------------------------------------------------------------


def philox(counters, key):
    """Philox4x32-10 by NumPy's integers: counters (n, 4) and a key of two words, as lists of 32-bit words."""
    c = [counters[:, i].astype(np.uint64) for i in range(4)]
    low, k = np.uint64(0xFFFFFFFF), list(key)
    for _ in range(10):
        first, second = c[0] * np.uint64(0xD2511F53), c[2] * np.uint64(0xCD9E8D57)
        c = [
            (second >> np.uint64(32)) ^ c[1] ^ np.uint64(k[0]), second & low,
            (first >> np.uint64(32)) ^ c[3] ^ np.uint64(k[1]), first & low,
        ]  # fmt: skip
        k = [(k[0] + 0x9E3779B9) & 0xFFFFFFFF, (k[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return np.stack(c, axis=1).astype(np.uint32)


def test_the_oracle_gives_the_published_answers():
    """Known answers of the Random123 library for philox4x32, ten rounds."""
    digits = np.array([[0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344]])
    for counter, key, expected in (
        (np.zeros((1, 4)), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        (np.full((1, 4), 2**32 - 1), (2**32 - 1, 2**32 - 1), (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (digits, (0xA4093822, 0x299F31D0), (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1)),
    ):
        assert tuple(philox(counter, key)[0]) == expected


def exact_normals(type, key, first, n):
    """The numbers of the stream by the C library in wider arithmetic, and the radii, from the same bits."""
    wide, pairs = WIDE[type], 2 if type == "f32" else 1
    j = first + np.arange(n, dtype=np.uint64)
    block, within = np.divmod(j, np.uint64(32 * pairs))
    counter, which = np.uint64(16) * block + within % np.uint64(16), (within // np.uint64(16)).astype(int)
    counters = np.zeros((n, 4), np.uint64)
    counters[:, 0], counters[:, 1] = counter & np.uint64(0xFFFFFFFF), counter >> np.uint64(32)
    counters[:, 2] = 0 if type == "f32" else 1
    words = philox(counters, (key & 0xFFFFFFFF, key >> 32)).astype(np.uint64)
    if type == "f32":
        radius_bits = words[np.arange(n), which // 2 * 2]
        angle_bits = words[np.arange(n), which // 2 * 2 + 1] << np.uint64(32)
        u = (((radius_bits >> np.uint64(1)).astype(np.float32) + np.float32(0.5)) * np.float32(2.0**-31)).astype(wide)
        of_quadrant = ((angle_bits >> np.uint64(32)).astype(np.uint32) << np.uint32(2)).view(np.int32)
        x = (of_quadrant.astype(np.float32) * np.float32(2.0**-31)).astype(wide)
    else:
        radius_bits, angle_bits = words[:, 1] << np.uint64(32) | words[:, 0], words[:, 3] << np.uint64(32) | words[:, 2]
        u = (radius_bits >> np.uint64(12)).astype(wide) * wide(2.0**-52) + wide(2.0**-53)
        of_quadrant = (angle_bits << np.uint64(2) >> np.uint64(12)).astype(np.int64) - 2**51
        x = of_quadrant.astype(wide) * wide(2.0**-51)
    radius = np.sqrt(-2 * np.log(u))
    quarter = np.arctan(wide(1))
    angle = x * quarter + quarter
    signs = angle_bits >> (np.uint64(63) - (which % 2).astype(np.uint64)) & np.uint64(1)
    return np.where(signs == 1, -1, 1) * radius * np.where(which % 2 == 0, np.cos(angle), np.sin(angle)), radius


@pytest.mark.parametrize(("name", "type", "bound"), NORMAL)
@pytest.mark.parametrize("key", KEYS)
def test_normals_against_wider_arithmetic(name, type, bound, tier, key, observed):
    out = np.empty(20_011, DTYPE[type])
    for first in (0, 5, 2**32 * 16 - 100, 2**40 + 3):
        Kernel(name, type, tier)((len(out), key, first), out)
        exact, radius = exact_normals(type, key, first, len(out))
        error = np.abs(out - exact) / (np.finfo(out.dtype).eps * radius)
        observed(f"random_normal {type}", tier, float(error.max()), 3.0)


@pytest.mark.parametrize(("name", "type", "bound"), NORMAL)
def test_normals_to_the_bit(name, type, bound, tier):
    for key, first, n in [(7, 0, 1000), (8, 3, 61), (2**64 - 1, 2**36 - 70, 333), (9, 2**64 - 500, 400)]:
        out, expected = (np.empty(n, DTYPE[type]) for _ in range(2))
        Kernel(name, type, tier)((n, key, first), out)
        Kernel(name, type, "reference")((n, key, first), expected)
        np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize(("name", "type", "bound"), NORMAL)
def test_any_part_of_the_stream(name, type, bound, tier):
    """Parts of any length from any place on, at the edge of memory and misaligned, are those of the whole."""
    kernel, whole = Kernel(name, type, tier), np.empty(400, DTYPE[type])
    kernel((400, 42, 10), whole)
    for first in (0, 1, 15, 31, 32, 54, 63, 64, 65, 130):
        for n in (0, 1, 2, 31, 33, 64, 127, 200):
            out = guarded(np.full(n + 1, POISON, DTYPE[type]))
            kernel((n, 42, 10 + first), out[1:])
            np.testing.assert_array_equal(out[1:], whole[first : first + n])
            assert out[0] == POISON


# -- transforms -------------------------------------------------------------------------------------------------------


def hadamard(length):
    index = np.arange(length)
    return 1 - 2 * (np.bitwise_count(index[:, None] & index) % 2).astype(np.int64)


@pytest.mark.parametrize(("name", "type", "bound"), WALSH)
@pytest.mark.parametrize("length", [1, 2, 4, 8, 16, 32, 64, 128, 256, 512])
def test_transform_of_integers(name, type, bound, tier, length):
    """Exact for integers; rows longer than the matrix are left alone between its columns."""
    rng = np.random.default_rng(length)
    for columns in (1, 2, 3, 5, 15, 16, 17, 33, 64, 71):
        for row in (columns, columns + 3):
            x = rng.integers(-99, 100, (length, row)).astype(DTYPE[type])
            flat = guarded(x.ravel()[: (length - 1) * row + columns])
            Kernel(name, type, tier)((length, columns), flat, steps=(row,))
            expected = x.copy()
            expected[:, :columns] = hadamard(length) @ x[:, :columns].astype(np.int64)
            np.testing.assert_array_equal(flat, expected.ravel()[: len(flat)])


@pytest.mark.parametrize(("name", "type", "bound"), WALSH)
@pytest.mark.parametrize(("length", "columns"), [(1 << 14, 1), (1 << 20, 1), (1 << 13, 16), (1 << 12, 70), (64, 1)])
def test_long_transforms_to_the_bit(name, type, bound, tier, length, columns):
    x = np.random.default_rng(0).standard_normal((length, columns)).astype(DTYPE[type])
    got, expected = x.copy(), x.copy()
    Kernel(name, type, tier)((length, columns), got, steps=(columns,))
    Kernel(name, type, "reference")((length, columns), expected, steps=(columns,))
    np.testing.assert_array_equal(got, expected)
    Kernel(name, type, tier)((length, columns), got, steps=(columns,))
    eps, size = np.finfo(x.dtype).eps, np.sqrt(length) * np.linalg.norm(x, axis=0)
    assert (np.abs(got / length - x).max(axis=0) <= 2 * np.log2(length) * eps * size).all()


@pytest.mark.parametrize(("name", "type", "bound"), WALSH)
def test_misaligned_vector(name, type, bound, tier):
    whole = np.random.default_rng(1).standard_normal(1025).astype(DTYPE[type])
    aligned = whole[1:].copy()
    Kernel(name, type, tier)((1024, 1), whole[1:], steps=(1,))
    Kernel(name, type, tier)((1024, 1), aligned, steps=(1,))
    np.testing.assert_array_equal(whole[1:], aligned)


# -- signed sums ------------------------------------------------------------------------------------------------------


def lists(rng, count, n, longest):
    lengths = rng.integers(0, longest + 1, 2 * count)
    lengths[: 2 * count : 5] = 0
    bounds = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return rng.integers(0, n, bounds[-1]).astype(np.int32), bounds


def in_order(x, chosen):
    sums = [np.zeros(x.shape[1], x.dtype) for _ in range(4)]
    for t, i in enumerate(chosen):
        sums[t % 4] += x[i]
    return (sums[0] + sums[1]) + (sums[2] + sums[3])


@pytest.mark.parametrize(("name", "type", "bound"), SUMS)
@pytest.mark.parametrize("columns", [1, 3, 4, 7, 8, 9, 15, 16, 17, 31, 32, 33, 65])
def test_signed_sums(name, type, bound, tier, columns):
    rng = np.random.default_rng(columns)
    n, count = 37, 11
    indices, bounds = lists(rng, count, n, 13)
    x = rng.standard_normal((n, columns + 2)).astype(DTYPE[type])
    flat = guarded(x.ravel()[: (n - 1) * (columns + 2) + columns])
    out = guarded(np.full(count * columns + 3 * (count - 1), POISON, DTYPE[type]))
    steps = (columns + 2, 1, 1, columns + 3)
    Kernel(name, type, tier)((count, columns), flat, guarded(indices), guarded(bounds), out, steps=steps)
    expected = np.full((count, columns + 3), POISON, DTYPE[type])
    for j in range(count):
        plus, minus = (indices[bounds[2 * j + s] : bounds[2 * j + s + 1]] for s in (0, 1))
        expected[j, :columns] = in_order(x[:, :columns], plus) - in_order(x[:, :columns], minus)
    np.testing.assert_array_equal(out, expected.ravel()[: len(out)])


# -- scaled transposes ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "type", "bound"), TRANSPOSES)
@pytest.mark.parametrize("n", [0, 1, 3, 7, 8, 9, 16, 17, 40])
def test_scaled_transpose(name, type, bound, tier, n):
    rng, kernel = np.random.default_rng(n), Kernel(name, type, tier)
    for count in (1, 2, 5, 8, 15, 16, 17, 33):
        x = rng.standard_normal((count, n)).astype(DTYPE[type])
        weight = rng.standard_normal(n).astype(DTYPE[type])
        order, gap = rng.permutation(n).astype(np.int32), n + 2
        spread = np.full((count, gap), np.nan, DTYPE[type])
        spread[:, :n] = x
        operands = [(guarded(spread.ravel()[: (count - 1) * gap + n]), gap, 1)]
        operands.append((guarded(np.ascontiguousarray(x.T)), 1, count))
        operands.append((guarded(np.repeat(x, 3, axis=1)), 3 * n, 3))
        for operand, row, column in operands:
            for weights, places in ((None, None), (guarded(weight), None), (guarded(weight), guarded(order))):
                out = guarded(np.full(max(n * (count + 3) - 3, 0), POISON, DTYPE[type]))
                kernel((count, n, column), operand, weights, places, out, steps=(row, 1, 1, count + 3))
                expected = np.full((n, count + 3), POISON, DTYPE[type])
                expected[slice(None) if places is None else order, :count] = (x if weights is None else x * weight).T
                np.testing.assert_array_equal(out, expected.ravel()[: len(out)])
