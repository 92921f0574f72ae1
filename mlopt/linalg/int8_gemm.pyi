from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Activation: TypeAlias = Literal["identity", "relu", "tanh", "sigmoid", "gelu", "silu"]
ACTIVATIONS: tuple[str, ...]

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
