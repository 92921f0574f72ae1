"""Libraries that only some parts of mlopt need."""

import importlib
from types import ModuleType


def needs(module: str, extra: str) -> ModuleType:
    """The module, or an ImportError that names what to install."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != module.partition(".")[0]:
            raise
        raise ImportError(f"this part of mlopt needs {module}: pip install 'mlopt[{extra}]'", name=module) from error
