# Chains of dense layers: their places in a flat vector of parameters and in a workspace.
cimport numpy as cnp

from mlopt.nn.model cimport Model
from mlopt.nn.network cimport mlopt_network

cdef dict ACTIVATION_NUMBERS

# Fills `network`, whose layers stand in the array that is returned; places and spans of the model grow by it.
cdef cnp.ndarray lay_out_dense(Model model, mlopt_network *network, tuple widths, tuple activations, bint linked,
                               tuple rates, tuple norms, list spans)
cdef draw_dense(layers, activations, generator)
cdef tuple of_each(str name, value, count, kind)
cdef size_t integer(str name, value, size_t most) except? 0
cdef tuple integers(str name, value, size_t least)
cdef same_or_each(values, default)
