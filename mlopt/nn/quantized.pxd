# Quantised perceptrons: layers of bytes, and the memory of the chain that they are.
cimport numpy as cnp
from libc.stdint cimport int32_t

from mlopt._kernels.dispatch cimport mlopt_int8_layer, mlopt_int8_step, mlopt_kernels
from mlopt.nn.network cimport mlopt_objective


# What the bytes of a layer's weights stand for.
cdef struct weight_zeros:
    bint is_signed
    const int32_t *zero             # NULL: none
    size_t step                     # 0: one for all columns


# The chain for the kernels of one table, with the scratch memory of one caller.
cdef class Chain:
    cdef const mlopt_kernels *table
    cdef unsigned long owner        # the thread it belongs to, 0 for none
    cdef size_t count
    cdef tuple kept                 # the packed layers and the arrays that it points into
    cdef const mlopt_int8_layer *layers
    cdef const mlopt_int8_step *steps


cdef class QuantizedMLP:
    cdef readonly tuple quantized_layers
    cdef readonly str mode
    cdef readonly object source
    cdef str output_name
    cdef tuple widths
    cdef mlopt_objective objective
    cdef size_t inputs              # of a sample
    cdef size_t products            # multiply-adds of a sample
    cdef size_t row                 # bytes of the widest layer's inputs
    cdef size_t hidden              # outputs of the widest hidden layer
    cdef bint dynamic, plain        # plain: no weights have zero points
    cdef const mlopt_kernels *packed_for
    cdef list packed                # of every layer: weights and terms of columns, by packed_for
    cdef cnp.ndarray zeros_memory
    cdef const weight_zeros *zeros  # of every layer
    cdef list given                 # of every layer: weights, scales, zero points, bias, as the kernels take them
    cdef Chain main
    cdef dict others

    cdef int note_zeros(self) except -1
    cdef int pack(self, const mlopt_kernels *table) except -1
    cdef list packed_by(self, const mlopt_kernels *table)
    cdef int lay_out(self, Chain chain, const mlopt_kernels *table) except -1
    cdef Chain here(self, const mlopt_kernels *table)
    cdef Chain first_here(self, unsigned long thread)
    cdef int run_one(self, Chain chain, const float *x, float *out) except -1
    cdef int run_rows(self, Chain chain, size_t rows, const float *x, float *out) except -1
    cdef cnp.ndarray samples(self, X, str name)
    cdef cnp.ndarray result(self, out, cnp.ndarray x)
