"""CPU machine learning at the limit of the machine."""

from mlopt import linalg
from mlopt._include import get_include
from mlopt._kernels.core import available_tiers, current_isa, gemm_blocks, use_isa
from mlopt._kernels.threads import get_num_threads, set_num_threads
from mlopt.linalg.matmul import matmul
from mlopt.linalg.vectors import axpy, dot
from mlopt.vector.ufuncs import *  # noqa: F403

__version__ = "0.1.0"
