"""Streaming features of market data: one bar in, a vector of features out, in constant time a bar.

`definitions.py` is the table of features.  It builds values with `graph.py`; `plan.py` compiles those
to a plan, which the kernels of `_kernels/features` walk once a bar; `extractor.pyx` owns the state.
"""

from mlopt.features.bars import Bars, read_bars, sample_bars
from mlopt.features.definitions import DEFAULT_FEATURES, FAMILIES, Combination
from mlopt.features.extractor import FeatureExtractor
from mlopt.features.scaler import Scaler

__all__ = ["DEFAULT_FEATURES", "FAMILIES", "Bars", "Combination", "FeatureExtractor", "Scaler", "read_bars", "sample_bars"]
