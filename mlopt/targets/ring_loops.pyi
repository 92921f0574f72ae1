from typing import Literal

import numpy as np
from numpy.typing import NDArray

def time_ring(record_bytes: int = 64, records: int = 10_000_000, *, capacity: int = 1024, batch: int = 1) -> float: ...
def time_latency(mode: Literal["spin", "futex"] = "spin", rounds: int = 100_000) -> NDArray[np.int64]: ...
