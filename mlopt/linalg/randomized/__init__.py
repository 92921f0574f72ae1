"""Randomised linear algebra over the products of this library, in Python.

``svd`` is the decomposition; it sees a matrix, dense or sparse, through one interface (``operators``), multiplies it by
random matrices (``sketches``, over ``sketch_plan`` and the kernels of ``_kernels/sketch``), takes bases
(``orthonormal``) and bounds the error of what it returns (``residual``).
"""

from mlopt.linalg.randomized.svd import RandomizedSVDResult, randomized_svd

__all__ = ["RandomizedSVDResult", "randomized_svd"]
