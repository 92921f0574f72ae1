"""Sparse matrices by compressed rows: construction, products, exchange with SciPy.

``construct`` turns what users have into three arrays, ``compressed`` checks them once and holds them with the C view
that kernels read, ``csr`` is the public class over it, and ``csc`` the same arrays seen as columns.  ``products``
multiplies by dense operands, ``gustavson`` by sparse ones, ``sampled`` dense ones at sparse places; ``plan`` is what
products remember.  ``dense`` and ``detection`` find out that a dense operand is sparse; ``rows`` sorts, merges and
chooses; ``files`` writes and reads.
"""

from mlopt.sparse.counts import density
from mlopt.sparse.csc import csc_array
from mlopt.sparse.csr import csr_array
from mlopt.sparse.files import load_npz, save_npz
from mlopt.sparse.sampling import sampled_matmul

__all__ = ["csc_array", "csr_array", "density", "load_npz", "sampled_matmul", "save_npz"]
