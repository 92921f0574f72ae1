"""Sparse matrices by compressed rows: construction, products, exchange with SciPy.

``construct`` turns what users have into three arrays, ``compressed`` checks them once and holds them with the C view
that kernels read, ``csr`` is the public class over it, and ``csc`` the same arrays seen as columns.  ``products``
multiplies; ``rows`` sorts, merges and chooses; ``files`` writes and reads.
"""

from mlopt.sparse.counts import density
from mlopt.sparse.csc import csc_array
from mlopt.sparse.csr import csr_array
from mlopt.sparse.files import load_npz, save_npz

__all__ = ["csc_array", "csr_array", "density", "load_npz", "save_npz"]
