"""What the products of a matrix remember: a form that is quicker to multiply, and what was found out about it."""
import numpy as np

cimport cython
cimport numpy as cnp
from libc.stdint cimport INT32_MAX, int64_t

from mlopt._kernels.atomics cimport mlopt_flag_get, mlopt_flag_set
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
        cdef size_t short_rows = 0, short_elements = 0
        if mlopt_flag_get(&self.made):
            return True
        if not mlopt_flag_get(&self.decided):
            # of several threads that get here all find the same
            with nogil:
                mlopt_slices_count(&a.view, index_bytes, &short_rows, &short_elements)
            with cython.critical_section(self):
                self.short_rows, self.short_elements = short_rows, short_elements
                self.pays = (short_elements >= FEW_ELEMENTS and a.view.rows <= INT32_MAX
                             and short_elements >= SHORT_SHARE * cnp.PyArray_DIM(a.data, 0))
                mlopt_flag_set(&self.decided, True)
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
        with cython.critical_section(self):
            if not self.made:
                self.sliced = sliced
                self.long_rows = apart
                self.block = made
                mlopt_flag_set(&self.made, True)
        return True


cdef Plan plan_of(CompressedRows a):
    if a.plan is None:
        plan = Plan.__new__(Plan)
        with cython.critical_section(a):
            if a.plan is None:  # of several threads one brings the plan, which stays
                a.plan = plan
    return <Plan>a.plan


__all__ = ["Plan"]
