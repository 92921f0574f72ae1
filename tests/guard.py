"""Memory that ends at an unreadable page: an access one byte behind the last element kills the process.

With MLOPT_TEST_GUARD=0 in the environment the page stays readable: emulators such as qemu 7.2 fault on
the lanes that a masked load leaves out, which processors do not.
"""

import ctypes
import mmap
import os

import numpy as np

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]


class _Guarded(np.ndarray):
    """An ndarray that keeps its mapping alive."""


def guarded(values: np.ndarray) -> np.ndarray:
    """A contiguous copy of `values` whose last byte is the last byte before an inaccessible page."""
    values = np.ascontiguousarray(values)
    page = mmap.PAGESIZE
    pages = -(-values.nbytes // page)
    mapping = mmap.mmap(-1, (pages + 1) * page)
    address = ctypes.addressof(ctypes.c_char.from_buffer(mapping))
    protect = os.environ.get("MLOPT_TEST_GUARD") != "0"
    if protect and _libc.mprotect(address + pages * page, page, 0) != 0:  # PROT_NONE
        raise OSError(ctypes.get_errno(), "mprotect")
    flat = np.frombuffer(mapping, np.uint8, values.nbytes, pages * page - values.nbytes)
    result = flat.view(values.dtype).reshape(values.shape).view(_Guarded)
    result[...] = values
    return result
