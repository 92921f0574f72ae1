"""How many elements are not zero."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlopt.sparse.construct import is_scipy, plain
from mlopt.sparse.csc import csc_array
from mlopt.sparse.csr import csr_array
from mlopt.sparse.dense import count_nonzero

__all__ = ["density"]


def density(a: Any) -> float:
    """The share of the elements that are not zero.

    Parameters
    ----------
    a : csr_array, csc_array, SciPy sparse array or array_like
        The array; a dense one of any shape.

    Returns
    -------
    float
        From 0 to 1; 0 for an array without elements. Of a sparse array, the share that is stored, whatever it is; of a
        dense one, the exact share of elements that differ from 0, NaN among them.

    Raises
    ------
    TypeError
        If a dense `a` has other than real numbers.

    Notes
    -----
    O(1) for a sparse array; one pass over a dense one.

    Examples
    --------
    >>> import numpy as np, mlopt
    >>> mlopt.sparse.density([[1.0, 0.0], [0.0, 0.0]])
    0.25
    >>> mlopt.sparse.density(mlopt.sparse.csr_array(np.eye(10)))
    0.1
    """
    if isinstance(a, csr_array | csc_array):
        return a.density
    if is_scipy(a):
        return int(a.nnz) / (int(np.prod(a.shape, dtype=object)) or 1)
    given = plain(a, "a")
    if given.dtype.kind not in "biuf":
        raise TypeError(f"a has elements of type {given.dtype}; expected real numbers")
    return count_nonzero(given) / (given.size or 1)
