"""A call that does nothing: what calling an extension object from Python costs at all."""
cimport cython


@cython.final
cdef class EmptyCall:
    """Returns the same object from every call, as a bound call returns its output.

    Examples
    --------
    >>> from mlopt.targets.empty import EmptyCall
    >>> EmptyCall()()
    0
    """
    cdef object result

    def __cinit__(self):
        self.result = 0

    def __call__(self):
        return self.result


__all__ = ["EmptyCall"]
