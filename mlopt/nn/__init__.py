"""Networks: multilayer perceptrons trained and served one sample or one batch at a time.

A model owns its loss, its optimiser and one workspace; after the first call of a batch size nothing
is allocated.  Data flow of a call::

    array --checked once--> mlp.pyx --one C call--> network.h --per layer--> kernels of the current tier

A single sample goes through matrix-vector kernels that hold the sums in registers, a batch through
the matrix product with bias and activation in one pass behind it.
"""

from mlopt.nn.exchange import from_onnx, from_safetensors, from_sklearn, from_torch, load, save, to_onnx
from mlopt.nn.lstm import LSTM
from mlopt.nn.mlp import MLP
from mlopt.nn.optimizers import SGD, AdamW
from mlopt.nn.schedules import CosineSchedule, ExponentialSchedule, StepSchedule
from mlopt.nn.training import History

__all__ = [
    "LSTM",
    "MLP",
    "SGD",
    "AdamW",
    "CosineSchedule",
    "ExponentialSchedule",
    "History",
    "StepSchedule",
    "from_onnx",
    "from_safetensors",
    "from_sklearn",
    "from_torch",
    "load",
    "save",
    "to_onnx",
]
