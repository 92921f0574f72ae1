"""Randomised singular value decomposition."""

import math
import numbers
import operator as operators
import warnings
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mlopt.linalg.matmul import matmul
from mlopt.linalg.randomized.operators import Operator, checked, is_sparse, operator
from mlopt.linalg.randomized.orthonormal import cholesky, gram, lower_inverse, orthonormal, well_conditioned
from mlopt.linalg.randomized.residual import FAILURE, residual_norm
from mlopt.sparse.products import transposed_copy
from mlopt.vector import reductions

Array = NDArray[Any]

SKETCHES = ("auto", "gaussian", "sparse-sign", "srht")
# Bases have a multiple of this many columns where the matrix has them: vectors that are filled anyway.
COLUMN_STEP = 16
# Ratios of singular values, in units of eps of the type computed in: below the first, what is left after one pair of
# products without a basis in between is rounding; below the second, after one product.
PAIR_RATIO, SINGLE_RATIO = 100.0, 100.0
# The smallest ratio of singular values for which they are taken from a Gram matrix, with an error of eps over it.
GRAM_RATIO = 1e-2


class RandomizedSVDResult(NamedTuple):
    """What :func:`randomized_svd` returns: factors, and how far their product may be from the matrix.

    Attributes
    ----------
    U : ndarray
        Left singular vectors, (rows, rank): orthonormal columns, the entry of largest magnitude of each positive.
    S : ndarray
        Singular values, (rank,), descending.
    Vh : ndarray
        Right singular vectors, (rank, columns): orthonormal rows.
    error_bound : float
        ``norm(a - U @ diag(S) @ Vh, 2)`` is at most this, with a probability of at least ``1 - 1e-6``.

    Examples
    --------
    >>> import numpy as np, mlopt
    >>> U, S, Vh, error_bound = mlopt.linalg.randomized_svd(np.diag([3.0, 2.0, 1.0]), 2, rng=0)
    >>> S.round(12)
    array([3., 2.])
    """

    U: Array
    S: Array
    Vh: Array
    error_bound: float


class _Factors(NamedTuple):
    """Factors of an operator in float64: of more singular values than vectors."""

    u: Array  # (m, rank)
    singular: Array  # (columns of the basis,)
    vh: Array  # (rank, n)


def _smallest(inverse: Array) -> float:
    """A lower bound, by at most a factor of 64**(1 / 8), of the smallest singular value of L, from inv(L)."""
    square = matmul(inverse.T, inverse)
    square = matmul(square, square)
    return float(1 / float(np.linalg.norm(matmul(square, square))) ** 0.125)


def _shift(step: int, n_iter: int, smallest: float) -> float:
    """What a power step subtracts, of the smallest eigenvalue that the block has seen.

    Feng, Yu and Xie ("Algorithm 1043: Faster randomized SVD with dynamic shifts", ACM TOMS 50, 2024) subtract a half of
    it in every step. What matters is the product of all steps, a polynomial that is to be small from 0 to that
    eigenvalue beside what it is above: its roots are those of Chebyshev's polynomial of the same degree, least first.
    The first step still takes a half, for then what comes out of it tells the eigenvalue; what is known before it is
    too low anyway.
    """
    if step == 0 and n_iter > 1:
        return 0.5 * smallest
    return math.cos((2 * (n_iter - step) - 1) * math.pi / (4 * n_iter + 2)) ** 2 * smallest


def _range(a: Operator, columns: int, n_iter: int, sketch: str, key: int, dtype: Any) -> Array:
    """A block whose range holds the leading left singular vectors.

    Power iterations: a step multiplies by ``A @ A.T`` less a shift, and takes a basis before; where singular values
    fall fast, it takes another after ``A.T``, and no shift.
    """
    eps, threads = float(np.finfo(dtype).eps), a.num_threads
    block = a.sketch(columns, sketch, key, dtype)
    steep, shift, smallest = False, 0.0, 0.0
    for step in range(n_iter):
        basis, inverse = well_conditioned(block, threads)
        image = a.transposed_times(basis)
        if step == 0:
            # the singular values of A, more or less
            diagonal = np.zeros(1) if inverse is None else 1 / inverse.diagonal()
            steep = bool((diagonal.min() / max(diagonal.max(), 1e-300)) ** 2 < PAIR_RATIO * eps)
        if steep:
            image = well_conditioned(image, threads)[0]
        block = a.times(image)
        if step == 0 and not steep:
            # the Gram matrix of the image, from blocks of the shorter side
            lower = cholesky(matmul(basis.astype(np.float64, copy=False).T, block.astype(np.float64, copy=False)))
            smallest = 0.0 if lower is None else _smallest(lower_inverse(lower)) ** 2
        elif inverse is not None and step == 1:
            smallest = _smallest(inverse) + shift
        if smallest and not steep:
            shift = _shift(step, n_iter, smallest)
            block -= dtype(shift) * basis
    return block


def _factors(a: Operator, block: Array, rank: int) -> _Factors:
    """The SVD of the matrix projected on the range of a block: ``Q @ Q.T @ A``."""
    threads, narrow = a.num_threads, a.dtype == np.float32
    q, c, _ = orthonormal(block.astype(np.float64, copy=False), threads)
    image = a.transposed_times(q.astype(np.float32) if narrow else q).astype(np.float64, copy=False)
    values, vectors = np.linalg.eigh(matmul(c.T, matmul(gram(image, threads), c)))
    singular = np.sqrt(np.maximum(values[::-1], 0.0))
    if singular[min(rank, len(singular) - 1)] > GRAM_RATIO * singular[0]:
        left = matmul(c, vectors[:, : -rank - 1 : -1])
        right = matmul(image, left / singular[:rank], num_threads=threads)
        departure = gram(right, threads)
        departure.ravel()[:: rank + 1] -= 1.0
        correction = -0.5 * departure  # (I + F)^(-1/2) but for F^2
        correction.ravel()[:: rank + 1] += 1.0
        vh = matmul(correction, right.T, num_threads=threads)
    else:
        z, c_z, upper = orthonormal(matmul(image, c, num_threads=threads), threads)
        p, singular, oh = np.linalg.svd(upper)
        left = matmul(c, oh[:rank].T)
        vh = matmul(matmul(p[:, :rank].T, c_z.T), z.T, num_threads=threads)
    return _Factors(matmul(q, left, num_threads=threads), singular, vh)


def _approximation(a: Operator, rank: int, oversampling: int, n_iter: int, sketch: str, key: int) -> _Factors:
    """Factors from power steps in float32 where that is enough."""
    columns = -(-(rank + oversampling) // COLUMN_STEP) * COLUMN_STEP
    columns = min(columns, a.shape[0])
    eps = float(np.finfo(np.float32).eps)
    if columns > rank or a.dtype == np.float32:
        factors = _factors(a, _range(a, columns, n_iter, sketch, key, np.float32), rank)
        next_value = factors.singular[min(rank, columns - 1)]
        if a.dtype == np.float32 or next_value > SINGLE_RATIO * eps * factors.singular[0]:
            return factors
    return _factors(a, _range(a, columns, n_iter, sketch, key, np.float64), rank)


def _signed(u: Array, vh: Array) -> None:
    """Turn each pair of vectors so that the entry of largest magnitude in the left one is positive."""
    negative = reductions.max(u, axis=0) < -reductions.min(u, axis=0)
    signs = np.where(negative, -1.0, 1.0).astype(u.dtype)
    u *= signs
    vh *= signs[:, None]


def _bounded(a: Operator, factors: _Factors, rank: int, key: int, **options: float) -> RandomizedSVDResult:
    """The result of so many of the singular values, still scaled, in the type of the matrix."""
    dtype = np.float32 if a.dtype == np.float32 else np.float64
    u, vh = (x.astype(dtype, copy=False) for x in (factors.u[:, :rank], factors.vh[:rank]))
    singular = factors.singular[:rank].astype(dtype)
    expected = float(factors.singular[rank]) if len(factors.singular) > rank else 0.0
    bounds = residual_norm(a, u, singular, vh, key, expected=expected, **options)
    return RandomizedSVDResult(u, singular, vh, bounds.upper)


def _within(
    a: Operator, limit: int, tol: float, oversampling: int, n_iter: int, sketch: str, key: int
) -> tuple[RandomizedSVDResult, bool]:
    """The smallest rank found whose bound is at most `tol`, and whether there is one."""
    options = {"failure": FAILURE / 100, "enough": 1.2}
    rank = min(limit, 2 * COLUMN_STEP)
    while True:
        factors = _approximation(a, rank, oversampling, n_iter, sketch, key)
        # no rank can do at which a singular value above tol is left: these are below the matrix's own
        low = int((factors.singular[:rank] > tol).sum())
        if low < rank or rank == limit:
            key += 1
            best = _bounded(a, factors, rank, key, **options)
            if best.error_bound <= tol or rank == limit:
                break
        rank = min(limit, 2 * rank)
    if best.error_bound > tol:
        return best, False
    # `low - 1` is too small, `high` is enough
    low, high = max(low, 1), rank
    while low < high:
        middle = (low + high) // 2
        key += 1
        result = _bounded(a, factors, middle, key, **options)
        if result.error_bound <= tol:
            best, high = result, middle
        else:
            low = middle + 1
    return best, True


def _key(rng: Any) -> int:
    return int(np.random.default_rng(rng).integers(2**63, dtype=np.int64))


def _count(name: str, value: Any, least: int) -> int:
    try:
        number = operators.index(value)
    except TypeError:
        raise TypeError(f"{name} must be an integer, not {type(value).__name__}") from None
    if number < least:
        raise ValueError(f"{name} must be at least {least}, not {number}")
    return number


def randomized_svd(
    a: ArrayLike,
    rank: int | None,
    *,
    tol: float | None = None,
    oversampling: int = 10,
    n_iter: int = 2,
    sketch: str = "auto",
    rng: Any = None,
    num_threads: int | None = None,
) -> RandomizedSVDResult:
    """Leading part of a singular value decomposition, by random projections, with a bound of its error.

    Parameters
    ----------
    a : array_like, csr_array or SciPy sparse matrix of shape (rows, columns)
        The matrix. float32 is computed and returned as float32; everything else that is real is taken to float64.
    rank : int or None
        How many singular values and vectors, 1 to ``min(rows, columns)``; with `tol`, at most so many, and None for no
        limit.
    tol : float, optional
        Find the smallest rank at which ``error_bound <= tol``: an absolute error in the spectral norm. Where the limit
        does not allow it, the result of the largest rank is returned with its bound, and a RuntimeWarning.
    oversampling : int, default 10
        At least so many columns more than the rank in the random test matrix; their number is rounded up to a multiple
        of 16.
    n_iter : int, default 2
        Power iterations: each multiplies by the matrix and its transpose once more. More of them find the leading
        vectors more exactly where singular values fall slowly.
    sketch : {"auto", "gaussian", "sparse-sign", "srht"}, default "auto"
        The random test matrix: independent normal numbers; 8 entries of 1 or -1 a row; or a subsampled randomised
        Hadamard transform (dense matrices only). ``"auto"`` takes what was measured to be fastest.
    rng : None, int, SeedSequence or Generator, optional
        Where random numbers come from, as for :func:`numpy.random.default_rng`. The same number gives the same
        result, whatever the number of threads.
    num_threads : int, optional
        At most so many threads, whatever :func:`mlopt.set_num_threads` says.

    Returns
    -------
    RandomizedSVDResult
        ``U`` (rows, rank), ``S`` (rank,), ``Vh`` (rank, columns) and ``error_bound``, a named tuple.

    Raises
    ------
    ValueError
        If `a` is not a matrix, is empty or has a NaN or an infinity, or an argument is out of its range.
    TypeError
        If `a` is not real, or an argument is not of its type.

    Warns
    -----
    RuntimeWarning
        If no rank within the limit meets `tol`.

    See Also
    --------
    mlopt.TruncatedSVD : The same as an estimator for scikit-learn.

    Notes
    -----
    Halko, Martinsson and Tropp, "Finding structure with randomness", SIAM Review 53, 2011, with shifted power
    iterations (Feng, Yu, Xie, "Algorithm 1043: Faster randomized SVD with dynamic shifts", ACM TOMS 50, 2024).

    For an (m, n) matrix and `l` columns of the test matrix (`l` is rank and oversampling), products take
    ``O(m * n * l * (2 * n_iter + 2))``, with the number of stored entries in place of ``m * n`` for sparse matrices;
    bases ``O((m + n) * l**2)``; small factorisations ``O(l**3)``; the bound some products with 16 columns. Only the
    sketch itself is less for other test matrices than Gaussian ones: ``O(m * n * log(l))`` for ``"srht"``,
    ``O(m * n)`` for ``"sparse-sign"``. With `tol`, ranks are doubled until one is enough: about twice the work of the
    rank found.

    ``error_bound`` bounds ``norm(a - U @ diag(S) @ Vh, 2)`` with a probability of at least ``1 - 1e-6``, and is at most
    about 1.85 times that norm, whatever the singular values (1.2 times with `tol`). It covers rounding: it cannot be
    below a small multiple of ``eps * norm(a)``. How near the error itself is to the smallest possible one, the next
    singular value, depends on `n_iter` and `oversampling`; ``S[i]`` is never above the singular value that it stands
    for by more than rounding.

    A float64 matrix is also kept as float32 while the power iterations run, which need no more than that; the final
    projection is computed in float64. Where singular values fall to 1e-5 of the first within the rank, everything is.
    `U` and `Vh` are orthonormal to a few eps in any case.

    Examples
    --------
    >>> import numpy as np, mlopt
    >>> rng = np.random.default_rng(0)
    >>> a = rng.standard_normal((200, 5)) @ rng.standard_normal((5, 300))
    >>> U, S, Vh, error_bound = mlopt.linalg.randomized_svd(a, 5, rng=0)
    >>> bool(np.linalg.norm(a - U * S @ Vh, 2) <= error_bound < 1e-9)
    True
    >>> mlopt.linalg.randomized_svd(a, None, tol=1e-6, rng=0).S.shape
    (5,)
    """
    matrix = checked(a)
    smaller = min(matrix.shape)
    if rank is None:
        if tol is None:
            raise ValueError("rank must be an integer where tol is not given, not None")
        rank = smaller
    rank = _count("rank", rank, 1)
    if rank > smaller:
        raise ValueError(f"rank must be at most {smaller}, the smaller side of a, not {rank}")
    if tol is not None and not (isinstance(tol, numbers.Real) and 0 < tol < math.inf):
        raise ValueError(f"tol must be a positive number, not {tol!r}")
    oversampling, n_iter = _count("oversampling", oversampling, 0), _count("n_iter", n_iter, 0)
    if sketch not in SKETCHES:
        raise ValueError(f"sketch={sketch!r} is not a sketch; expected one of {', '.join(map(repr, SKETCHES))}")
    if sketch == "srht" and is_sparse(matrix):
        raise ValueError("sketch='srht' is for dense matrices only; expected another for a sparse one")
    key = _key(rng)
    view = operator(matrix, num_threads)
    reached = True
    if tol is None:
        result = _bounded(view, _approximation(view, rank, oversampling, n_iter, sketch, key), rank, key + 1)
    else:
        with np.errstate(over="ignore", under="ignore"):
            scaled = float(np.ldexp(float(tol), -view.exponent))
        result, reached = _within(view, rank, scaled, oversampling, n_iter, sketch, key)
    u, singular, vh, bound = result
    if view.transposed:
        u, vh = transposed_copy(np.ascontiguousarray(vh)), transposed_copy(np.ascontiguousarray(u))
    _signed(u, vh)
    if view.exponent:
        with np.errstate(over="ignore", under="ignore"):
            singular = np.ldexp(singular, view.exponent)
            bound = float(np.ldexp(bound, view.exponent))
    if not reached:
        warnings.warn(
            f"the error may be {bound:.3g} with all {rank} singular values, above tol={tol:.3g}",
            RuntimeWarning,
            stacklevel=2,
        )
    return RandomizedSVDResult(u, singular, vh, bound)


__all__ = ["RandomizedSVDResult", "randomized_svd"]
