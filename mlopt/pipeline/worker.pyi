from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from mlopt.concurrent import SPSCQueue
from mlopt.pipeline.chain import Chain

class Worker:
    errors: dict[int, BaseException]
    def __init__(
        self, source: SPSCQueue, target: SPSCQueue, chain: Chain, stage: int, stop: NDArray[np.int64]
    ) -> None: ...
    def run(
        self,
        run: int,
        last: int = -1,
        checkpoint: Callable[[int], None] | None = None,
        checkpoint_every: int = 1,
        idle: Callable[[], bool] | None = None,
    ) -> bool: ...
    def last_published(self) -> int: ...
    def skip(self, consumed: int) -> None: ...
