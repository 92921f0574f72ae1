"""Sparse matrices as the kernels read them, and their products in wider arithmetic."""

import numpy as np
from guard import guarded
from kernels.wide import DTYPE, WIDE
from random_sparse import compressed

from mlopt._kernels.register import Kernel

INDEX = {32: np.int32, 64: np.int64}
# MLOPT_SPARSE_LONG_ROW, MLOPT_SPARSE_WINDOW, MLOPT_SPARSE_SLACK
LONG_ROW, WINDOW, SLACK = 64, 1024, 64
POISON = -1.2345e9
NOWHERE = 2**31 - 1  # a column that no matrix has


def kernel(name, type, bits, tier):
    """The kernel for column numbers of so many bits."""
    return Kernel(name + ("_long" if bits == 64 else ""), type, tier)


def draw(type, *shape, seed=0):
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(DTYPE[type])


class _Struct(np.ndarray):
    """The words of a C struct; keeps alive what they point to."""


def struct_of(owner, sizes, arrays):
    result = np.array([*sizes, *(array.ctypes.data for array in arrays)], np.uint64).view(_Struct)
    result.owner = owner
    return result


class Rows:
    """A matrix by compressed rows, each of its arrays ending at an unreadable page."""

    def __init__(self, data, indices, indptr, columns):
        self.data, self.indices, self.indptr = guarded(data), guarded(indices), guarded(indptr)
        self.rows, self.columns = len(indptr) - 1, columns

    @classmethod
    def random(cls, counts, columns, type, bits, seed=0, repeats=True):
        """So many elements in each row: any real numbers, their columns in any order."""
        _, indices, indptr = compressed(len(counts), columns, counts, seed, np.float64, INDEX[bits], repeats)
        return cls(draw(type, indices.size, seed=seed), indices, indptr, columns)

    @property
    def struct(self):
        """The mlopt_csr."""
        return struct_of(self, (self.rows, self.columns), (self.indptr, self.indices, self.data))

    @property
    def counts(self):
        return np.diff(self.indptr).astype(int)

    @property
    def row_of(self):
        """The row of every element."""
        return np.repeat(np.arange(self.rows), self.counts)

    def only(self, first, last):
        """The same, with elements of the other rows that no kernel may use."""
        start, end = self.indptr[first], self.indptr[last]
        data, indices = np.full_like(self.data, np.nan), np.full_like(self.indices, NOWHERE)
        data[start:end], indices[start:end] = self.data[start:end], self.indices[start:end]
        return Rows(data, indices, self.indptr, self.columns)

    def transposed(self, first, last):
        """Rows [first, last) transposed, to compute products with."""
        part = slice(self.indptr[first], self.indptr[last])
        order = np.argsort(self.indices[part], kind="stable")
        indptr = np.concatenate([[0], np.cumsum(np.bincount(self.indices[part], minlength=self.columns))])
        return Rows(self.data[part][order], self.row_of[part][order], indptr.astype(np.int64), self.rows)


def ranges(rows):
    """All rows, the first, the last, some between, none."""
    wanted = [(0, rows), (0, min(1, rows)), (max(rows - 1, 0), rows), (rows // 3, rows - rows // 3), (0, 0)]
    return dict.fromkeys([*wanted, (rows, rows)])


def wide_product(a, b, type, start=0):
    """A B + start in wider arithmetic, the sum of the absolute terms, and how many there are: by column."""
    wide = WIDE[type]
    b = b.astype(wide)
    total, size = np.zeros((2, a.rows, *b.shape[1:]), wide)
    with np.errstate(invalid="ignore", over="ignore"):
        products = a.data.astype(wide).reshape(-1, *[1] * (b.ndim - 1)) * b[a.indices]
        np.add.at(total, a.row_of, products)
        np.add.at(size, a.row_of, np.abs(products))
        return total + start, size + np.abs(start), a.counts.reshape(-1, *[1] * (b.ndim - 1)) + np.any(start)


def worst(result, wide):
    """The largest error in units of eps times terms times the sum of their sizes; a denormal term adds its rounding."""
    expected, size, terms = wide
    finite = np.isfinite(expected)
    np.testing.assert_array_equal(result[~finite], expected[~finite].astype(result.dtype))
    assert np.isfinite(result[finite]).all()
    limit = (terms * (size * float(np.finfo(result.dtype).eps) + np.finfo(result.dtype).smallest_subnormal))[finite]
    error = np.abs(result[finite] - expected[finite])
    assert not error[limit == 0].any()
    return float(np.max(error[limit > 0] / limit[limit > 0], initial=0))


def spaced(matrix, row):
    """The matrix with so many elements from one row to the next, poisoned between them, and the whole memory."""
    rows, columns = matrix.shape
    whole = np.full(max(rows * row - row + columns, 0) if rows else 0, POISON, matrix.dtype)
    for i in range(rows):
        whole[i * row : i * row + columns] = matrix[i]
    whole = guarded(whole)
    view = np.lib.stride_tricks.as_strided(whole, matrix.shape, (row * matrix.itemsize, matrix.itemsize))
    return whole, view


def assert_gaps(whole, shape, row):
    """What lies between the rows is still poison."""
    mask = np.ones(whole.size, bool)
    for i in range(shape[0]):
        mask[i * row : i * row + shape[1]] = False
    assert (whole[mask] == whole.dtype.type(POISON)).all(), "written between rows"


class Slices:
    """The short rows of a matrix in sliced form, by the text of sparse.h; each array ends at an unreadable page."""

    def __init__(self, a):
        width = 64 // a.data.itemsize
        short = np.flatnonzero(a.counts < LONG_ROW)
        windows = [short[i : i + WINDOW] for i in range(0, short.size, WINDOW)]
        row = np.concatenate([short[:0], *(part[np.argsort(-a.counts[part], kind="stable")] for part in windows)])
        elements, start, full = [], [0], []
        rest = a.counts[row]
        for i in range(0, row.size, width):
            part = row[i : i + width]
            common = a.counts[part].min() if part.size == width else 0
            elements += [a.indptr[j] + k for k in range(common) for j in part]
            elements += [k for j in part for k in range(a.indptr[j] + common, a.indptr[j + 1])]
            rest[i : i + width] -= common
            start.append(len(elements))
            full.append(common)
        elements = np.array(elements, int)
        self.rows, self.slices = row.size, len(full)
        self.start, self.full = guarded(np.array(start, np.uint64)), guarded(np.array(full, np.int32))
        self.row, self.rest = guarded(row.astype(np.int32)), guarded(rest.astype(np.int32))
        self.columns, self.values = guarded(a.indices[elements].astype(np.int32)), guarded(a.data[elements])

    @property
    def struct(self):
        """The mlopt_sell."""
        arrays = (self.start, self.full, self.row, self.rest, self.columns, self.values)
        return struct_of(self, (self.rows, self.slices), arrays)
