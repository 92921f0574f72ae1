from typing import Any

import numpy as np
from numpy.typing import NDArray

class Product:
    workspace_bytes: int
    def __init__(
        self,
        a: NDArray[Any],
        b: NDArray[Any],
        c: NDArray[Any],
        tier: str,
        *,
        accumulate: bool = False,
        packed: bool = False,
        blocks: tuple[int, int, int] | None = None,
        workspace: NDArray[np.uint8] | None = None,
    ) -> None: ...
    def __call__(self) -> None: ...
