from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from mlopt.linalg.int8_gemm import Activation
from mlopt.quantization.arrays import QuantizedArray

class PackedInt8Matrix:
    shape: tuple[int, int]
    dtype: np.dtype[Any]
    def __init__(self, b: ArrayLike) -> None: ...
    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]: ...

def matmul_int8(
    a: ArrayLike | QuantizedArray,
    b: ArrayLike | PackedInt8Matrix | QuantizedArray,
    out: NDArray[Any] | None = None,
    *,
    a_zero_point: int | ArrayLike = 0,
    b_zero_point: int | ArrayLike = 0,
    scale: float | ArrayLike | None = None,
    bias: ArrayLike | None = None,
    activation: Activation = "identity",
    out_dtype: DTypeLike | None = None,
    out_scale: float = 1.0,
    out_zero_point: int = 0,
    num_threads: int | None = None,
) -> NDArray[Any]: ...
