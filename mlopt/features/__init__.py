"""Streaming features of market data: one bar in, a vector of features out, in constant time a bar.

`families.py` is the table of features, `formulas.py` what in it takes more than a line; `definitions.py` finds a
feature by its name.  Features are built of values (`graph.py`), of equal parts the same nodes; `plan.py` compiles those
to a plan, a list of steps, each many nodes of one kind.  The kernels of `_kernels/features` walk it: over one bar, a
history, or one bar of many symbols, with the same bits.  `extractor.pyx` owns plan and states and checks bars;
`bars.py` reads them; `state.py` is the form in which states are kept; `scaler.pyx` brings vectors to one scale.
"""

from mlopt.features.bars import Bars, read_bars, sample_bars
from mlopt.features.definitions import Combination
from mlopt.features.extractor import FeatureExtractor
from mlopt.features.families import DEFAULT_FEATURES, FAMILIES
from mlopt.features.scaler import Scaler

__all__ = [
    "DEFAULT_FEATURES", "FAMILIES", "Bars", "Combination", "FeatureExtractor", "Scaler", "read_bars", "sample_bars",
]  # fmt: skip
