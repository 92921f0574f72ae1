"""Arrays of bytes that stand for real numbers: scale and zero point, for all of an array or a channel each.

:func:`quantize` and :func:`dequantize` (``arrays``) check their arguments, see an array as (outer, channels, inner),
and walk it with the kernels of the int8 family (``walk.h``), which round as ONNX's operators do.  ``calibration`` finds
the range of numbers that bytes should stand for, from one array or from many batches.
"""

from mlopt.quantization.arrays import QuantizedArray, dequantize, dynamic_quantize, quantize
from mlopt.quantization.calibration import MSE, Entropy, MinMax, Percentile, calibrator

__all__ = [
    "MSE", "Entropy", "MinMax", "Percentile", "QuantizedArray", "calibrator", "dequantize", "dynamic_quantize",
    "quantize",
]  # fmt: skip
