# cython: language_level=3
"""Gradient descent for ridge regression, every step without the GIL."""
cimport mlopt


def descend(const double[:, :] a, const double[::1] b, double[::1] x, double rate, double ridge, int steps):
    """Improve x in place; returns its squared length."""
    cdef Py_ssize_t i, step
    cdef double residual, squares
    with nogil:
        for step in range(steps):
            mlopt.axpy(-rate * ridge, x, x)
            for i in range(a.shape[0]):
                residual = mlopt.dot(a[i, :], x) - b[i]
                mlopt.axpy(-rate * residual, a[i, :], x)
        squares = mlopt.dot(x, x)
    return squares
