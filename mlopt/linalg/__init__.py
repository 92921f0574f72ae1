"""Dense linear algebra: matrix products, scalar products, scaled updates, randomised SVD.

:func:`matmul` checks its operands once (``operands``), turns them into jobs (``_kernels/gemm/gemm.h``: sizes,
pointers, strides) and runs each through ``gemm``, which takes the workspace from the slab pool and cuts large
products into panels, one per thread. ``packed`` holds right operands in the form that the kernel reads.
``int8`` over ``int8_gemm``, and ``bf16``, are the same for bytes and for bfloat16; ``views`` for Cython modules, on
typed memoryviews.

``randomized`` is the randomised SVD, over these products.
"""

from mlopt.linalg.int8 import PackedInt8Matrix, matmul_int8
from mlopt.linalg.matmul import matmul
from mlopt.linalg.packed import PackedMatrix
from mlopt.linalg.randomized import RandomizedSVDResult, randomized_svd
from mlopt.linalg.vectors import axpy, dot

__all__ = [
    "PackedInt8Matrix",
    "PackedMatrix",
    "RandomizedSVDResult",
    "axpy",
    "dot",
    "matmul",
    "matmul_int8",
    "randomized_svd",
]
