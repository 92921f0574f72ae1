"""CPU machine learning at the limit of the machine: AVX-512 kernels behind NumPy arrays."""

import importlib as _importlib
import importlib.util as _importlib_util
import typing as _typing

from mlopt import concurrent, features, linalg, memory, nn, pipeline, quantization, sparse
from mlopt._include import get_include
from mlopt._kernels.core import available_tiers, current_isa, gemm_blocks, use_isa
from mlopt._kernels.flags import current_flags, flags
from mlopt._kernels.threads import get_num_threads, set_num_threads
from mlopt.linalg.int8 import matmul_int8
from mlopt.linalg.matmul import matmul
from mlopt.linalg.vectors import axpy, dot
from mlopt.memory import (
    ArrayPool,
    aligned_allocations,
    batch_pool,
    byte_align,
    empty_aligned,
    feature_pool,
    is_byte_aligned,
    matrix_pool,
    ones_aligned,
    zeros_aligned,
)
from mlopt.quantization import QuantizedArray, dequantize, quantize
from mlopt.runtime import config_info, runtime_info, show_config, show_runtime
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

if _typing.TYPE_CHECKING:
    from mlopt.estimators import MLPClassifier, MLPRegressor, TruncatedSVD
else:
    # Names that need scikit-learn; not among __all__, so that `from mlopt import *` does not.
    _LAZY = dict.fromkeys(("MLPClassifier", "MLPRegressor", "TruncatedSVD"), "mlopt.estimators")

    def __getattr__(name):
        if name not in _LAZY:
            raise AttributeError(f"module 'mlopt' has no attribute {name!r}")
        return getattr(_importlib.import_module(_LAZY[name]), name)

    def __dir__():
        return sorted({*globals(), *(_LAZY if _importlib_util.find_spec("sklearn") else ())})


__version__ = "0.1.0"

__all__ = [
    "ArrayPool",
    "QuantizedArray",
    "add",
    "aligned_allocations",
    "argmax",
    "available_tiers",
    "axpy",
    "batch_pool",
    "byte_align",
    "concurrent",
    "config_info",
    "current_flags",
    "current_isa",
    "dequantize",
    "divide",
    "dot",
    "empty_aligned",
    "erf",
    "exp",
    "feature_pool",
    "features",
    "flags",
    "fma",
    "gelu",
    "gemm_blocks",
    "get_include",
    "get_num_threads",
    "is_byte_aligned",
    "linalg",
    "log",
    "logsumexp",
    "matmul",
    "matmul_int8",
    "matrix_pool",
    "max",
    "mean",
    "memory",
    "min",
    "multiply",
    "nn",
    "norm",
    "ones_aligned",
    "pipeline",
    "quantization",
    "quantize",
    "relu",
    "runtime_info",
    "set_num_threads",
    "show_config",
    "show_runtime",
    "sigmoid",
    "silu",
    "softmax",
    "sparse",
    "sqrt",
    "subtract",
    "sum",
    "tanh",
    "use_isa",
    "var",
    "zeros_aligned",
]
