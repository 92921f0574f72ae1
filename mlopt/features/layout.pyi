from typing import Final

LANES: Final[int]
HEADER_WORDS: Final[int]
KINDS: Final[dict[str, tuple[int, int, int]]]
SERIES: Final[dict[str, tuple[int, int]]]
