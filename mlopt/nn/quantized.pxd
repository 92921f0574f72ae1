# Quantised perceptrons: layers of bytes, and the memory of the chain that they are.
cimport numpy as cnp
from libc.stdint cimport int32_t

from mlopt._kernels.dispatch cimport mlopt_int8_layer, mlopt_int8_step, mlopt_kernels
from mlopt.nn.network cimport mlopt_objective


# The chain for the kernels of one table, with the scratch memory of one caller.
cdef class Chain:
    cdef const mlopt_kernels *table
    cdef unsigned long owner        # the thread it belongs to, 0 for none
    cdef size_t count
    cdef cnp.ndarray layers_memory, steps_memory, scratch
    cdef list kept                  # the packed layers that it points into
    cdef const mlopt_int8_layer *layers
    cdef const mlopt_int8_step *steps


cdef class QuantizedMLP:
    cdef readonly tuple quantized_layers
    cdef readonly str mode
    cdef readonly object source
    cdef str output_name, loss_name
    cdef tuple widths
    cdef mlopt_objective objective
    cdef size_t products            # multiply-adds of a sample
    cdef size_t row                 # bytes of the widest layer's inputs
    cdef bint dynamic, plain        # plain: no weights have zero points
    cdef const mlopt_kernels *packed_for
    cdef list packed                # of every layer: weights and terms of columns, by packed_for
    cdef list given                 # of every layer: weights, scales, zero points, bias, as the kernels take them
    cdef Chain main
    cdef dict others

    cdef int pack(self, const mlopt_kernels *table) except -1
    cdef int lay_out(self, Chain chain, const mlopt_kernels *table) except -1
    cdef Chain here(self, const mlopt_kernels *table)
    cdef int run_one(self, Chain chain, const float *x, float *out) except -1
    cdef int run_rows(self, Chain chain, size_t rows, const float *x, float *out) except -1
    cdef cnp.ndarray samples(self, X, str name)
    cdef cnp.ndarray result(self, out, cnp.ndarray x)
