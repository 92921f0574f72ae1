from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mlopt.features.bars import Bars
from mlopt.features.definitions import Combination

_OnBad: TypeAlias = Literal["raise", "skip", "hold"]
_History: TypeAlias = Bars | ArrayLike | Mapping[str, Any]
_Bytes: TypeAlias = bytes | bytearray | memoryview
# of one symbol a number, of several an array
_Numbers: TypeAlias = float | ArrayLike
_Times: TypeAlias = int | datetime | np.datetime64 | Sequence[datetime] | ArrayLike
_Which: TypeAlias = Sequence[bool] | NDArray[np.bool_]

FIELDS: tuple[str, ...]

class FeatureExtractor:
    @property
    def names(self) -> tuple[str, ...]: ...
    @property
    def columns(self) -> tuple[str, ...]: ...
    @property
    def symbols(self) -> int: ...
    @property
    def lookback(self) -> int: ...
    @property
    def on_bad(self) -> _OnBad: ...
    # arrays of several symbols
    @property
    def bars_seen(self) -> int | NDArray[np.int64]: ...
    @property
    def is_ready(self) -> bool | NDArray[np.bool_]: ...
    @property
    def state_bytes(self) -> int: ...
    def __init__(
        self,
        features: Literal["default"] | Sequence[str | Combination] = "default",
        symbols: int = 1,
        *,
        columns: Sequence[str] = (),
        on_bad: _OnBad = "raise",
    ) -> None: ...
    def reset(self) -> None: ...
    # None only with on_bad="skip"
    def update(
        self,
        open: _Numbers,
        high: _Numbers,
        low: _Numbers,
        close: _Numbers,
        volume: _Numbers,
        *columns: _Numbers,
        timestamp: _Times | None = None,
        where: _Which | None = None,
    ) -> NDArray[np.float64]: ...
    def peek(
        self,
        open: _Numbers,
        high: _Numbers,
        low: _Numbers,
        close: _Numbers,
        volume: _Numbers,
        *columns: _Numbers,
        where: _Which | None = None,
    ) -> NDArray[np.float64]: ...
    def verify(self, symbol: int = 0) -> float: ...
    def transform(self, bars: _History) -> NDArray[np.float64]: ...
    def warm_up(self, bars: _History) -> FeatureExtractor: ...
    def get_state(self, symbol: int | None = None) -> bytes: ...
    def set_state(self, state: _Bytes, symbol: int | None = None) -> None: ...

def restore(
    cls: type[FeatureExtractor],
    features: tuple[str | Combination, ...],
    symbols: int,
    columns: tuple[str, ...],
    on_bad: _OnBad,
    state: bytes,
) -> FeatureExtractor: ...
