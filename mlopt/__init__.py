"""CPU machine learning at the limit of the machine: AVX-512 kernels behind NumPy arrays."""

from mlopt._kernels.core import available_tiers, current_isa, use_isa
from mlopt.memory import (
    aligned_allocations,
    byte_align,
    empty_aligned,
    is_byte_aligned,
    ones_aligned,
    zeros_aligned,
)
from mlopt.vector.reductions import argmax, logsumexp, max, mean, min, norm, softmax, sum, var
from mlopt.vector.ufuncs import (
    add,
    divide,
    erf,
    exp,
    fma,
    gelu,
    log,
    multiply,
    relu,
    sigmoid,
    silu,
    sqrt,
    subtract,
    tanh,
)

__version__ = "0.1.0"
