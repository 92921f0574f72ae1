"""Scaling the operands of a product by powers of two, so that a normwise error bound holds row by row.

Outside, inside, outside (Ballard, Benson, Druinsky, Lipshitz, Schwartz, "Improving the numerical stability of fast
matrix multiplication", SIAM J. Matrix Anal. Appl. 37, 2016): rows of A and columns of B are brought to size one; then
column k of A and row k of B, which only ever meet each other, are brought to one size; then the outside again.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[Any]
Exponents = NDArray[np.int32]


def _exponents(x: Matrix, axis: int) -> tuple[Exponents, NDArray[np.bool_]]:
    """Binary exponents of the largest magnitudes along an axis, and which of those are finite and not zero."""
    largest = np.maximum(x.max(axis), -x.min(axis))
    sound = np.isfinite(largest) & (largest > 0)
    return np.where(sound, np.frexp(np.where(sound, largest, 1))[1], 0).astype(np.int32), sound


def scaled_operands(a: Matrix, b: Matrix) -> tuple[Matrix, Matrix, tuple[Exponents, Exponents]]:
    """Copies of A and B scaled by powers of two, and the exponents of the product's rows and columns.

    Exact, but for elements that are more than the whole range of exponents below the largest of their row or
    column. What has a NaN or an infinity keeps its scale.
    """
    with np.errstate(under="ignore", invalid="ignore"):
        rows, columns = _exponents(a, 1)[0], _exponents(b, 0)[0]
        a, b = np.ldexp(a, -rows[:, None]), np.ldexp(b, -columns)
        (left, left_sound), (right, right_sound) = _exponents(a, 0), _exponents(b, 1)
        inner = np.where(left_sound & right_sound, (right - left) // 2, 0).astype(np.int32)
        np.ldexp(a, inner, out=a)
        np.ldexp(b, -inner[:, None], out=b)
        again, across = _exponents(a, 1)[0], _exponents(b, 0)[0]
        np.ldexp(a, -again[:, None], out=a)
        np.ldexp(b, -across, out=b)
    return a, b, (rows + again, columns + across)


def unscale(c: Matrix, rows: Exponents, columns: Exponents) -> None:
    """Undo the scaling in the product: each element is rounded again only where it leaves the normal range."""
    with np.errstate(under="ignore", over="ignore", invalid="ignore"):
        np.ldexp(c, rows[:, None] + columns, out=c)
