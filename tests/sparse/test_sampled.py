"""Products of dense matrices where a sparse one has elements."""

import numpy as np
import pytest
from sparse_operands import REAL, THREADED, assert_close, layouts, power_law, random_rows

from mlopt.sparse.sampled import sampled_values

INDEX = [np.int32, np.int64]


@pytest.mark.parametrize("index_type", INDEX)
@pytest.mark.parametrize("dtype", REAL)
def test_sampled_values(dtype, index_type):
    pattern = random_rows(50, 40, power_law(50, 60), dtype=dtype, index_type=index_type)
    rng = np.random.default_rng(0)
    row = np.repeat(np.arange(50), np.diff(pattern.indptr))
    for length in (1, 5, 64, 200):
        a, b = rng.standard_normal((50, length)), rng.standard_normal((length, 40))
        expected, sizes = ((f(a) @ f(b))[row, pattern.indices] for f in (np.asarray, np.abs))
        first = sampled_values(a, b, pattern)
        assert_close(first, expected, sizes, dtype)
        for left in layouts(a):
            for right in layouts(b):
                np.testing.assert_array_equal(sampled_values(left, right, pattern), first)
    integers = rng.integers(-5, 5, (50, 9)), rng.integers(-5, 5, (9, 40))
    np.testing.assert_array_equal(sampled_values(*integers, pattern), (integers[0] @ integers[1])[row, pattern.indices])


def test_sampled_values_by_threads():
    pattern = random_rows(4000, 900, power_law(4000, 900))
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((4000, 300)), rng.standard_normal((300, 900))
    assert 8 * 300 * pattern.nnz >= THREADED, "too small for a second thread: the test would compare nothing"
    one = sampled_values(a, b, pattern, num_threads=1)
    for threads in (2, 3):
        np.testing.assert_array_equal(sampled_values(a, b, pattern, num_threads=threads), one)


def test_sampled_values_that_do_not_fit():
    pattern = random_rows(5, 4, [2] * 5)
    for a, b, error, message in (
        (np.ones((4, 3)), np.ones((3, 4)), ValueError, "a has 4 rows; expected 5"),
        (np.ones((5, 3)), np.ones((3, 5)), ValueError, "b has 5 columns; expected 4"),
        (np.ones((5, 3)), np.ones((2, 4)), ValueError, "b has 2 rows; expected 3"),
        (np.ones(5), np.ones((1, 4)), ValueError, "a has 1 dimensions; expected a matrix"),
        (np.ones((5, 1)), np.ones(4), ValueError, "b has 1 dimensions; expected a matrix"),
        (np.ones((5, 1)) * 1j, np.ones((1, 4)), TypeError, "a has elements of type complex128"),
        (np.ones((5, 1)), np.array([["a"] * 4]), TypeError, "b has elements of type <U1"),
    ):
        with pytest.raises(error, match=message):
            sampled_values(a, b, pattern)
    with pytest.raises(TypeError):
        sampled_values(np.ones((5, 1)), np.ones((1, 4)), np.ones((5, 4)))
