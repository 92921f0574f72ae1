"""Random test matrices and their products with a matrix: the first step of a randomised factorisation.

A sketch of A (m x n) is Y = A Omega, Omega (n x columns) random with E[Omega Omega^T] = I. Its columns span, nearly,
the directions in which A is large (Halko, Martinsson, Tropp, "Finding structure with randomness", SIAM Review 53, 2011;
Martinsson, Tropp, "Randomized numerical linear algebra", Acta Numerica 29, 2020). Three kinds:

``gaussian``
    Independent normal numbers. Y is an ordinary product: O(m n columns). The reference in quality.
``sparse-sign``
    In every row of Omega ``min(columns, 8)`` numbers of one size and random sign, one in each of so many equal parts of
    the columns; the others are 0. Y is additions alone, and how many does not depend on `columns`: O(8 m n).
``srht``
    The subsampled randomised Hadamard transform (Ailon, Chazelle, "The fast Johnson-Lindenstrauss transform", SIAM
    J. Comput. 39, 2009; Tropp, "Improved analysis of the subsampled randomized Hadamard transform", 2011): random signs
    for the columns of A, a Walsh-Hadamard transform of each row, and a random sample of what comes out. Only as much of
    the transform is computed as the sample needs: O(m n log columns).

All are drawn by counter-based random numbers from a `key` of 64 bits: Omega depends on `key`, `kind`, the shape and the
dtype, and neither Omega nor Y on the number of threads.
"""

from typing import Any, cast

import numpy as np
from numpy.typing import DTypeLike, NDArray

from mlopt.linalg.matmul import matmul
from mlopt.linalg.randomized.sketch_plan import SketchPlan, fill_normal
from mlopt.memory import empty_aligned

__all__ = ["KINDS", "choose", "sketch", "standard_normal"]

Matrix = NDArray[Any]

KINDS = ("gaussian", "sparse-sign", "srht")

# Bytes of a block of rows that is converted to the sketch's dtype before it is used: a share of the second-level cache.
BLOCK_BYTES = 1 << 19

# From how many columns on the transform is quicker than the product.  Time of "gaussian" over time of "srht" (Zen 5,
# one thread, rows contiguous, a machine with other work; "sparse-sign" took 1.2 to 1.6 times as long as "srht"):
#     columns                 8     16    24    32    60    110   200   500
#     128 x 128     float32   0.82  0.95  1.24  1.26  1.95  2.4
#                   float64   0.81  1.12  1.48  1.87  2.86  3.7
#     512 x 512     float32   0.64  0.90  1.42  1.41  2.49  3.8   6.1   8.4
#                   float64   0.65  0.93  1.36  1.80  3.20  4.8   6.5   9.7
#     100 x 5000    float32   0.69  0.95  1.54  1.68  3.14
#                   float64   0.69  1.17  1.81  2.36  4.21
#     5000 x 200    float32   0.61  0.83  1.25  1.21  1.99  2.7   3.3
#                   float64   0.55  0.74  1.03  1.42  2.15  2.6   2.3
#     10000 x 2000  float32   0.91  0.83  1.65  1.24  1.96  4.7   5.6   9.6
#                   float64   0.71  0.56  0.97  1.31  2.25  3.1   6.2   12
SMALLEST_COLUMNS = 24


def _key(key: int) -> int:
    if isinstance(key, (bool, np.bool_)) or not isinstance(key, (int, np.integer)):
        raise TypeError(f"key must be an integer, not {type(key).__name__}")
    if not 0 <= key < 1 << 64:
        raise ValueError(f"key must be between 0 and 2**64 - 1, not {key}")
    return int(key)


def _dtype(dtype: DTypeLike) -> np.dtype[Any]:
    chosen = np.dtype(dtype)
    if chosen not in (np.dtype(np.float32), np.dtype(np.float64)):
        raise TypeError(f"dtype must be float32 or float64, not {chosen}")
    return chosen


def standard_normal(
    shape: int | tuple[int, ...], key: int, dtype: DTypeLike = np.float64, num_threads: int | None = None
) -> Matrix:
    """Independent standard normal numbers, the first ones of a stream.

    Parameters
    ----------
    shape : int or tuple of int
        Of the result.
    key : int
        Which stream: 0 to 2**64 - 1.
    dtype : dtype, optional
        float32 or float64; their streams are independent.
    num_threads : int, optional
        At most so many threads.

    Returns
    -------
    ndarray
        A new array, aligned to 64 bytes, in C order. The same numbers for any number of threads, on every tier; an
        array of n numbers begins with what a shorter one holds.

    Raises
    ------
    TypeError
        If `dtype` is another, or `key` is not an integer.
    ValueError
        If `key` is out of range.

    Notes
    -----
    Philox4x32 of ten rounds and the transform of Box and Muller (``_kernels/sketch/sketch.h``): O(n), about 0.6 ns a
    float32 number on a processor with AVX-512.

    Examples
    --------
    >>> from mlopt.linalg.randomized.sketches import standard_normal
    >>> x = standard_normal((1000, 20), key=7)
    >>> x.shape, bool(abs(x.mean()) < 0.05), bool(abs(x.std() - 1) < 0.05)
    ((1000, 20), True, True)
    """
    out = empty_aligned(shape, _dtype(dtype))
    fill_normal(out, _key(key), 0, num_threads)
    return out


def is_dense(a: Any) -> bool:
    """Whether a matrix is an array of NumPy's, rather than a sparse matrix of some library."""
    return isinstance(a, np.ndarray)


def choose(a: Any, columns: int) -> str:
    """The kind of sketch that is quickest for a matrix, as measured.

    Parameters
    ----------
    a : ndarray or sparse matrix
    columns : int
        Of the sketch.

    Returns
    -------
    {"gaussian", "sparse-sign", "srht"}

    Notes
    -----
    From 24 columns on ``"srht"``, whatever the shape: the table of times is beside the constant in the source. Where
    `a` is sparse, every kind is a product with a dense Omega and costs the same: then ``"gaussian"``.

    Examples
    --------
    >>> import numpy as np
    >>> from mlopt.linalg.randomized.sketches import choose
    >>> choose(np.ones((500, 500)), 5), choose(np.ones((500, 500)), 60)
    ('gaussian', 'srht')
    """
    if not is_dense(a) or columns < SMALLEST_COLUMNS:
        return "gaussian"
    return "srht"


def sketch(
    a: Any, columns: int, kind: str, key: int, dtype: DTypeLike = np.float64, num_threads: int | None = None
) -> Matrix:
    """The product of a matrix with a random one.

    Parameters
    ----------
    a : ndarray or sparse matrix of shape (m, n)
        Real numbers, any strides; a sparse matrix for the kinds that say so.
    columns : int
        Of the random matrix, at least 1.
    kind : {"gaussian", "sparse-sign", "srht"}
        The random matrix; ``"srht"`` is for dense `a` alone.
    key : int
        Which one: 0 to 2**64 - 1.
    dtype : dtype, optional
        float32 or float64: of Omega, of the arithmetic and of the result. Blocks of rows of another dtype are converted
        one after the other.
    num_threads : int, optional
        At most so many threads.

    Returns
    -------
    ndarray of shape (m, columns)
        A Omega in C order, aligned to 64 bytes; the same for any number of threads.

    Raises
    ------
    ValueError
        If `a` is not a matrix, `columns` is less than 1, `kind` is not known or not for sparse matrices, or `key` is
        out of range.
    TypeError
        If `a` is complex or `dtype` is neither float32 nor float64.

    Examples
    --------
    >>> import numpy as np
    >>> from mlopt.linalg.randomized.sketches import sketch
    >>> a = np.outer(np.arange(1.0, 5), np.ones(300))
    >>> y = sketch(a, 3, "srht", key=1)
    >>> y.shape, bool(np.allclose(y, np.outer(np.arange(1, 5), y[0])))
    ((4, 3), True)
    """
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(map(repr, KINDS))}, not {kind!r}")
    if len(a.shape) != 2:
        raise ValueError(f"a must be a matrix, not of shape {tuple(a.shape)}")
    if columns < 1:
        raise ValueError(f"columns must be at least 1, not {columns}")
    chosen, key = _dtype(dtype), _key(key)
    if np.dtype(a.dtype).kind not in "fiub":
        raise TypeError(f"a must hold real numbers, not {a.dtype}")
    if not is_dense(a):
        if kind == "srht":
            raise ValueError("kind='srht' is for dense matrices; expected 'gaussian' or 'sparse-sign' for a sparse one")
        product = matmul(a, _omega(a.shape[1], columns, kind, key, chosen, num_threads), num_threads=num_threads)
        return np.ascontiguousarray(product, chosen)
    a = np.asarray(a)  # a subclass has rules of its own for products
    if kind == "gaussian":
        omega = _omega(a.shape[1], columns, kind, key, chosen, num_threads)
        if a.dtype == chosen:
            return cast(Matrix, matmul(a, omega, num_threads=num_threads))
        out = empty_aligned((a.shape[0], columns), chosen)
        for rows, block in _converted(a, chosen, 1):
            matmul(block, omega, out[rows], num_threads=num_threads)
        return out
    plan = SketchPlan(kind, a.shape[1], columns, key, chosen)
    out = empty_aligned((a.shape[0], columns), chosen)
    if a.dtype == chosen and a.flags.aligned and all(step % a.itemsize == 0 for step in a.strides):
        plan.apply(a, out, num_threads)
    else:
        for rows, block in _converted(a, chosen, 16):
            plan.apply(block, out[rows], num_threads)
    return out


def _omega(n: int, columns: int, kind: str, key: int, dtype: np.dtype[Any], num_threads: int | None) -> Matrix:
    """The random matrix itself, where it is used as a matrix."""
    if kind == "sparse-sign":
        return SketchPlan(kind, n, columns, key, dtype).dense()
    omega = standard_normal((n, columns), key, dtype, num_threads)
    omega *= dtype.type(columns**-0.5)
    return omega


def _converted(a: Matrix, dtype: np.dtype[Any], multiple: int) -> Any:
    """Blocks of rows of another dtype: slices, and a buffer that holds those rows until the next one."""
    rows = max(BLOCK_BYTES // (max(a.shape[1], 1) * dtype.itemsize), 64) // multiple * multiple
    buffer = empty_aligned((min(rows, a.shape[0]), a.shape[1]), dtype)
    for first in range(0, a.shape[0], rows):
        part = slice(first, min(first + rows, a.shape[0]))
        block = buffer[: part.stop - first]
        np.copyto(block, a[part], casting="same_kind" if a.dtype.kind == "f" else "unsafe")
        yield part, block
