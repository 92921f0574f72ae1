# The Cython side of mlopt.dot, axpy and matmul: typed memoryviews, no GIL.  Reached by `cimport mlopt`.
from cython cimport floating

# Scalar product (of floats, the float sum as a double).  The lengths must be equal: ValueError.
cdef double dot(const floating[::1] x, const floating[::1] y) except? -1 nogil

# y += alpha x.  The lengths must be equal: ValueError.  x and y are the same or do not overlap.
cdef int axpy(floating alpha, const floating[::1] x, floating[::1] y) except -1 nogil

# out = a b, with any strides, on one thread.  Shapes must fit: ValueError; out must not overlap a or b.
cdef int matmul(const floating[:, :] a, const floating[:, :] b, floating[:, :] out) except -1 nogil
