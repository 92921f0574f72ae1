"""Matrices as the randomised SVD needs them: products with blocks of columns, in float32 or float64, near unit scale.

A dense matrix and a sparse one differ only here. Each is seen with no more rows than columns (a tall one as its
transpose: bases are then made orthonormal on the short side), multiplied by a power of two where its entries are far
from 1, and converted to float32 once, when products in float32 are first asked for.
"""

import math
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlopt.linalg.matmul import matmul
from mlopt.linalg.randomized import sketches
from mlopt.linalg.vectors import dot
from mlopt.sparse.csc import csc_array
from mlopt.sparse.csr import csr_array

Array = NDArray[Any]

# Sums of squares within which neither they nor products in float32 overflow, and what underflows does not count.
SMALLEST_SQUARE, LARGEST_SQUARE = 1e-18, 1e18


def is_sparse(a: Any) -> bool:
    """Whether it is a sparse matrix, this library's or SciPy's: the latter exist only where SciPy was imported."""
    if isinstance(a, csr_array | csc_array):
        return True
    scipy_sparse = sys.modules.get("scipy.sparse")
    return scipy_sparse is not None and bool(scipy_sparse.issparse(a))


def checked(a: Any) -> Any:
    """`a` as a matrix of float32 or float64, an ndarray or one by compressed rows or columns; errors say what is wrong.

    Sparse ones have no duplicates.
    """
    sparse = is_sparse(a)
    matrix: Any = a if sparse else np.asarray(a)
    if matrix.dtype.kind == "c":
        raise TypeError(f"a must be real, not {matrix.dtype}")
    if matrix.dtype.kind not in "fiub":
        raise TypeError(f"a must be a matrix of real numbers, not of {matrix.dtype}")
    if matrix.ndim != 2:
        raise ValueError(f"a must be a matrix, not an array of shape {matrix.shape}")
    if 0 in matrix.shape:
        raise ValueError(f"a must have at least one row and one column, not shape {matrix.shape}")
    if matrix.dtype not in (np.float32, np.float64):
        matrix = matrix.astype(np.float32 if matrix.dtype == np.float16 else np.float64)
    if not sparse:
        return matrix.astype(matrix.dtype.newbyteorder("="), copy=False)
    if not isinstance(matrix, csr_array | csc_array):
        by_columns = matrix.format == "csc"
        matrix = csr_array.from_scipy(matrix.T if by_columns else matrix.tocsr())
        matrix = matrix.T if by_columns else matrix
    rows = matrix.T if isinstance(matrix, csc_array) else matrix
    if not rows.has_canonical_format:
        rows = rows.sum_duplicates()
        matrix = rows.T if isinstance(matrix, csc_array) else rows
    return matrix


def _square(values: Array) -> float:
    # sum of squares, not finite where an entry is not, or where float32 overflows
    flat = values.reshape(-1, order="A")
    return float(dot(flat, flat))


def _exponent(values: Array) -> int:
    """The power of two that takes the largest magnitude to about 1; a ValueError where a value is not finite."""
    largest = max(float(values.max(initial=0)), -float(values.min(initial=0)))
    if not math.isfinite(largest):
        raise ValueError("a must be finite: it has a NaN or an infinity")
    return math.frexp(largest)[1] if largest else 0


class Operator:
    """A matrix of no more rows than columns, scaled; ``matrix`` is what was given, seen that way.

    Attributes
    ----------
    shape : tuple of int
        Rows and columns, the former no more than the latter.
    dtype : dtype
        Of what was given.
    transposed : bool
        Whether what was given is the transpose of this.
    exponent : int
        What was given is this times two to so much.
    norm : float
        The Frobenius norm.
    row_terms, column_terms : int
        The most products that an entry of ``times``, of ``transposed_times`` adds up.
    """

    transposed: bool
    exponent: int
    norm: float
    row_terms: int
    column_terms: int

    def __init__(self, matrix: Any, num_threads: int | None) -> None:
        rows, columns = matrix.shape
        self.dtype = matrix.dtype
        self.num_threads = num_threads
        self.transposed = rows > columns
        self.shape = (columns, rows) if self.transposed else (rows, columns)
        self._wide: Any = None
        self._narrow: Any = None

    def matrix(self, dtype: Any) -> Any:
        """The matrix in this type."""
        if dtype == np.float32:
            if self._narrow is None:
                self._narrow = self._converted(np.float32)
            return self._narrow
        if self._wide is None:
            self._wide = self._converted(np.float64)
        return self._wide

    def _converted(self, dtype: Any) -> Any:
        raise NotImplementedError

    def times(self, block: Array, out: Array | None = None) -> Array:
        """The matrix times (columns, any), in the block's type; into `out` if that is given."""
        raise NotImplementedError

    def transposed_times(self, block: Array, out: Array | None = None) -> Array:
        """The matrix's transpose times (rows, any), in the block's type; into `out` if that is given."""
        raise NotImplementedError

    def sketch(self, columns: int, kind: str, key: int, dtype: Any) -> Array:
        """The matrix times a random test matrix of so many columns."""
        matrix = self.matrix(dtype)
        if kind == "auto":
            kind = sketches.choose(matrix, columns)
        return sketches.sketch(matrix, columns, kind, key, dtype, self.num_threads)


class DenseOperator(Operator):
    """A dense matrix."""

    def __init__(self, a: Array, num_threads: int | None) -> None:
        super().__init__(a, num_threads)
        self.row_terms, self.column_terms = self.shape[1], self.shape[0]
        matrix = a.T if self.transposed else a
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            narrow = matrix.astype(np.float32, copy=False)
            square = _square(narrow)
            self.exponent = 0
            if not SMALLEST_SQUARE < square < LARGEST_SQUARE:
                self.exponent = _exponent(a)
                if self.exponent:
                    matrix = np.ldexp(matrix, -self.exponent)
                    narrow = matrix.astype(np.float32, copy=False)
                square = _square(narrow)
        self.norm = math.sqrt(square)
        self._narrow = narrow
        self._wide = matrix if matrix.dtype == np.float64 else None

    def _converted(self, dtype: Any) -> Array:
        source = self._narrow if self._wide is None else self._wide
        return np.asarray(source, dtype)

    def times(self, block: Array, out: Array | None = None) -> Array:
        product: Array = matmul(self.matrix(block.dtype), block, out, method="gemm", num_threads=self.num_threads)
        return product

    def transposed_times(self, block: Array, out: Array | None = None) -> Array:
        matrix = self.matrix(block.dtype)
        if matrix.flags.c_contiguous:  # rows of the matrix are read as they lie
            into = None if out is None else out.T
            across: Array = matmul(block.T, matrix, into, method="gemm", num_threads=self.num_threads)
            return across.T
        product: Array = matmul(matrix.T, block, out, method="gemm", num_threads=self.num_threads)
        return product


class SparseOperator(Operator):
    """A matrix by compressed rows or columns, by its own products."""

    def __init__(self, a: Any, num_threads: int | None) -> None:
        super().__init__(a, num_threads)
        self.exponent = _exponent(a.data)
        values = a.data
        if -32 < self.exponent < 32:
            self.exponent = 0
        else:
            with np.errstate(under="ignore"):
                values = np.ldexp(values, -self.exponent)
        self.norm = math.sqrt(_square(values.astype(np.float64, copy=False)))
        lengths = max(1, int(np.diff(a.indptr).max(initial=0)))
        counts = max(1, int(np.bincount(a.indices, minlength=1).max(initial=0)))
        # what is given by columns holds its transpose by rows
        self._rows = a.T if isinstance(a, csc_array) else a
        self._by_rows = self.transposed == isinstance(a, csc_array)
        self.row_terms, self.column_terms = (lengths, counts) if self._by_rows else (counts, lengths)
        self._values = values

    def _converted(self, dtype: Any) -> Any:
        rows, values = self._rows, self._values.astype(dtype, copy=False)
        if values is not rows.data:
            rows = csr_array((values, rows.indices, rows.indptr), rows.shape)
        return rows if self._by_rows else rows.T

    def times(self, block: Array, out: Array | None = None) -> Array:
        product: Array = matmul(self.matrix(block.dtype), block, out, num_threads=self.num_threads)
        return product

    def transposed_times(self, block: Array, out: Array | None = None) -> Array:
        product: Array = matmul(self.matrix(block.dtype).T, block, out, num_threads=self.num_threads)
        return product


def operator(a: Any, num_threads: int | None = None) -> Operator:
    """The operator over a matrix that was :func:`checked`."""
    return SparseOperator(a, num_threads) if is_sparse(a) else DenseOperator(a, num_threads)
