from typing import Any, Final, NamedTuple

import numpy as np

class Kind(NamedTuple):
    number: int
    kind_class: str
    sources: int
    rings: int
    numbers: int
    states: int
    results: int

LANES: Final[int]
HEADER_WORDS: Final[int]
NOTHING: Final[int]
MOST_COLUMNS: Final[int]
KINDS: Final[dict[str, Kind]]
SERIES: Final[dict[str, tuple[int, int]]]

def history_words(words: np.ndarray[Any, np.dtype[np.int64]]) -> int: ...
def symbols_words(words: np.ndarray[Any, np.dtype[np.int64]]) -> int: ...
def group_words(words: np.ndarray[Any, np.dtype[np.int64]]) -> int: ...
def take_symbol(
    words: np.ndarray[Any, np.dtype[np.int64]], group: np.ndarray[Any, np.dtype[np.float64]], symbol: int
) -> tuple[np.ndarray[Any, np.dtype[np.float64]], bool]: ...
def put_symbol(
    words: np.ndarray[Any, np.dtype[np.int64]],
    group: np.ndarray[Any, np.dtype[np.float64]],
    symbol: int,
    state: np.ndarray[Any, np.dtype[np.float64]],
) -> None: ...
