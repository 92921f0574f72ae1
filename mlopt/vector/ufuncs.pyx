"""The elementwise functions, as NumPy ufuncs.

Each ufunc computes float32 and float64 with this library's kernels.  Where NumPy has the function
too, every other type (integers, complex, objects, half and extended precision) runs NumPy's own
loops: those are taken over from NumPy's ufunc, so that types, promotion and errors are NumPy's.
"""
import numpy as np

cimport numpy as cnp
from cpython.mem cimport PyMem_RawCalloc

from mlopt._kernels.core cimport current_table, find_kernel, kernel_of, table_of
from mlopt._kernels.dispatch cimport MLOPT_TIER_COUNT, mlopt_kernels

from mlopt._kernels.core import available_tiers, kernel_report

cnp.import_array()
cnp.import_ufunc()


cdef extern from "ufunc_loop.h":
    ctypedef void (*mlopt_any_kernel)() noexcept
    ctypedef struct NpyAuxData:
        void *free
        void *clone
    ctypedef struct mlopt_ufunc_aux:
        NpyAuxData base
        mlopt_any_kernel kernel
        mlopt_any_kernel sum
        int nin
        int is_f64
    void *mlopt_aux_free
    void *mlopt_aux_clone

cdef extern from "ufunc_make.h":
    ctypedef mlopt_ufunc_aux mlopt_ufunc_loops[MLOPT_TIER_COUNT][2]
    const mlopt_kernels *(*mlopt_ufunc_table)() except NULL
    object mlopt_make_ufunc(const char *name, const char *doc, int nin, object like, mlopt_ufunc_aux *loops)


mlopt_ufunc_table = current_table

# Summaries and formulas; NumPy's own documentation is named where it has the function.
DESCRIPTIONS = {
    "add": "Add two arrays elementwise.",
    "subtract": "Subtract the second array from the first, elementwise.",
    "multiply": "Multiply two arrays elementwise.",
    "divide": "Divide the first array by the second, elementwise.",
    "fma": "Fused multiply-add ``a * b + c``, rounded once.",
    "sqrt": "Non-negative square root.",
    "exp": "Exponential function.",
    "log": "Natural logarithm.",
    "tanh": "Hyperbolic tangent.",
    "sigmoid": "Logistic function ``1 / (1 + exp(-x))``, accurate where it is small.",
    "erf": "Error function ``2/sqrt(pi) * integral of exp(-t**2) from 0 to x``.",
    "relu": "Rectifier: ``x`` where positive, else 0; NaN stays NaN.",
    "gelu": "Gaussian error linear unit ``x * Phi(x)``, the exact form with the error function.",
    "silu": "Sigmoid linear unit ``x * sigmoid(x)`` (swish).",
}
# signature -> the names of its inputs
OPERANDS = {"unary": ("x",), "binary": ("x1", "x2"), "ternary": ("a", "b", "c")}
documentation = {}  # keeps the C strings of the ufuncs alive


def document(name, operands, bound, numpy_has_it):
    types = "the types of ``numpy.%s``" % name if numpy_has_it else "float32 or float64; integers become float64"
    accuracy = "Exact." if bound == 0 else f"The error of float32 and float64 is at most {bound:g} ULP."
    example = {
        "unary": f">>> mlopt.{name}(np.ones(2, np.float32)).dtype\n    dtype('float32')",
        "binary": f">>> mlopt.{name}(np.ones(2), 1.0).shape\n    (2,)",
        "ternary": f">>> mlopt.{name}(2.0, 3.0, 1.0)\n    np.float64(7.0)",
    }[{1: "unary", 2: "binary", 3: "ternary"}[len(operands)]]
    return f"""{DESCRIPTIONS[name]}

    Parameters
    ----------
    {", ".join(operands)} : array_like
        Input arrays, broadcast against each other; {types}.
    out : ndarray, optional
        Where to store the result; may be one of the inputs.
    **kwargs
        As for every NumPy ufunc (``where``, ``casting``, ``dtype``, ...).

    Returns
    -------
    ndarray or scalar
        The result, of the inputs' common type.

    Notes
    -----
    {accuracy}  Floating-point warnings are NumPy's.

    Examples
    --------
    >>> import numpy as np, mlopt
    {example}
    """


cdef mlopt_ufunc_aux *make_loops(str name, int nin) except NULL:
    # of the raw allocator: the ufunc gives it back by PyMem_RawFree when it is deallocated
    cdef mlopt_ufunc_aux *loops = <mlopt_ufunc_aux *>PyMem_RawCalloc(MLOPT_TIER_COUNT * 2, sizeof(mlopt_ufunc_aux))
    cdef mlopt_ufunc_aux *aux
    cdef const mlopt_kernels *table
    if loops == NULL:
        raise MemoryError
    for tier in available_tiers():
        table = table_of(tier)
        for is_f64, kind in enumerate((b"f32", b"f64")):
            aux = &loops[2 * table.tier + is_f64]
            aux.base.free = mlopt_aux_free
            aux.base.clone = mlopt_aux_clone
            aux.kernel = <mlopt_any_kernel>kernel_of(table, find_kernel(name.encode(), kind))
            aux.sum = <mlopt_any_kernel>kernel_of(table, find_kernel(b"sum", kind)) if name == "add" else NULL
            aux.nin = nin
            aux.is_f64 = is_f64
    return loops


cdef make_all():
    for row in kernel_report():
        name = row["name"]
        if row["signature"] not in OPERANDS or row["type"] != "f32":
            continue
        operands = OPERANDS[row["signature"]]
        like = getattr(np, name, None)
        doc = document(name, operands, row["bound"], like is not None)
        documentation[name] = (name.encode(), doc.encode())
        globals()[name] = mlopt_make_ufunc(<bytes>documentation[name][0], <bytes>documentation[name][1],
                                           len(operands), like, make_loops(name, len(operands)))
        __all__.append(name)


__all__ = []
make_all()
