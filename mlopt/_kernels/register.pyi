from collections.abc import Iterable, Sequence

import numpy as np

from mlopt._kernels.core import available_tiers as available_tiers
from mlopt._kernels.core import kernel_report as kernel_report

class Kernel:
    def __init__(self, name: str, type: str, tier: str) -> None: ...
    def __call__(
        self, dims: Sequence[int], *operands: np.ndarray | None, number: float = 1.0, steps: Iterable[int] | None = None
    ) -> tuple[float, float]: ...
    def time(
        self,
        dims: Sequence[int],
        *operands: np.ndarray | None,
        number: float = 1.0,
        steps: Sequence[int] | None = None,
        calls: int = 1000,
    ) -> float: ...
