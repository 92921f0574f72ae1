"""What is public: the names of every public module's ``__all__``."""

import importlib
from collections.abc import Iterator
from typing import Any

MODULES = (
    "mlopt", "mlopt.concurrent", "mlopt.demo", "mlopt.estimators", "mlopt.features", "mlopt.linalg", "mlopt.memory",
    "mlopt.nn", "mlopt.pipeline", "mlopt.quantization", "mlopt.sparse", "mlopt.targets", "mlopt.verify",
)  # fmt: skip


def public_objects() -> Iterator[tuple[str, Any]]:
    """(qualified name, object) for every public function, class and ufunc; of modules that are exported, nothing."""
    seen = set()
    for module_name in MODULES:
        module = importlib.import_module(module_name)
        for name in module.__all__:
            item = getattr(module, name)
            if callable(item) and id(item) not in seen:
                seen.add(id(item))
                yield f"{module_name}.{name}", item


def public_members(cls: type) -> Iterator[tuple[str, Any]]:
    """(name, method or property) of a class, its public bases included."""
    for name in dir(cls):
        if name.startswith("_"):
            continue
        owner = next(base for base in cls.__mro__ if name in vars(base))
        if owner.__module__.split(".")[0] == "mlopt":
            yield name, getattr(cls, name)
