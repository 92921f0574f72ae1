from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlopt.pipeline.links import Link

class Chain:
    links: list[Link]
    inputs: int
    outputs: int
    input_type: np.dtype[Any]
    output_type: np.dtype[Any]
    x: NDArray[Any]
    out: NDArray[Any]
    times: NDArray[np.int64]
    timed: bool
    def __init__(
        self,
        stages: Sequence[Any],
        inputs: int,
        dtype: np.dtype[Any],
        timed: bool = False,
        wanted: np.dtype[Any] | None = None,
    ) -> None: ...
    def push(self, values: tuple[float, ...]) -> int: ...
    def record(self, values: tuple[float, ...], out: NDArray[Any]) -> None: ...
    def output(self) -> NDArray[Any]: ...
    def run_rows(self, rows: NDArray[Any], out: NDArray[Any]) -> tuple[int, int]: ...
    def output_of(self, i: int) -> NDArray[Any]: ...
    def why(self) -> tuple[str, str, BaseException | None]: ...
    def get_state(self) -> list[Any]: ...
    def set_state(self, states: Sequence[Any]) -> None: ...
