from collections.abc import Sequence
from typing import Literal, final

from numpy.typing import ArrayLike

from mlopt.nn.mlp import MLP
from mlopt.nn.model import Floats
from mlopt.nn.quantize import QuantizationReport, QuantizedLayer

@final
class Chain: ...

@final
class QuantizedMLP:
    quantized_layers: tuple[QuantizedLayer, ...]
    mode: Literal["static", "dynamic"]
    source: MLP | None
    def __init__(
        self,
        layers: Sequence[QuantizedLayer],
        *,
        output: str = "identity",
        mode: Literal["static", "dynamic"] = "static",
        source: MLP | None = None,
    ) -> None: ...
    def predict(self, X: ArrayLike, out: Floats | None = None) -> Floats: ...
    def bind(self, x: Floats, out: Floats) -> BoundQuantizedPrediction: ...
    def compare(self, X: ArrayLike, y: ArrayLike | None = None) -> QuantizationReport: ...
    @property
    def layers(self) -> tuple[int, ...]: ...
    @property
    def output(self) -> str: ...
    @property
    def nbytes(self) -> int: ...

@final
class BoundQuantizedPrediction:
    def __call__(self) -> Floats: ...
    @property
    def model(self) -> QuantizedMLP: ...
    @property
    def x(self) -> Floats: ...
    @property
    def out(self) -> Floats: ...
