"""Products of dense matrices at the places of a sparse one."""

from __future__ import annotations

from typing import Any

from numpy.typing import ArrayLike

from mlopt.sparse.construct import is_scipy
from mlopt.sparse.csr import csr_array
from mlopt.sparse.sampled import sampled_values

__all__ = ["sampled_matmul"]


def sampled_matmul(a: ArrayLike, b: ArrayLike, pattern: Any, *, num_threads: int | None = None) -> csr_array:
    """The elements of a product of two dense matrices where a sparse matrix has elements (SDDMM).

    Parameters
    ----------
    a, b : array_like, shapes (m, k) and (k, n)
        Real numbers; converted to the type of `pattern`. Quickest where the columns of `b` are contiguous, as those of
        ``x.T`` are.
    pattern : csr_array or SciPy sparse array, shape (m, n)
        The places. What it holds there is not used.
    num_threads : int, optional
        At most so many threads.

    Returns
    -------
    csr_array, shape (m, n)
        The elements of ``a @ b`` at those places; its indices are those of `pattern`.

    Raises
    ------
    ValueError
        If shapes do not fit.
    TypeError
        If an operand has other than real numbers.

    See Also
    --------
    csr_array : Products with sparse matrices.

    Notes
    -----
    O(k) operations for each place. This is what the gradient of a sparse factor takes: with ``y = s @ x`` and the
    gradient ``g`` of ``y``, that of the elements of ``s`` is ``sampled_matmul(g, x.T, s)``. Each element is within
    ``k * eps * sum(abs(a[i, :] * b[:, j]))`` of the exact one.

    Examples
    --------
    >>> import numpy as np, mlopt
    >>> places = mlopt.sparse.csr_array(np.eye(2))
    >>> mlopt.sparse.sampled_matmul([[1.0, 2.0], [3.0, 4.0]], [[1.0, 0.0], [0.0, 10.0]], places).toarray()
    array([[ 1.,  0.],
           [ 0., 40.]])
    """
    if is_scipy(pattern):
        pattern = csr_array(pattern)
    if not isinstance(pattern, csr_array):
        raise TypeError(f"pattern must be a csr_array or a sparse array of SciPy's, not {type(pattern).__name__}")
    values = sampled_values(a, b, pattern, num_threads)
    return csr_array((values, pattern.indices, pattern.indptr), pattern.shape)
