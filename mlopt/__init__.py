"""CPU machine learning at the limit of the machine."""

from mlopt._kernels.core import available_tiers, current_isa, use_isa
from mlopt.vector.ufuncs import *  # noqa: F403

__version__ = "0.1.0"
