"""Orthonormal bases of tall blocks by CholeskyQR, and by Householder reflections where that fails.

CholeskyQR takes a block's Gram matrix apart, ``Y.T @ Y = L @ L.T``, and multiplies the block by ``inv(L).T``: products
and a small factorisation, no reflections of long columns. One pass leaves a departure from orthonormality of about
``eps * cond(Y)**2``; a second one takes that to ``eps`` (CholeskyQR2: Yamamoto, Nakatsukasa, Yanagisawa, Fukaya,
"Roundoff error analysis of the CholeskyQR2 algorithm", ETNA 44, 2015). Blocks of float32 have their Gram matrix formed
in float64 (Yamazaki, Tomov, Dongarra, "Mixed-precision Cholesky QR factorization", SIAM J. Sci. Comput. 37, 2015), so
that one pass is enough for anything that float32 can tell from a deficient block.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlopt.linalg.matmul import matmul

Array = NDArray[Any]

# Largest departure of a Gram matrix from the identity from which the second pass is known to arrive at eps.
SECOND_PASS = 1e-6
# Smallest ratio of the diagonal of L at which a Cholesky factor is trusted: eps * ratio**-2 is then below 1e-3.
TRUSTED = 1e-6
# From this order on a triangular matrix is inverted by halves: LAPACK's general inverse takes no notice of the zeros.
HALVES = 48


def lower_inverse(lower: Array) -> Array:
    """The inverse of a lower triangular matrix."""
    order = len(lower)
    if order < HALVES or order % 2:
        return np.linalg.inv(lower)
    half = order // 2
    first, second = np.linalg.inv(np.stack([lower[:half, :half], lower[half:, half:]]))
    result = np.zeros_like(lower)
    result[:half, :half], result[half:, half:] = first, second
    np.negative(matmul(second, matmul(lower[half:, :half], first)), out=result[half:, :half])
    return result


def gram(block: Array, num_threads: int | None = None) -> Array:
    """``block.T @ block`` in float64."""
    wide = block.astype(np.float64, copy=False)
    square: Array = matmul(wide.T, wide, num_threads=num_threads)
    return square


def cholesky(matrix: Array) -> Array | None:
    """The Cholesky factor of a Gram matrix; None where rounding has left nothing of the smallest direction."""
    try:
        lower = np.linalg.cholesky(matrix)
    except np.linalg.LinAlgError:
        return None
    diagonal = lower.diagonal()
    return lower if diagonal.min() > TRUSTED * diagonal.max() else None


def well_conditioned(block: Array, num_threads: int | None = None) -> tuple[Array, Array | None]:
    """A basis of the block's range that is orthonormal enough to be multiplied on, and ``inv(L)``; one pass.

    ``inv(L)`` tells of the block's singular values, which are those of `L`; None where the block was deficient and
    reflections had to be taken.
    """
    lower = cholesky(gram(block, num_threads))
    if lower is None:
        basis = np.linalg.qr(block.astype(np.float64, copy=False))[0]
        return np.ascontiguousarray(basis, block.dtype), None
    inverse = lower_inverse(lower)
    return matmul(block, inverse.T.astype(block.dtype, copy=False), num_threads=num_threads), inverse


def orthonormal(block: Array, num_threads: int | None = None) -> tuple[Array, Array, Array]:
    """Q, C and R, in float64: ``Q @ C`` is orthonormal to a few eps whatever the block, and ``Q @ C @ R`` is the block.

    C is a small matrix close to the identity. It is left to the caller to multiply, who has other small matrices to
    multiply it by. `block` is float64, with no more columns than rows.
    """
    lower = cholesky(gram(block, num_threads))
    if lower is not None:
        inverse = lower_inverse(lower)
        first = matmul(block, inverse.T, num_threads=num_threads)
        departure = gram(first, num_threads)
        departure.ravel()[:: len(departure) + 1] -= 1.0
        if np.abs(departure).max() * len(departure) < SECOND_PASS:
            # (I + F)^(-1/2) and (I + F)^(1/2) but for F^3
            square = matmul(departure, departure)
            correction, back = -0.5 * departure + 0.375 * square, 0.5 * departure - 0.125 * square
            correction.ravel()[:: len(departure) + 1] += 1.0
            back.ravel()[:: len(departure) + 1] += 1.0
            return first, correction, matmul(back, lower.T)
        lower_again = cholesky(departure + np.eye(len(departure)))
        if lower_again is not None:
            inverse = lower_inverse(lower_again)
            second = matmul(first, inverse.T, num_threads=num_threads)
            departure = gram(second, num_threads)
            departure.ravel()[:: len(departure) + 1] -= 1.0
            if np.abs(departure).max() * len(departure) < SECOND_PASS:
                correction = np.eye(len(departure)) - 0.5 * departure
                back = np.eye(len(departure)) + 0.5 * departure
                return second, correction, matmul(matmul(back, lower_again.T), lower.T)
    basis, upper = np.linalg.qr(block)
    return basis, np.eye(upper.shape[0]), upper
