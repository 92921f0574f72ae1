from contextlib import ContextDecorator
from types import TracebackType
from typing import Literal, Self

class aligned_allocations(ContextDecorator):
    def __init__(self) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        exc_type: type[BaseException] | None = ...,
        exc_value: BaseException | None = ...,
        traceback: TracebackType | None = ...,
    ) -> Literal[False]: ...
