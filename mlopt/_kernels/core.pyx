"""The module that owns the kernel tables: dispatch, tiers, the processor."""
import contextvars
import os
from contextlib import ContextDecorator

from cpython.contextvars cimport get_value

from libc.string cimport memcpy, strcmp

from mlopt._kernels.dispatch cimport (
    MLOPT_CPU_AMX,
    MLOPT_TIER_COUNT,
    mlopt_best_tier,
    mlopt_cpu,
    mlopt_cpu_detect,
    mlopt_dispatch_init,
    mlopt_gemm_blocks,
    mlopt_gemm_blocks_status,
    mlopt_gemm_default_blocks,
    mlopt_kernel_info,
    mlopt_kernels,
    mlopt_origin,
    mlopt_register,
    mlopt_register_count,
    mlopt_table,
    mlopt_tiers,
)
from mlopt._kernels.slab cimport (
    mlopt_slab_acquire,
    mlopt_slab_acquire_zeroed,
    mlopt_slab_fail_every,
    mlopt_slab_free,
    mlopt_slab_malloc,
    mlopt_slab_release,
    mlopt_slab_statistics,
    mlopt_slab_stats,
    mlopt_slab_trim,
    mlopt_slab_usable,
    slab_free_function,
    slab_malloc_function,
)


# One object per available tier: what the context variable holds.
cdef class _Table:
    cdef const mlopt_kernels *pointer


# overridden: whether use_isa was ever entered; until then no context is looked up.  It is set for good, by the thread
# whose context gets a table: one that does not see it yet has none.
cdef mlopt_choice choice
cdef object context_table = contextvars.ContextVar("mlopt_isa")
cdef dict tables = {}


cdef const mlopt_kernels *current_table() except NULL:
    if not choice.overridden:
        return choice.table
    return from_context()


cdef const mlopt_kernels *from_context() except NULL:
    table = get_value(context_table)
    return choice.table if table is None else (<_Table>table).pointer


cdef const mlopt_choice *table_choice() noexcept nogil:
    return &choice


cdef const mlopt_kernels *current_table_nogil() noexcept nogil:
    if not choice.overridden:
        return choice.table
    with gil:
        return current_table()


cdef const mlopt_gemm_blocks *default_blocks(size_t element_bytes) noexcept nogil:
    return mlopt_gemm_default_blocks(element_bytes)


cdef _Table lookup(str tier, str argument):
    table = tables.get(tier)
    if table is None:
        known = [mlopt_tiers[t].name.decode() for t in range(MLOPT_TIER_COUNT)]
        reason = "is not available on this machine" if tier in known else "is not a tier"
        raise ValueError(f"{argument}={tier!r} {reason}; available: {', '.join(tables)}")
    return table


cdef const mlopt_kernels *table_of(str tier) except NULL:
    return lookup(tier, "tier").pointer


cdef const mlopt_kernel_info *find_kernel(const char *name, const char *type) noexcept nogil:
    cdef size_t i
    for i in range(mlopt_register_count):
        if strcmp(mlopt_register[i].name, name) == 0 and strcmp(mlopt_register[i].type, type) == 0:
            return &mlopt_register[i]
    return NULL


cdef void *kernel_of(const mlopt_kernels *table, const mlopt_kernel_info *kernel) noexcept nogil:
    cdef void *pointer
    memcpy(&pointer, <const char *>table + kernel.offset, sizeof(pointer))
    return pointer


# The slab pool, for the other modules.
cdef void *slab_acquire(size_t bytes) noexcept nogil:
    return mlopt_slab_acquire(bytes)


cdef void *slab_acquire_zeroed(size_t bytes) noexcept nogil:
    return mlopt_slab_acquire_zeroed(bytes)


cdef void slab_release(void *block) noexcept nogil:
    mlopt_slab_release(block)


cdef size_t slab_usable(void *block) noexcept nogil:
    return mlopt_slab_usable(block)


cdef void slab_statistics(mlopt_slab_statistics *statistics) noexcept nogil:
    mlopt_slab_stats(statistics)


cdef size_t slab_trim() noexcept nogil:
    return mlopt_slab_trim()


cdef uint64_t slab_fail_every(uint32_t period) noexcept nogil:
    return mlopt_slab_fail_every(period)


cdef slab_malloc_function slab_malloc() noexcept nogil:
    return mlopt_slab_malloc


cdef slab_free_function slab_free() noexcept nogil:
    return mlopt_slab_free


class use_isa(ContextDecorator):
    """Compute with the kernels of a given tier inside a ``with`` block or a decorated function.

    The choice belongs to the current context (:mod:`contextvars`): other threads and other asyncio
    tasks are not affected, and a thread started inside the block starts with the process's tier.
    Every public function reads the choice once, when it is entered.

    Parameters
    ----------
    tier : str
        One of :func:`available_tiers`; ``"reference"`` switches every SIMD kernel off.

    Raises
    ------
    TypeError
        If `tier` is not a string.
    ValueError
        If `tier` is unknown or not available on this machine; the message lists those that are.

    Examples
    --------
    >>> import numpy as np, mlopt
    >>> with mlopt.use_isa("reference"):
    ...     mlopt.current_isa()
    'reference'
    """

    def __init__(self, tier):
        if not isinstance(tier, str):
            raise TypeError(f"tier must be a string, not {type(tier).__name__}")
        self._table = lookup(tier, "tier")
        self._tokens = []

    def __enter__(self):
        choice.overridden = True
        self._tokens.append(context_table.set(self._table))
        return self

    def __exit__(self, *exc_info):
        context_table.reset(self._tokens.pop())
        return False

    def _recreate_cm(self):  # a decorated function may run in several threads at once
        return type(self)(tier_name((<_Table>self._table).pointer))


cdef str tier_name(const mlopt_kernels *table):
    return mlopt_tiers[table.tier].name.decode()


def current_isa():
    """The name of the tier that calls made here and now compute with.

    Returns
    -------
    str
        One of :func:`available_tiers`.

    Examples
    --------
    >>> import mlopt
    >>> mlopt.current_isa() in mlopt.available_tiers()
    True
    """
    return tier_name(current_table())


def available_tiers():
    """Names of the tiers this build has and this machine can run, lowest first.

    Returns
    -------
    tuple of str
        What :class:`use_isa` takes; with ``MLOPT_MAX_ISA``, nothing above it.

    Examples
    --------
    >>> import mlopt
    >>> mlopt.available_tiers()[:2]
    ('reference', 'generic')
    """
    return tuple(tables)


def tier_report():
    """One dictionary per tier: name, purpose, whether it is built, available, and the default."""
    return [
        {
            "name": mlopt_tiers[t].name.decode(),
            "purpose": mlopt_tiers[t].purpose.decode(),
            "built": bool(mlopt_tiers[t].built),
            "available": mlopt_tiers[t].name.decode() in tables,
            "default": <int>choice.table.tier == t,
        }
        for t in range(MLOPT_TIER_COUNT)
    ]


def cpu_report():
    """What was detected of the processor: brand, cache sizes in bytes, usable cores, AMX."""
    cdef const mlopt_cpu *cpu = mlopt_cpu_detect()
    return {
        "brand": (<bytes>cpu.brand).decode("ascii", "replace"),
        "l1d_bytes": cpu.l1d_bytes,
        "l2_bytes": cpu.l2_bytes,
        "l3_bytes": cpu.l3_bytes,
        "cacheline_bytes": cpu.cacheline_bytes,
        "cores": cpu.cores,
        "amx": bool(cpu.features & MLOPT_CPU_AMX),
    }


def gemm_blocks():
    """Block sizes of matrix products by dtype: rows of A, common length, columns of B.

    They follow from the detected caches; the environment variable ``MLOPT_GEMM_BLOCKS="mc,kc,nc"``
    sets them for both types.

    Examples
    --------
    >>> import mlopt
    >>> sorted(mlopt.gemm_blocks()["float64"])
    ['kc', 'mc', 'nc']
    """
    cdef const mlopt_gemm_blocks *blocks
    report = {}
    for name, element_bytes in (("float32", 4), ("float64", 8)):
        blocks = mlopt_gemm_default_blocks(element_bytes)
        report[name] = {"mc": blocks.mc, "kc": blocks.kc, "nc": blocks.nc}
    return report


def kernel_report():
    """The register: one dictionary per kernel and type, with the tier each table takes it from."""
    cdef const mlopt_kernel_info *row
    cdef size_t i
    rows = []
    for i in range(mlopt_register_count):
        row = &mlopt_register[i]
        rows.append({
            "family": row.family.decode(), "name": row.name.decode(), "type": row.type.decode(),
            "signature": row.signature.decode(), "flops": row.flops, "bound": row.bound,
            "origin": {
                tier: mlopt_tiers[<int>mlopt_origin((<_Table>table).pointer, row)].name.decode()
                for tier, table in tables.items()
            },
        })
    return rows


cdef initialise():
    cdef _Table table
    mlopt_dispatch_init()
    if mlopt_gemm_blocks_status() != 0:
        raise ImportError(f"MLOPT_GEMM_BLOCKS={os.environ['MLOPT_GEMM_BLOCKS']!r} must be three positive numbers "
                          "'mc,kc,nc', each at most 1048576")
    for t in range(MLOPT_TIER_COUNT):
        if mlopt_tiers[t].available:
            table = _Table()
            table.pointer = mlopt_table(t)
            tables[mlopt_tiers[t].name.decode()] = table
    cap = os.environ.get("MLOPT_MAX_ISA", "")
    if not cap:
        choice.table = mlopt_table(mlopt_best_tier())
        return
    known = [mlopt_tiers[t].name.decode() for t in range(MLOPT_TIER_COUNT)]
    if cap not in known:
        raise ImportError(f"MLOPT_MAX_ISA={cap!r} is not a tier; one of: {', '.join(known)}")
    # a cap above what the machine has is no error: it caps nothing
    for name in known[known.index(cap)::-1]:
        if name in tables:
            choice.table = (<_Table>tables[name]).pointer
            break
    for name in known[known.index(cap) + 1:]:
        tables.pop(name, None)


initialise()
