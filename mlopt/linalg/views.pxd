# The Cython side of mlopt.dot, axpy and matmul: typed memoryviews, no GIL.  Reached by `cimport mlopt`.
#
# Each operand is a memoryview of float or double, strided or declared contiguous, const or not; Cython chooses
# among fused types by the declaration and converts nothing.  All operands of a call have one element type:
# TypeError.  Outputs must not overlap inputs.

ctypedef fused left_vector:
    const float[:]
    const float[::1]
    const double[:]
    const double[::1]

ctypedef fused right_vector:
    const float[:]
    const float[::1]
    const double[:]
    const double[::1]

ctypedef fused out_vector:
    float[:]
    float[::1]
    double[:]
    double[::1]

ctypedef fused left_matrix:
    const float[:, :]
    const float[:, ::1]
    const double[:, :]
    const double[:, ::1]

ctypedef fused right_matrix:
    const float[:, :]
    const float[:, ::1]
    const double[:, :]
    const double[:, ::1]

ctypedef fused out_matrix:
    float[:, :]
    float[:, ::1]
    double[:, :]
    double[:, ::1]

# Scalar product (of floats, the float sum as a double).  The lengths must be equal: ValueError.
cdef double dot(left_vector x, right_vector y) except? -1 nogil

# y += alpha x.  The lengths must be equal: ValueError.  y may be x itself.
cdef int axpy(double alpha, left_vector x, out_vector y) except -1 nogil

# out = a b, on one thread.  The shapes must fit: ValueError.
cdef int matmul(left_matrix a, right_matrix b, out_matrix out) except -1 nogil
