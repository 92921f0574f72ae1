"""What may stand between source and sink besides an extractor, a scaler and a model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from mlopt.features import Scaler

__all__ = ["Apply", "Learn"]


@dataclass(frozen=True)
class Learn:
    """A scaler that takes every record into its statistics before it scales it.

    Parameters
    ----------
    scaler : Scaler
        With ``method="standard"`` or ``"minmax"``.

    Examples
    --------
    >>> import numpy as np
    >>> from mlopt.features import Scaler
    >>> from mlopt.pipeline import Learn, Pipeline
    >>> pipeline = Pipeline([None, Learn(Scaler(1)), None])
    >>> [float(pipeline.push(x)[0]) for x in (1.0, 3.0)]
    [0.0, 1.0]
    """

    scaler: Scaler

    def __post_init__(self) -> None:
        if not isinstance(self.scaler, Scaler):
            raise TypeError(f"scaler must be a Scaler, not {type(self.scaler).__name__}")


@dataclass(frozen=True)
class Apply:
    """A function of the record and the place for its result.

    Parameters
    ----------
    function : callable
        ``function(x, out)`` reads the array `x`, writes the array `out`, and returns nothing, or False where
        there is no output for this record.  Both are the same two arrays in every call.
    outputs : int, optional
        Numbers that it writes; as many as it reads by default.
    dtype : dtype_like, optional
        Their type, float32 or float64; that of `x` by default.

    Examples
    --------
    >>> import numpy as np
    >>> from mlopt.pipeline import Apply, Pipeline
    >>> pipeline = Pipeline([None, Apply(np.square), None], inputs=2)
    >>> pipeline.push(3.0, 4.0)
    array([ 9., 16.])
    """

    function: Callable[..., Any]
    outputs: int | None = None
    dtype: Any = None

    def __post_init__(self) -> None:
        if not callable(self.function):
            raise TypeError(f"function must be callable, not {type(self.function).__name__}")
        if self.outputs is not None and (isinstance(self.outputs, bool) or not isinstance(self.outputs, int)):
            raise TypeError(f"outputs must be an integer, not {type(self.outputs).__name__}")
        if self.outputs is not None and self.outputs < 1:
            raise ValueError(f"outputs must be at least 1, not {self.outputs}")
        if self.dtype is not None:
            dtype = np.dtype(self.dtype)
            if dtype not in (np.dtype(np.float32), np.dtype(np.float64)):
                raise ValueError(f"dtype must be float32 or float64, not {dtype}")
            object.__setattr__(self, "dtype", dtype)
