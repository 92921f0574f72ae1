"""matmul of bfloat16 arrays: types and shapes, compared with products of the same numbers in float64."""

import subprocess
import sys

import numpy as np
import pytest

import mlopt

ml_dtypes = pytest.importorskip("ml_dtypes")
BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
SHAPES = [
    ((3, 4), (4, 5)), ((4,), (4, 5)), ((3, 4), (4,)), ((4,), (4,)), ((2, 3, 4), (4, 5)), ((2, 3, 4), (2, 4, 5)),
    ((2, 1, 3, 4), (7, 4, 5)), ((4,), (6, 4, 5)), ((2, 3, 4), (4,)), ((0, 4), (4, 2)), ((3, 0), (0, 2)),
    ((0, 3, 4), (4, 5)), ((1, 1), (1, 1)), ((67, 301), (301, 53)), ((1, 301), (301, 53)), ((53, 301), (301, 1)),
]  # fmt: skip


def numbers(shape, seed):
    return np.random.default_rng(seed).standard_normal(shape).astype(BFLOAT16)


def check(product, a, b):
    a, b = a.astype(np.float64), b.astype(np.float64)
    expected, terms = np.matmul(a, b), np.matmul(np.abs(a), np.abs(b))
    error = np.abs(np.asarray(product).astype(np.float64) - expected)
    limit = (a.shape[-1] + 2) * 2.0**-23 * terms
    if np.asarray(product).dtype == BFLOAT16:
        limit = limit + (np.abs(expected) + limit) * 2.0**-8
    assert np.shape(product) == expected.shape
    assert (error <= limit).all()


@pytest.mark.parametrize(("a_shape", "b_shape"), SHAPES)
def test_shapes_and_types(a_shape, b_shape):
    a, b = numbers(a_shape, 0), numbers(b_shape, 1)
    product = mlopt.matmul(a, b)
    assert product.dtype == BFLOAT16
    assert isinstance(product, np.ndarray if np.ndim(product) else BFLOAT16.type)
    check(product, a, b)
    shape = np.matmul(a.astype("f4"), b.astype("f4")).shape
    for dtype in (BFLOAT16, np.float32):
        if shape:
            for out in (np.empty(shape, dtype), np.empty(shape[::-1], dtype).T, np.empty((*shape, 2), dtype)[..., 1]):
                assert mlopt.matmul(a, b, out=out) is out
                check(out, a, b)


def test_the_result_is_the_float32_sum_rounded_once():
    a, b = numbers((40, 300), 0), numbers((300, 50), 1)
    exact = mlopt.matmul(a, b, out=np.empty((40, 50), np.float32))
    np.testing.assert_array_equal(mlopt.matmul(a, b).view(np.uint16), exact.astype(BFLOAT16).view(np.uint16))
    # float32 products of the same numbers: within both bounds
    full = mlopt.matmul(a.astype(np.float32), b.astype(np.float32))
    terms = np.abs(a.astype(np.float64)) @ np.abs(b.astype(np.float64))
    assert (np.abs(full - exact.astype(np.float64)) <= 2 * 302 * 2.0**-23 * terms).all()


def test_strides():
    a, b = numbers((60, 70), 0), numbers((70, 50), 1)
    for left in (a, np.asfortranarray(a), a[::-1, ::-1], a[::2], a[:, ::1].T.copy().T):
        for right in (b, np.asfortranarray(b), b[::-1], b[:, ::3], np.broadcast_to(b[:1], b.shape)):
            check(mlopt.matmul(left, right), left, right)


def test_out_may_overlap():
    a = numbers((40, 40), 0)
    expected = mlopt.matmul(a, a)
    assert mlopt.matmul(a, a, out=a) is a
    np.testing.assert_array_equal(a.view(np.uint16), expected.view(np.uint16))


def test_threads_change_nothing():
    a, b = numbers((500, 700), 0), numbers((700, 600), 1)
    one = mlopt.matmul(a, b, num_threads=1)
    for left, right in ((a, b), (b.T, a.T)):
        several = mlopt.matmul(left, right, num_threads=3)
        expected = one if left is a else one.T
        np.testing.assert_array_equal(several.view(np.uint16), expected.view(np.uint16))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_special_values(value):
    a, b = numbers((20, 30), 0), numbers((30, 40), 1)
    a[3, 4], b[7, 8] = value, -np.inf
    with np.errstate(all="ignore"):
        expected = np.matmul(a.astype(np.float32), b.astype(np.float32))
    np.testing.assert_array_equal(np.isnan(mlopt.matmul(a, b)), np.isnan(expected))


def test_other_types_are_numpys():
    a = numbers((3, 4), 0)
    assert mlopt.matmul(a, np.ones((4, 2), np.float32)).dtype == np.matmul(a, np.ones((4, 2), np.float32)).dtype
    assert mlopt.matmul(a, a.T, out=np.empty((3, 3))).dtype == np.float64
    for bad in ((a, a), (a, a.T, np.empty((2, 2), BFLOAT16))):
        with pytest.raises(ValueError, match="mismatch in its core dimension"):
            mlopt.matmul(*bad)
    out = np.empty((3, 3), BFLOAT16)
    out.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        mlopt.matmul(a, a.T, out=out)


@pytest.mark.no_emulator
def test_ml_dtypes_is_not_imported():
    code = "import sys, numpy as np, mlopt; mlopt.matmul(np.eye(3), np.eye(3)); print('ml_dtypes' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=True)
    assert done.stdout.split()[-1] == "False"
