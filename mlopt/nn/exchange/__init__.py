"""Models from and to other libraries and files.

What is read becomes a *chain*: a list of neutral layers (:mod:`.chain`), each of which knows what it was called where
it comes from.  One function folds a chain into what a model is made of, and builds the model::

    torch.nn modules --torch_modules.py--.
    scikit-learn     --sklearn_models.py--+--> chain.py: layers --fold--> units --build--> MLP or LSTM
    ONNX graph       --onnx_import.py----'

    MLP or LSTM --onnx_export.py--> ONNX
    MLP or LSTM <--files.py--> a file in the safetensors format, with the optimiser's state

Quantised models go the same way: ``quantized_chain.py`` makes a QuantizedMLP of the layers, and
``onnx_quantized_export.py`` and ``quantized_file.py`` say how one is written.

Imports run one way.  A graph is read by ``onnx_graph.py``, the walk from node to node, which is given its operators:
those of ``onnx_operators.py`` on real numbers, and of quantised graphs those of ``onnx_quantized.py`` on bytes too.
``onnx_writer.py`` collects the nodes of a graph that is written; ``checks.py`` looks at what a file says in JSON::

    onnx_import.py --> onnx_quantized.py --> onnx_operators.py --> onnx_graph.py --> chain.py
    onnx_export.py --> onnx_quantized_export.py --> onnx_writer.py --> chain.py
    files.py --> quantized_file.py --> checks.py

Folding is exact arithmetic on the side: whatever is ``x * scale + shift`` with fixed numbers, batch normalisation above
all, is multiplied in float64 into the dense layer in front of it or behind it.  Where the order of layers has no place
in a model (an activation behind an activation, say), a dense layer with ones on the diagonal makes one.

Files are not trusted.  What a file says of sizes is compared with the bytes that it has before anything of that size is
made, only the main file is read, nothing in it is called, and all that is wrong with it is a ValueError.
"""

from mlopt.nn.exchange.files import from_safetensors, load, save
from mlopt.nn.exchange.onnx_export import to_onnx
from mlopt.nn.exchange.onnx_import import from_onnx
from mlopt.nn.exchange.sklearn_models import from_sklearn
from mlopt.nn.exchange.torch_modules import from_torch

__all__ = ["from_onnx", "from_safetensors", "from_sklearn", "from_torch", "load", "save", "to_onnx"]
