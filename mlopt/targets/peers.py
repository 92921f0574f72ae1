"""The libraries that a user would pick instead: found where they are installed, never required."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import re
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from mlopt.targets import cblas

# import name -> (the name a reader knows it by, distribution)
PEERS = {
    "numpy": ("NumPy", "numpy"),
    "scipy": ("SciPy", "scipy"),
    "torch": ("PyTorch", "torch"),
    "onnxruntime": ("ONNX Runtime", "onnxruntime"),
    "onnx": ("ONNX", "onnx"),
    "talib": ("TA-Lib", "ta-lib"),
    "numkong": ("NumKong", "numkong"),
    "sklearn": ("scikit-learn", "scikit-learn"),
    "sparse_dot_mkl": ("MKL", "mkl"),
    "fbpca": ("fbpca", "fbpca"),
    "prometheus_client": ("prometheus-client", "prometheus-client"),
    "faster_fifo": ("faster-fifo", "faster-fifo"),
}

# Tell OpenBLAS to run other kernels than it would choose: comparisons would be with a lamed peer.
LAMING_VARIABLES = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")


@cache
def find(name: str) -> ModuleType | None:
    """A peer's module, None where it is not installed.

    Examples
    --------
    >>> from mlopt.targets.peers import find
    >>> find("numpy").__name__
    'numpy'
    """
    if name not in PEERS:
        raise ValueError(f"name={name!r} is not a peer; one of: {', '.join(PEERS)}")
    if name == "sparse_dot_mkl" and (library := sorted(Path(sys.prefix, "lib").glob("libmkl_rt.so*"))):
        os.environ.setdefault("MKL_RT", str(library[0]))  # where pip puts it; it looks among the system's libraries
    try:
        return importlib.import_module(name)
    except (ImportError, OSError):  # OSError: a library of its own that the loader does not find
        return None


@cache
def version(name: str) -> str | None:
    """A peer's version, None where it is not installed."""
    try:
        return importlib.metadata.version(PEERS[name][1])
    except importlib.metadata.PackageNotFoundError:
        return None


def load_threaded() -> None:
    """Import the peers that have threads of their own, so that :func:`threads` reaches them."""
    for name in ("numpy", "scipy", "torch", "sparse_dot_mkl"):
        find(name)
    if find("scipy") is not None:
        importlib.import_module("scipy.linalg")  # loads SciPy's own BLAS
    cblas.load()


def label(name: str) -> str:
    """The peer's name and version, as a row prints it."""
    return f"{PEERS[name][0]} {version(name) or '?'}"


def installed() -> dict[str, str]:
    """Names and versions of the peers that are there; Python packages are not imported for that."""
    result = {PEERS[name][0]: found for name in PEERS if (found := version(name))}
    if (library := cblas.load()) is not None:
        result[library.name] = library.version
    return result


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Every library that is loaded, and this one, at so many threads."""
    import mlopt

    with ExitStack() as stack:
        # first: inside threadpoolctl's limit, the number to go back to could not be seen
        stack.callback(mlopt.set_num_threads, mlopt.get_num_threads())
        mlopt.set_num_threads(count)
        try:
            from threadpoolctl import threadpool_limits
        except ImportError:
            pass
        else:
            stack.enter_context(threadpool_limits(count))
        if (torch := sys.modules.get("torch")) is not None:
            before = torch.get_num_threads()
            torch.set_num_threads(count)
            stack.callback(torch.set_num_threads, before)
        yield


def blas_report() -> list[dict[str, Any]]:
    """Which BLAS libraries are loaded, and the kernel each chose for this processor where it says so."""
    keys = ("prefix", "version", "architecture", "threading_layer")
    result: list[dict[str, Any]] = []
    if (torch := sys.modules.get("torch")) is not None:
        # linked into PyTorch, so that threadpoolctl does not see it; it does not tell its kernels
        configuration = torch.__config__.show()
        if found := re.search(r"Math Kernel Library Version (\S+)", configuration):
            result.append(dict.fromkeys(keys) | {"prefix": "MKL in PyTorch", "version": found[1]})
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        return result
    result += [
        {key: library.get(key) for key in keys} for library in threadpool_info() if library["user_api"] == "blas"
    ]
    return sorted(result, key=str)  # the loader's order differs from run to run


def laming_notes() -> list[str]:
    """A sentence for every variable in the environment that makes a peer slower than it is."""
    return [
        f"{name}={os.environ[name]} is set: OpenBLAS does not run the kernels it would choose"
        for name in LAMING_VARIABLES
        if name in os.environ
    ]


def fair_environment(amx: bool) -> dict[str, str] | None:
    """The environment in which peers run as they should; None where this one is it already.

    Without the variables that lame OpenBLAS; and, on a processor with AMX, which this library does
    not use, with the peers' use of it off.
    """
    environment = {name: value for name, value in os.environ.items() if name not in LAMING_VARIABLES}
    if amx:
        environment.setdefault("ONEDNN_MAX_CPU_ISA", "AVX512_CORE_BF16")
    return environment if environment != dict(os.environ) else None
