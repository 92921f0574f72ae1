"""Any library with the C interface of BLAS, as a peer: the one that ``MLOPT_PEER_CBLAS`` names.

For libraries that come without a Python package, AOCL-BLIS for one.  Its integers are those of C (``LP64``), as in
every default build.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

import numpy as np

VARIABLE = "MLOPT_PEER_CBLAS"

ROW_MAJOR, NO_TRANSPOSE, TRANSPOSE = 101, 111, 112
NAMES = {"float32": "cblas_sgemm", "float64": "cblas_dgemm"}


class CBlas:
    """A shared library with ``cblas_sgemm`` and ``cblas_dgemm``.

    Parameters
    ----------
    path : str
        Of the library.
    """

    def __init__(self, path: str) -> None:
        self._library = ctypes.CDLL(path)
        missing = [name for name in NAMES.values() if not hasattr(self._library, name)]
        if missing:
            raise OSError(f"{VARIABLE}={path!r} has no {' and no '.join(missing)}")
        self.name, self.version, self.architecture = self._describe(Path(path))

    def _describe(self, path: Path) -> tuple[str, str, str]:
        """Name, version and the kernels it runs here; of other libraries than BLIS the name of the file."""
        try:
            version, kernels = self._library.bli_info_get_version_str, self._library.bli_arch_string
        except AttributeError:
            return path.name.split(".")[0], "", ""
        version.restype = kernels.restype = ctypes.c_char_p
        words = version().decode().split()
        name = "AOCL-BLIS" if words[0].startswith("AOCL") else "BLIS"
        number = words[1] if name == "AOCL-BLIS" else words[0]
        return name, number, kernels(self._library.bli_arch_query_id()).decode()

    @property
    def label(self) -> str:
        """Name and version."""
        return f"{self.name} {self.version}".rstrip()

    def product(self, a: np.ndarray, b: np.ndarray, out: np.ndarray) -> Callable[[], object]:
        """A call that stores ``a @ b`` in `out`; its arguments are converted here, once."""
        kind = a.dtype.name
        if kind not in NAMES or not (a.dtype == b.dtype == out.dtype) or not out.flags.c_contiguous:
            types = f"{a.dtype}, {b.dtype}, {out.dtype}"
            raise TypeError(f"a, b, out must be float32 or float64 of one type, out in C order, not {types}")
        number = ctypes.c_float if kind == "float32" else ctypes.c_double
        (m, k), n = a.shape, b.shape[1]
        transposes, leads = zip(*(_layout(x) for x in (a, b)), strict=True)
        function = getattr(self._library, NAMES[kind])
        function.restype = None
        integers = [ctypes.c_int(i) for i in (ROW_MAJOR, *transposes, m, n, k, leads[0], leads[1], n)]
        one, zero = number(1), number(0)
        at = [ctypes.c_void_p(x.ctypes.data) for x in (a, b, out)]
        return partial(
            function, *integers[:6], one, at[0], integers[6], at[1], integers[7], zero, at[2], integers[8]
        )  # fmt: skip


def _layout(x: np.ndarray) -> tuple[int, int]:
    """Whether a matrix is the transpose of an array in C order, and the length of the array's rows."""
    if x.flags.c_contiguous:
        return NO_TRANSPOSE, x.shape[1]
    if x.T.flags.c_contiguous:
        return TRANSPOSE, x.shape[0]
    raise ValueError(f"a matrix with strides {x.strides} is neither an array in C order nor the transpose of one")


@cache
def load() -> CBlas | None:
    """The library that the environment names; None where it names none, OSError where it cannot be used."""
    path = os.environ.get(VARIABLE)
    return CBlas(path) if path else None
