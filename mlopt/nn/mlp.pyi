from collections.abc import Sequence
from typing import Any, Literal, SupportsIndex, final

from numpy.typing import ArrayLike, DTypeLike

from mlopt.nn.model import Activation, Floats, Layers, Loss, Model, Precision, Workspace
from mlopt.nn.optimizers import Optimizer
from mlopt.nn.quantized import QuantizedMLP

@final
class DenseWorkspace(Workspace): ...

@final
class MLP(Model):
    def __new__(
        cls,
        layers: Sequence[SupportsIndex],
        *,
        activation: Activation | Sequence[Activation] = "relu",
        output: Activation | Literal["softmax"] = "identity",
        loss: Loss = "mse",
        optimizer: Optimizer | None = None,
        dtype: DTypeLike = "float32",
        rng: Any = None,
        dropout: float | Sequence[float] = 0.0,
        layer_norm: bool | Sequence[bool] = False,
        l2: float = 0.0,
        huber_delta: float = 1.0,
        precision: Precision | None = None,
    ) -> MLP: ...
    def predict(self, X: ArrayLike, out: Floats | None = None) -> Floats: ...
    def bind(self, x: Floats, out: Floats) -> BoundPrediction: ...
    def bind_gradient(self, x: Floats, y: Floats) -> BoundGradient: ...
    def quantize(
        self,
        calibration: ArrayLike | None = None,
        mode: Literal["static", "dynamic"] = "static",
        *,
        method: Literal["minmax", "percentile", "mse", "entropy"] = "minmax",
    ) -> QuantizedMLP: ...
    @property
    def layers(self) -> tuple[int, ...]: ...
    @property
    def activation(self) -> str | tuple[str, ...]: ...
    @property
    def dropout(self) -> float | tuple[float, ...]: ...
    @property
    def layer_norm(self) -> bool | tuple[bool, ...]: ...
    @property
    def weights(self) -> tuple[Floats, ...]: ...
    @property
    def biases(self) -> tuple[Floats, ...]: ...

@final
class BoundPrediction:
    def __call__(self) -> Floats: ...
    @property
    def model(self) -> MLP: ...
    @property
    def x(self) -> Floats: ...
    @property
    def out(self) -> Floats: ...

@final
class BoundGradient:
    def __call__(self) -> Layers: ...
    @property
    def model(self) -> MLP: ...
    @property
    def x(self) -> Floats: ...
    @property
    def y(self) -> Floats: ...
    @property
    def gradients(self) -> Layers: ...
