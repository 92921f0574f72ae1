"""Libraries that only some parts of mlopt need: imported when those are used."""

from __future__ import annotations

import importlib
from typing import Any


def needs(module: str, *, extra: str) -> Any:
    """The module; where it is missing, an ImportError that names the extra which brings it."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        library = module.partition(".")[0]
        if error.name is None or error.name.partition(".")[0] != library:
            raise  # it is there, and something that it needs itself is not
        raise ImportError(f"{library} is not installed: pip install 'mlopt[{extra}]'", name=library) from error
