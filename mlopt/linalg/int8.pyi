from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

Activation = Literal["identity", "relu", "tanh", "sigmoid", "gelu", "silu"]
ACTIVATIONS: tuple[str, ...]

class PackedInt8Matrix:
    shape: tuple[int, int]
    dtype: np.dtype[Any]
    def __init__(self, b: ArrayLike) -> None: ...
    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]: ...

class Int8Product:
    workspace_bytes: int
    packed_bytes: int
    def __init__(
        self,
        a: NDArray[Any],
        b: NDArray[Any],
        c: NDArray[Any],
        tier: str,
        *,
        a_zero: NDArray[np.int32] | None = None,
        b_zero: NDArray[np.int32] | None = None,
        bias: NDArray[np.int32] | None = None,
        scale: NDArray[np.float32] | None = None,
        shift: NDArray[np.float32] | None = None,
        activation: Activation = "identity",
        out_multiplier: float = 1.0,
        out_zero: int = 0,
        a_padded: bool = False,
        blocks: tuple[int, int, int] | None = None,
        workspace: NDArray[np.uint8] | None = None,
        packed: NDArray[np.int8] | None = None,
        panels: int = 1,
    ) -> None: ...
    def __call__(self) -> None: ...

def matmul_int8(
    a: ArrayLike,
    b: ArrayLike | PackedInt8Matrix,
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
