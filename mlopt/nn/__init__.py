"""Networks: multilayer perceptrons and LSTMs, trained and served one sample or one batch at a time.

A model owns its loss, its optimiser and a workspace for every thread that calls it; after the first call of a batch
size nothing is allocated but results.  Data flow of a call::

    array --checked once--> mlp.pyx, lstm.pyx --one C call--> network.h, lstm.h, plan.h --> kernels of the current tier

A single sample goes through weights that are packed for it and sums that stay in registers; a batch through matrix
products that bias, activation and derivative follow tile by tile.  ``exchange`` brings models from elsewhere.
"""

from mlopt.nn.exchange import from_onnx, from_safetensors, from_sklearn, from_torch, load, save, to_onnx
from mlopt.nn.lstm import LSTM
from mlopt.nn.mlp import MLP
from mlopt.nn.optimizers import SGD, AdamW
from mlopt.nn.quantize import LayerError, QuantizationReport, QuantizedLayer
from mlopt.nn.quantized import QuantizedMLP
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
    "LayerError",
    "QuantizationReport",
    "QuantizedLayer",
    "QuantizedMLP",
    "StepSchedule",
    "from_onnx",
    "from_safetensors",
    "from_sklearn",
    "from_torch",
    "load",
    "save",
    "to_onnx",
]
