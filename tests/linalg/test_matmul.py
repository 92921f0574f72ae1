"""mlopt.matmul has NumPy's semantics, whatever computes."""

import os
import subprocess
import sys
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mlopt
from mlopt.linalg.matmul import add_product

FLOATS = (np.float32, np.float64)
SHAPES = [
    ((3, 4), (4, 5)), ((4,), (4, 5)), ((3, 4), (4,)), ((4,), (4,)), ((1,), (1,)), ((1, 1), (1, 1)), ((0, 4), (4, 5)),
    ((3, 4), (4, 0)), ((3, 0), (0, 5)), ((0,), (0,)), ((0,), (0, 3)), ((3, 0), (0,)), ((2, 3, 4), (4, 5)),
    ((2, 3, 4), (2, 4, 5)), ((2, 1, 3, 4), (6, 4, 5)), ((3, 4), (7, 4, 5)), ((1, 3, 4), (5, 4, 2)), ((2, 3, 4), (4,)),
    ((4,), (2, 3, 4, 5)), ((0, 3, 4), (4, 5)), ((0, 3, 4), (1, 4, 5)), ((2, 0, 4), (4, 5)), ((5, 3, 0), (0, 2)),
    ((33, 70), (70, 45)), ((2, 2, 2, 2, 3, 4), (4, 5)),
]  # fmt: skip
BAD_SHAPES = [((3, 4), (5, 4)), ((4,), (5,)), ((3, 4), (5,)), ((4,), (5, 3)), ((), (3,)), ((3,), ()), ((), ()),
              ((2, 3, 4), (3, 4, 5)), ((2, 3, 4), (5, 5))]  # fmt: skip


def array(shape, dtype=np.float64, seed=0):
    rng = np.random.default_rng(seed)
    values = rng.integers(-8, 8, shape)  # sums are exact, so that results are equal
    return np.asarray(values * (1 + 1j) if np.dtype(dtype).kind == "c" else values).astype(dtype)


def assert_same(actual, expected):
    assert type(actual) is type(expected)
    assert actual.dtype == expected.dtype
    assert actual.shape == expected.shape
    np.testing.assert_array_equal(actual, expected)


def assert_same_error(*args, **kwargs):
    with pytest.raises(Exception) as numpy_error:
        np.matmul(*args, **kwargs)
    with pytest.raises(type(numpy_error.value)) as error:
        mlopt.matmul(*args, **kwargs)
    assert str(error.value) == str(numpy_error.value)


@pytest.mark.parametrize(("left", "right"), SHAPES)
@pytest.mark.parametrize("dtypes", [(a, b) for a in FLOATS for b in FLOATS])
def test_shapes(left, right, dtypes):
    a, b = array(left, dtypes[0], 1), array(right, dtypes[1], 2)
    expected = np.matmul(a, b)
    assert_same(mlopt.matmul(a, b), expected)
    out = np.full(expected.shape, np.nan, expected.dtype)
    assert mlopt.matmul(a, b, out) is out
    np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize(("left", "right"), BAD_SHAPES)
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64])
def test_bad_shapes(left, right, dtype):
    assert_same_error(array(left, dtype), array(right, dtype))


@pytest.mark.parametrize("dtype", ["i1", "u4", "i8", "?", "F", "D", "e", "g", "O"])
def test_other_types_are_numpys(dtype):
    a, b = array((3, 4), dtype), array((4, 2), dtype)
    assert_same(mlopt.matmul(a, b), np.matmul(a, b))
    for real in FLOATS:
        assert_same(mlopt.matmul(a, array((4, 2), real)), np.matmul(a, array((4, 2), real)))
        assert_same(mlopt.matmul(array((3, 4), real), b), np.matmul(array((3, 4), real), b))


def test_strings_are_numpys_error():
    assert_same_error(np.array([["a"]]), np.array([["b"]]))


def test_array_like():
    a, b = [[1.0, 2.0], [3.0, 4.0]], ((5.0,), (6.0,))
    assert_same(mlopt.matmul(a, b), np.matmul(a, b))
    assert_same(mlopt.matmul([1, 2], [3, 4]), np.matmul([1, 2], [3, 4]))
    assert_same(mlopt.matmul([1, 2], [3.0, 4]), np.matmul([1, 2], [3.0, 4]))
    assert_same_error([[1.0, 2.0], [3.0]], [1.0])


def test_byte_order_and_alignment():
    a, b = array((5, 6)), array((6, 4))
    swapped = a.astype(">f8")
    assert_same(mlopt.matmul(swapped, b), np.matmul(swapped, b))
    raw = np.zeros(a.nbytes + 1, np.uint8)
    unaligned = raw[1:].view(np.float64).reshape(a.shape)
    unaligned[...] = a
    assert_same(mlopt.matmul(unaligned, b), np.matmul(a, b))
    record = np.zeros((5, 6), [("x", "f8"), ("y", "f4")])  # strides are no multiples of the element
    record["x"] = a
    assert_same(mlopt.matmul(record["x"], b), np.matmul(a, b))
    out = np.zeros((5, 4), [("x", "f8"), ("y", "f4")])["x"]
    assert mlopt.matmul(a, b, out) is out
    np.testing.assert_array_equal(out, a @ b)
    swapped_out = np.zeros((5, 4), ">f8")
    mlopt.matmul(a, b, swapped_out)
    np.testing.assert_array_equal(swapped_out, a @ b)


@pytest.mark.parametrize("size", [1, 4, 33, 130])
def test_results_are_aligned(size):
    for dtype in FLOATS:
        result = mlopt.matmul(array((size, size), dtype), array((size, size), dtype))
        assert result.ctypes.data % 64 == 0
        assert result.flags.c_contiguous
        assert result.flags.writeable


def test_read_only_operands():
    a, b = array((3, 4)), array((4, 3))
    expected = a @ b
    a.flags.writeable = b.flags.writeable = False
    assert_same(mlopt.matmul(a, b), expected)


@pytest.mark.parametrize(
    "out",
    [
        np.zeros((3, 4)), np.zeros((5, 3)), np.zeros(15), np.zeros((3, 5), np.int64), np.zeros((3, 5), np.float32),
        np.zeros((2, 3, 5)), [[0.0] * 5] * 3, "no", np.broadcast_to(np.zeros(5), (3, 5)),
    ],
    ids=repr,
)  # fmt: skip
def test_bad_out(out):
    a, b = array((3, 4)), array((4, 5))
    before = np.array(out, copy=True)
    try:
        np.matmul(a, b, out=out)
    except (TypeError, ValueError):
        assert_same_error(a, b, out=out)
        np.testing.assert_array_equal(out, before)
    else:
        expected = np.array(out)
        out[...] = 0
        assert mlopt.matmul(a, b, out=out) is out
        np.testing.assert_array_equal(out, expected)


def test_out_of_a_wider_type():
    a, b = array((3, 4), np.float32), array((4, 5), np.float32)
    out = np.zeros((3, 5), np.float64)
    assert mlopt.matmul(a, b, out=out) is out
    np.testing.assert_array_equal(out, a @ b)


@pytest.mark.parametrize("layout", ["F", "reversed", "strided"])
def test_out_of_any_layout(layout):
    a, b = array((7, 9)), array((9, 5))
    out = {
        "F": np.zeros((7, 5), order="F"),
        "reversed": np.zeros((7, 5))[::-1, ::-1],
        "strided": np.zeros((14, 15))[::2, ::3],
    }[layout]
    assert mlopt.matmul(a, b, out) is out
    np.testing.assert_array_equal(out, a @ b)
    vector = np.zeros(21)[::3]
    assert mlopt.matmul(a, b[:, 0], vector) is vector
    np.testing.assert_array_equal(vector, a @ b[:, 0])


def test_out_overlaps_an_operand():
    whole = array((8, 8))
    other = array((8, 8), seed=3)
    for a, b, where in [
        (whole, other, np.s_[:]), (other, whole, np.s_[:]), (whole, whole, np.s_[:]),
        (whole[:4], other, np.s_[2:6]), (other[:6], whole, np.s_[1:7]), (whole[::-1], other, np.s_[:]),
    ]:  # fmt: skip
        saved = whole.copy()
        expected = np.matmul(a.copy(), b.copy())
        out = whole[where]
        assert mlopt.matmul(a, b, out) is out
        np.testing.assert_array_equal(out, expected)
        whole[...] = saved
    stack = array((3, 4, 4))
    expected = np.matmul(stack, stack)
    mlopt.matmul(stack, stack, stack)
    np.testing.assert_array_equal(stack, expected)


def test_out_that_overlaps_itself_follows_numpy():
    a, b = array((3, 4)), array((4, 5))
    memory = np.zeros(9)
    out = np.lib.stride_tricks.as_strided(memory, (3, 5), (8, 8))
    mlopt.matmul(a, b, out)
    ours = memory.copy()
    np.matmul(a, b, out)
    np.testing.assert_array_equal(ours, memory)


class Matrix(np.ndarray):
    """A subclass without rules of its own."""


def test_subclasses_and_foreign_arrays():
    a, b = array((3, 4)), array((4, 3))
    assert_same(mlopt.matmul(a.view(Matrix), b), np.matmul(a.view(Matrix), b))
    square = array((4, 4))
    masked = np.ma.masked_array(square, square > 5)
    assert type(mlopt.matmul(masked, square)) is type(np.matmul(masked, square))

    class Foreign:
        def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
            return "its own"

    assert mlopt.matmul(Foreign(), b) == "its own"
    assert mlopt.matmul(a, Foreign()) == "its own"


@pytest.mark.parametrize("method", ["auto", "gemm", "strassen", "sparse"])
def test_methods(method):
    assert_same(mlopt.matmul(array((3, 4)), array((4, 3)), method=method), array((3, 4)) @ array((4, 3)))


@pytest.mark.parametrize("method", ["", "GEMM", None, 3])
def test_bad_method(method):
    with pytest.raises(ValueError, match="expected 'auto', 'gemm', 'strassen' or 'sparse'"):
        mlopt.matmul(np.eye(2), np.eye(2), method=method)


@pytest.mark.parametrize(("n", "error"), [(0, ValueError), (-1, ValueError), (1.5, TypeError), ("2", TypeError)])
def test_bad_num_threads(n, error):
    out = np.zeros((2, 2))
    with pytest.raises(error, match="num_threads"):
        mlopt.matmul(np.eye(2), np.eye(2), out, num_threads=n)
    assert not out.any()
    with pytest.raises(error, match=r"^n must"):
        mlopt.set_num_threads(n)


@st.composite
def strided(draw, shape, dtype):
    """An array of a shape as some view: steps, reversals and a permutation of dimensions."""
    order = draw(st.permutations(range(len(shape))))
    steps = [draw(st.sampled_from([1, 1, 2, 3, -1, -2])) for _ in shape]
    base = np.zeros([max(1, abs(steps[i]) * shape[i]) for i in order], dtype)
    view = base.transpose(np.argsort(order))[tuple(slice(None, None, s) for s in steps)]
    view = view[tuple(slice(0, n) for n in shape)]
    view[...] = array(shape, dtype, draw(st.integers(0, 9)))
    return view


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_any_shapes_and_strides(data):
    draw = data.draw
    m, n, k = (draw(st.integers(0, 40)) for _ in range(3))
    batch = draw(st.lists(st.integers(0, 3), max_size=3))
    left = [draw(st.sampled_from([1, d])) for d in batch][draw(st.integers(0, len(batch))) :]
    right = [draw(st.sampled_from([1, d])) for d in batch][draw(st.integers(0, len(batch))) :]
    left_shape = (*left, m, k) if left or draw(st.booleans()) else (k,)
    right_shape = (*right, k, n) if right or draw(st.booleans()) else (k,)
    a = draw(strided(left_shape, draw(st.sampled_from(FLOATS))))
    b = draw(strided(right_shape, draw(st.sampled_from(FLOATS))))
    expected = np.matmul(a, b)
    assert_same(mlopt.matmul(a, b), expected)
    if expected.ndim:
        out = draw(strided(expected.shape, expected.dtype))
        assert mlopt.matmul(a, b, out=out) is out
        np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("tier", mlopt.available_tiers())
def test_every_tier(tier):
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((60, 70)), rng.standard_normal((70, 50))
    with mlopt.use_isa(tier):
        np.testing.assert_allclose(mlopt.matmul(a, b), a @ b, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(
    "shape", [(400, 410, 420), (4, 30000, 300), (30000, 4, 300), (1, 60000, 700), (145, 144, 2000)]
)
def test_threads_do_not_change_a_bit(dtype, shape):
    m, n, k = shape
    assert m * n * k >= 2 * 256**3, "too small for a second thread: the test would compare nothing"
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((m, k)).astype(dtype), rng.standard_normal((k, n)).astype(dtype)
    for left in (a, np.asfortranarray(a)):
        for right in (b, np.asfortranarray(b)):
            one = mlopt.matmul(left, right, num_threads=1)
            for threads in (2, 3, 7):
                np.testing.assert_array_equal(mlopt.matmul(left, right, num_threads=threads), one)


def test_setting_threads():
    default = mlopt.get_num_threads()
    try:
        mlopt.set_num_threads(3)
        if mlopt.get_num_threads() == 1:
            pytest.skip("built without OpenMP")
        assert mlopt.get_num_threads() == 3
    finally:
        mlopt.set_num_threads(None)
    assert mlopt.get_num_threads() == default


def test_threadpoolctl_limits_hold():
    threadpoolctl = pytest.importorskip("threadpoolctl")
    if mlopt.get_num_threads() == 1:
        pytest.skip("one thread anyway")
    with threadpoolctl.threadpool_limits(1):
        assert mlopt.get_num_threads() == 1
    assert mlopt.get_num_threads() > 1


def run(code, **environment):
    env = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    done = subprocess.run(
        [sys.executable, "-c", code], env={**env, **environment}, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_threads_from_the_environment():
    code = "import mlopt; print(mlopt.get_num_threads())"
    assert run(code, OMP_NUM_THREADS="1") == "1"
    assert run(code) == str(len(os.sched_getaffinity(0))) or int(run(code)) >= 1


def test_after_fork():
    code = """
import os, numpy as np, mlopt, warnings
warnings.simplefilter("ignore")
a = np.random.default_rng(0).random((400, 400))
expected = mlopt.matmul(a, a, num_threads=2)  # a parallel region in the parent
child = os.fork()
if child == 0:
    ok = (mlopt.matmul(a, a, num_threads=2) == expected).all() and mlopt.get_num_threads() == 1
    os._exit(0 if ok else 1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert (mlopt.matmul(a, a, num_threads=2) == expected).all()
"""
    run(code)


def test_from_many_threads():
    a = np.random.default_rng(0).random((150, 150))
    expected = mlopt.matmul(a, a)
    wrong = []

    def work():
        wrong.extend(1 for _ in range(20) if not (mlopt.matmul(a, a) == expected).all())

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_too_large_a_result():
    a = np.broadcast_to(np.zeros(1), (1 << 40, 1))
    with pytest.raises((MemoryError, ValueError)):
        mlopt.matmul(a, np.broadcast_to(np.zeros(1), (1, 1 << 40)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_threads_share_stacks(dtype):
    rng = np.random.default_rng(11)
    for left, right in (((40, 96, 90), (40, 90, 100)), ((3, 300, 200), (3, 200, 300)), ((2, 15, 100, 90), (15, 90, 96)),
                        ((30, 100, 90), (90, 100))):  # fmt: skip
        a, b = rng.standard_normal(left).astype(dtype), rng.standard_normal(right).astype(dtype)
        one = mlopt.matmul(a, b, num_threads=1)
        np.testing.assert_allclose(one, np.matmul(a, b), rtol=1e-3, atol=1e-3)
        for threads in (2, 3, 7):
            np.testing.assert_array_equal(mlopt.matmul(a, b, num_threads=threads), one)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(3, 4, 5), (100, 7, 16), (0, 3, 4), (3, 0, 4), (65, 300, 33)])
def test_add_product(dtype, shape):
    m, k, n = shape
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((m, k)).astype(dtype), rng.standard_normal((k, n)).astype(dtype)
    for order in "CF":
        c = np.array(rng.standard_normal((m, n)), dtype, order=order)
        expected = c.astype(np.float64) + a.astype(np.float64) @ b
        assert add_product(a, b, c) is c
        np.testing.assert_allclose(c, expected, rtol=1e-4, atol=1e-5)


def test_add_product_refuses():
    a, b, c = np.ones((2, 3)), np.ones((3, 4)), np.ones((2, 4))
    for bad in ((a, b, c.T), (a, b.T, c), (a[0], b, c), (a, b, c.astype(np.float32)), (a, b, np.ones((2, 4), int))):
        with pytest.raises(ValueError, match="expected"):
            add_product(*bad)
    locked = c.copy()
    locked.flags.writeable = False
    for out in (locked, np.broadcast_to(np.ones(4), (2, 4))):
        with pytest.raises(ValueError, match="expected writable memory of its own"):
            add_product(a, b, out)
    square = np.ones((3, 3))
    with pytest.raises(ValueError, match="expected writable memory of its own"):
        add_product(square, np.ones((3, 3)), square)
