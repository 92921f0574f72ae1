from collections.abc import Callable, Mapping
from typing import final

__all__ = ["Counter", "Gauge"]

def thread_indices_in_use() -> int: ...

class Metric:
    name: str
    help: str
    @property
    def labels(self) -> dict[str, str]: ...

@final
class Counter(Metric):
    def __init__(self, name: str = "", help: str = "", labels: Mapping[str, str] | None = None) -> None: ...
    def increment(self, n: int = 1) -> None: ...
    @property
    def value(self) -> int: ...

@final
class Gauge(Metric):
    def __init__(
        self,
        name: str = "",
        help: str = "",
        labels: Mapping[str, str] | None = None,
        function: Callable[[], float] | None = None,
    ) -> None: ...
    def set(self, value: float) -> None: ...
    def add(self, amount: float) -> None: ...
    @property
    def value(self) -> float: ...
