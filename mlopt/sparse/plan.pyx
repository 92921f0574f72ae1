"""What the products of a matrix remember: a form that is quicker to multiply, and what was found out about it."""
import numpy as np

cimport numpy as cnp
from libc.stdint cimport INT32_MAX, int64_t

from mlopt.memory.pool cimport new_block
from mlopt.sparse.calls cimport mlopt_sell, mlopt_slices_bytes, mlopt_slices_count, mlopt_slices_make
from mlopt.sparse.compressed cimport CompressedRows

cnp.import_array()

# Elements below which the sliced form saves less than looking for it costs.
cdef size_t FEW_ELEMENTS = 512
# The share of the elements that must lie in short rows.
cdef double SHORT_SHARE = 0.5


cdef class Plan:
    """What the products of one matrix remember.

    The sliced form takes several products' time to make, so the first product with a vector decides whether the
    matrix has what it takes, and the second makes the form.
    """

    def __cinit__(self, *args, **kwargs):
        self.distinct = -1

    cdef bint use_slices(self, CompressedRows a) except -1:
        cdef int index_bytes = cnp.PyArray_ITEMSIZE(a.indices), element_bytes = cnp.PyArray_ITEMSIZE(a.data)
        cdef mlopt_sell sliced
        cdef int64_t *long_rows
        cdef void *block
        if self.block is not None:
            return True
        if not self.decided:
            self.decided = True
            with nogil:
                mlopt_slices_count(&a.view, index_bytes, &self.short_rows, &self.short_elements)
            self.pays = (self.short_elements >= FEW_ELEMENTS and a.view.rows <= INT32_MAX
                         and self.short_elements >= SHORT_SHARE * cnp.PyArray_DIM(a.data, 0))
            return False
        if not self.pays:
            return False
        made = new_block(mlopt_slices_bytes(self.short_rows, self.short_elements, element_bytes), False)
        apart = np.empty(a.view.rows - self.short_rows, np.int64)
        long_rows = <int64_t *>cnp.PyArray_DATA(apart)
        block = made.data
        with nogil:
            sliced = mlopt_slices_make(&a.view, index_bytes, element_bytes, self.short_rows, self.short_elements,
                                       block, long_rows)
        # another thread may have made it meanwhile, and computes with it
        if self.block is None:
            self.sliced = sliced
            self.long_rows = apart
            self.block = made
        return True


cdef Plan plan_of(CompressedRows a):
    if a.plan is None:
        a.plan = Plan.__new__(Plan)
    return <Plan>a.plan


__all__ = ["Plan"]
