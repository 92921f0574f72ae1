"""What was built and what was found: the two reports to send along with a question."""

import os
import platform
import sys
import threading
from typing import Any

import numpy as np

from mlopt._build_config import BUILD_CONFIG
from mlopt._kernels.core import available_tiers, cpu_report, current_isa, gemm_blocks, tier_report
from mlopt._kernels.flags import current_flags
from mlopt._kernels.threads import get_num_threads
from mlopt.memory import pool_statistics

__all__ = ["config_info", "format_config", "format_runtime", "runtime_info", "show_config", "show_runtime"]


def runtime_info() -> dict[str, Any]:
    """What the package found on this machine, as a dictionary.

    Returns
    -------
    dict
        ``mlopt``, ``python``, ``numpy`` (versions), ``platform``; ``cpu`` (brand, cache sizes in bytes, usable cores);
        ``tiers`` (``available``, ``default``, ``current``, ``cap`` and where the cap comes from);
        ``threads``; ``flags`` (see :class:`mlopt.flags`); ``gemm_blocks`` (see ``MLOPT_GEMM_BLOCKS``); ``pool`` (as
        :func:`mlopt.memory.pool_statistics`).

    See Also
    --------
    show_runtime : The same, to read.
    config_info : What was built.

    Examples
    --------
    >>> import mlopt
    >>> mlopt.runtime_info()["tiers"]["available"][0]
    'reference'
    """
    tiers = tier_report()
    cap = os.environ.get("MLOPT_MAX_ISA") or None
    return {
        "mlopt": BUILD_CONFIG["version"],
        "python": platform.python_version(),
        "numpy": np.__version__,
        "platform": platform.platform(),
        "cpu": cpu_report(),
        "tiers": {
            "available": list(available_tiers()),
            "default": next(tier["name"] for tier in tiers if tier["default"]),
            "current": current_isa(),
            "cap": cap,
            "cap_source": "MLOPT_MAX_ISA" if cap else None,
            "all": tiers,
        },
        "threads": _thread_info(),
        "flags": current_flags(),
        "gemm_blocks": gemm_blocks(),
        "pool": pool_statistics(),
    }


def _thread_info() -> dict[str, Any]:
    return {
        "limit": get_num_threads(),
        "python_threads": threading.active_count(),
        "gil": getattr(sys, "_is_gil_enabled", lambda: True)(),
        "environment": {
            name: os.environ[name] for name in ("OMP_NUM_THREADS", "OMP_THREAD_LIMIT") if name in os.environ
        },
    }


def config_info() -> dict[str, Any]:
    """How this build was made, as a dictionary.

    Returns
    -------
    dict
        ``version``, ``build_type``, ``compiler``, ``compiler_version``, ``cython_version``, ``machine``,
        ``generic_bytes`` (the register width the generic tier was written for), ``tier_flags`` (the
        compiler flags of each tier's kernels; nothing else is built above the baseline).

    See Also
    --------
    show_config : The same, to read.
    runtime_info : What was found on this machine.

    Examples
    --------
    >>> import mlopt
    >>> "generic" in mlopt.config_info()["tier_flags"]
    True
    """
    return {**BUILD_CONFIG, "tier_flags": {tier: list(flags) for tier, flags in BUILD_CONFIG["tier_flags"].items()}}


def _bytes(count: int) -> str:
    for unit, size in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if count >= size:
            return f"{count / size:.4g} {unit}"
    return f"{count} B"


def _table(rows: list[tuple[str, str]]) -> str:
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {text}".rstrip() for name, text in rows)


def format_runtime() -> str:
    """The text that :func:`show_runtime` prints."""
    info = runtime_info()
    cpu, tiers, threads, pool = info["cpu"], info["tiers"], info["threads"], info["pool"]
    rows = [
        ("mlopt", info["mlopt"]),
        ("Python", f"{info['python']}, NumPy {info['numpy']}"),
        ("platform", info["platform"]),
        ("processor", cpu["brand"] or "unknown"),
        ("cores", str(cpu["cores"])),
        ("caches", f"L1d {_bytes(cpu['l1d_bytes'])}, L2 {_bytes(cpu['l2_bytes'])}, L3 {_bytes(cpu['l3_bytes'])}"),
        ("threads", f"at most {threads['limit']} a call"),
    ]
    rows += [("", f"{name}={value}") for name, value in threads["environment"].items()]
    cap = f", capped by {tiers['cap_source']}={tiers['cap']}" if tiers["cap"] else ""
    here = "" if tiers["current"] == tiers["default"] else f", {tiers['current']} here"
    rows.append(("tier", f"{tiers['default']}{cap}{here}"))
    for tier in tiers["all"]:
        state = "available" if tier["available"] else "not on this machine" if tier["built"] else "not in this build"
        if not tier["available"] and tiers["cap"] and tier["built"]:
            state = "capped, or not on this machine"
        rows.append((f"  {tier['name']}", f"{state}: {tier['purpose']}"))
    rows.append(("flags", ", ".join(f"{name} {'on' if on else 'off'}" for name, on in info["flags"].items())))
    for dtype, blocks in info["gemm_blocks"].items():
        rows.append((f"GEMM {dtype}", "blocks of " + " x ".join(f"{name} {size}" for name, size in blocks.items())))
    rows.append(
        (
            "slab pool",
            f"{_bytes(pool['bytes_in_use'])} in use in {pool['blocks_in_use']} blocks, "
            f"{_bytes(pool['bytes_cached'])} cached in {pool['blocks_cached']}, "
            f"peak {_bytes(pool['bytes_peak'])}, {pool['hits']} hits, {pool['misses']} misses",
        )
    )
    return _table(rows)


def format_config() -> str:
    """The text that :func:`show_config` prints."""
    info = config_info()
    rows = [
        ("version", info["version"]),
        ("build type", info["build_type"]),
        ("compiler", f"{info['compiler']} {info['compiler_version']}, Cython {info['cython_version']}"),
        ("machine", info["machine"]),
        ("generic tier", f"registers of {info['generic_bytes']} bytes"),
        ("flags", ""),
    ]
    rows += [(f"  {tier}", " ".join(flags)) for tier, flags in info["tier_flags"].items()]
    return _table(rows)


def show_runtime() -> None:
    """Print what the package found on this machine: processor, caches, tiers, threads, block sizes, memory.

    See Also
    --------
    runtime_info : The same as a dictionary.
    show_config : What was built.

    Examples
    --------
    >>> import mlopt
    >>> mlopt.show_runtime()  # doctest: +ELLIPSIS
    mlopt ...
    """
    print(format_runtime())


def show_config() -> None:
    """Print how this build was made: compiler, flags of each tier, build type.

    See Also
    --------
    config_info : The same as a dictionary.
    show_runtime : What was found on this machine.

    Examples
    --------
    >>> import mlopt
    >>> mlopt.show_config()  # doctest: +ELLIPSIS
    version ...
    """
    print(format_config())
