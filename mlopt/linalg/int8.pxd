# Right operands of products of bytes in the form that the kernel reads.
cimport numpy as cnp

from mlopt._kernels.dispatch cimport mlopt_kernels


cdef class PackedInt8Matrix:
    cdef const mlopt_kernels *table  # whose tier packed it
    cdef cnp.ndarray data            # of one dimension, aligned
    cdef cnp.ndarray given           # what it was packed from
    cdef size_t columns              # of the packed form
    cdef readonly tuple shape
    cdef readonly cnp.dtype dtype

    cdef int pack(self, const mlopt_kernels *table) except -1

    # The packed form for a table.  Threads may ask and repack at once.
    cdef cnp.ndarray form_for(self, const mlopt_kernels *table, size_t *columns)
