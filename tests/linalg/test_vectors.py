"""mlopt.dot and mlopt.axpy."""

import array

import numpy as np
import pytest

import mlopt

FLOATS = (np.float32, np.float64)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("n", [0, 1, 7, 100, 5000, 40000])
def test_dot(dtype, n):
    x, y = np.random.default_rng(n).standard_normal((2, n)).astype(dtype)
    result = mlopt.dot(x, y)
    assert type(result) is dtype
    exact = np.dot(x.astype(np.longdouble), y.astype(np.longdouble))
    assert abs(result - exact) <= 4 * np.finfo(dtype).eps * np.abs(x.astype(np.float64) * y).sum()


def test_dot_of_other_buffers_and_types():
    assert mlopt.dot(array.array("d", [1, 2]), array.array("d", [3, 4])) == 11
    assert mlopt.dot([1.0, 2.0], [3.0, 4.0]) == 11
    assert mlopt.dot([1, 2], [3, 4]) == 11
    assert mlopt.dot(np.ones(4)[::2], np.ones(2)) == 2
    assert mlopt.dot(np.ones(2, np.float32), np.ones(2)) == 2
    assert mlopt.dot(np.ones(2, complex) * 1j, np.ones(2, complex) * 1j) == -2
    assert mlopt.dot(2.0, 3.0) == 6
    np.testing.assert_array_equal(mlopt.dot(np.eye(2), np.eye(2)), np.eye(2))
    read_only = np.ones(3)
    read_only.flags.writeable = False
    assert mlopt.dot(read_only, read_only) == 3


def test_dot_of_different_lengths():
    for x, y in ((np.ones(3), np.ones(4)), (np.ones(3), np.ones((4, 2)))):
        with pytest.raises(ValueError):
            mlopt.dot(x, y)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("n", [0, 1, 7, 100, 40000])
def test_axpy(dtype, n):
    x, y = np.random.default_rng(n).standard_normal((2, n)).astype(dtype)
    expected = y + dtype(0.5) * x
    assert mlopt.axpy(0.5, x, y) is y
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-6)
    assert mlopt.axpy(1, y, y) is y
    np.testing.assert_allclose(y, 2 * expected, rtol=1e-5, atol=1e-6)


def test_axpy_refuses():
    y = np.zeros(4)
    read_only = np.zeros(4)
    read_only.flags.writeable = False
    for arguments, error, text in [
        (("a", y, y), TypeError, "alpha must be a real number, not str"),
        ((1j, y, y), TypeError, "alpha must be a real number, not complex"),
        ((1, [0.0] * 4, y), TypeError, "x must be an ndarray, not list"),
        ((1, y, [0.0] * 4), TypeError, "y must be an ndarray, not list"),
        ((1, np.zeros(4, int), y), TypeError, "x must be float32 or float64, not int64"),
        ((1, np.zeros(5), y), ValueError, "y must have the length of x, 5, not 4"),
        ((1, np.zeros((4, 1)), y), ValueError, "x must be a vector, not an array of shape"),
        ((1, y.astype(">f8"), y), TypeError, "x must be float32 or float64, not >f8"),
        ((1, np.zeros(33, np.uint8)[1:].view(np.float64), y), ValueError, "x must be aligned"),
        ((1, np.ma.zeros(4), y), TypeError, "x must be an ndarray, not MaskedArray"),
        ((1, y, read_only), ValueError, "y must be writable"),
        ((1, y[::-1], y), ValueError, "y must be x itself or not overlap it"),
        ((1, y[:3], y[1:]), ValueError, "y must be x itself or not overlap it"),
    ]:
        with pytest.raises(error, match=text):
            mlopt.axpy(*arguments)
    assert not y.any()


@pytest.mark.parametrize("types", [(a, b) for a in FLOATS for b in FLOATS])
@pytest.mark.parametrize("n", [0, 1, 9, 8192, 8193, 40001])
def test_strides_and_types(types, n):
    """A strided vector gives what its contiguous copy gives, to the last bit; two types give the wider one."""
    rng = np.random.default_rng(n)
    wide = np.result_type(*types)
    for x_step, y_step in ((1, 1), (2, -1), (-3, 1), (0, 2), (-1, -4)):
        x, y = (
            rng.standard_normal(max(1, n * max(1, abs(step)))).astype(dtype)[:: step or 1][:n]
            for dtype, step in zip(types, (x_step, y_step), strict=True)
        )
        if x_step == 0:
            x = np.broadcast_to(rng.standard_normal(1).astype(types[0]), (n,))
        result = mlopt.dot(x, y)
        assert result.dtype == wide == np.dot(x, y).dtype
        assert result == mlopt.dot(x.astype(wide), y.astype(wide))
        copy = y.copy()
        assert mlopt.axpy(0.75, x, y) is y
        np.testing.assert_array_equal(y, mlopt.axpy(0.75, x.astype(types[1]), copy))


def test_interleaved_vectors_do_not_overlap():
    z = np.arange(8.0)
    mlopt.axpy(1, z[::2], z[1::2])
    assert z.tolist() == [0, 1, 2, 5, 4, 9, 6, 13]
    mlopt.axpy(1, z[::2], z[::2])
    assert z.tolist() == [0, 1, 4, 5, 8, 9, 12, 13]
    assert mlopt.dot(z[::2], z[::2]) == 224
    with pytest.raises(ValueError, match="overlap"):
        mlopt.axpy(1, z[:6:2], z[2::2])
