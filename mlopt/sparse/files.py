"""Sparse arrays in SciPy's ``.npz`` files, read with distrust."""

from __future__ import annotations

import os
import zipfile
import zlib
from typing import Any, BinaryIO

import numpy as np

from mlopt._files import whole_file
from mlopt.sparse.csc import csc_array
from mlopt.sparse.csr import csr_array

__all__ = ["load_npz", "save_npz"]

ARRAYS = {
    "csr": ("data", "indices", "indptr"),
    "csc": ("data", "indices", "indptr"),
    "coo": ("data", "row", "col"),
}
# deflate makes a byte of at most 1032
DEFLATED_LIMIT = 1032
HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def save_npz(file: str | os.PathLike[str] | BinaryIO, a: csr_array | csc_array, compressed: bool = True) -> None:
    """Write a sparse array to a file that :func:`scipy.sparse.load_npz` reads as well.

    Parameters
    ----------
    file : str, os.PathLike or binary file
        Where to; ``.npz`` is appended to a name that does not end so. A named file is complete or, after an error,
        what it was.
    a : csr_array or csc_array
        The array.
    compressed : bool, optional
        Whether to compress it.

    Raises
    ------
    TypeError
        If `a` is not one of these.

    See Also
    --------
    load_npz : Reads it.

    Examples
    --------
    >>> import numpy as np, mlopt, os, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "eye.npz")
    ...     mlopt.sparse.save_npz(path, mlopt.sparse.csr_array(np.eye(3)))
    ...     mlopt.sparse.load_npz(path)
    <csr_array of float64, shape (3, 3), 3 stored elements>
    """
    if not isinstance(a, csr_array | csc_array):
        raise TypeError(f"a must be a csr_array or a csc_array, not {type(a).__name__}")
    arrays = {
        "indices": a.indices, "indptr": a.indptr, "format": np.array(b"csr" if isinstance(a, csr_array) else b"csc"),
        "shape": np.array(a.shape), "data": a.data, "_is_array": np.array(True),
    }  # fmt: skip
    write: Any = np.savez_compressed if compressed else np.savez
    if hasattr(file, "write"):
        write(file, **arrays)
        return
    path = os.fspath(file)
    with whole_file(path if path.endswith(".npz") else f"{path}.npz") as target:
        write(target, **arrays)


def load_npz(file: str | os.PathLike[str] | BinaryIO, dtype: Any = None) -> csr_array | csc_array:
    """Read a sparse array from a file that :func:`save_npz` or :func:`scipy.sparse.save_npz` wrote.

    Parameters
    ----------
    file : str, os.PathLike or binary file
        The file. It need not be trusted: nothing in it is executed, and every index is checked.
    dtype : {float32, float64}, optional
        The type to convert elements to. Without it they must be float32 or float64.

    Returns
    -------
    csr_array or csc_array
        By columns where the file is, else by rows.

    Raises
    ------
    ValueError
        Where the file is not one of these, is damaged, holds an array that is wrong, or is in a format other than
        ``csr``, ``csc`` and ``coo``.
    TypeError
        If elements are not float32 or float64 and no `dtype` is given.

    See Also
    --------
    save_npz : Writes it, with an example.

    Examples
    --------
    >>> import io, mlopt
    >>> file = io.BytesIO()
    >>> mlopt.sparse.save_npz(file, mlopt.sparse.csr_array([[0.0, 2.0]]).T)
    >>> _ = file.seek(0)
    >>> mlopt.sparse.load_npz(file).toarray()
    array([[0.],
           [2.]])
    """
    name = repr(os.fspath(file)) if isinstance(file, str | os.PathLike) else "the file"
    try:
        with zipfile.ZipFile(file) as archive:
            length = length_of(archive)
            kind = format_of(archive, length)
            data, *places = (member(archive, length, key) for key in ARRAYS[kind])
            shape = member(archive, length, "shape")
    except (ValueError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise ValueError(f"{name} cannot be loaded: {error}") from None
    try:
        if shape.dtype.kind not in "iu" or shape.shape != (2,):
            raise ValueError(f"its shape is an array of {shape.dtype} and shape {shape.shape}; expected two integers")
        sides = tuple(shape.tolist())
        if kind == "coo":
            return csr_array((data, tuple(places)), sides, dtype=dtype)
        return (csr_array if kind == "csr" else csc_array)((data, *places), sides, dtype=dtype)
    except (ValueError, TypeError) as error:
        raise type(error)(f"{name} cannot be loaded: {error}") from None


def length_of(archive: zipfile.ZipFile) -> int:
    file = archive.fp
    assert file is not None
    return file.seek(0, os.SEEK_END)


def format_of(archive: zipfile.ZipFile, length: int) -> str:
    if "format.npy" not in archive.namelist():
        raise ValueError("it has no format: it does not hold a sparse array")
    given = member(archive, length, "format")
    kind = given.item() if given.size == 1 else given.tolist()
    if isinstance(kind, bytes):
        kind = kind.decode("ascii", "replace")
    if not isinstance(kind, str) or kind not in ARRAYS:
        raise ValueError(f"its format is {kind!r}; expected 'csr', 'csc' or 'coo': SciPy reads and converts others")
    return kind


def member(archive: zipfile.ZipFile, length: int, key: str) -> np.ndarray[Any, Any]:
    """An array of the archive, of `length` bytes. Sizes are compared first: a header alone must not take memory."""
    try:
        entry = archive.getinfo(f"{key}.npy")
    except KeyError:
        raise ValueError(f"it has no array called {key}") from None
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{key} is compressed by method {entry.compress_type}; expected none or deflate")
    size = entry.file_size
    if size > DEFLATED_LIMIT * length:
        raise ValueError(f"{key} says to have {size} bytes, more than a file of {length} can hold")
    with archive.open(f"{key}.npy") as file:
        version = np.lib.format.read_magic(file)
        if version not in HEADERS:
            raise ValueError(f"{key} is in version {version} of the npy format; expected 1.0 or 2.0")
        shape, _, dtype = HEADERS[version](file)
        if dtype.hasobject:
            raise ValueError(f"{key} holds objects; expected numbers")
        expected = int(np.prod(shape, dtype=object)) * dtype.itemsize
        if expected != size - file.tell():
            raise ValueError(f"{key} has {size - file.tell()} bytes; its header says {expected}")
    with archive.open(f"{key}.npy") as file:
        return np.lib.format.read_array(file, allow_pickle=False)
