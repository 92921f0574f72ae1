"""The loads, by name: each runs in a process of its own (:mod:`mlopt.soak.host`)."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlopt.soak.loads.base import Load

LOADS = {
    "processes": "mlopt.soak.loads.pipelines:Processes",
    "threads": "mlopt.soak.loads.pipelines:Threads",
    "fused": "mlopt.soak.loads.pipelines:Fused",
    "dropping": "mlopt.soak.loads.dropping:Dropping",
    "queues": "mlopt.soak.loads.queues:Queues",
    "pools": "mlopt.soak.loads.pools:Pools",
    "structures": "mlopt.soak.loads.structures:Structures",
    "serving": "mlopt.soak.loads.serving:Serving",
    "churn": "mlopt.soak.loads.churn:Churn",
    "failures": "mlopt.soak.loads.failures:Failures",
}


def load_class(name: str) -> type[Load]:
    """The class of a load; ValueError lists the names."""
    if name not in LOADS:
        raise ValueError(f"name={name!r} is not a load; one of: {', '.join(LOADS)}")
    module, _, attribute = LOADS[name].partition(":")
    found: type[Load] = getattr(importlib.import_module(module), attribute)
    return found
