# Right operands in the form the product kernel reads.
cimport numpy as cnp

from mlopt._kernels.dispatch cimport mlopt_kernels


cdef class PackedMatrix:
    cdef const mlopt_kernels *table  # whose tier packed it
    cdef cnp.ndarray data            # of one dimension, aligned
    cdef size_t columns              # of the packed form
    cdef readonly tuple shape
    cdef readonly cnp.dtype dtype

    cdef int pack(self, const mlopt_kernels *table, cnp.ndarray b) except -1
    cdef cnp.ndarray unpacked(self)

    # The packed form: as it is, with the table that made it, or for a table.  Threads may ask and repack at once.
    cdef cnp.ndarray form(self, const mlopt_kernels **table, size_t *columns)
    cdef cnp.ndarray form_for(self, const mlopt_kernels *table, size_t *columns)


# a @ b, checked.
cdef object packed_product(a, PackedMatrix b, out, threads)
