"""How far a product ``U @ S @ Vh`` is from a matrix in the spectral norm: a bound that holds with known probability.

Be E the residual, sigma its norm, u its leading left singular vector, and W a matrix of r columns of independent normal
numbers, drawn when E was known. Powers of E take W with them::

    norm(... E @ E.T @ W) >= sigma**e * norm(u.T @ W)        (e factors)

and ``norm(u.T @ W)**2`` is a chi-squared number of r degrees of freedom, whatever E is: with its quantile t**2 at the
probability of failure, ``sigma <= (norm(... E @ E.T @ W) / t)**(1 / e)``. That is the a-posteriori bound of Halko,
Martinsson and Tropp ("Finding structure with randomness", SIAM Review 53, 2011, lemma 4.1) with two changes. The
powers: for e = 1 the bound is of the size of the Frobenius norm, hopeless where singular values decay slowly; the e-th
root takes the factor to 1. The block: r columns together miss u far less often than the best of r does (Martinsson and
Tropp, "Randomized numerical linear algebra", Acta Numerica 29, 2020, section 6). The event that fails is the same one
(``norm(u.T @ W) < t``) for every e, so that powers may be taken until the bound is near the lower bound that each of
them gives: ``norm(E @ X) <= sigma * norm(X)``.

Rounding: products are computed with an error of at most eta times the Frobenius norm of the block multiplied.
Carried through the powers, ``a[0] = t``, ``a[j] = (sigma * a[j-1] - eta * f[j-1]) / p[j]`` stay below the norm of u's
(in turn v's) component in the blocks as computed (of norms p, then made 1), and the bound is the largest sigma for
which the last of them is not above the norm that was found. In eta, a sum of n products is taken to be off by at most
``min(n, 8 * sqrt(n))`` units of rounding: for independent errors of mean 0 that fails once in 1e13 sums (Higham and
Mary, "A new approach to probabilistic rounding error analysis", SIAM J. Sci. Comput. 41, 2019).
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlopt.linalg.matmul import add_product, matmul
from mlopt.linalg.randomized import sketches
from mlopt.linalg.randomized.operators import DenseOperator, Operator

Array = NDArray[Any]

FAILURE = 1e-6
# Columns of W: one vector of float32, which costs hardly more than one column.
COLUMNS = 16
# Powers are taken until the bound is within this factor of the lower bound.
ENOUGH = 1.85
# Rounding may take so much of the random component before the next more exact way is taken: with 4 powers it then
# loosens the bound by a fifth at most.
ROUNDING_SHARE = 0.5


@dataclass(frozen=True)
class Bounds:
    """Of a spectral norm: ``lower`` always holds, ``upper`` but for the stated probability of failure."""

    lower: float
    upper: float


@cache
def smallest_component(columns: int, failure: float) -> float:
    """What the norm of so many (an even number) independent normal numbers is below only with this probability.

    The root of the chi-squared quantile, by bisection of ``exp(-z) * sum(z**j / j! for j >= columns / 2)``.

    Examples
    --------
    >>> round(smallest_component(2, 0.5), 6)  # sqrt(2 * log(2))
    1.17741
    """

    def below(z: float) -> float:
        j = columns // 2
        term, total = math.exp(-z) * z**j / math.factorial(j), 0.0
        while term > 1e-18 * total:
            total += term
            j += 1
            term *= z / j
        return total

    low, high = 0.0, float(columns)
    for _ in range(100):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if below(middle) < failure else (low, middle)
    return math.sqrt(2 * low)


def sum_error(terms: int) -> float:
    """Of a sum of so many products: its error in units of rounding of the sum of their magnitudes."""
    return min(float(terms), 8 * math.sqrt(terms))


class Residual:
    """``A - U @ S @ Vh`` as an operator on blocks of ``COLUMNS`` columns, in one type.

    S stands with the factor that is multiplied first, so that what is rounded there is of the size of the matrix.
    ``rounding`` bounds the error of a product of either kind over the Frobenius norm of the block multiplied,
    ``offset`` the norm of what this operator differs from the residual by. A product is overwritten by the next of its
    kind: where the sides are long, new memory would take longer than the product.
    """

    def __init__(self, a: Operator, singular: Array, dtype: Any) -> None:
        self.a = a
        self.dtype = np.dtype(dtype)
        unit = float(np.finfo(dtype).eps) / 2
        rank = len(singular)
        largest, size = float(singular[0]), float(np.linalg.norm(singular))
        self.offset = unit * (a.norm + 4 * size)  # of the conversions, S into the factors
        # the products, the product with the factor that has no S, the subtraction and the scaling of the block
        common = sum_error(rank) * math.sqrt(rank) * largest + 3 * (a.norm + size)
        self.rounding = unit * (common + sum_error(a.row_terms) * a.norm + sum_error(a.shape[1]) * size)
        self.rounding_transposed = unit * (common + sum_error(a.column_terms) * a.norm + sum_error(a.shape[0]) * size)

    def set_factors(self, u: Array, singular: Array, vh: Array) -> None:
        """Take the factors over, and the memory for products: nothing before has needed them."""
        self.u, self.vh = u.astype(self.dtype, copy=False), vh.astype(self.dtype, copy=False)
        scale = singular.astype(self.dtype, copy=False)
        self.scaled_u, self.scaled_vh = self.u * scale, self.vh * scale[:, None]
        self.short: Array | None = None
        self.long: Array | None = None

    def times(self, block: Array) -> Array:
        threads = self.a.num_threads
        inner = np.negative(matmul(self.scaled_vh, block, num_threads=threads))
        self.short = self.a.times(block, self.short)
        return add_product(self.u, inner, self.short, threads)

    def transposed_times(self, block: Array) -> Array:
        threads = self.a.num_threads
        inner = np.negative(matmul(self.scaled_u.T, block, num_threads=threads))
        self.long = self.a.transposed_times(block, self.long)
        return add_product(self.vh.T, inner, self.long, threads)


class ExplicitResidual(Residual):
    """The same, formed as a matrix in float64: for residuals that are hardly above the rounding of the matrix."""

    def __init__(self, a: DenseOperator, singular: Array) -> None:
        super().__init__(a, singular, np.float64)
        rank, size = len(singular), float(np.linalg.norm(singular))
        unit = float(np.finfo(np.float64).eps) / 2
        self.offset = unit * (2 * a.norm + (sum_error(rank) * math.sqrt(rank) + 4) * size)

    def set_factors(self, u: Array, singular: Array, vh: Array) -> None:
        left = u.astype(np.float64, copy=False) * singular.astype(np.float64, copy=False)
        matrix = matmul(left, vh.astype(np.float64, copy=False), method="gemm", num_threads=self.a.num_threads)
        self.matrix = np.subtract(self.a.matrix(np.float64), matrix, out=matrix)
        unit, norm = float(np.finfo(np.float64).eps) / 2, float(np.linalg.norm(matrix))
        self.rounding = unit * (sum_error(self.a.shape[1]) + 2) * norm
        self.rounding_transposed = unit * (sum_error(self.a.shape[0]) + 2) * norm

    def times(self, block: Array) -> Array:
        product: Array = matmul(self.matrix, block, method="gemm", num_threads=self.a.num_threads)
        return product

    def transposed_times(self, block: Array) -> Array:
        product: Array = matmul(self.matrix.T, block, method="gemm", num_threads=self.a.num_threads)
        return product


def _forms(a: Operator, singular: Array, expected: float, share: float, eps: float) -> Iterator[Residual]:
    """The residual in ever more exact forms, from the first whose rounding is small beside the norm to be expected."""
    threshold = max(expected, eps * float(singular[0]))
    for dtype in (np.float32, np.float64):
        residual = Residual(a, singular, dtype)
        worst = max(residual.rounding, residual.rounding_transposed)
        if worst <= share * threshold and residual.offset <= threshold / 50:
            yield residual
    if isinstance(a, DenseOperator):
        yield ExplicitResidual(a, singular)
    else:
        yield residual


def _largest(component: float, roundings: list[float], norms: list[float], found: float) -> float:
    """The largest sigma that the blocks allow (see above): roundings of each step, their norms, that of the last."""
    steps = len(roundings)
    # sigma**steps * component <= found * prod(norms) + sum(roundings[j] * sigma**(steps - 1 - j) * prod(norms[:j]))
    products = [1.0]
    for norm in norms:
        products.append(products[-1] * norm)

    def allowed(sigma: float) -> float:
        total = found * products[-1]
        for j, rounding in enumerate(roundings):
            total += rounding * sigma ** (steps - 1 - j) * products[j]
        return math.pow(total / component, 1 / steps)

    sigma = 2 * math.pow(found * products[-1] / component, 1 / steps)
    while allowed(sigma) > sigma:
        sigma = 2 * allowed(sigma)
    for _ in range(8):  # falls towards the largest sigma, and never below it
        sigma = allowed(sigma)
    return sigma


def residual_norm(
    a: Operator,
    u: Array,
    singular: Array,
    vh: Array,
    key: int,
    *,
    expected: float = 0.0,
    failure: float = FAILURE,
    enough: float = ENOUGH,
) -> Bounds:
    """Bounds of the spectral norm of ``a - u @ diag(singular) @ vh``.

    Parameters
    ----------
    a : Operator
        (m, n), m at most n.
    u, singular, vh : ndarray
        (m, k), (k,), (k, n): orthonormal columns, descending, orthonormal rows. Not derived from what `key` gives.
    key : int
        Of the random numbers.
    expected : float
        What the norm will be about, or less: decides about float32.
    failure : float
        The probability with which the upper bound may be wrong.
    enough : float
        Ratio of the bounds at which no more powers are taken.

    Notes
    -----
    A power is a product of the matrix and 16 columns; mostly 3 to 5 are taken, never more than about ``log(m)``.
    """
    if a.norm == 0:
        return Bounds(0.0, 0.0)
    component = smallest_component(COLUMNS, failure)
    share = ROUNDING_SHARE * component / math.sqrt(COLUMNS * a.shape[0])
    bounds = Bounds(0.0, math.inf)
    eps = float(np.finfo(np.result_type(u, a.dtype)).eps)
    for form in _forms(a, singular, expected, share, eps):
        form.set_factors(u, singular, vh)
        drowned, bounds = _powers(form, key, component, enough)
        if not drowned:
            break
    return bounds


def _powers(residual: Residual, key: int, component: float, enough: float) -> tuple[bool, Bounds]:
    """Bounds by powers of the residual in one form, and whether all that was found is rounding."""
    a = residual.a
    # norm(E.T @ W) is at most about this times sigma, and its root is to be well within `enough`
    most = math.sqrt(a.shape[0]) + math.sqrt(COLUMNS) + 2
    powers = math.ceil(math.log(most / component) / math.log(0.5 + 0.5 * max(enough, 1.1))) + 1
    unit = float(np.finfo(residual.dtype).eps) / 2
    block = sketches.standard_normal((a.shape[0], COLUMNS), key, residual.dtype, a.num_threads)
    size = float(np.linalg.norm(block))
    spectral = math.inf  # of the block multiplied
    roundings: list[float] = []
    norms: list[float] = []
    lower, upper, log_norms = 0.0, math.inf, 0.0
    for power in range(powers):
        rounding = (residual.rounding if power % 2 else residual.rounding_transposed) * size
        block = residual.times(block) if power % 2 else residual.transposed_times(block)
        roundings.append(rounding)
        square = matmul(block.T, block, num_threads=a.num_threads).astype(np.float64, copy=False)
        trace = float(square.trace())
        total = math.sqrt(trace)
        if total <= rounding:
            upper = min(upper, _largest(component, roundings, norms, rounding))
            return True, Bounds(0.0, upper + residual.offset)
        # a first power never gives a bound that is near
        leading = float(np.linalg.eigvalsh(square)[-1]) if power else trace
        blur = trace * unit * (sum_error(len(block)) + 100)  # of the Gram matrix, and of its eigenvalues
        found = math.sqrt(leading + blur)
        lower = max(lower, (math.sqrt(max(leading - blur, 0.0)) - rounding) / spectral)
        # the bound without rounding: what comes with it is worth computing only where this is near enough
        near = lower > 0 and math.log(found / component) + log_norms <= (power + 1) * math.log(enough * lower)
        if near or power == powers - 1:
            upper = min(upper, _largest(component, roundings, norms, found))
            if upper <= enough * lower:
                break
        norms.append(total)
        log_norms += math.log(total)
        block *= 1 / total
        spectral, size = found / total, 1.01
    return False, Bounds(max(lower - residual.offset, 0.0), upper + residual.offset)
