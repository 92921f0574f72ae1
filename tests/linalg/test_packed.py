"""Packed right operands: products, layouts, tiers, errors."""

import pickle
import threading

import numpy as np
import pytest

import mlopt
from mlopt.linalg import PackedMatrix

SHAPES = [(0, 0), (0, 3), (3, 0), (1, 1), (5, 7), (100, 10), (64, 48), (600, 101), (1030, 77)]
DTYPES = [np.float32, np.float64]


def limit(a, b):
    wide = np.longdouble if b.dtype == np.float64 else np.float64
    size = np.abs(a.astype(wide)) @ np.abs(b.astype(wide))
    return size * max(b.shape[0], 1) * float(np.finfo(b.dtype).eps), a.astype(wide) @ b.astype(wide)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("layout", ["rows", "columns", "reversed", "spread"])
def test_products_on_every_tier(dtype, shape, layout):
    rng = np.random.default_rng(0)
    k, n = shape
    b = rng.standard_normal(shape).astype(dtype)
    given = {
        "rows": b,
        "columns": np.asfortranarray(b),
        "reversed": np.ascontiguousarray(b[::-1, ::-1])[::-1, ::-1],
        "spread": np.repeat(np.repeat(b, 2, 0), 3, 1)[::2, ::3],
    }[layout]
    packed = PackedMatrix(given)
    assert (packed.shape, packed.dtype, packed.ndim, packed.size) == (shape, dtype, 2, k * n)
    assert packed.nbytes >= b.nbytes
    for tier in mlopt.available_tiers():  # packed again for each
        with mlopt.use_isa(tier):
            for m in (1, 3, 8, 41):
                a = rng.standard_normal((m, k)).astype(dtype)
                bound, exact = limit(a, b)
                for left in (a, np.asfortranarray(a)):
                    product = left @ packed
                    assert product.dtype == dtype
                    assert (np.abs(product - exact) <= bound).all()
            np.testing.assert_array_equal(np.asarray(packed), b)


@pytest.mark.parametrize("dtype", DTYPES)
def test_vectors_and_stacks(dtype):
    rng = np.random.default_rng(1)
    b = rng.standard_normal((30, 20)).astype(dtype)
    packed = PackedMatrix(b)
    for shape in ((30,), (4, 30), (2, 3, 30), (2, 1, 5, 30), (0, 30), (2, 0, 30)):
        a = rng.standard_normal(shape).astype(dtype)
        for left in (a, a[..., ::-1][..., ::-1], np.asfortranarray(a)):
            product = mlopt.matmul(left, packed)
            assert product.shape == (*shape[:-1], 20)
            np.testing.assert_allclose(product, a @ b, rtol=1e-4, atol=1e-4)
            for out in (np.full(product.shape, np.nan, dtype), np.full(product.shape, np.nan, dtype, order="F"),
                        np.full((*product.shape[:-1], 40), np.nan, dtype)[..., ::2]):  # fmt: skip
                assert mlopt.matmul(left, packed, out=out) is out
                np.testing.assert_array_equal(out, product)


def test_lists_and_promotion():
    packed = PackedMatrix([[1, 2], [3, 4]])
    assert packed.dtype == np.float64
    np.testing.assert_array_equal([[1, 1]] @ packed, [[4.0, 6.0]])
    np.testing.assert_array_equal(np.float32([1, 1]) @ packed, [4.0, 6.0])
    assert PackedMatrix(np.eye(2, dtype=np.float16)).dtype == np.float32
    assert PackedMatrix(np.eye(2), np.float32).dtype == np.float32
    assert PackedMatrix(np.eye(2, dtype=">f8")).dtype == np.float64
    assert np.asarray(packed, dtype=np.float32).dtype == np.float32


def test_out_that_overlaps():
    rng = np.random.default_rng(2)
    b = rng.standard_normal((20, 20))
    a = rng.standard_normal((20, 20))
    expected = mlopt.matmul(a, PackedMatrix(b))
    mlopt.matmul(a, PackedMatrix(b), out=a)
    np.testing.assert_array_equal(a, expected)


def test_threads_give_the_same_bits():
    rng = np.random.default_rng(3)
    for m, n, k in ((500, 700, 300), (900, 300, 400), (60, 2000, 500)):
        a, packed = rng.standard_normal((m, k)), PackedMatrix(rng.standard_normal((k, n)))
        one = mlopt.matmul(a, packed, num_threads=1)
        for threads in (2, 3, 4):
            np.testing.assert_array_equal(mlopt.matmul(a, packed, num_threads=threads), one)


def test_tiers_flip_while_others_compute():
    rng = np.random.default_rng(4)
    a, b = rng.standard_normal((40, 60)), rng.standard_normal((60, 50))
    packed, expected = PackedMatrix(b), a @ b
    errors = []

    def work(tier):
        try:
            with mlopt.use_isa(tier):
                for _ in range(200):
                    np.testing.assert_allclose(a @ packed, expected, rtol=1e-10, atol=1e-10)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(tier,)) for tier in mlopt.available_tiers()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors


def test_pickle_and_repr():
    b = np.random.default_rng(5).standard_normal((9, 5))
    packed = pickle.loads(pickle.dumps(PackedMatrix(b)))
    np.testing.assert_array_equal(np.asarray(packed), b)
    assert repr(packed) == "<PackedMatrix 9 x 5, float64>"


def test_source_may_change_afterwards():
    b = np.eye(3)
    packed = PackedMatrix(b)
    b[:] = 7
    np.testing.assert_array_equal(np.asarray(packed), np.eye(3))


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda p: PackedMatrix(np.ones(3)), ValueError, "b has 1 dimensions; expected 2"),
        (lambda p: PackedMatrix(np.ones((2, 2)), np.int32), TypeError, "dtype is int32; expected float32 or float64"),
        (lambda p: PackedMatrix(np.ones((2, 2), complex)), TypeError, "b has elements of type complex128"),
        (lambda p: PackedMatrix([["a"]]), TypeError, "b has elements of type <U1"),
        (lambda p: mlopt.matmul(p, np.ones((3, 3))), TypeError, "a is a PackedMatrix"),
        (lambda p: np.ones((2, 4)) @ p, ValueError, r"a has shape \(2, 4\): its last dimension"),
        (lambda p: np.float64(3) @ p, ValueError, "a has no dimensions"),
        (lambda p: np.ones((2, 3), complex) @ p, TypeError, "a has elements of type complex128"),
        (lambda p: mlopt.matmul(np.ones((2, 3)), p, np.ones((3, 2))), ValueError, r"out has shape \(3, 2\); expected"),
        (lambda p: mlopt.matmul(np.ones((2, 3)), p, np.ones((2, 2), "f4")), TypeError, "out is an array of float32"),
        (lambda p: mlopt.matmul(np.ones((2, 3)), p, out=[1]), TypeError, "out is list"),
        (lambda p: mlopt.matmul(np.ones((2, 3)), p, num_threads=0), ValueError, "num_threads"),
        (lambda p: np.array(p, copy=False), ValueError, "without a copy"),
    ],
)  # fmt: skip
def test_errors(call, error, text):
    with pytest.raises(error, match=text):
        call(PackedMatrix(np.ones((3, 2))))
