# What the modules of products share.
cimport numpy as cnp

from mlopt.sparse.calls cimport mlopt_sparse_types
from mlopt.sparse.compressed cimport CompressedRows

# The kernels for a matrix; ValueError where it is too wide for them.
cdef mlopt_sparse_types types_of(CompressedRows a) except *

# How many parts so much work, in multiplications of a dense product, is worth on at most `threads` threads.
cdef size_t parts_of(double work, threads) except? 0

# The same matrix in float64, which is remembered.
cdef CompressedRows widened(CompressedRows a)

# The dense operand as the kernels take it, and the matrix in the type of the result.
cdef tuple operands(CompressedRows a, b, name)

# The same elements in rows that can be walked along.
cdef cnp.ndarray with_rows(cnp.ndarray x, mlopt_sparse_types *types)

# Elements from one row to the next.
cdef size_t row_step(cnp.ndarray x) noexcept
