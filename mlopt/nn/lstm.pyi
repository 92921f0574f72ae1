from collections.abc import Sequence
from typing import Any, Literal, SupportsIndex, final

from numpy.typing import ArrayLike, DTypeLike

from mlopt.nn.model import Activation, Floats, Loss, Model, Precision, Workspace
from mlopt.nn.optimizers import Optimizer

@final
class SeriesWorkspace(Workspace): ...

@final
class LSTM(Model):
    def __new__(
        cls,
        inputs: SupportsIndex,
        hidden: SupportsIndex,
        num_layers: SupportsIndex = 1,
        *,
        head: Sequence[SupportsIndex] = (),
        activation: Activation = "relu",
        output: Activation | Literal["softmax"] = "identity",
        loss: Loss = "mse",
        optimizer: Optimizer | None = None,
        dtype: DTypeLike = "float32",
        rng: Any = None,
        dropout: float = 0.0,
        truncate: SupportsIndex | None = None,
        l2: float = 0.0,
        huber_delta: float = 1.0,
        precision: Precision | None = None,
    ) -> LSTM: ...
    def predict(self, X: ArrayLike, out: Floats | None = None, *, sequences: bool = False) -> Floats: ...
    def bind(self, x: Floats, out: Floats) -> BoundSeries: ...
    @property
    def hidden(self) -> int: ...
    @property
    def num_layers(self) -> int: ...
    @property
    def head(self) -> tuple[int, ...]: ...
    @property
    def activation(self) -> str: ...
    @property
    def dropout(self) -> float: ...
    @property
    def truncate(self) -> int | None: ...

@final
class BoundSeries:
    def __call__(self) -> Floats: ...
    @property
    def model(self) -> LSTM: ...
    @property
    def x(self) -> Floats: ...
    @property
    def out(self) -> Floats: ...
