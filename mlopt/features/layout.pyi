from typing import Final, NamedTuple

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
