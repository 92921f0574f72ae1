from collections.abc import Sequence
from typing import Any

import numpy as np

class Link:
    stage: Any
    name: str
    inputs: int
    outputs: int
    input_type: np.dtype[Any]
    output_type: np.dtype[Any]
    def __init__(
        self,
        stage: Any,
        name: str,
        inputs: int,
        input_type: np.dtype[Any],
        outputs: int,
        output_type: np.dtype[Any],
    ) -> None: ...
    def get_state(self) -> Any: ...
    def set_state(self, state: Any) -> None: ...

def input_of(stage: Any) -> tuple[int | None, np.dtype[Any] | None]: ...
def is_bindable(stage: Any) -> bool: ...
def name_of(stage: Any) -> str: ...
def links_of(
    stages: Sequence[Any], inputs: int, dtype: np.dtype[Any], wanted: np.dtype[Any] | None = None
) -> list[Link]: ...
