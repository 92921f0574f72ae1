# What the products of a matrix remember.
cimport numpy as cnp
from libc.stdint cimport int64_t

from mlopt.memory.pool cimport Block
from mlopt.sparse.calls cimport mlopt_sell
from mlopt.sparse.compressed cimport CompressedRows


cdef class Plan:
    cdef Block block            # of the sliced form; None where there is none
    cdef bint made              # a flag of atomics.h: whether the sliced form is there; it then stays as it is
    cdef mlopt_sell sliced
    cdef cnp.ndarray long_rows  # the rows that are not in it, or None
    cdef bint decided, pays
    cdef size_t short_rows, short_elements
    cdef CompressedRows wide    # the same matrix in float64, once it was asked for
    cdef int distinct           # whether no row has a column twice: -1 where that is not known

    # The sliced form is made where it pays and this is not the first product with a vector.
    cdef bint use_slices(self, CompressedRows a) except -1


cdef Plan plan_of(CompressedRows a)
