"""What the bound predictions of single samples have in common."""
from mlopt._kernels.dispatch cimport mlopt_kernels


cdef class Bound:
    """A prediction between two arrays; made by a model's ``bind``."""

    def __init__(self):
        raise TypeError(f"{type(self).__name__} is made by a model's bind")

    cdef int predict(self, const mlopt_kernels *table, const void *x, void *out) noexcept nogil:
        return -1
