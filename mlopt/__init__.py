"""CPU machine learning at the limit of the machine."""

from mlopt._kernels.core import available_tiers, current_isa, use_isa

# memory
from mlopt.memory import (
    aligned_allocations,
    byte_align,
    empty_aligned,
    is_byte_aligned,
    ones_aligned,
    zeros_aligned,
)
from mlopt.vector.ufuncs import *  # noqa: F403

__version__ = "0.1.0"
