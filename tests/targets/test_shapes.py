"""The list of shapes is what it says it is, and this library's products of them are NumPy's."""

import numpy as np
import pytest

import mlopt
from mlopt.targets.shapes import LAYOUTS, SHAPES, operands

MULTIPLICATIONS = 2e7  # of the products that are computed here
SMALL = [shape for shape in SHAPES if shape.m * shape.n * shape.k <= MULTIPLICATIONS]


def test_two_hundred_different_shapes():
    assert len(SHAPES) == len({shape[:4] for shape in SHAPES}) == 200
    for shape in SHAPES:
        assert min(shape.m, shape.n, shape.k) >= 1
        assert shape.layout in LAYOUTS
        assert shape.source
        assert shape.flops <= 8e9
    assert sum(shape.flops for shape in SHAPES) <= 100e9
    assert {shape.layout for shape in SHAPES} == set(LAYOUTS)


def test_operands_lie_as_the_layout_says():
    for layout in LAYOUTS:
        a, b, c = operands(3, 5, 7, layout, "float32")
        assert (a.shape, b.shape, c.shape) == ((3, 7), (7, 5), (3, 5))
        for letter, array in zip(layout, (a, b), strict=True):
            assert (array if letter == "n" else array.T).flags.c_contiguous
            assert np.ptp(array) > 0
    with pytest.raises(ValueError, match="layout='nx' is not a layout; one of: nn"):
        operands(1, 1, 1, "nx", "float32")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", SMALL, ids=str)
def test_products(shape, dtype):
    for layout in LAYOUTS:
        a, b, c = operands(*shape[:3], layout, dtype)
        c[...] = np.nan
        assert mlopt.matmul(a, b, out=c, num_threads=1) is c
        expected = np.matmul(a.astype(float), b.astype(float))
        terms = np.matmul(np.abs(a).astype(float), np.abs(b).astype(float))
        error = np.abs(c - expected)
        assert (error <= (shape.k + 1) * np.finfo(dtype).eps * terms).all()
