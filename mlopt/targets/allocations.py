"""How often a piece of code allocates: counted in a process of its own, not guessed.

The process is started with a small library preloaded that stands before the C library's allocator
(``allocation_counter.c``).  It runs twice: as it is, and with ``PYTHONMALLOC=malloc``, where every Python
object that CPython's own allocator would have served from its arenas is seen as well.
"""

import json
import os
import subprocess
import sys
import sysconfig
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

__all__ = ["AllocationCount", "count_allocations", "count_allocations_of"]

# In the order of the counters of allocation_counter.c.
FUNCTIONS = ("malloc", "calloc", "realloc", "aligned_alloc", "posix_memalign", "memalign", "mmap", "free")


@dataclass(frozen=True)
class AllocationCount:
    """How often code allocated over `iterations` runs; None where it cannot be counted, for the `reason`.

    ``allocations`` and ``allocations_with_objects`` are sums over all functions but ``free``, of the whole
    process: as it runs, and with Python's objects counted as well (``PYTHONMALLOC=malloc``).
    ``by_function`` splits the first by function; ``by_function_with_objects`` the second.
    """

    iterations: int
    allocations: int | None = None
    allocations_with_objects: int | None = None
    by_function: dict[str, int] = field(default_factory=dict)
    by_function_with_objects: dict[str, int] = field(default_factory=dict)
    reason: str | None = None


def counter_library() -> Path | None:
    """Where the library to preload lies; None where it was not built."""
    library = resources.files("mlopt.targets") / "mlopt_allocation_counter.so"
    return Path(str(library)) if library.is_file() else None


def count_allocations(
    statement: str, setup: str = "pass", *, iterations: int = 1000, warm_up: int = 100, timeout: float = 300
) -> AllocationCount:
    """Count how often a statement allocates after warm-up.

    A new Python process executes `setup`, runs `statement` `warm_up` times, and counts over `iterations`
    further ones what all its threads allocate, less the same for an empty loop.  The garbage collector is
    off meanwhile.

    Parameters
    ----------
    statement, setup : str
        Python code, as for :mod:`timeit`.
    iterations, warm_up : int
        How often the statement runs, counted and before.
    timeout : float
        Seconds after which a process is given up.

    Returns
    -------
    AllocationCount
        The counts; None with a reason where this system cannot count.

    Raises
    ------
    RuntimeError
        If the code fails; the message holds its traceback.

    Examples
    --------
    >>> from mlopt.targets.allocations import count_allocations
    >>> count = count_allocations("x.fill(1)", "import numpy as np; x = np.empty(8)")
    >>> count.allocations in (0, None)
    True
    """
    for name, value in (("iterations", iterations), ("warm_up", warm_up)):
        if value < 1:
            raise ValueError(f"{name}={value} must be at least 1")
    if not sys.platform.startswith("linux"):
        return AllocationCount(iterations, reason=f"allocations are counted on Linux only, not on {sys.platform}")
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        return AllocationCount(iterations, reason="a Python without the GIL has its own allocator for objects")
    library = counter_library()
    if library is None:
        return AllocationCount(iterations, reason="the library mlopt_allocation_counter.so is not in this build")
    request = json.dumps([statement, setup, iterations, warm_up, len(FUNCTIONS)])
    plain = _run(library, request, timeout, {})
    objects = _run(library, request, timeout, {"PYTHONMALLOC": "malloc"})
    return AllocationCount(iterations, _total(plain), _total(objects), plain, objects)


def count_allocations_of(factory: str, **options: int) -> AllocationCount:
    """Count how often a callable allocates: `factory` is ``"module:function"``, which returns it.

    Parameters
    ----------
    factory : str
        Where to find a function without arguments whose result is called, without arguments, once an
        iteration.
    **options
        As for :func:`count_allocations`.

    Returns
    -------
    AllocationCount
        As from :func:`count_allocations`.

    Examples
    --------
    >>> from mlopt.targets.allocations import count_allocations_of
    >>> count_allocations_of("collections:Counter", iterations=1)  # doctest: +SKIP
    """
    module, separator, function = factory.partition(":")
    if not (separator and module and function):
        raise ValueError(f"factory={factory!r} must be 'module:function'")
    setup = f"import importlib\none = getattr(importlib.import_module({module!r}), {function!r})()"
    return count_allocations("one()", setup, **options)


def _total(counts: dict[str, int]) -> int:
    return sum(number for function, number in counts.items() if function != "free")


def _run(library: Path, request: str, timeout: float, environment: dict[str, str]) -> dict[str, int]:
    preload = os.environ.get("LD_PRELOAD", "")
    done = subprocess.run(
        [sys.executable, "-m", "mlopt.targets.allocation_loop"],
        input=request,
        capture_output=True,
        text=True,
        timeout=timeout,
        env={**os.environ, "LD_PRELOAD": f"{library} {preload}".strip(), **environment},
    )
    if done.returncode != 0:
        raise RuntimeError(f"the counted code failed:\n{done.stderr}")
    empty, work = json.loads(done.stdout.splitlines()[-1])
    return {name: max(0, w - e) for name, w, e in zip(FUNCTIONS, work, empty, strict=True)}
