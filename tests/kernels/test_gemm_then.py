"""What follows a product: called for every element of C once, when it is complete."""

import ctypes

import numpy as np
import pytest
from guard import guarded
from kernels.conftest import rows
from kernels.wide import DTYPE

from mlopt._kernels.register import Kernel

FINISH = ctypes.CFUNCTYPE(
    None, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t, ctypes.c_size_t, ctypes.c_size_t, ctypes.c_void_p
)
SIZES = [
    (1, 1, 1), (1, 50, 10), (3, 17, 5), (7, 1, 40), (8, 48, 16), (9, 49, 300), (64, 5, 64), (33, 130, 17),
    (70, 64, 600), (200, 100, 64), (5, 600, 9), (50, 3, 1), (4, 300, 0), (600, 500, 40),
]  # fmt: skip


@pytest.mark.parametrize(("name", "type", "bound"), rows("gemm_then"))
@pytest.mark.parametrize("size", SIZES)
def test_every_element_once_when_it_is_complete(name, type, bound, tier, size):
    m, n, k = size
    rng = np.random.default_rng(size)
    dtype = DTYPE[type]
    a, b = rng.standard_normal((m, k)).astype(dtype), rng.standard_normal((k, n)).astype(dtype)
    c = guarded(np.full((m, n), np.nan, dtype))
    expected, size_of_terms = a.astype(np.longdouble) @ b, np.abs(a).astype(np.longdouble) @ np.abs(b)
    limit = bound * max(k, 1) * np.finfo(dtype).eps * size_of_terms + np.finfo(dtype).tiny
    calls, wrong = np.zeros((m, n), int), []

    def finish(_, part_rows, part_columns, row, column, at):
        part = (slice(row, row + part_rows), slice(column, column + part_columns))
        if at != c[row:, column:].ctypes.data:
            wrong.append(("place", row, column))
        if not (np.abs(c[part] - expected[part]) <= limit[part]).all():
            wrong.append(("incomplete", row, column))
        calls[part] += 1
        c[part] *= 2

    call = FINISH(finish)
    then = np.array([ctypes.cast(call, ctypes.c_void_p).value, 0], np.uint64)
    workspace = np.zeros(1 << 20, dtype)
    aligned = workspace[-workspace.ctypes.data % 64 // workspace.itemsize :]
    kernel = Kernel(name, type, tier)
    kernel((m, n, k), guarded(a), guarded(b), c, aligned, then.view(dtype))
    assert wrong == []
    np.testing.assert_array_equal(calls, 1)
    assert (np.abs(c / 2 - expected) <= limit).all(), "what it wrote stays"
    plain = np.full((m, n), np.nan, dtype)
    kernel((m, n, k), a, b, plain, aligned, None)
    np.testing.assert_array_equal(plain, c / 2)
