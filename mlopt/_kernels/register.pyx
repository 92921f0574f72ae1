"""Every kernel of the register, callable by name on any tier: for tests, benchmarks and reports.

Nothing is checked here beyond types and counts: lengths and memory are the caller's to get right.
"""
cimport numpy as cnp
from libc.string cimport memset

from mlopt._kernels.core cimport find_kernel, kernel_of, table_of
from mlopt._kernels.dispatch cimport mlopt_kernel_info

from mlopt._kernels.core import available_tiers, kernel_report

cnp.import_array()


cdef extern from "invoke.h" nogil:
    ctypedef struct mlopt_call:
        size_t dims[4]
        void *operands[8]
        size_t steps[8]
        double number
        double result[2]
    ctypedef void mlopt_invoker(void *, mlopt_call *) noexcept
    mlopt_invoker *mlopt_find_invoker(const mlopt_kernel_info *)
    double mlopt_time_calls(mlopt_invoker *, void *, mlopt_call *, size_t)


cdef class Kernel:
    """One kernel of one type on one tier.

    Parameters
    ----------
    name, type : str
        As in the register: ``"exp"``, ``"f32"``.
    tier : str
        One of ``available_tiers()``.
    """
    cdef const mlopt_kernel_info *info
    cdef void *pointer
    cdef mlopt_invoker *invoker

    def __init__(self, str name, str type, str tier):
        self.info = find_kernel(name.encode(), type.encode())
        if self.info == NULL:
            raise ValueError(f"no kernel {name!r} of type {type!r} in the register")
        self.pointer = kernel_of(table_of(tier), self.info)
        self.invoker = mlopt_find_invoker(self.info)
        if self.invoker == NULL:
            raise NotImplementedError(f"invoke.h has no row for signature {self.info.signature.decode()!r}")

    cdef int fill(self, mlopt_call *call, dims, operands, double number, steps) except -1:
        if len(operands) > 8 or len(dims) > 4:
            raise ValueError("at most 8 operands and 4 dimensions")
        memset(call, 0, sizeof(mlopt_call))
        for i, dim in enumerate(dims):
            call.dims[i] = dim
        for i, operand in enumerate(operands):
            call.steps[i] = 1 if steps is None else steps[i]
            if operand is None:  # an operand that the contract lets be NULL
                call.operands[i] = NULL
                continue
            if not isinstance(operand, cnp.ndarray):
                raise TypeError(f"operand {i} must be an ndarray, not {type(operand).__name__}")
            call.operands[i] = cnp.PyArray_DATA(<cnp.ndarray>operand)
        call.number = number
        return 0

    def __call__(self, dims, *operands, double number=1.0, steps=None):
        """Call once; returns the two result cells (meaningful where the signature returns something)."""
        cdef mlopt_call call
        self.fill(&call, dims, operands, number, steps)
        call.result[0] = call.result[1] = 0
        self.invoker(self.pointer, &call)
        if self.info.signature == b"moments" and self.info.type == b"f32":
            return (<float *>&call.result[0])[0], (<float *>&call.result[1])[0]
        return call.result[0], call.result[1]

    def time(self, dims, *operands, double number=1.0, steps=None, size_t calls=1000):
        """Nanoseconds per call over `calls` calls in a row."""
        cdef mlopt_call call
        cdef double nanoseconds
        self.fill(&call, dims, operands, number, steps)
        with nogil:
            nanoseconds = mlopt_time_calls(self.invoker, self.pointer, &call, calls)
        return nanoseconds / calls


__all__ = ["Kernel", "available_tiers", "kernel_report"]
